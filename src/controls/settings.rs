//! The settings of one frame, with types.

#![allow(missing_docs, reason = "each field is the control of the same name; controls::tree says what it does")]

use super::choices::{
    Background, Composite, Device, FaceChoice, MatteSource, MouthFrom, Neutral, OverrideMode, Quality, ReferenceUses,
    View,
};
use super::tree;
use super::values::Values;
use crate::controls::arkit_strengths::ArkitStrengths;
use crate::controls::value::Value;
use crate::face::choose::Choice;
use crate::morphable::RigSettings;
use crate::shot::TrackSettings;
use crate::shot::smooth::Stabilise;
use crate::shot::track::NeutralFrame;

/// Every control's value at one frame. A field's name is the control's id; its meaning, unit and range stand
/// in [`CONTROLS`](super::CONTROLS). [`Values::resolve`] makes one, [`Settings::default`] holds the defaults.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Settings {
    pub motion_strength: f32,
    pub pose_strength: f32,
    pub expression_strength: f32,
    pub relative_expression: bool,
    pub region_mouth: f32,
    pub region_jaw: f32,
    pub region_eyes: f32,
    pub region_brows: f32,
    pub region_gaze: f32,
    /// Multiplies `motion_strength` and `pose_strength`.
    pub region_head: f32,
    pub neutral: Neutral,
    /// A frame of the driving clip, as the clip numbers it.
    pub neutral_frame: usize,
    pub look_at_camera: f32,
    /// Degrees, as `gaze_pitch_offset`: above 0 to the picture's left, and down.
    pub gaze_yaw_offset: f32,
    pub gaze_pitch_offset: f32,
    pub blink_strength: f32,
    pub override_mode: OverrideMode,
    /// Strengths; the expressions are those of [`Expression`](crate::morphable::Expression).
    pub expr_jaw_open: f32,
    pub expr_smile: f32,
    pub expr_smile_left: f32,
    pub expr_smile_right: f32,
    pub expr_frown: f32,
    pub expr_pucker: f32,
    pub expr_wide: f32,
    pub expr_lips_press: f32,
    pub expr_mouth_left: f32,
    pub expr_sneer: f32,
    pub expr_brow_raise: f32,
    pub expr_brow_raise_left: f32,
    pub expr_brow_raise_right: f32,
    pub expr_brow_inner_raise: f32,
    pub expr_brow_lower: f32,
    pub expr_eyes_wide: f32,
    pub expr_blink_left: f32,
    pub expr_blink_right: f32,
    /// Degrees, as the two other offsets; the directions are those of [`Euler`](crate::morphable::Euler).
    pub yaw_offset: f32,
    pub pitch_offset: f32,
    pub roll_offset: f32,
    pub frontalise: f32,
    /// Frames, as the three other; 0 is off.
    pub stabilise_size: f32,
    pub stabilise_rotation: f32,
    pub stabilise_position: f32,
    pub stabilise_expression: f32,
    pub adapt_scale: f32,
    pub adapt_position: f32,
    /// Frames; 0 and 1 do not average.
    pub smoothing: usize,
    pub identity_mix: f32,
    /// Frames.
    pub audio_offset: f32,
    /// Decibels.
    pub audio_gain: f32,
    pub mouth_from: MouthFrom,
    pub face_choice: FaceChoice,
    pub face_x: f32,
    pub face_y: f32,
    pub face_index: usize,
    pub reference_frame: usize,
    pub reference_uses: ReferenceUses,
    pub composite: Composite,
    /// Percent of the face's size.
    pub mask_grow: f32,
    /// Percent of the face's size.
    pub seam_softness: f32,
    pub fill_mouth: bool,
    pub background: Background,
    pub matte_source: MatteSource,
    /// Percent of the face's size.
    pub matte_grow: f32,
    /// Percent of the face's size.
    pub matte_softness: f32,
    pub view: View,
    pub quality: Quality,
    pub device: Device,
    /// Strengths of the controls `arkit_...`, in the order of
    /// [`ArkitShape::ALL`](crate::morphable::ArkitShape::ALL).
    #[serde(flatten)]
    pub arkit: ArkitStrengths,
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
            region_mouth: read.float("region_mouth"),
            region_jaw: read.float("region_jaw"),
            region_eyes: read.float("region_eyes"),
            region_brows: read.float("region_brows"),
            region_gaze: read.float("region_gaze"),
            region_head: read.float("region_head"),
            neutral: Neutral::ALL[read.option("neutral")],
            neutral_frame: read.count("neutral_frame"),
            look_at_camera: read.float("look_at_camera"),
            gaze_yaw_offset: read.float("gaze_yaw_offset"),
            gaze_pitch_offset: read.float("gaze_pitch_offset"),
            blink_strength: read.float("blink_strength"),
            override_mode: OverrideMode::ALL[read.option("override_mode")],
            expr_jaw_open: read.float("expr_jaw_open"),
            expr_smile: read.float("expr_smile"),
            expr_smile_left: read.float("expr_smile_left"),
            expr_smile_right: read.float("expr_smile_right"),
            expr_frown: read.float("expr_frown"),
            expr_pucker: read.float("expr_pucker"),
            expr_wide: read.float("expr_wide"),
            expr_lips_press: read.float("expr_lips_press"),
            expr_mouth_left: read.float("expr_mouth_left"),
            expr_sneer: read.float("expr_sneer"),
            expr_brow_raise: read.float("expr_brow_raise"),
            expr_brow_raise_left: read.float("expr_brow_raise_left"),
            expr_brow_raise_right: read.float("expr_brow_raise_right"),
            expr_brow_inner_raise: read.float("expr_brow_inner_raise"),
            expr_brow_lower: read.float("expr_brow_lower"),
            expr_eyes_wide: read.float("expr_eyes_wide"),
            expr_blink_left: read.float("expr_blink_left"),
            expr_blink_right: read.float("expr_blink_right"),
            yaw_offset: read.float("yaw_offset"),
            pitch_offset: read.float("pitch_offset"),
            roll_offset: read.float("roll_offset"),
            frontalise: read.float("frontalise"),
            stabilise_size: read.float("stabilise_size"),
            stabilise_rotation: read.float("stabilise_rotation"),
            stabilise_position: read.float("stabilise_position"),
            stabilise_expression: read.float("stabilise_expression"),
            adapt_scale: read.float("adapt_scale"),
            adapt_position: read.float("adapt_position"),
            smoothing: read.count("smoothing"),
            identity_mix: read.float("identity_mix"),
            audio_offset: read.float("audio_offset"),
            audio_gain: read.float("audio_gain"),
            mouth_from: MouthFrom::ALL[read.option("mouth_from")],
            face_choice: FaceChoice::ALL[read.option("face_choice")],
            face_x: read.float("face_x"),
            face_y: read.float("face_y"),
            face_index: read.count("face_index"),
            reference_frame: read.count("reference_frame"),
            reference_uses: ReferenceUses::ALL[read.option("reference_uses")],
            composite: Composite::ALL[read.option("composite")],
            mask_grow: read.float("mask_grow"),
            seam_softness: read.float("seam_softness"),
            fill_mouth: read.bool("fill_mouth"),
            background: Background::ALL[read.option("background")],
            matte_source: MatteSource::ALL[read.option("matte_source")],
            matte_grow: read.float("matte_grow"),
            matte_softness: read.float("matte_softness"),
            view: View::ALL[read.option("view")],
            quality: Quality::ALL[read.option("quality")],
            device: Device::ALL[read.option("device")],
            arkit: ArkitStrengths::from_values(values, frame),
        }
    }

    /// How the driver's motion becomes the track that drives.
    pub fn track(&self) -> TrackSettings {
        TrackSettings {
            stabilise: Stabilise {
                size: self.stabilise_size,
                rotation: self.stabilise_rotation,
                position: self.stabilise_position,
                expression: self.stabilise_expression,
            },
            neutral: match self.neutral {
                Neutral::Automatic => NeutralFrame::Automatic,
                Neutral::Average => NeutralFrame::Average,
                Neutral::Frame => NeutralFrame::Frame(self.neutral_frame),
            },
        }
    }

    /// Region weights and expressions, as the rig takes them.
    pub fn rig(&self) -> RigSettings {
        RigSettings {
            regions: [self.region_mouth, self.region_jaw, self.region_eyes, self.region_brows],
            expressions: [
                self.expr_jaw_open,
                self.expr_smile,
                self.expr_smile_left,
                self.expr_smile_right,
                self.expr_frown,
                self.expr_pucker,
                self.expr_wide,
                self.expr_lips_press,
                self.expr_mouth_left,
                self.expr_sneer,
                self.expr_brow_raise,
                self.expr_brow_raise_left,
                self.expr_brow_raise_right,
                self.expr_brow_inner_raise,
                self.expr_brow_lower,
                self.expr_eyes_wide,
                self.expr_blink_left,
                self.expr_blink_right,
            ],
            replace: self.override_mode == OverrideMode::Replace,
        }
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

impl Values {
    /// All settings at a frame (the driving clip's, counted from 0; fractions are allowed).
    pub fn resolve(&self, frame: f64) -> Settings {
        Settings::from_values(self, frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::{CONTROLS, Control, Kind};
    use crate::morphable::{Expression, Region, RetargetSettings};
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
        assert!(s.rig() == RigSettings::default() && s.rig().is_default() && s.region_head == 1.0);
    }

    #[test]
    fn each_rig_control_reaches_its_place() {
        let set = |id: &str, value: f64| {
            let mut values = Values::new();
            values.set_value(id, Value::Float(value)).unwrap();
            values.resolve(0.0).rig()
        };
        for &e in Expression::ALL {
            assert_eq!(set(&format!("expr_{}", e.id()), 0.5), RigSettings::single(e, 0.5));
        }
        for r in Region::ALL {
            let mut wanted = RigSettings::default();
            wanted.regions[r as usize] = 0.25;
            assert_eq!(set(&format!("region_{}", r.id()), 0.25), wanted);
        }
    }
}
