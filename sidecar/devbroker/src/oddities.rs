//! Where a real Danube broker differs from what one would expect, as switches.

use std::{fmt, str::FromStr};

macro_rules! oddities {
    ($($(#[doc = $doc:literal])+ $field:ident = $name:literal,)+) => {
        /// Where a real Danube broker differs from what one would expect. All are
        /// off by default; each reproduces something seen on Danube 0.15.1.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Oddities {
            $($(#[doc = $doc])+ pub $field: bool,)+
        }

        impl Oddities {
            /// The names that [`Oddities::enable`] and the command line take.
            pub const NAMES: &[&str] = &[$($name),+];

            /// What Danube 0.15.1 does: all of them.
            pub const fn danube_0_15() -> Self {
                Self { $($field: true),+ }
            }

            /// Switches one on by its name.
            pub fn enable(&mut self, name: &str) -> Result<(), UnknownOddity> {
                match name {
                    $($name => self.$field = true,)+
                    _ => return Err(UnknownOddity { name: name.to_owned() }),
                }
                Ok(())
            }
        }
    };
}

oddities! {
    /// Acking the highest outstanding offset while lower ones are open stops the
    /// subscription until the next publish; acks and nacks queue meanwhile, after
    /// 32 of them the calls hang.
    highest_ack_blocks = "highest-ack-blocks",
    /// A consumer whose stream is open but not read stops the subscription, and
    /// after 32 more publishes the producers of the topic.
    unread_consumer_blocks = "unread-consumer-blocks",
    /// Deliveries after a reconnect use up the redelivery budget too (it still
    /// ends only at a timeout or nack), and a subscription blocked by it stays so:
    /// neither a late ack nor a reconnect helps.
    reconnects_spend_budget = "reconnects-spend-budget",
    /// Acks of messages that wait for redelivery, as all do while no consumer is
    /// attached, are answered OK and dropped.
    detached_acks_dropped = "detached-acks-dropped",
    /// A consumer counts as reading from Subscribe on: without ReceiveMessages the
    /// subscription stops after 4 messages, and the producers after 32 more, until
    /// ReceiveMessages is called with that consumer's id.
    subscribe_without_receive_blocks = "subscribe-without-receive-blocks",
    /// ReceiveMessages while the consumer's old stream is still open takes that over
    /// without sending again what is un-acked: it comes when its ack timeout passes.
    takeover_resends_nothing = "takeover-resends-nothing",
    /// A subscription that falls more than 256 messages behind skips to the last
    /// 256 (not one restored from the data directory).
    live_channel_skips = "live-channel-skips",
    /// A subscription gets messages of different keys in another order than that of
    /// their offsets now and then, as concurrent publishers overtake each other (not
    /// one restored from the data directory).
    live_channel_reorders = "live-channel-reorders",
    /// A confirmed publish reaches the data directory only within 5 s (10 MiB at
    /// most wait), or at a clean stop: a crash loses it, and its offset is used again.
    /// [`crate::Config::audit`] tells which ones.
    forgets_confirmed = "forgets-confirmed",
    /// A subscription's cursor reaches the data directory only every 10 s, or at a
    /// clean stop: after a crash messages come again that were acked before.
    cursor_lags = "cursor-lags",
    /// An exclusive subscription belongs to its first consumer name for ever.
    exclusive_for_ever = "exclusive-for-ever",
    /// A failover subscription stays with its first consumer when that goes away.
    no_failover = "no-failover",
    /// What a key-shared consumer held un-acked is forgotten when it detaches.
    key_shared_loses = "key-shared-loses",
    /// A topic is looked up by prefix: `/default/ord` finds `/default/orders`, and
    /// `/default/orders-dlq` counts as a partition of `/default/orders`.
    prefix_lookup = "prefix-lookup",
    /// Concurrent publishes of one producer are not stored in the order sent.
    reordered_publishes = "reordered-publishes",
}

/// There is no oddity of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no oddity {name:?}; use one of: {}", Oddities::NAMES.join(", "))]
pub struct UnknownOddity {
    name: String,
}

/// A released broker whose oddities are played together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Danube 0.15.
    Danube015,
}

impl Profile {
    /// The oddities of that release.
    pub const fn oddities(self) -> Oddities {
        match self {
            Self::Danube015 => Oddities::danube_0_15(),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Danube015 => f.write_str("danube-0.15"),
        }
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        match name {
            "danube-0.15" => Ok(Self::Danube015),
            _ => Err(UnknownProfile { name: name.to_owned() }),
        }
    }
}

/// There is no profile of that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile {name:?}; the only one is danube-0.15")]
pub struct UnknownProfile {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_switches_on_and_together_they_are_the_profile() {
        let mut oddities = Oddities::default();
        for name in Oddities::NAMES {
            oddities.enable(name).unwrap();
        }
        assert_eq!(oddities, Oddities::danube_0_15());
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = Oddities::default().enable("gremlins").unwrap_err();
        assert!(error.to_string().contains("live-channel-skips"), "{error}");
    }
}
