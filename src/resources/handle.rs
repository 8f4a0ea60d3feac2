//! The only entry to the core, and the order of its work: what is due, the input, and what follows
//! from the new state. Hands messages, status changes and finished jobs to the rules that they
//! concern.

use crate::clock::Monotonic;
use crate::protocol::event::{Action, StopReason};
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::output::ResourceEvent;
use crate::protocol::question::Position;
use crate::resources::input::ResourceInput;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::standby::table::Input;
use crate::resources::parts::work::Purpose;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Handles a cluster message, also one of our own. What we send takes effect where it is sent;
    /// local programs cannot send any of these (`hooks::admit`).
    pub(in crate::resources) fn message(&mut self, from: &NodeName, own: bool, message: Message) {
        let Some(kind) = message.kind() else {
            return;
        };
        if !own && let Some(words) = message.text(field::SYSTOLE) {
            self.other.known(from).understands(Some(words));
        }
        if !own && let Some(peer) = self.other.peer_mut(from) {
            peer.names_groups(&message);
        }
        match (kind, own) {
            (kind::STARTING, true) => self.questions.asked(Position::of(&message)),
            (kind::IP_REQUEST, true) => self.requested(&message),
            (kind::ASK_RESOURCES, true) => self.offered_by_us(&message),
            (kind::RESOURCE | kind::SHUTDONE | kind::STONITH | kind::HB_TAKEOVER, true) => {}
            (kind::STARTING, false) => self.on_starting(from, &message),
            (kind::RESOURCE, false) => self.on_report(from, &message),
            (kind::ASK_RESOURCES, false) => self.on_ask_resources(from, &message),
            (kind::SHUTDONE, false) => self.on_shutdone(from),
            (kind::STONITH, false) => self.on_stonith(from, &message),
            // Carried out here, so its script does not run as well.
            // Spec: docs/protocol/resources.md, 8.
            (kind::HB_TAKEOVER, false) => self.on_hb_takeover(from, &message),
            (kind::IP_REQUEST, false) => {
                self.on_ip_request(from, &message);
                self.act(Action::RunHook(message));
            }
            (kind::IP_REQUEST_RESP, _) => {
                if !own {
                    self.on_ip_request_resp(from, &message);
                }
                if !self.stopping() {
                    self.act(Action::RunHook(message));
                }
            }
            (_, _) => self.act(Action::RunHook(message)),
        }
    }

    /// What follows when a job is done.
    pub(in crate::resources) fn job_finished(&mut self, purpose: Purpose) {
        match purpose {
            Purpose::AcquireLocal if self.nice() => self.local_acquired(),
            Purpose::TakeOver(node) => self.taken_over(&node),
            Purpose::Reclaim => self.reclaimed(),
            Purpose::Give => self.all_stopped(),
            Purpose::Take => self.standby_on(Input::Started),
            Purpose::ReleaseAll => self.all_released(),
            Purpose::HandOver { to, key } => self.handed_over(&to, &key),
            Purpose::Retry | Purpose::LeaveToOwner | Purpose::StopFailed => self.tell_what_runs(),
            Purpose::AcquireLocal | Purpose::Granted | Purpose::Restart | Purpose::Cancelled => {}
        }
    }

    /// Applies everything due by `now`, then `input`.
    pub fn handle(&mut self, input: ResourceInput, now: Monotonic, out: &mut Vec<ResourceOutput>) {
        self.now = self.now.max(now);
        self.overdue();
        match input {
            ResourceInput::Tick => {}
            ResourceInput::CommUp => self.comm_is_up(),
            ResourceInput::Membership(event) => self.membership_event(event),
            ResourceInput::AddressesSeen { links, removed } => {
                self.groups.reach_mut().found(&links, removed, self.now);
                self.unserved_overdue();
            }
            ResourceInput::MonitorsSay { group, wants } => self.monitors_say(group, wants),
            ResourceInput::FailuresCleared(group) => self.failures_cleared(&group),
            ResourceInput::StandbyRequested(set) => self.standby_requested(set, false),
            ResourceInput::ForcedStandbyRequested(set) => self.standby_requested(set, true),
            ResourceInput::GroupDone {
                order,
                group,
                outcome,
            } => self.group_done(order, &group, outcome),
            ResourceInput::CutOff { node, message } => self.cut_off_from(&node, message),
            ResourceInput::Regained => self.regained(),
            ResourceInput::StopRequested(reason) => self.stop_requested(reason),
            ResourceInput::ClientsStopped => self.clients_stopped(),
            ResourceInput::FreezeRequested => self.freeze(),
            ResourceInput::ThawRequested => self.thaw(),
            ResourceInput::Fenced(node) => self.node_fenced(&node),
        }
        self.settle();
        out.append(&mut self.out);
    }

    /// Handles everything that is due.
    pub(in crate::resources) fn overdue(&mut self) {
        self.standby_overdue();
        self.early_done_overdue();
        self.taken_overdue();
        self.unreported_overdue();
        self.scripts_overdue();
        self.handshake_overdue();
        self.legacy_overdue();
        self.failures_overdue();
        self.unserved_overdue();
        self.monitors_overdue();
        self.failback_overdue();
        self.unowned_overdue();
        self.partition_overdue();
        self.stop_overdue();
    }

    /// Does what follows from the new state: pending requests, finished jobs, next orders, audit.
    pub(in crate::resources) fn settle(&mut self) {
        if !self.setup.manages() {
            return;
        }
        loop {
            if let Some(purpose) = self.groups.next_finished() {
                self.job_finished(purpose);
                continue;
            }
            self.try_stop();
            self.try_waiting_requests();
            self.try_failback();
            let Some(order) = self.groups.next_order() else {
                if self.groups.any_finished() || self.let_owners_take() || self.bring_together() {
                    continue;
                }
                break;
            };
            self.act(Action::Group {
                order: order.id,
                group: order.group,
                what: order.what,
            });
        }
        self.settle_beside_legacy();
        self.tell_changed_names();
        self.look_for_unowned();
        self.run_audit();
        self.tell_weight();
    }

    pub(in crate::resources) fn membership_event(&mut self, event: ResourceEvent) {
        match event {
            ResourceEvent::Message { from, own, message } => self.message(&from, own, message),
            ResourceEvent::NodeDead {
                node,
                heard,
                ping,
                yields,
                message,
            } => self.node_dead(&node, heard, ping, yields, message),
            ResourceEvent::NodeStatusChanged {
                node,
                old,
                new,
                message,
            } => self.status_changed(&node, old, new, message),
            ResourceEvent::NodeRestarted { node, was_dead } => {
                self.groups.reach_mut().other_is_back(self.now);
                self.node_restarted(&node, was_dead);
            }
            ResourceEvent::ReturnedAfterPartition { node, yields } => {
                self.groups.reach_mut().other_is_back(self.now);
                self.returned(&node, yields);
            }
            ResourceEvent::GivenUp {
                node,
                weight,
                mutual,
                earlier_run: false,
            } => self.given_up(&node, weight, mutual),
            ResourceEvent::GivenUp { node, weight, .. } => {
                self.predecessor_given_up(&node, weight);
            }
            ResourceEvent::OwnHeartbeatLost { silent } => self.was_silent(silent),
            ResourceEvent::StoodStill { read_until } => self.stood_still(read_until),
            ResourceEvent::WordsLost { node } => self.words_lost(&node),
            ResourceEvent::Speaks { node, words } => {
                if let Some(peer) = self.other.peer_mut(&node) {
                    peer.understands_in_new_run(words.as_deref());
                }
            }
            ResourceEvent::AnswersItself { node, message } => {
                self.on_answer_to_itself(&node, &message);
            }
            ResourceEvent::LinksTold { node, links } => {
                let at = self.now;
                self.other.known(&node).links_told(links, at);
                self.unserved_overdue();
            }
            ResourceEvent::HaresourcesCompared { node, differing } => {
                self.other.known(&node).file_compared(differing);
            }
            ResourceEvent::LinkChanged { message } => self.act(Action::RunHook(message)),
            ResourceEvent::LastWordsReceived => self.stop.hurries(self.now),
            ResourceEvent::Deleted => self.stop_requested(StopReason::Requested),
        }
    }

    /// Earliest instant at which a tick would have something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        [
            self.timers.next(),
            self.standby.requests_until(),
            self.unreported_deadline(),
            self.loose.deadline(self.now),
            self.loose.scripts().deadline(),
            self.unowned_deadline(),
            self.failures_deadline(),
            self.groups.reach().deadline(self.now),
            self.groups.ailing().deadline(self.now),
            self.legacy_deadline(),
            self.stop_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
