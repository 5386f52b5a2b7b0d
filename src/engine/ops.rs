//! The only vocabulary a network uses.
//!
//! An executor owns the weights and looks them up by layer name, so that a network is a plain function
//! from tensors to tensors and its layer names are the checkpoint's keys. Shapes are logical
//! `[n, c, h, w]` whatever the executor's memory layout is. Networks are run through
//! [`shape::check`](crate::engine::shape::check) when weights are loaded; after that an executor may
//! rely on every layer being there with the right shape, so operations return tensors, not results.

/// What follows a convolution or a normalisation in the same pass.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Act {
    /// Nothing.
    #[default]
    None,
    /// `max(x, 0)`.
    Relu,
    /// Slope of the negative side.
    Leaky(f32),
}

/// How a convolution continues its input beyond the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pad {
    /// Zeros.
    #[default]
    Zero,
    /// Mirror without repeating the border pixel (PyTorch's `ReflectionPad2d`).
    Reflect,
}

/// Interpolation of [`Ops::resize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resize {
    /// `src = floor(dst * in / out)`, PyTorch's `nearest`.
    Nearest,
    /// Half-pixel centres, border clamped, PyTorch's `bilinear` with `align_corners=False`.
    Bilinear,
}

/// A 2-D convolution. Weights: `<layer>.weight` of shape `[out, in / groups, kh, kw]`, `<layer>.bias` of `[out]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv {
    /// Output channels.
    pub out: usize,
    /// Kernel height and width.
    pub kernel: (usize, usize),
    /// Rows and columns from one window to the next.
    pub stride: (usize, usize),
    /// Padding rows above and below, columns left and right.
    pub pad: (usize, usize),
    /// Further rows of padding below, columns right (TensorFlow's `SAME` pads the end more than the beginning); for zeros only.
    pub pad_after: (usize, usize),
    /// What stands in the padding.
    pub pad_mode: Pad,
    /// Groups of channels.
    pub groups: usize,
    /// Whether the layer has a bias.
    pub bias: bool,
    /// Whether the layer is trained with spectral normalisation (files for inference hold it folded).
    pub spectral: bool,
    /// What follows it.
    pub act: Act,
}

impl Conv {
    /// A square kernel of odd size with "same" padding, stride 1, with bias.
    pub const fn same(out: usize, k: usize) -> Conv {
        Conv {
            out,
            kernel: (k, k),
            stride: (1, 1),
            pad: (k / 2, k / 2),
            pad_after: (0, 0),
            pad_mode: Pad::Zero,
            groups: 1,
            bias: true,
            spectral: false,
            act: Act::None,
        }
    }
    /// In steps of so many pixels.
    pub const fn stride(mut self, stride: usize) -> Conv {
        self.stride = (stride, stride);
        self
    }
    /// With so many pixels around.
    pub const fn pad(mut self, pad: usize) -> Conv {
        self.pad = (pad, pad);
        self
    }
    /// Pads by reflection instead of zeros.
    pub const fn reflect(mut self) -> Conv {
        self.pad_mode = Pad::Reflect;
        self
    }
    /// In so many groups of channels.
    pub const fn groups(mut self, groups: usize) -> Conv {
        self.groups = groups;
        self
    }
    /// Without bias.
    pub const fn no_bias(mut self) -> Conv {
        self.bias = false;
        self
    }
    /// With spectral norm.
    pub const fn spectral(mut self) -> Conv {
        self.spectral = true;
        self
    }
    /// Followed by this.
    pub const fn act(mut self, act: Act) -> Conv {
        self.act = act;
        self
    }
    /// Height and width of the output for an input of `h x w`.
    pub fn out_size(&self, h: usize, w: usize) -> (usize, usize) {
        let f = |n: usize, k: usize, stride: usize| n.saturating_sub(k) / stride + 1;
        let (h, w) = self.padded_size(h, w);
        (f(h, self.kernel.0, self.stride.0), f(w, self.kernel.1, self.stride.1))
    }
    /// Height and width of an input of `h x w` with its padding.
    pub fn padded_size(&self, h: usize, w: usize) -> (usize, usize) {
        (h + 2 * self.pad.0 + self.pad_after.0, w + 2 * self.pad.1 + self.pad_after.1)
    }
}

/// A window on a picture that follows landmarks ([`Ops::crop_matrix`]).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crop<'a> {
    /// The direction between these two landmarks runs in the window at the angle `turn`.
    pub from: usize,
    /// See `from`.
    pub to: usize,
    /// Radians.
    pub turn: f32,
    /// The landmarks that the window is around.
    pub points: &'a [usize],
    /// The window's width and height in those of their bounding box, in the window's direction.
    pub scale: (f32, f32),
    /// Height and width of the window in its own pixels.
    pub size: (usize, usize),
}

impl Crop<'_> {
    /// The matrix by definition, of landmarks x, y, z after each other. Where the two landmarks coincide the matrix is 0.
    pub fn matrix(&self, landmarks: &[f32]) -> [f32; 6] {
        let at = |i: usize| [landmarks[3 * i], landmarks[3 * i + 1]];
        let (a, b) = (at(self.from), at(self.to));
        let d = [b[0] - a[0], b[1] - a[1]];
        let length = (d[0] * d[0] + d[1] * d[1]).sqrt().max(1e-12);
        let (c, s) = (d[0] / length, d[1] / length);
        let (sin, cos) = self.turn.sin_cos();
        // Of the angle by which landmarks are turned into the window.
        let (cos, sin) = (cos * c + sin * s, sin * c - cos * s);
        let (mut low, mut high) = ([f32::INFINITY; 2], [f32::NEG_INFINITY; 2]);
        for [x, y] in self.points.iter().map(|&i| at(i)) {
            for (k, v) in [cos * x - sin * y, sin * x + cos * y].into_iter().enumerate() {
                low[k] = low[k].min(v);
                high[k] = high[k].max(v);
            }
        }
        let (h, w) = (self.size.0 as f32, self.size.1 as f32);
        let scale = [self.scale.0 * (high[0] - low[0]) / w, self.scale.1 * (high[1] - low[1]) / h];
        let middle = [(low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0];
        let [x0, y0] = [middle[0] - scale[0] * w / 2.0, middle[1] - scale[1] * h / 2.0];
        [cos * scale[0], sin * scale[1], cos * x0 + sin * y0, -sin * scale[0], cos * scale[1], cos * y0 - sin * x0]
    }
}

/// The cell of a recurrent layer, PyTorch's equations and order of gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    /// `h = tanh(x + h)`, one gate.
    #[serde(rename = "rnn")]
    Tanh,
    /// Reset, update, new.
    Gru,
    /// Input, forget, cell, output.
    Lstm,
}

impl Cell {
    /// How many times as many rows as hidden values its matrices have.
    pub const fn gates(self) -> usize {
        match self {
            Cell::Tanh => 1,
            Cell::Gru => 3,
            Cell::Lstm => 4,
        }
    }
}

/// A recurrent layer. Weights, PyTorch's: `<layer>.weight_ih_l0` of `[gates hidden, inputs]`, `<layer>.weight_hh_l0` of
/// `[gates hidden, hidden]`, `<layer>.bias_ih_l0` and `<layer>.bias_hh_l0` of `[gates hidden]`; those of the direction from the end
/// to the beginning have `_reverse` after their name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rnn {
    /// What each step computes.
    pub cell: Cell,
    /// Values of the state.
    pub hidden: usize,
    /// Whether it also runs from the end to the beginning.
    pub bidirectional: bool,
}

impl Rnn {
    /// What the names of each direction's weights end with.
    pub fn directions(&self) -> &'static [&'static str] {
        if self.bidirectional { &["l0", "l0_reverse"] } else { &["l0"] }
    }

    /// Values of what the layer remembers of one sequence: each direction's hidden values, then, with an LSTM, each direction's cell.
    pub fn state(&self) -> usize {
        let parts = if self.cell == Cell::Lstm { 2 } else { 1 };
        parts * self.directions().len() * self.hidden
    }
}

/// A layer's name, as the checkpoint writes it without the trailing `.weight`.
pub type Layer<'a> = &'a str;

/// The operations on tensors and plain values as a table, for executors that treat all of them alike: `operations!(each)` is
/// `each! { fn NAME(&self, TENSOR: &Self::Tensor, ..; VALUE: TYPE, ..); .. }`. What is not in it ([`Ops::shape`],
/// [`Ops::tensor`], [`Ops::concat`], [`Ops::rnn_from`]) is of another form; [`Ops::rnn`] and [`Ops::act`] are made of others.
macro_rules! operations {
    ($each:ident) => {
        $each! {
            fn conv2d(&self, x: &Self::Tensor; layer: Layer, conv: Conv);
            fn linear(&self, x: &Self::Tensor; layer: Layer, out: usize);
            fn batch_norm(&self, x: &Self::Tensor; layer: Layer, eps: f32);
            fn instance_norm(&self, x: &Self::Tensor; affine: Option<Layer>, act: Act);
            fn relu(&self, x: &Self::Tensor;);
            fn leaky_relu(&self, x: &Self::Tensor; slope: f32);
            fn prelu(&self, x: &Self::Tensor; layer: Layer);
            fn tanh(&self, x: &Self::Tensor;);
            fn sigmoid(&self, x: &Self::Tensor;);
            fn softmax(&self, x: &Self::Tensor;);
            fn max_pool(&self, x: &Self::Tensor; kernel: usize, stride: usize, pad: usize, ceil: bool);
            fn avg_pool(&self, x: &Self::Tensor; kernel: usize, stride: usize, pad: usize, count_pad: bool);
            fn pixel_shuffle(&self, x: &Self::Tensor; r: usize);
            fn resize(&self, x: &Self::Tensor; h: usize, w: usize, mode: Resize);
            fn slice(&self, x: &Self::Tensor; start: usize, len: usize);
            fn add(&self, a: &Self::Tensor, b: &Self::Tensor;);
            fn mul(&self, a: &Self::Tensor, b: &Self::Tensor;);
            fn affine(&self, x: &Self::Tensor; a: f32, b: f32);
            fn clamp(&self, x: &Self::Tensor; low: f32, high: f32);
            fn warp(&self, image: &Self::Tensor, flow: &Self::Tensor;);
            fn widen(&self, x: &Self::Tensor; channels: usize);
            fn crop_matrix(&self, landmarks: &Self::Tensor; crop: Crop);
            fn sample(&self, x: &Self::Tensor, matrix: &Self::Tensor; h: usize, w: usize);
            fn map_points(&self, points: &Self::Tensor, matrix: &Self::Tensor;);
            fn lookahead(&self, x: &Self::Tensor; layer: Layer, context: usize);
            fn conv_bn(&self, x: &Self::Tensor; layer: Layer, conv: Conv, bn: Layer, eps: f32);
            fn conv2d_pair(&self, x: &Self::Tensor; first: Layer, second: Layer, conv: Conv);
            fn conv_prelu(&self, x: &Self::Tensor; layer: Layer, conv: Conv, slopes: Layer);
            fn add_prelu(&self, a: &Self::Tensor, b: &Self::Tensor; slopes: Layer);
            fn add_relu(&self, a: &Self::Tensor, b: &Self::Tensor;);
            fn norm_modulate(&self, x: &Self::Tensor, gamma_beta: &Self::Tensor; act: Act);
        }
    };
}
pub(super) use operations;

/// Operations on tensors of logical shape `[n, c, h, w]`.
pub trait Ops {
    /// A tensor of the executor; cloning is cheap.
    type Tensor: Clone;

    /// `[n, c, h, w]`.
    fn shape(&self, x: &Self::Tensor) -> [usize; 4];

    /// A tensor from values in n, c, h, w order.
    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Self::Tensor;

    /// Convolution, bias, activation.
    fn conv2d(&self, x: &Self::Tensor, layer: Layer, conv: Conv) -> Self::Tensor;

    /// `x W^T + b` on `[n, c, 1, 1]`; weights `<layer>.weight` of `[out, c]`, `<layer>.bias`.
    fn linear(&self, x: &Self::Tensor, layer: Layer, out: usize) -> Self::Tensor;

    /// Batch normalisation with running statistics: `<layer>.weight/.bias/.running_mean/.running_var`.
    fn batch_norm(&self, x: &Self::Tensor, layer: Layer, eps: f32) -> Self::Tensor;

    /// Instance normalisation (biased variance, eps 1e-5) and activation; with a layer name, its `weight` and `bias` are applied.
    fn instance_norm(&self, x: &Self::Tensor, affine: Option<Layer>, act: Act) -> Self::Tensor;

    /// `max(x, 0)`.
    fn relu(&self, x: &Self::Tensor) -> Self::Tensor;
    /// max(x, slope * x).
    fn leaky_relu(&self, x: &Self::Tensor, slope: f32) -> Self::Tensor;
    /// Leaky ReLU with one learned slope per channel, `<layer>.weight`.
    fn prelu(&self, x: &Self::Tensor, layer: Layer) -> Self::Tensor;
    /// The hyperbolic tangent.
    fn tanh(&self, x: &Self::Tensor) -> Self::Tensor;
    /// The logistic function.
    fn sigmoid(&self, x: &Self::Tensor) -> Self::Tensor;
    /// Softmax over the channels.
    fn softmax(&self, x: &Self::Tensor) -> Self::Tensor;

    /// Max pooling, zero-sized border (padding never wins), `ceil` rounds the output size up.
    fn max_pool(&self, x: &Self::Tensor, kernel: usize, stride: usize, pad: usize, ceil: bool) -> Self::Tensor;
    /// Average pooling; `count_pad` divides by the full kernel size at the border (PyTorch's default).
    fn avg_pool(&self, x: &Self::Tensor, kernel: usize, stride: usize, pad: usize, count_pad: bool) -> Self::Tensor;

    /// `[n, c r r, h, w]` to `[n, c, h r, w r]`.
    fn pixel_shuffle(&self, x: &Self::Tensor, r: usize) -> Self::Tensor;
    /// `x` in `h x w` pixels.
    fn resize(&self, x: &Self::Tensor, h: usize, w: usize, mode: Resize) -> Self::Tensor;

    /// Along the channels.
    fn concat(&self, xs: &[&Self::Tensor]) -> Self::Tensor;
    /// Channels `start .. start + len`.
    fn slice(&self, x: &Self::Tensor, start: usize, len: usize) -> Self::Tensor;

    /// Element by element, equal shapes.
    fn add(&self, a: &Self::Tensor, b: &Self::Tensor) -> Self::Tensor;
    /// Element by element; `b` may have one channel (a mask) or 1x1 pixels.
    fn mul(&self, a: &Self::Tensor, b: &Self::Tensor) -> Self::Tensor;
    /// `a x + b`.
    fn affine(&self, x: &Self::Tensor, a: f32, b: f32) -> Self::Tensor;
    /// Nothing below `low` and nothing above `high` (PyTorch's `hardtanh`).
    fn clamp(&self, x: &Self::Tensor, low: f32, high: f32) -> Self::Tensor;

    /// Backward warp: `out(x, y) = image(x + flow.0, y + flow.1)`, bilinear, coordinates clamped to the
    /// border. `flow` is `[n, 2, h, w]`, in pixels.
    fn warp(&self, image: &Self::Tensor, flow: &Self::Tensor) -> Self::Tensor;

    /// `x` with channels of zeros behind its own, `channels` in all.
    fn widen(&self, x: &Self::Tensor, channels: usize) -> Self::Tensor;

    /// The affine map from a window's pixels to the picture that its landmarks lie in: `[n, 3 k, 1, 1]` (x, y, z of each) to
    /// `[n, 6, 1, 1]`, two rows of three. The z are not used. MediaPipe's `Landmarks2TransformMatrix`.
    fn crop_matrix(&self, landmarks: &Self::Tensor, crop: Crop) -> Self::Tensor;
    /// `out(x, y) = in(matrix (x, y))`, both at their pixels' middles (`x + 0.5`); bilinear, zero outside the outermost pixels'
    /// middles. `matrix` as [`Ops::crop_matrix`] gives it. MediaPipe's `TransformTensorBilinear`.
    fn sample(&self, x: &Self::Tensor, matrix: &Self::Tensor, h: usize, w: usize) -> Self::Tensor;
    /// Points `[n, 2 k, 1, 1]` (x, y of each) through a matrix as [`Ops::crop_matrix`] gives it. MediaPipe's `TransformLandmarks`.
    fn map_points(&self, points: &Self::Tensor, matrix: &Self::Tensor) -> Self::Tensor;

    /// A recurrent layer along the columns, which are moments: `[n, c, h, t]`, each moment's values in c, h order, to
    /// `[n, hidden, 1, t]`, or with two directions `[n, 2 hidden, 1, t]`, forward first. It begins with `state`, of shape
    /// `[n, rnn.state(), 1, 1]`, and also returns that with which it ends, so that a sequence may come in pieces. The
    /// direction from the end to the beginning begins behind the last column.
    fn rnn_from(&self, x: &Self::Tensor, state: &Self::Tensor, layer: Layer, rnn: Rnn) -> (Self::Tensor, Self::Tensor);
    /// [`Ops::rnn_from`] a state of zeros.
    fn rnn(&self, x: &Self::Tensor, layer: Layer, rnn: Rnn) -> Self::Tensor {
        let shape = [self.shape(x)[0], rnn.state(), 1, 1];
        self.rnn_from(x, &self.tensor(shape, &vec![0.0; shape[0] * shape[1]]), layer, rnn).0
    }
    /// What each channel will be in the `context` columns from this one on, weighted; zero beyond the end. Weights:
    /// `<layer>.weight` of `[c, 1, context]`.
    fn lookahead(&self, x: &Self::Tensor, layer: Layer, context: usize) -> Self::Tensor;

    // ---- fused forms. The defaults say what they mean; executors may do them in one pass. ----

    /// `act(batch_norm(conv(x)))`; `conv.act` is applied last.
    fn conv_bn(&self, x: &Self::Tensor, layer: Layer, conv: Conv, bn: Layer, eps: f32) -> Self::Tensor {
        let y = self.conv2d(x, layer, conv.act(Act::None));
        self.act(&self.batch_norm(&y, bn, eps), conv.act)
    }

    /// Two convolutions of the same input and the same geometry, concatenated: `[first | second]`.
    fn conv2d_pair(&self, x: &Self::Tensor, first: Layer, second: Layer, conv: Conv) -> Self::Tensor {
        self.concat(&[&self.conv2d(x, first, conv), &self.conv2d(x, second, conv)])
    }

    /// `prelu(conv(x))`.
    fn conv_prelu(&self, x: &Self::Tensor, layer: Layer, conv: Conv, slopes: Layer) -> Self::Tensor {
        self.prelu(&self.conv2d(x, layer, conv), slopes)
    }

    /// `prelu(a + b)`.
    fn add_prelu(&self, a: &Self::Tensor, b: &Self::Tensor, slopes: Layer) -> Self::Tensor {
        self.prelu(&self.add(a, b), slopes)
    }

    /// `max(a + b, 0)`; where `a` has fewer channels, zeros are in place of the others.
    fn add_relu(&self, a: &Self::Tensor, b: &Self::Tensor) -> Self::Tensor {
        let channels = self.shape(b)[1];
        let sum = if self.shape(a)[1] < channels { self.add(&self.widen(a, channels), b) } else { self.add(a, b) };
        self.relu(&sum)
    }

    /// `act(instance_norm(x) * (1 + gamma) + beta)`, `gamma_beta = [gamma | beta]` of `2c` channels, as
    /// large as `x` (SPADE) or 1x1 (AdaIN).
    fn norm_modulate(&self, x: &Self::Tensor, gamma_beta: &Self::Tensor, act: Act) -> Self::Tensor;

    /// The activation alone.
    fn act(&self, x: &Self::Tensor, act: Act) -> Self::Tensor {
        match act {
            Act::None => x.clone(),
            Act::Relu => self.relu(x),
            Act::Leaky(slope) => self.leaky_relu(x, slope),
        }
    }

    /// A name for a tensor that somebody will want to see (ONNX outputs, debugging).
    fn name(&self, _x: &Self::Tensor, _name: &str) {}
}

/// An executor whose tensors hold values that can be read back.
pub trait Executor: Ops {
    /// The values of a tensor in n, c, h, w order.
    fn values(&self, x: &Self::Tensor) -> Vec<f32>;
}
