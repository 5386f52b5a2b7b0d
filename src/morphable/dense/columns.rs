//! Columns of a basis at the 478 points: what each moves where, and normal equations over them.

use super::places::POINTS;
use nalgebra::{Matrix3, Vector3};

/// For each point the columns that move it, millimetres at a coefficient of 1.
#[derive(Debug, Clone)]
pub(super) struct Columns {
    count: usize,
    /// Where a point's entries begin in `entries`; one more than points.
    starts: Vec<usize>,
    entries: Vec<(usize, Vector3<f64>)>,
}

impl Columns {
    /// `value(point, column)`; what moves a point by less than `least` does not move it.
    pub fn new(count: usize, least: f64, value: impl Fn(usize, usize) -> Vector3<f64>) -> Columns {
        let mut starts = vec![0];
        let mut entries = Vec::new();
        for i in 0..POINTS {
            entries.extend((0..count).map(|k| (k, value(i, k))).filter(|(_, v)| v.amax() > least));
            starts.push(entries.len());
        }
        Columns { count, starts, entries }
    }

    /// How many columns there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// The columns that move a point, by rising number.
    pub fn at(&self, point: usize) -> &[(usize, Vector3<f64>)] {
        &self.entries[self.starts[point]..self.starts[point + 1]]
    }

    /// How far the coefficients move a point.
    pub fn moved(&self, point: usize, coefficients: &[f64]) -> Vector3<f64> {
        self.at(point).iter().fold(Vector3::zeros(), |sum, (k, v)| sum + v * coefficients[*k])
    }

    /// Root of the mean square of a column over all points.
    pub fn size(&self, column: usize) -> f64 {
        let squares: f64 = self.entries.iter().filter(|(k, _)| *k == column).map(|(_, v)| v.norm_squared()).sum();
        (squares / POINTS as f64).sqrt()
    }
}

/// `x'Hx / 2 - g'x` over the coefficients of columns; of `h`, which is row major, the lower triangle is filled.
#[derive(Debug, Clone)]
pub(super) struct Normal {
    pub h: Vec<f64>,
    pub g: Vec<f64>,
}

impl Normal {
    pub fn new(count: usize) -> Normal {
        Normal { h: vec![0.0; count * count], g: vec![0.0; count] }
    }

    /// Adds a point: `entries' metric entries` and `entries' force`.
    pub fn add(&mut self, entries: &[(usize, Vector3<f64>)], metric: &Matrix3<f64>, force: &Vector3<f64>) {
        let n = self.g.len();
        for (j, (k, v)) in entries.iter().enumerate() {
            let m = metric * v;
            let row = &mut self.h[k * n..][..n];
            for (l, u) in &entries[..=j] {
                row[*l] += m.x * u.x + m.y * u.y + m.z * u.z;
            }
            self.g[*k] += v.dot(force);
        }
    }

    /// Fills the upper triangle.
    pub fn mirror(&mut self) {
        let n = self.g.len();
        for i in 0..n {
            for j in 0..i {
                self.h[j * n + i] = self.h[i * n + j];
            }
        }
    }
}
