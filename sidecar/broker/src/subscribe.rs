//! Opening a partition's stream.

use std::time::Duration;

use danube_core::proto::{
    ConsumerRequest, ReceiveRequest, StreamMessage, consumer_request::SubscriptionType,
    health_check_request::ClientType,
};
use tonic::{Status, Streaming, codegen::http::uri::PathAndQuery};

use crate::{
    codec::{Encoded, Lean},
    config::{SubscriptionKind, SubscriptionSpec},
    error::CallError,
    lookup::Route,
};

/// How long the broker is given to notice that a stream was closed.
const NOTICE: Duration = Duration::from_secs(1);

/// Registers the consumer of `partition`, and gives its id.
///
/// To be called only for a consumer that the broker does not know: from this call
/// on it fills a stream, and blocks its topic while nobody reads that.
pub(crate) async fn register(
    route: &Route,
    spec: &SubscriptionSpec,
    partition: &str,
) -> Result<u64, CallError> {
    let kind = match spec.kind {
        SubscriptionKind::Exclusive => SubscriptionType::Exclusive,
        SubscriptionKind::Shared => SubscriptionType::Shared,
        SubscriptionKind::Failover => SubscriptionType::Failover,
        SubscriptionKind::KeyShared => SubscriptionType::KeyShared,
    };
    let message = ConsumerRequest {
        request_id: 0,
        topic_name: partition.to_owned(),
        consumer_name: spec.consumer_name.clone(),
        subscription: spec.subscription.to_string(),
        subscription_type: kind.into(),
        key_filters: spec.key_filters.clone(),
    };
    let mut consumer = route.consumer();
    let answer = route
        .call("Subscribe", message, |request| async move { consumer.subscribe(request).await })
        .await?;
    Ok(answer.consumer_id)
}

/// Opens the stream of a consumer that may have had one before.
///
/// A stream that the broker still holds for open would only be taken over: nothing
/// of what is in flight would come again before the ack timeout. Closing the new one
/// once makes the broker notice.
pub(crate) async fn reopen(route: &Route, id: u64) -> Result<Streaming<StreamMessage>, CallError> {
    if route.connected(ClientType::Consumer, id).await? {
        drop(open(route, id).await?);
        closed(route, id).await;
    }
    open(route, id).await
}

/// Opens the stream of a registered consumer.
pub(crate) async fn open(route: &Route, id: u64) -> Result<Streaming<StreamMessage>, CallError> {
    let message = Encoded::of(&ReceiveRequest { request_id: 0, consumer_id: id });
    let mut consumer = route.bare();
    route
        .call("ReceiveMessages", message, |request| async move {
            consumer.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = Lean::of(request.get_ref());
            consumer.server_streaming(request, PathAndQuery::from_static(RECEIVE), codec).await
        })
        .await
}

const RECEIVE: &str = "/danube.ConsumerService/ReceiveMessages";
/// Waits until the broker has noticed that the stream was closed: a new one opened
/// before that would be mistaken for the old.
pub(crate) async fn closed(route: &Route, id: u64) {
    let noticed = async {
        while let Ok(true) = route.connected(ClientType::Consumer, id).await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    // Opening it without that is no worse than waiting longer.
    let _ = tokio::time::timeout(NOTICE, noticed).await;
}
