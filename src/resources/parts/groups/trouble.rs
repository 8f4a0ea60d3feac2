//! Groups that are held and do not run here: when each is tried again, and which are given away for
//! that. [`Trouble`] says what follows from a failure.

use std::collections::BTreeSet;

use crate::clock::Monotonic;
use crate::protocol::group::GroupKey;
use crate::resources::holding::HoldingSet;
use crate::resources::parts::trouble::{MAY_HAVE_FAILED_THERE, Trouble};

use super::GroupTable;

impl GroupTable {
    /// Why the group does not run here, as far as that is known.
    pub(in crate::resources) fn trouble(&self, key: &GroupKey) -> Option<&Trouble> {
        self.rows.get(key)?.trouble.as_ref()
    }

    /// Forgets the trouble of a group. Returns whether there was any.
    pub(in crate::resources) fn forget_trouble(&mut self, key: &GroupKey) -> bool {
        let row = self.rows.get_mut(key);
        row.is_some_and(|row| row.trouble.take().is_some())
    }

    /// The same for all groups.
    pub(in crate::resources) fn forget_all_trouble(&mut self) {
        for row in self.rows.values_mut() {
            row.trouble = None;
        }
    }

    /// The group has started. Returns whether another host had its address before.
    pub(in crate::resources) fn started(&mut self, key: &GroupKey) -> bool {
        let Some(row) = self.rows.get_mut(key) else {
            return false;
        };
        row.passed_on = None;
        row.given = false;
        row.place = row.place.confirmed();
        let before = row.trouble.take();
        before.is_some_and(|trouble| trouble.is_address_taken())
    }

    /// The start of the group failed. `returns`: the node that gives it to us runs it again as soon
    /// as it can.
    pub(in crate::resources) fn did_not_start(
        &mut self,
        key: &GroupKey,
        returns: bool,
        now: Monotonic,
    ) {
        if let Some(row) = self.rows.get_mut(key) {
            let passed_on = row.passed_on.is_some();
            row.trouble = Some(Trouble::not_started(row.trouble, passed_on, returns, now));
        }
    }

    /// Another host has the address of the group.
    pub(in crate::resources) fn address_is_taken(&mut self, key: &GroupKey, now: Monotonic) {
        self.set_trouble(key, Trouble::address_taken(now));
    }

    /// The group is held and does not run for an unknown reason: it is tried here as soon as
    /// possible.
    pub(in crate::resources) fn start_when_settled(&mut self, key: &GroupKey, now: Monotonic) {
        self.set_trouble(key, Trouble::unclear(now));
    }

    /// Restarts did not help a resource of the group, and it is stopped.
    pub(in crate::resources) fn stopped_for_good(&mut self, key: &GroupKey, now: Monotonic) {
        self.set_trouble(key, Trouble::stays_down(now));
    }

    /// Whether the group was stopped for that.
    pub(in crate::resources) fn stays_down(&self, key: &GroupKey) -> bool {
        self.trouble(key).is_some_and(Trouble::is_for_good)
    }

    /// All such groups.
    pub(in crate::resources) fn down_for_good(&self) -> impl Iterator<Item = &GroupKey> {
        self.rows.keys().filter(|key| self.stays_down(key))
    }

    fn set_trouble(&mut self, key: &GroupKey, trouble: Trouble) {
        if let Some(row) = self.rows.get_mut(key) {
            row.trouble = Some(trouble);
        }
    }

    fn troubles(&mut self) -> impl Iterator<Item = &mut Trouble> {
        self.rows
            .values_mut()
            .filter_map(|row| row.trouble.as_mut())
    }

    /// Nothing is done about the group before `at`.
    pub(in crate::resources) fn waits_until(&mut self, key: &GroupKey, at: Monotonic) {
        let row = self.rows.get_mut(key);
        if let Some(trouble) = row.and_then(|row| row.trouble.as_mut()) {
            trouble.waits_until(at);
        }
    }

    /// The other node is gone, and so are its addresses: groups that were refused for that are
    /// tried at once.
    pub(in crate::resources) fn addresses_are_free(&mut self, now: Monotonic) {
        self.troubles()
            .for_each(|trouble| trouble.address_is_free(now));
    }

    /// Groups that were due and could not be tried here, because the other node had not reported,
    /// may be tried now.
    pub(in crate::resources) fn the_moment_is_good(&mut self, now: Monotonic) {
        self.troubles()
            .for_each(|trouble| trouble.moment_is_good(now));
    }

    /// The other node is settled: groups whose start failed here can be offered to it.
    pub(in crate::resources) fn somebody_can_take(&mut self, now: Monotonic) {
        self.troubles()
            .for_each(|trouble| trouble.somebody_can_take(now));
    }

    /// Groups about which something is to be done by now, by their keys, and whether each may move.
    pub(in crate::resources) fn in_trouble(&self, now: Monotonic) -> Vec<(GroupKey, bool)> {
        let due = |(key, row): (&GroupKey, &super::Row)| {
            let trouble = row
                .trouble
                .filter(|it| it.at() <= now && !it.is_for_good())?;
            Some((key.clone(), trouble.may_move()))
        };
        self.rows.iter().filter_map(due).collect()
    }

    /// When something is to be done about the first group.
    pub(in crate::resources) fn trouble_deadline(&self) -> Option<Monotonic> {
        let troubles = self.rows.values().filter_map(|row| row.trouble);
        let troubles = troubles.filter(|trouble| !trouble.is_for_good());
        troubles.map(|trouble| trouble.at()).min()
    }

    /// Whether a group that is held and does not run may be tried again by now.
    pub(in crate::resources) fn is_due(&self, key: &GroupKey, now: Monotonic) -> bool {
        let trouble = self.trouble(key);
        let due = |trouble: &Trouble| trouble.at() <= now && !trouble.is_for_good();
        !self.runs(key) && trouble.is_none_or(due)
    }

    /// Whether another host has the address of the group.
    pub(in crate::resources) fn has_address_taken(&self, key: &GroupKey) -> bool {
        self.trouble(key).is_some_and(Trouble::is_address_taken)
    }

    /// Groups that run, and of which an address is gone: all of them.
    pub(in crate::resources) fn note_absent(&mut self, groups: &BTreeSet<GroupKey>) {
        for (key, row) in &mut self.rows {
            row.absent = groups.contains(key);
        }
    }

    /// What of our duty another host does: the halves of which every group was refused because its
    /// address is taken, and all of it when nothing else is there to run.
    pub(in crate::resources) fn done_by_others(&self) -> HoldingSet {
        self.halves_of(|key| self.has_address_taken(key))
    }

    /// The same, and what runs without an address that somebody has removed: nobody is served with it here.
    pub(in crate::resources) fn not_served_here(&self) -> HoldingSet {
        let absent = |key: &GroupKey| self.rows.get(key).is_some_and(|row| row.absent);
        self.halves_of(|key| self.has_address_taken(key) || absent(key))
    }

    /// The halves of which this is true for every group, and all when it is for every group there is.
    fn halves_of(&self, is_so: impl Fn(&GroupKey) -> bool) -> HoldingSet {
        let all_of = |set| {
            let mut keys = self.of(set).peekable();
            keys.peek().is_some() && keys.all(&is_so)
        };
        if all_of(HoldingSet::ALL) {
            return HoldingSet::ALL;
        }
        [HoldingSet::LOCAL, HoldingSet::FOREIGN]
            .into_iter()
            .filter(|half| all_of(*half))
            .fold(HoldingSet::NONE, HoldingSet::with)
    }

    /// The group goes to the other node. If its start failed here, it counts as passed on for that.
    pub(in crate::resources) fn given_up(&mut self, key: &GroupKey, now: Monotonic) {
        if let Some(row) = self.rows.get_mut(key)
            && row.trouble.take().is_some()
        {
            row.passed_on = Some(now);
        }
    }

    /// The group runs here, nobody is served by it, and it goes to the other node for that.
    pub(in crate::resources) fn pass_on(&mut self, key: &GroupKey, now: Monotonic) {
        if let Some(row) = self.rows.get_mut(key) {
            row.passed_on = Some(now);
        }
    }

    /// Whether the start of the group failed here, or at the giver of a standby, and it was passed
    /// on for that. It counts until the group runs here, or is given to us by a node that reports
    /// no failure.
    pub(in crate::resources) fn is_passed_on(&self, key: &GroupKey) -> bool {
        let row = self.rows.get(key);
        row.is_some_and(|row| row.passed_on.is_some())
    }

    /// The groups come to us for another reason than a failure there, or what failed there may
    /// start by now: each may be given away again.
    pub(in crate::resources) fn forget_passed_on(&mut self) {
        for row in self.rows.values_mut() {
            row.passed_on = None;
        }
    }

    /// The other node gives `set`. Groups that `failed` names are not given back when their start
    /// fails here as well. All other groups of the set ran there, whatever happened to them here
    /// before; or, if a legacy node gives them `for_a_failure`, they may have failed there after we
    /// passed them on.
    pub(in crate::resources) fn given_to_us(
        &mut self,
        set: HoldingSet,
        failed: impl Fn(&GroupKey) -> bool,
        for_a_failure: bool,
        now: Monotonic,
    ) {
        for (key, row) in &mut self.rows {
            if set.has(row.side) {
                row.trouble = None;
                let lately = |at: &Monotonic| now.since(*at) < MAY_HAVE_FAILED_THERE;
                row.passed_on = row.passed_on.filter(|at| for_a_failure && lately(at));
            }
            if failed(key) {
                row.passed_on = Some(now);
            }
        }
    }
}
