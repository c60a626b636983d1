//! How much later a record is written than a loop in the process would write it.

use super::{Effort, Rows, SIZE, subscribe};
use crate::{
    report::{Outcome, Reach},
    roles::clock::Latencies,
    site::{Site, measured},
};

/// Records a second.
const RATE: u64 = 1000;
/// What the sidecar and its connector may add, in microseconds.
const ADDED_P50: f64 = 200.0;
const ADDED_P99: f64 = 1000.0;

/// From publish to effect at a fixed rate, ours and then the loop, at the same broker.
pub async fn added(effort: Effort, site: &mut Site) -> anyhow::Result<Rows> {
    let broker = site.broker(1000).await?;
    let many = (RATE * effort.seconds).to_string();

    let topic = "/default/bench-ours";
    subscribe(site, &broker.url, topic, "ours").await?;
    let sidecar = site.sidecar(&broker.url, "[danube]\nmax_unacked_messages = 1000\n").await?;
    let sink = ["sink", "--connector", "ours", "--topic", topic, "--latencies"];
    let mut sink =
        site.role(&[&sink[..], &["--records", &many]].concat(), Some(&sidecar.address))?;
    sidecar.sink_is(|sink| sink["workers"][0].is_string()).await?;
    pace(site, &broker.url, topic, &many).await?;
    let ours: Latencies = measured(&mut sink).await?;
    sink.kill().await?;
    drop(sidecar);

    let topic = "/default/bench-peer";
    subscribe(site, &broker.url, topic, "peer").await?;
    let consume = ["consume", "--url", &broker.url, "--topic", topic, "--subscription", "peer"];
    let more = ["--latencies", "--records", &many];
    let mut consume = site.role(&[&consume[..], &more].concat(), None)?;
    pace(site, &broker.url, topic, &many).await?;
    let peer: Latencies = measured(&mut consume).await?;

    println!("latency: ours {ours:.0?}, the loop {peer:.0?} (microseconds)");
    let row = |ours: f64, peer: f64, limit| {
        Outcome::new(ours - peer, limit, "µs added", Reach::AtMost(1.0))
    };
    Ok(vec![
        ("latency_p50", row(ours.p50, peer.p50, ADDED_P50)),
        ("latency_p99", row(ours.p99, peer.p99, ADDED_P99)),
    ])
}

async fn pace(site: &mut Site, url: &str, topic: &str, many: &str) -> anyhow::Result<()> {
    let rate = RATE.to_string();
    let pace = ["pace", "--url", url, "--topic", topic, "--records", many, "--size", SIZE];
    site.run(&[&pace[..], &["--rate", &rate]].concat()).await
}
