//! Which windows there are, where they lie on a face, and what is drawn of it in them.

use super::contours::Canvas;
use super::map::WindowMap;
use crate::Result;
use crate::morphable::Morphable;
use crate::morphable::dense::{DenseHead, POINTS};
use crate::nets::window;
use crate::reenact::draft::step;

/// Drawn channels of each window.
pub const CONTOURS: usize = 4;
/// A window whose pixels are larger than this many of the picture's, seen the other way: below, there is nothing to paint on.
const LARGEST: f32 = 4.0;
/// An eye is left alone where its width is this share of what it is from the front, and painted in full from the second on.
const FORESHORTENED: [f32; 2] = [0.4, 0.6];
/// Width of an eye of the mean head, millimetres.
const EYE_WIDTH: f32 = 24.0;
/// Window pixels in a millimetre of the mean head in the mouth's window, and where its middle lies on that head.
const MOUTH_SCALE: f32 = 1.2;
const MOUTH_MIDDLE: [f32; 2] = [0.0, -53.0];

/// A window. Left and right are the face's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Part {
    /// The right eye, at the picture's left.
    RightEye,
    /// The left eye; its window is the mirror image, so that one network paints both.
    LeftEye,
    /// The mouth, from the nose's base to the chin.
    Mouth,
}

/// Points that no expression moves far, and where they lie on the mean head, millimetres: x to the picture's right, y up.
const STEADY: [(usize, [f32; 2]); 7] = [
    (33, [-43.0, 26.0]),
    (263, [43.0, 26.0]),
    (133, [-19.0, 25.5]),
    (362, [19.0, 25.5]),
    (98, [-15.2, -17.0]),
    (327, [15.2, -17.0]),
    (2, [0.0, -18.7]),
];

/// The points of an eye: its corners, outer first, lids from corner to corner, iris and its rim, creases, brow.
struct Eye {
    corners: [usize; 2],
    upper: [usize; 7],
    lower: [usize; 7],
    iris: [usize; 5],
    above: [usize; 7],
    below: [usize; 7],
    brow: [usize; 5],
}

const EYES: [Eye; 2] = [
    Eye {
        corners: [33, 133],
        upper: [246, 161, 160, 159, 158, 157, 173],
        lower: [7, 163, 144, 145, 153, 154, 155],
        iris: [468, 469, 470, 471, 472],
        above: [247, 30, 29, 27, 28, 56, 190],
        below: [25, 110, 24, 23, 22, 26, 112],
        brow: [70, 63, 105, 66, 107],
    },
    Eye {
        corners: [263, 362],
        upper: [466, 388, 387, 386, 385, 384, 398],
        lower: [249, 390, 373, 374, 380, 381, 382],
        iris: [473, 474, 475, 476, 477],
        above: [467, 260, 259, 257, 258, 286, 414],
        below: [255, 339, 254, 253, 252, 256, 341],
        brow: [300, 293, 334, 296, 336],
    },
];
/// Where the outer and the inner corner lie in an eye's window.
const CORNERS: [[f32; 2]; 2] = [[14.0, 36.0], [50.0, 36.0]];

/// The rims of the lips, around.
const OUTER_LIPS: [usize; 20] =
    [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185];
const INNER_LIPS: [usize; 20] =
    [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191];
const JAW: [usize; 17] = [132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361];
/// From the nose past the corners of the mouth, and below the lip.
const FOLDS: [&[usize]; 3] = [&[129, 203, 206, 216], &[358, 423, 426, 436], &[83, 18, 313]];

/// Where a window lies in a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// From its pixels to the picture's.
    pub map: WindowMap,
    /// How much of it counts, 0..1: less for an eye that is seen from its side.
    pub weight: f32,
}

impl Part {
    /// All of them.
    pub const ALL: [Part; 3] = [Part::RightEye, Part::LeftEye, Part::Mouth];

    /// The name of its network in packs.
    pub fn network(self) -> &'static str {
        if self == Part::Mouth { "mouth" } else { "eye" }
    }

    /// Side in pixels.
    pub fn side(self) -> usize {
        if self == Part::Mouth { window::MOUTH.side } else { window::EYE.side }
    }

    /// Where it lies on a face of a picture, whose points are `points`. `None` where the face is too small or none.
    pub fn place(self, points: &FacePoints) -> Option<Placement> {
        let middle = 0.5 * (self.side() as f32 - 1.0);
        let steady = STEADY.map(|(i, mm)| {
            let x = middle + MOUTH_SCALE * (mm[0] - MOUTH_MIDDLE[0]);
            ([x, middle - MOUTH_SCALE * (mm[1] - MOUTH_MIDDLE[1])], points[i])
        });
        let face = WindowMap::fit(&steady)?;
        let (map, weight) = match self {
            Part::Mouth => (face, 1.0),
            _ => {
                let left = self == Part::LeftEye;
                let corners = EYES[usize::from(left)].corners.map(|i| points[i]);
                let side = self.side() as f32;
                let at = |k: usize| [if left { side - 1.0 - CORNERS[k][0] } else { CORNERS[k][0] }, CORNERS[k][1]];
                let map = WindowMap::fit(&[(at(0), corners[0]), (at(1), corners[1])])?;
                let width = (corners[1][0] - corners[0][0]).hypot(corners[1][1] - corners[0][1]);
                let share = width / (face.scale() * MOUTH_SCALE * EYE_WIDTH);
                let map = if left { map.mirrored(self.side()) } else { map };
                (map, step(FORESHORTENED[0], FORESHORTENED[1], share))
            }
        };
        (map.scale() * LARGEST > 1.0).then_some(Placement { map, weight })
    }

    /// What is drawn of a face in the window: [`CONTOURS`] planes of 0..1. Of an eye the opening, the iris, the creases above and below, the
    /// brow; of the mouth the lips, what is between them, the jaw's line, the folds.
    pub fn contours(self, points: &FacePoints, map: &WindowMap) -> Vec<f32> {
        let side = self.side();
        let at = |i: usize| map.to_window(points[i]);
        let line = |ids: &mut dyn Iterator<Item = usize>| -> Vec<[f32; 2]> { ids.map(at).collect() };
        let mut planes = [(); CONTOURS].map(|()| Canvas::new(side));
        match self {
            Part::Mouth => {
                planes[0].fill(&OUTER_LIPS.map(at));
                planes[1].fill(&INNER_LIPS.map(at));
                planes[2].stroke(&JAW.map(at), 3.0);
                FOLDS.iter().for_each(|fold| planes[3].stroke(&line(&mut fold.iter().copied()), 3.0));
            }
            _ => {
                let eye = &EYES[usize::from(self == Part::LeftEye)];
                let [outer, inner] = eye.corners;
                let upper = [outer].into_iter().chain(eye.upper).chain([inner]);
                planes[0].fill(&line(&mut upper.chain(eye.lower.into_iter().rev())));
                let iris = eye.iris.map(at);
                let away = |p: &[f32; 2]| (p[0] - iris[0][0]).hypot(p[1] - iris[0][1]);
                planes[1].disc(iris[0], iris[1..].iter().map(away).sum::<f32>() / 4.0);
                for crease in [eye.above, eye.below] {
                    planes[2].stroke(&line(&mut [outer].into_iter().chain(crease).chain([inner])), 2.0);
                }
                planes[3].stroke(&eye.brow.map(at), 3.0);
            }
        }
        planes.into_iter().flat_map(Canvas::into_values).collect()
    }
}

/// The 478 points of a mesh in a picture.
pub type FacePoints = [[f32; 2]; POINTS];

/// Where the 478 points lie on every mesh of a model.
#[derive(Debug, Clone)]
pub struct PointPlaces(Vec<([u32; 3], [f32; 3])>);

impl PointPlaces {
    /// Finds them.
    ///
    /// # Errors
    /// As [`DenseHead::new`]: the model must have ARKit's shapes.
    pub fn new(model: &Morphable) -> Result<PointPlaces> {
        let head = DenseHead::new(model)?;
        Ok(PointPlaces((0..POINTS).map(|i| head.place_of(i)).collect()))
    }

    /// The points of a mesh of that model.
    pub fn of(&self, vertices: &[[f32; 3]]) -> Box<FacePoints> {
        let mut out = Box::new([[0.0; 2]; POINTS]);
        for (p, (corners, shares)) in out.iter_mut().zip(&self.0) {
            for (v, share) in corners.iter().zip(shares) {
                let v = vertices[*v as usize];
                p[0] += share * v[0];
                p[1] += share * v[1];
            }
        }
        out
    }
}
