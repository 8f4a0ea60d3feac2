//! Questions whether the devices work, and which hosts they can reset.

use std::time::Duration;

use actix::Addr;

use super::{CheckEnded, FencingActor, Learned};
use crate::agents::child::CallOff;
use crate::agents::fence::{Device, FenceFailure, Hosts};
use crate::notice::{self, Notice, Severity, Speaker};
use crate::protocol::name::NodeName;

/// What became of the questions to one device.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// The hosts that it named.
    pub(super) hosts: Option<Hosts>,
    /// What is wrong with it.
    pub(super) trouble: Option<String>,
    /// The longer of the two answers.
    pub(super) took: Duration,
}

/// Tells the actor, however the check ends.
struct End {
    actor: Addr<FencingActor>,
    whole: bool,
}

impl Drop for End {
    fn drop(&mut self) {
        self.actor.do_send(CheckEnded { whole: self.whole });
    }
}

/// Asks one device after the other: each with its number, and with what is known to be wrong with it.
pub(super) async fn check_all(
    devices: Vec<(usize, Device, Option<String>)>,
    call_off: CallOff,
    actor: Addr<FencingActor>,
) {
    let mut end = End {
        actor,
        whole: false,
    };
    for (number, device, known) in &devices {
        if known.is_none() {
            notice::log(&Notice::CheckingDevice {
                device: device.kind().to_owned(),
            });
        }
        let Some(what) = check(device, &call_off).await else {
            return;
        };
        if known.is_none() || *known != what.trouble {
            complain(device, &what);
        }
        end.actor.do_send(Learned {
            device: *number,
            what,
        });
    }
    end.whole = true;
}

/// For a person: of each device what it answered now (`None`: it was not asked, because a node is
/// to be reset), and what a reset of `node` would run.
pub(super) async fn test_all(
    devices: Vec<Device>,
    node: NodeName,
    call_off: CallOff,
    actor: Addr<FencingActor>,
) -> Vec<(Option<Checked>, Vec<String>)> {
    let mut tested = Vec::new();
    for (number, device) in devices.iter().enumerate() {
        let Some(mut what) = check(device, &call_off).await else {
            tested.push((None, Vec::new()));
            continue;
        };
        let mut would_run = Vec::new();
        if let Some(host) = what.hosts.as_ref().and_then(|hosts| hosts.plug_of(&node)) {
            match device.would_run(host).await {
                Ok(lines) => would_run = lines,
                Err(failure) => what.trouble = Some(failure.to_string()),
            }
        }
        actor.do_send(Learned {
            device: number,
            what: what.clone(),
        });
        tested.push((Some(what), would_run));
    }
    tested
}

/// `None`: it was called off.
async fn check(device: &Device, call_off: &CallOff) -> Option<Checked> {
    let status = device.status(call_off).await;
    if status.answer == Err(FenceFailure::CalledOff) {
        return None;
    }
    let hosts = device.hosts(call_off).await;
    if hosts.answer == Err(FenceFailure::CalledOff) {
        return None;
    }
    let took = status.took.max(hosts.took);
    let (hosts, second) = match hosts.answer {
        Ok(hosts) => (Some(hosts), None),
        Err(failure) => (None, Some(failure)),
    };
    let failure = status.answer.err().or(second);
    Some(Checked {
        hosts,
        trouble: failure.map(|failure| failure.to_string()),
        took,
    })
}

fn complain(device: &Device, what: &Checked) {
    let (kind, place) = (device.kind(), device.place());
    if let Some(trouble) = &what.trouble {
        notice::log(&Notice::DeviceNotOperational {
            device: kind.to_owned(),
        });
        let text = format!("fencing device {kind} ({place}): {trouble}");
        notice::say(Speaker::Daemon, Severity::Error, &text);
    } else if what.hosts.as_ref().is_some_and(|it| it.nodes.is_empty()) {
        let text = format!("fencing device {kind} ({place}) can reset no node of this cluster");
        notice::say(Speaker::Daemon, Severity::Warn, &text);
    }
}
