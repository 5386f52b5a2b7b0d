//! The rasteriser: mesh to PNCC, mask, depth, normals and per-pixel correspondence.
//!
//! This module reads a mesh pixel by pixel. [`crate::morphable`] makes the mesh, [`crate::reenact`] handles the colours of a picture.
//!
//! [`Rasterizer::render`] computes once which triangle each pixel shows, and which point of it; everything else is
//! computed from the [`Rendered`] result on demand.

pub mod correspondence;
mod lanes;
pub mod raster;
pub mod rendered;

pub use correspondence::{Reference, SourceMap};
pub use raster::Rasterizer;
pub use rendered::{DepthMap, Hit, PixelRect, Rendered};
