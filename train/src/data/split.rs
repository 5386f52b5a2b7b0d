//! Who is held out: persons, never clips. A person whom training has seen tells nothing about strangers.
//!
//! Clips whose identities are more alike than [`SAME`] are one person's, and so are those that were cut out of one
//! file.

use super::store::{About, write_text};
use headgan::face::identity::cosine;
use headgan::random::Rng;
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Cosine between two clips' mean identities above which they count as the same person's. Chosen to err towards one
/// person.
pub const SAME: f32 = 0.45;

/// The split of a data set; stored as `split.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    pub seed: u64,
    /// The similarity that joined clips.
    pub same: f32,
    pub persons: Vec<Person>,
    /// The largest similarity between a clip held out and one that is not.
    pub nearest: f32,
}

/// The clips of one person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Person {
    pub held_out: bool,
    pub clips: Vec<String>,
}

/// Who is held out.
#[derive(Debug, Clone)]
pub enum HoldOut {
    /// So many persons, drawn.
    Drawn(usize),
    /// The persons whom these clips show.
    Named(Vec<String>),
}

/// Persons of clips, and who of them is held out.
///
/// # Errors
/// [`Error::Usage`] where a named clip is not there, or nobody would be left.
pub fn split(clips: &[About], hold_out: &HoldOut, seed: u64) -> Result<Split> {
    let mut group: Vec<usize> = (0..clips.len()).collect();
    for i in 0..clips.len() {
        for j in 0..i {
            let alike = cosine(&clips[i].identity, &clips[j].identity) > SAME;
            if alike || clips[i].source == clips[j].source {
                let (a, b) = (group[i], group[j]);
                group.iter_mut().filter(|g| **g == a).for_each(|g| *g = b);
            }
        }
    }
    let mut numbers = group.clone();
    numbers.sort_unstable();
    numbers.dedup();
    let members = |g: usize| -> Vec<String> {
        clips.iter().zip(&group).filter(|(_, of)| **of == g).map(|(c, _)| c.name.clone()).collect()
    };
    let mut persons: Vec<Person> = numbers.iter().map(|&g| Person { held_out: false, clips: members(g) }).collect();
    match hold_out {
        HoldOut::Drawn(n) => {
            let mut order: Vec<usize> = (0..persons.len()).collect();
            Rng::of(&[seed, 2]).shuffle(&mut order);
            order.iter().take(*n).for_each(|&p| persons[p].held_out = true);
        }
        HoldOut::Named(names) => {
            for name in names {
                let person = persons.iter_mut().find(|p| p.clips.contains(name));
                let missing =
                    || Error::Usage(format!("--hold-out names the clip '{name}', which is not in the data set"));
                person.ok_or_else(missing)?.held_out = true;
            }
        }
    }
    if persons.iter().all(|p| p.held_out) {
        let n = persons.len();
        return Err(Error::Usage(format!("all {n} persons would be held out; nobody would be left to train on")));
    }
    let out = |name: &str| persons.iter().any(|p| p.held_out && p.clips.iter().any(|c| c == name));
    let (held, rest): (Vec<&About>, Vec<&About>) = clips.iter().partition(|c| out(&c.name));
    let nearest = held.iter().flat_map(|a| rest.iter().map(|b| cosine(&a.identity, &b.identity)));
    let nearest = nearest.fold(0.0, f32::max);
    Ok(Split { seed, same: SAME, persons, nearest })
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
        let text = serde_json::to_string_pretty(self).map_err(|e| Error::Engine(format!("split.json: {e}")))?;
        write_text(&data.join("split.json"), &text)
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Input`] where it is missing or damaged.
    pub fn load(data: &Path) -> Result<Split> {
        let path = data.join("split.json");
        let bad = |e: &dyn std::fmt::Display| {
            Error::Input(format!("{}: cannot be used ({e}): prepare the data set again", path.display()))
        };
        let text = std::fs::read_to_string(&path).map_err(|e| bad(&e))?;
        serde_json::from_str(&text).map_err(|e| bad(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(name: &str, source: &str, identity: [f32; 2]) -> About {
        About {
            name: name.into(),
            source: source.into(),
            first: 0,
            frames: 20,
            usable: 20,
            square: [0.0, 0.0, 1.0],
            visible: [0.0, 0.0, 1.0, 1.0],
            inset: None,
            identity: identity.into(),
            model: String::new(),
        }
    }

    /// a and b look alike, b and c come from one file, d is another.
    fn clips() -> [About; 4] {
        [
            about("a", "1.mp4", [1.0, 0.0]),
            about("b", "2.mp4", [0.8, 0.6]),
            about("c", "2.mp4", [-1.0, 0.0]),
            about("d", "3.mp4", [0.0, -1.0]),
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
            assert!(split.nearest <= SAME);
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
}
