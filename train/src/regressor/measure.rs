//! How good a regressor is: beside the data set's fits on persons held out, and beside the truth on drawn heads that
//! training has not seen.

use super::heads::Heads;
use super::sample::{AROUND, SIDE, Sample};
use super::view::bytes;
use crate::data::store::Stored;
use headgan::Result;
use headgan::engine::{Embedded, cpu};
use headgan::face::bgr::Pixels;
use headgan::face::regress::{self, Regressor};
use headgan::face::{Rect, roi};
use headgan::media::interrupt;
use headgan::models::Weights;
use headgan::morphable::{Euler, ImageCamera, Morphable, Prepared};
use headgan::synthetic::head::Expression;
use serde::Serialize;
use std::sync::Arc;

/// Added to a run's seed for the heads that are measured on.
pub const OTHER_SEED: u64 = 1 << 40;
/// Outer corners of the eyes.
const EYES: [usize; 2] = [36, 45];
/// Coefficients whose correlation with the truth is measured.
const FOLLOWED: [(&str, Expression); 5] = [
    ("jaw open", Expression::JawOpen),
    ("blink left", Expression::BlinkLeft),
    ("blink right", Expression::BlinkRight),
    ("smile", Expression::Smile),
    ("brow raise", Expression::BrowRaise),
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
    fn of(got: (&[[f32; 3]; 68], Euler), wanted: (&[[f32; 3]; 68], Euler)) -> Errors {
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
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// Beside the data set's own fits, on persons held out.
    pub held_out: Errors,
    /// The same, clip by clip.
    pub clips: Vec<(String, Errors)>,
    /// Beside the truth, on drawn heads.
    pub drawn: Errors,
    /// Of coefficients on drawn heads with the truth.
    pub correlations: Vec<(&'static str, f64)>,
}

/// What is measured: a regressor and the model that its outputs belong to.
pub struct Subject {
    regressor: Regressor<Embedded>,
    model: Prepared,
}

impl Subject {
    /// # Errors
    /// [`headgan::Error::Model`] where they do not fit together.
    pub fn new(weights: Weights, model: Morphable) -> Result<Subject> {
        let config = regress::check(&weights)?;
        let options = cpu::Options { threads: 1, ..cpu::Options::default() };
        let regressor = Regressor::new(Embedded::new(Arc::new(weights), &options), config, &model)?;
        Ok(Subject { regressor, model: Prepared::new(model)? })
    }

    fn look(&self, picture: &impl Pixels, crop: &Rect) -> Result<([[f32; 3]; 68], Euler, Vec<f32>)> {
        let fit = self.regressor.regress(picture, crop)?;
        Ok((self.model.landmarks68(&fit)?, ImageCamera::from_fit(&fit)?.euler(), fit.params.expr))
    }

    /// Up to `frames` frames of each clip, which `fitted`'s fits are of. The crop is the one that the fit's landmarks give, as
    /// in a shot that is followed.
    ///
    /// # Errors
    /// Those of the clips and networks.
    fn clip(&self, clip: &Stored, fitted: &Prepared, frames: usize) -> Result<Errors> {
        let mut errors = Errors::default();
        let usable = clip.usable();
        let every = usable.len().div_ceil(frames.max(1)).max(1);
        for i in usable.into_iter().step_by(every) {
            interrupt::check()?;
            let frame = &clip.frames[i];
            let camera = &frame.reference.camera;
            let wanted = fitted.posed_landmarks(&frame.shape, &frame.reference.expr, camera)?;
            let Some(crop) = roi::from_landmarks(&wanted) else { continue };
            let (got, turn, _) = self.look(&bytes(&clip.picture(i)?), &crop)?;
            errors.add(&Errors::of((&got, turn), (&wanted, camera.euler())));
        }
        Ok(errors)
    }

    fn head(&self, sample: &Sample) -> Result<(Errors, Vec<f32>)> {
        let camera = ImageCamera::from_matrix(&sample.camera)?;
        let wanted = self.model.posed_landmarks(&sample.shape, &sample.expr, &camera)?;
        let side = (SIDE as f64 / AROUND) as f32;
        let from = 0.5 * (SIDE as f32 - side);
        let crop =
            roi::from_landmarks(&wanted).unwrap_or(Rect { x0: from, y0: from, x1: from + side, y1: from + side });
        let (got, turn, expr) = self.look(&sample.picture, &crop)?;
        Ok((Errors::of((&got, turn), (&wanted, camera.euler())), expr))
    }

    /// All figures: `frames` frames of each clip held out, and `heads` drawn heads.
    ///
    /// # Errors
    /// Those of the clips and networks.
    pub fn measure(
        &self,
        held_out: &[Stored],
        fitted: &Morphable,
        frames: usize,
        heads: usize,
        seed: u64,
    ) -> Result<Figures> {
        let fitted = Prepared::new(fitted.clone())?;
        let mut figures = Figures {
            held_out: Errors::default(),
            clips: Vec::new(),
            drawn: Errors::default(),
            correlations: Vec::new(),
        };
        for clip in held_out {
            let errors = self.clip(clip, &fitted, frames)?;
            if errors.faces > 0 {
                figures.held_out.add(&errors);
                figures.clips.push((clip.about.name.clone(), errors));
            }
        }
        // Every clip counts alike, however many frames it has.
        figures.held_out.faces = figures.clips.iter().map(|(_, e)| e.faces).sum();
        let mut source = Heads::new(seed ^ OTHER_SEED);
        let mut pairs = vec![Vec::new(); FOLLOWED.len()];
        for _ in 0..heads {
            interrupt::check()?;
            let sample = source.next()?;
            let (errors, expr) = self.head(&sample)?;
            figures.drawn.add(&errors);
            for (pairs, (_, e)) in pairs.iter_mut().zip(FOLLOWED) {
                pairs.push((f64::from(expr[e as usize]), f64::from(sample.expr[e as usize])));
            }
        }
        figures.correlations = FOLLOWED.iter().zip(&pairs).map(|((name, _), p)| (*name, correlation(p))).collect();
        Ok(figures)
    }
}

/// Pearson's; 0 where one side does not vary.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
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
    out.push(line("persons held out", &figures.held_out));
    out.push(line("drawn heads", &figures.drawn));
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
        let e = Errors::of((&got, turn), (&wanted, Euler::default()));
        assert!((e.landmarks - 0.1).abs() < 1e-6 && e.yaw == 3.0 && e.pitch == 1.0 && e.roll == 0.5, "{e:?}");
        let mut mean = Errors::default();
        mean.add(&e);
        mean.add(&Errors::of((&wanted, turn), (&wanted, turn)));
        assert!(mean.faces == 2 && (mean.landmarks - 0.05).abs() < 1e-6 && mean.yaw == 1.5);
    }

    #[test]
    fn correlations() {
        let line: Vec<(f64, f64)> = (0..9).map(|i| (f64::from(i), 3.0 - 2.0 * f64::from(i))).collect();
        assert!((correlation(&line) + 1.0).abs() < 1e-9);
        assert_eq!(correlation(&[(1.0, 2.0), (1.0, 3.0)]), 0.0);
        assert_eq!(correlation(&[]), 0.0);
    }
}
