//! How far a picture is from the true one: L1, PSNR, SSIM, and errors within a part of it.
//!
//! All of them work on what is shown (sRGB, 8-bit range), as published figures do.

use crate::frame::{Color, Frame};

/// Distances of two pictures of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Distance {
    /// Mean absolute difference of red, green and blue, 0..255.
    pub l1: f64,
    /// Peak signal-to-noise ratio in dB, at most [`PSNR_OF_EQUALS`].
    pub psnr: f64,
    /// Structural similarity, -1..1: the mean over the three channels (Wang et al. 2004,
    /// <https://doi.org/10.1109/TIP.2003.819861>: Gaussian window of 11 pixels, sigma 1.5, K1 0.01, K2 0.03).
    pub ssim: f64,
}

/// The PSNR of pictures that do not differ, whose true one is infinite: what a difference of 1 in 255 at one value in ten
/// thousand has.
pub const PSNR_OF_EQUALS: f64 = 88.13;
/// Half the window of SSIM.
const RADIUS: usize = 5;

/// Compares a picture with the true one; `None` where their sizes differ or they are smaller than SSIM's window.
pub fn compare(picture: &Frame, truth: &Frame) -> Option<Distance> {
    let size = (picture.width, picture.height);
    if size != (truth.width, truth.height) || size.0.min(size.1) <= 2 * RADIUS {
        return None;
    }
    let (a, b) = (planes(picture), planes(truth));
    let n = (3 * size.0 * size.1) as f64;
    let differences = || a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| a - b);
    let l1 = differences().map(f64::abs).sum::<f64>() / n;
    let mse = differences().map(|d| d * d).sum::<f64>() / n;
    let psnr = if mse > 0.0 { (10.0 * (255.0 * 255.0 / mse).log10()).min(PSNR_OF_EQUALS) } else { PSNR_OF_EQUALS };
    let ssim = a.iter().zip(&b).map(|(a, b)| ssim(a, b, size)).sum::<f64>() / 3.0;
    Some(Distance { l1, psnr, ssim })
}

/// A picture's differences from the true one, red, green and blue as shown, -255..255.
#[derive(Debug, Clone)]
pub struct Errors {
    planes: [Vec<f64>; 3],
}

impl Errors {
    /// `None` where the sizes differ.
    pub fn between(picture: &Frame, truth: &Frame) -> Option<Errors> {
        if (picture.width, picture.height) != (truth.width, truth.height) {
            return None;
        }
        let (mut errors, truth) = (planes(picture), planes(truth));
        for (error, true_value) in errors.iter_mut().flatten().zip(truth.iter().flatten()) {
            *error -= true_value;
        }
        Some(Errors { planes: errors })
    }

    /// Their mean size where `mask` is set, 0..255; `None` where it is set nowhere.
    pub fn within(&self, mask: &[bool]) -> Option<f64> {
        within(mask, |plane, i| self.planes[plane][i])
    }

    /// As [`Errors::within`], of the differences from the errors of the frame before: how far the picture's change
    /// is from the truth's.
    pub fn change_within(&self, before: &Errors, mask: &[bool]) -> Option<f64> {
        within(mask, |plane, i| self.planes[plane][i] - before.planes[plane][i])
    }
}

/// Mean size of the values of three planes where `mask` is set.
fn within(mask: &[bool], value: impl Fn(usize, usize) -> f64) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0);
    for (i, _) in mask.iter().enumerate().filter(|(_, set)| **set) {
        sum += (0..3).map(|plane| value(plane, i).abs()).sum::<f64>();
        count += 3;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Red, green and blue as shown, over black, in whole steps 0..255.
pub(super) fn planes(frame: &Frame) -> [Vec<f64>; 3] {
    let shown = frame.to_display(Color::Srgb);
    std::array::from_fn(|c| {
        let value = |p: &[f32]| f64::from((255.0 * p[c].clamp(0.0, 1.0) * p[3].clamp(0.0, 1.0)).round());
        shown.data.chunks_exact(4).map(value).collect()
    })
}

/// Mean structural similarity of two planes over the places where the window lies within them.
fn ssim(a: &[f64], b: &[f64], size: (usize, usize)) -> f64 {
    const C1: f64 = (0.01 * 255.0) * (0.01 * 255.0);
    const C2: f64 = (0.03 * 255.0) * (0.03 * 255.0);
    let product = |x: &[f64], y: &[f64]| -> Vec<f64> { x.iter().zip(y).map(|(x, y)| x * y).collect() };
    let blurred = [a.to_vec(), b.to_vec(), product(a, a), product(b, b), product(a, b)].map(|p| blur(&p, size));
    let [ma, mb, maa, mbb, mab] = &blurred;
    let total: f64 = (0..ma.len())
        .map(|i| {
            let (ua, ub) = (ma[i], mb[i]);
            let (va, vb, cov) = (maa[i] - ua * ua, mbb[i] - ub * ub, mab[i] - ua * ub);
            (2.0 * ua * ub + C1) * (2.0 * cov + C2) / ((ua * ua + ub * ub + C1) * (va + vb + C2))
        })
        .sum();
    total / ma.len() as f64
}

/// Gaussian-weighted means; only where the whole window lies within the plane.
fn blur(plane: &[f64], (w, h): (usize, usize)) -> Vec<f64> {
    const TAPS: usize = 2 * RADIUS + 1;
    let raw: [f64; TAPS] = std::array::from_fn(|i| (-0.5 * ((i as f64 - RADIUS as f64) / 1.5).powi(2)).exp());
    let sum: f64 = raw.iter().sum();
    let k = raw.map(|v| v / sum);
    let (ow, oh) = (w - 2 * RADIUS, h - 2 * RADIUS);
    let mut rows = Vec::with_capacity(ow * h);
    for row in plane.chunks_exact(w) {
        rows.extend(row.windows(TAPS).map(|v| v.iter().zip(&k).map(|(v, k)| v * k).sum::<f64>()));
    }
    (0..ow * oh).map(|i| (0..TAPS).map(|t| k[t] * rows[i + t * ow]).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two pictures made of whole numbers, alike and yet not.
    fn pair() -> (Frame, Frame) {
        let (w, h) = (40, 32);
        let make = |shift: usize| {
            let data = (0..w * h).flat_map(|i| {
                let (x, y) = (i % w, i / w);
                let v = |k: usize| ((7 * x + 5 * y + 40 * k + shift * (x * y % 13)) % 256) as u8;
                [v(0), v(1), v(2)]
            });
            Frame::from_rgb8(w, h, &data.collect::<Vec<u8>>(), Color::Srgb)
        };
        (make(0), make(1))
    }

    /// Against scikit-image 0.26 (`structural_similarity` with gaussian_weights, sigma 1.5, use_sample_covariance off, data_range 255,
    /// mean over the interior; `peak_signal_noise_ratio`), run on the same numbers.
    #[test]
    fn as_scikit_image() {
        let (a, b) = pair();
        let d = compare(&a, &b).unwrap();
        assert!((d.l1 - REFERENCE[0]).abs() < 1e-9, "{d:?}");
        assert!((d.psnr - REFERENCE[1]).abs() < 1e-9, "{d:?}");
        assert!((d.ssim - REFERENCE[2]).abs() < 1e-9, "{d:?}");
    }
    const REFERENCE: [f64; 3] = [10.050_520_833_333_334, 17.127_397_966_043_11, 0.807_348_350_949_749_2];

    #[test]
    fn errors_within_a_part() {
        let grey = |levels: [u8; 4]| Frame::from_rgb8(4, 1, &levels.map(|v| [v; 3]).concat(), Color::Srgb);
        let truth = grey([10, 20, 30, 40]);
        let before = Errors::between(&grey([10, 22, 30, 90]), &truth).unwrap();
        let now = Errors::between(&grey([0, 25, 30, 40]), &truth).unwrap();
        let mask = [true, true, true, false];
        assert_eq!((before.within(&mask), now.within(&mask)), (Some(2.0 / 3.0), Some(5.0)));
        // Changes of -10, 3 and 0; an error that stays is none.
        assert_eq!(now.change_within(&before, &mask), Some(13.0 / 3.0));
        assert_eq!(now.change_within(&now, &mask), Some(0.0));
        assert_eq!(now.within(&[false; 4]), None);
        assert!(Errors::between(&truth, &Frame::new(3, 1)).is_none());
    }

    #[test]
    fn equals_and_sizes() {
        let (a, _) = pair();
        assert_eq!(compare(&a, &a), Some(Distance { l1: 0.0, psnr: PSNR_OF_EQUALS, ssim: 1.0 }));
        assert_eq!(compare(&a, &Frame::new(40, 31)), None);
        assert_eq!(compare(&Frame::new(10, 40), &Frame::new(10, 40)), None);
    }
}
