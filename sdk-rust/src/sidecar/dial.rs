//! Connecting.

use std::{env, path::PathBuf, time::Duration};

use hyper_util::rt::TokioIo;
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

use super::{Address, SidecarError};
use crate::{ConnectorError, ConnectorResult};

const ADDRESS: &str = "DANUBE_SIDECAR_ADDRESS";
const TOKEN: &str = "DANUBE_SIDECAR_TOKEN";
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:6670";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The `:authority` that goes with a Unix socket.
const LOCALHOST: &str = "http://localhost";

/// The sidecar, seen from a connector.
#[derive(Clone, Debug)]
pub(crate) struct Sidecar {
    address: Address,
    token: Option<MetadataValue<Ascii>>,
}

impl Sidecar {
    /// The one that the environment names, or the default.
    pub(crate) fn from_env() -> ConnectorResult<Self> {
        let address = env::var(ADDRESS).unwrap_or_else(|_| DEFAULT_ADDRESS.to_owned());
        let token = env::var(TOKEN).ok().filter(|token| !token.is_empty());
        Self::new(&address, token.as_deref())
    }

    pub(crate) fn new(address: &str, token: Option<&str>) -> ConnectorResult<Self> {
        let address = Address::parse(address)?;
        let token = token.map(bearer).transpose()?;
        Ok(Self { address, token })
    }

    /// The same sidecar at another address.
    pub(crate) fn at(&self, address: &str) -> ConnectorResult<Self> {
        Ok(Self { address: Address::parse(address)?, token: self.token.clone() })
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Opens a connection. HTTP/2 keepalive is the server's business.
    pub(crate) async fn connect(&self) -> Result<Channel, SidecarError> {
        let connected = match &self.address {
            Address::Tcp(uri) => endpoint(Endpoint::from(uri.clone())).connect().await,
            Address::Unix(path) => connect_unix(path.clone()).await,
        };
        connected.map_err(|source| SidecarError::Unreachable { address: self.address(), source })
    }

    /// A request of these frames.
    pub(crate) fn request<T>(&self, frames: T) -> Request<T> {
        let mut request = Request::new(frames);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }
}

fn bearer(token: &str) -> ConnectorResult<MetadataValue<Ascii>> {
    let mut value = format!("Bearer {token}").parse::<MetadataValue<Ascii>>().map_err(|_| {
        ConnectorError::config(format!("{TOKEN} has characters that no header may have"))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn endpoint(endpoint: Endpoint) -> Endpoint {
    endpoint.tcp_nodelay(true).connect_timeout(CONNECT_TIMEOUT)
}

#[cfg(unix)]
async fn connect_unix(path: PathBuf) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { tokio::net::UnixStream::connect(path).await.map(TokioIo::new) }
    });
    endpoint(Endpoint::from_static(LOCALHOST)).connect_with_connector(connector).await
}

#[cfg(not(unix))]
async fn connect_unix(_path: PathBuf) -> Result<Channel, tonic::transport::Error> {
    let connector = tower::service_fn(|_| async {
        Err::<TokioIo<tokio::net::TcpStream>, _>(std::io::Error::from(
            std::io::ErrorKind::Unsupported,
        ))
    });
    endpoint(Endpoint::from_static(LOCALHOST)).connect_with_connector(connector).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_rides_on_the_request_and_is_never_shown() {
        let sidecar = Sidecar::new(DEFAULT_ADDRESS, Some("secret")).expect("a sidecar");
        let request = sidecar.request(());

        let sent = request.metadata().get("authorization").expect("it is sent");
        assert_eq!(sent.to_str().expect("text"), "Bearer secret");
        assert!(!format!("{sidecar:?} {request:?}").contains("secret"));
    }

    #[test]
    fn a_token_that_no_header_can_carry_is_refused() {
        assert!(Sidecar::new(DEFAULT_ADDRESS, Some("two\nlines")).is_err());
    }
}
