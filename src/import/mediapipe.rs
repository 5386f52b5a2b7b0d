//! MediaPipe's face and person networks: <https://github.com/google-ai-edge/mediapipe>, in its Python wheel.

use crate::import::{Part, UnwrittenPack, archive, tflite};
use crate::models::{Architecture, Role};
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// The largest file that is read: the networks have at most a few megabytes.
const LARGEST: u64 = 64 << 20;

/// The networks, by their files' names; `true` for those that a pack cannot do without.
const NETWORKS: [(&str, Role, bool); 6] = [
    ("face_detection_short_range", Role::DenseDetector, true),
    ("face_detection_full_range_sparse", Role::DenseDetector, false),
    ("face_landmark_with_attention", Role::Landmarks, true),
    ("face_landmark", Role::Landmarks, false),
    ("iris_landmark", Role::Iris, false),
    ("selfie_segmentation", Role::Segmentation, false),
];

/// Reads the networks of a folder, of the wheel, or of a `.task` file.
pub fn read(from: &Path) -> Result<UnwrittenPack> {
    let found = archive::read(from, &|name| name.ends_with(".tflite"), LARGEST)?;
    let mut parts = Vec::new();
    for (name, role, needed) in NETWORKS {
        let file = format!("{name}.tflite");
        let Some((_, bytes)) = found.iter().find(|(name, _)| *name == file) else {
            if needed {
                return Err(Error::model(format!(
                    "{}: the file '{file}' is missing; give MediaPipe's wheel 0.10.14, or the folder that holds this file",
                    from.display()
                )));
            }
            continue;
        };
        let (graph, weights) = tflite::read(bytes, &file)?;
        let config = json!({"network": name, "graph": graph});
        parts.push(Part::new(role, Architecture::Graph, name, config, weights));
    }
    Ok(UnwrittenPack {
        licence: "Apache-2.0".into(),
        source: "https://github.com/google-ai-edge/mediapipe",
        purpose: "finds 478 points of a face, and persons",
        parts,
    })
}
