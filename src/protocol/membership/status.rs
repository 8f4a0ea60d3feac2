//! Handling of a status message.
//! Spec: docs/protocol/membership.md, 2 and 3; docs/protocol/wire.md, 16.3.

use std::time::Duration;

use super::super::field;
use super::super::hearing;
use super::super::links::TheirLinks;
use super::super::message::Message;
use super::super::node_table::{MAX_DEAD_TIME, NodeKind};
use super::super::output::{Output, ResourceEvent, Treatment};
use super::super::partition::Verdict;
use super::super::status::NodeStatus;
use super::Membership;
use super::receive::{Heard, printable};
use crate::clock::Now;
use crate::notice::Notice;

impl Membership {
    /// A status that was accepted, of a peer, a ping node or ourselves.
    pub(super) fn take_status(
        &mut self,
        heard: &Heard,
        message: Message,
        now: Now,
        out: &mut Vec<Output>,
    ) {
        let Some(word) = message.text(field::ST) else {
            let node = heard.name.to_string();
            self.limited("no st", now, out, || Notice::StatusWithoutSt { node });
            return;
        };
        let Some(node) = self.nodes.get(heard.index) else {
            return;
        };
        let kind = node.kind;
        // Stricter than legacy, which also requires an older time stamp: a status that was sent
        // again late must not undo what a later one reported.
        if kind != NodeKind::Ping && heard.seq < node.status_seq {
            return;
        }
        if kind == NodeKind::Peer && message.get(field::PROTOCOL).is_none() {
            self.switch_flow_control_off(out);
        }
        let new = match kind {
            NodeKind::Ping => word
                .eq_ignore_ascii_case(NodeStatus::Ping.as_str())
                .then_some(NodeStatus::Ping),
            NodeKind::Own | NodeKind::Peer => NodeStatus::claimed(word),
        };
        if new.is_none() {
            // It is a sign of life all the same; the known status stays.
            let text = format!(
                "node {} claims status {}: ignored",
                heard.name,
                printable(word)
            );
            self.limited("status word", now, out, || Notice::OtherWarn { text });
        }
        self.check_lateness(heard, now, out);
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return;
        };
        let dt = |name| message.hex(name).filter(|dt| *dt > 0);
        if let Some(dt) = dt(field::OUR_DT).or_else(|| dt(field::DT))
            && kind == NodeKind::Peer
        {
            node.dead_after = Duration::from_millis(dt).min(MAX_DEAD_TIME);
        }
        // A peer that does not announce a dead time uses ours.
        node.dead_time_told = true;
        node.status_seq = heard.seq;
        node.last_status = Some(now.instant);
        node.sample_gap(now);
        node.silent_since = now.instant;
        let last = self.last_seq;
        match kind {
            NodeKind::Peer => {
                let deaf = message
                    .text(field::DEAF)
                    .is_some_and(|text| hearing::names(text, &self.settings.local));
                node.ears.status(deaf, last, now.instant);
                let links = message.text(field::DEAF_ON);
                node.ears.status_of_links(links, &self.settings.local);
                node.advertise(message.text(field::SYSTOLE));
                if let Some(links) = message.text(field::LINKS) {
                    out.push(Output::Resource(ResourceEvent::LinksTold {
                        node: heard.name.clone(),
                        links: TheirLinks::from_text(links),
                    }));
                }
                self.compare_haresources(heard, &message, now, out);
                self.compare_monitors(heard, &message, now, out);
                self.look_for_verdict(heard, &message, out);
            }
            NodeKind::Own => out.push(Output::OwnHeartbeat),
            NodeKind::Ping => {}
        }
        let Some(node) = self.nodes.get_mut(heard.index) else {
            return;
        };
        let old = node.status;
        // A dead node that lives but reports no known status is at least `up`.
        let new = new.unwrap_or(if old == NodeStatus::Dead {
            NodeStatus::Up
        } else {
            old
        });
        if std::mem::take(&mut node.withheld) || new == old {
            out.push(Output::Deliver {
                message,
                treatment: Treatment::NoChange,
            });
            return;
        }
        node.status = new;
        if kind != NodeKind::Own {
            out.push(Output::Notice(Notice::StatusUpdate {
                node: heard.name.to_string(),
                status: new.to_string(),
            }));
        }
        out.push(Output::NodeStatusChanged {
            node: heard.name.clone(),
            status: new,
        });
        out.push(Output::Resource(ResourceEvent::NodeStatusChanged {
            node: heard.name.clone(),
            old,
            new,
            message: message.clone(),
        }));
        out.push(Output::Deliver {
            message,
            treatment: Treatment::Keep,
        });
    }

    /// Accepts the statement of a living peer that it declared our present run dead. A statement
    /// about an older run is obsolete as soon as the peer receives the new one.
    fn look_for_verdict(&self, heard: &Heard, message: &Message, out: &mut Vec<Output>) {
        let verdict = message.text(field::GONE).and_then(Verdict::from_text);
        let foreign = message.text(field::RUNS_FOREIGN);
        if let Some(verdict) = verdict.filter(|said| said.generation <= self.generation)
            && let Some(peer) = self.yielding_peer()
            && peer.name == heard.name
        {
            out.push(Output::Resource(ResourceEvent::GivenUp {
                node: heard.name.clone(),
                weight: verdict.weight.with_foreign(foreign),
                mutual: peer.given_up,
                earlier_run: verdict.generation < self.generation,
            }));
        }
    }

    /// Logs a gap between two status messages. Legacy also runs the whole death handling here,
    /// which takes over from a living node. In Systole only the silence timer declares nodes dead.
    fn check_lateness(&mut self, heard: &Heard, now: Now, out: &mut Vec<Output>) {
        let Some((kind, last)) = self
            .nodes
            .get(heard.index)
            .filter(|_| !self.stall.in_grace(now.instant))
            .and_then(|node| Some((node.kind, node.last_status?)))
        else {
            return;
        };
        let timing = &self.settings.timing;
        let limit = match kind {
            // Our own lateness has another log line.
            NodeKind::Own => return,
            NodeKind::Peer => timing.deadtime,
            NodeKind::Ping => timing.deadping,
        };
        let interval = now.instant.since(last);
        let node = || heard.name.to_string();
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        if interval > limit {
            self.limited("very late", now, out, || Notice::VeryLateHeartbeat {
                node: node(),
                interval_ms,
            });
        } else if interval > timing.warntime {
            self.limited("late", now, out, || Notice::LateHeartbeat {
                node: node(),
                interval_ms,
            });
        }
    }
}
