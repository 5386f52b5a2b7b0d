//! Controls: everything a user can set, declared once.
//!
//! This module defines what a user can set and the resulting settings of a frame. It renders nothing: the module
//! whose settings a control fills implements the control.
//!
//! [`tree::CONTROLS`] is the one list; `--set`, `--keys`, presets, the table in docs/USER_GUIDE.md and the
//! plugin's parameters come from it. [`Values`] holds what somebody has set, by typing ([`Values::set`]), by
//! a preset ([`Preset::apply`]) or by keyframes ([`keys::read`]); [`Values::resolve`] turns it into the
//! [`Settings`] of one frame. A control that is not set keeps its default; where a control is set twice, the
//! later value counts.
//!
//! Three rules keep old presets and projects rendering the same: an id is never reused, a default never changes,
//! options and controls are only added (`released.txt` records them, a test compares).

mod arkit_strengths;
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

pub use arkit_strengths::ArkitStrengths;
pub use curve::{Curve, Interp, Key};
pub use presets::{Preset, Presets};
pub use settings::Settings;
pub use tree::{CONTROLS, Control, Group, Kind, Unit};
pub use value::Value;
pub use values::Values;

#[cfg(test)]
mod released;
