//! The architectures that a component of a pack may have.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a component's weights are the weights of. In files it is its name, such as `mobilenet-v1`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
#[non_exhaustive]
pub enum Architecture {
    /// Finds faces and five points of each.
    RetinaFace,
    /// Finds faces.
    FaceBoxes,
    /// The 3DDFA-V2 regressor.
    MobileNetV1,
    /// A mean and a basis.
    LinearMorphable,
    /// The generator of HeadGAN.
    HeadganGenerator,
    /// Its discriminator.
    HeadganDiscriminator,
    /// Tells identities apart.
    MobileFaceNet,
    /// Hears characters.
    DeepSpeech2,
    /// The project's own finder of faces for dense points.
    DenseFinder,
    /// The project's own network of dense points.
    DensePoints,
    /// A network that is data: its configuration holds the graph.
    Graph,
    /// Paints an eye or a mouth.
    WindowGenerator,
    /// Says what lips do while a sound is heard.
    SoundLips,
    /// One that this version does not know: a pack with it is listed, its weights are refused. Made by `From` only, so
    /// that a known name is never here.
    #[non_exhaustive]
    Other(String),
}

impl Architecture {
    /// Every architecture that a component may have.
    pub const ALL: [Architecture; 13] = [
        Architecture::RetinaFace,
        Architecture::FaceBoxes,
        Architecture::MobileNetV1,
        Architecture::LinearMorphable,
        Architecture::HeadganGenerator,
        Architecture::HeadganDiscriminator,
        Architecture::MobileFaceNet,
        Architecture::DeepSpeech2,
        Architecture::DenseFinder,
        Architecture::DensePoints,
        Architecture::Graph,
        Architecture::WindowGenerator,
        Architecture::SoundLips,
    ];

    /// Its name in packs and in the metadata of weights files.
    pub fn as_str(&self) -> &str {
        match self {
            Architecture::RetinaFace => "retinaface",
            Architecture::FaceBoxes => "faceboxes",
            Architecture::MobileNetV1 => "mobilenet-v1",
            Architecture::LinearMorphable => "linear-morphable",
            Architecture::HeadganGenerator => "headgan-generator",
            Architecture::HeadganDiscriminator => "headgan-discriminator",
            Architecture::MobileFaceNet => "mobilefacenet",
            Architecture::DeepSpeech2 => "deepspeech2",
            Architecture::DenseFinder => "dense-finder",
            Architecture::DensePoints => "dense-points",
            Architecture::Graph => "graph",
            Architecture::WindowGenerator => "window-generator",
            Architecture::SoundLips => "sound-lips",
            Architecture::Other(name) => name,
        }
    }

    /// The names of several, for a message.
    pub(crate) fn names(of: &[Architecture]) -> String {
        of.iter().map(Architecture::as_str).collect::<Vec<_>>().join(", ")
    }
}

impl From<&str> for Architecture {
    fn from(name: &str) -> Architecture {
        let known = Architecture::ALL.into_iter().find(|a| a.as_str() == name);
        known.unwrap_or_else(|| Architecture::Other(name.to_owned()))
    }
}

impl From<String> for Architecture {
    fn from(name: String) -> Architecture {
        name.as_str().into()
    }
}

impl From<Architecture> for String {
    fn from(architecture: Architecture) -> String {
        architecture.as_str().to_owned()
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_names() {
        let names = [
            "retinaface",
            "faceboxes",
            "mobilenet-v1",
            "linear-morphable",
            "headgan-generator",
            "headgan-discriminator",
            "mobilefacenet",
            "deepspeech2",
            "dense-finder",
            "dense-points",
            "graph",
            "window-generator",
            "sound-lips",
            "yolo",
        ];
        for (i, name) in names.into_iter().enumerate() {
            let json = format!("\"{name}\"");
            let read: Architecture = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&read).unwrap(), json);
            assert_eq!(Architecture::ALL.get(i), (name != "yolo").then_some(&read));
        }
        assert!(matches!(Architecture::from("yolo"), Architecture::Other(name) if name == "yolo"));
    }
}
