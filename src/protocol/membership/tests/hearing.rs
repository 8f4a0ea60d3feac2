//! One-way links, and media that do not bring back our messages although they should.

use std::time::Duration;

use super::harness::{Alone, Cluster, at, beta_status, eth0, from_beta, name, notices, settings};
use crate::notice::{Notice, Severity};
use crate::protocol::field::{DEAF, DEL_NODE_LIST, DEST, NODE_LIST, SRC};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::link::Receives;
use crate::protocol::name::MediumName;
use crate::protocol::output::Output;
use crate::protocol::settings::NodeSettings;
use crate::protocol::status::NodeStatus;

const GEN: u64 = 0x1000;
const NO_ANSWER: &str = "node beta does not receive this node";
const AGAIN: &str = "node beta receives this node again";

fn said(out: &[Output], text: &str) -> usize {
    notices(out)
        .iter()
        .filter(|line| line.starts_with(text))
        .count()
}

fn not_heard(output: &Output) -> bool {
    matches!(output, Output::Notice(Notice::NotHeard { .. }))
}

#[test]
fn both_sides_of_a_one_way_link_say_so_within_initdead() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.carries = Box::new(|from, _, _, _| from == "beta");
    cluster.start_all();
    cluster.run_to(12_100);
    let alpha = cluster.host("alpha");
    assert_eq!(alpha.core.status(), NodeStatus::Up, "it waits");
    assert_eq!(alpha.when(not_heard).len(), 1, "{:?}", alpha.notices());
    assert!(alpha.core.hearing_troubles()[0].starts_with(NO_ANSWER));
    assert_eq!(
        alpha.core.waits_for(at(12_100).instant).as_deref(),
        Some("waits for the node list of beta")
    );
    let decided = |output: &Output| matches!(output, Output::Decided { cause, .. } if cause.contains("does not receive"));
    assert_eq!(alpha.when(decided).len(), 1);
    let beta = cluster.host("beta");
    let never = |notice: &Notice| matches!(notice, Notice::NeverHeard { node } if node == "alpha");
    assert_eq!(beta.when_notice(never).len(), 1, "{:?}", beta.notices());
    assert_eq!(beta.core.hearing_troubles().len(), 1);
    cluster.heal();
    cluster.run_for(5_000);
    let alpha = cluster.host("alpha");
    assert_eq!(alpha.core.status(), NodeStatus::Active);
    let lines = alpha.notices();
    assert_eq!(lines.iter().filter(|line| *line == AGAIN).count(), 1);
    assert!(alpha.core.hearing_troubles().is_empty());
    assert!(cluster.host("beta").core.hearing_troubles().is_empty());
}

/// The second node comes late; no message is lost.
#[test]
fn a_healthy_pair_says_nothing_of_it() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start("alpha");
    cluster.run_to(3_000);
    cluster.start("beta");
    cluster.run_to(200_000);
    for host in cluster.hosts.values() {
        let loud = host.when_notice(|notice| notice.severity() > Severity::Info);
        assert!(loud.is_empty(), "{:?}", host.notices());
        assert!(host.core.hearing_troubles().is_empty());
        assert_eq!(host.core.waits_for(at(200_000).instant), None);
    }
}

/// Later, when all nodes are active: a legacy node that does not receive us does not report that.
#[test]
fn a_node_that_stops_acknowledging_does_not_receive_us() {
    let mut alone = Alone::active();
    let mut lines = Vec::new();
    for beat in 0..200 {
        lines.extend(alone.run_to(500 * (beat + 1)));
        lines.extend(alone.hear(beta_status("active", GEN, 4 + beat)));
    }
    assert_eq!(said(&lines, NO_ANSWER), 1);
    let acknowledged = from_beta("NS_ackmsg", GEN, 0)
        .with(DEST, "alpha")
        .with("ackseq", "c0");
    alone.hear(acknowledged);
    let lines = alone.run_to(100_600);
    assert_eq!(said(&lines, AGAIN), 1, "{:?}", notices(&lines));
}

/// Neither a cut of both directions nor a death calls a node deaf: both leave open which node
/// receives which.
#[test]
fn a_silent_node_is_not_called_deaf() {
    let mut cluster = Cluster::with(&["alpha", "beta"], |settings| {
        settings.timing.deadtime = Duration::from_secs(100);
        settings.timing.initdead = Duration::from_secs(100);
    });
    cluster.start_all();
    cluster.run_to(20_000);
    cluster.cut();
    cluster.run_for(80_000);
    cluster.heal();
    cluster.run_for(60_000);
    for host in cluster.hosts.values() {
        assert!(host.when(not_heard).is_empty(), "{:?}", host.notices());
    }
    // Its first status is its last message.
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta"]));
    let mut lines = alone.hear(beta_status("up", GEN, 1));
    lines.extend(alone.run_to(20_000));
    assert!(!lines.iter().any(not_heard), "{:?}", notices(&lines));
    assert_eq!(alone.core.status(), NodeStatus::Active);
}

#[test]
fn a_systole_node_says_whom_it_does_not_hear() {
    let mut alone = Alone::active();
    let mut lines = Vec::new();
    let deaf = |seq| beta_status("active", GEN, seq).with(DEAF, "gamma alpha");
    for second in 1..=8 {
        lines.extend(alone.run_to(1_000 * second));
        lines.extend(alone.hear(deaf(3 + second)));
    }
    assert_eq!(said(&lines, NO_ANSWER), 1);
    let mut lines = alone.hear(beta_status("active", GEN, 12));
    lines.extend(alone.run_to(8_600));
    assert_eq!(said(&lines, AGAIN), 1, "{:?}", notices(&lines));
    // A statement that is taken back in time causes no line.
    let mut lines = alone.hear(deaf(13));
    lines.extend(alone.run_to(10_000));
    lines.extend(alone.hear(beta_status("active", GEN, 14)));
    lines.extend(alone.run_to(13_000));
    assert_eq!(said(&lines, "node beta"), 0, "{:?}", notices(&lines));
}

fn with_medium(returns: bool) -> NodeSettings {
    let mut settings = settings("alpha", &["alpha", "beta"]);
    settings.returns.insert(eth0(), returns);
    settings
}

#[test]
fn a_medium_that_does_not_bring_our_own_messages_back_is_named() {
    let text = "our own messages on eth0 do not come back";
    let mut alone = Alone::started(&with_medium(true));
    assert_eq!(
        said(&alone.run_to(11_999), text),
        0,
        "the interface may come up"
    );
    assert_eq!(said(&alone.run_to(12_000), text), 1);
    assert!(
        alone
            .core
            .hearing_troubles()
            .iter()
            .any(|line| line.starts_with(text))
    );
    assert_eq!(said(&alone.run_to(60_000), text), 0, "once");
    let mut alone = Alone::started(&with_medium(false));
    assert_eq!(
        said(&alone.run_to(60_000), text),
        0,
        "a ucast line never does"
    );
}

/// `Link ... dead` is never logged for it: it was not up.
#[test]
fn a_second_medium_that_never_came_up_is_named() {
    let text = "node beta was never received on eth1";
    let mut settings = settings("alpha", &["alpha", "beta"]);
    settings.media.push(MediumName::new("eth1"));
    for (heard_on_it, lines) in [(None, 1), (Some(3), 0)] {
        let mut alone = Alone::started(&settings);
        let mut out = Vec::new();
        for second in 1..=40 {
            out.extend(alone.run_to(1_000 * second));
            let status = beta_status("active", GEN, second);
            if heard_on_it.is_some_and(|until| second < until) {
                let mut more = Vec::new();
                let now = at(alone.now_ms);
                let eth1 = MediumName::new("eth1");
                alone.core.received(&eth1, status.clone(), now, &mut more);
            }
            out.extend(alone.hear(status));
            let early = second < 12;
            assert!(!early || said(&out, text) == 0, "ports may need their time");
        }
        assert_eq!(said(&out, text), lines);
        let named = |line: &String| line.starts_with(text);
        assert_eq!(alone.core.hearing_troubles().iter().any(named), lines > 0);
    }
}

#[test]
fn a_node_that_sends_to_itself_is_logged() {
    let text = "our own messages come back on eth0";
    for (returns, lines) in [(false, 1), (true, 0)] {
        let mut alone = Alone::started(&with_medium(returns));
        let mut count = 0;
        for second in 1..10 {
            let own: Vec<_> = alone
                .run_to(second * 1_000)
                .into_iter()
                .filter_map(|output| match output {
                    Output::Transmit(message) => Some(message),
                    _ => None,
                })
                .collect();
            count += own
                .into_iter()
                .map(|own| said(&alone.hear(own), text))
                .sum::<usize>();
        }
        assert_eq!(count, lines, "returns: {returns}");
    }
}

/// What a medium brings back of ourselves is no sign that it works, and is forgotten when it ends.
#[test]
fn a_medium_that_only_brings_back_our_own_messages_does_not_count() {
    let text = "our own messages come back on eth0";
    let mut settings = with_medium(false);
    settings.media = vec![eth0(), MediumName::new("eth1")];
    let mut alone = Alone::started(&settings);
    let receives = |alone: &Alone| {
        let all = alone.core.receives(at(alone.now_ms).instant);
        all.map(|(_, receives)| receives).collect::<Vec<_>>()
    };
    assert_eq!(receives(&alone), [Receives::Nothing; 2]);
    let mut second = 0;
    let mut lines = 0;
    let mut run = |alone: &mut Alone, seconds: u64, looped: bool| {
        for _ in 0..seconds {
            second += 1;
            for output in alone.run_to(second * 1_000) {
                if let (Output::Transmit(own), true) = (output, looped) {
                    lines += said(&alone.hear(own), text);
                }
            }
        }
        lines
    };
    assert_eq!(run(&mut alone, 5, true), 1);
    assert_eq!(receives(&alone), [Receives::Itself, Receives::Nothing]);
    let looped = |alone: &Alone| alone.core.hearing_troubles().join(" ").contains(text);
    assert!(looped(&alone));
    // The cable is put right, and the other node is received.
    run(&mut alone, 60, false);
    assert_eq!(receives(&alone), [Receives::Nothing; 2]);
    assert!(!looped(&alone), "{:?}", alone.core.hearing_troubles());
    alone.hear(beta_status("active", GEN, 1));
    assert_eq!(receives(&alone), [Receives::Others, Receives::Nothing]);
    assert_eq!(run(&mut alone, 2, true), 2, "said again");
    assert_eq!(receives(&alone), [Receives::Others, Receives::Nothing]);
}

#[test]
fn a_node_that_no_line_names_is_explained_once() {
    let mut alone = Alone::active();
    let text = "node gamma is received on eth0, but no node line here names it";
    let mut stranger = beta_status("active", GEN, 7);
    stranger.set_text(SRC, "gamma");
    let lines: Vec<Output> = (0..5).flat_map(|_| alone.hear(stranger.clone())).collect();
    assert_eq!(said(&lines, text), 1, "{:?}", notices(&lines));
    assert_eq!(
        said(
            &lines,
            "process_status_message: bad node [gamma] in message"
        ),
        5
    );
    assert_eq!(alone.core.hearing_troubles().len(), 1);
}

/// With groups there are two nodes. A node that only the other node names is not waited for.
#[test]
fn a_third_node_that_only_the_peer_names_is_refused_by_name() {
    let list = |kind: &str, seq| {
        from_beta(kind, GEN, seq)
            .with(DEST, "alpha")
            .with(NODE_LIST, "alpha beta gamma ")
            .with(DEL_NODE_LIST, " ")
    };
    for groups in [true, false] {
        let mut settings = settings("alpha", &["alpha", "beta"]);
        if groups {
            settings.groups = vec![ResourceGroup {
                key: GroupKey::new("a"),
                owner: name("alpha"),
                resources: vec!["a".to_owned()],
            }];
        }
        let mut alone = Alone::started(&settings);
        alone.hear(beta_status("up", GEN, 1));
        let lines = alone.hear(list("repnodes", 2));
        let text = "node gamma is named by node beta, but no node line here names it";
        assert_eq!(
            said(&lines, text),
            usize::from(groups),
            "{:?}",
            notices(&lines)
        );
        assert_eq!(alone.core.node(&name("gamma")).is_none(), groups);
        assert!(alone.core.comm_up(), "it is not waited for");
        let lines = alone.hear(list("addnode", 3));
        assert_eq!(
            said(&lines, text),
            usize::from(groups),
            "{:?}",
            notices(&lines)
        );
        assert_eq!(alone.core.node(&name("gamma")).is_none(), groups);
    }
}
