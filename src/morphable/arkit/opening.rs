//! How far eyes and lips are open: linear functions of identity and expression.

use super::ArkitShape;
use crate::morphable::Morphable;

/// The height of an opening between landmarks on a model that acts, in the model's units.
#[derive(Debug, Clone)]
struct Height {
    mean: f32,
    shape: Vec<f32>,
    expr: Vec<f32>,
}

impl Height {
    /// Mean height of the upper landmarks less that of the lower ones.
    fn between<const N: usize>(model: &Morphable, upper: [usize; N], lower: [usize; N]) -> Height {
        let difference = |value: &dyn Fn(usize) -> f32| -> f32 {
            let height = |i: usize| value(3 * model.landmarks[i] as usize + 1);
            (upper.map(height).iter().sum::<f32>() - lower.map(height).iter().sum::<f32>()) / N as f32
        };
        let rows = |basis: &[f32], dim: usize| -> Vec<f32> {
            (0..dim).map(|k| difference(&|row| basis[row * dim + k])).collect()
        };
        Height {
            mean: difference(&|row| model.mean[row]),
            shape: rows(&model.shape_basis, model.shape_dim),
            expr: rows(&model.expr_basis, model.expr_dim),
        }
    }

    /// Below 0 where the edges overlap. Coefficients that are missing count as 0.
    fn of(&self, shape: &[f32], expr: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        self.mean + dot(&self.shape, shape) + dot(&self.expr, expr)
    }
}

/// Whether a model has what openings are told by.
fn acts(model: &Morphable) -> bool {
    model.arkit.len() == ArkitShape::COUNT && model.landmarks.len() == 68
}

/// The opening of one eye.
#[derive(Debug, Clone)]
pub struct LidOpening {
    opening: Height,
    /// Columns of the expression that close and open the eye.
    blink: usize,
    wide: usize,
}

impl LidOpening {
    /// Of the face's left and right eye; `None` for a model without ARKit's shapes, or on which blinking closes nothing.
    pub fn both(model: &Morphable) -> Option<[LidOpening; 2]> {
        use ArkitShape::{EyeBlinkLeft, EyeBlinkRight, EyeWideLeft, EyeWideRight};
        if !acts(model) {
            return None;
        }
        let eye = |upper: [usize; 2], lower: [usize; 2], blink: ArkitShape, wide: ArkitShape| {
            let [blink, wide] = [blink, wide].map(|s| model.arkit[s as usize] as usize);
            let opening = Height::between(model, upper, lower);
            let closes = opening.mean > 0.0 && opening.expr[blink] < -0.2 * opening.mean;
            closes.then_some(LidOpening { opening, blink, wide })
        };
        let left = eye([43, 44], [46, 47], EyeBlinkLeft, EyeWideLeft)?;
        let right = eye([37, 38], [40, 41], EyeBlinkRight, EyeWideRight)?;
        Some([left, right])
    }

    /// Height of the opening in the model's units, below 0 where the lids overlap. Coefficients that are missing count as 0.
    pub fn height(&self, shape: &[f32], expr: &[f32]) -> f32 {
        self.opening.of(shape, expr)
    }

    /// Changes an expression so that the opening is `height` high: by the blink, and by widening the eye where no blink is left to
    /// take away.
    pub fn set_height(&self, shape: &[f32], expr: &mut [f32], height: f32) {
        let Some(blink) = expr.get(self.blink).copied() else { return };
        let missing = height - self.height(shape, expr);
        let to = blink + missing / self.opening.expr[self.blink];
        // An eye larger than the model's own needs more than a whole blink.
        expr[self.blink] = to.clamp(0.0, 3.0);
        let rate = self.opening.expr[self.wide];
        if to < 0.0 && rate > 0.0 {
            let left = height - self.height(shape, expr);
            expr[self.wide] = (expr[self.wide] + left / rate).clamp(0.0, 1.5);
        }
    }
}

/// The gap between the lips.
#[derive(Debug, Clone)]
pub struct LipOpening {
    opening: Height,
    /// Columns of the expression that open and close it.
    jaw: usize,
    close: usize,
    /// Distance of the eyes, from middle to middle: at rest, and what the shapes add.
    eyes: f32,
    eyes_shape: Vec<f32>,
}

impl LipOpening {
    /// `None` for a model without ARKit's shapes, or whose jaw opens nothing.
    pub fn new(model: &Morphable) -> Option<LipOpening> {
        if !acts(model) {
            return None;
        }
        let [jaw, close] = [ArkitShape::JawOpen, ArkitShape::MouthClose].map(|s| model.arkit[s as usize] as usize);
        let opening = Height::between(model, [61, 62, 63], [67, 66, 65]);
        let moves = opening.expr[jaw] > 0.0 && opening.expr[close] < 0.0;
        let apart = |value: &dyn Fn(usize) -> f32| -> f32 {
            let eye =
                |corners: [usize; 2]| 0.5 * corners.map(|i| value(3 * model.landmarks[i] as usize)).iter().sum::<f32>();
            eye([42, 45]) - eye([36, 39])
        };
        let dim = model.shape_dim;
        let eyes_shape = (0..dim).map(|k| apart(&|row| model.shape_basis[row * dim + k])).collect();
        moves.then_some(LipOpening { opening, jaw, close, eyes: apart(&|row| model.mean[row]), eyes_shape })
    }

    /// Distance of the eyes of an identity, in the model's units: what a gap is measured by.
    pub fn eye_distance(&self, shape: &[f32]) -> f32 {
        self.eyes + self.eyes_shape.iter().zip(shape).map(|(a, b)| a * b).sum::<f32>()
    }

    /// Height of the gap in the model's units, below 0 where the lips overlap. Coefficients that are missing count as 0.
    pub fn height(&self, shape: &[f32], expr: &[f32]) -> f32 {
        self.opening.of(shape, expr)
    }

    /// Changes an expression so that the gap is `height` high: by the jaw, and by closing the lips where the jaw is shut.
    pub fn set_height(&self, shape: &[f32], expr: &mut [f32], height: f32) {
        let Some(jaw) = expr.get(self.jaw).copied() else { return };
        let to = jaw + (height - self.height(shape, expr)) / self.opening.expr[self.jaw];
        expr[self.jaw] = to.clamp(jaw.min(0.0), 2.0);
        if to < expr[self.jaw] {
            expr[self.close] += (height - self.height(shape, expr)) / self.opening.expr[self.close];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic::acting_head;

    #[test]
    fn a_blink_closes_and_a_height_can_be_asked_for() {
        let model = acting_head();
        let [left, right] = LidOpening::both(&model).unwrap();
        let rest = vec![0.0; model.expr_dim];
        let open = left.height(&[], &rest);
        assert!(open > 0.0 && (open - right.height(&[], &rest)).abs() < 0.02 * open);
        for share in [0.0, 0.5, 1.0, 1.2] {
            let mut expr = rest.clone();
            left.set_height(&[], &mut expr, share * open);
            assert!((left.height(&[], &expr) - share * open).abs() < 0.03 * open, "{share}");
            assert_eq!(right.height(&[], &expr), open, "the other eye stays");
        }
        assert!(LidOpening::both(&crate::synthetic::head()).is_none());
    }

    #[test]
    fn lips_part_by_the_jaw_and_close_without_it() {
        let model = acting_head();
        let lips = LipOpening::new(&model).unwrap();
        let rest = vec![0.0; model.expr_dim];
        let eyes = lips.eye_distance(&[]);
        assert!(eyes > 0.0 && lips.height(&[], &rest).abs() < 0.1 * eyes);
        for height in [-0.05, 0.0, 0.1, 0.3].map(|share| share * eyes) {
            let mut expr = rest.clone();
            lips.set_height(&[], &mut expr, height);
            assert!((lips.height(&[], &expr) - height).abs() < 1e-3 * eyes, "{height}");
            assert!(expr[lips.jaw] >= 0.0, "no jaw goes up into the head");
        }
        assert!(LipOpening::new(&crate::synthetic::head()).is_none());
    }
}
