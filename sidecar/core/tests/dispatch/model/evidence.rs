//! The naive model of what tells whose fault a failure is.

use std::time::{Duration, Instant};

use danube_sidecar_core::dispatch::{Evidence, Health, RetryPolicy, WorkerId};

use super::naive::{Entry, Model, Sign, State, Worker};

const PATIENCE: Duration = Duration::from_secs(5);

impl Model {
    pub(crate) fn health(&mut self, id: WorkerId, health: Health) {
        self.history.push(Sign::Health);
        let history = self.history.len();
        self.worker_mut(id).health = Some((health, history));
    }

    pub(super) fn evidence(&self, at: usize, health: Option<(Health, usize)>) -> Evidence {
        let entry = &self.entries[at];
        let since = &self.history[entry.tried..];
        if since.contains(&Sign::Success) {
            return Evidence::OtherSucceeded;
        }
        let others =
            self.entries.iter().enumerate().filter(|&(other, of)| {
                other != at && (entry.lane.is_none() || of.lane != entry.lane)
            });
        let tried = |of: &Entry| match of.state {
            State::InHand { .. } => true,
            State::Waiting { .. } => of.attempt > 0 && (of.failed || of.crashes > 0),
            _ => false,
        };
        let alone = !others.into_iter().any(|(_, of)| tried(of));
        match health {
            Some((Health::Well, history)) if history > entry.tried && alone => Evidence::SystemWell,
            Some((Health::Unknown, _)) | None if alone => Evidence::Alone,
            _ => Evidence::None,
        }
    }

    pub(super) fn awaits_health(&self, worker: &Worker, now: Instant) -> bool {
        let open = !worker.left && !worker.draining;
        open && worker.settings.probe && worker.health.is_none() && worker.joined + PATIENCE > now
    }

    /// A worker crashed that had no suspect on trial: that speaks for all suspects.
    pub(super) fn speaks_for_suspects(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.lone.clear());
    }
}

impl Entry {
    pub(super) fn lone_crash(&mut self, evidence: Evidence, now: Instant) {
        match evidence {
            Evidence::SystemWell => self.lone.push((now, true)),
            Evidence::Alone => self.lone.push((now, false)),
            Evidence::OtherSucceeded | Evidence::None => self.lone.clear(),
        }
    }

    /// Whether it crashed its worker alone so often, and nothing else can be to blame.
    pub(super) fn lone_killer(&self, retry: RetryPolicy) -> bool {
        let well = self.lone.iter().rev().take_while(|(_, well)| *well).count();
        let [(first, _), .., (last, _)] = self.lone[..] else { return false };
        well >= 4 || (self.lone.len() >= 8 && last - first >= retry.max_age_alone)
    }
}
