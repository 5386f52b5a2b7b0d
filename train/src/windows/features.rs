//! How unlike two windows are to networks that look at faces: MediaPipe's, of the pack that fits them (Apache-2.0).
//!
//! Of eyes its iris network judges: features at two scales, and where it finds lids and iris. Of mouths the first half of its face mesh's
//! network: features at four scales.

use super::store::Kind;
use crate::losses::mean_l1;
use crate::spectral_weights::{for_engine, tensors_of};
use headgan::face::dense::FACE_MESH;
use headgan::models::{ModelSet, Role};
use headgan::nets::graph::Graph;
use headgan::weights::Weights;
use headgan::{Error, Result};
use headgan_torch::{Shared, Torch};
use tch::{Device, Kind as Number, Tensor, no_grad};

/// The iris network, as its component calls itself.
const IRIS: &str = "iris_landmark";
/// The values of these graphs whose scale is a half, a quarter and so on of the window: what ends a stage.
const IRIS_STAGES: [usize; 2] = [17, 39];
const MESH_STAGES: [usize; 4] = [7, 18, 29, 40];
/// Points of the lids, with which the iris network's contours begin.
const LIDS: i64 = 16;

/// Networks that are not trained.
pub struct Features {
    ops: Torch,
    compute: Number,
    graph: Graph,
    /// How many of the outputs are features; the others are points.
    stages: usize,
}

/// Distances of windows from the true ones.
pub struct Distance {
    /// Mean over features of their mean difference in shares of the true features' mean size.
    pub features: Tensor,
    /// Where lids and iris are found, in sides of the window; none of mouths.
    pub points: Option<Tensor>,
}

impl Features {
    /// Of the first pack that has the network.
    ///
    /// # Errors
    /// [`Error::Model`] where none has, or its graph is another.
    pub fn load(models: &ModelSet, kind: Kind, (device, compute): (Device, Number)) -> Result<Features> {
        let (role, name) = if kind == Kind::Eye { (Role::Iris, IRIS) } else { (Role::Landmarks, FACE_MESH) };
        let found = models.packs().iter().find_map(|pack| Some((pack, pack.network(role, name)?)));
        let (pack, component) = found.ok_or_else(|| {
            Error::model(format!(
                "no pack has the network '{name}', which judges windows: headgan models import mediapipe"
            ))
        })?;
        let weights = pack.load(component, headgan::import::check)?;
        Features::over(kind, Graph::from_config(&component.config)?, &weights, (device, compute))
    }

    fn over(kind: Kind, graph: Graph, weights: &Weights, (device, compute): (Device, Number)) -> Result<Features> {
        let stages: &[usize] = if kind == Kind::Eye { &IRIS_STAGES } else { &MESH_STAGES };
        let last = stages.iter().copied().max().unwrap_or_default();
        if graph.nodes.len() < last {
            return Err(Error::model("the network that judges windows has other layers: import the pack again"));
        }
        let mut outputs: Vec<(String, usize)> = stages.iter().map(|v| (format!("stage_{v}"), *v)).collect();
        // A mouth's window has another size than the mesh's input: what comes behind the features cannot take it.
        let mut nodes = graph.nodes;
        if kind == Kind::Eye {
            outputs.extend(graph.outputs);
        } else {
            nodes.truncate(last);
        }
        let graph = Graph { nodes, outputs, ..graph };
        let ops = Torch::over(for_engine(&tensors_of(weights, device), compute), device, compute);
        Ok(Features { ops, compute, graph, stages: stages.len() })
    }

    /// What the network makes of RGB in -1..1.
    fn see(&self, picture: &Tensor) -> Vec<Tensor> {
        let x = Shared((picture * 0.5 + 0.5).to_kind(self.compute));
        self.graph.run(&self.ops, &x).into_iter().map(|(_, t)| t.0.to_kind(Number::Float)).collect()
    }

    /// How far windows lie from the true ones.
    pub fn distance(&self, windows: &Tensor, truth: &Tensor) -> Distance {
        let want = no_grad(|| self.see(truth));
        let got = self.see(windows);
        let stages = got.iter().zip(&want).take(self.stages);
        let each: Vec<Tensor> =
            stages.map(|(got, want)| mean_l1(got, want) / want.abs().mean(None).clamp_min(1e-6)).collect();
        let side = windows.size()[3] as f64;
        let points = (got.len() > self.stages).then(|| {
            let n = windows.size()[0];
            let off = got.iter().zip(&want).skip(self.stages).map(|(got, want)| {
                let xy = |t: &Tensor| {
                    let t = t.reshape([n, -1, 3]).narrow(2, 0, 2);
                    if t.size()[1] > 2 * LIDS { t.narrow(1, 0, LIDS) } else { t }
                };
                mean_l1(&xy(got), &xy(want)) / side
            });
            off.fold(Tensor::from(0f32).to_device(windows.device()), |sum, t| sum + t)
        });
        Distance { features: Tensor::stack(&each, 0).mean(None), points }
    }
}
