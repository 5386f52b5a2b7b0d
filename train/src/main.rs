//! `headgan-train`: prepares data sets, trains generators, exports them.

use clap::{Parser, Subcommand};
use headgan::engine::cpu;
use headgan::face::detector as finder;
use headgan::import::fitting;
use headgan::media::interrupt;
use headgan::media::still::{self, StillOptions};
use headgan::models::{ModelSet, Pack};
use headgan::morphable::Morphable;
use headgan::reenact::networks::Networks;
use headgan::shot::cache::{self, Cache};
use headgan::synthetic::head;
use headgan::weights::Weights;
use headgan::{audio, Error, Result};
use headgan_train::checkpoint::{self, Checkpoint};
use headgan_train::config::TrainConfig;
use headgan_train::data::split::HoldOut;
use headgan_train::data::store::model_of;
use headgan_train::data::{prepare, sound};
use headgan_train::regressor::{self, measure::Subject};
use headgan_train::run::{self, DataSet};
use headgan_train::speech::{self, measure, synthesis};
use headgan_train::voxceleb2::client::Patience;
use headgan_train::voxceleb2::{self, BaseUrl, Checksums, Credentials, Half, address, credentials};
use headgan_train::{detector, export, morphable};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tch::{Cuda, Device};

/// Verbs with files of their own.
mod verbs {
    pub mod detector;
    pub mod lids;
}

/// Trains generators for HeadGAN Reenact.
#[derive(Parser)]
#[command(name = "headgan-train", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Turn a folder of clips into a data set: faces found and fitted, one window per clip, what is heard, split by
    /// person.
    Prepare(Prepare),
    /// Train a generator; goes on where the run's folder has a checkpoint.
    Generator(Generator),
    /// Download VoxCeleb2's videos, unpack them and, with --prepare, turn them into a data set. Goes on where it was
    /// left.
    Voxceleb2(Voxceleb2),
    /// Make transcribed speech with espeak-ng: sounds, what they say, and when each letter begins.
    SpeechData(SpeechData),
    /// Train an acoustic model on transcribed speech; goes on where the run's folder has a checkpoint.
    Speech(Speech),
    /// Say how much of the held-out sets of transcribed speech a run's acoustic model hears, and how near the letters' times.
    SpeechMeasure(SpeechMeasure),
    /// Write a run's generator as a file that `headgan reenact --quality full --generator FILE` takes, or a run's
    /// generator or acoustic model as a model pack.
    Export(Export),
    /// Write the procedural head as a model pack, and compare it with the one of 3DDFA-V2 where that is there.
    BuildMorphable(BuildMorphable),
    /// Train a regressor of the procedural head's parameters on drawn heads and a data set's frames; goes on where the
    /// run's folder has a checkpoint.
    Regressor(Regressor),
    /// Measure a regressor, a run's or a pack's, on persons held out and on drawn heads.
    RegressorMeasure(RegressorMeasure),
    /// Write a run's regressor and the head as a model pack.
    RegressorExport(RegressorExport),
    /// Find the faces of clips and images with another detector, once, for training one.
    DetectorLabel(verbs::detector::Label),
    /// Train a detector (RetinaFace) on labelled pictures and drawn heads; goes on where the run's folder has a
    /// checkpoint.
    Detector(verbs::detector::Train),
    /// Measure a run's detector beside the one that labelled, on who is held out and on drawn heads.
    DetectorMeasure(verbs::detector::Measure),
    /// Write a run's detector as a model pack.
    DetectorExport(verbs::detector::Export),
    /// Train the second look of a pack's regressor, at the lids, on drawn heads; goes on where the run's
    /// folder has a checkpoint.
    Lids(verbs::lids::Train),
    /// Write a pack again, with a run's second look in its regressor.
    LidsExport(verbs::lids::Export),
}

#[derive(clap::Args)]
struct Prepare {
    /// Folder with clips.
    #[arg(long, value_name = "DIR")]
    clips: PathBuf,
    /// Folder of the data set; finished clips in it are kept.
    #[arg(long, value_name = "DATA")]
    out: PathBuf,
    /// Take clips from the folders beneath --clips, at any depth; the uppermost folder's name is the person.
    #[arg(long)]
    persons_from_folders: bool,
    /// A picture within the picture of files whose names contain TEXT, to be painted over: TEXT=X,Y,WIDTH,HEIGHT in
    /// their pixels.
    #[arg(long, value_name = "TEXT=X,Y,W,H", value_parser = inset)]
    inset: Vec<(String, [usize; 4])>,
    #[command(flatten)]
    how: How,
    #[arg(long, short)]
    quiet: bool,
}

/// How clips become a data set.
#[derive(clap::Args)]
struct How {
    /// How many persons to hold out, or a file with the names of persons' folders or prepared clips, a line each: the
    /// persons to hold out.
    #[arg(long, value_name = "FILE|N", default_value = "12")]
    hold_out: String,
    /// Of the draw of who is held out.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Model pack to fit faces with.
    #[arg(long, value_name = "NAME")]
    pack: Option<String>,
    /// All cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
}

#[derive(clap::Args)]
struct Voxceleb2 {
    /// The user whom the publisher of the data set knows.
    #[arg(long, value_name = "USER", requires = "password_file")]
    user: Option<String>,
    /// A file with the password in its first line.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    #[arg(long, value_name = "SPLIT", value_parser = ["test", "train"])]
    split: String,
    /// Gets the parts, and the clips in DIR/test or DIR/train.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Where the parts lie; their names are put behind it, or where {name} stands in it.
    #[arg(long, value_name = "URL", default_value = address::DEFAULT)]
    base_url: String,
    /// Allow plain http, which others can read and change, to other machines too.
    #[arg(long)]
    allow_http: bool,
    /// Checksums of parts or of the archive that they make, as md5sum or sha256sum writes them.
    #[arg(long, value_name = "FILE")]
    checksums: Option<PathBuf>,
    /// Prepare the clips as the data set DATA, with the persons that VoxCeleb2's folders name.
    #[arg(long, value_name = "DATA")]
    prepare: Option<PathBuf>,
    #[command(flatten)]
    how: How,
    #[arg(long, short)]
    quiet: bool,
}

/// What a run learns from, where it lies and what it runs on.
#[derive(clap::Args)]
struct RunArgs {
    /// A prepared data set; for an acoustic model a folder with `manifest.jsonl` (docs/FORMATS.md).
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
    #[command(flatten)]
    on: Machine,
}

/// What a run runs on.
#[derive(clap::Args)]
struct Machine {
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    device: String,
    /// Threads on a processor; all cores unless told.
    #[arg(long, value_name = "N", default_value_t = 0)]
    threads: usize,
    #[arg(long, short)]
    quiet: bool,
}

impl Machine {
    /// The device, with as many threads as told.
    fn place(&self) -> Result<Device> {
        if self.threads > 0 {
            tch::set_num_threads(i32::try_from(self.threads).unwrap_or(i32::MAX));
        }
        device(&self.device)
    }
}

/// How a detector looks at pictures.
#[derive(clap::Args)]
struct Look {
    /// Scale pictures down to so many pixels of the longer side before the detector looks; 1600 unless told.
    #[arg(long, value_name = "PIXELS")]
    longer_side: Option<usize>,
    /// The least score of a face that is reported; 0.5 unless told.
    #[arg(long, value_name = "SCORE")]
    score: Option<f32>,
}

impl From<&Look> for headgan::face::detector::DetectorOverrides {
    fn from(args: &Look) -> headgan::face::detector::DetectorOverrides {
        headgan::face::detector::DetectorOverrides { longer_side: args.longer_side, score: args.score }
    }
}

/// Who makes what a step learns from.
#[derive(clap::Args)]
struct Loading {
    /// Threads that make batches ahead of the steps; unless told none beside a processor's steps, and beside a card's
    /// all cores but one.
    #[arg(long, value_name = "N")]
    loaders: Option<usize>,
}

impl Loading {
    fn threads(&self, device: Device) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        self.loaders.unwrap_or_else(|| if device.is_cuda() { (cores() - 1).max(1) } else { 0 })
    }
}

#[derive(clap::Args)]
struct Generator {
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
    loading: Loading,
}

#[derive(clap::Args)]
struct SpeechData {
    /// Gets `manifest.jsonl` and `sounds`.
    #[arg(long, value_name = "DATA")]
    out: PathBuf,
    /// Sentences to train on.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: usize,
    /// Sentences of each of the two sets that are held out.
    #[arg(long, value_name = "N", default_value_t = 100)]
    hold_out: usize,
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    #[arg(long, short)]
    quiet: bool,
}

#[derive(clap::Args)]
struct Speech {
    /// The run's configuration; what it leaves out is the small model's (docs/TRAINING.md).
    #[arg(long, value_name = "FILE.json")]
    config: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// Stop after so many steps.
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
struct SpeechMeasure {
    /// The run's folder.
    #[arg(long, value_name = "RUN", group = "which")]
    run: Option<PathBuf>,
    /// The acoustic model of a pack instead, on the embedded engine.
    #[arg(long, value_name = "NAME", group = "which")]
    pack: Option<String>,
    /// A folder with `manifest.jsonl`.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Normalise spectra as a stream does, by what was heard before them.
    #[arg(long)]
    running: bool,
    /// Print what was said and what was heard of every sound too.
    #[arg(long)]
    each: bool,
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct Export {
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

#[derive(clap::Args)]
struct BuildMorphable {
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
struct Regressor {
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
    loading: Loading,
}

#[derive(clap::Args)]
#[command(group(clap::ArgGroup::new("which").required(true)))]
struct RegressorMeasure {
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
struct RegressorExport {
    /// The run's folder.
    #[arg(long, value_name = "RUN")]
    run: PathBuf,
    /// A run of a detector, whose weights go into the pack too.
    #[arg(long, value_name = "RUN")]
    detector: Option<PathBuf>,
    #[command(flatten)]
    look: Look,
    /// The pack's folder, whose name is the pack's.
    #[arg(long, value_name = "DIR")]
    pack: PathBuf,
    /// What the pack says of its licence.
    #[arg(long, value_name = "TEXT", default_value = "not stated")]
    licence: String,
}

/// `TEXT=X,Y,W,H`.
fn inset(text: &str) -> Result<(String, [usize; 4]), String> {
    let wrong = || format!("'{text}' is no inset: write TEXT=X,Y,WIDTH,HEIGHT");
    let (name, rect) = text.split_once('=').ok_or_else(wrong)?;
    let numbers: Vec<usize> =
        rect.split(',').map(|n| n.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    Ok((name.to_owned(), numbers.try_into().map_err(|_| wrong())?))
}

fn networks(models: &ModelSet, pack: Option<&str>) -> Result<Networks> {
    Networks::load(models, pack, None, &cpu::Options { threads: 1, ..cpu::Options::default() })
}

/// Who is held out, by a number or a file of names.
fn hold_out(text: &str) -> Result<HoldOut> {
    if let Ok(n) = text.parse() {
        return Ok(HoldOut::Drawn(n));
    }
    let names = std::fs::read_to_string(text)
        .map_err(|e| Error::Usage(format!("--hold-out {text}: is neither a number nor a file ({e})")))?;
    Ok(HoldOut::Named(names.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()))
}

fn prepare_data(args: &Prepare) -> Result<()> {
    let hold_out = hold_out(&args.how.hold_out)?;
    let models = ModelSet::discover(&[]);
    let networks = networks(&models, args.how.pack.as_deref())?;
    let settings = prepare::Settings {
        clips: &args.clips,
        persons_from_folders: args.persons_from_folders,
        data: &args.out,
        hold_out,
        seed: args.how.seed,
        insets: args.inset.clone(),
        threads: args.how.threads,
        quiet: args.quiet,
    };
    prepare_with(&models, &networks, &settings)
}

fn prepare_with(models: &ModelSet, networks: &Networks, settings: &prepare::Settings) -> Result<()> {
    let cache = cache::standard_folder().and_then(|folder| Cache::open(&folder, cache::DEFAULT_LIMIT).ok());
    let (entries, split) = prepare::prepare(networks, cache.as_ref(), settings)?;
    println!("{}", prepare::text(&entries, &split));
    let sounds = sound::listen(settings.clips, settings.data, models, cache.as_ref(), settings.quiet)?;
    println!("{sounds}");
    Ok(())
}

fn voxceleb2(args: &Voxceleb2) -> Result<()> {
    let say = |line: &str| eprintln!("headgan-train: {line}");
    let base = BaseUrl::new(&args.base_url, args.allow_http)?;
    let credentials = match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => {
            credentials::exposed(file).iter().for_each(|line| say(line));
            Some(Credentials::read(user, file)?)
        }
        _ => None,
    };
    // What preparing needs is looked for before hours of download.
    let ready = match &args.prepare {
        Some(data) => {
            let models = ModelSet::discover(&[]);
            let networks = networks(&models, args.how.pack.as_deref())?;
            Some((data, hold_out(&args.how.hold_out)?, models, networks))
        }
        None => None,
    };
    let fetched = voxceleb2::fetch(&voxceleb2::Settings {
        half: if args.split == "test" { Half::Test } else { Half::Train },
        out: &args.out,
        base,
        credentials,
        checksums: args.checksums.as_deref().map(Checksums::read).transpose()?,
        patience: Patience::default(),
        say: &say,
        quiet: args.quiet,
    })?;
    println!("{}", voxceleb2::text(&fetched));
    let Some((data, hold_out, models, networks)) = ready else { return Ok(()) };
    prepare_with(
        &models,
        &networks,
        &prepare::Settings {
            clips: &fetched.persons,
            persons_from_folders: true,
            data,
            hold_out,
            seed: args.how.seed,
            insets: Vec::new(),
            threads: args.how.threads,
            quiet: args.quiet,
        },
    )
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

fn train(args: Generator) -> Result<()> {
    let config = TrainConfig::load(&args.config)?;
    let device = args.run.on.place()?;
    let models = ModelSet::discover(&[]);
    let networks = networks(&models, args.pack.as_deref())?;
    run::run(run::Settings {
        config,
        data: &args.run.data,
        run: &args.run.out,
        device,
        steps: args.steps,
        loaders: args.loading.threads(device),
        model: networks.morphable.clone(),
        draft: networks.draft.clone(),
        models: &models,
        quiet: args.run.on.quiet,
    })
}

fn speech_data(args: &SpeechData) -> Result<()> {
    let SpeechData { out, count, hold_out, seed, quiet } = args;
    let settings = synthesis::Settings { out, count: *count, held_out: *hold_out, seed: *seed, quiet: *quiet };
    let seconds = synthesis::make(&settings)?;
    println!("{}: {:.2} hours of speech", out.display(), seconds / 3600.0);
    Ok(())
}

fn train_speech(args: &Speech) -> Result<()> {
    speech::run::run(&speech::run::Settings {
        config: speech::SpeechConfig::load(&args.config)?,
        data: &args.run.data,
        run: &args.run.out,
        device: args.run.on.place()?,
        steps: args.steps,
        quiet: args.run.on.quiet,
    })
}

fn measure_speech(args: &SpeechMeasure) -> Result<()> {
    let data = speech::data::Speech::open(&args.data)?;
    let (sets, running) = (&data.held_out, args.running);
    match &args.run {
        Some(run) => {
            let (config, weights) = speech::export::read(&newest(run)?)?;
            let model = measure::model(&config, weights)?;
            print_figures(args, sets.iter().map(|(set, of)| Ok((set, measure::measure(&model, &data, of, running)?))))
        }
        None => {
            let model =
                audio::speech::Speech::load(&ModelSet::discover(&[]), args.pack.as_deref(), &cpu::Options::default())?;
            print_figures(args, sets.iter().map(|(set, of)| Ok((set, measure::measure(&model, &data, of, running)?))))
        }
    }
}

/// A set's name and what was measured of it.
type Measured<'a> = (&'a String, (measure::Figures, Vec<measure::Heard>));

fn print_figures<'a>(args: &SpeechMeasure, sets: impl Iterator<Item = Result<Measured<'a>>>) -> Result<()> {
    let mut all = serde_json::Map::new();
    for set in sets {
        let (set, (figures, each)) = set?;
        if args.json {
            let each = if args.each { Some(each) } else { None };
            all.insert(set.clone(), serde_json::json!({"figures": figures, "each": each}));
            continue;
        }
        println!(
            "{set}: {} sounds, {} characters, {:.2} % wrong; {} letters timed, {:.0} ms apart, {:+.0} ms late, on average",
            figures.sounds,
            figures.characters,
            100.0 * figures.error_rate,
            figures.timed,
            1000.0 * figures.onset_error,
            1000.0 * figures.onset_delay
        );
        if args.each {
            each.iter().for_each(|h| println!("  {}\n  {}  {:.0} %", h.text, h.heard, 100.0 * h.figures.error_rate));
        }
    }
    if args.json {
        println!("{}", serde_json::Value::Object(all));
    }
    Ok(())
}

/// The newest checkpoint of a run.
fn newest(run: &Path) -> Result<Checkpoint> {
    checkpoint::newest(&run.join("checkpoints"), Device::Cpu)?
        .ok_or_else(|| Error::Input(format!("{}: has no checkpoint yet", run.display())))
}

fn export_run(args: &Export) -> Result<()> {
    let checkpoint = newest(&args.run)?;
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

fn build_morphable(args: &BuildMorphable) -> Result<()> {
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

fn train_regressor(args: &Regressor) -> Result<()> {
    let positive = args.batch > 0 && args.heads > 0 && args.width > 0.0 && args.width <= 4.0 && args.rate > 0.0;
    if !positive {
        return Err(Error::Usage("--batch, --heads, --width and --rate must be above 0 (--width at most 4)".into()));
    }
    if !(0.0..=1.0).contains(&args.drawn) {
        return Err(Error::Usage("--drawn must be from 0 to 1".into()));
    }
    let device = args.run.on.place()?;
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
        loaders: args.loading.threads(device),
        device,
        quiet: args.run.on.quiet,
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
    let checkpoint = newest(run)?;
    let (weights, model) = regressor::export::weights(&checkpoint)?;
    Ok((weights, model, format!("step {}", checkpoint.number("step")?)))
}

fn measure_regressor(args: &RegressorMeasure) -> Result<()> {
    let (weights, model, which) = measured(args)?;
    let data = args.data.as_deref().map(DataSet::open).transpose()?;
    let all = data.as_ref().map(|data| data.train.iter().chain(&data.held_out));
    let fitted = all.map(|clips| model_of(clips, &ModelSet::discover(&[]))).transpose()?;
    let held_out = data.as_ref().zip(fitted.as_ref()).map(|(data, fitted)| (data.held_out.as_slice(), fitted));
    let figures = Subject::new(weights, model)?.measure(held_out, args.frames, args.heads, args.seed)?;
    if args.json {
        let text = serde_json::to_string_pretty(&figures).map_err(|e| Error::Engine(format!("figures: {e}")))?;
        println!("{text}");
    } else {
        println!("{which}\n{}", regressor::measure::text(&figures));
    }
    Ok(())
}

fn export_regressor(args: &RegressorExport) -> Result<()> {
    let checkpoint = newest(&args.run)?;
    let detector = args.detector.as_deref().map(|run| detector::export::weights(&newest(run)?)).transpose()?;
    let part = detector.as_ref().map(|weights| detector::export::part(weights, &(&args.look).into()));
    let size = regressor::export::export_pack(&checkpoint, &args.pack, part, &args.licence)?;
    println!("{}: step {}, {size} bytes", args.pack.display(), checkpoint.number("step")?);
    Ok(())
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = interrupt::install().and_then(|()| match cli.verb {
        Verb::Prepare(args) => prepare_data(&args),
        Verb::Generator(args) => train(args),
        Verb::Voxceleb2(args) => voxceleb2(&args),
        Verb::SpeechData(args) => speech_data(&args),
        Verb::Speech(args) => train_speech(&args),
        Verb::SpeechMeasure(args) => measure_speech(&args),
        Verb::Export(args) => export_run(&args),
        Verb::BuildMorphable(args) => build_morphable(&args),
        Verb::Regressor(args) => train_regressor(&args),
        Verb::RegressorMeasure(args) => measure_regressor(&args),
        Verb::RegressorExport(args) => export_regressor(&args),
        Verb::DetectorLabel(args) => verbs::detector::label(&args),
        Verb::Detector(args) => verbs::detector::train(&args),
        Verb::DetectorMeasure(args) => verbs::detector::measure(&args),
        Verb::DetectorExport(args) => verbs::detector::export_pack(&args),
        Verb::Lids(args) => verbs::lids::train(&args),
        Verb::LidsExport(args) => verbs::lids::export_pack(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("headgan-train: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}
