//! Pictures of what is behind the result: PNCC, flow, mask, matte, landmarks, confidence.

use crate::controls::choices::View;
use crate::frame::{Color, Frame};
use crate::media::still::Format;
use std::path::Path;

/// Whether a view's numbers are data, which no colour curve may touch.
pub fn is_data(view: View) -> bool {
    matches!(view, View::Pncc | View::Flow | View::Mask | View::Matte)
}

/// Tags data for a file: floats are written as they are, whole numbers as the codes that they are.
pub fn tag_data(frame: &mut Frame, file: &Path) {
    if matches!(Format::from_name(file), Some(Format::Exr)) {
        frame.color = Color::Linear;
    }
}

fn reset(out: &mut Frame, width: usize, height: usize) {
    out.width = width;
    out.height = height;
    out.color = Color::Srgb;
    out.data.resize(4 * width * height, 1.0);
}

/// Bytes, three per pixel.
pub fn rgb(out: &mut Frame, width: usize, height: usize, bytes: &[u8]) {
    reset(out, width, height);
    for (rgba, b) in out.data.chunks_exact_mut(4).zip(bytes.chunks_exact(3)) {
        rgba.copy_from_slice(&[f32::from(b[0]) / 255.0, f32::from(b[1]) / 255.0, f32::from(b[2]) / 255.0, 1.0]);
    }
}

/// One value per pixel, 0..1.
pub fn grey(out: &mut Frame, width: usize, height: usize, values: &[f32]) {
    reset(out, width, height);
    for (rgba, &v) in out.data.chunks_exact_mut(4).zip(values) {
        rgba.copy_from_slice(&[v, v, v, 1.0]);
    }
}

/// Displacements: direction as hue, length as saturation, white where nothing moves. Full saturation is a tenth of
/// the picture's larger side.
pub fn flow(out: &mut Frame, width: usize, height: usize, flow: &[[f32; 2]]) {
    reset(out, width, height);
    let full = 0.1 * width.max(height) as f32;
    for (rgba, d) in out.data.chunks_exact_mut(4).zip(flow) {
        let s = ((d[0] * d[0] + d[1] * d[1]).sqrt() / full).min(1.0);
        let hue = d[1].atan2(d[0]) / std::f32::consts::TAU * 6.0 + 3.0;
        // Distance on the circle of six from red, green and blue.
        let channel = |at: f32| {
            let d = (hue - at).rem_euclid(6.0);
            (2.0 - d.min(6.0 - d)).clamp(0.0, 1.0)
        };
        for (o, at) in rgba.iter_mut().zip([0.0, 2.0, 4.0]) {
            *o = 1.0 - s * (1.0 - channel(at));
        }
        rgba[3] = 1.0;
    }
}

/// Draws points over a picture, as large as its size asks for.
pub fn points(out: &mut Frame, points: impl Iterator<Item = [f32; 3]>) {
    let r = (out.width.max(out.height) as f32 / 300.0).max(1.0);
    let reach = r.ceil() as i64 + 1;
    for p in points {
        let (cx, cy) = (p[0].round() as i64, p[1].round() as i64);
        for y in cy - reach..=cy + reach {
            for x in cx - reach..=cx + reach {
                if x < 0 || y < 0 || x >= out.width as i64 || y >= out.height as i64 {
                    continue;
                }
                let d = ((x as f32 - p[0]).powi(2) + (y as f32 - p[1]).powi(2)).sqrt();
                let m = (r + 0.5 - d).clamp(0.0, 1.0);
                let [a, b, c, alpha] = out.pixel(x as usize, y as usize);
                let ink = [0.1, 1.0, 0.3];
                let [a, b, c] = [a + m * (ink[0] - a), b + m * (ink[1] - b), c + m * (ink[2] - c)];
                out.set_pixel(x as usize, y as usize, [a, b, c, alpha.max(m)]);
            }
        }
    }
}

/// Tints what the mask covers from red (0) to green (1).
pub fn tint(out: &mut Frame, mask: &[f32], confidence: f32) {
    let ink = [1.0 - confidence, confidence, 0.1];
    for (rgba, &m) in out.data.chunks_exact_mut(4).zip(mask) {
        for (o, i) in rgba.iter_mut().zip(ink) {
            *o += 0.5 * m * (i - *o);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flow_shows_direction_and_rest() {
        let mut out = Frame::new(1, 1);
        flow(&mut out, 2, 1, &[[0.0, 0.0], [5.0, 0.0]]);
        assert_eq!(out.pixel(0, 0), [1.0; 4]);
        assert_ne!(out.pixel(1, 0), [1.0; 4]);
        let right = out.pixel(1, 0);
        flow(&mut out, 2, 1, &[[0.0, 0.0], [-5.0, 0.0]]);
        assert_ne!(out.pixel(1, 0), right);
    }

    #[test]
    fn points_outside_are_left_out() {
        let mut out = Frame::new(9, 9);
        points(&mut out, [[4.0, 4.0, 0.0], [-50.0, 3.0, 0.0], [f32::NAN, 0.0, 0.0]].into_iter());
        assert!(out.pixel(4, 4)[1] > 0.9);
        assert_eq!(out.pixel(0, 8), [0.0; 4]);
    }
}
