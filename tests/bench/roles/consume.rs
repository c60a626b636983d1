//! The loop that people write by hand with danube-client: receive, then ack.

use std::time::Duration;

use anyhow::Context as _;
use danube_client::{Consumer, DanubeClient, SubType};

use super::{Meter, clock::Stopwatch, report};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct ConsumeArgs {
    /// The broker.
    #[arg(long)]
    url: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// The subscription, and its consumer's name.
    #[arg(long)]
    subscription: String,
    /// How many records; none: it only subscribes, and leaves.
    #[arg(long)]
    records: u64,
    /// A pause after each, as the loop of Danube's own connector runtime makes it.
    #[arg(long, default_value_t = 0)]
    pause_ms: u64,
    /// Whether it tells how long records took, instead of how many came.
    #[arg(long)]
    latencies: bool,
}

/// Consumes so many records.
pub async fn run(args: ConsumeArgs) -> anyhow::Result<()> {
    let mut consumer = subscribe(&args).await?;
    let mut messages = consumer.receive().await?;
    let mut meter = Meter::new(args.records);
    let mut stopwatch = Stopwatch::new(args.records);
    for _ in 0..args.records {
        let message = messages.recv().await.context("the stream ended")?;
        if args.latencies {
            if let Some(latencies) = stopwatch.arrived(&message.payload) {
                report(&latencies)?;
            }
            consumer.ack(&message).await?;
            continue;
        }
        consumer.ack(&message).await?;
        if let Some(measured) = meter.add(1) {
            report(&measured)?;
        }
        if args.pause_ms > 0 {
            tokio::time::sleep(Duration::from_millis(args.pause_ms)).await;
        }
    }
    consumer.close().await;
    Ok(())
}

async fn subscribe(args: &ConsumeArgs) -> anyhow::Result<Consumer> {
    let client = DanubeClient::builder().service_url(&args.url).build().await?;
    let mut consumer = client
        .new_consumer()
        .with_topic(args.topic.as_str())
        .with_consumer_name(args.subscription.as_str())
        .with_subscription(args.subscription.as_str())
        .with_subscription_type(SubType::Exclusive)
        .build()?;
    consumer.subscribe().await?;
    Ok(consumer)
}
