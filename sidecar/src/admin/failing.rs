//! `/admin/v1/failing`: the records of a sink that fail, and what an operator decides.
//! `/admin/v1/pause` and `resume`: whether a sink is offered records.

use std::time::SystemTime;

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::{get, post},
};
use danube_sidecar_core::dispatch::{Order, Stage};

use super::{
    Desk,
    api::{
        DecideFailing, FailingDecided, FailingList, FailingQuery, FailingRecord, PauseSink,
        Refusal, SinkPaused,
    },
    error::ApiError,
};
use crate::sink::{Decided, Shown, Sink, Which};

/// Records in a list where the caller does not say, and at the most.
const LISTED: usize = 100;
const MOST_LISTED: usize = 1000;

pub(super) fn routes() -> Router<Desk> {
    let decided = |order| {
        post(move |State(desk): State<Desk>, Json(what): Json<DecideFailing>| async move {
            decide(&desk, what, order).await
        })
    };
    let paused = |paused| {
        post(move |State(desk): State<Desk>, Json(which): Json<PauseSink>| async move {
            pause(&desk, which, paused).await
        })
    };
    Router::new()
        .route("/admin/v1/pause", paused(true))
        .route("/admin/v1/resume", paused(false))
        .route("/admin/v1/failing", get(list))
        .route("/admin/v1/failing/resume", decided(Order::Resume))
        .route("/admin/v1/failing/skip", decided(Order::Skip))
        .route("/admin/v1/failing/dead-letter", decided(Order::DeadLetter))
}

async fn list(
    State(desk): State<Desk>,
    Query(query): Query<FailingQuery>,
) -> Result<Json<FailingList>, ApiError> {
    let (connector, sink) = desk.sink(query.connector.as_deref()).await?;
    let most = query.limit.unwrap_or(LISTED).min(MOST_LISTED);
    let shown = sink.failing(query.into(), most).await.ok_or(ApiError::NoSidecar)?;
    Ok(Json(FailingList { connector, records: shown.iter().map(FailingRecord::from).collect() }))
}

async fn decide(
    desk: &Desk,
    what: DecideFailing,
    order: Order,
) -> Result<Json<FailingDecided>, ApiError> {
    let records = what.records;
    if !what.all && records.names_none() {
        return Err(ApiError::AllFailing);
    }
    let (connector, sink) = desk.sink(records.connector.as_deref()).await?;
    let decided = sink.decide(records.into(), order, what.dry_run).await;
    let Decided { done, refused } = decided.ok_or(ApiError::NoSidecar)?;
    match (&done[..], &refused[..]) {
        ([], []) => return Err(ApiError::NothingFails { connector }),
        ([], [(_, unfit)]) => return Err((*unfit).into()),
        _ => {}
    }
    let refusal =
        |(shown, unfit): &(Shown, _)| Refusal { record: shown.into(), message: format!("{unfit}") };
    Ok(Json(FailingDecided {
        connector,
        decided: done.len(),
        records: done.iter().take(LISTED).map(FailingRecord::from).collect(),
        refused: refused.len(),
        refusals: refused.iter().take(LISTED).map(refusal).collect(),
    }))
}

async fn pause(desk: &Desk, which: PauseSink, paused: bool) -> Result<Json<SinkPaused>, ApiError> {
    let (connector, sink) = desk.sink(which.connector.as_deref()).await?;
    let changed = sink.pause(paused).await.ok_or(ApiError::NoSidecar)?;
    Ok(Json(SinkPaused { connector, paused, changed }))
}

impl Desk {
    async fn sink(&self, name: Option<&str>) -> Result<(String, Sink), ApiError> {
        let connectors = self.connectors.as_ref().ok_or(ApiError::NoSidecar)?;
        let found = connectors.running_sink(name).await;
        found.map_err(|running| ApiError::NoSink { running: running.join(", ") })
    }
}

impl FailingQuery {
    fn names_none(&self) -> bool {
        let Self { partition, offset, key, code, suspended, .. } = self;
        !suspended && offset.is_none() && [partition, key, code].iter().all(|part| part.is_none())
    }
}

impl From<FailingQuery> for Which {
    fn from(query: FailingQuery) -> Self {
        let FailingQuery { partition, offset, key, code, suspended, .. } = query;
        Self { partition, offset, key, code, suspended }
    }
}

impl From<&Shown> for FailingRecord {
    fn from(shown: &Shown) -> Self {
        let failing = &shown.failing;
        let identity = &failing.record.identity;
        Self {
            partition: identity.partition.to_string(),
            offset: identity.offset,
            key: failing.record.key.as_deref().map(str::to_owned),
            state: state(failing.stage).to_owned(),
            attempt: failing.attempt,
            counted: failing.counted,
            crashes: failing.crashes,
            since: rfc3339(shown.since),
            next_attempt: shown.next.map(rfc3339),
            worker: shown.worker.clone(),
            code: failing.code.to_string(),
            reason: failing.reason.to_string(),
            behind: failing.behind,
        }
    }
}

fn state(stage: Stage) -> &'static str {
    match stage {
        Stage::Retry(_) => "retry",
        Stage::AtWorker(_) => "at_worker",
        Stage::Suspended => "suspended",
        Stage::DeadLetter => "dead_letter",
    }
}

fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
