//! The verbs of the detector: label, train, measure, export.

use super::common::{DetectorArgs, DeviceArgs, newest_checkpoint};
use headgan::engine::{Embedded, cpu};
use headgan::face::detector::{Detector as Finder, Kind};
use headgan::media::still::{self, StillOptions};
use headgan::models::{Architecture, ModelSet, Role};
use headgan::{Error, Result};
use headgan_train::detector::labels::{self, LabelSettings};
use headgan_train::detector::measure::{self, Comparison, EvaluatedDetector};
use headgan_train::detector::{export, run};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Label {
    /// Folder with clips and images, at any depth.
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Folder of the labels; files that were looked at are not looked at again.
    #[arg(long, value_name = "LABELS")]
    out: PathBuf,
    /// The pack whose RetinaFace finds the faces.
    #[arg(long, value_name = "NAME", default_value = "retinaface")]
    pack: String,
    /// Frames of each clip, evenly over it.
    #[arg(long, value_name = "N", default_value_t = 12)]
    frames: usize,
    /// Longest side of a picture in pixels; larger ones are scaled down.
    #[arg(long, value_name = "PIXELS", default_value_t = 640)]
    side: usize,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
pub struct Train {
    /// What detector-label wrote.
    #[arg(long, value_name = "LABELS")]
    labels: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Clips and images to leave out: a file with a name in each line, or a data set, whose persons held out it means.
    #[arg(long, value_name = "FILE|DATA")]
    hold_out: Option<PathBuf>,
    /// Steps in all; the rate falls towards the last.
    #[arg(long, value_name = "N", default_value_t = 4_000)]
    steps: u64,
    /// Scenes of 320 x 320 pixels a step, or others of as many pixels together.
    #[arg(long, value_name = "N", default_value_t = 8)]
    batch: usize,
    #[arg(long, value_name = "RATE", default_value_t = 3e-3)]
    rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Heads that are drawn in all.
    #[arg(long, value_name = "N", default_value_t = 600)]
    heads: usize,
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    checkpoint_minutes: f64,
    /// How often pictures of who is held out are looked at.
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    validation_minutes: f64,
    #[command(flatten)]
    device_args: DeviceArgs,
}

#[derive(clap::Args)]
pub struct Measure {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// What detector-label wrote.
    #[arg(long, value_name = "LABELS")]
    labels: PathBuf,
    /// Who is held out, as in training.
    #[arg(long, value_name = "FILE|DATA")]
    hold_out: PathBuf,
    /// The pack whose RetinaFace to compare with.
    #[arg(long, value_name = "NAME", default_value = "retinaface")]
    beside: String,
    /// Drawn heads, scenes, and pictures of nobody.
    #[arg(long, value_name = "N", default_value_t = 300)]
    count: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Also write pictures on which a face was missed, or one reported that is none.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    #[command(flatten)]
    detector_args: DetectorArgs,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct Export {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// The pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    #[command(flatten)]
    detector_args: DetectorArgs,
    /// What the pack says of its licence.
    #[arg(long, value_name = "TEXT", default_value = "not stated")]
    licence: String,
}

pub fn label(args: &Label) -> Result<()> {
    if args.frames == 0 || args.side < 64 {
        return Err(Error::Usage("--frames must be above 0 and --side at least 64".into()));
    }
    let models = ModelSet::discover(&[]);
    let (pack, part) = models.find(Role::Detector, Some(&Architecture::RetinaFace), Some(&args.pack))?;
    let weights = pack.load(part, headgan::import::check)?;
    let kind = Kind::from_weights(&weights)?;
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let mut finder = Finder::new(Embedded::new(weights, &options), kind);
    let settings = LabelSettings { detector: part.blake3.clone(), side: args.side, frames: args.frames };
    let [files, pictures, faces] = labels::label_files(&args.images, &args.out, &settings, &mut finder, args.quiet)?;
    println!("{}: {files} files, {pictures} pictures, {faces} faces", args.out.display());
    Ok(())
}

pub fn train(args: &Train) -> Result<()> {
    if args.batch == 0 || args.rate.is_nan() || args.rate <= 0.0 {
        return Err(Error::Usage("--batch and --rate must be above 0".into()));
    }
    run::run(&run::Settings {
        labels: &args.labels,
        hold_out: args.hold_out.as_deref(),
        run: &args.out,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        seed: args.seed,
        heads: args.heads,
        checkpoint_minutes: args.checkpoint_minutes,
        validation_minutes: args.validation_minutes,
        device: args.device_args.device()?,
        quiet: args.device_args.quiet,
    })
}

pub fn measure(args: &Measure) -> Result<()> {
    let checkpoint = newest_checkpoint(&args.run)?;
    let mut own = EvaluatedDetector::new(export::weights(&checkpoint)?)?;
    own.configure(&(&args.detector_args).into());
    let models = ModelSet::discover(&[]);
    let (pack, part) = models.find(Role::Detector, Some(&Architecture::RetinaFace), Some(&args.beside))?;
    let upstream = EvaluatedDetector::new((*pack.load(part, headgan::import::check)?).clone())?;
    let [_, held] = labels::split(&args.labels, Some(&args.hold_out))?;
    let mut comparison = Comparison::new(own, upstream);
    let figures = comparison.measure(&args.labels, &held, args.count, args.seed)?;
    if args.json {
        let text = serde_json::to_string_pretty(&figures)
            .map_err(|e| Error::engine(format!("figures: {e}")).with_source(e))?;
        println!("{text}");
    } else {
        println!("step {}\n{}", checkpoint.number("step")?, measure::text(&figures));
    }
    match &args.sheet {
        Some(path) => still::write(path, &comparison.sheet(), &StillOptions::default()),
        None => Ok(()),
    }
}

pub fn export_pack(args: &Export) -> Result<()> {
    let checkpoint = newest_checkpoint(&args.run)?;
    let size = export::export_pack(&checkpoint, &args.pack, &(&args.detector_args).into(), &args.licence)?;
    println!("{}: step {}, {size} bytes", args.pack.display(), checkpoint.number("step")?);
    Ok(())
}
