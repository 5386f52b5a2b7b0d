//! Recordings of our own making, and what becomes of them.

use super::*;
use crate::morphable::arkit::Gaze;
use crate::morphable::{Euler, Mesh, PreparedMorphable};
use crate::random::Rng;
use crate::synthetic::acting_head;

fn parse(text: &str) -> Result<Performance> {
    csv::read(text.as_bytes(), "take.csv")
}

fn line(text: &str) -> String {
    let e = parse(text).unwrap_err().to_string();
    assert!(e.starts_with("take.csv: ") && !e.contains('\n'), "{e}");
    e
}

fn performance(frames: usize, seed: u64) -> Performance {
    let mut rng = Rng(seed);
    let samples = (0..frames).map(|i| Sample {
        seconds: i as f64 / 60.0,
        curves: std::array::from_fn(|_| rng.unit() as f32),
        head: [0.5, 0.3, 0.2].map(|reach| rng.within(reach) as f32),
        place: Place { x: rng.within(0.2) as f32, y: rng.within(0.1) as f32, scale: 1.0 + rng.within(0.2) as f32 },
    });
    Performance::new(samples.collect()).unwrap()
}

fn performer<'a>(model: &'a Morphable, shape: &'a [f32]) -> Performer<'a> {
    Performer { model, hash: "model", shape, lids: [1.25, 0.8] }
}

fn close(a: &Sample, b: &Sample, within: f32) -> bool {
    let [p, q] = [a, b].map(|s| [s.place.x, s.place.y, s.place.scale]);
    let both = a.curves.iter().chain(&a.head).chain(&p).zip(b.curves.iter().chain(&b.head).chain(&q));
    (a.seconds - b.seconds).abs() < 2e-5 && both.into_iter().all(|(a, b)| (a - b).abs() <= within)
}

#[test]
fn what_is_written_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("take.CSV");
    assert!(is_recording_name(&path) && !is_recording_name(Path::new("take.hgm")));
    let took = performance(130, 1);
    let bytes = took.save(&path).unwrap();
    assert_eq!(bytes as u64, std::fs::metadata(&path).unwrap().len());
    let text = std::fs::read_to_string(&path).unwrap();
    let header = text.lines().next().unwrap();
    assert!(header.starts_with("Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,"), "{header}");
    assert!(header.ends_with(",RightEyeYaw,RightEyePitch,RightEyeRoll,HeadX,HeadY,HeadScale"));
    // As the app writes it.
    let plain = csv::write(&took.clone().without_place());
    let header = plain.lines().next().unwrap();
    assert!(header.ends_with(",TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"));
    assert_eq!(header.split(',').count(), 63);
    assert_eq!(parse(&plain).unwrap().samples()[7].place, Place::default());
    assert!(text.lines().nth(61).unwrap().starts_with("00:00:01:00.000,61,"));
    let read = Performance::load(&path).unwrap();
    assert!(read.samples().len() == 130 && read.samples().iter().zip(took.samples()).all(|(a, b)| close(a, b, 1e-6)));
    assert_eq!(read.rate(), Rational::whole(60));
    assert!(matches!(Performance::load(&dir.path().join("none.csv")), Err(Error::Input(_))));
}

/// Any order, either spelling, other columns between, quotes, a mark of the byte order, and no TongueOut.
#[test]
fn columns_go_by_name() {
    let text = "\u{feff}Notes,headRoll,\"jawOpen\",HeadYaw,Timecode,EyeBlinkLeft\r\n\
                hello,0.1,0.5,-0.2,00:00:01:59.0,1\r\n\r\n\
                ,0.2,\"1.5\",-0.3,00:00:02:00.0,0.25\r\n";
    let read = parse(text).unwrap();
    let [a, b] = read.samples() else { panic!("{read:?}") };
    assert_eq!(a.head, [-0.2, 0.0, 0.1]);
    assert_eq!(a.curves[ArkitShape::JawOpen as usize], 0.5);
    assert_eq!(a.curves[ArkitShape::EyeBlinkLeft as usize], 1.0);
    assert_eq!(a.curves.iter().sum::<f32>(), 1.5);
    // A calibrated value beyond the range is brought back.
    assert_eq!((b.head, b.curves[ArkitShape::JawOpen as usize]), ([-0.3, 0.0, 0.2], 1.0));
    assert!((b.seconds - 1.0 / 60.0).abs() < 1e-9);
}

/// Angles of the eyes count where no shape says where they look.
#[test]
fn eyes_turn_by_their_shapes_or_their_angles() {
    let angles = "Timecode,JawOpen,LeftEyeYaw,LeftEyePitch,RightEyeYaw,RightEyePitch\n\
                  00:00:00:00,0,0.2,-0.1,-0.3,0.2\n";
    let gaze = Gaze::from_curves(&parse(angles).unwrap().samples()[0].curves);
    let wanted = [[0.2f32, 0.1], [-0.3, -0.2]].map(|g| g.map(f32::to_degrees));
    for (a, b) in [gaze.left, gaze.right].as_flattened().iter().zip(wanted.as_flattened()) {
        assert!((a - b).abs() < 1e-3, "{gaze:?} {wanted:?}");
    }
    let shapes = angles.replace("JawOpen", "EyeLookUpLeft");
    assert_eq!(Gaze::from_curves(&parse(&shapes).unwrap().samples()[0].curves), Gaze::default());
}

#[test]
fn frames_that_were_dropped_are_holes() {
    let all = performance(61, 2);
    let kept = |keep: &dyn Fn(usize) -> bool| {
        let some = all.samples().iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, s)| s.clone());
        Performance::new(some.collect()).unwrap()
    };
    // At its own rate the rows come back.
    let same = all.resampled(Rational::whole(60)).unwrap();
    assert!(same.len() == 61 && same.iter().zip(all.samples()).all(|(a, b)| close(a.as_ref().unwrap(), b, 0.0)));
    // One is missing: not known at 60 a second, between its neighbours at 30.
    let one = kept(&|i| i != 20);
    let frames = one.resampled(Rational::whole(60)).unwrap();
    assert!(frames.iter().enumerate().all(|(i, f)| f.is_none() == (i == 20)));
    let frames = one.resampled(Rational::whole(30)).unwrap();
    assert_eq!(frames.len(), 31);
    let (a, b, mid) = (&all.samples()[19], &all.samples()[21], frames[10].as_ref().unwrap());
    assert!((0..ArkitShape::COUNT).all(|k| (mid.curves[k] - 0.5 * (a.curves[k] + b.curves[k])).abs() < 1e-3));
    // Half a second: 0.32 to 0.80 s lie between rows 19 and 50.
    let many = kept(&|i| !(20..50).contains(&i));
    let holes = many.holes(0.25);
    assert!(holes.len() == 1 && (holes[0][1] - holes[0][0] - 31.0 / 60.0).abs() < 1e-9);
    assert_eq!(many.resampled(Rational::whole(25)).unwrap().iter().filter(|f| f.is_none()).count(), 13);
    // Rates that do not fit: between the rows.
    let frames = all.resampled(Rational::whole(25)).unwrap();
    assert_eq!(frames.len(), 26);
    for (i, f) in frames.iter().enumerate() {
        let at = i as f64 * 2.4;
        let (a, t) = (at as usize, at.fract() as f32);
        let [a, b] = [a, (a + 1).min(60)].map(|k| all.samples()[k].curves[3]);
        assert!((f.as_ref().unwrap().curves[3] - (a + t * (b - a))).abs() < 1e-3);
    }
    // A frame without a face has no values.
    let text = "Timecode,BlendShapeCount,JawOpen\n00:00:00:00,61,0.1\n00:00:00:01,0\n00:00:00:02,61,0.3\n";
    assert_eq!(parse(text).unwrap().samples().len(), 2);
}

/// The signs that the module states, on a drawn head.
#[test]
fn angles_turn_the_head_as_they_say() {
    let model = PreparedMorphable::new((*acting_head()).clone()).unwrap();
    let shape = vec![0.0; model.model().shape_dim];
    let identity = model.identity(&shape).unwrap();
    let landmarks = |head: [f32; 3]| {
        let place = Place { x: 0.05, y: 0.02, scale: 1.2 };
        let sample = Sample { seconds: 0.0, curves: [0.0; ArkitShape::COUNT], head, place };
        let motion =
            Performance::new(vec![sample]).unwrap().motion(Rational::whole(25), &performer(model.model(), &shape));
        let motion = motion.unwrap();
        let frame = motion.frames[0].as_ref().unwrap();
        let camera = ImageCamera::from_matrix(&frame.camera.map(f64::from)).unwrap();
        let mut mesh = Mesh::default();
        model.mesh_into(&identity, &frame.expr, &camera, &mut mesh).unwrap();
        model.model().landmarks.iter().map(|v| mesh.vertices[*v as usize]).collect::<Vec<_>>()
    };
    let rest = landmarks([0.0; 3]);
    let moved = |head: [f32; 3], landmark: usize, axis: usize| landmarks(head)[landmark][axis] - rest[landmark][axis];
    // The tip of the nose: to the face's left, which is the picture's right, and down, where y grows.
    assert!(moved([0.3, 0.0, 0.0], 30, 0) > 20.0 && moved([0.0, 0.3, 0.0], 30, 1) > 20.0);
    // The outer corner of the face's left eye goes up when the head leans to its right shoulder.
    assert!(moved([0.0, 0.0, 0.3], 45, 1) < -5.0 && moved([0.0, 0.0, 0.3], 36, 1) > 5.0);
    // In the terms of the pose that the program prints.
    let euler = |head| Euler::from_rotation(&rotation(head));
    assert!((euler([0.2, 0.0, 0.0]).yaw + 0.2f32.to_degrees()).abs() < 1e-3);
    assert!((euler([0.0, 0.2, 0.0]).pitch - 0.2f32.to_degrees()).abs() < 1e-3);
    assert!((euler([0.0, 0.0, 0.2]).roll - 0.2f32.to_degrees()).abs() < 1e-3);
    let mut rng = Rng(5);
    for _ in 0..100 {
        let head = [1.2, 1.2, 1.2].map(|reach| rng.within(reach) as f32);
        assert!(angles(&rotation(head)).iter().zip(head).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}

/// From a motion and back: the same rotations and expressions, for the same person.
#[test]
fn a_motion_goes_through_a_recording() {
    let model = acting_head();
    let shape = vec![0.1; model.shape_dim];
    let who = performer(&model, &shape);
    let fps = Rational::new(30_000, 1001).unwrap();
    let mut motion = Performance { samples: performance(40, 3).samples }.motion(Rational::whole(60), &who).unwrap();
    motion.fps = Some(fps);
    for i in [0, 1, 17, 18, 39] {
        motion.frames[i] = None;
    }
    let took = Performance::of_motion(&motion, fps, &who).unwrap();
    let read = parse(&csv::write(&took)).unwrap();
    assert_eq!(read.rate(), fps);
    let back = read.motion(fps, &who).unwrap();
    assert_eq!((back.frames.len(), back.identity.as_deref(), back.model.as_str()), (40, Some(&shape[..]), "model"));
    let mut scales = Vec::new();
    for (i, (a, b)) in motion.frames.iter().zip(&back.frames).enumerate() {
        match (a, b) {
            (Some(a), Some(b)) => {
                assert!(a.expr.iter().zip(&b.expr).all(|(a, b)| (a - b).abs() < 2e-6), "{i}");
                // One picture of the head is as large as the other, at a mean scale of its own.
                let [p, q] = [a, b].map(|f| ImageCamera::from_matrix(&f.camera.map(f64::from)).unwrap());
                assert!(p.rotation.angle_to(&q.rotation) < 1e-4, "{i}");
                let k = q.scale / p.scale;
                scales.push(k);
                let middle = SIDE as f32 / 2.0;
                for c in 0..2 {
                    let [p, q] = [&p, &q].map(|p| p.translation[c] - middle);
                    assert!((k * p - q).abs() < 0.02, "{i} {p} {q}");
                }
            }
            // The ends are held.
            (None, Some(_)) => assert!(i == 0 || i == 39),
            (a, b) => assert_eq!(a.is_some(), b.is_some(), "{i}"),
        }
    }
    assert!(scales.iter().all(|k| (k / scales[0] - 1.0).abs() < 1e-4), "{scales:?}");
    let plain = crate::synthetic::head();
    assert!(matches!(took.motion(fps, &performer(&plain, &shape)), Err(Error::Model(_))));
    assert!(matches!(Performance::of_motion(&motion, fps, &performer(&plain, &shape)), Err(Error::Model(_))));
    motion.frames.fill(None);
    assert!(matches!(Performance::of_motion(&motion, fps, &who), Err(Error::NoFace(_))));
}

#[test]
fn other_files_are_one_line_errors() {
    assert!(line("").contains("empty"));
    assert!(line("a,b,c\n1,2,3\n").contains("no column Timecode"));
    assert!(
        line("Timecode,speed\n00:00:00:00,1\n").contains("none of")
            || line("Timecode,speed\n00:00:00:00,1\n").contains("ARKit")
    );
    assert!(line("Timecode,JawOpen,jawOpen\n").contains("twice"));
    assert!(line("Timecode,JawOpen\n").contains("no row"));
    assert!(line("Timecode,JawOpen\n00:00:00:00\n").contains("line 2: 1 values where the header has 2"));
    assert!(line("Timecode,JawOpen\n00:00:00:00,x\n").contains("JawOpen is 'x'"));
    assert!(line("Timecode,JawOpen\n00:00:00:00,nan\n").contains("JawOpen"));
    assert!(line("Timecode,JawOpen\n00:00:00:00,40\n").contains("40"));
    assert!(line("Timecode,JawOpen,HeadYaw\n00:00:00:00,0,45\n").contains("HeadYaw"));
    assert!(line("Timecode,JawOpen,HeadScale\n00:00:00:00,0,0\n").contains("HeadScale"));
    assert!(line("Timecode,JawOpen\n12.5,0\n").contains("timecode"));
    assert!(line("Timecode,JawOpen\n00:00:05:00,0\n00:00:04:00,0\n").contains("backwards"));
    assert!(csv::read(&b"Timecode,JawOpen\n\xff\xfe,0\n"[..], "take.csv").unwrap_err().to_string().contains("no text"));
    let endless = format!("Timecode,JawOpen\n{}", "0".repeat(100_000));
    assert!(line(&endless).contains("longer"));
    // Two rows, hours apart.
    let long = parse("Timecode,JawOpen\n00:00:00:00,0\n23:00:00:00,0\n");
    assert!(long.unwrap().resampled(Rational::whole(60)).unwrap_err().to_string().contains("hours"));
}

/// Whatever a damaged file holds: a performance or one line.
#[test]
fn damaged_files_do_no_harm() {
    let good = csv::write(&performance(20, 4)).into_bytes();
    let mut rng = Rng(6);
    let read = |bytes: &[u8]| match csv::read(bytes, "take.csv") {
        Ok(took) => {
            let _ = took.resampled(Rational::whole(25)).map(|f| f.len());
        }
        Err(e) => assert!(matches!(&e, Error::Input(t) if !t.contains('\n')), "{e}"),
    };
    for _ in 0..200 {
        let mut bytes = good.clone();
        for _ in 0..1 + rng.below(4) {
            let at = rng.below(bytes.len());
            bytes[at] ^= 1 << rng.below(8);
        }
        read(&bytes);
    }
    for n in (0..good.len()).step_by(97) {
        read(&good[..n]);
    }
}
