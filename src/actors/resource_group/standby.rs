//! Looks whether this node could run a group that it does not run, and that nothing of it runs here. It starts and
//! stops nothing, and an order ends it like a check. When it comes is decided in [`crate::policy::standby`].

use std::path::PathBuf;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::check::Checked;
use super::log::log;
use super::monitor::{CheckOf, InHand};
use super::worker::Worker;
use super::{GroupRun, ResourceGroupActor};
use crate::agents::child::{self, CallOff};
use crate::agents::script::ScriptCall;
use crate::config::monitors::Check;
use crate::net::address::parse_word;
use crate::policy::monitor::Answer;
use crate::protocol::event::GroupOutcome;

/// The script that mounts a device.
const FILESYSTEM: &str = "Filesystem";

/// A script of which the device is there before it is called.
const REPLICATED: &str = "drbddisk";

/// How long a disk may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The node is settled, and the group does not run here.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct MayLook;

impl Handler<MayLook> for ResourceGroupActor {
    type Result = ();

    fn handle(&mut self, _: MayLook, ctx: &mut Self::Context) {
        let runs = self.ran_before || self.last_outcome() == Some(GroupOutcome::Started);
        let Some(watching) = self.watching.as_mut().filter(|it| it.in_hand.is_none()) else {
            return;
        };
        let now = self.clock.now().instant;
        let setup = watching.setup.clone();
        let idle = self.is_idle() && !runs;
        if !idle || !setup.standby.with(|standby| standby.begin(now)) {
            return;
        }
        let run = self.group_run();
        let (off, call_off) = watch::channel(false);
        let (answer, answered) = oneshot::channel();
        let (ends, ended) = oneshot::channel();
        let checks = setup.checks;
        actix_rt::spawn(async move {
            let wrong = run.wrong_here(&checks, &call_off).await;
            let _ = ends.send(());
            let _ = answer.send(wrong);
        });
        let standby = setup.standby;
        let task = ctx.spawn(answered.into_actor(self).map(move |wrong, act, _| {
            if let Some(watching) = &mut act.watching {
                watching.in_hand = None;
            }
            let now = act.clock.now().instant;
            let group = act.group.key.to_string();
            if let Ok(Some(wrong)) = wrong
                && let Some((severity, text)) =
                    standby.with(|standby| standby.looked(&group, wrong, now))
            {
                log(severity, &text);
            }
        }));
        if let Some(watching) = &mut self.watching {
            watching.in_hand = Some(InHand {
                task,
                off,
                ended,
                for_people: false,
            });
        }
    }
}

impl ResourceGroupActor {
    /// An order has come.
    pub(super) fn forget_standby(&self) {
        if let Some(watching) = &self.watching {
            watching.setup.standby.with(|standby| standby.ended());
        }
    }
}

impl GroupRun {
    /// What keeps this node from running the group, and what of it runs here although it must not: for people. `None`:
    /// an order came.
    async fn wrong_here(&self, checks: &[CheckOf], off: &CallOff) -> Option<Vec<String>> {
        let hangs = || vec!["the disk of its scripts hangs".to_owned()];
        let Some(alone) = self.alone() else {
            return Some(hangs());
        };
        let run = self.clone();
        // As in a check: a disk that hangs takes one helper thread.
        let obstacles = actix_rt::spawn(async move {
            let wrong = run.obstacles().await;
            drop(alone);
            wrong
        });
        let mut wrong = tokio::select! {
            wrong = timeout(PATIENCE, obstacles) => match wrong {
                Ok(Ok(wrong)) => wrong,
                Ok(Err(_)) => return None,
                Err(_) => return Some(hangs()),
            },
            () = child::called_off(off) => return None,
        };
        for CheckOf { word, check, limit } in checks {
            // Others may answer from elsewhere, by way of the service address.
            let own = matches!(check, Check::Status | Check::StatusWords);
            if own {
                match self.check(word, check, *limit, off).await {
                    Checked::Answered(Answer::Good) => wrong.push(format!("{word} runs here")),
                    // What cannot even be asked could not be started.
                    Checked::Answered(Answer::Unknown(why)) => wrong.push(format!("{word}: {why}")),
                    Checked::Answered(Answer::Bad(_) | Answer::Pressed(_)) | Checked::Late(_) => {}
                }
            }
            if *off.borrow() {
                return None;
            }
        }
        Some(wrong)
    }

    async fn obstacles(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        // A device, and an interface, may come with what stands left of it.
        let mut there = true;
        for word in &self.group.resources {
            let address = parse_word(word).ok().flatten();
            match self.context.worker(word).await {
                Worker::Missing { name } => wrong.push(format!("there is no script {name}")),
                Worker::BadAddress(error) => wrong.push(error.to_string()),
                Worker::Native(_) | Worker::Script { .. } => {}
            }
            if let Some(address) = address.as_ref().filter(|_| there) {
                let placed = self.context.addresses.placeable(address).await;
                wrong.extend(placed.err());
                continue;
            }
            let call = ScriptCall::parse(word);
            if let Some(device) = device_of(&call).filter(|_| there) {
                let path = device.clone();
                let looked = tokio::task::spawn_blocking(move || path.exists()).await;
                if looked.is_ok_and(|exists| !exists) {
                    wrong.push(format!("there is no {}", device.display()));
                }
            }
            there &= call.name == REPLICATED;
        }
        wrong
    }
}

/// The device that a script mounts.
fn device_of(call: &ScriptCall) -> Option<PathBuf> {
    let device = call.args.first().filter(|_| call.name == FILESYSTEM)?;
    device.starts_with("/dev/").then(|| PathBuf::from(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_device_that_is_named_by_its_file_is_looked_for() {
        let of = |word: &str| device_of(&ScriptCall::parse(word));
        let disk = of("Filesystem::/dev/sdb1::/srv::ext4");
        assert_eq!(disk, Some(PathBuf::from("/dev/sdb1")));
        assert_eq!(of("Filesystem::-LDATA::/srv::ext4"), None);
        assert_eq!(of("Filesystem::nas:/srv::/srv::nfs"), None);
        assert_eq!(of("LVM::/dev/vg"), None);
        assert_eq!(of("Filesystem"), None);
    }
}
