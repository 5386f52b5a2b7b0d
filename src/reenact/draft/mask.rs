//! The soft mask that follows the mesh.

use rayon::prelude::*;

use crate::reenact::draft::field::NODES;
use crate::reenact::draft::raster::{NONE, Raster};
use crate::reenact::draft::sample::step;

/// Width of the ramp at the picture's border, as a share of its smaller side.
const FRAME: f32 = 0.03;
/// Farther than anything in a picture.
const FAR: f32 = 1e12;

/// Distances to the mesh on a coarse grid.
#[derive(Debug, Clone, Default)]
pub(super) struct Distance {
    nodes: Vec<f32>,
    scratch: Vec<f32>,
}

/// Share of each node's neighbourhood that the mesh covers.
pub(super) fn coverage(raster: &Raster) -> Vec<f32> {
    let (w, h) = (raster.width, raster.height);
    let column: Vec<usize> = (0..w).map(|x| node(x, w)).collect();
    let (mut hits, mut all) = (vec![0u32; NODES * NODES], vec![0u32; NODES * NODES]);
    for (y, row) in raster.tri.chunks_exact(w).enumerate() {
        let at = node(y, h) * NODES;
        for (x, &t) in row.iter().enumerate() {
            all[at + column[x]] += 1;
            hits[at + column[x]] += u32::from(t != NONE);
        }
    }
    hits.iter().zip(&all).map(|(&h, &a)| if a > 0 { h as f32 / a as f32 } else { 0.0 }).collect()
}

/// The node nearest to a pixel.
fn node(x: usize, size: usize) -> usize {
    (x * (NODES - 1) + size / 2).checked_div(size.max(2) - 1).unwrap_or(0).min(NODES - 1)
}

impl Distance {
    /// Distances, in pixels, from every node to where `covered` reaches one half (exact Euclidean transform after
    /// P. Felzenszwalb and D. Huttenlocher, "Distance transforms of sampled functions", 2012; partly covered nodes
    /// start at a part of a node's size, so that the result moves smoothly with the mesh).
    pub fn measure(&mut self, width: usize, height: usize, covered: impl Iterator<Item = f32>) {
        let spacing = [width, height].map(|n| (n.max(2) - 1) as f32 / (NODES - 1) as f32);
        let size = 0.5 * (spacing[0] + spacing[1]);
        self.nodes.clear();
        self.nodes.extend(covered.map(|c| if c > 0.0 { ((0.5 - c).max(0.0) * size).powi(2) } else { FAR }));
        self.scratch.resize(NODES * NODES, 0.0);
        for step in spacing {
            for (line, out) in self.nodes.chunks_exact(NODES).zip(self.scratch.chunks_exact_mut(NODES)) {
                envelope(line, out, step);
            }
            // Transposed, so that both passes run along rows; two passes restore the order.
            for y in 0..NODES {
                for x in 0..NODES {
                    self.nodes[x * NODES + y] = self.scratch[y * NODES + x];
                }
            }
        }
        self.nodes.iter_mut().for_each(|d| *d = d.sqrt());
    }

    /// Writes the mask: 1 up to `grow` pixels from the mesh, 0 from `grow + soft` on and at the picture's border.
    pub fn mask(&self, width: usize, height: usize, grow: f32, soft: f32, out: &mut [f32]) {
        let scale = [width, height].map(|n| (NODES - 1) as f32 / (n.max(2) - 1) as f32);
        let frame = FRAME * width.min(height) as f32;
        let soft = soft.max(1e-3);
        let edge = |x: usize, n: usize| step(0.0, frame, x.min(n - 1 - x) as f32);
        out.par_chunks_mut(width).enumerate().with_min_len(16).for_each(|(y, row)| {
            let gy = y as f32 * scale[1];
            let iy = (gy as usize).min(NODES - 2);
            let ty = gy - iy as f32;
            let (above, below) = (&self.nodes[iy * NODES..][..NODES], &self.nodes[(iy + 1) * NODES..][..NODES]);
            let vertical = edge(y, height);
            for (x, m) in row.iter_mut().enumerate() {
                let gx = x as f32 * scale[0];
                let ix = (gx as usize).min(NODES - 2);
                let tx = gx - ix as f32;
                let a = above[ix] + tx * (above[ix + 1] - above[ix]);
                let b = below[ix] + tx * (below[ix + 1] - below[ix]);
                let d = a + ty * (b - a);
                *m =
                    if d >= grow + soft { 0.0 } else { (1.0 - step(grow, grow + soft, d)) * edge(x, width) * vertical };
            }
        });
    }
}

/// Opens the mask wherever the person is or was, hardly visible hair included: what has left a place must not shine through there. At the picture's
/// border it stays closed.
pub(super) fn cover(width: usize, height: usize, mattes: [&[f32]; 2], out: &mut [f32]) {
    const FAINT: f32 = 0.05;
    let frame = FRAME * width.min(height) as f32;
    let edge = |x: usize, n: usize| step(0.0, frame, x.min(n - 1 - x) as f32);
    let [was, is] = mattes;
    let rows = out.par_chunks_mut(width).zip(was.par_chunks(width)).zip(is.par_chunks(width));
    rows.enumerate().with_min_len(16).for_each(|(y, ((out, was), is))| {
        let vertical = edge(y, height);
        for (x, ((out, was), is)) in out.iter_mut().zip(was).zip(is).enumerate() {
            let m = was.max(*is);
            if m > 0.0 {
                *out = out.max((m / FAINT).min(1.0) * edge(x, width) * vertical);
            }
        }
    });
}

/// `out[q] = min over p of line[p] + (step (q - p))^2`.
fn envelope(line: &[f32], out: &mut [f32], step: f32) {
    // Apexes of the parabolas on the lower envelope and where each begins.
    let mut apex = [0usize; NODES];
    let mut begin = [f32::NEG_INFINITY; NODES];
    let mut count = 0;
    for (q, &f) in line.iter().enumerate() {
        if f >= FAR {
            continue;
        }
        let x = q as f32 * step;
        loop {
            if count == 0 {
                begin[0] = f32::NEG_INFINITY;
                break;
            }
            let p = apex[count - 1];
            let px = p as f32 * step;
            let meet = ((f + x * x) - (line[p] + px * px)) / (2.0 * (x - px));
            if meet > begin[count - 1] {
                begin[count] = meet;
                break;
            }
            count -= 1;
        }
        apex[count] = q;
        count += 1;
    }
    if count == 0 {
        out.fill(FAR);
        return;
    }
    let mut k = 0;
    for (q, o) in out.iter_mut().enumerate() {
        let x = q as f32 * step;
        while k + 1 < count && begin[k + 1] < x {
            k += 1;
        }
        let p = apex[k];
        *o = line[p] + (x - p as f32 * step).powi(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_equal_brute_force() {
        let seeds = [(10usize, 20usize, 1.0f32), (100, 90, 1.0), (64, 3, 0.25)];
        let covered = |i: usize| seeds.iter().find(|s| i == s.1 * NODES + s.0).map_or(0.0, |s| s.2);
        let mut d = Distance::default();
        d.measure(257, 385, (0..NODES * NODES).map(covered));
        let (sx, sy) = (2.0f32, 3.0f32);
        for y in (0..NODES).step_by(11) {
            for x in (0..NODES).step_by(7) {
                let want = seeds
                    .iter()
                    .map(|&(px, py, c)| {
                        let start = (0.5f32 - c).max(0.0) * 2.5;
                        let (dx, dy) = ((x as f32 - px as f32) * sx, (y as f32 - py as f32) * sy);
                        (start * start + dx * dx + dy * dy).sqrt()
                    })
                    .fold(f32::INFINITY, f32::min);
                assert!((d.nodes[y * NODES + x] - want).abs() < 0.01, "{x} {y}");
            }
        }
        let mut mask = vec![0.0; 257 * 385];
        d.mask(257, 385, 5.0, 10.0, &mut mask);
        assert_eq!(mask[60 * 257 + 20], 1.0);
        assert_eq!(mask[0], 0.0);
        assert!(mask.iter().all(|m| (0.0..=1.0).contains(m)));
        d.measure(9, 9, (0..NODES * NODES).map(|_| 0.0));
        d.mask(9, 9, 5.0, 1.0, &mut mask[..81]);
        assert!(mask[..81].iter().all(|&m| m == 0.0));
    }
}
