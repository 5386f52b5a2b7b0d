//! Affine maps of pixels: applied to points, pictures and cameras, inverted and composed.

use headgan::face::bgr::{Bgr8, Pixels};
use headgan::frame::Frame;

/// An affine map of pixels, `[a b c; d e f]`.
pub type Affine = [f64; 6];

/// A frame in 8 bits.
pub fn to_bgr8(frame: &Frame) -> Bgr8 {
    let (width, height) = (frame.width, frame.height);
    let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| frame.bgr(x, y))).collect();
    Bgr8 { width, height, data }
}

/// The square picture whose pixel p shows `source` at `map` of p, bilinear, black outside.
pub fn resample(source: &Bgr8, map: &Affine, side: usize) -> Bgr8 {
    let (w, h) = (source.width as i64, source.height as i64);
    let at = |x: i64, y: i64| -> [f32; 3] {
        if x < 0 || y < 0 || x >= w || y >= h {
            return [0.0; 3];
        }
        let i = 3 * (y * w + x) as usize;
        [source.data[i], source.data[i + 1], source.data[i + 2]].map(f32::from)
    };
    let mut data = Vec::with_capacity(3 * side * side);
    for y in 0..side {
        for x in 0..side {
            let (px, py) = apply(map, [x as f64, y as f64]);
            let (fx, fy) = (px.floor(), py.floor());
            let (ix, iy, tx, ty) = (fx as i64, fy as i64, (px - fx) as f32, (py - fy) as f32);
            let corners = [at(ix, iy), at(ix + 1, iy), at(ix, iy + 1), at(ix + 1, iy + 1)];
            for c in 0..3 {
                let [a, b, d, e] = corners.map(|p| p[c]);
                let top = a + (b - a) * tx;
                let bottom = d + (e - d) * tx;
                data.push((top + (bottom - top) * ty + 0.5) as u8);
            }
        }
    }
    Bgr8 { width: side, height: side, data }
}

/// The point that a map takes another to.
pub fn apply(m: &Affine, p: [f64; 2]) -> (f64, f64) {
    (m[0] * p[0] + m[1] * p[1] + m[2], m[3] * p[0] + m[4] * p[1] + m[5])
}

/// The map back.
pub fn inverse(m: &Affine) -> Affine {
    let d = m[0] * m[4] - m[1] * m[3];
    let [a, b, c, e] = [m[4] / d, -m[1] / d, -m[3] / d, m[0] / d];
    [a, b, -(a * m[2] + b * m[5]), c, e, -(c * m[2] + e * m[5])]
}

/// The camera (3x4, y down) in a picture whose pixels lie at `map` of theirs in the camera's. Depth is scaled alike.
pub fn transform_camera(camera: &[f64; 12], map: &Affine) -> [f64; 12] {
    let m = inverse(map);
    let scale = (m[0] * m[4] - m[1] * m[3]).abs().sqrt();
    let mut out = [0.0; 12];
    for c in 0..4 {
        let (x, y) = (camera[c], camera[4 + c]);
        out[c] = m[0] * x + m[1] * y;
        out[4 + c] = m[3] * x + m[4] * y;
        out[8 + c] = scale * camera[8 + c];
    }
    out[3] += m[2];
    out[7] += m[5];
    out
}

/// `a` after `b`.
pub fn compose(a: &Affine, b: &Affine) -> Affine {
    let mut out = [0.0; 6];
    for r in 0..2 {
        let (x, y) = (a[3 * r], a[3 * r + 1]);
        out[3 * r] = x * b[0] + y * b[3];
        out[3 * r + 1] = x * b[1] + y * b[4];
        out[3 * r + 2] = x * b[2] + y * b[5] + a[3 * r + 2];
    }
    out
}
