//! Groups: their orders, and what the judge is told of them. How an order is carried out:
//! `scripts.rs`.

use crate::protocol::event::{Event, GroupOrder, GroupOutcome};
use crate::protocol::group::GroupKey;
use crate::protocol::settings::AutoFailback;
use crate::protocol::status::NodeStatus;
use crate::resources::holding::HoldingSet;

use super::daemon::Daemon;
use super::ids::{GroupId, HostId, Key};
use super::judge::Word;
use super::queue::{Happening, Ordered};
use super::world::World;

impl World {
    /// The core gives an order.
    pub(crate) fn give_order(&mut self, host: HostId, ordered: Ordered) {
        let (now, group) = (self.now, ordered.group);
        let h = &mut self.hosts[host];
        if h.outstanding.insert(group, ordered.what).is_some() {
            let text = format!("{host}: second order for {group}");
            self.judge.fail(now, text);
        }
        self.orders.push((now, host, group, ordered.what));
        self.hosts[host].ordered_at.insert(group, now);
        if ordered.what == GroupOrder::Stop {
            self.monitors_see_stop(host, group);
        }
        if ordered.what == GroupOrder::Start {
            let h = &self.hosts[host];
            // Messages that waited there during the suspension are old.
            let told = h.told_at == Some(now) && h.thawed_at < now;
            let again = h.asks.was_refused(group);
            self.judge.ordered(host, group, again || told, now);
        }
        self.hosts[host].root.ordered(ordered);
        if self.root_loses_it(host) {
            return self.hosts[host].root.loses(ordered.order);
        }
        self.write_order_down(host, ordered);
        let when = now + self.internal_delay(host);
        self.at(when, Happening::Order { host, ordered });
    }

    /// What a successor must know before the order is carried out.
    pub(crate) fn write_order_down(&mut self, host: HostId, ordered: Ordered) {
        let group = ordered.group;
        let kept = &mut self.hosts[host].kept;
        kept.owed.remove(&group);
        kept.bare.remove(&group);
        *kept.in_hand.entry(group).or_default() += 1;
        if ordered.what == GroupOrder::Start {
            kept.may_run.insert(group);
            self.hosts[host].groups[group].bare = false;
        }
    }

    /// The core, or the state kept beside it, receives the outcome of an order.
    pub(crate) fn done(&mut self, host: HostId, ordered: Ordered, outcome: GroupOutcome) {
        let (life, group) = (ordered.life, ordered.group);
        if self.hosts[host].life.process != life.process || self.root_loses_it(host) {
            return;
        }
        let h = &self.hosts[host];
        if h.life == life && !h.root.awaits(&ordered) {
            // Received twice.
            return;
        }
        let now = self.now;
        self.hosts[host].asks.done(group, &outcome, now);
        let h = &mut self.hosts[host];
        let kept = &mut h.kept;
        match kept.in_hand.get_mut(&group) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(kept.in_hand.remove(&group)),
        }
        // A core that began anew may have ordered a start behind it.
        let wanted = h.outstanding.get(&group);
        let starts = kept.in_hand.contains_key(&group) && wanted.is_some_and(|it| it.starts());
        match outcome {
            GroupOutcome::Started => {
                kept.may_run.insert(group);
            }
            GroupOutcome::StopFailed { .. } => {
                kept.may_run.insert(group);
                kept.owed.insert(group);
            }
            _ if starts => {}
            _ => drop(kept.may_run.remove(&group)),
        }
        if self.hosts[host].life != life {
            return;
        }
        self.hosts[host].outstanding.remove(&group);
        self.hosts[host].root.answered(group);
        let (order, group) = (ordered.order, self.plan.group_key(group));
        self.feed(
            host,
            Event::GroupDone {
                order,
                group,
                outcome,
            },
        );
    }

    /// The addresses of groups are withdrawn at once, or restored.
    pub(crate) fn addresses(&mut self, host: HostId, groups: &[GroupKey], there: bool) {
        for group in self.plan.group_ids() {
            if groups.contains(&self.plan.group_key(group)) {
                self.hosts[host].root.moves(group, there);
                if !self.root_loses_it(host) {
                    self.move_addresses(host, group, there);
                }
            }
        }
    }

    pub(crate) fn move_addresses(&mut self, host: HostId, group: GroupId, there: bool) {
        let bare = &mut self.hosts[host].kept.bare;
        if there {
            bare.remove(&group);
        } else {
            bare.insert(group);
        }
        let model = &mut self.hosts[host].groups[group];
        model.bare = !there;
        let there = there && model.runs();
        self.address(host, group, there);
    }

    /// The addresses of one group are there, or not.
    pub(crate) fn address(&mut self, host: HostId, group: GroupId, there: bool) {
        let model = &mut self.hosts[host].groups[group];
        if std::mem::replace(&mut model.address, there) == there {
            return;
        }
        if there {
            self.judge_leases(host, group);
            self.lease_holds(host, group);
            self.judge.address_begins(host, group, self.now);
        } else {
            self.lease_drops(host, group);
            self.judge.address_ends(host, group, self.now);
        }
    }

    /// Somebody removes an address, or its lifetime ends: the daemon of the host did not do it.
    pub(crate) fn goes_by_itself(&mut self, host: HostId, group: GroupId) {
        if std::mem::take(&mut self.hosts[host].groups[group].address) {
            self.judge.address_ends(host, group, self.now);
            self.judge.removed(host, group, self.now);
            self.guard_hears(host);
        }
    }

    /// Tells the judge which groups a host releases.
    pub(crate) fn tell_yields(&mut self, host: HostId) {
        let h = &self.hosts[host];
        let stops = h.outstanding.values().any(|what| *what == GroupOrder::Stop);
        let with_reports = self.plan.failback != AutoFailback::Legacy;
        let holding = h.node.as_ref().map(Daemon::holding);
        let acts = h.node.as_ref().is_some_and(|it| !it.frozen()) && !h.stopping;
        self.judge.acts(host, acts, self.now);
        for group in self.plan.group_ids() {
            let side = self.side(host, group);
            // Without reports no message tells it; a script in hand comes to its end first.
            let lets_go = if with_reports {
                let lacks = |set: HoldingSet| side.is_some_and(|side| !set.has(side));
                holding.is_some_and(lacks)
            } else {
                h.outstanding.contains_key(&group)
            };
            // If a start follows on such a stop, the network is asked before it, and the judge looks at it.
            let is_stopped = h.groups[group].is_being_stopped();
            let yields = stops || lets_go;
            self.judge
                .yields(host, group, [yields || is_stopped, yields], self.now);
            self.judge.strays(group, self.is_strayed(group));
        }
    }

    /// The state that the judge checks every second.
    pub(crate) fn look(&mut self) {
        let now = self.now;
        for group in self.plan.group_ids() {
            let capable = self.plan.hosts().any(|host| {
                let h = &self.hosts[host];
                let acts = |node: &Daemon| !node.frozen() && !node.is_cut_off();
                h.node.as_ref().is_some_and(acts)
                    && self.side(host, group).is_some()
                    && !h.stopping
                    && h.frozen_until.is_none()
                    && !h.broken.contains(&group)
                    && !h.taken.contains(&group)
                    && !h.asks.waits(group, now)
            });
            let capable = capable && !self.is_lost_by_legacy(group);
            self.judge.look_at_group(group, capable, now);
            let idle = capable && self.is_idle_alone();
            self.judge.look_at_lone_node(group, idle, now);
            for host in self.plan.hosts() {
                let half = self.may_be_half(host, group);
                let word = self.word(host, group, half);
                self.judge.look_at_word(host, group, word, now);
            }
        }
        for by in self.plan.hosts() {
            let Some(node) = &self.hosts[by].node else {
                continue;
            };
            // A node that is cut off reports only its own state, not the other's.
            let cut_off = node.is_cut_off();
            let dead: Vec<(HostId, bool)> = node
                .nodes()
                .filter_map(|peer| {
                    let of = self.hosts.find(|h| h.name == *peer.name)?;
                    (of != by).then(|| (of, cut_off || peer.status.to_string() == "dead"))
                })
                .collect();
            for (of, dead) in dead {
                self.judge.look_at_death(by, of, dead, now);
            }
        }
    }

    /// Whether a node of ours is the only one that is left, knows that, and has nothing in hand: no script, no device,
    /// no question.
    fn is_idle_alone(&self) -> bool {
        let mut living = self.hosts.iter().filter(|h| h.node.is_some());
        let (Some(h), None) = (living.next(), living.next()) else {
            return false;
        };
        let Some(Daemon::Ours(node)) = &h.node else {
            return false;
        };
        let mut others = node.membership().nodes().filter(|it| !it.own && !it.ping);
        node.status() == NodeStatus::Active
            && others.all(|it| it.status == NodeStatus::Dead)
            && h.outstanding.is_empty()
            && node.unfenced().is_empty()
            && self.plan.group_ids().all(|group| h.groups[group].idle())
    }

    /// Whether a legacy node runs a group although it has reported it as given. A real one comes to
    /// that: the starts of its own groups wait behind a script of an hour; meanwhile it gives
    /// everything, reports that, and then carries out the starts. No message tells this, then or
    /// later. Nor does it report that it takes what it was given, before it is done.
    fn is_strayed(&self, group: GroupId) -> bool {
        if !self.plan.has_legacy() {
            return false;
        }
        let key = self.plan.group_key(group);
        self.plan.hosts().any(|host| {
            let h = &self.hosts[host];
            let Some(node) = &h.node else { return false };
            let ordered = h.ordered_at.get(&group).copied().unwrap_or(0);
            // The other node knew it, has lost that with its power, and is back within its dead
            // time.
            let forgotten = ordered < self.hosts[host.other()].powered_at;
            // The network tells it, unless it loses every question.
            let lossy = self.paths.iter().flatten().any(|path| path.loses(self.now));
            node.strays(&key) || forgotten && (node.takes(&key) || lossy && node.gives(&key))
        })
    }

    /// Whether a legacy node claims a group and runs nothing of it, for good. A real one comes to
    /// that: the helper of a standby that a death has cancelled goes on stopping groups that the
    /// node has kept by its report, and that it found running when it took everything. No message
    /// of its protocol tells this. Our node must not take the group without an order, and must name
    /// it among those whose addresses it asks for, so that a log line results.
    fn is_lost_by_legacy(&self, group: GroupId) -> bool {
        let left = self.plan.hosts().any(|host| {
            let model = &self.hosts[host].groups[group];
            let idle = model.idle() && !model.runs();
            self.plan.is_legacy(host) && self.hosts[host].node.is_some() && idle
        });
        let key = self.plan.group_key(group);
        let names = |node: &Daemon| node.leaves_to_legacy(&key);
        left && self.owners(group).is_empty()
            && self
                .hosts
                .iter()
                .any(|h| h.node.as_ref().is_some_and(names))
    }

    fn word(&self, host: HostId, group: GroupId, half: bool) -> Word {
        let h = &self.hosts[host];
        let Some(Daemon::Ours(node)) = &h.node else {
            return Word::Moves;
        };
        let settled = node.status().to_string() == "active"
            && node.rscstatus().is_some_and(|word| word != "transition")
            && h.outstanding.is_empty()
            && h.frozen_until.is_none()
            && !node.stopping()
            && !node.frozen();
        let model = &h.groups[group];
        let side = self.side(host, group);
        let mut others = node.membership().nodes().filter(|it| !it.own);
        let begins = others.any(|it| it.status == NodeStatus::Up);
        // A script of the other host is waited for, however long it takes.
        let idle = self.hosts.iter().all(|host| host.groups[group].idle());
        let side = side.filter(|_| settled && idle && !self.is_between_owners(host, group));
        let Some(side) = side else {
            return Word::Moves;
        };
        Word::Settled {
            holds: node.holding().has(side),
            runs: model.runs(),
            begins,
            whole: model.whole() || half,
            // It may stand right of a part that does not start again.
            address: model.address
                || half && !model.whole()
                || node.is_cut_off()
                || self.plan.gate
                || self.judge.may_be_gone(host, group, self.now),
            able: !h.broken.contains(&group)
                && !h.taken.contains(&group)
                && !h.asks.waits(group, self.now),
        }
    }

    /// Whether some host has orders in hand, and all of them are starts that the network refused
    /// before.
    pub(crate) fn only_asks_again(&self) -> bool {
        let mut asks = false;
        self.hosts.iter().all(|h| {
            asks |= !h.outstanding.is_empty();
            let mut orders = h.outstanding.iter();
            orders.all(|(group, what)| *what == GroupOrder::Start && h.asks.was_refused(*group))
        }) && asks
    }

    /// Whether a node still has groups to give back.
    pub(crate) fn fails_back(&self) -> bool {
        let mut nodes = self.hosts.iter().filter_map(|host| host.node.as_ref());
        nodes.any(Daemon::failback_due)
    }

    /// With `auto_failback on` a group is at home at the end, if its owner was declared dead and came back after
    /// everything else that moves groups. Not beside a legacy node: it has failback of its own.
    pub(crate) fn returned(&mut self) {
        let ours = self.plan.hosts().all(|host| !self.plan.is_legacy(host));
        if !ours || self.plan.failback != AutoFailback::On {
            return;
        }
        for group in self.plan.group_ids() {
            let Some(home) = self.plan.groups.get(group.number()).map(|(home, _)| *home) else {
                continue;
            };
            let owners = self.owners(group);
            if self.gone_at[home] > self.moved_at && owners.len() == 1 && owners != [home] {
                let text = format!("at the end {group} of {home} has not returned from {owners:?}");
                self.judge.fail(self.now, text);
            }
        }
    }

    /// Each group has one owner, both nodes are active and neither is in transition.
    pub fn settled(&mut self) {
        let now = self.now;
        for group in self.plan.group_ids() {
            let owners = self.owners(group);
            let excused = self.is_lost_by_legacy(group) || self.is_strayed(group);
            if owners.len() != 1 && !excused {
                let text = format!("at the end {group} has owners {owners:?}");
                self.judge.fail(now, text);
            }
        }
        for host in self.plan.hosts() {
            if self.plan.is_legacy(host) {
                // A defect of legacy: it waits for hours in some states.
                continue;
            }
            let (status, holds) = match &self.hosts[host].node {
                Some(node) => (node.status().to_string(), node.rscstatus()),
                None => ("down".into(), None),
            };
            if status != "active" || holds.is_none_or(|word| word == "transition") {
                let text = format!("at the end {host} is {status} and holds {holds:?}");
                self.judge.fail(now, text);
            }
        }
        self.judge.check_marks(now);
    }
}
