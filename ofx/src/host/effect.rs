//! An effect (its descriptor or an instance) and its clips, for the time of one action. `image.rs`
//! reads a clip's image.

use super::cuda::Stream;
use super::image::Image;
use super::params::Params;
use super::properties::Properties;
use super::suites::{Host, check, lacking};
use headgan::{CancelToken, Result};
use openfx::sys::generic::core::{OfxRectD, kOfxStatOK};
use openfx::sys::image_effect_v1::image_effect::{
    OfxImageClipHandle, OfxImageEffectHandle, kOfxImageClipPropConnected, kOfxImageEffectPropFrameRange,
    kOfxImageEffectPropFrameRate,
};
use std::ffi::{CStr, c_int};
use std::ptr::null_mut;

/// A host's question whether to stop.
struct Abort {
    ask: unsafe extern "C" fn(OfxImageEffectHandle) -> c_int,
    handle: OfxImageEffectHandle,
}

// SAFETY: hosts take this question from any thread that renders, and the handle lives as long as the action, which the token does
// not outlive ([`Effect::cancel_token`]).
unsafe impl Send for Abort {}
// SAFETY: as above.
unsafe impl Sync for Abort {}

impl Abort {
    fn asked(&self) -> bool {
        // SAFETY: a host's function and the handle that it gave.
        unsafe { (self.ask)(self.handle) != 0 }
    }
}

/// An effect.
#[derive(Clone, Copy)]
pub struct Effect<'a> {
    pub host: &'a Host,
    pub(super) handle: OfxImageEffectHandle,
    /// Where the action's pictures lie in a CUDA device's memory, the stream for them.
    cuda: Option<Stream>,
}

impl<'a> Effect<'a> {
    /// The handle must be the one that the action came with.
    pub fn new(host: &'a Host, handle: OfxImageEffectHandle) -> Effect<'a> {
        Effect { host, handle, cuda: None }
    }

    /// The same where the action's pictures may lie in a CUDA device's memory.
    pub fn with_cuda_stream(self, args: Properties) -> Effect<'a> {
        Effect { cuda: Stream::from_args(args), ..self }
    }

    /// A number that tells instances apart.
    pub fn id(&self) -> usize {
        self.handle as usize
    }

    /// # Errors
    /// `Engine` where the host does not know the effect.
    pub fn properties(&self) -> Result<Properties<'a>> {
        let get = self.host.effect.getPropertySet.ok_or_else(|| lacking("an effect's properties"))?;
        let mut set = null_mut();
        // SAFETY: a host's function and the handle that it gave.
        check(unsafe { get(self.handle, &mut set) }, || "an effect's properties".into())?;
        Ok(Properties::new(self.host, set))
    }

    /// # Errors
    /// As [`Effect::properties`].
    pub fn params(&self) -> Result<Params<'a>> {
        let get = self.host.effect.getParamSet.ok_or_else(|| lacking("an effect's parameters"))?;
        let mut set = null_mut();
        // SAFETY: a host's function and the handle that it gave.
        check(unsafe { get(self.handle, &mut set) }, || "an effect's parameters".into())?;
        Ok(Params::new(self.host, set))
    }

    /// Declares a clip.
    ///
    /// # Errors
    /// `Engine` where the host refuses it.
    pub fn define_clip(&self, name: &CStr) -> Result<Properties<'a>> {
        let what = || format!("the clip {}", name.to_string_lossy());
        let define = self.host.effect.clipDefine.ok_or_else(|| lacking(&what()))?;
        let mut set = null_mut();
        // SAFETY: a host's function and the handle that it gave.
        check(unsafe { define(self.handle, name.as_ptr(), &mut set) }, what)?;
        Ok(Properties::new(self.host, set))
    }

    /// A clip of an instance; `None` where the host has not made it.
    pub fn clip(&self, name: &CStr) -> Option<Clip<'a>> {
        let get = self.host.effect.clipGetHandle?;
        let (mut handle, mut set) = (null_mut(), null_mut());
        // SAFETY: a host's function and the handle that it gave.
        let status = unsafe { get(self.handle, name.as_ptr(), &mut handle, &mut set) };
        let found = status == kOfxStatOK && !handle.is_null();
        let properties = Properties::new(self.host, set);
        found.then_some(Clip { host: self.host, handle, cuda: self.cuda, properties })
    }

    /// Frames a second of what the instance puts out, where the host says.
    pub fn frame_rate(&self) -> Option<f64> {
        frame_rate(&self.properties().ok()?)
    }

    /// Whether the host wants the rendering to stop.
    pub fn is_aborted(&self) -> bool {
        // SAFETY: a host's function and the handle that it gave.
        self.host.effect.abort.is_some_and(|abort| unsafe { abort(self.handle) } != 0)
    }

    /// A token that is cancelled once the host wants the rendering to stop. Neither it nor a clone may outlive the action.
    pub fn cancel_token(&self) -> CancelToken {
        let Some(ask) = self.host.effect.abort else { return CancelToken::default() };
        let abort = Abort { ask, handle: self.handle };
        CancelToken::polling(move || abort.asked())
    }

    /// # Errors
    /// `Interrupted` once the host wants the rendering to stop.
    pub fn check_abort(&self) -> Result<()> {
        if self.is_aborted() { Err(headgan::Error::Interrupted) } else { Ok(()) }
    }
}

fn frame_rate(properties: &Properties) -> Option<f64> {
    properties.double(kOfxImageEffectPropFrameRate, 0).filter(|rate| rate.is_finite() && *rate > 0.0)
}

/// A clip of an instance.
#[derive(Clone, Copy)]
pub struct Clip<'a> {
    host: &'a Host,
    handle: OfxImageClipHandle,
    cuda: Option<Stream>,
    pub properties: Properties<'a>,
}

impl<'a> Clip<'a> {
    /// Whether something feeds it; `None` where the host does not say.
    pub fn is_connected(&self) -> Option<bool> {
        self.properties.int(kOfxImageClipPropConnected, 0).map(|v| v != 0)
    }

    /// First and last frame, where the host says.
    pub fn frame_range(&self) -> Option<(f64, f64)> {
        let [first, last] = self.properties.doubles(kOfxImageEffectPropFrameRange)?;
        (first.is_finite() && last.is_finite() && first <= last).then_some((first, last))
    }

    /// Frames a second, where the host says.
    pub fn frame_rate(&self) -> Option<f64> {
        frame_rate(&self.properties)
    }

    /// What it shows at a time, in canonical coordinates; `None` where the host does not say or it is empty.
    pub fn region(&self, time: f64) -> Option<[f64; 4]> {
        let get = self.host.effect.clipGetRegionOfDefinition?;
        let mut r = OfxRectD { x1: 0.0, y1: 0.0, x2: 0.0, y2: 0.0 };
        // SAFETY: a host's function and the handle that it gave.
        let status = unsafe { get(self.handle, time, &mut r) };
        (status == kOfxStatOK && r.x2 > r.x1 && r.y2 > r.y1).then_some([r.x1, r.y1, r.x2, r.y2])
    }

    /// Its whole picture at a time; `None` where nothing feeds it.
    ///
    /// # Errors
    /// As [`Image::new`].
    pub fn image(&self, time: f64) -> Result<Option<Image<'a>>> {
        if self.is_connected() == Some(false) {
            return Ok(None);
        }
        let get = self.host.effect.clipGetImage.ok_or_else(|| lacking("images"))?;
        let mut handle = null_mut();
        // SAFETY: a host's function and the handle that it gave; no region means the whole picture.
        let status = unsafe { get(self.handle, time, std::ptr::null(), &mut handle) };
        if status != kOfxStatOK || handle.is_null() {
            return Ok(None);
        }
        Image::new(self.host, handle, self.cuda)
    }
}
