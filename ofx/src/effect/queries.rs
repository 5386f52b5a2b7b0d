//! The actions by which a host asks about a frame before it is rendered: its region, what it needs, whether it is another clip's, its alpha
//! and its colour space. Nothing is rendered or analysed here.

use super::params::PluginParams;
use super::reference::{self, Reference};
use super::values::{Controls, frame_settings};
use super::{REFERENCE, SOURCE, colour};
use crate::host::{Effect, Properties};
use headgan::Result;
use headgan::controls::Settings;
use headgan::controls::choices::View;
use headgan::reenact::window::CROP;
use openfx::sys::generic::core::{OfxStatus, kOfxPropName, kOfxPropTime, kOfxStatOK, kOfxStatReplyDefault};
use openfx::sys::image_effect_v1::image_effect::*;
use std::ffi::{CStr, CString};

/// Frames before the current one that a render reads where Source performs.
const FRAMES_BEFORE: f64 = 2.0;

/// The name of a property of one clip: hosts put the clip's name behind that of the property.
fn clip_property(prefix: &str, clip: &CStr) -> CString {
    crate::host::c_string(&format!("{prefix}{}", clip.to_string_lossy()))
}

/// The time that an action is about.
fn time(args: Properties) -> f64 {
    args.double(kOfxPropTime, 0).unwrap_or(0.0)
}

/// The controls at a time.
fn settings(effect: &Effect, time: f64) -> Result<Settings> {
    Ok(Controls::new(&effect.params()?).at(time)?.resolve(time))
}

/// The plate's region: the reference clip's, or Source's, into which a reference file is fitted; the crop alone is a
/// square.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn region_of_definition(effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let time = time(args);
    let params = PluginParams::read(effect)?;
    let settings = settings(effect, time)?;
    let view = frame_settings(&settings, &params, false, false).view;
    let source = effect.clip(SOURCE).and_then(|clip| clip.region(time));
    let region = match reference::find(effect, &params) {
        _ if !params.enabled => source,
        _ if view == View::Crop => source.map(|[x, y, ..]| [x, y, x + CROP as f64, y + CROP as f64]),
        Ok(Reference::Clip(clip)) => clip.region(reference::clip_time(&clip, &params, settings.reference_frame, time)),
        _ => source,
    };
    let Some(region) = region else { return Ok(kOfxStatReplyDefault) };
    for (i, v) in region.into_iter().enumerate() {
        out.set_double(kOfxImageEffectPropRegionOfDefinition, i, v)?;
    }
    Ok(kOfxStatOK)
}

/// Faces may be anywhere: whole pictures are needed.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn regions_of_interest(effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let time = time(args);
    let params = PluginParams::read(effect)?;
    for name in [SOURCE, REFERENCE] {
        let Some(clip) = effect.clip(name).filter(|clip| clip.is_connected() != Some(false)) else { continue };
        let at = if name == REFERENCE {
            reference::clip_time(&clip, &params, settings(effect, time)?.reference_frame, time)
        } else {
            time
        };
        let Some(region) = clip.region(at) else { continue };
        let property = clip_property("OfxImageClipPropRoI_", name);
        for (i, v) in region.into_iter().enumerate() {
            out.set_double(&property, i, v)?;
        }
    }
    Ok(kOfxStatOK)
}

/// Source up to the present frame, and the reference's; Source's at that time too where both may be one clip.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn frames_needed(effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let time = time(args);
    let params = PluginParams::read(effect)?;
    let set = |name: &CStr, first: f64, last: f64| {
        let property = clip_property("OfxImageClipPropFrameRange_", name);
        out.set_double(&property, 0, first).and_then(|()| out.set_double(&property, 1, last))
    };
    let begin = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).map_or(f64::NEG_INFINITY, |(first, _)| first);
    let before = if params.performance_file.is_empty() { FRAMES_BEFORE } else { 0.0 };
    set(SOURCE, (time - before).max(begin).min(time), time)?;
    if let Some(clip) = effect.clip(REFERENCE).filter(|clip| clip.is_connected() == Some(true)) {
        let at = reference::clip_time(&clip, &params, settings(effect, time)?.reference_frame, time);
        set(REFERENCE, at, at)?;
        // Of a clip that performs itself Source's own picture is compared with the reference.
        if reference::may_be_source(effect, &clip, at) {
            let property = clip_property("OfxImageClipPropFrameRange_", SOURCE);
            out.set_double(&property, 2, at).and_then(|()| out.set_double(&property, 3, at))?;
        }
    }
    Ok(kOfxStatOK)
}

/// The output lasts as long as who performs.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn time_domain(effect: &Effect, out: Properties) -> Result<OfxStatus> {
    let Some((first, last)) = effect.clip(SOURCE).and_then(|clip| clip.frame_range()) else {
        return Ok(kOfxStatReplyDefault);
    };
    out.set_double(kOfxImageEffectPropFrameRange, 0, first)?;
    out.set_double(kOfxImageEffectPropFrameRange, 1, last)?;
    Ok(kOfxStatOK)
}

/// The output's alpha is the plate's; where the host manages colour, the inputs' encoding is what the control says.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn clip_preferences(effect: &Effect, out: Properties) -> Result<OfxStatus> {
    colour::set_preferred(effect, &PluginParams::read(effect)?, out);
    let clip = effect.clip(REFERENCE).filter(|clip| clip.is_connected() == Some(true));
    let alpha = clip.and_then(|clip| clip.properties.string(kOfxImageEffectPropPreMultiplication, 0));
    let Some(alpha) = alpha else { return Ok(kOfxStatReplyDefault) };
    out.offer_string(kOfxImageEffectPropPreMultiplication, &alpha);
    Ok(kOfxStatOK)
}

/// An effect that is switched off shows Source; one whose view does not depend on the motion shows the reference.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn is_identity(effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let time = time(args);
    let params = PluginParams::read(effect)?;
    let answer = |name: &CStr, at: f64| {
        out.set_string(kOfxPropName, 0, &name.to_string_lossy())?;
        out.set_double(kOfxPropTime, 0, at)?;
        Ok(kOfxStatOK)
    };
    if !params.enabled {
        return answer(SOURCE, time);
    }
    let Ok(Reference::Clip(clip)) = reference::find(effect, &params) else { return Ok(kOfxStatReplyDefault) };
    let settings = settings(effect, time)?;
    let at = reference::clip_time(&clip, &params, settings.reference_frame, time);
    // A clip that may perform itself falls back to its own mean pose, not to the reference's: that has to be rendered.
    let itself = reference::may_be_source(effect, &clip, at);
    if frame_settings(&settings, &params, false, itself).is_still() {
        return answer(REFERENCE, at);
    }
    Ok(kOfxStatReplyDefault)
}

/// The output's pixels are the plate's.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn output_colourspace(effect: &Effect, out: Properties) -> Result<OfxStatus> {
    if !colour::is_managed_by(effect.host) {
        return Ok(kOfxStatReplyDefault);
    }
    let params = PluginParams::read(effect)?;
    let reference = params.enabled && matches!(reference::find(effect, &params), Ok(Reference::Clip(_)));
    let clip = if reference { REFERENCE } else { SOURCE };
    out.set_string(colour::COLOURSPACE, 0, &format!("OfxColourspace_{}", clip.to_string_lossy()))?;
    Ok(kOfxStatOK)
}
