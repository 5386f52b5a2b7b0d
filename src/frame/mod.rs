//! Pictures: f32 RGBA with a colour tag, resampling, warping, compositing, colour.
//!
//! This module works on pixels in memory. Files are in [`crate::media`]; code that knows about faces is in [`crate::face`] and
//! [`crate::reenact`].
//!
//! * [`convert`]: 8-bit, 16-bit, half and float samples to a [`Frame`] and back, exact for integers.
//! * [`resample`]: resize, crop to a float window with clamped borders, quarter turns, warps.
//! * [`color`]: the sRGB and Rec.709 curves, linear light, tables for integer sources.
//! * [`composite`]: alpha-over and soft-mask pasting that leaves the plate bit-identical where the
//!   mask is zero.
//! * [`contact`] and [`text`]: contact sheets with small labels.

pub mod color;
pub mod composite;
pub mod contact;
pub mod convert;
mod rect;
pub mod resample;
pub mod text;

pub use contact::ContactSheet;
pub use convert::Sample;
pub use rect::Rect;
pub use resample::{Filter, Turn, Window};

/// How the stored numbers relate to light.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum Color {
    /// Encoded with the sRGB curve (what 8- and 16-bit stills hold).
    #[default]
    Srgb,
    /// Encoded with the Rec.709 curve (what most video holds).
    Rec709,
    /// Linear light (what EXR holds); values above 1 are allowed.
    Linear,
}

/// One picture: f32 RGBA, rows from top to bottom, no padding, straight alpha.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Width in pixels, at least 1.
    pub width: usize,
    /// Height in pixels, at least 1.
    pub height: usize,
    /// `4 * width * height` values, R G B A per pixel, nominal range 0..1.
    pub data: Vec<f32>,
    /// What the numbers mean.
    pub color: Color,
}

impl Frame {
    /// A transparent black picture.
    pub fn new(width: usize, height: usize) -> Frame {
        Frame { width, height, data: vec![0.0; 4 * width * height], color: Color::Srgb }
    }

    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, rgba: [f32; 4], color: Color) -> Frame {
        let mut data = Vec::with_capacity(4 * width * height);
        for _ in 0..width * height {
            data.extend_from_slice(&rgba);
        }
        Frame { width, height, data, color }
    }

    /// True where every alpha is exactly 1: no premultiplication is needed then.
    pub fn is_opaque(&self) -> bool {
        self.data.chunks_exact(4).all(|p| p[3] == 1.0)
    }

    /// Makes this a picture of the given size, keeping the allocation where it is large enough. The
    /// pixels are unspecified afterwards.
    pub fn reshape(&mut self, width: usize, height: usize, color: Color) {
        self.width = width;
        self.height = height;
        self.color = color;
        self.data.resize(4 * width * height, 0.0);
    }

    /// The pixel at column `x`, row `y` (both must lie inside).
    #[inline]
    pub fn pixel(&self, x: usize, y: usize) -> [f32; 4] {
        let i = 4 * (y * self.width + x);
        [self.data[i], self.data[i + 1], self.data[i + 2], self.data[i + 3]]
    }

    /// Sets the pixel at column `x`, row `y` (both must lie inside).
    #[inline]
    pub fn set_pixel(&mut self, x: usize, y: usize, rgba: [f32; 4]) {
        let i = 4 * (y * self.width + x);
        self.data[i..i + 4].copy_from_slice(&rgba);
    }
}
