//! The library's controls as a host's parameters hold them, and the settings of a frame. `params.rs` handles the plugin's own parameters.

use super::params::PluginParams;
use crate::host::{Param, Params};
use headgan::controls::choices::Quality;
use headgan::controls::{CONTROLS, Control, Kind, Preset, Settings, Value, Values};
use headgan::reenact::frame_settings::FrameSettings;
use headgan::{Error, Result};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;

/// The controls of an instance.
pub struct Controls<'a> {
    params: Vec<(&'static Control, Param<'a>)>,
}

impl<'a> Controls<'a> {
    pub fn new(params: &Params<'a>) -> Controls<'a> {
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

    /// Those whose values may change with time.
    fn animated(&self) -> Vec<(&'static Control, Param<'a>)> {
        self.params.iter().filter(|(c, param)| c.keyframable && !param.is_constant()).copied().collect()
    }

    /// Sets what a preset names. Keyframes go, as they do on the command line.
    ///
    /// # Errors
    /// `Engine` where the host refuses a value.
    pub fn apply(&self, preset: &Preset) -> Result<()> {
        for (control, value) in preset.controls() {
            let Some((_, param)) = self.params.iter().find(|(c, _)| c.id == control.id) else {
                return Err(Error::engine(format!("the host has no parameter {}: make the effect anew", control.id)));
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

/// The settings of an instance during one action: each control is read from the host once, and once more for each other time where it
/// is animated. A host may change values between actions: never kept longer than one.
pub struct ResolvedControls<'a> {
    controls: Controls<'a>,
    /// Of the action's time.
    values: Values,
    settings: Settings,
    /// Controls whose values change with time; the host is asked which once another time is needed.
    animated: OnceCell<Vec<(&'static Control, Param<'a>)>>,
    /// Of other times, by the bits of each and by whether the camera's controls alone were read.
    others: RefCell<HashMap<(u64, bool), Settings>>,
    time: f64,
}

impl<'a> ResolvedControls<'a> {
    /// Reads the controls at the action's time.
    ///
    /// # Errors
    /// As [`Controls::at`].
    pub fn new(params: &Params<'a>, time: f64) -> Result<ResolvedControls<'a>> {
        let controls = Controls::new(params);
        let values = controls.at(time)?;
        let settings = values.resolve(time);
        let (animated, others) = (OnceCell::new(), RefCell::default());
        Ok(ResolvedControls { controls, values, settings, animated, others, time })
    }

    /// Those at the action's time.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Those at another time.
    ///
    /// # Errors
    /// As [`Controls::at`].
    pub fn at(&self, time: f64) -> Result<Settings> {
        self.read(time, false)
    }

    /// Those at another time of which the camera alone matters ([`FrameSettings::CAMERA_CONTROLS`]): all others may be those of the action's time.
    ///
    /// # Errors
    /// As [`Controls::at`].
    pub fn camera_at(&self, time: f64) -> Result<Settings> {
        self.read(time, true)
    }

    fn read(&self, time: f64, camera_alone: bool) -> Result<Settings> {
        if time.to_bits() == self.time.to_bits() {
            return Ok(self.settings.clone());
        }
        let animated = self.animated.get_or_init(|| self.controls.animated());
        let matters = |c: &Control| !camera_alone || FrameSettings::CAMERA_CONTROLS.contains(&c.id);
        let mut animated = animated.iter().filter(|(c, _)| matters(c)).peekable();
        if animated.peek().is_none() {
            return Ok(self.settings.clone());
        }
        let at = (time.to_bits(), camera_alone);
        if let Some(settings) = self.others.borrow().get(&at) {
            return Ok(settings.clone());
        }
        let mut values = self.values.clone();
        for (control, param) in animated {
            match value(control, param, time) {
                Some(value) => values.set_value(control.id, value)?,
                None => values.reset(control.id),
            }
        }
        let settings = values.resolve(time);
        self.others.borrow_mut().insert(at, settings.clone());
        Ok(settings)
    }
}

/// How a frame with these settings is rendered, with what the instance adds to them.
pub fn frame_settings(settings: &Settings, params: &PluginParams, interactive: bool, same: bool) -> FrameSettings {
    let mut adjusted = FrameSettings::from_controls(settings, same);
    if params.draft_while_editing && interactive {
        adjusted.quality = Quality::Draft;
    }
    adjusted
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
