//! Bundles on disk, and the plugins in them.

use crate::abi::*;
use crate::host::host;
use crate::{log, scope};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use object::{Object, ObjectSymbol};
use std::ffi::{CStr, CString, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr;

/// The symbols of the ABI; `OfxSetHost` came with OpenFX 1.5 and may be missing.
pub const SYMBOLS: [&str; 3] = ["OfxGetNumberOfPlugins", "OfxGetPlugin", "OfxSetHost"];

/// A plugin's files.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The `.ofx.bundle` folder, or the binary if it stands alone.
    pub path: PathBuf,
    /// The shared library for this machine.
    pub binary: PathBuf,
}

impl Bundle {
    /// Finds the binary of a bundle; a shared library itself is taken as it is.
    ///
    /// # Errors
    /// If there is no binary for this machine where bundles have it.
    pub fn find(path: &Path) -> Result<Bundle, String> {
        let path = path.canonicalize().map_err(|e| format!("{}: {e}", path.display()))?;
        if path.is_file() {
            return Ok(Bundle { binary: path.clone(), path });
        }
        let folder =
            path.join("Contents").join(if cfg!(target_arch = "x86_64") { "Linux-x86-64" } else { "Linux-aarch64" });
        let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let mut found: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
        found.retain(|p| p.extension().is_some_and(|e| e == "ofx"));
        found.sort();
        let binary = found.into_iter().next();
        binary.map(|binary| Bundle { path, binary }).ok_or_else(|| format!("{}: no .ofx file in it", folder.display()))
    }

    /// The names that the binary exports.
    ///
    /// # Errors
    /// If the file cannot be read as a shared library.
    pub fn exports(&self) -> Result<Vec<String>, String> {
        let say = |e: &dyn std::fmt::Display| format!("{}: {e}", self.binary.display());
        let bytes = std::fs::read(&self.binary).map_err(|e| say(&e))?;
        let file = object::File::parse(&*bytes).map_err(|e| say(&e))?;
        let exported = file.dynamic_symbols().filter(|s| s.is_definition() && (s.is_global() || s.is_weak()));
        Ok(exported.filter_map(|s| s.name().ok().map(str::to_owned)).collect())
    }
}

/// A loaded binary.
pub struct Binary {
    library: Library,
    offer: *mut OfxHost,
    /// The image effects in it.
    pub plugins: Vec<Plugin>,
}

/// One plugin of a binary.
#[derive(Clone)]
pub struct Plugin {
    pub id: CString,
    pub version: (u32, u32),
    pub entry: OfxPluginEntryPoint,
    /// The bundle, as the plugin is told.
    pub path: PathBuf,
}

impl Binary {
    /// Loads a bundle's binary and tells its plugins the host.
    ///
    /// # Errors
    /// If it does not load, lacks a symbol, or has no image effect.
    pub fn open(bundle: &Bundle) -> Result<Binary, String> {
        let say = |e: &dyn std::fmt::Display| format!("{}: {e}", bundle.binary.display());
        // SAFETY: loading runs the plugin's initialisers, which is what a host does.
        let library = unsafe { Library::open(Some(&bundle.binary), RTLD_NOW | RTLD_LOCAL) }.map_err(|e| say(&e))?;
        let offer = host().offer();
        type SetHost = unsafe extern "C" fn(*const OfxHost) -> OfxStatus;
        type Count = unsafe extern "C" fn() -> c_int;
        type Get = unsafe extern "C" fn(c_int) -> *const OfxPlugin;
        // SAFETY: the types are those of the ABI.
        let (set_host, count, get) = unsafe {
            let set_host = library.get::<SetHost>(b"OfxSetHost").ok();
            let count = library.get::<Count>(b"OfxGetNumberOfPlugins").map_err(|e| say(&e))?;
            (set_host, count, library.get::<Get>(b"OfxGetPlugin").map_err(|e| say(&e))?)
        };
        let mut plugins = Vec::new();
        // SAFETY: called as the ABI says; the structures live as long as the library.
        scope::action(c"loading", 0, || unsafe {
            if let Some(set_host) = set_host {
                set_host(offer);
            }
            let number = count();
            for outside in [-1, number, number + 7] {
                if !get(outside).is_null() {
                    log::fail(format!("OfxGetPlugin({outside}) gives a plugin; there are {number}"));
                }
            }
            for index in 0..number {
                let Some(raw) = get(index).as_ref() else {
                    log::fail(format!("OfxGetPlugin({index}) is null; there are {number} plugins"));
                    continue;
                };
                if raw.pluginApi.is_null() || raw.pluginIdentifier.is_null() {
                    log::fail(format!("plugin {index}: no API or no identifier"));
                    continue;
                }
                if CStr::from_ptr(raw.pluginApi) != kOfxImageEffectPluginApi || raw.apiVersion != 1 {
                    log::note(format!("plugin {index} is no image effect of version 1: left out"));
                    continue;
                }
                let (Some(set_host), Some(_)) = (raw.setHost, raw.mainEntry) else {
                    log::fail(format!("plugin {index}: setHost or mainEntry is null"));
                    continue;
                };
                set_host(offer);
                plugins.push(Plugin {
                    id: CStr::from_ptr(raw.pluginIdentifier).to_owned(),
                    version: (raw.pluginVersionMajor, raw.pluginVersionMinor),
                    entry: raw.mainEntry,
                    path: bundle.path.clone(),
                });
            }
        });
        if plugins.is_empty() {
            return Err(say(&"no image effect in it"));
        }
        Ok(Binary { library, offer, plugins })
    }

    /// Unloads the binary.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn close(self) -> Result<(), String> {
        // SAFETY: `offer` made the box, and the only code that knows its address is gone after the call below.
        let (offer, library) = (self.offer, self.library);
        library.close().map_err(|e| e.to_string())?;
        // SAFETY: as above. Its property set ends with it.
        let offer = unsafe { Box::from_raw(offer) };
        host().props.remove(offer.host as usize);
        Ok(())
    }
}

impl Plugin {
    /// Sends an action that is about no effect: load and unload.
    pub fn call(&self, action: &CStr) -> OfxStatus {
        let Some(entry) = self.entry else { return kOfxStatFailed };
        // SAFETY: the plugin's entry point, called as the ABI says.
        scope::action(action, 0, || unsafe {
            entry(action.as_ptr(), ptr::null::<c_void>(), ptr::null_mut(), ptr::null_mut())
        })
    }
}
