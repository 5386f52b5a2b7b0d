//! The 478 points of a face: a mesh with refined lips, eyes and irises, by MediaPipe's network or the project's own.
//!
//! Kartynnik et al. 2019, <https://arxiv.org/abs/1907.06724>; Grishchenko et al. 2020, <https://arxiv.org/abs/2006.10962>.

use super::refinement::{self, MESH, POINTS};
use super::region::Region;
use crate::engine::Executor;
use crate::frame::{Frame, Rect};
use crate::nets::dense_points;
use crate::nets::graph::Graph;
use crate::{Error, Result};

/// The dense landmarks of one face.
#[derive(Debug, Clone, PartialEq)]
pub struct DenseFace {
    /// x and y in pixels of the picture, z in the same unit (smaller is nearer, 0 about the head's middle).
    pub points: Box<[[f32; 3]; POINTS]>,
    /// How certain the network is that there is a face, 0..1.
    pub presence: f32,
}

/// The outer corners of the eyes, right and left: level in the next region.
const EYES: [usize; 2] = [33, 263];

impl DenseFace {
    /// The box around all points.
    pub fn bounds(&self) -> Rect {
        let start = Rect { x0: f32::INFINITY, y0: f32::INFINITY, x1: f32::NEG_INFINITY, y1: f32::NEG_INFINITY };
        self.points.iter().fold(start, |r, p| Rect {
            x0: r.x0.min(p[0]),
            y0: r.y0.min(p[1]),
            x1: r.x1.max(p[0]),
            y1: r.y1.max(p[1]),
        })
    }

    /// The region in which the network sees this face best.
    pub fn region(&self) -> Region {
        let at = |i: usize| [self.points[i][0], self.points[i][1]];
        Region::around(&self.bounds(), at(EYES[0]), at(EYES[1]))
    }
}

/// A network of points: the mesh with refined lips, eyes and irises, or the mesh alone, which takes less time.
#[derive(Debug)]
pub struct Landmarks<E> {
    executor: E,
    network: Network,
}

/// What computes the points.
#[derive(Debug)]
enum Network {
    /// MediaPipe's.
    Graph(Graph, Outputs),
    /// The project's own ([`dense_points`]), or its first look alone.
    Own { rough: bool },
}

/// Which outputs are the mesh, lips, right eye, left eye, right iris, left iris, and the flag; or the mesh and the flag.
#[derive(Debug, Clone, Copy)]
enum Outputs {
    Refined([usize; 7]),
    Mesh([usize; 2]),
}

/// Numbers in each of the refined network's outputs.
const SIZES: [usize; 7] =
    [3 * MESH, 2 * refinement::LIPS.len(), 2 * refinement::RIGHT_EYE.len(), 2 * refinement::LEFT_EYE.len(), 10, 10, 1];
/// Their names in the file, "left" as in the picture.
const REFINED: [&str; 7] = [
    "output_mesh_identity",
    "output_lips",
    "output_left_eye",
    "output_right_eye",
    "output_left_iris",
    "output_right_iris",
    "conv_faceflag",
];
/// Those of the mesh alone.
const PLAIN: [&str; 2] = ["conv2d_21", "conv2d_31"];

impl<E: Executor> Landmarks<E> {
    /// A network whose graph has passed its check.
    ///
    /// # Errors
    /// [`Error::Model`] for a graph of another form.
    pub fn new(executor: E, graph: Graph) -> Result<Landmarks<E>> {
        fn places<const N: usize>(graph: &Graph, names: [&str; N]) -> Option<[usize; N]> {
            let place = |name: &str| graph.outputs.iter().position(|(n, _)| n == name);
            let places: Option<Vec<usize>> = names.into_iter().map(place).collect();
            places?.try_into().ok()
        }
        let outputs = places(&graph, REFINED).map(Outputs::Refined);
        let outputs = outputs.or_else(|| places(&graph, PLAIN).map(Outputs::Mesh));
        let outputs = outputs.filter(|_| matches!(graph.input, [3, h, w] if h == w));
        let outputs = outputs
            .ok_or_else(|| Error::model("the landmark network is not MediaPipe's face mesh: import it again"))?;
        Ok(Landmarks { executor, network: Network::Graph(graph, outputs) })
    }

    /// The project's own network over weights that have passed their check; with `rough` its first look alone.
    pub fn own(executor: E, rough: bool) -> Landmarks<E> {
        Landmarks { executor, network: Network::Own { rough } }
    }

    /// What runs the network.
    pub fn executor(&self) -> &E {
        &self.executor
    }

    /// The face in a region of a picture, whatever there is.
    ///
    /// # Errors
    /// [`Error::NoFace`] for a region without pixels, [`Error::Model`] for a network that gives other outputs than this one.
    pub fn find(&self, image: &Frame, region: &Region) -> Result<DenseFace> {
        if !region.is_sound() || image.width == 0 || image.height == 0 {
            return Err(Error::no_face("the region of the face holds nothing: choose another face or frame"));
        }
        let size = match &self.network {
            Network::Graph(graph, _) => graph.input[2],
            Network::Own { .. } => dense_points::SIZE,
        };
        let x = self.executor.tensor([1, 3, size, size], &region.pixels(image, size, false, (1.0, 0.0)));
        let (out, outputs) = match &self.network {
            Network::Graph(graph, outputs) => {
                (graph.run(&self.executor, &x).into_iter().map(|(_, t)| t).collect::<Vec<_>>(), *outputs)
            }
            Network::Own { rough: true } => {
                let (mesh, flag) = dense_points::face(&self.executor, &x);
                (vec![mesh, flag], Outputs::Mesh([0, 1]))
            }
            Network::Own { rough: false } => {
                let found = dense_points::points(&self.executor, &x);
                (found.tensors().map(E::Tensor::clone).into(), Outputs::Refined([0, 1, 2, 3, 4, 5, 6]))
            }
        };
        let values = |i: &usize| self.executor.values(&out[*i]);
        let other = || Error::model("the landmark network gives other numbers than MediaPipe's: import it again");
        let mut points = Box::new([[0.0f32; 3]; POINTS]);
        let lids = |points: &[[f32; 3]; POINTS], lids: &[usize]| -> [f32; 3] {
            std::array::from_fn(|c| lids.iter().map(|i| points[*i][c]).sum::<f32>() / lids.len() as f32)
        };
        let flag = match &outputs {
            Outputs::Mesh(places) => {
                let [mesh, flag] = places.each_ref().map(values);
                if (mesh.len(), flag.len()) != (SIZES[0], SIZES[6]) {
                    return Err(other());
                }
                points[..MESH].copy_from_slice(mesh.as_chunks::<3>().0);
                for (first, eye) in refinement::IRISES.into_iter().zip(refinement::lids()) {
                    let middle = lids(&points, eye);
                    points[first..first + 5].fill(middle);
                }
                flag[0]
            }
            Outputs::Refined(places) => {
                let values = places.each_ref().map(values);
                if values.iter().map(Vec::len).ne(SIZES) {
                    return Err(other());
                }
                let [mesh, lips, right, left, right_iris, left_iris, flag] = values;
                points[..MESH].copy_from_slice(mesh.as_chunks::<3>().0);
                let mut refine = |table: &[usize], values: &[f32]| {
                    for (i, p) in table.iter().zip(values.as_chunks::<2>().0) {
                        points[*i][..2].copy_from_slice(p);
                    }
                };
                refine(&refinement::LIPS, &lips);
                refine(&refinement::RIGHT_EYE, &right);
                refine(&refinement::LEFT_EYE, &left);
                let irises = refinement::IRISES.into_iter().zip([right_iris, left_iris]);
                for ((first, iris), eye) in irises.zip(refinement::lids()) {
                    let [_, _, z] = lids(&points, eye);
                    for (point, p) in points[first..].iter_mut().zip(iris.as_chunks::<2>().0) {
                        *point = [p[0], p[1], z];
                    }
                }
                flag[0]
            }
        };
        for p in points.iter_mut() {
            let z = p[2] / size as f32 * region.side;
            let [x, y] = region.place([p[0], p[1]].map(|v| v / size as f32));
            *p = [x, y, z];
        }
        if points.as_flattened().iter().any(|v| !v.is_finite()) {
            return Err(Error::no_face("the region of the face holds nothing: choose another face or frame"));
        }
        let presence = 1.0 / (1.0 + (-flag).exp());
        Ok(DenseFace { points, presence: if presence.is_nan() { 0.0 } else { presence } })
    }
}
