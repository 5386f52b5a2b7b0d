//! Weights at rest: named arrays in memory, and the files that hold them.
//!
//! [`mod@array`] holds the arrays that every reader returns and every network takes. [`safetensors`] reads and writes this project's own
//! files. [`torch`] (over [`pickle`]), [`numpy`] and [`mat`] read upstream files; nothing in a file is executed, and a damaged file can
//! make a reader allocate only a bounded amount. [`spectral`] folds spectral norm into the layers.
//!
//! [`crate::models`] defines packs, [`crate::import`] makes packs from upstream files.

pub mod array;
pub mod element;
pub mod mat;
pub mod numpy;
pub mod pickle;
pub mod safetensors;
pub mod spectral;
pub mod torch;

pub use array::{Array, Data, Weights};
