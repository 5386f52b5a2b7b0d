//! What the tests of the program share: a way to run it and to check how it fails, and model packs of hand-made
//! weights with which everything runs in a fresh clone.

// Every test program compiles this file and uses its own part of it.
#![allow(dead_code)]

pub mod http;
mod world;
pub use world::*;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The folder with data beside the project, or `None` (with one line on stderr) where it is absent.
pub fn shared() -> Option<PathBuf> {
    let root = std::env::var_os("HEADGAN_SHARED").map(PathBuf::from);
    let root = root.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"));
    if !root.join("fixtures").is_dir() {
        eprintln!("skipped: ../shared is not here (set HEADGAN_SHARED to use it from elsewhere)");
        return None;
    }
    Some(root.canonicalize().unwrap())
}

/// Whether ffmpeg is here; says so where it is not.
pub fn has_ffmpeg() -> bool {
    let found = headgan::media::ffmpeg::Tools::find();
    if let Err(e) = &found {
        eprintln!("skipped: {e}");
    }
    found.is_ok()
}

/// The program, with model packs from `models` only (and the repository), working in `folder`.
pub fn headgan(models: &Path, folder: &Path) -> Command {
    let mut c = Command::new(env!("CARGO_BIN_EXE_headgan"));
    isolate(&mut c, models, folder);
    c
}

/// Gives a command the environment of [`headgan`].
pub fn isolate(c: &mut Command, models: &Path, folder: &Path) {
    let nobody = workshop().join("nobody");
    c.current_dir(folder).env("HEADGAN_MODELS", models).stdin(Stdio::null());
    c.env("HOME", &nobody).env("XDG_DATA_HOME", &nobody).env("XDG_CONFIG_HOME", &nobody).env("APPDATA", &nobody);
    c.env("XDG_CACHE_HOME", &nobody).env("LOCALAPPDATA", &nobody);
    c.env_remove("HEADGAN_CACHE").env_remove("HEADGAN_CACHE_LIMIT").env_remove("HEADGAN_ENGINES");
    c.env_remove("RUST_LOG").env("RUST_BACKTRACE", "1");
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs to the end and expects success; returns stdout.
#[track_caller]
pub fn works(c: &mut Command) -> String {
    let out = c.output().unwrap();
    assert!(out.status.success(), "{c:?}: {:?}\n{}", out.status.code(), text(&out.stderr));
    assert!(!text(&out.stderr).contains("panicked"), "{}", text(&out.stderr));
    text(&out.stdout)
}

/// Runs to the end and expects this exit code and one line on stderr that holds all of `says`; returns the line.
#[track_caller]
pub fn fails(c: &mut Command, code: i32, says: &[&str]) -> String {
    let out = c.output().unwrap();
    let line = failure(&out, code, says);
    assert!(out.stdout.is_empty(), "{c:?}: {}", text(&out.stdout));
    line
}

/// As [`fails`], of a program that has ended.
#[track_caller]
pub fn failure(out: &Output, code: i32, says: &[&str]) -> String {
    let err = text(&out.stderr);
    assert_eq!(out.status.code(), Some(code), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("headgan: ") && err.ends_with('\n') && err.len() > 20, "{err}");
    for word in ["panicked", "RUST_BACKTRACE", "stack backtrace", "Error(", "Err("] {
        assert!(!err.contains(word), "{err}");
    }
    for s in says {
        assert!(err.contains(s), "'{s}' is not in: {err}");
    }
    err
}

/// The names in a folder, sorted.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// An image file that decodes to black, without decoding or holding it: PNG, 8-bit grey.
pub fn black_png(path: &Path, width: u32, height: u32) {
    use std::io::Write;
    let mut z = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let row = vec![0; 1 + width as usize];
    (0..height).for_each(|_| z.write_all(&row).unwrap());
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8; 4], body: &[u8]| {
        let mut crc = flate2::Crc::new();
        crc.update(kind);
        crc.update(body);
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend([kind, body].concat());
        bytes.extend(crc.sum().to_be_bytes());
    };
    chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat());
    chunk(b"IDAT", &z.finish().unwrap());
    chunk(b"IEND", b"");
    std::fs::write(path, bytes).unwrap();
}
