//! Shots as several programs see them: frames in any order and in any process, a cache that is shared, an analysis that is
//! killed, motion files. All of it runs in a fresh clone, on a pack of hand-made weights.

mod common;

use common::{SIDE, blobs, fails, headgan, names, works, workshop, world, write};
use headgan::frame::Frame;
use headgan::media::Source;
use headgan::weights::{Array, safetensors};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An empty folder for one test.
fn folder(test: &str) -> PathBuf {
    let folder = workshop().join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// A deterministic shuffle's source (SplitMix64).
struct Seeded(u64);

impl Seeded {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

/// Frames of a face that moves, no two of them alike.
fn clip(folder: &Path, frames: usize) -> PathBuf {
    let path = folder.join("clip_%03d.png");
    let at = |i: usize| {
        let t = i as f32 / frames as f32;
        blobs(&[[70.0 + 24.0 * t, 96.0 + 10.0 * (9.0 * t).sin()]])
    };
    let mark = |i: usize| {
        // The blob moves by less than a pixel from frame to frame: a mark in the corner tells them apart.
        let mut frame: Frame = at(i);
        frame.set_pixel(SIDE - 1, 0, [(i % 256) as f32 / 255.0, (i / 256) as f32 / 255.0, 0.0, 1.0]);
        frame
    };
    write(&path, (0..frames).map(mark), None);
    path
}

fn reenact(dir: &Path, driving: &Path, out: &str) -> Command {
    let w = world();
    let mut c = headgan(&w.models, dir);
    c.args(["reenact", "-q", "-o", out, "--reference"]).arg(&w.face).arg("--driving").arg(driving);
    c.args(["--set", "stabilise_position=2", "--set", "stabilise_rotation=2", "--set", "smoothing=5"]);
    c
}

/// One process in order, against four at once that share a cache, render chunks in random order, and compete for the analysis.
#[test]
fn any_order_and_any_process_gives_the_same_frames() {
    const FRAMES: usize = 24;
    let dir = folder("any_order");
    let driving = clip(&dir, FRAMES);
    std::fs::create_dir_all(dir.join("one")).unwrap();
    std::fs::create_dir_all(dir.join("many")).unwrap();
    works(reenact(&dir, &driving, "one/f_%03d.png").arg("--no-cache"));
    let mut chunks: Vec<(usize, usize)> = (0..FRAMES / 3).map(|i| (3 * i, 3 * i + 2)).collect();
    let mut rng = Seeded(11);
    for i in (1..chunks.len()).rev() {
        chunks.swap(i, rng.below(i as u64 + 1) as usize);
    }
    let cache = dir.join("cache");
    for four in chunks.chunks(4) {
        let running: Vec<_> = four
            .iter()
            .map(|(a, b)| {
                let mut c = reenact(&dir, &driving, "many/f_%03d.png");
                c.arg("--cache").arg(&cache).args(["--frames", &format!("{a}-{b}")]);
                c.stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in running {
            let out = child.wait_with_output().unwrap();
            assert!(out.status.success(), "{}", common::text(&out.stderr));
        }
    }
    let all = names(&dir.join("one"));
    assert_eq!(all.len(), FRAMES);
    assert_eq!(names(&dir.join("many")), all);
    let read = |folder: &str, name: &str| std::fs::read(dir.join(folder).join(name)).unwrap();
    for name in &all {
        assert!(read("one", name) == read("many", name), "{name} differs");
    }
    assert!(read("one", &all[0]) != read("one", &all[FRAMES - 1]), "nothing moves");
}

/// Values in a cache, temporary files not counted.
fn entries(cache: &Path) -> usize {
    let Ok(folders) = std::fs::read_dir(cache.join("v1")) else { return 0 };
    let files = folders.flatten().filter_map(|f| std::fs::read_dir(f.path()).ok()).flatten().flatten();
    files.filter(|f| f.file_name().to_string_lossy().ends_with(".safetensors")).count()
}

/// The bar: a kill -9 at 50 seeded moments loses at most the frames in work (one a thread), and the result equals an
/// uninterrupted one.
#[test]
fn a_killed_analysis_goes_on_where_it_was() {
    const FRAMES: usize = 40;
    const THREADS: usize = 2;
    let dir = folder("killed");
    let (w, driving) = (world(), clip(&dir, FRAMES));
    let analyse = |cache: &Path| {
        let mut c = headgan(&w.models, &dir);
        c.args(["analyse", "-q", "--json", "--threads", &THREADS.to_string(), "--cache"]).arg(cache).arg(&driving);
        c
    };
    let without_work = |text: &str| {
        let mut document = json(text);
        document.as_object_mut().unwrap().remove("work").map(|work| (document, work)).unwrap()
    };
    let started = Instant::now();
    let (whole, work) = without_work(&works(&mut analyse(&dir.join("whole"))));
    let takes = started.elapsed();
    assert_eq!((work["observed"].as_u64(), work["reused"].as_u64()), (Some(FRAMES as u64), Some(0)));
    let mut rng = Seeded(7);
    let (mut interrupted, mut kept) = (0, 0);
    for round in 0..50 {
        let cache = dir.join(format!("cache_{round}"));
        let mut child = analyse(&cache).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Half of the moments by the clock, half right after a seeded number of frames was stored.
        if round % 2 == 0 {
            std::thread::sleep(takes.mul_f64(rng.below(1000) as f64 / 1000.0));
        } else {
            let after = 1 + rng.below(FRAMES as u64 - 4) as usize;
            let limit = Instant::now() + Duration::from_secs(20);
            while entries(&cache) < after && Instant::now() < limit && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        let stored = entries(&cache);
        let (document, work) = without_work(&works(&mut analyse(&cache)));
        assert_eq!(document, whole, "round {round}");
        let (observed, reused) = (work["observed"].as_u64().unwrap(), work["reused"].as_u64().unwrap());
        // A clip that was through has one value more: the list of its frames.
        let frames = stored.min(FRAMES) as u64;
        assert_eq!(reused, frames, "round {round}: {stored} values were there");
        assert_eq!(observed + reused, FRAMES as u64);
        interrupted += usize::from(!ended.success() && stored > 0 && stored < FRAMES);
        kept += stored.min(FRAMES);
        // Whole, without damaged files.
        let verified =
            json(&works(headgan(&w.models, &dir).args(["cache", "verify", "--json", "--cache"]).arg(&cache)));
        assert_eq!(verified["damaged"].as_array().unwrap().len(), 0, "round {round}");
        std::fs::remove_dir_all(&cache).unwrap();
    }
    eprintln!("50 kills, {interrupted} in the middle of the work, {kept} frames kept, none lost");
    assert!(interrupted >= 15, "only {interrupted} of 50 kills met the analysis at work");
}

#[test]
fn a_motion_file_renders_as_its_clip_does() {
    let dir = folder("motion");
    let (w, driving) = (world(), clip(&dir, 12));
    std::fs::create_dir_all(dir.join("clip")).unwrap();
    std::fs::create_dir_all(dir.join("motion")).unwrap();
    let cache = dir.join("cache");
    let mut c = headgan(&w.models, &dir);
    let said =
        json(&works(c.args(["analyse", "-q", "--json", "--motion", "a.hgm", "--cache"]).arg(&cache).arg(&driving)));
    let (bytes, numbers) = (said["motion"]["bytes"].as_u64().unwrap(), said["motion"]["numbers_per_frame"].as_u64());
    assert_eq!(numbers, Some(23));
    assert!(bytes < 12 * 92 + 700, "{bytes} bytes");
    works(reenact(&dir, &driving, "clip/f_%03d.png").arg("--cache").arg(&cache));
    works(reenact(&dir, Path::new("a.hgm"), "motion/f_%03d.png").arg("--no-cache"));
    let all = names(&dir.join("clip"));
    assert_eq!(names(&dir.join("motion")), all);
    for name in &all {
        let read = |folder: &str| std::fs::read(dir.join(folder).join(name)).unwrap();
        assert!(read("clip") == read("motion"), "{name} differs");
    }
    // What is missing from it is said.
    let mut c = reenact(&dir, Path::new("a.hgm"), "x_%03d.png");
    fails(c.args(["--set", "identity_mix=0.5"]), 2, &["identity_mix", "a.hgm", "--with-identity"]);
    works(headgan(&w.models, &dir).args(["analyse", "-q", "--with-identity", "--motion", "b.hgm"]).arg(&driving));
    works(reenact(&dir, Path::new("b.hgm"), "motion/g_%03d.png").args(["--set", "identity_mix=0.5"]));
    fails(reenact(&dir, Path::new("a.hgm"), "x_%03d.png").args(["--frames", "5-99"]), 2, &["frames 0 to 11"]);
    // Coefficients of some other model are told, not left out.
    let mut short = safetensors::load(&dir.join("b.hgm")).unwrap();
    short.insert("identity", Array::f32([3], vec![1.0; 3]));
    safetensors::save(&dir.join("short.hgm"), &short).unwrap();
    fails(&mut reenact(&dir, Path::new("short.hgm"), "x_%03d.png"), 3, &["short.hgm", "coefficients"]);
    std::fs::write(dir.join("bad.hgm"), b"nonsense").unwrap();
    fails(&mut reenact(&dir, Path::new("bad.hgm"), "x_%03d.png"), 3, &["bad.hgm", "motion file"]);
    fails(&mut reenact(&dir, Path::new("none.hgm"), "x_%03d.png"), 3, &["none.hgm"]);
    fails(headgan(&w.models, &dir).args(["analyse", "--set", "device=cuda"]).arg(&driving), 6, &["cuda"]);
    fails(headgan(&w.models, &dir).args(["analyse", "--motion", "a.txt"]).arg(&driving), 2, &["a.txt", ".hgm"]);
    // Recordings need a head that acts, which this pack has not.
    fails(headgan(&w.models, &dir).args(["analyse", "--arkit", "a.txt"]).arg(&driving), 2, &["a.txt", ".csv"]);
    fails(
        headgan(&w.models, &dir).args(["analyse", "-q", "--arkit", "a.csv"]).arg(&driving),
        4,
        &["ARKit", "mediapipe"],
    );
    std::fs::write(dir.join("take.csv"), "Timecode,JawOpen\n00:00:00:00,0.5\n").unwrap();
    fails(&mut reenact(&dir, Path::new("take.csv"), "x_%03d.png"), 4, &["take.csv", "ARKit", "mediapipe"]);
    std::fs::write(dir.join("other.csv"), "a,b\n1,2\n").unwrap();
    fails(&mut reenact(&dir, Path::new("other.csv"), "x_%03d.png"), 3, &["other.csv", "Timecode"]);
    fails(reenact(&dir, &driving, "x_%03d.png").args(["--fps", "25"]), 2, &["--fps", ".csv"]);
    let mut points = reenact(&dir, &driving, "x_%03d.png");
    fails(points.args(["--pack", "synthetic", "--points", "nobody"]), 4, &["nobody"]);
    assert!(!names(&dir).iter().any(|n| n.starts_with("x_")));
}

/// A clip that performs itself as it was performed stays as it is, whichever of its faces is followed and however its name is
/// written.
#[test]
fn a_clip_performs_itself_with_the_face_that_is_chosen() {
    let dir = folder("itself");
    let pattern = dir.join("pair_%02d.png");
    write(&pattern, (0..4).map(|i| blobs(&[[32.0 + i as f32, 96.0], [160.0, 96.0]])), None);
    let picture = |pattern: &Path| Source::open(pattern.to_str().unwrap()).unwrap().frame(0).unwrap();
    let plate = picture(&pattern);
    for face in ["0", "1"] {
        let out = format!("f{face}_%02d.png");
        let mut c = headgan(&world().models, &dir);
        c.args(["reenact", "-q", "--reference", "pair_%02d.png", "--driving", "./pair_%02d.png", "-o", &out]);
        works(
            c.args(["--no-cache", "--frames", "0", "--set", "face_choice=index", "--set"])
                .arg(format!("face_index={face}")),
        );
        let result = picture(&dir.join(&out));
        let off: f32 = plate.data.iter().zip(&result.data).map(|(a, b)| (a - b).abs()).sum();
        let off = off / plate.data.len() as f32;
        assert!(off < 0.002, "face {face}: {off} from the plate");
        let report = format!("r{face}.html");
        let mut c = headgan(&world().models, &dir);
        c.args(["report", "-q", "--no-cache", "--columns", "1", "-o", &report, "pair_%02d.png"]);
        works(c.args(["--set", "face_choice=index", "--set"]).arg(format!("face_index={face}")));
        let page = std::fs::read_to_string(dir.join(&report)).unwrap();
        assert!(page.contains("Shot report: pair_%02d.png") && page.contains("The expression controls are not shown"));
    }
    // A reference frame without that face is told, not replaced by another face.
    write(&pattern, (0..4).map(|i| blobs(&[[32.0, 96.0], [160.0, 96.0]][..if i == 2 { 1 } else { 2 }])), None);
    let mut c = headgan(&world().models, &dir);
    c.args([
        "reenact",
        "-q",
        "--no-cache",
        "--reference",
        "pair_%02d.png",
        "--driving",
        "pair_%02d.png",
        "-o",
        "x.png",
    ]);
    c.args(["--frames", "0", "--set", "face_choice=index", "--set", "face_index=1", "--set", "reference_frame=2"]);
    fails(&mut c, 5, &["pair_%02d.png", "frame 2", "reference_frame"]);
}

#[test]
fn the_cache_is_looked_at_checked_and_cleared() {
    let dir = folder("cache_verbs");
    let (w, driving) = (world(), clip(&dir, 6));
    let cache = |verb: &[&str]| {
        let mut c = headgan(&w.models, &dir);
        c.args(["cache", "--cache", "c", "--json"]).args(verb);
        c
    };
    let analyse = || {
        let mut c = headgan(&w.models, &dir);
        json(&works(c.args(["analyse", "-q", "--json", "--cache", "c"]).arg(&driving)))["work"].clone()
    };
    assert_eq!(json(&works(&mut cache(&["info"])))["entries"], 0);
    assert_eq!(analyse()["observed"], 6);
    // Six frames and the list of them.
    assert_eq!(json(&works(&mut cache(&["info"])))["entries"], 7);
    let second = analyse();
    assert_eq!((&second["reused"], &second["decoded"]), (&Value::from(6), &Value::from(0)));
    // A damaged file is set aside and made anew, from a clip that is decoded for that frame only.
    let damaged = |n: usize| {
        let folders = std::fs::read_dir(dir.join("c/v1")).unwrap().flatten();
        let files = folders.flat_map(|f| std::fs::read_dir(f.path()).unwrap().flatten());
        // The larger ones are frames.
        let mut files: Vec<PathBuf> = files.map(|f| f.path()).collect();
        files.sort_by_key(|f| std::cmp::Reverse(f.metadata().unwrap().len()));
        let mut bytes = std::fs::read(&files[n]).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&files[n], bytes).unwrap();
    };
    damaged(0);
    let third = analyse();
    assert_eq!((&third["reused"], &third["observed"]), (&Value::from(5), &Value::from(1)));
    assert_eq!(third["decoded"], 1, "only the missing frame is decoded");
    assert_eq!(json(&works(&mut cache(&["info"])))["damaged"], 1);
    damaged(1);
    assert_eq!(json(&works(&mut cache(&["verify"])))["damaged"].as_array().unwrap().len(), 1);
    assert!(json(&works(&mut cache(&["clear"])))["files"].as_u64().unwrap() >= 7);
    assert_eq!(json(&works(&mut cache(&["info"])))["entries"], 0);
    // The limit is kept after an analysis.
    let mut c = headgan(&w.models, &dir);
    works(c.env("HEADGAN_CACHE_LIMIT", "5kB").args(["analyse", "-q", "--cache", "c"]).arg(&driving));
    assert!(json(&works(&mut cache(&["info"])))["bytes"].as_u64().unwrap() <= 5000);
    // Folders and sizes that make no sense.
    fails(cache(&["clear", "--keep", "lots"]).arg("-v"), 2, &["lots", "500MB"]);
    std::fs::write(dir.join("file"), b"x").unwrap();
    fails(headgan(&w.models, &dir).args(["cache", "--cache", "file", "info"]), 3, &["file", "--no-cache"]);
    let mut c = headgan(&w.models, &dir);
    fails(c.args(["analyse", "-q", "--cache", "file"]).arg(&driving), 3, &["file", "--no-cache"]);
    // The usual one is done without where it does not work, which is said.
    let mut c = headgan(&w.models, &dir);
    c.env("HEADGAN_CACHE", dir.join("file")).args(["analyse", "-q"]).arg(&driving);
    let out = c.output().unwrap();
    assert!(out.status.success() && common::text(&out.stderr).contains("goes on without"));
    let bad =
        headgan(&w.models, &dir).env("HEADGAN_CACHE_LIMIT", "much").arg("analyse").arg(&driving).output().unwrap();
    common::failure(&bad, 2, &["HEADGAN_CACHE_LIMIT", "much"]);
}

#[test]
fn the_neutral_frame_must_be_there() {
    let dir = folder("neutral");
    let driving = clip(&dir, 5);
    let mut c = reenact(&dir, &driving, "x_%03d.png");
    c.args(["--set", "neutral=frame", "--set", "neutral_frame=9"]);
    fails(&mut c, 2, &["neutral_frame", "frames 0 to 4"]);
}
