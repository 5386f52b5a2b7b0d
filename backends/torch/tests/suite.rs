//! The tests that every executor passes, on libtorch on the CPU, beside the embedded engine.

use headgan::engine::check::TOLERANCE;
use headgan::engine::cpu::{Cpu, Options};
use headgan::nets::suite;
use headgan::weights::Weights;
use headgan_torch::Torch;
use std::sync::Arc;
use tch::{Device, Kind};

fn embedded(weights: Arc<Weights>) -> Cpu {
    Cpu::new(weights, &Options { threads: 2, ..Options::default() })
}

fn torch(weights: Arc<Weights>) -> Torch {
    Torch::new(&weights, Device::Cpu, Kind::Float)
}

#[test]
fn operations_equal_the_embedded_engines() {
    let expected = suite::operations(embedded);
    for (name, make) in [
        ("planes", &torch as &dyn Fn(Arc<Weights>) -> Torch),
        ("channels last", &|weights| torch(weights).channels_last()),
    ] {
        let (worst, at) = suite::compare(&expected, &suite::operations(make), TOLERANCE);
        println!("{name}: {worst:e} in {at}");
    }
}

/// The trainer's executor takes other ways: nothing is kept, nothing is overwritten.
#[test]
fn operations_that_can_be_derived_equal_them_too() {
    let over = |weights: Arc<Weights>| {
        let tensors = weights.arrays.iter().filter_map(|(name, array)| {
            let shape: Vec<i64> = array.shape.iter().map(|n| *n as i64).collect();
            Some((name.clone(), tch::Tensor::from_slice(array.as_f32()?).reshape(shape)))
        });
        Torch::over(tensors.collect(), Device::Cpu, Kind::Float)
    };
    suite::compare(&suite::operations(embedded), &suite::operations(over), TOLERANCE);
    suite::compare(&suite::networks(embedded), &suite::networks(over), 1e-4);
}

#[test]
fn networks_equal_the_embedded_engines() {
    let expected = suite::networks(embedded);
    let (worst, at) = suite::compare(&expected, &suite::networks(torch), 1e-4);
    println!("planes: {worst:e} in {at}");
    let last = suite::networks(|weights| torch(weights).channels_last());
    let (worst, at) = suite::compare(&expected, &last, 1e-4);
    println!("channels last: {worst:e} in {at}");
}

#[test]
fn the_official_outputs_hold() {
    suite::official(torch);
}

/// On the first CUDA device; products are not rounded.
fn cuda() -> Option<impl Fn(Arc<Weights>) -> Torch> {
    if !tch::Cuda::is_available() {
        eprintln!("skipped: there is no CUDA device");
        return None;
    }
    Some(|weights: Arc<Weights>| Torch::new(&weights, Device::Cuda(0), Kind::Float).tf32(false))
}

#[test]
fn operations_on_cuda_equal_the_embedded_engines() {
    let Some(make) = cuda() else { return };
    let (worst, at) = suite::compare(&suite::operations(embedded), &suite::operations(make), 1e-3);
    println!("CUDA, fp32: {worst:e} in {at}");
}

#[test]
fn networks_on_cuda_equal_the_embedded_engines() {
    let Some(make) = cuda() else { return };
    let (worst, at) = suite::compare(&suite::networks(embedded), &suite::networks(make), 1e-3);
    println!("CUDA, fp32: {worst:e} in {at}");
}

#[test]
fn the_official_outputs_hold_on_cuda() {
    let Some(make) = cuda() else { return };
    suite::official(make);
}
