//! The command line.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use danube_sidecar_conformance::ConformanceCommand;

use crate::{
    admin::args::{
        CheckpointCommand, DlqCommand, FailingCommand, PauseCommand, ReplayCommand, StatusCommand,
    },
    config::{LogFormat, Overrides, TopicName},
    init::InitCommand,
    store_command::StoreCommand,
};

const EXAMPLES: &str = "\
Examples:
  danube-sidecar init --lang python --kind sink orders-sink   a new connector to start from
  danube-sidecar dev -- python sink.py      everything on a laptop: an embedded broker, the
                                            sidecar, and your connector, restarted when it ends
  danube-sidecar run --config sidecar.toml  next to a real broker (danube_service_url in the file)
  danube-sidecar validate --config sidecar.toml
  danube-sidecar publish /default/hello 'hello, Danube'
  danube-sidecar conformance -- python sink.py   does it keep the protocol?

Connectors dial DANUBE_SIDECAR_ADDRESS (http://127.0.0.1:6670, or unix:///path/to/socket).
Exit codes: 0 stopped in good order, 1 cannot start or go on, 2 wrong usage or configuration.";

/// Connects programs in any language to the Danube message broker.
///
/// The sidecar owns consumers, producers, retries, order, dead letters and
/// checkpoints, and streams records to (or pulls them from) connector processes
/// over gRPC.
#[derive(Debug, Parser)]
#[command(name = "danube-sidecar", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve connectors next to a Danube cluster.
    Run(Run),
    /// Serve connectors with an embedded broker: nothing else is needed.
    Dev(Dev),
    /// Check a configuration file and say what it means.
    Validate(Common),
    /// Publish messages to a topic, to try things out.
    Publish(Publish),
    /// Say how the connectors of a running sidecar are doing.
    Status(StatusCommand),
    /// List records that fail or are suspended; resume, skip or dead-letter them.
    Failing(FailingCommand),
    /// Offer a sink nothing, until `resume` or the end of the sidecar.
    Pause(PauseCommand),
    /// Have a paused sink go on (suspended records: `failing resume`).
    Resume(PauseCommand),
    /// List, show, replay or purge dead letters.
    Dlq(DlqCommand),
    /// Offer records of the inbox to the workers once more.
    Replay(ReplayCommand),
    /// Show, set or reset where a source resumes.
    Checkpoint(CheckpointCommand),
    /// Show what a data directory holds; check, read out or repair a damaged one.
    Store(StoreCommand),
    /// Make a new connector, from a template.
    Init(InitCommand),
    /// Certify a connector: run it against a scripted sidecar.
    Conformance(ConformanceCommand),
}

/// What all commands take.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Configuration file [env: CONNECTOR_CONFIG_PATH]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// How to serve.
#[derive(Clone, Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    common: Common,
    /// TCP address that connectors dial [default: 127.0.0.1:6670]
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<SocketAddr>,
    /// Unix socket that connectors dial, besides TCP
    #[arg(long, value_name = "PATH")]
    unix_socket: Option<PathBuf>,
    /// Address of health, metrics and status [default: 127.0.0.1:6671]
    #[arg(long, value_name = "HOST:PORT")]
    http_listen: Option<SocketAddr>,
    /// Folder for what survives restarts (positions, epochs, consumer ids)
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Let other machines dial a sidecar that has no token_file
    #[arg(long)]
    allow_insecure_listen: bool,
    /// How logs are written [default: text]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// A connector to start beside the sidecar, and again when it fails
    #[arg(last = true, value_name = "CMD")]
    pub child: Vec<String>,
}

/// `run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    #[command(flatten)]
    /// How to serve.
    pub serve: Serve,
}

/// `dev`.
#[derive(Clone, Debug, Args)]
pub struct Dev {
    #[command(flatten)]
    /// How to serve.
    pub serve: Serve,
    /// Address of the embedded broker
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:6650")]
    pub broker_listen: SocketAddr,
    /// Un-acked messages that the embedded broker allows a subscription
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub broker_window: usize,
    /// How long the embedded broker waits for an ack before it delivers again
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = humantime::parse_duration)]
    pub broker_ack_timeout: std::time::Duration,
    /// An oddity of real brokers that the embedded one is to play (repeatable)
    #[arg(long = "broker-oddity", value_name = "NAME")]
    pub oddities: Vec<String>,
}

/// `publish`.
#[derive(Clone, Debug, Args)]
pub struct Publish {
    /// Any broker of the cluster
    #[arg(
        long,
        value_name = "URL",
        env = "DANUBE_SERVICE_URL",
        default_value = "http://127.0.0.1:6650"
    )]
    pub broker: String,
    /// Routing key of the messages
    #[arg(long)]
    pub key: Option<String>,
    /// Attribute of the messages (repeatable)
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    pub attributes: Vec<(String, String)>,
    /// Partitions of the topic, if it is created by this; 0: none
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub partitions: u32,
    /// The topic, as /namespace/name
    pub topic: TopicName,
    /// The messages; without any, the lines of standard input
    pub messages: Vec<String>,
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("an attribute is NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl Serve {
    /// What the command line says about the configuration.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            config: self.common.config.clone(),
            service_url: None,
            listen: self.listen,
            unix_socket: self.unix_socket.clone(),
            http_listen: self.http_listen,
            data_dir: self.data_dir.clone(),
            allow_insecure_listen: self.allow_insecure_listen,
            log_format: self.log_format,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_attribute_is_a_name_and_a_value() {
        let parse = |value| {
            Cli::try_parse_from([
                "danube-sidecar",
                "publish",
                "--attribute",
                value,
                "/default/t",
                "m",
            ])
        };
        let Ok(Command::Publish(publish)) = parse("table=a=b").map(|cli| cli.command) else {
            panic!("not a publish");
        };
        assert_eq!(publish.attributes, [("table".to_owned(), "a=b".to_owned())]);
        assert!(parse("table").is_err());
    }

    #[test]
    fn a_connector_stands_behind_two_dashes() {
        let cli = Cli::parse_from(["danube-sidecar", "dev", "--", "python", "sink.py", "--fast"]);
        let Command::Dev(dev) = cli.command else { panic!("not dev: {cli:?}") };
        assert_eq!(dev.serve.child, ["python", "sink.py", "--fast"]);
    }
}
