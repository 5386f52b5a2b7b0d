//! Drawn heads, whose truth is known, and what the fit finds.

use super::head::Actor;
use super::places::{SKIN, skin};
use super::*;
use crate::morphable::{Euler, Mesh, Morphable, PreparedMorphable};
use crate::random::Rng;
use crate::synthetic::acting_head;
use std::sync::OnceLock;

/// The drawn head with residual modes.
fn model() -> &'static (PreparedMorphable, DenseHead) {
    static MODEL: OnceLock<(PreparedMorphable, DenseHead)> = OnceLock::new();
    MODEL.get_or_init(|| {
        let model = with_residual_modes(&acting_head()).unwrap();
        let head = DenseHead::new(&model).unwrap();
        (PreparedMorphable::new(model).unwrap(), head)
    })
}

/// Where a mesh has the points, in MediaPipe's axes.
fn points(head: &DenseHead, mesh: &Mesh) -> DensePoints {
    std::array::from_fn(|i| {
        let (t, w) = head.place_of(i);
        let sum = |c: usize| (0..3).map(|k| w[k] * mesh.vertices[t[k] as usize][c]).sum::<f32>();
        [sum(0), sum(1), -sum(2)]
    })
}

struct Truth {
    euler: Euler,
    shapes: [f32; ArkitShape::COUNT],
}

struct Drawn {
    truth: Vec<Truth>,
    points: Vec<DensePoints>,
}

impl Drawn {
    fn frames(&self) -> Vec<Option<&DensePoints>> {
        self.points.iter().map(Some).collect()
    }
}

fn normal(rng: &mut Rng) -> f64 {
    (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
}

/// A random person, in each frame a random pose and 3 to 6 random shapes, at 200 pixels between the eyes.
fn draw(seed: u64, frames: usize, noise: f64) -> Drawn {
    draw_over(seed, frames, noise, &[])
}

/// As [`draw`], with shapes that never go below these values.
fn draw_over(seed: u64, frames: usize, noise: f64, floor: &[(ArkitShape, f32)]) -> Drawn {
    let (model, head) = model();
    let mut rng = Rng(seed);
    let own = head.identity.count();
    let shape: Vec<f32> =
        (0..head.shape_dim()).map(|k| (normal(&mut rng) * if k < own { 0.7 } else { 0.1 }) as f32).collect();
    let actor = Actor::new(head, &shape.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
    let identity = model.identity(&shape).unwrap();
    let mut mesh = Mesh::default();
    let mut drawn = Drawn { truth: Vec::new(), points: Vec::new() };
    for _ in 0..frames {
        let [yaw, pitch, roll] = [25.0, 12.0, 10.0].map(|reach| rng.within(reach) as f32);
        let euler = Euler { yaw, pitch, roll };
        let mut shapes = [0.0; ArkitShape::COUNT];
        for _ in 0..3 + rng.below(4) {
            shapes[rng.below(ArkitShape::COUNT - 1)] = (0.8 * rng.unit()) as f32;
        }
        floor.iter().for_each(|(s, v)| shapes[*s as usize] = shapes[*s as usize].max(*v));
        let expr = head.expression(shapes.iter().zip(&actor.gains).map(|(b, g)| f64::from(*b) * g));
        let per_unit = 200.0 / 86_000.0;
        let camera = ImageCamera::new(per_unit, euler.rotation(), [320.0, 240.0, 0.0]);
        model.mesh_into(&identity, &expr, &camera, &mut mesh).unwrap();
        let mut p = points(head, &mesh);
        p.as_flattened_mut().iter_mut().for_each(|v| *v += (noise * normal(&mut rng)) as f32);
        drawn.points.push(p);
        drawn.truth.push(Truth { euler, shapes });
    }
    drawn
}

/// Degrees between the head's true and its fitted pose.
fn turned(truth: &Truth, fit: &FrameFit) -> f64 {
    f64::from(fit.camera.rotation.angle_to(&truth.euler.rotation())).to_degrees()
}

/// Degrees between the true and the fitted direction of each eye.
fn gaze(truth: &Truth, fit: &FrameFit) -> [f64; 2] {
    use ArkitShape as S;
    let eyes = [
        [S::EyeLookInRight, S::EyeLookOutRight, S::EyeLookUpRight, S::EyeLookDownRight],
        [S::EyeLookInLeft, S::EyeLookOutLeft, S::EyeLookUpLeft, S::EyeLookDownLeft],
    ];
    eyes.map(|[inward, out, up, down]| {
        let angles = |s: &[f32]| {
            let at = |k: S| f64::from(s[k as usize]);
            [25.0 * (at(out) - at(inward)), 20.0 * (at(up) - at(down))]
        };
        let (a, b) = (angles(&truth.shapes), angles(&fit.shapes));
        (a[0] - b[0]).hypot(a[1] - b[1])
    })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let all: Vec<f64> = values.collect();
    all.iter().sum::<f64>() / all.len().max(1) as f64
}

#[test]
fn a_drawn_shot_gives_its_shapes_gaze_and_poses() {
    let mut totals = [0.0; 3];
    let mut each = [0.0f64; ArkitShape::COUNT];
    let seeds = 3;
    for seed in 0..seeds {
        let drawn = draw(100 + seed, 40, 0.3);
        let fit = fit_shot(&model().1, &drawn.frames()).unwrap();
        let frames: Vec<(&Truth, &FrameFit)> =
            drawn.truth.iter().zip(fit.frames.iter().map(|f| f.as_ref().unwrap())).collect();
        for (t, f) in &frames {
            for (each, (a, b)) in each.iter_mut().zip(t.shapes.iter().zip(&f.shapes)) {
                *each += f64::from((a - b).abs()) / (40 * seeds) as f64;
            }
        }
        let shapes = mean(
            frames.iter().flat_map(|(t, f)| t.shapes.iter().zip(&f.shapes)).map(|(a, b)| f64::from((a - b).abs())),
        );
        let gazes = mean(frames.iter().flat_map(|(t, f)| gaze(t, f)));
        let poses = mean(frames.iter().map(|(t, f)| turned(t, f)));
        let worst = frames.iter().map(|(t, f)| turned(t, f)).fold(0.0, f64::max);
        let error = mean(frames.iter().map(|(_, f)| f64::from(f.error)));
        eprintln!(
            "{seed}: shapes {shapes:.3}, gaze {gazes:.2}, pose {poses:.2} (at most {worst:.2}), error {error:.4}"
        );
        assert!(worst < 1.5);
        [shapes, gazes, poses].into_iter().zip(&mut totals).for_each(|(v, t)| *t += v / seeds as f64);
    }
    let mut by: Vec<(f64, ArkitShape)> = each.iter().copied().zip(ArkitShape::ALL.iter().copied()).collect();
    by.sort_by(|a, b| b.0.total_cmp(&a.0));
    eprintln!("{totals:.3?}; {:.2?}", &by[..12]);
    assert!(totals[0] < 0.1 && totals[1] < 3.0 && totals[2] < 1.0, "{totals:?}");
}

/// What a mouth never goes below.
fn floors(drawn: &Drawn) -> impl Fn(ArkitShape) -> f32 + use<> {
    let fit = fit_shot(&model().1, &drawn.frames()).unwrap();
    move |shape| {
        let mut all: Vec<f32> = fit.frames.iter().flatten().map(|f| f.shapes[shape as usize]).collect();
        all.sort_by(f32::total_cmp);
        all[all.len() / 10]
    }
}

/// A mouth that is never quite at the model's rest is at its own; one that smiles throughout performs.
#[test]
fn a_little_of_the_mouth_throughout_is_rest_and_much_is_a_performance() {
    use ArkitShape as S;
    let little = [(S::JawOpen, 0.12), (S::MouthPucker, 0.14), (S::MouthFunnel, 0.12), (S::MouthRollUpper, 0.16)];
    let smile = [(S::MouthSmileLeft, 0.6), (S::MouthSmileRight, 0.6)];
    let (mut open, mut smiles, mut still) = (0.0, 0.0, 0.0);
    for seed in 0..4 {
        let rest = floors(&draw_over(200 + seed, 40, 0.3, &little));
        let smiling = floors(&draw_over(300 + seed, 40, 0.3, &smile));
        let one = floors(&draw_over(400 + seed, 1, 0.3, &smile));
        open += f64::from(rest(S::JawOpen)) / 4.0;
        smile.iter().for_each(|(s, _)| {
            smiles += f64::from(smiling(*s)) / 8.0;
            still += f64::from(one(*s)) / 8.0;
        });
    }
    eprintln!("an open mouth at rest {open:.3}, a smile throughout {smiles:.2}, in a still {still:.2}");
    assert!(open < 0.07 && smiles > 0.45 && still > 0.5, "{open} {smiles} {still}");
}

/// What the caller computes with camera, identity and expression is what the fit says of it.
#[test]
fn the_mesh_lies_where_the_fit_says() {
    let (model, head) = model();
    let drawn = draw(7, 12, 2.0);
    let fit = fit_shot(head, &drawn.frames()).unwrap();
    let identity = model.identity(&fit.shape).unwrap();
    let mut mesh = Mesh::default();
    for (p, f) in drawn.points.iter().zip(&fit.frames) {
        let f = f.as_ref().unwrap();
        model.mesh_into(&identity, &f.expr, &f.camera, &mut mesh).unwrap();
        let fitted = points(head, &mesh);
        let apart = |a: &[f32; 3], b: &[f32; 3]| f64::from((a[0] - b[0]).hypot(a[1] - b[1]));
        let eyes = (0..3).map(|c| (p[33][c] - p[263][c]).powi(2)).sum::<f32>().sqrt();
        let error = mean(p.iter().zip(&fitted).map(|(a, b)| apart(a, b))) / f64::from(eyes);
        assert!((error / f64::from(f.error) - 1.0).abs() < 1e-3, "{error} {}", f.error);
        assert!(f.shapes.iter().all(|v| (0.0..=1.0).contains(v)));
        assert!(f.confidence.iter().all(|v| (0.0..=1.0).contains(v)), "{:?}", f.confidence);
    }
}

#[test]
fn threads_and_order_do_not_matter() {
    let head = &model().1;
    let drawn = draw(8, 20, 0.3);
    let frames = drawn.frames();
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| fit_shot(head, &frames)).unwrap()
    };
    let one = on(1);
    assert_eq!(one, on(3));
    // A frame knows nothing of the others but the person.
    for i in [0, 7, 19] {
        assert_eq!(fit_frame(head, &one.shape, frames[i].unwrap()), one.frames[i]);
    }
    // Up to the subset's size the identity is that of the set.
    let back: Vec<_> = frames.iter().rev().copied().collect();
    let mut back = fit_shot(head, &back).unwrap();
    back.frames.reverse();
    for (a, b) in one.frames.iter().zip(&back.frames) {
        let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
        assert!(a.shapes.iter().zip(&b.shapes).all(|(a, b)| (a - b).abs() < 1e-4));
        assert!((a.camera.rotation.matrix() - b.camera.rotation.matrix()).amax() < 1e-5);
    }
    // Frames without a face change nothing.
    let gaps: Vec<_> = frames.iter().flat_map(|f| [None, *f]).collect();
    let with_gaps = fit_shot(head, &gaps).unwrap();
    assert_eq!(with_gaps.shape, one.shape);
    assert!(with_gaps.frames.chunks(2).zip(&one.frames).all(|(a, b)| a[0].is_none() && a[1] == *b));
}

#[test]
fn the_subset_is_even() {
    assert_eq!(evenly(0, 48), Vec::<usize>::new());
    assert_eq!(evenly(1, 48), [0]);
    assert_eq!(evenly(5, 48), [0, 1, 2, 3, 4]);
    assert_eq!(evenly(9, 5), [0, 2, 4, 6, 8]);
    for n in [48, 49, 50, 95, 96, 97, 1000] {
        let some = evenly(n, 48);
        assert!(some.len() == 48 && some[0] == 0 && some[47] == n - 1 && some.windows(2).all(|w| w[0] < w[1]), "{n}");
    }
}

/// A hand before the lower half of the face.
#[test]
fn hidden_points_leave_the_pose_and_lose_confidence() {
    let head = &model().1;
    let clean = draw(21, 30, 0.3);
    let mut drawn = draw(21, 30, 0.3);
    let below: Vec<usize> = (0..SKIN).filter(|&i| skin()[i].at[1] < -5.0).collect();
    let mut rng = Rng(3);
    for p in &mut drawn.points[10..20] {
        for &i in &below {
            p[i][0] += 60.0 * rng.signed();
            p[i][1] += 60.0 * rng.signed();
        }
    }
    let before = fit_shot(head, &clean.frames()).unwrap();
    let fit = fit_shot(head, &drawn.frames()).unwrap();
    let mut worst = [0.0f64; 2];
    for (i, (t, f)) in drawn.truth.iter().zip(&fit.frames).enumerate() {
        let (f, before) = (f.as_ref().unwrap(), before.frames[i].as_ref().unwrap());
        let hidden = (10..20).contains(&i);
        worst[usize::from(hidden)] = worst[usize::from(hidden)].max(turned(t, f));
        let at = |f: &FrameFit, r: DenseRegion| f.confidence[r as usize];
        if hidden {
            assert!(at(f, DenseRegion::Mouth) < 0.2 && at(f, DenseRegion::Jaw) < 0.3, "{i}: {:?}", f.confidence);
        } else {
            assert!(at(f, DenseRegion::Mouth) > 0.8);
        }
        assert!(at(f, DenseRegion::EyeLeft) > 0.8 && at(before, DenseRegion::Mouth) > 0.8);
    }
    eprintln!("pose: at most {:.2} degrees off in the open, {:.2} behind the hand", worst[0], worst[1]);
    assert!(worst[0] < 2.0 && worst[1] < 2.0, "{worst:?}");
}

#[test]
fn a_still_is_a_shot() {
    let head = &model().1;
    for seed in 30..36 {
        let drawn = draw(seed, 1, 0.3);
        let fit = fit_shot(head, &drawn.frames()).unwrap();
        let f = fit.frames[0].as_ref().unwrap();
        let shapes = mean(drawn.truth[0].shapes.iter().zip(&f.shapes).map(|(a, b)| f64::from((a - b).abs())));
        eprintln!("{seed}: pose {:.2}, shapes {shapes:.3}, error {:.4}", turned(&drawn.truth[0], f), f.error);
        assert!(turned(&drawn.truth[0], f) < 4.0 && shapes < 0.15 && f.error < 0.01);
    }
}

#[test]
fn what_is_no_face_is_none() {
    let head = &model().1;
    assert_eq!(fit_shot(head, &[]), None);
    assert_eq!(fit_shot(head, &[None, None]), None);
    let good = draw(40, 1, 0.3).points[0];
    let mut bad: Vec<DensePoints> = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]
        .iter()
        .flat_map(|v| (0..3).map(move |c| (*v, c)))
        .map(|(v, c)| {
            let mut p = good;
            p[200][c] = v;
            p
        })
        .collect();
    bad.push([[0.0; 3]; POINTS]);
    bad.push([[1e30, -1e30, 1e30]; POINTS]);
    let frames: Vec<_> = [Some(&good)].into_iter().chain(bad.iter().map(Some)).collect();
    let fit = fit_shot(head, &frames).unwrap();
    assert_eq!(
        fit.frames.iter().map(Option::is_some).collect::<Vec<_>>(),
        (0..frames.len()).map(|i| i == 0).collect::<Vec<_>>()
    );
    assert_eq!(fit_shot(head, &frames[1..]), None);
    assert_eq!(fit_frame(head, &fit.shape[1..], &good), None);
    assert_eq!(fit_frame(head, &vec![f32::NAN; fit.shape.len()], &good), None);
}

/// Points of no face at all: no panic, and whatever comes out is finite.
#[test]
fn garbage_does_no_harm() {
    let head = &model().1;
    let mut rng = Rng(50);
    for round in 0..60 {
        let size = 10f32.powi(rng.below(76) as i32 - 38);
        let mut p: DensePoints = std::array::from_fn(|_| std::array::from_fn(|_| size * rng.signed()));
        match round % 4 {
            0 => p.iter_mut().for_each(|p| p[2] = 0.0),
            1 => p.iter_mut().for_each(|p| *p = [p[0], p[0], p[0]]),
            2 => p[33] = p[263].map(|v| v * (1.0 + f32::EPSILON)),
            _ => {}
        }
        if let Some(fit) = fit_shot(head, &[Some(&p), Some(&p)]) {
            assert!(fit.shape.iter().all(|v| v.is_finite()));
            for f in fit.frames.iter().flatten() {
                assert!(f.camera.matrix().iter().all(|v| v.is_finite()) && f.error.is_finite());
                assert!(f.expr.iter().chain(&f.confidence).all(|v| v.is_finite()));
            }
        }
    }
}

#[test]
fn residual_modes_move_the_skin_smoothly_and_eyeballs_as_a_whole() {
    let plain = acting_head();
    let model = with_residual_modes(&plain).unwrap();
    assert_eq!(model.shape_dim, plain.shape_dim + residual::RESIDUAL_MODES);
    assert!(with_residual_modes(&model).is_err());
    let (dim, own) = (model.shape_dim, plain.shape_dim);
    let row = |v: u32, c: usize| &model.shape_basis[(3 * v as usize + c) * dim..][..dim];
    for v in 0..model.vertex_count() as u32 {
        for c in 0..3 {
            assert_eq!(row(v, c)[..own], plain.shape_basis[(3 * v as usize + c) * own..][..own]);
        }
    }
    // A millimetre at its control point, along its axis alone; micrometres.
    for k in own + residual::LOCAL..dim {
        let most = |c: usize| (0..model.vertex_count() as u32).map(|v| row(v, c)[k].abs()).fold(0.0, f32::max);
        let axis = (k - own - residual::LOCAL) % 3;
        assert!((500.0..=1001.0).contains(&most(axis)), "{k}: {}", most(axis));
        assert!((0..3).all(|c| c == axis || most(c) < 1.0), "{k}");
    }
    // The average is about the table's at the points; the mesh is too coarse for every dent of the lips.
    let head = DenseHead::new(&model).unwrap();
    let off = |i: usize| {
        let (t, w) = head.place_of(i);
        let sum = |c: usize| (0..3).map(|j| f64::from(w[j] * row(t[j], c)[own])).sum::<f64>() / 1000.0;
        (0..3).map(|c| (sum(c) - skin()[i].average[c]).powi(2)).sum::<f64>().sqrt()
    };
    let (all, worst) = (mean((0..SKIN).map(off)), (0..SKIN).map(off).fold(0.0, f64::max));
    eprintln!("the average is met within {all:.3} mm, {worst:.2} at most");
    assert!(all < 0.2 && worst < 2.0);
    // An eyeball's vertices move alike.
    let first = model.skin_vertex_count() as u32;
    for v in first..model.vertex_count() as u32 {
        let left = model.mean[3 * v as usize] > 0.0;
        let like = (first..).find(|&u| (model.mean[3 * u as usize] > 0.0) == left).unwrap();
        let local = own + residual::LOCAL;
        assert!((0..3).all(|c| row(v, c)[own] == row(like, c)[own] && row(v, c)[local..] == row(like, c)[local..]));
    }
}

/// Milliseconds for one frame on one core: `cargo test --release --lib dense -- --ignored --nocapture`.
#[test]
#[ignore = "prints a time"]
fn time_of_a_frame() {
    let head = &model().1;
    let drawn = draw(60, 40, 0.3);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let fit = pool.install(|| fit_shot(head, &drawn.frames())).unwrap();
    let shape: Vec<f64> = fit.shape.iter().map(|v| f64::from(*v)).collect();
    let actor = Actor::new(head, &shape);
    for _ in 0..3 {
        let start = std::time::Instant::now();
        let found = drawn.points.iter().filter_map(Observed::new).filter_map(|o| frames::fit(head, &actor, &o)).count();
        eprintln!("{:.3} ms a frame", start.elapsed().as_secs_f64() * 1e3 / found as f64);
        let start = std::time::Instant::now();
        pool.install(|| fit_shot(head, &drawn.frames())).unwrap();
        eprintln!("{:.0} ms for a shot of {}", start.elapsed().as_secs_f64() * 1e3, drawn.points.len());
    }
}

/// Every model with 68 landmarks gets the points; the map to the mean head turns and scales.
#[test]
fn another_models_units_and_axes_change_nothing() {
    let (model, head) = model();
    let turn = Euler { yaw: 10.0, pitch: 20.0, roll: -30.0 }.rotation().matrix().map(|v| v * 0.37);
    let moved = |basis: &[f32], dim: usize, offset: f32| -> Vec<f32> {
        let mut out = basis.to_vec();
        for v in 0..basis.len() / (3 * dim) {
            for k in 0..dim {
                let at = |c: usize| basis[(3 * v + c) * dim + k];
                for c in 0..3 {
                    out[(3 * v + c) * dim + k] = (0..3).map(|j| turn[(c, j)] * at(j)).sum::<f32>() + offset;
                }
            }
        }
        out
    };
    let own = model.model();
    let other = Morphable {
        mean: moved(&own.mean, 1, 777.0),
        shape_basis: moved(&own.shape_basis, own.shape_dim, 0.0),
        expr_basis: moved(&own.expr_basis, own.expr_dim, 0.0),
        ..own.clone()
    };
    let other_head = DenseHead::new(&other).unwrap();
    let drawn = draw(70, 6, 0.3);
    let (a, b) = (fit_shot(head, &drawn.frames()).unwrap(), fit_shot(&other_head, &drawn.frames()).unwrap());
    let prepared = PreparedMorphable::new(other).unwrap();
    let (first, second) = (model.identity(&a.shape).unwrap(), prepared.identity(&b.shape).unwrap());
    let (mut one, mut two) = (Mesh::default(), Mesh::default());
    for (a, b) in a.frames.iter().zip(&b.frames) {
        let (a, b) = (a.as_ref().unwrap(), b.as_ref().unwrap());
        model.mesh_into(&first, &a.expr, &a.camera, &mut one).unwrap();
        prepared.mesh_into(&second, &b.expr, &b.camera, &mut two).unwrap();
        let (p, q) = (points(head, &one), points(&other_head, &two));
        let apart = mean(p.iter().zip(&q).map(|(p, q)| f64::from((p[0] - q[0]).hypot(p[1] - q[1]))));
        assert!(apart < 0.2, "{apart} pixels");
        assert!(a.shapes.iter().zip(&b.shapes).all(|(a, b)| (a - b).abs() < 0.05));
    }
}
