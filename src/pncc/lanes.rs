//! Four floats, and pixel boxes of four 16-bit lanes (`first x, first y, -last x, -last y`), in plain Rust: for
//! processors other than x86-64, and the truth that the ones for x86-64 are tested against.

/// Four floats.
#[derive(Clone, Copy)]
pub struct F4([f32; 4]);

impl F4 {
    pub fn new(v: [f32; 4]) -> F4 {
        F4(v)
    }

    pub fn splat(v: f32) -> F4 {
        F4([v; 4])
    }

    pub fn array(self) -> [f32; 4] {
        self.0
    }

    /// A bit for each lane that is above 0.
    pub fn positive(self) -> u32 {
        (0..4).fold(0, |bits, l| bits | u32::from(self.0[l] > 0.0) << l)
    }

    /// `1 / v`, and 0 for 0.
    pub fn inverse_or_zero(self) -> F4 {
        F4(self.0.map(|v| if v == 0.0 { 0.0 } else { 1.0 / v }))
    }
}

macro_rules! operators {
    ($($name:ident $method:ident),*) => { $(
        impl std::ops::$name for F4 {
            type Output = F4;
            fn $method(self, o: F4) -> F4 {
                F4(std::array::from_fn(|l| std::ops::$name::$method(self.0[l], o.0[l])))
            }
        }
    )* };
}
operators!(Add add, Sub sub, Mul mul);

pub fn min(a: [i16; 4], b: [i16; 4]) -> [i16; 4] {
    std::array::from_fn(|c| a[c].min(b[c]))
}

pub fn max(a: [i16; 4], b: [i16; 4]) -> [i16; 4] {
    std::array::from_fn(|c| a[c].max(b[c]))
}

/// Whether first <= last in both directions.
pub fn spans_pixels(r: [i16; 4]) -> bool {
    (r[0] + r[2] <= 0) & (r[1] + r[3] <= 0)
}

/// `ceil(v)` clamped to `low..=high` (within 16 bits); NaN becomes `low`.
pub fn ceil_within(v: [f32; 4], low: [f32; 4], high: [f32; 4]) -> [i16; 4] {
    std::array::from_fn(|c| v[c].max(low[c]).min(high[c]).ceil() as i16)
}
