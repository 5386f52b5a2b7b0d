//! Model packs: manifest, search path, import of upstream files, verification.

pub mod spectral;
pub mod verify;
pub mod weights;

pub use weights::{Array, Data, Weights};
