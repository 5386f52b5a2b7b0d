//! Video in and out, on clips that ffmpeg makes here. Without ffmpeg every test says so and passes.

use headgan::frame::{Color, Frame};
use headgan::media::ffmpeg::Tools;
use headgan::media::probe::{VideoInfo, count_frames, probe};
use headgan::media::reader::{ReadOptions, VideoReader};
use headgan::media::writer::{VideoSpec, VideoWriter};
use headgan::media::{AudioFrom, Codec, Depth, FrameRange, Rational, Sink, SinkSpec, Source};
use headgan::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

fn tools() -> Option<Arc<Tools>> {
    match Tools::find() {
        Ok(t) => Some(t),
        Err(e) => {
            println!("skipped: {e}");
            None
        }
    }
}

/// Runs ffmpeg with these words, then `out`.
fn make(tools: &Tools, out: &Path, arguments: &str) {
    let done = Command::new(&tools.ffmpeg)
        .args(["-hide_banner", "-loglevel", "error", "-y", "-nostdin"])
        .args(arguments.split_whitespace())
        .arg(out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{arguments}: {}", String::from_utf8_lossy(&done.stderr));
}

fn read_all(tools: &Arc<Tools>, path: &Path, options: ReadOptions) -> Result<Vec<(usize, Frame)>> {
    let info = probe(tools, path)?;
    VideoReader::start(tools, path, &info, options)?.collect()
}

/// A frame of noise-like codes that depends on `n`.
fn pattern(width: usize, height: usize, n: usize, channels: usize) -> Frame {
    let mut bytes = vec![255u8; 4 * width * height];
    for (i, p) in bytes.chunks_mut(4).enumerate() {
        for (c, v) in p.iter_mut().take(channels).enumerate() {
            *v = (i.wrapping_mul(2_654_435_761) >> 7).wrapping_add(n * 37 + c * 91) as u8;
        }
    }
    Frame::from_rgba8(width, height, &bytes, Color::Rec709)
}

/// A smooth frame, as cameras make them.
fn smooth(width: usize, height: usize, n: usize) -> Frame {
    let mut f = Frame::new(width, height);
    f.color = Color::Rec709;
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            f.set_pixel(x, y, [0.2 + 0.6 * u, 0.8 - 0.6 * v, 0.3 + 0.02 * (n % 20) as f32, 1.0]);
        }
    }
    f
}

fn spec(width: usize, height: usize, codec: Codec) -> VideoSpec {
    VideoSpec {
        width,
        height,
        fps: Rational { num: 30000, den: 1001 },
        codec,
        alpha: false,
        pixel_aspect: None,
        audio: None,
    }
}

fn write(tools: &Arc<Tools>, path: &Path, spec: VideoSpec, frames: impl Iterator<Item = Frame>) {
    let mut w = VideoWriter::create_with(tools, path, spec).unwrap();
    for f in frames {
        w.write(&f).unwrap();
    }
    w.finish().unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn lossless_round_trip_is_exact() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (channels, alpha, deep) in [(3, false, false), (4, true, false), (3, false, true), (4, true, true)] {
        let path = dir.path().join(format!("a{channels}{deep}.mkv"));
        let frames: Vec<Frame> = (0..7).map(|n| pattern(33, 21, n, channels)).collect();
        let spec = VideoSpec { alpha, ..spec(33, 21, Codec::Ffv1 { deep }) };
        write(&tools, &path, spec, frames.iter().cloned());
        let info = probe(&tools, &path).unwrap();
        assert_eq!((info.width, info.height, info.alpha), (33, 21, alpha));
        assert_eq!(info.fps, Rational { num: 30000, den: 1001 });
        assert_eq!(info.depth, if deep { Depth::U16 } else { Depth::U8 });
        assert_eq!(count_frames(&tools, &path, &info).unwrap(), 7);
        let back = read_all(&tools, &path, ReadOptions::default()).unwrap();
        assert_eq!(back.len(), 7);
        for (i, (n, f)) in back.iter().enumerate() {
            assert_eq!(*n, i);
            if deep {
                assert_eq!(f.to_rgba16(), frames[i].to_rgba16(), "frame {i} alpha {alpha}");
            } else {
                assert_eq!(f.to_rgba8(), frames[i].to_rgba8(), "frame {i} alpha {alpha}");
            }
        }
    }
}

#[test]
fn h264_keeps_colours_count_and_tags() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    for (w, h, format) in [(64, 48, "yuv420p"), (63, 47, "yuv444p"), (1, 1, "yuv444p"), (2, 2, "yuv420p")] {
        let path = dir.path().join(format!("{w}.mp4"));
        write(&tools, &path, spec(w, h, Codec::default()), (0..31).map(|n| smooth(w, h, n)));
        let info = probe(&tools, &path).unwrap();
        assert_eq!((info.width, info.height, info.pixel_format.as_str()), (w, h, format));
        assert_eq!((info.fps, info.frames, info.variable), (Rational { num: 30000, den: 1001 }, Some(31), false));
        assert_eq!((info.matrix.as_deref(), info.full_range), (Some("bt709"), Some(false)));
        assert_eq!((info.primaries.as_deref(), info.transfer.as_deref()), (Some("bt709"), Some("bt709")));
        assert!(info.start.abs() < 1e-6 && !info.has_audio);
        let back = read_all(&tools, &path, ReadOptions::default()).unwrap();
        assert_eq!(back.len(), 31);
        for (n, f) in &back {
            let want = smooth(w, h, *n);
            let worst = f.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let mean = f.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).sum::<f32>() / f.data.len() as f32;
            // at 2x2 the four pixels share one colour
            assert!(w == 2 || worst < 0.05 && mean < 0.006, "{w}x{h} frame {n}: {worst} {mean}");
        }
    }
    assert!(names(dir.path()).iter().all(|n| !n.starts_with('.')));
}

#[test]
fn prores_is_ten_bits_and_can_hold_alpha() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mov");
    let mut f = smooth(48, 32, 3);
    f.data.chunks_mut(4).for_each(|p| p[3] = 0.5);
    let spec = VideoSpec { alpha: true, ..spec(48, 32, Codec::ProRes) };
    write(&tools, &path, spec, (0..3).map(|_| f.clone()));
    let info = probe(&tools, &path).unwrap();
    assert!(info.depth == Depth::U16 && info.alpha && info.matrix.as_deref() == Some("bt709"), "{info:?}");
    let back = read_all(&tools, &path, ReadOptions::default()).unwrap();
    let worst = back[1].1.data.iter().zip(&f.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst < 0.01, "{worst}");
}

#[test]
fn linear_pictures_are_encoded() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mkv");
    let f = Frame::filled(16, 16, [0.18, 0.18, 0.18, 1.0], Color::Linear);
    write(&tools, &path, spec(16, 16, Codec::Ffv1 { deep: false }), std::iter::once(f));
    let back = read_all(&tools, &path, ReadOptions::default()).unwrap();
    let want = headgan::frame::color::linear_to_rec709(0.18);
    assert!((back[0].1.data[0] - want).abs() < 0.003);
}

/// YUV is read as planes; what is asked for interleaved is the same to the bit.
#[test]
fn planes_hold_what_interleaved_pixels_do() {
    let Some(tools) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    for format in ["yuv420p", "yuvj420p", "yuv422p", "yuv444p"] {
        let path = folder.path().join(format!("{format}.mkv"));
        make(
            &tools,
            &path,
            &format!("-f lavfi -i testsrc2=s=66x50:d=1:r=3,noise=alls=60:allf=t,format={format} -c:v ffv1 -strict -1"),
        );
        let frames = read_all(&tools, &path, ReadOptions::default()).unwrap();
        let info = probe(&tools, &path).unwrap();
        let range = if info.full_range == Some(true) { "pc" } else { "tv" };
        let raw = folder.path().join(format!("{format}.rgb"));
        make(
            &tools,
            &raw,
            &format!(
                "-i {} -vf scale=in_color_matrix=bt601:in_range={range}:out_range=pc:\
                 flags=bicubic+accurate_rnd+full_chroma_int,format=rgb24 -f rawvideo -pix_fmt rgb24",
                path.display()
            ),
        );
        let raw = std::fs::read(raw).unwrap();
        assert_eq!((frames.len(), raw.len()), (3, 3 * 3 * 66 * 50), "{format}");
        for ((n, frame), raw) in frames.iter().zip(raw.chunks_exact(3 * 66 * 50)) {
            assert!(*frame == Frame::from_rgb8(66, 50, raw, frame.color), "{format}: frame {n}");
        }
    }
}

#[test]
fn any_start_gives_the_same_frames() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    // long groups of pictures with B-frames, a start time that is not 0, and both kinds of containers
    for (file, arguments) in [
        ("a.mp4", "-c:v libx264 -g 120 -bf 3 -preset veryfast -pix_fmt yuv420p"),
        ("a.mkv", "-c:v libx264 -g 90 -bf 2 -preset veryfast -pix_fmt yuv420p -output_ts_offset 3.2"),
        ("open.mp4", "-c:v libx264 -g 48 -bf 3 -x264-params open-gop=1 -preset veryfast -pix_fmt yuv420p"),
        ("a.mpg", "-c:v mpeg2video -g 15 -bf 2 -q:v 3"),
    ] {
        let path = dir.path().join(file);
        make(&tools, &path, &format!("-f lavfi -i testsrc2=size=64x48:rate=24000/1001 -frames:v 420 {arguments}"));
        let info = probe(&tools, &path).unwrap();
        let all = read_all(&tools, &path, ReadOptions::default()).unwrap();
        assert_eq!(all.len(), 420, "{file}");
        if info.frames_exact {
            assert_eq!(info.frames, Some(420), "{file}");
        }
        for first in [0, 7, 250, 251, 287, 333, 360, 419] {
            let range = FrameRange::new(first, (first + 2).min(419));
            let some = read_all(&tools, &path, ReadOptions { range: Some(range), ..Default::default() }).unwrap();
            assert_eq!(some.len(), range.len().unwrap());
            for (n, f) in &some {
                assert!(*f == all[*n].1, "{file}: frame {n} of {range} differs");
            }
        }
        let open = FrameRange { first: 415, last: None };
        let some = read_all(&tools, &path, ReadOptions { range: Some(open), ..Default::default() }).unwrap();
        assert_eq!((some.len(), some[0].0), (5, 415));
        for range in [FrameRange::new(410, 430), FrameRange { first: 500, last: None }] {
            let e = read_all(&tools, &path, ReadOptions { range: Some(range), ..Default::default() }).unwrap_err();
            assert!(matches!(&e, Error::Input(t) if t.contains("the video ends")), "{file} {e}");
        }
    }
}

#[test]
fn rotation_is_applied() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let upright = dir.path().join("up.mp4");
    make(&tools, &upright, "-f lavfi -i testsrc=size=64x32:rate=25 -frames:v 5 -c:v libx264 -qp 0 -pix_fmt yuv420p");
    let turned = dir.path().join("turned.mp4");
    // `rotate` metadata became `-display_rotation` in ffmpeg 6
    let modern = tools.version.is_none_or(|v| v.0 >= 6);
    if modern {
        make(&tools, &turned, &format!("-display_rotation 90 -i {} -c copy", upright.display()));
    } else {
        make(&tools, &turned, &format!("-i {} -c copy -metadata:s:v:0 rotate=270", upright.display()));
    }
    let info = probe(&tools, &turned).unwrap();
    assert_eq!((info.width, info.height), (32, 64), "{info:?}");
    let plain = read_all(&tools, &upright, ReadOptions::default()).unwrap();
    let back = read_all(&tools, &turned, ReadOptions::default()).unwrap();
    assert_eq!(back.len(), 5);
    let turn = if info.quarter_turns == 1 { headgan::frame::Turn::Right } else { headgan::frame::Turn::Left };
    let want = plain[2].1.turn(turn);
    let mean = back[2].1.data.iter().zip(&want.data).map(|(a, b)| (a - b).abs()).sum::<f32>() / want.data.len() as f32;
    assert!(mean < 0.02, "{mean}");
}

fn rms(samples: &[i16]) -> f64 {
    (samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

/// The sound of a file as 8 kHz mono.
fn sound(tools: &Tools, path: &Path) -> Vec<i16> {
    let out = Command::new(&tools.ffmpeg)
        .args(["-loglevel", "error", "-nostdin", "-i"])
        .arg(path)
        .args(["-vn", "-ac", "1", "-ar", "8000", "-f", "s16le", "pipe:1"])
        .output()
        .unwrap();
    out.stdout.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

#[test]
fn sound_is_copied_cut_and_in_step() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    // silence, but for a tone from 2.0 to 2.5 s
    let tone = "-f lavfi -i testsrc=size=32x32:rate=25:duration=4 -f lavfi -i \
                aevalsrc=if(between(t\\,2\\,2.5)\\,sin(880*t*6.283)\\,0):s=44100:d=4";
    for (clip, codec, out, copied) in [
        ("in.mp4", "-c:a aac", "out.mp4", "aac"),
        ("in.mov", "-c:a pcm_s16le", "out.mov", "pcm_s16le"),
        ("in2.mov", "-c:a pcm_s16le", "out.mp4", "aac"),
        ("in.mkv", "-c:a pcm_s16le", "out.mkv", "pcm_s16le"),
    ] {
        let source = dir.path().join(clip);
        make(&tools, &source, &format!("{tone} -c:v libx264 -pix_fmt yuv420p {codec}"));
        for (first, length) in [(0usize, 100usize), (0, 60), (30, 40)] {
            let path = dir.path().join(out);
            let audio = Source::open(source.to_str().unwrap()).unwrap().audio_from(first);
            assert!(audio.is_some());
            let spec = VideoSpec { fps: Rational::whole(25), audio, ..spec(32, 32, Codec::default()) };
            write(&tools, &path, spec, (0..length).map(|n| smooth(32, 32, n)));
            let info = probe(&tools, &path).unwrap();
            assert_eq!(info.audio_codec.as_deref(), Some(copied), "{clip} {out}");
            assert!(info.start < 0.03, "{info:?}");
            if info.frames_exact {
                assert_eq!(info.frames, Some(length));
            }
            assert_eq!(read_all(&tools, &path, ReadOptions::default()).unwrap().len(), length);
            let s = sound(&tools, &path);
            let seconds = s.len() as f64 / 8000.0;
            assert!((seconds - length as f64 / 25.0).abs() < 0.08, "{clip} {first} {seconds}");
            // where the tone begins, to the length of a sound packet
            let begin = (0..s.len() / 80).find(|i| rms(&s[i * 80..i * 80 + 80]) > 3000.0).map(|i| i as f64 / 100.0);
            let want = 2.0 - first as f64 / 25.0;
            assert!(begin.is_some_and(|b| (b - want).abs() < 0.06), "{clip} {out} {first}: {begin:?}, not {want}");
        }
    }
    assert!(names(dir.path()).iter().all(|n| !n.starts_with('.')));
}

#[test]
fn silent_and_missing_sound_files() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let silent = dir.path().join("silent.mp4");
    write(&tools, &silent, spec(16, 16, Codec::default()), (0..3).map(|n| smooth(16, 16, n)));
    let out = dir.path().join("out.mp4");
    let with =
        |path: PathBuf| VideoSpec { audio: Some(AudioFrom { path, start: 0.0 }), ..spec(16, 16, Codec::default()) };
    write(&tools, &out, with(silent), (0..3).map(|n| smooth(16, 16, n)));
    assert!(!probe(&tools, &out).unwrap().has_audio);
    let e = VideoWriter::create_with(&tools, &out, with(dir.path().join("none.wav"))).err().unwrap();
    assert!(matches!(&e, Error::Input(t) if t.contains("none.wav")), "{e}");
    // no sound at all in a text file
    let text = dir.path().join("x.wav");
    std::fs::write(&text, "this is no sound").unwrap();
    let mut w = VideoWriter::create_with(&tools, &out, with(text)).unwrap();
    w.write(&smooth(16, 16, 0)).unwrap();
    assert!(matches!(w.finish(), Err(Error::Input(_))));
    assert_eq!(names(dir.path()).len(), 3, "{:?}", names(dir.path()));
}

#[test]
fn variable_frame_rate_becomes_even() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vfr.mp4");
    // every seventh frame is left out of 30 a second
    make(
        &tools,
        &path,
        "-f lavfi -i testsrc=size=32x32:rate=30:duration=4 -vf select=mod(n+1\\,7) -vsync vfr -c:v libx264 -pix_fmt yuv420p",
    );
    let info = probe(&tools, &path).unwrap();
    assert!(info.variable && !info.frames_exact, "{info:?}");
    let got = read_all(&tools, &path, ReadOptions::default()).unwrap().len();
    let want = info.duration.unwrap() * info.fps.as_f64();
    assert!((got as f64 - want).abs() <= 2.0, "{got} frames, {want} by the clock");
    assert_eq!((info.fps, info.frames), (Rational::whole(30), Some(got)));
    let later = ReadOptions { range: Some(FrameRange::new(20, 25)), ..Default::default() };
    let all = read_all(&tools, &path, ReadOptions::default()).unwrap();
    for (n, f) in read_all(&tools, &path, later).unwrap() {
        assert!(f == all[n].1, "{n}");
    }
}

#[test]
fn damaged_and_unfit_files_are_input_errors() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = |n: &str| dir.path().join(n);
    let whole = path("whole.mp4");
    let clip = "-f lavfi -i testsrc2=size=64x64:rate=25 -frames:v 100 -c:v libx264 -pix_fmt yuv420p";
    make(&tools, &whole, clip);
    let faststart = path("fast.mp4");
    make(&tools, &faststart, &format!("{clip} -movflags +faststart"));
    let open = |p: &Path| Source::open(p.to_str().unwrap()).map(|_| ());
    let one_line = |e: &Error| {
        let t = e.to_string();
        assert!(matches!(e, Error::Input(_)) && !t.contains('\n') && !t.contains(" @ 0x"), "{t}");
        t
    };

    // no moov box
    let bytes = std::fs::read(&whole).unwrap();
    std::fs::write(path("cut.mp4"), &bytes[..bytes.len() / 2]).unwrap();
    let t = one_line(&open(&path("cut.mp4")).unwrap_err());
    assert!(t.contains("cut off") && t.contains("cut.mp4"), "{t}");

    // cut in the middle
    let bytes = std::fs::read(&faststart).unwrap();
    std::fs::write(path("half.mp4"), &bytes[..bytes.len() * 6 / 10]).unwrap();
    let source = Source::open(path("half.mp4").to_str().unwrap()).unwrap();
    let results: Vec<_> = source.frames(None).unwrap().collect();
    let good = results.iter().filter(|r| r.is_ok()).count();
    assert!(good > 10 && good < 95 && results.len() == good + 1, "{good} of {}", results.len());
    let t = one_line(results.last().unwrap().as_ref().unwrap_err());
    assert!(t.contains(&format!("breaks off after frame {}", good - 1)), "{t}");
    let taken = source.clone().tolerant(true).frames(None).unwrap().map(Result::unwrap).count();
    assert_eq!(taken, good);
    // frames before the break are not concerned
    assert_eq!(source.frames(Some(FrameRange::new(0, 9))).unwrap().filter(Result::is_ok).count(), 10);

    // sound only, nothing, text, a folder, no file
    make(&tools, &path("sound.m4a"), "-f lavfi -i sine=duration=1 -c:a aac");
    assert!(one_line(&open(&path("sound.m4a")).unwrap_err()).contains("sound but no pictures"));
    std::fs::write(path("empty.mp4"), b"").unwrap();
    assert!(one_line(&open(&path("empty.mp4")).unwrap_err()).contains("empty"));
    std::fs::write(path("text.mp4"), "hello".repeat(100)).unwrap();
    one_line(&open(&path("text.mp4")).unwrap_err());
    assert!(one_line(&open(&path("none.mp4")).unwrap_err()).contains("no such file"));
    std::fs::create_dir(path("folder.mp4")).unwrap();
    one_line(&open(&path("folder.mp4")).unwrap_err());

    // a picture track without frames
    let out = Command::new(&tools.ffmpeg)
        .args(["-loglevel", "quiet", "-y", "-f", "lavfi", "-i", "testsrc=size=32x32:rate=25", "-frames:v", "0"])
        .args(["-c:v", "libx264"])
        .arg(path("none_in.mkv"))
        .output()
        .unwrap();
    if out.status.success() && path("none_in.mkv").is_file() {
        let e = Source::open(path("none_in.mkv").to_str().unwrap())
            .and_then(|s| s.frames(None)?.collect::<Result<Vec<_>>>())
            .unwrap_err();
        one_line(&e);
    }
}

#[test]
fn missing_programs() {
    let e = Tools::at(Some(PathBuf::from("/nonexistent/ffmpeg")), None).unwrap_err();
    assert!(matches!(&e, Error::Input(t) if t.contains("ffmpeg was not found") && t.contains("HEADGAN_FFMPEG")));
    // images do not need ffmpeg
    let gone =
        Arc::new(Tools { ffmpeg: "/nonexistent/ffmpeg".into(), ffprobe: "/nonexistent/ffprobe".into(), version: None });
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f_%04d.png");
    let spec = SinkSpec::new(8, 8, Rational::whole(25));
    let mut sink = Sink::create_with(&path, spec.clone(), Some(gone.clone())).unwrap();
    sink.write(&smooth(8, 8, 0)).unwrap();
    sink.finish().unwrap();
    assert_eq!(Source::open_with(&path, Default::default(), Some(gone.clone())).unwrap().info().frames, Some(1));
    let e = Sink::create_with(&dir.path().join("a.mp4"), spec, Some(gone)).err().unwrap();
    assert!(matches!(e, Error::Input(_)));
    assert_eq!(names(dir.path()), ["f_0000.png"]);
}

#[test]
fn unfinished_and_unwritable_videos_leave_nothing() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    let mut w = VideoWriter::create_with(&tools, &path, spec(64, 64, Codec::default())).unwrap();
    for n in 0..20 {
        w.write(&smooth(64, 64, n)).unwrap();
    }
    assert!(matches!(w.write(&smooth(32, 64, 0)), Err(Error::Usage(_))));
    drop(w);
    assert!(names(dir.path()).is_empty());
    let w = VideoWriter::create_with(&tools, &path, spec(64, 64, Codec::default())).unwrap();
    assert!(matches!(w.finish(), Err(Error::Input(_))));
    assert!(names(dir.path()).is_empty());
    for bad in ["missing/a.mp4", "a.mp4/b.mp4"] {
        std::fs::write(&path, b"old").unwrap();
        let e = Sink::create(dir.path().join(bad).to_str().unwrap(), SinkSpec::new(8, 8, Rational::whole(25))).err();
        assert!(matches!(&e, Some(Error::Input(t)) if t.contains("cannot write")), "{e:?}");
    }
    for (name, codec) in [("a.mp4", Codec::ProRes), ("a.mov", Codec::Ffv1 { deep: false }), ("a.avi", Codec::default())]
    {
        let e = VideoWriter::create_with(&tools, &dir.path().join(name), spec(8, 8, codec)).err();
        assert!(matches!(e, Some(Error::Usage(_))), "{name}");
    }
    assert_eq!(std::fs::read(&path).unwrap(), b"old");
}

#[test]
fn dropping_a_reader_early_is_quick() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.mp4");
    make(
        &tools,
        &path,
        "-f lavfi -i testsrc=size=320x240:rate=25 -frames:v 500 -c:v libx264 -preset ultrafast -pix_fmt yuv420p",
    );
    let info: VideoInfo = probe(&tools, &path).unwrap();
    let mut r = VideoReader::start(&tools, &path, &info, ReadOptions::default()).unwrap();
    let (_, f) = r.next_frame().unwrap().unwrap();
    let at = f.data.as_ptr();
    r.recycle(f);
    assert_eq!(r.next_frame().unwrap().unwrap().1.data.as_ptr(), at);
    let start = std::time::Instant::now();
    drop(r);
    assert!(start.elapsed().as_secs_f64() < 2.0);
}

#[test]
fn a_still_and_a_sequence_through_one_door() {
    let dir = tempfile::tempdir().unwrap();
    let pattern_path = dir.path().join("f_%03d.png");
    let spec = SinkSpec { first_number: 8, ..SinkSpec::new(9, 7, Rational::whole(25)) };
    let mut sink = Sink::create(pattern_path.to_str().unwrap(), spec).unwrap();
    let frames: Vec<Frame> = (0..4).map(|n| pattern(9, 7, n, 3)).collect();
    for f in &frames {
        sink.write(f).unwrap();
    }
    sink.finish().unwrap();
    for name in ["f_%03d.png", "f_###.png", ""] {
        let source = Source::open(dir.path().join(name).to_str().unwrap()).unwrap();
        assert_eq!((source.info().first, source.info().frames, source.info().fps), (8, Some(4), None));
        let back: Vec<_> = source.frames(None).unwrap().map(Result::unwrap).collect();
        for (i, (n, f)) in back.iter().enumerate() {
            assert_eq!((*n, f.to_rgba8()), (8 + i, frames[i].to_rgba8()));
        }
        assert_eq!(source.frame(10).unwrap().to_rgba8(), frames[2].to_rgba8());
        assert!(matches!(source.frame(12), Err(Error::Input(_))));
    }
    // one of another size
    headgan::media::still::write(&dir.path().join("f_012.png"), &pattern(5, 5, 0, 3), &Default::default()).unwrap();
    let source = Source::open(pattern_path.to_str().unwrap()).unwrap();
    let last = source.frames(None).unwrap().last().unwrap();
    assert!(matches!(&last, Err(Error::Input(t)) if t.contains("f_012.png") && t.contains("5x5")));
    // a still takes one frame
    let one = dir.path().join("one.exr");
    let mut sink = Sink::create(one.to_str().unwrap(), SinkSpec::new(9, 7, Rational::whole(25))).unwrap();
    sink.write(&frames[0]).unwrap();
    assert!(matches!(sink.write(&frames[1]), Err(Error::Usage(_))));
    sink.finish().unwrap();
    assert_eq!(Source::open(one.to_str().unwrap()).unwrap().info().frames, Some(1));
    assert!(matches!(Sink::create("out", SinkSpec::new(9, 7, Rational::whole(25))), Err(Error::Usage(_))));
}

#[test]
fn every_shared_clip_reads() {
    let shared = std::env::var_os("HEADGAN_SHARED").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared")).join("clips");
    if !shared.is_dir() {
        println!("skipped: {} is not there", shared.display());
        return;
    }
    let Some(tools) = tools() else { return };
    let mut clips: Vec<_> = std::fs::read_dir(&shared).unwrap().map(|e| e.unwrap().path()).collect();
    clips.sort();
    for clip in clips {
        let name = clip.file_name().unwrap().to_string_lossy().into_owned();
        let source = Source::open(clip.to_str().unwrap()).unwrap();
        let info = source.info().clone();
        let video = source.video().unwrap();
        let first = source.frame(0).unwrap();
        assert_eq!((first.width, first.height), (info.width, info.height), "{name}");
        assert!(first.data.iter().all(|v| (0.0..=1.0).contains(v)));
        let stated = info.frames.unwrap();
        let counted = count_frames(&tools, &clip, video).unwrap();
        println!(
            "{name}: {}x{} {} fps{}, {stated} frames{}, {counted} packets, {:?}",
            info.width,
            info.height,
            video.fps,
            if video.variable { " (variable)" } else { "" },
            if video.frames_exact { "" } else { " (estimated)" },
            video.matrix
        );
        if video.frames_exact {
            let last = source.frame(stated - 1);
            assert!(last.is_ok(), "{name}: {:?}", last.err());
        } else {
            assert!(source.frame(stated.saturating_sub(3)).is_ok(), "{name}");
        }
    }
}

/// Memory that this process holds now, in MiB, where the system tells.
fn resident() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

/// `cargo test --release --test media_video measure -- --ignored --nocapture`
#[test]
#[ignore = "a measurement, to be run alone"]
fn measure_throughput_and_memory() {
    let Some(tools) = tools() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("in.mp4"), dir.path().join("out.mp4"));
    make(
        &tools,
        &from,
        "-f lavfi -i testsrc2=size=512x512:rate=25 -frames:v 1000 -c:v libx264 -preset veryfast -pix_fmt yuv420p",
    );
    let info = probe(&tools, &from).unwrap();
    let start = std::time::Instant::now();
    let mut r = VideoReader::start(&tools, &from, &info, ReadOptions::default()).unwrap();
    while let Some(f) = r.next_frame() {
        r.recycle(f.unwrap().1);
    }
    println!("decode only: {:.1} frames/s", 1000.0 / start.elapsed().as_secs_f64());
    let start = std::time::Instant::now();
    let mut r = VideoReader::start(&tools, &from, &info, ReadOptions::default()).unwrap();
    let mut w = VideoWriter::create_with(&tools, &to, spec(512, 512, Codec::default())).unwrap();
    let mut at = Vec::new();
    while let Some(f) = r.next_frame() {
        let (n, f) = f.unwrap();
        w.write(&f).unwrap();
        r.recycle(f);
        if n % 100 == 99 {
            at.push(resident().unwrap_or(0.0));
        }
    }
    w.finish().unwrap();
    println!("decode and encode: {:.1} frames/s", 1000.0 / start.elapsed().as_secs_f64());
    println!("resident after each 100 frames (MiB): {at:.1?}");
    assert!(at[9] - at[0] < 8.0);
}
