//! Safe wrappers of what a host offers: the effect handles no pointer of the host. Suites are fetched once, when the plugin is
//! loaded, and a suite that is missing is not used. Every other object of the host lives no longer than the action that it
//! came with.

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
