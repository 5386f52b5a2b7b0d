//! Which frames of a clip are worth learning from: those that differ.

use headgan::random::Rng;

/// What a face shows, in numbers of like size.
pub type Look = [f32; 7];

/// Of MediaPipe's 478 points: lids, gaze, gap and width of the mouth, brows, turn of the head; lengths in shares of the distance of the eyes'
/// outer corners, each made about as large as the others.
pub fn look(points: &[[f32; 3]]) -> Look {
    let away = |a: usize, b: usize| (points[a][0] - points[b][0]).hypot(points[a][1] - points[b][1]);
    let size = away(33, 263).max(1e-3);
    let along = [(points[263][0] - points[33][0]) / size, (points[263][1] - points[33][1]) / size];
    // Of a point beside the middle of two others, along the eyes' line.
    let beside = |p: usize, a: usize, b: usize| {
        let d = [0, 1].map(|c| points[p][c] - 0.5 * (points[a][c] + points[b][c]));
        (d[0] * along[0] + d[1] * along[1]) / size
    };
    [
        7.0 * away(159, 145) / size,
        7.0 * away(386, 374) / size,
        20.0 * (beside(468, 33, 133) + beside(473, 362, 263)),
        4.0 * away(13, 14) / size,
        3.0 * away(61, 291) / size,
        4.0 * (away(105, 159) + away(334, 386)) / size,
        2.0 * beside(1, 33, 263),
    ]
}

fn apart(a: &Look, b: &Look) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>().sqrt()
}

/// The place of the look that is nearest to the median of all.
fn usual(looks: &[(usize, Look)]) -> Option<usize> {
    let median: Look = std::array::from_fn(|c| {
        let mut all: Vec<f32> = looks.iter().map(|l| l.1[c]).collect();
        all.sort_by(f32::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or_default()
    });
    (0..looks.len()).min_by(|&a, &b| apart(&looks[a].1, &median).total_cmp(&apart(&looks[b].1, &median)))
}

/// Up to `most` frames, each as unlike those before as can be; the first is the most usual one.
pub fn unlike(looks: &[(usize, Look)], most: usize) -> Vec<usize> {
    let Some(first) = usual(looks) else { return Vec::new() };
    let mut chosen = vec![first];
    let mut least: Vec<f32> = looks.iter().map(|l| apart(&l.1, &looks[first].1)).collect();
    while chosen.len() < most.min(looks.len()) {
        let Some(next) = (0..looks.len()).max_by(|&a, &b| least[a].total_cmp(&least[b])) else { break };
        if chosen.contains(&next) {
            break;
        }
        chosen.push(next);
        for (l, (_, look)) in least.iter_mut().zip(looks) {
            *l = l.min(apart(look, &looks[next].1));
        }
    }
    chosen.into_iter().map(|i| looks[i].0).collect()
}

/// Up to `most` of the frames, half of them unlike, half of them anyhow; ascending.
pub fn varied(looks: &[(usize, Look)], most: usize, seed: u64) -> Vec<usize> {
    let mut chosen = unlike(looks, most.div_ceil(2));
    let mut rest: Vec<usize> = looks.iter().map(|l| l.0).filter(|i| !chosen.contains(i)).collect();
    Rng::from_parts(&[seed, 31]).shuffle(&mut rest);
    chosen.extend(rest.into_iter().take(most - chosen.len().min(most)));
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_chosen() {
        let looks: Vec<(usize, Look)> = (0..50)
            .map(|i| {
                let mut look = [0.01 * i as f32; 7];
                if i == 17 {
                    look[0] = 9.0;
                }
                if i == 40 {
                    look[3] = -7.0;
                }
                (100 + i, look)
            })
            .collect();
        let chosen = unlike(&looks, 3);
        assert!((110..140).contains(&chosen[0]));
        assert_eq!(chosen[1..], [117, 140]);
        let varied = varied(&looks, 10, 1);
        assert_eq!(varied.len(), 10);
        assert!(varied.windows(2).all(|w| w[0] < w[1]) && varied.contains(&117) && varied.contains(&140));
        assert_eq!(unlike(&looks[..2], 5).len(), 2);
        assert!(unlike(&[], 5).is_empty());
    }
}
