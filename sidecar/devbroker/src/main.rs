//! Serves the embedded broker from the command line.

mod log_command;

use std::{io::Write, net::SocketAddr, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use danube_devbroker::{Config, DevBroker, Oddities, Profile, UnknownOddity};
use log_command::LogArgs;
use tokio::signal::unix::{SignalKind, signal};

/// An embedded broker that speaks Danube's protocol, for development and tests.
#[derive(Debug, Parser)]
#[command(name = "danube-devbroker", version, args_conflicts_with_subcommands = true)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where clients connect; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:6650")]
    listen: SocketAddr,
    /// Where the admin API is served.
    #[arg(long, default_value = "127.0.0.1:50051")]
    admin_listen: SocketAddr,
    /// Serve no admin API.
    #[arg(long)]
    no_admin: bool,
    /// Where messages are kept; without, in memory.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Note in the data directory what is confirmed and what is passed over, and keep
    /// there what was acked, for the command `log`.
    #[arg(long, requires = "data_dir")]
    audit: bool,
    /// How many messages of a subscription may be un-acked.
    #[arg(long, default_value_t = 10)]
    max_unacked_messages: usize,
    /// How many bytes a topic holds for subscriptions that do not ack; then publishes are
    /// refused.
    #[arg(long, default_value_t = Config::default().max_backlog_bytes)]
    max_backlog_bytes: usize,
    /// How long a consumer may hold a message, like 30s.
    #[arg(long, default_value = "30s", value_parser = humantime::parse_duration)]
    ack_timeout: Duration,
    /// An oddity of a real broker to play; may be given again.
    #[arg(long = "oddity", value_name = "NAME", value_parser = parse_oddity)]
    oddities: Vec<String>,
    /// Play all oddities of a release, like danube-0.15.
    #[arg(long)]
    profile: Option<Profile>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Log(LogArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .fmt_fields(danube_sidecar_text::log_fields())
        .init();
    let args = Args::parse();
    let done = match &args.command {
        Some(Command::Log(log)) => log_command::run(log),
        None => run(args).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("danube-devbroker: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Box<dyn std::error::Error>> {
    // Before the line that says ready, so that no signal is missed after it.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let broker = DevBroker::start(config(args)?).await?;
    writeln!(std::io::stdout(), "{}", broker.url())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    broker.shutdown().await;
    Ok(())
}

fn config(args: Args) -> Result<Config, UnknownOddity> {
    let mut oddities = args.profile.map(Profile::oddities).unwrap_or_default();
    for name in &args.oddities {
        oddities.enable(name)?;
    }
    Ok(Config {
        listen: args.listen,
        admin_listen: (!args.no_admin).then_some(args.admin_listen),
        data_dir: args.data_dir,
        audit: args.audit,
        max_unacked_messages: args.max_unacked_messages,
        max_backlog_bytes: args.max_backlog_bytes,
        ack_timeout: args.ack_timeout,
        oddities,
        ..Config::default()
    })
}

fn parse_oddity(name: &str) -> Result<String, UnknownOddity> {
    Oddities::default().enable(name).map(|()| name.to_owned())
}
