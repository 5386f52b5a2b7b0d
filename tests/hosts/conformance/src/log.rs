//! What a level's process has to say: checks that passed, findings, remarks, and the step it is at.
//!
//! The process writes one line for each to its standard output, marked so that the runner can tell them from what the
//! plugin itself prints. The step is what the runner reports when the process dies or hangs.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::Write;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// The first byte of a line that is the host's own.
pub const MARK: char = '\u{1e}';

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A check passed.
    Ok,
    /// The plugin broke a rule of the standard, or one of this host's levels.
    Fail,
    /// Allowed, but likely to trouble some host.
    Warning,
    /// A figure, or what was left out and why.
    Note,
    /// The step that begins; shown only if the process does not come back from it.
    Step,
}

impl Kind {
    /// The word that stands in the log.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Ok => "ok",
            Kind::Fail => "FAIL",
            Kind::Warning => "warning",
            Kind::Note => "note",
            Kind::Step => "step",
        }
    }

    /// Reads a marked line as its kind and text; `None` if the line is not the host's.
    pub fn read(line: &str) -> Option<(Kind, &str)> {
        let (word, text) = line.strip_prefix(MARK)?.split_once(' ')?;
        let kinds = [Kind::Ok, Kind::Fail, Kind::Warning, Kind::Note, Kind::Step];
        kinds.into_iter().find(|k| k.word() == word).map(|k| (k, text))
    }
}

#[derive(Default)]
struct State {
    step: String,
    seen: HashMap<(Kind, String), u32>,
    failures: u32,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn write(kind: Kind, text: &str) {
    // The runner is gone if this fails; there is nobody left to tell.
    let _ = writeln!(std::io::stdout().lock(), "{MARK}{} {}", kind.word(), text.replace('\n', " "));
}

/// Begins a step.
pub fn step(text: impl Display) {
    let text = text.to_string();
    write(Kind::Step, &text);
    state().step = text;
}

/// A check passed.
pub fn ok(text: impl Display) {
    write(Kind::Ok, &text.to_string());
}

/// A rule is broken. The same finding within the same step is written once.
pub fn fail(text: impl Display) {
    found(Kind::Fail, text.to_string());
}

/// Something that may trouble a host. The same warning is written once.
pub fn warn(text: impl Display) {
    found(Kind::Warning, text.to_string());
}

/// A remark. The same remark is written once.
pub fn note(text: impl Display) {
    found(Kind::Note, text.to_string());
}

fn found(kind: Kind, text: String) {
    let mut state = state();
    state.failures += u32::from(kind == Kind::Fail);
    let count = state.seen.entry((kind, text.clone())).or_default();
    *count += 1;
    if *count == 1 {
        let text = if kind == Kind::Fail { format!("{text} [{}]", state.step) } else { text };
        write(kind, &text);
    }
}

/// Counts failures of a child process, which has written them itself.
pub fn add_failures(count: u32) {
    state().failures += count;
}

/// How many failures this process has counted, repeated ones included.
pub fn failures() -> u32 {
    state().failures
}

/// Writes `ok` if no failure was counted while `check` ran.
pub fn check<T>(text: impl Display, check: impl FnOnce() -> T) -> T {
    let text = text.to_string();
    step(&text);
    let before = failures();
    let result = check();
    if failures() == before {
        ok(&text);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_a_plugins_line_is_not() {
        assert_eq!(Kind::read("\u{1e}FAIL wrong colour"), Some((Kind::Fail, "wrong colour")));
        assert_eq!(Kind::read("FAIL wrong colour"), None);
        assert_eq!(Kind::read("\u{1e}rubbish wrong"), None);
    }
}
