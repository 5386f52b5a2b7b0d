//! The noise of the head's turn and size from frame to frame, taken out.
//!
//! The points tell where a face is better than how it is turned: a turn of half a degree to the side moves them by less than a
//! hundredth of the distance of the eyes, no more than they shake. So turn and size are moved half of the way to the mean of the frames before and
//! after, which is what a symmetric kernel of 1, 2, 1 does: nothing comes late. A head that really turns changes its turn by more than
//! noise does, and keeps it: the way grows shorter the farther the mean is. Expressions, and where the middle of the face appears, stay
//! as they are.

use super::{DenseHead, FrameFit, POINTS};
use crate::morphable::ImageCamera;
use nalgebra::{Rotation3, UnitQuaternion, Vector3};

/// Share of the way to the neighbours' mean.
const WAY: f64 = 0.5;
/// Geman-McClure's measures of how far away the mean is: in radians (two degrees), and of the size's logarithm. There a quarter is left.
const TURN: f64 = 0.035;
const GROWTH: f64 = 0.02;

/// Steadies the cameras of a shot. A frame without neighbours stays as it is.
pub fn steady_cameras(head: &DenseHead, frames: &mut [Option<FrameFit>]) {
    let middle = head.mean.iter().sum::<Vector3<f64>>() / POINTS as f64;
    let middle = head.place.apply_inverse(middle);
    let cameras: Vec<Option<ImageCamera>> = frames.iter().map(|f| f.as_ref().map(|f| f.camera.clone())).collect();
    for (frame, near) in frames.iter_mut().skip(1).zip(cameras.windows(3)) {
        let (Some(frame), [Some(before), Some(_), Some(after)]) = (frame, near) else { continue };
        if let Some(camera) = steadied(&frame.camera, [before, after], &middle) {
            frame.camera = camera;
        }
    }
}

fn turn(camera: &ImageCamera) -> UnitQuaternion<f64> {
    UnitQuaternion::from_rotation_matrix(&Rotation3::from_matrix_unchecked(camera.rotation.matrix().map(f64::from)))
}

/// `None` where a size is none.
fn steadied(camera: &ImageCamera, near: [&ImageCamera; 2], middle: &Vector3<f64>) -> Option<ImageCamera> {
    let share = |off: f64, measure: f64| WAY * (1.0 + (off / measure).powi(2)).powi(-2);
    let (own, size) = (turn(camera), |c: &ImageCamera| f64::from(c.scale).ln());
    let [a, b] = near.map(|c| (turn(c) * own.inverse()).scaled_axis());
    let towards = 0.5 * (a + b);
    let rotation = UnitQuaternion::from_scaled_axis(towards * share(towards.norm(), TURN)) * own;
    let growth = 0.5 * (size(near[0]) + size(near[1])) - size(camera);
    let scale = (size(camera) + growth * share(growth, GROWTH)).exp() as f32;
    let matrix = rotation.to_rotation_matrix().matrix().map(|v| v as f32);
    let mut steady = ImageCamera { scale, rotation: Rotation3::from_matrix_unchecked(matrix), ..camera.clone() };
    // The middle of the face stays where it is.
    let (was, is) = (camera.matrix(), steady.matrix());
    for (r, t) in steady.translation.iter_mut().enumerate() {
        *t += (0..3).map(|c| (was[4 * r + c] - is[4 * r + c]) * middle[c]).sum::<f64>() as f32;
    }
    let finite = scale > 0.0 && steady.matrix().iter().all(|v| v.is_finite());
    finite.then_some(steady)
}

#[cfg(test)]
mod tests {
    use super::super::DenseRegion;
    use super::*;
    use crate::morphable::ArkitShape;
    use crate::synthetic::acting_head;
    use crate::testing::Rng;

    fn frame(degrees: f32, scale: f32) -> Option<FrameFit> {
        let rotation = Rotation3::from_axis_angle(&Vector3::y_axis(), degrees.to_radians());
        let camera = ImageCamera::new(scale, rotation, [50.0, 60.0, 0.0]);
        let (shapes, confidence) = ([0.25; ArkitShape::COUNT], [1.0; DenseRegion::COUNT]);
        Some(FrameFit { camera, shapes, expr: vec![0.25], confidence, error: 0.0 })
    }

    /// Mean second difference of the turn to the side, degrees, and the turns.
    fn bend(frames: &[Option<FrameFit>]) -> (f32, Vec<f32>) {
        let turns: Vec<f32> = frames.iter().flatten().map(|f| f.camera.euler().yaw).collect();
        let bends: Vec<f32> = turns.windows(3).map(|w| (w[0] - 2.0 * w[1] + w[2]).abs()).collect();
        (bends.iter().sum::<f32>() / bends.len() as f32, turns)
    }

    #[test]
    fn noise_shakes_less_and_the_face_stays_in_place() {
        let head = DenseHead::new(&acting_head()).unwrap();
        let mut rng = Rng(3);
        let noisy: Vec<_> = (0..60).map(|_| frame(0.3 * rng.signed(), 2.0 + 0.006 * rng.signed())).collect();
        let mut steady = noisy.clone();
        steady_cameras(&head, &mut steady);
        let (before, after) = (bend(&noisy).0, bend(&steady).0);
        assert!(after < 0.5 * before && after > 0.0, "{before} {after}");
        let middle = head.place.apply_inverse(head.mean.iter().sum::<Vector3<f64>>() / POINTS as f64);
        for (a, b) in noisy.iter().flatten().zip(steady.iter().flatten()) {
            let at = |f: &FrameFit, r: usize| {
                let m = f.camera.matrix();
                m[4 * r] * middle.x + m[4 * r + 1] * middle.y + m[4 * r + 2] * middle.z + m[4 * r + 3]
            };
            assert!((0..2).all(|r| (at(a, r) - at(b, r)).abs() < 1e-3));
            assert_eq!((a.shapes, &a.expr), (b.shapes, &b.expr));
        }
        assert_eq!((&noisy[0], &noisy[59]), (&steady[0], &steady[59]), "the ends have no neighbours");
    }

    #[test]
    fn a_real_turn_stays() {
        let head = DenseHead::new(&acting_head()).unwrap();
        // From one frame to the next, and even.
        for turns in [[0.0, 0.0, 0.0, 20.0, 20.0, 20.0], [0.0, 3.0, 6.0, 9.0, 12.0, 15.0]] {
            let real: Vec<_> = turns.iter().map(|v| frame(*v, 2.0)).collect();
            let mut steady = real.clone();
            steady_cameras(&head, &mut steady);
            for (a, b) in bend(&real).1.iter().zip(bend(&steady).1) {
                assert!((a - b).abs() < 0.1, "{a} {b}");
            }
        }
    }

    #[test]
    fn beside_a_gap_nothing_changes() {
        let head = DenseHead::new(&acting_head()).unwrap();
        let gaps = vec![frame(1.0, 2.0), frame(0.0, 2.0), None, frame(1.0, 2.0), frame(0.0, 2.0)];
        let mut steady = gaps.clone();
        steady_cameras(&head, &mut steady);
        assert_eq!(steady, gaps);
        steady_cameras(&head, &mut []);
    }
}
