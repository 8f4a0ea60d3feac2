//! From nothing to `active`.

use super::harness::{Cluster, at, brief, identity, name, settings, silent};
use crate::protocol::field::{DEST, DT, NODE_LIST, SEQ, ST, SYSTOLE};
use crate::protocol::membership::Membership;
use crate::protocol::message::Message;
use crate::protocol::name::Generation;
use crate::protocol::output::{Output, ResourceEvent};
use crate::protocol::settings::Autojoin;
use crate::protocol::status::NodeStatus;

#[test]
fn the_first_messages_of_a_run() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start("alpha");
    assert_eq!(
        cluster.host("alpha").sent(&[ST, DT, SEQ]),
        [
            "status st=init dt=1770 seq=1",
            "status st=up dt=1770 seq=2",
            "status st=up dt=1770 seq=3",
        ]
    );
    cluster.host("alpha").forget();
    cluster.run_to(5000);
    let sent = cluster.host("alpha").sent(&[ST, DT]);
    assert_eq!(sent.len(), 11, "ten beats and the end of the raised dt");
    assert!(sent.iter().any(|status| status == "status st=up dt=fa0"));
}

#[test]
fn two_nodes_become_active_within_milliseconds() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(20);
    for (node, other) in [("alpha", "beta"), ("beta", "alpha")] {
        let host = cluster.host(node);
        assert!(host.core.comm_up(), "{node}");
        assert_eq!(host.status_of(other), NodeStatus::Active);
        assert_eq!(
            host.when(|output| matches!(output, Output::CommUp { first: true }))
                .len(),
            1
        );
        let notices = host.notices();
        assert!(notices.contains(&format!("Link {other}:eth0 up.")));
        assert!(notices.contains(&"Comm_now_up(): updating status to active".to_owned()));
        let asked: Vec<_> = host
            .sent(&[DEST, NODE_LIST])
            .into_iter()
            .filter(|sent| !sent.starts_with("status"))
            .collect();
        assert!(
            asked.contains(&format!("reqnodes dest={other}")),
            "{asked:?}"
        );
        assert!(asked.contains(&format!("repnodes dest={other} nodelist=alpha beta ")));
    }
}

#[test]
fn numbers_on_the_wire_have_no_gap_and_stand_in_order() {
    let mut cluster = Cluster::new(&["alpha", "beta", "gamma"]);
    cluster.start_all();
    cluster.run_to(10_000);
    for host in cluster.hosts.values() {
        let numbers: Vec<u64> = host
            .said
            .iter()
            .filter_map(|(_, output)| match output {
                Output::Transmit(message) => message.hex(SEQ),
                _ => None,
            })
            .collect();
        assert_eq!(numbers[0], 1);
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert_eq!(host.core.nodes().map(|node| node.missing).sum::<usize>(), 0);
    }
}

#[test]
fn a_lone_node_is_active_at_initdead_after_the_death() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start("alpha");
    cluster.run_to(11_999);
    assert_eq!(cluster.host("alpha").core.status(), NodeStatus::Up);
    assert_eq!(cluster.host("alpha").events().len(), 1, "its own `up`");
    cluster.host("alpha").forget();
    cluster.run_to(silent(12_000));
    let host = cluster.host("alpha");
    assert!(host.core.comm_up());
    let order: Vec<String> = host
        .said
        .iter()
        .filter_map(|(_, output)| match output {
            Output::Resource(ResourceEvent::NodeDead { node, heard, .. }) => {
                Some(format!("{node} dead, heard {heard}"))
            }
            Output::Transmit(message) => Some(brief(message, &[ST])),
            Output::CommUp { first } => Some(format!("comm up {first}")),
            _ => None,
        })
        .collect();
    assert_eq!(
        order,
        [
            "status st=up",
            "beta dead, heard false",
            "status st=active",
            "comm up true"
        ]
    );
}

#[test]
fn a_cluster_of_one_is_active_at_once() {
    let mut cluster = Cluster::new(&["alpha"]);
    cluster.start("alpha");
    let host = cluster.host("alpha");
    assert!(host.core.comm_up());
    assert_eq!(
        host.sent(&[ST]),
        [
            "status st=init",
            "status st=up",
            "status st=up",
            "status st=active"
        ]
    );
    assert_eq!(host.status_of("alpha"), NodeStatus::Active);
}

#[test]
fn an_unanswered_request_is_repeated_each_second_while_the_peer_lives() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.carries = Box::new(|_, _, message, _| message.kind() != Some("repnodes"));
    cluster.start_all();
    cluster.run_to(8_500);
    let host = cluster.host("alpha");
    assert_eq!(host.core.status(), NodeStatus::Up);
    let asked = host.when(
        |output| matches!(output, Output::Transmit(message) if message.kind() == Some("reqnodes")),
    );
    // Answers that are lost are asked for again; besides, the list itself is asked for each second.
    assert_eq!(asked.len(), 9, "{asked:?}");
    cluster.kill("beta");
    cluster.run_to(14_000);
    assert!(cluster.host("alpha").core.comm_up(), "nobody left to ask");
}

#[test]
fn an_unasked_list_without_dest_is_fine() {
    let mut alone = super::harness::Alone::started(&settings("alpha", &["alpha", "beta"]));
    alone.hear(
        super::harness::from_beta("repnodes", 0x1000, 1)
            .with(NODE_LIST, "alpha beta ")
            .with("delnodelist", " "),
    );
    assert!(alone.core.comm_up(), "heard, and the list is there");
}

/// Its statuses are lost, so its dead time is not known.
#[test]
fn a_node_received_without_a_status_has_not_been_silent_since_the_start() {
    let mut alone = super::harness::Alone::started(&settings("alpha", &["alpha", "beta"]));
    let died = |out: &[Output]| {
        out.iter()
            .any(|output| matches!(output, Output::Resource(ResourceEvent::NodeDead { .. })))
    };
    assert!(!died(&alone.run_to(9_000)));
    assert!(!died(
        &alone.hear(super::harness::from_beta("repnodes", 0x1000, 7))
    ));
    assert!(!died(&alone.run_to(9_000 + silent(11_999))));
    assert!(died(&alone.run_to(9_000 + silent(12_000))));
}

#[test]
fn with_autojoin_the_whole_initdead_passes() {
    let mut cluster = Cluster::with(&["alpha", "beta"], |settings| {
        settings.autojoin = Autojoin::Any;
        settings.manage_resources = false;
    });
    cluster.start_all();
    cluster.run_to(11_999);
    assert_eq!(cluster.host("alpha").core.status(), NodeStatus::Up);
    cluster.run_to(12_010);
    assert!(cluster.host("alpha").core.comm_up());
}

#[test]
fn a_new_generation_starts_the_numbers_and_the_words_anew() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    cluster.start_all();
    cluster.run_to(20_000);
    cluster.host("alpha").forget();
    cluster.host("beta").forget();
    cluster.with_core("alpha", |core, now, out| {
        core.begin_new_generation(Generation(1001), now, out);
    });
    assert!(!cluster.host("alpha").core.comm_up());
    cluster.run_for(10);
    let alpha = cluster.host("alpha");
    assert_eq!(
        alpha.sent(&[ST, SEQ, DEST])[..4],
        [
            "status st=init seq=1",
            "status st=up seq=2",
            "reqnodes seq=3 dest=beta",
            "status st=active seq=4"
        ]
    );
    assert_eq!(
        alpha
            .when(|output| matches!(output, Output::CommUp { first: false }))
            .len(),
        1
    );
    assert_eq!(alpha.status_of("beta"), NodeStatus::Active, "kept");
    let beta = cluster.host("beta");
    assert!(
        beta.notices()
            .contains(&"Heartbeat restart on node alpha".to_owned())
    );
    assert!(beta.events().iter().any(|event| matches!(
        event,
        ResourceEvent::NodeRestarted {
            was_dead: false,
            ..
        }
    )));
    assert!(
        !beta
            .events()
            .iter()
            .any(|event| matches!(event, ResourceEvent::NodeDead { .. }))
    );
    cluster.run_for(20_000);
    assert_eq!(cluster.host("beta").status_of("alpha"), NodeStatus::Active);
    assert_eq!(
        cluster
            .host("beta")
            .core
            .node(&name("alpha"))
            .unwrap()
            .missing,
        0
    );
}

#[test]
fn capability_words_go_with_status_and_starting_and_belong_to_a_run() {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    let beta_is_fast =
        |cluster: &mut Cluster| cluster.host("alpha").core.advertises(&name("beta"), "fast");
    for (node, number, words) in [
        ("alpha", 97, ["yield", "fast"]),
        ("beta", 98, ["fast", "x"]),
    ] {
        let mut identity = identity(number, 1000);
        identity.capabilities = words.iter().map(ToString::to_string).collect();
        cluster.host(node).core = Membership::new(&settings(node, &["alpha", "beta"]), identity, 1);
    }
    assert!(!beta_is_fast(&mut cluster));
    cluster.start_all();
    cluster.run_to(20);
    cluster.with_core("alpha", |core, now, out| {
        core.send(Message::new("starting"), now, out);
    });
    let alpha = cluster.host("alpha");
    assert_eq!(
        alpha.sent(&[SYSTOLE]).last().unwrap(),
        "starting systole=fast.yield"
    );
    assert!(alpha.core.advertises(&name("beta"), "fast"));
    assert!(!alpha.core.advertises(&name("beta"), "yield"));
    assert!(alpha.core.advertises(&name("beta"), "x"));
    assert!(alpha.core.advertises(&name("alpha"), "yield"));
    // The same node comes back as a legacy one.
    cluster.kill("beta");
    let beta = settings("beta", &["alpha", "beta"]);
    cluster.install("beta", &beta, 1001);
    cluster.start("beta");
    cluster.run_for(20);
    assert!(!beta_is_fast(&mut cluster));
}

#[test]
fn nothing_is_due_before_the_start() {
    let mut core = Membership::new(&settings("alpha", &["alpha", "beta"]), identity(1, 7), 1);
    assert_eq!(core.next_deadline(), None);
    let mut out = Vec::new();
    core.tick(at(60_000), &mut out);
    assert!(out.is_empty());
    core.start(at(60_000), &mut out);
    core.tick(at(90_000), &mut out);
    assert!(
        !out.iter()
            .any(|output| matches!(output, Output::Resource(ResourceEvent::NodeDead { .. }))),
        "media that open late cost nobody's life"
    );
}
