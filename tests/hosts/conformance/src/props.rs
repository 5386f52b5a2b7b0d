//! Property sets and the property suite.

#![allow(non_snake_case, reason = "the suite's functions keep their C names, which findings show")]

use crate::abi::*;
use crate::host::host;
use crate::{log, scope};
use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::{Arc, PoisonError, RwLock};

/// The values of a property.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Ints(Vec<c_int>),
    Doubles(Vec<f64>),
    Strings(Vec<CString>),
    /// Addresses.
    Pointers(Vec<usize>),
}

impl Value {
    /// The number of values.
    pub fn len(&self) -> usize {
        match self {
            Value::Ints(v) => v.len(),
            Value::Doubles(v) => v.len(),
            Value::Strings(v) => v.len(),
            Value::Pointers(v) => v.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<c_int> for Value {
    fn from(value: c_int) -> Value {
        Value::Ints(vec![value])
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Ints(vec![value.into()])
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Value {
        Value::Doubles(vec![value])
    }
}

impl From<&CStr> for Value {
    fn from(value: &CStr) -> Value {
        Value::Strings(vec![value.to_owned()])
    }
}

impl From<&[&CStr]> for Value {
    fn from(value: &[&CStr]) -> Value {
        Value::Strings(value.iter().map(|&s| s.to_owned()).collect())
    }
}

impl From<[f64; 2]> for Value {
    fn from(value: [f64; 2]) -> Value {
        Value::Doubles(value.to_vec())
    }
}

impl From<OfxRectI> for Value {
    fn from(r: OfxRectI) -> Value {
        Value::Ints(vec![r.x1, r.y1, r.x2, r.y2])
    }
}

impl From<OfxRectD> for Value {
    fn from(r: OfxRectD) -> Value {
        Value::Doubles(vec![r.x1, r.y1, r.x2, r.y2])
    }
}

/// Properties by name.
pub type Map = HashMap<CString, Value>;

/// Collects properties into a map.
#[macro_export]
macro_rules! properties {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::props::Map::from([$(($name.to_owned(), $crate::props::Value::from($value))),*])
    };
}

/// A property set: values as it was made, and those set since.
pub struct PropSet {
    /// What it belongs to, for findings.
    pub owner: String,
    base: Arc<Map>,
    own: RwLock<Map>,
    writable: bool,
}

impl PropSet {
    /// A set that the plugin may write to.
    pub fn new(owner: impl Into<String>, base: Arc<Map>) -> PropSet {
        PropSet { owner: owner.into(), base, own: RwLock::default(), writable: true }
    }

    /// A set that the plugin may only read.
    pub fn read_only(owner: impl Into<String>, base: Map) -> PropSet {
        PropSet { writable: false, ..PropSet::new(owner, Arc::new(base)) }
    }

    /// A property.
    pub fn get(&self, name: &CStr) -> Option<Value> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.get(name).or_else(|| self.base.get(name)).cloned()
    }

    /// Sets a property, as the host.
    pub fn set(&self, name: &CStr, value: impl Into<Value>) {
        self.own.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.into());
    }

    /// All properties, for a set that starts as this one is now.
    pub fn snapshot(&self) -> Arc<Map> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        if own.is_empty() {
            return self.base.clone();
        }
        let mut all = (*self.base).clone();
        all.extend(own.iter().map(|(k, v)| (k.clone(), v.clone())));
        Arc::new(all)
    }

    /// The first whole number of a property.
    pub fn int(&self, name: &CStr) -> Option<c_int> {
        self.ints(name).and_then(|v| v.first().copied())
    }

    /// The whole numbers of a property.
    pub fn ints(&self, name: &CStr) -> Option<Vec<c_int>> {
        match self.get(name) {
            Some(Value::Ints(v)) => Some(v),
            _ => None,
        }
    }

    /// The numbers of a property, whole or not.
    pub fn doubles(&self, name: &CStr) -> Option<Vec<f64>> {
        match self.get(name) {
            Some(Value::Doubles(v)) => Some(v),
            Some(Value::Ints(v)) => Some(v.into_iter().map(f64::from).collect()),
            _ => None,
        }
    }

    /// The strings of a property; none if it is not set.
    pub fn strings(&self, name: &CStr) -> Vec<CString> {
        match self.get(name) {
            Some(Value::Strings(v)) => v,
            _ => Vec::new(),
        }
    }

    /// The first string of a property; empty if it is not set.
    pub fn string(&self, name: &CStr) -> CString {
        self.strings(name).into_iter().next().unwrap_or_default()
    }

    /// Sets one value at an index, or (`None`) all values, as the plugin.
    fn write(&self, call: &str, name: &CStr, index: Option<usize>, values: Value) -> OfxStatus {
        let shown = name.to_string_lossy();
        if !self.writable {
            log::fail(format!("{call}: {shown} of {} is the host's to set", self.owner));
            return kOfxStatErrValue;
        }
        if host().too_new(name) {
            return kOfxStatErrUnknown;
        }
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        let before = own.get(name).or_else(|| self.base.get(name)).cloned();
        fn merge<T>(old: Option<Vec<T>>, index: Option<usize>, new: Vec<T>) -> Option<Vec<T>> {
            let Some(index) = index else { return Some(new) };
            let mut all = old.unwrap_or_default();
            if index > all.len() {
                return None;
            }
            let end = (index + new.len()).min(all.len());
            all.splice(index..end, new);
            Some(all)
        }
        macro_rules! joined {
            ($kind:path, $new:expr) => {
                match before {
                    Some($kind(old)) => merge(Some(old), index, $new).map($kind),
                    None => merge(None, index, $new).map($kind),
                    Some(other) if other.is_empty() => merge(None, index, $new).map($kind),
                    Some(_) => {
                        log::fail(format!("{call}: {shown} of {} is of another type", self.owner));
                        return kOfxStatErrValue;
                    }
                }
            };
        }
        let joined = match values {
            Value::Ints(v) => joined!(Value::Ints, v),
            Value::Doubles(v) => joined!(Value::Doubles, v),
            Value::Strings(v) => joined!(Value::Strings, v),
            Value::Pointers(v) => joined!(Value::Pointers, v),
        };
        match joined {
            Some(value) => {
                own.insert(name.to_owned(), value);
                kOfxStatOK
            }
            None => {
                log::fail(format!("{call}: the index in {shown} of {} leaves a gap", self.owner));
                kOfxStatErrBadIndex
            }
        }
    }

    /// A property that the plugin asks for.
    fn read(&self, call: &str, name: &CStr) -> Result<Value, OfxStatus> {
        self.get(name).ok_or_else(|| {
            // Asking is the way to find out; only what is done with the answer can be wrong.
            log::note(format!(
                "{call}: {} of {} is not set, answered kOfxStatErrUnknown",
                name.to_string_lossy(),
                self.owner
            ));
            kOfxStatErrUnknown
        })
    }
}

/// The set and the name of a call, or the status that ends it.
unsafe fn target(
    call: &str,
    set: OfxPropertySetHandle,
    name: *const c_char,
) -> Result<(Arc<PropSet>, CString), OfxStatus> {
    scope::enter(call);
    let set = host().props.get(set, call)?;
    // SAFETY: the ABI asks for a C string.
    let name = unsafe { scope::text(name, call) }.ok_or(kOfxStatErrValue)?;
    Ok((set, name))
}

pub fn status(result: Result<(), OfxStatus>) -> OfxStatus {
    result.err().unwrap_or(kOfxStatOK)
}

fn place(index: c_int, call: &str) -> Result<usize, OfxStatus> {
    usize::try_from(index).map_err(|_| {
        log::fail(format!("{call}: index {index}"));
        kOfxStatErrBadIndex
    })
}

/// Refuses a null address for a result.
pub fn room<T>(at: *const T, call: &str) -> Result<(), OfxStatus> {
    if at.is_null() {
        log::fail(format!("{call}: no place for the result"));
        return Err(kOfxStatErrValue);
    }
    Ok(())
}

/// The getter and setter pairs of one type of value.
macro_rules! accessors {
    ($kind:path, $raw:ty, $get:ident, $get_n:ident, $set:ident, $set_n:ident, $given:ty, $in:expr, $out:expr) => {
        unsafe extern "C" fn $set(
            set: OfxPropertySetHandle,
            name: *const c_char,
            index: c_int,
            value: $given,
        ) -> OfxStatus {
            const CALL: &str = stringify!($set);
            status((|| {
                // SAFETY: the ABI asks the plugin for a C string.
                let (set, name) = unsafe { target(CALL, set, name) }?;
                let value = $in(value, CALL)?;
                match set.write(CALL, &name, Some(place(index, CALL)?), $kind(vec![value])) {
                    kOfxStatOK => Ok(()),
                    bad => Err(bad),
                }
            })())
        }

        unsafe extern "C" fn $set_n(
            set: OfxPropertySetHandle,
            name: *const c_char,
            count: c_int,
            values: *const $given,
        ) -> OfxStatus {
            const CALL: &str = stringify!($set_n);
            status((|| {
                // SAFETY: the ABI asks the plugin for a C string.
                let (set, name) = unsafe { target(CALL, set, name) }?;
                let count = place(count, CALL)?;
                let mut all = Vec::with_capacity(count);
                for i in 0..count {
                    // SAFETY: the ABI asks for `count` values.
                    all.push($in(unsafe { *values.add(i) }, CALL)?);
                }
                match set.write(CALL, &name, None, $kind(all)) {
                    kOfxStatOK => Ok(()),
                    bad => Err(bad),
                }
            })())
        }

        unsafe extern "C" fn $get(
            set: OfxPropertySetHandle,
            name: *const c_char,
            index: c_int,
            value: *mut $raw,
        ) -> OfxStatus {
            const CALL: &str = stringify!($get);
            status((|| {
                // SAFETY: the ABI asks the plugin for a C string.
                let (set, name) = unsafe { target(CALL, set, name) }?;
                let index = place(index, CALL)?;
                room(value, CALL)?;
                let $kind(all) = set.read(CALL, &name)? else {
                    log::fail(format!("{CALL}: {} of {} is of another type", name.to_string_lossy(), set.owner));
                    return Err(kOfxStatErrValue);
                };
                let one = all.get(index).ok_or(kOfxStatErrBadIndex)?;
                // SAFETY: the ABI asks for room for one value.
                unsafe { value.write($out(one)) };
                Ok(())
            })())
        }

        unsafe extern "C" fn $get_n(
            set: OfxPropertySetHandle,
            name: *const c_char,
            count: c_int,
            values: *mut $raw,
        ) -> OfxStatus {
            const CALL: &str = stringify!($get_n);
            status((|| {
                // SAFETY: the ABI asks the plugin for a C string.
                let (set, name) = unsafe { target(CALL, set, name) }?;
                let count = place(count, CALL)?;
                room(values, CALL)?;
                let $kind(all) = set.read(CALL, &name)? else {
                    log::fail(format!("{CALL}: {} of {} is of another type", name.to_string_lossy(), set.owner));
                    return Err(kOfxStatErrValue);
                };
                if count > all.len() {
                    return Err(kOfxStatErrBadIndex);
                }
                for (i, one) in all.iter().take(count).enumerate() {
                    // SAFETY: the ABI asks for room for `count` values.
                    unsafe { values.add(i).write($out(one)) };
                }
                Ok(())
            })())
        }
    };
}

fn same<T>(value: T, _: &str) -> Result<T, OfxStatus> {
    Ok(value)
}

fn address(value: *mut c_void, _: &str) -> Result<usize, OfxStatus> {
    Ok(value as usize)
}

fn copied(value: *const c_char, call: &str) -> Result<CString, OfxStatus> {
    // SAFETY: the ABI asks for a C string.
    unsafe { scope::text(value, call) }.ok_or(kOfxStatErrValue)
}

accessors!(Value::Ints, c_int, propGetInt, propGetIntN, propSetInt, propSetIntN, c_int, same, |v: &c_int| *v);
accessors!(Value::Doubles, f64, propGetDouble, propGetDoubleN, propSetDouble, propSetDoubleN, f64, same, |v: &f64| *v);
accessors!(
    Value::Pointers,
    *mut c_void,
    propGetPointer,
    propGetPointerN,
    propSetPointer,
    propSetPointerN,
    *mut c_void,
    address,
    |v: &usize| *v as *mut c_void
);
accessors!(
    Value::Strings,
    *mut c_char,
    propGetString,
    propGetStringN,
    propSetString,
    propSetStringN,
    *const c_char,
    copied,
    |v: &CString| scope::lend(v)
);

unsafe extern "C" fn propReset(set: OfxPropertySetHandle, name: *const c_char) -> OfxStatus {
    const CALL: &str = "propReset";
    status((|| {
        // SAFETY: the ABI asks the plugin for a C string.
        let (set, name) = unsafe { target(CALL, set, name) }?;
        set.read(CALL, &name)?;
        if !set.writable {
            log::fail(format!("{CALL}: {} of {} is the host's to set", name.to_string_lossy(), set.owner));
            return Err(kOfxStatErrValue);
        }
        set.own.write().unwrap_or_else(PoisonError::into_inner).remove(&name);
        Ok(())
    })())
}

unsafe extern "C" fn propGetDimension(set: OfxPropertySetHandle, name: *const c_char, count: *mut c_int) -> OfxStatus {
    const CALL: &str = "propGetDimension";
    status((|| {
        // SAFETY: the ABI asks the plugin for a C string.
        let (set, name) = unsafe { target(CALL, set, name) }?;
        room(count, CALL)?;
        let value = set.read(CALL, &name)?;
        // SAFETY: the ABI asks for room for one number.
        unsafe { count.write(value.len() as c_int) };
        Ok(())
    })())
}

/// The property suite.
pub static SUITE: OfxPropertySuiteV1 = OfxPropertySuiteV1 {
    propSetPointer: Some(propSetPointer),
    propSetString: Some(propSetString),
    propSetDouble: Some(propSetDouble),
    propSetInt: Some(propSetInt),
    propSetPointerN: Some(propSetPointerN),
    propSetStringN: Some(propSetStringN),
    propSetDoubleN: Some(propSetDoubleN),
    propSetIntN: Some(propSetIntN),
    propGetPointer: Some(propGetPointer),
    propGetString: Some(propGetString),
    propGetDouble: Some(propGetDouble),
    propGetInt: Some(propGetInt),
    propGetPointerN: Some(propGetPointerN),
    propGetStringN: Some(propGetStringN),
    propGetDoubleN: Some(propGetDoubleN),
    propGetIntN: Some(propGetIntN),
    propReset: Some(propReset),
    propGetDimension: Some(propGetDimension),
};
