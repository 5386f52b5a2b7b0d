//! Files that appear whole or not at all: written beside their final name and renamed at the end.

use crate::{Error, Result};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::{NamedTempFile, TempPath};

/// The folder that `path` lies in.
pub fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p.to_path_buf(),
        _ => PathBuf::from("."),
    }
}

/// A temporary file in the folder of `path`, hidden, with the same extension. It is removed when dropped.
///
/// # Errors
/// [`Error::Input`] where the folder is missing or not writable, or `path` is a folder.
pub fn temporary(path: &Path) -> Result<NamedTempFile> {
    let folder = folder_of(path);
    let Some(name) = path.file_name() else {
        return Err(Error::input(format!("{}: this names no file: give a file name to write", path.display())));
    };
    if path.is_dir() {
        return Err(Error::input(format!("{} is a folder: give a file name inside it", path.display())));
    }
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let extension = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
    let suffix = format!(".part.{extension}");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(&suffix);
    // Temporary files are private by default; a finished file must be as readable as any other.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(&folder).map_err(|e| {
        let why = match e.kind() {
            // Some file systems (/proc) say so of files that cannot be made.
            std::io::ErrorKind::NotFound if folder.is_dir() => {
                "nothing can be made there: choose another folder".into()
            }
            std::io::ErrorKind::NotFound => "the folder does not exist: create it first".to_string(),
            std::io::ErrorKind::PermissionDenied => "no permission to write there: choose another folder".to_string(),
            std::io::ErrorKind::NotADirectory => "it is not a folder: choose another".to_string(),
            _ => plain(&e),
        };
        Error::input(format!("cannot write {} into {}: {why}", name.to_string_lossy(), folder.display())).with_source(e)
    })
}

/// Checks that a file could be written at `path`, leaving nothing behind.
///
/// # Errors
/// As [`temporary`].
pub fn check_writable(path: &Path) -> Result<()> {
    temporary(path).map(drop)
}

/// Gives a finished temporary file its name.
///
/// # Errors
/// [`Error::Input`] where the rename fails.
pub fn publish(temp: TempPath, path: &Path) -> Result<()> {
    temp.persist(path).map_err(|e| {
        Error::input(format!("cannot finish {}: {}: check the folder", path.display(), plain(&e.error)))
            .with_source(e.error)
    })
}

/// Writes `path` through `fill`; on an error nothing stands under that name, or what stood before.
///
/// # Errors
/// [`Error::Input`] where the file cannot be written; what `fill` returns otherwise.
pub fn write(path: &Path, fill: impl FnOnce(&mut BufWriter<&mut std::fs::File>) -> Result<()>) -> Result<()> {
    let mut temp = temporary(path)?;
    {
        let mut out = BufWriter::with_capacity(1 << 18, temp.as_file_mut());
        fill(&mut out)?;
        out.flush().map_err(|e| write_error(path, e))?;
    }
    publish(temp.into_temp_path(), path)
}

/// The error of a failed write to `path`.
pub fn write_error(path: &Path, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    let text = format!("cannot write {}: {}: check the disk and its free space", path.display(), plain(&e));
    Error::input(text).with_source(e)
}

/// An error text as one line.
pub(crate) fn plain(e: &dyn std::fmt::Display) -> String {
    e.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut v: Vec<String> =
            std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
        v.sort();
        v
    }

    #[test]
    fn whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write(&path, |w| w.write_all(b"one").map_err(|e| write_error(Path::new("x"), e))).unwrap();
        let failed = write(&path, |w| {
            w.write_all(b"half").unwrap();
            Err(Error::Interrupted)
        });
        assert!(matches!(failed, Err(Error::Interrupted)));
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(names(dir.path()), ["a.txt"]);
        check_writable(&dir.path().join("b.txt")).unwrap();
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn finished_files_have_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("plain"), b"").unwrap();
        write(&dir.path().join("ours"), |_| Ok(())).unwrap();
        let mode = |n: &str| std::fs::metadata(dir.path().join(n)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode("ours"), mode("plain"));
    }

    #[test]
    fn bad_places_are_input_errors() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, b"").unwrap();
        for bad in [dir.path().join("missing/a.png"), file.join("a.png"), dir.path().to_path_buf(), "/".into()] {
            let e = check_writable(&bad).unwrap_err();
            assert!(matches!(e, Error::Input(_)) && !e.to_string().contains('\n'), "{e}");
        }
        let e = check_writable(&dir.path().join("missing/a.png")).unwrap_err().to_string();
        assert!(e.contains("does not exist") && e.contains("missing"), "{e}");
    }
}
