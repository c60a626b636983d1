//! A network that goes silent without closing, and a proxy before the brokers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use danube_core::proto::{
    HealthCheckRequest, HealthCheckResponse, MessageResponse, ProducerRequest, ProducerResponse,
    StreamMessage, TopicLookupRequest, TopicLookupResponse, TopicPartitionsResponse,
    discovery_server::{Discovery, DiscoveryServer},
    health_check_server::{HealthCheck, HealthCheckServer},
    producer_service_server::{ProducerService, ProducerServiceServer},
    topic_lookup_response::LookupType,
};
use danube_sidecar_broker::DetachReason;
use danube_sidecar_store::Store;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::support::*;

/// Passes connections on, until they are frozen: those stay open, and silent.
struct Wire {
    url: String,
    freeze: watch::Sender<u32>,
    _task: JoinSet<()>,
}

impl Wire {
    async fn to(broker: &Broker) -> Self {
        let target = broker.url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (freeze, frozen) = watch::channel(0);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&target).await.unwrap();
                connections.spawn(pass_on(near, far, frozen.clone()));
            }
        });
        Self { url, freeze, _task: task }
    }

    fn freeze_connections(&self) {
        self.freeze.send_modify(|times| *times += 1);
    }
}

async fn pass_on(mut near: TcpStream, mut far: TcpStream, mut frozen: watch::Receiver<u32>) {
    frozen.mark_unchanged();
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = frozen.changed() => std::future::pending().await,
    }
}

#[tokio::test]
async fn a_connection_that_hangs_is_replaced_and_what_was_in_flight_comes_again() {
    let broker = Broker::embedded(odd(|oddities| oddities.takeover_resends_nothing = true)).await;
    let wire = Wire::to(&broker).await;
    let cluster = cluster_at(&wire.url, |config| {
        config.rpc_timeout = Duration::from_millis(500);
        config.drain_settle = Duration::from_millis(200);
    });
    let (store, topic) = (Store::in_memory().unwrap(), unique_topic());
    create_topic(&cluster, &topic, 0).await;
    let mut reader = Reader::attached(&cluster, subscription(&topic), &store, 1).await;
    let publisher = cluster.publisher(producer(&topic, 0));
    publish(&*publisher, message("in flight")).await;
    let first = reader.record().await;

    wire.freeze_connections();

    assert_eq!(reader.detached().await, DetachReason::BrokerGone);
    assert_eq!(reader.record().await.identity, first.identity);
    publish(&*publisher, message("after")).await;
    while payload(&reader.record().await) != "after" {}
}

/// A proxy that notes which broker each call was meant for.
#[derive(Clone, Default)]
struct Proxy {
    own_url: Arc<Mutex<String>>,
    meant_for: Arc<Mutex<Vec<Option<String>>>>,
}

const BEHIND: &str = "http://broker-1.internal:6650";

impl Proxy {
    async fn start() -> (Self, JoinSet<()>) {
        let proxy = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        *proxy.own_url.lock().unwrap() = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(DiscoveryServer::new(proxy.clone()))
            .add_service(HealthCheckServer::new(proxy.clone()))
            .add_service(ProducerServiceServer::new(proxy.clone()));
        let mut task = JoinSet::new();
        task.spawn(async move {
            server.serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
        });
        (proxy, task)
    }

    fn url(&self) -> String {
        self.own_url.lock().unwrap().clone()
    }

    fn note<T>(&self, request: &Request<T>) {
        let broker = request.metadata().get("x-danube-broker-url");
        let broker = broker.map(|broker| broker.to_str().unwrap().to_owned());
        self.meant_for.lock().unwrap().push(broker);
    }
}

#[tonic::async_trait]
impl Discovery for Proxy {
    async fn topic_lookup(
        &self,
        _: Request<TopicLookupRequest>,
    ) -> Result<Response<TopicLookupResponse>, Status> {
        Ok(Response::new(TopicLookupResponse {
            request_id: 0,
            response_type: LookupType::Redirect.into(),
            connect_url: self.url(),
            broker_url: BEHIND.to_owned(),
            proxy: true,
        }))
    }

    async fn topic_partitions(
        &self,
        _: Request<TopicLookupRequest>,
    ) -> Result<Response<TopicPartitionsResponse>, Status> {
        Ok(Response::new(TopicPartitionsResponse::default()))
    }
}

#[tonic::async_trait]
impl HealthCheck for Proxy {
    async fn health_check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse::default()))
    }
}

#[tonic::async_trait]
impl ProducerService for Proxy {
    async fn create_producer(
        &self,
        request: Request<ProducerRequest>,
    ) -> Result<Response<ProducerResponse>, Status> {
        self.note(&request);
        Ok(Response::new(ProducerResponse::default()))
    }

    async fn send_message(
        &self,
        request: Request<StreamMessage>,
    ) -> Result<Response<MessageResponse>, Status> {
        self.note(&request);
        Ok(Response::new(MessageResponse::default()))
    }
}

#[tokio::test]
async fn calls_through_a_proxy_name_the_broker_they_are_meant_for() {
    let (proxy, _task) = Proxy::start().await;
    let cluster = cluster_at(&proxy.url(), |_| {});

    publish(&*cluster.publisher(producer(&unique_topic(), 0)), message("hello")).await;

    let meant_for = proxy.meant_for.lock().unwrap().clone();
    assert_eq!(meant_for.len(), 2);
    for broker in meant_for {
        let broker = broker.expect("the header is set");
        assert_eq!(broker.trim_end_matches('/'), BEHIND);
    }
}
