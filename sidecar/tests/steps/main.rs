//! Sinks and sources step by step: what an intake, a driver and a session do and when,
//! against a Danube that says what a test wants and notes what it is asked. In virtual
//! time.

mod danube;
mod driver;
mod intake;
mod panics;
mod source;
mod stranded;
