//! Raw SendMessage calls.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use bytes::Bytes;
use danube_core::proto::{
    DispatchStrategy, MsgId, ProducerAccessMode, ProducerRequest, StreamMessage,
    producer_service_client::ProducerServiceClient,
};
use tonic::transport::{Channel, Endpoint};

/// What all publishers are told.
#[derive(Debug, clap::Args)]
pub struct Load {
    /// The broker.
    #[arg(long)]
    pub url: String,
    /// The topic.
    #[arg(long)]
    pub topic: String,
    /// How many records; none: the topic is only created.
    #[arg(long)]
    pub records: u64,
    /// Bytes of each.
    #[arg(long)]
    pub size: usize,
}

/// A producer of one topic.
pub struct Publisher {
    client: ProducerServiceClient<Channel>,
    producer_id: u64,
    topic: String,
    name: &'static str,
}

impl Publisher {
    /// Creates it, and the topic as needed.
    pub async fn connect(url: &str, topic: &str, name: &'static str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?.tcp_nodelay(true).connect().await?;
        // As large as the broker takes them.
        let mut client = ProducerServiceClient::new(channel).max_encoding_message_size(8 << 20);
        let request = ProducerRequest {
            request_id: 1,
            producer_name: name.to_owned(),
            topic_name: topic.to_owned(),
            schema_ref: None,
            producer_access_mode: ProducerAccessMode::Shared.into(),
            dispatch_strategy: DispatchStrategy::Reliable.into(),
        };
        let producer_id = client.create_producer(request).await?.into_inner().producer_id;
        Ok(Self { client, producer_id, topic: topic.to_owned(), name })
    }

    /// Sends a message, and waits for the broker's word.
    pub fn send(
        &self,
        number: u64,
        payload: Bytes,
        key: String,
    ) -> impl Future<Output = anyhow::Result<()>> + Send + 'static {
        let mut client = self.client.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let message = StreamMessage {
            request_id: number + 1,
            msg_id: Some(MsgId {
                producer_id: self.producer_id,
                topic_name: self.topic.clone(),
                ..MsgId::default()
            }),
            payload,
            publish_time: now.as_millis() as u64,
            producer_name: self.name.to_owned(),
            subscription_name: String::new(),
            attributes: HashMap::new(),
            schema_id: None,
            schema_version: None,
            routing_key: Some(key),
        };
        async move {
            client.send_message(message).await.context("a message is refused")?;
            Ok(())
        }
    }
}
