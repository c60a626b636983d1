//! `checkpoint get|set|reset`.

use axum::http::Method;

use super::{escaped, print, table::table};
use crate::admin::{
    api::{Checkpoint, Position, SetPositions},
    args::CheckpointAction,
    door::{CommandError, Door},
};

pub(super) async fn run(action: &CheckpointAction, door: &Door) -> Result<String, CommandError> {
    let (output, found) = match action {
        CheckpointAction::Get { reach, connector } => {
            (reach.output, door.get(&path(connector)).await?)
        }
        CheckpointAction::Set { reach, connector, positions, metadata } => {
            let positions = positions.iter().map(|(source_partition, offset)| Position {
                source_partition: source_partition.clone(),
                offset: *offset,
                metadata: metadata.clone(),
            });
            let body = SetPositions { positions: positions.collect() };
            (reach.output, door.call(Method::PUT, &path(connector), &body).await?)
        }
        CheckpointAction::Reset { reach, connector, partition } => {
            let which = match partition {
                Some(name) => format!("?source_partition={}", escaped(name)),
                None => String::new(),
            };
            let path = path(connector) + &which;
            (reach.output, door.call(Method::DELETE, &path, &()).await?)
        }
    };
    print(output, &found, for_people)
}

fn path(connector: &str) -> String {
    format!("/admin/v1/checkpoints/{}", escaped(connector))
}

fn for_people(found: &Checkpoint) -> String {
    let Checkpoint { connector, epoch, positions } = found;
    if positions.is_empty() {
        return format!("{connector} (epoch {epoch}) has no positions: it starts afresh\n");
    }
    let rows: Vec<[String; 3]> = positions.iter().map(row).collect();
    format!("{connector} (epoch {epoch}) resumes after\n")
        + &table(["SOURCE PARTITION", "OFFSET", "METADATA"], &rows)
}

fn row(position: &Position) -> [String; 3] {
    let metadata = position.metadata.clone().unwrap_or_default();
    [position.source_partition.clone(), position.offset.to_string(), metadata]
}
