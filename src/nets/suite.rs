//! The tests that every executor passes: all operations, all networks, the official generator's own outputs.
//!
//! Each test is a script over [`Ops`](crate::engine::Ops) that returns what came out, so that two executors that ran it can be
//! compared. The tests of the library, and those of engines that are crates of their own, call them.

use crate::engine::ops::{Act, Cell, Conv, Crop, Executor, Ops, Pad, Resize, Rnn};
use crate::engine::shape;
use crate::nets::named::Network;
use crate::nets::{
    deepspeech2, discriminator, generator, lids, mobilefacenet, mobilenet, retinaface, sound_lips, verify, window,
};
use crate::testing::{Rng, load_f32, random_weights, shared};
use crate::weights::{Array, Weights};
use std::sync::Arc;

/// What one operation, or one output of a network, came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    pub name: String,
    /// `[n, c, h, w]`
    pub shape: [usize; 4],
    /// In n, c, h, w order.
    pub values: Vec<f32>,
}

impl Outcome {
    fn of<E: Executor>(ops: &E, name: String, x: &E::Tensor) -> Outcome {
        Outcome { name, shape: ops.shape(x), values: ops.values(x) }
    }
}

/// The largest difference relative to the outcome's largest value, and where it is.
///
/// # Panics
/// Where it is above `tolerance`, shapes differ, or there is nothing to compare.
pub fn compare(expected: &[Outcome], got: &[Outcome], tolerance: f32) -> (f32, String) {
    assert_eq!(expected.len(), got.len(), "outcomes");
    let mut worst = (0.0, String::new());
    for (want, got) in expected.iter().zip(got) {
        assert_eq!((&want.name, want.shape, want.values.len()), (&got.name, got.shape, got.values.len()));
        let top = want.values.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let mut apart = 0.0f32;
        for (a, b) in want.values.iter().zip(&got.values) {
            let d = (a - b).abs();
            apart = if d.is_nan() { f32::INFINITY } else { apart.max(d) };
        }
        assert!(top > 1e-6, "{}: all values are zero", want.name);
        assert!(apart <= tolerance * top, "{}: {apart} of {top}", want.name);
        if apart / top > worst.0 {
            worst = (apart / top, want.name.clone());
        }
    }
    assert!(!expected.is_empty());
    worst
}

/// Every operation, with the sizes, borders and batches at which kernels differ. `make` is called for each afresh: an
/// executor may keep a layer in the form of its first use.
pub fn operations<E: Executor>(make: impl Fn(Arc<Weights>) -> E) -> Vec<Outcome> {
    let mut out = convolutions(&make);
    out.extend(others(&make));
    out.extend(recurrent(&make));
    out
}

fn convolutions<E: Executor>(make: &impl Fn(Arc<Weights>) -> E) -> Vec<Outcome> {
    let same = Conv::same;
    let cases: &[(usize, [usize; 2], Conv)] = &[
        (16, [9, 7], same(20, 3)),
        (32, [5, 18], same(64, 3).act(Act::Leaky(0.2))),
        (48, [17, 33], same(33, 3).act(Act::Relu)),
        (8, [12, 13], same(8, 3)),
        (256, [6, 6], same(7, 3)),
        (3, [31, 17], same(8, 3).stride(2)),
        (5, [16, 9], same(24, 7).reflect()),
        (32, [12, 10], same(3, 7).reflect()),
        (6, [11, 9], same(1, 7).reflect().act(Act::Relu)),
        (64, [8, 9], same(40, 1).act(Act::Leaky(0.1))),
        (64, [9, 8], same(40, 1).stride(2)),
        (24, [10, 11], same(24, 3).groups(24).stride(2).act(Act::Relu)),
        (8, [7, 3], same(8, 3).groups(8)),
        (5, [6, 4], same(5, 3).groups(5)),
        (12, [7, 6], Conv { kernel: (7, 6), pad: (0, 0), groups: 12, ..same(12, 7) }),
        (6, [33, 9], same(8, 4).stride(2).pad(2)),
        (4, [2, 2], Conv { pad_mode: Pad::Reflect, ..same(4, 3) }),
        (7, [8, 6], same(9, 3).no_bias()),
        (20, [9, 12], Conv { kernel: (1, 7), pad: (0, 3), act: Act::Relu, ..same(24, 1) }),
        (7, [12, 9], Conv { kernel: (7, 1), pad: (3, 0), ..same(9, 1) }),
        (3, [31, 27], same(16, 11).stride(4).pad(2)),
        (5, [23, 14], Conv { kernel: (5, 3), stride: (2, 1), pad: (2, 1), ..same(16, 3) }),
        (9, [8, 15], Conv { stride: (1, 3), groups: 3, ..same(6, 3) }),
        (3, [12, 10], Conv { pad: (0, 0), pad_after: (1, 1), ..same(16, 3).stride(2) }),
        (32, [12, 10], Conv { pad: (1, 1), pad_after: (1, 1), act: Act::Relu, ..same(32, 5).stride(2).groups(32) }),
        (28, [12, 10], Conv { pad: (0, 0), pad_after: (1, 1), ..same(28, 3).stride(2).groups(28) }),
        (42, [5, 6], same(42, 5).groups(42)),
        (16, [6, 6], Conv { pad: (0, 0), pad_after: (0, 0), ..same(9, 2).stride(2) }),
    ];
    let mut rng = Rng(7);
    let mut out = Vec::new();
    for &(cin, [h, w], conv) in cases {
        let weights = Arc::new(conv_weights(&mut rng, &["a", "b"], &conv, cin));
        let values = rng.vec(2 * cin * h * w);
        let mut run = |operation: &str, f: &dyn Fn(&E, &E::Tensor) -> E::Tensor| {
            let ops = make(weights.clone());
            let y = f(&ops, &ops.tensor([2, cin, h, w], &values));
            out.push(Outcome::of(&ops, format!("{operation} of {cin} x {h} x {w}: {conv:?}"), &y));
        };
        run("conv2d", &|ops, x| ops.conv2d(x, "a", conv));
        run("conv_bn", &|ops, x| ops.conv_bn(x, "a", conv, "bn", 1e-5));
        run("conv_prelu", &|ops, x| ops.conv_prelu(x, "a", conv, "slopes"));
        run("conv2d_pair", &|ops, x| ops.conv2d_pair(x, "a", "b", conv));
        // A layer's second use may take a shorter way than its first.
        run("conv2d_pair twice", &|ops, x| {
            ops.conv2d_pair(x, "a", "b", conv);
            ops.conv2d_pair(x, "a", "b", conv)
        });
    }
    out
}

fn conv_weights(rng: &mut Rng, names: &[&str], conv: &Conv, cin: usize) -> Weights {
    let mut w = Weights::default();
    for name in names {
        let shape = [conv.out, cin / conv.groups, conv.kernel.0, conv.kernel.1];
        w.insert(format!("{name}.weight"), Array::f32(shape, rng.vec(shape.iter().product())));
        w.insert(format!("{name}.bias"), Array::f32([conv.out], rng.vec(conv.out)));
    }
    w.insert("slopes.weight", Array::f32([conv.out], rng.vec(conv.out)));
    for part in ["weight", "bias", "running_mean"] {
        w.insert(format!("bn.{part}"), Array::f32([conv.out], rng.vec(conv.out)));
    }
    let var = rng.vec(conv.out).iter().map(|v| v.abs() + 0.1).collect();
    w.insert("bn.running_var", Array::f32([conv.out], var));
    w
}

fn others<E: Executor>(make: &impl Fn(Arc<Weights>) -> E) -> Vec<Outcome> {
    let mut rng = Rng(8);
    let mut out = Vec::new();
    for c in [3, 8, 21, 40] {
        let (h, w) = (37, 23);
        let mut weights = Weights::default();
        for part in ["weight", "bias", "running_mean"] {
            weights.insert(format!("n.{part}"), Array::f32([c], rng.vec(c)));
        }
        weights.insert("n.running_var", Array::f32([c], vec![0.7; c]));
        weights.insert("fc.weight", Array::f32([11, c], rng.vec(11 * c)));
        weights.insert("fc.bias", Array::f32([11], rng.vec(11)));
        let ops = make(Arc::new(weights));
        let mut tensor = |c: usize, h: usize, w: usize, scale: f32, offset: f32| {
            let values: Vec<f32> = rng.vec(2 * c * h * w).iter().map(|v| scale * v + offset).collect();
            ops.tensor([2, c, h, w], &values)
        };
        // Far from zero, where a careless variance loses its digits.
        let x = tensor(c, h, w, 3.0, 50.0);
        let y = tensor(c, h, w, 1.0, 0.0);
        let (spade, adain) = (tensor(2 * c, h, w, 1.0, 0.0), tensor(2 * c, 1, 1, 1.0, 0.0));
        let tensor_points = tensor(10, 1, 1, 4.0, 3.0);
        let (vector, flow) = (tensor(c, 1, 1, 1.0, 0.0), tensor(2, h, w, 20.0, 0.0));
        let mut keep = |name: &str, z: E::Tensor| out.push(Outcome::of(&ops, format!("{name}, {c} channels"), &z));
        keep("instance_norm", ops.instance_norm(&x, Some("n"), Act::Leaky(0.2)));
        keep("instance_norm without weights", ops.instance_norm(&y, None, Act::Relu));
        for act in [Act::None, Act::Relu, Act::Leaky(0.2)] {
            keep(&format!("norm_modulate by pixels, {act:?}"), ops.norm_modulate(&x, &spade, act));
            keep(&format!("norm_modulate by channels, {act:?}"), ops.norm_modulate(&y, &adain, act));
        }
        keep("add_prelu", ops.add_prelu(&y, &x, "n"));
        keep("add_relu", ops.add_relu(&y, &x));
        keep("add_relu of fewer channels", ops.add_relu(&y, &ops.widen(&x, c + 3)));
        keep("widen", ops.widen(&y, c + 3));
        keep("batch_norm", ops.batch_norm(&y, "n", 1e-5));
        keep("prelu", ops.prelu(&y, "n"));
        keep("relu", ops.relu(&y));
        keep("leaky_relu", ops.leaky_relu(&y, 0.3));
        keep("tanh", ops.tanh(&y));
        keep("sigmoid", ops.sigmoid(&y));
        keep("softmax", ops.softmax(&y));
        for ceil in [false, true] {
            keep(&format!("max_pool 3, ceil {ceil}"), ops.max_pool(&y, 3, 2, 1, ceil));
            keep(&format!("max_pool 2, ceil {ceil}"), ops.max_pool(&y, 2, 2, 0, ceil));
        }
        for count in [false, true] {
            keep(&format!("avg_pool, padding counts {count}"), ops.avg_pool(&y, 3, 2, 1, count));
        }
        for mode in [Resize::Nearest, Resize::Bilinear] {
            keep(&format!("resize {mode:?}"), ops.resize(&y, 50, 11, mode));
        }
        keep("slice of concat", ops.slice(&ops.concat(&[&x, &y, &x]), c - 1, c + 2));
        keep("add", ops.add(&x, &y));
        keep("mul", ops.mul(&x, &y));
        keep("mul by a mask", ops.mul(&x, &ops.slice(&y, 0, 1)));
        keep("mul by channels", ops.mul(&y, &vector));
        keep("affine", ops.affine(&y, -2.0, 0.25));
        keep("clamp", ops.clamp(&y, -0.25, 0.5));
        keep("warp", ops.warp(&y, &flow));
        keep("linear", ops.linear(&vector, "fc", 11));
        if c == 21 {
            // Seven landmarks about the picture's middle, windows that lie inside, across the border, and outside.
            let points = [
                3.0, 9.0, 0.0, 14.0, 12.0, 0.0, 5.0, 20.0, 1.0, 12.0, 25.0, 0.0, 8.0, 14.0, 2.0, 9.0, 3.0, 0.0, 7.0,
                7.0,
            ];
            let points: Vec<f32> =
                points.into_iter().chain([0.0]).chain(points.map(|v| 22.0 - v)).chain([0.0]).collect();
            let landmarks = ops.tensor([2, 21, 1, 1], &points);
            for (scale, turn) in [(1.5, 0.0), (3.0, 0.4)] {
                let crop = Crop { from: 0, to: 1, turn, points: &[0, 1, 2, 3, 4], scale: (scale, 1.2), size: (6, 9) };
                let matrix = ops.crop_matrix(&landmarks, crop);
                keep(&format!("crop_matrix {scale} {turn}"), matrix.clone());
                keep(&format!("sample {scale} {turn}"), ops.sample(&y, &matrix, 6, 9));
                keep(&format!("map_points {scale} {turn}"), ops.map_points(&tensor_points, &matrix));
            }
        }
        if c == 8 {
            keep("pixel_shuffle", ops.pixel_shuffle(&y, 2));
        }
    }
    out
}

/// Recurrent layers and the look-ahead: sizes below, at and beside those of vectors, pictures of several rows, one moment.
fn recurrent<E: Executor>(make: &impl Fn(Arc<Weights>) -> E) -> Vec<Outcome> {
    let mut out = Vec::new();
    for (seed, [c, h, t, hidden]) in (31..).zip([[3, 1, 9, 5], [32, 7, 61, 40], [16, 2, 1, 16], [1, 1, 4, 1]]) {
        for cell in [Cell::Tanh, Cell::Gru, Cell::Lstm] {
            for bidirectional in [false, true] {
                let rnn = Rnn { cell, hidden, bidirectional };
                let layers = shape::layers(|ops| {
                    ops.rnn(&[2, c, h, t], "r", rnn);
                    ops.lookahead(&[2, c, h, t], "l", 6);
                });
                let ops = make(Arc::new(random_weights(&layers, seed)));
                let x = ops.tensor([2, c, h, t], &Rng(seed).vec(2 * c * h * t));
                let name = format!("{rnn:?} of {c} x {h} x {t}");
                out.push(Outcome::of(&ops, name.clone(), &ops.rnn(&x, "r", rnn)));
                let state = ops.tensor([2, rnn.state(), 1, 1], &Rng(seed + 1).vec(2 * rnn.state()));
                let (y, last) = ops.rnn_from(&x, &state, "r", rnn);
                out.push(Outcome::of(&ops, format!("{name}, from a state"), &y));
                out.push(Outcome::of(&ops, format!("{name}, the state after it"), &last));
                out.push(Outcome::of(&ops, format!("lookahead, {name}"), &ops.lookahead(&x, "l", 6)));
            }
        }
    }
    out
}

/// Every network with random weights, one at a time: small configurations, odd sizes where a network takes them.
pub fn networks<E: Executor>(make: impl Fn(Arc<Weights>) -> E) -> Vec<Outcome> {
    let mut out = Vec::new();
    for (seed, (network, shapes)) in (1..).zip(cases()) {
        let layers = shape::layers(|ops| {
            network.run(ops, &shapes);
        });
        let ops = make(Arc::new(random_weights(&layers, seed)));
        let mut rng = Rng(seed);
        let xs: Vec<E::Tensor> = shapes.iter().map(|s| ops.tensor(*s, &rng.vec(s.iter().product()))).collect();
        for (name, y) in network.run(&ops, &xs) {
            out.push(Outcome::of(&ops, format!("{network:?} {shapes:?}: {name}"), &y));
        }
    }
    for (seed, (cell, context)) in
        (21..).zip([(Cell::Gru, 0), (Cell::Gru, 5), (Cell::Lstm, 0), (Cell::Lstm, 5), (Cell::Tanh, 0)])
    {
        let config = deepspeech2::Config { cell, channels: 32, hidden: 40, layers: 3, context, labels: 29, bins: 161 };
        let shape = [1, 1, config.bins, 75];
        let layers = shape::layers(|ops| {
            deepspeech2::deepspeech2(ops, &config, &shape);
        });
        let ops = make(Arc::new(random_weights(&layers, seed)));
        let x = ops.tensor(shape, &Rng(seed).vec(shape.iter().product()));
        out.push(Outcome::of(&ops, format!("{config:?}"), &deepspeech2::deepspeech2(&ops, &config, &x)));
    }
    for (seed, width) in [(31, 24), (32, 9)] {
        let shape = [2, sound_lips::BANDS, 1, 53];
        let layers = shape::layers(|ops| {
            sound_lips::sound_lips(ops, width, &shape);
        });
        let ops = make(Arc::new(random_weights(&layers, seed)));
        let x = ops.tensor(shape, &Rng(seed).vec(shape.iter().product()));
        out.push(Outcome::of(&ops, format!("sound to lips, {width}"), &sound_lips::sound_lips(&ops, width, &x)));
    }
    out
}

/// Networks and the shapes of their inputs.
fn cases() -> Vec<(Network, Vec<[usize; 4]>)> {
    let full = generator::Config { ngf: 4, spade: 24, audio: 300, ..generator::Config::default() };
    let no_audio = generator::Config { audio: 0, ..full.clone() };
    let flat = generator::Config { levels: 1, frames: 1, ..no_audio.clone() };
    let picture = |h: usize, w: usize| vec![[1, 3, h, w]];
    let regressor =
        |width: f32| Network::MobileNet(mobilenet::Config { width, head: "fc".into(), outputs: 62, lids: false });
    let disc = discriminator::Config { input: 6, ndf: 8, layers: 4, scales: 2 };
    let small = window::Config { side: 20, width: 5, spade: 8, conditions: 4, audio: 300 };
    let still = window::Config { audio: 0, conditions: 3, ..small.clone() };
    vec![
        (Network::Generator(full), vec![[2, 6, 36, 44], [2, 9, 36, 44], [2, 300, 1, 1]]),
        (Network::Generator(no_audio), vec![[1, 6, 32, 32], [1, 9, 32, 32]]),
        (Network::Generator(flat), vec![[1, 6, 18, 22], [1, 3, 18, 22]]),
        (Network::Discriminator(disc), vec![[2, 6, 64, 64]]),
        (Network::RetinaFace(retinaface::Backbone::MobileNet025), picture(75, 101)),
        (Network::RetinaFace(retinaface::Backbone::ResNet50), picture(33, 41)),
        (Network::FaceBoxes, picture(130, 97)),
        (regressor(0.5), picture(mobilenet::SIZE, mobilenet::SIZE)),
        (regressor(1.0), picture(mobilenet::SIZE, mobilenet::SIZE)),
        (
            Network::MobileNet(mobilenet::Config { width: 0.25, head: "fc".into(), outputs: 62, lids: true }),
            vec![[1, 3, mobilenet::SIZE, mobilenet::SIZE], lids::shape(4)],
        ),
        (Network::MobileFaceNet, picture(mobilefacenet::HEIGHT, mobilefacenet::WIDTH)),
        (Network::Window(small.clone()), small.shapes(2).into()),
        (Network::Window(still.clone()), still.shapes(1)[..2].into()),
    ]
}

/// The official generator and discriminator with random weights, whose outputs were computed with the official code:
/// 1e-4, and 1e-3 pixels of flow. Skips, in one line, where the files are not at hand.
///
/// # Panics
/// Where an output differs by more.
pub fn official<E: Executor>(make: impl Fn(Arc<Weights>) -> E) {
    let Some(shared) = shared() else { return };
    for name in ["official_ngf2_64px", "official_ngf2_64px_noaudio"] {
        let file = load_f32(&shared.join(format!("fixtures/headgan/{name}.safetensors")));
        let differences = verify::verify(&file, &make).unwrap_or_else(|e| panic!("{name}: {e}"));
        for d in &differences {
            println!("{name} {} {:e}", d.name, d.max_abs);
            assert!(d.max_abs <= if d.name == "flow" { 1e-3 } else { 1e-4 }, "{name}: {d:?}");
        }
        assert!(differences.len() >= 17, "{name}: {} outputs", differences.len());
    }
}
