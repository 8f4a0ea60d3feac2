use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::*;
use crate::actors::resource_group::tests::{Probe, Scripts};
use crate::node::resume::Duty;
use crate::process::handover::{self, Called};
use crate::protocol::event::OrderId;
use crate::protocol::name::NodeName;

pub(crate) struct Cluster {
    pub(crate) groups: Addr<GroupsActor>,
    held: Shared<HeldFile>,
    /// Kept alive.
    _core: Addr<Probe>,
    outcomes: mpsc::UnboundedReceiver<GroupDone>,
    /// How often membership was asked to tell everything again.
    again: Arc<AtomicU32>,
}

impl Cluster {
    pub(crate) fn new(scripts: &Scripts, lines: &[&str]) -> Self {
        Self::with_file(scripts, lines, None)
    }

    /// It writes down what is held.
    fn with_file(scripts: &Scripts, lines: &[&str], path: Option<PathBuf>) -> Self {
        scripts.haresources(&lines.join("\n"));
        let groups: Vec<ResourceGroup> = lines
            .iter()
            .map(|line| {
                let mut words = line.split_whitespace().map(str::to_owned);
                let owner = words.next().expect("owner");
                let resources: Vec<String> = words.collect();
                ResourceGroup {
                    key: GroupKey::new(&resources[0]),
                    owner: NodeName::new(&owner).expect("name"),
                    resources,
                }
            })
            .collect();
        let (sender, outcomes) = mpsc::unbounded_channel();
        let probe = Probe::new(sender);
        let again = Arc::clone(&probe.again);
        let probe = probe.start();
        let local = NodeName::new("alpha").expect("name");
        let held = HeldFile::new(path, Called::default(), &local, &groups, None);
        let held = Shared::new(held);
        let setup = GroupsSetup {
            context: scripts.context(),
            groups,
            held: held.clone(),
            done: probe.downgrade().recipient(),
            core: probe.downgrade().recipient(),
            care: CareSetup {
                local,
                probe: true,
                ran_before: true,
                settled: probe.downgrade().recipient(),
                decisions: probe.downgrade().recipient(),
                again: probe.downgrade().recipient(),
            },
            monitors: MonitorSetup {
                clears: Some(probe.downgrade().recipient()),
                ..MonitorSetup::none()
            },
        };
        let groups = supervise(
            &Arbiter::current(),
            RestartPolicy::new("groups"),
            move |ctx| GroupsActor::new(ctx, setup),
        );
        Self {
            groups,
            held,
            _core: probe,
            outcomes,
            again,
        }
    }

    pub(crate) fn order(&self, number: u64, key: &str, what: GroupOrder) {
        self.groups.do_send(GroupCommand {
            order: OrderId(number),
            group: GroupKey::new(key),
            what,
            careful: false,
        });
    }

    pub(crate) async fn outcome(&mut self) -> (u64, GroupOutcome) {
        let done = timeout(Duration::from_secs(20), self.outcomes.recv());
        let done = done.await.expect("in time").expect("probe");
        (done.order.0, done.outcome)
    }

    async fn ask(&self, key: &str, wants: Option<GroupOrder>) -> GroupAnswer {
        let key = GroupKey::new(key);
        let answer = self.groups.send(AskGroup { key, wants });
        timeout(Duration::from_secs(20), answer)
            .await
            .expect("in time")
            .expect("alive")
    }
}

use GroupOrder::{Start, Stop};

/// If an outcome was lost, the order is given again.
#[actix::test]
async fn an_order_given_again_is_carried_out_once_and_answered_again() {
    let scripts = Scripts::new();
    scripts.resource("slow", "[ $op = status ] && exit 0; sleep 0.5");
    let mut cluster = Cluster::new(&scripts, &["alpha slow"]);
    cluster.order(1, "slow", Start);
    cluster.order(1, "slow", Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    cluster.order(1, "slow", Start);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    cluster.order(2, "slow", Stop);
    assert_eq!(cluster.outcome().await, (2, GroupOutcome::Stopped));
    let calls = scripts.calls();
    let starts = calls.iter().filter(|call| call.ends_with("start"));
    assert_eq!(starts.count(), 1, "{calls:?}");
    assert!(!cluster.ask("slow", None).await.eq(&GroupAnswer::Busy));
}

#[derive(Message)]
#[rtype(result = "()")]
struct Explode;

impl Handler<Explode> for GroupsActor {
    type Result = ();

    fn handle(&mut self, _: Explode, _: &mut Self::Context) {
        panic!("injected");
    }
}

/// The script ends while nobody is there to hear of it.
#[actix::test]
async fn a_fault_of_the_groups_loses_no_order_and_no_outcome() {
    let scripts = Scripts::new();
    scripts.resource("slow", "[ $op = status ] && exit 0; sleep 0.05");
    let mut cluster = Cluster::new(&scripts, &["alpha slow"]);
    for number in 1..=3 {
        cluster.order(number, "slow", if number == 2 { Stop } else { Start });
        let outcome = match number {
            2 => GroupOutcome::Stopped,
            _ => GroupOutcome::Started,
        };
        assert!(cluster.groups.send(Explode).await.is_err());
        assert_eq!(cluster.outcome().await, (number, outcome));
    }
    let calls = scripts.calls();
    let starts = calls.iter().filter(|call| call.ends_with("start"));
    assert_eq!(starts.count(), 2, "{calls:?}");
    // What another node's status was may be lost.
    assert_eq!(cluster.again.load(Ordering::Relaxed), 3);
}

/// Else it would be lost: the program is replaced in the middle of it.
#[actix::test]
async fn what_is_ordered_just_before_the_process_replaces_itself_is_written_down_and_not_begun() {
    let scripts = Scripts::new();
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("held");
    let mut cluster = Cluster::with_file(&scripts, &["alpha good::a"], Some(path.clone()));
    let none = BTreeSet::new();
    cluster
        .held
        .with(|held| held.settled(&Duty::default(), &none, &none));
    let seal = || cluster.groups.send(Seal);
    assert!(seal().await.expect("alive"), "nothing has changed");
    cluster.order(1, "good::a", Start);
    assert!(!seal().await.expect("alive"));
    sleep(Duration::from_millis(200)).await;
    assert!(scripts.all_calls().is_empty());
    let state = handover::read(&path).expect("a file").into_state();
    let state = state.expect("a state");
    assert_eq!(state.unfinished().count(), 1);
    assert_eq!(state.goes_on_in_place(std::process::id()), Some(false));
    // The restart is called off.
    cluster.groups.do_send(Unseal);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
}

#[actix::test]
async fn groups_work_side_by_side_and_every_order_is_answered() {
    let scripts = Scripts::new();
    scripts.resource("slow", "[ $op = status ] && exit 0; sleep 0.5");
    let mut cluster = Cluster::new(&scripts, &["alpha slow", "beta good::b"]);
    cluster.order(1, "slow", Start);
    cluster.order(2, "good::b", Start);
    cluster.order(3, "nothing", Start);
    cluster.order(4, "nothing", Stop);
    assert!(matches!(
        cluster.outcome().await,
        (3, GroupOutcome::StartFailed { .. })
    ));
    assert_eq!(cluster.outcome().await, (4, GroupOutcome::Stopped));
    assert_eq!(cluster.outcome().await, (2, GroupOutcome::Started));
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
}

#[actix::test]
async fn askers_get_the_outcome_and_never_cause_one() {
    let scripts = Scripts::new();
    scripts.resource("slow", "[ $op = status ] && exit 0; sleep 0.3");
    let mut cluster = Cluster::new(&scripts, &["alpha slow", "beta bad::1"]);
    // Nothing ordered: nothing is started because of a question.
    assert_eq!(cluster.ask("slow", Some(Start)).await, GroupAnswer::NotHeld);
    assert_eq!(cluster.ask("slow", Some(Stop)).await, GroupAnswer::Stopped);
    assert_eq!(cluster.ask("slow", None).await, GroupAnswer::Stopped);
    assert_eq!(
        cluster.ask("nothing", Some(Start)).await,
        GroupAnswer::Unknown
    );
    assert!(scripts.all_calls().is_empty());

    cluster.order(1, "slow", Start);
    assert_eq!(cluster.ask("slow", None).await, GroupAnswer::Busy);
    assert_eq!(cluster.ask("slow", Some(Stop)).await, GroupAnswer::Held);
    assert_eq!(cluster.ask("slow", Some(Start)).await, GroupAnswer::Started);
    assert_eq!(cluster.outcome().await, (1, GroupOutcome::Started));
    assert_eq!(cluster.ask("slow", Some(Start)).await, GroupAnswer::Started);
    assert_eq!(scripts.calls(), ["slow start"]);

    cluster.order(2, "slow", Stop);
    assert_eq!(cluster.ask("slow", Some(Start)).await, GroupAnswer::NotHeld);
    assert_eq!(cluster.ask("slow", Some(Stop)).await, GroupAnswer::Stopped);

    cluster.order(3, "bad::1", Start);
    assert!(matches!(
        cluster.ask("bad::1", Some(Start)).await,
        GroupAnswer::StartFailed { code: 7, .. }
    ));
}

#[actix::test]
async fn what_has_no_monitor_is_cleared_only_when_it_was_stopped_for_good() {
    let scripts = Scripts::new();
    let cluster = Cluster::new(&scripts, &["alpha good::a", "alpha good::down"]);
    let clear = async |key| {
        let answer = cluster.groups.send(ClearGroup(GroupKey::new(key))).await;
        answer.expect("alive")
    };
    assert_eq!(
        clear("good::a").await,
        Err("group good::a has no [[monitor]] in systole.toml".to_owned())
    );
    assert_eq!(clear("good::down").await, Ok(()));
    assert!(clear("good::b").await.is_err());
}

#[actix::test]
async fn the_view_lists_all_groups_in_order() {
    let scripts = Scripts::new();
    let mut cluster = Cluster::new(&scripts, &["alpha good::z", "beta good::a", "beta good::z"]);
    cluster.order(1, "good::a", Start);
    cluster.outcome().await;
    sleep(Duration::from_millis(10)).await;
    let view = cluster.groups.send(AskGroups).await.expect("alive");
    let shown: Vec<_> = view
        .iter()
        .map(|group| {
            (
                group.key.as_str(),
                group.owner.as_str(),
                group.wanted,
                group.busy,
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("good::z", "alpha", false, false),
            ("good::a", "beta", true, false)
        ]
    );
    assert_eq!(view[1].last, Some(GroupAnswer::Started));
}
