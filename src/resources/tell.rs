//! What the core says: messages to other nodes, log lines, decisions, and orders.

use crate::notice::Notice;
use crate::protocol::decisions;
use crate::protocol::event::Action;
use crate::protocol::field::{self, kind};
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::{ask, report};
use crate::resources::output::ResourceOutput;
use crate::resources::parts::names::names_text;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::questions::REPORT;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Answer;
use crate::resources::parts::timers::Timer;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Groups as a decision names them.
    pub(in crate::resources) fn named(keys: &[GroupKey]) -> String {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        names.join(" ")
    }

    /// What was asked does not matter any more. Whoever heard it waits for a word of ours.
    pub(in crate::resources) fn withdraw_question(&mut self) {
        if self.question_is_over() && self.run.comm_up() && !self.stopping() {
            self.answer();
        }
    }

    /// Another host has the address of a group that a legacy node does not claim. It may run it all the
    /// same: it forgets what its scripts go on with when a death cancels its standby. What frees the group.
    pub(in crate::resources) fn say_who_may_run_it(&mut self, key: &GroupKey) {
        let Some(side) = self.groups.side_of(key) else {
            return;
        };
        let claimed = self.other.holds().mirror().has(side);
        let legacy = self
            .other
            .nodes()
            .find(|(_, peer)| !peer.is_systole() && peer.has_reported() && peer.is_active());
        let Some(node) = legacy.map(|(name, _)| name.clone()) else {
            return;
        };
        if !claimed && self.other.is_pair() {
            self.warn(format!(
                "node {node} does not report group {key}, and may run it all the same. What frees the group \
                 then, on {node}: /usr/share/heartbeat/ResourceManager givegroup {key}"
            ));
        }
    }

    /// Adds to a report what the other node of a pair may want to know group by group.
    pub(in crate::resources) fn name_groups(&mut self, message: &mut Message) {
        let understood = |peer: &Peer| peer.is_systole() || peer.is_not_heard();
        if !self.other.is_pair() || !self.other.peers().all(understood) {
            return;
        }
        message.set_text(field::HARESOURCES, self.names.owners());
        let runs: Vec<&GroupKey> = self.groups.taken().collect();
        let names = names_text(&runs);
        if let Some(names) = &names {
            message.set_text(field::NAMES, names);
        }
        self.names.say(names);
    }

    /// While nodes count by group each says what has changed: a group that does not start here may be
    /// started there.
    pub(in crate::resources) fn tell_changed_names(&mut self) {
        if !self.counts_by_group() || !self.at_peace() {
            return;
        }
        let runs: Vec<&GroupKey> = self.groups.taken().collect();
        if self.names.said_otherwise(names_text(&runs).as_deref()) {
            self.tell_what_runs();
        }
    }

    /// The other node learns what runs here no more, or since now.
    pub(in crate::resources) fn tell_what_runs(&mut self) {
        let listens = self.other.node().is_some_and(|(_, peer)| peer.is_systole());
        if listens && self.nice() && self.run.phase() == Phase::Stable {
            self.answer();
        }
    }

    /// Sends a report of what we hold now; while we release, of what is not released yet, so that
    /// a newcomer does not start what we still stop.
    pub(in crate::resources) fn answer(&mut self) {
        let info = match self.run.phase() {
            Phase::Shutdown => Some("shutdown"),
            _ if self.duty.is_releasing() => Some("standby"),
            _ => None,
        };
        let set = self.duty.in_use();
        let stable = self.announced_stable();
        self.send(report(set, stable, info));
    }

    /// Logs once when both halves of the first acquisition are known.
    pub(in crate::resources) fn acquisition_complete(&mut self, reason: &str) {
        if self.run.acquisition_complete() {
            self.notice(Notice::InitialAcquisitionComplete {
                reason: reason.to_owned(),
            });
        }
    }

    pub(in crate::resources) fn ask_for(&mut self, key: &GroupKey) {
        self.groups.ask(key, self.now);
        self.send(Message::new(kind::IP_REQUEST).with(field::IPADDR, key.as_str()));
    }

    /// Between our nodes it says which request of `to` was heard last.
    pub(in crate::resources) fn answer_request(&mut self, to: &NodeName, key: &str, weown: bool) {
        let mut message = Message::new(kind::IP_REQUEST_RESP)
            .with(field::DEST, to.as_str())
            .with(field::IPADDR, key)
            .with(field::WEOWN, if weown { "yes" } else { "no" })
            .with(field::OK, "OK");
        if let Some(peer) = self.other.peer(to).filter(|peer| peer.echoes()) {
            message.set_text(field::HEARD, &peer.request().to_text());
        }
        self.send(message);
    }

    /// Looks a little later for peers that are active without a report.
    pub(in crate::resources) fn ask_soon(&mut self) {
        self.timers.set(Timer::AskAgain, self.after(REPORT));
    }

    pub(in crate::resources) fn send(&mut self, mut message: Message) {
        let full_report = message.text(field::RTYPE) == Some("full");
        // One that we do not hear may hear us.
        let understood = |peer: &Peer| peer.knows_the_rule() || peer.is_not_heard();
        if full_report && self.other.is_pair() && self.other.peers().all(understood) {
            let weight = self.weight();
            message.set_text(field::RUNS, &weight.to_text());
            if let Some(foreign) = weight.foreign {
                message.set_text(field::RUNS_FOREIGN, &foreign.to_string());
            }
        }
        let gives = message.text(field::INFO) == Some("done");
        if full_report || gives || message.kind() == Some(kind::STARTING) {
            self.name_groups(&mut message);
        }
        if full_report && let Some(heard) = self.other.heard_text() {
            message.set_text(field::HEARD, &heard);
        }
        self.out.push(ResourceOutput::Send(message));
    }

    pub(in crate::resources) fn act(&mut self, action: Action) {
        self.out.push(ResourceOutput::Act(action));
    }

    /// Notes a decision where it is taken.
    pub(in crate::resources) fn decide(
        &mut self,
        what: impl Into<String>,
        cause: impl Into<String>,
    ) {
        self.out.push(ResourceOutput::Decided {
            what: decisions::bounded(what.into()),
            cause: decisions::bounded(cause.into()),
        });
    }

    pub(in crate::resources) fn notice(&mut self, notice: Notice) {
        self.act(Action::Notice(notice));
    }

    pub(in crate::resources) fn info(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherInfo { text: text.into() });
    }

    pub(in crate::resources) fn warn(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherWarn { text: text.into() });
    }

    pub(in crate::resources) fn error(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherError { text: text.into() });
    }

    pub(in crate::resources) fn debug(&mut self, text: impl Into<String>) {
        self.notice(Notice::OtherDebug { text: text.into() });
    }

    /// Tells membership what we weigh while it has to say so.
    pub(in crate::resources) fn tell_weight(&mut self) {
        // Who stops cannot keep anything, and does not ask others to yield.
        let given_up = !self.stopping() && self.other.peers().any(Peer::was_declared_dead);
        let weight = given_up.then(|| self.weight());
        if self.contest.tells(weight) {
            self.out.push(ResourceOutput::Weight(weight));
        }
    }

    pub(in crate::resources) fn say_that_we_leave(&mut self) {
        if self.stopping() && self.run.comm_up() && self.nice() {
            self.answer();
        }
    }

    /// Asks every other node what it holds.
    pub(in crate::resources) fn ask(&mut self) {
        self.send(Message::new(kind::STARTING));
    }

    /// A word of the taker: between our nodes it names the offer.
    pub(in crate::resources) fn answer_offer(
        &mut self,
        set: HoldingSet,
        info: &str,
        answered: Option<&Answer>,
    ) {
        let mut message = ask(set, info);
        let echoes = |answer: &&Answer| self.other.echoes(answer.giver());
        if let Some(answer) = answered.filter(echoes) {
            message.set_text(field::HEARD, &answer.offer().to_text());
        }
        self.send(message);
    }

    /// Everything of the set is stopped: the taker may start it.
    pub(in crate::resources) fn say_done(&mut self, set: HoldingSet) {
        let mut done = ask(set, "done");
        if let Some(failed) = self.failed_of(set) {
            done.set_text(field::FAILED, &failed);
        }
        self.send(done);
    }

    /// A legacy node neither gives what it offered nor answers an offer: what may be the cause, and what
    /// helps. Its own stop would wait for the end of that standby; `heartbeat -r` does not.
    pub(in crate::resources) fn say_who_hangs(&mut self) {
        let legacy = self.other.nodes().find(|(_, peer)| !peer.is_systole());
        let Some(node) = legacy.map(|(name, _)| name.clone()) else {
            return;
        };
        let helps = format!("on {node}: touch /etc/ha.d/ha.cf && /usr/lib/heartbeat/heartbeat -r");
        self.warn(format!(
            "node {node} does not answer in a standby: it may be stuck in an earlier one, for up to an \
             hour, and stop nothing, take nothing and give nothing meanwhile. What frees it, {helps}"
        ));
        self.decide(
            format!("waits no longer for {node}"),
            format!("it may be stuck in an earlier standby; what frees it, {helps}"),
        );
    }

    /// A legacy node runs what we gave it, and forgets that. `set`: from its view.
    pub(in crate::resources) fn say_that_it_stays(
        &mut self,
        node: &NodeName,
        set: HoldingSet,
        why: &str,
    ) {
        let keys = self.groups.keys_of(set.mirror());
        self.warn(format!(
            "node {node} runs what we gave it, and may never say so ({why}): {} stays there. hb_takeover \
             on this node brings it back",
            Self::named(&keys)
        ));
        self.decide(format!("leaves {} to {node}", set.mirror()), why);
    }
}
