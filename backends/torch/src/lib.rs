//! HeadGAN Reenact's networks on libtorch (`tch`): CUDA and CPU.
//!
//! [`Torch`] runs every network of the library, for inference and for training. The library that the program loads exports
//! what [`abi`] defines: a generator at work ([`session`]) behind the interface of [`headgan::engine::library`].

pub mod abi;
pub mod devices;
pub mod ops;
pub mod pncc;
pub mod session;
pub mod stream;

pub use ops::{Shared, Torch};
