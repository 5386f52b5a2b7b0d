//! Convolutions: each layer goes to the kernel that its packed form is for. The kernels' arithmetic, and the packing,
//! do not belong here.

use super::gemm::{self, Rows};
use super::layers::{PackedLayer, Parts};
use super::pool::Buffer;
use super::threads::SendPtr;
use super::{Cpu, Tensor, direct, winograd};
use crate::engine::ops::Conv;
use crate::engine::plain::{activate, border};

impl Cpu {
    /// A convolution; `slopes` are those of a PReLU after it.
    pub(super) fn convolve(&self, x: &Tensor, parts: Parts, conv: Conv, slopes: Option<&[f32]>) -> Tensor {
        let [n, c, h, w] = x.shape;
        let out = if matches!(parts, Parts::Pair(..)) { 2 * conv.out } else { conv.out };
        let (oh, ow) = conv.out_size(h, w);
        let prepared = self.prepare(parts, &conv, c, oh * ow);
        // The kernels read by pointer: windows must lie inside.
        let padded = conv.padded_size(h, w);
        assert!(padded.0 >= conv.kernel.0 && padded.1 >= conv.kernel.1, "input below the kernel's size");
        let mut y = self.pool.take(n * oh * ow * out);
        for (x, y) in x.data.chunks_exact(h * w * c).zip(y.chunks_exact_mut(oh * ow * out)) {
            match &*prepared {
                PackedLayer::Winograd(weights) => {
                    winograd::convolve(weights, x, y, h, w, conv.act, &self.pool, &self.threads);
                }
                PackedLayer::Depthwise(weights, bias) => self.depthwise(x, y, [c, h, w], &conv, weights, bias),
                PackedLayer::Dense(weights, bias) => {
                    let level = self.level.for_channels(out);
                    self.windows(x, y, [c, h, w], &conv, out, |a, rows, count, y| {
                        // SAFETY: `windows` gives rows that lie inside and pixels that no other task has.
                        unsafe { gemm::multiply(level, a, rows, count, weights, bias, out, conv.act, y, out) }
                    });
                }
                PackedLayer::Few(weights, bias) => {
                    self.windows(x, y, [c, h, w], &conv, out, |a, rows, count, y| {
                        // SAFETY: as above.
                        unsafe { direct::few(self.level, a, rows, count, weights, bias, out, conv.act, y) }
                    });
                }
                PackedLayer::Grouped(weights, bias) => self.grouped(x, y, [c, h, w], &conv, weights, bias),
                PackedLayer::Recurrent(..) => unreachable!("a recurrent layer's name is no convolution's"),
            }
            if let Some(slopes) = slopes {
                self.prelu_in_place(y, slopes);
            }
        }
        self.done([n, out, oh, ow], y)
    }

    /// Calls `kernel(first window, layout, windows, output)` for every row of the output, on a padded copy where the
    /// convolution pads.
    fn windows(
        &self,
        x: &[f32],
        y: &mut [f32],
        [c, h, w]: [usize; 3],
        conv: &Conv,
        out: usize,
        kernel: impl Fn(*const f32, Rows, usize, *mut f32) + Sync + Send,
    ) {
        let (oh, ow) = conv.out_size(h, w);
        let (kh, kw) = conv.kernel;
        let y = SendPtr(y.as_mut_ptr());
        let padded;
        let (source, sw): (&[f32], usize) = if conv.pad == (0, 0) && conv.pad_after == (0, 0) {
            (x, w)
        } else {
            padded = self.padded(x, [c, h, w], conv);
            (&padded, conv.padded_size(h, w).1)
        };
        let source = source.as_ptr() as usize;
        if conv.kernel == (1, 1) && conv.stride == (1, 1) && conv.padded_size(h, w) == (h, w) {
            let rows = Rows { runs: 1, len: c, run_step: 0, row_step: c };
            // Whole tiles of the kernel's rows, unless there is but one part.
            let part = match self.threads.count() {
                1 => h * w,
                n => (h * w).div_ceil(4 * n).max(48).next_multiple_of(12),
            };
            self.threads.run((h * w).div_ceil(part), |i| {
                let (from, n) = (i * part, part.min(h * w - i * part));
                // SAFETY: pixels from .. from + n.
                unsafe { kernel((source as *const f32).add(from * c), rows, n, y.get().add(from * out)) }
            });
            return;
        }
        let rows = Rows { runs: kh, len: kw * c, run_step: sw * c, row_step: conv.stride.1 * c };
        self.threads.run(oh, |oy| {
            // SAFETY: output row oy, whose windows lie inside the padded picture.
            unsafe {
                kernel((source as *const f32).add(oy * conv.stride.0 * sw * c), rows, ow, y.get().add(oy * ow * out));
            }
        });
    }

    fn prelu_in_place(&self, y: &mut [f32], slopes: &[f32]) {
        let pixels = y.len() / slopes.len();
        let part = pixels.div_ceil(4 * self.threads.count()).max(256);
        let target = SendPtr(y.as_mut_ptr());
        self.threads.run(pixels.div_ceil(part), |i| {
            let range = i * part..pixels.min((i + 1) * part);
            // SAFETY: every task has its own pixels.
            unsafe { direct::prelu(self.level, target.get().add(range.start * slopes.len()), range.len(), slopes) };
        });
    }

    fn padded(&self, x: &[f32], [c, h, w]: [usize; 3], conv: &Conv) -> Buffer {
        let (py, px) = conv.pad;
        let (ph, pw) = conv.padded_size(h, w);
        let mut out = self.pool.take(ph * pw * c);
        for (y, row) in out.chunks_exact_mut(pw * c).enumerate() {
            let Some(sy) = border(y as isize - py as isize, h, conv.pad_mode) else {
                row.fill(0.0);
                continue;
            };
            let source = &x[sy * w * c..(sy + 1) * w * c];
            row[px * c..(px + w) * c].copy_from_slice(source);
            for i in (0..px).chain(px + w..pw) {
                let target = &mut row[i * c..(i + 1) * c];
                match border(i as isize - px as isize, w, conv.pad_mode) {
                    None => target.fill(0.0),
                    Some(sx) => target.copy_from_slice(&source[sx * c..(sx + 1) * c]),
                }
            }
        }
        out
    }

    fn depthwise(&self, x: &[f32], y: &mut [f32], [c, h, w]: [usize; 3], conv: &Conv, weights: &[f32], bias: &[f32]) {
        let level = self.level.for_channels(c);
        let (oh, ow) = conv.out_size(h, w);
        let mut zeros = self.pool.take(w * c);
        zeros.fill(0.0);
        let (zeros, y) = (&zeros, SendPtr(y.as_mut_ptr()));
        let part = oh.div_ceil(4 * self.threads.count());
        self.threads.run(oh.div_ceil(part), |i| {
            for oy in i * part..oh.min((i + 1) * part) {
                let row = |ky: usize| {
                    let sy = (oy * conv.stride.0 + ky) as isize - conv.pad.0 as isize;
                    let inside = sy >= 0 && sy < h as isize;
                    if inside { x[sy as usize * w * c..].as_ptr() } else { zeros.as_ptr() }
                };
                // SAFETY: whole rows in, one out that no other task writes.
                unsafe {
                    let out = y.get().add(oy * ow * c);
                    let (k, b) = (weights.as_ptr(), bias.as_ptr());
                    let (step, pad) = (conv.stride.0, conv.pad.1);
                    if conv.kernel == (5, 5) {
                        let rows = std::array::from_fn(row);
                        direct::depthwise_row5(level, rows, w, c, step, pad, k, b, conv.act, out, ow);
                    } else {
                        let rows = std::array::from_fn(row);
                        direct::depthwise_row3(level, rows, w, c, step, pad, k, b, conv.act, out, ow);
                    }
                }
            }
        });
    }

    /// Grouped convolutions by definition (only odd ones come here, such as MobileFaceNet's 7x6 depthwise pooling).
    fn grouped(&self, x: &[f32], y: &mut [f32], [c, h, w]: [usize; 3], conv: &Conv, weights: &[f32], bias: &[f32]) {
        let (oh, ow) = conv.out_size(h, w);
        let (kh, kw) = conv.kernel;
        let (cg, og) = (c / conv.groups, conv.out / conv.groups);
        for oy in 0..oh {
            for ox in 0..ow {
                for o in 0..conv.out {
                    let mut sum = bias[o];
                    for ky in 0..kh {
                        let sy = border((oy * conv.stride.0 + ky) as isize - conv.pad.0 as isize, h, conv.pad_mode);
                        let Some(sy) = sy else { continue };
                        for kx in 0..kw {
                            let sx = border((ox * conv.stride.1 + kx) as isize - conv.pad.1 as isize, w, conv.pad_mode);
                            let Some(sx) = sx else { continue };
                            let x = &x[(sy * w + sx) * c + o / og * cg..][..cg];
                            let k = &weights[((o * kh + ky) * kw + kx) * cg..][..cg];
                            sum += x.iter().zip(k).map(|(a, b)| a * b).sum::<f32>();
                        }
                    }
                    y[(oy * ow + ox) * conv.out + o] = activate(sum, conv.act);
                }
            }
        }
    }
}
