//! What is known of a driving shot before anything is rendered: the face of every frame.

use super::networks::Networks;
use crate::face::track::{Settings, State, Tracked};
use crate::frame::Frame;
use crate::morphable::Fit;
use crate::morphable::retarget::{FramePose, ShotStats};
use crate::{Error, Result};
use nalgebra::UnitQuaternion;

/// The face of one frame.
#[derive(Debug, Clone)]
pub struct FrameFace {
    pub fit: Fit,
    pub landmarks68: [[f32; 3]; 68],
    /// 0..1, see [`crate::face::track`].
    pub confidence: f32,
}

/// A shot, frame by frame.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Number of the first frame.
    pub first: usize,
    /// Size of the frames in pixels.
    pub size: (usize, usize),
    /// `None` where the face is not in view.
    pub faces: Vec<Option<FrameFace>>,
}

/// Analyses a shot; `each` is called after every frame (progress, interruption).
///
/// # Errors
/// Those of the frames and of the networks; [`Error::NoFace`] when no frame shows a face.
pub fn analyse(
    networks: &Networks,
    frames: impl Iterator<Item = Result<(usize, Frame)>>,
    settings: Settings,
    name: &str,
    mut each: impl FnMut() -> Result<()>,
) -> Result<Analysis> {
    let tracker = networks.tracker(settings);
    let mut state = State::default();
    let mut out = Analysis { first: 0, size: (0, 0), faces: Vec::new() };
    for item in frames {
        let (number, frame) = item?;
        if out.faces.is_empty() {
            out.first = number;
            out.size = (frame.width, frame.height);
        }
        let found = tracker.step(&mut state, &frame)?;
        out.faces.push(found.map(|t: Tracked| FrameFace {
            confidence: t.confidence(),
            landmarks68: t.landmarks68,
            fit: t.fit,
        }));
        each()?;
    }
    if out.faces.iter().all(Option::is_none) {
        return Err(Error::NoFace(format!(
            "{name}: no face was found in any of its {} frames; use a clip that shows one, at least 24 pixels large",
            out.faces.len()
        )));
    }
    Ok(out)
}

/// The poses of a shot without gaps, and what retargeting wants to know of it.
#[derive(Debug, Clone)]
pub struct Track {
    pub first: usize,
    pub poses: Vec<FramePose>,
    /// 0 where the pose is made up from its neighbours.
    pub confidence: Vec<f32>,
    /// Identity coefficients, the mean of all frames weighted by confidence.
    pub shape: Vec<f32>,
    pub stats: ShotStats,
}

impl Track {
    /// Fills gaps from their neighbours.
    ///
    /// # Errors
    /// [`Error::NoFace`] when a fit is degenerate or there is none.
    pub fn new(analysis: &Analysis) -> Result<Track> {
        let mut known: Vec<(usize, FramePose)> = Vec::new();
        let mut shape: Vec<f64> = Vec::new();
        let mut total = 0.0;
        for (i, face) in analysis.faces.iter().enumerate() {
            let Some(face) = face else { continue };
            known.push((i, FramePose::from_fit(&face.fit)?));
            let weight = f64::from(face.confidence.max(1e-3));
            shape.resize(face.fit.params.shape.len(), 0.0);
            for (sum, &v) in shape.iter_mut().zip(&face.fit.params.shape) {
                *sum += weight * f64::from(v);
            }
            total += weight;
        }
        if known.is_empty() {
            return Err(Error::NoFace("the shot shows no face".into()));
        }
        let poses: Vec<FramePose> = (0..analysis.faces.len())
            .map(|i| {
                let after = known.partition_point(|(k, _)| *k < i);
                match (after.checked_sub(1).map(|b| &known[b]), known.get(after)) {
                    (_, Some((k, pose))) if *k == i => pose.clone(),
                    (Some((a, from)), Some((b, to))) => between(from, to, (i - a) as f32 / (b - a) as f32),
                    (Some((_, pose)), None) | (None, Some((_, pose))) => pose.clone(),
                    // Not reached: something is known.
                    (None, None) => known[0].1.clone(),
                }
            })
            .collect();
        Ok(Track {
            first: analysis.first,
            confidence: analysis.faces.iter().map(|f| f.as_ref().map_or(0.0, |f| f.confidence)).collect(),
            shape: shape.into_iter().map(|v| (v / total) as f32).collect(),
            stats: ShotStats::new(&poses)?,
            poses,
        })
    }

    /// Frames whose pose is made up.
    pub fn gaps(&self) -> usize {
        self.confidence.iter().filter(|c| **c == 0.0).count()
    }
}

/// A pose a part `t` of the way between two.
fn between(a: &FramePose, b: &FramePose, t: f32) -> FramePose {
    let mix = |x: f32, y: f32| x + t * (y - x);
    let (qa, qb) = (
        UnitQuaternion::from_rotation_matrix(&a.camera.rotation),
        UnitQuaternion::from_rotation_matrix(&b.camera.rotation),
    );
    let mut out = a.clone();
    out.camera.scale = mix(a.camera.scale, b.camera.scale);
    out.camera.rotation = qa.try_slerp(&qb, t, 1e-6).unwrap_or(qa).to_rotation_matrix();
    for (o, (&x, &y)) in out.camera.translation.iter_mut().zip(a.camera.translation.iter().zip(&b.camera.translation)) {
        *o = mix(x, y);
    }
    for (o, (&x, &y)) in out.expr.iter_mut().zip(a.expr.iter().zip(&b.expr)) {
        *o = mix(x, y);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::Rect;
    use crate::morphable::{Euler, ImageCamera, Params};

    fn face(x: f32, yaw: f32, smile: f32) -> Option<FrameFace> {
        let roi = Rect { x0: 0.0, y0: 0.0, x1: 120.0, y1: 120.0 };
        let rotation = Euler { yaw, pitch: 0.0, roll: 0.0 }.rotation();
        let camera = ImageCamera::new(1e-3, rotation, [x, 50.0, 0.0]).to_fit_camera(&roi).unwrap();
        let params = Params { camera, shape: vec![1.0, 2.0], expr: vec![smile] };
        Some(FrameFace { fit: Fit { params, roi }, landmarks68: [[0.0; 3]; 68], confidence: 1.0 })
    }

    #[test]
    fn gaps_are_bridged_and_ends_held() {
        let faces = vec![None, face(10.0, 0.0, 0.0), None, None, None, face(50.0, 20.0, 4.0), None];
        let track = Track::new(&Analysis { first: 3, size: (120, 120), faces }).unwrap();
        assert_eq!(track.gaps(), 5);
        let x: Vec<f32> = track.poses.iter().map(|p| p.camera.translation[0].round()).collect();
        assert_eq!(x, [10.0, 10.0, 20.0, 30.0, 40.0, 50.0, 50.0]);
        assert!((track.poses[3].camera.euler().yaw - 10.0).abs() < 0.05);
        assert!((track.poses[2].expr[0] - 1.0).abs() < 1e-5);
        assert_eq!(track.shape, [1.0, 2.0]);
        assert!(Track::new(&Analysis { first: 0, size: (1, 1), faces: vec![None, None] }).is_err());
    }
}
