//! The priors (anchor boxes) of both detectors, and how network outputs move them.

use crate::frame::Rect;

/// A prior box, in fractions of the picture's width and height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Centre, x.
    pub cx: f32,
    /// Centre, y.
    pub cy: f32,
    /// Width.
    pub w: f32,
    /// Height.
    pub h: f32,
}

/// Strides of RetinaFace's levels, and the two prior sizes of each in pixels.
pub const RETINAFACE: [(usize, [usize; 2]); 3] = [(8, [16, 32]), (16, [64, 128]), (32, [256, 512])];

/// Strides of FaceBoxes' levels, and per prior size in pixels how many centres a cell has along each axis: small
/// boxes are laid more densely, so that every size covers the picture alike ("anchor densification").
pub const FACEBOXES: [(usize, &[(usize, usize)]); 3] =
    [(32, &[(32, 4), (64, 2), (128, 1)]), (64, &[(256, 1)]), (128, &[(512, 1)])];

/// Offsets are stored in units of the prior's size times these: centre (and landmarks), then the log of the size.
const VARIANCES: [f32; 2] = [0.1, 0.2];

/// RetinaFace's priors for a picture of `height x width`, level by level, row by row, cell by cell, small before large.
pub fn retinaface(height: usize, width: usize) -> Vec<Prior> {
    let mut out = Vec::new();
    for (stride, sizes) in RETINAFACE {
        for i in 0..height.div_ceil(stride) {
            for j in 0..width.div_ceil(stride) {
                out.extend(sizes.map(|size| prior(i as f64 + 0.5, j as f64 + 0.5, stride, size, height, width)));
            }
        }
    }
    out
}

/// FaceBoxes' priors for a picture of `height x width`, level by level, row by row, cell by cell; within a cell by
/// size, then by row and column of the denser grid.
pub fn faceboxes(height: usize, width: usize) -> Vec<Prior> {
    let mut out = Vec::new();
    for (stride, sizes) in FACEBOXES {
        for i in 0..height.div_ceil(stride) {
            for j in 0..width.div_ceil(stride) {
                for &(size, dense) in sizes {
                    for y in 0..dense {
                        for x in 0..dense {
                            // A single centre sits in the middle of the cell; a grid starts at its corner.
                            let at = |k: usize| if dense == 1 { 0.5 } else { k as f64 / dense as f64 };
                            out.push(prior(i as f64 + at(y), j as f64 + at(x), stride, size, height, width));
                        }
                    }
                }
            }
        }
    }
    out
}

fn prior(row: f64, column: f64, stride: usize, size: usize, height: usize, width: usize) -> Prior {
    let (h, w) = (height as f64, width as f64);
    Prior {
        cx: (column * stride as f64 / w) as f32,
        cy: (row * stride as f64 / h) as f32,
        w: (size as f64 / w) as f32,
        h: (size as f64 / h) as f32,
    }
}

/// The box that `offsets` make of `prior`, in fractions of the picture.
pub fn decode(prior: &Prior, offsets: [f32; 4]) -> Rect {
    let [x, y] = decode_point(prior, [offsets[0], offsets[1]]);
    let (w, h) = (prior.w * (offsets[2] * VARIANCES[1]).exp(), prior.h * (offsets[3] * VARIANCES[1]).exp());
    let (x0, y0) = (x - w / 2.0, y - h / 2.0);
    Rect { x0, y0, x1: x0 + w, y1: y0 + h }
}

/// The point that an offset makes of `prior`'s centre, in fractions of the picture.
pub fn decode_point(prior: &Prior, offset: [f32; 2]) -> [f32; 2] {
    [prior.cx + offset[0] * VARIANCES[0] * prior.w, prior.cy + offset[1] * VARIANCES[0] * prior.h]
}

/// The offsets that [`decode`] turns into `rect`: what a detector is trained towards.
pub fn encode(prior: &Prior, rect: &Rect) -> [f32; 4] {
    let [x, y] = encode_point(prior, rect.center());
    [x, y, (rect.width() / prior.w).ln() / VARIANCES[1], (rect.height() / prior.h).ln() / VARIANCES[1]]
}

/// The offset that [`decode_point`] turns into `point`.
pub fn encode_point(prior: &Prior, point: [f32; 2]) -> [f32; 2] {
    [(point[0] - prior.cx) / (VARIANCES[0] * prior.w), (point[1] - prior.cy) / (VARIANCES[0] * prior.h)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn retinaface_counts_and_positions() {
        let p = retinaface(640, 640);
        assert_eq!(p.len(), 16_800);
        assert_eq!(p[0], Prior { cx: 4.0 / 640.0, cy: 4.0 / 640.0, w: 16.0 / 640.0, h: 16.0 / 640.0 });
        assert_eq!(p[1].w, 32.0 / 640.0);
        // Second cell of the first row, then the first cell of the second row.
        assert_eq!((p[2].cx, p[2].cy), (12.0 / 640.0, 4.0 / 640.0));
        assert_eq!((p[160].cx, p[160].cy), (4.0 / 640.0, 12.0 / 640.0));
        let last = p[p.len() - 1];
        assert_eq!(last, Prior { cx: 624.0 / 640.0, cy: 624.0 / 640.0, w: 0.8, h: 0.8 });
        // Sizes that are no multiple of a stride round up.
        let (h, w) = (33, 65);
        assert_eq!(retinaface(h, w).len(), 2 * (5 * 9 + 3 * 5 + 2 * 3));
    }

    #[test]
    fn faceboxes_counts_and_positions() {
        let p = faceboxes(1024, 1024);
        assert_eq!(p.len(), 21 * 32 * 32 + 16 * 16 + 8 * 8);
        let s = |v: f32| v / 1024.0;
        assert_eq!(p[0], Prior { cx: 0.0, cy: 0.0, w: s(32.0), h: s(32.0) });
        assert_eq!(p[1], Prior { cx: s(8.0), cy: 0.0, w: s(32.0), h: s(32.0) });
        assert_eq!(p[4], Prior { cx: 0.0, cy: s(8.0), w: s(32.0), h: s(32.0) });
        assert_eq!(p[16], Prior { cx: 0.0, cy: 0.0, w: s(64.0), h: s(64.0) });
        assert_eq!(p[19], Prior { cx: s(16.0), cy: s(16.0), w: s(64.0), h: s(64.0) });
        assert_eq!(p[20], Prior { cx: s(16.0), cy: s(16.0), w: s(128.0), h: s(128.0) });
        assert_eq!(p[21 * 1024], Prior { cx: s(32.0), cy: s(32.0), w: 0.25, h: 0.25 });
        assert_eq!(p[p.len() - 1], Prior { cx: s(960.0), cy: s(960.0), w: 0.5, h: 0.5 });
        assert_eq!(faceboxes(1, 1).len(), 23);
    }

    proptest! {
        #[test]
        fn decode_undoes_encode(
            cx in 0.0f32..1.0, cy in 0.0f32..1.0, w in 0.01f32..1.0, h in 0.01f32..1.0,
            x in -0.5f32..1.0, y in -0.5f32..1.0, rw in 0.01f32..1.0, rh in 0.01f32..1.0,
        ) {
            let prior = Prior { cx, cy, w, h };
            let rect = Rect { x0: x, y0: y, x1: x + rw, y1: y + rh };
            let back = decode(&prior, encode(&prior, &rect));
            for (a, b) in [(rect.x0, back.x0), (rect.y0, back.y0), (rect.x1, back.x1), (rect.y1, back.y1)] {
                prop_assert!((a - b).abs() < 1e-4, "{rect:?} {back:?}");
            }
        }
    }

    #[test]
    fn zero_offsets_give_the_prior() {
        let prior = Prior { cx: 0.5, cy: 0.25, w: 0.5, h: 0.25 };
        assert_eq!(decode(&prior, [0.0; 4]), Rect { x0: 0.25, y0: 0.125, x1: 0.75, y1: 0.375 });
        assert_eq!(decode_point(&prior, [1.0, -2.0]), [0.55, 0.2]);
        let back = encode_point(&prior, [0.55, 0.2]);
        assert!((back[0] - 1.0).abs() < 1e-5 && (back[1] + 2.0).abs() < 1e-5, "{back:?}");
    }
}
