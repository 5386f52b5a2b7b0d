//! MediaPipe's networks on the embedded engine, for benches/peers/face_mesh.py: times the points of a face, frame by frame.
//!
//!     bench_dense PACKS CLIP [--frames N] [--threads N]
//!
//! PACKS is a folder with the pack `mediapipe`. Prints `ready`; then for each line on stdin goes through the clip's frames, each in the
//! region that the frame before left, and answers with milliseconds a frame; at the end prints milliseconds of a detection as JSON.

use anyhow::{Context, Result};
use clap::Parser;
use headgan::engine::cpu::{Cpu, Options};
use headgan::face::dense::{Region, blaze, landmarks};
use headgan::frame::Frame;
use headgan::import::check;
use headgan::media::Source;
use headgan::models::{ModelSet, Role};
use headgan::nets::graph::Graph;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

#[derive(Parser)]
struct Arguments {
    packs: PathBuf,
    clip: String,
    #[arg(long, default_value_t = 100)]
    frames: usize,
    #[arg(long, default_value_t = 1)]
    threads: usize,
}

fn main() -> Result<()> {
    let args = Arguments::parse();
    let models = ModelSet::from_folders(&[args.packs]);
    let network = |role: Role, name: &str| -> Result<(Cpu, Graph)> {
        let pack = models.pack("mediapipe")?;
        let component = pack.components().iter().find(|c| c.role == role && c.config["network"] == name);
        let component = component.with_context(|| format!("the pack has no {name}"))?;
        let options = Options { threads: args.threads, ..Options::default() };
        Ok((Cpu::new(pack.load(component, check)?, &options), Graph::from_config(&component.config)?))
    };
    let (executor, graph) = network(Role::DenseDetector, "face_detection_short_range")?;
    let detector = blaze::Detector::new(executor, graph)?;
    let (executor, graph) = network(Role::Landmarks, "face_landmark_with_attention")?;
    let mesh = landmarks::Landmarks::new(executor, graph)?;
    let source = Source::open(&args.clip)?;
    let frames: Vec<Frame> =
        source.frames(None)?.take(args.frames).map(|f| f.map(|(_, frame)| frame)).collect::<headgan::Result<_>>()?;
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
