//! The value of one control: parsing, printing, checking. What a user has set of all controls stands in `values.rs`.

use super::json;
use super::tree::{self, CONTROLS, Control, Kind, RETIRED};
use crate::error::Advice;
use crate::text::{self, nearest, quoted};
use crate::{Error, Result};

/// The value of one control.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number.
    Float(f64),
    /// A whole number, or the index of an option.
    Int(i64),
    /// On or off.
    Bool(bool),
    /// Index into the options.
    Choice(usize),
    /// A text.
    Text(String),
}

/// The control with this id.
///
/// # Errors
/// `Usage`, naming the nearest id, and where all of them are listed.
pub fn named(id: &str) -> Result<&'static Control> {
    if let Some(control) = tree::find(id) {
        return Ok(control);
    }
    if let Some((_, instead)) = RETIRED.iter().find(|(old, _)| *old == id) {
        return Err(Error::usage(format!("the control '{id}' is no more: use {instead}")));
    }
    // A label is as good a hint of what was meant as an id.
    let names = CONTROLS.iter().flat_map(|c| [c.id, c.label]);
    let near = nearest(id, names).and_then(|name| CONTROLS.iter().find(|c| c.id == name || c.label == name));
    let near = near.map(|c| format!(", the nearest is '{}'", c.id)).unwrap_or_default();
    Err(Error::usage(format!("there is no control {}{near}: docs/USER_GUIDE.md lists all of them", quoted(id)))
        .with_advice(Advice::ListControls))
}

impl Control {
    /// What the control is when nobody sets it.
    pub fn default_value(&self) -> Value {
        match self.kind {
            Kind::Float { default, .. } => Value::Float(default),
            Kind::Int { default, .. } => Value::Int(default),
            Kind::Bool { default } => Value::Bool(default),
            Kind::Choice { default, .. } => Value::Choice(default),
            Kind::Text { default } => Value::Text(default.into()),
        }
    }

    /// The legal values in words: `a number from -90 to 90 (degrees)`.
    pub fn legal(&self) -> String {
        match self.kind {
            Kind::Float { min, max, unit, .. } => format!("a number from {min} to {max} ({})", unit.name()),
            Kind::Int { min, max, unit, .. } => format!("a whole number from {min} to {max} ({})", unit.name()),
            Kind::Bool { .. } => "true or false".into(),
            Kind::Choice { options, .. } => {
                let ids: Vec<&str> = options.iter().map(|o| o.id).collect();
                format!("one of {}", ids.join(", "))
            }
            Kind::Text { .. } => "one line of text".into(),
        }
    }

    pub(super) fn wrong(&self, given: &str) -> Error {
        let hint = match self.kind {
            Kind::Choice { options, .. } => nearest(given.trim_matches('\''), options.iter().map(|o| o.id))
                .map(|near| format!(" (the nearest is '{near}')"))
                .unwrap_or_default(),
            _ => String::new(),
        };
        Error::usage(format!("{} cannot be {given}: give {}{hint}", self.id, self.legal()))
    }

    /// The value, if it is of the control's type and in its range (-0 becomes 0).
    ///
    /// # Errors
    /// `Usage`, stating the legal values.
    pub fn check(&self, value: Value) -> Result<Value> {
        match (self.kind, value) {
            (Kind::Float { min, max, .. }, Value::Float(v)) if (min..=max).contains(&v) => Ok(Value::Float(v + 0.0)),
            (Kind::Int { min, max, .. }, Value::Int(v)) if (min..=max).contains(&v) => Ok(Value::Int(v)),
            (Kind::Bool { .. }, v @ Value::Bool(_)) => Ok(v),
            (Kind::Choice { options, .. }, Value::Choice(i)) if i < options.len() => Ok(Value::Choice(i)),
            (Kind::Text { .. }, Value::Text(t)) if !t.contains(char::is_control) => Ok(Value::Text(t)),
            (_, Value::Float(v)) => Err(self.wrong(&v.to_string())),
            (_, Value::Int(v)) => Err(self.wrong(&v.to_string())),
            (_, Value::Bool(v)) => Err(self.wrong(&v.to_string())),
            (_, Value::Choice(i)) => Err(self.wrong(&format!("option {i}"))),
            (_, Value::Text(t)) => Err(self.wrong(&quoted(&t))),
        }
    }

    /// The value that a user typed. Spaces around it do not matter; choices go by id or label, in upper or
    /// lower case; switches by true/false, on/off, yes/no, 1/0.
    ///
    /// # Errors
    /// `Usage`, stating the legal values.
    pub fn parse(&self, typed: &str) -> Result<Value> {
        let text = typed.trim();
        let wrong = || self.wrong(&quoted(text));
        let value = match self.kind {
            Kind::Float { .. } => Value::Float(text.parse().map_err(|_| wrong())?),
            Kind::Int { .. } => Value::Int(text.parse().map_err(|_| wrong())?),
            Kind::Bool { .. } => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "yes" | "1" => Value::Bool(true),
                "false" | "off" | "no" | "0" => Value::Bool(false),
                _ => return Err(wrong()),
            },
            Kind::Choice { options, .. } => {
                let same = |name: &str| name.eq_ignore_ascii_case(text);
                let at = options.iter().position(|o| same(o.id)).or_else(|| options.iter().position(|o| same(o.label)));
                Value::Choice(at.ok_or_else(wrong)?)
            }
            Kind::Text { .. } => Value::Text(typed.into()),
        };
        self.check(value)
    }

    /// The value as [`Control::parse`] reads it back, bit for bit. The value must be of the control's type.
    pub fn print(&self, value: &Value) -> String {
        match (self.kind, value) {
            (_, Value::Float(v)) => v.to_string(),
            (_, Value::Int(v)) => v.to_string(),
            (_, Value::Bool(v)) => v.to_string(),
            (Kind::Choice { options, .. }, Value::Choice(i)) => {
                options.get(*i).map_or_else(String::new, |o| o.id.into())
            }
            (_, Value::Choice(i)) => i.to_string(),
            (_, Value::Text(t)) => t.clone(),
        }
    }

    /// The value that a file holds: numbers as numbers, switches as true or false, choices as text.
    ///
    /// # Errors
    /// `Usage`, stating the legal values.
    pub fn from_json(&self, value: &serde_json::Value) -> Result<Value> {
        use serde_json::Value as Json;
        let found = match (self.kind, value) {
            (Kind::Float { .. }, Json::Number(n)) => n.as_f64().map(Value::Float),
            // Some programs write every number with a decimal point.
            (Kind::Int { .. }, Json::Number(n)) => {
                let whole = |v: &f64| v.fract() == 0.0 && v.abs() < 9e15;
                n.as_i64().or_else(|| n.as_f64().filter(whole).map(|v| v as i64)).map(Value::Int)
            }
            (Kind::Bool { .. }, Json::Bool(v)) => Some(Value::Bool(*v)),
            (Kind::Choice { .. }, Json::String(t)) => return self.parse(t),
            (Kind::Text { .. }, Json::String(t)) => Some(Value::Text(t.clone())),
            _ => None,
        };
        let shown = || match value {
            Json::Array(_) | Json::Object(_) => json::type_name(value).into(),
            Json::String(t) => quoted(t),
            other => text::one_line(&other.to_string()),
        };
        self.check(found.ok_or_else(|| self.wrong(&shown()))?)
    }

    /// The value as [`Control::from_json`] reads it back, bit for bit.
    pub fn to_json(&self, value: &Value) -> serde_json::Value {
        match value {
            // Whole numbers without ".0", as people write them.
            Value::Float(v) if v.fract() == 0.0 && v.abs() < 9e15 => (*v as i64).into(),
            Value::Float(v) => (*v).into(),
            Value::Int(v) => (*v).into(),
            Value::Bool(v) => (*v).into(),
            Value::Choice(_) | Value::Text(_) => self.print(value).into(),
        }
    }
}
