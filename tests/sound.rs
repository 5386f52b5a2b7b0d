//! What a generator hears, from a sound's file to the picture. Generators have random weights: they paint nothing sensible, and say
//! nothing about which part of a face a trained one would move.

mod common;

use common::{fails, has_ffmpeg, headgan, moving, names, text, wav, works, workshop, world, write, write_listener};
use headgan::audio::layout::ALL;
use headgan::engine::{Embedded, cpu, shape};
use headgan::frame::Frame;
use headgan::media::Rational;
use headgan::models::ModelSet;
use headgan::morphable::{Fit, PreparedMorphable};
use headgan::nets::generator;
use headgan::reenact::draft::DraftModel;
use headgan::reenact::generator::Generator;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::reenact::{AudioInput, FrameSettings};
use headgan::shot::audio::ShotAudio;
use headgan::shot::cache::{Cache, DEFAULT_LIMIT};
use headgan::shot::{AudioExtractor, AudioSource, Head, Motion, Track, TrackSettings};
use headgan::synthetic;
use headgan::testing::random_weights;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// Side of the drawn pictures.
const SIDE: usize = 160;
/// Frames of the drawn performance.
const FRAMES: usize = 12;

fn folder(test: &str) -> PathBuf {
    let folder = workshop().join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn random_generator(audio: usize) -> Generator {
    let config = generator::Config { ngf: 2, spade: 8, audio, ..generator::Config::default() };
    let layers = shape::layers(|ops| {
        let reference = generator::reference(ops, &config, &[1, 6, 64, 64]);
        generator::forward(ops, &config, &reference, &[1, 9, 64, 64], None, None);
    });
    let options = cpu::Options { threads: 2, ..cpu::Options::default() };
    Generator {
        engine: Embedded::new(Arc::new(random_weights(&layers, 3)), &options).into(),
        config,
        name: "random".into(),
        blake3: String::new(),
        licence: String::new(),
    }
}

/// The drawn portrait that performs the drawn performance.
fn drawn(generator: Generator) -> headgan::Result<Shot> {
    let model = Arc::new(PreparedMorphable::new(synthetic::head()).unwrap());
    let head = model.model();
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
    let (portrait, fit) = synthetic::demo_reference(SIDE).unwrap();
    let fits: Vec<Fit> = synthetic::demo_driving(SIDE, FRAMES).unwrap().map(|item| item.unwrap().1).collect();
    let motion = Motion::from_fits(&fits, (SIDE, SIDE), "synthetic");
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default()).unwrap();
    Shot::with_model(model.clone(), draft, portrait, &fit, track, Some(generator))
}

fn full(shot: &Shot, index: usize, audio_offset: f32) -> Frame {
    let quality = headgan::controls::choices::Quality::Full;
    let settings = FrameSettings { quality, audio_offset, ..FrameSettings::default() };
    shot.render(index, &|_| settings.clone(), &mut Scratch::default()).unwrap().clone()
}

fn hearing(listened: &ShotAudio, first: f64) -> Option<AudioInput> {
    Some(AudioInput { conditioning: listened.conditioning.clone(), key: listened.key, first })
}

/// The drawn performance with its own sound: from the file through the cache to the picture.
#[test]
fn a_performance_is_heard() {
    let dir = folder("heard");
    let file = dir.join("voice.wav");
    // Longer than the shot, so that a later part is not its end.
    std::fs::write(&file, synthetic::sound::wav(&synthetic::demo_sound(3 * FRAMES, 25.0))).unwrap();
    let cache = Cache::open(&dir.join("cache"), DEFAULT_LIMIT).unwrap();
    let models = ModelSet::from_folders(&[]);
    let extractor =
        AudioExtractor { models: &models, threads: 1, cache: Some(&cache), cancel: &headgan::CancelToken::default() };
    let listen = |gain: f32| extractor.extract(&AudioSource::File(&file), Rational::whole(25), gain).unwrap();
    let (plain, loud) = (listen(0.0), listen(12.0));
    assert!(!plain.cached && !loud.cached && listen(0.0).cached);

    let silent = drawn(random_generator(ALL)).unwrap();
    assert!(silent.takes_audio());
    let without = full(&silent, 5, 0.0);
    let with_sound = |hearing| silent.with_track(silent.track().clone()).with_audio(hearing);
    let shot = with_sound(hearing(&plain, 0.0));
    let with = full(&shot, 5, 0.0);
    assert!(with != without, "sound changes nothing");
    assert!(full(&shot, 5, 0.0) == with, "it is not the same again");
    // So many frames later it hears what it would have heard earlier, also by parts of a frame.
    for (offset, first) in [(3.0, -3.0), (-4.0, 4.0), (0.5, -0.5)] {
        let shifted = full(&shot, 5, offset);
        let moved = with_sound(hearing(&plain, first));
        assert!(shifted == full(&moved, 5, 0.0) && shifted != with, "offset {offset}");
    }
    assert_eq!(plain.conditioning.at(5.0 - 3.0), plain.conditioning.part(2..3).at(0.0));
    // Far before its beginning there is no sound, which is what zeros say where there is no acoustic model.
    assert!(full(&shot, 5, 1000.0) == without);
    assert!(full(&with_sound(hearing(&loud, 0.0)), 5, 0.0) != with, "gain is not heard");

    // A generator without sound neither wants it nor minds it.
    let deaf = drawn(random_generator(0)).unwrap();
    let before = full(&deaf, 5, 0.0);
    assert!(!deaf.takes_audio() && full(&deaf.with_audio(hearing(&plain, 0.0)), 5, 7.0) == before);
    // One that hears other values than those that are made cannot be used.
    let e = drawn(random_generator(84)).err().unwrap().to_string();
    assert!(e.contains("84") && e.contains("300"), "{e}");
}

/// `headgan reenact` with the generator that listens.
fn reenact(dir: &Path, out: &str, extra: &[&str]) -> Command {
    reenact_as("full", &world().frames, dir, out, extra)
}

fn reenact_as(quality: &str, driving: &Path, dir: &Path, out: &str, extra: &[&str]) -> Command {
    let w = world();
    let models = dir.join("models");
    if !models.exists() {
        write_listener(&models);
    }
    let weights = models.join("listener/headgan-generator.safetensors");
    let mut c = headgan(&w.models, dir);
    c.args(["reenact", "--json", "-o", out, "--frames", "0-1", "--generator"]).arg(weights);
    c.args(["--cache", "cache", "--reference"]).arg(&w.face).arg("--driving").arg(driving);
    c.args(["--quality", quality]).args(extra);
    c
}

/// Whether the program finds an acoustic model: that of this repository, where it was built within it.
fn has_characters(dir: &Path) -> bool {
    works(headgan(&world().models, dir).args(["models", "list"])).contains("speech: ")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

#[test]
fn the_program_listens() {
    let dir = folder("program");
    for sub in ["silent", "heard", "again", "later", "loud", "draft"] {
        std::fs::create_dir_all(dir.join(sub)).unwrap();
    }
    wav(&dir.join("s.wav"));
    // Pictures have no sound: zeros, and one line about it.
    let out = reenact(&dir, "silent/f_%02d.png", &[]).output().unwrap();
    let said = text(&out.stderr);
    assert!(out.status.success(), "{said}");
    assert_eq!(said.matches("given zeros").count(), 1, "{said}");
    let report = json(&text(&out.stdout));
    assert_eq!((&report["generator_given_silence"], &report["generator_hears"]), (&Value::Bool(true), &Value::Null));

    // With a file it hears it, once computed; what may be missing is the acoustic model.
    let characters = has_characters(&dir);
    let out = reenact(&dir, "heard/f_%02d.png", &["--audio", "s.wav"]).output().unwrap();
    let said = text(&out.stderr);
    assert!(out.status.success() && said.matches("acoustic model").count() == usize::from(!characters), "{said}");
    let report = json(&text(&out.stdout));
    assert_eq!(report["generator_hears"], serde_json::json!({"frames": 25, "characters": characters, "cached": false}));
    assert_eq!(report["generator_given_silence"], false);
    let again = json(&works(&mut reenact(&dir, "again/f_%02d.png", &["-q", "--audio", "s.wav"])));
    assert_eq!(again["generator_hears"]["cached"], true);
    let offset = ["-q", "--audio", "s.wav", "--set", "audio_offset=-12"];
    let later = json(&works(&mut reenact(&dir, "later/f_%02d.png", &offset)));
    assert_eq!(later["generator_hears"]["cached"], true);
    let gain = ["-q", "--audio", "s.wav", "--set", "audio_gain=12"];
    assert_eq!(json(&works(&mut reenact(&dir, "loud/f_%02d.png", &gain)))["generator_hears"]["cached"], false);
    let frame = |sub: &str| std::fs::read(dir.join(sub).join("f_01.png")).unwrap();
    assert_eq!(names(&dir.join("heard")), ["f_00.png", "f_01.png"]);
    assert!(frame("heard") == frame("again") && frame("heard") != frame("silent") && frame("loud") != frame("heard"));

    // Nobody listens: nothing is decoded, and pictures have no use for a sound.
    fails(
        &mut reenact_as("draft", &world().frames, &dir, "draft/f_%02d.png", &["--audio", "s.wav"]),
        2,
        &["take no sound"],
    );
    let out = reenact_as("draft", &world().frames, &dir, "draft/f_%02d.png", &[]).output().unwrap();
    assert!(out.status.success() && !text(&out.stderr).contains("sound"), "{}", text(&out.stderr));
    fails(&mut reenact(&dir, "draft/f_%02d.png", &["-q", "--audio", "none.wav"]), 3, &["none.wav", "no such file"]);
}

/// A video is heard from its first picture on, and --audio counts instead.
#[test]
fn a_clips_own_sound() {
    if !has_ffmpeg() {
        return;
    }
    let dir = folder("own");
    let clip = dir.join("clip.mp4");
    wav(&dir.join("s.wav"));
    write(&clip, moving(6), Some(&dir.join("s.wav")));
    let run = |out: &str, extra: &[&str]| json(&works(&mut reenact_as("full", &clip, &dir, out, extra)));
    let own = run("own.mp4", &["-q"]);
    assert!(own["generator_hears"]["frames"].as_u64().unwrap() > 0, "{own}");
    let no = Value::Bool(false);
    assert_eq!((&own["generator_given_silence"], &own["generator_hears"]["cached"]), (&no, &no));
    assert_eq!(run("again.mp4", &["-q", "--no-audio"])["generator_hears"]["cached"], true);
    std::fs::write(dir.join("long.wav"), synthetic::sound::wav(&synthetic::demo_sound(40, 25.0))).unwrap();
    let other = run("other.mp4", &["-q", "--audio", "long.wav"]);
    assert_eq!(
        other["generator_hears"],
        serde_json::json!({"frames": 40, "characters": has_characters(&dir), "cached": false})
    );

    // A motion has no sound of its own.
    works(headgan(&world().models, &dir).args(["analyse", "-q", "--motion", "m.hgm"]).arg(&clip));
    let motion = |extra: &[&str]| json(&works(&mut reenact_as("full", Path::new("m.hgm"), &dir, "m.mp4", extra)));
    assert_eq!(motion(&["-q"])["generator_given_silence"], true);
    assert_eq!(motion(&["-q", "--audio", "long.wav"])["generator_hears"]["cached"], true);
}
