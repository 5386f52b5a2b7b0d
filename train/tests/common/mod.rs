//! A tiny run without data: random pictures, every loss.

use headgan::nets::generator;
use headgan::random::Rng;
use headgan_train::config::{DiscriminatorConfig, LossWeights, Precision, TrainConfig};
use headgan_train::data::Batch;
use headgan_train::trainer::Trainer;
use tch::{Device, Kind, Tensor};

/// Side of the pictures.
pub const SIDE: i64 = 32;

pub fn config(precision: Precision, warm_up: u64) -> TrainConfig {
    let discriminator = DiscriminatorConfig { ndf: 4, layers: 3, scales: 2 };
    TrainConfig {
        generator: generator::Config {
            ngf: 2,
            spade: 4,
            audio: 0,
            prior: true,
            compose: true,
            ..generator::Config::default()
        },
        picture_judge: discriminator.clone(),
        mouth_judge: discriminator,
        steps: 100,
        warm_up,
        decay_from: 10,
        precision,
        losses: LossWeights { mask: 1.0, ..LossWeights::default() },
        ..TrainConfig::default()
    }
}

pub fn tensor(rng: &mut Rng, shape: [i64; 4], reach: f64, kind: Kind) -> Tensor {
    let n = shape.iter().product::<i64>();
    let values: Vec<f64> = (0..n).map(|_| rng.within(reach)).collect();
    Tensor::from_slice(&values).reshape(shape).to_kind(kind)
}

/// The batch of a step: two frames in a row.
pub fn batch(step: u64, kind: Kind) -> Batch {
    let mut rng = Rng::from_parts(&[9, step]);
    let n = 2;
    let mut make = |c: i64, reach: f64| tensor(&mut rng, [n, c, SIDE, SIDE], reach, kind);
    Batch {
        sequence_length: n,
        reference: make(6, 1.0),
        pncc: make(9, 0.5) + 0.5,
        sound: tensor(&mut Rng::from_parts(&[10, step]), [n, 300, 1, 1], 1.0, kind),
        prior: make(2, 2.0),
        draft: make(3, 0.9),
        target: make(3, 0.9),
        face: make(1, 1.0).gt(0.0).to_kind(kind),
        valid: make(1, 1.0).gt(-0.8).to_kind(kind),
        mouths: vec![[16.0, 20.0]; n as usize],
    }
}

pub fn trainer(config: TrainConfig) -> Trainer {
    Trainer::new(config, None, Device::Cpu).unwrap()
}
