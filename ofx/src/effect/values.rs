//! The library's controls as a host's parameters hold them.

use crate::host::{Param, Params};
use headgan::controls::{CONTROLS, Control, Kind, Preset, Value, Values};
use headgan::{Error, Result};

/// The controls of an instance.
pub struct Controls<'a> {
    params: Vec<(&'static Control, Param<'a>)>,
}

impl<'a> Controls<'a> {
    pub fn of(params: &Params<'a>) -> Controls<'a> {
        let find = |c: &'static Control| Some((c, params.get(c.id)?));
        Controls { params: CONTROLS.iter().filter_map(find).collect() }
    }

    /// Their values at a time. Curves overshoot their keys, so that numbers are brought into their range; what a host
    /// does not tell is at its default.
    ///
    /// # Errors
    /// `Usage` for a text with control characters.
    pub fn at(&self, time: f64) -> Result<Values> {
        let mut values = Values::new();
        for (control, param) in &self.params {
            if let Some(value) = value(control, param, time) {
                values.set_value(control.id, value)?;
            }
        }
        Ok(values)
    }

    /// Sets what a preset names. Keyframes go, as they do on the command line.
    ///
    /// # Errors
    /// `Engine` where the host refuses a value.
    pub fn apply(&self, preset: &Preset) -> Result<()> {
        for (control, value) in preset.controls() {
            let Some((_, param)) = self.params.iter().find(|(c, _)| c.id == control.id) else {
                return Err(Error::Engine(format!("the host has no parameter {}: make the effect anew", control.id)));
            };
            if control.keyframable {
                param.delete_keys();
            }
            match value {
                Value::Float(v) => param.set_double(*v)?,
                Value::Int(v) => param.set_int(*v as i32)?,
                Value::Bool(v) => param.set_int(i32::from(*v))?,
                Value::Choice(i) => param.set_int(*i as i32)?,
                Value::Text(t) => param.set_string(t)?,
            }
        }
        Ok(())
    }

    /// A preset of all that is not at its default.
    ///
    /// # Errors
    /// As [`Preset::new`].
    pub fn preset(&self, id: &str, time: f64) -> Result<Preset> {
        let all = self.at(time)?;
        let mut values = Values::new();
        for (control, value) in all.constants().filter(|(c, v)| **v != c.default_value()) {
            values.set_value(control.id, value.clone())?;
        }
        Preset::new(id, id, "Saved from the plugin.", &values)
    }
}

fn value(control: &Control, param: &Param, time: f64) -> Option<Value> {
    match control.kind {
        Kind::Float { min, max, .. } => {
            let v = if control.keyframable { param.double_at(time) } else { param.double() };
            v.filter(|v| !v.is_nan()).map(|v| Value::Float(v.clamp(min, max)))
        }
        Kind::Int { min, max, .. } => param.int().map(|v| Value::Int(i64::from(v).clamp(min, max))),
        Kind::Bool { .. } => param.int().map(|v| Value::Bool(v != 0)),
        Kind::Choice { options, .. } => {
            param.int().and_then(|v| usize::try_from(v).ok()).filter(|i| *i < options.len()).map(Value::Choice)
        }
        Kind::Text { .. } => param.string().map(Value::Text),
    }
}
