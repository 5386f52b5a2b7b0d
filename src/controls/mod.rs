//! Controls: everything a user can set, declared once.
//!
//! Here belongs what a user can set and what that means for a frame. Nothing here renders; what a setting does belongs to the
//! module whose settings it fills.
//!
//! [`tree::CONTROLS`] is the one list; `--set`, `--keys`, presets, the table in docs/USER_GUIDE.md and the
//! plugin's parameters come from it. [`Values`] holds what somebody has set, by typing ([`Values::set`]), by
//! a preset ([`Preset::apply`]) or by keyframes ([`keys::read`]); [`Values::resolve`] makes of it the
//! [`Settings`] of one frame. What is not set keeps its default, and of two settings of one control the
//! later one counts.
//!
//! What keeps old presets and projects rendering the same: an id is never reused, a default never changes,
//! options and controls are only added (`released.txt` records them, a test compares).

pub mod choices;
pub mod curve;
pub mod guide;
mod json;
pub mod keys;
pub mod presets;
pub mod settings;
pub mod tree;
pub mod value;
pub mod values;

pub use curve::{Curve, Interp, Key};
pub use presets::{Preset, Presets};
pub use settings::Settings;
pub use tree::{CONTROLS, Control, Group, Kind, Unit};
pub use value::Value;
pub use values::Values;

#[cfg(test)]
mod released;
