//! What a generator runs on: the embedded engine, or a session of an engine library. It is chosen once, before the first
//! frame; where it fails after that, the frame is an error and no other engine steps in.

use crate::controls::choices::Device;
use crate::engine::library::{self, Array, DeviceKind, Layout, Library, Output, Precision, Report, Session, Source};
use crate::engine::stoppable::{Stoppable, Tensor};
use crate::engine::{Embedded, Ops, cpu};
use crate::error::Advice;
use crate::morphable::Morphable;
use crate::nets::generator::{self, Config};
use crate::weights::Weights;
use crate::{CancelToken, Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Where generators run.
#[derive(Clone)]
#[non_exhaustive]
pub enum Backend {
    /// In this program.
    Embedded,
    /// On a device of an engine library.
    Library {
        library: &'static Library,
        device: library::Device,
        precision: Precision,
        /// Bytes that weights and frames may take together; 0: no limit.
        memory: u64,
        /// Whether the library renders PNCC from meshes: on a CUDA device it does, on a CPU this program's own rasteriser is faster.
        meshes: bool,
    },
}

impl Backend {
    /// The backend that the control `device` asks for; `extra` are folders where an engine library may lie.
    ///
    /// [`Device::Auto`] is a CUDA device where the library and one are there, else the embedded engine.
    ///
    /// # Errors
    /// [`Error::Engine`] saying what is missing, [`Error::Usage`] for a precision that the backend does not have.
    pub fn choose(device: Device, precision: Option<Precision>, memory: u64, extra: &[PathBuf]) -> Result<Backend> {
        let on = |library: &'static Library, device: &library::Device| {
            let precision = precision.unwrap_or_default();
            let meshes = device.kind == DeviceKind::Cuda;
            Backend::Library { library, device: device.clone(), precision, memory, meshes }
        };
        let cuda = || library::load(extra).and_then(|library| Ok(on(library, library.cuda()?)));
        let cpu = || library::load(extra).and_then(|library| Ok(on(library, library.cpu()?)));
        let refused = |e: Error| {
            Error::engine(format!("device '{}': {e}; or choose the device 'cpu'", device.id())).with_source(e)
        };
        match device {
            Device::Cuda => cuda().map_err(refused),
            Device::TorchCpu => cpu().map_err(refused),
            Device::Auto => cuda().or_else(|e| {
                tracing::info!("no CUDA device: {e}");
                embedded(precision)
            }),
            Device::Cpu => embedded(precision),
        }
    }
}

fn embedded(precision: Option<Precision>) -> Result<Backend> {
    match precision {
        None | Some(Precision::Fp32) => Ok(Backend::Embedded),
        Some(other) => Err(Error::usage(format!(
            "the embedded engine computes in fp32, not in {}: choose no other precision, or the device 'cuda' or 'torch_cpu'",
            other.id()
        ))
        .with_advice(Advice::ChooseDevice)),
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Backend::Embedded => write!(f, "embedded"),
            Backend::Library { library, device, precision, .. } => {
                write!(f, "{} on {device} in {}", library.build.framework, precision.id())
            }
        }
    }
}

/// A generator's weights, ready to run. Clones share them.
#[derive(Clone)]
pub enum Engine {
    Embedded(Arc<Embedded>),
    /// A session, and whether it renders PNCC from meshes.
    Library(Session, bool),
}

impl From<Embedded> for Engine {
    fn from(ops: Embedded) -> Engine {
        Engine::Embedded(Arc::new(ops))
    }
}

impl Engine {
    /// Opens checked, folded weights on a backend; `source` is where they come from.
    ///
    /// # Errors
    /// Those of [`Session::open`].
    pub fn open(weights: Arc<Weights>, source: &Source, backend: &Backend, options: &cpu::Options) -> Result<Engine> {
        match backend {
            Backend::Embedded => Ok(Embedded::new(weights, options).into()),
            Backend::Library { library, device, precision, memory, meshes } => {
                // The library reads them itself: memory for one copy is enough.
                drop(weights);
                let options = library::Options {
                    device: device.clone(),
                    precision: *precision,
                    threads: options.threads,
                    memory: *memory,
                };
                Ok(Engine::Library(Session::open(library, source, &options)?, *meshes))
            }
        }
    }

    /// Gives the embedded engine's buffers that are not in use back to the system.
    pub fn release(&self) {
        if let Engine::Embedded(ops) = self {
            ops.release();
        }
    }

    /// Encodes a reference: PNCC (0..1) and RGB (-1..1), `side` pixels square, 6 values a pixel; `head` is whose it is.
    ///
    /// # Errors
    /// Those of [`Session::reference`].
    pub fn reference(
        &self,
        config: &Config,
        side: usize,
        values: &[f32],
        head: &Morphable,
    ) -> Result<PreparedReference> {
        let shape = [1, 6, side, side];
        match self {
            Engine::Embedded(ops) => {
                let input = Tensor::There(ops.from_nhwc(shape, values));
                let features = generator::reference(&Stoppable::new(&**ops, &|| false), config, &input);
                Ok(PreparedReference::Embedded(ops.clone(), features))
            }
            Engine::Library(session, meshes) => {
                let input = Array { name: "reference", shape, layout: Layout::Nhwc, values };
                let reference = session.reference(&[input])?;
                if *meshes {
                    reference.set_topology(head.drawn_triangles(config.eyeballs), &head.ncc)?;
                }
                Ok(PreparedReference::Library(reference, *meshes))
            }
        }
    }
}

/// Where the head is in each of the frames that a generator sees, oldest first.
#[derive(Debug, Clone, Copy)]
pub enum Poses<'a> {
    /// 3 values a pixel for each frame.
    Pncc(&'a [f32]),
    /// The vertices of each frame's mesh, in the crop's pixels: for who renders PNCC ([`PreparedReference::accepts_meshes`]).
    Meshes(&'a [[f32; 3]]),
}

/// What a frame is computed from.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// What the face does.
    pub poses: Poses<'a>,
    /// For a generator that takes audio: its values of the frame; zeros without audio.
    pub sound: Option<&'a [f32]>,
    /// For a generator that takes it: the mesh's flow, x then y, 2 values a pixel.
    pub prior: Option<&'a [f32]>,
}

/// What a frame comes to: RGB in -1..1, 3 values a pixel.
#[derive(Debug, Default)]
pub struct GeneratorOutput {
    /// What the generator paints.
    pub image: Vec<f32>,
    /// The reference under the generator's own flow; computed for whoever puts something here.
    pub warped: Option<Vec<f32>>,
}

/// A generator that has seen a reference.
pub enum PreparedReference {
    Embedded(Arc<Embedded>, generator::Reference<Tensor<<Embedded as Ops>::Tensor>>),
    /// And whether it takes meshes.
    Library(library::Reference, bool),
}

impl PreparedReference {
    /// Whether [`Poses::Meshes`] is what [`PreparedReference::paint`] wants; otherwise it is [`Poses::Pncc`].
    pub fn accepts_meshes(&self) -> bool {
        matches!(self, PreparedReference::Library(_, true))
    }

    /// Computes a frame. `cancel` is asked before it, and by the embedded engine between its operations.
    ///
    /// # Errors
    /// [`Error::Interrupted`]; those of [`library::Reference::render`].
    pub fn paint(
        &self,
        config: &Config,
        side: usize,
        inputs: &Inputs,
        cancel: &CancelToken,
        painted: &mut GeneratorOutput,
    ) -> Result<Report> {
        cancel.check()?;
        let Inputs { poses, sound, prior } = *inputs;
        let shape = [1, 3 * config.frames, side, side];
        match self {
            PreparedReference::Embedded(ops, reference) => {
                let Poses::Pncc(pncc) = poses else {
                    return Err(Error::Engine("the embedded engine takes PNCC, not meshes: report this".into()));
                };
                let stop = || cancel.is_cancelled();
                let stack = Tensor::There(ops.from_nhwc(shape, pncc));
                let prior = prior.map(|flow| Tensor::There(ops.from_nhwc([1, 2, side, side], flow)));
                let sound = sound.map(|values| Tensor::There(ops.from_nhwc([1, values.len(), 1, 1], values)));
                let stoppable = Stoppable::new(&**ops, &stop);
                let output = generator::forward(&stoppable, config, reference, &stack, sound.as_ref(), prior.as_ref());
                let keep = |from: &Tensor<<Embedded as Ops>::Tensor>, to: &mut Vec<f32>| -> Result<()> {
                    let values = from.there().ok_or_else(|| Error::Interrupted)?;
                    to.clear();
                    to.extend_from_slice(ops.nhwc(values));
                    Ok(())
                };
                keep(&output.image, &mut painted.image)?;
                if let Some(warped) = &mut painted.warped {
                    keep(&output.warped, warped)?;
                }
                Ok(Report::default())
            }
            PreparedReference::Library(reference, _) => {
                let GeneratorOutput { image, warped } = painted;
                let mut inputs = vec![match poses {
                    Poses::Pncc(values) => Array { name: "pncc", shape, layout: Layout::Nhwc, values },
                    Poses::Meshes(vertices) => {
                        let shape = [1, config.frames, vertices.len() / config.frames.max(1), 3];
                        Array { name: "mesh", shape, layout: Layout::Nchw, values: vertices.as_flattened() }
                    }
                }];
                inputs.extend(sound.map(|values| {
                    let shape = [1, values.len(), 1, 1];
                    Array { name: "audio", shape, layout: Layout::Nchw, values }
                }));
                inputs.extend(prior.map(|values| {
                    let shape = [1, 2, side, side];
                    Array { name: "prior", shape, layout: Layout::Nhwc, values }
                }));
                let mut outputs = Vec::with_capacity(2);
                for (name, values) in [("image", Some(image)), ("warped", warped.as_mut())] {
                    let Some(values) = values else { continue };
                    values.resize(3 * side * side, 0.0);
                    outputs.push(Output { name, shape: [1, 3, side, side], layout: Layout::Nhwc, values });
                }
                reference.render(&inputs, &mut outputs)
            }
        }
    }
}
