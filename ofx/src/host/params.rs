//! Parameters: declaring them, their values at a time, and whether these change. `effect` says which parameters there are.

use super::properties::Properties;
use super::suites::{Host, c_string, check, lacking};
use headgan::Result;
use openfx::sys::generic::core::kOfxStatOK;
use openfx::sys::image_effect_v1::param::{OfxParamHandle, OfxParamSetHandle, kOfxParamPropIsAnimating};
use std::ffi::{CStr, c_char};
use std::ptr::null_mut;

/// The parameters of an effect.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    host: &'a Host,
    handle: OfxParamSetHandle,
}

impl<'a> Params<'a> {
    pub(super) fn new(host: &'a Host, handle: OfxParamSetHandle) -> Params<'a> {
        Params { host, handle }
    }

    /// Declares a parameter.
    ///
    /// # Errors
    /// `Engine` where the host refuses it.
    pub fn define(&self, kind: &CStr, name: &str) -> Result<Properties<'a>> {
        let what = || format!("the parameter {name}");
        let define = self.host.param.paramDefine.ok_or_else(|| lacking(&what()))?;
        let mut set = null_mut();
        // SAFETY: a host's function and the handle that it gave; it copies the texts.
        check(unsafe { define(self.handle, kind.as_ptr(), c_string(name).as_ptr(), &mut set) }, what)?;
        Ok(Properties::new(self.host, set))
    }

    /// A parameter of an instance; `None` where the host has not made it.
    pub fn get(&self, name: &str) -> Option<Param<'a>> {
        let get = self.host.param.paramGetHandle?;
        let mut handle = null_mut();
        // SAFETY: a host's function and the handle that it gave; hosts may want no properties.
        let status = unsafe { get(self.handle, c_string(name).as_ptr(), &mut handle, null_mut()) };
        (status == kOfxStatOK && !handle.is_null()).then_some(Param { host: self.host, handle })
    }

    /// Makes one step of undo of what `work` sets.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn edit(&self, label: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        if let Some(begin) = self.host.param.paramEditBegin {
            // SAFETY: a host's function and the handle that it gave.
            unsafe { begin(self.handle, c_string(label).as_ptr()) };
        }
        let result = work();
        if let Some(end) = self.host.param.paramEditEnd {
            // SAFETY: as above.
            unsafe { end(self.handle) };
        }
        result
    }
}

/// A parameter of an instance.
#[derive(Clone, Copy)]
pub struct Param<'a> {
    host: &'a Host,
    handle: OfxParamHandle,
}

impl<'a> Param<'a> {
    /// Whether its value is the same at all times. Where a host does not say that there are no keyframes, it may change; so it may
    /// where the host says that it is animated by something else, an expression for example.
    pub fn is_constant(&self) -> bool {
        let Some(count) = self.host.param.paramGetNumKeys else { return false };
        let mut keys = 0;
        // SAFETY: a host's function and the handle that it gave.
        let status = unsafe { count(self.handle, &mut keys) };
        let animating = || self.properties().and_then(|p| p.int(kOfxParamPropIsAnimating, 0));
        status == kOfxStatOK && keys == 0 && animating().unwrap_or(0) == 0
    }

    fn properties(&self) -> Option<Properties<'a>> {
        let get = self.host.param.paramGetPropertySet?;
        let mut set = null_mut();
        // SAFETY: a host's function and the handle that it gave.
        let status = unsafe { get(self.handle, &mut set) };
        (status == kOfxStatOK).then(|| Properties::new(self.host, set))
    }

    /// The value of a number at a time; `None` where the host does not tell.
    pub fn double_at(&self, time: f64) -> Option<f64> {
        let get = self.host.param.paramGetValueAtTime?;
        let mut value = 0.0f64;
        // SAFETY: a host's function; a number is handed over by its address.
        let status = unsafe { get(self.handle, time, &mut value as *mut f64) };
        (status == kOfxStatOK).then_some(value)
    }

    /// The value of a whole number, a switch or a choice.
    pub fn int(&self) -> Option<i32> {
        let get = self.host.param.paramGetValue?;
        let mut value = 0i32;
        // SAFETY: as above.
        let status = unsafe { get(self.handle, &mut value as *mut i32) };
        (status == kOfxStatOK).then_some(value)
    }

    /// A number that does not change with time.
    pub fn double(&self) -> Option<f64> {
        let get = self.host.param.paramGetValue?;
        let mut value = 0.0f64;
        // SAFETY: as above.
        let status = unsafe { get(self.handle, &mut value as *mut f64) };
        (status == kOfxStatOK).then_some(value)
    }

    /// A text.
    pub fn string(&self) -> Option<String> {
        let get = self.host.param.paramGetValue?;
        let mut value: *mut c_char = null_mut();
        // SAFETY: as above; the text is valid until the next call and copied at once.
        unsafe {
            let status = get(self.handle, &mut value as *mut *mut c_char);
            (status == kOfxStatOK && !value.is_null()).then(|| CStr::from_ptr(value).to_string_lossy().into_owned())
        }
    }

    /// Sets a whole number, a switch or a choice.
    ///
    /// # Errors
    /// `Engine` where the host refuses it.
    pub fn set_int(&self, value: i32) -> Result<()> {
        let set = self.host.param.paramSetValue.ok_or_else(|| lacking("setting parameters"))?;
        // SAFETY: a host's function; whole numbers are handed over as they are.
        check(unsafe { set(self.handle, value) }, || "setting a parameter".into())
    }

    /// Sets a number.
    ///
    /// # Errors
    /// As [`Param::set_int`].
    pub fn set_double(&self, value: f64) -> Result<()> {
        let set = self.host.param.paramSetValue.ok_or_else(|| lacking("setting parameters"))?;
        // SAFETY: as above.
        check(unsafe { set(self.handle, value) }, || "setting a parameter".into())
    }

    /// Sets a text.
    ///
    /// # Errors
    /// As [`Param::set_int`].
    pub fn set_string(&self, value: &str) -> Result<()> {
        let set = self.host.param.paramSetValue.ok_or_else(|| lacking("setting parameters"))?;
        let text = c_string(value);
        // SAFETY: as above; the host copies the text.
        check(unsafe { set(self.handle, text.as_ptr()) }, || "setting a parameter".into())
    }

    /// Takes its keyframes away, where the host can.
    pub fn delete_keys(&self) {
        if let Some(delete) = self.host.param.paramDeleteAllKeys {
            // SAFETY: a host's function and the handle that it gave.
            unsafe { delete(self.handle) };
        }
    }
}
