//! How good a regressor is: beside the data set's fits on persons held out, and beside the truth on drawn heads that
//! training has not seen.
//!
//! The crop is the one that the true landmarks give, moved and scaled at random as a detector's would be: in the very crop a
//! network that always answers with the mean face is not far off. How far that one is stands beside each figure.

use super::heads::SyntheticHeads;
use super::sample::Sample;
use crate::affine::to_bgr8;
use crate::data::store::StoredClip;
use crate::interrupt;
use headgan::engine::{Embedded, cpu};
use headgan::face::bgr::Pixels;
use headgan::face::regress::{self, Regressor};
use headgan::face::roi;
use headgan::frame::Rect;
use headgan::morphable::canonical::ExpressionMode;
use headgan::morphable::{Euler, Fit, ImageCamera, Morphable, Params, PreparedMorphable};
use headgan::random::Rng;
use headgan::weights::Weights;
use headgan::{Error, Result};
use serde::Serialize;
use std::sync::Arc;

/// Added to a run's seed for the heads that are measured on.
pub const SEED_OFFSET: u64 = 1 << 40;
/// How far crops are moved, in their sides, and scaled (a logarithm).
const CROP_JITTER: [f64; 2] = [0.06, 0.1];
/// Outer corners of the eyes.
const EYES: [usize; 2] = [36, 45];
/// Coefficients whose correlation with the truth is measured.
const FOLLOWED: [(&str, ExpressionMode); 5] = [
    ("jaw open", ExpressionMode::JawOpen),
    ("blink left", ExpressionMode::BlinkLeft),
    ("blink right", ExpressionMode::BlinkRight),
    ("smile", ExpressionMode::Smile),
    ("brow raise", ExpressionMode::BrowRaise),
];

/// Mean errors over faces.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Errors {
    pub faces: usize,
    /// Of the 68 landmarks in the picture, in shares of the distance of the outer corners of the eyes there.
    pub landmarks: f64,
    /// Degrees.
    pub yaw: f64,
    pub pitch: f64,
    pub roll: f64,
}

impl Errors {
    fn add(&mut self, face: &Errors) {
        let n = self.faces as f64;
        let mean = |a: f64, b: f64| (n * a + b) / (n + 1.0);
        *self = Errors {
            faces: self.faces + 1,
            landmarks: mean(self.landmarks, face.landmarks),
            yaw: mean(self.yaw, face.yaw),
            pitch: mean(self.pitch, face.pitch),
            roll: mean(self.roll, face.roll),
        };
    }

    /// Of one face.
    fn between(got: (&[[f32; 3]; 68], Euler), wanted: (&[[f32; 3]; 68], Euler)) -> Errors {
        let distance = |a: &[f32; 3], b: &[f32; 3]| f64::from((a[0] - b[0]).hypot(a[1] - b[1]));
        let eyes = distance(&wanted.0[EYES[0]], &wanted.0[EYES[1]]).max(1e-6);
        let sum: f64 = got.0.iter().zip(wanted.0).map(|(a, b)| distance(a, b)).sum();
        let turn = |a: f32, b: f32| f64::from((a - b).abs());
        Errors {
            faces: 1,
            landmarks: sum / 68.0 / eyes,
            yaw: turn(got.1.yaw, wanted.1.yaw),
            pitch: turn(got.1.pitch, wanted.1.pitch),
            roll: turn(got.1.roll, wanted.1.roll),
        }
    }
}

/// All figures.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Beside the data set's own fits, on persons held out.
    pub held_out: Errors,
    /// What always answering with the mean face gives there.
    pub held_out_mean: Errors,
    /// Of the regressor, clip by clip.
    pub clips: Vec<(String, Errors)>,
    /// Beside the truth, on drawn heads.
    pub drawn: Errors,
    pub drawn_mean: Errors,
    /// Of coefficients on drawn heads with the truth.
    pub correlations: Vec<(&'static str, f64)>,
}

/// What is measured: a regressor and the model that its outputs belong to.
pub struct EvaluatedRegressor {
    regressor: Regressor<Embedded>,
    model: PreparedMorphable,
}

impl EvaluatedRegressor {
    /// # Errors
    /// [`headgan::Error::Model`] where they do not fit together.
    pub fn new(weights: Weights, model: Morphable) -> Result<EvaluatedRegressor> {
        let config = regress::check(&weights)?;
        let options = cpu::Options { threads: 1, ..cpu::Options::default() };
        let regressor = Regressor::new(Embedded::new(Arc::new(weights), &options), config, &model)?;
        Ok(EvaluatedRegressor { regressor, model: PreparedMorphable::new(model)? })
    }

    /// Errors of the regressor and of the mean face, and the regressor's expression.
    fn evaluate_face(
        &self,
        picture: &impl Pixels,
        wanted: (&[[f32; 3]; 68], Euler),
        rng: &mut Rng,
    ) -> Result<([Errors; 2], Vec<f32>)> {
        let exact = roi::from_landmarks(wanted.0)
            .ok_or_else(|| Error::NoFace("a face's landmarks are not finite: prepare the data set again".into()))?;
        let roi = jitter_crop(&exact, CROP_JITTER, rng);
        let model = self.model.model();
        let fit = self.regressor.regress(picture, &roi)?;
        let mean = Params::from_slice(&model.param_mean, model.shape_dim, model.expr_dim)?;
        let errors = |fit: &Fit| -> Result<Errors> {
            let points = self.model.landmarks68(fit)?;
            Ok(Errors::between((&points, ImageCamera::from_fit(fit)?.euler()), wanted))
        };
        let both = [errors(&fit)?, errors(&Fit { params: mean, roi })?];
        Ok((both, fit.params.expr))
    }

    /// Up to `frames` frames of a clip, which `fitted`'s fits are of.
    fn clip(&self, clip: &StoredClip, fitted: &PreparedMorphable, frames: usize, seed: u64) -> Result<[Errors; 2]> {
        let mut sums: [Errors; 2] = Default::default();
        let usable = clip.usable();
        let every = usable.len().div_ceil(frames.max(1)).max(1);
        for i in usable.into_iter().step_by(every) {
            interrupt::check()?;
            let frame = &clip.frames[i];
            let camera = &frame.reference.camera;
            let wanted = fitted.posed_landmarks(&frame.shape, &frame.reference.expr, camera)?;
            let picture = to_bgr8(&clip.picture(i)?);
            let (errors, _) =
                self.evaluate_face(&picture, (&wanted, camera.euler()), &mut Rng::from_parts(&[seed, 9, i as u64]))?;
            sums.iter_mut().zip(&errors).for_each(|(sum, e)| sum.add(e));
        }
        Ok(sums)
    }

    fn head(&self, sample: &Sample, rng: &mut Rng) -> Result<([Errors; 2], Vec<f32>)> {
        let camera = ImageCamera::from_matrix(&sample.camera)?;
        let wanted = self.model.posed_landmarks(&sample.shape, &sample.expr, &camera)?;
        self.evaluate_face(&sample.picture, (&wanted, camera.euler()), rng)
    }

    /// All figures: `frames` frames of each clip held out, where there are clips with the model that they were fitted with, and
    /// `heads` drawn heads.
    ///
    /// # Errors
    /// Those of the clips and networks.
    pub fn measure(
        &self,
        held_out: Option<(&[StoredClip], &Morphable)>,
        frames: usize,
        heads: usize,
        seed: u64,
    ) -> Result<Figures> {
        let mut figures = Figures::default();
        if let Some((clips, fitted)) = held_out {
            let fitted = PreparedMorphable::new(fitted.clone())?;
            for clip in clips {
                let [own, mean] = self.clip(clip, &fitted, frames, seed)?;
                if own.faces > 0 {
                    figures.held_out.add(&own);
                    figures.held_out_mean.add(&mean);
                    figures.clips.push((clip.metadata.name.clone(), own));
                }
            }
        }
        // Every clip counts alike, however many frames it has.
        let faces = figures.clips.iter().map(|(_, e)| e.faces).sum();
        (figures.held_out.faces, figures.held_out_mean.faces) = (faces, faces);
        let mut source = SyntheticHeads::new(seed ^ SEED_OFFSET);
        let mut pairs = vec![Vec::new(); FOLLOWED.len()];
        for i in 0..heads {
            interrupt::check()?;
            let sample = source.next()?;
            let ([own, mean], expr) = self.head(&sample, &mut Rng::from_parts(&[seed, 10, i as u64]))?;
            figures.drawn.add(&own);
            figures.drawn_mean.add(&mean);
            for (pairs, (_, e)) in pairs.iter_mut().zip(FOLLOWED) {
                pairs.push((f64::from(expr[e as usize]), f64::from(sample.expr[e as usize])));
            }
        }
        figures.correlations = FOLLOWED.iter().zip(&pairs).map(|((name, _), p)| (*name, correlation(p))).collect();
        Ok(figures)
    }
}

/// A crop as a detector might have given it: moved by up to so many of its sides, and scaled (a logarithm).
pub fn jitter_crop(exact: &Rect, [shift, scale]: [f64; 2], rng: &mut Rng) -> Rect {
    let side = exact.width();
    let [cx, cy] = exact.center().map(|c| c + side * rng.within(shift) as f32);
    let half = 0.5 * side * rng.within(scale).exp() as f32;
    Rect { x0: cx - half, y0: cy - half, x1: cx + half, y1: cy + half }
}

/// Pearson's; 0 where one side does not vary.
pub fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len().max(1) as f64;
    let (mx, my) = pairs.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs {
        xx += (x - mx).powi(2);
        yy += (y - my).powi(2);
        xy += (x - mx) * (y - my);
    }
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

/// The figures as lines.
pub fn text(figures: &Figures) -> String {
    let line = |what: &str, e: &Errors| {
        format!(
            "{what}: {} faces, landmarks {:.4} of the eyes' distance, yaw {:.2}, pitch {:.2}, roll {:.2} degrees",
            e.faces, e.landmarks, e.yaw, e.pitch, e.roll
        )
    };
    let mut out: Vec<String> = figures.clips.iter().map(|(name, e)| line(&format!("  {name}"), e)).collect();
    if figures.held_out.faces > 0 {
        out.push(line("persons held out", &figures.held_out));
        out.push(line("  the mean face there", &figures.held_out_mean));
    }
    out.push(line("drawn heads", &figures.drawn));
    out.push(line("  the mean face there", &figures.drawn_mean));
    let of = |(name, v): &(&str, f64)| format!("{name} {v:.3}");
    let correlations: Vec<String> = figures.correlations.iter().map(of).collect();
    out.push(format!("correlation with the truth: {}", correlations.join(", ")));
    out.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_shares_of_the_eyes_distance() {
        let wanted: [[f32; 3]; 68] = std::array::from_fn(|i| [i as f32, 0.0, 0.0]);
        let got = wanted.map(|[x, y, z]| [x, y + 0.9, z + 100.0]);
        let turn = Euler { yaw: 3.0, pitch: -1.0, roll: 0.5 };
        let e = Errors::between((&got, turn), (&wanted, Euler::default()));
        assert!((e.landmarks - 0.1).abs() < 1e-6 && e.yaw == 3.0 && e.pitch == 1.0 && e.roll == 0.5, "{e:?}");
        let mut mean = Errors::default();
        mean.add(&e);
        mean.add(&Errors::between((&wanted, turn), (&wanted, turn)));
        assert!(mean.faces == 2 && (mean.landmarks - 0.05).abs() < 1e-6 && mean.yaw == 1.5);
    }

    #[test]
    fn crops_are_moved_a_little() {
        let exact = Rect { x0: 10.0, y0: 20.0, x1: 110.0, y1: 120.0 };
        let mut rng = Rng(1);
        let all: Vec<Rect> = (0..20).map(|_| jitter_crop(&exact, CROP_JITTER, &mut rng)).collect();
        assert!(all.iter().all(|r| (85.0..116.0).contains(&r.width()) && (r.center()[0] - 60.0).abs() <= 6.0));
        assert!(all.iter().all(|r| (r.width() - r.height()).abs() < 1e-3 && r.iou(&exact) > 0.6));
        assert!(all.iter().any(|r| (r.center()[1] - 70.0).abs() > 2.0));
    }

    #[test]
    fn correlations() {
        let line: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), 3.0 - 2.0 * f64::from(i))).collect();
        assert!((correlation(&line) + 1.0).abs() < 1e-9);
        assert_eq!(correlation(&[(1.0, 2.0), (1.0, 3.0)]), 0.0);
        assert_eq!(correlation(&[]), 0.0);
    }
}
