//! The loop that people write by hand with danube-client: send, and wait.

use danube_client::DanubeClient;

use super::{Meter, report};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct ProduceArgs {
    /// The broker.
    #[arg(long)]
    url: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// How many records; none: the topic is only created.
    #[arg(long)]
    records: u64,
    /// Bytes of each.
    #[arg(long)]
    size: usize,
}

/// Publishes so many records, one after the other.
pub async fn run(args: ProduceArgs) -> anyhow::Result<()> {
    let client = DanubeClient::builder().service_url(&args.url).build().await?;
    let mut producer = client
        .new_producer()
        .with_topic(args.topic.as_str())
        .with_name("bench-produce")
        .with_reliable_dispatch()
        .build()?;
    producer.create().await?;
    let mut meter = Meter::new(args.records);
    for _ in 0..args.records {
        producer.send(vec![b'x'; args.size], None).await?;
        if let Some(measured) = meter.add(1) {
            report(&measured)?;
        }
    }
    Ok(())
}
