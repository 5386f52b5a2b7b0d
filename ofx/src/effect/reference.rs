//! The plate: the picture of the reference, from its clip or from a file, and where it lies in the output. Its pixels are
//! converted in `clip_image.rs`.

use super::clip_image::{ClipImage, ConvertedImage};
use super::params::PluginParams;
use super::{REFERENCE, SOURCE, colour, shared};
use crate::host::image::Rect;
use crate::host::{Clip, Effect};
use headgan::{Error, Result};

/// Where the reference comes from.
pub enum Reference<'a> {
    Clip(Clip<'a>),
    File(String),
}

/// The reference: its clip where something feeds that, else its file.
///
/// # Errors
/// `Usage` where there is neither.
pub fn find<'a>(effect: &Effect<'a>, params: &PluginParams) -> Result<Reference<'a>> {
    match effect.clip(REFERENCE).filter(|clip| clip.is_connected() == Some(true)) {
        Some(clip) => Ok(Reference::Clip(clip)),
        None if !params.reference_file.is_empty() => Ok(Reference::File(params.reference_file.clone())),
        None => Err(Error::Usage(
            "there is no reference: connect a clip to Reference, or choose a picture under Reference file".into(),
        )),
    }
}

/// The host's time of the reference clip's picture at a time: held, or the time itself.
pub fn clip_time(clip: &Clip, params: &PluginParams, frame: usize, time: f64) -> f64 {
    if params.reference_follows {
        return time;
    }
    clip.frame_range().map_or(0.0, |(first, _)| first) + frame as f64
}

/// Whether Source and the reference's clip may be one and the same: they are as long and as large.
pub fn may_be_source(effect: &Effect, clip: &Clip, at: f64) -> bool {
    effect.clip(SOURCE).is_some_and(|source| {
        source.frame_range().is_some_and(|range| clip.frame_range() == Some(range))
            && source.region(at).is_some_and(|region| clip.region(at) == Some(region))
    })
}

/// The plate at a time; `source` is where Source's picture lies, into which a file is fitted.
///
/// # Errors
/// `Input` where there is no picture at that time, or the file cannot be read.
pub fn plate(
    effect: &Effect,
    reference: &Reference,
    params: &PluginParams,
    frame: usize,
    time: f64,
    source: &Rect,
) -> Result<ConvertedImage> {
    match reference {
        Reference::Clip(clip) => {
            let at = clip_time(clip, params, frame, time);
            let none =
                || Error::input(format!("Reference has no picture at frame {at}: choose another Reference frame"));
            Ok(ClipImage::new(clip.image(at)?.ok_or_else(none)?, colour::clip_color(clip, params)).convert())
        }
        Reference::File(path) => {
            let number = if params.reference_follows {
                let first = effect.clip(SOURCE).and_then(|c| c.frame_range()).map_or(0.0, |(first, _)| first);
                (time - first).round() as i64
            } else {
                frame as i64
            };
            let frame = shared::file_frame(
                path,
                number,
                effect.clip(SOURCE).map_or(params.color, |clip| colour::clip_color(&clip, params)),
                source.width(),
                source.height(),
            )?;
            let x1 = source.x1 + (source.width() - frame.width) as i32 / 2;
            let y1 = source.y1 + (source.height() - frame.height) as i32 / 2;
            let rect = Rect { x1, y1, x2: x1 + frame.width as i32, y2: y1 + frame.height as i32 };
            Ok(ConvertedImage::straight(frame, rect))
        }
    }
}
