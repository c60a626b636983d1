//! The loop that people write by hand with danube-client: send, and wait.

use danube_client::DanubeClient;

use super::{Meter, publish::Load, report};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct ProduceArgs {
    #[command(flatten)]
    load: Load,
}

/// Publishes so many records, one after the other.
pub async fn run(args: ProduceArgs) -> anyhow::Result<()> {
    let client = DanubeClient::builder().service_url(&args.load.url).build().await?;
    let mut producer = client
        .new_producer()
        .with_topic(args.load.topic.as_str())
        .with_name("bench-produce")
        .with_reliable_dispatch()
        .build()?;
    producer.create().await?;
    let mut meter = Meter::new(args.load.records);
    for _ in 0..args.load.records {
        producer.send(vec![b'x'; args.load.size], None).await?;
        if let Some(measured) = meter.add(1) {
            report(&measured)?;
        }
    }
    Ok(())
}
