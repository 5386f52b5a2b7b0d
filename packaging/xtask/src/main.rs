//! What is made of the project beside the program itself:
//!
//! - `cargo xtask tarball`: the program with presets, documents and licences, for other machines;
//! - `cargo xtask bundle [--glibc VERSION]` and `cargo xtask install [--user DIR]`: the OpenFX plugin ([`bundle`]);
//! - `cargo xtask engine [--user DIR]`: the torch engine ([`engine`]);
//! - `cargo xtask conformance --level N [BUNDLE]`: tests an OpenFX bundle as hosts would ([`conformance`]).

mod bundle;
mod conformance;
mod engine;
// The program looks where this puts things; building all of the library to ask it would take minutes.
#[allow(dead_code)]
#[path = "../../../src/paths.rs"]
mod paths;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("conformance") {
        return conformance::run(std::env::args_os().skip(2));
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["tarball"] => tarball(),
        ["bundle"] => root().and_then(|root| bundle::bundle(&root, &target(&root), None)),
        ["bundle", "--glibc", version] => root().and_then(|root| bundle::bundle(&root, &target(&root), Some(version))),
        ["install"] => root().and_then(|root| bundle::install(&root, &target(&root), None)),
        ["engine"] => root().and_then(|root| engine::install(&root, None)),
        ["engine", "--user", folder] => root().and_then(|root| engine::install(&root, Some(Path::new(folder)))),
        ["install", "--user", folder] => {
            root().and_then(|root| bundle::install(&root, &target(&root), Some(Path::new(folder))))
        }
        _ => {
            Err("usage: cargo xtask tarball | bundle [--glibc VERSION] | install [--user DIR] | engine [--user DIR] | \
             conformance --level N [BUNDLE]"
                .into())
        }
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

/// The repository.
fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().map_err(|e| e.to_string())
}

/// Where cargo builds.
fn target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// Builds and packs `target/headgan-VERSION-ARCH-OS.tar.gz`.
fn tarball() -> Result<PathBuf> {
    let root = root()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo).args(["build", "--release", "--bin", "headgan"]).current_dir(&root).status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("the program does not build; see above".into());
    }
    let target = target(&root);
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
