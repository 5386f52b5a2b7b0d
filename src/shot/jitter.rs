//! How steady a track is, and whether smoothing has made it late.

/// Landmarks of a face: x and y in pixels; z is ignored, since its jitter is invisible.
pub type Landmarks = [[f32; 3]; 68];

/// Most frames by which [`lag`] moves one curve against the other.
pub const MAX_LAG: usize = 10;

/// Mean over the landmarks of |x(t-1) - 2 x(t) + x(t+1)|, in pixels a frame squared: what is left when even motion is
/// taken away. One value for each frame but the first and the last.
pub fn second_difference(landmarks: &[Landmarks]) -> Vec<f32> {
    landmarks.windows(3).map(|w| bend(&w[0], &w[1], &w[2])).collect()
}

/// [`second_difference`] of a shot with gaps: one value for each frame, `None` where the frame or a neighbour is
/// missing.
pub fn jitter(landmarks: &[Option<Landmarks>]) -> Vec<Option<f32>> {
    (0..landmarks.len())
        .map(|t| {
            let at = |i: usize| landmarks.get(i)?.as_ref();
            Some(bend(at(t.checked_sub(1)?)?, at(t)?, at(t + 1)?))
        })
        .collect()
}

fn bend(a: &Landmarks, b: &Landmarks, c: &Landmarks) -> f32 {
    let sum: f64 = (0..b.len())
        .map(|i| {
            let d = [0, 1].map(|k| f64::from(a[i][k]) - 2.0 * f64::from(b[i][k]) + f64::from(c[i][k]));
            d[0].hypot(d[1])
        })
        .sum();
    (sum / b.len() as f64) as f32
}

/// Frames by which `smoothed` trails `raw`; negative where it runs ahead.
///
/// The peak of the correlation of both curves over shifts up to [`MAX_LAG`] (and half the curve), each pair of
/// overlapping parts without its mean and divided by its deviations; a parabola through the peak and its neighbours
/// gives parts of a frame. Frames where either is not finite do not count. 0 where a curve does not vary or has no more
/// than three frames.
pub fn lag(raw: &[f32], smoothed: &[f32]) -> f32 {
    let n = raw.len().min(smoothed.len());
    let most = MAX_LAG.min(n / 2) as isize;
    let at = |shift: isize| correlation(&raw[..n], &smoothed[..n], shift);
    // A straight line matches itself everywhere: of equal peaks, the smallest shift is meant.
    let mut best = (0, at(0));
    for shift in (1..=most).flat_map(|s| [s, -s]) {
        let r = at(shift);
        if r > best.1 + 1e-9 {
            best = (shift, r);
        }
    }
    let (shift, peak) = best;
    if n <= 3 || peak <= 0.0 {
        return 0.0;
    }
    let (before, after) = (at(shift - 1), at(shift + 1));
    let curvature = before - 2.0 * peak + after;
    let inside = shift.abs() < most && curvature < -1e-12;
    let part = if inside { (0.5 * (before - after) / curvature).clamp(-0.5, 0.5) } else { 0.0 };
    (shift as f64 + part) as f32
}

/// Correlation of `a[t]` with `b[t + shift]`, -1..1; 0 where one does not vary.
fn correlation(a: &[f32], b: &[f32], shift: isize) -> f64 {
    let pairs = || {
        a.iter().enumerate().filter_map(move |(t, &x)| {
            let y = *b.get(t.checked_add_signed(shift)?)?;
            (x.is_finite() && y.is_finite()).then_some((f64::from(x), f64::from(y)))
        })
    };
    let (mut n, mut mean) = (0.0, [0.0; 2]);
    for (x, y) in pairs() {
        n += 1.0;
        mean = [mean[0] + x, mean[1] + y];
    }
    if n < 2.0 {
        return 0.0;
    }
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in pairs() {
        let (x, y) = (x - mean[0] / n, y - mean[1] / n);
        xx += x * x;
        yy += y * y;
        xy += x * y;
    }
    if xx <= 0.0 || yy <= 0.0 { 0.0 } else { xy / (xx * yy).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A head's motion: slow waves of several lengths.
    fn motion(t: f64) -> f32 {
        (10.0 * (t / 19.0).sin() + 4.0 * (t / 7.3 + 1.0).sin() + 1.5 * (t / 3.1).cos()) as f32
    }

    fn curve(n: usize, late: f64) -> Vec<f32> {
        (0..n).map(|t| motion(t as f64 - late)).collect()
    }

    #[test]
    fn even_motion_has_no_second_difference() {
        let landmarks: Vec<Landmarks> = (0..5)
            .map(|t| std::array::from_fn(|i| [3.0 * t as f32 + i as f32, 7.0 - t as f32, (t * t) as f32]))
            .collect();
        assert_eq!(second_difference(&landmarks), [0.0; 3]);
        assert!(second_difference(&landmarks[..2]).is_empty());
    }

    #[test]
    fn a_jump_of_one_frame_by_definition() {
        let mut landmarks = vec![[[0.0; 3]; 68]; 5];
        landmarks[2] = [[3.0, 4.0, 100.0]; 68];
        assert_eq!(second_difference(&landmarks), [5.0, 10.0, 5.0]);
        // Half of the landmarks jump: half the mean.
        landmarks[2][34..].fill([0.0; 3]);
        assert_eq!(second_difference(&landmarks), [2.5, 5.0, 2.5]);
        let known: Vec<Option<Landmarks>> = landmarks.iter().copied().map(Some).collect();
        assert_eq!(jitter(&known), [None, Some(2.5), Some(5.0), Some(2.5), None]);
    }

    #[test]
    fn a_gap_takes_its_neighbours_with_it() {
        let mut landmarks = vec![Some([[1.0; 3]; 68]); 7];
        landmarks[3] = None;
        assert_eq!(jitter(&landmarks), [None, Some(0.0), None, None, None, Some(0.0), None]);
    }

    #[test]
    fn known_lags() {
        let raw = curve(300, 0.0);
        for late in [0.0, 1.0, 3.0, -2.0, 9.0, 0.25, 2.5, -4.7] {
            let got = lag(&raw, &curve(300, late));
            assert!((f64::from(got) - late).abs() < 0.05, "{late}: {got}");
        }
    }

    #[test]
    fn filters_tell_their_lag() {
        let raw = curve(400, 0.0);
        let mean = |from: isize, to: isize| -> Vec<f32> {
            (0..400_isize)
                .map(|t| (from..=to).map(|k| raw[(t + k).clamp(0, 399) as usize]).sum::<f32>() / (to - from + 1) as f32)
                .collect()
        };
        // A box around the frame is not late, one over the frames before it is by half its length.
        assert!(lag(&raw, &mean(-3, 3)).abs() < 0.05);
        assert!((lag(&raw, &mean(-6, 0)) - 3.0).abs() < 0.15);
    }

    #[test]
    fn scale_offset_and_gaps_do_not_matter() {
        let raw = curve(300, 0.0);
        let mut late: Vec<f32> = curve(300, 2.0).iter().map(|v| 0.3 * v + 1000.0).collect();
        for t in [40, 41, 42, 200] {
            late[t] = f32::NAN;
        }
        assert!((lag(&raw, &late) - 2.0).abs() < 0.05);
    }

    #[test]
    fn nothing_to_compare() {
        assert_eq!(lag(&[], &[]), 0.0);
        assert_eq!(lag(&[1.0; 50], &curve(50, 0.0)), 0.0);
        assert_eq!(lag(&[f32::NAN; 50], &[f32::NAN; 50]), 0.0);
        let line: Vec<f32> = (0..60).map(|t| t as f32).collect();
        assert_eq!(lag(&line, &line), 0.0);
    }
}
