//! One network on one engine, for benches/peers: says which weights it needs, exports it to ONNX, times it.
//!
//!     bench_network layers ARCHITECTURE [--config JSON] [--size N]     arrays and inputs with their shapes, as JSON
//!     bench_network export ARCHITECTURE FILE OUT.onnx [--size N]       `state.*` of a safetensors file as ONNX
//!     bench_network run ARCHITECTURE FILE [--size N] [--threads N] [--frames N] [--engine cpu|plain] [--step]
//!
//! `run` reads `state.*` (folded weights), `input.*` and, if there, `output.*`; it prints milliseconds per frame (from
//! inputs in n c h w order to outputs in that order), peak memory and the largest difference of each output as JSON. With
//! `--step` it computes one frame for each line on stdin and answers with its milliseconds, so that a script can alternate.

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand, ValueEnum};
use headgan::engine::Executor;
use headgan::engine::cpu::{Cpu, Options};
use headgan::engine::plain::Plain;
use headgan::models::Architecture;
use headgan::nets::generator;
use headgan::nets::named::{Network, logical};
use headgan::weights::{Array, Weights};
use serde_json::{Map, Value, json};
use std::fs::File;
use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Prints the arrays that a network needs, and its inputs.
    Layers {
        architecture: Architecture,
        /// Configuration of a generator; the published one unless told.
        #[arg(long)]
        config: Option<String>,
        #[arg(long, default_value_t = 0)]
        size: usize,
    },
    /// Writes the ONNX graph.
    Export {
        architecture: Architecture,
        file: PathBuf,
        out: PathBuf,
        #[arg(long, default_value_t = 0)]
        size: usize,
    },
    /// Runs frames and prints what they took.
    Run {
        architecture: Architecture,
        file: PathBuf,
        #[arg(long, default_value_t = 0)]
        size: usize,
        #[arg(long, default_value_t = 1)]
        threads: usize,
        #[arg(long, default_value_t = 5)]
        frames: usize,
        #[arg(long, value_enum, default_value_t = Engine::Cpu)]
        engine: Engine,
        /// One frame for each line on stdin.
        #[arg(long)]
        step: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Engine {
    Cpu,
    Plain,
}

/// What to run, from a file.
struct Job {
    network: Network,
    inputs: Vec<([usize; 4], Vec<f32>)>,
    expected: Weights,
    frames: usize,
    step: bool,
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Layers { architecture, config, size } => {
            let network = match config {
                Some(config) if architecture == Architecture::HeadganGenerator => {
                    Network::Generator(serde_json::from_str::<generator::Config>(&config)?)
                }
                Some(_) => bail!("only the generator takes a configuration here"),
                None => Network::published(&architecture)?,
            };
            let map = |pairs: Vec<(String, Vec<usize>)>| pairs.into_iter().map(|(k, v)| (k, json!(v))).collect();
            let layers: Map<String, Value> = map(network.layers(size)?);
            let inputs = network.inputs(size)?.into_iter().map(|(name, dims)| (name.to_owned(), dims)).collect();
            println!("{}", json!({"config": network.config(), "layers": layers, "inputs": Value::Object(map(inputs))}));
        }
        Command::Export { architecture, file, out, size } => {
            let weights = load(&file, "state.")?;
            std::fs::write(out, headgan::nets::export_onnx(&architecture, &Value::Null, &weights, size)?)?;
        }
        Command::Run { architecture, file, size, threads, frames, engine, step } => {
            let weights = load(&file, "state.")?;
            let network = Network::from_weights(&architecture, &weights)?;
            network.check(&weights, size)?;
            let given = load(&file, "input.")?;
            let inputs = network.inputs(size)?.into_iter().map(|(name, dims)| {
                let array = given.get(name).with_context(|| format!("the file has no 'input.{name}'"))?;
                if array.shape != dims {
                    bail!("'input.{name}' has shape {:?}; {dims:?} is needed", array.shape);
                }
                Ok((logical(&dims), array.as_f32().unwrap_or_default().to_vec()))
            });
            let inputs = inputs.collect::<Result<_>>()?;
            let job = Job { network, inputs, expected: load(&file, "output.")?, frames, step };
            let weights = Arc::new(weights);
            let report = match engine {
                Engine::Cpu => {
                    let options = Options { threads, ..Options::default() };
                    run(&Cpu::new(weights, &options), &job)?
                }
                Engine::Plain => run(&Plain::new(weights), &job)?,
            };
            println!("{report}");
        }
    }
    Ok(())
}

/// Runs the frames, the first one beforehand.
fn run<E: Executor>(ops: &E, job: &Job) -> Result<Value> {
    let frame = || -> Vec<(String, Vec<f32>)> {
        let xs: Vec<E::Tensor> = job.inputs.iter().map(|(shape, data)| ops.tensor(*shape, data)).collect();
        let outputs = job.network.run(ops, &xs);
        outputs.into_iter().map(|(name, t)| (name, ops.values(&t))).collect()
    };
    let mut last = frame(); // layers are made ready at their first use
    let mut ms = Vec::new();
    let mut timed = || {
        let start = Instant::now();
        last = frame();
        ms.push(start.elapsed().as_secs_f64() * 1e3);
        ms[ms.len() - 1]
    };
    if job.step {
        println!("ready");
        for line in std::io::stdin().lock().lines() {
            line?;
            println!("{}", timed());
            std::io::stdout().flush()?;
        }
    } else {
        for _ in 0..job.frames {
            timed();
        }
    }
    let mut differences = Map::new();
    for (name, ours) in &last {
        let Some(theirs) = job.expected.get(name).and_then(Array::as_f32) else { continue };
        if theirs.len() != ours.len() {
            bail!("'output.{name}' has {} values; the network gives {}", theirs.len(), ours.len());
        }
        let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
        let worst = worst.fold(0.0f32, |m, d| if d > m || d.is_nan() { d } else { m });
        differences.insert(name.clone(), json!(worst));
    }
    let mut sorted = ms.clone();
    sorted.sort_by(f64::total_cmp);
    Ok(json!({
        "ms": ms,
        "median_ms": sorted.get(sorted.len() / 2),
        "min_ms": sorted.first(),
        "peak_mb": peak_mb(),
        "max_abs_difference": differences,
    }))
}

/// Largest resident size of this process so far in MiB, where the system tells (Linux).
fn peak_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kib / 102.4).round() / 10.0)
}

/// The f32 arrays of a safetensors file whose names start with `prefix`, without it; each is read straight to its place, so
/// that peak memory is the engine's own.
fn load(path: &Path, prefix: &str) -> Result<Weights> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let total = file.metadata()?.len();
    let mut len = [0; 8];
    file.read_exact(&mut len)?;
    let len = u64::from_le_bytes(len);
    if len > total {
        bail!("{} is not a safetensors file", path.display());
    }
    let mut header = vec![0; len as usize];
    file.read_exact(&mut header)?;
    let header: Map<String, Value> = serde_json::from_slice(&header)?;
    let mut weights = Weights::default();
    for (name, entry) in &header {
        let Some(name) = name.strip_prefix(prefix) else { continue };
        if entry["dtype"] != "F32" {
            bail!("'{name}' is not F32");
        }
        let shape: Vec<usize> = serde_json::from_value(entry["shape"].clone())?;
        let [from, to]: [u64; 2] = serde_json::from_value(entry["data_offsets"].clone())?;
        let mut values = vec![0f32; shape.iter().product()];
        if to.checked_sub(from) != Some(4 * values.len() as u64) || to > total {
            bail!("'{name}' has {from}..{to} for shape {shape:?}");
        }
        file.seek(SeekFrom::Start(8 + len + from))?;
        file.read_exact(bytemuck::cast_slice_mut(&mut values))?;
        weights.insert(name, Array::f32(shape, values));
    }
    Ok(weights)
}
