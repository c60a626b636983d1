//! What keeps a subscription from running, in the operator's words.

use danube_sidecar_broker::{Trouble, no_namespace};

/// What is wrong, and what to do.
pub(super) fn describe(trouble: &Trouble) -> String {
    match trouble {
        Trouble::BrokerAway { detail } => {
            format!("the broker is away: {detail}; it goes on by itself when the broker is back")
        }
        Trouble::TopicMissing { topic } => format!(
            "topic {topic} does not exist: publish to it, create it with danube-admin, or set \
             [danube] create_topics = true"
        ),
        Trouble::NoNamespace { topic } => no_namespace(topic),
        Trouble::Refused { topic, detail } => format!(
            "the broker refuses the subscription on {topic}: {detail}; an Exclusive subscription \
             keeps its first consumer name for ever: use that one, or another subscription name"
        ),
        Trouble::Blocked { partition } => format!(
            "the broker stopped delivering {partition} for good, its redelivery budget is spent: \
             unsubscribe (danube-admin) and subscribe under a new name, and set [danube] admin_url \
             so that the budget is generous"
        ),
    }
}
