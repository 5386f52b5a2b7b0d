//! Convolutions that are no large matrix product: depthwise ones, and those with very few output channels.

use super::gemm::Rows;
use super::simd::{Level, Simd, activate, dispatch};
use crate::engine::ops::Act;

/// One row of a depthwise convolution: `out[x][c] = act(bias[c] + sum weights[tap][c] * in[..][c])`.
macro_rules! depthwise_row {
    ($name:ident, $kernel:ident, $k:literal) => {
        /// `rows` are the input rows (zeros where the picture ends) of `w` pixels; columns outside count as zero.
        ///
        /// # Safety
        /// Every row must be readable for `w * c` values, `out` writable for `ow * c`; `c` is no less than the level's lanes.
        #[allow(clippy::too_many_arguments)]
        pub unsafe fn $name(
            level: Level,
            rows: [*const f32; $k],
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
                $kernel(
                    rows: [*const f32; $k], w: usize, c: usize, stride: usize, pad: usize, weights: *const f32,
                    bias: *const f32, act: Act, out: *mut f32, ow: usize,
                )
            );
        }

        #[inline(always)]
        #[allow(clippy::too_many_arguments)]
        unsafe fn $kernel<S: Simd>(
            rows: [*const f32; $k],
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
            let mut next = 0;
            while next < c {
                // The last vector takes in some channels of the one before, which come out the same.
                let i = next.min(c - S::N);
                next += S::N;
                // SAFETY: as this function asks of its caller.
                unsafe {
                    let mut k = [S::splat(0.0); $k * $k];
                    for (tap, k) in k.iter_mut().enumerate() {
                        *k = S::load(weights.add(tap * c + i));
                    }
                    let b = S::load(bias.add(i));
                    let mut x = 0;
                    while x < ow {
                        let x0 = (x * stride) as isize - pad as isize;
                        if stride == 1 && x0 >= 0 && x0 + 3 + $k <= w as isize && x + 4 <= ow {
                            // Four pixels, whose windows overlap: each value is loaded once for all of them. The sums are
                            // those of one pixel at a time.
                            let mut all = [S::splat(0.0); 4];
                            for (y, row) in rows.iter().enumerate() {
                                let p = row.add(x0 as usize * c + i);
                                let mut sums = [if y == 0 { b } else { S::splat(0.0) }; 4];
                                for column in 0..$k + 3 {
                                    let v = S::load(p.add(column * c));
                                    for (j, sum) in sums.iter_mut().enumerate() {
                                        if column >= j && column - j < $k {
                                            *sum = S::fma(v, k[$k * y + column - j], *sum);
                                        }
                                    }
                                }
                                for (all, sum) in all.iter_mut().zip(sums) {
                                    *all = if y == 0 { sum } else { S::add(*all, sum) };
                                }
                            }
                            for (j, v) in all.into_iter().enumerate() {
                                S::store(out.add((x + j) * c + i), activate::<S>(v, act));
                            }
                            x += 4;
                            continue;
                        }
                        // A sum for each row, so that not every addition waits for the one before.
                        let mut sums = [S::splat(0.0); $k];
                        sums[0] = b;
                        if x0 >= 0 && x0 + $k <= w as isize {
                            for (y, row) in rows.iter().enumerate() {
                                let p = row.add(x0 as usize * c + i);
                                for dx in 0..$k {
                                    sums[y] = S::fma(S::load(p.add(dx * c)), k[$k * y + dx], sums[y]);
                                }
                            }
                        } else {
                            for (y, row) in rows.iter().enumerate() {
                                for dx in 0..$k {
                                    let sx = x0 + dx as isize;
                                    if sx >= 0 && sx < w as isize {
                                        sums[y] = S::fma(S::load(row.add(sx as usize * c + i)), k[$k * y + dx], sums[y]);
                                    }
                                }
                            }
                        }
                        let mut v = sums[0];
                        for s in &sums[1..] {
                            v = S::add(v, *s);
                        }
                        S::store(out.add(x * c + i), activate::<S>(v, act));
                        x += 1;
                    }
                }
            }
        }
    };
}

depthwise_row!(depthwise_row3, depthwise_kernel3, 3);
depthwise_row!(depthwise_row5, depthwise_kernel5, 5);

/// `y = max(y, 0) + slopes[c] min(y, 0)` for `pixels` pixels of as many channels as there are slopes.
///
/// # Safety
/// `y` must be writable for all of them, and no other thread may touch them.
pub unsafe fn prelu(level: Level, y: *mut f32, pixels: usize, slopes: &[f32]) {
    dispatch!(level, prelu_kernel(y: *mut f32, pixels: usize, slopes: &[f32],));
}

#[inline(always)]
unsafe fn prelu_kernel<S: Simd>(y: *mut f32, pixels: usize, slopes: &[f32]) {
    let c = slopes.len();
    let whole = c / S::N * S::N;
    for p in 0..pixels {
        // SAFETY: pixel p, channel by channel.
        unsafe {
            let y = y.add(p * c);
            let mut i = 0;
            while i < whole {
                S::store(y.add(i), slope::<S>(S::load(y.add(i)), S::load(slopes.as_ptr().add(i))));
                i += S::N;
            }
            for (i, s) in slopes.iter().enumerate().skip(whole) {
                let v = *y.add(i);
                *y.add(i) = if v >= 0.0 { v } else { v * s };
            }
        }
    }
}

/// [`prelu`] of `a + b`.
///
/// # Safety
/// `a` and `b` are equally long, whole pixels of as many channels as there are slopes; `out` must be writable for as many values.
pub unsafe fn add_prelu(level: Level, a: &[f32], b: &[f32], slopes: &[f32], out: *mut f32) {
    dispatch!(level, add_prelu_kernel(a: &[f32], b: &[f32], slopes: &[f32], out: *mut f32,));
}

#[inline(always)]
unsafe fn add_prelu_kernel<S: Simd>(a: &[f32], b: &[f32], slopes: &[f32], out: *mut f32) {
    let c = slopes.len();
    let whole = c / S::N * S::N;
    for (p, (a, b)) in a.chunks_exact(c).zip(b.chunks_exact(c)).enumerate() {
        // SAFETY: pixel p, channel by channel.
        unsafe {
            let out = out.add(p * c);
            let mut i = 0;
            while i < whole {
                let sum = S::add(S::load(a.as_ptr().add(i)), S::load(b.as_ptr().add(i)));
                S::store(out.add(i), slope::<S>(sum, S::load(slopes.as_ptr().add(i))));
                i += S::N;
            }
            for i in whole..c {
                let v = a[i] + b[i];
                *out.add(i) = if v >= 0.0 { v } else { v * slopes[i] };
            }
        }
    }
}

/// `out = max(a + b, 0)` for `pixels` pixels: `a` of `ca` channels, zeros in place of those that it lacks, `b` and `out` of `cb`.
///
/// # Safety
/// All must be readable, or writable, for so many values.
pub unsafe fn add_relu(level: Level, a: *const f32, ca: usize, b: *const f32, cb: usize, pixels: usize, out: *mut f32) {
    // Of as many channels, a row is one long pixel.
    let (ca, cb, pixels) = if ca == cb { (pixels * ca, pixels * cb, 1) } else { (ca, cb, pixels) };
    dispatch!(
        level,
        add_relu_kernel(a: *const f32, ca: usize, b: *const f32, cb: usize, pixels: usize, out: *mut f32)
    );
}

#[inline(always)]
unsafe fn add_relu_kernel<S: Simd>(a: *const f32, ca: usize, b: *const f32, cb: usize, pixels: usize, out: *mut f32) {
    for p in 0..pixels {
        let mut i = 0;
        while i < cb {
            // SAFETY: pixel p, channels i .. i + n, of which `a` has the first.
            unsafe {
                let (a, b, out) = (a.add(p * ca + i.min(ca)), b.add(p * cb + i), out.add(p * cb + i));
                if i + S::N <= ca {
                    S::store(out, S::max(S::add(S::load(a), S::load(b)), S::splat(0.0)));
                } else {
                    let n = (cb - i).min(S::N);
                    let a = S::load_some(a, ca.saturating_sub(i).min(S::N));
                    S::store_some(out, S::max(S::add(a, S::load_some(b, n)), S::splat(0.0)), n);
                }
            }
            i += S::N;
        }
    }
}

/// One row of a maximum over windows: of the rows in `rows`, each of `w` pixels, and columns `stride` apart, `kernel` wide, the first
/// `pad` columns outside.
///
/// # Safety
/// Every row must be readable for `w * c` values, `out` writable for `ow * c`.
#[allow(clippy::too_many_arguments)]
pub unsafe fn max_row(
    level: Level,
    rows: &[*const f32],
    w: usize,
    c: usize,
    (kernel, stride, pad): (usize, usize, usize),
    out: *mut f32,
    ow: usize,
) {
    dispatch!(
        level,
        max_row_kernel(
            rows: &[*const f32], w: usize, c: usize, kernel: usize, stride: usize, pad: usize, out: *mut f32, ow: usize,
        )
    );
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn max_row_kernel<S: Simd>(
    rows: &[*const f32],
    w: usize,
    c: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
    out: *mut f32,
    ow: usize,
) {
    for ox in 0..ow {
        let columns = (ox * stride).saturating_sub(pad)..(ox * stride + kernel).saturating_sub(pad).min(w);
        for i in (0..c).step_by(S::N) {
            let n = (c - i).min(S::N);
            // SAFETY: channels i .. i + n of pixels that lie in the rows.
            unsafe {
                let mut most = S::splat(f32::NEG_INFINITY);
                for row in rows {
                    for x in columns.clone() {
                        let p = row.add(x * c + i);
                        let v = if n == S::N { S::load(p) } else { S::load_some(p, n) };
                        // What is not a number is passed over.
                        most = S::max(v, most);
                    }
                }
                S::store_some(out.add(ox * c + i), most, n);
            }
        }
    }
}

/// `max(v, 0) + slope (v - max(v, 0))`
///
/// # Safety
/// The instruction set must exist.
#[inline(always)]
unsafe fn slope<S: Simd>(v: S::V, slope: S::V) -> S::V {
    // SAFETY: arithmetic only.
    unsafe {
        let positive = S::max(v, S::splat(0.0));
        S::fma(slope, S::sub(v, positive), positive)
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
