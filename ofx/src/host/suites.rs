//! The suites that a host offers, fetched once when the plugin is loaded, and the meaning of their answers. Each suite is used in
//! the file of its own subject.

use headgan::{Error, Result};
use openfx::sys::generic::core::{OfxHost, OfxPropertySetHandle, OfxStatus, kOfxStatOK};
use openfx::sys::generic::property::{OfxPropertySuiteV1, kOfxPropertySuite};
use openfx::sys::image_effect_v1::image_effect::{OfxImageEffectSuiteV1, kOfxImageEffectSuite};
use openfx::sys::image_effect_v1::message::{OfxMessageSuiteV1, OfxMessageSuiteV2, kOfxMessageSuite};
use openfx::sys::image_effect_v1::multi_thread::{OfxMultiThreadSuiteV1, kOfxMultiThreadSuite};
use openfx::sys::image_effect_v1::param::{OfxParameterSuiteV1, kOfxParameterSuite};
use openfx::sys::image_effect_v1::progress::{OfxProgressSuiteV1, OfxProgressSuiteV2, kOfxProgressSuite};
use openfx::sys::image_effect_v1::time_line::{OfxTimeLineSuiteV1, kOfxTimeLineSuite};
use std::ffi::CStr;

/// A host and its suites.
pub struct Host {
    pub(super) handle: OfxPropertySetHandle,
    pub(super) property: &'static OfxPropertySuiteV1,
    pub(super) effect: &'static OfxImageEffectSuiteV1,
    pub(super) param: &'static OfxParameterSuiteV1,
    pub(super) message: Option<&'static OfxMessageSuiteV1>,
    pub(super) message2: Option<&'static OfxMessageSuiteV2>,
    pub(super) progress: Option<&'static OfxProgressSuiteV1>,
    pub(super) progress2: Option<&'static OfxProgressSuiteV2>,
    pub(super) timeline: Option<&'static OfxTimeLineSuiteV1>,
    pub(super) threads: Option<&'static OfxMultiThreadSuiteV1>,
}

// SAFETY: suites are tables of functions that a host lets all threads call; its handle is only handed back to it.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

impl Host {
    /// Fetches the suites; `None` where a host lacks one without which nothing works.
    ///
    /// # Safety
    /// `offered` must be a host as OpenFX defines it, whose suites stay where they are for as long as the plugin is
    /// loaded.
    pub unsafe fn new(offered: &OfxHost) -> Option<Host> {
        // SAFETY: the name and version say which table it is.
        let property = unsafe { suite::<OfxPropertySuiteV1>(offered, kOfxPropertySuite, 1) }?;
        // SAFETY: as above, for all of them.
        let effect = unsafe { suite::<OfxImageEffectSuiteV1>(offered, kOfxImageEffectSuite, 1) }?;
        // SAFETY: as above.
        let param = unsafe { suite::<OfxParameterSuiteV1>(offered, kOfxParameterSuite, 1) }?;
        // SAFETY: as above.
        unsafe {
            Some(Host {
                handle: offered.host,
                property,
                effect,
                param,
                message: suite(offered, kOfxMessageSuite, 1),
                message2: suite(offered, kOfxMessageSuite, 2),
                progress: suite(offered, kOfxProgressSuite, 1),
                progress2: suite(offered, kOfxProgressSuite, 2),
                timeline: suite(offered, kOfxTimeLineSuite, 1),
                threads: suite(offered, kOfxMultiThreadSuite, 1),
            })
        }
    }
}

/// # Safety
/// `T` must be the table that the suite's name and version stand for.
unsafe fn suite<T>(host: &OfxHost, name: &CStr, version: i32) -> Option<&'static T> {
    let fetch = host.fetchSuite?;
    // SAFETY: a host's function, called as defined.
    let table = unsafe { fetch(host.host, name.as_ptr(), version) };
    // SAFETY: null or such a table, which stays.
    unsafe { table.cast::<T>().as_ref() }
}

/// Fails unless a host answers that all is well; `what` says what was asked of it.
pub(crate) fn check(status: OfxStatus, what: impl FnOnce() -> String) -> Result<()> {
    if status == kOfxStatOK { Ok(()) } else { Err(refused(&what(), status)) }
}

/// A host's refusal.
pub(crate) fn refused(what: &str, status: OfxStatus) -> Error {
    Error::engine(format!("the host refuses {what} (status {status}): update the host, or report this"))
}

/// A function that a suite lacks.
pub(crate) fn lacking(what: &str) -> Error {
    Error::engine(format!("the host does not offer {what}: update the host"))
}

/// Names and texts for a host; what follows a zero byte is cut off.
pub(crate) fn c_string(text: &str) -> std::ffi::CString {
    let end = text.find('\0').unwrap_or(text.len());
    std::ffi::CString::new(&text[..end]).unwrap_or_default()
}
