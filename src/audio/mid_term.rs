//! Means and deviations of short-term features over stretches of windows.

/// For stretch `i` of `count` the mean of each column over the rows `i * step` to `i * step + span`, as far as there are rows,
/// then the standard deviation (of the population) of each: `count` rows of `2 * width` values. `rows` are `width` long. A stretch
/// that begins behind the last row repeats the one before; without any row everything is 0.
pub fn mean_and_deviation(rows: &[f64], width: usize, step: usize, span: usize, count: usize) -> Vec<f64> {
    let mut out = vec![0.0; count * 2 * width];
    let total = rows.len() / width.max(1);
    for i in 0..count {
        let first = i.saturating_mul(step);
        let (before, here) = out.split_at_mut(i * 2 * width);
        let here = &mut here[..2 * width];
        if first >= total {
            if i > 0 {
                here.copy_from_slice(&before[before.len() - 2 * width..]);
            }
            continue;
        }
        let stretch = &rows[first * width..first.saturating_add(span.max(1)).min(total) * width];
        let (mean, deviation) = here.split_at_mut(width);
        let n = (stretch.len() / width) as f64;
        for row in stretch.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(m, v)| *m += v);
        }
        mean.iter_mut().for_each(|m| *m /= n);
        for row in stretch.chunks_exact(width) {
            deviation.iter_mut().zip(row).zip(&*mean).for_each(|((d, v), m)| *d += (v - m) * (v - m));
        }
        deviation.iter_mut().for_each(|d| *d = (*d / n).sqrt());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches() {
        // Two columns, five rows; stretches of three rows, every two.
        let rows = [1.0, 0.0, 2.0, 0.0, 6.0, 3.0, 4.0, 3.0, 5.0, 9.0];
        let out = mean_and_deviation(&rows, 2, 2, 3, 4);
        let near = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near(&out[..4], &[3.0, 1.0, (14.0f64 / 3.0).sqrt(), 2f64.sqrt()]), "{out:?}");
        assert!(near(&out[4..8], &[5.0, 5.0, (2.0f64 / 3.0).sqrt(), 8f64.sqrt()]), "{out:?}");
        // The tail keeps what there is; behind it the last one stays.
        assert!(near(&out[8..], &[5.0, 9.0, 0.0, 0.0, 5.0, 9.0, 0.0, 0.0]), "{out:?}");
        assert_eq!(mean_and_deviation(&[], 2, 2, 3, 2), [0.0; 8]);
    }
}
