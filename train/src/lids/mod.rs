//! Trains the second look of the procedural head's regressor ([`headgan::nets::lids`]): how far each eye is closed.
//!
//! Its input depends on what the first look says, so it is taught with a regressor's own fits of drawn heads ([`examples`]), whose lids are
//! known; [`lashes`] are painted on them. Frames of people, taken to be open but for a few, made the network blind: it learned that people's
//! eyes are open.

pub mod examples;
pub mod export;
pub mod lashes;
pub mod run;
pub mod trainer;
