//! The rules of the source side: each on its own, then all against a naive model.

mod model;
mod rules;
