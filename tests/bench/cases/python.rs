//! A sink in Python: what the sidecar costs it.

use super::{Effort, SIZE, turns::turns};
use crate::{
    report::{Outcome, Reach},
    roles::Measured,
    site::{Site, measured},
};

/// Records of a batch and in hand, as the bare stream has them.
const BATCH: &str = "1000";
const WINDOW: &str = "4000";

/// Through the sidecar without a broker, against a bare stream of the same batches to
/// the same program.
pub async fn python(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    let records = (effort.records * 10).to_string();
    turns(effort, site, "records/s", Reach::AtLeast(0.8), async |site| {
        let mut rates = [0.0; 2];
        for (rate, server) in rates.iter_mut().zip(["hop-sidecar", "bare-server"]) {
            let mut server = site.role(&[server, "--size", SIZE], None)?;
            let address = server.line("http://").await?.trim().to_owned();
            let mut sink = site.python(&[&records, BATCH, WINDOW], &address)?;
            *rate = measured::<Measured>(&mut sink).await?.rate;
            sink.kill().await?;
            server.kill().await?;
        }
        Ok(rates.into())
    })
    .await
}
