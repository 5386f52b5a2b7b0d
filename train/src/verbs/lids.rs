//! The verbs of the lids: train, export.

use super::common::{DeviceArgs, newest_checkpoint};
use headgan::engine::{Embedded, cpu};
use headgan::face::regress::{self, Regressor};
use headgan::models::Pack;
use headgan::nets::mobilenet::Config;
use headgan::{Error, Result};
use headgan_train::lids::{export, run};
use headgan_train::regressor;
use std::path::PathBuf;
use tch::Device;

#[derive(clap::Args)]
pub struct Train {
    /// The folder of the pack whose regressor gets a second look.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    /// Steps in all; the rate falls towards the last.
    #[arg(long, value_name = "N", default_value_t = 6_000)]
    steps: u64,
    /// Faces a step.
    #[arg(long, value_name = "N", default_value_t = 96)]
    batch: usize,
    #[arg(long, value_name = "RATE", default_value_t = 2e-3)]
    rate: f64,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Heads that are drawn.
    #[arg(long, value_name = "N", default_value_t = 4_800)]
    heads: usize,
    /// How often each is seen: sharp and blurred, lit in other ways, from other crops.
    #[arg(long, value_name = "N", default_value_t = 4)]
    views: usize,
    #[arg(long, value_name = "MINUTES", default_value_t = 10.0)]
    checkpoint_minutes: f64,
    #[command(flatten)]
    device_args: DeviceArgs,
}

#[derive(clap::Args)]
pub struct Export {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// The pack's folder that the run was made with.
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The new pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
}

pub fn train(args: &Train) -> Result<()> {
    if args.batch == 0 || args.heads == 0 || args.views == 0 || args.rate.is_nan() || args.rate <= 0.0 {
        return Err(Error::Usage("--batch, --heads, --views and --rate must be above 0".into()));
    }
    let device: Device = args.device_args.device()?;
    let (weights, model, blake3) = regressor::export::of_pack(&Pack::open(&args.pack)?)?;
    // What is taught sees the first look's fits, whether the pack has a second already or not.
    let config = Config { lids: false, ..regress::check(&weights)? };
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    let regressor = Regressor::new(Embedded::new(weights, &options), config, &model)?;
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let settings = run::Settings {
        pack: &args.pack.to_string_lossy(),
        regressor: &blake3,
        run: &args.out,
        steps: args.steps,
        batch: args.batch,
        rate: args.rate,
        seed: args.seed,
        heads: args.heads,
        views: args.views,
        checkpoint_minutes: args.checkpoint_minutes,
        threads: if args.device_args.threads > 0 { args.device_args.threads } else { cores },
        device,
        quiet: args.device_args.quiet,
    };
    run::run(&settings, &regressor, &model)
}

pub fn export_pack(args: &Export) -> Result<()> {
    let checkpoint = newest_checkpoint(&args.run)?;
    let size = export::export_pack(&Pack::open(&args.from)?, &checkpoint, &args.pack)?;
    println!("{}: step {}, {size} bytes", args.pack.display(), checkpoint.number("step")?);
    Ok(())
}
