//! One call into the node: membership and resources exchange events until neither has more to do.

use std::collections::VecDeque;
use std::time::Duration;

use super::Node;
use crate::clock::Now;
use crate::notice::Notice;
use crate::policy::fencing::{self, Obstacle};
use crate::policy::isolation::{self, Isolation};
use crate::protocol::decisions::Decision;
use crate::protocol::event::{Action, Event, GroupOrder, StopReason};
use crate::protocol::field::{self, kind};
use crate::protocol::links::links_text;
use crate::protocol::message::Message;
use crate::protocol::name::{Generation, MediumName, NodeName};
use crate::protocol::output::{Output, ResourceEvent};
use crate::protocol::status::NodeStatus;
use crate::resources::hooks;
use crate::resources::input::ResourceInput;
use crate::resources::output::ResourceOutput;

/// Outputs that one call may work off. A call makes a handful. A loop between the two halves would
/// be a fault in Systole; it ends here instead of delaying the heartbeat.
const MAX_OUTPUTS_PER_TURN: usize = 10_000;

/// Empty between two calls, kept for their capacity.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    queue: VecDeque<Output>,
    fresh: Vec<Output>,
}

/// One call in progress.
pub(super) struct Turn<'a> {
    node: &'a mut Node,
    now: Now,
    queue: VecDeque<Output>,
    fresh: Vec<Output>,
    actions: &'a mut Vec<Action>,
}

impl Node {
    /// Runs `begin`, then everything that follows from it.
    pub(super) fn turn(
        &mut self,
        now: Now,
        actions: &mut Vec<Action>,
        begin: impl FnOnce(&mut Turn<'_>),
    ) {
        let Scratch { queue, fresh } = std::mem::take(&mut self.scratch);
        let mut turn = Turn {
            node: self,
            now,
            queue,
            fresh,
            actions,
        };
        begin(&mut turn);
        turn.work_off();
        turn.watch_isolation();
        turn.work_off();
        turn.watch_fencing();
        turn.work_off();
        let Turn { queue, fresh, .. } = turn;
        self.scratch = Scratch { queue, fresh };
    }
}

impl Turn<'_> {
    /// Sends the first message of a run.
    pub(super) fn begin(&mut self) {
        self.node.membership.start(self.now, &mut self.fresh);
    }

    /// Announces a longer dead time at once.
    pub(super) fn announce_silence(&mut self, extra: Duration) {
        self.node
            .membership
            .raise_dead_time(extra, self.now, &mut self.fresh);
    }

    /// Announces the usual dead time again.
    pub(super) fn call_off_silence(&mut self) {
        self.node
            .membership
            .lower_dead_time(self.now, &mut self.fresh);
    }

    /// Applies what is due, then the messages, each with everything that follows from it.
    pub(super) fn hear(
        &mut self,
        medium: &MediumName,
        messages: impl IntoIterator<Item = Message>,
    ) {
        self.node.membership.begin_batch(self.now, &mut self.fresh);
        self.work_off();
        self.resources(ResourceInput::Tick);
        self.work_off();
        for message in messages {
            let membership = &mut self.node.membership;
            membership.received_in_batch(medium, message, self.now, &mut self.fresh);
            self.work_off();
        }
        self.node.membership.end_batch(self.now, &mut self.fresh);
    }

    /// Applies what is due, then the event.
    pub(super) fn event(&mut self, event: Event) {
        self.node.membership.tick(self.now, &mut self.fresh);
        self.work_off();
        self.resources(ResourceInput::Tick);
        self.work_off();
        let now = self.now;
        match event {
            Event::Tick => {}
            Event::KeysRead(file) => self.node.membership.keys_read(file, now, &mut self.fresh),
            Event::MediaOpened => self.node.membership.media_opened(now, &mut self.fresh),
            Event::Received { medium, message } => self.hear(&medium, [message]),
            Event::AddressesSeen { links, removed } => {
                self.node.membership.set_links(links_text(&links));
                self.resources(ResourceInput::AddressesSeen { links, removed });
            }
            Event::MonitorsSay { group, wants } => {
                self.resources(ResourceInput::MonitorsSay { group, wants });
            }
            Event::FailuresCleared(group) => {
                self.resources(ResourceInput::FailuresCleared(group));
            }
            Event::Injected { origin, message } => {
                if !self.node.manage_resources {
                    self.node
                        .membership
                        .inject(origin, message, now, &mut self.fresh);
                    return;
                }
                match hooks::admit(origin, message) {
                    hooks::Injected::Send(message) => {
                        self.node
                            .membership
                            .inject(origin, message, now, &mut self.fresh);
                    }
                    hooks::Injected::Standby { set, forced: true } => {
                        self.resources(ResourceInput::ForcedStandbyRequested(set));
                    }
                    hooks::Injected::Standby { set, forced: false } => {
                        self.resources(ResourceInput::StandbyRequested(set));
                    }
                    hooks::Injected::NotSent(why) => {
                        self.actions
                            .push(Action::Notice(Notice::OtherDebug { text: why }));
                    }
                }
            }
            Event::GroupDone {
                order,
                group,
                outcome,
            } => self.resources(ResourceInput::GroupDone {
                order,
                group,
                outcome,
            }),
            Event::StopRequested { reason } => {
                self.resources(ResourceInput::StopRequested(reason));
            }
            Event::ClientsStopped => self.resources(ResourceInput::ClientsStopped),
            Event::FreezeRequested => self.resources(ResourceInput::FreezeRequested),
            Event::ThawRequested => self.resources(ResourceInput::ThawRequested),
            Event::FenceAnswered { order, answer } => {
                self.fencing(fencing::Input::Answered { order, answer });
            }
            Event::FenceConfirmed { node, by } => {
                self.fencing(fencing::Input::Confirmed { node, by });
            }
            Event::FenceAnswerTook(time) => self.fencing(fencing::Input::AnswerTook(time)),
        }
    }

    /// Works outputs off first-in first-out until nothing is left.
    fn work_off(&mut self) {
        let mut left = MAX_OUTPUTS_PER_TURN;
        loop {
            self.queue.extend(self.fresh.drain(..));
            let Some(output) = self.queue.pop_front() else {
                return;
            };
            let Some(rest) = left.checked_sub(1) else {
                let text = format!(
                    "a turn did not come to its end: {} dropped",
                    self.queue.len()
                );
                self.actions
                    .push(Action::Notice(Notice::OtherError { text }));
                self.queue.clear();
                return;
            };
            left = rest;
            self.output(output);
        }
    }

    fn output(&mut self, output: Output) {
        let action = match output {
            Output::Transmit(message) => Action::Transmit(message),
            Output::SignWith(number) => Action::SignWith(number),
            Output::Notice(notice) => Action::Notice(notice),
            Output::NodeStatusChanged { node, status } => {
                let left = self.node.resources.has_left(&node);
                let at = self.now.unix_s;
                self.node.record.status(&node, status, left, at);
                Action::NodeStatusChanged { node, status }
            }
            Output::Deliver { message, treatment } => Action::Deliver { message, treatment },
            Output::OwnHeartbeat => Action::OwnHeartbeat,
            Output::Decided { what, cause } => return self.decided(what, cause),
            Output::CommUp { first } => {
                if first {
                    self.actions.push(Action::CommUp);
                }
                return self.resources(ResourceInput::CommUp);
            }
            Output::Resource(event) => return self.resource_event(event),
        };
        self.actions.push(action);
    }

    /// Checks which nodes are silent, if `isolation_release` is on.
    fn watch_isolation(&mut self) {
        let Node {
            membership,
            resources,
            isolation: Some(isolation),
            ..
        } = &mut *self.node
        else {
            return;
        };
        let early = isolation::margin(membership.keepalive());
        let step = isolation.observe(
            membership.silences(early),
            resources.may_be_cut_off(),
            |node| resources.has_left(node),
            self.now.instant,
        );
        if let Some(step) = step {
            self.isolation_step(step);
        }
    }

    /// Calls off what has lost its reason, and gives the orders that are due.
    fn watch_fencing(&mut self) {
        let Node {
            membership,
            resources,
            isolation,
            fencing: Some(fencing),
            ..
        } = &*self.node
        else {
            return;
        };
        let back = |node: &&NodeName| {
            let known = membership.node(node);
            known.is_some_and(|known| known.status != NodeStatus::Dead)
        };
        // One that was not declared dead anew is back with its first message of any kind.
        let heard = |node: &&NodeName| {
            let mut known = membership.nodes();
            known.any(|it| it.name == *node && it.heard)
        };
        let left = fencing.left().filter(heard);
        let heard: Vec<NodeName> = fencing.nodes().filter(back).chain(left).cloned().collect();
        let cut_off = isolation.as_ref().is_some_and(Isolation::is_withdrawn);
        let obstacle = if cut_off || resources.is_cut_off() {
            Some(Obstacle::CutOff)
        } else if resources.frozen() {
            Some(Obstacle::Frozen)
        } else if resources.gives_everything_up() {
            Some(Obstacle::Releases)
        } else {
            None
        };
        for node in heard {
            let run = self.run_of(&node);
            self.fencing(fencing::Input::Heard { node, run });
        }
        self.fencing(fencing::Input::Tick(obstacle));
    }

    /// The last run of a node that was received.
    fn run_of(&self, node: &NodeName) -> Generation {
        let known = self.node.membership.node(node);
        known.map_or(Generation(0), |known| known.generation)
    }

    fn fencing(&mut self, input: fencing::Input) {
        let mut outputs = Vec::new();
        if let Some(fencing) = &mut self.node.fencing {
            fencing.handle(input, self.now.instant, &mut outputs);
        }
        for output in outputs {
            match output {
                fencing::Output::Fence { order, node, task } => {
                    self.actions.push(Action::Fence { order, node, task });
                }
                fencing::Output::CallOff(order) => {
                    self.actions.push(Action::CallOffFence { order });
                }
                fencing::Output::Report { node, result } => {
                    let message = Message::new(kind::STONITH)
                        .with(field::NODE, node.as_str())
                        .with(field::RESULT, result);
                    self.node
                        .membership
                        .send(message, self.now, &mut self.fresh);
                }
                fencing::Output::Cleared(node) => self.resources(ResourceInput::Fenced(node)),
                fencing::Output::Notice(notice) => self.actions.push(Action::Notice(notice)),
                fencing::Output::Decided { what, cause } => self.decided(what, cause),
            }
        }
    }

    fn isolation_step(&mut self, step: isolation::Step) {
        let groups = || self.node.resources.moving_groups().cloned().collect();
        match step {
            isolation::Step::Withdraw => {
                self.actions.push(Action::WithdrawAddresses(groups()));
            }
            // Everything may have been released in the same call.
            isolation::Step::Restore if self.node.resources.gives_everything_up() => {}
            isolation::Step::Restore => self.actions.push(Action::RestoreAddresses(groups())),
            isolation::Step::Regain => self.resources(ResourceInput::Regained),
        }
    }

    /// For a node that is silent for its dead time: decides whether it is dead or this node is cut
    /// off.
    fn silent(&mut self, event: ResourceEvent) -> ResourceInput {
        let ResourceEvent::NodeDead {
            ref node,
            ping: false,
            ref message,
            ..
        } = event
        else {
            return ResourceInput::Membership(event);
        };
        let may_act = self.node.resources.may_be_cut_off();
        let left = self.node.resources.has_left(node);
        let now = self.now.instant;
        let verdict = match &mut self.node.isolation {
            Some(isolation) => isolation.judge(node, may_act, left, now),
            None => Err(None),
        };
        let (Ok(first) | Err(first)) = verdict;
        if let Some(step) = first {
            self.isolation_step(step);
        }
        match verdict {
            Ok(_) => ResourceInput::CutOff {
                node: node.clone(),
                message: message.clone(),
            },
            Err(_) => ResourceInput::Membership(event),
        }
    }

    fn decided(&mut self, what: String, cause: String) {
        let text = format!("decision: {what} ({cause})");
        self.actions
            .push(Action::Notice(Notice::OtherDebug { text }));
        self.node.decisions.note(Decision {
            unix_s: self.now.unix_s,
            what,
            cause,
        });
    }

    fn resource_event(&mut self, event: ResourceEvent) {
        if self.node.manage_resources || event == ResourceEvent::LastWordsReceived {
            let input = self.silent(event);
            self.resources(input);
        } else if event == ResourceEvent::Deleted {
            self.resources(ResourceInput::StopRequested(StopReason::Requested));
        }
    }

    /// The next generation, reported to the actor that keeps the file.
    fn next_generation(&mut self) -> Generation {
        let generation = Generation(self.node.membership.generation().0.saturating_add(1));
        self.actions.push(Action::GenerationTaken(generation));
        generation
    }

    /// A group that is started while this node may be cut off comes up without its addresses.
    fn act(&mut self, action: Action) {
        let isolation = self.node.isolation.as_ref();
        let bare = match &action {
            Action::Group {
                group,
                what: GroupOrder::Start,
                ..
            } if isolation.is_some_and(Isolation::is_withdrawn) => Some(group.clone()),
            _ => None,
        };
        self.actions.push(action);
        let bare = bare.map(|group| Action::WithdrawAddresses(vec![group]));
        self.actions.extend(bare);
    }

    fn resources(&mut self, input: ResourceInput) {
        let mut outputs = Vec::new();
        self.node
            .resources
            .handle(input, self.now.instant, &mut outputs);
        let mut decided = false;
        for output in outputs {
            match &output {
                ResourceOutput::Decided { .. } => decided = true,
                // The orders of one decision follow it: at once, or one after the other.
                ResourceOutput::Act(Action::Group { .. }) if decided => {
                    self.node.record.last_move = self.node.decisions.last().cloned();
                }
                _ => {}
            }
            match output {
                ResourceOutput::Send(message) => {
                    self.node
                        .membership
                        .send(message, self.now, &mut self.fresh);
                }
                ResourceOutput::Act(action) => self.act(action),
                ResourceOutput::Decided { what, cause } => self.decided(what, cause),
                ResourceOutput::SendStatus => {
                    self.node.membership.send_status(self.now, &mut self.fresh);
                }
                ResourceOutput::BidFarewell => {
                    self.node.membership.bid_farewell(self.now, &mut self.fresh);
                }
                ResourceOutput::FenceDue { node, standing } => {
                    let run = self.run_of(&node);
                    self.fencing(fencing::Input::Dead {
                        node,
                        run,
                        standing,
                    });
                }
                ResourceOutput::FenceDropped(node) => {
                    self.fencing(fencing::Input::Dropped(node));
                }
                ResourceOutput::Weight(weight) => self.node.membership.set_weight(weight),
                ResourceOutput::ContinueUnderNewGeneration => {
                    let generation = self.next_generation();
                    self.node
                        .membership
                        .continue_under(generation, self.now, &mut self.fresh);
                }
                ResourceOutput::BeginNewGeneration => {
                    let generation = self.next_generation();
                    self.node.membership.begin_new_generation(
                        generation,
                        self.now,
                        &mut self.fresh,
                    );
                }
            }
        }
    }
}
