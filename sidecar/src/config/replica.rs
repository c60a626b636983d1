//! Which one of several sidecars this is.

use danube_sidecar_broker::Replica;

use super::{ConfigError, file, load::Environment};

/// From `[sidecar] replica` and `replicas`; without the former from the end of the host's
/// name, as a StatefulSet numbers its pods. None: the only one.
pub(super) fn replica(
    file: &file::Sidecar,
    environment: &Environment,
) -> Result<Option<Replica>, ConfigError> {
    let Some(replicas) = file.replicas else {
        return match file.replica {
            Some(replica) => Err(unusable("replica", replica, "say how many there are: replicas")),
            None => Ok(None),
        };
    };
    let host = environment.get("HOSTNAME").map_or("", String::as_str);
    let Some(ordinal) = file.replica.or_else(|| ordinal_of(host)) else {
        let remedy = format!(
            "the host's name (HOSTNAME={host:?}) does not end in -<number>, so set [sidecar] \
             replica, counted from 0"
        );
        return Err(unusable("replicas", replicas, &remedy));
    };
    let remedy = format!("replicas = {replicas}, and they are counted from 0");
    Replica::new(ordinal, replicas).map(Some).ok_or_else(|| unusable("replica", ordinal, &remedy))
}

/// The number at the end of `postgres-sink-2`.
fn ordinal_of(host: &str) -> Option<u32> {
    host.rsplit_once('-')?.1.parse().ok()
}

fn unusable(key: &str, value: u32, remedy: &str) -> ConfigError {
    ConfigError::Unusable {
        key: format!("sidecar.{key}"),
        value: value.to_string(),
        remedy: remedy.to_owned(),
    }
}
