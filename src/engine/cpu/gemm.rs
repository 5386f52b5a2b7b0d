//! The matrix kernel of all dense convolutions: rows of pixels times packed weights, bias and activation at the end.
//!
//! A row is `runs` pieces of `len` contiguous values, `run_step` apart (the rows of a convolution's window in a
//! padded NHWC picture; one run for 1x1 convolutions and for Winograd), so nothing is copied before it is multiplied.
//! Weights are packed in panels of two vectors of columns: `[panel][runs * len][2 N]`, zero filled.

use super::simd::{Level, Simd, activate, dispatch};
use crate::engine::ops::Act;

/// Where the left-hand rows lie.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Pieces of one row.
    pub runs: usize,
    /// Values in a piece.
    pub len: usize,
    /// From one piece to the next.
    pub run_step: usize,
    /// From one row to the next.
    pub row_step: usize,
}

/// Columns in a panel at `level`.
pub fn panel(level: Level) -> usize {
    2 * level.lanes()
}

/// Packs `k x n` weights given by `at(k, n)` into panels; returns `ceil(n / panel) * k * panel` values.
pub fn pack(level: Level, k: usize, n: usize, at: impl Fn(usize, usize) -> f32) -> Vec<f32> {
    let nr = panel(level);
    let mut out = vec![0.0; n.div_ceil(nr) * k * nr];
    for (p, panel) in out.chunks_exact_mut(k * nr).enumerate() {
        for (i, row) in panel.chunks_exact_mut(nr).enumerate() {
            for (j, v) in row.iter_mut().enumerate().take(n - (p * nr).min(n)) {
                *v = at(i, p * nr + j);
            }
        }
    }
    out
}

/// `out[r][c] = act(bias[c] + sum_k rows[r][k] * weights[k][c])` for `count` rows and `columns` columns.
///
/// `out_step` values lie between rows of `out`; `bias` may be empty. `weights` and `bias` are packed (the bias
/// padded to whole panels).
///
/// # Safety
/// `a` must be readable for all rows, `out` writable for `count` rows of `columns` values, and no other thread may
/// touch those.
#[allow(clippy::too_many_arguments)]
pub unsafe fn multiply(
    level: Level,
    a: *const f32,
    rows: Rows,
    count: usize,
    weights: &[f32],
    bias: &[f32],
    columns: usize,
    act: Act,
    out: *mut f32,
    out_step: usize,
) {
    let (weights, bias_len, bias) = (weights.as_ptr(), bias.len(), bias.as_ptr());
    dispatch!(
        level,
        multiply_kernel(
            a: *const f32, rows: Rows, count: usize, weights: *const f32, bias: *const f32, bias_len: usize,
            columns: usize, act: Act, out: *mut f32, out_step: usize,
        )
    );
}

/// Rows that one pass keeps in registers (12 x 2 accumulators of the 32 AVX-512 registers; 6 x 2 of 16).
const TALL: usize = 12;
const LOW: usize = 6;

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn multiply_kernel<S: Simd>(
    a: *const f32,
    rows: Rows,
    count: usize,
    weights: *const f32,
    bias: *const f32,
    bias_len: usize,
    columns: usize,
    act: Act,
    out: *mut f32,
    out_step: usize,
) {
    let nr = 2 * S::N;
    let k = rows.runs * rows.len;
    let mut c = 0;
    while c < columns {
        let wide = columns - c;
        let mut tile = Tile {
            rows,
            // SAFETY: panels are packed whole; see `pack`.
            weights: unsafe { weights.add(c / nr * k * nr) },
            // SAFETY: a bias for each of the output columns, of which this is one.
            bias: if bias_len == 0 { std::ptr::null() } else { unsafe { bias.add(c) } },
            columns: wide.min(nr),
            act,
            out_step,
            a,
            // SAFETY: column c lies in the output.
            out: unsafe { out.add(c) },
        };
        let mut r = 0;
        while r < count {
            let left = count - r;
            // SAFETY: rows r .. r + n exist, as the caller promised for `count` rows.
            let n = unsafe {
                // Single rows wait for their own additions: what is left over is split so that few remain.
                if S::N == 16 && left >= TALL {
                    tile.run::<S, TALL>();
                    TALL
                } else if S::N == 16 && left >= 8 && left != 9 {
                    tile.run::<S, 8>();
                    8
                } else if left >= LOW {
                    tile.run::<S, LOW>();
                    LOW
                } else if left >= 4 {
                    tile.run::<S, 4>();
                    4
                } else if left == 3 {
                    tile.run::<S, 3>();
                    3
                } else if left == 2 {
                    tile.run::<S, 2>();
                    2
                } else {
                    tile.run::<S, 1>();
                    1
                }
            };
            r += n;
            // SAFETY: one past the last row at most.
            unsafe {
                tile.a = tile.a.wrapping_add(n * rows.row_step);
                tile.out = if r < count { tile.out.add(n * out_step) } else { tile.out };
            }
        }
        c += nr;
    }
}

struct Tile {
    rows: Rows,
    weights: *const f32,
    bias: *const f32,
    columns: usize,
    act: Act,
    out_step: usize,
    a: *const f32,
    out: *mut f32,
}

impl Tile {
    #[inline(always)]
    unsafe fn run<S: Simd, const R: usize>(&self) {
        // One vector of columns is enough for narrow layers; two hide the latency of the loads.
        // SAFETY: as this function asks of its caller.
        unsafe { if self.columns <= S::N { self.tile::<S, R, 1>() } else { self.tile::<S, R, 2>() } }
    }

    #[inline(always)]
    unsafe fn tile<S: Simd, const R: usize, const Q: usize>(&self) {
        let nr = 2 * S::N;
        // SAFETY: the pointers cover R rows and one panel; see `multiply`.
        unsafe {
            let mut acc = [[S::splat(0.0); Q]; R];
            if !self.bias.is_null() {
                for q in 0..Q {
                    let b = S::load(self.bias.add(q * S::N));
                    for row in &mut acc {
                        row[q] = b;
                    }
                }
            }
            let mut w = self.weights;
            for run in 0..self.rows.runs {
                let a = self.a.add(run * self.rows.run_step);
                for l in 0..self.rows.len {
                    let mut b = [S::splat(0.0); Q];
                    for (q, b) in b.iter_mut().enumerate() {
                        *b = S::load(w.add(q * S::N));
                    }
                    w = w.add(nr);
                    for (r, row) in acc.iter_mut().enumerate() {
                        let x = S::splat(*a.add(r * self.rows.row_step + l));
                        for q in 0..Q {
                            row[q] = S::fma(x, b[q], row[q]);
                        }
                    }
                }
            }
            for v in acc.as_flattened_mut() {
                *v = activate::<S>(*v, self.act);
            }
            for (r, row) in acc.iter().enumerate() {
                let out = self.out.add(r * self.out_step);
                if self.columns == Q * S::N {
                    for (q, v) in row.iter().enumerate() {
                        S::store(out.add(q * S::N), *v);
                    }
                } else {
                    for (q, v) in row.iter().enumerate() {
                        S::store_some(out.add(q * S::N), *v, (self.columns - q * S::N).min(S::N));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::simd::level;
    use super::*;
    use crate::testing::Rng;

    #[test]
    fn equals_the_definition_at_every_level() {
        let mut rng = Rng(1);
        for level in [Level::Portable, Level::Avx2, Level::Avx512].into_iter().filter(|&l| l <= level()) {
            let shapes = [(1, 1, 1), (17, 3, 5), (64, 1, 40), (33, 2, 9)];
            for (count, (columns, runs, len)) in (1..26).flat_map(|n| shapes.map(|s| (n, s))) {
                let rows = Rows { runs, len, run_step: len + 3, row_step: 2 * (len + 3) };
                let a = rng.vec(count * rows.row_step + runs * rows.run_step);
                let w = rng.vec(runs * len * columns);
                let bias = rng.vec(columns);
                let packed = pack(level, runs * len, columns, |k, n| w[k * columns + n]);
                let packed_bias = pack(level, 1, columns, |_, n| bias[n]);
                let mut out = vec![9.0; count * (columns + 2)];
                let act = Act::Leaky(0.2);
                // SAFETY: the buffers are as large as the rows need.
                unsafe {
                    let out = out.as_mut_ptr();
                    multiply(level, a.as_ptr(), rows, count, &packed, &packed_bias, columns, act, out, columns + 2);
                }
                for r in 0..count {
                    for c in 0..columns {
                        let mut sum = bias[c];
                        for run in 0..runs {
                            for l in 0..len {
                                sum +=
                                    a[r * rows.row_step + run * rows.run_step + l] * w[(run * len + l) * columns + c];
                            }
                        }
                        let want = sum.max(0.2 * sum);
                        let got = out[r * (columns + 2) + c];
                        assert!((want - got).abs() < 1e-4, "{level:?} {count}x{columns} ({r}, {c}): {got} for {want}");
                    }
                    assert_eq!(out[r * (columns + 2) + columns..][..2], [9.0; 2], "wrote past the row");
                }
            }
        }
    }
}
