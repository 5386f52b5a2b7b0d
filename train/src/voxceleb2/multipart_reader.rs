//! Files one behind the other, read as one.

use super::download::open;
use headgan::{Error, Result};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// Parts of an archive, as the archive.
#[derive(Debug)]
pub struct MultipartReader {
    parts: Vec<Part>,
    length: u64,
    at: u64,
}

#[derive(Debug)]
struct Part {
    name: String,
    file: File,
    /// Of its first byte in the whole.
    start: u64,
    length: u64,
}

impl MultipartReader {
    /// Opens whole parts, in order.
    ///
    /// # Errors
    /// [`Error::Input`] where one cannot be.
    pub fn open(folder: &Path, names: &[String]) -> Result<MultipartReader> {
        let mut parts = Vec::with_capacity(names.len());
        let mut start = 0;
        for name in names {
            let file = open(folder, name)?;
            let length = file
                .metadata()
                .map_err(|e| Error::input(format!("{name}: cannot be read ({e})")).with_source(e))?
                .len();
            parts.push(Part { name: name.clone(), file, start, length });
            start += length;
        }
        Ok(MultipartReader { parts, length: start, at: 0 })
    }

    /// Bytes of all parts.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The names of the parts with their first bytes' places in the whole.
    pub fn part_offsets(&self) -> Vec<(String, u64)> {
        self.parts.iter().map(|p| (p.name.clone(), p.start)).collect()
    }
}

impl Read for MultipartReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let at = self.at;
        let Some(part) = self.parts.iter_mut().find(|p| (p.start..p.start + p.length).contains(&at)) else {
            return Ok(0);
        };
        let within = at - part.start;
        let n = buffer.len().min(usize::try_from(part.length - within).unwrap_or(usize::MAX));
        part.file.seek(SeekFrom::Start(within))?;
        let n = part.file.read(&mut buffer[..n])?;
        if n == 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("{} has become shorter", part.name)));
        }
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for MultipartReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::End(n) => self.length.checked_add_signed(n),
            SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "a place before the first byte");
        self.at = place.ok_or_else(before)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let whole: Vec<u8> = (0..100).collect();
        // One of them empty.
        let cuts = [0usize, 1, 40, 40, 100];
        let names: Vec<String> = cuts
            .windows(2)
            .map(|c| {
                let name = format!("part{}-{}", c[0], c[1]);
                std::fs::write(folder.path().join(&name), &whole[c[0]..c[1]]).unwrap();
                name
            })
            .collect();
        let mut reader = MultipartReader::open(folder.path(), &names).unwrap();
        let mut all = Vec::new();
        reader.read_to_end(&mut all).unwrap();
        assert_eq!(all, whole);
        for from in 0..100u64 {
            let mut four = Vec::new();
            reader.seek(SeekFrom::End(from as i64 - 100)).unwrap();
            reader.by_ref().take(4).read_to_end(&mut four).unwrap();
            assert_eq!(four, whole[from as usize..(from as usize + 4).min(100)]);
        }
        assert_eq!(reader.seek(SeekFrom::Start(7)).unwrap(), 7);
        assert_eq!(reader.seek(SeekFrom::Current(-3)).unwrap(), 4);
        assert!(reader.seek(SeekFrom::Current(-5)).is_err());
        assert_eq!(reader.seek(SeekFrom::End(5)).unwrap(), 105);
        assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
        assert!(MultipartReader::open(folder.path(), &["none".into()]).is_err());
    }
}
