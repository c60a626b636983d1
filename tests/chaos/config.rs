//! The sidecar's configuration in a round.

use std::path::Path;

use crate::{
    account::Names,
    bound::WINDOW,
    schedule::{Intake, Round},
};

/// The file's text.
pub fn text(round: &Round, names: &Names, service_url: &str, data_dir: &Path) -> String {
    let Names { topic, letters, sink, source } = names;
    let (window, partitions) = (round.broker_window, round.partitions);
    let ack_timeout = round.ack_timeout.as_millis();
    let data_dir = data_dir.display();
    let inbox = inbox(round.intake);
    format!(
        r#"
danube_service_url = "{service_url}"

[sidecar]
data_dir = "{data_dir}"
shutdown_timeout = "5s"

[danube]
ack_timeout = "{ack_timeout}ms"
max_unacked_messages = {window}
connect_timeout = "1s"
rpc_timeout = "500ms"

{inbox}

[connectors.{sink}]
subscriptions = [{{ topic = "{topic}" }}]
processing = {{ window_records = {WINDOW}, batch_size = 20, batch_timeout_ms = 0 }}
retry = {{ max_retries = 10, retry_backoff_ms = 5, max_backoff_ms = 50 }}
dead_letter = {{ topic = "{letters}" }}

[connectors.{source}]
producers = [{{ topic = "{topic}", partitions = {partitions} }}]
processing = {{ window_records = {WINDOW} }}
"#
    )
}

/// With a data directory the inbox is on unless it is turned off.
fn inbox(intake: Intake) -> &'static str {
    match intake {
        Intake::Inbox => "",
        Intake::PassThrough => "[inbox]\nenabled = false",
    }
}
