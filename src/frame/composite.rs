//! Putting pictures on pictures. Outside the mask the plate's numbers are not touched at all, so they
//! stay bit-identical.

use super::resample::{Filter, Window, crop_plane};
use super::{Color, Frame};
use crate::{Error, Result};
use rayon::prelude::*;
use std::borrow::Cow;

/// `m` of `over` and `1 - m` of `under`, straight alpha, weighted by coverage.
#[inline]
fn mix(under: &mut [f32], over: &[f32], m: f32) {
    let (ua, oa) = (under[3], over[3]);
    if ua == oa {
        // p*(1-m) + q*m returns q exactly at m = 1.
        for c in 0..3 {
            under[c] = under[c] * (1.0 - m) + over[c] * m;
        }
        return;
    }
    let (wu, wo) = (ua * (1.0 - m), oa * m);
    let alpha = wu + wo;
    if alpha > 0.0 {
        for c in 0..3 {
            under[c] = (under[c] * wu + over[c] * wo) / alpha;
        }
    }
    under[3] = alpha;
}

/// The patch in the plate's colour.
fn matched(patch: &Frame, color: Color) -> Cow<'_, Frame> {
    if patch.color == color { Cow::Borrowed(patch) } else { Cow::Owned(patch.to_color(color)) }
}

impl Frame {
    /// Lays `top` (straight alpha) over this picture with its upper left corner at (`x`, `y`); what
    /// falls outside is cut off. Pixels under a transparent `top` stay bit-identical. `top` is converted
    /// to this picture's colour first.
    pub fn over(&mut self, top: &Frame, x: i64, y: i64) {
        let top = matched(top, self.color);
        self.each_covered(&top, x, y, |under, over, _| {
            let oa = over[3];
            if oa <= 0.0 {
                return;
            }
            if oa >= 1.0 {
                under.copy_from_slice(over);
                return;
            }
            let wu = under[3] * (1.0 - oa);
            let alpha = oa + wu;
            for c in 0..3 {
                under[c] = (over[c] * oa + under[c] * wu) / alpha;
            }
            under[3] = alpha;
        });
    }

    /// Copies `patch` as it is, alpha included, with its upper left corner at (`x`, `y`); what falls
    /// outside is cut off. The colour tags are not compared.
    pub fn paste(&mut self, patch: &Frame, x: i64, y: i64) {
        self.each_covered(patch, x, y, |under, over, _| under.copy_from_slice(over));
    }

    /// Blends `patch` in at (`x`, `y`) by `mask` (one value per pixel of the patch, 0..1): 0 leaves the
    /// plate bit-identical, 1 shows the patch. `patch` is converted to this picture's colour first.
    ///
    /// # Errors
    /// [`Error::Usage`] where the mask's length is not the patch's number of pixels.
    pub fn paste_masked(&mut self, patch: &Frame, mask: &[f32], x: i64, y: i64) -> Result<()> {
        check_mask(mask, patch.width, patch.height)?;
        let patch = matched(patch, self.color);
        self.each_covered(&patch, x, y, |under, over, at| {
            let m = mask[at];
            // NaN counts as 0.
            if m > 0.0 {
                mix(under, over, m.min(1.0));
            }
        });
        Ok(())
    }

    /// Blends a patch that shows the `window` of this plate back into it: patch and mask (both
    /// `patch.width` x `patch.height`) are resampled to the plate's pixels. Pixels outside the window,
    /// and where the resampled mask is 0, stay bit-identical.
    ///
    /// # Errors
    /// [`Error::Usage`] where the mask's length is not the patch's number of pixels, or the window is
    /// not a finite one with an area.
    pub fn paste_window(&mut self, patch: &Frame, mask: &[f32], window: Window, filter: Filter) -> Result<()> {
        check_mask(mask, patch.width, patch.height)?;
        let Window { x0, y0, width, height } = window;
        if ![x0, y0, width, height].iter().all(|v| v.is_finite()) || width <= 0.0 || height <= 0.0 {
            return Err(Error::usage(format!("the window {window:?} has no area")));
        }
        // The plate's pixels whose centres lie in the window.
        let first = |start: f64| (start - 0.5).ceil().max(0.0);
        let end = |start: f64, extent: f64, size: usize| (start + extent - 0.5).ceil().min(size as f64);
        let (px, py) = (first(x0), first(y0));
        let (ex, ey) = (end(x0, width, self.width), end(y0, height, self.height));
        if ex <= px || ey <= py {
            return Ok(());
        }
        let (pw, ph) = ((ex - px) as usize, (ey - py) as usize);
        let (sx, sy) = (patch.width as f64 / width, patch.height as f64 / height);
        let inner = Window { x0: (px - x0) * sx, y0: (py - y0) * sy, width: pw as f64 * sx, height: ph as f64 * sy };
        let patch_here = matched(patch, self.color).crop(inner, pw, ph, filter);
        // A mask must not ring below 0 or above 1, whatever the patch's filter is.
        let mask_filter = if filter == Filter::Lanczos3 { Filter::Area } else { filter };
        let mask_here = crop_plane(mask, (patch.width, patch.height), inner, (pw, ph), mask_filter);
        self.paste_masked(&patch_here, &mask_here, px as i64, py as i64)
    }

    /// Calls `f(plate pixel, patch pixel, index of the patch pixel)` for all pixels of the patch that
    /// fall on the plate.
    fn each_covered(&mut self, patch: &Frame, x: i64, y: i64, f: impl Fn(&mut [f32], &[f32], usize) + Sync) {
        let (w, h) = (self.width as i64, self.height as i64);
        let (left, right) = (x.clamp(0, w), (x.saturating_add(patch.width as i64)).clamp(0, w));
        let (top, bottom) = (y.clamp(0, h), (y.saturating_add(patch.height as i64)).clamp(0, h));
        if right <= left || bottom <= top {
            return;
        }
        let stride = 4 * self.width;
        let rows = &mut self.data[stride * top as usize..stride * bottom as usize];
        rows.par_chunks_mut(stride).enumerate().for_each(|(i, row)| {
            let py = (top + i as i64 - y) as usize;
            let px = (left - x) as usize;
            let start = py * patch.width + px;
            let row = &mut row[4 * left as usize..4 * right as usize];
            for (j, under) in row.chunks_exact_mut(4).enumerate() {
                let at = start + j;
                f(under, &patch.data[4 * at..4 * at + 4], at);
            }
        });
    }
}

fn check_mask(mask: &[f32], width: usize, height: usize) -> Result<()> {
    if mask.len() != width * height {
        return Err(Error::usage(format!("a mask of {} values does not fit a {width}x{height} patch", mask.len())));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(w: usize, h: usize, seed: u32) -> Frame {
        let mut f = Frame::new(w, h);
        let mut s = seed;
        for v in &mut f.data {
            s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *v = (s >> 8) as f32 / (1 << 24) as f32;
        }
        f
    }

    #[test]
    fn zero_mask_is_bit_identical_and_one_is_the_patch() {
        let plate = noise(31, 17, 1);
        let patch = noise(9, 8, 2);
        let mut mask = vec![0.0; 72];
        mask[10] = 1.0;
        mask[11] = 0.5;
        mask[12] = f32::NAN;
        let mut out = plate.clone();
        out.paste_masked(&patch, &mask, 5, 4).unwrap();
        for y in 0..17 {
            for x in 0..31 {
                let i = (y as i64 - 4) * 9 + x as i64 - 5;
                let inside = (5..14).contains(&x) && (4..12).contains(&y);
                let a = out.pixel(x, y).map(f32::to_bits);
                if inside && i == 10 {
                    let q = patch.pixel(1, 1);
                    assert!(out.pixel(x, y).iter().zip(q).all(|(a, b)| (a - b).abs() < 1e-6));
                } else if !(inside && i == 11) {
                    assert_eq!(a, plate.pixel(x, y).map(f32::to_bits), "{x} {y}");
                }
            }
        }
        assert!(out.paste_masked(&patch, &mask[1..], 0, 0).is_err());
    }

    #[test]
    fn opaque_full_mask_copies_exactly() {
        let mut plate = noise(12, 12, 3);
        let mut patch = noise(4, 4, 4);
        plate.data.chunks_mut(4).for_each(|p| p[3] = 1.0);
        patch.data.chunks_mut(4).for_each(|p| p[3] = 1.0);
        let before = plate.clone();
        plate.paste_masked(&patch, &[1.0; 16], 10, -2).unwrap();
        assert_eq!(plate.pixel(10, 0), patch.pixel(0, 2));
        assert_eq!(plate.pixel(11, 1), patch.pixel(1, 3));
        assert_eq!(plate.pixel(9, 0), before.pixel(9, 0));
        plate.paste_masked(&patch, &[1.0; 16], 1_000_000, i64::MIN).unwrap();
    }

    #[test]
    fn a_crop_pasted_back_is_the_plate() {
        let plate = {
            let mut f = Frame::new(40, 30);
            for y in 0..30 {
                for x in 0..40 {
                    f.set_pixel(x, y, [x as f32 / 40.0, y as f32 / 30.0, 0.5, 1.0]);
                }
            }
            f
        };
        let w = Window::square(7.3, 5.6, 16.0);
        let patch = plate.crop(w, 32, 32, Filter::Bilinear);
        let mut mask = vec![1.0f32; 32 * 32];
        for y in 0..32 {
            mask[y * 32] = 0.0;
        }
        let mut out = plate.clone();
        out.paste_window(&patch, &mask, w, Filter::Area).unwrap();
        for (i, (a, b)) in out.data.iter().zip(&plate.data).enumerate() {
            let (x, y) = ((i / 4) % 40, i / 160);
            let inside = (8..23).contains(&x) && (6..21).contains(&y);
            // at the window's rim half a patch pixel is repeated border
            assert!((a - b).abs() < if inside { 3e-3 } else { 1e-2 }, "{x} {y}");
            if !inside && !(7..=23).contains(&x) {
                assert_eq!(a.to_bits(), b.to_bits());
            }
        }
        // partly and wholly outside
        out.paste_window(&patch, &mask, Window::square(-8.0, 20.0, 16.0), Filter::Lanczos3).unwrap();
        out.paste_window(&patch, &mask, Window::square(500.0, 500.0, 16.0), Filter::Area).unwrap();
        assert!(out.paste_window(&patch, &mask, Window::square(0.0, 0.0, 0.0), Filter::Area).is_err());
    }

    #[test]
    fn over_composites() {
        let mut plate = Frame::filled(2, 1, [1.0, 0.0, 0.0, 1.0], Color::Srgb);
        let mut top = Frame::filled(2, 1, [0.0, 0.0, 1.0, 0.5], Color::Srgb);
        top.set_pixel(1, 0, [9.0, 9.0, 9.0, 0.0]);
        plate.over(&top, 0, 0);
        assert_eq!(plate.pixel(0, 0), [0.5, 0.0, 0.5, 1.0]);
        assert_eq!(plate.pixel(1, 0), [1.0, 0.0, 0.0, 1.0]);
        let mut clear = Frame::new(1, 1);
        clear.over(&Frame::filled(1, 1, [0.2, 0.4, 0.6, 0.5], Color::Srgb), 0, 0);
        assert!(clear.pixel(0, 0).iter().zip([0.2, 0.4, 0.6, 0.5]).all(|(a, b)| (a - b).abs() < 1e-6));
    }
}
