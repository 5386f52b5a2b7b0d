//! The canonical head in formulas: its surface, and what identity and expression coefficients do to it. The procedural head
//! ([`crate::synthetic`]) is made of it, and [`rig`](super::rig) carries its named expressions over to other models.
//!
//! Lengths are millimetres; x to the person's left, y up, z forward. `synthetic` draws the head.

pub(crate) mod bumps;
pub(crate) mod modes;
pub(crate) mod surface;

pub use modes::{EXPRESSION_NAMES, ExpressionMode};
