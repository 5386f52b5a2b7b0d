//! `cargo xtask bundle [--glibc VERSION]` and `cargo xtask install [--user DIR]`: the OpenFX plugin as hosts want to find
//! it.

use crate::{Result, paths};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "HeadGANReenact";
const IDENTIFIER: &str = "org.headgan.HeadGANReenact";

/// Builds the plugin and returns the folder that it was built into. With `glibc` (such as "2.28", the baseline of the VFX
/// Reference Platform) it runs on systems as old as that: zig's linker knows the symbols of every version.
fn build(root: &Path, target: &Path, glibc: Option<&str>) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let mut folder = target.to_owned();
    match glibc {
        None => command.args(["build", "--release", "-p", "headgan-ofx"]),
        Some(version) => {
            let has = Command::new("cargo-zigbuild").arg("--version").output().is_ok_and(|o| o.status.success());
            if !has {
                return Err("--glibc needs cargo-zigbuild and zig: pip install cargo-zigbuild ziglang".into());
            }
            let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
            folder.push(&triple);
            command.args(["zigbuild", "--release", "-p", "headgan-ofx", "--target", &format!("{triple}.{version}")])
        }
    };
    if !command.current_dir(root).status().is_ok_and(|s| s.success()) {
        return Err("the plugin does not build; see above".into());
    }
    Ok(folder.join("release"))
}

/// Builds the plugin and lays out `target/bundle/HeadGANReenact.ofx.bundle`; `glibc` as in [`build`].
pub fn bundle(root: &Path, target: &Path, glibc: Option<&str>) -> Result<PathBuf> {
    let built = build(root, target, glibc)?;
    let library = format!("{}{NAME}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let bundle = target.join("bundle").join(format!("{NAME}.ofx.bundle"));
    if bundle.exists() {
        fs::remove_dir_all(&bundle).map_err(|e| say(&bundle, &e))?;
    }
    let contents = bundle.join("Contents");
    copy(&built.join(library), &contents.join(platform()?).join(format!("{NAME}.ofx")))?;
    let resources = contents.join("Resources");
    for end in ["svg", "png"] {
        let icon = format!("{IDENTIFIER}.{end}");
        copy(&root.join("ofx/resources").join(&icon), &resources.join(&icon))?;
    }
    for folder in ["presets", "models"] {
        copy_folder(&root.join(folder), &resources.join(folder))?;
    }
    for licence in ["LICENSE", "LICENSE-MIT", "LICENSE-APACHE"] {
        copy(&root.join(licence), &resources.join(licence))?;
    }
    let plist = contents.join("Info.plist");
    fs::write(&plist, info()).map_err(|e| say(&plist, &e))?;
    Ok(bundle)
}

/// Copies the bundle into `folder`, or where all hosts look.
pub fn install(root: &Path, target: &Path, folder: Option<&Path>) -> Result<PathBuf> {
    let from = bundle(root, target, None)?;
    let folder = folder.map_or_else(paths::openfx_plugins, Path::to_owned);
    let to = folder.join(format!("{NAME}.ofx.bundle"));
    // Hosts map the library: the new one must be another file, not the old one with other contents.
    let new = folder.join(format!(".{NAME}.new"));
    let old = folder.join(format!(".{NAME}.old"));
    for left in [&new, &old] {
        if left.exists() {
            fs::remove_dir_all(left).map_err(|e| say(left, &e))?;
        }
    }
    copy_folder(&from, &new).map_err(|e| format!("{e}: may you write there? --user DIR installs elsewhere"))?;
    if to.exists() {
        fs::rename(&to, &old).map_err(|e| say(&to, &e))?;
    }
    fs::rename(&new, &to).map_err(|e| say(&to, &e))?;
    if old.exists() {
        fs::remove_dir_all(&old).map_err(|e| say(&old, &e))?;
    }
    Ok(to)
}

/// The folder of this platform's library within a bundle.
fn platform() -> Result<&'static str> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") => Ok("Linux-x86-64"),
        ("linux", "aarch64") => Ok("Linux-aarch64"),
        ("windows", "x86_64") => Ok("Win64"),
        ("macos", _) => Ok("MacOS"),
        (os, arch) => Err(format!("OpenFX has no folder for {os} on {arch}")),
    }
}

fn info() -> String {
    let entries = [
        ("CFBundleDevelopmentRegion", "English"),
        ("CFBundleExecutable", "HeadGANReenact.ofx"),
        ("CFBundleIdentifier", IDENTIFIER),
        ("CFBundleInfoDictionaryVersion", "6.0"),
        ("CFBundleName", NAME),
        ("CFBundlePackageType", "BNDL"),
        ("CFBundleShortVersionString", env!("CARGO_PKG_VERSION")),
        ("CFBundleVersion", env!("CARGO_PKG_VERSION")),
    ];
    let lines: String =
        entries.iter().map(|(key, value)| format!("  <key>{key}</key>\n  <string>{value}</string>\n")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \
         \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n<plist version=\"1.0\">\n\
         <dict>\n{lines}</dict>\n</plist>\n"
    )
}

pub fn say(what: &Path, e: &std::io::Error) -> String {
    format!("{}: {e}", what.display())
}

pub fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|e| say(folder, &e))?;
    }
    fs::copy(from, to).map(drop).map_err(|e| format!("{} to {}: {e}", from.display(), to.display()))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).map_err(|e| say(to, &e))?;
    for entry in fs::read_dir(from).map_err(|e| say(from, &e))? {
        let path = entry.map_err(|e| say(from, &e))?.path();
        let Some(name) = path.file_name() else { continue };
        if path.is_dir() { copy_folder(&path, &to.join(name))? } else { copy(&path, &to.join(name))? }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plist_names_the_library() {
        let text = info();
        assert!(text.contains("<key>CFBundleExecutable</key>\n  <string>HeadGANReenact.ofx</string>"), "{text}");
        assert_eq!(text.matches("<key>").count(), text.matches("</string>").count());
    }
}
