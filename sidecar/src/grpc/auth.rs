//! Who is calling, and whether it may.

use std::path::PathBuf;

use tonic::{Extensions, metadata::MetadataMap};

use crate::refusal::Refusal;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP.
    Tcp(std::net::SocketAddr),
    /// Over the Unix socket, with the caller's user id.
    Unix {
        /// The user that the kernel says is calling.
        user: u32,
    },
}

/// The sidecar's token, where it has one.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    token_file: Option<PathBuf>,
}

impl Auth {
    /// Callers must present the content of this file.
    pub fn new(token_file: Option<PathBuf>) -> Self {
        Self { token_file }
    }

    /// Checks the token of a call. The file is read for each session, so that it
    /// can be changed while the sidecar runs.
    pub(super) async fn check_call(&self, metadata: &MetadataMap) -> Result<(), Refusal> {
        self.check(metadata.get("authorization").and_then(|value| value.to_str().ok())).await
    }

    /// Whether callers must present a token.
    pub fn required(&self) -> bool {
        self.token_file.is_some()
    }

    /// Checks an `authorization` header.
    ///
    /// # Errors
    /// When the token is missing or wrong.
    pub async fn check(&self, authorization: Option<&str>) -> Result<(), Refusal> {
        let Some(path) = &self.token_file else { return Ok(()) };
        let wrong = |problem| Refusal::Unauthenticated { problem };
        let Ok(expected) = tokio::fs::read_to_string(path).await else {
            tracing::error!(path = %path.display(), "cannot read token_file: every connector is refused");
            return Err(wrong("not checkable (the sidecar cannot read its token_file)"));
        };
        let presented = authorization.and_then(|value| value.strip_prefix("Bearer "));
        match presented {
            None => Err(wrong("missing")),
            Some(token) if same(token.as_bytes(), expected.trim().as_bytes()) => Ok(()),
            Some(_) => Err(wrong("wrong")),
        }
    }

    /// Whether settings that may hold secrets can be sent to this caller: one that
    /// proved who it is, by token or by the kernel's word for the same user.
    pub(super) fn trusts(&self, extensions: &Extensions) -> bool {
        let same_user = matches!(
            extensions.get::<Peer>(),
            Some(Peer::Unix { user }) if *user == nix::unistd::getuid().as_raw()
        );
        self.token_file.is_some() || same_user
    }
}

/// Compares without telling by its duration where the difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}
