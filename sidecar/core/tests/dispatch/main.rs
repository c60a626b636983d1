//! The rules of the sink side: each on its own, then all against a naive model.

mod lanes;
mod model;
mod outcomes;
mod repeats;
mod results;
mod retries;
mod support;
mod windows;
mod workers;
