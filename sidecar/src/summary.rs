//! What `validate` prints.

use std::fmt::Write as _;

use crate::config::{Config, Connector};

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
    for connector in config.connectors.values() {
        describe(&mut text, connector);
    }
    let others = if sidecar.allow_unconfigured { "may connect too" } else { "are refused" };
    let _ = writeln!(text, "  connectors that the file does not name {others}");
    text
}

fn describe(text: &mut String, connector: &Connector) {
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
}
