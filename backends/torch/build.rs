//! Notes which libtorch the engine is built with, and links its CUDA part where it has one.

use std::path::PathBuf;
use std::{env, fs};

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(home) = env::var_os("LIBTORCH").map(PathBuf::from) else {
        println!("cargo:warning=LIBTORCH is not set: export LIBTORCH=$(packaging/libtorch.sh) LIBTORCH_CXX11_ABI=1");
        println!("cargo:rustc-env=HEADGAN_LIBTORCH=of an unknown version");
        return;
    };
    let header = fs::read_to_string(home.join("include/torch/headeronly/version.h")).unwrap_or_default();
    let number = |name: &str| {
        let line = header.lines().find_map(|l| l.strip_prefix(&format!("#define TORCH_VERSION_{name} ")));
        line.map(|n| n.trim().to_owned())
    };
    let version = match (number("MAJOR"), number("MINOR"), number("PATCH")) {
        (Some(major), Some(minor), Some(patch)) => format!("{major}.{minor}.{patch}"),
        _ => "of an unknown version".into(),
    };
    println!("cargo:rustc-env=HEADGAN_LIBTORCH={version}");
    if cfg!(target_os = "linux") {
        // Beside the library, wherever that is.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-rpath,$ORIGIN");
        if home.join("lib/libtorch_cuda.so").exists() {
            // Nothing refers to it by name: kernels register themselves when it is loaded.
            let lib = home.join("lib");
            println!("cargo:rustc-link-arg=-L{}", lib.display());
            println!("cargo:rustc-link-arg=-Wl,--no-as-needed,-ltorch_cuda,--as-needed");
        }
    }
}
