//! The generator at work on one shot.

use crate::audio::layout::ALL;
use crate::frame::{Color, Frame};
use crate::morphable::Morphable;
use crate::nets::generator::Config;
use crate::reenact::backend::{GeneratorOutput, Inputs, Poses, PreparedReference};
use crate::reenact::generator::Generator;
use crate::reenact::window::CROP;
use crate::{CancelToken, Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A generator with a reference's features, which are computed once.
pub struct GeneratorRunner {
    config: Config,
    reference: PreparedReference,
    /// Frames that were computed again in fp32.
    repeated: AtomicUsize,
    /// What the generator's values mean: they are in the code of the picture that it was given.
    color: Color,
}

/// The last painted crop and buffers; reused.
#[derive(Default)]
pub struct RunnerScratch {
    input: Vec<f32>,
    painted: GeneratorOutput,
    patch: Option<Frame>,
    warped: Option<Frame>,
}

/// Where the head is in each of the frames that a generator sees, oldest first.
#[derive(Debug, Clone, Copy)]
pub enum Stack<'a> {
    /// 3 values a pixel, a picture for each frame.
    Pncc(&'a [Vec<f32>]),
    /// The vertices of all frames' meshes, one mesh after the other, in the crop's pixels.
    Meshes(&'a [[f32; 3]]),
}

impl RunnerScratch {
    /// From now on keeps what the generator's own flow makes of the reference.
    pub fn keep_warped(&mut self) {
        self.painted.warped.get_or_insert_default();
    }

    /// The reference's crop under the last frame's flow, where it was kept.
    pub fn take_warped(&mut self) -> Option<Frame> {
        self.warped.take()
    }
}

impl GeneratorRunner {
    /// `picture` is the reference's crop, `pncc` its PNCC (3 floats per pixel), both [`CROP`] pixels square; `head` is whose it is.
    ///
    /// # Errors
    /// [`Error::Model`] when the generator cannot work at this size; those of its engine.
    pub fn new(generator: Generator, picture: &Frame, pncc: &[f32], head: &Morphable) -> Result<GeneratorRunner> {
        let Generator { engine, config, name, .. } = generator;
        if !CROP.is_multiple_of(config.stride()) {
            let stride = config.stride();
            return Err(Error::model(format!(
                "the generator '{name}' needs sides divisible by {stride}; {CROP} is not"
            )));
        }
        if config.audio != 0 && config.audio != ALL {
            return Err(Error::model(format!(
                "the generator '{name}' hears {} values a frame; {ALL} are made of sounds: use another generator",
                config.audio
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
        let reference = engine.reference(&config, CROP, &input, head)?;
        Ok(GeneratorRunner { color: shown.color, config, reference, repeated: AtomicUsize::new(0) })
    }

    /// PNCC frames that the generator sees at once.
    pub fn frames(&self) -> usize {
        self.config.frames
    }

    /// Tensors that the embedded engine has made so far and their bytes; constant once warm.
    pub fn buffers(&self) -> (usize, usize) {
        match &self.reference {
            PreparedReference::Embedded(ops, _) => ops.buffers(),
            PreparedReference::Library(..) => (0, 0),
        }
    }

    /// Frames that were not numbers in the engine's precision and were computed again in fp32.
    pub fn repeated(&self) -> usize {
        self.repeated.load(Ordering::Relaxed)
    }

    /// Whether [`GeneratorRunner::paint`] wants the mesh's flow.
    pub fn takes_flow_prior(&self) -> bool {
        self.config.prior
    }

    /// Whether [`GeneratorRunner::paint`] takes audio.
    pub fn takes_audio(&self) -> bool {
        self.config.audio > 0
    }

    /// Whether the generator changes the warped reference instead of painting anew.
    pub fn is_residual(&self) -> bool {
        self.config.compose
    }

    /// Whether [`GeneratorRunner::paint`] wants the frames' meshes, and renders their PNCC itself.
    pub fn accepts_meshes(&self) -> bool {
        self.reference.accepts_meshes()
    }

    /// Paints a frame from its PNCC frames or meshes, oldest first, the [`ALL`] audio values (zeros without audio), and the mesh's flow in
    /// the crop's pixels, x then y. `cancel` is checked between the network's operations.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; [`Error::Engine`] when the generator's output is not a number somewhere, or its engine fails.
    pub fn paint<'a>(
        &self,
        poses: Stack,
        sound: Option<&[f32]>,
        prior: Option<&[[f32; 2]]>,
        cancel: &CancelToken,
        painting: &'a mut RunnerScratch,
    ) -> Result<&'a Frame> {
        let RunnerScratch { input, painted, patch, warped } = painting;
        let poses = match poses {
            Stack::Meshes(vertices) => Poses::Meshes(vertices),
            Stack::Pncc(frames) => {
                input.clear();
                for i in 0..CROP * CROP {
                    for frame in frames {
                        input.extend_from_slice(&frame[3 * i..3 * i + 3]);
                    }
                }
                Poses::Pncc(input)
            }
        };
        let inputs = Inputs { poses, sound, prior: prior.map(<[_]>::as_flattened) };
        let report = self.reference.paint(&self.config, CROP, &inputs, cancel, painted)?;
        self.repeated.fetch_add(usize::from(report.repeated), Ordering::Relaxed);
        if let Some(values) = &painted.warped {
            self.fill(values, warped.get_or_insert_with(|| Frame::new(CROP, CROP)));
        }
        let patch = patch.get_or_insert_with(|| Frame::new(CROP, CROP));
        self.fill(&painted.image, patch);
        if patch.data.iter().any(|v| v.is_nan()) {
            return Err(Error::Engine(
                "the generator's output is not a number: its weights are damaged or unsuitable".into(),
            ));
        }
        Ok(patch)
    }

    /// A generator's values, -1..1, as a picture without transparency.
    fn fill(&self, values: &[f32], picture: &mut Frame) {
        picture.color = self.color;
        for (rgba, rgb) in picture.data.chunks_exact_mut(4).zip(values.chunks_exact(3)) {
            for (o, v) in rgba.iter_mut().zip(rgb) {
                // What is no number stays so, and is noticed.
                *o = (0.5 * v + 0.5).clamp(0.0, 1.0);
            }
            rgba[3] = 1.0;
        }
    }
}
