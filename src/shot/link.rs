//! One face through a shot: which of the faces observed in each frame is the one that was chosen.
//!
//! The face that is chosen in the first frame that has it is kept: where the other faces are is remembered, and a face that
//! is found again after a loss must be near the place where it was lost, must not be one of the others, and, where
//! identities are known, must be the same person.

use crate::face::Detection;
use crate::face::choose::Choice;
use crate::face::embedding::FaceEmbedding;
use crate::face::observe::Observation;
use crate::frame::Rect;

/// Cosine from which two faces count as the same person's, when one is found again after a loss or a jump (within 75
/// real clips the least was 0.43 and 95 % lay above 0.7; of pairs of clips 95 % lay below 0.26).
const SAME_PERSON: f32 = 0.35;
/// Cosine below which a face at the same position as the last one is somebody else's: a cut.
const OTHER_PERSON: f32 = 0.1;
/// A face that moves less than this many sides of its box, and changes size by less than this, has not jumped.
const STEADY: (f32, f32) = (0.3, 1.25);
/// Frames after which another person who is no longer seen is forgotten.
const FORGET_OTHERS: usize = 500;
/// Frames for which another person's position counts as known.
const FRESH: usize = 30;
/// How far a face may move between two observations, in sides of its box.
const REACH: f32 = 1.0;
/// By how much that grows with every frame that it is lost.
const REACH_GROWTH: f32 = 0.1;
/// How much larger or smaller a face may become between two observations.
const SIZE_CHANGE: f32 = 1.8;

/// The face of a frame: its index among the frame's faces, and whether it was lost before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Index among the frame's faces.
    pub face: usize,
    /// Whether it was out of view in the frame before.
    pub returned: bool,
}

/// Follows the face that `choice` picks; `None` for frames without it.
pub fn link(observations: &[Observation], choice: Choice) -> Vec<Option<Link>> {
    let mut state = State::default();
    observations.iter().map(|o| state.step(o, choice)).collect()
}

#[derive(Default)]
struct State {
    /// The face's box as last seen.
    last: Option<Rect>,
    /// Frames without the face since then.
    lost: usize,
    /// Where other people's faces were when they were last seen.
    others: Vec<Other>,
    /// Who is followed: the sum of the identities seen so far.
    identity: Option<FaceEmbedding>,
}

/// A face that is not the one followed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Other {
    rect: Rect,
    /// Frames since it was seen.
    age: usize,
}

impl State {
    fn step(&mut self, frame: &Observation, choice: Choice) -> Option<Link> {
        let found = match self.last {
            None => self.start(frame, choice),
            Some(last) => self.search(frame, &last),
        };
        match found {
            Some(link) => {
                let seen = &frame.faces[link.face];
                self.last = Some(seen.detection.rect);
                self.lost = 0;
                if let Some(new) = seen.fitted.as_ref().and_then(|f| f.identity.as_ref()) {
                    match &mut self.identity {
                        Some(sum) => sum.0.iter_mut().zip(&new.0).for_each(|(s, n)| *s += n),
                        None => self.identity = Some(new.clone()),
                    }
                }
            }
            None if self.last.is_some() => self.lost += 1,
            None => {}
        }
        found
    }

    /// The shot's first face.
    fn start(&mut self, frame: &Observation, choice: Choice) -> Option<Link> {
        // Among those that can be used: a speck that counts as a face must not hide the one that is meant.
        let open: Vec<usize> = (0..frame.faces.len()).filter(|&i| frame.faces[i].fitted.is_some()).collect();
        let faces: Vec<Detection> = open.iter().map(|&i| frame.faces[i].detection.clone()).collect();
        let face = open[choice.pick(&faces)?];
        let others = frame.faces.iter().enumerate().filter(|(i, _)| *i != face);
        self.others = others.map(|(_, f)| Other { rect: f.detection.rect, age: 0 }).collect();
        Some(Link { face, returned: false })
    }

    /// The face in a frame after it was seen at `last`.
    fn search(&mut self, frame: &Observation, last: &Rect) -> Option<Link> {
        let rects: Vec<Rect> = frame.faces.iter().map(|f| f.detection.rect).collect();
        let lost = self.lost > 0;
        let growth = 1.0 + REACH_GROWTH * self.lost as f32;
        // Somebody who is known by face may come back from anywhere, others only where they can have got to.
        let limits = match (lost, &self.identity) {
            (true, Some(_)) => (f32::INFINITY, f32::INFINITY),
            _ => (REACH * growth, SIZE_CHANGE * growth),
        };
        let mut open: Vec<usize> = (0..rects.len()).collect();
        let mut found = None;
        while let Some(i) = nearest(&rects, &open, last, &self.others, limits, lost) {
            open.retain(|&k| k != i);
            if self.may_be(frame, i, last) {
                found = Some(i);
                break;
            }
        }
        let rest: Vec<Rect> = (0..rects.len()).filter(|&i| Some(i) != found).map(|i| rects[i]).collect();
        // Without the face itself, a new one may be it, jumped: then nobody is noted as another person.
        remember(&mut self.others, &rest, found.is_some());
        found.map(|face| Link { face, returned: lost })
    }

    /// Whether a face can be used and is not known to be somebody else's.
    fn may_be(&self, frame: &Observation, i: usize, last: &Rect) -> bool {
        let Some(fitted) = &frame.faces[i].fitted else { return false };
        let (Some(known), Some(identity)) = (&self.identity, &fitted.identity) else { return true };
        let rect = &frame.faces[i].detection.rect;
        let steady = self.lost == 0 && distance(rect, last) <= STEADY.0 && size_change(rect, last) <= STEADY.1;
        known.similarity(identity) >= if steady { OTHER_PERSON } else { SAME_PERSON }
    }
}

/// The `open` face nearest to `expected` that is within reach of it and is not somebody else's: nearer to where another
/// person was, or, where `expected` is `stale` and the others' places are not, what another person can have become.
fn nearest(
    faces: &[Rect],
    open: &[usize],
    expected: &Rect,
    others: &[Other],
    (reach, change): (f32, f32),
    stale: bool,
) -> Option<usize> {
    let mut taken = vec![false; faces.len()];
    for other in others.iter().filter(|o| stale && o.age <= FRESH) {
        let near = |i: usize| distance(&faces[i], &other.rect);
        let closest = (0..faces.len()).filter(|&i| !taken[i]).min_by(|&a, &b| near(a).total_cmp(&near(b)));
        if let Some(i) = closest.filter(|&i| near(i) <= 0.6 * REACH) {
            taken[i] = true;
        }
    }
    let free = |rect: &Rect| {
        let mine = distance(rect, expected);
        let somebody = others.iter().map(|o| distance(rect, &o.rect)).fold(f32::INFINITY, f32::min);
        mine <= reach && size_change(rect, expected) <= change && (somebody > REACH || mine <= somebody)
    };
    let candidates = open.iter().copied().filter(|&i| !taken[i] && free(&faces[i]));
    candidates.min_by(|&a, &b| distance(&faces[a], expected).total_cmp(&distance(&faces[b], expected)))
}

/// Brings the places of other people's faces up to date with what was just seen of them; `add` notes faces that were
/// not known.
fn remember(others: &mut Vec<Other>, faces: &[Rect], add: bool) {
    others.iter_mut().for_each(|o| o.age += 1);
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (i, other) in others.iter().enumerate() {
        pairs.extend(faces.iter().enumerate().map(|(k, face)| (distance(face, &other.rect), i, k)));
    }
    pairs.retain(|p| p.0 <= REACH);
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut new = vec![true; faces.len()];
    for (_, i, k) in pairs {
        if others[i].age > 0 && new[k] {
            others[i] = Other { rect: faces[k], age: 0 };
            new[k] = false;
        }
    }
    if add {
        others.extend((0..faces.len()).filter(|&k| new[k]).map(|k| Other { rect: faces[k], age: 0 }));
    }
    others.retain(|o| o.age <= FORGET_OTHERS);
}

fn side(r: &Rect) -> f32 {
    (0.5 * (r.width() + r.height())).max(1e-6)
}

/// Distance of the centres, in sides of `of`.
pub(super) fn distance(r: &Rect, of: &Rect) -> f32 {
    let ([ax, ay], [bx, by]) = (r.center(), of.center());
    (ax - bx).hypot(ay - by) / side(of)
}

/// The larger side over the smaller one.
pub(super) fn size_change(a: &Rect, b: &Rect) -> f32 {
    let ratio = side(a) / side(b);
    ratio.max(1.0 / ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::observe::{Fitted, Seen};
    use crate::morphable::{Fit, Params};

    /// A face: its middle, its side, and, where identities are known, whose it is.
    fn face(x: f32, y: f32, side: f32, who: Option<usize>) -> Seen {
        let r = side / 2.0;
        let rect = Rect { x0: x - r, y0: y - r, x1: x + r, y1: y + r };
        let identity = who.map(|who| FaceEmbedding((0..8).map(|i| f32::from(u8::from(i == who))).collect()));
        let params = Params { camera: [0.0; 12], shape: vec![], expr: vec![] };
        let fitted =
            Fitted { fit: Fit { params, roi: rect }, agreement: 1.0, plausibility: 1.0, identity, dense: None };
        Seen { detection: Detection { rect, score: 0.9, landmarks5: None }, fitted: Some(fitted) }
    }

    fn frame(faces: &[Seen]) -> Observation {
        Observation { faces: faces.to_vec() }
    }

    struct Run(State, Choice);

    impl Run {
        fn new() -> Run {
            Run(State::default(), Choice::Largest)
        }
        /// The middle of the face that is followed in a frame with these faces, and whether it returned.
        fn see(&mut self, faces: &[Seen]) -> Option<([f32; 2], bool)> {
            let link = self.0.step(&frame(faces), self.1)?;
            Some((faces[link.face].detection.rect.center(), link.returned))
        }
    }

    #[test]
    fn follows_loses_and_finds_again() {
        let mut run = Run::new();
        assert_eq!(run.see(&[]), None);
        for i in 0..20 {
            let x = 100.0 + 30.0 * i as f32;
            assert_eq!(run.see(&[face(x, 150.0, 80.0, None)]), Some(([x, 150.0], false)));
        }
        for _ in 0..5 {
            assert_eq!(run.see(&[]), None);
        }
        assert_eq!(run.see(&[face(690.0, 150.0, 80.0, None)]), Some(([690.0, 150.0], true)));
        assert_eq!(run.see(&[face(700.0, 150.0, 80.0, None)]), Some(([700.0, 150.0], false)));
    }

    #[test]
    fn a_far_jump_is_found_after_a_while() {
        let mut run = Run::new();
        run.see(&[face(100.0, 150.0, 80.0, None)]);
        // 300 pixels are 3.75 sides: reached once the search has grown to that.
        let lost = (0..).take_while(|_| run.see(&[face(400.0, 150.0, 80.0, None)]).is_none()).count();
        assert!((25..35).contains(&lost), "{lost}");
    }

    #[test]
    fn does_not_jump_to_another_person() {
        let mut run = Run::new();
        let (mine, other) = (face(200.0, 150.0, 100.0, None), face(400.0, 150.0, 80.0, None));
        assert_eq!(run.see(&[other.clone(), mine]).unwrap().0, [200.0, 150.0]);
        // Mine leaves; the other one stays, for far longer than it takes the search to reach her.
        for _ in 0..60 {
            assert_eq!(run.see(std::slice::from_ref(&other)), None);
        }
        // She wanders over to where mine was: still somebody else.
        for i in 0..25 {
            assert_eq!(run.see(&[face(400.0 - 8.0 * i as f32, 150.0, 80.0, None)]), None, "step {i}");
        }
        // Mine comes back beside her.
        let (mine, other) = (face(330.0, 150.0, 100.0, None), face(208.0, 150.0, 80.0, None));
        assert_eq!(run.see(&[other, mine]), Some(([330.0, 150.0], true)));
    }

    #[test]
    fn identities_refuse_newcomers() {
        let mut run = Run::new();
        run.see(&[face(200.0, 150.0, 100.0, Some(0))]);
        // A cut: somebody else at the same position.
        assert_eq!(run.see(&[face(203.0, 150.0, 100.0, Some(3))]), None);
        for _ in 0..40 {
            run.see(&[]);
        }
        for _ in 0..5 {
            assert_eq!(run.see(&[face(210.0, 150.0, 100.0, Some(3))]), None);
        }
        // The right one comes back at the other end of the picture.
        let (stranger, mine) = (face(210.0, 150.0, 100.0, Some(3)), face(560.0, 150.0, 100.0, Some(0)));
        assert_eq!(run.see(&[stranger, mine]), Some(([560.0, 150.0], true)));
    }

    #[test]
    fn the_choice_decides_at_the_start_only() {
        let mut run = Run(State::default(), Choice::Index(1));
        let left = face(100.0, 100.0, 60.0, None);
        assert_eq!(run.see(std::slice::from_ref(&left)), None, "there is no second face yet");
        assert_eq!(run.see(&[face(300.0, 100.0, 60.0, None), left.clone()]).unwrap().0, [300.0, 100.0]);
        // A third face in between makes the followed one number two from the left.
        let more = [left, face(200.0, 100.0, 60.0, None), face(305.0, 100.0, 60.0, None)];
        for _ in 0..25 {
            assert_eq!(run.see(&more).unwrap().0, [305.0, 100.0]);
        }
    }

    #[test]
    fn faces_without_a_fit_are_not_followed() {
        let unfit = Seen { fitted: None, ..face(100.0, 100.0, 10.0, None) };
        assert_eq!(link(&[frame(std::slice::from_ref(&unfit))], Choice::Largest), [None]);
        // Nor do they stand in the way of the others.
        let both = frame(&[unfit, face(300.0, 100.0, 80.0, None)]);
        for choice in [Choice::NearestTo([100.0, 100.0]), Choice::Index(0)] {
            assert_eq!(
                link(std::slice::from_ref(&both), choice),
                [Some(Link { face: 1, returned: false })],
                "{choice:?}"
            );
        }
    }
}
