//! Convolutions that are no large matrix product: depthwise ones, and those with very few output channels.

use super::gemm::Rows;
use super::simd::{Level, Simd, activate, dispatch};
use crate::engine::ops::Act;

/// One row of a depthwise 3x3 convolution: `out[x][c] = act(bias[c] + sum weights[tap][c] * in[..][c])`.
///
/// `rows` are the three input rows (zeros where the picture ends) of `w` pixels; columns outside count as zero.
///
/// # Safety
/// Every row must be readable for `w * c` values, `out` writable for `ow * c`; `c` is a multiple of the level's lanes.
#[allow(clippy::too_many_arguments)]
pub unsafe fn depthwise_row(
    level: Level,
    rows: [*const f32; 3],
    w: usize,
    c: usize,
    stride: usize,
    pad: usize,
    weights: *const f32,
    bias: *const f32,
    act: Act,
    out: *mut f32,
    ow: usize,
) {
    dispatch!(
        level,
        depthwise_kernel(
            rows: [*const f32; 3], w: usize, c: usize, stride: usize, pad: usize, weights: *const f32,
            bias: *const f32, act: Act, out: *mut f32, ow: usize,
        )
    );
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn depthwise_kernel<S: Simd>(
    rows: [*const f32; 3],
    w: usize,
    c: usize,
    stride: usize,
    pad: usize,
    weights: *const f32,
    bias: *const f32,
    act: Act,
    out: *mut f32,
    ow: usize,
) {
    let mut i = 0;
    while i < c {
        // SAFETY: see `depthwise_row`.
        unsafe {
            let mut k = [S::splat(0.0); 9];
            for (tap, k) in k.iter_mut().enumerate() {
                *k = S::load(weights.add(tap * c + i));
            }
            let b = S::load(bias.add(i));
            for x in 0..ow {
                let x0 = (x * stride) as isize - pad as isize;
                // Three sums, so that no addition waits for the one before.
                let mut sums = [b, S::splat(0.0), S::splat(0.0)];
                if x0 >= 0 && x0 + 3 <= w as isize {
                    for (y, row) in rows.iter().enumerate() {
                        let p = row.add(x0 as usize * c + i);
                        for dx in 0..3 {
                            sums[y] = S::fma(S::load(p.add(dx * c)), k[3 * y + dx], sums[y]);
                        }
                    }
                } else {
                    for (y, row) in rows.iter().enumerate() {
                        for dx in 0..3 {
                            let sx = x0 + dx as isize;
                            if sx >= 0 && sx < w as isize {
                                sums[y] = S::fma(S::load(row.add(sx as usize * c + i)), k[3 * y + dx], sums[y]);
                            }
                        }
                    }
                }
                let v = S::add(S::add(sums[0], sums[1]), sums[2]);
                S::store(out.add(x * c + i), activate::<S>(v, act));
            }
        }
        i += S::N;
    }
}

/// Rows times at most four columns, as dot products: `out[r][o] = act(bias[o] + rows[r] . weights[o])`.
///
/// `weights` is `[o][runs * len]`; the picture is read as [`multiply`](super::gemm::multiply) reads it.
///
/// # Safety
/// As for [`multiply`](super::gemm::multiply).
#[allow(clippy::too_many_arguments)]
pub unsafe fn few(
    level: Level,
    a: *const f32,
    rows: Rows,
    count: usize,
    weights: &[f32],
    bias: &[f32],
    columns: usize,
    act: Act,
    out: *mut f32,
) {
    dispatch!(
        level,
        few_kernel(
            a: *const f32, rows: Rows, count: usize, weights: &[f32], bias: &[f32], columns: usize, act: Act,
            out: *mut f32,
        )
    );
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn few_kernel<S: Simd>(
    a: *const f32,
    rows: Rows,
    count: usize,
    weights: &[f32],
    bias: &[f32],
    columns: usize,
    act: Act,
    out: *mut f32,
) {
    let k = rows.runs * rows.len;
    for o in 0..columns {
        let w = weights[o * k..(o + 1) * k].as_ptr();
        let b = bias.get(o).copied().unwrap_or(0.0);
        let mut r = 0;
        // SAFETY: rows r .. r + R exist. Each row's sum is taken in the same order in both forms.
        unsafe {
            while r + 6 <= count {
                dots::<S, 6>(a.add(r * rows.row_step), rows, w, b, act, out.add(r * columns + o), columns);
                r += 6;
            }
            while r < count {
                dots::<S, 1>(a.add(r * rows.row_step), rows, w, b, act, out.add(r * columns + o), columns);
                r += 1;
            }
        }
    }
}

/// `R` rows times one column: each weight is loaded once for all of them.
///
/// # Safety
/// As for [`few`].
#[inline(always)]
unsafe fn dots<S: Simd, const R: usize>(
    a: *const f32,
    rows: Rows,
    w: *const f32,
    bias: f32,
    act: Act,
    out: *mut f32,
    out_step: usize,
) {
    let whole = rows.len / S::N * S::N;
    // SAFETY: R rows of `runs` pieces; one value of `out` per row.
    unsafe {
        let mut acc = [S::splat(0.0); R];
        let mut rest = [0.0f32; R];
        for run in 0..rows.runs {
            let a = a.add(run * rows.run_step);
            let w = w.add(run * rows.len);
            let mut l = 0;
            while l < whole {
                let k = S::load(w.add(l));
                for (i, acc) in acc.iter_mut().enumerate() {
                    *acc = S::fma(S::load(a.add(i * rows.row_step + l)), k, *acc);
                }
                l += S::N;
            }
            while l < rows.len {
                for (i, rest) in rest.iter_mut().enumerate() {
                    *rest += *a.add(i * rows.row_step + l) * *w.add(l);
                }
                l += 1;
            }
        }
        for i in 0..R {
            let v = S::sum(acc[i]) + rest[i] + bias;
            *out.add(i * out_step) = crate::engine::plain::activate(v, act);
        }
    }
}
