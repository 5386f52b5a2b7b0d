//! Lids from one face to another: how far an eye is open goes over relative to how far it is open at rest, and a closed eye is
//! closed, whatever both eyes' shapes.

use crate::morphable::Morphable;
use crate::morphable::arkit::LidOpening;
use crate::shot::Track;

/// Share of the driver's rest at or below which its eye is closed: networks see lashes and never quite say 0. A shot whose eyes
/// close further or less far sets it between these.
const CLOSED: [f32; 2] = [0.14, 0.34];
/// Above this share nothing is added to a closing eye.
const HALF: f32 = 0.65;
/// Largest share: a driver whose eyes are narrow at rest must not tear the reference's open.
const WIDEST: f32 = 1.6;

/// The lids of a reference and of a track.
#[derive(Debug, Clone)]
pub(super) struct Lids {
    openings: [LidOpening; 2],
    /// Height of the reference's openings at rest.
    reference: [f32; 2],
    /// Of the driver's.
    driver: [f32; 2],
    /// Share of the driver's rest at which its eye is closed.
    closed: [f32; 2],
}

impl Lids {
    /// `None` for a model whose expressions do not name the lids' movements, and where a face's eyes are shut at rest.
    pub fn new(model: &Morphable, shape: &[f32], rest: &[f32], track: &Track) -> Option<Lids> {
        let openings = LidOpening::both(model)?;
        let mut lids = Lids { openings, reference: [0.0; 2], driver: [0.0; 2], closed: [0.0; 2] };
        for (i, opening) in lids.openings.iter().enumerate() {
            let (reference, driver) =
                (opening.height(shape, rest), opening.height(&track.shape, &track.stats.neutral_expr));
            let usual = opening.height(&[], &[]);
            if reference < 0.1 * usual || driver < 0.1 * usual {
                return None;
            }
            let least = track.poses.iter().map(|p| opening.height(&track.shape, &p.expr)).fold(f32::INFINITY, f32::min);
            lids.reference[i] = reference;
            lids.driver[i] = driver;
            // A little above the least, so that a blink stays closed for as long as the driver's.
            lids.closed[i] = (least / driver + 0.04).clamp(CLOSED[0], CLOSED[1]);
        }
        Some(lids)
    }

    /// Share of the rest's opening that the reference's eye gets where the driver's has `share`.
    fn curve(closed: f32, share: f32) -> f32 {
        if share >= HALF {
            return share.min(WIDEST);
        }
        let t = ((share - closed) / (HALF - closed)).max(0.0);
        // Meets the straight line above with its slope.
        let rise = (HALF - closed) / HALF;
        HALF * t * (rise + (1.0 - rise) * (2.0 - t))
    }

    /// Changes an expression to what the reference's lids make of the driver's, `seen`; `shape` and `own` are the identities of the
    /// reference and of the driver. `strength` scales what the lids close.
    pub fn transfer(&self, shape: &[f32], own: &[f32], seen: &[f32], strength: f32, expr: &mut [f32]) {
        for (i, opening) in self.openings.iter().enumerate() {
            let share = opening.height(own, seen) / self.driver[i];
            let mut to = Lids::curve(self.closed[i], share);
            if to < 1.0 {
                to = 1.0 + strength * (to - 1.0);
            }
            opening.set_height(shape, expr, to.max(0.0) * self.reference[i]);
        }
    }

    /// Shuts the eyes that the driver shuts, and leaves all others as they are: for a face that performs itself.
    pub fn shut(&self, own: &[f32], strength: f32, expr: &mut [f32]) {
        for (i, opening) in self.openings.iter().enumerate() {
            let share = opening.height(own, expr) / self.driver[i];
            if share < HALF || (strength != 1.0 && share < 1.0) {
                let to = 1.0 + strength * (Lids::curve(self.closed[i], share) - 1.0);
                opening.set_height(own, expr, to.max(0.0) * self.driver[i]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_curve_closes_and_leaves_open_eyes_alone() {
        for closed in CLOSED {
            assert_eq!(Lids::curve(closed, closed - 0.05), 0.0);
            assert_eq!(Lids::curve(closed, 0.9), 0.9);
            assert_eq!(Lids::curve(closed, 3.0), WIDEST);
            let mut before = 0.0;
            for k in 0..=100 {
                let to = Lids::curve(closed, k as f32 / 100.0);
                assert!(to >= before - 1e-6 && to - before < 0.04, "{closed} {k}: {before} {to}");
                before = to;
            }
        }
    }
}
