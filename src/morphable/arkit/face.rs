//! What the shapes need to know of a model's mean face: its lids, its lips, its eyeballs.

use super::eyeballs::Ball;
use crate::morphable::Morphable;
use crate::morphable::canonical::surface::{P3, curve};
use crate::morphable::rig::lines::{Lines, Place, vertex};

/// A mean face in the synthetic head's millimetres.
pub(super) struct Face {
    pub lines: Lines,
    /// The outer rims of the upper and the lower lip, from the smallest x to the largest.
    outer: [Vec<P3>; 2],
    /// The balls of the right and the left eye; the right one is seen mirrored, so that its x is positive.
    balls: [Ball; 2],
}

impl Face {
    pub fn new(model: &Morphable, place: &Place) -> Face {
        let lines = Lines::new(model, place);
        let at = |i: usize| place.at(vertex(model, model.landmarks[i]));
        let outer = [[48, 49, 50, 51, 52, 53, 54], [48, 59, 58, 57, 56, 55, 54]].map(|list| curve(&list.map(at), 4));
        let balls = [false, true].map(|left| Ball::new(model, place, &lines, left));
        Face { lines, outer, balls }
    }

    /// The ball of an eye; the right one is seen mirrored.
    pub fn ball(&self, left: bool) -> &Ball {
        &self.balls[usize::from(left)]
    }

    /// The inner rims of upper and lower lip at `x`.
    pub fn lip_rims(&self, x: f64) -> [P3; 2] {
        let [upper, lower] = self.lines.lips().each_ref().map(|line| along(line, x));
        // Lips that touch may cross by a hair.
        if upper[1] >= lower[1] { [upper, lower] } else { [lower, lower] }
    }

    /// The outer rims of upper and lower lip at `x`.
    pub fn lip_borders(&self, x: f64) -> [P3; 2] {
        self.outer.each_ref().map(|line| along(line, x))
    }

    /// How far the lips' inner rims reach to either side, millimetres from the middle.
    pub fn lip_corner(&self) -> f64 {
        let upper = &self.lines.lips()[0];
        0.5 * (upper[upper.len() - 1][0] - upper[0][0])
    }
}

/// A point as the side at positive x sees it: the right side's is mirrored.
pub(super) fn toward_left(p: P3, left: bool) -> P3 {
    if left { p } else { [-p[0], p[1], p[2]] }
}

/// Where a line of rising x is at `x`, held beyond its ends.
fn along(line: &[P3], x: f64) -> P3 {
    let after = line.partition_point(|p| p[0] < x);
    if after == 0 {
        return line[0];
    }
    if after == line.len() {
        return line[after - 1];
    }
    let (a, b) = (line[after - 1], line[after]);
    let t = (x - a[0]) / (b[0] - a[0]).max(1e-9);
    std::array::from_fn(|c| a[c] + t * (b[c] - a[c]))
}
