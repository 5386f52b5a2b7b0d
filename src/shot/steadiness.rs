//! How steady a track is before and after smoothing, and whether smoothing delays it.

use crate::Result;
use crate::morphable::PreparedMorphable;
use crate::morphable::retarget::FramePose;
use crate::shot::Track;
use crate::shot::jitter::{Landmarks, lag, second_difference};
use std::fmt;

/// Figures of a track. Jitter is the second difference of the 68 landmarks: the mean over landmarks and frames of
/// |x(t-1) - 2 x(t) + x(t+1)|, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Steadiness {
    /// Of the motion as it was measured, pixels.
    pub jitter_raw: f32,
    /// Of the smoothed motion, pixels.
    pub jitter: f32,
    /// `jitter_raw / jitter`.
    pub ratio: f32,
    /// `jitter_raw` in hundredths of the distance of the outer corners of the eyes.
    pub jitter_raw_percent: f32,
    /// Frames by which the smoothed motion trails the raw one: of yaw, pitch, roll, x and y the one that is furthest from 0
    /// (see [`lag`]).
    pub lag: f32,
}

/// Landmarks of a track's poses, all with the track's own identity.
///
/// # Errors
/// A track of another model.
pub fn landmarks(model: &PreparedMorphable, track: &Track, poses: &[FramePose]) -> Result<Vec<Landmarks>> {
    let average = vec![0.0; model.model().shape_dim];
    let shape = if track.shape.is_empty() { &average } else { &track.shape };
    poses.iter().map(|p| model.posed_landmarks(shape, &p.expr, &p.camera)).collect()
}

/// The figures of a track.
///
/// # Errors
/// A track of another model.
pub fn steadiness(model: &PreparedMorphable, track: &Track) -> Result<Steadiness> {
    let (raw, smooth) = (landmarks(model, track, &track.raw)?, landmarks(model, track, &track.poses)?);
    // From 0: the sum of no numbers is -0, which would be shown.
    let mean = |v: &[f32]| v.iter().fold(0.0, |sum, v| sum + v) / v.len().max(1) as f32;
    let eyes = |l: &Landmarks| (l[36][0] - l[45][0]).hypot(l[36][1] - l[45][1]);
    let (jitter_raw, jitter) = (mean(&second_difference(&raw)), mean(&second_difference(&smooth)));
    let distance = mean(&raw.iter().map(eyes).collect::<Vec<f32>>());
    let curve = |poses: &[FramePose], which: usize| -> Vec<f32> {
        let value = |p: &FramePose| {
            let e = p.camera.euler();
            [e.yaw, e.pitch, e.roll, p.camera.translation[0], p.camera.translation[1]][which]
        };
        poses.iter().map(value).collect()
    };
    let lags = (0..5).map(|which| lag(&curve(&track.raw, which), &curve(&track.poses, which)));
    Ok(Steadiness {
        jitter_raw,
        jitter,
        ratio: if jitter > 0.0 { jitter_raw / jitter } else { 1.0 },
        jitter_raw_percent: if distance > 0.0 { 100.0 * jitter_raw / distance } else { 0.0 },
        lag: lags.fold(0.0, |a: f32, b| if b.abs() > a.abs() { b } else { a }),
    })
}

impl fmt::Display for Steadiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Steadiness { jitter_raw, jitter, ratio, jitter_raw_percent, lag } = self;
        write!(f, "jitter {jitter_raw:.3} px ({jitter_raw_percent:.2} % of the eyes' distance)")?;
        if ratio == &1.0 {
            return write!(f, ", not smoothed");
        }
        write!(f, ", smoothed {jitter:.3} px ({ratio:.1} times less), {lag:+.2} frames late")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shot::{Head, Motion, TrackSettings};
    use crate::synthetic;

    #[test]
    fn a_clip_that_is_too_short_to_shake_has_plain_zeros() {
        let model = PreparedMorphable::new(synthetic::head()).unwrap();
        for frames in [1, 2] {
            let fits: Vec<_> =
                synthetic::demo_driving(64, 2).unwrap().take(frames).map(|item| item.unwrap().1).collect();
            let motion = Motion::from_fits(&fits, (64, 64), "drawn");
            let track = Track::new(&motion, &Head::from_model(model.model()), &TrackSettings::default()).unwrap();
            let figures = steadiness(&model, &track).unwrap().to_string();
            assert_eq!(figures, "jitter 0.000 px (0.00 % of the eyes' distance), not smoothed");
        }
    }
}
