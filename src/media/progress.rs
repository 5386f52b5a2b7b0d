//! How far a long job is: a bar on a terminal, one line per 10 % elsewhere, or nothing.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Instant;

/// Progress of one job, on stderr.
pub struct Progress {
    label: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    out: Out,
}

enum Out {
    Quiet,
    Bar(ProgressBar),
    /// The writer and how many tenths (or hundreds of frames, without a total) have been reported.
    Lines(Box<dyn Write + Send>, u64),
}

impl Progress {
    /// A job of `total` steps (`None`: not known). `label` stands before the figures.
    pub fn new(label: &str, total: Option<u64>, quiet: bool) -> Progress {
        let out = if quiet {
            Out::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(10));
            let template = if total.is_some() {
                "{msg} [{bar:40}] {pos}/{len}, {per_sec}, {eta} left"
            } else {
                "{msg} {spinner} {pos}, {per_sec}"
            };
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_message(label.to_string());
            Out::Bar(bar)
        } else {
            Out::Lines(Box::new(std::io::stderr()), 0)
        };
        Progress { label: label.to_string(), total, done: 0, started: Instant::now(), out }
    }

    /// A job that reports by lines to `out`, whatever stderr is.
    pub fn lines(label: &str, total: Option<u64>, out: Box<dyn Write + Send>) -> Progress {
        Progress { label: label.to_string(), total, done: 0, started: Instant::now(), out: Out::Lines(out, 0) }
    }

    /// `steps` more are done.
    pub fn inc(&mut self, steps: u64) {
        self.done += steps;
        match &mut self.out {
            Out::Quiet => {}
            Out::Bar(bar) => bar.inc(steps),
            Out::Lines(out, reported) => {
                let mark = match self.total {
                    Some(total) if total > 0 => (10 * self.done / total).min(10),
                    Some(_) => 10,
                    None => self.done / 100,
                };
                if mark <= *reported {
                    return;
                }
                *reported = mark;
                let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(1e-6);
                // A closed stderr is no reason to stop the job.
                let _ = match self.total {
                    Some(total) => {
                        writeln!(out, "{}: {} % ({}/{total}), {rate:.1}/s", self.label, 10 * mark, self.done)
                    }
                    None => writeln!(out, "{}: {}, {rate:.1}/s", self.label, self.done),
                };
            }
        }
    }

    /// Steps done so far.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// Takes the bar away; lines stay.
    pub fn finish(&mut self) {
        if let Out::Bar(bar) = &self.out {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, b: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(b);
            Ok(b.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    impl Shared {
        fn lines(&self) -> Vec<String> {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap().lines().map(String::from).collect()
        }
    }

    #[test]
    fn one_line_per_tenth() {
        let out = Shared::default();
        let mut p = Progress::lines("reenact", Some(237), Box::new(out.clone()));
        for _ in 0..237 {
            p.inc(1);
        }
        let lines = out.lines();
        assert_eq!(lines.len(), 10);
        assert!(lines[0].starts_with("reenact: 10 % (24/237), "));
        assert!(lines[9].starts_with("reenact: 100 % (237/237), "));
    }

    #[test]
    fn unknown_and_zero_totals() {
        let out = Shared::default();
        let mut p = Progress::lines("x", None, Box::new(out.clone()));
        p.inc(250);
        p.inc(10);
        assert_eq!(out.lines().len(), 1);
        let mut p = Progress::lines("x", Some(0), Box::new(out.clone()));
        p.inc(1);
        p.inc(1);
        assert_eq!(out.lines().len(), 2);
        let mut q = Progress::new("quiet", Some(3), true);
        q.inc(3);
        assert_eq!(q.done(), 3);
    }
}
