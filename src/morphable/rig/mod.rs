//! The rig: named expressions and region weights on any morphable model with the 68 iBUG landmarks.
//!
//! This module applies named expressions to a mesh. [`crate::controls`] declares what a user can type for them.
//!
//! An expression is described once, as a displacement of the skin in millimetres (see [`Expression`]), and transferred to
//! a model's mean face by the landmarks. Each model then gets a *direction*: the coefficients of its own expression basis that
//! fit the description best; and a *corrective*: the remainder that the basis cannot express (3DDFA-V2's has no lids and hardly
//! any brows), as displacements of the vertices that the expression moves. Direction and corrective together equal the
//! description wherever it moves the skin; elsewhere the basis adds the natural side effects. Where the basis
//! fits an expression almost exactly, as 3DDFA-V2's fits an opening jaw, no corrective is added.
//!
//! Regions weigh the performance per vertex: `neutral + w(v) (performance - neutral)`, with masks that add up to 1.

mod check;
mod expression;
pub(in crate::morphable) mod lines;
mod region;
mod solve;
#[cfg(test)]
mod tests;

pub use check::{Row, Wanted, check};
pub use expression::Expression;
pub use region::Region;

use super::mesh::shift;
use super::{ImageCamera, Mesh, Morphable};
use crate::morphable::canonical::surface::P3;
use crate::morphable::{PreparedMorphable, ShapeIdentity};
use crate::{Error, Result};
use lines::{Lines, Place, vertex};
use rayon::prelude::*;
use solve::Solution;

/// The strength at which an expression has replaced the performance's own entirely.
const REPLACED_AT: f32 = 0.2;
/// Share of an expression's way that the basis must meet for the performance's own part of it to be known.
const KNOWN: f64 = 0.3;

/// What is changed of a performance. The default changes nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RigSettings {
    /// How much of the performance each region takes over, in the order of [`Region::ALL`]: 0 the face at rest, 1 the
    /// performance, 2 twice as much.
    pub regions: [f32; Region::COUNT],
    /// Strength of each expression, in the order of [`Expression::ALL`], within [`Expression::range`]; 0 is none.
    pub expressions: [f32; Expression::COUNT],
    /// Take the performance's own part of the expressions in use away before they are added.
    pub replace: bool,
}

impl Default for RigSettings {
    fn default() -> RigSettings {
        RigSettings { regions: [1.0; Region::COUNT], expressions: [0.0; Expression::COUNT], replace: false }
    }
}

impl RigSettings {
    /// One expression alone.
    pub fn single(expression: Expression, strength: f32) -> RigSettings {
        let mut settings = RigSettings::default();
        settings.expressions[expression as usize] = strength;
        settings
    }

    /// Whether the performance stays as it is.
    pub fn is_default(&self) -> bool {
        self.regions == [1.0; Region::COUNT] && self.expressions == [0.0; Expression::COUNT]
    }

    fn in_use(&self) -> impl Iterator<Item = (Expression, f32)> {
        Expression::ALL.iter().zip(self.expressions).filter(|(_, v)| *v != 0.0).map(|(e, v)| (*e, v))
    }
}

/// How well a model's basis meets an expression; the corrective does the rest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Share of the landmarks' way (squared distances) that the basis explains, 0..1.
    pub explained: f64,
    /// How far the basis moves the landmarks that the expression leaves alone, in shares of the mean way of those that
    /// it moves.
    pub elsewhere: f64,
}

/// The named expressions and regions of one model. [`PreparedMorphable::rig`] makes and keeps it.
#[derive(Debug)]
pub struct Rig {
    masks: Vec<[f32; Region::COUNT]>,
    solutions: Vec<Solution>,
    eyes: [Eye; 2],
    landmarks: Vec<u32>,
    /// Millimetres per unit of the model.
    millimetres: f64,
}

/// One eye's lids: right, then left.
#[derive(Debug)]
struct Eye {
    /// Vertices of upper and lower lid, one above the other.
    pairs: [[u32; 2]; 2],
    /// Direction of the mean face's y in the model's axes.
    up: [f32; 3],
    /// Height of the mean face's open eye, in the model's units.
    open: f32,
}

/// What the settings make of one performance.
struct Directed {
    performance: Vec<f32>,
    neutral: Vec<f32>,
    strengths: Vec<(Expression, f32)>,
}

impl Rig {
    /// Describes the expressions on a model.
    ///
    /// # Errors
    /// `Model` when there are not 68 landmarks or they do not lie like those of a face.
    pub fn new(model: &Morphable) -> Result<Rig> {
        let place = Place::new(model)?;
        let lines = Lines::new(model, &place);
        let at: Vec<P3> =
            (0..model.vertex_count() as u32).into_par_iter().map(|v| place.at(vertex(model, v))).collect();
        let landmarks: Vec<P3> = model.landmarks.iter().map(|&v| at[v as usize]).collect();
        let landmarks: [P3; 68] = landmarks
            .try_into()
            .map_err(|_| Error::Model("morphable model: it has not 68 landmarks: import it again".into()))?;
        let masks = at.par_iter().map(|p| region::masks(*p, &landmarks)).collect();
        // Eyeballs are no skin that an expression could move: for the expressions they lie far behind the head.
        let mut skin = at.clone();
        skin[model.skin_vertex_count()..].fill([0.0, 0.0, -1000.0]);
        let (place, lines) = (&place, &lines);
        let solutions = Expression::ALL
            .par_iter()
            .map(|&e| {
                let target = |e: Expression| move |p| place.displacement(e.displacement(p, lines));
                let beside = e.other_side().map(target);
                solve::solve(model, &skin, &target(e), beside.as_ref().map(|b| b as _))
            })
            .collect();
        let up = place.displacement([0.0, place.scale(), 0.0]).map(|v| v as f32);
        let eye = |pairs: [[usize; 2]; 2]| {
            let pairs = pairs.map(|pair| pair.map(|i| model.landmarks[i]));
            let height = |v: u32| dot(&vertex(model, v), &up);
            let open = pairs.iter().map(|[a, b]| height(*a) - height(*b)).sum::<f32>() / 2.0;
            Eye { pairs, up, open: open.max(f32::MIN_POSITIVE) }
        };
        let eyes = [eye([[37, 41], [38, 40]]), eye([[43, 47], [44, 46]])];
        Ok(Rig { masks, solutions, eyes, landmarks: model.landmarks.clone(), millimetres: place.scale() })
    }

    /// How much each vertex belongs to each region, in the order of [`Region::ALL`]; a vertex's masks add up to 1.
    pub fn masks(&self) -> &[[f32; Region::COUNT]] {
        &self.masks
    }

    /// Coefficients of the model's expression basis that an expression adds at strength 1; all 0 where the basis has
    /// nothing like it.
    pub fn direction(&self, expression: Expression) -> &[f32] {
        &self.solutions[expression as usize].direction
    }

    /// Vertices and their further displacement at strength 1, in the model's units and axes, by rising vertex.
    pub fn corrective(&self, expression: Expression) -> &[(u32, [f32; 3])] {
        &self.solutions[expression as usize].corrective
    }

    /// How well the basis meets an expression.
    pub fn quality(&self, expression: Expression) -> Quality {
        self.solutions[expression as usize].quality
    }

    /// The mesh of a performance as `settings` direct it; with default settings what [`PreparedMorphable::mesh_into`] gives, bit
    /// for bit. `model` is the one that the rig was made of, `neutral` the face at rest to which regions fall back,
    /// `spare` memory that is reused.
    ///
    /// # Errors
    /// `Model` when a part does not fit the model.
    #[allow(clippy::too_many_arguments)]
    pub fn mesh_into(
        &self,
        model: &PreparedMorphable,
        identity: &ShapeIdentity,
        expr: &[f32],
        neutral: &[f32],
        camera: &ImageCamera,
        settings: &RigSettings,
        spare: &mut Mesh,
        out: &mut Mesh,
    ) -> Result<()> {
        if settings.is_default() {
            return model.mesh_into(identity, expr, camera, out);
        }
        let dim = model.model().expr_dim;
        if expr.len() != dim || neutral.len() != dim || self.masks.len() != identity.vertex_count() {
            return Err(Error::model(format!(
                "{} and {} expression coefficients and {} vertices where the morphable model has {dim} and {}: use the \
                 pack that the fit was made with",
                expr.len(),
                neutral.len(),
                identity.vertex_count(),
                self.masks.len()
            )));
        }
        let directed = self.direct(model.model(), identity, expr, neutral, settings);
        let matrix = camera.matrix();
        let mut nearest = model.unshifted_into(identity, &directed.performance, &matrix, out)?;
        if settings.regions != [1.0; Region::COUNT] {
            model.unshifted_into(identity, &directed.neutral, &matrix, spare)?;
            nearest = f32::INFINITY;
            // The camera is affine, so that its pictures may be blended instead of what it sees.
            for ((out, rest), masks) in out.vertices.iter_mut().zip(&spare.vertices).zip(&self.masks) {
                let w = weight(masks, &settings.regions);
                for c in 0..3 {
                    out[c] = rest[c] + w * (out[c] - rest[c]);
                }
                nearest = nearest.min(out[2]);
            }
        }
        let m = matrix.map(|v| v as f32);
        let mut corrected = false;
        for &(expression, strength) in &directed.strengths {
            for &(v, d) in self.corrective(expression) {
                let out = &mut out.vertices[v as usize];
                for (r, out) in out.iter_mut().enumerate() {
                    *out += strength * (m[4 * r] * d[0] + m[4 * r + 1] * d[1] + m[4 * r + 2] * d[2]);
                }
                corrected = true;
            }
        }
        if corrected {
            nearest = out.vertices.iter().fold(f32::INFINITY, |m, v| m.min(v[2]));
        }
        shift(out, nearest);
        Ok(())
    }

    /// Coefficients and strengths that the settings ask for.
    fn direct(
        &self,
        model: &Morphable,
        identity: &ShapeIdentity,
        expr: &[f32],
        neutral: &[f32],
        settings: &RigSettings,
    ) -> Directed {
        let mut out = Directed { performance: expr.to_vec(), neutral: neutral.to_vec(), strengths: Vec::new() };
        if settings.replace {
            for (expression, strength) in settings.in_use() {
                let s = &self.solutions[expression as usize];
                if s.quality.explained >= KNOWN {
                    // Gradually, so that a curve through 0 makes no jump.
                    let share = (strength.abs() / REPLACED_AT).min(1.0);
                    let own: f32 = (0..expr.len()).map(|k| (out.performance[k] - neutral[k]) * s.measure[k]).sum();
                    add(&mut out.performance, &s.direction, -share * own);
                }
            }
        }
        let is_blink = |e: Expression| e.blink_of_left().is_some();
        for (expression, strength) in settings.in_use().filter(|(e, _)| !is_blink(*e)) {
            out.push(expression, strength, self.direction(expression));
        }
        // A blink closes its share of what is open once all else is done: a large eye goes all the way, a closed one no
        // further.
        for (expression, strength) in settings.in_use().filter(|(e, _)| is_blink(*e)) {
            let eye = &self.eyes[usize::from(expression == Expression::BlinkLeft)];
            let open = self.opening(model, identity, eye, &out, settings);
            out.push(expression, strength * (open / eye.open).clamp(0.0, 3.0), self.direction(expression));
        }
        out
    }

    /// Mean height of an eye's opening, in the model's units.
    fn opening(
        &self,
        model: &Morphable,
        identity: &ShapeIdentity,
        eye: &Eye,
        directed: &Directed,
        settings: &RigSettings,
    ) -> f32 {
        let dim = model.expr_dim;
        let height = |v: u32| {
            let at = v as usize;
            let w = weight(&self.masks[at], &settings.regions);
            let mut p = identity.vertex(at);
            for (c, p) in p.iter_mut().enumerate() {
                let row = &model.expr_basis[(3 * at + c) * dim..][..dim];
                let of = |e: &[f32]| dot(row, e);
                let rest = of(&directed.neutral);
                *p += rest + w * (of(&directed.performance) - rest);
                for &(expression, strength) in &directed.strengths {
                    let list = self.corrective(expression);
                    if let Ok(i) = list.binary_search_by_key(&v, |(v, _)| *v) {
                        *p += strength * list[i].1[c];
                    }
                }
            }
            dot(&p, &eye.up)
        };
        eye.pairs.iter().map(|[upper, lower]| (height(*upper) - height(*lower)).max(0.0)).sum::<f32>() / 2.0
    }
}

impl Directed {
    /// Adds an expression. Its part of the basis goes to the face at rest too, so that no region dims it.
    fn push(&mut self, expression: Expression, strength: f32, direction: &[f32]) {
        add(&mut self.performance, direction, strength);
        add(&mut self.neutral, direction, strength);
        self.strengths.push((expression, strength));
    }
}

fn add(to: &mut [f32], direction: &[f32], factor: f32) {
    for (t, d) in to.iter_mut().zip(direction) {
        *t += factor * d;
    }
}

fn weight(masks: &[f32; Region::COUNT], regions: &[f32; Region::COUNT]) -> f32 {
    dot(masks, regions)
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
