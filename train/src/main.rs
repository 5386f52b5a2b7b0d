//! `headgan-train`: prepares data sets, trains generators, exports them.

use clap::{Parser, Subcommand};
use headgan::error::Advice;
use headgan_train::interrupt;
use std::process::ExitCode;

/// A file for each group of verbs.
mod verbs {
    pub mod common;
    pub mod data;
    pub mod dense;
    pub mod detector;
    pub mod generator;
    pub mod lids;
    pub mod lips;
    pub mod regressor;
    pub mod speech;
    pub mod windows;
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
    Prepare(verbs::data::Prepare),
    /// Train a generator; goes on where the run's folder has a checkpoint.
    Generator(verbs::generator::Generator),
    /// Download VoxCeleb2's videos, unpack them and, with --prepare, turn them into a data set. Goes on where it was
    /// left.
    Voxceleb2(verbs::data::Voxceleb2),
    /// Make transcribed speech with espeak-ng: sounds, what they say, and when each letter begins.
    SpeechData(verbs::speech::SpeechData),
    /// Train an acoustic model on transcribed speech; goes on where the run's folder has a checkpoint.
    Speech(verbs::speech::Speech),
    /// Say how much of the held-out sets of transcribed speech a run's acoustic model hears, and how near the letters' times.
    SpeechMeasure(verbs::speech::SpeechMeasure),
    /// Write a run's generator as a file that `headgan reenact --quality full --generator FILE` takes, or a run's
    /// generator or acoustic model as a model pack.
    Export(verbs::generator::Export),
    /// Write the procedural head as a model pack, and compare it with the one of 3DDFA-V2 where that is there.
    BuildMorphable(verbs::regressor::BuildMorphable),
    /// Train a regressor of the procedural head's parameters on drawn heads and a data set's frames; goes on where the
    /// run's folder has a checkpoint.
    Regressor(verbs::regressor::Regressor),
    /// Measure a regressor, a run's or a pack's, on persons held out and on drawn heads.
    RegressorMeasure(verbs::regressor::RegressorMeasure),
    /// Write a run's regressor and the head as a model pack.
    RegressorExport(verbs::regressor::RegressorExport),
    /// Find the faces of clips and images with another detector, once, for training one.
    DetectorLabel(verbs::detector::Label),
    /// Train a detector (RetinaFace) on labelled pictures and drawn heads; goes on where the run's folder has a
    /// checkpoint.
    Detector(verbs::detector::Train),
    /// Measure a run's detector beside the one that labelled, on who is held out and on drawn heads.
    DetectorMeasure(verbs::detector::Measure),
    /// Write a run's detector as a model pack.
    DetectorExport(verbs::detector::Export),
    /// See the faces of clips with another pack's dense points, once, for training a network of them.
    DenseLabel(verbs::dense::Label),
    /// Train the project's own network of dense points, or its finder, on labelled clips and drawn heads; goes on where the
    /// run's folder has a checkpoint.
    Dense(verbs::dense::Train),
    /// Measure a pack's dense points beside another's on clips.
    DenseMeasure(verbs::dense::Measure),
    /// Write a pack again, with the dense networks of two runs.
    DenseExport(verbs::dense::Export),
    /// Train the second look of a pack's regressor, at the lids, on drawn heads; goes on where the run's
    /// folder has a checkpoint.
    Lids(verbs::lids::Train),
    /// Write a pack again, with a run's second look in its regressor.
    LidsExport(verbs::lids::Export),
    /// Turn clips of people who speak into spectra and the shapes of their mouths; goes on where it was left.
    LipsPrepare(verbs::lips::Prepare),
    /// Train the network from sound to lips on them; goes on where the run's folder has a checkpoint.
    Lips(verbs::lips::Train),
    /// Say how far the gap of the lips follows that of persons held out, by their sound and in silence.
    LipsMeasure(verbs::lips::Measure),
    /// Write a run's network from sound to lips as a model pack.
    LipsExport(verbs::lips::Export),
    /// Turn folders of clips into windows around eyes and mouth, with Draft's picture of them; goes on where it was left.
    WindowsPrepare(verbs::windows::Prepare),
    /// Train the network that paints eyes, or the one that paints mouths, on such windows; goes on where the run's folder has a
    /// checkpoint.
    Windows(verbs::windows::Train),
    /// Train the windows of a pack further on a clip of the person who is to perform, for minutes, and write a pack of them.
    Adapt(verbs::windows::Adapt),
    /// Make sheets of persons held out, on which the true window, Draft's and a pack's stand in random order, with a key; print the pack's figures.
    Blind(verbs::windows::Blind),
    /// Write runs of windows as a model pack, which quality full uses.
    WindowsExport(verbs::windows::Export),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = interrupt::install().and_then(|()| match cli.verb {
        Verb::Prepare(args) => verbs::data::prepare_data(&args),
        Verb::Generator(args) => verbs::generator::train(args),
        Verb::Voxceleb2(args) => verbs::data::voxceleb2(&args),
        Verb::SpeechData(args) => verbs::speech::speech_data(&args),
        Verb::Speech(args) => verbs::speech::train_speech(&args),
        Verb::SpeechMeasure(args) => verbs::speech::measure_speech(&args),
        Verb::Export(args) => verbs::generator::export_run(&args),
        Verb::BuildMorphable(args) => verbs::regressor::build_morphable(&args),
        Verb::Regressor(args) => verbs::regressor::train_regressor(&args),
        Verb::RegressorMeasure(args) => verbs::regressor::measure_regressor(&args),
        Verb::RegressorExport(args) => verbs::regressor::export_regressor(&args),
        Verb::DetectorLabel(args) => verbs::detector::label(&args),
        Verb::Detector(args) => verbs::detector::train(&args),
        Verb::DetectorMeasure(args) => verbs::detector::measure(&args),
        Verb::DetectorExport(args) => verbs::detector::export_pack(&args),
        Verb::DenseLabel(args) => verbs::dense::label(&args),
        Verb::Dense(args) => verbs::dense::train(&args),
        Verb::DenseMeasure(args) => verbs::dense::measure(&args),
        Verb::DenseExport(args) => verbs::dense::export_pack(&args),
        Verb::Lids(args) => verbs::lids::train(&args),
        Verb::LidsExport(args) => verbs::lids::export_pack(&args),
        Verb::LipsPrepare(args) => verbs::lips::prepare_lips(&args),
        Verb::Lips(args) => verbs::lips::train(&args),
        Verb::LipsMeasure(args) => verbs::lips::measure_lips(&args),
        Verb::LipsExport(args) => verbs::lips::export_pack(&args),
        Verb::WindowsPrepare(args) => verbs::windows::prepare_windows(&args),
        Verb::Windows(args) => verbs::windows::train(&args),
        Verb::Adapt(args) => verbs::windows::adapt_windows(&args),
        Verb::Blind(args) => verbs::windows::blind_sheets(&args),
        Verb::WindowsExport(args) => verbs::windows::export_pack(&args),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Packs are imported by the other program.
            let advice = match error.advice() {
                Some(Advice::ImportModel(kind)) => format!(" (`headgan models import {kind} --from DIR`)"),
                _ => String::new(),
            };
            eprintln!("headgan-train: {error}{advice}");
            ExitCode::from(error.exit_code())
        }
    }
}
