//! Samples of files and pipes to [`Frame`] and back: `v / max` in, `round(v * max)` out, so that
//! 8-bit and 16-bit pictures survive the round trip exactly. No colour curve is applied here.

use super::{Color, Frame};
use half::f16;
use rayon::prelude::*;

/// Pixels that one rayon task converts: large enough that a task costs more than its scheduling.
const CHUNK: usize = 16 * 1024;

/// Writes the opaque pixels of three equally long planes to as many. Blocks of a fixed size become vectors.
fn opaque(red: &[u8], green: &[u8], blue: &[u8], to: &mut [f32]) {
    const BLOCK: usize = 16;
    let planes = red.chunks(BLOCK).zip(green.chunks(BLOCK)).zip(blue.chunks(BLOCK));
    for (to, ((r, g), b)) in to.chunks_mut(4 * BLOCK).zip(planes) {
        let mut bytes = [[u8::MAX; 4]; BLOCK];
        for (p, ((r, g), b)) in bytes.iter_mut().zip(r.iter().zip(g).zip(b)) {
            (p[0], p[1], p[2]) = (*r, *g, *b);
        }
        for (to, v) in to.iter_mut().zip(bytes.as_flattened()) {
            *to = v.to_unit();
        }
    }
}

/// One stored channel value.
pub trait Sample: Copy + Send + Sync {
    /// The value of full intensity, for a missing alpha channel.
    const ONE: Self;
    /// Nominal range 0..1.
    fn to_unit(self) -> f32;
    /// From nominal range 0..1; integers clamp and round to the nearest, NaN becomes 0.
    fn from_unit(v: f32) -> Self;
}

impl Sample for u8 {
    const ONE: u8 = u8::MAX;
    #[inline(always)]
    fn to_unit(self) -> f32 {
        f32::from(self) / 255.0
    }
    #[inline(always)]
    fn from_unit(v: f32) -> u8 {
        // The detour over i32 vectorises where a direct saturating cast to u8 does not.
        (v.clamp(0.0, 1.0) * 255.0 + 0.5) as i32 as u8
    }
}

impl Sample for u16 {
    const ONE: u16 = u16::MAX;
    #[inline(always)]
    fn to_unit(self) -> f32 {
        f32::from(self) / 65535.0
    }
    #[inline(always)]
    fn from_unit(v: f32) -> u16 {
        (v.clamp(0.0, 1.0) * 65535.0 + 0.5) as i32 as u16
    }
}

/// Sixteen bits as two little-endian bytes, as `rgb48le` pipes carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(transparent)]
pub struct Le16(pub [u8; 2]);

impl Sample for Le16 {
    const ONE: Le16 = Le16([255; 2]);
    #[inline(always)]
    fn to_unit(self) -> f32 {
        u16::from_le_bytes(self.0).to_unit()
    }
    #[inline(always)]
    fn from_unit(v: f32) -> Le16 {
        Le16(u16::from_unit(v).to_le_bytes())
    }
}

impl Sample for f16 {
    const ONE: f16 = f16::ONE;
    #[inline(always)]
    fn to_unit(self) -> f32 {
        self.to_f32()
    }
    /// Clamps to the largest finite half: a highlight must not become infinite.
    #[inline(always)]
    fn from_unit(v: f32) -> f16 {
        f16::from_f32(v.clamp(-65504.0, 65504.0))
    }
}

impl Sample for f32 {
    const ONE: f32 = 1.0;
    #[inline(always)]
    fn to_unit(self) -> f32 {
        self
    }
    #[inline(always)]
    fn from_unit(v: f32) -> f32 {
        v
    }
}

/// `N` stored channels to RGBA: 1 = grey, 2 = grey and alpha, 3 = RGB, 4 = RGBA.
#[inline(always)]
pub(crate) fn expand<S: Sample, const N: usize>(p: &[S]) -> [f32; 4] {
    match N {
        1 => {
            let y = p[0].to_unit();
            [y, y, y, 1.0]
        }
        2 => {
            let y = p[0].to_unit();
            [y, y, y, p[1].to_unit()]
        }
        3 => [p[0].to_unit(), p[1].to_unit(), p[2].to_unit(), 1.0],
        _ => [p[0].to_unit(), p[1].to_unit(), p[2].to_unit(), p[3].to_unit()],
    }
}

impl Frame {
    /// A picture from interleaved samples, `N` per pixel: 1 = grey, 2 = grey and alpha, 3 = RGB, 4 = RGBA.
    ///
    /// # Panics
    /// Where `samples` does not hold exactly `N * width * height` values.
    pub fn from_samples<S: Sample, const N: usize>(width: usize, height: usize, samples: &[S], color: Color) -> Frame {
        let mut frame = Frame::new(width, height);
        frame.color = color;
        frame.fill_samples::<S, N>(samples);
        frame
    }

    /// Overwrites all pixels with opaque ones from planes of eight-bit samples: red, green, blue.
    ///
    /// # Panics
    /// Where a plane does not hold exactly `width * height` values.
    pub fn fill_planes(&mut self, planes: [&[u8]; 3]) {
        let [red, green, blue] = planes;
        let pixels = self.width * self.height;
        assert!(planes.iter().all(|p| p.len() == pixels), "a sample a pixel is needed in each plane");
        let pieces = red.par_chunks(CHUNK).zip(green.par_chunks(CHUNK)).zip(blue.par_chunks(CHUNK));
        self.data.par_chunks_mut(4 * CHUNK).zip(pieces).for_each(|(to, ((r, g), b))| opaque(r, g, b, to));
    }

    /// Overwrites all pixels with interleaved samples, as [`Frame::from_samples`], without allocating.
    ///
    /// # Panics
    /// Where `samples` does not hold exactly `N * width * height` values.
    pub fn fill_samples<S: Sample, const N: usize>(&mut self, samples: &[S]) {
        const { assert!(N >= 1 && N <= 4) };
        assert_eq!(samples.len(), N * self.width * self.height, "{N} samples a pixel are needed");
        self.data.par_chunks_mut(4 * CHUNK).zip(samples.par_chunks(N * CHUNK)).for_each(|(to, from)| {
            for (to, from) in to.chunks_exact_mut(4).zip(from.chunks_exact(N)) {
                to.copy_from_slice(&expand::<S, N>(from));
            }
        });
    }

    /// Writes interleaved samples, `N` per pixel: 3 = RGB, 4 = RGBA.
    ///
    /// # Panics
    /// Where `out` does not hold exactly `N * width * height` values.
    pub fn write_samples<S: Sample, const N: usize>(&self, out: &mut [S]) {
        const { assert!(N == 3 || N == 4) };
        assert_eq!(out.len(), N * self.width * self.height, "{N} samples a pixel are needed");
        out.par_chunks_mut(N * CHUNK).zip(self.data.par_chunks(4 * CHUNK)).for_each(|(to, from)| {
            for (to, from) in to.chunks_exact_mut(N).zip(from.chunks_exact(4)) {
                for (to, from) in to.iter_mut().zip(from) {
                    *to = S::from_unit(*from);
                }
            }
        });
    }

    /// Interleaved samples, `N` per pixel: 3 = RGB, 4 = RGBA.
    pub fn to_samples<S: Sample, const N: usize>(&self) -> Vec<S> {
        let mut out = vec![S::ONE; N * self.width * self.height];
        self.write_samples::<S, N>(&mut out);
        out
    }

    /// From 8-bit RGB, `3 * width * height` values. Panics on another length.
    pub fn from_rgb8(width: usize, height: usize, data: &[u8], color: Color) -> Frame {
        Frame::from_samples::<u8, 3>(width, height, data, color)
    }

    /// From 8-bit RGBA, `4 * width * height` values. Panics on another length.
    pub fn from_rgba8(width: usize, height: usize, data: &[u8], color: Color) -> Frame {
        Frame::from_samples::<u8, 4>(width, height, data, color)
    }

    /// From 16-bit RGBA, `4 * width * height` values. Panics on another length.
    pub fn from_rgba16(width: usize, height: usize, data: &[u16], color: Color) -> Frame {
        Frame::from_samples::<u16, 4>(width, height, data, color)
    }

    /// From float RGBA, `4 * width * height` values. Panics on another length.
    pub fn from_rgba_f32(width: usize, height: usize, data: &[f32], color: Color) -> Frame {
        Frame::from_samples::<f32, 4>(width, height, data, color)
    }

    /// To 8-bit RGB (alpha is dropped, the colours stay as they are).
    pub fn to_rgb8(&self) -> Vec<u8> {
        self.to_samples::<u8, 3>()
    }

    /// To 8-bit RGBA.
    pub fn to_rgba8(&self) -> Vec<u8> {
        self.to_samples::<u8, 4>()
    }

    /// To 16-bit RGBA.
    pub fn to_rgba16(&self) -> Vec<u16> {
        self.to_samples::<u16, 4>()
    }

    /// To float RGB (alpha is dropped).
    pub fn to_rgb_f32(&self) -> Vec<f32> {
        self.to_samples::<f32, 3>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bit_round_trip_is_exact() {
        let bytes: Vec<u8> = (0..=255u8).flat_map(|v| [v, 255 - v, v ^ 0x5a, v]).collect();
        let frame = Frame::from_rgba8(16, 16, &bytes, Color::Srgb);
        assert_eq!(frame.pixel(3, 0), [3.0 / 255.0, 252.0 / 255.0, f32::from(3u8 ^ 0x5a) / 255.0, 3.0 / 255.0]);
        assert_eq!(frame.to_rgba8(), bytes);
        let rgb: Vec<u8> = bytes.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        assert_eq!(Frame::from_rgb8(16, 16, &rgb, Color::Srgb).to_rgb8(), rgb);
    }

    #[test]
    fn planes_are_the_same_samples() {
        // With and without pixels behind the last whole block.
        for (width, height) in [(64, 4), (3, 5), (85, 3)] {
            let pixels: Vec<[u8; 3]> = (0..width * height).map(|v| v as u8).map(|v| [v, 255 - v, v ^ 0x5a]).collect();
            let plane = |c: usize| pixels.iter().map(|p| p[c]).collect::<Vec<u8>>();
            let mut frame = Frame::new(width, height);
            frame.fill_planes([&plane(0), &plane(1), &plane(2)]);
            assert_eq!(frame, Frame::from_rgb8(width, height, pixels.as_flattened(), frame.color));
        }
    }

    #[test]
    fn sixteen_bit_round_trip_is_exact() {
        let words: Vec<u16> = (0..=65535u16).flat_map(|v| [v, 65535 - v, v.rotate_left(3), v]).collect();
        let frame = Frame::from_rgba16(256, 256, &words, Color::Srgb);
        assert_eq!(frame.to_rgba16(), words);
        let le = frame.to_samples::<Le16, 3>();
        let bytes: &[u8] = bytemuck::cast_slice(&le);
        assert_eq!(bytes[0..6], [0, 0, 255, 255, 0, 0]);
        assert_eq!(Frame::from_samples::<Le16, 3>(256, 256, &le, Color::Srgb).to_samples::<Le16, 3>(), le);
    }

    #[test]
    fn out_of_range_clamps_and_nan_is_zero() {
        assert_eq!([u8::from_unit(-3.0), u8::from_unit(7.0), u8::from_unit(f32::NAN)], [0, 255, 0]);
        assert_eq!([u16::from_unit(-3.0), u16::from_unit(f32::INFINITY), u16::from_unit(f32::NAN)], [0, 65535, 0]);
        assert_eq!(f16::from_unit(1e9).to_f32(), 65504.0);
        assert_eq!(u8::from_unit(0.5), 128);
    }

    #[test]
    fn grey_expands_to_three_channels() {
        let f = Frame::from_samples::<u8, 2>(1, 1, &[51, 102], Color::Srgb);
        assert_eq!(f.pixel(0, 0), [0.2, 0.2, 0.2, 0.4]);
    }
}
