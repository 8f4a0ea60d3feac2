//! Asking for lost messages: one timer per missing number. Spec: docs/protocol/wire.md, 14.1.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;

use super::name::Sequence;
use crate::clock::Monotonic;

/// Shortest pause before the first request: plain reordering shall cause no request.
const FIRST_REQUEST_MIN: Duration = Duration::from_millis(50);
/// Below this `max_rexmit_delay` the first request may come at once.
const SHORT_DELAY: Duration = Duration::from_millis(100);

/// Shortest pause between two requests, whatever ha.cf says: a pause of 0 would cause an endless
/// loop.
const SHORTEST_REPEAT: Duration = Duration::from_millis(10);

/// The open requests to one node. There are as many as numbers missing in its window, at most
/// [`MAX_MISSING`](super::sequence::MAX_MISSING).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Requests {
    due: BTreeMap<Sequence, Monotonic>,
}

impl Requests {
    /// Arms the timer of every number in `first..=last`, each after its own random pause.
    pub fn schedule(
        &mut self,
        first: Sequence,
        last: Sequence,
        max_delay: Duration,
        now: Monotonic,
        rng: &mut StdRng,
    ) {
        let shortest = if max_delay < SHORT_DELAY {
            Duration::ZERO
        } else {
            FIRST_REQUEST_MIN
        };
        for number in first.0..=last.0 {
            let pause = rng.random_range(shortest..=max_delay);
            self.due.insert(Sequence(number), now + pause);
        }
    }

    /// Forgets the request for one number.
    pub fn cancel(&mut self, seq: Sequence) {
        self.due.remove(&seq);
    }

    /// Forgets all requests.
    pub fn clear(&mut self) {
        self.due.clear();
    }

    /// Numbers to ask for by `now`; their timers are armed again, `max_delay` later.
    pub fn due(&mut self, max_delay: Duration, now: Monotonic) -> Vec<Sequence> {
        let max_delay = max_delay.max(SHORTEST_REPEAT);
        let mut ask = Vec::new();
        for (seq, at) in &mut self.due {
            if *at <= now {
                ask.push(*seq);
                *at = now + max_delay;
            }
        }
        ask
    }

    /// When the next request is due.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.due.values().min().copied()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const DELAY: Duration = Duration::from_millis(250);

    #[test]
    fn the_first_request_waits_for_reordering_and_repeats_come_exactly() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut requests = Requests::default();
        requests.schedule(Sequence(2), Sequence(101), DELAY, Monotonic::ZERO, &mut rng);
        assert!(requests.due(DELAY, Monotonic::from_millis(49)).is_empty());
        let mut at_50_to_150 = 0;
        for ms in 50..=150 {
            at_50_to_150 += requests.due(DELAY, Monotonic::from_millis(ms)).len();
        }
        assert!((20..80).contains(&at_50_to_150), "spread: {at_50_to_150}");
        for ms in 151..=250 {
            requests.due(DELAY, Monotonic::from_millis(ms));
        }
        let first = requests.next_deadline().unwrap();
        assert!(first >= Monotonic::from_millis(300), "all asked once");
        let asked = requests.due(DELAY, first);
        assert!(!asked.is_empty());
        let again = requests.due(DELAY, first + DELAY);
        assert!(asked.iter().all(|seq| again.contains(seq)));
    }

    #[test]
    fn a_short_delay_has_no_lower_bound() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut requests = Requests::default();
        let delay = Duration::from_millis(99);
        requests.schedule(Sequence(2), Sequence(200), delay, Monotonic::ZERO, &mut rng);
        assert!(requests.next_deadline().unwrap() < Monotonic::from_millis(10));
    }

    #[test]
    fn a_cancelled_number_is_not_asked_for() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut requests = Requests::default();
        requests.schedule(Sequence(2), Sequence(3), DELAY, Monotonic::ZERO, &mut rng);
        requests.cancel(Sequence(2));
        assert_eq!(
            requests.due(DELAY, Monotonic::from_millis(250)),
            [Sequence(3)]
        );
        requests.clear();
        assert_eq!(requests.next_deadline(), None);
    }
}
