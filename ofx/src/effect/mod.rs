//! The effect: its parameters are the library's controls, its frames those of the library's shots. Pointers of a host belong in `host`,
//! mathematics in the library.

pub mod advice;
pub mod analyse;
pub mod changed;
pub mod clip_image;
pub mod colour;
pub mod describe;
pub mod driving;
pub mod frame_rate;
pub mod listening;
pub mod params;
pub mod queries;
pub mod recording;
pub mod reference;
pub mod render;
pub mod shared;
pub mod sound;
pub mod status;
pub mod values;

use std::ffi::CStr;

/// Stands in every project that uses the effect: never to change.
pub const IDENTIFIER: &CStr = c"org.headgan.HeadGANReenact";
/// As hosts show it.
pub const LABEL: &str = "HeadGAN Reenact";
/// The menu that it stands in.
pub const GROUPING: &str = "HeadGAN";
/// Who performs.
pub const SOURCE: &CStr = c"Source";
/// Whose face it is.
pub const REFERENCE: &CStr = c"Reference";
/// What comes out.
pub const OUTPUT: &CStr = c"Output";
