//! What a case finds.

use std::fmt;

/// Why a connector does not pass a case.
#[derive(Debug)]
pub enum Finding {
    /// It breaks the protocol, or a promise of its level.
    Broken(String),
    /// The case asks for what this connector does not have.
    NotApplicable(String),
}

/// What comes of a case, or of a part of it.
pub type Verdict<T = ()> = Result<T, Finding>;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(what) | Self::NotApplicable(what) => f.write_str(what),
        }
    }
}

/// The connector did something wrong.
pub fn broken<T>(what: impl Into<String>) -> Verdict<T> {
    Err(Finding::Broken(what.into()))
}

/// Holds, or is broken.
pub fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { broken(what()) }
}
