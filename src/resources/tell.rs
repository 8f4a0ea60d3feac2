//! What the core sends and logs: messages to other nodes, log lines, decisions, and orders.

use crate::notice::Notice;
use crate::protocol::decisions;
use crate::protocol::event::Action;
use crate::protocol::field::{self, kind};
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::key_mark;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::gate::Act;
use crate::resources::holding::HoldingSet;
use crate::resources::messages::{ask, report};
use crate::resources::output::ResourceOutput;
use crate::resources::parts::names::names_text;
use crate::resources::parts::peer::Peer;
use crate::resources::parts::questions::REPORT;
use crate::resources::parts::run::Phase;
use crate::resources::parts::standby::Answer;
use crate::resources::parts::timers::Timer;
use crate::resources::parts::trouble::LONGEST_LIST;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// The groups as a decision names them.
    pub(in crate::resources) fn named(keys: &[GroupKey]) -> String {
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        names.join(" ")
    }

    /// Withdraws our question, because it no longer matters. A node that has received it waits for
    /// a report of ours.
    pub(in crate::resources) fn withdraw_question(&mut self) {
        if self.question_is_over() && self.run.comm_up() && !self.stopping() {
            self.answer();
        }
    }

    /// Warns that another host has the address of a group that a legacy node does not claim, and
    /// how to free the group. The legacy node may run it all the same: it does not report what its
    /// scripts go on starting when a death cancels its standby.
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

    /// Adds to a report what runs here, group by group, for the other node of a pair.
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

    /// Reports when what runs here has changed, while the nodes count by group. A group whose start
    /// fails here may then be started there.
    pub(in crate::resources) fn tell_changed_names(&mut self) {
        if !self.counts_by_group() || !self.may(Act::TellNames) {
            return;
        }
        let runs: Vec<&GroupKey> = self.groups.taken().collect();
        if self.names.said_otherwise(names_text(&runs).as_deref()) {
            self.tell_what_runs();
        }
    }

    /// Reports to the other node what has stopped or started here.
    pub(in crate::resources) fn tell_what_runs(&mut self) {
        let listens = self.other.node().is_some_and(|(_, peer)| peer.is_systole());
        if listens && self.nice() && self.run.phase() == Phase::Stable {
            self.answer();
        }
    }

    /// Sends a report of what we hold now. During a release it reports what is not released yet, so
    /// that another node does not start what we still stop.
    pub(in crate::resources) fn answer(&mut self) {
        let report = self.full_report();
        self.send(report);
    }

    /// The same; it also says that we do not take what was given by this offer.
    pub(in crate::resources) fn say_not_taken(&mut self, offer: Position) {
        let report = self.full_report();
        self.send(report.with(field::NOT_TAKEN, &offer.to_text()));
    }

    fn full_report(&self) -> Message {
        let info = match self.run.phase() {
            Phase::Shutdown => Some("shutdown"),
            _ if self.duty.is_releasing() => Some("standby"),
            _ => None,
        };
        let set = self.duty.in_use();
        report(set, self.announced_stable(), info)
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

    /// Answers a request for a group. Between Systole nodes the answer names the newest request of
    /// `to` that we received.
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

    /// Checks a little later for peers that are active without a report.
    pub(in crate::resources) fn ask_soon(&mut self) {
        self.timers.set(Timer::AskAgain, self.after(REPORT));
    }

    pub(in crate::resources) fn send(&mut self, mut message: Message) {
        let full_report = message.text(field::RTYPE) == Some("full");
        // A node that we do not receive may receive us.
        let understood = |peer: &Peer| peer.resolves_split_brain() || peer.is_not_heard();
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

    /// Records a decision where it is taken.
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

    /// Gives membership our weight while it has to be sent.
    pub(in crate::resources) fn tell_weight(&mut self) {
        // A node that stops cannot keep anything, and does not ask others to yield.
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

    /// Sends a message of the taker. Between Systole nodes it names the offer.
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

    /// Tells the taker that every group of the set is stopped, so that it may start them.
    pub(in crate::resources) fn say_done(&mut self, set: HoldingSet) {
        let mut done = ask(set, "done");
        let groups = &self.groups;
        if let Some(failed) = self.list_of(set, |key| groups.is_passed_on(key)) {
            done.set_text(field::FAILED, &failed);
        }
        if let Some(ailing) = self.list_of(set, |key| groups.ailing().was_given(key)) {
            done.set_text(field::AILING, &ailing);
        }
        self.send(done);
    }

    /// Warns that a legacy node neither gives what it offered nor answers an offer, with the likely
    /// cause and the remedy. A stop of that node would wait for the end of its standby; `heartbeat
    /// -r` does not.
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

    /// Warns that a legacy node runs what we gave it, and does not report it. `set`: from its view.
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

    /// The question which node runs the groups that seem unowned is answered, or no longer matters.
    /// Returns whether it was open.
    pub(in crate::resources) fn question_is_over(&mut self) -> bool {
        self.timers.clear(Timer::Unowned);
        self.unowned.question_is_over()
    }

    /// The groups of `set` of which this is true. Only for a node that understands such a list.
    fn list_of(&self, set: HoldingSet, which: impl Fn(&GroupKey) -> bool) -> Option<String> {
        if !self.other.all_systole() {
            return None;
        }
        let mut list = String::new();
        let keys = self.groups.of(set);
        for key in keys.filter(|key| which(key)) {
            let length = list.len().saturating_add(key.as_str().len());
            if length < LONGEST_LIST {
                list.push_str(key.as_str());
            } else {
                list.push_str(&key_mark(key));
            }
            list.push(' ');
        }
        (!list.is_empty()).then(|| list.trim_end().to_owned())
    }
}
