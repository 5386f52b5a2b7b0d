//! Pictures: f32 RGBA with a colour tag, resampling, warping, compositing, colour.

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
