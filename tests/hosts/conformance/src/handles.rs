//! Handles: numbers that are never given out twice and point nowhere, so that a stale or foreign one is recognised.

use crate::abi::{OfxStatus, kOfxStatErrBadHandle};
use crate::log;
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

const FIRST: usize = 0x10_0000;
const STEP: usize = 16;
static NEXT: AtomicUsize = AtomicUsize::new(FIRST);

/// The live objects of one kind, by handle.
pub struct Table<T> {
    kind: &'static str,
    live: RwLock<HashMap<usize, Arc<T>>>,
}

impl<T> Table<T> {
    /// An empty table; `kind` names its objects in findings.
    pub fn new(kind: &'static str) -> Table<T> {
        Table { kind, live: RwLock::default() }
    }

    /// Gives an object its handle. The object is made with the handle known.
    pub fn insert(&self, make: impl FnOnce(usize) -> T) -> (usize, Arc<T>) {
        let handle = NEXT.fetch_add(STEP, Ordering::Relaxed);
        let object = Arc::new(make(handle));
        self.live.write().unwrap_or_else(PoisonError::into_inner).insert(handle, object.clone());
        (handle, object)
    }

    /// The object of a handle that a plugin passed to `call`.
    ///
    /// # Errors
    /// `kOfxStatErrBadHandle`, and a finding that says whether the handle is null, was given back, or never existed.
    pub fn get<H>(&self, handle: *mut H, call: &str) -> Result<Arc<T>, OfxStatus> {
        self.find(handle as usize).ok_or_else(|| self.bad(handle.cast(), call))
    }

    /// The object of a handle, if it lives.
    pub fn find(&self, handle: usize) -> Option<Arc<T>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).get(&handle).cloned()
    }

    /// Ends a handle.
    pub fn remove(&self, handle: usize) -> Option<Arc<T>> {
        self.live.write().unwrap_or_else(PoisonError::into_inner).remove(&handle)
    }

    /// How many objects live.
    pub fn len(&self) -> usize {
        self.live.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether no object lives.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Records a bad handle and gives its status.
    pub fn bad(&self, handle: *mut c_void, call: &str) -> OfxStatus {
        let handle = handle as usize;
        let given_out = (FIRST..NEXT.load(Ordering::Relaxed)).contains(&handle) && handle.is_multiple_of(STEP);
        let what = match handle {
            0 => "a null handle",
            _ if given_out => "a handle that was given back, or is of another kind",
            _ => "a handle that this host never gave out",
        };
        log::fail(format!("{call}: {what} in place of {}", self.kind));
        kOfxStatErrBadHandle
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use crate::abi::kOfxStatErrBadHandle;

    #[test]
    fn a_handle_ends_and_never_comes_back() {
        let table = Table::new("a thing");
        let (handle, _) = table.insert(|_| 1);
        assert_eq!(table.get(handle as *mut u8, "test").map(|v| *v), Ok(1));
        table.remove(handle);
        assert_eq!(table.get(handle as *mut u8, "test").map(|v| *v), Err(kOfxStatErrBadHandle));
        assert_ne!(table.insert(|_| 2).0, handle);
    }
}
