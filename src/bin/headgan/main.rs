//! `headgan`: the command line. Every verb is a file: it parses, calls the library, prints.

#[macro_use]
mod common;
mod advice;
mod analyse;
mod audio_features;
mod cache;
mod demo;
mod doctor;
mod driving;
mod evaluate;
mod fit;
mod get;
mod interrupt;
mod models;
mod pncc;
mod presets;
mod reenact;
mod report;
mod transcribe;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use std::process::ExitCode;

/// One face performs what another face performs.
#[derive(Parser)]
#[command(name = "headgan", version, about, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// More (or, with RUST_LOG, chosen) messages on stderr.
    #[arg(long, short, global = true)]
    verbose: bool,
}

#[derive(Subcommand)]
enum Verb {
    Demo(demo::Args),
    Reenact(Box<reenact::Args>),
    Analyse(Box<analyse::Args>),
    Report(Box<report::Args>),
    Evaluate(Box<evaluate::Args>),
    Cache(cache::Args),
    Fit(fit::Args),
    Pncc(pncc::Args),
    AudioFeatures(audio_features::Args),
    Transcribe(transcribe::Args),
    Models(models::Args),
    Presets(presets::Args),
    Doctor(doctor::Args),
}

/// What clap has to say about a wrong command, as the one line that every error is.
fn usage_error(error: &clap::Error) -> String {
    let text = error.render().to_string();
    // Paragraphs: what is wrong, perhaps a hint, how the verb is used, where to find help.
    let mut lines: Vec<String> = text
        .split("\n\n")
        .map(|p| p.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|p| !p.is_empty() && !p.starts_with("Usage:") && !p.starts_with("For more information"))
        .collect();
    if let Some(first) = lines.first_mut() {
        *first = first.trim_start_matches("error: ").trim_end_matches(':').to_owned();
    }
    let cli = Cli::command();
    let verb = std::env::args().skip(1).find(|a| cli.find_subcommand(a).is_some());
    let help = verb.map_or("headgan --help".to_owned(), |v| format!("headgan {v} --help"));
    format!("{}: see `{help}`", lines.join("; "))
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and the version are no errors; without any verb the help says what to do.
        Err(e) if !e.use_stderr() || e.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => e.exit(),
        Err(e) => {
            eprintln!("headgan: {}", usage_error(&e));
            return ExitCode::from(2);
        }
    };
    let level = if cli.verbose { "headgan=debug" } else { "headgan=warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    let result = interrupt::install().and_then(|()| match cli.verb {
        Verb::Demo(args) => demo::run(args),
        Verb::Reenact(args) => reenact::run(*args),
        Verb::Analyse(args) => analyse::run(*args),
        Verb::Report(args) => report::run(*args),
        Verb::Evaluate(args) => evaluate::run(*args),
        Verb::Cache(args) => cache::run(args),
        Verb::Fit(args) => fit::run(args),
        Verb::Pncc(args) => pncc::run(args),
        Verb::AudioFeatures(args) => audio_features::run(args),
        Verb::Transcribe(args) => transcribe::run(args),
        Verb::Models(args) => models::run(args),
        Verb::Presets(args) => presets::run(args),
        Verb::Doctor(args) => doctor::run(args),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("headgan: {}", advice::message_with_advice(&error));
            ExitCode::from(error.exit_code())
        }
    }
}
