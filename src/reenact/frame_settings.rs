//! What the controls say about one frame, in the terms of the renderer.

use super::acting::Acting;
use super::draft::DraftSettings;
use crate::controls::Settings;
use crate::controls::choices::{Background, Composite, MouthFrom, Quality, View};
use crate::morphable::retarget::RetargetSettings;
use crate::morphable::{Euler, RigSettings};

/// Everything that may change from frame to frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FrameSettings {
    /// Whether a generator paints.
    pub quality: Quality,
    /// What is delivered.
    pub view: View,
    /// How the driver's motion becomes the reference's.
    pub retarget: RetargetSettings,
    /// Region weights and named expressions.
    pub rig: RigSettings,
    /// Gaze, blinks and ARKit's shapes.
    pub acting: Acting,
    /// Degrees added to the pose.
    pub turn: Euler,
    /// 0 the pose as it is, 1 facing the camera.
    pub frontalise: f32,
    /// 0 the reference's identity, 1 the driver's.
    pub identity_mix: f32,
    /// The mask's growth and softness.
    pub mask: DraftSettings,
    /// Frames by which the audio is delayed for the generator and the mouth.
    pub audio_offset: f32,
    /// What moves the mouth.
    pub mouth_from: MouthFrom,
}

impl Default for FrameSettings {
    fn default() -> FrameSettings {
        FrameSettings {
            quality: Quality::Draft,
            view: View::Result,
            retarget: RetargetSettings::default(),
            rig: RigSettings::default(),
            acting: Acting::default(),
            turn: Euler::default(),
            frontalise: 0.0,
            identity_mix: 0.0,
            mask: DraftSettings::default(),
            audio_offset: 0.0,
            mouth_from: MouthFrom::Driver,
        }
    }
}

impl FrameSettings {
    /// What the controls say; `same` when reference and driver are the same shot, which is then not adapted.
    pub fn from_controls(controls: &Settings, same: bool) -> FrameSettings {
        // The crop alone is what the crop's view shows.
        let crop = controls.view == View::Result && controls.composite == Composite::Crop;
        FrameSettings {
            quality: controls.quality,
            view: if crop { View::Crop } else { controls.view },
            retarget: RetargetSettings {
                self_reenactment: same,
                adapt_scale: controls.adapt_scale,
                adapt_position: controls.adapt_position,
                smoothing: controls.smoothing,
                relative_expression: controls.relative_expression,
                motion: controls.motion_strength * controls.region_head,
                pose: controls.pose_strength * controls.region_head,
                expression: controls.expression_strength,
                ..RetargetSettings::default()
            },
            rig: controls.rig(),
            acting: Acting {
                gaze: controls.region_gaze,
                camera: controls.look_at_camera,
                turn: [controls.gaze_yaw_offset, controls.gaze_pitch_offset],
                blink: controls.blink_strength,
                shapes: controls.arkit.0,
                replace: controls.rig().replace,
            },
            turn: Euler { yaw: controls.yaw_offset, pitch: controls.pitch_offset, roll: controls.roll_offset },
            frontalise: controls.frontalise,
            identity_mix: controls.identity_mix,
            mask: DraftSettings {
                grow: 0.01 * controls.mask_grow,
                softness: 0.01 * controls.seam_softness,
                cover_reference: true,
                fill_mouth: controls.fill_mouth,
                still_background: controls.background == Background::Still,
            },
            audio_offset: controls.audio_offset,
            mouth_from: controls.mouth_from,
        }
    }
}

impl FrameSettings {
    /// The keyframable controls that a frame's camera depends on (see [`Shot::input_frames`](super::shot::Shot::input_frames)).
    pub const CAMERA_CONTROLS: [&str; 9] = [
        "motion_strength",
        "pose_strength",
        "region_head",
        "adapt_scale",
        "adapt_position",
        "yaw_offset",
        "pitch_offset",
        "roll_offset",
        "frontalise",
    ];

    /// Whether the result is the reference's picture, untouched, whatever the driver does.
    pub fn is_still(&self) -> bool {
        let r = &self.retarget;
        let turned = self.turn != Euler::default() || self.frontalise != 0.0 || self.identity_mix != 0.0;
        let plain = self.quality == Quality::Draft && self.view == View::Result;
        // With no expression regions have nothing to weigh.
        let still = r.motion == 0.0 && r.pose == 0.0 && r.expression == 0.0 && !r.self_reenactment;
        plain
            && still
            && self.mouth_from == MouthFrom::Driver
            && !turned
            && self.rig.expressions.iter().all(|e| *e == 0.0)
            && !self.rig.replace
            && self.acting.is_default()
    }
}
