//! A step of training on a CUDA device, where there is one, against the same step on the processor, in float64.

use headgan::random::Rng;
use headgan_train::TrainConfig;
use headgan_train::config::{DiscriminatorConfig, Precision};
use headgan_train::data::Batch;
use headgan_train::trainer::Trainer;
use tch::{Cuda, Device, Kind, Tensor};

const SIDE: i64 = 64;

fn batch() -> Batch {
    let mut rng = Rng::from_parts(&[7]);
    let mut make = |channels: i64, side: i64, reach: f64| {
        let values: Vec<f64> = (0..2 * channels * side * side).map(|_| rng.within(reach)).collect();
        Tensor::from_slice(&values).reshape([2, channels, side, side])
    };
    Batch {
        sequence_length: 2,
        reference: make(6, SIDE, 1.0),
        pncc: make(9, SIDE, 0.5) + 0.5,
        sound: make(300, 1, 1.0),
        prior: make(2, SIDE, 5.0),
        draft: make(3, SIDE, 0.9),
        target: make(3, SIDE, 0.9),
        face: make(1, SIDE, 1.0).gt(0.0).to_kind(Kind::Double),
        valid: make(1, SIDE, 1.0).gt(-0.9).to_kind(Kind::Double),
        mouths: vec![[32.0, 40.0]; 2],
    }
}

#[test]
fn a_step_on_cuda_is_the_processors() {
    if !Cuda::is_available() {
        eprintln!("skipped: there is no CUDA device");
        return;
    }
    let mut config = TrainConfig { warm_up: 0, precision: Precision::Fp64, batch: 1, ..TrainConfig::default() };
    config.generator.audio = 300;
    config.sequences = vec![[0, 2]];
    config.picture_judge = DiscriminatorConfig { ndf: 4, layers: 3, scales: 2 };
    config.mouth_judge = config.picture_judge.clone();
    let learn = |device| {
        let mut trainer = Trainer::new(config.clone(), None, device).unwrap();
        let records = [(); 2].map(|()| trainer.train_step(&batch().to_device(device)));
        (records, trainer.checkpoint().unwrap())
    };
    let ((cpu, want), (cuda, got)) = (learn(Device::Cpu), learn(Device::Cuda(0)));
    for (a, b) in cpu.iter().zip(&cuda) {
        assert!(!a.skipped && !b.skipped);
        for (name, loss) in &a.losses {
            println!("{name}: {loss} {}", b.losses[name]);
            assert!((loss - b.losses[name]).abs() < 1e-6 * loss.abs().max(1.0), "{name}: {loss} {}", b.losses[name]);
        }
    }
    let mut worst = 0.0f64;
    for (name, tensor) in &want.tensors {
        let apart = tensor - got.tensors[name].to_device(Device::Cpu);
        worst = worst.max(apart.abs().max().double_value(&[]));
    }
    println!("largest difference of the state after two steps: {worst:e}");
    // Adam's first steps are as long for gradients that are rounding as for others: by at most the rate each.
    assert!(worst < 1e-3, "{worst}");
}
