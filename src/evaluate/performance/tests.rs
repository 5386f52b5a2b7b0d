//! Signals of drawn points, and arrivals whose figures are known.

use super::*;

/// A face whose signals are known: eyes 30 wide and 120 from outer corner to outer corner, seen from the front, 200 high.
fn face() -> Vec<[f32; 3]> {
    let mut p = vec![[0.0; 3]; 478];
    let mut set = |all: &[usize], at: [f32; 3]| all.iter().for_each(|&i| p[i] = at);
    set(&[10], [100.0, 0.0, 0.0]);
    set(&[152], [100.0, 200.0, 0.0]);
    for (corners, upper, lower, iris, brow) in [
        ([33, 133], [160, 159, 158], [144, 145, 153], 468, [70, 63, 105, 66, 107]),
        ([362, 263], [385, 386, 387], [380, 374, 373], 473, [300, 293, 334, 296, 336]),
    ] {
        let x = if corners[0] == 33 { 40.0 } else { 130.0 };
        set(&corners[..1], [x, 80.0, 0.0]);
        set(&corners[1..], [x + 30.0, 80.0, 0.0]);
        set(&upper, [x + 15.0, 76.0, 0.0]);
        set(&lower, [x + 15.0, 82.0, 0.0]);
        set(&[iris], [x + 18.0, 79.0, 0.0]);
        set(&brow, [x + 15.0, 62.0, 0.0]);
    }
    set(&[13], [100.0, 147.0, 0.0]);
    set(&[14], [100.0, 153.0, 0.0]);
    set(&[61], [76.0, 144.0, 0.0]);
    set(&[291], [124.0, 144.0, 0.0]);
    p
}

fn of(points: &[[f32; 3]], signal: Signal) -> f64 {
    signals(points).unwrap()[signal as usize]
}

#[test]
fn signals_of_a_drawn_face() {
    let expected = [0.2, 0.2, 0.05, 0.4, 0.05, 0.15, 0.1, 0.0, 0.0, 0.0];
    for (signal, (got, want)) in Signal::ALL.into_iter().zip(signals(&face()).unwrap().into_iter().zip(expected)) {
        assert!((got - want).abs() < 1e-6, "{}: {got}, {want}", signal.name());
    }
    // Twice as large, elsewhere: the same.
    let large: Vec<_> = face().iter().map(|p| [2.0 * p[0] + 7.0, 2.0 * p[1] - 40.0, 2.0 * p[2]]).collect();
    for (a, b) in signals(&face()).unwrap().iter().zip(signals(&large).unwrap()) {
        assert!((a - b).abs() < 1e-5);
    }
    // One eye shut.
    let mut shut = face();
    [385, 386, 387].iter().for_each(|&i| shut[i][1] = 82.0);
    assert_eq!(of(&shut, Signal::EyeLeft), 0.0);
    assert!((of(&shut, Signal::EyeRight) - 0.2).abs() < 1e-6);
}

#[test]
fn angles_are_degrees() {
    let turned = |turn: &dyn Fn([f32; 3]) -> [f32; 3]| face().into_iter().map(turn).collect::<Vec<_>>();
    let (sin, cos) = 20f32.to_radians().sin_cos();
    // In the picture, clockwise.
    let roll = turned(&|[x, y, z]| [cos * x - sin * y, sin * x + cos * y, z]);
    assert!((of(&roll, Signal::Roll) - 20.0).abs() < 1e-4 && of(&roll, Signal::Yaw).abs() < 1e-4);
    assert!((of(&roll, Signal::Smile) - 0.05).abs() < 1e-5, "up is the face's own");
    // The face's left comes nearer.
    let yaw = turned(&|[x, y, z]| [cos * x + sin * z, y, -sin * x + cos * z]);
    assert!((of(&yaw, Signal::Yaw) - 20.0).abs() < 1e-4 && of(&yaw, Signal::Roll).abs() < 1e-4);
    // The chin comes nearer.
    let pitch = turned(&|[x, y, z]| [x, cos * y + sin * z, -sin * y + cos * z]);
    assert!((of(&pitch, Signal::Pitch) - 20.0).abs() < 1e-4);
}

#[test]
fn points_that_are_none() {
    assert_eq!(signals(&face()[..468]), None);
    assert_eq!(signals(&[[1.0; 3]; 478]), None);
    let mut broken = face();
    broken[468][0] = f32::NAN;
    assert_eq!(signals(&broken), None);
}

/// What performance.py's `signals` gives for the same points.
#[test]
fn signals_as_the_script_computes_them() {
    let at = |i: usize, by: usize, of: usize| (i * by % of) as f32;
    let point =
        |i: usize| [at(i, 37, 101) + 0.5 * at(i, 1, 7), at(i, 53, 97) + 0.25 * at(i, 1, 5), at(i, 29, 61) - 30.0];
    let points: Vec<[f32; 3]> = (0..478).map(point).collect();
    const EXPECTED: Signals = [
        1.5507996041777228,
        0.6922255648500504,
        1.0635614178145647,
        0.5084893759991792,
        -0.3240331684950056,
        0.07784705010319692,
        0.5187857482548952,
        57.48248938495448,
        142.78355952646538,
        68.5795408807901,
    ];
    for (got, want) in signals(&points).unwrap().iter().zip(EXPECTED) {
        assert!((got - want).abs() < 1e-9, "{got} {want}");
    }
}

/// Against numpy 1.26 (`corrcoef`, `polyfit`), run on the same numbers.
#[test]
fn arrivals_as_numpy_computes_them() {
    let driven =
        |t: usize| -> Signals { Signal::ALL.map(|s| 100.0 * s.floor() * ((t * (7 + s as usize) % 23) as f64 / 23.0)) };
    let made = |t: usize| -> Signals {
        let wave = |j: usize| ((t * 13 + 5 * j) % 17) as f64 / 17.0;
        Signal::ALL.map(|s| 0.37 * driven(t)[s as usize] + 20.0 * s.floor() * wave(s as usize))
    };
    let driver: Vec<_> = (0..40).map(|t| (t % 11 != 4).then(|| driven(t))).collect();
    let result: Vec<_> = (0..40).map(|t| (t % 9 != 2).then(|| made(t))).collect();
    let found = arrival(&driver, &result);
    assert_eq!((found.frames, found.lost), (31, 9));
    const EXPECTED: [(f64, f64); Signal::COUNT] = [
        (0.9053666454109114, 0.4140409006953221),
        (0.8166921473647499, 0.3078873298456321),
        (0.900515701524711, 0.3712057539404115),
        (0.8891065450317991, 0.35565564605499217),
        (0.8980141221704413, 0.4348041292685965),
        (0.9025188700894837, 0.4027216297283787),
        (0.9005071732544649, 0.35961942005244846),
        (0.8773533491063747, 0.3712609844782019),
        (0.8745193284907017, 0.38897777749932644),
        (0.8961818513113537, 0.3575937733205903),
    ];
    for ((signal, got), want) in found.iter().zip(EXPECTED) {
        let got = got.unwrap();
        assert!((got.correlation - want.0).abs() < 1e-9 && (got.gain - want.1).abs() < 1e-9, "{signal:?} {got:?}");
    }
}

/// A series of frames with the same value in every signal, in units of each one's floor.
fn series(values: impl IntoIterator<Item = f64>) -> Vec<Option<Signals>> {
    values.into_iter().map(|v| Some(Signal::ALL.map(|s| v * s.floor()))).collect()
}

#[test]
fn known_slopes() {
    let wave = || (0..30).map(|t| 5.0 * (f64::from(t) * 0.7).sin());
    let driver = series(wave());
    let same = |arrival: Option<Arrival>, correlation: f64, gain: f64| {
        let a = arrival.unwrap();
        assert!((a.correlation - correlation).abs() < 1e-9 && (a.gain - gain).abs() < 1e-9, "{a:?}");
    };
    for (scale, correlation) in [(0.25, 1.0), (-2.0, -1.0)] {
        let result = series(wave().map(|v| 4.0 + scale * v));
        arrival(&driver, &result).signals.iter().for_each(|a| same(*a, correlation, scale));
    }
    // Stands still.
    arrival(&driver, &series([0.1; 30])).signals.iter().for_each(|a| same(*a, 0.0, 0.0));
    let noisy = series(wave().enumerate().map(|(t, v)| 0.5 * v + if t % 2 == 0 { 1.0 } else { -1.0 }));
    let a = arrival(&driver, &noisy).signals[0].unwrap();
    assert!((0.8..0.98).contains(&a.correlation) && (a.gain - 0.5).abs() < 0.05, "{a:?}");
    assert!(a.arrives() == (a.gain >= 0.5));
}

#[test]
fn what_hardly_moves_says_nothing() {
    // Of ones and minus ones the standard deviation is 1.
    let wave = |size: f64, n: usize| series((0..n).map(move |t| if t % 2 == 0 { size } else { -size }));
    assert!(arrival(&wave(0.99, 20), &wave(1.0, 20)).signals.iter().all(Option::is_none));
    assert!(arrival(&wave(1.01, 20), &wave(1.0, 20)).signals.iter().all(Option::is_some));
    assert!(arrival(&wave(9.0, 7), &wave(1.0, 7)).signals.iter().all(Option::is_none), "too few");
    let mut lost = wave(9.0, 20);
    lost[3..15].fill(None);
    let found = arrival(&wave(9.0, 25), &lost);
    assert_eq!((found.frames, found.lost), (8, 12), "counted over the shorter of the two");
    assert!(found.signals.iter().all(Option::is_some));
    assert_eq!(arrival(&[], &[]).frames, 0);
}

#[test]
fn names_are_those_of_the_script() {
    assert!(Signal::ALL.iter().enumerate().all(|(i, s)| *s as usize == i));
    let found = arrival(&series([0.0; 3]), &series([0.0; 3]));
    let json = serde_json::to_value(&found).unwrap();
    assert_eq!((&json["frames"], &json["lost"]), (&3.into(), &0.into()));
    let names = Signal::ALL.map(Signal::name);
    assert_eq!(names, ["eyeL", "eyeR", "mouth", "width", "smile", "brow", "gaze", "yaw", "pitch", "roll"]);
    assert!(names.iter().all(|n| json["signals"][n].is_null() && json["signals"].get(n).is_some()));
}
