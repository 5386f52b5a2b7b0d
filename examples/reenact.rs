//! A reference picture performs what a driving clip performs:
//!
//!     cargo run --release --example reenact -- REFERENCE.png DRIVING.mp4 OUT.mp4
//!
//! Pictures, image sequences (`f_%04d.png`) and, where ffmpeg is installed, videos. The faces are found with the model packs
//! that `headgan` finds; no generator is used (quality draft).

use headgan::controls::Settings;
use headgan::engine::cpu;
use headgan::face::choose::Choice;
use headgan::media::{Rational, Sink, SinkSpec, Source};
use headgan::models::ModelSet;
use headgan::reenact::{FrameSettings, Networks, Scratch, Shot};
use headgan::shot::analyse::with_clip;
use headgan::shot::{Analyser, Head, Track, TrackSettings};
use headgan::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, driving, out] = &arguments[..] else {
        return Err(Error::Usage("give a reference picture, a driving clip and the file to write".into()));
    };
    let networks = Networks::load(&ModelSet::discover(&[]), None, None, &cpu::Options::default())?;

    // The driving clip: the face of every frame, made ready to drive.
    let clip = Source::open(driving)?;
    let observer = networks.observer();
    let analyser = Analyser { observer, networks: networks.fingerprint(), cache: None, threads: 0, each: &|| Ok(()) };
    let analysis = with_clip(&clip, |clip| analyser.run(clip, |_, _| Choice::Largest))?;
    let motion = analysis.motion(networks.model_hash());
    let track = Track::new(&motion, &Head::of(networks.morphable.model()), &TrackSettings::default())?;

    // The reference: its largest face.
    let source = Source::open(reference)?;
    let picture = source.frame(source.info().first)?;
    let found = networks.observer().observe(&picture)?.choose(Choice::Largest);
    let face = found.ok_or_else(|| Error::NoFace(format!("{reference}: no face was found")))?;

    let fps = clip.info().fps.unwrap_or(Rational::whole(25));
    let mut sink = Sink::create(out, SinkSpec::new(picture.width, picture.height, fps))?;
    let shot = Shot::new(&networks, picture, &face.fit, track, None)?;
    let settings = FrameSettings::from_controls(&Settings::default(), false);
    let mut scratch = Scratch::default();
    for i in 0..shot.len() {
        sink.write(shot.render(i, &|_| settings.clone(), &mut scratch)?)?;
    }
    sink.finish()
}
