//! One producer and one consumer by hand, where danube-client hides too much.

use danube_core::proto::{
    AckRequest, ConsumerRequest, DispatchStrategy, HealthCheckRequest, MsgId, NackRequest,
    ProducerRequest, ReceiveRequest, StreamMessage, consumer_request::SubscriptionType,
    consumer_service_client::ConsumerServiceClient, discovery_client::DiscoveryClient,
    health_check_client::HealthCheckClient, health_check_request::ClientType,
    producer_service_client::ProducerServiceClient,
};
use tokio::time::timeout;
use tonic::{Status, Streaming, transport::Channel};

use super::{QUIET, SOON};

/// A subscription's name, for all that are made by hand.
pub(crate) const SUBSCRIPTION: &str = "subscription";

/// A connection of its own.
#[derive(Clone)]
pub(crate) struct Raw {
    channel: Channel,
    topic: String,
}

impl Raw {
    pub(crate) async fn connect(url: &str, topic: &str) -> Self {
        let endpoint = Channel::from_shared(url.to_owned()).expect("a url").tcp_nodelay(true);
        let channel = endpoint.connect().await.expect("the broker answers");
        Self { channel, topic: topic.to_owned() }
    }

    pub(crate) fn discovery(&self) -> DiscoveryClient<Channel> {
        DiscoveryClient::new(self.channel.clone())
    }

    pub(crate) async fn create_producer(
        &self,
        strategy: DispatchStrategy,
    ) -> Result<RawProducer, Status> {
        let mut client = ProducerServiceClient::new(self.channel.clone());
        let request = ProducerRequest {
            producer_name: "producer".into(),
            topic_name: self.topic.clone(),
            dispatch_strategy: strategy.into(),
            ..Default::default()
        };
        let mut response = client.create_producer(request.clone()).await;
        while response.as_ref().is_err_and(is_being_assigned) {
            tokio::task::yield_now().await;
            response = client.create_producer(request.clone()).await;
        }
        let id = response?.into_inner().producer_id;
        Ok(RawProducer { client, id, topic: self.topic.clone() })
    }

    pub(crate) async fn producer(&self) -> RawProducer {
        self.create_producer(DispatchStrategy::Reliable).await.expect("a producer")
    }

    pub(crate) async fn try_subscribe(
        &self,
        name: &str,
        kind: SubscriptionType,
    ) -> Result<RawConsumer, Status> {
        let mut client = ConsumerServiceClient::new(self.channel.clone());
        let request = ConsumerRequest {
            topic_name: self.topic.clone(),
            consumer_name: name.into(),
            subscription: SUBSCRIPTION.into(),
            subscription_type: kind.into(),
            ..Default::default()
        };
        let id = client.subscribe(request).await?.into_inner().consumer_id;
        Ok(RawConsumer { raw: self.clone(), client, id, topic: self.topic.clone() })
    }

    pub(crate) async fn subscribe(&self, name: &str) -> RawConsumer {
        self.try_subscribe(name, SubscriptionType::Exclusive).await.expect("subscribed")
    }

    /// Whether the broker says OK, and not Close.
    pub(crate) async fn is_healthy(&self, client: ClientType, id: u64) -> bool {
        let request = HealthCheckRequest { request_id: 0, client: client.into(), id };
        let mut service = HealthCheckClient::new(self.channel.clone());
        service.health_check(request).await.expect("an answer").into_inner().status == 0
    }
}

/// A clustered broker assigns a new topic first and asks to come again.
fn is_being_assigned(status: &Status) -> bool {
    status.code() == tonic::Code::Unavailable && !status.message().contains("namespace")
}

#[derive(Clone)]
pub(crate) struct RawProducer {
    client: ProducerServiceClient<Channel>,
    pub(crate) id: u64,
    topic: String,
}

impl RawProducer {
    pub(crate) fn message(&self, request_id: u64, payload: impl Into<Vec<u8>>) -> StreamMessage {
        StreamMessage {
            request_id,
            msg_id: Some(MsgId {
                producer_id: self.id,
                topic_name: self.topic.clone(),
                ..Default::default()
            }),
            payload: payload.into().into(),
            producer_name: "producer".into(),
            ..Default::default()
        }
    }

    pub(crate) async fn send(&self, message: StreamMessage) -> Result<u64, Status> {
        let sent = self.client.clone().send_message(message).await?;
        Ok(sent.into_inner().request_id)
    }

    /// Publishes numbers as text, one after the other.
    pub(crate) async fn send_numbers(&self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            let message = self.message(number, number.to_string());
            timeout(SOON, self.send(message)).await.expect("an answer").expect("published");
        }
    }

    /// Whether a publish hangs.
    pub(crate) async fn hangs(&self) -> bool {
        timeout(QUIET, self.send(self.message(0, "hangs"))).await.is_err()
    }
}

#[derive(Clone)]
pub(crate) struct RawConsumer {
    raw: Raw,
    client: ConsumerServiceClient<Channel>,
    pub(crate) id: u64,
    topic: String,
}

impl RawConsumer {
    pub(crate) async fn try_receive(&self) -> Result<RawStream, Status> {
        let request = ReceiveRequest { request_id: 0, consumer_id: self.id };
        let stream = self.client.clone().receive_messages(request).await?.into_inner();
        Ok(RawStream { stream })
    }

    pub(crate) async fn receive(&self) -> RawStream {
        self.try_receive().await.expect("a stream")
    }

    /// Closes the stream and waits until the broker has noticed.
    pub(crate) async fn close(&self, stream: RawStream) {
        drop(stream);
        let noticed = async {
            while self.raw.is_healthy(ClientType::Consumer, self.id).await {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, noticed).await.expect("the broker notices");
    }

    /// Closes the stream and opens another with the same id. A real broker sends
    /// nothing again if it sees the new stream before the end of the old one.
    pub(crate) async fn reopen(&self, stream: RawStream) -> RawStream {
        self.close(stream).await;
        self.receive().await
    }

    fn msg_id(&self, offset: u64) -> Option<MsgId> {
        Some(MsgId { topic_name: self.topic.clone(), topic_offset: offset, ..Default::default() })
    }

    pub(crate) async fn try_ack(&self, offset: u64) -> Result<(), Status> {
        let request = AckRequest {
            msg_id: self.msg_id(offset),
            subscription_name: SUBSCRIPTION.into(),
            ..Default::default()
        };
        self.client.clone().ack(request).await.map(drop)
    }

    pub(crate) async fn ack(&self, offset: u64) {
        timeout(SOON, self.try_ack(offset)).await.expect("an answer").expect("acked");
    }

    pub(crate) async fn nack(&self, offset: u64, delay_ms: Option<u64>) {
        let request = NackRequest {
            msg_id: self.msg_id(offset),
            subscription_name: SUBSCRIPTION.into(),
            delay_ms,
            reason: Some("refused".into()),
            ..Default::default()
        };
        timeout(SOON, self.client.clone().nack(request)).await.expect("an answer").expect("nacked");
    }
}

pub(crate) struct RawStream {
    stream: Streaming<StreamMessage>,
}

impl RawStream {
    pub(crate) async fn next(&mut self) -> StreamMessage {
        let next = timeout(SOON, self.stream.message()).await.expect("a message comes");
        next.expect("no error").expect("still open")
    }

    pub(crate) async fn offset(&mut self) -> u64 {
        self.next().await.msg_id.expect("an id").topic_offset
    }

    pub(crate) async fn offsets(&mut self, count: usize) -> Vec<u64> {
        let mut offsets = Vec::with_capacity(count);
        for _ in 0..count {
            offsets.push(self.offset().await);
        }
        offsets
    }

    pub(crate) async fn stays_quiet(&mut self) -> bool {
        timeout(QUIET, self.stream.message()).await.is_err()
    }

    /// Whether the broker ends the stream, what is on its way being read first.
    pub(crate) async fn ends(&mut self) -> bool {
        timeout(SOON, async { while let Ok(Some(_)) = self.stream.message().await {} })
            .await
            .is_ok()
    }
}
