//! Putting a crop back into the plate it was cut from.

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::reenact::draft::bicubic;

/// Where a square crop lies in its plate.
///
/// Lengths are in plate pixels and pixel k covers k to k + 1 here, so that an unscaled crop that begins with plate
/// pixel (10, 20) has `x = 10`, `y = 20`. The centre of crop pixel i lies on plate pixel
/// `x + (i + 0.5) * side / n - 0.5`, n being the crop's width. The square may leave the plate.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Placement {
    /// Left edge of the square.
    pub x: f32,
    /// Upper edge of the square.
    pub y: f32,
    /// Length of its sides, above 0.
    pub side: f32,
}

impl Placement {
    /// The crop's pixel coordinates (of `n` along its side) of a plate point.
    #[inline]
    pub fn to_crop(&self, n: usize, p: [f32; 2]) -> [f32; 2] {
        let scale = n as f32 / self.side;
        [(p[0] - self.x + 0.5) * scale - 0.5, (p[1] - self.y + 0.5) * scale - 0.5]
    }

    /// The plate's pixel coordinates of a crop point (`n` pixels along the crop's side).
    #[inline]
    pub fn to_plate(&self, n: usize, p: [f32; 2]) -> [f32; 2] {
        let scale = self.side / n as f32;
        [(p[0] + 0.5) * scale + self.x - 0.5, (p[1] + 0.5) * scale + self.y - 0.5]
    }

    fn check(&self) -> Result<()> {
        if [self.x, self.y, self.side].iter().all(|v| v.is_finite()) && self.side > 0.0 {
            return Ok(());
        }
        Err(Error::Usage(format!("a crop of side {} at ({}, {}) has no area", self.side, self.x, self.y)))
    }
}

/// Cuts the square out of the plate, `n x n` pixels, the plate continued by its border pixels. Averages where the crop is
/// smaller than the square, Catmull-Rom otherwise; a square of n whole pixels is copied exactly.
pub fn cut(plate: &Frame, placement: &Placement, n: usize) -> Result<Frame> {
    placement.check()?;
    check_picture(plate, "plate")?;
    if n == 0 {
        return Err(Error::Usage("a crop needs at least one pixel".into()));
    }
    let mut out = Frame::new(n, n);
    out.color = plate.color;
    let taps = taps(placement.side / n as f32);
    out.data.par_chunks_mut(4 * n).enumerate().for_each(|(j, row)| {
        for (i, pixel) in row.chunks_exact_mut(4).enumerate() {
            let read = |dx: f32, dy: f32| {
                let p = placement.to_plate(n, [i as f32 + dx, j as f32 + dy]);
                bicubic(plate, p[0], p[1])
            };
            pixel.copy_from_slice(&average(taps, read));
        }
    });
    Ok(out)
}

/// The plate with `result` put over it at `placement`, as much as `mask` says.
///
/// `result` is square and `mask` holds one weight (0..1) for each of its pixels. Where the mask is 0, and outside of
/// the square, colour and alpha of the plate are returned bit for bit. Elsewhere colours are mixed by alpha times mask
/// weights, so that transparent pixels contribute none. Fails with [`Error::Usage`] where sizes do not fit.
pub fn paste(plate: &Frame, result: &Frame, mask: &[f32], placement: &Placement) -> Result<Frame> {
    let mut out = plate.clone();
    paste_into(&mut out, result, mask, placement)?;
    Ok(out)
}

/// [`paste`] in place.
pub fn paste_into(plate: &mut Frame, result: &Frame, mask: &[f32], placement: &Placement) -> Result<()> {
    placement.check()?;
    check_picture(plate, "plate")?;
    check_picture(result, "result")?;
    let n = result.width;
    if result.height != n || mask.len() != n * n {
        return Err(Error::Usage(format!(
            "a result of {n}x{} with {} mask values cannot be put back; both have to be the same square",
            result.height,
            mask.len()
        )));
    }
    let (width, height) = (plate.width, plate.height);
    let range = |start: f32, size: usize| -> std::ops::Range<usize> {
        let from = (start - 0.5).ceil().clamp(0.0, size as f32) as usize;
        let to = (start + placement.side - 0.5).ceil().clamp(from as f32, size as f32) as usize;
        from..to
    };
    let (columns, rows) = (range(placement.x, width), range(placement.y, height));
    let taps = taps(n as f32 / placement.side);
    let plate_rows = &mut plate.data[4 * width * rows.start..4 * width * rows.end];
    plate_rows.par_chunks_mut(4 * width).enumerate().for_each(|(j, row)| {
        let y = (rows.start + j) as f32;
        for x in columns.clone() {
            let at = |dx: f32, dy: f32| placement.to_crop(n, [x as f32 + dx, y + dy]);
            let weight = average(taps, |dx, dy| [bilinear(mask, n, at(dx, dy))])[0];
            if weight <= 0.0 {
                continue;
            }
            let over = average(taps, |dx, dy| {
                let p = at(dx, dy);
                bicubic(result, p[0], p[1])
            });
            let pixel = &mut row[4 * x..4 * x + 4];
            let (under_a, over_a) = (pixel[3], over[3]);
            let alpha = under_a + weight * (over_a - under_a);
            // Equal alphas, the common case, need no weighting by alpha.
            let share = if over_a == under_a || alpha <= 0.0 { weight } else { weight * over_a / alpha };
            for k in 0..3 {
                pixel[k] += share * (over[k] - pixel[k]);
            }
            pixel[3] = alpha;
        }
    });
    Ok(())
}

fn check_picture(picture: &Frame, what: &str) -> Result<()> {
    let (w, h) = (picture.width, picture.height);
    if w > 0 && h > 0 && picture.data.len() == 4 * w * h {
        return Ok(());
    }
    Err(Error::Usage(format!("the {what} of {w}x{h} has {} values, not {}", picture.data.len(), 4 * w * h)))
}

/// Samples along each side of a pixel that is `scale` source pixels wide.
fn taps(scale: f32) -> usize {
    // A cut by less than half is left to the interpolation.
    if scale <= 1.5 { 1 } else { (scale.ceil() as usize).min(16) }
}

/// Mean of `taps x taps` samples spread over a pixel.
#[inline]
fn average<const N: usize>(taps: usize, read: impl Fn(f32, f32) -> [f32; N]) -> [f32; N] {
    if taps == 1 {
        return read(0.0, 0.0);
    }
    let mut sum = [0.0; N];
    let at = |i: usize| (i as f32 + 0.5) / taps as f32 - 0.5;
    for j in 0..taps {
        for i in 0..taps {
            let v = read(at(i), at(j));
            for k in 0..N {
                sum[k] += v[k];
            }
        }
    }
    sum.map(|s| s / (taps * taps) as f32)
}

/// A square map between its pixels, continued by its border.
#[inline]
fn bilinear(map: &[f32], n: usize, p: [f32; 2]) -> f32 {
    let [x, y] = p.map(|v| v.max(0.0).min((n - 1) as f32));
    let (ix, iy) = (x as usize, y as usize);
    let (jx, jy) = ((ix + 1).min(n - 1), (iy + 1).min(n - 1));
    let (tx, ty) = (x - ix as f32, y - iy as f32);
    let a = map[iy * n + ix] + tx * (map[iy * n + jx] - map[iy * n + ix]);
    let b = map[jy * n + ix] + tx * (map[jy * n + jx] - map[jy * n + ix]);
    a + ty * (b - a)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(width: usize, height: usize) -> Frame {
        let mut f = Frame::new(width, height);
        let mut s = 1u32;
        for v in &mut f.data {
            s = s.wrapping_mul(1664525).wrapping_add(1013904223);
            *v = (s >> 8) as f32 / (1 << 24) as f32;
        }
        f
    }

    #[test]
    fn the_plate_outside_the_mask_is_bit_identical() {
        let plate = noise(70, 50);
        let result = noise(32, 32);
        let mut mask = vec![0.0; 32 * 32];
        for y in 10..20 {
            for x in 8..24 {
                mask[y * 32 + x] = 0.7;
            }
        }
        for placement in [
            Placement { x: 20.0, y: 10.0, side: 32.0 },
            Placement { x: -7.3, y: 31.8, side: 40.7 },
            Placement { x: 30.2, y: 12.4, side: 11.3 },
            Placement { x: 500.0, y: -900.0, side: 11.3 },
        ] {
            let out = paste(&plate, &result, &mask, &placement).unwrap();
            let mut changed = 0;
            for y in 0..50 {
                for x in 0..70 {
                    let p = placement.to_crop(32, [x as f32, y as f32]);
                    // A sample may reach one crop pixel, and half a plate pixel, beyond the mask.
                    let reach = 1.0 + 0.5 * 32.0 / placement.side;
                    let inside =
                        p[0] > 8.0 - reach && p[0] < 23.0 + reach && p[1] > 10.0 - reach && p[1] < 19.0 + reach;
                    if !inside {
                        assert_eq!(out.pixel(x, y).map(f32::to_bits), plate.pixel(x, y).map(f32::to_bits), "{x} {y}");
                    } else if out.pixel(x, y) != plate.pixel(x, y) {
                        changed += 1;
                    }
                }
            }
            assert!(placement.x > 400.0 || changed > 10);
        }
    }

    #[test]
    fn cut_and_paste_agree() {
        let plate = noise(64, 64);
        let whole = Placement { x: 12.0, y: 9.0, side: 40.0 };
        let crop = cut(&plate, &whole, 40).unwrap();
        assert_eq!(crop.pixel(3, 5), plate.pixel(15, 14));
        let out = paste(&Frame::new(64, 64), &crop, &vec![1.0; 1600], &whole).unwrap();
        assert_eq!(out.pixel(12, 9), plate.pixel(12, 9));
        assert_eq!(out.pixel(51, 48), plate.pixel(51, 48));
        assert_eq!(out.pixel(52, 48), [0.0; 4]);
        let p = whole.to_crop(80, whole.to_plate(80, [3.5, 7.25]));
        assert!((p[0] - 3.5).abs() < 1e-4 && (p[1] - 7.25).abs() < 1e-4);
        // Shrinking averages: the mean colour stays.
        let small = cut(&plate, &Placement { x: 0.0, y: 0.0, side: 64.0 }, 8).unwrap();
        let mean = |f: &Frame| f.data.iter().step_by(4).sum::<f32>() / (f.width * f.height) as f32;
        assert!((mean(&small) - mean(&plate)).abs() < 0.01);
    }

    #[test]
    fn wrong_sizes_are_refused() {
        let plate = noise(8, 8);
        let at = Placement { x: 0.0, y: 0.0, side: 8.0 };
        assert!(matches!(paste(&plate, &noise(8, 7), &[0.0; 56], &at), Err(Error::Usage(_))));
        assert!(matches!(paste(&plate, &noise(8, 8), &[0.0; 3], &at), Err(Error::Usage(_))));
        let flat = Placement { side: 0.0, ..at };
        assert!(matches!(paste(&plate, &noise(8, 8), &[0.0; 64], &flat), Err(Error::Usage(_))));
        assert!(matches!(cut(&plate, &Placement { x: f32::NAN, ..at }, 4), Err(Error::Usage(_))));
        assert!(matches!(cut(&plate, &at, 0), Err(Error::Usage(_))));
    }
}
