//! `headgan doctor`: what works here, and what to do about the rest.

use crate::common;
use clap::Args as ClapArgs;
use headgan::engine::{cpu, library};
use headgan::media::ffmpeg::Tools;
use headgan::reenact::backend::Backend;
use headgan::reenact::generator::Generator;
use headgan::reenact::networks::Networks;
use headgan::{Error, Result, paths};
use serde_json::json;
use std::ffi::{CStr, c_char, c_int};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The plugin's name in its bundle, and in hosts.
const PLUGIN: &str = "HeadGANReenact";
const IDENTIFIER: &CStr = c"org.headgan.HeadGANReenact";

/// Check this installation: ffmpeg, model packs, engines, the OpenFX plugin.
#[derive(ClapArgs)]
pub struct Args {
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

struct Finding {
    what: &'static str,
    good: bool,
    text: String,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let mut note = |what, result: Result<String>| {
        let (good, text) = match result {
            Ok(text) => (true, text),
            Err(e) => (false, crate::advice::message_with_advice(&e)),
        };
        findings.push(Finding { what, good, text });
    };
    note("program", Ok(format!("headgan {}, {}", env!("CARGO_PKG_VERSION"), cpu::description())));
    note("ffmpeg", Tools::find().map(|t| t.version_text()));
    let models = common::packs();
    for problem in models.problems() {
        note("pack", Err(headgan::Error::model(problem.clone())));
    }
    for pack in models.packs() {
        let verified = pack.components().iter().try_for_each(|c| pack.load(c, headgan::import::check).map(drop));
        note("pack", verified.map(|()| format!("'{}' in {}, verified", pack.name(), pack.folder.display())));
    }
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    note("draft", Networks::load(&models, None, None, &options).map(|n| format!("works with the pack '{}'", n.pack)));
    note(
        "full",
        Generator::load(&models, None, None, &Backend::Embedded, &options)
            .map(|g| format!("works with the generator of '{}'", g.name)),
    );
    note("openfx", plugin());
    match library::load(&[]) {
        Ok(found) => {
            let devices: Vec<String> = found.build.devices.iter().map(ToString::to_string).collect();
            let (version, framework, path) = (&found.build.version, &found.build.framework, found.path.display());
            note("torch", Ok(format!("{path}, version {version} with {framework}: {}", devices.join(", "))));
            note("cuda", found.cuda().map(|d| format!("{d}: reenact --device cuda")));
        }
        Err(e) => {
            note("torch", Err(e));
            note("cuda", Err(Error::Engine("needs the torch engine".into())));
        }
    }

    if args.json {
        let list: Vec<_> = findings.iter().map(|f| json!({"what": f.what, "ok": f.good, "text": f.text})).collect();
        common::print_json(&json!({ "findings": list }))?;
    } else {
        for f in &findings {
            say!("{} {}: {}", if f.good { "ok  " } else { "no  " }, f.what, f.text);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Where hosts look for OpenFX plugins.
fn plugin_folders() -> Vec<PathBuf> {
    let named = std::env::var_os("OFX_PLUGIN_PATH").unwrap_or_default();
    let named = std::env::split_paths(&named).filter(|p| !p.as_os_str().is_empty());
    named.chain([paths::openfx_plugins()]).collect()
}

/// Finds the plugin's bundle and loads it as a host would.
fn plugin() -> Result<String> {
    let folders = plugin_folders();
    let bundles = folders.iter().map(|f| f.join(format!("{PLUGIN}.ofx.bundle")));
    let Some(bundle) = bundles.into_iter().find(|b| b.is_dir()) else {
        let searched: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        return Err(Error::input(format!(
            "the plugin is not installed (searched: {}): cargo xtask install, or set OFX_PLUGIN_PATH; see docs/HOSTS.md",
            searched.join(", ")
        )));
    };
    let platform = match (std::env::consts::OS, std::env::consts::ARCH) {
        ("windows", _) => "Win64",
        ("macos", _) => "MacOS",
        (_, "aarch64") => "Linux-aarch64",
        _ => "Linux-x86-64",
    };
    let library = bundle.join("Contents").join(platform).join(format!("{PLUGIN}.ofx"));
    load(&library).map_err(|text| Error::input(format!("{}: {text}: install it again", library.display())))?;
    let shown = bundle.display();
    Ok(format!(
        "{shown} loads; Resolve and Natron: restart them; Nuke: set OFX_PLUGIN_PATH before the start; see docs/HOSTS.md"
    ))
}

/// Fails unless the library answers as the plugin does.
fn load(path: &Path) -> std::result::Result<(), String> {
    /// The beginning of `OfxPlugin` (ofxCore.h).
    #[repr(C)]
    struct OfxPlugin {
        api: *const c_char,
        version: c_int,
        identifier: *const c_char,
    }
    let line = |e: libloading::Error| e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    // SAFETY: what a host does with every plugin that it finds; ours runs nothing when it is loaded.
    unsafe {
        let library = libloading::Library::new(path).map_err(line)?;
        let count = library.get::<unsafe extern "C" fn() -> c_int>(b"OfxGetNumberOfPlugins").map_err(line)?;
        let get = library.get::<unsafe extern "C" fn(c_int) -> *const OfxPlugin>(b"OfxGetPlugin").map_err(line)?;
        library.get::<unsafe extern "C" fn()>(b"OfxSetHost").map_err(line)?;
        let plugin = if count() == 1 { get(0).as_ref() } else { None };
        match plugin {
            Some(p) if !p.identifier.is_null() && CStr::from_ptr(p.identifier) == IDENTIFIER => Ok(()),
            _ => Err("it holds another plugin".into()),
        }
    }
}
