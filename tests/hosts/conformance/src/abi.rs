//! The names of the OpenFX C ABI that this host uses, in one place.

pub use openfx::sys::generic::core::*;
pub use openfx::sys::generic::property::*;
pub use openfx::sys::image_effect_v1::image_effect::*;
pub use openfx::sys::image_effect_v1::memory::*;
pub use openfx::sys::image_effect_v1::message::*;
pub use openfx::sys::image_effect_v1::multi_thread::*;
pub use openfx::sys::image_effect_v1::param::*;
pub use openfx::sys::image_effect_v1::progress::*;
pub use openfx::sys::image_effect_v1::time_line::*;

/// A status as the standard writes it, for messages.
pub fn status_name(status: OfxStatus) -> String {
    let name = match status {
        kOfxStatOK => "kOfxStatOK",
        kOfxStatFailed => "kOfxStatFailed",
        kOfxStatErrFatal => "kOfxStatErrFatal",
        kOfxStatErrUnknown => "kOfxStatErrUnknown",
        kOfxStatErrMissingHostFeature => "kOfxStatErrMissingHostFeature",
        kOfxStatErrUnsupported => "kOfxStatErrUnsupported",
        kOfxStatErrExists => "kOfxStatErrExists",
        kOfxStatErrFormat => "kOfxStatErrFormat",
        kOfxStatErrMemory => "kOfxStatErrMemory",
        kOfxStatErrBadHandle => "kOfxStatErrBadHandle",
        kOfxStatErrBadIndex => "kOfxStatErrBadIndex",
        kOfxStatErrValue => "kOfxStatErrValue",
        kOfxStatReplyYes => "kOfxStatReplyYes",
        kOfxStatReplyNo => "kOfxStatReplyNo",
        kOfxStatReplyDefault => "kOfxStatReplyDefault",
        kOfxStatUnlicensed => "kOfxStatUnlicensed",
        kOfxStatErrImageFormat => "kOfxStatErrImageFormat",
        other => return format!("status {other}"),
    };
    name.to_owned()
}

/// Whether an action did, or left to the host, what was asked.
pub fn done(status: OfxStatus) -> bool {
    matches!(status, kOfxStatOK | kOfxStatReplyDefault)
}
