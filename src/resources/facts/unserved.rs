//! Whether the other node can serve what this one cannot: by what it tells of its interfaces.

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::protocol::links::Link;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::unserved::Unserved;
use crate::resources::state::ResourceState;

impl ResourceState {
    /// Whether the other node can serve the half of a group whose addresses nobody reaches here: it has told since
    /// then that its interfaces are up. Where it tells nothing, the setting decides.
    pub(in crate::resources) fn is_served_there(&self, key: &GroupKey, half: HoldingSet) -> bool {
        let reach = self.groups.reach();
        let since = match reach.failed(key, self.now) {
            Some(Unserved::Down(since)) => since,
            Some(Unserved::Removed) => Monotonic::ZERO,
            None => return false,
        };
        let Some((_, peer)) = self.other.node() else {
            return false;
        };
        let Some((at, links)) = peer.links() else {
            return reach.goes_unasked();
        };
        let mut groups = self.groups.of(half);
        at >= since && groups.all(|key| links.of(key) == Link::Up)
    }

    /// Whether the other node tells that an interface of a group of the set is down there.
    pub(in crate::resources) fn is_down_there(&self, set: HoldingSet) -> bool {
        let links = self.other.node().and_then(|(_, peer)| peer.links());
        let mut groups = self.groups.of(set);
        links.is_some_and(|(_, links)| groups.any(|key| links.of(key) == Link::Down))
    }
}
