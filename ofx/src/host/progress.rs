//! A host's progress bar, where it has one. What progresses is up to the effect.

use super::effect::Effect;
use super::suites::c_string;
use openfx::sys::generic::core::kOfxStatReplyNo;
use std::ffi::c_void;

/// A bar; it goes when this goes.
pub struct Progress<'a> {
    effect: Effect<'a>,
}

impl<'a> Progress<'a> {
    pub fn start(effect: Effect<'a>, label: &str) -> Progress<'a> {
        let label = c_string(label);
        let handle = effect.handle.cast::<c_void>();
        if let Some(start) = effect.host.progress2.and_then(|s| s.progressStart) {
            // SAFETY: a host's function and the handle that it gave.
            unsafe { start(handle, label.as_ptr(), c"headgan".as_ptr()) };
        } else if let Some(start) = effect.host.progress.and_then(|s| s.progressStart) {
            // SAFETY: as above.
            unsafe { start(handle, label.as_ptr()) };
        }
        Progress { effect }
    }

    /// Shows a share, 0..1; false once the user wants to stop.
    pub fn show(&self, share: f64) -> bool {
        let host = self.effect.host;
        let update = host.progress2.and_then(|s| s.progressUpdate).or(host.progress.and_then(|s| s.progressUpdate));
        // SAFETY: as above.
        update.is_none_or(|update| unsafe { update(self.effect.handle.cast(), share) } != kOfxStatReplyNo)
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        let host = self.effect.host;
        let end = host.progress2.and_then(|s| s.progressEnd).or(host.progress.and_then(|s| s.progressEnd));
        if let Some(end) = end {
            // SAFETY: as above.
            unsafe { end(self.effect.handle.cast()) };
        }
    }
}
