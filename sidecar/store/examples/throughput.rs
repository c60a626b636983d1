//! How fast an inbox is here:
//! `cargo run --release -p danube-sidecar-store --example throughput`

use std::{
    collections::HashMap,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use danube_sidecar_core::record::{Identity, Record};
use danube_sidecar_store::{Inbox, InboxSettings, Store};

type Failed = Box<dyn Error>;

const SETTINGS: InboxSettings =
    InboxSettings { fsync: false, max_bytes: 8 << 30, retain: Duration::ZERO };

#[tokio::main]
async fn main() -> Result<(), Failed> {
    for (size, batch, total) in
        [(256, 1, 50_000), (256, 100, 1_000_000), (256, 1000, 1_000_000), (65_536, 16, 8_000)]
    {
        appends(size, batch, total).await?;
    }
    through(256, 100, 1_000_000).await
}

async fn appends(size: usize, batch: u64, total: u64) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let inbox = Store::open(dir.path())?.inbox("sink", SETTINGS).await?;
    let (mut slowest, start) = (Duration::ZERO, Instant::now());
    for first in (0..total).step_by(batch as usize) {
        let one = Instant::now();
        inbox.append(records(first, batch, size)).await?;
        slowest = slowest.max(one.elapsed());
    }
    let rate = total as f64 / start.elapsed().as_secs_f64();
    println!(
        "append {size} B in batches of {batch}: {rate:.0}/s, slowest {slowest:?}, {}",
        memory()
    );
    drop(inbox);
    let start = Instant::now();
    let inbox = Store::open(dir.path())?.inbox("sink", SETTINGS).await?;
    println!("  opened with {} waiting in {:?}", inbox.usage().records, start.elapsed());
    Ok(())
}

/// Appends, and reads and resolves behind it, at the same time.
async fn through(size: usize, batch: u64, total: u64) -> Result<(), Failed> {
    let dir = tempfile::tempdir()?;
    let inbox = Store::open(dir.path())?.inbox("sink", SETTINGS).await?;
    let start = Instant::now();
    let (appended, resolved) = tokio::join!(
        async {
            for first in (0..total).step_by(batch as usize) {
                inbox.append(records(first, batch, size)).await?;
            }
            Ok::<_, Failed>(())
        },
        drain(&inbox, total),
    );
    appended.and(resolved)?;
    let rate = total as f64 / start.elapsed().as_secs_f64();
    println!("append, read and resolve {size} B: {rate:.0}/s, {}", memory());
    Ok(())
}

async fn drain(inbox: &Inbox, total: u64) -> Result<(), Failed> {
    let mut last = 0;
    while last < total {
        let entries = inbox.read(last, 1000, 1 << 20).await?;
        last = entries.last().map_or(last, |entry| entry.seq);
        inbox.resolve(entries.iter().map(|entry| entry.seq).collect()).await?;
    }
    Ok(())
}

fn records(first: u64, count: u64, size: usize) -> Vec<Arc<Record>> {
    let record = |offset| Record {
        identity: Identity {
            partition: "/default/orders-part-0".into(),
            offset,
            producer: "shop".into(),
            request_id: offset,
            publish_time_ms: 1_700_000_000_000,
        },
        topic: "/default/orders".into(),
        subscription: "sub".into(),
        key: Some("customer".into()),
        payload: vec![7; size].into(),
        attributes: HashMap::new(),
        schema: None,
    };
    (first..first + count).map(|offset| Arc::new(record(offset))).collect()
}

/// The most this process has had in memory.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find(|line| line.starts_with("VmHWM"));
    peak.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap_or_default()
}
