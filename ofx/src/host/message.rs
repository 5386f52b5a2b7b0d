//! Messages to the user: lasting ones on the effect where a host has them (version 2 of the suite), else passing ones.
//! What they say is up to the effect.

use super::effect::Effect;
use super::suites::c_string;
use openfx::sys::image_effect_v1::message::{kOfxMessageError, kOfxMessageMessage, kOfxMessageWarning};
use std::ffi::{CStr, c_void};

/// How grave it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    Message,
    Warning,
    Error,
}

impl MessageType {
    fn name(self) -> &'static CStr {
        match self {
            MessageType::Message => kOfxMessageMessage,
            MessageType::Warning => kOfxMessageWarning,
            MessageType::Error => kOfxMessageError,
        }
    }
}

impl Effect<'_> {
    /// Shows a text until [`Effect::clear_persistent_message`]; true where the host can.
    pub fn persistent_message(&self, kind: MessageType, text: &str) -> bool {
        let Some(show) = self.host.message2.and_then(|s| s.setPersistentMessage) else { return false };
        let text = c_string(text);
        // SAFETY: a host's function; the text is an argument of a format, so that a % in it means nothing.
        unsafe {
            show(self.handle.cast::<c_void>(), kind.name().as_ptr(), c"headgan".as_ptr(), c"%s".as_ptr(), text.as_ptr())
        };
        true
    }

    /// Takes a lasting message away.
    pub fn clear_persistent_message(&self) {
        if let Some(clear) = self.host.message2.and_then(|s| s.clearPersistentMessage) {
            // SAFETY: a host's function and the handle that it gave.
            unsafe { clear(self.handle.cast::<c_void>()) };
        }
    }

    /// Tells the user something once.
    pub fn message(&self, kind: MessageType, text: &str) {
        let show = self.host.message2.and_then(|s| s.message).or(self.host.message.and_then(|s| s.message));
        if let Some(show) = show {
            let text = c_string(text);
            // SAFETY: as for lasting messages.
            unsafe {
                show(
                    self.handle.cast::<c_void>(),
                    kind.name().as_ptr(),
                    c"headgan".as_ptr(),
                    c"%s".as_ptr(),
                    text.as_ptr(),
                )
            };
        }
    }
}
