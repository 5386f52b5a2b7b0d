//! Ctrl-C: a process-wide flag that long loops look at, so that files are closed and temporary ones
//! removed on the way out. Only the command line installs the handler; inside a host the flag stays
//! down.

use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Sets the flag when the user presses Ctrl-C (on Unix also on SIGTERM and SIGHUP, which render farms
/// send). Call once, from the program's `main`.
///
/// # Errors
/// [`Error::Engine`] where the system refuses the handler or one is installed already.
#[cfg(feature = "cli")]
pub fn install() -> Result<()> {
    ctrlc::set_handler(request).map_err(|e| Error::Engine(format!("cannot watch for Ctrl-C: {e}")))
}

/// Raises the flag, as Ctrl-C does.
pub fn request() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Lowers the flag again.
pub fn reset() {
    INTERRUPTED.store(false, Ordering::SeqCst);
}

/// [`Error::Interrupted`] once the flag is up.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
