//! Ctrl-C: one cancel token for the whole program, so that files are closed and temporary ones removed on the way out.

use headgan::{CancelToken, Error, Result};
use std::sync::LazyLock;

static TOKEN: LazyLock<CancelToken> = LazyLock::new(CancelToken::new);

/// Cancels the program's token when the user presses Ctrl-C (on Unix also on SIGTERM and SIGHUP, which render farms send). Call once,
/// from `main`.
///
/// # Errors
/// [`Error::Engine`] where the system refuses the handler or one is installed already.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| TOKEN.cancel())
        .map_err(|e| Error::engine(format!("cannot watch for Ctrl-C: {e}")).with_source(e))
}

/// What the library is given.
pub fn token() -> &'static CancelToken {
    &TOKEN
}

/// [`Error::Interrupted`] once the user wants the program to stop.
///
/// # Errors
/// [`Error::Interrupted`].
pub fn check() -> Result<()> {
    TOKEN.check()
}
