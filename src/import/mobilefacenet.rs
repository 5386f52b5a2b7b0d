//! MobileFaceNet, the identity embedding: <https://github.com/Xiaoccer/MobileFaceNet_Pytorch>.

use crate::import::{Part, UnwrittenPack, files, shape, tensors};
use crate::models::{Architecture, Role};
use crate::{Error, Result};
use serde_json::json;
use std::path::Path;

/// Reads `068.ckpt` (or the only `.ckpt`) of a folder, or a single file.
pub fn read(from: &Path) -> Result<UnwrittenPack> {
    let candidates = files(from, |name| name.ends_with(".ckpt"))?;
    let exact = candidates.iter().find(|p| p.ends_with("068.ckpt"));
    let path = match (exact, candidates.as_slice()) {
        (Some(path), _) => path,
        (None, [only]) => only,
        _ => return Err(Error::model(format!("{}: the file '068.ckpt' is missing; download it", from.display()))),
    };
    let mut weights = tensors(path)?;
    // The margin head is of use in training only.
    weights.arrays.retain(|name, _| !name.starts_with("margin"));
    // The last depthwise kernel covers the whole map, which is a sixteenth of the picture.
    let kernel = shape(&weights, "linear7.conv.weight", 4, path)?;
    let config = json!({
        "height": 16 * kernel[2],
        "width": 16 * kernel[3],
        "embedding": shape(&weights, "linear1.conv.weight", 4, path)?[0],
    });
    Ok(UnwrittenPack {
        licence: "none stated by its authors".into(),
        source: "https://github.com/Xiaoccer/MobileFaceNet_Pytorch",
        purpose: "tells identities apart (CSIM)",
        parts: vec![Part::new(Role::Embedder, Architecture::MobileFaceNet, "mobilefacenet", config, weights)],
    })
}
