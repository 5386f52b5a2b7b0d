//! All faces of one picture: found, fitted, and rated. Nothing here depends on other pictures, so that a shot's frames can
//! be observed in any order, by any number of threads and machines, and each only once (see [`crate::shot`]).
//!
//! **Five crops.** A fit is the mean of five: of the crop and of the same crop moved to its four corners. The regressor's noise
//! changes with the crop, so the mean shakes 1.3 to 1.85 times less from frame to frame than the crop's own fit (second difference of the
//! landmarks over three real clips), which no number of repetitions with a better placed crop achieves.
//!
//! **Confidence.** `score * agreement * plausibility`, each 0..1:
//!  - score: the detector's;
//!  - agreement: `exp(-(d / 0.05)^2)`, where d is the mean distance between the 68 landmarks regressed from the crop
//!    and those regressed from the same crop moved by a twenty-fifth of its side (to its four corners), in sides of the
//!    landmarks' box: on a face the landmarks stay put, elsewhere they move with the crop;
//!  - plausibility: `exp(-(ln(r / 0.7) / 0.6)^2)`, where r is the side of the landmarks' box over the crop's side
//!    (about 0.7 on faces); times the share of landmarks inside the picture; times
//!    `exp(-(ln(sx / sy) / 0.5)^2)`, where sx and sy are the lengths of the camera's first two rows, which are equal
//!    for an undistorted face.

use super::align::{five_of_68, five_of_dense};
use super::choose::Choice;
use super::dense::{DenseFace, Region};
use super::{Detection, roi};
use crate::error::{Error, Result};
use crate::face::embedding::FaceEmbedding;
use crate::face::traits::{FaceDetector, FaceEmbedder, FaceFitter, FaceModel, PointFitter};
use crate::frame::{Frame, Rect};
use crate::morphable::{Fit, ImageCamera, Params};

/// Faces smaller than this (the box's mean side, pixels) are not fitted.
pub const SMALLEST: f32 = 16.0;
/// By how much the crop is moved, in its sides.
const MOVE: f32 = 1.0 / 25.0;
/// Where no face is as certain, a slower detector is asked.
const SURE: f32 = 0.1;
/// What is less certain by this factor than another face of the picture, by its dense points, is none.
const NO_FACE: f32 = 0.1;
/// How many faces of a picture are fitted: the largest ones.
pub const MOST: usize = 16;

/// A face as the regressor sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fitted {
    /// Pose, identity and expression.
    pub fit: Fit,
    /// 0..1, see the module's text.
    pub agreement: f32,
    /// 0..1, see the module's text.
    pub plausibility: f32,
    /// Who it is, where an identity network is there.
    pub identity: Option<FaceEmbedding>,
    /// Its dense points, where they are what is fitted. The fit then knows its pose alone ([`Observer::complete`]).
    pub dense: Option<DenseFace>,
}

/// A face of a picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Where the face is.
    pub detection: Detection,
    /// `None` where the face is too small, or its crop holds nothing.
    pub fitted: Option<Fitted>,
}

impl Seen {
    /// 0..1, see the module's text; 0 for a face that is not fitted.
    pub fn confidence(&self) -> f32 {
        self.fitted.as_ref().map_or(0.0, |f| f.confidence(self.detection.score))
    }
}

impl Fitted {
    /// 0..1, see the module's text.
    pub fn confidence(&self, score: f32) -> f32 {
        (score * self.agreement * self.plausibility).clamp(0.0, 1.0)
    }
}

/// All faces of a picture, best first, as the detector orders them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// Best first.
    pub faces: Vec<Seen>,
}

impl Observation {
    /// Confidence of the face that is most certain; 0 without faces.
    fn best(&self) -> f32 {
        self.faces.iter().map(Seen::confidence).fold(0.0, f32::max)
    }

    /// The fitted face that `choice` picks.
    pub fn choose(mut self, choice: Choice) -> Option<Fitted> {
        self.faces.retain(|f| f.fitted.is_some());
        let detections: Vec<Detection> = self.faces.iter().map(|f| f.detection.clone()).collect();
        self.faces.swap_remove(choice.pick(&detections)?).fitted
    }
}

/// Finds and fits faces and rates their confidence. It keeps no state: one serves many pictures and threads.
#[derive(Clone, Copy)]
pub struct Observer<'a> {
    /// Finds faces.
    pub detector: &'a dyn FaceDetector,
    /// Fits them.
    pub regressor: &'a dyn FaceFitter,
    /// What is fitted.
    pub model: &'a dyn FaceModel,
    /// Tells people apart.
    pub identity: Option<&'a dyn FaceEmbedder>,
    /// Fits dense points in the regressor's place.
    pub points: Option<&'a dyn PointFitter>,
}

impl Observer<'_> {
    /// All faces of a picture.
    ///
    /// # Errors
    /// Those of the networks; a picture without faces is none.
    pub fn observe(&self, image: &Frame) -> Result<Observation> {
        let knows = self.points.is_some_and(|p| p.knows_regions());
        let mut seen = self.observed(image, self.detector.find(image)?, knows)?;
        if self.points.is_none() {
            return Ok(seen);
        }
        // A fast detector also takes a shirt's pattern for a face; the points' network does not, or not twice.
        if seen.best() < SURE {
            let slowly = self.observed(image, self.detector.find_slowly(image)?, false)?;
            if slowly.best() > seen.best() {
                seen = slowly;
            }
        }
        let least = NO_FACE * seen.best();
        seen.faces.retain(|f| f.fitted.is_none() || f.confidence() >= least);
        Ok(seen)
    }

    /// What was found in a picture, fitted; `knows` where the boxes are as exact as a rough look.
    fn observed(&self, image: &Frame, found: Vec<Detection>, knows: bool) -> Result<Observation> {
        let side = |d: &Detection| 0.5 * (d.rect.width() + d.rect.height());
        let mut large: Vec<usize> = (0..found.len()).filter(|&i| side(&found[i]) >= SMALLEST).collect();
        large.sort_by(|&a, &b| side(&found[b]).total_cmp(&side(&found[a])));
        large.truncate(MOST);
        let mut faces = Vec::with_capacity(found.len());
        for (i, detection) in found.into_iter().enumerate() {
            let fitted = if large.contains(&i) { self.fit_detection(image, &detection, knows)? } else { None };
            faces.push(Seen { detection, fitted });
        }
        Ok(Observation { faces })
    }

    /// The fit of a face that this picture alone shows: from its dense points, where those are fitted. `None` where no model can be
    /// fitted to them.
    pub fn complete(&self, mut fitted: Fitted) -> Option<Fitted> {
        if let (Some(points), Some(dense)) = (self.points, &fitted.dense) {
            fitted.fit = points.fit_points(&[Some(dense)]).pop().flatten()?.fit;
        }
        Some(fitted)
    }

    /// The face in a crop that is known from elsewhere, such as the frame before; `None` when the crop holds nothing.
    ///
    /// # Errors
    /// Those of the networks.
    pub fn follow(&self, image: &Frame, crop: &Rect) -> Result<Option<Fitted>> {
        if let Some(points) = self.points {
            let region = Region { centre: crop.center(), side: crop.width().max(crop.height()), turn: 0.0 };
            return follow_points(points, image, &region);
        }
        let Some(fit) = present(self.regressor.fit(image, crop))? else { return Ok(None) };
        let landmarks = self.model.landmarks68(&fit)?;
        let Some(bounds) = roi::bounds(&landmarks) else { return Ok(None) };
        let plausibility = plausibility(image, &fit, &landmarks, &bounds);
        let shift = crop.width() * MOVE;
        let mut fits = vec![fit];
        let mut away = 0.0;
        for (dx, dy) in [(1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0), (1.0, -1.0)].map(|(x, y)| (shift * x, shift * y)) {
            let moved = Rect { x0: crop.x0 + dx, y0: crop.y0 + dy, x1: crop.x1 + dx, y1: crop.y1 + dy };
            let Some(other) = present(self.regressor.fit(image, &moved))? else { return Ok(None) };
            let apart = |(a, b): (&[f32; 3], &[f32; 3])| (a[0] - b[0]).hypot(a[1] - b[1]);
            away += landmarks.iter().zip(&self.model.landmarks68(&other)?).map(apart).sum::<f32>() / 68.0;
            fits.push(other);
        }
        let away = 0.25 * away / bounds.width().max(bounds.height()).max(1e-6);
        let Some(fit) = present(mean(crop, &fits))? else { return Ok(None) };
        Ok(Some(Fitted { fit, agreement: bell(away, 0.05), plausibility, identity: None, dense: None }))
    }

    /// A fit from a detection: once from its box, then, as upstream does it for video, from the landmarks found there.
    fn fit_detection(&self, image: &Frame, seen: &Detection, knows: bool) -> Result<Option<Fitted>> {
        if let Some(points) = self.points {
            let [right, left] = seen.landmarks5.map_or([[0.0, 0.0], [1.0, 0.0]], |[right, left, ..]| [right, left]);
            let region = Region::around(&seen.rect, right, left);
            let found = match seen.landmarks5.filter(|_| knows) {
                Some(five) => look_once(points, image, &region, &five)?,
                None => follow_points(points, image, &region)?,
            };
            let Some(mut fitted) = found else { return Ok(None) };
            if let (Some(network), Some(dense)) = (self.identity, &fitted.dense) {
                fitted.identity = present(network.identity(image, &five_of_dense(&dense.points[..])))?;
            }
            return Ok(Some(fitted));
        }
        let Some(first) = present(self.regressor.fit(image, &roi::from_box(&seen.rect)))? else { return Ok(None) };
        let Some(crop) = roi::from_landmarks(&self.model.landmarks68(&first)?) else { return Ok(None) };
        let Some(mut fitted) = self.follow(image, &crop)? else { return Ok(None) };
        if let Some(network) = self.identity {
            let points = match seen.landmarks5 {
                Some(points) => points,
                None => five_of_68(&self.model.landmarks68(&fitted.fit)?),
            };
            fitted.identity = present(network.identity(image, &points))?;
        }
        Ok(Some(fitted))
    }
}

/// The face in a region by its dense points: first in that region, then in the one that the points found there ask for.
fn follow_points(points: &dyn PointFitter, image: &Frame, region: &Region) -> Result<Option<Fitted>> {
    let Some(first) = present(points.rough_points(image, region))? else { return Ok(None) };
    let Some(face) = present(points.points(image, &first.region()))? else { return Ok(None) };
    let apart = |(a, b): (&[f32; 3], &[f32; 3])| (a[0] - b[0]).hypot(a[1] - b[1]);
    let away = first.points.iter().zip(face.points.iter()).map(apart).sum::<f32>() / face.points.len() as f32;
    rate_points(points, image, face, away)
}

/// The points of a dense face that a detector's five stand for: outer corners of the eyes, tip of the nose, corners of the mouth.
const DETECTED: [usize; 5] = [33, 263, 1, 61, 291];

/// How far a region may be from the one that the points found in it ask for: its middle in shares of its side, the logarithm of its side, its
/// turn in radians. The networks of points were trained on regions as far off.
const OFF: [f32; 3] = [0.05, 0.1, 0.1];

/// The face in a region that a detector knows, with its five points: one look, or a second one where the points ask for another region.
fn look_once(points: &dyn PointFitter, image: &Frame, region: &Region, five: &[[f32; 2]; 5]) -> Result<Option<Fitted>> {
    let Some(mut face) = present(points.points(image, region))? else { return Ok(None) };
    let apart = |(i, p): (usize, &[f32; 2])| (face.points[i][0] - p[0]).hypot(face.points[i][1] - p[1]);
    let away = DETECTED.into_iter().zip(five).map(apart).sum::<f32>() / DETECTED.len() as f32;
    let asked = face.region();
    if !alike(region, &asked) {
        let Some(again) = present(points.points(image, &asked))? else { return Ok(None) };
        face = again;
    }
    rate_points(points, image, face, away)
}

/// Whether two regions differ by no more than [`OFF`].
fn alike(a: &Region, b: &Region) -> bool {
    let apart = (a.centre[0] - b.centre[0]).hypot(a.centre[1] - b.centre[1]) / b.side;
    let turned = (a.turn - b.turn).sin().abs();
    let same_way = (a.turn - b.turn).cos() > 0.0;
    apart <= OFF[0] && (a.side / b.side).ln().abs() <= OFF[1] && same_way && turned <= OFF[2]
}

/// A face with its confidence; `away` is how far two looks at it differ, pixels.
fn rate_points(points: &dyn PointFitter, image: &Frame, face: DenseFace, away: f32) -> Result<Option<Fitted>> {
    let Some(fit) = points.place(&face) else { return Ok(None) };
    let bounds = face.bounds();
    let away = away / bounds.width().max(bounds.height()).max(1e-6);
    let (w, h) = (image.width as f32, image.height as f32);
    let inside = |p: &&[f32; 3]| p[0] > -1.0 && p[1] > -1.0 && p[0] < w && p[1] < h;
    let share = face.points.iter().filter(inside).count() as f32 / face.points.len() as f32;
    let plausibility = share * face.presence;
    Ok(Some(Fitted { fit, agreement: bell(away, 0.05), plausibility, identity: None, dense: Some(face) }))
}

/// The mean of fits of one face, with its camera in `crop`.
fn mean(crop: &Rect, fits: &[Fit]) -> Result<Fit> {
    let n = fits.len() as f64;
    let mut sum = vec![0.0; fits.first().map_or(0, |f| f.params.to_vec().len())];
    for fit in fits {
        // The same camera in the one crop: what crops differ by is taken out.
        let camera = ImageCamera::from_fit(fit)?.to_fit_camera(crop)?;
        let values = Params { camera, ..fit.params.clone() }.to_vec();
        sum.iter_mut().zip(values).for_each(|(s, v)| *s += f64::from(v) / n);
    }
    let values: Vec<f32> = sum.into_iter().map(|v| v as f32).collect();
    let dims = fits.first().map_or((0, 0), |f| (f.params.shape.len(), f.params.expr.len()));
    Ok(Fit { params: Params::from_slice(&values, dims.0, dims.1)?, roi: *crop })
}

/// "No face here" is an answer, other errors are errors.
fn present<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoFace(_)) => Ok(None),
        Err(other) => Err(other),
    }
}

fn bell(x: f32, width: f32) -> f32 {
    (-(x / width).powi(2)).exp()
}

/// How plausible a fit is as that of a face; see the module's text.
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
    use crate::testing::Rng;

    /// A picture without content in which one face stands still; the regressor's answers shake with the crop.
    struct Stage {
        detections: Vec<Detection>,
        noise: f32,
    }

    const SIDE: f32 = 80.0;

    impl FaceDetector for Stage {
        fn find(&self, _: &Frame) -> Result<Vec<Detection>> {
            Ok(self.detections.clone())
        }
    }

    /// The face if the crop is around it; elsewhere a "face" that moves with the crop, as a real regressor's does.
    impl FaceFitter for Stage {
        fn fit(&self, _: &Frame, roi: &Rect) -> Result<Fit> {
            let [x, y] = roi.center();
            let near = |d: &&Detection| {
                let [cx, cy] = d.rect.center();
                (cx - x).hypot(cy - y) < 0.4 * roi.width()
            };
            let mut rng = Rng(u64::from(x.to_bits()) << 32 | u64::from(y.to_bits()));
            let [cx, cy] = match self.detections.iter().find(near) {
                Some(d) => d.rect.center().map(|v| v + self.noise * rng.signed()),
                None => [x + 0.3 * roi.width(), y],
            };
            let camera = ImageCamera::new(1.0, nalgebra::Rotation3::identity(), [cx, cy, 0.0]).to_fit_camera(roi)?;
            Ok(Fit { params: Params { camera, shape: vec![1.0], expr: vec![2.0] }, roi: *roi })
        }
    }

    impl FaceModel for Stage {
        fn landmarks68(&self, fit: &Fit) -> Result<[[f32; 3]; 68]> {
            let [cx, cy, _] = ImageCamera::from_fit(fit)?.translation;
            // Corner to corner, so that the bounding box is the face's.
            Ok(std::array::from_fn(|i| {
                let t = SIDE * (i as f32 / 67.0 - 0.5);
                [cx + t, cy + if i % 2 == 0 { t } else { -t }, 0.0]
            }))
        }
    }

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let r = side / 2.0;
        Detection { rect: Rect { x0: x - r, y0: y - r, x1: x + r, y1: y + r }, score: 0.9, landmarks5: None }
    }

    fn observer(stage: &Stage) -> Observer<'_> {
        Observer { detector: stage, regressor: stage, model: stage, identity: None, points: None }
    }

    #[test]
    fn a_face_is_fitted_and_trusted_and_background_is_not() {
        let stage = Stage { detections: vec![face(200.0, 150.0, SIDE), face(20.0, 20.0, 10.0)], noise: 0.0 };
        let seen = observer(&stage).observe(&Frame::new(400, 300)).unwrap();
        let fitted = seen.faces[0].fitted.as_ref().unwrap();
        let camera = ImageCamera::from_fit(&fitted.fit).unwrap();
        assert!((camera.translation[0] - 200.0).abs() < 1e-2 && (camera.translation[1] - 150.0).abs() < 1e-2);
        assert!((fitted.fit.params.shape[0] - 1.0).abs() < 1e-6 && (fitted.fit.params.expr[0] - 2.0).abs() < 1e-6);
        assert!(seen.faces[0].confidence() > 0.8, "{}", seen.faces[0].confidence());
        assert!(seen.faces[1].fitted.is_none(), "too small to be fitted");
        let crop = Rect { x0: 300.0, y0: 0.0, x1: 380.0, y1: 80.0 };
        let nothing = observer(&stage).follow(&Frame::new(400, 300), &crop).unwrap().unwrap();
        assert!(nothing.confidence(0.9) < 0.6, "{}", nothing.confidence(0.9));
    }

    /// A dense face that stands still and is seen where it is; it counts the looks.
    struct Dense {
        face: DenseFace,
        looks: std::sync::atomic::AtomicUsize,
        exact: bool,
    }

    impl PointFitter for Dense {
        fn points(&self, _: &Frame, _: &Region) -> Result<DenseFace> {
            self.looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(self.face.clone())
        }

        fn knows_regions(&self) -> bool {
            self.exact
        }

        fn place(&self, _: &DenseFace) -> Option<Fit> {
            let roi = Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
            Some(Fit { params: Params { camera: [0.0; 12], shape: vec![], expr: vec![] }, roi })
        }

        fn fit_points(&self, frames: &[Option<&DenseFace>]) -> Vec<Option<crate::face::traits::PointFit>> {
            frames.iter().map(|_| None).collect()
        }
    }

    #[test]
    fn an_exact_detection_needs_one_look() {
        let mut rng = Rng(5);
        let points = std::array::from_fn(|_| [200.0 + 40.0 * rng.signed(), 150.0 + 40.0 * rng.signed(), 0.0]);
        let face = DenseFace { points: Box::new(points), presence: 1.0 };
        let looks = |off: f32, exact: bool| {
            let five = DETECTED.map(|i| [face.points[i][0] + off, face.points[i][1]]);
            let seen = Detection { landmarks5: Some(five), ..super::tests::face(200.0 + off, 150.0, SIDE) };
            let stage = Stage { detections: vec![seen], noise: 0.0 };
            let dense = Dense { face: face.clone(), looks: Default::default(), exact };
            let observer = Observer { points: Some(&dense), ..observer(&stage) };
            let found = observer.observe(&Frame::new(400, 300)).unwrap();
            (dense.looks.into_inner(), found.faces[0].confidence())
        };
        let ((once, sure), (again, unsure)) = (looks(0.0, true), looks(8.0, true));
        assert_eq!((once, again, looks(0.0, false).0), (1, 2, 2));
        assert!(sure > 0.85 && unsure < 0.5, "{sure} {unsure}");
    }

    #[test]
    fn what_is_no_face_is_looked_for_slowly() {
        struct Two {
            fast: Vec<Detection>,
            slow: Vec<Detection>,
        }
        impl FaceDetector for Two {
            fn find(&self, _: &Frame) -> Result<Vec<Detection>> {
                Ok(self.fast.clone())
            }
            fn find_slowly(&self, _: &Frame) -> Result<Vec<Detection>> {
                Ok(self.slow.clone())
            }
        }
        /// Nobody in the picture's left half.
        struct Right;
        impl PointFitter for Right {
            fn points(&self, _: &Frame, region: &Region) -> Result<DenseFace> {
                let presence = if region.centre[0] < 200.0 { 0.02 } else { 0.9 };
                Ok(DenseFace { points: Box::new([[region.centre[0], region.centre[1], 0.0]; 478]), presence })
            }
            fn place(&self, _: &DenseFace) -> Option<Fit> {
                let roi = Rect { x0: 0.0, y0: 0.0, x1: 1.0, y1: 1.0 };
                Some(Fit { params: Params { camera: [0.0; 12], shape: vec![], expr: vec![] }, roi })
            }
            fn fit_points(&self, frames: &[Option<&DenseFace>]) -> Vec<Option<crate::face::traits::PointFit>> {
                frames.iter().map(|_| None).collect()
            }
        }
        let stage = Stage { detections: vec![], noise: 0.0 };
        let [left, right] = [100.0, 300.0].map(|x| face(x, 150.0, SIDE));
        let found = |fast: &[&Detection], slow: &[&Detection]| -> Vec<f32> {
            let all = |list: &[&Detection]| list.iter().map(|d| (*d).clone()).collect();
            let detector = Two { fast: all(fast), slow: all(slow) };
            let observer = Observer { detector: &detector, points: Some(&Right), ..observer(&stage) };
            observer
                .observe(&Frame::new(400, 300))
                .unwrap()
                .faces
                .iter()
                .map(|f| f.detection.rect.center()[0])
                .collect()
        };
        assert_eq!(found(&[&left], &[&right]), [right.rect.center()[0]]);
        assert_eq!(found(&[], &[&right]), [right.rect.center()[0]]);
        assert_eq!(found(&[&left, &right], &[]), [right.rect.center()[0]], "beside a face a pattern is none");
        // A face that was found is not looked for again, and what is no face either is no better.
        assert_eq!(found(&[&right], &[&left, &right]), [right.rect.center()[0]]);
        assert_eq!(found(&[&left], &[&left, &left]), [left.rect.center()[0]]);
    }

    #[test]
    fn five_crops_shake_less_than_one() {
        let x = |fit: &Fit| ImageCamera::from_fit(fit).unwrap().translation[0];
        let (mut one, mut five) = (0.0, 0.0);
        for i in 0..60 {
            let stage = Stage { detections: vec![face(200.0, 150.0, SIDE)], noise: 2.0 };
            let start = 150.0 + 0.3 * i as f32;
            let crop = Rect { x0: start, y0: 90.0, x1: start + 115.0, y1: 205.0 };
            one += (x(&stage.fit(&Frame::new(400, 300), &crop).unwrap()) - 200.0).powi(2);
            five += (x(&observer(&stage).follow(&Frame::new(400, 300), &crop).unwrap().unwrap().fit) - 200.0).powi(2);
        }
        assert!(five < 0.4 * one, "{five} {one}");
    }
}
