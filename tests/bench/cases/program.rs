//! What the program itself takes: memory, time to start, room on the disk.

use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use super::{Effort, subscribe};
use crate::{
    report::{Outcome, Reach, median},
    site::{Site, most_resident, processor, resident},
};

/// What is idle may take so much memory, a start so long, the program so much room.
const IDLE_RSS: f64 = (16 << 20) as f64;
const START_MS: f64 = 50.0;
const BINARY: f64 = (25 << 20) as f64;

/// What may wait for a connector that does not read, beside what the process needs
/// anyway.
const BUFFER: usize = 64 << 20;
const STALLED_RSS: f64 = (BUFFER + (16 << 20)) as f64;
/// Records that wait, and their size: a gibibyte.
const STALLED_RECORDS: &str = "1024";
const STALLED_SIZE: &str = "1048000";
/// Memory that did not grow for so long does not grow any more.
const STILL: Duration = Duration::from_secs(3);

/// Idle subscriptions, what each may take, and how long their idleness is watched.
const TOPICS: usize = 1000;
const PER_TOPIC: f64 = (20 << 10) as f64;
const WATCHED: Duration = Duration::from_secs(5);

/// Resident memory right after the start.
pub async fn idle_rss(site: &mut Site) -> anyhow::Result<Outcome> {
    let broker = site.broker(1000).await?;
    let sidecar = site.sidecar(&broker.url, "").await?;
    Ok(Outcome::new(resident(sidecar.pid()?)? as f64, IDLE_RSS, "bytes", Reach::AtMost(1.0)))
}

/// From exec to ready.
pub async fn start(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    let broker = site.broker(1000).await?;
    let mut took = Vec::new();
    for _ in 0..effort.turns {
        let mut sidecar = site.sidecar(&broker.url, "").await?;
        took.push(sidecar.ready_after.as_secs_f64() * 1000.0);
        sidecar.program.terminate().await?;
    }
    Ok(Outcome::new(median(took), START_MS, "ms", Reach::AtMost(1.0)))
}

/// The program on disk.
pub fn binary() -> anyhow::Result<Outcome> {
    let path = danube_sidecar_tests::program::beside("danube-sidecar")?;
    let bytes = std::fs::metadata(path)?.len() as f64;
    Ok(Outcome::new(bytes, BINARY, "bytes", Reach::AtMost(1.0)))
}

/// Growth while a connector is stopped and a gibibyte waits.
pub async fn stalled_rss(site: &mut Site) -> anyhow::Result<Outcome> {
    let broker = site.broker(1000).await?;
    let topic = "/default/bench-stalled";
    subscribe(site, &broker.url, topic, "ours").await?;
    let config =
        format!("[sidecar]\nmax_buffer_bytes = {BUFFER}\n[danube]\nmax_unacked_messages = 1000\n");
    let sidecar = site.sidecar(&broker.url, &config).await?;
    let sink = ["sink", "--connector", "ours", "--topic", topic, "--records", STALLED_RECORDS];
    let sink = site.role(&sink, Some(&sidecar.address))?;
    sidecar.sink_is(|sink| sink["workers"][0].is_string()).await?;
    let pid = sidecar.pid()?;
    let before = resident(pid)?;
    sink.signal(Signal::SIGSTOP)?;
    let flood = ["flood", "--url", &broker.url, "--topic", topic, "--records", STALLED_RECORDS];
    let more = ["--size", STALLED_SIZE, "--in-flight", "8", "--keys", "1000"];
    site.run(&[&flood[..], &more].concat()).await?;
    let (mut most, mut grew) = (most_resident(pid)?, Instant::now());
    while grew.elapsed() < STILL {
        sleep(STILL / 30).await;
        let now = most_resident(pid)?;
        if now > most {
            (most, grew) = (now, Instant::now());
        }
    }
    sink.signal(Signal::SIGCONT)?;
    let growth = most.saturating_sub(before) as f64;
    Ok(Outcome::new(growth, STALLED_RSS, "bytes", Reach::AtMost(1.0)))
}

/// What an idle subscription takes: many of them against one.
pub async fn topics(site: &mut Site) -> anyhow::Result<Outcome> {
    let (one, some, many) =
        (idle(site, 1).await?, idle(site, TOPICS / 2).await?, idle(site, TOPICS).await?);
    let per_topic = (many.resident - one.resident) / (TOPICS - 1) as f64;
    println!(
        "topics: {:.0} bytes each up to {}, {per_topic:.0} up to {TOPICS}; processor {:.4}, {:.4}, {:.4} s/s",
        (some.resident - one.resident) / (TOPICS / 2 - 1) as f64,
        TOPICS / 2,
        one.processor,
        some.processor,
        many.processor
    );
    Ok(Outcome::new(per_topic, PER_TOPIC, "bytes", Reach::AtMost(1.0)))
}

/// What a sidecar with idle subscriptions takes.
pub struct Idle {
    /// Bytes.
    pub resident: f64,
    /// Seconds of processor time in a second.
    pub processor: f64,
}

/// Measures a sidecar with so many idle subscriptions.
pub async fn idle(site: &mut Site, topics: usize) -> anyhow::Result<Idle> {
    let broker = site.broker(1000).await?;
    let prefix = "/default/idle-";
    let count = topics.to_string();
    site.run(&["topics", "--url", &broker.url, "--prefix", prefix, "--count", &count]).await?;
    let each = (0..topics).map(|number| format!("{{ topic = \"{prefix}{number}\" }}"));
    let subscriptions = each.collect::<Vec<_>>().join(", ");
    let config = format!("[connectors.ours]\nsubscriptions = [{subscriptions}]\n");
    let sidecar = site.sidecar(&broker.url, &config).await?;
    let sink = ["sink", "--connector", "ours", "--topic", "/default/idle-0", "--records", "1"];
    let _sink = site.role(&sink, Some(&sidecar.address))?;
    let attached = |of: &serde_json::Value| of["partitions_attached"].as_u64() == Some(1);
    sidecar
        .sink_is(|sink| {
            let all = sink["subscriptions"].as_array();
            all.is_some_and(|all| all.len() == topics && all.iter().all(attached))
        })
        .await?;
    // What the attaching needed is given back, or counts.
    sleep(WATCHED / 5).await;
    let pid = sidecar.pid()?;
    let before = processor(pid)?;
    sleep(WATCHED).await;
    let processor = (processor(pid)? - before) / WATCHED.as_secs_f64();
    Ok(Idle { resident: resident(pid)? as f64, processor })
}
