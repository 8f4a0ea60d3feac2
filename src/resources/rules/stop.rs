//! Releases of everything: at a stop, and to start anew under a new generation.
//! Spec: docs/protocol/resources.md, 11; docs/protocol/membership.md, 6.2 and 6.3.

use crate::clock::Monotonic;
use crate::notice::Notice;
use crate::protocol::event::{Action, StopReason};
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use crate::resources::gate::Obstacle;
use crate::resources::holding::HoldingSet;
use crate::resources::obstacles::Scope;
use crate::resources::output::ResourceOutput;
use crate::resources::parts::run::Phase;
use crate::resources::parts::stop::{OTHER_SETTLES, PAUSE, SLOW, Stop};
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Ends the freeze and goes on with what has waited.
    pub(in crate::resources) fn thaw(&mut self) {
        if !self.freeze.is_on() {
            return;
        }
        let (gone, local) = self.freeze.ends();
        self.warn("thawed: resources are managed again");
        self.decide("thaws", "systole thaw was called");
        for (node, message) in gone {
            let still = self
                .other
                .peer(&node)
                .is_some_and(crate::resources::parts::peer::Peer::is_gone);
            if still {
                self.take_over_once(&node, message);
            }
        }
        if local && !self.duty.holds(HoldingSet::LOCAL) {
            self.acquire_local(false);
        }
    }

    /// A stop is requested. A second request changes nothing.
    pub(in crate::resources) fn stop_requested(&mut self, reason: StopReason) {
        if self.stopping() {
            return;
        }
        if !self.setup.manages() {
            self.notice(Notice::ShutdownInProgress {
                pid: self.setup.pid(),
            });
            self.stop.goes_on(Stop::Clients);
            self.act(Action::StopClients);
            return;
        }
        if !self.run.comm_up() && self.run.phase() == Phase::Init {
            self.notice(Notice::ShutdownDelayedComm {});
        } else {
            self.out.push(ResourceOutput::SendStatus);
        }
        self.lift_freeze("the node is being stopped");
        self.fence_nobody();
        self.stop_when_cut_off();
        self.standby.forget_requests();
        self.groups.forget_all_trouble();
        let asked = self.groups.all_asked();
        self.groups.forget_all_asked();
        // A start in hand comes to its end; no other begins.
        self.groups.refuse_starts();
        self.stop.goes_on(Stop::Wanted {
            asked: self.now,
            since: self.now,
            logged: false,
        });
        self.timers.set(Timer::StopSlow, self.after(SLOW));
        if reason == StopReason::Release {
            self.stop_without_waiting();
        }
        self.others_may_run(&asked);
    }

    /// Begins a requested stop as soon as nothing is in the way.
    pub(in crate::resources) fn try_stop(&mut self) {
        let Stop::Wanted {
            asked,
            since,
            logged,
        } = self.stop.state()
        else {
            return;
        };
        let wanted = self
            .stop_wanted()
            .filter(|_| self.run.phase() != Phase::Shutdown);
        let gate = wanted.map_or(Ok(()), |act| self.gate(act, &Scope::default()));
        match gate {
            Ok(()) => self.begin_stop(),
            Err(refusal) if refusal.obstacle == Obstacle::NotHeardYet => {
                self.stop.goes_on(Stop::Wanted {
                    asked,
                    since: self.now,
                    logged,
                });
            }
            Err(_) if !logged => {
                self.notice(Notice::ShutdownDelayedResources {});
                self.stop.goes_on(Stop::Wanted {
                    asked,
                    since,
                    logged: true,
                });
            }
            Err(_) => {}
        }
    }

    /// Every group is stopped.
    pub(in crate::resources) fn all_released(&mut self) {
        self.notice(Notice::AllRelinquished {});
        self.duty.released();
        if self.stopping() {
            self.timers.clear(Timer::StopSlow);
            self.send(Message::new(kind::SHUTDONE).with(field::ST, "dead"));
            self.out.push(ResourceOutput::BidFarewell);
            self.stop.goes_on(Stop::Released {
                at: self.after(PAUSE),
            });
            return;
        }
        if self.released_when_cut_off() {
            return;
        }
        if !self.nice() {
            self.run.owes_offers();
        }
        self.forget();
        if self.run.comm_up() {
            self.begin_handshake();
        }
    }

    pub(in crate::resources) fn stop_overdue(&mut self) {
        if self.timers.take_due(Timer::StopSlow, self.now) {
            self.stop_is_slow();
        }
        match self.stop.state() {
            Stop::Released { at } if at <= self.now => {
                self.stop.goes_on(Stop::Clients);
                self.act(Action::StopClients);
            }
            // A group that was stopped once more for another node must be stopped first: the next
            // daemon may start it.
            Stop::Ending { at } if at <= self.now && !self.groups.at_work() => {
                self.notice(Notice::ShutdownComplete {
                    node: self.setup.local().to_string(),
                });
                self.stop.goes_on(Stop::Ended);
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

    pub(in crate::resources) fn stop_is_slow(&mut self) {
        let left: Vec<_> = self.groups.that_may_run().cloned().collect();
        self.notice(Notice::OtherCrit {
            text: format!(
                "the stop does not come to its end, groups that may run: {}. This node goes on \
                 sending heartbeats, so that no other node starts them a second time",
                Self::named(&left)
            ),
        });
        self.timers.set(Timer::StopSlow, self.after(SLOW));
    }

    /// The clients have ended.
    pub(in crate::resources) fn clients_stopped(&mut self) {
        self.stop.clients_stopped(self.after(PAUSE));
        self.out.push(ResourceOutput::BidFarewell);
    }

    pub(in crate::resources) fn stop_deadline(&self) -> Option<Monotonic> {
        match self.stop.state() {
            Stop::Wanted { asked, .. }
                if self.run.phase() == Phase::Init && !self.run.comm_up() =>
            {
                Some(asked + self.comm_is_late()).filter(|until| self.now < *until)
            }
            Stop::Wanted { since, .. } => {
                Some(since + OTHER_SETTLES).filter(|until| self.now < *until)
            }
            Stop::Released { at } => Some(at),
            Stop::Ending { at } => Some(at).filter(|_| !self.groups.at_work()),
            Stop::No | Stop::Releasing | Stop::Clients | Stop::Ended => None,
        }
    }
}
