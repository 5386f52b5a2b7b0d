//! Small pictures that are read between their pixels.

use crate::reenact::draft::sample::mix;

/// Colours on a grid over the unit square.
#[derive(Debug, Clone)]
pub(super) struct Texture {
    width: usize,
    height: usize,
    colours: Vec<[f32; 4]>,
}

impl Texture {
    /// Rows of colours; both sides at least 2.
    pub fn new(width: usize, height: usize, colours: Vec<[f32; 4]>) -> Texture {
        debug_assert!(width >= 2 && height >= 2 && colours.len() == width * height);
        Texture { width, height, colours }
    }

    /// Bilinear, continued by its border. The first and last pixels lie on the border of the square.
    #[inline]
    pub fn read(&self, at: [f32; 2]) -> [f32; 4] {
        let (w, h) = (self.width - 1, self.height - 1);
        let x = (at[0] * w as f32).clamp(0.0, w as f32);
        let y = (at[1] * h as f32).clamp(0.0, h as f32);
        let (ix, iy) = ((x as usize).min(w - 1), (y as usize).min(h - 1));
        let (fx, fy) = (x - ix as f32, y - iy as f32);
        let row = |j: usize| {
            let i = (iy + j) * self.width + ix;
            mix(self.colours[i], self.colours[i + 1], fx)
        };
        mix(row(0), row(1), fy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_texture_is_exact_at_its_pixels_and_linear_between() {
        let c = |v: f32| [v, 2.0 * v, 0.0, 1.0];
        let t = Texture::new(3, 2, vec![c(0.0), c(1.0), c(2.0), c(4.0), c(5.0), c(6.0)]);
        assert_eq!(t.read([0.5, 0.0]), c(1.0));
        assert_eq!(t.read([1.0, 1.0]), c(6.0));
        assert_eq!(t.read([0.25, 0.5]), c(2.5));
        assert_eq!(t.read([-3.0, 9.0]), c(4.0));
    }
}
