//! `store`: looks at, reads out and repairs the data directory of a sidecar that does not
//! run, where its store does not open.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use danube_sidecar_store::{self as store, Checked, Left, Loss, Repaired, StoreError};
use serde_json::{Value, json};

use crate::admin::args::{Output, StoreAction};

const EXIT_CODES: &str = "\
Exit codes: 0 whole, or done; 1 damaged, or it cannot be done; 2 wrong usage.";

/// `store`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub struct StoreCommand {
    /// What to do with it.
    #[command(subcommand)]
    pub task: Task,
}

/// What to do with a store.
#[derive(Clone, Debug, Subcommand)]
pub enum Task {
    /// What a command may ask a running sidecar for, too.
    #[command(flatten)]
    Live(StoreAction),
    /// What wants a data directory that no sidecar has.
    #[command(flatten)]
    Rescue(Rescue),
}

/// What is done with a store that does not open.
#[derive(Clone, Debug, Subcommand)]
pub enum Rescue {
    /// Read everything and say what is missing or damaged; nothing is changed.
    Check(Which),
    /// Write what can be read (records, dead letters, positions) as lines of JSON.
    Export(Which),
    /// Accept the loss: keep what can be read, and the damaged files aside.
    Repair(Which),
}

/// Which store.
#[derive(Clone, Debug, Args)]
pub struct Which {
    /// The data directory of a sidecar that does not run
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
    /// How the result is printed
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    pub output: Output,
}

/// Does it, and tells whether the store is whole now, or was read out.
///
/// # Errors
/// When the directory cannot be read or written, or a sidecar has it.
pub fn run(task: &Rescue) -> Result<bool, StoreError> {
    match task {
        Rescue::Check(Which { data_dir, output }) => {
            let checked = store::check(data_dir)?;
            print(*output, &checked_words(data_dir, &checked), &checked_json(&checked));
            Ok(checked.losses.is_empty())
        }
        Rescue::Export(Which { data_dir, .. }) => {
            let mut out = io::BufWriter::new(io::stdout().lock());
            let left = store::export(data_dir, &mut out)?;
            // A reader that has gone wants no more.
            _ = out.flush();
            eprintln!("{}", left_words(&left));
            Ok(true)
        }
        Rescue::Repair(Which { data_dir, output }) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let repaired = store::repair(data_dir, now.as_millis() as i64)?;
            print(*output, &repaired_words(&repaired), &repaired_json(&repaired));
            Ok(true)
        }
    }
}

fn print(output: Output, words: &str, json: &Value) {
    match output {
        Output::Table => println!("{words}"),
        Output::Json => println!("{json}"),
    }
}

fn checked_words(data_dir: &Path, checked: &Checked) -> String {
    let Checked { losses, tables, journals, .. } = checked;
    let read = format!("read {tables} tables and {journals} journals");
    if losses.is_empty() {
        return format!("{read}: nothing is missing or damaged");
    }
    let dir = data_dir.display();
    format!(
        "{read}; missing or damaged:\n{}\nrestore the data directory; or see what is left \
         (danube-sidecar store export --data-dir {dir}) and accept the loss (danube-sidecar store \
         repair --data-dir {dir})",
        lines(losses)
    )
}

fn repaired_words(repaired: &Repaired) -> String {
    let Repaired { losses, left, aside, .. } = repaired;
    let given_up = match losses.is_empty() {
        true => "nothing was wrong".to_owned(),
        false => format!("given up, as far as it could not be read:\n{}", lines(losses)),
    };
    let (left, aside) = (left_words(left), aside.display());
    format!("{given_up}\n{left}\nthe files as they were are in {aside}; remove them when done")
}

fn left_words(left: &Left) -> String {
    let Left { records, letters, positions, gaps, .. } = left;
    format!(
        "read {records} records, {letters} dead letters and {positions} positions, with {gaps} gaps \
         in tables between them"
    )
}

fn lines(losses: &[Loss]) -> String {
    losses.iter().map(|loss| format!("  {loss}")).collect::<Vec<_>>().join("\n")
}

fn checked_json(checked: &Checked) -> Value {
    json!({
        "whole": checked.losses.is_empty(),
        "losses": losses_json(&checked.losses),
        "tables": checked.tables,
        "journals": checked.journals,
        "last_commit": checked.last_commit,
    })
}

fn repaired_json(repaired: &Repaired) -> Value {
    json!({
        "losses": losses_json(&repaired.losses),
        "records": repaired.left.records,
        "letters": repaired.left.letters,
        "positions": repaired.left.positions,
        "gaps": repaired.left.gaps,
        "aside": repaired.aside,
    })
}

fn losses_json(losses: &[Loss]) -> Value {
    losses
        .iter()
        .map(|loss| json!({ "file": loss.file, "offset": loss.offset, "what": loss.to_string() }))
        .collect()
}
