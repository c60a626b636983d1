//! How long what others say may be: one bound for each kind of text, checked where it
//! comes in (frames, the file, the admin API).
//!
//! **Architecture invariant:** what a peer says is bounded before it is kept. What
//! comes from Danube cannot be refused, and has no bound but the frame's: whatever
//! its length, it can be stored.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// Tells the workers of one connector apart.
pub type WorkerId = Text<256>;
/// A Danube subscription.
pub type SubscriptionName = Text<256>;
/// A Danube consumer.
pub type ConsumerName = Text<256>;
/// A glob pattern of routing keys.
pub type KeyFilter = Text<1024>;
/// A subject of Danube's schema registry.
pub type SchemaSubject = Text<512>;
/// An SDK and its version.
pub type SdkName = Text<256>;
/// An address.
pub type Url = Text<1024>;
/// An independent sequence in an external system.
pub type SourcePartition = Text<4096>;
/// What a connector keeps beside an offset.
pub type Metadata = Text<{ 64 << 10 }>;

/// Longest topic, in bytes.
pub const TOPIC: usize = 512;
/// Longest name of a connector, in bytes.
const CONNECTOR: usize = 128;
/// Most subscriptions or producers of one connector.
pub const TOPICS: usize = 1000;
/// Most key filters of one subscription.
pub const KEY_FILTERS: usize = 100;
/// Most bytes of a connector's own settings, as JSON: they go in one frame.
pub const SETTINGS: usize = 1 << 20;
/// What is kept of a message or a code, in bytes: they are cut, never refused.
pub const MESSAGE: usize = 1024;

/// A text of `MAX` bytes at the most.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<const MAX: usize>(String);

/// A text is longer than what it says may be. It is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is {length} bytes long, and may have {max}: shorten it")]
pub struct TooLong {
    /// Its length, in bytes.
    pub length: usize,
    /// The longest there may be.
    pub max: usize,
}

impl<const MAX: usize> Text<MAX> {
    /// The longest there may be, in bytes.
    pub const MAX: usize = MAX;
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TooLong;

    fn try_from(text: String) -> Result<Self, TooLong> {
        if text.len() > MAX {
            return Err(TooLong { length: text.len(), max: MAX });
        }
        Ok(Self(text))
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0
    }
}

impl<'de, const MAX: usize> Deserialize<'de> for Text<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .try_into()
            .map_err(|e: TooLong| de::Error::custom(format!("this text {e}")))
    }
}

/// The name of a connector: a key in files, metrics and the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectorName(String);

/// Not a name of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to {CONNECTOR} letters, digits, `-`, `_` or `.`")]
pub struct NotAName;

impl TryFrom<String> for ConnectorName {
    type Error = NotAName;

    fn try_from(name: String) -> Result<Self, NotAName> {
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let fits = (1..=CONNECTOR).contains(&name.len());
        if fits && name.chars().all(named) { Ok(Self(name)) } else { Err(NotAName) }
    }
}

impl From<ConnectorName> for String {
    fn from(name: ConnectorName) -> Self {
        name.0
    }
}

impl fmt::Display for ConnectorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ConnectorName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .try_into()
            .map_err(|e: NotAName| de::Error::custom(format!("the name of a connector {e}")))
    }
}

/// The beginning of a message, as much as is kept of it.
pub fn cut(message: String) -> String {
    let mut message = message;
    let mut end = message.len().min(MESSAGE);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_taken_up_to_its_bound_and_not_beyond() {
        assert!(SourcePartition::try_from("p".repeat(4096)).is_ok());
        let refused = SourcePartition::try_from("p".repeat(4097)).unwrap_err();
        assert_eq!(refused, TooLong { length: 4097, max: 4096 });
    }

    #[test]
    fn a_connector_has_a_name_of_few_plain_letters() {
        for right in ["orders", "orders-2.eu_west", &"a".repeat(128)] {
            assert!(ConnectorName::try_from(right.to_owned()).is_ok(), "{right}");
        }
        for wrong in ["", "or ders", "../etc", "ö", "a\nb", &"a".repeat(129)] {
            assert_eq!(ConnectorName::try_from(wrong.to_owned()), Err(NotAName), "{wrong}");
        }
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let message = cut("é".repeat(MESSAGE));
        assert!(message.len() <= MESSAGE && message.chars().all(|c| c == 'é'));
        assert_eq!(cut("short".to_owned()), "short");
    }
}
