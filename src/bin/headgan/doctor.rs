//! `headgan doctor`: what works here, and what to do about the rest.

use crate::common;
use clap::Args as ClapArgs;
use headgan::Result;
use headgan::engine::cpu;
use headgan::media::ffmpeg::Tools;
use headgan::reenact::networks::{self, Generator, Networks};
use serde_json::json;
use std::process::ExitCode;

/// Check this installation: ffmpeg, model packs, engines.
#[derive(ClapArgs)]
pub struct Args {
    /// Print one JSON document.
    #[arg(long)]
    json: bool,
}

struct Finding {
    what: &'static str,
    good: bool,
    text: String,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let mut findings = Vec::new();
    let mut note = |what, result: Result<String>| {
        let (good, text) = match result {
            Ok(text) => (true, text),
            Err(e) => (false, e.to_string()),
        };
        findings.push(Finding { what, good, text });
    };
    note("program", Ok(format!("headgan {}, {}", env!("CARGO_PKG_VERSION"), cpu::description())));
    note("ffmpeg", Tools::find().map(|t| t.version_text()));
    let models = common::packs();
    for problem in models.problems() {
        note("pack", Err(headgan::Error::Model(problem.clone())));
    }
    for pack in models.packs() {
        let verified = pack.components().iter().try_for_each(|c| pack.load(c, networks::check).map(drop));
        note("pack", verified.map(|()| format!("'{}' in {}, verified", pack.name(), pack.folder.display())));
    }
    let options = cpu::Options { threads: 1, ..cpu::Options::default() };
    note("draft", Networks::load(&models, None, None, &options).map(|n| format!("works with the pack '{}'", n.pack)));
    note(
        "full",
        Generator::load(&models, None, None, &options).map(|g| format!("works with the generator of '{}'", g.name)),
    );
    note("cuda", Err(headgan::Error::Engine("not available: this version has no torch engine yet".into())));

    if args.json {
        let list: Vec<_> = findings.iter().map(|f| json!({"what": f.what, "ok": f.good, "text": f.text})).collect();
        common::print_json(&json!({ "findings": list }))?;
    } else {
        for f in &findings {
            say!("{} {}: {}", if f.good { "ok  " } else { "no  " }, f.what, f.text);
        }
    }
    Ok(ExitCode::SUCCESS)
}
