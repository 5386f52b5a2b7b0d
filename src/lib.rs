//! HeadGAN Reenact: the library behind the OpenFX plugin, the command line and the trainer.
//!
//! One face performs what another face performs: [`face`] finds it and fits a [`morphable`] model to it,
//! [`pncc`] renders the fit, [`reenact`] makes the picture. See docs/ARCHITECTURE.md.
//!
//! A drawn portrait performs what another drawn head performs; no files, no models:
//!
//! ```
//! use headgan::morphable::PreparedMorphable;
//! use headgan::reenact::draft::DraftModel;
//! use headgan::reenact::{FrameSettings, Scratch, Shot};
//! use headgan::shot::{Head, Motion, Track, TrackSettings};
//! use headgan::synthetic;
//! use std::sync::Arc;
//!
//! # fn main() -> headgan::Result<()> {
//! let (portrait, fit) = synthetic::demo_reference(96)?;
//! let driving = synthetic::demo_driving(96, 2)?.collect::<headgan::Result<Vec<_>>>()?;
//!
//! let motion = Motion::from_fits(driving.iter().map(|(_, fit)| fit), (96, 96), "drawn");
//! let model = Arc::new(PreparedMorphable::new(synthetic::head())?);
//! let head = model.model();
//! let track = Track::new(&motion, &Head::from_model(head), &TrackSettings::default())?;
//! let draft = Arc::new(DraftModel::new(&head.triangles, &head.ncc, &head.landmarks)?);
//! let shot = Shot::with_model(model.clone(), draft, portrait, &fit, track, None)?;
//! let mut scratch = Scratch::default();
//! for i in 0..shot.len() {
//!     let frame = shot.render(i, &|_| FrameSettings::default(), &mut scratch)?;
//!     assert_eq!((frame.width, frame.height), (96, 96));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! With pictures and clips of one's own: `examples/reenact.rs`. With a program around it: [`reenact::RenderContext`].
//!
//! # The modules, in the order in which a frame passes
//!
//! | module | what |
//! |---|---|
//! | [`media`] | pictures, sequences and videos in and out |
//! | [`frame`] | a picture in memory: colour, resampling, compositing |
//! | [`face`] | detects faces, chooses one, fits it |
//! | [`morphable`] | the 3D model of the fit: pose, mesh, retargeting, named expressions |
//! | [`shot`] | a clip analysed once, as a motion, and made ready to drive |
//! | [`audio`] | sound, and the audio values that a generator takes |
//! | [`controls`] | what a user can set, as the settings of one frame |
//! | [`pncc`] | the rasteriser: what the mesh shows, pixel by pixel |
//! | [`reenact`] | a reference, a track and settings in, a picture out |
//! | [`evaluate`], [`report`] | how good the result is, and a page that shows it |
//!
//! Below them:
//!
//! | module | what |
//! |---|---|
//! | [`nets`] | every network, defined once |
//! | [`engine`] | what computes networks |
//! | [`models`], [`weights`] | model packs, and the arrays and files in them |
//! | [`error`], [`key`], [`lru`], [`paths`], [`random`] | errors, content keys, a small cache, folders, seeded random numbers |
//!
//! Beside them: [`import`] makes model packs of upstream files, [`synthetic`] draws a head with a performance and sound.
//!
//! Conventions everywhere: image x to the right, y down, pixel centres at integers; colours are
//! f32 RGBA, straight alpha, nominal range 0..1.
//!
//! # Features
//!
//! `cli` (default): what only the programs need. A library user turns it off with `default-features = false`.

#![warn(missing_docs)]
// Whoever calls the library gets an error, not a panic.
#![cfg_attr(not(test), warn(clippy::unwrap_used))]

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
#[allow(clippy::unwrap_used, reason = "tests may panic")]
pub mod testing;

pub use cancel::CancelToken;
pub use error::{Error, Result};
