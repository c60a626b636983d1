//! The command line of the Danube sidecar.

use std::{env, path::Path, process::ExitCode};

use clap::Parser as _;
use danube_sidecar::{
    admin::{
        self,
        args::{StoreCommand, Tool},
    },
    app,
    cli::{Cli, Command, Common, Dev, Publish, Run},
    config::{self, Config, ConfigError, Environment, Overrides},
    dev,
    init::{self, InitCommand},
    log, private, publish, signals,
    store_command::{self, Rescue, Task},
    summary,
};
use danube_sidecar_conformance::{self as conformance, ConformanceCommand};
use tokio::runtime::{Builder, Handle, Runtime};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (runtime, delivery) = match runtimes() {
        Ok(runtimes) => runtimes,
        Err(error) => return fail(1, &error),
    };
    let drivers = delivery.handle().clone();
    let code = runtime.block_on(async {
        match cli.command {
            Command::Run(run) => serve(run, drivers).await,
            Command::Dev(dev) => develop(dev, drivers).await,
            Command::Validate(common) => validate(common),
            Command::Publish(publish) => send(publish).await,
            Command::Status(command) => operate(Tool::Status(command)).await,
            Command::Pause(command) => operate(Tool::Pause(command)).await,
            Command::Resume(command) => operate(Tool::Resume(command)).await,
            Command::Failing(command) => operate(Tool::Failing(command)).await,
            Command::Dlq(command) => operate(Tool::Dlq(command)).await,
            Command::Replay(command) => operate(Tool::Replay(command)).await,
            Command::Checkpoint(command) => operate(Tool::Checkpoint(command)).await,
            Command::Store(command) => match command.task {
                Task::Live(action) => operate(Tool::Store(StoreCommand { action })).await,
                Task::Rescue(task) => keep(&task),
            },
            Command::Init(command) => create(&command),
            Command::Conformance(command) => certify(command).await,
        }
    });
    // Whatever a peer keeps open must not delay the exit.
    runtime.shutdown_background();
    delivery.shutdown_background();
    code
}

/// For everything, and for the drivers of sinks.
fn runtimes() -> std::io::Result<(Runtime, Runtime)> {
    let half = std::thread::available_parallelism().map_or(1, |cores| cores.get() / 2);
    let delivery = Builder::new_multi_thread()
        .worker_threads(half.max(1))
        .thread_name("delivery")
        .enable_all()
        .build()?;
    Ok((Runtime::new()?, delivery))
}

async fn serve(run: Run, delivery: Handle) -> ExitCode {
    let config = match load(&run.serve.overrides()) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    log::start(&config.sidecar.log_level, config.sidecar.log_format);
    private::begin();
    let stop = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => return fail(1, &error),
    };
    match app::run(config, run.serve.child, stop, delivery).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

async fn develop(dev: Dev, delivery: Handle) -> ExitCode {
    let mut overrides = dev.serve.overrides();
    // The embedded broker's address, once it is known; until then any will do.
    overrides.service_url = Some(format!("http://{}", dev.broker_listen));
    let mut config = match load(&overrides) {
        Ok(config) => config,
        Err(error) => return fail(2, &error),
    };
    config.danube.create_topics = true;
    config.danube.ack_timeout = dev.broker_ack_timeout;
    config.danube.max_unacked_messages = dev.broker_window;
    log::start(&config.sidecar.log_level, config.sidecar.log_format);
    private::begin();
    let stop = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => return fail(1, &error),
    };
    let broker = match dev::broker(&dev, &config.sidecar).await {
        Ok(broker) => broker,
        Err(error) => return fail(1, &error),
    };
    config.danube.service_url = broker.url().to_string();
    tracing::info!(url = config.danube.service_url, "embedded Danube broker ready");
    let outcome = app::run(config, dev.serve.child, stop, delivery).await;
    broker.shutdown().await;
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(1, &error),
    }
}

fn validate(common: Common) -> ExitCode {
    let overrides = Overrides { config: common.config, ..Overrides::default() };
    match load(&overrides) {
        Ok(config) => {
            print!("{}", summary::of(&config));
            ExitCode::SUCCESS
        }
        Err(error) => fail(2, &error),
    }
}

async fn send(publish: Publish) -> ExitCode {
    let topic = publish.topic.clone();
    match publish::run(publish).await {
        Ok(count) => {
            println!("published {count} to {topic}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(1, &error),
    }
}

fn keep(task: &Rescue) -> ExitCode {
    match store_command::run(task) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(1, &error),
    }
}

fn create(command: &InitCommand) -> ExitCode {
    match init::run(command, Path::new("")) {
        Ok(next) => {
            print!("{next}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(2, &error),
    }
}

async fn certify(command: ConformanceCommand) -> ExitCode {
    match conformance::run(&command).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(2, &error),
    }
}

async fn operate(tool: Tool) -> ExitCode {
    private::begin();
    match admin::run(&tool, &env::vars().collect()).await {
        Ok(printed) => {
            print!("{printed}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(error.exit_code(), &error),
    }
}

fn load(overrides: &Overrides) -> Result<Config, ConfigError> {
    let mut environment: Environment = env::vars().collect();
    // A shell keeps its HOSTNAME to itself.
    if let Some(host) = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok()) {
        environment.entry("HOSTNAME".to_owned()).or_insert(host);
    }
    config::load(overrides, &environment)
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    eprintln!("danube-sidecar: {error}");
    ExitCode::from(code)
}
