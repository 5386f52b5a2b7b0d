//! The head's pose in every frame of a clip:
//!
//!     cargo run --release --example analyse -- CLIP.mp4
//!
//! Prints a line per frame: its number, yaw, pitch and roll in degrees, and the confidence, 0 to 1; frames without a face get a
//! dash. The face is found with the model packs that `headgan` finds.

use headgan::face::choose::Choice;
use headgan::media::Source;
use headgan::models::ModelSet;
use headgan::morphable::ImageCamera;
use headgan::reenact::{ContextOptions, RenderContext};
use headgan::{CancelToken, Error, Result};

fn main() -> Result<()> {
    let clip = std::env::args().nth(1).ok_or_else(|| Error::usage("give a clip"))?;
    let context = RenderContext::load(ModelSet::discover(&[]), ContextOptions::default())?;
    let largest = |_, _| Choice::Largest;
    let analysis = context.analyse_source(&Source::open(&clip)?, largest, None, &|| (), &CancelToken::default())?;

    println!("{:>6} {:>7} {:>7} {:>7} {:>10}", "frame", "yaw", "pitch", "roll", "confidence");
    for (number, face) in (analysis.first..).zip(&analysis.faces) {
        match face {
            Some(face) => {
                let pose = ImageCamera::from_fit(&face.fit)?.euler();
                let (yaw, pitch, roll) = (pose.yaw, pose.pitch, pose.roll);
                println!("{number:>6} {yaw:>7.1} {pitch:>7.1} {roll:>7.1} {:>10.2}", face.confidence);
            }
            None => println!("{number:>6}       -"),
        }
    }
    Ok(())
}
