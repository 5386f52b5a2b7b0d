//! What a drawn person and the picture around look like.

#![allow(missing_docs, reason = "the fields are named after what they colour, r g b from 0 to 1")]

/// The cut of the hair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HairStyle {
    Shaved,
    Short,
    /// To the chin.
    Bob,
}

/// What a person and the picture around look like. Colours are linear light.
#[derive(Debug, Clone, PartialEq)]
pub struct Appearance {
    pub skin: [f32; 3],
    pub lips: [f32; 3],
    pub brows: [f32; 3],
    /// How strong the brows are, 0..1.
    pub brow_weight: f32,
    pub hair: [f32; 3],
    pub style: HairStyle,
    pub iris: [f32; 3],
    pub cloth: [f32; 3],
    /// Width of the neck: 1 is a man's.
    pub neck: f32,
    /// Shadow of a beard, 0..1.
    pub beard: f32,
    pub freckles: f32,
    /// Direction towards the main light: x right, y down, z towards the viewer; any length.
    pub key_direction: [f32; 3],
    pub key: [f32; 3],
    pub fill_direction: [f32; 3],
    pub fill: [f32; 3],
    pub ambient: [f32; 3],
    /// Top and bottom of the background.
    pub background: [[f32; 3]; 2],
    pub seed: u32,
}

impl Appearance {
    /// The demo's reference: auburn bob, warm light from the left.
    pub fn reference() -> Appearance {
        Appearance {
            skin: [0.60, 0.355, 0.245],
            lips: [0.50, 0.125, 0.115],
            brows: [0.065, 0.034, 0.022],
            brow_weight: 0.8,
            hair: [0.075, 0.027, 0.013],
            style: HairStyle::Bob,
            iris: [0.10, 0.22, 0.16],
            cloth: [0.045, 0.16, 0.20],
            neck: 0.84,
            beard: 0.0,
            freckles: 0.35,
            key_direction: [-0.55, -0.55, 0.75],
            key: [1.75, 1.62, 1.45],
            fill_direction: [0.8, -0.1, 0.6],
            fill: [0.30, 0.36, 0.46],
            ambient: [0.27, 0.27, 0.29],
            background: [[0.30, 0.36, 0.38], [0.12, 0.15, 0.17]],
            seed: 11,
        }
    }

    /// The demo's driver: short brown hair, darker skin, cool light from the right.
    pub fn driving() -> Appearance {
        Appearance {
            skin: [0.35, 0.185, 0.115],
            lips: [0.28, 0.095, 0.075],
            brows: [0.045, 0.028, 0.018],
            brow_weight: 1.0,
            hair: [0.070, 0.047, 0.030],
            style: HairStyle::Short,
            iris: [0.085, 0.045, 0.020],
            cloth: [0.34, 0.30, 0.24],
            neck: 1.06,
            beard: 0.45,
            freckles: 0.0,
            key_direction: [0.6, -0.5, 0.7],
            key: [1.65, 1.65, 1.72],
            fill_direction: [-0.8, 0.0, 0.6],
            fill: [0.50, 0.42, 0.34],
            ambient: [0.30, 0.30, 0.32],
            background: [[0.20, 0.17, 0.22], [0.36, 0.27, 0.20]],
            seed: 5,
        }
    }
}
