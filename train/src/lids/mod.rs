//! Trains the second look of the procedural head's regressor ([`headgan::nets::lids`]): how far each eye is closed.
//!
//! Its input depends on what the first look says, so it is taught with a regressor's own fits: [`examples`] makes
//! them of drawn heads, whose lids are known, and of people's frames, whose eyes are taken to be open.

pub mod examples;
pub mod export;
pub mod lashes;
pub mod run;
pub mod trainer;
