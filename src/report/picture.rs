//! Pictures inside the report.

use crate::frame::{Color, Filter, Frame};
use crate::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageEncoder};

/// Largest height of a picture in pixels.
pub const PICTURE_HEIGHT: usize = 240;

/// Largest width; only panoramas are held back by it.
const WIDTH: usize = 640;

/// JPEG's own scale, 1..100.
const QUALITY: u8 = 85;

/// Behind transparent pictures, sRGB: the page's.
const BACKGROUND: [f32; 4] = [0.09, 0.09, 0.1, 1.0];

/// A small JPEG, ready to stand in a page.
#[derive(Debug, Clone, PartialEq)]
pub struct Picture {
    /// `data:image/jpeg;base64,...`
    pub(super) uri: String,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Picture {
    /// A frame as it looks on a display, at most [`PICTURE_HEIGHT`] pixels high and never enlarged.
    ///
    /// # Errors
    /// [`Error::Input`] where the frame has no pixels.
    pub fn new(frame: &Frame) -> Result<Picture> {
        let failed = |e: &dyn std::fmt::Display| {
            Error::input(format!("a picture of the report cannot be made ({e}); check the size of the frames"))
        };
        if frame.width == 0 || frame.height == 0 {
            return Err(failed(&"it has no pixels"));
        }
        let (w, h) = (frame.width as f64, frame.height as f64);
        let scale = (PICTURE_HEIGHT as f64 / h).min(WIDTH as f64 / w).min(1.0);
        let (width, height) = (((w * scale).round() as usize).max(1), ((h * scale).round() as usize).max(1));
        let small = frame.resize(width, height, Filter::Area);
        let mut shown = Frame::filled(width, height, BACKGROUND, Color::Srgb);
        let mut display = small.to_display(Color::Srgb).into_owned();
        // Display codes are shown as they are, as everywhere.
        display.color = Color::Srgb;
        shown.over(&display, 0, 0);
        let mut jpeg = Vec::new();
        JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
            .write_image(&shown.to_rgb8(), width as u32, height as u32, ExtendedColorType::Rgb8)
            .map_err(|e| failed(&e).with_source(e))?;
        Ok(Picture { uri: format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg)), width, height })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(p: &Picture) -> image::RgbImage {
        let jpeg = STANDARD.decode(p.uri.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
        image::load_from_memory(&jpeg).unwrap().to_rgb8()
    }

    #[test]
    fn sizes() {
        let size = |w, h| {
            let p = Picture::new(&Frame::filled(w, h, [0.5; 4], Color::Srgb)).unwrap();
            assert_eq!(decoded(&p).dimensions(), (p.width as u32, p.height as u32));
            (p.width, p.height)
        };
        assert_eq!(size(1920, 1080), (427, 240));
        assert_eq!(size(100, 50), (100, 50));
        assert_eq!(size(8000, 10), (640, 1));
        assert_eq!(size(1, 1000), (1, 240));
        assert!(Picture::new(&Frame { width: 0, height: 4, data: vec![], color: Color::Srgb }).is_err());
    }

    #[test]
    fn colours_are_those_of_a_display() {
        let near = |frame: &Frame, rgb: [u8; 3]| {
            let got = decoded(&Picture::new(frame).unwrap()).get_pixel(8, 8).0;
            assert!(got.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 3), "{got:?} {rgb:?}");
        };
        near(&Frame::filled(16, 16, [1.0, 0.5, 0.0, 1.0], Color::Srgb), [255, 128, 0]);
        near(&Frame::filled(16, 16, [0.2140, 0.2140, 0.2140, 1.0], Color::Linear), [128, 128, 128]);
        near(&Frame::filled(16, 16, [1.0, 1.0, 1.0, 0.0], Color::Srgb), [23, 23, 26]);
    }
}
