//! Window generators: the networks that paint eyes and mouth.

pub mod adapt;
pub mod blind;
pub mod export;
pub mod features;
pub mod prepare;
pub mod run;
pub mod select;
pub mod store;
pub mod trainer;
