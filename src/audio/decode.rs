//! Sound out of files: WAV, FLAC, MP3 and AAC (.m4a, ADTS) are decoded here, everything else, the sound of videos above all, by the
//! user's `ffmpeg`.
//!
//! Channels are mixed to their mean, sample rates stay. What an encoder put before and behind the sound is left out where the file says
//! what that is.

use super::{MAX_SAMPLES, Sound, edits, too_long};
use crate::media::atomic;
use crate::media::ffmpeg::{Tools, collect_log, detached, file_argument, output, spawn};
use crate::media::probe::VideoInfo;
use crate::{CancelToken, Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Stdio};
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as Symphonia;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Longest packet that is replaced by silence, in samples.
const MAX_PACKET: u64 = 1 << 16;

impl Sound {
    /// The sound of a file: of a WAV, FLAC, MP3 or AAC file alone, else its first sound stream as `ffmpeg` decodes it.
    ///
    /// Where a packet is damaged there is silence for as long as it lasts, and a warning in the log; a file that breaks off gives what
    /// there is.
    ///
    /// # Errors
    /// [`Error::Input`] where the file cannot be read, is damaged throughout, holds no sound or one that [`Sound::new`] refuses, or where
    /// `ffmpeg` is needed and missing; [`Error::Interrupted`].
    pub fn load(path: &Path) -> Result<Sound> {
        Sound::load_cancellable(path, &CancelToken::default())
    }

    /// As [`Sound::load`]; decoding, and later work on the sound, ends once `cancel` is cancelled.
    ///
    /// # Errors
    /// As [`Sound::load`].
    pub fn load_cancellable(path: &Path, cancel: &CancelToken) -> Result<Sound> {
        if is_sound_file(path)? { native(path, cancel) } else { piped(&*Tools::find()?, path, 0.0, false, cancel) }
    }

    /// The sound of a video, from the moment that its first frame is shown. Gaps in the stream become silence.
    ///
    /// # Errors
    /// As [`Sound::load`].
    pub fn from_video(path: &Path, video: &VideoInfo, cancel: &CancelToken) -> Result<Sound> {
        piped(&*Tools::find()?, path, video.start, true, cancel)
    }
}

/// True for a file that is decoded without `ffmpeg`; its first bytes tell.
///
/// # Errors
/// [`Error::Input`] where it cannot be read or is empty.
pub fn is_sound_file(path: &Path) -> Result<bool> {
    let fail = |why: &str| Error::input(format!("{}: {why}", path.display()));
    let mut head = Vec::new();
    File::open(path).and_then(|f| f.take(12).read_to_end(&mut head)).map_err(|e| {
        let why = match e.kind() {
            std::io::ErrorKind::NotFound => "there is no such file: check the name",
            std::io::ErrorKind::IsADirectory => "this is a folder: give a file in it",
            _ => &atomic::plain(&e),
        };
        fail(why).with_source(e)
    })?;
    if head.is_empty() {
        return Err(fail("the file is empty: copy or record it again"));
    }
    let at = |i: usize, text: &[u8]| head.get(i..).is_some_and(|h| h.starts_with(text));
    let named_m4a = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("m4a"));
    let mp4_sound = at(4, b"ftyp") && (named_m4a || at(8, b"M4A ") || at(8, b"M4B "));
    // Eleven ones and a version that exists: a frame of MPEG audio or ADTS.
    let mpeg = head[0] == 0xff && head.get(1).is_some_and(|b| b & 0xe0 == 0xe0 && b & 0x18 != 0x08);
    Ok((at(0, b"RIFF") || at(0, b"RF64")) && at(8, b"WAVE") || at(0, b"fLaC") || at(0, b"ID3") || mp4_sound || mpeg)
}

/// Samples of one channel, as they come in.
#[derive(Default)]
struct Mono(Vec<f64>);

impl Mono {
    /// Adds interleaved samples as the mean of `channels` channels.
    fn add(&mut self, samples: &[f64], channels: usize) -> Result<()> {
        if self.0.len() + samples.len() / channels > MAX_SAMPLES {
            return Err(too_long());
        }
        self.0.extend(samples.chunks_exact(channels).map(|c| c.iter().sum::<f64>() / channels as f64));
        Ok(())
    }

    fn silence(&mut self, samples: u64) -> Result<()> {
        self.add(&vec![0.0; samples.min(MAX_PACKET) as usize], 1)
    }
}

/// The error with the file's name in front.
fn named(path: &Path) -> impl Fn(Error) -> Error {
    move |e| match e {
        Error::Input(text) => Error::Input(text.map(|t| format!("{}: {t}", path.display()))),
        other => other,
    }
}

/// What symphonia has to say.
fn cannot(e: Symphonia) -> Error {
    let text = match &e {
        Symphonia::Unsupported(what) => {
            format!("this kind of sound is not decoded ({}): convert it to WAV or FLAC", atomic::plain(what))
        }
        e => format!("the sound cannot be decoded ({}): copy or export the file again", atomic::plain(e)),
    };
    Error::input(text).with_source(e)
}

fn native(path: &Path, cancel: &CancelToken) -> Result<Sound> {
    decode(path, cancel).map(|sound| sound.cancelled_by(cancel)).map_err(named(path))
}

fn decode(path: &Path, cancel: &CancelToken) -> Result<Sound> {
    let file = File::open(path).map_err(|e| Error::input(atomic::plain(&e)).with_source(e))?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(cannot)?;
    let no_sound = || Error::Input("the file has no sound: give another".into());
    let track = format.default_track(TrackType::Audio).ok_or_else(no_sound)?;
    let Some(CodecParameters::Audio(parameters)) = &track.codec_params else { return Err(no_sound()) };
    let id = track.id;
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(cannot)?;
    let (mut mono, mut rate, mut interleaved) = (Mono::default(), 0, Vec::new());
    let (mut good, mut damaged) = (0u64, 0u64);
    let mut breaks_off = None;
    loop {
        cancel.check()?;
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break,
            Err(e) => {
                breaks_off = Some(e);
                break;
            }
        };
        if packet.track_id != id {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(buffer) => {
                let (now, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
                if rate != 0 && now != rate {
                    return Err(Error::input(format!(
                        "its sample rate changes from {rate} to {now}: convert it to WAV"
                    )));
                }
                rate = now;
                buffer.copy_to_vec_interleaved(&mut interleaved);
                mono.add(&interleaved, channels.max(1))?;
                good += 1;
            }
            Err(Symphonia::DecodeError(_) | Symphonia::IoError(_)) => {
                damaged += 1;
                mono.silence(packet.dur.get())?;
            }
            Err(e) => return Err(cannot(e)),
        }
    }
    if good == 0 || damaged > good {
        return Err(match breaks_off {
            Some(e) => cannot(e),
            None if damaged > 0 => {
                Error::Input("the sound is damaged throughout: copy or export the file again".into())
            }
            None => Error::Input("the sound has no samples: record or export it again".into()),
        });
    }
    if let Some(e) = breaks_off {
        tracing::warn!("{}: the sound breaks off after {} samples: {e}", path.display(), mono.0.len());
    }
    if damaged > 0 {
        tracing::warn!("{}: {damaged} packets of the sound are damaged and taken as silence", path.display());
    }
    if let Some(edit) = edits::of_sound(path) {
        let samples = |seconds: f64| (seconds * f64::from(rate)).round() as usize;
        mono.0.drain(..samples(edit.start).min(mono.0.len()));
        mono.0.truncate(edit.length.map_or(usize::MAX, samples));
    }
    Sound::new(rate, mono.0)
}

/// A child that does not outlive us.
struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The first sound stream as ffmpeg decodes it, without its first `skip` seconds. `in_time`: samples stand where their time stamps are.
fn piped(tools: &Tools, path: &Path, skip: f64, in_time: bool, cancel: &CancelToken) -> Result<Sound> {
    let fail = |why: String| Error::input(format!("{}: {why}", path.display()));
    let mut ask = detached(&tools.ffprobe);
    ask.args(["-loglevel", "error", "-select_streams", "a:0", "-show_entries", "stream=sample_rate,channels"]);
    ask.args(["-of", "json"]).arg(file_argument(path));
    let text = output(&mut ask)?
        .map_err(|why| fail(format!("this is no sound that can be read ({why}): check the file or convert it")))?;
    let json: serde_json::Value =
        serde_json::from_slice(&text).map_err(|e| fail(format!("ffprobe's answer is no JSON: {e}")).with_source(e))?;
    let Some(stream) = json["streams"].get(0) else { return Err(fail("the file has no sound: give another".into())) };
    let rate = stream["sample_rate"].as_str().and_then(|r| r.parse::<u32>().ok()).filter(|r| *r > 0);
    let channels = stream["channels"].as_u64().filter(|c| (1..=64).contains(c));
    let (Some(rate), Some(channels)) = (rate, channels) else {
        return Err(fail("the sound's rate and channels are not known: copy or convert the file".into()));
    };

    let mut command = tools.ffmpeg();
    command.arg("-i").arg(file_argument(path)).args(["-map", "0:a:0"]);
    if in_time {
        command.args(["-af", "aresample=async=1:first_pts=0"]);
    }
    command.args(["-ar", &rate.to_string(), "-ac", &channels.to_string(), "-f", "f32le", "pipe:1"]);
    let mut child = Guard(spawn(command.stdout(Stdio::piped()))?);
    let (Some(mut stdout), Some(stderr)) = (child.0.stdout.take(), child.0.stderr.take()) else {
        return Err(Error::engine("the pipes of ffmpeg are missing"));
    };
    let log = collect_log(stderr);
    let channels = channels as usize;
    let (mut mono, mut bytes, mut samples) = (Mono::default(), vec![0; 4 * channels * 16_384], Vec::new());
    loop {
        cancel.check()?;
        let filled = fill(&mut stdout, &mut bytes).map_err(|e| fail(atomic::plain(&e)).with_source(e))?;
        samples.clear();
        samples.extend(bytes[..filled].as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))));
        mono.add(&samples, channels).map_err(named(path))?;
        if filled < bytes.len() {
            break;
        }
    }
    let clean = child.0.wait().is_ok_and(|s| s.success());
    let log = log.join().unwrap_or_default();
    if mono.0.is_empty() {
        return Err(fail(if clean && log.is_empty() {
            "the sound has no samples: record or export it again".into()
        } else {
            format!("the sound cannot be decoded ({}): copy or export the file again", log.reason())
        }));
    }
    if !clean || !log.is_empty() {
        tracing::warn!("{}: {}", path.display(), log.reason());
    }
    let skipped = ((skip.max(0.0) * f64::from(rate)).round() as usize).min(mono.0.len() - 1);
    mono.0.drain(..skipped);
    Sound::new(rate, mono.0).map(|sound| sound.cancelled_by(cancel)).map_err(named(path))
}

/// Reads until the buffer is full or the stream ends.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut at = 0;
    while at < buffer.len() {
        match from.read(&mut buffer[at..]) {
            Ok(0) => break,
            Ok(n) => at += n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(at)
}
