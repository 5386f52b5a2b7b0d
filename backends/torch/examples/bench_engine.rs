//! One network on the torch engine, for benches/peers; speaks as examples/bench_network.rs of the library does.
//!
//!     bench_engine ARCHITECTURE FILE [--size N] [--threads N] [--layout planes|pixels] [--device cpu|cuda]
//!                  [--precision fp32|tf32|fp16|bf16] [--batch N] [--kept]
//!
//! Reads `state.*` (folded weights), `input.*` and `output.*`; computes one batch of frames, all of them the same, for each line on
//! stdin and answers with its milliseconds, from inputs in memory to outputs in memory; at the end prints peak memory and the
//! largest difference of each output as JSON. With `--kept` a generator's reference is looked at once, as the program does it.

use anyhow::{Context, Result, bail};
use clap::{Parser, ValueEnum};
use headgan::engine::library::Precision;
use headgan::engine::{Executor, Ops};
use headgan::models::Architecture;
use headgan::nets::generator;
use headgan::nets::named::{Network, logical};
use headgan::weights::{Array, safetensors};
use headgan_torch::Torch;
use serde_json::{Map, json};
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;
use tch::{Cuda, Device, Kind};

#[derive(Parser)]
struct Arguments {
    architecture: Architecture,
    file: PathBuf,
    #[arg(long, default_value_t = 0)]
    size: usize,
    #[arg(long, default_value_t = 1)]
    threads: i32,
    #[arg(long, value_enum, default_value_t = Layout::Planes)]
    layout: Layout,
    #[arg(long, value_parser = ["cpu", "cuda"], default_value = "cpu")]
    device: String,
    #[arg(long, value_parser = Precision::IDS, default_value = "fp32")]
    precision: String,
    #[arg(long, default_value_t = 1)]
    batch: usize,
    #[arg(long)]
    kept: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Layout {
    Planes,
    Pixels,
}

fn main() -> Result<()> {
    let args = Arguments::parse();
    tch::set_num_threads(args.threads);
    let _guard = tch::no_grad_guard();
    let file = safetensors::load(&args.file)?;
    let weights = file.strip_prefix("state.");
    let network = Network::from_weights(&args.architecture, &weights)?;
    network.check(&weights, args.size)?;
    let kind = match args.precision.as_str() {
        "fp16" => Kind::Half,
        "bf16" => Kind::BFloat16,
        _ => Kind::Float,
    };
    let device = if args.device == "cuda" { Device::Cuda(0) } else { Device::Cpu };
    if device.is_cuda() {
        Cuda::cudnn_set_benchmark(true);
    }
    let torch = Torch::new(&weights, device, kind).tf32(args.precision != "fp32");
    let torch = if args.layout == Layout::Pixels { torch.channels_last() } else { torch };
    let mut inputs = Vec::new();
    for (name, dims) in network.inputs(args.size)? {
        let array = file.get(&format!("input.{name}")).with_context(|| format!("the file has no 'input.{name}'"))?;
        if array.shape != dims {
            bail!("'input.{name}' has shape {:?}; {dims:?} is needed", array.shape);
        }
        let [n, c, h, w] = logical(&dims);
        inputs.push(([n * args.batch, c, h, w], array.as_f32().unwrap_or_default().repeat(args.batch)));
    }
    let kept = match (&network, args.kept) {
        (Network::Generator(config), true) => {
            let (shape, values) = &inputs[0];
            Some((config, generator::reference(&torch, config, &torch.tensor(*shape, values))))
        }
        (_, true) => bail!("--kept is for generators"),
        _ => None,
    };
    let frame = || -> Vec<(String, Vec<f32>)> {
        let tensor = |(shape, values): &([usize; 4], Vec<f32>)| torch.tensor(*shape, values);
        if let Some((config, reference)) = &kept {
            let audio = inputs.get(2).map(tensor);
            let out = generator::forward(&torch, config, reference, &tensor(&inputs[1]), audio.as_ref(), None);
            return vec![("image".into(), torch.values(&out.image))];
        }
        let xs: Vec<_> = inputs.iter().map(tensor).collect();
        network.run(&torch, &xs).into_iter().map(|(name, t)| (name, torch.values(&t))).collect()
    };
    let mut last = frame(); // layers are made ready at their first use
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        let start = Instant::now();
        last = frame();
        println!("{}", start.elapsed().as_secs_f64() * 1e3);
        std::io::stdout().flush()?;
    }
    let mut differences = Map::new();
    for (name, ours) in &last {
        let Some(theirs) = file.get(&format!("output.{name}")).and_then(Array::as_f32) else { continue };
        let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0f32, |m, d| if d > m || d.is_nan() { d } else { m });
        differences.insert(name.clone(), json!(worst));
    }
    println!("{}", json!({ "peak_mb": peak_mb(), "max_abs_difference": differences }));
    Ok(())
}

/// Largest resident size of this process so far in MiB, where the system tells (Linux).
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}
