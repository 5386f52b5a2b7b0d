//! Where a model's lids and lips part, on its mean face in millimetres.

use crate::morphable::align::{Similarity, procrustes};
use crate::morphable::canonical::modes::height;
use crate::morphable::canonical::surface::{curve, landmarks, mirrored};
use crate::morphable::topology::{border_loops, lip_chains};
use crate::morphable::{Morphable, rig::P3};
use crate::{Error, Result};
use nalgebra::Vector3;
use std::ops::Range;

/// The mean face brought to the synthetic mean head, in whose millimetres expressions are described.
pub(in crate::morphable) struct Place {
    map: Similarity,
}

impl Place {
    /// # Errors
    /// `Model` when the landmarks do not lie like those of a face.
    pub fn new(model: &Morphable) -> Result<Place> {
        let bad = |why: &str| Error::model(format!("morphable model: its landmarks {why}: import it again"));
        let own: Vec<[f32; 3]> = model.landmarks.iter().map(|&v| vertex(model, v)).collect();
        let target = landmarks().map(|p| p.map(|v| v as f32));
        let map = procrustes(&own, &target, None).map_err(|_| bad("cannot be aligned with a face's"))?;
        let place = Place { map };
        let off = |(a, b): (&[f32; 3], &[f32; 3])| {
            let p = place.at(*a);
            (0..3).map(|c| (p[c] - f64::from(b[c])).powi(2)).sum::<f64>()
        };
        let rms = (own.iter().zip(&target).map(off).sum::<f64>() / target.len() as f64).sqrt();
        // Faces differ by a few millimetres.
        if rms > 12.0 {
            return Err(bad(&format!("lie {rms:.0} mm beside a face's")));
        }
        Ok(place)
    }

    /// Millimetres of a point of the model.
    pub fn at(&self, p: [f32; 3]) -> P3 {
        self.map.apply(Vector3::from(p.map(f64::from))).into()
    }

    /// The point of the model that [`Place::at`] puts there.
    pub fn point(&self, p: P3) -> P3 {
        self.map.apply_inverse(Vector3::from(p)).into()
    }

    /// A displacement in millimetres, in the model's own units and axes.
    pub fn displacement(&self, d: P3) -> P3 {
        (self.map.rotation.inverse_transform_vector(&Vector3::from(d)) / self.map.scale).into()
    }

    /// A displacement in the model's own units and axes, in millimetres.
    pub fn millimetres(&self, d: P3) -> P3 {
        (self.map.rotation * Vector3::from(d) * self.map.scale).into()
    }

    /// From the model's units to millimetres.
    pub fn map(&self) -> &Similarity {
        &self.map
    }

    /// Millimetres per unit of the model.
    pub fn scale(&self) -> f64 {
        self.map.scale
    }
}

/// A vertex of the mean face in the model's units.
pub(in crate::morphable) fn vertex(model: &Morphable, v: u32) -> [f32; 3] {
    std::array::from_fn(|c| model.mean[3 * v as usize + c])
}

/// Where the surface runs through under the lids, how much further from the line between the eye's corners than the
/// landmarks upper and lower lid are taken to lie: 3DDFA-V2's landmarks lie inside of its own lids' rims by this, and a
/// fit is not better than a millimetre or two. What remained open would show the eye.
const MARGIN: [f64; 2] = [0.35, 1.1];
/// And how much longer than between its corners an eye is taken to be.
const LONGER: f64 = 0.28;

/// Heights of lids and lips over x.
pub(in crate::morphable) struct Lines {
    /// Upper and lower lid, x positive, of the right and the left eye.
    lids: [[Vec<P3>; 2]; 2],
    /// The borders of the right and the left eye, where the mesh has openings.
    openings: [Option<Vec<u32>>; 2],
    /// The rims of upper and lower lip.
    lips: [Vec<P3>; 2],
}

impl Lines {
    /// The lids go through the landmarks, which is where a fit puts them, or a little beyond (see [`MARGIN`]); the lips
    /// are the border of the model's mouth, or go through the landmarks where it has none.
    pub fn new(model: &Morphable, place: &Place) -> Lines {
        let at = |v: u32| place.at(vertex(model, v));
        let l = |i: usize| at(model.landmarks[i]);
        let distance = |a: P3, b: P3| (0..3).map(|c| (a[c] - b[c]).powi(2)).sum::<f64>().sqrt();
        let loops = border_loops(model.skin_triangles());
        // The border around an opening whose landmarks are these.
        let around = |list: Range<usize>| {
            let away = |border: &[u32]| {
                let nearest = |i| border.iter().map(|&v| distance(at(v), l(i))).fold(f64::INFINITY, f64::min);
                list.clone().map(nearest).fold(0.0, f64::max)
            };
            let near = loops.iter().map(|l| (away(l), l)).filter(|(a, _)| *a < 9.0);
            near.min_by(|a, b| a.0.total_cmp(&b.0))
        };
        let lid = |list: [usize; 4], left: bool, bulge: f64| {
            let points = list.map(|i| if left { l(i) } else { mirror(l(mirrored(i))) });
            rising(widened(curve(&points, 4), bulge))
        };
        let eye = |left: bool| {
            let opening = around(if left { 42..48 } else { 36..42 }).map(|(_, border)| border.clone());
            let [upper, lower] = if opening.is_some() { [0.0, 0.0] } else { MARGIN };
            (opening, [lid([42, 43, 44, 45], left, upper), lid([42, 47, 46, 45], left, lower)])
        };
        let chains = around(60..68).and_then(|(_, l)| lip_chains(l, |v| at(v).map(|c| c as f32)));
        let lips = match chains {
            Some((upper, lower)) => [upper, lower].map(|c| rising(c.into_iter().map(at).collect())),
            None => [[60, 61, 62, 63, 64], [60, 67, 66, 65, 64]].map(|list| rising(curve(&list.map(l), 5))),
        };
        let [(right_open, right), (left_open, left)] = [eye(false), eye(true)];
        Lines { lids: [right, left], openings: [right_open, left_open], lips }
    }

    /// How far the line where the lips part lies above `p`.
    pub fn below_lips(&self, p: P3) -> f64 {
        let [upper, lower] = &self.lips;
        0.5 * (height(upper, p[0]) + height(lower, p[0])) - p[1]
    }

    /// Upper and lower rim of the lips, from the smallest x to the largest.
    pub fn lips(&self) -> &[Vec<P3>; 2] {
        &self.lips
    }

    /// The border of an eye that is an opening of the mesh, in the direction of the triangles around it; `None` where the surface
    /// runs through under the lids.
    pub fn opening(&self, left: bool) -> Option<&[u32]> {
        self.openings[usize::from(left)].as_deref()
    }

    /// From where to where the lids reach along x; the right eye is seen mirrored.
    pub fn corners(&self, left: bool) -> [f64; 2] {
        let [upper, _] = &self.lids[usize::from(left)];
        [upper[0][0], upper[upper.len() - 1][0]]
    }

    /// Heights of upper and lower lid at `x` of an eye; the right eye is seen mirrored, so that x is positive.
    pub fn lids(&self, left: bool, x: f64) -> (f64, f64) {
        let [upper, lower] = &self.lids[usize::from(left)];
        let lower = height(lower, x);
        (height(upper, x).max(lower), lower)
    }
}

/// A lid from corner to corner, its distance from the line between them increased by `bulge` of it, and longer if at
/// all.
fn widened(mut lid: Vec<P3>, bulge: f64) -> Vec<P3> {
    if bulge > 0.0 {
        let (a, b) = (lid[0], lid[lid.len() - 1]);
        let middle = 0.5 * (a[0] + b[0]);
        for p in &mut lid {
            let straight = a[1] + (b[1] - a[1]) * (p[0] - a[0]) / (b[0] - a[0]).max(1e-6);
            p[1] += bulge * (p[1] - straight);
            p[0] += LONGER * (p[0] - middle);
        }
    }
    lid
}

fn mirror(p: P3) -> P3 {
    [-p[0], p[1], p[2]]
}

/// In the order of x.
fn rising(mut line: Vec<P3>) -> Vec<P3> {
    line.sort_by(|a, b| a[0].total_cmp(&b[0]));
    line
}
