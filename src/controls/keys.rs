//! Keyframe files: the curves of `--keys`.
//!
//! A file is one JSON object, control id to list of keys:
//! `{"yaw_offset": [{"frame": 0, "value": 0, "interp": "smooth"}, {"frame": 24, "value": 15}]}`.
//! `interp` says how the curve runs from its key to the next one; without it the way is `linear`. The curve is
//! constant before the first and after the last key.

use super::curve::{Curve, Interp, Key, keyframable};
use super::json;
use super::tree::Control;
use super::value::{Value, named};
use super::values::Values;
use crate::text::{nearest, one_line, quoted};
use crate::{Error, Result};
use std::path::Path;

/// The curves of a file of `--keys`.
///
/// # Errors
/// `Input` when the file cannot be read or is not JSON; `Usage` for what it says, naming file, control and key.
pub fn read(path: &Path) -> Result<Vec<(&'static Control, Curve)>> {
    curves(&json::read(path, "keys file")?, &one_line(&path.to_string_lossy()))
}

/// The curves of the text of such a file; messages call it `source`.
///
/// # Errors
/// As [`read`].
pub fn parse(text: &str, source: &str) -> Result<Vec<(&'static Control, Curve)>> {
    curves(&json::parse(text, source)?, source)
}

/// The text of a file that [`parse`] reads back bit for bit: a line for each key.
pub fn print<'a>(curves: impl IntoIterator<Item = (&'static Control, &'a Curve)>) -> String {
    let curves: Vec<String> = curves
        .into_iter()
        .map(|(control, curve)| {
            let number = |v: f64| control.to_json(&Value::Float(v));
            let keys: Vec<String> = curve
                .keys()
                .iter()
                .map(|k| {
                    let (frame, value, interp) = (number(k.frame), number(k.value), k.interp.id());
                    format!("    {{\"frame\": {frame}, \"value\": {value}, \"interp\": \"{interp}\"}}")
                })
                .collect();
            format!("  \"{}\": [\n{}\n  ]", control.id, keys.join(",\n"))
        })
        .collect();
    if curves.is_empty() { "{}\n".into() } else { format!("{{\n{}\n}}\n", curves.join(",\n")) }
}

impl Values {
    /// Keyframes everything that a file of `--keys` names, or nothing where it has an error.
    ///
    /// # Errors
    /// As [`read`].
    pub fn read_keys(&mut self, path: &Path) -> Result<()> {
        for (control, curve) in read(path)? {
            self.set_curve(control.id, curve)?;
        }
        Ok(())
    }
}

fn curves(file: &serde_json::Value, source: &str) -> Result<Vec<(&'static Control, Curve)>> {
    let wrong = |text: &str| Error::usage(format!("{source}: {text}"));
    let object = file.as_object().ok_or_else(|| {
        wrong(&format!("the file holds {} where {{\"control\": [keys]}} must stand", json::type_name(file)))
    })?;
    let mut out = Vec::with_capacity(object.len());
    for (id, keys) in object {
        let control = named(id).map_err(|e| e.map_text(|t| format!("{source}: {t}")))?;
        keyframable(control).map_err(|e| e.map_text(|t| format!("{source}: {t}")))?;
        let keys = keys
            .as_array()
            .ok_or_else(|| wrong(&format!("{id} holds {} where a list of keys must stand", json::type_name(keys))))?;
        let keys: Result<Vec<Key>> = keys
            .iter()
            .enumerate()
            .map(|(i, key)| read_key(control, key).map_err(|text| wrong(&format!("{id}, key {i}: {text}"))))
            .collect();
        let curve = Curve::new(keys?).map_err(|e| e.map_text(|t| format!("{source}: {id}, {t}")))?;
        out.push((control, curve));
    }
    Ok(out)
}

/// One key; an error is the rest of a message.
fn read_key(control: &Control, key: &serde_json::Value) -> Result<Key, String> {
    const FIELDS: [&str; 3] = ["frame", "value", "interp"];
    let fields = key.as_object().ok_or_else(|| {
        format!("it is {} where {{\"frame\": .., \"value\": .., \"interp\": ..}} must stand", json::type_name(key))
    })?;
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let near = nearest(name, FIELDS.into_iter()).unwrap_or("frame");
        return Err(format!("a key has no {} (the nearest is '{near}'): give frame, value and interp", quoted(name)));
    }
    let frame = match fields.get("frame") {
        None => return Err("it lacks its frame: give a frame number".into()),
        Some(frame) => {
            frame.as_f64().ok_or_else(|| format!("the frame is {}: give a frame number", json::type_name(frame)))?
        }
    };
    let value = match fields.get("value") {
        None => return Err(format!("it lacks its value: give {}", control.legal())),
        Some(value) => match control.from_json(value).map_err(|e| e.to_string())? {
            Value::Float(value) => value,
            other => return Err(format!("{} is no number: only numbers can be keyframed", control.print(&other))),
        },
    };
    let interp = match fields.get("interp") {
        None => Interp::default(),
        Some(text) => {
            let text = text.as_str().unwrap_or(json::type_name(text));
            let found = Interp::ALL.into_iter().find(|(_, id)| *id == text);
            found.ok_or_else(|| format!("interp cannot be {}: give one of linear, smooth, hold", quoted(text)))?.0
        }
    };
    Ok(Key { frame, value, interp })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controls::Curve;
    use crate::controls::Interp;
    use crate::controls::tree;

    use proptest::prelude::*;

    fn key(frame: f64, value: f64, interp: Interp) -> Key {
        Key { frame, value, interp }
    }

    #[test]
    fn linear_smooth_hold() {
        let c = Curve::new(vec![
            key(0.0, 0.0, Interp::Linear),
            key(10.0, 10.0, Interp::Hold),
            key(20.0, 30.0, Interp::Smooth),
            key(30.0, 50.0, Interp::Smooth),
        ])
        .unwrap();
        for (frame, value) in [
            (-5.0, 0.0),
            (0.0, 0.0),
            (2.5, 2.5),
            (10.0, 10.0),
            (19.999, 10.0),
            (20.0, 30.0),
            // Between a hold and the end: flat on both sides.
            (22.5, 30.0 + 20.0 * (3.0 * 0.0625 - 2.0 * 0.015625)),
            (25.0, 40.0),
            (30.0, 50.0),
            (1e9, 50.0),
            (f64::NAN, 0.0),
        ] {
            assert!((c.at(frame) - value).abs() < 1e-12, "{frame}: {} {value}", c.at(frame));
        }
    }

    #[test]
    fn smooth_runs_through_a_line_straight() {
        let c = Curve::new((0..5).map(|i| key(f64::from(i), f64::from(i), Interp::Smooth)).collect()).unwrap();
        for f in [1.0, 1.25, 2.5, 2.9] {
            assert!((c.at(f) - f).abs() < 1e-12, "{f}: {}", c.at(f));
        }
    }

    #[test]
    fn errors_name_file_control_and_key() {
        for (text, says) in [
            ("[]", "k.json: the file holds a list where {\"control\": [keys]} must stand"),
            ("{\"yaw\": []}", "k.json: there is no control 'yaw', the nearest is 'yaw_offset'"),
            ("{\"yaw_offset\": []}", "k.json: yaw_offset, there are no keys"),
            ("{\"yaw_offset\": 3}", "k.json: yaw_offset holds a number where a list of keys must stand"),
            (
                "{\"smoothing\": []}",
                "k.json: smoothing holds for the whole shot and cannot be keyframed: give it one value instead",
            ),
            ("{\"yaw_offset\": [7]}", "k.json: yaw_offset, key 0: it is a number where {\"frame\""),
            ("{\"yaw_offset\": [{\"value\": 1}]}", "k.json: yaw_offset, key 0: it lacks its frame"),
            ("{\"yaw_offset\": [{\"frame\": \"1\", \"value\": 1}]}", "k.json: yaw_offset, key 0: the frame is text"),
            ("{\"yaw_offset\": [{\"frame\": 1e8, \"value\": 1}]}", "k.json: yaw_offset, key 0: frame 100000000 and"),
            (
                "{\"yaw_offset\": [{\"frame\": 1}]}",
                "k.json: yaw_offset, key 0: it lacks its value: give a number from -90 to 90 (degrees)",
            ),
            (
                "{\"yaw_offset\": [{\"frame\": 0, \"value\": 1}, {\"frame\": 1, \"value\": 91}]}",
                "k.json: yaw_offset, key 1: yaw_offset cannot be 91: give a number from -90 to 90 (degrees)",
            ),
            (
                "{\"yaw_offset\": [{\"frame\": 0, \"value\": 1, \"interpolation\": \"hold\"}]}",
                "k.json: yaw_offset, key 0: a key has no 'interpolation' (the nearest is 'interp')",
            ),
            (
                "{\"yaw_offset\": [{\"frame\": 0, \"value\": 1, \"interp\": \"bezier\"}]}",
                "k.json: yaw_offset, key 0: interp cannot be 'bezier': give one of linear, smooth, hold",
            ),
            (
                "{\"yaw_offset\": [{\"frame\": 0, \"value\": 1}, {\"frame\": 0, \"value\": 2}]}",
                "k.json: yaw_offset, key 1: frame 0 does not come after frame 0 of the key before it",
            ),
            (
                "{\"yaw_offset\": [{\"frame\": 5, \"value\": 1}, {\"frame\": 3, \"value\": 2}]}",
                "k.json: yaw_offset, key 1: frame 3 does not come after frame 5",
            ),
            (
                "{\"yaw_offset\": [{\"frame\": 0, \"frame\": 1}]}",
                "k.json is not valid JSON: 'frame' stands there twice",
            ),
            ("{\"yaw_offset\": [], \"yaw_offset\": []}", "k.json is not valid JSON: 'yaw_offset' stands there twice"),
        ] {
            let e = parse(text, "k.json").unwrap_err().to_string();
            assert!(e.starts_with(says), "{text}\n{e}\n{says}");
            assert!(!e.contains('\n'));
        }
    }

    #[test]
    fn files_keyframe_settings() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        std::fs::write(&path, r#"{"yaw_offset": [{"frame": 0, "value": 0}, {"frame": 10, "value": 20}]}"#).unwrap();
        let mut v = Values::new();
        v.assign("yaw_offset=5").unwrap();
        v.assign("roll_offset=5").unwrap();
        v.read_keys(&path).unwrap();
        let s = v.resolve(2.5);
        assert_eq!((s.yaw_offset, s.roll_offset), (5.0, 5.0));
        assert_eq!(v.resolve(99.0).yaw_offset, 20.0);
        assert!(v.is_animated() && v.curve("yaw_offset").is_some());
        // The later setting counts.
        v.assign("yaw_offset=7").unwrap();
        assert_eq!(v.resolve(2.5).yaw_offset, 7.0);
        let missing = v.read_keys(&folder.path().join("none.json")).unwrap_err();
        assert!(matches!(missing, Error::Input(_)), "{missing}");
        let folder_instead = v.read_keys(folder.path()).unwrap_err();
        assert!(matches!(folder_instead, Error::Input(_)), "{folder_instead}");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(matches!(v.read_keys(&path), Err(Error::Input(_))));
        // A curve out of a control's range, or for one that holds for the shot.
        let curve = Curve::new(vec![key(0.0, 91.0, Interp::Linear)]).unwrap();
        let e = v.set_curve("yaw_offset", curve.clone()).unwrap_err().to_string();
        assert!(e.starts_with("key 0: yaw_offset cannot be 91"), "{e}");
        assert!(v.set_curve("face_x", curve).is_err());
    }

    fn interp() -> impl Strategy<Value = Interp> {
        prop_oneof![Just(Interp::Linear), Just(Interp::Smooth), Just(Interp::Hold)]
    }

    fn any_curve() -> impl Strategy<Value = Curve> {
        (-100.0..100.0f64, prop::collection::vec((Curve::NEAREST * 1.01..50.0, -90.0..=90.0f64, interp()), 1..12))
            .prop_map(|(mut frame, steps)| {
                let keys = steps
                    .into_iter()
                    .map(|(gap, value, interp)| {
                        frame += gap;
                        Key { frame, value, interp }
                    })
                    .collect();
                Curve::new(keys).unwrap()
            })
    }

    proptest! {
        #[test]
        fn curves_pass_their_keys_and_end_constant(c in any_curve()) {
            for k in c.keys() {
                prop_assert_eq!(c.at(k.frame), k.value);
            }
            let (first, last) = (c.keys()[0], c.keys()[c.keys().len() - 1]);
            prop_assert_eq!(c.at(first.frame - 3.0), first.value);
            prop_assert_eq!(c.at(last.frame + 3.0), last.value);
        }

        /// Linear and smooth are continuous (three times the steepest side's slope bounds the cubic's), hold
        /// keeps its value to the last; none leaves the range between its two keys, and smooth is monotone.
        #[test]
        fn between_keys(c in any_curve(), n in 0usize..12, share in 0.0..1.0f64) {
            let n = n % c.keys().len();
            let (Key { frame, value, interp }, Some(b)) = (c.keys()[n], c.keys().get(n + 1)) else { return Ok(()) };
            let h = b.frame - frame;
            let (f, e) = (frame + share * h, 1e-4 * h);
            let got = c.at(f);
            prop_assert!(got >= value.min(b.value) && got <= value.max(b.value));
            let next = c.at((f + e).min(b.frame - e));
            match interp {
                Interp::Hold => {
                    prop_assert_eq!(c.at(b.frame - 1e-9 * h.max(1.0)), value);
                }
                _ => {
                    let rise = (b.value - value).abs();
                    let step = 3.0 * rise * 1e-4 + 1e-9;
                    prop_assert!((c.at(f + e) - got).abs() <= step || f + e > b.frame);
                    prop_assert!((c.at(b.frame - e) - b.value).abs() <= step);
                    prop_assert!((c.at(frame + e) - value).abs() <= step);
                    if f + e < b.frame - e {
                        prop_assert!((next - got) * (b.value - value) >= -1e-9, "not monotone");
                    }
                }
            }
        }

        /// Two smooth sides meet with one slope.
        #[test]
        fn smooth_has_no_corner(values in prop::collection::vec(-90.0..90.0f64, 3..8), gaps in prop::collection::vec(1.0..20.0f64, 8)) {
            let mut frame = 0.0;
            let keys = values.iter().zip(&gaps).map(|(&value, gap)| {
                frame += gap;
                Key { frame, value, interp: Interp::Smooth }
            }).collect();
            let c = Curve::new(keys).unwrap();
            for k in c.keys() {
                let e = 1e-5;
                let (before, after) = ((k.value - c.at(k.frame - e)) / e, (c.at(k.frame + e) - k.value) / e);
                prop_assert!((before - after).abs() < 0.05, "{before} {after} at {}", k.frame);
            }
        }

        #[test]
        fn files_round_trip(c in any_curve()) {
            let control = tree::find("yaw_offset").unwrap();
            let text = print([(control, &c)]);
            let back = parse(&text, "k.json").unwrap();
            prop_assert_eq!(back.len(), 1);
            prop_assert_eq!(back[0].0.id, "yaw_offset");
            prop_assert_eq!(&back[0].1, &c);
        }

        #[test]
        fn no_text_panics(text in "[\\[\\]{}\":,a-z0-9_ .-]{0,80}") {
            let _ = parse(&text, "k.json");
        }
    }

    #[test]
    fn no_curves_are_an_empty_file() {
        assert_eq!(print([]), "{}\n");
        assert!(parse("{}", "k.json").unwrap().is_empty());
    }
}
