//! InceptionV3 as FID uses it: 2048 features of a picture, the mean over the deepest maps.
//!
//! Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", <https://arxiv.org/abs/1512.00567>; FID:
//! Heusel et al., <https://arxiv.org/abs/1706.08500>. FID's network is the one of December 2015, which differs from later ones:
//! average pools leave the padding out, and the last block pools the maximum. Layer names are those of its
//! PyTorch version, `pt_inception-2015-12-05`.

use crate::engine::{Act, Conv, Ops, Resize, shape};
use crate::weights::Weights;
use crate::{Error, Result};

/// Number of features.
pub const FEATURES: usize = 2048;
/// Side that pictures are brought to, in pixels.
pub const SIZE: usize = 299;
/// Epsilon of every batch norm of the network.
const EPS: f32 = 1e-3;
/// Classes that the network of FID was trained for; its last layer, which nothing here runs, tells it from later ones.
const CLASSES: usize = 1008;

/// Fails unless weights are those of FID's network.
///
/// # Errors
/// [`Error::Model`] naming the layer that does not fit.
pub fn check(weights: &Weights) -> Result<()> {
    shape::check(weights, |ops| {
        features(ops, &[1, 3, SIZE, SIZE]);
    })?;
    match weights.get("fc.weight").map(|a| a.shape.as_slice()) {
        Some([CLASSES, FEATURES]) | None => Ok(()),
        Some(other) => Err(Error::model(format!(
            "layer 'fc.weight' has shape {other:?} where FID's network has [{CLASSES}, {FEATURES}]: this one was trained otherwise"
        ))),
    }
}

/// The features of RGB in 0..1, `[n, 3, h, w]` of any size; `[n, 2048, 1, 1]`. Shapes below are one picture's.
pub fn features<O: Ops>(ops: &O, picture: &O::Tensor) -> O::Tensor {
    let x = ops.resize(picture, SIZE, SIZE, Resize::Bilinear);
    let x = ops.affine(&x, 2.0, -1.0); // 3 x 299 x 299
    let net = Net(ops);
    let x = net.conv(&x, "Conv2d_1a_3x3", Conv::same(32, 3).stride(2).pad(0)); // 32 x 149 x 149
    let x = net.conv(&x, "Conv2d_2a_3x3", Conv::same(32, 3).pad(0)); // 32 x 147 x 147
    let x = net.conv(&x, "Conv2d_2b_3x3", Conv::same(64, 3));
    let x = net.halved(&x); // 64 x 73 x 73
    let x = net.conv(&x, "Conv2d_3b_1x1", Conv::same(80, 1));
    let x = net.conv(&x, "Conv2d_4a_3x3", Conv::same(192, 3).pad(0)); // 192 x 71 x 71
    let mut x = net.halved(&x); // 192 x 35 x 35
    for (name, pool) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
        x = net.block_a(&x, name, pool); // 256, 288, 288 x 35 x 35
    }
    x = net.block_b(&x, "Mixed_6a"); // 768 x 17 x 17
    for (name, width) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
        x = net.block_c(&x, name, width);
    }
    x = net.block_d(&x, "Mixed_7a"); // 1280 x 8 x 8
    let pooled = ops.avg_pool(&x, 3, 1, 1, false);
    x = net.block_e(&x, "Mixed_7b", &pooled); // 2048 x 8 x 8
    let pooled = ops.max_pool(&x, 3, 1, 1, false);
    x = net.block_e(&x, "Mixed_7c", &pooled);
    let y = ops.avg_pool(&x, 8, 8, 0, true); // 2048 x 1 x 1
    ops.name(&y, "features");
    y
}

/// A kernel of one row or one column.
const fn line(out: usize, kernel: (usize, usize)) -> Conv {
    Conv { kernel, pad: (kernel.0 / 2, kernel.1 / 2), ..Conv::same(out, 1) }
}

struct Net<'a, O>(&'a O);

impl<O: Ops> Net<'_, O> {
    /// Convolution, batch norm, ReLU.
    fn conv(&self, x: &O::Tensor, layer: &str, conv: Conv) -> O::Tensor {
        self.0.conv_bn(x, &format!("{layer}.conv"), conv.no_bias().act(Act::Relu), &format!("{layer}.bn"), EPS)
    }

    /// Convolutions one after the other, `<block>.<part>`.
    fn chain(&self, x: &O::Tensor, block: &str, parts: &[(&str, Conv)]) -> O::Tensor {
        parts.iter().fold(x.clone(), |x, (part, conv)| self.conv(&x, &format!("{block}.{part}"), *conv))
    }

    fn halved(&self, x: &O::Tensor) -> O::Tensor {
        self.0.max_pool(x, 3, 2, 0, false)
    }

    /// A 1x1 convolution of the maps averaged over 3x3.
    fn averaged(&self, x: &O::Tensor, block: &str, out: usize) -> O::Tensor {
        let pooled = self.0.avg_pool(x, 3, 1, 1, false);
        self.chain(&pooled, block, &[("branch_pool", Conv::same(out, 1))])
    }

    fn block_a(&self, x: &O::Tensor, block: &str, pool: usize) -> O::Tensor {
        let same = Conv::same;
        let one = self.chain(x, block, &[("branch1x1", same(64, 1))]);
        let five = self.chain(x, block, &[("branch5x5_1", same(48, 1)), ("branch5x5_2", same(64, 5))]);
        let double =
            [("branch3x3dbl_1", same(64, 1)), ("branch3x3dbl_2", same(96, 3)), ("branch3x3dbl_3", same(96, 3))];
        let double = self.chain(x, block, &double);
        self.0.concat(&[&one, &five, &double, &self.averaged(x, block, pool)])
    }

    fn block_b(&self, x: &O::Tensor, block: &str) -> O::Tensor {
        let same = Conv::same;
        let three = self.chain(x, block, &[("branch3x3", same(384, 3).stride(2).pad(0))]);
        let double = [
            ("branch3x3dbl_1", same(64, 1)),
            ("branch3x3dbl_2", same(96, 3)),
            ("branch3x3dbl_3", same(96, 3).stride(2).pad(0)),
        ];
        let double = self.chain(x, block, &double);
        self.0.concat(&[&three, &double, &self.halved(x)])
    }

    fn block_c(&self, x: &O::Tensor, block: &str, width: usize) -> O::Tensor {
        let (row, column) = (|out| line(out, (1, 7)), |out| line(out, (7, 1)));
        let narrow = Conv::same(width, 1);
        let one = self.chain(x, block, &[("branch1x1", Conv::same(192, 1))]);
        let seven = [("branch7x7_1", narrow), ("branch7x7_2", row(width)), ("branch7x7_3", column(192))];
        let seven = self.chain(x, block, &seven);
        let double = [
            ("branch7x7dbl_1", narrow),
            ("branch7x7dbl_2", column(width)),
            ("branch7x7dbl_3", row(width)),
            ("branch7x7dbl_4", column(width)),
            ("branch7x7dbl_5", row(192)),
        ];
        let double = self.chain(x, block, &double);
        self.0.concat(&[&one, &seven, &double, &self.averaged(x, block, 192)])
    }

    fn block_d(&self, x: &O::Tensor, block: &str) -> O::Tensor {
        let same = Conv::same;
        let three = [("branch3x3_1", same(192, 1)), ("branch3x3_2", same(320, 3).stride(2).pad(0))];
        let three = self.chain(x, block, &three);
        let seven = [
            ("branch7x7x3_1", same(192, 1)),
            ("branch7x7x3_2", line(192, (1, 7))),
            ("branch7x7x3_3", line(192, (7, 1))),
            ("branch7x7x3_4", same(192, 3).stride(2).pad(0)),
        ];
        let seven = self.chain(x, block, &seven);
        self.0.concat(&[&three, &seven, &self.halved(x)])
    }

    /// `pooled` is `x`, pooled over 3x3.
    fn block_e(&self, x: &O::Tensor, block: &str, pooled: &O::Tensor) -> O::Tensor {
        let same = Conv::same;
        let one = self.chain(x, block, &[("branch1x1", same(320, 1))]);
        let three = self.chain(x, block, &[("branch3x3_1", same(384, 1))]);
        let double = self.chain(x, block, &[("branch3x3dbl_1", same(448, 1)), ("branch3x3dbl_2", same(384, 3))]);
        // Both go on in two directions.
        let two = |x: &O::Tensor, a: &str, b: &str| {
            let across = self.chain(x, block, &[(a, line(384, (1, 3)))]);
            let down = self.chain(x, block, &[(b, line(384, (3, 1)))]);
            self.0.concat(&[&across, &down])
        };
        let three = two(&three, "branch3x3_2a", "branch3x3_2b");
        let double = two(&double, "branch3x3dbl_3a", "branch3x3dbl_3b");
        let pool = self.chain(pooled, block, &[("branch_pool", same(192, 1))]);
        self.0.concat(&[&one, &three, &double, &pool])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::random_weights;
    use crate::weights::Array;

    /// The published network has 21,785,568 weights without its last layer, and 17,216 running means and as many variances.
    #[test]
    fn it_has_the_published_layers() {
        let layers = shape::layers(|ops| {
            assert_eq!(features(ops, &[2, 3, 64, 80]), [2, FEATURES, 1, 1]);
        });
        let count = |running: bool| -> usize {
            let of = layers.iter().filter(|(name, _)| name.contains(".running_") == running);
            of.map(|(_, shape)| shape.iter().product::<usize>()).sum()
        };
        assert_eq!((count(false), count(true)), (21_785_568, 2 * 17_216));
        assert_eq!(layers.len(), 94 * 5);
    }

    #[test]
    fn other_inceptions_are_refused() {
        let mut weights = random_weights(
            &shape::layers(|ops| {
                features(ops, &[1, 3, SIZE, SIZE]);
            }),
            1,
        );
        check(&weights).unwrap();
        weights.insert("fc.weight", Array::f32([1000, 2], vec![0.0; 2000]));
        assert!(check(&weights).unwrap_err().to_string().contains("fc.weight"));
        weights.arrays.remove("Mixed_7c.branch_pool.bn.running_var");
        assert!(check(&weights).unwrap_err().to_string().contains("Mixed_7c.branch_pool.bn.running_var"));
    }
}
