//! What somebody has set of all controls: constants and curves.

use super::tree::{CONTROLS, Control};
use crate::controls::Value;
use crate::controls::curve::Curve;
use crate::controls::value::named;
use crate::text::quoted;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// What somebody has set; everything else has its default. Every value in it is legal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Values {
    constants: BTreeMap<&'static str, Value>,
    curves: BTreeMap<&'static str, Curve>,
}

impl Values {
    /// Everything at its default.
    pub fn new() -> Values {
        Values::default()
    }

    /// Sets a control to what a user typed; keyframes that it had are dropped.
    ///
    /// # Errors
    /// `Usage` for an unknown id (naming the nearest one) or an illegal value (stating the legal ones).
    pub fn set(&mut self, id: &str, typed: &str) -> Result<()> {
        let control = named(id)?;
        self.put(control, control.parse(typed)?);
        Ok(())
    }

    /// Sets from `control=value`, the form of `--set`.
    ///
    /// # Errors
    /// `Usage` as [`Values::set`], or when there is no `=`.
    pub fn assign(&mut self, assignment: &str) -> Result<()> {
        let (id, typed) = assignment.split_once('=').ok_or_else(|| {
            Error::usage(format!(
                "{} sets no control: write control=value, for example yaw_offset=10",
                quoted(assignment)
            ))
        })?;
        self.set(id.trim(), typed)
    }

    /// Sets a control; keyframes that it had are dropped.
    ///
    /// # Errors
    /// `Usage` as [`Values::set`].
    pub fn set_value(&mut self, id: &str, value: Value) -> Result<()> {
        let control = named(id)?;
        self.put(control, control.check(value)?);
        Ok(())
    }

    /// Stores a checked value.
    pub(super) fn put(&mut self, control: &'static Control, value: Value) {
        self.curves.remove(control.id);
        self.constants.insert(control.id, value);
    }

    /// Keyframes a control, in place of the value that it had.
    ///
    /// # Errors
    /// `Usage` for an unknown id, a control that cannot be keyframed, or a key's value out of range.
    pub fn set_curve(&mut self, id: &str, curve: Curve) -> Result<()> {
        let control = named(id)?;
        curve.check(control)?;
        self.constants.remove(control.id);
        self.curves.insert(control.id, curve);
        Ok(())
    }

    /// Back to the default.
    pub fn reset(&mut self, id: &str) {
        self.constants.remove(id);
        self.curves.remove(id);
    }

    /// The value at a frame (the driving clip's, counted from 0; fractions are allowed).
    pub fn get(&self, control: &Control, frame: f64) -> Value {
        if let Some(curve) = self.curves.get(control.id) {
            return Value::Float(curve.at(frame));
        }
        self.constants.get(control.id).cloned().unwrap_or_else(|| control.default_value())
    }

    /// The keyframes of a control, if it has any.
    pub fn curve(&self, id: &str) -> Option<&Curve> {
        self.curves.get(id)
    }

    /// Whether somebody has set or keyframed the control (perhaps to its default).
    pub fn is_set(&self, id: &str) -> bool {
        self.constants.contains_key(id) || self.curves.contains_key(id)
    }

    /// Whether the control is anywhere not at its default.
    pub fn uses(&self, id: &str) -> bool {
        let Some(control) = super::tree::find(id) else { return false };
        let default = control.default_value();
        let moved = |v: &Value| *v != default;
        self.constants.get(control.id).is_some_and(moved)
            || self.curves.get(control.id).is_some_and(|c| c.keys().iter().any(|k| moved(&Value::Float(k.value))))
    }

    /// Whether anything changes from frame to frame.
    pub fn is_animated(&self) -> bool {
        !self.curves.is_empty()
    }

    /// The constant values that somebody has set, in the order of the tree.
    pub fn constants(&self) -> impl Iterator<Item = (&'static Control, &Value)> {
        CONTROLS.iter().filter_map(|c| self.constants.get(c.id).map(|v| (c, v)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::Kind;
    use crate::controls::Value;
    use crate::controls::tree::Unit;
    use crate::controls::value::named;
    use proptest::prelude::*;

    fn line(result: Result<impl std::fmt::Debug>) -> String {
        let e = result.unwrap_err();
        assert!(matches!(e, Error::Usage(_)), "{e:?}");
        let text = e.to_string();
        assert!(!text.contains('\n'), "{text}");
        text
    }

    #[test]
    fn unknown_controls_name_the_nearest() {
        let mut v = Values::new();
        assert_eq!(
            line(v.set("yaw", "3")),
            "there is no control 'yaw', the nearest is 'yaw_offset': docs/USER_GUIDE.md lists all of them"
        );
        assert!(line(v.set("Face number", "3")).contains("nearest is 'face_index'"));
        assert!(line(v.set("Smoothing", "3")).contains("nearest is 'smoothing'"));
        assert!(line(v.set("a\nb", "3")).contains(r"'a\nb'"));
        assert!(line(v.set("", "3")).contains("there is no control ''"));
        assert!(line(v.assign("yaw_offset")).contains("write control=value"));
        assert_eq!(v, Values::new());
    }

    #[test]
    fn wrong_values_state_the_legal_ones() {
        let mut v = Values::new();
        for (id, typed, says) in [
            ("yaw_offset", "120", "yaw_offset cannot be 120: give a number from -90 to 90 (degrees)"),
            ("yaw_offset", "nan", "yaw_offset cannot be NaN: give a number from -90 to 90 (degrees)"),
            ("yaw_offset", "1e999", "yaw_offset cannot be inf: give a number from -90 to 90 (degrees)"),
            ("yaw_offset", "0,5", "yaw_offset cannot be '0,5': give a number from -90 to 90 (degrees)"),
            ("yaw_offset", "", "yaw_offset cannot be '': give a number from -90 to 90 (degrees)"),
            ("smoothing", "1.5", "smoothing cannot be '1.5': give a whole number from 0 to 60 (frames)"),
            ("smoothing", "-1", "smoothing cannot be -1: give a whole number from 0 to 60 (frames)"),
            ("fill_mouth", "maybe", "fill_mouth cannot be 'maybe': give true or false"),
            ("quality", "best", "quality cannot be 'best': give one of draft, full (the nearest is 'draft')"),
            ("quality", "ful", "quality cannot be 'ful': give one of draft, full (the nearest is 'full')"),
        ] {
            assert_eq!(line(v.set(id, typed)), says);
        }
        assert!(line(v.set_value("yaw_offset", Value::Int(3))).contains("cannot be 3"));
        assert!(line(v.set_value("quality", Value::Choice(2))).contains("cannot be option 2"));
        assert_eq!(v, Values::new());
    }

    #[test]
    fn typed_values_are_understood() {
        let mut v = Values::new();
        for assignment in ["yaw_offset= -12.5 ", " fill_mouth =OFF", "face_choice=nearest TO a point", "view=Pncc"] {
            v.assign(assignment).unwrap();
        }
        v.assign("smoothing=+3").unwrap();
        let got = |id: &str| v.get(named(id).unwrap(), 0.0);
        assert_eq!(got("yaw_offset"), Value::Float(-12.5));
        assert_eq!(got("fill_mouth"), Value::Bool(false));
        assert_eq!(got("face_choice"), Value::Choice(1));
        assert_eq!(got("view"), Value::Choice(2));
        assert_eq!(got("smoothing"), Value::Int(3));
        assert_eq!(got("pitch_offset"), Value::Float(0.0));
        v.assign("yaw_offset=-0").unwrap();
        assert_eq!(v.get(named("yaw_offset").unwrap(), 0.0), Value::Float(0.0));
        assert_eq!(v.constants().map(|(c, _)| c.id).last(), Some("view"), "in the order of the tree");
        assert!(v.uses("view") && !v.uses("yaw_offset") && !v.uses("quality") && !v.uses("nonsense"));
        v.reset("view");
        assert!(!v.is_set("view") && v.is_set("smoothing"));
    }

    #[test]
    fn files_hold_typed_values() {
        let read = |id: &str, text: &str| named(id).unwrap().from_json(&serde_json::from_str(text).unwrap());
        assert_eq!(read("yaw_offset", "10").unwrap(), Value::Float(10.0));
        assert_eq!(read("smoothing", "10.0").unwrap(), Value::Int(10));
        assert_eq!(read("view", "\"flow\"").unwrap(), Value::Choice(4));
        for (id, text) in [
            ("yaw_offset", "\"10\""),
            ("yaw_offset", "true"),
            ("smoothing", "10.5"),
            ("smoothing", "1e30"),
            ("smoothing", "18446744073709551615"),
            ("fill_mouth", "1"),
            ("fill_mouth", "null"),
            ("view", "4"),
            ("view", "[4]"),
        ] {
            assert!(line(read(id, text)).starts_with(&format!("{id} cannot be ")), "{id} {text}");
        }
    }

    /// No control is a text yet; the kind must work all the same.
    #[test]
    fn text_controls() {
        let c = Control { kind: Kind::Text { default: "x" }, ..CONTROLS[0] };
        assert_eq!(c.default_value(), Value::Text("x".into()));
        assert_eq!(c.parse(" a b ").unwrap(), Value::Text(" a b ".into()));
        assert_eq!(c.print(&c.from_json(&c.to_json(&Value::Text("é".into()))).unwrap()), "é");
        line(c.parse("two\nlines"));
    }

    /// A control and a legal value of it.
    fn any_value() -> impl Strategy<Value = (&'static Control, Value)> {
        (0..CONTROLS.len(), any::<f64>(), any::<i64>(), 0.0..=1.0f64).prop_map(|(i, f, n, share)| {
            let c = &CONTROLS[i];
            let value = match c.kind {
                Kind::Float { min, max, .. } if (min..=max).contains(&f) => Value::Float(f),
                Kind::Float { min, max, .. } => Value::Float((min + share * (max - min)).clamp(min, max)),
                Kind::Int { min, max, .. } => Value::Int(min + n.rem_euclid(max - min + 1)),
                Kind::Bool { .. } => Value::Bool(n % 2 == 0),
                Kind::Choice { options, .. } => Value::Choice(n.rem_euclid(options.len() as i64) as usize),
                Kind::Text { .. } => Value::Text(f.to_string()),
            };
            (c, c.check(value).unwrap())
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back((c, value) in any_value()) {
            prop_assert_eq!(c.parse(&c.print(&value)).unwrap(), value.clone());
            let text = serde_json::to_string(&c.to_json(&value)).unwrap();
            prop_assert_eq!(c.from_json(&serde_json::from_str(&text).unwrap()).unwrap(), value.clone());
            if let (Kind::Choice { options, .. }, Value::Choice(i)) = (c.kind, &value) {
                prop_assert_eq!(c.parse(&options[*i].label.to_uppercase()).unwrap(), value);
            }
        }

        #[test]
        fn nothing_typed_panics_and_errors_are_lines(id in ".*", typed in ".*", i in 0..CONTROLS.len()) {
            let mut v = Values::new();
            for id in [id.as_str(), CONTROLS[i].id] {
                if let Err(e) = v.set(id, &typed) {
                    prop_assert!(!e.to_string().contains(['\n', '\r']) && e.to_string().len() < 600, "{e}");
                }
            }
            let _ = v.assign(&typed);
        }

        #[test]
        fn numbers_outside_the_range_are_refused(v in any::<f64>(), i in 0..CONTROLS.len()) {
            let c = &CONTROLS[i];
            if let Kind::Float { min, max, .. } = c.kind {
                prop_assert_eq!(c.check(Value::Float(v)).is_ok(), v >= min && v <= max);
            }
        }
    }

    #[test]
    fn units_have_distinct_names() {
        let units =
            [Unit::Number, Unit::Factor, Unit::Share, Unit::Degrees, Unit::Frames, Unit::Decibels, Unit::PercentOfFace];
        let names: std::collections::HashSet<&str> = units.iter().map(|u| u.name()).collect();
        assert_eq!(names.len(), units.len());
    }
}
