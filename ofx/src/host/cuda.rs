//! Pictures in a CUDA device's memory (OpenFX's GPU render, `ofxGPURender.h`): copied to the host's memory and back on the stream
//! that the host renders on. No other stream is waited for, and nothing is
//! computed on the device.
//!
//! The driver's library is loaded when it is first needed. Copies are made in the stream's context, or the picture's where the stream is
//! the default one: no host promises that either is current on the thread that renders.

use super::properties::Properties;
use headgan::{Error, Result};
use libloading::Library;
use std::ffi::{CStr, c_void};
use std::sync::OnceLock;

/// `kOfxImageEffectPropCudaRenderSupported`
pub const SUPPORTED: &CStr = c"OfxImageEffectPropCudaRenderSupported";
/// `kOfxImageEffectPropCudaStreamSupported`
pub const STREAM_SUPPORTED: &CStr = c"OfxImageEffectPropCudaStreamSupported";
/// `kOfxImageEffectPropCudaEnabled`
const ENABLED: &CStr = c"OfxImageEffectPropCudaEnabled";
/// `kOfxImageEffectPropCudaStream`
const STREAM: &CStr = c"OfxImageEffectPropCudaStream";

/// `kOfxStatGPURenderFailed`: a host may try the frame again with pictures in its own memory.
pub const RENDER_FAILED: i32 = 1002;

/// Set to 1, the plugin offers hosts to take CUDA pictures.
pub const SWITCH: &str = "HEADGAN_CUDA_IMAGES";

/// A stream of a host's (`cudaStream_t`; null is the default one).
#[derive(Debug, Clone, Copy)]
pub struct Stream(*mut c_void);

impl Stream {
    /// The stream of an action whose pictures lie in a device's memory; `None` where they lie in the host's.
    pub fn from_args(args: Properties) -> Option<Stream> {
        let enabled = args.int(ENABLED, 0) == Some(1);
        enabled.then(|| Stream(args.pointer(STREAM, 0).unwrap_or(std::ptr::null_mut()).cast()))
    }

    /// Copies `to.len()` bytes from the device's memory.
    ///
    /// # Errors
    /// `Engine` where there is no driver, or it refuses.
    ///
    /// # Safety
    /// As many bytes must be there.
    pub unsafe fn fetch(self, from: *const u8, to: &mut [u8]) -> Result<()> {
        let driver = driver()?;
        let _context = driver.enter(self.0, from as u64)?;
        // SAFETY: the caller's; the copy is complete before the slice can go.
        unsafe {
            driver.check((driver.fetch)(to.as_mut_ptr().cast(), from as u64, to.len(), self.0), "is not read")?;
            driver.check((driver.synchronize)(self.0), "is not read")
        }
    }

    /// Copies pieces to the device's memory.
    ///
    /// # Errors
    /// As [`Stream::fetch`].
    ///
    /// # Safety
    /// There must be room for each piece where it is to go.
    pub unsafe fn store<'a>(self, pieces: impl Iterator<Item = (&'a [u8], *mut u8)>) -> Result<()> {
        let driver = driver()?;
        let mut context = None;
        for (from, to) in pieces {
            if context.is_none() {
                context = Some(driver.enter(self.0, to as u64)?);
            }
            // SAFETY: as above; nothing goes before the stream has got there.
            let status = unsafe { (driver.store)(to as u64, from.as_ptr().cast(), from.len(), self.0) };
            driver.check(status, "is not written")?;
        }
        // SAFETY: the driver's function.
        driver.check(unsafe { (driver.synchronize)(self.0) }, "is not written")
    }
}

/// Whether hosts are offered to hand over CUDA pictures: it was asked for, and the driver is there.
pub fn is_offered() -> bool {
    std::env::var_os(SWITCH).is_some_and(|v| v == "1") && driver().is_ok()
}

/// The driver's functions, as `cuda.h` has them.
struct Driver {
    /// `cuMemcpyDtoHAsync_v2`
    fetch: unsafe extern "C" fn(*mut c_void, u64, usize, *mut c_void) -> i32,
    /// `cuMemcpyHtoDAsync_v2`
    store: unsafe extern "C" fn(u64, *const c_void, usize, *mut c_void) -> i32,
    /// `cuStreamSynchronize`
    synchronize: unsafe extern "C" fn(*mut c_void) -> i32,
    /// `cuStreamGetCtx`
    of_stream: unsafe extern "C" fn(*mut c_void, *mut *mut c_void) -> i32,
    /// `cuPointerGetAttribute`
    of_pointer: unsafe extern "C" fn(*mut *mut c_void, u32, u64) -> i32,
    /// `cuCtxPushCurrent_v2`
    push: unsafe extern "C" fn(*mut c_void) -> i32,
    /// `cuCtxPopCurrent_v2`
    pop: unsafe extern "C" fn(*mut *mut c_void) -> i32,
}

/// `CU_POINTER_ATTRIBUTE_CONTEXT`
const CONTEXT: u32 = 1;

/// A context that is current on this thread while this lives.
struct Current(&'static Driver);

impl Drop for Current {
    fn drop(&mut self) {
        let mut context = std::ptr::null_mut();
        // SAFETY: the driver's function; a context was pushed.
        unsafe { (self.0.pop)(&mut context) };
    }
}

impl Driver {
    fn load() -> std::result::Result<Driver, libloading::Error> {
        let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
        // SAFETY: the driver's library and the types of its functions.
        unsafe {
            let library = Library::new(name)?;
            let driver = Driver {
                fetch: *library.get("cuMemcpyDtoHAsync_v2")?,
                store: *library.get("cuMemcpyHtoDAsync_v2")?,
                synchronize: *library.get("cuStreamSynchronize")?,
                of_stream: *library.get("cuStreamGetCtx")?,
                of_pointer: *library.get("cuPointerGetAttribute")?,
                push: *library.get("cuCtxPushCurrent_v2")?,
                pop: *library.get("cuCtxPopCurrent_v2")?,
            };
            // Hosts that render with CUDA keep it loaded as well.
            std::mem::forget(library);
            Ok(driver)
        }
    }

    /// Makes the context current that a stream, or else a pointer, belongs to.
    fn enter(&'static self, stream: *mut c_void, pointer: u64) -> Result<Current> {
        let mut context = std::ptr::null_mut();
        // SAFETY: the driver's functions; it says whether it knows the pointer.
        let status = unsafe {
            match stream.is_null() {
                false => (self.of_stream)(stream, &mut context),
                true => (self.of_pointer)(&mut context, CONTEXT, pointer),
            }
        };
        self.check(status, "belongs to no context")?;
        // SAFETY: as above.
        self.check(unsafe { (self.push)(context) }, "is in a context that cannot be entered")?;
        Ok(Current(self))
    }

    fn check(&self, status: i32, what: &str) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        Err(Error::engine(format!(
            "a picture in CUDA memory {what} (driver error {status}): render on the CPU, or unset {SWITCH}"
        )))
    }
}

fn driver() -> Result<&'static Driver> {
    static DRIVER: OnceLock<std::result::Result<Driver, String>> = OnceLock::new();
    let found = DRIVER.get_or_init(|| Driver::load().map_err(|e| e.to_string()));
    found.as_ref().map_err(|e| Error::engine(format!("the CUDA driver cannot be used ({e}): render on the CPU")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The driver itself, where there is one: copies out and back, on a stream and on the default one, while no context is current.
    #[test]
    fn the_driver_copies_from_any_thread() {
        type Init = unsafe extern "C" fn(u32) -> i32;
        type Retain = unsafe extern "C" fn(*mut *mut c_void, i32) -> i32;
        type SetCurrent = unsafe extern "C" fn(*mut c_void) -> i32;
        type Alloc = unsafe extern "C" fn(*mut u64, usize) -> i32;
        type StreamCreate = unsafe extern "C" fn(*mut *mut c_void, u32) -> i32;
        // SAFETY: the driver's library and the types of its functions, as cuda.h has them.
        unsafe {
            let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
            let Ok(library) = Library::new(name) else {
                eprintln!("skipped: there is no CUDA driver");
                return;
            };
            if library.get::<Init>("cuInit").unwrap()(0) != 0 {
                eprintln!("skipped: there is no CUDA device");
                return;
            }
            let (mut context, mut stream, mut memory) = (std::ptr::null_mut(), std::ptr::null_mut(), 0u64);
            assert_eq!(library.get::<Retain>("cuDevicePrimaryCtxRetain").unwrap()(&mut context, 0), 0);
            let set_current = library.get::<SetCurrent>("cuCtxSetCurrent").unwrap();
            assert_eq!(set_current(context), 0);
            assert_eq!(library.get::<Alloc>("cuMemAlloc_v2").unwrap()(&mut memory, 4096), 0);
            assert_eq!(library.get::<StreamCreate>("cuStreamCreate").unwrap()(&mut stream, 1), 0);
            assert_eq!(set_current(std::ptr::null_mut()), 0);
            let bytes: Vec<u8> = (0..4096u32).map(|i| (i * 7 % 251) as u8).collect();
            for (on, shift) in [(Stream(stream), 0u8), (Stream(std::ptr::null_mut()), 3)] {
                let bytes: Vec<u8> = bytes.iter().map(|v| v ^ shift).collect();
                let (a, b) = bytes.split_at(1000);
                let at = memory as *mut u8;
                on.store([(a, at), (b, at.add(1000))].into_iter()).unwrap();
                let mut back = vec![0; 4096];
                on.fetch(at, &mut back).unwrap();
                assert!(back == bytes);
            }
            let refused = Stream(std::ptr::null_mut()).fetch(std::ptr::dangling(), &mut [0; 8]).unwrap_err();
            assert!(refused.to_string().contains("belongs to no context"), "{refused}");
            std::mem::forget(library);
        }
    }
}
