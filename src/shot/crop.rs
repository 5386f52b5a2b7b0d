//! The square window around a face: one for the whole shot, and a slow path where the head travels too far for it.
//!
//! HeadGAN's networks are trained with one static square window per clip, heads moving inside it. A head that would leave
//! it takes the window along: slowly, and only as far as it must. What the window does is taken out of the cameras that the
//! networks see and given back when their picture is put into the plate.

use super::Head;
use super::smooth::Kernel;
use crate::frame::Window;
use crate::morphable::ImageCamera;
use std::ops::RangeInclusive;

/// Side of the window, in sides of the head.
pub const SIDE: f64 = 2.2;
/// How far the head lies below the window's middle, in sides of the window.
pub const BELOW: f64 = 0.06;
/// Standard deviation of the path's smoothing in frames.
const SLOW: f64 = 12.0;
/// How far the head may move away from the window's middle before the window follows, in sides of the window.
const FREE: f64 = 0.15;
/// How much larger or smaller the head may become before the window does.
const FREE_SIZE: f64 = 1.25;

/// A square in pixels of the plate: its middle and its side.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Square {
    /// The middle, pixels from the left.
    pub x: f64,
    /// The middle, pixels from above.
    pub y: f64,
    /// Length of a side, pixels.
    pub side: f64,
}

impl Square {
    /// The square that suits a head seen by a camera, its middle where the window's shall be.
    pub fn around(camera: &ImageCamera, head: &Head) -> Square {
        let [x, y] = camera.project(head.centre);
        let side = SIDE * f64::from(head.extent) * f64::from(camera.scale);
        Square { x: f64::from(x) + 0.5, y: f64::from(y) + 0.5 - BELOW * side, side }
    }

    /// The window that it bounds.
    pub fn window(&self) -> Window {
        Window::square(self.x - 0.5 * self.side, self.y - 0.5 * self.side, self.side)
    }

    /// Whether a head in `other` lies within the window with its whole face.
    pub fn holds(&self, other: &Square) -> bool {
        // The head's half side, and the margin that is left around it.
        let half = 0.5 * other.side / SIDE;
        let below = BELOW * other.side;
        let (dx, dy) = ((other.x - self.x).abs(), (other.y + below - self.y).abs());
        dx.max(dy) + half <= 0.5 * self.side
    }
}

/// The one window of a shot: medians of middle and side.
pub fn fixed(squares: &[Square]) -> Option<Square> {
    let median = |value: &dyn Fn(&Square) -> f64| {
        let mut all: Vec<f64> = squares.iter().map(value).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied()
    };
    Some(Square { x: median(&|s| s.x)?, y: median(&|s| s.y)?, side: median(&|s| s.side)? })
}

/// The frames whose squares [`path_at`] uses, in a shot of `len` frames.
pub fn neighbours(index: usize, len: usize) -> RangeInclusive<usize> {
    Kernel::reach(index, len, SLOW)
}

/// The window at frame `index` of a shot of `len` frames whose heads lie in `square(i)`; `home` is where it stays while it can.
pub fn path_at(home: &Square, index: usize, len: usize, square: impl Fn(usize) -> Square) -> Square {
    if len == 0 {
        return *home;
    }
    let kernel = Kernel::weighted(index.min(len - 1), len, SLOW, |_| 1.0);
    let (x, y) = (kernel.sum(|i| square(i).x - home.x), kernel.sum(|i| square(i).y - home.y));
    let size = kernel.sum(|i| (square(i).side / home.side).ln());
    let beyond = |d: f64, free: f64| d - d.clamp(-free, free);
    let free = FREE * home.side;
    Square {
        x: home.x + beyond(x, free),
        y: home.y + beyond(y, free),
        side: home.side * beyond(size, FREE_SIZE.ln()).exp(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::Euler;

    const HOME: Square = Square { x: 300.0, y: 200.0, side: 220.0 };

    #[test]
    fn a_head_that_stays_moves_no_window() {
        let wobble = |i: usize| Square { x: 300.0 + 20.0 * (i as f64 * 0.3).sin(), y: 190.0, side: 230.0 };
        for i in 0..50 {
            assert_eq!(path_at(&HOME, i, 50, wobble), HOME);
        }
    }

    #[test]
    fn a_head_that_walks_takes_the_window_along_slowly() {
        let walk = |i: usize| Square { x: 300.0 + 4.0 * i as f64, ..HOME };
        let path: Vec<Square> = (0..200).map(|i| path_at(&HOME, i, 200, walk)).collect();
        for (i, s) in path.iter().enumerate() {
            assert!(s.holds(&walk(i)), "frame {i}: {s:?} does not hold {:?}", walk(i));
        }
        assert!(path.windows(2).all(|w| (w[1].x - w[0].x).abs() <= 4.5), "it jumps");
        assert_eq!(path[0], HOME);
        let closer = |i: usize| Square { side: 220.0 * 1.01f64.powi(i as i32), ..HOME };
        let last = path_at(&HOME, 199, 200, closer);
        assert!(last.side > 3.0 * HOME.side && last.side < closer(199).side);
    }

    #[test]
    fn squares_surround_the_head() {
        let head = Head { centre: [0.0, 10.0, 0.0], extent: 100.0 };
        let camera = ImageCamera::new(2.0, Euler::default().rotation(), [50.0, 60.0, 0.0]);
        let s = Square::around(&camera, &head);
        assert!((s.side - 440.0).abs() < 1e-4);
        assert!((s.x - 50.5).abs() < 1e-6 && (s.y - (40.5 - 0.06 * 440.0)).abs() < 1e-4, "{s:?}");
        assert!(s.holds(&s));
        assert!(!s.holds(&Square { x: s.x + 0.4 * s.side, ..s }));
        assert_eq!(fixed(&[s, HOME, HOME]), Some(HOME));
        assert_eq!(fixed(&[]), None);
    }
}
