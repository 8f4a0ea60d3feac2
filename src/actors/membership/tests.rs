use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use actix::{Actor, Message};

use super::*;
use crate::actors::messages::{Messages, TellAgain, ToClients};
use crate::protocol::auth::Method;
use crate::protocol::codec::decode_datagram;
use crate::protocol::event::{GroupOrder, GroupOutcome, Origin, StopReason};
use crate::protocol::group::ResourceGroup;
use crate::protocol::message::Message as Wire;
use crate::protocol::name::{MediumName, NodeName, NodeUuid};
use crate::protocol::pack::Compression;
use crate::protocol::settings::Timing;
use crate::resources::holding::HoldingSet;

/// Keeps every message of one type where the test, on the same thread, can look at it.
struct Probe<M>(Rc<RefCell<Vec<M>>>);

impl<M: Unpin + 'static> Actor for Probe<M> {
    type Context = Context<Self>;
}

impl<M: Message<Result = ()> + Unpin + 'static> Handler<M> for Probe<M> {
    type Result = ();
    fn handle(&mut self, message: M, _: &mut Self::Context) {
        self.0.borrow_mut().push(message);
    }
}

type Seen<M> = Rc<RefCell<Vec<M>>>;

fn probe<M: Message<Result = ()> + Unpin + Send + 'static>() -> (Recipient<M>, Seen<M>) {
    let seen = Seen::default();
    (Probe(Rc::clone(&seen)).start().recipient(), seen)
}

/// The groups: orders apart from the rest.
struct Groups {
    orders: Seen<GroupCommand>,
    told: Seen<ToGroups>,
}

impl Actor for Groups {
    type Context = Context<Self>;
}

impl Handler<ToGroups> for Groups {
    type Result = ();
    fn handle(&mut self, news: ToGroups, _: &mut Self::Context) {
        match news {
            ToGroups::Order(command) => self.orders.borrow_mut().push(command),
            other => self.told.borrow_mut().push(other),
        }
    }
}

/// A medium in memory: what one node transmits the other receives.
struct Cable {
    keys: Arc<KeyRing>,
    to: Recipient<Received>,
}

impl Actor for Cable {
    type Context = Context<Self>;
}

impl Handler<Transmit> for Cable {
    type Result = ();
    fn handle(&mut self, Transmit(outgoing): Transmit, _: &mut Self::Context) {
        let message = decode_datagram(&outgoing.datagram, &self.keys).expect("authentic");
        let medium = MediumName::new("eth0");
        let messages = Messages::from([message]);
        let _ = self.to.try_send(Received { medium, messages });
    }
}

fn keys() -> Arc<KeyRing> {
    let ring = KeyRing::new(1, vec![(1, Method::Md5, b"secret".to_vec())]);
    Arc::new(ring.expect("a key ring"))
}

fn name(text: &str) -> NodeName {
    NodeName::new(text).expect("a name")
}

fn settings(local: &str) -> NodeSettings {
    let timing = Timing {
        keepalive: Duration::from_secs(1),
        deadtime: Duration::from_secs(10),
        warntime: Duration::from_secs(5),
        initdead: Duration::from_secs(20),
        deadping: Duration::from_secs(10),
        max_rexmit_delay: Duration::from_millis(250),
    };
    NodeSettings {
        media: vec![MediumName::new("eth0")],
        groups: vec![ResourceGroup {
            key: GroupKey::new("10.0.0.9"),
            owner: name("alpha"),
            resources: vec!["10.0.0.9".into()],
        }],
        ..NodeSettings::new(name(local), vec![name("alpha"), name("beta")], timing)
    }
}

struct Host {
    node: Addr<MembershipActor>,
    root: Seen<RootEvent>,
    clients: Seen<ToClients>,
    orders: Seen<GroupCommand>,
    groups: Seen<ToGroups>,
    gave_up: Rc<RefCell<bool>>,
    interest: Interest,
    /// Keep the actors of weak recipients alive.
    _root: Recipient<RootEvent>,
    _clients: Recipient<ToClients>,
}

fn host(local: &str, number: u8) -> Host {
    host_with(settings(local), number, None)
}

/// One that goes on with what a predecessor left.
fn host_with(settings: NodeSettings, number: u8, resume: Option<Resume>) -> Host {
    let (orders, told_groups) = (Seen::default(), Seen::default());
    let groups = Groups {
        orders: Rc::clone(&orders),
        told: Rc::clone(&told_groups),
    };
    let (hooks, _) = probe();
    let (root_recipient, root) = probe();
    let (clients_recipient, clients) = probe();
    let gave_up = Rc::new(RefCell::new(false));
    let interest = Interest::default();
    let setup = MembershipSetup {
        settings,
        identity: Identity {
            generation: Generation(7),
            uuid: NodeUuid([number; 16]),
            capabilities: Vec::new(),
        },
        seed: u64::from(number),
        keys: keys(),
        format: MessageFormat::Classic,
        compression: Compression::default(),
        resume,
        kernel_timer: false,
        outlets: Outlets {
            groups: groups.start().recipient(),
            hooks: Some(hooks),
            clients: clients_recipient.downgrade(),
            root: root_recipient.downgrade(),
            interest: interest.clone(),
            beats: Beats::default(),
            own_beats: OwnBeats::new(Duration::from_secs(1)),
            watchdog: None,
        },
    };
    let (tell, told) = tokio::sync::oneshot::channel();
    let flag = Rc::clone(&gave_up);
    actix_rt::spawn(async move {
        if told.await.is_ok() {
            *flag.borrow_mut() = true;
        }
    });
    let not_started = not_started(move || {
        let _ = tell.send(());
    });
    let node = start(not_started, &actix_rt::Arbiter::current(), setup);
    Host {
        node,
        root,
        clients,
        orders,
        groups: told_groups,
        gave_up,
        interest,
        _root: root_recipient,
        _clients: clients_recipient,
    }
}

fn cable_to(host: &Host) -> Recipient<Transmit> {
    Cable {
        keys: keys(),
        to: host.node.clone().recipient(),
    }
    .start()
    .recipient()
}

async fn report(host: &Host) -> NodeReport {
    host.node.send(AskNode).await.expect("alive")
}

/// Asks membership for its [`Health`].
#[derive(Message)]
#[rtype(result = "Health")]
struct GetHealth;

impl Handler<GetHealth> for MembershipActor {
    type Result = MessageResult<GetHealth>;

    fn handle(&mut self, _: GetHealth, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.health)
    }
}

async fn health(host: &Host) -> Health {
    host.node.send(GetHealth).await.expect("alive")
}

/// Messages of a probe medium, by type and status word.
fn kinds(seen: &Seen<Transmit>) -> Vec<String> {
    let line = |Transmit(outgoing): &Transmit| {
        let message = decode_datagram(&outgoing.datagram, &keys()).expect("authentic");
        let word = |name| message.text(name).unwrap_or("-").to_owned();
        format!("{} {}", word("t"), word("st"))
    };
    seen.borrow().iter().map(line).collect()
}

#[derive(Message)]
#[rtype(result = "()")]
struct Explode;

impl Handler<Explode> for MembershipActor {
    type Result = ();
    fn handle(&mut self, _: Explode, _: &mut Self::Context) {
        panic!("injected");
    }
}

/// Waits in the paused clock of the test: everything due in between happens.
async fn after(time: Duration) {
    tokio::time::sleep(time).await;
}

#[actix::test]
async fn nothing_is_sent_before_the_media_are_open() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let message = Wire::new("query-cstatus");
    alpha.node.do_send(Injected {
        origin: Origin::Fifo,
        message,
    });
    after(Duration::from_secs(5)).await;
    assert_eq!(*alpha.root.borrow(), []);
    let (medium, seen) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    after(Duration::from_millis(3500)).await;
    let kinds = kinds(&seen);
    assert!(kinds.len() >= 4, "{kinds:?}");
    assert!(kinds.contains(&"status init".to_owned()), "{kinds:?}");
    assert!(kinds.contains(&"status up".to_owned()), "{kinds:?}");
    let root = alpha.root.borrow();
    assert_eq!(
        root.first(),
        Some(&RootEvent::GenerationTaken(Generation(7)))
    );
}

#[actix::test]
async fn a_stop_before_the_media_are_open_ends_at_once() {
    let alpha = host("alpha", 1);
    let reason = StopReason::Requested;
    alpha
        .node
        .send(StopRequested { reason })
        .await
        .expect("alive");
    tokio::task::yield_now().await;
    assert_eq!(*alpha.root.borrow(), [RootEvent::Exit]);
}

#[actix::test]
async fn two_nodes_on_a_cable_become_active_and_notice_a_death() {
    tokio::time::pause();
    let (alpha, beta) = (host("alpha", 1), host("beta", 2));
    alpha.node.do_send(MediaOpened(vec![cable_to(&beta)]));
    beta.node.do_send(MediaOpened(vec![cable_to(&alpha)]));
    after(Duration::from_secs(30)).await;
    for host in [&alpha, &beta] {
        let report = report(host).await;
        assert_eq!(report.status, "active");
        assert_eq!(report.generation, 7);
        assert_eq!(report.nodes.len(), 2);
        assert!(report.nodes.iter().all(|node| node.status == "active"));
        let other = report.nodes.iter().find(|node| node.name != report.name);
        let other = other.expect("there is one");
        assert_eq!(other.links, [("eth0".to_owned(), true)]);
        assert!(host.root.borrow().contains(&RootEvent::CommUp));
        let health = health(host).await;
        assert_eq!((health.late_ticks, health.not_encoded), (0, 0));
    }
    // The cable is pulled on beta's side: its messages go nowhere.
    let (nowhere, _) = probe::<Transmit>();
    beta.node.do_send(MediaOpened(vec![nowhere]));
    after(Duration::from_secs(9)).await;
    let alive = report(&alpha)
        .await
        .nodes
        .iter()
        .all(|node| node.status == "active");
    assert!(alive, "not before deadtime");
    after(Duration::from_secs(3)).await;
    let beta_died = RootEvent::PeerStatus(PeerStatus {
        node: name("beta"),
        status: NodeStatus::Dead,
    });
    assert!(alpha.root.borrow().contains(&beta_died));
    let beta_died = ToGroups::Peer(PeerStatus {
        node: name("beta"),
        status: NodeStatus::Dead,
    });
    assert!(alpha.groups.borrow().contains(&beta_died));
    let own =
        |event: &RootEvent| matches!(event, RootEvent::PeerStatus(it) if it.node == name("alpha"));
    assert!(!alpha.root.borrow().iter().any(own));
}

#[actix::test]
async fn a_panic_restarts_it_in_place_under_the_next_generation() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (medium, seen) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    after(Duration::from_secs(2)).await;
    assert!(alpha.node.send(Explode).await.is_err());
    let sent = seen.borrow().len();
    after(Duration::from_millis(1500)).await;
    assert_eq!(report(&alpha).await.generation, 8);
    let taken = RootEvent::GenerationTaken(Generation(8));
    assert!(alpha.root.borrow().contains(&taken));
    assert!(seen.borrow().len() > sent, "it beats on");
    for _ in 0..2 {
        assert!(!*alpha.gave_up.borrow());
        assert!(alpha.node.send(Explode).await.is_err());
        after(Duration::from_millis(10)).await;
    }
    assert!(*alpha.gave_up.borrow(), "the third within a minute");
    // Who asks whether a start stands sees that nobody will answer.
    assert!(alpha.node.send(MayStart(OrderId(1))).await.is_err());
    assert!(!alpha.node.connected());
}

/// Answers the orders given since the last call; how many of each kind there were.
fn carry_out(host: &Host) -> (usize, usize) {
    let (mut starts, mut stops) = (0, 0);
    for GroupCommand {
        order, group, what, ..
    } in host.orders.borrow_mut().drain(..)
    {
        let outcome = match what {
            GroupOrder::Start | GroupOrder::Restart => {
                starts += 1;
                GroupOutcome::Started
            }
            GroupOrder::Stop => {
                stops += 1;
                GroupOutcome::Stopped
            }
        };
        host.node.do_send(GroupDone {
            order,
            group,
            outcome,
            said: None,
        });
    }
    (starts, stops)
}

#[actix::test]
async fn groups_run_on_through_a_panic_and_a_stop_in_progress_is_not_forgotten() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (medium, _) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    let mut done = (0, 0);
    for _ in 0..60 {
        after(Duration::from_secs(1)).await;
        let (starts, stops) = carry_out(&alpha);
        done = (done.0 + starts, done.1 + stops);
    }
    assert!(done.0 >= 1 && done.1 == 0, "started when alone: {done:?}");
    assert_eq!(report(&alpha).await.rscstatus.as_deref(), Some("all"));

    assert!(alpha.node.send(Explode).await.is_err());
    for _ in 0..60 {
        after(Duration::from_secs(1)).await;
        assert_eq!(carry_out(&alpha).1, 0, "nothing is stopped for that");
    }
    let seen = report(&alpha).await;
    assert_eq!(
        (seen.generation, seen.rscstatus.as_deref()),
        (8, Some("all"))
    );

    let reason = StopReason::Requested;
    alpha.node.do_send(StopRequested { reason });
    assert!(alpha.node.send(Explode).await.is_err());
    let mut stopped = 0;
    for _ in 0..90 {
        after(Duration::from_secs(1)).await;
        stopped += carry_out(&alpha).1;
        let asked = alpha.root.borrow().contains(&RootEvent::StopClients);
        if asked {
            alpha.node.do_send(ClientsStopped);
        }
    }
    // The core that panicked had given the order already, and the next one makes sure of it before
    // it releases everything; to stop again does no harm.
    assert!((1..=3).contains(&stopped), "{stopped}");
    assert!(alpha.root.borrow().contains(&RootEvent::Exit));
}

#[test]
fn a_report_on_an_order_of_an_earlier_core_is_not_passed_on() {
    let group = GroupKey::new("10.0.0.9");
    let mut kept = Kept::default();
    let ordered = |kept: &mut Kept, what| {
        let careful = false;
        let command = kept.ordered(OrderId(1), group.clone(), Given { what, careful });
        command.order
    };
    let old = ordered(&mut kept, GroupOrder::Start);
    kept.first_order += ORDERS_PER_CORE;
    let new = ordered(&mut kept, GroupOrder::Stop);
    let done = |order, outcome| GroupDone {
        order,
        group: group.clone(),
        outcome,
        said: None,
    };
    assert_eq!(kept.done(&done(old, GroupOutcome::Started)), None);
    assert_eq!(kept.ledger.may_run().collect::<Vec<_>>(), [&group]);
    assert_eq!(
        kept.done(&done(new, GroupOutcome::Stopped)),
        Some(OrderId(1))
    );
    assert_eq!(kept.ledger.may_run().count(), 0);
}

/// It is due since the other node died: no change of haresources is the reason, and `systole why` must
/// not say so.
#[actix::test]
async fn a_panic_makes_no_change_of_haresources_of_a_failback_that_is_due() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (medium, _) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    for _ in 0..60 {
        after(Duration::from_secs(1)).await;
        carry_out(&alpha);
    }
    assert_eq!(report(&alpha).await.rscstatus.as_deref(), Some("all"));
    assert!(alpha.node.send(Explode).await.is_err());
    let asked = alpha.node.send(AskMaintenance::Why).await.expect("alive");
    let causes: Vec<String> = asked
        .expect("decisions")
        .into_iter()
        .map(|decision| decision.cause)
        .collect();
    assert!(!causes.is_empty());
    let by_file = causes.iter().any(|cause| cause.contains("haresources"));
    assert!(!by_file, "{causes:?}");
}

/// A predecessor left two orders without an outcome. A core gives one order after the other: when it
/// panics over the first, the next one still has to find out about both.
#[actix::test]
async fn what_a_predecessor_left_unfinished_outlives_a_panic_before_its_order() {
    tokio::time::pause();
    let mut settings = settings("alpha");
    let keys = ["10.0.0.8", "10.0.0.9"].map(GroupKey::new);
    settings.groups = keys
        .iter()
        .map(|key| ResourceGroup {
            key: key.clone(),
            owner: name("alpha"),
            resources: vec![key.to_string()],
        })
        .collect();
    let resume = Resume {
        holding: HoldingSet::LOCAL,
        running: keys.to_vec(),
        unfinished: keys.to_vec(),
        ..Resume::default()
    };
    let alpha = host_with(settings, 1, Some(resume));
    let (medium, _) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    let ordered = || -> BTreeSet<GroupKey> {
        let orders = alpha.orders.borrow();
        orders.iter().map(|order| order.group.clone()).collect()
    };
    after(Duration::from_secs(1)).await;
    let first = ordered();
    assert_eq!(first.len(), 1, "one after the other");
    assert!(alpha.node.send(Explode).await.is_err());
    let mut all = first.clone();
    for _ in 0..10 {
        after(Duration::from_secs(1)).await;
        all.extend(ordered());
        carry_out(&alpha);
    }
    assert_eq!(all, keys.into(), "at first {first:?}");
}

#[actix::test]
async fn a_stuck_medium_costs_its_own_copies_and_delays_nothing() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (sender, receiver) = actix::dev::channel::channel::<Probe<Transmit>>(4);
    let stuck = Addr::new(sender).recipient();
    let (medium, seen) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![stuck, medium]));
    after(Duration::from_secs(15)).await;
    let health = health(&alpha).await;
    assert!(health.media_full >= 5, "{health:?}");
    assert!(seen.borrow().len() >= 14);
    assert_eq!(health.late_ticks, 0);
    drop(receiver);
}

#[actix::test]
async fn new_keys_sign_from_the_next_message() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (medium, seen) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    after(Duration::from_secs(1)).await;
    let other = KeyRing::new(2, vec![(2, Method::Sha1, b"other".to_vec())]);
    let other = Arc::new(other.expect("a key ring"));
    alpha
        .node
        .send(UpdateKeys(Arc::clone(&other)))
        .await
        .expect("alive");
    seen.borrow_mut().clear();
    after(Duration::from_secs(2)).await;
    assert!(!seen.borrow().is_empty());
    for Transmit(outgoing) in seen.borrow().iter() {
        assert!(decode_datagram(&outgoing.datagram, &other).is_ok());
    }
}

/// What clients and hooks of this node are handed while their thread hangs: the probes keep every
/// message, and so its slot.
#[actix::test]
async fn a_main_thread_that_hangs_is_not_buried_in_what_the_network_sends() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (medium, _) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    alpha.interest.set(u64::MAX);
    let padding = "x".repeat(100_000);
    let mut sequence = 0_u64;
    let mut hear = async || {
        sequence += 1;
        let message = Wire::new("gossip")
            .with("src", "beta")
            .with("hg", "5")
            .with("seq", &format!("{sequence:x}"))
            .with("ts", "1")
            .with("padding", &padding);
        let (medium, messages) = (MediumName::new("eth0"), Messages::from([message]));
        let heard = Received { medium, messages };
        alpha.node.send(heard).await.expect("alive");
    };
    for _ in 0..300 {
        hear().await;
    }
    let dropped = health(&alpha).await.main_thread_full;
    let count = |wanted: fn(&ToClients) -> bool| {
        let seen = alpha.clients.borrow();
        seen.iter().filter(|event| wanted(event)).count()
    };
    let delivered = count(|news| matches!(news, ToClients::Deliver { .. }));
    assert!((50..100).contains(&delivered), "{delivered}");
    assert!(dropped >= 200, "{dropped}");
    let last = alpha.clients.borrow().last().cloned();
    assert_eq!(last, Some(ToClients::Missed));
    assert_eq!(count(|news| *news == ToClients::Missed), 1);
    // It has gone through all of that.
    alpha.clients.borrow_mut().clear();
    hear().await;
    assert_eq!(health(&alpha).await.main_thread_full, dropped);
    assert_eq!(count(|news| matches!(news, ToClients::Deliver { .. })), 1);
    let news = alpha.clients.borrow().len();
    assert_eq!(news, 1, "and no other was lost or sent twice");
}

/// They lost the outcome of an order, or the order itself, in a fault of their own.
#[actix::test]
async fn root_and_the_groups_are_told_again_what_they_have_to_know() {
    tokio::time::pause();
    let alpha = host("alpha", 1);
    let (medium, _) = probe::<Transmit>();
    alpha.node.do_send(MediaOpened(vec![medium]));
    let ordered = || alpha.orders.borrow().clone();
    for _ in 0..120 {
        after(Duration::from_secs(1)).await;
        if !ordered().is_empty() {
            break;
        }
    }
    let orders = ordered();
    assert!(!orders.is_empty(), "nothing was ordered");
    alpha.root.borrow_mut().clear();
    alpha.groups.borrow_mut().clear();
    alpha.node.send(TellAgain::Root).await.expect("alive");
    after(Duration::from_millis(1)).await;
    assert_eq!(ordered().len(), orders.len(), "root hears of no order");
    alpha.node.send(TellAgain::Groups).await.expect("alive");
    after(Duration::from_millis(1)).await;
    let again = ordered();
    assert_eq!(again.len(), 2 * orders.len());
    let number = |order: &GroupCommand| (order.order, order.group.clone());
    let (first, second): (Vec<_>, Vec<_>) = (
        orders.iter().map(number).collect(),
        again[orders.len()..].iter().map(number).collect(),
    );
    assert_eq!(first, second);
    let told = alpha.root.borrow().clone();
    assert!(told.contains(&RootEvent::CommUp), "{told:?}");
    let duty = |news: &ToGroups| matches!(news, ToGroups::Duty(_));
    assert!(alpha.groups.borrow().iter().any(duty));
    // What has come to its end is not asked for again.
    for order in &orders {
        alpha.node.do_send(GroupDone {
            order: order.order,
            group: order.group.clone(),
            outcome: GroupOutcome::Started,
            said: None,
        });
    }
    alpha.node.send(TellAgain::Groups).await.expect("alive");
    after(Duration::from_millis(1)).await;
    assert_eq!(ordered().len(), again.len());
}
