//! Which action runs on which thread, and the strings that the host has lent to a thread.

use crate::log;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_char};

/// What a lent string turns into at the thread's next call: a use of it afterwards is seen.
const POISON: u8 = 0x7f;
/// Poisoned strings kept, so that a late reader reads poison instead of memory that is used for something else.
const KEPT: usize = 256;

#[derive(Default)]
struct Lent {
    now: Vec<Box<[u8]>>,
    poisoned: VecDeque<Box<[u8]>>,
}

thread_local! {
    static ACTIONS: RefCell<Vec<(String, usize)>> = const { RefCell::new(Vec::new()) };
    static SPAWNED: Cell<Option<u32>> = const { Cell::new(None) };
    static LENT: RefCell<Lent> = RefCell::default();
}

/// Runs `body` as the action `name` on the effect of a handle (0: none).
pub fn action<T>(name: &CStr, effect: usize, body: impl FnOnce() -> T) -> T {
    ACTIONS.with_borrow_mut(|a| a.push((name.to_string_lossy().into_owned(), effect)));
    let result = body();
    ACTIONS.with_borrow_mut(|a| a.pop());
    poison();
    result
}

/// The action that runs on this thread and its effect's handle; `None` outside actions.
pub fn current() -> Option<(String, usize)> {
    ACTIONS.with_borrow(|a| a.last().cloned())
}

/// How many actions are nested on this thread.
pub fn depth() -> usize {
    ACTIONS.with_borrow(Vec::len)
}

/// Runs `body` as thread `index` of the multi-thread suite.
pub fn spawned<T>(index: u32, body: impl FnOnce() -> T) -> T {
    SPAWNED.set(Some(index));
    let result = body();
    SPAWNED.set(None);
    result
}

/// This thread's index in the multi-thread suite, if the suite started it.
pub fn index() -> Option<u32> {
    SPAWNED.get()
}

/// Begins a call of a suite: strings lent to the thread before are no longer valid, and a thread that the host neither
/// called nor started has no business here.
pub fn enter(call: &str) {
    poison();
    if depth() == 0 && index().is_none() {
        log::fail(format!(
            "{call}: called from a thread that is in no action and was not started by the multi-thread suite"
        ));
    }
}

/// As `enter`, for the calls that any thread may make.
pub fn enter_any() {
    poison();
}

fn poison() {
    LENT.with_borrow_mut(|lent| {
        for mut text in std::mem::take(&mut lent.now) {
            let end = text.len() - 1;
            text[..end].fill(POISON);
            lent.poisoned.push_back(text);
        }
        while lent.poisoned.len() > KEPT {
            lent.poisoned.pop_front();
        }
    });
}

/// Lends a string until the thread's next call.
pub fn lend(text: &CStr) -> *mut c_char {
    let mut bytes = text.to_bytes_with_nul().to_owned().into_boxed_slice();
    let at = bytes.as_mut_ptr();
    LENT.with_borrow_mut(|lent| lent.now.push(bytes));
    at.cast()
}

/// Copies a string that the plugin passes.
///
/// # Safety
/// `text` is null or a C string.
pub unsafe fn text(text: *const c_char, call: &str) -> Option<CString> {
    if text.is_null() {
        log::fail(format!("{call}: a null string"));
        return None;
    }
    // SAFETY: the caller's.
    let copy = unsafe { CStr::from_ptr(text) }.to_owned();
    if copy.as_bytes().contains(&POISON) {
        log::fail(format!("{call}: a string of the host's is used after the next call, when it is no longer valid"));
    }
    Some(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_string_is_poisoned_by_the_next_call() {
        action(c"test", 0, || {
            let lent = lend(c"label");
            // SAFETY: lent strings stay readable for a while.
            assert_eq!(unsafe { CStr::from_ptr(lent) }, c"label");
            enter("propGetInt");
            // SAFETY: lent strings are poisoned, not freed.
            assert_eq!(unsafe { CStr::from_ptr(lent) }.to_bytes(), [POISON; 5]);
        });
    }

    #[test]
    fn a_thread_outside_of_actions_is_a_finding() {
        let before = log::failures();
        std::thread::scope(|s| s.spawn(|| enter("paramGetValue")).join().unwrap());
        assert_eq!(log::failures(), before + 1);
    }
}
