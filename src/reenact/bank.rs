//! The bank of a reference clip: the few frames that show most of what its main frame hides.

use super::draft::BankPicture;
use super::networks::Networks;
use crate::frame::{Filter, Window};
use crate::media::Source;
use crate::morphable::arkit::Gaze;
use crate::morphable::{ArkitShape, Euler, Mesh, Morphable};
use crate::shot::{Head, Motion, Track, TrackSettings};
use crate::{CancelToken, Error, Result};

/// Most pictures of a bank.
pub const MOST: usize = 12;
/// A frame whose fit is less certain is not chosen.
const CERTAIN: f32 = 0.5;
/// A frame that differs by less from all that are chosen shows nothing new.
const NEW: f32 = 1.0;
/// Side of what is kept of a frame, in face sizes, and its most pixels: twelve pictures take at most 200 MB.
const AROUND: f64 = 1.5;
const PIXELS: usize = 1024;
/// What of a face changes its look, and by how much until it looks different.
const SHAPES: [(&[ArkitShape], f32); 7] = {
    use ArkitShape::*;
    [
        (&[JawOpen], 0.12),
        (&[MouthSmileLeft, MouthSmileRight], 0.3),
        (&[MouthPucker, MouthFunnel], 0.3),
        (&[MouthUpperUpLeft, MouthUpperUpRight, MouthLowerDownLeft, MouthLowerDownRight], 0.3),
        (&[MouthStretchLeft, MouthStretchRight], 0.35),
        (&[EyeBlinkLeft], 0.25),
        (&[EyeBlinkRight], 0.25),
    ]
};
/// The same of gaze and of the head's turn, degrees.
const GAZE: f32 = 9.0;
const TURN: f32 = 11.0;

/// What of each frame of a track shows, in units of what looks different; `None` where it is not certain.
fn looks(model: &Morphable, track: &Track) -> Option<Vec<Option<Vec<f32>>>> {
    let look = |(pose, &confidence): (&crate::morphable::retarget::FramePose, &f32)| {
        let curves = model.arkit_curves(&pose.expr)?;
        let gaze = Gaze::from_curves(&curves);
        let Euler { yaw, pitch, .. } = Euler::from_rotation(&pose.camera.rotation);
        let mut look: Vec<f32> = SHAPES
            .iter()
            .map(|(shapes, unit)| {
                shapes.iter().map(|s| curves[*s as usize]).sum::<f32>() / (shapes.len() as f32 * unit)
            })
            .collect();
        look.extend((0..2).map(|k| 0.5 * (gaze.left[k] + gaze.right[k]) / GAZE));
        look.extend([yaw / TURN, pitch / TURN]);
        (confidence >= CERTAIN).then_some(look)
    };
    (!model.arkit.is_empty()).then(|| track.raw.iter().zip(&track.confidence).map(look).collect())
}

/// The frames of a bank beside the main frame `own` (an index into the track, as those returned): each in turn differs most from all chosen
/// before. A function of the track alone. Empty where the model does not name what a face does.
pub fn choose(model: &Morphable, track: &Track, own: usize, most: usize) -> Vec<usize> {
    let Some(looks) = looks(model, track) else { return Vec::new() };
    let Some(first) = looks.get(own).cloned().flatten() else { return Vec::new() };
    let apart = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt();
    let mut nearest: Vec<f32> =
        looks.iter().map(|l| l.as_ref().map_or(f32::NEG_INFINITY, |l| apart(l, &first))).collect();
    let mut chosen = Vec::new();
    while chosen.len() < most {
        // Of equals the first.
        let best = (0..nearest.len()).rev().max_by(|&a, &b| nearest[a].total_cmp(&nearest[b]));
        let Some(best) = best.filter(|&b| nearest[b] >= NEW) else { break };
        let Some(look) = &looks[best] else { break };
        chosen.push(best);
        for (n, l) in nearest.iter_mut().zip(&looks) {
            if let Some(l) = l {
                *n = n.min(apart(l, look));
            }
        }
    }
    chosen.sort_unstable();
    chosen
}

/// The bank of a clip whose motion is known; `own` is the number of its main frame, as the clip counts.
///
/// # Errors
/// Those of the clip; [`Error::NoFace`] where it shows none; [`Error::Interrupted`].
pub fn pictures(
    networks: &Networks,
    source: &Source,
    motion: &Motion,
    own: usize,
    cancel: &CancelToken,
) -> Result<Vec<BankPicture>> {
    let model = networks.morphable.model();
    let track = Track::new(motion, &Head::from_model(model), &TrackSettings::default())?;
    let Some(own) = own.checked_sub(motion.first) else {
        return Err(Error::usage(format!("the clip has no frame {own}: choose one of its own")));
    };
    let identity = networks.morphable.identity(&track.shape)?;
    choose(model, &track, own, MOST)
        .into_iter()
        .map(|k| {
            cancel.check()?;
            let pose = &track.raw[k];
            let mut mesh = Mesh::default();
            networks.morphable.mesh_into(&identity, &pose.expr, &pose.camera, &mut mesh)?;
            Ok(kept(&source.frame(motion.first + k)?, mesh))
        })
        .collect()
}

/// The part of a frame around its face.
fn kept(frame: &crate::frame::Frame, mut mesh: Mesh) -> BankPicture {
    let range = |k: usize| {
        let all = mesh.vertices.iter().map(|v| f64::from(v[k]));
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (range(0), range(1));
    let side = (AROUND * (x1 - x0).max(y1 - y0)).ceil().max(1.0);
    let start = |lo: f64, hi: f64| (0.5 * (lo + hi - side)).floor();
    let window = Window::square(start(x0, x1), start(y0, y1), side);
    let size = (side as usize).min(PIXELS);
    let picture = frame.crop(window, size, size, Filter::Area);
    let scale = size as f64 / side;
    for v in &mut mesh.vertices {
        // Pixel centres are at integers, windows begin half a pixel before.
        let place = |v: f32, start: f64| ((f64::from(v) + 0.5 - start) * scale - 0.5) as f32;
        *v = [place(v[0], window.x0), place(v[1], window.y0), (f64::from(v[2]) * scale) as f32];
    }
    BankPicture { picture, mesh }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shot::motion::MotionFrame;
    use crate::synthetic::acting_head;

    #[test]
    fn frames_are_chosen_that_show_something_new() {
        let model = acting_head();
        let frame = |shapes: &[(ArkitShape, f32)], confidence: f32| {
            let mut expr = vec![0.0; model.expr_dim];
            for (shape, value) in shapes {
                expr[model.arkit[*shape as usize] as usize] = *value;
            }
            let camera = [1.0, 0.0, 0.0, 50.0, 0.0, -1.0, 0.0, 50.0, 0.0, 0.0, 1.0, 0.0];
            Some(MotionFrame { camera, expr, confidence })
        };
        use ArkitShape::{EyeBlinkLeft, EyeBlinkRight, JawOpen};
        let frames = vec![
            frame(&[], 1.0),
            frame(&[(JawOpen, 0.05)], 1.0),
            frame(&[(JawOpen, 0.7)], 1.0),
            None,
            frame(&[(EyeBlinkLeft, 0.9), (EyeBlinkRight, 0.9)], 1.0),
            frame(&[(EyeBlinkLeft, 0.9), (EyeBlinkRight, 0.85)], 1.0),
            frame(&[(JawOpen, 0.9)], 0.2),
        ];
        let motion = Motion { first: 0, size: (100, 100), fps: None, model: String::new(), frames, identity: None };
        let track = Track::new(&motion, &Head::from_model(&model), &TrackSettings::default()).unwrap();
        assert_eq!(choose(&model, &track, 0, MOST), [2, 4]);
        assert_eq!(choose(&model, &track, 0, 1), [2]);
        assert_eq!(choose(&model, &track, 4, MOST), [1, 2]);
        assert!(choose(&model, &track, 3, MOST).is_empty() && choose(&model, &track, 99, MOST).is_empty());
        assert!(choose(&crate::synthetic::head(), &track, 0, MOST).is_empty());
    }

    #[test]
    fn what_is_kept_of_a_frame_is_the_face_where_it_was() {
        let mut frame = crate::frame::Frame::filled(300, 200, [0.1, 0.1, 0.1, 1.0], crate::frame::Color::Srgb);
        frame.set_pixel(150, 90, [1.0; 4]);
        let mesh = Mesh { vertices: vec![[130.0, 70.0, 0.0], [170.0, 110.0, 8.0], [150.0, 90.0, 3.0]] };
        let kept = kept(&frame, mesh);
        assert_eq!((kept.picture.width, kept.picture.height), (60, 60));
        let [x, y, _] = kept.mesh.vertices[2];
        assert_eq!(kept.picture.pixel(x as usize, y as usize), [1.0; 4]);
    }
}
