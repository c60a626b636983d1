//! Values of the configuration file, parsed into types that cannot be wrong.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, de};

use crate::bounds;

/// A number of bytes: `1048576`, `"64 MiB"`, `"10 GiB"`, `"500 kB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteSize(pub u64);

const UNITS: [(&str, u64); 9] = [
    ("b", 1),
    ("", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let size = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
        size.map(Self)
            .ok_or_else(|| format!("`{text}` is not a size: write for example \"64 MiB\" or 65536"))
    }
}

impl fmt::Display for ByteSize {
    /// In the largest binary unit that leaves no rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
            .into_iter()
            .find(|(_, bits)| self.0 > 0 && self.0.trailing_zeros() >= *bits);
        match unit {
            Some((name, bits)) => write!(f, "{} {name}", self.0 >> bits),
            None => write!(f, "{} bytes", self.0),
        }
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText("a size such as \"64 MiB\"", |n| Ok(Self(n))))
    }
}

/// A span of time: `"25s"`, `"1m 30s"`, `"500ms"`; a bare number counts seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = text.trim().parse::<u64>().map(Duration::from_secs);
        seconds.or_else(|_| humantime::parse_duration(text.trim())).map(Self).map_err(|error| {
            format!("`{text}` is not a time span ({error}): write for example \"30s\" or \"5m\"")
        })
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberOrText("a time span such as \"30s\"", |n| {
            Ok(Self(Duration::from_secs(n)))
        }))
    }
}

/// A topic as Danube takes it: `/namespace/topic`, of letters, digits, `-` and `_`. Its
/// lookup refuses everything else, `.` too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(String);

impl TopicName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TopicName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.split('/').collect();
        let named = |part: &str| {
            !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
        };
        match parts.as_slice() {
            _ if text.len() > bounds::TOPIC => Err(format!(
                "a topic of {} bytes is too long: at most {} are taken",
                text.len(),
                bounds::TOPIC
            )),
            ["", namespace, topic] if named(namespace) && named(topic) => Ok(Self(text.to_owned())),
            _ => Err(format!(
                "`{text}` is not a topic: write \"/namespace/topic\" of letters, digits, `-` and \
                 `_`, for example \"/default/orders\""
            )),
        }
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TopicName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Reads a value that may be written as a number or as text.
struct NumberOrText<T>(&'static str, fn(u64) -> Result<T, String>);

impl<T: FromStr<Err = String>> de::Visitor<'_> for NumberOrText<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        let number = u64::try_from(number)
            .map_err(|_| E::custom(format!("{number} is negative: expected {}", self.0)))?;
        (self.1)(number).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        (self.1)(number).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_know_decimal_and_binary_units() {
        let sizes = [("65536", 65536), ("64 MiB", 64 << 20), ("10GiB", 10 << 30), ("5 kB", 5000)];
        for (text, bytes) in sizes {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        assert!("64 parsecs".parse::<ByteSize>().is_err());
        assert!("99999999 TiB".parse::<ByteSize>().is_err());
    }

    #[test]
    fn sizes_are_printed_as_they_are_written() {
        for (bytes, text) in [(10 << 30, "10 GiB"), (65536, "64 KiB"), (1000, "1000 bytes")] {
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn spans_are_seconds_or_words() {
        assert_eq!("25".parse(), Ok(Span(Duration::from_secs(25))));
        assert_eq!("1m 30s".parse(), Ok(Span(Duration::from_secs(90))));
        assert!("soon".parse::<Span>().is_err());
    }

    #[test]
    fn topics_have_a_namespace_and_a_name() {
        assert!("/default/orders".parse::<TopicName>().is_ok());
        let dotted = "/default/orders.eu";
        for wrong in ["orders", "/orders", "/default/", "/a/b/c", "/default/or ders", dotted] {
            assert!(wrong.parse::<TopicName>().is_err(), "{wrong}");
        }
    }
}
