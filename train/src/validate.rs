//! Fixed pairs of people who are held out: figures of the result beside those of its floors, and pictures to look at.

use crate::data::Batch;
use crate::data::sample::{Augmentation, Sampler};
use crate::data::store::StoredClip;
use crate::trainer::Trainer;
use headgan::Result;
use headgan::frame::{Color, ContactSheet, Frame};
use headgan::random::Rng;
use headgan::reenact::window::CROP;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

/// Rows of the picture.
const ROWS: usize = 8;
/// Pairs are at least so many frames apart where the clip is long enough.
const MIN_FRAME_GAP: usize = 12;
/// SSIM's window: side and standard deviation, <https://doi.org/10.1109/TIP.2003.819861>.
const WINDOW: (i64, f64) = (11, 1.5);

/// A mean square error that 8 bits cannot show, 48.1 dB: a clip that stands still must not outweigh all others.
const LEAST_SQUARE: f64 = 1.0 / (255.0 * 255.0);

/// How near a picture comes to the driving one, over the pixels that the clip shows. RGB in 0..255 for L1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    pub l1: f64,
    pub psnr: f64,
    pub ssim: f64,
}

/// A validation's figures, means over all pairs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Validation {
    pub step: u64,
    pub pairs: usize,
    /// The reference's picture as it is.
    pub copy: Figures,
    pub draft: Figures,
    /// The reference under the generator's flow.
    pub warped: Figures,
    pub result: Figures,
}

/// A pair: clip, reference frame, driving frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    pub clip: usize,
    pub reference: usize,
    pub target: usize,
}

/// `each` pairs of every clip, drawn by `seed`.
pub fn pairs(clips: &[StoredClip], each: usize, seed: u64) -> Vec<Pair> {
    let mut out = Vec::new();
    for (clip, stored) in clips.iter().enumerate() {
        let usable = stored.usable();
        let mut rng = Rng::from_parts(&[seed, 3, clip as u64]);
        for _ in 0..each {
            let reference = usable[rng.below(usable.len())];
            let far: Vec<usize> = usable.iter().copied().filter(|t| t.abs_diff(reference) >= MIN_FRAME_GAP).collect();
            let pool = if far.is_empty() { &usable } else { &far };
            out.push(Pair { clip, reference, target: pool[rng.below(pool.len())] });
        }
    }
    out
}

/// Measures the averaged generator; the picture shows some pairs: reference, driver, Draft, warped, result.
///
/// # Errors
/// Those of the clips.
pub fn validate(
    trainer: &Trainer,
    sampler: &mut Sampler,
    clips: &[StoredClip],
    pairs: &[Pair],
) -> Result<(Validation, Frame)> {
    let (kind, device) = (trainer.config.precision.master(), trainer.device());
    let mut sums = [[0.0f64; 3]; 4];
    let mut sheet = ContactSheet::new(5, (CROP, CROP));
    let shown_every = pairs.len().div_ceil(ROWS).max(1);
    for (i, pair) in pairs.iter().enumerate() {
        let clip = &clips[pair.clip];
        let sample = sampler.pair(clip, pair.reference, pair.target, &Augmentation::none())?;
        let batch = Batch::collate(std::slice::from_ref(&sample), 1, kind, device);
        let out = trainer.infer(&batch);
        let reference = batch.reference.narrow(1, 3, 3);
        let pictures = [&reference, &batch.draft, &out.warped, &out.image];
        for (sum, picture) in sums.iter_mut().zip(pictures) {
            let f = compare(picture, &batch.target, &batch.valid);
            sum.iter_mut().zip([f.l1, f.psnr, f.ssim]).for_each(|(s, v)| *s += v);
        }
        if i % shown_every == 0 {
            let labels = ["REFERENCE", "DRIVER", "DRAFT", "WARPED", "RESULT"];
            let all = [&reference, &batch.target, &batch.draft, &out.warped, &out.image];
            for (picture, label) in all.into_iter().zip(labels) {
                sheet.push(&frame(picture), if i == 0 { label } else { "" });
            }
        }
    }
    let n = pairs.len().max(1) as f64;
    let figures = sums.map(|[l1, psnr, ssim]| Figures { l1: l1 / n, psnr: psnr / n, ssim: ssim / n });
    let [copy, draft, warped, result] = figures;
    Ok((Validation { step: trainer.step, pairs: pairs.len(), copy, draft, warped, result }, sheet.render()))
}

/// The first picture of a batch, RGB in -1..1.
pub fn frame(picture: &Tensor) -> Frame {
    let size = picture.size();
    let (h, w) = (size[2] as usize, size[3] as usize);
    let rgb = picture.get(0).permute([1, 2, 0]).to_kind(Kind::Float).to_device(Device::Cpu).contiguous().reshape([-1]);
    let rgb = Vec::<f32>::try_from(rgb).unwrap_or_default();
    let mut out = Frame::filled(w, h, [0.0, 0.0, 0.0, 1.0], Color::Srgb);
    for (rgba, v) in out.data.chunks_exact_mut(4).zip(rgb.chunks_exact(3)) {
        rgba.iter_mut().zip(v).for_each(|(o, v)| *o = (0.5 * v + 0.5).clamp(0.0, 1.0));
    }
    out
}

/// Compares pictures in -1..1 where `valid` is 1.
pub fn compare(picture: &Tensor, target: &Tensor, valid: &Tensor) -> Figures {
    let unit = |t: &Tensor| (t.to_kind(Kind::Double) * 0.5 + 0.5).clamp(0.0, 1.0);
    let (a, b, valid) = (unit(picture), unit(target), valid.to_kind(Kind::Double));
    let mean = |t: &Tensor| {
        let channels = t.size()[1] as f64;
        ((t * &valid).sum(None) / (valid.sum(None) * channels).clamp_min(1.0)).double_value(&[])
    };
    let l1 = 255.0 * mean(&(&a - &b).abs());
    let square = mean(&(&a - &b).square());
    let psnr = -10.0 * square.max(LEAST_SQUARE).log10();
    Figures { l1, psnr, ssim: mean(&ssim(&a, &b)) }
}

/// Structural similarity per pixel of pictures in 0..1, channel by channel; borders are padded by reflection.
fn ssim(a: &Tensor, b: &Tensor) -> Tensor {
    let (side, sigma) = WINDOW;
    let line =
        (Tensor::arange(side, (Kind::Double, a.device())) - (side / 2) as f64).square() * (-0.5 / (sigma * sigma));
    let line = line.exp();
    let line = &line / line.sum(None);
    let channels = a.size()[1];
    let (rows, columns) = (line.reshape([1, 1, side, 1]), line.reshape([1, 1, 1, side]));
    let (rows, columns) = (rows.repeat([channels, 1, 1, 1]), columns.repeat([channels, 1, 1, 1]));
    let none: Option<&Tensor> = None;
    let p = side / 2;
    let blur = |t: &Tensor| {
        let t = t.reflection_pad2d([p, p, p, p]);
        let t = t.conv2d(&rows, none, [1, 1], [0, 0], [1, 1], channels);
        t.conv2d(&columns, none, [1, 1], [0, 0], [1, 1], channels)
    };
    let (c1, c2) = (0.01f64.powi(2), 0.03f64.powi(2));
    let (ma, mb) = (blur(a), blur(b));
    let va = blur(&a.square()) - ma.square();
    let vb = blur(&b.square()) - mb.square();
    let ab = blur(&(a * b)) - &ma * &mb;
    let top = (&ma * &mb * 2.0 + c1) * (ab * 2.0 + c2);
    top / ((ma.square() + mb.square() + c1) * (va + vb + c2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn constant(v: f64) -> Tensor {
        Tensor::full([1, 3, 32, 32], v, (Kind::Float, Device::Cpu))
    }

    #[test]
    fn figures_of_known_differences() {
        let everywhere = Tensor::ones([1, 1, 32, 32], (Kind::Float, Device::Cpu));
        let same = compare(&constant(0.2), &constant(0.2), &everywhere);
        assert!(same.l1 < 1e-4 && (same.psnr - 48.13).abs() < 0.01 && (same.ssim - 1.0).abs() < 1e-6, "{same:?}");
        // 0.2 of -1..1 is a tenth: 25.5 levels, 20 dB.
        let off = compare(&constant(0.2), &constant(0.0), &everywhere);
        assert!((off.l1 - 25.5).abs() < 1e-3 && (off.psnr - 20.0).abs() < 1e-4 && off.ssim < 1.0, "{off:?}");
        // What is not valid does not count.
        let half = Tensor::cat(&[everywhere.narrow(2, 0, 16), everywhere.narrow(2, 16, 16) * 0.0], 2);
        let mixed = Tensor::cat(&[constant(0.2).narrow(2, 0, 16), constant(-1.0).narrow(2, 16, 16)], 2);
        assert!(compare(&mixed, &constant(0.2), &half).l1 < 1e-4);
    }
}
