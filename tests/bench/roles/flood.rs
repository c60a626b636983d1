//! Raw SendMessage calls, many in flight: what the broker can take.

use std::{
    collections::HashMap,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use danube_core::proto::{
    DispatchStrategy, MsgId, ProducerAccessMode, ProducerRequest, StreamMessage,
    producer_service_client::ProducerServiceClient,
};
use futures::{StreamExt as _, stream};
use tonic::transport::Endpoint;

use super::{Meter, report};

/// The command line.
#[derive(Debug, clap::Args)]
pub struct FloodArgs {
    /// The broker.
    #[arg(long)]
    url: String,
    /// The topic.
    #[arg(long)]
    topic: String,
    /// How many records.
    #[arg(long)]
    records: u64,
    /// Bytes of each.
    #[arg(long)]
    size: usize,
    /// Calls at a time.
    #[arg(long)]
    in_flight: usize,
    /// Routing keys.
    #[arg(long)]
    keys: u64,
}

/// Publishes so many records.
pub async fn run(args: FloodArgs) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(args.url.clone())?.tcp_nodelay(true).connect().await?;
    let mut client = ProducerServiceClient::new(channel);
    let request = ProducerRequest {
        request_id: 1,
        producer_name: "bench-flood".to_owned(),
        topic_name: args.topic.clone(),
        schema_ref: None,
        producer_access_mode: ProducerAccessMode::Shared.into(),
        dispatch_strategy: DispatchStrategy::Reliable.into(),
    };
    let producer_id = client.create_producer(request).await?.into_inner().producer_id;
    let payload = bytes::Bytes::from(vec![b'x'; args.size]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let message = |number: u64| StreamMessage {
        request_id: number + 1,
        msg_id: Some(MsgId { producer_id, topic_name: args.topic.clone(), ..MsgId::default() }),
        payload: payload.clone(),
        publish_time: now,
        producer_name: "bench-flood".to_owned(),
        subscription_name: String::new(),
        attributes: HashMap::new(),
        schema_id: None,
        schema_version: None,
        routing_key: Some(format!("key-{}", number % args.keys)),
    };
    let sending = stream::iter(0..args.records).map(|number| {
        let (mut client, message) = (client.clone(), message(number));
        async move { client.send_message(message).await }
    });
    let mut sending = sending.buffer_unordered(args.in_flight);
    let mut meter = Meter::new(args.records);
    while let Some(sent) = sending.next().await {
        sent.context("a message is refused")?;
        if let Some(measured) = meter.add(1) {
            report(&measured)?;
        }
    }
    Ok(())
}
