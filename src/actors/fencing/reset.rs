//! Carries out one order to reset a node.

use std::sync::Arc;

use actix::Addr;

use super::{FencingActor, Finished, Named, Took};
use crate::agents::child::CallOff;
use crate::agents::fence::{Device, FenceContext, FenceFailure, Hosts};
use crate::notice::{self, Notice, Severity, Speaker};
use crate::policy::fencing::{FenceAnswer, FenceOrder, FenceTask};
use crate::protocol::name::NodeName;

/// An order, and everything that it needs.
pub(super) struct Reset {
    pub(super) order: FenceOrder,
    pub(super) node: NodeName,
    pub(super) task: FenceTask,
    pub(super) context: Arc<FenceContext>,
    /// In the order in which they are tried.
    pub(super) devices: Vec<Device>,
    /// What each of them has named; `None`: it is asked now.
    pub(super) hosts: Vec<Option<Hosts>>,
    pub(super) call_off: CallOff,
    pub(super) actor: Addr<FencingActor>,
}

/// Answers the order, however the task ends.
struct End {
    actor: Addr<FencingActor>,
    order: FenceOrder,
    answer: Option<FenceAnswer>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.actor.do_send(Finished {
            order: self.order,
            answer: self.answer.take(),
        });
    }
}

impl Reset {
    pub(super) async fn run(self) {
        let mut end = End {
            actor: self.actor.clone(),
            order: self.order,
            answer: Some(FenceAnswer::Failed("the task ended early".to_owned())),
        };
        end.answer = self.answer().await;
    }

    /// `None`: it was called off.
    async fn answer(&self) -> Option<FenceAnswer> {
        if self.node == self.context.local {
            let words = "a node does not reset itself".to_owned();
            return Some(FenceAnswer::Failed(words));
        }
        let earlier = Device::after_earlier(&self.context, &self.node, &self.call_off).await;
        if *self.call_off.borrow() {
            return None;
        }
        if self.task == FenceTask::LearnEarlier {
            return Some(match earlier {
                Some(true) => FenceAnswer::Done,
                Some(false) => FenceAnswer::Failed("the earlier reset has failed".to_owned()),
                None => FenceAnswer::Failed("no earlier reset is known".to_owned()),
            });
        }
        let mut words = Vec::new();
        for (number, device) in self.devices.iter().enumerate() {
            if *self.call_off.borrow() {
                return None;
            }
            match self.try_one(number, device).await {
                None => {}
                Some(Ok(())) => return Some(FenceAnswer::Done),
                Some(Err(FenceFailure::CalledOff)) => return None,
                Some(Err(failure)) => {
                    self.complain(device, &failure);
                    words.push(format!("{}: {failure}", device.kind()));
                }
            }
        }
        if words.is_empty() {
            words.push("no device can reset it".to_owned());
        }
        Some(FenceAnswer::Failed(words.join("; ")))
    }

    /// `None`: it cannot reset this node.
    async fn try_one(&self, number: usize, device: &Device) -> Option<Result<(), FenceFailure>> {
        let known = self.hosts.get(number).cloned().flatten();
        let known = known.filter(|hosts| !hosts.assumed);
        let hosts = match known {
            Some(hosts) => hosts,
            None => match device.hosts(&self.call_off).await.answer {
                Ok(hosts) => {
                    self.actor.do_send(Named {
                        device: number,
                        hosts: hosts.clone(),
                    });
                    hosts
                }
                Err(failure) => return Some(Err(failure)),
            },
        };
        let host = hosts.plug_of(&self.node)?;
        notice::log(&Notice::Resetting {
            node: self.node.to_string(),
            device: device.kind().to_owned(),
        });
        let timed = device.reset(host, &self.call_off).await;
        if timed.answer.is_ok() {
            self.actor.do_send(Took(timed.took));
        }
        Some(timed.answer)
    }

    fn complain(&self, device: &Device, failure: &FenceFailure) {
        let (kind, place, node) = (device.kind(), device.place(), &self.node);
        if matches!(failure, FenceFailure::BadHost { .. }) {
            notice::log(&Notice::DeviceCannotReset {
                device: kind.to_owned(),
                node: node.to_string(),
            });
        }
        let text = format!("fencing device {kind} ({place}) did not reset {node}: {failure}");
        notice::say(Speaker::Daemon, Severity::Error, &text);
    }
}
