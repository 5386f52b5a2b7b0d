//! A driver made by code: head poses and expressions from formulas move the drawn portrait. Needs no files and no models:
//!
//!     cargo run --release --example own_driver -- [FOLDER [FRAMES]]
//!
//! Writes FOLDER/frame_0000.png and so on; `own-driver` and 25 frames unless told.

use headgan::media::still::{self, StillOptions};
use headgan::morphable::canonical::ExpressionMode;
use headgan::morphable::{Euler, ImageCamera, PreparedMorphable};
use headgan::reenact::draft::DraftModel;
use headgan::reenact::{FrameSettings, Scratch, Shot};
use headgan::shot::motion::MotionFrame;
use headgan::shot::{Head, Motion, Track, TrackSettings};
use headgan::{Error, Result, synthetic};
use std::f32::consts::TAU;
use std::path::PathBuf;
use std::sync::Arc;

/// Side of the pictures in pixels.
const SIZE: usize = 512;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or("own-driver".into()));
    let frames = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(25);
    std::fs::create_dir_all(&folder).map_err(|e| Error::input(format!("{}: {e}", folder.display())).with_source(e))?;

    let model = Arc::new(PreparedMorphable::new(synthetic::head())?);
    let (portrait, fit) = synthetic::demo_reference(SIZE)?;
    let home = ImageCamera::from_fit(&fit)?;

    // A nod and a turn, in degrees; a smile that comes and goes, two blinks.
    let frame_at = |t: f32| {
        let turn = Euler { yaw: 20.0 * (TAU * t).sin(), pitch: 6.0 * (2.0 * TAU * t).sin(), roll: 0.0 };
        let mut expr = fit.params.expr.clone();
        expr[ExpressionMode::Smile as usize] = 0.5 - 0.5 * (TAU * t).cos();
        let blink = (2.0 * TAU * t).cos().powi(24);
        expr[ExpressionMode::BlinkLeft as usize] = blink;
        expr[ExpressionMode::BlinkRight as usize] = blink;
        MotionFrame { camera: home.turned(turn).matrix().map(|v| v as f32), expr, confidence: 1.0 }
    };
    let motion = Motion {
        first: 0,
        size: (SIZE, SIZE),
        fps: None,
        model: "drawn".into(),
        frames: (0..frames).map(|i| Some(frame_at(i as f32 / frames as f32))).collect(),
        identity: None,
    };

    let head = model.model();
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default())?;
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks)?);
    let shot = Shot::with_model(model.clone(), draft, portrait, &fit, track, None)?;
    let mut scratch = Scratch::default();
    for i in 0..shot.len() {
        let frame = shot.render(i, &|_| FrameSettings::default(), &mut scratch)?;
        still::write(&folder.join(format!("frame_{i:04}.png")), frame, &StillOptions::default())?;
    }
    println!("{} frames in {}", shot.len(), folder.display());
    Ok(())
}
