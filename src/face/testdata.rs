//! Pictures, clips and upstream's weights for the tests that need the data beside the project.

use crate::frame::Frame;
use crate::import::{Options, check, import};
use crate::models::{Pack, Role};
use crate::morphable::PreparedMorphable;
use crate::morphable::arrays::morphable_from;
use crate::weights::Weights;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// A still as a frame.
pub fn image(path: &Path) -> Frame {
    let rgb = image::open(path).unwrap().to_rgb8();
    let mut frame = Frame::new(rgb.width() as usize, rgb.height() as usize);
    for (out, p) in frame.data.chunks_exact_mut(4).zip(rgb.pixels()) {
        out.copy_from_slice(&[p[0] as f32 / 255.0, p[1] as f32 / 255.0, p[2] as f32 / 255.0, 1.0]);
    }
    frame
}

/// The upstream files, imported once per test process.
pub struct Packs {
    pub retinaface: Arc<Weights>,
    pub faceboxes: Arc<Weights>,
    pub regressor: Arc<Weights>,
    pub mobilefacenet: Arc<Weights>,
    pub model: PreparedMorphable,
}

pub fn packs(shared: &Path) -> &'static Packs {
    static PACKS: OnceLock<Packs> = OnceLock::new();
    PACKS.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let pack = |kind: &str, from: &str| {
            let options = Options { check, ..Options::default() };
            import(kind, &shared.join("face-models").join(from), None, folder.path(), &options).unwrap()
        };
        let load = |pack: &Pack, role: Role| pack.load(pack.component(role, None).unwrap(), check).unwrap();
        let (tddfa, retinaface) = (pack("3ddfa-v2", "3ddfa_v2"), pack("retinaface", "retinaface"));
        let mobilefacenet = pack("mobilefacenet", "mobilefacenet");
        Packs {
            retinaface: load(&retinaface, Role::Detector),
            faceboxes: load(&tddfa, Role::Detector),
            regressor: load(&tddfa, Role::Regressor),
            mobilefacenet: load(&mobilefacenet, Role::Embedder),
            model: PreparedMorphable::new(morphable_from(&load(&tddfa, Role::Morphable)).unwrap()).unwrap(),
        }
    })
}

/// Frames of a clip, every `step`-th from the start, at most `count`.
pub fn clip(path: &Path, step: usize, count: usize) -> Vec<Frame> {
    let folder = tempfile::tempdir().unwrap();
    let status = std::process::Command::new("ffmpeg")
        .args(["-v", "error", "-i"])
        .arg(path)
        .args(["-vf", &format!("select=not(mod(n\\,{step}))"), "-vsync", "0", "-frames:v", &count.to_string()])
        .arg(folder.path().join("%05d.png"))
        .status()
        .unwrap();
    assert!(status.success(), "{}", path.display());
    let mut files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.iter().map(|f| image(f)).collect()
}
