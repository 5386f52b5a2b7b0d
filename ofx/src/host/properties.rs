//! Typed properties. What a host does not know is `None`; a text is copied at once, for it is valid only until the next
//! call. Names of properties stand where they are used.

use super::suites::{Host, c_string, check, lacking};
use headgan::Result;
use openfx::sys::generic::core::{OfxPropertySetHandle, kOfxStatOK};
use openfx::sys::image_effect_v1::image_effect::kOfxImageEffectHostPropIsBackground;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;

/// A set of properties.
#[derive(Clone, Copy)]
pub struct Properties<'a> {
    host: &'a Host,
    handle: OfxPropertySetHandle,
}

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $function:ident, $type:ty, $empty:expr) => {
        $(#[$doc])*
        pub fn $name(&self, property: &CStr, index: usize) -> Option<$type> {
            let get = self.host.property.$function?;
            let mut value = $empty;
            if self.handle.is_null() {
                return None;
            }
            // SAFETY: a host's function; the set is alive during its action, `value` is of the type that it writes.
            let status = unsafe { get(self.handle, property.as_ptr(), index as i32, &mut value) };
            (status == kOfxStatOK).then_some(value)
        }
    };
}

macro_rules! setter {
    ($(#[$doc:meta])* $name:ident, $function:ident, $type:ty) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// `Engine` where the host refuses it.
        pub fn $name(&self, property: &CStr, index: usize, value: $type) -> Result<()> {
            let what = || format!("the property {}", property.to_string_lossy());
            let set = self.host.property.$function.ok_or_else(|| lacking(&what()))?;
            if self.handle.is_null() {
                return Err(lacking(&what()));
            }
            // SAFETY: a host's function; the set is alive during its action.
            check(unsafe { set(self.handle, property.as_ptr(), index as i32, value) }, what)
        }
    };
}

impl<'a> Properties<'a> {
    /// Null is a set without properties.
    pub fn new(host: &'a Host, handle: OfxPropertySetHandle) -> Properties<'a> {
        Properties { host, handle }
    }

    getter!(int, propGetInt, i32, 0);
    getter!(double, propGetDouble, f64, 0.0);
    getter!(
        /// May be null.
        pointer, propGetPointer, *mut c_void, null_mut()
    );

    /// A text.
    pub fn string(&self, property: &CStr, index: usize) -> Option<String> {
        let get = self.host.property.propGetString?;
        let mut value = null_mut();
        if self.handle.is_null() {
            return None;
        }
        // SAFETY: a host's function; the set is alive during its action.
        let status = unsafe { get(self.handle, property.as_ptr(), index as i32, &mut value) };
        if status != kOfxStatOK || value.is_null() {
            return None;
        }
        // SAFETY: a text that is valid until the next call.
        Some(unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned())
    }

    /// Several numbers; `None` unless all are there.
    pub fn ints<const N: usize>(&self, property: &CStr) -> Option<[i32; N]> {
        let mut out = [0; N];
        for (i, v) in out.iter_mut().enumerate() {
            *v = self.int(property, i)?;
        }
        Some(out)
    }

    /// Several numbers; `None` unless all are there.
    pub fn doubles<const N: usize>(&self, property: &CStr) -> Option<[f64; N]> {
        let mut out = [0.0; N];
        for (i, v) in out.iter_mut().enumerate() {
            *v = self.double(property, i)?;
        }
        Some(out)
    }

    setter!(set_int, propSetInt, i32);
    setter!(set_double, propSetDouble, f64);

    /// # Errors
    /// `Engine` where the host refuses it.
    pub fn set_string(&self, property: &CStr, index: usize, value: &str) -> Result<()> {
        let what = || format!("the property {}", property.to_string_lossy());
        let set = self.host.property.propSetString.ok_or_else(|| lacking(&what()))?;
        if self.handle.is_null() {
            return Err(lacking(&what()));
        }
        let text = c_string(value);
        // SAFETY: a host's function, which copies the text.
        check(unsafe { set(self.handle, property.as_ptr(), index as i32, text.as_ptr()) }, what)
    }

    /// Sets what hosts need not know.
    pub fn offer_int(&self, property: &CStr, value: i32) {
        let _ = self.set_int(property, 0, value);
    }

    /// Sets what hosts need not know.
    pub fn offer_string(&self, property: &CStr, value: &str) {
        let _ = self.set_string(property, 0, value);
    }
}

impl Host {
    /// The host's own properties.
    pub fn properties(&self) -> Properties<'_> {
        Properties::new(self, self.handle)
    }

    /// Whether it renders without anybody watching.
    pub fn is_background(&self) -> bool {
        self.properties().int(kOfxImageEffectHostPropIsBackground, 0) == Some(1)
    }
}
