//! RetinaFace with either backbone: <https://github.com/biubug6/Pytorch_Retinaface>.

use crate::import::{Part, UnwrittenPack, files, shape, tensors};
use crate::models::{Architecture, Role};
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// Reads `mobilenet0.25_Final.pth`, `Resnet50_Final.pth` or both from a folder, or any such file. The backbone is
/// told by the layers' names, not by the file's.
pub fn read(from: &Path) -> Result<UnwrittenPack> {
    let known = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.ends_with(".pth") && (name.starts_with("mobilenet0.25") || name.starts_with("resnet50"))
    };
    let mut parts = Vec::new();
    for path in files(from, known)? {
        let weights = tensors(&path)?;
        let has = |name: &str| weights.get(name).is_some();
        let backbone = match (has("body.stage1.0.0.weight"), has("body.conv1.weight")) {
            (true, _) => "mobilenet0.25",
            (_, true) => "resnet50",
            _ => {
                let text = "there is no backbone 'body.stage1...' or 'body.conv1...'; this is another network";
                return Err(Error::model(format!("{}: {text}", path.display())));
            }
        };
        let channels = shape(&weights, "fpn.output1.0.weight", 4, &path)?[0];
        let config = json!({"backbone": backbone, "channels": channels});
        parts.push(Part::new(
            Role::Detector,
            Architecture::RetinaFace,
            &format!("retinaface-{backbone}"),
            config,
            weights,
        ));
    }
    // The small network first: it is the one that a tracker can afford per frame.
    parts.sort_by(|a, b| a.component.file.cmp(&b.component.file));
    parts.dedup_by(|a, b| a.component.file == b.component.file);
    if parts.is_empty() {
        let text = "neither 'mobilenet0.25_Final.pth' nor 'Resnet50_Final.pth' is there";
        return Err(Error::model(format!("{}: {text}; download one", from.display())));
    }
    Ok(UnwrittenPack {
        licence: "MIT".into(),
        source: "https://github.com/biubug6/Pytorch_Retinaface",
        purpose: "finds faces and their five landmarks",
        parts,
    })
}
