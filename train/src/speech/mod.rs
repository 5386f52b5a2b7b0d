//! Trains acoustic models: [`deepspeech2`](headgan::nets::deepspeech2), small, on transcribed speech.
//!
//! * [`data`]: folders of sounds with what they say; [`batches`]: what a step learns from.
//! * [`synthesis`]: such a folder made with [`espeak`], of sentences of [`words`], with the [`letters`]' times.
//! * [`config`], [`trainer`], [`run`]: one step, and a run of them with checkpoints.
//! * [`measure`]: how much of what is held out a model hears, and when; [`export`]: a run as a model pack.

pub mod batches;
pub mod config;
pub mod data;
pub mod espeak;
pub mod export;
pub mod letters;
pub mod measure;
pub mod run;
pub mod synthesis;
pub mod trainer;
pub mod words;

pub use config::SpeechConfig;
