//! Where a user's own files lie.

use std::path::PathBuf;

/// `headgan` in the user's data folder, or `None` if the system names none. Reads the environment: not for use while
/// rendering.
pub fn user_data() -> Option<PathBuf> {
    // Relative paths are to be ignored (XDG Base Directory Specification).
    let var = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    let data = if cfg!(windows) {
        var("APPDATA")
    } else if cfg!(target_os = "macos") {
        var("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        var("XDG_DATA_HOME").or_else(|| var("HOME").map(|home| home.join(".local/share")))
    };
    data.map(|data| data.join("headgan"))
}
