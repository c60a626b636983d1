//! How each kind of fault is done to the programs of a round.

use std::os::unix::process::ExitStatusExt as _;

use anyhow::bail;
use danube_sidecar_tests::program::Program;
use nix::sys::signal::Signal;
use tokio::time::sleep;

use crate::{
    LISTENS,
    schedule::{Fault, Kind, Link, Part},
    site::Site,
};

/// An hour, by which clocks jump.
const JUMP: i64 = 3600;

impl Site {
    /// Injects a fault and, where it has an end, ends it.
    pub async fn inject(&mut self, fault: &Fault) -> anyhow::Result<()> {
        match fault.kind {
            Kind::Kill(part) => self.kill(part, fault).await,
            Kind::Stop(part) | Kind::LongStop(part) => self.stop(part, fault).await,
            Kind::Restart(part) => self.restart(part, fault).await,
            Kind::Join => self.start_sink(),
            Kind::Leave => self.leave().await,
            Kind::Cut(Link::Broker) => {
                self.broker_link.cut();
                Ok(())
            }
            Kind::Cut(Link::Connectors) => {
                self.connector_link.cut();
                Ok(())
            }
            // The sidecar has to find out by itself.
            Kind::HalfOpen(Link::Broker) => {
                self.broker_link.silence();
                Ok(())
            }
            // Connectors have no keepalive: they hear of it when the network does.
            Kind::HalfOpen(Link::Connectors) => {
                self.connector_link.silence();
                sleep(fault.lasts).await;
                self.connector_link.cut();
                Ok(())
            }
            Kind::SlowReader => {
                self.connector_link.slow(true);
                sleep(fault.lasts).await;
                self.connector_link.slow(false);
                Ok(())
            }
            Kind::DiskFull => self.fill_disk(fault).await,
            Kind::ClockForwards => self.jump(JUMP, fault).await,
            Kind::ClockBack => self.jump(-JUMP, fault).await,
            // It is among the records.
            Kind::Killer => Ok(()),
        }
    }

    async fn kill(&mut self, part: Part, fault: &Fault) -> anyhow::Result<()> {
        self.aim_nowhere(part);
        if let Some(program) = self.program(part) {
            program.kill().await?;
        }
        sleep(fault.lasts).await;
        self.start_again(part).await
    }

    async fn stop(&mut self, part: Part, fault: &Fault) -> anyhow::Result<()> {
        let Some(program) = self.program(part) else { return Ok(()) };
        program.signal(Signal::SIGSTOP)?;
        sleep(fault.lasts).await;
        program.signal(Signal::SIGCONT)
    }

    async fn restart(&mut self, part: Part, fault: &Fault) -> anyhow::Result<()> {
        self.aim_nowhere(part);
        if let Some(program) = self.program(part) {
            match part {
                Part::Sink => terminate_sink(program).await?,
                _ => program.terminate().await?,
            }
        }
        sleep(fault.lasts).await;
        self.start_again(part).await
    }

    /// One goes; the last one only when another has come.
    async fn leave(&mut self) -> anyhow::Result<()> {
        if self.sinks.len() < 2 {
            self.start_sink()?;
        }
        let mut gone = self.sinks.remove(0);
        terminate_sink(&mut gone).await
    }

    async fn fill_disk(&mut self, fault: &Fault) -> anyhow::Result<()> {
        let Some(disk) = &self.disk else { return Ok(()) };
        disk.fill()?;
        sleep(fault.lasts).await;
        Ok(disk.free()?)
    }

    async fn jump(&mut self, seconds: i64, fault: &Fault) -> anyhow::Result<()> {
        let Some(clock) = &self.clock else { return Ok(()) };
        clock.jump(seconds)?;
        sleep(fault.lasts).await;
        Ok(clock.jump(0)?)
    }

    /// Nobody dials the program of a part that is about to end.
    pub fn aim_nowhere(&self, part: Part) {
        match part {
            Part::Broker => self.broker_link.aim_nowhere(),
            Part::Sidecar => self.connector_link.aim_nowhere(),
            Part::Sink | Part::Source => {}
        }
    }

    /// The program of a part; of the sinks the first, which starts anew as the last.
    fn program(&mut self, part: Part) -> Option<&mut Program> {
        match part {
            Part::Broker => Some(&mut self.broker),
            Part::Sidecar => Some(&mut self.sidecar),
            Part::Sink => self.sinks.first_mut(),
            Part::Source => self.source.as_mut(),
        }
    }

    async fn start_again(&mut self, part: Part) -> anyhow::Result<()> {
        match part {
            Part::Broker => self.start_broker().await,
            Part::Sidecar => self.start_sidecar().await,
            Part::Sink => {
                self.sinks.remove(0);
                self.start_sink()
            }
            Part::Source => self.start_source(),
        }
    }
}

/// SIGTERM, and a good end, unless the record that kills has come first. One that has only
/// just started would simply end: it is given the time to listen.
async fn terminate_sink(sink: &mut Program) -> anyhow::Result<()> {
    sink.line(LISTENS).await?;
    sink.signal(Signal::SIGTERM)?;
    let status = sink.exit().await?;
    if !status.success() && status.signal() != Some(Signal::SIGABRT as i32) {
        bail!("a sink ended with {status} after SIGTERM");
    }
    Ok(())
}
