//! Draft reenactment: the reference picture warped by the motion of its mesh, without any network.
//!
//! This module holds the warp. The folder above decides what a frame shows (settings, views, the generator's picture).
//!
//! Inside the face the two meshes say where each pixel comes from. Around it a membrane carries that motion into hair,
//! neck and background, held by the head's rigid motion at the hair and by rest far away and at the picture's border. Where a matte says
//! what the person is, only the person moves, over a plate that is filled behind.
//! Surface that the reference hides takes its colours from the face's other side; an opened mouth gets an inside; eyes whose lids or irises move are put
//! together anew.
//!
//! [`DraftModel`] is made once per model, [`DraftShot`] once per reference picture; [`DraftShot::render`] runs per frame.

mod bank;
mod eyes;
mod field;
mod fill;
mod guided;
mod iris;
mod layers;
mod mask;
mod model;
mod motion;
mod mouth;
mod outline;
mod raster;
mod render;
mod sample;
mod shot;
#[cfg(test)]
mod tests;
mod texture;

pub use bank::BankPicture;
pub(super) use guided::{Guided, box_mean};
pub(super) use layers::opaque_rect;
pub use model::DraftModel;
pub use render::{DraftOutput, DraftScratch, DraftSettings};
pub use sample::bicubic;
pub(super) use sample::step;
pub use shot::DraftShot;
