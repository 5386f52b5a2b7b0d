//! Windows: small networks paint eyes and mouth over Draft's picture, where people look.
//!
//! This module places windows on a face's mesh, draws what a network takes, and lays its picture in at the plate's resolution.
//! [`crate::nets::window`] is the network. Whatever a window is given at work, the trainer gives it by the same functions
//! ([`Shot::see_windows`](super::Shot::see_windows)).

mod contours;
mod map;
mod part;

pub use map::{WindowMap, cut, feather};
pub use part::{CONTOURS, FacePoints, Part, Placement, PointPlaces};

use crate::engine::{Embedded, Executor, Ops, cpu};
use crate::frame::Frame;
use crate::import::check;
use crate::models::{Component, ModelSet, Pack, Role};
use crate::morphable::Morphable;
use crate::nets::window::{self, Config, Reference};
use crate::{Error, Result};
use map::{Planes, Shown, lay};
use rayon::prelude::*;
use std::sync::Arc;

/// How far beyond a window its flows may reach, in sides.
const REACH: f32 = 0.25;

/// A window's network, ready to run.
struct Network {
    ops: Embedded,
    config: Config,
}

impl Network {
    fn load(pack: &Pack, component: &Component) -> Result<Network> {
        let weights = pack.load(component, check)?;
        let config = Config::infer(&weights)?;
        // Windows run beside each other: one thread each.
        let options = cpu::Options { threads: 1, ..cpu::Options::default() };
        Ok(Network { ops: Embedded::new(weights, &options), config })
    }
}

/// The networks of a pack that paint windows; shared by all shots.
pub struct WindowNetworks {
    eye: Option<Network>,
    mouth: Option<Network>,
    /// The pack.
    pub name: String,
    /// Of the weights files.
    pub blake3: Vec<String>,
    /// Of the pack.
    pub licence: String,
}

impl WindowNetworks {
    /// Those of the first pack that has any; `None` where none has.
    ///
    /// # Errors
    /// [`Error::Model`] where one is damaged, or made for windows that this version does not have.
    pub fn load(models: &ModelSet) -> Result<Option<WindowNetworks>> {
        let Some(pack) = models.packs().iter().find(|p| p.component(Role::Window, None).is_some()) else {
            return Ok(None);
        };
        let mut blake3 = Vec::new();
        let mut of = |part: Part| -> Result<Option<Network>> {
            let Some(component) = pack.network(Role::Window, part.network()) else { return Ok(None) };
            let network = Network::load(pack, component)?;
            if (network.config.side, network.config.conditions) != (part.side(), CONTOURS) {
                return Err(Error::model(format!(
                    "the pack '{}': its window '{}' has {} pixels and {} contours where {} and {CONTOURS} are due: train it again",
                    pack.name(),
                    part.network(),
                    network.config.side,
                    network.config.conditions,
                    part.side()
                )));
            }
            blake3.push(component.blake3.clone());
            Ok(Some(network))
        };
        let (eye, mouth) = (of(Part::RightEye)?, of(Part::Mouth)?);
        if eye.is_none() && mouth.is_none() {
            let text = format!("the pack '{}' has windows of neither eye nor mouth: update the program", pack.name());
            return Err(Error::model(text));
        }
        Ok(Some(WindowNetworks {
            eye,
            mouth,
            name: pack.name().into(),
            blake3,
            licence: pack.manifest.licence.clone(),
        }))
    }

    fn network(&self, part: Part) -> Option<&Network> {
        if part == Part::Mouth { self.mouth.as_ref() } else { self.eye.as_ref() }
    }

    /// Whether the mouth's takes audio.
    pub fn takes_audio(&self) -> bool {
        self.mouth.as_ref().is_some_and(|m| m.config.audio > 0)
    }

    /// Gives buffers that are not in use back to the system.
    pub fn release(&self) {
        self.eye.iter().chain(&self.mouth).for_each(|n| n.ops.release());
    }
}

/// What a window shows of a face, as its network takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenWindow {
    /// Where it lies.
    pub placement: Placement,
    /// RGB in 0..1, one plane after the other.
    pub picture: Vec<f32>,
    /// [`CONTOURS`] planes of 0..1.
    pub contours: Vec<f32>,
}

/// The windows of a picture whose face has these points, in the order of [`Part::ALL`]. `None` for one that is not to be painted.
pub fn see(picture: &Frame, points: &FacePoints) -> [Option<SeenWindow>; 3] {
    Part::ALL.map(|part| see_one(part, picture, points))
}

fn see_one(part: Part, picture: &Frame, points: &FacePoints) -> Option<SeenWindow> {
    let placement = part.place(points).filter(|p| p.weight > 0.0)?;
    let picture = cut(picture, &placement.map, part.side());
    Some(SeenWindow { placement, picture, contours: part.contours(points, &placement.map) })
}

/// A reference that windows are painted for.
pub struct WindowPainter {
    networks: Arc<WindowNetworks>,
    places: PointPlaces,
    references: [Option<ReferenceWindow>; 3],
}

/// What a window needs of the reference.
struct ReferenceWindow {
    map: WindowMap,
    shown: Shown,
    encoded: Reference<<Embedded as Ops>::Tensor>,
}

impl WindowPainter {
    /// Prepares a reference; `vertices` are its mesh in the picture's pixels.
    ///
    /// # Errors
    /// As [`PointPlaces::new`].
    pub fn new(
        networks: Arc<WindowNetworks>,
        model: &Morphable,
        picture: &Frame,
        vertices: &[[f32; 3]],
    ) -> Result<WindowPainter> {
        let places = PointPlaces::new(model)?;
        let points = places.of(vertices);
        let references = Part::ALL.map(|part| {
            let network = networks.network(part)?;
            let seen = see_one(part, picture, &points)?;
            let side = part.side();
            let mut input: Vec<f32> = seen.picture.iter().map(|v| 2.0 * v - 1.0).collect();
            // No bank yet.
            input.resize(6 * side * side, 0.0);
            input.extend(&seen.contours);
            let shape = network.config.shapes(1)[0];
            let encoded = window::reference(&network.ops, &network.config, &network.ops.tensor(shape, &input));
            let map = seen.placement.map;
            Some(ReferenceWindow { map, shown: Shown::new(picture, &map, side, REACH), encoded })
        });
        Ok(WindowPainter { networks, places, references })
    }

    /// Whether the mouth's network takes audio.
    pub fn takes_audio(&self) -> bool {
        self.networks.takes_audio()
    }

    /// Paints over Draft's picture of a mesh; `sound` are the frame's audio values, zeros where there are none.
    ///
    /// # Errors
    /// [`Error::Engine`] where a network's output is not a number.
    pub fn paint(&self, vertices: &[[f32; 3]], sound: Option<&[f32]>, draft: &mut Frame) -> Result<()> {
        let points = self.places.of(vertices);
        let from: &Frame = draft;
        let painted: Vec<Option<PaintedWindow>> =
            Part::ALL.into_par_iter().map(|part| self.window(part, &points, sound, from)).collect::<Result<_>>()?;
        for (window, reference) in painted.iter().zip(&self.references) {
            if let (Some(window), Some(reference)) = (window, reference) {
                window.lay_into(draft, reference);
            }
        }
        Ok(())
    }

    fn window(
        &self,
        part: Part,
        points: &FacePoints,
        sound: Option<&[f32]>,
        draft: &Frame,
    ) -> Result<Option<PaintedWindow>> {
        let (Some(network), Some(reference)) = (self.networks.network(part), &self.references[part as usize]) else {
            return Ok(None);
        };
        let Some(seen) = see_one(part, draft, points) else { return Ok(None) };
        let Network { ops, config } = network;
        let [_, shape, audio] = config.shapes(1);
        let mut input: Vec<f32> = seen.picture.iter().map(|v| 2.0 * v - 1.0).collect();
        input.extend(&seen.contours);
        let sound = sound.filter(|s| config.audio > 0 && s.len() == config.audio).map(|s| ops.tensor(audio, s));
        let out = window::forward(ops, config, &reference.encoded, &ops.tensor(shape, &input), sound.as_ref());
        let mut planes = ops.values(&out.shares);
        planes.extend(ops.values(&out.flow));
        planes.extend(ops.values(&out.paint));
        if planes.iter().any(|v| !v.is_finite()) {
            return Err(Error::Engine(
                "a window's output is not a number: its weights are damaged or unsuitable".into(),
            ));
        }
        let shown = Shown::new(draft, &seen.placement.map, part.side(), REACH);
        Ok(Some(PaintedWindow { placement: seen.placement, side: part.side(), planes, shown }))
    }
}

/// What a network made of a window.
struct PaintedWindow {
    placement: Placement,
    side: usize,
    /// Shares (3), flow (4), paint (3).
    planes: Vec<f32>,
    /// Draft's picture.
    shown: Shown,
}

impl PaintedWindow {
    fn lay_into(&self, draft: &mut Frame, reference: &ReferenceWindow) {
        let Placement { map, weight } = self.placement;
        let planes = Planes { side: self.side, values: &self.planes };
        lay(draft, &map, self.side, weight, |_, q| {
            let [from_draft, from_reference, painted] = planes.at::<3>(0, q);
            let [dx, dy, rx, ry] = planes.at::<4>(3, q);
            let paint = planes.at::<3>(7, q);
            let a = self.shown.at(map.to_picture([q[0] + dx, q[1] + dy]));
            let b = reference.shown.at(reference.map.to_picture([q[0] + rx, q[1] + ry]));
            std::array::from_fn(|c| {
                let mixed = from_draft * a[c] + from_reference * b[c] + painted * (0.5 * paint[c] + 0.5);
                mixed.clamp(0.0, 1.0)
            })
        });
    }
}

#[cfg(test)]
mod tests;
