//! The guided filter: a rough map of a picture gets the picture's own edges.
//!
//! K. He, J. Sun and X. Tang, "Guided image filtering", 2010, with a guide in three colours; the map is an affine function of the
//! colour in every small box, and the boxes' functions are averaged.

use rayon::prelude::*;

/// The functions of a picture of `width x height`: per pixel, factors of red, green and blue, and what is added.
#[derive(Debug, Clone)]
pub(in crate::reenact) struct Guided {
    pub width: usize,
    pub height: usize,
    planes: [Vec<f32>; 4],
}

impl Guided {
    /// Of the guide's three planes (0..1 as the eye sees them) and a map of the same size. Boxes reach `radius` pixels to each side; `eps`
    /// is the variance of colour below which a box is taken for flat.
    pub fn new(guide: [&[f32]; 3], map: &[f32], (width, height): (usize, usize), radius: usize, eps: f32) -> Guided {
        let mean = |plane: Vec<f32>| box_mean(&plane, width, height, radius);
        let product = |a: &[f32], b: &[f32]| mean(a.iter().zip(b).map(|(a, b)| a * b).collect());
        let [r, g, b] = guide;
        let pairs = [(r, r), (r, g), (r, b), (g, g), (g, b), (b, b)];
        let means: Vec<Vec<f32>> = [r, g, b, map].par_iter().map(|p| mean(p.to_vec())).collect();
        let squares: Vec<Vec<f32>> = pairs.par_iter().map(|(a, b)| product(a, b)).collect();
        let crossed: Vec<Vec<f32>> = [r, g, b].par_iter().map(|p| product(p, map)).collect();
        let solved: Vec<[f32; 4]> = (0..width * height)
            .into_par_iter()
            .map(|i| {
                let m: [f32; 3] = std::array::from_fn(|k| means[k][i]);
                let p = means[3][i];
                let at = |k: usize, a: usize, b: usize| squares[k][i] - m[a] * m[b];
                let (rr, rg, rb) = (at(0, 0, 0) + eps, at(1, 0, 1), at(2, 0, 2));
                let (gg, gb, bb) = (at(3, 1, 1) + eps, at(4, 1, 2), at(5, 2, 2) + eps);
                let c: [f32; 3] = std::array::from_fn(|k| crossed[k][i] - m[k] * p);
                // The inverse of the symmetric matrix, by its cofactors.
                let (crr, crg, crb) = (gg * bb - gb * gb, rb * gb - rg * bb, rg * gb - rb * gg);
                let (cgg, cgb, cbb) = (rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg);
                let det = rr * crr + rg * crg + rb * crb;
                if det <= 1e-12 {
                    return [0.0, 0.0, 0.0, p];
                }
                let a = [
                    (crr * c[0] + crg * c[1] + crb * c[2]) / det,
                    (crg * c[0] + cgg * c[1] + cgb * c[2]) / det,
                    (crb * c[0] + cgb * c[1] + cbb * c[2]) / det,
                ];
                [a[0], a[1], a[2], p - a[0] * m[0] - a[1] * m[1] - a[2] * m[2]]
            })
            .collect();
        let planes = std::array::from_fn(|k| mean(solved.iter().map(|s| s[k]).collect()));
        Guided { width, height, planes }
    }

    /// The map at a place of the guide (pixel centres at integers) of this colour.
    pub fn at(&self, x: f32, y: f32, rgb: [f32; 3]) -> f32 {
        let x = x.max(0.0).min((self.width - 1) as f32);
        let y = y.max(0.0).min((self.height - 1) as f32);
        let (ix, iy) = (x as usize, y as usize);
        let (fx, fy) = (x - ix as f32, y - iy as f32);
        let (jx, jy) = ((ix + 1).min(self.width - 1), (iy + 1).min(self.height - 1));
        let read = |plane: &[f32]| {
            let row = |y: usize| plane[y * self.width + ix] * (1.0 - fx) + plane[y * self.width + jx] * fx;
            row(iy) * (1.0 - fy) + row(jy) * fy
        };
        let [r, g, b, c] = &self.planes;
        read(r) * rgb[0] + read(g) * rgb[1] + read(b) * rgb[2] + read(c)
    }
}

/// The mean of each pixel's box, which the picture's border cuts off.
pub(in crate::reenact) fn box_mean(plane: &[f32], width: usize, height: usize, radius: usize) -> Vec<f32> {
    let line = |from: &dyn Fn(usize) -> f32, n: usize, to: &mut dyn FnMut(usize, f32)| {
        let (mut sum, mut count) = (0.0f64, 0usize);
        for i in 0..radius.min(n) {
            sum += f64::from(from(i));
            count += 1;
        }
        for i in 0..n {
            if i + radius < n {
                sum += f64::from(from(i + radius));
                count += 1;
            }
            if i > radius {
                sum -= f64::from(from(i - radius - 1));
                count -= 1;
            }
            to(i, (sum / count as f64) as f32);
        }
    };
    let mut across = vec![0.0; plane.len()];
    across.par_chunks_mut(width.max(1)).zip(plane.par_chunks(width.max(1))).for_each(|(out, row)| {
        line(&|i| row[i], width, &mut |i, v| out[i] = v);
    });
    // Column by column, as rows of the transposed plane.
    let mut turned = vec![0.0; plane.len()];
    turned.par_chunks_mut(height.max(1)).enumerate().for_each(|(x, out)| {
        line(&|i| across[i * width + x], height, &mut |i, v| out[i] = v);
    });
    let mut out = across;
    out.par_chunks_mut(width.max(1)).enumerate().for_each(|(y, row)| {
        row.iter_mut().enumerate().for_each(|(x, v)| *v = turned[x * height + y]);
    });
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn boxes_are_means() {
        let mut rng = Rng(3);
        let (w, h) = (13, 9);
        let plane = rng.vec(w * h);
        for radius in [0, 1, 4, 20] {
            let got = box_mean(&plane, w, h, radius);
            for y in 0..h {
                for x in 0..w {
                    let (mut sum, mut n) = (0.0, 0.0);
                    for j in y.saturating_sub(radius)..=(y + radius).min(h - 1) {
                        for i in x.saturating_sub(radius)..=(x + radius).min(w - 1) {
                            sum += plane[j * w + i];
                            n += 1.0;
                        }
                    }
                    assert!((got[y * w + x] - sum / n).abs() < 1e-5);
                }
            }
        }
    }

    #[test]
    fn a_rough_edge_moves_to_the_pictures() {
        let (w, h) = (40, 30);
        // The picture's edge lies at 22, the map's, soft, around 20.
        let red: Vec<f32> = (0..w * h).map(|i| if i % w >= 22 { 0.8 } else { 0.2 }).collect();
        let other = vec![0.5; w * h];
        let map: Vec<f32> = (0..w * h).map(|i| ((i % w) as f32 - 16.0).clamp(0.0, 8.0) / 8.0).collect();
        let guided = Guided::new([&red, &other, &other], &map, (w, h), 6, 1e-4);
        let at = |x: usize| guided.at(x as f32, 15.0, [red[x], 0.5, 0.5]);
        assert!(at(21) < 0.45 && at(22) > 0.8, "{} {}", at(21), at(22));
        assert!(at(5).abs() < 0.02 && (at(35) - 1.0).abs() < 0.02);
        assert!(at(22) - at(21) > 3.0 * (at(21) - at(20)));
    }
}
