//! Groups: their actors, their scripts, and what the judge sees of them.

use std::collections::VecDeque;

use systole::protocol::event::{Event, GroupOrder, GroupOutcome};
use systole::protocol::group::GroupKey;
use systole::protocol::settings::AutoFailback;
use systole::resources::holding::HoldingSet;

use super::daemon::Daemon;
use super::draws::{Chance, within};
use super::judge::Word;
use super::world::{Happening, Ordered, World, group_key};

/// What a group's actor is doing.
#[derive(Debug, Default)]
pub struct GroupModel {
    pub runs: bool,
    /// Its service addresses are there.
    pub address: bool,
    busy: Option<Ordered>,
    /// A script of it runs: a start is asked about first.
    begun: bool,
    /// The script in hand is of a daemon that is gone.
    orphan: bool,
    waiting: VecDeque<Ordered>,
}

impl GroupModel {
    /// The process has died: the script in hand goes on, nothing follows it. A start that was still
    /// being asked about ends with the process.
    pub fn lose_actor(&mut self) {
        self.waiting.clear();
        if !self.begun {
            self.busy = None;
        }
        self.orphan = self.busy.is_some();
    }

    /// Whether this order waits for the answer about its start.
    pub fn asks(&self, ordered: &Ordered) -> bool {
        !self.begun && self.busy.as_ref() == Some(ordered)
    }
}

impl World {
    /// An order leaves the core.
    pub fn give_order(&mut self, host: usize, ordered: Ordered) {
        let (now, group) = (self.now, ordered.group);
        let h = &mut self.hosts[host];
        if h.outstanding.insert(group, ordered.what).is_some() {
            let text = format!("node{}: second order for g{group}", host + 1);
            self.judge.fail(now, text);
        }
        self.orders.push((now, host, group, ordered.what));
        let kept = &mut self.hosts[host].kept;
        kept.owed.remove(&group);
        *kept.in_hand.entry(group).or_default() += 1;
        if ordered.what == GroupOrder::Start {
            kept.may_run.insert(group);
            self.judge.ordered(host, group, now);
        }
        let when = now + self.internal_delay(host);
        self.at(when, Happening::Order { host, ordered });
    }

    pub fn order_comes(&mut self, host: usize, ordered: Ordered) {
        if self.hosts[host].life.process != ordered.life.process {
            return;
        }
        self.hosts[host].groups[ordered.group]
            .waiting
            .push_back(ordered);
        self.next_order(host, ordered.group);
    }

    /// Microseconds that a script takes.
    fn duration(&mut self, host: usize, group: usize) -> u64 {
        if let Some(ms) = self.hosts[host].slow.remove(&group) {
            return ms * 1_000;
        }
        let drawn = self.noise.draw(Chance::Slow, [host, group, 0], self.now);
        let slow = drawn.is_multiple_of(10);
        let longest = if slow && !self.calm {
            self.plan.slow_script_ms
        } else {
            self.plan.script_ms
        };
        let drawn = self.noise.draw(Chance::Script, [host, group, 0], self.now);
        within(drawn, 1_000..longest * 1_000 + 1) * self.plan.groups[group].1 as u64
    }

    pub fn next_order(&mut self, host: usize, group: usize) {
        // While the daemon stands still nothing is begun; the thaw comes back to it.
        let stands = self.hosts[host].frozen_until.is_some();
        let model = &mut self.hosts[host].groups[group];
        if stands || model.busy.is_some() {
            return;
        }
        let Some(ordered) = model.waiting.pop_front() else {
            return;
        };
        model.busy = Some(ordered);
        model.begun = false;
        let runs = model.runs;
        if self.listens && (ordered.what == GroupOrder::Stop || !runs) {
            let what = if ordered.what == GroupOrder::Stop {
                "stop"
            } else {
                "start"
            };
            self.ran.push((host, format!("{what} g{group}")));
        }
        if ordered.what == GroupOrder::Start && !runs {
            if self.calm {
                let stands = self.start_stands(host, ordered);
                return self.begin_start(host, group, stands);
            }
            let when = self.now + self.internal_delay(host);
            return self.at(when, Happening::MayStart { host, group });
        }
        self.begin_script(host, group);
    }

    /// The question is there: the answer goes back.
    pub fn may_start(&mut self, host: usize, group: usize) {
        let Some(ordered) = self.hosts[host].groups[group].busy else {
            return;
        };
        let stands = self.start_stands(host, ordered);
        let machine = self.hosts[host].machine;
        let when = self.now + self.internal_delay(host);
        self.at(
            when,
            Happening::Begin {
                host,
                machine,
                ordered,
                stands,
            },
        );
    }

    /// The answer is there.
    pub fn begin_start(&mut self, host: usize, group: usize, stands: bool) {
        if !stands {
            return self.withdrawn(host, group);
        }
        self.judge.begins(host, group, self.now);
        self.begin_script(host, group);
    }

    fn begin_script(&mut self, host: usize, group: usize) {
        self.hosts[host].groups[group].begun = true;
        let took = self.duration(host, group);
        let machine = self.hosts[host].machine;
        self.at(
            self.now + took,
            Happening::ScriptEnd {
                host,
                machine,
                group,
            },
        );
    }

    /// Asks the core before a script of a start begins, as the groups' actors do.
    fn start_stands(&mut self, host: usize, ordered: Ordered) -> bool {
        self.feed(host, Event::Tick);
        let h = &self.hosts[host];
        // The number says nothing to another core.
        let order = (h.life == ordered.life).then_some(ordered.order);
        h.node.as_ref().is_some_and(|node| node.start_stands(order))
    }

    /// A start that does not stand any more: nothing is begun.
    fn withdrawn(&mut self, host: usize, group: usize) {
        let Some(ordered) = self.hosts[host].groups[group].busy.take() else {
            return;
        };
        self.note(format_args!("node{} g{group}: start withdrawn", host + 1));
        self.report(host, ordered, GroupOutcome::Stopped);
        self.next_order(host, group);
    }

    fn report(&mut self, host: usize, ordered: Ordered, outcome: GroupOutcome) {
        let when = self.now + self.internal_delay(host);
        self.at(
            when,
            Happening::Done {
                host,
                ordered,
                outcome,
            },
        );
    }

    pub fn script_end(&mut self, host: usize, group: usize) {
        let now = self.now;
        let h = &mut self.hosts[host];
        let (broken, unstoppable) = (h.broken.contains(&group), h.unstoppable.contains(&group));
        let resources = self.plan.groups[group].1;
        let model = &mut h.groups[group];
        let Some(ordered) = model.busy.take() else {
            return;
        };
        let orphan = std::mem::take(&mut model.orphan);
        let fails = broken && !model.runs;
        let taken = h.taken.contains(&group) && !model.runs;
        let resource = group_key(group).to_string();
        let outcome = match ordered.what {
            GroupOrder::Start if fails => GroupOutcome::StartFailed { resource, code: 1 },
            GroupOrder::Start if taken => GroupOutcome::AddressTaken {
                claim: resource.clone(),
            },
            GroupOrder::Start => GroupOutcome::Started,
            // Of a dead daemon one script comes to its end and no other is begun.
            GroupOrder::Stop if orphan && resources > 1 && model.runs => GroupOutcome::Started,
            GroupOrder::Stop if unstoppable && model.runs => GroupOutcome::StopFailed { resource },
            GroupOrder::Stop => GroupOutcome::Stopped,
        };
        model.runs = matches!(
            outcome,
            GroupOutcome::Started | GroupOutcome::StopFailed { .. }
        );
        // A start puts the addresses back, a stop takes them away, be they withdrawn or not.
        model.address = model.runs;
        if !model.runs {
            self.judge.ends(host, group, now);
        }
        self.stamp(group as u64 * 2 + u64::from(self.hosts[host].groups[group].runs));
        let of = if orphan { " of a dead daemon" } else { "" };
        self.note(format_args!("node{} g{group}{of}: {outcome:?}", host + 1));
        if !orphan {
            self.report(host, ordered, outcome);
        }
        self.next_order(host, group);
    }

    /// The core, or what is kept beside it, hears how an order came out.
    pub fn done(&mut self, host: usize, ordered: Ordered, outcome: GroupOutcome) {
        let (life, group) = (ordered.life, ordered.group);
        if self.hosts[host].life.process != life.process {
            return;
        }
        let kept = &mut self.hosts[host].kept;
        match kept.in_hand.get_mut(&group) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(kept.in_hand.remove(&group)),
        }
        match outcome {
            GroupOutcome::Started | GroupOutcome::StopFailed { .. } => {
                kept.may_run.insert(group);
            }
            _ => drop(kept.may_run.remove(&group)),
        }
        if self.hosts[host].life != life {
            return;
        }
        self.hosts[host].outstanding.remove(&group);
        let (order, group) = (ordered.order, group_key(group));
        self.feed(
            host,
            Event::GroupDone {
                order,
                group,
                outcome,
            },
        );
    }

    /// The addresses of groups are taken away at once, or put back.
    pub fn addresses(&mut self, host: usize, groups: &[GroupKey], there: bool) {
        for group in 0..self.plan.groups.len() {
            if groups.contains(&group_key(group)) {
                let model = &mut self.hosts[host].groups[group];
                model.address = there && model.runs;
            }
        }
    }

    fn side(&self, host: usize, group: usize) -> HoldingSet {
        if self.plan.groups[group].0 == host {
            HoldingSet::LOCAL
        } else {
            HoldingSet::FOREIGN
        }
    }

    /// Tells the judge which groups a host lets go of.
    pub fn tell_yields(&mut self, host: usize) {
        let h = &self.hosts[host];
        let stops = h.outstanding.values().any(|what| *what == GroupOrder::Stop);
        let with_reports = self.plan.failback != AutoFailback::Legacy;
        let holding = h.node.as_ref().map(Daemon::holding);
        for group in 0..self.plan.groups.len() {
            let side = self.side(host, group);
            // Without reports no word tells it; a script in hand comes to its end first.
            let lets_go = if with_reports {
                holding.is_some_and(|set| !set.has(side))
            } else {
                h.outstanding.contains_key(&group)
            };
            self.judge.yields(host, group, stops || lets_go, self.now);
        }
    }

    /// What the judge looks at every second.
    pub fn look(&mut self) {
        let now = self.now;
        for group in 0..self.plan.groups.len() {
            let capable = self.hosts.iter().any(|h| {
                let acts = |node: &Daemon| !node.frozen() && !node.is_cut_off();
                h.node.as_ref().is_some_and(acts)
                    && !h.stopping
                    && h.frozen_until.is_none()
                    && !h.broken.contains(&group)
                    && !h.taken.contains(&group)
            });
            self.judge.look_at_group(group, capable, now);
            for host in 0..self.hosts.len() {
                let word = self.word(host, group);
                self.judge.look_at_word(host, group, word, now);
            }
        }
        for by in 0..self.hosts.len() {
            let Some(node) = &self.hosts[by].node else {
                continue;
            };
            // Who is cut off says so of itself and not of the other.
            let cut_off = node.is_cut_off();
            let dead: Vec<(usize, bool)> = node
                .nodes()
                .filter_map(|peer| {
                    let of = self.hosts.iter().position(|h| h.name == *peer.name)?;
                    (of != by).then(|| (of, cut_off || peer.status.to_string() == "dead"))
                })
                .collect();
            for (of, dead) in dead {
                self.judge.look_at_death(by, of, dead, now);
            }
        }
    }

    fn word(&self, host: usize, group: usize) -> Word {
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
        if !settled || model.busy.is_some() || !model.waiting.is_empty() {
            return Word::Moves;
        }
        Word::Settled {
            holds: node.holding().has(self.side(host, group)),
            runs: model.runs,
            address: model.address || node.is_cut_off() || self.plan.gate,
            able: !h.broken.contains(&group) && !h.taken.contains(&group),
        }
    }

    /// Each group has one owner, both nodes are active and nobody is in transition.
    pub fn settled(&mut self) {
        let now = self.now;
        for group in 0..self.plan.groups.len() {
            let owners = self.owners(group);
            if owners.len() != 1 {
                let text = format!("at the end g{group} has owners {owners:?}");
                self.judge.fail(now, text);
            }
        }
        for host in 0..self.hosts.len() {
            if self.plan.is_legacy(host) {
                // Its own affair: it waits for hours in some states.
                continue;
            }
            let (status, holds) = match &self.hosts[host].node {
                Some(node) => (node.status().to_string(), node.rscstatus()),
                None => ("down".into(), None),
            };
            if status != "active" || holds.is_none_or(|word| word == "transition") {
                let text = format!(
                    "at the end node{} is {status} and holds {holds:?}",
                    host + 1
                );
                self.judge.fail(now, text);
            }
        }
        self.judge.check_marks(now);
    }
}
