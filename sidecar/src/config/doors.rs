//! What `[sidecar]` says of who may come in.

use std::net::SocketAddr;

use super::ConfigError;

/// An address that other machines can dial wants a token, or the operator's word.
pub(super) fn check_listen(listen: SocketAddr, known: bool) -> Result<(), ConfigError> {
    if listen.ip().is_loopback() || known {
        return Ok(());
    }
    Err(ConfigError::Unusable {
        key: "sidecar.listen".to_owned(),
        value: listen.to_string(),
        remedy: "there is no token, so whoever reaches this address could publish, read, and be \
                 sent settings: set [sidecar] token_file, or listen on 127.0.0.1; where only \
                 callers that you trust can reach it, allow_insecure_listen = true \
                 (--allow-insecure-listen)"
            .to_owned(),
    })
}

/// Names, without ports.
pub(super) fn host_names(names: &[String]) -> Result<Vec<String>, ConfigError> {
    let named = |name: &&String| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match names.iter().find(|name| !named(name)) {
        None => Ok(names.to_vec()),
        Some(wrong) => Err(ConfigError::Unusable {
            key: "sidecar.allowed_hosts".to_owned(),
            value: wrong.clone(),
            remedy: "write a host's name without scheme, port and path, for example \
                     \"sidecar.example\"; addresses and localhost need not be listed"
                .to_owned(),
        }),
    }
}
