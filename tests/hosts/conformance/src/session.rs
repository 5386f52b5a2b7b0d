//! A plugin at work: loaded and described, its instances, and frames rendered as hosts do.

use crate::abi::*;
use crate::effect::{Effect, Project, Rendering, View};
use crate::footage::Footage;
use crate::host::host;
use crate::picture::{Components, Depth, Format, Picture};
use crate::plugin::Plugin;
use crate::props::{Map, PropSet, Value};
use crate::random::Random;
use crate::{log, properties, values};
use std::ffi::{CStr, CString};
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

/// What a run was asked for.
#[derive(Clone)]
pub struct Settings {
    pub seed: u64,
    pub project: Project,
    /// The reference's file, for file parameters.
    pub reference: Option<PathBuf>,
    /// Parameters held at a value, and never set at random: name and value.
    pub pinned: Vec<(String, String)>,
}

impl Settings {
    /// The random numbers of a purpose.
    pub fn random(&self, purpose: &str) -> Random {
        Random::new(self.seed, purpose)
    }

    fn is_pinned(&self, name: &CStr) -> bool {
        self.pinned.iter().any(|(n, _)| n.as_bytes() == name.to_bytes())
    }
}

/// A plugin that is loaded and described.
pub struct Loaded {
    plugin: Plugin,
    described: Arc<Effect>,
    /// The description in each context that the plugin offers and this host has.
    pub contexts: Vec<(CString, Arc<Effect>)>,
    settings: Settings,
}

fn describe_base(plugin: &Plugin) -> Map {
    let path = CString::new(plugin.path.as_os_str().as_encoded_bytes()).unwrap_or_default();
    properties! {
        kOfxPropType => kOfxTypeImageEffect,
        kOfxPropLabel => &*plugin.id,
        kOfxPropShortLabel => &*plugin.id,
        kOfxPropLongLabel => &*plugin.id,
        kOfxPropVersion => Value::Ints(vec![plugin.version.0 as i32, plugin.version.1 as i32]),
        kOfxPropVersionLabel => c"",
        kOfxPropPluginDescription => c"",
        kOfxPluginPropFilePath => &*path,
        kOfxImageEffectPropSupportedContexts => Value::Strings(Vec::new()),
        kOfxImageEffectPropSupportedPixelDepths => Value::Strings(Vec::new()),
        kOfxImageEffectPluginPropGrouping => c"",
        kOfxImageEffectPluginPropSingleInstance => 0,
        kOfxImageEffectPluginRenderThreadSafety => kOfxImageEffectRenderInstanceSafe,
        kOfxImageEffectPluginPropHostFrameThreading => 0,
        kOfxImageEffectPluginPropOverlayInteractV1 => Value::Pointers(vec![0]),
        kOfxImageEffectPropSupportsMultiResolution => 1,
        kOfxImageEffectPropSupportsTiles => 1,
        kOfxImageEffectPropTemporalClipAccess => 0,
        kOfxImageEffectPluginPropFieldRenderTwiceAlways => 0,
        kOfxImageEffectPropSupportsMultipleClipDepths => 0,
        kOfxImageEffectPropSupportsMultipleClipPARs => 0,
        kOfxImageEffectPropClipPreferencesSlaveParam => Value::Strings(Vec::new()),
    }
}

impl Loaded {
    /// Sends load, describe, and describeInContext for General and Filter where the plugin offers them.
    ///
    /// # Errors
    /// The first action that failed, and its status. What was loaded is unloaded again.
    pub fn load(plugin: &Plugin, settings: &Settings) -> Result<Loaded, (String, OfxStatus)> {
        let load = plugin.call(kOfxActionLoad);
        if !done(load) {
            return Err(("load".to_owned(), load));
        }
        let new = |base: Arc<Map>| Effect::new(false, plugin.entry, base, Arc::default(), settings.project.clone());
        let described = new(Arc::new(describe_base(plugin)));
        let mut loaded = Loaded { plugin: plugin.clone(), described, contexts: Vec::new(), settings: settings.clone() };
        let status = loaded.described.act(kOfxActionDescribe, None, None).0;
        if !done(status) {
            loaded.unload();
            return Err(("describe".to_owned(), status));
        }
        for context in loaded.described.props.strings(kOfxImageEffectPropSupportedContexts) {
            if ![kOfxImageEffectContextGeneral, kOfxImageEffectContextFilter].contains(&context.as_c_str()) {
                continue;
            }
            let effect = new(loaded.described.props.snapshot());
            let args = properties! { kOfxImageEffectPropContext => &*context };
            let status = effect.act(kOfxImageEffectActionDescribeInContext, Some(args), None).0;
            let name = context.to_string_lossy().into_owned();
            loaded.contexts.push((context, effect));
            if !done(status) {
                loaded.unload();
                return Err((format!("describeInContext {name}"), status));
            }
        }
        Ok(loaded)
    }

    /// The plugin's own properties.
    pub fn props(&self) -> &PropSet {
        &self.described.props
    }

    /// The depths that the plugin takes.
    pub fn depths(&self) -> Vec<Depth> {
        let names = self.props().strings(kOfxImageEffectPropSupportedPixelDepths);
        names.iter().filter_map(|n| Depth::from_name(n)).collect()
    }

    /// How many renders the plugin bears at once.
    pub fn thread_safety(&self) -> CString {
        self.props().string(kOfxImageEffectPluginRenderThreadSafety)
    }

    /// General if the plugin has it, else Filter.
    pub fn context(&self) -> Option<&CStr> {
        let has = |name: &CStr| self.contexts.iter().any(|(c, _)| c.as_c_str() == name);
        [kOfxImageEffectContextGeneral, kOfxImageEffectContextFilter].into_iter().find(|c| has(c))
    }

    /// The view of the deepest depth that the plugin takes, for checks that are not about formats.
    pub fn view(&self) -> View {
        let depths = self.depths();
        let depth = [Depth::Float, Depth::Short, Depth::Half, Depth::Byte].into_iter().find(|d| depths.contains(d));
        View { depth: depth.unwrap_or(Depth::Float), ..View::PLAIN }
    }

    /// Sends unload, and looks for what is left behind.
    pub fn unload(self) {
        self.described.close();
        for (_, effect) in &self.contexts {
            effect.close();
        }
        let status = self.plugin.call(kOfxActionUnload);
        if !done(status) {
            log::fail(format!("unload: {}", status_name(status)));
        }
        host().check_nothing_left("after unload");
    }

    /// Sends load once more, as some hosts do without an unload between.
    pub fn load_again(&self) -> OfxStatus {
        self.plugin.call(kOfxActionLoad)
    }

    /// An instance in a context, with the values of a saved form (else defaults).
    ///
    /// # Errors
    /// If createInstance fails; the message that came with it is part of the text.
    pub fn create(&self, context: &CStr, view: View, saved: Option<&str>) -> Result<Instance, String> {
        let (_, description) = self.contexts.iter().find(|(c, _)| c.as_c_str() == context).ok_or("no such context")?;
        let instance = self.prepare(description, context, view, saved)?;
        let status = instance.effect.act(kOfxActionCreateInstance, None, None).0;
        if !done(status) {
            let message = instance.last_message();
            if message.is_none() {
                log::fail(format!("createInstance: {} without a message", status_name(status)));
            }
            instance.effect.close();
            return Err(format!("createInstance: {}: {}", status_name(status), message.unwrap_or_default()));
        }
        instance.prefer();
        Ok(instance)
    }

    fn prepare(
        &self,
        description: &Effect,
        context: &CStr,
        view: View,
        saved: Option<&str>,
    ) -> Result<Instance, String> {
        let project = self.settings.project.clone();
        let bare = host().profile().bare;
        let (width, height) = project.source.size();
        let mut base = (*description.props.snapshot()).clone();
        base.extend(properties! {
            kOfxPropType => kOfxTypeImageEffectInstance,
            kOfxImageEffectPropContext => context,
            kOfxPropInstanceData => Value::Pointers(vec![0]),
            kOfxImageEffectPropPluginHandle => Value::Pointers(vec![0]),
            kOfxPropIsInteractive => 0,
            kOfxImageEffectInstancePropSequentialRender => 0,
        });
        if !bare {
            base.extend(properties! {
                kOfxImageEffectPropProjectSize => [width as f64, height as f64],
                kOfxImageEffectPropProjectOffset => [0.0, 0.0],
                kOfxImageEffectPropProjectExtent => [width as f64, height as f64],
                kOfxImageEffectPropProjectPixelAspectRatio => 1.0,
                kOfxImageEffectInstancePropEffectDuration => project.frames as f64,
                kOfxImageEffectPropFrameRate => project.fps,
            });
        }
        let effect = Effect::new(true, self.plugin.entry, Arc::new(base), description.params.props.snapshot(), project);
        let instance = Instance { effect, temporal: self.is_temporal(description), settings: self.settings.clone() };
        let wired = instance.add_clips(description, view);
        for param in description.params.all() {
            instance.effect.params.add(&param.name, &param.kind, param.holds, param.props.snapshot());
        }
        if let Some(saved) = saved {
            values::load(&instance.effect.params, saved)?;
        }
        if !wired {
            instance.name_reference();
        }
        for (name, text) in &self.settings.pinned {
            if let Some(param) = CString::new(name.as_str()).ok().and_then(|n| instance.effect.params.find(&n)) {
                param.set(values::parse(&param, text)?);
            }
        }
        instance.set_view(view);
        Ok(instance)
    }

    fn is_temporal(&self, description: &Effect) -> bool {
        self.props().int(kOfxImageEffectPropTemporalClipAccess) == Some(1)
            || description.all_clips().iter().any(|c| c.props.int(kOfxImageEffectPropTemporalClipAccess) == Some(1))
    }
}

/// A frame to render.
#[derive(Clone, Copy)]
pub struct Ask {
    pub time: f64,
    /// The pixels to render; `None`: all that the effect covers.
    pub window: Option<OfxRectI>,
    /// Whether a user waits for it.
    pub interactive: bool,
    /// What the output's bytes are before.
    pub fill: u8,
}

impl Ask {
    /// A whole frame of a final render.
    pub fn at(time: f64) -> Ask {
        Ask { time, window: None, interactive: false, fill: 0x5a }
    }
}

/// What came of a render.
pub enum Outcome {
    /// The output's picture, or that of the clip that the effect leaves as it is.
    Picture(Arc<Picture>),
    /// The effect could not, and said why.
    Refused(String),
}

impl Outcome {
    /// The pixels' hash; `None` for a refusal.
    pub fn hash(&self) -> Option<u64> {
        match self {
            Outcome::Picture(p) => Some(p.hash()),
            Outcome::Refused(_) => None,
        }
    }
}

/// A living instance.
pub struct Instance {
    pub effect: Arc<Effect>,
    temporal: bool,
    settings: Settings,
}

impl Instance {
    /// Adds the clips of the description; says whether an optional one got the reference.
    fn add_clips(&self, description: &Effect, view: View) -> bool {
        let mut reference = self.effect.project.reference.clone();
        let had = reference.is_some();
        for clip in description.all_clips() {
            let flag = |name: &CStr| clip.props.int(name) == Some(1);
            let footage = if clip.is_output() {
                None
            } else if !flag(kOfxImageClipPropOptional) {
                view.wired.then(|| self.effect.project.source.clone())
            } else if flag(kOfxImageClipPropIsMask) || self.context().as_c_str() == kOfxImageEffectContextFilter {
                // In Filter, an optional clip may never get a wire.
                None
            } else {
                reference.take()
            };
            let set =
                PropSet::read_only(format!("clip {}", clip.name.to_string_lossy()), (*clip.props.snapshot()).clone());
            self.effect.add_clip(&clip.name, set, footage);
        }
        had && reference.is_none()
    }

    fn context(&self) -> CString {
        self.effect.props.string(kOfxImageEffectPropContext)
    }

    /// Names the reference's file in the file parameter that is for it.
    fn name_reference(&self) {
        let Some(path) = &self.settings.reference else { return };
        let Ok(path) = CString::new(path.as_os_str().as_encoded_bytes()) else { return };
        let is_for_it = |p: &&Arc<crate::params::Param>| {
            p.props.string(kOfxParamPropStringMode).as_c_str() == kOfxParamStringIsFilePath
                && p.name.to_string_lossy().to_lowercase().contains("reference")
        };
        if let Some(param) = self.effect.params.all().iter().find(is_for_it) {
            param.set(crate::params::Sample::Text(path));
        }
    }

    /// Shows the effect's inputs another way. Between renders.
    pub fn set_view(&self, view: View) {
        *self.effect.view.write().unwrap_or_else(PoisonError::into_inner) = view;
        let profile = host().profile();
        let project = &self.effect.project;
        for clip in self.effect.all_clips() {
            let supported = clip.supports();
            let components = [view.components, Components::Rgba, Components::Rgb, Components::Alpha];
            let components = components.into_iter().find(|c| supported.contains(c)).unwrap_or(Components::Rgba);
            let set = |name: &CStr, value: Value| clip.props.set(name, value);
            let connected = clip.is_output() || clip.footage.is_some();
            set(kOfxImageEffectPropComponents, components.name().into());
            set(kOfxImageEffectPropPixelDepth, view.depth.name().into());
            set(kOfxImageClipPropUnmappedComponents, components.name().into());
            set(kOfxImageClipPropUnmappedPixelDepth, view.depth.name().into());
            let opaque = components == Components::Rgb;
            set(
                kOfxImageEffectPropPreMultiplication,
                if opaque { kOfxImageOpaque } else { kOfxImageUnPreMultiplied }.into(),
            );
            set(kOfxImagePropPixelAspectRatio, 1.0.into());
            set(kOfxImageClipPropFieldOrder, kOfxImageFieldNone.into());
            set(kOfxImageClipPropContinuousSamples, 0.into());
            if connected || !profile.hollow {
                set(kOfxImageClipPropConnected, connected.into());
            }
            if !profile.bare {
                let frames = clip.footage.as_ref().map_or(project.frames, |f| f.frames());
                let range = [0.0, frames as f64 - 1.0];
                set(kOfxImageEffectPropFrameRate, project.fps.into());
                set(kOfxImageEffectPropUnmappedFrameRate, project.fps.into());
                set(kOfxImageEffectPropFrameRange, range.into());
                set(kOfxImageEffectPropUnmappedFrameRange, range.into());
            }
        }
    }

    /// Shows the inputs another way and asks for the clip preferences again.
    pub fn change_view(&self, view: View) {
        self.set_view(view);
        self.prefer();
    }

    /// Asks what the effect prefers of its clips, and takes it over.
    pub fn prefer(&self) {
        const ACTION: &CStr = kOfxImageEffectActionGetClipPreferences;
        let view = self.effect.view();
        let named =
            |prefix: &str, name: &CStr| CString::new(format!("{prefix}{}", name.to_string_lossy())).unwrap_or_default();
        let mut out = properties! {
            kOfxImageEffectPropFrameRate => self.effect.project.fps,
            kOfxImageEffectPropPreMultiplication => kOfxImageUnPreMultiplied,
            kOfxImageClipPropFieldOrder => kOfxImageFieldNone,
            kOfxImageClipPropContinuousSamples => 0,
            kOfxImageEffectFrameVarying => 0,
        };
        for clip in self.effect.all_clips() {
            out.insert(named("OfxImageClipPropComponents_", &clip.name), clip.components().name().into());
            out.insert(named("OfxImageClipPropDepth_", &clip.name), view.depth.name().into());
            out.insert(named("OfxImageClipPropPAR_", &clip.name), 1.0.into());
        }
        let (status, out) = self.effect.act(ACTION, None, Some(out));
        self.expect("getClipPreferences", status, &[kOfxStatOK, kOfxStatReplyDefault]);
        let (kOfxStatOK, Some(out)) = (status, out) else { return };
        for clip in self.effect.all_clips() {
            let name = clip.name.to_string_lossy();
            let wanted = out.string(&named("OfxImageClipPropComponents_", &clip.name));
            match Components::from_name(&wanted) {
                Some(c) if clip.supports().contains(&c) => clip.props.set(kOfxImageEffectPropComponents, c.name()),
                _ => log::fail(format!(
                    "getClipPreferences: {wanted:?} for {name}, which its description does not allow"
                )),
            }
            if out.string(&named("OfxImageClipPropDepth_", &clip.name)).as_c_str() != view.depth.name() {
                log::warn(format!(
                    "getClipPreferences: another depth for {name}; this host has one depth for all clips"
                ));
            }
        }
    }

    fn expect(&self, action: &str, status: OfxStatus, allowed: &[OfxStatus]) -> bool {
        let fine = allowed.contains(&status);
        if !fine {
            log::fail(format!(
                "{action}: {}: {}",
                status_name(status),
                self.last_message().unwrap_or("no message".into())
            ));
        }
        fine
    }

    /// The message that came last, if any.
    pub fn last_message(&self) -> Option<String> {
        let messages = self.effect.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.last().map(|m| m.text.clone())
    }

    /// Forgets all messages but those that stand.
    fn forget_messages(&self) {
        let mut messages = self.effect.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.retain(|m| m.persistent);
    }

    /// What the effect covers at a time, in pixels.
    pub fn region(&self, time: f64) -> Option<OfxRectI> {
        let view = self.effect.view();
        let source = self.effect.clip(kOfxImageEffectSimpleSourceClipName).and_then(|c| c.region(&view));
        let (width, height) = self.effect.project.source.size();
        let blank = OfxRectD { x1: 0.0, y1: 0.0, x2: width as f64, y2: height as f64 };
        let default = source.unwrap_or(blank);
        let args = properties! { kOfxPropTime => time, kOfxImageEffectPropRenderScale => [view.scale; 2] };
        let out = properties! { kOfxImageEffectPropRegionOfDefinition => default };
        let (status, out) = self.effect.act(kOfxImageEffectActionGetRegionOfDefinition, Some(args), Some(out));
        if !self.expect("getRegionOfDefinition", status, &[kOfxStatOK, kOfxStatReplyDefault]) {
            return None;
        }
        let mut region = default;
        if let (kOfxStatOK, Some(v)) = (status, out.and_then(|o| o.doubles(kOfxImageEffectPropRegionOfDefinition))) {
            match v[..] {
                [x1, y1, x2, y2] if v.iter().all(|v| v.is_finite()) && x1 < x2 && y1 < y2 => {
                    region = OfxRectD { x1, y1, x2, y2 }
                }
                _ => log::fail(format!("getRegionOfDefinition: {v:?} is no rectangle")),
            }
        }
        // A host shows a part of what is very large.
        let limit = 4.0 * (width.max(height) as f64 + 64.0);
        let region = OfxRectD {
            x1: region.x1.max(-limit),
            y1: region.y1.max(-limit),
            x2: region.x2.min(limit),
            y2: region.y2.min(limit),
        };
        Some(view.pixels(region))
    }

    /// Asks whether the effect leaves a clip's frame as it is: the clip and the time.
    fn identity(&self, ask: Ask, window: OfxRectI) -> Option<(CString, f64)> {
        let scale = self.effect.view().scale;
        let args = properties! {
            kOfxPropTime => ask.time,
            kOfxImageEffectPropFieldToRender => kOfxImageFieldNone,
            kOfxImageEffectPropRenderWindow => window,
            kOfxImageEffectPropRenderScale => [scale; 2],
        };
        let out = properties! { kOfxPropName => c"", kOfxPropTime => ask.time };
        let (status, out) = self.effect.act(kOfxImageEffectActionIsIdentity, Some(args), Some(out));
        self.expect("isIdentity", status, &[kOfxStatOK, kOfxStatReplyDefault]);
        let out = out.filter(|_| status == kOfxStatOK)?;
        let name = out.string(kOfxPropName);
        let time = out.doubles(kOfxPropTime).and_then(|t| t.first().copied()).unwrap_or(ask.time);
        if !name.is_empty() && self.effect.clip(&name).is_none() {
            log::fail(format!("isIdentity: there is no clip {name:?}"));
        }
        (!name.is_empty()).then_some((name, time))
    }

    /// Asks which frames of the inputs the effect needs.
    fn needed(&self, time: f64) -> Vec<(CString, f64, f64)> {
        let inputs = self.effect.all_clips().into_iter().filter(|c| !c.is_output());
        let mut needed: Vec<_> = inputs.map(|c| (c.name.clone(), time, time)).collect();
        if !self.temporal {
            return needed;
        }
        let named = |name: &CStr| {
            CString::new(format!("OfxImageClipPropFrameRange_{}", name.to_string_lossy())).unwrap_or_default()
        };
        let out: Map = needed.iter().map(|(n, a, b)| (named(n), [*a, *b].into())).collect();
        let args = properties! { kOfxPropTime => time };
        let (status, out) = self.effect.act(kOfxImageEffectActionGetFramesNeeded, Some(args), Some(out));
        self.expect("getFramesNeeded", status, &[kOfxStatOK, kOfxStatReplyDefault]);
        let (kOfxStatOK, Some(out)) = (status, out) else { return needed };
        let names: Vec<_> = needed.drain(..).map(|(n, ..)| n).collect();
        for name in names {
            let ranges = out.doubles(&named(&name)).unwrap_or_default();
            for range in ranges.chunks(2) {
                match *range {
                    [first, last] if first <= last && last - first < 1e6 => needed.push((name.clone(), first, last)),
                    _ => log::fail(format!("getFramesNeeded: {range:?} of {} is no range", name.to_string_lossy())),
                }
            }
        }
        needed
    }

    fn interest(&self, time: f64, window: OfxRectI) {
        let scale = self.effect.view().scale;
        let canonical = [window.x1, window.y1, window.x2, window.y2].map(|v| f64::from(v) / scale);
        let inputs = self.effect.all_clips().into_iter().filter(|c| !c.is_output());
        let named =
            |name: &CStr| CString::new(format!("OfxImageClipPropRoI_{}", name.to_string_lossy())).unwrap_or_default();
        let out: Map = inputs.map(|c| (named(&c.name), Value::Doubles(canonical.to_vec()))).collect();
        let args = properties! {
            kOfxPropTime => time,
            kOfxImageEffectPropRenderScale => [scale; 2],
            kOfxImageEffectPropRegionOfInterest => Value::Doubles(canonical.to_vec()),
        };
        let (status, out) = self.effect.act(kOfxImageEffectActionGetRegionsOfInterest, Some(args), Some(out));
        self.expect("getRegionsOfInterest", status, &[kOfxStatOK, kOfxStatReplyDefault]);
        for (name, value) in out.iter().flat_map(|o| (*o.snapshot()).clone()) {
            if let Value::Doubles(v) = value
                && (v.len() != 4 || v.iter().any(|v| v.is_nan()))
            {
                log::fail(format!("getRegionsOfInterest: {} is {v:?}", name.to_string_lossy()));
            }
        }
    }

    fn sequence(&self, action: &CStr, time: f64, interactive: bool) -> OfxStatus {
        let scale = self.effect.view().scale;
        let args = properties! {
            kOfxImageEffectPropFrameRange => [time, time],
            kOfxImageEffectPropFrameStep => 1.0,
            kOfxPropIsInteractive => interactive,
            kOfxImageEffectPropRenderScale => [scale; 2],
            kOfxImageEffectPropSequentialRenderStatus => 0,
            kOfxImageEffectPropInteractiveRenderStatus => interactive,
        };
        self.effect.act(action, Some(args), None).0
    }

    /// Renders a frame as hosts do: regions, frames needed, identity, then the render within a sequence of its own.
    pub fn render(&self, ask: Ask) -> Outcome {
        let Some(region) = self.region(ask.time) else { return Outcome::Refused("no region".to_owned()) };
        let window = ask.window.unwrap_or(region);
        self.interest(ask.time, window);
        let needed = self.needed(ask.time);
        let view = self.effect.view();
        if let Some((name, time)) = self.identity(ask, window)
            && let Some((picture, _)) = self.effect.clip(&name).and_then(|c| c.picture(time, &view))
        {
            return Outcome::Picture(picture);
        }
        let components = self.effect.clip(kOfxImageEffectOutputClipName).map_or(Components::Rgba, |c| c.components());
        let format = Format { depth: view.depth, components, layout: view.layout };
        let output = Arc::new(Picture::new(format, region, ask.fill));
        let begin = self.sequence(kOfxImageEffectActionBeginSequenceRender, ask.time, ask.interactive);
        let status = if done(begin) { self.render_into(&output, window, ask, needed) } else { begin };
        let end = self.sequence(kOfxImageEffectActionEndSequenceRender, ask.time, ask.interactive);
        self.expect("endSequenceRender", end, &[kOfxStatOK, kOfxStatReplyDefault]);
        self.judge(status, output, window, ask)
    }

    fn render_into(
        &self,
        output: &Arc<Picture>,
        window: OfxRectI,
        ask: Ask,
        needed: Vec<(CString, f64, f64)>,
    ) -> OfxStatus {
        let scale = self.effect.view().scale;
        let mut args = properties! {
            kOfxPropTime => ask.time,
            kOfxImageEffectPropFieldToRender => kOfxImageFieldNone,
            kOfxImageEffectPropRenderWindow => window,
            kOfxImageEffectPropRenderScale => [scale; 2],
            kOfxImageEffectPropSequentialRenderStatus => 0,
            kOfxImageEffectPropInteractiveRenderStatus => ask.interactive,
        };
        if !host().profile().old {
            args.insert(kOfxImageEffectPropRenderQualityDraft.to_owned(), ask.interactive.into());
        }
        let key = ask.time.to_bits();
        let renders = || self.effect.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        renders().insert(key, Rendering { output: output.clone(), needed });
        let status = self.effect.act(kOfxImageEffectActionRender, Some(args), None).0;
        let others = {
            let mut renders = renders();
            renders.remove(&key);
            !renders.is_empty()
        };
        // While other threads render on this instance, an image may be theirs; the last one back sees what stays.
        if !others {
            self.effect.take_back_images("render");
        }
        status
    }

    fn judge(&self, status: OfxStatus, output: Arc<Picture>, window: OfxRectI, ask: Ask) -> Outcome {
        if let Err(place) = output.check_canaries() {
            log::fail(format!("render: the output was written to outside of its bounds: {place}"));
        }
        if done(status) {
            if !output.untouched_outside(window, ask.fill) {
                log::fail("render: pixels outside of the render window were written");
            }
            self.forget_messages();
            return Outcome::Picture(output);
        }
        let message = self.last_message();
        self.forget_messages();
        if self.effect.aborted() {
            return Outcome::Refused("aborted".to_owned());
        }
        let allowed = [kOfxStatFailed, kOfxStatErrMemory, kOfxStatErrImageFormat, kOfxStatErrFatal, kOfxStatUnlicensed];
        if !allowed.contains(&status) {
            log::fail(format!("render: {} is no status of render", status_name(status)));
        }
        if message.is_none() {
            log::fail(format!("render: {} without a message", status_name(status)));
        }
        Outcome::Refused(message.unwrap_or_default())
    }

    /// Sets every parameter that may be set by a user to a random value, as a user would.
    pub fn set_at_random(&self, random: &mut Random) {
        for param in self.effect.params.all() {
            let settable = !self.settings.is_pinned(&param.name) && param.props.int(kOfxParamPropEnabled) != Some(0);
            if settable && param.holds != crate::params::Holds::Nothing {
                param.set(values::random(&param, random));
            }
        }
    }

    /// Sets one value as a user does, with the actions that go with it.
    pub fn edit(&self, name: &CStr, reason: &CStr) -> OfxStatus {
        let args = || properties! { kOfxPropChangeReason => reason };
        let begin = self.effect.act(kOfxActionBeginInstanceChanged, Some(args()), None).0;
        self.expect("beginInstanceChanged", begin, &[kOfxStatOK, kOfxStatReplyDefault]);
        let status = self.effect.tell_changed(name, reason);
        let end = self.effect.act(kOfxActionEndInstanceChanged, Some(args()), None).0;
        self.expect("endInstanceChanged", end, &[kOfxStatOK, kOfxStatReplyDefault]);
        self.effect.take_back_images("instanceChanged");
        status
    }

    /// Whether a parameter is held at a value.
    pub fn is_pinned(&self, name: &CStr) -> bool {
        self.settings.is_pinned(name)
    }

    /// Sends an action without arguments.
    pub fn simple(&self, action: &CStr) -> OfxStatus {
        self.effect.act(action, None, None).0
    }

    /// What is saved with a project, after the plugin brought its own data into the parameters.
    pub fn save(&self) -> String {
        let status = self.simple(kOfxActionSyncPrivateData);
        self.expect("syncPrivateData", status, &[kOfxStatOK, kOfxStatReplyDefault]);
        values::save(&self.effect.params)
    }

    /// Sends destroyInstance and ends the instance's handles.
    pub fn destroy(self) {
        let status = self.simple(kOfxActionDestroyInstance);
        self.expect("destroyInstance", status, &[kOfxStatOK, kOfxStatReplyDefault]);
        self.effect.take_back_images("destroyInstance");
        self.effect.close();
    }
}

/// The pattern that stands in where no source is given.
pub fn pattern() -> Project {
    let source = Arc::new(Footage::Pattern { width: 97, height: 61, frames: 12 });
    let reference = Arc::new(Footage::Pattern { width: 64, height: 64, frames: 1 });
    Project { source, reference: Some(reference), frames: 12, fps: 25.0 }
}

/// A thread safety's rank: 0 unsafe, 1 instance safe, 2 fully safe.
pub fn safety(name: &CStr) -> u8 {
    match name {
        n if n == kOfxImageEffectRenderUnsafe => 0,
        n if n == kOfxImageEffectRenderInstanceSafe => 1,
        _ => 2,
    }
}
