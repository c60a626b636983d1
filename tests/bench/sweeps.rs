//! How the cost grows: with the payload, with partitions, with workers, with topics. Each
//! becomes a plot.

use std::{fs, path::Path};

use crate::{
    cases::{self, idle},
    plot::{self, Axis, Plot},
    site::{Sidecar, Site},
};

/// Bytes of a record, and how many bytes or records a run moves at most.
const PAYLOADS: [usize; 8] = [64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20];
const BYTES: usize = 256 << 20;
const RECORDS: usize = 100_000;
const PARTITIONS: [usize; 4] = [1, 4, 16, 64];
const WORKERS: [usize; 4] = [1, 2, 4, 8];
const TOPICS: [usize; 4] = [1, 10, 100, 1000];
/// Bytes of a record, where something else grows.
const SIZE: usize = 256;

/// Measures all of them and writes the plots into this folder.
pub async fn run(folder: &Path, plots: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(plots)?;
    let (mut rates, mut megabytes) = (Vec::new(), Vec::new());
    for size in PAYLOADS {
        let records = RECORDS.min(BYTES / size);
        let rate = sunk(&Load { size, records, ..Load::default() }, folder).await?;
        println!("payload {size} B: {rate:.0} records/s, {:.1} MB/s", rate * size as f64 / 1e6);
        rates.push((size as f64, rate));
        megabytes.push((size as f64, rate * size as f64 / 1e6));
    }
    let payload = |y, points| Plot { x: Axis::log_bytes("a record"), y, points };
    plot::draw(&plots.join("payload-records.svg"), &payload(Axis::log("records/s"), rates))?;
    plot::draw(&plots.join("payload-bytes.svg"), &payload(Axis::log("MB/s"), megabytes))?;

    let mut rates = Vec::new();
    for partitions in PARTITIONS {
        let rate = sunk(&Load { partitions, ..Load::default() }, folder).await?;
        println!("{partitions} partitions: {rate:.0} records/s");
        rates.push((partitions as f64, rate));
    }
    let partitions =
        Plot { x: Axis::log("partitions"), y: Axis::linear("records/s"), points: rates };
    plot::draw(&plots.join("partitions.svg"), &partitions)?;

    let mut rates = Vec::new();
    for workers in WORKERS {
        let rate = sunk(&Load { workers, ..Load::default() }, folder).await?;
        println!("{workers} workers: {rate:.0} records/s");
        rates.push((workers as f64, rate));
    }
    let workers = Plot { x: Axis::log("workers"), y: Axis::linear("records/s"), points: rates };
    plot::draw(&plots.join("workers.svg"), &workers)?;

    let mut memory = Vec::new();
    for topics in TOPICS {
        let mut site = Site::new(&folder.join(format!("topics-{topics}")))?;
        let idle = idle(&mut site, topics).await?;
        let mebibytes = idle.resident / f64::from(1 << 20);
        println!("{topics} topics: {mebibytes:.1} MiB, {:.4} s/s of processor", idle.processor);
        memory.push((topics as f64, mebibytes));
    }
    let topics = Plot {
        x: Axis::log("idle subscriptions"),
        y: Axis::linear("MiB resident"),
        points: memory,
    };
    plot::draw(&plots.join("topics.svg"), &topics)
}

/// What is sunk.
struct Load {
    size: usize,
    records: usize,
    partitions: usize,
    workers: usize,
}

impl Default for Load {
    fn default() -> Self {
        Self { size: SIZE, records: RECORDS, partitions: 1, workers: 1 }
    }
}

/// Records a second from the broker through pass-through to sinks that only count, until
/// they are resolved.
async fn sunk(load: &Load, folder: &Path) -> anyhow::Result<f64> {
    let name = format!("{}-{}-{}", load.size, load.partitions, load.workers);
    let mut site = Site::new(&folder.join(name))?;
    let broker = site.broker(1000).await?;
    let topic = "/default/bench-sweep";
    let parts: Vec<String> = match load.partitions {
        1 => vec![topic.to_owned()],
        many => (0..many).map(|part| format!("{topic}-part-{part}")).collect(),
    };
    let share = (load.records / parts.len()).to_string();
    for part in &parts {
        cases::subscribe(&mut site, &broker.url, part, "ours").await?;
    }
    for part in &parts {
        let size = load.size.to_string();
        let flood = ["flood", "--url", &broker.url, "--topic", part, "--records", &share];
        let more = ["--size", &size, "--in-flight", "64", "--keys", "1000"];
        site.run(&[&flood[..], &more].concat()).await?;
    }
    let sidecar = site.sidecar(&broker.url, "[danube]\nmax_unacked_messages = 1000\n").await?;
    let mut sinks = Vec::new();
    for _ in 0..load.workers {
        // None of them gets as many: they count until they are killed.
        let sink = ["sink", "--connector", "ours", "--topic", topic, "--records", "1000000000"];
        sinks.push(site.role(&sink, Some(&sidecar.address))?);
    }
    rate_of(&sidecar, load.records / parts.len() * parts.len()).await
}

/// How fast records are resolved, without the first tenth.
async fn rate_of(sidecar: &Sidecar, records: usize) -> anyhow::Result<f64> {
    let (warm, since) = sidecar.resolved(records as f64 / 10.0).await?;
    let (all, until) = sidecar.resolved(records as f64).await?;
    Ok((all - warm) / (until - since).as_secs_f64())
}
