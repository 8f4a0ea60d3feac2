//! Releasing everything: at stop, and to start anew under a new generation.
//! Spec: docs/protocol/resources.md, 11; docs/protocol/membership.md, 6.2 and 6.3.

use std::time::Duration;

use super::handshake::report;
use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::output::ResourceOutput;
use super::standby::Standby;
use super::state::{Audit, Phase, ResourceState, Timers};
use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::{Action, GroupOrder, StopReason};
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;

/// Longest wait of a stop for the other side, and beyond initdead for communication; for our own scripts it waits without this bound.
/// Spec: docs/protocol/resources.md, 11, [D].
const OTHER_SETTLES: Duration = Duration::from_secs(30);
/// Pause after `shutdone`, and again after the clients ended: the peers still hear us.
const PAUSE: Duration = Duration::from_secs(1);
/// How often a stop that does not come to its end says so. Legacy ends here, with whatever still
/// runs; the other node starts that a second time. Spec: docs/protocol/membership.md, 2.
const SLOW: Duration = Duration::from_secs(3600);

/// How far a stop has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// None asked.
    No,
    /// Asked, something is in the way.
    Wanted {
        /// When it was asked.
        asked: Monotonic,
        /// The same; from `comm up` on if that came later.
        since: Monotonic,
        /// Whether the delay was logged.
        logged: bool,
    },
    /// Groups are being stopped, for as long as that takes: a node that fell silent meanwhile
    /// would be taken over. What cannot be stopped reboots the machine.
    Releasing,
    /// Everything is released; clients are stopped then.
    Released {
        /// When the clients are stopped.
        at: Monotonic,
    },
    /// The clients are told to end.
    Clients,
    /// The clients are gone.
    Ending {
        /// When the process ends.
        at: Monotonic,
    },
    /// The process was told to end.
    Ended,
}

impl ResourceState {
    /// The node shall stop. Asked twice it changes nothing.
    pub(super) fn stop_requested(&mut self, reason: StopReason) {
        if self.stopping() {
            return;
        }
        if !self.manage {
            self.notice(Notice::ShutdownInProgress { pid: self.pid });
            self.stop = Stop::Clients;
            self.act(Action::StopClients);
            return;
        }
        if !self.comm_up && self.phase == Phase::Init {
            self.notice(Notice::ShutdownDelayedComm {});
        } else {
            self.out.push(ResourceOutput::SendStatus);
        }
        self.lift_freeze("the node is being stopped");
        self.stop_when_cut_off();
        self.wanted = None;
        self.offered = None;
        self.failures.clear();
        self.asked.clear();
        // What is being started comes to its end; nothing else begins.
        self.jobs.refuse_starts();
        self.stop = Stop::Wanted {
            asked: self.now,
            since: self.now,
            logged: false,
        };
        self.timers.stop_slow = Some(self.after(SLOW));
        if reason == StopReason::Release {
            self.stop_without_waiting();
        }
    }

    /// Begins a wanted stop as soon as nothing is in the way.
    pub(super) fn try_stop(&mut self) {
        let Stop::Wanted {
            asked,
            since,
            logged,
        } = self.stop
        else {
            return;
        };
        let unheard = self.phase == Phase::Init && !self.comm_up;
        if unheard && self.now < asked + self.comm_is_late() {
            // Before communication is up nobody would hear it.
            self.stop = Stop::Wanted {
                asked,
                since: self.now,
                logged,
            };
            return;
        }
        // It would be up by now if any node there is heard us.
        let patient = !unheard && self.now < since + OTHER_SETTLES;
        // After a restart in place the set is held before the start has come to its end.
        let nobody_to_wait_for = self.mine.is_none() || self.all_peers_gone();
        let settled = self.is_stable() || (self.phase == Phase::Starting && nobody_to_wait_for);
        let releasing = self.phase == Phase::Shutdown;
        if !releasing && (self.jobs.running() || (patient && !settled)) {
            if !logged {
                self.notice(Notice::ShutdownDelayedResources {});
                self.stop = Stop::Wanted {
                    asked,
                    since,
                    logged: true,
                };
            }
            return;
        }
        self.begin_stop();
    }

    /// How long after its request a stop waits for communication. A peer that we hear and that
    /// does not hear us would keep it waiting for ever.
    fn comm_is_late(&self) -> Duration {
        self.initdead.saturating_add(OTHER_SETTLES)
    }

    /// A wanted stop waits for nothing any more: others may run what runs here.
    pub(super) fn stop_without_waiting(&mut self) {
        if matches!(self.stop, Stop::Wanted { .. }) {
            self.begin_stop();
        }
    }

    fn begin_stop(&mut self) {
        self.stop = Stop::Releasing;
        self.notice(Notice::ShutdownInProgress { pid: self.pid });
        self.decide(
            format!("releases {} and stops", self.mine),
            "a stop was requested",
        );
        let slow = self.timers.stop_slow;
        if self.phase != Phase::Shutdown {
            self.release_all("shutdown");
        }
        self.timers.stop_slow = slow;
    }

    /// Gives everything up, running work included. `info`: what the others are told of it.
    pub(super) fn release_all(&mut self, info: &str) {
        self.notice(Notice::GivingUpAll {});
        // Whatever runs, held or not: a release may be under way, or a hand-over to us.
        self.releasing = self.mine.with(self.releasing).with(self.running_halves());
        self.mine = HoldingSet::NONE;
        self.let_go = false;
        self.settles_when_released = false;
        self.phase = Phase::Shutdown;
        self.standby = Standby::Not;
        self.went_on = false;
        self.offer_answered = None;
        self.sb_deadline = None;
        self.wanted = None;
        self.offered = None;
        self.failback_settled();
        self.failback_armed = false;
        self.failures.clear();
        self.asked.clear();
        self.timers = Timers::default();
        self.jobs.cancel(|_| true);
        if self.nice() && self.comm_up {
            self.send(report(HoldingSet::NONE, false, Some(info)));
        }
        let keys = self.keys_of(HoldingSet::ALL);
        self.jobs.add(Purpose::ReleaseAll, keys, GroupOrder::Stop);
    }

    /// Lets go of everything; afterwards a new run begins.
    pub(super) fn begin_anew(&mut self) {
        self.forget_verdicts();
        self.leave_in_its_hands();
        self.release_all("shutdown");
    }

    /// Every group is stopped.
    pub(super) fn all_released(&mut self) {
        self.notice(Notice::AllRelinquished {});
        self.releasing = HoldingSet::NONE;
        if self.stopping() {
            self.timers.stop_slow = None;
            self.send(Message::new(kind::SHUTDONE).with(field::ST, "dead"));
            self.stop = Stop::Released {
                at: self.after(PAUSE),
            };
            return;
        }
        if self.released_when_cut_off() {
            return;
        }
        self.forget();
        if self.comm_up {
            self.begin_handshake();
        }
    }

    /// Back to the first moment of a run; only what membership told stays.
    pub(super) fn forget(&mut self) {
        self.phase = Phase::Init;
        self.mine = HoldingSet::NONE;
        self.theirs = HoldingSet::NONE;
        self.doubt = HoldingSet::NONE;
        self.other_stable = false;
        self.local_done = false;
        self.foreign_done = false;
        self.told_of_release = false;
        self.waits_for_claimant = false;
        self.acquisition_logged = false;
        self.sb_set = HoldingSet::ALL;
        self.audit = Audit::default();
        self.given_by_key.clear();
        self.forget_questions();
        for peer in self.peers.values_mut() {
            peer.forget();
        }
    }

    /// The clients have ended.
    pub(super) fn clients_stopped(&mut self) {
        if self.stop == Stop::Clients {
            self.stop = Stop::Ending {
                at: self.after(PAUSE),
            };
        }
    }

    pub(super) fn stop_deadline(&self) -> Option<Monotonic> {
        let at = match self.stop {
            Stop::Wanted { asked, .. } if self.phase == Phase::Init && !self.comm_up => {
                Some(asked + self.comm_is_late()).filter(|until| self.now < *until)
            }
            Stop::Wanted { since, .. } => {
                Some(since + OTHER_SETTLES).filter(|until| self.now < *until)
            }
            Stop::Released { at } => Some(at),
            Stop::Ending { at } => Some(at).filter(|_| !self.jobs.running()),
            Stop::No | Stop::Releasing | Stop::Clients | Stop::Ended => None,
        };
        [at, self.timers.stop_slow].into_iter().flatten().min()
    }

    pub(super) fn stop_overdue(&mut self) {
        if Self::take_due(&mut self.timers.stop_slow, self.now) {
            self.stop_is_slow();
        }
        match self.stop {
            Stop::Released { at } if at <= self.now => {
                self.stop = Stop::Clients;
                self.act(Action::StopClients);
            }
            // What was stopped once more for another node ends first: the next daemon may start it.
            Stop::Ending { at } if at <= self.now && !self.jobs.running() => {
                self.notice(Notice::ShutdownComplete {
                    node: self.local.to_string(),
                });
                self.stop = Stop::Ended;
                self.act(Action::Exit);
            }
            Stop::No
            | Stop::Wanted { .. }
            | Stop::Releasing
            | Stop::Released { .. }
            | Stop::Clients
            | Stop::Ending { .. }
            | Stop::Ended => {}
        }
    }

    fn stop_is_slow(&mut self) {
        let keys = self.groups.iter().map(|group| group.key.clone());
        let left: Vec<_> = keys.filter(|key| self.jobs.runs(key)).collect();
        self.notice(Notice::OtherCrit {
            text: format!(
                "the stop does not come to its end, groups that may run: {}. This node goes on \
                 beating, so that nobody starts them a second time",
                Self::named(&left)
            ),
        });
        self.timers.stop_slow = Some(self.after(SLOW));
    }
}
