//! Values that begin at a cache line. A vector of AVX-512 that lies across two lines takes two loads.

use std::ops::{Deref, DerefMut};

/// Values in a cache line.
const LINE: usize = 16;

/// Values that begin at a cache line.
#[derive(Debug, Default)]
pub struct Aligned {
    /// A line longer than what is used.
    data: Vec<f32>,
    start: usize,
}

impl Aligned {
    /// So many zeros.
    pub fn zeros(len: usize) -> Aligned {
        if len == 0 {
            return Aligned::default();
        }
        let data = vec![0.0; len + LINE];
        let start = data.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        Aligned { data, start }
    }
}

impl From<&[f32]> for Aligned {
    fn from(values: &[f32]) -> Aligned {
        let mut aligned = Aligned::zeros(values.len());
        aligned.copy_from_slice(values);
        aligned
    }
}

impl Deref for Aligned {
    type Target = [f32];
    #[inline]
    fn deref(&self) -> &[f32] {
        let len = self.data.len().saturating_sub(LINE);
        &self.data[self.start..self.start + len]
    }
}

impl DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f32] {
        let len = self.data.len().saturating_sub(LINE);
        &mut self.data[self.start..self.start + len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_begin_at_a_line() {
        for len in [0, 1, 15, 16, 17, 1000] {
            let values: Vec<f32> = (0..len).map(|v| v as f32).collect();
            let aligned = Aligned::from(&values[..]);
            assert_eq!(*aligned, *values);
            assert!(len == 0 || (aligned.as_ptr() as usize).is_multiple_of(64), "{len}");
        }
    }
}
