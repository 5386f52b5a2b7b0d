//! Links libtorch's CUDA part where it has one: nothing refers to it by name, so that the linker would leave it out.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(lib) = env::var_os("LIBTORCH").map(|home| PathBuf::from(home).join("lib")) else { return };
    if cfg!(target_os = "linux") && lib.join("libtorch_cuda.so").exists() {
        println!("cargo:rustc-link-arg=-L{}", lib.display());
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
    }
}
