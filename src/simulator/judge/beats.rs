//! Heartbeats: never late, and a node is declared dead neither early nor late.

use super::super::ids::{HostId, Table};
use super::super::plan::Plan;
use super::{Micros, SECOND};

/// A value for each host and each other host.
type Pairs<V> = Table<HostId, Table<HostId, V>>;

fn pairs<V: Clone>(nodes: usize, value: V) -> Pairs<V> {
    Table::filled(nodes, Table::filled(nodes, value))
}

/// When each node received which other node.
#[derive(Debug)]
pub(crate) struct Beats {
    keepalives: Table<HostId, Micros>,
    legacy: Table<HostId, bool>,
    initdead: Micros,
    /// By how much timers may come later than requested.
    late: Table<HostId, Micros>,
    deadtimes: Table<HostId, Micros>,
    /// The clocks differ by at most one percent.
    drifts: bool,
    /// `announced[by][of]`: the dead time in the newest heartbeat that came through.
    announced: Pairs<Micros>,
    /// `heard[by][of]`: when a heartbeat last came through.
    heard: Pairs<Micros>,
    /// Generation and number of that heartbeat: an older one, sent again, is no sign of life.
    newest: Pairs<(u64, u64)>,
    /// `dead_since[by][of]`: since when a node has declared the other dead.
    dead_since: Pairs<Option<Micros>>,
    /// `verdicts[by][of]`: when a node has last declared the other dead in this run; 0: never.
    verdicts: Pairs<Micros>,
    /// The generation of a node that was received to leave in order.
    left: Pairs<Option<u64>>,
    sent: Table<HostId, Option<Micros>>,
    /// When the ping node last answered each; `None`: there is no ping node.
    gate: Table<HostId, Option<Micros>>,
    /// Since when a node is neither frozen by people nor about to end.
    acts: Table<HostId, Option<Micros>>,
    up_since: Table<HostId, Option<Micros>>,
    frozen_until: Table<HostId, Micros>,
    /// The last freeze of each host: begin and end.
    freezes: Table<HostId, Option<(Micros, Micros)>>,
    /// When a message of a host to the other was last lost on all media.
    lost: Pairs<Micros>,
    /// When the two last did not receive each other, or one was frozen.
    bad_at: Micros,
    /// What slow paths add to every exchange.
    slack: Micros,
    /// Since when a node that is silent for too long is not declared dead.
    overdue: Pairs<Option<Micros>>,
}

impl Beats {
    pub(crate) fn new(plan: &Plan) -> Self {
        let nodes = plan.nodes();
        Self {
            keepalives: Table::new(nodes, |host| plan.keepalive(host)),
            legacy: Table::new(nodes, |host| plan.is_legacy(host)),
            late: Table::filled(nodes, 0),
            initdead: plan.initdead_ms * 1_000,
            drifts: plan.features.drift != [0; 2],
            deadtimes: Table::new(nodes, |host| plan.deadtime(host)),
            announced: Table::filled(nodes, Table::new(nodes, |of| plan.deadtime(of))),
            heard: pairs(nodes, 0),
            newest: pairs(nodes, (0, 0)),
            dead_since: pairs(nodes, None),
            verdicts: pairs(nodes, 0),
            left: pairs(nodes, None),
            sent: Table::filled(nodes, None),
            gate: Table::filled(nodes, None),
            acts: Table::filled(nodes, None),
            up_since: Table::filled(nodes, None),
            frozen_until: Table::filled(nodes, 0),
            freezes: Table::filled(nodes, None),
            lost: pairs(nodes, 0),
            bad_at: 0,
            // Beside a legacy node: its restart two seconds after the heal, and its ticks.
            slack: if plan.has_legacy() { 15 * SECOND } else { 0 },
            overdue: pairs(nodes, None),
        }
    }

    pub(crate) fn started(&mut self, host: HostId, now: Micros) {
        self.up_since[host] = Some(now);
        // It has received no node yet, however long ago the last event was.
        self.bad_at = now;
        self.sent[host] = None;
        self.gate[host] = None;
        self.frozen_until[host] = 0;
        // No node is judged before it was received, or before the first dead time is over.
        for of in self.heard.keys() {
            self.heard[host][of] = now;
            self.newest[host][of] = (0, 0);
            self.announced[host][of] = self.deadtimes[of];
            self.overdue[host][of] = None;
            self.dead_since[host][of] = None;
            self.verdicts[host][of] = 0;
        }
    }

    /// The longer time counts until the other node announces it again.
    pub(crate) fn knows_dead_time(&mut self, by: HostId, of: HostId, time: Micros) {
        self.announced[by][of] = self.announced[by][of].max(time);
    }

    pub(crate) fn ended(&mut self, host: HostId, now: Micros) {
        self.up_since[host] = None;
        self.freezes[host] = None;
        self.sent[host] = None;
        self.frozen_until[host] = 0;
        self.bad_at = now;
    }

    pub(crate) fn frozen(&mut self, host: HostId, now: Micros, until: Micros) {
        self.freezes[host] = Some((now, until));
        self.frozen_until[host] = until;
    }

    pub(crate) fn thawed(&mut self, host: HostId, now: Micros) {
        if let Some((_, until)) = &mut self.freezes[host] {
            *until = now;
        }
        self.frozen_until[host] = now;
    }

    pub(crate) fn slow_path(&mut self, _: HostId, delay: Micros) {
        self.slack = self.slack.max(6 * delay);
    }

    pub(crate) fn late_timers(&mut self, host: HostId, late: Micros) {
        self.late[host] = self.late[host].max(late);
        self.slack = self.slack.max(6 * late);
    }

    /// By how much a time may differ by another clock.
    fn apart(&self, time: Micros) -> Micros {
        if self.drifts { time / 50 } else { 0 }
    }

    pub(crate) fn lost(&mut self, from: HostId, to: HostId, now: Micros) {
        self.lost[from][to] = now;
    }

    /// A heartbeat is never late: the gap is bounded, whatever scripts, clients and peers do.
    pub(crate) fn sent(&mut self, host: HostId, now: Micros) -> Option<String> {
        let last = self.sent[host].replace(now)?;
        let frozen = self.frozen_until[host] > last;
        let keepalive = self.keepalives[host] + self.apart(self.keepalives[host]);
        (!frozen && now - last > keepalive + 5_000 + self.late[host])
            .then(|| format!("{host} late: {} us", now - last))
    }

    pub(crate) fn heard(
        &mut self,
        by: HostId,
        of: HostId,
        number: (u64, u64),
        deadtime: Option<Micros>,
        now: Micros,
    ) {
        if number > self.newest[by][of] {
            self.announced[by][of] = deadtime.unwrap_or(self.deadtimes[of]);
            self.newest[by][of] = number;
            self.heard[by][of] = now;
            self.overdue[by][of] = None;
        }
    }

    pub(crate) fn left(&mut self, by: HostId, of: HostId, number: (u64, u64)) {
        self.left[by][of] = Some(number.0);
    }

    pub(crate) fn gate_heard(&mut self, host: HostId, now: Micros) {
        self.gate[host] = Some(now);
    }

    pub(crate) fn acts(&mut self, host: HostId, acts: bool, now: Micros) {
        self.acts[host] = acts.then(|| self.acts[host].unwrap_or(now));
    }

    /// A node that received the other node and the ping node until some moment, and nothing for a
    /// dead time since, must have withdrawn its addresses before that time was over.
    pub(crate) fn cut_off(&self, host: HostId, now: Micros) -> bool {
        let other = host.other();
        let (heard, deadtime) = (self.heard[host][other], self.announced[host][other]);
        let Some((gate, up)) = self.gate[host].zip(self.up_since[host]) else {
            return false;
        };
        let last = heard.max(gate);
        // Until then the ping node counts as answering.
        let answers = gate + (self.keepalives[host] * 3 / 2).max(self.deadtimes[host] / 2);
        let patience = deadtime + self.late[host] + 100_000;
        !self.legacy[host]
            // A heartbeat that comes late and out of order does not revive a node: that node died
            // alone, while the ping node answered, and this node took over rightly.
            && self.dead_since[host][other].is_none_or(|since| since > gate)
            && self.acts[host].is_some_and(|since| since < last)
            && self.newest[host][other] != (0, 0)
            // A node that has left takes nothing before it is started again: no reason to release.
            && self.left[host][other] != Some(self.newest[host][other].0)
            // By its own dead time, by which it distinguishes two failures, however long the other
            // may be silent.
            && heard.abs_diff(gate) < self.deadtimes[host]
            && answers + self.late[host] < heard + deadtime
            && now > last + patience
            && last > up + self.initdead
            && self.frozen_until[host] <= now
            // A node that was suspended may begin a new generation for that reason, and then knows
            // no node yet.
            && self.freezes[host].is_none_or(|(_, until)| last > until + deadtime)
    }

    /// Dead only after the dead time of silence. A node that was suspended for more than half of that waits for the whole
    /// time again: what it has not received meanwhile may have been sent.
    pub(crate) fn declared_dead(&mut self, by: HostId, of: HostId, now: Micros) -> Option<String> {
        self.dead_since[by][of] = Some(now);
        self.verdicts[by][of] = now;
        let half = self.announced[by][of] / 2 + self.keepalives[by] + self.late[by];
        // A node that was never received counts as dead after `initdead`, which is longer.
        let judged = self.newest[by][of] != (0, 0) && !self.legacy[by];
        let freeze = self.freezes[by].filter(|(since, until)| judged && until - since > half);
        let listens = freeze.map_or(0, |(_, until)| until.min(now));
        let silent = now.saturating_sub(self.heard[by][of].max(listens));
        (silent + self.apart(silent) < self.announced[by][of])
            .then(|| format!("{by} calls {of} dead after {silent} us"))
    }

    /// A node that is not received is declared dead when its dead time is over, not much later.
    pub(crate) fn look(
        &mut self,
        by: HostId,
        of: HostId,
        dead: bool,
        now: Micros,
    ) -> Option<String> {
        if !dead {
            self.dead_since[by][of] = None;
        }
        // A node that has begun waits longer for all others.
        let begun = self.up_since[by].map(|up| match self.freezes[by] {
            Some((since, until)) if since < up + self.initdead => until,
            _ => up,
        });
        // A node whose timers are late gives the other as much time again, and does so while it
        // starts.
        let patience = if self.late[by] > 0 { 2 } else { 1 };
        let judges = begun.is_some_and(|begun| now > begun + patience * self.initdead)
            && self.frozen_until[by] <= now;
        // A node that was suspended waits for a whole dead time again.
        let listens = self.freezes[by].map_or(0, |(_, until)| until);
        let silent = now.saturating_sub(self.heard[by][of].max(listens));
        let late = silent
            > patience * self.announced[by][of]
                + self.keepalives[by]
                + self.keepalives[of]
                + self.apart(silent)
                + SECOND;
        if dead || !judges || !late || self.newest[by][of] == (0, 0) {
            self.overdue[by][of] = None;
            return None;
        }
        let since = *self.overdue[by][of].get_or_insert(now);
        (now - since > SECOND).then(|| format!("{by} hears nothing of {of} for {silent} us"))
    }

    /// A takeover by a node that was suspended and has not waited for a whole dead time since.
    pub(crate) fn judges_too_early(&self, by: HostId, of: HostId, now: Micros) -> Option<String> {
        let (since, until) = self.freezes[by]?;
        let owner_froze = self.freezes[of];
        (!self.legacy[by]
            && now + self.apart(now - until.min(now))
                < until + self.deadtimes[of].min(self.deadtimes[by])
            && self.lost[of][by] + self.deadtimes[of] < since
            && self.up_since[of].is_some_and(|up| up < since)
            && owner_froze.is_none_or(|(_, other)| other + self.deadtimes[by] < since))
        .then(|| format!("{by} was frozen and takes"))
    }

    /// For how long the two have received each other.
    pub(crate) fn good_for(&self, _: HostId, _: HostId, now: Micros) -> Micros {
        now.saturating_sub(self.bad_at)
    }

    /// How long one exchange between the two may take.
    pub(crate) fn exchange(&self, by: HostId, of: HostId) -> Option<Micros> {
        let slowest = self.keepalives[by].max(self.keepalives[of]);
        (!self.legacy[by]).then_some(2 * slowest + self.slack)
    }

    /// When the two last did not receive each other, or a message between them was lost.
    pub(crate) fn bad_until(&self) -> Micros {
        let lost = self.lost.iter().flatten().copied().max().unwrap_or(0);
        self.bad_at.max(lost)
    }

    /// Whether the other node runs, the node has not declared it dead, and one of the two could not hear the other,
    /// or a message between them was lost, less than an exchange ago.
    pub(crate) fn waits_for_word(&self, host: HostId, now: Micros) -> bool {
        let other = host.other();
        let longest = self.exchange(host, other).unwrap_or(self.slack);
        let lost = self.lost[host][other].max(self.lost[other][host]);
        self.up_since[other].is_some()
            && self.dead_since[host][other].is_none()
            && now <= self.bad_at.max(lost) + longest
    }

    /// When a node has last declared the other dead in this run; 0: never.
    pub(crate) fn verdict(&self, host: HostId) -> Micros {
        self.verdicts[host][host.other()]
    }

    /// Two heartbeats, and what slow paths add.
    pub(crate) fn notice_time(&self) -> Micros {
        2 * self.keepalives.iter().copied().max().unwrap_or(0) + self.slack
    }

    fn hear_each_other(&self, now: Micros) -> bool {
        self.heard.keys().all(|a| {
            self.up_since[a].is_some()
                && self.frozen_until[a] <= now
                && self.heard.keys().all(|b| {
                    let silent = now.saturating_sub(self.heard[a][b]);
                    let heard = self.newest[a][b] != (0, 0) && silent <= self.deadtimes[b] * 3 / 4;
                    a == b || heard
                })
        })
    }

    /// Checked after every event.
    pub(crate) fn step(&mut self, now: Micros) -> Option<String> {
        if !self.hear_each_other(now) {
            self.bad_at = now;
        }
        // A heartbeat that never comes is late too.
        self.sent.keys().find_map(|host| {
            let last = self.sent[host].filter(|_| self.up_since[host].is_some())?;
            (self.frozen_until[host] <= last
                && now - last > self.keepalives[host] + 50_000 + self.late[host])
                .then(|| format!("{host} stopped beating"))
        })
    }
}
