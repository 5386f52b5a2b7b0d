//! The named expressions, and how each moves the skin of a face.

use super::lines::Lines;
use crate::morphable::canonical::ExpressionMode as Mode;
use crate::morphable::canonical::bumps::{Bump, both, sum};
use crate::morphable::canonical::modes;
use crate::morphable::canonical::surface::{P3, smoothstep};

macro_rules! expressions {
    ($($(#[$doc:meta])* $name:ident $id:literal $min:literal..$max:literal,)+) => {
        /// An expression that can be asked for by name. Left and right are the face's own: its left is the picture's
        /// right.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Expression { $($(#[$doc])* $name,)+ }

        impl Expression {
            /// All of them; [`super::RigSettings::expressions`] is in this order.
            pub const ALL: &'static [Expression] = &[$(Expression::$name,)+];
            /// How many there are.
            pub const COUNT: usize = Expression::ALL.len();

            /// Stable name (snake_case).
            pub const fn id(self) -> &'static str {
                match self { $(Expression::$name => $id,)+ }
            }

            /// Legal strengths; 0 is none, 1 a strong natural expression.
            pub const fn range(self) -> (f64, f64) {
                match self { $(Expression::$name => ($min, $max),)+ }
            }
        }
    };
}

expressions! {
    /// The jaw drops and the lips part; below 0 the lips close and press.
    JawOpen "jaw_open" -0.3..1.5,
    /// Corners of the mouth out and up, cheeks up.
    Smile "smile" 0.0..1.5,
    /// `Smile` on the face's left.
    SmileLeft "smile_left" 0.0..1.5,
    /// `Smile` on the face's right.
    SmileRight "smile_right" 0.0..1.5,
    /// Corners of the mouth down.
    Frown "frown" 0.0..1.5,
    /// Lips narrow and forward, as for a kiss.
    Pucker "pucker" 0.0..1.5,
    /// Corners of the mouth apart.
    Wide "wide" 0.0..1.5,
    /// The red of both lips thin.
    LipsPress "lips_press" 0.0..1.0,
    /// The mouth to the face's left; below 0 to its right.
    MouthLeft "mouth_left" -1.0..1.0,
    /// Upper lip and nostrils raised.
    Sneer "sneer" 0.0..1.5,
    /// Both brows up.
    BrowRaise "brow_raise" 0.0..1.5,
    /// `BrowRaise` on the face's left.
    BrowRaiseLeft "brow_raise_left" 0.0..1.5,
    /// `BrowRaise` on the face's right.
    BrowRaiseRight "brow_raise_right" 0.0..1.5,
    /// The inner ends of the brows up, as in worry.
    BrowInnerRaise "brow_inner_raise" 0.0..1.5,
    /// Brows down and together.
    BrowLower "brow_lower" 0.0..1.5,
    /// Lids apart; below 0 the eyes narrow.
    EyesWide "eyes_wide" -1.0..1.0,
    /// 1 closes the eye, however far it is open.
    BlinkLeft "blink_left" 0.0..1.0,
    /// The lids of the right eye; 1 is closed.
    BlinkRight "blink_right" 0.0..1.0,
}

impl Expression {
    /// Of a blink, whether it is the left eye's.
    pub(super) const fn blink_of_left(self) -> Option<bool> {
        match self {
            Expression::BlinkLeft => Some(true),
            Expression::BlinkRight => Some(false),
            _ => None,
        }
    }

    /// Displacement at strength 1 of a point of a mean face's skin, millimetres. The point is given where it would lie
    /// on the synthetic mean head, `lines` are the face's own lids and lips there.
    pub(super) fn displacement(self, p: P3, lines: &Lines) -> P3 {
        const WORRY: [Bump; 3] = [
            both([15.0, 47.0], [11.0, 9.0], [-0.8, 6.0, 0.8]),
            both([19.0, 64.0], [16.0, 11.0], [0.0, 2.2, 0.3]),
            both([50.0, 44.0], [10.0, 9.0], [0.0, -0.8, 0.0]),
        ];
        const SNEER: [Bump; 3] = [
            both([10.0, -33.0], [9.0, 7.0], [0.3, 4.2, 0.4]),
            both([15.0, -14.0], [7.0, 8.0], [1.2, 2.6, 0.0]),
            both([11.0, 12.0], [8.0, 9.0], [0.0, 1.2, 0.8]),
        ];
        let front = smoothstep(0.0, 40.0, p[2]);
        let mode = |m: Mode| modes::expression(m as usize, p);
        // One side of what is on both; along the middle line the halves meet.
        let side = |f: P3, sign: f64| f.map(|v| v * smoothstep(-9.0, 9.0, sign * p[0]));
        match self {
            Expression::JawOpen => {
                let share = modes::jaw_share(p, lines.below_lips(p));
                modes::jaw(p).map(|v| v * share)
            }
            Expression::Smile => mode(Mode::Smile),
            Expression::SmileLeft => side(mode(Mode::Smile), 1.0),
            Expression::SmileRight => side(mode(Mode::Smile), -1.0),
            Expression::Frown => mode(Mode::Frown),
            Expression::Pucker => mode(Mode::Pucker),
            Expression::Wide => mode(Mode::Wide),
            Expression::LipsPress => {
                // Rims stay, the red rolls in behind them.
                let below = lines.below_lips(p);
                let off = below.abs();
                let across = (-0.5 * (p[0] / 15.0).powi(2)).exp() * front;
                let roll = smoothstep(0.8, 5.0, off) * (1.0 - smoothstep(6.0, 17.0, off)) * across;
                let back = -1.6 * across * (-0.5 * (off / 5.0).powi(2)).exp();
                [0.0, 2.1 * roll.copysign(below), back]
            }
            Expression::MouthLeft => mode(Mode::MouthSide),
            Expression::Sneer => {
                // Not the lower lip.
                let upper = 1.0 - modes::jaw_share(p, lines.below_lips(p));
                sum(&SNEER, p).map(|v| v * front * upper)
            }
            Expression::BrowRaise => mode(Mode::BrowRaise),
            Expression::BrowRaiseLeft => side(mode(Mode::BrowRaise), 1.0),
            Expression::BrowRaiseRight => side(mode(Mode::BrowRaise), -1.0),
            Expression::BrowInnerRaise => sum(&WORRY, p).map(|v| v * front),
            Expression::BrowLower => mode(Mode::BrowLower),
            Expression::EyesWide => {
                let [l, r] = [true, false].map(|left| open_lids(p, left, lines));
                std::array::from_fn(|c| l[c] + r[c])
            }
            Expression::BlinkLeft => close_lids(p, true, lines),
            Expression::BlinkRight => close_lids(p, false, lines),
        }
    }

    /// Of an expression of one side, the same on the other, which must stay as it is.
    pub(super) const fn other_side(self) -> Option<Expression> {
        match self {
            Expression::SmileLeft => Some(Expression::SmileRight),
            Expression::SmileRight => Some(Expression::SmileLeft),
            Expression::BrowRaiseLeft => Some(Expression::BrowRaiseRight),
            Expression::BrowRaiseRight => Some(Expression::BrowRaiseLeft),
            Expression::BlinkLeft => Some(Expression::BlinkRight),
            Expression::BlinkRight => Some(Expression::BlinkLeft),
            _ => None,
        }
    }
}

/// A point as the eye at positive x sees it: the right eye's is mirrored.
fn toward_left(p: P3, left: bool) -> P3 {
    if left { p } else { [-p[0], p[1], p[2]] }
}

fn close_lids(p: P3, left: bool, lines: &Lines) -> P3 {
    let q = toward_left(p, left);
    let (upper, lower) = lines.lids(left, q[0]);
    toward_left(modes::close_lids(q, upper, lower), left)
}

/// Lids apart by about a quarter of the eye's height, the upper one more; most in the middle of the eye.
fn open_lids(p: P3, left: bool, lines: &Lines) -> P3 {
    let q = toward_left(p, left);
    if q[0] < 5.0 || q[2] < 40.0 {
        return [0.0; 3];
    }
    let (upper, lower) = lines.lids(left, q[0]);
    let (up, down) = (0.24 * (upper - lower), -0.12 * (upper - lower));
    let way = if q[1] > upper {
        up * (1.0 - smoothstep(0.0, 13.0, q[1] - upper))
    } else if q[1] < lower {
        down * (1.0 - smoothstep(0.0, 9.0, lower - q[1]))
    } else {
        down + (up - down) * ((q[1] - lower) / (upper - lower).max(1e-6)).clamp(0.0, 1.0)
    };
    [0.0, way, 0.0]
}
