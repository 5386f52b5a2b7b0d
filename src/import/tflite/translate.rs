//! What the operators of TensorFlow Lite, and those that MediaPipe adds, are over this project's operations.
//!
//! Pictures are n h w c there and n, c, h, w here; a matrix is 4x4 there and two rows of three here. The custom operators' meaning:
//! mediapipe/util/tflite/operations of <https://github.com/google-ai-edge/mediapipe>.

use super::flat::{self, Number, Table};
use super::model::{Code, Model, Operator};
use crate::nets::graph::{Convolution, Graph, Node, Value};
use crate::weights::{Array, Weights};
use std::collections::{BTreeMap, HashMap};

/// Why a file cannot be used.
pub enum Problem {
    Damaged,
    Unknown(String),
}

type Result<T> = std::result::Result<T, Problem>;

/// A tensor of the file in the graph.
#[derive(Debug, Clone)]
enum Known {
    /// A picture, or numbers that are one pixel's channels.
    Value(Value),
    /// Pictures whose numbers come one after the other in n h w c order.
    Parts(Vec<Value>),
    /// A 4x4 matrix of which the graph has the six numbers that matter.
    Matrix(Value),
    /// A constant.
    Constant(Vec<f32>),
}

struct Translation<'m, 'a> {
    model: &'m Model<'a>,
    known: HashMap<usize, Known>,
    /// How many operators take a tensor; outputs of the graph count too.
    uses: Vec<usize>,
    nodes: Vec<Node>,
    /// Values that are others with rows and columns of zeros around, which only convolutions take.
    padded: HashMap<Value, (Value, [usize; 2])>,
    weights: Weights,
}

/// Numbers of operators in the schema.
mod builtin {
    pub const ADD: i32 = 0;
    pub const AVERAGE_POOL: i32 = 1;
    pub const CONCATENATION: i32 = 2;
    pub const CONV: i32 = 3;
    pub const DEPTHWISE_CONV: i32 = 4;
    pub const DEPTH_TO_SPACE: i32 = 5;
    pub const DEQUANTIZE: i32 = 6;
    pub const LOGISTIC: i32 = 14;
    pub const MAX_POOL: i32 = 17;
    pub const MUL: i32 = 18;
    pub const RELU: i32 = 19;
    pub const RELU6: i32 = 21;
    pub const RESHAPE: i32 = 22;
    pub const RESIZE_BILINEAR: i32 = 23;
    pub const PAD: i32 = 34;
    pub const STRIDED_SLICE: i32 = 45;
    pub const PRELU: i32 = 54;
    pub const HARD_SWISH: i32 = 117;
    pub const DENSIFY: i32 = 124;
}

/// The graph of a file's first subgraph, and its weights. It is not checked yet.
pub fn translate(model: &Model) -> Result<(Graph, Weights)> {
    let [input] = model.inputs[..] else {
        return Err(Problem::Unknown(format!("it has {} inputs", model.inputs.len())));
    };
    let [1, h, w, c] = model.tensors[input].shape[..] else {
        return Err(Problem::Unknown(format!("its input has the shape {:?}", model.tensors[input].shape)));
    };
    let mut uses = vec![0; model.tensors.len()];
    let taken = model.operators.iter().flat_map(|o| o.inputs.iter().filter_map(|i| usize::try_from(*i).ok()));
    taken.chain(model.outputs.iter().copied()).for_each(|i| uses[i] += 1);
    let mut t = Translation {
        model,
        known: HashMap::new(),
        uses,
        nodes: Vec::new(),
        padded: HashMap::new(),
        weights: Weights::default(),
    };
    t.known.insert(input, Known::Value(0));
    for (number, operator) in model.operators.iter().enumerate() {
        let new = t.operator(number, operator)?;
        let [output] = operator.outputs[..] else { return Err(Problem::Damaged) };
        t.known.insert(output, new);
    }
    let mut outputs = Vec::new();
    for &i in &model.outputs {
        let name = &model.tensors[i].name;
        match t.known.get(&i) {
            Some(Known::Value(v) | Known::Matrix(v)) => outputs.push((name.clone(), *v)),
            Some(Known::Parts(parts)) if parts.len() == 1 => outputs.push((name.clone(), parts[0])),
            Some(Known::Parts(parts)) => {
                outputs.extend(parts.iter().enumerate().map(|(k, v)| (format!("{name}.{k}"), *v)));
            }
            Some(Known::Constant(_)) | None => return Err(Problem::Damaged),
        }
    }
    let padded: Vec<Value> = t.padded.keys().copied().collect();
    let graph = prune(Graph { input: [c, h, w], nodes: t.nodes, outputs }, &padded)?;
    Ok((graph, t.weights))
}

/// The graph without what no output needs. What stands for a padded value must be among that.
fn prune(mut graph: Graph, stand_ins: &[Value]) -> Result<Graph> {
    let mut live = vec![false; graph.nodes.len() + 1];
    graph.outputs.iter().for_each(|(_, v)| live[*v] = true);
    for (i, node) in graph.nodes.iter().enumerate().rev() {
        if live[i + 1] {
            node.takes().into_iter().flatten().for_each(|v| live[v] = true);
        }
    }
    if stand_ins.iter().any(|v| live[*v]) {
        return Err(Problem::Unknown("it pads what no convolution takes".into()));
    }
    let mut number = 0;
    let renumbered: Vec<Value> = live
        .iter()
        .enumerate()
        .map(|(v, live)| {
            number += usize::from(v > 0 && *live);
            number
        })
        .collect();
    let mut kept = live[1..].iter();
    graph.nodes.retain(|_| kept.next().is_some_and(|l| *l));
    graph.nodes.iter_mut().for_each(|node| node.renumber(&renumbered));
    graph.outputs.iter_mut().for_each(|(_, v)| *v = renumbered[*v]);
    Ok(graph)
}

impl Translation<'_, '_> {
    /// Appends an operation; the value that it makes.
    fn push(&mut self, node: Node) -> Known {
        self.nodes.push(node);
        Known::Value(self.nodes.len())
    }

    fn tensor(&self, operator: &Operator, i: usize) -> Result<usize> {
        let index = operator.inputs.get(i).copied().ok_or(Problem::Damaged)?;
        usize::try_from(index).map_err(|_| Problem::Damaged)
    }

    fn value(&self, operator: &Operator, i: usize) -> Result<Value> {
        match self.known.get(&self.tensor(operator, i)?) {
            Some(Known::Value(v)) => Ok(*v),
            _ => Err(Problem::Damaged),
        }
    }

    fn shape(&self, operator: &Operator, i: usize) -> Result<[usize; 4]> {
        let tensor = &self.model.tensors[self.tensor(operator, i)?];
        tensor.shape[..].try_into().map_err(|_| Problem::Damaged)
    }

    /// A constant input.
    fn constant(&self, operator: &Operator, i: usize) -> Result<Vec<f32>> {
        let index = self.tensor(operator, i)?;
        match self.known.get(&index) {
            Some(Known::Constant(values)) => Ok(values.clone()),
            Some(_) => Err(Problem::Unknown(format!("its tensor '{}' is no constant", self.model.tensors[index].name))),
            None => self.model.tensors[index].floats().ok_or(Problem::Damaged),
        }
    }

    fn ints(&self, operator: &Operator, i: usize) -> Result<Vec<i32>> {
        self.model.tensors[self.tensor(operator, i)?].ints().ok_or(Problem::Damaged)
    }

    /// Whether the operator is the only one that takes its input, so that both may become one operation.
    fn alone(&self, operator: &Operator, i: usize) -> Result<bool> {
        Ok(self.uses[self.tensor(operator, i)?] == 1)
    }

    fn operator(&mut self, number: usize, o: &Operator) -> Result<Known> {
        match &o.code {
            Code::Builtin(code) => self.builtin(number, *code, o),
            Code::Custom(name) => self.custom(number, name, o),
        }
    }

    fn builtin(&mut self, number: usize, code: i32, o: &Operator) -> Result<Known> {
        let option = |id: usize| o.options.map_or(Some(0), |t| t.byte(id)).ok_or(Problem::Damaged);
        Ok(match code {
            // Weights in half precision or with zeros left out: constants are floats here anyway.
            builtin::DEQUANTIZE | builtin::DENSIFY => Known::Constant(self.constant(o, 0)?),
            builtin::CONV => self.convolution(number, o, false)?,
            builtin::DEPTHWISE_CONV => self.convolution(number, o, true)?,
            builtin::PRELU => self.prelu(number, o)?,
            builtin::RELU => {
                let x = self.value(o, 0)?;
                let alone = self.alone(o, 0)?;
                self.relu(x, alone)
            }
            builtin::RELU6 => {
                let x = self.value(o, 0)?;
                self.push(Node::Clamp { x, low: 0.0, high: 6.0 })
            }
            builtin::HARD_SWISH => {
                let x = self.value(o, 0)?;
                self.push(Node::HardSwish { x })
            }
            builtin::LOGISTIC => {
                let x = self.value(o, 0)?;
                self.push(Node::Sigmoid { x })
            }
            builtin::ADD => {
                let (a, b) = (self.value(o, 0)?, self.value(o, 1)?);
                let sum = self.push(Node::Add { a, b });
                self.activation(sum, option(0)?)?
            }
            builtin::MUL => self.product(o)?,
            builtin::MAX_POOL | builtin::AVERAGE_POOL => self.pool(o, code == builtin::MAX_POOL)?,
            builtin::PAD => self.pad(o)?,
            builtin::RESIZE_BILINEAR => {
                // Fields: align corners, half-pixel centres.
                if option(2)? != 0 || option(3)? != 1 {
                    return Err(Problem::Unknown("it resizes without half-pixel centres".into()));
                }
                let x = self.value(o, 0)?;
                let size: Vec<usize> = self.ints(o, 1)?.iter().map(|n| usize::try_from(*n).unwrap_or(0)).collect();
                let [h, w] = size[..] else { return Err(Problem::Damaged) };
                self.push(Node::Resize { x, size: [h, w] })
            }
            builtin::DEPTH_TO_SPACE => self.depth_to_space(o)?,
            builtin::RESHAPE => self.reshape(o)?,
            builtin::CONCATENATION => {
                let mut parts = Vec::new();
                for i in 0..o.inputs.len() {
                    match self.known.get(&self.tensor(o, i)?) {
                        Some(Known::Parts(more)) => parts.extend(more),
                        _ => return Err(Problem::Unknown("it concatenates pictures".into())),
                    }
                }
                Known::Parts(parts)
            }
            builtin::STRIDED_SLICE => {
                let (from, to) = (self.tensor(o, 0)?, o.outputs.first().copied().ok_or(Problem::Damaged)?);
                if self.model.tensors[from].shape != self.model.tensors[to].shape {
                    return Err(Problem::Unknown("it cuts tensors".into()));
                }
                self.known.get(&from).cloned().ok_or(Problem::Damaged)?
            }
            other => return Err(Problem::Unknown(format!("it has operator {other}"))),
        })
    }

    /// `max(x, 0)`, in the convolution that makes `x` where nothing else takes it (`alone`).
    fn relu(&mut self, x: Value, alone: bool) -> Known {
        if let Some(Node::Conv { conv, .. }) = self.made(x).filter(|_| alone) {
            conv.relu = true;
            return Known::Value(x);
        }
        self.push(Node::Relu { x })
    }

    /// The operation that makes a value.
    fn made(&mut self, x: Value) -> Option<&mut Node> {
        self.nodes.get_mut(x.checked_sub(1)?)
    }

    /// The activation that an operator names in its options.
    fn activation(&mut self, x: Known, kind: u8) -> Result<Known> {
        const NONE: u8 = 0;
        const RELU: u8 = 1;
        const RELU6: u8 = 3;
        let Known::Value(value) = x else { return Err(Problem::Damaged) };
        Ok(match kind {
            NONE => x,
            RELU => self.relu(value, true),
            RELU6 => self.push(Node::Clamp { x: value, low: 0.0, high: 6.0 }),
            other => return Err(Problem::Unknown(format!("it has activation {other}"))),
        })
    }

    fn convolution(&mut self, number: usize, o: &Operator, depthwise: bool) -> Result<Known> {
        let x = self.value(o, 0)?;
        let [_, h, w, channels] = self.shape(o, 0)?;
        let kernel_tensor = self.shape(o, 1)?;
        let options = o.options.ok_or(Problem::Damaged)?;
        let int = |id: usize, default: i32| -> Result<usize> {
            options.int(id, default).and_then(|v| usize::try_from(v).ok()).ok_or(Problem::Damaged)
        };
        // Depthwise convolutions have the depth's multiple among their fields.
        let more = usize::from(depthwise);
        let (stride, dilation) = ([int(2, 0)?, int(1, 0)?], [int(5 + more, 1)?, int(4 + more, 1)?]);
        let activation = options.byte(3 + more).ok_or(Problem::Damaged)?;
        if dilation != [1, 1] || depthwise && int(3, 0)? != 1 {
            return Err(Problem::Unknown("it has dilated convolutions, or several outputs for each channel".into()));
        }
        let [first, kh, kw, last] = kernel_tensor;
        let out = if depthwise { last } else { first };
        if last != channels || channels == 0 || depthwise && first != 1 {
            return Err(Problem::Damaged);
        }
        let (pad, pad_after) = padding(&options, [h, w], [kh, kw], stride)?;
        let values = self.constant(o, 1)?;
        let inputs = if depthwise { 1 } else { channels };
        let taps = kh * kw;
        if values.len() != out * inputs * taps {
            return Err(Problem::Damaged);
        }
        let mut kernel = Vec::with_capacity(values.len());
        for k in 0..out {
            for i in 0..inputs {
                for tap in 0..taps {
                    kernel.push(values[if depthwise { tap * out + k } else { (k * taps + tap) * inputs + i }]);
                }
            }
        }
        let layer = format!("conv{number}");
        self.weights.insert(format!("{layer}.weight"), Array::f32([out, inputs, kh, kw], kernel));
        let bias = if o.inputs.get(2).is_some_and(|i| *i >= 0) { self.constant(o, 2)? } else { vec![0.0; out] };
        if bias.len() != out {
            return Err(Problem::Damaged);
        }
        self.weights.insert(format!("{layer}.bias"), Array::f32([out], bias));
        let groups = if depthwise { channels } else { 1 };
        // A pad operator before it, which nothing else needs, is its own padding.
        let (x, pad) = match self.padded.get(&x) {
            Some((inner, own)) if pad == [0, 0] && pad_after == [0, 0] => (*inner, *own),
            Some(_) => return Err(Problem::Unknown("it pads twice".into())),
            None => (x, pad),
        };
        let conv = Convolution { out, kernel: [kh, kw], stride, pad, pad_after, groups, relu: false };
        let made = self.push(Node::Conv { x, layer, conv });
        self.activation(made, activation)
    }

    fn prelu(&mut self, number: usize, o: &Operator) -> Result<Known> {
        let (x, alone) = (self.value(o, 0)?, self.alone(o, 0)?);
        let channels = self.shape(o, 0)?[3];
        let slopes = self.constant(o, 1)?;
        if slopes.len() != channels {
            return Err(Problem::Unknown("it has slopes for each pixel".into()));
        }
        let name = format!("prelu{number}");
        self.weights.insert(format!("{name}.weight"), Array::f32([channels], slopes));
        let merged = match self.made(x).filter(|_| alone) {
            Some(Node::Conv { x, layer, conv }) if !conv.relu => {
                Node::ConvPrelu { x: *x, layer: std::mem::take(layer), conv: *conv, slopes: name }
            }
            Some(Node::Add { a, b }) => Node::AddPrelu { a: *a, b: *b, slopes: name },
            _ => return Ok(self.push(Node::Prelu { x, slopes: name })),
        };
        self.nodes[x - 1] = merged;
        Ok(Known::Value(x))
    }

    fn product(&mut self, o: &Operator) -> Result<Known> {
        let is_constant = |t: &Self, i: usize| -> Result<bool> {
            let index = t.tensor(o, i)?;
            Ok(matches!(t.known.get(&index), Some(Known::Constant(_)))
                || !t.known.contains_key(&index) && t.model.tensors[index].is_constant())
        };
        if let Some(Known::Matrix(x)) = self.known.get(&self.tensor(o, 0)?) {
            let (x, by) = (*x, self.constant(o, 1)?);
            if by.len() != 16 {
                return Err(Problem::Damaged);
            }
            let by = [0, 1, 3, 4, 5, 7].map(|i| by[i]).to_vec();
            self.push(Node::Weigh { x, by });
            return Ok(Known::Matrix(self.nodes.len()));
        }
        if is_constant(self, 1)? {
            let (x, by) = (self.value(o, 0)?, self.constant(o, 1)?);
            return match by[..] {
                [by] => Ok(self.push(Node::Scale { x, by })),
                _ => Ok(self.push(Node::Weigh { x, by })),
            };
        }
        let (mut a, mut b) = (self.value(o, 0)?, self.value(o, 1)?);
        if self.shape(o, 0)?[1..3] == [1, 1] {
            std::mem::swap(&mut a, &mut b);
        }
        let made = self.push(Node::Mul { a, b });
        let activation = o.options.map_or(Some(0), |t| t.byte(0)).ok_or(Problem::Damaged)?;
        self.activation(made, activation)
    }

    fn pool(&mut self, o: &Operator, max: bool) -> Result<Known> {
        let x = self.value(o, 0)?;
        let [_, h, w, _] = self.shape(o, 0)?;
        let options = o.options.ok_or(Problem::Damaged)?;
        let int = |id: usize| options.int(id, 0).and_then(|v| usize::try_from(v).ok()).ok_or(Problem::Damaged);
        let (stride, kernel) = ([int(2)?, int(1)?], [int(4)?, int(3)?]);
        let pads = padding(&options, [h, w], kernel, stride)?;
        // Windows that would begin only partly inside are not reached.
        if pads != ([0, 0], [0, 0]) || kernel[0] != kernel[1] || stride[0] != stride[1] {
            return Err(Problem::Unknown(format!("it pools by {kernel:?} in steps of {stride:?} with padding")));
        }
        let (kernel, stride) = (kernel[0], stride[0]);
        let made =
            self.push(if max { Node::MaxPool { x, kernel, stride } } else { Node::AvgPool { x, kernel, stride } });
        self.activation(made, options.byte(5).ok_or(Problem::Damaged)?)
    }

    /// Channels of zeros, or rows and columns that belong to the convolution after it.
    fn pad(&mut self, o: &Operator) -> Result<Known> {
        let x = self.value(o, 0)?;
        let channels = self.shape(o, 0)?[3];
        let amounts: Vec<usize> = self.ints(o, 1)?.iter().map(|n| usize::try_from(*n).unwrap_or(usize::MAX)).collect();
        match amounts[..] {
            [0, 0, 0, 0, 0, 0, 0, more] if more < usize::MAX - channels => {
                Ok(self.push(Node::Widen { x, channels: channels + more }))
            }
            [0, 0, top, bottom, left, right, 0, 0] if top == bottom && left == right => {
                // Nothing is computed; the convolution will look up what it pads.
                let Known::Value(stand_in) = self.push(Node::Scale { x, by: 1.0 }) else {
                    return Err(Problem::Damaged);
                };
                self.padded.insert(stand_in, (x, [top, left]));
                Ok(Known::Value(stand_in))
            }
            _ => Err(Problem::Unknown(format!("it pads by {amounts:?}"))),
        }
    }

    /// `depth_to_space` has a pixel's place before its channel, `pixel_shuffle` behind it: the convolution that makes the
    /// channels gives them in the other order.
    fn depth_to_space(&mut self, o: &Operator) -> Result<Known> {
        let (x, alone) = (self.value(o, 0)?, self.alone(o, 0)?);
        let channels = self.shape(o, 0)?[3];
        let factor =
            o.options.and_then(|t| t.int(0, 0)).and_then(|f| usize::try_from(f).ok()).ok_or(Problem::Damaged)?;
        let square =
            factor.checked_mul(factor).filter(|s| *s > 0 && channels.is_multiple_of(*s)).ok_or(Problem::Damaged)?;
        if !alone {
            return Err(Problem::Unknown("it rearranges what something else takes too".into()));
        }
        let out = channels / square;
        // Channel `c` at place `s` was number `s out + c`.
        let order: Vec<usize> = (0..out).flat_map(|c| (0..square).map(move |s| s * out + c)).collect();
        self.reorder(x, &order)?;
        Ok(self.push(Node::PixelShuffle { x, factor }))
    }

    /// Makes the convolution that gives a value give its channels in another order: `order[k]` is where the new channel `k` was. One
    /// that takes each channel by itself must get them in that order too.
    fn reorder(&mut self, x: Value, order: &[usize]) -> Result<()> {
        let Some(Node::Conv { x: input, layer, conv }) = self.made(x).cloned() else {
            return Err(Problem::Unknown("it rearranges what no convolution makes".into()));
        };
        if conv.groups > 1 {
            // What only stands for a padded value takes nothing.
            let computed = self.nodes.iter().enumerate().filter(|(i, _)| !self.padded.contains_key(&(i + 1)));
            let takers = computed.flat_map(|(_, node)| node.takes()).filter(|v| *v == Some(input)).count();
            if conv.groups != order.len() || takers != 1 {
                return Err(Problem::Unknown("it rearranges groups of channels".into()));
            }
            self.reorder(input, order)?;
        }
        for part in ["weight", "bias"] {
            let array = self.weights.arrays.get_mut(&format!("{layer}.{part}")).ok_or(Problem::Damaged)?;
            let values = array.as_f32().filter(|v| v.len().is_multiple_of(order.len())).ok_or(Problem::Damaged)?;
            let len = values.len() / order.len();
            let values = order.iter().flat_map(|k| values[k * len..(k + 1) * len].to_vec()).collect();
            *array = Array::f32(array.shape.clone(), values);
        }
        Ok(())
    }

    /// The same numbers under another shape: those of one pixel stay what they are, those of a picture may only come out.
    fn reshape(&self, o: &Operator) -> Result<Known> {
        let from = self.tensor(o, 0)?;
        let known = self.known.get(&from).cloned().ok_or(Problem::Damaged)?;
        match (known, &self.model.tensors[from].shape[..]) {
            (Known::Value(v), [1, 1, 1, _] | [1, _, _]) => Ok(Known::Value(v)),
            (Known::Value(v), [1, _, _, _]) => Ok(Known::Parts(vec![v])),
            _ => Err(Problem::Unknown("it gives tensors other shapes".into())),
        }
    }

    fn custom(&mut self, number: usize, name: &str, o: &Operator) -> Result<Known> {
        match name {
            "Landmarks2TransformMatrix" => self.crop_matrix(o),
            "TransformTensorBilinear" => {
                let (x, matrix) = (self.value(o, 0)?, self.matrix(o, 1)?);
                let numbers = Numbers::read(o)?;
                let size = [numbers.whole("output_height")?, numbers.whole("output_width")?];
                Ok(self.push(Node::Sample { x, matrix, size }))
            }
            "TransformLandmarks" => {
                let (points, matrix) = (self.value(o, 0)?, self.matrix(o, 1)?);
                Ok(self.push(Node::MapPoints { points, matrix }))
            }
            "Convolution2DTransposeBias" => self.transposed(number, o),
            other => Err(Problem::Unknown(format!("it has the custom operator '{other}'"))),
        }
    }

    fn matrix(&self, o: &Operator, i: usize) -> Result<Value> {
        match self.known.get(&self.tensor(o, i)?) {
            Some(Known::Matrix(v)) => Ok(*v),
            _ => Err(Problem::Damaged),
        }
    }

    fn crop_matrix(&mut self, o: &Operator) -> Result<Known> {
        let x = self.value(o, 0)?;
        let numbers = Numbers::read(o)?;
        let node = Node::CropMatrix {
            x,
            from: numbers.whole("left_rotation_idx")?,
            to: numbers.whole("right_rotation_idx")?,
            turn: numbers.one("target_rotation_radians")? as f32,
            points: numbers.many("subset_idxs")?,
            scale: [numbers.one("scale_x")? as f32, numbers.one("scale_y")? as f32],
            size: [numbers.whole("output_height")?, numbers.whole("output_width")?],
        };
        self.push(node);
        Ok(Known::Matrix(self.nodes.len()))
    }

    /// A transposed convolution whose windows do not overlap: every pixel becomes a block of its own.
    fn transposed(&mut self, number: usize, o: &Operator) -> Result<Known> {
        let x = self.value(o, 0)?;
        let [out, kh, kw, channels] = self.shape(o, 1)?;
        // Padding (an enumeration), columns and rows from one window to the next.
        let ints: Vec<i32> = o.custom.as_chunks().0.iter().map(|b| i32::from_le_bytes(*b)).collect();
        if ints.get(1..3) != Some(&[kw as i32, kh as i32][..]) || kh != kw || channels != self.shape(o, 0)?[3] {
            return Err(Problem::Unknown("it has transposed convolutions that overlap".into()));
        }
        let (values, bias) = (self.constant(o, 1)?, self.constant(o, 2)?);
        let block = kh * kw;
        if values.len() != out * block * channels || bias.len() != out {
            return Err(Problem::Damaged);
        }
        let layer = format!("conv{number}");
        self.weights.insert(format!("{layer}.weight"), Array::f32([out * block, channels, 1, 1], values));
        let bias = bias.iter().flat_map(|b| vec![*b; block]).collect();
        self.weights.insert(format!("{layer}.bias"), Array::f32([out * block], bias));
        let conv = Convolution {
            out: out * block,
            kernel: [1, 1],
            stride: [1, 1],
            pad: [0, 0],
            pad_after: [0, 0],
            groups: 1,
            relu: false,
        };
        self.push(Node::Conv { x, layer, conv });
        let x = self.nodes.len();
        Ok(self.push(Node::PixelShuffle { x, factor: kh }))
    }
}

/// The padding that an operator's options ask for: before, and what comes to it after.
fn padding(
    options: &Table,
    size: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
) -> Result<([usize; 2], [usize; 2])> {
    const SAME: u8 = 0;
    if kernel.contains(&0) || stride.contains(&0) {
        return Err(Problem::Damaged);
    }
    if options.byte(0).ok_or(Problem::Damaged)? != SAME {
        return Ok(([0, 0], [0, 0]));
    }
    let all: [usize; 2] = std::array::from_fn(|i| {
        let out = size[i].div_ceil(stride[i]).max(1);
        ((out - 1) * stride[i]).saturating_add(kernel[i]).saturating_sub(size[i])
    });
    let before = all.map(|n| n / 2);
    Ok((before, std::array::from_fn(|i| all[i] - 2 * before[i])))
}

/// The options of a custom operator.
struct Numbers(BTreeMap<String, Number>);

impl Numbers {
    fn read(o: &Operator) -> Result<Numbers> {
        flat::numbers(o.custom).map(Numbers).ok_or(Problem::Damaged)
    }

    fn one(&self, name: &str) -> Result<f64> {
        match self.0.get(name) {
            Some(Number::One(v)) if v.is_finite() => Ok(*v),
            _ => Err(Problem::Damaged),
        }
    }

    fn whole(&self, name: &str) -> Result<usize> {
        let v = self.one(name)?;
        if v.fract() == 0.0 && (0.0..65536.0).contains(&v) { Ok(v as usize) } else { Err(Problem::Damaged) }
    }

    fn many(&self, name: &str) -> Result<Vec<usize>> {
        match self.0.get(name) {
            Some(Number::Many(all)) if all.iter().all(|v| v.fract() == 0.0 && (0.0..65536.0).contains(v)) => {
                Ok(all.iter().map(|v| *v as usize).collect())
            }
            _ => Err(Problem::Damaged),
        }
    }
}
