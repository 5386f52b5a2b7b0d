//! `headgan`: the command line. Every verb is a file: it parses, calls the library, prints.

#[macro_use]
mod common;
mod demo;
mod doctor;
mod fit;
mod models;
mod pncc;
mod presets;
mod reenact;

use clap::{Parser, Subcommand};
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
    Fit(fit::Args),
    Pncc(pncc::Args),
    Models(models::Args),
    Presets(presets::Args),
    Doctor(doctor::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = if cli.verbose { "headgan=debug" } else { "headgan=warn" };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    let result = headgan::media::interrupt::install().and_then(|()| match cli.verb {
        Verb::Demo(args) => demo::run(args),
        Verb::Reenact(args) => reenact::run(*args),
        Verb::Fit(args) => fit::run(args),
        Verb::Pncc(args) => pncc::run(args),
        Verb::Models(args) => models::run(args),
        Verb::Presets(args) => presets::run(args),
        Verb::Doctor(args) => doctor::run(args),
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            // One line, whatever a library's text holds.
            let text = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            eprintln!("headgan: {text}");
            ExitCode::from(error.exit_code())
        }
    }
}
