//! Clips in folders, and whose they are.

use crate::detector::labels::collect;
use headgan::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Endings of videos; pictures show nobody move.
const VIDEOS: [&str; 7] = ["mp4", "mov", "mkv", "webm", "avi", "mpg", "m4v"];

/// A clip and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipFile {
    /// Of the file, without its ending; unique.
    pub name: String,
    pub path: PathBuf,
    pub person: String,
    /// Not to be trained on.
    pub held: bool,
    /// Whether the clip's licence allows commercial use.
    pub clean: bool,
}

/// A row of `people.csv`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Person {
    person: String,
    held: bool,
    clean: bool,
}

/// `people.csv`: the columns `file`, `person`, `split` (`held`: not to be trained on) and `clean` (`yes`).
fn people(folder: &Path) -> Result<BTreeMap<String, Person>> {
    let path = folder.join("people.csv");
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(BTreeMap::new()) };
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let column = |name: &str| {
        let found = header.iter().position(|h| *h == name);
        found.ok_or_else(|| Error::input(format!("{}: has no column '{name}'", path.display())))
    };
    let [file, person, split, clean] = [column("file")?, column("person")?, column("split")?, column("clean")?];
    // What comes before a quoted note has no comma of its own.
    let rows = lines.map(|line| line.split(',').collect::<Vec<_>>()).filter(|row| row.len() > clean.max(split));
    Ok(rows
        .map(|row| {
            let of = Person { person: row[person].into(), held: row[split] == "held", clean: row[clean] == "yes" };
            (row[file].to_owned(), of)
        })
        .collect())
}

/// The name of a file without its ending.
pub fn stem(name: &str) -> String {
    Path::new(name).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The clips of folders, at any depth, by name. A `people.csv` in one says who is who and who is held; `hold_out` are files with the names of
/// clips, one in each line, that are held too.
///
/// # Errors
/// [`Error::Input`] where there is no clip, two have the same name, or a folder or list cannot be read; [`Error::Usage`] for a file of
/// `hold_out` that cannot.
pub fn clip_files(folders: &[PathBuf], hold_out: &[PathBuf]) -> Result<Vec<ClipFile>> {
    let mut held: BTreeSet<String> = BTreeSet::new();
    for file in hold_out {
        let text = std::fs::read_to_string(file)
            .map_err(|e| Error::usage(format!("--hold-out {}: cannot be read ({e})", file.display())).with_source(e))?;
        held.extend(text.lines().map(str::trim).filter(|l| !l.is_empty()).map(stem));
    }
    let mut clips: BTreeMap<String, ClipFile> = BTreeMap::new();
    for folder in folders {
        let people = people(folder)?;
        let mut files = Vec::new();
        collect(folder, "", &mut files)?;
        for (file, path) in files {
            if path.extension().is_none_or(|e| !VIDEOS.iter().any(|v| e == *v)) {
                continue;
            }
            let (name, known) = (stem(&file), people.get(&file));
            let clip = ClipFile {
                person: known.map_or_else(|| name.clone(), |p| p.person.clone()),
                held: known.is_some_and(|p| p.held) || held.contains(&name),
                clean: known.is_some_and(|p| p.clean),
                name: name.clone(),
                path,
            };
            if clips.insert(name.clone(), clip).is_some() {
                return Err(Error::input(format!("two clips are called '{name}': rename one")));
            }
        }
    }
    if clips.is_empty() {
        return Err(Error::input("there is no clip in these folders"));
    }
    Ok(clips.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_held_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let text = "file,person,split,kind,seconds,width,has_speech,clean,note\n\
                    a.mp4,p1,train,real,3,320,yes,yes,\"one, two\"\nb.mp4,p2,held,real,3,320,no,no,\n";
        std::fs::write(dir.path().join("people.csv"), text).unwrap();
        for name in ["a.mp4", "b.mp4", "c.mp4", "d.png"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let hold_out = dir.path().join("held.txt");
        std::fs::write(&hold_out, "folder/c.mp4\n\n").unwrap();
        let (clips, hold_out) = ([dir.path().to_owned()], [hold_out]);
        let found: Vec<_> =
            clip_files(&clips, &hold_out).unwrap().into_iter().map(|c| (c.name, c.person, c.held, c.clean)).collect();
        let of = |name: &str, person: &str, held, clean| (name.to_owned(), person.to_owned(), held, clean);
        assert_eq!(found, [of("a", "p1", false, true), of("b", "p2", true, false), of("c", "c", true, false)]);
        std::fs::write(dir.path().join("people.csv"), "file,person\n").unwrap();
        assert!(clip_files(&clips, &hold_out).is_err());
    }
}
