//! A whole frame on the torch engine: what PNCC rendered by the engine comes to, against PNCC rendered by the program.

use headgan::controls::choices::Quality;
use headgan::engine::library::{self, Precision, Source};
use headgan::engine::{cpu, shape};
use headgan::frame::Frame;
use headgan::morphable::{Fit, PreparedMorphable};
use headgan::nets::generator;
use headgan::reenact::backend::{Backend, Engine};
use headgan::reenact::draft::DraftModel;
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::generator::Generator;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::synthetic;
use headgan::testing::random_weights;
use headgan::weights::{Weights, safetensors};
use std::sync::Arc;

const SIDE: usize = 160;
const CONFIG: generator::Config = generator::Config {
    ngf: 2,
    levels: 2,
    spade: 8,
    frames: 3,
    audio: 0,
    prior: true,
    compose: true,
    sound_at_mouth: false,
    eyeballs: false,
};

fn weights() -> Weights {
    let layers = shape::layers(|ops| {
        let reference = generator::reference(ops, &CONFIG, &[1, 6, 64, 64]);
        generator::forward(ops, &CONFIG, &reference, &[1, 9, 64, 64], None, None);
    });
    Weights { metadata: CONFIG.metadata(), ..random_weights(&layers, 3) }
}

/// The drawn portrait that performs the drawn performance, with a generator at a place.
fn drawn(place: &Backend) -> Shot {
    let (weights, options) = (weights(), cpu::Options { threads: 1, ..cpu::Options::default() });
    let source = Source::Bytes(safetensors::to_bytes(&weights).unwrap().into());
    let generator = Generator {
        engine: Engine::open(Arc::new(weights), &source, place, &options).unwrap(),
        config: CONFIG,
        name: "random".into(),
        blake3: String::new(),
        licence: String::new(),
    };
    let model = Arc::new(PreparedMorphable::new(synthetic::head()).unwrap());
    let head = model.model();
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
    let (portrait, fit) = synthetic::demo_reference(SIDE).unwrap();
    let fits: Vec<Fit> = synthetic::demo_driving(SIDE, 6).unwrap().map(|item| item.unwrap().1).collect();
    let motion = Motion::from_fits(&fits, (SIDE, SIDE), "synthetic");
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default()).unwrap();
    Shot::with_model(model.clone(), draft, portrait, &fit, track, Some(generator)).unwrap()
}

fn full(shot: &Shot, index: usize) -> Frame {
    let look = FrameSettings { quality: Quality::Full, ..FrameSettings::default() };
    shot.render(index, &|_| look.clone(), &mut Scratch::default()).unwrap().clone()
}

#[test]
fn pncc_of_the_device_paints_the_same_frame() {
    // Cargo builds the library beside the tests.
    let exe = std::env::current_exe().unwrap();
    let library = library::load_from(&[exe.parent().unwrap().to_owned()]).unwrap();
    let cpu = library.cpu().unwrap();
    let on = |device: &library::Device, meshes| Backend::Library {
        library,
        device: device.clone(),
        precision: Precision::Fp32,
        memory: 0,
        meshes,
    };
    let (pncc, meshes) = (drawn(&on(cpu, false)), drawn(&on(cpu, true)));
    let first = full(&pncc, 0);
    for index in [0, 1, 4] {
        let (a, b) = (full(&pncc, index), full(&meshes, index));
        // The codes are equal to the bit, and so is all that follows.
        assert!(a == b, "frame {index}");
        assert!(index == 0 || a != first, "frame {index} does not move");
    }
    let Ok(cuda) = library.cuda() else {
        eprintln!("skipped on CUDA: no device");
        return;
    };
    let (embedded, device) = (full(&drawn(&Backend::Embedded), 4), full(&drawn(&on(cuda, true)), 4));
    let square = |(a, b): (&f32, &f32)| (a - b) as f64 * (a - b) as f64;
    let off = (embedded.data.iter().zip(&device.data).map(square).sum::<f64>() / device.data.len() as f64).sqrt();
    println!("CUDA against the embedded engine: {off:e}");
    assert!(off < 1e-3, "{off}");
}
