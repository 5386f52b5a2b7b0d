//! The errors of the library. The category is the contract (it decides the exit code); the text is
//! one line that says what is wrong, where, and what to do. The text knows no program: what to do in
//! the words of a command line or of a panel is the [`Advice`] that the program puts into words.

use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Result of every fallible call of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, by what the user has to do about it. More categories may come.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The command or a control's value is wrong. Exit code 2.
    #[error(transparent)]
    Usage(Message),
    /// A file or clip cannot be used. Exit code 3.
    #[error(transparent)]
    Input(Message),
    /// A model pack or weights file is missing, damaged or of the wrong shape. Exit code 4.
    #[error(transparent)]
    Model(Message),
    /// There is no face where one is needed. Exit code 5.
    #[error(transparent)]
    NoFace(Message),
    /// An engine cannot run the network (no memory, no device). Exit code 6.
    #[error(transparent)]
    Engine(Message),
    /// The user pressed Ctrl-C. Exit code 130.
    #[error("interrupted")]
    Interrupted,
}

/// The text of an error, the error below it, and the advice that goes with it. It reads as a `str`.
#[derive(Debug, Clone)]
pub struct Message {
    text: String,
    // Shared, as errors of files cannot be cloned.
    source: Option<Arc<dyn StdError + Send + Sync>>,
    advice: Option<Advice>,
}

/// What the user can do about an error, for a program to say in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Import a pack of this kind.
    ImportModel(String),
    /// Look at what the pack holds.
    CheckPack,
    /// Choose another pack.
    ChoosePack,
    /// Choose another generator.
    ChooseGenerator,
    /// Import a generator, or choose quality `draft`.
    ChooseDraft,
    /// Choose another precision, or another device.
    ChooseDevice,
    /// Give another sound, or none.
    ChooseSound,
    /// Give the file as the sound.
    GiveAsSound,
    /// Name another folder as cache, or use none.
    ChooseCache,
    /// Make a motion file of the clip.
    MakeMotion,
    /// Look at the presets there are.
    ListPresets,
    /// Look at the controls there are.
    ListControls,
    /// Give this control one value.
    SetControl(String),
    /// Name the file itself, not its folder.
    NameFile,
}

impl Error {
    /// An [`Error::Usage`] of this text.
    pub fn usage(text: impl Into<Message>) -> Error {
        Error::Usage(text.into())
    }

    /// An [`Error::Input`] of this text.
    pub fn input(text: impl Into<Message>) -> Error {
        Error::Input(text.into())
    }

    /// An [`Error::Model`] of this text.
    pub fn model(text: impl Into<Message>) -> Error {
        Error::Model(text.into())
    }

    /// An [`Error::NoFace`] of this text.
    pub fn no_face(text: impl Into<Message>) -> Error {
        Error::NoFace(text.into())
    }

    /// An [`Error::Engine`] of this text.
    pub fn engine(text: impl Into<Message>) -> Error {
        Error::Engine(text.into())
    }

    /// The same error with the error that it comes from. The text stays: it says already what the source says.
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Error {
        if let Some(message) = self.message_mut() {
            message.source = Some(Arc::new(source));
        }
        self
    }

    /// The same error with advice for the user.
    pub fn with_advice(mut self, advice: Advice) -> Error {
        if let Some(message) = self.message_mut() {
            message.advice = Some(advice);
        }
        self
    }

    /// The same error with another text; category, source and advice stay.
    pub fn map_text(mut self, text: impl FnOnce(&str) -> String) -> Error {
        if let Some(message) = self.message_mut() {
            message.text = text(&message.text);
        }
        self
    }

    /// What the user can do about it.
    pub fn advice(&self) -> Option<&Advice> {
        self.message().and_then(|m| m.advice.as_ref())
    }

    /// Text, source and advice; an interruption has none.
    pub fn message(&self) -> Option<&Message> {
        match self {
            Error::Usage(m) | Error::Input(m) | Error::Model(m) | Error::NoFace(m) | Error::Engine(m) => Some(m),
            Error::Interrupted => None,
        }
    }

    fn message_mut(&mut self) -> Option<&mut Message> {
        match self {
            Error::Usage(m) | Error::Input(m) | Error::Model(m) | Error::NoFace(m) | Error::Engine(m) => Some(m),
            Error::Interrupted => None,
        }
    }

    /// The process exit code of this category (docs/USER_GUIDE.md).
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Input(_) => 3,
            Error::Model(_) => 4,
            Error::NoFace(_) => 5,
            Error::Engine(_) => 6,
            Error::Interrupted => 130,
        }
    }
}

impl Message {
    /// The same message with another text; source and advice stay.
    pub fn map(mut self, text: impl FnOnce(&str) -> String) -> Message {
        self.text = text(&self.text);
        self
    }
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message { text, source: None, advice: None }
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        text.to_owned().into()
    }
}

impl Deref for Message {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Message {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_and_the_advice_stay_under_another_text() {
        let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let error = Error::input("a.png: disk full").with_source(io).with_advice(Advice::CheckPack);
        let told = error.clone().map_text(|t| format!("frame 3: {t}"));
        assert_eq!(told.to_string(), "frame 3: a.png: disk full");
        let Error::Input(message) = told else { panic!("another category") };
        let model = Error::Model(message.map(|t| format!("pack: {t}")));
        assert_eq!(model.to_string(), "pack: frame 3: a.png: disk full");
        assert_eq!(model.advice(), Some(&Advice::CheckPack));
        let source = model.source().and_then(|e| e.downcast_ref::<std::io::Error>()).unwrap();
        assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
        assert!(Error::usage("x").source().is_none() && Error::Interrupted.source().is_none());
        assert_eq!(Error::Interrupted.with_advice(Advice::CheckPack).to_string(), "interrupted");
    }
}
