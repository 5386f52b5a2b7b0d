//! Video files, encoded by an `ffmpeg` of our own from a pipe of raw frames.
//!
//! The file is written beside its final name and renamed by [`VideoWriter::finish`]; a writer that is
//! dropped before (an error, Ctrl-C) removes what it wrote. Sound is added at the end, when the length of
//! the picture is known: copied where the container can hold it, else encoded as AAC.
//!
//! Colour: RGB becomes YUV by the BT.709 matrix in video range, and the file is tagged so. sRGB and
//! Rec.709 pictures are written as they are, linear ones with the Rec.709 curve. H.264 is 4:2:0 for even
//! sizes; an odd width or height cannot be subsampled without changing the picture, so it is 4:4:4.

use super::ffmpeg::{Log, Tools, collect_log, detached, file_argument, has_encoder, output, spawn};
use super::{Rational, atomic};
use crate::error::Advice;
use crate::frame::convert::Le16;
use crate::frame::{Color, Frame};
use crate::{CancelToken, Error, Result};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;
use tempfile::TempPath;

/// How pictures are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// H.264 by libx264, 8 bits, preset `fast`; `crf` 0 to 51, lower is better (16 unless told).
    H264 {
        /// Constant rate factor.
        crf: u8,
    },
    /// ProRes 422 HQ, 10 bits; with alpha ProRes 4444. For .mov.
    ProRes,
    /// FFV1, lossless RGB, 8 or 16 bits. For .mkv.
    Ffv1 {
        /// 16 bits instead of 8.
        deep: bool,
    },
}

impl Default for Codec {
    fn default() -> Codec {
        Codec::H264 { crf: 16 }
    }
}

/// Where sound comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioFrom {
    /// Any file with sound; one without gives a silent video.
    pub path: PathBuf,
    /// Seconds after the start of that file at which the picture begins (see `VideoInfo::time_of`).
    pub start: f64,
}

/// What a video file shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoSpec {
    /// Width of every frame.
    pub width: usize,
    /// Height of every frame.
    pub height: usize,
    /// Frame rate.
    pub fps: Rational,
    /// Encoding.
    pub codec: Codec,
    /// Keep the alpha channel, where the codec has one (ProRes, FFV1).
    pub alpha: bool,
    /// Shape of a pixel; `None` is square.
    pub pixel_aspect: Option<Rational>,
    /// Sound.
    pub audio: Option<AudioFrom>,
}

/// The containers that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Mp4,
    Mov,
    Mkv,
}

impl Container {
    fn from_path(path: &Path) -> Option<Container> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "mp4" | "m4v" => Some(Container::Mp4),
            "mov" => Some(Container::Mov),
            "mkv" => Some(Container::Mkv),
            _ => None,
        }
    }

    fn muxer(self) -> &'static str {
        match self {
            Container::Mp4 => "mp4",
            Container::Mov => "mov",
            Container::Mkv => "matroska",
        }
    }

    /// Whether players find sound of this codec in this container.
    fn holds(self, audio_codec: &str) -> bool {
        let common = matches!(audio_codec, "aac" | "mp3" | "ac3" | "eac3" | "alac");
        match self {
            Container::Mkv => true,
            Container::Mp4 => common || audio_codec == "opus" || audio_codec == "flac",
            Container::Mov => common || audio_codec.starts_with("pcm_"),
        }
    }
}

/// True where the name asks for a video file.
pub fn is_video_name(path: &Path) -> bool {
    Container::from_path(path).is_some()
}

/// Writes one video file.
pub struct VideoWriter {
    tools: Arc<Tools>,
    target: PathBuf,
    container: Container,
    spec: VideoSpec,
    /// 3 or 4 channels of 1 or 2 bytes.
    channels: usize,
    deep: bool,
    child: Child,
    full: Option<SyncSender<Vec<u8>>>,
    empty: Receiver<Vec<u8>>,
    pump: Option<JoinHandle<std::io::Result<()>>>,
    log: Option<JoinHandle<Log>>,
    /// `None` after `finish`; dropping it removes the file.
    temp: Option<TempPath>,
    frames: u64,
    cancel: CancelToken,
}

impl VideoWriter {
    /// Starts a video with the programs of [`Tools::find`]. Everything that can be known now is checked
    /// now: the folder, the container, the codec, the sound file.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name or codec that does not fit; [`Error::Input`] where the folder is not
    /// writable, the sound file is missing, or ffmpeg is missing or lacks the encoder.
    pub fn create(path: &Path, spec: VideoSpec) -> Result<VideoWriter> {
        VideoWriter::create_with(&Tools::find()?, path, spec)
    }

    /// As [`VideoWriter::create`], with these programs.
    ///
    /// # Errors
    /// As [`VideoWriter::create`].
    pub fn create_with(tools: &Arc<Tools>, path: &Path, spec: VideoSpec) -> Result<VideoWriter> {
        let name = path.display();
        let Some(container) = Container::from_path(path) else {
            return Err(Error::usage(format!(
                "{name}: the name does not say which video to write: end it with .mp4 or .mov"
            )));
        };
        if !(1..=16_384).contains(&spec.width) || !(1..=16_384).contains(&spec.height) {
            return Err(Error::usage(format!("{name}: a video cannot be {}x{} pixels", spec.width, spec.height)));
        }
        let fits = match spec.codec {
            Codec::H264 { crf } => crf <= 51,
            Codec::ProRes => container != Container::Mp4,
            Codec::Ffv1 { .. } => container == Container::Mkv,
        };
        if !fits {
            return Err(Error::usage(format!(
                "{name}: {:?} does not go into .{}: take H.264 (crf 0 to 51) for .mp4, ProRes for .mov, FFV1 for .mkv",
                spec.codec,
                container.muxer()
            )));
        }
        if let Some(audio) = &spec.audio
            && !audio.path.is_file()
        {
            return Err(Error::input(format!(
                "{}: there is no such file to take the sound from",
                audio.path.display()
            )));
        }
        let temp = atomic::temporary(path)?.into_temp_path();
        let (encoder, deep, channels) = match spec.codec {
            Codec::H264 { .. } => ("libx264", false, 3),
            Codec::ProRes => ("prores_ks", true, if spec.alpha { 4 } else { 3 }),
            Codec::Ffv1 { deep } => ("ffv1", deep, if spec.alpha { 4 } else { 3 }),
        };
        if !has_encoder(tools, encoder)? {
            return Err(Error::input(format!(
                "{name}: this ffmpeg ({}) has no encoder {encoder}: install a full build, or write frames (f_%04d.png)",
                tools.ffmpeg.display()
            )));
        }
        let mut command = encode_command(tools, &spec, container, encoder, deep, channels, &temp);
        let mut child = spawn(&mut command)?;
        let (Some(stdin), Some(stderr)) = (child.stdin.take(), child.stderr.take()) else {
            return Err(Error::engine("the pipes of ffmpeg are missing"));
        };
        let (full, full_out) = sync_channel::<Vec<u8>>(2);
        let (empty_in, empty) = channel();
        let pump = std::thread::spawn(move || {
            let mut stdin: ChildStdin = stdin;
            for buffer in full_out {
                stdin.write_all(&buffer)?;
                // The writer may be gone.
                let _ = empty_in.send(buffer);
            }
            Ok(())
        });
        let log = collect_log(stderr);
        Ok(VideoWriter {
            tools: tools.clone(),
            target: path.to_path_buf(),
            container,
            spec,
            channels,
            deep,
            child,
            full: Some(full),
            empty,
            pump: Some(pump),
            log: Some(log),
            temp: Some(temp),
            frames: 0,
            cancel: CancelToken::default(),
        })
    }

    /// From now on, writing ends once `cancel` is cancelled.
    pub fn set_cancel(&mut self, cancel: &CancelToken) {
        self.cancel = cancel.clone();
    }

    /// Appends a frame. It is encoded in the background.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Usage`] for a frame of another size; [`Error::Input`] where the
    /// encoder failed (a full disk).
    pub fn write(&mut self, frame: &Frame) -> Result<()> {
        self.cancel.check()?;
        if (frame.width, frame.height) != (self.spec.width, self.spec.height) {
            return Err(Error::usage(format!(
                "frame {} is {}x{} pixels, the video {} is {}x{}",
                self.frames,
                frame.width,
                frame.height,
                self.target.display(),
                self.spec.width,
                self.spec.height
            )));
        }
        let Some(full) = &self.full else { return Err(Error::engine("the video is finished already")) };
        let shown = frame.to_display(Color::Rec709);
        let size = frame.width * frame.height * self.channels * if self.deep { 2 } else { 1 };
        let mut buffer = self.empty.try_recv().unwrap_or_else(|_| vec![0; size]);
        match (self.deep, self.channels) {
            (false, 3) => shown.write_samples::<u8, 3>(&mut buffer),
            (false, _) => shown.write_samples::<u8, 4>(&mut buffer),
            (true, 3) => shown.write_samples::<Le16, 3>(bytemuck::cast_slice_mut(&mut buffer)),
            (true, _) => shown.write_samples::<Le16, 4>(bytemuck::cast_slice_mut(&mut buffer)),
        }
        if full.send(buffer).is_err() {
            return Err(self.failed());
        }
        self.frames += 1;
        Ok(())
    }

    /// Frames written so far.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Ends the file, adds the sound and gives it its name.
    ///
    /// # Errors
    /// [`Error::Input`] where the encoder failed or no frame was written; the file does not exist then.
    pub fn finish(mut self) -> Result<()> {
        if self.frames == 0 {
            return Err(Error::input(format!("{}: there are no frames to write", self.target.display())));
        }
        self.full = None;
        let piped = self.pump.take().is_some_and(|p| matches!(p.join(), Ok(Ok(()))));
        let status = self.child.wait();
        if !piped || !status.is_ok_and(|s| s.success()) {
            return Err(self.failed());
        }
        let Some(video) = self.temp.take() else {
            return Err(Error::engine("the video is finished already"));
        };
        self.cancel.check()?;
        let done = match self.spec.audio.clone() {
            Some(audio) => self.add_sound(video, &audio)?,
            None => video,
        };
        atomic::publish(done, &self.target)
    }

    /// The error of an encoder that ended early.
    fn failed(&mut self) -> Error {
        self.full = None;
        let _ = self.child.wait();
        let log = self.log.take().and_then(|l| l.join().ok()).unwrap_or_default();
        let advice = if log.contains("No space left") { "free some space" } else { "check the folder and the disk" };
        Error::input(format!(
            "{}: ffmpeg stopped at frame {} ({}): {advice}",
            self.target.display(),
            self.frames,
            log.reason()
        ))
    }

    /// Joins the finished picture with the sound into a second temporary file.
    fn add_sound(&self, video: TempPath, audio: &AudioFrom) -> Result<TempPath> {
        let codecs = sound_of(&self.tools, &audio.path)?;
        if codecs.is_empty() {
            return Ok(video);
        }
        let joined = atomic::temporary(&self.target)?.into_temp_path();
        let length = self.frames as f64 / self.spec.fps.as_f64();
        let run = |encoding: &[&str]| {
            let mut c = self.tools.ffmpeg();
            c.arg("-i").arg(file_argument(&video));
            if audio.start > 1e-6 {
                c.arg("-ss").arg(format!("{:.6}", audio.start));
            }
            c.arg("-t").arg(format!("{length:.6}")).arg("-i").arg(file_argument(&audio.path));
            c.args(["-map", "0:v:0", "-map", "1:a", "-c:v", "copy"]).args(encoding);
            if audio.start > 1e-6 {
                // Packets before the start would push the picture back.
                c.args(["-copypriorss", "0"]);
            }
            // ffmpeg copies the source's titles otherwise.
            c.args(["-map_metadata:g", "-1", "-map_chapters", "-1"]);
            finishing(&mut c, self.container);
            output(c.arg(file_argument(&joined)))
        };
        let aac = ["-c:a", "aac", "-b:a", "192k"];
        let outcome = if codecs.iter().all(|c| self.container.holds(c)) {
            match run(&["-c:a", "copy"])? {
                Err(why) => {
                    tracing::warn!("{}: the sound cannot be copied ({why}), encoding it as AAC", audio.path.display());
                    run(&aac)?
                }
                copied => copied,
            }
        } else {
            run(&aac)?
        };
        match outcome {
            Ok(_) => Ok(joined),
            Err(why) => Err(Error::input(format!(
                "{}: the sound of {} cannot be added ({why}): give another sound, or none",
                self.target.display(),
                audio.path.display()
            ))
            .with_advice(Advice::ChooseSound)),
        }
    }
}

impl Drop for VideoWriter {
    fn drop(&mut self) {
        // After `finish` all of this is over already. Killed first: a closed pipe alone would make ffmpeg
        // finish the file.
        let _ = self.child.kill();
        self.full = None;
        let _ = self.child.wait();
        if let Some(p) = self.pump.take() {
            let _ = p.join();
        }
        if let Some(l) = self.log.take() {
            let _ = l.join();
        }
    }
}

fn encode_command(
    tools: &Tools,
    spec: &VideoSpec,
    container: Container,
    encoder: &str,
    deep: bool,
    channels: usize,
    temp: &Path,
) -> Command {
    let mut c = tools.ffmpeg();
    let raw = match (deep, channels) {
        (false, 3) => "rgb24",
        (false, _) => "rgba",
        (true, 3) => "rgb48le",
        (true, _) => "rgba64le",
    };
    c.args(["-f", "rawvideo", "-pix_fmt", raw, "-video_size"]).arg(format!("{}x{}", spec.width, spec.height));
    c.arg("-framerate").arg(spec.fps.to_string()).args(["-i", "pipe:0", "-an"]);
    let odd = spec.width % 2 == 1 || spec.height % 2 == 1;
    let stored = match (spec.codec, channels) {
        (Codec::H264 { .. }, _) if odd => "yuv444p",
        (Codec::H264 { .. }, _) => "yuv420p",
        (Codec::ProRes, 3) => "yuv422p10le",
        (Codec::ProRes, _) => "yuva444p10le",
        (Codec::Ffv1 { deep: false }, 3) => "bgr0",
        (Codec::Ffv1 { deep: false }, _) => "bgra",
        (Codec::Ffv1 { deep: true }, 3) => "gbrp16le",
        (Codec::Ffv1 { deep: true }, _) => "gbrap16le",
    };
    let mut filters = Vec::new();
    let yuv = stored.starts_with("yuv");
    if yuv {
        filters.push(
            "scale=in_range=pc:out_color_matrix=bt709:out_range=tv:flags=bicubic+accurate_rnd+full_chroma_inp"
                .to_string(),
        );
    }
    filters.push(format!("format={stored}"));
    if yuv {
        // Some encoders (ProRes) take the tags from the frames, others from the options below.
        filters.push("setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709".to_string());
    }
    if let Some(a) = spec.pixel_aspect {
        filters.push(format!("setsar={}/{}", a.num, a.den));
    }
    c.arg("-vf").arg(filters.join(",")).args(["-c:v", encoder]);
    match spec.codec {
        Codec::H264 { crf } => {
            c.args(["-preset", "fast", "-crf"]).arg(crf.to_string());
        }
        Codec::ProRes => {
            c.args(["-profile:v", if channels == 4 { "4444" } else { "hq" }, "-vendor", "apl0"]);
        }
        Codec::Ffv1 { .. } => {
            c.args(["-level", "3", "-g", "1"]);
        }
    }
    if yuv {
        c.args(["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv"]);
    }
    finishing(&mut c, container);
    c.arg(file_argument(temp)).stdin(Stdio::piped());
    c
}

/// The container, with its index in front where it has one.
fn finishing(c: &mut Command, container: Container) {
    if container != Container::Mkv {
        c.args(["-movflags", "+faststart+write_colr"]);
    }
    c.args(["-f", container.muxer()]);
}

/// Whether a file has sound to put under a video.
///
/// # Errors
/// [`Error::Input`] where it cannot be read or has none.
pub fn check_sound(tools: &Tools, path: &Path) -> Result<()> {
    if sound_of(tools, path)?.is_empty() {
        return Err(Error::input(format!("{}: the file has no sound: give another sound, or none", path.display()))
            .with_advice(Advice::ChooseSound));
    }
    Ok(())
}

/// The codecs of a file's sound streams.
fn sound_of(tools: &Tools, path: &Path) -> Result<Vec<String>> {
    let mut c = detached(&tools.ffprobe);
    c.args(["-loglevel", "error", "-select_streams", "a", "-show_entries", "stream=codec_name", "-of", "csv=p=0"]);
    c.arg(file_argument(path));
    let text = output(&mut c)?.map_err(|why| {
        Error::input(format!("{}: the sound cannot be read ({why}): give another sound, or none", path.display()))
            .with_advice(Advice::ChooseSound)
    })?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().map(|l| l.trim().trim_end_matches(',').to_string()).filter(|l| !l.is_empty()).collect())
}
