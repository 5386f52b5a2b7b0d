//! A mouth that follows a sound instead of the driver.

use super::lips::Lips;
use crate::audio::lips::LipCurves;
use crate::key::Key;
use crate::morphable::arkit::spoken::{OPENING, SPOKEN, at_rest};
use crate::morphable::{ArkitShape, Morphable};
use crate::shot::Track;
use crate::shot::audio::ShotLips;
use std::sync::Arc;

/// The largest value that a spoken shape comes to.
const MOST: f32 = 1.5;
/// Shapes that no sound tells of: they stay at rest.
const STILL: [ArkitShape; 5] = {
    use ArkitShape::*;
    [JawForward, JawLeft, JawRight, MouthLeft, MouthRight]
};

/// What lips do through a shot.
#[derive(Debug, Clone)]
pub struct LipInput {
    /// Through the sound.
    pub curves: Arc<LipCurves>,
    /// Stands for them.
    pub key: Key,
    /// The frame of the sound that belongs to the track's first.
    pub first: f64,
    /// Frames a second of the track.
    pub fps: f64,
}

impl LipInput {
    /// The lips of a sound whose frame `first`, of `fps` a second, belongs to the track's first.
    pub fn starting_at(lips: &ShotLips, first: f64, fps: f64) -> LipInput {
        LipInput { curves: lips.curves.clone(), key: lips.key, first, fps }
    }
}

/// The lips of a sound on the face of a track's driver.
#[derive(Debug, Clone)]
pub(super) struct Spoken {
    input: LipInput,
    lips: Lips,
    /// Columns of the expression, both sides of each of [`SPOKEN`], and where they are at rest.
    shapes: Vec<[(usize, f32); 2]>,
    still: Vec<(usize, f32)>,
}

impl Spoken {
    /// `None` for a model without ARKit's shapes. `lips` are those of the reference and of the track.
    pub fn new(input: LipInput, model: &Morphable, lips: Option<&Lips>, track: &Track) -> Option<Spoken> {
        let lips = lips?.clone();
        let column = |shape: ArkitShape| model.arkit.get(shape as usize).map(|c| *c as usize);
        let at = |columns: [usize; SPOKEN.len()]| {
            let frames = track.poses.iter();
            let frames: Vec<_> = frames.map(|p| columns.map(|c| p.expr.get(c).copied().unwrap_or_default())).collect();
            at_rest(&frames)
        };
        let sides = [0, 1].map(|side| SPOKEN.map(|pair| column(pair[side])));
        let mut shapes = vec![[(0, 0.0); 2]; SPOKEN.len()];
        for (side, columns) in sides.into_iter().enumerate() {
            let columns: Vec<usize> = columns.into_iter().collect::<Option<_>>()?;
            let columns: [usize; SPOKEN.len()] = columns.try_into().ok()?;
            for (k, (c, rest)) in columns.into_iter().zip(at(columns)).enumerate() {
                // A face that is never seen with closed lips says nothing of how they are then.
                let known = k >= OPENING || lips.driver_closes();
                shapes[k][side] = (c, if known { rest } else { 0.0 });
            }
        }
        let still: Option<Vec<usize>> = STILL.into_iter().map(column).collect();
        // The median: what lies behind those that part lips.
        let still = still?.into_iter().map(|c| (c, at([c; SPOKEN.len()])[OPENING])).collect();
        Some(Spoken { input, lips, shapes, still })
    }

    /// Gives an expression of the driver the mouth that is heard in frame `index`, `late` frames late, on the face of the reference, or, where
    /// the driver performs himself, his own. `shape` and `own` are the identities of the reference and of the driver.
    pub fn speak(&self, index: usize, late: f32, itself: bool, shape: &[f32], own: &[f32], expr: &mut [f32]) {
        let seconds = (self.input.first + index as f64 - f64::from(late)) / self.input.fps;
        let [gap, values @ ..] = self.input.curves.at(seconds);
        let mut set = |column: usize, value: f32| {
            if let Some(to) = expr.get_mut(column) {
                *to = value;
            }
        };
        self.still.iter().for_each(|(column, rest)| set(*column, *rest));
        for (sides, value) in self.shapes.iter().zip(values) {
            for (column, rest) in sides {
                set(*column, (rest + value).clamp(rest.min(0.0), MOST));
            }
        }
        self.lips.part(gap, itself, shape, own, expr);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::lips::Moment;
    use crate::morphable::arkit::LipOpening;
    use crate::morphable::retarget::{FramePose, ShotStats};
    use crate::morphable::{Euler, ImageCamera};
    use crate::shot::track::Mark;
    use crate::synthetic::{acting_head, head};
    use crate::weights::{Array, Weights};

    fn curves(moments: &[Moment]) -> Arc<LipCurves> {
        let mut arrays = Weights::default();
        arrays.insert("lips", Array::f32([moments.len(), 16], moments.as_flattened().to_vec()));
        Arc::new(LipCurves::from_arrays(&arrays).unwrap())
    }

    fn track(model: &Morphable, open: &[f32]) -> Track {
        let column = |s: ArkitShape| model.arkit[s as usize] as usize;
        let pose = |jaw: &f32| {
            let mut expr = vec![0.0; model.expr_dim];
            expr[column(ArkitShape::JawOpen)] = *jaw;
            expr[column(ArkitShape::MouthSmileLeft)] = 0.3;
            expr[column(ArkitShape::EyeBlinkLeft)] = *jaw;
            expr[column(ArkitShape::MouthLeft)] = *jaw;
            FramePose { camera: ImageCamera::new(1.0, Euler::default().rotation(), [0.0; 3]), expr }
        };
        let poses: Vec<FramePose> = open.iter().map(pose).collect();
        let stats = ShotStats::new(&poses).unwrap();
        let n = poses.len();
        let (confidence, marks) = (vec![1.0; n], vec![Mark::Seen; n]);
        Track { first: 0, raw: poses.clone(), poses, confidence, marks, shape: vec![0.0; model.shape_dim], stats }
    }

    #[test]
    fn the_gap_is_the_sounds_and_the_rest_the_drivers() {
        let model = acting_head();
        let track = track(&model, &[0.0, 0.5, 0.0, 0.2]);
        let shape = vec![0.0; model.shape_dim];
        let lips = Lips::new(&model, &shape, &track.poses[0].expr, &track).unwrap();
        let mut loud = [0.0; 16];
        (loud[0], loud[1], loud[12]) = (0.12, 0.4, 0.1);
        // 50 moments a second, 25 frames: the second frame is the third moment.
        let input =
            LipInput { curves: curves(&[[0.0; 16], loud, loud]), key: Key::new("k", &[]), first: 0.0, fps: 25.0 };
        let spoken = Spoken::new(input, &model, Some(&lips), &track).unwrap();
        let opening = LipOpening::new(&model).unwrap();
        let gap =
            |expr: &[f32]| (opening.height(&shape, expr) - opening.height(&shape, &[])) / opening.eye_distance(&shape);
        let column = |s: ArkitShape| model.arkit[s as usize] as usize;
        for (index, late, wanted) in [(0, 0.0, 0.0), (1, 0.0, 0.12), (1, 1.0, 0.0), (3, 0.0, 0.0), (0, -1.0, 0.12)] {
            for itself in [false, true] {
                let mut expr = track.poses[index].expr.clone();
                spoken.speak(index, late, itself, &shape, &shape, &mut expr);
                assert!((gap(&expr) - wanted).abs() < 2e-3, "{index} {late}: {} {wanted}", gap(&expr));
                let smile = if wanted > 0.0 { 0.4 } else { 0.3 };
                assert!((expr[column(ArkitShape::MouthSmileLeft)] - smile).abs() < 1e-5);
                let blink = column(ArkitShape::EyeBlinkLeft);
                assert_eq!(expr[blink], track.poses[index].expr[blink]);
                assert!((expr[column(ArkitShape::MouthLeft)] - 0.2).abs() < 0.21, "the median");
            }
        }
        let other = head();
        let input = LipInput { curves: curves(&[loud]), key: Key::new("k", &[]), first: 0.0, fps: 25.0 };
        assert!(Spoken::new(input, &other, None, &track).is_none());
    }
}
