use super::harness::*;
use crate::protocol::message::Message;
use crate::protocol::output::{Output, ResourceEvent};

/// Two nodes that run for a while; then the first says something.
fn settled() -> Cluster {
    of_kinds(&["v1"])
}

/// The second node has these capabilities.
fn of_kinds(words: &[&str]) -> Cluster {
    let mut cluster = Cluster::new(&["alpha", "beta"]);
    let mut identity = identity(98, 1000);
    identity.capabilities = words.iter().map(ToString::to_string).collect();
    let settings = settings("beta", &["alpha", "beta"]);
    cluster.host("beta").core = super::super::Membership::new(&settings, identity, 1);
    cluster.start_all();
    cluster.run_to(10_250);
    cluster.host("alpha").forget();
    cluster
}

/// The first node says it, and waits until the other one has it.
fn says_farewell(cluster: &mut Cluster) {
    cluster.with_core("alpha", |core, now, out| {
        core.send(Message::new("shutdone"), now, out);
        core.bid_farewell(now, out);
    });
}

/// How long after the farewell began each report came.
fn reported(cluster: &mut Cluster, since: u64) -> Vec<u64> {
    let received = |output: &Output| *output == Output::Resource(ResourceEvent::LastWordsReceived);
    let reports = cluster.host("alpha").when(received);
    reports.into_iter().map(|ms| ms - since).collect()
}

fn beta_has_it(cluster: &mut Cluster) -> bool {
    let has = |event: &&ResourceEvent| matches!(event, ResourceEvent::Message { from, message, .. } if *from == name("alpha") && message.kind() == Some("shutdone"));
    cluster.host("beta").events().iter().any(has)
}

#[test]
fn the_last_words_are_reported_as_received_well_within_a_keepalive() {
    let mut cluster = settled();
    let since = cluster.now_ms;
    says_farewell(&mut cluster);
    cluster.run_for(10_000);
    let reports = reported(&mut cluster, since);
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert!(reports[0] <= 100, "{reports:?}");
    assert!(beta_has_it(&mut cluster));
    let sent = cluster.host("alpha").sent(&[]);
    let quick = sent.iter().filter(|kind| *kind == "status").count();
    assert!(quick <= 10 + 20, "{quick}");
}

#[test]
fn a_lost_last_word_is_sent_again_before_it_is_reported() {
    let mut cluster = settled();
    let since = cluster.now_ms;
    let mut lost = 0;
    cluster.carries = Box::new(move |from, _, message, _| {
        let drops = from == "alpha" && message.kind() == Some("shutdone") && lost == 0;
        lost += usize::from(drops);
        !drops
    });
    says_farewell(&mut cluster);
    while reported(&mut cluster, since).is_empty() {
        assert!(cluster.now_ms < since + 1_000, "no report");
        cluster.run_for(1);
    }
    assert!(beta_has_it(&mut cluster));
}

#[test]
fn nothing_is_reported_while_a_living_node_does_not_acknowledge() {
    let mut cluster = settled();
    let since = cluster.now_ms;
    cluster.carries = Box::new(|from, _, _, _| from == "beta");
    says_farewell(&mut cluster);
    cluster.run_for(2_000);
    assert!(reported(&mut cluster, since).is_empty());
    // It asks for what it lacks, and gets it.
    cluster.heal();
    cluster.run_for(1_500);
    assert_eq!(reported(&mut cluster, since).len(), 1);
    assert!(beta_has_it(&mut cluster));
}

/// It is in the middle of a takeover by scripts.
#[test]
fn a_legacy_node_is_given_all_of_the_time() {
    let mut cluster = of_kinds(&[]);
    let since = cluster.now_ms;
    says_farewell(&mut cluster);
    cluster.run_for(2_000);
    assert!(reported(&mut cluster, since).is_empty());
    assert!(cluster.host("alpha").sent(&[]).len() < 10);
}

#[test]
fn a_dead_node_is_not_waited_for() {
    let mut cluster = settled();
    cluster.kill("beta");
    cluster.run_for(5_000);
    let since = cluster.now_ms;
    says_farewell(&mut cluster);
    cluster.run_for(20);
    assert_eq!(reported(&mut cluster, since).len(), 1);
}

/// The announcement is for legacy nodes.
#[test]
fn a_node_that_dies_soon_after_its_start_is_dead_after_its_dead_time() {
    for (words, dead_after) in [(&["v1"][..], 4_000), (&[][..], 6_000)] {
        let mut cluster = settled();
        cluster.kill("beta");
        cluster.run_for(20_000);
        let settings = settings("beta", &["alpha", "beta"]);
        let mut identity = identity(98, 1001);
        identity.capabilities = words.iter().map(ToString::to_string).collect();
        cluster.host("beta").core = super::super::Membership::new(&settings, identity, 1);
        cluster.host("alpha").forget();
        cluster.start("beta");
        cluster.run_for(1_250);
        cluster.kill("beta");
        // Its last status came 250 ms ago.
        let since = cluster.now_ms - 249;
        cluster.run_for(10_000);
        let died = |output: &Output| {
            matches!(
                output,
                Output::Resource(ResourceEvent::NodeDead { ping: false, .. })
            )
        };
        let deaths = cluster.host("alpha").when(died);
        assert_eq!(deaths, [since + silent(dead_after)], "{words:?}");
    }
}
