//! What can be wrong with a configuration.

use std::{io, path::PathBuf};

/// What can be wrong with a configuration: each names the place and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "cannot read the configuration file {}: {source}\n  \
         give its path with --config FILE or CONNECTOR_CONFIG_PATH; \
         `danube-sidecar dev` needs no file", path.display()
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not valid.
    #[error("{}:{line}: {detail}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong and what was expected.
        detail: String,
    },
    /// No broker is named.
    #[error(
        "no Danube broker is named: set danube_service_url = \"http://127.0.0.1:6650\" in the \
         configuration file, or DANUBE_SERVICE_URL in the environment; \
         `danube-sidecar dev` brings its own broker"
    )]
    NoBroker,
    /// A value that is well-formed but cannot be used.
    #[error("{key} = {value:?} cannot be used: {remedy}")]
    Unusable {
        /// Where it stands.
        key: String,
        /// What it says.
        value: String,
        /// What to do.
        remedy: String,
    },
}
