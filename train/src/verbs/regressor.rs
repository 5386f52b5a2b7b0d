//! The verbs of the procedural head and its regressor: build the head as a pack; train, measure and export the regressor.

use super::common::{DetectorArgs, LoaderArgs, RunArgs, newest_checkpoint};
use headgan::import::fitting;
use headgan::media::still::{self, StillOptions};
use headgan::models::{ModelSet, Pack};
use headgan::morphable::Morphable;
use headgan::synthetic::head;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_train::data::store::model_of;
use headgan_train::regressor::{self, measure::EvaluatedRegressor};
use headgan_train::run::DataSet;
use headgan_train::{detector, morphable};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct BuildMorphable {
    /// The pack's folder, whose name is the pack's.
    #[arg(long, value_name = "PACKDIR")]
    out: PathBuf,
    /// Also write a picture of the mean head, its coordinate code and its modes.
    #[arg(long, value_name = "FILE.png")]
    sheet: Option<PathBuf>,
    /// The pack to compare with.
    #[arg(long, value_name = "NAME", default_value = "3ddfa-v2")]
    beside: String,
}

#[derive(clap::Args)]
pub struct Regressor {
    #[command(flatten)]
    run: RunArgs,
    /// Steps in all; the rate falls towards the last.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    steps: u64,
    /// Faces a step; each is seen in two crops.
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Width of the network; 3DDFA-V2's have 0.5 and 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    width: f32,
    #[arg(long, value_name = "RATE", default_value_t = 1e-3)]
    rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Heads that are drawn in all.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    heads: usize,
    /// Use every so many frames of a clip.
    #[arg(long, value_name = "N", default_value_t = 3)]
    every: usize,
    /// Drawn heads in a batch; the others are a data set's frames.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    drawn: f64,
    /// Leave the layers before this one (conv1, dw2_1 to dw6, fc) as they are: a step then takes half the time.
    #[arg(long, value_name = "LAYER")]
    learn_from: Option<String>,
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    checkpoint_minutes: f64,
    #[command(flatten)]
    loader_args: LoaderArgs,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
pub struct RegressorMeasure {
    /// The run's folder.
    #[arg(long, value_name = "RUN", group = "which")]
    run: Option<PathBuf>,
    /// The folder of a pack, instead of a run's.
    #[arg(long, value_name = "DIR", group = "which")]
    pack: Option<PathBuf>,
    /// The data set with the persons held out; drawn heads alone where there is none.
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Frames of each clip held out.
    #[arg(long, value_name = "N", default_value_t = 24)]
    frames: usize,
    /// Drawn heads.
    #[arg(long, value_name = "N", default_value_t = 300)]
    heads: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub struct RegressorExport {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// A run of a detector, whose weights go into the pack too.
    #[arg(long, value_name = "RUN")]
    detector: Option<PathBuf>,
    #[command(flatten)]
    detector_args: DetectorArgs,
    /// The pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// What the pack says of its licence.
    #[arg(long, value_name = "TEXT", default_value = "not stated")]
    licence: String,
}

pub fn build_morphable(args: &BuildMorphable) -> Result<()> {
    let model = head();
    let pack = fitting::write(&args.out, &model, None, fitting::LICENCE, headgan::import::check)?;
    println!(
        "{}: {} vertices, {} triangles, {} identity and {} expression modes",
        pack.folder.display(),
        model.vertex_count(),
        model.triangles.len(),
        model.shape_dim,
        model.expr_dim
    );
    println!("{}", morphable::comparison(&model, &ModelSet::discover(&[]), &args.beside)?);
    if let Some(path) = &args.sheet {
        still::write(path, &morphable::sheet(&model)?, &StillOptions::default())?;
    }
    Ok(())
}

pub fn train_regressor(args: &Regressor) -> Result<()> {
    let positive = args.batch > 0 && args.heads > 0 && args.width > 0.0 && args.width <= 4.0 && args.rate > 0.0;
    if !positive {
        return Err(Error::Usage("--batch, --heads, --width and --rate must be above 0 (--width at most 4)".into()));
    }
    if !(0.0..=1.0).contains(&args.drawn) {
        return Err(Error::Usage("--drawn must be from 0 to 1".into()));
    }
    let device = args.run.device_args.device()?;
    let settings = regressor::run::Settings {
        data: &args.run.data,
        run: &args.run.out,
        steps: args.steps,
        batch: args.batch,
        width: args.width,
        rate: args.rate,
        seed: args.seed,
        heads: args.heads,
        every: args.every,
        drawn: args.drawn,
        learn_from: args.learn_from.as_deref(),
        checkpoint_minutes: args.checkpoint_minutes,
        loaders: args.loader_args.threads(device),
        device,
        quiet: args.run.device_args.quiet,
    };
    let data = DataSet::open(&args.run.data)?;
    let fitted = model_of(&data.train, &ModelSet::discover(&[]))?;
    regressor::run::run(&settings, &data, &fitted)
}

/// The regressor that is measured, its model, and a line that says which it is.
fn measured(args: &RegressorMeasure) -> Result<(Weights, Morphable, String)> {
    if let Some(folder) = &args.pack {
        let (weights, model, _) = regressor::export::of_pack(&Pack::open(folder)?)?;
        return Ok(((*weights).clone(), model, folder.display().to_string()));
    }
    let run =
        args.run.as_deref().ok_or_else(|| Error::Usage("regressor-measure: give --run RUN or --pack DIR".into()))?;
    let checkpoint = newest_checkpoint(run)?;
    let (weights, model) = regressor::export::weights(&checkpoint)?;
    Ok((weights, model, format!("step {}", checkpoint.number("step")?)))
}

pub fn measure_regressor(args: &RegressorMeasure) -> Result<()> {
    let (weights, model, which) = measured(args)?;
    let data = args.data.as_deref().map(DataSet::open).transpose()?;
    let all = data.as_ref().map(|data| data.train.iter().chain(&data.held_out));
    let fitted = all.map(|clips| model_of(clips, &ModelSet::discover(&[]))).transpose()?;
    let held_out = data.as_ref().zip(fitted.as_ref()).map(|(data, fitted)| (data.held_out.as_slice(), fitted));
    let figures = EvaluatedRegressor::new(weights, model)?.measure(held_out, args.frames, args.heads, args.seed)?;
    if args.json {
        let text = serde_json::to_string_pretty(&figures)
            .map_err(|e| Error::engine(format!("figures: {e}")).with_source(e))?;
        println!("{text}");
    } else {
        println!("{which}\n{}", regressor::measure::text(&figures));
    }
    Ok(())
}

pub fn export_regressor(args: &RegressorExport) -> Result<()> {
    let checkpoint = newest_checkpoint(&args.run)?;
    let detector =
        args.detector.as_deref().map(|run| detector::export::weights(&newest_checkpoint(run)?)).transpose()?;
    let component =
        detector.as_ref().map(|weights| detector::export::component(weights, &(&args.detector_args).into()));
    let size = regressor::export::export_pack(&checkpoint, &args.pack, component, &args.licence)?;
    println!("{}: step {}, {size} bytes", args.pack.display(), checkpoint.number("step")?);
    Ok(())
}
