//! Least squares: the Cholesky decomposition, and quadratics over a box.

/// Most changes of which variables sit at a bound.
const CHANGES: usize = 60;
/// How far beyond its bound, or against its bound, a variable may be.
const TOLERANCE: f64 = 1e-9;
/// Changes of all wrong variables at once that may fail to make fewer wrong, before only one at a time is changed.
const PATIENCE: usize = 3;

/// Where a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// At 0.
    Low,
    /// Within its bounds.
    Free,
    /// At its upper bound.
    High,
}

/// Solves `h x = g` in place for a symmetric positive definite `h`, row major, of which the lower triangle is read and overwritten;
/// `g` becomes `x`. False where `h` is not positive definite.
pub(super) fn cholesky(h: &mut [f64], g: &mut [f64]) -> bool {
    let n = g.len();
    for i in 0..n {
        for j in 0..=i {
            let (before, row) = h.split_at_mut(i * n);
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            if i == j {
                let d = row[i] - dot(&row[..i], &row[..i]);
                // Also false for what is not a number.
                if !(d > 0.0 && d.is_finite()) {
                    return false;
                }
                row[i] = d.sqrt();
            } else {
                let other = &before[j * n..][..=j];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
        }
    }
    for i in 0..n {
        let sum: f64 = (0..i).map(|j| h[i * n + j] * g[j]).sum();
        g[i] = (g[i] - sum) / h[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|j| h[j * n + i] * g[j]).sum();
        g[i] = (g[i] - sum) / h[i * n + i];
    }
    true
}

/// Minimises `x'Hx / 2 - g'x` with `0 <= x <= upper`, `h` symmetric positive definite, row major, both triangles filled. Block
/// pivoting: of the variables on one side each, all wrong ones change sides; where that goes round in circles, the last one alone
/// (Murty's rule), which ends. `sides` is where to start and where it ended; a good guess saves most of the work.
/// `None` where `h` is not positive definite.
pub(super) fn boxed(h: &[f64], g: &[f64], upper: f64, sides: &mut [Side]) -> Option<Vec<f64>> {
    let n = g.len();
    let mut x = vec![0.0; n];
    let (mut fewest, mut patience) = (n + 1, PATIENCE);
    let (mut sub, mut rhs) = (Vec::with_capacity(n * n), Vec::with_capacity(n));
    for _ in 0..CHANGES {
        let free: Vec<usize> = (0..n).filter(|&k| sides[k] == Side::Free).collect();
        let high: Vec<usize> = (0..n).filter(|&k| sides[k] == Side::High).collect();
        sub.clear();
        rhs.clear();
        for &i in &free {
            let row = &h[i * n..][..n];
            sub.extend(free.iter().map(|&j| row[j]));
            rhs.push(g[i] - upper * high.iter().map(|&j| row[j]).sum::<f64>());
        }
        if !cholesky(&mut sub, &mut rhs) {
            return None;
        }
        x.fill(0.0);
        high.iter().for_each(|&k| x[k] = upper);
        free.iter().zip(&rhs).for_each(|(&k, &v)| x[k] = v);
        let side = |k: usize| -> Side {
            match sides[k] {
                Side::Free if x[k] < -TOLERANCE => Side::Low,
                Side::Free if x[k] > upper + TOLERANCE => Side::High,
                Side::Free => Side::Free,
                bound => {
                    let downhill = g[k] - h[k * n..][..n].iter().zip(&x).map(|(h, x)| h * x).sum::<f64>();
                    let inward = if bound == Side::Low { downhill } else { -downhill };
                    if inward > TOLERANCE { Side::Free } else { bound }
                }
            }
        };
        let wrong: Vec<(usize, Side)> = (0..n).map(|k| (k, side(k))).filter(|&(k, s)| s != sides[k]).collect();
        let Some(last) = wrong.last() else { break };
        let all = if wrong.len() < fewest {
            (fewest, patience) = (wrong.len(), PATIENCE);
            true
        } else if patience > 0 {
            patience -= 1;
            true
        } else {
            false
        };
        let changed = if all { &wrong[..] } else { std::slice::from_ref(last) };
        changed.iter().for_each(|&(k, s)| sides[k] = s);
    }
    // If the changes ran out, the nearest within the bounds.
    x.iter_mut().for_each(|v| *v = v.clamp(0.0, upper));
    Some(x)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Rng;

    /// A random positive definite matrix, row major.
    fn definite(n: usize, rng: &mut Rng) -> Vec<f64> {
        let a: Vec<f64> = (0..n * (n + 2)).map(|_| rng.within(1.0)).collect();
        let row = |i: usize| &a[i * (n + 2)..][..n + 2];
        let dot = |i: usize, j: usize| row(i).iter().zip(row(j)).map(|(a, b)| a * b).sum::<f64>();
        (0..n * n).map(|k| dot(k / n, k % n) + if k / n == k % n { 1e-3 } else { 0.0 }).collect()
    }

    fn value(h: &[f64], g: &[f64], x: &[f64]) -> f64 {
        let n = g.len();
        let hx = |i: usize| (0..n).map(|j| h[i * n + j] * x[j]).sum::<f64>();
        (0..n).map(|i| x[i] * (0.5 * hx(i) - g[i])).sum()
    }

    #[test]
    fn cholesky_solves() {
        let mut rng = Rng(5);
        for n in 1..20 {
            let h = definite(n, &mut rng);
            let x: Vec<f64> = (0..n).map(|_| rng.within(2.0)).collect();
            let mut g: Vec<f64> = (0..n).map(|i| (0..n).map(|j| h[i * n + j] * x[j]).sum()).collect();
            assert!(cholesky(&mut h.clone(), &mut g));
            assert!(g.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-6), "{g:?} {x:?}");
        }
        assert!(!cholesky(&mut [1.0, 0.0, 2.0, 1.0], &mut [1.0, 1.0]));
        assert!(!cholesky(&mut [f64::NAN], &mut [1.0]));
        assert!(cholesky(&mut [], &mut []));
    }

    /// Against every choice of which variables sit at which bound, from any start.
    #[test]
    fn boxed_is_optimal() {
        let mut rng = Rng(7);
        for round in 0..300 {
            let n = 1 + round % 5;
            let h = definite(n, &mut rng);
            let g: Vec<f64> = (0..n).map(|_| rng.within(2.0)).collect();
            let all = [Side::Low, Side::Free, Side::High];
            let sides = |code: usize| -> Vec<Side> { (0..n).map(|k| all[code / 3usize.pow(k as u32) % 3]).collect() };
            let mut best = f64::INFINITY;
            for code in 0..3usize.pow(n as u32) {
                let sides = sides(code);
                let free: Vec<usize> = (0..n).filter(|&k| sides[k] == Side::Free).collect();
                let mut x: Vec<f64> = sides.iter().map(|s| if *s == Side::High { 1.0 } else { 0.0 }).collect();
                let mut sub: Vec<f64> = free.iter().flat_map(|&i| free.iter().map(move |&j| (i, j))).map(|(i, j)| h[i * n + j]).collect();
                let mut rhs: Vec<f64> = free.iter().map(|&i| g[i] - (0..n).map(|j| h[i * n + j] * x[j]).sum::<f64>()).collect();
                assert!(cholesky(&mut sub, &mut rhs));
                free.iter().zip(&rhs).for_each(|(&k, &v)| x[k] = v);
                if x.iter().all(|v| (-1e-12..=1.0 + 1e-12).contains(v)) {
                    best = best.min(value(&h, &g, &x));
                }
            }
            for start in [0, 1, 2, rng.below(3usize.pow(n as u32))] {
                let x = boxed(&h, &g, 1.0, &mut sides(start % 3usize.pow(n as u32))).unwrap();
                assert!(x.iter().all(|v| (0.0..=1.0).contains(v)));
                assert!(value(&h, &g, &x) <= best + 1e-9, "{x:?} {best}");
            }
        }
    }

    #[test]
    fn many_variables_meet_the_conditions_of_an_optimum() {
        let mut rng = Rng(11);
        for _ in 0..20 {
            let n = 52;
            let h = definite(n, &mut rng);
            let g: Vec<f64> = (0..n).map(|_| rng.within(4.0)).collect();
            let x = boxed(&h, &g, 1.0, &mut [Side::Low; 52]).unwrap();
            for k in 0..n {
                let downhill = g[k] - (0..n).map(|j| h[k * n + j] * x[j]).sum::<f64>();
                assert!(x[k] > 0.0 || downhill < 1e-6, "{k}: {downhill}");
                assert!(x[k] < 1.0 || downhill > -1e-6, "{k}: {downhill}");
                assert!(x[k] == 0.0 || x[k] == 1.0 || downhill.abs() < 1e-6, "{k}: {downhill}");
            }
        }
    }
}
