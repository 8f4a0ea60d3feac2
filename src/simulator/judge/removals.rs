//! How long an address may be gone that somebody has removed: the rule of docs/addresses.md, kept here a second time
//! and apart from the guard.
//!
//! An address is there again within a moment (the grace of `words.rs`), also the thirtieth time within a minute. After
//! that its group counts as failed: it may be gone for five seconds from the last time that it was put back, then for ten,
//! and for a minute at most. When it has been there for a minute it begins anew.

use std::collections::VecDeque;

use super::super::ids::{GroupId, HostId, Table};
use super::super::plan::Plan;
use super::{Micros, SECOND};

/// More often than that within a minute is too often.
const MANY: usize = 30;

/// A minute, by a clock that may be too slow.
const MINUTE: Micros = 61 * SECOND;

const FIRST_PAUSE: Micros = 5 * SECOND;
const LAST_PAUSE: Micros = 60 * SECOND;

/// So long a host asks no more about an address that it has found on another host.
const TAKEN_AGAIN: Micros = 5 * SECOND;

/// The judge looks once a second, and may do so a moment after each of several removals.
const JUST_NOW: Micros = SECOND / 2;

#[derive(Debug, Clone, Default)]
struct Record {
    /// Somebody removed it last then.
    removed: Option<Micros>,
    put_back: VecDeque<Micros>,
    /// It may be gone until then.
    until: Micros,
    pause: Option<Micros>,
    here_since: Option<Micros>,
}

/// What was removed and put back on each host.
#[derive(Debug)]
pub(crate) struct Removals(Table<HostId, Table<GroupId, Record>>);

impl Removals {
    pub(crate) fn new(plan: &Plan) -> Self {
        let groups = Table::filled(plan.groups.len(), Record::default());
        Self(Table::filled(plan.nodes(), groups))
    }

    pub(crate) fn removed(&mut self, host: HostId, group: GroupId, now: Micros) {
        let record = &mut self.0[host][group];
        record.removed = Some(now);
        let since = record.here_since.take();
        if since.is_some_and(|at| now > at + MINUTE) {
            record.pause = None;
        }
    }

    pub(crate) fn put_back(&mut self, host: HostId, group: GroupId, now: Micros) {
        let record = &mut self.0[host][group];
        record.here_since = Some(now);
        record.put_back.retain(|at| now < at + MINUTE);
        record.put_back.push_back(now);
        if record.put_back.len() > MANY || record.pause.is_some() {
            let pause = record.pause.map_or(FIRST_PAUSE, |it| it * 2);
            let pause = pause.min(LAST_PAUSE);
            record.pause = Some(pause);
            // A clock is wrong by a hundredth at most.
            record.until = now + pause + pause / 100;
        }
    }

    /// The address was seen on the other host: it is asked about again.
    pub(crate) fn seen_elsewhere(&mut self, host: HostId, group: GroupId, now: Micros) {
        let record = &mut self.0[host][group];
        record.until = record.until.max(now + TAKEN_AGAIN);
    }

    /// Its lease ran out: it may be gone until then.
    pub(crate) fn waits(&mut self, host: HostId, group: GroupId, until: Micros) {
        let record = &mut self.0[host][group];
        record.until = record.until.max(until);
    }

    pub(crate) fn may_be_gone(&self, host: HostId, group: GroupId, now: Micros) -> bool {
        let record = &self.0[host][group];
        let just_now = record.removed.is_some_and(|at| now < at + JUST_NOW);
        just_now || now < record.until
    }
}
