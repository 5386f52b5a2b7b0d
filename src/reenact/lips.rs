//! Lips from one face to another: how far they are apart goes over as it is, measured by the faces' size, and closed lips are
//! closed, whatever both mouths' shapes.

use crate::morphable::Morphable;
use crate::morphable::arkit::LipOpening;
use crate::shot::Track;

/// How far the gap of lips that touch may seem to differ from that of the model's own face, as a share of the distance of the eyes: where the
/// two meet is known no better.
const TOUCHING: f32 = 0.04;

/// The lips of a reference and of a track. Gaps are shares of the distance of the own face's eyes.
#[derive(Debug, Clone)]
pub(super) struct Lips {
    opening: LipOpening,
    /// Distance of the eyes, in the model's units, of the reference and of the driver.
    eyes: [f32; 2],
    /// Gap at which the reference's lips touch, and the driver's.
    touching: [f32; 2],
    /// Whether the driver's lips touch in some frame.
    closes: bool,
}

impl Lips {
    /// `None` for a model whose expressions do not name the lips' movements.
    pub fn new(model: &Morphable, shape: &[f32], rest: &[f32], track: &Track) -> Option<Lips> {
        Lips::of(model, [shape, &track.shape], rest, track.poses.iter().map(|p| &*p.expr))
    }

    /// Of the identities of a reference and of a driver, the reference's expression and all of the driver's.
    fn of<'a>(
        model: &Morphable,
        shapes: [&[f32]; 2],
        rest: &[f32],
        driver: impl Iterator<Item = &'a [f32]>,
    ) -> Option<Lips> {
        let opening = LipOpening::new(model)?;
        let [shape, own] = shapes;
        let eyes = shapes.map(|shape| opening.eye_distance(shape));
        if eyes.iter().any(|d| d.is_nan() || *d <= 0.0) {
            return None;
        }
        // On the model's own face lips touch.
        let usual = opening.height(&[], &[]) / opening.eye_distance(&[]);
        let touching = |gap: f32| if (gap - usual).abs() <= TOUCHING { gap } else { usual };
        let least = driver.map(|expr| opening.height(own, expr)).fold(f32::INFINITY, f32::min);
        let closes = touching(least / eyes[1]) == least / eyes[1];
        let touching = [touching(opening.height(shape, rest) / eyes[0]), touching(least / eyes[1])];
        Some(Lips { opening, eyes, touching, closes })
    }

    /// Changes an expression of the driver's to what the reference's lips make of it; `shape` and `own` are the identities of the
    /// reference and of the driver.
    pub fn transfer(&self, shape: &[f32], own: &[f32], expr: &mut [f32]) {
        let gap = self.opening.height(own, expr) / self.eyes[1] - self.touching[1];
        self.opening.set_height(shape, expr, (gap + self.touching[0]) * self.eyes[0]);
    }

    /// Whether the driver's lips touch in some frame, as far as can be told.
    pub fn driver_closes(&self) -> bool {
        self.closes
    }

    /// Parts the lips of an expression by a share of the distance of the eyes, on the reference's face or, `itself`, on the driver's own.
    pub fn part(&self, gap: f32, itself: bool, shape: &[f32], own: &[f32], expr: &mut [f32]) {
        let (whose, shape) = if itself { (1, own) } else { (0, shape) };
        self.opening.set_height(shape, expr, (gap + self.touching[whose]) * self.eyes[whose]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::ArkitShape;
    use crate::synthetic::{acting_head, head};

    #[test]
    fn closed_lips_are_closed_and_gaps_keep_their_size() {
        let model = acting_head();
        let jaw = model.arkit[ArkitShape::JawOpen as usize] as usize;
        let expr = |open: f32| {
            let mut expr = vec![0.0; model.expr_dim];
            expr[jaw] = open;
            expr
        };
        let track: Vec<Vec<f32>> = [0.0, 0.1, 0.6, 0.3].map(expr).into();
        let opening = LipOpening::new(&model).unwrap();
        // Each identity mode in turn opens or closes the mouth a little and widens the face.
        for mode in 0..model.shape_dim.min(6) {
            let mut own = vec![0.0; model.shape_dim];
            own[mode] = 0.7;
            let driver = || track.iter().map(|e| &**e);
            for (shape, own) in [(&[][..], &own[..]), (&own[..], &[][..])] {
                let lips = Lips::of(&model, [shape, own], &expr(0.0), driver()).unwrap();
                let gap = |shape: &[f32], expr: &[f32]| opening.height(shape, expr) / opening.eye_distance(shape);
                let [closed, rest] = [gap(own, &track[0]), gap(shape, &track[0])];
                for e in &track {
                    let mut to = e.clone();
                    lips.transfer(shape, own, &mut to);
                    let (wanted, got) = (gap(own, e) - closed, gap(shape, &to) - rest);
                    assert!((wanted - got).abs() < 1e-3, "mode {mode}: {wanted} {got}");
                }
            }
        }
        // A reference whose lips are parted closes them with the driver.
        let parted = Lips::of(&model, [&[], &[]], &expr(0.5), track.iter().map(|e| &**e)).unwrap();
        let mut to = track[0].clone();
        parted.transfer(&[], &[], &mut to);
        assert!((opening.height(&[], &to) - opening.height(&[], &[])).abs() < 1e-3 * opening.eye_distance(&[]));
        assert!(Lips::of(&head(), [&[], &[]], &[], std::iter::empty()).is_none());
    }
}
