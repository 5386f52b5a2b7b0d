//! The plate: the picture of the reference, from its clip or from a file, where it lies in the output, and its pixels
//! as the host stores them.

use super::own::Own;
use super::{REFERENCE, SOURCE, colour, shared};
use crate::host::image::{Alpha, Image, Rect};
use crate::host::{Clip, Effect};
use headgan::frame::{Color, Frame};
use headgan::{Error, Result};
use std::sync::Arc;

/// A picture of a host as the library takes it.
pub struct Picture {
    /// Straight alpha.
    pub frame: Arc<Frame>,
    /// The pixels as the host stores them, where they differ.
    stored: Option<Vec<f32>>,
    pub alpha: Alpha,
    /// Where it lies, in pixels.
    pub rect: Rect,
}

/// Where the reference comes from.
pub enum Reference<'a> {
    Clip(Clip<'a>),
    File(String),
}

impl Picture {
    /// Reads a host's picture.
    pub fn of(image: &Image, color: Color) -> Picture {
        let stored = image.read();
        let mut data = stored.clone();
        for p in data.chunks_exact_mut(4) {
            match image.alpha {
                Alpha::Opaque => p[3] = 1.0,
                // Where alpha is 0 there is nothing to divide by: what light is there stays as it is.
                Alpha::Premultiplied if p[3] != 0.0 => {
                    let a = p[3];
                    p[..3].iter_mut().for_each(|v| *v /= a);
                }
                _ => {}
            }
        }
        let stored = (data != stored).then_some(stored);
        let (width, height) = (image.bounds.width(), image.bounds.height());
        Picture {
            frame: Arc::new(Frame { width, height, data, color }),
            stored,
            alpha: image.alpha,
            rect: image.bounds,
        }
    }

    /// Pixel `index` (rows from the top) as an output with this alpha stores it: untouched where both store it alike.
    pub fn stored(&self, index: usize, alpha: Alpha) -> [f32; 4] {
        match &self.stored {
            Some(stored) if alpha == self.alpha => pixel(stored, index),
            _ => store(pixel(&self.frame.data, index), alpha),
        }
    }
}

/// Pixel `index` of interleaved samples.
pub fn pixel(data: &[f32], index: usize) -> [f32; 4] {
    [data[4 * index], data[4 * index + 1], data[4 * index + 2], data[4 * index + 3]]
}

/// A pixel with straight alpha as an output with this alpha stores it.
pub fn store([r, g, b, a]: [f32; 4], alpha: Alpha) -> [f32; 4] {
    match alpha {
        Alpha::Premultiplied if a != 1.0 && a != 0.0 => [r * a, g * a, b * a, a],
        _ => [r, g, b, a],
    }
}

/// The reference: its clip where something feeds that, else its file.
///
/// # Errors
/// `Usage` where there is neither.
pub fn find<'a>(effect: &Effect<'a>, own: &Own) -> Result<Reference<'a>> {
    match effect.clip(REFERENCE).filter(|clip| clip.is_connected() == Some(true)) {
        Some(clip) => Ok(Reference::Clip(clip)),
        None if !own.reference_file.is_empty() => Ok(Reference::File(own.reference_file.clone())),
        None => Err(Error::Usage(
            "there is no reference: connect a clip to Reference, or choose a picture under Reference file".into(),
        )),
    }
}

/// The host's time of the reference clip's picture at a time: held, or the time itself.
pub fn clip_time(clip: &Clip, own: &Own, frame: usize, time: f64) -> f64 {
    if own.reference_follows {
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
    own: &Own,
    frame: usize,
    time: f64,
    source: &Rect,
) -> Result<Picture> {
    match reference {
        Reference::Clip(clip) => {
            let at = clip_time(clip, own, frame, time);
            let none =
                || Error::Input(format!("Reference has no picture at frame {at}: choose another Reference frame"));
            Ok(Picture::of(&clip.image(at)?.ok_or_else(none)?, colour::of_clip(clip, own)))
        }
        Reference::File(path) => {
            let number = if own.reference_follows {
                let first = effect.clip(SOURCE).and_then(|c| c.frame_range()).map_or(0.0, |(first, _)| first);
                (time - first).round() as i64
            } else {
                frame as i64
            };
            let frame = shared::picture(
                path,
                number,
                effect.clip(SOURCE).map_or(own.color, |clip| colour::of_clip(&clip, own)),
                source.width(),
                source.height(),
            )?;
            let x1 = source.x1 + (source.width() - frame.width) as i32 / 2;
            let y1 = source.y1 + (source.height() - frame.height) as i32 / 2;
            let rect = Rect { x1, y1, x2: x1 + frame.width as i32, y2: y1 + frame.height as i32 };
            Ok(Picture { frame, stored: None, alpha: Alpha::Straight, rect })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_touched_is_stored_as_it_was() {
        let stored = vec![0.1, 0.2, 0.3, 0.7, 2.0, 3.0, 4.0, 0.0];
        let straight = vec![0.1 / 0.7, 0.2 / 0.7, 0.3 / 0.7, 0.7, 2.0, 3.0, 4.0, 0.0];
        let frame = Arc::new(Frame { width: 2, height: 1, data: straight, color: Color::Linear });
        let rect = Rect { x1: 0, y1: 0, x2: 2, y2: 1 };
        let picture = Picture { frame, stored: Some(stored), alpha: Alpha::Premultiplied, rect };
        assert_eq!(picture.stored(0, Alpha::Premultiplied), [0.1, 0.2, 0.3, 0.7]);
        assert_eq!(picture.stored(1, Alpha::Premultiplied), [2.0, 3.0, 4.0, 0.0]);
        assert_eq!(picture.stored(0, Alpha::Straight)[0], 0.1 / 0.7);
        assert_eq!(store([0.5, 0.5, 0.5, 0.5], Alpha::Premultiplied), [0.25, 0.25, 0.25, 0.5]);
    }
}
