//! The network from sound to lips ([`headgan::nets::sound_lips`]): clips of people who speak become spectra and the shapes of their mouths
//! ([`prepare`], [`store`]); a run learns from windows of them ([`sample`], [`trainer`], [`run`]); [`measure`] says how far the gap of the lips
//! follows; [`export`] makes a pack.

pub mod export;
pub mod measure;
pub mod prepare;
pub mod run;
pub mod sample;
pub mod store;
pub mod trainer;
