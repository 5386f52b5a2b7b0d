//! Reading a picture between its pixels.

use crate::frame::Frame;

/// Hermite step from 0 at `lo` to 1 at `hi`.
#[inline]
pub fn step(lo: f32, hi: f32, x: f32) -> f32 {
    let t = ((x - lo) / (hi - lo)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// `a + t (b - a)`.
#[inline]
pub(super) fn mix<const N: usize>(a: [f32; N], b: [f32; N], t: f32) -> [f32; N] {
    std::array::from_fn(|i| a[i] + t * (b[i] - a[i]))
}

/// Catmull-Rom weights of the four neighbours at fraction `t` of the way from the second to the third.
#[inline]
fn catmull_rom(t: f32) -> [f32; 4] {
    let (t2, t3) = (t * t, t * t * t);
    [-0.5 * t3 + t2 - 0.5 * t, 1.5 * t3 - 2.5 * t2 + 1.0, -1.5 * t3 + 2.0 * t2 + 0.5 * t, 0.5 * t3 - 0.5 * t2]
}

/// The picture at `(x, y)`, Catmull-Rom, continued by its border pixels, without overshoot beyond the four
/// nearest pixels. Exact at pixel centres. Non-finite coordinates read the upper left pixel.
#[inline]
pub fn bicubic(picture: &Frame, x: f32, y: f32) -> [f32; 4] {
    let (w, h) = (picture.width, picture.height);
    let x = x.max(0.0).min((w - 1) as f32);
    let y = y.max(0.0).min((h - 1) as f32);
    let (ix, iy) = (x as usize, y as usize);
    let wx = catmull_rom(x - ix as f32);
    let wy = catmull_rom(y - iy as f32);
    let data = &picture.data[..];
    let mut sum = [0.0f32; 4];
    if ix >= 1 && iy >= 1 && ix + 2 < w && iy + 2 < h {
        let first = 4 * ((iy - 1) * w + ix - 1);
        for (j, wy) in wy.iter().enumerate() {
            let row: &[f32; 16] = data[first + 4 * w * j..][..16].try_into().unwrap_or(&[0.0; 16]);
            for k in 0..4 {
                sum[k] += wy * (wx[0] * row[k] + wx[1] * row[4 + k] + wx[2] * row[8 + k] + wx[3] * row[12 + k]);
            }
        }
        let near = first + 4 * (w + 1);
        let a: &[f32; 8] = data[near..][..8].try_into().unwrap_or(&[0.0; 8]);
        let b: &[f32; 8] = data[near + 4 * w..][..8].try_into().unwrap_or(&[0.0; 8]);
        for k in 0..4 {
            let lo = a[k].min(a[4 + k]).min(b[k].min(b[4 + k]));
            let hi = a[k].max(a[4 + k]).max(b[k].max(b[4 + k]));
            sum[k] = sum[k].max(lo).min(hi);
        }
        return sum;
    }
    let col = |i: usize| (ix + i).saturating_sub(1).min(w - 1);
    let row = |j: usize| (iy + j).saturating_sub(1).min(h - 1);
    let (mut lo, mut hi) = ([f32::INFINITY; 4], [f32::NEG_INFINITY; 4]);
    for (j, wy) in wy.iter().enumerate() {
        for (i, wx) in wx.iter().enumerate() {
            let p = picture.pixel(col(i), row(j));
            for k in 0..4 {
                sum[k] += wx * wy * p[k];
                if (1..3).contains(&i) && (1..3).contains(&j) {
                    lo[k] = lo[k].min(p[k]);
                    hi[k] = hi[k].max(p[k]);
                }
            }
        }
    }
    std::array::from_fn(|k| sum[k].max(lo[k]).min(hi[k]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_at_centres_smooth_between_and_never_beyond() {
        let mut f = Frame::new(7, 5);
        for y in 0..5 {
            for x in 0..7 {
                f.set_pixel(x, y, [x as f32, y as f32, ((x * 7 + y * 3) % 5) as f32, 1.0]);
            }
        }
        for y in 0..5 {
            for x in 0..7 {
                assert_eq!(bicubic(&f, x as f32, y as f32), f.pixel(x, y));
            }
        }
        let p = bicubic(&f, 3.25, 2.5);
        assert!((p[0] - 3.25).abs() < 1e-5 && (p[1] - 2.5).abs() < 1e-5 && p[3] == 1.0);
        assert!((0.0..=4.0).contains(&p[2]));
        assert_eq!(bicubic(&f, -9.0, 99.0), f.pixel(0, 4));
        assert_eq!(bicubic(&f, f32::NAN, 0.0), f.pixel(0, 0));
        let one = Frame::new(1, 1);
        assert_eq!(bicubic(&one, 3.0, -2.0), [0.0; 4]);
    }
}
