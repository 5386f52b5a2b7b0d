//! The face networks with random weights: layers, shapes, and the fast engine against the plain one.

use super::faceboxes::faceboxes;
use super::mobilefacenet::{HEIGHT, WIDTH, mobilefacenet};
use super::mobilenet::{Config, SIZE, mobilenet};
use super::retinaface::{Backbone, retinaface};
use crate::engine::Ops;
use crate::engine::cpu::{Cpu, Options};
use crate::engine::plain::{self, Plain};
use crate::engine::shape::{self, ShapeOps};
use crate::models::Weights;
use crate::testing::{self, Rng};
use std::sync::Arc;

/// Random weights of every layer that `network` asks for.
fn random_weights(seed: u64, network: impl FnOnce(&ShapeOps)) -> Weights {
    testing::random_weights(&shape::layers(network), seed)
}

/// The largest difference between the engines, relative to the largest value.
fn engines_agree<const N: usize>(
    weights: Weights,
    shape: [usize; 4],
    plain: impl Fn(&Plain, &plain::Tensor) -> [plain::Tensor; N],
    cpu: impl Fn(&Cpu, &<Cpu as Ops>::Tensor) -> [<Cpu as Ops>::Tensor; N],
) {
    let weights = Arc::new(weights);
    let values = Rng(7).vec(shape.iter().product());
    let (a, b) = (Plain::new(weights.clone()), Cpu::new(weights, &Options { threads: 2, ..Options::default() }));
    let want = plain(&a, &a.tensor(shape, &values));
    let got = cpu(&b, &b.tensor(shape, &values));
    for (want, got) in want.iter().zip(&got) {
        assert_eq!(want.shape, b.shape(got));
        let top = want.data.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        let apart = want.data.iter().zip(b.values(got)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(top > 1e-6 && apart <= 1e-4 * top, "{apart} of {top}");
    }
}

fn retinaface_flat<O: Ops>(ops: &O, x: &O::Tensor, backbone: Backbone) -> [O::Tensor; 9] {
    let [a, b, c] = retinaface(ops, x, backbone).map(|l| [l.class, l.boxes, l.landmarks]);
    let [[a0, a1, a2], [b0, b1, b2], [c0, c1, c2]] = [a, b, c];
    [a0, a1, a2, b0, b1, b2, c0, c1, c2]
}

fn faceboxes_flat<O: Ops>(ops: &O, x: &O::Tensor) -> [O::Tensor; 6] {
    let [[a, b], [c, d], [e, f]] = faceboxes(ops, x).map(|l| [l.class, l.boxes]);
    [a, b, c, d, e, f]
}

#[test]
fn retinaface_mobilenet() {
    let backbone = Backbone::MobileNet025;
    let weights = random_weights(1, |ops| {
        retinaface(ops, &[1, 3, 64, 64], backbone);
    });
    assert_eq!(Backbone::of(&weights).unwrap(), backbone);
    // Odd sizes: every level rounds up, the pyramid's up-sampling must land on the finer level's size.
    engines_agree(
        weights,
        [1, 3, 75, 101],
        |o, x| retinaface_flat(o, x, backbone),
        |o, x| retinaface_flat(o, x, backbone),
    );
}

#[test]
fn retinaface_resnet50() {
    let backbone = Backbone::ResNet50;
    let weights = random_weights(2, |ops| {
        retinaface(ops, &[1, 3, 64, 64], backbone);
    });
    assert_eq!(Backbone::of(&weights).unwrap(), backbone);
    for name in ["body.conv1.weight", "body.layer1.0.downsample.1.running_var", "body.layer4.2.conv3.weight"] {
        assert!(weights.get(name).is_some(), "{name}");
    }
    assert_eq!(weights.get("fpn.output3.0.weight").unwrap().shape, [256, 2048, 1, 1]);
    let checked = shape::check(&weights, |ops| {
        let levels = retinaface(ops, &[1, 3, 100, 200], backbone);
        assert_eq!(levels[0].class, [1, 4, 13, 25]);
        assert_eq!(levels[1].boxes, [1, 8, 7, 13]);
        assert_eq!(levels[2].landmarks, [1, 20, 4, 7]);
    });
    let checked = checked.unwrap();
    assert!(checked.unused.is_empty());
    // 27.3 million with the batch norms' running statistics.
    assert!((27_000_000..27_700_000).contains(&checked.parameters), "{}", checked.parameters);
    engines_agree(
        weights,
        [1, 3, 33, 41],
        |o, x| retinaface_flat(o, x, backbone),
        |o, x| retinaface_flat(o, x, backbone),
    );
}

#[test]
fn faceboxes_both_engines() {
    let weights = random_weights(3, |ops| {
        faceboxes(ops, &[1, 3, 128, 128]);
    });
    engines_agree(weights, [1, 3, 130, 97], faceboxes_flat, faceboxes_flat);
}

#[test]
fn mobilenet_both_widths() {
    for (width, channels) in [(0.5, 512), (1.0, 1024)] {
        let config = Config { width, head: "fc".into(), outputs: 62 };
        let weights = random_weights(4, |ops| {
            mobilenet(ops, &[1, 3, SIZE, SIZE], &config);
        });
        assert_eq!(Config::of(&weights).unwrap(), config);
        assert_eq!(weights.get("fc.weight").unwrap().shape, [62, channels]);
        engines_agree(
            weights,
            [1, 3, SIZE, SIZE],
            |o, x| [mobilenet(o, x, &config)],
            |o, x| [mobilenet(o, x, &config)],
        );
    }
}

#[test]
fn mobilefacenet_both_engines() {
    let shape = [1, 3, HEIGHT, WIDTH];
    let weights = random_weights(5, |ops| {
        assert_eq!(mobilefacenet(ops, &shape), [1, 128, 1, 1]);
    });
    assert_eq!(weights.get("linear7.conv.weight").unwrap().shape, [512, 1, 7, 6]);
    engines_agree(weights, shape, |o, x| [mobilefacenet(o, x)], |o, x| [mobilefacenet(o, x)]);
}

#[test]
fn wrong_weights_are_told_apart() {
    assert!(Config::of(&Weights::default()).unwrap_err().to_string().contains("conv1.weight"));
    assert!(Backbone::of(&Weights::default()).unwrap_err().to_string().contains("body.conv1.weight"));
}
