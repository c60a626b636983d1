//! The process's log: to standard error, as text or JSON.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// Starts logging. A filter that cannot be read falls back to `info`, and says so.
pub fn start(filter: &str, format: LogFormat) {
    let (filter, wrong) = match filter.parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    // danube-client tells of each of its connections; ours is the log that matters.
    let filter = match "danube_client=warn".parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = match format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).with_target(false).try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        eprintln!("danube-sidecar: logging was started twice: {error}");
    }
    if let Some(error) = wrong {
        tracing::warn!(%error, "log_level is not a filter: using `info`");
    }
}
