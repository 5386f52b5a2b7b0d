//! `cargo xtask conformance --level N [--seed S] [--source DIR] [--reference FILE] [BUNDLE]`: tests an OpenFX bundle
//! with the conformance host (tests/hosts/conformance), by default the one that `cargo xtask bundle` makes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Builds the host and hands over to it; its exit code is the verb's.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = here.ancestors().nth(2).unwrap_or(here).to_owned();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = ["build", "--release", "--quiet", "-p", "ofx-conformance"];
    if !Command::new(cargo).args(build).current_dir(&root).status().is_ok_and(|s| s.success()) {
        eprintln!("xtask: the conformance host does not build; see above");
        return ExitCode::from(2);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let program = target.join("release").join(format!("ofx-conformance{}", std::env::consts::EXE_SUFFIX));
    let bundle = target.join("bundle/HeadGANReenact.ofx.bundle");
    match Command::new(&program).arg("--default-bundle").arg(bundle).args(args).status() {
        Ok(status) => ExitCode::from(status.code().map_or(1, |c| c as u8)),
        Err(e) => {
            eprintln!("xtask: {}: {e}", program.display());
            ExitCode::from(2)
        }
    }
}
