//! What tests share.

use std::path::{Path, PathBuf};

/// The folder of data beside the project (`$HEADGAN_SHARED`, else `../shared`), if it is there.
pub fn shared() -> Option<PathBuf> {
    let path = match std::env::var_os("HEADGAN_SHARED") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"),
    };
    path.is_dir().then_some(path)
}
