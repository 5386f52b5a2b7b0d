//! [`Ops`] on libtorch: the networks of the library on any of its devices, for inference and, because every operation
//! is differentiable, for training.
//!
//! Shapes have been checked before ([`headgan::engine::shape`]), so an operation that libtorch refuses is a fault of this
//! program, or memory that ran out: it panics with libtorch's text, and whoever owns the boundary catches it.

use headgan::engine::{Act, Conv, Layer, Ops, Pad, Resize};
use headgan::models::{Data, Weights};
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Epsilon of every instance normalisation, PyTorch's default.
const EPS: f64 = 1e-5;

/// An executor: weights by name (the checkpoint's keys) on one device in one kind of number.
#[derive(Debug)]
pub struct Torch {
    weights: HashMap<String, Tensor>,
    device: Device,
    kind: Kind,
}

/// A tensor that clones as Rust clones: the same storage, counted.
#[derive(Debug)]
pub struct Shared(pub Tensor);

impl Clone for Shared {
    fn clone(&self) -> Shared {
        Shared(self.0.shallow_clone())
    }
}

impl From<Tensor> for Shared {
    fn from(tensor: Tensor) -> Shared {
        Shared(tensor)
    }
}

impl Torch {
    /// An executor over tensors that are there already, as they are: the trainer's, which require gradients.
    pub fn over(weights: HashMap<String, Tensor>, device: Device, kind: Kind) -> Torch {
        Torch { weights, device, kind }
    }

    /// Copies `weights` to `device`. Those of integers are left out: no network reads them.
    pub fn new(weights: &Weights, device: Device, kind: Kind) -> Torch {
        let tensors = weights.arrays.iter().filter_map(|(name, array)| {
            let Data::F32(values) = &array.data else { return None };
            let shape: Vec<i64> = array.shape.iter().map(|&n| n as i64).collect();
            let tensor = Tensor::from_slice(values).reshape(shape).to_device(device).to_kind(kind);
            Some((name.clone(), tensor))
        });
        Torch { weights: tensors.collect(), device, kind }
    }

    /// The values of a tensor in n, c, h, w order.
    pub fn values(&self, x: &Shared) -> Vec<f32> {
        let flat = x.0.detach().to_kind(Kind::Float).to_device(Device::Cpu).contiguous().reshape([-1]);
        Vec::<f32>::try_from(flat).unwrap_or_default()
    }

    pub fn device(&self) -> Device {
        self.device
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    fn layer(&self, layer: Layer, part: &str) -> &Tensor {
        let name = format!("{layer}.{part}");
        self.weights.get(&name).unwrap_or_else(|| panic!("layer '{name}' is missing: the weights were not checked"))
    }

    fn activate(x: Tensor, act: Act) -> Tensor {
        match act {
            Act::None => x,
            Act::Relu => x.relu(),
            Act::Leaky(slope) => leaky(&x, slope),
        }
    }
}

/// libtorch's own leaky ReLU with its slope, which tch's wrapper leaves out, is max(x, slope x) for slopes up to 1.
fn leaky(x: &Tensor, slope: f32) -> Tensor {
    x.maximum(&(x * f64::from(slope)))
}

/// (x - mean) / sqrt(variance + eps) of each (n, c) plane.
fn normalise(x: &Tensor, scale: Option<&Tensor>, shift: Option<&Tensor>) -> Tensor {
    let none: Option<&Tensor> = None;
    x.instance_norm(scale, shift, none, none, true, 0.0, EPS, true)
}

impl Ops for Torch {
    type Tensor = Shared;

    fn shape(&self, x: &Shared) -> [usize; 4] {
        let (n, c, h, w) = x.0.size4().unwrap_or_else(|e| panic!("a tensor of {:?}: {e}", x.0.size()));
        [n, c, h, w].map(|v| v as usize)
    }

    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Shared {
        let shape = shape.map(|n| n as i64);
        Tensor::from_slice(values).reshape(shape).to_device(self.device).to_kind(self.kind).into()
    }

    fn conv2d(&self, x: &Shared, layer: Layer, conv: Conv) -> Shared {
        let weight = self.layer(layer, "weight");
        let bias = conv.bias.then(|| self.layer(layer, "bias"));
        let (ph, pw) = (conv.pad.0 as i64, conv.pad.1 as i64);
        let stride = conv.stride as i64;
        let groups = conv.groups as i64;
        let y = match conv.pad_mode {
            Pad::Zero => x.0.conv2d(weight, bias, [stride, stride], [ph, pw], [1, 1], groups),
            Pad::Reflect => {
                let padded = x.0.reflection_pad2d([pw, pw, ph, ph]);
                padded.conv2d(weight, bias, [stride, stride], [0, 0], [1, 1], groups)
            }
        };
        Torch::activate(y, conv.act).into()
    }

    fn linear(&self, x: &Shared, layer: Layer, out: usize) -> Shared {
        let flat = x.0.flatten(1, -1);
        let y = flat.linear(self.layer(layer, "weight"), Some(self.layer(layer, "bias")));
        y.reshape([-1, out as i64, 1, 1]).into()
    }

    fn batch_norm(&self, x: &Shared, layer: Layer, eps: f32) -> Shared {
        let part = |part| Some(self.layer(layer, part));
        let (mean, var) = (part("running_mean"), part("running_var"));
        x.0.batch_norm(part("weight"), part("bias"), mean, var, false, 0.0, f64::from(eps), true).into()
    }

    fn instance_norm(&self, x: &Shared, affine: Option<Layer>, act: Act) -> Shared {
        let (scale, shift) = (affine.map(|l| self.layer(l, "weight")), affine.map(|l| self.layer(l, "bias")));
        Torch::activate(normalise(&x.0, scale, shift), act).into()
    }

    fn relu(&self, x: &Shared) -> Shared {
        x.0.relu().into()
    }
    fn leaky_relu(&self, x: &Shared, slope: f32) -> Shared {
        leaky(&x.0, slope).into()
    }
    fn prelu(&self, x: &Shared, layer: Layer) -> Shared {
        x.0.prelu(self.layer(layer, "weight")).into()
    }
    fn tanh(&self, x: &Shared) -> Shared {
        x.0.tanh().into()
    }
    fn sigmoid(&self, x: &Shared) -> Shared {
        x.0.sigmoid().into()
    }
    fn softmax(&self, x: &Shared) -> Shared {
        x.0.softmax(1, None::<Kind>).into()
    }

    fn max_pool(&self, x: &Shared, kernel: usize, stride: usize, pad: usize, ceil: bool) -> Shared {
        let (k, s, p) = (kernel as i64, stride as i64, pad as i64);
        x.0.max_pool2d([k, k], [s, s], [p, p], [1, 1], ceil).into()
    }
    fn avg_pool(&self, x: &Shared, kernel: usize, stride: usize, pad: usize, count_pad: bool) -> Shared {
        let (k, s, p) = (kernel as i64, stride as i64, pad as i64);
        x.0.avg_pool2d([k, k], [s, s], [p, p], false, count_pad, None::<i64>).into()
    }
    fn pixel_shuffle(&self, x: &Shared, r: usize) -> Shared {
        x.0.pixel_shuffle(r as i64).into()
    }
    fn resize(&self, x: &Shared, h: usize, w: usize, mode: Resize) -> Shared {
        let size = [h as i64, w as i64];
        match mode {
            Resize::Nearest => x.0.upsample_nearest2d(size, None::<f64>, None::<f64>).into(),
            Resize::Bilinear => x.0.upsample_bilinear2d(size, false, None::<f64>, None::<f64>).into(),
        }
    }

    fn concat(&self, xs: &[&Shared]) -> Shared {
        let tensors: Vec<&Tensor> = xs.iter().map(|x| &x.0).collect();
        Tensor::cat(&tensors, 1).into()
    }
    fn slice(&self, x: &Shared, start: usize, len: usize) -> Shared {
        x.0.narrow(1, start as i64, len as i64).into()
    }
    fn add(&self, a: &Shared, b: &Shared) -> Shared {
        (&a.0 + &b.0).into()
    }
    fn mul(&self, a: &Shared, b: &Shared) -> Shared {
        (&a.0 * &b.0).into()
    }
    fn affine(&self, x: &Shared, a: f32, b: f32) -> Shared {
        let scaled = if a == 1.0 { x.0.shallow_clone() } else { &x.0 * f64::from(a) };
        if b == 0.0 { scaled.into() } else { (scaled + f64::from(b)).into() }
    }

    fn warp(&self, image: &Shared, flow: &Shared) -> Shared {
        let [_, _, h, w] = self.shape(image);
        let [_, _, oh, ow] = self.shape(flow);
        // Half precision cannot say where a pixel lies (11 bits for 256 pixels and their parts).
        let flow = flow.0.to_kind(if self.kind == Kind::Double { Kind::Double } else { Kind::Float });
        let options = (flow.kind(), flow.device());
        let xs = Tensor::arange(ow as i64, options).reshape([1, 1, ow as i64]);
        let ys = Tensor::arange(oh as i64, options).reshape([1, oh as i64, 1]);
        // 0 .. n-1 to -1 .. 1; a single row is at -1 wherever it is looked for, because the border is repeated.
        let place = |d: i64, at: &Tensor, n: usize| (flow.select(1, d) + at) * (2.0 / (n.max(2) - 1) as f64) - 1.0;
        let grid = Tensor::stack(&[place(0, &xs, w), place(1, &ys, h)], 3);
        let (bilinear, border) = (0, 1);
        let image_kind = image.0.kind();
        let out = image.0.to_kind(grid.kind()).grid_sampler(&grid, bilinear, border, true);
        out.to_kind(image_kind).into()
    }

    fn norm_modulate(&self, x: &Shared, gamma_beta: &Shared, act: Act) -> Shared {
        let [gamma, beta] =
            <[Tensor; 2]>::try_from(gamma_beta.0.chunk(2, 1)).unwrap_or_else(|_| panic!("gamma and beta"));
        let y = normalise(&x.0, None, None) * (gamma + 1.0) + beta;
        Torch::activate(y, act).into()
    }

    fn conv2d_pair(&self, x: &Shared, first: Layer, second: Layer, conv: Conv) -> Shared {
        // One wide convolution instead of two and a copy. Concatenating the weights is small beside either.
        let both = |part| Tensor::cat(&[self.layer(first, part), self.layer(second, part)], 0);
        let bias = conv.bias.then(|| both("bias"));
        let (ph, pw) = (conv.pad.0 as i64, conv.pad.1 as i64);
        if conv.pad_mode == Pad::Reflect || conv.groups != 1 {
            return self.concat(&[&self.conv2d(x, first, conv), &self.conv2d(x, second, conv)]);
        }
        let stride = conv.stride as i64;
        let y = x.0.conv2d(&both("weight"), bias.as_ref(), [stride, stride], [ph, pw], [1, 1], 1);
        Torch::activate(y, conv.act).into()
    }
}
