//! A generator on an engine library: what calls through the interface look like from Rust.

use super::{Device, DeviceKind, Library, abi, check};
use crate::{Error, Result};
use std::ffi::{CString, c_char, c_void};
use std::mem::size_of;
use std::path::PathBuf;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// What a session computes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    Fp32,
    /// 32-bit floats, whose products a CUDA device may round to 10 bits.
    Tf32,
    /// 16-bit floats.
    Fp16,
    /// 16-bit floats with the range of 32-bit ones.
    Bf16,
}

impl Precision {
    /// Their names, as options have them.
    pub const IDS: [&str; 4] = ["fp32", "tf32", "fp16", "bf16"];

    /// The precision of this name.
    pub fn from_id(id: &str) -> Option<Precision> {
        let at = Precision::IDS.iter().position(|i| *i == id)?;
        Some([Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16][at])
    }

    /// Its name.
    pub fn id(self) -> &'static str {
        Precision::IDS[self as usize]
    }
}

/// The weights of a generator, folded or as the official checkpoint has them.
#[derive(Debug, Clone)]
pub enum Source {
    /// A safetensors file and the blake3 checksum (64 digits) that it must have.
    File(PathBuf, Option<String>),
    /// The contents of one.
    Bytes(Arc<[u8]>),
}

/// How to run a generator.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it runs.
    pub device: Device,
    /// Of the arithmetic.
    pub precision: Precision,
    /// Threads on the CPU; 0: all cores.
    pub threads: usize,
    /// Bytes that weights and frames may take together; 0: no limit.
    pub memory: u64,
}

/// The order of values in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Channel by channel.
    Nchw,
    /// Pixel by pixel.
    Nhwc,
}

/// A named input.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    /// Name of the tensor.
    pub name: &'a str,
    /// n, c, h, w
    pub shape: [usize; 4],
    /// Order of the values.
    pub layout: Layout,
    /// The values, in the order of the layout.
    pub values: &'a [f32],
}

/// A named output and where it goes.
#[derive(Debug)]
pub struct Output<'a> {
    /// Name of the tensor.
    pub name: &'a str,
    /// n, c, h, w
    pub shape: [usize; 4],
    /// Order of the values.
    pub layout: Layout,
    /// Receives the values.
    pub values: &'a mut [f32],
}

/// What happened while a frame was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// The frame was not a number somewhere in the session's precision and was computed again in fp32.
    pub repeated: bool,
}

/// An open generator. Clones share it.
#[derive(Clone)]
pub struct Session(Arc<Handle>);

struct Handle {
    library: &'static Library,
    session: *mut abi::Session,
    options: Options,
}

// SAFETY: the interface lets any thread use a session.
unsafe impl Send for Handle {}
// SAFETY: as above; calls on one session run one after the other.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: it was opened, and is closed once.
        unsafe { (self.library.table.close)(self.session) }
    }
}

impl Session {
    /// Opens a generator on a device of the library.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Model`] where the weights cannot be used, [`Error::Engine`] where they do not fit into memory
    /// or the device fails.
    pub fn open(library: &'static Library, source: &Source, options: &Options) -> Result<Session> {
        let mut raw = abi::Options {
            size: size_of::<abi::Options>(),
            path: null(),
            bytes: null(),
            length: 0,
            checksum: null(),
            device: if options.device.kind == DeviceKind::Cuda { abi::CUDA } else { abi::CPU },
            index: options.device.index,
            precision: options.precision as u32,
            threads: options.threads.try_into().unwrap_or(0),
            memory: options.memory,
        };
        let (path, checksum);
        match source {
            Source::File(file, hash) => {
                let name = file.to_str().ok_or_else(|| {
                    Error::input(format!(
                        "{}: the name is not UTF-8, which the engine cannot read: rename it",
                        file.display()
                    ))
                })?;
                path = c_string(name)?;
                checksum = hash.as_deref().map(c_string).transpose()?;
                raw.path = path.as_ptr();
                raw.checksum = checksum.as_ref().map_or(null(), |c| c.as_ptr());
            }
            Source::Bytes(bytes) => (raw.bytes, raw.length) = (bytes.as_ptr(), bytes.len()),
        }
        let mut session = null_mut();
        // SAFETY: everything that `raw` points to outlives the call.
        check(library.table, unsafe { (library.table.open)(&raw, &mut session) })?;
        Ok(Session(Arc::new(Handle { library, session, options: options.clone() })))
    }

    /// How it was opened.
    pub fn options(&self) -> &Options {
        &self.0.options
    }

    /// Encodes a reference; its features stay on the device. `inputs` has `reference`: PNCC (0..1) and RGB (-1..1), 1 x 6 x h x w.
    ///
    /// # Errors
    /// [`Error::Usage`] for other inputs or shapes, [`Error::Engine`] where memory does not do or the device fails.
    pub fn reference(&self, inputs: &[Array]) -> Result<Reference> {
        let table = self.0.library.table;
        let names = names(inputs.iter().map(|i| i.name))?;
        let inputs: Vec<abi::Tensor> = inputs.iter().zip(&names).map(|(i, n)| input(i, n)).collect();
        let mut reference = null_mut();
        // SAFETY: the session is open, and everything that the tensors point to outlives the call.
        let status =
            unsafe { (table.reference)(self.0.session, inputs.as_ptr(), inputs.len(), null_mut(), &mut reference) };
        check(table, status)?;
        Ok(Reference { session: self.clone(), reference })
    }
}

/// A reference whose features are on the device.
pub struct Reference {
    session: Session,
    reference: *mut abi::Reference,
}

// SAFETY: the interface lets any thread use a reference.
unsafe impl Send for Reference {}
// SAFETY: as above; calls run one after the other.
unsafe impl Sync for Reference {}

impl Drop for Reference {
    fn drop(&mut self) {
        // SAFETY: it was made, and is released once.
        unsafe { (self.session.0.library.table.release)(self.reference) }
    }
}

impl Reference {
    /// Tells it the head whose posed meshes may stand for PNCC: triangles, and a coordinate code (0..1) for every vertex.
    ///
    /// # Errors
    /// [`Error::Model`] where a triangle names a vertex that is not there.
    pub fn set_topology(&self, triangles: &[[u32; 3]], codes: &[[f32; 3]]) -> Result<()> {
        let table = self.session.0.library.table;
        let (t, c) = (triangles.as_flattened().as_ptr(), codes.as_flattened().as_ptr());
        // SAFETY: the reference is there; pointers and counts are those of two slices.
        let status = unsafe { (table.topology)(self.reference, t, triangles.len(), c, codes.len()) };
        check(table, status)
    }

    /// Computes frames from `pncc` (n x 3 frames x h x w) or `mesh` (n x frames x vertices x 3), and what else the generator takes;
    /// see [`abi::Table::render`] for both, and for the outputs.
    ///
    /// # Errors
    /// [`Error::Usage`] for other inputs, outputs or shapes, [`Error::Engine`] where memory does not do, the device fails, or the
    /// result is not a number even in fp32.
    pub fn render(&self, inputs: &[Array], outputs: &mut [Output]) -> Result<Report> {
        let table = self.session.0.library.table;
        let in_names = names(inputs.iter().map(|i| i.name))?;
        let out_names = names(outputs.iter().map(|o| o.name))?;
        let inputs: Vec<abi::Tensor> = inputs.iter().zip(&in_names).map(|(i, n)| input(i, n)).collect();
        let outputs: Vec<abi::Tensor> = outputs
            .iter_mut()
            .zip(&out_names)
            .map(|(o, name)| {
                assert_eq!(o.shape.iter().product::<usize>(), o.values.len(), "one place for each value");
                tensor(name, o.values.as_mut_ptr().cast(), o.shape, o.layout)
            })
            .collect();
        let mut report = abi::Report { size: size_of::<abi::Report>(), repeated: 0 };
        // SAFETY: the reference is there, and everything that the tensors point to outlives the call.
        let status = unsafe {
            (table.render)(
                self.reference,
                inputs.as_ptr(),
                inputs.len(),
                outputs.as_ptr(),
                outputs.len(),
                null_mut(),
                &mut report,
            )
        };
        check(table, status)?;
        Ok(Report { repeated: report.repeated != 0 })
    }
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> Result<Vec<CString>> {
    names.map(c_string).collect()
}

fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| Error::usage(format!("'{}' holds a zero byte: rename it", text.replace('\0', "?"))))
}

fn input(array: &Array, name: &CString) -> abi::Tensor {
    assert_eq!(array.shape.iter().product::<usize>(), array.values.len(), "one value for each place");
    // Inputs are only read.
    tensor(name, array.values.as_ptr().cast_mut().cast(), array.shape, array.layout)
}

fn tensor(name: &CString, data: *mut c_void, shape: [usize; 4], layout: Layout) -> abi::Tensor {
    let name: *const c_char = name.as_ptr();
    abi::Tensor {
        size: size_of::<abi::Tensor>(),
        name,
        data,
        shape: shape.map(|n| n as u64),
        layout: if layout == Layout::Nhwc { abi::NHWC } else { abi::NCHW },
        place: abi::HOST,
    }
}
