//! The plain executor: every operation as its definition reads, in f32 with f64 sums, one loop at a time.
//! It is slow and obvious; the fast engines are checked against it.

use super::ops::{Act, Cell, Conv, Crop, Executor, Layer, Ops, Pad, Resize, Rnn};
use super::shape::pooled;
use crate::weights::Weights;
use std::sync::Arc;

/// A tensor of the plain executor, n c h w order.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// n, c, h, w.
    pub shape: [usize; 4],
    /// The values, in n c h w order.
    pub data: Arc<Vec<f32>>,
}

impl Tensor {
    /// A tensor of `n * c * h * w` values.
    pub fn new(shape: [usize; 4], data: Vec<f32>) -> Tensor {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Tensor { shape, data: Arc::new(data) }
    }

    #[inline]
    fn at(&self, n: usize, c: usize, y: usize, x: usize) -> f32 {
        let [_, cs, h, w] = self.shape;
        self.data[((n * cs + c) * h + y) * w + x]
    }
}

/// [`Ops`] by definition.
#[derive(Debug, Clone)]
pub struct Plain {
    weights: Arc<Weights>,
}

impl Plain {
    /// An executor of a network whose layers are in `weights` (see [`shape::check`](super::shape::check)).
    pub fn new(weights: Arc<Weights>) -> Plain {
        Plain { weights }
    }

    /// A layer's values; a layer that is not there counts as a programming error, since the shape checker ran before.
    fn layer(&self, layer: Layer, part: &str) -> &[f32] {
        self.weights
            .get(&format!("{layer}.{part}"))
            .and_then(|a| a.as_f32())
            .unwrap_or_else(|| panic!("layer '{layer}.{part}' is missing: weights must pass shape::check first"))
    }
}

/// A tensor filled by a function of (n, c, y, x).
fn fill(shape: [usize; 4], mut f: impl FnMut(usize, usize, usize, usize) -> f32) -> Tensor {
    let [n, c, h, w] = shape;
    let mut data = Vec::with_capacity(n * c * h * w);
    for n in 0..n {
        for c in 0..c {
            for y in 0..h {
                for x in 0..w {
                    data.push(f(n, c, y, x));
                }
            }
        }
    }
    Tensor::new(shape, data)
}

fn map(x: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    Tensor::new(x.shape, x.data.iter().map(|&v| f(v)).collect())
}

/// The index inside `0..n` that stands for `i`, or `None` where the border is zero.
pub(crate) fn border(i: isize, n: usize, mode: Pad) -> Option<usize> {
    let n = n as isize;
    match mode {
        _ if (0..n).contains(&i) => Some(i as usize),
        Pad::Zero => None,
        Pad::Reflect => {
            let i = if i < 0 { -i } else { 2 * (n - 1) - i };
            Some(i.clamp(0, n - 1) as usize)
        }
    }
}

pub(crate) fn activate(v: f32, act: Act) -> f32 {
    match act {
        Act::None => v,
        Act::Relu => v.max(0.0),
        Act::Leaky(slope) => v.max(slope * v),
    }
}

/// Source position and weight of bilinear interpolation with half-pixel centres.
pub(crate) fn half_pixel(dst: usize, n_in: usize, n_out: usize) -> (usize, usize, f32) {
    let s = ((dst as f32 + 0.5) * (n_in as f32 / n_out as f32) - 0.5).max(0.0);
    let i = (s.floor() as usize).min(n_in - 1);
    (i, (i + 1).min(n_in - 1), s - i as f32)
}

/// The four pixels that [`Ops::sample`] mixes for a pixel of its output, and their weights; `None` outside.
pub(crate) fn sample_at(m: [f32; 6], to: [usize; 2], [w, h]: [usize; 2]) -> Option<([[usize; 2]; 4], [f32; 4])> {
    let (x, y) = (to[0] as f32 + 0.5, to[1] as f32 + 0.5);
    let (sx, sy) = (m[0] * x + m[1] * y + m[2] - 0.5, m[3] * x + m[4] * y + m[5] - 0.5);
    // Written so that what is not a number is outside too.
    if !(sx >= 0.0 && sy >= 0.0 && sx <= (w - 1) as f32 && sy <= (h - 1) as f32) {
        return None;
    }
    let (x0, y0) = (sx as usize, sy as usize);
    let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
    let (fx, fy) = (sx - x0 as f32, sy - y0 as f32);
    let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
    Some(([[x0, y0], [x1, y0], [x0, y1], [x1, y1]], weights))
}

impl Executor for Plain {
    fn values(&self, x: &Tensor) -> Vec<f32> {
        x.data.to_vec()
    }
}

impl Ops for Plain {
    type Tensor = Tensor;

    fn shape(&self, x: &Tensor) -> [usize; 4] {
        x.shape
    }

    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Tensor {
        Tensor::new(shape, values.to_vec())
    }

    fn conv2d(&self, x: &Tensor, layer: Layer, conv: Conv) -> Tensor {
        let weight = self.layer(layer, "weight");
        let bias = conv.bias.then(|| self.layer(layer, "bias"));
        let [n, c, h, w] = x.shape;
        let (kh, kw) = conv.kernel;
        let (oh, ow) = conv.out_size(h, w);
        let (cg, og) = (c / conv.groups, conv.out / conv.groups);
        fill([n, conv.out, oh, ow], |n, o, oy, ox| {
            let mut sum = bias.map_or(0.0, |b| f64::from(b[o]));
            for i in 0..cg {
                for ky in 0..kh {
                    let Some(y) = border((oy * conv.stride.0 + ky) as isize - conv.pad.0 as isize, h, conv.pad_mode)
                    else {
                        continue;
                    };
                    for kx in 0..kw {
                        let sx = (ox * conv.stride.1 + kx) as isize - conv.pad.1 as isize;
                        if let Some(sx) = border(sx, w, conv.pad_mode) {
                            let k = weight[((o * cg + i) * kh + ky) * kw + kx];
                            sum += f64::from(k) * f64::from(x.at(n, o / og * cg + i, y, sx));
                        }
                    }
                }
            }
            activate(sum as f32, conv.act)
        })
    }

    fn linear(&self, x: &Tensor, layer: Layer, out: usize) -> Tensor {
        let (weight, bias) = (self.layer(layer, "weight"), self.layer(layer, "bias"));
        let len = x.shape[1] * x.shape[2] * x.shape[3];
        fill([x.shape[0], out, 1, 1], |n, o, _, _| {
            let row = &weight[o * len..(o + 1) * len];
            let xs = &x.data[n * len..(n + 1) * len];
            let dot: f64 = row.iter().zip(xs).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            (dot + f64::from(bias[o])) as f32
        })
    }

    fn batch_norm(&self, x: &Tensor, layer: Layer, eps: f32) -> Tensor {
        let (g, b) = (self.layer(layer, "weight"), self.layer(layer, "bias"));
        let (mean, var) = (self.layer(layer, "running_mean"), self.layer(layer, "running_var"));
        fill(x.shape, |n, c, y, i| (x.at(n, c, y, i) - mean[c]) / (var[c] + eps).sqrt() * g[c] + b[c])
    }

    fn instance_norm(&self, x: &Tensor, affine: Option<Layer>, act: Act) -> Tensor {
        let affine = affine.map(|l| (self.layer(l, "weight"), self.layer(l, "bias")));
        let stats = moments(x);
        fill(x.shape, |n, c, y, i| {
            let (mean, scale) = stats[n * x.shape[1] + c];
            let v = (x.at(n, c, y, i) - mean) * scale;
            activate(affine.map_or(v, |(g, b)| v * g[c] + b[c]), act)
        })
    }

    fn relu(&self, x: &Tensor) -> Tensor {
        map(x, |v| v.max(0.0))
    }
    fn leaky_relu(&self, x: &Tensor, slope: f32) -> Tensor {
        map(x, |v| v.max(slope * v))
    }
    fn prelu(&self, x: &Tensor, layer: Layer) -> Tensor {
        let a = self.layer(layer, "weight");
        fill(x.shape, |n, c, y, i| {
            let v = x.at(n, c, y, i);
            if v >= 0.0 { v } else { v * a[c] }
        })
    }
    fn tanh(&self, x: &Tensor) -> Tensor {
        map(x, f32::tanh)
    }
    fn sigmoid(&self, x: &Tensor) -> Tensor {
        map(x, |v| 1.0 / (1.0 + (-v).exp()))
    }
    fn softmax(&self, x: &Tensor) -> Tensor {
        let channels = x.shape[1];
        fill(x.shape, |n, c, y, i| {
            let top = (0..channels).map(|k| x.at(n, k, y, i)).fold(f32::NEG_INFINITY, f32::max);
            let sum: f32 = (0..channels).map(|k| (x.at(n, k, y, i) - top).exp()).sum();
            (x.at(n, c, y, i) - top).exp() / sum
        })
    }

    fn max_pool(&self, x: &Tensor, kernel: usize, stride: usize, pad: usize, ceil: bool) -> Tensor {
        let [n, c, h, w] = x.shape;
        let (oh, ow) = (pooled(h, kernel, stride, pad, ceil), pooled(w, kernel, stride, pad, ceil));
        fill([n, c, oh, ow], |n, c, oy, ox| {
            let mut best = f32::NEG_INFINITY;
            for y in (oy * stride).saturating_sub(pad)..(oy * stride + kernel).saturating_sub(pad).min(h) {
                for i in (ox * stride).saturating_sub(pad)..(ox * stride + kernel).saturating_sub(pad).min(w) {
                    best = best.max(x.at(n, c, y, i));
                }
            }
            best
        })
    }

    fn avg_pool(&self, x: &Tensor, kernel: usize, stride: usize, pad: usize, count_pad: bool) -> Tensor {
        let [n, c, h, w] = x.shape;
        let (oh, ow) = (pooled(h, kernel, stride, pad, false), pooled(w, kernel, stride, pad, false));
        fill([n, c, oh, ow], |n, c, oy, ox| {
            let (mut sum, mut count) = (0.0, 0);
            for y in (oy * stride).saturating_sub(pad)..(oy * stride + kernel).saturating_sub(pad).min(h) {
                for i in (ox * stride).saturating_sub(pad)..(ox * stride + kernel).saturating_sub(pad).min(w) {
                    sum += f64::from(x.at(n, c, y, i));
                    count += 1;
                }
            }
            let count = if count_pad { kernel * kernel } else { count };
            (sum / count as f64) as f32
        })
    }

    fn pixel_shuffle(&self, x: &Tensor, r: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        fill([n, c / (r * r), h * r, w * r], |n, c, y, i| x.at(n, (c * r + y % r) * r + i % r, y / r, i / r))
    }

    fn resize(&self, x: &Tensor, oh: usize, ow: usize, mode: Resize) -> Tensor {
        let [n, c, h, w] = x.shape;
        match mode {
            Resize::Nearest => fill([n, c, oh, ow], |n, c, y, i| x.at(n, c, y * h / oh, i * w / ow)),
            Resize::Bilinear => fill([n, c, oh, ow], |n, c, y, i| {
                let ((y0, y1, fy), (x0, x1, fx)) = (half_pixel(y, h, oh), half_pixel(i, w, ow));
                let top = x.at(n, c, y0, x0) * (1.0 - fx) + x.at(n, c, y0, x1) * fx;
                let low = x.at(n, c, y1, x0) * (1.0 - fx) + x.at(n, c, y1, x1) * fx;
                top * (1.0 - fy) + low * fy
            }),
        }
    }

    fn concat(&self, xs: &[&Tensor]) -> Tensor {
        let [n, _, h, w] = xs[0].shape;
        let c = xs.iter().map(|x| x.shape[1]).sum();
        let mut data = Vec::with_capacity(n * c * h * w);
        for n in 0..n {
            for x in xs {
                let len = x.shape[1] * h * w;
                data.extend_from_slice(&x.data[n * len..(n + 1) * len]);
            }
        }
        Tensor::new([n, c, h, w], data)
    }

    fn slice(&self, x: &Tensor, start: usize, len: usize) -> Tensor {
        let [n, _, h, w] = x.shape;
        fill([n, len, h, w], |n, c, y, i| x.at(n, start + c, y, i))
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        Tensor::new(a.shape, a.data.iter().zip(b.data.iter()).map(|(a, b)| a + b).collect())
    }

    fn mul(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let [_, bc, bh, bw] = b.shape;
        fill(a.shape, |n, c, y, x| {
            a.at(n, c, y, x)
                * b.at(n, if bc == 1 { 0 } else { c }, if bh == 1 { 0 } else { y }, if bw == 1 { 0 } else { x })
        })
    }

    fn affine(&self, x: &Tensor, a: f32, b: f32) -> Tensor {
        map(x, |v| a * v + b)
    }

    fn clamp(&self, x: &Tensor, low: f32, high: f32) -> Tensor {
        map(x, |v| v.clamp(low, high))
    }

    fn widen(&self, x: &Tensor, channels: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        fill([n, channels, h, w], |n, i, y, x_| if i < c { x.at(n, i, y, x_) } else { 0.0 })
    }

    fn crop_matrix(&self, landmarks: &Tensor, crop: Crop) -> Tensor {
        let [n, c, ..] = landmarks.shape;
        let matrices = landmarks.data.chunks_exact(c).flat_map(|points| crop.matrix(points));
        Tensor::new([n, 6, 1, 1], matrices.collect())
    }

    fn sample(&self, x: &Tensor, matrix: &Tensor, oh: usize, ow: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        fill([n, c, oh, ow], |n, c, oy, ox| {
            let m = |i: usize| matrix.at(n, i, 0, 0);
            let Some((place, weight)) = sample_at([0, 1, 2, 3, 4, 5].map(m), [ox, oy], [w, h]) else { return 0.0 };
            place.iter().zip(weight).map(|([px, py], k)| k * x.at(n, c, *py, *px)).sum()
        })
    }

    fn map_points(&self, points: &Tensor, matrix: &Tensor) -> Tensor {
        fill(points.shape, |n, i, _, _| {
            let (x, y) = (points.at(n, i & !1, 0, 0), points.at(n, i | 1, 0, 0));
            let m = |k: usize| matrix.at(n, 3 * (i % 2) + k, 0, 0);
            m(0) * x + m(1) * y + m(2)
        })
    }

    fn rnn_from(&self, x: &Tensor, state: &Tensor, layer: Layer, rnn: Rnn) -> (Tensor, Tensor) {
        let ([n, c, h, t], hidden) = (x.shape, rnn.hidden);
        let directions = rnn.directions();
        let mut out = vec![0.0; n * directions.len() * hidden * t];
        let mut last = state.data.to_vec();
        for (d, direction) in directions.iter().enumerate() {
            let part = |name: &str| self.layer(layer, &format!("{name}_{direction}"));
            let (wx, wh, bx, bh) = (part("weight_ih"), part("weight_hh"), part("bias_ih"), part("bias_hh"));
            let dot = |w: &[f32], row: usize, v: &[f32], b: &[f32]| {
                let w = &w[row * v.len()..(row + 1) * v.len()];
                w.iter().zip(v).map(|(&w, &v)| f64::from(w) * f64::from(v)).sum::<f64>() + f64::from(b[row])
            };
            let sigmoid = |v: f64| 1.0 / (1.0 + (-v).exp());
            for n in 0..n {
                let states = &mut last[n * rnn.state()..][..rnn.state()];
                let (hiddens, cells) = states.split_at_mut(directions.len() * hidden);
                let mut state = hiddens[d * hidden..][..hidden].to_vec();
                let mut cell: Vec<f64> = cells.iter().skip(d * hidden).take(hidden).map(|v| f64::from(*v)).collect();
                for step in 0..t {
                    let at = if d == 0 { step } else { t - 1 - step };
                    let input: Vec<f32> = (0..c * h).map(|i| x.at(n, i / h, i % h, at)).collect();
                    let gate = |g: usize, i: usize| {
                        let row = g * hidden + i;
                        (dot(wx, row, &input, bx), dot(wh, row, &state, bh))
                    };
                    let both = |g: usize, i: usize| gate(g, i).0 + gate(g, i).1;
                    let next = (0..hidden).map(|i| match rnn.cell {
                        Cell::Tanh => both(0, i).tanh() as f32,
                        Cell::Gru => {
                            let (reset, update) = (sigmoid(both(0, i)), sigmoid(both(1, i)));
                            let (x, h) = gate(2, i);
                            let new = (x + reset * h).tanh();
                            ((1.0 - update) * new + update * f64::from(state[i])) as f32
                        }
                        Cell::Lstm => {
                            let (input, forget) = (sigmoid(both(0, i)), sigmoid(both(1, i)));
                            cell[i] = forget * cell[i] + input * both(2, i).tanh();
                            (sigmoid(both(3, i)) * cell[i].tanh()) as f32
                        }
                    });
                    state = next.collect();
                    for (i, v) in state.iter().enumerate() {
                        out[((n * directions.len() + d) * hidden + i) * t + at] = *v;
                    }
                }
                hiddens[d * hidden..][..hidden].copy_from_slice(&state);
                for (kept, v) in cells.iter_mut().skip(d * hidden).zip(&cell) {
                    *kept = *v as f32;
                }
            }
        }
        (Tensor::new([n, directions.len() * hidden, 1, t], out), Tensor::new(state.shape, last))
    }

    fn lookahead(&self, x: &Tensor, layer: Layer, context: usize) -> Tensor {
        let weight = self.layer(layer, "weight");
        let t = x.shape[3];
        fill(x.shape, |n, c, y, i| {
            let ahead =
                (0..context.min(t - i)).map(|k| f64::from(weight[c * context + k]) * f64::from(x.at(n, c, y, i + k)));
            ahead.sum::<f64>() as f32
        })
    }

    fn warp(&self, image: &Tensor, flow: &Tensor) -> Tensor {
        let [n, c, h, w] = image.shape;
        let [_, _, oh, ow] = flow.shape;
        fill([n, c, oh, ow], |n, c, y, x| {
            let sx = (x as f32 + flow.at(n, 0, y, x)).clamp(0.0, (w - 1) as f32);
            let sy = (y as f32 + flow.at(n, 1, y, x)).clamp(0.0, (h - 1) as f32);
            let (x0, y0) = (sx.floor() as usize, sy.floor() as usize);
            let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
            let (fx, fy) = (sx - x0 as f32, sy - y0 as f32);
            let top = image.at(n, c, y0, x0) * (1.0 - fx) + image.at(n, c, y0, x1) * fx;
            let low = image.at(n, c, y1, x0) * (1.0 - fx) + image.at(n, c, y1, x1) * fx;
            top * (1.0 - fy) + low * fy
        })
    }

    fn norm_modulate(&self, x: &Tensor, gamma_beta: &Tensor, act: Act) -> Tensor {
        let stats = moments(x);
        let channels = x.shape[1];
        let [_, _, gh, gw] = gamma_beta.shape;
        fill(x.shape, |n, c, y, i| {
            let (mean, scale) = stats[n * channels + c];
            let (gy, gx) = (if gh == 1 { 0 } else { y }, if gw == 1 { 0 } else { i });
            let v = (x.at(n, c, y, i) - mean) * scale;
            activate(v * (1.0 + gamma_beta.at(n, c, gy, gx)) + gamma_beta.at(n, channels + c, gy, gx), act)
        })
    }
}

/// Mean and 1/sqrt(variance + 1e-5) of each (n, c) plane.
fn moments(x: &Tensor) -> Vec<(f32, f32)> {
    let len = x.shape[2] * x.shape[3];
    x.data
        .chunks_exact(len)
        .map(|plane| {
            let mean = plane.iter().map(|&v| f64::from(v)).sum::<f64>() / len as f64;
            let var = plane.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / len as f64;
            (mean as f32, (1.0 / (var + 1e-5).sqrt()) as f32)
        })
        .collect()
}
