//! A control's value over frames: keys, and what lies between them. The files that hold curves stand in `keys.rs`.

use super::tree::Control;
use super::value::Value;
use crate::error::Advice;
use crate::{Error, Result};

/// How a curve runs from a key to the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interp {
    /// A straight line.
    #[default]
    Linear,
    /// A cubic that leaves and reaches its keys softly and never leaves the range between them.
    Smooth,
    /// The key's value until the next key.
    Hold,
}

impl Interp {
    pub(super) const ALL: [(Interp, &'static str); 3] =
        [(Interp::Linear, "linear"), (Interp::Smooth, "smooth"), (Interp::Hold, "hold")];

    /// As it is written in files.
    pub fn id(self) -> &'static str {
        Interp::ALL[self as usize].1
    }
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Frame of the driving clip, counted from 0; fractions are allowed.
    pub frame: f64,
    /// The control's value there.
    pub value: f64,
    /// How it goes on to the next key.
    pub interp: Interp,
}

/// A control's value over time: at least one key, frames ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    keys: Vec<Key>,
}

impl Curve {
    /// Frames lie between minus and plus this.
    pub const FARTHEST: f64 = 1e7;
    /// Two keys are at least so many frames apart.
    pub const NEAREST: f64 = 1e-3;

    /// A curve through keys in ascending order.
    ///
    /// # Errors
    /// `Usage`, naming the key (counted from 0): no key at all, frames that do not ascend by at least
    /// [`Curve::NEAREST`], numbers that are not finite or frames beyond [`Curve::FARTHEST`].
    pub fn new(keys: Vec<Key>) -> Result<Curve> {
        if keys.is_empty() {
            return Err(Error::Usage("there are no keys: give at least one".into()));
        }
        for (i, key) in keys.iter().enumerate() {
            if !(-Self::FARTHEST..=Self::FARTHEST).contains(&key.frame) || !key.value.is_finite() {
                return Err(Error::usage(format!(
                    "key {i}: frame {} and value {} must be numbers, the frame from -{far} to {far}",
                    key.frame,
                    key.value,
                    far = Self::FARTHEST
                )));
            }
            if i > 0 && key.frame - keys[i - 1].frame < Self::NEAREST {
                return Err(Error::usage(format!(
                    "key {i}: frame {} does not come after frame {} of the key before it: sort the keys by frame, one \
                     for each",
                    key.frame,
                    keys[i - 1].frame
                )));
            }
        }
        Ok(Curve { keys })
    }

    /// The keys, frames ascending.
    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The value at a frame.
    pub fn at(&self, frame: f64) -> f64 {
        let next = self.keys.partition_point(|k| k.frame <= frame);
        if next == 0 {
            return self.keys[0].value;
        }
        let a = self.keys[next - 1];
        let Some(b) = self.keys.get(next) else { return a.value };
        let h = b.frame - a.frame;
        let t = (frame - a.frame) / h;
        let value = match a.interp {
            Interp::Hold => a.value,
            Interp::Linear => a.value + t * (b.value - a.value),
            Interp::Smooth => {
                let (m0, m1) = (h * self.tangent(next - 1), h * self.tangent(next));
                let (t2, t3) = (t * t, t * t * t);
                // Cubic Hermite.
                let rise = (3.0 * t2 - 2.0 * t3) * (b.value - a.value);
                a.value + rise + (t3 - 2.0 * t2 + t) * m0 + (t3 - t2) * m1
            }
        };
        // Rounding must not leave the range that the mathematics keeps.
        value.clamp(a.value.min(b.value), a.value.max(b.value))
    }

    /// Slope at a key: Catmull-Rom's, limited so that both its sides stay monotone (F. Fritsch, R. Carlson,
    /// "Monotone piecewise cubic interpolation", 1980: no more than three times either side's slope, flat at an
    /// extremum). Beyond the ends and where a value is held the side's slope is 0, so that the curve
    /// starts and stops softly there.
    fn tangent(&self, i: usize) -> f64 {
        let left = if i == 0 { 0.0 } else { self.slope(i - 1) };
        let right = self.slope(i);
        if left * right <= 0.0 {
            return 0.0;
        }
        let (a, b) = (self.keys[i - 1], self.keys[i + 1]);
        let centred = (b.value - a.value) / (b.frame - a.frame);
        centred.abs().min(3.0 * left.abs().min(right.abs())).copysign(left)
    }

    /// Mean slope from key `i` to the next.
    fn slope(&self, i: usize) -> f64 {
        match (self.keys[i], self.keys.get(i + 1)) {
            (Key { interp: Interp::Hold, .. }, _) | (_, None) => 0.0,
            (a, Some(b)) => (b.value - a.value) / (b.frame - a.frame),
        }
    }

    /// Whether this control can have this curve.
    ///
    /// # Errors
    /// `Usage`: the control cannot be keyframed, or a key's value is out of its range.
    pub fn check(&self, control: &Control) -> Result<()> {
        keyframable(control)?;
        for (i, key) in self.keys.iter().enumerate() {
            control.check(Value::Float(key.value)).map_err(|e| e.map_text(|t| format!("key {i}: {t}")))?;
        }
        Ok(())
    }
}

pub(super) fn keyframable(control: &Control) -> Result<()> {
    if control.keyframable {
        return Ok(());
    }
    Err(Error::usage(format!(
        "{0} holds for the whole shot and cannot be keyframed: give it one value instead",
        control.id
    ))
    .with_advice(Advice::SetControl(control.id.into())))
}
