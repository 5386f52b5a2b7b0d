//! A reference picture performs what a driving clip performs:
//!
//!     cargo run --release --example reenact -- REFERENCE.png DRIVING.mp4 OUT.mp4
//!
//! Pictures, image sequences (`f_%04d.png`) and, where ffmpeg is installed, videos. The faces are found with the model packs
//! that `headgan` finds; no generator is used (quality draft).

use headgan::controls::Settings;
use headgan::controls::choices::{Device, Quality};
use headgan::face::choose::Choice;
use headgan::media::{Rational, Sink, SinkSpec, Source};
use headgan::models::ModelSet;
use headgan::reenact::{
    ContextOptions, Driver, FrameSettings, MatteSettings, ReferenceFit, ReferenceUse, RenderContext, Scratch, ShotSpec,
};
use headgan::shot::TrackSettings;
use headgan::{CancelToken, Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [reference, driving, out] = &arguments[..] else {
        return Err(Error::usage("give a reference picture, a driving clip and the file to write"));
    };
    let context = RenderContext::load(ModelSet::discover(&[]), ContextOptions::default())?;

    // The driving clip: the face of every frame, made ready to drive.
    let clip = Source::open(driving)?;
    let analysis = context.analyse_source(&clip, |_, _| Choice::Largest, None, &|| (), &CancelToken::default())?;
    let motion = analysis.motion(context.networks().model_hash());
    let track = context.track(&motion, &TrackSettings::default())?;

    // The reference: its largest face.
    let source = Source::open(reference)?;
    let picture = source.frame(source.info().first)?;
    let shot = context.shot(
        ShotSpec {
            reference: &picture,
            fit: ReferenceFit::Detect(reference),
            driver: Driver::Track(track),
            audio: None,
            lips: None,
            quality: Quality::Draft,
            uses: ReferenceUse { matte: Some(MatteSettings::default()), ..ReferenceUse::default() },
            device: Device::Auto,
        },
        None,
    )?;

    let fps = clip.info().fps.unwrap_or(Rational::whole(25));
    let mut sink = Sink::create(out, SinkSpec::new(picture.width, picture.height, fps))?;
    let settings = FrameSettings::from_controls(&Settings::default(), false);
    let mut scratch = Scratch::default();
    for i in 0..shot.len() {
        sink.write(shot.render(i, &|_| settings.clone(), &mut scratch)?)?;
    }
    sink.finish()
}
