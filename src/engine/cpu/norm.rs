//! Instance normalisation with what follows it (affine or modulation, activation) in one pass over the picture.

use super::simd::{Level, Simd, activate, dispatch};
use super::threads::{SendPtr, Threads};
use crate::engine::ops::Act;

/// What the normalised values are multiplied with and added to.
#[derive(Clone, Copy)]
pub enum Modulation<'a> {
    None,
    /// Scale and offset per channel: `v * scale[c] + offset[c]`.
    Channel(&'a [f32], &'a [f32]),
    /// `[gamma | beta]` of 2c channels per pixel: `v * (1 + gamma) + beta`.
    Pixel(&'a [f32]),
}

/// `out = act(modulate((x - mean) / sqrt(var + 1e-5)))` of one NHWC image with `c` channels.
pub fn normalise(
    level: Level,
    x: &[f32],
    c: usize,
    modulation: Modulation,
    act: Act,
    out: &mut [f32],
    threads: &Threads,
) {
    let pixels = x.len() / c;
    let (scale, offset) = statistics(level, x, c, threads);
    // Folded into one multiplication and one addition: v = x * scale + offset.
    let (mut scale, mut offset) = (scale, offset);
    if let Modulation::Channel(g, b) = modulation {
        for i in 0..c {
            scale[i] *= g[i];
            offset[i] = offset[i] * g[i] + b[i];
        }
    }
    let gamma_beta = match modulation {
        Modulation::Pixel(gb) => gb.as_ptr() as usize,
        _ => 0,
    };
    let (x, out) = (x.as_ptr() as usize, SendPtr(out.as_mut_ptr()));
    let (scale, offset) = (scale.as_ptr() as usize, offset.as_ptr() as usize);
    let part = (pixels / (4 * threads.count())).max(256);
    threads.run(pixels.div_ceil(part), |i| {
        let from = i * part;
        let n = part.min(pixels - from);
        let (scale, offset, gamma_beta) = (scale as *const f32, offset as *const f32, gamma_beta as *const f32);
        // SAFETY: pixels from .. from + n of every buffer; other tasks write other pixels.
        let (x, out) = unsafe { ((x as *const f32).add(from * c), out.get().add(from * c)) };
        // SAFETY: where it is not null it has two values for each value of x.
        let gamma_beta = if gamma_beta.is_null() { gamma_beta } else { unsafe { gamma_beta.add(2 * from * c) } };
        dispatch!(
            level,
            apply_kernel(
                x: *const f32, n: usize, c: usize, scale: *const f32, offset: *const f32, gamma_beta: *const f32,
                act: Act, out: *mut f32,
            )
        );
    });
}

/// `1 / sqrt(var + 1e-5)` and `-mean / sqrt(var + 1e-5)` per channel.
fn statistics(level: Level, x: &[f32], c: usize, threads: &Threads) -> (Vec<f32>, Vec<f32>) {
    let pixels = x.len() / c;
    /// Pixels whose sums are kept in f32 before they go into f64.
    const PART: usize = 512;
    let parts = pixels.div_ceil(PART);
    let mut sums = vec![0.0f32; parts * 2 * c];
    {
        let sums = SendPtr(sums.as_mut_ptr());
        threads.run(parts, |i| {
            let part = &x[i * PART * c..x.len().min((i + 1) * PART * c)];
            let (n, part, first) = (part.len() / c, part.as_ptr(), x.as_ptr());
            // SAFETY: each part has its own sums.
            let out = unsafe { sums.get().add(i * 2 * c) };
            dispatch!(
                level,
                sums_kernel(part: *const f32, n: usize, c: usize, first: *const f32, out: *mut f32)
            );
        });
    }
    let mut scale = vec![0.0; c];
    let mut offset = vec![0.0; c];
    for i in 0..c {
        let (mut sum, mut square) = (0.0f64, 0.0f64);
        for part in sums.chunks_exact(2 * c) {
            sum += f64::from(part[i]);
            square += f64::from(part[c + i]);
        }
        let mean = sum / pixels as f64;
        let var = (square / pixels as f64 - mean * mean).max(0.0);
        let s = 1.0 / (var + 1e-5).sqrt();
        scale[i] = s as f32;
        offset[i] = (-(mean + f64::from(x[i])) * s) as f32;
    }
    (scale, offset)
}

/// Sums of `x - first pixel` and of its square, per channel: the shift keeps the digits when the mean is large.
#[inline(always)]
unsafe fn sums_kernel<S: Simd>(x: *const f32, n: usize, c: usize, first: *const f32, out: *mut f32) {
    let mut i = 0;
    // SAFETY: n pixels of c channels; `out` has 2c values.
    unsafe {
        while i + S::N <= c {
            let shift = S::load(first.add(i));
            let (mut s0, mut s1) = (S::splat(0.0), S::splat(0.0));
            let (mut q0, mut q1) = (S::splat(0.0), S::splat(0.0));
            let mut p = 0;
            while p + 2 <= n {
                let a = S::sub(S::load(x.add(p * c + i)), shift);
                let b = S::sub(S::load(x.add((p + 1) * c + i)), shift);
                s0 = S::add(s0, a);
                s1 = S::add(s1, b);
                q0 = S::fma(a, a, q0);
                q1 = S::fma(b, b, q1);
                p += 2;
            }
            if p < n {
                let a = S::sub(S::load(x.add(p * c + i)), shift);
                s0 = S::add(s0, a);
                q0 = S::fma(a, a, q0);
            }
            S::store(out.add(i), S::add(s0, s1));
            S::store(out.add(c + i), S::add(q0, q1));
            i += S::N;
        }
        while i < c {
            let shift = *first.add(i);
            let (mut s, mut q) = (0.0, 0.0);
            for p in 0..n {
                let v = *x.add(p * c + i) - shift;
                s += v;
                q += v * v;
            }
            *out.add(i) = s;
            *out.add(c + i) = q;
            i += 1;
        }
    }
}

#[inline(always)]
#[allow(clippy::too_many_arguments)]
unsafe fn apply_kernel<S: Simd>(
    x: *const f32,
    n: usize,
    c: usize,
    scale: *const f32,
    offset: *const f32,
    gamma_beta: *const f32,
    act: Act,
    out: *mut f32,
) {
    // SAFETY: n pixels of c channels (2c of gamma_beta).
    unsafe {
        for p in 0..n {
            let (x, out, gb) = (x.add(p * c), out.add(p * c), gamma_beta.wrapping_add(2 * p * c));
            let mut i = 0;
            while i + S::N <= c {
                let mut v = S::fma(S::load(x.add(i)), S::load(scale.add(i)), S::load(offset.add(i)));
                if !gamma_beta.is_null() {
                    v = S::add(S::fma(v, S::load(gb.add(i)), v), S::load(gb.add(c + i)));
                }
                S::store(out.add(i), activate::<S>(v, act));
                i += S::N;
            }
            while i < c {
                let mut v = *x.add(i) * *scale.add(i) + *offset.add(i);
                if !gamma_beta.is_null() {
                    v += v * *gb.add(i) + *gb.add(c + i);
                }
                *out.add(i) = crate::engine::plain::activate(v, act);
                i += 1;
            }
        }
    }
}
