//! A host as small as can be: every suite over hash maps, strict about what it was asked.
//!
//! Functions with variable arguments cannot be written in stable Rust. On x86-64 and AArch64 (except Apple's) a call of
//! one passes its arguments as a call of a plain function does, so that plain functions stand in for them.

#![allow(dead_code)]
#![allow(clippy::undocumented_unsafe_blocks, reason = "a host's functions: each trusts the plugin to keep to the ABI")]

use half::f16;
use headgan::frame::{Color, Frame, Sample};
use openfx::sys::generic::core::*;
use openfx::sys::generic::property::*;
use openfx::sys::image_effect_v1::image_effect::*;
use openfx::sys::image_effect_v1::message::*;
use openfx::sys::image_effect_v1::multi_thread::*;
use openfx::sys::image_effect_v1::param::*;
use openfx::sys::image_effect_v1::progress::*;
use openfx::sys::image_effect_v1::time_line::*;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::mem::transmute;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

#[derive(Debug, Clone, PartialEq)]
pub enum Val {
    Int(i32),
    Double(f64),
    Text(String),
    Pointer(usize),
}

#[derive(Debug, Default, Clone)]
pub struct Props(pub HashMap<String, Vec<Val>>);

impl Props {
    pub fn put(&mut self, name: &CStr, values: &[Val]) -> &mut Props {
        self.0.insert(name.to_str().unwrap().into(), values.to_vec());
        self
    }
    pub fn text(&mut self, name: &CStr, text: &CStr) -> &mut Props {
        self.put(name, &[Val::Text(text.to_str().unwrap().into())])
    }
    pub fn get(&self, name: &CStr) -> &[Val] {
        self.0.get(name.to_str().unwrap()).map_or(&[], |v| v)
    }
    pub fn texts(&self, name: &CStr) -> Vec<String> {
        let text = |v: &Val| if let Val::Text(t) = v { t.clone() } else { panic!("{v:?}") };
        self.get(name).iter().map(text).collect()
    }
    pub fn doubles(&self, name: &CStr) -> Vec<f64> {
        let number = |v: &Val| if let Val::Double(t) = v { *t } else { panic!("{v:?}") };
        self.get(name).iter().map(number).collect()
    }
    fn handle(&mut self) -> OfxPropertySetHandle {
        (self as *mut Props).cast()
    }
}

/// How a picture lies in memory.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    pub depth: &'static CStr,
    pub kind: &'static CStr,
    pub alpha: &'static CStr,
    /// Lower left corner.
    pub origin: (i32, i32),
    /// Bytes after each row.
    pub padding: usize,
    /// Rows from top to bottom.
    pub negative: bool,
}

impl Layout {
    pub const FLOAT: Layout = Layout {
        depth: kOfxBitDepthFloat,
        kind: kOfxImageComponentRGBA,
        alpha: kOfxImageUnPreMultiplied,
        origin: (0, 0),
        padding: 0,
        negative: false,
    };
    pub fn channels(&self) -> usize {
        match self.kind {
            k if k == kOfxImageComponentRGBA => 4,
            k if k == kOfxImageComponentRGB => 3,
            _ => 1,
        }
    }
    fn sample(&self) -> usize {
        match self.depth {
            d if d == kOfxBitDepthByte => 1,
            d if d == kOfxBitDepthFloat => 4,
            _ => 2,
        }
    }
}

/// Added to the addresses of pictures that lie "on a device": whoever looks there without the driver crashes. 0: none do.
pub static DEVICE: AtomicUsize = AtomicUsize::new(0);
/// The stream that such pictures are rendered on.
pub const STREAM: usize = 0x57;

/// Bytes around a picture that nobody may touch.
const CANARY: usize = 64;
const TOUCHED: u8 = 0xa5;

/// A picture that is lent to the plugin.
pub struct Lent {
    props: Props,
    pub bytes: Vec<u8>,
    pub layout: Layout,
    pub size: (usize, usize),
}

impl Lent {
    fn row(&self) -> usize {
        self.size.0 * self.layout.channels() * self.layout.sample() + self.layout.padding
    }
    /// Where row `y` (from the bottom) begins.
    fn start(&self, y: usize) -> usize {
        let y = if self.layout.negative { self.size.1 - 1 - y } else { y };
        CANARY + y * self.row()
    }

    /// A picture of these stored samples (RGBA, rows from the top).
    pub fn new(size: (usize, usize), stored: &[f32], layout: Layout) -> Box<Lent> {
        let mut lent = Box::new(Lent { props: Props::default(), bytes: Vec::new(), layout, size });
        lent.bytes = vec![TOUCHED; 2 * CANARY + lent.row() * size.1];
        for (i, p) in stored.chunks_exact(4).enumerate() {
            let (x, y) = (i % size.0, size.1 - 1 - i / size.0);
            for (c, v) in p.iter().enumerate().take(layout.channels()) {
                lent.put(x, y, c, *v);
            }
        }
        let (x1, y1) = layout.origin;
        let bounds = [x1, y1, x1 + size.0 as i32, y1 + size.1 as i32].map(Val::Int);
        let row = lent.row() as i32 * if layout.negative { -1 } else { 1 };
        let data = lent.bytes.as_mut_ptr() as usize + lent.start(0) + DEVICE.load(Ordering::SeqCst);
        lent.props
            .put(kOfxImagePropBounds, &bounds)
            .put(kOfxImagePropRegionOfDefinition, &bounds)
            .put(kOfxImagePropRowBytes, &[Val::Int(row)])
            .put(kOfxImagePropData, &[Val::Pointer(data)])
            .text(kOfxImageEffectPropPixelDepth, layout.depth)
            .text(kOfxImageEffectPropComponents, layout.kind)
            .text(kOfxImageEffectPropPreMultiplication, layout.alpha);
        lent
    }

    fn at(&self, x: usize, y: usize, c: usize) -> usize {
        self.start(y) + (x * self.layout.channels() + c) * self.layout.sample()
    }

    fn put(&mut self, x: usize, y: usize, c: usize, v: f32) {
        let at = self.at(x, y, c);
        let bytes: Vec<u8> = match self.layout.depth {
            d if d == kOfxBitDepthByte => vec![u8::from_unit(v)],
            d if d == kOfxBitDepthShort => u16::from_unit(v).to_ne_bytes().into(),
            d if d == kOfxBitDepthHalf => f16::from_unit(v).to_ne_bytes().into(),
            _ => v.to_ne_bytes().into(),
        };
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
    }

    /// The stored sample of channel `c`; rows from the top.
    pub fn sample(&self, x: usize, row: usize, c: usize) -> f32 {
        let at = self.at(x, self.size.1 - 1 - row, c);
        let b = &self.bytes[at..];
        match self.layout.depth {
            d if d == kOfxBitDepthByte => b[0].to_unit(),
            d if d == kOfxBitDepthShort => u16::from_ne_bytes([b[0], b[1]]).to_unit(),
            d if d == kOfxBitDepthHalf => f16::from_ne_bytes([b[0], b[1]]).to_unit(),
            _ => f32::from_ne_bytes([b[0], b[1], b[2], b[3]]),
        }
    }

    /// What is stored, as far as there are channels; rows from the top.
    pub fn samples(&self) -> Vec<f32> {
        let (w, h) = self.size;
        let all = (0..h).flat_map(|y| (0..w).map(move |x| (x, y)));
        all.flat_map(|(x, y)| (0..self.layout.channels()).map(move |c| (x, y, c)))
            .map(|(x, y, c)| self.sample(x, y, c))
            .collect()
    }

    /// Fails where somebody wrote beside the pixels.
    pub fn check_canaries(&self) {
        let pixels = self.size.0 * self.layout.channels() * self.layout.sample();
        let mut may = vec![false; self.bytes.len()];
        for y in 0..self.size.1 {
            may[self.start(y)..self.start(y) + pixels].fill(true);
        }
        for (i, (b, may)) in self.bytes.iter().zip(may).enumerate() {
            assert!(may || *b == TOUCHED, "byte {i} was written, outside the pixels");
        }
    }
}

/// What a clip shows at a time.
pub type Feed = Box<dyn Fn(f64) -> Option<Frame> + Send + Sync>;

pub struct Clip {
    pub name: String,
    pub props: Props,
    pub feed: Option<Feed>,
    pub layout: Layout,
    pub range: Option<(f64, f64)>,
}

#[derive(Debug)]
pub struct Param {
    pub kind: String,
    pub name: String,
    pub props: Props,
    pub value: Val,
    pub keys: Vec<(f64, f64)>,
    /// What `keys` says comes from an expression: there are no keyframes.
    pub expression: bool,
}

/// A descriptor or an instance. Clips and parameters are boxed: the plugin holds their addresses while more are declared.
#[allow(clippy::vec_box)]
pub struct Effect {
    pub props: Props,
    pub clips: Vec<Box<Clip>>,
    pub params: Vec<Box<Param>>,
    pub abort_after: AtomicUsize,
}

/// What the host has seen.
pub static MESSAGES: Mutex<Vec<String>> = Mutex::new(Vec::new());
pub static LASTING: Mutex<Option<String>> = Mutex::new(None);
pub static BACKGROUND: AtomicBool = AtomicBool::new(false);
/// Pictures that the plugin holds.
pub static LENT: AtomicUsize = AtomicUsize::new(0);
/// Nanoseconds that the host has spent making pictures and taking them back.
pub static LENDING: AtomicU64 = AtomicU64::new(0);
/// Progress is stopped after so many steps.
pub static STOP_AFTER: AtomicUsize = AtomicUsize::new(usize::MAX);
/// How often the plugin has read a parameter's value.
pub static READS: AtomicUsize = AtomicUsize::new(0);
/// The host does not tell how many keyframes a parameter has.
pub static KEYS_UNKNOWN: AtomicBool = AtomicBool::new(false);
/// Suites that the host lacks, as `name/version`.
pub static WITHOUT: Mutex<Vec<&str>> = Mutex::new(Vec::new());
static LENT_PICTURES: Mutex<Option<HashMap<usize, Box<Lent>>>> = Mutex::new(None);
static HOST_PROPS: Mutex<Option<Box<Props>>> = Mutex::new(None);

unsafe fn props<'a>(h: OfxPropertySetHandle) -> &'a mut Props {
    unsafe { &mut *h.cast::<Props>() }
}
unsafe fn name<'a>(p: *const c_char) -> &'a str {
    unsafe { CStr::from_ptr(p) }.to_str().unwrap()
}

fn put(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: Val) -> OfxStatus {
    let values = unsafe { props(h).0.entry(name(n).into()).or_default() };
    let i = i as usize;
    if i > values.len() {
        return kOfxStatErrBadIndex;
    }
    if i == values.len() {
        values.push(v);
    } else {
        values[i] = v;
    }
    kOfxStatOK
}
fn fetch(h: OfxPropertySetHandle, n: *const c_char, i: c_int) -> Result<Val, OfxStatus> {
    // Several threads read.
    let values = unsafe { (*h.cast::<Props>()).0.get(name(n)) }.ok_or(kOfxStatErrUnknown)?;
    values.get(i as usize).cloned().ok_or(kOfxStatErrBadIndex)
}

unsafe extern "C" fn set_int(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: c_int) -> OfxStatus {
    put(h, n, i, Val::Int(v))
}
unsafe extern "C" fn set_double(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: f64) -> OfxStatus {
    put(h, n, i, Val::Double(v))
}
unsafe extern "C" fn set_string(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: *const c_char) -> OfxStatus {
    put(h, n, i, Val::Text(unsafe { name(v) }.into()))
}
unsafe extern "C" fn set_pointer(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: *mut c_void) -> OfxStatus {
    put(h, n, i, Val::Pointer(v as usize))
}
unsafe extern "C" fn get_int(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: *mut c_int) -> OfxStatus {
    match fetch(h, n, i) {
        Ok(Val::Int(x)) => unsafe { *v = x },
        Ok(_) => return kOfxStatErrValue,
        Err(e) => return e,
    }
    kOfxStatOK
}
unsafe extern "C" fn get_double(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: *mut f64) -> OfxStatus {
    match fetch(h, n, i) {
        Ok(Val::Double(x)) => unsafe { *v = x },
        Ok(_) => return kOfxStatErrValue,
        Err(e) => return e,
    }
    kOfxStatOK
}
unsafe extern "C" fn get_string(h: OfxPropertySetHandle, n: *const c_char, i: c_int, v: *mut *mut c_char) -> OfxStatus {
    let text = match fetch(h, n, i) {
        Ok(Val::Text(x)) => CString::new(x).unwrap(),
        Ok(_) => return kOfxStatErrValue,
        Err(e) => return e,
    };
    // Valid until the next call of this thread: the last one goes.
    TEXT.with(|last| unsafe { *v = last.borrow_mut().insert(text).as_ptr().cast_mut() });
    kOfxStatOK
}
unsafe extern "C" fn get_pointer(
    h: OfxPropertySetHandle,
    n: *const c_char,
    i: c_int,
    v: *mut *mut c_void,
) -> OfxStatus {
    match fetch(h, n, i) {
        Ok(Val::Pointer(x)) => unsafe { *v = x as *mut c_void },
        Ok(_) => return kOfxStatErrValue,
        Err(e) => return e,
    }
    kOfxStatOK
}
unsafe extern "C" fn dimension(h: OfxPropertySetHandle, n: *const c_char, count: *mut c_int) -> OfxStatus {
    unsafe { *count = (*h.cast::<Props>()).0.get(name(n)).map_or(0, Vec::len) as c_int };
    kOfxStatOK
}

static PROPERTY: OfxPropertySuiteV1 = OfxPropertySuiteV1 {
    propSetPointer: Some(set_pointer),
    propSetString: Some(set_string),
    propSetDouble: Some(set_double),
    propSetInt: Some(set_int),
    propSetPointerN: None,
    propSetStringN: None,
    propSetDoubleN: None,
    propSetIntN: None,
    propGetPointer: Some(get_pointer),
    propGetString: Some(get_string),
    propGetDouble: Some(get_double),
    propGetInt: Some(get_int),
    propGetPointerN: None,
    propGetStringN: None,
    propGetDoubleN: None,
    propGetIntN: None,
    propReset: None,
    propGetDimension: Some(dimension),
};

unsafe fn effect<'a>(h: *mut c_void) -> &'a mut Effect {
    unsafe { &mut *h.cast::<Effect>() }
}

unsafe extern "C" fn effect_props(h: OfxImageEffectHandle, out: *mut OfxPropertySetHandle) -> OfxStatus {
    unsafe { *out = effect(h.cast()).props.handle() };
    kOfxStatOK
}
unsafe extern "C" fn param_set(h: OfxImageEffectHandle, out: *mut OfxParamSetHandle) -> OfxStatus {
    unsafe { *out = h.cast() };
    kOfxStatOK
}
unsafe extern "C" fn clip_define(
    h: OfxImageEffectHandle,
    n: *const c_char,
    out: *mut OfxPropertySetHandle,
) -> OfxStatus {
    let clips = unsafe { &mut effect(h.cast()).clips };
    let name = unsafe { name(n) }.to_owned();
    clips.push(Box::new(Clip { name, props: Props::default(), feed: None, layout: Layout::FLOAT, range: None }));
    unsafe { *out = clips.last_mut().unwrap().props.handle() };
    kOfxStatOK
}
unsafe extern "C" fn clip_get(
    h: OfxImageEffectHandle,
    n: *const c_char,
    out: *mut OfxImageClipHandle,
    set: *mut OfxPropertySetHandle,
) -> OfxStatus {
    let wanted = unsafe { name(n) };
    let Some(clip) = unsafe { &*h.cast::<Effect>() }.clips.iter().find(|c| c.name == wanted) else {
        return kOfxStatErrUnknown;
    };
    unsafe {
        *out = (&raw const **clip).cast_mut().cast();
        if !set.is_null() {
            *set = (&raw const clip.props).cast_mut().cast();
        }
    }
    kOfxStatOK
}

thread_local! {
    /// The picture that this thread has rendered into.
    static OUTPUT: std::cell::RefCell<Option<Box<Lent>>> = const { std::cell::RefCell::new(None) };
}

unsafe extern "C" fn image_get(
    c: OfxImageClipHandle,
    time: f64,
    _: *const OfxRectD,
    out: *mut OfxPropertySetHandle,
) -> OfxStatus {
    let started = Instant::now();
    let clip = unsafe { &*c.cast::<Clip>() };
    let mut lent = if clip.name == "Output" {
        match OUTPUT.take() {
            Some(lent) => lent,
            None => return kOfxStatFailed,
        }
    } else {
        match clip.feed.as_ref().and_then(|feed| feed(time)) {
            Some(f) => Lent::new((f.width, f.height), &f.data, clip.layout),
            None => return kOfxStatFailed,
        }
    };
    let key = lent.props.handle();
    LENT.fetch_add(1, Ordering::SeqCst);
    LENT_PICTURES.lock().get_or_insert_default().insert(key as usize, lent);
    unsafe { *out = key };
    LENDING.fetch_add(started.elapsed().as_nanos() as u64, Ordering::SeqCst);
    kOfxStatOK
}
unsafe extern "C" fn image_release(h: OfxPropertySetHandle) -> OfxStatus {
    let started = Instant::now();
    let lent = LENT_PICTURES.lock().as_mut().unwrap().remove(&(h as usize));
    let lent = lent.expect("a picture was released twice");
    lent.check_canaries();
    LENT.fetch_sub(1, Ordering::SeqCst);
    // What was written to: back to where it came from.
    if lent.props.0.contains_key("test.output") {
        OUTPUT.set(Some(lent));
    }
    LENDING.fetch_add(started.elapsed().as_nanos() as u64, Ordering::SeqCst);
    kOfxStatOK
}
unsafe extern "C" fn region(c: OfxImageClipHandle, time: f64, out: *mut OfxRectD) -> OfxStatus {
    let clip = unsafe { &*c.cast::<Clip>() };
    let Some(f) = clip.feed.as_ref().and_then(|feed| feed(time)) else { return kOfxStatFailed };
    let (x, y) = clip.layout.origin;
    let (x, y) = (f64::from(x), f64::from(y));
    unsafe { *out = OfxRectD { x1: x, y1: y, x2: x + f.width as f64, y2: y + f.height as f64 } };
    kOfxStatOK
}
unsafe extern "C" fn abort(h: OfxImageEffectHandle) -> c_int {
    let left = &unsafe { &*h.cast::<Effect>() }.abort_after;
    let n = left.load(Ordering::SeqCst);
    match n {
        0 => return 1,
        usize::MAX => {}
        n => left.store(n - 1, Ordering::SeqCst),
    }
    0
}

static EFFECT: OfxImageEffectSuiteV1 = OfxImageEffectSuiteV1 {
    getPropertySet: Some(effect_props),
    getParamSet: Some(param_set),
    clipDefine: Some(clip_define),
    clipGetHandle: Some(clip_get),
    clipGetPropertySet: None,
    clipGetImage: Some(image_get),
    clipReleaseImage: Some(image_release),
    clipGetRegionOfDefinition: Some(region),
    abort: Some(abort),
    imageMemoryAlloc: None,
    imageMemoryFree: None,
    imageMemoryLock: None,
    imageMemoryUnlock: None,
};

unsafe extern "C" fn param_define(
    h: OfxParamSetHandle,
    kind: *const c_char,
    n: *const c_char,
    out: *mut OfxPropertySetHandle,
) -> OfxStatus {
    let effect = unsafe { effect(h.cast()) };
    let (kind, name) = unsafe { (name(kind).to_owned(), name(n).to_owned()) };
    if effect.params.iter().any(|p| p.name == name) {
        return kOfxStatErrExists;
    }
    let param = Param { kind, name, props: Props::default(), value: Val::Int(0), keys: Vec::new(), expression: false };
    effect.params.push(Box::new(param));
    unsafe { *out = effect.params.last_mut().unwrap().props.handle() };
    kOfxStatOK
}
unsafe extern "C" fn param_get(
    h: OfxParamSetHandle,
    n: *const c_char,
    out: *mut OfxParamHandle,
    set: *mut OfxPropertySetHandle,
) -> OfxStatus {
    let wanted = unsafe { name(n) };
    let Some(param) = unsafe { &*h.cast::<Effect>() }.params.iter().find(|p| p.name == wanted) else {
        return kOfxStatErrUnknown;
    };
    unsafe {
        *out = (&raw const **param).cast_mut().cast();
        if !set.is_null() {
            *set = (&raw const param.props).cast_mut().cast();
        }
    }
    kOfxStatOK
}
unsafe fn param<'a>(h: OfxParamHandle) -> &'a mut Param {
    unsafe { &mut *h.cast::<Param>() }
}
thread_local! {
    static TEXT: std::cell::RefCell<Option<CString>> = const { std::cell::RefCell::new(None) };
}
unsafe extern "C" fn value(h: OfxParamHandle, out: *mut c_void) -> OfxStatus {
    READS.fetch_add(1, Ordering::SeqCst);
    let p = unsafe { &*h.cast::<Param>() };
    match &p.value {
        Val::Int(v) => unsafe { *out.cast::<c_int>() = *v },
        Val::Double(v) => unsafe { *out.cast::<f64>() = p.keys.first().map_or(*v, |k| k.1) },
        Val::Text(v) => {
            // Valid until the next call of this thread.
            let text = CString::new(v.as_str()).unwrap();
            TEXT.with(|last| unsafe { *out.cast::<*const c_char>() = last.borrow_mut().insert(text).as_ptr() });
        }
        Val::Pointer(_) => return kOfxStatErrUnsupported,
    }
    kOfxStatOK
}
unsafe extern "C" fn value_at(h: OfxParamHandle, time: f64, out: *mut c_void) -> OfxStatus {
    let p = unsafe { &*h.cast::<Param>() };
    let Val::Double(fixed) = p.value else { return unsafe { value(h, out) } };
    READS.fetch_add(1, Ordering::SeqCst);
    // Straight lines between keys.
    let after = p.keys.partition_point(|k| k.0 <= time);
    let v = match (after.checked_sub(1).map(|i| p.keys[i]), p.keys.get(after)) {
        (None, None) => fixed,
        (Some(a), None) => a.1,
        (None, Some(b)) => b.1,
        (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (time - a.0) / (b.0 - a.0),
    };
    unsafe { *out.cast::<f64>() = v };
    kOfxStatOK
}
unsafe extern "C" fn set_value(h: OfxParamHandle, whole: usize, real: f64) -> OfxStatus {
    let p = unsafe { param(h) };
    p.value = match &p.value {
        Val::Int(_) => Val::Int(whole as u32 as i32),
        Val::Double(_) => Val::Double(real),
        Val::Text(_) => Val::Text(unsafe { name(whole as *const c_char) }.into()),
        Val::Pointer(_) => return kOfxStatErrUnsupported,
    };
    kOfxStatOK
}
unsafe extern "C" fn num_keys(h: OfxParamHandle, count: *mut c_uint) -> OfxStatus {
    let p = unsafe { &*h.cast::<Param>() };
    if KEYS_UNKNOWN.load(Ordering::SeqCst) {
        return kOfxStatErrUnsupported;
    }
    unsafe { *count = if p.expression { 0 } else { p.keys.len() as c_uint } };
    kOfxStatOK
}
unsafe extern "C" fn param_props(h: OfxParamHandle, out: *mut OfxPropertySetHandle) -> OfxStatus {
    unsafe { *out = (&raw const (*h.cast::<Param>()).props).cast_mut().cast() };
    kOfxStatOK
}
unsafe extern "C" fn delete_keys(h: OfxParamHandle) -> OfxStatus {
    unsafe { param(h) }.keys.clear();
    kOfxStatOK
}
unsafe extern "C" fn edit_begin(_: OfxParamSetHandle, _: *const c_char) -> OfxStatus {
    kOfxStatOK
}
unsafe extern "C" fn edit_end(_: OfxParamSetHandle) -> OfxStatus {
    kOfxStatOK
}

type Get = unsafe extern "C" fn(OfxParamHandle, *mut c_void) -> OfxStatus;
type GetAt = unsafe extern "C" fn(OfxParamHandle, f64, *mut c_void) -> OfxStatus;
type Set = unsafe extern "C" fn(OfxParamHandle, usize, f64) -> OfxStatus;

fn parameter_suite() -> OfxParameterSuiteV1 {
    // SAFETY: see the module's text.
    unsafe {
        OfxParameterSuiteV1 {
            paramDefine: Some(param_define),
            paramGetHandle: Some(param_get),
            paramSetGetPropertySet: None,
            paramGetPropertySet: Some(param_props),
            paramGetValue: Some(transmute::<Get, unsafe extern "C" fn(OfxParamHandle, ...) -> OfxStatus>(value)),
            paramGetValueAtTime: Some(transmute::<GetAt, unsafe extern "C" fn(OfxParamHandle, f64, ...) -> OfxStatus>(
                value_at,
            )),
            paramGetDerivative: None,
            paramGetIntegral: None,
            paramSetValue: Some(transmute::<Set, unsafe extern "C" fn(OfxParamHandle, ...) -> OfxStatus>(set_value)),
            paramSetValueAtTime: None,
            paramGetNumKeys: Some(num_keys),
            paramGetKeyTime: None,
            paramGetKeyIndex: None,
            paramDeleteKey: None,
            paramDeleteAllKeys: Some(delete_keys),
            paramCopy: None,
            paramEditBegin: Some(edit_begin),
            paramEditEnd: Some(edit_end),
        }
    }
}

type Message =
    unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, *const c_char, *const c_char) -> OfxStatus;
type AnyMessage = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, *const c_char, ...) -> OfxStatus;

unsafe extern "C" fn message(
    _: *mut c_void,
    _: *const c_char,
    _: *const c_char,
    format: *const c_char,
    text: *const c_char,
) -> OfxStatus {
    assert_eq!(unsafe { name(format) }, "%s", "a text may hold a %");
    MESSAGES.lock().push(unsafe { name(text) }.into());
    kOfxStatOK
}
unsafe extern "C" fn lasting(
    _: *mut c_void,
    _: *const c_char,
    _: *const c_char,
    format: *const c_char,
    text: *const c_char,
) -> OfxStatus {
    assert_eq!(unsafe { name(format) }, "%s");
    *LASTING.lock() = Some(unsafe { name(text) }.into());
    kOfxStatOK
}
unsafe extern "C" fn no_lasting(_: *mut c_void) -> OfxStatus {
    *LASTING.lock() = None;
    kOfxStatOK
}
unsafe extern "C" fn start(_: *mut c_void, _: *const c_char) -> OfxStatus {
    kOfxStatOK
}
unsafe extern "C" fn update(_: *mut c_void, share: f64) -> OfxStatus {
    assert!((0.0..=1.0).contains(&share));
    let left = STOP_AFTER.load(Ordering::SeqCst);
    STOP_AFTER.store(left.saturating_sub(1), Ordering::SeqCst);
    if left == 0 { kOfxStatReplyNo } else { kOfxStatOK }
}
unsafe extern "C" fn end(_: *mut c_void) -> OfxStatus {
    kOfxStatOK
}
unsafe extern "C" fn bounds(_: *mut c_void, first: *mut f64, last: *mut f64) -> OfxStatus {
    unsafe { (*first, *last) = (0.0, 5.0) };
    kOfxStatOK
}
unsafe extern "C" fn processors(n: *mut c_uint) -> OfxStatus {
    unsafe { *n = 2 };
    kOfxStatOK
}

unsafe extern "C" fn fetch_suite(_: OfxPropertySetHandle, n: *const c_char, version: c_int) -> *const c_void {
    let name = unsafe { name(n) };
    if WITHOUT.lock().contains(&format!("{name}/{version}").as_str()) {
        return null();
    }
    let leaked = |suite: OfxParameterSuiteV1| (&raw const *Box::leak(Box::new(suite))).cast::<c_void>();
    let show = Some(unsafe { transmute::<Message, AnyMessage>(message) });
    match (name, version) {
        ("OfxPropertySuite", 1) => (&raw const PROPERTY).cast(),
        ("OfxImageEffectSuite", 1) => (&raw const EFFECT).cast(),
        ("OfxParameterSuite", 1) => leaked(parameter_suite()),
        ("OfxMessageSuite", 1) => (&raw const *Box::leak(Box::new(OfxMessageSuiteV1 { message: show }))).cast(),
        ("OfxMessageSuite", 2) => {
            let suite = OfxMessageSuiteV2 {
                message: show,
                setPersistentMessage: Some(unsafe { transmute::<Message, AnyMessage>(lasting) }),
                clearPersistentMessage: Some(no_lasting),
            };
            (&raw const *Box::leak(Box::new(suite))).cast()
        }
        ("OfxProgressSuite", 1) => {
            let suite =
                OfxProgressSuiteV1 { progressStart: Some(start), progressUpdate: Some(update), progressEnd: Some(end) };
            (&raw const *Box::leak(Box::new(suite))).cast()
        }
        ("OfxTimeLineSuite", 1) => {
            let suite = OfxTimeLineSuiteV1 { getTime: None, gotoTime: None, getTimeBounds: Some(bounds) };
            (&raw const *Box::leak(Box::new(suite))).cast()
        }
        ("OfxMultiThreadSuite", 1) => {
            let suite = OfxMultiThreadSuiteV1 {
                multiThread: None,
                multiThreadNumCPUs: Some(processors),
                multiThreadIndex: None,
                multiThreadIsSpawnedThread: None,
                mutexCreate: None,
                mutexDestroy: None,
                mutexLock: None,
                mutexUnLock: None,
                mutexTryLock: None,
            };
            (&raw const *Box::leak(Box::new(suite))).cast()
        }
        _ => null(),
    }
}

/// A loaded plugin.
pub struct Plugin {
    plugin: &'static OfxPlugin,
}

// SAFETY: functions and texts that stay.
unsafe impl Send for Plugin {}
// SAFETY: as above.
unsafe impl Sync for Plugin {}

impl Plugin {
    /// Loads the library and introduces the host.
    pub fn open(path: &std::path::Path) -> Plugin {
        unsafe {
            let library = Box::leak(Box::new(libloading::Library::new(path).unwrap()));
            let count = library.get::<unsafe extern "C" fn() -> c_int>(b"OfxGetNumberOfPlugins").unwrap();
            assert_eq!(count(), 1);
            let get = library.get::<unsafe extern "C" fn(c_int) -> *const OfxPlugin>(b"OfxGetPlugin").unwrap();
            assert!(get(1).is_null() && get(-1).is_null());
            let plugin = get(0).as_ref().unwrap();
            let host = Plugin { plugin };
            host.introduce();
            host
        }
    }

    pub fn identifier(&self) -> &'static str {
        unsafe { name(self.plugin.pluginIdentifier) }
    }

    pub fn introduce(&self) {
        let mut props = Box::new(Props::default());
        props.put(kOfxImageEffectHostPropIsBackground, &[Val::Int(BACKGROUND.load(Ordering::SeqCst).into())]);
        let mut host = OfxHost { host: props.handle(), fetchSuite: Some(fetch_suite) };
        unsafe { self.plugin.setHost.unwrap()(&mut host) };
        // The handle is used later, the structure is not.
        let old = HOST_PROPS.lock().replace(props);
        std::mem::forget(old);
    }

    pub fn set_background(&self, on: bool) {
        BACKGROUND.store(on, Ordering::SeqCst);
        let mut props = HOST_PROPS.lock();
        props.as_mut().unwrap().put(kOfxImageEffectHostPropIsBackground, &[Val::Int(on.into())]);
    }

    /// The style of colour management that the host offers.
    pub fn set_colour_management(&self, style: Option<&str>) {
        let mut props = HOST_PROPS.lock();
        let values: Vec<Val> = style.iter().map(|s| Val::Text((*s).into())).collect();
        props.as_mut().unwrap().put(c"OfxImageEffectPropColourManagementStyle", &values);
    }

    pub fn call(
        &self,
        action: &CStr,
        effect: Option<&mut Effect>,
        args: Option<&mut Props>,
        out: Option<&mut Props>,
    ) -> OfxStatus {
        let handle = effect.map_or(null(), |e| (e as *mut Effect).cast::<c_void>().cast_const());
        let (args, out) = (args.map_or(null_mut(), Props::handle), out.map_or(null_mut(), Props::handle));
        unsafe { self.plugin.mainEntry.unwrap()(action.as_ptr(), handle, args, out) }
    }

    /// A descriptor of a context.
    pub fn describe(&self, context: &CStr) -> Effect {
        let mut effect = Effect::empty();
        assert_eq!(self.call(kOfxActionDescribe, Some(&mut effect), None, None), kOfxStatOK);
        let mut args = Props::default();
        args.text(kOfxImageEffectPropContext, context);
        let status = self.call(kOfxImageEffectActionDescribeInContext, Some(&mut effect), Some(&mut args), None);
        assert_eq!(status, kOfxStatOK, "{:?}", MESSAGES.lock());
        effect
    }

    /// An instance of a context, its parameters at their defaults.
    pub fn create(&self, context: &CStr) -> Box<Effect> {
        let mut effect = Box::new(self.describe(context));
        for p in &mut effect.params {
            let default = p.props.get(kOfxParamPropDefault).first().cloned();
            p.value = default.unwrap_or(match p.kind.as_str() {
                "OfxParamTypeDouble" => Val::Double(0.0),
                "OfxParamTypeString" => Val::Text(String::new()),
                _ => Val::Int(0),
            });
        }
        assert_eq!(self.call(kOfxActionCreateInstance, Some(&mut effect), None, None), kOfxStatOK);
        effect
    }

    /// Renders into a picture of this size; the status, and the picture.
    pub fn render(&self, effect: &Effect, r: Request) -> (OfxStatus, Box<Lent>) {
        let (w, h) = r.size;
        let grey: Vec<f32> = vec![0.25; 4 * w * h];
        let mut lent = Lent::new(r.size, &grey, r.layout);
        lent.props.0.insert("test.output".into(), Vec::new());
        OUTPUT.set(Some(lent));
        let (x, y) = r.layout.origin;
        let window = r.window.unwrap_or([x, y, x + w as i32, y + h as i32]);
        let mut args = Props::default();
        args.put(kOfxPropTime, &[Val::Double(r.time)])
            .put(kOfxImageEffectPropRenderScale, &[Val::Double(r.scale), Val::Double(r.scale)])
            .put(kOfxImageEffectPropRenderWindow, &window.map(Val::Int))
            .put(kOfxImageEffectPropInteractiveRenderStatus, &[Val::Int(r.interactive.into())])
            .text(kOfxImageEffectPropFieldToRender, kOfxImageFieldNone);
        if DEVICE.load(Ordering::SeqCst) != 0 {
            args.put(c"OfxImageEffectPropCudaEnabled", &[Val::Int(1)])
                .put(c"OfxImageEffectPropCudaStream", &[Val::Pointer(STREAM)]);
        }
        let out = null_mut();
        let handle = (effect as *const Effect).cast::<c_void>();
        let action = kOfxImageEffectActionRender.as_ptr();
        let status = unsafe { self.plugin.mainEntry.unwrap()(action, handle, args.handle(), out) };
        let lent = OUTPUT.take().expect("the output was not released");
        (status, lent)
    }

    /// The user has changed a parameter.
    pub fn edited(&self, effect: &mut Effect, name: &str) -> OfxStatus {
        let mut args = Props::default();
        args.text(kOfxPropType, kOfxTypeParameter)
            .text(kOfxPropChangeReason, kOfxChangeUserEdited)
            .put(kOfxPropName, &[Val::Text(name.into())])
            .put(kOfxPropTime, &[Val::Double(0.0)])
            .put(kOfxImageEffectPropRenderScale, &[Val::Double(1.0), Val::Double(1.0)]);
        self.call(kOfxActionInstanceChanged, Some(effect), Some(&mut args), None)
    }
}

/// What is to be rendered.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub time: f64,
    pub size: (usize, usize),
    pub layout: Layout,
    pub scale: f64,
    pub window: Option<[i32; 4]>,
    pub interactive: bool,
}

impl Request {
    pub fn at(time: f64, size: (usize, usize)) -> Request {
        Request { time, size, layout: Layout::FLOAT, scale: 1.0, window: None, interactive: true }
    }
}

impl Effect {
    fn empty() -> Effect {
        Effect {
            props: Props::default(),
            clips: Vec::new(),
            params: Vec::new(),
            abort_after: AtomicUsize::new(usize::MAX),
        }
    }

    pub fn clip(&mut self, name: &str) -> &mut Clip {
        self.clips.iter_mut().find(|c| c.name == name).unwrap()
    }

    /// Feeds a clip; `range` is told where there is one.
    pub fn feed(&mut self, name: &str, layout: Layout, range: Option<(f64, f64)>, feed: Feed) {
        let clip = self.clip(name);
        clip.props.put(kOfxImageClipPropConnected, &[Val::Int(1)]);
        if let Some((a, b)) = range {
            clip.props.put(kOfxImageEffectPropFrameRange, &[Val::Double(a), Val::Double(b)]);
        }
        (clip.layout, clip.range, clip.feed) = (layout, range, Some(feed));
    }

    pub fn param(&mut self, name: &str) -> &mut Param {
        self.params.iter_mut().find(|p| p.name == name).unwrap_or_else(|| panic!("no parameter {name}"))
    }

    pub fn set(&mut self, name: &str, value: Val) {
        self.param(name).value = value;
    }

    pub fn text(&mut self, name: &str) -> String {
        let Val::Text(text) = self.param(name).value.clone() else { panic!() };
        text
    }

    pub fn names(&self) -> HashSet<&str> {
        self.params.iter().map(|p| p.name.as_str()).collect()
    }
}

/// A frame as samples that a layout stores.
pub fn stored(frame: &Frame, alpha: &CStr) -> Vec<f32> {
    let mut out = frame.data.clone();
    if alpha == kOfxImagePreMultiplied {
        out.chunks_exact_mut(4).for_each(|p| (0..3).for_each(|c| p[c] *= p[3]));
    }
    out
}

pub fn grey(v: f32) -> Frame {
    Frame::filled(8, 8, [v, v, v, 1.0], Color::Srgb)
}
