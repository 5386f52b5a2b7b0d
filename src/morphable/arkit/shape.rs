//! The names of ARKit's 52 blend shapes.

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident $text:literal $mirrored:ident,)+) => {
        /// One of ARKit's blend shapes, in the order of Live Link Face. A coefficient of 0 is rest, 1 the whole way. Left and right
        /// are the face's own: its left is the picture's right.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum ArkitShape { $($(#[$doc])* $name,)+ }

        impl ArkitShape {
            /// How many there are.
            pub const COUNT: usize = ArkitShape::ALL.len();
            /// All of them, in order.
            pub const ALL: &'static [ArkitShape] = &[$(ArkitShape::$name,)+];

            /// ARKit's name, camelCase.
            pub const fn name(self) -> &'static str {
                match self { $(ArkitShape::$name => $text,)+ }
            }

            /// The same on the face's other side; itself where it is on both.
            pub const fn mirrored(self) -> ArkitShape {
                match self { $(ArkitShape::$name => ArkitShape::$mirrored,)+ }
            }
        }
    };
}

shapes! {
    /// The left eye closes; 1 is closed.
    EyeBlinkLeft "eyeBlinkLeft" EyeBlinkRight,
    /// The left eye looks down by 20 degrees, its upper lid follows.
    EyeLookDownLeft "eyeLookDownLeft" EyeLookDownRight,
    /// The left eye looks towards the nose by 25 degrees.
    EyeLookInLeft "eyeLookInLeft" EyeLookInRight,
    /// The left eye looks away from the nose by 25 degrees.
    EyeLookOutLeft "eyeLookOutLeft" EyeLookOutRight,
    /// The left eye looks up by 20 degrees, its upper lid follows.
    EyeLookUpLeft "eyeLookUpLeft" EyeLookUpRight,
    /// The left eye narrows, mostly by its lower lid.
    EyeSquintLeft "eyeSquintLeft" EyeSquintRight,
    /// The left eye's lids part further.
    EyeWideLeft "eyeWideLeft" EyeWideRight,
    /// As on the left.
    EyeBlinkRight "eyeBlinkRight" EyeBlinkLeft,
    /// As on the left.
    EyeLookDownRight "eyeLookDownRight" EyeLookDownLeft,
    /// As on the left.
    EyeLookInRight "eyeLookInRight" EyeLookInLeft,
    /// As on the left.
    EyeLookOutRight "eyeLookOutRight" EyeLookOutLeft,
    /// As on the left.
    EyeLookUpRight "eyeLookUpRight" EyeLookUpLeft,
    /// As on the left.
    EyeSquintRight "eyeSquintRight" EyeSquintLeft,
    /// As on the left.
    EyeWideRight "eyeWideRight" EyeWideLeft,
    /// The lower jaw forward.
    JawForward "jawForward" JawForward,
    /// The lower jaw to the face's right.
    JawRight "jawRight" JawLeft,
    /// The lower jaw to the face's left.
    JawLeft "jawLeft" JawRight,
    /// The lower jaw opens, and the lips part with it.
    JawOpen "jawOpen" JawOpen,
    /// The lips meet however the jaw stands: at 1 they meet where `JawOpen` is 1.
    MouthClose "mouthClose" MouthClose,
    /// The lips forward and apart, as an open O.
    MouthFunnel "mouthFunnel" MouthFunnel,
    /// The lips together, narrow and forward, as for a kiss.
    MouthPucker "mouthPucker" MouthPucker,
    /// Both lips to the face's right.
    MouthRight "mouthRight" MouthLeft,
    /// Both lips to the face's left.
    MouthLeft "mouthLeft" MouthRight,
    /// The left corner of the mouth up and out.
    MouthSmileLeft "mouthSmileLeft" MouthSmileRight,
    /// The right corner of the mouth up and out.
    MouthSmileRight "mouthSmileRight" MouthSmileLeft,
    /// The left corner of the mouth down.
    MouthFrownLeft "mouthFrownLeft" MouthFrownRight,
    /// The right corner of the mouth down.
    MouthFrownRight "mouthFrownRight" MouthFrownLeft,
    /// The left corner of the mouth back, into the cheek.
    MouthDimpleLeft "mouthDimpleLeft" MouthDimpleRight,
    /// The right corner of the mouth back, into the cheek.
    MouthDimpleRight "mouthDimpleRight" MouthDimpleLeft,
    /// The left corner of the mouth out and a little down.
    MouthStretchLeft "mouthStretchLeft" MouthStretchRight,
    /// The right corner of the mouth out and a little down.
    MouthStretchRight "mouthStretchRight" MouthStretchLeft,
    /// The lower lip rolls in over the teeth.
    MouthRollLower "mouthRollLower" MouthRollLower,
    /// The upper lip rolls in over the teeth.
    MouthRollUpper "mouthRollUpper" MouthRollUpper,
    /// The lower lip and the chin up and out.
    MouthShrugLower "mouthShrugLower" MouthShrugLower,
    /// The upper lip up and out.
    MouthShrugUpper "mouthShrugUpper" MouthShrugUpper,
    /// The left half of the lips pressed on each other.
    MouthPressLeft "mouthPressLeft" MouthPressRight,
    /// The right half of the lips pressed on each other.
    MouthPressRight "mouthPressRight" MouthPressLeft,
    /// The left half of the lower lip down.
    MouthLowerDownLeft "mouthLowerDownLeft" MouthLowerDownRight,
    /// The right half of the lower lip down.
    MouthLowerDownRight "mouthLowerDownRight" MouthLowerDownLeft,
    /// The left half of the upper lip up.
    MouthUpperUpLeft "mouthUpperUpLeft" MouthUpperUpRight,
    /// The right half of the upper lip up.
    MouthUpperUpRight "mouthUpperUpRight" MouthUpperUpLeft,
    /// The left brow down and in.
    BrowDownLeft "browDownLeft" BrowDownRight,
    /// The right brow down and in.
    BrowDownRight "browDownRight" BrowDownLeft,
    /// The inner ends of both brows up.
    BrowInnerUp "browInnerUp" BrowInnerUp,
    /// The outer part of the left brow up.
    BrowOuterUpLeft "browOuterUpLeft" BrowOuterUpRight,
    /// The outer part of the right brow up.
    BrowOuterUpRight "browOuterUpRight" BrowOuterUpLeft,
    /// Both cheeks blown up.
    CheekPuff "cheekPuff" CheekPuff,
    /// The left cheek up, towards the eye.
    CheekSquintLeft "cheekSquintLeft" CheekSquintRight,
    /// The right cheek up, towards the eye.
    CheekSquintRight "cheekSquintRight" CheekSquintLeft,
    /// The left side of the nose up.
    NoseSneerLeft "noseSneerLeft" NoseSneerRight,
    /// The right side of the nose up.
    NoseSneerRight "noseSneerRight" NoseSneerLeft,
    /// The tongue out; these models have none, so that nothing moves.
    TongueOut "tongueOut" TongueOut,
}

impl ArkitShape {
    /// The shape with this name, in ARKit's spelling (`eyeBlinkLeft`) or that of Live Link Face (`EyeBlinkLeft`); case
    /// does not matter.
    pub fn parse(name: &str) -> Option<ArkitShape> {
        ArkitShape::ALL.iter().copied().find(|s| s.name().eq_ignore_ascii_case(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        assert_eq!(ArkitShape::COUNT, 52);
        for (i, &s) in ArkitShape::ALL.iter().enumerate() {
            assert_eq!(s as usize, i);
            assert_eq!(ArkitShape::parse(s.name()), Some(s));
            assert_eq!(ArkitShape::parse(&s.name().to_uppercase()), Some(s));
            // camelCase of the variant.
            assert_eq!(format!("{s:?}").to_lowercase(), s.name().to_lowercase());
        }
        assert_eq!(ArkitShape::parse("eyeBlink"), None);
    }

    #[test]
    fn mirroring_changes_the_side_and_nothing_else() {
        for &s in ArkitShape::ALL {
            assert_eq!(s.mirrored().mirrored(), s);
            let swapped = s.name().replace("Left", "*").replace("Right", "Left").replace('*', "Right");
            assert_eq!(s.mirrored().name(), swapped);
        }
    }
}
