//! The shapes that speech moves, both sides of the face alike.

use super::{ArkitCurves, ArkitShape};

/// The shapes, each with its other side (itself where it is on both). The first [`OPENING`] part lips and are 0 where these are closed; of
/// the others every face has its own at rest.
pub const SPOKEN: [[ArkitShape; 2]; 15] = {
    use ArkitShape::*;
    [
        [JawOpen, JawOpen],
        [MouthClose, MouthClose],
        [MouthFunnel, MouthFunnel],
        [MouthPucker, MouthPucker],
        [MouthLowerDownLeft, MouthLowerDownRight],
        [MouthUpperUpLeft, MouthUpperUpRight],
        [MouthRollLower, MouthRollLower],
        [MouthRollUpper, MouthRollUpper],
        [MouthShrugLower, MouthShrugLower],
        [MouthShrugUpper, MouthShrugUpper],
        [MouthPressLeft, MouthPressRight],
        [MouthSmileLeft, MouthSmileRight],
        [MouthFrownLeft, MouthFrownRight],
        [MouthDimpleLeft, MouthDimpleRight],
        [MouthStretchLeft, MouthStretchRight],
    ]
};

/// How many of [`SPOKEN`] part lips.
pub const OPENING: usize = 6;

/// The spoken shapes of curves: the mean of both sides.
pub fn spoken(curves: &ArkitCurves) -> [f32; SPOKEN.len()] {
    SPOKEN.map(|[left, right]| 0.5 * (curves[left as usize] + curves[right as usize]))
}

/// Where these shapes are on a face that does not speak, of all that it does: lips that part are at their least, but for the tenth of
/// frames below that; others are at their median.
pub fn at_rest(frames: &[[f32; SPOKEN.len()]]) -> [f32; SPOKEN.len()] {
    std::array::from_fn(|k| {
        let mut values: Vec<f32> = frames.iter().map(|f| f[k]).collect();
        if values.is_empty() {
            return 0.0;
        }
        let at = if k < OPENING { values.len() / 10 } else { values.len() / 2 };
        *values.select_nth_unstable_by(at, f32::total_cmp).1
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sides_are_each_others_and_rest_is_where_the_face_is() {
        for [left, right] in SPOKEN {
            assert_eq!(left.mirrored(), right);
        }
        let mut curves = [0.0; ArkitShape::COUNT];
        (curves[ArkitShape::MouthSmileLeft as usize], curves[ArkitShape::JawOpen as usize]) = (0.5, 0.25);
        let of = spoken(&curves);
        assert_eq!((of[0], of[11]), (0.25, 0.25));
        let frames: Vec<[f32; 15]> = (0..21).map(|i| [i as f32; 15]).collect();
        let rest = at_rest(&frames);
        assert_eq!((rest[0], rest[OPENING]), (2.0, 10.0));
        assert_eq!(at_rest(&[]), [0.0; 15]);
    }
}
