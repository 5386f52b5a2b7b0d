//! A pack for fitting faces that is made here rather than imported: a morphable model, and its regressor where one has
//! been trained. The files are those that an import of 3DDFA-V2 writes, so everything loads them alike.

use crate::import::{Part, UnwrittenPack};
use crate::models::{self, Architecture, Check, Pack, Role};
use crate::morphable::Morphable;
use crate::morphable::arrays::morphable_weights;
use crate::nets::mobilenet;
use crate::weights::Weights;
use crate::{Error, Result};
use serde_json::json;
use std::borrow::Cow;
use std::path::Path;

/// The licence of the procedural head: the program's, which it is a part of.
pub const LICENCE: &str = "MIT OR Apache-2.0";

/// A model's component's configuration.
pub fn config(model: &Morphable) -> serde_json::Value {
    json!({
        "vertices": model.vertex_count(),
        "triangles": model.triangles.len(),
        "shape_dim": model.shape_dim,
        "expr_dim": model.expr_dim,
    })
}

/// Writes the pack that is named as its folder; one that is there is replaced as a whole. `licence` as the manifest
/// states it, `check` as for an import ([`crate::import::check`]).
///
/// # Errors
/// [`Error::Usage`] where the folder's name is no pack's; [`Error::Model`] where model and regressor do not fit together;
/// [`Error::Input`] where it cannot be written.
pub fn write(
    folder: &Path,
    model: &Morphable,
    regressor: Option<Weights>,
    licence: impl Into<Cow<'static, str>>,
    check: Check,
) -> Result<Pack> {
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    if !models::is_name(&name) {
        return Err(Error::usage(format!(
            "'{name}' cannot be the name of a pack: lower-case letters, digits, '.', '_' and '-', at most 64 of them"
        )));
    }
    model.validate()?;
    let mut parts = Vec::new();
    if let Some(weights) = regressor {
        let config = mobilenet::Config::from_weights(&weights)?;
        let wanted = model.param_mean.len();
        if config.outputs != wanted {
            return Err(Error::model(format!(
                "the regressor has {} outputs where the morphable model takes {wanted} parameters: use the model that \
                 it was trained with",
                config.outputs
            )));
        }
        let config = json!({"width": config.width, "outputs": config.outputs});
        parts.push(Part::new(Role::Regressor, Architecture::MobileNetV1, "regressor", config, weights));
    }
    let config = config(model);
    parts.push(Part::new(
        Role::Morphable,
        Architecture::LinearMorphable,
        "morphable",
        config,
        morphable_weights(model),
    ));
    let purpose = match parts.len() {
        1 => "a morphable model of the head; it has no regressor, so it fits no faces by itself",
        _ => "fits the morphable model of the head to faces",
    };
    let mut draft = UnwrittenPack { licence: licence.into(), source: "made with headgan-train", purpose, parts };
    draft.finish(check)?;
    let root = folder.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    draft.write(&name, root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::check;
    use crate::morphable::arrays::morphable_from;
    use crate::synthetic::head;
    use crate::weights::Array;

    #[test]
    fn the_head_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("own");
        for _ in 0..2 {
            let pack = write(&target, &head(), None, LICENCE, check).unwrap();
            assert_eq!((pack.name(), pack.components().len()), ("own", 1));
        }
        let pack = Pack::open(&target).unwrap();
        let part = pack.component(Role::Morphable, Some(&Architecture::LinearMorphable)).unwrap();
        let weights = pack.load(part, check).unwrap();
        let back = morphable_from(&weights).unwrap();
        assert_eq!(morphable_weights(&back).arrays, morphable_weights(&head()).arrays);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left behind");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fails = write(&folder.path().join("Own Head"), &head(), None, LICENCE, check);
        assert!(matches!(fails, Err(Error::Usage(_))));
        let mut weights = Weights::default();
        weights.insert("conv1.weight", Array::f32([4, 3, 3, 3], vec![0.0; 108]));
        weights.insert("fc.weight", Array::f32([61, 128], vec![0.0; 61 * 128]));
        let fails = write(&folder.path().join("own"), &head(), Some(weights), LICENCE, check);
        assert!(matches!(&fails, Err(Error::Model(text)) if text.contains("61")), "{fails:?}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
