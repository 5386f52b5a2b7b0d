//! A clip that was analysed, as the cache keeps it: what each frame's pixels are, and what the face does in it.
//!
//! Hosts tell a frame's time but not its file, and an edit moves clips about. So a frame is found again by its pixels;
//! its place in the clip only decides between frames that look alike.

use crate::face::choose::Choice;
use crate::key::Key;
use crate::shot::analyse::Analysis;
use crate::shot::cache::Cache;
use crate::shot::motion::Motion;
use crate::weights::{Array, Data, Weights};

/// Changes whenever the analysis of the same clip may come out differently.
const VERSION: &[u8] = b"1";

/// What is known of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnalysis {
    /// Pose and expression of every frame.
    pub motion: Motion,
    /// A key for each frame ([`pixels`](crate::shot::analyse::pixels)).
    pub pixels: Vec<Key>,
    /// The networks that observed it.
    pub networks: Key,
    /// The face that was followed.
    pub face: String,
}

impl StoredAnalysis {
    /// What an analysis found with these networks; `model` is the morphable model's blake3.
    pub fn new(analysis: &Analysis, networks: Key, model: &str, face: Choice) -> StoredAnalysis {
        StoredAnalysis { motion: analysis.motion(model), pixels: analysis.pixels.clone(), networks, face: name(face) }
    }

    /// The key that it is stored under: of all frames' pixels, the networks and the choice of the face.
    pub fn key(&self) -> Key {
        let frames: Vec<u8> = self.pixels.iter().flat_map(|k| *k.bytes()).collect();
        Key::new("shot", &[VERSION, self.networks.bytes(), self.face.as_bytes(), &frames])
    }

    /// Whether it was made with these networks, of the face that `choice` picks.
    pub fn is_of(&self, networks: &Key, choice: Choice) -> bool {
        self.networks == *networks && self.face == name(choice)
    }

    /// The frame with these pixels, counted from 0: of several the one nearest to `expected`.
    pub fn find(&self, pixels: &Key, expected: i64) -> Option<usize> {
        let same = self.pixels.iter().enumerate().filter(|(_, k)| *k == pixels).map(|(i, _)| i);
        same.min_by_key(|&i| (i as i64 - expected).unsigned_abs())
    }

    /// Stores it; what counts comes back, with its key: another program's, if that was first.
    pub fn put(self, cache: &Cache) -> (Key, StoredAnalysis) {
        let key = self.key();
        let kept = decode(&cache.put(&key, encode(&self)));
        (key, kept.unwrap_or(self))
    }

    /// What is stored under a key.
    pub fn get(cache: &Cache, key: &Key) -> Option<StoredAnalysis> {
        decode(&cache.get(key)?)
    }
}

fn name(choice: Choice) -> String {
    format!("{choice:?}")
}

/// The motion's arrays, `identity` [s] where it is known, and `pixels` [n, 8], the keys' bytes four by four.
fn encode(known: &StoredAnalysis) -> Weights {
    let mut out = known.motion.to_arrays();
    if let Some(identity) = &known.motion.identity {
        out.insert("identity", Array::f32([identity.len()], identity.clone()));
    }
    let words = known.pixels.iter().flat_map(|k| {
        let (words, _) = k.bytes().as_chunks::<4>();
        words.iter().map(|b| i32::from_le_bytes(*b))
    });
    let words = words.collect();
    out.insert("pixels", Array { shape: vec![known.pixels.len(), 8], data: Data::I32(words) });
    out.metadata.insert("networks".into(), known.networks.hex());
    out.metadata.insert("face".into(), known.face.clone());
    out
}

fn decode(value: &Weights) -> Option<StoredAnalysis> {
    let motion = Motion::from_arrays(value)?;
    let (words, rest) = value.get("pixels")?.as_i32()?.as_chunks::<8>();
    let key = |w: &[i32; 8]| {
        let mut bytes = [0; 32];
        for (b, w) in bytes.chunks_exact_mut(4).zip(w) {
            b.copy_from_slice(&w.to_le_bytes());
        }
        Key::from_bytes(bytes)
    };
    let pixels: Vec<Key> = words.iter().map(key).collect();
    if pixels.len() != motion.frames.len() || !rest.is_empty() {
        return None;
    }
    let networks = Key::from_hex(value.metadata.get("networks")?)?;
    Some(StoredAnalysis { motion, pixels, networks, face: value.metadata.get("face")?.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shot::cache::DEFAULT_LIMIT;
    use crate::shot::motion::MotionFrame;

    fn known(pixels: &[u8]) -> StoredAnalysis {
        let frame = |i: u8| MotionFrame { camera: [f32::from(i); 12], expr: vec![0.5; 3], confidence: 0.25 };
        let motion = Motion {
            first: 4,
            size: (64, 48),
            fps: None,
            model: "m".into(),
            frames: pixels.iter().map(|&p| (p != 9).then(|| frame(p))).collect(),
            identity: Some(vec![1.0, 2.0]),
        };
        let pixels = pixels.iter().map(|&p| Key::new("p", &[&[p]])).collect();
        StoredAnalysis { motion, pixels, networks: Key::new("n", &[]), face: name(Choice::Largest) }
    }

    #[test]
    fn what_is_put_is_got_by_any_process() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::open(dir.path(), DEFAULT_LIMIT).unwrap();
        let known = known(&[1, 9, 2]);
        let (key, kept) = known.clone().put(&cache);
        assert_eq!((kept, key), (known.clone(), known.key()));
        let other = Cache::open(dir.path(), DEFAULT_LIMIT).unwrap();
        assert_eq!(StoredAnalysis::get(&other, &key), Some(known));
        assert_eq!(StoredAnalysis::get(&other, &Key::new("none", &[])), None);
    }

    #[test]
    fn frames_are_found_by_their_pixels_wherever_they_moved() {
        let known = known(&[1, 2, 1, 3, 1]);
        let key = |p: u8| Key::new("p", &[&[p]]);
        assert_eq!(known.find(&key(3), 0), Some(3));
        assert_eq!(known.find(&key(1), 2), Some(2));
        assert_eq!(known.find(&key(1), 100), Some(4));
        assert_eq!(known.find(&key(1), -7), Some(0));
        assert_eq!(known.find(&key(8), 0), None);
    }

    #[test]
    fn the_key_is_that_of_the_question() {
        let a = known(&[1, 2]);
        assert!(a.is_of(&a.networks, Choice::Largest) && !a.is_of(&a.networks, Choice::Index(0)));
        assert!(!a.is_of(&Key::new("other", &[]), Choice::Largest));
        let mut answer = a.clone();
        answer.motion.frames[0] = None;
        assert_eq!(a.key(), answer.key());
        for other in [known(&[2, 1]), known(&[1]), StoredAnalysis { face: "x".into(), ..a.clone() }] {
            assert_ne!(a.key(), other.key());
        }
    }

    #[test]
    fn arrays_that_do_not_belong_together_are_none() {
        let good = encode(&known(&[1, 2]));
        for name in ["pixels", "camera", "expression", "confidence"] {
            let mut bad = good.clone();
            bad.arrays.remove(name);
            assert_eq!(decode(&bad), None, "{name}");
        }
        let mut short = good.clone();
        short.insert("pixels", Array { shape: vec![1, 8], data: Data::I32(vec![0; 8]) });
        assert_eq!(decode(&short), None);
    }
}
