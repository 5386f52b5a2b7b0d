//! A pack made of another: what stays is copied, what is new is written beside it, and the card goes along.

use crate::data::store::write_text;
use headgan::models::{self, Manifest, Pack};
use headgan::{Error, Result};
use std::path::Path;

/// A pack's card, which says what its licence does not.
const CARD: &str = "README.md";

/// A pack that is being written.
pub struct PackCopy<'a> {
    pack: &'a Pack,
    folder: &'a Path,
    /// What will be written as its manifest.
    pub manifest: Manifest,
}

impl<'a> PackCopy<'a> {
    /// Makes the folder of a pack called `name`, which must not be that of `pack`.
    ///
    /// # Errors
    /// [`Error::Usage`] where it is the same folder; [`Error::Input`] where it cannot be made.
    pub fn begin(pack: &'a Pack, folder: &'a Path, name: String) -> Result<PackCopy<'a>> {
        std::fs::create_dir_all(folder).map_err(|e| cannot(folder, e))?;
        let same = |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        if same(folder, &pack.folder) {
            return Err(Error::usage(format!("{}: is the pack itself; choose another folder", folder.display())));
        }
        let manifest = Manifest { name, ..pack.manifest.clone() };
        Ok(PackCopy { pack, folder, manifest })
    }

    /// Copies a file of the pack.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be written.
    pub fn copy(&self, file: &str) -> Result<()> {
        let path = self.folder.join(file);
        std::fs::copy(self.pack.folder.join(file), &path).map(drop).map_err(|e| cannot(&path, e))
    }

    /// Copies the card, where there is one, and writes the manifest.
    ///
    /// # Errors
    /// [`Error::Input`] where they cannot be written.
    pub fn finish(self) -> Result<()> {
        if self.pack.folder.join(CARD).exists() {
            self.copy(CARD)?;
        }
        let text = serde_json::to_string_pretty(&self.manifest)
            .map_err(|e| Error::engine(format!("the manifest: {e}")).with_source(e))?;
        write_text(&self.folder.join(models::MANIFEST), &(text + "\n"))
    }
}

fn cannot(path: &Path, e: std::io::Error) -> Error {
    Error::input(format!("{}: cannot be written ({e})", path.display())).with_source(e)
}
