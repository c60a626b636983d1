//! What needs the admin API: failure policies, ack timeouts, new topics.

use std::time::Duration;

use danube_core::{
    admin_proto::{
        DispatchStrategy, GetSubscriptionFailurePolicyRequest, NewTopicRequest,
        SetSubscriptionFailurePolicyRequest, SubscriptionBackoffStrategy,
        SubscriptionFailurePolicy, SubscriptionPoisonPolicy, topic_admin_client::TopicAdminClient,
    },
    proto::{DispatchStrategy as ProducerStrategy, ProducerAccessMode, ProducerRequest},
};
use tonic::{
    Request, Response, Status,
    metadata::MetadataValue,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use crate::{
    cluster::{Cluster, within},
    config::{SubscriptionSpec, Tls},
    error::{CallError, Class},
};

/// A budget that is not spent by accident. The broker's default of 5 blocks the
/// subscription for good after a few lost connections and one passed ack timeout.
const GENEROUS_REDELIVERIES: u32 = 1_000_000;
const SHORTEST_DELAY: Duration = Duration::from_secs(1);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Registers the topics that are created without the admin API.
const TOPIC_MAKER: &str = "danube-sidecar-topics";

impl Cluster {
    /// Before a subscription's first use: sets a generous failure policy, which the
    /// broker takes over only then. Gives the broker's ack timeout, where known.
    pub(crate) async fn prepare_subscription(
        &self,
        spec: &SubscriptionSpec,
        partition: &str,
    ) -> Option<Duration> {
        self.config().admin_url.as_ref()?;
        match self.agree_policy(&spec.subscription, partition).await {
            Ok(ack_timeout) => Some(ack_timeout),
            Err(error) => {
                tracing::warn!(
                    partition,
                    subscription = %spec.subscription,
                    %error,
                    "the failure policy stays as it is"
                );
                None
            }
        }
    }

    async fn agree_policy(
        &self,
        subscription: &str,
        partition: &str,
    ) -> Result<Duration, CallError> {
        let asked = GetSubscriptionFailurePolicyRequest {
            topic: partition.to_owned(),
            subscription: subscription.to_owned(),
        };
        let mut admin = self.admin().await?;
        let found = self
            .ask("GetSubscriptionFailurePolicy", asked, |request| async move {
                admin.get_subscription_failure_policy(request).await
            })
            .await?;
        if let Some(policy) = found.failure_policy {
            return Ok(Duration::from_millis(policy.ack_timeout_ms));
        }
        let ack_timeout = self.config().ack_timeout;
        let wanted = SetSubscriptionFailurePolicyRequest {
            topic: partition.to_owned(),
            subscription: subscription.to_owned(),
            failure_policy: Some(generous_policy(ack_timeout)),
        };
        let mut admin = self.admin().await?;
        self.ask("SetSubscriptionFailurePolicy", wanted, |request| async move {
            admin.set_subscription_failure_policy(request).await
        })
        .await?;
        Ok(ack_timeout)
    }

    /// Creates `topic`, reliable and without partitions.
    pub(crate) async fn create_topic(&self, topic: &str) -> Result<(), CallError> {
        if self.config().admin_url.is_none() {
            return self.create_topic_by_producing(topic).await;
        }
        let message = NewTopicRequest {
            name: topic.to_owned(),
            schema_subject: None,
            dispatch_strategy: DispatchStrategy::Reliable.into(),
        };
        let mut admin = self.admin().await?;
        self.ask("CreateTopic", message, |request| async move { admin.create_topic(request).await })
            .await
            .map(drop)
    }

    /// A producer that is only created makes the broker create its topic.
    async fn create_topic_by_producing(&self, topic: &str) -> Result<(), CallError> {
        let message = ProducerRequest {
            request_id: self.request_id(),
            producer_name: TOPIC_MAKER.to_owned(),
            topic_name: topic.to_owned(),
            schema_ref: None,
            producer_access_mode: ProducerAccessMode::Shared.into(),
            dispatch_strategy: ProducerStrategy::Reliable.into(),
        };
        let route = self.route_for_producing(topic).await?;
        let mut producer = route.producer();
        let created = route
            .call("CreateProducer", message, |request| async move {
                producer.create_producer(request).await
            })
            .await;
        match created {
            // Created, and being given to a broker.
            Err(error) if error.class() == Class::Moved => Ok(()),
            created => created.map(drop),
        }
    }

    async fn ask<M, A, F>(
        &self,
        call: &'static str,
        message: M,
        send: impl FnOnce(Request<M>) -> F,
    ) -> Result<A, CallError>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let mut request = Request::new(message);
        let token = self.token().and_then(|token| format!("Bearer {token}").parse().ok());
        if let Some(bearer) = token {
            let bearer: MetadataValue<_> = bearer;
            request.metadata_mut().insert("authorization", bearer);
        }
        within(call, self.config().rpc_timeout, send(request)).await
    }

    /// Connected with the first call; rare enough not to be kept.
    async fn admin(&self) -> Result<TopicAdminClient<Channel>, CallError> {
        let config = self.config();
        let failed = |error| CallError::new("connecting to the admin API", error);
        let url = config.admin_url.clone().unwrap_or_default();
        let mut endpoint = Endpoint::from_shared(url)
            .map_err(|error| failed(danube_client::errors::DanubeError::from(error)))?
            .connect_timeout(config.connect_timeout);
        if let Some(tls) = config.tls.as_ref().filter(|_| is_tls(&endpoint)) {
            let tls = client_tls(tls)
                .map_err(|error| failed(danube_client::errors::DanubeError::from(error)))?;
            endpoint = endpoint
                .tls_config(tls)
                .map_err(|error| failed(danube_client::errors::DanubeError::from(error)))?;
        }
        Ok(TopicAdminClient::new(endpoint.connect_lazy()))
    }
}

fn generous_policy(ack_timeout: Duration) -> SubscriptionFailurePolicy {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    SubscriptionFailurePolicy {
        max_redelivery_count: GENEROUS_REDELIVERIES,
        ack_timeout_ms: millis(ack_timeout),
        base_redelivery_delay_ms: millis(SHORTEST_DELAY),
        max_redelivery_delay_ms: millis(LONGEST_DELAY),
        backoff_strategy: SubscriptionBackoffStrategy::Exponential.into(),
        dead_letter_topic: None,
        poison_policy: SubscriptionPoisonPolicy::Block.into(),
    }
}

fn is_tls(endpoint: &Endpoint) -> bool {
    endpoint.uri().scheme_str() == Some("https")
}

fn client_tls(tls: &Tls) -> Result<ClientTlsConfig, std::io::Error> {
    let ca = Certificate::from_pem(std::fs::read(&tls.ca)?);
    let config = ClientTlsConfig::new().ca_certificate(ca);
    let Some(client) = &tls.client else { return Ok(config) };
    let identity =
        Identity::from_pem(std::fs::read(&client.certificate)?, std::fs::read(&client.key)?);
    Ok(config.identity(identity))
}
