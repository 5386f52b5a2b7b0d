//! The main entry: sends actions to the effect, and lets neither a panic nor an error of Rust across. Each becomes a
//! status, with a message that the user sees. `effect` implements the actions.

use crate::effect;
use crate::host::cuda::{self, Stream};
use crate::host::message::MessageType;
use crate::host::{Effect, Host, Properties};
use headgan::{Error, Result};
use openfx::sys::generic::core::*;
use openfx::sys::image_effect_v1::image_effect::*;
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// The host as it introduced itself.
struct Offered(OfxHost);

// SAFETY: a handle that is only handed back to the host, and a function that any thread may call.
unsafe impl Send for Offered {}

static OFFERED: Mutex<Option<Offered>> = Mutex::new(None);
static HOST: RwLock<Option<Arc<Host>>> = RwLock::new(None);

/// Notes who the host is. It may call this again.
pub fn set_host(host: *const OfxHost) -> OfxStatus {
    // SAFETY: null, or a host's own structure, which is there for the time of the call.
    match unsafe { host.as_ref() } {
        Some(host) => {
            *OFFERED.lock() = Some(Offered(*host));
            kOfxStatOK
        }
        None => kOfxStatFailed,
    }
}

/// What a host calls.
pub fn main_entry(
    action: *const c_char,
    handle: *const c_void,
    in_args: OfxPropertySetHandle,
    out_args: OfxPropertySetHandle,
) -> OfxStatus {
    if action.is_null() {
        return kOfxStatErrBadHandle;
    }
    // SAFETY: a host's text, there for the time of the call.
    let action = unsafe { CStr::from_ptr(action) };
    let caught = catch_unwind(AssertUnwindSafe(|| match action {
        a if a == kOfxActionLoad => Ok(load()),
        a if a == kOfxActionUnload => Ok(unload()),
        _ => {
            let host = HOST.read().clone();
            let Some(host) = host else { return Ok(kOfxStatErrMissingHostFeature) };
            let effect = Effect::new(&host, handle.cast_mut().cast());
            let (args, out) = (Properties::new(&host, in_args), Properties::new(&host, out_args));
            plant(action);
            dispatch(action, &effect, args, out)
        }
    }));
    let error = match caught {
        Ok(Ok(status)) => return status,
        Ok(Err(error)) => error,
        Err(panic) => {
            let text = format!("internal error in {}: {}", action.to_string_lossy(), panic_text(&*panic));
            Error::engine(format!("{text}: save the project and report this"))
        }
    };
    // A message may fail as well; then the status alone tells.
    let _ = catch_unwind(AssertUnwindSafe(|| report(action, handle, &error)));
    match error {
        Error::Engine(_) if on_cuda(action, in_args) => cuda::RENDER_FAILED,
        _ => kOfxStatFailed,
    }
}

/// Whether a frame is rendered from pictures in a CUDA device's memory.
fn on_cuda(action: &CStr, in_args: OfxPropertySetHandle) -> bool {
    let host = HOST.read().clone();
    action == kOfxImageEffectActionRender
        && host.is_some_and(|h| Stream::from_args(Properties::new(&h, in_args)).is_some())
}

fn load() -> OfxStatus {
    let offered = OFFERED.lock();
    let Some(offered) = offered.as_ref() else { return kOfxStatErrMissingHostFeature };
    // SAFETY: the host has introduced itself with it.
    match unsafe { Host::new(&offered.0) } {
        Some(host) => {
            *HOST.write() = Some(Arc::new(host));
            kOfxStatOK
        }
        None => kOfxStatErrMissingHostFeature,
    }
}

fn unload() -> OfxStatus {
    *HOST.write() = None;
    effect::shared::unload();
    kOfxStatOK
}

fn dispatch(action: &CStr, effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let done = |result: Result<()>| result.map(|()| kOfxStatOK);
    match action {
        a if a == kOfxActionDescribe => done(effect::describe::describe(effect)),
        a if a == kOfxImageEffectActionDescribeInContext => done(effect::describe::describe_in_context(effect)),
        // Handled, with nothing to do: without an answer Resolve shows no controls. An instance holds nothing, so that
        // a host may destroy it twice, and make one for every frame.
        a if a == kOfxActionCreateInstance => Ok(kOfxStatOK),
        a if a == kOfxActionDestroyInstance => {
            effect::shared::forget_message(effect.id());
            Ok(kOfxStatOK)
        }
        a if a == kOfxActionPurgeCaches => {
            effect::shared::purge();
            Ok(kOfxStatOK)
        }
        // All that lasts stands in parameters.
        a if a == kOfxActionSyncPrivateData => Ok(kOfxStatOK),
        a if a == kOfxActionBeginInstanceEdit => done(effect::status::refresh(effect, true)),
        a if a == kOfxActionEndInstanceEdit => Ok(kOfxStatOK),
        a if a == kOfxActionInstanceChanged => done(effect::changed::instance_changed(effect, args)),
        a if a == kOfxImageEffectActionGetRegionOfDefinition => {
            effect::queries::region_of_definition(effect, args, out)
        }
        a if a == kOfxImageEffectActionGetRegionsOfInterest => effect::queries::regions_of_interest(effect, args, out),
        a if a == kOfxImageEffectActionGetFramesNeeded => effect::queries::frames_needed(effect, args, out),
        a if a == kOfxImageEffectActionGetTimeDomain => effect::queries::time_domain(effect, out),
        a if a == kOfxImageEffectActionGetClipPreferences => effect::queries::clip_preferences(effect, out),
        a if a == kOfxImageEffectActionIsIdentity => effect::queries::is_identity(effect, args, out),
        a if a == effect::colour::GET_OUTPUT_COLOURSPACE => effect::queries::output_colourspace(effect, out),
        // Nothing depends on the order of frames.
        a if a == kOfxImageEffectActionBeginSequenceRender => Ok(kOfxStatOK),
        a if a == kOfxImageEffectActionEndSequenceRender => Ok(kOfxStatOK),
        a if a == kOfxImageEffectActionRender => done(effect::render::render(effect, args)),
        _ => Ok(kOfxStatReplyDefault),
    }
}

/// Shows an error to the user. An interrupted render shows none.
fn report(action: &CStr, handle: *const c_void, error: &Error) {
    let host = HOST.read().clone();
    let (Some(host), false) = (host, handle.is_null()) else { return };
    if matches!(error, Error::Interrupted) {
        return;
    }
    let effect = Effect::new(&host, handle.cast_mut().cast());
    let text = format!("{}: {}", effect::LABEL, effect::advice::message_with_advice(error));
    if action == kOfxImageEffectActionRender && effect.persistent_message(MessageType::Error, &text) {
        effect::shared::note_message(effect.id(), &text);
    } else {
        effect.message(MessageType::Error, &text);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|t| (*t).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".into());
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// For the tests: a panic in the action that `$HEADGAN_PANIC_IN` names.
#[cfg(feature = "planted")]
fn plant(action: &CStr) {
    if std::env::var("HEADGAN_PANIC_IN").is_ok_and(|name| name.as_bytes() == action.to_bytes()) {
        panic!("planted");
    }
}

#[cfg(not(feature = "planted"))]
fn plant(_: &CStr) {}
