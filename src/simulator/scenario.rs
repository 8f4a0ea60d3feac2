//! A run step by step, in which nothing is left to chance: for tests that say what happens and when. The judge
//! watches it like every other run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::clock::Monotonic;
use crate::node::Node;
use crate::notice::Severity;
use crate::protocol::event::{Action, GroupOrder};
use crate::protocol::field;
use crate::protocol::group::GroupKey;
use crate::protocol::haresources_mark::FileMarks;
use crate::protocol::message::Message;
use crate::protocol::settings::AutoFailback;

use super::act::Act;
use super::daemon::Daemon;
use super::ids::{GroupId, HostId, Key};
use super::observer::Observer;
use super::plan::{Plan, Program};
use super::world::{Micros, World};

/// Run time of a script, unless a test sets another.
const SCRIPT: Micros = 20_000;
/// A suspension whose end is not known yet.
const SOME_DAY: Micros = Micros::MAX / 16;

/// Whether a datagram is lost: sender, receiver, message.
pub type Loses = Box<dyn FnMut(&str, &str, &Message) -> bool>;

/// What a test has fixed.
pub(crate) struct Scripted {
    /// That of groups without a time of their own.
    each_script: Micros,
    script_times: BTreeMap<GroupId, Micros>,
    lose: Loses,
    /// Types of messages of a host that do not reach the other.
    mute: BTreeSet<(HostId, String)>,
    /// The same uuid on every host, as on cloned machines.
    pub(crate) cloned: bool,
    /// haresources of a host, if it is not that of the plan: owner and group of each line.
    files: BTreeMap<HostId, Vec<(HostId, GroupId)>>,
    /// A further resource in every line of a host's file.
    more: BTreeMap<HostId, String>,
    /// Hosts of the version before: no message names groups, or the lines of haresources.
    older: BTreeSet<HostId>,
}

impl Default for Scripted {
    fn default() -> Self {
        Self {
            each_script: SCRIPT,
            script_times: BTreeMap::new(),
            lose: Box::new(|_, _, _| false),
            mute: BTreeSet::new(),
            cloned: false,
            files: BTreeMap::new(),
            more: BTreeMap::new(),
            older: BTreeSet::new(),
        }
    }
}

impl Scripted {
    /// Each script takes so long, and nothing else is fixed.
    pub(crate) fn taking(each_script: Micros) -> Self {
        Self {
            each_script,
            ..Self::default()
        }
    }

    pub(crate) fn script_time(&self, group: GroupId) -> Micros {
        self.script_times
            .get(&group)
            .copied()
            .unwrap_or(self.each_script)
    }

    /// The message as it reaches the other host; `None`: it is lost.
    pub(crate) fn carried(&mut self, from: HostId, message: &Message) -> Option<Message> {
        let kind = message.kind().unwrap_or_default();
        let (sender, receiver) = (from.to_string(), from.other().to_string());
        let lost = (self.lose)(&sender, &receiver, message)
            || self.mute.contains(&(from, kind.to_owned()));
        let older = [from, from.other()]
            .iter()
            .any(|it| self.older.contains(it));
        (!lost).then(|| match older {
            true => as_heard_by_older(message),
            false => message.clone(),
        })
    }

    pub(crate) fn file(&self, host: HostId) -> Option<Vec<(HostId, GroupId)>> {
        self.files.get(&host).cloned()
    }

    pub(crate) fn more(&self, host: HostId) -> Option<String> {
        self.more.get(&host).cloned()
    }

    /// Whether a group is an address: others have none.
    pub(crate) fn has_address(&self, plan: &Plan, group: GroupId) -> bool {
        let key = plan.group_key(group);
        key.as_str().parse::<std::net::IpAddr>().is_ok()
    }

    /// The keys of those.
    pub(crate) fn with_address(&self, plan: &Plan) -> BTreeSet<GroupKey> {
        let groups = plan
            .group_ids()
            .filter(|group| self.has_address(plan, *group));
        groups.map(|group| plan.group_key(group)).collect()
    }
}

/// Everything that happened and that tests look at, each with the name of its host.
#[derive(Debug, Default)]
struct Log {
    /// Names of the groups.
    names: Vec<String>,
    new: RefCell<Vec<Entry>>,
}

#[derive(Debug)]
enum Entry {
    Said(String, String),
    Ran(String, String),
    Complained(String),
    Rebooted(String),
    OwnBeat(Monotonic, String),
    Withdrew(Monotonic, String),
    Double(Monotonic, String),
}

impl Log {
    fn add(&self, entry: Entry) {
        self.new.borrow_mut().push(entry);
    }

    fn name(&self, group: GroupId) -> String {
        let name = self.names.get(group.number());
        name.cloned().unwrap_or_else(|| group.to_string())
    }
}

impl Observer for Log {
    fn action(&self, now: Micros, host: HostId, action: &Action) {
        let (now, host) = (monotonic(now), host.to_string());
        match action {
            Action::Transmit(message) => {
                if let Some(text) = text_of(message) {
                    self.add(Entry::Said(host, text));
                }
            }
            Action::Notice(notice) if notice.severity() >= Severity::Warn => {
                self.add(Entry::Complained(format!("{host}: {notice}")));
            }
            Action::OwnHeartbeat => self.add(Entry::OwnBeat(now, host)),
            Action::WithdrawAddresses(_) => self.add(Entry::Withdrew(now, host)),
            Action::RebootMachine { .. } => self.add(Entry::Rebooted(host)),
            _ => {}
        }
    }

    fn script(&self, _: Micros, host: HostId, group: GroupId, what: GroupOrder) {
        let word = match what {
            GroupOrder::Start => "start",
            GroupOrder::Restart => "restart",
            GroupOrder::Stop => "stop",
        };
        let text = format!("{word} {}", self.name(group));
        self.add(Entry::Ran(host.to_string(), text));
    }

    fn overlap(&self, now: Micros, group: GroupId) {
        self.add(Entry::Double(monotonic(now), self.name(group)));
    }
}

fn monotonic(now: Micros) -> Monotonic {
    Monotonic::from_duration(Duration::from_micros(now))
}

/// Nodes with the names `node1` and `node2`, and everything that happened to them.
pub struct Scenario {
    world: World,
    log: Rc<Log>,
    /// The present moment.
    pub now: Monotonic,
    /// How long the scripts of a group take from now on.
    pub script_time: BTreeMap<String, Duration>,
    /// Hosts whose core panics in the next call that has something to do.
    pub panics: BTreeSet<String>,
    /// When addresses were withdrawn, and on which host.
    pub withdrawn: Vec<(Monotonic, String)>,
    /// Host and message, as [`text_of`] writes it.
    pub messages: Vec<(String, String)>,
    /// Host and `start GROUP` or `stop GROUP`.
    pub scripts: Vec<(String, String)>,
    /// Host and text of every warning and error.
    pub complaints: Vec<String>,
    /// Hosts whose machine was to be restarted.
    pub reboots: Vec<String>,
    /// When a node's own heartbeat came back: this would feed a watchdog.
    pub own_beats: Vec<(Monotonic, String)>,
    /// When a second host began to run a group.
    pub doubles: Vec<(Monotonic, String)>,
}

impl Scenario {
    /// The first hosts, this many, each the owner of one group: `a`, `b`.
    pub fn new(hosts: usize, model: AutoFailback) -> Self {
        let groups = super::ids::ids::<HostId>(hosts).zip(["a", "b"]);
        Self::with_groups(hosts, model, groups)
    }

    /// The first hosts, this many, and groups of these owners.
    pub fn with_groups<'a>(
        hosts: usize,
        model: AutoFailback,
        groups: impl IntoIterator<Item = (HostId, &'a str)>,
    ) -> Self {
        let (owners, names): (Vec<_>, Vec<_>) = groups.into_iter().unzip();
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let plan = Plan {
            programs: vec![Program::Ours; hosts],
            keepalives_ms: vec![500; hosts],
            deadtimes_ms: vec![4_000; hosts],
            initdead_ms: 12_000,
            failback: model,
            groups: owners.into_iter().map(|owner| (owner, 1)).collect(),
            internal_ms: 0,
            names: names.clone(),
            ..Plan::quiet()
        };
        let mut world = World::new(plan, 7);
        world.scripted = Some(Scripted::default());
        for host in &mut world.hosts {
            // The test says when the ping node answers.
            host.gate_cut = true;
        }
        let log = Rc::new(Log {
            names,
            new: RefCell::default(),
        });
        world.observe(log.clone());
        Self {
            now: monotonic(world.now),
            world,
            log,
            script_time: BTreeMap::new(),
            panics: BTreeSet::new(),
            withdrawn: Vec::new(),
            messages: Vec::new(),
            scripts: Vec::new(),
            complaints: Vec::new(),
            reboots: Vec::new(),
            own_beats: Vec::new(),
            doubles: Vec::new(),
        }
    }

    /// There is a ping node, and nodes that are cut off release everything. Before the first start.
    pub fn with_gateway(&mut self) {
        self.world.plan.gate = true;
    }

    /// All hosts have the same uuid, as cloned machines. Before the first start.
    pub fn with_one_uuid(&mut self) {
        if let Some(scripted) = &mut self.world.scripted {
            scripted.cloned = true;
        }
    }

    /// Writes haresources of a host: owner and group of each line. All groups are named at the beginning.
    pub fn write_haresources(&mut self, host: &str, lines: &[(&str, &str)]) {
        let of = |(owner, group): &(&str, &str)| (self.host(owner), self.group(group));
        let (host, lines) = (self.host(host), lines.iter().map(of).collect());
        if let Some(scripted) = &mut self.world.scripted {
            scripted.files.insert(host, lines);
        }
    }

    /// Appends a resource to every line in haresources of a host, or removes it again.
    pub fn append_resource(&mut self, host: &str, resource: Option<&str>) {
        let host = self.host(host);
        if let Some(scripted) = &mut self.world.scripted {
            match resource {
                Some(name) => drop(scripted.more.insert(host, name.to_owned())),
                None => drop(scripted.more.remove(&host)),
            }
        }
    }

    /// From now on the host is of the version before: no message names groups, or the lines of haresources.
    pub fn is_older(&mut self, host: &str) {
        let host = self.host(host);
        if let Some(scripted) = &mut self.world.scripted {
            scripted.older.insert(host);
        }
    }

    /// Every daemon looks at its file, as it does every few seconds.
    pub fn look_at_haresources(&mut self) {
        for host in self.world.plan.hosts() {
            let marks = FileMarks::of(&self.world.file(host));
            if let Some(Daemon::Ours(node)) = &mut self.world.hosts[host].node {
                node.haresources_on_disk(marks);
            }
        }
    }

    /// The group may have two owners: the test is about what is logged, not about who runs it.
    pub fn expect_two_owners(&mut self, group: &str) {
        let group = self.group(group);
        self.world.judge.expect_two_owners(group);
    }

    /// The judge's first finding.
    pub fn failure(&self) -> Option<&str> {
        self.world.judge.failure()
    }

    fn host(&self, name: &str) -> HostId {
        let found = self.world.hosts.find(|host| host.name.as_str() == name);
        found.unwrap_or(HostId::of(self.world.plan.nodes()))
    }

    fn group(&self, name: &str) -> GroupId {
        let at = self.log.names.iter().position(|it| it == name);
        GroupId::of(at.unwrap_or(self.log.names.len()))
    }

    /// Takes over what the test has set since.
    fn apply(&mut self) {
        let mut times = BTreeMap::new();
        for (name, time) in &self.script_time {
            let micros = Micros::try_from(time.as_micros()).unwrap_or(SOME_DAY);
            times.insert(self.group(name), micros);
        }
        if let Some(scripted) = &mut self.world.scripted {
            for (group, time) in &times {
                if scripted.script_times.get(group) != Some(time) {
                    // Every one takes as long: the start in hand, then the stop.
                    self.world.judge.slow_script(2 * *time);
                }
            }
            scripted.script_times = times;
        }
        for host in &mut self.world.hosts {
            host.panics = self.panics.contains(host.name.as_str());
        }
    }

    /// Takes over what happened since.
    fn look(&mut self) {
        self.now = monotonic(self.world.now);
        for host in self.world.hosts.iter().filter(|host| !host.panics) {
            self.panics.remove(host.name.as_str());
        }
        for entry in self.log.new.take() {
            match entry {
                Entry::Said(host, text) => self.messages.push((host, text)),
                Entry::Ran(host, text) => self.scripts.push((host, text)),
                Entry::Complained(text) => self.complaints.push(text),
                Entry::Rebooted(host) => self.reboots.push(host),
                Entry::OwnBeat(at, host) => self.own_beats.push((at, host)),
                Entry::Withdrew(at, host) => self.withdrawn.push((at, host)),
                Entry::Double(at, group) => self.doubles.push((at, group)),
            }
        }
    }

    fn act(&mut self, act: Act) {
        self.apply();
        self.world.act(act);
        self.look();
    }

    /// Lets this many milliseconds pass.
    pub fn run(&mut self, ms: u64) {
        self.apply();
        self.world.run(self.world.now + ms * 1_000);
        self.look();
    }

    /// Starts the daemon of a host.
    pub fn boot(&mut self, host: &str) {
        let host = self.host(host);
        self.act(Act::Start { host });
    }

    /// The daemon alone is killed, and its guardian starts it again with what it held.
    pub fn revive(&mut self, host: &str) {
        let host = self.host(host);
        self.apply();
        self.world.kill_daemon(host, 0);
        if self.world.hosts[host].reviving {
            self.world.revive(host);
        }
        self.look();
    }

    /// Power loss: nothing runs any more and nothing was reported.
    pub fn kill(&mut self, host: &str) {
        let host = self.host(host);
        self.act(Act::Crash { host });
    }

    /// The machine is suspended, as a paused virtual machine.
    pub fn freeze(&mut self, host: &str) {
        let host = self.host(host);
        self.world.freeze(host, SOME_DAY, true);
    }

    /// It goes on: the overdue timer comes first, then the events that waited.
    pub fn thaw(&mut self, host: &str) {
        let host = self.host(host);
        self.world.thaw_now(host);
        self.look();
    }

    /// Messages of this type from the host do not reach the other.
    pub fn mute(&mut self, host: &str, kind: &str) {
        let host = self.host(host);
        if let Some(scripted) = &mut self.world.scripted {
            scripted.mute.insert((host, kind.to_owned()));
        }
    }

    /// From now on datagrams are lost so.
    pub fn lose(&mut self, lose: impl FnMut(&str, &str, &Message) -> bool + 'static) {
        if let Some(scripted) = &mut self.world.scripted {
            scripted.lose = Box::new(lose);
        }
    }

    /// The node announces a longer dead time.
    pub fn announce_silence(&mut self, host: &str, extra: Duration) {
        let host = self.host(host);
        self.world.announce_silence(host, extra);
        self.look();
    }

    /// An orderly stop.
    pub fn stop(&mut self, host: &str) {
        let host = self.host(host);
        self.act(Act::Stop { host });
    }

    /// `hb_standby SET` on a host.
    pub fn standby(&mut self, host: &str, set: &str) {
        let message = Message::new("ask_resources").with(field::RSC_HOLD, set);
        self.inject(host, message.with(field::INFO, "me"));
    }

    /// `hb_takeover SET` on a host.
    pub fn takeover(&mut self, host: &str, set: &str) {
        self.inject(host, Message::new("hb_takeover").with(field::RSC_HOLD, set));
    }

    /// `hb_standby --force SET` or `hb_takeover --force SET` on a host.
    pub fn force(&mut self, host: &str, kind: &str, set: &str) {
        let message = Message::new(kind)
            .with(field::RSC_HOLD, set)
            .with(field::INFO, "me");
        self.inject(host, message.with(field::FORCE, "1"));
    }

    fn inject(&mut self, host: &str, message: Message) {
        let host = self.host(host);
        self.world.inject(host, message);
        self.run(0);
    }

    /// Cuts the wire between the hosts.
    pub fn cut(&mut self) {
        self.world.cut_all(true);
    }

    /// Connects it again.
    pub fn heal(&mut self) {
        self.world.cut_all(false);
    }

    /// From now on the group does not start on the host.
    pub fn break_group(&mut self, host: &str, group: &str) {
        let (host, group) = (self.host(host), self.group(group));
        self.act(Act::Broken { host, group, on: 1 });
    }

    /// From now on it starts there again.
    pub fn repair_group(&mut self, host: &str, group: &str) {
        let (host, group) = (self.host(host), self.group(group));
        self.act(Act::Broken { host, group, on: 0 });
    }

    /// The ping node answers a host.
    pub fn answer_ping(&mut self, host: &str) {
        let host = self.host(host);
        self.apply();
        self.world.echo(host);
        self.look();
    }

    /// Generation of a host's present run.
    pub fn generation(&self, host: &str) -> u64 {
        self.world.hosts[self.host(host)].generation
    }

    /// The core of a host, if its daemon runs.
    pub fn node(&self, host: &str) -> Option<&Node> {
        match &self.world.hosts[self.host(host)].node {
            Some(Daemon::Ours(node)) => Some(node),
            _ => None,
        }
    }

    /// Whether the daemon of a host runs.
    pub fn is_up(&self, host: &str) -> bool {
        self.node(host).is_some()
    }

    /// The hosts on which a group runs.
    pub fn owners(&self, group: &str) -> Vec<String> {
        let owners = self.world.owners(self.group(group));
        owners.iter().map(HostId::to_string).collect()
    }

    /// `HOST RSCSTATUS: GROUPS`, for every node that runs: what it says that it holds, and what runs there.
    pub fn holdings(&self) -> Vec<String> {
        let hosts = self.world.plan.hosts().filter_map(|host| {
            let name = host.to_string();
            let status = self.node(&name)?.rscstatus().unwrap_or("-");
            let groups = self.world.plan.group_ids();
            let runs = groups.filter(|group| self.world.owners(*group).contains(&host));
            let mut runs: Vec<String> = runs.map(|group| self.log.name(group)).collect();
            runs.sort();
            let line = format!("{name} {status}: {}", runs.join(" "));
            Some(line.trim_end().to_owned())
        });
        hosts.collect()
    }

    /// Forgets what happened so far.
    pub fn forget(&mut self) {
        self.messages.clear();
        self.scripts.clear();
        self.complaints.clear();
        self.doubles.clear();
    }

    /// The messages of one node.
    pub fn said_by(&self, host: &str) -> Vec<String> {
        of(&self.messages, host)
    }

    /// The scripts of one node.
    pub fn run_by(&self, host: &str) -> Vec<String> {
        of(&self.scripts, host)
    }
}

/// The part of a message that two nodes exchange when one of them is of the version before.
fn as_heard_by_older(message: &Message) -> Message {
    let mut message = message.clone();
    for name in [field::NAMES, field::LINES, field::EACH_LINE] {
        message.remove(name);
    }
    if message.kind() != Some("status") {
        message.remove(field::HARESOURCES);
    }
    message
}

/// The entries of one node.
pub fn of(entries: &[(String, String)], host: &str) -> Vec<String> {
    let of_host = entries.iter().filter(|(name, _)| name == host);
    of_host.map(|(_, text)| text.clone()).collect()
}

/// A message about resources in the form that tests compare: type and important fields.
pub fn text_of(message: &Message) -> Option<String> {
    let kind = message.kind()?;
    let kinds = [
        "starting",
        "resource",
        "ask_resources",
        "hb_takeover",
        "shutdone",
        "stonith",
        "ip-request",
        "ip-request-resp",
    ];
    if !kinds.contains(&kind) {
        return None;
    }
    let fields = [
        field::NODE,
        field::RESULT,
        field::RSC_HOLD,
        field::IS_STABLE,
        field::INFO,
    ];
    let mut words = vec![kind];
    words.extend(fields.iter().filter_map(|field| message.text(field)));
    Some(words.join(" "))
}
