//! Which broker has a topic, which partitions a topic has, and how to call them.

use std::time::Duration;

use danube_client::BrokerAddress;
use danube_core::proto::{
    HealthCheckRequest, TopicLookupRequest, consumer_service_client::ConsumerServiceClient,
    discovery_client::DiscoveryClient, health_check_client::HealthCheckClient,
    health_check_request::ClientType, health_check_response::ClientStatus,
    producer_service_client::ProducerServiceClient,
};
use prost::Message;
use tonic::{
    Request, Response, Status, client::Grpc, codegen::http::uri::PathAndQuery,
    metadata::MetadataValue, transport::Channel,
};

use crate::{
    cluster::{Cluster, Dialed, within},
    codec::{Encoded, Lean},
    error::{CallError, Cause, Class},
};

/// Largest message that is decoded. The broker accepts nearly 4 MiB and delivers
/// a little more than it got.
const DECODE_LIMIT: usize = 16 * 1024 * 1024;
/// A health check that takes longer means that the connection hangs: channels have
/// no keepalive of their own.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// Names the broker behind a proxy that a call is meant for.
const BROKER_HEADER: &str = "x-danube-broker-url";

/// The way to the broker that serves a topic.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    cluster: Cluster,
    dialed: Dialed,
    address: BrokerAddress,
    channel: Channel,
}

impl Cluster {
    /// Looks up the broker of `topic` and connects to it.
    pub(crate) async fn route(&self, topic: &str) -> Result<Route, CallError> {
        let dialed = self.dialed().await?;
        let found = self.find(&dialed, topic).await;
        if let Err(error) = &found {
            self.note_failure(&dialed, error).await;
        }
        let (address, channel) = found?;
        Ok(Route { cluster: self.clone(), dialed, address, channel })
    }

    /// The way to publish to `topic`, which the broker creates where it is missing.
    pub(crate) async fn route_for_producing(&self, topic: &str) -> Result<Route, CallError> {
        match self.route(topic).await {
            Err(error) if error.class() == Class::Missing => self.service_route().await,
            found => found,
        }
    }

    /// The way to whichever broker answers at the service url.
    pub(crate) async fn service_route(&self) -> Result<Route, CallError> {
        let dialed = self.dialed().await?;
        let url = self.service_uri().clone();
        let address = BrokerAddress { connect_url: url.clone(), broker_url: url, proxy: false };
        let limit = self.config().connect_timeout;
        let connected = tokio::time::timeout(limit, dialed.client.get_service_channel())
            .await
            .map_err(|_| CallError::new("connecting", Cause::Timeout(limit)))
            .and_then(|channel| channel.map_err(|error| CallError::new("connecting", error)));
        if let Err(error) = &connected {
            self.note_failure(&dialed, error).await;
        }
        Ok(Route { cluster: self.clone(), dialed, address, channel: connected? })
    }

    async fn find(
        &self,
        dialed: &Dialed,
        topic: &str,
    ) -> Result<(BrokerAddress, Channel), CallError> {
        let limit = self.config().connect_timeout.max(self.config().rpc_timeout);
        let resolving = dialed.client.resolve_topic_broker(topic);
        let address = tokio::time::timeout(limit, resolving)
            .await
            .map_err(|_| CallError::new("TopicLookup", Cause::Timeout(limit)))?
            .map_err(|error| CallError::new("TopicLookup", error))?;
        let limit = self.config().connect_timeout;
        let channel = tokio::time::timeout(limit, dialed.client.get_broker_channel(&address))
            .await
            .map_err(|_| CallError::new("connecting", Cause::Timeout(limit)))?
            .map_err(|error| CallError::new("connecting", error))?;
        Ok((address, channel))
    }

    /// The topics that `topic` consists of: itself or its partitions, in order.
    /// Empty while it does not exist.
    pub(crate) async fn partitions(&self, topic: &str) -> Result<Vec<String>, CallError> {
        let message = TopicLookupRequest { request_id: self.request_id(), topic: topic.to_owned() };
        let route = self.service_route().await?;
        let mut discovery = DiscoveryClient::new(route.channel.clone());
        let answer = route
            .call("TopicPartitions", message, |request| async move {
                discovery.topic_partitions(request).await
            })
            .await?;
        let mut partitions = answer.partitions;
        // The broker answers with everything that begins with the name.
        partitions.retain(|name| belongs_to(topic, name));
        partitions.sort_by_key(|name| (name.len(), name.clone()));
        Ok(partitions)
    }
}

impl Route {
    /// For messages, which may be large, with a codec of our own.
    pub(crate) fn bare(&self) -> Grpc<Channel> {
        Grpc::new(self.channel.clone()).max_decoding_message_size(DECODE_LIMIT)
    }

    pub(crate) fn consumer(&self) -> ConsumerServiceClient<Channel> {
        ConsumerServiceClient::new(self.channel.clone())
    }

    pub(crate) fn producer(&self) -> ProducerServiceClient<Channel> {
        ProducerServiceClient::new(self.channel.clone())
    }

    /// The broker's own name for itself.
    pub(crate) fn broker(&self) -> String {
        self.address.broker_url.to_string()
    }

    /// Sends `message` and waits for the answer, at most the configured time.
    /// Connects anew after an answer that did not come.
    pub(crate) async fn call<M, A, F>(
        &self,
        call: &'static str,
        message: M,
        send: impl FnOnce(Request<M>) -> F,
    ) -> Result<A, CallError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call_within(self.cluster.config().rpc_timeout, call, message, send).await
    }

    /// Makes a call of which there are many, by its path: see [`crate::codec`].
    pub(crate) async fn unary<A>(
        &self,
        call: &'static str,
        path: &'static str,
        message: &impl Message,
    ) -> Result<A, CallError>
    where
        A: Message + Default + Send + 'static,
    {
        let mut client = self.bare();
        let send = |request: Request<Encoded>| async move {
            client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let codec = Lean::of(request.get_ref());
            client.unary(request, PathAndQuery::from_static(path), codec).await
        };
        self.call(call, Encoded::of(message), send).await
    }

    async fn call_within<M, A, F>(
        &self,
        limit: Duration,
        call: &'static str,
        message: M,
        send: impl FnOnce(Request<M>) -> F,
    ) -> Result<A, CallError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let request = self.request(call, message).await?;
        let answer = within(call, limit, send(request)).await;
        if let Err(error) = &answer {
            self.cluster.note_failure(&self.dialed, error).await;
        }
        answer
    }

    /// `message` with the token, and the broker's name where a proxy stands between.
    async fn request<M>(&self, call: &'static str, message: M) -> Result<Request<M>, CallError> {
        let uri = &self.address.connect_url;
        let mut request = self.cluster.request(&self.dialed, call, message, uri).await?;
        if self.address.proxy
            && let Ok(broker) = MetadataValue::try_from(self.broker())
        {
            request.metadata_mut().insert(BROKER_HEADER, broker);
        }
        Ok(request)
    }

    /// Whether the broker holds the consumer or producer for connected. Not for a
    /// consumer whose stream has ended.
    pub(crate) async fn connected(&self, client: ClientType, id: u64) -> Result<bool, CallError> {
        let message =
            HealthCheckRequest { request_id: self.cluster.request_id(), client: client.into(), id };
        let mut health = HealthCheckClient::new(self.channel.clone());
        let limit = self.cluster.config().rpc_timeout.min(HEALTH_TIMEOUT);
        let answer = self
            .call_within(limit, "HealthCheck", message, |request| async move {
                health.health_check(request).await
            })
            .await?;
        Ok(answer.status() == ClientStatus::Ok)
    }
}

/// Whether `name` is `topic` itself or one of its partitions.
fn belongs_to(topic: &str, name: &str) -> bool {
    let base = partition_number(name).and_then(|_| name.rsplit_once(PARTITION));
    name == topic || base.is_some_and(|(base, _)| base == topic)
}

/// The number of a partition; none for the name of a topic without partitions.
pub(crate) fn partition_number(name: &str) -> Option<u64> {
    let (_, number) = name.rsplit_once(PARTITION)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| number.parse().ok()).flatten()
}

/// Between a topic's name and the number of its partition.
const PARTITION: &str = "-part-";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_topic_itself_and_its_numbered_partitions_belong_to_it() {
        for name in ["/default/ord", "/default/ord-part-0", "/default/ord-part-12"] {
            assert!(belongs_to("/default/ord", name), "{name}");
        }
        for name in
            ["/default/orders", "/default/ord-dlq", "/default/ord-part-", "/default/ord-part-1x"]
        {
            assert!(!belongs_to("/default/ord", name), "{name}");
        }
    }
}
