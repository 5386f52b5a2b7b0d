//! A face as a unit vector, and how alike two of them are (CSIM).

/// A face's identity: a unit vector.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceEmbedding(pub Vec<f32>);

impl FaceEmbedding {
    /// Cosine similarity, -1..1. About 0 for two people, towards 1 for the same one.
    pub fn similarity(&self, other: &FaceEmbedding) -> f32 {
        cosine(&self.0, &other.0)
    }
}

/// Cosine of the angle between two vectors; 0 when one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { (dot(a, b) / norm) as f32 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines() {
        assert_eq!(cosine(&[1.0, 0.0], &[2.0, 0.0]), 1.0);
        assert_eq!(cosine(&[1.0, 0.0], &[0.0, 5.0]), 0.0);
        assert_eq!(cosine(&[1.0, 1.0], &[-1.0, -1.0]), -1.0);
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 1.0]), 0.0);
    }
}
