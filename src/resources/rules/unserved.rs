//! Groups that run here and whose addresses nobody reaches here go to the other node, by the handshake of a
//! standby: it starts them when they are stopped here. When a group counts as such: `parts/unserved.rs`.

use crate::resources::parts::standby::Wish;
use crate::resources::parts::unserved::Unserved;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Offers the half of the first group that is to move and may.
    pub(in crate::resources) fn unserved_overdue(&mut self) {
        if !self.groups.reach().may_offer(self.now) {
            return;
        }
        let mut wanted = self.unserved().into_iter();
        let Some((key, side)) =
            wanted.find_map(|(key, side, gate)| Some((key, side)).filter(|_| gate.is_ok()))
        else {
            return;
        };
        let cause = match self.groups.reach().failed(&key, self.now) {
            Some(Unserved::Removed) => {
                format!("an address of group {key} is removed here again and again")
            }
            Some(Unserved::Down(_)) | None => {
                format!("an interface of the addresses of group {key} is down here")
            }
        };
        self.groups.reach_mut().offers(self.now);
        self.warn(format!("{cause}: {side} resources move to the other node"));
        self.begin_standby(side, Wish::NotStarted, &cause);
    }
}
