//! The rules of the sink side: each on its own, then all against a naive model.

mod breaker;
mod busy;
mod held;
mod killers;
mod lanes;
mod lone_killers;
mod model;
mod operator;
mod outcomes;
mod quarantine;
mod repeats;
mod results;
mod retries;
mod support;
mod together;
mod windows;
mod workers;
