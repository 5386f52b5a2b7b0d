//! The losses of HeadGAN's training, each a function of tensors to one number.
//!
//! Pictures are RGB in -1..1, `[n, 3, h, w]`; weights and masks `[n, 1, h, w]` in 0..1. Hinge loss:
//! <https://arxiv.org/abs/1705.02894>; feature matching: <https://arxiv.org/abs/1711.11585>.

use headgan_torch::Shared;
use tch::{Kind, Tensor};

/// Side of the region around the mouth that its discriminator sees, in pixels.
pub const MOUTH: i64 = 64;

/// A discriminator's features by scale and layer, the score map last.
pub type DiscriminatorFeatures = Vec<Vec<Shared>>;

/// The score maps alone, one per scale.
fn logits(features: &DiscriminatorFeatures) -> impl Iterator<Item = &Tensor> {
    features.iter().filter_map(|layers| layers.last()).map(|t| &t.0)
}

/// Mean of numbers that are tensors; there is at least one.
fn mean(values: impl Iterator<Item = Tensor>) -> Tensor {
    let values: Vec<Tensor> = values.collect();
    Tensor::stack(&values, 0).mean(None)
}

/// What a discriminator minimises: its scores should be above 1 for real pictures and below -1 for others.
pub fn hinge_discriminator(real: &DiscriminatorFeatures, fake: &DiscriminatorFeatures) -> Tensor {
    let margin = |v: &Tensor, sign: f64| (v * -sign + 1.0).relu().mean(None);
    mean(logits(real).zip(logits(fake)).map(|(r, f)| margin(r, 1.0) + margin(f, -1.0)))
}

/// What a generator minimises: the discriminator's score, negated.
pub fn hinge_generator(fake: &DiscriminatorFeatures) -> Tensor {
    mean(logits(fake).map(|v| -v.mean(None)))
}

/// Mean difference of a discriminator's features, summed over layers, mean over scales.
pub fn feature_matching(real: &DiscriminatorFeatures, fake: &DiscriminatorFeatures) -> Tensor {
    mean(real.iter().zip(fake).map(|(real, fake)| {
        let layers = real.len().saturating_sub(1);
        let each: Vec<Tensor> = real.iter().zip(fake).take(layers).map(|(r, f)| mean_l1(&f.0, &r.0)).collect();
        Tensor::stack(&each, 0).sum(None)
    }))
}

/// Mean absolute difference.
pub fn mean_l1(a: &Tensor, b: &Tensor) -> Tensor {
    (a - b).abs().mean(None)
}

/// Mean absolute difference where `weight` says so; 0 where it says so nowhere.
pub fn weighted_l1(a: &Tensor, b: &Tensor, weight: &Tensor) -> Tensor {
    let channels = a.size()[1] as f64;
    let total = (weight.sum(None) * channels).clamp_min(1.0);
    ((a - b).abs() * weight).sum(None) / total
}

/// What changed since the frame before, of pictures of which `sequence_length` belong together: one picture less in each row.
pub fn frame_differences(pictures: &Tensor, sequence_length: i64) -> Tensor {
    let rows = rows(pictures, sequence_length);
    let earlier = rows.narrow(1, 0, sequence_length - 1);
    (rows.narrow(1, 1, sequence_length - 1) - earlier).flatten(0, 1)
}

/// The first of each row.
pub fn first_frames(pictures: &Tensor, sequence_length: i64) -> Tensor {
    rows(pictures, sequence_length).select(1, 0)
}

/// All but the first of each row.
pub fn drop_first_frames(pictures: &Tensor, sequence_length: i64) -> Tensor {
    rows(pictures, sequence_length).narrow(1, 1, sequence_length - 1).flatten(0, 1)
}

/// `[rows, sequence_length, c, h, w]`.
fn rows(pictures: &Tensor, sequence_length: i64) -> Tensor {
    pictures.unflatten(0, [-1, sequence_length])
}

/// The region around the mouth of each picture, moved inside; centres in pixels, x then y. `[n, c, 64, 64]`, smaller
/// where the picture is.
pub fn mouth(pictures: &Tensor, centres: &[[f64; 2]]) -> Tensor {
    let size = pictures.size();
    let (h, w) = (size[2], size[3]);
    let regions: Vec<Tensor> = centres
        .iter()
        .enumerate()
        .map(|(i, &[x, y])| {
            let (side_y, side_x) = (MOUTH.min(h), MOUTH.min(w));
            let start = |centre: f64, side: i64, n: i64| (centre.round() as i64 - side / 2).clamp(0, n - side);
            pictures.narrow(0, i as i64, 1).narrow(2, start(y, side_y, h), side_y).narrow(
                3,
                start(x, side_x, w),
                side_x,
            )
        })
        .collect();
    Tensor::cat(&regions, 0)
}

/// A loss as a number.
pub fn value(loss: &Tensor) -> f64 {
    loss.to_kind(Kind::Double).double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_stays_within_a_row() {
        let pictures = Tensor::from_slice(&[1.0, 4.0, 9.0, 10.0, 30.0, 60.0]).reshape([6, 1, 1, 1]);
        let values = |t: &Tensor| Vec::<f64>::try_from(t.reshape([-1])).unwrap();
        assert_eq!(values(&frame_differences(&pictures, 3)), [3.0, 5.0, 20.0, 30.0]);
        assert_eq!(values(&drop_first_frames(&pictures, 3)), [4.0, 9.0, 30.0, 60.0]);
        assert_eq!(values(&frame_differences(&pictures, 2)), [3.0, 1.0, 30.0]);
    }
}
