//! The token that is presented with every call.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long a token is used before its file is read again. Those who rotate
/// tokens replace them minutes before they expire.
const FRESH: Duration = Duration::from_secs(10);

/// A token in a file that may be replaced at any time.
#[derive(Debug)]
pub(crate) struct TokenFile {
    path: PathBuf,
    cached: Mutex<Option<(Instant, String)>>,
}

impl TokenFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, cached: Mutex::new(None) }
    }

    /// The token, at most ten seconds old. While the file cannot be read, the last
    /// one is used, and an empty one before the first.
    pub(crate) fn current(&self) -> String {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, token)) = &*cached
            && read.elapsed() < FRESH
        {
            return token.clone();
        }
        match std::fs::read_to_string(&self.path) {
            Ok(token) => {
                let token = token.trim().to_owned();
                *cached = Some((Instant::now(), token.clone()));
                token
            }
            Err(error) => {
                tracing::warn!(path = %self.path.display(), %error, "the token file cannot be read");
                cached.as_ref().map(|(_, token)| token.clone()).unwrap_or_default()
            }
        }
    }
}
