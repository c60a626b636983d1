//! Builds the sidecar out of its parts, and takes it down again.
//!
//! **Architecture invariant:** the only place that constructs components and wires
//! them to each other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use danube_sidecar_broker::{
    BrokerHealth, ClientCertificate, Cluster, ClusterConfig, ClusterError, Tls,
};
use danube_sidecar_store::{
    Checkpoints, LocationError, ObjectCheckpoints, ObjectLocation, Store, StoreError,
};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tokio::{
    net::{TcpListener, UnixListener},
    runtime::Handle,
    sync::watch,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    admin::{self, Desk, Guard},
    child::Supervisor,
    config::Config,
    connectors::{self, Connectors},
    gate::{Auth, Hosts, TokenError},
    grpc::{self, Entrance, Shared},
    http::{self, Http},
    metrics, private,
    refusal::Refusal,
    server::{self, Acceptor, ListenError, Pages, Socket},
    stranded::{self, StrandedError},
    vitals::{Part, Vitals},
};

/// Why the sidecar cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// A port or socket.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The token that callers must present.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The data directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The checkpoint store.
    #[error("the checkpoint store cannot be used: {0}")]
    Checkpoints(#[from] LocationError),
    /// Something is left that nobody takes.
    #[error(transparent)]
    Stranded(#[from] StrandedError),
    /// The cluster's configuration.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The configuration asks for something that is refused.
    #[error("the configuration asks for something that the sidecar refuses: {0}")]
    Refused(#[from] Refusal),
    /// The metrics recorder.
    #[error("cannot start metrics: {0}")]
    Metrics(#[from] BuildError),
    /// The protocol's descriptors.
    #[error("cannot start gRPC reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Tasks by the order in which they end.
#[derive(Clone, Default)]
struct Tasks {
    /// Drivers and source sessions: they drain.
    connectors: TaskTracker,
    /// gRPC sessions and connections: they end when the drivers have.
    sessions: TaskTracker,
    /// Everything else.
    service: TaskTracker,
}

/// Serves connectors until `stop`, then drains and comes back within the
/// configured `shutdown_timeout`. `delivery` runs the drivers of sinks.
///
/// # Errors
/// When it cannot start.
pub async fn run(
    config: Config,
    child: Vec<String>,
    stop: CancellationToken,
    delivery: Handle,
) -> Result<(), AppError> {
    let auth = Auth::open(config.sidecar.token_file.as_deref())?;
    let ports = Ports::bind(&config).await?;
    let recorder = PrometheusBuilder::new().install_recorder()?;
    metrics::describe();
    let life = Life::default();
    let (desk, connectors) = start(&config, &life, delivery).await?;
    if let Some(data_dir) = &config.sidecar.data_dir {
        admin::announce(data_dir, ports.http_address);
    }
    let (cluster, address) = (desk.cluster.clone(), ports.address(&config));
    let http = ports.http_address;
    let socket = ports.serve(desk, connectors, auth, recorder, &life).await?;
    let health =
        report_broker(config.danube.service_url.clone(), cluster.health(), life.closing.clone());
    life.tasks.service.spawn(health);

    info!(connectors = address, http = %format_args!("http://{http}"), broker = config.danube.service_url, "sidecar ready");
    if !child.is_empty() {
        let patience = config.sidecar.shutdown_timeout.mul_f32(0.9);
        let supervisor = Supervisor::new(child, address, life.stopping.clone(), patience);
        life.tasks.service.spawn(supervisor.run());
    }

    stop.cancelled().await;
    info!("shutting down: finishing what workers hold");
    if timeout(config.sidecar.shutdown_timeout, life.end(cluster)).await.is_err() {
        warn!("shutdown_timeout passed: leaving what is open; those records come again");
    }
    if let Some(socket) = socket {
        socket.remove();
    }
    Ok(())
}

/// Opens the store and starts the connectors of the file; the operator's desk on both.
async fn start(
    config: &Config,
    life: &Life,
    delivery: Handle,
) -> Result<(Desk, Arc<Connectors>), AppError> {
    let store = match &config.sidecar.data_dir {
        Some(data_dir) => {
            private::folders(data_dir);
            Store::open(data_dir)?
        }
        None => Store::in_memory()?,
    };
    let checkpoints = checkpoints(config.checkpoints.as_ref(), &store)?;
    let left = stranded::settle(config, &store, &*checkpoints).await?;
    let cluster = cluster(config)?;
    let watched = watch_store(store.clone(), life.vitals.clone(), life.closing.clone());
    life.tasks.service.spawn(watched);
    let parts = connectors::Parts {
        danube: Arc::new(cluster.clone()),
        checkpoints: Arc::clone(&checkpoints),
        store: store.clone(),
        shutdown: life.stopping.clone(),
        tasks: life.tasks.connectors.clone(),
        vitals: life.vitals.clone(),
        delivery,
    };
    let connectors = Arc::new(Connectors::start(config.clone(), parts, left).await?);
    let watched = crate::watch::run(Arc::clone(&connectors), life.closing.clone());
    life.tasks.service.spawn(watched);
    let desk = Desk {
        config: Arc::new(config.clone()),
        store: config.sidecar.data_dir.is_some().then_some(store),
        checkpoints,
        cluster,
        connectors: Some(Arc::clone(&connectors)),
    };
    Ok((desk, connectors))
}

/// Where the sidecar listens: what is most often wrong, and is tried before anything
/// is touched.
struct Ports {
    grpc: TcpListener,
    grpc_address: SocketAddr,
    http: TcpListener,
    http_address: SocketAddr,
    unix: Option<(UnixListener, Socket)>,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self, ListenError> {
        let (listen, http_listen) = (config.sidecar.listen, config.sidecar.http_listen);
        let grpc = server::bind(listen, "connectors (gRPC)", "--listen").await?;
        let http = server::bind(http_listen, "health and metrics (HTTP)", "--http-listen").await?;
        let unix = match &config.sidecar.unix_socket {
            Some(path) => Some(server::bind_unix(path).await?),
            None => None,
        };
        let grpc_address = grpc.local_addr().unwrap_or(listen);
        let http_address = http.local_addr().unwrap_or(http_listen);
        Ok(Self { grpc, grpc_address, http, http_address, unix })
    }

    /// What connectors dial.
    fn address(&self, config: &Config) -> String {
        match &config.sidecar.unix_socket {
            Some(path) => format!("unix://{}", path.display()),
            None => format!("http://{}", self.grpc_address),
        }
    }

    /// Serves connectors, pages and the admin API. The socket is to be removed at the end.
    async fn serve(
        self,
        desk: Desk,
        connectors: Arc<Connectors>,
        auth: Auth,
        metrics: PrometheusHandle,
        life: &Life,
    ) -> Result<Option<Socket>, AppError> {
        let hosts = Hosts::new(&desk.config.sidecar.allowed_hosts);
        let shared = Shared {
            connectors: Arc::clone(&connectors),
            auth: auth.clone(),
            tasks: life.tasks.sessions.clone(),
            vitals: life.vitals.clone(),
            stop: life.closing.clone(),
        };
        let routes = grpc::routes(shared).await?;
        let entrance = Entrance::new(routes, auth.clone(), hosts.clone(), self.http_address);
        let acceptor = Acceptor::new(entrance, life.closing.clone(), life.tasks.sessions.clone());
        let socket = self.unix.map(|(listener, socket)| {
            life.essential(Part::Grpc, "unix", &life.closing, acceptor.clone().unix(listener));
            socket
        });
        life.essential(Part::Grpc, "tcp", &life.closing, acceptor.tcp(self.grpc));
        let pages = Http {
            connectors,
            broker: desk.cluster.health(),
            metrics,
            grpc: self.grpc_address,
            stop: life.stopping.clone(),
            vitals: life.vitals.clone(),
        };
        let admin = admin::router(desk, Guard::Http { auth, address: self.http_address });
        let pages = Pages {
            router: http::router(pages, admin),
            hosts,
            stop: life.stopping.clone(),
            tasks: life.tasks.service.clone(),
        };
        life.essential(Part::Http, "tcp", &life.stopping, pages.serve(self.http));
        Ok(socket)
    }
}

/// How everything that runs comes to its end, and what does not survive.
#[derive(Default)]
struct Life {
    tasks: Tasks,
    /// Connectors drain.
    stopping: CancellationToken,
    /// They have, and sessions close.
    closing: CancellationToken,
    vitals: Vitals,
}

impl Life {
    /// Runs a task without which the process is not alive, unless it is `over`.
    fn essential(
        &self,
        part: Part,
        name: &'static str,
        over: &CancellationToken,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let (vitals, over) = (self.vitals.clone(), over.clone());
        self.tasks.service.spawn(async move {
            vitals.essential(part, name, || over.is_cancelled(), task).await;
        });
    }

    async fn end(self, cluster: Cluster) {
        let Self { tasks, stopping, closing, .. } = self;
        stopping.cancel();
        tasks.connectors.close();
        tasks.connectors.wait().await;
        closing.cancel();
        tasks.sessions.close();
        // A peer that does not close its side has no claim on our exit.
        if timeout(Duration::from_secs(2), tasks.sessions.wait()).await.is_err() {
            info!("some connections stay open at their other end: leaving them");
        }
        tasks.service.close();
        tasks.service.wait().await;
        cluster.shutdown().await;
    }
}

/// Where positions are durable: in the object store that is named, else in ours.
///
/// # Errors
/// When the location cannot be used.
pub fn checkpoints(
    location: Option<&ObjectLocation>,
    store: &Store,
) -> Result<Arc<dyn Checkpoints>, LocationError> {
    Ok(match location {
        Some(location) => Arc::new(ObjectCheckpoints::new(location)?),
        None => Arc::new(store.clone()),
    })
}

/// The store survives what it can; where it cannot, the process is not alive.
async fn watch_store(store: Store, vitals: Vitals, closing: CancellationToken) {
    tokio::select! {
        () = store.ended() => vitals.dead(Part::Store, "data_dir", "its thread panicked"),
        () = closing.cancelled() => {}
    }
}

/// Logs when the broker comes and goes.
async fn report_broker(
    url: String,
    mut health: watch::Receiver<BrokerHealth>,
    closing: CancellationToken,
) {
    loop {
        match &*health.borrow_and_update() {
            BrokerHealth::Connecting => {}
            BrokerHealth::Up => info!(url, "connected to Danube"),
            BrokerHealth::Down { detail } => {
                warn!(url, detail, "cannot reach Danube; trying again for ever");
            }
        }
        tokio::select! {
            changed = health.changed() => if changed.is_err() { return },
            () = closing.cancelled() => return,
        }
    }
}

/// The cluster that the configuration names. It connects when it is used.
///
/// # Errors
/// When the configuration cannot be used.
pub fn cluster(config: &Config) -> Result<Cluster, AppError> {
    Ok(Cluster::new(cluster_config(config))?)
}

fn cluster_config(config: &Config) -> ClusterConfig {
    let danube = &config.danube;
    let tls = danube.tls.as_ref().map(|tls| Tls {
        ca: tls.ca_file.clone(),
        client: tls.client.as_ref().map(|(certificate, key)| ClientCertificate {
            certificate: certificate.clone(),
            key: key.clone(),
        }),
    });
    ClusterConfig {
        service_url: danube.service_url.clone(),
        admin_url: danube.admin_url.clone(),
        tls,
        token_file: danube.token_file.clone(),
        connect_timeout: danube.connect_timeout,
        rpc_timeout: danube.rpc_timeout,
        ack_timeout: danube.ack_timeout,
        broker_window: danube.max_unacked_messages,
        replica: config.sidecar.replica,
        ..ClusterConfig::default()
    }
}
