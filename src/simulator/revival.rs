//! Daemons that die alone, restart in place, or lose their core: their resources run on.

use std::time::Duration;

use crate::node::Node;
use crate::node::resume::Resume;
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

use super::daemon::Daemon;
use super::ids::{GroupId, HostId};
use super::questions::Asks;
use super::queue::Happening;
use super::world::{Micros, SECOND, World};

/// By how much a restart in place extends the dead time that the other node uses.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

impl World {
    /// The daemon alone is killed: its scripts and its resources run on. Its guardian starts it
    /// again after `pause`. A legacy node has no guardian.
    pub fn kill_daemon(&mut self, host: HostId, pause: Micros) {
        let h = &mut self.hosts[host];
        if !matches!(h.node, Some(Daemon::Ours(_))) || h.frozen_until.is_some() {
            return;
        }
        self.hosts[host].kept.owners = self.whose(host);
        let h = &mut self.hosts[host];
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
        self.read_file(host);
        self.take_generation_after(host);
        self.resume(host, Vec::new());
        if self.hosts[host].stopping {
            self.stop_asked(host);
        }
    }

    /// A core that continues after another one has ended, with its kept state and the known dead
    /// times of other nodes.
    fn resume(&mut self, host: HostId, dead_times: Vec<(NodeName, Duration)>) {
        let settings = self.settings(host);
        let seed = self.seed(host);
        let identity = self.identity(host);
        let owners = std::mem::take(&mut self.hosts[host].kept.owners);
        let now = self.held_now(host, owners);
        self.hosts[host].kept.holding = now.holding;
        let kept = &self.hosts[host].kept;
        let keys = |groups: Vec<GroupId>| -> Vec<GroupKey> {
            groups
                .into_iter()
                .map(|group| self.plan.group_key(group))
                .collect()
        };
        let running = keys(kept.may_run.iter().copied().collect());
        let unfinished = keys(kept.unfinished().into_iter().collect());
        let resume = Resume {
            holding: now.holding,
            running,
            unfinished,
            left: now.left.into_iter().collect(),
            came: now.came.into_iter().collect(),
            to_go_home: now.to_go_home,
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
        self.resume(host, dead_times);
        if self.hosts[host].stopping {
            self.stop_asked(host);
        }
    }

    /// A restart in place, as soon as the node is ready for it.
    pub(crate) fn ask_reload(&mut self, host: HostId, pause: Micros) {
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
        self.announce_silence(host, SILENCE);
        self.lease_parts(host);
        self.kill_daemon(host, pause);
    }

    /// The node announces a longer dead time.
    pub(crate) fn announce_silence(&mut self, host: HostId, extra: Duration) {
        let now = self.clock(host);
        let mut actions = Vec::new();
        if let Some(Daemon::Ours(node)) = self.hosts[host].node.as_mut() {
            node.announce_silence(extra, now, &mut actions);
        }
        self.perform(host, actions);
    }
}
