//! Every named expression at strength 1 on a portrait, as a contact sheet, and what each measures:
//!
//!     cargo run --release --example expressions -- PORTRAIT SHEET.png [STRENGTH [ID ...]]
//!
//! The models are those that `headgan` finds; without PORTRAIT (`-`) the drawn head of the demo is taken.

use headgan::engine::cpu;
use headgan::face::choose::Choice;
use headgan::frame::{ContactSheet, Filter, Frame, Window};
use headgan::media::still::{self, StillOptions};
use headgan::models::ModelSet;
use headgan::morphable::rig::check;
use headgan::morphable::{Expression, Fit, PreparedMorphable, RetargetSettings, RigSettings};
use headgan::reenact::draft::DraftModel;
use headgan::reenact::frame_settings::FrameSettings;
use headgan::reenact::networks::Networks;
use headgan::reenact::shot::{Scratch, Shot};
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::{Error, Result, synthetic};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

type Parts = (Arc<PreparedMorphable>, Arc<DraftModel>, Frame, Fit);

fn drawn() -> Result<Parts> {
    let model = PreparedMorphable::new(synthetic::head())?;
    let m = model.model();
    let draft = DraftModel::new(&m.triangles, &m.ncc, &m.landmarks)?;
    let (picture, fit) = synthetic::demo_reference(512)?;
    Ok((Arc::new(model), Arc::new(draft), picture, fit))
}

fn real(path: &str) -> Result<Parts> {
    let networks = Networks::load(&ModelSet::discover(&[]), None, None, &cpu::Options::default())?;
    let picture = still::read(Path::new(path))?.frame;
    let found = networks.observer().observe(&picture)?.choose(Choice::Largest);
    let none = || Error::no_face(format!("{path}: no face was found: take another picture"));
    let fit = found.ok_or_else(none)?.fit;
    Ok((networks.morphable, networks.draft, picture, fit))
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [portrait, sheet, ..] = &args[..] else {
        return Err(Error::Usage("give a portrait (or -) and the sheet to write".into()));
    };
    let strength: f32 = args.get(2).and_then(|s| s.parse().ok()).unwrap_or(1.0);
    let wanted = |e: &Expression| args.len() < 4 || args[3..].iter().any(|a| a == e.id());
    let (model, draft, picture, fit) = if portrait == "-" { drawn()? } else { real(portrait)? };

    let start = Instant::now();
    let rig = model.rig()?;
    println!("rig of {} vertices made in {:.0} ms", rig.masks().len(), 1e3 * start.elapsed().as_secs_f64());
    println!("\n| expression | basis explains | basis moves elsewhere | vertices corrected |\n|---|---|---|---|");
    for &e in Expression::ALL {
        let (q, c) = (rig.quality(e), rig.corrective(e).len());
        println!("| `{}` | {:.0} % | {:.0} % | {c} |", e.id(), 100.0 * q.explained, 100.0 * q.elsewhere);
    }
    println!("\n| control | measure | before | after | unit | |\n|---|---|---|---|---|---|");
    for r in check(&model, &fit.params.shape)? {
        let holds = if r.holds() { "" } else { "NOT AS NAMED" };
        println!("| `{}` | {} | {:.1} | {:.1} | {} | {holds} |", r.control, r.measure, r.before, r.after, r.unit);
    }

    let side = (fit.roi.x1 - fit.roi.x0).max(1.0);
    let window = Window::square(f64::from(fit.roi.x0), f64::from(fit.roi.y0), f64::from(side));
    let size = (picture.width, picture.height);
    let motion = Motion::from_fits([&fit], size, "portrait");
    let track = Track::new(&motion, &Head::from_model(model.model()), &TrackSettings::default())?;
    let shot = Shot::with_model(model, draft, picture, &fit, track, None)?;
    let itself = RetargetSettings { self_reenactment: true, ..RetargetSettings::default() };
    let mut scratch = Scratch::default();
    let mut cells = ContactSheet::new(5, (300, 300));
    cells.text_scale = 2;
    cells.push(&shot.reference().crop(window, 300, 300, Filter::Area), "REFERENCE");
    for &e in Expression::ALL.iter().filter(|e| wanted(e)) {
        let settings = FrameSettings {
            rig: RigSettings::single(e, strength),
            retarget: itself.clone(),
            ..FrameSettings::default()
        };
        let frame = shot.render(0, &|_| settings.clone(), &mut scratch)?;
        cells.push(&frame.crop(window, 300, 300, Filter::Area), &e.id().to_uppercase().replace('_', " "));
    }
    still::write(Path::new(sheet), &cells.render(), &StillOptions::default())
}
