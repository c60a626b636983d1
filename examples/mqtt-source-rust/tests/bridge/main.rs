//! The binary between a real Mosquitto and a sidecar that follows a script.

mod mosquitto;
#[expect(dead_code, reason = "shared with the tests of the SDK")]
#[path = "../../../../sdk-rust/tests/sidecar/mod.rs"]
mod sidecar;

use std::{fs, process::Stdio};

use danube_connector_proto::v1::{
    Probe, health, source_service_run_request::Frame as Up,
    source_service_run_response::Frame as Down,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sidecar::{ScriptedSidecar, SourceScript, within};
use tokio::process::{Child, Command};

use crate::mosquitto::Mosquitto;

/// Both brokers' sides of the bridge.
struct World {
    mosquitto: Mosquitto,
    sidecar: ScriptedSidecar,
    directory: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mosquitto = Mosquitto::start(directory.path()).await;
        let sidecar = ScriptedSidecar::on_unix(directory.path()).await;
        Self { mosquitto, sidecar, directory }
    }

    fn start(&self) -> Child {
        let config = self.directory.path().join("config.toml");
        let text = format!(
            "danube_service_url = 'http://127.0.0.1:6650'\nconnector_name = 'bridge'\n\
             [mqtt]\nbroker_host = '127.0.0.1'\nbroker_port = {}\nclient_id = 'bridge'\n\
             [[mqtt.topic_mappings]]\nmqtt_topic = 'sensors/+/temperature'\n\
             danube_topic = '/default/temperatures'\npartitions = 4\n\
             [[mqtt.topic_mappings]]\nmqtt_topic = 'sensors/#'\ndanube_topic = '/default/sensors'\n",
            self.mosquitto.port
        );
        fs::write(&config, text).expect("a configuration");
        Command::new(env!("CARGO_BIN_EXE_mqtt-source"))
            .env("CONNECTOR_CONFIG_PATH", config)
            .env("DANUBE_SIDECAR_ADDRESS", &self.sidecar.address)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the binary starts")
    }

    /// The next session, with demand, when the bridge is connected to MQTT.
    async fn session(&mut self) -> SourceScript {
        let mut session = self.sidecar.source().await;
        session.opened(vec![]).await;
        for probe_id in 1.. {
            session.send(Down::Probe(Probe { probe_id })).await;
            let Some(Up::Health(health)) = session.next().await else { panic!("no health") };
            if health.status() == health::Status::Healthy {
                break;
            }
        }
        self.mosquitto.until("Sending SUBACK to bridge").await;
        session.demand(1000).await;
        session
    }
}

/// Ends the bridge as an orchestrator does.
async fn terminate(mut bridge: Child, mut session: SourceScript) {
    let pid = bridge.id().and_then(|id| i32::try_from(id).ok()).expect("it runs");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it is there");
    assert!(matches!(session.next().await, Some(Up::Drained(_))));
    drop(session);
    assert!(within(bridge.wait()).await.expect("it ends").success());
}

#[tokio::test]
async fn messages_go_where_their_topic_is_mapped() {
    let mut world = World::new().await;
    let _bridge = world.start();
    let mut session = world.session().await;
    assert_eq!(session.open.producers.len(), 2);
    world.mosquitto.publish("sensors/7/temperature", "21.5").await;
    world.mosquitto.publish("sensors/7/humidity", "40").await;
    let records = session.take(1, 2).await;

    assert_eq!(records[0].topic, "/default/temperatures");
    assert_eq!(records[0].payload, "21.5");
    assert_eq!(records[0].key.as_deref(), Some("sensors/7/temperature"));
    assert_eq!(records[0].attributes["mqtt_topic"], "sensors/7/temperature");
    assert_eq!(records[1].topic, "/default/sensors");
}

#[tokio::test]
async fn a_message_is_acknowledged_to_mqtt_when_it_is_committed_and_not_before() {
    let mut world = World::new().await;
    let mut bridge = world.start();
    let mut session = world.session().await;
    world.mosquitto.publish("sensors/1/x", "precious").await;
    assert_eq!(session.texts(1, 1).await, ["precious"]);
    bridge.kill().await.expect("it is killed before the commit");
    drop(session);

    let bridge = world.start();
    let mut session = world.session().await;
    assert_eq!(session.texts(1, 1).await, ["precious"]);
    assert!(!world.mosquitto.log().contains("Received PUBACK from bridge"));
    session.committed(1).await;
    world.mosquitto.until("Received PUBACK from bridge").await;
    terminate(bridge, session).await;

    let _bridge = world.start();
    let mut session = world.session().await;
    world.mosquitto.publish("sensors/1/x", "next").await;
    assert_eq!(session.texts(1, 1).await, ["next"]);
}

#[tokio::test]
async fn messages_that_come_while_the_bridge_is_down_are_not_lost() {
    let mut world = World::new().await;
    let bridge = world.start();
    let session = world.session().await;
    terminate(bridge, session).await;
    world.mosquitto.publish("sensors/1/x", "meanwhile").await;

    let _bridge = world.start();
    assert_eq!(world.session().await.texts(1, 1).await, ["meanwhile"]);
}
