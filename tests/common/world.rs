//! A world in which blue blobs are faces: model packs of hand-made weights, pictures and clips for them. It needs nothing but the
//! library, so that the plugin's tests take it as well.

use headgan::engine::{Embedded, Executor, Ops, cpu};
use headgan::frame::{Color, Frame};
use headgan::media::{AudioFrom, Rational, Sink, SinkSpec};
use headgan::models::{Architecture, Component, FORMAT, MANIFEST, Manifest, Role};
use headgan::morphable::Morphable;
use headgan::morphable::arrays::morphable_weights;
use headgan::nets::generator;
use headgan::nets::named::Network;
use headgan::random::Rng;
use headgan::weights::{Array, Data, Weights, safetensors};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// A folder of this test run, emptied once at its start. It lies in the target folder and stays there until then.
pub fn workshop() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(env!("CARGO_PKG_NAME"), "-tests"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("nobody")).unwrap();
        folder
    })
}

/// A second of a sine as a 16-bit mono WAV.
pub fn wav(path: &Path) {
    let samples: Vec<u8> =
        (0..16_000).flat_map(|i| ((8000.0 * (0.17 * f64::from(i)).sin()) as i16).to_le_bytes()).collect();
    let mut bytes = b"RIFF".to_vec();
    bytes.extend((36 + samples.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    bytes.extend(16_000u32.to_le_bytes());
    bytes.extend(32_000u32.to_le_bytes());
    bytes.extend(b"\x02\0\x10\0data");
    bytes.extend((samples.len() as u32).to_le_bytes());
    bytes.extend(samples);
    std::fs::write(path, bytes).unwrap();
}

/// Side of the pictures of [`blobs`].
pub const SIDE: usize = 192;

/// A red and green texture without blue, with blobs of `SIDE / 10` pixels radius. The hand-made detector takes each
/// blob that covers a point of its grid (multiples of 32 pixels) for a face of 80 pixels.
pub fn blobs(centres: &[[f32; 2]]) -> Frame {
    let mut frame = Frame::filled(SIDE, SIDE, [0.0, 0.0, 0.0, 1.0], Color::Srgb);
    for y in 0..SIDE {
        for x in 0..SIDE {
            let inside = |c: &[f32; 2]| (x as f32 - c[0]).hypot(y as f32 - c[1]) < 19.0;
            let blue = if centres.iter().any(inside) { 1.0 } else { 0.0 };
            let grain = |k: usize| ((x * k + y * (k + 3)) % 64) as f32 / 80.0;
            frame.set_pixel(x, y, [grain(3), grain(7), blue, 1.0]);
        }
    }
    frame
}

/// Writes frames through the library to a video or to images.
pub fn write(path: &Path, frames: impl Iterator<Item = Frame>, audio: Option<&Path>) {
    let mut spec = SinkSpec::new(SIDE, SIDE, Rational::whole(25));
    spec.audio = audio.map(|path| AudioFrom { path: path.to_owned(), start: 0.0 });
    let mut sink = Sink::create(path.to_str().unwrap(), spec).unwrap();
    frames.for_each(|f| sink.write(&f).unwrap());
    sink.finish().unwrap();
}

/// What the synthetic tests work with.
pub struct World {
    /// The folder with the pack `synthetic`.
    pub models: PathBuf,
    /// A picture with one face.
    pub face: PathBuf,
    /// A picture with two.
    pub pair: PathBuf,
    /// A picture with none.
    pub none: PathBuf,
    /// Six frames of a face that moves to the right, as images: a pattern.
    pub frames: PathBuf,
    /// A second of sound.
    pub sound: PathBuf,
    /// A generator with its inputs and outputs, as `models verify` takes it.
    pub generator: PathBuf,
}

pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let root = workshop().join("world");
        std::fs::create_dir_all(&root).unwrap();
        let at = |name: &str| root.join(name);
        let world = World {
            models: at("models"),
            face: at("face.png"),
            pair: at("pair.png"),
            none: at("none.png"),
            frames: at("d_%02d.png"),
            sound: at("sound.wav"),
            generator: at("generator.safetensors"),
        };
        write_pack(&world.models.join("synthetic"));
        write(&world.face, [blobs(&[[96.0, 96.0]])].into_iter(), None);
        write(&world.pair, [blobs(&[[32.0, 96.0], [160.0, 96.0]])].into_iter(), None);
        write(&world.none, [blobs(&[])].into_iter(), None);
        write(&world.frames, moving(6), None);
        wav(&world.sound);
        write_generator(&world.generator);
        world
    })
}

/// A face that moves 32 pixels to the right in `n` frames.
pub fn moving(n: usize) -> impl Iterator<Item = Frame> {
    (0..n).map(move |i| blobs(&[[64.0 + 32.0 * i as f32 / n as f32, 96.0]]))
}

/// The weights of a network that hands on the centre pixel of its first channel and does nothing else.
fn passing(network: &Network) -> Weights {
    let mut out = Weights::default();
    for (name, shape) in network.layers(0).unwrap() {
        let is_norm = shape.len() == 1 && name.ends_with(".weight") || name.ends_with("running_var");
        let mut values = vec![if is_norm { 1.0 } else { 0.0 }; shape.iter().product()];
        if let [_, _, h, w] = *shape {
            values[(h / 2) * w + w / 2] = 1.0;
        }
        out.insert(name, Array::f32(shape, values));
    }
    out
}

/// RetinaFace whose coarsest level sees faces where the picture is blue.
fn detector() -> Weights {
    let mut w = passing(&Network::published(&Architecture::RetinaFace).unwrap());
    let mut head = |name: &str, level: usize, first: &[f32], bias: &[f32]| {
        for (part, values) in [("weight", first), ("bias", bias)] {
            let array = w.arrays.get_mut(&format!("{name}.{level}.conv1x1.{part}")).unwrap();
            let per_output = array.len() / array.shape[0];
            let mut all = vec![0.0; array.len()];
            for (i, v) in values.iter().enumerate() {
                all[i * per_output] = *v;
            }
            array.data = Data::F32(all);
        }
    };
    for level in 0..2 {
        head("ClassHead", level, &[], &[9.0, -9.0, 9.0, -9.0]);
    }
    // Blue minus its mean of 104 is 151: logits of 5 on blue, -5 elsewhere; the second anchor sees nothing.
    head("ClassHead", 2, &[0.0, 10.0 / 151.0], &[0.0, -5.0, 9.0, -9.0]);
    // From the anchor in the middle of its cell, 256 pixels large, to its corner and 80 pixels.
    let to = |pixels: f32| (pixels - 16.0) / (0.1 * 256.0);
    let size = (80.0f32 / 256.0).ln() / 0.2;
    head("BboxHead", 2, &[], &[to(0.0), to(0.0), size, size]);
    let points = [[-16.0, -12.0], [16.0, -12.0], [0.0, 6.0], [-13.0, 20.0], [13.0, 20.0]];
    head("LandmarkHead", 2, &[], &points.concat().iter().map(|p: &f32| to(*p)).collect::<Vec<_>>());
    w
}

/// Vertices along each side of the morphable model.
const GRID: usize = 41;

/// A dome with landmarks where a face has them.
fn dome() -> Morphable {
    let n = GRID * GRID;
    let at = |i: usize| [i % GRID, i / GRID].map(|k| 2.0 * k as f32 / (GRID - 1) as f32 - 1.0);
    let mut mean = Vec::new();
    for [x, y] in (0..n).map(at) {
        mean.extend([60_000.0 * x, -70_000.0 * y, 80_000.0 * (1.0 - 0.5 * (x * x + y * y))]);
    }
    let wave = |k: usize| 800.0 * (k as f32 * 0.37).sin();
    let mut triangles = Vec::new();
    for y in 0..GRID - 1 {
        for x in 0..GRID - 1 {
            let a = (y * GRID + x) as u32;
            let (b, c, d) = (a + 1, a + GRID as u32, a + GRID as u32 + 1);
            triangles.extend([[a, b, c], [b, d, c]]);
        }
    }
    let vertex = |x: f32, y: f32| {
        let k = |v: f32| ((v.clamp(-1.0, 1.0) + 1.0) * 0.5 * (GRID - 1) as f32).round() as u32;
        k(y) * GRID as u32 + k(x)
    };
    let ring = |cx: f32, cy: f32, rx: f32, ry: f32, count: usize| -> Vec<u32> {
        let turn = |k: usize| std::f32::consts::PI * (1.0 + 2.0 * k as f32 / count as f32);
        (0..count).map(|k| vertex(cx + rx * turn(k).cos(), cy + ry * turn(k).sin())).collect()
    };
    let mut landmarks: Vec<u32> = (0..17)
        .map(|k| {
            let a = std::f32::consts::PI * k as f32 / 16.0;
            vertex(-a.cos(), -0.1 + 1.1 * a.sin())
        })
        .collect();
    landmarks.extend((0..5).map(|k| vertex(-0.75 + 0.13 * k as f32, -0.95)));
    landmarks.extend((0..5).map(|k| vertex(0.23 + 0.13 * k as f32, -0.95)));
    landmarks.extend((0..4).map(|k| vertex(0.0, -0.45 + 0.15 * k as f32)));
    landmarks.extend((0..5).map(|k| vertex(-0.2 + 0.1 * k as f32, 0.15)));
    landmarks.extend(ring(-0.45, -0.45, 0.2, 0.1, 6));
    landmarks.extend(ring(0.45, -0.45, 0.2, 0.1, 6));
    landmarks.extend(ring(0.0, 0.5, 0.35, 0.15, 12));
    landmarks.extend(ring(0.0, 0.5, 0.25, 0.08, 8));
    let ncc = (0..n).map(|i| [0.5 + 0.5 * at(i)[0], 0.5 - 0.5 * at(i)[1], mean[3 * i + 2] / 80_000.0]).collect();
    // Facing the camera, in the middle of the crop.
    let mut camera = [0.0; 12];
    [camera[0], camera[5], camera[10]] = [6e-4; 3];
    [camera[3], camera[7], camera[11]] = [60.0, 60.0, -24.0];
    Morphable {
        shape_basis: (0..3 * n * 40).map(wave).collect(),
        expr_basis: (0..3 * n * 10).map(wave).collect(),
        mean,
        shape_dim: 40,
        expr_dim: 10,
        triangles,
        landmarks,
        ncc,
        param_mean: [&camera[..], &[0.0; 50]].concat(),
        param_std: vec![1.0; 62],
        arkit: Vec::new(),
        eyeballs: 0,
        residual_modes: 0,
    }
}

/// The pack `synthetic`: detector, regressor, morphable model.
fn write_pack(folder: &Path) {
    let regressor = Network::published(&Architecture::MobileNetV1).unwrap();
    let mut still = passing(&regressor);
    // It answers with the means, whatever it sees.
    let head = still.arrays.get_mut("fc.weight").unwrap();
    head.data = Data::F32(vec![0.0; head.len()]);
    let parts = [
        (Role::Detector, Architecture::RetinaFace, detector()),
        (Role::Regressor, Architecture::MobileNetV1, still),
        (Role::Morphable, Architecture::LinearMorphable, morphable_weights(&dome())),
    ];
    pack(folder, "synthetic", "takes blue blobs for faces", parts.into());
}

/// A pack with a small generator that listens to sound.
pub fn write_listener(models: &Path) {
    let parts = vec![(Role::Generator, Architecture::HeadganGenerator, generator(300).1)];
    pack(&models.join("listener"), "listener", "paints what nobody would hang up, and hears", parts);
}

fn pack(folder: &Path, name: &str, purpose: &str, parts: Vec<(Role, Architecture, Weights)>) {
    std::fs::create_dir_all(folder).unwrap();
    let components = parts.into_iter().map(|(role, architecture, weights)| {
        let file = format!("{architecture}.safetensors");
        let blake3 = safetensors::save(&folder.join(&file), &weights).unwrap();
        Component { role, architecture, config: Default::default(), file, blake3 }
    });
    let manifest = Manifest {
        format: FORMAT,
        name: name.into(),
        version: "1".into(),
        licence: "MIT OR Apache-2.0".into(),
        source: "made by the tests".into(),
        purpose: purpose.into(),
        components: components.collect(),
    };
    std::fs::write(folder.join(MANIFEST), serde_json::to_string_pretty(&manifest).unwrap()).unwrap();
}

/// Uniform in -1..1.
pub fn noise(seed: u64, n: usize) -> Vec<f32> {
    Rng(seed).vec(n)
}

/// A small generator that hears so many values a frame, and random weights for it.
fn generator(audio: usize) -> (Network, Weights) {
    let network =
        Network::Generator(generator::Config { ngf: 2, levels: 2, spade: 8, frames: 3, audio, ..Default::default() });
    let mut state = Weights::default();
    for (i, (name, shape)) in network.layers(64).unwrap().into_iter().enumerate() {
        let n: usize = shape.iter().product();
        let fan_in = (n / shape[0].max(1)) as f32;
        let size = if shape.len() == 1 { 0.2 } else { (3.0 / fan_in).sqrt() };
        state.insert(name, Array::f32(shape, noise(i as u64, n).iter().map(|v| v * size).collect()));
    }
    (network, state)
}

/// The generator with an input, and what comes out of it.
fn write_generator(path: &Path) {
    let (network, state) = generator(0);
    let mut file = Weights::default();
    for (name, array) in &state.arrays {
        file.insert(format!("state.{name}"), array.clone());
    }
    let ops = Embedded::new(Arc::new(state), &cpu::Options::default());
    let mut inputs = Vec::new();
    for (i, (name, shape)) in network.inputs(64).unwrap().into_iter().enumerate() {
        let values = noise(1000 + i as u64, shape.iter().product());
        inputs.push(ops.tensor([shape[0], shape[1], shape[2], shape[3]], &values));
        file.insert(format!("input.{name}"), Array::f32(shape, values));
    }
    for (name, tensor) in network.run(&ops, &inputs) {
        file.insert(format!("output.{name}"), Array::f32(ops.shape(&tensor).to_vec(), ops.values(&tensor)));
    }
    safetensors::save(path, &file).unwrap();
}
