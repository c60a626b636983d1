//! Who may use the admin API: it shows payloads and moves positions.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap,
        header::{AUTHORIZATION, HOST},
    },
    middleware::Next,
    response::Response,
};

use super::error::ApiError;
use crate::grpc::Auth;

/// Who may use the admin API.
#[derive(Clone, Debug)]
pub enum Guard {
    /// The process itself.
    Open,
    /// Who presents the sidecar's token; where it has none, who is on this machine.
    Http {
        /// The sidecar's token.
        auth: Auth,
        /// Where the API is served.
        address: SocketAddr,
    },
}

pub(super) async fn check(
    State(guard): State<Guard>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Guard::Http { auth, address } = &guard {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let_in(auth, *address, header(AUTHORIZATION), header(HOST).unwrap_or_default()).await?;
    }
    Ok(next.run(request).await)
}

async fn let_in(
    auth: &Auth,
    address: SocketAddr,
    token: Option<&str>,
    host: &str,
) -> Result<(), ApiError> {
    if auth.required() {
        return auth.check(token).await.map_err(ApiError::Unauthenticated);
    }
    if !address.ip().is_loopback() {
        return Err(ApiError::Closed);
    }
    // A page in the operator's browser may have its name resolve to us.
    ours(host).then_some(()).ok_or_else(|| ApiError::ForeignHost(host.to_owned()))
}

/// Whether the host is an address or `localhost`, as no foreign name is.
fn ours(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_ours() {
        for host in ["127.0.0.1:6671", "localhost", "localhost:6671", "[::1]:6671"] {
            assert!(ours(host), "{host}");
        }
        for host in ["evil.example:6671", "", "127.0.0.1.evil.example"] {
            assert!(!ours(host), "{host}");
        }
    }
}
