//! Data sets: clips prepared once ([`prepare`]) and listened to ([`sound`]), stored compactly ([`store`]), split by person
//! ([`split`]), read as pairs of a reference and a driving frame ([`sample`]). [`clip_files`] says which clips there are, and whose.

pub mod clip_files;
pub mod prepare;
pub mod sample;
pub mod sound;
pub mod split;
pub mod store;

use headgan::reenact::window::CROP;
use sample::Sample;
use tch::{Device, Kind, Tensor};

/// Pairs as tensors, one behind the other.
#[derive(Debug)]
pub struct Batch {
    /// How many samples in a row are frames of a clip that follow each other, with one reference.
    pub sequence_length: i64,
    /// PNCC (0..1) and RGB (-1..1) of the reference, `[n, 6, h, w]`.
    pub reference: Tensor,
    /// Driving PNCC frames, oldest first, `[n, 3 frames, h, w]`.
    pub pncc: Tensor,
    /// What is heard in the driving frame, `[n, 300, 1, 1]`; zeros where the clip has no sound.
    pub sound: Tensor,
    /// The mesh's flow, `[n, 2, h, w]`, pixels.
    pub prior: Tensor,
    /// What Draft makes of the pair, RGB in -1..1, `[n, 3, h, w]`.
    pub draft: Tensor,
    /// What shall come out, RGB in -1..1, `[n, 3, h, w]`.
    pub target: Tensor,
    /// 1 where the driving mesh shows, `[n, 1, h, w]`.
    pub face: Tensor,
    /// 1 where the clip's own picture shows, 0 beyond its border and in what was painted over, `[n, 1, h, w]`.
    pub valid: Tensor,
    /// Where the mouth is, x then y, pixels.
    pub mouths: Vec<[f64; 2]>,
}

impl Batch {
    /// Puts samples together, of which `sequence_length` belong together; there is at least one.
    pub fn collate(samples: &[Sample], sequence_length: usize, kind: Kind, device: Device) -> Batch {
        let side = CROP as i64;
        let stack = |planes: fn(&Sample) -> &Vec<f32>| {
            let each: Vec<Tensor> =
                samples.iter().map(|s| Tensor::from_slice(planes(s)).reshape([1, -1, side, side])).collect();
            Tensor::cat(&each, 0).to_kind(kind).to_device(device)
        };
        let vectors: Vec<Tensor> = samples.iter().map(|s| Tensor::from_slice(&s.sound)).collect();
        let vectors = Tensor::stack(&vectors, 0).reshape([samples.len() as i64, -1, 1, 1]);
        Batch {
            sequence_length: sequence_length as i64,
            reference: stack(|s| &s.reference),
            pncc: stack(|s| &s.pncc),
            sound: vectors.to_kind(kind).to_device(device),
            prior: stack(|s| &s.prior),
            draft: stack(|s| &s.draft),
            target: stack(|s| &s.target),
            face: stack(|s| &s.face),
            valid: stack(|s| &s.valid),
            mouths: samples.iter().map(|s| s.mouth).collect(),
        }
    }

    /// The same on a device.
    pub fn to_device(self, device: Device) -> Batch {
        let to = |t: Tensor| t.to_device(device);
        Batch {
            reference: to(self.reference),
            pncc: to(self.pncc),
            sound: to(self.sound),
            prior: to(self.prior),
            draft: to(self.draft),
            target: to(self.target),
            face: to(self.face),
            valid: to(self.valid),
            ..self
        }
    }

    /// A picture where the clip's own shows, the target elsewhere: what lies beyond is nobody's fault.
    pub fn mask_invalid(&self, picture: &Tensor) -> Tensor {
        let beyond: Tensor = 1.0 - &self.valid;
        picture * &self.valid + &self.target * beyond
    }

    /// PNCC of the driving frame itself.
    pub fn current_pncc(&self) -> Tensor {
        let channels = self.pncc.size()[1];
        self.pncc.narrow(1, channels - 3, 3)
    }
}
