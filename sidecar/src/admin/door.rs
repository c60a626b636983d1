//! How a command reaches the admin API: over HTTP where the sidecar runs, else in
//! this process on the opened store.

use std::{path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Method, Request, Response, header},
};
use danube_sidecar_broker::Cluster;
use danube_sidecar_store::{Store, StoreError};
use danube_sidecar_text::Foreign;
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};
use tower::ServiceExt as _;

use super::{
    ADDRESS_FILE, Desk, Guard,
    api::{Failure, Problem},
    args::Reach,
    router,
};
use crate::{
    app,
    config::{self, Config, ConfigError, Environment, Overrides},
};

/// Bounds of a connection and of a call.
const CONNECT: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(60);

/// Largest answer that is read.
const LARGEST: usize = 64 << 20;

/// The broker that is meant where nothing names one, as for `publish`.
const LOCAL_BROKER: &str = "http://127.0.0.1:6650";

/// The way to the admin API.
pub enum Door {
    /// In this process, on the store.
    Here {
        /// The API.
        router: Router,
        /// Ended with the door.
        cluster: Cluster,
    },
    /// At a running sidecar.
    There {
        /// `host:port` of its HTTP.
        address: String,
        /// Its token.
        token: Option<String>,
    },
}

/// Why a command did not do what it was told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The arguments contradict each other.
    #[error("{0}")]
    Usage(String),
    /// Nothing to work on.
    #[error(
        "there is no data directory{}, so nothing is kept locally: set [sidecar] data_dir, name it \
         with --data-dir, or a running sidecar with --address", .0
    )]
    NoDataDir(String),
    /// Nobody answers.
    #[error(
        "no sidecar answers at {address}: {}; is it running? Name it with --address",
        Foreign(detail)
    )]
    Unreachable {
        /// Where it should be.
        address: String,
        /// What happened.
        detail: String,
    },
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the command is built of.
    #[error(transparent)]
    App(#[from] app::AppError),
    /// The API said no.
    #[error("{}", Foreign(&problem.message))]
    Api {
        /// The HTTP status.
        status: u16,
        /// What it said.
        problem: Problem,
    },
    /// A replay that came to a halt.
    #[error("replayed {replayed} dead letters, then stopped at {id}: {}", Foreign(message))]
    Stopped {
        /// Where.
        id: u64,
        /// How many are done.
        replayed: usize,
        /// Why.
        message: String,
    },
    /// Something else answers there.
    #[error("the answer is not a sidecar's ({}): is --address right?", Foreign(.0))]
    Strange(String),
}

impl CommandError {
    /// The exit code, as the help says.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Api { status: 400 | 404 | 415 | 422, .. } => 2,
            Self::Api { status: 401 | 403 | 409, .. } => 3,
            Self::Api { status: 501, .. } | Self::NoDataDir(_) | Self::Unreachable { .. } => 4,
            Self::Store(_)
            | Self::App(_)
            | Self::Api { .. }
            | Self::Stopped { .. }
            | Self::Strange(_) => 1,
        }
    }
}

impl Door {
    /// The door to the sidecar that `reach` means.
    ///
    /// # Errors
    /// When there is none.
    pub async fn open(reach: &Reach, environment: &Environment) -> Result<Self, CommandError> {
        let config = load(reach, environment)?;
        let token = match &config.sidecar.token_file {
            Some(path) => std::fs::read_to_string(path).ok().map(|token| token.trim().to_owned()),
            None => None,
        };
        if let Some(address) = &reach.address {
            let address = address.trim_start_matches("http://").trim_end_matches('/').to_owned();
            return Ok(Self::There { address, token });
        }
        let Some(data_dir) = config.sidecar.data_dir.clone() else {
            return Self::without_store(config, token).await;
        };
        if !data_dir.is_dir() {
            return Err(CommandError::NoDataDir(format!(" at {}", data_dir.display())));
        }
        match Store::open(&data_dir) {
            Ok(store) => Self::here(config, store, true),
            Err(StoreError::InUse { .. }) => {
                Ok(Self::There { address: announced(&data_dir, &config), token })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Positions in an object store need no data directory; all else is then in
    /// the memory of a running sidecar.
    async fn without_store(config: Config, token: Option<String>) -> Result<Self, CommandError> {
        let address = config.sidecar.http_listen.to_string();
        let runs = timeout(CONNECT, TcpStream::connect(&address)).await;
        match (runs, &config.checkpoints) {
            (Ok(Ok(_)), _) => Ok(Self::There { address, token }),
            (_, Some(_)) => Self::here(config, Store::in_memory()?, false),
            (_, None) => Err(CommandError::NoDataDir(String::new())),
        }
    }

    fn here(config: Config, store: Store, durable: bool) -> Result<Self, CommandError> {
        let checkpoints = app::checkpoints(config.checkpoints.as_ref(), &store)
            .map_err(app::AppError::Checkpoints)?;
        let cluster = app::cluster(&config)?;
        let desk = Desk {
            config: Arc::new(config),
            store: durable.then_some(store),
            checkpoints,
            cluster: cluster.clone(),
            connectors: None,
        };
        Ok(Self::Here { router: router(desk, Guard::Open), cluster })
    }

    /// Asks for something.
    ///
    /// # Errors
    /// When it is refused or fails.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CommandError> {
        self.call(Method::GET, path, &()).await
    }

    /// Has something done.
    ///
    /// # Errors
    /// When it is refused or fails.
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CommandError> {
        let body = serde_json::to_vec(body).map_err(|e| CommandError::Usage(e.to_string()))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body))
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        let work = async {
            match self {
                Self::Here { router, .. } => match router.clone().oneshot(request).await {
                    Ok(response) => read(response).await,
                    Err(never) => match never {},
                },
                Self::There { address, token } => {
                    read(send(address, token.as_deref(), request).await?).await
                }
            }
        };
        timeout(PATIENCE, work).await.unwrap_or_else(|_| {
            Err(self.unreachable(format!("no answer within {} s", PATIENCE.as_secs())))
        })
    }

    /// Ends what the door began.
    pub async fn close(self) {
        if let Self::Here { cluster, .. } = self {
            cluster.shutdown().await;
        }
    }

    /// Whether a sidecar runs.
    pub fn is_sidecar(&self) -> bool {
        matches!(self, Self::There { .. })
    }

    fn unreachable(&self, detail: String) -> CommandError {
        let address = match self {
            Self::Here { .. } => "this process".to_owned(),
            Self::There { address, .. } => address.clone(),
        };
        CommandError::Unreachable { address, detail }
    }
}

fn load(reach: &Reach, environment: &Environment) -> Result<Config, ConfigError> {
    let mut overrides = Overrides {
        config: reach.config.clone(),
        data_dir: reach.data_dir.clone(),
        ..Overrides::default()
    };
    match config::load(&overrides, environment) {
        Err(ConfigError::NoBroker) => {
            overrides.service_url = Some(LOCAL_BROKER.to_owned());
            config::load(&overrides, environment)
        }
        loaded => loaded,
    }
}

/// Where the sidecar of this data directory says that it serves.
fn announced(data_dir: &Path, config: &Config) -> String {
    let written = std::fs::read_to_string(data_dir.join(ADDRESS_FILE)).ok();
    let written = written.and_then(|text| text.trim().parse().ok());
    written.unwrap_or(config.sidecar.http_listen).to_string()
}

async fn send(
    address: &str,
    token: Option<&str>,
    mut request: Request<Body>,
) -> Result<Response<Body>, CommandError> {
    let unreachable = |detail: String| {
        let address = format!("http://{address}");
        CommandError::Unreachable { address, detail }
    };
    let headers = request.headers_mut();
    let usage =
        |error: axum::http::header::InvalidHeaderValue| CommandError::Usage(error.to_string());
    headers.insert(header::HOST, address.parse().map_err(usage)?);
    if let Some(token) = token {
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().map_err(usage)?);
    }
    let stream = timeout(CONNECT, TcpStream::connect(address))
        .await
        .map_err(|_| unreachable("no connection in time".to_owned()))?
        .map_err(|error| unreachable(error.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    // The body comes while the connection is driven.
    let exchange = async {
        let response = sender.send_request(request).await?;
        let (parts, body) = response.into_parts();
        Ok::<_, hyper::Error>((parts, to_bytes(Body::new(body), LARGEST).await))
    };
    let driven = async {
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    let (parts, body) = tokio::select! {
        answer = exchange => answer.map_err(|error| unreachable(error.to_string()))?,
        () = driven => return Err(unreachable("the connection ended".to_owned())),
    };
    let body = body.map_err(|error| unreachable(error.to_string()))?;
    Ok(Response::from_parts(parts, Body::from(body)))
}

async fn read<T: DeserializeOwned>(response: Response<Body>) -> Result<T, CommandError> {
    let status = response.status();
    let body = to_bytes(response.into_body(), LARGEST)
        .await
        .map_err(|error| CommandError::Strange(error.to_string()))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|e| CommandError::Strange(e.to_string()));
    }
    match serde_json::from_slice::<Failure>(&body) {
        Ok(failure) => Err(CommandError::Api { status: status.as_u16(), problem: failure.error }),
        Err(_) => {
            let message = String::from_utf8_lossy(&body).trim().to_owned();
            let problem =
                Problem { reason: "HTTP".to_owned(), message: format!("{status}: {message}") };
            Err(CommandError::Api { status: status.as_u16(), problem })
        }
    }
}
