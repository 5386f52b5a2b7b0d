use super::*;
use crate::engine::{Embedded, cpu, shape};
use crate::morphable::{Euler, RetargetSettings, RigSettings};
use crate::nets::generator;
use crate::reenact::draft::DraftModel;
use crate::reenact::paste::feather;
use crate::shot::{Head, Motion, TrackSettings};
use crate::synthetic;
use crate::testing::random_weights;
use crate::weights::{Array, Weights};

const SIDE: usize = 160;

fn generator(threads: usize) -> Generator {
    generator_of(threads, false, |_| {})
}

/// With random weights that `change` has changed; `own`: with prior and composition.
fn generator_of(threads: usize, own: bool, change: impl Fn(&mut Weights)) -> Generator {
    let config = generator::Config {
        ngf: 2,
        levels: 2,
        spade: 16,
        frames: 3,
        audio: 0,
        prior: own,
        compose: own,
        sound_at_mouth: false,
        eyeballs: false,
    };
    let layers = shape::layers(|ops| {
        let reference = generator::reference(ops, &config, &[1, 6, 64, 64]);
        generator::forward(ops, &config, &reference, &[1, 9, 64, 64], None, None);
    });
    let mut weights = random_weights(&layers, 3);
    change(&mut weights);
    let options = cpu::Options { threads, ..cpu::Options::default() };
    Generator {
        engine: Embedded::new(Arc::new(weights), &options).into(),
        config,
        name: "random".into(),
        blake3: String::new(),
        licence: String::new(),
    }
}

fn shot(frames: usize, generator: Option<Generator>) -> Shot {
    shot_of(frames, generator, |_| {})
}

fn shot_of(frames: usize, generator: Option<Generator>, change: impl Fn(&mut Frame)) -> Shot {
    shot_moving(frames, generator, change, |_, fit| fit)
}

fn shot_moving(
    frames: usize,
    generator: Option<Generator>,
    change: impl Fn(&mut Frame),
    walk: impl Fn(usize, Fit) -> Fit,
) -> Shot {
    let model = Arc::new(PreparedMorphable::new(synthetic::head()).unwrap());
    let head = model.model();
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
    let (mut portrait, fit) = synthetic::demo_reference(SIDE).unwrap();
    change(&mut portrait);
    let driving = synthetic::demo_driving(SIDE, frames).unwrap();
    let fits: Vec<Fit> = driving.enumerate().map(|(i, item)| walk(i, item.unwrap().1)).collect();
    let motion = Motion::from_fits(&fits, (SIDE, SIDE), "synthetic");
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default()).unwrap();
    Shot::with_model(model.clone(), draft, portrait, &fit, track, generator).unwrap()
}

fn settings(quality: Quality, view: View) -> FrameSettings {
    FrameSettings { quality, view, ..FrameSettings::default() }
}

#[test]
fn frames_do_not_depend_on_the_order() {
    for (quality, frames) in [(Quality::Draft, 12), (Quality::Full, 5)] {
        let shot = shot(frames, (quality == Quality::Full).then(|| generator(2)));
        let settings = settings(quality, View::Result);
        let mut scratch = Scratch::default();
        let in_order: Vec<Frame> =
            (0..frames).map(|i| shot.render(i, &|_| settings.clone(), &mut scratch).unwrap().clone()).collect();
        for i in (0..frames).rev() {
            let mut fresh = Scratch::default();
            assert!(*shot.render(i, &|_| settings.clone(), &mut scratch).unwrap() == in_order[i], "{quality:?} {i}");
            assert!(*shot.render(i, &|_| settings.clone(), &mut fresh).unwrap() == in_order[i], "{quality:?} {i}");
        }
        assert!(in_order[0] != in_order[frames - 1], "nothing moves");
    }
}

#[test]
fn the_plate_outside_the_mask_is_untouched() {
    for quality in [Quality::Draft, Quality::Full] {
        let shot = shot(8, (quality == Quality::Full).then(|| generator(2)));
        let (result, mask) = (settings(quality, View::Result), settings(quality, View::Mask));
        let mut scratch = Scratch::default();
        let picture = shot.render(7, &|_| result.clone(), &mut scratch).unwrap().clone();
        let mask = shot.render(7, &|_| mask.clone(), &mut scratch).unwrap();
        let (mut outside, mut changed) = (0, 0);
        for (i, m) in mask.data.chunks_exact(4).enumerate() {
            let (a, b) = (&picture.data[4 * i..4 * i + 4], &shot.reference().data[4 * i..4 * i + 4]);
            if m[0] == 0.0 {
                outside += 1;
                assert_eq!(a, b, "{quality:?} pixel {i}");
            } else if a != b {
                changed += 1;
            }
        }
        assert!(outside > 100 && changed > 1000, "{quality:?}: {outside} outside, {changed} changed");
    }
}

#[test]
fn controls_turn_and_strengths_still() {
    let shot = shot(10, None);
    let still = RetargetSettings { motion: 0.0, pose: 0.0, expression: 0.0, ..RetargetSettings::default() };
    let frozen = FrameSettings { retarget: still, ..FrameSettings::default() };
    let a = shot.pose(2, &frozen).unwrap();
    let b = shot.pose(9, &frozen).unwrap();
    assert!((a.camera.euler().yaw - b.camera.euler().yaw).abs() < 1e-2);
    assert!(a.expr.iter().zip(&b.expr).all(|(x, y)| (x - y).abs() < 1e-5));
    let turned = FrameSettings { turn: Euler { yaw: 10.0, ..Euler::default() }, ..frozen.clone() };
    assert!((shot.pose(2, &turned).unwrap().camera.euler().yaw - a.camera.euler().yaw - 10.0).abs() < 0.05);
    let front = FrameSettings { frontalise: 1.0, ..frozen };
    let e = shot.pose(2, &front).unwrap().camera.euler();
    assert!(e.yaw.abs() + e.pitch.abs() + e.roll.abs() < 0.1, "{e:?}");
    assert!(shot.pose(10, &FrameSettings::default()).is_err());
}

/// Of frames outside [`Shot::input_frames`] nothing but what the camera's controls say changes a picture.
#[test]
fn neighbours_are_asked_for_their_cameras_alone() {
    use crate::controls::{CONTROLS, Kind, Value, Values};
    let shot = shot(40, Some(generator(2)));
    let set = |ids: &[&str]| {
        let mut values = Values::new();
        values.assign("quality=full").unwrap();
        for id in ids {
            let Kind::Float { max, .. } = crate::controls::value::named(id).unwrap().kind else { panic!("{id}") };
            values.set_value(id, Value::Float(max)).unwrap();
        }
        FrameSettings::from_controls(&values.resolve(0.0), false)
    };
    let animated = CONTROLS.iter().filter(|c| c.keyframable).map(|c| c.id);
    let (camera, others): (Vec<&str>, Vec<&str>) = animated.partition(|id| FrameSettings::CAMERA_CONTROLS.contains(id));
    assert_eq!(camera.len(), FrameSettings::CAMERA_CONTROLS.len());
    let mut scratch = Scratch::default();
    let whole = shot.input_frames(20);
    assert_eq!((&whole, shot.input_frames(1)), (&(18..=20), 0..=1));
    let mut rendered = |ids: &[&str]| {
        let (plain, other) = (set(&[]), set(ids));
        let settings = |i: usize| if whole.contains(&i) { plain.clone() } else { other.clone() };
        let window = shot.window_at(20, &settings).unwrap();
        (window, shot.render(20, &settings, &mut scratch).unwrap().clone())
    };
    let still = rendered(&[]);
    assert!(rendered(&others) == still);
    assert_ne!(rendered(&camera).0, still.0);
    for id in others {
        assert_eq!(shot.pose(7, &set(&[id])).unwrap().camera, shot.pose(7, &set(&[])).unwrap().camera, "{id}");
    }
}

/// The rig's settings reach whatever is made of a mesh.
#[test]
fn regions_and_expressions_reach_every_picture() {
    use crate::morphable::Expression;
    let shot = shot(8, Some(generator(1)));
    let mut scratch = Scratch::default();
    let mut differ = |plain: FrameSettings| {
        let mut still = plain.clone();
        still.rig.regions = [0.0; 4];
        let smile = FrameSettings { rig: RigSettings::single(Expression::Smile, 1.0), ..plain.clone() };
        let mut render =
            |settings: &FrameSettings| shot.render(7, &|_| settings.clone(), &mut scratch).unwrap().clone();
        let pictures = [render(&plain), render(&still), render(&smile)];
        assert!(pictures[0] != pictures[1] && pictures[0] != pictures[2] && pictures[1] != pictures[2], "{plain:?}");
    };
    for view in [View::Result, View::Pncc, View::Landmarks, View::Flow] {
        differ(settings(Quality::Draft, view));
    }
    differ(settings(Quality::Full, View::Crop));
}

#[test]
fn a_still_look_leaves_the_reference_alone() {
    let shot = shot(10, None);
    let still = |more: &[&str]| {
        let mut values = crate::controls::Values::new();
        let zero = ["motion_strength=0", "pose_strength=0", "expression_strength=0"];
        zero.iter().chain(more).for_each(|c| values.assign(c).unwrap());
        FrameSettings::from_controls(&values.resolve(0.0), false)
    };
    let mut scratch = Scratch::default();
    for more in [&[][..], &["region_mouth=0.5"], &["relative_expression=true"], &["smoothing=0", "fill_mouth=false"]] {
        let settings = still(more);
        assert!(settings.is_still(), "{more:?}");
        let picture = shot.render(7, &|_| settings.clone(), &mut scratch).unwrap();
        let pairs = picture.data.iter().zip(&shot.reference().data);
        let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Less than what 8 bits can show.
        assert!(off < 0.5 / 255.0, "{more:?}: {off}");
    }
    for more in ["yaw_offset=1", "expr_smile=0.1", "view=mask", "quality=full", "frontalise=1", "identity_mix=0.5"] {
        assert!(!still(&[more]).is_still(), "{more}");
    }
    assert!(!FrameSettings::default().is_still());
}

/// What was prepared of a reference serves any track.
#[test]
fn another_track_drives_the_same_reference() {
    let (short, long) = (shot(4, None), shot(10, None));
    let other = short.with_track(long.track().clone());
    let settings = settings(Quality::Draft, View::Result);
    let render = |shot: &Shot| shot.render(8, &|_| settings.clone(), &mut Scratch::default()).unwrap().clone();
    assert!(render(&other) == render(&long));
}

#[test]
fn regions_at_0_are_the_face_at_rest() {
    let shot = shot(10, None);
    let mut scratch = Scratch::default();
    let mut render = |settings: &FrameSettings| shot.render(8, &|_| settings.clone(), &mut scratch).unwrap().clone();
    for same in [false, true] {
        let settings = |controls: &[&str]| {
            let mut values = crate::controls::Values::new();
            controls.iter().for_each(|c| values.assign(c).unwrap());
            FrameSettings::from_controls(&values.resolve(0.0), same)
        };
        let regions = settings(&["region_mouth=0", "region_jaw=0", "region_eyes=0", "region_brows=0"]);
        let (a, b) = (render(&regions), render(&settings(&["expression_strength=0"])));
        let off = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 0.02, "{off}");
        assert!(a != render(&settings(&[])));
        assert_eq!(settings(&["region_head=0"]), settings(&["motion_strength=0", "pose_strength=0"]));
    }
}

#[test]
fn full_needs_a_generator_and_a_warm_one_allocates_no_tensor() {
    let draft_only = shot(2, None);
    let full = settings(Quality::Full, View::Result);
    let error = draft_only.render(0, &|_| full.clone(), &mut Scratch::default()).unwrap_err();
    assert_eq!(error.exit_code(), 4);
    // One thread: with more, how many tasks hold a buffer at once is a matter of timing.
    let shot = shot(6, Some(generator(1)));
    let mut scratch = Scratch::default();
    let buffers = |scratch: &mut Scratch, i: usize| {
        shot.render(i, &|_| full.clone(), scratch).unwrap();
        shot.runner.as_ref().unwrap().buffers()
    };
    let warm = (buffers(&mut scratch, 0), buffers(&mut scratch, 1)).1;
    for i in 2..6 {
        assert_eq!(buffers(&mut scratch, i), warm, "frame {i} allocated a tensor");
    }
}

#[test]
fn full_keeps_the_plates_code_and_alpha() {
    use crate::frame::Color;
    let full = settings(Quality::Full, View::Result);
    let render = |change: &dyn Fn(&mut Frame)| {
        let shot = shot_of(3, Some(generator(1)), change);
        shot.render(2, &|_| full.clone(), &mut Scratch::default()).unwrap().clone()
    };
    let plain = render(&|_| {});
    // The same codes, whatever curve they are tagged with, give the same codes.
    let video = render(&|f| f.color = Color::Rec709);
    assert_eq!((video.color, &video.data), (Color::Rec709, &plain.data));
    let clear = render(&|f| f.data.chunks_exact_mut(4).for_each(|p| p[3] = 0.0));
    assert!(clear.data.chunks_exact(4).all(|p| p[3] == 0.0), "a transparent plate became opaque");
}

/// The reference's own head must not stay in the plate where a generator's window has left it.
#[test]
fn a_head_that_walks_leaves_none_behind() {
    let n = 60;
    let walking = shot_moving(
        n,
        Some(generator(1)),
        |_| {},
        |i, mut fit| {
            let dx = 3.0 * i as f32;
            (fit.roi.x0, fit.roi.x1) = (fit.roi.x0 + dx, fit.roi.x1 + dx);
            fit
        },
    );
    let mut scratch = Scratch::default();
    let mut render = |quality| {
        let settings = settings(quality, View::Result);
        walking.render(n - 1, &|_| settings.clone(), &mut scratch).unwrap().clone()
    };
    let (full, draft) = (render(Quality::Full), render(Quality::Draft));
    let window = walking.window_at(n - 1, &|_| FrameSettings::default()).unwrap();
    let home = walking.window;
    assert!(window.x0 > home.x0 + 0.2 * home.width, "{window:?} {home:?}");
    // What home covers and the window has left, Draft alone has painted.
    let inside = |w: Window, x: usize, y: usize| feather(x, w.x0, w.width).min(feather(y, w.y0, w.height));
    let pixels = (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y)));
    let left = pixels.filter(|&(x, y)| inside(home, x, y) == 1.0 && inside(window, x, y) == 0.0);
    let mut covered = 0;
    for (x, y) in left {
        assert_eq!(full.pixel(x, y), draft.pixel(x, y), "{x}, {y}");
        covered += usize::from(draft.pixel(x, y) != walking.reference().pixel(x, y));
    }
    assert!(covered > 500, "{covered}");
}

/// A driver who walks through the picture: the window goes along, so that the generator always sees the whole head,
/// and the head walks in the plate all the same.
#[test]
fn the_window_follows_a_head_that_walks() {
    let n = 60;
    let still = shot(n, None);
    let walking = shot_moving(
        n,
        None,
        |_| {},
        |i, mut fit| {
            let dx = 3.0 * i as f32;
            (fit.roi.x0, fit.roi.x1) = (fit.roi.x0 + dx, fit.roi.x1 + dx);
            fit
        },
    );
    let settings = |_: usize| FrameSettings::default();
    let mut scratch = Scratch::default();
    let mut covered = |shot: &Shot, i: usize, window: Window| {
        let pose = shot.pose(i, &FrameSettings::default()).unwrap();
        let pncc = shot.pncc_in_window(&pose, window, &FrameSettings::default(), &mut scratch).unwrap();
        pncc.chunks_exact(3).filter(|p| p.iter().any(|v| *v > 0.0)).count()
    };
    for i in 0..n {
        assert_eq!(still.window_at(i, &settings).unwrap(), still.window, "frame {i}");
        let window = walking.window_at(i, &settings).unwrap();
        let (whole, seen) = (covered(&still, i, still.window), covered(&walking, i, window));
        // The window may be another share of a pixel away.
        assert!(seen.abs_diff(whole) < whole / 50, "frame {i}: {seen} of {whole} pixels");
    }
    let last = covered(&walking, n - 1, walking.window);
    assert!(last < covered(&still, n - 1, still.window) * 9 / 10, "the walk does not leave the window");
    let x = |i: usize| walking.pose(i, &FrameSettings::default()).unwrap().camera.translation[0];
    assert!(x(n - 1) - x(0) > 100.0, "{} {}", x(0), x(n - 1));
}

/// Windows of other sizes, elsewhere in a plate of another size than a crop.
#[test]
fn the_meshs_flow_between_windows() {
    let (w, h) = (400, 300);
    // An affine flow, which bilinear reading leaves as it is.
    let there = |x: f64, y: f64| [1.1 * x - 0.2 * y + 5.0, 0.15 * x + 0.9 * y - 3.0];
    let flow: Vec<[f32; 2]> = (0..w * h)
        .map(|i| {
            let (x, y) = ((i % w) as f64, (i / w) as f64);
            let [u, v] = there(x, y);
            [(u - x) as f32, (v - y) as f32]
        })
        .collect();
    let mut out = Vec::new();
    let (window, home) = (Window::square(40.3, 20.7, 150.0), Window::square(110.1, 5.2, 230.0));
    flow_in_window(&flow, (w, h), window, home, &mut out);
    let k = CROP as f64;
    for (x, y) in [(0, 0), (255, 255), (17, 200), (130, 91)] {
        let place = |p: usize, start: f64| start + (p as f64 + 0.5) * window.width / k - 0.5;
        let [u, v] = there(place(x, window.x0), place(y, window.y0));
        let back = |q: f64, start: f64| (q + 0.5 - start) * k / home.width - 0.5;
        let [rx, ry] = out[y * CROP + x].map(f64::from);
        let (ex, ey) = (back(u, home.x0) - x as f64, back(v, home.y0) - y as f64);
        assert!((rx - ex).abs() < 1e-3 && (ry - ey).abs() < 1e-3, "{x}, {y}: {rx} {ry}, not {ex} {ey}");
    }
    flow_in_window(&vec![[0.0; 2]; w * h], (w, h), window, window, &mut out);
    assert!(out.iter().flatten().all(|d| d.abs() < 1e-4));
}

/// A generator that only follows the mesh paints what Draft paints, also where the window goes along with a head
/// that walks and comes nearer.
#[test]
fn a_generator_that_only_follows_the_mesh_is_draft() {
    let n = 60;
    let follower = generator_of(1, true, |w| {
        for layer in ["flow_network.dec_flow.1", "rendering_network.conv_img.1"] {
            for part in ["weight", "bias"] {
                let name = format!("{layer}.{part}");
                let shape = w.get(&name).unwrap().shape.clone();
                let len = shape.iter().product();
                w.insert(name, Array::f32(shape, vec![0.0; len]));
            }
        }
    });
    let moving = shot_moving(
        n,
        Some(follower),
        |_| {},
        |i, mut fit| {
            let (dx, k) = (1.5 * i as f32, 1.0 + 0.03 * i as f32);
            let (w, h) = (fit.roi.width() * k, fit.roi.height() * k);
            (fit.roi.x0, fit.roi.y0) = (fit.roi.x0 + dx, fit.roi.y0 - 0.2 * dx);
            (fit.roi.x1, fit.roi.y1) = (fit.roi.x0 + w, fit.roi.y0 + h);
            fit
        },
    );
    let mut scratch = Scratch::default();
    scratch.keep_warped();
    for i in [0, n / 2, n - 1] {
        let mut render = |quality| {
            let settings = settings(quality, View::Result);
            let picture = moving.render(i, &|_| settings.clone(), &mut scratch).unwrap().clone();
            (picture, scratch.warped().unwrap().clone())
        };
        let ((full, by_full), (draft, by_draft)) = (render(Quality::Full), render(Quality::Draft));
        let window = moving.window_at(i, &|_| FrameSettings::default()).unwrap();
        assert!(i < n - 1 || (window != moving.window && window.width > 1.05 * moving.window.width), "{window:?}");
        let change = |a: &Frame, b: &Frame| {
            let sum: f32 = a.data.iter().zip(&b.data).map(|(a, b)| (a - b).abs()).sum();
            sum / a.data.len() as f32
        };
        let apart = by_full.data.iter().zip(&by_draft.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(apart < 1e-3, "frame {i}: one flow, two pictures, {apart} apart");
        let (off, moved) = (change(&full, &draft), change(&draft, moving.reference()));
        assert!(off < 1e-5 && (i == 0 || moved > 1e-3), "frame {i}: {off} off, {moved} moved");
    }
}

/// A drawn head performs itself: its first frame, warped, comes near the frames that follow.
#[test]
fn the_warped_reference_is_near_the_truth() {
    use crate::evaluate::picture::Errors;
    let model = Arc::new(PreparedMorphable::new(synthetic::head()).unwrap());
    let head = model.model();
    let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks).unwrap());
    let clip: Vec<(Frame, Fit)> = synthetic::demo_driving(SIDE, 40).unwrap().map(|item| item.unwrap()).collect();
    let fits: Vec<Fit> = clip.iter().map(|(_, fit)| fit.clone()).collect();
    let motion = Motion::from_fits(&fits, (SIDE, SIDE), "synthetic");
    let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default()).unwrap();
    let shot = Shot::with_model(model.clone(), draft, clip[0].0.clone(), &fits[0], track, None).unwrap();
    let retarget = RetargetSettings { self_reenactment: true, ..RetargetSettings::default() };
    let settings = FrameSettings { retarget, view: View::Crop, ..FrameSettings::default() };
    let mut scratch = Scratch::default();
    scratch.keep_warped();
    let (mut still, mut warped) = (0.0, 0.0);
    for i in (5..40).step_by(5) {
        shot.render(i, &|_| settings.clone(), &mut scratch).unwrap();
        let by_flow = scratch.warped().unwrap().clone();
        let window = shot.window_at(i, &|_| settings.clone()).unwrap();
        let crop = |frame: &Frame| frame.crop(window, CROP, CROP, Filter::Area);
        let mask = shot.silhouette(i, &|_| settings.clone(), &mut scratch).unwrap();
        let error = |picture: &Frame| Errors::between(picture, &crop(&clip[i].0)).unwrap().within(&mask).unwrap();
        still += error(&crop(&clip[0].0));
        warped += error(&by_flow);
    }
    assert!(warped < 0.6 * still, "{warped} warped, {still} as it is");
}

#[test]
fn the_silhouette_is_where_pncc_is() {
    let shot = shot(4, None);
    let (pncc, draft) = (settings(Quality::Draft, View::Pncc), settings(Quality::Draft, View::Crop));
    let mut scratch = Scratch::default();
    let picture = shot.render(3, &|_| pncc.clone(), &mut scratch).unwrap().clone();
    let crop = picture.crop(shot.window_at(3, &|_| pncc.clone()).unwrap(), CROP, CROP, Filter::Area);
    let mask = shot.silhouette(3, &|_| draft.clone(), &mut scratch).unwrap();
    let covered = mask.iter().filter(|m| **m).count();
    assert!((CROP * CROP / 10..CROP * CROP / 3).contains(&covered), "{covered}");
    let shown = |i: usize| crop.data[4 * i..4 * i + 3].iter().sum::<f32>() > 0.0;
    let off = mask.iter().enumerate().filter(|(i, m)| shown(*i) != **m).count();
    assert!(off < covered / 20, "{off} of {covered} at the outline");
    assert!(scratch.warped().is_none(), "nobody asked for it");
    // A head that the driver moves is seen in its own square.
    let (home, there) = (shot.window, shot.driver_window(3).unwrap());
    assert!(there != home && (there.width / home.width - 1.0).abs() < 0.5, "{there:?}");
    assert!(shot.driver_window(4).is_err() && shot.silhouette(4, &|_| draft.clone(), &mut scratch).is_err());
}

#[test]
fn landmarks_are_the_same_in_draft_and_full() {
    let shot = shot(3, Some(generator(1)));
    let ink = |quality: Quality| -> Vec<bool> {
        let plain = settings(quality, View::Result);
        let drawn = settings(quality, View::Landmarks);
        let mut scratch = Scratch::default();
        let a = shot.render(2, &|_| plain.clone(), &mut scratch).unwrap().clone();
        let b = shot.render(2, &|_| drawn.clone(), &mut scratch).unwrap();
        a.data.chunks_exact(4).zip(b.data.chunks_exact(4)).map(|(a, b)| a != b).collect()
    };
    let (draft, full) = (ink(Quality::Draft), ink(Quality::Full));
    let count = draft.iter().filter(|d| **d).count();
    let differ = draft.iter().zip(&full).filter(|(a, b)| a != b).count();
    assert!(count > 200 && differ < count / 20, "{differ} of {count}");
}
