//! Trains the regressor of the procedural head: from a crop of a face to camera, identity and expression, from scratch.
//!
//! It learns from drawn heads ([`heads`]), whose parameters are known, and from frames of a prepared data set, whose
//! fits are brought onto the head ([`labels`]). Both become a [`Sample`]; [`view`] crops it as a detector or a
//! tracker would, and augments the crops. The network is [`headgan::nets::mobilenet`].

pub mod export;
pub mod heads;
pub mod labels;
pub mod measure;
pub mod run;
pub mod sample;
pub mod trainer;
pub mod view;

pub use sample::Sample;
