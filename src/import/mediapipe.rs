//! MediaPipe's face and person networks: <https://github.com/google-ai-edge/mediapipe>, in its Python wheel.

use crate::face::dense::{FACE_MESH, FULL_RANGE, ROUGH_MESH, SHORT_RANGE};
use crate::import::{Part, UnwrittenPack, archive, fitting, tflite};
use crate::models::{Architecture, Role};
use crate::morphable::arrays::morphable_weights;
use crate::morphable::dense::with_residual_modes;
use crate::synthetic;
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// The largest file that is read: the networks have at most a few megabytes.
const LARGEST: u64 = 64 << 20;

/// The networks, by their files' names; `true` for those that a pack cannot do without.
const NETWORKS: [(&str, Role, bool); 6] = [
    (SHORT_RANGE, Role::DenseDetector, true),
    (FULL_RANGE, Role::DenseDetector, false),
    (FACE_MESH, Role::Landmarks, true),
    (ROUGH_MESH, Role::Landmarks, false),
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
    let model = with_residual_modes(&synthetic::acting_head())?;
    let config = fitting::config(&model);
    parts.push(Part::new(
        Role::Morphable,
        Architecture::LinearMorphable,
        "morphable",
        config,
        morphable_weights(&model),
    ));
    Ok(UnwrittenPack {
        licence: "Apache-2.0".into(),
        source: "https://github.com/google-ai-edge/mediapipe",
        purpose: "finds 478 points of a face and fits a head with ARKit's 52 shapes to them; finds persons",
        parts,
    })
}
