//! `headgan models`: packs, their import, verification and export.

use crate::{common, get};
use clap::{Args as ClapArgs, Subcommand};
use headgan::engine::{Embedded, cpu};
use headgan::media::atomic;
use headgan::models::{self, Pack, Role};
use headgan::nets::verify;
use headgan::weights::safetensors;
use headgan::{Error, Result, import};
use std::path::PathBuf;
use std::process::ExitCode;

/// List, import, verify and export model packs.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// The packs that are there, with their licence and purpose.
    List {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Everything about one pack.
    Info {
        name: String,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Make a pack from files as upstream publishes them.
    Import {
        /// 3ddfa-v2, mediapipe, retinaface, headgan-official, lsfm, deepspeech2 or mobilefacenet.
        kind: String,
        /// The folder (or the file) with the upstream files.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Name of the pack; the kind unless told.
        #[arg(long)]
        name: Option<String>,
        /// Where packs live; the first folder of $HEADGAN_MODELS or the user's data folder unless told.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// For lsfm: the pack whose triangles and landmarks are to be used.
        #[arg(long, value_name = "PACK")]
        topology: Option<String>,
    },
    /// Download what a pack is made of, and import it.
    ///
    /// A download that was interrupted is continued. Once it is imported, it is removed.
    Get {
        /// mediapipe: the wheel of version 0.10.14, 34 MiB.
        #[arg(value_parser = ["mediapipe"])]
        kind: String,
        /// Where packs live; the first folder of $HEADGAN_MODELS or the user's data folder unless told.
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
        /// The Python package index to ask; $PIP_INDEX_URL, what pip's settings say, or PyPI unless told.
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
    /// Run a generator (and a discriminator) on the inputs that a file carries, and compare with its outputs.
    Verify {
        file: PathBuf,
        /// Largest absolute difference that passes.
        #[arg(long, default_value_t = 1e-3, allow_negative_numbers = true)]
        tolerance: f32,
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// Write a pack's generator (or another component) as an ONNX graph.
    ExportOnnx {
        name: String,
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// What to export; the generator, or what the pack has, unless told.
        #[arg(long, value_name = "ROLE", value_parser = ["detector", "regressor", "generator", "discriminator", "embedder", "dense-detector", "landmarks", "iris", "segmentation", "window"])]
        role: Option<String>,
        /// Which of several networks of that role, as `models info` calls its file.
        #[arg(long, value_name = "NAME")]
        network: Option<String>,
        /// Side of the generator's or detector's pictures in pixels.
        #[arg(long, value_name = "PIXELS")]
        size: Option<usize>,
    },
}

pub fn run(args: Args) -> Result<ExitCode> {
    match args.action {
        Action::List { json } => list(json),
        Action::Info { name, json } => info(&name, json),
        Action::Import { kind, from, name, to, topology } => {
            let models = common::packs();
            let dest = destination(to)?;
            let topology = topology.map(|name| models.pack(&name)).transpose()?;
            let options = import::Options { check: headgan::import::check, topology };
            let pack = import::import(&kind, &from, name.as_deref(), &dest, &options)?;
            print_imported(&pack);
            Ok(ExitCode::SUCCESS)
        }
        // The only kind there is; clap refuses others.
        Action::Get { kind: _, to, from } => get::run(to, from),
        Action::Verify { file, tolerance, json } => check(&file, tolerance, json),
        Action::ExportOnnx { name, output, role, network, size } => {
            export(&name, &output, role.as_deref(), network.as_deref(), size)
        }
    }
}

/// Where packs go: the folder that is named, else the usual one.
pub fn destination(named: Option<PathBuf>) -> Result<PathBuf> {
    let folder = named.or_else(models_variable).or_else(models::user_folder);
    folder.ok_or_else(|| Error::Usage("this system names no data folder: say where with --to DIR".into()))
}

/// A pack that was just imported.
pub fn print_imported(pack: &Pack) {
    print_pack(pack);
    say!("  in {}", pack.folder.display());
}

/// The first folder of `$HEADGAN_MODELS`.
fn models_variable() -> Option<PathBuf> {
    let value = std::env::var_os("HEADGAN_MODELS")?;
    std::env::split_paths(&value).find(|p| !p.as_os_str().is_empty())
}

fn print_pack(pack: &Pack) {
    let m = &pack.manifest;
    say!("{} {}: {}", m.name, m.version, m.purpose);
    say!("  licence: {}", m.licence);
    for c in &m.components {
        say!("  {}: {} ({})", c.role, c.architecture, c.file);
    }
}

fn list(json: bool) -> Result<ExitCode> {
    let models = common::packs();
    for problem in models.problems() {
        eprintln!("headgan: {problem}");
    }
    if json {
        common::print_json(&models.packs().iter().map(|p| &p.manifest).collect::<Vec<_>>())?;
    } else if models.packs().is_empty() {
        say!("no model packs; searched:");
        for folder in models.folders() {
            say!("  {}", folder.display());
        }
        say!("import one with: headgan models import 3ddfa-v2 --from DIR");
    } else {
        models.packs().iter().for_each(print_pack);
    }
    Ok(ExitCode::SUCCESS)
}

fn info(name: &str, json: bool) -> Result<ExitCode> {
    let models = common::packs();
    let pack = models.pack(name)?;
    let mut components = Vec::new();
    for c in pack.components() {
        let weights = pack.load(c, headgan::import::check)?;
        let parameters: usize = weights.arrays.values().map(|a| a.len()).sum();
        components.push((c, weights.arrays.len(), parameters));
    }
    if json {
        let parts: Vec<_> = components
            .iter()
            .map(|(c, arrays, parameters)| {
                serde_json::json!({"role": c.role, "architecture": c.architecture,
                "config": c.config, "file": c.file, "blake3": c.blake3, "arrays": arrays, "parameters": parameters})
            })
            .collect();
        common::print_json(&serde_json::json!({"pack": pack.manifest, "folder": pack.folder, "components": parts}))?;
        return Ok(ExitCode::SUCCESS);
    }
    print_pack(pack);
    say!("  source: {}", pack.manifest.source);
    say!("  in {}", pack.folder.display());
    for (c, arrays, parameters) in components {
        let config = serde_json::Value::Object(c.config.clone());
        say!("  {}: {parameters} values in {arrays} arrays, {config}, verified", c.role);
    }
    Ok(ExitCode::SUCCESS)
}

fn check(path: &std::path::Path, tolerance: f32, json: bool) -> Result<ExitCode> {
    if tolerance.is_nan() || tolerance <= 0.0 {
        return Err(Error::usage(format!("--tolerance {tolerance} is not above 0: give a number such as 1e-4")));
    }
    let wanted = "give a .safetensors file with state.*, input.* and output.* arrays";
    let weights = safetensors::load(path).map_err(|e| match e {
        Error::Model(text) => Error::Model(text.map(|t| format!("{t}: {wanted}"))),
        Error::Input(text) => Error::Input(text.map(|t| format!("{t}: {wanted}"))),
        other => other,
    })?;
    let options = cpu::Options::default();
    let differences = verify::verify(&weights, |w| Embedded::new(w, &options)).map_err(|e| match e {
        Error::Model(text) => Error::Model(text.map(|t| format!("{}: {t}; {wanted}", path.display()))),
        other => other,
    })?;
    // Not above the tolerance; NaN is.
    let passes = |d: &verify::Difference| d.max_abs <= tolerance;
    let all = differences.iter().all(passes);
    if json {
        common::print_json(&serde_json::json!({"tolerance": tolerance, "passed": all, "outputs": differences}))?;
    } else {
        for d in &differences {
            say!("{} {:e}{}", d.name, d.max_abs, if passes(d) { "" } else { "  ABOVE" });
        }
    }
    if let Some(worst) = differences.iter().find(|d| !passes(d)) {
        let text = format!(
            "{}: '{}' differs by {:e}, more than {tolerance:e}: the file or this build is wrong",
            path.display(),
            worst.name,
            worst.max_abs
        );
        return Err(Error::model(text));
    }
    Ok(ExitCode::SUCCESS)
}

fn export(
    name: &str,
    output: &std::path::Path,
    role: Option<&str>,
    network: Option<&str>,
    size: Option<usize>,
) -> Result<ExitCode> {
    let models = common::packs();
    let pack = models.pack(name)?;
    let exportable = |role: Role| !matches!(role, Role::Morphable | Role::Speech);
    let wanted = |c: &&models::Component| match role {
        Some(role) => c.role.to_string() == role,
        None => exportable(c.role),
    };
    let called = |c: &&models::Component| network.is_none_or(|n| c.file.strip_suffix(".safetensors") == Some(n));
    // The generator first, whatever the order in the pack.
    let mut parts: Vec<_> = pack.components().iter().filter(wanted).filter(called).collect();
    parts.sort_by_key(|c| c.role != Role::Generator);
    let Some(component) = parts.first() else {
        let what = role.unwrap_or("network");
        return Err(Error::model(format!("the pack '{name}' has no {what} that can be exported")));
    };
    atomic::check_writable(output)?;
    let weights = pack.load(component, headgan::import::check)?;
    let config = serde_json::Value::Object(component.config.clone());
    let graph = headgan::nets::export_onnx(&component.architecture, &config, &weights, size.unwrap_or(0))?;
    atomic::write(output, |file| {
        use std::io::Write;
        file.write_all(&graph).map_err(|e| atomic::write_error(output, e))
    })?;
    say!("{}: {} of '{name}', {} bytes", output.display(), component.architecture, graph.len());
    Ok(ExitCode::SUCCESS)
}
