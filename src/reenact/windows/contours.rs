//! Drawing of contours: filled outlines, lines and discs with soft edges, in one plane.

/// A plane of values, 0..1.
pub(super) struct Canvas {
    side: usize,
    values: Vec<f32>,
}

impl Canvas {
    pub fn new(side: usize) -> Canvas {
        Canvas { side, values: vec![0.0; side * side] }
    }

    pub fn into_values(self) -> Vec<f32> {
        self.values
    }

    /// What a closed outline encloses; what has no area leaves a faint line.
    pub fn fill(&mut self, outline: &[[f32; 2]]) {
        let edges: Vec<[[f32; 2]; 2]> =
            (0..outline.len()).map(|i| [outline[i], outline[(i + 1) % outline.len()]]).collect();
        self.paint(outline, 1.0, |p| {
            let inside = edges.iter().filter(|[a, b]| {
                (a[1] > p[1]) != (b[1] > p[1]) && p[0] < a[0] + (b[0] - a[0]) * (p[1] - a[1]) / (b[1] - a[1])
            });
            let inside = inside.count() % 2 == 1;
            let away = edges.iter().map(|[a, b]| distance(p, *a, *b)).fold(f32::INFINITY, f32::min);
            if inside { 0.5 + away } else { 0.5 - away }
        });
    }

    /// A line through points, so many pixels wide.
    pub fn stroke(&mut self, points: &[[f32; 2]], width: f32) {
        self.paint(points, 0.5 * width + 1.0, |p| {
            let away = points.windows(2).map(|w| distance(p, w[0], w[1])).fold(f32::INFINITY, f32::min);
            0.5 * width + 0.5 - away
        });
    }

    /// A disc.
    pub fn disc(&mut self, middle: [f32; 2], radius: f32) {
        self.paint(&[middle], radius + 1.0, |p| radius + 0.5 - (p[0] - middle[0]).hypot(p[1] - middle[1]));
    }

    /// The larger of what is there and `value` of each pixel within `margin` of the points' box.
    fn paint(&mut self, around: &[[f32; 2]], margin: f32, value: impl Fn([f32; 2]) -> f32) {
        if !around.iter().flatten().all(|v| v.is_finite()) {
            return;
        }
        let span = |c: usize| {
            let low = around.iter().map(|p| p[c]).fold(f32::INFINITY, f32::min) - margin;
            let high = around.iter().map(|p| p[c]).fold(f32::NEG_INFINITY, f32::max) + margin;
            let most = self.side as f32;
            low.floor().clamp(0.0, most) as usize..(high.ceil() + 1.0).clamp(0.0, most) as usize
        };
        let (columns, rows) = (span(0), span(1));
        for y in rows {
            for x in columns.clone() {
                let to = &mut self.values[y * self.side + x];
                *to = to.max(value([x as f32, y as f32]).clamp(0.0, 1.0));
            }
        }
    }
}

/// Of a point from a stretch of a line.
fn distance(p: [f32; 2], a: [f32; 2], b: [f32; 2]) -> f32 {
    let (d, q) = ([b[0] - a[0], b[1] - a[1]], [p[0] - a[0], p[1] - a[1]]);
    let t = ((d[0] * q[0] + d[1] * q[1]) / (d[0] * d[0] + d[1] * d[1]).max(1e-12)).clamp(0.0, 1.0);
    (q[0] - t * d[0]).hypot(q[1] - t * d[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_lines_and_discs() {
        let mut canvas = Canvas::new(32);
        canvas.fill(&[[4.0, 4.0], [20.0, 4.0], [20.0, 12.0], [4.0, 12.0]]);
        let sum: f32 = canvas.values.iter().sum();
        assert!((sum - 16.0 * 8.0).abs() < 2.0, "{sum}");
        assert_eq!((canvas.values[8 * 32 + 10], canvas.values[20 * 32 + 10]), (1.0, 0.0));
        // An outline without area is half a line.
        let mut canvas = Canvas::new(32);
        canvas.fill(&[[4.0, 9.0], [20.0, 9.0], [12.0, 9.0]]);
        assert_eq!(canvas.values[9 * 32 + 10], 0.5);
        let mut canvas = Canvas::new(32);
        canvas.disc([15.5, 15.5], 6.0);
        let sum: f32 = canvas.values.iter().sum();
        assert!((sum - std::f32::consts::PI * 36.0).abs() < 2.0, "{sum}");
        let mut canvas = Canvas::new(32);
        canvas.stroke(&[[-9.0, 10.0], [40.0, 10.0]], 3.0);
        let sum: f32 = canvas.values.iter().sum();
        assert!((sum - 96.0).abs() < 2.0, "{sum}");
        canvas.stroke(&[[f32::NAN, 1.0], [3.0, 4.0]], 3.0);
        assert_eq!(sum, canvas.values.iter().sum::<f32>());
    }
}
