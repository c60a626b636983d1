//! The operator's commands: ask the admin API, print what it says.

mod checkpoint;
mod status;
mod table;

use serde::Serialize;

use super::{
    args::{CheckpointAction, Output, Reach, Tool},
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
        Tool::Checkpoint(command) => checkpoint::run(&command.action, &door).await,
        Tool::Status(_) => status::run(reach.output, &door).await,
    };
    door.close().await;
    printed
}

fn reach(tool: &Tool) -> &Reach {
    match tool {
        Tool::Status(command) => &command.reach,
        Tool::Checkpoint(command) => match &command.action {
            CheckpointAction::Get { reach, .. }
            | CheckpointAction::Set { reach, .. }
            | CheckpointAction::Reset { reach, .. } => reach,
        },
    }
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
