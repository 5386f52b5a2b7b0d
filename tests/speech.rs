//! Acoustic models from import to use, with random weights: they hear nothing sensible, but all of it must come out in form.

mod common;

use common::{fails, headgan, works};
use headgan::audio::Sound;
use headgan::audio::ctc::Emissions;
use headgan::audio::spectrogram::Normalisation;
use headgan::audio::speech::{Decoder, Speech};
use headgan::engine::{Cell, cpu, shape};
use headgan::error::Advice;
use headgan::models::{Architecture, ModelSet, Role};
use headgan::nets::deepspeech2::{Config, deepspeech2};
use headgan::testing::random_weights;
use headgan::weights::safetensors::save;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A network of the usual 29 labels as a file for import.
fn network(file: &Path, cell: Cell, context: usize) {
    let config = Config { cell, channels: 32, hidden: 16, layers: 2, context, labels: 29, bins: 161 };
    let layers = shape::layers(|ops| {
        deepspeech2(ops, &config, &[1, 1, 161, 64]);
    });
    save(file, &random_weights(&layers, 3)).unwrap();
}

/// A second and a half at 16 kHz: three tones, then silence.
fn sound(file: &Path) {
    let samples: Vec<i16> = (0..24_000)
        .map(|i| {
            let t = f64::from(i) / 16_000.0;
            let hertz = [300.0, 900.0, 2_000.0, 0.0][(t / 0.4) as usize];
            (8_000.0 * (std::f64::consts::TAU * hertz * t).sin()) as i16
        })
        .collect();
    let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let mut wav = b"RIFF".to_vec();
    wav.extend((36 + bytes.len() as u32).to_le_bytes());
    wav.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data");
    wav.extend((bytes.len() as u32).to_le_bytes());
    wav.extend(bytes);
    std::fs::write(file, wav).unwrap();
}

#[test]
fn from_a_checkpoint_to_a_generators_input() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, models) = (dir.path(), dir.path().join("models"));
    sound(&dir.join("s.wav"));
    let run = |args: &[&str]| {
        let mut c = headgan(&models, dir);
        c.args(args);
        c
    };
    // Without a model everything says what to do. (The program itself finds the repository's.)
    let error =
        ModelSet::from_folders(&[dir.into()]).find(Role::Speech, Some(&Architecture::DeepSpeech2), None).unwrap_err();
    assert_eq!(error.advice(), Some(&Advice::ImportModel("deepspeech2".into())), "{error}");
    let all = ["audio-features", "s.wav", "--layout", "headgan300", "--pack", "none", "-o", "o.npy"];
    fails(&mut run(&all), 4, &["acoustic model", "'none'", "headgan84"]);

    for (name, cell, context) in [("both", Cell::Gru, 0), ("one", Cell::Lstm, 5)] {
        network(&dir.join("net.safetensors"), cell, context);
        let import = ["models", "import", "deepspeech2", "--from", "net.safetensors", "--name", name];
        assert!(works(run(&import).args(["--to", "models"])).contains("speech: deepspeech2"));
        assert!(works(&mut run(&["models", "info", name])).contains("verified"));
        let pack = ["--pack", name];
        for decoder in ["greedy", "beam"] {
            let json = works(run(&["transcribe", "s.wav", "--json", "--decoder", decoder]).args(pack));
            let json: Value = serde_json::from_str(&json).unwrap();
            let text = works(run(&["transcribe", "s.wav", "--decoder", decoder]).args(pack));
            assert_eq!(json["text"].as_str(), text.strip_suffix('\n'));
            assert_eq!((json["seconds"].as_f64(), json["step"].as_f64()), (Some(1.5), Some(0.02)));
            let characters = json["characters"].as_array().unwrap();
            let said: String = characters.iter().map(|c| c["character"].as_str().unwrap()).collect();
            assert_eq!(Some(&*said), json["text"].as_str());
            let starts: Vec<f64> = characters.iter().map(|c| c["start"].as_f64().unwrap()).collect();
            assert!(starts.is_sorted() && starts.iter().all(|s| (0.0..1.52).contains(s)), "{starts:?}");
        }
        works(run(&["transcribe", "s.wav", "--emissions", "e.npy"]).args(pack));
        let e = headgan::weights::numpy::read_npy(&std::fs::read(dir.join("e.npy")).unwrap(), "e.npy").unwrap();
        // 24000 samples: 151 spectra, 76 moments.
        assert_eq!(e.shape, [76, 29]);
        for moment in e.as_f32().unwrap().chunks_exact(29) {
            let sum: f32 = moment.iter().map(|v| v.exp()).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sum}");
        }
        for (fps, frames) in [("25", 38), ("30000/1001", 45)] {
            let all = ["audio-features", "s.wav", "--layout", "headgan300", "--fps", fps, "-o", "o.npy", "--json"];
            let json: Value = serde_json::from_str(&works(run(&all).args(pack))).unwrap();
            assert_eq!(json["shape"], serde_json::json!([300, frames]));
            assert_eq!(json["names"][84], "token_0_a");
            let bytes = std::fs::read(dir.join("o.npy")).unwrap();
            let values: Vec<f64> = bytes[bytes.len() - 8 * 300 * frames..]
                .chunks_exact(8)
                .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
                .collect();
            for frame in 0..frames {
                let column: Vec<f64> = (84..300).map(|row| values[row * frames + frame]).collect();
                assert!(column.chunks_exact(27).all(|one| one.iter().sum::<f64>() == 1.0));
            }
        }
    }
    fails(&mut run(&["models", "export-onnx", "both", "-o", "o.onnx"]), 4, &["both", "no network"]);
    fails(&mut run(&["transcribe", "s.wav", "--pack", "none"]), 4, &["'none'"]);
    fails(&mut run(&["transcribe", "none.wav"]), 3, &["none.wav"]);
    std::fs::write(dir.join("bad.pth"), [0x5a; 3000]).unwrap();
    fails(&mut run(&["models", "import", "deepspeech2", "--from", "bad.pth", "--to", "models"]), 4, &["bad.pth"]);
}

/// Raw samples through stdin: the text of the whole is printed, its characters with their times, whatever comes how.
#[test]
fn a_stream() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, models) = (dir.path(), dir.path().join("models"));
    sound(&dir.join("s.wav"));
    let samples = std::fs::read(dir.join("s.wav")).unwrap()[44..].to_vec();
    for (name, context) in [("both", 0), ("one", 5)] {
        network(&dir.join("net.safetensors"), Cell::Gru, context);
        let import = ["models", "import", "deepspeech2", "--from", "net.safetensors", "--name", name, "--to", "models"];
        works(headgan(&models, dir).args(import));
    }
    let run = |args: &[&str]| {
        let mut c = headgan(&models, dir);
        c.args(["transcribe", "--stream", "-"]).args(args);
        c
    };
    // What the library makes of it.
    let speech =
        Speech::load(&ModelSet::from_folders(std::slice::from_ref(&models)), Some("one"), &cpu::Options::default())
            .unwrap();
    let mut stream = speech.stream(16_000, Normalisation::Running).unwrap();
    let values = samples.chunks_exact(2).map(|b| f64::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0);
    let mut log = stream.push(&values.collect::<Vec<_>>()).unwrap().values().to_vec();
    log.extend_from_slice(stream.finish().unwrap().values());
    let emissions = Emissions::new(29, 0, log).unwrap();
    let expected = speech.characters(&emissions, Decoder::Greedy);
    let text: String = expected.iter().map(|c| c.character).collect();
    assert!(expected.len() > 3, "{text}");

    let fed = |args: &[&str], pieces: &[&[u8]]| {
        let mut child = run(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        for piece in pieces {
            stdin.write_all(piece).unwrap();
            stdin.flush().unwrap();
        }
        drop(stdin);
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{}", common::text(&out.stderr));
        common::text(&out.stdout)
    };
    let odd: Vec<&[u8]> = samples.chunks(6_001).collect();
    assert_eq!(fed(&["--pack", "one"], &odd), format!("{text}\n"));
    let lines = fed(&["--pack", "one", "--json"], &[&samples]);
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, expected.iter().map(|c| serde_json::json!(c)).collect::<Vec<_>>());
    assert_eq!(fed(&["--pack", "one"], &[]), "\n");

    fails(&mut run(&["--pack", "both"]), 4, &["look-ahead", "whole sound"]);
    fails(&mut run(&["--pack", "one", "--decoder", "beam"]), 2, &["greedy"]);
    fails(headgan(&models, dir).args(["transcribe", "--stream", "s.wav"]), 2, &["stdin", "s.wav"]);
    fails(&mut run(&["--emissions", "e.npy"]), 2, &["--emissions"]);
}

/// A stream that nobody ends: Ctrl-C and a reader that goes away do.
#[cfg(unix)]
#[test]
fn a_stream_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (dir, models) = (dir.path(), dir.path().join("models"));
    network(&dir.join("net.safetensors"), Cell::Gru, 5);
    let import = ["models", "import", "deepspeech2", "--from", "net.safetensors", "--name", "one", "--to", "models"];
    works(headgan(&models, dir).args(import));
    sound(&dir.join("s.wav"));
    let samples = std::fs::read(dir.join("s.wav")).unwrap()[44..].to_vec();
    let spawn = || {
        let mut c = headgan(&models, dir);
        c.args(["transcribe", "--stream", "-", "--pack", "one", "--json"]);
        c.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let first_line = |child: &mut Child| {
        child.stdin.as_mut().unwrap().write_all(&samples).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        lines.read_line(&mut String::new()).unwrap();
        lines
    };
    // Characters come while stdin is open; then it waits, and is interrupted.
    let mut child = spawn();
    let mut lines = first_line(&mut child);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert!(rest.lines().last().is_some_and(|line| line.ends_with('}')), "{rest}");
    let stdin = child.stdin.take();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
    drop(stdin);
    // Nobody reads any more: it ends while more comes in.
    let mut child = spawn();
    drop(first_line(&mut child));
    let mut stdin = child.stdin.take().unwrap();
    while stdin.write_all(&samples).is_ok() {}
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success() && out.stderr.is_empty(), "{out:?}");
}

/// The pack that comes with the repository: it is whole, and hears nothing in silence.
#[test]
fn the_starter_pack() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/starter-speech");
    let models = ModelSet::from_folders(&[folder]);
    assert_eq!(models.problems(), Vec::<String>::new());
    let model = Speech::load(&models, Some("starter-speech"), &cpu::Options::default()).unwrap();
    let silence = Sound::new(16_000, vec![0.0; 32_000]).unwrap();
    assert_eq!(model.hear(&silence, Decoder::Greedy).unwrap(), []);
    let (_, component) = models.find(Role::Speech, None, None).unwrap();
    let size = std::fs::metadata(models.packs()[0].path(component)).unwrap().len();
    assert!(size < 4 << 20, "{size} bytes");
}
