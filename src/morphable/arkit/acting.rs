//! The model that acts: ARKit's 52 shapes in the expression basis, and eyeballs after the skin.

use super::displacement::displacement;
use super::eyeballs::{BallMesh, RADIUS, socket_code, turned};
use super::face::{Face, toward_left};
use crate::morphable::canonical::surface::P3;
use crate::morphable::rig::lines::{Place, vertex};
use crate::morphable::{ArkitShape, Morphable};
use crate::{Error, Result};
use rayon::prelude::*;

/// What becomes of the expressions that a model has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// They stay, and the 52 columns come after them.
    Kept,
    /// The 52 columns take their place.
    Replaced,
}

/// The model with ARKit's 52 shapes as columns of its expression basis and with eyeballs. Its skin, landmarks and codes stay what
/// they are; the eyeballs' vertices and triangles come after the skin's. It belongs to no regressor, so that it has no
/// means and deviations of parameters.
///
/// # Errors
/// `Model` when the model is not valid, acts already, or its 68 landmarks do not lie like those of a face.
pub fn acting(model: &Morphable, own: Own) -> Result<Morphable> {
    model.validate()?;
    if model.landmarks.len() != 68 {
        let count = model.landmarks.len();
        return Err(Error::model(format!("morphable model: {count} landmarks where 68 are due: import it again")));
    }
    if !model.arkit.is_empty() || model.eyeballs > 0 {
        return Err(Error::Model("morphable model: it has ARKit's shapes already: use it as it is".into()));
    }
    let place = Place::new(model)?;
    let face = Face::new(model, &place);
    let n = model.vertex_count();
    let ball = BallMesh::new();
    let per_ball = ball.directions.len();
    let total = n + 2 * per_ball;
    let kept = if own == Own::Kept { model.expr_dim } else { 0 };
    let (shape_dim, expr_dim) = (model.shape_dim, kept + ArkitShape::COUNT);

    // The left ball, then the right one.
    let sides = [true, false];
    let mut mean = model.mean.clone();
    for left in sides {
        let centre = face.ball(left).centre;
        for d in &ball.directions {
            let p = toward_left(std::array::from_fn(|c| centre[c] + RADIUS * d[c]), left);
            mean.extend(place.point(p).map(|v| v as f32));
        }
    }

    // A ball goes with the socket around it: with all landmarks of the eye when the person differs, with its corners in
    // the model's own expressions, whose lids may move.
    let mean_rows = |basis: &[f32], dim: usize, list: &[usize]| -> Vec<f32> {
        let mut rows = vec![0.0f32; 3 * dim];
        for &i in list {
            let v = model.landmarks[i] as usize;
            for (r, b) in rows.iter_mut().zip(&basis[3 * v * dim..][..3 * dim]) {
                *r += b / list.len() as f32;
            }
        }
        rows
    };
    let mut shape_basis = model.shape_basis.clone();
    for left in sides {
        let list: [usize; 6] = std::array::from_fn(|k| k + if left { 42 } else { 36 });
        let rows = mean_rows(&model.shape_basis, shape_dim, &list);
        (0..per_ball).for_each(|_| shape_basis.extend(&rows));
    }

    let mut expr_basis = vec![0.0f32; 3 * total * expr_dim];
    expr_basis[..3 * n * expr_dim].par_chunks_mut(3 * expr_dim).enumerate().for_each(|(v, rows)| {
        let p = place.at(vertex(model, v as u32));
        for (c, row) in rows.chunks_exact_mut(expr_dim).enumerate() {
            let own = &model.expr_basis[(3 * v + c) * model.expr_dim..][..kept];
            row[..kept].copy_from_slice(own);
        }
        for (k, &shape) in ArkitShape::ALL.iter().enumerate() {
            let d = place.displacement(displacement(shape, p, &face));
            for c in 0..3 {
                rows[c * expr_dim + kept + k] = d[c] as f32;
            }
        }
    });
    for (i, left) in sides.into_iter().enumerate() {
        let corners = if left { [42, 45] } else { [36, 39] };
        let own = mean_rows(&model.expr_basis, model.expr_dim, &corners);
        for (j, d) in ball.directions.iter().enumerate() {
            let rows = &mut expr_basis[3 * (n + i * per_ball + j) * expr_dim..][..3 * expr_dim];
            for (c, row) in rows.chunks_exact_mut(expr_dim).enumerate() {
                row[..kept].copy_from_slice(&own[c * model.expr_dim..][..kept]);
            }
            for (k, &shape) in ArkitShape::ALL.iter().enumerate() {
                let chord: P3 = toward_left(turned(shape, left, *d).map(|v| RADIUS * v), left);
                for (c, v) in place.displacement(chord).into_iter().enumerate() {
                    rows[c * expr_dim + kept + k] = v as f32;
                }
            }
        }
    }

    // Turned as the skin's triangles are.
    let clockwise = signed_area(model, &place) < 0.0;
    let mut triangles = model.triangles.clone();
    let mut ncc = model.ncc.clone();
    for (i, left) in sides.into_iter().enumerate() {
        let first = (n + i * per_ball) as u32;
        for t in &ball.triangles {
            let [a, b, c] = t.map(|v| v + first);
            triangles.push(if left == clockwise { [a, c, b] } else { [a, b, c] });
        }
        ncc.extend(&ball.codes[i]);
    }
    let mut acting = Morphable {
        mean,
        shape_basis,
        expr_basis,
        shape_dim,
        expr_dim,
        triangles,
        landmarks: model.landmarks.clone(),
        ncc,
        param_mean: Vec::new(),
        param_std: Vec::new(),
        arkit: (kept as u32..expr_dim as u32).collect(),
        eyeballs: 2 * ball.triangles.len(),
        residual_modes: model.residual_modes,
    };
    for (i, left) in sides.into_iter().enumerate() {
        if let Some(border) = face.lines.opening(left) {
            let back = (n + i * per_ball + per_ball - 1) as u32;
            close_socket(&mut acting, border, back, &|p| inside_ball(p, &face, &place, left), left);
        }
    }
    acting.validate()?;
    Ok(acting)
}

/// A point within the ball, behind a point of the lids and further back, so that what leads there from the lid is seen
/// beside the ball alone. In the model's units.
fn inside_ball(p: [f32; 3], face: &Face, place: &Place, left: bool) -> [f32; 3] {
    let (q, centre) = (toward_left(place.at(p), left), face.ball(left).centre);
    let d = [q[0] - centre[0], q[1] - centre[1], 0.4 * (q[2] - centre[2])];
    let k = 0.86 * RADIUS / d.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-6);
    place.point(toward_left(std::array::from_fn(|c| centre[c] + k * d[c]), left)).map(|v| v as f32)
}

/// Closes the gap between the lids around an opening and the ball behind them, or one could look into the head beside
/// the ball: a strip from a copy of the border, which moves with the lids, to a ring within the ball, which goes where
/// the ball's vertex `still` goes but does not turn.
fn close_socket(model: &mut Morphable, border: &[u32], still: u32, inside: &dyn Fn([f32; 3]) -> [f32; 3], left: bool) {
    let (shape_dim, expr_dim) = (model.shape_dim, model.expr_dim);
    let first = model.vertex_count() as u32;
    let count = border.len() as u32;
    let copy = |basis: &mut Vec<f32>, v: u32, dim: usize| {
        basis.extend_from_within(3 * v as usize * dim..3 * (v as usize + 1) * dim);
    };
    for &v in border {
        model.mean.extend(vertex(model, v));
        copy(&mut model.shape_basis, v, shape_dim);
        copy(&mut model.expr_basis, v, expr_dim);
    }
    for &v in border {
        model.mean.extend(inside(vertex(model, v)));
        copy(&mut model.shape_basis, still, shape_dim);
        copy(&mut model.expr_basis, still, expr_dim);
        // It does not turn.
        let from = model.expr_basis.len() - 3 * expr_dim;
        for row in model.expr_basis[from..].chunks_exact_mut(expr_dim) {
            model.arkit.iter().for_each(|&k| row[k as usize] = 0.0);
        }
    }
    model.ncc.extend(std::iter::repeat_n(socket_code(left), 2 * border.len()));
    for i in 0..count {
        // Against the direction of the skin's triangles, whose border it continues.
        let (a, b) = (first + i, first + (i + 1) % count);
        let (inner_a, inner_b) = (a + count, b + count);
        model.triangles.extend([[b, a, inner_a], [b, inner_a, inner_b]]);
    }
    model.eyeballs += 2 * border.len();
}

/// Twice the area of the skin seen from the front, above 0 where most triangles run counter-clockwise with y up.
fn signed_area(model: &Morphable, place: &Place) -> f64 {
    let area = |t: &[u32; 3]| {
        let [a, b, c] = t.map(|v| place.at(vertex(model, v)));
        (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    };
    model.triangles.iter().map(area).sum()
}
