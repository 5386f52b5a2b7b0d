//! The settings of one frame, with types.

use super::choices::{Composite, Device, FaceChoice, Quality, View};
use super::tree;
use super::values::{Value, Values};
use crate::face::choose::Choice;
use crate::shot::TrackSettings;

/// Every control's value at one frame. A field's name is the control's id; its meaning, unit and range stand
/// in [`CONTROLS`](super::CONTROLS). [`Values::resolve`] makes one, [`Settings::default`] holds the defaults.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Settings {
    pub motion_strength: f32,
    pub pose_strength: f32,
    pub expression_strength: f32,
    pub relative_expression: bool,
    /// Degrees, as the two other offsets; the directions are those of [`Euler`](crate::morphable::Euler).
    pub yaw_offset: f32,
    pub pitch_offset: f32,
    pub roll_offset: f32,
    pub frontalise: f32,
    pub adapt_scale: f32,
    pub adapt_position: f32,
    /// Frames; 0 and 1 do not average.
    pub smoothing: usize,
    pub identity_mix: f32,
    pub face_choice: FaceChoice,
    pub face_x: f32,
    pub face_y: f32,
    pub face_index: usize,
    pub reference_frame: usize,
    pub composite: Composite,
    /// Percent of the face's size.
    pub mask_grow: f32,
    /// Percent of the face's size.
    pub seam_softness: f32,
    pub fill_mouth: bool,
    pub view: View,
    pub quality: Quality,
    pub device: Device,
}

impl Default for Settings {
    fn default() -> Settings {
        Values::new().resolve(0.0)
    }
}

impl Settings {
    pub(super) fn from_values(values: &Values, frame: f64) -> Settings {
        let read = Reader { values, frame };
        Settings {
            motion_strength: read.float("motion_strength"),
            pose_strength: read.float("pose_strength"),
            expression_strength: read.float("expression_strength"),
            relative_expression: read.bool("relative_expression"),
            yaw_offset: read.float("yaw_offset"),
            pitch_offset: read.float("pitch_offset"),
            roll_offset: read.float("roll_offset"),
            frontalise: read.float("frontalise"),
            adapt_scale: read.float("adapt_scale"),
            adapt_position: read.float("adapt_position"),
            smoothing: read.count("smoothing"),
            identity_mix: read.float("identity_mix"),
            face_choice: FaceChoice::ALL[read.option("face_choice")],
            face_x: read.float("face_x"),
            face_y: read.float("face_y"),
            face_index: read.count("face_index"),
            reference_frame: read.count("reference_frame"),
            composite: Composite::ALL[read.option("composite")],
            mask_grow: read.float("mask_grow"),
            seam_softness: read.float("seam_softness"),
            fill_mouth: read.bool("fill_mouth"),
            view: View::ALL[read.option("view")],
            quality: Quality::ALL[read.option("quality")],
            device: Device::ALL[read.option("device")],
        }
    }

    /// How the driver's motion becomes the track that drives.
    pub fn track(&self) -> TrackSettings {
        TrackSettings::default()
    }

    /// The rule by which the analysis picks a face in pictures of this size (pixels).
    pub fn face(&self, width: usize, height: usize) -> Choice {
        // Pixel centres are at integers: the picture reaches from -0.5 to its size minus 0.5.
        let at = |share: f32, size: usize| share * size as f32 - 0.5;
        match self.face_choice {
            FaceChoice::Largest => Choice::Largest,
            FaceChoice::Nearest => Choice::NearestTo([at(self.face_x, width), at(self.face_y, height)]),
            FaceChoice::Index => Choice::Index(self.face_index),
        }
    }
}

/// Reads values by id and type. The ids and types are those of the tree (every construction of [`Settings`]
/// passes all of them, so a slip of the pen fails in the first test).
struct Reader<'a> {
    values: &'a Values,
    frame: f64,
}

impl Reader<'_> {
    fn value(&self, id: &str) -> Value {
        match tree::find(id) {
            Some(control) => self.values.get(control, self.frame),
            None => unreachable!("{id} is not in the tree"),
        }
    }
    fn float(&self, id: &str) -> f32 {
        match self.value(id) {
            Value::Float(v) => v as f32,
            other => unreachable!("{id} is {other:?}"),
        }
    }
    /// A whole number whose range begins at 0 or above.
    fn count(&self, id: &str) -> usize {
        match self.value(id) {
            Value::Int(v) if v >= 0 => v as usize,
            other => unreachable!("{id} is {other:?}"),
        }
    }
    fn bool(&self, id: &str) -> bool {
        match self.value(id) {
            Value::Bool(v) => v,
            other => unreachable!("{id} is {other:?}"),
        }
    }
    fn option(&self, id: &str) -> usize {
        match self.value(id) {
            Value::Choice(i) => i,
            other => unreachable!("{id} is {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::{CONTROLS, Control, Kind};
    use crate::morphable::RetargetSettings;
    use serde_json::Value as Json;

    fn as_json(settings: &Settings) -> serde_json::Map<String, Json> {
        match serde_json::to_value(settings).unwrap() {
            Json::Object(map) => map,
            other => panic!("{other}"),
        }
    }

    fn same(c: &Control, json: &Json, value: &Value) -> bool {
        match value {
            Value::Float(v) => json.as_f64() == Some(f64::from(*v as f32)),
            other => *json == c.to_json(other),
        }
    }

    #[test]
    fn each_control_has_its_field_and_no_other() {
        let defaults = as_json(&Settings::default());
        let mut ids: Vec<&str> = CONTROLS.iter().map(|c| c.id).collect();
        ids.sort_unstable();
        assert_eq!(defaults.keys().collect::<Vec<_>>(), ids);
        for c in CONTROLS {
            assert!(same(c, &defaults[c.id], &c.default_value()), "{}", c.id);
            let other: Vec<Value> = match c.kind {
                Kind::Float { min, max, .. } => vec![Value::Float(min), Value::Float(max)],
                Kind::Int { min, max, .. } => vec![Value::Int(min), Value::Int(max)],
                Kind::Bool { default } => vec![Value::Bool(!default)],
                Kind::Choice { options, .. } => (0..options.len()).map(Value::Choice).collect(),
                Kind::Text { .. } => vec![Value::Text("other".into())],
            };
            for value in other {
                let mut values = Values::new();
                values.set_value(c.id, value.clone()).unwrap();
                let mut got = as_json(&values.resolve(0.0));
                assert!(same(c, &got[c.id], &value), "{} {value:?}", c.id);
                got[c.id] = defaults[c.id].clone();
                assert_eq!(got, defaults, "{} changes another setting", c.id);
            }
        }
    }

    #[test]
    fn faces_in_pixels() {
        let mut v = Values::new();
        assert_eq!(v.resolve(0.0).face(100, 50), Choice::Largest);
        for a in ["face_choice=nearest", "face_x=0.25", "face_y=1", "face_index=2"] {
            v.assign(a).unwrap();
        }
        assert_eq!(v.resolve(0.0).face(100, 50), Choice::NearestTo([24.5, 49.5]));
        v.assign("face_choice=by number").unwrap();
        assert_eq!(v.resolve(0.0).face(100, 50), Choice::Index(2));
    }

    /// The tree's defaults are those of the mathematics behind it.
    #[test]
    fn defaults_agree_with_retargeting() {
        let (s, r) = (Settings::default(), RetargetSettings::default());
        assert_eq!((s.motion_strength, s.pose_strength, s.expression_strength), (r.motion, r.pose, r.expression));
        assert_eq!((s.smoothing, s.relative_expression), (r.smoothing, r.relative_expression));
    }
}
