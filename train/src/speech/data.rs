//! Transcribed speech: a folder with sounds and `manifest.jsonl`, a line a sound.

use super::config::LABELS;
use crate::interrupt;
use headgan::audio::Sound;
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The manifest's file name.
pub const MANIFEST: &str = "manifest.jsonl";
/// The set that is trained on; all others are held out.
pub const TRAIN: &str = "train";
/// Longest sound that is trained on, in seconds.
pub const LONGEST: f64 = 30.0;

/// A line of the manifest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Utterance {
    /// The file, from the manifest's folder on.
    pub sound: PathBuf,
    /// What it says: letters, apostrophes and spaces; other punctuation counts as a space, case does not count.
    pub text: String,
    /// [`TRAIN`], or the name of a set that is held out.
    #[serde(default = "train")]
    pub set: String,
    /// Who speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    /// How long it lasts; measured where it is not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// When each character of the text begins, in seconds, where that is known; empty where none is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub onsets: Vec<Option<f64>>,
}

fn train() -> String {
    TRAIN.into()
}

/// The characters of a text as [`LABELS`] has them.
///
/// # Errors
/// What cannot be read aloud by letters, such as digits.
pub fn normalize_text(text: &str) -> Result<String, String> {
    let mut out = String::new();
    for c in text.chars() {
        let c = match c {
            '\u{2018}' | '\u{2019}' => '\'',
            c if c.is_whitespace() || c.is_ascii_punctuation() && c != '\'' => ' ',
            '\u{2013}' | '\u{2014}' | '\u{201c}' | '\u{201d}' | '\u{2026}' => ' ',
            c => c.to_ascii_uppercase(),
        };
        if !LABELS[1..].contains(c) {
            return Err(format!("'{c}' is no letter of {}: write it out in words", &LABELS[2..LABELS.len() - 1]));
        }
        if c != ' ' || !out.is_empty() && !out.ends_with(' ') {
            out.push(c);
        }
    }
    Ok(out.trim_end().into())
}

/// The labels of a [`normalize_text`] text.
pub fn labels(text: &str) -> Vec<i64> {
    text.chars().filter_map(|c| LABELS.find(c)).map(|i| i as i64).collect()
}

/// A data set: its folder and utterances, texts made [`normalize_text`], every length known.
#[derive(Debug, Clone)]
pub struct SpeechDataSet {
    folder: PathBuf,
    /// What is trained on.
    pub train: Vec<Utterance>,
    /// What is held out, by set.
    pub held_out: BTreeMap<String, Vec<Utterance>>,
}

impl SpeechDataSet {
    /// Reads a manifest. Sounds of [`TRAIN`] that are longer than [`LONGEST`] are left out.
    ///
    /// # Errors
    /// [`Error::Input`] naming the line that cannot be read, or a sound that is not there.
    pub fn open(folder: &Path) -> Result<SpeechDataSet> {
        let path = folder.join(MANIFEST);
        let text = std::fs::read_to_string(&path).map_err(|e| {
            Error::input(format!(
                "{}: cannot be read ({e}): make one with headgan-train speech-data, or write a line for each sound",
                path.display()
            ))
        })?;
        let mut out = SpeechDataSet { folder: folder.to_owned(), train: Vec::new(), held_out: BTreeMap::new() };
        for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let bad = |e: &dyn std::fmt::Display| Error::input(format!("{}, line {}: {e}", path.display(), i + 1));
            let mut one: Utterance = serde_json::from_str(line).map_err(|e| bad(&e))?;
            let clean = normalize_text(&one.text).map_err(|e| bad(&e))?;
            let fits = one.onsets.len() == one.text.chars().count() && clean.len() == one.onsets.len();
            if !(one.onsets.is_empty() || fits) {
                return Err(bad(&format!(
                    "{} onsets for the {} characters of '{clean}': give each one, or null",
                    one.onsets.len(),
                    clean.len()
                )));
            }
            one.text = clean;
            if one.seconds.is_none() {
                one.seconds = Some(out.sound(&one)?.seconds());
            }
            match &one.set {
                set if set != TRAIN => out.held_out.entry(set.clone()).or_default().push(one),
                _ if one.seconds <= Some(LONGEST) => out.train.push(one),
                _ => {}
            }
        }
        Ok(out)
    }

    /// An utterance's sound.
    ///
    /// # Errors
    /// Those of [`Sound::load`].
    pub fn sound(&self, utterance: &Utterance) -> Result<Sound> {
        Sound::load_cancellable(&self.folder.join(&utterance.sound), interrupt::token())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::synthetic::sound::wav;

    #[test]
    fn texts() {
        assert_eq!(normalize_text(" Don\u{2019}t stop,  now! ").unwrap(), "DON'T STOP NOW");
        assert!(normalize_text("route 66").unwrap_err().contains("'6'"));
        assert_eq!(labels("A' Z"), [2, 1, 28, 27]);
    }

    #[test]
    fn manifests() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.wav"), wav(&[0.25; 8_000])).unwrap();
        let of = |text: &str| {
            std::fs::write(folder.path().join(MANIFEST), text).unwrap();
            SpeechDataSet::open(folder.path())
        };
        let data = of("{\"sound\": \"a.wav\", \"text\": \"one, two\"}\n\n\
                       {\"sound\": \"a.wav\", \"text\": \"a\", \"set\": \"mine\", \"onsets\": [0.1]}\n\
                       {\"sound\": \"b.wav\", \"text\": \"too long\", \"seconds\": 99}\n")
        .unwrap();
        assert_eq!((data.train.len(), data.train[0].text.as_str()), (1, "ONE TWO"));
        assert!((data.train[0].seconds.unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(data.held_out["mine"][0].onsets, [Some(0.1)]);
        for (text, says) in [
            ("{\"sound\": \"a.wav\"}", "line 1"),
            ("\n{\"sound\": \"a.wav\", \"text\": \"9\"}", "line 2: '9'"),
            ("{\"sound\": \"none.wav\", \"text\": \"a\"}", "none.wav"),
            ("{\"sound\": \"a.wav\", \"text\": \"ab\", \"onsets\": [1]}", "1 onsets for the 2"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
