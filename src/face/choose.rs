//! Which of several faces is meant.

use super::Detection;
use crate::error::{Error, Result};
use std::str::FromStr;

/// The rule by which one face is picked.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Choice {
    /// The one with the largest box.
    #[default]
    Largest,
    /// The one whose box centre is nearest to a point, in pixels.
    NearestTo([f32; 2]),
    /// The n-th from the left, counted from 0 by the boxes' centres.
    Index(usize),
}

impl Choice {
    /// The index in `faces` of the face that is meant; `None` when there is no such face.
    pub fn pick(&self, faces: &[Detection]) -> Option<usize> {
        let area = |d: &Detection| d.rect.width() * d.rect.height();
        let all = 0..faces.len();
        match *self {
            // Of equal ones the first, which detectors sort to be the more certain one.
            Choice::Largest => all.min_by(|&a, &b| area(&faces[b]).total_cmp(&area(&faces[a]))),
            Choice::NearestTo([x, y]) => {
                let distance = |i: usize| {
                    let [cx, cy] = faces[i].rect.center();
                    (cx - x).hypot(cy - y)
                };
                all.min_by(|&a, &b| distance(a).total_cmp(&distance(b)))
            }
            Choice::Index(n) => {
                let mut order: Vec<usize> = all.collect();
                order.sort_by(|&a, &b| faces[a].rect.center()[0].total_cmp(&faces[b].rect.center()[0]));
                order.get(n).copied()
            }
        }
    }
}

/// `largest`, `nearest:X,Y` (pixels), or a number counted from the left, from 0.
impl FromStr for Choice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Choice> {
        let wrong = || {
            Error::usage(format!(
                "'{text}' does not name a face: say 'largest', 'nearest:X,Y' in pixels, or a number counted from the \
                 left, from 0"
            ))
        };
        if text == "largest" {
            return Ok(Choice::Largest);
        }
        if let Some(point) = text.strip_prefix("nearest:") {
            let (x, y) = point.split_once(',').ok_or_else(wrong)?;
            let number = |s: &str| s.trim().parse::<f32>().ok().filter(|v| v.is_finite()).ok_or_else(wrong);
            return Ok(Choice::NearestTo([number(x)?, number(y)?]));
        }
        text.parse().map(Choice::Index).map_err(|_| wrong())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Rect;

    fn face(x: f32, size: f32) -> Detection {
        let rect = Rect { x0: x, y0: 0.0, x1: x + size, y1: size };
        Detection { rect, score: 0.9, landmarks5: None }
    }

    #[test]
    fn picks_as_told() {
        let faces = [face(100.0, 20.0), face(0.0, 30.0), face(200.0, 30.0)];
        assert_eq!(Choice::Largest.pick(&faces), Some(1));
        assert_eq!(Choice::NearestTo([130.0, 10.0]).pick(&faces), Some(0));
        assert_eq!(Choice::Index(0).pick(&faces), Some(1));
        assert_eq!(Choice::Index(2).pick(&faces), Some(2));
        assert_eq!(Choice::Index(3).pick(&faces), None);
        assert_eq!(Choice::Largest.pick(&[]), None);
    }

    #[test]
    fn reads_what_a_user_types() {
        assert_eq!("largest".parse::<Choice>().unwrap(), Choice::Largest);
        assert_eq!("nearest:10, 20.5".parse::<Choice>().unwrap(), Choice::NearestTo([10.0, 20.5]));
        assert_eq!("2".parse::<Choice>().unwrap(), Choice::Index(2));
        for bad in ["", "biggest", "nearest:1", "nearest:a,b", "nearest:nan,1", "-1"] {
            assert!(matches!(bad.parse::<Choice>(), Err(Error::Usage(_))), "{bad}");
        }
    }
}
