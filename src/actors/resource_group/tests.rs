use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::actors::messages::{AskSettled, ClearFailures, MoveAddresses, NoteDecision, TellAgain};
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::agents::child::{OutputTarget, record};
use crate::agents::script::Environment;
use crate::config::settings::{NativeAddresses, StrayAddresses};
use crate::net::address::AddressResource;
use crate::net::announce::Again;
use crate::net::names::Names;
use crate::net::probe::Effort;
use crate::net::service_address::{Claim, Removed};
use crate::os::paths::Paths;
use crate::protocol::event::{GroupOutcome, OrderId};
use crate::protocol::group::GroupKey;
use crate::protocol::name::NodeName;

/// A tree of its own with scripts that record their calls.
pub(crate) struct Scripts {
    root: TempDir,
    pub(crate) paths: Paths,
    pub(crate) environment: Environment,
    pub(crate) limit: Duration,
    pub(crate) native: NativeAddresses,
    pub(crate) stray: StrayAddresses,
    pub(crate) unfinished: Vec<GroupKey>,
    pub(crate) addresses: Arc<FakeAddresses>,
    /// Number of calls that were read. The file stays: a script may be writing to it.
    told: StdMutex<usize>,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        let root = TempDir::new().expect("tempdir");
        let paths = Paths::under(root.path());
        for directory in [paths.resource_d(), paths.init_dir.clone(), paths.rc_d()] {
            fs::create_dir_all(directory).expect("directories");
        }
        let mut environment = Environment::default();
        environment.set("HA_STOPRETRYMAX", "1");
        let scripts = Self {
            root,
            paths,
            environment,
            limit: Duration::from_secs(20),
            native: NativeAddresses::Auto,
            stray: StrayAddresses::Remove,
            unfinished: Vec::new(),
            addresses: Arc::default(),
            told: StdMutex::default(),
        };
        // Runs once started until stopped.
        scripts.resource(
            "good",
            "case $op in start) touch $f;; stop) rm -f $f;; status) [ -f $f ] && echo running;; esac",
        );
        scripts.resource("bad", "case $op in start) exit 7;; stop) rm -f $f;; esac");
        scripts
    }

    /// A script in resource.d. `$op` is the operation, `$f` a state file of its first argument,
    /// `$root` the tree.
    pub(crate) fn resource(&self, name: &str, body: &str) {
        self.script(&self.paths.resource_d().join(name), body);
    }

    pub(crate) fn script(&self, path: &std::path::Path, body: &str) {
        let root = self.root.path().display();
        let text = format!(
            "#!/bin/sh\nroot={root}\necho \"${{0##*/}} $*\" >> $root/calls\n\
             for op; do :; done\nf=$root/state.${{0##*/}}.$1\n{body}\n"
        );
        fs::write(path, text).expect("script");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("chmod");
    }

    pub(crate) fn haresources(&self, text: &str) {
        fs::write(self.paths.haresources(), text).expect("haresources");
    }

    /// The calls so far without `status`, and forgets them.
    pub(crate) fn calls(&self) -> Vec<String> {
        let mut calls = self.all_calls();
        calls.retain(|call| !call.ends_with(" status"));
        calls
    }

    pub(crate) fn all_calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.file("calls")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut told = self.told.lock().expect("lock");
        let new: Vec<String> = whole.lines().skip(*told).map(str::to_owned).collect();
        *told += new.len();
        new
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn context(&self) -> Arc<GroupContext> {
        Arc::new(GroupContext {
            directory: None,
            paths: self.paths.clone(),
            environment: Arc::new(self.environment.clone()),
            output: OutputTarget {
                file: Some(self.file("debug")),
                pump: None,
            },
            limit: self.limit,
            shim: None,
            unfinished: self.unfinished.clone(),
            kill_after: Duration::from_millis(200),
            native_addresses: self.native,
            stray_addresses: self.stray,
            addresses: Arc::clone(&self.addresses) as Arc<dyn AddressHandler>,
            checks: CheckTurns::default(),
            names: Names::default(),
        })
    }
}

/// Addresses that are only recorded.
#[derive(Default)]
pub(crate) struct FakeAddresses {
    up: StdMutex<BTreeSet<String>>,
    /// The addresses that another host has, and where.
    pub(crate) foreign: StdMutex<Vec<Claim>>,
    /// How often the network was probed, and what was announced again.
    pub(crate) asked: StdMutex<usize>,
    pub(crate) announced: StdMutex<Vec<(String, Again)>>,
    refuse_stop: StdMutex<bool>,
    silent: StdMutex<bool>,
}

impl FakeAddresses {
    pub(crate) fn up(&self) -> Vec<String> {
        self.up.lock().expect("lock").iter().cloned().collect()
    }

    pub(crate) fn drop_all(&self) {
        self.up.lock().expect("lock").clear();
    }

    pub(crate) fn put(&self, address: &str) {
        self.up.lock().expect("lock").insert(address.to_owned());
    }
}

impl AddressHandler for FakeAddresses {
    fn start<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            self.up
                .lock()
                .expect("lock")
                .insert(address.address.to_string());
            Ok(())
        })
    }

    fn stop<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, ()> {
        Box::pin(async {
            if *self.refuse_stop.lock().expect("lock") {
                return Err("refused".to_owned());
            }
            self.up
                .lock()
                .expect("lock")
                .remove(&address.address.to_string());
            Ok(())
        })
    }

    fn claims<'a>(
        &'a self,
        addresses: &'a [AddressResource],
        _: Effort,
    ) -> AddressFuture<'a, Vec<Claim>> {
        Box::pin(async move {
            *self.asked.lock().expect("lock") += 1;
            let foreign = self.foreign.lock().expect("lock").clone();
            let asked = |claim: &Claim| addresses.iter().any(|it| it.address == claim.address);
            Ok(foreign.into_iter().filter(asked).collect())
        })
    }

    fn unanswered<'a>(
        &'a self,
        addresses: &'a [AddressResource],
    ) -> AddressFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let foreign = self.foreign.lock().expect("lock").clone();
            let answers = |it: &IpAddr| foreign.iter().any(|claim| claim.address == *it);
            let addresses = addresses.iter().map(|it| it.address);
            Ok(addresses.filter(|it| !answers(it)).collect())
        })
    }

    fn present<'a>(&'a self, addresses: &'a [AddressResource]) -> AddressFuture<'a, Vec<IpAddr>> {
        Box::pin(async move {
            let up = self.up.lock().expect("lock");
            let addresses = addresses.iter().map(|it| it.address);
            Ok(addresses
                .filter(|it| up.contains(&it.to_string()))
                .collect())
        })
    }

    fn remove_stray<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, Removed> {
        Box::pin(async {
            let mut up = self.up.lock().expect("lock");
            Ok(if up.remove(&address.address.to_string()) {
                Removed::Yes
            } else {
                Removed::WasNotThere
            })
        })
    }

    fn announce_again<'a>(
        &'a self,
        address: &'a AddressResource,
        why: Again,
    ) -> AddressFuture<'a, ()> {
        Box::pin(async move {
            let mut announced = self.announced.lock().expect("lock");
            announced.push((address.address.to_string(), why));
            Ok(())
        })
    }

    fn status<'a>(&'a self, address: &'a AddressResource) -> AddressFuture<'a, bool> {
        Box::pin(async {
            if *self.silent.lock().expect("lock") {
                return Err("no answer".to_owned());
            }
            Ok(self
                .up
                .lock()
                .expect("lock")
                .contains(&address.address.to_string()))
        })
    }
}

/// Successive answers of [`Probe`] to [`MayStart`]; after them yes. `None`: it panics.
type Permits = Arc<StdMutex<VecDeque<Option<bool>>>>;

/// Stands for the core: collects outcomes.
pub(crate) struct Probe {
    outcomes: mpsc::UnboundedSender<GroupDone>,
    permits: Permits,
    /// How often everything was to be told again.
    pub(crate) again: Arc<AtomicU32>,
}

impl Probe {
    pub(crate) fn new(outcomes: mpsc::UnboundedSender<GroupDone>) -> Self {
        Self {
            outcomes,
            permits: Permits::default(),
            again: Arc::default(),
        }
    }
}

impl Actor for Probe {
    type Context = Context<Self>;
}

impl Handler<GroupDone> for Probe {
    type Result = ();

    fn handle(&mut self, done: GroupDone, _: &mut Self::Context) {
        let _ = self.outcomes.send(done);
    }
}

impl Handler<MayStart> for Probe {
    type Result = MessageResult<MayStart>;

    fn handle(&mut self, _: MayStart, _: &mut Self::Context) -> Self::Result {
        let next = self.permits.lock().expect("lock").pop_front();
        MessageResult(next.unwrap_or(Some(true)).expect("a fault of the core"))
    }
}

/// A group with this name was stopped for good.
impl Handler<ClearFailures> for Probe {
    type Result = bool;

    fn handle(&mut self, clear: ClearFailures, _: &mut Self::Context) -> bool {
        clear.watched || clear.group.as_str().contains("down")
    }
}

impl Handler<AskSettled> for Probe {
    type Result = Option<Vec<(GroupKey, NodeName)>>;

    fn handle(&mut self, _: AskSettled, _: &mut Self::Context) -> Self::Result {
        None
    }
}

impl Handler<NoteDecision> for Probe {
    type Result = ();

    fn handle(&mut self, _: NoteDecision, _: &mut Self::Context) {}
}

impl Handler<TellAgain> for Probe {
    type Result = ();

    fn handle(&mut self, _: TellAgain, _: &mut Self::Context) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }
}

impl Supervised for Probe {}

struct Fixture {
    group: Addr<ResourceGroupActor>,
    key: GroupKey,
    outcomes: mpsc::UnboundedReceiver<GroupDone>,
    next: u64,
    /// The next answers of the core when a start asks whether it stands; after them always yes.
    permits: Permits,
    /// Keep them alive.
    _probes: [Addr<Probe>; 2],
}

impl Fixture {
    /// A group as haresources has it, on node `alpha`.
    fn new(scripts: &Scripts, resources: &str) -> Self {
        let at_once = Duration::from_millis(1);
        let policy = RestartPolicy::new("core").delay(at_once, at_once);
        Self::with_core(scripts, resources, policy)
    }

    fn with_core(scripts: &Scripts, resources: &str, core: RestartPolicy) -> Self {
        scripts.haresources(&format!("alpha {resources}\n"));
        let resources: Vec<String> = resources.split_whitespace().map(str::to_owned).collect();
        let key = GroupKey::new(&resources[0]);
        let group = ResourceGroup {
            key: key.clone(),
            owner: NodeName::new("alpha").expect("name"),
            resources,
        };
        let (sender, outcomes) = mpsc::unbounded_channel();
        let probe = Probe::new(sender.clone());
        let permits = Arc::clone(&probe.permits);
        let asked = supervise(&Arbiter::current(), core, move |_| probe);
        let told = Probe::new(sender).start();
        let (done, core) = (told.downgrade().recipient(), asked.downgrade().recipient());
        let context = scripts.context();
        let policy = RestartPolicy::new("group");
        let group = supervise(&Arbiter::current(), policy, move |_| {
            ResourceGroupActor::new(context, group, SharedLedger::default(), done, core)
        });
        Self {
            group,
            key,
            outcomes,
            next: 1,
            permits,
            _probes: [asked, told],
        }
    }

    fn allow(&self, answers: impl IntoIterator<Item = Option<bool>>) {
        self.permits.lock().expect("lock").extend(answers);
    }

    fn order(&mut self, what: GroupOrder) -> OrderId {
        let order = OrderId(self.next);
        self.next += 1;
        self.group.do_send(GroupCommand {
            order,
            group: self.key.clone(),
            what,
            careful: false,
        });
        order
    }

    fn move_addresses(&self, withdraw: bool) {
        self.group.do_send(MoveAddresses {
            group: self.key.clone(),
            withdraw,
        });
    }

    async fn outcome(&mut self) -> GroupDone {
        timeout(Duration::from_secs(20), self.outcomes.recv())
            .await
            .expect("an outcome in time")
            .expect("the probe lives")
    }

    async fn run(&mut self, what: GroupOrder) -> GroupOutcome {
        let order = self.order(what);
        let done = self.outcome().await;
        assert_eq!((done.order, &done.group), (order, &self.key));
        done.outcome
    }
}

use GroupOrder::{Start, Stop};

#[actix::test]
async fn starts_left_to_right_and_stops_right_to_left() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "good::a good::b::x good::c");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(
        scripts.calls(),
        ["good a start", "good b x start", "good c start"]
    );
    // What runs is not started again.
    fs::remove_file(scripts.file("state.good.b")).expect("b runs");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.calls(), ["good b x start"]);
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert_eq!(
        scripts.all_calls(),
        ["good c stop", "good b x stop", "good a stop"],
        "stop asks for no status"
    );
}

/// The process was suspended after the start of `a`, and another node took the group meanwhile.
#[actix::test]
async fn a_start_that_is_withdrawn_begins_no_other_script() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "good::a good::b good::c");
    group.allow([Some(true), Some(false)]);
    assert_eq!(group.run(Start).await, GroupOutcome::Stopped);
    assert_eq!(
        scripts.calls(),
        ["good a start", "good c stop", "good b stop", "good a stop"]
    );
}

#[actix::test]
async fn a_start_that_comes_too_late_puts_no_address_there() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "192.0.2.7/24/lo good::a");
    group.allow([Some(false)]);
    assert_eq!(group.run(Start).await, GroupOutcome::Stopped);
    assert_eq!(scripts.addresses.up(), [""; 0]);
}

/// The addresses are withdrawn while the first script runs: the start goes on and does not add
/// them.
#[actix::test]
async fn a_start_in_hand_brings_no_withdrawn_address_up() {
    let scripts = Scripts::new();
    scripts.resource(
        "slow",
        "[ $op = start ] && while [ ! -f $root/go ]; do sleep 0.02; done",
    );
    let mut group = Fixture::new(&scripts, "slow::a 192.0.2.7/24/lo good::b");
    group.order(Start);
    while !scripts.calls().contains(&"slow a start".to_owned()) {
        sleep(Duration::from_millis(10)).await;
    }
    group.move_addresses(true);
    fs::write(scripts.file("go"), "").expect("go");
    assert_eq!(group.outcome().await.outcome, GroupOutcome::Started);
    assert_eq!(scripts.calls(), ["good b start"]);
    assert_eq!(scripts.addresses.up(), [""; 0]);
    // Added by the move, and by the next start.
    group.move_addresses(false);
    while scripts.addresses.up() != ["192.0.2.7"] {
        sleep(Duration::from_millis(10)).await;
    }
    group.move_addresses(true);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.addresses.up(), ["192.0.2.7"]);
}

/// The move back comes when the start has failed.
#[actix::test]
async fn no_address_comes_back_to_a_group_that_did_not_start() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "192.0.2.7/24/lo bad::a");
    group.order(Start);
    group.move_addresses(true);
    let failed = group.outcome().await.outcome;
    assert!(
        matches!(failed, GroupOutcome::StartFailed { .. }),
        "{failed:?}"
    );
    group.move_addresses(false);
    group.group.send(AskUnanswered).await.expect("it lives");
    sleep(Duration::from_millis(50)).await;
    assert_eq!(scripts.addresses.up(), [""; 0]);
}

#[actix::test]
async fn a_core_that_begins_anew_is_waited_for() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "good::a");
    group.allow([None, None, Some(true)]);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(group.permits.lock().expect("lock").len(), 0);
    // What runs is not started, so the core is not asked.
    group.allow([Some(false)]);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(group.permits.lock().expect("lock").len(), 1);
}

/// Nobody decides any more, and the group is about to be released: it must not wait for an answer.
#[actix::test]
async fn an_order_of_a_core_that_gave_up_begins_no_script() {
    let scripts = Scripts::new();
    let core = RestartPolicy::new("core").give_up_at(1, || {});
    let mut group = Fixture::with_core(&scripts, "good::a", core);
    group.allow([None]);
    assert_eq!(group.run(Start).await, GroupOutcome::Stopped);
    let calls = scripts.calls();
    assert!(!calls.contains(&"good a start".to_owned()), "{calls:?}");
}

/// As on a disk that hangs.
#[actix::test]
async fn haresources_that_cannot_be_read_holds_no_order_up() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "good::a");
    let path = scripts.paths.haresources();
    fs::remove_file(&path).expect("removed");
    mkfifo(&path, Mode::S_IRWXU).expect("a pipe that nobody writes to");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.calls(), ["good a start"]);
    // Releases the reader.
    drop(fs::OpenOptions::new().write(true).open(&path));
}

#[actix::test]
async fn a_failed_start_stops_the_whole_group() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "good::a bad::1 good::never");
    assert_eq!(
        group.run(Start).await,
        GroupOutcome::StartFailed {
            resource: "bad::1".to_owned(),
            code: 7
        }
    );
    assert_eq!(
        scripts.calls(),
        [
            "good a start",
            "bad 1 start",
            "good never stop",
            "bad 1 stop",
            "good a stop"
        ]
    );
}

#[actix::test]
async fn defect_10_a_missing_script_fails_the_start_and_runs_nothing() {
    let scripts = Scripts::new();
    // Legacy would run `touch evil status` here.
    let evil = scripts.file("evil");
    let words = format!("good::a missing::touch::{}", evil.display());
    let mut group = Fixture::new(&scripts, &words);
    let outcome = group.run(Start).await;
    assert!(
        matches!(&outcome, GroupOutcome::StartFailed { code: 127, .. }),
        "{outcome:?}"
    );
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert!(!evil.exists());
}

#[actix::test]
async fn a_stop_is_repeated_and_then_judged_by_status() {
    let mut scripts = Scripts::new();
    scripts.environment.set("HA_STOPRETRYMAX", "2");
    scripts.resource(
        "careless",
        "[ $op = stop ] && exit 3; [ $op = status ] && echo stopped; exit 0",
    );
    scripts.resource(
        "late",
        "[ $op = stop ] && [ ! -f $f ] && touch $f && exit 1; exit 0",
    );
    let mut group = Fixture::new(&scripts, "late::x careless");
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert_eq!(
        scripts.all_calls(),
        [
            "careless stop",
            "careless stop",
            "careless stop",
            "careless status",
            "late x stop",
            "late x stop"
        ]
    );
}

/// A disk or a server hangs: it is not known whether the resource runs, so it counts as running.
#[actix::test]
async fn what_neither_stops_nor_tells_still_runs() {
    for status in ["sleep 60", "kill -9 $$"] {
        let mut scripts = Scripts::new();
        scripts.environment.set("HA_STOPRETRYMAX", "1");
        scripts.limit = Duration::from_millis(400);
        scripts.resource(
            "mute",
            &format!("[ $op = stop ] && sleep 60; [ $op = status ] && {status}; exit 0"),
        );
        let mut group = Fixture::new(&scripts, "mute");
        let resource = "mute".to_owned();
        let failed = GroupOutcome::StopFailed { resource };
        assert_eq!(group.run(Stop).await, failed, "{status}");
        // Before a start it counts as not running: the start will tell.
        let outcome = group.run(Start).await;
        assert_eq!(outcome, GroupOutcome::Started, "{status}");
    }
    // A file that is no program cannot have anything running.
    let mut scripts = Scripts::new();
    scripts.environment.set("HA_STOPRETRYMAX", "1");
    let path = scripts.paths.resource_d().join("typo");
    fs::write(&path, "#!/no/such/shell\n").expect("script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
    let mut group = Fixture::new(&scripts, "typo");
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
}

/// A node that was stopped in the middle of a start may be started again days later.
#[actix::test]
async fn the_code_of_an_earlier_script_counts_only_where_its_order_goes_on() {
    for goes_on in [false, true] {
        let mut scripts = Scripts::new();
        let key = GroupKey::new("good::a");
        scripts.unfinished = if goes_on { vec![key] } else { Vec::new() };
        let mut group = Fixture::new(&scripts, "good::a");
        let place = record::place(&scripts.paths.scripts(), "good::a");
        fs::create_dir_all(place.parent().expect("parent")).expect("directory");
        let beside = |what: &str| format!("{}{what}", place.display());
        fs::write(&place, "2147483647 1\n").expect("record");
        fs::write(beside(".what"), "2147483647 start good::a\n").expect("record");
        fs::write(beside(".code"), "2147483647 0\n").expect("record");
        assert_eq!(group.run(Start).await, GroupOutcome::Started);
        let calls = if goes_on { 0 } else { 1 };
        assert_eq!(scripts.calls().len(), calls);
    }
}

#[actix::test]
async fn what_cannot_be_stopped_is_reported_before_the_rest_is_stopped() {
    let mut scripts = Scripts::new();
    scripts.environment.set("HA_STOPRETRYMAX", "1");
    scripts.resource(
        "sticky",
        "[ $op = stop ] && exit 1; [ $op = status ] && echo running; exit 0",
    );
    scripts.resource("slow", "[ $op = stop ] && sleep 0.3; exit 0");
    let mut group = Fixture::new(&scripts, "slow sticky");
    assert_eq!(
        group.run(Stop).await,
        GroupOutcome::StopFailed {
            resource: "sticky".to_owned()
        }
    );
    sleep(Duration::from_millis(700)).await;
    assert_eq!(
        scripts.calls().last().map(String::as_str),
        Some("slow stop")
    );
    assert!(group.outcomes.try_recv().is_err(), "one outcome per order");
}

#[actix::test]
async fn a_stop_that_fails_after_a_failed_start_is_the_worse_news() {
    let scripts = Scripts::new();
    scripts.resource(
        "sticky",
        "[ $op = stop ] && exit 1; [ $op = status ] && echo running; exit 0",
    );
    let mut group = Fixture::new(&scripts, "sticky bad::1");
    assert!(matches!(
        group.run(Start).await,
        GroupOutcome::StopFailed { resource } if resource == "sticky"
    ));
}

#[actix::test]
async fn orders_wait_for_each_other() {
    let scripts = Scripts::new();
    scripts.resource(
        "slow",
        "[ $op = status ] && exit 0; echo begin $op >> $root/steps; sleep 0.2; echo end $op >> $root/steps",
    );
    let mut group = Fixture::new(&scripts, "slow");
    let first = group.order(Start);
    let second = group.order(Stop);
    assert_eq!(group.outcome().await.order, first);
    assert_eq!(group.outcome().await.order, second);
    assert_eq!(
        fs::read_to_string(scripts.file("steps")).expect("steps"),
        "begin start\nend start\nbegin stop\nend stop\n"
    );
}

#[actix::test]
async fn a_hanging_start_is_ended_and_fails() {
    let mut scripts = Scripts::new();
    scripts.limit = Duration::from_millis(300);
    scripts.resource(
        "hang",
        "trap '' TERM; [ $op = start ] && while :; do sleep 0.05; done; exit 0",
    );
    let mut group = Fixture::new(&scripts, "hang");
    assert_eq!(
        group.run(Start).await,
        GroupOutcome::StartFailed {
            resource: "hang".to_owned(),
            code: crate::agents::child::CODE_DEADLINE
        }
    );
    assert_eq!(scripts.calls(), ["hang start", "hang stop"]);
}

#[actix::test]
async fn a_stop_that_hangs_twice_is_not_repeated_eleven_times() {
    let mut scripts = Scripts::new();
    scripts.limit = Duration::from_secs(1);
    scripts.resource(
        "hang",
        "[ $op = stop ] && exec sleep 60; [ $op = status ] && echo running; exit 0",
    );
    let mut group = Fixture::new(&scripts, "hang");
    assert_eq!(
        group.run(Stop).await,
        GroupOutcome::StopFailed {
            resource: "hang".to_owned()
        }
    );
    assert_eq!(
        scripts.all_calls(),
        ["hang stop", "hang stop", "hang status"]
    );
}

#[actix::test]
async fn changes_in_the_file_count_at_the_next_order() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "good::a good::b");
    scripts.haresources("alpha good::a good::new # comment\n");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.calls(), ["good a start", "good new start"]);
    // Gone from the file: the last known line stays.
    scripts.haresources("alpha good::other\n");
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert_eq!(scripts.calls(), ["good new stop", "good a stop"]);
    fs::remove_file(scripts.paths.haresources()).expect("the file is there");
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
}

#[actix::test]
async fn addresses_are_handled_here_unless_the_script_is_the_administrators() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "10.9.8.7/24/eth0 IPaddr2::10.9.8.8 good::a");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.addresses.up(), ["10.9.8.7", "10.9.8.8"]);
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert!(scripts.addresses.up().is_empty());

    scripts.calls();
    scripts.resource("IPaddr", "exit 0");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.addresses.up(), ["10.9.8.8"]);
    assert_eq!(
        scripts.calls(),
        ["IPaddr 10.9.8.7/24/eth0 start", "good a start"]
    );
}

#[actix::test]
async fn a_script_may_change_who_handles_the_addresses_behind_it() {
    let scripts = Scripts::new();
    scripts.resource(
        "mount",
        "case $op in start) printf '#!/bin/sh\\necho \"${0##*/} $*\" >> %s/calls\\n' $root > ${0%/*}/IPaddr
         chmod 755 ${0%/*}/IPaddr;; stop) rm -f ${0%/*}/IPaddr;; esac",
    );
    let mut group = Fixture::new(&scripts, "10.9.8.7 10.9.8.8 mount::a 10.9.8.9");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    assert_eq!(scripts.addresses.up(), ["10.9.8.7", "10.9.8.8"]);
    assert_eq!(scripts.calls(), ["mount a start", "IPaddr 10.9.8.9 start"]);
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert!(scripts.addresses.up().is_empty());
    assert_eq!(scripts.calls(), ["IPaddr 10.9.8.9 stop", "mount a stop"]);
}

#[actix::test]
async fn an_address_that_stays_is_a_failed_stop_and_a_bad_one_a_failed_start() {
    let scripts = Scripts::new();
    let mut group = Fixture::new(&scripts, "10.9.8.7");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    *scripts.addresses.refuse_stop.lock().expect("lock") = true;
    assert!(matches!(
        group.run(Stop).await,
        GroupOutcome::StopFailed { .. }
    ));
    // An address that is not known to be gone counts as present.
    *scripts.addresses.silent.lock().expect("lock") = true;
    assert!(matches!(
        group.run(Stop).await,
        GroupOutcome::StopFailed { .. }
    ));

    let mut group = Fixture::new(&scripts, "IPaddr::300.1.1.1");
    assert!(matches!(
        group.run(Start).await,
        GroupOutcome::StartFailed { code: 1, .. }
    ));
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
}

#[actix::test]
async fn output_and_environment_are_those_of_the_manager() {
    let mut scripts = Scripts::new();
    scripts.environment.set("HA_CURHOST", "alpha");
    scripts.resource(
        "talk",
        "echo out $HA_CURHOST; echo err >&2; [ $op = start ]",
    );
    let mut group = Fixture::new(&scripts, "talk");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    // Of `status`, standard output was checked and only standard error was logged.
    assert_eq!(
        fs::read_to_string(scripts.file("debug")).expect("debug log"),
        "err\nout alpha\nerr\n"
    );
}

#[actix::test]
async fn an_actor_that_died_begins_its_order_anew_behind_the_running_script() {
    struct Panic;
    impl Message for Panic {
        type Result = ();
    }
    impl Handler<Panic> for ResourceGroupActor {
        type Result = ();
        fn handle(&mut self, _: Panic, _: &mut Self::Context) {
            panic!("injected");
        }
    }
    let scripts = Scripts::new();
    scripts.resource(
        "slow",
        "[ $op = status ] && { [ -f $f ] && echo running; exit 0; }
         echo begin >> $root/steps; sleep 0.5; touch $f; echo end >> $root/steps",
    );
    let mut group = Fixture::new(&scripts, "slow::x");
    let order = group.order(Start);
    sleep(Duration::from_millis(250)).await;
    group.group.do_send(Panic);
    let done = group.outcome().await;
    assert_eq!((done.order, done.outcome), (order, GroupOutcome::Started));
    assert_eq!(
        fs::read_to_string(scripts.file("steps")).expect("steps"),
        "begin\nend\n",
        "started once, and asked for its status after that"
    );
}

/// The disk of its program hangs: the script keeps its turn, and never has a result.
#[actix::test]
async fn a_stop_that_cannot_begin_has_failed() {
    tokio::time::pause();
    let scripts = Scripts::new();
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let _begins = Arc::clone(&turn).lock_owned().await;
    let run = GroupRun {
        context: scripts.context(),
        group: ResourceGroup {
            key: GroupKey::new("good::a"),
            owner: NodeName::new("alpha").expect("a name"),
            resources: vec!["good::a".to_owned()],
        },
        turn,
        checks: ChecksOfGroup::default(),
        bare: Bare::default(),
    };
    let mut outcome = None;
    run.stop(|done, _| outcome = Some(done)).await;
    let failed = |it: &GroupOutcome| matches!(it, GroupOutcome::StopFailed { .. });
    assert!(outcome.as_ref().is_some_and(failed), "{outcome:?}");
}

#[test]
fn a_release_knows_from_ha_cf_that_a_failing_stop_is_repeated_for_ever() {
    let mut config = crate::config::Config::for_tests("alpha");
    assert!(!stops_for_ever(Some(&config)) && !stops_for_ever(None));
    let env = |value: &str| ("STOPRETRYMAX".to_owned(), value.to_owned());
    config.env = vec![env("3"), env("0")];
    assert!(stops_for_ever(Some(&config)));
    config.env.push(env("3"));
    assert!(!stops_for_ever(Some(&config)));
}
