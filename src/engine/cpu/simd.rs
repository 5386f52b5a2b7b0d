//! Vectors of f32 for the kernels, and the choice of instruction set at run time.
//!
//! Every kernel is one generic function over [`Simd`], marked `#[inline(always)]`, and [`dispatch!`] instantiates it
//! inside functions compiled for AVX-512, AVX2 and the build's baseline.

use crate::engine::ops::Act;
use std::sync::OnceLock;

/// One instruction set. All functions are unsafe because they may only run where the set exists.
pub trait Simd: Copy + Send + Sync + 'static {
    type V: Copy;
    /// Values in a vector.
    const N: usize;
    /// # Safety
    /// The instruction set must exist; `p` must be readable for `N` values.
    unsafe fn load(p: *const f32) -> Self::V;
    /// # Safety
    /// The instruction set must exist; `p` must be writable for `N` values.
    unsafe fn store(p: *mut f32, v: Self::V);
    /// The first `n` values, at most `N`; zeros in place of the others.
    /// # Safety
    /// The instruction set must exist; `p` must be readable for `n` values.
    unsafe fn load_some(p: *const f32, n: usize) -> Self::V;
    /// Stores the first `n` lanes, at most `N`.
    /// # Safety
    /// The instruction set must exist; `p` must be writable for `n` values.
    unsafe fn store_some(p: *mut f32, v: Self::V, n: usize);
    /// # Safety
    /// The instruction set must exist (so for the functions below).
    unsafe fn splat(x: f32) -> Self::V;
    /// `a * b + c`
    /// # Safety
    /// See [`Simd::splat`].
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// # Safety
    /// See [`Simd::splat`].
    unsafe fn add(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// See [`Simd::splat`].
    unsafe fn sub(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// See [`Simd::splat`].
    unsafe fn mul(a: Self::V, b: Self::V) -> Self::V;
    /// # Safety
    /// See [`Simd::splat`].
    unsafe fn max(a: Self::V, b: Self::V) -> Self::V;
    /// Sum of the lanes.
    /// # Safety
    /// See [`Simd::splat`].
    unsafe fn sum(a: Self::V) -> f32;
}

/// The activation of a vector.
///
/// # Safety
/// See [`Simd::splat`].
#[inline(always)]
pub unsafe fn activate<S: Simd>(v: S::V, act: Act) -> S::V {
    // SAFETY: arithmetic only; the caller runs where the instruction set exists.
    unsafe {
        match act {
            Act::None => v,
            Act::Relu => S::max(v, S::splat(0.0)),
            Act::Leaky(slope) => S::max(v, S::mul(v, S::splat(slope))),
        }
    }
}

/// Plain arrays; whatever the compiler makes of them.
#[derive(Clone, Copy)]
pub struct Portable;

impl Simd for Portable {
    type V = [f32; 8];
    const N: usize = 8;
    #[inline(always)]
    unsafe fn load(p: *const f32) -> [f32; 8] {
        // SAFETY: the caller promises 8 readable values.
        unsafe { p.cast::<[f32; 8]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(p: *mut f32, v: [f32; 8]) {
        // SAFETY: the caller promises 8 writable values.
        unsafe { p.cast::<[f32; 8]>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn load_some(p: *const f32, n: usize) -> [f32; 8] {
        // SAFETY: the caller promises `n` readable values.
        std::array::from_fn(|i| if i < n { unsafe { *p.add(i) } } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn store_some(p: *mut f32, v: [f32; 8], n: usize) {
        for (i, v) in v.into_iter().enumerate().take(n) {
            // SAFETY: the caller promises `n` writable values.
            unsafe { *p.add(i) = v };
        }
    }
    #[inline(always)]
    unsafe fn splat(x: f32) -> [f32; 8] {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    unsafe fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    unsafe fn mul(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    unsafe fn max(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    unsafe fn sum(a: [f32; 8]) -> f32 {
        a.iter().sum()
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    /// All bits of the first `n` of eight lanes.
    ///
    /// # Safety
    /// The instruction set must exist; `n` is 8 at most.
    #[inline(always)]
    unsafe fn first(n: usize) -> __m256i {
        const LANES: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
        // SAFETY: eight numbers from 8 - n on.
        unsafe { _mm256_loadu_si256(LANES.as_ptr().add(8 - n).cast()) }
    }

    /// # Safety
    /// As [`Simd::load_some`].
    #[inline(always)]
    unsafe fn load_some_256(p: *const f32, n: usize) -> __m256 {
        // SAFETY: as the trait asks of the caller.
        unsafe { _mm256_maskload_ps(p, first(n)) }
    }

    /// # Safety
    /// As [`Simd::store_some`].
    #[inline(always)]
    unsafe fn store_some_256(p: *mut f32, v: __m256, n: usize) {
        // SAFETY: as the trait asks of the caller.
        unsafe { _mm256_maskstore_ps(p, first(n), v) }
    }

    /// # Safety
    /// As [`Simd::load_some`].
    #[inline(always)]
    unsafe fn load_some_512(p: *const f32, n: usize) -> __m512 {
        // SAFETY: as the trait asks of the caller.
        unsafe { _mm512_maskz_loadu_ps(((1u32 << n) - 1) as __mmask16, p) }
    }

    /// # Safety
    /// As [`Simd::store_some`].
    #[inline(always)]
    unsafe fn store_some_512(p: *mut f32, v: __m512, n: usize) {
        // SAFETY: as the trait asks of the caller.
        unsafe { _mm512_mask_storeu_ps(p, ((1u32 << n) - 1) as __mmask16, v) }
    }

    macro_rules! vector {
        ($name:ident, $v:ty, $n:expr, $load:ident, $store:ident, $load_some:ident, $store_some:ident, $set1:ident, $fma:ident,
         $add:ident, $sub:ident, $mul:ident, $max:ident) => {
            #[derive(Clone, Copy)]
            pub struct $name;
            // SAFETY (of every body): the caller promises the instruction set and the memory.
            impl Simd for $name {
                type V = $v;
                const N: usize = $n;
                #[inline(always)]
                unsafe fn load(p: *const f32) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $load(p) }
                }
                #[inline(always)]
                unsafe fn store(p: *mut f32, v: $v) {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $store(p, v) }
                }
                #[inline(always)]
                unsafe fn load_some(p: *const f32, n: usize) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $load_some(p, n) }
                }
                #[inline(always)]
                unsafe fn store_some(p: *mut f32, v: $v, n: usize) {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $store_some(p, v, n) }
                }
                #[inline(always)]
                unsafe fn splat(x: f32) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $set1(x) }
                }
                #[inline(always)]
                unsafe fn fma(a: $v, b: $v, c: $v) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $fma(a, b, c) }
                }
                #[inline(always)]
                unsafe fn add(a: $v, b: $v) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $add(a, b) }
                }
                #[inline(always)]
                unsafe fn sub(a: $v, b: $v) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $sub(a, b) }
                }
                #[inline(always)]
                unsafe fn mul(a: $v, b: $v) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $mul(a, b) }
                }
                #[inline(always)]
                unsafe fn max(a: $v, b: $v) -> $v {
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $max(a, b) }
                }
                #[inline(always)]
                unsafe fn sum(a: $v) -> f32 {
                    let mut lanes = [0.0; $n];
                    // SAFETY: as the trait asks of the caller.
                    unsafe { $store(lanes.as_mut_ptr(), a) };
                    lanes.iter().sum()
                }
            }
        };
    }

    vector!(
        Avx2,
        __m256,
        8,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        load_some_256,
        store_some_256,
        _mm256_set1_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        _mm256_max_ps
    );
    vector!(
        Avx512,
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        load_some_512,
        store_some_512,
        _mm512_set1_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        _mm512_max_ps
    );
}
#[cfg(target_arch = "x86_64")]
pub use x86::{Avx2, Avx512};

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Portable,
    Avx2,
    Avx512,
}

impl Level {
    /// Values in a vector.
    pub fn lanes(self) -> usize {
        if self == Level::Avx512 { 16 } else { 8 }
    }

    /// This level, or AVX2 where a row of `channels` would leave half of each AVX-512 vector empty.
    pub fn for_channels(self, channels: usize) -> Level {
        if self == Level::Avx512 && channels <= 8 { Level::Avx2 } else { self }
    }
}

/// The best level of this processor.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
            {
                return Level::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Level::Avx2;
            }
        }
        Level::Portable
    })
}

/// `dispatch!(level, kernel(a: A, b: B))` calls `kernel::<S>(a, b)` compiled for that level.
macro_rules! dispatch {
    ($level:expr, $kernel:ident $(::<$($g:tt),*>)? ($($arg:ident : $ty:ty),* $(,)?)) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
        #[allow(clippy::too_many_arguments)]
        unsafe fn avx512($($arg: $ty),*) {
            // SAFETY: the kernel asks nothing more of its caller than this function does.
            unsafe { $kernel::<$crate::engine::cpu::simd::Avx512 $($(, $g)*)?>($($arg),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        #[allow(clippy::too_many_arguments)]
        unsafe fn avx2($($arg: $ty),*) {
            // SAFETY: the kernel asks nothing more of its caller than this function does.
            unsafe { $kernel::<$crate::engine::cpu::simd::Avx2 $($(, $g)*)?>($($arg),*) }
        }
        // SAFETY: `level()` found the instruction set on this processor; the kernel's own demands are the caller's.
        unsafe {
            match $level {
                #[cfg(target_arch = "x86_64")]
                $crate::engine::cpu::simd::Level::Avx512 => avx512($($arg),*),
                #[cfg(target_arch = "x86_64")]
                $crate::engine::cpu::simd::Level::Avx2 => avx2($($arg),*),
                _ => $kernel::<$crate::engine::cpu::simd::Portable $($(, $g)*)?>($($arg),*),
            }
        }
    }};
}
pub(crate) use dispatch;
