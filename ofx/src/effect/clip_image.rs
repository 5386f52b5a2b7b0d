//! An image of a clip as the library takes it: its key, its pixels with straight alpha, and those that the host stores. `host/image.rs`
//! knows how pixels lie in a host's memory; `reference.rs` and `driving.rs` decide which clip is read, and when.

use crate::host::Image;
use crate::host::image::{Alpha, Rect};
use headgan::frame::{Color, Frame};
use headgan::key::Key;
use headgan::shot::analyse::pixels_in_pieces;
use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

/// How many samples are converted at a time for a key.
const BATCH: usize = 1 << 16;

/// An image that the host still holds: its key needs no copy of it.
pub struct ClipImage<'a> {
    image: Image<'a>,
    color: Color,
    key: OnceCell<Key>,
}

impl<'a> ClipImage<'a> {
    pub fn new(image: Image<'a>, color: Color) -> ClipImage<'a> {
        ClipImage { image, color, key: OnceCell::new() }
    }

    /// Where it lies, in pixels.
    pub fn rect(&self) -> Rect {
        self.image.bounds
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.image.bounds.width(), self.image.bounds.height())
    }

    /// The key that its frame has ([`pixels`](headgan::shot::analyse::pixels)).
    pub fn key(&self) -> Key {
        let rows = |rows: Range<usize>, out: &mut Vec<f32>| {
            self.image.read(rows, out);
            straighten(out, self.image.alpha);
        };
        *self.key.get_or_init(|| key(self.size(), self.color, rows))
    }

    /// A copy of its pixels.
    pub fn frame(&self) -> Frame {
        let (width, height) = self.size();
        let mut data = self.stored();
        straighten(&mut data, self.image.alpha);
        Frame { width, height, data, color: self.color }
    }

    /// Copies it and gives it back to the host.
    pub fn convert(self) -> ConvertedImage {
        let (width, height) = self.size();
        let (alpha, color, rect) = (self.image.alpha, self.color, self.rect());
        let mut data = self.stored();
        let stored = is_changed(&data, alpha).then(|| data.clone());
        straighten(&mut data, alpha);
        ConvertedImage { frame: Arc::new(Frame { width, height, data, color }), stored, alpha, rect }
    }

    fn stored(&self) -> Vec<f32> {
        let mut data = Vec::new();
        self.image.read(0..self.size().1, &mut data);
        data
    }
}

/// Brings stored pixels to straight alpha.
fn straighten(pixels: &mut [f32], alpha: Alpha) {
    for p in pixels.chunks_exact_mut(4) {
        match alpha {
            Alpha::Opaque => p[3] = 1.0,
            // Where alpha is 0 there is nothing to divide by: what light is there stays as it is.
            Alpha::Premultiplied if p[3] != 0.0 => {
                let a = p[3];
                p[..3].iter_mut().for_each(|v| *v /= a);
            }
            _ => {}
        }
    }
}

/// Whether [`straighten`] changes any of these pixels.
fn is_changed(pixels: &[f32], alpha: Alpha) -> bool {
    let (pixels, _) = pixels.as_chunks::<4>();
    match alpha {
        Alpha::Opaque => pixels.iter().any(|p| p[3] != 1.0),
        Alpha::Premultiplied => pixels.iter().any(|p| p[3] != 0.0 && p[..3].iter().any(|v| *v / p[3] != *v)),
        Alpha::Straight => false,
    }
}

/// The key of a frame whose rows `read` appends, a few at a time: what [`pixels`](headgan::shot::analyse::pixels) says of the whole frame.
fn key((width, height): (usize, usize), color: Color, read: impl Fn(Range<usize>, &mut Vec<f32>)) -> Key {
    pixels_in_pieces((width, height), color, |add| {
        let step = (BATCH / (4 * width.max(1))).max(1);
        let mut batch = Vec::new();
        for first in (0..height).step_by(step) {
            batch.clear();
            read(first..(first + step).min(height), &mut batch);
            add(&batch);
        }
    })
}

/// A copy of a host's image, converted for the library.
pub struct ConvertedImage {
    /// Straight alpha.
    pub frame: Arc<Frame>,
    /// The pixels as the host stores them, where they differ.
    stored: Option<Vec<f32>>,
    pub alpha: Alpha,
    /// Where it lies, in pixels.
    pub rect: Rect,
}

impl ConvertedImage {
    /// A frame that does not come from a host.
    pub fn straight(frame: Arc<Frame>, rect: Rect) -> ConvertedImage {
        ConvertedImage { frame, stored: None, alpha: Alpha::Straight, rect }
    }

    /// Pixel `index` (rows from the top) as an output with this alpha stores it: untouched where both store it alike.
    pub fn stored(&self, index: usize, alpha: Alpha) -> [f32; 4] {
        match &self.stored {
            Some(stored) if alpha == self.alpha => pixel(stored, index),
            _ => to_stored(pixel(&self.frame.data, index), alpha),
        }
    }
}

/// Pixel `index` of interleaved samples.
pub fn pixel(data: &[f32], index: usize) -> [f32; 4] {
    [data[4 * index], data[4 * index + 1], data[4 * index + 2], data[4 * index + 3]]
}

/// A pixel with straight alpha as an output with this alpha stores it.
pub fn to_stored([r, g, b, a]: [f32; 4], alpha: Alpha) -> [f32; 4] {
    match alpha {
        Alpha::Premultiplied if a != 1.0 && a != 0.0 => [r * a, g * a, b * a, a],
        _ => [r, g, b, a],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::shot::analyse::pixels;

    #[test]
    fn what_is_not_touched_is_stored_as_it_was() {
        let stored = vec![0.1, 0.2, 0.3, 0.7, 2.0, 3.0, 4.0, 0.0];
        let straight = vec![0.1 / 0.7, 0.2 / 0.7, 0.3 / 0.7, 0.7, 2.0, 3.0, 4.0, 0.0];
        let frame = Arc::new(Frame { width: 2, height: 1, data: straight, color: Color::Linear });
        let rect = Rect { x1: 0, y1: 0, x2: 2, y2: 1 };
        let picture = ConvertedImage { frame, stored: Some(stored), alpha: Alpha::Premultiplied, rect };
        assert_eq!(picture.stored(0, Alpha::Premultiplied), [0.1, 0.2, 0.3, 0.7]);
        assert_eq!(picture.stored(1, Alpha::Premultiplied), [2.0, 3.0, 4.0, 0.0]);
        assert_eq!(picture.stored(0, Alpha::Straight)[0], 0.1 / 0.7);
        assert_eq!(to_stored([0.5, 0.5, 0.5, 0.5], Alpha::Premultiplied), [0.25, 0.25, 0.25, 0.5]);
    }

    #[test]
    fn keys_need_no_frame() {
        for (width, height, color) in [(3, 2, Color::Srgb), (700, 61, Color::Rec709), (1, 1, Color::Linear)] {
            let data: Vec<f32> = (0..4 * width * height).map(|i| (i % 977) as f32 / 300.0 - 0.5).collect();
            for alpha in [Alpha::Opaque, Alpha::Premultiplied, Alpha::Straight] {
                let mut straight = data.clone();
                straighten(&mut straight, alpha);
                assert_eq!(is_changed(&data, alpha), straight != data);
                let read = |rows: Range<usize>, out: &mut Vec<f32>| {
                    out.extend(&data[4 * width * rows.start..4 * width * rows.end]);
                    straighten(out, alpha);
                };
                let found = key((width, height), color, read);
                assert_eq!(found, pixels(&Frame { width, height, data: straight, color }));
            }
        }
        let plain = [0.5, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0, 0.0];
        assert!(!is_changed(&plain, Alpha::Premultiplied) && is_changed(&plain, Alpha::Opaque));
        assert!(!is_changed(&plain[..4], Alpha::Opaque) && !is_changed(&[f32::NAN; 4], Alpha::Straight));
    }
}
