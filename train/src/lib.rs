//! Trains HeadGAN generators on libtorch: data sets from folders of clips, the losses of the paper, checkpoints that
//! resume exactly. See docs/TRAINING.md.
//!
//! Networks are those of [`headgan::nets`], run by [`headgan_torch::Torch`] over the trained weights; nothing is
//! defined twice.

pub mod adam;
pub mod affine;
pub mod batch_norm;
pub mod checkpoint;
pub mod config;
pub mod ctc;
pub mod data;
pub mod dense;
pub mod detector;
pub mod export;
pub mod html_report;
// The same as the program's: the library itself has no business with Ctrl-C.
#[path = "../../src/bin/headgan/interrupt.rs"]
pub mod interrupt;
pub mod lids;
pub mod lips;
pub mod losses;
pub mod morphable;
pub mod pack_copy;
pub mod perceptual;
pub mod prefetch;
pub mod regressor;
pub mod run;
pub mod spectral_weights;
pub mod speech;
pub mod trainer;
pub mod validate;
pub mod vgg;
pub mod voxceleb2;
pub mod windows;

pub use config::TrainConfig;
pub use trainer::Trainer;
