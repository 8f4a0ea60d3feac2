//! The watchdog device of this process: who opens it at a start, and what it is told at the ends.
//! Why: docs/decisions/0012-an-armed-watchdog-is-inherited.md.
//!
//! | The process | The device |
//! |---|---|
//! | begins | opened by its actor; where a setting requires it, here, before the node begins |
//! | goes on for another one that had armed another device, or the only one | that device is closed for good |
//! | replaces itself by the same program | told before: a longer interval; stays armed |
//! | replaces itself by another program | told before: closed for good |
//! | ends with every group stopped | told before: closed for good |
//! | ends in any other way | not told: stays armed |

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix::prelude::*;
use actix_rt::Arbiter;
use tracing::{error, info};

use super::RootActor;
use crate::actors::threads::{self, Realtime};
use crate::actors::watchdog::{
    self, Device, Leaving, Tell, WatchdogActor, WatchdogSetup, stand_down,
};
use crate::config::Config;
use crate::policy::watchdog::Times;
use crate::process::reload::program_replaced;

/// How long the driver may take to open a device that is required.
const OPEN: Duration = Duration::from_secs(5);

/// How long the driver may take at an end of this process.
const TOLD: Duration = Duration::from_secs(1);

/// Why a node that requires its watchdog does not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoWatchdog {
    /// It cannot be opened.
    #[error(
        "Cannot open watchdog device: {device} ({source}), and watchdog_required is set: not started"
    )]
    Refused {
        /// Its path.
        device: String,
        /// What the system says.
        source: io::Error,
    },
    /// Its driver does not answer.
    #[error(
        "watchdog device {0}: the driver does not answer, and watchdog_required is set: not started"
    )]
    Hangs(
        /// Its path.
        String,
    ),
    /// There is no thread for it.
    #[error("no thread for the watchdog: {0}")]
    Thread(
        /// What the system says.
        #[from]
        io::Error,
    ),
}

/// The device of the configuration, with the thread on which it is used.
#[derive(Debug)]
pub(super) struct Prepared {
    thread: Arbiter,
    path: PathBuf,
    opened: Option<Device>,
    armed: bool,
}

/// Prepares the device of the configuration, if it names one. `left`: the device that a predecessor has
/// armed; `begins`: there was none.
///
/// # Errors
/// It is required for a start and cannot be used, or there is no thread for it.
pub(super) async fn prepare(
    config: &Config,
    left: Option<PathBuf>,
    begins: bool,
    realtime: Realtime,
) -> Result<Option<Prepared>, NoWatchdog> {
    let armed = left.is_some() && left == config.watchdog;
    if let Some(other) = left.filter(|_| !armed) {
        give_up(other);
    }
    let Some(path) = config.watchdog.clone() else {
        return Ok(None);
    };
    let required = begins && config.settings.watchdog_required;
    let opened = if required {
        Some(open(&path).await?)
    } else {
        None
    };
    Ok(Some(Prepared {
        thread: threads::watchdog(realtime)?,
        path,
        opened,
        armed,
    }))
}

/// On a helper thread: a driver may hang.
async fn open(path: &Path) -> Result<Device, NoWatchdog> {
    let asked = path.to_owned();
    let device = || path.display().to_string();
    let work = tokio::task::spawn_blocking(move || Device::open(&asked));
    match tokio::time::timeout(OPEN, work).await {
        Ok(Ok(opened)) => opened.map_err(|source| NoWatchdog::Refused {
            device: device(),
            source,
        }),
        Ok(Err(_)) | Err(_) => Err(NoWatchdog::Hangs(device())),
    }
}

/// Closes a device for good that the configuration names no more. Not waited for.
fn give_up(path: PathBuf) {
    let work = tokio::task::spawn_blocking(move || (stand_down(&path), path));
    actix_rt::spawn(async move {
        let Ok((done, path)) = work.await else {
            return;
        };
        let device = path.display();
        match done {
            Ok(()) => info!(%device, "the watchdog is not configured any more: it is stopped"),
            Err(error) => {
                error!(%device, %error, "the watchdog cannot be stopped: it restarts this machine");
            }
        }
    });
}

/// Starts the actor.
pub(super) fn start(
    prepared: Prepared,
    config: &Config,
    leaving: &Leaving,
) -> (PathBuf, Addr<WatchdogActor>) {
    let setup = WatchdogSetup {
        path: prepared.path.clone(),
        opened: prepared.opened,
        armed: prepared.armed,
        times: Times {
            keepalive: config.timing.keepalive,
            deadtime: config.timing.deadtime,
        },
        leaving: leaving.clone(),
    };
    let actor = watchdog::start(&prepared.thread.handle(), setup);
    (prepared.path, actor)
}

impl RootActor {
    /// The process ends with every group stopped.
    pub(super) fn stop_watchdog(&self) -> impl Future<Output = ()> + 'static {
        self.tell_watchdog(Tell::End)
    }

    /// The process is about to replace itself.
    pub(super) fn hand_watchdog_on(&self) -> impl Future<Output = ()> + 'static {
        // An older program would never feed it.
        let other = program_replaced(&self.program);
        self.tell_watchdog(Tell::Replace { other })
    }

    /// It was not replaced.
    pub(super) fn keep_watchdog(&self) {
        if let Some(watchdog) = &self.watchdog {
            watchdog.do_send(Tell::Stay);
        }
    }

    fn tell_watchdog(&self, what: Tell) -> impl Future<Output = ()> + 'static {
        let asked = self.watchdog.as_ref().map(|watchdog| watchdog.send(what));
        async move {
            if let Some(asked) = asked
                && tokio::time::timeout(TOLD, asked).await.is_err()
            {
                error!("the watchdog's driver does not answer: it restarts this machine");
            }
        }
    }
}
