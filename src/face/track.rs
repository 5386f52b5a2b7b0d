//! One face through a shot, frame by frame.
//!
//! The crop of a frame comes from the landmarks of the frame before, so the detector runs only now and then: at the
//! start, every few frames as a check, and whenever the fit looks doubtful. The face that was chosen at the start is
//! kept: where the other faces are is remembered, and a face that is found again after a loss must be near the place
//! where it was lost, must not be one of the others, and, given an identity network, must be the same person.
//!
//! All that is known about a shot is in [`State`]; a [`Tracker`] holds no memory, so one serves many shots.
//!
//! **Confidence.** `score * agreement * plausibility`, each 0..1:
//!  - score: the detector's, of the last detection that confirmed the face; times 0.7 for each check since then that
//!    found nothing there;
//!  - agreement: `exp(-(d / 0.05)^2)`, where d is the mean distance between the 68 landmarks regressed from the crop
//!    and those regressed from the same crop moved by a twenty-fifth of its side, in sides of the landmarks' box: on a
//!    face the landmarks stay put, elsewhere they move with the crop;
//!  - plausibility: `exp(-(ln(r / 0.7) / 0.6)^2)`, where r is the side of the landmarks' box over the crop's side
//!    (about 0.7 on faces); times the share of landmarks inside the picture; times
//!    `exp(-(ln(sx / sy) / 0.5)^2)`, where sx and sy are the lengths of the camera's first two rows, which are equal
//!    for an undistorted face.

use super::align::five_of_68;
use super::choose::Choice;
use super::identity::Identity;
use super::{Detection, Rect, roi};
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::morphable::{Fit, Prepared};

/// What finds faces ([`Detector`](super::detector::Detector)).
pub trait FindFaces {
    /// The faces of a picture, best first.
    ///
    /// # Errors
    /// A picture or an engine that cannot be used.
    fn find(&self, image: &Frame) -> Result<Vec<Detection>>;
}

/// What fits the morphable model ([`Regressor`](super::regress::Regressor)).
pub trait FitFace {
    /// The parameters of the face inside `roi`.
    ///
    /// # Errors
    /// A crop that holds nothing, or an engine that cannot be used.
    fn fit(&self, image: &Frame, roi: &Rect) -> Result<Fit>;
}

/// What turns parameters into points (the morphable model).
pub trait FaceModel {
    /// The 68 iBUG landmarks in image coordinates.
    ///
    /// # Errors
    /// Parameters that do not belong to the model.
    fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]>;
    /// The bounding box of the projected mesh, in image coordinates.
    ///
    /// # Errors
    /// Parameters that do not belong to the model.
    fn mesh_box(&self, fit: &Fit) -> Result<Rect>;
}

impl FaceModel for Prepared {
    fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]> {
        Prepared::landmarks68(self, fit)
    }

    fn mesh_box(&self, fit: &Fit) -> Result<Rect> {
        let mesh = self.mesh(fit)?;
        roi::bounds(&mesh.vertices).ok_or_else(|| Error::NoFace("the fitted mesh is degenerate".into()))
    }
}

/// What tells people apart ([`Embedder`](super::identity::Embedder)).
pub trait KnowFace {
    /// The identity of the face with these five landmarks.
    ///
    /// # Errors
    /// Points that span no face, or an engine that cannot be used.
    fn identity(&self, image: &Frame, points: &[[f32; 2]; 5]) -> Result<Identity>;
}

/// What a tracker goes by.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which face to follow.
    pub choice: Choice,
    /// The detector checks every so many frames; 1 is every frame.
    pub detect_every: usize,
    /// Least intersection over union of the projected mesh's box and the detection that confirms it.
    pub min_overlap: f32,
    /// Fits below this confidence are checked with the detector, and given up when it finds nothing there.
    pub min_confidence: f32,
    /// Landmark boxes with a shorter side, in pixels, are doubtful.
    pub min_side: f32,
    /// So many checks in a row may find nothing while the fit itself looks well (profiles, hands).
    pub patience: usize,
    /// Cosine from which two faces count as the same person's, when one is found again after a loss (within 75 real
    /// clips the least was 0.43 and 95 % lay above 0.7; of pairs of clips 95 % lay below 0.26).
    pub same_person: f32,
    /// Whether to regress a second, shifted crop per frame for the confidence; without it, agreement counts as 1.
    pub verify: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            choice: Choice::Largest,
            detect_every: 10,
            min_overlap: 0.35,
            min_confidence: 0.3,
            min_side: 24.0,
            patience: 2,
            same_person: 0.35,
            verify: true,
        }
    }
}

/// How a frame's face was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first face of the shot.
    Found,
    /// Cropped by the landmarks of the frame before.
    Followed,
    /// Cropped anew from a detection, since the landmarks had drifted or were in doubt.
    Corrected,
    /// Found again after frames without it.
    Returned,
}

/// What the confidence of a frame is made of, each 0..1; see the module's text.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Quality {
    pub score: f32,
    pub agreement: f32,
    pub plausibility: f32,
}

impl Quality {
    /// The product of the three.
    pub fn confidence(&self) -> f32 {
        (self.score * self.agreement * self.plausibility).clamp(0.0, 1.0)
    }
}

/// The face of one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Tracked {
    pub fit: Fit,
    pub landmarks68: [[f32; 3]; 68],
    /// The last detection that confirmed the face (of this frame or of one before).
    pub detection: Detection,
    pub quality: Quality,
    pub event: Event,
}

impl Tracked {
    /// 0..1, see the module's text.
    pub fn confidence(&self) -> f32 {
        self.quality.confidence()
    }
}

/// What is known about a shot so far. Start with `State::default()`; feed it frames in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// The face as last seen.
    last: Option<Tracked>,
    /// Frames without the face since then.
    lost: usize,
    /// Frames since the detector ran.
    since_detection: usize,
    /// Checks in a row that found nothing where the face is.
    unconfirmed: usize,
    /// Where other people's faces were when the detector last saw them.
    others: Vec<Other>,
    /// Who is followed, if an identity network is there.
    identity: Option<Identity>,
}

/// A face that is not the one followed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Other {
    rect: Rect,
    /// Runs of the detector since it was seen.
    age: usize,
}

impl State {
    /// Frames without the face up to now; 0 while it is in view.
    pub fn lost_frames(&self) -> usize {
        self.lost
    }
}

/// A tracker; see the module's text.
#[derive(Clone)]
pub struct Tracker<'a> {
    pub detector: &'a dyn FindFaces,
    pub regressor: &'a dyn FitFace,
    pub model: &'a dyn FaceModel,
    /// Makes sure that a face that returns is the same person's.
    pub identity: Option<&'a dyn KnowFace>,
    pub settings: Settings,
}

/// Runs of the detector after which another person who is no longer seen is forgotten.
const FORGET_OTHERS: usize = 50;
/// Runs of the detector for which another person's place counts as known.
const FRESH: usize = 3;
/// How far a face may move between two looks at it, in sides of its box.
const REACH: f32 = 1.0;
/// By how much that grows with every frame that it is lost.
const REACH_GROWTH: f32 = 0.1;
/// How much larger or smaller a face may become between two looks at it.
const SIZE_CHANGE: f32 = 1.8;

impl Tracker<'_> {
    /// The face in the shot's next frame; `None` when it is not in view (or, at the start, when there is none).
    ///
    /// # Errors
    /// Those of the detector and of the networks; a frame without the face is none.
    pub fn step(&self, state: &mut State, image: &Frame) -> Result<Option<Tracked>> {
        let found = match state.last.clone() {
            None => self.start(state, image)?,
            Some(last) if state.lost > 0 => self.search(state, image, &last)?,
            Some(last) => match self.follow(state, image, &last)? {
                Some(face) => Some(face),
                None => {
                    state.unconfirmed = 0;
                    None
                }
            },
        };
        match &found {
            Some(face) => {
                state.last = Some(face.clone());
                state.lost = 0;
            }
            None if state.last.is_some() => state.lost += 1,
            None => {}
        }
        Ok(found)
    }

    /// The shot's first face.
    fn start(&self, state: &mut State, image: &Frame) -> Result<Option<Tracked>> {
        let mut faces = self.detector.find(image)?;
        let Some(i) = self.settings.choice.pick(&faces) else { return Ok(None) };
        let chosen = faces.remove(i);
        let Some(face) = self.fit_detection(image, chosen, Event::Found)? else { return Ok(None) };
        state.others = faces.into_iter().map(|d| Other { rect: d.rect, age: 0 }).collect();
        state.identity = self.identify(image, &face)?;
        state.since_detection = 0;
        state.unconfirmed = 0;
        Ok(Some(face))
    }

    /// The face of the frame after `last`.
    fn follow(&self, state: &mut State, image: &Frame, last: &Tracked) -> Result<Option<Tracked>> {
        let followed = match roi::from_landmarks(&last.landmarks68) {
            Some(crop) => self.fit_crop(image, &crop, &last.detection, last.quality.score, Event::Followed)?,
            None => None,
        };
        let followed = followed.filter(|f| self.looks_well(f, last));
        state.since_detection += 1;
        if followed.is_some() && state.since_detection < self.settings.detect_every.max(1) {
            return Ok(followed);
        }
        let mut faces = self.detector.find(image)?;
        state.since_detection = 0;
        // Where the face should be: by this frame's fit if it can be trusted, else by the last frame's.
        let expected = self.model.mesh_box(followed.as_ref().map_or(&last.fit, |f| &f.fit))?;
        let mine = nearest(&faces, &expected, &state.others, (REACH, SIZE_CHANGE), false).map(|i| faces.remove(i));
        // Without the face itself, a new one may be it, jumped: then nobody is noted as another person.
        remember(&mut state.others, &faces, mine.is_some());
        match (mine, followed) {
            (Some(seen), followed) => {
                state.unconfirmed = 0;
                match followed {
                    Some(mut face) if seen.rect.iou(&expected) >= self.settings.min_overlap => {
                        face.quality.score = seen.score;
                        face.detection = seen;
                        Ok(Some(face))
                    }
                    _ => self.fit_detection(image, seen, Event::Corrected),
                }
            }
            (None, Some(mut face)) if state.unconfirmed < self.settings.patience => {
                state.unconfirmed += 1;
                face.quality.score *= 0.7;
                Ok(Some(face))
            }
            (None, _) => Ok(None),
        }
    }

    /// The face in a frame after it was lost.
    fn search(&self, state: &mut State, image: &Frame, last: &Tracked) -> Result<Option<Tracked>> {
        let mut faces = self.detector.find(image)?;
        state.since_detection = 0;
        let expected = self.model.mesh_box(&last.fit)?;
        // Somebody who is known by face may come back from anywhere, others only where they can have got to.
        let known = state.identity.clone();
        let growth = 1.0 + REACH_GROWTH * state.lost as f32;
        let limits =
            if known.is_some() { (f32::INFINITY, f32::INFINITY) } else { (REACH * growth, SIZE_CHANGE * growth) };
        let mut found = None;
        let mut refused = Vec::new();
        while let Some(i) = nearest(&faces, &expected, &state.others, limits, true) {
            let candidate = faces.remove(i);
            if let Some(face) = self.fit_detection(image, candidate.clone(), Event::Returned)? {
                let same = match (&known, self.identify(image, &face)?) {
                    (Some(a), Some(b)) => a.similarity(&b) >= self.settings.same_person,
                    _ => true,
                };
                if same {
                    found = Some(face);
                    break;
                }
            }
            refused.push(candidate);
        }
        faces.append(&mut refused);
        // A face that cannot be placed is not noted as another person's: it may be the one that is searched for.
        remember(&mut state.others, &faces, found.is_some());
        Ok(found)
    }

    /// A fit from a detection: once from its box, then, as upstream does it for video, from the landmarks found there.
    fn fit_detection(&self, image: &Frame, seen: Detection, event: Event) -> Result<Option<Tracked>> {
        let Some(first) = present(self.regressor.fit(image, &roi::from_box(&seen.rect)))? else { return Ok(None) };
        let Some(crop) = roi::from_landmarks(&self.model.landmarks68(&first)?) else { return Ok(None) };
        self.fit_crop(image, &crop, &seen, seen.score, event)
    }

    /// A fit from a crop, with its quality; `None` when the crop holds nothing.
    fn fit_crop(
        &self,
        image: &Frame,
        crop: &Rect,
        seen: &Detection,
        score: f32,
        event: Event,
    ) -> Result<Option<Tracked>> {
        let Some(fit) = present(self.regressor.fit(image, crop))? else { return Ok(None) };
        let landmarks68 = self.model.landmarks68(&fit)?;
        let Some(bounds) = roi::bounds(&landmarks68) else { return Ok(None) };
        let agreement = if self.settings.verify { self.agreement(image, crop, &landmarks68, &bounds)? } else { 1.0 };
        let quality = Quality { score, agreement, plausibility: plausibility(image, &fit, &landmarks68, &bounds) };
        Ok(Some(Tracked { fit, landmarks68, detection: seen.clone(), quality, event }))
    }

    /// How well the landmarks stay put when the crop moves.
    fn agreement(&self, image: &Frame, crop: &Rect, landmarks: &[[f32; 3]; 68], bounds: &Rect) -> Result<f32> {
        let shift = crop.width() / 25.0;
        let moved = Rect { x0: crop.x0 + shift, y0: crop.y0 + shift, x1: crop.x1 + shift, y1: crop.y1 + shift };
        let Some(fit) = present(self.regressor.fit(image, &moved))? else { return Ok(0.0) };
        let other = self.model.landmarks68(&fit)?;
        let apart = |(a, b): (&[f32; 3], &[f32; 3])| (a[0] - b[0]).hypot(a[1] - b[1]);
        let mean = landmarks.iter().zip(&other).map(apart).sum::<f32>() / 68.0;
        Ok(bell(mean / bounds.width().max(bounds.height()).max(1e-6), 0.05))
    }

    /// Whether a fit that followed the last frame's can go without the detector.
    fn looks_well(&self, face: &Tracked, last: &Tracked) -> bool {
        let (Some(now), Some(before)) = (roi::bounds(&face.landmarks68), roi::bounds(&last.landmarks68)) else {
            return false;
        };
        now.width().min(now.height()) >= self.settings.min_side
            && face.confidence() >= self.settings.min_confidence
            && distance(&now, &before) <= 0.5
            && size_change(&now, &before) <= 1.5
    }

    fn identify(&self, image: &Frame, face: &Tracked) -> Result<Option<Identity>> {
        let points = face.detection.landmarks5.unwrap_or_else(|| five_of_68(&face.landmarks68));
        self.identity.map_or(Ok(None), |net| present(net.identity(image, &points)))
    }
}

/// "No face here" is an answer, other errors are errors.
fn present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoFace(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

/// The face nearest to `expected` that is within reach of it and is not somebody else's: nearer to where another person
/// was, or, where `expected` is `stale` and the others' places are not, what another person can have become.
fn nearest(
    faces: &[Detection],
    expected: &Rect,
    others: &[Other],
    (reach, change): (f32, f32),
    stale: bool,
) -> Option<usize> {
    let mut taken = vec![false; faces.len()];
    for other in others.iter().filter(|o| stale && o.age <= FRESH) {
        let near = |i: usize| distance(&faces[i].rect, &other.rect);
        let closest = (0..faces.len()).filter(|&i| !taken[i]).min_by(|&a, &b| near(a).total_cmp(&near(b)));
        if let Some(i) = closest.filter(|&i| near(i) <= 0.6 * REACH) {
            taken[i] = true;
        }
    }
    let free = |d: &Detection| {
        let mine = distance(&d.rect, expected);
        let somebody = others.iter().map(|o| distance(&d.rect, &o.rect)).fold(f32::INFINITY, f32::min);
        mine <= reach && size_change(&d.rect, expected) <= change && (somebody > REACH || mine <= somebody)
    };
    (0..faces.len())
        .filter(|&i| !taken[i] && free(&faces[i]))
        .min_by(|&a, &b| distance(&faces[a].rect, expected).total_cmp(&distance(&faces[b].rect, expected)))
}

/// Brings the places of other people's faces up to date with what the detector has just seen of them; `add` notes
/// faces that were not known.
fn remember(others: &mut Vec<Other>, faces: &[Detection], add: bool) {
    others.iter_mut().for_each(|o| o.age += 1);
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (i, other) in others.iter().enumerate() {
        pairs.extend(faces.iter().enumerate().map(|(k, face)| (distance(&face.rect, &other.rect), i, k)));
    }
    pairs.retain(|p| p.0 <= REACH);
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut new = vec![true; faces.len()];
    for (_, i, k) in pairs {
        if others[i].age > 0 && new[k] {
            others[i] = Other { rect: faces[k].rect, age: 0 };
            new[k] = false;
        }
    }
    if add {
        others.extend((0..faces.len()).filter(|&k| new[k]).map(|k| Other { rect: faces[k].rect, age: 0 }));
    }
    others.retain(|o| o.age <= FORGET_OTHERS);
}

fn side(r: &Rect) -> f32 {
    (0.5 * (r.width() + r.height())).max(1e-6)
}

/// Distance of the centres, in sides of `of`.
fn distance(r: &Rect, of: &Rect) -> f32 {
    let ([ax, ay], [bx, by]) = (r.center(), of.center());
    (ax - bx).hypot(ay - by) / side(of)
}

/// The larger side over the smaller one.
fn size_change(a: &Rect, b: &Rect) -> f32 {
    let ratio = side(a) / side(b);
    ratio.max(1.0 / ratio)
}

fn bell(x: f32, width: f32) -> f32 {
    (-(x / width).powi(2)).exp()
}

/// How much a fit looks like one of a face; see the module's text.
fn plausibility(image: &Frame, fit: &Fit, landmarks: &[[f32; 3]; 68], bounds: &Rect) -> f32 {
    let (w, h) = (image.width as f32, image.height as f32);
    let inside = |p: &&[f32; 3]| p[0] > -1.0 && p[1] > -1.0 && p[0] < w && p[1] < h;
    let share = landmarks.iter().filter(inside).count() as f32 / 68.0;
    let ratio = (bounds.width().max(bounds.height()) / fit.roi.width()).max(1e-6);
    let c = &fit.params.camera;
    let (sx, sy) = (c[0].hypot(c[1]).hypot(c[2]), c[4].hypot(c[5]).hypot(c[6]));
    let stretch = if sx > 0.0 && sy > 0.0 { bell((sx / sy).ln(), 0.5) } else { 0.0 };
    share * bell((ratio / 0.7).ln(), 0.6) * stretch
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::Params;
    use std::cell::{Cell, RefCell};

    /// A stage with faces on it: where each is (centre and side), whether the detector sees it, and who it is.
    #[derive(Clone, Copy)]
    struct Actor {
        center: [f32; 2],
        side: f32,
        visible: bool,
        who: usize,
    }

    fn actor(x: f32, y: f32, side: f32, who: usize) -> Actor {
        Actor { center: [x, y], side, visible: true, who }
    }

    impl Actor {
        fn rect(&self) -> Rect {
            let (r, [x, y]) = (self.side / 2.0, self.center);
            Rect { x0: x - r, y0: y - r, x1: x + r, y1: y + r }
        }
    }

    #[derive(Default)]
    struct Stage {
        actors: RefCell<Vec<Actor>>,
        detections: Cell<usize>,
        fits: Cell<usize>,
    }

    impl FindFaces for Stage {
        fn find(&self, _: &Frame) -> Result<Vec<Detection>> {
            self.detections.set(self.detections.get() + 1);
            let actors = self.actors.borrow();
            let seen = actors.iter().filter(|a| a.visible);
            Ok(seen.map(|a| Detection { rect: a.rect(), score: 0.99, landmarks5: None }).collect())
        }
    }

    /// Fits the actor nearest to the crop's middle if it fills a fair part of the crop; else the "face" moves with the
    /// crop, as a real regressor's does on background. The camera carries centre and side to the model below.
    impl FitFace for Stage {
        fn fit(&self, _: &Frame, roi: &Rect) -> Result<Fit> {
            self.fits.set(self.fits.get() + 1);
            let [x, y] = roi.center();
            let actors = self.actors.borrow();
            let away = |a: &&Actor| (a.center[0] - x).hypot(a.center[1] - y);
            let face = actors
                .iter()
                .filter(|a| away(a) < 0.4 * roi.width() && (0.3..1.0).contains(&(a.side / roi.width())))
                .min_by(|a, b| away(a).total_cmp(&away(b)));
            let (center, side) = match face {
                Some(a) => (a.center, a.side),
                None => ([x + 0.3 * roi.width(), y], 0.5 * roi.width()),
            };
            let camera = [1.0, 0.0, 0.0, center[0], 0.0, 1.0, 0.0, center[1], 0.0, 0.0, 1.0, side];
            Ok(Fit { params: Params { camera, shape: vec![], expr: vec![] }, roi: *roi })
        }
    }

    impl FaceModel for Stage {
        fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]> {
            let c = &fit.params.camera;
            let mut out = [[0.0; 3]; 68];
            for (i, p) in out.iter_mut().enumerate() {
                let t = i as f32 / 67.0 - 0.5;
                // Corner to corner, so that the bounding box is the face's.
                *p = [c[3] + c[11] * t, c[7] + c[11] * if i % 2 == 0 { t } else { -t }, 0.0];
            }
            Ok(out)
        }
        fn mesh_box(&self, fit: &Fit) -> Result<Rect> {
            let c = &fit.params.camera;
            Ok(actor(c[3], c[7], c[11], 0).rect())
        }
    }

    /// Knows everybody: each person has an axis of their own.
    impl KnowFace for Stage {
        fn identity(&self, _: &Frame, points: &[[f32; 2]; 5]) -> Result<Identity> {
            let actors = self.actors.borrow();
            let away = |a: &&Actor| (a.center[0] - points[2][0]).hypot(a.center[1] - points[2][1]);
            let who = actors.iter().min_by(|a, b| away(a).total_cmp(&away(b))).map_or(7, |a| a.who);
            Ok(Identity((0..8).map(|i| f32::from(u8::from(i == who))).collect()))
        }
    }

    struct Run<'a> {
        stage: &'a Stage,
        tracker: Tracker<'a>,
        state: State,
        image: Frame,
    }

    impl Run<'_> {
        fn new(stage: &Stage) -> Run<'_> {
            let tracker = Tracker {
                detector: stage,
                regressor: stage,
                model: stage,
                identity: None,
                settings: Settings::default(),
            };
            Run { stage, tracker, state: State::default(), image: Frame::new(640, 360) }
        }

        /// One frame with these faces on it; the centre that is followed, and how.
        fn frame(&mut self, actors: &[Actor]) -> Option<([f32; 2], Event)> {
            *self.stage.actors.borrow_mut() = actors.to_vec();
            let face = self.tracker.step(&mut self.state, &self.image).unwrap()?;
            Some(([face.fit.params.camera[3], face.fit.params.camera[7]], face.event))
        }
    }

    #[test]
    fn follows_a_moving_face_and_seldom_detects() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        for i in 0..41 {
            let at = [100.0 + 8.0 * i as f32, 150.0];
            let want = if i == 0 { Event::Found } else { Event::Followed };
            assert_eq!(run.frame(&[actor(at[0], at[1], 80.0, 0)]), Some((at, want)), "frame {i}");
        }
        // The first frame and every tenth.
        assert_eq!(stage.detections.get(), 5);
        let face = run.state.last.as_ref().unwrap();
        assert!(face.confidence() > 0.8, "{:?}", face.quality);
    }

    #[test]
    fn nothing_to_follow() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        assert_eq!(run.frame(&[]), None);
        assert_eq!(run.frame(&[]), None);
        assert_eq!(run.state.lost_frames(), 0);
        assert_eq!(run.frame(&[actor(50.0, 50.0, 60.0, 0)]), Some(([50.0, 50.0], Event::Found)));
    }

    #[test]
    fn loses_and_finds_again() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        for _ in 0..3 {
            run.frame(&[actor(200.0, 150.0, 80.0, 0)]);
        }
        for i in 1..=5 {
            assert_eq!(run.frame(&[]), None);
            assert_eq!(run.state.lost_frames(), i);
        }
        assert_eq!(run.frame(&[actor(230.0, 150.0, 80.0, 0)]), Some(([230.0, 150.0], Event::Returned)));
        assert_eq!(run.state.lost_frames(), 0);
        assert_eq!(run.frame(&[actor(235.0, 150.0, 80.0, 0)]).unwrap().1, Event::Followed);
    }

    #[test]
    fn a_jump_within_reach_is_corrected_at_once() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        run.frame(&[actor(200.0, 150.0, 80.0, 0)]);
        let before = stage.detections.get();
        // 70 pixels: beyond the old crop's face, within one side of it.
        assert_eq!(run.frame(&[actor(270.0, 150.0, 80.0, 0)]), Some(([270.0, 150.0], Event::Corrected)));
        assert_eq!(stage.detections.get(), before + 1);
    }

    #[test]
    fn a_far_jump_is_found_after_a_while() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        run.frame(&[actor(100.0, 150.0, 80.0, 0)]);
        let far = [actor(400.0, 150.0, 80.0, 0)];
        // 300 pixels are 3.75 sides: reached once the search has grown to that.
        let lost = (0..).take_while(|_| run.frame(&far).is_none()).count();
        assert!((25..35).contains(&lost), "{lost}");
        assert_eq!(run.frame(&far).unwrap().1, Event::Followed);
    }

    #[test]
    fn does_not_jump_to_another_person() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        let (mine, other) = (actor(200.0, 150.0, 100.0, 0), actor(400.0, 150.0, 80.0, 1));
        assert_eq!(run.frame(&[other, mine]).unwrap().0, mine.center);
        // Mine leaves; the other one stays, for far longer than it takes the search to reach her.
        for _ in 0..60 {
            assert_eq!(run.frame(&[other]), None);
        }
        // She wanders over to where mine was: still somebody else.
        for i in 0..25 {
            assert_eq!(run.frame(&[actor(400.0 - 8.0 * i as f32, 150.0, 80.0, 1)]), None, "step {i}");
        }
        // Mine comes back beside her.
        let (mine, other) = (actor(330.0, 150.0, 100.0, 0), actor(208.0, 150.0, 80.0, 1));
        assert_eq!(run.frame(&[other, mine]), Some((mine.center, Event::Returned)));
    }

    #[test]
    fn an_identity_network_refuses_newcomers() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        run.tracker.identity = Some(&stage);
        run.frame(&[actor(200.0, 150.0, 100.0, 0)]);
        // Somebody else appears where the face was lost.
        for _ in 0..40 {
            run.frame(&[]);
        }
        for _ in 0..5 {
            assert_eq!(run.frame(&[actor(210.0, 150.0, 100.0, 3)]), None);
        }
        // The right one comes back at the other end of the picture.
        let (stranger, mine) = (actor(210.0, 150.0, 100.0, 3), actor(560.0, 150.0, 100.0, 0));
        assert_eq!(run.frame(&[stranger, mine]), Some((mine.center, Event::Returned)));
    }

    #[test]
    fn patience_with_a_detector_that_misses() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        run.tracker.settings.detect_every = 1;
        let hidden = Actor { visible: false, ..actor(200.0, 150.0, 80.0, 0) };
        run.frame(&[actor(200.0, 150.0, 80.0, 0)]);
        let sure = run.state.last.as_ref().unwrap().confidence();
        assert_eq!(run.frame(&[hidden]).unwrap().1, Event::Followed);
        assert_eq!(run.frame(&[hidden]).unwrap().1, Event::Followed);
        let unsure = run.state.last.as_ref().unwrap().confidence();
        assert!((unsure / sure - 0.49).abs() < 1e-3, "{sure} {unsure}");
        assert_eq!(run.frame(&[hidden]), None);
        assert_eq!(run.frame(&[actor(200.0, 150.0, 80.0, 0)]).unwrap().1, Event::Returned);
    }

    #[test]
    fn the_choice_decides_at_the_start_only() {
        let stage = Stage::default();
        let mut run = Run::new(&stage);
        run.tracker.settings.choice = Choice::Index(1);
        let left = actor(100.0, 100.0, 60.0, 0);
        assert_eq!(run.frame(&[left]), None, "there is no second face yet");
        assert_eq!(run.frame(&[actor(300.0, 100.0, 60.0, 1), left]).unwrap().0, [300.0, 100.0]);
        // A third face in between makes the followed one number two from the left.
        let more = [left, actor(200.0, 100.0, 60.0, 2), actor(305.0, 100.0, 60.0, 1)];
        for _ in 0..25 {
            assert_eq!(run.frame(&more).unwrap().0, [305.0, 100.0]);
        }
    }

    #[test]
    fn same_frames_same_answers() {
        let stage = Stage::default();
        let (mut a, mut b) = (Run::new(&stage), Run::new(&stage));
        for i in 0..30 {
            let actors = [actor(100.0 + 9.0 * i as f32, 150.0, 80.0, 0)];
            assert_eq!(a.frame(&actors), b.frame(&actors));
            b.state = b.state.clone();
        }
        assert_eq!(a.state, b.state);
    }
}
