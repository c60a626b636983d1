//! The arguments of `failing`, `pause` and `resume`.

use clap::{Args, Subcommand};

use super::{EXIT_CODES, Reach};

/// `pause` and `resume`. A paused sink is offered nothing, until it is resumed or the
/// sidecar ends; what its workers have in hand they may finish.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct PauseCommand {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub reach: Reach,
    /// The sink; may be left out where only one runs
    #[arg(long)]
    pub connector: Option<String>,
}

/// `failing`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct FailingCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: FailingAction,
}

/// What to do with the records of a sink that fail.
#[derive(Clone, Debug, Subcommand)]
pub enum FailingAction {
    /// List records that failed and are not resolved, those that fail for the longest time
    /// first
    #[command(after_help = EXIT_CODES)]
    List {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        which: WhichFail,
        /// Most records to list, up to 1000
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Offer them again now, with a fresh count of retries: suspended lanes go on
    #[command(after_help = EXIT_CODES)]
    Resume(Decision),
    /// Give them up: nothing of them is kept
    #[command(after_help = EXIT_CODES)]
    Skip(Decision),
    /// Make dead letters of them, whatever `[retry] on_exhausted` says
    #[command(after_help = EXIT_CODES)]
    DeadLetter(Decision),
}

/// A decision on records that fail.
#[derive(Clone, Debug, Args)]
pub struct Decision {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub reach: Reach,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub which: WhichFail,
    /// Every record of the sink that fails, where no filter is given
    #[arg(long)]
    pub all: bool,
    /// Only say which they are
    #[arg(long)]
    pub dry_run: bool,
}

/// Which records that fail: those that fit every filter given.
#[derive(Clone, Debug, Args)]
pub struct WhichFail {
    /// Their sink; may be left out where only one runs
    #[arg(long)]
    pub connector: Option<String>,
    /// Of this partition (its topic, as `failing list` shows it)
    #[arg(long, value_name = "TOPIC")]
    pub partition: Option<String>,
    /// With this offset
    #[arg(long)]
    pub offset: Option<u64>,
    /// With this routing key
    #[arg(long)]
    pub key: Option<String>,
    /// With this last code
    #[arg(long)]
    pub code: Option<String>,
    /// Only those that are suspended
    #[arg(long)]
    pub suspended: bool,
}
