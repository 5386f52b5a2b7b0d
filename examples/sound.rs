//! How much sound changes of a generator's picture, in the mouth and elsewhere:
//!
//!     cargo run --release --example sound -- [GENERATOR.safetensors [FRAMES]]
//!
//! The drawn portrait performs the drawn performance, with its sound and without. Without a generator one with random weights is made:
//! what that changes where says nothing about a trained one.

use headgan::audio::layout::ALL;
use headgan::audio::{AudioConditioning, Sound};
use headgan::controls::choices::{Quality, View};
use headgan::engine::{Embedded, cpu, shape};
use headgan::frame::Frame;
use headgan::key::Key;
use headgan::media::Rational;
use headgan::models::ModelSet;
use headgan::morphable::{Fit, Mesh, PreparedMorphable};
use headgan::nets::generator;
use headgan::reenact::backend::Backend;
use headgan::reenact::draft::DraftModel;
use headgan::reenact::generator::Generator;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::reenact::{AudioInput, FrameSettings};
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::synthetic::{self, sound::SAMPLE_RATE};
use headgan::testing::random_weights;
use headgan::{Error, Result};
use std::sync::Arc;

const SIDE: usize = 256;
/// The mouth's landmarks among the 68.
const MOUTH: std::ops::Range<usize> = 48..68;
/// The mouth's box is grown by this share of its width on every side.
const MARGIN: f32 = 0.25;

fn random() -> Generator {
    let config = generator::Config { ngf: 8, levels: 2, spade: 32, audio: ALL, ..generator::Config::default() };
    let layers = shape::layers(|ops| {
        let reference = generator::reference(ops, &config, &[1, 6, 64, 64]);
        generator::forward(ops, &config, &reference, &[1, 9, 64, 64], None, None);
    });
    Generator {
        engine: Embedded::new(Arc::new(random_weights(&layers, 3)), &cpu::Options::default()).into(),
        config,
        name: "random weights".into(),
        blake3: String::new(),
        licence: String::new(),
    }
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let frames: usize = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(40);
    let generator = match args.first() {
        None => random(),
        Some(file) => {
            let models = ModelSet::from_folders(&[]);
            Generator::load(&models, None, Some(file), &Backend::Embedded, &cpu::Options::default())?
        }
    };
    if generator.config.audio == 0 {
        return Err(Error::usage(format!("{} does not listen: name a generator with sound", generator.name)));
    }
    println!("{}, {frames} frames; differences in 255ths", generator.name);

    let model = Arc::new(PreparedMorphable::new(synthetic::head())?);
    let head = model.model();
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks)?);
    let (portrait, fit) = synthetic::demo_reference(SIDE)?;
    let fits = synthetic::demo_driving(SIDE, frames)?.map(|item| Ok(item?.1)).collect::<Result<Vec<Fit>>>()?;
    let motion = Motion::from_fits(&fits, (SIDE, SIDE), "synthetic");
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default())?;
    let silent = Shot::with_model(model.clone(), draft, portrait, &fit, track, Some(generator))?;

    let samples = synthetic::demo_sound(frames, synthetic::DEMO_FPS).iter().map(|v| f64::from(*v)).collect();
    let fps = Rational::nearest(f64::from(synthetic::DEMO_FPS)).unwrap_or(Rational::whole(25));
    let conditioning =
        Arc::new(AudioConditioning::from_sound::<Embedded>(&Sound::new(SAMPLE_RATE, samples)?, fps, None)?);
    let loud = silent.with_track(silent.track().clone());
    let loud = loud.with_audio(Some(AudioInput { conditioning, key: Key::new("example", &[]), first: 0.0 }));

    let settings = |view: View| FrameSettings { quality: Quality::Full, view, ..FrameSettings::default() };
    let mut sums = [[0.0f64; 2]; 2];
    let mut scratch = Scratch::default();
    let identity = model.identity(&fit.params.shape)?;
    let mut mesh = Mesh::default();
    for index in 0..frames {
        let mut shown = |shot: &Shot, view: View| -> Result<Frame> {
            shot.render(index, &|_| settings(view), &mut scratch).cloned()
        };
        let (without, with) = (shown(&silent, View::Result)?, shown(&loud, View::Result)?);
        let mask = shown(&silent, View::Mask)?;
        let pose = silent.pose(index, &settings(View::Result))?;
        model.mesh_into(&identity, &pose.expr, &pose.camera, &mut mesh)?;
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for vertex in &head.landmarks[MOUTH] {
            for c in 0..2 {
                let v = mesh.vertices[*vertex as usize][c];
                (low[c], high[c]) = (low[c].min(v), high[c].max(v));
            }
        }
        let grow = MARGIN * (high[0] - low[0]);
        for y in 0..SIDE {
            for x in 0..SIDE {
                let inside = |v: usize, c: usize| (low[c] - grow..high[c] + grow).contains(&(v as f32));
                let place = usize::from(!(inside(x, 0) && inside(y, 1)));
                // Only what the generator paints can change.
                if mask.pixel(x, y)[0] < 0.99 {
                    continue;
                }
                let (a, b) = (without.pixel(x, y), with.pixel(x, y));
                sums[place][0] += (0..3).map(|c| 255.0 * f64::from((a[c] - b[c]).abs()) / 3.0).sum::<f64>();
                sums[place][1] += 1.0;
            }
        }
    }
    for (name, [sum, pixels]) in ["mouth", "elsewhere"].iter().zip(sums) {
        println!("{name:>9}: {:.3} over {:.0} pixels a frame", sum / pixels, pixels / frames as f64);
    }
    Ok(())
}
