//! Asks the service url for its health, all the time.

use std::time::Duration;

use danube_core::proto::health_check_request::ClientType;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    backoff::Backoff,
    cluster::{BrokerHealth, Cluster, WeakCluster},
    error::CallError,
};

const INTERVAL: Duration = Duration::from_secs(5);

/// Reports into `report` until `stop`, or until the cluster is gone.
pub(crate) async fn run(
    cluster: WeakCluster,
    stop: CancellationToken,
    report: watch::Sender<BrokerHealth>,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(1));
    loop {
        let Some(cluster) = cluster.upgrade() else { return };
        let checked = tokio::select! {
            () = stop.cancelled() => return,
            checked = check(&cluster) => checked,
        };
        let pause = if checked.is_ok() { INTERVAL } else { backoff.pause() };
        if checked.is_ok() {
            backoff.reset();
        }
        publish(&cluster, &report, checked);
        drop(cluster);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

fn publish(
    cluster: &Cluster,
    report: &watch::Sender<BrokerHealth>,
    checked: Result<(), CallError>,
) {
    let url = cluster.service_uri();
    let health = match checked {
        Ok(()) => BrokerHealth::Up,
        Err(error) => BrokerHealth::Down {
            detail: format!(
                "no Danube broker answers at {url} ({error}): is it running, and is danube_service_url right?"
            ),
        },
    };
    if *report.borrow() == health {
        return;
    }
    report.send_replace(health);
}

/// Any consumer's health will do: that the broker answers is what counts.
async fn check(cluster: &Cluster) -> Result<(), CallError> {
    cluster.service_route().await?.connected(ClientType::Consumer, 0).await.map(drop)
}
