//! Why a record was not written.

use std::{borrow::Cow, error::Error as StdError, fmt, time::Duration};

use crate::ConnectorError;

/// Code of a failure that is no [`ConnectorError`].
const EXCEPTION: &str = "EXCEPTION";

/// Why a record was not written, and what becomes of it; what
/// [`SinkConnector::process_outcome`](crate::SinkConnector::process_outcome) and
/// [`process_batch_outcomes`](crate::SinkConnector::process_batch_outcomes) answer with.
///
/// It says more than a [`ConnectorError`], which becomes one by `?` or `into()`: that a
/// record is left out on purpose, and a code. So does any boxed error; it is retried
/// with the code `EXCEPTION`.
///
/// ```
/// use std::time::Duration;
/// use danube_connector_sdk::NotWritten;
///
/// let full = NotWritten::retry("the table is locked").code("LOCKED").after(Duration::from_secs(2));
/// let test = NotWritten::filtered("an order of the test shop").code("TEST_ORDER");
/// # assert_eq!((full.error_code(), test.error_code()), ("LOCKED", "TEST_ORDER"));
/// ```
#[derive(Debug)]
pub struct NotWritten(Box<Said>);

/// Behind a pointer: a record that is written has the same type.
#[derive(Debug)]
struct Said {
    kind: Kind,
    code: Cow<'static, str>,
    message: String,
    retry_after: Option<Duration>,
    /// What it was made of; it is what ends `run()`.
    error: Option<ConnectorError>,
}

/// What becomes of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Retry,
    Busy,
    Reject,
    Filtered,
    Fatal,
}

impl NotWritten {
    /// It is offered again after a backoff, and becomes a dead letter when the retries
    /// are used up. Code: `RETRYABLE`.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::new(Kind::Retry, "RETRYABLE", message.into())
    }

    /// The external system takes nothing at present, whatever the record: a rate limit,
    /// maintenance, a failover. Never an attempt. Nothing more is written until
    /// [`after`](Self::after) has passed (1 s where it is not given): what is in hand is
    /// handed back without a call, and the sidecar goes on with one small batch then.
    /// Code: `BUSY`.
    ///
    /// ```
    /// use std::time::Duration;
    /// use danube_connector_sdk::NotWritten;
    ///
    /// let limited = NotWritten::busy("429 Too Many Requests").after(Duration::from_secs(30));
    /// # assert!(limited.is_busy());
    /// ```
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(Kind::Busy, "BUSY", message.into())
    }

    /// It can never be written: a dead letter. Code: `INVALID_DATA`.
    pub fn reject(message: impl Into<String>) -> Self {
        Self::new(Kind::Reject, "INVALID_DATA", message.into())
    }

    /// It is left out on purpose: acked and counted. Code: `FILTERED`.
    pub fn filtered(message: impl Into<String>) -> Self {
        Self::new(Kind::Filtered, "FILTERED", message.into())
    }

    /// Nothing works until somebody changes something: the connector stops, and its
    /// records stay with the sidecar. Code: `FATAL`.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self::new(Kind::Fatal, "FATAL", message.into())
    }

    /// Gives it a code for logs, dead letters and status: a word of a closed set, like
    /// `DATABASE_BUSY`.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = code.into();
        self
    }

    /// A retry that does not come earlier than this, or how long the external system is
    /// busy. Without meaning for the others.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Its code.
    pub fn error_code(&self) -> &str {
        &self.0.code
    }

    /// What happened, in words.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The delay that was asked for.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether the record is offered again, and this was an attempt.
    pub fn is_retry(&self) -> bool {
        self.0.kind == Kind::Retry
    }

    /// Whether the external system takes nothing at present.
    pub fn is_busy(&self) -> bool {
        self.0.kind == Kind::Busy
    }

    /// Whether the record is left out on purpose.
    pub fn is_filtered(&self) -> bool {
        self.0.kind == Kind::Filtered
    }

    /// Whether the connector stops.
    pub fn is_fatal(&self) -> bool {
        self.0.kind == Kind::Fatal
    }

    /// The same, for another record.
    pub(crate) fn of_another(&self) -> Self {
        let Said { kind, code, message, retry_after, .. } = &*self.0;
        let (code, message) = (code.clone(), message.clone());
        Self(Box::new(Said { kind: *kind, code, message, retry_after: *retry_after, error: None }))
    }

    pub(crate) fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The kind as a label of metrics: those are a closed set, codes are the connector's.
    pub(crate) fn label(&self) -> &'static str {
        match (&self.0.error, self.0.kind) {
            (Some(error), _) => error.code(),
            (None, Kind::Retry) => "RETRYABLE",
            (None, Kind::Busy) => "BUSY",
            (None, Kind::Reject) => "INVALID_DATA",
            (None, Kind::Filtered) => "FILTERED",
            (None, Kind::Fatal) => "FATAL",
        }
    }

    fn new(kind: Kind, code: &'static str, message: String) -> Self {
        Self(Box::new(Said { kind, code: code.into(), message, retry_after: None, error: None }))
    }
}

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl From<ConnectorError> for NotWritten {
    fn from(error: ConnectorError) -> Self {
        let kind = match &error {
            error if error.stops() => Kind::Fatal,
            error if error.is_about_data() => Kind::Reject,
            _ => Kind::Retry,
        };
        Self(Box::new(Said {
            kind,
            code: error.code().into(),
            message: error.to_string(),
            retry_after: error.retry_after(),
            error: Some(error),
        }))
    }
}

impl From<Box<dyn StdError + Send + Sync>> for NotWritten {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        match error.downcast::<ConnectorError>() {
            Ok(error) => Self::from(*error),
            Err(error) => Self::retry(error.to_string()).code(EXCEPTION),
        }
    }
}

/// For what knows nothing of outcomes. A record that was left out counts as wrong data.
impl From<NotWritten> for ConnectorError {
    fn from(outcome: NotWritten) -> Self {
        let Said { kind, message, retry_after, error, .. } = *outcome.0;
        match (error, kind) {
            (Some(error), _) => error,
            (None, Kind::Fatal) => Self::fatal(message),
            (None, Kind::Reject | Kind::Filtered) => Self::invalid_data(message, Vec::new()),
            (None, Kind::Retry | Kind::Busy) => match retry_after {
                Some(after) => Self::retryable_after(message, after),
                None => Self::retryable(message),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_meaning() {
        let asked = ConnectorError::retryable_after("429", Duration::from_secs(7));
        let later = NotWritten::from(asked);
        assert!(later.is_retry());
        assert_eq!(
            (later.error_code(), later.retry_after()),
            ("RETRYABLE", Some(Duration::from_secs(7)))
        );

        let wrong = NotWritten::from(ConnectorError::invalid_data("no JSON", Vec::new()));
        assert_eq!((wrong.kind(), wrong.error_code()), (Kind::Reject, "INVALID_DATA"));
        assert!(NotWritten::from(ConnectorError::config("no url")).is_fatal());
    }

    #[test]
    fn any_other_error_is_retried_as_an_exception() {
        let other: Box<dyn StdError + Send + Sync> = "told to throw".into();
        let outcome = NotWritten::from(other);
        assert!(outcome.is_retry());
        assert_eq!((outcome.error_code(), outcome.message()), ("EXCEPTION", "told to throw"));

        let ours: Box<dyn StdError + Send + Sync> = Box::new(ConnectorError::fatal("disk full"));
        assert!(NotWritten::from(ours).is_fatal());
    }

    #[test]
    fn it_becomes_an_error_of_the_same_meaning() {
        assert!(ConnectorError::from(NotWritten::fatal("x").code("C")).is_fatal());
        assert!(ConnectorError::from(NotWritten::reject("x")).is_invalid_data());
        let later = NotWritten::retry("x").after(Duration::from_secs(1));
        assert_eq!(ConnectorError::from(later).retry_after(), Some(Duration::from_secs(1)));
        let busy = NotWritten::busy("x").after(Duration::from_secs(1));
        assert_eq!(ConnectorError::from(busy).retry_after(), Some(Duration::from_secs(1)));
        let disk = NotWritten::from(ConnectorError::from(std::io::Error::other("x")));
        assert!(matches!(ConnectorError::from(disk), ConnectorError::Io(_)));
    }
}
