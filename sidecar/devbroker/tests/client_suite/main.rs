//! What any Danube client may rely on. Runs on the embedded broker and, with
//! DANUBE_SERVICE_URL (and DANUBE_ADMIN_URL), unchanged on a real one.

#[path = "../support/mod.rs"]
mod support;

mod admin;
mod consuming;
mod policies;
mod publishing;
mod redelivery;
mod schemas;
mod sharing;
