//! The part of an MP4 file's sound that is meant to be played: encoders put some silence in front, and the file's edit list says how much.
//!
//! ISO/IEC 14496-12: `moov`/`mvhd`, `moov`/`trak`/(`mdia`/(`hdlr`, `mdhd`), `edts`/`elst`).

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Largest `moov` that is read.
const MAX_MOOV: u64 = 64 << 20;

/// A stretch of a track.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Edit {
    /// Seconds left out at the start.
    pub start: f64,
    /// Seconds that follow; `None` is all.
    pub length: Option<f64>,
}

/// The edit of the first sound track; `None` where the file is another kind, has none, or several (which programs that edit
/// losslessly make, not encoders).
pub fn of_sound(path: &Path) -> Option<Edit> {
    let mut file = File::open(path).ok()?;
    loop {
        let mut head = [0; 16];
        file.read_exact(&mut head[..8]).ok()?;
        let mut header = 8;
        let mut size = u64::from(u32::from_be_bytes(*head[..4].first_chunk()?));
        if size == 1 {
            file.read_exact(&mut head[8..]).ok()?;
            (size, header) = (u64::from_be_bytes(*head[8..].first_chunk()?), 16);
        }
        // Size 0 reaches to the end of the file.
        let body = if size == 0 { MAX_MOOV } else { size.checked_sub(header)? };
        if head[4..8] == *b"moov" {
            let mut moov = Vec::new();
            file.take(body.min(MAX_MOOV)).read_to_end(&mut moov).ok()?;
            return of_movie(&moov);
        }
        if size == 0 {
            return None;
        }
        file.seek(SeekFrom::Current(i64::try_from(body).ok()?)).ok()?;
    }
}

/// The boxes in `data`.
fn boxes(mut data: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*data.first_chunk()?) as usize;
        let kind = *data.get(4..)?.first_chunk()?;
        let body = data.get(8..size)?;
        data = &data[size..];
        Some((kind, body))
    })
}

fn find<'a>(data: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
    let (first, rest) = path.split_first()?;
    let body = boxes(data).find(|(kind, _)| kind == *first)?.1;
    if rest.is_empty() { Some(body) } else { find(body, rest) }
}

fn of_movie(moov: &[u8]) -> Option<Edit> {
    let u32_at = |data: &[u8], at: usize| Some(u32::from_be_bytes(*data.get(at..)?.first_chunk()?));
    // Version 1 has times of 8 bytes in front.
    let scale =
        |data: &[u8]| Some(f64::from(u32_at(data, if *data.first()? == 1 { 20 } else { 12 })?)).filter(|s| *s > 0.0);
    let sound = |trak: &[u8]| find(trak, &[b"mdia", b"hdlr"]).is_some_and(|h| h.get(8..12) == Some(b"soun"));
    let trak = boxes(moov).find(|(kind, body)| kind == b"trak" && sound(body))?.1;
    let movie_scale = scale(find(moov, &[b"mvhd"])?)?;
    let track_scale = scale(find(trak, &[b"mdia", b"mdhd"])?)?;
    let list = find(trak, &[b"edts", b"elst"])?;
    if u32_at(list, 4)? != 1 {
        return None;
    }
    let (length, start) = if *list.first()? == 1 {
        let at = |i: usize| Some(u64::from_be_bytes(*list.get(i..)?.first_chunk()?));
        (at(8)? as f64, at(16)? as i64 as f64)
    } else {
        (f64::from(u32_at(list, 8)?), f64::from(u32_at(list, 12)? as i32))
    };
    // A start of -1 is a pause, not a place in the track.
    (start >= 0.0)
        .then_some(Edit { start: start / track_scale, length: (length > 0.0).then_some(length / movie_scale) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    fn file(handler: &[u8; 4], edits: &[u32]) -> Vec<u8> {
        let hdlr = boxed(b"hdlr", &[&words(&[0, 0])[..], handler, &words(&[0, 0, 0])].concat());
        let mdia = boxed(b"mdia", &[boxed(b"mdhd", &words(&[0, 0, 0, 44_100, 0, 0])), hdlr].concat());
        let edts = boxed(b"edts", &boxed(b"elst", &words(edits)));
        let trak = boxed(b"trak", &[mdia, edts].concat());
        let moov = boxed(b"moov", &[boxed(b"mvhd", &words(&[0, 0, 0, 1_000, 0])), trak].concat());
        [boxed(b"ftyp", b"M4A \0\0\0\0"), boxed(b"mdat", &[7; 30]), moov].concat()
    }

    #[test]
    fn lists() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.m4a");
        let of = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            of_sound(&path)
        };
        let whole = file(b"soun", &[0, 1, 2_500, 1_024, 0x10000]);
        assert_eq!(of(&whole), Some(Edit { start: 1_024.0 / 44_100.0, length: Some(2.5) }));
        assert_eq!(of(&file(b"soun", &[0, 1, 0, 0, 0x10000])), Some(Edit { start: 0.0, length: None }));
        assert_eq!(of(&file(b"soun", &[0, 1, 2_500, u32::MAX, 0x10000])), None);
        assert_eq!(of(&file(b"soun", &[0, 2, 1, 1, 1, 1, 1, 1])), None);
        assert_eq!(of(&file(b"vide", &[0, 1, 2_500, 1_024, 0x10000])), None);
        // Cut anywhere: no edit, no panic, no end of it.
        for n in 0..whole.len() {
            assert_eq!(of(&whole[..n]), None);
        }
    }
}
