//! The archive's files, each whole or not at all.

use super::UnpackReport;
use super::client::one_line;
use super::multipart_reader::MultipartReader;
use crate::interrupt;
use headgan::media::{Progress, atomic};
use headgan::{Error, Result};
use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// Bytes read at once.
const BLOCK: usize = 1 << 18;

/// Unpacks an archive into a folder. What is there with the right size and CRC-32 stays.
///
/// # Errors
/// [`Error::Input`] for an archive that is cut off, damaged or names files outside the folder (before anything of it is
/// written), and for a full disk; [`Error::Interrupted`].
pub fn unpack(reader: MultipartReader, name: &str, folder: &Path, quiet: bool) -> Result<UnpackReport> {
    let part_offsets = reader.part_offsets();
    let whole = "it was cut off or is none: compare its parts with --checksums";
    let mut archive = ZipArchive::new(BufReader::new(reader))
        .map_err(|e| Error::input(format!("{name}: cannot be read as an archive ({}): {whole}", one_line(&e))))?;
    for entry in archive.file_names() {
        if inside(entry).is_none() {
            let text = format!("{name}: its entry '{}' would lie outside the folder", entry.escape_debug());
            return Err(Error::input(format!("{text}: do not trust this archive")));
        }
    }
    let mut out = UnpackReport::default();
    let mut progress = Progress::new("unpacking, files", Some(archive.len() as u64), quiet);
    for i in 0..archive.len() {
        interrupt::check()?;
        progress.inc(1);
        let entry_name = archive.name_for_index(i).unwrap_or_default().to_owned();
        let mut entry = archive.by_index(i).map_err(|e| damaged(name, &entry_name, &names(&part_offsets), &e))?;
        let Some(path) = inside(&entry_name).map(|p| folder.join(p)) else { continue };
        if entry.is_dir() {
            std::fs::create_dir_all(&path).map_err(|e| atomic::write_error(&path, e))?;
            continue;
        }
        if entry.is_symlink() {
            let text = format!("{name}: its entry '{entry_name}' is a link: do not trust this archive");
            return Err(Error::input(text));
        }
        let (size, crc) = (entry.size(), entry.crc32());
        out.files += 1;
        out.bytes += size;
        if is_there(&path, size, crc)? {
            out.kept += 1;
            continue;
        }
        let part = part_at(&part_offsets, entry.data_start());
        let parent = atomic::folder_of(&path);
        std::fs::create_dir_all(&parent).map_err(|e| atomic::write_error(&parent, e))?;
        atomic::write(&path, |file| {
            let mut block = vec![0; BLOCK];
            let mut written = 0;
            // One byte more than there should be is enough to see that there are more.
            let mut data = entry.by_ref().take(size + 1);
            loop {
                interrupt::check()?;
                let n = data.read(&mut block).map_err(|e| damaged(name, &entry_name, part, &e))?;
                if n == 0 {
                    break;
                }
                written += n as u64;
                file.write_all(&block[..n]).map_err(|e| atomic::write_error(&path, e))?;
            }
            let wrong = || damaged(name, &entry_name, part, &format!("{written} bytes or more instead of {size}"));
            if written == size { Ok(()) } else { Err(wrong()) }
        })?;
    }
    progress.finish();
    Ok(out)
}

fn damaged(archive: &str, entry: &str, part: &str, why: &dyn std::fmt::Display) -> Error {
    Error::input(format!(
        "{archive}: its entry '{entry}' is damaged ({}): move {part} away and run again to download it anew",
        one_line(why)
    ))
}

fn names(part_offsets: &[(String, u64)]) -> String {
    part_offsets.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// The part that a byte of the archive is in.
fn part_at(part_offsets: &[(String, u64)], byte: u64) -> &str {
    part_offsets.iter().rev().find(|(_, start)| *start <= byte).map_or("", |(name, _)| name)
}

/// The relative path of an entry; none where it is absolute, leads upwards, or is another on some system.
fn inside(name: &str) -> Option<PathBuf> {
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\\', ':', '\0']);
    let parts: Vec<&str> = name.strip_suffix('/').unwrap_or(name).split('/').collect();
    parts.iter().all(|p| plain(p)).then(|| parts.iter().collect())
}

/// Whether a file has that size and CRC-32.
fn is_there(path: &Path, size: u64, crc: u32) -> Result<bool> {
    if !std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() == size) {
        return Ok(false);
    }
    let cannot = |e: std::io::Error| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e);
    let mut file = File::open(path).map_err(cannot)?;
    let mut hash = crc32fast::Hasher::new();
    let mut block = vec![0; BLOCK];
    loop {
        interrupt::check()?;
        match file.read(&mut block).map_err(cannot)? {
            0 => return Ok(hash.finalize() == crc),
            n => hash.update(&block[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_entry_leaves_the_folder() {
        assert_eq!(inside("mp4/id1/a.mp4").unwrap(), Path::new("mp4/id1/a.mp4"));
        assert_eq!(inside("mp4/id1/").unwrap(), Path::new("mp4/id1"));
        for bad in ["/etc/x", "../x", "a/../../x", "a/..", "a//b", "./a", "C:/x", "..\\x", "a\\b", "a\0b", "", "/"] {
            assert_eq!(inside(bad), None, "{bad}");
        }
    }

    #[test]
    fn bytes_belong_to_parts() {
        let part_offsets = [("a".to_owned(), 0), ("b".to_owned(), 10)];
        assert_eq!([0, 9, 10, 99].map(|byte| part_at(&part_offsets, byte)), ["a", "a", "b", "b"]);
    }
}
