//! A publisher with a fixed rate, whatever the others do: each message says when it was
//! sent.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::{
    clock,
    publish::{Load, Publisher},
};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct PaceArgs {
    #[command(flatten)]
    load: Load,
    /// Records a second.
    #[arg(long)]
    rate: u64,
}

/// Publishes so many records, and ends when all are confirmed.
pub async fn run(args: PaceArgs) -> anyhow::Result<()> {
    let publisher = Publisher::connect(&args.load.url, &args.load.topic, "bench-pace").await?;
    let (began, each) = (Instant::now(), Duration::from_secs(1) / u32::try_from(args.rate)?);
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..args.load.records {
        sleep_until(began + each * u32::try_from(number)?).await;
        let mut payload = clock::now().to_le_bytes().to_vec();
        payload.resize(args.load.size.max(payload.len()), b'x');
        let sent = publisher.send(number, payload.into(), format!("key-{}", number % 100));
        sending.spawn(sent);
        while let Some(sent) = sending.try_join_next() {
            sent??;
        }
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}
