//! Each loss's gradient, and the whole, against finite differences in float64.

mod common;

use common::{batch, config, trainer};
use headgan::random::Rng;
use headgan_train::config::Precision;
use headgan_train::losses;
use headgan_train::perceptual::Perceptual;
use headgan_train::trainer::Trainer;
use tch::{Device, Kind, Tensor, no_grad};

/// Step of the central difference.
const H: f64 = 1e-6;

/// Moves one value of a weight.
fn nudge(weight: &Tensor, index: i64, by: f64) {
    no_grad(|| {
        let mut flat = weight.detach().reshape([-1]).narrow(0, index, 1);
        let _ = flat.g_add_scalar_(by);
    });
}

/// Compares gradients of `only` (all losses: `None`) with central differences at random weights of many layers; returns
/// how many were compared and were not zero.
fn compare(trainer: &Trainer, only: Option<&str>) -> usize {
    let batch = batch(1, Kind::Double);
    trainer.weights().values().for_each(|w| w.shallow_clone().zero_grad());
    trainer.loss(&batch, only).backward();
    let weights: Vec<(&String, &Tensor)> = trainer.weights().iter().collect();
    let mut rng = Rng::from_parts(&[5]);
    let mut felt = 0;
    for _ in 0..24 {
        let (name, weight) = weights[rng.below(weights.len())];
        let index = rng.below(weight.numel()) as i64;
        let at = |by: f64| {
            nudge(weight, index, by);
            let value = no_grad(|| losses::value(&trainer.loss(&batch, only)));
            nudge(weight, index, -by);
            value
        };
        let numeric = (at(H) - at(-H)) / (2.0 * H);
        let gradient = weight.grad();
        let exact = if gradient.defined() { gradient.reshape([-1]).double_value(&[index]) } else { 0.0 };
        let scale = numeric.abs().max(exact.abs()).max(1e-3);
        assert!(
            (numeric - exact).abs() <= 2e-3 * scale,
            "{only:?} {name}[{index}]: {exact}, differences say {numeric}"
        );
        felt += usize::from(exact != 0.0);
    }
    felt
}

#[test]
fn every_loss_of_the_generator() {
    let trainer = trainer(config(Precision::Fp64, 0));
    let names = [
        "inside",
        "outside",
        "warped_inside",
        "warped_outside",
        "mask",
        "temporal",
        "gate",
        "picture",
        "mouth",
        "feature_matching",
    ];
    for name in names {
        // At step 0 of a run without warm-up the mask's penalty has joined.
        let felt = compare(&trainer, Some(name));
        assert!(felt > 2, "{name}: only {felt} gradients are not zero");
    }
    assert!(compare(&trainer, None) > 12);
}

/// With a generator that listens: the layers that hear learn, and the mouth's discriminator hears too.
#[test]
fn a_generator_that_listens() {
    let mut config = config(Precision::Fp64, 0);
    config.generator.audio = 300;
    let mut trainer = trainer(config);
    assert!(compare(&trainer, None) > 12);
    let batch = batch(1, Kind::Double);
    let loss = |batch: &_, only| losses::value(&trainer.loss(batch, only));
    let mut silent = common::batch(1, Kind::Double);
    silent.sound = silent.sound.zeros_like();
    for name in ["inside", "mouth"] {
        assert!(loss(&batch, Some(name)) != loss(&silent, Some(name)), "{name} hears nothing");
    }
    trainer.weights().values().for_each(|w| w.shallow_clone().zero_grad());
    trainer.loss(&batch, None).backward();
    let hears = |name: &&String| name.contains("cond_dec_audio") && name.ends_with("fc.weight");
    let layers: Vec<&String> = trainer.weights().keys().filter(hears).collect();
    assert_eq!(layers.len(), 6);
    for name in layers {
        let gradient = trainer.weights()[name].grad();
        assert!(gradient.abs().sum(None).double_value(&[]) > 0.0, "{name} learns nothing");
    }
    assert!(!trainer.train_step(&batch).skipped);
}

#[test]
fn the_judges_loss() {
    let mut rng = Rng::from_parts(&[7]);
    let x = common::tensor(&mut rng, [1, 1, 4, 4], 2.0, Kind::Double).set_requires_grad(true);
    let fake = common::tensor(&mut rng, [1, 1, 4, 4], 2.0, Kind::Double);
    let loss = |x: &Tensor| {
        losses::hinge_discriminator(&vec![vec![x.shallow_clone().into()]], &vec![vec![(&fake * x).into()]])
    };
    loss(&x).backward();
    let gradient = x.grad();
    for index in 0..16 {
        let at = |by: f64| {
            nudge(&x, index, by);
            let value = losses::value(&loss(&x));
            nudge(&x, index, -by);
            value
        };
        let numeric = (at(H) - at(-H)) / (2.0 * H);
        let exact = gradient.reshape([-1]).double_value(&[index]);
        assert!((numeric - exact).abs() < 1e-6, "{index}: {exact}, differences say {numeric}");
    }
    assert!(gradient.abs().sum(None).double_value(&[]) > 0.1);
}

#[test]
fn the_perceptual_loss() {
    use headgan::engine::shape;
    use headgan::nets::mobilefacenet;
    use headgan::weights::{Array, Weights};
    let layers = shape::layers(|ops| {
        mobilefacenet::features(ops, &[1, 3, 32, 32]);
    });
    let mut rng = Rng::from_parts(&[11]);
    let mut weights = Weights::default();
    for (name, shape) in &layers {
        let n: usize = shape.iter().product();
        let fan_in = (n / shape[0]).max(1) as f64;
        let values = (0..n).map(|_| match name.rsplit('.').next() {
            Some("running_var") => 1.0,
            Some("weight") if shape.len() > 1 => rng.within((3.0 / fan_in).sqrt()) as f32,
            _ => 0.3 + rng.within(0.2) as f32,
        });
        let values = values.collect();
        weights.insert(name.clone(), Array::f32(shape.clone(), values));
    }
    let perceptual = Perceptual::mobilefacenet(&weights, Kind::Double, Device::Cpu);
    let x = common::tensor(&mut rng, [1, 3, 32, 32], 1.0, Kind::Double).set_requires_grad(true);
    let target = common::tensor(&mut rng, [1, 3, 32, 32], 1.0, Kind::Double);
    let loss = |x: &Tensor| perceptual.distance(&[x, &target], &target);
    loss(&x).backward();
    let gradient = x.grad().reshape([-1]);
    for _ in 0..20 {
        let index = rng.below(3 * 32 * 32) as i64;
        let at = |by: f64| {
            nudge(&x, index, by);
            let value = losses::value(&loss(&x));
            nudge(&x, index, -by);
            value
        };
        let (numeric, exact) = ((at(H) - at(-H)) / (2.0 * H), gradient.double_value(&[index]));
        assert!((numeric - exact).abs() < 1e-3 * exact.abs().max(1e-3), "{index}: {exact}, differences say {numeric}");
    }
    // The target lies at no distance from itself.
    assert!(losses::value(&perceptual.distance(&[&target], &target)) < 1e-12);
}
