//! The devices of this machine: the CPU, and the CUDA devices that libtorch can use.

use headgan::engine::library::abi;
use std::ffi::{c_char, c_int, c_uint};
use tch::{Cuda, Device};

/// A device as the interface describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub device: Device,
    pub name: String,
    /// Bytes of memory; 0: not known.
    pub memory: u64,
}

impl Found {
    /// [`abi::CPU`] or [`abi::CUDA`], and the index among those of its kind.
    pub fn kind(&self) -> (u32, u32) {
        match self.device {
            Device::Cuda(index) => (abi::CUDA, index as u32),
            _ => (abi::CPU, 0),
        }
    }
}

/// All devices, the CPU first, and why there is no CUDA device where there is none.
pub fn find() -> (Vec<Found>, Option<String>) {
    let threads = tch::get_num_threads();
    let cpu = Found { device: Device::Cpu, name: format!("libtorch, {threads} threads"), memory: host_memory() };
    let mut devices = vec![cpu];
    if !tch::utils::has_cuda() {
        let text =
            "it was built with a libtorch for the CPU alone: build it again with LIBTORCH pointing to one with CUDA";
        return (devices, Some(text.into()));
    }
    let usable = Cuda::device_count().max(0) as usize;
    match driver(usable) {
        Ok(found) if usable > 0 => {
            devices.extend(found);
            (devices, None)
        }
        Ok(_) => (devices, Some("libtorch cannot use the driver's devices: update the NVIDIA driver".into())),
        Err(why) => (devices, Some(why)),
    }
}

/// Bytes of memory of the machine, where the system tells (Linux).
fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"));
    line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}

/// Names and memory of the first `count` devices, from the driver itself: tch tells neither. The driver numbers devices as
/// libtorch does, because both go through the same environment variables.
fn driver(count: usize) -> Result<Vec<Found>, String> {
    type Init = unsafe extern "C" fn(c_uint) -> c_int;
    type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
    type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
    type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
    let name = if cfg!(windows) { "nvcuda.dll" } else { "libcuda.so.1" };
    let missing = |e: libloading::Error| format!("the NVIDIA driver is not installed ({e})");
    // SAFETY: the driver's own library, which libtorch loads as well; the types are those of its documentation (cuda.h).
    unsafe {
        let library = libloading::Library::new(name).map_err(missing)?;
        let init = library.get::<Init>(b"cuInit\0").map_err(missing)?;
        match init(0) {
            0 => {}
            100 => return Err("the NVIDIA driver sees no device (cuInit: 100)".into()),
            code => return Err(format!("the NVIDIA driver does not start (cuInit: {code}): update it, or restart")),
        }
        let get = library.get::<Get>(b"cuDeviceGet\0").map_err(missing)?;
        let name_of = library.get::<Name>(b"cuDeviceGetName\0").map_err(missing)?;
        let memory_of = library.get::<Memory>(b"cuDeviceTotalMem_v2\0").map_err(missing)?;
        let found = (0..count).map(|index| {
            let (mut device, mut text, mut memory) = (0, [0 as c_char; 128], 0usize);
            let failed = get(&mut device, index as c_int) != 0
                || name_of(text.as_mut_ptr(), text.len() as c_int, device) != 0
                || memory_of(&mut memory, device) != 0;
            let bytes: Vec<u8> = text.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
            let name = if failed { "not described".into() } else { String::from_utf8_lossy(&bytes).into_owned() };
            Found { device: Device::Cuda(index), name, memory: memory as u64 }
        });
        let found = found.collect();
        // Unloading a driver that libtorch uses as well helps nobody.
        std::mem::forget(library);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_comes_first_and_a_missing_cuda_device_has_a_reason() {
        let (devices, why) = find();
        assert_eq!((devices[0].device, devices[0].kind()), (Device::Cpu, (abi::CPU, 0)));
        assert_eq!(devices.len() == 1, why.is_some(), "{why:?}");
    }
}
