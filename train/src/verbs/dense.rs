//! The verbs of the dense networks: label, train, measure, export.

use super::common::{DeviceArgs, LoaderArgs, networks, newest_checkpoint};
use headgan::models::{ModelSet, Pack};
use headgan::reenact::networks::{Fitting, Networks};
use headgan::{Error, Result};
use headgan_train::dense::export;
use headgan_train::dense::label::{self, LabelSettings};
use headgan_train::dense::measure::{self, Beside};
use headgan_train::dense::run::{self, Network};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Label {
    /// Folder with clips, at any depth.
    #[arg(long, value_name = "DIR")]
    clips: PathBuf,
    /// Folder of the labels; clips that were looked at are not looked at again.
    #[arg(long, value_name = "LABELS")]
    out: PathBuf,
    /// The pack whose dense points are learned.
    #[arg(long, value_name = "NAME", default_value = "mediapipe")]
    pack: String,
    /// One frame of so many.
    #[arg(long, value_name = "N", default_value_t = 4)]
    every: usize,
    /// Clips that are looked at at once.
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Train {
    /// Which of the two networks.
    #[arg(long, value_enum)]
    network: Network,
    /// What dense-label wrote.
    #[arg(long, value_name = "LABELS")]
    labels: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Clips to leave out: a file with a name in each line.
    #[arg(long, value_name = "FILE")]
    hold_out: PathBuf,
    /// Steps in all; the rate falls towards the last.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    steps: u64,
    /// Pictures a step.
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    #[arg(long, value_name = "RATE", default_value_t = 2e-3)]
    rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Heads that are drawn.
    #[arg(long, value_name = "N", default_value_t = 300)]
    heads: usize,
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    checkpoint_minutes: f64,
    #[command(flatten)]
    loader_args: LoaderArgs,
    #[command(flatten)]
    device_args: DeviceArgs,
}

#[derive(clap::Args)]
pub struct Measure {
    /// Clips: a file with a path in each line.
    #[arg(long, value_name = "FILE")]
    list: PathBuf,
    /// The pack that is measured.
    #[arg(long, value_name = "NAME", default_value = "starter-face")]
    pack: String,
    /// The pack whose answers are wanted.
    #[arg(long, value_name = "NAME", default_value = "mediapipe")]
    beside: String,
    /// One frame of so many.
    #[arg(long, value_name = "N", default_value_t = 1)]
    every: usize,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Export {
    /// The folder of the run of points.
    #[arg(long, value_name = "RUN")]
    points: PathBuf,
    /// The folder of the finder's run.
    #[arg(long, value_name = "RUN")]
    finder: PathBuf,
    /// The folder of a pack with a head.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The new pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
}

pub fn train(args: &Train) -> Result<()> {
    if args.batch < 4 || args.rate.is_nan() || args.rate <= 0.0 {
        return Err(Error::Usage("--batch must be at least 4 and --rate above 0".into()));
    }
    let device = args.device_args.device()?;
    run::run(&run::Settings {
        network: args.network,
        labels: &args.labels,
        hold_out: &args.hold_out,
        run: &args.out,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        seed: args.seed,
        heads: args.heads,
        checkpoint_minutes: args.checkpoint_minutes,
        loaders: args.loader_args.threads(device),
        device,
        quiet: args.device_args.quiet,
    })
}

/// A pack with dense points.
fn dense_pack(name: &str) -> Result<Networks> {
    let found = networks(&ModelSet::discover(&[]), Some(name))?;
    if matches!(found.fitting, Fitting::Dense { .. }) {
        return Ok(found);
    }
    Err(Error::usage(format!("the pack '{name}' has no dense points: name another")))
}

pub fn measure(args: &Measure) -> Result<()> {
    if args.every == 0 {
        return Err(Error::Usage("--every must be above 0".into()));
    }
    let text = std::fs::read_to_string(&args.list)
        .map_err(|e| Error::usage(format!("--list {}: cannot be read ({e})", args.list.display())).with_source(e))?;
    let paths: Vec<PathBuf> = text.lines().map(str::trim).filter(|l| !l.is_empty()).map(PathBuf::from).collect();
    let (own, wanted) = (dense_pack(&args.pack)?, dense_pack(&args.beside)?);
    let beside = Beside { own: &own, wanted: &wanted, every: args.every };
    let figures = measure::clips(&beside, &paths, args.quiet || args.json)?;
    if args.json {
        let text = serde_json::to_string_pretty(&figures)
            .map_err(|e| Error::engine(format!("figures: {e}")).with_source(e))?;
        println!("{text}");
    } else {
        println!("{}", figures.figures.text());
        println!("found in {} of {} frames", figures.found, figures.frames);
        let [[own, own_least], [other, other_least]] = [figures.own_ms, figures.wanted_ms];
        println!("a frame: {own:.2} ms (a tenth {own_least:.2}); {}: {other:.2} ms ({other_least:.2})", args.beside);
    }
    Ok(())
}

pub fn export_pack(args: &Export) -> Result<()> {
    let (points, finder) = (newest_checkpoint(&args.points)?, newest_checkpoint(&args.finder)?);
    let size = export::export_pack(&Pack::open(&args.from)?, &points, &finder, &args.pack)?;
    let steps = [points.number("step")?, finder.number("step")?];
    println!("{}: points step {}, finder step {}, {size} bytes", args.pack.display(), steps[0], steps[1]);
    Ok(())
}

pub fn label(args: &Label) -> Result<()> {
    if args.every == 0 {
        return Err(Error::Usage("--every must be above 0".into()));
    }
    let networks = dense_pack(&args.pack)?;
    let settings =
        LabelSettings { networks: networks.models.iter().map(|m| m.blake3.clone()).collect(), every: args.every };
    let observer = networks.observer();
    let [clips, frames, faces] = label::label(&args.clips, &args.out, &settings, &observer, args.threads, args.quiet)?;
    println!("{}: {clips} new clips, {frames} frames, {faces} faces", args.out.display());
    Ok(())
}
