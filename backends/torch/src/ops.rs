//! [`Ops`] on libtorch: the networks of the library on any of its devices, for inference and, because every operation
//! is differentiable, for training.
//!
//! Shapes have been checked before ([`headgan::engine::shape`]), so an operation that libtorch refuses is a fault of this
//! program, or memory that ran out: it panics with libtorch's text, and whoever owns the boundary catches it.

use headgan::engine::{Act, Cell, Conv, Crop, Executor, Layer, Ops, Pad, Resize, Rnn};
use headgan::weights::{Data, Weights};
use std::cell::RefCell;
use std::collections::HashMap;
use tch::{Device, Kind, Tensor};

/// Epsilon of every instance normalisation, PyTorch's default.
const EPS: f64 = 1e-5;

/// An executor: weights by name (the checkpoint's keys) on one device in one kind of number.
#[derive(Debug)]
pub struct Torch {
    weights: RefCell<HashMap<String, Tensor>>,
    device: Device,
    kind: Kind,
    /// Whether weights stay as they are and nobody asks for gradients: results may then be written over what they are made
    /// of, and what is made of weights is kept.
    inference: bool,
    /// How much of their running averages batch norms leave to a batch, where they normalise by its own statistics.
    momentum: Option<f64>,
    /// Whether pictures lie pixel by pixel in memory.
    channels_last: bool,
    /// Whether a CUDA device may round the factors of products to 10 bits.
    tf32: bool,
    /// Weights and bias of the convolutions that run as one ([`Ops::conv2d_pair`]).
    pairs: RefCell<HashMap<String, (Tensor, Option<Tensor>)>>,
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
        Torch {
            weights: weights.into(),
            device,
            kind,
            inference: false,
            momentum: None,
            channels_last: false,
            tf32: true,
            pairs: RefCell::default(),
        }
    }

    /// Copies `weights` to `device`, for inference. Those of integers are left out: no network reads them.
    pub fn new(weights: &Weights, device: Device, kind: Kind) -> Torch {
        let tensors = weights.arrays.iter().filter_map(|(name, array)| {
            let Data::F32(values) = &array.data else { return None };
            let shape: Vec<i64> = array.shape.iter().map(|&n| n as i64).collect();
            let tensor = Tensor::from_slice(values).reshape(shape).to_device(device).to_kind(kind);
            Some((name.clone(), tensor))
        });
        Torch { inference: true, ..Torch::over(tensors.collect(), device, kind) }
    }

    /// With pictures, and the weights of convolutions, pixel by pixel in memory.
    pub fn channels_last(mut self) -> Torch {
        self.channels_last = true;
        for tensor in self.weights.get_mut().values_mut() {
            *tensor = by_pixels(tensor);
        }
        self
    }

    /// Whether a CUDA device may round the factors of products to 10 bits (it may, unless told).
    pub fn tf32(mut self, allowed: bool) -> Torch {
        self.tf32 = allowed;
        self
    }

    /// Batch norms normalise by the statistics of the batch, as in training, and bring them into their running averages, which are
    /// changed in place, by this share of what is new.
    pub fn batch_statistics(mut self, momentum: f64) -> Torch {
        self.momentum = Some(momentum);
        self
    }

    pub fn device(&self) -> Device {
        self.device
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A tensor of any kind and place as the networks want it.
    pub fn take(&self, x: &Tensor) -> Shared {
        let x = x.to_device(self.device).to_kind(self.kind);
        if self.channels_last { by_pixels(&x).into() } else { x.contiguous().into() }
    }

    fn layer(&self, layer: Layer, part: &str) -> Tensor {
        let name = format!("{layer}.{part}");
        let found = self.weights.borrow().get(&name).map(Tensor::shallow_clone);
        found.unwrap_or_else(|| panic!("layer '{name}' is missing: the weights were not checked"))
    }

    /// The activation of a result that nobody else holds.
    fn activate(&self, mut x: Tensor, act: Act) -> Tensor {
        match act {
            Act::None => x,
            Act::Relu if self.inference => x.relu_(),
            Act::Relu => x.relu(),
            Act::Leaky(slope) if self.inference => x.leaky_relu_backward_grad_input(&x, &x, f64::from(slope), false),
            Act::Leaky(slope) => leaky(&x, slope),
        }
    }

    fn convolve(&self, x: &Tensor, weight: &Tensor, bias: &Option<Tensor>, conv: Conv) -> Tensor {
        let (ph, pw) = (conv.pad.0 as i64, conv.pad.1 as i64);
        let (stride, groups) = ([conv.stride.0 as i64, conv.stride.1 as i64], conv.groups as i64);
        let padded;
        let (x, pad) = match conv.pad_mode {
            Pad::Zero if conv.pad_after != (0, 0) => {
                let (bottom, right) = (conv.pad_after.0 as i64, conv.pad_after.1 as i64);
                padded = x.constant_pad_nd([pw, pw + right, ph, ph + bottom]);
                (&padded, [0, 0])
            }
            Pad::Zero => (x, [ph, pw]),
            Pad::Reflect => {
                padded = x.reflection_pad2d([pw, pw, ph, ph]);
                (&padded, [0, 0])
            }
        };
        let y = if self.inference {
            // What conv2d does, with this executor's own switches in place of the process's.
            let (dilation, none) = ([1, 1], [0, 0]);
            x.internal_convolution(
                weight,
                bias.as_ref(),
                stride,
                pad,
                dilation,
                false,
                none,
                groups,
                true,
                false,
                true,
                self.tf32,
            )
        } else {
            x.conv2d(weight, bias.as_ref(), stride, pad, [1, 1], groups)
        };
        self.activate(y, conv.act)
    }
}

impl Executor for Torch {
    fn values(&self, x: &Shared) -> Vec<f32> {
        let flat = x.0.detach().to_kind(Kind::Float).to_device(Device::Cpu).contiguous().reshape([-1]);
        Vec::<f32>::try_from(flat).unwrap_or_else(|e| panic!("values of a tensor: {e}"))
    }
}

/// Waits until a tensor is computed, and for nothing else than the stream that it is computed on.
pub(crate) fn settle(x: &Tensor) {
    if x.device().is_cuda() && x.numel() > 0 {
        let one = (0..x.dim()).fold(x.shallow_clone(), |x, _| x.select(0, 0));
        let _ = one.double_value(&[]);
    }
}

/// The same tensor with the channels of a pixel beside each other in memory.
fn by_pixels(x: &Tensor) -> Tensor {
    if x.dim() != 4 { x.shallow_clone() } else { x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]) }
}

/// Leaky ReLU with a slope of one's own, in one pass: tch's own wrapper leaves the slope out, that of its derivative does not,
/// and x times the derivative at x is the function.
fn leaky(x: &Tensor, slope: f32) -> Tensor {
    x.leaky_relu_backward(x, f64::from(slope), false)
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
        self.take(&Tensor::from_slice(values).reshape(shape.map(|n| n as i64)))
    }

    fn conv2d(&self, x: &Shared, layer: Layer, conv: Conv) -> Shared {
        let bias = conv.bias.then(|| self.layer(layer, "bias"));
        self.convolve(&x.0, &self.layer(layer, "weight"), &bias, conv).into()
    }

    fn linear(&self, x: &Shared, layer: Layer, out: usize) -> Shared {
        let flat = x.0.flatten(1, -1);
        let y = flat.linear(&self.layer(layer, "weight"), Some(&self.layer(layer, "bias")));
        y.reshape([-1, out as i64, 1, 1]).into()
    }

    fn batch_norm(&self, x: &Shared, layer: Layer, eps: f32) -> Shared {
        let part = |part| Some(self.layer(layer, part));
        let (mean, var) = (part("running_mean"), part("running_var"));
        let (training, momentum) = (self.momentum.is_some(), self.momentum.unwrap_or(0.0));
        x.0.batch_norm(part("weight"), part("bias"), mean, var, training, momentum, f64::from(eps), true).into()
    }

    fn instance_norm(&self, x: &Shared, affine: Option<Layer>, act: Act) -> Shared {
        let (scale, shift) = (affine.map(|l| self.layer(l, "weight")), affine.map(|l| self.layer(l, "bias")));
        self.activate(normalise(&x.0, scale.as_ref(), shift.as_ref()), act).into()
    }

    fn relu(&self, x: &Shared) -> Shared {
        x.0.relu().into()
    }
    fn leaky_relu(&self, x: &Shared, slope: f32) -> Shared {
        leaky(&x.0, slope).into()
    }
    fn prelu(&self, x: &Shared, layer: Layer) -> Shared {
        x.0.prelu(&self.layer(layer, "weight")).into()
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

    fn clamp(&self, x: &Shared, low: f32, high: f32) -> Shared {
        x.0.clamp(f64::from(low), f64::from(high)).into()
    }

    fn rnn_from(&self, x: &Shared, state: &Shared, layer: Layer, rnn: Rnn) -> (Shared, Shared) {
        let moments = x.0.flatten(1, 2).permute([2, 0, 1]).contiguous();
        let weights: Vec<Tensor> = rnn
            .directions()
            .iter()
            .flat_map(|d| ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|part| format!("{part}_{d}")))
            .map(|part| self.layer(layer, &part))
            .collect();
        let (batch, directions, hidden) = (moments.size()[1], rnn.directions().len() as i64, rnn.hidden as i64);
        let parts = rnn.state() as i64 / (directions * hidden);
        // Hidden values, and an LSTM's cell, each of [directions, batch, hidden].
        let states: Vec<Tensor> = state.0.reshape([batch, parts, directions, hidden]).permute([1, 2, 0, 3]).unbind(0);
        let states: Vec<Tensor> = states.iter().map(Tensor::contiguous).collect();
        // cuDNN keeps what a derivative needs only where it is told that this is training.
        let (training, both) = (!self.inference, rnn.bidirectional);
        let (out, last) = match rnn.cell {
            Cell::Tanh => {
                let (out, h) = moments.rnn_tanh(&states[0], &weights, true, 1, 0.0, training, both, false);
                (out, vec![h])
            }
            Cell::Gru => {
                let (out, h) = moments.gru(&states[0], &weights, true, 1, 0.0, training, both, false);
                (out, vec![h])
            }
            Cell::Lstm => {
                let (out, h, c) = moments.lstm(&states, &weights, true, 1, 0.0, training, both, false);
                (out, vec![h, c])
            }
        };
        let last = Tensor::stack(&last, 0).permute([2, 0, 1, 3]).reshape([batch, -1, 1, 1]);
        (out.permute([1, 2, 0]).unsqueeze(2).into(), last.into())
    }

    fn lookahead(&self, x: &Shared, layer: Layer, context: usize) -> Shared {
        let weight = self.layer(layer, "weight").unsqueeze(2);
        let groups = x.0.size()[1];
        let padded = x.0.constant_pad_nd([0, context as i64 - 1]);
        padded.conv2d(&weight, None::<&Tensor>, [1, 1], [0, 0], [1, 1], groups).into()
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

    fn widen(&self, x: &Shared, channels: usize) -> Shared {
        let more = channels as i64 - x.0.size()[1];
        x.0.constant_pad_nd([0, 0, 0, 0, 0, more]).into()
    }

    fn crop_matrix(&self, landmarks: &Shared, crop: Crop) -> Shared {
        let [n, c, ..] = self.shape(landmarks);
        // Half precision cannot say where a point lies.
        let precise = if self.kind == Kind::Double { Kind::Double } else { Kind::Float };
        let points = landmarks.0.to_kind(precise).reshape([n as i64, c as i64 / 3, 3]);
        let point = |i: usize| points.select(1, i as i64).narrow(1, 0, 2);
        let d = point(crop.to) - point(crop.from);
        let length = d.square().sum_dim_intlist([1i64].as_slice(), true, None::<Kind>).sqrt().clamp_min(1e-12);
        let (c, s) = ((d.narrow(1, 0, 1) / &length), (d.narrow(1, 1, 1) / &length));
        let (sin, cos) = f64::from(crop.turn).sin_cos();
        let (cos, sin) = (&c * cos + &s * sin, &c * sin - &s * cos);
        let index: Vec<i64> = crop.points.iter().map(|i| *i as i64).collect();
        let chosen = points.index_select(1, &Tensor::from_slice(&index).to_device(points.device()));
        let (x, y) = (chosen.select(2, 0), chosen.select(2, 1));
        let (h, w) = (crop.size.0 as f64, crop.size.1 as f64);
        let side = |v: Tensor, factor: f32, pixels: f64| {
            let (low, high) = (v.amin([1i64].as_slice(), true), v.amax([1i64].as_slice(), true));
            let scale = (&high - &low) * (f64::from(factor) / pixels);
            let start = (high + low) * 0.5 - &scale * (0.5 * pixels);
            (scale, start)
        };
        let (sx, x0) = side(&cos * &x - &sin * &y, crop.scale.0, w);
        let (sy, y0) = side(&sin * &x + &cos * &y, crop.scale.1, h);
        let rows =
            [&cos * &sx, &sin * &sy, &cos * &x0 + &sin * &y0, -(&sin * &sx), &cos * &sy, &cos * &y0 - &sin * &x0];
        Tensor::cat(&rows, 1).reshape([n as i64, 6, 1, 1]).into()
    }

    fn sample(&self, x: &Shared, matrix: &Shared, oh: usize, ow: usize) -> Shared {
        let [_, _, h, w] = self.shape(x);
        let m = matrix.0.to_kind(if self.kind == Kind::Double { Kind::Double } else { Kind::Float });
        let options = (m.kind(), m.device());
        let xs = Tensor::arange(ow as i64, options).reshape([1, 1, ow as i64]) + 0.5;
        let ys = Tensor::arange(oh as i64, options).reshape([1, oh as i64, 1]) + 0.5;
        let part = |i: i64| m.narrow(1, i, 1).squeeze_dim(3);
        let place = |i: i64| part(i) * &xs + part(i + 1) * &ys + part(i + 2) - 0.5;
        let (sx, sy) = (place(0), place(3));
        let inside = |v: &Tensor, n: usize| v.ge(0.0).logical_and(&v.le((n - 1) as f64));
        let unit = |v: &Tensor, n: usize| v * (2.0 / (n.max(2) - 1) as f64) - 1.0;
        let mask = inside(&sx, w).logical_and(&inside(&sy, h)).unsqueeze(1);
        let grid = Tensor::stack(&[unit(&sx, w), unit(&sy, h)], 3);
        let (bilinear, border) = (0, 1);
        let image_kind = x.0.kind();
        let out = x.0.to_kind(grid.kind()).grid_sampler(&grid, bilinear, border, true);
        (out * mask.to_kind(grid.kind())).to_kind(image_kind).into()
    }

    fn map_points(&self, points: &Shared, matrix: &Shared) -> Shared {
        let [n, c, ..] = self.shape(points);
        let m = matrix.0.reshape([n as i64, 2, 3]);
        let pairs = points.0.to_kind(m.kind()).reshape([n as i64, c as i64 / 2, 2]);
        let mapped = pairs.matmul(&m.narrow(2, 0, 2).transpose(1, 2)) + m.narrow(2, 2, 1).transpose(1, 2);
        mapped.reshape([n as i64, c as i64, 1, 1]).into()
    }

    fn norm_modulate(&self, x: &Shared, gamma_beta: &Shared, act: Act) -> Shared {
        let [gamma, beta] =
            <[Tensor; 2]>::try_from(gamma_beta.0.chunk(2, 1)).unwrap_or_else(|_| panic!("gamma and beta"));
        if self.inference && gamma.numel() == gamma.size()[1] as usize {
            let (scale, shift) = ((gamma + 1.0).reshape([-1]), beta.reshape([-1]));
            return self.activate(normalise(&x.0, Some(&scale), Some(&shift)), act).into();
        }
        let normal = normalise(&x.0, None, None);
        // normal (1 + gamma) + beta
        let y = if self.inference {
            let mut y = normal.addcmul(&normal, &gamma);
            y.g_add_(&beta)
        } else {
            normal * (gamma + 1.0) + beta
        };
        self.activate(y, act).into()
    }

    fn conv2d_pair(&self, x: &Shared, first: Layer, second: Layer, conv: Conv) -> Shared {
        // One wide convolution instead of two and a copy.
        if conv.groups != 1 {
            return self.concat(&[&self.conv2d(x, first, conv), &self.conv2d(x, second, conv)]);
        }
        let both = |part| Tensor::cat(&[self.layer(first, part), self.layer(second, part)], 0);
        let made = || (both("weight"), conv.bias.then(|| both("bias")));
        if !self.inference {
            let (weight, bias) = made();
            return self.convolve(&x.0, &weight, &bias, conv).into();
        }
        let mut pairs = self.pairs.borrow_mut();
        let (weight, bias) = pairs.entry(format!("{first}|{second}")).or_insert_with(|| {
            let pair = made();
            // Other streams may use the pair, and the memory of the two, which nobody asks for alone any more.
            settle(&pair.0);
            pair.1.iter().for_each(settle);
            let mut weights = self.weights.borrow_mut();
            weights.retain(|name, _| ![first, second].iter().any(|l| name.strip_suffix(".weight") == Some(l)));
            pair
        });
        self.convolve(&x.0, weight, bias, conv).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_norm_learns_what_it_has_seen() {
        let named = |name: &str, values: &[f64]| (format!("bn.{name}"), Tensor::from_slice(values));
        let parts = [("weight", [2.0]), ("bias", [1.0]), ("running_mean", [0.0]), ("running_var", [1.0])];
        let weights: HashMap<String, Tensor> = parts.iter().map(|(name, v)| named(name, v)).collect();
        let running = ["bn.running_mean", "bn.running_var"].map(|name| weights[name].shallow_clone());
        // Mean 4, variance 5 (biased) and 20/3.
        let x = Shared(Tensor::from_slice(&[1.0f64, 3.0, 5.0, 7.0]).reshape([4, 1, 1, 1]));
        let apply = |learns: bool| {
            let copies = weights.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
            let ops = Torch::over(copies, Device::Cpu, Kind::Double);
            let ops = if learns { ops.batch_statistics(0.1) } else { ops };
            Vec::<f64>::try_from(ops.batch_norm(&x, "bn", 0.0).0.reshape([-1])).unwrap()
        };
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        let y = apply(true);
        assert!(near(y[0], 1.0 - 6.0 / 5f64.sqrt()) && near(y[3], 1.0 + 6.0 / 5f64.sqrt()), "{y:?}");
        let [mean, var] = running.map(|t| t.double_value(&[0]));
        assert!(near(mean, 0.4) && near(var, 0.9 + 0.1 * 20.0 / 3.0), "{mean} {var}");
        let y = apply(false);
        assert!(near(y[0], 1.0 + 2.0 * (1.0 - mean) / var.sqrt()), "{y:?}");
    }

    /// The trainer relies on its derivative.
    #[test]
    fn the_leaky_relu_has_its_derivative() {
        let x = Tensor::from_slice(&[-2.0f64, -0.5, 0.5, 3.0]).set_requires_grad(true);
        let y = leaky(&x, 0.25);
        assert_eq!(Vec::<f64>::try_from(&y).unwrap(), [-0.5, -0.125, 0.5, 3.0]);
        y.sum(Kind::Double).backward();
        assert_eq!(Vec::<f64>::try_from(x.grad()).unwrap(), [0.25, 0.25, 1.0, 1.0]);
    }
}
