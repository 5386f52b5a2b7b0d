//! A deliberately plain OpenFX plugin: it inverts its source, mixed by one parameter. A second parameter makes it
//! misbehave, so that tests of the conformance host see the host fail it.

#![allow(non_upper_case_globals, reason = "the constants of the C headers keep their names")]
#![allow(clippy::undocumented_unsafe_blocks, reason = "each call trusts the host to keep to the ABI")]

use openfx::sys::generic::{core::*, property::*};
use openfx::sys::image_effect_v1::{image_effect::*, message::*, param::*};
use openfx::sys_plugin_helpers::{ImageEffectPluginV1, Plugins, export_plugins, plugin_struct};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use std::time::Duration;

/// What the parameter `misbehave` offers, in order.
pub const MISBEHAVIOURS: [&CStr; 20] = [
    c"nothing",
    c"write outside of the bounds",
    c"write outside of the window",
    c"write into the source",
    c"leave pixels unwritten",
    c"leak an image",
    c"release an image twice",
    c"use an image after its release",
    c"use a string too late",
    c"crash",
    c"hang",
    c"fail without a message",
    c"trust unset properties",
    c"depend on the last frame",
    c"race on the instance",
    c"call from a foreign thread",
    c"set a parameter in render",
    c"leak memory",
    c"open a file in render",
    c"read the environment in render",
];

struct Suites {
    props: &'static OfxPropertySuiteV1,
    params: &'static OfxParameterSuiteV1,
    effects: &'static OfxImageEffectSuiteV1,
    message: Option<&'static OfxMessageSuiteV1>,
}

static HOST: AtomicPtr<OfxHost> = AtomicPtr::new(ptr::null_mut());
static SUITES: Mutex<Option<&'static Suites>> = Mutex::new(None);
/// For misbehaviour: what the last frame was, and leaked memory.
static LAST: AtomicU32 = AtomicU32::new(0);

/// The plugin.
struct Probe;

impl ImageEffectPluginV1 for Probe {
    const PLUGIN_IDENTIFIER: &'static CStr = c"org.headgan.Probe";
    const PLUGIN_VERSION_MAJOR: u32 = 1;
    const PLUGIN_VERSION_MINOR: u32 = 0;

    extern "C" fn set_host(host: *mut OfxHost) {
        HOST.store(host, Ordering::SeqCst);
    }

    extern "C" fn main_entry(
        action: *const c_char,
        handle: *const c_void,
        in_args: OfxPropertySetHandle,
        _out_args: OfxPropertySetHandle,
    ) -> OfxStatus {
        // SAFETY: hosts pass a C string and handles of their own.
        unsafe { act(CStr::from_ptr(action), handle as OfxImageEffectHandle, in_args) }.err().unwrap_or(kOfxStatOK)
    }
}

struct Probes;

impl Plugins for Probes {
    fn plugins(_: Option<*const OfxHost>) -> Vec<OfxPlugin> {
        vec![plugin_struct!(Probe)]
    }
}

export_plugins!(Probes);

type Result<T> = std::result::Result<T, OfxStatus>;

fn ok(status: OfxStatus) -> Result<()> {
    if status == kOfxStatOK { Ok(()) } else { Err(status) }
}

fn suites() -> Result<&'static Suites> {
    SUITES.lock().ok().and_then(|s| *s).ok_or(kOfxStatErrMissingHostFeature)
}

unsafe fn act(action: &CStr, effect: OfxImageEffectHandle, in_args: OfxPropertySetHandle) -> Result<()> {
    unsafe {
        match action {
            a if a == kOfxActionLoad => load(),
            a if a == kOfxActionDescribe => describe(effect),
            a if a == kOfxImageEffectActionDescribeInContext => describe_in_context(effect),
            a if a == kOfxActionCreateInstance => create(effect),
            a if a == kOfxImageEffectActionRender => render(effect, in_args),
            a if a == kOfxActionDestroyInstance || a == kOfxActionUnload => Ok(()),
            _ => Err(kOfxStatReplyDefault),
        }
    }
}

unsafe fn load() -> Result<()> {
    unsafe {
        let host = HOST.load(Ordering::SeqCst).as_ref().ok_or(kOfxStatErrMissingHostFeature)?;
        let fetch = host.fetchSuite.ok_or(kOfxStatErrMissingHostFeature)?;
        let get = |name: &CStr| fetch(host.host, name.as_ptr(), 1);
        let suites = Suites {
            props: get(kOfxPropertySuite).cast::<OfxPropertySuiteV1>().as_ref().ok_or(kOfxStatErrMissingHostFeature)?,
            params: get(kOfxParameterSuite)
                .cast::<OfxParameterSuiteV1>()
                .as_ref()
                .ok_or(kOfxStatErrMissingHostFeature)?,
            effects: get(kOfxImageEffectSuite)
                .cast::<OfxImageEffectSuiteV1>()
                .as_ref()
                .ok_or(kOfxStatErrMissingHostFeature)?,
            message: get(kOfxMessageSuite).cast::<OfxMessageSuiteV1>().as_ref(),
        };
        // Loaded again without unload, the old ones stay: a few addresses, bounded by the number of loads.
        if let Ok(mut place) = SUITES.lock() {
            match place.as_deref() {
                Some(old) if same(old, &suites) => {}
                _ => *place = Some(Box::leak(Box::new(suites))),
            }
        }
        Ok(())
    }
}

fn same(a: &Suites, b: &Suites) -> bool {
    ptr::eq(a.props, b.props) && a.message.map(ptr::from_ref) == b.message.map(ptr::from_ref)
}

unsafe fn props_of(effect: OfxImageEffectHandle) -> Result<OfxPropertySetHandle> {
    let mut set = ptr::null_mut();
    unsafe { ok((suites()?.effects.getPropertySet.ok_or(kOfxStatFailed)?)(effect, &mut set))? };
    Ok(set)
}

unsafe fn set_strings(set: OfxPropertySetHandle, name: &CStr, values: &[&CStr]) -> Result<()> {
    let put = suites()?.props.propSetString.ok_or(kOfxStatFailed)?;
    for (i, value) in values.iter().enumerate() {
        unsafe { ok(put(set, name.as_ptr(), i as c_int, value.as_ptr()))? };
    }
    Ok(())
}

unsafe fn get_ints<const N: usize>(set: OfxPropertySetHandle, name: &CStr) -> Result<[c_int; N]> {
    let mut values = [0; N];
    unsafe {
        ok((suites()?.props.propGetIntN.ok_or(kOfxStatFailed)?)(set, name.as_ptr(), N as c_int, values.as_mut_ptr()))?;
    };
    Ok(values)
}

unsafe fn describe(effect: OfxImageEffectHandle) -> Result<()> {
    unsafe {
        let set = props_of(effect)?;
        set_strings(set, kOfxPropLabel, &[c"Probe"])?;
        set_strings(
            set,
            kOfxImageEffectPropSupportedContexts,
            &[kOfxImageEffectContextFilter, kOfxImageEffectContextGeneral],
        )?;
        let depths = [kOfxBitDepthByte, kOfxBitDepthShort, kOfxBitDepthFloat];
        set_strings(set, kOfxImageEffectPropSupportedPixelDepths, &depths)?;
        set_strings(set, kOfxImageEffectPluginRenderThreadSafety, &[kOfxImageEffectRenderFullySafe])
    }
}

unsafe fn describe_in_context(effect: OfxImageEffectHandle) -> Result<()> {
    unsafe {
        let s = suites()?;
        let components = [kOfxImageComponentRGBA, kOfxImageComponentRGB, kOfxImageComponentAlpha];
        for name in [kOfxImageEffectSimpleSourceClipName, kOfxImageEffectOutputClipName] {
            let mut set = ptr::null_mut();
            ok((s.effects.clipDefine.ok_or(kOfxStatFailed)?)(effect, name.as_ptr(), &mut set))?;
            set_strings(set, kOfxImageEffectPropSupportedComponents, &components)?;
        }
        let mut params = ptr::null_mut();
        ok((s.effects.getParamSet.ok_or(kOfxStatFailed)?)(effect, &mut params))?;
        let define = s.params.paramDefine.ok_or(kOfxStatFailed)?;
        let mut set = ptr::null_mut();
        ok(define(params, kOfxParamTypeDouble.as_ptr(), c"mix".as_ptr(), &mut set))?;
        set_strings(set, kOfxPropLabel, &[c"Mix"])?;
        let put = s.props.propSetDouble.ok_or(kOfxStatFailed)?;
        for (name, value) in [
            (kOfxParamPropDefault, 1.0),
            (kOfxParamPropMin, 0.0),
            (kOfxParamPropMax, 1.0),
            (kOfxParamPropDisplayMin, 0.0),
            (kOfxParamPropDisplayMax, 1.0),
        ] {
            ok(put(set, name.as_ptr(), 0, value))?;
        }
        ok(define(params, kOfxParamTypeChoice.as_ptr(), c"misbehave".as_ptr(), &mut set))?;
        set_strings(set, kOfxPropLabel, &[c"Misbehave"])?;
        set_strings(set, kOfxParamPropChoiceOption, &MISBEHAVIOURS)?;
        ok((s.props.propSetInt.ok_or(kOfxStatFailed)?)(set, kOfxParamPropAnimates.as_ptr(), 0, 0))
    }
}

unsafe fn param(effect: OfxImageEffectHandle, name: &CStr) -> Result<OfxParamHandle> {
    let s = suites()?;
    let (mut set, mut param) = (ptr::null_mut(), ptr::null_mut());
    unsafe {
        ok((s.effects.getParamSet.ok_or(kOfxStatFailed)?)(effect, &mut set))?;
        ok((s.params.paramGetHandle.ok_or(kOfxStatFailed)?)(set, name.as_ptr(), &mut param, ptr::null_mut()))?;
    }
    Ok(param)
}

unsafe fn misbehaviour(effect: OfxImageEffectHandle) -> Result<&'static CStr> {
    let mut index: c_int = 0;
    unsafe {
        let get = suites()?.params.paramGetValue.ok_or(kOfxStatFailed)?;
        ok(get(param(effect, c"misbehave")?, &mut index as *mut c_int))?;
    }
    MISBEHAVIOURS.get(index as usize).copied().ok_or(kOfxStatErrValue)
}

unsafe fn create(effect: OfxImageEffectHandle) -> Result<()> {
    unsafe {
        if misbehaviour(effect)? == c"trust unset properties" {
            let mut size = ptr::null_mut::<c_char>();
            let s = suites()?;
            let get = s.props.propGetString.ok_or(kOfxStatFailed)?;
            // Where the host has no frame rate, the address stays null and is read nevertheless.
            let mut rate = 0.0;
            let number = s.props.propGetDouble.ok_or(kOfxStatFailed)?;
            if number(props_of(effect)?, kOfxImageEffectPropFrameRate.as_ptr(), 0, &mut rate) == kOfxStatOK {
                get(props_of(effect)?, kOfxImageEffectPropContext.as_ptr(), 0, &mut size);
            }
            ptr::read_volatile(size);
        }
        Ok(())
    }
}

/// An image as the host has it.
struct Image {
    set: OfxPropertySetHandle,
    data: *mut u8,
    bounds: [c_int; 4],
    row_bytes: isize,
    /// Samples of a pixel and bytes of a sample.
    layout: (usize, usize),
}

impl Image {
    unsafe fn get(effect: OfxImageEffectHandle, clip_name: &CStr, time: f64) -> Result<Image> {
        unsafe {
            let s = suites()?;
            let (mut clip, mut set) = (ptr::null_mut(), ptr::null_mut());
            ok((s.effects.clipGetHandle.ok_or(kOfxStatFailed)?)(
                effect,
                clip_name.as_ptr(),
                &mut clip,
                ptr::null_mut(),
            ))?;
            ok((s.effects.clipGetImage.ok_or(kOfxStatFailed)?)(clip, time, ptr::null(), &mut set))?;
            Image::of(set).inspect_err(|_| {
                Image::release(set);
            })
        }
    }

    unsafe fn of(set: OfxPropertySetHandle) -> Result<Image> {
        unsafe {
            let s = suites()?;
            let mut data = ptr::null_mut();
            ok((s.props.propGetPointer.ok_or(kOfxStatFailed)?)(set, kOfxImagePropData.as_ptr(), 0, &mut data))?;
            if data.is_null() {
                return Err(kOfxStatFailed);
            }
            let mut text = ptr::null_mut();
            let get = s.props.propGetString.ok_or(kOfxStatFailed)?;
            ok(get(set, kOfxImageEffectPropComponents.as_ptr(), 0, &mut text))?;
            let samples = match CStr::from_ptr(text) {
                c if c == kOfxImageComponentRGBA => 4,
                c if c == kOfxImageComponentRGB => 3,
                _ => 1,
            };
            ok(get(set, kOfxImageEffectPropPixelDepth.as_ptr(), 0, &mut text))?;
            let bytes = match CStr::from_ptr(text) {
                d if d == kOfxBitDepthByte => 1,
                d if d == kOfxBitDepthShort => 2,
                d if d == kOfxBitDepthFloat => 4,
                _ => return Err(kOfxStatErrImageFormat),
            };
            Ok(Image {
                set,
                data: data.cast(),
                bounds: get_ints(set, kOfxImagePropBounds)?,
                row_bytes: get_ints::<1>(set, kOfxImagePropRowBytes)?[0] as isize,
                layout: (samples, bytes),
            })
        }
    }

    /// The address of a pixel.
    unsafe fn at(&self, x: c_int, y: c_int) -> *mut u8 {
        let (x, y) = ((x - self.bounds[0]) as isize, (y - self.bounds[1]) as isize);
        unsafe { self.data.offset(y * self.row_bytes + x * (self.layout.0 * self.layout.1) as isize) }
    }

    unsafe fn release(set: OfxPropertySetHandle) -> OfxStatus {
        suites().ok().and_then(|s| s.effects.clipReleaseImage).map_or(kOfxStatFailed, |r| unsafe { r(set) })
    }
}

unsafe fn say(effect: OfxImageEffectHandle, text: &CStr) {
    let message = suites().ok().and_then(|s| s.message).and_then(|m| m.message);
    if let Some(message) = message {
        unsafe { message(effect.cast(), kOfxMessageError.as_ptr(), c"".as_ptr(), c"%s".as_ptr(), text.as_ptr()) };
    }
}

unsafe fn render(effect: OfxImageEffectHandle, in_args: OfxPropertySetHandle) -> Result<()> {
    unsafe {
        let s = suites()?;
        let mut time = 0.0;
        let get = s.props.propGetDouble.ok_or(kOfxStatFailed)?;
        ok(get(in_args, kOfxPropTime.as_ptr(), 0, &mut time))?;
        let window: [c_int; 4] = get_ints(in_args, kOfxImageEffectPropRenderWindow)?;
        let mut mix = 0.0;
        let value = s.params.paramGetValueAtTime.ok_or(kOfxStatFailed)?;
        ok(value(param(effect, c"mix")?, time, &mut mix as *mut f64))?;
        let wrong = misbehaviour(effect)?;
        if wrong == c"fail without a message" {
            return Err(kOfxStatFailed);
        }
        let source = match Image::get(effect, kOfxImageEffectSimpleSourceClipName, time) {
            Ok(source) => source,
            Err(bad) => {
                say(effect, c"Probe: there is no source image: connect the source");
                return Err(bad);
            }
        };
        let output = match Image::get(effect, kOfxImageEffectOutputClipName, time) {
            Ok(output) => output,
            Err(bad) => {
                Image::release(source.set);
                return Err(bad);
            }
        };
        let mut written = window;
        if wrong == c"leave pixels unwritten" {
            written[3] -= 1;
        }
        invert(&source, &output, written, mix as f32);
        let stolen = misbehave(wrong, effect, &source, &output, window, time);
        if !stolen {
            ok(Image::release(source.set))?;
        }
        ok(Image::release(output.set))?;
        if wrong == c"release an image twice" {
            Image::release(output.set);
        }
        if wrong == c"use an image after its release" {
            get_ints::<4>(output.set, kOfxImagePropBounds).ok();
        }
        Ok(())
    }
}

/// Inverts `source` into the window of `output`, mixed; black where the source has no pixel.
unsafe fn invert(source: &Image, output: &Image, window: [c_int; 4], mix: f32) {
    let (samples, bytes) = output.layout;
    let inside = |x: c_int, y: c_int| {
        let [x1, y1, x2, y2] = source.bounds;
        (x1..x2).contains(&x) && (y1..y2).contains(&y) && source.layout == output.layout
    };
    for y in window[1]..window[3] {
        for x in window[0]..window[2] {
            let has = inside(x, y);
            for c in 0..samples {
                // SAFETY: within both images' bounds; samples may not be aligned to more than a byte.
                unsafe {
                    let to = output.at(x, y).add(c * bytes);
                    let from = if has { source.at(x, y).add(c * bytes) } else { ptr::null_mut() };
                    let mixed = |v: f32, white: f32| if has { v + (white - 2.0 * v) * mix } else { 0.0 };
                    let read = |scale: f32| match bytes {
                        _ if from.is_null() => 0.0,
                        1 => f32::from(*from) * scale,
                        2 => f32::from(from.cast::<u16>().read_unaligned()) * scale,
                        _ => from.cast::<f32>().read_unaligned(),
                    };
                    match bytes {
                        1 => to.write(mixed(read(1.0), 255.0).round() as u8),
                        2 => to.cast::<u16>().write_unaligned(mixed(read(1.0), 65535.0).round() as u16),
                        _ => to.cast::<f32>().write_unaligned(mixed(read(1.0), 1.0)),
                    }
                }
            }
        }
    }
}

/// Does what the parameter says; true if the source image is not to be released.
unsafe fn misbehave(
    what: &CStr,
    effect: OfxImageEffectHandle,
    source: &Image,
    output: &Image,
    window: [c_int; 4],
    time: f64,
) -> bool {
    let [x1, y1, _, y2] = output.bounds;
    let lowest = if output.row_bytes < 0 { y2 - 1 } else { y1 };
    unsafe {
        match what.to_bytes() {
            // Before the first row in memory: after the last one, a page that cannot be written would end the process.
            b"write outside of the bounds" => output.at(x1, lowest).sub(1).write(1),
            b"write outside of the window" if window[0] > x1 => output.at(x1, y1).write(1),
            b"write into the source" => {
                let at = source.at(source.bounds[0], source.bounds[1]);
                at.write(at.read() ^ 1);
            }
            b"leak an image" => return true,
            b"use a string too late" => late_string(effect).unwrap_or(()),
            b"crash" => ptr::null_mut::<u8>().write_volatile(1),
            b"hang" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            b"depend on the last frame" => {
                let last = LAST.swap(time as u32, Ordering::SeqCst);
                output.at(x1, y1).write(last as u8);
            }
            b"race on the instance" => {
                // What another thread writes meanwhile gets into this frame.
                LAST.store(time as u32, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                output.at(x1, y1).write(LAST.load(Ordering::SeqCst) as u8);
            }
            b"call from a foreign thread" => {
                let handle = effect as usize;
                let call = std::thread::spawn(move || {
                    props_of(handle as OfxImageEffectHandle).ok();
                });
                call.join().ok();
            }
            b"set a parameter in render" => {
                if let (Ok(s), Ok(mix)) = (suites(), param(effect, c"mix"))
                    && let Some(set) = s.params.paramSetValue
                {
                    set(mix, 1.0_f64);
                }
            }
            b"leak memory" => {
                Box::leak(vec![1_u8; 10_000].into_boxed_slice());
            }
            b"open a file in render" => {
                std::fs::File::open("/proc/version").ok();
            }
            b"read the environment in render" => {
                std::hint::black_box(std::env::var_os("PROBE"));
            }
            _ => {}
        }
    }
    false
}

unsafe fn late_string(effect: OfxImageEffectHandle) -> Result<()> {
    unsafe {
        let s = suites()?;
        let set = props_of(effect)?;
        let mut text = ptr::null_mut();
        let get = s.props.propGetString.ok_or(kOfxStatFailed)?;
        ok(get(set, kOfxImageEffectPropContext.as_ptr(), 0, &mut text))?;
        get_ints::<1>(set, kOfxPropIsInteractive)?;
        say(effect, CStr::from_ptr(text));
        // The name of a clip, as a plugin would keep it: by now it is another string.
        let mut clip = ptr::null_mut();
        (s.effects.clipGetHandle.ok_or(kOfxStatFailed)?)(effect, text, &mut clip, ptr::null_mut());
        Ok(())
    }
}
