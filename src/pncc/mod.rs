//! The rasteriser: mesh to PNCC, mask, depth, normals and per-pixel correspondence.
//!
//! Here belongs what reads a mesh pixel by pixel. Making the mesh belongs into [`crate::morphable`], colours of a picture
//! into [`crate::reenact`].
//!
//! [`Rasterizer::render`] decides once which triangle each pixel shows, and where on it; everything else is
//! read from the [`Rendered`] result as far as it is asked for.

pub mod correspondence;
mod lanes;
pub mod raster;
pub mod rendered;

pub use correspondence::{Reference, SourceMap};
pub use raster::Rasterizer;
pub use rendered::{DepthMap, Hit, PixelRect, Rendered};
