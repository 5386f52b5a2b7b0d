//! Frames of a video, decoded by an `ffmpeg` of our own through a pipe, a few frames ahead.
//!
//! * Numbering: frame `n` is the `n`-th picture that decodes. Files of variable frame rate are first made
//!   even (see [`VideoInfo::fps`]).
//! * Start: near the beginning, frames are decoded and skipped. Far into an indexed file with even time
//!   stamps the decoder seeks to a point well before and skips the rest, which gives the same frames.
//! * Colour: YUV becomes RGB by the file's matrix and range with interpolated chroma; nothing else changes.
//! * Memory: the queue holds raw frames (3 to 8 bytes a pixel) in buffers that go round and round.

use super::FrameRange;
use super::ffmpeg::{Log, Tools, collect_log, file_argument, spawn};
use super::probe::{VideoInfo, probe};
use super::still::Depth;
use crate::frame::Frame;
use crate::frame::convert::Le16;
use crate::{CancelToken, Error, Result};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Starts before this frame are reached by decoding from the beginning.
const SKIP_AT_MOST: usize = 250;
/// How far before the wanted frame a seek aims, in frames: room for uneven key frames and time stamps.
const SEEK_MARGIN: usize = 25;

/// How a video is read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// `None`: all frames.
    pub range: Option<FrameRange>,
    /// Take what decodes of a file that breaks off, with a warning in the log instead of an error.
    pub tolerant: bool,
    /// Frames decoded ahead; 0 means 3.
    pub read_ahead: usize,
    /// Ends the reading.
    pub cancel: CancelToken,
}

/// An iterator over the frames of a video, with their numbers.
pub struct VideoReader {
    path: PathBuf,
    info: VideoInfo,
    options: ReadOptions,
    /// `None` once the end is reached or an error was returned.
    running: Option<Running>,
    next: usize,
    spare: Vec<Frame>,
}

struct Running {
    child: Child,
    full: Option<Receiver<Vec<u8>>>,
    empty: Sender<Vec<u8>>,
    /// Ends with the number of bytes of an incomplete last frame, or the pipe's error.
    pump: Option<JoinHandle<std::io::Result<usize>>>,
    log: Option<JoinHandle<Log>>,
}

impl VideoReader {
    /// Opens a video with the programs of [`Tools::find`].
    ///
    /// # Errors
    /// [`Error::Input`] as [`probe`] and [`Tools::find`], or where the range starts behind the end.
    pub fn open(path: &Path, options: ReadOptions) -> Result<VideoReader> {
        let tools = Tools::find()?;
        let info = probe(&tools, path)?;
        VideoReader::start(&tools, path, &info, options)
    }

    /// Starts reading a video that was probed before.
    ///
    /// # Errors
    /// [`Error::Input`] where ffmpeg does not start or the range starts behind the end.
    pub fn start(tools: &Arc<Tools>, path: &Path, info: &VideoInfo, options: ReadOptions) -> Result<VideoReader> {
        let range = options.range.unwrap_or(FrameRange { first: 0, last: None });
        if range.is_empty() {
            return Err(Error::usage(format!("the frame range {range} is empty")));
        }
        if let Some(frames) = info.frames.filter(|_| info.frames_exact)
            && (range.first >= frames || range.last.is_some_and(|l| l >= frames))
        {
            return Err(past_end(path, range, frames));
        }
        let mut command = tools.ffmpeg();
        let mut filters: Vec<String> = Vec::new();
        let mut skip = range.first;
        if skip > SKIP_AT_MOST && info.seekable() {
            // Half a frame early, so that the first frame kept does not hang on rounding.
            let target = range.first - SEEK_MARGIN;
            command.arg("-ss").arg(format!("{:.6}", info.time_of(target) - 0.5 / info.fps.as_f64()));
            skip = SEEK_MARGIN;
        }
        command.arg("-i").arg(file_argument(path));
        command.arg("-map").arg(format!("0:{}", info.stream)).args(["-an", "-sn", "-dn"]);
        if info.variable {
            filters.push(format!("fps=fps={}:round=near", info.fps));
        } else {
            // Time stamps that are rounded (Matroska's milliseconds) or wrong must neither repeat nor drop a
            // frame on the way to the pipe: every decoded frame gets its own place on the grid.
            let (num, den) = (info.fps.num, info.fps.den);
            filters.push(format!("settb={den}/{num},setpts=N,fps=fps={num}/{den}"));
        }
        if skip > 0 {
            filters.push(format!("trim=start_frame={skip}"));
        }
        let planar = planar(info);
        let format = match (info.depth, info.alpha) {
            (Depth::U8, false) if planar => "gbrp",
            (Depth::U8, false) => "rgb24",
            (Depth::U8, true) => "rgba",
            (_, false) => "rgb48le",
            (_, true) => "rgba64le",
        };
        let range_of = match info.full_range {
            Some(true) => ":in_range=pc",
            Some(false) => ":in_range=tv",
            None => "",
        };
        filters.push(format!(
            "scale=in_color_matrix={}{range_of}:out_range=pc:flags=bicubic+accurate_rnd+full_chroma_int",
            info.matrix_argument()
        ));
        filters.push(format!("format={format}"));
        command.arg("-vf").arg(filters.join(","));
        command.args(tools.passthrough());
        if let Some(n) = range.len() {
            command.arg("-frames:v").arg(n.to_string());
        }
        command.args(["-f", "rawvideo", "-pix_fmt", format, "pipe:1"]).stdout(Stdio::piped());

        let mut child = spawn(&mut command)?;
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(Error::engine("the pipes of ffmpeg are missing"));
        };
        let bytes =
            info.width * info.height * if info.alpha { 4 } else { 3 } * if info.depth == Depth::U8 { 1 } else { 2 };
        let ahead = if options.read_ahead == 0 { 3 } else { options.read_ahead.min(64) };
        let (full_in, full) = sync_channel(ahead.max(2) - 1);
        let (empty, empty_out) = channel();
        let pump = std::thread::spawn(move || pump(stdout, bytes, &full_in, &empty_out));
        let log = collect_log(stderr);
        Ok(VideoReader {
            path: path.to_path_buf(),
            info: info.clone(),
            options,
            running: Some(Running { child, full: Some(full), empty, pump: Some(pump), log: Some(log) }),
            next: range.first,
            spare: Vec::new(),
        })
    }

    /// What the file says about itself.
    pub fn info(&self) -> &VideoInfo {
        &self.info
    }

    /// Gives a frame back, so that its memory serves the next one.
    pub fn recycle(&mut self, frame: Frame) {
        if self.spare.len() < 4 {
            self.spare.push(frame);
        }
    }

    /// The next frame with its number; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Input`] where the file breaks off or has no frames. After an
    /// error there are no more frames.
    pub fn next_frame(&mut self) -> Option<Result<(usize, Frame)>> {
        let running = self.running.as_mut()?;
        let full = running.full.as_ref()?;
        let bytes = loop {
            if let Err(e) = self.options.cancel.check() {
                self.running = None;
                return Some(Err(e));
            }
            // A decoder that hangs must not make Ctrl-C hang.
            match full.recv_timeout(Duration::from_millis(200)) {
                Ok(bytes) => break bytes,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    let ended = self.ended();
                    self.running = None;
                    return ended.err().map(Err);
                }
            }
        };
        let mut frame = self.spare.pop().unwrap_or_else(|| Frame::new(self.info.width, self.info.height));
        frame.reshape(self.info.width, self.info.height, self.info.color());
        match (self.info.depth, self.info.alpha) {
            (Depth::U8, false) if planar(&self.info) => {
                let (green, rest) = bytes.split_at(self.info.width * self.info.height);
                let (blue, red) = rest.split_at(self.info.width * self.info.height);
                frame.fill_planes([red, green, blue]);
            }
            (Depth::U8, false) => frame.fill_samples::<u8, 3>(&bytes),
            (Depth::U8, true) => frame.fill_samples::<u8, 4>(&bytes),
            (_, false) => frame.fill_samples::<Le16, 3>(bytemuck::cast_slice(&bytes)),
            (_, true) => frame.fill_samples::<Le16, 4>(bytemuck::cast_slice(&bytes)),
        }
        // The pump may have ended already.
        let _ = running.empty.send(bytes);
        let n = self.next;
        self.next += 1;
        Some(Ok((n, frame)))
    }

    /// Judges how the decoder ended.
    fn ended(&mut self) -> Result<()> {
        let Some(running) = self.running.as_mut() else { return Ok(()) };
        let status = running.child.wait();
        let log = running.log.take().and_then(|l| l.join().ok()).unwrap_or_default();
        let rest = running.pump.take().map_or(0, |p| p.join().ok().and_then(std::io::Result::ok).unwrap_or(0));
        let clean = status.is_ok_and(|s| s.success()) && rest == 0;

        let range = self.options.range.unwrap_or(FrameRange { first: 0, last: None });
        let got = self.next - range.first;
        let name = self.path.display();
        if range.len() == Some(got) {
            return Ok(());
        }
        // What a whole file would have had: the container's count, or a little less than the duration says.
        let stated = match self.info.frames {
            Some(n) if self.info.frames_exact => n,
            Some(n) => n.saturating_sub(2 + n / 100),
            None => 0,
        };
        let broken = !clean || (!log.is_empty() && self.next < stated);
        if broken && !(self.options.tolerant && got > 0) {
            let why = log.reason();
            return Err(Error::input(if got == 0 && range.first == 0 {
                format!("{name}: no frame of the video can be decoded ({why}): the file is damaged, copy it again")
            } else {
                format!(
                    "{name}: the video breaks off after frame {} ({why}): copy it again, or use only the frames before",
                    (self.next).saturating_sub(1)
                )
            }));
        }
        if broken {
            tracing::warn!("{name}: the video breaks off after frame {}: {}", self.next - 1, log.reason());
            return Ok(());
        }
        if !log.is_empty() {
            tracing::warn!("{name}: {}", log.reason());
        }
        if got == 0 && range.first == 0 {
            return Err(Error::input(format!("{name}: the video has no frames")));
        }
        if got == 0 || range.last.is_some() {
            return Err(past_end(&self.path, range, if got == 0 { 0 } else { self.next }));
        }
        Ok(())
    }
}

/// Whether the decoder hands on planes. ffmpeg makes them of YUV in vectors, but interleaved pixels one by one, which takes twice as
/// long; the values are the same (`tests/media_video.rs`).
fn planar(info: &VideoInfo) -> bool {
    info.depth == Depth::U8 && !info.alpha && info.pixel_format.starts_with("yuv")
}

/// The error of a range that reaches behind the end; `frames` is 0 where the number is not known.
fn past_end(path: &Path, range: FrameRange, frames: usize) -> Error {
    Error::input(if frames > range.first || frames > 0 && range.last.is_some_and(|l| l < frames) {
        format!(
            "{}: the video ends after frame {} (frames count from 0), {range} was asked for: choose a shorter range",
            path.display(),
            frames - 1
        )
    } else {
        format!("{}: the video ends before frame {}: choose an earlier range", path.display(), range.first)
    })
}

impl Iterator for VideoReader {
    type Item = Result<(usize, Frame)>;
    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without the receiver the pump's next send fails; without the child its read ends.
        self.full = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(p) = self.pump.take() {
            let _ = p.join();
        }
        if let Some(l) = self.log.take() {
            let _ = l.join();
        }
    }
}

/// Reads whole frames from the pipe into buffers that come back, until the end or until the receiver is dropped.
fn pump(
    mut from: ChildStdout,
    bytes: usize,
    full: &SyncSender<Vec<u8>>,
    empty: &Receiver<Vec<u8>>,
) -> std::io::Result<usize> {
    loop {
        let mut buffer = empty.try_recv().unwrap_or_else(|_| vec![0; bytes]);
        let mut at = 0;
        while at < bytes {
            match from.read(&mut buffer[at..]) {
                Ok(0) => return Ok(at),
                Ok(n) => at += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if full.send(buffer).is_err() {
            return Ok(0);
        }
    }
}
