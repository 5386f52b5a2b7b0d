//! Model packs: manifest, search path, import of upstream files, verification.

pub mod element;
pub mod file;
pub mod fitting;
pub mod import;
pub mod mat;
mod morphable;
pub mod numpy;
pub mod pack;
pub mod pickle;
pub mod spectral;
pub mod torch;
pub mod verify;
pub mod weights;

pub use import::import;
pub use morphable::{morphable_from, morphable_weights};
pub use pack::{Check, Component, ModelSet, Pack, Role, default_check, user_folder};
pub use weights::{Array, Data, Weights};
