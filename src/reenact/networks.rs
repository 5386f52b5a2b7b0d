//! The networks and the morphable model that a shot needs, loaded from packs.

use super::draft::DraftModel;
use crate::engine::{Embedded, cpu};
use crate::error::Advice;
use crate::face::dense::{
    DenseFinder, DenseFitter, FACE_MESH, FULL_RANGE, ROUGH_MESH, SHORT_RANGE, Segmentation, SingleLook, blaze,
    landmarks,
};
use crate::face::detector::{self, Detector, DetectorOverrides};
use crate::face::embedder::Embedder;
use crate::face::observe::Observer;
use crate::face::regress::{self, Regressor};
use crate::face::traits::{FaceDetector, FaceFitter};
use crate::face::{Detection, roi};
use crate::frame::Frame;
use crate::import::check;
use crate::key::{Key, KeyHasher};
use crate::models::{Architecture, Component, ModelSet, Pack, Role};
use crate::morphable::arkit::{Own, acting};
use crate::morphable::arrays::morphable_from;
use crate::morphable::dense::{DenseHead, with_residual_modes};
use crate::morphable::{Fit, Morphable, PreparedMorphable};
use crate::nets::graph::Graph;
use crate::shot::live_link::Performer;
use crate::weights::Weights;
use crate::{Error, Result};
use std::sync::Arc;

/// Everything that finds and fits faces, and the model that they are fitted with.
pub struct Networks {
    /// Finds and fits faces.
    pub fitting: Fitting,
    /// Tells people apart when a face is found again; optional.
    pub embedder: Option<Embedder<Embedded>>,
    /// What is fitted.
    pub morphable: Arc<PreparedMorphable>,
    /// What quality draft needs of the model.
    pub draft: Arc<DraftModel>,
    /// Tells the person from what is behind; optional.
    pub person: Option<(Segmentation<Embedded>, ModelId)>,
    /// The pack that regressor and morphable model come from.
    pub pack: String,
    /// What all of it was loaded from.
    pub models: Vec<ModelId>,
}

/// How faces are found and fitted.
pub enum Fitting {
    /// A detector's boxes, and a network that gives the parameters of a crop.
    Regressed {
        /// Finds faces.
        detector: Box<Detector<Embedded>>,
        /// Fits them.
        regressor: Box<Regressor<Embedded>>,
    },
    /// Dense points, and the model fitted to those of a whole shot.
    Dense {
        /// Finds faces.
        finder: Box<DenseFinder<Embedded>>,
        /// Finds their points and fits the model.
        fitter: Box<DenseFitter<Embedded>>,
    },
}

/// Where a part comes from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ModelId {
    /// What it is for.
    pub role: Role,
    /// Name of its pack.
    pub pack: String,
    /// What kind of network or model.
    pub architecture: Architecture,
    /// Of the weights file, 64 digits; of a model that was made of a file's ([`Networks::load_with_points`]), of what it came out as.
    pub blake3: String,
    /// The pack's licence.
    pub licence: String,
}

impl ModelId {
    fn new(pack: &Pack, component: &Component) -> ModelId {
        ModelId {
            role: component.role,
            pack: pack.name().into(),
            architecture: component.architecture.clone(),
            blake3: component.blake3.clone(),
            licence: pack.manifest.licence.clone(),
        }
    }
}

/// The pack to fit faces with, and its morphable model: `pack`, or the first with MediaPipe's dense points, or the first with the project's own
/// or with a regressor (one that was imported or built for its model alone fits nothing), or the first that has a model.
fn home<'a>(models: &'a ModelSet, pack: Option<&str>) -> Result<(&'a Pack, &'a Component)> {
    let with = |role: Role| {
        move |p: &'a Pack| p.component(role, None).and_then(|_| Some((p, p.component(Role::Morphable, None)?)))
    };
    let has = |p: &&Pack, role: Role, architecture: &Architecture| p.component(role, Some(architecture)).is_some();
    let foreign = models.packs().iter().filter(|p| has(p, Role::Landmarks, &Architecture::Graph));
    let dense = foreign.into_iter().find_map(with(Role::Landmarks));
    // A pack that somebody brought comes before one that came with the program, whatever it fits with.
    let any = |p| with(Role::Landmarks)(p).or_else(|| with(Role::Regressor)(p));
    match dense.or_else(|| models.packs().iter().find_map(any)) {
        Some(found) if pack.is_none() => Ok(found),
        _ => models.find(Role::Morphable, None, pack),
    }
}

/// A pack's detector of boxes.
pub(super) fn box_detector(pack: &Pack, component: &Component, options: &cpu::Options) -> Result<Detector<Embedded>> {
    let weights = pack.load(component, check)?;
    let kind = detector::Kind::from_weights(&weights)?;
    let mut detector = Detector::new(Embedded::new(weights, options), kind);
    component.config::<DetectorOverrides>()?.apply(&mut detector.options);
    Ok(detector)
}

/// A model that dense points can be fitted to: it gets ARKit's shapes, eyeballs and residual modes where it has none. `id` then stands for what was
/// made of the file's, which may change with the program.
fn acting_model(model: Morphable, own: Own, id: &mut ModelId) -> Result<Morphable> {
    if !model.arkit.is_empty() && model.residual_modes > 0 {
        return Ok(model);
    }
    let model = if model.arkit.is_empty() { acting(&model, own)? } else { model };
    let model = if model.residual_modes == 0 { with_residual_modes(&model)? } else { model };
    let mut hasher = KeyHasher::new("model made to act");
    let parts: [&[u8]; 4] = [
        id.blake3.as_bytes(),
        bytemuck::cast_slice(&model.mean),
        bytemuck::cast_slice(&model.shape_basis),
        bytemuck::cast_slice(&model.expr_basis),
    ];
    for part in parts {
        hasher.begin(part.len());
        hasher.update(part);
    }
    id.blake3 = hasher.finish().hex();
    Ok(model)
}

impl Networks {
    /// Loads from `pack` (or the first pack that has a morphable model with dense points, or with a regressor), with the detector of the
    /// architecture `detector` (`None`: the pack's own).
    ///
    /// # Errors
    /// [`Error::Model`] when a pack or a component is missing or damaged; it says what to import.
    pub fn load(
        models: &ModelSet,
        pack: Option<&str>,
        detector: Option<&Architecture>,
        options: &cpu::Options,
    ) -> Result<Networks> {
        let (home, model) = home(models, pack)?;
        let mut ids = vec![ModelId::new(home, model)];
        if pack.is_none() {
            // What cannot be used may be what was meant.
            let name = home.name();
            models.problems().iter().for_each(|problem| tracing::warn!("{problem}; faces are fitted with '{name}'"));
        }
        let model = morphable_from(&*home.load(model, check)?)?;
        // Who asks for a detector asks for boxes, and so for a regressor where there is one.
        let boxes = detector.is_some() && home.component(Role::Regressor, None).is_some();
        let dense = home.component(Role::Landmarks, None).filter(|_| !boxes);
        let (fitting, model) = match dense {
            Some(_) => {
                // A head that is its regressor's becomes one that acts, which dense points need.
                let model = acting_model(model, Own::Replaced, &mut ids[0])?;
                (Fitting::dense(home, &model, options, &mut ids)?, model)
            }
            None => (Fitting::regressed(models, home, &model, detector, options, &mut ids)?, model),
        };
        Networks::complete(models, home.name(), fitting, model, ids, options)
    }

    /// Loads the morphable model of `pack` and fits it to the dense points of the pack `points`. A model that does not act gets
    /// ARKit's 52 shapes, eyeballs and residual modes here; what it had stays. Motions and caches of it are not those of the
    /// model as it is in its pack.
    ///
    /// # Errors
    /// As [`Networks::load`]; [`Error::Model`] where `points` has no networks for dense points, or the model has not 68 landmarks like
    /// those of a face.
    pub fn load_with_points(models: &ModelSet, pack: &str, points: &str, options: &cpu::Options) -> Result<Networks> {
        let (points, _) = models.find(Role::Landmarks, None, Some(points))?;
        let (home, component) = models.find(Role::Morphable, None, Some(pack))?;
        let mut ids = vec![ModelId::new(home, component)];
        let model = morphable_from(&*home.load(component, check)?)?;
        let model = acting_model(model, Own::Kept, &mut ids[0])?;
        let fitting = Fitting::dense(points, &model, options, &mut ids)?;
        Networks::complete(models, home.name(), fitting, model, ids, options)
    }

    /// With what is the same however faces are fitted.
    fn complete(
        models: &ModelSet,
        name: &str,
        fitting: Fitting,
        model: Morphable,
        mut ids: Vec<ModelId>,
        options: &cpu::Options,
    ) -> Result<Networks> {
        let embedder = match models.find(Role::Embedder, None, Some(name)) {
            Ok((pack, component)) => {
                ids.push(ModelId::new(pack, component));
                Some(Embedder::new(Embedded::new(pack.load(component, check)?, options)))
            }
            Err(_) => None,
        };
        // No part of the fit: mattes are not kept with observations.
        let person = match models.find(Role::Segmentation, None, Some(name)) {
            Ok((pack, component)) => {
                let weights = pack.load(component, check)?;
                let graph = Graph::from_config(&component.config)?;
                let network = Segmentation::new(Embedded::new(weights, options), graph)?;
                Some((network, ModelId::new(pack, component)))
            }
            Err(_) => None,
        };
        let draft = DraftModel::from_morphable(&model)?;
        let morphable = Arc::new(PreparedMorphable::new(model)?);
        Ok(Networks { fitting, embedder, person, morphable, draft: Arc::new(draft), pack: name.into(), models: ids })
    }

    /// Gives buffers that are not in use back to the system.
    pub fn release(&self) {
        match &self.fitting {
            Fitting::Regressed { detector, regressor } => {
                detector.executor().release();
                regressor.executor().release();
            }
            Fitting::Dense { finder, fitter } => {
                finder.executors().for_each(|e| e.release());
                fitter.executors().for_each(|e| e.release());
            }
        }
        if let Some(embedder) = &self.embedder {
            embedder.executor().release();
        }
        if let Some((person, _)) = &self.person {
            person.executor().release();
        }
    }

    /// Who performs a Live Link Face recording: the person of the model with these identity coefficients.
    pub fn performer<'a>(&'a self, shape: &'a [f32]) -> Performer<'a> {
        let lids = match &self.fitting {
            Fitting::Dense { fitter, .. } => fitter.head().lid_gains(shape),
            Fitting::Regressed { .. } => [1.0; 2],
        };
        Performer { model: self.morphable.model(), hash: self.model_hash(), shape, lids }
    }

    /// What observes pictures.
    pub fn observer(&self) -> Observer<'_> {
        let (model, identity) = (&*self.morphable, self.embedder.as_ref().map(|e| e as _));
        match &self.fitting {
            Fitting::Regressed { detector, regressor } => {
                Observer { detector: &**detector, regressor: &**regressor, model, identity, points: None }
            }
            Fitting::Dense { finder, fitter } => {
                Observer { detector: &**finder, regressor: &**fitter, model, identity, points: Some(&**fitter) }
            }
        }
    }

    /// What an observation depends on besides the picture.
    pub fn fingerprint(&self) -> Key {
        let mut parts: Vec<&[u8]> = self.models.iter().map(|m| m.blake3.as_bytes()).collect();
        let look;
        match &self.fitting {
            Fitting::Regressed { detector, regressor } => {
                let (options, usual) = (detector.options, detector::Options::for_kind(detector.kind()));
                look = format!("{options:?}");
                if options != usual {
                    parts.push(look.as_bytes());
                }
                // Older versions of the program fit with the same files but do not refine the lids.
                if regressor.has_lid_stage() {
                    parts.push(b"lids");
                }
            }
            Fitting::Dense { .. } => parts.push(b"dense"),
        }
        Key::new("networks", &parts)
    }

    /// The blake3 of the morphable model's weights.
    pub fn model_hash(&self) -> &str {
        self.models.iter().find(|m| m.role == Role::Morphable).map_or("", |m| &m.blake3)
    }

    /// All faces of a still with their fits, best first.
    ///
    /// # Errors
    /// Those of the networks; a picture without faces is none.
    pub fn faces(&self, picture: &Frame) -> Result<Vec<(Detection, Fit)>> {
        let mut faces = Vec::new();
        match &self.fitting {
            Fitting::Regressed { detector, regressor } => {
                for seen in detector.find(picture)? {
                    let fit = regressor.fit(picture, &roi::from_box(&seen.rect))?;
                    faces.push((seen, fit));
                }
            }
            Fitting::Dense { .. } => {
                let observer = self.observer();
                for seen in observer.observe(picture)?.faces {
                    let fitted = seen.fitted.and_then(|fitted| observer.complete(fitted));
                    faces.extend(fitted.map(|fitted| (seen.detection, fitted.fit)));
                }
            }
        }
        Ok(faces)
    }
}

impl Fitting {
    fn regressed(
        models: &ModelSet,
        home: &Pack,
        model: &Morphable,
        detector: Option<&Architecture>,
        options: &cpu::Options,
        ids: &mut Vec<ModelId>,
    ) -> Result<Fitting> {
        let name = home.name();
        // The regressor's outputs are the coefficients of its own pack's model; no other will do.
        let component = home.component(Role::Regressor, None).ok_or_else(|| {
            Error::model(format!(
                "the pack '{name}' has a morphable model but no regressor for it: choose another pack"
            ))
        })?;
        ids.push(ModelId::new(home, component));
        let weights = home.load(component, check)?;
        let config = regress::check(&weights)?;
        let regressor = Regressor::new(Embedded::new(weights, options), config, model)?;

        let (pack, component) = models.find(Role::Detector, detector, Some(name))?;
        ids.push(ModelId::new(pack, component));
        let detector = box_detector(pack, component, options)?;
        Ok(Fitting::Regressed { detector: Box::new(detector), regressor: Box::new(regressor) })
    }

    fn dense(home: &Pack, model: &Morphable, options: &cpu::Options, ids: &mut Vec<ModelId>) -> Result<Fitting> {
        match home.component(Role::Landmarks, None).map(|points| &points.architecture) {
            Some(Architecture::DensePoints) => Fitting::own_dense(home, model, options, ids),
            _ => Fitting::mediapipe(home, model, options, ids),
        }
    }

    /// MediaPipe's networks.
    fn mediapipe(home: &Pack, model: &Morphable, options: &cpu::Options, ids: &mut Vec<ModelId>) -> Result<Fitting> {
        let mut network = |role: Role, name: &str| -> Result<Option<(Embedded, Graph)>> {
            let Some(component) = home.network(role, name) else { return Ok(None) };
            ids.push(ModelId::new(home, component));
            let weights = home.load(component, check)?;
            Ok(Some((Embedded::new(weights, options), Graph::from_config(&component.config)?)))
        };
        let missing = |name: &str| {
            Error::model(format!("the pack '{}' lacks the network '{name}': import it again", home.name()))
                .with_advice(Advice::ImportModel("mediapipe".into()))
        };
        let short = network(Role::DenseDetector, SHORT_RANGE)?.ok_or_else(|| missing(SHORT_RANGE))?;
        let full = network(Role::DenseDetector, FULL_RANGE)?;
        let mesh = network(Role::Landmarks, FACE_MESH)?.ok_or_else(|| missing(FACE_MESH))?;
        let rough = network(Role::Landmarks, ROUGH_MESH)?;
        let full = full.map(|(executor, graph)| blaze::Detector::new(executor, graph)).transpose()?;
        let finder = DenseFinder::new(blaze::Detector::new(short.0, short.1)?, full);
        let rough = rough.map(|(executor, graph)| landmarks::Landmarks::new(executor, graph)).transpose()?;
        let mesh = landmarks::Landmarks::new(mesh.0, mesh.1)?;
        let fitter = Box::new(DenseFitter::new(mesh, rough, DenseHead::new(model)?));
        Ok(Fitting::Dense { finder: Box::new(finder), fitter })
    }

    /// The project's own networks of dense points.
    fn own_dense(home: &Pack, model: &Morphable, options: &cpu::Options, ids: &mut Vec<ModelId>) -> Result<Fitting> {
        let mut network = |role: Role, architecture: Architecture| -> Result<Arc<Weights>> {
            let component = home.component(role, Some(&architecture)).ok_or_else(|| {
                Error::model(format!(
                    "the pack '{}' lacks the network '{architecture}': get it again, or choose another pack",
                    home.name()
                ))
            })?;
            ids.push(ModelId::new(home, component));
            home.load(component, check)
        };
        let finder = network(Role::DenseDetector, Architecture::DenseFinder)?;
        let points = network(Role::Landmarks, Architecture::DensePoints)?;
        let small = match home.component(Role::Detector, None) {
            Some(component) => {
                ids.push(ModelId::new(home, component));
                Some(box_detector(home, component, options)?)
            }
            None => None,
        };
        let finder = DenseFinder::Own { finder: SingleLook::new(Embedded::new(finder, options)), small };
        let rough = landmarks::Landmarks::own(Embedded::new(points.clone(), options), true);
        let points = landmarks::Landmarks::own(Embedded::new(points, options), false);
        let fitter = DenseFitter::new(points, Some(rough), DenseHead::new(model)?);
        Ok(Fitting::Dense { finder: Box::new(finder), fitter: Box::new(fitter.with_exact_regions()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::shape;
    use crate::import::fitting;
    use crate::nets::mobilenet;
    use crate::synthetic::head;
    use crate::weights::Array;

    /// The head with a regressor and dense networks of random weights.
    #[test]
    fn own_dense_networks_are_taken_unless_a_detector_is_asked_for() {
        use crate::models::MANIFEST;
        use crate::nets::{dense_finder, dense_points};
        use crate::testing::random_weights;
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("own");
        fitting::write(&home, &head(), None, fitting::LICENCE, check).unwrap();
        let mut manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(home.join(MANIFEST)).unwrap()).unwrap();
        let finder = shape::layers(|ops| {
            dense_finder::finder(ops, &dense_finder::shape());
        });
        let points = shape::layers(|ops| {
            dense_points::points(ops, &dense_points::shape());
        });
        for (role, architecture, layers) in
            [("dense-detector", "dense-finder", finder), ("landmarks", "dense-points", points)]
        {
            let file = format!("{architecture}.safetensors");
            crate::weights::safetensors::save(&home.join(&file), &random_weights(&layers, 1)).unwrap();
            let blake3 = crate::weights::safetensors::blake3(&home.join(&file)).unwrap();
            let part = serde_json::json!({"role": role, "architecture": architecture, "file": file, "blake3": blake3});
            manifest["components"].as_array_mut().unwrap().push(part);
        }
        std::fs::write(home.join(MANIFEST), manifest.to_string()).unwrap();
        let models = ModelSet::from_folders(&[folder.path().to_owned()]);
        let networks = Networks::load(&models, None, None, &cpu::Options::default()).unwrap();
        assert!(matches!(networks.fitting, Fitting::Dense { .. }));
        assert_eq!(networks.morphable.model().arkit.len(), crate::morphable::ArkitShape::COUNT);
        // Its coefficients are not those of the pack's own head.
        let file = models.find(Role::Morphable, None, None).unwrap().1.blake3.clone();
        assert_ne!(networks.model_hash(), file);
        assert!(networks.observer().observe(&Frame::new(64, 48)).is_ok());
        assert!(crate::reenact::judge::dense_tracker(&models, &cpu::Options::default()).unwrap().is_some());
    }

    #[test]
    fn a_model_without_a_regressor_is_taken_only_when_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str, weights| {
            fitting::write(&folder.path().join(name), &head(), weights, fitting::LICENCE, check).unwrap();
        };
        let config =
            mobilenet::Config { width: 0.125, head: "fc".into(), outputs: head().param_mean.len(), lids: false };
        let mut weights = Weights::default();
        let layers = shape::layers(|ops| {
            mobilenet::mobilenet(ops, &[1, 3, mobilenet::SIZE, mobilenet::SIZE], &config);
        });
        for (name, shape) in layers {
            let len = shape.iter().product();
            weights.insert(name, Array::f32(shape, vec![1e-3; len]));
        }
        make("alone", None);
        let found = |pack| {
            let models = ModelSet::from_folders(&[folder.path().to_owned()]);
            home(&models, pack).map(|(p, _)| p.name().to_owned())
        };
        assert_eq!(found(None).unwrap(), "alone");
        make("both", Some(weights));
        assert_eq!(found(None).unwrap(), "both");
        assert_eq!(found(Some("alone")).unwrap(), "alone");
        assert!(found(Some("neither")).is_err());
    }
}
