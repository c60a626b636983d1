//! The operator's commands: ask the admin API, print what it says.

mod checkpoint;
mod dlq;
mod failing;
mod replay;
mod status;
mod store;
mod table;

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::{
    args::{CheckpointAction, DlqAction, FailingAction, Output, Reach, StoreAction, Tool},
    door::{CommandError, Door},
};
use crate::config::Environment;

/// Runs a command and returns what it prints.
///
/// # Errors
/// With the exit code of the process.
pub async fn run(tool: &Tool, environment: &Environment) -> Result<String, CommandError> {
    let reach = reach(tool);
    let door = Door::open(reach, environment).await?;
    let printed = match tool {
        Tool::Dlq(command) => dlq::run(&command.action, &door).await,
        Tool::Failing(command) => failing::run(&command.action, &door).await,
        Tool::Pause(command) => failing::pause(command, "pause", &door).await,
        Tool::Resume(command) => failing::pause(command, "resume", &door).await,
        Tool::Replay(command) => replay::run(command, &door).await,
        Tool::Checkpoint(command) => checkpoint::run(&command.action, &door).await,
        Tool::Store(command) => store::run(&command.action, &door).await,
        Tool::Status(_) => status::run(reach.output, &door).await,
    };
    door.close().await;
    printed
}

fn reach(tool: &Tool) -> &Reach {
    match tool {
        Tool::Status(command) => &command.reach,
        Tool::Pause(command) | Tool::Resume(command) => &command.reach,
        Tool::Replay(command) => &command.reach,
        Tool::Failing(command) => match &command.action {
            FailingAction::List { reach, .. } => reach,
            FailingAction::Resume(decision)
            | FailingAction::Skip(decision)
            | FailingAction::DeadLetter(decision) => &decision.reach,
        },
        Tool::Store(command) => match &command.action {
            StoreAction::List { reach } => reach,
        },
        Tool::Dlq(command) => match &command.action {
            DlqAction::Replay(command) => &command.reach,
            DlqAction::List { reach, .. }
            | DlqAction::Show { reach, .. }
            | DlqAction::Purge { reach, .. } => reach,
        },
        Tool::Checkpoint(command) => match &command.action {
            CheckpointAction::Get { reach, .. }
            | CheckpointAction::Set { reach, .. }
            | CheckpointAction::Reset { reach, .. } => reach,
        },
    }
}

/// For what only a running sidecar knows.
fn needs_sidecar(door: &Door) -> Result<(), CommandError> {
    if door.is_sidecar() {
        return Ok(());
    }
    Err(CommandError::Unreachable {
        address: "the data directory's address".to_owned(),
        detail: "the store is free".to_owned(),
    })
}

/// What the API said, as asked for.
fn print<T: Serialize>(
    output: Output,
    answer: &T,
    for_people: impl FnOnce(&T) -> String,
) -> Result<String, CommandError> {
    match output {
        Output::Table => Ok(for_people(answer)),
        Output::Json => serde_json::to_string_pretty(answer)
            .map(|json| json + "\n")
            .map_err(|error| CommandError::Strange(error.to_string())),
    }
}

/// A name as one segment of a path, or as a value of a query.
fn escaped(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn unix_ms(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
