//! The process's log: to standard error, as text or JSON.

use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What libraries tell of each connection and each file is nothing to an operator.
const QUIET: [&str; 3] = ["danube_client=warn", "fjall=warn", "lsm_tree=warn"];

/// Starts logging. A filter that cannot be read falls back to `info`, and says so.
pub fn start(filter: &str, format: LogFormat) {
    let (filter, wrong) = match filter.parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let quiet = QUIET.iter().filter_map(|directive| directive.parse().ok());
    let filter = quiet.fold(filter, EnvFilter::add_directive);
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
