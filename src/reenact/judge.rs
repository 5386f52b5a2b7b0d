//! Loading what reads performances off pictures: the dense tracker of whichever pack has one, MediaPipe's before the project's own.
//!
//! Unlike [`super::networks`] it need not fit the chosen pack's model, so that every way of fitting is judged by the same eyes.

use super::networks;
use crate::Result;
use crate::engine::{Embedded, cpu};
use crate::face::dense::landmarks::Landmarks;
use crate::face::dense::{DenseFinder, DenseTracker, FACE_MESH, FULL_RANGE, SHORT_RANGE, SingleLook, blaze};
use crate::import::check;
use crate::models::{Architecture, Component, ModelSet, Pack, Role};
use crate::nets::graph::Graph;

/// The tracker of the first pack that has its networks; `None` where none has them.
///
/// # Errors
/// [`Error::Model`](crate::Error::Model) for a damaged pack.
pub fn dense_tracker<'a>(models: &'a ModelSet, options: &cpu::Options) -> Result<Option<DenseTracker<Embedded>>> {
    let parts = |pack: &'a Pack| {
        let mesh = pack.network(Role::Landmarks, FACE_MESH)?;
        Some((pack, mesh, pack.network(Role::DenseDetector, SHORT_RANGE)?))
    };
    let Some((pack, mesh, short)) = models.packs().iter().find_map(parts) else { return own_tracker(models, options) };
    let load = |component: &Component| -> Result<(Embedded, Graph)> {
        let weights = pack.load(component, check)?;
        Ok((Embedded::new(weights, options), Graph::from_config(&component.config)?))
    };
    let detector = |component: &Component| {
        let (executor, graph) = load(component)?;
        blaze::Detector::new(executor, graph)
    };
    let full = pack.network(Role::DenseDetector, FULL_RANGE).map(detector).transpose()?;
    let finder = DenseFinder::new(detector(short)?, full);
    let (executor, graph) = load(mesh)?;
    Ok(Some(DenseTracker::new(finder, Landmarks::new(executor, graph)?)))
}

/// The tracker of the first pack with the project's own networks.
fn own_tracker(models: &ModelSet, options: &cpu::Options) -> Result<Option<DenseTracker<Embedded>>> {
    let parts = |pack: &'_ Pack| {
        let part = |role, architecture| pack.component(role, Some(&architecture)).cloned();
        let points = part(Role::Landmarks, Architecture::DensePoints)?;
        Some((pack.clone(), points, part(Role::DenseDetector, Architecture::DenseFinder)?))
    };
    let Some((pack, points, finder)) = models.packs().iter().find_map(parts) else { return Ok(None) };
    let load = |component: &Component| Ok(Embedded::new(pack.load(component, check)?, options));
    let small = match pack.component(Role::Detector, None) {
        Some(component) => Some(networks::box_detector(&pack, component, options)?),
        None => None,
    };
    let finder = DenseFinder::Own { finder: SingleLook::new(load(&finder)?), small };
    Ok(Some(DenseTracker::new(finder, Landmarks::own(load(&points)?, false))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rect;
    use crate::import;
    use crate::media::Source;
    use crate::testing::shared;

    #[test]
    fn without_a_pack_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let models = ModelSet::from_folders(&[folder.path().to_owned()]);
        assert!(dense_tracker(&models, &cpu::Options::default()).unwrap().is_none());
    }

    /// On real pictures: a face is found wherever MediaPipe's own program finds one.
    #[test]
    fn faces_of_real_pictures() {
        let Some(shared) = shared() else { return };
        let folder = tempfile::tempdir().unwrap();
        let options = import::Options { check, ..import::Options::default() };
        import::import("mediapipe", &shared.join("face-models/mediapipe"), None, folder.path(), &options).unwrap();
        let models = ModelSet::from_folders(&[folder.path().to_owned()]);
        let tracker = dense_tracker(&models, &cpu::Options::default()).unwrap().unwrap();
        let answers = std::fs::read(shared.join("fixtures/mediapipe/mediapipe.json")).unwrap();
        let answers: serde_json::Value = serde_json::from_slice(&answers).unwrap();
        let mut count = 0;
        for (name, answer) in answers["images"].as_object().unwrap().iter().take(4) {
            let source = Source::open(&shared.join("images").join(name).display().to_string()).unwrap();
            let picture = source.frame(source.info().first).unwrap();
            let found = tracker.largest(&picture).unwrap();
            assert!(found.is_some() || answer["faces"].as_array().unwrap().is_empty(), "{name}");
            let nowhere = Rect { x0: -9.0, y0: -9.0, x1: -8.0, y1: -8.0 };
            assert_eq!(tracker.largest_within(&picture, &nowhere).unwrap(), None);
            if let Some(face) = found {
                assert_eq!(tracker.largest_within(&picture, &face.bounds()).unwrap().as_ref(), Some(&face));
                count += 1;
            }
        }
        assert!(count >= 2, "{count}");
    }
}
