//! The project's own finder of faces for dense points: one look at a small picture gives boxes and the corners of eyes and mouth.
//!
//! Cells without anchors, as FCOS has them (Tian et al. 2019, <https://arxiv.org/abs/1904.01355>), on two levels: faces that are small in
//! the picture on a grid of 16 x 16, large ones on 8 x 8. The architecture is this project's.

use crate::engine::{Act, Conv, Ops};

/// Side of the square input in pixels.
pub const SIZE: usize = 128;
/// Values of a cell: a logit, the box (its middle from the cell's, the logarithms of width and height), five points from the box's middle.
pub const VALUES: usize = 15;
/// Cells along a side of each level, and what its values count in, as a share of the picture's side.
pub const LEVELS: [(usize, f32); 2] = [(16, 0.2), (8, 0.5)];
/// Epsilon of every batch norm.
const EPS: f32 = 1e-5;

/// Of the input for one picture.
pub const fn shape() -> [usize; 4] {
    [1, 3, SIZE, SIZE]
}

fn layer<O: Ops>(ops: &O, x: &O::Tensor, name: &str, conv: Conv) -> O::Tensor {
    ops.conv_bn(x, &format!("{name}.conv"), conv.no_bias(), &format!("{name}.bn"), EPS)
}

fn step<O: Ops>(ops: &O, x: &O::Tensor, name: &str, channels: usize, stride: usize) -> O::Tensor {
    layer(ops, x, name, Conv::same(channels, 3).stride(stride).act(Act::Relu))
}

fn residual<O: Ops>(ops: &O, x: &O::Tensor, name: &str) -> O::Tensor {
    let [_, c, _, _] = ops.shape(x);
    let y = layer(ops, x, &format!("{name}.a"), Conv::same(c, 3).act(Act::Relu));
    let y = layer(ops, &y, &format!("{name}.b"), Conv::same(c, 3));
    ops.relu(&ops.add(x, &y))
}

/// The network on `x`, `[n, 3, 128, 128]`: red, green, blue, 0..1. Each level's cells, `[n, 15, side, side]`.
pub fn finder<O: Ops>(ops: &O, x: &O::Tensor) -> [O::Tensor; 2] {
    let x = ops.affine(x, 2.0, -1.0);
    let x = step(ops, &x, "1", 16, 2); // 64x64
    let x = step(ops, &x, "2", 24, 2); // 32x32
    let x = step(ops, &x, "3", 24, 1);
    let x = step(ops, &x, "4", 48, 2); // 16x16
    let x = residual(ops, &residual(ops, &x, "5"), "6");
    let large = step(ops, &x, "7", 96, 2); // 8x8
    let large = residual(ops, &residual(ops, &large, "8"), "9");
    // What the large cells know of the surroundings, for the small ones.
    let back = layer(ops, &large, "10", Conv::same(48, 1));
    let back = ops.resize(&back, LEVELS[0].0, LEVELS[0].0, crate::engine::Resize::Nearest);
    let small = step(ops, &ops.relu(&ops.add(&x, &back)), "11", 48, 1);
    let cells = [(small, "small"), (large, "large")];
    cells.map(|(x, name)| {
        let y = ops.conv2d(&x, &format!("{name}.cells"), Conv::same(VALUES, 1));
        ops.name(&y, name);
        y
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::shape;
    use crate::testing::random_weights;

    #[test]
    fn it_fits_weights_of_its_own_layers() {
        let out = std::cell::RefCell::new(None);
        let layers = shape::layers(|ops| {
            *out.borrow_mut() = Some(finder(ops, &shape()));
        });
        assert_eq!(out.into_inner().unwrap(), LEVELS.map(|(side, _)| [1, VALUES, side, side]));
        let checked = shape::check(&random_weights(&layers, 1), |ops| {
            finder(ops, &shape());
        })
        .unwrap();
        assert!(checked.unused.is_empty() && checked.parameters < 700_000, "{}", checked.parameters);
    }
}
