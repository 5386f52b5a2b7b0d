//! The C++ host: found in cargo's registry, compiled once.

use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the host library's source lies: inside the crate `openfx-sys`, which is fetched and never built.
fn source() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("source/Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--manifest-path"])
        .arg(&manifest)
        .output()
        .context("cargo metadata")?;
    ensure!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr).trim());
    let document: serde_json::Value = serde_json::from_slice(&out.stdout)?;
    let packages = document["packages"].as_array().context("cargo metadata names no packages")?;
    let found = packages.iter().find(|p| p["name"] == "openfx-sys").and_then(|p| p["manifest_path"].as_str());
    let manifest = found.context("cargo metadata does not name openfx-sys")?;
    Ok(Path::new(manifest).with_file_name("openfx"))
}

fn run(command: &mut Command) -> Result<()> {
    let out = command.output().with_context(|| format!("{:?} (a C++ compiler is needed)", command.get_program()))?;
    if !out.status.success() {
        bail!("{command:?}\n{}", String::from_utf8_lossy(&out.stderr));
    }
    Ok(())
}

/// A compiler that the user may choose.
fn compiler(variable: &str, usual: &str) -> OsString {
    std::env::var_os(variable).filter(|v| !v.is_empty()).unwrap_or_else(|| usual.into())
}

/// Builds the host into `folder` where it is not there yet, and returns the program.
///
/// # Errors
/// The source cannot be fetched, or there is no C++ compiler.
pub fn host(folder: &Path) -> Result<PathBuf> {
    let program = folder.join("reference-host");
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("host.cpp");
    let time = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    if time(&program).is_some_and(|built| time(&own).is_some_and(|t| t < built)) {
        return Ok(program);
    }
    let openfx = source()?;
    let host = openfx.join("HostSupport");
    std::fs::create_dir_all(folder)?;
    let mut objects = Vec::new();
    let expat = host.join("expat-2.0.1/lib");
    let includes = [openfx.join("include"), host.join("include"), expat.clone()];
    let compile = |compiler: OsString, flags: &[&str], file: &Path, object: &Path| {
        let mut c = Command::new(compiler);
        c.args(flags).args(["-w", "-O1", "-DXML_STATIC", "-DNDEBUG", "-c"]).arg(file).arg("-o").arg(object);
        includes.iter().for_each(|i| {
            c.arg("-I").arg(i);
        });
        run(&mut c)
    };
    let mut sources: Vec<PathBuf> =
        std::fs::read_dir(host.join("src"))?.map(|f| f.map(|f| f.path())).collect::<Result<_, _>>()?;
    sources.retain(|f| f.extension().is_some_and(|e| e == "cpp"));
    sources.sort();
    sources.push(own);
    for file in &sources {
        let object = folder.join(file.file_name().context("a file without a name")?).with_extension("o");
        // Some of its headers use memcpy without saying so.
        compile(compiler("CXX", "c++"), &["-std=c++11", "-include", "cstring"], file, &object)?;
        objects.push(object);
    }
    for part in ["xmlparse", "xmlrole", "xmltok"] {
        let object = folder.join(part).with_extension("o");
        compile(compiler("CC", "cc"), &["-DHAVE_MEMMOVE"], &expat.join(part).with_extension("c"), &object)?;
        objects.push(object);
    }
    run(Command::new(compiler("CXX", "c++")).args(&objects).args(["-ldl", "-lpthread", "-o"]).arg(&program))?;
    Ok(program)
}
