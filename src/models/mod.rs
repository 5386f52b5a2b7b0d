//! Model packs: manifest, search path, import of upstream files, verification.

<<<<<<< HEAD
pub mod element;
pub mod file;
pub mod mat;
pub mod numpy;
pub mod pickle;
pub mod torch;
=======
pub mod spectral;
pub mod verify;
>>>>>>> main
pub mod weights;

pub use weights::{Array, Data, Weights};
