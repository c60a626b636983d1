//! The sidecar without a broker, and what it is compared with: a bare stream of the same
//! batches.

use std::{pin::Pin, sync::Arc};

use anyhow::Context as _;
use danube_connector_proto::v1::{
    DeliveryRange, SinkBatch, SinkOpened, SinkRecord, SinkResults, SinkServiceRunRequest,
    SinkServiceRunResponse,
    sink_service_client::SinkServiceClient,
    sink_service_run_request::Frame as Out,
    sink_service_run_response::Frame as In,
    sink_service_server::{SinkService, SinkServiceServer},
};
use danube_sidecar::{
    config::{self, Environment, Overrides},
    connectors::{Connectors, Parts},
    gate::{Auth, Hosts},
    grpc::{self, Entrance, Shared},
    server::{self, Acceptor},
    vitals::Vitals,
};
use danube_sidecar_store::Store;
use futures::Stream;
use tokio::{runtime::Builder, sync::mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Request, Response, Status, Streaming, transport::Endpoint};

use super::{Meter, null::Null, report};

/// Records of a batch of the bare stream, and its batches in flight.
const BATCH: u64 = 1000;
const AHEAD: usize = 4;

/// The command line of a server.
#[derive(Debug, clap::Args)]
pub struct ServerArgs {
    /// Bytes of a record.
    #[arg(long)]
    size: usize,
}

/// The command line of the bare stream's client.
#[derive(Debug, clap::Args)]
pub struct BareArgs {
    /// The server.
    #[arg(long)]
    address: String,
    /// After so many records it tells how fast they came, and ends.
    #[arg(long)]
    records: u64,
}

/// The sidecar on a [`Null`] Danube. Prints its address; runs until it is killed.
pub async fn sidecar(args: ServerArgs) -> anyhow::Result<()> {
    let overrides =
        Overrides { service_url: Some("http://127.0.0.1:1".to_owned()), ..Overrides::default() };
    let config = config::load(&overrides, &Environment::new())?;
    let (store, tasks) = (Store::in_memory()?, TaskTracker::new());
    let stop = CancellationToken::new();
    let delivery = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let parts = Parts {
        danube: Arc::new(Null::new(args.size)),
        checkpoints: Arc::new(store.clone()),
        store,
        shutdown: stop.clone(),
        tasks: tasks.clone(),
        delivery: delivery.handle().clone(),
        vitals: Vitals::default(),
    };
    let connectors = Arc::new(Connectors::start(config, parts, Vec::new()).await?);
    let shared = Shared {
        connectors,
        auth: Auth::default(),
        tasks: tasks.clone(),
        vitals: Vitals::default(),
        stop: CancellationToken::new(),
    };
    let (listener, address) = listen().await?;
    let entrance = entrance(grpc::routes(shared).await?, address);
    let acceptor = Acceptor::new(entrance, stop, tasks);
    println!("http://{address}");
    acceptor.tcp(listener).await;
    delivery.shutdown_background();
    Ok(())
}

/// The bare stream's server: the same accept loop, and nothing behind it. Prints its
/// address; runs until it is killed.
pub async fn bare_server(args: ServerArgs) -> anyhow::Result<()> {
    let (listener, address) = listen().await?;
    let bare = SinkServiceServer::new(Bare { size: args.size });
    let entrance = entrance(tonic::service::Routes::new(bare), address);
    let acceptor = Acceptor::new(entrance, CancellationToken::new(), TaskTracker::new());
    println!("http://{address}");
    acceptor.tcp(listener).await;
    Ok(())
}

/// For everybody.
fn entrance(routes: tonic::service::Routes, address: std::net::SocketAddr) -> Entrance {
    Entrance::new(routes, Auth::default(), Hosts::default(), address)
}

async fn listen() -> anyhow::Result<(tokio::net::TcpListener, std::net::SocketAddr)> {
    let any = ([127, 0, 0, 1], 0).into();
    let listener = server::bind(any, "the benchmark", "--listen").await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

struct Bare {
    size: usize,
}

#[tonic::async_trait]
impl SinkService for Bare {
    type RunStream = Pin<Box<dyn Stream<Item = Result<SinkServiceRunResponse, Status>> + Send>>;

    async fn run(
        &self,
        request: Request<Streaming<SinkServiceRunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let (frames, stream) = mpsc::channel(2);
        tokio::spawn(bare_session(self.size, request.into_inner(), frames));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// Sends the same batches over and over; each answer makes room for one more.
async fn bare_session(
    size: usize,
    mut requests: Streaming<SinkServiceRunRequest>,
    frames: mpsc::Sender<Result<SinkServiceRunResponse, Status>>,
) {
    let opened = In::Opened(SinkOpened { protocol_version: 1, ..SinkOpened::default() });
    if frames.send(Ok(SinkServiceRunResponse { frame: Some(opened) })).await.is_err() {
        return;
    }
    let mut first = 1;
    for _ in 0..AHEAD {
        if frames.send(Ok(bare_batch(first, size))).await.is_err() {
            return;
        }
        first += BATCH;
    }
    while let Ok(Some(request)) = requests.message().await {
        if !matches!(request.frame, Some(Out::Results(_))) {
            continue;
        }
        if frames.send(Ok(bare_batch(first, size))).await.is_err() {
            return;
        }
        first += BATCH;
    }
}

fn bare_batch(first: u64, size: usize) -> SinkServiceRunResponse {
    let payload = bytes::Bytes::from(vec![b'x'; size]);
    let records = (first..first + BATCH).map(|id| SinkRecord {
        delivery_id: id,
        attempt: 1,
        topic: "/default/bench".to_owned(),
        partition_topic: "/default/bench".to_owned(),
        offset: id,
        payload: payload.clone(),
        key: Some(format!("key-{}", id % 1000)),
        publish_time_ms: 1_700_000_000_000,
        producer_name: "null".to_owned(),
        dedup_id: "0123456789abcdef0123456789abcdef".to_owned(),
        ..SinkRecord::default()
    });
    let batch = SinkBatch { records: records.collect(), epoch: 1 };
    SinkServiceRunResponse { frame: Some(In::Batch(batch)) }
}

/// The bare stream's client: counts, and answers each batch.
pub async fn bare_client(args: BareArgs) -> anyhow::Result<()> {
    let channel = Endpoint::from_shared(args.address)?.tcp_nodelay(true).connect().await?;
    let (requests, outgoing) = mpsc::channel(64);
    let say = |frame| requests.send(SinkServiceRunRequest { frame: Some(frame) });
    say(Out::Open(Default::default())).await?;
    let mut client = SinkServiceClient::new(channel);
    let mut responses = client.run(ReceiverStream::new(outgoing)).await?.into_inner();
    let mut meter = Meter::new(args.records);
    loop {
        let response = responses.message().await?.context("the stream ended")?;
        let Some(In::Batch(SinkBatch { records, .. })) = response.frame else { continue };
        let ends = records.first().zip(records.last());
        let acked = ends.map(|(a, b)| DeliveryRange { first: a.delivery_id, last: b.delivery_id });
        let acked = acked.into_iter().collect();
        say(Out::Results(SinkResults { acked, failures: Vec::new() })).await?;
        if let Some(measured) = meter.add(records.len() as u64) {
            return report(&measured);
        }
    }
}
