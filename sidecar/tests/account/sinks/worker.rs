//! A worker in virtual time: takes batches, makes of each record what its fate says,
//! and may die at any moment.

use std::{collections::HashMap, sync::Arc, time::Duration};

use danube_sidecar::{
    refusal::Refusal,
    session::{Caller, FromSink, SinkOpen, ToSink},
    sink::{Seat, Sink},
};
use danube_sidecar_core::{
    dispatch::{Departure, Offer},
    outcome::{DeliveryId, Failure, Outcome, Results},
    record::Fingerprint,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::SliceRandom as _};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::ledger::{Fate, Ledger};

/// What workers of one connector share.
#[derive(Clone)]
pub struct Settings {
    pub ledger: Arc<Ledger>,
    pub window: usize,
    pub external: watch::Receiver<External>,
    /// Whether a batch is written as a whole, or not at all.
    pub whole: bool,
}

/// The external system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum External {
    Well,
    /// Nothing can be written, and nobody knows why.
    Down,
    /// It takes nothing, and says so.
    Busy,
}

/// How a worker's session ended.
pub enum Ended {
    /// The sidecar ended it, or is gone.
    ByTheSidecar,
    /// It met a record that kills it.
    Killed,
}

/// One session, until it ends.
pub struct Worker {
    sink: Sink,
    seat: Seat,
    settings: Settings,
    random: StdRng,
    /// What it has not told the sidecar the end of.
    in_hand: HashMap<DeliveryId, Fingerprint>,
}

impl Worker {
    /// Joins; none while the sidecar cannot have it, or does not answer.
    ///
    /// # Errors
    /// Where the sidecar has ended.
    pub async fn join(sink: Sink, settings: Settings, seed: u64) -> Result<Option<Self>, Refusal> {
        let caller =
            Caller { connector: "sink".to_owned(), max_frame_bytes: 4 << 20, ..Caller::default() };
        let mut open = SinkOpen { caller, ..SinkOpen::default() };
        open.delivery.window_records = Some(settings.window);
        open.retry.initial_backoff = Some(Duration::from_millis(10));
        let joined = timeout(Duration::from_secs(5), sink.join(open)).await;
        let seat = match joined {
            Err(_) | Ok(Err(Refusal::Store(_))) => return Ok(None),
            Ok(joined) => joined?,
        };
        Ok(Some(Self {
            sink,
            seat,
            settings,
            random: StdRng::seed_from_u64(seed),
            in_hand: HashMap::new(),
        }))
    }

    /// Works until the session ends.
    pub async fn run(&mut self) -> Ended {
        loop {
            let frame = tokio::select! {
                frame = self.seat.frames.recv() => frame,
                _ = &mut self.seat.end => None,
            };
            match frame {
                None => return Ended::ByTheSidecar,
                Some(ToSink::Batch(offers)) => {
                    if self.process(offers).await.is_err() {
                        return Ended::Killed;
                    }
                }
                Some(ToSink::Probe(_) | ToSink::Drain(_)) => {}
            }
        }
    }

    /// Tells the sidecar that the stream is closed.
    pub fn leave(self, departure: Departure) {
        self.seat.leave(departure);
    }

    /// Records in any order, results in frames of any size.
    async fn process(&mut self, offers: Vec<Offer>) -> Result<(), Killer> {
        let mut results = Results::default();
        self.in_hand.extend(offers.iter().map(|offer| (offer.delivery, offer.fingerprint)));
        assert!(self.in_hand.len() <= self.settings.window, "more than its window is in its hands");
        if self.settings.whole && offers.len() > 1 && self.refuses(&offers, &mut results)? {
            self.send(results).await;
            return Ok(());
        }
        for offer in offers {
            self.process_one(&offer, &mut results)?;
            if self.random.random_bool(0.2) {
                self.send(std::mem::take(&mut results)).await;
                let pause = Duration::from_micros(self.random.random_range(0..2000));
                sleep(pause).await;
            }
        }
        results.acked.shuffle(&mut self.random);
        self.send(results).await;
        Ok(())
    }

    /// What the external system makes of everything now.
    fn refusal(&self) -> Option<Outcome> {
        match *self.settings.external.borrow() {
            External::Well => None,
            External::Down => Some(Outcome::Retry { after: None }),
            External::Busy => Some(Outcome::Busy { after: Some(Duration::from_millis(200)) }),
        }
    }

    /// Whether one of a batch cannot be written: then nothing of it is, and that is said of
    /// all of it.
    fn refuses(&self, offers: &[Offer], results: &mut Results) -> Result<bool, Killer> {
        let mut ledger = self.settings.ledger.lock();
        let mut fates = Vec::new();
        for offer in offers {
            ledger.occurred(offer.fingerprint);
            fates.push(ledger.fate(offer.fingerprint));
        }
        if self.refusal().is_some() || fates.iter().all(|&fate| fate == Fate::Well) {
            return Ok(false);
        }
        if fates.contains(&Fate::Killer) {
            return Err(Killer);
        }
        for offer in offers {
            if let Fate::Flaky(_) = ledger.fate(offer.fingerprint) {
                ledger.attempted(offer.fingerprint);
            }
            results.failures.push(failure(offer, Outcome::Retry { after: None }));
        }
        Ok(true)
    }

    fn process_one(&mut self, offer: &Offer, results: &mut Results) -> Result<(), Killer> {
        let mut ledger = self.settings.ledger.lock();
        let failure = |outcome| failure(offer, outcome);
        ledger.occurred(offer.fingerprint);
        if let Some(outcome) = self.refusal() {
            results.failures.push(failure(outcome));
            return Ok(());
        }
        match ledger.attempted(offer.fingerprint) {
            Fate::Well => {
                ledger.effect(offer.fingerprint);
                results.acked.push((offer.delivery, offer.delivery));
            }
            Fate::Flaky(_) => results.failures.push(failure(Outcome::Retry { after: None })),
            Fate::Poison => results.failures.push(failure(Outcome::Reject)),
            Fate::Dull => {
                let message = ledger.messages.get_mut(&offer.fingerprint);
                message.expect("it was published").filtered += 1;
                results.failures.push(failure(Outcome::Filtered));
            }
            Fate::Killer => return Err(Killer),
        }
        Ok(())
    }

    async fn send(&mut self, results: Results) {
        if results.acked.is_empty() && results.failures.is_empty() {
            return;
        }
        self.tell(&results);
        self.sink.said(self.seat.worker, FromSink::Results(results)).await;
    }
}

impl Worker {
    /// From here on the sidecar may know the records' ends.
    fn tell(&mut self, results: &Results) {
        let mut ledger = self.settings.ledger.lock();
        let acked = results.acked.iter().map(|range| (range.0, true));
        let failed = results.failures.iter();
        let failed = failed.map(|f| (f.delivery, f.outcome == Outcome::Filtered));
        for (delivery, finished) in acked.chain(failed) {
            let fingerprint = self.in_hand.remove(&delivery).expect("it is answered once");
            let message = ledger.messages.get_mut(&fingerprint).expect("it was published");
            message.finished |= finished;
        }
    }
}

fn failure(offer: &Offer, outcome: Outcome) -> Failure {
    Failure { delivery: offer.delivery, outcome, code: "TEST".to_owned(), message: String::new() }
}

/// The record that kills its worker.
struct Killer;
