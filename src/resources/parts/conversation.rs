//! The standby of this node, and the requests that wait for the end of our own scripts.
//! Spec: docs/protocol/resources.md, 6, [D] (a), and 7.

use crate::clock::Monotonic;
use crate::protocol::name::NodeName;
use crate::protocol::question::Position;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::standby::Standby;

/// A request that waits for the end of our own scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::resources) struct Request {
    set: HoldingSet,
    until: Monotonic,
    forced: bool,
}

impl Request {
    /// A request for `set`, from the view of the giver, that waits until `until`. `forced`:
    /// although haresources differ.
    pub(in crate::resources) const fn new(set: HoldingSet, until: Monotonic, forced: bool) -> Self {
        Self { set, until, forced }
    }

    /// The set to be given, from the view of the giver.
    pub(in crate::resources) const fn set(&self) -> HoldingSet {
        self.set
    }

    /// Whether a person wants it although haresources differ.
    pub(in crate::resources) const fn forced(&self) -> bool {
        self.forced
    }
}

/// The standby of this node, and the requests for the next one.
#[derive(Debug)]
pub(in crate::resources) struct Conversation {
    state: Standby,
    continued: bool,
    wanted: Option<Request>,
    offered: Option<(NodeName, Request)>,
}

impl Conversation {
    /// No standby is open, and no request waits.
    pub(in crate::resources) const fn new() -> Self {
        Self {
            state: Standby::Idle { answered: None },
            continued: false,
            wanted: None,
            offered: None,
        }
    }

    /// The state of the standby.
    pub(in crate::resources) const fn state(&self) -> &Standby {
        &self.state
    }

    /// Whether no standby is open.
    pub(in crate::resources) const fn is_idle(&self) -> bool {
        matches!(self.state, Standby::Idle { .. })
    }

    /// Enters a state because of a message or of work of this process.
    pub(in crate::resources) fn enters(&mut self, state: Standby) {
        self.state = state;
        self.continued = false;
    }

    /// Enters the state that an earlier process or core left, see `left_open.rs`.
    pub(in crate::resources) fn continues(&mut self, state: Standby) {
        self.state = state;
        self.continued = true;
    }

    /// Whether an earlier process or core began this standby, and its state has not changed since.
    pub(in crate::resources) const fn is_continued(&self) -> bool {
        self.continued
    }

    /// Everything is released: ends the standby and drops all requests.
    pub(in crate::resources) fn release(&mut self) {
        *self = Self::new();
    }

    /// Our offer was sent.
    pub(in crate::resources) const fn offer_sent(&mut self, position: Position) {
        match &mut self.state {
            Standby::Offered { sent, .. }
            | Standby::Giving { sent, .. }
            | Standby::Given { sent, .. } => *sent = Some(position),
            Standby::Idle { .. } | Standby::Accepted { .. } | Standby::Taking { .. } => {}
        }
    }

    /// Records whether the giver has shown that it gives. It has not, when its messages are lost.
    pub(in crate::resources) const fn shows(&mut self, shown: bool) {
        if let Standby::Accepted { gives, .. } = &mut self.state {
            *gives = shown;
        }
    }

    /// Records until when the giver keeps its offer open.
    pub(in crate::resources) const fn offer_is_open(&mut self, until: Monotonic) {
        if let Standby::Accepted { open_until, .. } = &mut self.state {
            *open_until = until;
        }
    }

    /// Forgets the answered offer: the other node has lost its state.
    pub(in crate::resources) fn forget_answer(&mut self) {
        match &mut self.state {
            Standby::Idle { answered }
            | Standby::Accepted { answered, .. }
            | Standby::Taking { answered, .. } => *answered = None,
            Standby::Offered { .. } | Standby::Giving { .. } | Standby::Given { .. } => {}
        }
    }

    /// Keeps the request of a local program until our own scripts have ended.
    pub(in crate::resources) const fn ask_later(&mut self, request: Request) {
        self.wanted = Some(request);
    }

    /// Keeps the offer of another node until our own scripts have ended.
    pub(in crate::resources) fn answer_later(&mut self, from: &NodeName, request: Request) {
        self.offered = Some((from.clone(), request));
    }

    /// The same for a node that ignores its own second offer while the first is open.
    pub(in crate::resources) fn answer_first_later(
        &mut self,
        from: &NodeName,
        request: Request,
        now: Monotonic,
    ) {
        let open = |(_, first): &(NodeName, Request)| now < first.until;
        if !self.offered.as_ref().is_some_and(open) {
            self.answer_later(from, request);
        }
    }

    /// Drops requests that have waited too long.
    pub(in crate::resources) fn forget_late_requests(&mut self, now: Monotonic) {
        self.wanted = self.wanted.filter(|request| request.until > now);
        self.offered.take_if(|(_, request)| request.until <= now);
    }

    /// Drops the offer of the other node: it has lost its state.
    pub(in crate::resources) fn forget_offered(&mut self) {
        self.offered = None;
    }

    /// Drops all requests: no standby begins any more.
    pub(in crate::resources) fn forget_requests(&mut self) {
        self.wanted = None;
        self.offered = None;
    }

    /// The node that waits for an answer to its offer.
    pub(in crate::resources) fn offered_by(&self) -> Option<&NodeName> {
        self.offered.as_ref().map(|(from, _)| from)
    }

    /// Whether a request of a local program waits.
    pub(in crate::resources) const fn is_wanted(&self) -> bool {
        self.wanted.is_some()
    }

    /// Takes the offer of another node that waits.
    pub(in crate::resources) const fn take_offered(&mut self) -> Option<(NodeName, Request)> {
        self.offered.take()
    }

    /// Takes the request of a local program that waits.
    pub(in crate::resources) const fn take_wanted(&mut self) -> Option<Request> {
        self.wanted.take()
    }

    /// When the first of the requests has waited too long.
    pub(in crate::resources) fn requests_until(&self) -> Option<Monotonic> {
        let wanted = self.wanted.map(|request| request.until);
        let offered = self.offered.as_ref().map(|(_, request)| request.until);
        [wanted, offered].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(seconds * 1000)
    }

    fn request(until: u64) -> Request {
        Request::new(HoldingSet::LOCAL, at(until), false)
    }

    fn node() -> NodeName {
        NodeName::new("node2").unwrap()
    }

    #[test]
    fn a_legacy_giver_keeps_its_first_offer_while_that_is_open() {
        let mut standby = Conversation::new();
        for (now, until) in [(0, 9), (5, 14)] {
            standby.answer_first_later(&node(), request(until), at(now));
            assert_eq!(standby.requests_until(), Some(at(9)));
        }
        standby.answer_first_later(&node(), request(18), at(9));
        assert_eq!(standby.take_offered(), Some((node(), request(18))));
        assert_eq!(standby.offered_by(), None);
    }

    #[test]
    fn requests_wait_no_longer_than_their_time() {
        let mut standby = Conversation::new();
        standby.ask_later(request(60));
        standby.answer_later(&node(), request(9));
        standby.forget_late_requests(at(9));
        assert_eq!(standby.offered_by(), None);
        assert_eq!(standby.requests_until(), Some(at(60)));
        standby.forget_late_requests(at(60));
        assert_eq!(standby.take_wanted(), None);
    }

    #[test]
    fn a_state_that_is_entered_is_of_this_process() {
        let mut standby = Conversation::new();
        let (set, answered) = (HoldingSet::LOCAL, None);
        standby.continues(Standby::Taking { set, answered });
        assert!(standby.is_continued() && !standby.is_idle());
        standby.enters(Standby::Idle { answered: None });
        assert!(!standby.is_continued() && standby.is_idle());
    }

    #[test]
    fn a_release_leaves_nothing_open() {
        let mut standby = Conversation::new();
        standby.ask_later(request(60));
        standby.answer_later(&node(), request(9));
        let (set, answered) = (HoldingSet::LOCAL, None);
        standby.continues(Standby::Taking { set, answered });
        standby.release();
        assert!(standby.is_idle() && !standby.is_continued());
        assert_eq!(standby.requests_until(), None);
    }

    /// An offer gets its number when it comes back to us: only a state that still waits for its
    /// answer keeps that.
    #[test]
    fn an_offer_is_known_by_its_place() {
        let mut standby = Conversation::new();
        let place = Position::from_text("1.5").unwrap();
        standby.offer_sent(place);
        assert_eq!(standby.state().offer(), None);
        let (set, sent) = (HoldingSet::LOCAL, None);
        standby.enters(Standby::Giving {
            set,
            sent,
            since: None,
        });
        standby.offer_sent(place);
        assert_eq!(standby.state().offer(), Some(place));
    }
}
