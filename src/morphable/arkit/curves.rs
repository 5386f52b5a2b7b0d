//! What a model's expression says in ARKit's terms: the 52 curves, and where the eyes look.

use super::ArkitShape;
use crate::morphable::Morphable;
use serde::Serialize;

/// Degrees at a coefficient of 1, to the side and up or down.
const SIDEWAYS: f32 = 25.0;
const UP_DOWN: f32 = 20.0;

/// A coefficient of each of [`ArkitShape::ALL`].
pub type ArkitCurves = [f32; ArkitShape::COUNT];

/// Where the eyes look, relative to the head: `[yaw, pitch]` in degrees, positive to the face's left and up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Gaze {
    /// Of the face's left eye.
    pub left: [f32; 2],
    /// Of the face's right eye.
    pub right: [f32; 2],
}

impl Gaze {
    /// The angles that the look shapes stand for.
    pub fn from_curves(curves: &ArkitCurves) -> Gaze {
        use ArkitShape::*;
        let difference = |plus: ArkitShape, minus: ArkitShape| curves[plus as usize] - curves[minus as usize];
        let eye =
            |to_left, to_right, up, down| [SIDEWAYS * difference(to_left, to_right), UP_DOWN * difference(up, down)];
        Gaze {
            left: eye(EyeLookOutLeft, EyeLookInLeft, EyeLookUpLeft, EyeLookDownLeft),
            right: eye(EyeLookInRight, EyeLookOutRight, EyeLookUpRight, EyeLookDownRight),
        }
    }

    /// Sets the look shapes to these angles; beyond what a coefficient of 1 stands for they stay at 1.
    pub fn set(&self, curves: &mut ArkitCurves) {
        use ArkitShape::*;
        let mut put = |plus: ArkitShape, minus: ArkitShape, value: f32| {
            curves[plus as usize] = value.clamp(0.0, 1.0);
            curves[minus as usize] = (-value).clamp(0.0, 1.0);
        };
        put(EyeLookOutLeft, EyeLookInLeft, self.left[0] / SIDEWAYS);
        put(EyeLookUpLeft, EyeLookDownLeft, self.left[1] / UP_DOWN);
        put(EyeLookInRight, EyeLookOutRight, self.right[0] / SIDEWAYS);
        put(EyeLookUpRight, EyeLookDownRight, self.right[1] / UP_DOWN);
    }
}

impl Gaze {
    /// The look shapes with the coefficients that stand for the angles; one of two that oppose each other is 0.
    pub fn to_curves(&self) -> [(ArkitShape, f32); 8] {
        use ArkitShape::*;
        let eye = |[yaw, pitch]: [f32; 2]| {
            let (side, up) = (yaw / SIDEWAYS, pitch / UP_DOWN);
            [side.max(0.0), (-side).max(0.0), up.max(0.0), (-up).max(0.0)]
        };
        let (l, r) = (eye(self.left), eye(self.right));
        [
            (EyeLookOutLeft, l[0]),
            (EyeLookInLeft, l[1]),
            (EyeLookUpLeft, l[2]),
            (EyeLookDownLeft, l[3]),
            (EyeLookInRight, r[0]),
            (EyeLookOutRight, r[1]),
            (EyeLookUpRight, r[2]),
            (EyeLookDownRight, r[3]),
        ]
    }
}

impl Morphable {
    /// The 52 curves of an expression; `None` where the model has no such shapes, or the expression is another model's.
    pub fn arkit_curves(&self, expr: &[f32]) -> Option<ArkitCurves> {
        let columns: &[u32; ArkitShape::COUNT] = self.arkit.as_slice().try_into().ok()?;
        let mut out = [0.0; ArkitShape::COUNT];
        for (value, &column) in out.iter_mut().zip(columns) {
            *value = *expr.get(column as usize)?;
        }
        Some(out)
    }

    /// The names of the expression coefficients; empty for a model without named ones.
    pub fn expression_names(&self) -> Vec<String> {
        if self.arkit.is_empty() {
            return Vec::new();
        }
        let name = |column: usize| {
            let shape = self.arkit.iter().position(|&c| c as usize == column).and_then(|i| ArkitShape::ALL.get(i));
            shape.map_or_else(|| format!("expression {}", column + 1), |s| s.name().into())
        };
        (0..self.expr_dim).map(name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::testkit::synthetic;

    #[test]
    fn gaze_is_in_degrees_of_the_face() {
        let mut curves = [0.0; ArkitShape::COUNT];
        let mut set = |shape: ArkitShape, value: f32| curves[shape as usize] = value;
        // Both eyes to the face's left, the right one down.
        set(ArkitShape::EyeLookOutLeft, 0.4);
        set(ArkitShape::EyeLookInRight, 0.2);
        set(ArkitShape::EyeLookDownRight, 0.5);
        let gaze = Gaze::from_curves(&curves);
        assert_eq!((gaze.left, gaze.right), ([10.0, 0.0], [5.0, -10.0]));
        let mut other = [0.0; ArkitShape::COUNT];
        other[ArkitShape::EyeLookInLeft as usize] = 1.0;
        other[ArkitShape::EyeLookUpLeft as usize] = 1.0;
        assert_eq!(Gaze::from_curves(&other).left, [-25.0, 20.0]);
        let wanted = Gaze { left: [-10.0, 5.0], right: [20.0, -15.0] };
        wanted.set(&mut other);
        let found = Gaze::from_curves(&other);
        let off = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        assert!(off(found.left, wanted.left) < 1e-5 && off(found.right, wanted.right) < 1e-5, "{found:?}");
    }

    #[test]
    fn curves_are_the_named_columns() {
        let mut model = synthetic(8, 3, 54, 5);
        assert_eq!(model.arkit_curves(&[0.0; 54]), None);
        assert!(model.expression_names().is_empty());
        // Backwards, behind one that is no shape.
        model.arkit = (0..52).map(|i| 52 - i).collect();
        let expr: Vec<f32> = (0..54).map(|i| i as f32).collect();
        let curves = model.arkit_curves(&expr).unwrap();
        assert_eq!((curves[0], curves[51]), (52.0, 1.0));
        assert_eq!(model.arkit_curves(&expr[..10]), None);
        let names = model.expression_names();
        assert_eq!(
            (names[0].as_str(), names[52].as_str(), names[1].as_str()),
            ("expression 1", "eyeBlinkLeft", "tongueOut")
        );
    }
}
