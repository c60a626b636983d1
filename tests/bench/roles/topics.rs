//! Makes many topics.

use super::publish::Publisher;

/// The command line.
#[derive(Debug, clap::Args)]
pub struct TopicsArgs {
    /// The broker.
    #[arg(long)]
    url: String,
    /// What their names begin with.
    #[arg(long)]
    prefix: String,
    /// How many.
    #[arg(long)]
    count: u64,
}

/// Makes them, one after the other.
pub async fn run(args: TopicsArgs) -> anyhow::Result<()> {
    for number in 0..args.count {
        let topic = format!("{}{number}", args.prefix);
        Publisher::connect(&args.url, &topic, "bench-topics").await?;
    }
    Ok(())
}
