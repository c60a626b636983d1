//! Where the sidecar listens.

use std::{fmt, path::PathBuf};

use tonic::transport::Uri;

use crate::ConnectorError;

/// The address of a sidecar, as in `DANUBE_SIDECAR_ADDRESS`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `http://host:port`.
    Tcp(Uri),
    /// `unix:///path/of/socket`.
    Unix(PathBuf),
}

impl Address {
    /// Reads an address.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectorError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(text, path);
        }
        if !text.starts_with("http://") {
            return Err(malformed(text));
        }
        match text.parse::<Uri>() {
            Ok(uri) if uri.port().is_some() => Ok(Self::Tcp(uri)),
            _ => Err(malformed(text)),
        }
    }
}

fn unix(text: &str, path: &str) -> Result<Address, ConnectorError> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.starts_with('/') {
        return Err(malformed(text));
    }
    Ok(Address::Unix(PathBuf::from(path)))
}

fn malformed(text: &str) -> ConnectorError {
    ConnectorError::config(format!(
        "DANUBE_SIDECAR_ADDRESS is \"{text}\": expected http://HOST:PORT or unix:///PATH"
    ))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(uri) => {
                write!(f, "http://{}", uri.authority().map_or("", |authority| authority.as_str()))
            }
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_address_are_read() {
        for text in ["http://127.0.0.1:6670", "unix:///run/sidecar.sock"] {
            assert_eq!(Address::parse(text).expect("an address").to_string(), text);
        }
    }

    #[test]
    fn other_addresses_are_refused_with_the_expected_form() {
        for text in ["", "localhost:6670", "https://host:1", "http://host", "unix:relative"] {
            let error = Address::parse(text).expect_err("no address").to_string();
            assert!(error.contains(text) && error.contains("unix:///PATH"), "{error}");
        }
    }
}
