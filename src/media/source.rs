//! One way in and one way out for stills, sequences and videos.

use super::ffmpeg::Tools;
use super::probe::{VideoInfo, probe};
use super::reader::{ReadOptions, VideoReader};
use super::sequence::{Pattern, Sequence};
use super::still::{self, Depth, Limits, StillOptions};
use super::writer::{AudioFrom, Codec, VideoSpec, VideoWriter, is_video_name};
use super::{FrameRange, Rational, atomic};
use crate::frame::{Color, Frame};
use crate::key::Key;
use crate::{CancelToken, Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Frames with their numbers, decoded a little ahead. After an error there are no more.
pub type Frames = Box<dyn Iterator<Item = Result<(usize, Frame)>> + Send>;

/// A still, a sequence or a video to read from. Cheap to clone; every call of [`Source::frames`] decodes
/// anew.
#[derive(Debug, Clone)]
pub struct Source {
    path: PathBuf,
    info: SourceInfo,
    kind: Kind,
    limits: Limits,
    tolerant: bool,
    cancel: CancelToken,
}

#[derive(Debug, Clone)]
enum Kind {
    Images(Arc<Sequence>),
    Video(Arc<Tools>, Arc<VideoInfo>),
}

/// What kind of thing a [`Source`] reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SourceKind {
    /// One image.
    Still,
    /// Numbered images or a folder of images.
    Sequence,
    /// A video file.
    Video,
}

/// What is known of a [`Source`] before decoding.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct SourceInfo {
    /// Still, sequence or video.
    pub kind: SourceKind,
    /// Width of the frames as delivered.
    pub width: usize,
    /// Height of the frames as delivered.
    pub height: usize,
    /// Frame rate; images have none.
    pub fps: Option<Rational>,
    /// Number of frames, where known (for a video without a count of its own: from its duration).
    pub frames: Option<usize>,
    /// Number of the first frame.
    pub first: usize,
    /// True where sound can be copied from it.
    pub has_audio: bool,
    /// How samples are stored.
    pub depth: Depth,
    /// True where it has an alpha channel.
    pub alpha: bool,
    /// The colour tag that frames will carry.
    pub color: Color,
    /// Shape of a pixel, width over height, where it is not square.
    pub pixel_aspect: Option<Rational>,
}

impl Source {
    /// Opens an image, a video, a sequence pattern (`f_%04d.png`, `f_####.exr`) or a folder of images.
    /// Reads headers only.
    ///
    /// # Errors
    /// [`Error::Input`] where it is missing, empty, damaged, over the [`Limits`] or without frames, or where
    /// a video needs ffmpeg and it is not there.
    pub fn open(path: &str) -> Result<Source> {
        Source::open_with(Path::new(path), Limits::default(), None)
    }

    /// As [`Source::open`], with limits for images and, for videos, these programs instead of those of
    /// [`Tools::find`].
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open_with(path: &Path, limits: Limits, tools: Option<Arc<Tools>>) -> Result<Source> {
        if path.as_os_str().is_empty() {
            return Err(Error::usage("an empty file name was given"));
        }
        let images = |sequence: Sequence, kind| {
            let first = sequence.first_file().unwrap_or(path).to_path_buf();
            let head = still::probe(&first, &limits)?;
            let float = matches!(head.depth, Depth::F16 | Depth::F32);
            let info = SourceInfo {
                kind,
                width: head.width,
                height: head.height,
                fps: None,
                frames: Some(sequence.len()),
                first: sequence.first(),
                has_audio: false,
                depth: head.depth,
                alpha: head.alpha,
                color: if float { Color::Linear } else { Color::Srgb },
                pixel_aspect: None,
            };
            let kind = Kind::Images(Arc::new(sequence));
            Ok(Source { path: path.to_path_buf(), info, kind, limits, tolerant: false, cancel: CancelToken::default() })
        };
        if path.is_dir() {
            return images(Sequence::from_folder(path)?, SourceKind::Sequence);
        }
        if !path.exists()
            && let Some(pattern) = Pattern::parse(path)
        {
            let sequence = Sequence::from_pattern(&pattern, &path.display().to_string())?;
            return images(sequence, SourceKind::Sequence);
        }
        // The content decides, not the name; a damaged image must not be passed to ffmpeg.
        let mut head = [0u8; 16];
        let n = File::open(path).and_then(|mut f| f.read(&mut head)).map_err(|e| {
            let why = match e.kind() {
                std::io::ErrorKind::NotFound => "there is no such file: check the name",
                _ => &atomic::plain(&e),
            };
            Error::input(format!("{}: {why}", path.display())).with_source(e)
        })?;
        if n == 0 {
            return Err(Error::input(format!("{}: the file is empty: copy or export it again", path.display())));
        }
        if still::Format::from_bytes(&head[..n]).is_some() || still::Format::from_name(path).is_some() {
            return images(Sequence::from_file(path), SourceKind::Still);
        }
        let tools = match tools {
            Some(t) => t,
            None => Tools::find()?,
        };
        let video = probe(&tools, path)?;
        let info = SourceInfo {
            kind: SourceKind::Video,
            width: video.width,
            height: video.height,
            fps: Some(video.fps),
            frames: video.frames,
            first: 0,
            has_audio: video.has_audio,
            depth: video.depth,
            alpha: video.alpha,
            color: video.color(),
            pixel_aspect: video.pixel_aspect,
        };
        let kind = Kind::Video(tools, Arc::new(video));
        Ok(Source { path: path.to_path_buf(), info, kind, limits, tolerant: false, cancel: CancelToken::default() })
    }

    /// The same; reading ends with [`Error::Interrupted`] once `cancel` is cancelled.
    pub fn cancelled_by(self, cancel: &CancelToken) -> Source {
        Source { cancel: cancel.clone(), ..self }
    }

    /// Takes what decodes of a video that breaks off, with a warning instead of an error.
    pub fn tolerant(mut self, tolerant: bool) -> Source {
        self.tolerant = tolerant;
        self
    }

    /// What is known without decoding.
    pub fn info(&self) -> &SourceInfo {
        &self.info
    }

    /// What the user named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Details of a video.
    pub fn video(&self) -> Option<&VideoInfo> {
        match &self.kind {
            Kind::Video(_, v) => Some(v),
            Kind::Images(_) => None,
        }
    }

    /// The sound that belongs to the picture from frame `first` on, for [`SinkSpec::audio`].
    pub fn audio_from(&self, first: usize) -> Option<AudioFrom> {
        match &self.kind {
            Kind::Video(_, v) if v.has_audio => Some(AudioFrom { path: self.path.clone(), start: v.time_of(first) }),
            _ => None,
        }
    }

    /// What is read, by content: the files' bytes (of large ones samples, size and time of change), and, for video, the
    /// version of ffmpeg that decodes it. `None` where a file cannot be read.
    pub fn identity(&self) -> Option<Key> {
        let (files, decoder) = match &self.kind {
            Kind::Video(tools, _) => (vec![self.path.clone()], tools.version_text()),
            Kind::Images(sequence) => {
                let files = sequence.range(None).ok()?;
                let first = files.first().map_or(0, |(n, _)| *n);
                (files.into_iter().map(|(_, file)| file).collect(), format!("images from {first}"))
            }
        };
        let mut hasher = blake3::Hasher::new();
        for file in &files {
            hasher.update(&content(file).ok()?);
        }
        Some(Key::new(
            "source",
            &[env!("CARGO_PKG_VERSION").as_bytes(), decoder.as_bytes(), hasher.finalize().as_bytes()],
        ))
    }

    /// The frames of a range (`None`: all), in order.
    ///
    /// # Errors
    /// [`Error::Input`] where the range reaches outside or a file of a sequence is missing; what only
    /// decoding shows comes from the iterator.
    pub fn frames(&self, range: Option<FrameRange>) -> Result<Frames> {
        match &self.kind {
            Kind::Video(tools, video) => {
                let cancel = self.cancel.clone();
                let options = ReadOptions { range, tolerant: self.tolerant, cancel, ..Default::default() };
                Ok(Box::new(VideoReader::start(tools, &self.path, video, options)?))
            }
            Kind::Images(sequence) => {
                let files = sequence.range(range)?;
                let size = (self.info.width, self.info.height);
                if files.len() == 1 {
                    let (limits, cancel) = (self.limits, self.cancel.clone());
                    let load = move |(n, file): (usize, PathBuf)| load(n, &file, size, &limits, &cancel);
                    return Ok(Box::new(files.into_iter().map(load)));
                }
                Ok(Box::new(read_ahead(files, size, self.limits, self.cancel.clone())))
            }
        }
    }

    /// One frame.
    ///
    /// # Errors
    /// As [`Source::frames`] and its iterator.
    pub fn frame(&self, n: usize) -> Result<Frame> {
        match self.frames(Some(FrameRange::new(n, n)))?.next() {
            Some(result) => result.map(|(_, frame)| frame),
            None => Err(Error::input(format!("{}: there is no frame {n}", self.path.display()))),
        }
    }
}

/// What is in a file: all of it, or of a file above a mebibyte its size, its time of change, and its first, middle and last part.
pub(crate) fn content(path: &Path) -> std::io::Result<[u8; 32]> {
    const WHOLE: u64 = 1 << 20;
    const PART: u64 = 1 << 16;
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    let len = meta.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&len.to_le_bytes());
    if len <= WHOLE {
        hasher.update_reader(file)?;
    } else {
        let changed = meta.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        hasher.update(&changed.as_nanos().to_le_bytes());
        for at in [0, len / 2, len - PART] {
            file.seek(SeekFrom::Start(at))?;
            hasher.update_reader((&mut file).take(PART))?;
        }
    }
    Ok(*hasher.finalize().as_bytes())
}

fn load(n: usize, file: &Path, size: (usize, usize), limits: &Limits, cancel: &CancelToken) -> Result<(usize, Frame)> {
    cancel.check()?;
    let frame = still::read_limited(file, limits)?.frame;
    if (frame.width, frame.height) != size {
        return Err(Error::input(format!(
            "frame {n} ({}) is {}x{} pixels, the first one is {}x{}: all frames must have one size",
            file.display(),
            frame.width,
            frame.height,
            size.0,
            size.1
        )));
    }
    Ok((n, frame))
}

/// Decodes images in a thread of its own, two ahead.
struct ReadAhead {
    frames: Option<Receiver<Result<(usize, Frame)>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

fn read_ahead(files: Vec<(usize, PathBuf)>, size: (usize, usize), limits: Limits, cancel: CancelToken) -> ReadAhead {
    let (to, frames) = sync_channel(1);
    let thread = std::thread::spawn(move || {
        for (n, file) in files {
            let result = load(n, &file, size, &limits, &cancel);
            let failed = result.is_err();
            if to.send(result).is_err() || failed {
                return;
            }
        }
    });
    ReadAhead { frames: Some(frames), thread: Some(thread) }
}

impl Iterator for ReadAhead {
    type Item = Result<(usize, Frame)>;
    fn next(&mut self) -> Option<Self::Item> {
        self.frames.as_ref()?.recv().ok()
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        // Without a receiver the thread's next send fails.
        self.frames = None;
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}

/// What a [`Sink`] shall write.
#[derive(Debug, Clone, PartialEq)]
pub struct SinkSpec {
    /// Width of every frame.
    pub width: usize,
    /// Height of every frame.
    pub height: usize,
    /// Frame rate of a video.
    pub fps: Rational,
    /// Encoding of a video; `None` is H.264.
    pub codec: Option<Codec>,
    /// Sound of a video; images take none.
    pub audio: Option<AudioFrom>,
    /// Depth of images; `None` is the format's usual one.
    pub depth: Option<Depth>,
    /// Whether alpha is written, where the format has it.
    pub alpha: bool,
    /// Shape of a video's pixels; `None` is square.
    pub pixel_aspect: Option<Rational>,
    /// Number of a sequence's first file.
    pub first_number: usize,
}

impl SinkSpec {
    /// Frames of this size at this rate, silent, without alpha, numbered from 0.
    pub fn new(width: usize, height: usize, fps: Rational) -> SinkSpec {
        SinkSpec {
            width,
            height,
            fps,
            codec: None,
            audio: None,
            depth: None,
            alpha: false,
            pixel_aspect: None,
            first_number: 0,
        }
    }
}

/// A video (.mp4, .mov, .mkv), numbered images (`f_%04d.png`) or one image to write to.
pub struct Sink {
    path: PathBuf,
    kind: SinkKind,
    cancel: CancelToken,
}

enum SinkKind {
    Video(Box<VideoWriter>),
    Sequence { pattern: Pattern, next: usize, written: usize, size: (usize, usize), options: StillOptions },
    Still { written: bool, size: (usize, usize), options: StillOptions },
}

impl Sink {
    /// Checks the name, the folder and the codec; nothing stands under the final name before a file is
    /// whole.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name or options that fit no format; [`Error::Input`] where the folder is
    /// missing or not writable, or ffmpeg is needed and missing.
    pub fn create(path: &str, spec: SinkSpec) -> Result<Sink> {
        Sink::create_with(Path::new(path), spec, None)
    }

    /// As [`Sink::create`], with these programs instead of those of [`Tools::find`].
    ///
    /// # Errors
    /// As [`Sink::create`].
    pub fn create_with(path: &Path, spec: SinkSpec, tools: Option<Arc<Tools>>) -> Result<Sink> {
        if is_video_name(path) {
            // The folder first: it is the likelier mistake and costs nothing to find.
            atomic::check_writable(path)?;
            let tools = match tools {
                Some(t) => t,
                None => Tools::find()?,
            };
            let video = VideoSpec {
                width: spec.width,
                height: spec.height,
                fps: spec.fps,
                codec: spec.codec.unwrap_or_default(),
                alpha: spec.alpha,
                pixel_aspect: spec.pixel_aspect,
                audio: spec.audio,
            };
            let writer = VideoWriter::create_with(&tools, path, video)?;
            let kind = SinkKind::Video(Box::new(writer));
            return Ok(Sink { path: path.to_path_buf(), kind, cancel: CancelToken::default() });
        }
        if path.is_dir() || still::Format::from_name(path).is_none() {
            return Err(Error::usage(format!(
                "{}: the name does not say what to write: end it with .mp4 or .mov for a video, or give frames like \
                 f_%04d.png or f_%04d.exr",
                path.display()
            )));
        }
        let options = StillOptions { depth: spec.depth, alpha: spec.alpha, ..Default::default() };
        still::check_options(path, &options)?;
        let size = (spec.width, spec.height);
        let kind = match Pattern::parse(path) {
            Some(pattern) => {
                atomic::check_writable(&pattern.file(spec.first_number))?;
                SinkKind::Sequence { pattern, next: spec.first_number, written: 0, size, options }
            }
            None => {
                atomic::check_writable(path)?;
                SinkKind::Still { written: false, size, options }
            }
        };
        Ok(Sink { path: path.to_path_buf(), kind, cancel: CancelToken::default() })
    }

    /// The same; writing ends with [`Error::Interrupted`] once `cancel` is cancelled, and nothing stands under the final name.
    pub fn cancelled_by(mut self, cancel: &CancelToken) -> Sink {
        if let SinkKind::Video(writer) = &mut self.kind {
            writer.set_cancel(cancel);
        }
        Sink { cancel: cancel.clone(), ..self }
    }

    /// Whether it takes one frame only.
    pub fn holds_one(&self) -> bool {
        matches!(self.kind, SinkKind::Still { .. })
    }

    /// Writes the next frame.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Usage`] for a frame of another size or a second frame for a still;
    /// [`Error::Input`] where writing fails.
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        self.cancel.check()?;
        match &mut self.kind {
            SinkKind::Video(writer) => writer.write(frame),
            SinkKind::Sequence { pattern, next, written, size, options } => {
                same_size(frame, *size, &self.path)?;
                still::write(&pattern.file(*next), frame, options)?;
                *next += 1;
                *written += 1;
                Ok(())
            }
            SinkKind::Still { written, size, options } => {
                same_size(frame, *size, &self.path)?;
                if *written {
                    return Err(Error::usage(format!(
                        "{} holds one frame only: name a video, or frames like f_%04d.png",
                        self.path.display()
                    )));
                }
                still::write(&self.path, frame, options)?;
                *written = true;
                Ok(())
            }
        }
    }

    /// Completes the output; a video gets its sound and its name here.
    ///
    /// # Errors
    /// [`Error::Input`] where no frame was written or the video cannot be completed.
    pub fn finish(self) -> Result<()> {
        let empty = match self.kind {
            SinkKind::Video(writer) => return writer.finish(),
            SinkKind::Sequence { written, .. } => written == 0,
            SinkKind::Still { written, .. } => !written,
        };
        if empty {
            return Err(Error::input(format!("{}: there are no frames to write", self.path.display())));
        }
        Ok(())
    }
}

fn same_size(frame: &Frame, size: (usize, usize), path: &Path) -> Result<()> {
    if (frame.width, frame.height) == size {
        return Ok(());
    }
    Err(Error::usage(format!(
        "a frame of {}x{} pixels does not fit {}, which is {}x{}",
        frame.width,
        frame.height,
        path.display(),
        size.0,
        size.1
    )))
}
