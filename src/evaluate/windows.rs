//! Windows around eyes and mouth: how close and how sharp a result is where people look.
//!
//! They lie where the true picture has eyes and mouth, so that every method is judged at the same place.

use super::lpips::{Lpips, Seen};
use super::picture;
use crate::Result;
use crate::face::dense::DenseFace;
use crate::face::dense::refinement::{LIPS, lids};
use crate::frame::{Filter, Frame};
use crate::nets::lpips::LEAST;
use serde::Serialize;

/// By how much a window is larger than the box of an eye's lids, and of the lips.
const EYE_LARGER: f32 = 1.6;
const MOUTH_LARGER: f32 = 1.4;
/// A window's sides in pixels, at least.
const LEAST_SIDE: usize = 24;
/// The shorter side that LPIPS sees a window with: the deepest map of the smallest picture is a single pixel, twice as large it has
/// places.
const LPIPS_SIDE: usize = 2 * LEAST;

/// A window in whole pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Left edge.
    pub x: usize,
    /// Upper edge.
    pub y: usize,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl Part {
    /// Around points, the box `larger` times as large, within a picture of `size`. `None` where the picture is smaller than the
    /// smallest window, or where the points lie outside of it.
    fn around<'a>(points: impl Iterator<Item = &'a [f32; 3]>, larger: f32, size: (usize, usize)) -> Option<Part> {
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for p in points {
            for c in 0..2 {
                low[c] = low[c].min(p[c]);
                high[c] = high[c].max(p[c]);
            }
        }
        let along = |c: usize, size: usize| -> Option<(usize, usize)> {
            // Points have pixel centres at integers, edges lie half a pixel before them.
            let middle = 0.5 * (low[c] + high[c]) + 0.5;
            if size < LEAST_SIDE || !(0.0..=size as f32).contains(&middle) {
                return None;
            }
            let side = ((larger * (high[c] - low[c])).ceil() as usize).clamp(LEAST_SIDE, size);
            // At the picture's edge it is moved, not cut: every window shows as much.
            let start = (middle - 0.5 * side as f32).round().clamp(0.0, (size - side) as f32) as usize;
            Some((start, side))
        };
        let ((x, width), (y, height)) = (along(0, size.0)?, along(1, size.1)?);
        Some(Part { x, y, width, height })
    }

    /// What a picture shows in it.
    pub fn cut(&self, picture: &Frame) -> Frame {
        picture.copy_window(self.x as i64, self.y as i64, self.width, self.height)
    }
}

/// How a result compares with the true picture in a window. `None` where it cannot be said.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct PartScores {
    /// 0..255, lower is better.
    pub l1: Option<f64>,
    /// Up to 1, higher is better.
    pub ssim: Option<f64>,
    /// [`sharpness`] of the truth's: 1 is as sharp.
    pub sharpness: Option<f64>,
    /// Lower is better.
    pub lpips: Option<f64>,
}

impl PartScores {
    /// Means over those that have each.
    fn mean(all: &[PartScores]) -> PartScores {
        let of = |get: &dyn Fn(&PartScores) -> Option<f64>| {
            let values: Vec<f64> = all.iter().filter_map(get).collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        PartScores {
            l1: of(&|s| s.l1),
            ssim: of(&|s| s.ssim),
            sharpness: of(&|s| s.sharpness),
            lpips: of(&|s| s.lpips),
        }
    }
}

/// A window of the true picture, with what is known of it.
struct TruePart {
    part: Part,
    truth: Frame,
    sharpness: f64,
    seen: Option<Seen>,
}

impl TruePart {
    fn new(part: Part, picture: &Frame, lpips: Option<&Lpips>) -> Result<TruePart> {
        let truth = part.cut(picture);
        let seen = lpips.map(|lpips| lpips.see(&enlarged(&truth))).transpose()?;
        Ok(TruePart { part, sharpness: sharpness(&truth), truth, seen })
    }

    fn score(&self, picture: &Frame, lpips: Option<&Lpips>) -> Result<PartScores> {
        let picture = self.part.cut(picture);
        let distance = picture::compare(&picture, &self.truth);
        let seen = match (lpips, &self.seen) {
            (Some(lpips), Some(truth)) => Some(lpips.between(&lpips.see(&enlarged(&picture))?, truth)),
            _ => None,
        };
        Ok(PartScores {
            l1: distance.map(|d| d.l1),
            ssim: distance.map(|d| d.ssim),
            // Of a truth without any detail there is no share.
            sharpness: (self.sharpness > 1e-6).then(|| sharpness(&picture) / self.sharpness),
            lpips: seen,
        })
    }
}

/// The windows of one true picture.
pub struct Windows {
    eyes: Vec<TruePart>,
    mouth: Vec<TruePart>,
}

impl Windows {
    /// Around the eyes and the mouth of a face of this picture, the true one; with `lpips` they are compared by it too.
    ///
    /// # Errors
    /// Those of LPIPS.
    pub fn new(face: &DenseFace, picture: &Frame, lpips: Option<&Lpips>) -> Result<Windows> {
        let around = |points: &[usize], larger| {
            let part = Part::around(points.iter().map(|&i| &face.points[i]), larger, (picture.width, picture.height));
            part.map(|part| TruePart::new(part, picture, lpips)).transpose()
        };
        let mut eyes = Vec::with_capacity(2);
        for lids in lids() {
            eyes.extend(around(lids, EYE_LARGER)?);
        }
        Ok(Windows { eyes, mouth: around(&LIPS, MOUTH_LARGER)?.into_iter().collect() })
    }

    /// A result of the same size: the mean of both eyes, and the mouth.
    ///
    /// # Errors
    /// Those of LPIPS.
    pub fn score(&self, picture: &Frame, lpips: Option<&Lpips>) -> Result<[PartScores; 2]> {
        let of = |parts: &[TruePart]| -> Result<PartScores> {
            let all: Vec<PartScores> = parts.iter().map(|p| p.score(picture, lpips)).collect::<Result<_>>()?;
            Ok(PartScores::mean(&all))
        };
        Ok([of(&self.eyes)?, of(&self.mouth)?])
    }
}

/// As large as LPIPS takes it.
fn enlarged(window: &Frame) -> Frame {
    let scale = LPIPS_SIDE as f64 / window.width.min(window.height) as f64;
    let size = |side: usize| ((side as f64 * scale).round() as usize).max(LPIPS_SIDE);
    window.resize(size(window.width), size(window.height), Filter::Area)
}

/// The variance of the Laplacian (4 neighbours) of what is shown's luma, 0..255: the more detail, the larger. 0 for a picture of
/// fewer than three pixels a side.
pub fn sharpness(picture: &Frame) -> f64 {
    let (w, h) = (picture.width, picture.height);
    if w < 3 || h < 3 {
        return 0.0;
    }
    let [r, g, b] = picture::planes(picture);
    let luma: Vec<f64> = (0..w * h).map(|i| 0.2126 * r[i] + 0.7152 * g[i] + 0.0722 * b[i]).collect();
    let at = |x: usize, y: usize| {
        let i = y * w + x;
        luma[i - 1] + luma[i + 1] + luma[i - w] + luma[i + w] - 4.0 * luma[i]
    };
    let values: Vec<f64> = (1..h - 1).flat_map(|y| (1..w - 1).map(move |x| (x, y))).map(|(x, y)| at(x, y)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Color;

    /// A picture of circles and stripes, blurred by averaging `2 * blur + 1` pixels either way.
    fn drawn(blur: usize) -> Frame {
        let (w, h) = (256usize, 256usize);
        let value = |x: usize, y: usize| {
            let r = (x as f64 - 128.0).hypot(y as f64 - 120.0);
            128.0 + 60.0 * (r * 0.4).sin() + 40.0 * (x as f64 * 0.7 + y as f64 * 0.3).cos()
        };
        let mean = |x: usize, y: usize| {
            let near = |v: usize, n: usize| v.saturating_sub(blur)..=(v + blur).min(n - 1);
            let all: Vec<f64> = near(y, h).flat_map(|y| near(x, w).map(move |x| value(x, y))).collect();
            all.iter().sum::<f64>() / all.len() as f64
        };
        let data = (0..w * h).flat_map(|i| [mean(i % w, i / w) as u8; 3]).collect::<Vec<u8>>();
        Frame::from_rgb8(w, h, &data, Color::Srgb)
    }

    /// A face whose lids and lips span known boxes.
    fn face() -> DenseFace {
        let mut points = Box::new([[0.0f32; 3]; 478]);
        let mut span = |table: &[usize], x: [f32; 2], y: [f32; 2]| {
            for (k, &i) in table.iter().enumerate() {
                points[i] = [x[k % 2], y[k / 2 % 2], 0.0];
            }
        };
        let [right, left] = lids();
        span(right, [70.0, 110.0], [80.0, 90.0]);
        span(left, [146.0, 186.0], [80.0, 90.0]);
        span(&LIPS, [100.0, 160.0], [170.0, 200.0]);
        DenseFace { points, presence: 1.0 }
    }

    #[test]
    fn where_they_lie() {
        let windows = Windows::new(&face(), &drawn(0), None).unwrap();
        let parts: Vec<Part> = windows.eyes.iter().chain(&windows.mouth).map(|p| p.part).collect();
        // 40 x 1.6 and 60 x 1.4 wide, around the middle; 10 x 1.6 is less than the least.
        assert_eq!(parts[0], Part { x: 59, y: 74, width: 64, height: 24 });
        assert_eq!(parts[1], Part { x: 135, y: 74, width: 64, height: 24 });
        assert_eq!(parts[2], Part { x: 89, y: 165, width: 84, height: 42 });
    }

    #[test]
    fn at_the_edge_and_outside() {
        let around = |x: f32, y: f32| {
            let points = [[x - 5.0, y, 0.0], [x + 5.0, y, 0.0]];
            Part::around(points.iter(), 1.6, (100, 60))
        };
        assert_eq!(around(2.0, 58.0), Some(Part { x: 0, y: 36, width: 24, height: 24 }));
        assert_eq!(around(-5.0, 30.0), None);
        assert_eq!(around(f32::NAN, 30.0), None);
        assert_eq!(Part::around([[5.0, 5.0, 0.0]].iter(), 1.6, (100, 20)), None);
        let large = [[0.0, 0.0, 0.0], [99.0, 59.0, 0.0]];
        assert_eq!(Part::around(large.iter(), 1.6, (100, 60)), Some(Part { x: 0, y: 0, width: 100, height: 60 }));
    }

    #[test]
    fn only_the_windows_count() {
        let truth = drawn(0);
        let windows = Windows::new(&face(), &truth, None).unwrap();
        let equal = [windows.score(&truth, None).unwrap(), {
            // Another picture around the windows changes nothing.
            let mut other = truth.clone();
            other.paste(&Frame::filled(256, 60, [1.0; 4], Color::Srgb), 0, 0);
            windows.score(&other, None).unwrap()
        }];
        for score in equal.as_flattened() {
            assert_eq!((score.l1, score.ssim, score.lpips), (Some(0.0), Some(1.0), None));
            assert!((score.sharpness.unwrap() - 1.0).abs() < 1e-12);
        }
        let mut mouth = truth.clone();
        mouth.paste(&Frame::filled(84, 42, [0.0, 0.0, 0.0, 1.0], Color::Srgb), 89, 165);
        let [eyes, lips] = windows.score(&mouth, None).unwrap();
        assert_eq!((eyes.l1, lips.sharpness), (Some(0.0), Some(0.0)));
        assert!(lips.l1.unwrap() > 100.0 && lips.ssim.unwrap() < 0.1, "{lips:?}");
        let [eyes, _] = windows.score(&drawn(2), None).unwrap();
        assert!(eyes.sharpness.unwrap() < 0.5 && eyes.l1.unwrap() > 5.0, "{eyes:?}");
    }

    #[test]
    fn blurring_takes_sharpness() {
        let all = [0, 1, 2, 4].map(|blur| sharpness(&drawn(blur)));
        assert!(all.windows(2).all(|w| w[1] < 0.8 * w[0]), "{all:?}");
        assert_eq!(sharpness(&Frame::filled(30, 30, [0.3, 0.5, 0.9, 1.0], Color::Srgb)), 0.0);
        assert_eq!(sharpness(&Frame::new(2, 9)), 0.0);
        // A ramp has no second difference; one white pixel has the kernel's own values: -4 and four times 1.
        let ramp: Vec<u8> = (0..64u8).flat_map(|i| [4 * (i % 8); 3]).collect();
        assert!(sharpness(&Frame::from_rgb8(8, 8, &ramp, Color::Srgb)) < 1e-12);
        let mut dot = vec![0u8; 3 * 49];
        dot[3 * 24..3 * 25].fill(255);
        let (got, want) = (sharpness(&Frame::from_rgb8(7, 7, &dot, Color::Srgb)), 255.0 * 255.0 * 20.0 / 25.0);
        assert!((got / want - 1.0).abs() < 1e-9, "{got} {want}");
    }

    #[test]
    fn windows_are_enlarged_for_lpips() {
        let size = |w, h| {
            let f = enlarged(&Frame::new(w, h));
            (f.width, f.height)
        };
        assert_eq!((size(24, 24), size(64, 24), size(84, 126)), ((64, 64), (171, 64), (64, 96)));
    }
}
