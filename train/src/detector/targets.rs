//! What each prior should answer for the faces of a picture (Liu et al., SSD, <https://arxiv.org/abs/1512.02325>, with
//! RetinaFace's threshold and variances).

use super::picture::{Face, area, intersection};
use headgan::face::anchors::{Prior, encode, encode_point};
use headgan::frame::Rect;

/// A prior that overlaps a face by at least this intersection over union answers for it.
const OVERLAP: f32 = 0.35;
/// A prior that lies by this share within, or overlaps by this, a face that may be found or not is not asked.
const IGNORED: [f32; 2] = [0.5, 0.25];

/// Answers of one picture's priors, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Targets {
    /// 1 for a face, 0 for none, -1 where either will do.
    pub class: Vec<i64>,
    /// [priors, 4]; zeros where no face is.
    pub boxes: Vec<f32>,
    /// [priors, 10]; zeros where no face is.
    pub landmarks: Vec<f32>,
}

impl Targets {
    /// Of a picture of `width` x `height` pixels. Every face that must be found has at least its best prior.
    pub fn from_faces(faces: &[Face], (width, height): (usize, usize), priors: &[Prior]) -> Targets {
        let (w, h) = (width as f32, height as f32);
        let inside = |r: &Rect| Rect { x0: r.x0 / w, y0: r.y0 / h, x1: r.x1 / w, y1: r.y1 / h };
        let (required, ignored): (Vec<&Face>, Vec<&Face>) = faces.iter().partition(|f| f.required);
        let rects: Vec<Rect> = required.iter().map(|f| inside(&f.rect)).collect();
        let ignored: Vec<Rect> = ignored.iter().map(|f| inside(&f.rect)).collect();
        // Best face of each prior, best prior of each face.
        let mut owner: Vec<(f32, usize)> = vec![(0.0, usize::MAX); priors.len()];
        let mut best: Vec<(f32, usize)> = vec![(0.0, usize::MAX); rects.len()];
        for (p, prior) in priors.iter().enumerate() {
            let rect = rect_of(prior);
            for (f, face) in rects.iter().enumerate() {
                let overlap = rect.iou(face);
                if overlap > owner[p].0 {
                    owner[p] = (overlap, f);
                }
                if overlap > best[f].0 {
                    best[f] = (overlap, p);
                }
            }
        }
        for (f, &(_, p)) in best.iter().enumerate().filter(|(_, (_, p))| *p != usize::MAX) {
            owner[p] = (1.0, f);
        }
        let n = priors.len();
        let mut out = Targets { class: vec![0; n], boxes: vec![0.0; 4 * n], landmarks: vec![0.0; 10 * n] };
        for (p, prior) in priors.iter().enumerate() {
            let (overlap, f) = owner[p];
            if overlap >= OVERLAP {
                out.class[p] = 1;
                out.boxes[4 * p..][..4].copy_from_slice(&encode(prior, &rects[f]));
                for (k, [x, y]) in required[f].landmarks.iter().enumerate() {
                    let offset = encode_point(prior, [x / w, y / h]);
                    out.landmarks[10 * p + 2 * k..][..2].copy_from_slice(&offset);
                }
            } else if ignored.iter().any(|s| is_ignored(s, &rect_of(prior))) {
                out.class[p] = -1;
            }
        }
        out
    }

    /// How many priors answer for a face.
    pub fn positives(&self) -> usize {
        self.class.iter().filter(|c| **c == 1).count()
    }
}

fn is_ignored(face: &Rect, prior: &Rect) -> bool {
    let [within, overlap] = IGNORED;
    area(&intersection(face, prior)) >= within * area(prior) || face.iou(prior) >= overlap
}

fn rect_of(p: &Prior) -> Rect {
    Rect { x0: p.cx - 0.5 * p.w, y0: p.cy - 0.5 * p.h, x1: p.cx + 0.5 * p.w, y1: p.cy + 0.5 * p.h }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgan::face::anchors::{decode, decode_point, retinaface};

    fn face(x: f32, y: f32, side: f32, required: bool) -> Face {
        let rect = Rect { x0: x, y0: y, x1: x + side, y1: y + side };
        let at = |u: f32, v: f32| [x + u * side, y + v * side];
        Face { rect, landmarks: [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)], required }
    }

    #[test]
    fn answers_decode_to_the_faces() {
        let size = (160, 96);
        let priors = retinaface(size.1, size.0);
        let faces = [face(20.0, 10.0, 50.0, true), face(110.0, 30.0, 14.0, true)];
        let targets = Targets::from_faces(&faces, size, &priors);
        let mut seen = [0; 2];
        for (p, prior) in priors.iter().enumerate().filter(|(p, _)| targets.class[*p] == 1) {
            let b = &targets.boxes[4 * p..][..4];
            let rect = decode(prior, [b[0], b[1], b[2], b[3]]);
            let f = usize::from(rect.x0 * 160.0 > 100.0);
            seen[f] += 1;
            assert!(
                (rect.x0 * 160.0 - faces[f].rect.x0).abs() < 1e-3 && (rect.y1 * 96.0 - faces[f].rect.y1).abs() < 1e-3
            );
            let l = &targets.landmarks[10 * p + 4..][..2];
            let nose = decode_point(prior, [l[0], l[1]]);
            let wanted = faces[f].landmarks[2];
            assert!((nose[0] * 160.0 - wanted[0]).abs() < 1e-3 && (nose[1] * 96.0 - wanted[1]).abs() < 1e-3);
        }
        assert!(seen[0] > 2 && seen[1] > 0, "{seen:?}");
        assert_eq!(targets.positives(), seen[0] + seen[1]);
    }

    #[test]
    fn every_face_has_a_prior_and_nobody_answers_for_none() {
        let size = (128, 128);
        let priors = retinaface(128, 128);
        // Smaller than any prior, and long: neither overlaps a prior by the threshold.
        let mut long = face(60.0, 5.0, 100.0, true);
        long.rect = Rect { x0: 60.0, y0: 5.0, x1: 70.0, y1: 105.0 };
        for face in [face(30.0, 30.0, 6.0, true), long] {
            let targets = Targets::from_faces(&[face], size, &priors);
            assert_eq!(targets.positives(), 1, "{face:?}");
        }
        let none = Targets::from_faces(&[], size, &priors);
        assert!(none.class.iter().all(|c| *c == 0));
    }

    #[test]
    fn what_may_be_found_is_not_asked() {
        let priors = retinaface(128, 128);
        let targets = Targets::from_faces(&[face(30.0, 30.0, 40.0, false)], (128, 128), &priors);
        assert_eq!(targets.positives(), 0);
        for (prior, class) in priors.iter().zip(&targets.class) {
            let inside = (34.0..66.0).contains(&(prior.cx * 128.0)) && (34.0..66.0).contains(&(prior.cy * 128.0));
            let far = prior.cx * 128.0 > 110.0 && prior.w * 128.0 < 40.0;
            assert!(!(inside && prior.w * 128.0 < 20.0) || *class == -1, "{prior:?}");
            assert!(!far || *class == 0, "{prior:?}");
        }
    }
}
