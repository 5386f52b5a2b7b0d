//! Greedy non-maximum suppression.

use crate::frame::Rect;

/// Indices of the boxes that survive, best first: each box that overlaps a better survivor by more than `threshold`
/// is dropped.
///
/// Overlap is intersection over union with sizes counted as whole pixels (right - left + 1), the convention that both
/// upstream detectors inherited from Fast R-CNN. Boxes with a score that is not a number are left out; equal scores
/// keep their order.
pub fn nms(boxes: &[Rect], scores: &[f32], threshold: f32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len().min(scores.len())).filter(|&i| !scores[i].is_nan()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let mut keep: Vec<usize> = Vec::new();
    for i in order {
        if keep.iter().all(|&k| overlap(&boxes[k], &boxes[i]) <= threshold) {
            keep.push(i);
        }
    }
    keep
}

/// Intersection over union of boxes whose right and bottom pixels belong to them.
fn overlap(a: &Rect, b: &Rect) -> f32 {
    let area = |r: &Rect| (r.width() + 1.0) * (r.height() + 1.0);
    let w = (a.x1.min(b.x1) - a.x0.max(b.x0) + 1.0).max(0.0);
    let h = (a.y1.min(b.y1) - a.y0.max(b.y0) + 1.0).max(0.0);
    w * h / (area(a) + area(b) - w * h)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect(x: f32, y: f32, w: f32, h: f32) -> Rect {
        Rect { x0: x, y0: y, x1: x + w, y1: y + h }
    }

    #[test]
    fn keeps_the_best_of_each_heap() {
        let boxes = [rect(0., 0., 10., 10.), rect(1., 0., 10., 10.), rect(50., 0., 10., 10.), rect(2., 0., 10., 10.)];
        assert_eq!(nms(&boxes, &[0.5, 0.9, 0.7, 0.8], 0.4), [1, 2]);
        // At 0.75 the neighbours one pixel apart overlap too much (110 of 132), those two apart (99 of 143) do not.
        assert_eq!(nms(&boxes, &[0.9, 0.8, 0.7, 0.6], 0.75), [0, 2, 3]);
        assert_eq!(nms(&boxes, &[f32::NAN, 0.8, 0.7, 0.6], 0.4), [1, 2]);
        assert!(nms(&[], &[], 0.4).is_empty());
    }

    fn boxes() -> impl Strategy<Value = Vec<(Rect, f32)>> {
        let one = (0.0f32..200.0, 0.0f32..200.0, 1.0f32..80.0, 1.0f32..80.0, 0.0f32..1.0);
        prop::collection::vec(one.prop_map(|(x, y, w, h, s)| (rect(x, y, w, h), s)), 0..60)
    }

    proptest! {
        #[test]
        fn survivors_are_apart_sorted_and_cover_the_rest(items in boxes(), threshold in 0.1f32..0.9) {
            let (rects, scores): (Vec<_>, Vec<_>) = items.into_iter().unzip();
            let keep = nms(&rects, &scores, threshold);
            prop_assert!(keep.windows(2).all(|k| scores[k[0]] >= scores[k[1]]));
            for (n, &i) in keep.iter().enumerate() {
                prop_assert!(keep[..n].iter().all(|&k| overlap(&rects[k], &rects[i]) <= threshold));
            }
            for i in (0..rects.len()).filter(|i| !keep.contains(i)) {
                let beaten = keep.iter().any(|&k| scores[k] >= scores[i] && overlap(&rects[k], &rects[i]) > threshold);
                prop_assert!(beaten);
            }
            // Once suppressed, nothing more happens.
            let (again, s): (Vec<_>, Vec<_>) = keep.iter().map(|&k| (rects[k], scores[k])).unzip();
            prop_assert_eq!(nms(&again, &s, threshold).len(), keep.len());
        }
    }
}
