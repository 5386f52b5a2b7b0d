//! The generator at work on one shot.

use super::networks::Generator;
use super::shot::CROP;
use crate::engine::{Embedded, Ops};
use crate::frame::{Color, Frame};
use crate::nets::generator::{self, Config, Reference};
use crate::{Error, Result};
use std::sync::Arc;

type Tensor = <Embedded as Ops>::Tensor;

/// A generator with a reference's features, which are computed once.
pub struct Painter {
    ops: Arc<Embedded>,
    config: Config,
    reference: Reference<Tensor>,
    /// What the generator's values mean: they are in the code of the picture that it was given.
    color: Color,
}

/// The last painted crop and buffers; reused.
#[derive(Default)]
pub struct Painting {
    input: Vec<f32>,
    patch: Option<Frame>,
}

impl Painter {
    /// `picture` is the reference's crop, `pncc` its PNCC (3 floats per pixel), both [`CROP`] pixels square.
    ///
    /// # Errors
    /// [`Error::Model`] when the generator cannot work at this size.
    pub fn new(generator: Generator, picture: &Frame, pncc: &[f32]) -> Result<Painter> {
        let Generator { ops, config, name, .. } = generator;
        if !CROP.is_multiple_of(config.stride()) {
            let stride = config.stride();
            return Err(Error::Model(format!(
                "the generator '{name}' needs sides divisible by {stride}; {CROP} is not"
            )));
        }
        let shown = picture.to_display(Color::Srgb);
        let mut input = Vec::with_capacity(6 * CROP * CROP);
        for (rgba, code) in shown.data.chunks_exact(4).zip(pncc.chunks_exact(3)) {
            input.extend_from_slice(code);
            // What is transparent has no colour of its own: grey.
            let alpha = rgba[3].clamp(0.0, 1.0);
            input.extend(rgba[..3].iter().map(|v| alpha * (2.0 * v.clamp(0.0, 1.0) - 1.0)));
        }
        let input = ops.from_nhwc([1, 6, CROP, CROP], &input);
        let reference = generator::reference(&*ops, &config, &input);
        Ok(Painter { color: shown.color, ops, config, reference })
    }

    /// PNCC frames that the generator sees at once.
    pub fn frames(&self) -> usize {
        self.config.frames
    }

    /// Tensors made so far and their bytes; constant once warm.
    pub fn buffers(&self) -> (usize, usize) {
        self.ops.buffers()
    }

    /// Whether [`Painter::paint`] wants the mesh's flow.
    pub fn wants_prior(&self) -> bool {
        self.config.prior
    }

    /// Paints a frame from its PNCC frames, oldest first, and the mesh's flow in the crop's pixels, x then y.
    ///
    /// # Errors
    /// [`Error::Engine`] when the generator's output is not a number somewhere.
    pub fn paint<'a>(
        &self,
        pncc: &[Vec<f32>],
        prior: Option<&[[f32; 2]]>,
        painting: &'a mut Painting,
    ) -> Result<&'a Frame> {
        let input = &mut painting.input;
        input.clear();
        for i in 0..CROP * CROP {
            for frame in pncc {
                input.extend_from_slice(&frame[3 * i..3 * i + 3]);
            }
        }
        let stack = self.ops.from_nhwc([1, 3 * pncc.len(), CROP, CROP], input);
        let prior = prior.map(|flow| self.ops.from_nhwc([1, 2, CROP, CROP], flow.as_flattened()));
        let output = generator::forward(&*self.ops, &self.config, &self.reference, &stack, None, prior.as_ref());
        let patch = painting.patch.get_or_insert_with(|| Frame::new(CROP, CROP));
        patch.color = self.color;
        for (rgba, rgb) in patch.data.chunks_exact_mut(4).zip(self.ops.nhwc(&output.image).chunks_exact(3)) {
            for (o, v) in rgba.iter_mut().zip(rgb) {
                *o = 0.5 * v + 0.5;
            }
            rgba[3] = 1.0;
        }
        if patch.data.iter().any(|v| v.is_nan()) {
            return Err(Error::Engine(
                "the generator's output is not a number: its weights are damaged or unsuitable".into(),
            ));
        }
        Ok(patch)
    }
}
