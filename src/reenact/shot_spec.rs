//! What a shot is made of, and the keys that it is found by.

use super::draft::BankPicture;
use super::{AudioInput, LipInput, MatteSettings};
use crate::controls::choices::{Device, Quality};
use crate::frame::Frame;
use crate::key::Key;
use crate::morphable::Fit;
use crate::shot::analyse::pixels;
use crate::shot::{Motion, Track, TrackSettings};

/// A reference picture and what drives it.
#[derive(Clone)]
pub struct ShotSpec<'a> {
    /// Whose face performs.
    pub reference: &'a Frame,
    /// The fit of that face.
    pub fit: ReferenceFit<'a>,
    /// What it performs.
    pub driver: Driver<'a>,
    /// The sound, for a generator that takes audio.
    pub audio: Option<AudioInput>,
    /// What lips do while it is heard, for a mouth that follows the sound.
    pub lips: Option<LipInput>,
    /// Whether a generator is needed.
    pub quality: Quality,
    /// What else is known of the reference.
    pub uses: ReferenceUse<'a>,
    /// Where the generator runs. One that is named must be there, whether the quality needs a generator or not.
    pub device: Device,
}

/// What is made of a reference beside its face.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReferenceUse<'a> {
    /// How the person is told from what is behind, which then holds still; `None` lets it move with the head.
    pub matte: Option<MatteSettings>,
    /// A matte that is known, of the reference's size, instead of its alpha's or a network's.
    pub known_matte: Option<&'a [f32]>,
    /// Further pictures of the reference's person ([`bank::pictures`](super::bank::pictures)).
    pub bank: &'a [BankPicture],
}

impl ReferenceUse<'_> {
    /// Stands for all of it.
    fn key(&self) -> Key {
        let matte = format!("{:?}", self.matte);
        let known = self.known_matte.map(|m| Key::new("matte", &[bytemuck::cast_slice(m)]));
        let pictures =
            |b: &BankPicture| [pixels(&b.picture), Key::new("mesh", &[bytemuck::cast_slice(&b.mesh.vertices)])];
        let keys: Vec<Key> = known.into_iter().chain(self.bank.iter().flat_map(pictures)).collect();
        let parts: Vec<&[u8]> = std::iter::once(matte.as_bytes()).chain(keys.iter().map(|k| &k.bytes()[..])).collect();
        Key::new("reference use", &parts)
    }
}

/// The fit of a reference's face.
#[derive(Clone, Copy)]
pub enum ReferenceFit<'a> {
    /// That of the largest face, found when the reference is prepared; messages call the picture so.
    Detect(&'a str),
    /// One that is known: of [`RenderContext::reference_fit`](super::RenderContext::reference_fit), or, where a clip performs itself, of
    /// its analysis.
    Given(&'a Fit),
}

/// What a reference performs.
#[derive(Clone)]
pub enum Driver<'a> {
    /// A motion, which `key` stands for. Shots are kept by it, so that a track is made once for all frames.
    Motion {
        /// Poses and expressions of all frames.
        motion: &'a Motion,
        /// Stands for the motion.
        key: Key,
        /// How the track is made of it.
        track: TrackSettings,
    },
    /// A track, of [`RenderContext::track`](super::RenderContext::track). Whoever has it makes one shot of it: such shots are not kept.
    Track(Track),
}

impl ShotSpec<'_> {
    /// The key of the reference as it is prepared for the generator on the backend that `runner` names.
    pub(super) fn reference_key(&self, runner: &str) -> Key {
        let picture = pixels(self.reference);
        let runner = &format!("{runner} {}", self.uses.key().hex());
        match self.fit {
            ReferenceFit::Detect(_) => Key::new("reference", &[picture.bytes(), runner.as_bytes()]),
            ReferenceFit::Given(fit) => {
                let roi = [fit.roi.x0, fit.roi.y0, fit.roi.x1, fit.roi.y1];
                let values = fit.params.to_vec();
                let fit = [bytemuck::cast_slice(&values), bytemuck::cast_slice(&roi)];
                Key::new("reference", &[picture.bytes(), runner.as_bytes(), fit[0], fit[1]])
            }
        }
    }

    /// Stands for the shot of a prepared reference; `None` where it is not kept.
    pub(super) fn key(&self, reference: &Key) -> Option<Key> {
        let Driver::Motion { motion, key, track } = &self.driver else { return None };
        let (width, height) = motion.size;
        let sound = self.audio.as_ref().map_or(String::new(), |h| format!("{} {}", h.key.hex(), h.first));
        let lips = self.lips.as_ref().map_or(String::new(), |l| format!(" {} {} {}", l.key.hex(), l.first, l.fps));
        let settings = format!("{track:?} {width}x{height} {sound}{lips}");
        Some(Key::new("performance", &[reference.bytes(), key.bytes(), settings.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rect;
    use crate::morphable::Params;

    #[test]
    fn a_reference_is_known_by_its_picture_its_painter_and_its_fit() {
        let (picture, other) = (Frame::new(2, 2), Frame::new(2, 3));
        let params = Params { camera: [1.0; 12], shape: vec![0.0; 2], expr: vec![0.0; 2] };
        let fit = Fit { params, roi: Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 } };
        let mut moved = fit.clone();
        moved.roi.x1 = 2.0;
        let motion =
            Motion { first: 0, size: (2, 2), fps: None, model: String::new(), frames: Vec::new(), identity: None };
        let key = |reference: &Frame, fit: ReferenceFit, runner: &str| {
            let driver = Driver::Motion { motion: &motion, key: Key::new("m", &[]), track: TrackSettings::default() };
            let (audio, lips, quality, device) = (None, None, Quality::Draft, Device::Auto);
            ShotSpec { reference, fit, driver, audio, lips, quality, uses: ReferenceUse::default(), device }
                .reference_key(runner)
        };
        let keys = [
            key(&picture, ReferenceFit::Detect("r"), ""),
            key(&picture, ReferenceFit::Detect("r"), "embedded"),
            key(&other, ReferenceFit::Detect("r"), ""),
            key(&picture, ReferenceFit::Given(&fit), ""),
            key(&picture, ReferenceFit::Given(&moved), ""),
        ];
        for (i, a) in keys.iter().enumerate() {
            assert!(keys[..i].iter().all(|b| b != a), "{i}");
        }
        assert!(key(&picture, ReferenceFit::Given(&fit.clone()), "") == keys[3]);
    }
}
