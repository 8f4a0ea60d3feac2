//! `ipfail`: gives the resources to the node that reaches more ping nodes.
//! Spec: docs/protocol/client-api.md, 15.
//!
//! This is a client of the client socket without the socket: it takes the messages that a daemon
//! writes and returns what to write back. So the actor inside the daemon and our program `ipfail`
//! decide alike. One question to the daemon is open at a time; messages that come before its answer
//! wait. The *partner* is the `ipfail` on the other node.
//!
//! | event | then |
//! |---|---|
//! | a ping node is up, a link is dead | when the partner must have noticed it too: count, tell it the number |
//! | the partner joins | count, tell it the number |
//! | its number is lower | when we must have noticed the change too: count again; still lower: tell it |
//! | its number is higher | give `all` in two keepalives |
//! | it tells us that ours is lower | give `all` in a keepalive, in two if its knowledge may be old; a change that it was not told yet is told instead |
//! | a ping node is up while `all` is due | cancel the move, tell the partner the number: it may report again that ours is lower |
//! | the numbers are equal | tell it; cancel the move; else with `auto_failback` give `foreign` |
//! | it tells us that they are equal | cancel the move |
//! | a move is due | when nothing is in transition: ask the other node to take the set |

mod dialogue;
#[cfg(test)]
mod late;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::notice::Severity;
use crate::protocol::field::{self, kind};
use crate::protocol::message::Message;
use dialogue::{Pending, Question};

/// The name it signs on with: the partner's daemon delivers only to the same name.
pub const NAME: &str = "ipfail";

/// How long the daemon may take for an answer; legacy daemons answer at their next tick.
const PATIENCE: Duration = Duration::from_secs(30);

/// From the partner's report that it is settled to the next comparison, when a move had to wait.
const SETTLE: Duration = Duration::from_secs(10);

/// Shortest pause between a change here and the message about it to the partner, see
/// [`Ipfail::notice`].
const BOTH_NOTICE: Duration = Duration::from_millis(500);

/// Longest tick of a legacy daemon; with a shorter keepalive, that is its tick. A legacy daemon
/// acts on what it receives, and checks whether a node is dead, only at its ticks. Spec:
/// docs/protocol/membership.md, 16.4.
const LONGEST_TICK: Duration = Duration::from_millis(500);

/// After we told the partner that we reach more ping nodes, it is about to give its groups. For
/// this long we tell it of every change at once.
const PARTNER_GIVES: Duration = Duration::from_secs(10);

/// Messages that wait behind a question. A daemon disconnects clients with 64 unread ones.
const MAX_BACKLOG: usize = 1024;

/// Message types between two `ipfail`, and those by which a daemon's messages are recognised.
mod word {
    pub(super) const COUNT: &str = "num_ping_nodes";
    pub(super) const NUMBER: &str = "num_ping";
    pub(super) const FEWER: &str = "you_are_dead";
    pub(super) const EQUAL: &str = "abort_giveup";
    pub(super) const RESPONSE: &str = "hbapi-resp";
    pub(super) const TRANSITION: &str = "transition";
    pub(super) const PING_STATUS: &str = "NS_st";
    pub(super) const PING: &str = "ping";
    pub(super) const DEAD: &str = "dead";
}

/// The identity with which the client signs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `uname -n` in lower case.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Effective user.
    pub uid: u32,
    /// Effective primary group.
    pub gid: u32,
}

/// Something to do, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Write this to the daemon.
    Send(Message),
    /// A line for people. The texts are interface: suites match on them.
    Log(Severity, String),
    /// Nothing more to do here. Comes once, last.
    End(End),
}

/// Why this `ipfail` ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The daemon refused us, or does not answer.
    Failed,
    /// The daemon's configuration leaves us nothing to do: do not start again.
    NotWanted,
}

impl End {
    /// Exit code of the program; 100: the daemon does not start it again.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::NotWanted => 100,
        }
    }
}

/// Which groups to give.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    All,
    Foreign,
}

impl Set {
    const fn word(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Foreign => "foreign",
        }
    }
}

/// A move of groups that is due soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Giving {
    set: Set,
    at: Monotonic,
    /// Number for the log line at its end.
    number: u32,
}

/// One `ipfail`. Does no I/O and reads no clock.
#[derive(Debug)]
pub struct Ipfail {
    who: Identity,
    now: Monotonic,
    out: Vec<Output>,
    /// The question that the daemon has not answered yet.
    pending: Option<Pending>,
    backlog: VecDeque<Message>,
    ended: bool,
    /// Own node name, as the daemon calls it.
    local: String,
    /// The other node.
    partner: Option<String>,
    keepalive: Duration,
    auto_failback: bool,
    giving: Option<Giving>,
    givings: u32,
    /// A move was due while something was in transition.
    wants_standby: bool,
    compare_at: Option<Monotonic>,
    /// A change that the partner has not been told yet.
    tell: Option<(Monotonic, Question)>,
    told_more_at: Option<Monotonic>,
    /// The last change here.
    changed_at: Option<Monotonic>,
    /// The number told last was told at a time when the partner must have noticed the same change.
    told_late: bool,
    /// The partner told a number lower than ours: it must be compared once more.
    lower: Option<(Monotonic, u64)>,
    /// See [`Ipfail::notice`].
    both_notice: bool,
}

impl Ipfail {
    /// An `ipfail` that has not signed on.
    #[must_use]
    pub fn new(who: Identity) -> Self {
        Self {
            local: who.host.clone(),
            who,
            now: Monotonic::ZERO,
            out: Vec::new(),
            pending: None,
            backlog: VecDeque::new(),
            ended: false,
            partner: None,
            keepalive: Duration::from_secs(1),
            auto_failback: false,
            giving: None,
            givings: 0,
            wants_standby: false,
            compare_at: None,
            tell: None,
            told_more_at: None,
            changed_at: None,
            told_late: false,
            lower: None,
            both_notice: true,
        }
    }

    /// The same without the pause before a change is told, as legacy does it. Legacy moves
    /// resources when two nodes lose a ping node some tenths of a second apart.
    #[cfg(test)]
    pub(crate) fn hasty(who: Identity) -> Self {
        Self {
            both_notice: false,
            ..Self::new(who)
        }
    }

    /// The connection is open: signs on.
    pub fn connected(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        self.turn(now, out, |act| {
            act.debug(format!("PID={}", act.who.pid));
            act.debug("Signing in with heartbeat");
            act.ask(Question::SignOn);
        });
    }

    /// The daemon wrote `message`.
    pub fn received(&mut self, message: Message, now: Monotonic, out: &mut Vec<Output>) {
        self.turn(now, out, |act| {
            if message.kind() == Some(word::RESPONSE) {
                act.answered(message);
            } else if act.backlog.len() >= MAX_BACKLOG {
                act.error("too many messages while heartbeat does not answer");
                act.end(End::Failed);
            } else {
                act.backlog.push_back(message);
            }
        });
    }

    /// Applies everything due by `now`.
    pub fn tick(&mut self, now: Monotonic, out: &mut Vec<Output>) {
        self.turn(now, out, |_| {});
    }

    /// Earliest instant at which [`tick`](Self::tick) would have something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        if self.ended {
            return None;
        }
        match &self.pending {
            Some(pending) => Some(pending.until),
            None => {
                let giving = self.giving.map(|giving| giving.at);
                let tell = self.tell.map(|(at, _)| at);
                let lower = self.lower.map(|(at, _)| at);
                let due = [giving, self.compare_at, tell, lower];
                due.into_iter().flatten().min()
            }
        }
    }

    /// The message that ends the connection in order.
    #[must_use]
    pub fn sign_off(&self) -> Message {
        self.request("signoff")
    }

    fn turn(&mut self, now: Monotonic, out: &mut Vec<Output>, begin: impl FnOnce(&mut Self)) {
        if self.ended {
            return;
        }
        self.now = self.now.max(now);
        begin(self);
        while !self.ended && self.pending.is_none() {
            if let Some(message) = self.backlog.pop_front() {
                self.message(&message);
            } else if !self.overdue() {
                break;
            }
        }
        if self.pending.as_ref().is_some_and(|it| it.until <= self.now) {
            self.error("heartbeat does not answer");
            self.end(End::Failed);
        }
        out.append(&mut self.out);
    }

    /// Does one thing that is due. `false`: nothing is.
    fn overdue(&mut self) -> bool {
        if let Some(giving) = self.giving.filter(|giving| giving.at <= self.now) {
            self.giving = None;
            self.info("giveup() called (timeout worked)");
            self.ask(Question::MayGive(giving.set));
            return true;
        }
        if self.compare_at.is_some_and(|at| at <= self.now) {
            self.compare_at = None;
            self.wants_standby = false;
            self.ask(Question::CountToTell);
            return true;
        }
        if let Some((_, question)) = self.tell.filter(|(at, _)| *at <= self.now) {
            self.tell = None;
            self.ask(question);
            return true;
        }
        if let Some((_, theirs)) = self.lower.filter(|(at, _)| *at <= self.now) {
            self.lower = None;
            self.ask(Question::CountStillMore(theirs));
            return true;
        }
        false
    }

    /// By how much a legacy daemon may be late.
    fn tick_of_partner(&self) -> Duration {
        self.keepalive.min(LONGEST_TICK)
    }

    /// After this time the partner must have noticed the change that we have just noticed. A ping
    /// node that fails does so for both nodes, but the last replies may be a keepalive apart, and a
    /// legacy daemon acts on its last reply a tick late and looks for dead nodes a tick late. An
    /// `ipfail` that compares earlier gives everything away for nothing.
    fn notice(&self) -> Duration {
        let ticks = self.tick_of_partner().saturating_mul(2);
        self.keepalive.saturating_add(ticks).max(BOTH_NOTICE)
    }

    /// After this time the partner's number for the change that we have just noticed must have
    /// arrived: its client asks a tick later, and it sends a tick after that.
    fn number_comes(&self) -> Duration {
        let ticks = self.tick_of_partner().saturating_mul(2);
        self.notice().saturating_add(ticks)
    }

    /// After this time we must have noticed the change of which a partner tells us: our last reply
    /// may be a keepalive younger, and the machine may be busy.
    fn own_notice(&self) -> Duration {
        let spare = self.tick_of_partner() / 2;
        self.keepalive.saturating_add(spare)
    }

    /// Something changed here: tells the partner after the time that it needs to notice the same.
    fn tell_soon(&mut self, question: Question) {
        self.changed_at = Some(self.now);
        let told = self
            .told_more_at
            .is_some_and(|at| self.now.since(at) < PARTNER_GIVES);
        let pause = if self.giving.is_some() || told || !self.both_notice {
            Duration::ZERO
        } else {
            self.notice()
        };
        let at = self.now + pause;
        let at = self.tell.map_or(at, |(earlier, _)| at.min(earlier));
        self.tell = Some((at, question));
    }

    /// Handles every message except answers.
    fn message(&mut self, message: &Message) {
        let text = |name| message.text(name).unwrap_or_default();
        let (src, st) = (text(field::SRC), text(field::ST));
        match message.kind().unwrap_or_default() {
            kind::STATUS | word::PING_STATUS => {
                self.info(format!("Status update: Node {src} now has status {st}"));
                match st {
                    word::PING => {
                        self.info("A ping node just came up.");
                        self.more();
                    }
                    word::DEAD => self.ask(Question::CountToLog),
                    _ => {}
                }
            }
            kind::IF_STAT => {
                let (node, link) = (text(field::NODE), text(field::IFNAME));
                self.info(format!(
                    "Link Status update: Link {node}/{link} now has status {st}"
                ));
                if st == word::DEAD {
                    self.tell_soon(Question::CountAfterLink);
                }
            }
            kind::CLIENT_STATUS => {
                let other = text(field::FROM_ID) == NAME && src != self.local;
                if other && st == "join" {
                    self.debug(format!(
                        "Got join message from another ipfail client. ({src})"
                    ));
                    self.ask(Question::CountToTell);
                }
            }
            kind::RESOURCE if Some(src) == self.partner.as_deref() => {
                self.partner_reports(message);
            }
            word::COUNT => {
                self.debug("Got asked for num_ping.");
                match message.dec(word::NUMBER) {
                    Some(theirs) => self.ask(Question::CountToCompare(theirs)),
                    None => self.error("No ping node count in the message"),
                }
            }
            word::FEWER => {
                self.told_fewer();
            }
            word::EQUAL => self.call_off(),
            _ => {}
        }
    }

    /// The partner reports that it reaches more ping nodes than the number that we told it last.
    fn told_fewer(&mut self) {
        if let Some((_, question)) = self.tell.take() {
            // The partner compared an old number. It will compare the new one and report again.
            self.debug("The other side does not know our present count yet.");
            return self.ask(question);
        }
        self.info("Giving up because we were told that we have less ping nodes.");
        let keepalives = if self.both_notice && self.told_late {
            1
        } else {
            2
        };
        self.give_in(Set::All, keepalives);
    }

    /// A ping node answers again: earlier comparisons are no longer valid.
    fn more(&mut self) {
        if self.both_notice && self.giving.is_some_and(|giving| giving.set == Set::All) {
            self.call_off();
            self.told_more_at = None;
            self.tell = Some((self.now, Question::CountToTell));
            self.changed_at = Some(self.now);
        } else {
            self.tell_soon(Question::CountToTell);
        }
    }

    /// Reports of a holding set with a reason are steps of a transition.
    fn partner_reports(&mut self, report: &Message) {
        match report.text(field::IS_STABLE) {
            Some("1") if report.get(field::INFO).is_none() => {
                self.debug("Other side is now stable.");
                if self.wants_standby && self.compare_at.is_none() {
                    self.compare_at = Some(self.now + SETTLE);
                }
            }
            Some("0") => self.debug("Other side is unstable."),
            _ => {}
        }
    }

    /// Tells the partner how many ping nodes we reach.
    fn tell(&mut self, count: u64) {
        let changed_at = self.changed_at;
        self.told_late = changed_at.is_none_or(|at| self.now.since(at) >= self.notice());
        self.info("Asking other side for ping node count.");
        let message = Message::new(word::COUNT)
            .with(field::SRC, &self.local)
            .with(word::NUMBER, &count.to_string());
        if self.send_to_partner(message) {
            self.debug("Message [num_ping] sent.");
        }
    }

    /// Compares our number with the partner's.
    fn compare(&mut self, ours: u64, theirs: u64) {
        self.lower = None;
        match ours.cmp(&theirs) {
            std::cmp::Ordering::Greater if self.both_notice => {
                // A number from before a change here may be followed by one from after it.
                let followed = self.changed_at.map(|at| at + self.number_comes());
                let at = (self.now + self.own_notice()).max(followed.unwrap_or(Monotonic::ZERO));
                self.lower = Some((at, theirs));
            }
            std::cmp::Ordering::Greater => self.tell_more(),
            std::cmp::Ordering::Less => {
                self.info("Giving up because we have less visible ping nodes.");
                self.give_soon(Set::All);
            }
            std::cmp::Ordering::Equal => {
                self.info("Ping node count is balanced.");
                let message = Message::new(word::EQUAL).with(field::SRC, &self.local);
                if self.send_to_partner(message) {
                    self.debug("Abort message sent.");
                }
                if self.giving.is_some() {
                    self.call_off();
                } else if self.auto_failback {
                    self.ask(Question::MayFailBack);
                }
            }
        }
    }

    /// The partner's number is lower than ours, and stays lower.
    fn tell_more(&mut self) {
        self.info("Telling other node that we have more visible ping nodes.");
        self.debug("Sending you_are_dead.");
        self.told_more_at = Some(self.now);
        if self.send_to_partner(Message::new(word::FEWER)) {
            self.debug("Message [you_are_dead] sent.");
        }
    }

    fn give_soon(&mut self, set: Set) {
        self.give_in(set, 2);
    }

    fn give_in(&mut self, set: Set, keepalives: u32) {
        let delay = self.keepalive.saturating_mul(keepalives);
        self.givings = self.givings.wrapping_add(1);
        self.giving = Some(Giving {
            set,
            at: self.now + delay,
            number: self.givings,
        });
        self.info(format!("Delayed giveup in {} seconds.", delay.as_secs()));
    }

    fn call_off(&mut self) {
        match self.giving.take() {
            Some(giving) => {
                self.info(format!("Aborted delayed giveup ({})", giving.number));
                self.debug("giveup timeout has been destroyed.");
            }
            None => self.info("No giveup timer to abort."),
        }
    }

    /// Starts the standby exchange, which the daemons carry out.
    fn give(&mut self, set: Set) {
        let request = Message::new(kind::ASK_RESOURCES)
            .with(field::RSC_HOLD, set.word())
            .with(field::SRC, &self.local)
            .with(field::INFO, "me");
        self.out.push(Output::Send(request));
        self.wants_standby = false;
        self.debug("Message [ask_resources] sent.");
    }

    /// `false`: there is no other node.
    fn send_to_partner(&mut self, message: Message) -> bool {
        let Some(partner) = &self.partner else {
            return false;
        };
        let message = message.with(field::DEST, partner);
        self.out.push(Output::Send(message));
        true
    }

    fn end(&mut self, end: End) {
        if !self.ended {
            self.ended = true;
            self.out.push(Output::End(end));
        }
    }

    fn log(&mut self, severity: Severity, text: impl Into<String>) {
        self.out.push(Output::Log(severity, text.into()));
    }

    fn debug(&mut self, text: impl Into<String>) {
        self.log(Severity::Debug, text);
    }

    fn info(&mut self, text: impl Into<String>) {
        self.log(Severity::Info, text);
    }

    fn error(&mut self, text: impl Into<String>) {
        self.log(Severity::Error, text);
    }
}
