//! Colour curves: sRGB (IEC 61966-2-1), Rec.709 (ITU-R BT.709-6, the camera curve) and linear light.
//!
//! Only the transfer curve changes; the three share the same primaries and white point, so no matrix
//! is needed. Float sources use the exact functions, 8- and 16-bit sources a table of every code.
//! Negative values keep their sign (the curves are mirrored), values above 1 are extended.

use super::{Color, Frame};
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::OnceLock;

/// sRGB code value to linear light.
#[inline]
pub fn srgb_to_linear(v: f32) -> f32 {
    let a = v.abs();
    let l = if a <= 0.04045 { a / 12.92 } else { ((a + 0.055) / 1.055).powf(2.4) };
    l.copysign(v)
}

/// Linear light to sRGB code value.
#[inline]
pub fn linear_to_srgb(v: f32) -> f32 {
    let a = v.abs();
    let c = if a <= 0.003_130_8 { a * 12.92 } else { 1.055 * a.powf(1.0 / 2.4) - 0.055 };
    c.copysign(v)
}

// The constants of BT.709 to the precision at which both pieces meet (BT.2020-2, table 4, note 2).
const BT709_ALPHA: f32 = 1.099_296_8;
const BT709_BETA: f32 = 0.018_053_97;

/// Rec.709 code value to linear light (the inverse of the camera curve).
#[inline]
pub fn rec709_to_linear(v: f32) -> f32 {
    let a = v.abs();
    let l = if a < 4.5 * BT709_BETA { a / 4.5 } else { ((a + (BT709_ALPHA - 1.0)) / BT709_ALPHA).powf(1.0 / 0.45) };
    l.copysign(v)
}

/// Linear light to Rec.709 code value (the camera curve).
#[inline]
pub fn linear_to_rec709(v: f32) -> f32 {
    let a = v.abs();
    let c = if a < BT709_BETA { 4.5 * a } else { BT709_ALPHA * a.powf(0.45) - (BT709_ALPHA - 1.0) };
    c.copysign(v)
}

impl Color {
    /// A code value of this colour to linear light.
    #[inline]
    pub fn to_linear(self, v: f32) -> f32 {
        match self {
            Color::Srgb => srgb_to_linear(v),
            Color::Rec709 => rec709_to_linear(v),
            Color::Linear => v,
        }
    }

    /// Linear light to a code value of this colour.
    #[inline]
    pub fn from_linear(self, v: f32) -> f32 {
        match self {
            Color::Srgb => linear_to_srgb(v),
            Color::Rec709 => linear_to_rec709(v),
            Color::Linear => v,
        }
    }
}

/// Linear light of every 8-bit code of `color`.
pub fn linear_table8(color: Color) -> &'static [f32; 256] {
    static TABLES: [OnceLock<Box<[f32; 256]>>; 3] = [const { OnceLock::new() }; 3];
    TABLES[color as usize].get_or_init(|| Box::new(std::array::from_fn(|i| color.to_linear(i as f32 / 255.0))))
}

/// Linear light of every 16-bit code of `color`: 65,536 values.
pub fn linear_table16(color: Color) -> &'static [f32] {
    static TABLES: [OnceLock<Vec<f32>>; 3] = [const { OnceLock::new() }; 3];
    TABLES[color as usize].get_or_init(|| (0..=65535).map(|i| color.to_linear(i as f32 / 65535.0)).collect())
}

impl Frame {
    /// The same picture with its values re-encoded for `color`. Alpha is untouched; where the tag is
    /// already `color` the values are returned as they are.
    pub fn to_color(&self, color: Color) -> Frame {
        let mut frame = self.clone();
        frame.convert_color(color);
        frame
    }

    /// Re-encodes the values in place, as [`Frame::to_color`].
    pub fn convert_color(&mut self, color: Color) {
        let from = self.color;
        if from == color {
            return;
        }
        // One monomorphic loop per pair keeps the choice of curve out of the pixel loop.
        match (from, color) {
            (Color::Srgb, Color::Linear) => map_rgb(&mut self.data, srgb_to_linear),
            (Color::Rec709, Color::Linear) => map_rgb(&mut self.data, rec709_to_linear),
            (Color::Linear, Color::Srgb) => map_rgb(&mut self.data, linear_to_srgb),
            (Color::Linear, Color::Rec709) => map_rgb(&mut self.data, linear_to_rec709),
            (Color::Srgb, Color::Rec709) => map_rgb(&mut self.data, |v| linear_to_rec709(srgb_to_linear(v))),
            (Color::Rec709, Color::Srgb) => map_rgb(&mut self.data, |v| linear_to_srgb(rec709_to_linear(v))),
            _ => {}
        }
        self.color = color;
    }

    /// The picture as code values that a screen shows: sRGB and Rec.709 pictures as they are (programs
    /// show both with the same curve, and a sequence must survive the way through a video unchanged),
    /// linear pictures encoded for `display`.
    pub fn to_display(&self, display: Color) -> Cow<'_, Frame> {
        if self.color == Color::Linear && display != Color::Linear {
            Cow::Owned(self.to_color(display))
        } else {
            Cow::Borrowed(self)
        }
    }

    /// From 8-bit RGBA codes of `color` straight to linear light, by table. Panics where `data` does not
    /// hold `4 * width * height` values.
    pub fn linear_from_rgba8(width: usize, height: usize, data: &[u8], color: Color) -> Frame {
        assert_eq!(data.len(), 4 * width * height, "4 samples a pixel are needed");
        let table = linear_table8(color);
        let mut frame = Frame::new(width, height);
        frame.color = Color::Linear;
        frame.data.par_chunks_mut(1 << 16).zip(data.par_chunks(1 << 16)).for_each(|(to, from)| {
            for (to, from) in to.chunks_exact_mut(4).zip(from.chunks_exact(4)) {
                for c in 0..3 {
                    to[c] = table[usize::from(from[c])];
                }
                to[3] = f32::from(from[3]) / 255.0;
            }
        });
        frame
    }

    /// From 16-bit RGBA codes of `color` straight to linear light, by table. Panics where `data` does not
    /// hold `4 * width * height` values.
    pub fn linear_from_rgba16(width: usize, height: usize, data: &[u16], color: Color) -> Frame {
        assert_eq!(data.len(), 4 * width * height, "4 samples a pixel are needed");
        let table = linear_table16(color);
        let mut frame = Frame::new(width, height);
        frame.color = Color::Linear;
        frame.data.par_chunks_mut(1 << 16).zip(data.par_chunks(1 << 16)).for_each(|(to, from)| {
            for (to, from) in to.chunks_exact_mut(4).zip(from.chunks_exact(4)) {
                for c in 0..3 {
                    to[c] = table[usize::from(from[c])];
                }
                to[3] = f32::from(from[3]) / 65535.0;
            }
        });
        frame
    }
}

fn map_rgb(data: &mut [f32], f: impl Fn(f32) -> f32 + Sync) {
    data.par_chunks_mut(1 << 16).for_each(|chunk| {
        for p in chunk.chunks_exact_mut(4) {
            for v in &mut p[..3] {
                *v = f(*v);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert!((srgb_to_linear(0.5) - 0.214_041_14).abs() < 1e-6);
        assert!((linear_to_srgb(0.18) - 0.461_356_13).abs() < 1e-6);
        // 0.40901 with the standard's rounded constants 1.099 and 0.018
        assert!((linear_to_rec709(0.18) - 0.409_01).abs() < 3e-4);
        for c in [Color::Srgb, Color::Rec709, Color::Linear] {
            assert!(c.to_linear(0.0) == 0.0 && (c.to_linear(1.0) - 1.0).abs() < 1e-6);
        }
    }

    #[test]
    fn curves_invert_and_pieces_meet() {
        for c in [Color::Srgb, Color::Rec709] {
            let mut last = f32::MIN;
            for i in -400..1600 {
                let v = i as f32 / 800.0;
                assert!((c.from_linear(c.to_linear(v)) - v).abs() < 2e-6, "{c:?} {v}");
                assert!(c.from_linear(v) >= last);
                last = c.from_linear(v);
            }
        }
        let b = BT709_BETA;
        assert!((linear_to_rec709(b - 1e-7) - linear_to_rec709(b + 1e-7)).abs() < 2e-6);
    }

    #[test]
    fn every_code_survives_linear_light() {
        for c in [Color::Srgb, Color::Rec709] {
            let bytes: Vec<u8> = (0..=255u8).flat_map(|v| [v, v, 255 - v, v]).collect();
            let mut f = Frame::linear_from_rgba8(16, 16, &bytes, c);
            assert_eq!(f, Frame::from_rgba8(16, 16, &bytes, c).to_color(Color::Linear));
            f.convert_color(c);
            assert_eq!(f.to_rgba8(), bytes);
            let words: Vec<u16> = (0..=65535u16).flat_map(|v| [v, v, 65535 - v, v]).collect();
            let mut f = Frame::linear_from_rgba16(256, 256, &words, c);
            f.convert_color(c);
            assert_eq!(f.to_rgba16(), words);
        }
    }

    #[test]
    fn display_keeps_display_encoded_pictures() {
        let f = Frame::filled(1, 1, [0.5, 0.25, 2.0, 1.0], Color::Srgb);
        assert!(matches!(f.to_display(Color::Rec709), Cow::Borrowed(_)));
        let l = Frame { color: Color::Linear, ..f };
        assert_eq!(l.to_display(Color::Rec709).color, Color::Rec709);
        assert!((l.to_display(Color::Srgb).data[0] - linear_to_srgb(0.5)).abs() < 1e-7);
    }
}
