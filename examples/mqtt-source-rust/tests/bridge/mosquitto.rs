//! A real Mosquitto on a port that the kernel chose, and its log.

use std::{env, fs, net::TcpListener, path::Path, path::PathBuf, process::Stdio, sync::Arc};

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, ChildStderr, Command},
    sync::watch,
    task::JoinHandle,
};

use crate::sidecar::within;

/// Stops when it is dropped.
pub(crate) struct Mosquitto {
    pub(crate) port: u16,
    log: Arc<watch::Sender<String>>,
    _process: Child,
    _reader: JoinHandle<()>,
}

impl Mosquitto {
    pub(crate) async fn start(directory: &Path) -> Self {
        let port = free_port();
        let config = directory.join("mosquitto.conf");
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n\
             log_dest stderr\nlog_type all\n"
        );
        fs::write(&config, text).expect("a configuration");
        let mut process = Command::new(binary())
            .arg("-c")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("mosquitto starts");
        let log = Arc::new(watch::Sender::new(String::new()));
        let stderr = process.stderr.take().expect("it is piped");
        let reader = tokio::spawn(follow(stderr, log.clone()));
        let mosquitto = Self { port, log, _process: process, _reader: reader };
        mosquitto.until("running").await;
        mosquitto
    }

    /// Publishes with QoS 1, and waits until the broker has it.
    pub(crate) async fn publish(&self, topic: &str, payload: &str) {
        let options = MqttOptions::new("publisher", "127.0.0.1", self.port);
        let (client, mut events) = AsyncClient::new(options, 8);
        client.publish(topic, QoS::AtLeastOnce, false, payload).await.expect("it is queued");
        let acknowledged = async {
            while !matches!(
                events.poll().await.expect("a connection"),
                Event::Incoming(Packet::PubAck(_))
            ) {}
        };
        within(acknowledged).await;
    }

    pub(crate) fn log(&self) -> String {
        self.log.borrow().clone()
    }

    /// Waits until the log says this, and forgets what it said before.
    pub(crate) async fn until(&self, text: &str) {
        let mut log = self.log.subscribe();
        within(log.wait_for(|log| log.contains(text))).await.expect("the log is followed");
        self.log.send_modify(String::clear);
    }
}

async fn follow(stderr: ChildStderr, log: Arc<watch::Sender<String>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        log.send_modify(|log| {
            log.push_str(&line);
            log.push('\n');
        });
    }
}

fn binary() -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let places = env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places
        .map(|place| place.join("mosquitto"))
        .find(|binary| binary.is_file())
        .expect("mosquitto is installed (apt-get install mosquitto)")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
