//! Networks by the architecture names that packs use, their inputs and outputs by name: what export, verification and
//! benchmarks need to treat them alike.

use super::{
    dense_finder, dense_points, discriminator, faceboxes, generator, lids, mobilefacenet, mobilenet, retinaface, window,
};
use crate::engine::{Ops, shape};
use crate::models::Architecture;
use crate::weights::Weights;
use crate::{Error, Result};
use serde_json::{Value, json};

/// The architectures that [`Network`] knows.
pub const ARCHITECTURES: [Architecture; 9] = [
    Architecture::HeadganGenerator,
    Architecture::HeadganDiscriminator,
    Architecture::RetinaFace,
    Architecture::FaceBoxes,
    Architecture::MobileNetV1,
    Architecture::MobileFaceNet,
    Architecture::DenseFinder,
    Architecture::DensePoints,
    Architecture::WindowGenerator,
];

/// A network and its configuration.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    Generator(generator::Config),
    Discriminator(discriminator::Config),
    RetinaFace(retinaface::Backbone),
    FaceBoxes,
    MobileNet(mobilenet::Config),
    MobileFaceNet,
    DenseFinder,
    DensePoints,
    Window(window::Config),
}

/// A named input and its shape: `[n, c, h, w]`, or `[n, c]` for a vector.
pub type Input = (&'static str, Vec<usize>);

impl Network {
    /// The network that folded weights belong to; its configuration is read off their shapes.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown architecture, [`Error::Model`] naming the layer that the configuration cannot be read from.
    pub fn from_weights(architecture: &Architecture, weights: &Weights) -> Result<Network> {
        Ok(match architecture {
            Architecture::HeadganGenerator => Network::Generator(generator::Config::infer(weights)?),
            Architecture::HeadganDiscriminator => Network::Discriminator(discriminator::Config::infer(weights)?),
            Architecture::RetinaFace => Network::RetinaFace(retinaface::Backbone::from_weights(weights)?),
            Architecture::FaceBoxes => Network::FaceBoxes,
            Architecture::MobileNetV1 => Network::MobileNet(mobilenet::Config::from_weights(weights)?),
            Architecture::MobileFaceNet => Network::MobileFaceNet,
            Architecture::DenseFinder => Network::DenseFinder,
            Architecture::DensePoints => Network::DensePoints,
            Architecture::WindowGenerator => Network::Window(window::Config::infer(weights)?),
            other => return Err(unknown(other)),
        })
    }

    /// The configuration that its authors published: 51.8 M parameters for the generator, RetinaFace with mobilenet0.25, the
    /// 3DDFA-V2 regressor at half the width.
    ///
    /// # Errors
    /// [`Error::Usage`] for an unknown architecture.
    pub fn published(architecture: &Architecture) -> Result<Network> {
        Ok(match architecture {
            Architecture::HeadganGenerator => Network::Generator(generator::Config::default()),
            Architecture::HeadganDiscriminator => {
                Network::Discriminator(discriminator::Config { input: 6, ndf: 64, layers: 4, scales: 2 })
            }
            Architecture::RetinaFace => Network::RetinaFace(retinaface::Backbone::MobileNet025),
            Architecture::FaceBoxes => Network::FaceBoxes,
            Architecture::MobileNetV1 => {
                Network::MobileNet(mobilenet::Config { width: 0.5, head: "fc".into(), outputs: 62, lids: false })
            }
            Architecture::MobileFaceNet => Network::MobileFaceNet,
            Architecture::DenseFinder => Network::DenseFinder,
            Architecture::DensePoints => Network::DensePoints,
            Architecture::WindowGenerator => Network::Window(window::MOUTH),
            other => return Err(unknown(other)),
        })
    }

    /// Its architecture, as packs name it.
    pub fn architecture(&self) -> Architecture {
        match self {
            Network::Generator(_) => Architecture::HeadganGenerator,
            Network::Discriminator(_) => Architecture::HeadganDiscriminator,
            Network::RetinaFace(_) => Architecture::RetinaFace,
            Network::FaceBoxes => Architecture::FaceBoxes,
            Network::MobileNet(_) => Architecture::MobileNetV1,
            Network::MobileFaceNet => Architecture::MobileFaceNet,
            Network::DenseFinder => Architecture::DenseFinder,
            Network::DensePoints => Architecture::DensePoints,
            Network::Window(_) => Architecture::WindowGenerator,
        }
    }

    /// Its configuration, as packs write it.
    pub fn config(&self) -> Value {
        match self {
            Network::Generator(c) => json!(c),
            Network::Discriminator(c) => json!(c),
            Network::RetinaFace(b) => {
                let backbone = match b {
                    retinaface::Backbone::MobileNet025 => "mobilenet0.25",
                    retinaface::Backbone::ResNet50 => "resnet50",
                };
                json!({"backbone": backbone, "channels": b.width()})
            }
            Network::MobileNet(c) if c.lids => json!({"width": c.width, "outputs": c.outputs, "lids": true}),
            Network::MobileNet(c) => json!({"width": c.width, "outputs": c.outputs}),
            Network::Window(c) => json!(c),
            Network::FaceBoxes | Network::MobileFaceNet | Network::DenseFinder | Network::DensePoints => json!({}),
        }
    }

    /// The height of its usual input in pixels.
    pub fn usual_size(&self) -> usize {
        match self {
            Network::Generator(_) | Network::Discriminator(_) => 256,
            Network::RetinaFace(_) | Network::FaceBoxes => 640,
            Network::MobileNet(_) => mobilenet::SIZE,
            Network::MobileFaceNet => mobilefacenet::HEIGHT,
            Network::DenseFinder => dense_finder::SIZE,
            Network::DensePoints => dense_points::SIZE,
            Network::Window(c) => c.side,
        }
    }

    /// Its inputs for pictures of `size x size` pixels, in the order of [`run`](Network::run); 0 stands for the usual size.
    ///
    /// # Errors
    /// [`Error::Usage`] for a size that the network cannot take.
    pub fn inputs(&self, size: usize) -> Result<Vec<Input>> {
        let size = if size == 0 { self.usual_size() } else { size };
        let (multiple, least) = match self {
            Network::Generator(c) => (c.stride(), 4 * c.stride()),
            Network::Discriminator(c) => (1, 8 << c.scales),
            Network::RetinaFace(_) => (1, 32),
            Network::FaceBoxes => (1, 128),
            Network::MobileNet(_)
            | Network::MobileFaceNet
            | Network::DenseFinder
            | Network::DensePoints
            | Network::Window(_) => (size.max(1), self.usual_size()),
        };
        let most = if multiple == size { least } else { 4096 };
        if !size.is_multiple_of(multiple) || !(least..=most).contains(&size) {
            let legal = if most == least {
                format!("{least}")
            } else {
                format!("a multiple of {multiple} between {least} and {most}")
            };
            return Err(Error::usage(format!("{} cannot take size {size}; give {legal}", self.architecture())));
        }
        Ok(match self {
            Network::Generator(c) => {
                let mut inputs =
                    vec![("reference", vec![1, 6, size, size]), ("pncc", vec![1, 3 * c.frames, size, size])];
                if c.audio > 0 {
                    inputs.push(("audio", vec![1, c.audio]));
                }
                if c.prior {
                    inputs.push(("prior", vec![1, 2, size, size]));
                }
                inputs
            }
            Network::Discriminator(c) => vec![("picture", vec![1, c.input, size, size])],
            Network::Window(c) => {
                let [reference, target, audio] = c.shapes(1);
                let mut inputs = vec![("reference", reference.to_vec()), ("target", target.to_vec())];
                if c.audio > 0 {
                    inputs.push(("audio", audio[..2].to_vec()));
                }
                inputs
            }
            Network::MobileFaceNet => vec![("picture", vec![1, 3, size, mobilefacenet::WIDTH])],
            Network::MobileNet(c) if c.lids => {
                vec![("picture", vec![1, 3, size, size]), ("eyes", lids::shape(2).to_vec())]
            }
            _ => vec![("picture", vec![1, 3, size, size])],
        })
    }

    /// What goes in and what comes out, with units.
    pub fn doc(&self) -> String {
        match self {
            Network::Generator(c) => format!(
                "HeadGAN generator. Inputs: 'reference', PNCC (0..1) then RGB (-1..1) of the reference; 'pncc', {} driving PNCC \
                 frames, oldest first (0..1){}{}. Outputs: 'image', RGB (-1..1); 'flow', where each pixel comes from, relative, in \
                 pixels; 'mask', how much of the network's own flow is in it, 0..1; 'warped', the reference RGB under the flow.",
                c.frames,
                if c.audio > 0 { "; 'audio', the frame's audio features" } else { "" },
                if c.prior { "; 'prior', the mesh's flow, as 'flow' is" } else { "" }
            ),
            Network::Discriminator(_) => "HeadGAN discriminator. Input: 'picture', the condition then RGB (-1..1). Outputs: \
                'scale_S.layer_L', the features of every layer; the last layer of a scale is its judgement, unbounded."
                .into(),
            Network::RetinaFace(_) => "RetinaFace. Input: 'picture', BGR 0..255 minus (104, 117, 123). Outputs per level \
                (strides 8, 16, 32), raw, two anchors a cell: 'class_L' logits, 'boxes_L' and 'landmarks_L' offsets (variances \
                0.1, 0.2)."
                .into(),
            Network::FaceBoxes => "FaceBoxes. Input: 'picture', BGR 0..255 minus (104, 117, 123). Outputs per level (strides \
                32, 64, 128), raw, 21, 1, 1 anchors a cell: 'class_L' logits, 'boxes_L' offsets (variances 0.1, 0.2)."
                .into(),
            Network::MobileNet(c) => format!(
                "3DDFA-V2 regressor. Input{}: 'picture', BGR face crop, (value - 127.5) / 128{}. Output{}: 'params', to be \
                 multiplied by the training set's standard deviations and moved by its means{}.",
                if c.lids { "s" } else { "" },
                if c.lids { "; 'eyes', both eyes as these parameters place them" } else { "" },
                if c.lids { "s" } else { "" },
                if c.lids { "; 'closed', how far each eye is closed, 0..1, which replaces the blinks" } else { "" }
            ),
            Network::Window(c) => format!(
                "Window generator. Inputs: 'reference', RGB (-1..1) of the reference, RGB of the bank (zeros where there is none), {n} \
                 drawn contours (0..1); 'target', Draft's RGB, {n} drawn contours{}. Outputs: 'image', RGB (-1..1), the mixture of \
                 Draft's picture, the reference's and 'paint' by 'shares' (sum 1), after the first two were read at 'flow' (x, y of \
                 each, relative, in pixels).",
                if c.audio > 0 { "; 'audio', the frame's audio features" } else { "" },
                n = c.conditions
            ),
            Network::MobileFaceNet => "MobileFaceNet. Input: 'picture', RGB aligned face, (value - 127.5) / 128. Output: \
                'embedding', not normalised."
                .into(),
            Network::DenseFinder => "Finder of faces for dense points. Input: 'picture', RGB 0..1. Outputs 'small' and 'large', 16 x 16 \
                and 8 x 8 cells: a logit; the box's middle from the cell's, and the logarithms of width and height; five points from the \
                box's middle: all in units of 0.2 and 0.5 of the picture's side."
                .into(),
            Network::DensePoints => "Dense points of a face. Input: 'picture', RGB 0..1, a level square around the face. Outputs in pixels of \
                it: 'mesh', x, y, z of 468 points; x, y of 'lips', 'right_eye', 'left_eye', 'right_iris', 'left_iris'; 'flag', a logit."
                .into(),
        }
    }

    /// Runs it on tensors in the order of [`inputs`](Network::inputs); outputs with their names.
    ///
    /// # Panics
    /// With fewer tensors than [`inputs`](Network::inputs) names.
    pub fn run<O: Ops>(&self, ops: &O, xs: &[O::Tensor]) -> Vec<(String, O::Tensor)> {
        match self {
            Network::Generator(config) => {
                let shot = generator::reference(ops, config, &xs[0]);
                let mut rest = xs[2..].iter();
                let audio = if config.audio > 0 { rest.next() } else { None };
                let prior = if config.prior { rest.next() } else { None };
                let y = generator::forward(ops, config, &shot, &xs[1], audio, prior);
                let named = [("image", y.image), ("flow", y.flow), ("mask", y.mask), ("warped", y.warped)];
                named.map(|(name, t)| (name.to_owned(), t)).into()
            }
            Network::Discriminator(config) => {
                let scales = discriminator::forward(ops, config, &xs[0]).into_iter().enumerate();
                let layers = scales.flat_map(|(s, layers)| {
                    layers.into_iter().enumerate().map(move |(l, t)| (format!("scale_{s}.layer_{l}"), t))
                });
                layers.collect()
            }
            Network::RetinaFace(backbone) => {
                let levels = retinaface::retinaface(ops, &xs[0], *backbone).into_iter().zip(1..);
                let named = levels.flat_map(|(level, i)| {
                    [("class", level.class), ("boxes", level.boxes), ("landmarks", level.landmarks)]
                        .map(|(name, t)| (format!("{name}_{i}"), t))
                });
                named.collect()
            }
            Network::FaceBoxes => {
                let levels = faceboxes::faceboxes(ops, &xs[0]).into_iter().zip(1..);
                let named = levels.flat_map(|(level, i)| {
                    [("class", level.class), ("boxes", level.boxes)].map(|(name, t)| (format!("{name}_{i}"), t))
                });
                named.collect()
            }
            Network::MobileNet(config) => {
                let mut named = vec![("params".to_owned(), mobilenet::mobilenet(ops, &xs[0], config))];
                if config.lids {
                    named.push(("closed".to_owned(), lids::lids(ops, &xs[1])));
                }
                named
            }
            Network::Window(config) => {
                let reference = window::reference(ops, config, &xs[0]);
                let audio = xs.get(2).filter(|_| config.audio > 0);
                let y = window::forward(ops, config, &reference, &xs[1], audio);
                let named = [("image", y.image), ("shares", y.shares), ("flow", y.flow), ("paint", y.paint)];
                named.map(|(name, t)| (name.to_owned(), t)).into()
            }
            Network::MobileFaceNet => vec![("embedding".to_owned(), mobilefacenet::mobilefacenet(ops, &xs[0]))],
            Network::DenseFinder => {
                let [small, large] = dense_finder::finder(ops, &xs[0]);
                vec![("small".to_owned(), small), ("large".to_owned(), large)]
            }
            Network::DensePoints => {
                let found = dense_points::points(ops, &xs[0]);
                let named = dense_points::NAMES.into_iter().zip(found.tensors());
                named.map(|(name, t)| (name.to_owned(), t.clone())).collect()
            }
        }
    }

    /// The arrays that its weights must hold, by name, with their shapes.
    ///
    /// # Errors
    /// Those of [`inputs`](Network::inputs).
    pub fn layers(&self, size: usize) -> Result<Vec<(String, Vec<usize>)>> {
        let xs = self.shapes(size)?;
        Ok(shape::layers(|ops| {
            self.run(ops, &xs);
        }))
    }

    /// Compares every layer with `weights`.
    ///
    /// # Errors
    /// Those of [`inputs`](Network::inputs) and of [`shape::check`].
    pub fn check(&self, weights: &Weights, size: usize) -> Result<shape::Checked> {
        let xs = self.shapes(size)?;
        shape::check(weights, |ops| {
            self.run(ops, &xs);
        })
    }

    /// The inputs' logical shapes.
    fn shapes(&self, size: usize) -> Result<Vec<[usize; 4]>> {
        Ok(self.inputs(size)?.iter().map(|(_, dims)| logical(dims)).collect())
    }
}

/// The shape that executors use: vectors get 1x1 pixels.
pub fn logical(dims: &[usize]) -> [usize; 4] {
    let at = |i: usize| dims.get(i).copied().unwrap_or(1);
    [at(0), at(1), at(2), at(3)]
}

fn unknown(architecture: &Architecture) -> Error {
    Error::usage(format!("unknown architecture '{architecture}'; known are {}", Architecture::names(&ARCHITECTURES)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_weights;

    #[test]
    fn published_networks_fit_weights_of_their_own_layers() {
        let mut parameters = Vec::new();
        for architecture in ARCHITECTURES {
            let network = Network::published(&architecture).unwrap();
            assert_eq!(network.architecture(), architecture);
            let layers = network.layers(0).unwrap();
            let mut weights = random_weights(&layers, 1);
            if let Network::Window(config) = &network {
                weights.metadata = config.metadata();
            }
            assert_eq!(Network::from_weights(&architecture, &weights).unwrap(), network);
            let checked = network.check(&weights, 0).unwrap();
            assert_eq!(checked.unused, Vec::<String>::new());
            parameters.push(checked.parameters);
        }
        assert!((51_700_000..51_900_000).contains(&parameters[0]), "{parameters:?}");
    }

    #[test]
    fn a_regressor_with_lids_takes_eyes_too() {
        let config = mobilenet::Config { width: 0.25, head: "fc".into(), outputs: 62, lids: true };
        let network = Network::MobileNet(config);
        let weights = random_weights(&network.layers(0).unwrap(), 1);
        assert_eq!(Network::from_weights(&Architecture::MobileNetV1, &weights).unwrap(), network);
        assert_eq!(network.check(&weights, 0).unwrap().unused, Vec::<String>::new());
        assert_eq!(network.config()["lids"], true);
        let without = Network::published(&Architecture::MobileNetV1).unwrap();
        assert_eq!(network.inputs(0).unwrap().len(), without.inputs(0).unwrap().len() + 1);
        assert!(network.doc().contains("'closed'") && !without.doc().contains("'closed'"));
    }

    #[test]
    fn sizes_that_do_not_work_say_which_do() {
        let text = |a: &str, size: usize| Network::published(&a.into()).unwrap().inputs(size).unwrap_err().to_string();
        assert!(text("headgan-generator", 258).contains("a multiple of 4 between 16 and 4096"));
        assert!(text("mobilenet-v1", 128).contains("give 120"));
        assert!(text("mobilefacenet", 96).contains("give 112"));
        assert!(text("faceboxes", 64).contains("between 128 and 4096"));
        assert!(Network::published(&"lenet".into()).unwrap_err().to_string().contains("retinaface"));
        assert_eq!(Network::published(&Architecture::MobileFaceNet).unwrap().inputs(0).unwrap()[0].1, [1, 3, 112, 96]);
    }
}
