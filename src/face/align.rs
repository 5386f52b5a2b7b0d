//! The upright, normalised face that the identity network sees.

use super::bgr;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::nets::mobilefacenet::{HEIGHT, WIDTH};

/// Where the two eyes, the nose and the mouth corners lie in a 96x112 face: the template that the SphereFace, CosFace
/// and ArcFace families share (Liu et al., <https://arxiv.org/abs/1704.08063>).
pub const TEMPLATE: [[f32; 2]; 5] =
    [[30.294_6, 51.696_3], [65.531_8, 51.501_4], [48.025_2, 71.736_6], [33.549_3, 92.365_5], [62.729_9, 92.204_1]];

/// Rotation, uniform scale and translation: `(x, y)` to `(a x - b y + tx, b x + a y + ty)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the angle.
    pub a: f32,
    /// Scale times the sine of the angle.
    pub b: f32,
    /// Shift to the right, pixels.
    pub tx: f32,
    /// Shift downwards, pixels.
    pub ty: f32,
}

impl Similarity {
    /// The similarity that takes `from` to `to` with the least squared distance (Umeyama 1991, in closed form for the
    /// plane). `None` when the points of `from` coincide or are not finite.
    pub fn between(from: &[[f32; 2]], to: &[[f32; 2]]) -> Option<Similarity> {
        let n = from.len().min(to.len()) as f64;
        let mean = |points: &[[f32; 2]]| {
            let sum = points.iter().fold([0.0; 2], |s, p| [s[0] + f64::from(p[0]), s[1] + f64::from(p[1])]);
            [sum[0] / n, sum[1] / n]
        };
        let (mf, mt) = (mean(from), mean(to));
        let (mut dot, mut cross, mut norm) = (0.0, 0.0, 0.0);
        for (f, t) in from.iter().zip(to) {
            let f = [f64::from(f[0]) - mf[0], f64::from(f[1]) - mf[1]];
            let t = [f64::from(t[0]) - mt[0], f64::from(t[1]) - mt[1]];
            dot += f[0] * t[0] + f[1] * t[1];
            cross += f[0] * t[1] - f[1] * t[0];
            norm += f[0] * f[0] + f[1] * f[1];
        }
        let (a, b) = (dot / norm, cross / norm);
        let s = Similarity {
            a: a as f32,
            b: b as f32,
            tx: (mt[0] - a * mf[0] + b * mf[1]) as f32,
            ty: (mt[1] - b * mf[0] - a * mf[1]) as f32,
        };
        (norm > 1e-12 && [s.a, s.b, s.tx, s.ty].iter().all(|v| v.is_finite())).then_some(s)
    }

    /// Where a point goes.
    pub fn apply(&self, p: [f32; 2]) -> [f32; 2] {
        [self.a * p[0] - self.b * p[1] + self.tx, self.b * p[0] + self.a * p[1] + self.ty]
    }

    /// By how much lengths grow.
    pub fn scale(&self) -> f32 {
        self.a.hypot(self.b)
    }
}

/// Left eye, right eye, nose tip, left and right mouth corner (as seen in the picture) of the 68 iBUG landmarks.
pub fn five_of_68(points: &[[f32; 3]; 68]) -> [[f32; 2]; 5] {
    let mean = |range: std::ops::Range<usize>| {
        let n = range.len() as f32;
        let sum = points[range].iter().fold([0.0; 2], |s, p| [s[0] + p[0], s[1] + p[1]]);
        [sum[0] / n, sum[1] / n]
    };
    let point = |i: usize| [points[i][0], points[i][1]];
    [mean(36..42), mean(42..48), point(30), point(48), point(54)]
}

/// The same of MediaPipe's 478 points: the irises, the tip of the nose, the corners of the mouth.
pub fn five_of_dense(points: &[[f32; 3]]) -> [[f32; 2]; 5] {
    [468, 473, 1, 61, 291].map(|i| points.get(i).map_or([0.0; 2], |p| [p[0], p[1]]))
}

/// The face at 96x112 pixels, `[3, 112, 96]` planes red, green, blue, values 0..1 (black outside the picture).
///
/// # Errors
/// [`Error::NoFace`] when the five points do not span a face.
pub fn aligned(image: &Frame, points: &[[f32; 2]; 5]) -> Result<Vec<f32>> {
    let back = Similarity::between(&TEMPLATE, points)
        .filter(|s| s.scale() > 1e-3 && s.scale() < 1e4)
        .ok_or_else(|| Error::NoFace("the five landmarks do not span a face; choose another face or frame".into()))?;
    // Where the face is shrunk, several samples a pixel, or fine structure turns into noise.
    let samples = (back.scale().ceil() as usize).clamp(1, 16);
    let mut planes = vec![0.0; 3 * HEIGHT * WIDTH];
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let mut sum = [0.0; 3];
            for sy in 0..samples {
                for sx in 0..samples {
                    let at = |i: usize, s: usize| i as f32 + (s as f32 + 0.5) / samples as f32 - 0.5;
                    let colour = bgr::bilinear(image, back.apply([at(x, sx), at(y, sy)]));
                    for c in 0..3 {
                        sum[c] += colour[2 - c];
                    }
                }
            }
            for (c, v) in sum.iter().enumerate() {
                planes[(c * HEIGHT + y) * WIDTH + x] = v / (samples * samples) as f32;
            }
        }
    }
    Ok(planes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn finds_the_similarity_it_was_made_with(
            a in -3.0f32..3.0, b in 0.1f32..3.0, tx in -500.0f32..500.0, ty in -500.0f32..500.0,
        ) {
            let s = Similarity { a, b, tx, ty };
            let moved = TEMPLATE.map(|p| s.apply(p));
            let found = Similarity::between(&TEMPLATE, &moved).unwrap();
            for (p, q) in TEMPLATE.map(|p| found.apply(p)).iter().zip(&moved) {
                prop_assert!((p[0] - q[0]).abs() < 1e-2 && (p[1] - q[1]).abs() < 1e-2, "{s:?} {found:?}");
            }
        }
    }

    #[test]
    fn a_face_in_place_is_copied() {
        let mut image = Frame::new(WIDTH, HEIGHT);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                image.set_pixel(x, y, [x as f32 / 255.0, y as f32 / 255.0, 1.0, 1.0]);
            }
        }
        let planes = aligned(&image, &TEMPLATE).unwrap();
        let at = |c: usize, x: usize, y: usize| planes[(c * HEIGHT + y) * WIDTH + x] * 255.0;
        assert!((at(0, 40, 70) - 40.0).abs() < 0.01 && (at(1, 40, 70) - 70.0).abs() < 0.01);
        assert!((at(2, 40, 70) - 255.0).abs() < 0.01);
        // Half the size: four samples a pixel, so the mean of the 2x2 source pixels around.
        let small = TEMPLATE.map(|p| [p[0] * 0.5, p[1] * 0.5]);
        let planes = aligned(&image, &small).unwrap();
        let at = |c: usize, x: usize, y: usize| planes[(c * HEIGHT + y) * WIDTH + x] * 255.0;
        assert!((at(0, 40, 70) - 20.0).abs() < 0.1 && (at(1, 40, 70) - 35.0).abs() < 0.1);
    }

    #[test]
    fn points_in_one_place_are_an_error() {
        let image = Frame::new(4, 4);
        assert!(matches!(aligned(&image, &[[1.0, 1.0]; 5]), Err(Error::NoFace(_))));
        assert!(matches!(aligned(&image, &[[f32::NAN, 1.0]; 5]), Err(Error::NoFace(_))));
        assert!(Similarity::between(&[[1.0, 1.0]; 5], &TEMPLATE).is_none());
    }

    #[test]
    fn five_points() {
        let mut p = [[0.0; 3]; 68];
        for (i, p) in p.iter_mut().enumerate() {
            *p = [i as f32, 2.0 * i as f32, 9.0];
        }
        assert_eq!(five_of_68(&p), [[38.5, 77.0], [44.5, 89.0], [30.0, 60.0], [48.0, 96.0], [54.0, 108.0]]);
    }
}
