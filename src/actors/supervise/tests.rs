use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use actix::{ActorContext, AsyncContext, Handler, Message};

use super::*;

/// What happened to a fragile actor.
#[derive(Debug, Default)]
struct Log {
    started: AtomicUsize,
    stopped: AtomicUsize,
    restarting: AtomicUsize,
    handled: AtomicUsize,
    ticks: AtomicUsize,
}

struct Fragile {
    log: Arc<Log>,
    dies_in_started: bool,
    dies_in_restarting: usize,
}

impl Fragile {
    fn new(log: &Arc<Log>) -> Self {
        Self {
            log: Arc::clone(log),
            dies_in_started: false,
            dies_in_restarting: 0,
        }
    }
}

impl Actor for Fragile {
    type Context = Context<Self>;
    fn started(&mut self, ctx: &mut Self::Context) {
        self.log.started.fetch_add(1, SeqCst);
        assert!(!self.dies_in_started, "injected in started");
        ctx.run_interval(Duration::from_millis(10), |actor, _| {
            actor.log.ticks.fetch_add(1, SeqCst);
        });
    }
    fn stopped(&mut self, _: &mut Self::Context) {
        self.log.stopped.fetch_add(1, SeqCst);
    }
}

impl Supervised for Fragile {
    fn restarting(&mut self, _: &mut Self::Context) {
        self.log.restarting.fetch_add(1, SeqCst);
        if self.dies_in_restarting > 0 {
            self.dies_in_restarting -= 1;
            panic!("injected in restarting");
        }
    }
}

#[derive(Message, Clone, Copy)]
#[rtype(result = "usize")]
enum Order {
    Count,
    Panic,
    Stop,
}

impl Handler<Order> for Fragile {
    type Result = usize;
    fn handle(&mut self, order: Order, ctx: &mut Self::Context) -> usize {
        match order {
            Order::Count => {}
            Order::Panic => panic!("injected"),
            Order::Stop => ctx.stop(),
        }
        self.log.handled.fetch_add(1, SeqCst) + 1
    }
}

fn here() -> ArbiterHandle {
    actix_rt::Arbiter::current()
}

fn quick(name: &str) -> RestartPolicy {
    RestartPolicy::new(name).delay(Duration::from_millis(5), Duration::from_millis(20))
}

#[actix::test]
async fn a_panic_costs_the_message_in_hand_and_nothing_else() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let addr = supervise(&here(), quick("fragile"), move |_| Fragile::new(&seen));
    assert_eq!(addr.send(Order::Count).await.ok(), Some(1));
    // All three are queued before the actor sees the first.
    let lost = addr.send(Order::Panic);
    let kept = addr.send(Order::Count);
    let also_kept = addr.send(Order::Count);
    assert_eq!(lost.await, Err(actix::MailboxError::Closed));
    assert_eq!(kept.await.ok(), Some(2));
    assert_eq!(also_kept.await.ok(), Some(3));
    assert_eq!(log.started.load(SeqCst), 2);
    assert_eq!(log.restarting.load(SeqCst), 1);
    assert_eq!(log.stopped.load(SeqCst), 0);
    assert!(addr.connected());
}

#[actix::test]
async fn a_stop_is_followed_by_a_restart() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let addr = supervise(&here(), quick("fragile"), move |_| Fragile::new(&seen));
    assert_eq!(addr.send(Order::Stop).await.ok(), Some(1));
    assert_eq!(addr.send(Order::Count).await.ok(), Some(2));
    assert_eq!(log.stopped.load(SeqCst), 1);
    assert_eq!(log.restarting.load(SeqCst), 1);
    assert_eq!(log.started.load(SeqCst), 2);
}

#[actix::test]
async fn timers_of_the_old_life_are_gone() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let addr = supervise(&here(), quick("fragile"), move |_| Fragile::new(&seen));
    for _ in 0..5 {
        let _lost = addr.send(Order::Panic).await;
        let _alive = addr.send(Order::Count).await;
    }
    let before = log.ticks.load(SeqCst);
    tokio::time::sleep(Duration::from_millis(105)).await;
    let ticks = log.ticks.load(SeqCst) - before;
    assert!(
        ticks <= 11,
        "{ticks} ticks in 105 ms: old timers still fire"
    );
    assert!(ticks >= 2, "the new timer fires");
}

#[actix::test]
async fn a_panic_in_started_or_restarting_counts_and_leaves_the_thread_to_others() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let given_up = Arc::new(AtomicUsize::new(0));
    let callback = Arc::clone(&given_up);
    let policy = quick("fragile").give_up_at(4, move || {
        callback.fetch_add(1, SeqCst);
    });
    let addr = supervise(&here(), policy, move |_| Fragile {
        dies_in_started: true,
        dies_in_restarting: 1,
        ..Fragile::new(&seen)
    });
    assert!(addr.send(Order::Count).await.is_err());
    assert_eq!(given_up.load(SeqCst), 1);
    // started, restarting (panics), restarting + started, restarting + started: four ends.
    assert_eq!(log.started.load(SeqCst), 3);
    assert_eq!(log.restarting.load(SeqCst), 3);
    tokio::task::yield_now().await;
    assert!(!addr.connected());
}

#[actix::test]
async fn gives_up_at_the_third_end_within_a_minute() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let (tell, told) = tokio::sync::oneshot::channel();
    let policy = quick("fragile").give_up_at(3, move || {
        let _ = tell.send(());
    });
    let addr = supervise(&here(), policy, move |_| Fragile::new(&seen));
    for _ in 0..3 {
        assert!(addr.send(Order::Panic).await.is_err());
    }
    assert!(told.await.is_ok());
    assert_eq!(log.started.load(SeqCst), 3);
    assert!(addr.send(Order::Count).await.is_err());
}

#[actix::test]
async fn the_last_address_dropped_ends_it_for_good() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    // No timer keeps it alive: `alive` also looks at pending futures, so stop it first.
    let addr = supervise(&here(), quick("fragile"), move |_| Fragile::new(&seen));
    assert!(addr.send(Order::Stop).await.is_ok());
    drop(addr);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(log.stopped.load(SeqCst), 1);
    assert_eq!(log.restarting.load(SeqCst), 0);
}

#[actix::test]
async fn a_create_that_panics_closes_the_address_and_gives_up() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let policy = quick("stillborn").give_up_at(3, move || {
        let _ = tell.send(());
    });
    let addr = supervise(&here(), policy, |_| -> Fragile { panic!("injected") });
    assert!(told.await.is_ok());
    assert!(addr.send(Order::Count).await.is_err());
}

#[test]
fn the_delay_doubles_to_its_limit_and_starts_again_after_a_quiet_minute() {
    let policy = RestartPolicy::new("x").delay(Duration::from_millis(100), Duration::from_secs(1));
    let mut ends = Ends::default();
    let delays: Vec<u128> = [0_u64, 1, 2, 3, 4, 5, 64_999, 124_999]
        .iter()
        .filter_map(|at| ends.note(Monotonic::from_millis(*at), &policy))
        .map(|delay| delay.as_millis())
        .collect();
    assert_eq!(delays, [100, 200, 400, 800, 1000, 1000, 100, 100]);
}

#[test]
fn ends_further_apart_than_a_minute_never_lead_to_giving_up() {
    let policy = RestartPolicy::new("x").give_up_at(3, || {});
    let mut ends = Ends::default();
    for minute in 0..50_u64 {
        let at = Monotonic::from_millis(minute * 30_001);
        assert!(ends.note(at, &policy).is_some(), "end {minute}");
    }
    let at = Monotonic::from_millis(49 * 30_001 + 1);
    assert_eq!(ends.note(at, &policy), None);
}

#[cfg(debug_assertions)]
#[actix::test]
async fn a_test_can_make_any_actor_panic() {
    let log = Arc::new(Log::default());
    let seen = Arc::clone(&log);
    let addr = supervise(&here(), quick("victim"), move |_| Fragile::new(&seen));
    assert_eq!(addr.send(Order::Count).await.ok(), Some(1));
    assert!(fault::actors().contains(&"victim".to_owned()));
    assert!(fault::inject("victim", fault::Fault::Panic));
    assert!(!fault::inject("nobody", fault::Fault::Panic));
    while log.started.load(SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(log.restarting.load(SeqCst), 1);
    assert_eq!(addr.send(Order::Count).await.ok(), Some(2));
}
