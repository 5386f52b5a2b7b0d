//! How much of a performance arrives: signals of a face's dense points, and how the result's follow the driver's.
//!
//! Signals are ratios or angles, so that the size of the face does not matter. Correlation says whether the result moves when
//! the driver does, gain by how much.

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

/// What is read off a face. Left and right are the face's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Signal {
    /// Opening of the left eye, of its width.
    EyeLeft,
    /// Opening of the right eye, of its width.
    EyeRight,
    /// Gap between the lips, of the distance of the outer corners of the eyes.
    Mouth,
    /// Width of the mouth, of the same distance.
    Width,
    /// Height of the corners of the mouth above its middle, of the same distance.
    Smile,
    /// Height of the brows above the eyes, of the same distance.
    Brow,
    /// Place of the irises between the corners of their eyes, of the eyes' width: positive to the face's left.
    Gaze,
    /// Of the head, degrees.
    Yaw,
    /// Of the head, degrees.
    Pitch,
    /// Of the head, degrees.
    Roll,
}

/// The signals of one face, in the order of [`Signal::ALL`].
pub type Signals = [f64; Signal::COUNT];

impl Signal {
    /// How many there are.
    pub const COUNT: usize = 10;
    /// All of them, in order.
    pub const ALL: [Signal; Signal::COUNT] = [
        Signal::EyeLeft,
        Signal::EyeRight,
        Signal::Mouth,
        Signal::Width,
        Signal::Smile,
        Signal::Brow,
        Signal::Gaze,
        Signal::Yaw,
        Signal::Pitch,
        Signal::Roll,
    ];

    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Signal::EyeLeft => "eyeL",
            Signal::EyeRight => "eyeR",
            Signal::Mouth => "mouth",
            Signal::Width => "width",
            Signal::Smile => "smile",
            Signal::Brow => "brow",
            Signal::Gaze => "gaze",
            Signal::Yaw => "yaw",
            Signal::Pitch => "pitch",
            Signal::Roll => "roll",
        }
    }

    /// In words.
    pub const fn title(self) -> &'static str {
        match self {
            Signal::EyeLeft => "Opening of the left eye",
            Signal::EyeRight => "Opening of the right eye",
            Signal::Mouth => "Gap between the lips",
            Signal::Width => "Width of the mouth",
            Signal::Smile => "Height of the corners of the mouth",
            Signal::Brow => "Height of the brows",
            Signal::Gaze => "Gaze to the side",
            Signal::Yaw => "Yaw",
            Signal::Pitch => "Pitch",
            Signal::Roll => "Roll",
        }
    }

    /// Of the values.
    pub const fn unit(self) -> &'static str {
        match self {
            Signal::EyeLeft | Signal::EyeRight | Signal::Gaze => "of the eye's width",
            Signal::Mouth | Signal::Width | Signal::Smile | Signal::Brow => "of the eyes' distance",
            Signal::Yaw | Signal::Pitch | Signal::Roll => "degrees",
        }
    }

    /// A driver whose standard deviation is below this hardly moves: what a tracker's noise makes of it says nothing.
    pub const fn floor(self) -> f64 {
        match self {
            Signal::EyeLeft | Signal::EyeRight => 0.02,
            Signal::Mouth => 0.015,
            Signal::Width | Signal::Gaze => 0.012,
            Signal::Smile => 0.006,
            Signal::Brow => 0.008,
            Signal::Yaw | Signal::Pitch => 1.5,
            Signal::Roll => 1.0,
        }
    }
}

impl Serialize for Signal {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.name())
    }
}

/// Points that [`signals`] needs: the mesh and the irises.
const POINTS: usize = 478;
/// Frames below which a correlation says nothing.
const LEAST_FRAMES: usize = 8;

type Point = [f64; 3];

fn minus(a: Point, b: Point) -> Point {
    std::array::from_fn(|c| a[c] - b[c])
}

fn dot(a: Point, b: Point) -> f64 {
    a.iter().zip(&b).map(|(a, b)| a * b).sum()
}

/// The signals of a face's 478 points (x to the right and y down in pixels, z in the same unit away from the viewer); `None` where
/// points are missing or are no numbers, or where a face has no extent.
pub fn signals(points: &[[f32; 3]]) -> Option<Signals> {
    let points = points.first_chunk::<POINTS>()?;
    let p = |i: usize| points[i].map(f64::from);
    let mean = |all: &[usize]| -> Point {
        std::array::from_fn(|c| all.iter().map(|&i| p(i)[c]).sum::<f64>() / all.len() as f64)
    };
    // In the picture alone: lids and lips are refined there, their depth is the mesh's.
    let flat = |a: usize, b: usize| (p(a)[0] - p(b)[0]).hypot(p(a)[1] - p(b)[1]);
    let apart = dot(minus(p(33), p(263)), minus(p(33), p(263))).sqrt();
    let up = minus(p(10), p(152));
    let height = dot(up, up).sqrt();
    let up = up.map(|v| v / height);
    let opening = |upper: [usize; 3], lower: [usize; 3], from: usize, to: usize| {
        upper.iter().zip(lower).map(|(&a, b)| flat(a, b)).sum::<f64>() / 3.0 / flat(from, to)
    };
    let above = |brow: &[usize], eye: &[usize]| dot(minus(mean(brow), mean(eye)), up) / apart;
    let iris = |i: usize, from: usize, to: usize| {
        let along = minus(p(to), p(from));
        dot(minus(p(i), mean(&[from, to])), along) / dot(along, along)
    };
    let (x, y) = (minus(p(263), p(33)), minus(p(152), p(10)));
    let out = Signal::ALL.map(|signal| match signal {
        Signal::EyeLeft => opening([385, 386, 387], [380, 374, 373], 362, 263),
        Signal::EyeRight => opening([160, 159, 158], [144, 145, 153], 33, 133),
        Signal::Mouth => flat(13, 14) / apart,
        Signal::Width => flat(61, 291) / apart,
        Signal::Smile => dot(minus(mean(&[61, 291]), mean(&[13, 14])), up) / apart,
        Signal::Brow => {
            0.5 * (above(&[70, 63, 105, 66, 107], &[33, 133]) + above(&[300, 293, 334, 296, 336], &[263, 362]))
        }
        Signal::Gaze => 0.5 * (iris(468, 33, 133) + iris(473, 362, 263)),
        Signal::Yaw => (-x[2]).atan2(x[0]).to_degrees(),
        Signal::Pitch => (-y[2]).atan2(y[1]).to_degrees(),
        Signal::Roll => x[1].atan2(x[0]).to_degrees(),
    });
    out.iter().all(|v| v.is_finite()).then_some(out)
}

/// How a result's signal follows the driver's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Arrival {
    /// -1..1; 0 where the result does not move.
    pub correlation: f64,
    /// The slope of the result on the driver, by least squares: 1 moves as much as the driver.
    pub gain: f64,
}

impl Arrival {
    /// Whether people would say that it arrives.
    pub fn arrives(&self) -> bool {
        self.correlation >= 0.8 && self.gain >= 0.5
    }
}

/// How much of a performance arrives in a result.
#[derive(Debug, Clone, PartialEq)]
pub struct Performance {
    /// Frames in which both show a face.
    pub frames: usize,
    /// The others.
    pub lost: usize,
    /// In the order of [`Signal::ALL`]; `None` where the driver hardly moves or the frames are too few.
    pub signals: [Option<Arrival>; Signal::COUNT],
}

impl Performance {
    /// Each signal with what is known of it.
    pub fn iter(&self) -> impl Iterator<Item = (Signal, Option<Arrival>)> + '_ {
        Signal::ALL.into_iter().zip(self.signals)
    }
}

impl Serialize for Performance {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        struct ByName<'a>(&'a Performance);
        impl Serialize for ByName<'_> {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                let mut map = s.serialize_map(Some(Signal::COUNT))?;
                for (signal, arrival) in self.0.iter() {
                    map.serialize_entry(signal.name(), &arrival)?;
                }
                map.end()
            }
        }
        let mut out = s.serialize_struct("Performance", 3)?;
        out.serialize_field("frames", &self.frames)?;
        out.serialize_field("lost", &self.lost)?;
        out.serialize_field("signals", &ByName(self))?;
        out.end()
    }
}

/// Compares a result with its driver, frame by frame; frames that only one of them has count for nothing.
pub fn arrival(driver: &[Option<Signals>], result: &[Option<Signals>]) -> Performance {
    let pairs = || driver.iter().zip(result);
    let both: Vec<(&Signals, &Signals)> = pairs().filter_map(|(d, r)| d.as_ref().zip(r.as_ref())).collect();
    let signals = Signal::ALL.map(|signal| {
        let k = signal as usize;
        let pairs: Vec<(f64, f64)> = both.iter().map(|(d, r)| (d[k], r[k])).collect();
        compare(&pairs, signal.floor())
    });
    Performance { frames: both.len(), lost: pairs().count() - both.len(), signals }
}

/// Of pairs of driver and result.
fn compare(pairs: &[(f64, f64)], floor: f64) -> Option<Arrival> {
    let n = pairs.len() as f64;
    if pairs.len() < LEAST_FRAMES {
        return None;
    }
    let mean = |get: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(get).sum::<f64>() / n;
    let (a, b) = (mean(&|p| p.0), mean(&|p| p.1));
    let var_a = mean(&|p| (p.0 - a).powi(2));
    let var_b = mean(&|p| (p.1 - b).powi(2));
    let cov = mean(&|p| (p.0 - a) * (p.1 - b));
    if var_a.sqrt() < floor || var_a <= 0.0 {
        return None;
    }
    // Of equal values, not of a variance of 0: their mean is not always one of them, by rounding.
    if pairs.iter().all(|p| p.1 == pairs[0].1) {
        return Some(Arrival { correlation: 0.0, gain: 0.0 });
    }
    let correlation = (cov / (var_a * var_b).sqrt()).clamp(-1.0, 1.0);
    Some(Arrival { correlation: if correlation.is_nan() { 0.0 } else { correlation }, gain: cov / var_a })
}

#[cfg(test)]
mod tests;
