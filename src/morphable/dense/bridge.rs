//! What a hidden part of the face does: what leads from the frame before it was hidden to the frame after.

use super::{DenseHead, DenseRegion, FrameFit};
use crate::morphable::ArkitShape;

/// A region that keeps less of its points' weight is hidden.
const HIDDEN: f32 = 0.3;

/// The regions whose points tell what a shape does.
fn regions(shape: ArkitShape) -> &'static [DenseRegion] {
    use DenseRegion::{BrowLeft, BrowRight, CheekLeft, CheekRight, EyeLeft, EyeRight, Mouth};
    let name = shape.name();
    let left = name.ends_with("Left");
    match (name.as_bytes().first_chunk::<4>(), left) {
        (Some(b"eyeB" | b"eyeL" | b"eyeS" | b"eyeW"), true) => &[EyeLeft],
        (Some(b"eyeB" | b"eyeL" | b"eyeS" | b"eyeW"), false) => &[EyeRight],
        (Some(b"brow"), _) if name == "browInnerUp" => &[BrowLeft, BrowRight],
        (Some(b"brow"), true) => &[BrowLeft],
        (Some(b"brow"), false) => &[BrowRight],
        (Some(b"chee" | b"nose"), true) => &[CheekLeft],
        (Some(b"chee" | b"nose"), false) if name.ends_with("Right") => &[CheekRight],
        _ => &[Mouth],
    }
}

/// Gives the shapes of regions that are hidden in some frames the values between those of the nearest frames that show them; where no
/// frame does, they stay as they are. The other shapes go on as they were fitted.
pub fn bridge_hidden(head: &DenseHead, frames: &mut [Option<FrameFit>]) {
    for (k, &shape) in ArkitShape::ALL.iter().enumerate() {
        let one = (0..ArkitShape::COUNT).map(|i| if i == k { 1.0 } else { 0.0 });
        let column = head.expression(one).iter().position(|v| *v != 0.0);
        let shown = |f: &FrameFit| regions(shape).iter().all(|r| f.confidence[*r as usize] >= HIDDEN);
        let seen: Vec<(usize, f32, f32)> = frames
            .iter()
            .enumerate()
            .filter_map(|(i, f)| {
                f.as_ref().filter(|f| shown(f)).map(|f| (i, f.shapes[k], column.map_or(0.0, |c| f.expr[c])))
            })
            .collect();
        if seen.is_empty() {
            continue;
        }
        for (i, frame) in frames.iter_mut().enumerate() {
            let Some(frame) = frame.as_mut().filter(|f| !shown(f)) else { continue };
            let after = seen.partition_point(|(at, ..)| *at < i);
            let (a, b) = (seen[after.saturating_sub(1)], seen[after.min(seen.len() - 1)]);
            let t = if b.0 > a.0 { ((i as f32 - a.0 as f32) / (b.0 as f32 - a.0 as f32)).clamp(0.0, 1.0) } else { 0.0 };
            frame.shapes[k] = a.1 + t * (b.1 - a.1);
            if let Some(column) = column {
                frame.expr[column] = a.2 + t * (b.2 - a.2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::ImageCamera;
    use crate::synthetic::acting_head;

    #[test]
    fn a_hidden_mouth_is_bridged_while_the_eyes_go_on() {
        let head = DenseHead::new(&acting_head()).unwrap();
        let frame = |open: f32, blink: f32, mouth: f32| {
            let mut shapes = [0.0; ArkitShape::COUNT];
            shapes[ArkitShape::JawOpen as usize] = open;
            shapes[ArkitShape::EyeBlinkLeft as usize] = blink;
            let mut confidence = [1.0; DenseRegion::COUNT];
            confidence[DenseRegion::Mouth as usize] = mouth;
            let camera = ImageCamera::new(1.0, nalgebra::Rotation3::identity(), [0.0; 3]);
            let expr = head.expression(shapes.iter().map(|v| f64::from(*v)));
            Some(FrameFit { camera, shapes, expr, confidence, error: 0.0 })
        };
        let mut frames = vec![
            frame(0.9, 0.0, 0.0),
            frame(0.2, 0.1, 1.0),
            frame(0.9, 0.5, 0.1),
            None,
            frame(0.9, 0.7, 0.1),
            frame(0.6, 0.2, 1.0),
        ];
        bridge_hidden(&head, &mut frames);
        let of =
            |shape: ArkitShape| -> Vec<f32> { frames.iter().flatten().map(|f| f.shapes[shape as usize]).collect() };
        for (got, want) in of(ArkitShape::JawOpen).iter().zip([0.2, 0.2, 0.3, 0.5, 0.6]) {
            assert!((got - want).abs() < 1e-6, "{got} {want}");
        }
        assert_eq!(of(ArkitShape::EyeBlinkLeft), [0.0, 0.1, 0.5, 0.7, 0.2]);
        let made = head.expression(frames[2].as_ref().unwrap().shapes.iter().map(|v| f64::from(*v)));
        assert_eq!(frames[2].as_ref().unwrap().expr, made);
        // Hidden throughout: as fitted.
        let mut hidden = vec![frame(0.9, 0.0, 0.0), frame(0.4, 0.0, 0.2)];
        let before = hidden.clone();
        bridge_hidden(&head, &mut hidden);
        assert_eq!(hidden, before);
    }
}
