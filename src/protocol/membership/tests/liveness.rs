//! Silence, lateness, links, clock steps and our own stalls.

use std::time::Duration;

use super::super::liveness::arrival_slack;
use super::harness::{
    Alone, Cluster, EPOCH_S, at, beta_status, eth0, from_beta, name, notices, sent, settings,
    silent,
};
use crate::clock::{Monotonic, Now};
use crate::notice::Notice;
use crate::protocol::field::{IFNAME, INFO, NODE, SEQ, SRC, ST, TS};
use crate::protocol::message::Message;
use crate::protocol::name::{Generation, MediumName};
use crate::protocol::output::{Output, ResourceEvent, Treatment};
use crate::protocol::status::NodeStatus;

fn is_dead(output: &Output) -> bool {
    matches!(output, Output::Resource(ResourceEvent::NodeDead { .. }))
}

fn beta(alone: &Alone) -> NodeStatus {
    alone.core.node(&name("beta")).unwrap().status
}

#[test]
fn dead_as_soon_as_the_dead_time_and_the_slack_are_over() {
    let mut alone = Alone::active();
    let before = alone.run_to(silent(3_999));
    assert!(!before.iter().any(is_dead));
    assert_eq!(beta(&alone), NodeStatus::Active);
    let at_deadtime = alone.run_to(silent(4_000));
    assert_eq!(at_deadtime.iter().filter(|o| is_dead(o)).count(), 1);
    let lines = notices(&at_deadtime);
    assert!(lines.contains(&"node beta: is dead".to_owned()));
    assert!(
        lines.contains(&"Link beta:eth0 dead.".to_owned()),
        "{lines:?}"
    );
    assert!(!alone.run_to(60_000).iter().any(is_dead), "once");
}

#[test]
fn a_beat_at_the_dead_time_saves_and_one_after_the_slack_comes_too_late() {
    for (arrives, saves) in [(4_000, true), (4_009, true), (4_010, false), (4_011, false)] {
        let mut alone = Alone::active();
        alone.run_to(3_000);
        // The timer is starved: what is due is applied before the message all the same.
        let mut out = Vec::new();
        alone.core.received(
            &eth0(),
            beta_status("active", 0x1000, 4),
            Now {
                instant: Monotonic::from_millis(arrives),
                unix_s: EPOCH_S,
            },
            &mut out,
        );
        // A timer that is a second late is our own stall: it declares no node dead before reading
        // what waits.
        assert!(!out.iter().any(is_dead), "{arrives}");
        let mut punctual = Alone::active();
        let mut out = punctual.run_to(arrives);
        out.extend(punctual.hear(beta_status("active", 0x1000, 4)));
        assert_eq!(!out.iter().any(is_dead), saves, "{arrives}");
    }
}

#[test]
fn the_slack_is_a_small_part_of_a_short_dead_time() {
    for (dead_after_ms, slack_us) in [(4_000, 10_000), (500, 10_000), (100, 2_000), (0, 0)] {
        assert_eq!(
            arrival_slack(Duration::from_millis(dead_after_ms)),
            Duration::from_micros(slack_us)
        );
    }
}

#[test]
fn the_synthetic_status_of_a_death() {
    let mut alone = Alone::active();
    let out = alone.run_to(silent(4_000));
    let expected = Message::new("status")
        .with(SEQ, "1")
        .with(TS, &format!("{:x}", EPOCH_S + 4))
        .with(SRC, "beta")
        .with(ST, "dead");
    assert!(out.contains(&Output::Deliver {
        message: expected,
        treatment: Treatment::Keep
    }));
    assert!(out.contains(&Output::NodeStatusChanged {
        node: name("beta"),
        status: NodeStatus::Dead
    }));
}

#[test]
fn the_silent_node_decides_how_long_it_may_be_silent() {
    let rows = [
        // (dt field, dead after ms)
        (Some("2710"), 10_000),
        (Some("3e8"), 1_000),
        (None, 4_000),
        (Some("0"), 4_000),
        (Some("soon"), 4_000),
        (Some("ffffffffffffffff"), 3_600_000),
    ];
    for (dt, expected) in rows {
        let mut alone = Alone::active();
        let mut message = from_beta("status", 0x1000, 4)
            .with(ST, "active")
            .with("protocol", "1");
        if let Some(dt) = dt {
            message = message.with("dt", dt);
        }
        alone.hear(message);
        assert!(
            !alone.run_to(silent(expected) - 1).iter().any(is_dead),
            "{dt:?}"
        );
        assert!(alone.run_to(silent(expected)).iter().any(is_dead), "{dt:?}");
    }
}

#[test]
fn defect_12_late_heartbeats_are_logged_and_declare_no_node_dead() {
    let mut alone = Alone::active();
    alone.hear(
        from_beta("status", 0x1000, 4)
            .with(ST, "active")
            .with("dt", "4e20")
            .with("protocol", "1"),
    );
    alone.run_to(2_000);
    assert!(notices(&alone.hear(beta_status("active", 0x1000, 5).with("x", ""))).is_empty());
    alone.run_to(4_001);
    let mut message = from_beta("status", 0x1000, 6).with(ST, "active");
    message = message.with("dt", "4e20").with("protocol", "1");
    let out = alone.hear(message);
    assert_eq!(
        notices(&out),
        ["Late heartbeat: Node beta: interval 2001 ms"]
    );
    let mut out = alone.run_to(10_001);
    out.extend(alone.hear(beta_status("active", 0x1000, 7)));
    assert_eq!(
        notices(&out),
        ["Late heartbeat: Node beta: interval 6000 ms (> deadtime)"]
    );
    assert!(!out.iter().any(is_dead));
    // A restart has no lateness.
    alone.run_to(13_900);
    let out = alone.hear(beta_status("init", 0x1001, 1));
    assert!(!notices(&out).iter().any(|line| line.starts_with("Late")));
}

#[test]
fn a_link_dies_alone_when_its_cable_is_pulled() {
    let mut plain = settings("alpha", &["alpha", "beta"]);
    plain.media.push(MediumName::new("eth1"));
    let mut alone = Alone::started(&plain);
    let eth1 = MediumName::new("eth1");
    let mut out = Vec::new();
    for seq in 1..=20 {
        let ms = (seq - 1) * 500;
        out.extend(alone.run_to(ms));
        let message = beta_status("up", 0x1000, seq);
        if seq <= 2 {
            alone
                .core
                .received(&eth1, message.clone(), at(ms), &mut out);
        }
        alone.core.received(&eth0(), message, at(ms), &mut out);
    }
    let changes: Vec<String> = out
        .iter()
        .filter_map(|output| match output {
            Output::Resource(ResourceEvent::LinkChanged { message }) => {
                let word = |name| message.text(name).unwrap_or("-");
                Some(format!("{}:{} {}", word(NODE), word(IFNAME), word(ST)))
            }
            _ => None,
        })
        .collect();
    assert_eq!(changes, ["beta:eth1 up", "beta:eth0 up", "beta:eth1 dead"]);
    assert!(!out.iter().any(is_dead));
    let links: Vec<bool> = alone
        .core
        .node(&name("beta"))
        .unwrap()
        .links
        .iter()
        .map(|(_, up)| *up)
        .collect();
    assert_eq!(links, [true, false]);
}

#[test]
fn a_link_lives_as_long_as_its_own_node_may_be_silent() {
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta", "gamma"]));
    alone.hear(beta_status("up", 0x1000, 1).with("x", "y"));
    let gamma = Message::new("status")
        .with(SRC, "gamma")
        .with(SEQ, "1")
        .with("hg", "1")
        .with(TS, "1")
        .with(ST, "up")
        .with("dt", "36b0")
        .with("protocol", "1");
    alone.hear(gamma);
    let out = alone.run_to(silent(4_000));
    assert!(notices(&out).contains(&"Link beta:eth0 dead.".to_owned()));
    let out = alone.run_to(silent(13_999));
    assert!(!notices(&out).contains(&"Link gamma:eth0 dead.".to_owned()));
    let out = alone.run_to(silent(14_000));
    assert!(notices(&out).contains(&"Link gamma:eth0 dead.".to_owned()));
}

#[test]
fn heartbeats_keep_their_schedule() {
    let mut alone = Alone::active();
    let beats = |out: &[Output]| sent(out, &[ST]).len();
    assert_eq!(beats(&alone.run_to(499)), 0);
    assert_eq!(beats(&alone.run_to(500)), 1);
    // 1.2 keepalives late: one heartbeat, and the next at its planned time, not a keepalive later.
    let mut out = Vec::new();
    alone.core.tick(at(1_600), &mut out);
    assert_eq!(beats(&out), 1);
    alone.now_ms = 1_600;
    assert_eq!(beats(&alone.run_to(1_999)), 0);
    assert_eq!(beats(&alone.run_to(2_000)), 1);
    // Extra messages do not move it.
    alone.run_to(2_300);
    let mut out = Vec::new();
    alone.core.send_status(at(2_300), &mut out);
    assert_eq!(beats(&out), 1);
    assert_eq!(beats(&alone.run_to(2_499)), 0);
    assert_eq!(beats(&alone.run_to(2_500)), 1);
}

#[test]
fn clock_steps_change_nothing_but_a_line() {
    let mut alone = Alone::active();
    for step in [-3_600_i64, 7_200, -1, 1] {
        let ms = alone.now_ms + 100;
        alone.now_ms = ms;
        let now = Now {
            instant: Monotonic::from_millis(ms),
            unix_s: at(ms).unix_s.checked_add_signed(step).unwrap(),
        };
        let mut out = Vec::new();
        alone.core.tick(now, &mut out);
        assert!(!out.iter().any(is_dead));
        if step == -3_600 {
            assert_eq!(notices(&out), ["Clock jumped backwards. Compensating."]);
        }
    }
    assert_eq!(beta(&alone), NodeStatus::Active);
}

#[test]
fn a_ping_node_lives_by_its_own_medium_alone() {
    let mut settings = settings("alpha", &["alpha", "beta"]);
    settings.ping_nodes = vec![name("router")];
    settings.timing.deadping = Duration::from_secs(3);
    let mut alone = Alone::started(&settings);
    let pong = Message::new("NS_st")
        .with(ST, "ping")
        .with(INFO, "ping")
        .with(SRC, "router")
        .with(TS, "6b00c61e");
    alone.hear(pong.clone());
    assert_eq!(
        alone.core.node(&name("router")).unwrap().status,
        NodeStatus::Init,
        "said by somebody else"
    );
    alone.hear(beta_status("up", 0x1000, 1));
    alone.run_to(1_000);
    alone.hear(beta_status("up", 0x1000, 2));
    let mut out = Vec::new();
    let router = MediumName::new("router");
    alone.core.received(&router, pong, at(1_000), &mut out);
    assert_eq!(
        notices(&out),
        [
            "Link router:router up.",
            "Status update for node router: status ping"
        ]
    );
    assert!(
        sent(&out, &[]).contains(&"reqnodes".to_owned()),
        "all heard"
    );
    let out = alone.run_to(silent(4_000));
    let dead = out.iter().find(|output| is_dead(output)).unwrap();
    assert!(matches!(
        dead,
        Output::Resource(ResourceEvent::NodeDead { node, ping: true, heard: true, message, .. })
            if *node == name("router") && message.text(INFO) == Some("ping")
    ));
    assert_eq!(alone.core.living_nodes(), 2, "never a member");
    // `ipfail` beside a legacy node relies on that pause: if it told the peer at once, the peer,
    // which notices the same a moment later, would answer that it reaches more ping nodes.
    let link = "Link router:router dead.".to_owned();
    assert!(!notices(&out).contains(&link), "{:?}", notices(&out));
    let out = alone.run_to(silent(1_000 + 4_000) + 1);
    assert!(notices(&out).contains(&link), "{:?}", notices(&out));
}

#[test]
fn a_healed_partition_is_noticed_by_both_and_declares_no_node_dead_twice() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(10_000);
    cluster.cut();
    cluster.run_to(20_000);
    cluster.heal();
    cluster.run_to(30_000);
    for node in ["alpha", "beta"] {
        let host = cluster.host(node);
        assert_eq!(host.when(is_dead).len(), 1, "{node}");
        let returned = host.when(|output| {
            matches!(
                output,
                Output::Resource(ResourceEvent::ReturnedAfterPartition { .. })
            )
        });
        assert_eq!(returned.len(), 1);
        assert!((20_000..20_600).contains(&returned[0]));
        let dead = host.when(is_dead)[0];
        assert!((13_500..=silent(14_001)).contains(&dead), "{dead}");
    }
    assert_eq!(cluster.host("alpha").status_of("beta"), NodeStatus::Active);
}

#[test]
fn a_new_generation_after_the_partition_is_a_plain_restart() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(10_000);
    cluster.cut();
    cluster.run_to(20_000);
    cluster.with_core("alpha", |core, now, out| {
        core.begin_new_generation(Generation(1001), now, out);
    });
    assert!(cluster.host("alpha").core.comm_up(), "nobody to ask");
    cluster.heal();
    cluster.run_to(30_000);
    assert!(
        cluster
            .host("beta")
            .events()
            .iter()
            .any(|event| matches!(event, ResourceEvent::NodeRestarted { was_dead: true, .. }))
    );
    assert!(
        cluster
            .host("beta")
            .when_notice(|notice| matches!(notice, Notice::ReturningAfterPartition { .. }))
            .is_empty()
    );
}

#[test]
fn a_node_that_was_frozen_declares_no_node_dead() {
    for deadtimes in [1_u64, 2, 4, 10, 40] {
        let half = 2_000 * deadtimes;
        let mut cluster = Cluster::new(&["alpha", "beta"]);
        cluster.start_all();
        cluster.run_to(10_250);
        cluster.freeze("alpha");
        cluster.run_for(half);
        cluster.thaw("alpha");
        cluster.run_for(20_000);
        let alpha = cluster.host("alpha");
        assert!(alpha.when(is_dead).is_empty(), "after {half} ms");
        let lost = alpha.events().iter().any(|event| {
            matches!(event, ResourceEvent::OwnHeartbeatLost { silent } if *silent >= Duration::from_secs(4))
        });
        assert_eq!(lost, half >= 4_000, "after {half} ms");
        let noticed = alpha.when_notice(|notice| matches!(notice, Notice::OwnDelay { .. }));
        assert_eq!(!noticed.is_empty(), half > 2_000 + 500, "after {half} ms");
        let died = !cluster.host("beta").when(is_dead).is_empty();
        assert_eq!(died, half >= 4_000, "seen by beta after {half} ms");
    }
}

#[test]
fn the_loss_of_our_own_heartbeat_is_said_before_the_next_one_leaves() {
    let mut alone = Alone::active();
    alone.run_to(1_000);
    let mut out = Vec::new();
    alone.core.tick(at(6_000), &mut out);
    assert!(
        sent(&out, &[]).is_empty(),
        "the owner may begin a new generation first"
    );
    assert!(
        out.contains(&Output::Resource(ResourceEvent::OwnHeartbeatLost {
            silent: Duration::from_secs(5)
        }))
    );
    assert!(alone.core.next_deadline().unwrap() <= at(6_000).instant);
    assert_eq!(notices(&out), ["local heartbeat was delayed by 4500 ms"]);
    let mut out = Vec::new();
    alone.core.tick(at(6_000), &mut out);
    assert_eq!(sent(&out, &[ST]).first().unwrap(), "status st=active");
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Resource(_)))
    );
    assert!(notices(&out).is_empty(), "said once");
}

/// The peer has the shorter dead time, for example because it was changed on one node first.
#[test]
fn a_suspended_node_grants_each_node_its_own_dead_time() {
    // From just below half of the peer's dead time to beyond ours.
    for paused in [450, 550, 950, 1_100, 2_000, 3_200, 4_500] {
        let mut cluster = Cluster::with(&["alpha", "beta"], |settings| {
            if settings.local == name("beta") {
                settings.timing.keepalive = Duration::from_millis(200);
                settings.timing.deadtime = Duration::from_secs(1);
            }
        });
        cluster.start_all();
        cluster.run_to(20_000);
        // Almost a whole dead time of beta's is already over when alpha is suspended.
        cluster.carries = Box::new(|from, _, _, ms| from != "beta" || ms >= 20_800);
        cluster.run_to(20_780);
        cluster.freeze("alpha");
        cluster.run_for(paused);
        cluster.thaw("alpha");
        cluster.run_for(10_000);
        let died = cluster.host("alpha").when(is_dead);
        assert!(died.is_empty(), "after {paused} ms: {died:?}");
    }
}

#[test]
fn a_peer_that_died_during_our_stall_is_declared_dead_a_dead_time_later() {
    let mut alone = Alone::active();
    alone.run_to(1_000);
    let mut out = Vec::new();
    alone.core.tick(at(21_000), &mut out);
    alone.core.tick(at(21_000), &mut out);
    alone.now_ms = 21_000;
    assert!(!out.iter().any(is_dead));
    assert!(!alone.run_to(silent(24_999)).iter().any(is_dead));
    assert!(alone.run_to(silent(25_000)).iter().any(is_dead));
}

/// Until every node was heard once, a node may be silent for `initdead`. A stall in that time is not forgotten at its
/// end. Simulator: isolation, seed 510000073.
#[test]
fn a_stall_before_all_links_are_up_counts_for_a_node_that_was_heard_before() {
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta", "gamma"]));
    alone.hear(beta_status("up", 0x1000, 1));
    alone.run_to(1_000);
    alone.core.tick(at(3_600), &mut Vec::new());
    alone.now_ms = 3_600;
    let mut gamma = beta_status("up", 0x1000, 1);
    gamma.set_text(SRC, "gamma");
    alone.hear(gamma);
    alone.run_to(silent(7_599));
    assert_eq!(beta(&alone), NodeStatus::Up);
    alone.run_to(silent(7_600));
    assert_eq!(beta(&alone), NodeStatus::Dead);
}

#[test]
fn a_machine_that_is_always_late_still_sees_the_dead() {
    let mut alone = Alone::active();
    let mut died = None;
    // Every call comes 0.9 keepalive late.
    while died.is_none() && alone.now_ms < 60_000 {
        let due = alone
            .core
            .next_deadline()
            .unwrap()
            .since_start()
            .as_millis();
        alone.now_ms = u64::try_from(due).unwrap() + 450;
        let mut out = Vec::new();
        alone.core.tick(at(alone.now_ms), &mut out);
        if out.iter().any(is_dead) {
            died = Some(alone.now_ms);
        }
    }
    let died = died.expect("at some time");
    assert!((4_000..=8_500).contains(&died), "{died}");
}

/// Other nodes judge us by what they receive from us, not by how late we are.
#[test]
fn our_own_lateness_moves_no_silence_that_comes_close_to_a_death() {
    let margin = Duration::from_millis(500);
    for late in [200, 450, 1_000, 2_500, 20_000] {
        let mut alone = Alone::active();
        let before = alone.core.silences(margin);
        assert_eq!(
            before[0].due,
            before[0].heard.map(|at| at + Duration::from_millis(3_500))
        );
        let due = alone.core.next_deadline().unwrap().since_start();
        let called = u64::try_from(due.as_millis()).unwrap() + late;
        alone.core.tick(at(called), &mut Vec::new());
        assert_eq!(alone.core.silences(margin), before, "{late}");
    }
}

#[test]
fn raised_dead_times_nest() {
    let mut alone = Alone::active();
    alone.run_to(6_000);
    let dt = |out: &[Output]| sent(out, &["dt"]);
    let mut out = Vec::new();
    alone
        .core
        .raise_dead_time(Duration::from_secs(30), at(6_000), &mut out);
    alone
        .core
        .raise_dead_time(Duration::from_secs(2), at(6_000), &mut out);
    alone.core.lower_dead_time(at(6_000), &mut out);
    alone.core.lower_dead_time(at(6_000), &mut out);
    alone.core.lower_dead_time(at(6_000), &mut out);
    assert_eq!(
        dt(&out),
        [
            "status dt=84d0",
            "status dt=84d0",
            "status dt=84d0",
            "status dt=fa0",
            "status dt=fa0"
        ]
    );
}

#[test]
fn half_an_hour_of_loss_declares_no_node_dead_and_leaves_no_gap() {
    use rand::{RngExt, SeedableRng};
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    let mut rng = rand::rngs::StdRng::seed_from_u64(4);
    cluster.carries = Box::new(move |_, _, _, _| rng.random_bool(0.7));
    cluster.start_all();
    cluster.run_to(20_000);
    let up: Vec<bool> = cluster
        .hosts
        .values()
        .map(|host| host.core.comm_up())
        .collect();
    assert_eq!(up, [true, true]);
    for number in 0..1_000_u64 {
        cluster.run_for(1_800);
        cluster.with_core("alpha", |core, now, out| {
            let message = Message::new("zztest").with("number", &number.to_string());
            core.send(message, now, out);
        });
    }
    cluster.heal();
    cluster.run_for(3_000);
    for host in cluster.hosts.values() {
        // 0.3 ^ 8 for eight heartbeats in a row: the seed has no such case.
        assert!(host.when(is_dead).is_empty());
        assert_eq!(host.core.nodes().map(|node| node.missing).sum::<usize>(), 0);
    }
    let mut got: Vec<u64> = cluster
        .host("beta")
        .events()
        .iter()
        .filter_map(|event| match event {
            ResourceEvent::Message { message, .. } => message.dec("number"),
            _ => None,
        })
        .collect();
    got.sort_unstable();
    assert_eq!(got, (0..1_000).collect::<Vec<_>>(), "each once");
}

/// It may have announced a longer dead time than ours, and will announce it with its next status.
#[test]
fn a_node_without_a_status_in_this_run_gets_the_longest_patience() {
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta"]));
    alone.hear(from_beta("T_ANY", 0x1000, 1));
    let initdead = alone.core.settings.timing.initdead;
    let deadtime = alone.core.settings.timing.deadtime;
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap();
    let early = alone.run_to(silent(ms(deadtime)) + 1_000);
    assert!(!early.iter().any(is_dead));
    let late = alone.run_to(2 * ms(initdead) + 2_000);
    assert!(late.iter().any(is_dead));
}

#[test]
fn a_dead_time_that_an_earlier_core_knew_counts_until_the_first_status() {
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta"]));
    let long = Duration::from_secs(45);
    alone
        .core
        .keep_dead_times([(name("beta"), long), (name("gone"), long)]);
    assert_eq!(
        alone.core.dead_times().collect::<Vec<_>>(),
        [(&name("beta"), long)]
    );
    alone.hear(from_beta("T_ANY", 0x1000, 1));
    assert!(!alone.run_to(44_000).iter().any(is_dead));
    alone.hear(beta_status("active", 0x1000, 2));
    assert!(
        alone.run_to(60_000).iter().any(is_dead),
        "as it says itself"
    );
}
