//! `failing list|resume|skip|dead-letter`, `pause`, `resume`.

use axum::http::Method;

use super::{escaped, needs_sidecar, print, table::table};
use crate::admin::{
    api::{
        DecideFailing, FailingDecided, FailingList, FailingQuery, FailingRecord, PauseSink,
        SinkPaused,
    },
    args::{Decision, FailingAction, PauseCommand, WhichFail},
    door::{CommandError, Door},
};

const PATH: &str = "/admin/v1/failing";

/// Longest reason in a table, in characters.
const REASON: usize = 60;

pub(super) async fn run(action: &FailingAction, door: &Door) -> Result<String, CommandError> {
    needs_sidecar(door)?;
    match action {
        FailingAction::List { reach, which, limit } => {
            let query = FailingQuery { limit: Some(*limit), ..query(which) };
            let found: FailingList = door.get(&format!("{PATH}?{}", encoded(&query))).await?;
            print(reach.output, &found, listed)
        }
        FailingAction::Resume(decision) => decide(decision, "resume", "resumed", door).await,
        FailingAction::Skip(decision) => decide(decision, "skip", "skipped", door).await,
        FailingAction::DeadLetter(decision) => {
            decide(decision, "dead-letter", "dead-lettered", door).await
        }
    }
}

pub(super) async fn pause(
    command: &PauseCommand,
    order: &str,
    door: &Door,
) -> Result<String, CommandError> {
    needs_sidecar(door)?;
    let body = PauseSink { connector: command.connector.clone() };
    let paused: SinkPaused = door.call(Method::POST, &format!("/admin/v1/{order}"), &body).await?;
    print(command.reach.output, &paused, |SinkPaused { connector, paused, changed }| {
        let already = if *changed { "" } else { " already" };
        let state = if *paused { "is paused" } else { "is offered records" };
        format!("{connector} {state}{already}\n")
    })
}

async fn decide(
    decision: &Decision,
    order: &str,
    done: &str,
    door: &Door,
) -> Result<String, CommandError> {
    let Decision { reach, which, all, dry_run } = decision;
    let body = DecideFailing { records: query(which), all: *all, dry_run: *dry_run };
    let path = format!("{PATH}/{order}");
    let decided: FailingDecided = door.call(Method::POST, &path, &body).await?;
    let done = if *dry_run { format!("would be {done}") } else { done.to_owned() };
    print(reach.output, &decided, |decided| told(decided, &done))
}

fn told(decided: &FailingDecided, done: &str) -> String {
    let FailingDecided { connector, records, refused, .. } = decided;
    let mut text = format!("{} records of {connector} {done}\n", decided.decided);
    let named = |record: &FailingRecord| format!("  {} {}", record.partition, record.offset);
    for record in records {
        text += &format!("{}\n", named(record));
    }
    for refusal in &decided.refusals {
        text += &format!("{}: not done: {}\n", named(&refusal.record), refusal.message);
    }
    let untold = decided.decided + refused - records.len() - decided.refusals.len();
    if untold > 0 {
        text += &format!("  and {untold} more\n");
    }
    text
}

fn query(which: &WhichFail) -> FailingQuery {
    FailingQuery {
        connector: which.connector.clone(),
        partition: which.partition.clone(),
        offset: which.offset,
        key: which.key.clone(),
        code: which.code.clone(),
        suspended: which.suspended,
        limit: None,
    }
}

fn encoded(query: &FailingQuery) -> String {
    let offset = query.offset.map(|offset| offset.to_string());
    let limit = query.limit.map(|limit| limit.to_string());
    let suspended = query.suspended.then(|| "true".to_owned());
    let fields = [
        ("connector", &query.connector),
        ("partition", &query.partition),
        ("offset", &offset),
        ("key", &query.key),
        ("code", &query.code),
        ("suspended", &suspended),
        ("limit", &limit),
    ];
    let given = fields.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)));
    let pairs: Vec<String> = given.map(|(name, v)| format!("{name}={}", escaped(v))).collect();
    pairs.join("&")
}

fn listed(found: &FailingList) -> String {
    let titles =
        ["PARTITION", "OFFSET", "KEY", "STATE", "ATTEMPT", "SINCE", "BEHIND", "CODE", "REASON"];
    let rows: Vec<[String; 9]> = found.records.iter().map(row).collect();
    if rows.is_empty() {
        return format!("no record of {} fails\n", found.connector);
    }
    table(titles, &rows)
}

fn row(record: &FailingRecord) -> [String; 9] {
    [
        record.partition.clone(),
        record.offset.to_string(),
        record.key.clone().unwrap_or_default(),
        record.state.clone(),
        record.attempt.to_string(),
        record.since.clone(),
        record.behind.to_string(),
        record.code.clone(),
        record.reason.replace('\n', " ").chars().take(REASON).collect(),
    ]
}
