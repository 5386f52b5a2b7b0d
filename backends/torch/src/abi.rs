//! The engine interface ([`headgan::engine::library::abi`]) over [`Session`]: pointers become references here, and errors,
//! panics and libtorch's exceptions (which tch turns into panics) become a status and a line of text.

use crate::devices::{self, Found};
use crate::ops::settle;
use crate::session::{Options, Pose, Reference, Session};
use crate::stream::OnStream;
use headgan::engine::library::{Precision, abi};
use headgan::weights::{Weights, safetensors};
use headgan::{Error, Result};
use parking_lot::Mutex;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, c_char, c_void};
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Once, OnceLock};
use tch::{Device, Kind, Tensor};

/// The version of the interface that this library was built for.
#[unsafe(no_mangle)]
pub extern "C" fn headgan_engine_version() -> u32 {
    abi::VERSION
}

/// The functions of this library.
#[unsafe(no_mangle)]
pub extern "C" fn headgan_engine() -> *const abi::Table {
    static TABLE: abi::Table = abi::Table {
        size: size_of::<abi::Table>(),
        build,
        device,
        open,
        reference,
        render,
        release,
        close,
        last_error,
        topology,
    };
    &TABLE
}

/// What a pointer to [`abi::Session`] points to.
type SessionHandle = Arc<Mutex<Session>>;

/// What a pointer to [`abi::Reference`] points to.
struct ReferenceHandle {
    session: SessionHandle,
    reference: Mutex<Reference>,
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
    /// Whether a call of this interface runs: its panics are errors, and print nothing.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call: its error becomes [`last_error`]'s text and a status.
fn guard(call: impl FnOnce() -> Result<()>) -> abi::Status {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !INSIDE.get() {
                usual(info);
            }
        }));
    });
    INSIDE.set(true);
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(of_panic(&*panic)));
    INSIDE.set(false);
    let Err(error) = result else { return 0 };
    let text = error.to_string().replace('\0', "?");
    LAST_ERROR.set(CString::new(text).unwrap_or_default());
    abi::Status::from(error.exit_code())
}

/// libtorch's text, without the C++ stack below it.
fn of_panic(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text");
    let cut = ["\\nException raised from", "\nException raised from", "\\n\\nStack", "frame #0"];
    let end = cut.iter().filter_map(|c| text.find(c)).min().unwrap_or(text.len());
    let line = text[..end].replace("\\n", " ").split_whitespace().collect::<Vec<_>>().join(" ");
    let out_of_memory =
        ["out of memory", "not enough memory", "can't allocate memory"].iter().any(|t| line.contains(t));
    let advice = if out_of_memory {
        "close other programs, choose precision fp16 or another device"
    } else {
        "report this with the output of `headgan doctor`"
    };
    Error::engine(format!("libtorch: {line}: {advice}"))
}

/// A caller's structure, if it is there and as large as this version of the interface has it.
///
/// # Safety
/// `pointer` is null or points to a structure that begins with its size.
unsafe fn given<'a, T>(pointer: *const T, what: &str) -> Result<&'a T> {
    let wrong = || Error::usage(format!("the caller's {what} is missing or too short: program and engine do not fit"));
    // SAFETY: the caller's.
    unsafe {
        if pointer.is_null() || *pointer.cast::<usize>() < size_of::<T>() {
            return Err(wrong());
        }
        Ok(&*pointer)
    }
}

/// As [`given`], to be written to.
///
/// # Safety
/// As [`given`].
unsafe fn given_mut<'a, T>(pointer: *mut T, what: &str) -> Result<&'a mut T> {
    // SAFETY: the caller's.
    unsafe {
        given(pointer.cast_const(), what)?;
        Ok(&mut *pointer)
    }
}

/// A caller's string; `None` for null.
///
/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn string<'a>(text: *const c_char, what: &str) -> Result<Option<&'a str>> {
    if text.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map(Some).map_err(|_| Error::usage(format!("the {what} is not UTF-8")))
}

/// Devices, asked for once.
fn all_devices() -> &'static (Vec<Found>, Option<CString>) {
    static DEVICES: OnceLock<(Vec<Found>, Option<CString>)> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let (devices, why) = devices::find();
        (devices, why.map(|text| CString::new(text.replace('\0', "?")).unwrap_or_default()))
    })
}

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("a version with a zero byte"),
};
const FRAMEWORK: &CStr =
    match CStr::from_bytes_with_nul(concat!("libtorch ", env!("HEADGAN_LIBTORCH"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("a version with a zero byte"),
    };

unsafe extern "C" fn build(out: *mut abi::Build) -> abi::Status {
    guard(|| {
        // SAFETY: the interface's contract.
        let out = unsafe { given_mut(out, "build") }?;
        let (devices, why) = all_devices();
        out.version = VERSION.as_ptr();
        out.framework = FRAMEWORK.as_ptr();
        out.devices = devices.len() as u32;
        out.no_cuda = why.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
        Ok(())
    })
}

unsafe extern "C" fn device(index: u32, out: *mut abi::Device) -> abi::Status {
    guard(|| {
        // SAFETY: the interface's contract.
        let out = unsafe { given_mut(out, "device") }?;
        let (devices, _) = all_devices();
        let found = devices.get(index as usize);
        let found =
            found.ok_or_else(|| Error::usage(format!("there is no device {index}: {} are there", devices.len())))?;
        (out.kind, out.index) = found.kind();
        out.memory = found.memory;
        out.name = [0; 128];
        // The last byte stays zero.
        let room = out.name.len() - 1;
        for (to, from) in out.name[..room].iter_mut().zip(found.name.bytes()) {
            *to = from as c_char;
        }
        Ok(())
    })
}

unsafe extern "C" fn open(options: *const abi::Options, out: *mut *mut abi::Session) -> abi::Status {
    guard(|| {
        // SAFETY: the interface's contract.
        let (options, out) = unsafe { (given(options, "options")?, out.as_mut()) };
        let out = out.ok_or_else(|| Error::Usage("the caller has no place for the session".into()))?;
        // SAFETY: as above.
        let weights = unsafe { weights(options) }?;
        let precisions = [Precision::Fp32, Precision::Tf32, Precision::Fp16, Precision::Bf16];
        let precision = precisions.into_iter().find(|p| *p as u32 == options.precision);
        let precision =
            precision.ok_or_else(|| Error::usage(format!("there is no precision {}", options.precision)))?;
        let (devices, _) = all_devices();
        let found = devices.iter().find(|d| d.kind() == (options.device, options.index));
        let device = found.map(|d| d.device).ok_or_else(|| {
            Error::engine(format!(
                "there is no device {} of kind {}: see `headgan doctor`",
                options.index, options.device
            ))
        })?;
        let options = Options { device, precision, threads: options.threads as usize, memory: options.memory };
        let session: SessionHandle = Arc::new(Mutex::new(Session::open(weights, options)?));
        *out = Box::into_raw(Box::new(session)).cast();
        Ok(())
    })
}

/// The weights that the options name.
///
/// # Safety
/// The interface's contract.
unsafe fn weights(options: &abi::Options) -> Result<Weights> {
    // SAFETY: the caller's.
    let (path, wanted) = unsafe { (string(options.path, "path")?, string(options.checksum, "checksum")?) };
    let (weights, hash, what) = match path {
        Some(path) => {
            let (weights, hash) = safetensors::load_hashed(Path::new(path))?;
            (weights, hash, path)
        }
        None if options.bytes.is_null() => {
            return Err(Error::Usage("the caller names neither a file nor its contents".into()));
        }
        None => {
            // SAFETY: the caller's.
            let bytes = unsafe { std::slice::from_raw_parts(options.bytes, options.length) };
            let (weights, hash) = safetensors::read(bytes, bytes.len() as u64, "the weights")?;
            (weights, hash, "the weights")
        }
    };
    if wanted.is_some_and(|w| w != hash) {
        return Err(Error::model(format!("{what}: the file has changed since it was checked: start again")));
    }
    Ok(weights)
}

/// The tensor of a caller's memory that a description names, as n c h w, without a copy; `session` is the session's device.
///
/// # Safety
/// The interface's contract; the tensor must not outlive the memory.
unsafe fn blob(given: &abi::Tensor, name: &str, session: Device) -> Result<Tensor> {
    let device = match given.place {
        abi::HOST => Device::Cpu,
        abi::DEVICE if session.is_cuda() => session,
        abi::DEVICE => {
            return Err(Error::usage(format!(
                "'{name}' lies in device memory and the session is on the CPU: pass host memory, or open it on a CUDA device"
            )));
        }
        other => return Err(Error::usage(format!("'{name}' lies in the unknown place {other}"))),
    };
    let aligned = given.data.cast::<f32>().is_aligned();
    let limit = i64::MAX as u64 / 4;
    let values = given.shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d)).filter(|n| (1..limit).contains(n));
    if given.data.is_null() || !aligned || values.is_none() {
        return Err(Error::usage(format!(
            "'{name}' has no values, or none that could be read: shape {:?}",
            given.shape
        )));
    }
    let [n, c, h, w] = given.shape.map(|d| d as i64);
    let strides = match given.layout {
        abi::NCHW => [c * h * w, h * w, w, 1],
        abi::NHWC => [c * h * w, 1, w * c, c],
        other => return Err(Error::usage(format!("'{name}' has the unknown layout {other}"))),
    };
    // SAFETY: the caller's.
    Ok(unsafe { Tensor::from_blob(given.data.cast(), &[n, c, h, w], &strides, Kind::Float, device) })
}

/// The caller's tensors by name.
///
/// # Safety
/// The interface's contract.
unsafe fn tensors<'a>(first: *const abi::Tensor, count: usize) -> Result<Vec<(&'a str, &'a abi::Tensor)>> {
    // SAFETY: the caller's; the first one states the size of all.
    unsafe {
        if count == 0 {
            return Ok(Vec::new());
        }
        given(first, "tensors")?;
        let all = std::slice::from_raw_parts(first, count).iter();
        all.map(|t| Ok((string(t.name, "name of a tensor")?.unwrap_or(""), t))).collect()
    }
}

unsafe extern "C" fn reference(
    session: *mut abi::Session,
    inputs: *const abi::Tensor,
    count: usize,
    stream: *mut c_void,
    out: *mut *mut abi::Reference,
) -> abi::Status {
    guard(|| {
        // SAFETY: the interface's contract.
        let (session, inputs, out) =
            unsafe { (session.cast::<SessionHandle>().as_ref(), tensors(inputs, count)?, out.as_mut()) };
        let missing = || Error::Usage("the caller has no session, or no place for the reference".into());
        let (session, out) = session.zip(out).ok_or_else(missing)?;
        let [("reference", input)] = inputs[..] else {
            return Err(Error::Usage("a reference has one input, 'reference'".into()));
        };
        let locked = session.lock();
        // SAFETY: the tensor goes when this call returns; what is kept is a copy. The stream lives as long.
        let (input, _on_stream) =
            unsafe { (blob(input, "reference", locked.device())?, OnStream::enter(stream, locked.device())?) };
        let reference = locked.reference(&input)?;
        drop(locked);
        let handle = ReferenceHandle { session: session.clone(), reference: Mutex::new(reference) };
        *out = Box::into_raw(Box::new(handle)).cast();
        Ok(())
    })
}

unsafe extern "C" fn render(
    reference: *mut abi::Reference,
    inputs: *const abi::Tensor,
    input_count: usize,
    outputs: *const abi::Tensor,
    output_count: usize,
    stream: *mut c_void,
    report: *mut abi::Report,
) -> abi::Status {
    guard(|| {
        // SAFETY: the interface's contract.
        let (handle, inputs, outputs, report) = unsafe {
            (
                reference.cast::<ReferenceHandle>().as_ref(),
                tensors(inputs, input_count)?,
                tensors(outputs, output_count)?,
                given_mut(report, "report")?,
            )
        };
        let handle = handle.ok_or_else(|| Error::Usage("the caller has no reference".into()))?;
        let mut session = handle.session.lock();
        let device = session.device();
        // SAFETY: the interface's contract.
        let _on_stream = unsafe { OnStream::enter(stream, device) }?;
        let (mut pncc, mut mesh, mut audio, mut prior) = (None, None, None, None);
        for (name, input) in inputs {
            let place = match name {
                "pncc" => &mut pncc,
                "mesh" => &mut mesh,
                "audio" => &mut audio,
                "prior" => &mut prior,
                other => return Err(Error::usage(format!("this engine knows no input '{other}'"))),
            };
            // SAFETY: the tensor goes when this call returns.
            *place = Some(unsafe { blob(input, name, device) }?);
        }
        let pose = match (&pncc, &mesh) {
            (Some(pncc), None) => Pose::Pncc(pncc),
            (None, Some(mesh)) => Pose::Meshes(mesh),
            (None, None) => return Err(Error::Usage("the input 'pncc' is missing, or 'mesh' in its place".into())),
            _ => return Err(Error::Usage("the inputs 'pncc' and 'mesh' say the same: pass one of them".into())),
        };
        let frame = session.render(&mut handle.reference.lock(), pose, audio.as_ref(), prior.as_ref())?;
        for (name, output) in outputs {
            let computed = match name {
                "image" => &frame.output.image,
                "flow" => &frame.output.flow,
                "mask" => &frame.output.mask,
                "warped" => &frame.output.warped,
                other => return Err(Error::usage(format!("this engine knows no output '{other}'"))),
            };
            // SAFETY: as above.
            let mut target = unsafe { blob(output, name, device) }?;
            if computed.0.size() != target.size() {
                let (want, have) = (computed.0.size(), target.size());
                return Err(Error::usage(format!(
                    "the output '{name}' has the shape {want:?}; there is room for {have:?}"
                )));
            }
            target.copy_(&computed.0);
            if stream.is_null() {
                settle(&target);
            }
        }
        report.repeated = u32::from(frame.repeated);
        Ok(())
    })
}

unsafe extern "C" fn topology(
    reference: *mut abi::Reference,
    triangles: *const u32,
    triangle_count: usize,
    codes: *const f32,
    vertex_count: usize,
) -> abi::Status {
    guard(|| {
        // SAFETY: the interface's contract.
        let handle = unsafe { reference.cast::<ReferenceHandle>().as_ref() };
        let handle = handle.ok_or_else(|| Error::Usage("the caller has no reference".into()))?;
        if triangles.is_null() || codes.is_null() {
            return Err(Error::Usage("the caller has no triangles, or no codes".into()));
        }
        // SAFETY: the interface's contract: three values each.
        let (triangles, codes) = unsafe {
            (
                std::slice::from_raw_parts(triangles.cast::<[u32; 3]>(), triangle_count),
                std::slice::from_raw_parts(codes.cast::<[f32; 3]>(), vertex_count),
            )
        };
        let _session = handle.session.lock();
        handle.reference.lock().set_topology(triangles, codes)
    })
}

unsafe extern "C" fn release(reference: *mut abi::Reference) {
    guard(|| {
        if !reference.is_null() {
            // SAFETY: it was made by `reference` and is released once.
            drop(unsafe { Box::from_raw(reference.cast::<ReferenceHandle>()) });
        }
        Ok(())
    });
}

unsafe extern "C" fn close(session: *mut abi::Session) {
    guard(|| {
        if !session.is_null() {
            // SAFETY: it was made by `open` and is closed once.
            drop(unsafe { Box::from_raw(session.cast::<SessionHandle>()) });
        }
        Ok(())
    });
}

unsafe extern "C" fn last_error() -> *const c_char {
    LAST_ERROR.with_borrow(|text| text.as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ptr::{null, null_mut};

    /// What the last call of this thread said.
    fn said() -> String {
        // SAFETY: it ends with a zero byte and lives until the next call.
        unsafe { CStr::from_ptr(last_error()) }.to_str().unwrap().to_owned()
    }

    fn tensor(data: &mut [f32; 16], name: &CStr, place: u32) -> abi::Tensor {
        abi::Tensor {
            size: size_of::<abi::Tensor>(),
            name: name.as_ptr(),
            data: data.as_mut_ptr().cast(),
            shape: [1, 1, 4, 4],
            layout: abi::NCHW,
            place,
        }
    }

    #[test]
    fn panics_and_exceptions_end_here() {
        assert_eq!(guard(|| panic!("a loud bang")), 6);
        assert!(said().contains("a loud bang"), "{}", said());
        // libtorch's own, with the stack that it appends.
        let exception = || {
            let _ = Tensor::from_slice(&[1f32, 2.0]).reshape([3]);
            Ok(())
        };
        assert_eq!(guard(exception), 6);
        let text = said();
        assert!(text.contains("shape '[3]' is invalid") && !text.contains('\n') && text.len() < 300, "{text}");
        assert_eq!(guard(|| Err(Error::Model("no".into()))), 4);
        assert_eq!(guard(|| Ok(())), 0);
    }

    #[test]
    fn memory_that_runs_out_is_told_apart() {
        let text = |t: &str| of_panic(&t.to_owned()).to_string();
        let out = "called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate\\nException raised from";
        assert!(text(out).contains("fp16") && !text(out).contains("raised from"), "{}", text(out));
        assert!(text("no kernel").contains("headgan doctor"));
    }

    /// Null pointers, short structures, device memory where there is no device: refused with a message, nothing is read.
    #[test]
    fn what_cannot_be_used_is_refused() {
        let mut values = [1.0; 16];
        // SAFETY: every pointer is null or to what it should be to.
        unsafe {
            assert_eq!(build(null_mut()), 2);
            let mut short = abi::Build { size: 4, version: null(), framework: null(), devices: 0, no_cuda: null() };
            assert_eq!(build(&mut short), 2);
            assert!(said().contains("too short"), "{}", said());
            assert_eq!(open(null(), null_mut()), 2);
            assert_eq!(reference(null_mut(), null(), 0, null_mut(), null_mut()), 2);
            assert_eq!(render(null_mut(), null(), 0, null(), 0, null_mut(), null_mut()), 2);
            close(null_mut());
            release(null_mut());
            assert_eq!(topology(null_mut(), null(), 0, null(), 0), 2);
            let mut blob =
                |place| blob(&tensor(&mut values, c"pncc", place), "pncc", Device::Cpu).map(drop).unwrap_err();
            let (device, unknown) = (blob(abi::DEVICE), blob(7));
            assert!(device.exit_code() == 2 && device.to_string().contains("'pncc' lies in device memory"), "{device}");
            assert!(unknown.exit_code() == 2 && unknown.to_string().contains("place 7"), "{unknown}");
        }
    }

    #[test]
    fn shapes_that_cannot_be_are_refused() {
        let mut values = [1.0; 16];
        let good = tensor(&mut values, c"x", abi::HOST);
        for shape in [[0, 1, 4, 4], [u64::MAX, 2, 4, 4], [1 << 40, 1 << 40, 1, 1]] {
            // SAFETY: refused before anything is read.
            let refused = unsafe { blob(&abi::Tensor { shape, ..good }, "x", Device::Cpu) };
            assert!(refused.is_err(), "{shape:?}");
        }
        // SAFETY: 16 values are there.
        unsafe {
            assert!(blob(&abi::Tensor { data: null_mut(), ..good }, "x", Device::Cpu).is_err());
            assert!(blob(&abi::Tensor { layout: 7, ..good }, "x", Device::Cpu).is_err());
            assert_eq!(blob(&good, "x", Device::Cpu).unwrap().size(), [1, 1, 4, 4]);
        }
    }

    /// With a CUDA device: inputs and output in its memory, on a stream of the caller's, equal those in host memory.
    #[test]
    fn device_memory_on_a_stream() {
        use headgan::engine::shape;
        use headgan::nets::generator::{self, Config};
        use headgan::testing::{Rng, random_weights};
        if !tch::Cuda::is_available() {
            eprintln!("skipped: there is no CUDA device");
            return;
        }
        const SIDE: usize = 48;
        let config = Config { ngf: 4, spade: 24, audio: 0, ..Config::default() };
        let layers = shape::layers(|ops| {
            let reference = generator::reference(ops, &config, &[1, 6, SIDE, SIDE]);
            generator::forward(ops, &config, &reference, &[1, 9, SIDE, SIDE], None, None);
        });
        let bytes = headgan::weights::safetensors::to_bytes(&random_weights(&layers, 5)).unwrap();
        let options = abi::Options {
            size: size_of::<abi::Options>(),
            path: null(),
            bytes: bytes.as_ptr(),
            length: bytes.len(),
            checksum: null(),
            device: abi::CUDA,
            index: 0,
            precision: abi::FP32,
            threads: 0,
            memory: 0,
        };
        type StreamCreate = unsafe extern "C" fn(*mut *mut c_void, u32) -> i32;
        type StreamSynchronize = unsafe extern "C" fn(*mut c_void) -> i32;
        let device = Device::Cuda(0);
        let values = |c: usize, seed: u64| {
            Tensor::from_slice(&Rng(seed).vec(c * SIDE * SIDE)).reshape([1, c as i64, SIDE as i64, SIDE as i64])
        };
        let side = SIDE as u64;
        let described = |tensor: &Tensor, name: &CStr, channels: u64| abi::Tensor {
            size: size_of::<abi::Tensor>(),
            name: name.as_ptr(),
            data: tensor.data_ptr(),
            shape: [1, channels, side, side],
            layout: abi::NCHW,
            place: if tensor.device().is_cuda() { abi::DEVICE } else { abi::HOST },
        };
        // SAFETY: the driver's functions are those of its header; tensors outlive the calls.
        unsafe {
            let driver = libloading::Library::new(if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" }).unwrap();
            let (mut session, mut stream) = (null_mut(), null_mut());
            // Which makes the device's context this thread's.
            assert_eq!(open(&options, &mut session), 0, "{}", said());
            // 1: not ordered with the default stream.
            assert_eq!(driver.get::<StreamCreate>("cuStreamCreate").unwrap()(&mut stream, 1), 0);
            let paint = |input: &Tensor, pncc: &Tensor, image: &Tensor, stream: *mut c_void| {
                let mut handle = null_mut();
                let given = described(input, c"reference", 6);
                assert_eq!(reference(session, &given, 1, stream, &mut handle), 0, "{}", said());
                // What was given may go.
                let _ = input.shallow_clone().fill_(9.0);
                let (pncc, image) = (described(pncc, c"pncc", 9), described(image, c"image", 3));
                let mut report = abi::Report { size: size_of::<abi::Report>(), repeated: 0 };
                assert_eq!(render(handle, &pncc, 1, &image, 1, stream, &mut report), 0, "{}", said());
                release(handle);
            };
            let room = || Tensor::zeros([1, 3, side as i64, side as i64], (Kind::Float, Device::Cpu));
            let (host, on_device) = (room(), room().to_device(device));
            let (input, pncc) = (values(6, 1), values(9, 2));
            let (input_there, pncc_there) = (input.to_device(device), pncc.to_device(device));
            paint(&input, &pncc, &host, null_mut());
            let (input, pncc) = (input_there, pncc_there);
            tch::Cuda::synchronize(0);
            paint(&input, &pncc, &on_device, stream);
            assert_eq!(driver.get::<StreamSynchronize>("cuStreamSynchronize").unwrap()(stream), 0);
            let apart = (on_device.to_device(Device::Cpu) - host).abs().max().double_value(&[]);
            assert!(apart < 1e-4, "{apart}");
            close(session);
        }
    }
}
