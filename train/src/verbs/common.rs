//! What several verbs share: arguments, the device, networks and a run's newest checkpoint.

use headgan::engine::cpu;
use headgan::models::ModelSet;
use headgan::reenact::networks::Networks;
use headgan::{Error, Result};
use headgan_train::checkpoint::{self, Checkpoint};
use std::path::{Path, PathBuf};
use tch::{Cuda, Device};

/// What a run learns from, where it lies and what it runs on.
#[derive(clap::Args)]
pub struct RunArgs {
    /// A prepared data set; for an acoustic model a folder with `manifest.jsonl` (docs/FORMATS.md).
    #[arg(long, value_name = "DATA")]
    pub data: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    pub out: PathBuf,
    #[command(flatten)]
    pub device_args: DeviceArgs,
}

/// What a run runs on.
#[derive(clap::Args)]
pub struct DeviceArgs {
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    device: String,
    /// Threads on a processor; all cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
    #[arg(long, short)]
    pub quiet: bool,
}

impl DeviceArgs {
    /// The device, with as many threads as told.
    pub fn device(&self) -> Result<Device> {
        if self.threads > 0 {
            tch::set_num_threads(i32::try_from(self.threads).unwrap_or(i32::MAX));
        }
        device(&self.device)
    }
}

/// How a detector looks at pictures.
#[derive(clap::Args)]
pub struct DetectorArgs {
    /// Scale pictures down to so many pixels of the longer side before the detector looks; 1600 unless told.
    #[arg(long, value_name = "PIXELS")]
    longer_side: Option<usize>,
    /// The least score of a face that is reported; 0.5 unless told.
    #[arg(long, value_name = "SCORE")]
    score: Option<f32>,
}

impl From<&DetectorArgs> for headgan::face::detector::DetectorOverrides {
    fn from(args: &DetectorArgs) -> headgan::face::detector::DetectorOverrides {
        headgan::face::detector::DetectorOverrides { longer_side: args.longer_side, score: args.score }
    }
}

/// Who makes what a step learns from.
#[derive(clap::Args)]
pub struct LoaderArgs {
    /// Threads that make batches ahead of the steps; unless told none beside a processor's steps, and beside a card's
    /// all cores but one.
    #[arg(long, value_name = "N")]
    loaders: Option<usize>,
}

impl LoaderArgs {
    pub fn threads(&self, device: Device) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.loaders.unwrap_or_else(|| if device.is_cuda() { (cores() - 1).max(1) } else { 0 })
    }
}

pub fn networks(models: &ModelSet, pack: Option<&str>) -> Result<Networks> {
    Networks::load(models, pack, None, &cpu::Options { threads: 1, ..cpu::Options::default() })
}

fn device(name: &str) -> Result<Device> {
    match (name, Cuda::is_available()) {
        ("cpu", _) | ("auto", false) => Ok(Device::Cpu),
        (_, true) => Ok(Device::Cuda(0)),
        _ => Err(Error::Engine(
            "device 'cuda': this libtorch has none, or there is no card: build with one that has, or use --device cpu"
                .into(),
        )),
    }
}

/// The newest checkpoint of a run.
pub fn newest_checkpoint(run: &Path) -> Result<Checkpoint> {
    checkpoint::newest(&run.join("checkpoints"), Device::Cpu)?
        .ok_or_else(|| Error::input(format!("{}: has no checkpoint yet", run.display())))
}
