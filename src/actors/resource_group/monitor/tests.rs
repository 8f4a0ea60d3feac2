use std::fs;
use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::time::sleep;

use super::super::GroupRun;
use super::super::check::{AT_ONCE, ChecksOfGroup};
use super::super::tests::{Probe, Scripts};
use super::*;
use crate::actors::messages::{GroupCommand, GroupDone};
use crate::actors::shared::SharedLedger;
use crate::agents::child::record;
use crate::net::names::Names;
use crate::policy::monitor::Monitor;
use crate::protocol::event::{GroupOrder, OrderId};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::monitor::{MonitorRules, Then};
use crate::protocol::name::NodeName;

/// Stands for the core: collects what the group wants.
struct Core(mpsc::UnboundedSender<Option<Ailment>>);

impl Actor for Core {
    type Context = Context<Self>;
}

impl Handler<NoteAilment> for Core {
    type Result = ();

    fn handle(&mut self, note: NoteAilment, _: &mut Self::Context) {
        let _ = self.0.send(note.wants);
    }
}

struct Fixture {
    group: Addr<ResourceGroupActor>,
    outcomes: mpsc::UnboundedReceiver<GroupDone>,
    wants: mpsc::UnboundedReceiver<Option<Ailment>>,
    last: Option<Ailment>,
    monitors: Shared<Monitors>,
    standby: Shared<Standby>,
    next: u64,
    /// Keep them alive.
    _others: (Addr<Probe>, Addr<Core>),
}

impl Fixture {
    /// A group whose checks are always due, with `checks` of some of its words. One bad answer is a failure, and
    /// one restart is tried.
    fn new(scripts: &Scripts, resources: &str, checks: &[(&str, Check)]) -> Self {
        scripts.haresources(&format!("alpha {resources}\n"));
        let resources: Vec<String> = resources.split_whitespace().map(str::to_owned).collect();
        let group = ResourceGroup {
            key: GroupKey::new(&resources[0]),
            owner: NodeName::new("alpha").expect("name"),
            resources,
        };
        let rules = MonitorRules {
            interval: Duration::ZERO,
            failures: 1,
            restarts: 1,
            window: Duration::from_secs(3600),
            then: Then::Move,
        };
        let monitor = |(word, _): &(&str, Check)| Monitor::new((*word).to_owned(), rules);
        let check = |(word, check): &(&str, Check)| CheckOf {
            word: (*word).to_owned(),
            check: check.clone(),
            limit: Duration::from_secs(60),
        };
        let list = checks.iter().map(monitor).collect();
        let monitors = Shared::new(Monitors::new(group.key.to_string(), list));
        let (sender, outcomes) = mpsc::unbounded_channel();
        let probe = Probe::new(sender).start();
        let (sender, wants) = mpsc::unbounded_channel();
        let core = Core(sender).start();
        let watched = Watched {
            monitors: monitors.clone(),
            standby: Shared::new(Standby::new(Duration::ZERO)),
            checks: Arc::new(checks.iter().map(check).collect()),
            says: core.downgrade().recipient(),
            beats: OwnBeats::new(Duration::from_secs(1)),
            late: Duration::from_secs(1),
            proven: Vec::new(),
        };
        let standby = watched.standby.clone();
        let (done, may) = (probe.downgrade().recipient(), probe.downgrade().recipient());
        let ledger = SharedLedger::default();
        let actor = ResourceGroupActor::new(scripts.context(), group, ledger, done, may);
        Self {
            group: actor.watched(Some(watched)).start(),
            outcomes,
            wants,
            last: None,
            monitors,
            standby,
            next: 1,
            _others: (probe, core),
        }
    }

    async fn run(&mut self, what: GroupOrder) -> GroupOutcome {
        let order = OrderId(self.next);
        self.next += 1;
        let group = GroupKey::new("good::a");
        self.group.do_send(GroupCommand {
            order,
            group,
            what,
            careful: false,
        });
        let done = timeout(Duration::from_secs(20), self.outcomes.recv()).await;
        done.expect("in time").expect("an outcome").outcome
    }

    /// Checks are begun until this is the last answer of the first monitor.
    async fn checked(&self, good: bool) {
        for _ in 0..1000 {
            self.group.do_send(MayCheck);
            sleep(Duration::from_millis(10)).await;
            let is = self.monitors.with(|monitors| {
                let last = monitors.list().first().and_then(|it| it.last());
                last.map(|(_, answer)| *answer == Answer::Good)
            });
            if is == Some(good) {
                return;
            }
        }
        panic!("no such answer");
    }

    /// Waits until this is the last thing that was wanted.
    async fn wants(&mut self, expected: Option<Ailment>) {
        loop {
            while let Ok(wants) = self.wants.try_recv() {
                self.last = wants;
            }
            if self.last == expected {
                return;
            }
            let more = timeout(Duration::from_secs(20), self.wants.recv()).await;
            let more = more.unwrap_or_else(|_| panic!("{:?}", self.last));
            self.last = more.expect("the actor lives");
        }
    }
}

fn ailment(restart: bool, gives_up: Option<Then>) -> Option<Ailment> {
    Some(Ailment {
        resource: "good::b".to_owned(),
        restart,
        gives_up,
    })
}

use GroupOrder::{Restart, Start, Stop};

#[actix::test]
async fn what_died_is_restarted_with_what_stands_right_of_it() {
    let scripts = Scripts::new();
    let resources = "good::a good::b good::c";
    let mut group = Fixture::new(&scripts, resources, &[("good::b", Check::Status)]);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    group.checked(true).await;
    group.wants(None).await;
    scripts.calls();
    fs::remove_file(scripts.file("state.good.b")).expect("b runs");
    group.checked(false).await;
    group.wants(ailment(true, None)).await;
    assert_eq!(scripts.calls(), [""; 0], "the core has not ordered it");
    assert_eq!(group.run(Restart).await, GroupOutcome::Started);
    assert_eq!(
        scripts.calls(),
        ["good c stop", "good b stop", "good b start", "good c start"]
    );
    group.checked(true).await;
    group.wants(None).await;
    // The second failure is one too many.
    fs::remove_file(scripts.file("state.good.b")).expect("b runs");
    group.checked(false).await;
    group.wants(ailment(false, Some(Then::Move))).await;
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    group.wants(None).await;
}

#[actix::test]
async fn a_restart_that_fails_leaves_the_rest_as_it_is() {
    let scripts = Scripts::new();
    scripts.resource(
        "good",
        "case $op in start) [ ! -f $root/broken ] || exit 7; touch $f;; stop) rm -f $f;; status) [ -f $f ] && echo running;; esac",
    );
    let resources = "good::a good::b good::c";
    let mut group = Fixture::new(&scripts, resources, &[("good::b", Check::Status)]);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    group.checked(true).await;
    fs::remove_file(scripts.file("state.good.b")).expect("b runs");
    group.checked(false).await;
    scripts.calls();
    fs::write(scripts.file("broken"), "").expect("broken");
    assert_eq!(
        group.run(Restart).await,
        GroupOutcome::Started,
        "it is held"
    );
    assert_eq!(
        scripts.calls(),
        ["good c stop", "good b stop", "good b start"]
    );
    group.wants(ailment(false, Some(Then::Move))).await;
    // Somebody repairs it by hand, and says so: what stands right of it is started.
    fs::remove_file(scripts.file("broken")).expect("broken");
    fs::write(scripts.file("state.good.b"), "").expect("b");
    group.group.do_send(ForgetFailures);
    group.checked(true).await;
    group.wants(ailment(true, None)).await;
    assert_eq!(group.run(Restart).await, GroupOutcome::Started);
    assert_eq!(scripts.calls(), ["good c start"]);
}

#[actix::test]
async fn a_restart_that_cannot_stop_is_a_restart_that_failed() {
    let mut scripts = Scripts::new();
    scripts.environment.set("HA_STOPRETRYMAX", "1");
    scripts.resource(
        "good",
        "case $op in start) touch $f;; stop) [ ! -f $root/sticks ] || exit 1; rm -f $f;; status) [ -f $f ] && echo running;; esac",
    );
    let checks = [("good::b", Check::Run(scripts.file("check")))];
    scripts.script(&scripts.file("check"), "[ ! -f $root/sticks ]");
    let mut group = Fixture::new(&scripts, "good::a good::b", &checks);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    group.checked(true).await;
    fs::write(scripts.file("sticks"), "").expect("sticks");
    group.checked(false).await;
    group.wants(ailment(true, None)).await;
    assert_eq!(
        group.run(Restart).await,
        GroupOutcome::Started,
        "nothing is handed over: no machine is restarted for it"
    );
    group.wants(ailment(false, Some(Then::Move))).await;
    assert!(
        matches!(group.run(Stop).await, GroupOutcome::StopFailed { .. }),
        "a move does restart it"
    );
}

#[actix::test]
async fn a_restart_does_not_call_what_stands_left_of_it() {
    let scripts = Scripts::new();
    scripts.resource("mute", "exit 0");
    let checks = [("good::b", Check::Status)];
    let mut group = Fixture::new(&scripts, "good::a mute::m good::b", &checks);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    group.checked(true).await;
    fs::remove_file(scripts.file("state.good.b")).expect("b runs");
    group.checked(false).await;
    scripts.calls();
    assert_eq!(group.run(Restart).await, GroupOutcome::Started);
    assert_eq!(scripts.calls(), ["good b stop", "good b start"]);
}

#[actix::test]
async fn an_order_ends_the_check_in_hand_and_nothing_is_checked_that_does_not_run() {
    let scripts = Scripts::new();
    let program: PathBuf = scripts.file("hangs");
    scripts.script(&program, "echo $$ > $root/pid; exec sleep 4000");
    let checks = [("good::b", Check::Run(program))];
    let mut group = Fixture::new(&scripts, "good::a good::b", &checks);
    group.group.do_send(MayCheck);
    sleep(Duration::from_millis(50)).await;
    assert!(!scripts.file("pid").exists(), "it does not run yet");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    let pid = loop {
        group.group.do_send(MayCheck);
        sleep(Duration::from_millis(10)).await;
        let pid = fs::read_to_string(scripts.file("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
    };
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    let process = PathBuf::from(format!("/proc/{pid}"));
    while process.exists() {
        sleep(Duration::from_millis(10)).await;
    }
    group.wants(None).await;
    assert_eq!(
        scripts.calls(),
        [
            "good a start",
            "good b start",
            "hangs ",
            "good b stop",
            "good a stop"
        ]
    );
}

/// The number of the check that hangs in `sleep`, when it runs.
async fn hanging(scripts: &Scripts) -> PathBuf {
    loop {
        sleep(Duration::from_millis(10)).await;
        let pid = fs::read_to_string(scripts.file("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            fs::remove_file(scripts.file("pid")).expect("pid");
            return PathBuf::from(format!("/proc/{}", pid.trim()));
        }
    }
}

#[actix::test]
async fn checks_for_people_run_alone_and_an_order_ends_them() {
    let scripts = Scripts::new();
    let program: PathBuf = scripts.file("hangs");
    scripts.script(&program, "echo $$ > $root/pid; exec sleep 4000");
    let checks = [("good::a", Check::Run(program)), ("good::b", Check::Status)];
    let mut group = Fixture::new(&scripts, "good::a good::b", &checks);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    group.group.do_send(MayCheck);
    let scheduled = hanging(&scripts).await;
    let asked = group.group.send(CheckNow);
    let asked = actix_rt::spawn(asked);
    let for_people = hanging(&scripts).await;
    assert!(!scheduled.exists(), "one at a time");
    group.group.do_send(MayCheck);
    let second = group.group.send(CheckNow).await.expect("it lives");
    assert!(second.unwrap_err().contains("for somebody else"));
    assert_eq!(group.run(Stop).await, GroupOutcome::Stopped);
    assert!(!for_people.exists(), "ended before the order began");
    let answers = asked.await.expect("it ends").expect("it lives");
    assert!(answers.unwrap_err().contains("an order for group good::a"));
    let calls = scripts.calls();
    let begun = calls.iter().filter(|call| call.starts_with("hangs"));
    assert_eq!(begun.count(), 2, "{calls:?}");
}

#[actix::test]
async fn a_pause_is_answered_when_the_check_has_ended() {
    let scripts = Scripts::new();
    let program: PathBuf = scripts.file("hangs");
    scripts.script(&program, "echo $$ > $root/pid; exec sleep 4000");
    let checks = [("good::a", Check::Run(program))];
    let mut group = Fixture::new(&scripts, "good::a", &checks);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    group.group.do_send(MayCheck);
    let process = hanging(&scripts).await;
    group.group.send(PauseChecks).await.expect("it lives");
    assert!(!process.exists());
}

#[actix::test]
async fn a_check_by_the_network_ends_when_an_order_comes() {
    let scripts = Scripts::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let check = Check::Http {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().expect("bound").port(),
        path: "/".to_owned(),
    };
    let run = of_one_group(&scripts);
    let (off, call_off) = watch::channel(false);
    let limit = Duration::from_secs(3600);
    let checked = run.check("good::a", &check, limit, &call_off);
    let ends = async {
        let asked = listener.accept().await;
        off.send_replace(true);
        asked
    };
    let both = futures_util::future::join(checked, ends);
    let both = timeout(Duration::from_secs(20), both).await;
    let (checked, _) = both.expect("it does not wait for the answer");
    assert!(matches!(checked, Checked::Answered(Answer::Unknown(_))));
}

fn of_one_group(scripts: &Scripts) -> GroupRun {
    GroupRun {
        context: scripts.context(),
        group: ResourceGroup {
            key: GroupKey::new("good::a"),
            owner: NodeName::new("alpha").expect("name"),
            resources: vec!["good::a".to_owned()],
        },
        turn: Arc::default(),
        checks: ChecksOfGroup::default(),
        bare: super::super::Bare::default(),
    }
}

#[actix::test]
async fn people_may_run_the_checks_of_a_group_that_does_not_run() {
    let scripts = Scripts::new();
    let checks = [("good::a", Check::Status), ("good::b", Check::StatusWords)];
    let group = Fixture::new(&scripts, "good::a good::b", &checks);
    fs::write(scripts.file("state.good.b"), "").expect("b");
    let answers = group.group.send(CheckNow).await.expect("it lives");
    let answers = answers.expect("no order is in hand");
    let shown: Vec<String> = answers
        .into_iter()
        .map(|(word, check, answer)| format!("{word} {check} {answer:?}"))
        .collect();
    assert_eq!(
        shown,
        [
            "good::a status Bad(\"exit code 1\")",
            "good::b status-words Good"
        ]
    );
}

#[actix::test]
async fn a_server_that_accepts_and_never_answers_and_a_program_that_hangs_are_late() {
    let scripts = Scripts::new();
    let program = scripts.file("hangs");
    scripts.script(&program, "trap '' TERM; while :; do sleep 1; done");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let host = "127.0.0.1".to_owned();
    let run = of_one_group(&scripts);
    let (_off, call_off) = watch::channel(false);
    let http = Check::Http {
        host: host.clone(),
        port,
        path: "/".to_owned(),
    };
    let limit = Duration::from_millis(200);
    for check in [http, Check::Run(program)] {
        let checked = run.check("good::a", &check, limit, &call_off).await;
        assert!(matches!(checked, Checked::Late(_)), "{check}: {checked:?}");
    }
    let tcp = Check::Tcp { host, port };
    let checked = run.check("good::a", &tcp, limit, &call_off).await;
    assert_eq!(checked, Checked::Answered(Answer::Good));
}

/// Waits until this process does not run any more.
async fn gone(pid: &str) {
    let runs = || {
        let stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    while runs() {
        sleep(Duration::from_millis(10)).await;
    }
}

#[actix::test]
async fn what_a_check_leaves_in_the_background_ends_with_it() {
    let scripts = Scripts::new();
    let program = scripts.file("leaves");
    let stays = "(trap '' TERM; while :; do sleep 1; done) & echo $! > $root/pid; exit 3";
    scripts.script(&program, stays);
    let run = of_one_group(&scripts);
    let (_off, call_off) = watch::channel(false);
    let limit = Duration::from_secs(600);
    let check = Check::Run(program);
    let checked = run.check("good::a", &check, limit, &call_off);
    let checked = timeout(Duration::from_secs(20), checked).await;
    let answered = Checked::Answered(Answer::Bad("exit code 3".to_owned()));
    assert_eq!(checked, Ok(answered));
    gone(&fs::read_to_string(scripts.file("pid")).expect("pid")).await;
}

/// A check that hangs, on record as that of a daemon that was killed.
fn left_by_earlier_daemon(scripts: &Scripts, group: &str) -> String {
    let program = scripts.file("earlier");
    scripts.script(&program, "trap '' TERM; while :; do sleep 1; done");
    let what = record::Recorded {
        place: record::place(&scripts.paths.scripts(), &format!("check {group}")),
        operation: "check".to_owned(),
        word: "good::a".to_owned(),
        shim: None,
    };
    let pid = record::leave_running(&what, &program);
    pid.to_string()
}

#[actix::test]
async fn a_check_of_an_earlier_daemon_is_ended_before_the_next_and_before_an_order() {
    let scripts = Scripts::new();
    let checks = [("good::a", Check::Status)];
    let mut group = Fixture::new(&scripts, "good::a", &checks);
    let earlier = left_by_earlier_daemon(&scripts, "good::a");
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    gone(&earlier).await;
    let earlier = left_by_earlier_daemon(&scripts, "good::a");
    group.checked(true).await;
    gone(&earlier).await;
    group.group.send(PauseChecks).await.expect("it lives");
    let earlier = left_by_earlier_daemon(&scripts, "of no group");
    let records = scripts.paths.scripts();
    super::super::end_earlier_checks(&records).await;
    gone(&earlier).await;
    assert_eq!(fs::read_dir(records).expect("records").count(), 0);
}

#[actix::test]
async fn a_check_that_hangs_with_its_disk_is_not_begun_again_beside_itself() {
    let scripts = Scripts::new();
    let run = of_one_group(&scripts);
    let (_off, call_off) = watch::channel(false);
    let _hangs = run.checks.try_lock("good::a").expect("nothing hangs yet");
    let limit = Duration::from_millis(50);
    let checked = run.check("good::a", &Check::Status, limit, &call_off).await;
    assert!(matches!(checked, Checked::Late(words) if words.contains("its last check")));
    // Another resource of the group does not fail by that.
    let checked = run.check("good::b", &Check::Status, limit, &call_off).await;
    let unknown = Answer::Unknown("the check of good::a does not end".to_owned());
    assert_eq!(checked, Checked::Answered(unknown));
    assert_eq!(scripts.all_calls(), [""; 0]);
    assert!(run.alone().is_none());
}

#[actix::test]
async fn checks_that_are_due_follow_one_another() {
    let scripts = Scripts::new();
    let words: Vec<String> = (0..20).map(|it| format!("good::{it}")).collect();
    let checks = words.iter().map(|it| (it.as_str(), Check::Status));
    let checks: Vec<_> = checks.collect();
    let resources = format!("good::a {}", words.join(" "));
    let mut group = Fixture::new(&scripts, &resources, &checks);
    assert_eq!(group.run(Start).await, GroupOutcome::Started);
    let checked = || {
        group.monitors.with(|monitors| {
            let list = monitors.list().iter();
            list.filter(|it| it.last().is_some()).count()
        })
    };
    // A machine that is busy may need more than one permit.
    for _ in 1..words.len() {
        group.group.do_send(MayCheck);
        for _ in 0..10 {
            sleep(Duration::from_millis(100)).await;
            if checked() == words.len() {
                return;
            }
        }
    }
    panic!("{} were checked", checked());
}

#[actix::test]
async fn where_it_does_not_run_it_is_looked_whether_it_could() {
    let scripts = Scripts::new();
    let resources = "good::a none::n Filesystem::/dev/nothing::/mnt good::b";
    scripts.resource("Filesystem", "exit 0");
    let checks = [("good::b", Check::Status)];
    let mut group = Fixture::new(&scripts, resources, &checks);
    let seen = async |group: &Fixture| {
        loop {
            group.group.do_send(super::super::MayLook);
            sleep(Duration::from_millis(10)).await;
            let last = group.standby.with(|standby| standby.last().cloned());
            if let Some((_, wrong)) = last {
                return wrong;
            }
        }
    };
    // What stands left of the device may bring it.
    assert_eq!(seen(&group).await, ["there is no script none"]);
    group.standby.with(Standby::ended);
    fs::write(scripts.file("state.good.b"), "").expect("b");
    assert_eq!(
        seen(&group).await,
        ["there is no script none", "good::b runs here"]
    );
    assert_eq!(scripts.calls(), [""; 0]);
    assert!(matches!(
        group.run(Start).await,
        GroupOutcome::StartFailed { .. }
    ));
    assert_eq!(group.standby.with(|standby| standby.last().cloned()), None);
    let resources = "Filesystem::/dev/nothing::/mnt good::b";
    let group = Fixture::new(&scripts, resources, &checks);
    assert_eq!(seen(&group).await, ["there is no /dev/nothing"]);
}

#[actix::test]
async fn so_many_programs_run_at_once_and_the_next_waits_for_its_turn() {
    let scripts = Scripts::new();
    let program = scripts.file("hangs");
    scripts.script(&program, "exec sleep 4000");
    let hangs = Check::Run(program);
    let (off, call_off) = watch::channel(false);
    let limit = Duration::from_secs(600);
    let context = scripts.context();
    let of_group = |name: &str| {
        let mut run = of_one_group(&scripts);
        run.context = Arc::clone(&context);
        run.group.key = GroupKey::new(name);
        run
    };
    let begun = || {
        let calls = scripts.all_calls();
        calls.iter().filter(|it| it.starts_with("hangs")).count()
    };
    let many: Vec<_> = (0..AT_ONCE).map(|it| of_group(&it.to_string())).collect();
    let running = many.into_iter().map(|run| {
        let (check, call_off) = (hangs.clone(), call_off.clone());
        actix_rt::spawn(async move { run.check("good::a", &check, limit, &call_off).await })
    });
    let running: Vec<_> = running.collect();
    let mut seen = 0;
    while seen < AT_ONCE {
        sleep(Duration::from_millis(10)).await;
        seen += begun();
    }
    let next = of_group("next");
    let waits = next.check("good::a", &Check::Status, limit, &call_off);
    tokio::pin!(waits);
    let early = timeout(Duration::from_millis(300), &mut waits).await;
    assert!(early.is_err(), "{early:?}");
    // It has no turn, and is not waited for by an order.
    off.send_replace(true);
    let ended = timeout(Duration::from_secs(20), waits).await;
    assert!(matches!(ended, Ok(Checked::Answered(Answer::Unknown(_)))));
    for check in running {
        check.await.expect("it ends");
    }
    let (_off, call_off) = watch::channel(false);
    let next = next.check("good::a", &Check::Status, limit, &call_off);
    let next = timeout(Duration::from_secs(20), next).await;
    assert_eq!(
        next,
        Ok(Checked::Answered(Answer::Bad("exit code 1".to_owned())))
    );
}

#[actix::test]
async fn a_host_without_an_address_is_unknown_and_delays_nobody() {
    let scripts = Scripts::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let mut context = scripts.context();
    let names = Names::by(move |host| match host {
        "web.example" => Ok(vec![std::net::Ipv4Addr::LOCALHOST.into()]),
        "hangs.example" => {
            let _ = held.lock().map(|held| held.recv());
            Ok(Vec::new())
        }
        _ => Err(std::io::Error::other("no such name")),
    });
    Arc::get_mut(&mut context).expect("alone").names = names;
    let run = GroupRun {
        context,
        ..of_one_group(&scripts)
    };
    let (_off, call_off) = watch::channel(false);
    let asked = async |host: &str| {
        // Who answers has time enough on a busy machine.
        let hangs = host == "hangs.example";
        let limit = Duration::from_millis(if hangs { 200 } else { 20_000 });
        let host = host.to_owned();
        let check = Check::Tcp { host, port };
        run.check("good::a", &check, limit, &call_off).await
    };
    let unknown = |words: &str| Checked::Answered(Answer::Unknown(words.to_owned()));
    assert_eq!(
        asked("none.example").await,
        unknown("none.example has no address: no such name")
    );
    assert_eq!(
        asked("hangs.example").await,
        unknown("hangs.example has no address: no answer within 0 s")
    );
    assert_eq!(asked("web.example").await, Checked::Answered(Answer::Good));
    drop(release);
}
