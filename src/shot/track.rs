//! A motion made ready to drive a reference: gaps bridged, outliers repaired, smoothed, with its statistics.

use super::Head;
use super::motion::{Motion, MotionFrame};
use super::smooth::{Stabilise, smooth};
use crate::morphable::ImageCamera;
use crate::morphable::retarget::{FramePose, ShotStats};
use crate::{Error, Result};
use nalgebra::UnitQuaternion;

/// Which expression counts as the driver's face at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub enum NeutralFrame {
    /// The median of each coefficient over the shot.
    #[default]
    Automatic,
    /// The mean of each coefficient over the shot.
    Average,
    /// That of the frame with this number.
    Frame(usize),
}

/// How a motion becomes a track.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct TrackSettings {
    /// How much is smoothed.
    pub stabilise: Stabilise,
    /// Where the face is at rest.
    pub neutral: NeutralFrame,
}

/// How a frame's pose was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Fitted.
    Seen,
    /// No face was seen; made up from the frames around.
    Gap,
    /// The fit leapt away for this one frame; made up from its neighbours.
    Outlier,
}

/// The poses of a shot without gaps, and what retargeting wants to know of it.
#[derive(Debug, Clone)]
pub struct Track {
    /// Number of the first frame.
    pub first: usize,
    /// Smoothed poses: what drives.
    pub poses: Vec<FramePose>,
    /// The poses before smoothing, gaps bridged and outliers repaired.
    pub raw: Vec<FramePose>,
    /// 0 where the pose is made up from its neighbours.
    pub confidence: Vec<f32>,
    /// Where each pose comes from.
    pub marks: Vec<Mark>,
    /// Identity coefficients; empty where the motion came without.
    pub shape: Vec<f32>,
    /// What retargeting knows of the shot.
    pub stats: ShotStats,
}

impl Track {
    /// `head` is that of the model that the motion was fitted with.
    ///
    /// # Errors
    /// [`Error::NoFace`] when no frame shows a face; [`Error::Usage`] when the neutral frame lies outside the shot.
    pub fn new(motion: &Motion, head: &Head, settings: &TrackSettings) -> Result<Track> {
        let mut known: Vec<Option<FramePose>> = motion.frames.iter().map(|f| f.as_ref().and_then(pose)).collect();
        let mut marks: Vec<Mark> = known.iter().map(|p| if p.is_some() { Mark::Seen } else { Mark::Gap }).collect();
        let mut confidence: Vec<f32> = motion.frames.iter().map(|f| f.as_ref().map_or(0.0, |f| f.confidence)).collect();
        for (i, repaired) in outliers(&known, head) {
            known[i] = Some(repaired);
            marks[i] = Mark::Outlier;
        }
        for (c, mark) in confidence.iter_mut().zip(&marks) {
            if *mark != Mark::Seen {
                *c = 0.0;
            }
        }
        let raw = bridge(&known)?;
        let poses = smooth(&raw, &confidence, &settings.stabilise);
        let mut stats = ShotStats::new(&poses)?;
        match settings.neutral {
            NeutralFrame::Automatic => {}
            NeutralFrame::Average => {
                for (k, e) in stats.neutral_expr.iter_mut().enumerate() {
                    *e = (poses.iter().map(|p| f64::from(p.expr[k])).sum::<f64>() / poses.len() as f64) as f32;
                }
            }
            NeutralFrame::Frame(number) => {
                let at = number.checked_sub(motion.first).and_then(|i| poses.get(i));
                let outside = || {
                    let last = motion.first + poses.len() - 1;
                    Error::usage(format!(
                        "neutral_frame is {number}, the driving clip has frames {} to {last}: choose one of them",
                        motion.first
                    ))
                };
                stats.neutral_expr = at.ok_or_else(outside)?.expr.clone();
            }
        }
        let shape = motion.identity.clone().unwrap_or_default();
        Ok(Track { first: motion.first, poses, raw, confidence, marks, shape, stats })
    }

    /// Frames with this mark, by number.
    pub fn marked(&self, mark: Mark) -> Vec<usize> {
        (self.first..).zip(&self.marks).filter(|(_, m)| **m == mark).map(|(n, _)| n).collect()
    }
}

/// The pose of a fitted frame; `None` where its camera is degenerate.
fn pose(frame: &MotionFrame) -> Option<FramePose> {
    let camera = ImageCamera::from_matrix(&frame.camera.map(f64::from)).ok()?;
    Some(FramePose { camera, expr: frame.expr.clone() })
}

/// Fills gaps from their neighbours; the ends are held.
fn bridge(poses: &[Option<FramePose>]) -> Result<Vec<FramePose>> {
    let known = poses.iter().enumerate().filter_map(|(i, p)| Some((i, p.as_ref()?)));
    let known: Vec<(usize, &FramePose)> = known.collect();
    if known.is_empty() {
        return Err(Error::NoFace("the shot shows no face: use a clip that shows one".into()));
    }
    let fill = |i: usize| {
        let after = known.partition_point(|(k, _)| *k < i);
        match (after.checked_sub(1).map(|b| known[b]), known.get(after).copied()) {
            (_, Some((k, pose))) if k == i => pose.clone(),
            (Some((a, from)), Some((b, to))) => between(from, to, (i - a) as f32 / (b - a) as f32),
            (Some((_, pose)), None) | (None, Some((_, pose))) => pose.clone(),
            // Not reached: something is known.
            (None, None) => known[0].1.clone(),
        }
    };
    Ok((0..poses.len()).map(fill).collect())
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
    out.camera.shear = a.camera.shear.zip_map(&b.camera.shear, mix);
    for (o, (&x, &y)) in out.camera.translation.iter_mut().zip(a.camera.translation.iter().zip(&b.camera.translation)) {
        *o = mix(x, y);
    }
    for (o, (&x, &y)) in out.expr.iter_mut().zip(a.expr.iter().zip(&b.expr)) {
        *o = mix(x, y);
    }
    out
}

/// Degrees, share of the size, and share of the head that count alike in the distance of two poses: as much as a head can do
/// in one frame.
const ANGLE: f32 = 8.0;
const SIZE: f32 = 0.08;
const SHIFT: f32 = 0.06;
/// A frame leaps where it is so many times further from its neighbours' middle than they are from each other.
const LEAP: f32 = 3.0;
/// And so many times further than is usual around it, in frames to both sides.
const UNUSUAL: f32 = 6.0;
const AROUND: usize = 12;

/// How far two poses are apart; 1 is as much as a head can do in one frame.
fn apart(a: &FramePose, b: &FramePose, head: &Head) -> f32 {
    let angle = a.camera.rotation.rotation_to(&b.camera.rotation).angle().to_degrees() / ANGLE;
    let size = (a.camera.scale / b.camera.scale).ln() / SIZE;
    let [ax, ay] = place(a, head);
    let [bx, by] = place(b, head);
    let shift = (ax - bx).hypot(ay - by) / (SHIFT * head.extent * a.camera.scale.max(b.camera.scale));
    (angle * angle + size * size + shift * shift).sqrt()
}

/// Where the head's middle appears, pixels.
fn place(pose: &FramePose, head: &Head) -> [f32; 2] {
    pose.camera.project(head.centre)
}

/// Frames whose pose leaps away from both neighbours', with what they are repaired to. Where it is that of the frames beyond both
/// neighbours, the neighbours are those that leapt.
fn outliers(poses: &[Option<FramePose>], head: &Head) -> Vec<(usize, FramePose)> {
    let middle = |i: usize| match (poses.get(i.wrapping_sub(1)), &poses[i], poses.get(i + 1)) {
        (Some(Some(before)), Some(now), Some(Some(after))) => {
            let middle = between(before, after, 0.5);
            Some((apart(now, &middle, head), apart(before, after, head), middle))
        }
        _ => None,
    };
    let all: Vec<Option<(f32, f32, FramePose)>> = (0..poses.len()).map(middle).collect();
    let mut out = Vec::new();
    for (i, item) in all.iter().enumerate() {
        let Some((leap, spread, repaired)) = item else { continue };
        if *leap <= 1.0 || *leap <= LEAP * spread {
            continue;
        }
        let agrees = |k: Option<usize>| match (&poses[i], k.and_then(|k| poses.get(k))) {
            (Some(now), Some(Some(then))) => apart(now, then, head) < 0.5 * leap,
            _ => false,
        };
        if agrees(i.checked_sub(2)) && agrees(i.checked_add(2)) {
            continue;
        }
        let around = i.saturating_sub(AROUND)..(i + AROUND + 1).min(all.len());
        let mut usual: Vec<f32> = all[around].iter().flatten().map(|(leap, ..)| *leap).collect();
        usual.sort_by(f32::total_cmp);
        if *leap > UNUSUAL * usual[usual.len() / 2] {
            out.push((i, repaired.clone()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::Euler;
    use crate::testing::Rng;

    const HEAD: Head = Head { centre: [0.0; 3], extent: 180_000.0 };

    fn frame(x: f32, yaw: f32, smile: f32) -> Option<MotionFrame> {
        let rotation = Euler { yaw, pitch: 0.0, roll: 0.0 }.rotation();
        let camera = ImageCamera::new(1e-3, rotation, [x, 50.0, 0.0]).matrix().map(|v| v as f32);
        Some(MotionFrame { camera, expr: vec![smile], confidence: 1.0 })
    }

    fn motion(frames: Vec<Option<MotionFrame>>) -> Motion {
        let identity = Some(vec![1.0, 2.0]);
        Motion { first: 3, size: (120, 120), fps: None, model: String::new(), frames, identity }
    }

    fn track(frames: Vec<Option<MotionFrame>>) -> Result<Track> {
        Track::new(&motion(frames), &HEAD, &TrackSettings::default())
    }

    #[test]
    fn gaps_are_bridged_and_ends_held() {
        let track = track(vec![None, frame(10.0, 0.0, 0.0), None, None, None, frame(50.0, 20.0, 4.0), None]).unwrap();
        assert_eq!(track.marked(Mark::Gap), [3, 5, 6, 7, 9]);
        let x: Vec<f32> = track.poses.iter().map(|p| p.camera.translation[0].round()).collect();
        assert_eq!(x, [10.0, 10.0, 20.0, 30.0, 40.0, 50.0, 50.0]);
        assert!((track.poses[3].camera.euler().yaw - 10.0).abs() < 0.05);
        assert!((track.poses[2].expr[0] - 1.0).abs() < 1e-5);
        assert_eq!(track.shape, [1.0, 2.0]);
        assert!(matches!(super::tests::track(vec![None, None]), Err(Error::NoFace(_))));
    }

    #[test]
    fn a_leap_of_one_frame_is_repaired_and_quick_motion_is_not() {
        let mut rng = Rng(8);
        let mut steady =
            |i: usize| frame(100.0 + i as f32 + 0.3 * rng.signed(), 0.5 * i as f32 + 0.3 * rng.signed(), 0.0);
        let mut frames: Vec<_> = (0..40).map(&mut steady).collect();
        assert!(track(frames.clone()).unwrap().marked(Mark::Outlier).is_empty());
        frames[20] = frame(120.0, 40.0, 9.0);
        frames[31] = frame(150.0, 15.5, 0.0);
        let repaired = track(frames.clone()).unwrap();
        assert_eq!(repaired.marked(Mark::Outlier), [23, 34]);
        assert!((repaired.poses[20].camera.euler().yaw - 10.0).abs() < 1.0 && repaired.poses[20].expr[0] == 0.0);
        assert_eq!((repaired.confidence[20], repaired.confidence[21]), (0.0, 1.0));
        // Two leaps to one place, one good frame between them.
        frames[22] = frames[20].clone();
        let repaired = track(frames).unwrap();
        assert_eq!(repaired.marked(Mark::Outlier), [23, 25, 34]);
        assert!(repaired.poses[19..24].iter().all(|p| p.camera.euler().yaw < 13.0));
        // A head that turns in two frames and stays: both are real.
        let turned: Vec<_> = (0..40).map(|i| frame(100.0, if i < 20 { 0.0 } else { 30.0 }, 0.0)).collect();
        assert!(track(turned).unwrap().marked(Mark::Outlier).is_empty());
        // A nod that takes three frames down and three up.
        let nod = [0.0, 8.0, 16.0, 22.0, 16.0, 8.0, 0.0];
        let nods: Vec<_> = (0..42).map(|i| frame(100.0, nod[i % 7], 0.0)).collect();
        assert!(track(nods).unwrap().marked(Mark::Outlier).is_empty());
    }

    #[test]
    fn the_neutral_face_is_as_told() {
        let smiles = [0.0, 0.0, 0.0, 10.0, 2.0];
        let motion = motion(smiles.iter().map(|s| frame(0.0, 0.0, *s)).collect());
        let neutral = |neutral| {
            let settings = TrackSettings { neutral, ..TrackSettings::default() };
            Track::new(&motion, &HEAD, &settings).map(|t| t.stats.neutral_expr[0])
        };
        assert_eq!(neutral(NeutralFrame::Automatic).unwrap(), 0.0);
        assert!((neutral(NeutralFrame::Average).unwrap() - 2.4).abs() < 1e-6);
        assert_eq!(neutral(NeutralFrame::Frame(7)).unwrap(), 2.0);
        let e = neutral(NeutralFrame::Frame(2)).unwrap_err();
        assert!(matches!(&e, Error::Usage(t) if t.contains("frames 3 to 7")), "{e}");
    }

    #[test]
    fn smoothing_leaves_the_raw_poses() {
        let mut rng = Rng(2);
        let frames = (0..30).map(|_| frame(100.0 + rng.signed(), rng.signed(), rng.signed())).collect();
        let stabilise = Stabilise { size: 2.0, rotation: 2.0, position: 2.0, expression: 2.0 };
        let motion = motion(frames);
        let off = Track::new(&motion, &HEAD, &TrackSettings::default()).unwrap();
        let on = Track::new(&motion, &HEAD, &TrackSettings { stabilise, ..TrackSettings::default() }).unwrap();
        assert_eq!(off.poses, off.raw);
        assert_eq!(on.raw, off.raw);
        assert!(on.poses.iter().zip(&off.poses).all(|(a, b)| a != b));
    }
}
