//! What the controls change of a head that acts: where its eyes look, and ARKit's shapes by name.

use crate::morphable::arkit::{ArkitCurves, Gaze};
use crate::morphable::{ArkitShape, Morphable};
use crate::reenact::glances;
use crate::{Error, Result};
use nalgebra::Rotation3;

/// Strength of a shape from which on the performance's own is gone where strengths replace it; below, it fades.
const REPLACED_AT: f32 = 0.2;

/// What is changed of a performance. The default changes nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Acting {
    /// How far the eyes look where the driver's look: 0 where they look at rest, 1 where the driver's do.
    pub gaze: f32,
    /// 0 leaves the eyes, 1 turns them to the camera.
    pub camera: f32,
    /// Degrees by which both eyes are turned then: to the picture's left, and down.
    pub turn: [f32; 2],
    /// How far the lids close where the driver's do.
    pub blink: f32,
    /// Strengths of [`ArkitShape::ALL`], added to the performance.
    pub shapes: ArkitCurves,
    /// The strengths take the place of the performance's own.
    pub replace: bool,
}

impl Default for Acting {
    fn default() -> Acting {
        Acting { gaze: 1.0, camera: 0.0, turn: [0.0; 2], blink: 1.0, shapes: [0.0; ArkitShape::COUNT], replace: false }
    }
}

impl Acting {
    /// Whether the performance stays as it is.
    pub fn is_default(&self) -> bool {
        Acting { replace: false, ..*self } == Acting::default()
    }

    fn turns_eyes(&self) -> bool {
        self.gaze != 1.0 || self.camera != 0.0 || self.turn != [0.0; 2]
    }

    /// Changes an expression, and the one at rest to which regions fall back, for a head that is turned by `rotation`.
    ///
    /// # Errors
    /// [`Error::Usage`] where something is to be changed and the model has no such shapes.
    pub fn apply(
        &self,
        model: &Morphable,
        rotation: &Rotation3<f32>,
        expr: &mut [f32],
        rest: &mut [f32],
    ) -> Result<()> {
        if self.is_default() {
            return Ok(());
        }
        let (Some(curves), Some(at_rest)) = (model.arkit_curves(expr), model.arkit_curves(rest)) else {
            // Less of what is not there is nothing; more of it cannot be had.
            if (Acting { gaze: 1.0, blink: 1.0, ..*self }).is_default() {
                return Ok(());
            }
            return Err(Error::Usage(
                "where the eyes look and ARKit's shapes need a head that has them: fit the faces with the pack mediapipe or starter-face"
                    .into(),
            ));
        };
        if self.turns_eyes() {
            let camera = glances::to_camera(rotation);
            // The face's left is at the picture's right.
            let turn = [-self.turn[0], -self.turn[1]];
            let (own, home) = (Gaze::from_curves(&curves), Gaze::from_curves(&at_rest));
            let eye = |own: [f32; 2], home: [f32; 2]| -> [f32; 2] {
                std::array::from_fn(|k| {
                    let followed = home[k] + self.gaze * (own[k] - home[k]);
                    followed + self.camera * (camera[k] - followed) + turn[k]
                })
            };
            let gaze = Gaze { left: eye(own.left, home.left), right: eye(own.right, home.right) };
            for (shape, value) in gaze.to_curves() {
                let column = model.arkit[shape as usize] as usize;
                // Regions weigh what the driver did; where the eyes are sent, they go.
                (expr[column], rest[column]) = (value, value);
            }
        }
        for ((&column, &strength), &own) in model.arkit.iter().zip(&self.shapes).zip(&curves) {
            if strength == 0.0 {
                continue;
            }
            let column = column as usize;
            let taken = if self.replace { own * (strength.abs() / REPLACED_AT).min(1.0) } else { 0.0 };
            expr[column] += strength - taken;
            rest[column] += strength;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::Euler;
    use crate::synthetic::{acting_head, head};

    fn gaze(acting: &Acting, rotation: &Rotation3<f32>, from: &[(ArkitShape, f32)]) -> Gaze {
        let model = acting_head();
        let mut expr = vec![0.0; model.expr_dim];
        for (shape, value) in from {
            expr[model.arkit[*shape as usize] as usize] = *value;
        }
        let mut rest = vec![0.0; model.expr_dim];
        acting.apply(&model, rotation, &mut expr, &mut rest).unwrap();
        Gaze::from_curves(&model.arkit_curves(&expr).unwrap())
    }

    #[test]
    fn eyes_go_where_they_are_sent() {
        use ArkitShape::{EyeLookInRight, EyeLookOutLeft};
        let looks = [(EyeLookOutLeft, 0.4), (EyeLookInRight, 0.4)];
        let still = Rotation3::identity();
        let half = gaze(&Acting { gaze: 0.5, ..Acting::default() }, &still, &looks);
        assert!((half.left[0] - 5.0).abs() < 1e-4 && (half.right[0] - 5.0).abs() < 1e-4, "{half:?}");
        let turned = gaze(&Acting { turn: [8.0, 6.0], ..Acting::default() }, &still, &[]);
        assert!((turned.left[0] + 8.0).abs() < 1e-4 && (turned.right[1] + 6.0).abs() < 1e-4, "{turned:?}");
        // A head that is turned to the picture's left looks at the camera with its eyes to the face's left.
        let head = Euler { yaw: 20.0, pitch: 0.0, roll: 0.0 }.rotation();
        let camera = gaze(&Acting { camera: 1.0, ..Acting::default() }, &head, &looks);
        assert!((camera.left[0] - 20.0).abs() < 0.1 && (camera.right[0] - 20.0).abs() < 0.1, "{camera:?}");
        let nodding = Euler { yaw: 0.0, pitch: 15.0, roll: 0.0 }.rotation();
        let camera = gaze(&Acting { camera: 1.0, ..Acting::default() }, &nodding, &looks);
        assert!((camera.left[1] - 15.0).abs() < 0.1 && camera.left[0].abs() < 0.1, "{camera:?}");
    }

    #[test]
    fn shapes_are_added_or_take_the_performances_place() {
        let model = acting_head();
        let column = model.arkit[ArkitShape::JawOpen as usize] as usize;
        let mut acting = Acting::default();
        acting.shapes[ArkitShape::JawOpen as usize] = 0.5;
        for (replace, wanted) in [(false, 0.8), (true, 0.5)] {
            let (mut expr, mut rest) = (vec![0.0; model.expr_dim], vec![0.0; model.expr_dim]);
            expr[column] = 0.3;
            let acting = Acting { replace, ..acting };
            acting.apply(&model, &Rotation3::identity(), &mut expr, &mut rest).unwrap();
            assert!((expr[column] - wanted).abs() < 1e-6);
            assert_eq!(rest[column], 0.5, "no region dims it");
        }
    }

    #[test]
    fn a_head_without_eyes_says_so_and_defaults_do_nothing() {
        let model = head();
        let (mut expr, mut rest) = (vec![0.1; model.expr_dim], vec![0.0; model.expr_dim]);
        Acting::default().apply(&model, &Rotation3::identity(), &mut expr, &mut rest).unwrap();
        assert!(expr.iter().all(|v| *v == 0.1));
        Acting { gaze: 0.0, blink: 0.0, ..Acting::default() }
            .apply(&model, &Rotation3::identity(), &mut expr, &mut rest)
            .unwrap();
        let sent = Acting { camera: 1.0, ..Acting::default() };
        let error = sent.apply(&model, &Rotation3::identity(), &mut expr, &mut rest).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && !error.to_string().contains('\n'));
    }
}
