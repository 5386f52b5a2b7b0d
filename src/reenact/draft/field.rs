//! The flow around the face: a membrane over the target picture, held at the face's border, at the hair and at what
//! stays where it is.
//!
//! The displacement d minimises the sum over grid edges of |d_a - d_b|^2 plus the sum over nodes of w |d - d0|^2 with
//! d = 0 on the picture's border; solved from the coarsest of six nested grids to the finest, each level by
//! red-black relaxation. In two dimensions the edge term keeps its weight from level to level and node terms add
//! up, which is all that the coarser levels need.

use nalgebra::Vector2;

use crate::reenact::draft::layers::Layers;
use crate::reenact::draft::motion::{HeadMotion, Hull};
use crate::reenact::draft::sample::step;

/// Nodes along each side of the finest grid.
pub(super) const NODES: usize = 129;
const LEVELS: usize = 6;
/// Relaxations per level; the coarsest level gets many, it is tiny.
const SWEEPS: usize = 14;
const COARSEST_SWEEPS: usize = 60;
/// Over-relaxation.
const OMEGA: f32 = 1.4;
/// Weight of a node at the face's border.
const BORDER_WEIGHT: f32 = 60.0;
/// How far the hair's and the background's pull reaches, in radii of the head.
const HAIR_REACH: f32 = 0.16;
const REST_REACH: f32 = 0.4;
/// The same of a body that is known to be one, and the heights above the head's middle, in face heights, between which it begins: the chin is
/// at -0.73.
const BODY_REACH: f32 = 0.25;
const BODY: [f32; 2] = [-1.3, -0.95];

/// A node: weight and weighted displacement.
type Node = [f32; 3];

/// A point where the flow is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Anchor {
    pub target: Vector2<f32>,
    pub displacement: Vector2<f32>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Field {
    /// Data terms per level, finest first.
    data: Vec<Vec<Node>>,
    /// Displacements per level, finest first.
    flow: Vec<Vec<[f32; 2]>>,
    /// Sum of the anchors near each node of the finest grid.
    anchors: Vec<Node>,
    /// Pixels per node.
    spacing: [f32; 2],
    width: usize,
}

impl Field {
    /// Solves the flow for a picture of `width x height`. With layers it is the person's, whatever is behind.
    pub fn solve(
        &mut self,
        width: usize,
        height: usize,
        motion: &HeadMotion,
        reference: &Hull,
        anchors: &[Anchor],
        layers: Option<&Layers>,
    ) {
        self.width = width;
        self.spacing = [width, height].map(|n| (n.max(2) - 1) as f32 / (NODES - 1) as f32);
        self.data.resize_with(LEVELS, Vec::new);
        self.flow.resize_with(LEVELS, Vec::new);
        self.splat(motion, anchors);
        self.terms(motion, reference, layers);
        for level in 1..LEVELS {
            let (fine, coarse) = self.data.split_at_mut(level);
            restrict(&fine[level - 1], &mut coarse[0], nodes(level));
        }
        for level in (0..LEVELS).rev() {
            let n = nodes(level);
            let (fine, coarse) = self.flow.split_at_mut(level + 1);
            let flow = &mut fine[level];
            flow.clear();
            flow.resize(n * n, [0.0; 2]);
            if let Some(coarse) = coarse.first() {
                prolong(coarse, flow, n);
            }
            let sweeps = if level == LEVELS - 1 { COARSEST_SWEEPS } else { SWEEPS };
            relax(flow, &self.data[level], n, sweeps);
        }
        unfold(&mut self.flow[0], self.spacing, &mut self.anchors);
    }

    /// Spreads the anchors over the four nodes around each. A node away from its anchor moves as the head would carry it
    /// from there, so that a plain similarity comes out exactly.
    fn splat(&mut self, motion: &HeadMotion, anchors: &[Anchor]) {
        self.anchors.clear();
        self.anchors.resize(NODES * NODES, [0.0; 3]);
        let [sx, sy] = self.spacing;
        for a in anchors {
            let (gx, gy) = (a.target.x / sx, a.target.y / sy);
            let (ix, iy) = (gx.floor(), gy.floor());
            for (nx, ny) in [(ix, iy), (ix + 1.0, iy), (ix, iy + 1.0), (ix + 1.0, iy + 1.0)] {
                let w = (1.0 - (gx - nx).abs()).max(0.0) * (1.0 - (gy - ny).abs()).max(0.0);
                if !(nx >= 0.0 && ny >= 0.0 && nx < NODES as f32 && ny < NODES as f32) || w <= 0.0 {
                    continue;
                }
                let away = Vector2::new(nx * sx, ny * sy) - a.target;
                let d = a.displacement + motion.linear * away - away;
                let node = &mut self.anchors[ny as usize * NODES + nx as usize];
                node[0] += w;
                node[1] += w * d.x;
                node[2] += w * d.y;
            }
        }
    }

    /// Data terms of the finest grid.
    fn terms(&mut self, motion: &HeadMotion, reference: &Hull, layers: Option<&Layers>) {
        let [sx, sy] = self.spacing;
        let unit = sx * sy / (reference.radius * reference.radius);
        let (hair, rest) = (unit / (HAIR_REACH * HAIR_REACH), unit / (REST_REACH * REST_REACH));
        let body = unit / (BODY_REACH * BODY_REACH);
        let target = &motion.target_hull;
        let anchors = &self.anchors;
        let data = &mut self.data[0];
        data.clear();
        data.extend((0..NODES * NODES).map(|i| {
            let p = Vector2::new((i % NODES) as f32 * sx, (i / NODES) as f32 * sy);
            let (rho, up) = (target.rho(p), target.height(p));
            let d = motion.displacement(p);
            let skull = step(0.85, 1.0, rho) * step(-0.5, 0.0, up);
            let (w_hair, w_rest) = match layers {
                None => {
                    let band = skull * (1.0 - step(1.25, 1.6, rho));
                    // What lies on neither the old nor the new place of the head stays.
                    (hair * band, rest * step(1.5, 2.3, rho.min(reference.rho(p))))
                }
                Some(layers) => {
                    // Hair goes with the head as far as it reaches; below chin and neck the body holds still.
                    let from = p + d;
                    let shown = layers.near(from.x / sx, from.y / sy);
                    let head = skull * shown.max(1.0 - step(1.1, 1.4, rho));
                    let below = 1.0 - step(BODY[0], BODY[1], reference.height(p));
                    (hair * head, body * below * layers.near(p.x / sx, p.y / sy))
                }
            };
            let a = anchors[i];
            let (w_border, bx, by) = if a[0] > 0.0 {
                let w = BORDER_WEIGHT * a[0] / (a[0] + 0.3);
                (w, w * a[1] / a[0], w * a[2] / a[0])
            } else {
                (0.0, 0.0, 0.0)
            };
            [w_hair + w_rest + w_border, w_hair * d.x + bx, w_hair * d.y + by]
        }));
    }

    /// Writes the displacements of row `y` of the picture.
    pub fn row(&self, y: usize, out: &mut [[f32; 2]]) {
        let flow = &self.flow[0];
        let gy = y as f32 / self.spacing[1];
        let iy = (gy as usize).min(NODES - 2);
        let ty = gy - iy as f32;
        let (above, below) = (&flow[iy * NODES..][..NODES], &flow[(iy + 1) * NODES..][..NODES]);
        for (x, d) in out.iter_mut().enumerate().take(self.width) {
            let gx = x as f32 / self.spacing[0];
            let ix = (gx as usize).min(NODES - 2);
            let tx = gx - ix as f32;
            for k in 0..2 {
                let a = above[ix][k] + tx * (above[ix + 1][k] - above[ix][k]);
                let b = below[ix][k] + tx * (below[ix + 1][k] - below[ix][k]);
                d[k] = a + ty * (b - a);
            }
        }
    }
}

/// Nodes along a side of a level.
fn nodes(level: usize) -> usize {
    ((NODES - 1) >> level) + 1
}

/// Adds the node terms up for the next coarser level (`n` nodes along its sides).
fn restrict(fine: &[Node], coarse: &mut Vec<Node>, n: usize) {
    let m = 2 * n - 1;
    coarse.clear();
    coarse.resize(n * n, [0.0; 3]);
    for y in 0..n {
        for x in 0..n {
            let mut sum = [0.0; 3];
            for fy in (2 * y).saturating_sub(1)..=(2 * y + 1).min(m - 1) {
                for fx in (2 * x).saturating_sub(1)..=(2 * x + 1).min(m - 1) {
                    let w = if fy == 2 * y { 1.0 } else { 0.5 } * if fx == 2 * x { 1.0 } else { 0.5 };
                    for k in 0..3 {
                        sum[k] += w * fine[fy * m + fx][k];
                    }
                }
            }
            coarse[y * n + x] = sum;
        }
    }
}

/// Smooths the flow where it is about to fold over itself, which extreme turns can bring about beside the face.
/// `scratch` marks the nodes concerned.
fn unfold(flow: &mut [[f32; 2]], spacing: [f32; 2], scratch: &mut [Node]) {
    const LEAST: f32 = 0.08;
    const ROUNDS: usize = 24;
    let n = NODES;
    for _ in 0..ROUNDS {
        let mut any = false;
        scratch.fill([0.0; 3]);
        for y in 0..n - 1 {
            for x in 0..n - 1 {
                let i = y * n + x;
                let [a, b, c, d] = [i, i + 1, i + n, i + n + 1].map(|i| flow[i]);
                let across = |p: [f32; 2], q: [f32; 2]| [1.0 + (q[0] - p[0]) / spacing[0], (q[1] - p[1]) / spacing[0]];
                let along = |p: [f32; 2], q: [f32; 2]| [(q[0] - p[0]) / spacing[1], 1.0 + (q[1] - p[1]) / spacing[1]];
                let det = |u: [f32; 2], v: [f32; 2]| u[0] * v[1] - u[1] * v[0];
                let (top, bottom, left, right) = (across(a, b), across(c, d), along(a, c), along(b, d));
                let least = det(top, left).min(det(top, right)).min(det(bottom, left)).min(det(bottom, right));
                if least < LEAST {
                    any = true;
                    for j in [i, i + 1, i + n, i + n + 1] {
                        scratch[j][0] = 1.0;
                    }
                }
            }
        }
        if !any {
            return;
        }
        for y in 1..n - 1 {
            for x in 1..n - 1 {
                let i = y * n + x;
                for k in 0..2 {
                    scratch[i][1 + k] = 0.25 * (flow[i - 1][k] + flow[i + 1][k] + flow[i - n][k] + flow[i + n][k]);
                }
            }
        }
        for y in 1..n - 1 {
            for i in y * n + 1..y * n + n - 1 {
                if scratch[i][0] > 0.0 {
                    flow[i] = [scratch[i][1], scratch[i][2]];
                }
            }
        }
    }
}

/// Interpolates a level's flow to the next finer one (`n` nodes along its sides).
fn prolong(coarse: &[[f32; 2]], fine: &mut [[f32; 2]], n: usize) {
    let m = n.div_ceil(2);
    for y in 0..n {
        for x in 0..n {
            let (x0, y0, x1, y1) = (x / 2, y / 2, x.div_ceil(2), y.div_ceil(2));
            for k in 0..2 {
                fine[y * n + x][k] = 0.25
                    * (coarse[y0 * m + x0][k]
                        + coarse[y0 * m + x1][k]
                        + coarse[y1 * m + x0][k]
                        + coarse[y1 * m + x1][k]);
            }
        }
    }
}

/// Red-black relaxation of the inner nodes.
fn relax(flow: &mut [[f32; 2]], data: &[Node], n: usize, sweeps: usize) {
    for sweep in 0..2 * sweeps {
        for y in 1..n - 1 {
            let mut x = 1 + (y + sweep) % 2;
            while x < n - 1 {
                let i = y * n + x;
                let [w, bx, by] = data[i];
                let inv = 1.0 / (4.0 + w);
                let (l, r, u, d) = (flow[i - 1], flow[i + 1], flow[i - n], flow[i + n]);
                let to_x = (l[0] + r[0] + u[0] + d[0] + bx) * inv;
                let to_y = (l[1] + r[1] + u[1] + d[1] + by) * inv;
                flow[i][0] += OMEGA * (to_x - flow[i][0]);
                flow[i][1] += OMEGA * (to_y - flow[i][1]);
                x += 2;
            }
        }
    }
}
