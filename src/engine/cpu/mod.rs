//! The embedded CPU engine: NHWC pictures, Winograd and matrix kernels, normalisation fused with what follows it.
//!
//! This module holds the fast code. [`Ops`] and `plain` define what an operation means.
//!
//! The engine makes the default usable on any machine. It is checked against the plain executor ([`plain`](super::plain)).
//! This file holds the executor and the operations without a kernel of their own; `conv` holds convolutions, `layers` prepares
//! their weights, and the kernels' files hold arithmetic on vectors.

mod conv;
mod direct;
mod gemm;
mod layers;
mod norm;
mod pool;
mod recurrent;
mod simd;
mod threads;
mod winograd;

use super::ops::{Act, Conv, Crop, Executor, Layer, Ops, Resize, Rnn};
use super::plain::{half_pixel, sample_at};
use super::shape::pooled;
use crate::weights::{Array, Data, Weights};
use gemm::Rows;
use layers::{PackedLayers, Parts};
use norm::Modulation;
use parking_lot::Mutex;
use pool::{Buffer, Pool};
use simd::Level;
use std::collections::HashMap;
use std::sync::Arc;
use threads::{SendPtr, Threads};

/// How an engine may use the machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads; 0 stands for all cores.
    pub threads: usize,
    /// Bytes of transformed weights that may be kept; beyond that they are computed anew for each frame.
    pub keep: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options { threads: 0, keep: 160 << 20 }
    }
}

/// The engine and the instruction set that it found, for humans.
pub fn description() -> String {
    let set = match simd::level() {
        Level::Avx512 => "AVX-512",
        Level::Avx2 => "AVX2",
        Level::Portable => "portable code",
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    format!("embedded CPU engine with {set}, {cores} cores")
}

/// A tensor of the engine, n h w c order in memory.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// `[n, c, h, w]`
    shape: [usize; 4],
    data: Arc<Buffer>,
}

/// The executor. One instance serves one network; it may be shared by threads.
#[derive(Debug)]
pub struct Cpu {
    weights: Weights,
    /// Kernels of convolutions that have not run yet: each leaves when its prepared form is made.
    kernels: Mutex<HashMap<String, Vec<f32>>>,
    level: Level,
    threads: Threads,
    pool: Arc<Pool>,
    prepared: Mutex<PackedLayers>,
    keep: usize,
}

impl Cpu {
    /// An executor of a network whose layers are in `weights` (see [`shape::check`](super::shape::check)).
    ///
    /// Pass the only handle where memory matters: shared weights are copied.
    pub fn new(weights: Arc<Weights>, options: &Options) -> Cpu {
        let mut weights = Arc::unwrap_or_clone(weights);
        let mut kernels = HashMap::new();
        for (name, array) in std::mem::take(&mut weights.arrays) {
            match (array.data, array.shape.len()) {
                (Data::F32(values), 4) => drop(kernels.insert(name, values)),
                (data, _) => weights.insert(name, Array { shape: array.shape, data }),
            }
        }
        Cpu {
            weights,
            kernels: Mutex::new(kernels),
            level: simd::level(),
            threads: Threads::new(options.threads),
            pool: Arc::default(),
            prepared: Mutex::default(),
            keep: options.keep,
        }
    }

    /// The values in n h w c order, without a copy.
    pub fn nhwc<'a>(&self, x: &'a Tensor) -> &'a [f32] {
        &x.data
    }

    /// A tensor from values in n h w c order.
    pub fn from_nhwc(&self, shape: [usize; 4], values: &[f32]) -> Tensor {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "one value for each place of the shape");
        let mut out = self.pool.take(values.len());
        out.copy_from_slice(values);
        self.done(shape, out)
    }

    /// Tensors made since the engine exists, and the bytes they hold: constant once it is warm.
    pub fn buffers(&self) -> (usize, usize) {
        self.pool.made()
    }

    /// Gives buffers that are not in use back to the system; the next frame makes them anew.
    pub fn release(&self) {
        self.pool.clear();
    }

    fn done(&self, shape: [usize; 4], data: Buffer) -> Tensor {
        debug_assert_eq!(shape.iter().product::<usize>(), data.len());
        Tensor { shape, data: Arc::new(data) }
    }

    /// Every value through `f`, in parallel.
    fn map(&self, x: &Tensor, f: impl Fn(f32) -> f32 + Sync + Send) -> Tensor {
        let mut out = self.pool.take(x.data.len());
        let len = x.data.len();
        let target = SendPtr(out.as_mut_ptr());
        let part = len.div_ceil(4 * self.threads.count()).max(4096);
        self.threads.run(len.div_ceil(part), |i| {
            let range = i * part..len.min((i + 1) * part);
            // SAFETY: every task has its own range.
            let out = unsafe { std::slice::from_raw_parts_mut(target.get().add(range.start), range.len()) };
            for (o, &v) in out.iter_mut().zip(&x.data[range]) {
                *o = f(v);
            }
        });
        self.done(x.shape, out)
    }

    /// Fills an output row by row (`row(n, y, out)`), in parallel.
    fn rows(&self, shape: [usize; 4], row: impl Fn(usize, usize, &mut [f32]) + Sync + Send) -> Tensor {
        let [n, c, h, w] = shape;
        let mut out = self.pool.take(n * c * h * w);
        let target = SendPtr(out.as_mut_ptr());
        let part = (n * h).div_ceil(4 * self.threads.count()).max(1);
        self.threads.run((n * h).div_ceil(part), |i| {
            for r in i * part..(n * h).min((i + 1) * part) {
                // SAFETY: every task has its own rows.
                let out = unsafe { std::slice::from_raw_parts_mut(target.get().add(r * w * c), w * c) };
                row(r / h, r % h, out);
            }
        });
        self.done(shape, out)
    }
}

impl Tensor {
    /// Row `y` of image `n`.
    #[inline]
    fn row(&self, n: usize, y: usize) -> &[f32] {
        let [_, c, h, w] = self.shape;
        &self.data[(n * h + y) * w * c..][..w * c]
    }
}

impl Executor for Cpu {
    fn values(&self, x: &Tensor) -> Vec<f32> {
        let [n, c, h, w] = x.shape;
        let mut out = Vec::with_capacity(n * c * h * w);
        for image in x.data.chunks_exact(c * h * w) {
            for i in 0..c {
                out.extend(image[i..].iter().step_by(c));
            }
        }
        out
    }
}

impl Ops for Cpu {
    type Tensor = Tensor;

    fn shape(&self, x: &Tensor) -> [usize; 4] {
        x.shape
    }

    fn tensor(&self, shape: [usize; 4], values: &[f32]) -> Tensor {
        let [n, c, h, w] = shape;
        let mut out = self.pool.take(n * c * h * w);
        for (image, values) in out.chunks_exact_mut((c * h * w).max(1)).zip(values.chunks_exact((c * h * w).max(1))) {
            if c == 3 {
                // Pictures, the input of every frame: one pass instead of three.
                let (r, rest) = values.split_at(h * w);
                let (g, b) = rest.split_at(h * w);
                for (pixel, ((&r, &g), &b)) in image.as_chunks_mut::<3>().0.iter_mut().zip(r.iter().zip(g).zip(b)) {
                    *pixel = [r, g, b];
                }
                continue;
            }
            for (i, plane) in values.chunks_exact(h * w).enumerate() {
                for (target, &v) in image[i..].iter_mut().step_by(c).zip(plane) {
                    *target = v;
                }
            }
        }
        self.done(shape, out)
    }

    fn conv2d(&self, x: &Tensor, layer: Layer, conv: Conv) -> Tensor {
        self.convolve(x, Parts::One(layer), conv, None)
    }

    fn conv_bn(&self, x: &Tensor, layer: Layer, conv: Conv, bn: Layer, eps: f32) -> Tensor {
        self.convolve(x, Parts::Bn(layer, bn, eps), conv, None)
    }

    fn conv2d_pair(&self, x: &Tensor, first: Layer, second: Layer, conv: Conv) -> Tensor {
        if conv.groups > 1 {
            return self.concat(&[&self.conv2d(x, first, conv), &self.conv2d(x, second, conv)]);
        }
        self.convolve(x, Parts::Pair(first, second), conv, None)
    }

    fn conv_prelu(&self, x: &Tensor, layer: Layer, conv: Conv, slopes: Layer) -> Tensor {
        self.convolve(x, Parts::One(layer), conv, Some(self.layer(slopes, "weight")))
    }

    fn add_prelu(&self, a: &Tensor, b: &Tensor, slopes: Layer) -> Tensor {
        let slopes = self.layer(slopes, "weight");
        self.rows(a.shape, |n, y, out| {
            // SAFETY: three rows of equal length, whole pixels of as many channels as there are slopes.
            unsafe { direct::add_prelu(self.level, a.row(n, y), b.row(n, y), slopes, out.as_mut_ptr()) };
        })
    }

    fn add_relu(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let (ca, cb) = (a.shape[1], b.shape[1]);
        assert!(a.shape == [b.shape[0], ca, b.shape[2], b.shape[3]] && ca <= cb, "pictures of other sizes");
        self.rows(b.shape, |n, y, out| {
            let (a, b) = (a.row(n, y), b.row(n, y));
            // SAFETY: three rows of as many pixels, of ca, cb and cb channels.
            unsafe { direct::add_relu(self.level, a.as_ptr(), ca, b.as_ptr(), cb, out.len() / cb, out.as_mut_ptr()) };
        })
    }

    fn linear(&self, x: &Tensor, layer: Layer, out: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        let (weights, bias) = (self.layer(layer, "weight"), self.layer(layer, "bias"));
        let len = c * h * w;
        // Weights are in c h w order; only vectors come here in practice.
        let flat = if h * w == 1 { None } else { Some(self.values(x)) };
        let values = flat.as_deref().unwrap_or(&x.data);
        let mut y = self.pool.take(n * out);
        for (x, y) in values.chunks_exact(len).zip(y.chunks_exact_mut(out)) {
            let rows = Rows { runs: 1, len, run_step: 0, row_step: len };
            // The rows of the weights are the "pixels", the vector the one column.
            // SAFETY: `out` rows of `len` values; y has `out` values.
            unsafe { direct::few(self.level, weights.as_ptr(), rows, out, x, &[], 1, Act::None, y.as_mut_ptr()) };
            for (y, b) in y.iter_mut().zip(bias) {
                *y += b;
            }
        }
        self.done([n, out, 1, 1], y)
    }

    fn batch_norm(&self, x: &Tensor, layer: Layer, eps: f32) -> Tensor {
        let (g, b) = (self.layer(layer, "weight"), self.layer(layer, "bias"));
        let (mean, var) = (self.layer(layer, "running_mean"), self.layer(layer, "running_var"));
        let c = x.shape[1];
        let scale: Vec<f32> = (0..c).map(|i| g[i] / (var[i] + eps).sqrt()).collect();
        self.rows(x.shape, |n, y, out| {
            for (o, v) in out.chunks_exact_mut(c).zip(x.row(n, y).chunks_exact(c)) {
                for i in 0..c {
                    o[i] = (v[i] - mean[i]) * scale[i] + b[i];
                }
            }
        })
    }

    fn instance_norm(&self, x: &Tensor, affine: Option<Layer>, act: Act) -> Tensor {
        let [n, c, h, w] = x.shape;
        let modulation = match affine {
            Some(layer) => Modulation::Channel(self.layer(layer, "weight"), self.layer(layer, "bias")),
            None => Modulation::None,
        };
        let mut out = self.pool.take(n * c * h * w);
        for (x, y) in x.data.chunks_exact(c * h * w).zip(out.chunks_exact_mut(c * h * w)) {
            norm::normalise(self.level, x, c, modulation, act, y, &self.threads);
        }
        self.done(x.shape, out)
    }

    fn norm_modulate(&self, x: &Tensor, gamma_beta: &Tensor, act: Act) -> Tensor {
        let [n, c, h, w] = x.shape;
        let [gn, gc, gh, gw] = gamma_beta.shape;
        assert!(gn == n && gc == 2 * c && ((gh, gw) == (h, w) || (gh, gw) == (1, 1)), "modulation of another shape");
        let mut out = self.pool.take(n * c * h * w);
        let images = x.data.chunks_exact(c * h * w).zip(gamma_beta.data.chunks_exact(gc * gh * gw));
        for ((x, gb), y) in images.zip(out.chunks_exact_mut(c * h * w)) {
            let gamma: Vec<f32>;
            let modulation = if (gh, gw) == (h, w) && (h, w) != (1, 1) {
                Modulation::Pixel(gb)
            } else {
                gamma = gb[..c].iter().map(|g| 1.0 + g).collect();
                Modulation::Channel(&gamma, &gb[c..])
            };
            norm::normalise(self.level, x, c, modulation, act, y, &self.threads);
        }
        self.done(x.shape, out)
    }

    fn relu(&self, x: &Tensor) -> Tensor {
        self.map(x, |v| v.max(0.0))
    }
    fn leaky_relu(&self, x: &Tensor, slope: f32) -> Tensor {
        self.map(x, move |v| v.max(slope * v))
    }
    fn prelu(&self, x: &Tensor, layer: Layer) -> Tensor {
        let slopes = self.layer(layer, "weight");
        let c = x.shape[1];
        self.rows(x.shape, |n, y, out| {
            for (o, v) in out.chunks_exact_mut(c).zip(x.row(n, y).chunks_exact(c)) {
                for i in 0..c {
                    o[i] = if v[i] >= 0.0 { v[i] } else { v[i] * slopes[i] };
                }
            }
        })
    }
    fn tanh(&self, x: &Tensor) -> Tensor {
        self.map(x, f32::tanh)
    }
    fn sigmoid(&self, x: &Tensor) -> Tensor {
        self.map(x, |v| 1.0 / (1.0 + (-v).exp()))
    }

    fn softmax(&self, x: &Tensor) -> Tensor {
        let c = x.shape[1];
        self.rows(x.shape, |n, y, out| {
            for (o, v) in out.chunks_exact_mut(c).zip(x.row(n, y).chunks_exact(c)) {
                let top = v.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let mut sum = 0.0;
                for (o, v) in o.iter_mut().zip(v) {
                    *o = (v - top).exp();
                    sum += *o;
                }
                for o in o {
                    *o /= sum;
                }
            }
        })
    }

    fn max_pool(&self, x: &Tensor, kernel: usize, stride: usize, pad: usize, ceil: bool) -> Tensor {
        let [n, c, h, w] = x.shape;
        let (oh, ow) = (pooled(h, kernel, stride, pad, ceil), pooled(w, kernel, stride, pad, ceil));
        self.rows([n, c, oh, ow], |n, oy, out| {
            let range = (oy * stride).saturating_sub(pad)..(oy * stride + kernel).saturating_sub(pad).min(h);
            let rows: Vec<*const f32> = range.map(|y| x.row(n, y).as_ptr()).collect();
            // SAFETY: whole rows of w pixels, and one of ow.
            unsafe { direct::max_row(self.level, &rows, w, c, (kernel, stride, pad), out.as_mut_ptr(), ow) };
        })
    }

    fn avg_pool(&self, x: &Tensor, kernel: usize, stride: usize, pad: usize, count_pad: bool) -> Tensor {
        let [n, c, h, w] = x.shape;
        let (oh, ow) = (pooled(h, kernel, stride, pad, false), pooled(w, kernel, stride, pad, false));
        let range = |o: usize, size: usize| {
            (o * stride).saturating_sub(pad)..(o * stride + kernel).saturating_sub(pad).min(size)
        };
        self.rows([n, c, oh, ow], |n, oy, out| {
            out.fill(0.0);
            for y in range(oy, h) {
                let row = x.row(n, y);
                for (ox, out) in out.chunks_exact_mut(c).enumerate() {
                    for i in range(ox, w) {
                        for (o, &v) in out.iter_mut().zip(&row[i * c..]) {
                            *o += v;
                        }
                    }
                }
            }
            for (ox, out) in out.chunks_exact_mut(c).enumerate() {
                let count = if count_pad { kernel * kernel } else { range(oy, h).len() * range(ox, w).len() };
                let factor = 1.0 / count as f32;
                for o in out {
                    *o *= factor;
                }
            }
        })
    }

    fn pixel_shuffle(&self, x: &Tensor, r: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        let oc = c / (r * r);
        self.rows([n, oc, h * r, w * r], |n, oy, out| {
            let (row, dy) = (x.row(n, oy / r), oy % r);
            for (ox, out) in out.chunks_exact_mut(oc).enumerate() {
                let pixel = &row[ox / r * c..][..c];
                let first = dy * r + ox % r;
                for (o, &v) in out.iter_mut().zip(pixel[first..].iter().step_by(r * r)) {
                    *o = v;
                }
            }
        })
    }

    fn resize(&self, x: &Tensor, oh: usize, ow: usize, mode: Resize) -> Tensor {
        let [n, c, h, w] = x.shape;
        self.rows([n, c, oh, ow], |n, oy, out| match mode {
            Resize::Nearest => {
                let row = x.row(n, oy * h / oh);
                for (ox, out) in out.chunks_exact_mut(c).enumerate() {
                    out.copy_from_slice(&row[ox * w / ow * c..][..c]);
                }
            }
            Resize::Bilinear => {
                let (y0, y1, fy) = half_pixel(oy, h, oh);
                let (top, low) = (x.row(n, y0), x.row(n, y1));
                for (ox, out) in out.chunks_exact_mut(c).enumerate() {
                    let (x0, x1, fx) = half_pixel(ox, w, ow);
                    for (i, o) in out.iter_mut().enumerate() {
                        let a = top[x0 * c + i] * (1.0 - fx) + top[x1 * c + i] * fx;
                        let b = low[x0 * c + i] * (1.0 - fx) + low[x1 * c + i] * fx;
                        *o = a * (1.0 - fy) + b * fy;
                    }
                }
            }
        })
    }

    fn concat(&self, xs: &[&Tensor]) -> Tensor {
        let [n, _, h, w] = xs[0].shape;
        let c = xs.iter().map(|x| x.shape[1]).sum();
        self.rows([n, c, h, w], |n, y, out| {
            let mut first = 0;
            for x in xs {
                let len = x.shape[1];
                for (o, v) in out.chunks_exact_mut(c).zip(x.row(n, y).chunks_exact(len)) {
                    o[first..first + len].copy_from_slice(v);
                }
                first += len;
            }
        })
    }

    fn slice(&self, x: &Tensor, start: usize, len: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        self.rows([n, len, h, w], |n, y, out| {
            for (o, v) in out.chunks_exact_mut(len).zip(x.row(n, y).chunks_exact(c)) {
                o.copy_from_slice(&v[start..start + len]);
            }
        })
    }

    fn widen(&self, x: &Tensor, channels: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        self.rows([n, channels, h, w], |n, y, out| {
            for (o, v) in out.chunks_exact_mut(channels).zip(x.row(n, y).chunks_exact(c)) {
                o[..c].copy_from_slice(v);
                o[c..].fill(0.0);
            }
        })
    }

    fn crop_matrix(&self, landmarks: &Tensor, crop: Crop) -> Tensor {
        let [n, c, ..] = landmarks.shape;
        let mut out = self.pool.take(6 * n);
        for (points, out) in landmarks.data.chunks_exact(c).zip(out.as_chunks_mut::<6>().0) {
            *out = crop.matrix(points);
        }
        self.done([n, 6, 1, 1], out)
    }

    fn sample(&self, x: &Tensor, matrix: &Tensor, oh: usize, ow: usize) -> Tensor {
        let [n, c, h, w] = x.shape;
        let matrices = matrix.data.as_chunks::<6>().0;
        self.rows([n, c, oh, ow], |n, oy, out| {
            for (ox, out) in out.chunks_exact_mut(c).enumerate() {
                let Some((places, weights)) = sample_at(matrices[n], [ox, oy], [w, h]) else {
                    out.fill(0.0);
                    continue;
                };
                let [a, b, c_, d] = places.map(|[px, py]| &x.row(n, py)[px * c..][..c]);
                for (i, o) in out.iter_mut().enumerate() {
                    *o = weights[0] * a[i] + weights[1] * b[i] + weights[2] * c_[i] + weights[3] * d[i];
                }
            }
        })
    }

    fn map_points(&self, points: &Tensor, matrix: &Tensor) -> Tensor {
        let [_, c, ..] = points.shape;
        let mut out = self.pool.take(points.data.len());
        let images = points.data.chunks_exact(c).zip(out.chunks_exact_mut(c));
        for ((points, out), m) in images.zip(matrix.data.as_chunks::<6>().0) {
            for (p, o) in points.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<2>().0) {
                *o = [m[0] * p[0] + m[1] * p[1] + m[2], m[3] * p[0] + m[4] * p[1] + m[5]];
            }
        }
        self.done(points.shape, out)
    }

    fn add(&self, a: &Tensor, b: &Tensor) -> Tensor {
        self.rows(a.shape, |n, y, out| {
            for ((o, a), b) in out.iter_mut().zip(a.row(n, y)).zip(b.row(n, y)) {
                *o = a + b;
            }
        })
    }

    fn mul(&self, a: &Tensor, b: &Tensor) -> Tensor {
        let c = a.shape[1];
        let [_, bc, bh, bw] = b.shape;
        self.rows(a.shape, |n, y, out| {
            let row = b.row(n, if bh == 1 { 0 } else { y });
            for (x, (o, a)) in out.chunks_exact_mut(c).zip(a.row(n, y).chunks_exact(c)).enumerate() {
                let b = &row[if bw == 1 { 0 } else { x * bc }..][..bc];
                for i in 0..c {
                    o[i] = a[i] * b[if bc == 1 { 0 } else { i }];
                }
            }
        })
    }

    fn affine(&self, x: &Tensor, a: f32, b: f32) -> Tensor {
        self.map(x, move |v| a * v + b)
    }

    fn clamp(&self, x: &Tensor, low: f32, high: f32) -> Tensor {
        self.map(x, move |v| v.clamp(low, high))
    }

    fn rnn_from(&self, x: &Tensor, state: &Tensor, layer: Layer, rnn: Rnn) -> (Tensor, Tensor) {
        self.recurrent(x, state, layer, rnn)
    }

    fn lookahead(&self, x: &Tensor, layer: Layer, context: usize) -> Tensor {
        let [_, c, _, t] = x.shape;
        let weight = self.layer(layer, "weight");
        self.rows(x.shape, |n, y, out| {
            let row = x.row(n, y);
            for (i, out) in out.chunks_exact_mut(c).enumerate() {
                out.fill(0.0);
                for (k, x) in row[i * c..].chunks_exact(c).take(context.min(t)).enumerate() {
                    for ((o, x), w) in out.iter_mut().zip(x).zip(weight[k..].iter().step_by(context)) {
                        *o += x * w;
                    }
                }
            }
        })
    }

    fn warp(&self, image: &Tensor, flow: &Tensor) -> Tensor {
        let [n, c, h, w] = image.shape;
        let [_, _, oh, ow] = flow.shape;
        self.rows([n, c, oh, ow], |n, y, out| {
            for (x, (out, f)) in out.chunks_exact_mut(c).zip(flow.row(n, y).chunks_exact(2)).enumerate() {
                let sx = (x as f32 + f[0]).clamp(0.0, (w - 1) as f32);
                let sy = (y as f32 + f[1]).clamp(0.0, (h - 1) as f32);
                let (x0, y0) = (sx.floor() as usize, sy.floor() as usize);
                let (x1, y1) = ((x0 + 1).min(w - 1), (y0 + 1).min(h - 1));
                let (fx, fy) = (sx - x0 as f32, sy - y0 as f32);
                let (top, low) = (image.row(n, y0), image.row(n, y1));
                let weights = [(1.0 - fx) * (1.0 - fy), fx * (1.0 - fy), (1.0 - fx) * fy, fx * fy];
                let corners = [&top[x0 * c..][..c], &top[x1 * c..][..c], &low[x0 * c..][..c], &low[x1 * c..][..c]];
                for (i, o) in out.iter_mut().enumerate() {
                    *o = weights[0] * corners[0][i]
                        + weights[1] * corners[1][i]
                        + weights[2] * corners[2][i]
                        + weights[3] * corners[3][i];
                }
            }
        })
    }
}
