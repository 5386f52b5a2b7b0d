//! Random numbers that depend on what they are for alone: a step's data follow from seed and step, so that a run that
//! is resumed has no state of a generator to restore, and a figure that draws comes out the same each time.

/// SplitMix64, <https://doi.org/10.1145/2714064.2660195>.
#[derive(Debug, Clone)]
pub struct Rng(pub u64);

impl Rng {
    /// The numbers that belong to `parts`, such as a seed, a purpose and a step.
    pub fn from_parts(parts: &[u64]) -> Rng {
        let mut rng = Rng(0);
        for part in parts {
            rng.0 ^= *part;
            rng.0 = rng.next_u64();
        }
        rng
    }

    /// The next number.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 up to 1, without 1.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform in -1..1.
    pub fn signed(&mut self) -> f32 {
        (self.next_u64() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// `n` values, uniform in -1..1.
    pub fn vec(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.signed()).collect()
    }

    /// Uniform from `-reach` to `reach`.
    pub fn within(&mut self, reach: f64) -> f64 {
        reach * (2.0 * self.unit() - 1.0)
    }

    /// 0 up to `n`, without `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        ((self.unit() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// The items in random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}
