//! A prepared clip: what its windows show, a file for the eyes and one for the mouth.
//!
//! A safetensors file has, for S windows (two eyes, or a mouth), K reference frames and T driving frames of which two and two follow each
//! other: `reference` [S, K, 3 + C, s, s], the picture and its contours, bytes; `target` [S, T, 3 + C, s, s], the true picture and the contours
//! that drive; `draft` [S, K, T, 3, s, s], Draft's picture; `reference_seen` [S, K] and `target_seen` [S, T], 1 where the window can be used;
//! `reference_signal` [S, K, 2] and `target_signal` [S, T, 2], what it shows in numbers; for the mouth `sound` [T, 300]. The metadata
//! `clip` is a [`ClipNote`].

use headgan::audio::layout::ALL;
use headgan::media::atomic;
use headgan::reenact::windows::{CONTOURS, Part};
use headgan::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// Channels of a picture with its contours.
pub const CHANNELS: usize = 3 + CONTOURS;

/// Which network's windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Eye,
    Mouth,
}

impl Kind {
    pub const ALL: [Kind; 2] = [Kind::Eye, Kind::Mouth];

    /// Its windows.
    pub fn parts(self) -> &'static [Part] {
        if self == Kind::Eye { &[Part::RightEye, Part::LeftEye] } else { &[Part::Mouth] }
    }

    /// As packs and commands name it.
    pub fn name(self) -> &'static str {
        self.parts()[0].network()
    }

    pub fn side(self) -> usize {
        self.parts()[0].side()
    }

    /// Bytes of a window of so many channels.
    fn bytes(self, channels: usize) -> usize {
        channels * self.side() * self.side()
    }
}

/// What is known of a prepared clip, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClipNote {
    pub name: String,
    pub person: String,
    /// Not to be trained on.
    pub held: bool,
    /// Whether the clip's licence allows commercial use.
    pub clean: bool,
    /// Frames, counted from the clip's first.
    pub references: Vec<usize>,
    pub targets: Vec<usize>,
    pub has_sound: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// A clip's windows of one kind.
#[derive(Debug, Clone)]
pub struct WindowClip {
    pub kind: Kind,
    pub note: ClipNote,
    pub reference: Vec<u8>,
    pub target: Vec<u8>,
    pub draft: Vec<u8>,
    pub reference_seen: Vec<u8>,
    pub target_seen: Vec<u8>,
    pub reference_signal: Vec<f32>,
    pub target_signal: Vec<f32>,
    pub sound: Vec<f32>,
}

impl WindowClip {
    /// Without any window seen yet.
    pub fn empty(kind: Kind, note: ClipNote) -> WindowClip {
        let (s, k, t) = (kind.parts().len(), note.references.len(), note.targets.len());
        WindowClip {
            reference: vec![0; s * k * kind.bytes(CHANNELS)],
            target: vec![0; s * t * kind.bytes(CHANNELS)],
            draft: vec![0; s * k * t * kind.bytes(3)],
            reference_seen: vec![0; s * k],
            target_seen: vec![0; s * t],
            reference_signal: vec![0.0; 2 * s * k],
            target_signal: vec![0.0; 2 * s * t],
            sound: if kind == Kind::Mouth { vec![0.0; ALL * t] } else { Vec::new() },
            kind,
            note,
        }
    }

    fn counts(&self) -> [usize; 3] {
        [self.kind.parts().len(), self.note.references.len(), self.note.targets.len()]
    }

    /// The reference's picture and contours in window `s`, frame `k`.
    pub fn reference_at(&self, s: usize, k: usize) -> &[u8] {
        at(&self.reference, s * self.counts()[1] + k, self.kind.bytes(CHANNELS))
    }

    /// The true picture and the contours in window `s`, frame `t`.
    pub fn target_at(&self, s: usize, t: usize) -> &[u8] {
        at(&self.target, s * self.counts()[2] + t, self.kind.bytes(CHANNELS))
    }

    /// Draft's picture in window `s` for reference `k` and frame `t`.
    pub fn draft_at(&self, s: usize, k: usize, t: usize) -> &[u8] {
        let [_, references, targets] = self.counts();
        at(&self.draft, (s * references + k) * targets + t, self.kind.bytes(3))
    }

    pub fn reference_at_mut(&mut self, s: usize, k: usize) -> &mut [u8] {
        let (i, n) = (s * self.counts()[1] + k, self.kind.bytes(CHANNELS));
        &mut self.reference[i * n..(i + 1) * n]
    }

    pub fn target_at_mut(&mut self, s: usize, t: usize) -> &mut [u8] {
        let (i, n) = (s * self.counts()[2] + t, self.kind.bytes(CHANNELS));
        &mut self.target[i * n..(i + 1) * n]
    }

    pub fn draft_at_mut(&mut self, s: usize, k: usize, t: usize) -> &mut [u8] {
        let [_, references, targets] = self.counts();
        let (i, n) = ((s * references + k) * targets + t, self.kind.bytes(3));
        &mut self.draft[i * n..(i + 1) * n]
    }

    /// Pairs of frames that follow each other and can both be used in window `s`: the first of each.
    pub fn pairs(&self, s: usize) -> Vec<usize> {
        let t = self.counts()[2];
        let seen = |i: usize| self.target_seen[s * t + i] > 0;
        (0..t / 2).map(|i| 2 * i).filter(|&i| seen(i) && seen(i + 1)).collect()
    }

    /// Reference frames that can be used in window `s`.
    pub fn references(&self, s: usize) -> Vec<usize> {
        let k = self.counts()[1];
        (0..k).filter(|i| self.reference_seen[s * k + i] > 0).collect()
    }

    /// How unlike two windows are, in window `s`: reference `k` and frame `t`.
    pub fn difference(&self, s: usize, k: usize, t: usize) -> f64 {
        let [_, references, targets] = self.counts();
        let (a, b) = (2 * (s * references + k), 2 * (s * targets + t));
        (0..2).map(|c| f64::from((self.reference_signal[a + c] - self.target_signal[b + c]).abs())).sum()
    }

    /// The audio values of a frame; none of an eye.
    pub fn sound_at(&self, t: usize) -> &[f32] {
        if self.sound.is_empty() { &[] } else { &self.sound[ALL * t..ALL * (t + 1)] }
    }

    /// Writes it.
    ///
    /// # Errors
    /// [`Error::Input`] where that fails.
    pub fn save(&self, path: &Path) -> Result<()> {
        let [s, k, t] = self.counts();
        let side = self.kind.side();
        let floats = |v: &[f32]| -> Vec<u8> { v.iter().flat_map(|v| v.to_le_bytes()).collect() };
        let (of_reference, of_target) = (floats(&self.reference_signal), floats(&self.target_signal));
        let sound = floats(&self.sound);
        let parts: [(&str, Dtype, Vec<usize>, &[u8]); 8] = [
            ("reference", Dtype::U8, vec![s, k, CHANNELS, side, side], &self.reference),
            ("target", Dtype::U8, vec![s, t, CHANNELS, side, side], &self.target),
            ("draft", Dtype::U8, vec![s, k, t, 3, side, side], &self.draft),
            ("reference_seen", Dtype::U8, vec![s, k], &self.reference_seen),
            ("target_seen", Dtype::U8, vec![s, t], &self.target_seen),
            ("reference_signal", Dtype::F32, vec![s, k, 2], &of_reference),
            ("target_signal", Dtype::F32, vec![s, t, 2], &of_target),
            ("sound", Dtype::F32, vec![self.sound.len() / ALL, ALL], &sound),
        ];
        let views = parts.into_iter().map(|(name, kind, shape, data)| Ok((name, TensorView::new(kind, shape, data)?)));
        let views = views.collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>();
        let note = serde_json::to_string(&self.note).unwrap_or_default();
        let metadata = HashMap::from([("clip".to_owned(), note), ("kind".to_owned(), self.kind.name().to_owned())]);
        let file = views.and_then(|views| safetensors::serialize(views, Some(metadata)));
        let file = file.map_err(|e| Error::engine(format!("windows cannot be laid out ({e})")).with_source(e))?;
        atomic::write(path, |out| out.write_all(&file).map_err(|e| atomic::write_error(path, e)))
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`Error::Input`] where the file is damaged, or of another kind or version.
    pub fn load(path: &Path, kind: Kind) -> Result<WindowClip> {
        let bad = |what: &dyn std::fmt::Display| {
            Error::input(format!("{}: holds no windows ({what}): remove it and prepare again", path.display()))
        };
        let bytes = headgan::weights::safetensors::read_bytes(path)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let note = metadata.get("clip").ok_or_else(|| bad(&"it has no note"))?;
        let note: ClipNote = serde_json::from_str(note).map_err(|e| bad(&e))?;
        if metadata.get("kind").is_none_or(|k| k != kind.name()) {
            return Err(bad(&format!("of {}s", kind.name())));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|e| bad(&e))?;
        let mut out = WindowClip::empty(kind, note);
        let part = |name: &str, length: usize| -> Result<Vec<u8>> {
            let data = file.tensor(name).map_err(|e| bad(&e))?.data().to_vec();
            if data.len() == length { Ok(data) } else { Err(bad(&format!("'{name}' is of another size"))) }
        };
        let floats = |name: &str, length: usize| -> Result<Vec<f32>> {
            let data = part(name, 4 * length)?;
            Ok(data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
        };
        out.reference = part("reference", out.reference.len())?;
        out.target = part("target", out.target.len())?;
        out.draft = part("draft", out.draft.len())?;
        out.reference_seen = part("reference_seen", out.reference_seen.len())?;
        out.target_seen = part("target_seen", out.target_seen.len())?;
        out.reference_signal = floats("reference_signal", out.reference_signal.len())?;
        out.target_signal = floats("target_signal", out.target_signal.len())?;
        out.sound = floats("sound", out.sound.len())?;
        Ok(out)
    }
}

fn at(values: &[u8], index: usize, size: usize) -> &[u8] {
    &values[index * size..(index + 1) * size]
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A clip of two references and four driving frames, of what `rng` draws.
    pub fn clip(kind: Kind, seed: u64, held: bool) -> WindowClip {
        let note = ClipNote {
            name: format!("clip{seed}"),
            person: format!("p{seed}"),
            held,
            clean: false,
            references: vec![0, 5],
            targets: vec![10, 11, 20, 21],
            has_sound: kind == Kind::Mouth,
            rejected: None,
        };
        let mut out = WindowClip::empty(kind, note);
        let mut rng = headgan::random::Rng(seed);
        // Smooth pictures: noise teaches nothing.
        let side = kind.side();
        let mut fill = |values: &mut Vec<u8>| {
            for plane in values.chunks_exact_mut(side * side) {
                let (base, slope) = (rng.unit() * 120.0, rng.unit() * 100.0);
                for (i, v) in plane.iter_mut().enumerate() {
                    *v = (base + slope * (i % side) as f64 / side as f64) as u8;
                }
            }
        };
        for values in [&mut out.reference, &mut out.target, &mut out.draft] {
            fill(values);
        }
        out.reference_seen.fill(1);
        out.target_seen.fill(1);
        out.target_signal.iter_mut().enumerate().for_each(|(i, v)| *v = i as f32);
        out.sound.iter_mut().enumerate().for_each(|(i, v)| *v = (i % 7) as f32 * 0.1);
        out
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        for kind in Kind::ALL {
            let one = clip(kind, 3, false);
            let path = dir.path().join("a.safetensors");
            one.save(&path).unwrap();
            let two = WindowClip::load(&path, kind).unwrap();
            assert_eq!((&one.note, &one.reference, &one.target), (&two.note, &two.reference, &two.target));
            assert_eq!((&one.draft, &one.sound, &one.target_signal), (&two.draft, &two.sound, &two.target_signal));
            let other = if kind == Kind::Eye { Kind::Mouth } else { Kind::Eye };
            assert!(WindowClip::load(&path, other).is_err());
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
            assert!(WindowClip::load(&path, kind).is_err());
        }
        let one = clip(Kind::Eye, 3, false);
        assert_eq!((one.pairs(1), one.references(0)), (vec![0, 2], vec![0, 1]));
        assert_eq!(one.draft_at(1, 1, 3), &one.draft[15 * 3 * 64 * 64..]);
    }
}
