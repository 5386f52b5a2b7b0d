//! The suites of memory, threads, messages, progress and the time line.

use crate::abi::*;
use crate::effect::Message;
use crate::host::host;
use crate::props::{room, status};
use crate::{log, scope, variadic};
use std::collections::HashMap;
use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, PoisonError};
use std::thread::ThreadId;

/// Bytes around every block of memory, checked when it is freed.
const GUARD: usize = 64;
const CANARY: u8 = 0xc5;

/// A block of the image effect suite's memory.
pub struct Block {
    bytes: Mutex<Vec<u8>>,
    size: usize,
}

impl Block {
    /// A block of `size` bytes between canaries.
    pub fn new(size: usize) -> Block {
        Block { bytes: Mutex::new(vec![CANARY; size + 2 * GUARD]), size }
    }

    /// The block's first byte.
    pub fn address(&self) -> *mut c_void {
        let mut bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        // GUARD is a multiple of 16 and malloc aligns to 16: aligned for any use.
        bytes[GUARD..].as_mut_ptr().cast()
    }

    /// Whether nothing was written beside the block.
    pub fn intact(&self) -> bool {
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = (&bytes[..GUARD], &bytes[GUARD + self.size..]);
        before.iter().chain(after).all(|&b| b == CANARY)
    }
}

static MEMORY_BLOCKS: LazyLock<Mutex<HashMap<usize, Block>>> = LazyLock::new(Mutex::default);

/// How many blocks of the memory suite are not freed.
pub fn allocations() -> usize {
    MEMORY_BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).len()
}

unsafe extern "C" fn memory_alloc(_: *mut c_void, bytes: usize, data: *mut *mut c_void) -> OfxStatus {
    scope::enter_any();
    if let Err(bad) = room(data, "memoryAlloc") {
        return bad;
    }
    let block = Block::new(bytes);
    let at = block.address();
    MEMORY_BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).insert(at as usize, block);
    // SAFETY: not null, and the ABI asks for room for one address.
    unsafe { data.write(at) };
    kOfxStatOK
}

unsafe extern "C" fn memory_free(data: *mut c_void) -> OfxStatus {
    scope::enter_any();
    let block = MEMORY_BLOCKS.lock().unwrap_or_else(PoisonError::into_inner).remove(&(data as usize));
    match block {
        Some(block) if block.intact() => kOfxStatOK,
        Some(_) => {
            log::fail("memoryFree: the plugin wrote beside its block of memory");
            kOfxStatOK
        }
        None => {
            log::fail("memoryFree: an address that memoryAlloc did not give, or was freed before");
            kOfxStatErrBadHandle
        }
    }
}

/// The memory suite.
pub static MEMORY: OfxMemorySuiteV1 =
    OfxMemorySuiteV1 { memoryAlloc: Some(memory_alloc), memoryFree: Some(memory_free) };

/// A recursive lock that any thread may ask for, as the standard wants.
#[derive(Default)]
pub struct Lock {
    state: Mutex<(Option<ThreadId>, u32)>,
    freed: Condvar,
}

impl Lock {
    /// A lock held `count` times by this thread.
    pub fn new(count: u32) -> Lock {
        let owner = (count > 0).then(|| std::thread::current().id());
        Lock { state: Mutex::new((owner, count)), freed: Condvar::new() }
    }

    fn lock(&self, wait: bool) -> bool {
        let me = std::thread::current().id();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.0.is_some_and(|owner| owner != me) {
            if !wait {
                return false;
            }
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        *state = (Some(me), state.1 + 1);
        true
    }

    fn unlock(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.0 != Some(std::thread::current().id()) {
            return false;
        }
        state.1 -= 1;
        if state.1 == 0 {
            state.0 = None;
            self.freed.notify_one();
        }
        true
    }
}

/// Asked once, as the system answers from files, whose opening within a render would look like the plugin's.
static PROCESSORS: LazyLock<u32> = LazyLock::new(|| {
    // At least four, so that a plugin's threads meet even on a small machine.
    std::thread::available_parallelism().map_or(4, |n| n.get().clamp(4, 16) as u32)
});

unsafe extern "C" fn multi_thread(function: OfxThreadFunctionV1, threads: c_uint, argument: *mut c_void) -> OfxStatus {
    scope::enter("multiThread");
    let Some(function) = function else {
        log::fail("multiThread: no function");
        return kOfxStatFailed;
    };
    if scope::index().is_some() {
        log::fail("multiThread: called from a thread that it started");
        return kOfxStatErrExists;
    }
    let count = if threads == 0 { *PROCESSORS } else { threads };
    let argument = argument as usize;
    let next = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..count.min(*PROCESSORS) {
            s.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed) as u32;
                    if index >= count {
                        break;
                    }
                    // SAFETY: the ABI asks for a function that may run on several threads at once.
                    scope::spawned(index, || unsafe { function(index, count, argument as *mut c_void) });
                }
            });
        }
    });
    kOfxStatOK
}

unsafe extern "C" fn multi_thread_num_cpus(count: *mut c_uint) -> OfxStatus {
    scope::enter_any();
    status(room(count, "multiThreadNumCPUs").map(|()| {
        // SAFETY: not null.
        unsafe { count.write(*PROCESSORS) };
    }))
}

unsafe extern "C" fn multi_thread_index(index: *mut c_uint) -> OfxStatus {
    scope::enter_any();
    status(room(index, "multiThreadIndex").map(|()| {
        // SAFETY: not null.
        unsafe { index.write(scope::index().unwrap_or(0)) };
    }))
}

unsafe extern "C" fn multi_thread_is_spawned() -> c_int {
    scope::enter_any();
    scope::index().is_some().into()
}

unsafe extern "C" fn mutex_create(mutex: *mut OfxMutexHandle, count: c_int) -> OfxStatus {
    scope::enter_any();
    status(room(mutex, "mutexCreate").map(|()| {
        let (handle, _) = host().locks.insert(|_| Lock::new(count.max(0) as u32));
        // SAFETY: not null.
        unsafe { mutex.write(handle as OfxMutexHandle) };
    }))
}

unsafe extern "C" fn mutex_destroy(mutex: OfxMutexHandle) -> OfxStatus {
    scope::enter_any();
    match host().locks.remove(mutex as usize) {
        Some(_) => kOfxStatOK,
        None => host().locks.bad(mutex.cast(), "mutexDestroy"),
    }
}

unsafe extern "C" fn mutex_lock(mutex: OfxMutexHandle) -> OfxStatus {
    scope::enter_any();
    status(host().locks.get(mutex, "mutexLock").map(|l| {
        l.lock(true);
    }))
}

unsafe extern "C" fn mutex_unlock(mutex: OfxMutexHandle) -> OfxStatus {
    scope::enter_any();
    match host().locks.get(mutex, "mutexUnLock") {
        Ok(lock) if lock.unlock() => kOfxStatOK,
        Ok(_) => {
            log::fail("mutexUnLock: the thread does not hold the mutex");
            kOfxStatFailed
        }
        Err(bad) => bad,
    }
}

unsafe extern "C" fn mutex_try_lock(mutex: OfxMutexHandle) -> OfxStatus {
    scope::enter_any();
    match host().locks.get(mutex, "mutexTryLock") {
        Ok(lock) if lock.lock(false) => kOfxStatOK,
        Ok(_) => kOfxStatFailed,
        Err(bad) => bad,
    }
}

/// The multi-thread suite.
pub static MULTI_THREAD: OfxMultiThreadSuiteV1 = OfxMultiThreadSuiteV1 {
    multiThread: Some(multi_thread),
    multiThreadNumCPUs: Some(multi_thread_num_cpus),
    multiThreadIndex: Some(multi_thread_index),
    multiThreadIsSpawnedThread: Some(multi_thread_is_spawned),
    mutexCreate: Some(mutex_create),
    mutexDestroy: Some(mutex_destroy),
    mutexLock: Some(mutex_lock),
    mutexUnLock: Some(mutex_unlock),
    mutexTryLock: Some(mutex_try_lock),
};

/// As many of a variadic message's arguments as this host looks at: whole numbers, then floating-point ones.
macro_rules! variadic_message {
    ($name:ident, $call:literal, $persistent:expr) => {
        #[allow(clippy::too_many_arguments)]
        unsafe extern "C" fn $name(
            effect: *mut c_void,
            kind: *const c_char,
            _id: *const c_char,
            format: *const c_char,
            i0: u64,
            i1: u64,
            i2: u64,
            i3: u64,
            i4: u64,
            i5: u64,
            d0: f64,
            d1: f64,
            d2: f64,
            d3: f64,
            d4: f64,
            d5: f64,
            d6: f64,
            d7: f64,
        ) -> OfxStatus {
            // Read before the thread's strings are poisoned: a message may well show one of them.
            // SAFETY: the ABI asks for C strings and for the arguments that the format names.
            let text = unsafe {
                if format.is_null() || kind.is_null() {
                    log::fail(concat!($call, ": a null string"));
                    return kOfxStatErrValue;
                }
                let format = std::ffi::CStr::from_ptr(format);
                variadic::print(format, &[i0, i1, i2, i3, i4, i5], &[d0, d1, d2, d3, d4, d5, d6, d7])
            };
            // SAFETY: the ABI asks the plugin for a C string.
            let Some(kind) = (unsafe { scope::text(kind, $call) }) else { return kOfxStatErrValue };
            scope::enter($call);
            say($call, effect, kind, text, $persistent)
        }
    };
}

variadic_message!(message, "message", false);
variadic_message!(set_persistent_message, "setPersistentMessage", true);

fn say(call: &str, effect: *mut c_void, kind: CString, text: String, persistent: bool) -> OfxStatus {
    let kinds = [
        kOfxMessageFatal,
        kOfxMessageError,
        kOfxMessageWarning,
        kOfxMessageMessage,
        kOfxMessageLog,
        kOfxMessageQuestion,
    ];
    if !kinds.contains(&kind.as_c_str()) {
        log::fail(format!("{call}: {kind:?} is no type of message"));
        return kOfxStatErrValue;
    }
    if text.trim().is_empty() && kind.as_c_str() != kOfxMessageLog {
        log::warn(format!("{call}: an empty message"));
    }
    // The handle may be null: a message of no instance.
    if !effect.is_null() {
        match host().effects.get(effect, call) {
            Ok(e) => e.messages.lock().unwrap_or_else(PoisonError::into_inner).push(Message {
                kind: kind.clone(),
                text,
                persistent,
            }),
            Err(bad) => return bad,
        }
    }
    if kind.as_c_str() == kOfxMessageQuestion { kOfxStatReplyNo } else { kOfxStatOK }
}

unsafe extern "C" fn clear_persistent_message(effect: *mut c_void) -> OfxStatus {
    scope::enter("clearPersistentMessage");
    status(host().effects.get(effect, "clearPersistentMessage").map(|e| {
        e.messages.lock().unwrap_or_else(PoisonError::into_inner).retain(|m| !m.persistent);
    }))
}

/// What a variadic entry is to its caller.
type Variadic = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, *const c_char, ...) -> OfxStatus;

/// Passes a function that names its arguments off as variadic: see variadic.rs.
macro_rules! as_variadic {
    ($f:expr) => {{
        let address = $f as *const ();
        // SAFETY: both are addresses of functions, and on this ABI the call arrives the same.
        unsafe { std::mem::transmute::<*const (), Variadic>(address) }
    }};
}

/// The message suite of OpenFX 1.0.
pub static MESSAGE_1: LazyLock<OfxMessageSuiteV1> =
    LazyLock::new(|| OfxMessageSuiteV1 { message: Some(as_variadic!(message)) });

/// The message suite of OpenFX 1.2.
pub static MESSAGE_2: LazyLock<OfxMessageSuiteV2> = LazyLock::new(|| OfxMessageSuiteV2 {
    message: Some(as_variadic!(message)),
    setPersistentMessage: Some(as_variadic!(set_persistent_message)),
    clearPersistentMessage: Some(clear_persistent_message),
});

unsafe extern "C" fn progress_start(effect: *mut c_void, label: *const c_char) -> OfxStatus {
    // SAFETY: the ABI asks for a C string.
    let label = unsafe { scope::text(label, "progressStart") };
    scope::enter("progressStart");
    status(host().effects.get(effect, "progressStart").map(|e| {
        if label.is_none_or(|l| l.is_empty()) {
            log::warn("progressStart: no label");
        }
        let open = e.progress.swap(true, Ordering::Relaxed);
        if open {
            log::fail("progressStart: a progress of this instance is open already");
        }
    }))
}

unsafe extern "C" fn progress_start_2(effect: *mut c_void, label: *const c_char, _id: *const c_char) -> OfxStatus {
    // SAFETY: the caller's.
    unsafe { progress_start(effect, label) }
}

unsafe extern "C" fn progress_update(effect: *mut c_void, progress: f64) -> OfxStatus {
    scope::enter("progressUpdate");
    let effect = match host().effects.get(effect, "progressUpdate") {
        Ok(effect) => effect,
        Err(bad) => return bad,
    };
    if !effect.progress.load(Ordering::Relaxed) {
        log::fail("progressUpdate: no progress is open");
        return kOfxStatErrBadHandle;
    }
    if !(0.0..=1.0).contains(&progress) {
        log::fail(format!("progressUpdate: {progress} is not within 0 to 1"));
    }
    if effect.aborted() { kOfxStatReplyNo } else { kOfxStatOK }
}

unsafe extern "C" fn progress_end(effect: *mut c_void) -> OfxStatus {
    scope::enter("progressEnd");
    status(host().effects.get(effect, "progressEnd").map(|e| {
        if !e.progress.swap(false, Ordering::Relaxed) {
            log::fail("progressEnd: no progress is open");
        }
    }))
}

/// The progress suite of OpenFX 1.0.
pub static PROGRESS_1: OfxProgressSuiteV1 = OfxProgressSuiteV1 {
    progressStart: Some(progress_start),
    progressUpdate: Some(progress_update),
    progressEnd: Some(progress_end),
};

/// The progress suite of OpenFX 1.3.
pub static PROGRESS_2: OfxProgressSuiteV2 = OfxProgressSuiteV2 {
    progressStart: Some(progress_start_2),
    progressUpdate: Some(progress_update),
    progressEnd: Some(progress_end),
};

unsafe extern "C" fn get_time(effect: *mut c_void, time: *mut f64) -> OfxStatus {
    scope::enter("getTime");
    status(room(time, "getTime").and_then(|()| host().effects.get(effect, "getTime")).map(|e| {
        // SAFETY: not null.
        unsafe { time.write(e.time()) };
    }))
}

unsafe extern "C" fn goto_time(effect: *mut c_void, time: f64) -> OfxStatus {
    scope::enter("gotoTime");
    status(host().effects.get(effect, "gotoTime").map(|e| e.set_time(time)))
}

unsafe extern "C" fn get_time_bounds(effect: *mut c_void, first: *mut f64, last: *mut f64) -> OfxStatus {
    scope::enter("getTimeBounds");
    const CALL: &str = "getTimeBounds";
    status(room(first, CALL).and_then(|()| room(last, CALL)).and_then(|()| host().effects.get(effect, CALL)).map(|e| {
        // SAFETY: not null.
        unsafe {
            first.write(0.0);
            last.write(e.project.frames as f64 - 1.0);
        }
    }))
}

/// The time line suite.
pub static TIME_LINE: OfxTimeLineSuiteV1 =
    OfxTimeLineSuiteV1 { getTime: Some(get_time), gotoTime: Some(goto_time), getTimeBounds: Some(get_time_bounds) };

#[cfg(test)]
mod tests {
    use super::{Block, Lock};

    #[test]
    fn a_write_beside_a_block_is_seen() {
        let block = Block::new(8);
        assert!(block.intact());
        // SAFETY: within the guard.
        unsafe { block.address().cast::<u8>().add(8).write(0) };
        assert!(!block.intact());
    }

    #[test]
    fn a_lock_is_recursive_and_belongs_to_its_thread() {
        let lock = Lock::default();
        assert!(lock.lock(false) && lock.lock(false));
        std::thread::scope(|s| {
            s.spawn(|| assert!(!lock.lock(false) && !lock.unlock()));
        });
        assert!(lock.unlock() && lock.unlock() && !lock.unlock());
    }
}
