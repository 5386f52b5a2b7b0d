//! `cargo run --release -p ofx-reference-host -- --driving CLIP --reference PICTURE`: renders frames of a clip with the OpenFX
//! bundle in a host on the ASWF's own host library, in the contexts General (two clips) and Filter (reference file), with
//! keyframes on the yaw offset and on one expression, and compares them with what `headgan reenact` makes of the same.
//!
//! The bundle must have been made (`cargo xtask bundle`), a model pack must be there, and a C++ compiler.

mod build;

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use headgan::frame::{Filter, Frame, Window};
use headgan::media::still::{self, StillOptions};
use headgan::media::{FrameRange, Source};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

#[derive(Parser)]
struct Args {
    /// Who performs.
    #[arg(long)]
    driving: String,
    /// Whose face it is; cut and scaled to the driving clip's size.
    #[arg(long)]
    reference: String,
    /// Frames to render, from the clip's first on.
    #[arg(long, default_value_t = 30)]
    frames: usize,
    /// Folder with HeadGANReenact.ofx.bundle; target/bundle unless told.
    #[arg(long)]
    bundles: Option<PathBuf>,
    /// Keep the frames here instead of in a temporary folder.
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// The controls that have keys, with their values at the first and the last frame.
const KEYS: [(&str, f64, f64); 2] = [("yaw_offset", -8.0, 12.0), ("expr_smile", 0.0, 0.8)];
/// Largest difference that passes, in 8-bit codes.
const MOST: u8 = 1;

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.frames >= 2, "--frames must be at least 2");
    let beside = std::env::current_exe()?;
    let release = beside.parent().context("this program lies in no folder")?;
    let target = release.parent().context("this program lies in no target folder")?;
    let program = release.join(format!("headgan{}", std::env::consts::EXE_SUFFIX));
    ensure!(program.is_file(), "{} is not there: cargo build --release", program.display());
    let bundles = args.bundles.clone().unwrap_or_else(|| target.join("bundle"));
    let host = build::host(&target.join("reference-host"))?;

    let folder = args.keep.clone().unwrap_or_else(|| std::env::temp_dir().join(format!("ofx-{}", std::process::id())));
    std::fs::create_dir_all(&folder)?;
    let result = compare(&args, &folder, &program, &host, &bundles);
    if args.keep.is_none() {
        std::fs::remove_dir_all(&folder)?;
    }
    result
}

fn compare(args: &Args, folder: &Path, program: &Path, host: &Path, bundles: &Path) -> Result<()> {
    let last = args.frames - 1;
    let (width, height) = inputs(args, folder)?;
    let at = |name: &str| folder.join(name);

    // The command line's frames.
    let mut keys = String::new();
    for (control, from, to) in KEYS {
        let comma = if keys.is_empty() { "" } else { "," };
        write!(keys, "{comma}\"{control}\":[{{\"frame\":0,\"value\":{from}}},{{\"frame\":{last},\"value\":{to}}}]")?;
    }
    std::fs::write(at("keys.json"), format!("{{{keys}}}"))?;
    let out = Command::new(program)
        .args(["reenact", "-q", "--reference"])
        .arg(at("reference.png"))
        .arg("--driving")
        .arg(at("driving_%04d.png"))
        .arg("--keys")
        .arg(at("keys.json"))
        .arg("-o")
        .arg(at("wanted_%04d.png"))
        .arg("--cache")
        .arg(at("cache"))
        .output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));

    let mut failed = false;
    for (context, short) in [("OfxImageEffectContextGeneral", "general"), ("OfxImageEffectContextFilter", "filter")] {
        let mut job = format!(
            "bundles {}\nplugin org.headgan.HeadGANReenact\ncontext {context}\ndepth byte\nset cache_folder {}\n",
            bundles.display(),
            at("cache").display()
        );
        writeln!(job, "clip Source {} 0 {last}", at("driving_%04d.raw").display())?;
        match short {
            "general" => writeln!(job, "clip Reference {} 0 0", at("reference_%d.raw").display())?,
            _ => writeln!(job, "set reference_file {}", at("reference.png").display())?,
        }
        for (control, from, to) in KEYS {
            writeln!(job, "key {control} 0 {from}\nkey {control} {last} {to}")?;
        }
        writeln!(job, "press analyse\nrender 0 {last} {}", at(&format!("{short}_%04d.raw")).display())?;
        std::fs::write(at("job.txt"), job)?;
        let out = Command::new(host).arg(at("job.txt")).output()?;
        let said = String::from_utf8_lossy(&out.stderr);
        ensure!(out.status.success(), "{context}: {said}");
        let (mut worst, mut differing, mut moved) = (0u8, 0usize, 0usize);
        let reference = still::read(&at("reference.png"))?.frame.to_rgba8();
        for n in 0..args.frames {
            let wanted = still::read(&at(&format!("wanted_{n:04}.png")))?.frame.to_rgba8();
            let got = from_raw(&at(&format!("{short}_{n:04}.raw")), width, height)?;
            ensure!(wanted.len() == got.len(), "frame {n}: another size");
            let off = wanted.iter().zip(&got).map(|(a, b)| a.abs_diff(*b));
            worst = worst.max(off.clone().max().unwrap_or(0));
            differing += off.filter(|d| *d > 0).count();
            moved += got.iter().zip(&reference).filter(|(a, b)| a.abs_diff(**b) > 8).count();
        }
        let samples = args.frames * width * height * 4;
        ensure!(moved > samples / 1000, "{context}: the frames show the reference as it is");
        let verdict = if worst <= MOST { "pass" } else { "FAIL" };
        println!(
            "{verdict} {context}: {} frames of {width}x{height}, largest difference {worst}/255, {differing} of {samples} samples differ",
            args.frames
        );
        failed |= worst > MOST;
    }
    if failed { bail!("the plugin's frames are not those of the command line") } else { Ok(()) }
}

/// Writes the inputs, for the program as PNG, for the host raw; returns their size.
fn inputs(args: &Args, folder: &Path) -> Result<(usize, usize)> {
    let driving = Source::open(&args.driving)?;
    let first = driving.info().first;
    let (width, height) = (driving.info().width, driving.info().height);
    let mut count = 0;
    for item in driving.frames(Some(FrameRange::new(first, first + args.frames - 1)))? {
        let (_, frame) = item?;
        put(&frame, folder, &format!("driving_{count:04}"))?;
        count += 1;
    }
    ensure!(count == args.frames, "{} has only {count} frames", args.driving);
    let reference = Source::open(&args.reference)?;
    let picture = reference.frame(reference.info().first)?;
    // The largest part of the clip's shape, around the middle and upper third.
    let (w, h) = (picture.width as f64, picture.height as f64);
    let scale = (w / width as f64).min(h / height as f64);
    let part = (width as f64 * scale, height as f64 * scale);
    let window = Window { x0: 0.5 * (w - part.0), y0: (h - part.1) / 3.0, width: part.0, height: part.1 };
    let picture = picture.crop(window, width, height, Filter::Area);
    put(&picture, folder, "reference")?;
    std::fs::copy(folder.join("reference.raw"), folder.join("reference_0.raw"))?;
    Ok((width, height))
}

/// A frame in 8 bits, as PNG and, from bottom to top, raw.
fn put(frame: &Frame, folder: &Path, name: &str) -> Result<()> {
    let mut shown = frame.clone();
    // The codes count, whatever curve they follow: both programs shall see the same ones.
    shown.color = headgan::frame::Color::Srgb;
    shown.data.iter_mut().for_each(|v| *v = (v.clamp(0.0, 1.0) * 255.0).round() / 255.0);
    let file = folder.join(name);
    still::write(&file.with_extension("png"), &shown, &StillOptions { alpha: true, ..StillOptions::default() })?;
    let mut raw = Vec::new();
    raw.extend((shown.width as u32).to_le_bytes());
    raw.extend((shown.height as u32).to_le_bytes());
    shown.to_rgba8().chunks_exact(4 * shown.width).rev().for_each(|row| raw.extend_from_slice(row));
    std::fs::write(file.with_extension("raw"), raw)?;
    Ok(())
}

/// The samples of a raw frame, from top to bottom.
fn from_raw(file: &Path, width: usize, height: usize) -> Result<Vec<u8>> {
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    ensure!(bytes.len() == 8 + 4 * width * height, "{} has another size", file.display());
    Ok(bytes[8..].chunks_exact(4 * width).rev().flatten().copied().collect())
}
