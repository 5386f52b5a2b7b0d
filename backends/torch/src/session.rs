//! A generator at work on libtorch: weights on a device, references' features kept there, frames.

use crate::ops::{Shared, Torch, settle};
use crate::pncc::Topology;
use headgan::engine::library::Precision;
use headgan::engine::{Ops, memory};
use headgan::import::check_generator;
use headgan::nets::generator::{self, Config, Output};
use headgan::weights::{Data, Weights, spectral};
use headgan::{Error, Result};
use tch::{Cuda, Device, Kind, Tensor, no_grad_guard};

/// How to run a generator.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub device: Device,
    pub precision: Precision,
    /// Threads on the CPU; 0: all cores. One number for the whole process: the last session's counts.
    pub threads: usize,
    /// Bytes that weights and frames may take together; 0: no limit.
    pub memory: u64,
}

/// An open generator.
pub struct Session {
    torch: Torch,
    config: Config,
    options: Options,
    /// Bytes of the weights on the device.
    weights: u64,
    /// Where precision is below fp32: what a frame is computed again with.
    careful: Careful,
}

/// The same generator in fp32.
enum Careful {
    /// The session itself is in fp32.
    Same,
    /// Not needed so far.
    Weights(Box<Weights>),
    Ready(Box<Torch>),
}

/// What a session keeps of a reference.
pub struct Reference {
    features: generator::Reference<Shared>,
    /// PNCC and RGB as they came, for features in fp32.
    input: Tensor,
    careful: Option<generator::Reference<Shared>>,
    size: (usize, usize),
    /// Frames at once that have been found to fit into memory.
    fits: usize,
    /// The head whose meshes may stand for PNCC.
    topology: Option<Topology>,
}

/// What says where the head is.
#[derive(Debug, Clone, Copy)]
pub enum Pose<'a> {
    /// `[n, 3 frames, h, w]`.
    Pncc(&'a Tensor),
    /// Posed meshes whose PNCC is rendered on the device, `[n, frames, vertices, 3]`; see [`Topology::render`].
    Meshes(&'a Tensor),
}

impl Reference {
    /// From now on meshes of this head may stand for PNCC.
    ///
    /// # Errors
    /// Those of [`Topology::new`].
    pub fn set_topology(&mut self, triangles: &[[u32; 3]], codes: &[[f32; 3]]) -> Result<()> {
        self.topology = Some(Topology::new(triangles, codes, self.input.device())?);
        Ok(())
    }
}

/// A computed frame.
pub struct Frame {
    pub output: Output<Shared>,
    /// It was not a number somewhere in the session's precision and was computed again in fp32.
    pub repeated: bool,
}

impl Session {
    /// Opens a generator: folded weights, or those of the official checkpoint, with or without `state.` before every name.
    ///
    /// # Errors
    /// [`Error::Model`] where they are no generator's, [`Error::Engine`] where they do not fit into the memory budget.
    ///
    /// # Panics
    /// Where libtorch fails, with its text.
    pub fn open(weights: Weights, options: Options) -> Result<Session> {
        let state = weights.arrays.keys().any(|k| k.starts_with("state."));
        let weights = if state { weights.strip_prefix("state.") } else { weights };
        let weights = spectral::fold(&weights)?;
        let config = check_generator(&weights)?;
        if options.threads > 0 {
            tch::set_num_threads(options.threads.min(i32::MAX as usize) as i32);
        }
        let _guard = no_grad_guard();
        let values: usize = weights.arrays.values().filter(|a| matches!(a.data, Data::F32(_))).map(|a| a.len()).sum();
        let bytes = (values * size_of(options.precision)) as u64;
        check_budget(bytes, &options, "its weights")?;
        if options.device.is_cuda() {
            Cuda::cudnn_set_benchmark(true);
        }
        let torch = executor(&weights, options.device, options.precision);
        if let Device::Cuda(index) = options.device {
            // Frames may be computed on other streams than the one that the weights came on.
            Cuda::synchronize(index as i64);
        }
        let careful = match options.precision {
            Precision::Fp32 => Careful::Same,
            _ => Careful::Weights(Box::new(weights)),
        };
        Ok(Session { torch, config, options, weights: bytes, careful })
    }

    /// The generator's configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What it computes on.
    pub fn device(&self) -> Device {
        self.options.device
    }

    /// Encodes a reference: PNCC (0..1) and RGB (-1..1), 1 x 6 x h x w, of any kind, anywhere.
    ///
    /// # Errors
    /// [`Error::Usage`] for another shape, [`Error::Engine`] where a frame of this size does not fit into the memory budget.
    ///
    /// # Panics
    /// Where libtorch fails, with its text.
    pub fn reference(&self, input: &Tensor) -> Result<Reference> {
        let _guard = no_grad_guard();
        let stride = self.config.stride();
        let size = match input.size()[..] {
            [1, 6, h, w] if h > 0 && w > 0 && h % stride as i64 == 0 && w % stride as i64 == 0 => {
                (h as usize, w as usize)
            }
            _ => {
                return Err(Error::usage(format!(
                    "the reference has the shape {:?}: it must be 1 x 6 x height x width, both divisible by {stride}",
                    input.size()
                )));
            }
        };
        self.check_frames(size, 1)?;
        // A copy first: what the features hold of it is a part of the same memory, and what the caller has goes.
        let input = input.to_device(self.options.device).copy();
        let features = generator::reference(&self.torch, &self.config, &self.torch.take(&input));
        // Frames may be computed on another stream than this.
        features.features.iter().for_each(|f| settle(&f.0));
        Ok(Reference { features, input, careful: None, size, fits: 1, topology: None })
    }

    /// Computes frames: `pose` says where the head is, `audio` is n x length x 1 x 1 (silence where there is none), `prior`, the
    /// mesh's flow in pixels for a generator that takes it, n x 2 x h x w (at rest where there is none).
    ///
    /// # Errors
    /// [`Error::Usage`] for other shapes, [`Error::Engine`] where the frames do not fit into the memory budget, or are not
    /// numbers even in fp32.
    ///
    /// # Panics
    /// Where libtorch fails, with its text.
    pub fn render(
        &mut self,
        reference: &mut Reference,
        pose: Pose,
        audio: Option<&Tensor>,
        prior: Option<&Tensor>,
    ) -> Result<Frame> {
        let _guard = no_grad_guard();
        let (h, w) = reference.size;
        let config = &self.config;
        let given = match pose {
            Pose::Pncc(tensor) | Pose::Meshes(tensor) => tensor,
        };
        let n = given.size().first().copied().unwrap_or(0);
        let expect = |what: &str, tensor: &Tensor, shape: [i64; 4]| {
            if tensor.size() == shape && n > 0 {
                return Ok(());
            }
            let text = format!("the input '{what}' has the shape {:?} where {shape:?} is needed", tensor.size());
            Err(Error::usage(text))
        };
        let coded = [n, 3 * config.frames as i64, h as i64, w as i64];
        match (pose, &reference.topology) {
            (Pose::Pncc(pncc), _) => expect("pncc", pncc, coded)?,
            (Pose::Meshes(_), None) => {
                return Err(Error::Usage(
                    "the input 'mesh' is of a head that the reference does not know: tell it the topology first".into(),
                ));
            }
            (Pose::Meshes(mesh), Some(head)) => expect("mesh", mesh, [n, config.frames as i64, head.vertices(), 3])?,
        }
        if let Some(audio) = audio {
            if config.audio == 0 {
                return Err(Error::Usage("this generator takes no 'audio': leave it away".into()));
            }
            expect("audio", audio, [n, config.audio as i64, 1, 1])?;
        }
        if let Some(prior) = prior {
            if !config.prior {
                return Err(Error::Usage("this generator takes no 'prior': leave it away".into()));
            }
            expect("prior", prior, [n, 2, h as i64, w as i64])?;
        }
        let n = n as usize;
        if n > reference.fits {
            self.check_frames(reference.size, n)?;
            reference.fits = n;
        }
        let rendered;
        let pncc = match (pose, &reference.topology) {
            (Pose::Meshes(meshes), Some(head)) => {
                let all = meshes.reshape([-1, head.vertices(), 3]);
                rendered = head.render(&all, (h as i64, w as i64))?.reshape(coded);
                &rendered
            }
            _ => given,
        };
        let output = forward(&self.torch, &self.config, &reference.features, pncc, audio, prior);
        if is_finite(&output.image) {
            return Ok(Frame { output, repeated: false });
        }
        drop(output);
        if let Careful::Weights(weights) = &self.careful {
            self.careful = Careful::Ready(Box::new(executor(weights, self.options.device, Precision::Fp32)));
        }
        if let Careful::Ready(torch) = &self.careful {
            let features = reference
                .careful
                .get_or_insert_with(|| generator::reference(&**torch, &self.config, &torch.take(&reference.input)));
            let output = forward(torch, &self.config, features, pncc, audio, prior);
            if is_finite(&output.image) {
                return Ok(Frame { output, repeated: true });
            }
        }
        Err(Error::Engine("the generator's output is not a number: its weights are damaged or unsuitable".into()))
    }

    /// Fails where `n` frames at once do not fit into the budget.
    fn check_frames(&self, (h, w): (usize, usize), n: usize) -> Result<()> {
        if self.options.memory == 0 {
            return Ok(());
        }
        let values = memory::peak(|ops| {
            let reference = ops.tensor([1, 6, h, w], &[]);
            let reference = generator::reference(ops, &self.config, &reference);
            let pncc = ops.tensor([n, 3 * self.config.frames, h, w], &[]);
            generator::forward(ops, &self.config, &reference, &pncc, None, None);
        });
        let bytes = self.weights + (values * size_of(self.options.precision)) as u64;
        check_budget(bytes, &self.options, &format!("{n} frame(s) of {w} x {h} pixels with its weights"))
    }
}

/// Weights on a device, laid out as they are fastest there.
fn executor(weights: &Weights, device: Device, precision: Precision) -> Torch {
    let kind = match precision {
        Precision::Fp32 | Precision::Tf32 => Kind::Float,
        Precision::Fp16 => Kind::Half,
        Precision::Bf16 => Kind::BFloat16,
    };
    let torch = Torch::new(weights, device, kind).tf32(precision != Precision::Fp32);
    // Tensor cores want pixels; on the CPU the convolutions have a layout of their own.
    if device.is_cuda() && kind != Kind::Float { torch.channels_last() } else { torch }
}

/// Bytes of a value.
fn size_of(precision: Precision) -> usize {
    match precision {
        Precision::Fp32 | Precision::Tf32 => 4,
        Precision::Fp16 | Precision::Bf16 => 2,
    }
}

fn check_budget(bytes: u64, options: &Options, what: &str) -> Result<()> {
    if options.memory == 0 || bytes <= options.memory {
        return Ok(());
    }
    let mib = |n: u64| n.div_ceil(1 << 20);
    let advice =
        if size_of(options.precision) == 4 { "raise the budget, or choose precision fp16" } else { "raise the budget" };
    Err(Error::engine(format!(
        "the generator needs at least {} MiB for {what}, the memory budget is {} MiB: {advice}",
        mib(bytes),
        mib(options.memory)
    )))
}

fn forward(
    torch: &Torch,
    config: &Config,
    reference: &generator::Reference<Shared>,
    pncc: &Tensor,
    audio: Option<&Tensor>,
    prior: Option<&Tensor>,
) -> Output<Shared> {
    // The features of one reference serve any number of frames.
    let n = pncc.size()[0];
    let spread = |x: &Shared| if n == 1 { x.clone() } else { torch.take(&x.0.expand([n, -1, -1, -1], false)) };
    let features = reference.features.iter().map(spread).collect();
    let reference = generator::Reference { features, rgb: spread(&reference.rgb) };
    let [audio, prior] = [audio, prior].map(|x| x.map(|x| torch.take(x)));
    generator::forward(torch, config, &reference, &torch.take(pncc), audio.as_ref(), prior.as_ref())
}

/// Whether all values are numbers. Waits for the device.
fn is_finite(x: &Shared) -> bool {
    x.0.isfinite().all().int64_value(&[]) == 1
}
