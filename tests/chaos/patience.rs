//! A sidecar may be dead, stopped or slow for a while; one that takes a connection and
//! never answers is a defect, and ends the connector that meets it.

use std::{fmt, time::Duration};

use anyhow::Context as _;
use tonic::Streaming;

/// Longer than any fault lasts.
const PATIENCE: Duration = Duration::from_secs(10);

/// hyper 1.x loses a call, once in some ten thousand, whose connection is closed by its
/// server right then: the call never ends. A client has to bound it (this was seen
/// against a server that only accepts and closes, without any sidecar).
const CALL: Duration = Duration::from_secs(2);

/// A call to dial again after.
pub async fn call<T>(call: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(CALL, call).await.context("the call was lost")
}

/// The sidecar did not answer.
#[derive(Debug)]
pub struct Silence(&'static str);

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the sidecar was silent for {PATIENCE:?} {}", self.0)
    }
}

impl std::error::Error for Silence {}

/// Waits for an answer.
pub async fn answer<T>(when: &'static str, answer: impl Future<Output = T>) -> Result<T, Silence> {
    tokio::time::timeout(PATIENCE, answer).await.map_err(|_| Silence(when))
}

/// The next frame; the first one has to come soon.
pub async fn next<T>(frames: &mut Streaming<T>, opened: bool) -> anyhow::Result<Option<T>> {
    if opened {
        return Ok(frames.message().await?);
    }
    Ok(answer("after `open`", frames.message()).await??)
}

/// Tells how a session ended; an error where the connector has to end too.
pub fn session_ended(ended: anyhow::Result<()>) -> anyhow::Result<()> {
    match ended {
        Ok(()) => eprintln!("session ended"),
        Err(error) if error.is::<Silence>() => return Err(error),
        Err(error) => eprintln!("session lost: {error:#}"),
    }
    Ok(())
}
