//! Messages to the user: lasting ones on the effect where a host has them (version 2 of the suite), else passing ones.

use super::{Effect, c_string};
use openfx::sys::image_effect_v1::message::{kOfxMessageError, kOfxMessageMessage, kOfxMessageWarning};
use std::ffi::{CStr, c_void};

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gravity {
    Note,
    Warning,
    Error,
}

impl Gravity {
    fn name(self) -> &'static CStr {
        match self {
            Gravity::Note => kOfxMessageMessage,
            Gravity::Warning => kOfxMessageWarning,
            Gravity::Error => kOfxMessageError,
        }
    }
}

impl Effect<'_> {
    /// Shows a text until [`Effect::clear_message`]; true where the host can.
    pub fn lasting_message(&self, gravity: Gravity, text: &str) -> bool {
        let Some(show) = self.host.message2.and_then(|s| s.setPersistentMessage) else { return false };
        let text = c_string(text);
        // SAFETY: a host's function; the text is an argument of a format, so that a % in it means nothing.
        unsafe {
            show(
                self.handle.cast::<c_void>(),
                gravity.name().as_ptr(),
                c"headgan".as_ptr(),
                c"%s".as_ptr(),
                text.as_ptr(),
            )
        };
        true
    }

    /// Takes a lasting message away.
    pub fn clear_message(&self) {
        if let Some(clear) = self.host.message2.and_then(|s| s.clearPersistentMessage) {
            // SAFETY: a host's function and the handle that it gave.
            unsafe { clear(self.handle.cast::<c_void>()) };
        }
    }

    /// Tells the user something once.
    pub fn message(&self, gravity: Gravity, text: &str) {
        let show = self.host.message2.and_then(|s| s.message).or(self.host.message.and_then(|s| s.message));
        if let Some(show) = show {
            let text = c_string(text);
            // SAFETY: as for lasting messages.
            unsafe {
                show(
                    self.handle.cast::<c_void>(),
                    gravity.name().as_ptr(),
                    c"headgan".as_ptr(),
                    c"%s".as_ptr(),
                    text.as_ptr(),
                )
            };
        }
    }
}
