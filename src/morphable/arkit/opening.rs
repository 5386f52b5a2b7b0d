//! How far an eye is open: a linear function of identity and expression.

use super::ArkitShape;
use crate::morphable::Morphable;

/// The height of one eye's opening on a model that acts, in the model's units.
#[derive(Debug, Clone)]
pub struct LidOpening {
    mean: f32,
    shape: Vec<f32>,
    expr: Vec<f32>,
    /// Columns of the expression that close and open the eye.
    blink: usize,
    wide: usize,
}

impl LidOpening {
    /// Of the face's left and right eye; `None` for a model without ARKit's shapes, or on which blinking closes nothing.
    pub fn both(model: &Morphable) -> Option<[LidOpening; 2]> {
        use ArkitShape::{EyeBlinkLeft, EyeBlinkRight, EyeWideLeft, EyeWideRight};
        if model.arkit.len() != ArkitShape::COUNT || model.landmarks.len() != 68 {
            return None;
        }
        let eye = |upper: [usize; 2], lower: [usize; 2], blink: ArkitShape, wide: ArkitShape| {
            // Half of both upper landmarks' heights less half of both lower ones'.
            let difference = |value: &dyn Fn(usize) -> f32| -> f32 {
                let height = |i: usize| value(3 * model.landmarks[i] as usize + 1);
                0.5 * (upper.map(height).iter().sum::<f32>() - lower.map(height).iter().sum::<f32>())
            };
            let rows = |basis: &[f32], dim: usize| -> Vec<f32> {
                (0..dim).map(|k| difference(&|row| basis[row * dim + k])).collect()
            };
            let opening = LidOpening {
                mean: difference(&|row| model.mean[row]),
                shape: rows(&model.shape_basis, model.shape_dim),
                expr: rows(&model.expr_basis, model.expr_dim),
                blink: model.arkit[blink as usize] as usize,
                wide: model.arkit[wide as usize] as usize,
            };
            let acts = opening.mean > 0.0 && opening.expr[opening.blink] < -0.2 * opening.mean;
            acts.then_some(opening)
        };
        let left = eye([43, 44], [46, 47], EyeBlinkLeft, EyeWideLeft)?;
        let right = eye([37, 38], [40, 41], EyeBlinkRight, EyeWideRight)?;
        Some([left, right])
    }

    /// Height of the opening in the model's units, below 0 where the lids overlap. Coefficients that are missing count as 0.
    pub fn height(&self, shape: &[f32], expr: &[f32]) -> f32 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        self.mean + dot(&self.shape, shape) + dot(&self.expr, expr)
    }

    /// Changes an expression so that the opening is `height` high: by the blink, and by widening the eye where no blink is left to
    /// take away.
    pub fn set_height(&self, shape: &[f32], expr: &mut [f32], height: f32) {
        let Some(blink) = expr.get(self.blink).copied() else { return };
        let missing = height - self.height(shape, expr);
        let to = blink + missing / self.expr[self.blink];
        // An eye larger than the model's own needs more than a whole blink.
        expr[self.blink] = to.clamp(0.0, 3.0);
        let rate = self.expr[self.wide];
        if to < 0.0 && rate > 0.0 {
            let left = height - self.height(shape, expr);
            expr[self.wide] = (expr[self.wide] + left / rate).clamp(0.0, 1.5);
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
}
