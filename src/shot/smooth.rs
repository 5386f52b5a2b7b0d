//! Smoothing of a track, over the whole shot and without lag.
//!
//! Each value becomes that of a line fitted to its neighbours (local linear regression with a Gaussian of the given standard
//! deviation in frames, cut at three of them, times the confidence of each frame). The weights are symmetric in time, so
//! nothing is delayed; the line instead of a mean keeps the ends of the shot where they are. Sizes are smoothed as
//! logarithms, rotations in the tangent space of SO(3) at the value itself.

use crate::morphable::retarget::FramePose;
use nalgebra::{Rotation3, UnitQuaternion, Vector3};
use std::ops::RangeInclusive;

/// How strongly each part is smoothed: standard deviation of the Gaussian in frames; 0 leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct Stabilise {
    /// The head's size.
    pub size: f32,
    /// The head's pose.
    pub rotation: f32,
    /// The head's place in the picture.
    pub position: f32,
    /// Expression coefficients.
    pub expression: f32,
}

impl Stabilise {
    /// Whether nothing is smoothed.
    pub fn is_off(&self) -> bool {
        *self == Stabilise::default()
    }
}

/// What a frame counts beside others that are certain, where its own pose is made up.
const LEAST: f32 = 0.05;
/// The Gaussian is cut at so many standard deviations.
const REACH: f32 = 3.0;

/// The smoothed track; `confidence` has a value for each pose.
pub fn smooth(poses: &[FramePose], confidence: &[f32], settings: &Stabilise) -> Vec<FramePose> {
    let mut out = poses.to_vec();
    if settings.is_off() || poses.len() < 2 {
        return out;
    }
    for (i, pose) in out.iter_mut().enumerate() {
        if let Some(k) = Kernel::new(i, settings.size, confidence) {
            pose.camera.scale = k.sum(|j| f64::from(poses[j].camera.scale).ln()).exp() as f32;
        }
        if let Some(k) = Kernel::new(i, settings.position, confidence) {
            for c in 0..3 {
                pose.camera.translation[c] = k.sum(|j| f64::from(poses[j].camera.translation[c])) as f32;
            }
        }
        if let Some(k) = Kernel::new(i, settings.rotation, confidence) {
            pose.camera.rotation = rotation(poses, i, &k);
            // What the camera has beyond a similarity is the fit's noise, as is its rotation's.
            for c in 0..9 {
                pose.camera.shear[c] = k.sum(|j| f64::from(poses[j].camera.shear[c])) as f32;
            }
        }
        if let Some(k) = Kernel::new(i, settings.expression, confidence) {
            for c in 0..pose.expr.len() {
                pose.expr[c] = k.sum(|j| f64::from(poses[j].expr[c])) as f32;
            }
        }
    }
    out
}

fn rotation(poses: &[FramePose], i: usize, kernel: &Kernel) -> Rotation3<f32> {
    let at = |j: usize| {
        let matrix = poses[j].camera.rotation.matrix().map(f64::from);
        UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(matrix))
    };
    let mut centre = at(i);
    // Once from the frame's own rotation, once more from what that gave.
    for _ in 0..2 {
        let inverse = centre.inverse();
        let mut sum = Vector3::zeros();
        for (j, w) in kernel.weights() {
            sum += w * (inverse * at(j)).scaled_axis();
        }
        centre *= UnitQuaternion::from_scaled_axis(sum);
        centre.renormalize();
    }
    Rotation3::from_matrix_unchecked(centre.to_rotation_matrix().matrix().map(|v| v as f32))
}

/// The weights that give the value of the fitted line at a frame.
pub(super) struct Kernel {
    first: usize,
    weights: Vec<f64>,
}

impl Kernel {
    /// Weights around frame `i`; `None` where nothing is to be smoothed.
    fn new(i: usize, sigma: f32, confidence: &[f32]) -> Option<Kernel> {
        let sure = |j: usize| f64::from(confidence[j].max(LEAST));
        (sigma > 0.0).then(|| Kernel::weighted(i, confidence.len(), f64::from(sigma), sure))
    }

    /// Weights around frame `i` of `len`, for a standard deviation above 0 and frames that count `sure(j)`.
    pub(super) fn weighted(i: usize, len: usize, sigma: f64, sure: impl Fn(usize) -> f64) -> Kernel {
        let (first, last) = Kernel::reach(i, len, sigma).into_inner();
        let away = |j: usize| j as f64 - i as f64;
        let mut weights: Vec<f64> =
            (first..=last).map(|j| sure(j) * (-0.5 * (away(j) / sigma).powi(2)).exp()).collect();
        let moment = |p: i32| weights.iter().zip(first..).map(|(w, j)| w * away(j).powi(p)).sum::<f64>();
        let (s0, s1, s2) = (moment(0), moment(1), moment(2));
        let determinant = s0 * s2 - s1 * s1;
        if determinant > 1e-12 * s0 * s0 {
            weights.iter_mut().zip(first..).for_each(|(w, j)| *w *= (s2 - s1 * away(j)) / determinant);
        } else {
            weights.iter_mut().for_each(|w| *w /= s0);
        }
        Kernel { first, weights }
    }

    /// The frames that have a weight.
    pub(super) fn reach(i: usize, len: usize, sigma: f64) -> RangeInclusive<usize> {
        let reach = (f64::from(REACH) * sigma).ceil() as usize;
        i.saturating_sub(reach)..=(i + reach).min(len.saturating_sub(1))
    }

    fn weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        self.weights.iter().zip(self.first..).map(|(w, j)| (j, *w))
    }

    pub(super) fn sum(&self, value: impl Fn(usize) -> f64) -> f64 {
        self.weights().map(|(j, w)| w * value(j)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::{Euler, ImageCamera};
    use crate::testing::Rng;

    fn pose(scale: f32, euler: Euler, x: f32, smile: f32) -> FramePose {
        FramePose { camera: ImageCamera::new(scale, euler.rotation(), [x, 50.0, 0.0]), expr: vec![smile, -smile] }
    }

    const ALL: Stabilise = Stabilise { size: 3.0, rotation: 3.0, position: 3.0, expression: 3.0 };

    fn spread(values: impl Iterator<Item = f32> + Clone) -> f32 {
        let v: Vec<f32> = values.collect();
        v.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).sum::<f32>() / (v.len() - 2) as f32
    }

    #[test]
    fn noise_goes_and_steady_motion_stays() {
        let n = 80;
        let mut rng = Rng(4);
        let truth = |i: usize| {
            let t = i as f32;
            (1.0 + 0.002 * t, Euler { yaw: -40.0 + t, pitch: 0.5 * t, roll: 10.0 }, 3.0 * t, 0.1 * t)
        };
        let noisy: Vec<FramePose> = (0..n)
            .map(|i| {
                let (s, e, x, smile) = truth(i);
                let e = Euler { yaw: e.yaw + rng.signed(), pitch: e.pitch + rng.signed(), roll: e.roll + rng.signed() };
                pose(s * (1.0 + 0.01 * rng.signed()), e, x + rng.signed(), smile + rng.signed())
            })
            .collect();
        let out = smooth(&noisy, &vec![1.0; n], &ALL);
        let yaw = |p: &[FramePose]| spread(p.iter().map(|p| p.camera.euler().yaw).collect::<Vec<_>>().into_iter());
        let x = |p: &[FramePose]| spread(p.iter().map(|p| p.camera.translation[0]).collect::<Vec<_>>().into_iter());
        assert!(yaw(&out) < 0.1 * yaw(&noisy) && x(&out) < 0.1 * x(&noisy), "{} {}", yaw(&out), yaw(&noisy));
        for (i, p) in out.iter().enumerate() {
            let (s, e, x, smile) = truth(i);
            let got = p.camera.euler();
            // At the ends a line has fewer frames to go by.
            assert!((got.yaw - e.yaw).abs() < 1.5 && (got.pitch - e.pitch).abs() < 1.5, "frame {i}: {got:?} {e:?}");
            assert!((p.camera.translation[0] - x).abs() < 1.5 && (p.camera.scale / s - 1.0).abs() < 0.015, "{i}");
            assert!((p.expr[0] - smile).abs() < 1.5);
        }
        let matrix = out[7].camera.rotation.matrix();
        assert!((matrix * matrix.transpose() - nalgebra::Matrix3::identity()).norm() < 1e-5);
    }

    #[test]
    fn nothing_lags_and_time_runs_both_ways() {
        let n = 41;
        let bump = |i: usize| 10.0 * (-0.5 * ((i as f32 - 20.0) / 4.0).powi(2)).exp();
        let forward: Vec<FramePose> =
            (0..n).map(|i| pose(1.0, Euler { yaw: bump(i), ..Euler::default() }, bump(i), bump(i))).collect();
        let backward: Vec<FramePose> = forward.iter().rev().cloned().collect();
        let ones = vec![1.0; n];
        let (a, b) = (smooth(&forward, &ones, &ALL), smooth(&backward, &ones, &ALL));
        for i in 0..n {
            assert!((a[i].camera.translation[0] - b[n - 1 - i].camera.translation[0]).abs() < 1e-4, "frame {i}");
            assert!((a[i].camera.euler().yaw - b[n - 1 - i].camera.euler().yaw).abs() < 1e-3, "frame {i}");
        }
        let peak = (0..n).max_by(|&i, &k| a[i].expr[0].total_cmp(&a[k].expr[0]));
        assert_eq!(peak, Some(20));
    }

    #[test]
    fn each_part_has_its_own_strength_and_off_changes_no_bit() {
        let mut rng = Rng(9);
        let poses: Vec<FramePose> = (0..20)
            .map(|_| {
                let e = Euler { yaw: 20.0 * rng.signed(), pitch: 9.0 * rng.signed(), roll: 3.0 * rng.signed() };
                pose(1.0 + 0.1 * rng.signed(), e, rng.signed(), rng.signed())
            })
            .collect();
        let ones = vec![1.0; 20];
        assert_eq!(smooth(&poses, &ones, &Stabilise::default()), poses);
        let out = smooth(&poses, &ones, &Stabilise { rotation: 2.0, ..Stabilise::default() });
        for (a, b) in out.iter().zip(&poses) {
            assert!(a.camera.rotation != b.camera.rotation);
            assert_eq!(
                (a.camera.scale, a.camera.translation, &a.expr),
                (b.camera.scale, b.camera.translation, &b.expr)
            );
        }
        assert_eq!(smooth(&poses[..1], &ones[..1], &ALL), poses[..1]);
    }

    #[test]
    fn what_is_made_up_counts_little() {
        let mut poses: Vec<FramePose> = (0..21).map(|_| pose(1.0, Euler::default(), 0.0, 0.0)).collect();
        poses[10] = pose(1.0, Euler::default(), 100.0, 0.0);
        let mut confidence = vec![1.0; 21];
        let sure = smooth(&poses, &confidence, &ALL)[10].camera.translation[0];
        confidence[10] = 0.0;
        let made_up = smooth(&poses, &confidence, &ALL)[10].camera.translation[0];
        assert!(made_up < 0.1 * sure, "{made_up} {sure}");
    }
}
