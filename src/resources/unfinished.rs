//! Groups whose start or stop was in hand when the process or its core began anew: nobody knows
//! whether they run. Each is brought to where the node's word says that it belongs.
//!
//! | The group's side | Order | Because |
//! |---|---|---|
//! | is held | start | the others count on us, whether it was being started or stopped: the new generation ends every hand-over |
//! | is not held | stop | we have said that we give it up, and say that it is gone only after that |
//!
//! Both are safe to give twice: a start asks the scripts first, and a stop of what does not run
//! succeeds. The actors wait for scripts of the earlier daemon first.

use super::holding::HoldingSet;
use super::jobs::Purpose;
use super::state::ResourceState;
use crate::protocol::event::GroupOrder;
use crate::protocol::group::GroupKey;

impl ResourceState {
    /// Call after [`resume`](Self::resume). Keys that are not ours are left out.
    pub fn finish(&mut self, unfinished: impl IntoIterator<Item = GroupKey>) {
        let (mut starts, mut stops) = (Vec::new(), Vec::new());
        let mut releasing = HoldingSet::NONE;
        for key in unfinished {
            let Some(group) = self.groups.iter().find(|group| group.key == key) else {
                continue;
            };
            let side = self.side_of(group);
            self.jobs.note_running(&key);
            self.failures.remove(&key);
            // Without reports there is no word: who asked for it asks again.
            if !self.nice() || self.mine.has(side) {
                starts.push(key);
            } else {
                releasing = releasing.with(side);
                stops.push(key);
            }
        }
        for (what, keys) in [("start", &starts), ("stop", &stops)] {
            for key in keys {
                self.decide(
                    format!("orders group {key} to {what}"),
                    "an order for it was in hand when the process or its core began anew",
                );
            }
        }
        if !starts.is_empty() {
            self.jobs.add(Purpose::Retry, starts, GroupOrder::Start);
        }
        if !stops.is_empty() {
            // Whoever asks meanwhile hears that it is not released yet.
            self.releasing = releasing;
            self.jobs.add(Purpose::Give, stops, GroupOrder::Stop);
        }
    }
}
