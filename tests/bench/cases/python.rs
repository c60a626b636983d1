//! A sink in Python: what the sidecar costs it.

use super::{Effort, SIZE};
use crate::{
    report::{Outcome, Reach, median},
    roles::Measured,
    site::{Site, measured},
};

/// Records of a batch and in hand, as the bare stream has them.
const BATCH: &str = "1000";
const WINDOW: &str = "4000";

/// Through the sidecar without a broker, against a bare stream of the same batches to
/// the same program.
pub async fn python(effort: Effort, site: &mut Site) -> anyhow::Result<Outcome> {
    let records = effort.records.to_string();
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..effort.turns {
        for (server, rates) in [("hop-sidecar", &mut ours), ("bare-server", &mut peer)] {
            let mut server = site.role(&[server, "--size", SIZE], None)?;
            let address = server.line("http://").await?.trim().to_owned();
            let mut sink = site.python(&[&records, BATCH, WINDOW], &address)?;
            rates.push(measured::<Measured>(&mut sink).await?.rate);
            sink.kill().await?;
            server.kill().await?;
        }
    }
    Ok(Outcome::new(median(ours), median(peer), "records/s", Reach::AtLeast(0.8)))
}
