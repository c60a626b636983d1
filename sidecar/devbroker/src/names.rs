//! Topic names: `/namespace/topic`, partitions `/namespace/topic-part-N`.

use std::fmt;

use tonic::Status;

const PARTITION: &str = "-part-";

/// The name of a topic or, without its number, of a partitioned topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TopicName(String);

impl TopicName {
    pub(crate) fn parse(name: &str) -> Result<Self, Status> {
        let valid = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
        };
        let parts = name.strip_prefix('/').and_then(|rest| rest.split_once('/'));
        match parts {
            Some((namespace, topic)) if valid(namespace) && valid(topic) => {
                Ok(Self(name.to_owned()))
            }
            _ => Err(Status::invalid_argument(format!(
                "The topic: {name} has an invalid format, should be: /namespace_name/topic_name"
            ))),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn namespace(&self) -> &str {
        namespace_of(&self.0)
    }

    /// The partitioned topic this is a partition of.
    pub(crate) fn base(&self) -> Option<&str> {
        let (base, number) = self.0.rsplit_once(PARTITION)?;
        number.parse::<u32>().ok().map(|_| base)
    }

    /// Which partition of this one `other` is.
    pub(crate) fn partition_number(&self, other: &str) -> Option<u32> {
        other.strip_prefix(self.as_str())?.strip_prefix(PARTITION)?.parse().ok()
    }

    pub(crate) fn partition(&self, number: u32) -> Self {
        Self(format!("{self}{PARTITION}{number}"))
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The namespace of a valid topic name.
pub(crate) fn namespace_of(name: &str) -> &str {
    name.split('/').nth(1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_knows_its_base_and_number() {
        let base = TopicName::parse("/default/orders").unwrap();
        let third = base.partition(3);
        assert_eq!(third.as_str(), "/default/orders-part-3");
        assert_eq!(third.base(), Some("/default/orders"));
        assert_eq!(base.partition_number(third.as_str()), Some(3));
        assert_eq!(base.partition_number("/default/orders-dlq"), None);
    }

    #[test]
    fn names_without_namespace_or_with_odd_characters_are_refused() {
        for name in ["orders", "/orders", "/default/", "/default/a/b", "/default/a b", "a/b/c"] {
            assert!(TopicName::parse(name).is_err(), "{name}");
        }
    }
}
