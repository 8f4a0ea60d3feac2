//! Numbers: gaps, requests, refusals, acknowledgements, replays, echoes, hostile input.

use super::harness::{
    Alone, Cluster, at, beta_status, eth0, from_beta, name, notices, sent, settings, silent,
};
use crate::protocol::event::Origin;
use crate::protocol::field::{
    ACK_SEQ, DEST, FIRST_SEQ, HG, INFO, LAST_SEQ, SEQ, SRC, SRC_UUID, ST, TS,
};
use crate::protocol::message::{Message, Value};
use crate::protocol::name::{Generation, MediumName, Sequence};
use crate::protocol::output::{Output, ResourceEvent, Treatment};
use crate::protocol::status::NodeStatus;

const GEN: u64 = 0x1000;

fn next(alone: &mut Alone, seq: u64) -> Vec<Output> {
    alone.hear(beta_status("active", GEN, seq))
}

/// A status in the middle of a batch.
fn in_batch(alone: &mut Alone, generation: u64, seq: u64, out: &mut Vec<Output>) {
    let message = beta_status("active", generation, seq);
    let now = at(alone.now_ms);
    alone.core.received_in_batch(&eth0(), message, now, out);
}

fn requests(out: &[Output]) -> Vec<String> {
    sent(out, &[FIRST_SEQ, LAST_SEQ])
        .into_iter()
        .filter(|line| line.starts_with("NS_rexmit"))
        .collect()
}

/// Sends status messages until our last number is at least `number`.
fn grow(alone: &mut Alone, number: u64) -> Vec<Message> {
    let mut all = Vec::new();
    loop {
        let mut out = Vec::new();
        alone.core.send_status(at(alone.now_ms), &mut out);
        for output in out {
            if let Output::Transmit(message) = output {
                all.push(message);
            }
        }
        if all.last().unwrap().hex(SEQ).unwrap() >= number {
            return all;
        }
    }
}

#[test]
fn a_gap_is_asked_for_until_it_is_filled_or_refused() {
    let mut alone = Alone::active();
    let out = next(&mut alone, 7);
    assert!(notices(&out).is_empty(), "perhaps only late");
    assert_eq!(
        requests(&alone.run_to(49)),
        Vec::<String>::new(),
        "reordering is waited for"
    );
    let out = alone.run_to(250);
    assert_eq!(notices(&out), ["3 lost packet(s) for [beta] [3:7]"]);
    let mut asked = requests(&out);
    asked.sort();
    assert_eq!(
        asked,
        [
            "NS_rexmit firstseq=4 lastseq=4",
            "NS_rexmit firstseq=5 lastseq=5",
            "NS_rexmit firstseq=6 lastseq=6"
        ]
    );
    assert_eq!(requests(&alone.run_to(500)).len(), 3, "each again");
    next(&mut alone, 4);
    assert_eq!(requests(&alone.run_to(750)).len(), 2);
    let refusal = from_beta("NS_nak_rexmit", GEN, 0)
        .with(FIRST_SEQ, "5")
        .with(DEST, "alpha")
        .with(INFO, "seqno not found");
    let out = alone.hear(refusal.clone());
    assert_eq!(
        notices(&out),
        ["Irretrievably lost packet: node beta seq 5"]
    );
    assert!(notices(&alone.hear(refusal)).is_empty(), "once");
    assert_eq!(requests(&alone.run_to(1_000)).len(), 1);
    assert_eq!(
        notices(&next(&mut alone, 6)),
        ["No pkts missing from beta!"]
    );
    assert!(requests(&alone.run_to(2_000)).is_empty());
}

/// A legacy node sends some messages after those that follow them.
#[test]
fn a_message_that_is_only_late_is_no_loss() {
    let mut alone = Alone::active();
    assert!(notices(&next(&mut alone, 5)).is_empty());
    alone.run_to(20);
    assert!(notices(&next(&mut alone, 4)).is_empty());
    let out = alone.run_to(2_000);
    assert!(requests(&out).is_empty() && notices(&out).is_empty());
}

#[test]
fn a_refusal_for_somebody_else_counts_too() {
    let mut alone = Alone::active();
    next(&mut alone, 5);
    let out = alone.hear(
        from_beta("NS_nak_rexmit", GEN, 0)
            .with(FIRST_SEQ, "4")
            .with(DEST, "gamma"),
    );
    assert!(notices(&out).is_empty(), "it was not asked for");
    assert!(requests(&alone.run_to(1_000)).is_empty());
}

#[test]
fn too_large_a_gap_is_not_asked_for() {
    let mut alone = Alone::active();
    let out = next(&mut alone, 255); // 251 missing
    assert_eq!(
        notices(&out),
        [
            "251 lost packet(s) for [beta] [3:255]",
            "lost a lot of packets! (node beta)"
        ]
    );
    assert!(requests(&alone.run_to(1_000)).is_empty());
    let mut alone = Alone::active();
    next(&mut alone, 254); // 250 missing
    assert_eq!(requests(&alone.run_to(250)).len(), 250);
}

/// An earlier process received numbers up to 4 of beta, and this one receives `first` first.
fn behind_an_earlier_process(run: u64, first: u64) -> (Alone, Vec<Output>) {
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta"]));
    alone
        .core
        .goes_on_behind(&name("beta"), Generation(run), Some(Sequence(4)));
    let out = next(&mut alone, first);
    (alone, out)
}

#[test]
fn messages_sent_while_no_process_received_are_asked_for() {
    let (mut alone, out) = behind_an_earlier_process(GEN, 8);
    assert_eq!(losses(&out), 0);
    assert_eq!(requests(&alone.run_to(250)).len(), 3, "5 to 7");
    let (mut alone, _) = behind_an_earlier_process(GEN, 5);
    assert!(
        requests(&alone.run_to(1_000)).is_empty(),
        "nothing is missing"
    );
    let (mut alone, out) = behind_an_earlier_process(GEN - 1, 8);
    assert!(requests(&alone.run_to(1_000)).is_empty(), "it began anew");
    assert_eq!(losses(&out), 0);
    let anew = |output: &Output| {
        matches!(
            output,
            Output::Resource(ResourceEvent::NodeRestarted {
                was_dead: false,
                ..
            })
        )
    };
    assert!(out.iter().any(anew), "{out:?}");
    let (mut alone, out) = behind_an_earlier_process(GEN, 400);
    assert!(requests(&alone.run_to(1_000)).is_empty(), "too many");
    assert_eq!(losses(&out), 1);
}

/// When the owner of the core was told that messages of beta are lost for good.
fn losses(out: &[Output]) -> usize {
    let lost = |output: &&Output| matches!(output, Output::Resource(ResourceEvent::WordsLost { node }) if *node == name("beta"));
    out.iter().filter(lost).count()
}

fn refusal(seq: u64) -> Message {
    from_beta("NS_nak_rexmit", GEN, 0)
        .with(FIRST_SEQ, &format!("{seq:x}"))
        .with(DEST, "alpha")
        .with(INFO, "seqno not found")
}

#[test]
fn messages_lost_for_good_are_reported_to_the_owner() {
    let mut alone = Alone::active();
    assert_eq!(losses(&next(&mut alone, 254)), 0, "250 can be asked for");
    assert_eq!(losses(&next(&mut alone, 254 + 252)), 1, "251 cannot");
    let mut alone = Alone::active();
    next(&mut alone, 6);
    assert_eq!(losses(&next(&mut alone, 4)), 0, "it came");
    assert_eq!(losses(&alone.hear(refusal(5))), 1, "it never comes");
    assert_eq!(losses(&alone.hear(refusal(5))), 0, "known");
    // The table of missing numbers is full: the oldest are given up.
    let mut alone = Alone::active();
    let out: Vec<Output> = (1..=3)
        .flat_map(|n| next(&mut alone, 3 + n * 200))
        .collect();
    assert_eq!(losses(&out), 1);
}

#[test]
fn many_losses_are_reported_once_a_second_and_the_last_one_is_reported() {
    let mut alone = Alone::active();
    next(&mut alone, 204);
    let out: Vec<Output> = (4..=203).flat_map(|seq| alone.hear(refusal(seq))).collect();
    assert_eq!(losses(&out), 1);
    assert_eq!(losses(&alone.run_to(999)), 0);
    assert_eq!(losses(&alone.run_to(1_000)), 1, "what was lost after it");
    assert_eq!(losses(&alone.run_to(3_500)), 0);
    // A death makes all of it obsolete.
    next(&mut alone, 206);
    let out: Vec<Output> = [205]
        .into_iter()
        .flat_map(|seq| alone.hear(refusal(seq)))
        .collect();
    assert_eq!(losses(&out), 1);
    next(&mut alone, 208);
    alone.hear(refusal(207));
    alone.hear(beta_status("up", GEN + 1, 1));
    assert_eq!(losses(&alone.run_to(6_000)), 0, "a new run");
}

#[test]
fn a_late_old_status_takes_nothing_back() {
    let mut alone = Alone::active();
    next(&mut alone, 5);
    alone.run_to(250);
    let out = alone.hear(beta_status("up", GEN, 4));
    assert_eq!(notices(&out), ["No pkts missing from beta!"]);
    assert_eq!(
        alone.core.node(&name("beta")).unwrap().status,
        NodeStatus::Active
    );
}

#[test]
fn second_copies_refresh_the_link_and_nothing_else() {
    let mut alone = Alone::active();
    alone.run_to(3_000);
    let out = next(&mut alone, 3);
    assert!(matches!(
        &out[..],
        [Output::Deliver {
            treatment: Treatment::Duplicate,
            ..
        }]
    ));
    let out = alone.run_to(silent(4_000));
    assert!(notices(&out).contains(&"node beta: is dead".to_owned()));
    assert!(!notices(&out).contains(&"Link beta:eth0 dead.".to_owned()));
    assert!(notices(&alone.run_to(silent(7_000))).contains(&"Link beta:eth0 dead.".to_owned()));
}

#[test]
fn every_tenth_message_is_acknowledged() {
    let mut alone = Alone::active();
    let mut acked = Vec::new();
    for seq in 4..=100 {
        acked.extend(
            sent(&next(&mut alone, seq), &[DEST, ACK_SEQ])
                .into_iter()
                .filter(|line| line.starts_with("NS_ackmsg")),
        );
    }
    assert!((9..=10).contains(&acked.len()), "{acked:?}");
    assert!(acked[0].starts_with("NS_ackmsg dest=beta ackseq="));
}

#[test]
fn of_a_batch_only_the_last_acknowledgement_due_is_sent() {
    let acks = |out: &[Output]| -> Vec<String> {
        let sent = sent(out, &[DEST, ACK_SEQ]).into_iter();
        sent.filter(|line| line.starts_with("NS_ackmsg")).collect()
    };
    let mut single = Alone::active();
    let one_by_one: Vec<String> = (4..=50)
        .flat_map(|seq| acks(&next(&mut single, seq)))
        .collect();
    assert!(one_by_one.len() >= 4, "{one_by_one:?}");

    let mut alone = Alone::active();
    let mut out = Vec::new();
    alone.core.begin_batch(at(alone.now_ms), &mut out);
    for seq in 4..=50 {
        in_batch(&mut alone, GEN, seq, &mut out);
    }
    assert_eq!(acks(&out), Vec::<String>::new());
    alone.core.end_batch(at(alone.now_ms), &mut out);
    assert_eq!(acks(&out), one_by_one[one_by_one.len() - 1..]);
    let after: Vec<String> = (51..=60)
        .flat_map(|seq| acks(&next(&mut alone, seq)))
        .collect();
    assert_eq!(after.len(), 1, "at once again: {after:?}");
}

#[test]
fn an_acknowledgement_of_an_ended_run_is_not_sent_in_the_next() {
    let mut alone = Alone::active();
    let mut out = Vec::new();
    alone.core.begin_batch(at(alone.now_ms), &mut out);
    for seq in 4..=50 {
        in_batch(&mut alone, GEN, seq, &mut out);
    }
    in_batch(&mut alone, GEN + 1, 1, &mut out);
    alone.core.end_batch(at(alone.now_ms), &mut out);
    assert_eq!(sent(&out, &[ACK_SEQ]), Vec::<String>::new());
}

#[test]
fn messages_for_others_are_tracked_and_dropped() {
    let mut alone = Alone::active();
    let out = alone.hear(from_beta("zzunknown", GEN, 4).with(DEST, "gamma"));
    assert!(matches!(
        &out[..],
        [Output::Deliver {
            treatment: Treatment::Drop,
            ..
        }]
    ));
    let mut message = from_beta("zzunknown", GEN, 5).with(DEST, "alpha");
    message.set("destuuid", Value::Binary(vec![9; 16]));
    let out = alone.hear(message);
    assert!(
        !out.iter().any(|o| matches!(o, Output::Resource(_))),
        "the uuid decides"
    );
    let mut message = from_beta("zzunknown", GEN, 6).with(DEST, "alpha");
    message.set("destuuid", Value::Binary(vec![0; 16]));
    let out = alone.hear(message.clone());
    assert!(out.contains(&Output::Resource(ResourceEvent::Message {
        from: name("beta"),
        own: false,
        message
    })));
    assert!(notices(&next(&mut alone, 7)).is_empty(), "no gap");
}

#[test]
fn requests_are_answered_as_by_legacy() {
    let mut alone = Alone::active();
    let first = grow(&mut alone, 30);
    let ask = |alone: &mut Alone, first: &str, last: &str| {
        alone.hear(
            from_beta("NS_rexmit", GEN, 0)
                .with(DEST, "alpha")
                .with(FIRST_SEQ, first)
                .with(LAST_SEQ, last),
        )
    };
    let out = ask(&mut alone, "29", "30");
    let again: Vec<&Message> = out
        .iter()
        .filter_map(|output| match output {
            Output::Transmit(message) => Some(message),
            _ => None,
        })
        .collect();
    assert_eq!(
        again,
        first.iter().rev().take(2).rev().collect::<Vec<_>>(),
        "identical"
    );
    assert!(
        sent(&ask(&mut alone, "29", "30"), &[]).is_empty(),
        "at once again"
    );
    alone.now_ms = 240;
    assert_eq!(sent(&ask(&mut alone, "29", "30"), &[]).len(), 2);
    let out = ask(&mut alone, "531", "531");
    assert_eq!(
        notices(&out),
        ["Rexmit of seq 531 requested by beta. 30 is max."]
    );
    for (first, last) in [("0", "0"), ("5", "4"), ("x", "4"), ("-1", "4")] {
        let out = ask(&mut alone, first, last);
        assert!(notices(&out)[0].starts_with("Invalid rexmit seqnos from beta:"));
        assert!(sent(&out, &[]).is_empty());
    }
    // The request is for another node.
    let out = alone.hear(
        from_beta("NS_rexmit", GEN, 0)
            .with(DEST, "gamma")
            .with(FIRST_SEQ, "1")
            .with(LAST_SEQ, "1"),
    );
    assert!(sent(&out, &[]).is_empty());
    // Acknowledged messages are not sent again.
    alone.hear(
        from_beta("NS_ackmsg", GEN, 0)
            .with(DEST, "alpha")
            .with(ACK_SEQ, "1d"),
    );
    alone.now_ms = 495;
    assert_eq!(
        sent(&ask(&mut alone, "29", "30"), &[SEQ]),
        ["status seq=1e"]
    );
}

#[test]
fn clients_wait_for_a_peer_that_never_acknowledges() {
    let mut alone = Alone::active();
    // Messages sent before beta lived count as acknowledged.
    grow(&mut alone, 260);
    assert!(alone.core.clients_paused());
    let out = alone.hear(
        from_beta("NS_ackmsg", GEN, 0)
            .with(DEST, "alpha")
            .with(ACK_SEQ, "40b"),
    );
    assert_eq!(
        notices(&out),
        ["corrupted ackseq from beta: 1035 acknowledged, 260 is max"]
    );
    let out = alone.hear(
        from_beta("NS_ackmsg", GEN, 0)
            .with(DEST, "alpha")
            .with(ACK_SEQ, "104"),
    );
    assert_eq!(notices(&out), ["all clients are now resumed"]);
    assert!(!alone.core.clients_paused());
    // A dead peer delays no node.
    let mut alone = Alone::active();
    grow(&mut alone, 300);
    assert!(alone.core.clients_paused());
    alone.run_to(silent(4_000));
    assert!(!alone.core.clients_paused());
}

#[test]
fn a_cluster_that_runs_for_long_pauses_no_client_and_releases_its_history() {
    let mut cluster = Cluster::new(&["alpha", "beta", "gamma"]);
    cluster.start_all();
    cluster.run_to(600_000);
    for host in cluster.hosts.values() {
        assert!(!host.notices().iter().any(|line| line.contains("paused")
            || line.contains("filling")
            || line.contains("corrupted")));
        assert!(
            host.core.history.low().0 > 1_150,
            "{:?}",
            host.core.history.low()
        );
    }
}

#[test]
fn an_old_peer_switches_flow_control_off_for_good() {
    let mut alone = Alone::active();
    let out = alone.hear(from_beta("status", GEN, 4).with(ST, "active"));
    assert_eq!(
        notices(&out),
        ["flow control disabled due to different version heartbeat"]
    );
    next(&mut alone, 5);
    let mut out = Vec::new();
    alone.core.send_status(at(0), &mut out);
    assert_eq!(sent(&out, &["protocol"]), ["status"]);
    for seq in 6..30 {
        assert!(
            sent(&next(&mut alone, seq), &[]).is_empty(),
            "no acknowledgements"
        );
    }
}

#[test]
fn replays_are_dropped_and_logged_at_a_limited_rate() {
    let mut alone = Alone::active();
    let mut lines = Vec::new();
    for seq in 4..1_004 {
        let out = alone.hear(beta_status("init", GEN - 1, seq));
        assert!(sent(&out, &[]).is_empty());
        lines.extend(notices(&out));
    }
    assert_eq!(lines.len(), 10);
    assert_eq!(
        lines[0],
        "should_drop_message: attempted replay attack [beta]? [gen = 4095, curgen = 4096]"
    );
    assert!(
        notices(&alone.run_to(10_000)).contains(&"990 more lines suppressed: replay".to_owned())
    );
    let out = alone.hear(from_beta("zztest", 0, 4));
    assert_eq!(notices(&out).len(), 1, "hg 0 is a replay too");
}

#[test]
fn a_higher_generation_counts_with_a_status_only() {
    let mut alone = Alone::active();
    alone.hear(from_beta("zztest", 0x2000, 4));
    assert!(
        notices(&next(&mut alone, 5)).is_empty(),
        "the old run goes on"
    );
    let out = alone.hear(from_beta("zztest", 0x2000, 1));
    assert!(
        !out.iter().any(|o| matches!(o, Output::Resource(_))),
        "an old number"
    );
}

#[test]
fn messages_before_the_first_status_of_a_run_are_handled_after_it() {
    use crate::protocol::output::ResourceEvent::{Message as Heard, NodeRestarted};
    for killed in [false, true] {
        let mut alone = Alone::active();
        if killed {
            alone.run_to(4_000);
        }
        // Numbers 1 to 3 and 5 of the new run are lost.
        for seq in [6, 4, 4] {
            let out = alone.hear(from_beta("starting", 0x1001, seq));
            assert!(
                !out.iter()
                    .any(|o| matches!(o, Output::Resource(Heard { .. })))
            );
        }
        let out = alone.hear(beta_status("active", 0x1001, 7));
        let order: Vec<String> = out
            .iter()
            .filter_map(|output| match output {
                Output::Resource(NodeRestarted { .. }) => Some("restart".to_owned()),
                Output::Resource(Heard { message, .. }) => {
                    Some(format!("starting {}", message.text(SEQ).unwrap()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(order, ["restart", "starting 4", "starting 6"], "{killed}");
        let asked = requests(&alone.run_to(alone.now_ms + 250));
        assert_eq!(asked, ["NS_rexmit firstseq=5 lastseq=5"]);
        let out = alone.hear(from_beta("starting", 0x1001, 6));
        assert!(
            !out.iter().any(|o| matches!(o, Output::Resource(_))),
            "once"
        );
    }
}

/// Types that are handled before their run is known must not be handled again when their number
/// seems to be missing in it.
#[test]
fn messages_handled_before_their_run_is_known_are_not_handled_again() {
    let handled = |out: &[Output]| {
        out.iter()
            .any(|output| matches!(output, Output::Resource(ResourceEvent::Message { .. })))
    };
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta"]));
    assert!(handled(&alone.hear(from_beta("zztest", 0x1001, 4))));
    assert!(
        !handled(&alone.hear(from_beta("zztest", 0x1000, 9))),
        "of the run before"
    );
    alone.hear(beta_status("up", 0x1001, 2));
    alone.hear(beta_status("active", 0x1001, 5));
    assert!(
        handled(&alone.hear(from_beta("zztest", 0x1001, 3))),
        "this one was lost"
    );
    assert!(!handled(&alone.hear(from_beta("zztest", 0x1001, 4))));
    assert_eq!(alone.core.node(&name("beta")).unwrap().missing, 0);
}

#[test]
fn a_copy_that_comes_after_the_death_is_not_handled_again() {
    let mut alone = Alone::active();
    alone.hear(from_beta("zztest", GEN, 4));
    alone.run_to(silent(8_000));
    let out = alone.hear(from_beta("zztest", GEN, 4));
    assert!(!out.iter().any(|o| matches!(o, Output::Resource(_))));
    let out = alone.hear(from_beta("zztest", GEN, 5));
    assert!(out.iter().any(|o| matches!(o, Output::Resource(_))));
}

/// A node is not asked while it counts as dead. Between a verdict and the status that shows it alive,
/// its other messages come with gaps.
#[test]
fn what_was_lost_while_a_node_counted_as_dead_is_asked_for_when_it_is_back() {
    let mut alone = Alone::active();
    alone.run_to(20_000);
    for seq in [8, 11] {
        alone.hear(from_beta("reqnodes", GEN, seq).with(DEST, "alpha"));
    }
    assert!(requests(&alone.run_to(21_000)).is_empty(), "it is dead");
    next(&mut alone, 12);
    let mut asked = requests(&alone.run_to(21_250));
    asked.sort();
    asked.dedup();
    assert_eq!(
        asked,
        [
            "NS_rexmit firstseq=10 lastseq=10",
            "NS_rexmit firstseq=9 lastseq=9"
        ]
    );
}

#[test]
fn early_messages_are_bounded_and_forgotten_with_another_run() {
    let mut alone = Alone::active();
    for seq in 1..=100 {
        alone.hear(from_beta("resource", 0x1001, seq));
    }
    let heard = |out: &[Output]| {
        out.iter()
            .filter(|output| matches!(output, Output::Resource(ResourceEvent::Message { .. })))
            .count()
    };
    assert_eq!(heard(&alone.hear(beta_status("active", 0x1001, 101))), 8);
    alone.hear(from_beta("resource", 0x1002, 1));
    assert_eq!(heard(&alone.hear(beta_status("active", 0x1003, 1))), 0);
    alone.hear(from_beta("resource", 0x1004, 5));
    alone.hear(from_beta("resource", 0x1005, 5));
    let out = alone.hear(beta_status("active", 0x1005, 6));
    assert_eq!(heard(&out), 1, "one number in two runs");
}

#[test]
fn incomplete_messages_are_dropped() {
    let mut alone = Alone::active();
    let whole = beta_status("active", GEN, 4);
    let without = |field: &str| {
        let mut message = whole.clone();
        message.remove(field);
        message
    };
    let rows = [
        (
            without("t"),
            Some("process_clustermsg: missing from/ts/type: iface eth0, from beta"),
        ),
        (
            without(SRC),
            Some("process_clustermsg: missing from/ts/type: iface eth0, from ?"),
        ),
        (
            without(TS),
            Some("process_clustermsg: missing from/ts/type: iface eth0, from beta"),
        ),
        (
            without(SEQ),
            Some("process_clustermsg: missing seqno: iface eth0, from beta"),
        ),
        (
            without(SEQ).with(SEQ, "0"),
            Some("process_clustermsg: missing seqno: iface eth0, from beta"),
        ),
        (
            without(SEQ).with(SEQ, "zz"),
            Some("process_clustermsg: missing seqno: iface eth0, from beta"),
        ),
        (without(TS).with(TS, "0"), None),
        (without(TS).with(TS, "soon"), None),
        (
            without(SRC).with(SRC, "gamma"),
            Some("process_status_message: bad node [gamma] in message"),
        ),
        (
            without(SRC).with(SRC, "BETA"),
            Some("process_status_message: bad node [BETA] in message"),
        ),
        (
            without(SRC).with(SRC, "a\nb"),
            Some("process_status_message: bad node [a\\nb] in message"),
        ),
        (
            without(ST),
            Some("HBDoMsg_T_STATUS: status update without st field (node beta)"),
        ),
    ];
    for (message, line) in rows {
        let mut fresh = Alone::active();
        let out = fresh.hear(message.clone());
        let expected: Vec<String> = line.into_iter().map(str::to_owned).collect();
        let mut lines = notices(&out);
        // A line that explains the line before it.
        lines.retain(|line| !line.contains("but no node line here names it"));
        assert_eq!(lines, expected, "{message}");
        assert!(sent(&out, &[]).is_empty(), "{message}");
    }
    assert!(notices(&alone.hear(whole)).is_empty());
}

/// Whether a message was passed on to clients.
fn accepted(out: &[Output]) -> bool {
    let kept = |output: &Output| {
        let treatment = Treatment::Keep;
        matches!(output, Output::Deliver { treatment: t, .. } if *t == treatment)
    };
    out.iter().any(kept)
}

#[test]
fn no_node_can_take_a_name_or_uuid_of_another() {
    let mut alone = Alone::active();
    let mut as_beta = beta_status("active", GEN, 4);
    as_beta.set(SRC_UUID, Value::Binary(vec![0xbb; 16]));
    assert!(notices(&alone.hear(as_beta)).is_empty(), "learnt");
    // Known uuid, other name.
    let mut message = beta_status("active", GEN, 5);
    message.set_text(SRC, "gamma");
    message.set(SRC_UUID, Value::Binary(vec![0xbb; 16]));
    let out = alone.hear(message);
    assert!(notices(&out)[0].contains("belongs to node beta but node gamma uses it"));
    // Known name, other uuid.
    let mut message = beta_status("active", GEN, 5);
    message.set(SRC_UUID, Value::Binary(vec![0xcc; 16]));
    let out = alone.hear(message);
    assert!(notices(&out)[0].starts_with("node beta changed its uuid to cccccccc-"));
    // Our uuid under another name: a cloned machine.
    let mut message = beta_status("active", GEN, 6);
    message.set(SRC_UUID, Value::Binary(vec![1; 16]));
    let out = alone.hear(message);
    assert!(notices(&out)[0].contains("node beta has the uuid 01010101-"));
    // We announce another uuid.
    let made_of_name = "cc301fda-9190-a843-de51-a987ec340ccc";
    assert!(notices(&out)[1].contains(made_of_name));
    let status = out.iter().find_map(|output| match output {
        Output::Transmit(message) => message.binary(SRC_UUID),
        _ => None,
    });
    assert_eq!(status.expect("at once")[..2], [0xcc, 0x30]);
    // A message addressed to the uuid that we had is still for us, and no other message with that
    // uuid.
    for (seq, dest, ours) in [(7, "alpha", true), (8, "beta", false)] {
        let mut message = from_beta("zzunknown", GEN, seq).with(DEST, dest);
        message.set("destuuid", Value::Binary(vec![1; 16]));
        assert_eq!(accepted(&alone.hear(message)), ours, "{dest}");
    }
    // A uuid of zeros counts as none.
    let mut message = beta_status("active", GEN, 9);
    message.set(SRC_UUID, Value::Binary(vec![0; 16]));
    assert!(notices(&alone.hear(message)).is_empty());
}

#[test]
fn our_own_packets_come_back_and_foreign_ones_are_noticed() {
    let mut alone = Alone::active();
    let mut ours = grow(&mut alone, 20).pop().unwrap();
    let out = alone.hear(ours.clone());
    assert_eq!(notices(&out), ["Link alpha:eth0 up."]);
    assert!(alone.hear(ours.clone()).is_empty());
    let mut old = ours.clone();
    old.set_text(HG, "6");
    assert!(alone.hear(old).is_empty(), "of a former run");
    ours.set_text(SEQ, "fff");
    let out = alone.hear(ours);
    assert!(notices(&out)[0].starts_with("message under our own name"));
    assert!(
        notices(&alone.run_to(3_900)).is_empty(),
        "own links never time out"
    );
}

#[test]
fn local_programs_cannot_speak_for_the_daemon() {
    let mut alone = Alone::active();
    let mut inject = |origin, message: Message| {
        let mut out = Vec::new();
        alone.core.inject(origin, message, at(0), &mut out);
        sent(&out, &[SRC, SEQ])
    };
    for origin in [Origin::Fifo, Origin::Client] {
        for kind in ["NS_rexmit", "NS_st", "status", "reqnodes", "repnodes", ""] {
            let forged = Message::new(kind).with(SRC, "beta");
            assert!(inject(origin, forged).is_empty(), "{origin:?} {kind}");
        }
        assert!(inject(origin, Message::empty()).is_empty());
    }
    for kind in ["resource", "shutdone", "addnode", "stonith"] {
        assert!(
            inject(Origin::Client, Message::new(kind)).is_empty(),
            "{kind}"
        );
        assert_eq!(inject(Origin::Fifo, Message::new(kind)).len(), 1, "{kind}");
    }
    let forged = Message::new("ask_resources")
        .with(SRC, "beta")
        .with(SEQ, "1");
    let sent = inject(Origin::Client, forged);
    assert!(
        sent[0].starts_with("ask_resources src=alpha seq="),
        "{sent:?}"
    );
    assert_ne!(sent[0], "ask_resources src=alpha seq=1");
}

#[test]
fn control_fields_stand_in_the_legacy_order() {
    let mut alone = Alone::active();
    alone.core.set_load("0.34 0.22 0.09 1/133 22\n");
    let mut out = Vec::new();
    let message = Message::new("zztest").with(DEST, "beta").with("x", "y");
    alone.core.send(message, at(0), &mut out);
    let Some(Output::Transmit(message)) = out.first() else {
        panic!("{out:?}");
    };
    let order: Vec<&str> = message
        .fields()
        .iter()
        .map(|field| std::str::from_utf8(&field.name).unwrap())
        .collect();
    assert_eq!(
        order,
        [
            "t", "dest", "x", "destuuid", "src", "srcuuid", "seq", "hg", "ts", "ld", "ttl"
        ]
    );
    assert_eq!(message.text("ld"), Some("0.34 0.22 0.09 1/133 22"));
    assert_eq!(message.text("ttl"), Some("3"));
    assert_eq!(
        message.binary("destuuid"),
        Some(&[0_u8; 16][..]),
        "not learnt yet"
    );
}

#[test]
fn a_name_in_upper_case_or_a_ping_node_cannot_act_as_a_member() {
    let mut settings = settings("alpha", &["alpha", "beta"]);
    settings.ping_nodes = vec![name("router")];
    let mut alone = Alone::started(&settings);
    for kind in ["status", "starting", "NS_ackmsg", "NS_rexmit"] {
        let mut message = from_beta(kind, GEN, u64::from(!kind.starts_with("NS_")));
        message.set_text(SRC, "router");
        let out = alone.hear(message.with(ST, "active"));
        assert!(
            out.iter().all(|output| matches!(
                output,
                Output::Deliver {
                    treatment: Treatment::Drop,
                    ..
                }
            )),
            "{kind}: {out:?}"
        );
    }
}

/// A notice of a client on beta and other messages, as clients receive them: their numbers.
fn delivered(out: &[Output]) -> Vec<u64> {
    out.iter()
        .filter_map(|output| match output {
            Output::Deliver {
                message,
                treatment: Treatment::Keep,
            } if matches!(message.kind(), Some("hbapi-clstat" | "talk" | "status")) => {
                message.hex(SEQ)
            }
            _ => None,
        })
        .collect()
}

fn notice(seq: u64) -> Message {
    from_beta("hbapi-clstat", GEN, seq).with(ST, "leave")
}

#[test]
fn a_notice_waits_for_what_its_client_said_before() {
    let mut alone = Alone::active();
    let talk = |seq| from_beta("talk", GEN, seq);
    assert_eq!(delivered(&alone.hear(notice(4))), [4], "nothing is missing");
    // 5 and 7 are missing.
    assert_eq!(delivered(&alone.hear(talk(6))), [6], "only notices wait");
    assert_eq!(delivered(&alone.hear(notice(9))), Vec::<u64>::new());
    assert_eq!(delivered(&alone.hear(notice(8))), Vec::<u64>::new());
    assert_eq!(delivered(&alone.hear(talk(7))), [7]);
    assert_eq!(
        delivered(&alone.hear(talk(5))),
        [5, 8, 9],
        "in order, behind it"
    );
    assert_eq!(delivered(&alone.hear(notice(10))), [10]);
}

#[test]
fn a_notice_does_not_wait_for_what_never_comes() {
    // Refused by its sender.
    let mut alone = Alone::active();
    assert_eq!(delivered(&alone.hear(notice(5))), Vec::<u64>::new());
    let refusal = from_beta("NS_nak_rexmit", GEN, 0)
        .with(FIRST_SEQ, "4")
        .with(DEST, "alpha");
    assert_eq!(delivered(&alone.hear(refusal)), [5]);
    // Too far behind: delivered before the messages that came after it.
    let mut alone = Alone::active();
    alone.hear(notice(5));
    let far = alone.hear(from_beta("talk", GEN, 2_000));
    assert_eq!(delivered(&far), [5, 2_000]);
    // The node begins a new run, or dies: delivered before that is reported.
    let mut alone = Alone::active();
    alone.hear(notice(5));
    let restarted = delivered(&alone.hear(beta_status("init", GEN + 1, 1)));
    assert_eq!(restarted.first(), Some(&5), "{restarted:?}");
    let mut alone = Alone::active();
    alone.hear(notice(5));
    let died = delivered(&alone.run_to(60_000));
    assert_eq!(died.iter().find(|seq| **seq == 5), Some(&5));
    // A node that sends many of them after a gap fills only a bounded space.
    let mut alone = Alone::active();
    let mut all = Vec::new();
    for seq in 5..5 + 100 {
        all.extend(delivered(&alone.hear(notice(seq))));
    }
    assert_eq!(all, (5..5 + 36).collect::<Vec<_>>());
}

/// The resource core forgets it with the run, and is told again; a legacy node that follows sends
/// nothing about it.
#[test]
fn differences_of_files_and_capabilities_are_reported_for_each_run() {
    use crate::protocol::field::{HARESOURCES, LINES, SYSTOLE};
    let mut alone = Alone::active();
    let ours = |generation, seq| {
        beta_status("active", generation, seq)
            .with(SYSTOLE, "v1.yield")
            .with(HARESOURCES, "1")
            .with(LINES, "2")
    };
    let compared = |out: &[Output]| {
        let event = |output: &&Output| matches!(output, Output::Resource(ResourceEvent::HaresourcesCompared { differing, .. }) if differing.is_some());
        out.iter().filter(event).count()
    };
    let speaks = |out: &[Output]| {
        let words = |output: &Output| match output {
            Output::Resource(ResourceEvent::Speaks { words, .. }) => Some(words.is_some()),
            _ => None,
        };
        out.iter().find_map(words)
    };
    assert_eq!(compared(&alone.hear(ours(GEN, 4))), 1);
    assert_eq!(compared(&alone.hear(ours(GEN, 5))), 0);
    let out = alone.hear(ours(GEN + 1, 1));
    assert_eq!((compared(&out), speaks(&out)), (1, Some(true)));
    let out = alone.hear(beta_status("active", GEN + 2, 1));
    assert_eq!((compared(&out), speaks(&out)), (0, Some(false)));
}

/// Once, when it has lasted; an older version tells nothing.
#[test]
fn monitors_that_differ_are_reported_when_it_lasts() {
    use crate::protocol::field::{MONITORS, SYSTOLE};
    let mut alone = Alone::active();
    alone.core.has_monitors("aaaaaaaa");
    let mut seq = 3;
    let mut hear = |alone: &mut Alone, ms: u64, mark: Option<&str>| {
        seq += 1;
        alone.now_ms += ms;
        let status = beta_status("active", GEN, seq).with(SYSTOLE, "v1.yield");
        let status = match mark {
            Some(mark) => status.with(MONITORS, mark),
            None => status,
        };
        let mut said = notices(&alone.hear(status));
        said.retain(|text| text.contains("[[monitor]]"));
        said.len()
    };
    assert_eq!(hear(&mut alone, 1000, None), 0);
    assert_eq!(hear(&mut alone, 1000, Some("bbbbbbbb")), 0);
    assert_eq!(hear(&mut alone, 59_000, Some("bbbbbbbb")), 0);
    assert_eq!(hear(&mut alone, 1000, Some("bbbbbbbb")), 1);
    assert_eq!(hear(&mut alone, 90_000, Some("bbbbbbbb")), 0);
    assert_eq!(hear(&mut alone, 1000, None), 0);
    assert_eq!(hear(&mut alone, 1000, Some("aaaaaaaa")), 1);
    assert_eq!(hear(&mut alone, 90_000, Some("aaaaaaaa")), 0);
}

/// A message for which every link that is left is too slow: without an answer it would be asked for for ever, nothing behind
/// it acknowledged, and the clients of this node held back.
#[test]
fn what_no_link_that_is_up_carries_is_refused_for_good() {
    let mut alone = Alone::active();
    grow(&mut alone, 30);
    let ask = |alone: &mut Alone, number: u64| {
        alone.now_ms += 300;
        let out = alone.hear(
            from_beta("NS_rexmit", GEN, 0)
                .with(DEST, "alpha")
                .with(FIRST_SEQ, &number.to_string())
                .with(LAST_SEQ, &number.to_string()),
        );
        let mut answers = out.iter().filter_map(|output| match output {
            Output::Transmit(message) if message.hex(SEQ) == Some(number) => Some("again"),
            Output::Transmit(message) if message.hex(FIRST_SEQ) == Some(number) => {
                message.text(INFO)
            }
            _ => None,
        });
        let answer = answers.next().unwrap_or("nothing").to_owned();
        (answer, notices(&out))
    };
    let again = ("again".to_owned(), Vec::<String>::new());
    assert_eq!(ask(&mut alone, 20), again);
    let own = alone.core.generation();
    // Of an earlier run.
    let earlier = Generation(own.0 - 1);
    alone.core.cannot_go(earlier, Sequence(20), Some(&eth0()));
    alone
        .core
        .cannot_go(own, Sequence(20), Some(&MediumName::new("ttyS0")));
    assert_eq!(ask(&mut alone, 20), again);
    alone.core.cannot_go(own, Sequence(20), Some(&eth0()));
    let (answer, said) = ask(&mut alone, 20);
    assert_eq!(answer, "seqno not found");
    let why =
        "Cannot rexmit pkt 20 for beta: too long for every medium on which the node is received";
    assert!(said.iter().any(|line| line == why), "{said:?}");
    assert_eq!(ask(&mut alone, 21), again);
    // No medium at all: its datagram cannot be made.
    alone.core.cannot_go(own, Sequence(21), None);
    assert_eq!(ask(&mut alone, 21).0, "seqno not found");
}
