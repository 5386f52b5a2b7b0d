//! The perceptual loss: how far two pictures lie apart in the features of a network that is not trained here.

use crate::config::TrainConfig;
use crate::losses::mean_l1;
use crate::spectral_weights::{for_engine, tensors_of};
use crate::vgg;
use headgan::models::{ModelSet, Role};
use headgan::nets::mobilefacenet;
use headgan::weights::{Weights, safetensors, torch};
use headgan::{Error, Result};
use headgan_torch::{Shared, Torch};
use tch::{Device, Kind, Tensor, no_grad};

/// A fixed network's features.
#[derive(Debug)]
pub struct Perceptual {
    network: Network,
    ops: Torch,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Vgg19,
    MobileFaceNet,
}

impl Perceptual {
    /// VGG19 where the configuration names its weights, otherwise the packs' MobileFaceNet.
    ///
    /// # Errors
    /// [`Error::Model`] where neither is there or its weights do not fit.
    pub fn load(config: &TrainConfig, models: &ModelSet, device: Device) -> Result<Perceptual> {
        let (network, weights) = match &config.vgg19 {
            Some(path) => {
                let weights = if path.extension().is_some_and(|e| e == "safetensors") {
                    safetensors::load(path)?
                } else {
                    torch::load(path, &torch::Options::default())?
                };
                vgg::check(&weights)?;
                (Network::Vgg19, weights)
            }
            None => {
                let (pack, component) = models.find(Role::Embedder, None, None).map_err(|_| {
                    Error::Model(
                        "the perceptual loss needs features: name VGG19's weights as vgg19 in the configuration, or \
                         import MobileFaceNet (headgan models import mobilefacenet)"
                            .into(),
                    )
                })?;
                (Network::MobileFaceNet, (*pack.load(component, headgan::import::check)?).clone())
            }
        };
        Ok(Perceptual::over(network, &weights, config.precision.master(), device))
    }

    /// MobileFaceNet over these weights, which have been checked.
    pub fn mobilefacenet(weights: &Weights, kind: Kind, device: Device) -> Perceptual {
        Perceptual::over(Network::MobileFaceNet, weights, kind, device)
    }

    fn over(network: Network, weights: &Weights, kind: Kind, device: Device) -> Perceptual {
        Perceptual { network, ops: Torch::over(for_engine(&tensors_of(weights, device), kind), device, kind) }
    }

    /// What is compared, for records and model cards.
    pub fn name(&self) -> &'static str {
        match self.network {
            Network::Vgg19 => "VGG19 (relu1_1 to relu5_1)",
            Network::MobileFaceNet => "MobileFaceNet (features at strides 2, 4 and 8)",
        }
    }

    /// Features of RGB in -1..1, each with its weight.
    fn features(&self, picture: &Tensor) -> Vec<(f64, Shared)> {
        match self.network {
            Network::Vgg19 => {
                vgg::WEIGHTS.into_iter().zip(vgg::features(&self.ops, &picture.shallow_clone().into())).collect()
            }
            Network::MobileFaceNet => {
                // Its own range: 8-bit values minus 127.5, over 128.
                let x: Shared = (picture * (127.5 / 128.0)).into();
                mobilefacenet::features(&self.ops, &x).into_iter().map(|f| (1.0, f)).collect()
            }
        }
    }

    /// How far `pictures` (one behind the other along the first dimension: whole batches) lie from `target`: mean over
    /// the batches of the features' weighted mean differences.
    pub fn distance(&self, pictures: &[&Tensor], target: &Tensor) -> Tensor {
        let n = target.size()[0];
        let wanted = no_grad(|| self.features(target));
        let shown = self.features(&Tensor::cat(pictures, 0));
        let each: Vec<Tensor> = shown
            .iter()
            .zip(&wanted)
            .flat_map(|((weight, shown), (_, wanted))| {
                (0..pictures.len() as i64).map(move |i| mean_l1(&shown.0.narrow(0, i * n, n), &wanted.0) * *weight)
            })
            .collect();
        Tensor::stack(&each, 0).sum(None)
    }
}
