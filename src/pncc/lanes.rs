//! What the rasteriser does to four values at once and `wide` has no word for: pixel boxes of four 16-bit lanes
//! (`first x, first y, -last x, -last y`), and tests of four floats. The compiler does not find these by itself, and the
//! rasteriser does little else for most triangles. What knows of triangles does not belong here.

use wide::{f32x4, i16x8, i32x4, u64x2};

/// A box in the lower half of a register.
#[inline(always)]
fn load(v: [i16; 4]) -> i16x8 {
    bytemuck::cast([v, [0; 4]])
}

#[inline(always)]
fn store(v: i16x8) -> [i16; 4] {
    let [lower, _]: [[i16; 4]; 2] = bytemuck::cast(v);
    lower
}

#[inline(always)]
pub fn min(a: [i16; 4], b: [i16; 4]) -> [i16; 4] {
    store(load(a).min(load(b)))
}

#[inline(always)]
pub fn max(a: [i16; 4], b: [i16; 4]) -> [i16; 4] {
    store(load(a).max(load(b)))
}

/// Whether first <= last in both directions.
#[inline(always)]
pub fn spans_pixels(r: [i16; 4]) -> bool {
    let r = load(r);
    let both: u64x2 = bytemuck::cast(r);
    let swapped: i16x8 = bytemuck::cast((both << 32) | (both >> 32));
    let [empty, ..]: [u32; 4] = bytemuck::cast((r + swapped).simd_gt(i16x8::splat(0)));
    empty == 0
}

/// `ceil(v)` clamped to `low..=high` (within 16 bits); NaN becomes `low`.
#[inline(always)]
pub fn ceil_within(v: [f32; 4], low: f32x4, high: f32x4) -> [i16; 4] {
    // max takes `low` for NaN; what it gives is none, so the faster min will do.
    let v = f32x4::new(v).max(low).fast_min(high);
    let truncated = v.fast_trunc_int();
    // A comparison that holds is -1.
    let up: i32x4 = bytemuck::cast(truncated.round_float().simd_lt(v));
    let rounded = truncated - up;
    store(i16x8::from_i32x8_saturate(bytemuck::cast([rounded, rounded])))
}

/// A bit for each lane that is above 0.
#[inline(always)]
pub fn positive(v: f32x4) -> u32 {
    v.simd_gt(f32x4::splat(0.0)).to_bitmask()
}

/// `1 / v`, and 0 for 0.
#[inline(always)]
pub fn inverse_or_zero(v: f32x4) -> f32x4 {
    v.simd_ne(f32x4::splat(0.0)) & (f32x4::splat(1.0) / v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Lane by lane, as plain Rust has it.
        #[test]
        fn lanes_equal_plain_ones(a: [i16; 4], b: [i16; 4], v in proptest::array::uniform4(proptest::num::f32::ANY), w in 0.0f32..32_000.0) {
            prop_assert_eq!(min(a, b), std::array::from_fn(|c| a[c].min(b[c])));
            prop_assert_eq!(max(a, b), std::array::from_fn(|c| a[c].max(b[c])));
            let r = a.map(|v| v / 2);
            prop_assert_eq!(spans_pixels(r), r[0] + r[2] <= 0 && r[1] + r[3] <= 0);
            for v in [v, v.map(|x| (x % 3.0).round())] {
                prop_assert_eq!(positive(v.into()), (0..4).map(|l| u32::from(v[l] > 0.0) << l).sum::<u32>());
                let inverse = inverse_or_zero(v.into()).to_array();
                for (v, inverse) in v.into_iter().zip(inverse).filter(|(v, _)| !v.is_nan()) {
                    prop_assert_eq!(inverse.to_bits(), if v == 0.0 { 0.0 } else { 1.0 / v }.to_bits());
                }
            }
            let w = w.round();
            for v in [v, v.map(|x| x % 300.0), v.map(|x| (x % 300.0).round())] {
                let (low, high) = ([0.0, 0.0, 1.0 - w, 1.0 - w], [w, w, 1.0, 1.0]);
                let plain: [i16; 4] = std::array::from_fn(|c| v[c].max(low[c]).min(high[c]).ceil() as i16);
                prop_assert_eq!(ceil_within(v, low.into(), high.into()), plain);
            }
        }
    }
}
