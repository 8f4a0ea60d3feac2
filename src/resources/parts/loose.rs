//! A legacy node whose messages no longer match its groups. It does not serialise its takeovers and
//! failbacks with the scripts that run: work that waited behind a script is done later, whatever
//! was handed over meanwhile, and its messages about a hand-over come in the wrong order.
//!
//! | What is seen | What we do |
//! |---|---|
//! | its `info=standby` comes after a newer report | it gives all the same: its `done` is waited for |
//! | its `mach_down`, while we hold our groups | it has started them, and releases nothing: we yield |
//! | the same, while we take our groups from it | the same, and it gives them anew: we begin anew |
//! | the same, while we hold its groups or take those | it now does the work that waited, including the start of its own groups, and never reports that: we offer them back |
//! | it claims what we have taken meanwhile, or what an earlier process or core of ours had taken | it is asked when our work is done, and once more, because its first report may be older than the question; if it claims its own groups still, it runs them, and we release them |
//! | the same, and the network has refused every group of that half to us | it serves: we claim it no longer |
//! | a `done` for which no standby waits | it is asked. If it does not hold the set, it has released it for an earlier run of ours, and waits for our `done` for an hour: we take the set. If it reports that it holds its own groups, it has just started them for an earlier run of ours: we release those |
//! | the same, and we hold what it would have released | a script of an earlier standby has ended, and may have started those groups: we offer them, once |

use std::time::Duration;

use crate::clock::Monotonic;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::behind_scripts::Scripts;

/// Pause before an offer that was not answered is repeated, at first; doubled each time. A node
/// that hangs in a standby of its own does so for an hour, and an open offer blocks everything
/// else.
const OFFER_AGAIN: Duration = Duration::from_secs(15);

/// The longest pause between two offers.
const OFFER_RARELY: Duration = Duration::from_secs(600);

/// What is open with a legacy node. It is done when no other work is under way.
#[derive(Debug, Default)]
pub(in crate::resources) struct Loose {
    /// How often the node was asked about what both nodes claim.
    asked: u8,
    /// A giver's `done` that came before communication was up, or while messages were read that had
    /// waited: it is not sent again.
    early_done: Option<(NodeName, Message)>,
    /// A `done` for which no standby waited: its sender, the set, and the message.
    late_done: Option<(NodeName, HoldingSet, Message)>,
    /// The node may have started its own groups, which we hold: they are offered to it then.
    offer_back_at: Option<Monotonic>,
    /// The pause after the next offer; `None`: no offer was made yet.
    offer_pause: Option<Duration>,
    /// What a script of an earlier standby may have started beside us.
    older_start: HoldingSet,
    /// Whether the node's scripts have ended.
    scripts: Scripts,
}

impl Loose {
    /// There is no legacy node, or it leaves. Only its early `done` is kept until this run is at
    /// rest.
    pub(in crate::resources) fn forget(&mut self) {
        *self = Self {
            early_done: self.early_done.take(),
            ..Self::default()
        };
    }

    /// Whether the node's scripts have ended.
    pub(in crate::resources) const fn scripts(&self) -> Scripts {
        self.scripts
    }

    /// The same, to change it.
    pub(in crate::resources) const fn scripts_mut(&mut self) -> &mut Scripts {
        &mut self.scripts
    }

    /// We hold what the node was asked for.
    pub(in crate::resources) const fn scripts_matter_no_more(&mut self) {
        self.scripts = Scripts::Unknown;
    }

    /// No group is claimed by both nodes.
    pub(in crate::resources) const fn nothing_is_claimed_twice(&mut self) {
        self.asked = 0;
    }

    /// The node claims the same after it was asked. `Some(true)`: that was its answer. `Some(false)`: it may have been sent
    /// before the question, and the node is to be asked once more. `None`: it was not asked.
    pub(in crate::resources) const fn claims_still(&mut self) -> Option<bool> {
        match self.asked {
            0 => None,
            1 => {
                self.asked = 2;
                Some(false)
            }
            _ => Some(true),
        }
    }

    /// Its answer came while other work was under way: it is asked anew after that.
    pub(in crate::resources) const fn asks_anew(&mut self) {
        self.asked = 0;
    }

    /// Whether the node is to be asked about what both claim. `true` only once.
    pub(in crate::resources) const fn asks(&mut self) -> bool {
        let first = self.asked == 0;
        if first {
            self.asked = 1;
        }
        first
    }

    /// The node's `done` came before communication was up.
    pub(in crate::resources) fn keep_early_done(&mut self, from: &NodeName, done: Message) {
        self.early_done = Some((from.clone(), done));
    }

    /// Takes that `done`, to handle it now.
    pub(in crate::resources) const fn take_early_done(&mut self) -> Option<(NodeName, Message)> {
        self.early_done.take()
    }

    /// The node's standby is over.
    pub(in crate::resources) fn forget_early_done(&mut self) {
        self.early_done = None;
    }

    /// No standby waited for the node's `done`: its next report decides.
    pub(in crate::resources) fn keep_late_done(
        &mut self,
        from: &NodeName,
        set: HoldingSet,
        done: Message,
    ) {
        self.late_done = Some((from.clone(), set, done));
    }

    /// A full report of `from` came. Returns what its late `done` was about. The `done` is kept
    /// until the report is newer.
    pub(in crate::resources) fn late_done_of(
        &mut self,
        from: &NodeName,
        report: Position,
    ) -> Option<(HoldingSet, Message)> {
        let (giver, set, done) = self.late_done.take()?;
        if giver != *from {
            return None;
        }
        if report < Position::of(&done) {
            self.late_done = Some((giver, set, done));
            return None;
        }
        Some((set, done))
    }

    /// The node may have started its own groups beside us.
    pub(in crate::resources) const fn may_have_started_its_own(&mut self, now: Monotonic) {
        self.offer_back_at = Some(now);
    }

    /// Whether its groups are to be offered to it now.
    pub(in crate::resources) fn offers_back(&self, now: Monotonic) -> bool {
        self.offer_back_at.is_some_and(|at| at <= now)
    }

    /// Its groups are offered to it. The pauses before further offers grow.
    pub(in crate::resources) fn offer_back(&mut self, now: Monotonic) {
        let pause = self.offer_pause.unwrap_or(OFFER_AGAIN);
        self.offer_back_at = Some(now + pause);
        self.offer_pause = Some(pause.saturating_mul(2).min(OFFER_RARELY));
    }

    /// The node takes its groups, or we no longer hold them: groups that a person brings here later
    /// are not offered once more.
    pub(in crate::resources) const fn offered_back(&mut self) {
        self.offer_back_at = None;
        self.offer_pause = None;
    }

    /// When its groups are offered the next time. A time that has passed waits until this node is
    /// at rest, and needs no timer.
    pub(in crate::resources) fn deadline(&self, now: Monotonic) -> Option<Monotonic> {
        self.offer_back_at.filter(|at| *at > now)
    }

    /// A script of an earlier standby may have started this set beside us.
    pub(in crate::resources) const fn note_older_start(&mut self, set: HoldingSet) {
        self.older_start = set;
    }

    /// Whether a script may have done so.
    pub(in crate::resources) const fn has_older_start(&self) -> bool {
        !self.older_start.is_none()
    }

    /// Takes the set that is offered for that, once.
    pub(in crate::resources) const fn take_older_start(&mut self) -> HoldingSet {
        std::mem::replace(&mut self.older_start, HoldingSet::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::field;

    fn t(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn done(at: &str) -> Message {
        let (generation, seq) = at.split_once('.').unwrap();
        Message::new("ask_resources")
            .with(field::HG, generation)
            .with(field::SEQ, seq)
    }

    #[test]
    fn an_offer_is_repeated_ever_more_rarely() {
        let mut loose = Loose::default();
        assert!(!loose.offers_back(t(0)));
        loose.may_have_started_its_own(t(1));
        let mut now = t(1);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert!(loose.offers_back(now) && loose.deadline(now).is_none());
            loose.offer_back(now);
            let next = loose.deadline(now).unwrap();
            pauses.push(next.since(now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [15, 30, 60, 120, 240, 480, 600]);
        loose.offered_back();
        assert_eq!(loose.deadline(t(0)), None);
    }

    #[test]
    fn a_late_done_waits_for_a_newer_report_of_its_sender() {
        let [b, c] = ["b", "c"].map(|name| NodeName::new(name).unwrap());
        let at = |text| Position::from_text(text).unwrap();
        let mut loose = Loose::default();
        loose.keep_late_done(&b, HoldingSet::LOCAL, done("1.5"));
        assert_eq!(loose.late_done_of(&b, at("1.4")), None);
        let told = loose.late_done_of(&b, at("1.6"));
        assert_eq!(told, Some((HoldingSet::LOCAL, done("1.5"))));
        loose.keep_late_done(&b, HoldingSet::LOCAL, done("1.5"));
        assert_eq!(loose.late_done_of(&c, at("1.6")), None);
        assert_eq!(loose.late_done_of(&b, at("1.6")), None);
    }

    #[test]
    fn an_early_done_outlives_the_node_it_came_from() {
        let b = NodeName::new("b").unwrap();
        let mut loose = Loose::default();
        loose.keep_early_done(&b, done("1.5"));
        loose.note_older_start(HoldingSet::FOREIGN);
        assert!(loose.asks() && !loose.asks());
        loose.forget();
        assert!(!loose.has_older_start() && loose.asks());
        assert_eq!(loose.take_early_done(), Some((b, done("1.5"))));
        assert_eq!(loose.take_early_done(), None);
    }
}
