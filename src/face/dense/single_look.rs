//! The project's own finder: boxes around the dense points of each face, and the corners of eyes and mouth, from one small picture.

use super::region::{Region, sample};
use crate::engine::Executor;
use crate::face::Detection;
use crate::frame::{Frame, Rect};
use crate::nets::dense_finder::{LEVELS, SIZE, VALUES, finder};
use crate::{Error, Result};

/// Faces with a lower score are left out.
const LEAST_SCORE: f32 = 0.5;
/// Boxes that overlap more than this (intersection over union) are one face's.
const OVERLAP: f32 = 0.3;
/// Logarithms of a side beyond these are cut off: what they say is no face's size.
const SIDES: f32 = 3.0;

/// Along each side of a pixel at most so many of the picture's are looked at.
const MOST_SAMPLES: usize = 8;

/// The network over weights that have passed their check.
#[derive(Debug)]
pub struct SingleLook<E> {
    executor: E,
}

/// A box and points from a cell's values behind its logit. `cell` is the cell's middle and the rest counts in `unit`, both as shares of
/// the picture's side, as the answer does.
pub fn decode(values: &[f32; VALUES - 1], cell: [f32; 2], unit: f32) -> (Rect, [[f32; 2]; 5]) {
    let [x, y] = [0, 1].map(|i| cell[i] + unit * values[i]);
    let [w, h] = [2, 3].map(|i| unit * values[i].clamp(-SIDES, SIDES).exp());
    let rect = Rect { x0: x - 0.5 * w, y0: y - 0.5 * h, x1: x + 0.5 * w, y1: y + 0.5 * h };
    (rect, std::array::from_fn(|k| [x + unit * values[4 + 2 * k], y + unit * values[5 + 2 * k]]))
}

/// The values that [`decode`] makes this of.
pub fn encode(rect: &Rect, points: &[[f32; 2]; 5], cell: [f32; 2], unit: f32) -> [f32; VALUES - 1] {
    let [x, y] = rect.center();
    let mut out = [0.0; VALUES - 1];
    (out[0], out[1]) = ((x - cell[0]) / unit, (y - cell[1]) / unit);
    (out[2], out[3]) = ((rect.width() / unit).max(1e-3).ln(), (rect.height() / unit).max(1e-3).ln());
    for (k, p) in points.iter().enumerate() {
        (out[4 + 2 * k], out[5 + 2 * k]) = ((p[0] - x) / unit, (p[1] - y) / unit);
    }
    out
}

impl<E: Executor> SingleLook<E> {
    /// Over weights that have passed their check.
    pub fn new(executor: E) -> SingleLook<E> {
        SingleLook { executor }
    }

    /// What runs the network.
    pub fn executor(&self) -> &E {
        &self.executor
    }

    /// The faces of a picture, best first: the box around the dense points; outer corners of the right and left eye, tip of the nose,
    /// corners of the mouth.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture without pixels.
    pub fn find(&self, image: &Frame) -> Result<Vec<Detection>> {
        if image.width == 0 || image.height == 0 {
            return Err(Error::input("a picture without pixels: give another"));
        }
        let region = Region::letterbox(image);
        let x = self.executor.tensor([1, 3, SIZE, SIZE], &reduced(image, &region));
        let mut found = Vec::new();
        for (cells, (side, unit)) in finder(&self.executor, &x).iter().zip(LEVELS) {
            let planes = self.executor.values(cells);
            for p in 0..side * side {
                let score = 1.0 / (1.0 + (-planes[p]).exp());
                let values: [f32; VALUES - 1] = std::array::from_fn(|k| planes[(k + 1) * side * side + p]);
                // Not a number is no face either.
                if score.is_nan() || score < LEAST_SCORE || values.iter().any(|v| !v.is_finite()) {
                    continue;
                }
                let cell = [p % side, p / side].map(|v| (v as f32 + 0.5) / side as f32);
                let (rect, points) = decode(&values, cell, unit);
                let [[x0, y0], [x1, y1]] = [[rect.x0, rect.y0], [rect.x1, rect.y1]].map(|p| region.place(p));
                let rect = Rect { x0, y0, x1, y1 };
                found.push(Detection { rect, score, landmarks5: Some(points.map(|p| region.place(p))) });
            }
        }
        Ok(merge(found))
    }
}

/// A picture in a square that holds it, level, as planes of [`SIZE`] x [`SIZE`], 0..1: where one pixel shows many of the picture's, the mean
/// of some of them, black beside the picture.
fn reduced(image: &Frame, region: &Region) -> Vec<f32> {
    let n = ((0.5 * region.side / SIZE as f32).ceil() as usize).clamp(1, MOST_SAMPLES);
    // Which columns, or rows, are looked at, one after the other.
    let places = |middle: f32, length: usize| -> Vec<Option<usize>> {
        let count = (SIZE * n) as f32;
        let at = |k: usize| middle + ((k as f32 + 0.5) / count - 0.5) * region.side;
        (0..SIZE * n).map(|k| Some(at(k)).filter(|v| (0.0..length as f32).contains(v)).map(|v| v as usize)).collect()
    };
    let (columns, rows) = (places(region.centre[0], image.width), places(region.centre[1], image.height));
    let mut planes = vec![0.0; 3 * SIZE * SIZE];
    let share = 1.0 / (n * n) as f32;
    for (j, rows) in rows.chunks(n).enumerate() {
        for (i, columns) in columns.chunks(n).enumerate() {
            let mut sum = [0.0; 3];
            for y in rows.iter().flatten() {
                for x in columns.iter().flatten() {
                    let rgb = sample(image, *x, *y);
                    (0..3).for_each(|c| sum[c] += rgb[c]);
                }
            }
            (0..3).for_each(|c| planes[(c * SIZE + j) * SIZE + i] = share * sum[c]);
        }
    }
    planes
}

/// Of boxes that overlap, their mean, weighted by score; its score is the best one's.
fn merge(mut found: Vec<Detection>) -> Vec<Detection> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut merged = Vec::new();
    while let Some(best) = found.first().cloned() {
        let (same, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| f.rect.iou(&best.rect) > OVERLAP);
        found = rest;
        if same.is_empty() {
            // A box without area overlaps nothing, itself included.
            found.remove(0);
            continue;
        }
        let sum: f32 = same.iter().map(|f| f.score).sum();
        let mean = |get: &dyn Fn(&Detection) -> f32| same.iter().map(|f| f.score * get(f)).sum::<f32>() / sum;
        let side = |get: fn(&Rect) -> f32| mean(&|f| get(&f.rect));
        let rect = Rect { x0: side(|r| r.x0), y0: side(|r| r.y0), x1: side(|r| r.x1), y1: side(|r| r.y1) };
        let point = |k: usize, c: usize| mean(&|f| f.landmarks5.map_or(0.0, |p| p[k][c]));
        let landmarks5 = Some(std::array::from_fn(|k| [point(k, 0), point(k, 1)]));
        merged.push(Detection { rect, score: best.score, landmarks5 });
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_say_what_was_put_into_them() {
        let rect = Rect { x0: 0.2, y0: 0.3, x1: 0.5, y1: 0.8 };
        let points = [[0.25, 0.4], [0.45, 0.4], [0.35, 0.5], [0.3, 0.7], [0.4, 0.7]];
        for (cell, unit) in [([0.3, 0.5], 0.2), ([0.4375, 0.5625], 0.5)] {
            let (r, p) = decode(&encode(&rect, &points, cell, unit), cell, unit);
            let near = |a: f32, b: f32| (a - b).abs() < 1e-5;
            assert!(near(r.x0, rect.x0) && near(r.y0, rect.y0) && near(r.x1, rect.x1) && near(r.y1, rect.y1), "{r:?}");
            assert!(p.as_flattened().iter().zip(points.as_flattened()).all(|(a, b)| near(*a, *b)), "{p:?}");
        }
    }

    #[test]
    fn a_picture_is_reduced_to_the_middle_of_a_square() {
        // White on the right half; half as high as wide.
        let mut image = Frame::new(512, 256);
        for i in 0..512 * 256 {
            let v = if i % 512 >= 256 { 1.0 } else { 0.25 };
            image.set_pixel(i % 512, i / 512, [v, v, v, 1.0]);
        }
        let seen = reduced(&image, &Region::letterbox(&image));
        let at = |x: usize, y: usize| seen[y * SIZE + x];
        assert_eq!([at(0, 31), at(0, 32), at(63, 95), at(64, 95), at(64, 96)], [0.0, 0.25, 0.25, 1.0, 0.0]);
        let small = reduced(&image.resize(64, 32, crate::frame::Filter::Area), &Region::letterbox(&Frame::new(64, 32)));
        assert!((small[40 * SIZE + 100] - 1.0).abs() < 1e-5);
    }

    #[test]
    fn one_face_is_reported_once() {
        let seen = |x: f32, score: f32| Detection {
            rect: Rect { x0: x, y0: 0.0, x1: x + 10.0, y1: 10.0 },
            score,
            landmarks5: Some([[x, 1.0]; 5]),
        };
        let merged = merge(vec![seen(2.0, 0.6), seen(0.0, 0.9), seen(50.0, 0.7)]);
        assert_eq!(merged.len(), 2);
        assert!((merged[0].rect.x0 - 0.8).abs() < 1e-5 && merged[0].score == 0.9);
        assert_eq!(merged[1], seen(50.0, 0.7));
    }
}
