//! The project's own network of dense points: the 478 points of MediaPipe's face mesh, from a turned square around a face.
//!
//! It looks three times. The whole face, at half the picture's resolution, gives all points of the mesh. Then each eye with its brow, and the
//! lips, in windows at the picture's full resolution, placed by that mesh: lids, irises, brows and lips move by few pixels. Both eyes
//! are seen by one network, the left one in a mirror. The architecture is this project's (residual blocks,
//! <https://arxiv.org/abs/1512.03385>).

use crate::engine::{Act, Conv, Ops};

/// Side of the square input in pixels.
pub const SIZE: usize = 192;
/// Side of the square windows in their own pixels.
pub const WINDOW: usize = 48;
/// Pixels of the input in one of an eye's window, and of the lips'.
pub const EYE_SCALE: f32 = 1.0;
/// See [`EYE_SCALE`].
pub const LIPS_SCALE: f32 = 1.25;
/// How far below an eye's middle its window has its own, in pixels of the input: the brow is to be seen.
const EYE_DOWN: f32 = -6.0;
/// How far below the middle of the mouth's corners the lips' window has its own: a jaw opens downwards.
const LIPS_DOWN: f32 = 6.0;

/// Points of the mesh, without irises.
pub const MESH: usize = 468;
/// Points of an eye: lids, skin and brow (71), then the iris.
pub const EYE: usize = 71;
/// Points of an iris: its middle, then its rim.
pub const IRIS: usize = 5;
/// Points of the lips.
pub const LIPS: usize = 80;

/// Corners that place the windows: of the right eye, the left eye, the mouth.
const CORNERS: [[usize; 2]; 3] = [[33, 133], [362, 263], [61, 291]];
/// Epsilon of every batch norm.
const EPS: f32 = 1e-5;

/// What the network says, coordinates in pixels of the input.
pub struct Points<T> {
    /// x, y, z of each point of the mesh, `[n, 1404, 1, 1]`.
    pub mesh: T,
    /// x, y of the lips' points, `[n, 160, 1, 1]`.
    pub lips: T,
    /// x, y of each eye's points, right and left, `[n, 142, 1, 1]`.
    pub eyes: [T; 2],
    /// x, y of each iris, `[n, 10, 1, 1]`.
    pub irises: [T; 2],
    /// Whether there is a face: a logit, `[n, 1, 1, 1]`.
    pub flag: T,
}

/// Names of the outputs, in the order of [`Points::tensors`].
pub const NAMES: [&str; 7] = ["mesh", "lips", "right_eye", "left_eye", "right_iris", "left_iris", "flag"];

impl<T> Points<T> {
    /// All of it: mesh, lips, right eye, left eye, right iris, left iris, flag.
    pub fn tensors(&self) -> [&T; 7] {
        let ([right, left], [right_iris, left_iris]) = (&self.eyes, &self.irises);
        [&self.mesh, &self.lips, right, left, right_iris, left_iris, &self.flag]
    }
}

/// Of the input for one face.
pub const fn shape() -> [usize; 4] {
    [1, 3, SIZE, SIZE]
}

/// A convolution with a batch norm and, unless it ends a residual branch, a ReLU.
fn layer<O: Ops>(ops: &O, x: &O::Tensor, name: &str, conv: Conv) -> O::Tensor {
    ops.conv_bn(x, &format!("{name}.conv"), conv.no_bias(), &format!("{name}.bn"), EPS)
}

/// Two convolutions around which their input goes.
fn residual<O: Ops>(ops: &O, x: &O::Tensor, name: &str) -> O::Tensor {
    let [_, c, _, _] = ops.shape(x);
    let y = layer(ops, x, &format!("{name}.a"), Conv::same(c, 3).act(Act::Relu));
    let y = layer(ops, &y, &format!("{name}.b"), Conv::same(c, 3));
    ops.relu(&ops.add(x, &y))
}

/// Channels from here on, in half the pixels where `stride` is 2.
fn step<O: Ops>(ops: &O, x: &O::Tensor, name: &str, channels: usize, stride: usize) -> O::Tensor {
    layer(ops, x, name, Conv::same(channels, 3).stride(stride).act(Act::Relu))
}

/// All places of a small picture at once: where something is seen matters.
fn whole<O: Ops>(ops: &O, x: &O::Tensor, name: &str, channels: usize) -> O::Tensor {
    let [_, c, h, w] = ops.shape(x);
    let conv = Conv { kernel: (h, w), out: channels, ..Conv::same(c, 1) };
    layer(ops, x, name, conv.act(Act::Relu))
}

/// The first look, `x` as [`points`] takes it: the mesh, and the flag's logit.
pub fn face<O: Ops>(ops: &O, x: &O::Tensor) -> (O::Tensor, O::Tensor) {
    let x = ops.affine(&ops.avg_pool(x, 2, 2, 0, true), 2.0, -1.0); // 96x96
    let x = step(ops, &x, "face.1", 16, 2); // 48x48
    let x = step(ops, &x, "face.2", 32, 2); // 24x24
    let x = residual(ops, &x, "face.3");
    let x = step(ops, &x, "face.4", 64, 2); // 12x12
    let x = residual(ops, &residual(ops, &x, "face.5"), "face.6");
    let x = step(ops, &x, "face.7", 128, 2); // 6x6
    let x = residual(ops, &residual(ops, &x, "face.8"), "face.9");
    let x = layer(ops, &x, "face.10", Conv::same(48, 1).act(Act::Relu));
    let x = whole(ops, &x, "face.11", 192);
    let mesh = ops.linear(&x, "face.mesh", 3 * MESH);
    let half = 0.5 * SIZE as f32;
    // x and y from the middle; z is 0 in the head's middle. Adding half to z too would only move a bias.
    (ops.affine(&mesh, half, half), ops.linear(&x, "face.flag", 1))
}

/// Where the windows have their middles, `[n, 2, 1, 1]` each: right eye, left eye, lips.
pub fn centres<O: Ops>(ops: &O, mesh: &O::Tensor) -> [O::Tensor; 3] {
    CORNERS.map(|[a, b]| {
        let sum = ops.add(&ops.slice(mesh, 3 * a, 2), &ops.slice(mesh, 3 * b, 2));
        ops.affine(&sum, 0.5, 0.0)
    })
}

/// Which window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The right eye with its brow.
    RightEye,
    /// The left one, in a mirror.
    LeftEye,
    /// The lips.
    Lips,
}

/// The map from a window's pixels to the input's: of points (one at 3.0 lies on the middle of pixel 3, in the input as in the window),
/// or, with `pixels`, as [`Ops::sample`] takes it.
fn matrix<O: Ops>(ops: &O, centre: &O::Tensor, part: Part, pixels: bool) -> O::Tensor {
    let (scale, down) = match part {
        Part::Lips => (LIPS_SCALE, LIPS_DOWN),
        Part::RightEye | Part::LeftEye => (EYE_SCALE, EYE_DOWN),
    };
    let side = if part == Part::LeftEye { -scale } else { scale };
    let half = 0.5 * WINDOW as f32;
    // Sampling counts from a pixel's edge.
    let edge = |scale: f32| if pixels { 0.5 - 0.5 * scale } else { 0.0 };
    let n = ops.shape(centre)[0];
    let numbers = |values: [f32; 2]| ops.tensor([n, 2, 1, 1], &values.repeat(n));
    let x = ops.affine(&ops.slice(centre, 0, 1), 1.0, edge(side) - side * half);
    let y = ops.affine(&ops.slice(centre, 1, 1), 1.0, edge(scale) + down - scale * half);
    ops.concat(&[&numbers([side, 0.0]), &x, &numbers([0.0, scale]), &y])
}

/// The pixels of a window of `x` around `centre`, `[n, 3, 48, 48]`.
pub fn window<O: Ops>(ops: &O, x: &O::Tensor, centre: &O::Tensor, part: Part) -> O::Tensor {
    ops.sample(x, &matrix(ops, centre, part, true), WINDOW, WINDOW)
}

/// Points of a window in the input's pixels.
pub fn place<O: Ops>(ops: &O, points: &O::Tensor, centre: &O::Tensor, part: Part) -> O::Tensor {
    ops.map_points(points, &matrix(ops, centre, part, false))
}

/// The second look, at a window: `2 count` coordinates in its pixels.
fn look<O: Ops>(ops: &O, window: &O::Tensor, name: &str, count: usize) -> O::Tensor {
    let named = |part: &str| format!("{name}.{part}");
    let x = ops.affine(window, 2.0, -1.0);
    let x = step(ops, &x, &named("1"), 16, 2); // 24x24
    let x = step(ops, &x, &named("2"), 24, 1);
    let x = step(ops, &x, &named("3"), 40, 2); // 12x12
    let x = residual(ops, &x, &named("4"));
    let x = step(ops, &x, &named("5"), 64, 2); // 6x6
    let x = residual(ops, &x, &named("6"));
    let x = whole(ops, &x, &named("7"), 96);
    let half = 0.5 * WINDOW as f32;
    ops.affine(&ops.linear(&x, &named("points"), 2 * count), half, half)
}

/// What an eye's window shows, in its pixels: lids, skin and brow, then the iris, in the order of the right eye.
pub fn eye<O: Ops>(ops: &O, window: &O::Tensor) -> O::Tensor {
    look(ops, window, "eye", EYE + IRIS)
}

/// What the lips' window shows, in its pixels.
pub fn lips<O: Ops>(ops: &O, window: &O::Tensor) -> O::Tensor {
    look(ops, window, "lips", LIPS)
}

/// The network on `x`, `[n, 3, 192, 192]`: red, green, blue, 0..1.
pub fn points<O: Ops>(ops: &O, x: &O::Tensor) -> Points<O::Tensor> {
    let (mesh, flag) = face(ops, x);
    let [right, left, mouth] = centres(ops, &mesh);
    let seen = |centre: &O::Tensor, part: Part| {
        let found = eye(ops, &window(ops, x, centre, part));
        let found = place(ops, &found, centre, part);
        let skin = ops.slice(&found, 0, 2 * EYE);
        let point = |i: usize| ops.slice(&found, 2 * (EYE + i), 2);
        // The rim is counted from the picture's right, and a mirror swaps right and left.
        let order = if part == Part::LeftEye { [0, 3, 2, 1, 4] } else { [0, 1, 2, 3, 4] };
        let rim = order.map(point);
        (skin, ops.concat(&rim.each_ref()))
    };
    let (right_eye, right_iris) = seen(&right, Part::RightEye);
    let (left_eye, left_iris) = seen(&left, Part::LeftEye);
    let lips = place(ops, &lips(ops, &window(ops, x, &mouth, Part::Lips)), &mouth, Part::Lips);
    let out = Points { mesh, lips, eyes: [right_eye, left_eye], irises: [right_iris, left_iris], flag };
    for (t, name) in out.tensors().into_iter().zip(NAMES) {
        ops.name(t, name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Executor, plain::Plain, shape};
    use crate::testing::random_weights;

    #[test]
    fn windows_lie_where_the_mesh_says() {
        let ops = Plain::new(std::sync::Arc::new(Default::default()));
        // A picture whose red counts columns and whose green counts rows.
        let mut picture = vec![0.0; 3 * SIZE * SIZE];
        for i in 0..SIZE * SIZE {
            picture[i] = (i % SIZE) as f32;
            picture[SIZE * SIZE + i] = (i / SIZE) as f32;
        }
        let x = ops.tensor([1, 3, SIZE, SIZE], &picture);
        let centre = ops.tensor([1, 2, 1, 1], &[90.25, 70.5]);
        for part in [Part::RightEye, Part::LeftEye, Part::Lips] {
            let seen = ops.values(&window(&ops, &x, &centre, part));
            for (i, j) in [(0usize, 0usize), (24, 24), (40, 7)] {
                let at = ops.tensor([1, 2, 1, 1], &[i as f32, j as f32]);
                let want = ops.values(&place(&ops, &at, &centre, part));
                let got = [0, 1].map(|c| seen[c * WINDOW * WINDOW + j * WINDOW + i]);
                assert!(
                    (got[0] - want[0]).abs() < 1e-3 && (got[1] - want[1]).abs() < 1e-3,
                    "{part:?} {got:?} {want:?}"
                );
            }
        }
    }

    #[test]
    fn it_fits_weights_of_its_own_layers() {
        let layers = shape::layers(|ops| {
            points(ops, &shape());
        });
        let weights = random_weights(&layers, 1);
        let checked = shape::check(&weights, |ops| {
            points(ops, &shape());
        })
        .unwrap();
        assert!(checked.unused.is_empty());
        assert!((1_500_000..2_600_000).contains(&checked.parameters), "{}", checked.parameters);
    }
}
