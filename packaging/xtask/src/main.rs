//! `cargo run -p xtask -- tarball`: the program with presets, documents and licences, for other machines.

mod conformance;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("conformance") {
        return conformance::run(std::env::args_os().skip(2));
    }
    let result = match std::env::args().nth(1).as_deref() {
        Some("tarball") => tarball(),
        _ => Err("usage: cargo run -p xtask -- tarball".into()),
    };
    match result {
        Ok(path) => {
            println!("{}", path.display());
            ExitCode::SUCCESS
        }
        Err(text) => {
            eprintln!("xtask: {text}");
            ExitCode::from(2)
        }
    }
}

/// Builds and packs `target/headgan-VERSION-ARCH-OS.tar.gz`.
fn tarball() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(|e| e.to_string())?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--bin", "headgan"]).current_dir(&root).status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("the program does not build; see above".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = format!("headgan{}", std::env::consts::EXE_SUFFIX);
    let os = std::env::consts::OS;
    let name = format!("headgan-{}-{}-{os}", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH);
    let path = target.join(format!("{name}.tar.gz"));
    let say = |what: &Path, e: std::io::Error| format!("{}: {e}", what.display());
    let file = File::create(&path).map_err(|e| say(&path, e))?;
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(file, flate2::Compression::best()));
    let binary = target.join("release").join(&program);
    archive.append_path_with_name(&binary, format!("{name}/{program}")).map_err(|e| say(&binary, e))?;
    for part in ["README.md", "LICENSE", "LICENSE-MIT", "LICENSE-APACHE"] {
        let from = root.join(part);
        archive.append_path_with_name(&from, format!("{name}/{part}")).map_err(|e| say(&from, e))?;
    }
    for folder in ["docs", "presets", "models"] {
        let from = root.join(folder);
        if fs::metadata(&from).is_ok() {
            archive.append_dir_all(format!("{name}/{folder}"), &from).map_err(|e| say(&from, e))?;
        }
    }
    archive.into_inner().and_then(|gz| gz.finish()).map_err(|e| say(&path, e))?;
    Ok(path)
}
