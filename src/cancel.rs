//! The one way to stop work that takes long: a token that is passed in and asked again and again.

use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether work shall stop. Clones share it: one that is cancelled cancels all, for good.
///
/// The default token is never cancelled and costs nothing. Whoever takes a token returns [`Error::Interrupted`] soon after it is
/// cancelled, and leaves nothing half-written.
///
/// ```
/// use headgan::CancelToken;
/// let token = CancelToken::new();
/// let elsewhere = token.clone();
/// std::thread::spawn(move || elsewhere.cancel()).join().unwrap();
/// assert!(token.check().is_err());
/// ```
#[derive(Clone, Default)]
pub struct CancelToken(Option<Arc<Shared>>);

struct Shared {
    cancelled: AtomicBool,
    /// Asked besides.
    poll: Option<Box<dyn Fn() -> bool + Send + Sync>>,
}

impl CancelToken {
    /// A token that [`CancelToken::cancel`] cancels.
    pub fn new() -> CancelToken {
        CancelToken(Some(Arc::new(Shared { cancelled: AtomicBool::new(false), poll: None })))
    }

    /// A token that is also cancelled once `stop` says so. It is asked by whoever works, often: it must be fast.
    pub fn polling(stop: impl Fn() -> bool + Send + Sync + 'static) -> CancelToken {
        CancelToken(Some(Arc::new(Shared { cancelled: AtomicBool::new(false), poll: Some(Box::new(stop)) })))
    }

    /// Cancels all clones. Does nothing to a default token.
    pub fn cancel(&self) {
        if let Some(shared) = &self.0 {
            shared.cancelled.store(true, Ordering::SeqCst);
        }
    }

    /// Whether work shall stop.
    pub fn is_cancelled(&self) -> bool {
        let Some(shared) = &self.0 else { return false };
        if shared.cancelled.load(Ordering::Relaxed) {
            return true;
        }
        let stop = shared.poll.as_ref().is_some_and(|poll| poll());
        if stop {
            // Once is enough: a host that has aborted may forget it.
            shared.cancelled.store(true, Ordering::SeqCst);
        }
        stop
    }

    /// [`Error::Interrupted`] once the token is cancelled.
    ///
    /// # Errors
    /// [`Error::Interrupted`].
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.as_ref().map(|shared| shared.cancelled.load(Ordering::Relaxed));
        f.debug_tuple("CancelToken").field(&state).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_are_cancelled_together_and_for_good() {
        let (token, never) = (CancelToken::new(), CancelToken::default());
        let clone = token.clone();
        assert!(token.check().is_ok());
        clone.cancel();
        never.cancel();
        assert!(matches!(token.check(), Err(Error::Interrupted)) && never.check().is_ok());
    }

    #[test]
    fn what_is_polled_need_say_it_once() {
        let asked = Arc::new(AtomicBool::new(false));
        let poll = asked.clone();
        let token = CancelToken::polling(move || poll.swap(false, Ordering::SeqCst));
        assert!(!token.is_cancelled());
        asked.store(true, Ordering::SeqCst);
        assert!(token.is_cancelled() && token.is_cancelled());
    }
}
