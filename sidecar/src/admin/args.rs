//! The arguments of the operator's commands.

mod failing;

use std::{path::PathBuf, time::SystemTime};

use clap::{Args, Subcommand, ValueEnum};

pub use self::failing::{Decision, FailingAction, FailingCommand, PauseCommand, WhichFail};

use crate::config::TopicName;

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

/// `dlq`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct DlqCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: DlqAction,
}

/// What to do with dead letters.
#[derive(Clone, Debug, Subcommand)]
pub enum DlqAction {
    /// List dead letters, oldest first
    #[command(after_help = EXIT_CODES)]
    List {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        which: Which,
        /// Most letters to list, up to 1000
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
    },
    /// Show one dead letter with its payload and attributes
    #[command(after_help = EXIT_CODES)]
    Show {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        /// Its connector; may be left out where the configuration names only one
        #[arg(long)]
        connector: Option<String>,
        /// Its id, as `dlq list` shows it
        id: u64,
    },
    /// Publish dead letters again, oldest first
    ///
    /// Each goes to the partition that it came from, where all subscriptions of the
    /// topic get it, or to another topic. It keeps payload, key, schema, its original
    /// attributes and x-dedup-id, and gets x-replayed-from. At least once: a letter is
    /// marked when the broker has confirmed it, and a replay that was interrupted goes
    /// on there when it is run again.
    #[command(after_help = EXIT_CODES)]
    Replay(DlqReplay),
    /// Delete dead letters from the data directory (not from their topic)
    #[command(after_help = EXIT_CODES)]
    Purge {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        which: Which,
        /// Most letters to delete
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Every letter of the connector, where no filter is given
        #[arg(long)]
        all: bool,
        /// Only count
        #[arg(long)]
        dry_run: bool,
    },
}

/// `dlq replay`.
#[derive(Clone, Debug, Args)]
pub struct DlqReplay {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub reach: Reach,
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub which: Which,
    /// Most letters to publish
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Most letters in a second, as N or N/s
    #[arg(long, value_name = "N/s", value_parser = rate)]
    pub rate: Option<u32>,
    /// Another topic, without partitions, instead of where each came from
    #[arg(long, value_name = "TOPIC")]
    pub to: Option<TopicName>,
    /// Those that were replayed before, too
    #[arg(long)]
    pub again: bool,
    /// Publish nothing, only say what would be
    #[arg(long)]
    pub dry_run: bool,
}

/// Which dead letters.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// Their connector; may be left out where the configuration names only one
    #[arg(long)]
    pub connector: Option<String>,
    /// Of this failure class
    #[arg(long, value_parser = ["REJECT", "EXHAUSTED", "CRASH", "OVERSIZE"])]
    pub class: Option<String>,
    /// With this failure code
    #[arg(long)]
    pub code: Option<String>,
    /// With this routing key
    #[arg(long)]
    pub key: Option<String>,
    /// Kept since then: a time such as 2026-11-23T10:00:00Z, or a span such as 10m
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<SystemTime>,
}

/// `replay`. Records that are resolved and still kept (`[inbox] retain`) are
/// offered to the workers once more, behind what waits.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct ReplayCommand {
    #[command(flatten)]
    #[allow(missing_docs, reason = "flattened")]
    pub reach: Reach,
    /// The connector
    #[arg(long)]
    pub connector: String,
    /// Where to begin: a time such as 2026-11-23T10:00:00Z, a span such as 10m, or a
    /// sequence number of the inbox
    #[arg(long, value_name = "TIME|SEQ", value_parser = beginning)]
    pub from: Beginning,
}

/// Where a replay of the inbox begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// What came at this time or later.
    Time(SystemTime),
    /// From this sequence number on.
    Sequence(u64),
}

/// `store`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct StoreCommand {
    /// What to do.
    #[command(subcommand)]
    pub action: StoreAction,
}

/// What to do with the data directory.
#[derive(Clone, Debug, Subcommand)]
pub enum StoreAction {
    /// List what it holds, by connector: records, dead letters, positions, suspicions
    ///
    /// STRANDED says why no connector of the configuration takes it: gone (adopt, drain
    /// or discard it), may_come (a connector that the file does not name), no_inbox
    /// (its inbox was switched off), draining.
    #[command(after_help = EXIT_CODES)]
    List {
        #[command(flatten)]
        #[allow(missing_docs, reason = "flattened")]
        reach: Reach,
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
    /// `dlq`.
    Dlq(DlqCommand),
    /// `failing`.
    Failing(FailingCommand),
    /// `pause`.
    Pause(PauseCommand),
    /// `resume`.
    Resume(PauseCommand),
    /// `replay`.
    Replay(ReplayCommand),
    /// `checkpoint`.
    Checkpoint(CheckpointCommand),
    /// `status`.
    Status(StatusCommand),
    /// `store`.
    Store(StoreCommand),
}

/// `file=120`; the partition's name may contain `=` too.
fn position(text: &str) -> Result<(String, u64), String> {
    let (partition, offset) =
        text.rsplit_once('=').ok_or("write PARTITION=OFFSET, for example file=120")?;
    let offset =
        offset.parse().map_err(|_| format!("`{offset}` is not an offset: a whole number"))?;
    Ok((partition.to_owned(), offset))
}

/// `50` or `50/s`.
fn rate(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let rate = number.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| format!("`{text}` is not a rate: write for example 50/s"))
}

/// A point in time, or how long ago it was.
fn moment(text: &str) -> Result<SystemTime, String> {
    if let Ok(time) = humantime::parse_rfc3339_weak(text) {
        return Ok(time);
    }
    let ago = humantime::parse_duration(text).ok();
    ago.and_then(|ago| SystemTime::now().checked_sub(ago)).ok_or_else(|| {
        format!("`{text}` is no time: write 2026-11-23T10:00:00Z, or a span before now such as 10m")
    })
}

fn beginning(text: &str) -> Result<Beginning, String> {
    match text.parse() {
        Ok(sequence) => Ok(Beginning::Sequence(sequence)),
        Err(_) => moment(text).map(Beginning::Time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_split_at_its_last_sign() {
        assert_eq!(position("a=b=7"), Ok(("a=b".to_owned(), 7)));
        assert!(position("file").is_err() && position("file=x").is_err());
    }

    #[test]
    fn a_rate_is_a_number_a_second() {
        assert_eq!((rate("50/s"), rate("7")), (Ok(50), Ok(7)));
        assert!(rate("0").is_err() && rate("fast").is_err());
    }

    #[test]
    fn a_replay_begins_at_a_time_a_span_before_now_or_a_number() {
        assert_eq!(beginning("17"), Ok(Beginning::Sequence(17)));
        let time = humantime::parse_rfc3339("2026-11-23T10:00:00Z").unwrap();
        assert_eq!(beginning("2026-11-23T10:00:00Z"), Ok(Beginning::Time(time)));
        assert!(matches!(beginning("10m"), Ok(Beginning::Time(_))));
        assert!(beginning("yesterday").is_err());
    }
}
