//! The actions describe and describeInContext: clips and parameters. Values of an instance, models and files are not read here.

use super::params::{self, COLORS, REFERENCE_TIMES};
use super::{GROUPING, LABEL, OUTPUT, REFERENCE, SOURCE, colour, shared};
use crate::host::{Effect, Params, Properties, cuda};
use headgan::Result;
use headgan::controls::{Control, Group, Kind, Presets, Unit};
use openfx::sys::generic::core::*;
use openfx::sys::image_effect_v1::image_effect::*;
use openfx::sys::image_effect_v1::param::*;
use std::ffi::CStr;

const DESCRIPTION: &str = "One face performs what another face performs. Source is who performs, Reference (or a \
reference file) is whose face and picture it is. Press Analyse shot once, then render.";
const PAGE: &str = "controls_page";

/// The action describe.
///
/// # Errors
/// `Engine` where the host refuses what every host must know.
pub fn describe(effect: &Effect) -> Result<()> {
    let p = effect.properties()?;
    shared::note_bundle(p.string(kOfxPluginPropFilePath, 0));
    p.set_string(kOfxPropLabel, 0, LABEL)?;
    p.offer_string(kOfxPropShortLabel, LABEL);
    p.offer_string(kOfxPropLongLabel, LABEL);
    p.set_string(kOfxImageEffectPluginPropGrouping, 0, GROUPING)?;
    p.offer_string(kOfxPropPluginDescription, DESCRIPTION);
    p.offer_string(kOfxPropVersionLabel, env!("CARGO_PKG_VERSION"));
    for (i, end) in ["svg", "png"].iter().enumerate() {
        let _ = p.set_string(kOfxPropIcon, i, &format!("{}.{end}", super::IDENTIFIER.to_string_lossy()));
    }
    for (i, context) in [kOfxImageEffectContextGeneral, kOfxImageEffectContextFilter].iter().enumerate() {
        p.set_string(kOfxImageEffectPropSupportedContexts, i, &context.to_string_lossy())?;
    }
    let depths = [kOfxBitDepthFloat, kOfxBitDepthHalf, kOfxBitDepthShort, kOfxBitDepthByte];
    for (i, depth) in depths.iter().enumerate() {
        p.set_string(kOfxImageEffectPropSupportedPixelDepths, i, &depth.to_string_lossy())?;
    }
    p.offer_int(kOfxImageEffectPluginPropSingleInstance, 0);
    p.offer_int(kOfxImageEffectPluginPropHostFrameThreading, 0);
    // Clips of different sizes are welcome; tiles would each have to compute the whole.
    p.offer_int(kOfxImageEffectPropSupportsMultiResolution, 1);
    p.offer_int(kOfxImageEffectPropSupportsTiles, 0);
    p.offer_int(kOfxImageEffectPropTemporalClipAccess, 1);
    p.offer_int(kOfxImageEffectPropSupportsMultipleClipDepths, 0);
    p.offer_int(kOfxImageEffectPropSupportsMultipleClipPARs, 0);
    p.offer_int(kOfxImageEffectPluginPropFieldRenderTwiceAlways, 0);
    if cuda::is_offered() {
        p.offer_string(cuda::SUPPORTED, "true");
        p.offer_string(cuda::STREAM_SUPPORTED, "true");
    }
    colour::describe(effect.host, p);
    p.offer_string(kOfxImageEffectPluginRenderThreadSafety, &kOfxImageEffectRenderFullySafe.to_string_lossy());
    Ok(())
}

/// The action describeInContext; both contexts are alike. In Filter some hosts can never wire Reference: the reference
/// file is for them.
///
/// # Errors
/// As [`describe`].
pub fn describe_in_context(effect: &Effect) -> Result<()> {
    for (name, optional) in [(SOURCE, false), (REFERENCE, true), (OUTPUT, false)] {
        let clip = effect.define_clip(name)?;
        let kinds = [kOfxImageComponentRGBA, kOfxImageComponentRGB, kOfxImageComponentAlpha];
        for (i, kind) in kinds.iter().enumerate() {
            clip.set_string(kOfxImageEffectPropSupportedComponents, i, &kind.to_string_lossy())?;
        }
        clip.offer_int(kOfxImageEffectPropSupportsTiles, 0);
        if name != OUTPUT {
            clip.offer_int(kOfxImageEffectPropTemporalClipAccess, 1);
            clip.offer_int(kOfxImageClipPropOptional, i32::from(optional));
            clip.offer_int(kOfxImageClipPropIsMask, 0);
        }
    }
    let mut definer = ParamDefiner { params: effect.params()?, names: Vec::new() };
    definer.plugin_params()?;
    for group in Group::ALL {
        definer.group(group.id(), group.label(), group.hint(), *group == Group::Performance)?;
        for control in group.controls().filter(|c| c.is_for_hosts()) {
            definer.control(control, group.id())?;
        }
    }
    let page = definer.params.define(kOfxParamTypePage, PAGE)?;
    page.offer_string(kOfxPropLabel, "Controls");
    for (i, name) in definer.names.iter().enumerate() {
        // Not every host has pages.
        let _ = page.set_string(kOfxParamPropPageChild, i, name);
    }
    Ok(())
}

/// Declares parameters, in the order in which they are shown.
struct ParamDefiner<'a> {
    params: Params<'a>,
    names: Vec<String>,
}

impl<'a> ParamDefiner<'a> {
    fn define(&mut self, kind: &CStr, name: &str, label: &str, hint: &str, parent: &str) -> Result<Properties<'a>> {
        let p = self.params.define(kind, name)?;
        p.set_string(kOfxPropLabel, 0, label)?;
        p.offer_string(kOfxParamPropScriptName, name);
        p.offer_string(kOfxParamPropHint, hint);
        p.offer_string(kOfxParamPropParent, parent);
        self.names.push(name.into());
        Ok(p)
    }

    fn group(&mut self, name: &str, label: &str, hint: &str, open: bool) -> Result<()> {
        let p = self.params.define(kOfxParamTypeGroup, name)?;
        p.set_string(kOfxPropLabel, 0, label)?;
        p.offer_string(kOfxParamPropHint, hint);
        p.offer_int(kOfxParamPropGroupOpen, i32::from(open));
        Ok(())
    }

    /// A control of the library.
    fn control(&mut self, c: &Control, parent: &str) -> Result<()> {
        let kind = match c.kind {
            Kind::Float { .. } => kOfxParamTypeDouble,
            Kind::Int { .. } => kOfxParamTypeInteger,
            Kind::Bool { .. } => kOfxParamTypeBoolean,
            Kind::Choice { .. } => kOfxParamTypeChoice,
            Kind::Text { .. } => kOfxParamTypeString,
        };
        let p = self.define(kind, c.id, c.label, c.hint, parent)?;
        p.offer_int(kOfxParamPropAnimates, i32::from(c.keyframable));
        match c.kind {
            Kind::Float { default, min, max, unit } => {
                p.set_double(kOfxParamPropDefault, 0, default)?;
                for (low, high) in
                    [(kOfxParamPropMin, kOfxParamPropMax), (kOfxParamPropDisplayMin, kOfxParamPropDisplayMax)]
                {
                    p.set_double(low, 0, min)?;
                    p.set_double(high, 0, max)?;
                }
                // Not the type angle: hosts turn its direction round where they show a dial.
                p.offer_string(kOfxParamPropDoubleType, &kOfxParamDoubleTypePlain.to_string_lossy());
                let coarse = matches!(unit, Unit::Degrees | Unit::Frames | Unit::Decibels | Unit::PercentOfFace);
                let _ = p.set_double(kOfxParamPropIncrement, 0, if coarse { 0.1 } else { 0.01 });
                p.offer_int(kOfxParamPropDigits, if coarse { 1 } else { 2 });
            }
            Kind::Int { default, min, max, .. } => {
                p.set_int(kOfxParamPropDefault, 0, default as i32)?;
                for (low, high) in
                    [(kOfxParamPropMin, kOfxParamPropMax), (kOfxParamPropDisplayMin, kOfxParamPropDisplayMax)]
                {
                    p.set_int(low, 0, min as i32)?;
                    p.set_int(high, 0, max as i32)?;
                }
            }
            Kind::Bool { default } => p.set_int(kOfxParamPropDefault, 0, i32::from(default))?,
            Kind::Choice { default, options } => {
                let labels: Vec<&str> = options.iter().map(|o| o.label).collect();
                let ids: Vec<&str> = options.iter().map(|o| o.id).collect();
                set_options(&p, default, &labels, &ids)?;
            }
            Kind::Text { default } => p.set_string(kOfxParamPropDefault, 0, default)?,
        }
        Ok(())
    }

    fn boolean(&mut self, name: &str, label: &str, default: bool, hint: &str) -> Result<()> {
        let p = self.define(kOfxParamTypeBoolean, name, label, hint, params::GROUP)?;
        p.offer_int(kOfxParamPropAnimates, 0);
        p.set_int(kOfxParamPropDefault, 0, i32::from(default))
    }

    fn choice(&mut self, name: &str, label: &str, options: &[&str], hint: &str) -> Result<Properties<'a>> {
        let p = self.define(kOfxParamTypeChoice, name, label, hint, params::GROUP)?;
        p.offer_int(kOfxParamPropAnimates, 0);
        set_options(&p, 0, options, options)?;
        Ok(p)
    }

    fn string(&mut self, name: &str, label: &str, mode: &CStr, hint: &str) -> Result<Properties<'a>> {
        let p = self.define(kOfxParamTypeString, name, label, hint, params::GROUP)?;
        p.offer_string(kOfxParamPropStringMode, &mode.to_string_lossy());
        p.offer_int(kOfxParamPropStringFilePathExists, 0);
        p.offer_int(kOfxParamPropAnimates, 0);
        p.set_string(kOfxParamPropDefault, 0, "")?;
        Ok(p)
    }

    /// The parameters that are no controls of the library.
    fn plugin_params(&mut self) -> Result<()> {
        self.group(params::GROUP, "Shot", "Reference, analysis and presets.", true)?;
        let status = self.string(
            params::STATUS,
            "Status",
            kOfxParamStringIsSingleLine,
            "What is missing, and what to do about it.",
        )?;
        status.offer_int(kOfxParamPropEnabled, 0);
        status.offer_int(kOfxParamPropPersistant, 0);
        status.offer_int(kOfxParamPropEvaluateOnChange, 0);
        self.boolean(params::ENABLED, "Enabled", true, "Off lets Source through untouched.")?;
        self.string(
            params::REFERENCE_FILE,
            "Reference file",
            kOfxParamStringIsFilePath,
            "The image or video that lends face and picture where nothing is wired to Reference. It is fitted into \
             Source's frame.",
        )?;
        self.choice(
            params::REFERENCE_TIME,
            "Reference time",
            &REFERENCE_TIMES,
            "Held frame: Reference frame counts from the reference's first frame. Follows time: the reference plays \
             along.",
        )?;
        self.string(
            params::AUDIO_FILE,
            "Audio file",
            kOfxParamStringIsFilePath,
            "The sound that belongs to Source, from its first frame on, for generators that listen; without one they hear \
             nothing. The host's own sound does not reach the effect.",
        )?;
        self.string(
            params::PERFORMANCE_FILE,
            "Performance file",
            kOfxParamStringIsFilePath,
            "A Live Link Face recording (.csv) that performs instead of Source, from Source's first frame on. Source gives \
             frame rate and length. Needs a head with ARKit's shapes.",
        )?;
        let analyse = self.define(
            kOfxParamTypePushButton,
            params::ANALYSE,
            "Analyse shot",
            "Follows the driver's face through all frames of Source. Frames that are known are not looked at again.",
            params::GROUP,
        )?;
        analyse.offer_int(kOfxParamPropEvaluateOnChange, 1);
        self.boolean(
            params::ALLOW_UNANALYSED,
            "Allow unanalysed",
            false,
            "Lets final renders go on without an analysis, with the statistics of three frames instead of the shot's.",
        )?;
        let names: Vec<&str> = COLORS.iter().map(|(name, _)| *name).collect();
        self.choice(params::COLOR, "Colour", &names, "How the pixels of all clips are encoded.")?;
        self.boolean(
            params::DRAFT_WHILE_EDITING,
            "Draft while editing",
            false,
            "Renders in Draft while the host says that somebody is working, and in the chosen Quality otherwise.",
        )?;
        self.string(
            params::CACHE_FOLDER,
            "Cache folder",
            kOfxParamStringIsDirectoryPath,
            "Where analyses lie; the user's cache folder unless told. A render farm needs one that all machines see.",
        )?;
        let presets: Vec<String> = built_in_presets().map(|(name, _)| name).collect();
        let options: Vec<&str> = std::iter::once("Choose a preset").chain(presets.iter().map(String::as_str)).collect();
        let presets =
            self.choice(params::PRESET, "Preset", &options, "Sets the controls that it names and leaves all others.")?;
        presets.offer_int(kOfxParamPropPersistant, 0);
        presets.offer_int(kOfxParamPropEvaluateOnChange, 0);
        let file = self.string(
            params::PRESET_FILE,
            "Preset file",
            kOfxParamStringIsFilePath,
            "A preset of your own, a .json file, for the two buttons below.",
        )?;
        file.offer_int(kOfxParamPropEvaluateOnChange, 0);
        for (name, label, hint) in [
            (params::PRESET_LOAD, "Load preset file", "Sets what the preset file says."),
            (params::PRESET_SAVE, "Save preset file", "Writes all controls that are not at their defaults."),
        ] {
            self.define(kOfxParamTypePushButton, name, label, hint, params::GROUP)?;
        }
        let record = self.params.define(kOfxParamTypeString, params::SHOT)?;
        record.set_string(kOfxPropLabel, 0, "Shot record")?;
        record.set_string(kOfxParamPropDefault, 0, "")?;
        record.offer_string(kOfxParamPropParent, params::GROUP);
        record.offer_int(kOfxParamPropSecret, 1);
        record.offer_int(kOfxParamPropAnimates, 0);
        Ok(())
    }
}

/// Sets the options of a choice; hosts that store them by name take `ids`.
fn set_options(p: &Properties, default: usize, labels: &[&str], ids: &[&str]) -> Result<()> {
    for (i, (label, id)) in labels.iter().zip(ids).enumerate() {
        p.set_string(kOfxParamPropChoiceOption, i, label)?;
        // Since OpenFX 1.5.
        let _ = p.set_string(kOfxParamPropChoiceEnum, i, id);
    }
    p.set_int(kOfxParamPropDefault, 0, default as i32)
}

/// The presets of the menu, by name, in its order. Only those that are compiled in: the menu must be the same on all
/// machines.
pub fn built_in_presets() -> impl Iterator<Item = (String, headgan::controls::Preset)> {
    Presets::default().list().into_iter().filter_map(|e| e.preset.ok()).map(|p| (p.name.clone(), p))
}
