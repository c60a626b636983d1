//! The cases: ours and its peer in turn, several times; the medians are compared.

mod latency;
mod program;
mod python;
mod turns;

use anyhow::bail;

pub use self::program::idle;
use self::turns::turns;

use crate::{
    report::{Outcome, Reach},
    roles::Measured,
    site::{Site, measured},
};

/// Bytes of a record.
const SIZE: &str = "256";
/// The pause of the loop that Danube's own connector runtime has.
const NATIVE_PAUSE_MS: &str = "100";

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// How often ours and its peer take turns.
    pub turns: usize,
    /// Records of a turn, of the fast cases.
    pub records: u64,
    /// How long latencies are measured.
    pub seconds: u64,
    /// What a hand-written loop makes at least, in records/s.
    pub slowest_peer: f64,
}

/// The names of all cases, in the order in which they run.
pub const NAMES: [&str; 14] = [
    "hop",
    "sink",
    "sink_window10",
    "inbox",
    "source",
    "source_limit",
    "latency",
    "native",
    "python",
    "idle_rss",
    "stalled_rss",
    "start",
    "binary",
    "topics",
];

/// Rows of the table.
type Rows = Vec<(&'static str, Outcome)>;

/// Runs a case.
pub async fn run(name: &'static str, effort: Effort, mut site: Site) -> anyhow::Result<Rows> {
    let site = &mut site;
    let outcome = match name {
        "hop" => hop(effort, site).await,
        "sink" => sink(effort, site, 1000, false, 4.0).await,
        "sink_window10" => sink(effort, site, 10, false, 2.0).await,
        "inbox" => sink(effort, site, 1000, true, 2.0).await,
        "source" => source(effort, site).await,
        "source_limit" => source_limit(effort, site).await,
        "latency" => return latency::added(effort, site).await,
        "native" => native(effort, site).await,
        "python" => python::python(effort, site).await,
        "idle_rss" => program::idle_rss(site).await,
        "stalled_rss" => program::stalled_rss(site).await,
        "start" => program::start(effort, site).await,
        "binary" => program::binary(),
        "topics" => program::topics(site).await,
        other => bail!("there is no case {other}; choose from {}", NAMES.join(", ")),
    };
    Ok(vec![(name, outcome?)])
}

/// Through the sidecar without a broker, against a bare stream of the same batches.
async fn hop(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    let records = (effort.records * 20).to_string();
    turns(effort, site, "records/s", Reach::AtLeast(0.5), async |site| {
        let mut sidecar = site.role(&["hop-sidecar", "--size", SIZE], None)?;
        let address = sidecar.line("http://").await?;
        let sink = ["sink", "--connector", "bench", "--topic", "/default/bench", "--records"];
        let mut sink = site.role(&[&sink[..], &[&records]].concat(), Some(&address))?;
        let ours = measured::<Measured>(&mut sink).await?.rate;
        sink.kill().await?;
        sidecar.kill().await?;

        let mut server = site.role(&["bare-server", "--size", SIZE], None)?;
        let address = server.line("http://").await?;
        let mut client =
            site.role(&["bare-client", "--address", &address, "--records", &records], None)?;
        let peer = measured::<Measured>(&mut client).await?.rate;
        server.kill().await?;
        Ok((ours, peer))
    })
    .await
}

/// From the broker's wire to the sink and its acks, against the hand-written loop.
async fn sink(
    effort: Effort,
    site: &mut Site,
    window: usize,
    inbox: bool,
    reach: f64,
) -> anyhow::Result<Outcome> {
    let topic = "/default/bench";
    let outcome = turns(effort, site, "records/s", Reach::AtLeast(reach), async |site| {
        let broker = site.broker(window).await?;
        for subscription in ["ours", "peer"] {
            subscribe(site, &broker.url, topic, subscription).await?;
        }
        // What the loop gets through in the time of ours is enough for it.
        let few = (effort.records / 5).to_string();
        let many = effort.records.to_string();
        flood(site, &broker.url, topic, &many).await?;

        let data = site.data();
        let storage = match inbox {
            true => format!("[sidecar]\ndata_dir = \"{}\"", data.display()),
            false => String::new(),
        };
        let config = format!("{storage}\n[danube]\nmax_unacked_messages = {window}\n");
        let mut sidecar = site.sidecar(&broker.url, &config).await?;
        let sink = ["sink", "--connector", "ours", "--topic", topic, "--records", &many];
        let mut sink = site.role(&sink, Some(&sidecar.address))?;
        let ours = measured::<Measured>(&mut sink).await?.rate;
        // Only what the broker has answered counts: nothing is left when it has ended.
        sink.terminate().await?;
        sidecar.program.terminate().await?;

        let consume = ["consume", "--url", &broker.url, "--topic", topic, "--subscription", "peer"];
        let mut consume = site.role(&[&consume[..], &["--records", &few]].concat(), None)?;
        let peer = measured::<Measured>(&mut consume).await?.rate;
        consume.kill().await?;
        Ok((ours, peer))
    });
    with_sound_peer(effort, outcome.await?)
}

/// From a source to the broker's confirmations, against the hand-written loop.
async fn source(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    let outcome = turns(effort, site, "records/s", Reach::AtLeast(4.0), async |site| {
        let ours = published(effort, site).await?;
        let broker = site.broker(1000).await?;
        let few = (effort.records / 5).to_string();
        let produce =
            ["produce", "--url", &broker.url, "--topic", "/default/bench", "--size", SIZE];
        let mut produce = site.role(&[&produce[..], &["--records", &few]].concat(), None)?;
        Ok((ours, measured::<Measured>(&mut produce).await?.rate))
    });
    with_sound_peer(effort, outcome.await?)
}

/// The same against raw calls, 64 in flight.
async fn source_limit(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    turns(effort, site, "records/s", Reach::AtLeast(0.8), async |site| {
        let ours = published(effort, site).await?;
        let broker = site.broker(1000).await?;
        let many = effort.records.to_string();
        let flood = flood_of(&broker.url, "/default/bench", &many);
        let mut flood = site.role(&flood, None)?;
        Ok((ours, measured::<Measured>(&mut flood).await?.rate))
    })
    .await
}

async fn published(effort: Effort, site: &mut Site) -> anyhow::Result<f64> {
    let broker = site.broker(1000).await?;
    let sidecar = site.sidecar(&broker.url, "").await?;
    let many = effort.records.to_string();
    let source = ["source", "--connector", "ours", "--topic", "/default/bench", "--size", SIZE];
    let more = ["--keys", "1000", "--records", &many];
    let mut source = site.role(&[&source[..], &more].concat(), Some(&sidecar.address))?;
    Ok(measured::<Measured>(&mut source).await?.rate)
}

fn with_sound_peer(effort: Effort, outcome: Outcome) -> anyhow::Result<Outcome> {
    if outcome.peer < effort.slowest_peer {
        bail!(
            "the hand-written loop makes only {:.0} records/s, and {:.0} are the least to compare \
             with: it is broken, or this machine is too slow or too busy",
            outcome.peer,
            effort.slowest_peer
        );
    }
    Ok(outcome)
}

/// The same as `sink`, against the shape of Danube's own connector runtime: a message,
/// and a pause.
async fn native(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    let broker = site.broker(1000).await?;
    let topic = "/default/bench-native";
    for subscription in ["ours", "peer"] {
        subscribe(site, &broker.url, topic, subscription).await?;
    }
    let many = effort.records.to_string();
    flood(site, &broker.url, topic, &many).await?;
    let sidecar = site.sidecar(&broker.url, "[danube]\nmax_unacked_messages = 1000\n").await?;
    let sink = ["sink", "--connector", "ours", "--topic", topic, "--records", &many];
    let mut sink = site.role(&sink, Some(&sidecar.address))?;
    let ours = measured::<Measured>(&mut sink).await?.rate;
    let consume = ["consume", "--url", &broker.url, "--topic", topic, "--subscription", "peer"];
    let slowly = ["--records", "50", "--pause-ms", NATIVE_PAUSE_MS];
    let mut consume = site.role(&[&consume[..], &slowly].concat(), None)?;
    let peer = measured::<Measured>(&mut consume).await?.rate;
    Ok(Outcome::new(ours, peer, "records/s", Reach::AtLeast(1000.0)))
}

/// A subscription begins when it is made: before its messages.
pub async fn subscribe(site: &mut Site, url: &str, topic: &str, name: &str) -> anyhow::Result<()> {
    let create = ["produce", "--url", url, "--topic", topic, "--size", "1", "--records", "0"];
    site.run(&create).await?;
    let consume = ["consume", "--url", url, "--topic", topic, "--subscription", name];
    site.run(&[&consume[..], &["--records", "0"]].concat()).await
}

async fn flood(site: &mut Site, url: &str, topic: &str, records: &str) -> anyhow::Result<()> {
    let flood = flood_of(url, topic, records);
    site.run(&flood).await
}

fn flood_of<'a>(url: &'a str, topic: &'a str, records: &'a str) -> Vec<&'a str> {
    let flood = ["flood", "--url", url, "--topic", topic, "--records", records, "--size", SIZE];
    [&flood[..], &["--in-flight", "64", "--keys", "1000"]].concat()
}
