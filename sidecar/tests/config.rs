//! One file, many mistakes: what the operator reads.

use std::fs;

use danube_sidecar::config::{Config, ConfigError, Environment, Overrides, load};

fn load_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sidecar.toml");
    fs::write(&path, text).unwrap();
    let overrides = Overrides { config: Some(path), ..Overrides::default() };
    let environment =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    load(&overrides, &environment)
}

fn message(text: &str) -> String {
    let error = load_text(text, &[]).unwrap_err().to_string();
    error.split_once("sidecar.toml").map(|(_, rest)| rest.to_owned()).unwrap_or(error)
}

const URL: &str = "danube_service_url = \"http://127.0.0.1:6650\"\n";

#[test]
fn the_guides_file_is_accepted_and_its_own_tables_are_the_connectors() {
    let config = load_text(
        r#"
        danube_service_url = "http://broker:6650"
        connector_name = "mqtt-bridge"
        [retry]
        max_retries = 5
        retry_backoff_ms = 100
        [processing]
        batch_size = 500
        metrics_port = 9090
        log_level = "info"
        [mqtt]
        broker_host = "mosquitto"
        [[mqtt.topic_mappings]]
        mqtt_topic = "sensors/#"
        "#,
        &[],
    )
    .unwrap();
    let connector = &config.connectors["mqtt-bridge"];
    assert_eq!(connector.retry.max_retries, Some(5));
    assert_eq!(connector.delivery.batch_records, Some(500));
    assert_eq!(connector.settings.json["mqtt"]["topic_mappings"][0]["mqtt_topic"], "sensors/#");
    assert_eq!(connector.dead_letter_topic().as_deref(), Some("/default/dlq-mqtt-bridge"));
}

#[test]
fn an_unknown_key_names_file_line_and_the_nearest_valid_key() {
    let text = format!("{URL}[sidecar]\nlisten = \"127.0.0.1:1\"\nhttp_listn = \"127.0.0.1:2\"\n");
    assert_eq!(message(&text), ":4: unknown key `http_listn`: did you mean `http_listen`?");
}

#[test]
fn an_unknown_root_value_is_an_error() {
    let text = "danube_service_ulr = \"http://127.0.0.1:6650\"\n";
    assert!(
        message(text).starts_with(
            ":1: unknown key `danube_service_ulr`: did you mean `danube_service_url`?"
        )
    );
}

#[test]
fn a_root_table_that_looks_like_one_of_ours_is_a_slip() {
    let text = format!("{URL}[proccessing]\nbatch_size = 1\n");
    assert!(
        message(&text).starts_with(":2: unknown key `proccessing`: did you mean `processing`?")
    );
}

#[test]
fn a_wrong_value_names_its_line_and_what_was_expected() {
    let text = format!("{URL}[sidecar]\nshutdown_timeout = \"soon\"\n");
    let message = message(&text);
    assert!(message.starts_with(":3: `soon` is not a time span"), "{message}");
}

#[test]
fn broken_toml_names_its_line() {
    let message = message(&format!("{URL}[sidecar\n"));
    assert!(message.starts_with(":2: "), "{message}");
}

#[test]
fn variables_are_replaced_and_mark_settings_as_secret() {
    let text = format!("{URL}connector_name = \"a\"\n[shop]\npassword = \"x${{PW}}y\"\n");
    let config = load_text(&text, &[("PW", "\"quoted\"")]).unwrap();
    let settings = &config.connectors["a"].settings;
    assert_eq!(settings.json["shop"]["password"], "x\"quoted\"y");
    assert!(settings.from_environment);
}

#[test]
fn a_missing_variable_is_named_with_its_line() {
    let text = format!("{URL}connector_name = \"a\"\n[shop]\npassword = \"${{PW}}\"\n");
    assert!(message(&text).starts_with(":4: ${PW} is not set in the environment"));
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = [("DANUBE_SERVICE_URL", "http://other:1"), ("CONNECTOR_NAME", "b")];
    let config = load_text(&format!("{URL}connector_name = \"a\"\n"), &environment).unwrap();
    assert_eq!(config.danube.service_url, "http://other:1");
    assert!(config.connectors.contains_key("b"));
}

#[test]
fn several_connectors_have_tables_and_settings_of_their_own() {
    let text = format!(
        "{URL}[connectors.out]\nsubscriptions = [{{ topic = \"/default/t\" }}]\n\
         [connectors.out.settings]\ntable = \"x\"\n[connectors.out.dead_letter]\nenabled = false\n"
    );
    let config = load_text(&text, &[]).unwrap();
    let connector = &config.connectors["out"];
    assert_eq!(connector.subscriptions[0].consumer_name, "out");
    assert_eq!(connector.settings.json["table"], "x");
    assert_eq!(connector.dead_letter_topic(), None);
}

#[test]
fn a_missing_file_says_how_to_name_it() {
    let overrides = Overrides { config: Some("/no/such.toml".into()), ..Overrides::default() };
    let error = load(&overrides, &Environment::new()).unwrap_err().to_string();
    assert!(error.contains("/no/such.toml") && error.contains("--config"), "{error}");
}

#[test]
fn without_any_broker_the_remedy_is_named() {
    let error = load(&Overrides::default(), &Environment::new()).unwrap_err().to_string();
    assert!(error.contains("DANUBE_SERVICE_URL") && error.contains("dev"), "{error}");
}

#[test]
fn a_url_that_is_none_is_refused() {
    let error = load_text("danube_service_url = \"localhost:6650\"\n", &[]).unwrap_err();
    assert!(error.to_string().contains("write http://HOST:PORT"), "{error}");
}

#[test]
fn strangers_are_welcome_on_loopback_only() {
    let open = load_text(URL, &[]).unwrap();
    assert!(open.sidecar.allow_unconfigured);
    let text = format!("{URL}[sidecar]\nlisten = \"0.0.0.0:6670\"\ntoken_file = \"/t\"\n");
    assert!(!load_text(&text, &[]).unwrap().sidecar.allow_unconfigured);
}

#[test]
fn an_address_that_others_can_dial_wants_a_token_or_the_operators_word() {
    let text = format!("{URL}[sidecar]\nlisten = \"0.0.0.0:6670\"\n");
    let refused = load_text(&text, &[]).unwrap_err().to_string();
    for part in ["sidecar.listen = \"0.0.0.0:6670\"", "token_file", "allow_insecure_listen = true"]
    {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    for known in ["token_file = \"/t\"", "allow_insecure_listen = true"] {
        assert!(load_text(&format!("{text}{known}\n"), &[]).is_ok(), "{known}");
    }
    for loopback in ["127.0.0.2:6670", "[::1]:6670"] {
        let text = format!("{URL}[sidecar]\nlisten = \"{loopback}\"\n");
        assert!(load_text(&text, &[]).is_ok(), "{loopback}");
    }
}

#[test]
fn the_command_line_can_open_an_address_and_is_held_to_the_same() {
    let listen = Some("[::]:6670".parse().unwrap());
    let overrides = Overrides {
        service_url: Some("http://127.0.0.1:1".to_owned()),
        listen,
        ..Overrides::default()
    };
    assert!(load(&overrides, &Environment::new()).is_err());
    let overrides = Overrides { allow_insecure_listen: true, ..overrides };
    assert!(load(&overrides, &Environment::new()).is_ok());
}

#[test]
fn an_allowed_host_is_a_name_and_no_url() {
    let text = |name: &str| format!("{URL}[sidecar]\nallowed_hosts = [\"{name}\"]\n");
    let config = load_text(&text("Sidecar.example"), &[]).unwrap();
    assert_eq!(config.sidecar.allowed_hosts, ["Sidecar.example"]);
    for wrong in ["", "http://sidecar.example", "sidecar.example:6670", "*.example"] {
        let refused = load_text(&text(wrong), &[]).unwrap_err().to_string();
        assert!(refused.contains("sidecar.allowed_hosts"), "{wrong}: {refused}");
    }
}

#[test]
fn allowed_topics_match_exactly_or_by_prefix() {
    let text = format!("{URL}[policy]\nallowed_topics = [\"/default/a\", \"/shop/*\"]\n");
    let policy = load_text(&text, &[]).unwrap().policy;
    assert!(policy.allows("/default/a") && policy.allows("/shop/orders"));
    assert!(!policy.allows("/default/ab"));
}

#[test]
fn the_inbox_is_on_where_there_is_a_data_directory() {
    let without = load_text(&format!("{URL}[connectors.out]\n"), &[]).unwrap();
    assert!(!without.connectors["out"].inbox.enabled);
    let text = format!(
        "{URL}[sidecar]\ndata_dir = \"/d\"\n[inbox]\nmax_bytes = \"1 GiB\"\n\
         [connectors.out]\n[connectors.out.inbox]\nretain = \"1h\"\n"
    );
    let inbox = load_text(&text, &[]).unwrap().connectors["out"].inbox.clone();
    assert!(inbox.enabled && !inbox.fsync);
    assert_eq!((inbox.max_bytes, inbox.retain.as_secs()), (1 << 30, 3600));
}

#[test]
fn an_inbox_without_a_data_directory_is_refused() {
    let error = load_text(&format!("{URL}[inbox]\nenabled = true\n"), &[]).unwrap_err();
    assert!(error.to_string().contains("set [sidecar] data_dir"), "{error}");
}

#[test]
fn budgets_of_dead_letters_have_defaults_and_are_inherited() {
    let text = format!("{URL}[dead_letter]\nmax_age = \"2d\"\n[connectors.out]\n");
    let letters = load_text(&text, &[]).unwrap().connectors["out"].dead_letters.clone();
    assert_eq!((letters.max_bytes, letters.max_age.as_secs()), (1 << 30, 2 * 24 * 60 * 60));
}

#[test]
fn an_object_store_keeps_its_secrets_to_itself() {
    let text = format!(
        "{URL}[checkpoints]\nurl = \"s3://bucket/prefix\"\n[checkpoints.options]\n\
         endpoint = \"http://127.0.0.1:1\"\nallow_http = true\nregion = \"us-east-1\"\n\
         access_key_id = \"me\"\nsecret_access_key = \"${{SECRET}}\"\n"
    );
    let config = load_text(&text, &[("SECRET", "hunter2")]).unwrap();
    assert_eq!(config.checkpoints.as_ref().unwrap().url(), "s3://bucket/prefix");
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_checkpoint_store_that_cannot_be_used_names_the_remedy() {
    let cases = [
        ("url = \"ftp://bucket\"", "write file:///path, s3://"),
        ("url = \"s3://me:secret@bucket\"", "give credentials as options"),
        ("url = \"s3://b\"\noptions = { regoin = \"x\" }", "no option `regoin`"),
        ("url = \"s3://b\"\noptions = { endpoint = \"http://h\" }", "allow_http = true"),
        ("options = { region = \"x\" }", "set [checkpoints] url too"),
    ];
    for (table, remedy) in cases {
        let error = load_text(&format!("{URL}[checkpoints]\n{table}\n"), &[]).unwrap_err();
        assert!(error.to_string().contains(remedy), "{table}: {error}");
    }
}

#[test]
fn retries_that_are_long_for_danube_are_told() {
    let text = format!("{URL}[connectors.out.retry]\nmax_retries = 20\n");
    let summary = danube_sidecar::summary::of(&load_text(&text, &[]).unwrap());
    assert!(summary.contains("one record may be retried for 8m 1s"), "{summary}");
    let text = format!("{text}[sidecar]\ndata_dir = \"/d\"\n");
    let summary = danube_sidecar::summary::of(&load_text(&text, &[]).unwrap());
    assert!(!summary.contains("note:") && summary.contains("inbox: at most 10 GiB"), "{summary}");
}

fn replica(text: &str, host: &str) -> Result<Option<(u32, u32)>, String> {
    let text = format!("{URL}[sidecar]\n{text}\n");
    let config = load_text(&text, &[("HOSTNAME", host)]).map_err(|error| error.to_string())?;
    Ok(config.sidecar.replica.map(|replica| (replica.ordinal(), replica.replicas())))
}

#[test]
fn a_replica_takes_its_number_from_the_file_or_the_hosts_name() {
    assert_eq!(replica("", "sink-2"), Ok(None));
    assert_eq!(replica("replicas = 3", "sink-2"), Ok(Some((2, 3))));
    assert_eq!(replica("replicas = 3\nreplica = 0", "sink-2"), Ok(Some((0, 3))));
}

#[test]
fn a_replica_that_cannot_be_told_or_is_none_of_them_is_an_error() {
    let error = replica("replicas = 3", "laptop").unwrap_err();
    assert!(error.contains("HOSTNAME=\"laptop\"") && error.contains("set [sidecar] replica"));
    let error = replica("replicas = 3", "sink-3").unwrap_err();
    assert!(error.contains("sidecar.replica = \"3\"") && error.contains("replicas = 3"), "{error}");
    let error = replica("replica = 1", "sink-1").unwrap_err();
    assert!(error.contains("say how many there are"), "{error}");
}
