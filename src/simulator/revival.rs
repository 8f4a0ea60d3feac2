//! Daemons that die alone, restart in place, or lose their core: their resources run on.

use std::time::Duration;

use crate::node::Node;
use crate::node::resume::Resume;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;
use crate::resources::holding::HoldingSet;

use super::daemon::Daemon;
use super::ids::{GroupId, HostId};
use super::questions::Asks;
use super::queue::Happening;
use super::world::{Micros, SECOND, World, group_key};

/// By how much a restart in place extends the dead time that the other node uses.
const SILENCE: Duration = Duration::from_secs(30);

impl World {
    /// The daemon alone is killed: its scripts and its resources run on. Its guardian starts it
    /// again after `pause`. A legacy node has no guardian.
    pub fn kill_daemon(&mut self, host: HostId, pause: Micros) {
        let h = &mut self.hosts[host];
        if !matches!(h.node, Some(Daemon::Ours(_))) || h.frozen_until.is_some() {
            return;
        }
        h.node = None;
        h.life.process += 1;
        h.reviving = true;
        h.root.forget();
        for model in &mut h.groups {
            model.lose_actor();
        }
        let machine = h.machine;
        self.note(format_args!(
            "{host}: the daemon is gone, back in {pause} us"
        ));
        self.judge.daemon_died(host, self.now);
        self.at(self.now + pause, Happening::Revive { host, machine });
    }

    /// As in the program after a death.
    pub(crate) fn revive(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        h.reviving = false;
        h.life.process += 1;
        let unfinished = h.kept.unfinished();
        h.asks = Asks::new(!h.kept.may_run.is_empty());
        h.kept.in_hand.clear();
        h.kept.bare.clear();
        h.kept.owed = unfinished;
        self.hold_what_runs(host);
        self.take_generation_after(host);
        self.resume(host, Vec::new());
        if self.hosts[host].stopping {
            self.stop_asked(host);
        }
    }

    /// A half that is held, but of which nothing runs, is not held any more.
    fn hold_what_runs(&mut self, host: HostId) {
        let settings = self.settings(host);
        let kept = &mut self.hosts[host].kept;
        for (set, own) in [(HoldingSet::LOCAL, true), (HoldingSet::FOREIGN, false)] {
            let groups = self.plan.group_ids().zip(&settings.groups);
            let mut of = groups
                .filter(|(_, g)| (g.owner == settings.local) == own)
                .peekable();
            if of.peek().is_some() && !of.any(|(g, _)| kept.may_run.contains(&g)) {
                kept.holding = kept.holding.without(set);
            }
        }
    }

    /// A core that continues after another one has ended, with its kept state and the known dead
    /// times of other nodes.
    fn resume(&mut self, host: HostId, dead_times: Vec<(NodeName, Duration)>) {
        let settings = self.settings(host);
        let seed = self.seed(host);
        let identity = self.identity(host);
        let kept = &self.hosts[host].kept;
        let keys =
            |groups: Vec<GroupId>| -> Vec<GroupKey> { groups.into_iter().map(group_key).collect() };
        let running = keys(kept.may_run.iter().copied().collect());
        let unfinished = keys(kept.unfinished().into_iter().collect());
        let resume = Resume {
            holding: kept.holding,
            running,
            unfinished,
            standby: kept.standby.clone(),
            releases: kept.releases,
            frozen: kept.frozen,
            failback_due: kept.failback_due,
            unfenced: kept.unfenced.clone(),
            ..Resume::default()
        };
        let Resume {
            holding,
            running,
            unfinished,
            ..
        } = &resume;
        self.note(format_args!(
            "{host} goes on holding {holding}, running {running:?}, unfinished {unfinished:?}"
        ));
        let mut node = Node::go_on(settings, identity, seed, &resume);
        node.keep_dead_times(dead_times.clone());
        self.begin(host, Daemon::Ours(Box::new(node)));
        self.end_left_fences(host);
        self.thaw_in_peace(host);
        for (name, time) in dead_times {
            if let Some(of) = self.hosts.find(|h| h.name == name) {
                let time = time.as_micros() as Micros;
                self.judge.knows_dead_time(host, of, time);
            }
        }
    }

    /// The core has panicked: the actions of this call are lost, the actors go on.
    pub(crate) fn panic(&mut self, host: HostId) {
        let h = &mut self.hosts[host];
        h.panics = false;
        let Some(node) = h.node.take() else { return };
        h.root.forget();
        h.kept.holding = node.holding();
        h.kept.releases = node.releases_everything();
        h.kept.frozen = node.frozen();
        h.kept.failback_due = node.failback_due();
        h.kept.unfenced = node.unfenced();
        let Daemon::Ours(node) = node else { return };
        let dead_times = node.dead_times();
        let dead_times = dead_times.map(|(of, time)| (of.clone(), time)).collect();
        self.note(format_args!("{host}: the core panics"));
        self.judge.daemon_died(host, self.now);
        self.hold_what_runs(host);
        self.resume(host, dead_times);
        if self.hosts[host].stopping {
            self.stop_asked(host);
        }
    }

    /// A restart in place, as soon as the node is ready for it.
    pub(crate) fn ask_reload(&mut self, host: HostId, pause: Micros) {
        let now = self.clock(host);
        let process = self.hosts[host].life.process;
        let kept = &self.hosts[host].kept;
        let whole = kept.bare.is_disjoint(&kept.may_run);
        let Some(Daemon::Ours(node)) = self.hosts[host].node.as_mut() else {
            return;
        };
        if node.stopping() {
            return;
        }
        let ready = whole
            && node.status().to_string() == "active"
            && node.rscstatus() != Some("transition");
        if !ready {
            let again = self.now + SECOND;
            return self.at(
                again,
                Happening::AskReload {
                    host,
                    process,
                    pause,
                },
            );
        }
        let mut actions = Vec::new();
        node.announce_silence(SILENCE, now, &mut actions);
        self.perform(host, actions);
        self.kill_daemon(host, pause);
    }
}
