//! Trains the project's own network of dense points ([`headgan::nets::dense_points`]) and its finder
//! ([`headgan::nets::dense_finder`]), from random weights.
//!
//! They learn from what another pack's networks say of clips, once ([`label`]), and from drawn heads, whose points are known ([`faces`]).

pub mod cells;
pub mod export;
pub mod faces;
pub mod label;
pub mod measure;
pub mod points;
pub mod run;
