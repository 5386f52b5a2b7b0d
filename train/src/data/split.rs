//! Who is held out: persons, never clips. A person whom training has seen tells nothing about strangers.
//!
//! Clips whose identities are more alike than [`SAME_PERSON`] are one person's, and so are those that were cut out of one
//! file. Where the folders that clips lie in say whose they are ([`ClipMetadata::person`]), that counts instead.

use super::store::{ClipMetadata, write_text};
use crate::interrupt;
use headgan::face::embedding::cosine;
use headgan::random::Rng;
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Cosine between two clips' mean identities above which they count as the same person's. Chosen to err towards one
/// person.
pub const SAME_PERSON: f32 = 0.45;

/// The split of a data set; stored as `split.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    pub seed: u64,
    /// The similarity that joined clips; none where their folders did.
    pub same: Option<f32>,
    pub persons: Vec<Person>,
    /// The largest similarity between a clip held out and one that is not.
    pub nearest: f32,
}

/// The clips of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub held_out: bool,
    /// The name of the person's folder, where that says who it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub clips: Vec<String>,
}

/// Who is held out.
#[derive(Debug, Clone)]
pub enum HoldOut {
    /// So many persons, drawn.
    Drawn(usize),
    /// The persons of these names, or whom these clips show.
    Named(Vec<String>),
}

/// Persons of clips, and who of them is held out.
///
/// # Errors
/// [`Error::Usage`] where a named clip or person is not there, nobody would be left, or only some clips have a person
/// from their folder; [`Error::Interrupted`].
pub fn split(clips: &[ClipMetadata], hold_out: &HoldOut, seed: u64) -> Result<Split> {
    let known = clips.iter().filter(|c| c.person.is_some()).count();
    let mut persons = match known {
        0 => by_likeness(clips)?,
        n if n == clips.len() => by_folder(clips),
        n => {
            let text =
                format!("{n} of {} clips have a person from their folder: give the others a data set", clips.len());
            return Err(Error::usage(format!("{text} of their own")));
        }
    };
    match hold_out {
        HoldOut::Drawn(n) => {
            let mut order: Vec<usize> = (0..persons.len()).collect();
            Rng::from_parts(&[seed, 2]).shuffle(&mut order);
            order.iter().take(*n).for_each(|&p| persons[p].held_out = true);
        }
        HoldOut::Named(names) => {
            for name in names {
                let is = |p: &&mut Person| p.name.as_ref() == Some(name) || p.clips.contains(name);
                let missing = || {
                    Error::usage(format!("--hold-out names '{name}', which is neither clip nor person of the data set"))
                };
                persons.iter_mut().find(is).ok_or_else(missing)?.held_out = true;
            }
        }
    }
    if persons.iter().all(|p| p.held_out) {
        let n = persons.len();
        return Err(Error::usage(format!("all {n} persons would be held out; nobody would be left to train on")));
    }
    let out: BTreeSet<&str> =
        persons.iter().filter(|p| p.held_out).flat_map(|p| p.clips.iter().map(String::as_str)).collect();
    let (held, rest): (Vec<&ClipMetadata>, Vec<&ClipMetadata>) =
        clips.iter().partition(|c| out.contains(c.name.as_str()));
    let mut nearest = 0.0f32;
    for a in held {
        interrupt::check()?;
        nearest = rest.iter().map(|b| cosine(&a.identity, &b.identity)).fold(nearest, f32::max);
    }
    Ok(Split { seed, same: (known == 0).then_some(SAME_PERSON), persons, nearest })
}

/// Clips of one folder are one person's.
fn by_folder(clips: &[ClipMetadata]) -> Vec<Person> {
    let mut persons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for clip in clips {
        persons.entry(clip.person.as_deref().unwrap_or_default()).or_default().push(clip.name.clone());
    }
    let person = |(name, clips): (&str, Vec<String>)| Person { held_out: false, name: Some(name.into()), clips };
    persons.into_iter().map(person).collect()
}

/// Clips that look alike or come from one file are one person's.
fn by_likeness(clips: &[ClipMetadata]) -> Result<Vec<Person>> {
    let mut group: Vec<usize> = (0..clips.len()).collect();
    for i in 0..clips.len() {
        interrupt::check()?;
        for j in 0..i {
            let alike = cosine(&clips[i].identity, &clips[j].identity) > SAME_PERSON;
            if alike || clips[i].source == clips[j].source {
                let (a, b) = (group[i], group[j]);
                group.iter_mut().filter(|g| **g == a).for_each(|g| *g = b);
            }
        }
    }
    let mut persons: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (clip, number) in clips.iter().zip(group) {
        persons.entry(number).or_default().push(clip.name.clone());
    }
    Ok(persons.into_values().map(|clips| Person { held_out: false, name: None, clips }).collect())
}

impl Split {
    /// The names of the clips held out, or of the others.
    pub fn clips(&self, held_out: bool) -> Vec<&str> {
        self.persons
            .iter()
            .filter(|p| p.held_out == held_out)
            .flat_map(|p| p.clips.iter().map(String::as_str))
            .collect()
    }

    /// Writes `split.json` of a data set.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails.
    pub fn save(&self, data: &Path) -> Result<()> {
        let text =
            serde_json::to_string_pretty(self).map_err(|e| Error::engine(format!("split.json: {e}")).with_source(e))?;
        write_text(&data.join("split.json"), &text)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Input`] where it is missing or damaged.
    pub fn load(data: &Path) -> Result<Split> {
        let path = data.join("split.json");
        let bad = |e: &dyn std::fmt::Display| {
            Error::input(format!("{}: cannot be used ({e}): prepare the data set again", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|e| bad(&e))?;
        serde_json::from_str(&text).map_err(|e| bad(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(name: &str, source: &str, identity: [f32; 2]) -> ClipMetadata {
        ClipMetadata {
            name: name.into(),
            source: source.into(),
            first: 0,
            frames: 20,
            usable: 20,
            square: [0.0, 0.0, 1.0],
            visible: [0.0, 0.0, 1.0, 1.0],
            inset: None,
            person: None,
            identity: identity.into(),
            model: String::new(),
            sound: None,
        }
    }

    /// a and b look alike, b and c come from one file, d is another.
    fn clips() -> [ClipMetadata; 4] {
        [
            metadata("a", "1.mp4", [1.0, 0.0]),
            metadata("b", "2.mp4", [0.8, 0.6]),
            metadata("c", "2.mp4", [-1.0, 0.0]),
            metadata("d", "3.mp4", [0.0, -1.0]),
        ]
    }

    #[test]
    fn a_person_is_on_one_side() {
        for seed in 0..20 {
            let split = split(&clips(), &HoldOut::Drawn(1), seed).unwrap();
            assert_eq!(split.persons.len(), 2);
            let side = split.clips(true);
            assert!(side == ["a", "b", "c"] || side == ["d"], "{side:?}");
            assert_eq!(split.clips(false).len() + side.len(), 4);
            assert!(split.nearest <= SAME_PERSON);
        }
        let drawn = |seed| split(&clips(), &HoldOut::Drawn(1), seed).unwrap().clips(true).len();
        assert!((0..20).map(drawn).collect::<std::collections::BTreeSet<_>>().len() == 2, "the seed draws");
    }

    #[test]
    fn persons_are_held_out_by_a_clip_of_theirs() {
        let named = |names: &[&str]| HoldOut::Named(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(split(&clips(), &named(&["b"]), 1).unwrap().clips(true), ["a", "b", "c"]);
        assert!(split(&clips(), &named(&["e"]), 1).unwrap_err().to_string().contains("'e'"));
        assert!(split(&clips(), &named(&["a", "d"]), 1).is_err());
    }
    #[test]
    fn folders_say_who_it_is() {
        // By their looks a, b and c would be one person.
        let folders = [("a", "id1"), ("b", "id2"), ("c", "id2"), ("d", "id3")];
        let mut named = clips();
        for (clip, (name, person)) in named.iter_mut().zip(folders) {
            assert_eq!(clip.name, name);
            clip.person = Some(person.into());
        }
        let by_name = split(&named, &HoldOut::Named(vec!["id2".into()]), 1).unwrap();
        assert_eq!(by_name.clips(true), ["b", "c"]);
        assert_eq!(by_name, split(&named, &HoldOut::Named(vec!["c".into()]), 1).unwrap());
        assert_eq!(
            by_name.persons.iter().map(|p| p.name.as_deref().unwrap()).collect::<Vec<_>>(),
            ["id1", "id2", "id3"]
        );
        assert_eq!(by_name.same, None);
        assert!(by_name.nearest > SAME_PERSON, "what the folders say is still measured");
        named[3].person = None;
        assert!(split(&named, &HoldOut::Drawn(1), 1).unwrap_err().to_string().starts_with("3 of 4 clips"));
    }

    #[test]
    fn a_split_of_before_is_read() {
        let text = r#"{"seed": 1, "same": 0.45, "persons": [{"held_out": true, "clips": ["a"]}], "nearest": 0.1}"#;
        let split: Split = serde_json::from_str(text).unwrap();
        assert_eq!((split.same, split.persons[0].name.as_ref()), (Some(SAME_PERSON), None));
    }
}
