//! One training step after the other on random data, for benches/peers/train_step.py.
//!
//! `train_step BEFORE AFTER --side 256 --threads 2 [--double] [--device cuda] [--batch N]` writes to BEFORE the state of a run and a batch
//! (`batch.*`), learns once, writes the state to AFTER, and then learns once for every line on stdin and prints the
//! milliseconds. The perceptual loss is left out.

use clap::Parser;
use headgan::random::Rng;
use headgan_train::TrainConfig;
use headgan_train::config::Precision;
use headgan_train::data::Batch;
use headgan_train::trainer::Trainer;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};

#[derive(Parser)]
struct Args {
    before: PathBuf,
    after: PathBuf,
    /// Of the pictures, in pixels.
    #[arg(long, default_value_t = 256)]
    side: i64,
    #[arg(long, default_value_t = 2)]
    threads: i32,
    /// In float64.
    #[arg(long)]
    double: bool,
    #[arg(long, value_parser = ["cpu", "cuda"], default_value = "cpu")]
    device: String,
    /// Pairs, all of them the same.
    #[arg(long, default_value_t = 1)]
    batch: i64,
}

fn batch(n: i64, side: i64, kind: Kind) -> Batch {
    let mut rng = Rng::from_parts(&[7]);
    let mut make = |channels: i64, reach: f64| {
        let values: Vec<f64> = (0..channels * side * side).map(|_| rng.within(reach)).collect();
        Tensor::from_slice(&values).reshape([1, channels, side, side]).to_kind(kind).repeat([n, 1, 1, 1])
    };
    Batch {
        sequence_length: 1,
        reference: make(6, 1.0),
        pncc: make(9, 0.5) + 0.5,
        sound: Tensor::zeros([n, 300, 1, 1], (kind, Device::Cpu)),
        prior: make(2, 5.0),
        draft: make(3, 0.9),
        target: make(3, 0.9),
        face: make(1, 1.0).gt(0.0).to_kind(kind),
        valid: make(1, 1.0).gt(-0.9).to_kind(kind),
        mouths: vec![[0.5 * side as f64, 0.625 * side as f64]; n as usize],
    }
}

fn main() -> headgan::Result<()> {
    let args = Args::parse();
    tch::set_num_threads(args.threads);
    let precision = if args.double { Precision::Fp64 } else { Precision::Fp32 };
    let config = TrainConfig { warm_up: 0, precision, ..TrainConfig::default() };
    let device = if args.device == "cuda" { Device::Cuda(0) } else { Device::Cpu };
    let batch = batch(args.batch, args.side, precision.master()).to_device(device);
    let mut trainer = Trainer::new(config, None, device)?;
    let mut before = trainer.checkpoint()?;
    let tensors = [
        ("reference", &batch.reference),
        ("pncc", &batch.pncc),
        ("prior", &batch.prior),
        ("draft", &batch.draft),
        ("target", &batch.target),
        ("face", &batch.face),
        ("valid", &batch.valid),
    ];
    before.tensors.extend(tensors.map(|(name, t)| (format!("batch.{name}"), t.shallow_clone())));
    before.save(&args.before)?;
    trainer.train_step(&batch);
    trainer.checkpoint()?.save(&args.after)?;
    println!("ready");
    for _ in std::io::stdin().lock().lines() {
        let record = trainer.train_step(&batch);
        println!("{:.3}", 1e3 * record.seconds);
        // Whoever waits for the line may have gone.
        let _ = std::io::stdout().flush();
    }
    Ok(())
}
