//! `adopt` and `[stranded]`: what becomes of what is left under names that are gone.

use std::collections::BTreeSet;

use super::{Config, ConfigError};

/// Whether what the file says of names that are gone can be done.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let unusable = |key: String, value: &str, remedy: &str| {
        let (value, remedy) = (value.to_owned(), remedy.to_owned());
        Err(ConfigError::Unusable { key, value, remedy })
    };
    let mut adopted = BTreeSet::new();
    for connector in config.connectors.values() {
        let Some(old) = &connector.adopt else { continue };
        let key = format!("adopt of connector {}", connector.name);
        if config.sidecar.data_dir.is_none() {
            return unusable(
                key,
                old,
                "what is left is in a data directory: set [sidecar] data_dir",
            );
        }
        if !connector.inbox.enabled {
            return unusable(key, old, "it takes records over into its inbox: enable its inbox");
        }
        if config.connectors.contains_key(old) {
            return unusable(
                key,
                old,
                "this connector is in the file: only one that is gone leaves something",
            );
        }
        if config.stranded.contains_key(old) {
            return unusable(key, old, "[stranded] names it too: keep one of both");
        }
        if !adopted.insert(old) {
            return unusable(key, old, "another connector adopts it: only one can");
        }
    }
    for name in config.stranded.keys() {
        let key = format!("stranded.{name}");
        if config.sidecar.data_dir.is_none() {
            return unusable(
                key,
                name,
                "what is left is in a data directory: set [sidecar] data_dir",
            );
        }
        let served = config.connectors.get(name).is_some_and(|known| {
            known.inbox.enabled && (known.producers.is_empty() || !known.subscriptions.is_empty())
        });
        if served {
            return unusable(
                key,
                name,
                "this connector is in the file and has an inbox: nothing of it is stranded; remove this line",
            );
        }
    }
    Ok(())
}
