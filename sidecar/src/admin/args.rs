//! The arguments of the operator's commands.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// Exit codes of the commands that ask a sidecar or its store.
pub const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 refused (a session is open, the
token is wrong), 4 no sidecar answers, or there is no data directory.

While the sidecar runs, its HTTP port is asked; else the store in the data directory is opened,
and a sidecar cannot start until the command has ended.";

/// What all of them take.
#[derive(Clone, Debug, Args)]
pub struct Reach {
    /// Configuration file of the sidecar [env: CONNECTOR_CONFIG_PATH]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory of the sidecar [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// HTTP address of a running sidecar [default: as it wrote into its data directory]
    #[arg(long, value_name = "URL")]
    pub address: Option<String>,
    /// How to print
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Table,
    /// For programs: what the admin API answers.
    Json,
}

/// `checkpoint`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct CheckpointCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: CheckpointAction,
}

/// What to do with the positions of a source.
#[derive(Clone, Debug, Subcommand)]
pub enum CheckpointAction {
    /// Show where a source resumes
    #[command(after_help = EXIT_CODES)]
    Get {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        /// The connector
        connector: String,
    },
    /// Set where a source resumes; refused while it has a session
    #[command(after_help = EXIT_CODES)]
    Set {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        /// The connector
        connector: String,
        /// New positions, as PARTITION=OFFSET; other source partitions keep theirs
        #[arg(required = true, value_name = "PARTITION=OFFSET", value_parser = position)]
        positions: Vec<(String, u64)>,
        /// What the connector keeps besides the offset, for all positions given
        #[arg(long, value_name = "TEXT")]
        metadata: Option<String>,
    },
    /// Forget where a source stands, so that it starts afresh; refused while it has a session
    #[command(after_help = EXIT_CODES)]
    Reset {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        /// The connector
        connector: String,
        /// Only this source partition
        #[arg(long, value_name = "PARTITION")]
        partition: Option<String>,
    },
}

/// `status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct StatusCommand {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub reach: Reach,
}

/// An operator's command.
#[derive(Clone, Debug)]
pub enum Tool {
    /// `checkpoint`.
    Checkpoint(CheckpointCommand),
    /// `status`.
    Status(StatusCommand),
}

/// `file=120`; the partition's name may contain `=` too.
fn position(text: &str) -> Result<(String, u64), String> {
    let (partition, offset) =
        text.rsplit_once('=').ok_or("write PARTITION=OFFSET, for example file=120")?;
    let offset =
        offset.parse().map_err(|_| format!("`{offset}` is not an offset: a whole number"))?;
    Ok((partition.to_owned(), offset))
}
