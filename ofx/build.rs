//! Keeps the plugin in memory once it was loaded: its worker threads outlive a host's unload, and must not lose their
//! code. (What is exported needs nothing: rustc gives a cdylib a version script with the `no_mangle` functions and no
//! others.)

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
