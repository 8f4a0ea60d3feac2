//! A settled node reports that it holds exactly what it runs.

use super::super::ids::{GroupId, HostId, Table};
use super::super::plan::Plan;
use super::{LONGEST_PAUSE, Micros, SECOND};

/// The observed state of a node and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    /// The node is in transition, frozen, starting or ending, or an order for the group is in hand.
    Moves,
    /// It reports that it holds the group's half.
    Settled {
        holds: bool,
        runs: bool,
        /// Another node begins anew for it: what does not run is not started before that one has reported, or is dead.
        begins: bool,
        /// All of it.
        whole: bool,
        address: bool,
        able: bool,
    },
}

impl Word {
    /// The other host lives, may run the group, and cannot say so: it is not started beside that.
    pub(crate) fn excused(self) -> Self {
        match self {
            Self::Settled {
                holds,
                runs,
                begins,
                whole,
                address,
                ..
            } => Self::Settled {
                holds,
                runs,
                begins,
                whole,
                address,
                able: false,
            },
            Self::Moves => self,
        }
    }
}

/// How long a difference may last: checks are a second apart, and a report comes after the work.
const GRACE: Micros = 3 * SECOND;

/// Since when report and truth differ.
#[derive(Debug)]
pub(crate) struct Words {
    differ_since: Table<HostId, Table<GroupId, Option<Micros>>>,
    /// Since when a group waits for a node that begins anew.
    waits_since: Table<HostId, Table<GroupId, Option<Micros>>>,
    /// For no longer than that: by then the node has reported, or is dead.
    verdict: Micros,
    /// When a node was last seen to move a group, or ordered its start, or had no reason to.
    minded: Table<HostId, Table<GroupId, Micros>>,
    repaired: Table<GroupId, Micros>,
    /// How long until it is tried again.
    patience: Micros,
    judged: bool,
}

impl Words {
    pub(crate) fn new(plan: &Plan) -> Self {
        let with_reports = plan.failback != crate::protocol::settings::AutoFailback::Legacy;
        let (nodes, groups) = (plan.nodes(), plan.groups.len());
        Self {
            differ_since: Table::filled(nodes, Table::filled(groups, None)),
            waits_since: Table::filled(nodes, Table::filled(groups, None)),
            verdict: 2 * 1_000 * plan.deadtimes_ms.iter().max().copied().unwrap_or(0) + 10 * SECOND,
            minded: Table::filled(nodes, Table::filled(groups, 0)),
            repaired: Table::filled(groups, 0),
            patience: LONGEST_PAUSE + 60 * SECOND,
            judged: with_reports,
        }
    }

    /// It may run on the other node while the script lasts.
    pub(crate) fn slow_script(&mut self, lasts: Micros) {
        self.patience += lasts;
    }

    pub(crate) fn forget(&mut self, host: HostId) {
        self.differ_since[host].fill(None);
    }

    pub(crate) fn repaired(&mut self, group: GroupId, now: Micros) {
        self.repaired[group] = now;
    }

    /// The start of the group is ordered.
    pub(crate) fn ordered(&mut self, host: HostId, group: GroupId, now: Micros) {
        self.minded[host][group] = now;
    }

    /// Whether a node has done nothing for a group that it holds since it declared the other node dead.
    pub(crate) fn has_missed(&self, host: HostId, group: GroupId, verdict: Micros) -> bool {
        self.minded[host][group] < verdict
    }

    pub(crate) fn look(
        &mut self,
        host: HostId,
        group: GroupId,
        word: Word,
        now: Micros,
    ) -> Option<String> {
        let Word::Settled {
            holds,
            runs,
            begins,
            whole,
            address,
            able,
        } = word
        else {
            self.differ_since[host][group] = None;
            self.minded[host][group] = now;
            return None;
        };
        if runs || !holds {
            self.minded[host][group] = now;
        }
        let waits = &mut self.waits_since[host][group];
        if !begins || runs {
            *waits = None;
        } else if now - *waits.get_or_insert(now) < self.verdict {
            self.differ_since[host][group] = None;
            return None;
        }
        // A group that failed to start is tried again after a while, and held meanwhile.
        let waits = !runs
            && (!able || (self.repaired[group] > 0 && now < self.repaired[group] + self.patience));
        let bare = runs && !address;
        let half = runs && !whole;
        if (holds == runs || !self.judged) && !bare && !half || waits {
            self.differ_since[host][group] = None;
            return None;
        }
        let since = *self.differ_since[host][group].get_or_insert(now);
        let what = if bare {
            "and its addresses are gone"
        } else if half {
            "and a part of it does not run"
        } else if runs {
            "and does not hold it"
        } else {
            "and does not run it"
        };
        (now - since >= GRACE).then(|| {
            let does = if runs { "runs" } else { "holds" };
            format!("{host} {does} {group} {what}")
        })
    }
}
