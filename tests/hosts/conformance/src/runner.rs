//! Runs levels in processes of their own, and turns their lines, crashes and hangs into a log and a verdict.

use crate::levels::{Level, signal_name};
use crate::log::Kind;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// The counts of a run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    pub ok: u32,
    pub failures: u32,
    pub warnings: u32,
}

/// Runs a level by `command`, which is this program told to be the level's process. Writes the log to `out` as it
/// comes: a line for each check, finding and note. A process that dies or is late counts as a failure.
pub fn run(level: &Level, seed: u64, mut command: Command, limit: Duration, out: &mut impl Write) -> Summary {
    let mut summary = Summary::default();
    let mut say = |summary: &mut Summary, kind: Kind, text: &str| {
        match kind {
            Kind::Ok => summary.ok += 1,
            Kind::Fail => summary.failures += 1,
            Kind::Warning => summary.warnings += 1,
            Kind::Note | Kind::Step => {}
        }
        // Nobody reads the log any more if this fails; the verdict still counts.
        let _ = writeln!(out, "level {:2}  {:7}  {text}", level.number, kind.word());
    };
    say(&mut summary, Kind::Note, &format!("{}; seed {seed}", level.about));
    let begin = Instant::now();
    // A group of its own, so that the level's own processes end with it.
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0).spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) => {
            say(&mut summary, Kind::Fail, &format!("the level's process does not start: {e}"));
            return summary;
        }
    };
    let (send, receive) = channel();
    let stdout = child.stdout.take();
    let reader = std::thread::spawn(move || {
        for line in stdout.map(BufReader::new).into_iter().flat_map(|mut s| {
            std::iter::from_fn(move || {
                let mut bytes = Vec::new();
                s.read_until(b'\n', &mut bytes).ok().filter(|n| *n > 0)?;
                Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
            })
        }) {
            if send.send(line).is_err() {
                break;
            }
        }
    });
    let mut step = "start".to_owned();
    let late = loop {
        match receive.recv_timeout(limit.saturating_sub(begin.elapsed())) {
            Ok(line) => match Kind::read(&line) {
                Some((Kind::Step, text)) => step = text.to_owned(),
                Some((kind, text)) => say(&mut summary, kind, text),
                None => say(&mut summary, Kind::Note, &format!("printed by the plugin: {line}")),
            },
            Err(RecvTimeoutError::Disconnected) => break false,
            Err(RecvTimeoutError::Timeout) => break true,
        }
    };
    if late {
        // SAFETY: the group that was made above.
        unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
    }
    let status = child.wait();
    let _ = reader.join();
    match status {
        _ if late => say(&mut summary, Kind::Fail, &format!("no end after {limit:.0?}, at: {step} (seed {seed})")),
        Ok(status) if status.signal().is_some() => {
            let signal = signal_name(status.signal().unwrap_or(0));
            say(&mut summary, Kind::Fail, &format!("the process died of signal {signal}, at: {step} (seed {seed})"));
        }
        // The process counts its own failures, whose lines are here already.
        Ok(status) if status.success() || summary.failures > 0 => {}
        Ok(status) => {
            say(&mut summary, Kind::Fail, &format!("the process ended with {status}, at: {step} (seed {seed})"));
        }
        Err(e) => say(&mut summary, Kind::Fail, &format!("the level's process: {e}")),
    }
    let _ = writeln!(out, "level {:2}  took     {:.1?}", level.number, begin.elapsed());
    summary
}
