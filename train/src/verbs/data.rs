//! The verbs that make data sets: prepare, voxceleb2.

use super::common::networks;
use headgan::models::ModelSet;
use headgan::reenact::networks::Networks;
use headgan::shot::cache::{self, Cache};
use headgan::{Error, Result};
use headgan_train::data::split::HoldOut;
use headgan_train::data::{prepare, sound};
use headgan_train::voxceleb2::client::RetryPolicy;
use headgan_train::voxceleb2::{self, BaseUrl, Checksums, Credentials, Subset, address, credentials};
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Prepare {
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
    dataset_args: DatasetArgs,
    #[arg(long, short)]
    quiet: bool,
}

/// How clips become a data set.
#[derive(clap::Args)]
struct DatasetArgs {
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
pub struct Voxceleb2 {
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
    dataset_args: DatasetArgs,
    #[arg(long, short)]
    quiet: bool,
}

/// `TEXT=X,Y,W,H`.
fn inset(text: &str) -> Result<(String, [usize; 4]), String> {
    let wrong = || format!("'{text}' is no inset: write TEXT=X,Y,WIDTH,HEIGHT");
    let (name, rect) = text.split_once('=').ok_or_else(wrong)?;
    let numbers: Vec<usize> =
        rect.split(',').map(|n| n.trim().parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    Ok((name.to_owned(), numbers.try_into().map_err(|_| wrong())?))
}

/// Who is held out, by a number or a file of names.
fn hold_out(text: &str) -> Result<HoldOut> {
    if let Ok(n) = text.parse() {
        return Ok(HoldOut::Drawn(n));
    }
    let names = std::fs::read_to_string(text)
        .map_err(|e| Error::usage(format!("--hold-out {text}: is neither a number nor a file ({e})")).with_source(e))?;
    Ok(HoldOut::Named(names.lines().map(str::trim).filter(|l| !l.is_empty()).map(str::to_owned).collect()))
}

pub fn prepare_data(args: &Prepare) -> Result<()> {
    let hold_out = hold_out(&args.dataset_args.hold_out)?;
    let models = ModelSet::discover(&[]);
    let networks = networks(&models, args.dataset_args.pack.as_deref())?;
    let settings = prepare::Settings {
        clips: &args.clips,
        persons_from_folders: args.persons_from_folders,
        data: &args.out,
        hold_out,
        seed: args.dataset_args.seed,
        insets: args.inset.clone(),
        threads: args.dataset_args.threads,
        quiet: args.quiet,
    };
    prepare_with(&models, &networks, &settings)
}

fn prepare_with(models: &ModelSet, networks: &Networks, settings: &prepare::Settings) -> Result<()> {
    let cache = cache::standard_folder().and_then(|folder| Cache::open(&folder, cache::DEFAULT_LIMIT).ok());
    let (entries, split) = prepare::prepare(networks, cache.as_ref(), settings)?;
    println!("{}", prepare::text(&entries, &split));
    let sounds = sound::add_audio(settings.clips, settings.data, models, cache.as_ref(), settings.quiet)?;
    println!("{sounds}");
    Ok(())
}

pub fn voxceleb2(args: &Voxceleb2) -> Result<()> {
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
            let networks = networks(&models, args.dataset_args.pack.as_deref())?;
            Some((data, hold_out(&args.dataset_args.hold_out)?, models, networks))
        }
        None => None,
    };
    let fetched = voxceleb2::fetch(&voxceleb2::Settings {
        subset: if args.split == "test" { Subset::Test } else { Subset::Train },
        out: &args.out,
        base,
        credentials,
        checksums: args.checksums.as_deref().map(Checksums::read).transpose()?,
        retry: RetryPolicy::default(),
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
            seed: args.dataset_args.seed,
            insets: Vec::new(),
            threads: args.dataset_args.threads,
            quiet: args.quiet,
        },
    )
}
