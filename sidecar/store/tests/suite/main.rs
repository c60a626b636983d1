//! Inboxes and dead letters: what they keep, what they give up, what they survive.

mod acknowledged;
mod corruption;
mod disk_full;
mod estate;
mod inbox;
mod kill;
mod letters;
mod lost;
mod model;
mod rescue;
mod support;
mod unreadable;
