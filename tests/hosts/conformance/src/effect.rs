//! Effects and their clips, described or living, and the image effect suite.

use crate::abi::*;
use crate::footage::Footage;
use crate::host::host;
use crate::params::ParamSet;
use crate::picture::{Components, Depth, Format, Layout, Picture};
use crate::props::{Map, PropSet, Value, room, status};
use crate::suites::Block;
use crate::{log, properties, scope};
use std::collections::{HashMap, VecDeque};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

/// Pictures of an input that are kept, as a host's cache keeps them.
const CACHED: usize = 8;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is edited: its clips' pictures and its length.
#[derive(Clone)]
pub struct Project {
    pub source: Arc<Footage>,
    /// What the first optional clip shows; `None` leaves it without a wire.
    pub reference: Option<Arc<Footage>>,
    /// Frames of the time line, from 0.
    pub frames: usize,
    pub fps: f64,
}

/// How a host looks at an effect at present.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    pub depth: Depth,
    /// Of the source and, as far as the clips allow, of all others.
    pub components: Components,
    pub layout: Layout,
    /// Pixels per canonical unit.
    pub scale: f64,
    /// The canonical place of the inputs' lower left corner.
    pub origin: (f64, f64),
    /// Whether the source has a wire.
    pub wired: bool,
}

impl View {
    /// Float RGBA at scale 1.
    pub const PLAIN: View = View {
        depth: Depth::Float,
        components: Components::Rgba,
        layout: Layout::Plain,
        scale: 1.0,
        origin: (0.0, 0.0),
        wired: true,
    };

    /// The pixels that a canonical rectangle covers.
    pub fn pixels(&self, r: OfxRectD) -> OfxRectI {
        OfxRectI {
            x1: (r.x1 * self.scale).floor() as c_int,
            y1: (r.y1 * self.scale).floor() as c_int,
            x2: (r.x2 * self.scale).ceil() as c_int,
            y2: (r.y2 * self.scale).ceil() as c_int,
        }
    }
}

/// A message that a plugin showed.
#[derive(Debug, Clone)]
pub struct Message {
    pub kind: CString,
    pub text: String,
    pub persistent: bool,
}

/// An input's picture: frame, format, bounds and scale say which.
type Key = (i64, Format, [c_int; 4], u64);

/// A clip, described or of an instance.
pub struct Clip {
    pub handle: usize,
    pub name: CString,
    pub effect: usize,
    pub props_handle: usize,
    pub props: Arc<PropSet>,
    /// What an instance's clip shows.
    pub footage: Option<Arc<Footage>>,
    cache: Mutex<VecDeque<(Key, Arc<Picture>, u64)>>,
}

impl Clip {
    /// Whether this is where the effect's result goes.
    pub fn is_output(&self) -> bool {
        self.name.as_c_str() == kOfxImageEffectOutputClipName
    }

    /// The component sets that the description allows.
    pub fn supports(&self) -> Vec<Components> {
        let names = self.props.strings(kOfxImageEffectPropSupportedComponents);
        names.iter().filter_map(|n| Components::from_name(n)).collect()
    }

    /// The component set that the clip has at present.
    pub fn components(&self) -> Components {
        Components::from_name(&self.props.string(kOfxImageEffectPropComponents)).unwrap_or(Components::Rgba)
    }

    /// What the clip covers, in canonical units.
    pub fn region(&self, view: &View) -> Option<OfxRectD> {
        let (width, height) = self.footage.as_ref()?.size();
        let (x, y) = view.origin;
        Some(OfxRectD { x1: x, y1: y, x2: x + width as f64, y2: y + height as f64 })
    }

    /// The picture of a time and its pixels' hash.
    pub fn picture(&self, time: f64, view: &View) -> Option<(Arc<Picture>, u64)> {
        let footage = self.footage.as_ref()?;
        let bounds = view.pixels(self.region(view)?);
        let format = Format { depth: view.depth, components: self.components(), layout: view.layout };
        let frame = (time.floor() as i64).clamp(0, footage.frames() as i64 - 1);
        let key = (frame, format, [bounds.x1, bounds.y1, bounds.x2, bounds.y2], view.scale.to_bits());
        let mut cache = lock(&self.cache);
        if let Some((_, picture, hash)) = cache.iter().find(|(k, ..)| *k == key) {
            return Some((picture.clone(), *hash));
        }
        let mut picture = Picture::new(format, bounds, 0);
        let (x, y) = view.origin;
        let canonical = |p: i32, origin: f64| (f64::from(p) + 0.5) / view.scale - origin;
        picture.paint(|px, py| footage.at(frame, canonical(px, x), canonical(py, y)));
        let picture = Arc::new(picture);
        let hash = picture.hash();
        cache.push_front((key, picture.clone(), hash));
        cache.truncate(CACHED);
        Some((picture, hash))
    }
}

/// An image that a plugin holds.
pub struct Image {
    pub effect: usize,
    /// What the image is, for findings.
    pub what: String,
    picture: Option<Arc<Picture>>,
    /// The pixels' hash, for inputs: they are the host's.
    hash: Option<u64>,
}

/// A render under way.
pub struct Rendering {
    pub output: Arc<Picture>,
    /// The frames of clips that the effect said it needs: name, first and last time.
    pub needed: Vec<(CString, f64, f64)>,
}

/// An effect: a description, the description in a context, or an instance.
pub struct Effect {
    pub handle: usize,
    pub instance: bool,
    pub entry: OfxPluginEntryPoint,
    pub props_handle: usize,
    pub props: Arc<PropSet>,
    pub params: Arc<ParamSet>,
    pub clips: Mutex<Vec<Arc<Clip>>>,
    pub project: Project,
    pub view: RwLock<View>,
    pub messages: Mutex<Vec<Message>>,
    /// Renders under way, by the bits of their time.
    pub rendering: Mutex<HashMap<u64, Rendering>>,
    /// Whether a progress is open.
    pub progress: AtomicBool,
    abort_at: Mutex<Option<Instant>>,
    /// How often the plugin asked whether to stop.
    pub polls: AtomicUsize,
    time: AtomicU64,
}

impl Effect {
    /// An effect whose properties start as `base`.
    pub fn new(
        instance: bool,
        entry: OfxPluginEntryPoint,
        base: Arc<Map>,
        params: Arc<Map>,
        project: Project,
    ) -> Arc<Effect> {
        let (props_handle, props) = host().props.insert(|_| PropSet::new("the effect", base));
        host()
            .effects
            .insert(|handle| Effect {
                handle,
                instance,
                entry,
                props_handle,
                props,
                params: ParamSet::new(handle, instance, params),
                clips: Mutex::default(),
                project,
                view: RwLock::new(View::PLAIN),
                messages: Mutex::default(),
                rendering: Mutex::default(),
                progress: AtomicBool::new(false),
                abort_at: Mutex::default(),
                polls: AtomicUsize::new(0),
                time: AtomicU64::new(0),
            })
            .1
    }

    /// Adds a clip whose properties start as `base`.
    pub fn add_clip(&self, name: &CStr, set: PropSet, footage: Option<Arc<Footage>>) -> Arc<Clip> {
        let (props_handle, props) = host().props.insert(|_| set);
        let (_, clip) = host().clips.insert(|handle| Clip {
            handle,
            name: name.to_owned(),
            effect: self.handle,
            props_handle,
            props,
            footage,
            cache: Mutex::default(),
        });
        lock(&self.clips).push(clip.clone());
        clip
    }

    /// A clip by name.
    pub fn clip(&self, name: &CStr) -> Option<Arc<Clip>> {
        lock(&self.clips).iter().find(|c| c.name.as_c_str() == name).cloned()
    }

    /// The clips.
    pub fn all_clips(&self) -> Vec<Arc<Clip>> {
        lock(&self.clips).clone()
    }

    /// How the host looks at the effect.
    pub fn view(&self) -> View {
        *self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time line's time.
    pub fn time(&self) -> f64 {
        f64::from_bits(self.time.load(Ordering::Relaxed))
    }

    /// Moves the time line.
    pub fn set_time(&self, time: f64) {
        self.time.store(time.to_bits(), Ordering::Relaxed);
    }

    /// Wants the effect to stop from a moment on; `None`: no more.
    pub fn abort_at(&self, moment: Option<Instant>) {
        *lock(&self.abort_at) = moment;
    }

    /// Whether the effect is to stop.
    pub fn aborted(&self) -> bool {
        self.polls.fetch_add(1, Ordering::Relaxed);
        lock(&self.abort_at).is_some_and(|at| Instant::now() >= at)
    }

    /// Sends an action to the plugin.
    pub fn call(&self, action: &CStr, in_args: usize, out_args: usize) -> OfxStatus {
        let Some(entry) = self.entry else { return kOfxStatFailed };
        // SAFETY: the plugin's entry point, called as the ABI says.
        scope::action(action, self.handle, || unsafe {
            entry(
                action.as_ptr(),
                self.handle as *const c_void,
                in_args as OfxPropertySetHandle,
                out_args as OfxPropertySetHandle,
            )
        })
    }

    /// Sends an action with arguments, whose sets end with the action.
    pub fn act(&self, action: &CStr, in_args: Option<Map>, out_args: Option<Map>) -> (OfxStatus, Option<Arc<PropSet>>) {
        let what = |side: &str| format!("the {side} arguments of {}", action.to_string_lossy());
        let insert = |set: PropSet| host().props.insert(|_| set);
        let in_set = in_args.map(|m| insert(PropSet::read_only(what("in"), m)));
        let out_set = out_args.map(|m| insert(PropSet::new(what("out"), Arc::new(m))));
        let handle = |set: &Option<(usize, Arc<PropSet>)>| set.as_ref().map_or(0, |(h, _)| *h);
        let status = self.call(action, handle(&in_set), handle(&out_set));
        for set in [&in_set, &out_set] {
            host().props.remove(handle(set));
        }
        (status, out_set.map(|(_, set)| set))
    }

    /// Sends instanceChanged for a parameter or clip.
    pub fn tell_changed(&self, name: &CStr, reason: &CStr) -> OfxStatus {
        let scale = self.view().scale;
        let kind = if self.clip(name).is_some() { kOfxTypeClip } else { kOfxTypeParameter };
        let args = properties! {
            kOfxPropType => kind,
            kOfxPropName => name,
            kOfxPropChangeReason => reason,
            kOfxPropTime => self.time(),
            kOfxImageEffectPropRenderScale => [scale, scale],
        };
        self.act(kOfxActionInstanceChanged, Some(args), None).0
    }

    /// Ends all handles of the effect.
    pub fn close(&self) {
        for clip in lock(&self.clips).drain(..) {
            host().clips.remove(clip.handle);
            host().props.remove(clip.props_handle);
        }
        self.params.close();
        host().effects.remove(self.handle);
        host().props.remove(self.props_handle);
    }

    /// Looks for images that an action left behind, ends them, and records a finding for each.
    pub fn take_back_images(&self, action: &str) {
        let mut images = lock(&host().images);
        let left: Vec<usize> = images.iter().filter(|(_, i)| i.effect == self.handle).map(|(h, _)| *h).collect();
        for handle in left {
            if let Some(image) = images.remove(&handle) {
                log::fail(format!("{action}: {} is not released", image.what));
                host().props.remove(handle);
            }
        }
    }
}

unsafe extern "C" fn get_property_set(effect: OfxImageEffectHandle, props: *mut OfxPropertySetHandle) -> OfxStatus {
    const CALL: &str = "getPropertySet";
    scope::enter(CALL);
    status((|| {
        room(props, CALL)?;
        let effect = host().effects.get(effect, CALL)?;
        // SAFETY: not null.
        unsafe { props.write(effect.props_handle as OfxPropertySetHandle) };
        Ok(())
    })())
}

unsafe extern "C" fn get_param_set(effect: OfxImageEffectHandle, params: *mut OfxParamSetHandle) -> OfxStatus {
    const CALL: &str = "getParamSet";
    scope::enter(CALL);
    status((|| {
        room(params, CALL)?;
        let effect = host().effects.get(effect, CALL)?;
        // SAFETY: not null.
        unsafe { params.write(effect.params.handle as OfxParamSetHandle) };
        Ok(())
    })())
}

unsafe extern "C" fn clip_define(
    effect: OfxImageEffectHandle,
    name: *const c_char,
    props: *mut OfxPropertySetHandle,
) -> OfxStatus {
    const CALL: &str = "clipDefine";
    // SAFETY: the ABI asks for a C string.
    let name = unsafe { scope::text(name, CALL) };
    scope::enter(CALL);
    status((|| {
        let effect = host().effects.get(effect, CALL)?;
        let name = name.ok_or(kOfxStatErrValue)?;
        let shown = name.to_string_lossy();
        if effect.instance || scope::current().is_none_or(|(a, _)| a != "OfxImageEffectActionDescribeInContext") {
            log::fail(format!("{CALL}: {shown}: outside of describeInContext"));
            return Err(kOfxStatFailed);
        }
        if effect.clip(&name).is_some() {
            log::fail(format!("{CALL}: {shown} is defined twice"));
            return Err(kOfxStatErrExists);
        }
        let base = properties! {
            kOfxPropType => kOfxTypeClip,
            kOfxPropName => &*name,
            kOfxPropLabel => &*name,
            kOfxPropShortLabel => &*name,
            kOfxPropLongLabel => &*name,
            kOfxImageEffectPropSupportedComponents => Value::Strings(Vec::new()),
            kOfxImageEffectPropTemporalClipAccess => 0,
            kOfxImageClipPropOptional => 0,
            kOfxImageClipPropFieldExtraction => kOfxImageFieldDoubled,
            kOfxImageClipPropIsMask => 0,
            kOfxImageEffectPropSupportsTiles => 1,
        };
        let set = PropSet::new(format!("clip {shown}"), Arc::new(base));
        let clip = effect.add_clip(&name, set, None);
        if !props.is_null() {
            // SAFETY: not null.
            unsafe { props.write(clip.props_handle as OfxPropertySetHandle) };
        }
        Ok(())
    })())
}

unsafe extern "C" fn clip_get_handle(
    effect: OfxImageEffectHandle,
    name: *const c_char,
    clip: *mut OfxImageClipHandle,
    props: *mut OfxPropertySetHandle,
) -> OfxStatus {
    const CALL: &str = "clipGetHandle";
    // SAFETY: the ABI asks for a C string.
    let name = unsafe { scope::text(name, CALL) };
    scope::enter(CALL);
    status((|| {
        let effect = host().effects.get(effect, CALL)?;
        let name = name.ok_or(kOfxStatErrValue)?;
        if !effect.instance {
            log::fail(format!("{CALL}: {}: of a description", name.to_string_lossy()));
            return Err(kOfxStatErrBadHandle);
        }
        let Some(found) = effect.clip(&name) else {
            log::warn(format!("{CALL}: there is no clip {}", name.to_string_lossy()));
            return Err(kOfxStatErrUnknown);
        };
        // SAFETY: not null.
        unsafe {
            if !clip.is_null() {
                clip.write(found.handle as OfxImageClipHandle);
            }
            if !props.is_null() {
                props.write(found.props_handle as OfxPropertySetHandle);
            }
        }
        Ok(())
    })())
}

unsafe extern "C" fn clip_get_property_set(clip: OfxImageClipHandle, props: *mut OfxPropertySetHandle) -> OfxStatus {
    const CALL: &str = "clipGetPropertySet";
    scope::enter(CALL);
    status((|| {
        room(props, CALL)?;
        let clip = host().clips.get(clip, CALL)?;
        // SAFETY: not null.
        unsafe { props.write(clip.props_handle as OfxPropertySetHandle) };
        Ok(())
    })())
}

/// Where a plugin may ask for images.
const MAY_FETCH: [&CStr; 4] = [
    kOfxImageEffectActionRender,
    kOfxActionInstanceChanged,
    kOfxImageEffectActionBeginSequenceRender,
    kOfxImageEffectActionEndSequenceRender,
];

unsafe extern "C" fn clip_get_image(
    clip: OfxImageClipHandle,
    time: OfxTime,
    _region: *const OfxRectD,
    image: *mut OfxPropertySetHandle,
) -> OfxStatus {
    const CALL: &str = "clipGetImage";
    scope::enter(CALL);
    status((|| {
        room(image, CALL)?;
        // SAFETY: not null. Some hosts leave the handle as it is when they fail; a null is kinder.
        unsafe { image.write(ptr::null_mut()) };
        let clip = host().clips.get(clip, CALL)?;
        let effect = host().effects.find(clip.effect).ok_or(kOfxStatErrBadHandle)?;
        let name = clip.name.to_string_lossy();
        let action = scope::current().map_or(String::new(), |(a, _)| a);
        let within = |a: &CStr| a.to_str() == Ok(action.as_str());
        // A thread of the multi-thread suite is in no action of its own.
        if !action.is_empty() && !MAY_FETCH.iter().any(|a| within(a)) {
            log::fail(format!("{CALL}: an image of {name} within {action}"));
            return Err(kOfxStatFailed);
        }
        if !time.is_finite() {
            log::fail(format!("{CALL}: {name} at the time {time}"));
            return Err(kOfxStatErrValue);
        }
        let view = effect.view();
        let (picture, hash) = if clip.is_output() {
            match lock(&effect.rendering).get(&time.to_bits()) {
                Some(rendering) => (Some(rendering.output.clone()), None),
                None => {
                    log::fail(format!("{CALL}: {name} at {time}, which is not being rendered"));
                    return Err(kOfxStatFailed);
                }
            }
        } else {
            let rendering = lock(&effect.rendering);
            let said = |r: &Rendering| {
                r.needed.iter().any(|(n, first, last)| *n == clip.name && (*first..=*last).contains(&time))
            };
            if within(kOfxImageEffectActionRender) && !rendering.values().any(said) {
                log::fail(format!("{CALL}: {name} at a time that getFramesNeeded did not name"));
            }
            drop(rendering);
            match clip.picture(time, &view) {
                Some((picture, hash)) => (Some(picture), Some(hash)),
                None if host().profile().hollow => (None, None),
                None => return Err(kOfxStatFailed),
            }
        };
        let what = format!("the image of {name}");
        let map = image_properties(picture.as_deref(), &clip, &view, time);
        let (handle, _) = host().props.insert(|_| PropSet::read_only(what.clone(), map));
        lock(&host().images).insert(handle, Image { effect: effect.handle, what, picture, hash });
        // SAFETY: not null.
        unsafe { image.write(handle as OfxPropertySetHandle) };
        Ok(())
    })())
}

fn image_properties(picture: Option<&Picture>, clip: &Clip, view: &View, time: f64) -> Map {
    let Some(picture) = picture else {
        return properties! { kOfxPropType => kOfxTypeImage, kOfxImagePropData => Value::Pointers(vec![0]) };
    };
    let premultiplication = match picture.format.components {
        Components::Rgb => kOfxImageOpaque,
        _ => kOfxImageUnPreMultiplied,
    };
    let unique = CString::new(format!("{} {time} {:x}", clip.name.to_string_lossy(), picture.data() as usize));
    properties! {
        kOfxPropType => kOfxTypeImage,
        kOfxImageEffectPropPixelDepth => picture.format.depth.name(),
        kOfxImageEffectPropComponents => picture.format.components.name(),
        kOfxImageEffectPropPreMultiplication => premultiplication,
        kOfxImageEffectPropRenderScale => [view.scale, view.scale],
        kOfxImagePropPixelAspectRatio => 1.0,
        kOfxImagePropData => Value::Pointers(vec![picture.data() as usize]),
        kOfxImagePropBounds => picture.bounds,
        kOfxImagePropRegionOfDefinition => picture.bounds,
        kOfxImagePropRowBytes => picture.row_bytes,
        kOfxImagePropField => kOfxImageFieldNone,
        kOfxImagePropUniqueIdentifier => &*unique.unwrap_or_default(),
    }
}

unsafe extern "C" fn clip_release_image(image: OfxPropertySetHandle) -> OfxStatus {
    const CALL: &str = "clipReleaseImage";
    scope::enter(CALL);
    let Some(released) = lock(&host().images).remove(&(image as usize)) else {
        log::fail(format!("{CALL}: not an image, or one released before"));
        return kOfxStatErrBadHandle;
    };
    host().props.remove(image as usize);
    if let Some(picture) = released.picture {
        if let Err(place) = picture.check_canaries() {
            log::fail(format!("{CALL}: {} was written to outside of its bounds: {place}", released.what));
        }
        if released.hash.is_some_and(|hash| hash != picture.hash()) {
            log::fail(format!("{CALL}: {} was changed; inputs are the host's", released.what));
        }
    }
    kOfxStatOK
}

unsafe extern "C" fn clip_get_region_of_definition(
    clip: OfxImageClipHandle,
    _time: OfxTime,
    bounds: *mut OfxRectD,
) -> OfxStatus {
    const CALL: &str = "clipGetRegionOfDefinition";
    scope::enter(CALL);
    status((|| {
        room(bounds, CALL)?;
        let clip = host().clips.get(clip, CALL)?;
        let effect = host().effects.find(clip.effect).ok_or(kOfxStatErrBadHandle)?;
        let view = effect.view();
        let source = || effect.clip(kOfxImageEffectSimpleSourceClipName).and_then(|c| c.region(&view));
        let region = if clip.is_output() { source() } else { clip.region(&view) };
        // SAFETY: not null.
        unsafe { bounds.write(region.ok_or(kOfxStatFailed)?) };
        Ok(())
    })())
}

unsafe extern "C" fn abort(effect: OfxImageEffectHandle) -> c_int {
    // Plugins poll from threads of their own, which hosts bear.
    scope::enter_any();
    host().effects.get(effect, "abort").is_ok_and(|e| e.aborted()).into()
}

unsafe extern "C" fn image_memory_alloc(
    effect: OfxImageEffectHandle,
    bytes: usize,
    memory: *mut OfxImageMemoryHandle,
) -> OfxStatus {
    const CALL: &str = "imageMemoryAlloc";
    scope::enter(CALL);
    status((|| {
        room(memory, CALL)?;
        if !effect.is_null() {
            host().effects.get(effect, CALL)?;
        }
        let (handle, _) = host().blocks.insert(|_| Block::new(bytes));
        // SAFETY: not null.
        unsafe { memory.write(handle as OfxImageMemoryHandle) };
        Ok(())
    })())
}

unsafe extern "C" fn image_memory_free(memory: OfxImageMemoryHandle) -> OfxStatus {
    const CALL: &str = "imageMemoryFree";
    scope::enter(CALL);
    match host().blocks.remove(memory as usize) {
        Some(block) => {
            if !block.intact() {
                log::fail(format!("{CALL}: the plugin wrote beside its block of memory"));
            }
            kOfxStatOK
        }
        None => host().blocks.bad(memory.cast(), CALL),
    }
}

unsafe extern "C" fn image_memory_lock(memory: OfxImageMemoryHandle, address: *mut *mut c_void) -> OfxStatus {
    const CALL: &str = "imageMemoryLock";
    scope::enter(CALL);
    status((|| {
        room(address, CALL)?;
        let block = host().blocks.get(memory, CALL)?;
        // SAFETY: not null.
        unsafe { address.write(block.address()) };
        Ok(())
    })())
}

unsafe extern "C" fn image_memory_unlock(memory: OfxImageMemoryHandle) -> OfxStatus {
    scope::enter("imageMemoryUnlock");
    status(host().blocks.get(memory, "imageMemoryUnlock").map(|_| ()))
}

/// The image effect suite.
pub static SUITE: OfxImageEffectSuiteV1 = OfxImageEffectSuiteV1 {
    getPropertySet: Some(get_property_set),
    getParamSet: Some(get_param_set),
    clipDefine: Some(clip_define),
    clipGetHandle: Some(clip_get_handle),
    clipGetPropertySet: Some(clip_get_property_set),
    clipGetImage: Some(clip_get_image),
    clipReleaseImage: Some(clip_release_image),
    clipGetRegionOfDefinition: Some(clip_get_region_of_definition),
    abort: Some(abort),
    imageMemoryAlloc: Some(image_memory_alloc),
    imageMemoryFree: Some(image_memory_free),
    imageMemoryLock: Some(image_memory_lock),
    imageMemoryUnlock: Some(image_memory_unlock),
};
