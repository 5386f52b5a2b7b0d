//! Pictures and video in and out: stills and sequences natively, video through the user's `ffmpeg`.
//!
//! This module holds files and the processes that read and write them. [`crate::frame`] works on pixels, [`crate::audio`] on samples
//! of sound.
//!
//! * [`source`]: one way in ([`Source`]) and one way out ([`Sink`]) for images, sequences and videos.
//! * [`still`]: PNG, JPEG, TIFF and EXR, with stated limits and atomic writes.
//! * [`sequence`]: `f_%04d.png`, `f_####.exr`, folders of images.
//! * [`ffmpeg`], [`probe`], [`reader`], [`writer`]: video by subprocess.
//! * `progress`, with the feature `cli`: the progress that the user sees.
//!
//! Frame numbers: a video counts from 0, a sequence uses the numbers in its file names, a folder of
//! unnumbered images and a still count from 0.

pub mod atomic;
pub mod ffmpeg;
pub mod probe;
#[cfg(feature = "cli")]
pub mod progress;
pub mod reader;
pub mod sequence;
pub mod source;
pub mod still;
pub mod writer;

#[cfg(feature = "cli")]
pub use progress::Progress;
pub use source::{Frames, Sink, SinkSpec, Source, SourceInfo};
pub use still::{Depth, Limits, Still, StillOptions};
pub use writer::{AudioFrom, Codec};

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A frame rate as a fraction, in lowest terms, above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rational {
    /// Frames.
    pub num: u32,
    /// Per this many seconds, at least 1.
    pub den: u32,
}

impl Rational {
    /// `num / den` in lowest terms; `None` where either is 0.
    pub fn new(num: u32, den: u32) -> Option<Rational> {
        if num == 0 || den == 0 {
            return None;
        }
        let (mut a, mut b) = (num, den);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        Some(Rational { num: num / a, den: den / a })
    }

    /// A whole number of frames a second; 0 counts as 1.
    pub fn whole(fps: u32) -> Rational {
        Rational { num: fps.max(1), den: 1 }
    }

    /// As a float.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The rate within 0.1 % that film and video use (24000/1001, 25, 30 ...), else the fraction of a
    /// thousandth nearest to `fps`. `None` where `fps` is not a positive, sensible number.
    pub fn nearest(fps: f64) -> Option<Rational> {
        const USUAL: [(u32, u32); 12] = [
            (12, 1),
            (15, 1),
            (24000, 1001),
            (24, 1),
            (25, 1),
            (30000, 1001),
            (30, 1),
            (48, 1),
            (50, 1),
            (60000, 1001),
            (60, 1),
            (120, 1),
        ];
        if !fps.is_finite() || !(0.001..=10_000.0).contains(&fps) {
            return None;
        }
        let best = USUAL.iter().min_by(|a, b| {
            let off = |r: &(u32, u32)| (f64::from(r.0) / f64::from(r.1) - fps).abs();
            off(a).total_cmp(&off(b))
        })?;
        if (f64::from(best.0) / f64::from(best.1) / fps - 1.0).abs() < 1e-3 {
            return Rational::new(best.0, best.1);
        }
        Rational::new((fps * 1000.0).round() as u32, 1000)
    }
}

impl fmt::Display for Rational {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den == 1 { write!(f, "{}", self.num) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

impl FromStr for Rational {
    type Err = Error;

    /// `25`, `30000/1001` or `29.97`.
    fn from_str(text: &str) -> Result<Rational> {
        let t = text.trim();
        let parsed = match t.split_once(['/', ':']) {
            Some((n, d)) => match (n.trim().parse(), d.trim().parse()) {
                (Ok(n), Ok(d)) => Rational::new(n, d),
                _ => None,
            },
            None => match t.parse::<u32>() {
                Ok(n) => Rational::new(n, 1),
                Err(_) => t.parse::<f64>().ok().and_then(Rational::nearest),
            },
        };
        parsed.ok_or_else(|| Error::usage(format!("`{text}` is not a frame rate: write 25, 29.97 or 30000/1001")))
    }
}

/// Frames `first` to `last`, both included; without `last` to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRange {
    /// First frame number.
    pub first: usize,
    /// Last frame number, at least `first`.
    pub last: Option<usize>,
}

impl FrameRange {
    /// Frames `first` to `last`, both included.
    pub fn new(first: usize, last: usize) -> FrameRange {
        FrameRange { first, last: Some(last) }
    }

    /// How many frames, where the end is given.
    pub fn len(self) -> Option<usize> {
        self.last.map(|l| (l + 1).saturating_sub(self.first))
    }

    /// True where the end lies before the start.
    pub fn is_empty(self) -> bool {
        self.len() == Some(0)
    }
}

impl fmt::Display for FrameRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.last {
            Some(last) => write!(f, "{}-{last}", self.first),
            None => write!(f, "{}-", self.first),
        }
    }
}

impl FromStr for FrameRange {
    type Err = Error;

    /// `A-B`, `A-` (to the end), `-B` (from 0) or `A` (one frame).
    fn from_str(text: &str) -> Result<FrameRange> {
        let wrong = || {
            Error::usage(format!(
                "`{text}` is not a frame range: write A-B with A at most B, A- or A, for instance 0-99"
            ))
        };
        let number = |t: &str| t.trim().parse::<usize>().map_err(|_| wrong());
        let range = match text.trim().split_once('-') {
            None => {
                let n = number(text)?;
                FrameRange::new(n, n)
            }
            Some(("", "")) => return Err(wrong()),
            Some(("", b)) => FrameRange::new(0, number(b)?),
            Some((a, "")) => FrameRange { first: number(a)?, last: None },
            Some((a, b)) => FrameRange::new(number(a)?, number(b)?),
        };
        if range.is_empty() { Err(wrong()) } else { Ok(range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_parse() {
        assert_eq!("25".parse::<Rational>().unwrap(), Rational { num: 25, den: 1 });
        assert_eq!("30000/1001".parse::<Rational>().unwrap(), Rational { num: 30000, den: 1001 });
        assert_eq!("29.97".parse::<Rational>().unwrap(), Rational { num: 30000, den: 1001 });
        assert_eq!("50/2".parse::<Rational>().unwrap().to_string(), "25");
        assert_eq!(Rational::nearest(18.5), Rational::new(37, 2));
        for bad in ["", "0", "25/0", "x", "-3", "nan", "1e30"] {
            assert!(matches!(bad.parse::<Rational>(), Err(Error::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn ranges_parse() {
        assert_eq!("3-9".parse::<FrameRange>().unwrap(), FrameRange::new(3, 9));
        assert_eq!("3-9".parse::<FrameRange>().unwrap().len(), Some(7));
        assert_eq!("7".parse::<FrameRange>().unwrap(), FrameRange::new(7, 7));
        assert_eq!("7-".parse::<FrameRange>().unwrap(), FrameRange { first: 7, last: None });
        assert_eq!("-4".parse::<FrameRange>().unwrap().to_string(), "0-4");
        for bad in ["", "-", "9-3", "a-b", "1-2-3", "1.5"] {
            assert!(matches!(bad.parse::<FrameRange>(), Err(Error::Usage(_))), "{bad}");
        }
    }
}
