//! Parameters: their description, their values and keys, and the parameter suite.

use crate::abi::*;
use crate::host::host;
use crate::props::{Map, PropSet, Value, room, status};
use crate::{log, properties, scope};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

/// What a parameter holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Sample {
    /// Groups, pages and buttons hold nothing.
    Nothing,
    Ints(Vec<c_int>),
    Doubles(Vec<f64>),
    Text(CString),
}

/// The types of parameters, by what they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    Nothing,
    Ints(usize),
    Doubles(usize),
    Text,
}

/// What a type of parameter holds; `None` if this host has no such type.
pub fn holds(kind: &CStr) -> Option<Holds> {
    let table = [
        (kOfxParamTypeInteger, Holds::Ints(1)),
        (kOfxParamTypeInteger2D, Holds::Ints(2)),
        (kOfxParamTypeInteger3D, Holds::Ints(3)),
        (kOfxParamTypeBoolean, Holds::Ints(1)),
        (kOfxParamTypeChoice, Holds::Ints(1)),
        (kOfxParamTypeDouble, Holds::Doubles(1)),
        (kOfxParamTypeDouble2D, Holds::Doubles(2)),
        (kOfxParamTypeDouble3D, Holds::Doubles(3)),
        (kOfxParamTypeRGB, Holds::Doubles(3)),
        (kOfxParamTypeRGBA, Holds::Doubles(4)),
        (kOfxParamTypeString, Holds::Text),
        (kOfxParamTypeStrChoice, Holds::Text),
        (kOfxParamTypeCustom, Holds::Text),
        (kOfxParamTypeGroup, Holds::Nothing),
        (kOfxParamTypePage, Holds::Nothing),
        (kOfxParamTypePushButton, Holds::Nothing),
    ];
    table.into_iter().find(|(name, _)| *name == kind).map(|(_, h)| h)
}

/// A value and its keys, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    pub value: Sample,
    pub keys: Vec<(f64, Sample)>,
}

impl Track {
    /// The value at a time: linear between keys for floating-point numbers, held for all else.
    pub fn at(&self, time: f64) -> Sample {
        let next = self.keys.partition_point(|(t, _)| *t <= time);
        match (next.checked_sub(1).map(|i| &self.keys[i]), self.keys.get(next)) {
            (None, None) => self.value.clone(),
            (None, Some((_, first))) => first.clone(),
            (Some((t0, Sample::Doubles(a))), Some((t1, Sample::Doubles(b)))) => {
                let f = (time - t0) / (t1 - t0);
                Sample::Doubles(a.iter().zip(b).map(|(a, b)| a + (b - a) * f).collect())
            }
            (Some((_, held)), _) => held.clone(),
        }
    }

    /// Sets a key.
    pub fn set_key(&mut self, time: f64, value: Sample) {
        match self.keys.binary_search_by(|(t, _)| t.total_cmp(&time)) {
            Ok(i) => self.keys[i].1 = value,
            Err(i) => self.keys.insert(i, (time, value)),
        }
    }
}

/// A parameter, described or of an instance.
pub struct Param {
    pub handle: usize,
    pub name: CString,
    pub kind: CString,
    pub holds: Holds,
    pub props_handle: usize,
    pub props: Arc<PropSet>,
    /// The effect's handle.
    pub effect: usize,
    /// Whether it belongs to an instance and so has a value.
    pub instance: bool,
    pub track: RwLock<Track>,
}

impl Param {
    /// The value of a time.
    pub fn at(&self, time: f64) -> Sample {
        self.track.read().unwrap_or_else(PoisonError::into_inner).at(time)
    }

    /// Gives the parameter one value and no keys.
    pub fn set(&self, value: Sample) {
        *self.track.write().unwrap_or_else(PoisonError::into_inner) = Track { value, keys: Vec::new() };
        self.props.set(kOfxParamPropIsAnimating, 0);
    }

    /// Sets a key.
    pub fn set_key(&self, time: f64, value: Sample) {
        self.track.write().unwrap_or_else(PoisonError::into_inner).set_key(time, value);
        self.props.set(kOfxParamPropIsAnimating, 1);
    }

    /// Whether it is of a type.
    pub fn is(&self, kind: &CStr) -> bool {
        self.kind.as_c_str() == kind
    }

    /// Whether its values may change over time.
    pub fn animates(&self) -> bool {
        self.holds != Holds::Nothing && self.props.int(kOfxParamPropAnimates) != Some(0)
    }

    /// The default that its description states.
    pub fn default(&self) -> Sample {
        let set = self.props.get(kOfxParamPropDefault);
        match (self.holds, set) {
            (Holds::Nothing, _) => Sample::Nothing,
            (Holds::Ints(n), Some(Value::Ints(mut v))) => {
                v.resize(n, 0);
                Sample::Ints(v)
            }
            (Holds::Ints(n), _) => Sample::Ints(vec![0; n]),
            (Holds::Doubles(n), Some(Value::Doubles(mut v))) => {
                v.resize(n, 0.0);
                Sample::Doubles(v)
            }
            (Holds::Doubles(n), _) => Sample::Doubles(vec![0.0; n]),
            (Holds::Text, Some(Value::Strings(v))) => Sample::Text(v.into_iter().next().unwrap_or_default()),
            (Holds::Text, _) => Sample::Text(CString::default()),
        }
    }
}

/// The parameters of an effect, in order of definition.
pub struct ParamSet {
    pub handle: usize,
    /// The effect's handle.
    pub effect: usize,
    pub instance: bool,
    pub props_handle: usize,
    pub props: Arc<PropSet>,
    pub list: Mutex<Vec<Arc<Param>>>,
}

impl ParamSet {
    /// An empty set for the descriptor of an effect.
    pub fn new(effect: usize, instance: bool, base: Arc<Map>) -> Arc<ParamSet> {
        let (props_handle, props) = host().props.insert(|_| PropSet::new("the parameter set", base));
        let make = |handle| ParamSet { handle, effect, instance, props_handle, props, list: Mutex::default() };
        host().param_sets.insert(make).1
    }

    /// The parameters.
    pub fn all(&self) -> Vec<Arc<Param>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A parameter by name.
    pub fn find(&self, name: &CStr) -> Option<Arc<Param>> {
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().find(|p| p.name.as_c_str() == name).cloned()
    }

    /// Adds a parameter whose properties start as `base`.
    pub fn add(&self, name: &CStr, kind: &CStr, holds: Holds, base: Arc<Map>) -> Arc<Param> {
        let owner = format!("parameter {}", name.to_string_lossy());
        let (props_handle, props) = host().props.insert(|_| PropSet::new(owner, base));
        let (_, param) = host().params.insert(|handle| Param {
            handle,
            name: name.to_owned(),
            kind: kind.to_owned(),
            holds,
            props_handle,
            props,
            effect: self.effect,
            instance: self.instance,
            track: RwLock::new(Track { value: Sample::Nothing, keys: Vec::new() }),
        });
        param.track.write().unwrap_or_else(PoisonError::into_inner).value = param.default();
        self.list.lock().unwrap_or_else(PoisonError::into_inner).push(param.clone());
        param
    }

    /// Ends all handles of the set.
    pub fn close(&self) {
        for param in self.list.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            host().params.remove(param.handle);
            host().props.remove(param.props_handle);
        }
        host().param_sets.remove(self.handle);
        host().props.remove(self.props_handle);
    }
}

/// What a parameter's properties are before the plugin describes it.
fn described(name: &CStr, kind: &CStr, holds: Holds) -> Map {
    let mut map = properties! {
        kOfxPropType => kOfxTypeParameter,
        kOfxPropName => name,
        kOfxPropLabel => name,
        kOfxPropShortLabel => name,
        kOfxPropLongLabel => name,
        kOfxParamPropType => kind,
        kOfxParamPropSecret => 0,
        kOfxParamPropHint => c"",
        kOfxParamPropScriptName => name,
        kOfxParamPropParent => c"",
        kOfxParamPropEnabled => 1,
        kOfxParamPropDataPtr => Value::Pointers(vec![0]),
        kOfxPropIcon => Value::Strings(vec![CString::default(); 2]),
    };
    let mut add = |name: &CStr, value: Value| {
        map.insert(name.to_owned(), value);
    };
    if kind == kOfxParamTypeGroup {
        add(kOfxParamPropGroupOpen, 1.into());
    }
    if kind == kOfxParamTypePage {
        add(kOfxParamPropPageChild, Value::Strings(Vec::new()));
    }
    if holds == Holds::Nothing {
        return map;
    }
    let still = [kOfxParamTypeString, kOfxParamTypeCustom, kOfxParamTypeStrChoice].contains(&kind);
    add(kOfxParamPropAnimates, (!still).into());
    add(kOfxParamPropIsAnimating, 0.into());
    add(kOfxParamPropIsAutoKeying, 0.into());
    add(kOfxParamPropPersistant, 1.into());
    add(kOfxParamPropEvaluateOnChange, 1.into());
    add(kOfxParamPropPluginMayWrite, 0.into());
    add(kOfxParamPropCanUndo, 1.into());
    add(kOfxParamPropCacheInvalidation, kOfxParamInvalidateValueChange.into());
    let colour = kind == kOfxParamTypeRGB || kind == kOfxParamTypeRGBA;
    match holds {
        Holds::Doubles(n) => {
            let (low, high) = if colour { (0.0, 1.0) } else { (-f64::MAX, f64::MAX) };
            add(kOfxParamPropDefault, Value::Doubles(vec![0.0; n]));
            for name in [kOfxParamPropMin, kOfxParamPropDisplayMin] {
                add(name, Value::Doubles(vec![low; n]));
            }
            for name in [kOfxParamPropMax, kOfxParamPropDisplayMax] {
                add(name, Value::Doubles(vec![high; n]));
            }
            add(kOfxParamPropIncrement, 1.0.into());
            add(kOfxParamPropDigits, 2.into());
            add(kOfxParamPropDoubleType, kOfxParamDoubleTypePlain.into());
            add(kOfxParamPropDefaultCoordinateSystem, kOfxParamCoordinatesCanonical.into());
        }
        Holds::Ints(n) => {
            add(kOfxParamPropDefault, Value::Ints(vec![0; n]));
            if kind == kOfxParamTypeChoice {
                add(kOfxParamPropChoiceOption, Value::Strings(Vec::new()));
            } else if kind != kOfxParamTypeBoolean {
                for name in [kOfxParamPropMin, kOfxParamPropDisplayMin] {
                    add(name, Value::Ints(vec![c_int::MIN; n]));
                }
                for name in [kOfxParamPropMax, kOfxParamPropDisplayMax] {
                    add(name, Value::Ints(vec![c_int::MAX; n]));
                }
            }
        }
        Holds::Text => {
            add(kOfxParamPropDefault, c"".into());
            add(kOfxParamPropStringMode, kOfxParamStringIsSingleLine.into());
            add(kOfxParamPropStringFilePathExists, 1.into());
        }
        Holds::Nothing => {}
    }
    map
}

unsafe extern "C" fn param_define(
    set: OfxParamSetHandle,
    kind: *const c_char,
    name: *const c_char,
    props: *mut OfxPropertySetHandle,
) -> OfxStatus {
    const CALL: &str = "paramDefine";
    // SAFETY: the ABI asks for C strings.
    let (kind, name) = unsafe { (scope::text(kind, CALL), scope::text(name, CALL)) };
    scope::enter(CALL);
    status((|| {
        let set = host().param_sets.get(set, CALL)?;
        let (kind, name) = (kind.ok_or(kOfxStatErrValue)?, name.ok_or(kOfxStatErrValue)?);
        let shown = name.to_string_lossy();
        if set.instance || scope::current().is_none_or(|(a, _)| a != "OfxImageEffectActionDescribeInContext") {
            log::fail(format!("{CALL}: {shown}: outside of describeInContext"));
            return Err(kOfxStatFailed);
        }
        let Some(holds) = holds(&kind) else {
            log::note(format!(
                "{CALL}: {shown}: this host has no {}, answered kOfxStatErrUnknown",
                kind.to_string_lossy()
            ));
            return Err(kOfxStatErrUnknown);
        };
        if set.find(&name).is_some() {
            log::fail(format!("{CALL}: {shown} is defined twice"));
            return Err(kOfxStatErrExists);
        }
        let param = set.add(&name, &kind, holds, Arc::new(described(&name, &kind, holds)));
        if !props.is_null() {
            // SAFETY: not null.
            unsafe { props.write(param.props_handle as OfxPropertySetHandle) };
        }
        Ok(())
    })())
}

unsafe extern "C" fn param_get_handle(
    set: OfxParamSetHandle,
    name: *const c_char,
    param: *mut OfxParamHandle,
    props: *mut OfxPropertySetHandle,
) -> OfxStatus {
    const CALL: &str = "paramGetHandle";
    // SAFETY: the ABI asks for a C string.
    let name = unsafe { scope::text(name, CALL) };
    scope::enter(CALL);
    status((|| {
        let set = host().param_sets.get(set, CALL)?;
        let name = name.ok_or(kOfxStatErrValue)?;
        let Some(found) = set.find(&name) else {
            log::warn(format!("{CALL}: there is no parameter {}", name.to_string_lossy()));
            return Err(kOfxStatErrUnknown);
        };
        // SAFETY: not null.
        unsafe {
            if !param.is_null() {
                param.write(found.handle as OfxParamHandle);
            }
            if !props.is_null() {
                props.write(found.props_handle as OfxPropertySetHandle);
            }
        }
        Ok(())
    })())
}

unsafe extern "C" fn param_set_get_property_set(set: OfxParamSetHandle, props: *mut OfxPropertySetHandle) -> OfxStatus {
    const CALL: &str = "paramSetGetPropertySet";
    scope::enter(CALL);
    status((|| {
        room(props, CALL)?;
        let set = host().param_sets.get(set, CALL)?;
        // SAFETY: not null.
        unsafe { props.write(set.props_handle as OfxPropertySetHandle) };
        Ok(())
    })())
}

unsafe extern "C" fn param_get_property_set(param: OfxParamHandle, props: *mut OfxPropertySetHandle) -> OfxStatus {
    const CALL: &str = "paramGetPropertySet";
    scope::enter(CALL);
    status((|| {
        room(props, CALL)?;
        let param = host().params.get(param, CALL)?;
        // SAFETY: not null.
        unsafe { props.write(param.props_handle as OfxPropertySetHandle) };
        Ok(())
    })())
}

/// The parameter of an instance that a call is about.
fn of_instance(param: OfxParamHandle, call: &str) -> Result<Arc<Param>, OfxStatus> {
    let param = host().params.get(param, call)?;
    if !param.instance {
        log::fail(format!("{call}: {} belongs to a description and has no value", param.name.to_string_lossy()));
        return Err(kOfxStatErrBadHandle);
    }
    Ok(param)
}

/// Gives a sample out through the addresses that a variadic call passed.
unsafe fn give(sample: &Sample, to: [*mut c_void; 4], call: &str) -> Result<(), OfxStatus> {
    let count = match sample {
        Sample::Nothing => 0,
        Sample::Ints(v) => v.len(),
        Sample::Doubles(v) => v.len(),
        Sample::Text(_) => 1,
    };
    for to in to.iter().take(count) {
        room(*to, call)?;
    }
    // SAFETY: not null; the ABI asks for places of the parameter's type.
    unsafe {
        match sample {
            Sample::Nothing => {
                log::fail(format!("{call}: the parameter holds no value"));
                return Err(kOfxStatErrUnsupported);
            }
            Sample::Ints(v) => v.iter().zip(to).for_each(|(v, to)| to.cast::<c_int>().write(*v)),
            Sample::Doubles(v) => v.iter().zip(to).for_each(|(v, to)| to.cast::<f64>().write(*v)),
            Sample::Text(v) => to[0].cast::<*mut c_char>().write(scope::lend(v)),
        }
    }
    Ok(())
}

unsafe extern "C" fn get_value(
    param: OfxParamHandle,
    a: *mut c_void,
    b: *mut c_void,
    c: *mut c_void,
    d: *mut c_void,
) -> OfxStatus {
    const CALL: &str = "paramGetValue";
    scope::enter(CALL);
    status((|| {
        let param = of_instance(param, CALL)?;
        let time = host().effects.find(param.effect).map_or(0.0, |e| e.time());
        // SAFETY: the ABI asks for as many addresses as the parameter has values.
        unsafe { give(&param.at(time), [a, b, c, d], CALL) }
    })())
}

unsafe extern "C" fn get_value_at_time(
    param: OfxParamHandle,
    time: f64,
    a: *mut c_void,
    b: *mut c_void,
    c: *mut c_void,
    d: *mut c_void,
) -> OfxStatus {
    const CALL: &str = "paramGetValueAtTime";
    scope::enter(CALL);
    status((|| {
        let param = of_instance(param, CALL)?;
        if !time.is_finite() {
            log::fail(format!("{CALL}: the time {time}"));
            return Err(kOfxStatErrValue);
        }
        // SAFETY: the ABI asks for as many addresses as the parameter has values.
        unsafe { give(&param.at(time), [a, b, c, d], CALL) }
    })())
}

unsafe extern "C" fn no_derivative(_: OfxParamHandle, _: f64) -> OfxStatus {
    scope::enter("paramGetDerivative");
    kOfxStatErrUnsupported
}

unsafe extern "C" fn no_integral(_: OfxParamHandle, _: f64, _: f64) -> OfxStatus {
    scope::enter("paramGetIntegral");
    kOfxStatErrUnsupported
}

/// The sample that a variadic call passed.
unsafe fn taken(param: &Param, ints: [u64; 4], doubles: [f64; 4], call: &str) -> Result<Sample, OfxStatus> {
    Ok(match param.holds {
        Holds::Nothing => {
            log::fail(format!("{call}: {} holds no value", param.name.to_string_lossy()));
            return Err(kOfxStatErrUnsupported);
        }
        Holds::Ints(n) => Sample::Ints(ints[..n].iter().map(|&v| v as c_int).collect()),
        Holds::Doubles(n) => Sample::Doubles(doubles[..n].to_vec()),
        // SAFETY: the ABI asks for a C string.
        Holds::Text => Sample::Text(unsafe { scope::text(ints[0] as *const c_char, call) }.ok_or(kOfxStatErrValue)?),
    })
}

/// Where a plugin may set values.
const MAY_SET: [&CStr; 8] = [
    kOfxActionCreateInstance,
    kOfxActionInstanceChanged,
    kOfxActionBeginInstanceChanged,
    kOfxActionEndInstanceChanged,
    kOfxActionBeginInstanceEdit,
    kOfxActionEndInstanceEdit,
    kOfxActionSyncPrivateData,
    kOfxActionPurgeCaches,
];

fn may_set(param: &Param, call: &str) {
    let action = scope::current().map_or(String::new(), |(a, _)| a);
    if !MAY_SET.iter().any(|a| a.to_str() == Ok(action.as_str())) {
        log::fail(format!("{call}: {} is set within {action}", param.name.to_string_lossy()));
    }
}

fn check_range(param: &Param, value: &Sample, call: &str) {
    let limits = (param.props.doubles(kOfxParamPropMin), param.props.doubles(kOfxParamPropMax));
    let values: Vec<f64> = match value {
        Sample::Doubles(v) => v.clone(),
        Sample::Ints(v) => v.iter().map(|&v| v.into()).collect(),
        _ => return,
    };
    if let (Some(low), Some(high)) = limits {
        let outside = values.iter().zip(low.iter().zip(&high)).any(|(v, (l, h))| v < l || v > h);
        if outside {
            log::warn(format!("{call}: {} is set outside of its range", param.name.to_string_lossy()));
        }
    }
    if values.iter().any(|v| !v.is_finite()) {
        log::fail(format!("{call}: {} is set to a number that is not finite", param.name.to_string_lossy()));
    }
}

/// What both calls do that set a value: `store` puts the sample into the parameter.
///
/// # Safety
/// The caller passed values of the parameter's type, as the ABI asks.
unsafe fn set(
    param: OfxParamHandle,
    ints: [u64; 4],
    doubles: [f64; 4],
    call: &'static str,
    store: impl FnOnce(&Param, Sample) -> Result<(), OfxStatus>,
) -> OfxStatus {
    status((|| {
        let found = of_instance(param, call)?;
        // SAFETY: as above.
        let value = unsafe { taken(&found, ints, doubles, call) };
        scope::enter(call);
        may_set(&found, call);
        let value = value?;
        check_range(&found, &value, call);
        store(&found, value)?;
        changed(&found);
        Ok(())
    })())
}

unsafe extern "C" fn set_value(
    param: OfxParamHandle,
    i: u64,
    j: u64,
    k: u64,
    l: u64,
    x: f64,
    y: f64,
    z: f64,
    w: f64,
) -> OfxStatus {
    // SAFETY: the ABI asks for values of the parameter's type.
    unsafe {
        set(param, [i, j, k, l], [x, y, z, w], "paramSetValue", |param, value| {
            param.set(value);
            Ok(())
        })
    }
}

unsafe extern "C" fn set_value_at_time(
    param: OfxParamHandle,
    time: f64,
    i: u64,
    j: u64,
    k: u64,
    l: u64,
    x: f64,
    y: f64,
    z: f64,
    w: f64,
) -> OfxStatus {
    const CALL: &str = "paramSetValueAtTime";
    // SAFETY: the ABI asks for values of the parameter's type.
    unsafe {
        set(param, [i, j, k, l], [x, y, z, w], CALL, |param, value| {
            if !param.animates() {
                log::fail(format!("{CALL}: {} does not animate", param.name.to_string_lossy()));
                return Err(kOfxStatErrUnsupported);
            }
            param.set_key(time, value);
            Ok(())
        })
    }
}

/// Tells the plugin of its own change, as the standard asks, within instanceChanged.
fn changed(param: &Param) {
    let within = scope::current().is_some_and(|(a, _)| Ok(a.as_str()) == kOfxActionInstanceChanged.to_str());
    // A plugin that answers each of its changes with another would never end.
    if within && scope::depth() < 8 {
        if let Some(effect) = host().effects.find(param.effect) {
            effect.tell_changed(&param.name, kOfxChangePluginEdited);
        }
    } else if within {
        log::fail(format!(
            "paramSetValue: {} answers its own change with changes, eight deep",
            param.name.to_string_lossy()
        ));
    }
}

unsafe extern "C" fn get_num_keys(param: OfxParamHandle, count: *mut c_uint) -> OfxStatus {
    const CALL: &str = "paramGetNumKeys";
    scope::enter(CALL);
    status((|| {
        room(count, CALL)?;
        let param = of_instance(param, CALL)?;
        let keys = param.track.read().unwrap_or_else(PoisonError::into_inner).keys.len();
        // SAFETY: not null.
        unsafe { count.write(keys as c_uint) };
        Ok(())
    })())
}

unsafe extern "C" fn get_key_time(param: OfxParamHandle, index: c_uint, time: *mut f64) -> OfxStatus {
    const CALL: &str = "paramGetKeyTime";
    scope::enter(CALL);
    status((|| {
        room(time, CALL)?;
        let param = of_instance(param, CALL)?;
        let track = param.track.read().unwrap_or_else(PoisonError::into_inner);
        let (at, _) = track.keys.get(index as usize).ok_or(kOfxStatErrBadIndex)?;
        // SAFETY: not null.
        unsafe { time.write(*at) };
        Ok(())
    })())
}

unsafe extern "C" fn get_key_index(param: OfxParamHandle, time: f64, direction: c_int, index: *mut c_int) -> OfxStatus {
    const CALL: &str = "paramGetKeyIndex";
    scope::enter(CALL);
    status((|| {
        room(index, CALL)?;
        let param = of_instance(param, CALL)?;
        let track = param.track.read().unwrap_or_else(PoisonError::into_inner);
        let found = match direction {
            0 => track.keys.iter().position(|(t, _)| *t == time),
            d if d > 0 => track.keys.iter().position(|(t, _)| *t > time),
            _ => track.keys.iter().rposition(|(t, _)| *t < time),
        };
        // SAFETY: not null.
        unsafe { index.write(found.map_or(-1, |i| i as c_int)) };
        found.map(|_| ()).ok_or(kOfxStatFailed)
    })())
}

unsafe extern "C" fn delete_key(param: OfxParamHandle, time: f64) -> OfxStatus {
    const CALL: &str = "paramDeleteKey";
    scope::enter(CALL);
    status((|| {
        let param = of_instance(param, CALL)?;
        may_set(&param, CALL);
        let mut track = param.track.write().unwrap_or_else(PoisonError::into_inner);
        let at = track.keys.iter().position(|(t, _)| *t == time).ok_or(kOfxStatErrBadIndex)?;
        let (_, value) = track.keys.remove(at);
        if track.keys.is_empty() {
            track.value = value;
            param.props.set(kOfxParamPropIsAnimating, 0);
        }
        Ok(())
    })())
}

unsafe extern "C" fn delete_all_keys(param: OfxParamHandle) -> OfxStatus {
    const CALL: &str = "paramDeleteAllKeys";
    scope::enter(CALL);
    status((|| {
        let param = of_instance(param, CALL)?;
        may_set(&param, CALL);
        let time = host().effects.find(param.effect).map_or(0.0, |e| e.time());
        param.set(param.at(time));
        Ok(())
    })())
}

unsafe extern "C" fn copy(to: OfxParamHandle, from: OfxParamHandle, offset: f64, range: *const OfxRangeD) -> OfxStatus {
    const CALL: &str = "paramCopy";
    scope::enter(CALL);
    status((|| {
        let (to, from) = (of_instance(to, CALL)?, of_instance(from, CALL)?);
        may_set(&to, CALL);
        if to.kind != from.kind {
            log::fail(format!("{CALL}: the parameters are of different types"));
            return Err(kOfxStatErrValue);
        }
        // SAFETY: the ABI asks for null or a range.
        let range = unsafe { range.as_ref() }.copied().unwrap_or(OfxRangeD { min: f64::MIN, max: f64::MAX });
        let mut track = from.track.read().unwrap_or_else(PoisonError::into_inner).clone();
        track.keys.retain(|(t, _)| (range.min..=range.max).contains(t));
        track.keys.iter_mut().for_each(|(t, _)| *t += offset);
        to.props.set(kOfxParamPropIsAnimating, !track.keys.is_empty());
        *to.track.write().unwrap_or_else(PoisonError::into_inner) = track;
        changed(&to);
        Ok(())
    })())
}

unsafe extern "C" fn edit_begin(set: OfxParamSetHandle, _: *const c_char) -> OfxStatus {
    scope::enter("paramEditBegin");
    status(host().param_sets.get(set, "paramEditBegin").map(|_| ()))
}

unsafe extern "C" fn edit_end(set: OfxParamSetHandle) -> OfxStatus {
    scope::enter("paramEditEnd");
    status(host().param_sets.get(set, "paramEditEnd").map(|_| ()))
}

/// The parameter suite. Its variadic entries are functions that name their arguments: see variadic.rs.
pub static SUITE: LazyLock<OfxParameterSuiteV1> = LazyLock::new(|| {
    type Value = unsafe extern "C" fn(OfxParamHandle, ...) -> OfxStatus;
    type ValueAtTime = unsafe extern "C" fn(OfxParamHandle, f64, ...) -> OfxStatus;
    type Integral = unsafe extern "C" fn(OfxParamHandle, f64, f64, ...) -> OfxStatus;
    // SAFETY: all are addresses of functions, and on this ABI the calls arrive the same.
    unsafe {
        OfxParameterSuiteV1 {
            paramDefine: Some(param_define),
            paramGetHandle: Some(param_get_handle),
            paramSetGetPropertySet: Some(param_set_get_property_set),
            paramGetPropertySet: Some(param_get_property_set),
            paramGetValue: Some(std::mem::transmute::<*const (), Value>(get_value as *const ())),
            paramGetValueAtTime: Some(std::mem::transmute::<*const (), ValueAtTime>(get_value_at_time as *const ())),
            paramGetDerivative: Some(std::mem::transmute::<*const (), ValueAtTime>(no_derivative as *const ())),
            paramGetIntegral: Some(std::mem::transmute::<*const (), Integral>(no_integral as *const ())),
            paramSetValue: Some(std::mem::transmute::<*const (), Value>(set_value as *const ())),
            paramSetValueAtTime: Some(std::mem::transmute::<*const (), ValueAtTime>(set_value_at_time as *const ())),
            paramGetNumKeys: Some(get_num_keys),
            paramGetKeyTime: Some(get_key_time),
            paramGetKeyIndex: Some(get_key_index),
            paramDeleteKey: Some(delete_key),
            paramDeleteAllKeys: Some(delete_all_keys),
            paramCopy: Some(copy),
            paramEditBegin: Some(edit_begin),
            paramEditEnd: Some(edit_end),
        }
    }
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_run_between_keys_and_hold_outside() {
        let mut track = Track { value: Sample::Doubles(vec![9.0]), keys: Vec::new() };
        assert_eq!(track.at(3.0), Sample::Doubles(vec![9.0]));
        track.set_key(10.0, Sample::Doubles(vec![2.0]));
        track.set_key(0.0, Sample::Doubles(vec![0.0]));
        track.set_key(10.0, Sample::Doubles(vec![1.0]));
        let at = |t| track.at(t);
        assert_eq!(at(-1.0), Sample::Doubles(vec![0.0]));
        assert_eq!(at(2.5), Sample::Doubles(vec![0.25]));
        assert_eq!(at(20.0), Sample::Doubles(vec![1.0]));
    }

    #[test]
    fn a_variadic_call_brings_numbers_and_strings() {
        let effect = 0;
        let set = ParamSet::new(effect, true, Arc::default());
        let add = |name: &CStr, kind: &CStr| set.add(name, kind, holds(kind).unwrap(), Arc::default());
        let colour = add(c"colour", kOfxParamTypeRGBA);
        let whole = add(c"whole", kOfxParamTypeInteger3D);
        let text = add(c"text", kOfxParamTypeString);
        let (set_value, get_value) = (SUITE.paramSetValue.unwrap(), SUITE.paramGetValue.unwrap());
        // SAFETY: the handles are of this test, the addresses of its variables.
        scope::action(kOfxActionInstanceChanged, 0, || unsafe {
            assert_eq!(set_value(colour.handle as OfxParamHandle, 0.1, 0.2, 0.3, 0.4), kOfxStatOK);
            assert_eq!(set_value(whole.handle as OfxParamHandle, 1, -2, 3), kOfxStatOK);
            assert_eq!(set_value(text.handle as OfxParamHandle, c"words".as_ptr()), kOfxStatOK);
            let mut got = [0.0; 4];
            let [a, b, c, d] = &mut got;
            assert_eq!(
                get_value(colour.handle as OfxParamHandle, a as *mut f64, b as *mut f64, c as *mut f64, d as *mut f64),
                kOfxStatOK
            );
            assert_eq!(got, [0.1, 0.2, 0.3, 0.4]);
        });
        assert_eq!(whole.at(0.0), Sample::Ints(vec![1, -2, 3]));
        assert_eq!(text.at(0.0), Sample::Text(c"words".to_owned()));
        set.close();
    }
}
