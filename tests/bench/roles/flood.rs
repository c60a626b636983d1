//! Raw SendMessage calls, many in flight: what the broker can take.

use futures::{StreamExt as _, stream};

use super::{
    Meter,
    publish::{Load, Publisher},
    report,
};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct FloodArgs {
    #[command(flatten)]
    load: Load,
    /// Calls at a time.
    #[arg(long)]
    in_flight: usize,
    /// Routing keys.
    #[arg(long)]
    keys: u64,
}

/// Publishes so many records.
pub async fn run(args: FloodArgs) -> anyhow::Result<()> {
    let publisher = Publisher::connect(&args.load.url, &args.load.topic, "bench-flood").await?;
    let payload = bytes::Bytes::from(vec![b'x'; args.load.size]);
    let sending = stream::iter(0..args.load.records).map(|number| {
        publisher.send(number, payload.clone(), format!("key-{}", number % args.keys))
    });
    let mut sending = sending.buffer_unordered(args.in_flight);
    let mut meter = Meter::new(args.load.records);
    while let Some(sent) = sending.next().await {
        sent?;
        if let Some(measured) = meter.add(1) {
            report(&measured)?;
        }
    }
    Ok(())
}
