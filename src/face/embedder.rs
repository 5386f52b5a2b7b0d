//! Whether two faces are the same person's: MobileFaceNet's embedding, and the cosine between two (CSIM).

use crate::engine::{Executor, shape};
use crate::error::{Advice, Error, Result};
use crate::face::align;
use crate::face::embedding::FaceEmbedding;
use crate::frame::Frame;
use crate::nets::mobilefacenet::{EMBEDDING, HEIGHT, WIDTH, mobilefacenet};
use crate::weights::Weights;

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

    /// The network on an executor with its weights.
    pub fn new(ops: O) -> Embedder<O> {
        Embedder { ops }
    }

    /// The identity of the face with these five landmarks (see [`align::five_of_68`]).
    ///
    /// # Errors
    /// [`Error::NoFace`] when the points do not span a face; [`Error::Engine`] when the network returns values that
    /// are not numbers.
    pub fn embed(&self, image: &Frame, points: &[[f32; 2]; 5]) -> Result<FaceEmbedding> {
        self.embed_aligned(&align::aligned(image, points)?)
    }

    /// The identity of an aligned face, `[3, 112, 96]` planes red, green, blue, values 0..1.
    ///
    /// # Errors
    /// As [`Embedder::embed`].
    pub fn embed_aligned(&self, planes: &[f32]) -> Result<FaceEmbedding> {
        let x: Vec<f32> = planes.iter().map(|v| (v * 255.0 - 127.5) / 128.0).collect();
        let x = self.ops.tensor([1, 3, HEIGHT, WIDTH], &x);
        let mut y = self.ops.values(&mobilefacenet(&self.ops, &x));
        let norm = y.iter().map(|v| v * v).sum::<f32>().sqrt();
        if y.len() != EMBEDDING || !(norm.is_finite() && norm > 0.0) {
            let text = "the identity network returned values that are not numbers; check the pack";
            return Err(Error::engine(text).with_advice(Advice::CheckPack));
        }
        y.iter_mut().for_each(|v| *v /= norm);
        Ok(FaceEmbedding(y))
    }
}

impl<O: Executor + Sync> crate::face::traits::FaceEmbedder for Embedder<O> {
    fn identity(&self, image: &Frame, points: &[[f32; 2]; 5]) -> Result<FaceEmbedding> {
        self.embed(image, points)
    }
}
