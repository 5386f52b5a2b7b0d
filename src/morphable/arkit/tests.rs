//! What the shapes do on the project's own head and, where it is at hand, on 3DDFA-V2's.

use super::eyeballs::RADIUS;
use super::face::{Face, toward_left};
use super::sheet::posed;
use super::{Own, acting, iris_vertices};
use crate::Error;
use crate::morphable::arrays::{morphable_from, morphable_weights};
use crate::morphable::canonical::surface::P3;
use crate::morphable::rig::lines::{Place, vertex};
use crate::morphable::testkit::upstream_model;
use crate::morphable::{ArkitShape as S, Morphable};
use crate::pncc::Rasterizer;
use crate::synthetic::{acting_head, head};
use crate::weights::Data;
use nalgebra::Vector3;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

/// A model that acts, what it was made of, and how its mean face is described.
struct Subject {
    name: &'static str,
    base: Arc<Morphable>,
    model: Arc<Morphable>,
    place: Place,
    face: Face,
}

impl Subject {
    fn new(name: &'static str, base: Arc<Morphable>, model: Arc<Morphable>) -> Subject {
        let place = Place::new(&base).unwrap();
        let face = Face::new(&base, &place);
        Subject { name, base, model, place, face }
    }

    fn pose(&self, coefficients: &[(S, f32)]) -> Vec<P3> {
        (0..self.model.vertex_count()).map(|v| self.pose_of(v, coefficients)).collect()
    }

    fn pose_of(&self, v: usize, coefficients: &[(S, f32)]) -> P3 {
        posed(&self.model, &self.place, v, coefficients)
    }

    /// Where landmarks are, with an identity coefficient in standard deviations.
    fn landmarks(&self, coefficients: &[(S, f32)], identity: Option<(usize, f32)>) -> Vec<P3> {
        let m = &self.model;
        let shift = |v: usize| -> P3 {
            let Some((k, sd)) = identity else { return [0.0; 3] };
            std::array::from_fn(|c| f64::from(sd * m.shape_basis[(3 * v + c) * m.shape_dim + k]) * self.place.scale())
        };
        m.landmarks
            .iter()
            .map(|&v| {
                let (p, d) = (self.pose_of(v as usize, coefficients), shift(v as usize));
                std::array::from_fn(|c| p[c] + d[c])
            })
            .collect()
    }
}

fn own() -> Subject {
    Subject::new("own", head(), acting_head())
}

fn subjects() -> &'static [Subject] {
    static ALL: OnceLock<Vec<Subject>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = vec![own()];
        if let Some(base) = upstream_model() {
            let model = acting(&base, Own::Kept).unwrap();
            all.push(Subject::new("3ddfa-v2", Arc::new(base), Arc::new(model)));
        }
        all
    })
}

fn distance(a: P3, b: P3) -> f64 {
    (0..3).map(|c| (a[c] - b[c]).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn the_skin_stays_what_it_is() {
    for s in subjects() {
        let (base, model) = (&s.base, &s.model);
        let n = base.vertex_count();
        assert_eq!(model.skin_vertex_count(), n, "{}", s.name);
        assert_eq!(model.skin_triangles(), base.triangles);
        assert_eq!(model.landmarks, base.landmarks);
        assert_eq!(model.mean[..3 * n], base.mean);
        assert_eq!(model.ncc[..n], base.ncc);
        assert_eq!(model.shape_basis[..3 * n * model.shape_dim], base.shape_basis);
        let kept = model.expr_dim - S::COUNT;
        assert_eq!(kept, if s.name == "own" { 0 } else { base.expr_dim });
        for row in (0..3 * n).step_by(7) {
            assert_eq!(
                model.expr_basis[row * model.expr_dim..][..kept],
                base.expr_basis[row * base.expr_dim..][..kept]
            );
        }
        assert_eq!(model.arkit, (kept as u32..model.expr_dim as u32).collect::<Vec<_>>());
        assert!(model.param_mean.is_empty() && model.eyeballs > 0);
        assert!(acting(model, Own::Kept).is_err());
    }
}

#[test]
fn mirrored_shapes_are_mirror_images() {
    let s = own();
    let rest = s.pose(&[]);
    let key = |p: P3| p.map(|v| (v * 200.0).round() as i64);
    // Vertices that coincide (the iris' rim has two) move alike.
    let at: HashMap<[i64; 3], usize> = rest.iter().enumerate().map(|(v, p)| (key(*p), v)).collect();
    let mirror = |p: P3| {
        let k = key([-p[0], p[1], p[2]]);
        (-1..=1)
            .find_map(|x| (-1..=1).find_map(|y| (-1..=1).find_map(|z| at.get(&[k[0] + x, k[1] + y, k[2] + z]))))
            .copied()
    };
    let partners: Vec<usize> =
        rest.iter().map(|p| mirror(*p).unwrap_or_else(|| panic!("nothing opposite of {p:?}"))).collect();
    for &shape in S::ALL {
        let (a, b) = (s.pose(&[(shape, 1.0)]), s.pose(&[(shape.mirrored(), 1.0)]));
        for (v, &w) in partners.iter().enumerate() {
            let (d, e): (P3, P3) =
                (std::array::from_fn(|c| a[v][c] - rest[v][c]), std::array::from_fn(|c| b[w][c] - rest[w][c]));
            assert!(distance([-d[0], d[1], d[2]], e) < 1e-3, "{shape:?} at {:?}: {d:?} {e:?}", rest[v]);
        }
    }
}

/// Where a shape of the left moves the skin most (x and y from..to) and how far, millimetres; of shapes without a side on
/// either.
fn expected(shape: S) -> ([f64; 4], [f64; 2]) {
    const BROW: [f64; 4] = [0.0, 60.0, 36.0, 62.0];
    const LID: [f64; 4] = [20.0, 42.0, 17.0, 34.0];
    const CORNER: [f64; 4] = [18.0, 36.0, -50.0, -32.0];
    const LOWER: [f64; 4] = [0.0, 20.0, -56.0, -36.0];
    const UPPER: [f64; 4] = [0.0, 20.0, -42.0, -26.0];
    const LIPS: [f64; 4] = [0.0, 30.0, -54.0, -28.0];
    const CHIN: [f64; 4] = [0.0, 50.0, -92.0, -38.0];
    const CHEEK: [f64; 4] = [24.0, 58.0, -44.0, 20.0];
    match shape {
        S::EyeBlinkLeft => (LID, [4.0, 12.0]),
        S::EyeLookDownLeft => (LID, [1.5, 6.0]),
        S::EyeLookUpLeft => (LID, [0.8, 4.0]),
        S::EyeSquintLeft => (LID, [1.2, 5.2]),
        S::EyeWideLeft => (LID, [1.5, 4.5]),
        S::JawForward => (CHIN, [5.0, 8.0]),
        S::JawLeft => (CHIN, [6.0, 12.0]),
        S::JawOpen => (CHIN, [18.0, 32.0]),
        S::MouthClose => (LIPS, [12.0, 26.0]),
        S::MouthFunnel => (LIPS, [5.0, 11.0]),
        S::MouthPucker => (LIPS, [7.0, 14.0]),
        S::MouthLeft => (LIPS, [6.0, 12.0]),
        S::MouthSmileLeft => (CORNER, [9.0, 15.0]),
        S::MouthFrownLeft => (CORNER, [6.0, 11.0]),
        S::MouthDimpleLeft => (CORNER, [5.0, 10.0]),
        S::MouthStretchLeft => (CORNER, [7.0, 13.0]),
        S::MouthRollLower => (LOWER, [3.0, 8.0]),
        S::MouthRollUpper => (UPPER, [3.0, 8.0]),
        S::MouthShrugLower => (CHIN, [3.5, 8.0]),
        S::MouthShrugUpper => (UPPER, [3.0, 6.0]),
        S::MouthPressLeft => (LIPS, [1.5, 5.0]),
        S::MouthLowerDownLeft => (LOWER, [5.0, 9.0]),
        S::MouthUpperUpLeft => (UPPER, [5.0, 9.0]),
        S::BrowDownLeft => (BROW, [5.0, 10.0]),
        S::BrowInnerUp => (BROW, [6.0, 10.0]),
        S::BrowOuterUpLeft => ([30.0, 60.0, 36.0, 62.0], [6.0, 10.0]),
        S::CheekPuff => (CHEEK, [6.0, 12.0]),
        S::CheekSquintLeft => (CHEEK, [4.0, 8.0]),
        S::NoseSneerLeft => ([4.0, 24.0, -26.0, 20.0], [3.0, 7.0]),
        _ => ([-90.0, 90.0, -99.0, 99.0], [0.0, 0.0]),
    }
}

#[test]
fn shapes_act_on_their_part() {
    for s in subjects() {
        let rest = s.pose(&[]);
        let n = s.model.skin_vertex_count();
        for &shape in S::ALL {
            let right = shape.name().ends_with("Right");
            let ([x0, x1, y0, y1], [low, high]) = expected(if right { shape.mirrored() } else { shape });
            let moved = s.pose(&[(shape, 1.0)]);
            let (v, way) = (0..n).map(|v| (v, distance(rest[v], moved[v]))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            assert!((low..=high).contains(&way), "{} {shape:?}: {way:.2} mm where {low}..{high} is due", s.name);
            if high == 0.0 {
                continue;
            }
            let one_side =
                shape.mirrored() != shape && !matches!(shape, S::JawLeft | S::JawRight | S::MouthLeft | S::MouthRight);
            let p = rest[v];
            let x = if one_side { if right { -p[0] } else { p[0] } } else { p[0].abs() };
            assert!(x0 - 0.5 <= x && x <= x1 && y0 <= p[1] && p[1] <= y1, "{} {shape:?}: moves most at {p:?}", s.name);
            // What is on one side leaves the other alone: beyond the middle, and its eye.
            if one_side {
                for v in 0..n {
                    let x = if right { -rest[v][0] } else { rest[v][0] };
                    let d = distance(rest[v], moved[v]);
                    assert!(x > -14.0 || d < 0.06 * way, "{} {shape:?}: {d:.2} mm at {:?}", s.name, rest[v]);
                }
            }
            // The outline and the forehead's edge stand, but for the jaw.
            for v in (0..n).filter(|&v| rest[v][2] < 5.0) {
                assert!(distance(rest[v], moved[v]) < 0.1, "{} {shape:?} moves the back of the head", s.name);
            }
        }
    }
}

#[test]
fn shapes_of_the_mouth_leave_the_eyes_alone_and_those_of_the_eyes_the_mouth() {
    for s in subjects() {
        let rest = s.landmarks(&[], None);
        for &shape in S::ALL {
            let moved = s.landmarks(&[(shape, 1.0)], None);
            let far = |list: std::ops::Range<usize>| list.map(|i| distance(rest[i], moved[i])).fold(0.0, f64::max);
            let name = shape.name();
            if name.starts_with("mouth") || name.starts_with("jaw") || name.starts_with("brow") {
                assert!(far(36..48) < 0.4, "{} {name}: {:.2} mm at the eyes", s.name, far(36..48));
            }
            if name.starts_with("eye") || name.starts_with("brow") || name.starts_with("cheekSquint") {
                assert!(far(48..68) < 0.15, "{} {name}: {:.2} mm at the lips", s.name, far(48..68));
            }
            if name.starts_with("mouth") || name.starts_with("jaw") || name.starts_with("cheekSquint") {
                assert!(far(17..27) < 0.2, "{} {name}: {:.2} mm at the brows", s.name, far(17..27));
            }
        }
    }
}

#[test]
fn blinks_close_the_eyes() {
    let pairs = |left: bool| if left { [(43, 47), (44, 46)] } else { [(37, 41), (38, 40)] };
    for s in subjects() {
        for (shape, left) in [(S::EyeBlinkLeft, true), (S::EyeBlinkRight, false)] {
            let gap = |blink: f32, identity| {
                let l = s.landmarks(&[(shape, blink)], identity);
                pairs(left).map(|(a, b)| l[a][1] - l[b][1])
            };
            let rest = gap(0.0, None);
            for (g, open) in gap(1.0, None).into_iter().zip(rest) {
                assert!(g.abs() < 0.6 && open > 5.0, "{}: {g:.2} mm of {open:.2} remain", s.name);
            }
            // On 3DDFA-V2's the lids' landmarks lie within their rims, so that both go beyond.
            if s.name != "own" {
                continue;
            }
            // The upper lid goes nine tenths of the way.
            let upper = |blink: f32| s.landmarks(&[(shape, blink)], None)[pairs(left)[0].0][1];
            let share = (upper(0.0) - upper(1.0)) / rest[0];
            assert!((0.8..1.05).contains(&share), "{}: the upper lid goes {share:.2}", s.name);
            // Eyes wider than the mean's by one and a half deviations remain open by what they are wider (1.5 mm), and close
            // at coefficients that say so; narrower ones close earlier.
            for sd in [1.5, -1.5] {
                let identity = Some((22, sd));
                let (at_rest, at_one) = (gap(0.0, identity), gap(1.0, identity));
                for k in 0..2 {
                    let wider = at_rest[k] - rest[k];
                    assert!((at_one[k] - wider).abs() < 0.6 && wider.abs() < 2.5, "{sd}: {:.2} mm remain", at_one[k]);
                }
                let coefficient = (at_rest[0] + at_rest[1]) / (rest[0] + rest[1]);
                eprintln!("{sd} deviations: {at_one:.2?} mm remain at 1; closed at {coefficient:.2}");
                let closed = gap(coefficient as f32, identity);
                assert!(closed.iter().all(|g| g.abs() < 0.6), "{sd}: {closed:?}");
            }
        }
    }
}

#[test]
fn lips_meet_however_the_jaw_stands() {
    for s in subjects() {
        let gap = |jaw: f32, close: f32| {
            let l = s.landmarks(&[(S::JawOpen, jaw), (S::MouthClose, close)], None);
            [(61, 67), (62, 66), (63, 65)].map(|(a, b)| distance(l[a], l[b])).into_iter().fold(0.0, f64::max)
        };
        let (open, closed, half) = (gap(1.0, 0.0), gap(1.0, 1.0), gap(0.5, 0.5));
        eprintln!("{}: lips {open:.1} mm apart, closed {closed:.2}, half {half:.2}", s.name);
        // 3DDFA-V2's landmarks lie on the red beside the line where its lips touch at rest.
        let touching = if s.name == "own" { 0.0 } else { gap(0.0, 0.0) };
        assert!(open > 18.0 && closed < touching + 1.5, "{}: {open} {closed}", s.name);
        // Half way each: half of the gap at rest remains.
        assert!(half < touching.max(0.5 * gap(0.0, 0.0)) + 0.8, "{}: {half}", s.name);
        // And the chin hangs.
        let chin = |c: &[(S, f32)]| s.landmarks(c, None)[8][1];
        let (hangs, closed) = (chin(&[(S::JawOpen, 1.0)]), chin(&[(S::JawOpen, 1.0), (S::MouthClose, 1.0)]));
        assert!(closed - hangs < 2.0 && chin(&[]) - closed > 15.0, "{}: {hangs} {closed}", s.name);
    }
}

#[test]
fn eyes_look_where_they_are_told() {
    for s in subjects() {
        for left in [true, false] {
            let iris = iris_vertices(&s.model, left).unwrap();
            let centre = toward_left(s.face.ball(left).centre, left);
            let looks = |c: &[(S, f32)]| {
                let p = s.pose_of(iris.middle as usize, c);
                Vector3::from(p) - Vector3::from(centre)
            };
            let rest = looks(&[]);
            assert!((rest.norm() - RADIUS).abs() < 0.01 && rest.z > RADIUS - 0.01);
            for v in iris.rim.clone() {
                let r = Vector3::from(s.pose_of(v as usize, &[])) - Vector3::from(centre);
                assert!((r.x.hypot(r.y) - 5.9).abs() < 0.01 && (r.norm() - RADIUS).abs() < 0.01);
            }
            let [inward, outward, up, down] = if left {
                [S::EyeLookInLeft, S::EyeLookOutLeft, S::EyeLookUpLeft, S::EyeLookDownLeft]
            } else {
                [S::EyeLookInRight, S::EyeLookOutRight, S::EyeLookUpRight, S::EyeLookDownRight]
            };
            let side = if left { 1.0 } else { -1.0 };
            let toward = |yaw: f64, pitch: f64| {
                let (y, p) = (yaw.to_radians() * side, pitch.to_radians());
                Vector3::new(y.sin() * p.cos(), p.sin(), y.cos() * p.cos())
            };
            for (list, yaw, pitch, within) in [
                (vec![(inward, 1.0)], -25.0, 0.0, 1.5),
                (vec![(outward, 1.0)], 25.0, 0.0, 1.5),
                (vec![(outward, 0.5)], 12.5, 0.0, 1.5),
                (vec![(up, 1.0)], 0.0, 20.0, 1.5),
                (vec![(down, 1.0)], 0.0, -20.0, 1.5),
                (vec![(up, 1.0), (outward, 1.0)], 25.0, 20.0, 3.0),
                (vec![(down, 1.0), (inward, 1.0)], -25.0, -20.0, 3.0),
            ] {
                let off = looks(&list).angle(&toward(yaw, pitch)).to_degrees();
                assert!(off < within, "{} {list:?}: {off:.2} degrees off", s.name);
            }
            // The other eye stays.
            let other = iris_vertices(&s.model, !left).unwrap().middle as usize;
            assert_eq!(s.pose_of(other, &[(up, 1.0), (inward, 1.0)]), s.pose_of(other, &[]));
        }
    }
}

#[test]
fn closed_lids_hide_the_eyeballs() {
    // Pixels a millimetre.
    const FINE: f64 = 6.0;
    for s in subjects() {
        for (left, blink) in [(true, S::EyeBlinkLeft), (false, S::EyeBlinkRight)] {
            let side = if left { 1.0 } else { -1.0 };
            let [inner, outer] = s.face.lines.corners(left);
            let eye = [42, 45].map(|i| vertex(&s.base, s.base.landmarks[i])).map(|p| s.place.at(p)[1]);
            let middle = [0.5 * side * (inner + outer), 0.5 * (eye[0] + eye[1])];
            let skin = s.model.skin_triangles().len();
            let mut open = 0;
            for t in [0.0, 0.25, 0.5, 0.75, 1.0f32] {
                let at = s.pose(&[(blink, t)]);
                let size = (44.0 * FINE) as usize;
                let vertices: Vec<[f32; 3]> = at
                    .iter()
                    .map(|p| {
                        let (x, y) = (22.0 + p[0] - middle[0], 22.0 - p[1] + middle[1]);
                        [x * FINE, y * FINE, p[2] * FINE].map(|v| v as f32)
                    })
                    .collect();
                let mut raster = Rasterizer::single_thread();
                let rendered = raster.render(&vertices, &s.model.triangles, size, size).unwrap();
                let (mut shown, mut beyond) = (0, 0);
                rendered.for_each_hit(|pixel, hit| {
                    // The ball, not the socket around it.
                    if (hit.triangle as usize) < skin || rendered.interpolate(&hit, &s.model.ncc)[2] < 0.5 {
                        return;
                    }
                    shown += 1;
                    let (px, py) = ((pixel % size) as f64 / FINE, (pixel / size) as f64 / FINE);
                    let (x, y) = (side * (px - 22.0 + middle[0]), 22.0 - py + middle[1]);
                    // Where the lids are now.
                    let (upper, lower) = s.face.lines.lids(left, x);
                    let height = |share: f64| lower + (upper - lower) * share;
                    let (top, bottom) = (height(1.0 - 0.9 * f64::from(t)), height(0.1 * f64::from(t)));
                    beyond += usize::from(y > top + 0.7 || y < bottom - 0.7 || x < inner - 0.5 || x > outer + 0.5);
                });
                if t == 0.0 {
                    open = shown;
                }
                eprintln!(
                    "{} blink {t}: {:.1} mm2 of the ball, {:.2} beyond the lids",
                    s.name,
                    f64::from(shown as u32) / FINE.powi(2),
                    beyond as f64 / FINE.powi(2)
                );
                assert!(
                    beyond as f64 <= 0.3 * FINE.powi(2),
                    "{} {blink:?} {t}: {beyond} pixels through the lids",
                    s.name
                );
                assert!(t < 1.0 || shown * 50 < open, "{} {blink:?}: {shown} of {open} pixels remain", s.name);
            }
            assert!(open as f64 > 60.0 * FINE.powi(2), "{}: the open eye shows {open} pixels", s.name);
        }
    }
}

#[test]
fn codes_of_the_eyeballs_are_no_skins() {
    let far = |a: [f32; 3], b: [f32; 3]| (0..3).map(|c| (a[c] - b[c]).powi(2)).sum::<f32>().sqrt();
    for s in subjects() {
        let n = s.model.skin_vertex_count();
        let eyes: Vec<[f32; 3]> = s.model.ncc[n..].to_vec();
        assert!(eyes.iter().flatten().all(|v| (0.0..=1.0).contains(v)));
        for (v, skin) in s.model.ncc[..n].iter().enumerate().step_by(5) {
            let nearest = eyes.iter().map(|e| far(*e, *skin)).fold(f32::INFINITY, f32::min);
            assert!(nearest > 0.25, "{}: vertex {v} {skin:?}: {nearest}", s.name);
        }
        for left in [true, false] {
            let iris = iris_vertices(&s.model, left).unwrap();
            let white = s.model.ncc[iris.rim.end as usize];
            assert!(far(s.model.ncc[iris.middle as usize], white) > 0.7);
        }
        let [l, r] = [true, false].map(|left| s.model.ncc[iris_vertices(&s.model, left).unwrap().middle as usize]);
        assert!(far(l, r) > 0.7);
    }
}

#[test]
fn arrays_there_and_back() {
    let model = acting_head();
    let weights = morphable_weights(&model);
    let back = morphable_from(&weights).unwrap();
    assert_eq!((back.arkit.as_slice(), back.eyeballs), (model.arkit.as_slice(), model.eyeballs));
    assert_eq!(morphable_weights(&back), weights);
    // Models without shapes have neither array.
    let old = morphable_weights(&head());
    assert!(old.get("arkit").is_none() && old.get("eyeballs").is_none());
    let total = model.triangles.len() as i32;
    let first = model.skin_vertex_count() as i32;
    let fails = |name: &str, change: &dyn Fn(&mut crate::weights::Array)| {
        let mut weights = weights.clone();
        change(weights.arrays.get_mut(name).unwrap());
        match morphable_from(&weights) {
            Err(Error::Model(text)) => assert!(text.contains(name) && !text.contains('\n'), "{text}"),
            other => panic!("{name}: {}", other.is_ok()),
        }
    };
    fails("arkit", &|a| a.data = Data::I32(vec![52; 52]));
    fails("arkit", &|a| a.data = Data::I32(vec![-1; 52]));
    fails("arkit", &|a| a.data = Data::F32(vec![0.0; 52]));
    fails("arkit", &|a| {
        a.shape = vec![51];
        a.data = Data::I32(vec![0; 51]);
    });
    for count in [0, -1, total, i32::MAX, 1 + model.eyeballs as i32] {
        fails("eyeballs", &|a| a.data = Data::I32(vec![count]));
    }
    fails("eyeballs", &|a| a.data = Data::F32(vec![4.0]));
    fails("eyeballs", &|a| a.shape = vec![1, 1]);
    let mut shared = (*model).clone();
    let last = shared.triangles.len() - 1;
    shared.triangles[last][0] = first as u32 - 1;
    assert!(shared.validate().is_err() && morphable_from(&morphable_weights(&shared)).is_err());
    let mut wrong = (*model).clone();
    wrong.arkit.pop();
    assert!(wrong.validate().is_err());
    let mut wrong = (*model).clone();
    wrong.arkit[3] = wrong.expr_dim as u32;
    assert!(wrong.validate().is_err());
}

#[test]
fn the_rig_works_on_a_model_that_acts() {
    let rig = acting_head().as_ref().clone().prepare().unwrap();
    let n = acting_head().skin_vertex_count() as u32;
    let rig = rig.rig().unwrap();
    for &e in crate::morphable::Expression::ALL {
        assert!(rig.corrective(e).iter().all(|(v, _)| *v < n), "{e:?} moves the eyeballs");
    }
}
