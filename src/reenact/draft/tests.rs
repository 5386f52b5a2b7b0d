//! A synthetic head: the front of an ellipsoid with a mouth, on a patterned picture.

use std::sync::Arc;

use nalgebra::{Rotation3, Vector2, Vector3};

use super::field::Field;
use super::motion::{HeadMotion, Similarity};
use super::raster::NONE;
use super::*;
use crate::error::Error;
use crate::frame::Frame;
use crate::morphable::Mesh;

const COLUMNS: usize = 61;
const ROWS: usize = 71;
const SIZE: usize = 256;
/// Half axes of the head, pixels.
const AXES: [f32; 3] = [44.0, 55.0, 46.0];

/// The head around the origin, y up; the mouth is a slit of missing quads whose two rims can be moved apart.
fn head(open: f32) -> (Vec<[f32; 3]>, Vec<[u32; 3]>, Vec<u32>) {
    let at = |r: usize, c: usize| (r * COLUMNS + c) as u32;
    let slit_row = 50;
    let (left, right) = (22, 38);
    let mut v = Vec::new();
    for r in 0..ROWS {
        for c in 0..COLUMNS {
            let (a, b) = (
                1.35 * (2.0 * c as f32 / (COLUMNS - 1) as f32 - 1.0),
                1.3 * (1.0 - 2.0 * r as f32 / (ROWS - 1) as f32),
            );
            let mut p = [AXES[0] * a.sin() * b.cos(), AXES[1] * b.sin(), AXES[2] * a.cos() * b.cos()];
            // The jaw drops below the slit, most in the middle.
            if r > slit_row {
                let middle = 1.0 - ((c as f32 - 30.0) / 8.5).powi(2);
                let below = 1.0 - (r - slit_row - 1) as f32 / (ROWS - slit_row) as f32;
                p[1] -= open * middle.max(0.0) * below;
            }
            v.push(p);
        }
    }
    let mut t = Vec::new();
    for r in 0..ROWS - 1 {
        for c in 0..COLUMNS - 1 {
            if r == slit_row && (left..right).contains(&c) {
                continue;
            }
            t.push([at(r, c), at(r, c + 1), at(r + 1, c + 1)]);
            t.push([at(r, c), at(r + 1, c + 1), at(r + 1, c)]);
        }
    }
    let mut landmarks = vec![at(ROWS / 2, COLUMNS / 2); 68];
    let pairs = [(0, 16, 35, 2, 58), (36, 45, 25, 15, 45), (31, 35, 42, 27, 33), (48, 54, slit_row, 21, 39)];
    for (a, b, r, ca, cb) in pairs {
        landmarks[a] = at(r, ca);
        landmarks[b] = at(r, cb);
    }
    for (i, l) in landmarks[49..54].iter_mut().enumerate() {
        *l = at(slit_row - 2, 24 + 3 * i);
    }
    for (i, l) in landmarks[55..60].iter_mut().enumerate() {
        *l = at(slit_row + 3, 36 - 3 * i);
    }
    for (i, c) in [22, 26, 30, 34, 38, 34, 30, 26].into_iter().enumerate() {
        landmarks[60 + i] = at(if i <= 4 { slit_row } else { slit_row + 1 }, c);
    }
    landmarks[33] = at(43, 30);
    (v, t, landmarks)
}

fn model() -> Arc<DraftModel> {
    let (v, t, l) = head(0.0);
    let (mut lo, mut hi) = ([f32::MAX; 3], [f32::MIN; 3]);
    for p in &v {
        for k in 0..3 {
            lo[k] = lo[k].min(p[k]);
            hi[k] = hi[k].max(p[k]);
        }
    }
    let ncc: Vec<[f32; 3]> = v.iter().map(|p| std::array::from_fn(|k| (p[k] - lo[k]) / (hi[k] - lo[k]))).collect();
    Arc::new(DraftModel::new(&t, &ncc, &l).unwrap())
}

/// The head's mesh in the picture: angles in degrees (yaw, pitch, roll), shift in pixels.
fn posed(open: f32, angles: [f32; 3], scale: f32, shift: [f32; 2]) -> Mesh {
    let [yaw, pitch, roll] = angles.map(f32::to_radians);
    let r = Rotation3::from_euler_angles(pitch, yaw, roll);
    let vertices = head(open)
        .0
        .into_iter()
        .map(|p| {
            let q = r * Vector3::new(p[0], -p[1], p[2]) * scale;
            [q.x + 128.0 + shift[0], q.y + 118.0 + shift[1], q.z + 60.0]
        })
        .collect();
    Mesh { vertices }
}

/// Smooth colours with some texture, different everywhere.
fn picture() -> Frame {
    let mut f = Frame::new(SIZE, SIZE);
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (u, v) = (x as f32, y as f32);
            let c = [
                0.5 + 0.3 * (u * 0.11).sin() * (v * 0.07).cos(),
                0.2 + 0.6 * u / SIZE as f32,
                0.2 + 0.6 * v / SIZE as f32,
                1.0,
            ];
            f.set_pixel(x, y, c);
        }
    }
    f
}

fn shot() -> DraftShot {
    DraftShot::new(model(), picture(), posed(0.0, [0.0; 3], 1.0, [0.0; 2])).unwrap()
}

fn render(shot: &DraftShot, target: &Mesh) -> (DraftOutput, DraftScratch) {
    let (mut scratch, mut out) = (DraftScratch::default(), DraftOutput::default());
    shot.render(target, &DraftSettings::default(), &mut scratch, &mut out).unwrap();
    (out, scratch)
}

fn largest_difference(a: &Frame, b: &Frame) -> f32 {
    a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_model_knows_its_borders_and_its_mirror() {
    let m = model();
    assert_eq!(m.border.len(), 2 * (COLUMNS + ROWS) - 4);
    assert!(m.border.iter().all(|&v| m.rim[v as usize] == 0.0));
    let mouth = m.mouth.as_ref().unwrap();
    assert!(mouth.upper[16].read(&m.ncc)[1] > mouth.lower[16].read(&m.ncc)[1]);
    assert!((m.symmetry_x - 0.5).abs() < 1e-3);
    let known = m.mirror.iter().flatten().count();
    assert!(known > m.vertex_count() * 95 / 100, "{known}");
    for (v, point) in m.mirror.iter().enumerate() {
        if let Some(p) = point {
            let q = p.read(&m.ncc);
            assert!((q[0] - (1.0 - m.ncc[v][0])).abs() < 0.02 && (q[1] - m.ncc[v][1]).abs() < 0.02);
        }
    }
}

#[test]
fn the_same_mesh_returns_the_picture() {
    for angles in [[0.0; 3], [25.0, -8.0, 12.0]] {
        let mesh = posed(3.0, angles, 1.1, [5.0, -3.0]);
        let shot = DraftShot::new(model(), picture(), mesh.clone()).unwrap();
        let (out, _) = render(&shot, &mesh);
        let worst = largest_difference(&out.picture, shot.picture());
        assert!(worst <= 1.0 / 255.0, "{worst}");
        assert!(out.holes.iter().all(|&h| h == 0));
    }
}

#[test]
fn a_shift_moves_the_head_by_exactly_that() {
    let shot = shot();
    let (out, scratch) = render(&shot, &posed(0.0, [0.0; 3], 1.0, [9.0, -4.0]));
    let mut inside = 0;
    for y in 8..SIZE - 8 {
        for x in 8..SIZE - 12 {
            let i = y * SIZE + x;
            if scratch.raster.tri[i] == NONE {
                continue;
            }
            inside += 1;
            let d = out.flow[i];
            assert!((d[0] + 9.0).abs() < 0.05 && (d[1] - 4.0).abs() < 0.05, "{x} {y}: {d:?}");
            let want = shot.picture().pixel(x - 9, y + 4);
            let got = out.picture.pixel(x, y);
            assert!((0..4).all(|k| (want[k] - got[k]).abs() < 0.005), "{x} {y}");
        }
    }
    assert!(inside > 5000);
    // Hair above the forehead comes along.
    let d = out.flow[(118 - 66 - 4) * SIZE + 128 + 9];
    assert!((d[0] + 9.0).abs() < 1.5 && (d[1] - 4.0).abs() < 1.0, "{d:?}");
}

/// Poses that a talking head takes, and beyond.
fn poses() -> Vec<Mesh> {
    vec![
        posed(0.0, [20.0, 0.0, 0.0], 1.0, [0.0; 2]),
        posed(4.0, [-20.0, 8.0, 0.0], 1.0, [4.0, 0.0]),
        posed(0.0, [0.0, 12.0, 0.0], 1.0, [0.0; 2]),
        posed(8.0, [0.0, -12.0, 10.0], 1.0, [0.0, 6.0]),
        posed(0.0, [0.0, 0.0, -20.0], 0.9, [-10.0, 0.0]),
        posed(6.0, [35.0, -10.0, 8.0], 1.1, [12.0, -8.0]),
        posed(0.0, [0.0; 3], 1.15, [24.0, 10.0]),
        posed(0.0, [-55.0, 0.0, 0.0], 1.0, [0.0; 2]),
        posed(0.0, [0.0, 28.0, 30.0], 1.0, [0.0; 2]),
    ]
}

#[test]
fn the_picture_border_stays_and_nothing_is_missing() {
    let shot = shot();
    for target in poses() {
        let (out, _) = render(&shot, &target);
        for i in 0..SIZE {
            for (x, y) in [(i, 0), (i, SIZE - 1), (0, i), (SIZE - 1, i)] {
                assert_eq!(out.picture.pixel(x, y), shot.picture().pixel(x, y));
                assert_eq!(out.mask[y * SIZE + x], 0.0);
            }
        }
        assert!(out.picture.data.iter().all(|v| v.is_finite()));
        assert!(out.picture.data.iter().skip(3).step_by(4).all(|&a| (a - 1.0).abs() < 1e-5));
        assert!(out.mask.iter().all(|m| (0.0..=1.0).contains(m)));
    }
}

#[test]
fn the_surroundings_never_fold() {
    let shot = shot();
    for (n, target) in poses().into_iter().enumerate() {
        let (out, scratch) = render(&shot, &target);
        let mut least = f32::MAX;
        for y in 0..SIZE - 1 {
            for x in 0..SIZE - 1 {
                let i = y * SIZE + x;
                let free = |j: usize| scratch.raster.tri[j] == NONE;
                if !(free(i) && free(i + 1) && free(i + SIZE)) {
                    continue;
                }
                let (a, r, d) = (out.flow[i], out.flow[i + 1], out.flow[i + SIZE]);
                let across = [1.0 + r[0] - a[0], r[1] - a[1]];
                let down = [d[0] - a[0], 1.0 + d[1] - a[1]];
                least = least.min(across[0] * down[1] - across[1] * down[0]);
            }
        }
        assert!(least > 0.0, "pose {n}: {least}");
    }
}

#[test]
fn a_turned_side_and_an_opened_mouth_are_filled() {
    // The reference looks aside; the target shows its other cheek.
    let side = posed(0.0, [38.0, 0.0, 0.0], 1.0, [0.0; 2]);
    let mut skin = picture();
    for p in skin.data.chunks_exact_mut(4) {
        p.copy_from_slice(&[0.1, 0.5, 0.1, 1.0]);
    }
    let shot = DraftShot::new(model(), skin.clone(), side.clone()).unwrap();
    let covered: Vec<bool> = {
        let (_, s) = render(&shot, &side);
        s.raster.tri.iter().map(|&t| t != NONE).collect()
    };
    for (p, c) in skin.data.chunks_exact_mut(4).zip(&covered) {
        if *c {
            p.copy_from_slice(&[0.8, 0.6, 0.5, 1.0]);
        }
    }
    let shot = DraftShot::new(model(), skin, side).unwrap();
    let (out, scratch) = render(&shot, &posed(0.0, [-5.0, 0.0, 0.0], 1.0, [0.0; 2]));
    assert!(out.holes.iter().filter(|&&h| h > 200).count() > 300);
    let (mut green, mut face) = (0, 0);
    for i in 0..SIZE * SIZE {
        if scratch.runs[i] == 5 && out.holes[i] > 200 {
            face += 1;
            green += u32::from(out.picture.data[4 * i] < 0.6);
        }
    }
    assert!(green * 50 < face, "{green} of {face} filled pixels are not skin");

    let (out, scratch) = render(&self::shot(), &posed(14.0, [0.0; 3], 1.0, [0.0; 2]));
    let triangles = model().triangles.len() as u32;
    let mouth: Vec<usize> =
        (0..SIZE * SIZE).filter(|&i| scratch.raster.tri[i] != NONE && scratch.raster.tri[i] >= triangles).collect();
    assert!(mouth.len() > 100, "{}", mouth.len());
    assert!(mouth.iter().filter(|&&i| out.holes[i] > 128).count() * 2 > mouth.len());
    let darkest = mouth.iter().map(|&i| out.picture.data[4 * i]).fold(1.0, f32::min);
    assert!(darkest < 0.25, "{darkest}");
}

/// A cheek that the reference hides gets a colour of its own side, on heads that act: the other side is lit otherwise.
#[test]
fn a_lit_cheek_keeps_its_hue_where_it_turns_into_view() {
    // The reference looks to the right. The side that it shows lies in a warm shadow and ends in dark hair: what is taken away there, taken
    // away from the lit side, leaves blue.
    let side = posed(0.0, [38.0, 0.0, 0.0], 1.0, [0.0; 2]);
    let [lit, shadow, hair] = [[0.9, 0.85, 0.8], [0.8, 0.5, 0.3], [0.2, 0.11, 0.06]];
    let mut picture = Frame::new(SIZE, SIZE);
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (dark, far) = (1.0 - step(144.0, 152.0, x as f32), 1.0 - step(105.0, 130.0, x as f32));
            let at = |k: usize| lit[k] + dark * (shadow[k] - lit[k]) + far * (hair[k] - shadow[k]);
            picture.set_pixel(x, y, [at(0), at(1), at(2), 1.0]);
        }
    }
    let cold = |acts: bool| {
        let mut model = model();
        Arc::get_mut(&mut model).unwrap().acts = acts;
        let shot = DraftShot::new(model, picture.clone(), side.clone()).unwrap();
        let (out, scratch) = render(&shot, &posed(0.0, [-5.0, 0.0, 0.0], 1.0, [0.0; 2]));
        let made: Vec<usize> = (0..SIZE * SIZE).filter(|&i| scratch.runs[i] == 5 && out.holes[i] > 200).collect();
        assert!(made.len() > 300, "{}", made.len());
        let cold = made.iter().filter(|&&i| out.picture.data[4 * i] < out.picture.data[4 * i + 2] - 0.02).count();
        cold as f32 / made.len() as f32
    };
    let (acting, frozen) = (cold(true), cold(false));
    assert!(acting < 0.02 && frozen > 0.1, "{acting} {frozen}");
}

#[test]
fn small_steps_of_the_mesh_make_small_steps_of_the_flow() {
    let shot = shot();
    let at = |t: f32| render(&shot, &posed(2.0 + t, [10.0 + t, 4.0, 3.0 * t], 1.0, [t, 0.0]));
    let ((a, sa), (b, sb)) = (at(0.0), at(0.02));
    for i in 0..SIZE * SIZE {
        if sa.raster.tri[i] == NONE && sb.raster.tri[i] == NONE {
            assert!((0..2).all(|k| (a.flow[i][k] - b.flow[i][k]).abs() < 0.3), "{i}");
        }
        assert!((a.mask[i] - b.mask[i]).abs() < 0.06);
    }
}

#[test]
fn the_thread_count_changes_nothing() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let shot = shot();
            let (out, _) = render(&shot, &poses()[5]);
            (out.picture, out.flow, out.mask, out.holes)
        })
    };
    let one = run(1);
    for threads in [2, 5] {
        assert!(run(threads) == one, "{threads} threads differ");
    }
}

#[test]
fn scratch_of_another_size_does_no_harm() {
    let big = shot();
    let (_, mut scratch) = render(&big, &poses()[0]);
    let mut small_picture = Frame::new(90, 70);
    small_picture.data.fill(0.5);
    let small_mesh = Mesh {
        vertices: posed(0.0, [0.0; 3], 1.0, [0.0; 2])
            .vertices
            .iter()
            .map(|v| [v[0] * 0.3, v[1] * 0.3, v[2] * 0.3])
            .collect(),
    };
    let small = DraftShot::new(model(), small_picture, small_mesh.clone()).unwrap();
    let mut out = DraftOutput::default();
    small.render(&small_mesh, &DraftSettings::default(), &mut scratch, &mut out).unwrap();
    assert_eq!((out.picture.data.len(), out.flow.len(), out.mask.len()), (4 * 6300, 6300, 6300));
    assert!(out.picture.data.iter().all(|&v| (v - 0.5).abs() < 1e-5));
}

#[test]
fn transparent_pixels_do_not_bleed() {
    let mut p = picture();
    for y in 0..SIZE {
        for x in 0..SIZE {
            let inside = (x as f32 - 128.0).hypot(y as f32 - 118.0) < 80.0;
            if !inside {
                p.set_pixel(x, y, [0.0, 9.0, 0.0, 0.0]);
            }
        }
    }
    let mesh = posed(0.0, [0.0; 3], 1.0, [0.0; 2]);
    let shot = DraftShot::new(model(), p.clone(), mesh.clone()).unwrap();
    let (out, _) = render(&shot, &mesh);
    assert!(largest_difference(&out.picture, &p) < 1.0 / 255.0);
    let (out, _) = render(&shot, &posed(0.0, [0.0, 0.0, 6.0], 1.0, [7.0, 0.0]));
    let bled = out.picture.data.chunks_exact(4).filter(|p| p[3] > 0.0 && p[1] > 0.9).count();
    assert_eq!(bled, 0);
}

#[test]
fn bad_input_is_an_error() {
    let m = model();
    let good = posed(0.0, [0.0; 3], 1.0, [0.0; 2]);
    let short = Mesh { vertices: good.vertices[1..].to_vec() };
    assert!(matches!(DraftShot::new(m.clone(), picture(), short.clone()), Err(Error::Model(_))));
    let mut nan = good.clone();
    nan.vertices[7][1] = f32::NAN;
    assert!(matches!(DraftShot::new(m.clone(), picture(), nan.clone()), Err(Error::Input(_))));
    let flat = Mesh { vertices: vec![[3.0, 4.0, 5.0]; good.vertices.len()] };
    assert!(matches!(DraftShot::new(m.clone(), picture(), flat.clone()), Err(Error::Input(_))));
    let shot = DraftShot::new(m, picture(), good).unwrap();
    let (mut s, mut o) = (DraftScratch::default(), DraftOutput::default());
    let settings = DraftSettings::default();
    assert!(matches!(shot.render(&short, &settings, &mut s, &mut o), Err(Error::Model(_))));
    assert!(matches!(shot.render(&nan, &settings, &mut s, &mut o), Err(Error::Input(_))));
    assert!(matches!(shot.render(&flat, &settings, &mut s, &mut o), Err(Error::Input(_))));
    // A head that has left the picture is no error.
    let gone = posed(0.0, [0.0; 3], 1.0, [900.0, 0.0]);
    shot.render(&gone, &settings, &mut s, &mut o).unwrap();
    assert!(o.picture.data.iter().all(|v| v.is_finite()));
    assert!(matches!(DraftModel::new(&[[0, 1, 9]], &[[0.0; 3]; 4], &[]), Err(Error::Model(_))));
}

/// A striped wall, and before it a round head on shoulders: the picture and its matte.
fn person() -> (Frame, Vec<f32>) {
    let mut picture = Frame::new(SIZE, SIZE);
    let mut matte = vec![0.0; SIZE * SIZE];
    for y in 0..SIZE {
        for x in 0..SIZE {
            let (u, v) = (x as f32, y as f32);
            let wall = if (y / 8) % 2 == 0 { 0.7 } else { 0.3 };
            let head = ((u - 128.0) / 56.0).hypot((v - 112.0) / 70.0) - 1.0;
            let body = ((u - 128.0) / 110.0).hypot((v - 250.0) / 62.0) - 1.0;
            let m = (0.5 - 30.0 * head.min(body)).clamp(0.0, 1.0);
            matte[y * SIZE + x] = m;
            let skin = [0.8, 0.5 + 0.1 * (0.2 * u).sin(), 0.4];
            let c: [f32; 3] = std::array::from_fn(|k| m * skin[k] + (1.0 - m) * wall);
            picture.set_pixel(x, y, [c[0], c[1], c[2], 1.0]);
        }
    }
    (picture, matte)
}

#[test]
fn what_is_behind_the_person_holds_still() {
    let (picture, matte) = person();
    let mesh = posed(0.0, [0.0; 3], 1.0, [0.0; 2]);
    let shot = DraftShot::with_matte(model(), picture.clone(), mesh, Some(matte.clone())).unwrap();
    let (out, _) = render(&shot, &posed(0.0, [0.0; 3], 1.0, [0.0; 2]));
    assert_eq!(out.picture.data, picture.data, "a head that does not move");
    let shift = 9.0;
    for target in [posed(0.0, [0.0; 3], 1.0, [shift, 0.0]), posed(0.6, [20.0, 0.0, 8.0], 1.0, [-shift, 3.0])] {
        let (out, _) = render(&shot, &target);
        let moved = out.picture.data.iter().zip(&picture.data).filter(|(a, b)| (*a - *b).abs() > 0.05).count();
        assert!(moved > 1000, "the head moves: {moved}");
        // Farther from the person, where it is and where it was, than 4 % of its height nothing changes at all.
        let far = 6;
        for y in 0..SIZE {
            for x in 0..SIZE {
                let around = |m: &[f32]| {
                    let rows = y.saturating_sub(far)..=(y + far).min(SIZE - 1);
                    rows.flat_map(|j| (x.saturating_sub(far)..=(x + far).min(SIZE - 1)).map(move |i| j * SIZE + i))
                        .any(|i| m[i] > 0.0)
                };
                if !around(&matte) && !around(&out.matte) {
                    assert_eq!(out.picture.pixel(x, y), picture.pixel(x, y), "{x} {y}");
                }
            }
        }
    }
    // What the head has left shows the wall's stripes.
    let (out, _) = render(&shot, &posed(0.0, [0.0; 3], 1.0, [shift, 0.0]));
    for (y, wall) in [(92, 0.3), (100, 0.7), (108, 0.3)] {
        let p = out.picture.pixel(76, y + 3);
        assert!(p[..3].iter().all(|c| (c - wall).abs() < 0.12), "{y}: {p:?} {wall}");
    }
    // As in earlier versions it moves along where that is wanted.
    let settings = DraftSettings { still_background: false, ..DraftSettings::default() };
    let (mut scratch, mut moving) = (DraftScratch::default(), DraftOutput::default());
    shot.render(&posed(0.0, [0.0; 3], 1.0, [shift, 0.0]), &settings, &mut scratch, &mut moving).unwrap();
    let (old, _) = render(
        &DraftShot::new(model(), picture.clone(), posed(0.0, [0.0; 3], 1.0, [0.0; 2])).unwrap(),
        &posed(0.0, [0.0; 3], 1.0, [shift, 0.0]),
    );
    assert_eq!(moving.mask, old.mask);
    assert!(DraftShot::with_matte(model(), picture, posed(0.0, [0.0; 3], 1.0, [0.0; 2]), Some(vec![1.0; 3])).is_err());
}

#[test]
fn a_bank_shows_what_the_reference_hides() {
    let closed = posed(0.0, [0.0; 3], 1.0, [0.0; 2]);
    let open = 9.0;
    // Another picture of the head, its mouth open and blue inside, elsewhere and larger.
    let other = posed(open, [0.0; 3], 1.2, [20.0, 10.0]);
    let mut seen = picture();
    let (mouth, _) = render(&shot(), &posed(open, [0.0; 3], 1.0, [0.0; 2]));
    let inside = |x: usize, y: usize| mouth.holes[y * SIZE + x] > 128;
    let blue = [0.1, 0.1, 0.9, 1.0];
    for y in 60..SIZE {
        for x in 40..220 {
            // The place of the same point of the head in the first picture.
            let back =
                |v: usize, middle: f32, shift: f32| ((v as f32 - middle - shift) / 1.2 + middle).round() as usize;
            let (u, v) = (back(x, 128.0, 20.0), back(y, 118.0, 10.0));
            if (130..175).contains(&v) && (105..150).contains(&u) && inside(u, v) {
                seen.set_pixel(x, y, blue);
            }
        }
    }
    let bank = || vec![BankPicture { picture: seen.clone(), mesh: other.clone() }];
    let with = shot().with_bank(&closed, bank()).unwrap();
    let (out, _) = render(&with, &posed(open, [0.0; 3], 1.0, [0.0; 2]));
    let (mut shown, mut all) = (0, 0);
    for y in 130..175 {
        for x in 105..150 {
            if inside(x, y) {
                all += 1;
                let p = out.picture.pixel(x, y);
                shown += usize::from(p[2] > 0.6 && p[0] < 0.35);
            }
        }
    }
    assert!(all > 100 && shown as f32 > 0.8 * all as f32, "{shown} of {all}");
    // A target that looks like the reference is the reference's.
    let (out, _) = render(&with, &closed);
    assert!(largest_difference(&out.picture, &picture()) < 2e-3);
    // Nothing pops on the way.
    let frame = |k: usize| render(&with, &posed(open * k as f32 / 60.0, [0.0; 3], 1.0, [0.0; 2])).0.picture;
    let mut before = frame(0);
    for k in 1..=60 {
        let now = frame(k);
        let at = |f: &Frame| f.pixel(128, 146)[2];
        assert!((at(&now) - at(&before)).abs() < 0.2, "{k}");
        before = now;
    }
    // Another model's mesh is refused; no picture is no bank.
    let wrong = BankPicture { picture: picture(), mesh: Mesh { vertices: vec![[0.0; 3]; 4] } };
    assert!(matches!(shot().with_bank(&closed, vec![wrong]), Err(Error::Model(_))));
    assert_eq!(
        render(&shot().with_bank(&closed, Vec::new()).unwrap(), &other).0.picture,
        render(&shot(), &other).0.picture
    );
}

#[test]
fn the_field_follows_a_similarity_near_the_face() {
    let shot = shot();
    let mesh = posed(0.0, [0.0, 0.0, 9.0], 1.05, [3.0, 2.0]);
    let forward = Similarity::fit(&shot.mesh, &mesh.vertices, &shot.model.rigid).unwrap();
    let motion = HeadMotion::new(forward, &shot.affine, &shot.hull, shot.model.symmetry_x).unwrap();
    let anchors: Vec<super::field::Anchor> = shot
        .model
        .border
        .iter()
        .map(|&v| {
            let (r, t) = (shot.mesh[v as usize], mesh.vertices[v as usize]);
            super::field::Anchor {
                target: Vector2::new(t[0], t[1]),
                displacement: Vector2::new(r[0] - t[0], r[1] - t[1]),
            }
        })
        .collect();
    let mut field = Field::default();
    field.solve(SIZE, SIZE, &motion, &shot.hull, &anchors, None);
    let mut row = vec![[0.0; 2]; SIZE];
    for a in &anchors {
        let y = a.target.y.round();
        field.row(y as usize, &mut row);
        let x = a.target.x.round();
        let want = motion.displacement(Vector2::new(x, y));
        let got = row[x as usize];
        assert!((want.x - got[0]).abs() < 0.3 && (want.y - got[1]).abs() < 0.3, "{want} {got:?}");
    }
}

/// The demo's portrait on the head that acts: its mesh for some of ARKit's coefficients and a turn of the head.
struct Portrait {
    prepared: crate::morphable::PreparedMorphable,
    draft: Arc<DraftModel>,
    picture: Frame,
    fit: crate::morphable::Fit,
}

impl Portrait {
    fn new() -> Portrait {
        let model = crate::synthetic::acting_head();
        let (picture, fit) = crate::synthetic::demo_reference(384).unwrap();
        let draft = Arc::new(DraftModel::from_morphable(&model).unwrap());
        Portrait { prepared: crate::morphable::PreparedMorphable::new(model).unwrap(), draft, picture, fit }
    }

    fn mesh(&self, shapes: &[(crate::morphable::ArkitShape, f32)]) -> Mesh {
        let model = self.prepared.model();
        let mut expr = vec![0.0; model.expr_dim];
        for (shape, value) in shapes {
            expr[model.arkit[*shape as usize] as usize] = *value;
        }
        let camera = crate::morphable::ImageCamera::from_fit(&self.fit).unwrap();
        let identity = self.prepared.identity(&self.fit.params.shape).unwrap();
        let mut mesh = Mesh::default();
        self.prepared.mesh_into(&identity, &expr, &camera, &mut mesh).unwrap();
        mesh
    }

    fn render(&self, shapes: &[(crate::morphable::ArkitShape, f32)]) -> Frame {
        let shot = DraftShot::new(self.draft.clone(), self.picture.clone(), self.mesh(&[])).unwrap();
        render(&shot, &self.mesh(shapes)).0.picture
    }

    /// Corners of the box around the opening of the left or the right eye at rest, pixels.
    fn opening(&self, left: bool) -> [[f32; 2]; 2] {
        let mesh = self.mesh(&[]).vertices;
        let range = if left { 42..48 } else { 36..42 };
        let points = self.prepared.model().landmarks[range].iter().map(|&v| mesh[v as usize]);
        points.fold([[f32::MAX; 2], [f32::MIN; 2]], |[lo, hi], p| {
            [[lo[0].min(p[0]), lo[1].min(p[1])], [hi[0].max(p[0]), hi[1].max(p[1])]]
        })
    }

    /// Mean x of what is dark in an eye's opening, as a share of its width, and the brightest value there.
    fn dark_and_bright(&self, picture: &Frame, left: bool) -> (f32, f32) {
        let [lo, hi] = self.opening(left);
        let (mut sum, mut weight, mut brightest) = (0.0f32, 1e-6f32, 0.0f32);
        for y in lo[1].ceil() as usize + 1..hi[1] as usize {
            for x in lo[0] as usize..hi[0] as usize {
                let p = picture.pixel(x, y);
                let luma = (p[0] + p[1] + p[2]) / 3.0;
                let dark = (0.45 - luma).max(0.0);
                sum += dark * (x as f32 - lo[0]) / (hi[0] - lo[0]);
                weight += dark;
                brightest = brightest.max(p[2]);
            }
        }
        (sum / weight, brightest)
    }
}

#[test]
fn irises_go_where_the_eyes_look() {
    use crate::morphable::ArkitShape::{EyeLookInLeft, EyeLookInRight, EyeLookOutLeft, EyeLookOutRight};
    let portrait = Portrait::new();
    let to_left = portrait.render(&[(EyeLookOutLeft, 0.6), (EyeLookInRight, 0.6)]);
    let to_right = portrait.render(&[(EyeLookInLeft, 0.6), (EyeLookOutRight, 0.6)]);
    for left in [true, false] {
        let (a, b) = (portrait.dark_and_bright(&to_right, left).0, portrait.dark_and_bright(&to_left, left).0);
        // 30 degrees of a ball of 12 mm in an eye of about 27 mm; its face's left is at the picture's right.
        assert!(b - a > 0.12, "left {left}: {a} {b}");
    }
}

#[test]
fn a_blink_hides_the_white() {
    use crate::morphable::ArkitShape::{EyeBlinkLeft, EyeBlinkRight};
    let portrait = Portrait::new();
    let open = portrait.render(&[]);
    let shut = portrait.render(&[(EyeBlinkLeft, 1.3), (EyeBlinkRight, 1.3)]);
    for left in [true, false] {
        let (white, skin) = (portrait.dark_and_bright(&open, left).1, portrait.dark_and_bright(&shut, left).1);
        assert!(skin < 0.85 * white, "left {left}: {white} {skin}: the blue of the white against that of the skin");
    }
}

#[test]
fn eyes_that_move_with_the_head_are_the_warps() {
    let portrait = Portrait::new();
    let shot = DraftShot::new(portrait.draft.clone(), portrait.picture.clone(), portrait.mesh(&[])).unwrap();
    assert_eq!(shot.eyes.iter().flatten().count(), 2, "the portrait shows both eyes");
    let (out, _) = render(&shot, &portrait.mesh(&[]));
    assert!(largest_difference(&out.picture, &portrait.picture) <= 1.0 / 255.0);
}

#[test]
fn eyeballs_change_nothing_of_pncc_and_mask() {
    use crate::morphable::{Euler, ImageCamera, Morphable};
    use crate::pncc::Rasterizer;
    use crate::synthetic::{acting_head, head};
    let picture = || {
        let mut frame = Frame::new(96, 96);
        for (i, p) in frame.data.chunks_exact_mut(4).enumerate() {
            p.copy_from_slice(&[(i % 96) as f32 / 96.0, (i / 96) as f32 / 96.0, (i % 7) as f32 / 7.0, 1.0]);
        }
        frame
    };
    let draw = |model: &Arc<Morphable>| {
        let prepared = crate::morphable::PreparedMorphable::new(model.clone()).unwrap();
        let identity = prepared.identity(&vec![0.3; model.shape_dim]).unwrap();
        let mesh = |yaw: f32| {
            let rotation = Euler { yaw, pitch: 4.0, roll: 0.0 }.rotation();
            let camera = ImageCamera::new(4e-4, rotation, [48.0, 48.0, 0.0]);
            let mut mesh = Mesh::default();
            prepared.mesh_into(&identity, &vec![0.0; model.expr_dim], &camera, &mut mesh).unwrap();
            mesh
        };
        // Made-up colours of a head that acts are others; here eyeballs are looked at.
        let mut draft = DraftModel::from_morphable(model).unwrap();
        draft.acts = false;
        let shot = DraftShot::new(Arc::new(draft), picture(), mesh(0.0)).unwrap();
        let mut out = DraftOutput::default();
        shot.render(&mesh(12.0), &DraftSettings::default(), &mut DraftScratch::default(), &mut out).unwrap();
        let mut raster = Rasterizer::single_thread();
        let mut pncc = Vec::new();
        let seen = mesh(12.0);
        let rendered = raster.render(&seen.vertices, model.drawn_triangles(false), 96, 96).unwrap();
        rendered.pncc_into(&model.ncc, &mut pncc).unwrap();
        let mut with = Vec::new();
        let rendered = raster.render(&seen.vertices, model.drawn_triangles(true), 96, 96).unwrap();
        rendered.pncc_into(&model.ncc, &mut with).unwrap();
        (out.picture.data, out.mask, pncc, with)
    };
    let (old, acting) = (draw(&head()), draw(&acting_head()));
    // The picture differs where the eyes are alone.
    let differ = old.0.chunks(4).zip(acting.0.chunks(4)).filter(|(a, b)| a != b).count();
    assert!(differ < 96 * 96 / 50, "{differ}");
    assert_eq!(old.1, acting.1);
    assert_eq!(old.2, acting.2);
    assert!(old.2 == old.3 && acting.2 != acting.3);
}
