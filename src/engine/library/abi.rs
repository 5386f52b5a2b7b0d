//! The C interface between the program and an engine library, version [`VERSION`].
//!
//! A library exports two functions: [`VERSION_SYMBOL`] returns the version of the interface that it was built for, and
//! [`TABLE_SYMBOL`] a [`Table`] of its functions that lives as long as the process, because engine libraries are never
//! unloaded. The version comes first: nothing else is read of a library of another one.
//!
//! Every function that can fail returns a [`Status`]; what went wrong is then [`Table::last_error`], one line. Neither a panic
//! nor a C++ exception leaves a library. Sessions and references may be used from any thread; calls on one session run one
//! after the other.
//!
//! Structures grow at their end without a new version: the caller states their size, and a library reads no further.

use std::ffi::{c_char, c_void};

/// Changes when a caller and a library that differ in it could not understand each other.
pub const VERSION: u32 = 2;
/// `u32 headgan_engine_version(void)`
pub const VERSION_SYMBOL: &str = "headgan_engine_version";
/// `const Table *headgan_engine(void)`
pub const TABLE_SYMBOL: &str = "headgan_engine";

/// Gives the version of this interface.
pub type VersionFn = unsafe extern "C" fn() -> u32;
/// Gives the library's functions.
pub type TableFn = unsafe extern "C" fn() -> *const Table;

/// 0, or the exit code of the [`Error`](crate::Error) that happened.
pub type Status = i32;

/// A generator that was opened. Opaque.
#[repr(C)]
pub struct Session {
    _private: [u8; 0],
}

/// A reference that a session has seen. Opaque; it keeps its session alive.
#[repr(C)]
pub struct Reference {
    _private: [u8; 0],
}

/// The functions of a library.
#[repr(C)]
pub struct Table {
    /// Of this structure, in bytes.
    pub size: usize,
    /// What the library is.
    pub build: unsafe extern "C" fn(out: *mut Build) -> Status,
    /// Describes device `index` of [`Build::devices`].
    pub device: unsafe extern "C" fn(index: u32, out: *mut Device) -> Status,
    /// Opens a generator.
    pub open: unsafe extern "C" fn(options: *const Options, out: *mut *mut Session) -> Status,
    /// Encodes a reference. Input `reference`: PNCC (0..1) and RGB (-1..1), 1 x 6 x h x w. `stream`: see [`Table::render`].
    pub reference: unsafe extern "C" fn(
        session: *mut Session,
        inputs: *const Tensor,
        count: usize,
        stream: *mut c_void,
        out: *mut *mut Reference,
    ) -> Status,
    /// Computes frames. Inputs: `pncc`, n x 3 frames x h x w, or in its place `mesh`, posed meshes in the crop's pixels whose PNCC
    /// the engine renders, n x frames x vertices x 3 (see [`Table::topology`]); and those that the generator has besides: `audio`,
    /// n x length x 1 x 1, `prior`, n x 2 x h x w. Outputs, any of them: `image`, n x 3 x h x w; `flow`, n x 2 x h x w; `mask`, n x 1 x h x w; `warped`, n x 3 x h x w.
    /// They are complete when the call returns, unless `stream` (a `cudaStream_t` of the session's device; null: none) and device
    /// memory are given: then when what was put on the stream before is done. The call itself returns when the network is
    /// computed, so a stream must not wait for what its caller does later. Inputs in device memory must be complete, or be so when
    /// the stream gets there; memory and stream belong to the device's primary context.
    pub render: unsafe extern "C" fn(
        reference: *mut Reference,
        inputs: *const Tensor,
        input_count: usize,
        outputs: *const Tensor,
        output_count: usize,
        stream: *mut c_void,
        report: *mut Report,
    ) -> Status,
    /// Forgets a reference; null does nothing.
    pub release: unsafe extern "C" fn(reference: *mut Reference),
    /// Closes a session; its memory goes with its last reference. Null does nothing.
    pub close: unsafe extern "C" fn(session: *mut Session),
    /// What the last failed call of this thread has to say; valid until the thread's next call.
    pub last_error: unsafe extern "C" fn() -> *const c_char,
    /// Tells a reference the head that `mesh` poses: triangles, 3 vertices each, and for every vertex its coordinate code, 3 values 0..1.
    /// In host memory; copied.
    pub topology: unsafe extern "C" fn(
        reference: *mut Reference,
        triangles: *const u32,
        triangle_count: usize,
        codes: *const f32,
        vertex_count: usize,
    ) -> Status,
}

/// What a library is. Strings live as long as the process.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// Of this structure, in bytes; set by the caller.
    pub size: usize,
    /// The engine's version.
    pub version: *const c_char,
    /// The framework that it was built with and its version, such as `libtorch 2.11.0`.
    pub framework: *const c_char,
    /// Devices that can be used; the CPU is the first.
    pub devices: u32,
    /// Why no CUDA device can be used, or null where one can.
    pub no_cuda: *const c_char,
}

/// A device.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Device {
    /// Of this structure, in bytes; set by the caller.
    pub size: usize,
    /// [`CPU`] or [`CUDA`].
    pub kind: u32,
    /// Among those of its kind.
    pub index: u32,
    /// Ends with a zero byte.
    pub name: [c_char; 128],
    /// Bytes of memory; 0: not known.
    pub memory: u64,
}

/// [`Device::kind`], [`Options::device`].
pub const CPU: u32 = 0;
/// [`Device::kind`], [`Options::device`].
pub const CUDA: u32 = 1;

/// [`Options::precision`]: 32-bit floats.
pub const FP32: u32 = 0;
/// 32-bit floats, whose products a CUDA device may round to 10 bits.
pub const TF32: u32 = 1;
/// 16-bit floats.
pub const FP16: u32 = 2;
/// 16-bit floats with the range of 32-bit ones.
pub const BF16: u32 = 3;

/// How to open a generator.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Of this structure, in bytes.
    pub size: usize,
    /// A safetensors file (UTF-8), or null.
    pub path: *const c_char,
    /// Where `path` is null: the contents of one; they may go when the call returns.
    pub bytes: *const u8,
    /// Number of the bytes.
    pub length: usize,
    /// The blake3 checksum that the file must have, 64 digits, or null.
    pub checksum: *const c_char,
    /// The kind of device, as a number.
    pub device: u32,
    /// Among those of its kind.
    pub index: u32,
    /// The precision, as a number.
    pub precision: u32,
    /// Threads on the CPU; 0: all cores.
    pub threads: u32,
    /// Bytes that weights and frames may take together; 0: no limit.
    pub memory: u64,
}

/// A named tensor of the caller's.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Tensor {
    /// Of this structure, in bytes.
    pub size: usize,
    /// A string that ends with a zero.
    pub name: *const c_char,
    /// 32-bit floats; written to where the tensor is an output.
    pub data: *mut c_void,
    /// n, c, h, w whatever the layout is.
    pub shape: [u64; 4],
    /// [`NCHW`] or [`NHWC`].
    pub layout: u32,
    /// [`HOST`] or [`DEVICE`].
    pub place: u32,
}

/// [`Tensor::layout`]: planes.
pub const NCHW: u32 = 0;
/// [`Tensor::layout`]: pixels, as this project's engine has them.
pub const NHWC: u32 = 1;
/// [`Tensor::place`]: the process's memory.
pub const HOST: u32 = 0;
/// [`Tensor::place`]: the memory of the session's CUDA device.
pub const DEVICE: u32 = 1;

/// What happened while a frame was computed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Report {
    /// Of this structure, in bytes; set by the caller.
    pub size: usize,
    /// 1 where the frame was not a number somewhere in the session's precision and was computed again in fp32.
    pub repeated: u32,
}
