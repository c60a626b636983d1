//! What `validate` prints.

use std::{fmt::Write as _, time::Duration};

use humantime::format_duration;

use crate::config::{ByteSize, Config, Connector, Danube};

/// What a configuration means, for people.
pub fn of(config: &Config) -> String {
    let mut text = String::new();
    let sidecar = &config.sidecar;
    // Writing to a String does not fail.
    let _ = writeln!(text, "configuration is valid");
    let _ = writeln!(text, "  broker      {}", config.danube.service_url);
    let _ = writeln!(text, "  connectors  dial http://{}", sidecar.listen);
    if let Some(path) = &sidecar.unix_socket {
        let _ = writeln!(text, "              or unix://{}", path.display());
    }
    let _ = writeln!(text, "  status      http://{}/status", sidecar.http_listen);
    let data = match &sidecar.data_dir {
        Some(dir) => dir.display().to_string(),
        None => "none: positions and consumer ids are lost when the sidecar ends \
                 (set [sidecar] data_dir)"
            .to_owned(),
    };
    let _ = writeln!(text, "  data        {data}");
    if let Some(replica) = sidecar.replica {
        let (ordinal, replicas) = (replica.ordinal(), replica.replicas());
        let _ = writeln!(
            text,
            "  replica     {ordinal} of {replicas} (counted from 0): takes its own partitions"
        );
    }
    if let Some(location) = &config.checkpoints {
        let _ = writeln!(text, "  positions   {}", location.url());
    }
    let _ = writeln!(
        text,
        "  memory      at most {} of records that no worker has",
        ByteSize(sidecar.max_buffer_bytes as u64)
    );
    for connector in config.connectors.values() {
        describe(&mut text, connector, config);
    }
    let others = if sidecar.allow_unconfigured { "may connect too" } else { "are refused" };
    let _ = writeln!(text, "  connectors that the file does not name {others}");
    text
}

fn describe(text: &mut String, connector: &Connector, config: &Config) {
    let _ = writeln!(text, "  connector {}", connector.name);
    for subscription in &connector.subscriptions {
        let _ = writeln!(
            text,
            "    consumes {} ({:?} subscription {})",
            subscription.topic, subscription.kind, subscription.subscription
        );
    }
    for producer in &connector.producers {
        let _ = writeln!(
            text,
            "    publishes to {} ({} partitions)",
            producer.topic, producer.partitions
        );
    }
    if connector.subscriptions.is_empty() && connector.producers.is_empty() {
        let _ = writeln!(text, "    says itself what it consumes or publishes");
    }
    let letters = connector.dead_letter_topic().unwrap_or_else(|| "off".to_owned());
    let _ = writeln!(text, "    dead letters: {letters}");
    if connector.dead_letters.enabled && config.sidecar.data_dir.is_some() {
        let kept = &connector.dead_letters;
        let _ = writeln!(
            text,
            "      local copies: at most {}, for {}",
            ByteSize(kept.max_bytes),
            format_duration(kept.max_age)
        );
    }
    let only_source = connector.subscriptions.is_empty() && !connector.producers.is_empty();
    if !only_source {
        inbox(text, connector, &config.danube);
    }
}

fn inbox(text: &mut String, connector: &Connector, danube: &Danube) {
    let inbox = &connector.inbox;
    if inbox.enabled {
        let fsync = if inbox.fsync { "fsynced before the ack" } else { "fsynced after the ack" };
        let _ = write!(text, "    inbox: at most {}, {fsync}", ByteSize(inbox.max_bytes));
        if !inbox.retain.is_zero() {
            let _ = write!(text, ", kept for replay for {}", format_duration(inbox.retain));
        }
        let _ = writeln!(text);
        return;
    }
    let _ = writeln!(text, "    inbox: off, Danube holds what is not resolved");
    if let Some(held) = long_hold(connector) {
        let _ = writeln!(
            text,
            "      note: one record may be retried for {}, and a partition waits once {} are \
             unresolved: set [sidecar] data_dir, so that the inbox takes them",
            format_duration(held),
            danube.max_unacked_messages
        );
    }
}

/// How long the file lets one record be retried, where that is long for Danube to
/// hold a partition.
fn long_hold(connector: &Connector) -> Option<Duration> {
    const LONG: Duration = Duration::from_secs(60);
    let retry = &connector.retry;
    let first = retry.initial_backoff.unwrap_or(Duration::from_secs(1));
    let most = retry.max_backoff.unwrap_or(Duration::from_secs(30));
    let mut backoff = first.min(most);
    let mut held = Duration::ZERO;
    for _ in 0..retry.max_retries.unwrap_or(3).min(MAX_SUMMED) {
        held = held.saturating_add(backoff);
        backoff = (backoff * 2).min(most);
    }
    let held = held.max(retry.max_age.unwrap_or_default());
    (held > LONG).then(|| Duration::from_secs(held.as_secs()))
}

/// Retries beyond these are long enough whatever follows.
const MAX_SUMMED: u32 = 10_000;
