//! Who comes in by the sidecar's ports, and what it costs us: both ports in this
//! process, dialled over pipes and in virtual time.

mod calls;
mod connections;
mod half_messages;
mod hosts;
mod house;
mod pages;
mod tokens;
