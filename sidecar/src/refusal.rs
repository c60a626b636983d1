//! Why the sidecar ends a session before the connector does.

use danube_sidecar_core::{dispatch, publish};
use danube_sidecar_store::{CheckpointError, StoreError};

use crate::{bounds::TooLong, config::TopicName, gate::ForeignHost};

/// Why a session ends: each names what was wrong, and what was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The stream began with something else.
    #[error("the first frame must be `open`, got `{got}`: send `open` once, before anything else")]
    NotOpened {
        /// The frame that came.
        got: &'static str,
    },
    /// The stream ended or stalled before `open`.
    #[error("no `open` frame came within {seconds} s: send `open` as the first frame")]
    OpenMissing {
        /// How long the sidecar waited.
        seconds: u64,
    },
    /// `open` came twice.
    #[error("`open` came a second time: a session is opened once; dial again for another one")]
    OpenedTwice,
    /// A required field is empty, or a value is none of the valid ones.
    #[error("`{field}` {problem}")]
    InvalidField {
        /// Path of the field.
        field: &'static str,
        /// What is wrong with it, and what is expected.
        problem: String,
    },
    /// A text is too long. It is not repeated.
    #[error("`{field}` {problem}")]
    TooLong {
        /// Path of the field.
        field: &'static str,
        /// Its length, and the bound.
        problem: TooLong,
    },
    /// The positions of a source do not fit into what its connector accepts.
    #[error(
        "source `{connector}` has {count} positions of {bytes} bytes together, its largest one of \
         {largest}, and its connector accepts {limit} bytes in a frame and {pages}: use an SDK \
         that takes positions in pages (CAPABILITY_POSITION_PAGES), raise `open.max_frame_bytes`, \
         or forget source partitions that are no more with `danube-sidecar checkpoint reset \
         {connector} --partition NAME`"
    )]
    PositionsTooLarge {
        /// The connector.
        connector: String,
        /// How many there are.
        count: usize,
        /// Their encoded size.
        bytes: usize,
        /// The encoded size of the largest one.
        largest: usize,
        /// Largest frame.
        limit: usize,
        /// `no pages` or `pages`.
        pages: &'static str,
    },
    /// What `opened` has to say does not fit into one frame.
    #[error(
        "`opened` needs {bytes} bytes, and the connector accepts {limit} in a frame: make the \
         connector's settings smaller, or raise `open.max_frame_bytes`"
    )]
    OpenedTooLarge {
        /// Its encoded size.
        bytes: usize,
        /// Largest frame.
        limit: usize,
    },
    /// Results or records break the protocol.
    #[error(transparent)]
    Results(#[from] dispatch::Violation),
    /// Records break the protocol.
    #[error(transparent)]
    Records(#[from] publish::Violation),
    /// Nothing in common.
    #[error(
        "this sidecar speaks protocol version {ours}, the connector speaks {min} to {max}: \
         use an SDK and a sidecar of the same major version"
    )]
    NoCommonVersion {
        /// The sidecar's version.
        ours: u32,
        /// The connector's lowest.
        min: u32,
        /// The connector's highest.
        max: u32,
    },
    /// The subscription cannot be served safely.
    #[error("subscription `{subscription}` on {topic} is refused: {problem}")]
    RefusedSubscription {
        /// The topic.
        topic: TopicName,
        /// The subscription.
        subscription: String,
        /// Why, and what to do.
        problem: &'static str,
    },
    /// Neither the file nor the connector names what to do.
    #[error(
        "connector `{connector}` names no {what}, and neither does the sidecar's file: list them \
         in `open.{what}` or as [[{what}]] in the file"
    )]
    NothingToDo {
        /// The connector.
        connector: String,
        /// `subscriptions` or `producers`.
        what: &'static str,
    },
    /// The dead-letter topic would be mixed up with another one.
    #[error(
        "the dead-letter topic {dead_letter} and the topic {topic} extend one another, and Danube \
         would take one for a partition of the other: set [dead_letter] topic to another name"
    )]
    DeadLetterTopic {
        /// The dead-letter topic.
        dead_letter: String,
        /// The subscribed topic.
        topic: TopicName,
    },
    /// The file does not know this connector.
    #[error(
        "connector `{name}` is not in the sidecar's file, and allow_unconfigured is false: add \
         [connectors.{name}], or use one of: {known}"
    )]
    UnknownConnector {
        /// The name it gave.
        name: String,
        /// The names in the file.
        known: String,
    },
    /// The operator forbids this topic.
    #[error("topic {topic} is outside [policy] allowed_topics: ask the operator to allow it")]
    ForbiddenTopic {
        /// The topic.
        topic: TopicName,
    },
    /// No token, or a wrong one.
    #[error(
        "the token is {problem}: send `authorization: Bearer <token>` with the content of the \
         sidecar's token_file"
    )]
    Unauthenticated {
        /// `missing` or `wrong`.
        problem: &'static str,
    },
    /// It means somebody else, or comes from a page of elsewhere.
    #[error(transparent)]
    ForeignHost(#[from] ForeignHost),
    /// A frame that is too large.
    #[error(
        "a frame exceeds the limit of {limit} bytes: send smaller batches (see `opened.limits`)"
    )]
    FrameTooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// A frame that cannot be decoded.
    #[error(
        "a frame is not of the protocol danube.connector.v1: {problem}; generate the stubs from \
         the sidecar's .proto files"
    )]
    MalformedFrame {
        /// What the decoder said.
        problem: String,
    },
    /// A record that can never be published, with `on_reject = "fail"`.
    #[error("record {number} can never be published: {problem}")]
    Unpublishable {
        /// Its number in the session.
        number: u64,
        /// What is wrong with it.
        problem: String,
    },
    /// A newer session of the same source.
    #[error("a newer session of source `{connector}` took over: run one process for each name")]
    Superseded {
        /// The connector.
        connector: String,
    },
    /// A worker took too long.
    #[error(
        "no result came within result_timeout ({seconds} s): answer each record in time, or raise \
         [processing] result_timeout"
    )]
    ResultTimeout {
        /// The timeout.
        seconds: u64,
    },
    /// The sidecar stops.
    #[error("the sidecar is shutting down: dial again")]
    ShuttingDown,
    /// A fault of the sidecar ended what served this session.
    #[error("a fault in the sidecar ended this session: dial again, and see its log")]
    Failed,
    /// The sidecar cannot keep its promises.
    #[error("the sidecar's store failed: {0}")]
    Store(#[from] StoreError),
    /// The epochs and positions of sources cannot be read.
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
}

impl Refusal {
    /// The reason in `google.rpc.ErrorInfo`: a closed set, for programs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotOpened { .. } => "FIRST_FRAME_NOT_OPEN",
            Self::OpenMissing { .. } => "OPEN_MISSING",
            Self::OpenedTwice => "OPENED_TWICE",
            Self::InvalidField { .. } => "INVALID_FIELD",
            Self::TooLong { .. } => "FIELD_TOO_LONG",
            Self::PositionsTooLarge { .. } => "POSITIONS_TOO_LARGE",
            Self::OpenedTooLarge { .. } => "OPENED_TOO_LARGE",
            Self::Results(dispatch::Violation::NeverIssued { .. }) => "DELIVERY_ID_NEVER_ISSUED",
            Self::Results(dispatch::Violation::Reversed { .. }) => "DELIVERY_RANGE_REVERSED",
            Self::Records(publish::Violation::Empty) => "RECORDS_EMPTY",
            Self::Records(publish::Violation::Misnumbered { .. }) => "RECORDS_MISNUMBERED",
            Self::Records(publish::Violation::DemandExceeded { .. }) => "DEMAND_EXCEEDED",
            Self::NoCommonVersion { .. } => "NO_COMMON_VERSION",
            Self::RefusedSubscription { .. } => "SUBSCRIPTION_REFUSED",
            Self::NothingToDo { .. } => "NOTHING_TO_DO",
            Self::DeadLetterTopic { .. } => "DEAD_LETTER_TOPIC_AMBIGUOUS",
            Self::UnknownConnector { .. } => "UNKNOWN_CONNECTOR",
            Self::ForbiddenTopic { .. } => "TOPIC_FORBIDDEN",
            Self::Unauthenticated { .. } => "UNAUTHENTICATED",
            Self::ForeignHost(_) => "FOREIGN_HOST",
            Self::FrameTooLarge { .. } => "FRAME_TOO_LARGE",
            Self::MalformedFrame { .. } => "FRAME_MALFORMED",
            Self::Unpublishable { .. } => "RECORD_UNPUBLISHABLE",
            Self::Superseded { .. } => "SUPERSEDED",
            Self::ResultTimeout { .. } => "RESULT_TIMEOUT",
            Self::ShuttingDown => "SHUTTING_DOWN",
            Self::Failed => "SIDECAR_FAILED",
            Self::Store(_) => "STORE_FAILED",
            Self::Checkpoints(_) => "CHECKPOINTS_FAILED",
        }
    }
}
