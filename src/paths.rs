//! Where a user's own files and caches lie, and where hosts look for plugins. `cargo xtask` compiles this file too: nothing of
//! the library is used here.

use std::path::PathBuf;

/// `headgan` in the user's data folder, or `None` if the system names none. Reads the environment: not for use while
/// rendering.
pub fn user_data() -> Option<PathBuf> {
    let data = if cfg!(windows) {
        var("APPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")))
    };
    data.map(|data| data.join("headgan"))
}

/// `headgan` in the user's folder for what can be made again, or `None` if the system names none. Reads the environment:
/// not for use while rendering.
pub fn user_cache() -> Option<PathBuf> {
    let cache = if cfg!(windows) {
        var("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Caches"))
    } else {
        var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")))
    };
    cache.map(|cache| cache.join("headgan"))
}

/// The folder that all OpenFX hosts of this system search.
pub fn openfx_plugins() -> PathBuf {
    let folder = if cfg!(windows) {
        r"C:\Program Files\Common Files\OFX\Plugins"
    } else if cfg!(target_os = "macos") {
        "/Library/OFX/Plugins"
    } else {
        "/usr/OFX/Plugins"
    };
    folder.into()
}

/// A folder named by a variable. Relative paths are to be ignored (XDG Base Directory Specification).
fn var(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute())
}
