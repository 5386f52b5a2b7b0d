//! Weights at rest: named arrays in memory, and the files that hold them.
//!
//! [`mod@array`]: what every reader gives and every network takes. [`safetensors`]: this project's own files. [`torch`] (over [`pickle`]),
//! [`numpy`] and [`mat`] read upstream's; nothing in a file is executed, and what a damaged one can make a reader allocate is bounded.
//! [`spectral`] folds spectral norm into the layers.
//!
//! What a pack is stands in [`crate::models`], which upstream file becomes which pack in [`crate::import`].

pub mod array;
pub mod element;
pub mod mat;
pub mod numpy;
pub mod pickle;
pub mod safetensors;
pub mod spectral;
pub mod torch;

pub use array::{Array, Data, Weights};
