//! A network that is data: operations of [`Ops`] in a list, as an importer translated them from a file.
//!
//! Networks of this project are functions. Those of others come as graphs (TensorFlow Lite); a pack keeps such a graph in its
//! component's configuration and the layers' weights beside it. What reads foreign files does not belong here.

use crate::engine::{Act, Conv, Crop, Ops, Pad, Resize, shape};
use crate::weights::Weights;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The most operations of a graph.
const MOST_NODES: usize = 4096;
/// The largest side of a picture, kernel or stride, and the most channels, of any value of a graph.
const MOST: usize = 1 << 13;
/// The most values in one tensor of a graph.
const MOST_VALUES: usize = 1 << 24;

/// A value of a graph: 0 is its input, `i + 1` what operation `i` makes.
pub type Value = usize;

/// A convolution's numbers; see [`Conv`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// Output channels.
    pub out: usize,
    /// Height and width.
    pub kernel: [usize; 2],
    /// Rows and columns.
    pub stride: [usize; 2],
    /// Above and below, left and right.
    pub pad: [usize; 2],
    /// Further below, further right.
    pub pad_after: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
    /// Whether `max(x, 0)` follows.
    pub relu: bool,
}

impl Convolution {
    fn conv(&self) -> Conv {
        let pair = |p: [usize; 2]| (p[0], p[1]);
        Conv {
            out: self.out,
            kernel: pair(self.kernel),
            stride: pair(self.stride),
            pad: pair(self.pad),
            pad_after: pair(self.pad_after),
            pad_mode: Pad::Zero,
            groups: self.groups,
            bias: true,
            spectral: false,
            act: if self.relu { Act::Relu } else { Act::None },
        }
    }
}

/// One operation; the tensors that it takes are values made before it. `layer` and `slopes` name weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields are the arguments of the operations that the variants name")]
pub enum Node {
    /// [`Ops::conv2d`].
    Conv { x: Value, layer: String, conv: Convolution },
    /// [`Ops::conv_prelu`].
    ConvPrelu { x: Value, layer: String, conv: Convolution, slopes: String },
    /// [`Ops::prelu`].
    Prelu { x: Value, slopes: String },
    /// [`Ops::relu`].
    Relu { x: Value },
    /// [`Ops::clamp`].
    Clamp { x: Value, low: f32, high: f32 },
    /// `x clamp(x + 3, 0, 6) / 6`.
    HardSwish { x: Value },
    /// [`Ops::sigmoid`].
    Sigmoid { x: Value },
    /// [`Ops::add`].
    Add { a: Value, b: Value },
    /// [`Ops::add_prelu`].
    AddPrelu { a: Value, b: Value, slopes: String },
    /// [`Ops::mul`].
    Mul { a: Value, b: Value },
    /// Every channel times a number of its own.
    Weigh { x: Value, by: Vec<f32> },
    /// Everything times a number.
    Scale { x: Value, by: f32 },
    /// [`Ops::max_pool`] without padding.
    MaxPool { x: Value, kernel: usize, stride: usize },
    /// [`Ops::avg_pool`] without padding.
    AvgPool { x: Value, kernel: usize, stride: usize },
    /// [`Ops::widen`].
    Widen { x: Value, channels: usize },
    /// [`Ops::resize`], bilinear.
    Resize { x: Value, size: [usize; 2] },
    /// [`Ops::pixel_shuffle`].
    PixelShuffle { x: Value, factor: usize },
    /// [`Ops::crop_matrix`].
    CropMatrix { x: Value, from: usize, to: usize, turn: f32, points: Vec<usize>, scale: [f32; 2], size: [usize; 2] },
    /// [`Ops::sample`].
    Sample { x: Value, matrix: Value, size: [usize; 2] },
    /// [`Ops::map_points`].
    MapPoints { points: Value, matrix: Value },
}

/// The places of the values that a node takes, as references of the kind that the node is.
macro_rules! taken {
    ($node:expr) => {
        match $node {
            Node::Conv { x, .. }
            | Node::ConvPrelu { x, .. }
            | Node::Prelu { x, .. }
            | Node::Relu { x }
            | Node::Clamp { x, .. }
            | Node::HardSwish { x }
            | Node::Sigmoid { x }
            | Node::Weigh { x, .. }
            | Node::Scale { x, .. }
            | Node::MaxPool { x, .. }
            | Node::AvgPool { x, .. }
            | Node::Widen { x, .. }
            | Node::Resize { x, .. }
            | Node::PixelShuffle { x, .. }
            | Node::CropMatrix { x, .. } => [Some(x), None],
            Node::Add { a, b } | Node::AddPrelu { a, b, .. } | Node::Mul { a, b } => [Some(a), Some(b)],
            Node::Sample { x, matrix, .. } => [Some(x), Some(matrix)],
            Node::MapPoints { points, matrix } => [Some(points), Some(matrix)],
        }
    };
}

impl Node {
    /// The values that it takes.
    pub fn takes(&self) -> [Option<Value>; 2] {
        let [first, second] = taken!(self);
        [first.copied(), second.copied()]
    }

    /// Gives the values that it takes the numbers `new[value]`.
    ///
    /// # Panics
    /// Where a value has no number there.
    pub fn renumber(&mut self, new: &[Value]) {
        taken!(self).into_iter().flatten().for_each(|v| *v = new[*v]);
    }

    /// The sizes in it, of which each must be between 1 and [`MOST`].
    fn sizes(&self) -> Vec<usize> {
        match self {
            Node::Conv { conv: c, .. } | Node::ConvPrelu { conv: c, .. } => {
                [&c.kernel[..], &c.stride, &[c.out, c.groups]].concat()
            }
            Node::MaxPool { kernel, stride, .. } | Node::AvgPool { kernel, stride, .. } => vec![*kernel, *stride],
            Node::Widen { channels, .. } => vec![*channels],
            Node::Resize { size, .. } | Node::Sample { size, .. } | Node::CropMatrix { size, .. } => size.to_vec(),
            Node::PixelShuffle { factor, .. } => vec![*factor],
            _ => vec![],
        }
    }
}

/// How an operation is run.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// By itself.
    Own,
    /// Together with the one that takes it.
    Later,
    /// As [`Ops::add_relu`].
    AddRelu(Value, Value),
}

/// A network with one input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// Channels, height and width of its input.
    pub input: [usize; 3],
    /// In an order in which each can be computed.
    pub nodes: Vec<Node>,
    /// What comes out, by name.
    pub outputs: Vec<(String, Value)>,
}

impl Graph {
    /// The graph in a component's configuration.
    ///
    /// # Errors
    /// [`Error::Model`], saying what in it is no graph.
    pub fn from_config(config: &serde_json::Map<String, serde_json::Value>) -> Result<Graph> {
        let wrong =
            |e: String| Error::model(format!("the component's graph cannot be used ({e}): import the pack again"));
        let graph = config.get("graph").ok_or_else(|| wrong("there is none".into()))?;
        Graph::deserialize(graph).map_err(|e| wrong(e.to_string()))
    }

    /// Runs it on pictures `[n, c, h, w]` of its input's size; outputs with their names. It must have passed [`Graph::check`].
    ///
    /// # Panics
    /// For a graph that would not pass.
    pub fn run<O: Ops>(&self, ops: &O, x: &O::Tensor) -> Vec<(String, O::Tensor)> {
        let (plan, takes) = self.plan();
        // A value is let go after its last use, so that its memory serves again.
        let mut last = vec![0; self.nodes.len() + 1];
        for (i, takes) in takes.iter().enumerate() {
            takes.iter().flatten().for_each(|v| last[*v] = i + 1);
        }
        self.outputs.iter().for_each(|(_, v)| last[*v] = usize::MAX);
        let mut values: Vec<Option<O::Tensor>> = Vec::with_capacity(self.nodes.len() + 1);
        values.push(Some(x.clone()));
        for (i, (node, plan)) in self.nodes.iter().zip(plan).enumerate() {
            let new = {
                let at =
                    |v: Value| values[v].as_ref().unwrap_or_else(|| panic!("value {v} is used after its last use"));
                match plan {
                    Plan::Own => Some(step(ops, node, &at)),
                    Plan::Later => None,
                    Plan::AddRelu(a, b) => Some(ops.add_relu(at(a), at(b))),
                }
            };
            values.push(new);
            for v in takes[i].iter().flatten().filter(|v| last[**v] == i + 1) {
                values[*v] = None;
            }
        }
        let out =
            |(name, v): &(String, Value)| (name.clone(), values[*v].clone().unwrap_or_else(|| panic!("'{name}'")));
        self.outputs.iter().map(out).collect()
    }

    /// How each operation is run, and what it then takes: `max(a + b, 0)` in one, where nothing else takes the sum.
    fn plan(&self) -> (Vec<Plan>, Vec<[Option<Value>; 2]>) {
        let mut takes: Vec<[Option<Value>; 2]> = self.nodes.iter().map(Node::takes).collect();
        let mut uses = vec![0; self.nodes.len() + 1];
        let taken = takes.iter().flatten().flatten().chain(self.outputs.iter().map(|(_, v)| v));
        taken.for_each(|v| uses[*v] += 1);
        // What makes a value that one operation alone takes.
        let only = |v: Value| v.checked_sub(1).and_then(|i| self.nodes.get(i)).filter(|_| uses[v] == 1);
        let mut plan = vec![Plan::Own; self.nodes.len()];
        for (i, node) in self.nodes.iter().enumerate() {
            let Node::Relu { x } = node else { continue };
            let Some(Node::Add { a, b }) = only(*x) else { continue };
            let mut gone = vec![*x - 1];
            let mut pair = (*a, *b);
            for (wide, other) in [(*a, *b), (*b, *a)] {
                if let Some(Node::Widen { x, .. }) = only(wide) {
                    gone.push(wide - 1);
                    pair = (*x, other);
                    break;
                }
            }
            for n in gone {
                (plan[n], takes[n]) = (Plan::Later, [None; 2]);
            }
            (plan[i], takes[i]) = (Plan::AddRelu(pair.0, pair.1), [Some(pair.0), Some(pair.1)]);
        }
        (plan, takes)
    }

    /// Checks that it can be run and that `weights` fit it. A graph may come from a file that somebody made by hand: after this
    /// no operation can be asked for something that it cannot do.
    ///
    /// # Errors
    /// [`Error::Model`], naming the operation or the layer.
    pub fn check(&self, weights: &Weights) -> Result<shape::Checked> {
        let wrong = |text: String| {
            Err(Error::model(format!("the component's graph cannot be used ({text}): import the pack again")))
        };
        let [c, h, w] = self.input;
        if self.nodes.len() > MOST_NODES || self.outputs.is_empty() {
            return wrong(format!("{} operations, {} outputs", self.nodes.len(), self.outputs.len()));
        }
        if [c, h, w].iter().any(|n| !(1..=MOST).contains(n)) || c * h * w > MOST_VALUES {
            return wrong(format!("an input of {c} x {h} x {w}"));
        }
        if let Some((name, v)) = self.outputs.iter().find(|(_, v)| *v > self.nodes.len()) {
            return wrong(format!("output '{name}' is value {v} of {}", self.nodes.len()));
        }
        for (i, node) in self.nodes.iter().enumerate() {
            if node.takes().into_iter().flatten().any(|v| v > i) || node.sizes().iter().any(|n| !(1..=MOST).contains(n))
            {
                return wrong(format!("operation {i}, {node:?}"));
            }
        }
        // On shapes, one operation at a time: a shape that makes no sense must not reach the next.
        let found = std::cell::RefCell::new(None);
        let checked = shape::check(weights, |ops| {
            let mut values = vec![[1, c, h, w]];
            for (i, node) in self.nodes.iter().enumerate() {
                let problem = if suits(node, &values) {
                    let new = step(ops, node, &|v: Value| &values[v]);
                    let fits =
                        new.iter().all(|n| (1..=MOST).contains(n)) && new.iter().product::<usize>() <= MOST_VALUES;
                    values.push(new);
                    !fits
                } else {
                    true
                };
                if problem {
                    *found.borrow_mut() = Some(format!("operation {i}, {node:?}, does not fit what comes before it"));
                    return;
                }
            }
        });
        match found.into_inner() {
            Some(text) => wrong(text),
            None => checked,
        }
    }
}

/// Whether an operation can be asked of values of these shapes at all; whether its weights fit is the shape checker's business.
fn suits(node: &Node, values: &[[usize; 4]]) -> bool {
    match node {
        Node::Conv { x, conv: c, .. } | Node::ConvPrelu { x, conv: c, .. } => {
            let [_, channels, h, w] = values[*x];
            let most = |p: [usize; 2]| p.iter().all(|n| *n <= MOST);
            most(c.pad)
                && most(c.pad_after)
                && channels.is_multiple_of(c.groups)
                && c.out.is_multiple_of(c.groups)
                && h + 2 * c.pad[0] + c.pad_after[0] >= c.kernel[0]
                && w + 2 * c.pad[1] + c.pad_after[1] >= c.kernel[1]
        }
        Node::MaxPool { x, kernel, .. } | Node::AvgPool { x, kernel, .. } => {
            values[*x][2] >= *kernel && values[*x][3] >= *kernel
        }
        Node::PixelShuffle { x, factor } => values[*x][1].is_multiple_of(factor * factor),
        Node::Weigh { x, by } => values[*x][1] == by.len(),
        Node::Add { a, b } | Node::AddPrelu { a, b, .. } => values[*a] == values[*b],
        _ => true,
    }
}

/// One operation.
fn step<'a, O: Ops>(ops: &O, node: &Node, at: &dyn Fn(Value) -> &'a O::Tensor) -> O::Tensor
where
    O::Tensor: 'a,
{
    match node {
        Node::Conv { x, layer, conv } => ops.conv2d(at(*x), layer, conv.conv()),
        Node::ConvPrelu { x, layer, conv, slopes } => ops.conv_prelu(at(*x), layer, conv.conv(), slopes),
        Node::Prelu { x, slopes } => ops.prelu(at(*x), slopes),
        Node::Relu { x } => ops.relu(at(*x)),
        Node::Clamp { x, low, high } => ops.clamp(at(*x), *low, *high),
        Node::HardSwish { x } => {
            let x = at(*x);
            ops.mul(x, &ops.affine(&ops.clamp(&ops.affine(x, 1.0, 3.0), 0.0, 6.0), 1.0 / 6.0, 0.0))
        }
        Node::Sigmoid { x } => ops.sigmoid(at(*x)),
        Node::Add { a, b } => ops.add(at(*a), at(*b)),
        Node::AddPrelu { a, b, slopes } => ops.add_prelu(at(*a), at(*b), slopes),
        Node::Mul { a, b } => ops.mul(at(*a), at(*b)),
        Node::Weigh { x, by } => {
            let n = ops.shape(at(*x))[0];
            ops.mul(at(*x), &ops.tensor([n, by.len(), 1, 1], &by.repeat(n)))
        }
        Node::Scale { x, by } => ops.affine(at(*x), *by, 0.0),
        Node::MaxPool { x, kernel, stride } => ops.max_pool(at(*x), *kernel, *stride, 0, false),
        Node::AvgPool { x, kernel, stride } => ops.avg_pool(at(*x), *kernel, *stride, 0, false),
        Node::Widen { x, channels } => ops.widen(at(*x), *channels),
        Node::Resize { x, size } => ops.resize(at(*x), size[0], size[1], Resize::Bilinear),
        Node::PixelShuffle { x, factor } => ops.pixel_shuffle(at(*x), *factor),
        Node::CropMatrix { x, from, to, turn, points, scale, size } => {
            let (scale, size) = ((scale[0], scale[1]), (size[0], size[1]));
            ops.crop_matrix(at(*x), Crop { from: *from, to: *to, turn: *turn, points, scale, size })
        }
        Node::Sample { x, matrix, size } => ops.sample(at(*x), at(*matrix), size[0], size[1]),
        Node::MapPoints { points, matrix } => ops.map_points(at(*points), at(*matrix)),
    }
}
