//! The timeline's bounds, for hosts whose clips do not tell their range. The present time comes with each action.

use super::effect::Effect;
use openfx::sys::generic::core::kOfxStatOK;

impl Effect<'_> {
    /// First and last frame of the timeline, where the host says.
    pub fn timeline(&self) -> Option<(f64, f64)> {
        let get = self.host.timeline.and_then(|s| s.getTimeBounds)?;
        let (mut first, mut last) = (0.0, 0.0);
        // SAFETY: a host's function and the handle that it gave.
        let status = unsafe { get(self.handle.cast(), &mut first, &mut last) };
        (status == kOfxStatOK && first.is_finite() && last.is_finite() && first <= last).then_some((first, last))
    }
}
