//! From the text of the file to a [`Config`]: variables, unknown keys, overrides.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use toml_edit::{
    DocumentMut,
    visit_mut::{VisitMut, visit_value_mut},
};

use crate::bounds::{self, ConnectorName};

use super::{
    Config, ConfigError, Connector, DEFAULT_HTTP_LISTEN, DEFAULT_LISTEN, Danube, Delivery, Policy,
    Producer, Retry, Settings, Shared, Sidecar, Subscription, Tls, doors,
    file::{self, File, RESERVED_KEYS, ROOT_KEYS},
    own,
    replica::replica,
    storage, stranded,
};

/// The environment variables, passed in so that tests never touch the process's.
pub type Environment = HashMap<String, String>;

/// What the command line says; wins over file and environment.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// Broker to use whatever the file says (`dev` sets its own).
    pub service_url: Option<String>,
    /// `--listen`.
    pub listen: Option<std::net::SocketAddr>,
    /// `--unix-socket`.
    pub unix_socket: Option<PathBuf>,
    /// `--http-listen`.
    pub http_listen: Option<std::net::SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--allow-insecure-listen`.
    pub allow_insecure_listen: bool,
    /// `--log-format`.
    pub log_format: Option<super::LogFormat>,
}

/// Reads the configuration: command line over environment over file over defaults.
///
/// # Errors
/// The first thing that is wrong, with its place and remedy.
pub fn load(overrides: &Overrides, environment: &Environment) -> Result<Config, ConfigError> {
    let path = overrides
        .config
        .clone()
        .or_else(|| environment.get("CONNECTOR_CONFIG_PATH").map(PathBuf::from));
    let (file, secret) = match &path {
        Some(path) => read(path, environment)?,
        None => (File::default(), false),
    };
    Resolver { overrides, environment, secret }.resolve(file)
}

fn read(path: &Path, environment: &Environment) -> Result<(File, bool), ConfigError> {
    let text = fs::read_to_string(path)
        .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    let invalid =
        |line: usize, detail: String| ConfigError::Invalid { path: path.to_owned(), line, detail };
    let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
        invalid(line_of(&text, error.span()), error.message().to_owned())
    })?;
    let mut variables = Variables { environment, missing: None, used: false };
    variables.visit_document_mut(&mut document);
    if let Some(name) = variables.missing {
        let line = text.lines().position(|line| line.contains(&format!("${{{name}}}")));
        return Err(invalid(
            line.map_or(1, |index| index + 1),
            format!("${{{name}}} is not set in the environment: export {name}, or write the value"),
        ));
    }
    let text = document.to_string();
    let file: File = toml::from_str(&text)
        .map_err(|error| invalid(line_of(&text, error.span()), with_nearest(error.message())))?;
    check_root(&file, &text).map_err(|(line, detail)| invalid(line, detail))?;
    Ok((file, variables.used))
}

fn line_of(text: &str, span: Option<std::ops::Range<usize>>) -> usize {
    let start = span.map_or(0, |span| span.start).min(text.len());
    text[..start].matches('\n').count() + 1
}

/// Adds "did you mean" to serde's ``unknown field `x`, expected one of `a`, `b` ``.
fn with_nearest(message: &str) -> String {
    let message = message.trim_end();
    if !message.starts_with("unknown field") {
        return message.to_owned();
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next().unwrap_or_default();
    match nearest(unknown, quoted) {
        Some(valid) => format!("unknown key `{unknown}`: did you mean `{valid}`?"),
        None => message.replacen("unknown field", "unknown key", 1),
    }
}

fn nearest<'a>(word: &str, valid: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    valid
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Root keys that are not ours must be tables of the connector, and not look like
/// a slip of ours.
fn check_root(file: &File, text: &str) -> Result<(), (usize, String)> {
    for (key, value) in &file.others {
        let name = key.get_ref().as_str();
        let fail = |detail: String| Err((line_of(text, Some(key.span())), detail));
        if RESERVED_KEYS.contains(&name) {
            return fail(format!(
                "[{name}] is kept for the sidecar and not served by this version: remove it"
            ));
        }
        let close = ROOT_KEYS
            .iter()
            .chain(&RESERVED_KEYS)
            .find(|ours| strsim::damerau_levenshtein(name, ours) <= 2);
        if let Some(ours) = close {
            return fail(format!(
                "unknown key `{name}`: did you mean `{ours}`? \
                 (A connector's own table needs a name that differs by more than two letters.)"
            ));
        }
        let tables = value.is_table()
            || value.as_array().is_some_and(|array| array.iter().all(toml::Value::is_table));
        if !tables {
            let valid = ROOT_KEYS.join(", ");
            let hint = match nearest(name, ROOT_KEYS.into_iter()) {
                Some(ours) => format!("did you mean `{ours}`?"),
                None => format!("valid here: {valid}, and tables of the connector's own"),
            };
            return fail(format!("unknown key `{name}`: {hint}"));
        }
    }
    Ok(())
}

/// Replaces `${VAR}` in every string value.
struct Variables<'a> {
    environment: &'a Environment,
    missing: Option<String>,
    used: bool,
}

impl VisitMut for Variables<'_> {
    fn visit_value_mut(&mut self, value: &mut toml_edit::Value) {
        visit_value_mut(self, value);
        let Some(text) = value.as_str().filter(|text| text.contains("${")) else { return };
        let replaced = self.expand(text);
        let decor = value.decor().clone();
        *value = toml_edit::Value::from(replaced);
        *value.decor_mut() = decor;
    }
}

impl Variables<'_> {
    fn expand(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            let Some((name, behind)) = after.split_once('}') else { break };
            out.push_str(before);
            match self.environment.get(name) {
                Some(value) => out.push_str(value),
                None => self.missing = Some(name.to_owned()),
            }
            self.used = true;
            rest = behind;
        }
        out + rest
    }
}

/// What holds for all connectors.
struct Root<'a> {
    tables: &'a file::Connector,
    data_dir: Option<&'a Path>,
}

struct Resolver<'a> {
    overrides: &'a Overrides,
    environment: &'a Environment,
    secret: bool,
}

impl Resolver<'_> {
    fn resolve(&self, file: File) -> Result<Config, ConfigError> {
        let danube = self.danube(file.danube, file.danube_service_url)?;
        let sidecar = self.sidecar(file.sidecar)?;
        let name = self.environment.get("CONNECTOR_NAME").cloned().or(file.connector_name);
        let mut connectors = std::collections::BTreeMap::new();
        let root = Root { tables: &file.root, data_dir: sidecar.data_dir.as_deref() };
        let defaults = self.connector(String::new(), &file.root, &root, toml::Table::new())?;
        if let Some(name) = name {
            let name = connector_name(name)?;
            let others: toml::Table =
                file.others.into_iter().map(|(key, value)| (key.into_inner(), value)).collect();
            let connector = self.connector(name.clone(), &file.root, &root, others)?;
            connectors.insert(name, connector);
        }
        for (name, tables) in file.connectors {
            let name = String::from(name);
            let settings = tables.settings.clone();
            let connector = self.connector(name.clone(), &tables, &root, settings)?;
            connectors.insert(name, connector);
        }
        let policy = Policy {
            allowed_topics: file.policy.allowed_topics,
            allow_lossy_subscription: file.policy.allow_lossy_subscription,
            shared: match (sidecar.replica, file.policy.allow_shared) {
                (None, _) => Shared::Alone,
                (Some(_), false) => Shared::Refused,
                (Some(_), true) => Shared::Allowed,
            },
        };
        let defaults =
            Connector { subscriptions: vec![], producers: vec![], adopt: None, ..defaults };
        let checkpoints = storage::checkpoints(file.checkpoints)?;
        let stranded = file.stranded.into_iter().map(|(name, fate)| (name.into(), fate)).collect();
        let config =
            Config { sidecar, danube, policy, checkpoints, connectors, defaults, stranded };
        stranded::check(&config)?;
        Ok(config)
    }

    fn sidecar(&self, file: file::Sidecar) -> Result<Sidecar, ConfigError> {
        let over = self.overrides;
        let listen = over.listen.or(file.listen).unwrap_or(DEFAULT_LISTEN);
        let allow_insecure_listen = over.allow_insecure_listen || file.allow_insecure_listen;
        doors::check_listen(listen, file.token_file.is_some() || allow_insecure_listen)?;
        Ok(Sidecar {
            allow_insecure_listen,
            allowed_hosts: doors::host_names(&file.allowed_hosts)?,
            replica: replica(&file, self.environment)?,
            listen,
            unix_socket: over.unix_socket.clone().or(file.unix_socket),
            http_listen: over.http_listen.or(file.http_listen).unwrap_or(DEFAULT_HTTP_LISTEN),
            data_dir: over.data_dir.clone().or(file.data_dir),
            token_file: file.token_file,
            allow_unconfigured: file.allow_unconfigured.unwrap_or(listen.ip().is_loopback()),
            shutdown_timeout: file.shutdown_timeout.map_or(Duration::from_secs(25), |span| span.0),
            max_buffer_bytes: file
                .max_buffer_bytes
                .map_or(64 << 20, |size| usize::try_from(size.0).unwrap_or(usize::MAX)),
            log_level: self
                .environment
                .get("RUST_LOG")
                .cloned()
                .or(file.log_level)
                .unwrap_or_else(|| "info".to_owned()),
            log_format: over.log_format.or(file.log_format).unwrap_or_default(),
        })
    }

    fn danube(&self, file: file::Danube, url: Option<String>) -> Result<Danube, ConfigError> {
        let over = self.overrides.service_url.clone();
        let env = self.environment.get("DANUBE_SERVICE_URL").cloned();
        let service_url = over.or(env).or(url).ok_or(ConfigError::NoBroker)?;
        check_url("danube_service_url", &service_url)?;
        if let Some(admin_url) = &file.admin_url {
            check_url("danube.admin_url", admin_url)?;
        }
        let client = match (file.cert_file, file.key_file) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (cert, key) => {
                return Err(ConfigError::Unusable {
                    key: "danube.cert_file / danube.key_file".to_owned(),
                    value: cert.or(key).unwrap_or_default().display().to_string(),
                    remedy: "mutual TLS needs both; give the other one too".to_owned(),
                });
            }
        };
        let seconds = |span: Option<super::Span>, default| {
            span.map_or(Duration::from_secs(default), |span| span.0)
        };
        Ok(Danube {
            service_url,
            admin_url: file.admin_url,
            tls: file.ca_file.map(|ca_file| Tls { ca_file, client }),
            token_file: file.token_file,
            ack_timeout: seconds(file.ack_timeout, 30),
            max_unacked_messages: file.max_unacked_messages.unwrap_or(10),
            connect_timeout: seconds(file.connect_timeout, 5),
            rpc_timeout: seconds(file.rpc_timeout, 10),
            create_topics: file.create_topics,
        })
    }

    fn connector(
        &self,
        name: String,
        file: &file::Connector,
        root: &Root<'_>,
        own: toml::Table,
    ) -> Result<Connector, ConfigError> {
        let millis = |ms: Option<u64>| ms.map(Duration::from_millis);
        Ok(Connector {
            retry: Retry {
                max_retries: file.retry.max_retries,
                initial_backoff: millis(file.retry.retry_backoff_ms),
                max_backoff: millis(file.retry.max_backoff_ms),
                max_age: file.retry.max_age.map(|span| span.0),
                on_exhausted: file.retry.on_exhausted.unwrap_or_default(),
            },
            delivery: delivery(&file.processing),
            subscriptions: file.subscriptions.iter().map(|s| subscription(&name, s)).collect(),
            producers: file.producers.iter().map(producer).collect(),
            dead_letters: storage::dead_letters(&file.dead_letter, &root.tables.dead_letter),
            inbox: storage::inbox(&file.inbox, &root.tables.inbox, root.data_dir)?,
            adopt: file.adopt.clone().map(Into::into),
            settings: Settings { json: own::settings(&name, own)?, from_environment: self.secret },
            name,
        })
    }
}

fn delivery(file: &file::Processing) -> Delivery {
    let bytes = |size: Option<super::ByteSize>| {
        size.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX))
    };
    Delivery {
        batch_records: file.batch_size,
        batch_bytes: bytes(file.batch_bytes),
        linger: file.batch_timeout_ms.map(Duration::from_millis),
        ordering: file.ordering,
        window_records: file.window_records,
        window_bytes: bytes(file.window_bytes),
        result_timeout: file.result_timeout.map(|span| span.0),
    }
}

fn subscription(connector: &str, file: &file::Subscription) -> Subscription {
    Subscription {
        topic: file.topic.clone(),
        subscription: file.subscription.clone().map_or_else(|| connector.to_owned(), Into::into),
        kind: file.kind,
        consumer_name: file.consumer_name.clone().map_or_else(|| connector.to_owned(), Into::into),
        key_filters: file.key_filters.iter().cloned().map(Into::into).collect(),
    }
}

fn producer(file: &file::Producer) -> Producer {
    Producer {
        topic: file.topic.clone(),
        partitions: file.partitions,
        reliable: file.reliable,
        schema_subject: file.schema_subject.clone().map(Into::into),
    }
}

fn connector_name(name: String) -> Result<String, ConfigError> {
    let checked = ConnectorName::try_from(name.clone());
    checked.map(Into::into).map_err(|problem| ConfigError::Unusable {
        key: "connector_name".to_owned(),
        value: bounds::cut(name),
        remedy: format!("it {problem}"),
    })
}

fn check_url(key: &str, url: &str) -> Result<(), ConfigError> {
    let usable = url.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if usable {
        return Ok(());
    }
    Err(ConfigError::Unusable {
        key: key.to_owned(),
        value: url.to_owned(),
        remedy: "write http://HOST:PORT or https://HOST:PORT, for example http://127.0.0.1:6650"
            .to_owned(),
    })
}
