//! Whether two faces are the same person's: MobileFaceNet's embedding, and the cosine between two (CSIM).

use super::align;
use crate::engine::{Executor, shape};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::nets::mobilefacenet::{EMBEDDING, HEIGHT, WIDTH, mobilefacenet};
use crate::weights::Weights;

/// A face's identity: a unit vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity(pub Vec<f32>);

impl Identity {
    /// Cosine similarity, -1..1. About 0 for two people, towards 1 for the same one.
    pub fn similarity(&self, other: &Identity) -> f32 {
        cosine(&self.0, &other.0)
    }
}

/// Cosine of the angle between two vectors; 0 when one has no length.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norm = (dot(a, a) * dot(b, b)).sqrt();
    if norm > 0.0 { (dot(a, b) / norm) as f32 } else { 0.0 }
}

/// Checks every layer of the identity network.
///
/// # Errors
/// [`Error::Model`] naming the layer that is missing or has the wrong shape.
pub fn check(weights: &Weights) -> Result<()> {
    shape::check(weights, |ops| {
        mobilefacenet(ops, &[1, 3, HEIGHT, WIDTH]);
    })
    .map(drop)
}

/// The identity network on an executor that holds its weights, which have passed [`check`].
#[derive(Debug, Clone)]
pub struct Embedder<O> {
    ops: O,
}

impl<O: Executor> Embedder<O> {
    /// What it runs on.
    pub fn executor(&self) -> &O {
        &self.ops
    }

    pub fn new(ops: O) -> Embedder<O> {
        Embedder { ops }
    }

    /// The identity of the face with these five landmarks (see [`align::five_of_68`]).
    ///
    /// # Errors
    /// [`Error::NoFace`] when the points do not span a face; [`Error::Engine`] when the network returns values that
    /// are not numbers.
    pub fn embed(&self, image: &Frame, points: &[[f32; 2]; 5]) -> Result<Identity> {
        self.embed_aligned(&align::aligned(image, points)?)
    }

    /// The identity of an aligned face, `[3, 112, 96]` planes red, green, blue, values 0..1.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn embed_aligned(&self, planes: &[f32]) -> Result<Identity> {
        let x: Vec<f32> = planes.iter().map(|v| (v * 255.0 - 127.5) / 128.0).collect();
        let x = self.ops.tensor([1, 3, HEIGHT, WIDTH], &x);
        let mut y = self.ops.values(&mobilefacenet(&self.ops, &x));
        let norm = y.iter().map(|v| v * v).sum::<f32>().sqrt();
        if y.len() != EMBEDDING || !(norm.is_finite() && norm > 0.0) {
            return Err(Error::Engine(
                "the identity network returned values that are not numbers; check the pack with `headgan models info`"
                    .into(),
            ));
        }
        y.iter_mut().for_each(|v| *v /= norm);
        Ok(Identity(y))
    }
}

impl<O: Executor + Sync> super::observe::KnowFace for Embedder<O> {
    fn identity(&self, image: &Frame, points: &[[f32; 2]; 5]) -> Result<Identity> {
        self.embed(image, points)
    }
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
