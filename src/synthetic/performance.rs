//! The demo's input: a reference portrait and a driving performance, with their true fits.

use super::render::Renderer;
use super::scene::NECK;
use crate::Result;
use crate::face::roi;
use crate::frame::{Frame, Rect};
use crate::morphable::canonical::ExpressionMode;
use crate::morphable::canonical::modes::{EXPR_DIM, SHAPE_DIM};
use crate::morphable::{Euler, Fit, ImageCamera, Params, PreparedMorphable};
use crate::synthetic::appearance::Appearance;

/// Frame rate that the driving performance is written for.
pub const DEMO_FPS: f32 = 25.0;

/// Height of the picture in micrometres of the head.
const FIELD: f32 = 385_000.0;

/// The reference portrait, `size` pixels square, and its true fit.
///
/// # Errors
/// `Usage` when the size is 0 or beyond the rasteriser's limit.
pub fn demo_reference(size: usize) -> Result<(Frame, Fit)> {
    reference(Renderer::new(Appearance::reference())?, size)
}

/// The same without lights on the wall that stand half behind the head: what `headgan demo` shows.
///
/// # Errors
/// As [`demo_reference`].
pub fn demo_portrait(size: usize) -> Result<(Frame, Fit)> {
    reference(Renderer::new(Appearance::reference())?.with_clear_wall(), size)
}

fn reference(mut renderer: Renderer, size: usize) -> Result<(Frame, Fit)> {
    let mut expr = vec![0.0; EXPR_DIM];
    expr[ExpressionMode::JawOpen as usize] = -0.135;
    expr[ExpressionMode::Smile as usize] = 0.12;
    let fit =
        fit(renderer.prepared(), reference_shape(), expr, Euler { yaw: 4.0, pitch: 1.0, roll: -1.5 }, [0.0; 2], size)?;
    Ok((renderer.render(&fit, size, size)?, fit))
}

/// The reference portrait's matte: how much of each pixel is the person, 0..1.
///
/// # Errors
/// As [`demo_reference`].
pub fn demo_matte(size: usize) -> Result<Vec<f32>> {
    let (_, fit) = demo_reference(size)?;
    let cut = Renderer::new(Appearance::reference())?.cut_out(&fit, size, size)?;
    Ok(cut.data.iter().skip(3).step_by(4).copied().collect())
}

/// The driving performance: `frames` pictures of `size` pixels square with their true fits, at [`DEMO_FPS`]. A person
/// other than the reference turns the head by up to 25 degrees, talks, smiles, blinks and raises the brows.
///
/// # Errors
/// `Usage` (for the first frame) when the size is 0 or beyond the rasteriser's limit.
pub fn demo_driving(size: usize, frames: usize) -> Result<impl Iterator<Item = Result<(Frame, Fit)>>> {
    let mut renderer = Renderer::new(Appearance::driving())?.with_clear_wall();
    Ok((0..frames).map(move |i| {
        let moment = Moment::at(i as f32 / DEMO_FPS);
        let fit = fit(renderer.prepared(), driving_shape(), moment.expr.to_vec(), moment.pose, moment.sway, size)?;
        Ok((renderer.render(&fit, size, size)?, fit))
    }))
}

/// The reference's identity: an oval face with large eyes and full lips.
pub fn reference_shape() -> Vec<f32> {
    shape(&[
        (0, -0.5),
        (3, -0.9),
        (7, -0.8),
        (9, 0.6),
        (10, 0.2),
        (12, -0.7),
        (17, -0.8),
        (18, 0.7),
        (22, 2.2),
        (23, 1.2),
        (24, 0.7),
        (26, 0.2),
        (27, -0.6),
        (28, -0.8),
        (31, -0.6),
        (32, 0.5),
        (34, -0.2),
        (36, 1.0),
        (37, 0.9),
    ])
}

/// The driver's identity: a longer, broader head with a strong jaw.
pub fn driving_shape() -> Vec<f32> {
    shape(&[
        (0, 0.1),
        (1, 0.6),
        (3, 0.3),
        (6, 0.5),
        (7, 0.8),
        (8, 0.6),
        (10, -0.9),
        (12, 0.5),
        (17, 1.0),
        (18, -0.5),
        (22, 1.0),
        (25, 0.5),
        (27, 0.7),
        (28, 0.9),
        (30, 0.5),
        (31, 0.7),
        (33, 0.7),
        (34, 0.8),
        (36, -0.2),
        (39, 0.8),
    ])
}

fn shape(set: &[(usize, f32)]) -> Vec<f32> {
    let mut out = vec![0.0; SHAPE_DIM];
    for &(k, v) in set {
        out[k] = v;
    }
    out
}

/// What the driver does at a time.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// The head's pose, degrees.
    pub pose: Euler,
    /// Coefficients in the order of [`ExpressionMode`].
    pub expr: [f32; EXPR_DIM],
    /// How far the neck is from its place, share of the picture.
    pub sway: [f32; 2],
}

impl Moment {
    /// The script at `t` seconds.
    pub fn at(t: f32) -> Moment {
        let wave = |period: f32, phase: f32| (std::f32::consts::TAU * (t / period + phase)).sin();
        let start = smooth(0.0, 0.8, t);
        let pose = Euler {
            yaw: start * (17.0 * wave(5.2, 0.0) + 8.0 * wave(2.3, 0.1)),
            pitch: start * (6.0 * wave(3.7, 0.15) + 2.5 * wave(1.7, 0.4)),
            roll: start * (6.0 * wave(4.3, 0.3) + 2.0 * wave(1.9, 0.0)),
        };
        let mut expr = [0.0; EXPR_DIM];
        let speech = Speech::at(t);
        expr[ExpressionMode::JawOpen as usize] = -0.13 + 0.80 * speech.open;
        expr[ExpressionMode::Pucker as usize] = 0.75 * speech.round;
        expr[ExpressionMode::Wide as usize] = 0.5 * speech.spread;
        let phrase = t.rem_euclid(6.0);
        expr[ExpressionMode::Smile as usize] = 0.8 * window(phrase, 3.4, 5.2, 0.4);
        expr[ExpressionMode::BrowRaise as usize] = 0.9 * window(t.rem_euclid(4.4), 1.4, 2.3, 0.25);
        expr[ExpressionMode::BrowLower as usize] = 0.6 * window(t.rem_euclid(7.4), 5.6, 6.6, 0.3);
        expr[ExpressionMode::MouthSide as usize] = 0.25 * window(phrase, 2.6, 3.3, 0.3);
        // A blink takes a quarter of a second: closing is faster than opening.
        let since = (t + 1.7).rem_euclid(2.6);
        let blink = smooth(0.0, 0.08, since) * smooth(0.26, 0.12, since);
        expr[ExpressionMode::BlinkLeft as usize] = blink;
        expr[ExpressionMode::BlinkRight as usize] = blink;
        Moment { pose, expr, sway: [0.012 * wave(4.9, 0.2), 0.006 * wave(3.1, 0.6)] }
    }
}

/// The mouth's part of speech, 0..1 each.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speech {
    /// The jaw.
    pub open: f32,
    /// Lips narrow and forward.
    pub round: f32,
    /// Corners of the mouth apart.
    pub spread: f32,
}

impl Speech {
    /// Syllables at `t` seconds: 3.4 a second, with a pause after each phrase.
    pub fn at(t: f32) -> Speech {
        let beat = 3.4 * t;
        let (index, phase) = (beat.floor(), beat - beat.floor());
        let pick = |salt: f32| super::noise::noise([index * 1.7 + 0.5, salt, 0.5]);
        let swell = (std::f32::consts::PI * phase).sin().powi(2);
        let talking = window(t.rem_euclid(3.0), 0.15, 2.35, 0.2);
        let vowel = pick(3.5);
        Speech {
            open: talking * swell * (0.35 + 0.65 * pick(7.5)),
            round: talking * swell * smooth(0.60, 0.75, vowel),
            spread: talking * swell * smooth(0.40, 0.25, vowel),
        }
    }
}

/// The fit of a head in the middle of a square picture; the crop is the one that its own landmarks give.
fn fit(
    prepared: &PreparedMorphable,
    shape: Vec<f32>,
    expr: Vec<f32>,
    pose: Euler,
    sway: [f32; 2],
    size: usize,
) -> Result<Fit> {
    let side = size.max(1) as f32;
    let scale = side / FIELD;
    // The neck stays where it is: it stands this far below the picture's middle.
    let place = [side * (0.5 + sway[0]) - 0.5, side * (0.745 + sway[1]) - 0.5];
    let mut camera = ImageCamera::new(scale, pose.rotation(), [0.0; 3]);
    let m = camera.matrix();
    let neck = NECK.map(|v| v * 1000.0);
    let at = |r: usize| (m[4 * r] * neck[0] + m[4 * r + 1] * neck[1] + m[4 * r + 2] * neck[2]) as f32;
    camera.translation = [place[0] - at(0), place[1] - at(1), 0.0];
    let whole = Rect { x0: 0.0, y0: 0.0, x1: side, y1: side };
    let mut fit = Fit { params: Params { camera: camera.to_fit_camera(&whole)?, shape, expr }, roi: whole };
    let landmarks = prepared.landmarks68(&fit)?;
    fit.roi = roi::from_landmarks(&landmarks).unwrap_or(whole);
    fit.params.camera = camera.to_fit_camera(&fit.roi)?;
    Ok(fit)
}

/// 0 outside of `from..to`, 1 inside, with soft flanks of length `soft` within.
fn window(t: f32, from: f32, to: f32, soft: f32) -> f32 {
    smooth(from, from + soft, t) * smooth(to, to - soft, t)
}

fn smooth(a: f32, b: f32, x: f32) -> f32 {
    let t = ((x - a) / (b - a)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::synthetic::head;

    #[test]
    fn the_script_covers_what_it_promises() {
        let moments: Vec<Moment> = (0..200).map(|i| Moment::at(i as f32 / DEMO_FPS)).collect();
        let most = |f: &dyn Fn(&Moment) -> f32| moments.iter().map(f).fold(f32::NEG_INFINITY, f32::max);
        let yaw = most(&|m| m.pose.yaw.abs());
        assert!((20.0..=25.0).contains(&yaw), "{yaw}");
        assert!(most(&|m| m.pose.pitch.abs()) < 15.0 && most(&|m| m.pose.roll.abs()) < 15.0);
        for (e, least) in [
            (ExpressionMode::JawOpen, 0.35),
            (ExpressionMode::Smile, 0.7),
            (ExpressionMode::Pucker, 0.3),
            (ExpressionMode::Wide, 0.2),
            (ExpressionMode::BrowRaise, 0.8),
            (ExpressionMode::BlinkLeft, 0.9),
            (ExpressionMode::BlinkRight, 0.9),
        ] {
            assert!(most(&|m| m.expr[e as usize]) > least, "{e:?}: {}", most(&|m| m.expr[e as usize]));
        }
        // Smooth: no jumps between frames. It begins with the face to the camera.
        for w in moments.windows(2) {
            assert!((w[1].pose.yaw - w[0].pose.yaw).abs() < 3.0);
            assert!((w[1].expr[0] - w[0].expr[0]).abs() < 0.35);
        }
        assert_eq!(moments[0].pose, Euler::default());
    }

    #[test]
    fn fits_tell_the_pose_and_lie_in_the_picture() {
        let prepared = PreparedMorphable::new(head()).unwrap();
        for (i, item) in demo_driving(64, 60).unwrap().enumerate().step_by(11) {
            let (frame, fit) = item.unwrap();
            assert_eq!((frame.width, frame.height), (64, 64));
            let want = Moment::at(i as f32 / DEMO_FPS).pose;
            let pose = Euler::from_camera(&fit.params.camera);
            assert!((pose.yaw - want.yaw).abs() < 0.05 && (pose.pitch - want.pitch).abs() < 0.05, "{pose:?} {want:?}");
            let landmarks = prepared.landmarks68(&fit).unwrap();
            assert!(landmarks.iter().all(|p| p[0] > 5.0 && p[1] > 5.0 && p[0] < 59.0 && p[1] < 59.0));
            let again = roi::from_landmarks(&landmarks).unwrap();
            assert!((again.x0 - fit.roi.x0).abs() < 0.01 && (again.y1 - fit.roi.y1).abs() < 0.01);
            // The scale is that of a camera on a 120 pixel crop of a real head.
            assert!(
                (3e-4..7e-4).contains(&fit.params.camera[0].hypot(fit.params.camera[2])),
                "{:?}",
                fit.params.camera
            );
        }
    }

    #[test]
    fn it_repeats() {
        let run = || demo_driving(48, 3).unwrap().map(|r| r.unwrap()).collect::<Vec<_>>();
        let frames = run();
        assert_eq!(frames.len(), 3);
        assert!(frames == run());
        assert!(frames[0].0 != frames[2].0);
        assert!(matches!(demo_reference(0), Err(Error::Usage(_))));
    }
}
