//! Engine libraries: executors that need more than this program carries (libtorch), found and loaded at run time.
//!
//! This module finds, loads and calls them. A crate of its own (`backends/torch`) implements a library;
//! [`crate::reenact::backend`] chooses one.
//!
//! A library is searched for in the folders of `$HEADGAN_ENGINES`, in `engines` of the user's data folder, in the folders that
//! the caller names (a bundle's `Contents/<arch>`) and beside the executable, in that order; the first one that is there
//! counts. It is loaded once per process, with `RTLD_LOCAL | RTLD_NOW`, and never unloaded: frameworks leave threads behind.

pub mod abi;
mod session;

pub use session::{Array, Layout, Options, Output, Precision, Reference, Report, Session, Source};

use crate::paths::user_data;
use crate::{Error, Result};
use parking_lot::Mutex;
use std::ffi::{CStr, c_char};
use std::fmt;
use std::mem::size_of;
use std::path::{Path, PathBuf};
use std::ptr::null;

/// The library's file name.
pub fn file_name() -> String {
    format!("{}headgan_torch{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// How to come by the library, for messages.
const GET: &str = "`cargo xtask engine` builds and installs it (docs/USER_GUIDE.md, Engines)";

/// A loaded engine library.
pub struct Library {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is.
    pub build: Build,
    table: &'static abi::Table,
}

/// What a library is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The library's version.
    pub version: String,
    /// The framework that it was built with and its version.
    pub framework: String,
    /// Devices that can be used; the CPU is the first.
    pub devices: Vec<Device>,
    /// Why no CUDA device can be used; `None` where one can.
    pub no_cuda: Option<String>,
}

/// What a session runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What sort of device it is.
    pub kind: DeviceKind,
    /// Among those of its kind.
    pub index: u32,
    /// What it is called.
    pub name: String,
    /// Bytes of memory, where known.
    pub memory: Option<u64>,
}

/// The kinds of [`Device`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceKind {
    /// The processor.
    Cpu,
    /// A graphics card, by CUDA.
    Cuda,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self.kind {
            DeviceKind::Cpu => write!(f, "CPU ({})", self.name)?,
            DeviceKind::Cuda => write!(f, "CUDA {} ({})", self.index, self.name)?,
        }
        self.memory.map_or(Ok(()), |bytes| write!(f, " with {:.1} GiB", bytes as f64 / (1u64 << 30) as f64))
    }
}

/// The folders that are searched; `extra` are the caller's own. Reads the environment: not for use while rendering.
pub fn folders(extra: &[PathBuf]) -> Vec<PathBuf> {
    let named = std::env::var_os("HEADGAN_ENGINES").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&named).filter(|p| !p.as_os_str().is_empty()).collect();
    folders.extend(user_data().map(|data| data.join("engines")));
    folders.extend_from_slice(extra);
    folders.extend(std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned())));
    folders
}

/// The library, loaded unless it is already.
///
/// # Errors
/// [`Error::Engine`] where there is none, it does not load (with the linker's text: mostly a library of the framework that
/// is missing), or it is of another version.
pub fn load(extra: &[PathBuf]) -> Result<&'static Library> {
    load_from(&folders(extra))
}

/// As [`load`], from these folders only.
///
/// # Errors
/// As [`load`].
pub fn load_from(folders: &[PathBuf]) -> Result<&'static Library> {
    static LOADED: Mutex<Vec<&'static Library>> = Mutex::new(Vec::new());
    let name = file_name();
    let Some(path) = folders.iter().map(|f| f.join(&name)).find(|p| p.is_file()) else {
        let searched: Vec<String> = folders.iter().map(|f| f.display().to_string()).collect();
        return Err(Error::engine(format!(
            "the torch engine is not installed (no {name} in {}): {GET}",
            if searched.is_empty() { "any folder".into() } else { searched.join(", ") }
        )));
    };
    // Held while loading: two threads that need it load it once.
    let mut loaded = LOADED.lock();
    if let Some(library) = loaded.iter().find(|l| l.path == path) {
        return Ok(library);
    }
    let library: &'static Library = Box::leak(Box::new(open(path)?));
    loaded.push(library);
    Ok(library)
}

fn open(path: PathBuf) -> Result<Library> {
    let shown = path.display();
    let fail = |text: String| Error::engine(format!("{shown}: {text}"));
    let unloadable = |e: libloading::Error| {
        fail(format!(
            "cannot be loaded ({}): it needs the libtorch that it was built with beside it: {GET}",
            one_line(&causes(&e))
        ))
        .with_source(e)
    };
    // SAFETY: a library of this name is one of ours; its initialisers are libtorch's.
    let library = unsafe { dlopen(&path) }.map_err(unloadable)?;
    let symbol = |name: &str, e: libloading::Error| {
        fail(format!("is no engine library: {name} is missing ({e})")).with_source(e)
    };
    // SAFETY: the type of this function is the same in every version of the interface.
    let version = unsafe { library.get::<abi::VersionFn>(abi::VERSION_SYMBOL) };
    let version = version.map_err(|e| symbol(abi::VERSION_SYMBOL, e))?;
    // SAFETY: as above; it returns a constant.
    let version = unsafe { version() };
    if version != abi::VERSION {
        return Err(fail(format!(
            "has version {version} of the engine interface where this program needs {}: {GET}, from the same release",
            abi::VERSION
        )));
    }
    // SAFETY: this version of the interface says that it is this function.
    let table = unsafe { library.get::<abi::TableFn>(abi::TABLE_SYMBOL) };
    let table = table.map_err(|e| symbol(abi::TABLE_SYMBOL, e))?;
    // SAFETY: it returns a table that lives as long as the library, which is never unloaded, or null.
    let table = unsafe { table().as_ref() };
    let Some(table) = table.filter(|t| t.size >= size_of::<abi::Table>()) else {
        return Err(fail(format!("returns no functions: {GET}")));
    };
    std::mem::forget(library);
    let build = build(table).map_err(|e| fail(e.to_string()).with_source(e))?;
    Ok(Library { path, build, table })
}

/// Loads a library with all its symbols resolved, for this caller alone.
///
/// # Safety
/// The library's initialisers run.
#[cfg(unix)]
unsafe fn dlopen(path: &Path) -> std::result::Result<libloading::Library, libloading::Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the caller's.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// Loads a library; those that it needs are looked for beside it.
///
/// # Safety
/// The library's initialisers run.
#[cfg(windows)]
unsafe fn dlopen(path: &Path) -> std::result::Result<libloading::Library, libloading::Error> {
    use libloading::os::windows::{LOAD_WITH_ALTERED_SEARCH_PATH, Library};
    // SAFETY: the caller's.
    unsafe { Library::load_with_flags(path, LOAD_WITH_ALTERED_SEARCH_PATH) }.map(Into::into)
}

fn build(table: &abi::Table) -> Result<Build> {
    let mut raw =
        abi::Build { size: size_of::<abi::Build>(), version: null(), framework: null(), devices: 0, no_cuda: null() };
    // SAFETY: `raw` states its size.
    check(table, unsafe { (table.build)(&mut raw) })?;
    let mut devices = Vec::new();
    for index in 0..raw.devices {
        let mut device =
            abi::Device { size: size_of::<abi::Device>(), kind: abi::CPU, index: 0, name: [0; 128], memory: 0 };
        // SAFETY: as above.
        check(table, unsafe { (table.device)(index, &mut device) })?;
        let kind = if device.kind == abi::CUDA { DeviceKind::Cuda } else { DeviceKind::Cpu };
        let bytes: Vec<u8> = device.name.iter().map(|c| *c as u8).take_while(|c| *c != 0).collect();
        let name = String::from_utf8_lossy(&bytes).into_owned();
        let memory = (device.memory > 0).then_some(device.memory);
        devices.push(Device { kind, index: device.index, name, memory });
    }
    // SAFETY: strings of a build live as long as the process.
    let text = |p: *const c_char| unsafe { text(p) };
    let no_cuda = text(raw.no_cuda);
    Ok(Build {
        version: text(raw.version).unwrap_or_default(),
        framework: text(raw.framework).unwrap_or_default(),
        devices,
        no_cuda,
    })
}

/// A string of the library's; `None` for null.
///
/// # Safety
/// `text` is null or ends with a zero byte.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// The error of the call that returned `status`, of this thread.
fn check(table: &abi::Table, status: abi::Status) -> Result<()> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: the text is valid until the next call of this thread.
    let said = unsafe { text((table.last_error)()) };
    let said = one_line(&said.unwrap_or_else(|| format!("the engine failed with status {status} and no message")));
    Err(match status {
        2 => Error::usage(said),
        3 => Error::input(said),
        4 => Error::model(said),
        _ => Error::engine(said),
    })
}

/// An error and what caused it.
fn causes(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", causes(source)),
        None => error.to_string(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Library {
    /// The CPU.
    ///
    /// # Errors
    /// [`Error::Engine`] where the library offers none.
    pub fn cpu(&self) -> Result<&Device> {
        let none = || Error::engine(format!("{}: offers no CPU: {GET}", self.path.display()));
        self.build.devices.iter().find(|d| d.kind == DeviceKind::Cpu).ok_or_else(none)
    }

    /// The first CUDA device.
    ///
    /// # Errors
    /// [`Error::Engine`] saying why there is none.
    pub fn cuda(&self) -> Result<&Device> {
        self.build.devices.iter().find(|d| d.kind == DeviceKind::Cuda).ok_or_else(|| {
            let why = self.build.no_cuda.as_deref().unwrap_or("it names no reason");
            Error::engine(format!("the torch engine ({}) finds no CUDA device: {why}", self.path.display()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(folders: &[PathBuf]) -> String {
        let error = load_from(folders).err().expect("nothing can be loaded");
        assert_eq!(error.exit_code(), 6);
        let text = error.to_string();
        assert_eq!(text, one_line(&text));
        text
    }

    #[test]
    fn what_is_missing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().to_owned();
        let text = error(std::slice::from_ref(&folder));
        assert!(text.contains(&folder.display().to_string()) && text.contains("cargo xtask engine"), "{text}");
        std::fs::write(folder.join(file_name()), "no library").unwrap();
        let text = error(std::slice::from_ref(&folder));
        assert!(text.contains("cannot be loaded") && text.contains(&file_name()), "{text}");
        assert!(error(&[]).contains("any folder"));
    }

    /// A library that is none of ours, and one of another version, are told apart. Needs a C compiler; skips without.
    #[cfg(target_os = "linux")]
    #[test]
    fn strangers_are_told_apart() {
        let cases = [
            ("int other(void) { return 0; }", "is no engine library: headgan_engine_version"),
            ("unsigned headgan_engine_version(void) { return 99; }", "has version 99 of the engine interface"),
            ("unsigned headgan_engine_version(void) { return 2; }", "headgan_engine is missing"),
            (
                "unsigned headgan_engine_version(void) { return 2; } void *headgan_engine(void) { return 0; }",
                "returns no functions",
            ),
            ("extern int absent(void); int call(void) { return absent(); }", "undefined symbol: absent"),
        ];
        for (source, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            let (c, library) = (dir.path().join("stranger.c"), dir.path().join(file_name()));
            std::fs::write(&c, source).unwrap();
            let built =
                std::process::Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&c).status();
            if built.is_err() {
                eprintln!("skipped: there is no C compiler");
                return;
            }
            let text = error(&[dir.path().to_owned()]);
            assert!(text.contains(expected), "{text}");
        }
    }
}
