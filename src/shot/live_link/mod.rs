//! Live Link Face recordings: a performance as ARKit's 52 curves and the head's angles, as CSV.
//!
//! A row is a frame: a timecode, the curves, and angles in radians. The columns go by name, in any order, in camelCase or
//! PascalCase; those that are missing are 0. Angles turn about the face's own axes, each to the right hand: yaw about the one that
//! points up, positive towards the face's left; pitch about the one towards its left, positive down; roll about the one that comes
//! out of the face, positive towards its right shoulder. The head is rolled first, then pitched, then turned. An eye's angles are relative
//! to the head and have the same signs.
//!
//! The app records no place: there the head stays where the reference's is. Three columns of our own, behind all others, say it where it is
//! known: metres to the picture's right and up, and the head's size in the picture as a multiple of its mean.

mod csv;
#[cfg(test)]
mod tests;
mod timecode;

use super::motion::{Motion, MotionFrame};
use crate::media::{Rational, atomic};
use crate::morphable::arkit::ArkitCurves;
use crate::morphable::{ArkitShape, ImageCamera, Morphable};
use crate::{Error, Result};
use nalgebra::{Rotation3, UnitQuaternion, Vector3};
use std::io::{BufReader, Write};
use std::path::Path;

/// Ending of a recording's name.
pub const EXTENSION: &str = "csv";
/// The columns of the head's angles, and of the left and the right eye's.
const HEAD: [&str; 3] = ["HeadYaw", "HeadPitch", "HeadRoll"];
/// Columns of our own: the head's place, as [`Place`] has it.
const PLACE: [&str; 3] = ["HeadX", "HeadY", "HeadScale"];
const EYES: [&str; 6] = ["LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"];
/// A hole between rows is one where it is so many times longer than usual.
const HOLE: f64 = 1.5;
/// Within this part of a step a time is that of a row.
const EXACT: f64 = 0.005;
/// Frames that a performance has at most, whatever its timecodes say.
const MOST_FRAMES: f64 = 1e6;
/// The picture that a performance is thought to be seen in: its side in pixels, pixels that a unit of the model takes, and those that a metre
/// takes. A unit is a micrometre.
const SIDE: usize = 1000;
const PER_UNIT: f32 = 1e-3;
const PER_METRE: f32 = 1e6 * PER_UNIT;

/// Where the head is in its picture, as a plane at its mean distance shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Metres to the picture's right, from its middle.
    pub x: f32,
    /// Metres up, from its middle.
    pub y: f32,
    /// Size in the picture, as a multiple of its mean.
    pub scale: f32,
}

impl Default for Place {
    fn default() -> Place {
        Place { x: 0.0, y: 0.0, scale: 1.0 }
    }
}

/// One row of a recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Time since the first row.
    pub seconds: f64,
    /// 0..1, as ARKit means them: at 1 of a blink that actor's eye is shut.
    pub curves: ArkitCurves,
    /// Yaw, pitch and roll of the head, radians.
    pub head: [f32; 3],
    /// Its place; the default where it is not recorded.
    pub place: Place,
}

/// A recording: at least one row, by rising time.
#[derive(Debug, Clone, PartialEq)]
pub struct Performance {
    samples: Vec<Sample>,
}

/// Whether a name is that of a recording.
pub fn is_recording_name(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case(EXTENSION))
}

/// Who performs what is recorded: a morphable model that acts, and a person of it.
#[derive(Debug, Clone, Copy)]
pub struct Performer<'a> {
    /// The model.
    pub model: &'a Morphable,
    /// Its blake3, as motions name it.
    pub hash: &'a str,
    /// The person's identity coefficients.
    pub shape: &'a [f32],
    /// How far a blink of the model's shuts that person's left and right eye; see
    /// [`DenseHead::lid_gains`](crate::morphable::dense::DenseHead::lid_gains).
    pub lids: [f32; 2],
}

impl Performance {
    /// A performance of these samples; `None` where there are none or their times do not rise from 0.
    pub fn new(samples: Vec<Sample>) -> Option<Performance> {
        let rising = samples.windows(2).all(|w| w[0].seconds < w[1].seconds);
        (samples.first()?.seconds == 0.0 && rising).then_some(Performance { samples })
    }

    /// The rows.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// The same without the head's place, as the app records it.
    pub fn without_place(mut self) -> Performance {
        self.samples.iter_mut().for_each(|s| s.place = Place::default());
        self
    }

    /// Reads a CSV.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be read, is damaged, or is no Live Link Face recording.
    pub fn load(path: &Path) -> Result<Performance> {
        let name = path.display();
        let file = std::fs::File::open(path)
            .map_err(|e| Error::input(format!("cannot open {name}: {e}: check the name")).with_source(e))?;
        csv::read(BufReader::new(file), &name.to_string())
    }

    /// Writes a CSV, whole or not at all, with times in sixtieths of a second; the head's place only where it is not the default all along.
    /// Returns its bytes.
    ///
    /// # Errors
    /// [`Error::Input`] where it cannot be written.
    pub fn save(&self, path: &Path) -> Result<usize> {
        let text = csv::write(self);
        atomic::write(path, |f| f.write_all(text.as_bytes()).map_err(|e| atomic::write_error(path, e)))?;
        Ok(text.len())
    }

    /// The usual time between two rows, seconds.
    fn step(&self) -> f64 {
        let mut steps: Vec<f64> = self.samples.windows(2).map(|w| w[1].seconds - w[0].seconds).collect();
        steps.sort_by(f64::total_cmp);
        steps.get(steps.len() / 2).copied().unwrap_or(1.0 / 60.0)
    }

    /// The usual frame rate that the rows come at; 60 for a single one.
    pub fn rate(&self) -> Rational {
        timecode::usual_rate(self.step())
    }

    /// How long it lasts, from the first row to the last.
    pub fn seconds(&self) -> f64 {
        self.samples[self.samples.len() - 1].seconds
    }

    /// Times between which there is no row for longer than `longest` seconds.
    pub fn holes(&self, longest: f64) -> Vec<[f64; 2]> {
        let far = |w: &&[Sample]| w[1].seconds - w[0].seconds > longest;
        self.samples.windows(2).filter(far).map(|w| [w[0].seconds, w[1].seconds]).collect()
    }

    /// One sample for each frame of `fps` a second, the first at the first row: between the rows around it in proportion, the head's angles
    /// on the shortest way; `None` in a hole, where rows are missing for more than a frame.
    ///
    /// # Errors
    /// [`Error::Input`] for a recording of more than a million frames.
    pub fn resampled(&self, fps: Rational) -> Result<Vec<Option<Sample>>> {
        let (step, frame) = (self.step(), 1.0 / fps.as_f64());
        let count = (self.seconds() / frame + EXACT).floor() + 1.0;
        if count > MOST_FRAMES {
            let hours = self.seconds() / 3600.0;
            return Err(Error::input(format!("the recording lasts {hours:.1} hours at {fps} frames a second: cut it")));
        }
        let hole = (HOLE * step).max(frame * (1.0 + EXACT));
        Ok((0..count as usize)
            .map(|i| {
                let seconds = i as f64 * frame;
                let after = self.samples.partition_point(|s| s.seconds < seconds - EXACT * step);
                let next = self.samples.get(after).or(self.samples.last())?;
                if (next.seconds - seconds).abs() <= EXACT * step || after == 0 {
                    return Some(Sample { seconds, ..next.clone() });
                }
                let before = &self.samples[after - 1];
                let between = next.seconds - before.seconds;
                // Behind the last row by less than what counts as exact.
                let t = if between > 0.0 { ((seconds - before.seconds) / between).min(1.0) as f32 } else { 0.0 };
                (between <= hole).then(|| Sample { seconds, ..mixed(before, next, t) })
            })
            .collect())
    }

    /// The performance as a motion of a model: in a picture of its own.
    ///
    /// # Errors
    /// [`Error::Model`] for a model that does not act; as [`Performance::resampled`].
    pub fn motion(&self, fps: Rational, performer: &Performer) -> Result<Motion> {
        let Performer { model, hash, shape, lids } = *performer;
        if model.arkit.len() != ArkitShape::COUNT {
            return Err(Error::model(
                "a Live Link Face recording needs a head with ARKit's shapes: choose the pack 'mediapipe', or fit with its points",
            ));
        }
        let middle = SIDE as f32 / 2.0;
        let frame = |sample: Sample| {
            let Place { x, y, scale } = sample.place;
            let at = [middle + PER_METRE * x, middle - PER_METRE * y, 0.0];
            let camera = ImageCamera::new(PER_UNIT * scale, rotation(sample.head), at);
            let mut expr = vec![0.0; model.expr_dim];
            for (shape, (&column, value)) in ArkitShape::ALL.iter().zip(model.arkit.iter().zip(sample.curves)) {
                expr[column as usize] += value * gain(*shape, lids);
            }
            MotionFrame { camera: camera.matrix().map(|v| v as f32), expr, confidence: 1.0 }
        };
        let frames = self.resampled(fps)?.into_iter().map(|s| s.map(frame)).collect();
        let identity = Some(shape.to_vec());
        Ok(Motion { first: 0, size: (SIDE, SIDE), fps: Some(fps), model: hash.into(), frames, identity })
    }

    /// What an analysed motion performs; frames without a face are left out, but the first and the last, which are those of the
    /// nearest that show it.
    ///
    /// # Errors
    /// [`Error::Model`] for a model that does not act, [`Error::NoFace`] for a motion without a face.
    pub fn of_motion(motion: &Motion, fps: Rational, performer: &Performer) -> Result<Performance> {
        let unnamed = || {
            Error::model(
                "ARKit's curves need a head with ARKit's shapes: choose the pack 'mediapipe', or fit with its points",
            )
        };
        let cameras: Vec<Option<ImageCamera>> =
            motion.frames.iter().map(|f| ImageCamera::from_matrix(&f.as_ref()?.camera.map(f64::from)).ok()).collect();
        let seen = || cameras.iter().flatten();
        let mean = seen().map(|c| c.scale).sum::<f32>() / (seen().count().max(1) as f32);
        let per_metre = 1e6 * mean;
        let middle = [motion.size.0, motion.size.1].map(|side| side as f32 / 2.0);
        let mut samples: Vec<Sample> = Vec::new();
        for ((i, frame), camera) in motion.frames.iter().enumerate().zip(&cameras) {
            let (Some(frame), Some(camera)) = (frame, camera) else { continue };
            let mut curves = performer.model.arkit_curves(&frame.expr).ok_or_else(unnamed)?;
            for (value, shape) in curves.iter_mut().zip(ArkitShape::ALL) {
                *value = (*value / gain(*shape, performer.lids)).clamp(0.0, 1.0);
            }
            let [x, y, _] = camera.translation;
            let [x, y] = [(x - middle[0]) / per_metre, (middle[1] - y) / per_metre];
            let place = Place { x, y, scale: camera.scale / mean };
            samples.push(Sample { seconds: i as f64 / fps.as_f64(), curves, head: angles(&camera.rotation), place });
        }
        // As long as the clip: its ends are held.
        let end = motion.frames.len().saturating_sub(1) as f64 / fps.as_f64();
        if let Some(first) = samples.first().filter(|s| s.seconds > 0.0) {
            samples.insert(0, Sample { seconds: 0.0, ..first.clone() });
        }
        if let Some(last) = samples.last().filter(|s| s.seconds < end) {
            samples.push(Sample { seconds: end, ..last.clone() });
        }
        Performance::new(samples).ok_or_else(|| Error::no_face("the clip shows no face: use another"))
    }
}

/// How far a person's lids go at a coefficient of 1 of the model.
fn gain(shape: ArkitShape, lids: [f32; 2]) -> f32 {
    let gain = match shape {
        ArkitShape::EyeBlinkLeft => lids[0],
        ArkitShape::EyeBlinkRight => lids[1],
        _ => 1.0,
    };
    if gain > 0.0 { gain } else { 1.0 }
}

/// The head's rotation: rolled, then pitched, then turned.
fn rotation([yaw, pitch, roll]: [f32; 3]) -> Rotation3<f32> {
    let about = |axis, angle| Rotation3::from_axis_angle(&axis, angle);
    about(Vector3::y_axis(), yaw) * about(Vector3::x_axis(), pitch) * about(Vector3::z_axis(), roll)
}

/// The angles of a rotation, such that [`rotation`] gives it back.
fn angles(r: &Rotation3<f32>) -> [f32; 3] {
    let m = r.matrix();
    let pitch = (-m[(1, 2)]).clamp(-1.0, 1.0).asin();
    [m[(0, 2)].atan2(m[(2, 2)]), pitch, m[(1, 0)].atan2(m[(1, 1)])]
}

fn mixed(a: &Sample, b: &Sample, t: f32) -> Sample {
    let [p, q] = [a, b].map(|s| UnitQuaternion::from_rotation_matrix(&rotation(s.head)));
    let head = angles(&p.try_slerp(&q, t, 1e-6).unwrap_or(p).to_rotation_matrix());
    let curves = std::array::from_fn(|k| a.curves[k] + t * (b.curves[k] - a.curves[k]));
    let between = |a: f32, b: f32| a + t * (b - a);
    let place = Place {
        x: between(a.place.x, b.place.x),
        y: between(a.place.y, b.place.y),
        scale: between(a.place.scale, b.place.scale),
    };
    Sample { seconds: a.seconds, curves, head, place }
}
