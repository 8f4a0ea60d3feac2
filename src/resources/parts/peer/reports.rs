//! The questions, reports and offers of a node, and how long it is asked for its report.
//! Spec: docs/protocol/resources.md, 4 and 5.2.

use crate::clock::Monotonic;
use crate::protocol::field;
use crate::protocol::links::TheirLinks;
use crate::protocol::message::Message;
use crate::protocol::question::Position;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::names::read_names;
use crate::resources::parts::peer::Peer;

/// How a report relates to what we knew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Heard {
    /// It is the first full report of its run, or no full one has come yet.
    pub(in crate::resources) first: bool,
    /// It is full and answers a question: it did not come unasked, or messages were lost.
    pub(in crate::resources) asked: bool,
    /// We saw its sender begin, and the sender is a full member by now.
    pub(in crate::resources) fresh: bool,
}

/// The result of asking a node again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) enum Patience {
    /// Its report is expected soon.
    Waits,
    /// The node was asked for long enough: for the first time it counts as one that does not
    /// report.
    Ended,
    /// The same, some seconds later: that is to be logged.
    Mute,
    /// The same, at another time.
    Over,
}

/// Questions beyond those after which a node counts as one that does not report, before that is logged: five
/// seconds more. A legacy node that is busy with its own start answers late.
const MORE_BEFORE_MUTE: u8 = 1;

/// The names of its groups, and its haresources.
impl Peer {
    /// Reads the names of its groups from a message.
    pub(in crate::resources) fn names_groups(&mut self, message: &Message) {
        let at = Position::of(message);
        if at < self.newest.names {
            return;
        }
        self.counts_by(message);
        let full = message.text(field::RTYPE) == Some("full");
        let names = message.text(field::NAMES);
        if full || names.is_some() {
            self.newest.names = at;
            self.says.names = names.and_then(read_names);
        }
    }

    /// Reads from a message by which owners it counts, if the message tells.
    pub(in crate::resources) fn counts_by(&mut self, message: &Message) {
        if let Some(mark) = message.text(field::HARESOURCES) {
            self.says.owners = Some(mark.to_owned());
        }
    }
}

/// Its interfaces for the service addresses.
impl Peer {
    /// A status of it says whether they are up.
    pub(in crate::resources) fn links_told(&mut self, links: Option<TheirLinks>, now: Monotonic) {
        self.says.links = links.map(|links| (now, links));
    }

    /// What it said last, and when; `None`: it does not tell.
    pub(in crate::resources) fn links(&self) -> Option<(Monotonic, &TheirLinks)> {
        self.says.links.as_ref().map(|(at, links)| (*at, links))
    }
}

impl Peer {
    /// Whether a report is older than one that was received before.
    pub(in crate::resources) fn has_said_more_than(&self, report: Position) -> bool {
        report < self.newest.report
    }

    /// A report was received. `knows_us`: it was sent after its sender received this run of ours.
    /// `stale`: it was not, and that matters.
    pub(in crate::resources) fn reports(
        &mut self,
        report: &Message,
        knows_us: bool,
        stale: bool,
    ) -> Heard {
        let at = Position::of(report);
        let full = report.text(field::RTYPE) == Some("full");
        let stable = report.text(field::IS_STABLE);
        let info = report.text(field::INFO);
        let exchange = &mut self.exchange;
        self.newest.report = at;
        exchange.unsettled = full && stable == Some("0") && info.is_none();
        // A legacy node that is asked while it stops everything answers without that word.
        let goes_on = self.run.leaving && stable != Some("1");
        self.run.leaving = info == Some("shutdown") || goes_on;
        // A node that received our `starting` takes us for unsettled until we report.
        let waits = !exchange.reported && exchange.asked > 0;
        let lost = full && std::mem::take(&mut exchange.lost);
        let first = !exchange.reported;
        if knows_us && full && self.can.echoes {
            exchange.knows_us_since.get_or_insert(at);
        }
        exchange.reported |= full && !stale;
        Heard {
            first,
            asked: full && (waits || lost),
            fresh: exchange.fresh && self.status == Some(NodeStatus::Active),
        }
    }

    /// Records what a report says that the node holds.
    pub(in crate::resources) fn holds_now(&mut self, set: HoldingSet, full: bool, stale: bool) {
        let says = &mut self.says;
        says.holds = says.holds.updated(set, full);
        says.claims = if stale {
            says.claims.with(set)
        } else {
            says.claims.updated(set, full)
        };
    }

    /// Messages of the node were lost for good. `false`: it has left, and is not asked.
    pub(in crate::resources) const fn words_lost(&mut self) -> bool {
        if self.run.left {
            return false;
        }
        if self.exchange.reported {
            self.exchange.asked = 0;
        }
        self.exchange.lost = true;
        true
    }

    /// The node is asked for the first time, or again from the beginning.
    pub(in crate::resources) const fn is_asked(&mut self) {
        self.exchange.asked = 1;
    }

    /// Whether our `starting` was not repeated for it yet, and its report has not come. If so, it
    /// counts as repeated now.
    pub(in crate::resources) const fn is_asked_first(&mut self) -> bool {
        let first = !self.exchange.reported && self.exchange.asked == 0;
        if first {
            self.is_asked();
        }
        first
    }

    /// Whether it is a full member whose report is missing.
    pub(in crate::resources) fn owes_a_report(&self) -> bool {
        let told = self.exchange.reported && !self.exchange.lost && !self.hands.must_report();
        !told && !self.run.left && self.is_active()
    }

    /// Whether our `starting` was repeated for it.
    pub(in crate::resources) const fn was_asked(&self) -> bool {
        self.exchange.asked > 0
    }

    /// The node is asked again. `most`: after so many questions it counts as one that does not
    /// report.
    pub(in crate::resources) const fn asked_again(&mut self, most: u8) -> Patience {
        let exchange = &mut self.exchange;
        let patient = exchange.asked < most;
        let called_mute = exchange.asked == most.saturating_add(MORE_BEFORE_MUTE);
        exchange.asked = exchange.asked.saturating_add(1);
        if patient {
            Patience::Waits
        } else if std::mem::replace(&mut exchange.called_mute, true) {
            if called_mute {
                Patience::Mute
            } else {
                Patience::Over
            }
        } else {
            Patience::Ended
        }
    }

    /// The node has sent that it started what it was given: its report is expected. Spec:
    /// docs/protocol/resources.md, 7.4.
    pub(in crate::resources) const fn has_started(&mut self, set: HoldingSet, done: Position) {
        self.hands.started(set, done);
        self.exchange.asked = 0;
    }

    /// Whether a full report of its present run came after our `starting`.
    pub(in crate::resources) const fn has_reported(&self) -> bool {
        self.exchange.reported
    }

    /// Whether its last report said that it is not settled.
    pub(in crate::resources) const fn is_unsettled(&self) -> bool {
        self.exchange.unsettled
    }

    /// What its last report says that it holds.
    pub(in crate::resources) const fn holds(&self) -> HoldingSet {
        self.says.holds
    }

    /// What it may hold as long as it lives in its present run.
    pub(in crate::resources) const fn claims(&self) -> HoldingSet {
        self.says.claims
    }

    /// It takes this set, or may, and does not receive our next run for a while.
    pub(in crate::resources) const fn may_claim(&mut self, set: HoldingSet) {
        self.says.claims = self.says.claims.with(set);
    }

    /// The position of its newest report.
    pub(in crate::resources) const fn newest_report(&self) -> Position {
        self.newest.report
    }

    /// It asks what we hold.
    pub(in crate::resources) fn asks(&mut self, at: Position) {
        self.newest.question = self.newest.question.max(Some(at));
    }

    /// It requests a group.
    pub(in crate::resources) fn requests(&mut self, at: Position) {
        self.newest.request = self.newest.request.max(Some(at));
    }

    /// It offers a set in a standby. `false`: it has offered something else since, or we began anew
    /// since and it knows that: its offer has ended with our earlier run, whose messages may still
    /// be on their way.
    pub(in crate::resources) fn offers(&mut self, at: Position) -> bool {
        if Some(at) < self.exchange.knows_us_since {
            return false;
        }
        let newest = Some(at) >= self.newest.offer;
        self.newest.offer = self.newest.offer.max(Some(at));
        newest
    }

    /// Its newest question.
    pub(in crate::resources) fn question(&self) -> Position {
        self.newest.question.unwrap_or_default()
    }

    /// Its newest request for a group.
    pub(in crate::resources) fn request(&self) -> Position {
        self.newest.request.unwrap_or_default()
    }

    /// Its newest offer.
    pub(in crate::resources) const fn offer(&self) -> Option<Position> {
        self.newest.offer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::question::ECHO;

    fn report(at: &str, stable: &str) -> Message {
        let (generation, seq) = at.split_once('.').unwrap();
        Message::new("resource")
            .with(field::HG, generation)
            .with(field::SEQ, seq)
            .with(field::RTYPE, "full")
            .with(field::IS_STABLE, stable)
    }

    #[test]
    fn a_report_is_asked_for_or_comes_by_itself() {
        let mut peer = Peer::default();
        let heard = peer.reports(&report("1.1", "0"), true, false);
        assert!(heard.first && !heard.asked && peer.is_unsettled());
        assert!(peer.words_lost());
        let heard = peer.reports(&report("1.2", "1"), true, false);
        assert!(!heard.first && heard.asked && !peer.is_unsettled());
        peer.forget();
        assert!(peer.is_asked_first() && !peer.is_asked_first());
        let stale = peer.reports(&report("1.3", "1"), false, true);
        assert!(stale.first && stale.asked && !peer.has_reported());
        peer.leaves();
        assert!(!peer.words_lost());
    }

    #[test]
    fn that_a_node_does_not_report_is_said_once() {
        let mut peer = Peer::default();
        peer.status_changed(NodeStatus::Init, NodeStatus::Active);
        assert!(peer.owes_a_report());
        let asked = [(); 5].map(|()| peer.asked_again(2));
        assert_eq!(
            asked,
            [
                Patience::Waits,
                Patience::Waits,
                Patience::Ended,
                Patience::Mute,
                Patience::Over
            ]
        );
    }

    #[test]
    fn an_offer_from_before_our_run_is_none() {
        let at = |text| Position::from_text(text).unwrap();
        let mut peer = Peer::default();
        peer.understands(Some(ECHO));
        assert!(peer.offers(at("1.2")));
        assert!(!peer.offers(at("1.1")), "an older one");
        peer.forget();
        peer.reports(&report("1.7", "1"), true, false);
        assert!(!peer.offers(at("1.5")), "it knew our run only later");
        assert!(peer.offers(at("1.8")));
    }
}
