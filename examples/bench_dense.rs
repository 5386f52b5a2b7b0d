//! Dense networks on the embedded engine, for benches/peers: times the points of a face frame by frame, or runs one of MediaPipe's networks.
//!
//!     bench_dense time PACKS CLIP [--frames N] [--threads N]
//!     bench_dense own PACK CLIP [--frames N] [--threads N]
//!     bench_dense outputs PACKS NETWORK < INPUT
//!
//! PACKS is a folder with the pack `mediapipe`. `time` prints `ready`; then for each line on stdin it goes through the clip's frames,
//! each in the region that the frame before left, and answers with milliseconds a frame; at the end it prints milliseconds of a
//! detection as JSON. `own` does so with the project's own networks, in the pack's folder PACK, once, and prints the least milliseconds
//! of a detection, a first look and all looks as JSON. `outputs` reads the network's input, floats in n c h w order, and prints its outputs, in n h w c order, as JSON.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use headgan::engine::Ops;
use headgan::engine::cpu::{Cpu, Options};
use headgan::face::dense::{Region, SingleLook, blaze, landmarks};
use headgan::frame::Frame;
use headgan::import::check;
use headgan::media::Source;
use headgan::models::{ModelSet, Pack, Role};
use headgan::nets::graph::Graph;
use std::io::{BufRead, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Times the points of a clip's face.
    Time {
        packs: PathBuf,
        clip: String,
        #[arg(long, default_value_t = 100)]
        frames: usize,
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// Times the project's own networks.
    Own {
        pack: PathBuf,
        clip: String,
        #[arg(long, default_value_t = 100)]
        frames: usize,
        #[arg(long, default_value_t = 1)]
        threads: usize,
    },
    /// Runs one network once.
    Outputs { packs: PathBuf, network: String },
}

fn main() -> Result<()> {
    match Arguments::parse().command {
        Command::Time { packs, clip, frames, threads } => time(&packs, &clip, frames, threads),
        Command::Own { pack, clip, frames, threads } => own(&pack, &clip, frames, threads),
        Command::Outputs { packs, network } => outputs(&packs, &network),
    }
}

/// The project's own networks on a clip's frames, each in the region that the frame before left.
fn own(pack: &Path, clip: &str, count: usize, threads: usize) -> Result<()> {
    let pack = Pack::open(pack)?;
    let executor = |role| -> Result<Cpu> {
        let component = pack.component(role, None).with_context(|| format!("the pack has no {role}"))?;
        Ok(Cpu::new(pack.load(component, check)?, &Options { threads, ..Options::default() }))
    };
    let finder = SingleLook::new(executor(Role::DenseDetector)?);
    let rough = landmarks::Landmarks::own(executor(Role::Landmarks)?, true);
    let points = landmarks::Landmarks::own(executor(Role::Landmarks)?, false);
    let frames = Source::open(clip)?.frames(None)?.take(count).map(|f| f.map(|(_, frame)| frame));
    let frames: Vec<Frame> = frames.collect::<headgan::Result<_>>()?;
    let mut least = [f64::INFINITY; 3];
    let mut time = |k: usize, begun: Instant| least[k] = least[k].min(begun.elapsed().as_secs_f64() * 1e3);
    for frame in &frames {
        let begun = Instant::now();
        let found = finder.find(frame)?;
        time(0, begun);
        let Some(face) = found.first() else { continue };
        let [right, left, ..] = face.landmarks5.context("the finder gives points")?;
        let region = Region::around(&face.rect, right, left);
        let begun = Instant::now();
        let region = rough.find(frame, &region)?.region();
        time(1, begun);
        let begun = Instant::now();
        points.find(frame, &region)?;
        time(2, begun);
    }
    let [detection, first, all] = least;
    println!("{}", serde_json::json!({"detection": detection, "first_look": first, "all_looks": all}));
    Ok(())
}

/// A network of the pack, and what runs it.
fn network(packs: &Path, name: &str, threads: usize) -> Result<(Cpu, Graph)> {
    let models = ModelSet::from_folders(&[packs.to_owned()]);
    let pack = models.pack("mediapipe")?;
    let component = pack.components().iter().find(|c| c.config.get("network").is_some_and(|n| n == name));
    let component = component.with_context(|| format!("the pack has no {name}"))?;
    let options = Options { threads, ..Options::default() };
    Ok((Cpu::new(pack.load(component, check)?, &options), Graph::from_config(&component.config)?))
}

fn outputs(packs: &Path, name: &str) -> Result<()> {
    let (executor, graph) = network(packs, name, 1)?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let values: Vec<f32> = bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let [c, h, w] = graph.input;
    anyhow::ensure!(values.len() == c * h * w, "{} values where the network takes {c} x {h} x {w}", values.len());
    let found = graph.run(&executor, &executor.tensor([1, c, h, w], &values));
    let values: serde_json::Map<String, serde_json::Value> =
        found.iter().map(|(name, x)| (name.clone(), executor.nhwc(x).into())).collect();
    println!("{}", serde_json::Value::from(values));
    Ok(())
}

fn time(packs: &Path, clip: &str, count: usize, threads: usize) -> Result<()> {
    let (executor, graph) = network(packs, "face_detection_short_range", threads)?;
    let detector = blaze::Detector::new(executor, graph)?;
    let (executor, graph) = network(packs, "face_landmark_with_attention", threads)?;
    let mesh = landmarks::Landmarks::new(executor, graph)?;
    let source = Source::open(clip)?;
    let frames: Vec<Frame> =
        source.frames(None)?.take(count).map(|f| f.map(|(_, frame)| frame)).collect::<headgan::Result<_>>()?;
    let first = frames.first().context("the clip has no frames")?;
    let found = detector.find(first)?;
    let face = found.first().context("the first frame has no face")?;
    let start = Region::around(&face.rect, face.points[0], face.points[1]);
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        line?;
        let mut region = start;
        let started = Instant::now();
        for frame in &frames {
            region = mesh.find(frame, &region)?.region();
        }
        println!("{}", started.elapsed().as_secs_f64() * 1e3 / frames.len() as f64);
        std::io::stdout().flush()?;
    }
    let started = Instant::now();
    for frame in &frames {
        detector.find(frame)?;
    }
    println!("{{\"detection\": {}}}", started.elapsed().as_secs_f64() * 1e3 / frames.len() as f64);
    Ok(())
}
