//! What a host offers, wrapped so that the effect needs no pointer of it. Suites are fetched once, when the plugin is
//! loaded, and only used where they are there; everything else of a host's lives no longer than the action that it came
//! with.

pub mod cuda;
pub mod effect;
pub mod image;
pub mod message;
pub mod params;
pub mod progress;
pub mod properties;
mod suites;
pub mod threads;
pub mod timeline;

pub use effect::{Clip, Effect};
pub use image::Image;
pub use params::{Param, Params};
pub use progress::Progress;
pub use properties::Properties;
pub use suites::Host;
pub(crate) use suites::c_string;
