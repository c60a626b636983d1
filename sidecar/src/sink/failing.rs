//! The records of a sink that fail, as an operator sees them and decides on them.

use std::time::SystemTime;

use danube_sidecar_core::dispatch::{Failing, Stage, Unfit};

/// Which of them are meant: all that fit every part that is given.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Of this partition's topic.
    pub partition: Option<String>,
    /// With this offset there.
    pub offset: Option<u64>,
    /// With this routing key.
    pub key: Option<String>,
    /// With this last code.
    pub code: Option<String>,
    /// Only those that wait for an operator.
    pub suspended: bool,
}

impl Which {
    pub(super) fn is(&self, failing: &Failing) -> bool {
        let record = &failing.record;
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.is_none() || wanted.as_deref() == found
        };
        is(&self.partition, Some(&record.identity.partition))
            && self.offset.is_none_or(|offset| offset == record.identity.offset)
            && is(&self.key, record.key.as_deref())
            && is(&self.code, Some(&failing.code))
            && (!self.suspended || failing.stage == Stage::Suspended)
    }
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As the delivery rules see it.
    pub failing: Failing,
    /// When it failed first.
    pub since: SystemTime,
    /// When it is offered again at the earliest, where it waits for that.
    pub next: Option<SystemTime>,
    /// The worker that has it, by its id.
    pub worker: Option<String>,
}

/// What became of an operator's decision.
#[derive(Clone, Debug, Default)]
pub struct Decided {
    /// Those that it was carried out on, as they were before.
    pub done: Vec<Shown>,
    /// Those that could not be decided on, and why.
    pub refused: Vec<(Shown, Unfit)>,
}
