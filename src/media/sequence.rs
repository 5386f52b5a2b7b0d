//! Image sequences: `f_%04d.png`, `f_####.exr`, or a folder of images.

use super::still::Format;
use super::{FrameRange, atomic};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A file name with a place for the frame number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    folder: PathBuf,
    before: String,
    after: String,
    /// Digits at least, filled with zeros.
    width: usize,
}

impl Pattern {
    /// Reads `f_%04d.png`, `f_%d.png` or `f_####.png`; `None` where the file name has no such place. The
    /// folder may not vary.
    pub fn parse(path: &Path) -> Option<Pattern> {
        let name = path.file_name()?.to_str()?;
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        let (start, end, width) = percent(name).or_else(|| hashes(name))?;
        Some(Pattern { folder, before: name[..start].to_string(), after: name[end..].to_string(), width })
    }

    /// The file of frame `n`.
    pub fn file(&self, n: usize) -> PathBuf {
        self.folder.join(format!("{}{n:0width$}{}", self.before, self.after, width = self.width))
    }

    /// The frame number of a file name, where it is one that [`Pattern::file`] gives.
    fn number(&self, name: &str) -> Option<usize> {
        let digits = name.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())?;
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let n: usize = digits.parse().ok()?;
        (format!("{n:0width$}", width = self.width) == digits).then_some(n)
    }
}

/// Where `%d` or `%04d` stands: start, end, digits.
fn percent(name: &str) -> Option<(usize, usize, usize)> {
    let start = name.find('%')?;
    let rest = &name[start + 1..];
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if rest.as_bytes().get(digits) != Some(&b'd') {
        return None;
    }
    let width = rest[..digits].parse::<usize>().unwrap_or(1);
    (width <= 20).then_some((start, start + 1 + digits + 1, width.max(1)))
}

/// Where the last run of `#` stands: start, end, digits.
fn hashes(name: &str) -> Option<(usize, usize, usize)> {
    let end = name.rfind('#')? + 1;
    let start = name[..end].bytes().rev().take_while(|b| *b == b'#').count();
    (start <= 20).then_some((end - start, end, start))
}

/// The files of a sequence, by frame number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Frame number and file, ascending, without gaps unless [`Sequence::gap`] tells one.
    files: Vec<(usize, PathBuf)>,
    /// The first missing number and the file it would have.
    gap: Option<(usize, PathBuf)>,
}

impl Sequence {
    /// The files that a pattern names.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder cannot be read or holds none.
    pub fn from_pattern(pattern: &Pattern, shown: &str) -> Result<Sequence> {
        let folder = if pattern.folder.as_os_str().is_empty() { Path::new(".") } else { &pattern.folder };
        let mut numbers: Vec<usize> = names(folder)?.iter().filter_map(|n| pattern.number(n)).collect();
        numbers.sort_unstable();
        if numbers.is_empty() {
            return Err(Error::input(format!("{shown}: no file of this sequence exists in {}", folder.display())));
        }
        let gap = numbers.windows(2).find(|w| w[1] != w[0] + 1).map(|w| (w[0] + 1, pattern.file(w[0] + 1)));
        let files = numbers.into_iter().map(|n| (n, pattern.file(n))).collect();
        Ok(Sequence { files, gap })
    }

    /// The images of a folder. Where all have one name with a number of equal length in it, they are
    /// numbered by it and must have no gaps; else they count from 0 in the order of their names, numbers
    /// compared by value.
    ///
    /// # Errors
    /// [`Error::Input`] where the folder cannot be read or holds no image.
    pub fn from_folder(folder: &Path) -> Result<Sequence> {
        let mut found: Vec<String> = names(folder)?
            .into_iter()
            .filter(|n| !n.starts_with('.') && Format::from_name(Path::new(n)).is_some() && folder.join(n).is_file())
            .collect();
        if found.is_empty() {
            return Err(Error::input(format!(
                "{}: no image (PNG, JPEG, TIFF, EXR) is in this folder",
                folder.display()
            )));
        }
        found.sort_by(|a, b| natural(a).cmp(&natural(b)).then_with(|| a.cmp(b)));
        if let Some(pattern) = common(&found, folder)
            && found.iter().all(|n| pattern.number(n).is_some())
        {
            return Sequence::from_pattern(&pattern, &folder.display().to_string());
        }
        let files = found.into_iter().enumerate().map(|(i, n)| (i, folder.join(n))).collect();
        Ok(Sequence { files, gap: None })
    }

    /// One file as a sequence of one frame, number 0.
    pub fn from_file(path: &Path) -> Sequence {
        Sequence { files: vec![(0, path.to_path_buf())], gap: None }
    }

    /// First frame number.
    pub fn first(&self) -> usize {
        self.files.first().map_or(0, |f| f.0)
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// True without files (never, once opened).
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The first file.
    pub fn first_file(&self) -> Option<&Path> {
        self.files.first().map(|f| f.1.as_path())
    }

    /// The first missing frame number between the first and the last.
    pub fn gap(&self) -> Option<usize> {
        self.gap.as_ref().map(|g| g.0)
    }

    /// The files of a range (`None`: all), checked to be without gaps.
    ///
    /// # Errors
    /// [`Error::Input`] that names the first missing frame and its file.
    pub fn range(&self, range: Option<FrameRange>) -> Result<Vec<(usize, PathBuf)>> {
        let last_there = self.files.last().map_or(0, |f| f.0);
        let (first, last) = match range {
            Some(r) => (r.first, r.last.unwrap_or(last_there.max(r.first))),
            None => (self.first(), last_there),
        };
        let chosen: Vec<_> = self.files.iter().filter(|f| (first..=last).contains(&f.0)).cloned().collect();
        let mut wanted = first;
        for (n, _) in &chosen {
            if *n != wanted {
                break;
            }
            wanted += 1;
        }
        if wanted <= last {
            let like = self.files.first().map(|f| f.1.clone()).unwrap_or_default();
            let file = match &self.gap {
                Some((n, file)) if *n == wanted => file.clone(),
                _ => named_like(&like, self.first(), wanted),
            };
            return Err(Error::input(format!(
                "frame {wanted} is missing: there is no {} (the sequence has frames {}-{last_there})",
                file.display(),
                self.first()
            )));
        }
        Ok(chosen)
    }
}

/// The file that frame `n` would have, from the file of frame `first`.
fn named_like(file: &Path, first: usize, n: usize) -> PathBuf {
    let name = file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    match last_number(&name) {
        Some((a, b)) if name[a..b].parse() == Ok(first) => {
            file.with_file_name(format!("{}{n:0width$}{}", &name[..a], &name[b..], width = b - a))
        }
        _ => file.with_file_name(format!("frame {n}")),
    }
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let fail = |e: std::io::Error| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "there is no such folder",
            _ => &atomic::plain(&e),
        };
        Error::input(format!("{}: {why}", folder.display())).with_source(e)
    };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(fail)? {
        // Names that are no text cannot belong to a pattern.
        if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Start and end of the last run of digits before the extension.
fn last_number(name: &str) -> Option<(usize, usize)> {
    let stem = name.rfind('.').unwrap_or(name.len());
    let end = name[..stem].rfind(|c: char| c.is_ascii_digit())? + 1;
    let start = name[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |i| i + name[i..].chars().next().map_or(1, char::len_utf8));
    Some((start, end))
}

/// The pattern of a folder whose names are all of one length and differ in their last number only.
fn common(names: &[String], folder: &Path) -> Option<Pattern> {
    let name = names.first()?;
    if names.len() < 2 || names.iter().any(|n| n.len() != name.len()) {
        return None;
    }
    let (a, b) = last_number(name)?;
    Some(Pattern { folder: folder.to_path_buf(), before: name[..a].into(), after: name[b..].into(), width: b - a })
}

/// A name cut into text and numbers, so that f9 sorts before f10.
fn natural(name: &str) -> Vec<(String, u128)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while !rest.is_empty() {
        let text = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let digits = rest[text..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - text);
        parts.push((rest[..text].to_string(), rest[text..text + digits].parse().unwrap_or(u128::MAX)));
        rest = &rest[text + digits..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(dir: &Path, names: &[&str]) {
        for n in names {
            std::fs::write(dir.join(n), b"x").unwrap();
        }
    }

    #[test]
    fn patterns() {
        let p = Pattern::parse(Path::new("out/f_%04d.png")).unwrap();
        assert_eq!(p.file(7), Path::new("out/f_0007.png"));
        assert_eq!(p.file(123_456), Path::new("out/f_123456.png"));
        assert_eq!(p.number("f_0012.png"), Some(12));
        assert_eq!((p.number("f_12.png"), p.number("f_.png"), p.number("f_0012.exr")), (None, None, None));
        assert_eq!(Pattern::parse(Path::new("a.####.exr")).unwrap().file(9), Path::new("a.0009.exr"));
        assert_eq!(Pattern::parse(Path::new("a#b_##.exr")).unwrap().file(9), Path::new("a#b_09.exr"));
        assert_eq!(Pattern::parse(Path::new("%d.png")).unwrap().file(12), Path::new("12.png"));
        assert_eq!(Pattern::parse(Path::new("100%.png")), None);
        assert_eq!(Pattern::parse(Path::new("plain.png")), None);
        assert_eq!(Pattern::parse(Path::new("f_%99d.png")), None);
    }

    #[test]
    fn gaps_name_frame_and_file() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["f_0003.png", "f_0004.png", "f_0006.png", "other.txt"]);
        let shown = dir.path().join("f_%04d.png");
        let s = Sequence::from_pattern(&Pattern::parse(&shown).unwrap(), "x").unwrap();
        assert_eq!((s.first(), s.len(), s.gap()), (3, 3, Some(5)));
        let e = s.range(None).unwrap_err().to_string();
        assert!(e.contains("frame 5 is missing") && e.contains("f_0005.png"), "{e}");
        assert_eq!(s.range(Some(FrameRange::new(3, 4))).unwrap().len(), 2);
        let e = s.range(Some(FrameRange::new(6, 9))).unwrap_err().to_string();
        assert!(e.contains("frame 7") && e.contains("f_0007.png") && e.contains("3-6"), "{e}");
        let e = s.range(Some(FrameRange { first: 20, last: None })).unwrap_err().to_string();
        assert!(e.contains("frame 20"), "{e}");
        // folders with a numbering of one length are sequences too
        assert_eq!(Sequence::from_folder(dir.path()).unwrap().gap(), Some(5));
    }

    #[test]
    fn folders_sort_naturally() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["s10.jpg", "s9.png", "a.tif", ".hidden.png", "note.txt"]);
        let s = Sequence::from_folder(dir.path()).unwrap();
        let names: Vec<_> =
            s.range(None).unwrap().iter().map(|f| f.1.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["a.tif", "s9.png", "s10.jpg"]);
        let empty = tempfile::tempdir().unwrap();
        assert!(matches!(Sequence::from_folder(empty.path()), Err(Error::Input(_))));
        assert!(matches!(Sequence::from_folder(&empty.path().join("none")), Err(Error::Input(_))));
        let p = Pattern::parse(&empty.path().join("f%d.png")).unwrap();
        assert!(matches!(Sequence::from_pattern(&p, "f%d.png"), Err(Error::Input(_))));
    }
}
