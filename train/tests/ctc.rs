//! The loss of acoustic models: its value against the library's own, its gradient against finite differences in float64, and that
//! gradient through every operation of Deep Speech 2.

use headgan::audio::ctc::{Emissions, log_probability};
use headgan::engine::{Cell, shape};
use headgan::nets::deepspeech2::{Config, deepspeech2};
use headgan::random::Rng;
use headgan_torch::{Shared, Torch};
use headgan_train::ctc::{CtcTargets, loss};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor, no_grad};

/// Step of the central difference.
const H: f64 = 1e-6;

fn random(rng: &mut Rng, shape: &[i64], reach: f64) -> Tensor {
    let values: Vec<f64> = (0..shape.iter().product::<i64>()).map(|_| rng.within(reach)).collect();
    Tensor::from_slice(&values).reshape(shape)
}

/// Moves one value.
fn nudge(x: &Tensor, index: i64, by: f64) {
    no_grad(|| {
        let mut value = x.detach().reshape([-1]).narrow(0, index, 1);
        let _ = value.g_add_scalar_(by);
    });
}

/// Compares the gradient of `value` at `index` of `x` with a central difference.
fn compare(x: &Tensor, index: i64, name: &str, value: &dyn Fn() -> Tensor) {
    let exact = x.grad().reshape([-1]).double_value(&[index]);
    let at = |by: f64| {
        nudge(x, index, by);
        let out = no_grad(|| value().double_value(&[]));
        nudge(x, index, -by);
        out
    };
    let numeric = (at(H) - at(-H)) / (2.0 * H);
    let scale = numeric.abs().max(exact.abs()).max(1e-3);
    assert!((numeric - exact).abs() < 1e-4 * scale, "{name}[{index}]: {exact}, differences say {numeric}");
}

const SENTENCES: CtcTargets = CtcTargets { labels: &[1, 1, 3, 2, 4], lengths: &[3, 0, 2] };
const MOMENTS: [i64; 3] = [7, 5, 6];

#[test]
fn value_and_gradient() {
    let logits = random(&mut Rng(3), &[3, 5, 1, 7], 3.0).set_requires_grad(true);
    let value = || loss(&logits, &MOMENTS, SENTENCES, 0);
    let (mut expected, mut first) = (0.0, 0);
    for (i, (&moments, &length)) in MOMENTS.iter().zip(SENTENCES.lengths).enumerate() {
        let part = logits.detach().get(i as i64).select(1, 0).narrow(1, 0, moments).tr().contiguous().reshape([-1]);
        let part = Vec::<f32>::try_from(part.to_kind(Kind::Float)).unwrap();
        let says: Vec<usize> = SENTENCES.labels[first..first + length as usize].iter().map(|l| *l as usize).collect();
        expected -= log_probability(&Emissions::from_logits(5, 0, part).unwrap(), &says) / 3.0;
        first += length as usize;
    }
    let got = value().double_value(&[]);
    assert!((got - expected).abs() < 1e-5 * expected, "{got} {expected}");
    value().backward();
    (0..105).for_each(|i| compare(&logits, i, "logits", &value));
    // Moments that do not count have no gradient.
    let rest = logits.grad().get(1).narrow(2, 5, 2).abs().max().double_value(&[]);
    assert_eq!(rest, 0.0);
}

/// A sentence that is too long for its moments: no loss, no gradient, no infinity.
#[test]
fn what_does_not_fit_counts_as_nothing() {
    let logits = random(&mut Rng(4), &[1, 3, 1, 4], 1.0).set_requires_grad(true);
    let value = loss(&logits, &[4], CtcTargets { labels: &[1, 1, 1], lengths: &[3] }, 0);
    value.backward();
    assert_eq!((value.double_value(&[]), logits.grad().abs().max().double_value(&[])), (0.0, 0.0));
}

#[test]
fn through_the_network() {
    for (cell, context) in [(Cell::Gru, 0), (Cell::Lstm, 0), (Cell::Tanh, 0), (Cell::Gru, 3)] {
        let config = Config { cell, channels: 32, hidden: 6, layers: 2, context, labels: 5, bins: 9 };
        let mut rng = Rng(7);
        let layers = shape::layers(|ops| {
            deepspeech2(ops, &config, &[1, 1, 9, 14]);
        });
        let weights: HashMap<String, Tensor> = layers
            .into_iter()
            .map(|(name, shape)| {
                let shape: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
                let scale = if name.starts_with("conv") { 0.2 } else { 0.5 };
                let x = random(&mut rng, &shape, scale);
                let x = if name.ends_with("running_var") || name.contains("norm.module.weight") { x + 1.0 } else { x };
                // Statistics are not learned.
                let learned = !name.contains("running_");
                (name, x.set_requires_grad(learned))
            })
            .collect();
        let copies = weights.iter().map(|(name, x)| (name.clone(), x.shallow_clone())).collect();
        let torch = Torch::over(copies, Device::Cpu, Kind::Double);
        let x = Shared(random(&mut rng, &[3, 1, 9, 14], 1.0));
        let value = || loss(&deepspeech2(&torch, &config, &x).0, &MOMENTS, SENTENCES, 0);
        value().backward();
        let mut names: Vec<&String> = weights.keys().collect();
        names.sort();
        let mut felt = 0;
        for name in names {
            let weight = &weights[name];
            if !weight.requires_grad() {
                continue;
            }
            let index = rng.below(weight.numel()) as i64;
            compare(weight, index, name, &value);
            felt += usize::from(weight.grad().abs().max().double_value(&[]) > 0.0);
        }
        assert!(felt > 15, "{cell:?}: {felt} layers have a gradient");
    }
}
