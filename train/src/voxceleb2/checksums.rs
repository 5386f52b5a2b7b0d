//! Lists of checksums as md5sum and sha256sum write them, and files compared with them.

use crate::interrupt;
use headgan::media::Progress;
use headgan::{Error, Result};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

/// Bytes read at once.
const BLOCK: usize = 1 << 20;
/// Progress is counted in these.
const MIB: u64 = 1 << 20;

/// A checksum: 32 digits are an MD5, 64 a SHA-256. In small letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum(String);

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Checksum {
    /// None for what is neither.
    pub fn parse(text: &str) -> Option<Checksum> {
        let is = matches!(text.len(), 32 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        is.then(|| Checksum(text.to_ascii_lowercase()))
    }

    pub fn kind(&self) -> &'static str {
        if self.0.len() == 32 { "MD5" } else { "SHA-256" }
    }

    /// The checksum of the same kind of what is read, `length` bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, [`Error::Interrupted`].
    pub fn of_same_kind(&self, data: impl Read, length: u64, name: &str, quiet: bool) -> Result<Checksum> {
        if self.0.len() == 32 {
            digest::<Md5>(data, length, name, quiet)
        } else {
            digest::<Sha256>(data, length, name, quiet)
        }
    }
}

fn digest<D: Digest>(mut data: impl Read, length: u64, name: &str, quiet: bool) -> Result<Checksum> {
    let mut hash = D::new();
    let mut block = vec![0; BLOCK];
    let mut progress = Progress::new(&format!("checking {name}, MiB"), Some(length.div_ceil(MIB)), quiet);
    let mut at = 0;
    loop {
        interrupt::check()?;
        match data.read(&mut block) {
            Ok(0) => break,
            Ok(n) => {
                hash.update(&block[..n]);
                let before = at / MIB;
                at += n as u64;
                progress.inc(at / MIB - before);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::input(format!("{name}: cannot be read ({e})"))),
        }
    }
    progress.finish();
    Ok(Checksum(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// Checksums by the names of their files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checksums {
    file: String,
    sums: BTreeMap<String, Checksum>,
}

impl Checksums {
    /// Reads lines of a checksum and a file's name; empty lines and those that begin with `#` say nothing.
    ///
    /// # Errors
    /// [`Error::Usage`] where the file cannot be read, a line is another, or a name has two checksums.
    pub fn read(path: &Path) -> Result<Checksums> {
        let file = format!("--checksums {}", path.display());
        let text = std::fs::read_to_string(path)
            .map_err(|e| Error::usage(format!("{file}: cannot be read ({e})")).with_source(e))?;
        let mut sums = BTreeMap::new();
        for (i, line) in text.lines().enumerate().map(|(i, l)| (i + 1, l.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let read = line.split_once(char::is_whitespace).and_then(|(sum, rest)| {
                let name = rest.trim_start().trim_start_matches('*');
                let name = name.rsplit(['/', '\\']).next().filter(|n| !n.is_empty())?;
                Some((name.to_owned(), Checksum::parse(sum)?))
            });
            let Some((name, sum)) = read else {
                let form = "write lines of an MD5 or a SHA-256 and a file's name, as md5sum does";
                return Err(Error::usage(format!("{file}, line {i}: is no checksum: {form}")));
            };
            if sums.insert(name.clone(), sum.clone()).is_some_and(|other| other != sum) {
                return Err(Error::usage(format!("{file}, line {i}: {name} has two checksums: leave one")));
            }
        }
        Ok(Checksums { file, sums })
    }

    /// The checksum of a file.
    pub fn of(&self, name: &str) -> Option<&Checksum> {
        self.sums.get(name)
    }

    /// A list that would check nothing is a mistake.
    ///
    /// # Errors
    /// [`Error::Usage`] where neither a part nor the archive stands in it.
    pub fn must_name_one_of(&self, parts: &[String], archive: &str) -> Result<()> {
        if self.of(archive).is_some() || parts.iter().any(|p| self.of(p).is_some()) {
            return Ok(());
        }
        let text = format!("{}: has neither {} nor {archive}: it would check nothing", self.file, parts.join(", "));
        Err(Error::usage(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Result<Checksums> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sums");
        std::fs::write(&path, text).unwrap();
        Checksums::read(&path)
    }

    /// RFC 1321 and FIPS 180-4 have these for "abc".
    const ABC_MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
    const ABC_SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn known_sums_are_found() {
        for text in [ABC_MD5, ABC_SHA256] {
            let sum = Checksum::parse(&text.to_uppercase()).unwrap();
            assert_eq!(sum.of_same_kind(&b"abc"[..], 3, "abc", true).unwrap().to_string(), text);
            assert_ne!(sum.of_same_kind(&b"abd"[..], 3, "abd", true).unwrap(), sum);
        }
        assert_eq!(Checksum::parse(&ABC_MD5[1..]), None);
    }

    #[test]
    fn lists_are_read() {
        let sums = list(&format!("# from the publisher\n\n{ABC_MD5}  ./x/a\n{ABC_SHA256} *b c\n")).unwrap();
        assert_eq!(sums.of("a").unwrap().kind(), "MD5");
        assert_eq!(sums.of("b c").unwrap().kind(), "SHA-256");
        assert_eq!(sums.of("d"), None);
        sums.must_name_one_of(&["a".into()], "z").unwrap();
        sums.must_name_one_of(&["y".into()], "a").unwrap();
        assert!(sums.must_name_one_of(&["y".into()], "z").is_err());
        for wrong in ["abc  a", ABC_MD5, &format!("{ABC_MD5}  a\n{ABC_SHA256}  a")] {
            let error = list(wrong).unwrap_err();
            assert!(matches!(&error, Error::Usage(t) if t.contains("line ")), "{error}");
        }
    }
}
