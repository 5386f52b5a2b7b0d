//! The verbs of the generator: train; export, which also writes a run's acoustic model as a pack.

use super::common::{LoaderArgs, RunArgs, networks, newest_checkpoint};
use headgan::models::ModelSet;
use headgan::{Error, Result};
use headgan_train::config::TrainConfig;
use headgan_train::{export, run, speech};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Generator {
    /// The run's configuration; what it leaves out is the small generator's (docs/TRAINING.md).
    #[arg(long, value_name = "FILE.json")]
    config: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// Stop after so many steps.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// Model pack that the data set was fitted with.
    #[arg(long, value_name = "NAME")]
    pack: Option<String>,
    #[command(flatten)]
    loader_args: LoaderArgs,
}

#[derive(clap::Args)]
pub struct Export {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    #[arg(short, long, value_name = "FILE.safetensors", required_unless_present = "pack")]
    output: Option<PathBuf>,
    /// Write a pack into this folder, whose name is the pack's, such as one in the user's folder of models.
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pack: Option<PathBuf>,
    /// What the pack says of its licence.
    #[arg(long, value_name = "TEXT", default_value = "not stated", requires = "pack")]
    licence: String,
}

pub fn train(args: Generator) -> Result<()> {
    let config = TrainConfig::load(&args.config)?;
    let device = args.run.device_args.device()?;
    let models = ModelSet::discover(&[]);
    let networks = networks(&models, args.pack.as_deref())?;
    run::run(run::Settings {
        config,
        data: &args.run.data,
        run: &args.run.out,
        device,
        steps: args.steps,
        loaders: args.loader_args.threads(device),
        model: networks.morphable.clone(),
        draft: networks.draft.clone(),
        models: &models,
        quiet: args.run.device_args.quiet,
    })
}

pub fn export_run(args: &Export) -> Result<()> {
    let checkpoint = newest_checkpoint(&args.run)?;
    let (path, size) = match (&args.output, &args.pack) {
        (Some(_), _) if speech::export::is_speech(&checkpoint) => {
            return Err(Error::Usage("export: an acoustic model is written as a pack: give --pack DIR".into()));
        }
        (None, Some(folder)) if speech::export::is_speech(&checkpoint) => {
            (folder, speech::export::export_pack(&checkpoint, folder, &args.licence)?)
        }
        (Some(file), _) => (file, export::export(&checkpoint, file)?),
        (None, Some(folder)) => (folder, export::export_pack(&checkpoint, folder, &args.licence)?),
        (None, None) => return Err(Error::Usage("export: give --output FILE or --pack DIR".into())),
    };
    println!("{}: step {}, {size} bytes", path.display(), checkpoint.number("step")?);
    Ok(())
}
