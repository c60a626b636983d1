//! How a real dispatcher stands still: it does one thing at a time, and where it
//! waits for a publish or a reader, everything else queues behind it.
//!
//! Without the oddities nothing ever stalls and every command acts at once.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use crate::{log::Log, subscription::Subscription};

/// How many commands a dispatcher that stands still takes before calls hang.
const COMMANDS: usize = 32;

/// What the dispatcher waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stall {
    /// A message that is not there yet.
    NextPublish,
    /// Room at a consumer.
    Reader,
}

/// What is asked of a subscription's dispatcher.
#[derive(Debug)]
pub(crate) enum Command {
    Ack { offset: u64 },
    Nack { offset: u64, delay: Duration, reason: String },
    Wake,
    Release { consumer: u64 },
}

/// Whether the dispatcher stands still, and what has queued up behind it.
#[derive(Debug, Default)]
pub(crate) struct Stalling {
    stall: Option<Stall>,
    commands: VecDeque<Command>,
    room: Arc<Notify>,
}

impl Stalling {
    pub(crate) fn is_stalled(&self) -> bool {
        self.stall.is_some()
    }

    pub(crate) fn stall(&mut self, stall: Stall) {
        self.stall = Some(stall);
    }

    /// Told when there is room for commands again.
    pub(crate) fn room(&self) -> Arc<Notify> {
        Arc::clone(&self.room)
    }
}

/// The dispatcher stands still and takes no more commands: come again when told.
#[derive(Debug)]
pub(crate) struct Hang {
    pub(crate) command: Command,
    pub(crate) room: Arc<Notify>,
}

impl Subscription {
    /// Acts on a command, or queues it behind a stall.
    pub(crate) fn submit(&mut self, command: Command, log: &Log, now: Instant) -> Result<(), Hang> {
        if !self.stalling.is_stalled() {
            self.act(command, log, now);
            return Ok(());
        }
        if self.stalling.commands.len() >= COMMANDS {
            return Err(Hang { command, room: self.stalling.room() });
        }
        self.stalling.commands.push_back(command);
        Ok(())
    }

    /// As [`Subscription::submit`], for what no call waits for.
    pub(crate) fn submit_always(&mut self, command: Command, log: &Log, now: Instant) {
        if self.stalling.is_stalled() {
            self.stalling.commands.push_back(command);
        } else {
            self.act(command, log, now);
        }
    }

    fn act(&mut self, command: Command, log: &Log, now: Instant) {
        match command {
            Command::Ack { offset } => self.ack(offset),
            Command::Nack { offset, delay, reason } => self.nack(offset, delay, reason, now),
            Command::Release { consumer } => self.release(consumer),
            Command::Wake => {}
        }
        self.dispatch(log);
    }

    /// A message was published.
    pub(crate) fn published(&mut self, log: &Log, now: Instant) {
        self.resume(Stall::NextPublish, log, now);
    }

    /// A consumer took messages.
    pub(crate) fn read(&mut self, log: &Log, now: Instant) {
        self.resume(Stall::Reader, log, now);
    }

    fn resume(&mut self, reason: Stall, log: &Log, now: Instant) {
        if self.stalling.stall != Some(reason) {
            return;
        }
        self.stalling.stall = None;
        self.dispatch(log);
        while !self.stalling.is_stalled() {
            let Some(command) = self.stalling.commands.pop_front() else { break };
            self.act(command, log, now);
        }
        self.stalling.room.notify_waiters();
    }
}
