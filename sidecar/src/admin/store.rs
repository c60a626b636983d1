//! `/admin/v1/store`: what the data directory holds, by connector.

use axum::{Json, Router, extract::State, routing::get};
use danube_sidecar_store::Holdings;

use super::{
    Desk,
    api::{StoreEntry, StoreList},
    error::ApiError,
    rfc3339,
};
use crate::stranded::{self, Left};

pub(super) fn routes() -> Router<Desk> {
    Router::new().route("/admin/v1/store", get(list))
}

async fn list(State(desk): State<Desk>) -> Result<Json<StoreList>, ApiError> {
    let store = desk.store.as_ref().ok_or(ApiError::NoDataDir)?;
    let held = stranded::by_connector(store.holdings().await?);
    let left = match &desk.connectors {
        // A name of the file's strangers may be served by now.
        Some(connectors) => connectors.left().await,
        None => stranded::left(&desk.config, held.clone()),
    };
    let entries = held.into_iter().map(|(connector, held)| entry(connector, held, &left));
    Ok(Json(StoreList { connectors: entries.collect() }))
}

fn entry(connector: String, held: Holdings, left: &[Left]) -> StoreEntry {
    let stranded = left.iter().find(|left| left.connector == connector);
    StoreEntry {
        stranded: stranded.map(|left| left.why.as_str().to_owned()),
        records: held.records,
        record_bytes: held.record_bytes,
        oldest_record: held.oldest_record_ms.map(rfc3339),
        retained_records: held.retained_records,
        retained_bytes: held.retained_bytes,
        dead_letters: held.letters,
        dead_letter_bytes: held.letter_bytes,
        oldest_dead_letter: held.oldest_letter_ms.map(rfc3339),
        positions: held.positions,
        position_bytes: held.position_bytes,
        suspicions: held.suspicions,
        connector,
    }
}
