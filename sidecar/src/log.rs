//! The process's log: to standard error, as text or JSON.

use std::{
    backtrace::Backtrace,
    io::{IsTerminal as _, stderr},
    panic::{self, PanicHookInfo},
    thread,
};

use danube_sidecar_text::{JsonLines, log_fields};
use metrics::counter;
use tracing_subscriber::EnvFilter;

use crate::{config::LogFormat, vitals};

/// What libraries tell of each connection and each file is nothing to an operator.
const QUIET: [&str; 3] = ["danube_client=warn", "fjall=warn", "lsm_tree=warn"];

/// Starts logging, panics included. A filter that cannot be read falls back to `info`, and says so.
pub fn start(filter: &str, format: LogFormat) {
    let (filter, wrong) = match filter.parse::<EnvFilter>() {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let quiet = QUIET.iter().filter_map(|directive| directive.parse().ok());
    let filter = quiet.fold(filter, EnvFilter::add_directive);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr);
    let started = match format {
        LogFormat::Text => log
            .with_ansi(stderr().is_terminal())
            .with_target(false)
            .fmt_fields(log_fields())
            .try_init(),
        LogFormat::Json => {
            log.json().flatten_event(true).with_writer(|| JsonLines(stderr())).try_init()
        }
    };
    if let Err(error) = started {
        eprintln!("danube-sidecar: logging was started twice: {error}");
    }
    panic::set_hook(Box::new(panicked));
    if let Some(error) = wrong {
        tracing::warn!(%error, "log_level is not a filter: using `info`");
    }
}

/// Whatever task or thread it is in: a fault of the sidecar is in the log, as a line of
/// it, and counted.
fn panicked(info: &PanicHookInfo<'_>) {
    counter!("danube_sidecar_panics_total").increment(1);
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = thread::current();
    let said = vitals::message(info.payload());
    // Empty unless RUST_BACKTRACE asks for it.
    let backtrace = Backtrace::capture().to_string();
    tracing::error!(
        thread = thread.name(),
        panic = said,
        backtrace,
        "panicked at {location}: a fault of the sidecar, report it"
    );
}
