//! LPIPS: how different two pictures look, by networks that were trained to tell what people see.
//!
//! The channels of each feature map are brought to length 1 at every pixel; the squared differences, weighted by channel, are averaged over
//! the pixels and added up over the maps (equation 1 of <https://arxiv.org/abs/1801.03924>).

use super::{picture, weights};
use crate::engine::{Embedded, Executor, Ops, cpu};
use crate::frame::Frame;
use crate::nets::lpips::{Config, LEAST, LEVELS, Trunk, features, linear};
use crate::{Error, Result};
use std::path::Path;
use std::sync::Arc;

/// LPIPS with a user's weights, ready to run.
pub struct Lpips {
    ops: Embedded,
    config: Config,
    /// By level, how much each channel counts.
    channels: Vec<Vec<f32>>,
    /// Of the weights file, 64 digits.
    pub blake3: String,
}

/// A picture's feature maps by level, each pixel's channels one after the other and of length 1.
pub struct Seen {
    maps: Vec<Vec<f32>>,
}

impl Lpips {
    /// Loads the state dict of `lpips.LPIPS(net='alex')` or of `net='vgg'`: a torch checkpoint or a safetensors file.
    ///
    /// # Errors
    /// [`Error::Input`] for a file that cannot be read, [`Error::Model`] for one that is something else.
    pub fn load(path: &Path, options: &cpu::Options) -> Result<Lpips> {
        let remedy =
            "write all of LPIPS, torch.save(lpips.LPIPS(net='alex').state_dict(), FILE) in Python, or with net='vgg'";
        let (mut weights, config, blake3) = weights::load(path, remedy, Config::from_weights)?;
        // There after the check.
        let channels = (0..LEVELS)
            .filter_map(|level| weights.arrays.remove(&format!("{}.weight", linear(level))))
            .filter_map(|array| Some(array.as_f32()?.to_vec()))
            .collect();
        weights.arrays.retain(|name, _| name.starts_with("net."));
        Ok(Lpips { ops: Embedded::new(Arc::new(weights), options), config, channels, blake3 })
    }

    /// Which features are compared.
    pub fn trunk(&self) -> Trunk {
        self.config.trunk
    }

    /// A picture as LPIPS sees it, on what is shown (sRGB, 8-bit steps, over black).
    ///
    /// # Errors
    /// [`Error::Input`] for a picture that is too small.
    pub fn see(&self, picture: &Frame) -> Result<Seen> {
        let (w, h) = (picture.width, picture.height);
        if w.min(h) < LEAST {
            return Err(Error::input(format!("LPIPS needs pictures of at least {LEAST} pixels; this one has {w}x{h}")));
        }
        let values: Vec<f32> = picture::planes(picture).concat().iter().map(|v| (v / 127.5 - 1.0) as f32).collect();
        let maps = features(&self.ops, &self.config, &self.ops.tensor([1, 3, h, w], &values));
        Ok(Seen { maps: maps.iter().map(|map| normalised(&self.ops, map)).collect() })
    }

    /// How different two pictures of one size look; 0 for equal ones.
    pub fn between(&self, a: &Seen, b: &Seen) -> f64 {
        let maps = a.maps.iter().zip(&b.maps).zip(&self.channels);
        maps.map(|((a, b), weights)| weighted(a, b, weights)).sum()
    }
}

/// A map's pixels, their channels brought to length 1.
fn normalised<E: Executor>(ops: &E, map: &E::Tensor) -> Vec<f32> {
    let [_, c, h, w] = ops.shape(map);
    let planes = ops.values(map);
    let mut out = vec![0.0; c * h * w];
    for (i, pixel) in out.chunks_exact_mut(c).enumerate() {
        for (k, v) in pixel.iter_mut().enumerate() {
            *v = planes[k * h * w + i];
        }
        let length = pixel.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        // What keeps a pixel without features from being divided by zero, as published.
        let factor = 1.0 / (length + 1e-10);
        for v in pixel {
            *v = (f64::from(*v) * factor) as f32;
        }
    }
    out
}

/// The mean over pixels of the weighted sum of squared differences.
fn weighted(a: &[f32], b: &[f32], weights: &[f32]) -> f64 {
    let c = weights.len();
    let pixel = |a: &[f32], b: &[f32]| -> f64 {
        let squares = a.iter().zip(b).zip(weights);
        squares.map(|((a, b), w)| f64::from(*w) * f64::from(a - b).powi(2)).sum()
    };
    let sum: f64 = a.chunks_exact(c).zip(b.chunks_exact(c)).map(|(a, b)| pixel(a, b)).sum();
    sum / (a.len() / c) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::plain::Plain;
    use crate::frame::Color;
    use crate::nets::lpips::layers;
    use crate::testing::random_weights;
    use crate::weights::{Weights, safetensors};

    fn weights(trunk: Trunk) -> Weights {
        let mut weights = random_weights(&layers(trunk), 5);
        for (name, array) in &mut weights.arrays {
            if let (true, crate::weights::Data::F32(values)) = (name.starts_with("lin"), &mut array.data) {
                values.iter_mut().for_each(|v| *v = v.abs());
            }
        }
        weights.insert("scaling_layer.scale", crate::weights::Array::f32([1, 3, 1, 1], vec![0.458, 0.448, 0.45]));
        weights
    }

    fn picture(shift: usize) -> Frame {
        let (w, h) = (70, 64);
        let at = |i: usize| (0..3).map(move |k| ((i % w * 3 + i / w * 5 + 90 * k) * (1 + shift) % 251) as u8);
        Frame::from_rgb8(w, h, &(0..w * h).flat_map(at).collect::<Vec<u8>>(), Color::Srgb)
    }

    fn load(weights: &Weights) -> Lpips {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        safetensors::save(&path, weights).unwrap();
        Lpips::load(&path, &cpu::Options::default()).unwrap()
    }

    /// Against the definition, written out in double precision over the plain executor's maps.
    #[test]
    fn as_defined() {
        let weights = weights(Trunk::Alex);
        let lpips = load(&weights);
        let (a, b) = (picture(0), picture(1));
        let config = Config::from_weights(&weights).unwrap();
        let plain = Plain::new(Arc::new(weights.clone()));
        let maps = |p: &Frame| {
            let values: Vec<f32> = (0..3)
                .flat_map(|c| p.data.iter().skip(c).step_by(4).map(|v| 2.0 * v - 1.0).collect::<Vec<f32>>())
                .collect();
            let maps = features(&plain, &config, &plain.tensor([1, 3, p.height, p.width], &values));
            maps.iter().map(|m| (plain.shape(m), plain.values(m))).collect::<Vec<_>>()
        };
        let (ma, mb) = (maps(&a), maps(&b));
        let mut expected = 0.0;
        for (level, (([_, c, h, w], ma), (_, mb))) in ma.iter().zip(&mb).enumerate() {
            let lin = weights.get(&format!("lin{level}.model.1.weight")).unwrap().as_f32().unwrap();
            let n = h * w;
            for i in 0..n {
                let length =
                    |m: &[f32]| (0..*c).map(|k| f64::from(m[k * n + i]) * f64::from(m[k * n + i])).sum::<f64>().sqrt();
                let (la, lb) = (length(ma), length(mb));
                for k in 0..*c {
                    let d = f64::from(ma[k * n + i]) / (la + 1e-10) - f64::from(mb[k * n + i]) / (lb + 1e-10);
                    expected += f64::from(lin[k]) * d * d / n as f64;
                }
            }
        }
        let (sa, sb) = (lpips.see(&a).unwrap(), lpips.see(&b).unwrap());
        let got = lpips.between(&sa, &sb);
        assert!(expected > 0.01 && (got - expected).abs() < 1e-4 * expected, "{got} {expected}");
        assert_eq!(lpips.between(&sa, &sa), 0.0);
        assert_eq!(got, lpips.between(&sb, &sa));
    }

    /// Two pixels, two channels, by hand: (1, 0) and (0.6, 0.8), (0, 1) and (0, 1).
    #[test]
    fn weights_and_means() {
        let got = weighted(&[1.0, 0.0, 0.0, 1.0], &[0.6, 0.8, 0.0, 1.0], &[2.0, 3.0]);
        assert!((got - (2.0 * 0.16 + 3.0 * 0.64) / 2.0).abs() < 1e-7, "{got}");
    }

    #[test]
    fn small_pictures_and_other_files() {
        let lpips = load(&weights(Trunk::Vgg));
        assert_eq!(lpips.trunk(), Trunk::Vgg);
        assert!(matches!(lpips.see(&Frame::new(31, 64)), Err(Error::Input(t)) if t.contains("31x64")));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("w.safetensors");
        safetensors::save(&path, &Weights::default()).unwrap();
        let error = Lpips::load(&path, &cpu::Options::default()).err().unwrap();
        assert!(
            matches!(&error, Error::Model(t) if t.contains("w.safetensors") && t.contains("state_dict()")),
            "{error}"
        );
    }
}
