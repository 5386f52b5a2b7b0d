//! How far each eye is closed: the second stage of the procedural head's regressor. It sees a crop of each eye, whose position and size
//! come from the first stage ([`crate::nets::lids`]).
//!
//! An eye's picture is 24 rows of 32 pixels: level with the head's x axis, its middle between the eye's corners as they would be with open
//! lids, 1.7 times as wide as the eye is long (in space, so that turning away makes the eye narrower in it), its outer corner to the left.

use super::bgr::{self, Pixels};
use crate::error::{Error, Result};
use crate::morphable::canonical::ExpressionMode;
use crate::morphable::{Euler, Fit, ImageCamera, Morphable, pose};
use crate::nets::lids::{CHANNELS, HINTS, SIZE};

/// Landmarks of each eye, that on the picture's left first: the outer corner, upper lid outside and inside, the inner corner, lower lid inside and outside.
pub const EYES: [[usize; 6]; 2] = [[36, 37, 38, 39, 40, 41], [45, 44, 43, 42, 47, 46]];
/// Width of an eye's picture, in the eye's lengths.
const AROUND: f64 = 1.7;
/// Samples of the source along each axis of a pixel, at most.
const FINEST: f64 = 6.0;
/// What makes each hint about as large as a pixel's values.
const DEGREES: f32 = 30.0;
const GAP: f32 = 4.0;

/// A coefficient of an eye, and where its landmarks are: mean and what each coefficient does, in model units.
#[derive(Debug, Clone)]
struct Eye {
    /// The expression coefficient that closes it.
    blink: usize,
    mean: [[f64; 3]; 6],
    /// For each landmark and axis, each identity and expression coefficient's displacement.
    basis: [[Vec<f64>; 3]; 6],
}

/// Where the eyes of a model are, and which coefficients close them.
#[derive(Debug, Clone)]
pub struct Lids {
    eyes: [Eye; 2],
}

/// Both eyes of a face as the network sees them, that with the landmarks 36 to 41 first.
#[derive(Debug, Clone, PartialEq)]
pub struct EyeCrop {
    /// Blue, green and red planes of 24 x 32, 8 bits, the outer corner to the left.
    pub pixels: [Vec<u8>; 2],
    /// How far this eye and the other are closed by the fit, how far this one would be open (a fourth of its length is 1), yaw and
    /// pitch (30 degrees are 1; yaw as if this eye were that on the left).
    pub hints: [[f32; HINTS]; 2],
}

impl EyeCrop {
    /// The network's input: `[2, CHANNELS, 24, 32]`.
    pub fn input(&self) -> Vec<f32> {
        let area = SIZE[0] * SIZE[1];
        let mut out = Vec::with_capacity(2 * CHANNELS * area);
        for i in 0..2 {
            let both = self.pixels[i].iter().chain(&self.pixels[1 - i]);
            out.extend(both.map(|v| (f32::from(*v) - 127.5) / 128.0));
            out.extend(self.hints[i].iter().flat_map(|hint| std::iter::repeat_n(*hint, area)));
        }
        out
    }
}

/// An eye in a picture.
struct Place {
    middle: [f64; 2],
    /// From one pixel of the eye's picture to the next, along its columns and rows, in the source's pixels.
    across: [f64; 2],
    down: [f64; 2],
    /// How far it would be open, in its lengths.
    gap: f32,
}

impl Lids {
    /// For a model whose expressions close each eye by itself, as the procedural head's do.
    ///
    /// # Errors
    /// [`Error::Model`] where it has no such expressions, or other landmarks.
    pub fn new(model: &Morphable) -> Result<Lids> {
        let blinks = [ExpressionMode::BlinkLeft as usize, ExpressionMode::BlinkRight as usize];
        let none = || {
            Error::Model(
                "the morphable model has no lids, which only this project's own head has; use the regressor and the model of one pack"
                    .into(),
            )
        };
        if model.landmarks.len() != 68 || model.expr_dim <= blinks[0].max(blinks[1]) {
            return Err(none());
        }
        let row = |landmark: usize, axis: usize| 3 * model.landmarks[landmark] as usize + axis;
        let height = |landmark: usize| model.mean[row(landmark, 1)];
        // How far a coefficient of 1 lets an eye's upper lid fall, in shares of how far it is open.
        let falls = |eye: [usize; 6], blink: usize| -> f32 {
            let open = height(eye[1]) + height(eye[2]) - height(eye[4]) - height(eye[5]);
            let fall = |landmark: usize| -model.expr_basis[row(landmark, 1) * model.expr_dim + blink];
            (fall(eye[1]) + fall(eye[2])) / open
        };
        let closer = |eye: usize| {
            let is = |blink: &usize| falls(EYES[eye], *blink) > 0.5 && falls(EYES[1 - eye], *blink).abs() < 0.1;
            blinks.into_iter().find(is)
        };
        let (Some(first), Some(second)) = (closer(0), closer(1)) else { return Err(none()) };
        let eye = |landmarks: [usize; 6], blink: usize| {
            let basis = |landmark: usize, axis: usize| -> Vec<f64> {
                let row = row(landmark, axis);
                let shape = &model.shape_basis[row * model.shape_dim..][..model.shape_dim];
                let expr = &model.expr_basis[row * model.expr_dim..][..model.expr_dim];
                shape.iter().chain(expr).map(|&v| f64::from(v)).collect()
            };
            Eye {
                blink,
                mean: landmarks.map(|l| [0, 1, 2].map(|axis| f64::from(model.mean[row(l, axis)]))),
                basis: landmarks.map(|l| [0, 1, 2].map(|axis| basis(l, axis))),
            }
        };
        Ok(Lids { eyes: [eye(EYES[0], first), eye(EYES[1], second)] })
    }

    /// How far a face's eyes are closed: that with the landmarks 36 to 41 first.
    pub fn closed(&self, expr: &[f32]) -> [f32; 2] {
        [0, 1].map(|i| expr[self.eyes[i].blink])
    }

    /// Says how far they are closed.
    pub fn set(&self, expr: &mut [f32], closed: [f32; 2]) {
        for (eye, value) in self.eyes.iter().zip(closed) {
            expr[eye.blink] = value;
        }
    }

    /// The crops that the network takes of the face that `fit` found in `picture`; `None` where the fit gives no usable crop.
    pub fn look(&self, picture: &impl Pixels, fit: &Fit) -> Option<EyeCrop> {
        let camera = pose::fit_image_matrix(fit);
        let split = ImageCamera::from_matrix(&camera).ok()?;
        let (turn, scale) = (split.euler(), f64::from(split.scale));
        let places = [self.place(0, &camera, scale, fit)?, self.place(1, &camera, scale, fit)?];
        let closed = self.closed(&fit.params.expr);
        let hints = [0, 1].map(|i| hints(i, closed, places[i].gap, turn));
        let finite = hints.as_flattened().iter().all(|v| v.is_finite());
        finite.then(|| EyeCrop { pixels: [0, 1].map(|i| places[i].pixels(picture)), hints })
    }

    fn place(&self, number: usize, camera: &[f64; 12], scale: f64, fit: &Fit) -> Option<Place> {
        let eye = &self.eyes[number];
        let params = &fit.params;
        let coefficients = || params.shape.iter().chain(&params.expr).map(|&v| f64::from(v));
        let open = params.shape.len() + eye.blink;
        let points: [[f64; 3]; 6] = std::array::from_fn(|l| {
            std::array::from_fn(|axis| {
                let moved = coefficients().zip(&eye.basis[l][axis]).enumerate().filter(|(k, _)| *k != open);
                eye.mean[l][axis] + moved.map(|(_, (c, b))| c * b).sum::<f64>()
            })
        });
        let m = camera;
        let seen = points.map(|p| [0, 4].map(|r| m[r] * p[0] + m[r + 1] * p[1] + m[r + 2] * p[2] + m[r + 3]));
        let [a, b] = [points[0], points[3]];
        let length = scale * ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2) + (a[2] - b[2]).powi(2)).sqrt();
        let x_axis = m[0].hypot(m[4]);
        let step = AROUND * length / SIZE[1] as f64;
        if !(step.is_finite() && step > 1e-6 && step < 1e4 && x_axis > 1e-9) {
            return None;
        }
        let u = [m[0] / x_axis, m[4] / x_axis];
        let down = [-u[1], u[0]];
        // The outer corner to the left: the eye on the picture's right is seen in a mirror.
        let side = if number == 0 { 1.0 } else { -1.0 };
        let height = |l: usize| seen[l][0] * down[0] + seen[l][1] * down[1];
        let gap = 0.5 * (height(5) + height(4) - height(1) - height(2)) / length;
        Some(Place {
            middle: [0, 1].map(|c| 0.5 * (seen[0][c] + seen[3][c])),
            across: u.map(|v| v * step * side),
            down: down.map(|v| v * step),
            gap: gap as f32,
        })
    }
}

fn hints(eye: usize, closed: [f32; 2], gap: f32, turn: Euler) -> [f32; HINTS] {
    let side = if eye == 0 { 1.0 } else { -1.0 };
    [closed[eye], closed[1 - eye], GAP * gap, side * turn.yaw / DEGREES, turn.pitch / DEGREES]
}

impl Place {
    /// Blue, green and red planes; black outside the picture. Each pixel is a mean of as many samples as it spans pixels of
    /// the source.
    fn pixels(&self, source: &impl Pixels) -> Vec<u8> {
        let [height, width] = SIZE;
        let step = self.across[0].hypot(self.across[1]);
        let n = step.ceil().clamp(1.0, FINEST) as usize;
        let mut out = vec![0; 3 * height * width];
        for y in 0..height {
            for x in 0..width {
                let mut sum = [0.0f32; 3];
                for k in 0..n * n {
                    let within = |i: usize| (i as f64 + 0.5) / n as f64;
                    let dx = x as f64 + within(k % n) - 0.5 * width as f64;
                    let dy = y as f64 + within(k / n) - 0.5 * height as f64;
                    let at = [0, 1].map(|c| self.middle[c] + dx * self.across[c] + dy * self.down[c]);
                    let value = bgr::bilinear(source, at.map(|v| v as f32));
                    (0..3).for_each(|c| sum[c] += value[c]);
                }
                for (c, sum) in sum.into_iter().enumerate() {
                    out[(c * height + y) * width + x] = (255.0 * sum / (n * n) as f32 + 0.5) as u8;
                }
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::face::bgr::Bgr8;
    use crate::frame::Rect;
    use crate::morphable::Params;
    use crate::synthetic::head;

    const SIDE: usize = 200;
    const ROW: usize = SIZE[0] / 2 * SIZE[1];

    /// The mean head, turned, in the middle of a picture.
    fn fit(turned: Euler) -> Fit {
        let camera = ImageCamera::new(0.001, turned.rotation(), [100.0, 100.0, 0.0]);
        let roi = Rect { x0: 20.0, y0: 20.0, x1: 180.0, y1: 180.0 };
        let camera = camera.to_fit_camera(&roi).unwrap();
        Fit { params: Params { camera, shape: vec![0.0; 40], expr: vec![0.0; 10] }, roi }
    }

    /// Blue is the column, green the row.
    fn places() -> Bgr8 {
        let data = (0..SIDE * SIDE).flat_map(|i| [(i % SIDE) as u8, (i / SIDE) as u8, 0]).collect();
        Bgr8 { width: SIDE, height: SIDE, data }
    }

    fn landmark(fit: &Fit, i: usize) -> [f32; 2] {
        let model = head();
        let v = 3 * model.landmarks[i] as usize;
        ImageCamera::from_fit(fit).unwrap().project([model.mean[v], model.mean[v + 1], model.mean[v + 2]])
    }

    #[test]
    fn each_eye_lies_in_the_middle_with_its_outer_corner_left() {
        let lids = Lids::new(&head()).unwrap();
        for turned in [Euler::default(), Euler { yaw: 25.0, pitch: -8.0, roll: 15.0 }] {
            let fit = fit(turned);
            let look = lids.look(&places(), &fit).unwrap();
            for (pixels, corners) in look.pixels.iter().zip([[36, 39], [45, 42]]) {
                let [outer, inner] = corners.map(|i| landmark(&fit, i));
                let blue = |column: usize| f32::from(pixels[ROW + column]);
                let green = &pixels[SIZE[0] * SIZE[1]..][ROW..][..SIZE[1]];
                let middle = 0.5 * (blue(15) + blue(16));
                assert!((middle - 0.5 * (outer[0] + inner[0])).abs() < 1.5, "{middle} {outer:?} {inner:?}");
                assert!((f32::from(green[16]) - 0.5 * (outer[1] + inner[1])).abs() < 1.5);
                // From the outer corner to the inner one, and as far beyond each as it says.
                assert_eq!((blue(31) - blue(0)).signum(), (inner[0] - outer[0]).signum());
                if turned == Euler::default() {
                    let width = (blue(31) - blue(0)).abs() * 32.0 / 31.0 / (inner[0] - outer[0]).abs();
                    assert!((1.5..1.75).contains(&width), "{width}");
                }
            }
        }
    }

    #[test]
    fn a_mirrored_face_has_its_eyes_swapped() {
        let lids = Lids::new(&head()).unwrap();
        // Two sorts of smooth structure.
        let wave = |x: f32, y: f32| [90.0 + 60.0 * (0.2 * x).sin(), 90.0 + 60.0 * (0.15 * y + 0.1 * x).cos(), 1.2 * x];
        let picture = |mirrored: bool| {
            let at = |i: usize| {
                let x = if mirrored { SIDE - i % SIDE } else { i % SIDE };
                wave(x as f32, (i / SIDE) as f32).map(|v| v.clamp(0.0, 255.0) as u8)
            };
            Bgr8 { width: SIDE, height: SIDE, data: (0..SIDE * SIDE).flat_map(at).collect() }
        };
        let turned = |yaw: f32, roll: f32| fit(Euler { yaw, pitch: 5.0, roll });
        let one = lids.look(&picture(false), &turned(20.0, 6.0)).unwrap();
        let two = lids.look(&picture(true), &turned(-20.0, -6.0)).unwrap();
        for i in 0..2 {
            let apart = one.pixels[i].iter().zip(&two.pixels[1 - i]).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(apart <= 3, "{apart}");
            for (a, b) in one.hints[i].iter().zip(two.hints[1 - i]) {
                assert!((a - b).abs() < 1e-2, "{:?} {:?}", one.hints, two.hints);
            }
        }
        assert!(one.hints[0][3] * one.hints[1][3] < 0.0, "{:?}", one.hints);
    }

    #[test]
    fn coefficients_are_those_of_the_eye_that_is_seen() {
        let model = head();
        let lids = Lids::new(&model).unwrap();
        let mut expr = vec![0.0; 10];
        lids.set(&mut expr, [0.25, 0.5]);
        assert_eq!(lids.closed(&expr), [0.25, 0.5]);
        // The first is the eye with the landmarks 36 to 41.
        let fall = |landmark: usize| -> f32 {
            let row = (3 * model.landmarks[landmark] as usize + 1) * model.expr_dim;
            expr.iter().zip(&model.expr_basis[row..]).map(|(c, b)| c * b).sum()
        };
        assert!(fall(37) < 0.0 && (fall(44) / fall(37) - 2.0).abs() < 0.1, "{} {}", fall(37), fall(44));
        // Neither moves the crops, but both change the hints.
        let mut closed = fit(Euler::default());
        closed.params.expr.clone_from(&expr);
        let [open, closed] = [fit(Euler::default()), closed].map(|fit| lids.look(&places(), &fit).unwrap());
        assert_eq!(open.pixels, closed.pixels);
        assert_eq!(closed.hints.map(|h| [h[0], h[1]]), [[0.25, 0.5], [0.5, 0.25]]);
        assert_eq!(open.hints.map(|h| h[2]), closed.hints.map(|h| h[2]));
        assert!((0.6..1.8).contains(&open.hints[0][2]), "{:?}", open.hints);
    }

    #[test]
    fn a_look_is_the_networks_input() {
        let look = Lids::new(&head()).unwrap().look(&places(), &fit(Euler::default())).unwrap();
        let (input, area) = (look.input(), SIZE[0] * SIZE[1]);
        assert_eq!(input.len(), 2 * CHANNELS * area);
        // The own eye, the other one, the hints; then the same from the other eye's side.
        let value = |item: usize, channel: usize| input[(item * CHANNELS + channel) * area + 100];
        for c in 0..3 {
            assert_eq!(value(0, c), value(1, 3 + c));
            assert_eq!(value(0, c), (f32::from(look.pixels[0][c * area + 100]) - 127.5) / 128.0);
        }
        assert!((0..HINTS).all(|k| value(1, 6 + k) == look.hints[1][k]));
    }

    #[test]
    fn what_has_no_lids_is_refused_and_what_is_nowhere_is_not_seen() {
        let mut other = (*head()).clone();
        other.expr_basis.iter_mut().skip(ExpressionMode::BlinkRight as usize).step_by(10).for_each(|v| *v = 0.0);
        assert!(matches!(Lids::new(&other), Err(Error::Model(_))));
        other.expr_dim = 5;
        assert!(matches!(Lids::new(&other), Err(Error::Model(_))));
        let lids = Lids::new(&head()).unwrap();
        let mut away = fit(Euler::default());
        for value in [0.0, f32::NAN] {
            away.params.camera = [value; 12];
            assert_eq!(lids.look(&places(), &away), None);
        }
        // Beside the picture there is black.
        let mut beside = fit(Euler::default());
        beside.params.camera[3] += 1000.0;
        assert!(lids.look(&places(), &beside).unwrap().pixels.iter().flatten().all(|v| *v == 0));
    }
}
