//! `status`: what `/status` says, as tables.

use danube_sidecar_text::Foreign;
use serde_json::Value;

use super::{needs_sidecar, print, table::table};
use crate::admin::{
    args::Output,
    door::{CommandError, Door},
};

pub(super) async fn run(output: Output, door: &Door) -> Result<String, CommandError> {
    needs_sidecar(door)?;
    let status: Value = door.get("/status").await?;
    print(output, &status, for_people)
}

fn for_people(status: &Value) -> String {
    let broker = &status["broker"];
    let broker = format!("broker: {} {}", word(&broker["state"]), word(&broker["detail"]));
    let mut text = format!("{}\n", Foreign(broker.trim_end()));
    let sinks: Vec<[String; 8]> = list(&status["sinks"]).iter().map(sink).collect();
    if !sinks.is_empty() {
        let titles = [
            "SINK",
            "WORKERS",
            "UNRESOLVED",
            "AT WORKERS",
            "RETRYING",
            "SUSPENDED",
            "GAPS",
            "TROUBLE",
        ];
        text = text + "\n" + &table(titles, &sinks);
    }
    let sources: Vec<[String; 6]> = list(&status["sources"]).iter().map(source).collect();
    if !sources.is_empty() {
        let titles = ["SOURCE", "SESSION", "EPOCH", "DEMAND", "COMMITTED", "TROUBLE"];
        text = text + "\n" + &table(titles, &sources);
    }
    let connectors = list(&status["sinks"]).iter().chain(list(&status["sources"]));
    let waiting: Vec<[String; 4]> = connectors.flat_map(waiting).collect();
    if !waiting.is_empty() {
        text = text + "\n" + &table(["WAITING", "FOR", "CAUSE", "REMEDY"], &waiting);
    }
    let panicked: Vec<[String; 5]> = list(&status["panicked"]).iter().map(part).collect();
    if !panicked.is_empty() {
        let titles = ["PANICKED", "NAME", "PANICS", "NOW", "LAST"];
        text = text + "\n" + &table(titles, &panicked);
    }
    let left: Vec<[String; 6]> = list(&status["stranded"]).iter().map(stranded).collect();
    if !left.is_empty() {
        let titles = ["STRANDED", "WHY", "RECORDS", "BYTES", "DEAD LETTERS", "POSITIONS"];
        text = text + "\n" + &table(titles, &left);
    }
    text
}

fn stranded(left: &Value) -> [String; 6] {
    ["connector", "why", "records", "bytes", "dead_letters", "positions"]
        .map(|field| word(&left[field]))
}

fn part(part: &Value) -> [String; 5] {
    ["part", "name", "panics", "state", "last"].map(|field| word(&part[field]))
}

fn sink(sink: &Value) -> [String; 8] {
    let troubles = list(&sink["subscriptions"]).iter().map(|subscription| &subscription["trouble"]);
    let troubles = troubles.chain([&sink["trouble"], &sink["failed"]]);
    let mut troubles: Vec<String> = troubles.map(word).filter(|text| !text.is_empty()).collect();
    troubles.extend(
        list(&sink["unwell"])
            .iter()
            .map(|unwell| format!("{}: {}", word(&unwell["worker"]), word(&unwell["message"]))),
    );
    if let Some(paused @ 1..) = sink["workers_paused"].as_u64() {
        troubles.push(format!("{paused} paused: a window of 0"));
    }
    [
        word(&sink["connector"]),
        list(&sink["workers"]).len().to_string(),
        word(&sink["unresolved"]["records"]),
        word(&sink["at_workers"]),
        word(&sink["retries_waiting"]),
        word(&sink["suspended"]),
        word(&sink["gaps"]),
        troubles.join("; "),
    ]
}

/// What a connector waits for, and what to do.
fn waiting(connector: &Value) -> impl Iterator<Item = [String; 4]> {
    list(&connector["waiting"]).iter().map(|waiting| {
        let of = |name: &str| word(&waiting[name]);
        [word(&connector["connector"]), of("state"), of("cause"), of("remedy")]
    })
}

fn source(source: &Value) -> [String; 6] {
    let troubles = [&source["trouble"], &source["unwell"]].map(word);
    let troubles: Vec<String> = troubles.into_iter().filter(|text| !text.is_empty()).collect();
    [
        word(&source["connector"]),
        match word(&source["worker"]) {
            none if none.is_empty() => "closed".to_owned(),
            worker => worker,
        },
        word(&source["epoch"]),
        word(&source["demand_records"]),
        word(&source["committed"]),
        troubles.join("; "),
    ]
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A value without quotes; nothing for none.
fn word(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
