//! The two face detectors, from picture to boxes.
//!
//! Rules and constants are those of biubug6/Pytorch_Retinaface (`test_widerface.py`) and of cleardusk/3DDFA_V2
//! (`FaceBoxes/FaceBoxes.py`).

use super::Detection;
use super::anchors::{self, Prior};
use super::bgr::{self, Bgr8, Pixels};
use super::nms::nms;
use crate::engine::{Executor, shape};
use crate::error::{Error, Result};
use crate::frame::{Frame, Rect};
use crate::nets::faceboxes::faceboxes;
use crate::nets::retinaface::{Backbone, retinaface};
use crate::weights::Weights;

/// Means of the training pictures, blue, green, red: the networks see pixels less these.
pub const MEAN: [f32; 3] = [104.0, 117.0, 123.0];

/// Which detector a [`Detector`] runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Boxes and five landmarks.
    RetinaFace(Backbone),
    /// Boxes only, fastest.
    FaceBoxes,
}

impl Kind {
    /// The detector that `weights` belong to, every layer checked.
    ///
    /// # Errors
    /// [`Error::Model`] naming the layer that is missing or has the wrong shape.
    pub fn from_weights(weights: &Weights) -> Result<Kind> {
        let kind = if weights.get("inception1.branch1x1.conv.weight").is_some() {
            Kind::FaceBoxes
        } else {
            Kind::RetinaFace(Backbone::from_weights(weights)?)
        };
        shape::check(weights, |ops| {
            let x = [1, 3, 256, 256];
            match kind {
                Kind::FaceBoxes => drop(faceboxes(ops, &x)),
                Kind::RetinaFace(backbone) => drop(retinaface(ops, &x, backbone)),
            }
        })?;
        Ok(kind)
    }
}

/// How far a picture is scaled down before the network sees it. Nothing is ever scaled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Not at all. Time and memory grow with the picture.
    None,
    /// Until the longer side has at most so many pixels.
    LongerSide(usize),
    /// Until it fits so many pixels of height and width.
    #[allow(missing_docs, reason = "in pixels")]
    Within { height: usize, width: usize },
}

/// Thresholds of a detector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// How large pictures may be.
    pub limit: Limit,
    /// Boxes below this score do not enter the suppression.
    pub confidence: f32,
    /// Boxes that overlap a better one by more are dropped.
    pub overlap: f32,
    /// How many of the best boxes enter the suppression.
    pub top: usize,
    /// How many survivors are kept.
    pub keep: usize,
    /// Survivors below this score are not reported.
    pub visible: f32,
}

impl Options {
    /// RetinaFace's: the original size up to 1600 pixels of the longer side (faces from about 16 pixels there).
    pub fn retinaface() -> Options {
        Options { limit: Limit::LongerSide(1600), confidence: 0.02, overlap: 0.4, top: 5000, keep: 750, visible: 0.5 }
    }

    /// FaceBoxes' as 3DDFA_V2 runs it: at most 720 rows and 1080 columns.
    pub fn faceboxes() -> Options {
        Options {
            limit: Limit::Within { height: 720, width: 1080 },
            confidence: 0.05,
            overlap: 0.3,
            top: 5000,
            keep: 750,
            visible: 0.5,
        }
    }

    /// What suits `kind`.
    pub fn for_kind(kind: Kind) -> Options {
        match kind {
            Kind::RetinaFace(_) => Options::retinaface(),
            Kind::FaceBoxes => Options::faceboxes(),
        }
    }
}

/// Detector options that a pack may override; those that it does not set stay as [`Options`] has them.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Deserialize)]
pub struct DetectorOverrides {
    /// Pixels of the longer side that pictures are scaled down to.
    pub longer_side: Option<usize>,
    /// The least score that is reported.
    pub score: Option<f32>,
}

impl DetectorOverrides {
    /// No face is found in a smaller picture.
    const LEAST_SIDE: usize = 64;

    /// Overrides the options.
    pub fn apply(&self, options: &mut Options) {
        if let Some(side) = self.longer_side {
            options.limit = Limit::LongerSide(side.max(DetectorOverrides::LEAST_SIDE));
        }
        if let Some(score) = self.score.filter(|s| s.is_finite()) {
            options.visible = score.clamp(options.confidence, 1.0);
        }
    }
}

/// A detector on an executor that holds its weights.
#[derive(Debug, Clone)]
pub struct Detector<O> {
    ops: O,
    kind: Kind,
    /// Thresholds and sizes.
    pub options: Options,
}

impl<O: Executor> Detector<O> {
    /// What it runs on.
    pub fn executor(&self) -> &O {
        &self.ops
    }

    /// A detector whose weights are in `ops` and have passed [`Kind::from_weights`].
    pub fn new(ops: O, kind: Kind) -> Detector<O> {
        Detector { ops, kind, options: Options::for_kind(kind) }
    }

    /// Which detector it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The faces of a picture, best first, in its pixels. Boxes may leave the picture.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture without pixels.
    pub fn detect(&self, picture: &impl Pixels) -> Result<Vec<Detection>> {
        let (input, size) = scaled(picture, self.options.limit)?;
        let (h, w) = (input.height, input.width);
        let x = self.ops.tensor([1, 3, h, w], &bgr::planes(&input, |v, c| f32::from(v) - MEAN[c]));
        let found = match self.kind {
            Kind::RetinaFace(backbone) => {
                let levels = retinaface(&self.ops, &x, backbone);
                let levels = levels.map(|l| {
                    Raw::read(&self.ops, &l.class, &l.boxes, Some(&l.landmarks), crate::nets::retinaface::ANCHORS)
                });
                self.candidates(&levels, &anchors::retinaface(h, w))
            }
            Kind::FaceBoxes => {
                let levels = faceboxes(&self.ops, &x);
                let mut anchors = crate::nets::faceboxes::ANCHORS.into_iter();
                let levels = levels.map(|l| {
                    let anchors = anchors.next().unwrap_or(1);
                    Raw::read(&self.ops, &l.class, &l.boxes, None, anchors)
                });
                self.candidates(&levels, &anchors::faceboxes(h, w))
            }
        };
        Ok(self.survivors(found, size))
    }

    /// Every prior whose score is high enough, decoded, in fractions of the picture.
    fn candidates(&self, levels: &[Raw; 3], priors: &[Prior]) -> Vec<Detection> {
        let mut out = Vec::new();
        let mut priors = priors.iter();
        for level in levels {
            for cell in 0..level.cells {
                for anchor in 0..level.anchors {
                    let Some(prior) = priors.next() else { return out };
                    let class = |k: usize| level.class[(anchor * 2 + k) * level.cells + cell];
                    // Softmax of two logits.
                    let score = 1.0 / (1.0 + (class(0) - class(1)).exp());
                    if score.is_nan() || score <= self.options.confidence {
                        continue;
                    }
                    let offset = |k: usize| level.boxes[(anchor * 4 + k) * level.cells + cell];
                    let rect = anchors::decode(prior, [offset(0), offset(1), offset(2), offset(3)]);
                    if ![rect.x0, rect.y0, rect.x1, rect.y1].iter().all(|v| v.is_finite()) {
                        continue;
                    }
                    let landmarks5 = level.landmarks.as_ref().map(|values| {
                        let value = |k: usize| values[(anchor * 10 + k) * level.cells + cell];
                        [0, 1, 2, 3, 4].map(|k| anchors::decode_point(prior, [value(2 * k), value(2 * k + 1)]))
                    });
                    out.push(Detection { rect, score, landmarks5 });
                }
            }
        }
        out
    }

    /// Scales candidates to `size` pixels, suppresses, filters.
    fn survivors(&self, mut found: Vec<Detection>, size: [f32; 2]) -> Vec<Detection> {
        found.sort_by(|a, b| b.score.total_cmp(&a.score));
        found.truncate(self.options.top);
        for d in &mut found {
            let r = d.rect;
            d.rect = Rect { x0: r.x0 * size[0], y0: r.y0 * size[1], x1: r.x1 * size[0], y1: r.y1 * size[1] };
            for p in d.landmarks5.iter_mut().flatten() {
                *p = [p[0] * size[0], p[1] * size[1]];
            }
        }
        let (boxes, scores): (Vec<Rect>, Vec<f32>) = found.iter().map(|d| (d.rect, d.score)).unzip();
        let mut keep = nms(&boxes, &scores, self.options.overlap);
        keep.truncate(self.options.keep);
        keep.retain(|&i| scores[i] > self.options.visible);
        keep.into_iter().map(|i| found[i].clone()).collect()
    }
}

impl<O: Executor + Sync> crate::face::traits::FaceDetector for Detector<O> {
    fn find(&self, image: &Frame) -> Result<Vec<Detection>> {
        self.detect(image)
    }
}

/// One level's outputs, read back.
struct Raw {
    anchors: usize,
    cells: usize,
    class: Vec<f32>,
    boxes: Vec<f32>,
    landmarks: Option<Vec<f32>>,
}

impl Raw {
    fn read<O: Executor>(
        ops: &O,
        class: &O::Tensor,
        boxes: &O::Tensor,
        landmarks: Option<&O::Tensor>,
        anchors: usize,
    ) -> Raw {
        let [_, _, h, w] = ops.shape(class);
        Raw {
            anchors,
            cells: h * w,
            class: ops.values(class),
            boxes: ops.values(boxes),
            landmarks: landmarks.map(|l| ops.values(l)),
        }
    }
}

/// The picture within the limit, and the width and height that fractions of it stand for.
fn scaled(picture: &impl Pixels, limit: Limit) -> Result<(Bgr8, [f32; 2])> {
    let (h, w) = (picture.height(), picture.width());
    if h == 0 || w == 0 {
        return Err(Error::input(format!("a picture of {w}x{h} pixels holds no face: it needs at least one pixel")));
    }
    let scale = match limit {
        Limit::None => 1.0,
        Limit::LongerSide(side) => (side.max(1) as f64 / h.max(w) as f64).min(1.0),
        Limit::Within { height, width } => {
            let scale = if h > height { height as f64 / h as f64 } else { 1.0 };
            let scaled = w as f64 * scale;
            if scaled > width as f64 { scale * (width as f64 / scaled) } else { scale }
        }
    };
    let side = |n: usize| ((scale * n as f64) as usize).max(1);
    if let Limit::Within { .. } = limit {
        // As upstream runs FaceBoxes: one bilinear step, and back by the factor asked for, not by the rounded sides.
        let input = bgr::resize_linear(picture, side(w), side(h))?;
        let size = [input.width, input.height].map(|n| (n as f64 / scale) as f32);
        return Ok((input, size));
    }
    // Beyond a halving, bilinear interpolation skips pixels, and small faces with them: average whole blocks first.
    let input = if scale <= 0.5 {
        bgr::resize_linear(&bgr::shrink(picture, (1.0 / scale) as usize), side(w), side(h))?
    } else {
        bgr::resize_linear(picture, side(w), side(h))?
    };
    Ok((input, [w as f32, h as f32]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::Cpu;
    use crate::engine::shape::layers;
    use crate::testing::random_weights;
    use crate::weights::Array;
    use std::sync::Arc;

    fn blank(width: usize, height: usize) -> Bgr8 {
        Bgr8 { width, height, data: vec![7; 3 * width * height] }
    }

    fn size(width: usize, height: usize, limit: Limit) -> (usize, usize) {
        let (b, _) = scaled(&blank(width, height), limit).unwrap();
        (b.width, b.height)
    }

    #[test]
    fn odd_pictures_are_no_trouble() {
        let x = [1, 3, 256, 256];
        let nets = [
            random_weights(
                &layers(|ops| {
                    faceboxes(ops, &x);
                }),
                1,
            ),
            random_weights(
                &layers(|ops| {
                    retinaface(ops, &x, Backbone::MobileNet025);
                }),
                2,
            ),
        ];
        for weights in nets {
            let kind = Kind::from_weights(&weights).unwrap();
            let mut detector = Detector::new(Cpu::new(Arc::new(weights), &Default::default()), kind);
            detector.options.visible = 0.0;
            for (w, h) in [(1, 1), (2, 3), (1, 400), (33, 31), (4000, 7)] {
                let faces = detector.detect(&blank(w, h)).unwrap();
                // Random weights see faces anywhere; whatever they see is finite and the best comes first.
                assert!(faces.iter().all(|f| f.rect.width().is_finite() && f.score > 0.0), "{w}x{h} {kind:?}");
                assert!(faces.windows(2).all(|f| f[0].score >= f[1].score));
                assert!(faces.len() <= detector.options.keep);
            }
            assert!(matches!(detector.detect(&blank(0, 0)), Err(Error::Input(_))));
            let mut nan = Frame::new(40, 40);
            nan.data.fill(f32::NAN);
            detector.detect(&nan).unwrap();
        }
    }

    #[test]
    fn weights_of_another_shape_are_refused() {
        let x = [1, 3, 256, 256];
        let mut weights = random_weights(
            &layers(|ops| {
                faceboxes(ops, &x);
            }),
            1,
        );
        weights.insert("conv2.conv.weight", Array::f32([64, 48, 3, 3], vec![0.0; 64 * 48 * 9]));
        let text = Kind::from_weights(&weights).unwrap_err().to_string();
        assert!(text.contains("'conv2.conv.weight'") && text.contains("[64, 48, 5, 5]"), "{text}");
        assert!(matches!(Kind::from_weights(&Weights::default()), Err(Error::Model(_))));
    }

    #[test]
    fn limits() {
        let within = Limit::Within { height: 720, width: 1080 };
        assert_eq!(size(1080, 720, within), (1080, 720));
        assert_eq!(size(564, 729, within), (557, 720));
        assert_eq!(size(1920, 1080, within), (1080, 607));
        assert_eq!(size(1500, 100, within), (1080, 72));
        assert_eq!(size(1300, 650, Limit::LongerSide(640)), (640, 320));
        assert_eq!(size(300, 200, Limit::LongerSide(640)), (300, 200));
        assert_eq!(size(5000, 2, Limit::LongerSide(640)), (640, 1));
        assert_eq!(size(1300, 20, Limit::None), (1300, 20));
        assert!(matches!(scaled(&blank(0, 5), Limit::None), Err(Error::Input(_))));
    }
}
