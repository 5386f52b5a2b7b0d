//! `headgan presets`: what there is to start from, and the controls that presets set.

use crate::common;
use clap::{Args as ClapArgs, Subcommand};
use headgan::controls::presets::{self, Origin};
use headgan::controls::{Presets, guide};
use headgan::{Error, Result};
use std::path::PathBuf;
use std::process::ExitCode;

/// List, show and check presets; list the controls.
#[derive(ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// The presets that `--preset` takes.
    List {
        /// Print one JSON document.
        #[arg(long)]
        json: bool,
    },
    /// A preset's contents, or (--controls) every control with its range.
    Show {
        /// A preset's name or file.
        #[arg(required_unless_present = "controls")]
        name: Option<String>,
        /// List the controls instead.
        #[arg(long, conflicts_with = "name")]
        controls: bool,
        /// Print the controls as one JSON document (a preset is one anyway).
        #[arg(long)]
        json: bool,
    },
    /// Whether a preset's file is sound.
    Check { file: PathBuf },
}

pub fn run(args: Args) -> Result<ExitCode> {
    match args.action {
        Action::List { json } => {
            let entries = Presets::standard().list();
            let mut documents = Vec::new();
            for e in &entries {
                let file = match &e.origin {
                    Origin::Shipped => None,
                    Origin::File(path) => Some(path),
                };
                match &e.preset {
                    Ok(p) => {
                        documents.push(serde_json::json!({"id": e.id, "name": p.name, "description": p.description,
                            "file": file, "hidden": e.hidden}));
                        if !json {
                            say!("{}: {}", e.id, p.description);
                        }
                    }
                    Err(error) => eprintln!("headgan: {}", crate::advice::message_with_advice(error)),
                }
            }
            if json {
                common::print_json(&documents)?;
            }
        }
        Action::Show { name: Some(name), .. } => say!("{}", Presets::standard().find(&name)?.to_json().trim_end()),
        Action::Show { json: true, .. } => common::print_json(&guide::document())?,
        Action::Show { .. } => say!("{}", guide::terminal().trim_end()),
        Action::Check { file } => {
            let preset = presets::check(&file)?;
            if preset.controls().count() == 0 {
                return Err(Error::usage(format!("{}: the preset sets no control", file.display())));
            }
            say!("{}: good, sets {} controls", file.display(), preset.controls().count());
        }
    }
    Ok(ExitCode::SUCCESS)
}
