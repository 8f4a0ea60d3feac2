//! The watchdog device: opens, feeds and closes it. When that is done is decided by [`Watchdog`].
//!
//! It lives on a thread of its own, in the realtime class as the thread of membership: a driver may let
//! it wait, and a busy machine must not restart because a heartbeat waits for a processor here. It is
//! told of own heartbeats by membership itself.
//!
//! No other process has the descriptor. When this one dies or replaces itself, the kernel closes the
//! device, which stays armed, and the successor opens it again.

mod device;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::ArbiterHandle;
use tracing::{error, info, warn};

use crate::actors::lease::Bell;
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::clients::control::WatchdogReport;
use crate::clock::{Clock, Monotonic};
use crate::notice::{self, Notice};
use crate::policy::watchdog::{Act, Event, Times, Trouble, Watchdog};

pub use device::Device;

/// Heartbeats that may wait for the driver: it is fed by one as well as by many.
const MAILBOX: usize = 2;

/// How many datagrams have left this host, over any medium between nodes. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Leaving {
    count: Arc<AtomicU64>,
    /// Rung when a heartbeat was among them.
    bell: Option<Bell>,
}

impl Leaving {
    /// The lease of addresses is told of heartbeats.
    #[must_use]
    pub fn ringing(bell: Option<Bell>) -> Self {
        Self {
            bell,
            ..Self::default()
        }
    }

    /// One has left. `heartbeat`: it was an own status. This never blocks.
    pub fn note(&self, heartbeat: bool) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some(bell) = self.bell.as_ref().filter(|_| heartbeat) {
            bell.heartbeat_left();
        }
    }

    fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

/// The own heartbeat came back to membership.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct OwnBeat {
    /// This node is cut off, and something may still run here that it must have stopped.
    pub owes_release: bool,
    /// No group may run here.
    pub idle: bool,
}

/// What root tells of this process. Answered when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub enum Tell {
    /// It is about to replace itself.
    Replace {
        /// By another program file than it runs.
        other: bool,
    },
    /// It was not replaced.
    Stay,
    /// Every group is stopped, and it ends.
    End,
}

/// Asks for the state of the device.
#[derive(Debug, Clone, Copy)]
pub struct AskWatchdog;

impl Message for AskWatchdog {
    type Result = WatchdogReport;
}

/// Everything that the actor needs to know.
#[derive(Debug)]
pub struct WatchdogSetup {
    /// The device.
    pub path: PathBuf,
    /// It is open already.
    pub opened: Option<Device>,
    /// A predecessor may have left it armed.
    pub armed: bool,
    /// The times of the node.
    pub times: Times,
    /// What has left this host.
    pub leaving: Leaving,
}

/// Starts the actor on `arbiter`, supervised for ever.
#[must_use]
pub fn start(arbiter: &ArbiterHandle, setup: WatchdogSetup) -> Addr<WatchdogActor> {
    let policy = RestartPolicy::new("watchdog").mailbox(MAILBOX);
    supervise(arbiter, policy, move |_| WatchdogActor::new(setup))
}

/// Closes a device for good that a predecessor of this process has armed. Blocks while the driver does.
///
/// # Errors
/// It cannot be opened, or takes nothing. A device that is not there any more is no error.
pub fn stand_down(path: &Path) -> io::Result<()> {
    let opened = Device::open(path);
    let gone = |error: &io::Error| {
        let raw = error.raw_os_error();
        error.kind() == io::ErrorKind::NotFound || matches!(raw, Some(libc::ENXIO | libc::ENODEV))
    };
    match opened {
        Ok(device) => device.disarm(),
        Err(error) if gone(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Owns the device.
pub struct WatchdogActor {
    path: PathBuf,
    device: Option<Device>,
    /// Opened by somebody else, until it is used.
    opened: Option<Device>,
    watchdog: Watchdog,
    leaving: Leaving,
    clock: Clock,
    /// The interval of the open device, if it knows one.
    interval: Option<Duration>,
    /// Why it cannot be opened, or what it said last: logged once.
    said: Option<String>,
    /// The interval was complained about.
    said_interval: bool,
}

impl WatchdogActor {
    fn new(setup: WatchdogSetup) -> Self {
        Self {
            path: setup.path,
            device: None,
            opened: setup.opened,
            watchdog: Watchdog::new(setup.times, setup.armed),
            leaving: setup.leaving,
            clock: Clock::start(),
            interval: None,
            said: None,
            said_interval: false,
        }
    }

    fn now(&self) -> Monotonic {
        self.clock.now().instant
    }

    /// One event, and everything that follows from it.
    fn step(&mut self, event: Event) {
        let mut acts = Vec::new();
        self.watchdog.handle(event, self.now(), &mut acts);
        for act in acts {
            self.perform(act);
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Open(interval) => {
                let event = self.open(interval);
                self.step(event);
            }
            Act::Feed => self.feed(),
            Act::Interval(interval) => {
                if let (Some(device), Some(_)) = (&self.device, self.interval)
                    && let Err(error) = device.set_interval(interval)
                {
                    let seconds = interval.as_secs();
                    info!(seconds, %error, "the watchdog keeps its interval");
                }
            }
            Act::Drop => self.device = None,
            Act::Disarm => self.disarm(),
            Act::Say(trouble) => say(trouble),
        }
    }

    fn open(&mut self, wanted: Duration) -> Event {
        let opened = match self.opened.take() {
            Some(opened) => Ok(opened),
            None => Device::open(&self.path),
        };
        match opened {
            Ok(device) => {
                notice::log(&Notice::UsingWatchdog {
                    device: self.path.display().to_string(),
                });
                self.interval = self.settle(&device, wanted);
                self.device = Some(device);
                self.said = None;
                Event::Opened(self.interval)
            }
            Err(error) => {
                let error = error.to_string();
                if self.said.as_ref() != Some(&error) {
                    notice::log(&Notice::NoWatchdog {
                        device: self.path.display().to_string(),
                        error: error.clone(),
                    });
                }
                self.said = Some(error);
                Event::Refused
            }
        }
    }

    /// Sets the interval, and reads back the one that the driver uses.
    fn settle(&mut self, device: &Device, wanted: Duration) -> Option<Duration> {
        let set = device.set_interval(wanted);
        let complain = !std::mem::replace(&mut self.said_interval, true);
        match (set, device.interval()) {
            (_, Ok(used)) => {
                if complain && used != wanted {
                    let (used, wanted) = (used.as_secs(), wanted.as_secs());
                    warn!(
                        used,
                        wanted, "the watchdog has another interval, in seconds"
                    );
                }
                Some(used)
            }
            (Ok(()), Err(_)) => Some(wanted),
            (Err(error), Err(_)) => {
                if complain {
                    let device = self.path.display();
                    warn!(%device, %error, "the watchdog knows no interval: it is fed all the same");
                }
                None
            }
        }
    }

    fn feed(&mut self) {
        let Some(device) = &self.device else {
            return;
        };
        let Err(error) = device.feed() else {
            if self.said.take().is_some() {
                info!("the watchdog device accepts writes again");
            }
            return;
        };
        let text = error.to_string();
        if self.said.as_ref() != Some(&text) {
            let device = self.path.display();
            error!(%device, %error, "the watchdog device accepts no write");
        }
        self.said = Some(text);
        // What is full is still open, and may be empty the next time.
        if error.kind() != io::ErrorKind::WouldBlock {
            self.step(Event::Failed);
        }
    }

    fn disarm(&mut self) {
        let Some(device) = self.device.take() else {
            return;
        };
        let path = self.path.display();
        match device.disarm() {
            Ok(()) => info!(device = %path, "the watchdog is stopped"),
            Err(error) => {
                error!(device = %path, %error, "the watchdog cannot be stopped: it restarts this machine");
            }
        }
    }

    fn report(&self) -> WatchdogReport {
        let trouble = match self.watchdog.trouble() {
            Trouble::None | Trouble::Late(_) => None,
            Trouble::NothingLeaves => Some(
                "not fed, because no heartbeat leaves this host: it restarts this machine"
                    .to_owned(),
            ),
            Trouble::HoldsOn => Some(
                "not fed, because this node is cut off and has not stopped its groups in time: it \
                 restarts this machine"
                    .to_owned(),
            ),
            Trouble::TooShort(interval) => Some(format!(
                "not used: its interval of {} s is too short for the heartbeats",
                interval.as_secs()
            )),
        };
        let open = self.watchdog.is_open();
        let refused = self.said.as_ref().map(|said| match open {
            true => format!("accepts no write: {said}"),
            false => format!("cannot be opened: {said}"),
        });
        WatchdogReport {
            device: self.path.display().to_string(),
            armed: open,
            interval_s: self
                .interval
                .filter(|_| open)
                .map(|interval| interval.as_secs()),
            trouble: trouble.or(refused),
        }
    }
}

fn say(trouble: Trouble) {
    match trouble {
        Trouble::None => info!("the watchdog is fed again"),
        Trouble::NothingLeaves => notice::log(&Notice::OtherCrit {
            text:
                "no heartbeat leaves this host: the watchdog is not fed, and restarts this machine"
                    .to_owned(),
        }),
        Trouble::HoldsOn => notice::log(&Notice::OtherCrit {
            text:
                "this node is cut off and has not stopped its groups in time: the watchdog is not \
                   fed, and restarts this machine"
                    .to_owned(),
        }),
        Trouble::Late(pause) => {
            let late_ms = pause.as_millis();
            warn!(
                late_ms,
                "the own heartbeat came too late to feed the watchdog"
            );
        }
        Trouble::TooShort(interval) => {
            let seconds = interval.as_secs();
            error!(
                seconds,
                "the interval of the watchdog is too short: it is not used"
            );
        }
    }
}

impl Actor for WatchdogActor {
    type Context = Context<Self>;

    fn started(&mut self, _: &mut Self::Context) {
        self.step(Event::Begin);
    }
}

/// The device stays open over a fault of this actor.
impl Supervised for WatchdogActor {}

impl Handler<OwnBeat> for WatchdogActor {
    type Result = ();

    fn handle(&mut self, OwnBeat { owes_release, idle }: OwnBeat, _: &mut Self::Context) {
        let left = self.leaving.count();
        self.step(Event::Beat {
            left,
            owes_release,
            idle,
        });
    }
}

impl Handler<Tell> for WatchdogActor {
    type Result = ();

    fn handle(&mut self, told: Tell, _: &mut Self::Context) {
        self.step(match told {
            Tell::Replace { other } => Event::Replace { other },
            Tell::Stay => Event::Stay,
            Tell::End => Event::End,
        });
    }
}

impl Handler<AskWatchdog> for WatchdogActor {
    type Result = MessageResult<AskWatchdog>;

    fn handle(&mut self, _: AskWatchdog, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.report())
    }
}
