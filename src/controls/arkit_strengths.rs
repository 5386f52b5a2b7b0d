//! The values of the controls that are called after ARKit's shapes.

use super::tree::Group;
use super::value::Value;
use super::values::Values;
use crate::morphable::ArkitShape;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Strengths of the controls `arkit_...` at one frame, in the order of [`ArkitShape::ALL`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ArkitStrengths(pub [f32; ArkitShape::COUNT]);

impl Default for ArkitStrengths {
    fn default() -> ArkitStrengths {
        ArkitStrengths([0.0; ArkitShape::COUNT])
    }
}

impl ArkitStrengths {
    pub(super) fn from_values(values: &Values, frame: f64) -> ArkitStrengths {
        let mut strengths = ArkitStrengths::default();
        for (strength, control) in strengths.0.iter_mut().zip(Group::Arkit.controls()) {
            if let Value::Float(v) = values.get(control, frame) {
                *strength = v as f32;
            }
        }
        strengths
    }
}

impl Serialize for ArkitStrengths {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (control, strength) in Group::Arkit.controls().zip(self.0) {
            map.serialize_entry(control.id, &strength)?;
        }
        map.end()
    }
}
