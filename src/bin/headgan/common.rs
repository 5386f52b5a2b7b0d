//! What several verbs need.

use headgan::engine::cpu;
use headgan::face::choose::Choice;
use headgan::face::track::{Settings, State, Tracked};
use headgan::frame::Frame;
use headgan::media::source::Source;
use headgan::models::pack::ModelSet;
use headgan::reenact::networks::Networks;
use headgan::{Error, Result};
use std::path::PathBuf;

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
    /// Detector to find faces with, where a pack has it.
    #[arg(long, value_name = "NAME", value_parser = ["retinaface", "faceboxes"])]
    pub detector: Option<String>,
    /// Where networks run.
    #[arg(long, value_name = "DEVICE", value_parser = ["auto", "cpu", "cuda"])]
    pub device: Option<String>,
    /// Threads of the generator; all cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

impl ModelArgs {
    /// Fails where the device is not there: nothing falls back silently.
    pub fn check_device(&self) -> Result<()> {
        if self.device.as_deref() == Some("cuda") {
            return Err(Error::Engine(
                "device 'cuda' needs the torch engine, which this version does not have yet: use --device cpu".into(),
            ));
        }
        Ok(())
    }

    /// The networks that fit faces; they are small, and one thread each is fastest.
    pub fn networks(&self, models: &ModelSet) -> Result<Networks> {
        self.check_device()?;
        let options = cpu::Options { threads: 1, ..cpu::Options::default() };
        Networks::load(models, self.pack.as_deref(), self.detector.as_deref(), &options)
    }
}

/// All packs: `$HEADGAN_MODELS`, the user's folder, beside the program, the repository.
pub fn packs() -> ModelSet {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("Resources/models")));
    let extra: Vec<PathBuf> = beside.into_iter().collect();
    ModelSet::discover(&extra)
}

/// The picture that a still, or frame `n` of a clip, shows.
pub fn picture(path: &str, n: Option<usize>) -> Result<Frame> {
    let source = Source::open(path)?;
    source.frame(n.unwrap_or(source.info().first))
}

/// The largest face of a still, fitted twice as upstream does it for a video's first frame.
pub fn reference_face(networks: &Networks, picture: &Frame, name: &str) -> Result<Tracked> {
    let tracker = networks.tracker(Settings { choice: Choice::Largest, ..Settings::default() });
    let found = tracker.step(&mut State::default(), picture)?;
    found.ok_or_else(|| no_face(name))
}

pub fn no_face(name: &str) -> Error {
    Error::NoFace(format!("{name}: no face was found; use a picture that shows one, at least 24 pixels large"))
}

/// Prints one JSON document on stdout.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Error::Input(format!("cannot write JSON: {e}")))?;
    say!("{text}");
    Ok(())
}
