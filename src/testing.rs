//! Helpers of the unit tests.

use std::path::PathBuf;

/// The folder of development data beside the project, or `None` (after one line that says so).
pub fn shared() -> Option<PathBuf> {
    let folder = match std::env::var_os("HEADGAN_SHARED") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: the development data is not at {} (set HEADGAN_SHARED)", folder.display());
    None
}
