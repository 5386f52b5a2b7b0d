//! Whether the weights of a pack's component fit its architecture: checked before an import is written, and when a pack is loaded.

use crate::audio::{lips, speech};
use crate::engine::shape;
use crate::face::{detector, embedder, regress};
use crate::models::{Architecture, Component};
use crate::morphable::arrays;
use crate::nets::graph::Graph;
use crate::nets::{dense_finder, dense_points, discriminator, generator, window};
use crate::weights::Weights;
use crate::{Error, Result};

/// Whether a component's weights fit its architecture: what [`Pack::load`](crate::models::Pack::load) and the importers call.
///
/// # Errors
/// [`Error::Model`] naming the layer and both shapes.
pub fn check(component: &Component, weights: &Weights) -> Result<()> {
    check_finite(weights)?;
    match &component.architecture {
        Architecture::HeadganGenerator => check_generator(weights).map(drop),
        Architecture::WindowGenerator => {
            let config = window::Config::infer(weights)?;
            let [reference, target, audio] = config.shapes(1);
            shape::check(weights, |ops| {
                let reference = window::reference(ops, &config, &reference);
                window::forward(ops, &config, &reference, &target, (config.audio > 0).then_some(&audio));
            })
            .map(drop)
        }
        Architecture::HeadganDiscriminator => {
            let config = discriminator::Config::infer(weights)?;
            shape::check(weights, |ops| {
                discriminator::forward(ops, &config, &[1, config.input, 64, 64]);
            })
            .map(drop)
        }
        Architecture::RetinaFace | Architecture::FaceBoxes => detector::Kind::from_weights(weights).map(drop),
        Architecture::MobileNetV1 => regress::check(weights).map(drop),
        Architecture::MobileFaceNet => embedder::check(weights),
        Architecture::Graph => Graph::from_config(&component.config)?.check(weights).map(drop),
        Architecture::DenseFinder => shape::check(weights, |ops| {
            dense_finder::finder(ops, &dense_finder::shape());
        })
        .map(drop),
        Architecture::DensePoints => shape::check(weights, |ops| {
            dense_points::points(ops, &dense_points::shape());
        })
        .map(drop),
        Architecture::SoundLips => lips::check(weights).map(drop),
        Architecture::DeepSpeech2 => speech::check_component(component, weights),
        Architecture::LinearMorphable | Architecture::Other(_) => default_check(component, weights),
    }
}

/// A network would hide a value that is not a number behind its first ReLU.
pub(crate) fn check_finite(weights: &Weights) -> Result<()> {
    for (name, array) in &weights.arrays {
        if array.as_f32().is_some_and(|values| values.iter().any(|v| !v.is_finite())) {
            return Err(Error::model(format!(
                "layer '{name}' holds a value that is not a number; the file is damaged"
            )));
        }
    }
    Ok(())
}

/// The configuration of a generator whose every layer has been checked.
///
/// # Errors
/// [`Error::Model`] naming the layer and both shapes.
pub fn check_generator(weights: &Weights) -> Result<generator::Config> {
    check_finite(weights)?;
    let config = generator::Config::infer(weights)?;
    if config.ngf == 0 || config.levels == 0 || config.frames == 0 || config.levels > 4 {
        return Err(Error::model(format!("a generator of {config:?} makes no sense; is this another kind of file?")));
    }
    let side = 16 << config.levels;
    shape::check(weights, |ops| {
        let reference = generator::reference(ops, &config, &[1, 6, side, side]);
        generator::forward(ops, &config, &reference, &[1, 3 * config.frames, side, side], None, None);
    })?;
    Ok(config)
}

/// The check that needs no network definitions: the architecture is known, a morphable model is sound.
///
/// # Errors
/// [`Error::Model`], saying what does not fit.
pub fn default_check(component: &Component, weights: &Weights) -> Result<()> {
    match &component.architecture {
        Architecture::LinearMorphable => arrays::morphable_from(weights).map(drop),
        Architecture::Other(other) => Err(Error::model(format!(
            "'{}' has the unknown architecture '{other}'; this version knows {}",
            component.file,
            Architecture::names(&Architecture::ALL)
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Role;

    #[test]
    fn an_unknown_architecture_is_named() {
        let component = Component {
            role: Role::Detector,
            architecture: "yolo".into(),
            config: serde_json::Map::new(),
            file: "net.safetensors".into(),
            blake3: String::new(),
        };
        let text = default_check(&component, &Weights::default()).unwrap_err().to_string();
        assert!(text.contains("'yolo'") && text.contains("net.safetensors"), "{text}");
    }
}
