//! Inboxes and dead letters: what they keep, what they give up, what they survive.

mod disk_full;
mod inbox;
mod kill;
mod letters;
mod model;
mod support;
