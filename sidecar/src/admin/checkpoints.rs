//! `/admin/v1/checkpoints/{connector}`: where a source resumes.

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    routing::get,
};
use danube_sidecar_store as store;

use super::{
    Desk,
    api::{Checkpoint, Position, ResetPositions, SetPositions},
    error::{self, ApiError},
};
use crate::{
    bounds::{Metadata, SourcePartition},
    source::checkpoint_key,
};

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/admin/v1/checkpoints/{connector}", get(show).put(set).delete(reset))
}

async fn show(
    State(desk): State<Desk>,
    Path(connector): Path<String>,
) -> Result<Json<Checkpoint>, ApiError> {
    let connector = error::connector(connector)?;
    let found = desk.checkpoints.checkpoint(&checkpoint_key(&connector)).await?;
    let positions = found.positions.into_iter().map(Position::from).collect();
    Ok(Json(Checkpoint { connector, epoch: found.epoch, positions }))
}

async fn set(
    State(desk): State<Desk>,
    Path(connector): Path<String>,
    Json(wanted): Json<SetPositions>,
) -> Result<Json<Checkpoint>, ApiError> {
    let connector = error::connector(connector)?;
    let wanted: Vec<store::Position> =
        wanted.positions.into_iter().map(parsed).collect::<Result<_, _>>()?;
    let mut positions = desk.positions(&connector).await?;
    let named = |name: &str| wanted.iter().any(|p| p.source_partition == name);
    positions.retain(|position| !named(&position.source_partition));
    positions.extend(wanted);
    desk.replace(&connector, &positions).await?;
    show(State(desk), Path(connector)).await
}

async fn reset(
    State(desk): State<Desk>,
    Path(connector): Path<String>,
    Query(which): Query<ResetPositions>,
) -> Result<Json<Checkpoint>, ApiError> {
    let connector = error::connector(connector)?;
    let mut positions = desk.positions(&connector).await?;
    match which.source_partition {
        Some(name) => positions.retain(|position| position.source_partition != name),
        None => positions.clear(),
    }
    desk.replace(&connector, &positions).await?;
    show(State(desk), Path(connector)).await
}

impl Desk {
    async fn positions(&self, connector: &str) -> Result<Vec<store::Position>, ApiError> {
        Ok(self.checkpoints.checkpoint(&checkpoint_key(connector)).await?.positions)
    }

    /// Refused while the source runs here. A session at another sidecar is fenced
    /// off by the new epoch that this begins.
    async fn replace(
        &self,
        connector: &str,
        positions: &[store::Position],
    ) -> Result<(), ApiError> {
        match &self.connectors {
            Some(connectors) => connectors.replace_positions(connector, positions).await?,
            None => self.checkpoints.replace(&checkpoint_key(connector), positions).await?,
        }
        Ok(())
    }
}

impl From<store::Position> for Position {
    fn from(position: store::Position) -> Self {
        let store::Position { source_partition, offset, metadata } = position;
        Self { source_partition, offset, metadata }
    }
}

fn parsed(position: Position) -> Result<store::Position, ApiError> {
    let Position { source_partition, offset, metadata } = position;
    let name: SourcePartition = error::text("source_partition", source_partition)?;
    let metadata = metadata
        .map(|metadata| error::text::<{ Metadata::MAX }>("metadata", metadata).map(Into::into));
    Ok(store::Position { source_partition: name.into(), offset, metadata: metadata.transpose()? })
}
