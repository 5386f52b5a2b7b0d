//! BlazeFace: boxes and six points of each face, from the network's raw outputs.
//!
//! Bazarevsky et al. 2019, <https://arxiv.org/abs/1907.05047>; decoding and suppression as mediapipe/modules/face_detection of
//! <https://github.com/google-ai-edge/mediapipe> configures them.

use super::region::Region;
use crate::engine::Executor;
use crate::frame::{Frame, Rect};
use crate::nets::graph::Graph;
use crate::{Error, Result};

/// A face as this detector sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct BlazeFace {
    /// Pixels of the picture.
    pub rect: Rect,
    /// 0..1.
    pub score: f32,
    /// Right eye, left eye (the face's own), nose, mouth, right and left ear.
    pub points: [[f32; 2]; 6],
}

/// Faces with a lower score are left out.
pub const LEAST_SCORE: f32 = 0.5;
/// Boxes that overlap more than this (intersection over union) are one face's.
const OVERLAP: f32 = 0.3;
/// Logits are cut off here.
const CLIP: f32 = 100.0;
/// Values of a box: its middle and size, then six points.
const VALUES: usize = 16;

/// A detector: of short range (128 pixels, faces up to two metres from a telephone), or of full range (192 pixels).
#[derive(Debug)]
pub struct Detector<E> {
    executor: E,
    graph: Graph,
    /// Middles of the anchors, in the network's own picture, 0..1.
    anchors: Vec<[f32; 2]>,
}

/// Where each output's anchors lie: a square of `cells`, `each` in every cell.
struct Level {
    cells: usize,
    each: usize,
}

fn anchors(levels: &[Level]) -> Vec<[f32; 2]> {
    let mut all = Vec::new();
    for level in levels {
        for y in 0..level.cells {
            for x in 0..level.cells {
                let middle = [x, y].map(|v| (v as f32 + 0.5) / level.cells as f32);
                all.extend(std::iter::repeat_n(middle, level.each));
            }
        }
    }
    all
}

impl<E: Executor> Detector<E> {
    /// A detector whose graph has passed its check.
    ///
    /// # Errors
    /// [`Error::Model`] for a graph of another form.
    pub fn new(executor: E, graph: Graph) -> Result<Detector<E>> {
        let anchors = match graph.input {
            [3, 128, 128] => anchors(&[Level { cells: 16, each: 2 }, Level { cells: 8, each: 6 }]),
            [3, 192, 192] => anchors(&[Level { cells: 48, each: 1 }]),
            other => {
                return Err(Error::model(format!(
                    "a face detector with an input of {other:?} is not known: import MediaPipe's again"
                )));
            }
        };
        Ok(Detector { executor, graph, anchors })
    }

    /// What runs the network.
    pub fn executor(&self) -> &E {
        &self.executor
    }

    /// The faces of a picture, best first.
    ///
    /// # Errors
    /// [`Error::Input`] for a picture without pixels, [`Error::Model`] for a network that gives other outputs than this one.
    pub fn find(&self, image: &Frame) -> Result<Vec<BlazeFace>> {
        if image.width == 0 || image.height == 0 {
            return Err(Error::input("a picture without pixels: give another"));
        }
        let size = self.graph.input[2];
        let region = Region::letterbox(image);
        let pixels = region.pixels(image, size, true, (2.0, -1.0));
        let x = self.executor.tensor([1, 3, size, size], &pixels);
        // In n h w c order the outputs' numbers are anchor by anchor.
        let (mut boxes, mut scores) = (Vec::new(), Vec::new());
        for (_, output) in self.graph.run(&self.executor, &x) {
            let [_, c, h, w] = self.executor.shape(&output);
            let planes = self.executor.values(&output);
            let values = (0..h * w).flat_map(|p| (0..c).map(move |k| (k, p))).map(|(k, p)| planes[k * h * w + p]);
            // An anchor has sixteen numbers in the one kind of output and one in the other, at most six anchors a cell.
            if c >= VALUES { boxes.extend(values) } else { scores.extend(values) }
        }
        if scores.len() != self.anchors.len() || boxes.len() != VALUES * self.anchors.len() {
            return Err(Error::model("the face detector gives other numbers than MediaPipe's: import it again"));
        }
        let mut found = Vec::new();
        for ((raw, logit), anchor) in boxes.as_chunks::<VALUES>().0.iter().zip(&scores).zip(&self.anchors) {
            let score = 1.0 / (1.0 + (-logit.clamp(-CLIP, CLIP)).exp());
            // Not a number is no face either.
            if score.is_nan() || score < LEAST_SCORE || raw.iter().any(|v| !v.is_finite()) {
                continue;
            }
            let at = |i: usize| region.place([raw[i] / size as f32 + anchor[0], raw[i + 1] / size as f32 + anchor[1]]);
            let [x, y] = at(0);
            let [w, h] = [raw[2], raw[3]].map(|v| 0.5 * v.abs() / size as f32 * region.side);
            let rect = Rect { x0: x - w, y0: y - h, x1: x + w, y1: y + h };
            found.push(BlazeFace { rect, score, points: std::array::from_fn(|k| at(4 + 2 * k)) });
        }
        Ok(merge(found))
    }
}

/// Of boxes that overlap, their mean, weighted by score; its score is the best one's.
fn merge(mut found: Vec<BlazeFace>) -> Vec<BlazeFace> {
    found.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut merged = Vec::new();
    while let Some(best) = found.first().cloned() {
        let (same, rest): (Vec<_>, Vec<_>) = found.into_iter().partition(|f| overlap(&f.rect, &best.rect) > OVERLAP);
        found = rest;
        if same.is_empty() {
            // A box without area overlaps nothing, itself included.
            found.remove(0);
            continue;
        }
        let sum: f32 = same.iter().map(|f| f.score).sum();
        let mean = |get: &dyn Fn(&BlazeFace) -> f32| same.iter().map(|f| f.score * get(f)).sum::<f32>() / sum;
        merged.push(BlazeFace {
            rect: Rect {
                x0: mean(&|f| f.rect.x0),
                y0: mean(&|f| f.rect.y0),
                x1: mean(&|f| f.rect.x1),
                y1: mean(&|f| f.rect.y1),
            },
            score: best.score,
            points: std::array::from_fn(|k| [0, 1].map(|i| mean(&|f| f.points[k][i]))),
        });
    }
    merged
}

/// Intersection over union.
fn overlap(a: &Rect, b: &Rect) -> f32 {
    let w = (a.x1.min(b.x1) - a.x0.max(b.x0)).max(0.0);
    let h = (a.y1.min(b.y1) - a.y0.max(b.y0)).max(0.0);
    let union = a.width() * a.height() + b.width() * b.height() - w * h;
    if union > 0.0 { w * h / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, side: f32, score: f32) -> BlazeFace {
        BlazeFace { rect: Rect { x0: x, y0: 0.0, x1: x + side, y1: side }, score, points: [[x, 1.0]; 6] }
    }

    #[test]
    fn overlapping_boxes_are_averaged_by_score() {
        let merged =
            merge(vec![face(2.0, 10.0, 0.6), face(0.0, 10.0, 0.9), face(50.0, 10.0, 0.7), face(9.0, 0.0, 0.99)]);
        assert_eq!(merged.len(), 2);
        assert_eq!(merged[0].score, 0.9);
        assert!((merged[0].rect.x0 - 0.8).abs() < 1e-5 && (merged[0].points[5][0] - 0.8).abs() < 1e-5);
        assert_eq!(merged[1], face(50.0, 10.0, 0.7));
    }

    #[test]
    fn anchors_are_cell_by_cell() {
        let all = anchors(&[Level { cells: 16, each: 2 }, Level { cells: 8, each: 6 }]);
        assert_eq!(all.len(), 896);
        assert_eq!((all[1], all[2]), ([0.5 / 16.0; 2], [1.5 / 16.0, 0.5 / 16.0]));
        assert_eq!((all[512], all[895]), ([0.5 / 8.0; 2], [7.5 / 8.0; 2]));
    }
}
