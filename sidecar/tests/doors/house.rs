//! The ports under test.

use std::{path::Path, sync::Arc};

use danube_sidecar::{
    app,
    config::{self, Environment, Overrides},
    connectors::{Connectors, Parts},
    gate::{Auth, Crowd, Hosts, Peer},
    grpc::{self, Entrance, Shared},
    server::Acceptor,
    vitals::Vitals,
};
use danube_sidecar_store::Store;
use tempfile::TempDir;
use tokio::{
    io::{DuplexStream, duplex},
    runtime::Handle,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What fits into a pipe: less than a window, so that the reader is seen to read.
const PIPE: usize = 64 << 10;

/// A caller over TCP.
pub const SOMEBODY: &str = "192.0.2.7:49152";

/// A sidecar whose Danube is away.
pub struct House {
    acceptor: Acceptor,
    crowd: Crowd,
    _folder: TempDir,
}

impl House {
    /// Lets everybody in.
    pub async fn open() -> Self {
        Self::new(None).await
    }

    /// Lets in who has the token.
    pub async fn closed(token: &str) -> Self {
        Self::new(Some(token)).await
    }

    async fn new(token: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let auth = Auth::open(token.map(|token| token_file(folder.path(), token)).as_deref());
        let shared = Shared {
            connectors: connectors().await,
            auth: auth.unwrap(),
            tasks: TaskTracker::new(),
            vitals: Vitals::default(),
            stop: CancellationToken::new(),
        };
        let auth = shared.auth.clone();
        let routes = grpc::routes(shared).await.unwrap();
        let hosts = Hosts::new(&["sidecar.example".to_owned()]);
        let entrance = Entrance::new(routes, auth, hosts, ([127, 0, 0, 1], 6671).into());
        let acceptor = Acceptor::new(entrance, CancellationToken::new(), TaskTracker::new());
        Self { acceptor, crowd: Crowd::default(), _folder: folder }
    }

    /// A connection over TCP.
    pub async fn dial(&self) -> DuplexStream {
        self.dial_as(Peer::Tcp(SOMEBODY.parse().unwrap())).await
    }

    /// A connection of this peer.
    pub async fn dial_as(&self, peer: Peer) -> DuplexStream {
        let (ours, theirs) = duplex(PIPE);
        self.acceptor.serve(theirs, peer, self.crowd.enter().await.unwrap());
        ours
    }
}

fn token_file(folder: &Path, token: &str) -> std::path::PathBuf {
    let path = folder.join("token");
    std::fs::write(&path, token).unwrap();
    path
}

async fn connectors() -> Arc<Connectors> {
    let overrides =
        Overrides { service_url: Some("http://127.0.0.1:1".to_owned()), ..Overrides::default() };
    let config = config::load(&overrides, &Environment::new()).unwrap();
    let store = Store::in_memory().unwrap();
    let parts = Parts {
        danube: Arc::new(app::cluster(&config).unwrap()),
        checkpoints: Arc::new(store.clone()),
        store,
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
        vitals: Vitals::default(),
        delivery: Handle::current(),
    };
    Arc::new(Connectors::start(config, parts, Vec::new()).await.unwrap())
}
