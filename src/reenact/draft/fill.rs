//! What may be behind a person: the surroundings carried on into the hole that the person leaves.
//!
//! Near the hole's edge patches of the surroundings are copied, lines first, so that texture, grain and straight lines go on
//! (A. Criminisi, P. Perez and K. Toyama, "Region filling and object removal by exemplar-based image inpainting", 2004), and joined without
//! seams (P. Perez, M. Gangnet and A. Blake, "Poisson image editing", 2003); deeper inside, where no head moves away from, the edge's colours run
//! smoothly into each other.

use rayon::prelude::*;

use crate::frame::Frame;
use crate::reenact::draft::guided::box_mean;

/// Longest side of the grid on which patches are compared, cells.
const GRID: usize = 256;
/// Patches reach so many cells to each side.
const RADIUS: usize = 4;
/// How far from a patch its like is looked for, cells.
const SEARCH: usize = 72;
/// Cost of a like that lies farther away: mean square of colour per square of [`SEARCH`].
const FAR: f32 = 4e-4;
/// How far into the hole patches are copied, as a share of the face's size.
const REACH: f32 = 0.4;
/// Relaxations of what takes the seams away.
const SWEEPS: usize = 400;

/// The picture with its hole filled. `known` says which pixels show what is behind; these stay as they are. `face_size` in pixels.
pub(super) fn behind(picture: &Frame, known: &[bool], face_size: f32) -> Frame {
    let (w, h) = (picture.width, picture.height);
    let mut out = picture.clone();
    if known.iter().all(|k| *k) || !known.iter().any(|k| *k) {
        return out;
    }
    let scale = w.max(h).div_ceil(GRID);
    let mut grid = Grid::new(picture, known, scale);
    if grid.known.iter().any(|k| *k) {
        grid.copy_patches((REACH * face_size / scale as f32).ceil() as u32);
    }
    let smooth = grid.smooth();
    let change = grid.seams(&smooth);
    out.data.par_chunks_mut(4 * w).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.chunks_exact_mut(4).enumerate() {
            if known[y * w + x] {
                continue;
            }
            let cell = (y / scale) * grid.width + x / scale;
            // Cells' middles are at whole numbers of `smooth` and `change`.
            let at = |v: usize| (v as f32 + 0.5) / scale as f32 - 0.5;
            let mut colour = smooth.sample(at(x), at(y));
            if let Some([dx, dy]) = grid.from[cell] {
                let (sx, sy) = (x as i32 + dx * scale as i32, y as i32 + dy * scale as i32);
                let inside = sx >= 0 && sy >= 0 && (sx as usize) < w && (sy as usize) < h;
                if inside && known[sy as usize * w + sx as usize] {
                    colour = picture.pixel(sx as usize, sy as usize);
                }
            }
            let change = change.sample(at(x), at(y));
            (0..4).for_each(|k| pixel[k] = colour[k] + change[k]);
        }
    });
    out
}

/// The picture on a coarse grid.
struct Grid {
    width: usize,
    height: usize,
    colours: Vec<[f32; 4]>,
    /// Whether a cell lies in the surroundings as a whole.
    known: Vec<bool>,
    /// Of filled cells, where their colour comes from: cells to the right and down.
    from: Vec<Option<[i32; 2]>>,
}

impl Grid {
    fn new(picture: &Frame, known: &[bool], scale: usize) -> Grid {
        let (w, h) = (picture.width, picture.height);
        let (width, height) = (w.div_ceil(scale), h.div_ceil(scale));
        let cells: Vec<([f32; 4], bool)> = (0..width * height)
            .into_par_iter()
            .map(|i| {
                let (x0, y0) = (i % width * scale, i / width * scale);
                let (mut sum, mut all, mut count) = ([0.0f32; 4], true, 0.0);
                for y in y0..(y0 + scale).min(h) {
                    for x in x0..(x0 + scale).min(w) {
                        all &= known[y * w + x];
                        count += 1.0;
                        let p = picture.pixel(x, y);
                        (0..4).for_each(|k| sum[k] += p[k]);
                    }
                }
                (sum.map(|s| s / count), all)
            })
            .collect();
        let (colours, known) = cells.into_iter().unzip();
        Grid { width, height, colours, known, from: vec![None; width * height] }
    }

    /// Cells around a place, within the grid: index, and steps right and down.
    fn patch(&self, at: usize) -> impl Iterator<Item = (usize, i32, i32)> + '_ {
        let (x, y, r) = ((at % self.width) as i32, (at / self.width) as i32, RADIUS as i32);
        let (w, h) = (self.width as i32, self.height as i32);
        (-r..=r).flat_map(move |dy| (-r..=r).map(move |dx| (dx, dy))).filter_map(move |(dx, dy)| {
            let (cx, cy) = (x + dx, y + dy);
            (cx >= 0 && cy >= 0 && cx < w && cy < h).then_some(((cy * w + cx) as usize, dx, dy))
        })
    }

    fn neighbours(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        let (x, y, w, h) = (at % self.width, at / self.width, self.width, self.height);
        let across = [(x > 0).then(|| at - 1), (x + 1 < w).then_some(at + 1)];
        let down = [(y > 0).then(|| at - w), (y + 1 < h).then_some(at + w)];
        across.into_iter().chain(down).flatten()
    }

    /// Fills what lies within `reach` cells of the surroundings.
    fn copy_patches(&mut self, reach: u32) {
        let cells = self.known.len();
        // How many steps each cell lies inside the hole.
        let mut depth = vec![u32::MAX; cells];
        let mut ring: Vec<usize> = (0..cells).filter(|&i| self.known[i]).collect();
        ring.iter().for_each(|&i| depth[i] = 0);
        for d in 1..=reach {
            let mut next = Vec::new();
            for &i in &ring {
                for n in self.neighbours(i) {
                    if depth[n] == u32::MAX {
                        depth[n] = d;
                        next.push(n);
                    }
                }
            }
            ring = next;
        }
        let wanted = |i: usize| depth[i] != u32::MAX;
        // Middles of patches that lie in the surroundings as a whole.
        let whole: Vec<bool> =
            (0..cells).map(|i| self.patch(i).filter(|p| self.known[p.0]).count() == (2 * RADIUS + 1).pow(2)).collect();
        let mut filled = self.known.clone();
        let mut confidence: Vec<f32> = self.known.iter().map(|k| f32::from(*k)).collect();
        let mut front: Vec<usize> =
            (0..cells).filter(|&i| !filled[i] && wanted(i) && self.neighbours(i).any(|n| filled[n])).collect();
        let mut ranks: Vec<Option<f32>> = vec![None; cells];
        loop {
            front.retain(|&i| !filled[i]);
            for &i in &front {
                if ranks[i].is_none() {
                    ranks[i] = Some(self.rank(i, &filled, &confidence));
                }
            }
            let best = front.iter().copied().max_by(|&a, &b| {
                let at = |i: usize| ranks[i].unwrap_or(0.0);
                // Of equals the first, so that the order is the picture's.
                at(a).total_cmp(&at(b)).then(b.cmp(&a))
            });
            let Some(target) = best else { break };
            let Some(source) = self.like(target, &filled, &whole) else { break };
            let [dx, dy] = [0, 1].map(|k| {
                let at = |i: usize| [i % self.width, i / self.width][k] as i32;
                at(source) - at(target)
            });
            let sure = self.patch(target).map(|p| confidence[p.0]).sum::<f32>() / (2 * RADIUS + 1).pow(2) as f32;
            let open: Vec<usize> = self.patch(target).map(|p| p.0).filter(|&i| !filled[i] && wanted(i)).collect();
            for &i in &open {
                let from = (i as i32 + dy * self.width as i32 + dx) as usize;
                self.colours[i] = self.colours[from];
                self.from[i] = Some([dx, dy]);
                confidence[i] = sure;
                filled[i] = true;
            }
            // What the new cells change.
            for &i in &open {
                for n in self.neighbours(i) {
                    if !filled[n] && wanted(n) && !front.contains(&n) {
                        front.push(n);
                    }
                }
            }
            for (i, _, _) in self.patch(target).flat_map(|p| self.patch(p.0)).collect::<Vec<_>>() {
                ranks[i] = None;
            }
        }
    }

    /// How soon a cell of the front is filled: the more of its patch is known and the stronger a line runs into it.
    fn rank(&self, at: usize, filled: &[bool], confidence: &[f32]) -> f32 {
        let sure = self.patch(at).map(|p| confidence[p.0]).sum::<f32>() / (2 * RADIUS + 1).pow(2) as f32;
        let light = |i: usize| self.colours[i][..3].iter().sum::<f32>() / 3.0;
        // The strongest step in the known part, and the way out of the hole.
        let (mut line, mut strongest, mut out) = ([0.0f32; 2], 0.0f32, [0.0f32; 2]);
        let w = self.width;
        for (i, dx, dy) in self.patch(at) {
            if !filled[i] {
                continue;
            }
            (out[0], out[1]) = (out[0] + dx as f32, out[1] + dy as f32);
            let (x, y) = (i % w, i / w);
            if x == 0 || y == 0 || x + 1 >= w || y + 1 >= self.height {
                continue;
            }
            if [i - 1, i + 1, i - w, i + w].iter().any(|&n| !filled[n]) {
                continue;
            }
            let step = [light(i + 1) - light(i - 1), light(i + w) - light(i - w)];
            let strength = step[0] * step[0] + step[1] * step[1];
            if strength > strongest {
                (strongest, line) = (strength, [-step[1], step[0]]);
            }
        }
        let n = (out[0] * out[0] + out[1] * out[1]).sqrt().max(1e-6);
        let along = ((line[0] * out[0] + line[1] * out[1]) / n).abs();
        sure * (0.02 + along)
    }

    /// The middle of the patch in the surroundings that is most like what is known of the patch at `target`.
    fn like(&self, target: usize, filled: &[bool], whole: &[bool]) -> Option<usize> {
        let seen: Vec<(i32, [f32; 4])> = self
            .patch(target)
            .filter(|p| filled[p.0])
            .map(|(i, dx, dy)| (dy * self.width as i32 + dx, self.colours[i]))
            .collect();
        let (tx, ty) = ((target % self.width) as i32, (target / self.width) as i32);
        let cost = |i: usize, best: f32| {
            let (dx, dy) = ((i % self.width) as i32 - tx, (i / self.width) as i32 - ty);
            let far = (dx * dx + dy * dy) as f32 / (SEARCH * SEARCH) as f32;
            let start = FAR * far * seen.len() as f32;
            let mut sum = start;
            for (step, colour) in &seen {
                let c = &self.colours[(i as i32 + step) as usize];
                sum += (0..4).map(|k| (c[k] - colour[k]).powi(2)).sum::<f32>();
                if sum > best {
                    return f32::INFINITY;
                }
            }
            sum
        };
        let better = |a: (f32, usize), b: (f32, usize)| if (b.0, b.1) < (a.0, a.1) { b } else { a };
        let none = (f32::INFINITY, usize::MAX);
        let search = SEARCH as i32;
        let (y0, y1) = ((ty - search).max(0), (ty + search).min(self.height as i32 - 1));
        let (x0, x1) = ((tx - search).max(0), (tx + search).min(self.width as i32 - 1));
        let best = (0..=(y1 - y0) / 2)
            .into_par_iter()
            .map(|k| {
                let (mut best, y) = (none, y0 + 2 * k);
                for x in (x0..=x1).step_by(2) {
                    let i = y as usize * self.width + x as usize;
                    if whole[i] {
                        best = better(best, (cost(i, best.0), i));
                    }
                }
                best
            })
            .reduce(|| none, better);
        let found = if best.1 == usize::MAX {
            // A narrow strip of surroundings, or far away.
            (0..whole.len()).filter(|&i| whole[i]).map(|i| (cost(i, f32::INFINITY), i)).fold(none, better)
        } else {
            let near = self.patch(best.1).filter(|p| p.1.abs() <= 1 && p.2.abs() <= 1 && whole[p.0]);
            near.map(|p| (cost(p.0, f32::INFINITY), p.0)).fold(best, better)
        };
        (found.1 != usize::MAX).then_some(found.1)
    }

    /// The grid's colours, smoothly carried on into cells that no patch filled: means of ever larger boxes of known cells.
    fn smooth(&self) -> Frame {
        let (w, h) = (self.width, self.height);
        let mut filled: Vec<bool> = (0..w * h).map(|i| self.known[i] || self.from[i].is_some()).collect();
        let mut colours = self.colours.clone();
        let mut radius = 1;
        while filled.iter().any(|f| !f) && radius < 2 * w.max(h) {
            let weight: Vec<f32> = filled.iter().map(|f| f32::from(*f)).collect();
            let count = box_mean(&weight, w, h, radius);
            let sums: [Vec<f32>; 4] = std::array::from_fn(|k| {
                box_mean(&colours.iter().zip(&weight).map(|(c, f)| c[k] * f).collect::<Vec<_>>(), w, h, radius)
            });
            for i in 0..w * h {
                if !filled[i] && count[i] > 1e-6 {
                    colours[i] = std::array::from_fn(|k| sums[k][i] / count[i]);
                }
            }
            filled.iter_mut().zip(&count).for_each(|(f, c)| *f |= *c > 1e-6);
            radius *= 2;
        }
        let mut out = Frame::new(w, h);
        out.data = colours.into_iter().flatten().collect();
        out
    }
}

impl Grid {
    /// What must be added to `filled`, the grid with its hole filled, so that its steps from cell to cell are those of the patches, also where
    /// two meet.
    fn seams(&self, filled: &Frame) -> Frame {
        let (w, h) = (self.width, self.height);
        let colour = |i: usize| filled.pixel(i % w, i / w);
        // The step between two neighbours as the patch of one of them has it.
        let step_of = |owner: usize, i: usize, j: usize| -> Option<[f32; 4]> {
            let [dx, dy] = self.from[owner]?;
            let moved = |i: usize| {
                let (x, y) = ((i % w) as i32 + dx, (i / w) as i32 + dy);
                (x >= 0 && y >= 0 && x < w as i32 && y < h as i32).then(|| y as usize * w + x as usize)
            };
            let (a, b) = (moved(i)?, moved(j)?);
            let (a, b) = (self.known[a].then(|| colour(a))?, self.known[b].then(|| colour(b))?);
            Some(std::array::from_fn(|k| a[k] - b[k]))
        };
        // For every open cell and neighbour: how much more their step must be than it is.
        let open: Vec<usize> = (0..w * h).filter(|&i| !self.known[i]).collect();
        let wanted: Vec<Vec<(usize, [f32; 4])>> = open
            .iter()
            .map(|&i| {
                let to = |j: usize| {
                    let steps: Vec<[f32; 4]> = [step_of(i, i, j), step_of(j, i, j)].into_iter().flatten().collect();
                    let (a, b) = (colour(i), colour(j));
                    let more = |k: usize| steps.iter().map(|s| s[k]).sum::<f32>() / steps.len() as f32 - (a[k] - b[k]);
                    (j, if steps.is_empty() { [0.0; 4] } else { std::array::from_fn(more) })
                };
                self.neighbours(i).map(to).collect()
            })
            .collect();
        let mut change = vec![[0.0f32; 4]; w * h];
        for _ in 0..SWEEPS {
            for (&i, around) in open.iter().zip(&wanted) {
                let n = around.len() as f32;
                change[i] = std::array::from_fn(|k| {
                    let to: f32 = around.iter().map(|(j, more)| change[*j][k] + more[k]).sum();
                    change[i][k] + 1.6 * (to / n - change[i][k])
                });
            }
        }
        // The edge's cells are read half way between them and their neighbours.
        let edge = change.clone();
        for i in (0..w * h).filter(|&i| self.known[i]) {
            let around: Vec<usize> = self.neighbours(i).filter(|&n| !self.known[n]).collect();
            if !around.is_empty() {
                change[i] =
                    std::array::from_fn(|k| around.iter().map(|&n| edge[n][k]).sum::<f32>() / around.len() as f32);
            }
        }
        let mut out = Frame::new(w, h);
        out.data = change.into_iter().flatten().collect();
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Color;

    #[test]
    fn lines_and_stripes_go_on_behind_the_hole() {
        let (w, h) = (120, 96);
        let mut picture = Frame::filled(w, h, [0.6, 0.6, 0.7, 1.0], Color::Srgb);
        for y in 0..h {
            for x in 0..w {
                if (40..43).contains(&y) {
                    picture.set_pixel(x, y, [0.1, 0.2, 0.1, 1.0]);
                }
            }
        }
        let known: Vec<bool> = (0..w * h).map(|i| !((45..75).contains(&(i % w)) && (i / w) >= 24)).collect();
        let mut holed = picture.clone();
        (0..w * h).filter(|&i| !known[i]).for_each(|i| holed.data[4 * i..4 * i + 3].fill(1.0));
        let got = behind(&holed, &known, 100.0);
        for y in 0..h {
            for x in 0..w {
                let (a, b) = (got.pixel(x, y), picture.pixel(x, y));
                let deep = (58..62).contains(&x) && y > 60;
                assert!(deep || (0..4).all(|k| (a[k] - b[k]).abs() < 0.02), "{x} {y}: {a:?} {b:?}");
            }
        }
        // Nothing known, nothing to fill.
        assert_eq!(behind(&holed, &vec![false; w * h], 100.0).data, holed.data);
        assert_eq!(behind(&holed, &vec![true; w * h], 100.0).data, holed.data);
        // A hole with a strip of surroundings that holds no patch is filled smoothly.
        let strip: Vec<bool> = (0..w * h).map(|i| i % w < 3).collect();
        let got = behind(&holed, &strip, 100.0);
        assert!(got.data.iter().all(|v| v.is_finite()) && (got.pixel(60, 80)[2] - 0.7).abs() < 0.1);
    }
}
