//! The errors of the library. The category is the contract (it decides the exit code); the text is
//! one line that says what is wrong, where, and what to do.

/// Result of every fallible call of the library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error, by what the user has to do about it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The command or a control's value is wrong. Exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A file or clip cannot be used. Exit code 3.
    #[error("{0}")]
    Input(String),
    /// A model pack or weights file is missing, damaged or of the wrong shape. Exit code 4.
    #[error("{0}")]
    Model(String),
    /// There is no face where one is needed. Exit code 5.
    #[error("{0}")]
    NoFace(String),
    /// An engine cannot run the network (no memory, no device). Exit code 6.
    #[error("{0}")]
    Engine(String),
    /// The user pressed Ctrl-C. Exit code 130.
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// The process exit code of this category (design section 8).
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
