//! A caller's CUDA stream as the one that libtorch works on.
//!
//! tch knows no streams. libtorch's C interface does (`torch/csrc/inductor/aoti_torch/c/shim.h`), in its CUDA library, which is in
//! the process wherever there is a CUDA device.

use headgan::{Error, Result};
use libloading::Library;
use std::ffi::c_void;
use std::sync::OnceLock;
use tch::Device;

/// `aoti_torch_create_cuda_stream_guard(cudaStream_t, device, guard *)`
type Create = unsafe extern "C" fn(*mut c_void, i32, *mut *mut c_void) -> i32;
/// `aoti_torch_delete_cuda_stream_guard(guard)`
type Delete = unsafe extern "C" fn(*mut c_void) -> i32;

/// While it lives, this thread's work on the device goes onto the caller's stream.
#[derive(Debug)]
pub struct OnStream {
    guard: *mut c_void,
    delete: Delete,
}

impl OnStream {
    /// Onto `stream` (a `cudaStream_t` of `device`); `None` where it is null: work goes where it always goes.
    ///
    /// # Errors
    /// [`Error::Usage`] for a session on the CPU; [`Error::Engine`] where libtorch has no CUDA library or refuses.
    ///
    /// # Safety
    /// `stream` is null, or a stream of this process that lives as long as what is returned.
    pub unsafe fn enter(stream: *mut c_void, device: Device) -> Result<Option<OnStream>> {
        if stream.is_null() {
            return Ok(None);
        }
        let Device::Cuda(index) = device else {
            return Err(Error::Usage(
                "a CUDA stream was given to a session on the CPU: pass none, or open the session on a CUDA device"
                    .into(),
            ));
        };
        let (create, delete) = functions()?;
        let mut guard = std::ptr::null_mut();
        // SAFETY: the caller's; the place for the guard is there.
        let status = unsafe { create(stream, index as i32, &mut guard) };
        if status != 0 || guard.is_null() {
            return Err(Error::engine(format!(
                "libtorch does not work on the caller's stream of CUDA device {index} (status {status}): pass none"
            )));
        }
        Ok(Some(OnStream { guard, delete }))
    }
}

impl Drop for OnStream {
    fn drop(&mut self) {
        // SAFETY: it was created, and is deleted once.
        unsafe { (self.delete)(self.guard) };
    }
}

fn functions() -> Result<(Create, Delete)> {
    static FOUND: OnceLock<std::result::Result<(Create, Delete), String>> = OnceLock::new();
    let find = || {
        let name = libloading::library_filename("torch_cuda");
        // SAFETY: the library that libtorch has loaded long ago; its symbols' types are those of its header.
        unsafe {
            let library = Library::new(&name).map_err(|e| e.to_string())?;
            let create = *library.get::<Create>("aoti_torch_create_cuda_stream_guard").map_err(|e| e.to_string())?;
            let delete = *library.get::<Delete>("aoti_torch_delete_cuda_stream_guard").map_err(|e| e.to_string())?;
            // It stays, as libtorch does.
            std::mem::forget(library);
            Ok((create, delete))
        }
    };
    FOUND.get_or_init(find).clone().map_err(|e| {
        let line = e.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::engine(format!(
            "this libtorch has no CUDA streams ({line}): install the one with CUDA, or pass no stream"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_belong_to_cuda_devices() {
        // SAFETY: null, and refused before the stream is looked at.
        let enter = |stream: *mut c_void, device| unsafe { OnStream::enter(stream, device) };
        assert!(enter(std::ptr::null_mut(), Device::Cpu).unwrap().is_none());
        assert!(enter(std::ptr::null_mut(), Device::Cuda(0)).unwrap().is_none());
        let stream = std::ptr::dangling_mut::<c_void>();
        let refused = enter(stream, Device::Cpu).unwrap_err();
        assert!(refused.exit_code() == 2 && refused.to_string().contains("on the CPU"), "{refused}");
        if !tch::utils::has_cuda() {
            let missing = functions().map(drop).unwrap_err();
            assert!(missing.exit_code() == 6 && missing.to_string().contains("no CUDA streams"), "{missing}");
        }
    }
}
