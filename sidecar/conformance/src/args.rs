//! The command line of the kit.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Which protocol a connector speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Records come to it.
    Sink,
    /// Records come from it.
    Source,
}

/// How much is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Level {
    /// What every connector must do, also one on plain stubs.
    Core,
    /// What an SDK must do besides, shown by its conformance connector.
    Full,
}

/// `conformance`.
#[derive(Clone, Debug, Args)]
pub struct ConformanceCommand {
    /// How much is asked
    #[arg(long, value_enum, default_value_t = Level::Core)]
    pub level: Level,
    /// Sink or source [default: what the connector dials]
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// Name the cases and what each one asks, and do nothing else
    #[arg(long)]
    pub list: bool,
    /// Only these cases
    #[arg(long, value_delimiter = ',', value_name = "CASE")]
    pub only: Vec<String>,
    /// Have the connector dial a Unix socket instead of TCP
    #[arg(long)]
    pub unix: bool,
    /// Payload of the records that a sink gets; {n} becomes a number
    #[arg(long, value_name = "TEXT", default_value = r#"{"n": {n}}"#)]
    pub payload: String,
    /// The connector's own settings, as the operator's file would give them to it
    #[arg(long, value_name = "JSON", default_value = "{}")]
    pub settings: String,
    /// File (and those whose names begin with its name) in which a record's payload or dedup id can
    /// be found once the sink has written it, or a folder of files named after it
    /// [default: the file that CONFORMANCE_FILE names to the connector]
    #[arg(long, value_name = "PATH")]
    pub written: Option<PathBuf>,
    /// Cases that run at the same time
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub jobs: usize,
    /// Write the result as JUnit XML, too
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// The connector: a program and its arguments
    #[arg(last = true, value_name = "CMD", required_unless_present = "list")]
    pub connector: Vec<String>,
}
