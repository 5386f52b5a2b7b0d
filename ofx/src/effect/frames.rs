//! What the effect tells a host of a frame before it is rendered: its region, what it needs, whether it is another
//! clip's.

use super::own::Own;
use super::reference::{self, Reference};
use super::render::look;
use super::values::Controls;
use super::{REFERENCE, SOURCE, colour};
use crate::host::{Effect, Properties};
use headgan::Result;
use headgan::controls::choices::View;
use headgan::reenact::window::CROP;
use openfx::sys::generic::core::{OfxStatus, kOfxPropName, kOfxPropTime, kOfxStatOK, kOfxStatReplyDefault};
use openfx::sys::image_effect_v1::image_effect::*;
use std::ffi::{CStr, CString};

/// Frames before the present one that are looked at.
const BEFORE: f64 = 2.0;

/// The name of a property of one clip: hosts put the clip's name behind that of the property.
fn of_clip(prefix: &str, clip: &CStr) -> CString {
    crate::host::c_string(&format!("{prefix}{}", clip.to_string_lossy()))
}

fn time(args: Properties) -> f64 {
    args.double(kOfxPropTime, 0).unwrap_or(0.0)
}

fn reference_frame(effect: &Effect, time: f64) -> Result<usize> {
    Ok(Controls::of(&effect.params()?).at(time)?.resolve(time).reference_frame)
}

/// The plate's region: the reference clip's, or Source's, into which a reference file is fitted; the crop alone is a
/// square.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn region_of_definition(effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let time = time(args);
    let own = Own::of(effect)?;
    let view = look(&Controls::of(&effect.params()?), &own, time, false, false)?.view;
    let source = effect.clip(SOURCE).and_then(|clip| clip.region(time));
    let region = match reference::find(effect, &own) {
        _ if !own.enabled => source,
        _ if view == View::Crop => source.map(|[x, y, ..]| [x, y, x + CROP as f64, y + CROP as f64]),
        Ok(Reference::Clip(clip)) => {
            clip.region(reference::clip_time(&clip, &own, reference_frame(effect, time)?, time))
        }
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
    let own = Own::of(effect)?;
    for name in [SOURCE, REFERENCE] {
        let Some(clip) = effect.clip(name).filter(|clip| clip.is_connected() != Some(false)) else { continue };
        let at = if name == REFERENCE {
            reference::clip_time(&clip, &own, reference_frame(effect, time)?, time)
        } else {
            time
        };
        let Some(region) = clip.region(at) else { continue };
        let property = of_clip("OfxImageClipPropRoI_", name);
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
    let own = Own::of(effect)?;
    let set = |name: &CStr, first: f64, last: f64| {
        let property = of_clip("OfxImageClipPropFrameRange_", name);
        out.set_double(&property, 0, first).and_then(|()| out.set_double(&property, 1, last))
    };
    let begin = effect.clip(SOURCE).and_then(|clip| clip.frame_range()).map_or(f64::NEG_INFINITY, |(first, _)| first);
    set(SOURCE, (time - BEFORE).max(begin).min(time), time)?;
    if let Some(clip) = effect.clip(REFERENCE).filter(|clip| clip.is_connected() == Some(true)) {
        let at = reference::clip_time(&clip, &own, reference_frame(effect, time)?, time);
        set(REFERENCE, at, at)?;
        // Of a clip that performs itself Source's own picture is compared with the reference.
        if reference::may_be_source(effect, &clip, at) {
            let property = of_clip("OfxImageClipPropFrameRange_", SOURCE);
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
    colour::prefer(effect, &Own::of(effect)?, out);
    let clip = effect.clip(REFERENCE).filter(|clip| clip.is_connected() == Some(true));
    let alpha = clip.and_then(|clip| clip.properties.string(kOfxImageEffectPropPreMultiplication, 0));
    let Some(alpha) = alpha else { return Ok(kOfxStatReplyDefault) };
    out.offer_string(kOfxImageEffectPropPreMultiplication, &alpha);
    Ok(kOfxStatOK)
}

/// Switched off, the effect is Source; a look that nothing moves is the reference.
///
/// # Errors
/// `Engine` where the host refuses the answer.
pub fn is_identity(effect: &Effect, args: Properties, out: Properties) -> Result<OfxStatus> {
    let time = time(args);
    let own = Own::of(effect)?;
    let answer = |name: &CStr, at: f64| {
        out.set_string(kOfxPropName, 0, &name.to_string_lossy())?;
        out.set_double(kOfxPropTime, 0, at)?;
        Ok(kOfxStatOK)
    };
    if !own.enabled {
        return answer(SOURCE, time);
    }
    let Ok(Reference::Clip(clip)) = reference::find(effect, &own) else { return Ok(kOfxStatReplyDefault) };
    if look(&Controls::of(&effect.params()?), &own, time, false, false)?.is_still() {
        let at = reference::clip_time(&clip, &own, reference_frame(effect, time)?, time);
        return answer(REFERENCE, at);
    }
    Ok(kOfxStatReplyDefault)
}
