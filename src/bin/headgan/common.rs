//! What several verbs need.

use crate::interrupt;
use clap::builder::PossibleValuesParser;
use headgan::controls::choices::Device;
use headgan::controls::{Presets, Values};
use headgan::face::choose::Choice;
use headgan::frame::Frame;
use headgan::media::Progress;
use headgan::media::source::Source;
use headgan::models::{Architecture, ModelSet};
use headgan::reenact::{ContextOptions, RenderContext};
use headgan::shot::Analysis;
use headgan::shot::cache::{self, Cache};
use headgan::{Error, Result};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// A line on stdout. A reader that has gone (`headgan ... | head`) is no reason to panic, or to stop.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout().lock(), $($text)*);
    }};
}

/// Packs and devices.
#[derive(clap::Args, Clone)]
pub struct ModelArgs {
    /// Model pack to fit faces with (`headgan models list`).
    #[arg(long, value_name = "NAME")]
    pub pack: Option<String>,
    /// Fit the model of --pack to the 478 points of this pack (mediapipe), instead of with its own network.
    #[arg(long, value_name = "NAME", requires = "pack", conflicts_with = "detector")]
    pub points: Option<String>,
    /// Detector to find faces with, where a pack has it.
    #[arg(long, value_name = "NAME", value_parser = ["retinaface", "faceboxes"])]
    pub detector: Option<String>,
    /// Where the generator runs: auto is cuda where the torch engine and a CUDA device are there, else cpu (this program's own
    /// engine); torch_cpu is the torch engine on the CPU.
    #[arg(long, value_name = "DEVICE", value_parser = PossibleValuesParser::new(Device::ALL.iter().map(|d| d.id())))]
    pub device: Option<String>,
    /// Threads of the analysis and of the generator; all cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

impl ModelArgs {
    /// The device of these options alone.
    pub fn device(&self) -> Device {
        let named = self.device.as_deref().and_then(|id| Device::ALL.iter().find(|d| d.id() == id));
        named.copied().unwrap_or(Device::Auto)
    }

    /// What these options say of a context. `device`, where one is named, must be there, even if nothing runs on it: nothing falls back
    /// silently.
    pub fn options(&self, device: Device) -> ContextOptions {
        ContextOptions {
            pack: self.pack.clone(),
            points: self.points.clone(),
            detector: self.detector.as_deref().map(Architecture::from),
            threads: self.threads,
            device: (device != Device::Auto).then_some(device),
            ..ContextOptions::default()
        }
    }

    /// The context of a verb that runs no generator.
    ///
    /// # Errors
    /// As [`RenderContext::load`].
    pub fn context(&self, device: Device) -> Result<RenderContext> {
        RenderContext::load(packs(), self.options(device))
    }
}

/// All packs: `$HEADGAN_MODELS`, the user's folder, beside the program, the repository.
pub fn packs() -> ModelSet {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("Resources/models")));
    let extra: Vec<PathBuf> = beside.into_iter().collect();
    ModelSet::discover(&extra)
}

/// Controls.
#[derive(clap::Args, Clone)]
pub struct ControlArgs {
    /// Start from a preset (`headgan presets list`) or a preset's file.
    #[arg(long, value_name = "NAME|FILE")]
    pub preset: Option<String>,
    /// Set a control (`headgan presets show --controls` lists them); may be given many times.
    #[arg(long = "set", value_name = "CONTROL=VALUE")]
    pub set: Vec<String>,
}

impl ControlArgs {
    /// The preset, then what is set, then the device.
    pub fn values(&self, models: &ModelArgs) -> Result<Values> {
        let mut values = Values::default();
        if let Some(preset) = &self.preset {
            Presets::standard().find(preset)?.apply(&mut values);
        }
        for assignment in &self.set {
            values.assign(assignment)?;
        }
        if let Some(device) = &models.device {
            values.set("device", device)?;
        }
        Ok(values)
    }
}

/// The picture that a still, or frame `n` of a clip, shows.
pub fn picture(path: &str, n: Option<usize>) -> Result<Frame> {
    let source = Source::open(path)?.cancelled_by(interrupt::token());
    source.frame(n.unwrap_or(source.info().first))
}

/// The shot cache.
#[derive(clap::Args, Clone)]
pub struct CacheArgs {
    /// Folder of the shot cache; $HEADGAN_CACHE or the user's cache folder unless told.
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    pub cache: Option<PathBuf>,
    /// Neither read nor write the shot cache.
    #[arg(long)]
    pub no_cache: bool,
}

/// Where the shot cache lies unless told otherwise.
pub fn cache_folder(named: Option<&Path>) -> Result<PathBuf> {
    let folder = named.map(Path::to_owned).or_else(cache::standard_folder);
    folder.ok_or_else(|| Error::Usage("this system names no cache folder: say where with --cache DIR".into()))
}

/// The size limit that the user has set.
pub fn cache_limit() -> Result<u64> {
    match std::env::var("HEADGAN_CACHE_LIMIT") {
        Ok(text) => cache::parse_size(&text).map_err(|e| Error::usage(format!("HEADGAN_CACHE_LIMIT: {e}"))),
        Err(_) => Ok(cache::DEFAULT_LIMIT),
    }
}

impl CacheArgs {
    /// The cache. One that was named must work; the usual one is done without where it does not.
    pub fn open(&self) -> Result<Option<Cache>> {
        if self.no_cache {
            return Ok(None);
        }
        let limit = cache_limit()?;
        let opened = cache_folder(self.cache.as_deref()).and_then(|folder| Cache::open(&folder, limit));
        match opened {
            Ok(cache) => Ok(Some(cache)),
            Err(error) if self.cache.is_some() => Err(error),
            Err(error) => {
                eprintln!("headgan: {} (the work goes on without)", crate::advice::message_with_advice(&error));
                Ok(None)
            }
        }
    }
}

/// Analyses a clip with progress, and says what was wrong with the cache.
pub fn analyse(
    context: &RenderContext,
    source: &Source,
    choice: impl Fn(usize, usize) -> Choice,
    cache: Option<&Cache>,
    quiet: bool,
) -> Result<Analysis> {
    let total = source.info().frames.map(|n| n as u64);
    let progress = Mutex::new(Progress::new("analysing", total, quiet));
    let each = || {
        if let Ok(mut progress) = progress.lock() {
            progress.inc(1);
        }
    };
    let analysis = context.analyse_source(source, choice, cache, &each, interrupt::token());
    if let Ok(mut progress) = progress.lock() {
        progress.finish();
    }
    if let Some(problem) = cache.and_then(Cache::problem) {
        eprintln!("headgan: {problem}");
    }
    analysis
}

/// Prints one JSON document on stdout.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|e| Error::input(format!("cannot write JSON: {e}")).with_source(e))?;
    say!("{text}");
    Ok(())
}
