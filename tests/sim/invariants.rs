//! What must hold at every step of every run. An invariant that fails is a finding: it is never
//! widened to make a run pass.

use std::collections::{BTreeMap, BTreeSet};

use systole::protocol::group::GroupKey;
use systole::protocol::message::Message;

use super::world::{Micros, Plan, SECOND};

/// Longest pause between two attempts to start a group that has failed.
pub const LONGEST_PAUSE: Micros = 600 * SECOND;

/// Watches a run.
pub struct Judge {
    failure: Option<String>,
    keepalive: Micros,
    deadtime: Micros,
    /// The longest that releasing everything can take: the start in hand, then every stop one
    /// after another, and the delays between our actors.
    longest_release: Micros,
    /// `heard[by][of]`: when a heartbeat last came through.
    heard: Vec<Vec<Micros>>,
    /// Generation and number of that heartbeat: an older one, sent again, is no sign of life.
    newest: Vec<Vec<(Option<u64>, Option<u64>)>>,
    sent: Vec<Option<Micros>>,
    up_since: Vec<Option<Micros>>,
    frozen_until: Vec<Micros>,
    /// When two nodes last could not hear each other both ways, or one was frozen.
    bad_at: Micros,
    /// When a message last was lost whole: on every medium.
    lost_at: Micros,
    /// How long both had heard each other when a start was ordered.
    ordered: BTreeMap<(usize, GroupKey), Micros>,
    /// Since when and until when each host was frozen last.
    freezes: Vec<Option<(Micros, Micros)>>,
    /// Groups that an operator moved although one node could not start them.
    excused: BTreeSet<GroupKey>,
    /// When the reason why a group did not start went away: it is tried again in the end.
    mended: BTreeMap<GroupKey, Micros>,
    owned: BTreeMap<GroupKey, BTreeMap<usize, Micros>>,
    overlap_since: BTreeMap<GroupKey, Micros>,
    unowned_since: BTreeMap<GroupKey, Micros>,
    disturbed_at: Micros,
    patience: Micros,
    marks: BTreeMap<(usize, String), Micros>,
    /// Longest time with two owners seen.
    pub longest_overlap: Micros,
    /// How often an overlap began.
    pub overlaps: u64,
}

impl Judge {
    pub fn new(plan: &Plan) -> Self {
        let most = plan.groups.iter().map(|g| g.1 as u64).max().unwrap_or(1);
        let all: u64 = plan.groups.iter().map(|g| g.1 as u64).sum();
        let one = plan.slow_script_ms * 1000;
        let hops = plan.internal_ms * 2_000 * (plan.groups.len() as u64 + 2);
        Self {
            failure: None,
            keepalive: plan.keepalive_ms * 1000,
            deadtime: plan.deadtime_ms * 1000,
            // Without reports a lost request is the only way to find out: it is repeated.
            longest_release: one * (most + all)
                + hops
                + if plan.failback.is_nice() {
                    0
                } else {
                    10 * SECOND
                },
            heard: vec![vec![0; plan.nodes]; plan.nodes],
            newest: vec![vec![(None, None); plan.nodes]; plan.nodes],
            sent: vec![None; plan.nodes],
            up_since: vec![None; plan.nodes],
            frozen_until: vec![0; plan.nodes],
            bad_at: 0,
            lost_at: 0,
            ordered: BTreeMap::new(),
            freezes: vec![None; plan.nodes],
            excused: BTreeSet::new(),
            mended: BTreeMap::new(),
            owned: BTreeMap::new(),
            overlap_since: BTreeMap::new(),
            unowned_since: BTreeMap::new(),
            disturbed_at: 0,
            // initdead, the ten seconds, a failed start's 30 s, a stop bound of 30 s, the scripts
            // of every group once each way.
            patience: plan.initdead_ms * 1000 + 75 * SECOND + plan.slow_script_ms * 2_000 * all,
            marks: BTreeMap::new(),
            longest_overlap: 0,
            overlaps: 0,
        }
    }

    pub fn fail(&mut self, now: Micros, text: String) {
        if self.failure.is_none() {
            self.failure = Some(format!("at {:.6} s: {text}", now as f64 / 1e6));
        }
    }

    pub fn failed(&self) -> bool {
        self.failure.is_some()
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// A person or a fault did something.
    pub fn disturbed(&mut self, now: Micros) {
        self.disturbed_at = now;
    }

    pub fn started(&mut self, host: usize, now: Micros) {
        self.up_since[host] = Some(now);
        self.sent[host] = None;
        self.disturbed_at = now;
        self.marks.retain(|(hearer, _), _| *hearer != host);
        self.heard[host].fill(0);
        self.newest[host].fill((None, None));
    }

    pub fn ended(&mut self, host: usize, now: Micros) {
        self.up_since[host] = None;
        self.freezes[host] = None;
        self.sent[host] = None;
        self.frozen_until[host] = 0;
        self.disturbed_at = now;
        let held: Vec<GroupKey> = self.owned.keys().cloned().collect();
        for group in held {
            self.ends(host, &group, now);
        }
    }

    pub fn frozen(&mut self, host: usize, now: Micros, until: Micros) {
        self.freezes[host] = Some((now, until));
        self.frozen_until[host] = until;
    }

    /// A heartbeat is never late: the gap is bounded whatever scripts, clients and peers do.
    pub fn beat_sent(&mut self, host: usize, now: Micros) {
        if let Some(last) = self.sent[host] {
            let frozen = self.frozen_until[host] > last;
            if !frozen && now - last > self.keepalive + 5_000 {
                self.fail(now, format!("node{} late: {} us", host + 1, now - last));
            }
        }
        self.sent[host] = Some(now);
    }

    pub fn beat_heard(
        &mut self,
        by: usize,
        of: usize,
        number: (Option<u64>, Option<u64>),
        now: Micros,
    ) {
        if number > self.newest[by][of] {
            self.newest[by][of] = number;
            self.heard[by][of] = now;
        }
    }

    /// Dead only after deadtime of silence.
    pub fn declared_dead(&mut self, by: usize, of: usize, now: Micros) {
        let silent = now - self.heard[by][of];
        if silent < self.deadtime {
            self.fail(
                now,
                format!("node{} calls node{} dead after {silent} us", by + 1, of + 1),
            );
        }
    }

    /// Every message is handled at most once in a life of the hearer.
    pub fn heard_mark(&mut self, host: usize, message: &Message, now: Micros) {
        if message.kind() != Some("labmark") {
            return;
        }
        let mark = message.text("mark").unwrap_or("?").to_owned();
        if self.marks.insert((host, mark.clone()), now).is_some() {
            self.fail(now, format!("node{} heard mark {mark} twice", host + 1));
        }
    }

    /// How many of the hosts heard a mark.
    pub fn hearers(&self, mark: u64) -> usize {
        self.marks
            .keys()
            .filter(|(_, m)| *m == mark.to_string())
            .count()
    }

    /// A message was lost on every medium.
    pub fn lost(&mut self, now: Micros) {
        self.lost_at = now;
    }

    /// An operator moves a group although one of the nodes cannot start it: his decision.
    pub fn excuse(&mut self, group: GroupKey) {
        self.excused.insert(group);
    }

    /// A group can be started again where it could not.
    pub fn mended(&mut self, group: GroupKey, now: Micros) {
        self.mended.insert(group, now);
    }

    /// Whether a group is not up yet only because its next attempt is due later.
    pub fn waits_for_retry(&self) -> bool {
        !self.mended.is_empty()
    }

    /// The core decided to start a group.
    pub fn ordered(&mut self, host: usize, group: &GroupKey, now: Micros) {
        let good_for = now - self.bad_at;
        // Who was frozen judges nobody before it has listened again for a whole dead time.
        if let Some((since, until)) = self.freezes[host]
            && now < until + self.deadtime
            && self.lost_at + self.deadtime < since
            && let Some(owner) = self.other_owner(host, group)
            && self.up_since[owner].is_some_and(|up| up < since)
            && self.freezes[owner].is_none_or(|(_, other)| other + self.deadtime < since)
        {
            let text = format!("node{} was frozen and takes {group}", host + 1);
            self.fail(now, text);
        }
        self.ordered.insert((host, group.clone()), good_for);
    }

    /// Who else has a group.
    fn other_owner(&self, host: usize, group: &GroupKey) -> Option<usize> {
        let mut owners = self.owned.get(group)?.keys();
        owners.find(|owner| **owner != host).copied()
    }

    /// A start script begins: from here on the host may run the group.
    pub fn begins(&mut self, host: usize, group: &GroupKey, now: Micros) {
        let owners = self.owned.entry(group.clone()).or_default();
        let others: Vec<usize> = owners.keys().filter(|h| **h != host).copied().collect();
        owners.insert(host, now);
        if others.is_empty() {
            return;
        }
        self.overlaps += 1;
        self.overlap_since.entry(group.clone()).or_insert(now);
        // No overlap begins while both directions work and neither node was frozen, which is
        // judged when the takeover is decided. One exchange after the heal everybody knows.
        let good_for = self.ordered.get(&(host, group.clone())).copied();
        if good_for.unwrap_or(0) > 2 * self.keepalive {
            let text = format!(
                "node{} starts {group} while node{} has it",
                host + 1,
                others[0] + 1
            );
            self.fail(now, text);
        }
    }

    /// The group's stop has ended there (or its start failed, or the host died).
    pub fn ends(&mut self, host: usize, group: &GroupKey, now: Micros) {
        if let Some(owners) = self.owned.get_mut(group) {
            owners.remove(&host);
            if owners.len() < 2
                && let Some(since) = self.overlap_since.remove(group)
            {
                self.longest_overlap = self.longest_overlap.max(now - since);
            }
        }
    }

    fn both_ways(&self, now: Micros) -> bool {
        let limit = self.deadtime * 3 / 4;
        (0..self.heard.len()).all(|a| {
            self.up_since[a].is_some()
                && self.frozen_until[a] <= now
                && (0..self.heard.len())
                    .all(|b| a == b || now.saturating_sub(self.heard[a][b]) <= limit)
        })
    }

    /// Checked after every single event.
    pub fn step(&mut self, now: Micros) {
        if !self.both_ways(now) {
            self.bad_at = now;
        }
        // An overlap ends soon after both hear each other and nothing is lost between them.
        let bound = self.longest_release + 2 * self.keepalive;
        let bad_at = self.bad_at.max(self.lost_at);
        let lasting = self
            .overlap_since
            .iter()
            .find(|(_, since)| now - bad_at.max(**since) > bound);
        if let Some((group, since)) = lasting {
            let text = format!("two owners of {group} since {:.6} s", *since as f64 / 1e6);
            self.fail(now, text);
        }
        // A beat that never comes is late too.
        for host in 0..self.sent.len() {
            if let (Some(last), Some(_)) = (self.sent[host], self.up_since[host])
                && self.frozen_until[host] <= last
                && now - last > self.keepalive + 50_000
            {
                self.fail(now, format!("node{} stopped beating", host + 1));
            }
        }
    }

    /// Called with the groups that a living, capable node should run: none stays unowned for long.
    pub fn check_unowned(&mut self, group: &GroupKey, capable: bool, now: Micros) {
        let owned = self
            .owned
            .get(group)
            .is_some_and(|owners| !owners.is_empty());
        if owned {
            self.excused.remove(group);
            self.mended.remove(group);
        }
        if owned || !capable || self.excused.contains(group) {
            self.unowned_since.remove(group);
            return;
        }
        let since = *self.unowned_since.entry(group.clone()).or_insert(now);
        let mended = self.mended.get(group).map_or(0, |at| at + LONGEST_PAUSE);
        if now.saturating_sub(since.max(self.disturbed_at).max(mended)) > self.patience {
            self.fail(
                now,
                format!("nobody runs {group} since {:.6} s", since as f64 / 1e6),
            );
        }
    }
}
