//! Questions to the daemon, and what follows from the answers.
//! Spec: docs/protocol/client-api.md, 4, 6 and 15.1.

use std::time::Duration;

use super::{End, Ipfail, NAME, Output, PATIENCE, Set, word};
use crate::clock::Monotonic;
use crate::protocol::boolean::boolean;
use crate::protocol::field;
use crate::protocol::message::Message;

/// Why the daemon is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    /// May we be your client? Each of the first seven leads to the next.
    SignOn,
    /// Do you manage resources at all?
    Holding,
    /// Shall balanced nodes give foreign groups back?
    AutoFailback,
    /// Where core files go; the answer changes nothing, a legacy client asks.
    CoreRoot,
    /// Ordinary messages only.
    Filter,
    /// Who is there?
    Nodes,
    /// No signal with each message.
    Signal,
    /// How many ping nodes do we see? For the log.
    CountToLog,
    /// The same, for the partner.
    CountToTell,
    /// The same, after a link died.
    CountAfterLink,
    /// The same, beside the partner's number.
    CountToCompare(u64),
    /// The same once more, before the partner is told that ours is higher.
    CountStillMore(u64),
    /// Is everything quiet? Then ask the partner to take the set.
    MayGive(Set),
    /// Is everything quiet? Then foreign groups may go back.
    MayFailBack,
}

/// A question that is not answered yet.
#[derive(Debug)]
pub(super) struct Pending {
    question: Question,
    pub(super) until: Monotonic,
    /// The answers so far, if there are several.
    answers: Vec<Message>,
}

impl Ipfail {
    pub(super) fn request(&self, what: &str) -> Message {
        Message::new("hbapi-req")
            .with("reqtype", what)
            .with(field::DEST, &self.who.host)
            .with("pid", &self.who.pid.to_string())
            .with(field::FROM_ID, NAME)
    }

    pub(super) fn ask(&mut self, question: Question) {
        let request = match question {
            Question::SignOn => self
                .request("signon")
                .with("uid", &self.who.uid.to_string())
                .with("gid", &self.who.gid.to_string()),
            Question::Holding | Question::MayGive(_) | Question::MayFailBack => {
                self.request("getrsc")
            }
            Question::AutoFailback => self.request("getparm").with("pname", "auto_failback"),
            Question::CoreRoot => self.request("getparm").with("pname", "coreroot"),
            Question::Filter => {
                self.debug("Setting message filter mode");
                self.request("setfilter").with("fmask", "1")
            }
            Question::Nodes => {
                self.debug("Starting node walk");
                self.request("nodelist")
            }
            Question::Signal => {
                self.debug("Setting message signal");
                self.request("setsignal").with("signal", "0")
            }
            Question::CountToLog
            | Question::CountToTell
            | Question::CountAfterLink
            | Question::CountToCompare(_)
            | Question::CountStillMore(_) => self.request("nodelist"),
        };
        self.out.push(Output::Send(request));
        self.pending = Some(Pending {
            question,
            until: self.now + PATIENCE,
            answers: Vec::new(),
        });
    }

    /// Takes an answer of the daemon; drops it when no question is open.
    pub(super) fn answered(&mut self, answer: Message) {
        let Some(mut pending) = self.pending.take() else {
            return;
        };
        let result = answer.text(field::RESULT).unwrap_or_default().to_owned();
        pending.answers.push(answer);
        if result == "ok/more" {
            self.pending = Some(pending);
            return;
        }
        let (ok, answers) = (result == "OK", pending.answers);
        let last = answers.last().cloned().unwrap_or_else(Message::empty);
        match pending.question {
            Question::SignOn => self.signed_on(ok, &last),
            Question::Holding => {
                if ok && last.get(field::RSC_HOLD).is_some() {
                    self.ask(Question::AutoFailback);
                } else {
                    self.error("Resources are not managed by heartbeat here.");
                    self.end(End::NotWanted);
                }
            }
            Question::AutoFailback => self.failback_known(last.text("pvalue")),
            Question::CoreRoot => self.ask(Question::Filter),
            Question::Filter if ok => self.ask(Question::Nodes),
            Question::Nodes if ok => {
                self.learn(&answers);
                self.ask(Question::Signal);
            }
            Question::Signal if ok => self.debug("Waiting for messages..."),
            Question::CountToLog if ok => {
                let text = match self.count(&answers) {
                    0 => "NS: We are dead. :<",
                    _ => "NS: We are still alive!",
                };
                self.info(text);
            }
            Question::CountToTell if ok => {
                let count = self.count(&answers);
                self.tell(count);
            }
            Question::CountAfterLink if ok => {
                let count = self.count(&answers);
                if count == 0 {
                    self.info("We are dead. :<");
                }
                self.tell(count);
                if count > 0 {
                    self.info("Checking remote count of ping nodes.");
                }
            }
            Question::CountToCompare(theirs) if ok => {
                let ours = self.count(&answers);
                self.compare(ours, theirs);
            }
            Question::CountStillMore(theirs) if ok => {
                // If not, our own change is told to the partner.
                if self.count(&answers) > theirs {
                    self.tell_more();
                }
            }
            Question::MayGive(set) => {
                if is_quiet(ok, &last) {
                    self.give(set);
                } else {
                    // Compare again when the partner reports that it is settled.
                    self.wants_standby = true;
                }
                self.debug("giveup timeout has been destroyed.");
            }
            Question::MayFailBack => {
                if is_quiet(ok, &last) {
                    self.info("Giving up foreign resources (auto_failback).");
                    self.give_soon(Set::Foreign);
                }
            }
            question => {
                let reason = last.text(field::INFO).unwrap_or_default();
                self.error(format!("heartbeat refuses {question:?}: {reason}"));
                self.end(End::Failed);
            }
        }
    }

    fn signed_on(&mut self, ok: bool, answer: &Message) {
        if !ok {
            let reason = answer.text(field::INFO).unwrap_or("sign-on refused");
            self.error("Cannot sign on with heartbeat");
            self.error(format!("REASON: {reason}"));
            return self.end(End::Failed);
        }
        if let Some(node) = answer.text(field::NODE) {
            node.clone_into(&mut self.local);
        }
        if let Some(keepalive) = answer.hex("keepalive") {
            self.keepalive = Duration::from_millis(keepalive);
        }
        self.debug(format!("[We are {}]", self.local));
        self.ask(Question::Holding);
    }

    fn failback_known(&mut self, value: Option<&str>) {
        match value {
            None => self.error("Couldn't get auto_failback."),
            Some(word) => match boolean(word) {
                Some(on) => {
                    self.auto_failback = on;
                    self.debug(format!("auto_failback -> {} ({word})", u8::from(on)));
                }
                None => {
                    self.error("auto_failback set to incompatible legacy option.");
                    return self.end(End::NotWanted);
                }
            },
        }
        self.ask(Question::CoreRoot);
    }

    /// The partner is the last normal node of the walk that is not our own; a walk goes backwards.
    fn learn(&mut self, answers: &[Message]) {
        for answer in answers.iter().rev() {
            let name = answer.text(field::NODE).unwrap_or_default();
            let status = answer.text(field::ST).unwrap_or_default();
            self.debug(format!("Cluster node: {name}: status: {status}"));
            if answer.text("nodetype") != Some(word::PING) && name != self.local {
                self.debug(format!("[They are {name}]"));
                self.partner = Some(name.to_owned());
            }
        }
    }

    /// The number of ping nodes that answer. A group counts as one.
    fn count(&mut self, answers: &[Message]) -> u64 {
        let mut count: u64 = 0;
        for answer in answers.iter().rev() {
            if answer.text(field::ST) == Some(word::PING) {
                let name = answer.text(field::NODE).unwrap_or_default();
                self.debug(format!("Found ping node {name}!"));
                count = count.saturating_add(1);
            }
        }
        count
    }
}

/// Whether a standby may be requested now: two at the same time disturb each other.
fn is_quiet(ok: bool, answer: &Message) -> bool {
    ok && answer
        .text(field::RSC_HOLD)
        .is_some_and(|held| held != word::TRANSITION)
}
