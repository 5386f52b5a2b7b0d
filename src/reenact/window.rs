//! The square around a face that a generator paints, and the maps between its raster and the plate.

use crate::frame::{Frame, Window};
use crate::morphable::{ImageCamera, Mesh};
use crate::{Error, Result};
use std::ops::Range;

/// Side of the crop that views and generators work at, in pixels.
pub const CROP: usize = 256;

/// The square that a generator paints: 2.2 times the face's larger side, the face a little below its centre.
pub(super) fn window_around(mesh: &Mesh) -> Result<Window> {
    let (mut lo, mut hi) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
    for v in &mesh.vertices {
        for k in 0..2 {
            lo[k] = lo[k].min(v[k]);
            hi[k] = hi[k].max(v[k]);
        }
    }
    let side = 2.2 * f64::from((hi[0] - lo[0]).max(hi[1] - lo[1]));
    if !side.is_finite() || side < 4.0 {
        return Err(Error::NoFace("the face of the reference is too small to work with; use a larger picture".into()));
    }
    let x = 0.5 * f64::from(lo[0] + hi[0]) + 0.5;
    let y = 0.5 * f64::from(lo[1] + hi[1]) + 0.5 - 0.06 * side;
    Ok(Window::square(x - 0.5 * side, y - 0.5 * side, side))
}

/// A camera of the plate as the window's raster of [`CROP`] pixels sees it.
pub(super) fn in_window(camera: &ImageCamera, window: Window) -> ImageCamera {
    let k = CROP as f64 / window.width;
    // Windows count from a pixel's edge, meshes from its centre.
    let offset = [((0.5 - window.x0) * k - 0.5) as f32, ((0.5 - window.y0) * k - 0.5) as f32];
    camera.mapped(k as f32, offset)
}

/// A flow between pixels of the plate as flow between two windows' rasters of [`CROP`] pixels: where each pixel of
/// `window` comes from in `home`, relative.
pub(super) fn flow_in_window(
    flow: &[[f32; 2]],
    (width, height): (usize, usize),
    window: Window,
    home: Window,
    out: &mut Vec<[f32; 2]>,
) {
    let axis = |start: f64, side: f64| (start, side / CROP as f64);
    let ((x0, kx), (y0, ky)) = (axis(window.x0, window.width), axis(window.y0, window.height));
    let ((hx0, hkx), (hy0, hky)) = (axis(home.x0, home.width), axis(home.y0, home.height));
    // Windows count from a pixel's edge, the flow from its centre.
    let plate = |p: usize, start: f64, k: f64| start + (p as f64 + 0.5) * k - 0.5;
    let there = |q: f64, start: f64, k: f64| (q + 0.5 - start) / k - 0.5;
    let taps = |q: f64, n: usize| {
        let q = q.clamp(0.0, (n - 1) as f64);
        let i = (q as usize).min(n.saturating_sub(2));
        (i, (i + 1).min(n - 1), (q - i as f64) as f32)
    };
    let columns: Vec<_> = (0..CROP).map(|x| plate(x, x0, kx)).map(|q| (q, taps(q, width))).collect();
    out.clear();
    for y in 0..CROP {
        let qy = plate(y, y0, ky);
        let (top, bottom, v) = taps(qy, height);
        for (x, &(qx, (left, right, u))) in columns.iter().enumerate() {
            let at = |row: usize, column: usize| flow[row * width + column];
            let [a, b, c, d] = [at(top, left), at(top, right), at(bottom, left), at(bottom, right)];
            let [fx, fy] = [0, 1].map(|k| {
                let (up, down) = (a[k] + u * (b[k] - a[k]), c[k] + u * (d[k] - c[k]));
                f64::from(up + v * (down - up))
            });
            let (rx, ry) = (there(qx + fx, hx0, hkx), there(qy + fy, hy0, hky));
            out.push([(rx - x as f64) as f32, (ry - y as f64) as f32]);
        }
    }
}

/// The plate's pixels whose centres lie in a window, columns and rows, and where they lie in the window's raster of
/// [`CROP`] pixels; `None` where there are none.
pub(super) fn pixels_of(window: Window, plate: &Frame) -> Option<(Range<usize>, Range<usize>, Window)> {
    let span = |start: f64, size: usize| {
        let first = (start - 0.5).ceil().clamp(0.0, size as f64);
        let end = (start + window.width - 0.5).ceil().clamp(first, size as f64);
        first as usize..end as usize
    };
    let (columns, rows) = (span(window.x0, plate.width), span(window.y0, plate.height));
    let k = CROP as f64 / window.width;
    let part = Window {
        x0: (columns.start as f64 - window.x0) * k,
        y0: (rows.start as f64 - window.y0) * k,
        width: columns.len() as f64 * k,
        height: rows.len() as f64 * k,
    };
    (!columns.is_empty() && !rows.is_empty()).then_some((columns, rows, part))
}
