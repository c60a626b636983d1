//! Who may use the admin API: it shows payloads and moves positions.

use std::net::SocketAddr;

use axum::{
    extract::{Request, State},
    http::header::AUTHORIZATION,
    middleware::Next,
    response::Response,
};

use super::error::ApiError;
use crate::gate::{Auth, Peer};

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
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    if let Guard::Http { auth, address } = &guard {
        if auth.required() {
            let peer = request.extensions().get::<Peer>().copied();
            let token = request.headers().get(AUTHORIZATION);
            auth.check(peer, token).await.map_err(ApiError::Unauthenticated)?;
        } else if !address.ip().is_loopback() {
            return Err(ApiError::Closed);
        }
    }
    Ok(next.run(request).await)
}
