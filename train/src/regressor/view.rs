//! A sample as the network sees it: a crop that a detector or a tracker may have made, mirrored or not, in another light,
//! blurred, noisy, partly hidden.

use super::sample::{CONTEXT, SIDE, Sample};
use crate::affine::{Affine, compose, resample, transform_camera};
use headgan::Result;
use headgan::face::bgr::Bgr8;
use headgan::frame::Rect;
use headgan::morphable::ImageCamera;
use headgan::morphable::canonical::ExpressionMode;
use headgan::nets::mobilenet::SIZE;
use headgan::random::Rng;

/// The identity mode that a mirror turns around: the head's asymmetry.
const ASYMMETRY: usize = 39;

/// How far crops are moved, in their sides, and scaled (a logarithm).
pub const CROP_JITTER: [f64; 2] = [0.09, 0.17];

/// How a sample is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// Turn of the picture around the face, radians.
    pub turn: f64,
    /// Side of the crop, in sides of the one that the landmarks give.
    pub size: f64,
    /// How far its middle is off, in the same sides.
    pub shift: [f64; 2],
}

/// A view: what goes into the network and what should come out.
#[derive(Debug, Clone)]
pub struct Crop {
    /// Blue, green, red planes of [`SIZE`] x [`SIZE`], as the regressor gives them to the network.
    pub pixels: Vec<f32>,
    /// Camera (of the crop, y up), identity, expression.
    pub params: Vec<f32>,
    /// From the crop's coordinates (those of the parameters) to the sample's pixels.
    pub back: Affine,
}

impl View {
    /// The crop that the landmarks give.
    pub fn plain() -> View {
        View { turn: 0.0, size: 1.0, shift: [0.0; 2] }
    }

    /// As far off as crops of detectors are; now and then the head is tilted.
    pub fn draw(rng: &mut Rng) -> View {
        let turn = if rng.unit() < 0.3 { rng.within(0.5) } else { rng.within(0.12) };
        View { turn, size: rng.within(CROP_JITTER[1]).exp(), shift: [0, 1].map(|_| rng.within(CROP_JITTER[0])) }
    }
}

/// The sample in a mirror.
pub fn mirrored(sample: &Sample) -> Sample {
    let side = sample.picture.width;
    let rows = sample.picture.data.chunks_exact(3 * side);
    let data = rows.flat_map(|row| row.chunks_exact(3).rev().flatten().copied()).collect();
    let mut camera = sample.camera;
    for (r, c) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        camera[4 * r + c] = -camera[4 * r + c];
    }
    camera[3] = (side - 1) as f64 - camera[3];
    let (mut shape, mut expr) = (sample.shape.clone(), sample.expr.clone());
    shape[ASYMMETRY] = -shape[ASYMMETRY];
    expr.swap(ExpressionMode::BlinkLeft as usize, ExpressionMode::BlinkRight as usize);
    expr[ExpressionMode::MouthSide as usize] *= -1.0;
    let picture = Bgr8 { width: side, height: sample.picture.height, data };
    Sample { picture, camera, shape, expr, truth: sample.truth }
}

/// A sample under a view; with a generator of random numbers, its pixels are augmented too.
///
/// # Errors
/// [`headgan::Error::NoFace`] where the sample's camera is degenerate.
pub fn crop(sample: &Sample, view: &View, augmentation: Option<&mut Rng>) -> Result<Crop> {
    let middle = 0.5 * (SIDE as f64 - 1.0);
    let (sin, cos) = view.turn.sin_cos();
    // From the turned picture to the sample's.
    let turn = [cos, sin, middle - (cos + sin) * middle, -sin, cos, middle - (cos - sin) * middle];
    let unit = SIDE as f64 / CONTEXT;
    let side = view.size * unit;
    let [cx, cy] = view.shift.map(|s| middle + 0.5 + s * unit);
    let (x0, y0) = (cx - 0.5 * side, cy - 0.5 * side);
    let roi = Rect { x0: x0 as f32, y0: y0 as f32, x1: (x0 + side) as f32, y1: (y0 + side) as f32 };
    let k = side / SIZE as f64;
    let scaled = [k, 0.0, x0 + 0.5 * k - 0.5, 0.0, k, y0 + 0.5 * k - 0.5];
    let mut picture = resample(&sample.picture, &compose(&turn, &scaled), SIZE);
    if let Some(rng) = augmentation {
        augment(&mut picture, rng);
        if rng.unit() < 0.2 {
            occlude(&mut picture, rng);
        }
    }
    let turned = ImageCamera::from_matrix(&transform_camera(&sample.camera, &turn))?;
    let mut camera = turned.to_fit_camera(&roi)?;
    // Meshes are moved to depth 0; the network is not asked for what nobody reads.
    camera[11] = 0.0;
    // The regressor's coordinates count from 1, and y from below.
    let to_turned = [k, 0.0, x0 - k, 0.0, -k, y0 + k * SIZE as f64];
    let pixels = picture.data.as_chunks::<3>().0;
    let plane = |c: usize| pixels.iter().map(move |p| (f32::from(p[c]) - 127.5) / 128.0);
    Ok(Crop {
        pixels: (0..3).flat_map(plane).collect(),
        params: [&camera[..], &sample.shape, &sample.expr].concat(),
        back: compose(&turn, &to_turned),
    })
}

/// Random light, colour, blur and noise.
pub fn augment(picture: &mut Bgr8, rng: &mut Rng) {
    let (w, h) = (picture.width, picture.height);
    if rng.unit() < 0.2 {
        *picture = box_blur(picture, 1 + rng.below(2));
    }
    let gains: [f64; 3] = {
        let light = rng.within(0.35).exp();
        std::array::from_fn(|_| light * rng.within(0.1).exp())
    };
    let gamma = rng.within(0.35).exp();
    // Light that falls off across the picture.
    let slope = [rng.within(0.25), rng.within(0.25)];
    let grey = if rng.unit() < 0.1 { 1.0 } else { 0.0 };
    let noise = if rng.unit() < 0.4 { 12.0 * rng.unit() } else { 0.0 };
    let curve: Vec<f64> = (0..256).map(|v| (f64::from(v) / 255.0).powf(gamma)).collect();
    for (i, pixel) in picture.data.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let [x, y] = [(i % w, w), (i / w, h)].map(|(v, n)| 2.0 * v as f64 / n as f64 - 1.0);
        let light = 1.0 + slope[0] * x + slope[1] * y;
        let mean = pixel.iter().map(|v| f64::from(*v)).sum::<f64>() / 3.0;
        for (c, v) in pixel.iter_mut().enumerate() {
            let coloured = f64::from(*v) + grey * (mean - f64::from(*v));
            let lit = 255.0 * curve[coloured as usize] * gains[c] * light;
            *v = (lit + if noise > 0.0 { rng.within(noise) } else { 0.0 }).clamp(0.0, 255.0) as u8;
        }
    }
}

/// An ellipse of one colour, or of another part of the picture, in front.
fn occlude(picture: &mut Bgr8, rng: &mut Rng) {
    let n = picture.width;
    let centre = [rng.unit() * n as f64, rng.unit() * n as f64];
    let reach = [(0.06 + 0.16 * rng.unit()) * n as f64, (0.06 + 0.16 * rng.unit()) * n as f64];
    let colour: [u8; 3] = std::array::from_fn(|_| rng.below(256) as u8);
    let from = (rng.unit() < 0.5).then(|| (rng.below(n), rng.below(n)));
    let before = picture.data.clone();
    for y in 0..n {
        for x in 0..n {
            if ((x as f64 - centre[0]) / reach[0]).powi(2) + ((y as f64 - centre[1]) / reach[1]).powi(2) > 1.0 {
                continue;
            }
            for c in 0..3 {
                picture.data[3 * (y * n + x) + c] = match from {
                    None => colour[c],
                    Some((dx, dy)) => before[3 * ((y + dy) % n * n + (x + dx) % n) + c],
                };
            }
        }
    }
}

/// The mean over `2 r + 1` pixels along both axes.
fn box_blur(picture: &Bgr8, r: usize) -> Bgr8 {
    let (w, h) = (picture.width as i64, picture.height as i64);
    let r = r as i64;
    let pass = |data: &[u8], dx: i64, dy: i64| -> Vec<u8> {
        let mut out = Vec::with_capacity(data.len());
        for y in 0..h {
            for x in 0..w {
                for c in 0..3 {
                    let tap = |k: i64| {
                        let (x, y) = ((x + k * dx).clamp(0, w - 1), (y + k * dy).clamp(0, h - 1));
                        u32::from(data[(3 * (y * w + x) + c) as usize])
                    };
                    out.push(((-r..=r).map(tap).sum::<u32>() / (2 * r + 1) as u32) as u8);
                }
            }
        }
        out
    };
    let data = pass(&pass(&picture.data, 1, 0), 0, 1);
    Bgr8 { width: picture.width, height: picture.height, data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::affine::apply;
    use crate::regressor::heads::SyntheticHeads;
    use headgan::morphable::{Fit, Params, PreparedMorphable};
    use headgan::synthetic::head;

    fn landmarks(model: &PreparedMorphable, sample: &Sample) -> Vec<[f32; 3]> {
        let camera = ImageCamera::from_matrix(&sample.camera).unwrap();
        model.posed_landmarks(&sample.shape, &sample.expr, &camera).unwrap().to_vec()
    }

    #[test]
    fn a_crops_parameters_point_at_the_samples_pixels() {
        let model = PreparedMorphable::new(head()).unwrap();
        let sample = SyntheticHeads::new(3).next().unwrap();
        let want = landmarks(&model, &sample);
        let mut rng = Rng(5);
        for _ in 0..4 {
            let crop = crop(&sample, &View::draw(&mut rng), None).unwrap();
            let params = Params::from_slice(&crop.params, 40, 10).unwrap();
            // The crop itself as a picture: coordinates as the network has them.
            let roi = Rect { x0: 1.0, y0: 0.0, x1: 121.0, y1: 120.0 };
            let got = model.landmarks68(&Fit { params, roi }).unwrap();
            for (g, w) in got.iter().zip(&want) {
                let (x, y) = apply(&crop.back, [f64::from(g[0]), 120.0 - f64::from(g[1])]);
                assert!((x - f64::from(w[0])).abs() < 0.01 && (y - f64::from(w[1])).abs() < 0.01, "{x} {y} {w:?}");
            }
        }
    }

    #[test]
    fn a_mirror_swaps_sides_and_nothing_else() {
        let model = PreparedMorphable::new(head()).unwrap();
        let mut sample = SyntheticHeads::new(4).next().unwrap();
        sample.expr[ExpressionMode::BlinkLeft as usize] = 0.9;
        sample.expr[ExpressionMode::MouthSide as usize] = 0.5;
        let turned = mirrored(&sample);
        let (a, b) = (landmarks(&model, &sample), landmarks(&model, &turned));
        for (i, j) in [(0, 16), (8, 8), (36, 45), (37, 44), (48, 54), (57, 57), (31, 35)] {
            assert!((159.0 - a[i][0] - b[j][0]).abs() < 0.02 && (a[i][1] - b[j][1]).abs() < 0.02, "{i}");
        }
        let again = mirrored(&turned);
        assert_eq!(again.picture, sample.picture);
        assert_eq!((again.shape, again.expr), (sample.shape.clone(), sample.expr.clone()));
    }
}
