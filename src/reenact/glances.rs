//! Glances from one face to another.

use crate::morphable::Morphable;
use crate::morphable::arkit::Gaze;
use nalgebra::{Rotation3, Vector3};

/// How much further another face's eyes turn, so that its irises go as far within their openings as the driver's do to a viewer: a fitted
/// opening cuts off more of a disc that turns than lids do. Over ten pairs of a driver and another face irises came .54 as far at 1
/// (`performance.py`, medians, Draft).
const FURTHER: f32 = 1.5;

/// Farthest that this turns eyes, degrees to the sides and up and down: beyond, little but white is left.
const FARTHEST: [f32; 2] = [30.0, 24.0];

/// Degrees that eyes of a head of this rotation turn, to its left and up, in order to look into the camera.
pub(super) fn to_camera(rotation: &Rotation3<f32>) -> [f32; 2] {
    let way = rotation.inverse() * Vector3::z();
    let yaw = way.x.atan2(way.z).to_degrees().clamp(-45.0, 45.0);
    let pitch = way.y.atan2(way.x.hypot(way.z)).to_degrees().clamp(-35.0, 35.0);
    [yaw, pitch]
}

/// Makes a driver's glances as far for a viewer on another face. Who looks into the camera goes on looking into it.
pub(super) fn transfer(model: &Morphable, rotation: &Rotation3<f32>, expr: &mut [f32]) {
    let Some(curves) = model.arkit_curves(expr) else { return };
    let camera = to_camera(rotation);
    let further = |own: [f32; 2]| -> [f32; 2] {
        std::array::from_fn(|k| {
            let limit = FARTHEST[k].max(own[k].abs()).max(camera[k].abs());
            (camera[k] + FURTHER * (own[k] - camera[k])).clamp(-limit, limit)
        })
    };
    let own = Gaze::from_curves(&curves);
    let gaze = Gaze { left: further(own.left), right: further(own.right) };
    for (shape, value) in gaze.to_curves() {
        expr[model.arkit[shape as usize] as usize] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::Euler;
    use crate::synthetic::{acting_head, head};

    #[test]
    fn glances_go_further_and_a_look_into_the_camera_stays_one() {
        let model = acting_head();
        let gaze = |rotation: &Rotation3<f32>, from: Gaze| {
            let mut expr = vec![0.0; model.expr_dim];
            for (shape, value) in from.to_curves() {
                expr[model.arkit[shape as usize] as usize] = value;
            }
            transfer(&model, rotation, &mut expr);
            Gaze::from_curves(&model.arkit_curves(&expr).unwrap())
        };
        let straight = Rotation3::identity();
        let got = gaze(&straight, Gaze { left: [10.0, 4.0], right: [10.0, 4.0] });
        assert!((got.left[0] - 15.0).abs() < 1e-3 && (got.right[1] - 6.0).abs() < 1e-3, "{got:?}");
        let got = gaze(&straight, Gaze { left: [24.0, 0.0], right: [24.0, 0.0] });
        assert!((got.left[0] - 30.0).abs() < 1e-3, "{got:?}");
        let turned = Euler { yaw: 20.0, pitch: 0.0, roll: 0.0 }.rotation();
        let camera = to_camera(&turned);
        let got = gaze(&turned, Gaze { left: camera, right: camera });
        assert!((got.left[0] - camera[0]).abs() < 1e-3 && camera[0].abs() > 19.0, "{got:?}");
        // A head without eyes is left alone.
        let model = head();
        let mut expr = vec![0.1; model.expr_dim];
        transfer(&model, &straight, &mut expr);
        assert!(expr.iter().all(|v| *v == 0.1));
    }
}
