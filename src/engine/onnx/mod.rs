//! Writes a network as an ONNX graph, by running it on a recorder instead of an engine.
//!
//! This module writes graphs; it does not read or run them. Layers are in [`crate::nets`].
//!
//! [`Recorder`] is an executor of [`Ops`] whose tensors are names; [`record`] runs a network on it and returns the file's
//! bytes; [`nets::export_onnx`](crate::nets::export_onnx) does so for the architectures of this project (`headgan models export-onnx`). Only
//! operators of the default domain at opset 17 are used, shapes are static, values f32. Operators that runtimes disagree on
//! are written in the form that leaves no room for it: pooling with explicit padding instead of `ceil_mode`, nearest
//! resizing by uneven factors as `Gather`, `GridSample` with coordinates clipped beforehand instead of a padding mode.
//!
//! Operators: <https://onnx.ai/onnx/operators/>.

mod proto;

use super::ops::{Act, Conv, Crop, Layer, Ops, Pad, Resize, Rnn};
use super::shape::pooled;
use crate::weights::Weights;
use crate::{Error, Result};
use proto::{Attr, Payload};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};

/// A value of the graph that is being recorded: its number in the recorder and its logical shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tensor {
    id: usize,
    shape: [usize; 4],
}

/// The value that stands for an optional operator input which is not given; its name is empty.
const ABSENT: usize = 0;

/// Attributes of a node.
type Attrs = Vec<(&'static str, Attr)>;

struct Node {
    op: &'static str,
    inputs: Vec<usize>,
    output: usize,
    attrs: Attrs,
}

struct Initializer<'w> {
    value: usize,
    dims: Vec<usize>,
    payload: Payload<'w>,
}

#[derive(Default)]
struct State<'w> {
    /// The name each value gets if nobody else has it.
    names: Vec<String>,
    nodes: Vec<Node>,
    initializers: Vec<Initializer<'w>>,
    /// Values by what makes them, so that nothing is written twice.
    known: HashMap<String, usize>,
    /// What a concatenation was made from: slices of it need not be cut out again.
    parts: HashMap<usize, Vec<Tensor>>,
    /// The `[n, c]` form of inputs that are vectors.
    flat: HashMap<usize, usize>,
    problems: Vec<String>,
}

impl State<'_> {
    fn value(&mut self, name: String) -> usize {
        self.names.push(name);
        self.names.len() - 1
    }
}

/// An executor of [`Ops`] that writes down what it is asked for. See [`record`].
pub struct Recorder<'w> {
    weights: &'w Weights,
    state: RefCell<State<'w>>,
}

/// What an ONNX file says about itself.
#[derive(Debug, Clone, Default)]
pub struct Header {
    /// Name of the graph.
    pub name: String,
    /// What it computes, with units, for people.
    pub doc: String,
    /// `metadata_props` besides those of the weights.
    pub metadata: BTreeMap<String, String>,
}

/// Records `network` as an ONNX file named `name`.
///
/// Inputs are `[n, c, h, w]`, or `[n, c]` for a vector, which the network sees as `[n, c, 1, 1]`. The network gives its outputs
/// with their names. The weights' metadata becomes the model's.
///
/// # Errors
/// [`Error::Model`] for a layer that is missing or has another number of values, for an input of another rank, for a name that two
/// outputs or an output and an input share, and for more than 2 GiB, which protobuf cannot hold.
pub fn record<'w>(
    name: &str,
    inputs: &[(&str, &[usize])],
    weights: &'w Weights,
    network: impl FnOnce(&Recorder<'w>, &[Tensor]) -> Vec<(String, Tensor)>,
) -> Result<Vec<u8>> {
    record_with(&Header { name: name.to_owned(), ..Header::default() }, inputs, weights, network)
}

/// [`record`] with a doc string and metadata.
///
/// # Errors
/// Those of [`record`].
pub fn record_with<'w>(
    header: &Header,
    inputs: &[(&str, &[usize])],
    weights: &'w Weights,
    network: impl FnOnce(&Recorder<'w>, &[Tensor]) -> Vec<(String, Tensor)>,
) -> Result<Vec<u8>> {
    let recorder = Recorder { weights, state: RefCell::default() };
    recorder.state.borrow_mut().value(String::new()); // ABSENT
    let graph_inputs: Vec<usize> =
        inputs.iter().map(|(name, _)| recorder.state.borrow_mut().value((*name).to_owned())).collect();
    let mut tensors = Vec::with_capacity(inputs.len());
    for (&id, (name, dims)) in graph_inputs.iter().zip(inputs) {
        tensors.push(match **dims {
            [n, c, h, w] => Tensor { id, shape: [n, c, h, w] },
            [n, c] => {
                let x = Tensor { id, shape: [n, c, 1, 1] };
                let x = Tensor { id: recorder.reshape(x, &[n, c, 1, 1]), ..x };
                recorder.state.borrow_mut().flat.insert(x.id, id);
                x
            }
            _ => {
                return Err(Error::model(format!(
                    "input '{name}' has shape {dims:?}; [n, c] or [n, c, h, w] is needed"
                )));
            }
        });
    }
    let outputs = network(&recorder, &tensors);
    recorder.finish(header, inputs, &graph_inputs, &outputs)
}

impl<'w> Recorder<'w> {
    /// A node's result; the same node twice is one node. `label` (a layer, usually) goes into its name.
    fn node(&self, op: &'static str, label: &str, inputs: Vec<usize>, attrs: Attrs) -> usize {
        let key = format!("{op} {inputs:?} {attrs:?}");
        let state = &mut *self.state.borrow_mut();
        if let Some(&id) = state.known.get(&key) {
            return id;
        }
        let name = if label.is_empty() { op.to_owned() } else { format!("{label}/{op}") };
        let output = state.value(name);
        state.nodes.push(Node { op, inputs, output, attrs });
        state.known.insert(key, output);
        output
    }

    /// A node whose result has the shape of `x`.
    fn same(&self, op: &'static str, label: &str, x: &Tensor, more: &[usize], attrs: Attrs) -> Tensor {
        let inputs = [&[x.id], more].concat();
        Tensor { id: self.node(op, label, inputs, attrs), shape: x.shape }
    }

    /// A constant; `name` also tells whether it is there already.
    fn initializer(&self, name: String, dims: &[usize], payload: impl FnOnce() -> Payload<'w>) -> usize {
        let key = format!("= {name}");
        let state = &mut *self.state.borrow_mut();
        if let Some(&id) = state.known.get(&key) {
            return id;
        }
        let value = state.value(name);
        state.initializers.push(Initializer { value, dims: dims.to_vec(), payload: payload() });
        state.known.insert(key, value);
        value
    }

    fn constant(&self, name: String, dims: &[usize], values: impl FnOnce() -> Vec<f32>) -> usize {
        self.initializer(name, dims, || Payload::F32(Cow::Owned(values())))
    }

    fn scalar(&self, v: f32) -> usize {
        self.constant(format!("scalar_{v:?}"), &[], || vec![v])
    }

    /// A vector of integers, such as a shape.
    fn ints(&self, vs: impl IntoIterator<Item = usize>) -> usize {
        let vs: Vec<i64> = vs.into_iter().map(|v| v as i64).collect();
        let text: Vec<String> = vs.iter().map(i64::to_string).collect();
        self.initializer(format!("ints_{}", text.join("_")), &[vs.len()], || Payload::I64(vs))
    }

    /// A layer's array as an initializer of shape `dims`.
    fn weight(&self, layer: &str, part: &str, dims: &[usize]) -> usize {
        let name = format!("{layer}.{part}");
        let values = self.weights.get(&name).and_then(|a| a.as_f32()).unwrap_or_default();
        if values.len() != dims.iter().product::<usize>() {
            let text = format!("layer '{name}' has {} values where the network needs {dims:?}", values.len());
            self.state.borrow_mut().problems.push(text);
        }
        self.initializer(name, dims, || Payload::F32(Cow::Borrowed(values)))
    }

    fn reshape(&self, x: Tensor, dims: &[usize]) -> usize {
        self.node("Reshape", "", vec![x.id, self.ints(dims.iter().copied())], vec![])
    }

    fn gather(&self, x: usize, axis: i64, index: impl IntoIterator<Item = usize>) -> usize {
        self.node("Gather", "", vec![x, self.ints(index)], vec![("axis", Attr::Int(axis))])
    }

    /// `InstanceNormalization` with the given scale and shift, each `[c]`.
    fn normalise(&self, x: &Tensor, label: &str, scale: usize, shift: usize) -> Tensor {
        self.same("InstanceNormalization", label, x, &[scale, shift], vec![("epsilon", Attr::Float(1e-5))])
    }

    /// `InstanceNormalization` alone.
    fn normalise_plain(&self, x: &Tensor) -> Tensor {
        let c = x.shape[1];
        let ones = self.constant(format!("ones_{c}"), &[c], || vec![1.0; c]);
        let zeros = self.constant(format!("zeros_{c}"), &[c], || vec![0.0; c]);
        self.normalise(x, "", ones, zeros)
    }

    /// Pads of a pooling window as ONNX wants them (top, left, bottom, right), such that the size comes out as [`pooled`]
    /// says without any rounding rule.
    fn pool_pads(shape: [usize; 4], kernel: usize, stride: usize, pad: usize, ceil: bool) -> ([usize; 2], Attrs) {
        let out = [shape[2], shape[3]].map(|n| pooled(n, kernel, stride, pad, ceil));
        let end = |i: usize| ((out[i] - 1) * stride + kernel).saturating_sub(shape[2 + i] + pad);
        let pads = [pad, pad, end(0), end(1)].map(|p| p as i64).to_vec();
        let square = |v: usize| Attr::Ints(vec![v as i64; 2]);
        (out, vec![("kernel_shape", square(kernel)), ("pads", Attr::Ints(pads)), ("strides", square(stride))])
    }

    /// Names everything, leaves out what no output needs, and writes the file.
    fn finish(
        self,
        header: &Header,
        inputs: &[(&str, &[usize])],
        graph_inputs: &[usize],
        outputs: &[(String, Tensor)],
    ) -> Result<Vec<u8>> {
        // An output must be a node's result of its own.
        let mut taken: HashSet<usize> = HashSet::new();
        let mut graph_outputs = Vec::with_capacity(outputs.len());
        for (_, tensor) in outputs {
            let made = self.state.borrow().nodes.iter().any(|n| n.output == tensor.id);
            let mut id = tensor.id;
            if !made || !taken.insert(id) {
                let mut state = self.state.borrow_mut();
                id = state.value("Identity".to_owned());
                state.nodes.push(Node { op: "Identity", inputs: vec![tensor.id], output: id, attrs: vec![] });
                taken.insert(id);
            }
            graph_outputs.push(id);
        }

        let mut state = self.state.into_inner();
        match state.problems.as_slice() {
            [] => {}
            [one] => return Err(Error::model(one.clone())),
            [first, rest @ ..] => {
                return Err(Error::model(format!("{first} (and {} more layers that do not fit)", rest.len())));
            }
        }

        let mut live: HashSet<usize> = graph_outputs.iter().copied().collect();
        for node in state.nodes.iter().rev() {
            if live.contains(&node.output) {
                live.extend(&node.inputs);
            }
        }
        state.nodes.retain(|n| live.contains(&n.output));
        state.initializers.retain(|i| live.contains(&i.value));

        let mut names = vec![String::new(); state.names.len()];
        let mut used: HashSet<String> = HashSet::new();
        let public = graph_inputs.iter().zip(inputs.iter().map(|(name, _)| *name));
        for (&id, name) in public.chain(graph_outputs.iter().zip(outputs.iter().map(|(name, _)| name.as_str()))) {
            if name.is_empty() || !used.insert(name.to_owned()) {
                return Err(Error::model(format!("the graph has no name, or two values, for '{name}'")));
            }
            names[id] = name.to_owned();
        }
        for id in state.initializers.iter().map(|i| i.value).chain(state.nodes.iter().map(|n| n.output)) {
            if names[id].is_empty() {
                let wanted = &state.names[id];
                let free = |name: &String| !used.contains(name);
                let name = (1..).map(|i| if i == 1 { wanted.clone() } else { format!("{wanted}_{i}") }).find(free);
                names[id] = name.unwrap_or_default();
                used.insert(names[id].clone());
            }
        }

        let mut metadata: Vec<(&str, &str)> = Vec::new();
        for (key, value) in self.weights.metadata.iter().filter(|(k, _)| !header.metadata.contains_key(*k)) {
            metadata.push((key, value));
        }
        metadata.extend(header.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str())));
        let file = proto::Model {
            name: &header.name,
            doc: &header.doc,
            metadata,
            inputs: inputs.iter().map(|(name, dims)| proto::Value { name, dims }).collect(),
            outputs: outputs.iter().map(|(name, t)| proto::Value { name, dims: &t.shape }).collect(),
            initializers: state
                .initializers
                .iter()
                .map(|i| proto::Initializer { name: &names[i.value], dims: &i.dims, payload: &i.payload })
                .collect(),
            nodes: state
                .nodes
                .iter()
                .map(|n| proto::Node {
                    op: n.op,
                    inputs: n.inputs.iter().map(|&i| names[i].as_str()).collect(),
                    output: &names[n.output],
                    attrs: &n.attrs,
                })
                .collect(),
        }
        .encode();
        if i32::try_from(file.len()).is_err() {
            let text =
                format!("the graph takes {} bytes; an ONNX file with its weights inside ends at 2 GiB", file.len());
            return Err(Error::model(text));
        }
        Ok(file)
    }
}

impl Ops for Recorder<'_> {
    type Tensor = Tensor;

    fn shape(&self, x: &Tensor) -> [usize; 4] {
        x.shape
    }

    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Tensor {
        let number = self.state.borrow().initializers.len();
        let id = self.constant(format!("constant_{number}"), &shape, || values.to_vec());
        Tensor { id, shape }
    }

    fn conv2d(&self, x: &Tensor, layer: Layer, conv: Conv) -> Tensor {
        let [n, c, h, w] = x.shape;
        let ((kh, kw), (ph, pw)) = (conv.kernel, conv.pad);
        let (oh, ow) = conv.out_size(h, w);
        let mut input = x.id;
        let mut pads = [ph, pw, ph + conv.pad_after.0, pw + conv.pad_after.1].map(|p| p as i64).to_vec();
        if conv.pad_mode == Pad::Reflect {
            let amounts = self.ints([0, 0, ph, pw, 0, 0, ph, pw]);
            input = self.node("Pad", layer, vec![input, amounts], vec![("mode", Attr::Text("reflect"))]);
            pads = vec![0; 4];
        }
        let mut inputs = vec![input, self.weight(layer, "weight", &[conv.out, c / conv.groups, kh, kw])];
        if conv.bias {
            inputs.push(self.weight(layer, "bias", &[conv.out]));
        }
        let attrs = vec![
            ("group", Attr::Int(conv.groups as i64)),
            ("kernel_shape", Attr::Ints(vec![kh as i64, kw as i64])),
            ("pads", Attr::Ints(pads)),
            ("strides", Attr::Ints(vec![conv.stride.0 as i64, conv.stride.1 as i64])),
        ];
        let y = Tensor { id: self.node("Conv", layer, inputs, attrs), shape: [n, conv.out, oh, ow] };
        self.act(&y, conv.act)
    }

    fn linear(&self, x: &Tensor, layer: Layer, out: usize) -> Tensor {
        let n = x.shape[0];
        let len = x.shape[1..].iter().product();
        let known = self.state.borrow().flat.get(&x.id).copied();
        let row = known.unwrap_or_else(|| self.reshape(*x, &[n, len]));
        let inputs = vec![row, self.weight(layer, "weight", &[out, len]), self.weight(layer, "bias", &[out])];
        let y = Tensor { id: self.node("Gemm", layer, inputs, vec![("transB", Attr::Int(1))]), shape: [n, out, 1, 1] };
        let result = Tensor { id: self.reshape(y, &y.shape), ..y };
        self.state.borrow_mut().flat.insert(result.id, y.id);
        result
    }

    fn batch_norm(&self, x: &Tensor, layer: Layer, eps: f32) -> Tensor {
        let parts = ["weight", "bias", "running_mean", "running_var"].map(|p| self.weight(layer, p, &[x.shape[1]]));
        self.same("BatchNormalization", layer, x, &parts, vec![("epsilon", Attr::Float(eps))])
    }

    fn instance_norm(&self, x: &Tensor, affine: Option<Layer>, act: Act) -> Tensor {
        let y = match affine {
            Some(layer) => {
                let [scale, shift] = ["weight", "bias"].map(|p| self.weight(layer, p, &[x.shape[1]]));
                self.normalise(x, layer, scale, shift)
            }
            None => self.normalise_plain(x),
        };
        self.act(&y, act)
    }

    fn relu(&self, x: &Tensor) -> Tensor {
        self.same("Relu", "", x, &[], vec![])
    }
    fn leaky_relu(&self, x: &Tensor, slope: f32) -> Tensor {
        // LeakyRelu is x where x > 0 and slope * x elsewhere; that is the maximum of both up to a slope of one.
        self.same("LeakyRelu", "", x, &[], vec![("alpha", Attr::Float(slope))])
    }
    fn prelu(&self, x: &Tensor, layer: Layer) -> Tensor {
        let slope = self.weight(layer, "weight", &[x.shape[1], 1, 1]);
        self.same("PRelu", layer, x, &[slope], vec![])
    }
    fn tanh(&self, x: &Tensor) -> Tensor {
        self.same("Tanh", "", x, &[], vec![])
    }
    fn sigmoid(&self, x: &Tensor) -> Tensor {
        self.same("Sigmoid", "", x, &[], vec![])
    }
    fn softmax(&self, x: &Tensor) -> Tensor {
        self.same("Softmax", "", x, &[], vec![("axis", Attr::Int(1))])
    }

    fn max_pool(&self, x: &Tensor, kernel: usize, stride: usize, pad: usize, ceil: bool) -> Tensor {
        let ([h, w], attrs) = Self::pool_pads(x.shape, kernel, stride, pad, ceil);
        let [n, c, ..] = x.shape;
        Tensor { id: self.node("MaxPool", "", vec![x.id], attrs), shape: [n, c, h, w] }
    }

    fn avg_pool(&self, x: &Tensor, kernel: usize, stride: usize, pad: usize, count_pad: bool) -> Tensor {
        let ([h, w], mut attrs) = Self::pool_pads(x.shape, kernel, stride, pad, false);
        attrs.push(("count_include_pad", Attr::Int(i64::from(count_pad))));
        let [n, c, ..] = x.shape;
        Tensor { id: self.node("AveragePool", "", vec![x.id], attrs), shape: [n, c, h, w] }
    }

    fn pixel_shuffle(&self, x: &Tensor, r: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        let attrs = vec![("blocksize", Attr::Int(r as i64)), ("mode", Attr::Text("CRD"))];
        Tensor { id: self.node("DepthToSpace", "", vec![x.id], attrs), shape: [n, c / (r * r), h * r, w * r] }
    }

    fn resize(&self, x: &Tensor, oh: usize, ow: usize, mode: Resize) -> Tensor {
        let [n, c, h, w] = x.shape;
        let shape = [n, c, oh, ow];
        if shape == x.shape {
            return *x;
        }
        // Runtimes compute a nearest neighbour's position in floats, some by division and some by multiplication: only
        // powers of two are safe from landing just below the right pixel.
        let exact = |a: usize, b: usize| a.max(b).is_multiple_of(a.min(b)) && (a.max(b) / a.min(b)).is_power_of_two();
        let (mode, transform, nearest) = match mode {
            Resize::Nearest if exact(h, oh) && exact(w, ow) => ("nearest", "asymmetric", "floor"),
            Resize::Nearest => {
                let rows = self.gather(x.id, 2, (0..oh).map(|y| y * h / oh));
                return Tensor { id: self.gather(rows, 3, (0..ow).map(|x| x * w / ow)), shape };
            }
            Resize::Bilinear => ("linear", "half_pixel", "floor"),
        };
        let attrs = vec![
            ("coordinate_transformation_mode", Attr::Text(transform)),
            ("mode", Attr::Text(mode)),
            ("nearest_mode", Attr::Text(nearest)),
        ];
        Tensor { id: self.node("Resize", "", vec![x.id, ABSENT, ABSENT, self.ints(shape)], attrs), shape }
    }

    fn concat(&self, xs: &[&Tensor]) -> Tensor {
        if let [one] = xs {
            return **one;
        }
        let [n, _, h, w] = xs.first().map(|x| x.shape).unwrap_or_default();
        let shape = [n, xs.iter().map(|x| x.shape[1]).sum(), h, w];
        let id = self.node("Concat", "", xs.iter().map(|x| x.id).collect(), vec![("axis", Attr::Int(1))]);
        self.state.borrow_mut().parts.insert(id, xs.iter().map(|x| **x).collect());
        Tensor { id, shape }
    }

    fn slice(&self, x: &Tensor, start: usize, len: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        if (start, len) == (0, c) {
            return *x;
        }
        if let Some(parts) = self.state.borrow().parts.get(&x.id) {
            let mut at = 0;
            for part in parts {
                if (at, part.shape[1]) == (start, len) {
                    return *part;
                }
                at += part.shape[1];
            }
        }
        let inputs = vec![x.id, self.ints([start]), self.ints([start + len]), self.ints([1])];
        Tensor { id: self.node("Slice", "", inputs, vec![]), shape: [n, len, h, w] }
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.same("Add", "", a, &[b.id], vec![])
    }
    fn mul(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.same("Mul", "", a, &[b.id], vec![])
    }
    fn affine(&self, x: &Tensor, a: f32, b: f32) -> Tensor {
        let mut y = *x;
        if a != 1.0 {
            y = self.same("Mul", "", &y, &[self.scalar(a)], vec![]);
        }
        if b != 0.0 {
            y = self.same("Add", "", &y, &[self.scalar(b)], vec![]);
        }
        y
    }

    fn warp(&self, image: &Tensor, flow: &Tensor) -> Tensor {
        let [n, c, h, w] = image.shape;
        let [_, _, oh, ow] = flow.shape;
        // GridSample counts from -1 (the first pixel's centre) to 1 (the last one's); a side of one pixel has no length.
        let unit = |n: usize| if n > 1 { 2.0 / (n - 1) as f64 } else { 0.0 };
        let (ux, uy) = (unit(w), unit(h));
        let scale = self.constant(format!("warp_scale_{h}x{w}"), &[1, 2, 1, 1], || [ux, uy].map(|u| u as f32).to_vec());
        let base = self.constant(format!("warp_base_{h}x{w}_{oh}x{ow}"), &[1, 2, oh, ow], || {
            let xs = (0..oh).flat_map(|_| (0..ow).map(|x| x as f64 * ux - 1.0));
            let ys = (0..oh).flat_map(|y| (0..ow).map(move |_| y as f64 * uy - 1.0));
            xs.chain(ys).map(|v| v as f32).collect()
        });
        let grid = self.node("Mul", "warp", vec![flow.id, scale], vec![]);
        let grid = self.node("Add", "warp", vec![grid, base], vec![]);
        let grid = self.node("Clip", "warp", vec![grid, self.scalar(-1.0), self.scalar(1.0)], vec![]);
        let grid = self.node("Transpose", "warp", vec![grid], vec![("perm", Attr::Ints(vec![0, 2, 3, 1]))]);
        let attrs = vec![
            ("align_corners", Attr::Int(1)),
            ("mode", Attr::Text("bilinear")),
            ("padding_mode", Attr::Text("zeros")),
        ];
        Tensor { id: self.node("GridSample", "warp", vec![image.id, grid], attrs), shape: [n, c, oh, ow] }
    }

    fn clamp(&self, x: &Tensor, low: f32, high: f32) -> Tensor {
        self.same("Clip", "", x, &[self.scalar(low), self.scalar(high)], vec![])
    }

    fn widen(&self, x: &Tensor, channels: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        if c == channels {
            return *x;
        }
        let amounts = self.ints([0, 0, 0, 0, 0, channels - c, 0, 0]);
        Tensor { id: self.node("Pad", "", vec![x.id, amounts], vec![]), shape: [n, channels, h, w] }
    }

    fn crop_matrix(&self, landmarks: &Tensor, crop: Crop) -> Tensor {
        let [n, c, ..] = landmarks.shape;
        let op = |name: &'static str, a: usize, b: usize| self.node(name, "crop", vec![a, b], vec![]);
        let number = |v: f32| self.scalar(v);
        let points = self.reshape(*landmarks, &[n, c / 3, 3]);
        // [n, points, 1] each.
        let axes = |i: &[usize]| {
            let chosen = self.gather(points, 1, i.iter().copied());
            [0, 1].map(|k| self.gather(chosen, 2, [k]))
        };
        let (a, b) = (axes(&[crop.from]), axes(&[crop.to]));
        let d = [0, 1].map(|k| op("Sub", b[k], a[k]));
        let square = op("Add", op("Mul", d[0], d[0]), op("Mul", d[1], d[1]));
        let length = op("Max", self.node("Sqrt", "crop", vec![square], vec![]), number(1e-12));
        let [c, s] = d.map(|d| op("Div", d, length));
        let (sin, cos) = crop.turn.sin_cos();
        let times = |v: usize, k: f32| op("Mul", v, number(k));
        let (cos, sin) = (op("Add", times(c, cos), times(s, sin)), op("Sub", times(c, sin), times(s, cos)));
        let [x, y] = axes(crop.points);
        let turned = [op("Sub", op("Mul", cos, x), op("Mul", sin, y)), op("Add", op("Mul", sin, x), op("Mul", cos, y))];
        let ends = |name: &'static str, v: usize| {
            self.node(name, "crop", vec![v], vec![("axes", Attr::Ints(vec![1])), ("keepdims", Attr::Int(1))])
        };
        let (h, w) = (crop.size.0 as f32, crop.size.1 as f32);
        let side = |v: usize, factor: f32, pixels: f32| {
            let (low, high) = (ends("ReduceMin", v), ends("ReduceMax", v));
            let scale = times(op("Sub", high, low), factor / pixels);
            (scale, op("Sub", times(op("Add", low, high), 0.5), times(scale, 0.5 * pixels)))
        };
        let ((sx, x0), (sy, y0)) = (side(turned[0], crop.scale.0, w), side(turned[1], crop.scale.1, h));
        let parts = vec![
            op("Mul", cos, sx),
            op("Mul", sin, sy),
            op("Add", op("Mul", cos, x0), op("Mul", sin, y0)),
            times(op("Mul", sin, sx), -1.0),
            op("Mul", cos, sy),
            op("Sub", op("Mul", cos, y0), op("Mul", sin, x0)),
        ];
        let row = self.node("Concat", "crop", parts, vec![("axis", Attr::Int(2))]);
        let shape = [n, 6, 1, 1];
        Tensor { id: self.reshape(Tensor { id: row, shape }, &shape), shape }
    }

    fn sample(&self, x: &Tensor, matrix: &Tensor, oh: usize, ow: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        let op = |name: &'static str, a: usize, b: usize| self.node(name, "sample", vec![a, b], vec![]);
        let m = |i: usize| self.slice(matrix, i, 1).id;
        let xs = self.constant(format!("sample_x_{oh}x{ow}"), &[1, 1, oh, ow], || {
            (0..oh).flat_map(|_| (0..ow).map(|x| x as f32 + 0.5)).collect()
        });
        let ys = self.constant(format!("sample_y_{oh}x{ow}"), &[1, 1, oh, ow], || {
            (0..oh).flat_map(|y| (0..ow).map(move |_| y as f32 + 0.5)).collect()
        });
        let mut inside = Vec::new();
        let mut grid = Vec::new();
        for (row, side) in [(0, w), (3, h)] {
            let linear = op("Add", op("Mul", m(row), xs), op("Mul", m(row + 1), ys));
            let place = op("Add", op("Add", linear, m(row + 2)), self.scalar(-0.5));
            let last = (side - 1) as f32;
            let within = self.node("Clip", "sample", vec![place, self.scalar(0.0), self.scalar(last)], vec![]);
            let same = op("Equal", within, place);
            inside.push(self.node("Cast", "sample", vec![same], vec![("to", Attr::Int(1))]));
            // GridSample counts from -1 (the first pixel's middle) to 1 (the last one's).
            let unit = if side > 1 { 2.0 / last } else { 0.0 };
            grid.push(op("Add", op("Mul", within, self.scalar(unit)), self.scalar(-1.0)));
        }
        let grid = self.node("Concat", "sample", grid, vec![("axis", Attr::Int(1))]);
        let grid = self.node("Transpose", "sample", vec![grid], vec![("perm", Attr::Ints(vec![0, 2, 3, 1]))]);
        let attrs = vec![
            ("align_corners", Attr::Int(1)),
            ("mode", Attr::Text("bilinear")),
            ("padding_mode", Attr::Text("zeros")),
        ];
        let sampled = self.node("GridSample", "sample", vec![x.id, grid], attrs);
        let id = op("Mul", sampled, op("Mul", inside[0], inside[1]));
        Tensor { id, shape: [n, c, oh, ow] }
    }

    fn map_points(&self, points: &Tensor, matrix: &Tensor) -> Tensor {
        let [n, c, ..] = points.shape;
        let pairs = self.reshape(*points, &[n, c / 2, 2]);
        let rows = self.reshape(*matrix, &[n, 2, 3]);
        let linear = self.gather(rows, 2, [0, 1]);
        let linear = self.node("Transpose", "", vec![linear], vec![("perm", Attr::Ints(vec![0, 2, 1]))]);
        let shift = self.gather(rows, 2, [2]);
        let shift = self.node("Transpose", "", vec![shift], vec![("perm", Attr::Ints(vec![0, 2, 1]))]);
        let mapped = self.node("MatMul", "", vec![pairs, linear], vec![]);
        let id = self.node("Add", "", vec![mapped, shift], vec![]);
        let shape = points.shape;
        Tensor { id: self.reshape(Tensor { id, shape }, &shape), shape }
    }

    fn rnn_from(&self, x: &Tensor, state: &Tensor, layer: Layer, rnn: Rnn) -> (Tensor, Tensor) {
        let text = format!("layer '{layer}' is recurrent; such layers are not written as ONNX");
        self.state.borrow_mut().problems.push(text);
        let [n, _, _, t] = x.shape;
        (Tensor { id: x.id, shape: [n, rnn.directions().len() * rnn.hidden, 1, t] }, *state)
    }

    fn lookahead(&self, x: &Tensor, layer: Layer, context: usize) -> Tensor {
        let [_, c, ..] = x.shape;
        let inputs = vec![x.id, self.weight(layer, "weight", &[c, 1, 1, context])];
        let attrs = vec![
            ("group", Attr::Int(c as i64)),
            ("kernel_shape", Attr::Ints(vec![1, context as i64])),
            ("pads", Attr::Ints(vec![0, 0, 0, context as i64 - 1])),
        ];
        Tensor { id: self.node("Conv", layer, inputs, attrs), shape: x.shape }
    }

    fn norm_modulate(&self, x: &Tensor, gamma_beta: &Tensor, act: Act) -> Tensor {
        let c = x.shape[1];
        let gamma = self.affine(&self.slice(gamma_beta, 0, c), 1.0, 1.0);
        let beta = self.slice(gamma_beta, c, c);
        let y = self.add(&self.mul(&self.normalise_plain(x), &gamma), &beta);
        self.act(&y, act)
    }

    fn name(&self, x: &Tensor, name: &str) {
        if let Some(slot) = self.state.borrow_mut().names.get_mut(x.id) {
            *slot = name.to_owned();
        }
    }
}
