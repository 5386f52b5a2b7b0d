//! The rasteriser: mesh to PNCC, mask, depth, normals and per-pixel correspondence.
