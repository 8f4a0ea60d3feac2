//! Opens the media before the node begins, so that it can receive from the start. Media that do not
//! open are opened by their actors later.

use std::fmt::Display;
use std::io;
use std::time::Duration;

use actix_rt::Arbiter;
use tracing::{error, warn};

use crate::actors::medium::serial::{self, OpenPort, PortError, SerialPlan};
use crate::actors::medium::{self, MediumError, MediumPlan, OpenMedium};
use crate::actors::threads::{self, Realtime};
use crate::config::Config;
use crate::config::settings::MediaRequired;
use crate::os::paths::Paths;

/// How long the driver of a serial port may take to open it.
const PORT_PATIENCE: Duration = Duration::from_secs(3);

/// Tries while another process holds a port: the process that we replace may need a moment.
/// Spec: docs/protocol/wire.md, 18.1.
const TRIES: u32 = 10;

/// Pause between two of them.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// Why no medium is open, or not every required one.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// On a network.
    #[error(transparent)]
    Network(#[from] MediumError),
    /// On a serial line.
    #[error(transparent)]
    Serial(#[from] PortError),
    /// The driver of a serial port does not answer.
    #[error("serial {0}: the driver does not answer")]
    Hangs(String),
}

impl OpenError {
    fn may_pass(&self) -> bool {
        matches!(self, Self::Network(error) if error.may_pass())
    }
}

/// The media of a configuration, each with its open sockets or ports.
pub(super) struct Media {
    pub(super) network: Vec<(MediumPlan, Option<OpenMedium>)>,
    serials: Vec<(SerialPlan, Option<OpenPort>)>,
}

impl Media {
    pub(super) fn of(config: &Config, paths: &Paths) -> Self {
        let network = medium::plan(&config.media).into_iter();
        let serials = serial::plans(config, &paths.lock_dir).into_iter();
        Self {
            network: network.map(|plan| (plan, None)).collect(),
            serials: serials.map(|plan| (plan, None)).collect(),
        }
    }

    /// Opens the media. `patient`: waits for a port that another process holds for a moment. If
    /// that is not enough, tries so many times more, with that pause.
    ///
    /// # Errors
    /// The error of a medium that does not open, if it is needed.
    pub(super) async fn open(
        &mut self,
        need: MediaRequired,
        patient: bool,
        tries: u32,
        pause: Duration,
    ) -> Result<(), OpenError> {
        let (mut passing, mut tries) = (if patient { TRIES } else { 1 }, tries);
        // Groups run here, and the first heartbeat waits for this.
        let hurried = tries > 0;
        loop {
            let failed = self.open_each(need, hurried).await;
            if failed.is_empty() || (need == MediaRequired::Any && self.any_is_open()) {
                for error in &failed {
                    say(error);
                }
                return Ok(());
            }
            let may_pass = failed.iter().any(OpenError::may_pass);
            let Some(error) = failed.into_iter().next() else {
                return Ok(());
            };
            if may_pass && passing > 1 {
                passing -= 1;
                tokio::time::sleep(BETWEEN_TRIES).await;
            } else if tries > 0 {
                // Groups run here: an interface that goes and comes gets its time.
                tries -= 1;
                warn!(%error, "trying again");
                tokio::time::sleep(pause).await;
            } else {
                return Err(error);
            }
        }
    }

    /// Opens what is not open, and returns the errors. `hurried`: with an open network medium that leads out no port is waited
    /// for, whose driver may hang; the actors of the ports open them.
    async fn open_each(&mut self, need: MediaRequired, hurried: bool) -> Vec<OpenError> {
        let mut failed = Vec::new();
        for (plan, opened) in self.network.iter_mut().filter(|(_, open)| open.is_none()) {
            match medium::open(plan) {
                Ok(medium) if need == MediaRequired::Any => *opened = Some(medium),
                Ok(mut medium) => match medium.missing.pop() {
                    Some(error) => failed.push(error.into()),
                    None => *opened = Some(medium),
                },
                Err(error) => failed.push(error.into()),
            }
        }
        if hurried && self.network_leads_out() {
            return failed;
        }
        for (plan, opened) in self.serials.iter_mut().filter(|(_, open)| open.is_none()) {
            match open_port(plan).await {
                Ok(port) => *opened = Some(port),
                Err(error) => failed.push(error),
            }
        }
        failed
    }

    /// Whether one is open on which another node can be received.
    fn any_is_open(&self) -> bool {
        self.network_leads_out() || self.serials.iter().any(|(_, opened)| opened.is_some())
    }

    fn network_leads_out(&self) -> bool {
        let leads_out = |opened: &OpenMedium| !opened.interface.loopback;
        let mut network = self.network.iter();
        network.any(|(_, opened)| opened.as_ref().is_some_and(leads_out))
    }

    /// The serial lines, each with a thread of its own.
    ///
    /// # Errors
    /// A thread cannot be made.
    pub(super) fn serials_on_threads(
        &mut self,
        realtime: Realtime,
    ) -> io::Result<Vec<(SerialPlan, Option<OpenPort>, Arbiter)>> {
        let serials = std::mem::take(&mut self.serials).into_iter();
        serials
            .map(|(plan, opened)| Ok((plan, opened, threads::serial(realtime)?)))
            .collect()
    }
}

async fn open_port(plan: &SerialPlan) -> Result<OpenPort, OpenError> {
    let opened = serial::open_in_time(plan, PORT_PATIENCE).await?;
    opened.ok_or_else(|| OpenError::Hangs(plan.device.display().to_string()))
}

fn say(failed: &dyn Display) {
    error!("{failed}: beginning without this medium, trying again");
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::config::types::MediumConfig;
    use crate::protocol::name::MediumName;
    use crate::protocol::serial::{LineSettings, Speed};

    fn media(interfaces: &[&str]) -> Media {
        let lines: Vec<MediumConfig> = interfaces
            .iter()
            .map(|interface| MediumConfig::Ucast {
                interface: (*interface).to_owned(),
                peer: Ipv4Addr::LOCALHOST,
                port: 0,
            })
            .collect();
        let plans = medium::plan(&lines).into_iter();
        Media {
            network: plans.map(|plan| (plan, None)).collect(),
            serials: Vec::new(),
        }
    }

    /// It would receive only itself, and take everything.
    #[actix::test]
    async fn an_open_medium_on_the_loop_back_interface_is_not_enough() {
        let need = MediaRequired::Any;
        let mut two = media(&["lo", "nosuch0"]);
        let error = two.open(need, false, 0, Duration::ZERO).await;
        let error = error.expect_err("the other one is missing").to_string();
        assert_eq!(error, "interface nosuch0 does not exist");
        // A port is tried then, in a hurry too.
        let mut three = media(&["lo", "nosuch0"]);
        three.serials.push((
            SerialPlan {
                name: MediumName::new("x"),
                device: "/dev/null".into(),
                line: LineSettings {
                    speed: Speed::new(9600),
                    deadtime: Duration::from_secs(10),
                },
                lock_dir: "/nonexistent".into(),
            },
            None,
        ));
        assert_eq!(three.open_each(need, true).await.len(), 2);
        // A line without its address beside another one: legacy's verdict, and ours.
        let lines = [
            MediumConfig::Bcast {
                interface: "lo".to_owned(),
                port: 0,
            },
            MediumConfig::Ucast {
                interface: "lo".to_owned(),
                peer: Ipv4Addr::LOCALHOST,
                port: 0,
            },
        ];
        for (need, starts) in [(MediaRequired::All, false), (need, true)] {
            let plans = medium::plan(&lines).into_iter();
            let mut shared = Media {
                network: plans.map(|plan| (plan, None)).collect(),
                serials: Vec::new(),
            };
            let opened = shared.open(need, false, 0, Duration::ZERO).await;
            assert_eq!(shared.network.len(), 1);
            assert_eq!(shared.network[0].1.is_some(), starts);
            // Only this host is received there.
            assert_eq!(opened.is_ok(), starts);
        }
        // Nothing else was wanted.
        let mut one = media(&["lo"]);
        assert!(one.open(need, false, 0, Duration::ZERO).await.is_ok());
    }
}
