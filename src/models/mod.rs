//! Model packs: manifest, search path, import of upstream files, verification.

pub mod element;
pub mod file;
pub mod mat;
pub mod numpy;
pub mod pickle;
pub mod torch;
pub mod weights;

pub use weights::{Array, Data, Weights};
