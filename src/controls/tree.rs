//! The list of controls.
//!
//! To add one, follow CONTRIBUTING.md, *A control*.

use super::choices::{
    Background, ChoiceOption, Composite, Device, FaceChoice, MatteSource, MouthFrom, Neutral, OverrideMode, Quality,
    ReferenceUses, View,
};
use crate::morphable::Expression;

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A bare number: an index.
    Number,
    /// Multiplies; 1 leaves things as they are.
    Factor,
    /// A share, 0..1.
    Share,
    /// Of an expression: 0 none, 1 strong.
    Strength,
    /// Degrees of angle.
    Degrees,
    /// Frames.
    Frames,
    /// Of sound: 6 is about twice as loud.
    Decibels,
    /// Hundredths of the face's size (the side of a square as large as the reference mesh's bounding box).
    PercentOfFace,
    /// A share of the picture's width, from the left.
    Width,
    /// A share of the picture's height, from the top.
    Height,
}

impl Unit {
    /// As it is written in messages and tables.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Number => "number",
            Unit::Factor => "factor",
            Unit::Share => "share",
            Unit::Strength => "strength",
            Unit::Degrees => "degrees",
            Unit::Frames => "frames",
            Unit::Decibels => "dB",
            Unit::PercentOfFace => "% of the face's size",
            Unit::Width => "share of the width",
            Unit::Height => "share of the height",
        }
    }
}

/// Type, default and legal values of a control.
#[derive(Debug, Clone, Copy, PartialEq)]
#[allow(missing_docs, reason = "the fields are what they are called")]
pub enum Kind {
    /// A real number, `min..=max`.
    Float { default: f64, min: f64, max: f64, unit: Unit },
    /// A whole number, `min..=max`.
    Int { default: i64, min: i64, max: i64, unit: Unit },
    /// On or off.
    Bool { default: bool },
    /// One of several options; `default` is an index into `options`.
    Choice { default: usize, options: &'static [ChoiceOption] },
    /// One line of text.
    Text { default: &'static str },
}

/// A group of controls: a section of the user guide, a folded page in a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// How much of the performance is taken over.
    Performance,
    /// Where the eyes look, and how far they blink.
    Eyes,
    /// Named expressions.
    Expression,
    /// Turns and shifts of the head.
    HeadPose,
    /// Smoothing of the motion.
    Stabilise,
    /// Adaptation to the reference's size and place.
    Adaptation,
    /// The audio that a generator takes.
    Sound,
    /// Which faces are meant.
    Faces,
    /// How the face is put into the picture.
    Composite,
    /// What is delivered.
    Output,
    /// ARKit's 52 shapes.
    Arkit,
}

impl Group {
    /// In the order in which they are shown.
    pub const ALL: &'static [Group] = &[
        Group::Performance,
        Group::Eyes,
        Group::Expression,
        Group::HeadPose,
        Group::Stabilise,
        Group::Adaptation,
        Group::Sound,
        Group::Faces,
        Group::Composite,
        Group::Output,
        Group::Arkit,
    ];

    /// Stable name (snake_case).
    pub const fn id(self) -> &'static str {
        match self {
            Group::Performance => "performance",
            Group::Eyes => "eyes",
            Group::Expression => "expression",
            Group::HeadPose => "head_pose",
            Group::Stabilise => "stabilise",
            Group::Adaptation => "adaptation",
            Group::Sound => "sound",
            Group::Faces => "faces",
            Group::Composite => "compositing",
            Group::Output => "output",
            Group::Arkit => "arkit",
        }
    }

    /// Heading.
    pub const fn label(self) -> &'static str {
        match self {
            Group::Performance => "Performance",
            Group::Eyes => "Eyes",
            Group::Expression => "Expression",
            Group::HeadPose => "Head pose",
            Group::Stabilise => "Stabilise",
            Group::Adaptation => "Fit to the reference",
            Group::Sound => "Sound",
            Group::Faces => "Faces",
            Group::Composite => "Composite",
            Group::Output => "Output",
            Group::Arkit => "ARKit shapes",
        }
    }

    /// What its controls are for.
    pub const fn hint(self) -> &'static str {
        match self {
            Group::Performance => "How much of the driver's performance the reference's face takes over.",
            Group::Eyes => {
                "Where the eyes look, and how far they blink; with a pack whose head has eyes (mediapipe, starter-face)."
            }
            Group::Expression => {
                "Expressions by name, at a strength of your own. Left and right are the face's own: its left is the \
                 picture's right."
            }
            Group::HeadPose => "Turns the head, on top of what the driver does.",
            Group::Stabilise => {
                "Smooths what was measured of the driver, over frames before and after alike, so that nothing lags."
            }
            Group::Adaptation => "How the driver's framing and face are brought to the reference's.",
            Group::Sound => "What the sound does: to a mouth that follows it, and to a generator that listens.",
            Group::Faces => "Which face, and which frame of the reference.",
            Group::Composite => "How the new head goes back into the plate.",
            Group::Output => "What is rendered, and with what.",
            Group::Arkit => {
                "ARKit's 52 blend shapes by name, on top of the performance; with a pack whose head has them (mediapipe, starter-face)."
            }
        }
    }

    /// Its controls, in order.
    pub fn controls(self) -> impl Iterator<Item = &'static Control> {
        CONTROLS.iter().filter(move |c| c.group == self)
    }
}

/// One thing that a user can set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Control {
    /// Unique for ever (snake_case): stored in presets, key files and host projects.
    pub id: &'static str,
    /// Shown to the user; without "-", which Nuke dislikes.
    pub label: &'static str,
    /// What it does, with its unit.
    pub hint: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Where it is shown.
    pub group: Group,
    /// Whether it may change within a shot. Only numbers may: what chooses faces, frames or engines holds
    /// for the whole shot, because its analysis and what is computed once per shot depend on it.
    pub keyframable: bool,
    /// The version that brought it.
    pub since: &'static str,
}

impl Control {
    /// Whether the plugin offers it: a host gives the plugin the frames of a reference clip one by one, and nothing analyses them yet.
    pub fn is_for_hosts(&self) -> bool {
        self.id != "reference_uses"
    }
}

/// The control with this id.
pub fn find(id: &str) -> Option<&'static Control> {
    CONTROLS.iter().find(|c| c.id == id)
}

/// Ids that once were controls, and what to use now. Their ids stay taken.
pub const RETIRED: &[(&str, &str)] = &[];

const fn float(default: f64, min: f64, max: f64, unit: Unit) -> Kind {
    Kind::Float { default, min, max, unit }
}

const fn int(default: i64, min: i64, max: i64, unit: Unit) -> Kind {
    Kind::Int { default, min, max, unit }
}

/// A control of the first version that may be keyframed.
const fn animated(group: Group, id: &'static str, label: &'static str, kind: Kind, hint: &'static str) -> Control {
    Control { id, label, hint, kind, group, keyframable: true, since: "0.1.0" }
}

/// A control of the first version that holds for a whole shot.
const fn fixed(group: Group, id: &'static str, label: &'static str, kind: Kind, hint: &'static str) -> Control {
    Control { id, label, hint, kind, group, keyframable: false, since: "0.1.0" }
}

/// A later control that may be keyframed.
const fn animated_since(
    since: &'static str,
    group: Group,
    id: &'static str,
    label: &'static str,
    kind: Kind,
    hint: &'static str,
) -> Control {
    Control { id, label, hint, kind, group, keyframable: true, since }
}

/// A later control that holds for a whole shot.
const fn fixed_since(
    since: &'static str,
    group: Group,
    id: &'static str,
    label: &'static str,
    kind: Kind,
    hint: &'static str,
) -> Control {
    Control { id, label, hint, kind, group, keyframable: false, since }
}

/// How much a region takes over of the performance.
const fn region(id: &'static str, label: &'static str, hint: &'static str) -> Control {
    animated_since("0.2.0", Group::Performance, id, label, float(1.0, 0.0, 2.0, Unit::Factor), hint)
}

/// The strength of a named expression; `id` is `expr_` and the expression's own id.
const fn expression(of: Expression, id: &'static str, label: &'static str, hint: &'static str) -> Control {
    let (min, max) = of.range();
    animated_since("0.2.0", Group::Expression, id, label, float(0.0, min, max, Unit::Strength), hint)
}

/// The strength of one of ARKit's shapes; `id` is `arkit_` and the shape's name in snake case.
const fn arkit(id: &'static str, label: &'static str, hint: &'static str) -> Control {
    animated_since("0.3.0", Group::Arkit, id, label, float(0.0, -1.0, 1.0, Unit::Strength), hint)
}

/// Over how many frames a part of the driver's track is smoothed.
const fn stabilise(id: &'static str, label: &'static str, hint: &'static str) -> Control {
    fixed_since("0.2.0", Group::Stabilise, id, label, float(0.0, 0.0, 25.0, Unit::Frames), hint)
}

/// Every control, group by group.
pub static CONTROLS: &[Control] = &[
    // Performance.
    animated(
        Group::Performance,
        "motion_strength",
        "Motion strength",
        float(1.0, 0.0, 2.0, Unit::Factor),
        "How far position and size of the head follow the driver: 0 stays at the reference's own, 1 follows, above 1 \
         exaggerates (factor).",
    ),
    animated(
        Group::Performance,
        "pose_strength",
        "Pose strength",
        float(1.0, 0.0, 2.0, Unit::Factor),
        "How far the turning of the head follows the driver: 0 stays at the reference's own, 1 follows, above 1 \
         exaggerates (factor).",
    ),
    animated(
        Group::Performance,
        "expression_strength",
        "Expression strength",
        float(1.0, 0.0, 2.0, Unit::Factor),
        "How far the expression follows the driver: 0 stays at the face at rest, 1 follows, above 1 exaggerates \
         (factor).",
    ),
    fixed(
        Group::Performance,
        "relative_expression",
        "Relative expression",
        Kind::Bool { default: false },
        "Takes over how the driver's expression differs from the driver's face at rest, on top of the reference's \
         face at rest, instead of the expression as it is.",
    ),
    region(
        "region_mouth",
        "Region mouth",
        "How far the lips and what is around them follow the driver's expression: 0 stays at the face at rest, 1 \
         follows, above 1 exaggerates (factor).",
    ),
    region(
        "region_jaw",
        "Region jaw",
        "How far chin, jaw and lower cheeks follow the driver's expression: 0 stays at the face at rest, 1 follows, \
         above 1 exaggerates (factor).",
    ),
    region(
        "region_eyes",
        "Region eyes",
        "How far the lids and what is around them follow the driver's expression: 0 stays at the face at rest, 1 \
         follows, above 1 exaggerates (factor).",
    ),
    region(
        "region_brows",
        "Region brows",
        "How far brows and forehead follow the driver's expression: 0 stays at the face at rest, 1 follows, above 1 \
         exaggerates (factor).",
    ),
    animated_since(
        "0.3.0",
        Group::Performance,
        "region_gaze",
        "Region gaze",
        float(1.0, 0.0, 2.0, Unit::Factor),
        "How far the eyes look where the driver's look: 0 stays where they look at rest, 1 follows, above 1 exaggerates \
         (factor).",
    ),
    region(
        "region_head",
        "Region head",
        "Multiplies Motion strength and Pose strength: 0 holds the head where the reference has it, whatever the face \
         does (factor).",
    ),
    fixed_since(
        "0.2.0",
        Group::Performance,
        "neutral",
        "Neutral",
        Kind::Choice { default: Neutral::Automatic as usize, options: Neutral::OPTIONS },
        "What counts as the driver's face at rest, for Relative expression and for a clip that performs itself.",
    ),
    fixed_since(
        "0.2.0",
        Group::Performance,
        "neutral_frame",
        "Neutral frame",
        int(0, 0, 9_999_999, Unit::Frames),
        "With Neutral at A frame: the driving frame that shows the face at rest, as the clip numbers it (frames).",
    ),
    // Eyes.
    animated_since(
        "0.3.0",
        Group::Eyes,
        "look_at_camera",
        "Look at camera",
        float(0.0, 0.0, 1.0, Unit::Share),
        "Turns the eyes to the camera however the head is turned (share): 0 leaves them, 1 looks into the camera, before the \
         offsets are added.",
    ),
    animated_since(
        "0.3.0",
        Group::Eyes,
        "gaze_yaw_offset",
        "Gaze yaw offset",
        float(0.0, -40.0, 40.0, Unit::Degrees),
        "Turns both eyes sideways (degrees): above 0 towards the picture's left edge, below 0 towards its right.",
    ),
    animated_since(
        "0.3.0",
        Group::Eyes,
        "gaze_pitch_offset",
        "Gaze pitch offset",
        float(0.0, -30.0, 30.0, Unit::Degrees),
        "Turns both eyes up or down (degrees): above 0 down, below 0 up.",
    ),
    animated_since(
        "0.3.0",
        Group::Eyes,
        "blink_strength",
        "Blink strength",
        float(1.0, 0.0, 2.0, Unit::Factor),
        "How far the lids close where the driver's do: 0 keeps the eyes open, 1 follows, above 1 exaggerates (factor).",
    ),
    // Expression.
    fixed_since(
        "0.2.0",
        Group::Expression,
        "override_mode",
        "Override mode",
        Kind::Choice { default: OverrideMode::Add as usize, options: OverrideMode::OPTIONS },
        "How the expressions below meet the driver's performance.",
    ),
    expression(
        Expression::JawOpen,
        "expr_jaw_open",
        "Jaw open",
        "Drops the jaw and parts the lips; below 0 closes and presses them (strength).",
    ),
    expression(
        Expression::Smile,
        "expr_smile",
        "Smile",
        "Corners of the mouth out and up, with the cheeks (strength).",
    ),
    expression(
        Expression::SmileLeft,
        "expr_smile_left",
        "Smile left",
        "The same on the face's left side alone, the picture's right (strength).",
    ),
    expression(
        Expression::SmileRight,
        "expr_smile_right",
        "Smile right",
        "The same on the face's right side alone, the picture's left (strength).",
    ),
    expression(Expression::Frown, "expr_frown", "Frown", "Corners of the mouth down (strength)."),
    expression(
        Expression::Pucker,
        "expr_pucker",
        "Pucker",
        "Lips narrow and forward, as for a kiss or an oo (strength).",
    ),
    expression(Expression::Wide, "expr_wide", "Wide", "Corners of the mouth apart, as for an ee (strength)."),
    expression(
        Expression::LipsPress,
        "expr_lips_press",
        "Lips press",
        "Rolls both lips in until they are thin (strength).",
    ),
    expression(
        Expression::MouthLeft,
        "expr_mouth_left",
        "Mouth left",
        "Moves the mouth to the face's left, the picture's right; below 0 to the other side (strength).",
    ),
    expression(Expression::Sneer, "expr_sneer", "Sneer", "Raises the upper lip and the nostrils (strength)."),
    expression(Expression::BrowRaise, "expr_brow_raise", "Brow raise", "Both brows up (strength)."),
    expression(
        Expression::BrowRaiseLeft,
        "expr_brow_raise_left",
        "Brow raise left",
        "The left brow up, the one on the picture's right (strength).",
    ),
    expression(
        Expression::BrowRaiseRight,
        "expr_brow_raise_right",
        "Brow raise right",
        "The right brow up, the one on the picture's left (strength).",
    ),
    expression(
        Expression::BrowInnerRaise,
        "expr_brow_inner_raise",
        "Brow inner raise",
        "The inner ends of the brows up, as in worry (strength).",
    ),
    expression(
        Expression::BrowLower,
        "expr_brow_lower",
        "Brow lower",
        "Brows down and together, as in anger or thought (strength).",
    ),
    expression(Expression::EyesWide, "expr_eyes_wide", "Eyes wide", "Lids apart; below 0 the eyes narrow (strength)."),
    expression(
        Expression::BlinkLeft,
        "expr_blink_left",
        "Blink left",
        "Closes the left eye, the one on the picture's right: 1 closes it however far it is open (strength).",
    ),
    expression(
        Expression::BlinkRight,
        "expr_blink_right",
        "Blink right",
        "Closes the right eye, the one on the picture's left: 1 closes it however far it is open (strength).",
    ),
    // Head pose.
    animated(
        Group::HeadPose,
        "yaw_offset",
        "Yaw offset",
        float(0.0, -90.0, 90.0, Unit::Degrees),
        "Turns the head sideways (degrees): above 0 towards the picture's left edge, below 0 towards its right.",
    ),
    animated(
        Group::HeadPose,
        "pitch_offset",
        "Pitch offset",
        float(0.0, -90.0, 90.0, Unit::Degrees),
        "Nods the head (degrees): above 0 down, below 0 up.",
    ),
    animated(
        Group::HeadPose,
        "roll_offset",
        "Roll offset",
        float(0.0, -90.0, 90.0, Unit::Degrees),
        "Tilts the head in the picture's plane (degrees): above 0 counter-clockwise, below 0 clockwise.",
    ),
    animated(
        Group::HeadPose,
        "frontalise",
        "Frontalise",
        float(0.0, 0.0, 1.0, Unit::Share),
        "Turns the head towards the camera (share): 0 leaves it, 1 makes it look straight ahead, before the offsets \
         are added.",
    ),
    // Stabilise.
    stabilise(
        "stabilise_size",
        "Stabilise size",
        "Over about how many frames the driver's head size is smoothed; 0 is off (frames).",
    ),
    stabilise(
        "stabilise_rotation",
        "Stabilise rotation",
        "Over about how many frames the turning of the driver's head is smoothed; 0 is off (frames).",
    ),
    stabilise(
        "stabilise_position",
        "Stabilise position",
        "Over about how many frames the place of the driver's head is smoothed; 0 is off (frames).",
    ),
    stabilise(
        "stabilise_expression",
        "Stabilise expression",
        "Over about how many frames the driver's expression is smoothed; 0 is off, and more than 2 makes speech \
         mumble (frames).",
    ),
    // Adaptation.
    animated(
        Group::Adaptation,
        "adapt_scale",
        "Adapt scale",
        float(1.0, 0.0, 1.0, Unit::Share),
        "Brings the driver's mean head size over the shot to the reference's (share): 0 keeps the driver's, 1 takes \
         the reference's.",
    ),
    animated(
        Group::Adaptation,
        "adapt_position",
        "Adapt position",
        float(1.0, 0.0, 1.0, Unit::Share),
        "Brings the driver's mean head position over the shot to the reference's (share): 0 keeps the driver's, 1 \
         takes the reference's.",
    ),
    fixed(
        Group::Adaptation,
        "smoothing",
        "Smoothing",
        int(15, 0, 60, Unit::Frames),
        "Averages the adapted head size and position over so many frames around each frame; 0 and 1 do not average \
         (frames).",
    ),
    animated(
        Group::Adaptation,
        "identity_mix",
        "Identity mix",
        float(0.0, 0.0, 1.0, Unit::Share),
        "Whose face shape the head has (share): 0 the reference's, 1 the driver's.",
    ),
    // Sound.
    fixed_since(
        "0.2.0",
        Group::Sound,
        "audio_offset",
        "Audio offset",
        float(0.0, -1000.0, 1000.0, Unit::Frames),
        "So much later than it lies under the picture the generator, or the mouth, hears the sound; below 0 earlier. Parts of a frame \
         count (frames).",
    ),
    fixed_since(
        "0.2.0",
        Group::Sound,
        "audio_gain",
        "Audio gain",
        float(0.0, -40.0, 40.0, Unit::Decibels),
        "So much louder the generator takes the sound for; below 0 softer. How loud the file itself is does not matter: \
         at 0 every sound's peak is alike (dB).",
    ),
    fixed_since(
        "0.3.0",
        Group::Sound,
        "mouth_from",
        "Mouth follows",
        Kind::Choice { default: MouthFrom::Driver as usize, options: MouthFrom::OPTIONS },
        "What moves lips and jaw: the driver's, or what is spoken in the sound, as for a translated dialogue. Needs a head with \
         ARKit's shapes and a model pack with lips.",
    ),
    // Faces.
    fixed(
        Group::Faces,
        "face_choice",
        "Face choice",
        Kind::Choice { default: FaceChoice::Largest as usize, options: FaceChoice::OPTIONS },
        "Which face of the driving picture is meant where there are several.",
    ),
    fixed(
        Group::Faces,
        "face_x",
        "Face X",
        float(0.5, 0.0, 1.0, Unit::Width),
        "With Face choice at Nearest to a point: the point, from the left edge (share of the width).",
    ),
    fixed(
        Group::Faces,
        "face_y",
        "Face Y",
        float(0.5, 0.0, 1.0, Unit::Height),
        "With Face choice at Nearest to a point: the point, from the top edge (share of the height).",
    ),
    fixed(
        Group::Faces,
        "face_index",
        "Face number",
        int(0, 0, 99, Unit::Number),
        "With Face choice at By number: the face, counted from the left, from 0 (number).",
    ),
    fixed(
        Group::Faces,
        "reference_frame",
        "Reference frame",
        int(0, 0, 9_999_999, Unit::Frames),
        "The frame of the reference clip that lends its face, counted from 0 (frames).",
    ),
    fixed_since(
        "0.3.0",
        Group::Faces,
        "reference_uses",
        "Reference uses",
        Kind::Choice { default: ReferenceUses::Frame as usize, options: ReferenceUses::OPTIONS },
        "Whether other frames of the reference clip lend what the reference frame hides; with a pack whose head has ARKit's shapes.",
    ),
    // Composite.
    fixed(
        Group::Composite,
        "composite",
        "Composite",
        Kind::Choice { default: Composite::Paste as usize, options: Composite::OPTIONS },
        "Whether the new head goes back into the plate or stands alone.",
    ),
    animated(
        Group::Composite,
        "mask_grow",
        "Mask grow",
        float(45.0, -20.0, 50.0, Unit::PercentOfFace),
        "How far beyond the face mesh the new head covers the plate fully; below 0 the mask shrinks into the face (% \
         of the face's size).",
    ),
    animated(
        Group::Composite,
        "seam_softness",
        "Seam softness",
        float(30.0, 0.0, 50.0, Unit::PercentOfFace),
        "Over which further length the new head fades into the plate; 0 cuts hard (% of the face's size).",
    ),
    fixed(
        Group::Composite,
        "fill_mouth",
        "Fill mouth",
        Kind::Bool { default: true },
        "In Draft quality: paints a made up inside of the mouth where it opens further than in the reference.",
    ),
    fixed_since(
        "0.3.0",
        Group::Composite,
        "background",
        "Background",
        Kind::Choice { default: Background::Still as usize, options: Background::OPTIONS },
        "Whether what is behind the person holds still or moves with the head.",
    ),
    fixed_since(
        "0.3.0",
        Group::Composite,
        "matte_source",
        "Matte source",
        Kind::Choice { default: MatteSource::Automatic as usize, options: MatteSource::OPTIONS },
        "With Background at Holds still: what says which pixels of the reference are the person.",
    ),
    fixed_since(
        "0.3.0",
        Group::Composite,
        "matte_grow",
        "Matte grow",
        float(0.0, -10.0, 10.0, Unit::PercentOfFace),
        "With Background at Holds still: how far beyond its outline the person reaches; below 0 less far (% of the face's size).",
    ),
    fixed_since(
        "0.3.0",
        Group::Composite,
        "matte_softness",
        "Matte softness",
        float(0.0, 0.0, 10.0, Unit::PercentOfFace),
        "With Background at Holds still: how far the person's outline is softened (% of the face's size).",
    ),
    // Output.
    fixed(
        Group::Output,
        "view",
        "View",
        Kind::Choice { default: View::Result as usize, options: View::OPTIONS },
        "Which picture comes out: the result, or one of the steps towards it.",
    ),
    fixed(
        Group::Output,
        "quality",
        "Quality",
        Kind::Choice { default: Quality::Draft as usize, options: Quality::OPTIONS },
        "How the head is made.",
    ),
    fixed(
        Group::Output,
        "device",
        "Device",
        Kind::Choice { default: Device::Auto as usize, options: Device::OPTIONS },
        "What computes. A frame that cannot be computed as asked is an error, never a different look.",
    ),
    // ARKit's shapes.
    arkit(
        "arkit_eye_blink_left",
        "ARKit eye blink left",
        "Adds ARKit's eyeBlinkLeft: the left eye closes; 1 is closed (strength).",
    ),
    arkit(
        "arkit_eye_look_down_left",
        "ARKit eye look down left",
        "Adds ARKit's eyeLookDownLeft: the left eye looks down by 20 degrees, its upper lid follows (strength).",
    ),
    arkit(
        "arkit_eye_look_in_left",
        "ARKit eye look in left",
        "Adds ARKit's eyeLookInLeft: the left eye looks towards the nose by 25 degrees (strength).",
    ),
    arkit(
        "arkit_eye_look_out_left",
        "ARKit eye look out left",
        "Adds ARKit's eyeLookOutLeft: the left eye looks away from the nose by 25 degrees (strength).",
    ),
    arkit(
        "arkit_eye_look_up_left",
        "ARKit eye look up left",
        "Adds ARKit's eyeLookUpLeft: the left eye looks up by 20 degrees, its upper lid follows (strength).",
    ),
    arkit(
        "arkit_eye_squint_left",
        "ARKit eye squint left",
        "Adds ARKit's eyeSquintLeft: the left eye narrows, mostly by its lower lid (strength).",
    ),
    arkit(
        "arkit_eye_wide_left",
        "ARKit eye wide left",
        "Adds ARKit's eyeWideLeft: the left eye's lids part further (strength).",
    ),
    arkit("arkit_eye_blink_right", "ARKit eye blink right", "Adds ARKit's eyeBlinkRight: as on the left (strength)."),
    arkit(
        "arkit_eye_look_down_right",
        "ARKit eye look down right",
        "Adds ARKit's eyeLookDownRight: as on the left (strength).",
    ),
    arkit(
        "arkit_eye_look_in_right",
        "ARKit eye look in right",
        "Adds ARKit's eyeLookInRight: as on the left (strength).",
    ),
    arkit(
        "arkit_eye_look_out_right",
        "ARKit eye look out right",
        "Adds ARKit's eyeLookOutRight: as on the left (strength).",
    ),
    arkit(
        "arkit_eye_look_up_right",
        "ARKit eye look up right",
        "Adds ARKit's eyeLookUpRight: as on the left (strength).",
    ),
    arkit(
        "arkit_eye_squint_right",
        "ARKit eye squint right",
        "Adds ARKit's eyeSquintRight: as on the left (strength).",
    ),
    arkit("arkit_eye_wide_right", "ARKit eye wide right", "Adds ARKit's eyeWideRight: as on the left (strength)."),
    arkit("arkit_jaw_forward", "ARKit jaw forward", "Adds ARKit's jawForward: the lower jaw forward (strength)."),
    arkit("arkit_jaw_right", "ARKit jaw right", "Adds ARKit's jawRight: the lower jaw to the face's right (strength)."),
    arkit("arkit_jaw_left", "ARKit jaw left", "Adds ARKit's jawLeft: the lower jaw to the face's left (strength)."),
    arkit(
        "arkit_jaw_open",
        "ARKit jaw open",
        "Adds ARKit's jawOpen: the lower jaw opens, and the lips part with it (strength).",
    ),
    arkit(
        "arkit_mouth_close",
        "ARKit mouth close",
        "Adds ARKit's mouthClose: the lips meet however the jaw stands: at 1 they meet where jaw open is 1 (strength).",
    ),
    arkit(
        "arkit_mouth_funnel",
        "ARKit mouth funnel",
        "Adds ARKit's mouthFunnel: the lips forward and apart, as an open O (strength).",
    ),
    arkit(
        "arkit_mouth_pucker",
        "ARKit mouth pucker",
        "Adds ARKit's mouthPucker: the lips together, narrow and forward, as for a kiss (strength).",
    ),
    arkit(
        "arkit_mouth_right",
        "ARKit mouth right",
        "Adds ARKit's mouthRight: both lips to the face's right (strength).",
    ),
    arkit("arkit_mouth_left", "ARKit mouth left", "Adds ARKit's mouthLeft: both lips to the face's left (strength)."),
    arkit(
        "arkit_mouth_smile_left",
        "ARKit mouth smile left",
        "Adds ARKit's mouthSmileLeft: the left corner of the mouth up and out (strength).",
    ),
    arkit(
        "arkit_mouth_smile_right",
        "ARKit mouth smile right",
        "Adds ARKit's mouthSmileRight: the right corner of the mouth up and out (strength).",
    ),
    arkit(
        "arkit_mouth_frown_left",
        "ARKit mouth frown left",
        "Adds ARKit's mouthFrownLeft: the left corner of the mouth down (strength).",
    ),
    arkit(
        "arkit_mouth_frown_right",
        "ARKit mouth frown right",
        "Adds ARKit's mouthFrownRight: the right corner of the mouth down (strength).",
    ),
    arkit(
        "arkit_mouth_dimple_left",
        "ARKit mouth dimple left",
        "Adds ARKit's mouthDimpleLeft: the left corner of the mouth back, into the cheek (strength).",
    ),
    arkit(
        "arkit_mouth_dimple_right",
        "ARKit mouth dimple right",
        "Adds ARKit's mouthDimpleRight: the right corner of the mouth back, into the cheek (strength).",
    ),
    arkit(
        "arkit_mouth_stretch_left",
        "ARKit mouth stretch left",
        "Adds ARKit's mouthStretchLeft: the left corner of the mouth out and a little down (strength).",
    ),
    arkit(
        "arkit_mouth_stretch_right",
        "ARKit mouth stretch right",
        "Adds ARKit's mouthStretchRight: the right corner of the mouth out and a little down (strength).",
    ),
    arkit(
        "arkit_mouth_roll_lower",
        "ARKit mouth roll lower",
        "Adds ARKit's mouthRollLower: the lower lip rolls in over the teeth (strength).",
    ),
    arkit(
        "arkit_mouth_roll_upper",
        "ARKit mouth roll upper",
        "Adds ARKit's mouthRollUpper: the upper lip rolls in over the teeth (strength).",
    ),
    arkit(
        "arkit_mouth_shrug_lower",
        "ARKit mouth shrug lower",
        "Adds ARKit's mouthShrugLower: the lower lip and the chin up and out (strength).",
    ),
    arkit(
        "arkit_mouth_shrug_upper",
        "ARKit mouth shrug upper",
        "Adds ARKit's mouthShrugUpper: the upper lip up and out (strength).",
    ),
    arkit(
        "arkit_mouth_press_left",
        "ARKit mouth press left",
        "Adds ARKit's mouthPressLeft: the left half of the lips pressed on each other (strength).",
    ),
    arkit(
        "arkit_mouth_press_right",
        "ARKit mouth press right",
        "Adds ARKit's mouthPressRight: the right half of the lips pressed on each other (strength).",
    ),
    arkit(
        "arkit_mouth_lower_down_left",
        "ARKit mouth lower down left",
        "Adds ARKit's mouthLowerDownLeft: the left half of the lower lip down (strength).",
    ),
    arkit(
        "arkit_mouth_lower_down_right",
        "ARKit mouth lower down right",
        "Adds ARKit's mouthLowerDownRight: the right half of the lower lip down (strength).",
    ),
    arkit(
        "arkit_mouth_upper_up_left",
        "ARKit mouth upper up left",
        "Adds ARKit's mouthUpperUpLeft: the left half of the upper lip up (strength).",
    ),
    arkit(
        "arkit_mouth_upper_up_right",
        "ARKit mouth upper up right",
        "Adds ARKit's mouthUpperUpRight: the right half of the upper lip up (strength).",
    ),
    arkit(
        "arkit_brow_down_left",
        "ARKit brow down left",
        "Adds ARKit's browDownLeft: the left brow down and in (strength).",
    ),
    arkit(
        "arkit_brow_down_right",
        "ARKit brow down right",
        "Adds ARKit's browDownRight: the right brow down and in (strength).",
    ),
    arkit(
        "arkit_brow_inner_up",
        "ARKit brow inner up",
        "Adds ARKit's browInnerUp: the inner ends of both brows up (strength).",
    ),
    arkit(
        "arkit_brow_outer_up_left",
        "ARKit brow outer up left",
        "Adds ARKit's browOuterUpLeft: the outer part of the left brow up (strength).",
    ),
    arkit(
        "arkit_brow_outer_up_right",
        "ARKit brow outer up right",
        "Adds ARKit's browOuterUpRight: the outer part of the right brow up (strength).",
    ),
    arkit("arkit_cheek_puff", "ARKit cheek puff", "Adds ARKit's cheekPuff: both cheeks blown up (strength)."),
    arkit(
        "arkit_cheek_squint_left",
        "ARKit cheek squint left",
        "Adds ARKit's cheekSquintLeft: the left cheek up, towards the eye (strength).",
    ),
    arkit(
        "arkit_cheek_squint_right",
        "ARKit cheek squint right",
        "Adds ARKit's cheekSquintRight: the right cheek up, towards the eye (strength).",
    ),
    arkit(
        "arkit_nose_sneer_left",
        "ARKit nose sneer left",
        "Adds ARKit's noseSneerLeft: the left side of the nose up (strength).",
    ),
    arkit(
        "arkit_nose_sneer_right",
        "ARKit nose sneer right",
        "Adds ARKit's noseSneerRight: the right side of the nose up (strength).",
    ),
    arkit(
        "arkit_tongue_out",
        "ARKit tongue out",
        "Adds ARKit's tongueOut: the tongue out; these models have none, so that nothing moves (strength).",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::morphable::Euler;
    use nalgebra::Vector3;
    use std::collections::HashSet;

    fn snake_case(id: &str) -> bool {
        id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    }

    #[test]
    fn the_tree_is_well_formed() {
        let (mut ids, mut labels) = (HashSet::new(), HashSet::new());
        for (id, _) in RETIRED {
            assert!(ids.insert(*id), "{id} is retired twice");
        }
        for c in CONTROLS {
            assert!(snake_case(c.id), "{}", c.id);
            assert!(ids.insert(c.id), "the id {} was used before", c.id);
            assert!(labels.insert(c.label.to_lowercase()), "the label {} is used twice", c.label);
            assert!(!c.label.contains('-') && !c.label.is_empty(), "{}", c.label);
            assert!(c.hint.ends_with('.') && !c.hint.contains('\n') && !c.hint.contains("  "), "{}", c.id);
            assert!(!c.keyframable || matches!(c.kind, Kind::Float { .. }), "{}: only numbers are keyframed", c.id);
            match c.kind {
                Kind::Float { default, min, max, unit } => {
                    assert!(min < max && (min..=max).contains(&default) && min.is_finite() && max.is_finite());
                    assert!(c.hint.contains(unit.name()), "{}: the hint lacks the unit", c.id);
                }
                Kind::Int { default, min, max, unit } => {
                    assert!(min < max && (min..=max).contains(&default), "{}", c.id);
                    assert!(c.hint.contains(unit.name()), "{}: the hint lacks the unit", c.id);
                }
                Kind::Choice { default, options } => {
                    assert!(default < options.len(), "{}", c.id);
                    let mut names = HashSet::new();
                    for o in options {
                        assert!(snake_case(o.id) && !o.label.contains('-') && o.hint.ends_with('.'), "{}", o.id);
                        // An option is found by id or by label: none may be taken for another.
                        names.insert(o.id);
                        let label = o.label.to_lowercase();
                        assert!(options.iter().all(|p| p.id == o.id || (p.id != label && p.label != o.label)));
                    }
                    assert_eq!(names.len(), options.len(), "{}", c.id);
                }
                Kind::Bool { .. } | Kind::Text { .. } => {}
            }
        }
    }

    #[test]
    fn groups_are_complete_and_in_order() {
        let listed: Vec<&str> = Group::ALL.iter().flat_map(|g| g.controls()).map(|c| c.id).collect();
        let ids: Vec<&str> = CONTROLS.iter().map(|c| c.id).collect();
        assert_eq!(listed, ids);
        for g in Group::ALL {
            assert!(find(g.id()).is_none(), "{}: a host needs one name space for groups and controls", g.id());
            assert!(g.controls().next().is_some() && !g.label().contains('-') && g.hint().ends_with('.'));
        }
    }

    #[test]
    fn expressions_are_the_rigs() {
        let ids: Vec<String> = Expression::ALL.iter().map(|e| format!("expr_{}", e.id())).collect();
        let listed: Vec<&str> =
            Group::Expression.controls().map(|c| c.id).filter(|id| id.starts_with("expr_")).collect();
        assert_eq!(listed, ids);
        for (c, e) in Group::Expression.controls().filter(|c| c.id.starts_with("expr_")).zip(Expression::ALL) {
            let (min, max) = e.range();
            assert_eq!(c.kind, Kind::Float { default: 0.0, min, max, unit: Unit::Strength }, "{}", c.id);
        }
        for r in crate::morphable::Region::ALL {
            assert!(find(&format!("region_{}", r.id())).is_some());
        }
    }

    #[test]
    fn arkit_shapes_are_the_heads() {
        let listed: Vec<&str> = Group::Arkit.controls().map(|c| c.id).collect();
        let snake = |name: &str| {
            name.chars().fold(String::from("arkit_"), |id, c| match c.is_ascii_uppercase() {
                true => id + "_" + &c.to_ascii_lowercase().to_string(),
                false => id + &c.to_string(),
            })
        };
        let wanted: Vec<String> = crate::morphable::ArkitShape::ALL.iter().map(|s| snake(s.name())).collect();
        assert_eq!(listed, wanted);
    }

    /// The directions that the hints of the offsets promise, against the model's angles (y up, z to the viewer).
    #[test]
    fn offsets_turn_the_way_they_say() {
        let turned = |yaw, pitch, roll, v: Vector3<f32>| Euler { yaw, pitch, roll }.rotation() * v;
        assert!(turned(20.0, 0.0, 0.0, Vector3::z()).x < -0.3, "yaw: the nose goes to the picture's left");
        assert!(turned(0.0, 20.0, 0.0, Vector3::z()).y < -0.3, "pitch: the nose goes down");
        assert!(turned(0.0, 0.0, 20.0, Vector3::x()).y > 0.3, "roll: counter-clockwise");
    }
}
