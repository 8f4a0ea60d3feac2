//! A standby that is open when the process or its core ends, and how the one in its place goes on.
//! Spec: docs/protocol/resources.md, 7.
//!
//! A legacy node does not mind that the other side begins a new generation: it waits for the next word of
//! the standby, for up to an hour, and does nothing else meanwhile. So beside one the open standby is
//! kept ([`OpenStandby`]), and whoever begins anew takes its place in it. One of our nodes ends its half as
//! soon as it sees the new generation: beside it nothing is kept.
//!
//! | Part | Goes on as | And |
//! |---|---|---|
//! | gives | Giving | stops what is left, and says `done` when the other node has reported |
//! | given | Given | waits for the taker's `done`; it may be starting what it was given |
//! | ready | Answered | waits for the giver to show that it gives |
//! | awaits | Answered | waits for the giver's `done`, which may come before communication is up; it may run what it gives |
//! | takes | Taking | starts what is left, and says `done` when the other node has reported |
//!
//! Nothing is guessed: where the standby is was written down before the word that belongs to it was
//! sent, and a giver's `done` is not said twice. A legacy node in a standby reports that it is settled, so
//! that says nothing; when it dies, or is found in another run, the standby is over.

use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::rounds::Answer;
use super::standby::{COMPLETION, FIRST_ANSWER, LEGACY_GIVER_SHOWS, Standby};
use super::state::ResourceState;
use crate::protocol::event::GroupOrder;
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;

/// What this node has still to do in a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It stops what it gives.
    Gives,
    /// It has said that everything is stopped.
    Given,
    /// It has said that it can take.
    Ready,
    /// The same, and the giver has shown that it gives.
    Awaits,
    /// It starts what it was given.
    Takes,
}

impl Part {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Gives, "gives"),
        (Self::Given, "given"),
        (Self::Ready, "ready"),
        (Self::Awaits, "awaits"),
        (Self::Takes, "takes"),
    ];

    fn word(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(part, _)| *part == self)
            .map_or("", |(_, word)| word)
    }
}

/// An open standby with a legacy node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenStandby {
    /// What this node does in it.
    pub part: Part,
    /// What it is about, from the view of the giver.
    pub set: HoldingSet,
    /// The other node.
    pub with: NodeName,
    /// A message of its run: its `me`, when this node takes.
    pub heard: Position,
}

impl OpenStandby {
    /// As it stands in the words for a successor: `PART SET NODE POSITION`.
    #[must_use]
    pub fn to_text(&self) -> String {
        let (part, heard) = (self.part.word(), self.heard.to_text());
        format!("{part} {} {} {heard}", self.set, self.with)
    }

    /// Whether what the other node said while nobody listened is wanted: its `done` may be among it.
    #[must_use]
    pub const fn asks_for_the_rest(&self) -> bool {
        matches!(self.part, Part::Ready | Part::Awaits)
    }

    /// Reads [`to_text`](Self::to_text) back; what a later version adds behind it is ignored.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let part = words.next()?;
        let (part, _) = Part::ALL.into_iter().find(|(_, word)| *word == part)?;
        let set = HoldingSet::from_word(words.next()?).filter(|set| !set.is_none())?;
        let with = NodeName::new(words.next()?).ok()?;
        let heard = Position::from_text(words.next()?)?;
        Some(Self {
            part,
            set,
            with,
            heard,
        })
    }
}

impl ResourceState {
    /// The standby in which this node is, for whoever goes on in its place.
    #[must_use]
    pub fn open_standby(&self) -> Option<OpenStandby> {
        let part = match self.standby {
            Standby::Not | Standby::Asked(_) => return None,
            Standby::Giving => Part::Gives,
            Standby::Given => Part::Given,
            Standby::Answered { gives: false, .. } => Part::Ready,
            Standby::Answered { .. } => Part::Awaits,
            Standby::Taking => Part::Takes,
        };
        let mut peers = self.peers.iter();
        let (with, peer) = peers.next().filter(|_| peers.next().is_none())?;
        let takes = !matches!(part, Part::Gives | Part::Given);
        let answer = self.offer_answered.as_ref().filter(|_| takes);
        (!peer.systole).then(|| OpenStandby {
            part,
            set: self.sb_set,
            with: with.clone(),
            heard: answer.map_or(peer.newest_report, Answer::offer),
        })
    }

    /// Goes on in a standby that an earlier process or core began. Call between
    /// [`resume`](Self::resume) and [`finish`](Self::finish).
    pub fn keep_standby(&mut self, open: OpenStandby) {
        let known = self.is_pair() && self.peers.contains_key(&open.with);
        if !known || !self.nice() {
            return;
        }
        let OpenStandby {
            part,
            set,
            with,
            heard,
        } = open;
        self.decide(
            format!("goes on with the standby of {set} with {with}"),
            "it was open when the process or its core began anew",
        );
        self.sb_set = set;
        self.went_on = true;
        self.standby = match part {
            Part::Gives => Standby::Giving,
            Part::Given => Standby::Given,
            Part::Ready | Part::Awaits => Standby::Answered {
                giver: with.clone(),
                open_until: self.now,
                gives: part == Part::Awaits,
            },
            Part::Takes => Standby::Taking,
        };
        // What the other node may run.
        self.doubt = match part {
            Part::Gives | Part::Given => set.mirror(),
            Part::Ready | Part::Awaits => set,
            Part::Takes => HoldingSet::NONE,
        };
        self.given_at = (part == Part::Given).then(Position::default);
        self.mine = match part {
            Part::Gives | Part::Given => self.mine.without(set),
            Part::Ready | Part::Awaits => self.mine,
            Part::Takes => self.mine.with(set.mirror()),
        };
        if !matches!(part, Part::Gives | Part::Given) {
            self.remember_answer(&with, set, heard);
        }
    }

    /// The groups that are still to be started for an open standby, those with an order in hand among
    /// them.
    pub(super) fn left_to_take(&self, in_hand: impl Fn(&GroupKey) -> bool) -> Vec<GroupKey> {
        if self.standby != Standby::Taking {
            return Vec::new();
        }
        let mut keys = self.keys_of(self.sb_set.mirror());
        keys.retain(|key| in_hand(key) || !self.jobs.runs(key));
        keys
    }

    /// Starts them. The job is there in any case: the word of its end is owed.
    pub(super) fn take_the_rest(&mut self, keys: Vec<GroupKey>) {
        if self.standby != Standby::Taking {
            return;
        }
        for key in &keys {
            self.failures.remove(key);
        }
        self.jobs.add(Purpose::Take, keys, GroupOrder::Start);
    }

    /// Communication is up: the clock of this process counts from here.
    pub(super) fn standby_goes_on(&mut self) {
        if !self.went_on {
            return;
        }
        let patience = match &mut self.standby {
            Standby::Answered {
                gives, open_until, ..
            } => {
                *open_until = self.now + FIRST_ANSWER;
                if *gives {
                    COMPLETION
                } else {
                    LEGACY_GIVER_SHOWS
                }
            }
            Standby::Not
            | Standby::Asked(_)
            | Standby::Giving
            | Standby::Given
            | Standby::Taking => COMPLETION,
        };
        self.sb_deadline = Some(self.after(patience));
    }

    /// A legacy giver was done while this process, or a new run of it, could not take anything yet. It does
    /// not say that again, and would wait for our own for an hour.
    pub(super) fn keep_early_done(&mut self, from: &NodeName, message: &Message) {
        let goes_on = self.went_on && matches!(self.standby, Standby::Answered { .. });
        // See `leave_in_its_hands`.
        let left = self.peers.get(from).is_some_and(|peer| peer.hands.tells);
        if (goes_on || left) && message.text(field::INFO) == Some("done") {
            self.early_done = Some((from.clone(), message.clone()));
        }
    }

    /// Communication is up: what came too early counts now, in a standby that goes on. Else it is told when
    /// this run has come to rest.
    pub(super) fn take_early_done(&mut self) {
        if self.went_on && self.standby != Standby::Not {
            self.hear_early_done();
        }
    }

    /// `true`: there was one.
    pub(super) fn hear_early_done(&mut self) -> bool {
        let Some((from, message)) = self.early_done.take() else {
            return false;
        };
        self.on_ask_resources(&from, &message);
        true
    }

    /// Whether a word of a standby that an earlier process began has to wait: the other node takes it for
    /// one of the earlier process, or does not hear it, before it has reported to this one.
    pub(super) fn not_heard_yet(&self) -> bool {
        self.went_on && !self.peers.values().any(|peer| peer.reported)
    }

    /// The other node has reported: it hears this process.
    pub(super) fn heard_in_a_standby(&mut self) {
        if !self.went_on {
            return;
        }
        match self.standby {
            Standby::Giving if !self.jobs.any(|purpose| *purpose == Purpose::Give) => {
                self.released_for_standby();
            }
            Standby::Taking if !self.jobs.any(|purpose| *purpose == Purpose::Take) => {
                self.taken_in_standby();
            }
            Standby::Not
            | Standby::Asked(_)
            | Standby::Giving
            | Standby::Given
            | Standby::Answered { .. }
            | Standby::Taking => {}
        }
    }

    /// The groups that another node may be stopping for us, or starting since we gave them up.
    pub(super) fn in_other_hands(&self) -> HoldingSet {
        match self.standby {
            Standby::Giving | Standby::Given => self.sb_set,
            Standby::Answered { .. } => self.sb_set.mirror(),
            Standby::Not | Standby::Asked(_) | Standby::Taking => HoldingSet::NONE,
        }
    }

    /// What the giver said while nobody listened here is lost for good, its `done` perhaps among it: it is
    /// not waited for as long.
    pub(super) fn lost_in_a_standby(&mut self) {
        if self.went_on
            && let Standby::Answered { gives, .. } = &mut self.standby
        {
            *gives = false;
            self.sb_deadline = self.comm_up.then(|| self.after(LEGACY_GIVER_SHOWS));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back() {
        for (part, word) in Part::ALL {
            let open = OpenStandby {
                part,
                set: HoldingSet::LOCAL,
                with: NodeName::new("node2").unwrap(),
                heard: Position::from_text("3ea.1f").unwrap(),
            };
            let text = open.to_text();
            assert_eq!(text, format!("{word} local node2 3ea.1f"));
            assert_eq!(OpenStandby::from_text(&text), Some(open.clone()));
            assert_eq!(OpenStandby::from_text(&format!("{text} more")), Some(open));
        }
        for bad in [
            "",
            "gives",
            "gives none node2 1.1",
            "gives local",
            "gives local node2",
            "g local node2 1.1",
            "gives local \t 1.1",
            "gives local node2 1",
        ] {
            assert_eq!(OpenStandby::from_text(bad), None, "{bad}");
        }
    }
}
