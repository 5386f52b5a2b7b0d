//! Colour management of OpenFX 1.5 (`ofxColour.h` and the native configuration's list of colour spaces, BSD-3-Clause), in
//! the style Core: the host is asked for the encoding that the control says, and what a clip then says of itself counts.
//! Pixels are not converted here.

use super::params::PluginParams;
use super::{REFERENCE, SOURCE};
use crate::host::{Clip, Effect, Host, Properties, c_string};
use headgan::frame::Color;
use std::ffi::CStr;

pub const GET_OUTPUT_COLOURSPACE: &CStr = c"OfxImageEffectActionGetOutputColourspace";
const STYLE: &CStr = c"OfxImageEffectPropColourManagementStyle";
const STYLE_NONE: &str = "OfxImageEffectColourManagementNone";
const STYLE_CORE: &str = "OfxImageEffectColourManagementCore";
const CONFIGS: &CStr = c"OfxImageEffectPropColourManagementAvailableConfigs";
const CONFIG: &str = "ofx-native-v1.5_aces-v1.3_ocio-v2.3";
pub const COLOURSPACE: &CStr = c"OfxImageClipPropColourspace";
const PREFERRED: &str = "OfxImageClipPropPreferredColourspaces";

/// Colour spaces that are asked for, with their encoding; the first of an encoding first.
const REQUESTED: [(&str, Color); 6] = [
    ("srgb_display", Color::Srgb),
    ("srgb_tx", Color::Srgb),
    ("lin_rec709_srgb", Color::Linear),
    ("ofx_scene_linear", Color::Linear),
    ("rec1886_rec709_display", Color::Rec709),
    ("g24_rec709_tx", Color::Rec709),
];
/// Of other primaries: understood where a host delivers them, never asked for. All are linear.
const WIDE_GAMUT: [&str; 4] = ["ACEScg", "ACES2065-1", "lin_p3d65", "lin_rec2020"];

/// Whether a host manages colour.
pub fn is_managed_by(host: &Host) -> bool {
    host.properties().string(STYLE, 0).is_some_and(|style| style != STYLE_NONE && !style.is_empty())
}

/// Tells a host that manages colour what the effect can do with it.
pub fn describe(host: &Host, descriptor: Properties) {
    if is_managed_by(host) {
        descriptor.offer_string(STYLE, STYLE_CORE);
        descriptor.offer_string(CONFIGS, CONFIG);
    }
}

/// How a clip's pixels are encoded: as the host says, and as the control says where the host does not.
pub fn clip_color(clip: &Clip, params: &PluginParams) -> Color {
    let Some(name) = clip.properties.string(COLOURSPACE, 0) else { return params.color };
    if WIDE_GAMUT.contains(&name.as_str()) {
        return Color::Linear;
    }
    REQUESTED.iter().find(|(known, _)| *known == name).map_or(params.color, |(_, color)| *color)
}

/// Asks for the encoding that the control says.
pub fn set_preferred(effect: &Effect, params: &PluginParams, out: Properties) {
    if !is_managed_by(effect.host) {
        return;
    }
    let wanted = REQUESTED.iter().filter(|(_, color)| *color == params.color);
    // What every host has, where it has neither.
    let names = wanted.map(|(name, _)| *name).chain((params.color != Color::Linear).then_some("ofx_display_sdr"));
    for (i, name) in names.enumerate() {
        for clip in [SOURCE, REFERENCE] {
            let property = c_string(&format!("{PREFERRED}_{}", clip.to_string_lossy()));
            // A clip that is not wired has no such property.
            let _ = out.set_string(&property, i, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::params::COLORS;

    #[test]
    fn every_choice_of_the_control_can_be_asked_for() {
        for (name, color) in COLORS {
            assert!(REQUESTED.iter().any(|(_, c)| *c == color), "{name}");
        }
    }
}
