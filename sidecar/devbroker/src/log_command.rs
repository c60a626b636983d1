//! `danube-devbroker log`: prints what a data directory holds.

use std::{
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use danube_devbroker::inspect::{self, Audited, AuditedMessage, Stored};
use serde_json::{Map, Value, json};

/// Prints what a data directory holds, one line for each message.
///
/// For a broker that is stopped or was killed: of one that runs, what it has not
/// written yet counts as forgotten.
#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The broker's data directory.
    #[arg(long)]
    data_dir: PathBuf,
    /// Only this topic, or this partition.
    #[arg(long)]
    topic: Option<String>,
    /// What the broker confirmed and passed over, as it noted with --audit.
    #[arg(long, conflicts_with = "forgotten")]
    audit: bool,
    /// The publishes that were confirmed and are not stored; needs --audit on the
    /// broker.
    #[arg(long)]
    forgotten: bool,
    /// The form of the lines.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// Columns for the eye.
    Text,
    /// One JSON object each.
    Json,
}

pub(crate) fn run(args: &LogArgs) -> Result<(), Box<dyn std::error::Error>> {
    let wanted = |topic: &str| args.topic.as_ref().is_none_or(|only| only == topic);
    let lines: Vec<Value> = if args.audit {
        let audited = inspect::audited(&args.data_dir)?;
        let audited = audited.into_iter().filter(|line| wanted(topic_of(line)));
        audited.map(serde_json::to_value).collect::<Result<_, _>>()?
    } else if args.forgotten {
        let forgotten = inspect::forgotten(&args.data_dir)?;
        let forgotten = forgotten.into_iter().filter(|message| wanted(&message.topic));
        forgotten.map(serde_json::to_value).collect::<Result<_, _>>()?
    } else {
        let stored = inspect::stored(&args.data_dir)?;
        stored.iter().filter(|stored| wanted(&stored.id.topic)).map(described).collect()
    };
    print(&lines, args.output).or_else(|error| match error.kind() {
        // The reader has seen enough.
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error.into()),
    })
}

fn topic_of(line: &Audited) -> &str {
    match line {
        Audited::Published(message) | Audited::Skipped { message, .. } => &message.topic,
        _ => "",
    }
}

fn described(stored: &Stored) -> Value {
    let Stored { id, publish_time_ms, key, payload } = stored;
    let AuditedMessage { topic, offset, producer, request_id, attributes } = id;
    let mut line = json!({
        "topic": topic, "offset": offset, "producer": producer, "request_id": request_id,
        "publish_time_ms": publish_time_ms, "key": key, "attributes": attributes,
    });
    let (name, text) = match std::str::from_utf8(payload) {
        Ok(text) => ("payload", text.to_owned()),
        Err(_) => ("payload_base64", STANDARD.encode(payload)),
    };
    line[name] = text.into();
    line
}

fn print(lines: &[Value], output: Output) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in lines {
        match (output, line.as_object()) {
            (Output::Text, Some(fields)) => writeln!(out, "{}", columns(fields))?,
            _ => writeln!(out, "{line}")?,
        }
    }
    out.flush()
}

fn columns(fields: &Map<String, Value>) -> String {
    let shown = fields.iter().filter(|(_, value)| !value.is_null());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    shown.map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" ")
}
