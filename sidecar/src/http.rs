//! Health, metrics and status over HTTP, for probes and people.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use danube_sidecar_broker::BrokerHealth;
use danube_sidecar_core::dispatch::Breaker;
use danube_sidecar_text::Foreign;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    admin::api::FailingRecord,
    connectors::Connectors,
    stranded::Left,
    vitals::{Part, Record, Vitals},
    waiting::{self, Waiting},
};

/// What the pages show.
#[derive(Clone)]
pub struct Http {
    /// The connectors.
    pub connectors: Arc<Connectors>,
    /// The broker.
    pub broker: watch::Receiver<BrokerHealth>,
    /// The metrics.
    pub metrics: PrometheusHandle,
    /// Where connectors dial.
    pub grpc: SocketAddr,
    /// From then on the sidecar is not ready.
    pub stop: CancellationToken,
    /// Whether its parts live.
    pub vitals: Vitals,
}

/// The pages, and the admin API.
pub fn router(http: Http, admin: Router) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .fallback(fallback)
        .with_state(http)
        .merge(admin)
}

async fn index() -> &'static str {
    "Danube sidecar\n\n\
     /livez    the process is alive: no part is dead that only a restart mends\n\
     /readyz   the broker is reachable\n\
     /metrics  for Prometheus\n\
     /status   connectors, workers, subscriptions, as JSON\n\
     /admin/v1 what the commands failing, pause, resume, dlq, checkpoint and replay use\n"
}

async fn livez(State(http): State<Http>) -> Response {
    match http.vitals.death() {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

async fn readyz(State(http): State<Http>) -> Response {
    if let Some(why) = http.vitals.trouble() {
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    }
    let why = match &*http.broker.borrow() {
        _ if http.stop.is_cancelled() => Err("shutting down\n".to_owned()),
        BrokerHealth::Up => Ok("ok\n"),
        BrokerHealth::Connecting => Err("connecting to Danube\n".to_owned()),
        BrokerHealth::Down { detail } => {
            Err(format!("Danube is not reachable: {}\n", Foreign(detail)))
        }
    };
    match why {
        Ok(text) => text.into_response(),
        Err(text) => (StatusCode::SERVICE_UNAVAILABLE, text).into_response(),
    }
}

async fn metrics(State(http): State<Http>) -> Response {
    http.metrics.run_upkeep();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], http.metrics.render()).into_response()
}

async fn status(State(http): State<Http>) -> Response {
    let broker = match &*http.broker.borrow() {
        BrokerHealth::Up => json!({ "state": "up" }),
        BrokerHealth::Connecting => json!({ "state": "connecting" }),
        BrokerHealth::Down { detail } => json!({ "state": "down", "detail": detail }),
    };
    let sinks: Vec<_> = http.connectors.sinks().await.into_iter().map(sink).collect();
    let sources: Vec<_> = http.connectors.sources().await.into_iter().map(source).collect();
    let parts: Vec<_> = http.vitals.view().into_iter().map(part).collect();
    let left: Vec<_> = http.connectors.left().await.into_iter().map(stranded).collect();
    Json(json!({
        "broker": broker,
        "sinks": sinks,
        "sources": sources,
        "panicked": parts,
        "stranded": left,
    }))
    .into_response()
}

/// As it was at the start.
fn stranded(Left { connector, why, held }: Left) -> serde_json::Value {
    json!({
        "connector": connector,
        "why": why.as_str(),
        "records": held.records,
        "bytes": held.record_bytes,
        "oldest_ms": held.oldest_record_ms,
        "dead_letters": held.letters,
        "positions": held.positions,
        "suspicions": held.suspicions,
    })
}

fn part((part, name, record): (Part, String, Record)) -> serde_json::Value {
    json!({
        "part": part.as_str(),
        "name": name,
        "panics": record.panics,
        "last": record.last,
        "state": record.state.as_str(),
    })
}

fn source((name, view): (String, crate::source::View)) -> serde_json::Value {
    let waiting = waiting::of_source(&view);
    let Some(session) = view.session else { return json!({ "connector": name }) };
    json!({
        "connector": name,
        "worker": session.worker_id,
        "epoch": session.epoch,
        "demand_records": session.progress.demand_records,
        "committed": session.progress.committed,
        "trouble": session.publishing.as_ref().or(session.storing.as_ref()).or(session.unread.as_ref()),
        "unwell": session.unwell,
        "waiting": waits(waiting),
    })
}

fn sink((name, view): (String, crate::sink::View)) -> serde_json::Value {
    let dispatch = &view.dispatch;
    let subscriptions: Vec<_> = view
        .intake
        .subscriptions
        .iter()
        .map(|subscription| {
            json!({
                "topic": subscription.topic,
                "subscription": subscription.subscription,
                "partitions_attached": subscription.partitions_attached,
                "trouble": subscription.trouble,
            })
        })
        .collect();
    json!({
        "connector": name,
        "workers": view.workers,
        "unwell": view.unwell.iter().map(|unwell| json!({
            "worker": unwell.worker,
            "message": unwell.message,
        })).collect::<Vec<_>>(),
        "busy": view.busy.iter().map(busy).collect::<Vec<_>>(),
        "subscriptions": subscriptions,
        "workers_paused": dispatch.workers_paused,
        "unresolved": { "records": dispatch.held.records, "bytes": dispatch.held.bytes },
        "at_workers": dispatch.in_hand,
        "retries_waiting": dispatch.retries_waiting,
        "dead_letters_pending": dispatch.dead_letters_pending,
        "suspended": dispatch.suspended,
        "failing": view.failing.iter().map(FailingRecord::from).collect::<Vec<_>>(),
        "late_failures": dispatch.late_failures,
        "lanes": dispatch.lanes,
        "lanes_held": dispatch.lanes_held,
        "gaps": view.intake.gaps,
        "breaker": match dispatch.breaker {
            Breaker::Closed => "closed",
            Breaker::Open => "open",
            Breaker::HalfOpen => "half_open",
        },
        "detached": view.intake.detached,
        "window_exhausted": view.intake.window_exhausted.iter().map(|p| &**p).collect::<Vec<_>>(),
        "held_lane": dispatch.held_lane.as_ref().map(|lane| json!({
            "partition": &*lane.partition,
            "offset": lane.offset,
            "key": lane.key.as_deref(),
            "attempt": lane.attempt,
        })),
        "inbox": view.intake.inbox.as_ref().map(|inbox| json!({
            "records": inbox.records,
            "bytes": inbox.bytes,
            "max_bytes": inbox.max_bytes,
            "oldest_ms": inbox.oldest_ms,
            "unreadable": inbox.unreadable,
        })),
        "trouble": view.intake.trouble,
        "failed": view.failed,
        "waiting": waits(waiting::of_sink(&view)),
    })
}

fn busy(busy: &crate::sink::Busy) -> serde_json::Value {
    json!({
        "worker": busy.worker,
        "pause_ms": busy.pause.map(|pause| pause.as_millis() as u64),
        "records": busy.quota.map(|(records, _)| records),
        "every_ms": busy.quota.map(|(_, span)| span.as_millis() as u64),
        "code": busy.code,
        "message": busy.message,
    })
}

/// Why a connector waits, and what to do.
fn waits(waiting: Vec<Waiting>) -> Vec<serde_json::Value> {
    let told = waiting.into_iter().map(|Waiting { state, cause, remedy }| {
        json!({ "state": state.as_str(), "cause": cause, "remedy": remedy })
    });
    told.collect()
}

/// A connector that dialled this port by mistake gets a gRPC answer.
async fn fallback(State(http): State<Http>, headers: HeaderMap) -> Response {
    let kind = headers.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return (StatusCode::NOT_FOUND, "not found: see / for what is here\n").into_response();
    }
    let message = format!(
        "this is the sidecar's HTTP port: connectors dial http://{} (DANUBE_SIDECAR_ADDRESS)",
        http.grpc
    );
    let mut response = Response::default();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    // UNIMPLEMENTED: no such service here.
    headers.insert("grpc-status", HeaderValue::from_static("12"));
    if let Ok(message) = HeaderValue::from_str(&message) {
        headers.insert("grpc-message", message);
    }
    response
}
