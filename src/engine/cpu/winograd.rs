//! 3x3 convolutions of stride 1 as Winograd F(4x4, 3x3): 36 multiplications where the definition has 144.
//!
//! Lavin, Gray: "Fast Algorithms for Convolutional Neural Networks", <https://arxiv.org/abs/1509.09308>.
//! Pictures are NHWC; a tile gives 4x4 pixels from 6x6. For each of the 36 places of a transformed tile, one matrix
//! product runs over (tiles) x (input channels) x (output channels).

// Rows and columns of small matrices read best by index.
#![allow(clippy::needless_range_loop)]

use super::gemm::{self, Rows};
use super::pool::Pool;
use super::simd::{Level, Simd, activate, dispatch};
use super::threads::{SendPtr, Threads};
use crate::engine::ops::Act;
use std::sync::Arc;

const PLACES: usize = 36;

/// Bytes of transformed input that one block of tiles may take; about a core's share of the last cache.
const BLOCK_BYTES: usize = 6 << 20;

/// Weights of one layer.
#[derive(Debug)]
pub struct Weights {
    level: Level,
    pub cin: usize,
    pub cout: usize,
    /// `[panel][cin][9][panel width]`; empty once `transformed` is kept.
    taps: Vec<f32>,
    /// `[36][panel][cin][panel width]`, or empty: then it is computed when needed.
    transformed: Vec<f32>,
    /// Bias padded to whole panels, or empty.
    bias: Vec<f32>,
}

/// Whether a layer can be done here at `level`.
pub fn suits(level: Level, cin: usize, cout: usize) -> bool {
    cin.is_multiple_of(level.lanes()) && cin >= 8 && cout >= 4
}

impl Weights {
    /// From `at(o, i, tap)`, tap = 3 ky + kx.
    pub fn new(
        level: Level,
        cin: usize,
        cout: usize,
        at: impl Fn(usize, usize, usize) -> f32,
        bias: &[f32],
    ) -> Weights {
        let nr = gemm::panel(level);
        let panels = cout.div_ceil(nr);
        let mut taps = vec![0.0; panels * cin * 9 * nr];
        for (index, row) in taps.chunks_exact_mut(nr).enumerate() {
            let (panel, rest) = (index / (cin * 9), index % (cin * 9));
            for (j, v) in row.iter_mut().enumerate().take(cout - panel * nr) {
                *v = at(panel * nr + j, rest / 9, rest % 9);
            }
        }
        let bias = if bias.is_empty() { Vec::new() } else { gemm::pack(level, 1, cout, |_, n| bias[n]) };
        Weights { level, cin, cout, taps, transformed: Vec::new(), bias }
    }

    /// Bytes that the transformed weights take.
    pub fn transformed_bytes(&self) -> usize {
        4 * self.transformed_len()
    }

    fn transformed_len(&self) -> usize {
        PLACES * self.cin * self.padded()
    }

    /// Output channels in whole panels.
    fn padded(&self) -> usize {
        let nr = gemm::panel(self.level);
        self.cout.div_ceil(nr) * nr
    }

    /// Keeps the transformed weights in place of the taps.
    pub fn keep_transformed(&mut self) {
        if self.transformed.is_empty() {
            let mut out = vec![0.0; self.transformed_len()];
            for panel in 0..self.panels() {
                // SAFETY: one thread writes one panel after the other.
                unsafe { self.transform_panel(panel, out.as_mut_ptr()) };
            }
            self.transformed = out;
            self.taps = Vec::new();
        }
    }

    fn panels(&self) -> usize {
        self.padded() / gemm::panel(self.level)
    }

    /// # Safety
    /// `out` must be writable for `transformed_len` values; only this panel's are written.
    unsafe fn transform_panel(&self, panel: usize, out: *mut f32) {
        let nr = gemm::panel(self.level);
        let place_step = self.cin * self.padded();
        let taps = self.taps[panel * self.cin * 9 * nr..].as_ptr();
        // SAFETY: inside, as the caller promises.
        let out = unsafe { out.add(panel * self.cin * nr) };
        let cin = self.cin;
        dispatch!(self.level, weights_kernel(taps: *const f32, out: *mut f32, cin: usize, place_step: usize));
    }
}

/// `out = G g G^T` per input channel and vector of output channels.
#[inline(always)]
unsafe fn weights_kernel<S: Simd>(taps: *const f32, out: *mut f32, cin: usize, place_step: usize) {
    let nr = 2 * S::N;
    // SAFETY: one panel of taps and of the output; see `transform_panel`.
    unsafe {
        for c in 0..cin {
            for q in 0..2 {
                let g = taps.add(c * 9 * nr + q * S::N);
                let mut half = [[S::splat(0.0); 3]; 6];
                for x in 0..3 {
                    let column = g_rows::<S>([
                        S::load(g.add(x * nr)),
                        S::load(g.add((3 + x) * nr)),
                        S::load(g.add((6 + x) * nr)),
                    ]);
                    for (y, v) in column.into_iter().enumerate() {
                        half[y][x] = v;
                    }
                }
                for (y, row) in half.into_iter().enumerate() {
                    for (x, v) in g_rows::<S>(row).into_iter().enumerate() {
                        S::store(out.add((6 * y + x) * place_step + c * nr + q * S::N), v);
                    }
                }
            }
        }
    }
}

/// The six rows of G applied to three values.
#[inline(always)]
unsafe fn g_rows<S: Simd>([a, b, c]: [S::V; 3]) -> [S::V; 6] {
    // SAFETY: arithmetic only; the caller runs where the instruction set exists.
    unsafe {
        let sixth = S::splat(-1.0 / 6.0);
        let ac = S::add(a, c);
        let far = S::fma(c, S::splat(1.0 / 6.0), S::mul(a, S::splat(1.0 / 24.0)));
        let b12 = S::mul(b, S::splat(1.0 / 12.0));
        [
            S::mul(a, S::splat(0.25)),
            S::mul(S::add(ac, b), sixth),
            S::mul(S::sub(ac, b), sixth),
            S::add(far, b12),
            S::sub(far, b12),
            c,
        ]
    }
}

/// The six rows of B^T applied to six values.
#[inline(always)]
unsafe fn b_rows<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
    // SAFETY: arithmetic only; the caller runs where the instruction set exists.
    unsafe {
        let (two, four, minus_four, minus_five) = (S::splat(2.0), S::splat(4.0), S::splat(-4.0), S::splat(-5.0));
        let p = S::fma(d[2], minus_four, d[4]);
        let q = S::fma(d[1], minus_four, d[3]);
        let r = S::sub(d[4], d[2]);
        let s = S::mul(S::sub(d[3], d[1]), two);
        [
            S::fma(d[0], four, S::fma(d[2], minus_five, d[4])),
            S::add(p, q),
            S::sub(p, q),
            S::add(r, s),
            S::sub(r, s),
            S::fma(d[1], four, S::fma(d[3], minus_five, d[5])),
        ]
    }
}

/// The four rows of A^T applied to six values.
#[inline(always)]
unsafe fn a_rows<S: Simd>(m: [S::V; 6]) -> [S::V; 4] {
    // SAFETY: arithmetic only; the caller runs where the instruction set exists.
    unsafe {
        let (p, q) = (S::add(m[1], m[2]), S::sub(m[1], m[2]));
        let (r, s) = (S::add(m[3], m[4]), S::sub(m[3], m[4]));
        [
            S::add(S::add(m[0], p), r),
            S::fma(s, S::splat(2.0), q),
            S::fma(r, S::splat(4.0), p),
            S::add(S::fma(s, S::splat(8.0), q), m[5]),
        ]
    }
}

/// A picture that a kernel reads or writes: NHWC, one image.
#[derive(Clone, Copy)]
struct Geometry {
    h: usize,
    w: usize,
    tiles_x: usize,
}

/// `output = act(conv3x3(input) + bias)` with one pixel of zeros around `input`; both `h x w`.
#[allow(clippy::too_many_arguments)]
pub fn convolve(
    weights: &Weights,
    input: &[f32],
    output: &mut [f32],
    h: usize,
    w: usize,
    act: Act,
    pool: &Arc<Pool>,
    threads: &Threads,
) {
    let (cin, padded, level) = (weights.cin, weights.padded(), weights.level);
    let nr = gemm::panel(level);
    let geometry = Geometry { h, w, tiles_x: w.div_ceil(4) };
    let tiles = h.div_ceil(4) * geometry.tiles_x;

    let mut scratch = None;
    let transformed: &[f32] = if weights.transformed.is_empty() {
        let out = scratch.insert(pool.take(weights.transformed_len()));
        let target = SendPtr(out.as_mut_ptr());
        // SAFETY: every task writes its own panel.
        threads.run(weights.panels(), |panel| unsafe { weights.transform_panel(panel, target.get()) });
        out
    } else {
        &weights.transformed
    };

    // A multiple of the kernel's rows, as many blocks of one size as the budget asks for.
    let most = (BLOCK_BYTES / (4 * PLACES * cin)).max(12);
    let blocks = tiles.div_ceil(most);
    let block = tiles.div_ceil(blocks).next_multiple_of(12).min(tiles);
    // Two panels of columns at a time: their products stay in the second-level cache.
    let chunk = (2 * nr).min(padded);
    let chunks = padded.div_ceil(chunk);
    let mut v = pool.take(PLACES * block * cin);
    let output = SendPtr(output.as_mut_ptr());
    let cout = weights.cout;
    let bias = &weights.bias;

    let mut first = 0;
    while first < tiles {
        let count = block.min(tiles - first);
        let place_step = count * cin;
        {
            let v = SendPtr(v.as_mut_ptr());
            let input = input.as_ptr() as usize;
            let part = count.div_ceil(4 * threads.count()).max(4);
            threads.run(count.div_ceil(part), |i| {
                let (from, to) = (i * part, count.min((i + 1) * part));
                let (input, v) = (input as *const f32, v.get());
                dispatch!(
                    level,
                    input_kernel(
                        input: *const f32, v: *mut f32, cin: usize, geometry: Geometry, first: usize, from: usize,
                        to: usize, place_step: usize,
                    )
                );
            });
        }
        // Sub-blocks of tiles keep all threads busy where there are few columns.
        let part = if chunks >= 2 * threads.count() { count } else { count.div_ceil(2 * threads.count()).max(48) };
        let parts = count.div_ceil(part);
        threads.run(chunks * parts, |task| {
            let (from, columns) = (task / parts * chunk, chunk.min(padded - task / parts * chunk));
            let (start, end) = (task % parts * part, count.min((task % parts + 1) * part));
            let n = end - start;
            let mut m = pool.take(PLACES * n * columns);
            for place in 0..PLACES {
                let rows = Rows { runs: 1, len: cin, run_step: 0, row_step: cin };
                let b = &transformed[place * cin * padded + from * cin..][..cin * columns];
                // SAFETY: `n` rows of `cin` values lie at this place of v; m has room for n x columns per place.
                unsafe {
                    let a = v.as_ptr().add(place * place_step + start * cin);
                    let m = m.as_mut_ptr().add(place * n * columns);
                    gemm::multiply(level, a, rows, n, b, &[], columns, Act::None, m, columns);
                }
            }
            let (m, output) = (m.as_ptr(), output.get());
            let first = first + start;
            let bias = if bias.is_empty() { std::ptr::null() } else { bias[from..].as_ptr() };
            dispatch!(
                level,
                output_kernel(
                    m: *const f32, output: *mut f32, columns: usize, geometry: Geometry, first: usize, n: usize,
                    cout: usize, from: usize, bias: *const f32, act: Act,
                )
            );
        });
        first += count;
    }
}

/// `v[place][tile][c] = B^T d B` for tiles `from..to` of the block that begins at tile `first`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn input_kernel<S: Simd>(
    input: *const f32,
    v: *mut f32,
    cin: usize,
    geometry: Geometry,
    first: usize,
    from: usize,
    to: usize,
    place_step: usize,
) {
    let Geometry { h, w, tiles_x } = geometry;
    for t in from..to {
        let (ty, tx) = ((first + t) / tiles_x, (first + t) % tiles_x);
        let (y0, x0) = (4 * ty as isize - 1, 4 * tx as isize - 1);
        let inside = y0 >= 0 && x0 >= 0 && y0 + 6 <= h as isize && x0 + 6 <= w as isize;
        let mut c = 0;
        while c < cin {
            // SAFETY: pixels are read inside the picture only; v has place_step values per place.
            unsafe {
                let mut half = [[S::splat(0.0); 6]; 6];
                for x in 0..6 {
                    let mut column = [S::splat(0.0); 6];
                    for (y, d) in column.iter_mut().enumerate() {
                        let (py, px) = (y0 + y as isize, x0 + x as isize);
                        if inside || (py >= 0 && px >= 0 && py < h as isize && px < w as isize) {
                            *d = S::load(input.add((py as usize * w + px as usize) * cin + c));
                        }
                    }
                    for (y, d) in b_rows::<S>(column).into_iter().enumerate() {
                        half[y][x] = d;
                    }
                }
                let out = v.add(t * cin + c);
                for (y, row) in half.into_iter().enumerate() {
                    for (x, d) in b_rows::<S>(row).into_iter().enumerate() {
                        S::store(out.add((6 * y + x) * place_step), d);
                    }
                }
            }
            c += S::N;
        }
    }
}

/// `output = act(A^T m A + bias)` for `n` tiles from tile `first`, channels `from .. from + columns`.
#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn output_kernel<S: Simd>(
    m: *const f32,
    output: *mut f32,
    columns: usize,
    geometry: Geometry,
    first: usize,
    n: usize,
    cout: usize,
    from: usize,
    bias: *const f32,
    act: Act,
) {
    let Geometry { h, w, tiles_x } = geometry;
    for t in 0..n {
        let (ty, tx) = ((first + t) / tiles_x, (first + t) % tiles_x);
        let (rows, cols) = ((h - 4 * ty).min(4), (w - 4 * tx).min(4));
        let mut c = 0;
        while c < columns && from + c < cout {
            // SAFETY: m holds n x columns per place; only pixels and channels of the output are written.
            unsafe {
                let mut half = [[S::splat(0.0); 6]; 4];
                for x in 0..6 {
                    let mut column = [S::splat(0.0); 6];
                    for (y, d) in column.iter_mut().enumerate() {
                        *d = S::load(m.add(((6 * y + x) * n + t) * columns + c));
                    }
                    for (y, d) in a_rows::<S>(column).into_iter().enumerate() {
                        half[y][x] = d;
                    }
                }
                let b = if bias.is_null() { S::splat(0.0) } else { S::load(bias.add(c)) };
                let lanes = (cout - from - c).min(S::N);
                for (y, row) in half.into_iter().enumerate().take(rows) {
                    for (x, d) in a_rows::<S>(row).into_iter().enumerate().take(cols) {
                        let d = activate::<S>(S::add(d, b), act);
                        let out = output.add(((4 * ty + y) * w + 4 * tx + x) * cout + from + c);
                        if lanes == S::N {
                            S::store(out, d);
                        } else {
                            let mut whole = [0.0f32; 16];
                            S::store(whole.as_mut_ptr(), d);
                            std::ptr::copy_nonoverlapping(whole.as_ptr(), out, lanes);
                        }
                    }
                }
            }
            c += S::N;
        }
    }
}
