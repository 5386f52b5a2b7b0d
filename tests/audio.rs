//! Features of sounds: against pyAudioAnalysis where its results lie beside the project, against closed forms, and on files that are odd
//! or damaged.

mod common;

use common::{fails, has_ffmpeg, headgan, names, shared, works, workshop};
use headgan::audio::short_term::Grid;
use headgan::audio::{Alignment, Features, Layout, Sound, headgan84, headgan300, layout, short68};
use headgan::media::Rational;
use headgan::random::Rng;
use proptest::prelude::*;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::process::Command;

const RATES: [u32; 9] = [8_000, 11_025, 12_345, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000];
const FPS: [(u32, u32); 7] = [(24_000, 1001), (24, 1), (25, 1), (30_000, 1001), (30, 1), (50, 1), (60_000, 1001)];

fn fps(f: (u32, u32)) -> Rational {
    Rational::new(f.0, f.1).unwrap()
}

fn sound(rate: u32, n: usize, f: impl FnMut(usize) -> f64) -> Sound {
    Sound::new(rate, (0..n).map(f).collect()).unwrap()
}

fn tone(rate: u32, hertz: f64, seconds: f64) -> Sound {
    let n = (seconds * f64::from(rate)).round() as usize;
    sound(rate, n, |i| 0.5 * (TAU * hertz * i as f64 / f64::from(rate) + 0.1).sin())
}

fn noise(rate: u32, n: usize, seed: u64) -> Sound {
    let mut rng = Rng(seed);
    sound(rate, n, |_| f64::from(rng.signed()))
}

fn all_layouts(sound: &Sound, rate: Rational) -> Vec<Features> {
    let mut out = vec![headgan84(sound, rate, None, Alignment::Time).unwrap()];
    out.extend(headgan84(sound, rate, None, Alignment::Original));
    out.extend(short68(sound));
    out
}

/// The column called `name`.
fn column(features: &Features, layout: Layout, name: &str) -> Vec<f64> {
    let i = layout.names().iter().position(|n| n == name).unwrap();
    features.rows().map(|row| row[i]).collect()
}

/// A `.npy` file of 64-bit floats: shape and values.
fn npy(path: &Path) -> (Vec<usize>, Vec<f64>) {
    let bytes = std::fs::read(path).unwrap();
    let header = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let text = String::from_utf8(bytes[10..10 + header].to_vec()).unwrap();
    assert!(text.contains("'<f8'") && text.contains("'fortran_order': False"), "{text}");
    let shape = text.split_once('(').unwrap().1.split_once(')').unwrap().0;
    let shape = shape.split(',').filter_map(|s| s.trim().parse().ok()).collect();
    let values = bytes[10 + header..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
    (shape, values)
}

/// An empty folder for one test.
fn folder(test: &str) -> PathBuf {
    let folder = workshop().join(format!("audio_{test}"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The largest relative difference. Changes from window to window and some entropies pass through 0, where only the size of what they
/// are made of says how exact they can be: a value counts as at least a thousandth of the largest of its feature.
///
/// The spread is compared by itself (`loose`): of a window of equal samples, with which one of the sounds begins, upstream's is the rounding
/// noise of its Fourier transform (1e-8 where 6e-11 would be true, at lengths that are no product of small primes), in which two
/// transforms never agree. It is a share of the Nyquist frequency, so 1 is what its differences are relative to.
#[track_caller]
fn compare(what: &str, names: &[String], ours: &[f64], theirs: &[f64], columns: usize) {
    assert_eq!((ours.len(), names.len() * columns), (theirs.len(), ours.len()), "{what}");
    let (mut worst, mut loose) = (0.0f64, 0.0f64);
    for ((name, a), b) in names.iter().zip(ours.chunks_exact(columns)).zip(theirs.chunks_exact(columns)) {
        let floor = 1e-3 * b.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (a, b) in a.iter().zip(b) {
            assert!(a.is_finite(), "{what}: {name}");
            if name.contains("spread") {
                loose = loose.max((a - b).abs());
            } else if a != b {
                worst = worst.max((a - b).abs() / b.abs().max(floor));
            }
        }
    }
    println!("{what}: largest relative difference {worst:.1e}, of the spread {loose:.1e}");
    assert!(worst < 1e-8 && loose < 1e-8, "{what}: {worst:e}, {loose:e}");
}

// ---- pyAudioAnalysis and the official code ----

#[test]
fn as_computed_upstream() {
    let Some(shared) = shared() else { return };
    let fixtures = shared.join("fixtures/audio");
    for name in ["jfk_16k_mono", "jfk_44k_stereo"] {
        let sound = Sound::load(&shared.join("audio").join(name).with_extension("wav")).unwrap();
        let (shape, theirs) = npy(&fixtures.join(format!("{name}.short_term_68.npy")));
        let ours = short68(&sound).unwrap();
        assert_eq!([ours.width(), ours.frames()], shape[..]);
        compare(name, &Layout::Short68.names(), &ours.by_feature(), &theirs, shape[1]);
        for (label, rate) in [("24", (24, 1)), ("25", (25, 1)), ("29.97", (30_000, 1001))] {
            let (shape, theirs) = npy(&fixtures.join(format!("{name}.headgan_mid_84_{label}fps.npy")));
            let ours = headgan84(&sound, fps(rate), None, Alignment::Original).unwrap();
            assert_eq!([ours.width(), ours.frames()], shape[..]);
            compare(&format!("{name} at {label}"), &Layout::Headgan84.names(), &ours.by_feature(), &theirs, shape[1]);
        }
    }
}

#[test]
fn the_program_writes_the_same() {
    let Some(shared) = shared() else { return };
    let dir = folder("the_program");
    let wav = shared.join("audio/jfk_44k_stereo.wav");
    let run = |more: &[&str]| {
        let mut c = headgan(&dir, &dir);
        works(c.args(["audio-features", "-o", "o.npy"]).arg(&wav).args(more))
    };
    for (more, file) in [
        (&["--layout", "headgan84", "--fps", "30000/1001", "--compat"][..], "headgan_mid_84_29.97fps"),
        (&["--layout", "short68"], "short_term_68"),
    ] {
        run(more);
        let (ours, theirs) =
            (npy(&dir.join("o.npy")), npy(&shared.join(format!("fixtures/audio/jfk_44k_stereo.{file}.npy"))));
        assert_eq!(ours.0, theirs.0);
        let layout = if file.starts_with("short") { Layout::Short68 } else { Layout::Headgan84 };
        compare(file, &layout.names(), &ours.1, &theirs.1, ours.0[1]);
    }
    let json: serde_json::Value = serde_json::from_str(&run(&["--layout", "headgan84", "--json"])).unwrap();
    assert_eq!(json["shape"], serde_json::json!([84, 275]));
    assert_eq!((json["fps"].as_str(), json["rate"].as_u64()), (Some("25"), Some(44_100)));
    assert_eq!(json["names"].as_array().unwrap().len(), 84);
}

// ---- closed forms ----

#[test]
fn silence() {
    for rate in RATES {
        for level in [0.0, 0.25, -1.0] {
            let quiet = sound(rate, rate as usize / 2, |_| level);
            for features in all_layouts(&quiet, Rational::whole(25)) {
                assert!(features.frames() > 0 && features.values().iter().all(|v| *v == 0.0), "{rate}, {level}");
            }
        }
        // Silence within a sound: no number but finite ones, and no middle of a spectrum that is not there.
        let click = sound(rate, rate as usize / 2, |i| f64::from(u8::from(i == 10)) - f64::from(u8::from(i == 11)));
        for features in all_layouts(&click, Rational::whole(25)) {
            assert!(features.values().iter().all(|v| v.is_finite()), "{rate}");
        }
        let features = short68(&click).unwrap();
        let last = features.rows().last().unwrap();
        assert_eq!(last[..8], [0.0; 8]);
        assert!((last[8] - 40f64.sqrt() * f64::EPSILON.log10()).abs() < 1e-9);
        assert!(last[9..].iter().all(|v| v.abs() < 1e-12));
    }
}

/// A tone whose periods fill a window: the spectrum is one bin.
#[test]
fn a_tone() {
    for rate in RATES {
        let (window, bins) = (rate as usize / 20, rate as usize / 40);
        for bin in [10, 44, bins / 3] {
            let hertz = bin as f64 * f64::from(rate) / window as f64;
            let features = short68(&tone(rate, hertz, 1.0)).unwrap();
            let get = |name: &str| column(&features, Layout::Short68, name)[3];
            let near = |name: &str, wanted: f64, off: f64| {
                assert!((get(name) - wanted).abs() < off, "{rate}, bin {bin}: {name} {} not {wanted}", get(name));
            };
            // Two changes of sign a period; one may fall on a window's edge.
            near("zcr", 2.0 * bin as f64 / (window as f64 - 1.0), 1.5 / window as f64);
            // The peak of a few samples a period need not be the crest.
            near("energy", 0.5, 0.15);
            near("spectral_centroid", (bin + 1) as f64 / bins as f64, 1e-3);
            near("spectral_spread", 0.0, 0.02);
            near("spectral_rolloff", bin as f64 / bins as f64, 1e-12);
            // All the energy in one of ten parts.
            near("spectral_entropy", 0.0, 1e-3);
            near("energy_entropy", 10f64.log2(), 0.2);
            near("spectral_flux", 0.0, 1e-3);
            // The semitone of the bin's upper edge, counted from A.
            let edge = (bin + 1) as f64 * f64::from(rate) / (2.0 * bins as f64);
            let note = (12.0 * (edge / 27.5).log2()).round_ties_even().rem_euclid(12.0) as usize + 1;
            let others: f64 = (1..=12).filter(|k| *k != note).map(|k| get(&format!("chroma_{k}"))).sum();
            let own = get(&format!("chroma_{note}"));
            // A semitone of several bins keeps the power of its last alone.
            assert!(others < 1e-3 && own <= 1.0 + 1e-9, "{rate}, bin {bin}: {own}, others {others}");
            assert!(bin > 10 || own > 0.1, "{rate}, bin {bin}: {own}");
            near("chroma_std", own * (1.0f64 / 12.0 - 1.0 / 144.0).sqrt(), 1e-3);
        }
    }
}

/// White noise: energy, crossings, middle of the spectrum and its entropy where expectation has them.
#[test]
fn white_noise() {
    let features = short68(&noise(16_000, 160_000, 5)).unwrap();
    let mean = |name: &str| {
        let values = column(&features, Layout::Short68, name);
        values.iter().sum::<f64>() / values.len() as f64
    };
    for (name, wanted, off) in [
        ("zcr", 0.5, 0.01),
        ("energy", 1.0 / 3.0, 0.01),
        ("energy_entropy", 10f64.log2(), 0.02),
        ("spectral_centroid", 0.5, 0.01),
        ("spectral_spread", 1.0 / 12f64.sqrt(), 0.01),
        ("spectral_rolloff", 0.9, 0.01),
        ("spectral_entropy", 10f64.log2(), 0.05),
    ] {
        assert!((mean(name) - wanted).abs() < off, "{name}: {}", mean(name));
    }
}

#[test]
fn loudness_does_not_matter_and_neither_does_dc_to_short68() {
    let a = noise(22_050, 30_000, 7);
    let louder = sound(22_050, 30_000, |i| 0.125 * a.samples()[i]);
    let lifted = sound(22_050, 30_000, |i| 0.125 * a.samples()[i] + 0.5);
    let close = |a: &Features, b: &Features| a.values().iter().zip(b.values()).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close(&short68(&a).unwrap(), &short68(&louder).unwrap()));
    assert!(close(&short68(&a).unwrap(), &short68(&lifted).unwrap()));
    let of = |s: &Sound| headgan84(s, Rational::whole(25), None, Alignment::Time).unwrap();
    assert!(close(&of(&a), &of(&louder)));
    // Its peak is taken with DC.
    assert!(!close(&of(&a), &of(&lifted)));
}

#[test]
fn joined_values() {
    let signal = headgan84(&noise(16_000, 32_000, 1), Rational::whole(25), None, Alignment::Time).unwrap();
    let characters = Features::new(216, (0..50 * 216).map(f64::from).collect()).unwrap();
    let all = headgan300(&signal, &characters).unwrap();
    assert_eq!((all.width(), all.frames()), (300, 50));
    let row = all.rows().nth(7).unwrap();
    assert_eq!((&row[..84], row[84]), (signal.rows().nth(7).unwrap(), 7.0 * 216.0));
    assert!(headgan300(&characters, &signal).is_err());
    let fewer = Features::new(216, vec![0.0; 49 * 216]).unwrap();
    assert!(headgan300(&signal, &fewer).unwrap_err().to_string().contains("49"));
    let names = Layout::Headgan300.names();
    assert_eq!((names.len(), &*names[84], &*names[299]), (300, "token_0_a", "token_7_other"));
    assert_eq!((Layout::Headgan84.names().len(), Layout::Short68.names().len()), (84, 68));
}

// ---- frames ----

/// At the end of an hour there is one vector a frame, and its windows lie where the frame's time is.
#[test]
fn an_hour_of_frames() {
    for f in FPS.map(fps) {
        for rate in RATES {
            let frames = (3600 * u64::from(f.num) / u64::from(f.den)) as usize;
            // Sound as long as the frames last, cut down or up to whole samples.
            let exact = frames as f64 / f.as_f64() * f64::from(rate);
            for samples in [exact.floor(), exact.ceil()] {
                assert_eq!(layout::frames_of(samples as usize, rate, f), frames, "{rate} Hz, {f}");
            }
            let grid = Grid::frames(rate, f).unwrap();
            let count = grid.count(exact as usize);
            // The last window that fits begins in the last frame.
            assert!(count > 16 * (frames - 1) && count <= 16 * frames, "{rate} Hz, {f}");
            for j in [0, 1, 15, 16, 16 * (frames / 2) + 5, count - 1] {
                let middle = grid.start(j) as f64 + grid.window() as f64 / 2.0;
                let wanted = (j + 4) as f64 / 16.0 / f.as_f64() * f64::from(rate);
                assert!((middle - wanted).abs() <= 0.5 + 1e-6, "{rate} Hz, {f}, window {j}: {middle} {wanted}");
            }
            // The eight frames of a vector: the mean of its windows' middles.
            let last = frames - 8;
            let middles = (16 * last..16 * last + 128).map(|j| grid.start(j) as f64 + grid.window() as f64 / 2.0);
            let wanted = (16.0 * last as f64 + 4.0 + 63.5) / 16.0 / f.as_f64() * f64::from(rate);
            assert!((middles.sum::<f64>() / 128.0 - wanted).abs() <= 0.5, "{rate} Hz, {f}");
        }
    }
}

/// What is said at a frame is found at that frame after two minutes; the original has drifted by then.
#[test]
fn the_original_drifts() {
    let (rate, f) = (16_000, fps((30_000, 1001)));
    let moment = 120.0;
    let at = (moment * f64::from(rate)) as usize;
    let burst = sound(rate, 125 * rate as usize, |i| {
        let loud = if (at..at + 4_000).contains(&i) { 1.0 } else { 1e-3 };
        loud * (TAU * 440.0 * i as f64 / f64::from(rate)).sin()
    });
    let loudest = |alignment| {
        let features = headgan84(&burst, f, None, alignment).unwrap();
        let energy = column(&features, Layout::Headgan84, "energy_mean");
        (0..energy.len()).max_by(|a, b| energy[*a].total_cmp(&energy[*b])).unwrap()
    };
    // A vector looks from its frame on, so the loudest is one from which the burst is in full view.
    let frame = moment * f.as_f64();
    let ours = loudest(Alignment::Time) as f64;
    assert!((frame - 1.0..frame + 1.0).contains(&(ours + 1.0)), "{ours}, frame {frame}");
    assert!(loudest(Alignment::Original) as f64 - frame > 30.0);
}

#[test]
fn frames_asked_for() {
    let s = noise(16_000, 16_000, 2);
    for alignment in [Alignment::Time, Alignment::Original] {
        let all = headgan84(&s, Rational::whole(25), None, alignment).unwrap();
        let few = headgan84(&s, Rational::whole(25), Some(10), alignment).unwrap();
        assert_eq!(few.values(), &all.values()[..10 * 84]);
        let many = headgan84(&s, Rational::whole(25), Some(40), alignment).unwrap();
        assert_eq!(many.frames(), 40);
        // Behind the sound's end the last vector stays.
        assert_eq!(many.rows().nth(39), all.rows().last());
    }
    // At 25 frames and 16 kHz nothing is rounded.
    let of = |alignment| headgan84(&s, Rational::whole(25), None, alignment).unwrap();
    assert_eq!(of(Alignment::Time), of(Alignment::Original));
}

#[test]
fn short_sounds() {
    for rate in RATES {
        for n in [1, 2, 3, 100] {
            let s = noise(rate, n, 9);
            let features = headgan84(&s, Rational::whole(25), None, Alignment::Time).unwrap();
            assert_eq!(features.frames(), 1);
            assert!(features.values().iter().all(|v| v.is_finite()));
            for e in [short68(&s).err(), headgan84(&s, Rational::whole(25), None, Alignment::Original).err()] {
                assert!(e.unwrap().to_string().contains("fewer than"));
            }
        }
    }
    let e = headgan84(&noise(8_000, 8_000, 1), Rational::whole(9_000), None, Alignment::Time).unwrap_err();
    assert!(matches!(e, headgan::Error::Usage(_)), "{e}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the samples: numbers, or an error.
    #[test]
    fn any_sound(
        rate in prop::sample::select(RATES.to_vec()),
        f in prop::sample::select(FPS.to_vec()),
        samples in prop::collection::vec(prop_oneof![
            8 => -1.0f64..1.0, 2 => Just(0.0), 1 => any::<f64>(), 1 => -1e30f64..1e30, 1 => Just(f64::MIN_POSITIVE),
        ], 0..4000),
        repeat in 1usize..4,
    ) {
        let Ok(sound) = Sound::new(rate, samples.repeat(repeat)) else { return Ok(()) };
        for features in all_layouts(&sound, fps(f)) {
            prop_assert!(features.values().iter().all(|v| v.is_finite()));
        }
    }
}

// ---- files ----

/// A WAV file with these bytes as samples. `format`: 1 whole numbers, 3 floats.
fn wav(format: u16, channels: u16, bits: u16, rate: u32, data: &[u8]) -> Vec<u8> {
    let frame = channels * bits / 8;
    let mut out = b"RIFF".to_vec();
    out.extend((36 + data.len() as u32).to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend([format.to_le_bytes(), channels.to_le_bytes()].concat());
    out.extend([rate, rate * u32::from(frame)].map(u32::to_le_bytes).concat());
    out.extend([frame.to_le_bytes(), bits.to_le_bytes()].concat());
    out.extend(b"data");
    out.extend((data.len() as u32).to_le_bytes());
    out.extend(data);
    out
}

fn load(dir: &Path, name: &str, bytes: &[u8]) -> headgan::Result<Sound> {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    Sound::load(&path)
}

#[test]
fn wav_files() {
    let dir = folder("wav_files");
    let values: Vec<i16> = (0..1_000).map(|i| (i * 7919 % 65_536 - 32_768) as i16).collect();
    let wanted: Vec<f64> = values.iter().map(|v| f64::from(*v) / 32_768.0).collect();
    let bytes = |f: &dyn Fn(i16) -> Vec<u8>| values.iter().flat_map(|v| f(*v)).collect::<Vec<u8>>();
    let s16 = bytes(&|v| v.to_le_bytes().to_vec());
    let s24 = bytes(&|v| (i32::from(v) << 8).to_le_bytes()[..3].to_vec());
    let s32 = bytes(&|v| (i32::from(v) << 16).to_le_bytes().to_vec());
    let f32s = bytes(&|v| (f32::from(v) / 32_768.0).to_le_bytes().to_vec());
    let f64s = bytes(&|v| (f64::from(v) / 32_768.0).to_le_bytes().to_vec());
    for rate in RATES {
        for (format, bits, data) in [(1, 16, &s16), (1, 24, &s24), (1, 32, &s32), (3, 32, &f32s), (3, 64, &f64s)] {
            let s = load(&dir, "a.wav", &wav(format, 1, bits, rate, data)).unwrap();
            assert_eq!((s.rate(), s.samples()), (rate, &wanted[..]), "{format}, {bits} bits");
        }
    }
    // Channels are mixed to their mean.
    let stereo = load(&dir, "a.wav", &wav(1, 2, 16, 44_100, &s16)).unwrap();
    let mean: Vec<f64> = wanted.chunks(2).map(|c| c[0] / 2.0 + c[1] / 2.0).collect();
    assert_eq!(stereo.samples(), mean);
    let four = load(&dir, "a.wav", &wav(1, 4, 16, 44_100, &s16)).unwrap();
    assert_eq!(four.samples()[0], wanted[..4].iter().sum::<f64>() / 4.0);
    // Eight bits count from 128.
    let s = load(&dir, "a.wav", &wav(1, 1, 8, 8_000, &[0, 128, 192])).unwrap();
    assert_eq!(s.samples(), [-1.0, 0.0, 0.5]);
    // One sample is a sound, none is not, and neither is what is no number or has an impossible rate.
    assert_eq!(load(&dir, "a.wav", &wav(1, 1, 16, 16_000, &s16[..2])).unwrap().samples().len(), 1);
    let nan = [0.5f32, f32::NAN, 0.0].map(f32::to_le_bytes).concat();
    for (bytes, says) in [
        (wav(1, 1, 16, 16_000, &[]), ""),
        (wav(3, 1, 32, 16_000, &nan), "sample 1"),
        (wav(1, 1, 16, 100, &s16), "100"),
        (b"RIFF\0\0\0\0WAVE".to_vec(), ""),
        (b"RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff".to_vec(), ""),
        (vec![], "empty"),
    ] {
        let e = load(&dir, "a.wav", &bytes).unwrap_err();
        assert!(matches!(e, headgan::Error::Input(_)), "{e}");
        let e = e.to_string();
        assert!(e.contains("a.wav") && e.contains(says) && !e.contains('\n'), "{e}");
    }
}

/// Two seconds of a tone that begins after half a second, in this form; `None` where ffmpeg cannot make it.
fn encoded(dir: &Path, name: &str, arguments: &[&str]) -> Option<PathBuf> {
    let tools = headgan::media::ffmpeg::Tools::find().ok()?;
    let (plain, path) = (dir.join("plain.wav"), dir.join(name));
    if !plain.exists() {
        let samples = (0..2 * 44_100u32).map(|i| {
            let loud = if i < 22_050 { 0.0 } else { 12_000.0 };
            (loud * (TAU * 523.0 * f64::from(i) / 44_100.0).sin()).round() as i16
        });
        let data: Vec<u8> = samples.flat_map(|v| [v.to_le_bytes(), v.to_le_bytes()].concat()).collect();
        std::fs::write(&plain, wav(1, 2, 16, 44_100, &data)).unwrap();
    }
    let mut c = Command::new(&tools.ffmpeg);
    c.args(["-v", "error", "-nostdin", "-y", "-i"]).arg(&plain).args(arguments).arg(&path);
    works(&mut c);
    Some(path)
}

/// Where a sound becomes loud, in seconds.
fn onset(s: &Sound) -> f64 {
    s.samples().iter().position(|v| v.abs() > 0.05).unwrap() as f64 / f64::from(s.rate())
}

const FORMS: [(&str, &[&str]); 6] = [
    ("a.flac", &["-c:a", "flac"]),
    ("a.mp3", &["-c:a", "libmp3lame"]),
    ("a.m4a", &["-c:a", "aac"]),
    ("a.aac", &["-c:a", "aac"]),
    ("a.24.wav", &["-c:a", "pcm_s24le"]),
    ("a.ogg", &["-c:a", "flac", "-f", "ogg"]),
];

/// Every form: as long as it was, and the tone begins when it began (raw AAC does not say what its encoder put in front).
#[test]
fn forms() {
    if !has_ffmpeg() {
        return;
    }
    let dir = folder("forms");
    for (name, arguments) in FORMS {
        let Some(path) = encoded(&dir, name, arguments) else { continue };
        let s = Sound::load(&path).unwrap_or_else(|e| panic!("{e}"));
        println!("{name}: {} samples, onset at {:.4} s", s.samples().len(), onset(&s));
        assert_eq!(s.rate(), 44_100);
        if name == "a.aac" {
            assert!((s.seconds() - 2.0).abs() < 0.1);
        } else {
            assert!(s.samples().len().abs_diff(88_200) <= 1, "{name}: {}", s.samples().len());
            assert!((onset(&s) - 0.5).abs() < 0.003, "{name}: {}", onset(&s));
        }
        let loud = &s.samples()[30_000..80_000];
        let power = loud.iter().map(|v| v * v).sum::<f64>() / loud.len() as f64;
        assert!((power.sqrt() - 12_000.0 / 32_768.0 / 2f64.sqrt()).abs() < 0.02, "{name}");
    }
}

/// A video's sound counts from its first picture, wherever either begins.
#[test]
fn videos() {
    if !has_ffmpeg() {
        return;
    }
    let dir = folder("videos");
    encoded(&dir, "a.m4a", &["-c:a", "aac"]);
    let tools = headgan::media::ffmpeg::Tools::find().unwrap();
    // Pictures that begin a fifth of a second after the sound, and sound that begins so much after the pictures.
    for (name, [pictures, sound], wanted) in
        [("together.mp4", ["0", "0"], 0.5), ("late.mkv", ["0.2", "0"], 0.3), ("early.mkv", ["0", "0.2"], 0.7)]
    {
        let mut c = Command::new(&tools.ffmpeg);
        c.current_dir(&dir).args(["-v", "error", "-nostdin", "-y", "-itsoffset", sound, "-i", "plain.wav"]);
        c.args(["-itsoffset", pictures, "-f", "lavfi", "-i", "color=size=32x32:rate=30000/1001:duration=1.5"]);
        works(c.args(["-map", "1:v", "-map", "0:a", "-c:v", "mpeg4", "-c:a", "aac"]).arg(name));
        let path = dir.join(name);
        let video = headgan::media::probe::probe(&tools, &path).unwrap();
        let s = Sound::from_video(&path, &video, &headgan::CancelToken::default()).unwrap();
        println!("{name}: onset at {:.4} s", onset(&s));
        assert!((onset(&s) - wanted).abs() < 0.005, "{name}: {}", onset(&s));
    }
    // A vector a frame: 45 frames, for all that the sound is longer.
    works(headgan(&dir, &dir).args(["audio-features", "together.mp4", "--layout", "headgan84", "-o", "o.npy"]));
    assert_eq!(npy(&dir.join("o.npy")).0, [84, 45]);
    let mut c = headgan(&dir, &dir);
    works(c.args(["audio-features", "together.mp4", "--fps", "25", "--layout", "headgan84", "-o", "o.npy"]));
    // At another rate the sound counts: two seconds, and what is left of its last packet.
    assert!((50..=51).contains(&npy(&dir.join("o.npy")).0[1]));
    // Without pictures or without sound.
    encoded(&dir, "sound.mp4", &["-c:a", "aac", "-brand", "isom"]);
    works(headgan(&dir, &dir).args(["audio-features", "sound.mp4", "--layout", "short68", "-o", "o.npy"]));
    let mut c = Command::new(&tools.ffmpeg);
    c.current_dir(&dir).args(["-v", "error", "-nostdin", "-y", "-i", "together.mp4", "-an", "-c", "copy", "mute.mp4"]);
    works(&mut c);
    let mut c = headgan(&dir, &dir);
    fails(c.args(["audio-features", "mute.mp4", "--layout", "headgan84", "-o", "m.npy"]), 3, &["mute.mp4", "no sound"]);
    assert!(!names(&dir).contains(&"m.npy".to_string()));
}

/// Cut off anywhere or with bits turned: a sound or an error of one line, and no panic.
#[test]
fn damaged_files() {
    let dir = folder("damaged_files");
    let samples: Vec<u8> = (0..30_000u32).flat_map(|i| ((i * i % 20_011) as i16).to_le_bytes()).collect();
    let mut whole = vec![("a.wav", wav(1, 2, 16, 44_100, &samples))];
    if has_ffmpeg() {
        for (name, arguments) in FORMS.into_iter().filter(|(name, _)| *name != "a.ogg") {
            whole.extend(encoded(&dir, name, arguments).map(|path| (name, std::fs::read(path).unwrap())));
        }
    }
    let mut rng = Rng(11);
    let (mut sounds, mut errors) = (0, 0);
    for (name, bytes) in &whole {
        let name = format!("damaged.{name}");
        let mut check = |bytes: &[u8]| match load(&dir, &name, bytes) {
            Ok(s) => {
                sounds += 1;
                let features = headgan84(&s, Rational::whole(25), None, Alignment::Time);
                if let Ok(features) = features {
                    assert!(features.values().iter().all(|v| v.is_finite()), "{name}");
                }
            }
            Err(e) => {
                errors += 1;
                let text = e.to_string();
                assert!(matches!(e, headgan::Error::Input(_)) && !text.contains('\n') && text.contains(&name), "{e}");
            }
        };
        for n in (0..48).chain((0..24).map(|_| rng.below(bytes.len()))) {
            check(&bytes[..n.min(bytes.len())]);
        }
        for i in 0..120 {
            let mut damaged = bytes.clone();
            // The headers are hit often, the rest too.
            let reach = if i % 2 == 0 { 200.min(bytes.len()) } else { bytes.len() };
            for _ in 0..1 + rng.below(6) {
                damaged[rng.below(reach)] ^= 1 << rng.below(8);
            }
            check(&damaged);
        }
    }
    println!("{sounds} sounds, {errors} errors");
    assert!(sounds > 0 && errors > 0);
}

#[test]
fn commands_that_fail() {
    let dir = folder("commands_that_fail");
    std::fs::write(dir.join("s.wav"), wav(1, 1, 16, 16_000, &[9; 40_000])).unwrap();
    std::fs::write(dir.join("one.wav"), wav(1, 1, 16, 16_000, &[9; 2])).unwrap();
    std::fs::write(dir.join("empty.wav"), b"").unwrap();
    let run = |arguments: &[&str]| {
        let mut c = headgan(&dir, &dir);
        c.arg("audio-features").args(arguments);
        c
    };
    let all = ["--layout", "headgan300", "--pack", "none", "-o", "o.npy"];
    fails(run(&["s.wav"]).args(all), 4, &["headgan300", "acoustic model", "headgan84"]);
    let low = ["--layout", "headgan84", "-o", "o.npy"];
    fails(run(&["nosuch.wav"]).args(low), 3, &["nosuch.wav", "no such file"]);
    fails(run(&["empty.wav"]).args(low), 3, &["empty.wav", "empty"]);
    fails(run(&["."]).args(low), 3, &["folder"]);
    fails(run(&["s.wav"]).args(low).args(["--fps", "0"]), 2, &["0", "frame rate"]);
    fails(run(&["s.wav"]).args(low).args(["--fps", "9000"]), 2, &["lower frame rate"]);
    fails(&mut run(&["s.wav", "--layout", "headgan85", "-o", "o.npy"]), 2, &["headgan85"]);
    fails(&mut run(&["s.wav", "--layout", "headgan84", "-o", "nosuch/o.npy"]), 3, &["nosuch"]);
    fails(&mut run(&["one.wav", "--layout", "short68", "-o", "o.npy"]), 3, &["one.wav", "fewer than the 800"]);
    assert_eq!(names(&dir), ["empty.wav", "one.wav", "s.wav"]);
    works(run(&["one.wav"]).args(low));
    assert_eq!(npy(&dir.join("o.npy")), (vec![84, 1], vec![0.0; 84]));
}
