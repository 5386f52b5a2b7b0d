//! One part, downloaded so that every byte is asked for once.
//!
//! `NAME.part` grows and becomes `NAME`; `NAME.json` ([`Record`]) says what file of the server it is.

use super::checksums::Checksum;
use super::client::{Client, Failure, one_line};
use crate::data::store::write_text;
use crate::interrupt;
use headgan::media::Progress;
use headgan::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode, header};

/// Bytes read at once.
const BLOCK: usize = 1 << 18;
/// Progress is counted in these.
const MIB: u64 = 1 << 20;
/// A file that is another one whenever it is asked for is given up after so many times.
const CHANGES: u32 = 3;

/// The file of the server that a part is, and what was checked of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Bytes.
    pub total: u64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// The checksum that it was found to have.
    pub verified: Option<Checksum>,
    /// With the first part: the checksum that all parts as one were found to have.
    pub verified_joined: Option<Checksum>,
}

/// `NAME`: a part that is whole.
pub fn done_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(name)
}

/// `NAME.part`: one that is not yet.
pub fn part_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.part"))
}

fn record_path(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.json"))
}

impl Record {
    /// None where there is none that can be read.
    pub fn load(folder: &Path, name: &str) -> Option<Record> {
        serde_json::from_str(&std::fs::read_to_string(record_path(folder, name)).ok()?).ok()
    }

    /// # Errors
    /// [`Error::Input`] where it cannot be written.
    pub fn save(&self, folder: &Path, name: &str) -> Result<()> {
        let path = record_path(folder, name);
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::engine(format!("{}: {e}", path.display())).with_source(e))?;
        write_text(&path, &text)
    }

    /// What an answer says of its file; none where it does not say how long that is.
    fn from_response(answer: &Response<Body>) -> Option<Record> {
        let headers = answer.headers();
        let total = match answer.status() {
            StatusCode::OK => text(headers, header::CONTENT_LENGTH)?.parse().ok()?,
            _ => range(headers)?.1,
        };
        let owned = |name| text(headers, name).map(str::to_owned);
        Some(Record {
            total,
            etag: owned(header::ETAG),
            last_modified: owned(header::LAST_MODIFIED),
            ..Record::default()
        })
    }

    /// Whether both are of one file, as far as both say.
    fn agrees(&self, other: &Record) -> bool {
        let same = |a: &Option<String>, b: &Option<String>| a.is_none() || b.is_none() || a == b;
        self.total == other.total && same(&self.etag, &other.etag) && same(&self.last_modified, &other.last_modified)
    }
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim)
}

/// `Content-Range`: the first byte (none for `*`) and the length of the whole.
fn range(headers: &HeaderMap) -> Option<(Option<u64>, u64)> {
    let (bytes, total) = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    let first = bytes.split_once('-').and_then(|(first, _)| first.trim().parse().ok());
    Some((first, total.trim().parse().ok()?))
}

/// How an attempt ended that was no failure.
enum Step {
    Done,
    /// The server's file is not the one begun, which was thrown away.
    Changed,
}

/// Downloads a part into a folder, or the rest of it; bytes received.
///
/// # Errors
/// [`Error::Usage`] for a wrong user or password, [`Error::Input`] for what the server or the disk does not do,
/// [`Error::Interrupted`]. What was received stays.
pub fn download(client: &Client, name: &str, folder: &Path, say: &dyn Fn(&str), quiet: bool) -> Result<u64> {
    let done = done_path(folder, name);
    let record = Record::load(folder, name);
    let here = std::fs::metadata(&done).map(|m| m.len()).ok();
    if here.is_some() && here == record.as_ref().map(|r| r.total) {
        return Ok(0);
    }
    let retry = client.retry;
    let mut job = Job { client, name, folder, received: 0, quiet };
    let (mut tries, mut changes, mut farthest) = (0, 0, job.length());
    let mut pause = retry.pause;
    loop {
        interrupt::check()?;
        let step = match here {
            Some(here) => job.adopt(here),
            None => job.attempt(),
        };
        let why = match step {
            Ok(Step::Done) => return Ok(job.received),
            Ok(Step::Changed) if changes < CHANGES => {
                changes += 1;
                farthest = 0;
                say(&format!("{name}: the server has another file than the one begun: starting over"));
                continue;
            }
            Ok(Step::Changed) => return Err(client.wrong(name, "it changes while it is downloaded")),
            Err(Failure::Permanent(error)) => return Err(error),
            Err(Failure::Transient(why)) => why,
        };
        // Bytes that were there before are no progress.
        if job.length() > farthest {
            (farthest, tries, pause) = (job.length(), 0, retry.pause);
        }
        tries += 1;
        if tries >= retry.tries {
            let text = format!("{name}: {why}, {tries} times in a row: what is there stays; run again later");
            return Err(Error::input(text));
        }
        say(&format!("{name}: {why}: trying again in {:.0} s", pause.as_secs_f64().ceil()));
        wait(pause)?;
        pause = (2 * pause).min(retry.longest);
    }
}

fn wait(pause: Duration) -> Result<()> {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        interrupt::check()?;
        std::thread::sleep(Duration::from_millis(50).min(pause));
    }
    Ok(())
}

struct Job<'a> {
    client: &'a Client,
    name: &'a str,
    folder: &'a Path,
    received: u64,
    quiet: bool,
}

impl Job<'_> {
    fn length(&self) -> u64 {
        std::fs::metadata(part_path(self.folder, self.name)).map_or(0, |m| m.len())
    }

    /// A whole file that another program downloaded counts where it is as long as the server's.
    fn adopt(&self, here: u64) -> Result<Step, Failure> {
        let answer = self.client.get(self.name, 0)?;
        let seen = self.record_of(&answer)?;
        if seen.total != here {
            let text = format!(
                "{}: is there with {here} bytes, the server's has {}: move it away",
                done_path(self.folder, self.name).display(),
                seen.total
            );
            return Err(Error::input(text).into());
        }
        seen.save(self.folder, self.name)?;
        Ok(Step::Done)
    }

    fn record_of(&self, answer: &Response<Body>) -> Result<Record, Failure> {
        Record::from_response(answer)
            .ok_or_else(|| self.client.wrong(self.name, "the server does not say how long it is").into())
    }

    /// One request, and all that it brings.
    fn attempt(&mut self) -> Result<Step, Failure> {
        let begun = Record::load(self.folder, self.name);
        let have = if begun.is_some() { self.length() } else { 0 };
        if have > 0 && begun.as_ref().is_some_and(|b| b.total == have) {
            return self.finish();
        }
        let answer = self.client.get(self.name, have)?;
        if answer.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // The server's file ends before the part does.
            return if have > 0 {
                Ok(self.start_over())
            } else {
                Err(self.client.wrong(self.name, "the answer cannot be used (416)").into())
            };
        }
        let seen = self.record_of(&answer)?;
        let same = begun.as_ref().is_some_and(|b| b.agrees(&seen));
        let start = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if same && range(answer.headers()).and_then(|r| r.0) == Some(have) => have,
            _ if have == 0 => return Err(self.client.wrong(self.name, "it sends a piece when asked for all").into()),
            _ => return Ok(self.start_over()),
        };
        seen.save(self.folder, self.name)?;
        self.receive(answer, start, seen.total)?;
        self.finish()
    }

    /// Throws away what was begun.
    fn start_over(&self) -> Step {
        // What cannot be removed is cut to nothing or written over by the next attempt.
        let _ = std::fs::remove_file(record_path(self.folder, self.name));
        let _ = std::fs::remove_file(part_path(self.folder, self.name));
        Step::Changed
    }

    /// Writes a body behind the first `start` bytes of the part.
    fn receive(&mut self, answer: Response<Body>, start: u64, total: u64) -> Result<(), Failure> {
        let path = part_path(self.folder, self.name);
        let cannot = |e: std::io::Error, at: u64| {
            let room = (total - at.min(total)).div_ceil(MIB);
            Failure::Permanent(Error::input(format!(
                "cannot write {}: {}: what is there stays; {room} MiB are missing: make room and run again",
                path.display(),
                one_line(&e)
            )))
        };
        let mut file = OpenOptions::new().create(true).append(true).open(&path).map_err(|e| cannot(e, start))?;
        file.set_len(start).map_err(|e| cannot(e, start))?;
        let mut progress = Progress::new(&format!("{}, MiB", self.name), Some(total.div_ceil(MIB)), self.quiet);
        progress.inc(start / MIB);
        let mut body = answer.into_body().into_reader();
        let mut block = vec![0; BLOCK];
        let mut at = start;
        while at < total {
            let n = body.read(&mut block);
            // Ctrl-C ends the connection, too.
            interrupt::check()?;
            let n = n.map_err(|e| Failure::Transient(format!("the connection broke ({})", one_line(&e))))?;
            if n == 0 {
                return Err(Failure::Transient("the connection ended early".into()));
            }
            let n = n.min(usize::try_from(total - at).unwrap_or(n));
            file.write_all(&block[..n]).map_err(|e| cannot(e, at))?;
            let before = at / MIB;
            at += n as u64;
            self.received += n as u64;
            progress.inc(at / MIB - before);
        }
        file.sync_all().map_err(|e| cannot(e, at))?;
        progress.finish();
        Ok(())
    }

    fn finish(&self) -> Result<Step, Failure> {
        let (part, done) = (part_path(self.folder, self.name), done_path(self.folder, self.name));
        std::fs::rename(&part, &done).map_err(|e| {
            Error::input(format!("{}: cannot be renamed ({e}): check the folder", part.display())).with_source(e)
        })?;
        Ok(Step::Done)
    }
}

/// Renames a part that is not what it should be, so that it is neither used nor lost; its new name.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn set_aside(folder: &Path, name: &str) -> Result<PathBuf> {
    let names = (1..).map(|i| if i == 1 { format!("{name}.bad") } else { format!("{name}.bad{i}") });
    let mut paths = names.map(|n| folder.join(n)).filter(|p| !p.exists());
    // There is always a number that is not taken.
    let aside = paths.next().unwrap_or_else(|| folder.join(format!("{name}.bad")));
    std::fs::rename(done_path(folder, name), &aside)
        .map_err(|e| Error::input(format!("{name}: cannot be renamed to {} ({e})", aside.display())).with_source(e))?;
    let _ = std::fs::remove_file(record_path(folder, name));
    Ok(aside)
}

/// Opens a whole part.
///
/// # Errors
/// [`Error::Input`] where that fails.
pub fn open(folder: &Path, name: &str) -> Result<File> {
    let path = done_path(folder, name);
    File::open(&path).map_err(|e| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e))
}
