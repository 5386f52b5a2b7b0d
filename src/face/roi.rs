//! The square crop that the regressor sees, from a detector's box or from landmarks (3DDFA_V2's
//! `utils/functions.py`).

use crate::frame::Rect;

/// The crop for a detector's box: 1.58 times its mean side, moved down by 0.14 of it, since boxes reach up to the
/// forehead and the crops of the training set were centred lower.
pub fn from_box(face: &Rect) -> Rect {
    // In f64, because the side is truncated to whole pixels and a last bit would show.
    let [x0, y0, x1, y1] = [face.x0, face.y0, face.x1, face.y1].map(f64::from);
    let side = (x1 - x0 + y1 - y0) / 2.0;
    let (cx, cy) = (x1 - (x1 - x0) / 2.0, y1 - (y1 - y0) / 2.0 + side * 0.14);
    square(cx, cy, (side * 1.58).trunc() / 2.0)
}

/// The crop for points of a face: around the middle of their bounding box, its side the diagonal of the square that
/// encloses that box. `None` for no points or points that are not finite.
pub fn from_landmarks(points: &[[f32; 3]]) -> Option<Rect> {
    let b = bounds(points)?;
    let radius = f64::from(b.width().max(b.height())) / 2.0;
    let [cx, cy] = b.center();
    Some(square(cx.into(), cy.into(), radius * std::f64::consts::SQRT_2))
}

/// The bounding box of points, `None` for no points or points that are not finite.
pub fn bounds(points: &[[f32; 3]]) -> Option<Rect> {
    let first = points.first()?;
    let mut b = Rect { x0: first[0], y0: first[1], x1: first[0], y1: first[1] };
    for p in points {
        if !(p[0].is_finite() && p[1].is_finite()) {
            return None;
        }
        b = Rect { x0: b.x0.min(p[0]), y0: b.y0.min(p[1]), x1: b.x1.max(p[0]), y1: b.y1.max(p[1]) };
    }
    Some(b)
}

fn square(cx: f64, cy: f64, radius: f64) -> Rect {
    Rect { x0: (cx - radius) as f32, y0: (cy - radius) as f32, x1: (cx + radius) as f32, y1: (cy + radius) as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn box_rule() {
        let r = from_box(&Rect { x0: 100.0, y0: 200.0, x1: 200.0, y1: 320.0 });
        // Mean side 110; side trunc(173.8) = 173; centre (150, 260 + 15.4).
        assert_eq!(r.width(), 173.0);
        assert!((r.center()[0] - 150.0).abs() < 1e-4 && (r.center()[1] - 275.4).abs() < 1e-4, "{r:?}");
        assert_eq!(r.width(), r.height());
    }

    #[test]
    fn landmark_rule() {
        let r = from_landmarks(&[[10.0, 20.0, 0.0], [50.0, 40.0, 5.0], [30.0, 50.0, -5.0]]).unwrap();
        // Box 40x30 around (30, 35); radius 20; side 40 sqrt 2.
        assert!((r.width() - 40.0 * std::f32::consts::SQRT_2).abs() < 1e-4);
        assert!((r.center()[0] - 30.0).abs() < 1e-4 && (r.center()[1] - 35.0).abs() < 1e-4);
        assert!(from_landmarks(&[]).is_none());
        assert!(from_landmarks(&[[0.0, f32::NAN, 0.0]]).is_none());
    }
}
