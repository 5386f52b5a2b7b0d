//! The face networks: their layers and shapes. What they compute is the engines' test (`nets::suite`).

use super::mobilefacenet::{HEIGHT, WIDTH, mobilefacenet};
use super::mobilenet::{Config, SIZE, mobilenet};
use super::retinaface::{Backbone, retinaface};
use crate::engine::shape::{self, ShapeOps};
use crate::testing;
use crate::weights::Weights;

/// Random weights of every layer that `network` asks for.
fn random_weights(seed: u64, network: impl FnOnce(&ShapeOps)) -> Weights {
    testing::random_weights(&shape::layers(network), seed)
}

#[test]
fn retinaface_mobilenet_is_told_by_its_weights() {
    let backbone = Backbone::MobileNet025;
    let weights = random_weights(1, |ops| {
        retinaface(ops, &[1, 3, 64, 64], backbone);
    });
    assert_eq!(Backbone::from_weights(&weights).unwrap(), backbone);
}

#[test]
fn retinaface_resnet50_has_its_layers_and_shapes() {
    let backbone = Backbone::ResNet50;
    let weights = random_weights(2, |ops| {
        retinaface(ops, &[1, 3, 64, 64], backbone);
    });
    assert_eq!(Backbone::from_weights(&weights).unwrap(), backbone);
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
}

#[test]
fn mobilenet_both_widths() {
    for (width, channels) in [(0.5, 512), (1.0, 1024)] {
        let config = Config { width, head: "fc".into(), outputs: 62, lids: false };
        let weights = random_weights(4, |ops| {
            mobilenet(ops, &[1, 3, SIZE, SIZE], &config);
        });
        assert_eq!(Config::from_weights(&weights).unwrap(), config);
        assert_eq!(weights.get("fc.weight").unwrap().shape, [62, channels]);
    }
}

#[test]
fn mobilefacenet_has_its_layers() {
    let shape = [1, 3, HEIGHT, WIDTH];
    let weights = random_weights(5, |ops| {
        assert_eq!(mobilefacenet(ops, &shape), [1, 128, 1, 1]);
    });
    assert_eq!(weights.get("linear7.conv.weight").unwrap().shape, [512, 1, 7, 6]);
}

#[test]
fn wrong_weights_are_told_apart() {
    assert!(Config::from_weights(&Weights::default()).unwrap_err().to_string().contains("conv1.weight"));
    assert!(Backbone::from_weights(&Weights::default()).unwrap_err().to_string().contains("body.conv1.weight"));
}
