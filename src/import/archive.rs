//! The files of a download by name: from a folder, a file, or a zip archive (a Python wheel, a MediaPipe `.task`).

use crate::text::clip;
use crate::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use zip::ZipArchive;
use zip::read::ZipFile;
use zip::result::ZipError;

/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 16;
/// Files of folders and entries of archives, together.
const MAX_FILES: usize = 100_000;
/// All that is returned may be so many times as large as the largest file.
const MAX_TOTAL: u64 = 16;

/// The files whose name satisfies `wanted`, with their content, in the order of their paths. `from` is a folder, which is searched with
/// all that lies in it; a file; or a zip archive, whatever its name. A zip archive in a folder or in an archive is opened too, but not one
/// in an archive in an archive. Links that lead out of the folder are not followed.
///
/// A name is the last part of a path, so that there may be two files of one name. None of them is larger than `largest` bytes, and nothing
/// is unpacked that is not wanted.
///
/// # Errors
/// [`Error::Input`] if something cannot be read, or there is too much of it; [`Error::Model`] if an archive is damaged, or a wanted file
/// or an archive in an archive is larger than `largest`.
pub(in crate::import) fn read(
    from: &Path,
    wanted: &dyn Fn(&str) -> bool,
    largest: u64,
) -> Result<Vec<(String, Vec<u8>)>> {
    let mut search =
        Search { from, wanted, largest, seen: 0, left: largest.saturating_mul(MAX_TOTAL), found: Vec::new() };
    if from.is_dir() {
        let root = from.canonicalize().map_err(|e| unreadable(from, e))?;
        search.folder(from, &root, 0)?;
    } else {
        search.file(from)?;
    }
    Ok(search.found)
}

struct Search<'a> {
    from: &'a Path,
    wanted: &'a dyn Fn(&str) -> bool,
    largest: u64,
    /// Files and entries so far.
    seen: usize,
    /// Bytes that may still be returned.
    left: u64,
    found: Vec<(String, Vec<u8>)>,
}

fn unreadable(path: &Path, e: std::io::Error) -> Error {
    Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e)
}

fn damaged(what: &str, e: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::model(format!("{what}: the zip archive is damaged ({e}); download it again")).with_source(e)
}

/// Whether a file begins as a zip archive does, also an empty one.
fn is_zip(start: &[u8]) -> bool {
    start.starts_with(b"PK\x03\x04") || start.starts_with(b"PK\x05\x06")
}

/// The first bytes that tell an archive, fewer where there are no more.
fn start(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4);
    reader.take(4).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl Search<'_> {
    fn folder(&mut self, folder: &Path, root: &Path, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            let text = format!("more than {MAX_DEPTH} folders in each other: give the folder with the download alone");
            return Err(Error::input(format!("{}: {text}", folder.display())));
        }
        let entries = std::fs::read_dir(folder).map_err(|e| unreadable(folder, e))?;
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|e| unreadable(folder, e))?.path());
            self.count()?;
        }
        paths.sort();
        for path in paths {
            let Ok(kind) = std::fs::symlink_metadata(&path) else { continue };
            if kind.is_dir() {
                self.folder(&path, root, depth + 1)?;
            } else if kind.is_file() || (kind.is_symlink() && stays_inside(&path, root)) {
                self.file(&path)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let what = path.display().to_string();
        let mut file = File::open(path).map_err(|e| unreadable(path, e))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if (self.wanted)(&name) {
            let bytes = self.bounded(&mut file, &what, |e| unreadable(path, e))?;
            self.keep(&name, bytes)?;
        } else if is_zip(&start(&mut file).map_err(|e| unreadable(path, e))?) {
            self.archive(BufReader::new(file), &what, true)?;
        }
        Ok(())
    }

    /// The wanted entries of an archive, and, if it is the `outer` one, of the archives in it.
    fn archive<R: Read + Seek>(&mut self, reader: R, what: &str, outer: bool) -> Result<()> {
        let mut archive = ZipArchive::new(reader).map_err(|e| damaged(what, e))?;
        let mut entries: Vec<(String, usize)> = Vec::new();
        for index in 0..archive.len() {
            self.count()?;
            entries.extend(archive.name_for_index(index).map(|name| (name.to_owned(), index)));
        }
        entries.sort();
        for (path, index) in entries {
            let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
            let is_wanted = (self.wanted)(name);
            if name.is_empty() || !(is_wanted || outer) {
                continue;
            }
            let entry = format!("{what}: '{}' in it", clip(&path));
            if !is_wanted && !self.holds_archive(&mut archive, index, what)? {
                continue;
            }
            let mut file = open(&mut archive, index, what)?;
            // The stated size is not looked at: bytes are counted as they come.
            let bytes = self.bounded(&mut file, &entry, |e| damaged(what, e))?;
            drop(file);
            if is_wanted {
                self.keep(name, bytes)?;
            } else {
                self.archive(Cursor::new(bytes), &entry, false)?;
            }
        }
        Ok(())
    }

    /// Whether an entry is an archive itself. One that is packed in a way that cannot be read is none.
    fn holds_archive<R: Read + Seek>(&self, archive: &mut ZipArchive<R>, index: usize, what: &str) -> Result<bool> {
        match archive.by_index(index) {
            Ok(mut file) => Ok(is_zip(&start(&mut file).map_err(|e| damaged(what, e))?)),
            Err(ZipError::UnsupportedArchive(_)) => Ok(false),
            Err(e) => Err(damaged(what, e)),
        }
    }

    /// All bytes of a file, unless there are too many.
    fn bounded(&self, reader: &mut impl Read, what: &str, fail: impl Fn(std::io::Error) -> Error) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than allowed shows that there is more.
        reader.take(self.largest.saturating_add(1)).read_to_end(&mut bytes).map_err(fail)?;
        if bytes.len() as u64 > self.largest {
            let text = format!("is larger than {} bytes, which no file that is needed is", self.largest);
            return Err(Error::model(format!("{what}: {text}; download it again")));
        }
        Ok(bytes)
    }

    fn keep(&mut self, name: &str, bytes: Vec<u8>) -> Result<()> {
        let Some(left) = self.left.checked_sub(bytes.len() as u64) else {
            let text = "the files to read are too large together: give the folder or the file of one download";
            return Err(Error::input(format!("{}: {text}", self.from.display())));
        };
        self.left = left;
        self.found.push((name.to_owned(), bytes));
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
        self.seen += 1;
        if self.seen > MAX_FILES {
            let text = format!("more than {MAX_FILES} files: give the folder or the file of one download");
            return Err(Error::input(format!("{}: {text}", self.from.display())));
        }
        Ok(())
    }
}

fn open<'a, R: Read + Seek>(archive: &'a mut ZipArchive<R>, index: usize, what: &str) -> Result<ZipFile<'a, R>> {
    archive.by_index(index).map_err(|e| damaged(what, e))
}

/// Whether a link leads to a file within the folder.
fn stays_inside(link: &Path, root: &Path) -> bool {
    link.canonicalize().is_ok_and(|target| target.starts_with(root) && target.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;
    use std::fs;
    use std::io::Write;
    use zip::CompressionMethod::{Deflated, Stored};

    type Found = Vec<(String, Vec<u8>)>;

    fn zipped(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut z = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (i, (name, bytes)) in entries.iter().enumerate() {
            let method = if i % 2 == 0 { Deflated } else { Stored };
            z.start_file(*name, zip::write::SimpleFileOptions::default().compression_method(method)).unwrap();
            z.write_all(bytes).unwrap();
        }
        z.finish().unwrap().into_inner()
    }

    fn task() -> Vec<u8> {
        zipped(&[("detector.tflite", &b"detector"[..]), ("geometry.binarypb", b"none")])
    }

    fn wheel() -> Vec<u8> {
        let code = b"import this\n".repeat(500);
        zipped(&[
            ("pack/modules/face/b.tflite", &b"face".repeat(300)),
            ("pack/modules/a.tflite", b"hand"),
            ("pack/__init__.py", &code),
            ("pack/modules/face.task", &task()),
            ("pack-1.dist-info/RECORD", b"a,b,c"),
        ])
    }

    fn tflite(name: &str) -> bool {
        name.ends_with(".tflite")
    }

    fn names(found: &Found) -> Vec<&str> {
        found.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The one line of an error of a damaged or too large file.
    fn refused(result: Result<Found>) -> String {
        match result {
            Err(Error::Model(text)) => text.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_folder_with_folders_and_archives() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("deep/deeper")).unwrap();
        fs::write(dir.path().join("deep/deeper/z.tflite"), b"z").unwrap();
        fs::write(dir.path().join("deep/notes.txt"), b"PKzip is a program").unwrap();
        fs::write(dir.path().join("some.task"), task()).unwrap();
        fs::write(dir.path().join("wheel"), wheel()).unwrap();
        fs::write(dir.path().join("empty"), b"").unwrap();
        let found = read(dir.path(), &tflite, 2000).unwrap();
        assert_eq!(names(&found), ["z.tflite", "detector.tflite", "a.tflite", "detector.tflite", "b.tflite"]);
        assert_eq!(found[0].1, b"z");
        // A file that is wanted is not opened, even if it is an archive.
        let found = read(dir.path(), &|name| name == "some.task", 2000).unwrap();
        assert_eq!(found, [("some.task".to_owned(), task())]);
        assert!(read(dir.path(), &|_| false, 2000).unwrap().is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_out_or_in_circles_are_not_followed() {
        use std::os::unix::fs::symlink;
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("out.tflite"), b"out").unwrap();
        fs::write(dir.path().join("in"), b"in").unwrap();
        symlink(outside.path().join("out.tflite"), dir.path().join("a.tflite")).unwrap();
        symlink(outside.path(), dir.path().join("b")).unwrap();
        symlink(dir.path(), dir.path().join("c")).unwrap();
        symlink("missing", dir.path().join("d.tflite")).unwrap();
        symlink("in", dir.path().join("e.tflite")).unwrap();
        assert_eq!(read(dir.path(), &tflite, 9).unwrap(), [("e.tflite".to_owned(), b"in".to_vec())]);
    }

    #[test]
    fn a_wheel_with_an_archive_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pack-1-py3-none-any.whl");
        fs::write(&path, wheel()).unwrap();
        let found = read(&path, &tflite, 1200).unwrap();
        assert_eq!(names(&found), ["a.tflite", "detector.tflite", "b.tflite"]);
        assert_eq!(found[0].1, b"hand");
        assert_eq!(found[1].1, b"detector");
        assert_eq!(found[2].1, b"face".repeat(300));
        // One more level is not opened.
        fs::write(&path, zipped(&[("a.whl", &wheel())])).unwrap();
        assert_eq!(names(&read(&path, &tflite, 1 << 20).unwrap()), ["a.tflite", "b.tflite"]);
    }

    #[test]
    fn a_single_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("one.tflite");
        fs::write(&path, b"one").unwrap();
        assert_eq!(read(&path, &tflite, 3).unwrap(), [("one.tflite".to_owned(), b"one".to_vec())]);
        assert!(read(&path, &|name| name == "two", 3).unwrap().is_empty());
        let says = refused(read(&path, &tflite, 2));
        assert!(says.contains("one.tflite: is larger than 2 bytes"), "{says}");
    }

    #[test]
    fn what_is_missing_is_an_error_of_the_input() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("missing.whl");
        let Err(Error::Input(text)) = read(&missing, &tflite, 1) else { panic!() };
        assert!(text.contains("missing.whl: cannot be read"), "{text:?}");
    }

    #[test]
    fn a_bomb_costs_little_and_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bomb.whl");
        let mut bomb = zipped(&[("bomb.tflite", &vec![0; 64 << 20])]);
        assert!(bomb.len() < 1 << 17);
        let check = |bomb: &[u8], wanted: &dyn Fn(&str) -> bool| {
            fs::write(&path, bomb).unwrap();
            let says = refused(read(&path, wanted, 1 << 16));
            assert!(says.contains("bomb.whl: 'bomb.") && says.contains("is larger than 65536 bytes"), "{says}");
        };
        check(&bomb, &tflite);
        // The stated size is not believed.
        let size = (64u32 << 20).to_le_bytes();
        for at in 0..bomb.len() - 4 {
            if bomb[at..at + 4] == size {
                bomb[at..at + 4].copy_from_slice(&100u32.to_le_bytes());
            }
        }
        check(&bomb, &tflite);
        // An archive in the archive is no way around it; what is not wanted is not unpacked.
        let inner = zipped(&[("x", b"x"), ("bomb.txt", &vec![0; 1 << 17])]);
        let outer = zipped(&[("bomb.task", &inner)]);
        check(&outer, &tflite);
        let inner = zipped(&[("bomb.tflite", &vec![0; 1 << 20])]);
        fs::write(&path, zipped(&[("deep.task", &inner)])).unwrap();
        assert!(refused(read(&path, &tflite, 1 << 16)).contains("'bomb.tflite' in it: is larger"));
        assert!(read(&path, &|_| false, 1 << 16).unwrap().is_empty());
        // Many files that are small enough alone.
        let many: Vec<(String, Vec<u8>)> = (0..17).map(|i| (format!("{i}.tflite"), vec![0; 1 << 16])).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|(n, b)| (n.as_str(), b.as_slice())).collect();
        fs::write(&path, zipped(&many)).unwrap();
        let Err(Error::Input(text)) = read(&path, &tflite, 1 << 16) else { panic!() };
        assert!(text.contains("bomb.whl: the files to read are too large together"), "{text:?}");
    }

    #[test]
    fn damaged_archives_are_refused_or_read_without_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("damaged.whl");
        let good = wheel();
        let whole = {
            fs::write(&path, &good).unwrap();
            read(&path, &tflite, 4000).unwrap()
        };
        let mut rng = Rng(17);
        let mut refusals = 0;
        let mut check = |bytes: &[u8], what: &str| {
            fs::write(&path, bytes).unwrap();
            match read(&path, &tflite, 4000) {
                // A name may be another, or the first bytes; what is returned has the right checksum.
                Ok(found) => assert!(found.iter().all(|f| whole.iter().any(|w| w.1 == f.1)), "{what}: {found:?}"),
                Err(Error::Model(text)) => {
                    assert!(text.contains("damaged.whl") && text.contains("download it again"), "{what}: {text:?}");
                    assert!(!text.contains('\n'), "{text:?}");
                    refusals += 1;
                }
                other => panic!("{what}: {other:?}"),
            }
        };
        for _ in 0..200 {
            let at = rng.below(good.len());
            let mut bytes = good.clone();
            bytes[at] ^= 1 + rng.below(255) as u8;
            check(&bytes, &format!("byte {at}"));
        }
        for _ in 0..60 {
            let length = 4 + rng.below(good.len() - 4);
            check(&good[..length], &format!("cut at {length}"));
        }
        assert!(refusals > 60, "{refusals}");
    }
}
