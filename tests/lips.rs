//! A mouth that follows a sound: a drawn portrait speaks a drawn performance's sound, with the packs of the repository.

mod common;

use common::{fails, headgan, names, text, works, workshop, world};
use headgan::frame::Frame;
use headgan::media::Source;
use headgan::media::still::{self, StillOptions};
use headgan::synthetic;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Side of the drawn portrait.
const SIDE: usize = 256;
/// Frames of the sound at 25 a second.
const FRAMES: usize = 20;

/// The packs that come with the repository.
fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

/// A folder with the portrait and the sound.
fn stage(test: &str) -> PathBuf {
    let dir = workshop().join(test);
    std::fs::create_dir_all(&dir).unwrap();
    let (portrait, _) = synthetic::demo_reference(SIDE).unwrap();
    still::write(&dir.join("p.png"), &portrait, &StillOptions::default()).unwrap();
    std::fs::write(dir.join("s.wav"), synthetic::sound::wav(&synthetic::demo_sound(FRAMES, 25.0))).unwrap();
    dir
}

fn speak(dir: &Path, out: &str, extra: &[&str]) -> Command {
    std::fs::create_dir_all(dir.join(out)).unwrap();
    let mut c = headgan(&shipped(), dir);
    c.args(["reenact", "-q", "--reference", "p.png", "--pack", "starter-face", "--audio", "s.wav"]);
    c.args(["-o", &format!("{out}/f_%02d.png")]).args(extra);
    c
}

fn picture(path: &Path) -> Frame {
    Source::open(&path.to_string_lossy()).unwrap().frame(0).unwrap()
}

/// Mean difference of two pictures over the rows of a share of their height.
fn apart(a: &Frame, b: &Frame, rows: std::ops::Range<f64>) -> f32 {
    let row = |share: f64| (share * a.height as f64) as usize * a.width * 4;
    let part = row(rows.start)..row(rows.end);
    let n = part.len() as f32;
    a.data[part.clone()].iter().zip(&b.data[part]).map(|(a, b)| (a - b).abs()).sum::<f32>() / n
}

#[test]
fn a_portrait_speaks_and_any_frame_alone_is_the_same() {
    let dir = stage("speaks");
    works(&mut speak(&dir, "all", &[]));
    assert_eq!(names(&dir.join("all")).len(), FRAMES);
    let frame = |folder: &str, i: usize| dir.join(folder).join(format!("f_{i:02}.png"));
    let pictures: Vec<Frame> = (0..FRAMES).map(|i| picture(&frame("all", i))).collect();
    let moved =
        |rows: std::ops::Range<f64>| pictures.iter().map(|p| apart(p, &pictures[0], rows.clone())).fold(0.0, f32::max);
    // The mouth is in the lower half; the brow and what is above hold still.
    assert!(moved(0.5..0.9) > 1e-3, "{}", moved(0.5..0.9));
    assert!(moved(0.0..0.3) < 1e-4, "{}", moved(0.0..0.3));
    works(&mut speak(&dir, "one", &["--frames", "13"]));
    assert_eq!(std::fs::read(frame("one", 13)).unwrap(), std::fs::read(frame("all", 13)).unwrap());
    works(&mut speak(&dir, "fast", &["--fps", "50", "--frames", "26"]));
    assert!(apart(&picture(&frame("fast", 26)), &pictures[13], 0.0..1.0) < 1e-3);

    // With a driver the mouth is the sound's as well, where the control says so; here he does nothing else.
    let dub = ["--driving", "p.png", "--set", "mouth_from=sound"];
    works(&mut speak(&dir, "dub", &dub));
    assert_eq!(names(&dir.join("dub")), ["f_00.png"]);
}

#[test]
fn what_is_missing_is_said() {
    let dir = stage("missing");
    let reenact = |models: &Path, extra: &[&str]| {
        let mut c = headgan(models, &dir);
        c.args(["reenact", "-q", "--reference", "p.png", "-o", "f_%02d.png"]).args(extra);
        c
    };
    let starter = ["--pack", "starter-face"];
    let dub = ["--driving", "p.png", "--set", "mouth_from=sound"];
    fails(&mut reenact(&shipped(), &[&starter[..], &dub].concat()), 2, &["--audio FILE"]);
    let mut c = reenact(&shipped(), &[&starter[..], &["--audio", "none.wav"]].concat());
    fails(&mut c, 3, &["none.wav", "no such file"]);
    let out = reenact(&shipped(), &starter).output().unwrap();
    assert!(out.status.code() == Some(2) && text(&out.stderr).contains("--driving"), "{}", text(&out.stderr));
    // A head that has none of ARKit's shapes.
    let w = world();
    let packs = std::env::join_paths([w.models.clone(), shipped()]).unwrap();
    let mut c = headgan(Path::new(&packs), &dir);
    c.args(["reenact", "-q", "--pack", "synthetic", "-o", "f_%02d.png", "--audio", "s.wav", "--reference"])
        .arg(&w.face);
    fails(&mut c, 2, &["ARKit's shapes", "starter-face"]);
}
