//! `publish`: messages from the command line, to try things out.

use std::{
    io::{BufRead as _, stdin},
    time::Duration,
};

use danube_sidecar_broker::{Cluster, ClusterConfig, Outbound, ProducerSpec};
use tokio::time::timeout;

use crate::cli::Publish;

/// How long the broker may take for one message.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The url is none.
    #[error(transparent)]
    Cluster(#[from] danube_sidecar_broker::ClusterError),
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(#[from] std::io::Error),
    /// The broker does not confirm.
    #[error(
        "the broker at {url} did not confirm within {} s ({published} were published before): is \
         it running? Name another with --broker URL",
        PATIENCE.as_secs()
    )]
    NotConfirmed {
        /// The broker.
        url: String,
        /// Messages that are in.
        published: usize,
    },
    /// The message can never be published.
    #[error(transparent)]
    Refused(#[from] danube_sidecar_broker::PublishError),
}

/// Publishes the messages, in order; without any, the lines of standard input.
/// Tells how many.
///
/// # Errors
/// At the first that is not confirmed.
pub async fn run(publish: Publish) -> Result<usize, Error> {
    let config = ClusterConfig { service_url: publish.broker.clone(), ..ClusterConfig::default() };
    let cluster = Cluster::new(config)?;
    let publisher = cluster.publisher(ProducerSpec {
        topic: publish.topic.as_str().into(),
        partitions: publish.partitions,
        reliable: true,
        producer_name: "danube-sidecar-publish".into(),
        schema_subject: None,
    });
    let messages: Box<dyn Iterator<Item = std::io::Result<String>>> = match publish.messages {
        messages if messages.is_empty() => Box::new(stdin().lock().lines()),
        messages => Box::new(messages.into_iter().map(Ok)),
    };
    let mut published = 0;
    for message in messages {
        let message = Outbound {
            payload: message?.into(),
            key: publish.key.as_deref().map(Into::into),
            partition_by: None,
            attributes: publish.attributes.clone(),
            schema: None,
        };
        let Ok(confirmed) = timeout(PATIENCE, publisher.publish(message)).await else {
            return Err(Error::NotConfirmed { url: publish.broker, published });
        };
        confirmed?;
        published += 1;
    }
    cluster.shutdown().await;
    Ok(published)
}
