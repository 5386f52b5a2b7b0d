//! What a video file says about itself, by `ffprobe`.

use super::ffmpeg::{Tools, detached, file_argument, output};
use super::still::Depth;
use super::{Rational, atomic};
use crate::error::Advice;
use crate::frame::Color;
use crate::{Error, Result};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// A video file's first picture stream (cover art does not count).
#[derive(Debug, Clone, PartialEq)]
pub struct VideoInfo {
    /// Width as displayed (after the rotation that the file asks for).
    pub width: usize,
    /// Height as displayed.
    pub height: usize,
    /// The rate at which frames are delivered. Uneven files are made even by repeating and dropping
    /// frames: at the rate on whose grid all time stamps lie (a 30 fps file in which repeated pictures
    /// were left out) where that is at most 60, else at the average rate; see [`VideoInfo::variable`].
    pub fps: Rational,
    /// True where the time stamps are uneven.
    pub variable: bool,
    /// Seconds, where known.
    pub duration: Option<f64>,
    /// Number of frames, where known.
    pub frames: Option<usize>,
    /// True where `frames` comes from the container's own list of frames, and not from a number in its header or the duration.
    pub frames_exact: bool,
    /// Clockwise quarter turns that displaying takes: 0 to 3. The decoder applies them.
    pub quarter_turns: u8,
    /// ffmpeg's name of the pixel format.
    pub pixel_format: String,
    /// 8-bit video is [`Depth::U8`], deeper video [`Depth::U16`].
    pub depth: Depth,
    /// True where the stream has an alpha channel.
    pub alpha: bool,
    /// Colour tags, ffmpeg's names; `None` where the file does not say.
    pub matrix: Option<String>,
    /// Primaries.
    pub primaries: Option<String>,
    /// Transfer curve.
    pub transfer: Option<String>,
    /// True for full range (0..255), false for video range.
    pub full_range: Option<bool>,
    /// Shape of a pixel, width over height; `None` is square or not said. Pixels are delivered as stored.
    pub pixel_aspect: Option<Rational>,
    /// True where the file has sound.
    pub has_audio: bool,
    /// ffmpeg's name of the first sound stream's codec.
    pub audio_codec: Option<String>,
    /// Start of the picture stream after the start of the file, in seconds.
    pub start: f64,
    /// ffmpeg's name of the video codec.
    pub codec: String,
    /// ffmpeg's name of the container.
    pub container: String,
    /// ffmpeg's index of the stream.
    pub(crate) stream: usize,
    /// The coarsest rate on whose grid all time stamps lie, by ffprobe's guess.
    nominal: Rational,
}

impl VideoInfo {
    /// What the delivered numbers mean: linear and sRGB where the file says so, else the Rec.709 curve.
    pub fn color(&self) -> Color {
        match self.transfer.as_deref() {
            Some("linear") => Color::Linear,
            Some("iec61966-2-1") => Color::Srgb,
            _ => Color::Rec709,
        }
    }

    /// The name that ffmpeg's scaler has for the matrix. Where the file does not say, small pictures are
    /// taken as BT.601 and large ones as BT.709, as players do.
    pub(crate) fn matrix_argument(&self) -> &'static str {
        match self.matrix.as_deref() {
            Some("bt709") => "bt709",
            Some("smpte170m" | "bt470bg") => "bt601",
            Some("fcc") => "fcc",
            Some("smpte240m") => "smpte240m",
            Some("bt2020nc" | "bt2020c") => "bt2020",
            _ if self.width.max(self.height) >= 1280 || self.width.min(self.height) > 576 => "bt709",
            _ => "bt601",
        }
    }

    /// True where seeking by time lands exactly: an indexed container and even time stamps.
    pub(crate) fn seekable(&self) -> bool {
        !self.variable && ["mov", "mp4", "matroska", "webm"].iter().any(|c| self.container.split(',').any(|n| n == *c))
    }

    /// Seconds after the start of the file at which frame `n` is shown.
    pub fn time_of(&self, n: usize) -> f64 {
        self.start + n as f64 / self.fps.as_f64()
    }
}

/// Asks `ffprobe`.
///
/// # Errors
/// [`Error::Input`] where the file is missing, no video, damaged, or has no pictures.
pub fn probe(tools: &Tools, path: &Path) -> Result<VideoInfo> {
    let fail = |why: &str| Error::input(format!("{}: {why}", path.display()));
    match std::fs::metadata(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(fail("there is no such file: check the name").with_source(e));
        }
        Err(e) => return Err(fail(&atomic::plain(&e)).with_source(e)),
        Ok(m) if m.is_dir() => return Err(fail("this is a folder, not a video")),
        Ok(m) if m.len() == 0 => return Err(fail("the file is empty: copy or record it again")),
        Ok(_) => {}
    }
    let text = match output(&mut ask(tools, path, &["-show_format", "-show_streams"]))? {
        Ok(text) => text,
        Err(why) if why.contains("moov atom not found") => {
            return Err(fail(
                "the video is cut off or was never finished (moov atom not found): copy or record it again",
            ));
        }
        Err(why) => {
            return Err(fail(&format!("this is no video that ffmpeg can read ({why}): check the file or convert it")));
        }
    };
    let json: Value =
        serde_json::from_slice(&text).map_err(|e| fail(&format!("ffprobe's answer is no JSON: {e}")).with_source(e))?;
    let mut info = read_answer(&json, path)?;
    if info.variable {
        let stream = info.stream.to_string();
        let mut packets = ask(tools, path, &["-select_streams", &stream, "-show_entries", "packet=pts_time"]);
        if let Ok(text) = output(&mut packets)? {
            settle_rate(&mut info, &times(&text));
        }
    }
    Ok(info)
}

/// The time stamps in ffprobe's list of packets, in order.
fn times(text: &[u8]) -> Vec<f64> {
    let json: Value = serde_json::from_slice(text).unwrap_or_default();
    let none = Vec::new();
    let list = json["packets"].as_array().unwrap_or(&none);
    let mut times: Vec<f64> = list.iter().filter_map(|p| seconds(&p["pts_time"])).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// Decides on the rate of a file whose average differs from its nominal rate, by the time stamps
/// themselves: the average also differs where only the last frame is cut short.
fn settle_rate(info: &mut VideoInfo, times: &[f64]) {
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
    if times.len() < 2 || last <= first {
        return;
    }
    let nominal = info.nominal.as_f64();
    let steps = || times.windows(2).map(|w| (w[1] - w[0]) * nominal);
    if steps().all(|s| (s - 1.0).abs() < 0.25) {
        info.fps = info.nominal;
        info.variable = false;
        info.frames = Some(times.len());
        info.frames_exact = true;
        return;
    }
    if nominal <= 60.5 && steps().all(|s| (s - s.round()).abs() < 0.1) {
        info.fps = info.nominal;
    } else if let Some(average) = Rational::nearest((times.len() - 1) as f64 / (last - first)) {
        info.fps = average;
    }
    info.frames = Some(((last - first) * info.fps.as_f64()).round() as usize + 1);
}

/// Counts the packets of the picture stream: the number of frames of a sound file, for containers that do
/// not store it. Reads the whole file, without decoding.
///
/// # Errors
/// [`Error::Input`] where `ffprobe` fails.
pub fn count_frames(tools: &Tools, path: &Path, info: &VideoInfo) -> Result<usize> {
    let stream = info.stream.to_string();
    let arguments = ["-select_streams", stream.as_str(), "-count_packets", "-show_entries", "stream=nb_read_packets"];
    let text = output(&mut ask(tools, path, &arguments))?
        .map_err(|why| Error::input(format!("{}: cannot count frames: {why}", path.display())))?;
    let json: Value = serde_json::from_slice(&text).unwrap_or_default();
    json["streams"][0]["nb_read_packets"]
        .as_str()
        .and_then(|s| s.parse().ok())
        .ok_or_else(|| Error::input(format!("{}: ffprobe counted no frames", path.display())))
}

fn ask(tools: &Tools, path: &Path, arguments: &[&str]) -> Command {
    let mut c = detached(&tools.ffprobe);
    c.args(["-hide_banner", "-loglevel", "error", "-print_format", "json"]);
    c.args(arguments).arg(file_argument(path));
    c
}

fn text(v: &Value) -> Option<String> {
    // ffprobe writes "unknown" for what a file does not say.
    v.as_str().filter(|s| !matches!(*s, "" | "unknown" | "N/A" | "unspecified")).map(String::from)
}

fn seconds(v: &Value) -> Option<f64> {
    v.as_str().and_then(|s| s.parse::<f64>().ok()).filter(|s| s.is_finite())
}

fn ratio(v: &Value) -> Option<Rational> {
    let (n, d) = v.as_str()?.split_once(['/', ':'])?;
    Rational::new(n.parse().ok()?, d.parse().ok()?)
}

fn read_answer(json: &Value, path: &Path) -> Result<VideoInfo> {
    let fail = |why: &str| Error::input(format!("{}: {why}", path.display()));
    let none = Vec::new();
    let streams = json["streams"].as_array().unwrap_or(&none);
    let kind = |s: &Value, k: &str| s["codec_type"].as_str() == Some(k);
    let audio = streams.iter().find(|s| kind(s, "audio"));
    let Some(s) = streams.iter().find(|s| kind(s, "video") && s["disposition"]["attached_pic"].as_i64() != Some(1))
    else {
        return Err(if audio.is_some() {
            let text = "the file has sound but no pictures: give a video, or this file as its sound";
            fail(text).with_advice(Advice::GiveAsSound)
        } else {
            fail("the file has no pictures")
        });
    };
    let side = |k: &str| s[k].as_u64().filter(|v| (1..=65_535).contains(v)).map(|v| v as usize);
    let (Some(width), Some(height)) = (side("width"), side("height")) else {
        return Err(fail("the video has no frames (its picture size is not known)"));
    };
    let duration = seconds(&s["duration"])
        .or_else(|| clock(s["tags"]["DURATION"].as_str()?))
        .or_else(|| seconds(&json["format"]["duration"]))
        .filter(|d| *d > 0.0);
    let counted = s["nb_frames"].as_str().and_then(|v| v.parse::<usize>().ok());
    if counted == Some(0) {
        return Err(fail("the video has no frames"));
    }

    // r_frame_rate is the rate on whose grid all time stamps lie, avg_frame_rate frames over duration.
    let nominal = ratio(&s["r_frame_rate"]).filter(|r| (0.01..=1000.0).contains(&r.as_f64()));
    let average = ratio(&s["avg_frame_rate"]).filter(|r| (0.01..=1000.0).contains(&r.as_f64()));
    let (fps, variable) = match (nominal, average) {
        (Some(r), Some(a)) => {
            let off = a.as_f64() / r.as_f64() - 1.0;
            if off.abs() < 5e-4 {
                (r, false)
            } else {
                // `settle_rate` looks closer.
                (Rational::nearest(a.as_f64()).unwrap_or(a), true)
            }
        }
        (Some(r), None) | (None, Some(r)) => (r, false),
        (None, None) => (Rational::whole(25), false),
    };
    let fps = standard(fps);
    let estimate = duration.map(|d| (d * fps.as_f64()).round().max(1.0) as usize);
    let container = text(&json["format"]["format_name"]).unwrap_or_default();
    // MP4 and QuickTime list every frame; others have a number in their header, which a recording that was broken off or
    // repaired leaves wrong.
    let listed = container.split(',').any(|name| name == "mov" || name == "mp4");
    let exact = counted.filter(|_| !variable && listed);

    let rotation = s["side_data_list"]
        .as_array()
        .and_then(|l| l.iter().find_map(|d| number(&d["rotation"])))
        .or_else(|| number(&s["tags"]["rotate"]).map(|v| -v))
        .unwrap_or(0.0);
    // The display matrix counts counter-clockwise.
    let quarter_turns = ((-rotation / 90.0).round() as i64).rem_euclid(4) as u8;
    let turned = quarter_turns % 2 == 1;
    let (width, height) = if turned { (height, width) } else { (width, height) };
    let aspect = ratio(&s["sample_aspect_ratio"]).filter(|r| r.num != r.den);
    let pixel_aspect = if turned { aspect.and_then(|r| Rational::new(r.den, r.num)) } else { aspect };

    let pixel_format = text(&s["pix_fmt"]).unwrap_or_default();
    let bits = bits_of(&pixel_format)
        .max(s["bits_per_raw_sample"].as_str().and_then(|b| b.parse().ok()).filter(|b| *b <= 16).unwrap_or(0));
    let start_of = |v: &Value| seconds(&v["start_time"]);
    let start = (start_of(s).unwrap_or(0.0) - start_of(&json["format"]).unwrap_or(0.0)).max(0.0);
    Ok(VideoInfo {
        width,
        height,
        fps,
        variable,
        duration,
        frames: exact.or(estimate).or(counted),
        frames_exact: exact.is_some(),
        quarter_turns,
        depth: if bits > 8 { Depth::U16 } else { Depth::U8 },
        alpha: has_alpha(&pixel_format),
        pixel_format,
        matrix: text(&s["color_space"]),
        primaries: text(&s["color_primaries"]),
        transfer: text(&s["color_transfer"]),
        full_range: match s["color_range"].as_str() {
            Some("pc") => Some(true),
            Some("tv") => Some(false),
            _ => None,
        },
        pixel_aspect,
        has_audio: audio.is_some(),
        audio_codec: audio.and_then(|a| text(&a["codec_name"])),
        start,
        codec: text(&s["codec_name"]).unwrap_or_default(),
        container,
        nominal: standard(nominal.unwrap_or(fps)),
        stream: s["index"].as_u64().unwrap_or(0) as usize,
    })
}

/// `2997/100` and the like as the fraction that is meant.
fn standard(fps: Rational) -> Rational {
    match Rational::nearest(fps.as_f64()) {
        Some(n) if (n.as_f64() / fps.as_f64() - 1.0).abs() < 2e-5 => n,
        _ => fps,
    }
}

fn number(v: &Value) -> Option<f64> {
    v.as_f64().or_else(|| v.as_str()?.parse().ok()).filter(|n: &f64| n.is_finite())
}

/// `00:01:02.500000000` to seconds (Matroska's tag).
fn clock(t: &str) -> Option<f64> {
    t.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.trim().parse::<f64>().ok()?))
}

/// Bits of a channel, from ffmpeg's name of the pixel format (`yuv420p10le`, `rgb48le`, `p010le`).
fn bits_of(format: &str) -> u32 {
    let stem = format.strip_suffix("le").or_else(|| format.strip_suffix("be")).unwrap_or(format);
    match stem {
        "rgb48" | "bgr48" | "rgba64" | "bgra64" | "ya16" | "gray16" | "p016" | "p216" | "p416" | "y216" => return 16,
        "p010" | "p210" | "p410" | "y210" | "x2rgb10" | "x2bgr10" => return 10,
        "p012" | "y212" | "xyz12" => return 12,
        _ => {}
    }
    if stem.starts_with("gbrpf") || stem.starts_with("gbrapf") || stem.starts_with("grayf") {
        return 32;
    }
    // Endianness is only said of formats wider than a byte: their name ends in the number of bits.
    if stem == format {
        return 8;
    }
    let digits: String = stem.chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or(8)
}

fn has_alpha(format: &str) -> bool {
    let starts = ["yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "vuya", "ayuv"];
    format == "pal8" || starts.iter().any(|s| format.starts_with(s))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stream(extra: Value) -> Value {
        let mut s = json!({"index": 0, "codec_type": "video", "codec_name": "h264", "width": 640, "height": 480,
            "pix_fmt": "yuv420p", "r_frame_rate": "25/1", "avg_frame_rate": "25/1", "nb_frames": "50",
            "duration": "2.000", "disposition": {"attached_pic": 0}});
        for (k, v) in extra.as_object().unwrap() {
            s[k] = v.clone();
        }
        json!({"streams": [s], "format": {"format_name": "mov,mp4", "start_time": "0.000", "duration": "2.0"}})
    }

    fn info(extra: Value) -> VideoInfo {
        read_answer(&stream(extra), Path::new("a.mp4")).unwrap()
    }

    #[test]
    fn plain_answer() {
        let v = info(json!({}));
        assert_eq!((v.width, v.height, v.frames, v.frames_exact), (640, 480, Some(50), true));
        assert_eq!((v.fps, v.variable, v.depth, v.alpha), (Rational::whole(25), false, Depth::U8, false));
        assert!(v.seekable() && v.color() == Color::Rec709 && v.matrix_argument() == "bt601");
    }

    #[test]
    fn a_headers_count_is_not_taken_for_certain() {
        let mut answer = stream(json!({}));
        answer["format"]["format_name"] = "avi".into();
        let v = read_answer(&answer, Path::new("a.avi")).unwrap();
        assert_eq!((v.frames, v.frames_exact), (Some(50), false));
    }

    #[test]
    fn rotation_turns_the_size() {
        let v = info(json!({"side_data_list": [{"side_data_type": "x"}, {"rotation": -90}],
            "sample_aspect_ratio": "4:3"}));
        assert_eq!((v.width, v.height, v.quarter_turns), (480, 640, 1));
        assert_eq!(v.pixel_aspect, Rational::new(3, 4));
        assert_eq!(info(json!({"tags": {"rotate": "270"}})).quarter_turns, 3);
        assert_eq!(info(json!({"side_data_list": [{"rotation": 180}]})).width, 640);
    }

    #[test]
    fn rates() {
        let v = info(json!({"r_frame_rate": "30000/1001", "avg_frame_rate": "2997/100"}));
        assert_eq!((v.fps, v.variable), (Rational { num: 30000, den: 1001 }, false));
        // the average says little: the last frame is cut short
        let mut v = info(json!({"r_frame_rate": "25/1", "avg_frame_rate": "174400/7093"}));
        assert!(v.variable);
        settle_rate(&mut v, &(0..109).map(|i| f64::from(i) / 25.0).collect::<Vec<_>>());
        assert_eq!((v.fps, v.variable, v.frames, v.frames_exact), (Rational::whole(25), false, Some(109), true));
        // repeated pictures were left out
        let mut v = info(json!({"r_frame_rate": "30/1", "avg_frame_rate": "1350/61"}));
        settle_rate(&mut v, &[0.0, 1.0, 2.0, 4.0, 5.0, 7.0].map(|i| i / 30.0));
        assert_eq!((v.fps, v.variable, v.frames, v.frames_exact), (Rational::whole(30), true, Some(8), false));
        // a screen recording: no grid
        let mut v = info(json!({"r_frame_rate": "240/1", "avg_frame_rate": "2998/100"}));
        assert_eq!((v.fps, v.variable), (Rational { num: 30000, den: 1001 }, true));
        settle_rate(&mut v, &[0.0, 0.05, 0.09, 0.16, 0.2]);
        assert_eq!((v.fps, v.variable, v.frames), (Rational::whole(20), true, Some(5)));
        let v = info(json!({"r_frame_rate": "0/0", "avg_frame_rate": "0/0"}));
        assert_eq!(v.fps, Rational::whole(25));
    }

    #[test]
    fn pixel_formats() {
        for (f, b) in
            [("yuv420p", 8), ("yuv420p10le", 10), ("yuva444p12be", 12), ("rgb24", 8), ("rgba64le", 16), ("p010le", 10)]
        {
            assert_eq!(bits_of(f), b, "{f}");
        }
        assert!(has_alpha("yuva444p10le") && has_alpha("gbrap") && !has_alpha("yuv420p") && !has_alpha("gbrp"));
    }

    #[test]
    fn files_without_pictures() {
        let audio = json!({"streams": [{"codec_type": "audio", "codec_name": "aac"},
            {"codec_type": "video", "width": 8, "height": 8, "disposition": {"attached_pic": 1}}], "format": {}});
        let e = read_answer(&audio, Path::new("a.m4a")).unwrap_err().to_string();
        assert!(e.contains("sound but no pictures"), "{e}");
        for bad in [json!({}), json!({"streams": []}), json!({"streams": [{"codec_type": "video"}]})] {
            assert!(matches!(read_answer(&bad, Path::new("x")), Err(Error::Input(_))));
        }
        let none = read_answer(&stream(json!({"nb_frames": "0"})), Path::new("x")).unwrap_err().to_string();
        assert!(none.contains("no frames"));
    }

    #[test]
    fn clocks() {
        assert_eq!(clock("00:01:02.500000000"), Some(62.5));
        assert_eq!(clock("x"), None);
    }
}
