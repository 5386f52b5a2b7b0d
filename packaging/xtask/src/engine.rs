//! `cargo xtask engine [--user DIR]`: builds the torch engine and puts it, with the libtorch that it needs, where the program
//! finds it.

use crate::bundle::{copy, say};
use crate::{Result, paths};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds with the libtorch of `$LIBTORCH`, or with the one for the CPU that `packaging/libtorch.sh` fetches, and installs into
/// `folder` (the user's own unless told).
pub fn install(root: &Path, folder: Option<&Path>) -> Result<PathBuf> {
    let folder = match folder {
        Some(folder) => folder.to_owned(),
        None => paths::user_data()
            .map(|data| data.join("engines"))
            .ok_or("this system names no folder for user data: say where with --user DIR")?,
    };
    let libtorch = libtorch(root)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = root.join("backends/torch/Cargo.toml");
    let built = Command::new(cargo)
        .args(["build", "--release", "-p", "headgan-torch", "--manifest-path"])
        .arg(&manifest)
        .env("LIBTORCH", &libtorch)
        .env("LIBTORCH_CXX11_ABI", std::env::var_os("LIBTORCH_CXX11_ABI").unwrap_or_else(|| "1".into()))
        .status();
    if !built.is_ok_and(|s| s.success()) {
        return Err("the engine does not build; see above".into());
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("backends/torch/target"), PathBuf::from);
    let name = format!("{}headgan_torch{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    fs::create_dir_all(&folder).map_err(|e| say(&folder, &e))?;
    for library in needed(&libtorch.join("lib"))? {
        place(&library, &folder)?;
    }
    let to = folder.join(&name);
    replace(&target.join("release").join(&name), &to)?;
    Ok(to)
}

fn libtorch(root: &Path) -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("LIBTORCH") {
        return Ok(named.into());
    }
    let script = root.join("packaging/libtorch.sh");
    let out = Command::new("bash").arg(&script).stderr(std::process::Stdio::inherit()).output();
    let out = out.map_err(|e| format!("{}: {e}: set LIBTORCH to a libtorch 2.11.0", script.display()))?;
    let path = String::from_utf8_lossy(&out.stdout).trim().to_owned();
    if !out.status.success() || path.is_empty() {
        return Err("libtorch could not be fetched, see above: set LIBTORCH to a libtorch 2.11.0".into());
    }
    Ok(path.into())
}

/// The shared libraries of a libtorch; linker scripts and static archives stay behind.
fn needed(lib: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(lib).map_err(|e| format!("{}: {e}: LIBTORCH is not a libtorch", lib.display()))?;
    let mut libraries = BTreeSet::new();
    for entry in entries {
        let path = entry.map_err(|e| say(lib, &e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let shared = name.contains(".so") || name.ends_with(".dylib") || name.ends_with(".dll");
        // libtorch_python and its kind need an interpreter. A linker script is a few bytes.
        if shared && !name.contains("python") && path.metadata().is_ok_and(|m| m.is_file() && m.len() > 1024) {
            libraries.insert(path);
        }
    }
    if libraries.is_empty() {
        return Err(format!("{}: holds no shared library: LIBTORCH is not a libtorch", lib.display()));
    }
    Ok(libraries)
}

/// Puts a library into a folder: a second name for the same file where both lie on one disk, else a copy.
fn place(library: &Path, folder: &Path) -> Result<()> {
    let to = folder.join(library.file_name().map_or_else(OsString::new, Into::into));
    let len = |p: &Path| p.metadata().map(|m| m.len()).ok();
    if len(library) == len(&to) {
        return Ok(());
    }
    let _ = fs::remove_file(&to);
    fs::hard_link(library, &to).or_else(|_| replace(library, &to))
}

/// Copies to a new file that then takes the old one's place: a running program may have that one mapped.
fn replace(from: &Path, to: &Path) -> Result<()> {
    let new = to.with_extension("new");
    copy(from, &new)?;
    fs::rename(&new, to).map_err(|e| say(to, &e))
}
