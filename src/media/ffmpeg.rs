//! The user's own `ffmpeg` and `ffprobe` programs: found, version-checked and run as subprocesses.

use super::atomic::plain;
use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;

/// The oldest release that is used: the first with the filter `setparams`.
const OLDEST: (u32, u32) = (4, 1);

/// The two programs, present and new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tools {
    /// Path or name of `ffmpeg`.
    pub ffmpeg: PathBuf,
    /// Path or name of `ffprobe`.
    pub ffprobe: PathBuf,
    /// Release of `ffmpeg`; `None` for a build that does not carry one (nightly builds).
    pub version: Option<(u32, u32)>,
}

impl Tools {
    /// The programs named by `$HEADGAN_FFMPEG` and `$HEADGAN_FFPROBE`, else those on the PATH. With only
    /// the first given, `ffprobe` is looked for beside it. The answer is kept for the process.
    ///
    /// # Errors
    /// [`Error::Input`] where a program is missing, does not run or is older than 4.1.
    pub fn find() -> Result<Arc<Tools>> {
        static FOUND: OnceLock<Arc<Tools>> = OnceLock::new();
        if let Some(t) = FOUND.get() {
            return Ok(t.clone());
        }
        let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let tools = Arc::new(Tools::at(named("HEADGAN_FFMPEG"), named("HEADGAN_FFPROBE"))?);
        Ok(FOUND.get_or_init(|| tools).clone())
    }

    /// The programs at the given places, else on the PATH (see [`Tools::find`]).
    ///
    /// # Errors
    /// As [`Tools::find`].
    pub fn at(ffmpeg: Option<PathBuf>, ffprobe: Option<PathBuf>) -> Result<Tools> {
        let beside = ffmpeg.as_ref().and_then(|f| {
            let name = f.file_name()?.to_string_lossy().replace("ffmpeg", "ffprobe");
            Some(f.with_file_name(name)).filter(|p| p.is_file())
        });
        let ffmpeg = ffmpeg.unwrap_or_else(|| PathBuf::from("ffmpeg"));
        let ffprobe = ffprobe.or(beside).unwrap_or_else(|| PathBuf::from("ffprobe"));
        let version = version_of(&ffmpeg, "ffmpeg", "HEADGAN_FFMPEG")?;
        version_of(&ffprobe, "ffprobe", "HEADGAN_FFPROBE")?;
        Ok(Tools { ffmpeg, ffprobe, version })
    }

    /// The release as text.
    pub fn version_text(&self) -> String {
        self.version.map_or_else(|| "unnumbered build".to_string(), |(a, b)| format!("{a}.{b}"))
    }

    /// `ffmpeg`, quiet but for errors, away from the terminal.
    pub(crate) fn ffmpeg(&self) -> Command {
        let mut c = detached(&self.ffmpeg);
        c.args(["-hide_banner", "-loglevel", "error", "-nostdin", "-y"]);
        c
    }

    /// The arguments that hand on every decoded frame once, whatever its time stamp.
    pub(crate) fn passthrough(&self) -> [&'static str; 2] {
        // `-vsync` was renamed in 5.1 and will go.
        match self.version {
            Some(v) if v < (5, 1) => ["-vsync", "passthrough"],
            _ => ["-fps_mode", "passthrough"],
        }
    }
}

/// A command in a process group of its own: Ctrl-C in the terminal must reach us alone, so that we end
/// the child and remove what it wrote.
pub(crate) fn detached(program: &Path) -> Command {
    let mut c = Command::new(program);
    c.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut c, 0);
    #[cfg(windows)]
    {
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        const CREATE_NO_WINDOW: u32 = 0x0800_0000;
        std::os::windows::process::CommandExt::creation_flags(&mut c, CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
    }
    c
}

/// The error for a program that does not start.
fn not_found(program: &Path, name: &str, variable: &str, why: &str) -> Error {
    Error::input(format!(
        "{name} was not found ({}: {why}): install it (Debian/Ubuntu: apt install ffmpeg, macOS: brew install \
         ffmpeg, Windows: winget install ffmpeg) or set {variable}",
        program.display()
    ))
}

fn version_of(program: &Path, name: &str, variable: &str) -> Result<Option<(u32, u32)>> {
    let out = detached(program).arg("-version").stdout(Stdio::piped()).output().map_err(|e| {
        let why = if e.kind() == std::io::ErrorKind::NotFound { "no such program".to_string() } else { plain(&e) };
        not_found(program, name, variable, &why).with_source(e)
    })?;
    let text = String::from_utf8_lossy(&out.stdout);
    let Some(first) = text.lines().next().filter(|l| out.status.success() && l.starts_with(&format!("{name} version")))
    else {
        return Err(not_found(program, name, variable, &format!("it does not answer as {name} does")));
    };
    let version = parse_version(first);
    if let Some(v) = version.filter(|v| *v < OLDEST) {
        return Err(Error::input(format!(
            "{} is {name} {}.{}, older than {}.{}: install a newer one or set {variable}",
            program.display(),
            v.0,
            v.1,
            OLDEST.0,
            OLDEST.1
        )));
    }
    Ok(version)
}

/// `ffmpeg version 5.1.9-0+deb12u1 ...` is (5, 1); git and nightly builds have no release number.
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let word = line.split_whitespace().nth(2)?;
    let word = word.strip_prefix(['n', 'v']).unwrap_or(word);
    let mut parts = word.split(|c: char| !c.is_ascii_digit());
    let major: u32 = parts.next()?.parse().ok()?;
    let minor: u32 = parts.next().and_then(|p| p.parse().ok()).unwrap_or(0);
    // A date (2024-05-01-git-...) is no release.
    (major < 1000).then_some((major, minor))
}

/// A path as an argument that cannot be taken for an option, a protocol or a pattern.
pub(crate) fn file_argument(path: &Path) -> OsString {
    let mut s = OsString::from("file:");
    s.push(path);
    s
}

/// Starts a command.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().map_err(|e| {
        Error::input(format!("{} does not start: {}", Path::new(command.get_program()).display(), plain(&e)))
            .with_source(e)
    })
}

/// Runs to the end. `Ok(stdout)` on success; `Err(last line of stderr)` where the program failed.
pub(crate) fn output(command: &mut Command) -> Result<std::result::Result<Vec<u8>, String>> {
    let out = command.stdout(Stdio::piped()).output().map_err(|e| {
        Error::input(format!("{} does not start: {}", Path::new(command.get_program()).display(), plain(&e)))
            .with_source(e)
    })?;
    if out.status.success() {
        return Ok(Ok(out.stdout));
    }
    let mut log = Log::default();
    for line in String::from_utf8_lossy(&out.stderr).lines() {
        log.push(line);
    }
    Ok(Err(log.reason()))
}

/// What a child wrote to stderr: the first and the last few lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Log {
    head: Vec<String>,
    tail: std::collections::VecDeque<String>,
}

impl Log {
    const KEPT: usize = 8;

    fn push(&mut self, line: &str) {
        let line = tidy(line);
        if line.is_empty() {
            return;
        }
        if self.head.len() < Self::KEPT {
            self.head.push(line);
            return;
        }
        if self.tail.len() == Self::KEPT {
            self.tail.pop_front();
        }
        self.tail.push_back(line);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty()
    }

    /// The line that says most: the last one that is not ffmpeg's closing remark.
    pub(crate) fn reason(&self) -> String {
        let hollow = [
            "Conversion failed",
            "Error while processing",
            "Error while decoding stream",
            "Error marking filters as finished",
            "Task finished",
            "Terminating thread",
            "Nothing was written",
            "Invalid data found when processing input",
        ];
        let all = || self.tail.iter().rev().chain(self.head.iter().rev());
        all()
            .find(|l| !hollow.iter().any(|h| l.contains(h)))
            .or_else(|| all().next())
            .cloned()
            .unwrap_or_else(|| "ffmpeg gave no reason".to_string())
    }

    pub(crate) fn contains(&self, text: &str) -> bool {
        self.head.iter().chain(&self.tail).any(|l| l.contains(text))
    }
}

/// One line without control characters and without the memory addresses that ffmpeg prints in
/// `[mov @ 0x55d0c8]`.
fn tidy(line: &str) -> String {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut out = String::with_capacity(line.len());
    let mut rest = line.as_str();
    while let Some(i) = rest.find(" @ 0x") {
        let Some(end) = rest[i..].find(']') else { break };
        out.push_str(&rest[..i]);
        rest = &rest[i + end..];
    }
    out.push_str(rest);
    let mut text = out.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.len() > 300 {
        let cut = (0..=300).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(cut);
    }
    text
}

/// Reads a child's stderr to its end in the background, so that the child never blocks on it.
pub(crate) fn collect_log(stderr: impl Read + Send + 'static) -> JoinHandle<Log> {
    std::thread::spawn(move || {
        let mut log = Log::default();
        let mut reader = BufReader::new(stderr);
        let mut line = Vec::new();
        // Read as bytes: file names in messages need not be UTF-8.
        while matches!(reader.read_until(b'\n', &mut line), Ok(n) if n > 0) {
            log.push(&String::from_utf8_lossy(&line));
            line.clear();
        }
        log
    })
}

/// True where this build of ffmpeg has the encoder.
pub(crate) fn has_encoder(tools: &Tools, name: &str) -> Result<bool> {
    let mut c = detached(&tools.ffmpeg);
    c.args(["-hide_banner", "-loglevel", "error", "-h"]).arg(OsStr::new(&format!("encoder={name}")));
    // An unknown encoder is a remark with exit status 0.
    Ok(output(&mut c)?.is_ok_and(|text| String::from_utf8_lossy(&text).contains(&format!("Encoder {name}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(parse_version("ffmpeg version 5.1.9-0+deb12u1 Copyright (c)"), Some((5, 1)));
        assert_eq!(parse_version("ffmpeg version n7.0.2 Copyright"), Some((7, 0)));
        assert_eq!(parse_version("ffmpeg version 3.4.8-0ubuntu0.2 Copyright"), Some((3, 4)));
        assert_eq!(parse_version("ffmpeg version 8 Copyright"), Some((8, 0)));
        assert_eq!(parse_version("ffmpeg version N-109468-gd39b34123d Copyright"), None);
        assert_eq!(parse_version("ffmpeg version 2024-05-01-git-96449cfeae-full_build"), None);
        assert_eq!(parse_version("ffmpeg"), None);
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let e = Tools::at(Some("/nonexistent/ffmpeg".into()), None).unwrap_err();
        let text = e.to_string();
        assert!(matches!(e, Error::Input(_)));
        assert!(
            text.contains("ffmpeg was not found") && text.contains("apt install") && text.contains("HEADGAN_FFMPEG")
        );
        assert!(!text.contains('\n'));
        // something that runs but is not ffmpeg
        #[cfg(unix)]
        assert!(matches!(Tools::at(Some("/bin/true".into()), None), Err(Error::Input(_))));
    }

    #[test]
    fn log_lines_are_tidied() {
        let mut log = Log::default();
        log.push("[mov,mp4 @ 0x55d0c8aa] moov atom not found\n");
        log.push("Conversion failed!");
        assert_eq!(log.reason(), "[mov,mp4] moov atom not found");
        assert_eq!(tidy(&"é".repeat(400)).len(), 300);
        for i in 0..100 {
            log.push(&format!("line {i}"));
        }
        assert_eq!(log.reason(), "line 99");
        assert!(log.contains("moov") && !log.contains("line 50"));
    }
}
