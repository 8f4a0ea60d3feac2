//! Acts from outside a pair.

use crate::protocol::event::Event;
use crate::protocol::membership::NodeView;
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::settings::AutoFailback;

use super::act::{Act, set_word};
use super::daemon::Daemon;
use super::ids::HostId;
use super::queue::Happening;
use super::world::{SECOND, World};

impl World {
    /// Something from outside.
    pub fn act(&mut self, act: Act) {
        let now = self.now;
        self.note(format_args!("ACT {act}"));
        self.judge.disturbed(now);
        if act.may_move() {
            self.moved_at = now;
        }
        match act {
            Act::Start { host } => self.start(host),
            Act::Crash { host } => self.crash(host),
            Act::Stop { host } => self.request_stop(host),
            Act::Kill { host, pause } => self.kill_daemon(host, pause),
            Act::Reload { host, pause } => self.ask_reload(host, pause),
            Act::Panic { host } => self.hosts[host].panics = true,
            Act::Freeze { host, ms, machine } => {
                self.freeze(host, now + ms * 1_000, machine != 0);
            }
            Act::Clock { host, seconds } => self.hosts[host].wall_offset += seconds,
            Act::Standby { host, set } => {
                self.excuse();
                self.monitors_see_people();
                let message = Message::new("ask_resources").with("rsc_hold", set_word(set));
                self.inject(host, message.with("info", "me"));
            }
            Act::Takeover { host, set } => {
                self.excuse();
                self.monitors_see_people();
                self.inject(
                    host,
                    Message::new("hb_takeover").with("rsc_hold", set_word(set)),
                );
            }
            Act::Broken { group, .. }
            | Act::Taken { group, .. }
            | Act::Unstoppable { group, .. }
                if !self.plan.has_group(group) => {}
            Act::Broken { host, group, on } => {
                let broken = &mut self.hosts[host].broken;
                if on != 0 {
                    broken.insert(group);
                } else if broken.remove(&group) {
                    self.judge.repaired(group, now);
                }
            }
            Act::Taken { host, group, on } => {
                let taken = &mut self.hosts[host].taken;
                if on != 0 {
                    taken.insert(group);
                } else if taken.remove(&group) {
                    self.judge.repaired(group, now);
                }
            }
            Act::Unstoppable { host, group } => {
                self.hosts[host].unstoppable.insert(group);
            }
            Act::Slow { host, group, ms } => {
                self.hosts[host].slow.insert(group, ms);
                self.judge.slow_script(ms * 1_000);
            }
            Act::Late { host, micros } => {
                self.hosts[host].late = micros;
                self.judge.late_timers(host, micros);
            }
            Act::Root { host } => self.hosts[host].root.panics = !self.plan.is_legacy(host),
            Act::Disk { host, how } => self.hosts[host].disk.happens(how),
            Act::Rotate { host } => self.hosts[host].key ^= 3,
            Act::Rest { moved } => self.rest(moved != 0),
            Act::Mark { host } => self.mark(host),
            Act::Maintenance { host, on: 0 } => self.feed(host, Event::ThawRequested),
            Act::Maintenance { host, .. } => self.feed(host, Event::FreezeRequested),
            Act::Gate { host, cut } => self.hosts[host].gate_cut = cut != 0,
            Act::Remove { host, group } => self.remove_address(host, group),
            Act::Link { host, down } => self.set_link(host, down != 0),
            Act::Dies { host, group } => self.service_dies(host, group),
            Act::Lies { host, group, how } => self.check_lies(host, group, how),
            Act::Cut { .. }
            | Act::Cable { .. }
            | Act::Heal
            | Act::Loss { .. }
            | Act::LossAll { .. }
            | Act::Burst { .. }
            | Act::Delay { .. }
            | Act::Twice { .. }
            | Act::Noisy { .. }
            | Act::Corrupt { .. }
            | Act::Replay { .. }
            | Act::Line { .. } => self.network_act(act),
            Act::Peace => self.peace(),
        }
    }

    /// Everything that is broken is repaired.
    fn peace(&mut self) {
        self.calm = true;
        self.heal();
        let now = self.now;
        let fails = |host: &super::host::Host| !(host.broken.is_empty() && host.taken.is_empty());
        if self.hosts.iter().any(fails) {
            self.moved_at = now;
        }
        for host in &mut self.hosts {
            host.unstoppable.clear();
            host.panics = false;
            host.root.panics = false;
            host.disk.happens(3);
            host.slow.clear();
            host.late = 0;
            for group in std::mem::take(&mut host.taken) {
                self.judge.repaired(group, now);
            }
            host.gate_cut = false;
            for group in std::mem::take(&mut host.broken) {
                self.judge.repaired(group, now);
            }
        }
        for host in self.plan.hosts() {
            self.set_link(host, false);
            self.services_repaired(host);
            self.thaw_in_peace(host);
        }
    }

    /// A person who finds a node frozen when everything else is repaired thaws it. The command at the
    /// end of the maintenance may have found no daemon.
    pub(crate) fn thaw_in_peace(&mut self, host: HostId) {
        if self.calm && self.hosts[host].node.as_ref().is_some_and(Daemon::frozen) {
            let thaw = Act::Maintenance { host, on: 0 };
            self.at(self.now + SECOND, Happening::Act(thaw));
        }
    }

    /// Everything has settled; if nothing should have moved, each group is where it was.
    fn rest(&mut self, moved: bool) {
        self.settled();
        let owners = self.all_owners();
        let now = self.now;
        if let Some(before) = self
            .rested
            .as_ref()
            .filter(|before| !moved && **before != owners)
        {
            let text = format!("groups have moved from {before:?} to {owners:?}");
            self.judge.fail(now, text);
        }
        let home = self.plan.groups.iter().map(|(owner, _)| vec![*owner]);
        let returns = self.plan.failback == AutoFailback::On;
        if returns && moved && owners != home.collect::<Vec<_>>() {
            let text = format!("groups have not returned: {owners:?}");
            self.judge.fail(now, text);
        }
        self.judge.rested(moved, now);
        self.rested = Some(owners);
    }

    /// A person who moves groups that a node cannot start must move them again.
    fn excuse(&mut self) {
        for group in self.plan.group_ids() {
            if self.hosts.iter().any(|host| host.broken.contains(&group)) {
                self.judge.excuse(group);
            }
        }
    }

    /// A message that every node must handle exactly once.
    pub fn mark(&mut self, host: HostId) {
        if self.hosts[host].node.is_none() {
            return;
        }
        self.marks += 1;
        let message = Message::new("labmark").with("mark", &self.marks.to_string());
        // A suspended node sends it later, perhaps in another run.
        let stands = self.hosts[host].frozen_until.is_some();
        let known = !stands && self.know_each_other();
        self.judge.mark_sent(host, self.marks, known);
        self.inject(host, message);
    }

    /// Each node is active for the other.
    fn know_each_other(&self) -> bool {
        // In its present run: the receiver misses no numbers of an earlier one.
        let run = |name: &NodeName| {
            let host = self.hosts.iter().find(|host| host.name == *name)?;
            let node = host.node.as_ref()?;
            node.nodes().find(|it| it.own).map(|it| it.generation)
        };
        let knows = |peer: NodeView<'_>| {
            let active = peer.status.to_string() == "active";
            peer.ping || active && run(peer.name) == Some(peer.generation)
        };
        let mut nodes = self.hosts.iter().map(|host| host.node.as_ref());
        nodes.all(|node| node.is_some_and(|node| node.nodes().all(knows)))
    }
}
