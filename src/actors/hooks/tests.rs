use std::fs;

use tokio::time::sleep;

use super::*;
use crate::actors::backlog::Slot;
use crate::actors::resource_group::tests::Scripts;
use crate::actors::supervise::{RestartPolicy, supervise};
use crate::protocol::message::Message as ClusterMessage;
use crate::protocol::status::NodeStatus;

fn start(scripts: &Scripts, limit: Duration) -> Addr<HooksActor> {
    start_with(scripts, limit, true)
}

fn start_with(scripts: &Scripts, limit: Duration, helpers: bool) -> Addr<HooksActor> {
    let mut environment = Environment::default();
    environment.set("HA_CURHOST", "alpha");
    let context = HookContext {
        paths: scripts.paths.clone(),
        environment,
        helpers,
        output: OutputTarget::default(),
        limit,
        kill_after: Duration::from_millis(200),
    };
    let policy = RestartPolicy::new("hooks");
    supervise(&Arbiter::current(), policy, |_| HooksActor::new(context))
}

fn hook(kind: &str) -> RunHook {
    RunHook {
        message: ClusterMessage::new(kind).with("st", "dead"),
        own_status: NodeStatus::Active,
        slot: Slot::default(),
    }
}

/// Waits for `count` calls.
async fn calls(scripts: &Scripts, count: usize) -> Vec<String> {
    let mut calls = Vec::new();
    for _ in 0..1200 {
        calls.extend(scripts.all_calls());
        if calls.len() >= count {
            break;
        }
        sleep(Duration::from_millis(25)).await;
    }
    calls
}

/// Waits until a file that the scripts write holds just `text`.
async fn wait_for(scripts: &Scripts, file: &str, text: &str) {
    let read = || fs::read_to_string(scripts.file(file)).unwrap_or_default();
    for _ in 0..1200 {
        if read() == text {
            return;
        }
        sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(read(), text);
}

#[actix::test]
async fn harc_gets_the_type_when_a_script_of_that_name_exists() {
    let scripts = Scripts::new();
    scripts.script(
        &scripts.paths.harc(),
        "echo $HA_t $HA_st $HA_OSTATUS $HA_CURHOST $1 > $root/seen",
    );
    fs::write(scripts.paths.rc_d().join("status"), "").expect("script");
    fs::write(scripts.paths.rc_d().join("SITE_event"), "").expect("script");
    let hooks = start(&scripts, Duration::from_secs(10));
    for kind in ["nothing", "../harc", "status", "SITE_event"] {
        hooks.do_send(hook(kind));
    }
    assert_eq!(calls(&scripts, 2).await, ["harc status", "harc site_event"]);
    wait_for(
        &scripts,
        "seen",
        "SITE_event dead active alpha site_event\n",
    )
    .await;
}

#[actix::test]
async fn without_harc_the_script_itself_runs() {
    let scripts = Scripts::new();
    scripts.script(&scripts.paths.rc_d().join("ifstat"), "");
    let hooks = start(&scripts, Duration::from_secs(10));
    hooks.do_send(hook("ifstat"));
    assert_eq!(calls(&scripts, 1).await, ["ifstat ifstat"]);
}

#[actix::test]
async fn one_runs_at_a_time_and_a_hanging_one_is_ended() {
    let scripts = Scripts::new();
    let rc_d = scripts.paths.rc_d();
    scripts.script(&rc_d.join("hang"), "sleep 100");
    scripts.script(
        &rc_d.join("next"),
        "echo begin >> $root/steps; sleep 0.1; echo end >> $root/steps",
    );
    let hooks = start(&scripts, Duration::from_secs(3));
    hooks.do_send(hook("hang"));
    hooks.do_send(hook("next"));
    hooks.do_send(hook("next"));
    assert_eq!(
        calls(&scripts, 3).await,
        ["hang hang", "next next", "next next"]
    );
    wait_for(&scripts, "steps", "begin\nend\nbegin\nend\n").await;
}

#[actix::test]
async fn the_queue_is_bounded() {
    let scripts = Scripts::new();
    let mut actor = HooksActor::new(HookContext {
        paths: scripts.paths.clone(),
        environment: Environment::default(),
        helpers: true,
        output: OutputTarget::default(),
        limit: Duration::from_secs(1),
        kill_after: Duration::from_secs(1),
    });
    actor.busy = true;
    let (sender, seen) = tokio::sync::oneshot::channel();
    struct Look(tokio::sync::oneshot::Sender<(usize, u64)>);
    impl Message for Look {
        type Result = ();
    }
    impl Handler<Look> for HooksActor {
        type Result = ();
        fn handle(&mut self, look: Look, _: &mut Self::Context) {
            let _ = look.0.send((self.waiting.len(), self.dropped));
        }
    }
    let hooks = actor.start();
    for _ in 0..MAX_WAITING + 5 {
        hooks.do_send(hook("x"));
    }
    hooks.do_send(Look(sender));
    assert_eq!(seen.await.expect("look"), (MAX_WAITING, 5));
}

#[actix::test]
async fn without_our_helpers_no_script_that_moves_groups_is_run() {
    let scripts = Scripts::new();
    for name in ["status", "ip-request", "ip-request-resp", "site"] {
        scripts.script(&scripts.paths.rc_d().join(name), "");
    }
    let hooks = start_with(&scripts, Duration::from_secs(10), false);
    for kind in ["status", "ip-request", "ip-request-resp", "site"] {
        hooks.do_send(hook(kind));
    }
    assert_eq!(calls(&scripts, 1).await, ["site site"]);
}
