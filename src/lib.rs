//! HeadGAN Reenact: the library behind the OpenFX plugin, the command line and the trainer.
//!
//! One face performs what another face performs: [`face`] finds it, [`morphable`] fits 3DDFA-V2,
//! [`pncc`] renders the fit, [`reenact`] turns it into a picture. See docs/ARCHITECTURE.md.
//!
//! Conventions everywhere: image x to the right, y down, pixel centres at integers; colours are
//! f32 RGBA, straight alpha, nominal range 0..1.

pub mod audio;
mod cancel;
pub mod controls;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod face;
pub mod frame;
pub mod import;
pub mod key;
pub mod lru;
pub mod media;
pub mod models;
pub mod morphable;
pub mod nets;
pub mod paths;
pub mod pncc;
pub mod random;
pub mod reenact;
pub mod report;
pub mod shot;
pub mod synthetic;
mod text;
pub mod weights;

#[doc(hidden)]
pub mod testing;

pub use cancel::CancelToken;
pub use error::{Error, Result};
