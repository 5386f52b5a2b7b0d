//! The shape checker: runs a network on shapes alone and compares every layer it asks for with the
//! weights at hand, before any engine touches them.

use super::ops::{Act, Conv, Crop, Layer, Ops, Resize, Rnn};
use crate::error::{Error, Result};
use crate::weights::{Data, Weights};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

/// [`Ops`] whose tensors are shapes. See [`check`].
pub struct ShapeOps<'a> {
    /// Without weights, the layers are written down and not compared.
    weights: Option<&'a Weights>,
    problems: RefCell<Vec<String>>,
    used: RefCell<BTreeMap<String, Vec<usize>>>,
    spectral: RefCell<BTreeSet<String>>,
}

/// What [`check`] found out about weights that fit.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// Arrays that the network did not ask for.
    pub unused: Vec<String>,
    /// Number of values that it did ask for.
    pub parameters: usize,
}

/// Runs `network` on shapes and compares every layer with `weights`.
///
/// # Errors
/// [`Error::Model`], naming the first layer that is missing or has the wrong shape (with both shapes), and how
/// many there are.
pub fn check(weights: &Weights, network: impl FnOnce(&ShapeOps)) -> Result<Checked> {
    let ops = ShapeOps::new(Some(weights));
    network(&ops);
    let problems = ops.problems.into_inner();
    let used = ops.used.into_inner();
    match problems.as_slice() {
        [] => Ok(Checked {
            unused: weights.arrays.keys().filter(|k| !used.contains_key(*k)).cloned().collect(),
            parameters: used.keys().filter_map(|k| weights.get(k)).map(|a| a.len()).sum(),
        }),
        [one] => Err(Error::model(one.clone())),
        [first, rest @ ..] => Err(Error::model(format!("{first} (and {} more layers that do not fit)", rest.len()))),
    }
}

/// The arrays that `network` asks for, by name, with their shapes: what weights for it must hold.
pub fn layers(network: impl FnOnce(&ShapeOps)) -> Vec<(String, Vec<usize>)> {
    let ops = ShapeOps::without_weights();
    network(&ops);
    ops.used.into_inner().into_iter().collect()
}

/// The layers that `network` trains with spectral normalisation, by name.
pub fn spectral(network: impl FnOnce(&ShapeOps)) -> BTreeSet<String> {
    let ops = ShapeOps::without_weights();
    network(&ops);
    ops.spectral.into_inner()
}

impl ShapeOps<'static> {
    /// Shapes alone: layers are taken to be there.
    pub(super) fn without_weights() -> ShapeOps<'static> {
        ShapeOps::new(None)
    }
}

impl<'a> ShapeOps<'a> {
    fn new(weights: Option<&'a Weights>) -> ShapeOps<'a> {
        ShapeOps { weights, problems: RefCell::default(), used: RefCell::default(), spectral: RefCell::default() }
    }

    fn expect(&self, name: String, shape: &[usize]) {
        self.used.borrow_mut().insert(name.clone(), shape.to_vec());
        let Some(weights) = self.weights else { return };
        match weights.get(&name) {
            None => {
                let problem = format!("layer '{name}' is missing; the architecture needs it with shape {shape:?}");
                self.problems.borrow_mut().push(problem);
            }
            Some(a) if a.shape != shape => {
                let problem = format!("layer '{name}' has shape {:?} where the architecture needs {shape:?}", a.shape);
                self.problems.borrow_mut().push(problem);
            }
            Some(a) if !matches!(a.data, Data::F32(_)) => {
                self.problems.borrow_mut().push(format!("layer '{name}' holds integers where floats are needed"));
            }
            Some(_) => {}
        }
    }

    fn problem(&self, text: String) {
        self.problems.borrow_mut().push(text);
    }
}

impl Ops for ShapeOps<'_> {
    type Tensor = [usize; 4];

    fn shape(&self, x: &[usize; 4]) -> [usize; 4] {
        *x
    }
    fn tensor(&self, shape: [usize; 4], _values: &[f32]) -> [usize; 4] {
        shape
    }
    fn conv2d(&self, x: &[usize; 4], layer: Layer, conv: Conv) -> [usize; 4] {
        let (kh, kw) = conv.kernel;
        if conv.spectral {
            self.spectral.borrow_mut().insert(layer.to_owned());
        }
        self.expect(format!("{layer}.weight"), &[conv.out, x[1] / conv.groups, kh, kw]);
        if conv.bias {
            self.expect(format!("{layer}.bias"), &[conv.out]);
        }
        let padded = conv.padded_size(x[2], x[3]);
        if padded.0 < kh || padded.1 < kw {
            self.problem(format!("layer '{layer}': the input of {}x{} is smaller than the kernel", x[3], x[2]));
        }
        let (h, w) = conv.out_size(x[2], x[3]);
        [x[0], conv.out, h, w]
    }
    fn linear(&self, x: &[usize; 4], layer: Layer, out: usize) -> [usize; 4] {
        self.expect(format!("{layer}.weight"), &[out, x[1] * x[2] * x[3]]);
        self.expect(format!("{layer}.bias"), &[out]);
        [x[0], out, 1, 1]
    }
    fn batch_norm(&self, x: &[usize; 4], layer: Layer, _eps: f32) -> [usize; 4] {
        for part in ["weight", "bias", "running_mean", "running_var"] {
            self.expect(format!("{layer}.{part}"), &[x[1]]);
        }
        *x
    }
    fn instance_norm(&self, x: &[usize; 4], affine: Option<Layer>, _act: Act) -> [usize; 4] {
        if let Some(layer) = affine {
            self.expect(format!("{layer}.weight"), &[x[1]]);
            self.expect(format!("{layer}.bias"), &[x[1]]);
        }
        *x
    }
    fn relu(&self, x: &[usize; 4]) -> [usize; 4] {
        *x
    }
    fn leaky_relu(&self, x: &[usize; 4], _slope: f32) -> [usize; 4] {
        *x
    }
    fn prelu(&self, x: &[usize; 4], layer: Layer) -> [usize; 4] {
        self.expect(format!("{layer}.weight"), &[x[1]]);
        *x
    }
    fn tanh(&self, x: &[usize; 4]) -> [usize; 4] {
        *x
    }
    fn sigmoid(&self, x: &[usize; 4]) -> [usize; 4] {
        *x
    }
    fn softmax(&self, x: &[usize; 4]) -> [usize; 4] {
        *x
    }
    fn max_pool(&self, x: &[usize; 4], kernel: usize, stride: usize, pad: usize, ceil: bool) -> [usize; 4] {
        [x[0], x[1], pooled(x[2], kernel, stride, pad, ceil), pooled(x[3], kernel, stride, pad, ceil)]
    }
    fn avg_pool(&self, x: &[usize; 4], kernel: usize, stride: usize, pad: usize, _count_pad: bool) -> [usize; 4] {
        [x[0], x[1], pooled(x[2], kernel, stride, pad, false), pooled(x[3], kernel, stride, pad, false)]
    }
    fn pixel_shuffle(&self, x: &[usize; 4], r: usize) -> [usize; 4] {
        [x[0], x[1] / (r * r), x[2] * r, x[3] * r]
    }
    fn resize(&self, x: &[usize; 4], h: usize, w: usize, _mode: Resize) -> [usize; 4] {
        [x[0], x[1], h, w]
    }
    fn concat(&self, xs: &[&[usize; 4]]) -> [usize; 4] {
        let first = xs.first().map(|x| **x).unwrap_or_default();
        if xs.iter().any(|x| (x[0], x[2], x[3]) != (first[0], first[2], first[3])) {
            self.problem(format!("shapes {xs:?} cannot be concatenated"));
        }
        [first[0], xs.iter().map(|x| x[1]).sum(), first[2], first[3]]
    }
    fn slice(&self, x: &[usize; 4], start: usize, len: usize) -> [usize; 4] {
        if start + len > x[1] {
            self.problem(format!("channels {start} to {} of an input that has {}", start + len, x[1]));
        }
        [x[0], len, x[2], x[3]]
    }
    fn add(&self, a: &[usize; 4], b: &[usize; 4]) -> [usize; 4] {
        if a != b {
            self.problem(format!("shapes {a:?} and {b:?} cannot be added"));
        }
        *a
    }
    fn mul(&self, a: &[usize; 4], b: &[usize; 4]) -> [usize; 4] {
        if a[0] != b[0] || (1..4).any(|i| b[i] != 1 && b[i] != a[i]) {
            self.problem(format!("shapes {a:?} and {b:?} cannot be multiplied"));
        }
        *a
    }
    fn affine(&self, x: &[usize; 4], _a: f32, _b: f32) -> [usize; 4] {
        *x
    }
    fn clamp(&self, x: &[usize; 4], _low: f32, _high: f32) -> [usize; 4] {
        *x
    }
    fn widen(&self, x: &[usize; 4], channels: usize) -> [usize; 4] {
        if channels < x[1] {
            self.problem(format!("{} channels cannot be widened to {channels}", x[1]));
        }
        [x[0], channels, x[2], x[3]]
    }
    fn crop_matrix(&self, landmarks: &[usize; 4], crop: Crop) -> [usize; 4] {
        let points = crop.points.iter().chain([&crop.from, &crop.to]);
        let sized = crop.size.0 > 0 && crop.size.1 > 0 && !crop.points.is_empty();
        if landmarks[2..] != [1, 1] || !sized || points.into_iter().any(|i| 3 * i + 2 >= landmarks[1]) {
            self.problem(format!("a window of {:?} cannot follow landmarks of shape {landmarks:?}", crop.size));
        }
        [landmarks[0], 6, 1, 1]
    }
    fn sample(&self, x: &[usize; 4], matrix: &[usize; 4], h: usize, w: usize) -> [usize; 4] {
        if *matrix != [x[0], 6, 1, 1] {
            self.problem(format!("a picture of shape {x:?} cannot be sampled by a matrix of shape {matrix:?}"));
        }
        [x[0], x[1], h, w]
    }
    fn map_points(&self, points: &[usize; 4], matrix: &[usize; 4]) -> [usize; 4] {
        if *matrix != [points[0], 6, 1, 1] || points[2..] != [1, 1] || !points[1].is_multiple_of(2) {
            self.problem(format!("points of shape {points:?} cannot be mapped by a matrix of shape {matrix:?}"));
        }
        *points
    }
    fn rnn_from(&self, x: &[usize; 4], state: &[usize; 4], layer: Layer, rnn: Rnn) -> ([usize; 4], [usize; 4]) {
        let rows = rnn.cell.gates() * rnn.hidden;
        for direction in rnn.directions() {
            self.expect(format!("{layer}.weight_ih_{direction}"), &[rows, x[1] * x[2]]);
            self.expect(format!("{layer}.weight_hh_{direction}"), &[rows, rnn.hidden]);
            self.expect(format!("{layer}.bias_ih_{direction}"), &[rows]);
            self.expect(format!("{layer}.bias_hh_{direction}"), &[rows]);
        }
        if *state != [x[0], rnn.state(), 1, 1] {
            self.problem(format!("layer '{layer}': a state of shape {state:?} for an input of shape {x:?}"));
        }
        ([x[0], rnn.directions().len() * rnn.hidden, 1, x[3]], *state)
    }
    fn lookahead(&self, x: &[usize; 4], layer: Layer, context: usize) -> [usize; 4] {
        self.expect(format!("{layer}.weight"), &[x[1], 1, context]);
        *x
    }
    fn warp(&self, image: &[usize; 4], flow: &[usize; 4]) -> [usize; 4] {
        if image[0] != flow[0] || flow[1] != 2 || image[2..] != flow[2..] {
            self.problem(format!("an image of shape {image:?} cannot be warped by a flow of shape {flow:?}"));
        }
        [image[0], image[1], flow[2], flow[3]]
    }
    fn norm_modulate(&self, x: &[usize; 4], gamma_beta: &[usize; 4], _act: Act) -> [usize; 4] {
        let sizes = gamma_beta[2..] == x[2..] || gamma_beta[2..] == [1, 1];
        if gamma_beta[0] != x[0] || gamma_beta[1] != 2 * x[1] || !sizes {
            self.problem(format!("an input of shape {x:?} cannot be modulated by shape {gamma_beta:?}"));
        }
        *x
    }
}

/// Output size of a pooling window (PyTorch's rule: with `ceil` the last window must start inside).
pub(crate) fn pooled(n: usize, kernel: usize, stride: usize, pad: usize, ceil: bool) -> usize {
    let span = (n + 2 * pad).saturating_sub(kernel);
    let mut out = if ceil { span.div_ceil(stride) } else { span / stride } + 1;
    if ceil && (out - 1) * stride >= n + pad {
        out -= 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::Array;

    #[test]
    fn names_the_layer_and_both_shapes() {
        let mut w = Weights::default();
        w.insert("a.weight", Array::f32([4, 3, 3, 3], vec![0.0; 108]));
        w.insert("a.bias", Array::f32([4], vec![0.0; 4]));
        w.insert("left.over", Array::f32([1], vec![0.0]));
        let ok = check(&w, |ops| {
            let y = ops.conv2d(&[1, 3, 8, 8], "a", Conv::same(4, 3).stride(2));
            assert_eq!(y, [1, 4, 4, 4]);
        });
        assert_eq!(ok.unwrap().unused, ["left.over"]);
        let text = check(&w, |ops| {
            ops.conv2d(&[1, 3, 8, 8], "a", Conv::same(5, 3));
            ops.conv2d(&[1, 3, 8, 8], "b", Conv::same(5, 3).no_bias());
        })
        .unwrap_err()
        .to_string();
        assert!(text.contains("'a.weight' has shape [4, 3, 3, 3] where the architecture needs [5, 3, 3, 3]"), "{text}");
        assert!(text.contains("2 more"), "{text}");
        let names = layers(|ops| {
            ops.conv2d(&[1, 3, 8, 8], "a", Conv::same(4, 3));
        });
        assert_eq!(names, [("a.bias".to_owned(), vec![4]), ("a.weight".to_owned(), vec![4, 3, 3, 3])]);
    }

    #[test]
    fn pooling_sizes_follow_pytorch() {
        assert_eq!(pooled(7, 3, 2, 1, false), 4);
        assert_eq!(pooled(8, 3, 2, 0, true), 4);
        assert_eq!(pooled(8, 3, 2, 1, true), 5);
        assert_eq!(pooled(8, 2, 2, 1, true), 5);
        assert_eq!(pooled(7, 2, 2, 1, true), 4);
    }
}
