//! The admin API of topics and subscriptions.

use std::{sync::Arc, time::Duration};

use danube_core::admin_proto::{
    BrokerRequest, DescribeTopicRequest, DescribeTopicResponse, DispatchStrategy,
    GetSubscriptionDispatchConfigRequest, GetSubscriptionDispatchConfigResponse,
    GetSubscriptionFailurePolicyRequest, GetSubscriptionFailurePolicyResponse, NamespaceRequest,
    NewTopicRequest, PartitionedTopicRequest, SetSubscriptionDispatchConfigRequest,
    SetSubscriptionFailurePolicyRequest, SubscriptionBackoffStrategy, SubscriptionDispatchConfig,
    SubscriptionFailurePolicy, SubscriptionListResponse, SubscriptionPoisonPolicy,
    SubscriptionRequest, SubscriptionResponse, TopicInfo, TopicInfoListResponse, TopicRequest,
    TopicResponse, topic_admin_server::TopicAdmin,
};
use tonic::{Request, Response, Status};

use super::{BROKER_ID, Service};
use crate::{
    config::{Backoff, FailurePolicy, Poison},
    names::{TopicName, namespace_of},
    topic::Topic,
};

#[tonic::async_trait]
impl TopicAdmin for Service {
    async fn list_namespace_topics(
        &self,
        request: Request<NamespaceRequest>,
    ) -> Result<Response<TopicInfoListResponse>, Status> {
        let namespace = request.into_inner().name;
        let topics = self.broker.topics().into_iter();
        let topics = topics.filter(|topic| namespace_of(&topic.name) == namespace);
        Ok(Response::new(TopicInfoListResponse { topics: topics.map(info).collect() }))
    }

    async fn list_broker_topics(
        &self,
        _request: Request<BrokerRequest>,
    ) -> Result<Response<TopicInfoListResponse>, Status> {
        let topics = self.broker.topics().into_iter().map(info).collect();
        Ok(Response::new(TopicInfoListResponse { topics }))
    }

    async fn create_topic(
        &self,
        request: Request<NewTopicRequest>,
    ) -> Result<Response<TopicResponse>, Status> {
        let request = request.into_inner();
        let reliable = is_reliable(request.dispatch_strategy)?;
        self.create(
            &TopicName::parse(&request.name)?,
            reliable,
            request.schema_subject.as_deref(),
        )?;
        Ok(Response::new(TopicResponse { success: true }))
    }

    async fn create_partitioned_topic(
        &self,
        request: Request<PartitionedTopicRequest>,
    ) -> Result<Response<TopicResponse>, Status> {
        let request = request.into_inner();
        let reliable = is_reliable(request.dispatch_strategy)?;
        let base = TopicName::parse(&request.base_name)?;
        for number in 0..request.partitions {
            self.create(&base.partition(number), reliable, request.schema_subject.as_deref())?;
        }
        Ok(Response::new(TopicResponse { success: true }))
    }

    async fn delete_topic(
        &self,
        request: Request<TopicRequest>,
    ) -> Result<Response<TopicResponse>, Status> {
        let name = TopicName::parse(&request.into_inner().name)?;
        if name.base().is_some() {
            return Err(Status::not_found(format!(
                "Unable to delete the topic {name} due to Cannot delete individual partition \
                 '{name}'. Delete the base topic instead"
            )));
        }
        if !self.broker.delete_topic(&name)? {
            return Err(Status::not_found(format!(
                "Unable to delete the topic {name} due to Unable to find topic"
            )));
        }
        Ok(Response::new(TopicResponse { success: true }))
    }

    async fn unload_topic(
        &self,
        _request: Request<TopicRequest>,
    ) -> Result<Response<TopicResponse>, Status> {
        Err(Status::failed_precondition(
            "Cannot unload topic: single broker cluster detected. Unload requires at least 2 \
             brokers.",
        ))
    }

    async fn list_subscriptions(
        &self,
        request: Request<TopicRequest>,
    ) -> Result<Response<SubscriptionListResponse>, Status> {
        let name = request.into_inner().name;
        let topic = self.broker.topic(&name);
        let subscriptions = topic.map(|topic| topic.subscription_names()).unwrap_or_default();
        Ok(Response::new(SubscriptionListResponse { subscriptions }))
    }

    async fn unsubscribe(
        &self,
        request: Request<SubscriptionRequest>,
    ) -> Result<Response<SubscriptionResponse>, Status> {
        let SubscriptionRequest { topic, subscription } = request.into_inner();
        if !self.broker.unsubscribe(&topic, &subscription)? {
            return Err(Status::not_found(format!(
                "Unable to unsubscribe the subscription {subscription} due to error: Unable to \
                 unsubscribe as the subscription {subscription} has active consumers"
            )));
        }
        Ok(Response::new(SubscriptionResponse { success: true }))
    }

    async fn set_subscription_failure_policy(
        &self,
        request: Request<SetSubscriptionFailurePolicyRequest>,
    ) -> Result<Response<SubscriptionResponse>, Status> {
        let request = request.into_inner();
        let policy = request
            .failure_policy
            .ok_or_else(|| Status::invalid_argument("failure_policy must be provided"))?;
        let topic = self.broker.topic(&request.topic).filter(|topic| topic.reliable);
        let topic = topic.ok_or_else(|| {
            Status::failed_precondition(
                "subscription failure policy can only be configured for reliable topics",
            )
        })?;
        let ack_timeout = Duration::from_millis(policy.ack_timeout_ms);
        topic.set_failure_policy(&request.subscription, from_wire(policy)?, ack_timeout)?;
        Ok(Response::new(SubscriptionResponse { success: true }))
    }

    async fn get_subscription_failure_policy(
        &self,
        request: Request<GetSubscriptionFailurePolicyRequest>,
    ) -> Result<Response<GetSubscriptionFailurePolicyResponse>, Status> {
        let request = request.into_inner();
        let topic = self.broker.topic(&request.topic);
        let found = topic.as_ref().and_then(|topic| topic.failure_policy(&request.subscription));
        let kind = topic.and_then(|topic| topic.subscription_type(&request.subscription));
        Ok(Response::new(GetSubscriptionFailurePolicyResponse {
            failure_policy: found.map(|(policy, ack_timeout)| to_wire(policy, ack_timeout)),
            subscription_type: kind.map_or(0, i32::from),
        }))
    }

    async fn describe_topic(
        &self,
        request: Request<DescribeTopicRequest>,
    ) -> Result<Response<DescribeTopicResponse>, Status> {
        let name = request.into_inner().name;
        let topic = self.broker.topic(&name);
        let mut response = DescribeTopicResponse {
            name,
            broker_id: topic.as_ref().map(|_| BROKER_ID.to_owned()).unwrap_or_default(),
            delivery: delivery(topic.as_ref().is_some_and(|topic| topic.reliable)),
            ..Default::default()
        };
        if let Some(topic) = topic {
            response.subscriptions = topic.subscription_names();
            response.schema_subject = topic.schema().map(|schema| schema.subject);
        }
        self.add_schema(&mut response);
        Ok(Response::new(response))
    }

    async fn set_subscription_dispatch_config(
        &self,
        request: Request<SetSubscriptionDispatchConfigRequest>,
    ) -> Result<Response<SubscriptionResponse>, Status> {
        let request = request.into_inner();
        let config = request
            .dispatch_config
            .ok_or_else(|| Status::invalid_argument("dispatch_config is required"))?;
        let window = config.max_unacked_messages as usize;
        if !(1..=10_000).contains(&window) {
            return Err(Status::invalid_argument(
                "max_unacked_messages must be between 1 and 10000",
            ));
        }
        self.known_topic(&request.topic)?.set_window(&request.subscription, window)?;
        Ok(Response::new(SubscriptionResponse { success: true }))
    }

    async fn get_subscription_dispatch_config(
        &self,
        request: Request<GetSubscriptionDispatchConfigRequest>,
    ) -> Result<Response<GetSubscriptionDispatchConfigResponse>, Status> {
        let request = request.into_inner();
        let topic = self.broker.topic(&request.topic);
        let window = topic.and_then(|topic| topic.window(&request.subscription));
        let dispatch_config = window.and_then(|window| u32::try_from(window).ok());
        Ok(Response::new(GetSubscriptionDispatchConfigResponse {
            dispatch_config: dispatch_config
                .map(|max_unacked_messages| SubscriptionDispatchConfig { max_unacked_messages }),
        }))
    }
}

impl Service {
    fn create(&self, name: &TopicName, reliable: bool, schema: Option<&str>) -> Result<(), Status> {
        let created = self
            .broker
            .create_topic(name, reliable)
            .and_then(|topic| schema.map_or(Ok(()), |subject| self.bind_schema(&topic, subject)));
        // The admin API answers NotFound to every failure.
        created.map_err(|status| {
            Status::not_found(format!("Unable to create the topic {name} due to {status}"))
        })
    }

    fn add_schema(&self, response: &mut DescribeTopicResponse) {
        let Some(name) = &response.schema_subject else { return };
        let schemas = self.broker.schemas();
        let Ok(subject) = schemas.subject(name) else { return };
        response.schema_id = Some(subject.id);
        response.compatibility_mode = Some(subject.compatibility.name().to_owned());
        if let Some(latest) = subject.latest() {
            response.schema_version = Some(latest.number);
            response.schema_type = Some(latest.definition.type_name().to_owned());
        }
    }
}

fn info(topic: Arc<Topic>) -> TopicInfo {
    TopicInfo {
        name: topic.name.to_string(),
        broker_id: BROKER_ID.to_owned(),
        delivery: delivery(topic.reliable),
    }
}

fn delivery(reliable: bool) -> String {
    if reliable { "Reliable" } else { "NonReliable" }.to_owned()
}

fn is_reliable(strategy: i32) -> Result<bool, Status> {
    DispatchStrategy::try_from(strategy)
        .map(|strategy| strategy == DispatchStrategy::Reliable)
        .map_err(|_| Status::invalid_argument("invalid dispatch_strategy value"))
}

fn from_wire(policy: SubscriptionFailurePolicy) -> Result<FailurePolicy, Status> {
    let backoff = match policy.backoff_strategy() {
        SubscriptionBackoffStrategy::Fixed => Backoff::Fixed,
        SubscriptionBackoffStrategy::Exponential => Backoff::Exponential,
    };
    let poison = match policy.poison_policy() {
        SubscriptionPoisonPolicy::Block => Poison::Block,
        SubscriptionPoisonPolicy::Drop => Poison::Drop,
        SubscriptionPoisonPolicy::DeadLetter => match policy.dead_letter_topic {
            Some(topic) if !topic.trim().is_empty() => Poison::DeadLetter { topic },
            _ => {
                return Err(Status::invalid_argument(
                    "dead_letter_topic must be configured when poison_policy is DeadLetter",
                ));
            }
        },
    };
    Ok(FailurePolicy {
        max_redeliveries: policy.max_redelivery_count,
        base_delay: Duration::from_millis(policy.base_redelivery_delay_ms),
        max_delay: Duration::from_millis(policy.max_redelivery_delay_ms),
        backoff,
        poison,
    })
}

fn to_wire(policy: FailurePolicy, ack_timeout: Duration) -> SubscriptionFailurePolicy {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let backoff = match policy.backoff {
        Backoff::Fixed => SubscriptionBackoffStrategy::Fixed,
        Backoff::Exponential => SubscriptionBackoffStrategy::Exponential,
    };
    let (poison, dead_letter_topic) = match policy.poison {
        Poison::Block => (SubscriptionPoisonPolicy::Block, None),
        Poison::Drop => (SubscriptionPoisonPolicy::Drop, None),
        Poison::DeadLetter { topic } => (SubscriptionPoisonPolicy::DeadLetter, Some(topic)),
    };
    SubscriptionFailurePolicy {
        max_redelivery_count: policy.max_redeliveries,
        ack_timeout_ms: millis(ack_timeout),
        base_redelivery_delay_ms: millis(policy.base_delay),
        max_redelivery_delay_ms: millis(policy.max_delay),
        backoff_strategy: backoff.into(),
        dead_letter_topic,
        poison_policy: poison.into(),
    }
}
