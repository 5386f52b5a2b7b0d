use super::*;
use crate::morphable::Euler;
use crate::morphable::canonical::ExpressionMode as Mode;
use crate::morphable::testkit::{fixtures, synthetic, upstream_model};
use crate::synthetic::head;
use crate::synthetic::performance::{driving_shape, reference_shape};
use crate::testing::Rng;

fn drawn() -> PreparedMorphable {
    PreparedMorphable::new(head()).unwrap()
}

/// Identities of the synthetic head: mean, both of the demo, two by chance.
fn identities() -> Vec<Vec<f32>> {
    let mut random = Rng(5);
    vec![vec![0.0; 40], reference_shape(), driving_shape(), random.vec(40), random.vec(40)]
}

fn camera() -> ImageCamera {
    ImageCamera::new(2e-3, Euler { yaw: 20.0, pitch: -8.0, roll: 5.0 }.rotation(), [120.0, 130.0, 0.0])
}

fn mesh(
    model: &PreparedMorphable,
    shape: &[f32],
    expr: &[f32],
    neutral: &[f32],
    settings: &RigSettings,
) -> Vec<[f32; 3]> {
    let identity = model.identity(shape).unwrap();
    let (mut spare, mut out) = (Mesh::default(), Mesh::default());
    let rig = model.rig().unwrap();
    rig.mesh_into(model, &identity, expr, neutral, &camera(), settings, &mut spare, &mut out).unwrap();
    assert_eq!(out.vertices.iter().fold(f32::INFINITY, |m, v| m.min(v[2])), 0.0);
    out.vertices
}

/// The largest distance of two meshes in the picture; their depths are only relative.
fn apart(a: &[[f32; 3]], b: &[[f32; 3]]) -> f32 {
    a.iter().zip(b).flat_map(|(a, b)| (0..2).map(move |c| (a[c] - b[c]).abs())).fold(0.0, f32::max)
}

fn acting(mode: Mode, value: f32) -> Vec<f32> {
    let mut expr = vec![0.0; 10];
    expr[mode as usize] = value;
    expr
}

/// The synthetic head's modes are those that expressions are written in: direction and corrective must say so.
#[test]
fn the_synthetic_head_is_met_by_its_own_modes() {
    let model = drawn();
    let rig = model.rig().unwrap();
    for (expression, mode) in [
        (Expression::JawOpen, Mode::JawOpen),
        (Expression::Smile, Mode::Smile),
        (Expression::Frown, Mode::Frown),
        (Expression::Pucker, Mode::Pucker),
        (Expression::Wide, Mode::Wide),
        (Expression::MouthLeft, Mode::MouthSide),
        (Expression::BrowRaise, Mode::BrowRaise),
        (Expression::BrowLower, Mode::BrowLower),
        (Expression::BlinkLeft, Mode::BlinkLeft),
        (Expression::BlinkRight, Mode::BlinkRight),
    ] {
        for (d, unit) in rig.direction(expression).iter().zip(acting(mode, 1.0)) {
            assert!((d - unit).abs() < 0.04, "{expression:?}: {:?}", rig.direction(expression));
        }
        assert!(rig.corrective(expression).is_empty() && rig.quality(expression).explained > 0.99, "{expression:?}");
    }
    // And what they lack is corrected, each vertex once.
    let worry = rig.corrective(Expression::BrowInnerRaise);
    assert!(worry.len() > 50 && worry.is_sorted_by(|a, b| a.0 < b.0));
}

fn all_hold(model: &PreparedMorphable, shape: &[f32], name: &str) {
    let rows = check(model, shape).unwrap();
    for e in Expression::ALL {
        assert!(rows.iter().any(|r| r.control == format!("expr_{}", e.id())), "{e:?} is not measured");
    }
    let wrong: Vec<&Row> = rows.iter().filter(|r| !r.holds()).collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}");
}

#[test]
fn expressions_and_regions_do_what_their_names_say() {
    let model = drawn();
    for (i, shape) in identities().iter().enumerate() {
        all_hold(&model, shape, &format!("synthetic identity {i}"));
    }
}

#[test]
fn they_do_on_3ddfa_v2() {
    let Some(model) = upstream_model() else { return };
    let model = model.prepare().unwrap();
    let start = std::time::Instant::now();
    let rig = model.rig().unwrap();
    eprintln!("rig of {} vertices in {:?}", rig.masks().len(), start.elapsed());
    let portraits = fixtures();
    assert!(portraits.len() >= 5);
    for f in portraits.iter().take(5) {
        all_hold(&model, &f.fit.params.shape, &f.name);
    }
    // No lids in the basis, a jaw in it: what the guide says.
    assert!(rig.direction(Expression::BlinkLeft).iter().all(|d| *d == 0.0));
    assert!(rig.quality(Expression::JawOpen).explained > 0.95 && rig.quality(Expression::Smile).explained > 0.75);
}

/// A check that could not fail would say nothing: names are exchanged.
#[test]
fn a_wrong_name_is_found() {
    let rows = check(&drawn(), &[0.0; 40]).unwrap();
    let find = |control: &str, measure: &str| {
        rows.iter().find(|r| r.control == control && r.measure.contains(measure)).unwrap().clone()
    };
    let smile = find("expr_smile", "corners");
    let frown = Row { wanted: find("expr_frown", "corners").wanted, ..smile };
    let blink = find("expr_blink_left", "left eye");
    let other = Row { wanted: find("expr_blink_right", "left eye").wanted, ..blink };
    assert!(!frown.holds() && !other.holds());
}

#[test]
fn defaults_change_no_bit() {
    let model = drawn();
    let expr = Rng(3).vec(10);
    let identity = model.identity(&reference_shape()).unwrap();
    let mut plain = Mesh::default();
    model.mesh_into(&identity, &expr, &camera(), &mut plain).unwrap();
    for settings in [RigSettings::default(), RigSettings { replace: true, ..RigSettings::default() }] {
        assert_eq!(mesh(&model, &reference_shape(), &expr, &[0.1; 10], &settings), plain.vertices);
    }
}

#[test]
fn masks_are_a_partition_and_regions_weigh_by_them() {
    let model = drawn();
    let rig = model.rig().unwrap();
    for m in rig.masks() {
        assert!((m.iter().sum::<f32>() - 1.0).abs() < 1e-5 && m.iter().all(|w| (0.0..=1.0).contains(w)));
    }
    for region in Region::ALL {
        for i in region.landmarks() {
            let own = rig.masks()[model.model().landmarks[i] as usize][region as usize];
            assert!(own > 0.98, "{region:?} landmark {i}: {own}");
        }
    }
    let (expr, rest) = (Rng(8).vec(10), Rng(9).vec(10).iter().map(|v| 0.2 * v).collect::<Vec<f32>>());
    let shape = driving_shape();
    let full = mesh(&model, &shape, &expr, &rest, &RigSettings::default());
    let still = mesh(&model, &shape, &rest, &rest, &RigSettings::default());
    let settings = RigSettings { regions: [0.0, 2.0, 0.5, 1.0], ..RigSettings::default() };
    let mixed = mesh(&model, &shape, &expr, &rest, &settings);
    for (v, masks) in rig.masks().iter().enumerate() {
        let w = 2.0 * masks[1] + 0.5 * masks[2] + masks[3];
        for c in 0..2 {
            let wanted = still[v][c] + w * (full[v][c] - still[v][c]);
            assert!((mixed[v][c] - wanted).abs() < 1e-3, "vertex {v}");
        }
    }
}

#[test]
fn regions_do_not_dim_expressions() {
    let model = drawn();
    let (shape, expr, rest) = (reference_shape(), Rng(4).vec(10), vec![0.05; 10]);
    let closed = RigSettings { regions: [0.0; 4], ..RigSettings::default() };
    for e in [Expression::Smile, Expression::BrowInnerRaise, Expression::JawOpen] {
        let both = RigSettings { regions: [0.0; 4], ..RigSettings::single(e, 0.7) };
        let a = mesh(&model, &shape, &expr, &rest, &both);
        let b = mesh(&model, &shape, &rest, &rest, &RigSettings::single(e, 0.7));
        assert!(apart(&a, &b) < 1e-3, "{e:?}");
        assert!(apart(&a, &mesh(&model, &shape, &expr, &rest, &closed)) > 3.0, "{e:?}");
    }
}

#[test]
fn replacing_takes_the_performances_own_away_without_a_jump() {
    let model = drawn();
    let (shape, rest) = (vec![0.0; 40], acting(Mode::Smile, 0.1));
    let mut expr = acting(Mode::Smile, 0.9);
    expr[Mode::BrowRaise as usize] = 0.4;
    let with = |value: f32, replace: bool| {
        mesh(&model, &shape, &expr, &rest, &RigSettings { replace, ..RigSettings::single(Expression::Smile, value) })
    };
    // The smile counts from the face at rest; the brows stay the performance's.
    let mut wanted = acting(Mode::Smile, 0.1 + 0.5);
    wanted[Mode::BrowRaise as usize] = 0.4;
    let wanted = mesh(&model, &shape, &wanted, &rest, &RigSettings::default());
    assert!(apart(&with(0.5, true), &wanted) < 0.4, "{}", apart(&with(0.5, true), &wanted));
    assert!(apart(&with(0.5, false), &wanted) > 5.0);
    let steps: Vec<_> = (0..=60).map(|i| with(0.01 * i as f32, true)).collect();
    for (i, w) in steps.windows(2).enumerate() {
        assert!(apart(&w[0], &w[1]) < 0.9, "a jump of {} pixels at {i}", apart(&w[0], &w[1]));
    }
}

/// Share of the open eye that stays open.
fn left_eye(model: &PreparedMorphable, shape: &[f32], expr: &[f32], settings: &RigSettings) -> f32 {
    let height = |m: &[[f32; 3]]| {
        let l = |i: usize| m[model.model().landmarks[i] as usize];
        // Across the tilt of the picture's head the two lids' pairs even out.
        l(47)[1] + l(46)[1] - l(43)[1] - l(44)[1]
    };
    let rest = vec![0.0; expr.len()];
    height(&mesh(model, shape, expr, &rest, settings))
        / height(&mesh(model, shape, &rest, &rest, &RigSettings::default()))
}

#[test]
fn a_blink_closes_any_eye_and_no_further() {
    let model = drawn();
    let blink = RigSettings::single(Expression::BlinkLeft, 1.0);
    let mut tired = blink;
    tired.regions[Region::Eyes as usize] = 0.3;
    for shape in identities() {
        for (mode, value) in [(Mode::BrowRaise, 1.0), (Mode::BlinkLeft, 0.5), (Mode::BlinkLeft, 1.0)] {
            for settings in [blink, tired] {
                let left = left_eye(&model, &shape, &acting(mode, value), &settings);
                assert!(left.abs() < 0.2, "{mode:?} {value}: {left}");
            }
        }
        let half =
            left_eye(&model, &shape, &acting(Mode::JawOpen, 0.0), &RigSettings::single(Expression::BlinkLeft, 0.5));
        assert!((half - 0.5).abs() < 0.1, "{half}");
    }
}

#[test]
fn parts_that_do_not_fit_are_errors() {
    let model = drawn();
    let identity = model.identity(&[0.0; 40]).unwrap();
    let (mut spare, mut out) = (Mesh::default(), Mesh::default());
    let settings = RigSettings::single(Expression::Smile, 1.0);
    let rig = model.rig().unwrap();
    for (expr, neutral) in [(9, 10), (10, 9)] {
        let (expr, neutral) = (vec![0.0; expr], vec![0.0; neutral]);
        let e = rig.mesh_into(&model, &identity, &expr, &neutral, &camera(), &settings, &mut spare, &mut out);
        assert!(matches!(e, Err(Error::Model(_))));
    }
    // Landmarks in rows over a dome are no face's.
    let other = synthetic(20, 4, 3, 1).prepare().unwrap();
    let error = other.rig().unwrap_err();
    assert!(matches!(&error, Error::Model(t) if t.contains("landmarks") && !t.contains('\n')), "{error}");
    assert!(check(&other, &[0.0; 4]).is_err());
}
