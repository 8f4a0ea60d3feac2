use std::collections::BTreeMap;

use super::*;
use crate::clients::control::{
    DecisionReport, FenceDeviceReport, FenceReport, FenceWait, FencesReport, GroupAnswer,
    GroupView, LeaseReport, MediumView, NodeReport, PeerReport, Place, Receives,
};

/// Local midday of some day, so that a few hours are of the same day everywhere.
const NOON: u64 = 1_773_490_500;

/// Columns and rows of the smallest terminal.
const COLUMNS: usize = 80;
const ROWS: usize = 24;

fn peer(name: &str, status: &str, links: &[(&str, bool)]) -> PeerReport {
    PeerReport {
        name: name.to_owned(),
        status: status.to_owned(),
        links: links
            .iter()
            .map(|(medium, up)| ((*medium).to_owned(), *up))
            .collect(),
        since_unix_s: Some(NOON - 100),
        ..PeerReport::default()
    }
}

fn group(key: &str, owner: &str, more: &str) -> GroupView {
    let resources = std::iter::once(key).chain(more.split_whitespace());
    GroupView {
        key: key.to_owned(),
        owner: owner.to_owned(),
        resources: resources.map(str::to_owned).collect(),
        ..GroupView::default()
    }
}

fn runs_here(group: GroupView) -> GroupView {
    GroupView {
        wanted: true,
        last: Some(GroupAnswer::Started),
        place: Place::Here,
        runs_on: Some("alpha".to_owned()),
        changed_unix_s: Some(NOON - 90),
        ..group
    }
}

fn medium(name: &str, kind: &str) -> MediumView {
    MediumView {
        receives: Some(Receives::Others),
        ..MediumView::new(name.to_owned(), vec![kind.to_owned()], None)
    }
}

/// A healthy pair with three groups, two media and a ping node.
fn healthy() -> View {
    let up = [("eth0", true), ("eth1", true)];
    let beta = PeerReport {
        program: Some("systole".to_owned()),
        heard_ms_ago: Some(230),
        receives_this_node: Some(true),
        ..peer("beta", "active", &up)
    };
    let gw = PeerReport {
        ping: true,
        ..peer("gw", "ping", &[("gw", true)])
    };
    let node = NodeReport {
        nodes: vec![peer("alpha", "active", &up), beta, gw],
        began_unix_s: NOON - 200,
        last_move: Some(DecisionReport {
            unix_s: NOON - 91,
            what: "starts the local resources: 10.0.0.1/24/eth0 web".to_owned(),
            cause: "both nodes are settled".to_owned(),
        }),
        ..NodeReport::example()
    };
    let data = "drbddisk::r0 Filesystem::/dev/drbd0::/data::ext3 mysql";
    let there = GroupView {
        place: Place::Other,
        runs_on: Some("beta".to_owned()),
        ..group("10.0.0.3/24/eth0", "beta", "mail")
    };
    View {
        node: Some(node),
        groups: vec![
            runs_here(group("10.0.0.1/24/eth0", "alpha", data)),
            runs_here(group("web", "alpha", "")),
            there,
        ],
        media: vec![medium("eth0", "bcast"), medium("eth1", "ucast")],
        fencing: None,
        watchdog: None,
        lease: None,
    }
}

/// Without the line of the time.
fn shown(view: &View) -> String {
    let text = text(view, NOON);
    let (_, rest) = text.split_once('\n').unwrap();
    rest.to_owned()
}

fn at(seconds_before_noon: u64) -> String {
    let shown = parts::Shown { now_unix_s: NOON };
    shown.when(NOON - seconds_before_noon)
}

#[test]
fn the_head_of_the_nodes_says_with_which_keys_they_sign() {
    let with = |keys: [Option<u8>; 3]| {
        let mut view = healthy();
        let nodes = view.node.as_mut().map(|node| &mut node.nodes);
        for (peer, key) in nodes.into_iter().flatten().zip(keys) {
            peer.key = key;
        }
        let text = text(&view, NOON);
        let line = text.lines().find(|line| line.starts_with("NODES"));
        line.unwrap().to_owned()
    };
    assert_eq!(with([None; 3]), "NODES");
    assert_eq!(with([Some(1), None, None]), "NODES  alpha signs with key 1");
    assert_eq!(with([Some(1), Some(1), None]), "NODES  all sign with key 1");
    let differ = "NODES  alpha signs with key 1, beta with key 2";
    assert_eq!(with([Some(1), Some(2), None]), differ);
}

#[test]
fn a_healthy_pair_on_one_screen() {
    let expected = format!(
        "\
OK: alpha is active, runs 2 of 3 groups; beta is active, runs 1; gw answers

NODES
  alpha  active  this node, runs 2 groups, since {since}, pid 7
  beta   active  Systole, runs 1 group, since {since}, heard 0.2 s ago
  gw     answers ping node, since {since}

LINKS           alpha hears beta  beta hears alpha
  eth0 (bcast)  yes               yes
  eth1 (ucast)  yes               yes

GROUPS
  10.0.0.1/24/eth0  runs on alpha since {started}
    then drbddisk::r0 Filesystem::/dev/drbd0::/data::ext3 mysql
  web               runs on alpha since {started}
  10.0.0.3/24/eth0  runs on beta
    then mail

LAST MOVE of alpha  (all decisions: systole why)
  {moved}  starts the local resources: 10.0.0.1/24/eth0 web: both nodes are settled
",
        since = at(100),
        started = at(90),
        moved = at(91),
    );
    assert_eq!(shown(&healthy()), expected);
    let screen = screen(&healthy(), NOON);
    let rows = screen.rows(Layout {
        columns: Some(COLUMNS),
        colour: false,
    });
    assert!(rows.len() < ROWS, "{rows:#?}");
    for row in rows {
        assert!(row.chars().count() <= COLUMNS, "{row}");
    }
}

/// What becomes of the healthy pair, and lines that must be shown then.
#[test]
fn what_is_wrong_stands_first_and_where_it_is() {
    type Change = fn(&mut View);
    fn node(view: &mut View) -> &mut NodeReport {
        view.node.as_mut().unwrap()
    }
    let cases: [(&str, Change, &[&str]); 13] = [
        (
            "WARNING: no standby: beta is dead",
            |view| {
                let beta = &mut node(view).nodes[1];
                beta.status = "dead".to_owned();
                beta.links[0].1 = false;
                beta.links_changed_unix_s = BTreeMap::from([("eth0".to_owned(), NOON - 7)]);
                beta.links[1].1 = false;
                beta.receives_this_node = None;
            },
            &[
                "  beta   dead    Systole, runs 1 group, since ",
                "  eth0 (bcast)  no, since ",
                "  eth1 (ucast)  no                  -",
            ],
        ),
        (
            "WARNING: no standby: beta has left in order",
            |view| {
                let beta = &mut node(view).nodes[1];
                beta.status = "dead".to_owned();
                beta.left = true;
            },
            &["  beta   left    Systole, released everything in order, runs 1 group, since "],
        ),
        (
            "WARNING: alpha does not hear beta on eth1",
            |view| node(view).nodes[1].links[1].1 = false,
            &["  eth1 (ucast)  NO, never         yes"],
        ),
        (
            "WARNING: beta does not hear alpha on its eth1",
            |view| node(view).nodes[1].deaf_on = vec!["eth1".to_owned()],
            &["  eth1 (ucast)  yes               NO"],
        ),
        (
            "WARNING: beta does not hear alpha on its ens4",
            |view| node(view).nodes[1].deaf_on = vec!["ens4".to_owned()],
            &["  NOT: beta hears alpha on its medium ens4"],
        ),
        (
            "WARNING: node beta does not receive this node",
            |view| {
                node(view).nodes[1].receives_this_node = Some(false);
                node(view).troubles = vec!["node beta does not receive this node".to_owned()];
            },
            &["  eth0 (bcast)  yes               NO"],
        ),
        (
            "WARNING: medium eth1 is not open",
            |view| {
                view.media[1].open = false;
                view.media[1].reason = Some("no such device".to_owned());
            },
            &["  eth1 (ucast)  NOT OPEN: no such device (trying again)"],
        ),
        (
            "WARNING: medium eth0 cannot send: bcast: Operation not permitted",
            |view| view.media[0].trouble = Some("bcast: Operation not permitted".to_owned()),
            &["  eth0 (bcast)  yes               yes  CANNOT SEND: bcast: Operation"],
        ),
        (
            "CRITICAL: web does not run: start of web ended with 3",
            |view| {
                view.groups[1].last = Some(GroupAnswer::StartFailed {
                    resource: "web".to_owned(),
                    code: 3,
                });
                view.groups[1].place = Place::Nowhere;
                view.groups[1].runs_on = None;
                view.groups[1].said = Some("web said: no port".to_owned());
            },
            &[
                "FAILED: start of web ended with 3, at ",
                "\n    web said: no port\n",
            ],
        ),
        (
            "WARNING: web runs on beta, and cannot run here: start of web ended with 3",
            |view| {
                view.groups[1].last = Some(GroupAnswer::StartFailed {
                    resource: "web".to_owned(),
                    code: 3,
                });
                view.groups[1].place = Place::Other;
                view.groups[1].runs_on = Some("beta".to_owned());
            },
            &["runs on beta; here FAILED: start of web ended with 3"],
        ),
        (
            "CRITICAL: web runs on no node",
            |view| {
                view.groups[1].last = Some(GroupAnswer::Stopped);
                view.groups[1].place = Place::Nowhere;
                view.groups[1].runs_on = None;
            },
            &["  web               RUNS ON NO NODE"],
        ),
        (
            "CRITICAL: 10.0.0.9 is not on this host",
            |view| view.groups[0].absent = vec!["10.0.0.9".to_owned()],
            &["ADDRESS GONE: 10.0.0.9 is not on this host: systole why"],
        ),
        (
            "WARNING: FROZEN: no resource is started or stopped until systole thaw",
            |view| {
                node(view).frozen = true;
                node(view).waiting = vec!["beta".to_owned()];
            },
            &["  at the thaw the resources of beta are taken"],
        ),
    ];
    for (first, change, lines) in cases {
        let mut view = healthy();
        change(&mut view);
        let text = shown(&view);
        assert!(text.starts_with(&format!("{first}\n")), "{first}\n{text}");
        for line in lines {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}

#[test]
fn a_node_that_starts_says_what_it_waits_for() {
    let mut view = healthy();
    let node = view.node.as_mut().unwrap();
    node.status = "up".to_owned();
    node.nodes[0].status = "up".to_owned();
    node.nodes[1].status = "init".to_owned();
    node.nodes[1].links[0].1 = false;
    node.rscstatus = Some("transition".to_owned());
    node.waits_for = Some("waits to receive beta, at most 9 s more (initdead)".to_owned());
    node.waits = vec!["waits to start: the other node".to_owned()];
    node.last_move = None;
    for group in &mut view.groups {
        (group.place, group.runs_on, group.last) = (Place::Nowhere, None, None);
    }
    view.media[0].receives = Some(Receives::Itself);
    let text = shown(&view);
    for line in [
        "LINKS           alpha hears beta               beta hears alpha\n",
        "  eth0 (bcast)  NO, never (only own messages)  yes\n",
    ] {
        assert!(text.contains(line), "{text}");
    }
    let first = "WARNING: alpha is up: waits to receive beta, at most 9 s more (initdead)\n  waits to start: ";
    assert!(text.starts_with(first), "{text}");
    assert!(
        text.contains("  web               runs on no node yet\n"),
        "{text}"
    );
    assert!(
        text.contains("  alpha  up      this node, in transition, runs no group"),
        "{text}"
    );
    assert!(
        text.contains(&format!("  none since the daemon began at {}\n", at(200))),
        "{text}"
    );
    view.groups[0].busy = true;
    view.groups[0].wanted = true;
    assert!(shown(&view).contains("  10.0.0.1/24/eth0  is being started on alpha\n"));
    view.node = None;
    assert!(shown(&view).starts_with("UNKNOWN: membership does not answer\n"));
}

/// A legacy node tells neither on which medium it hears, nor what runs while something moves.
#[test]
fn beside_a_legacy_node_nothing_is_claimed() {
    let mut view = healthy();
    let beta = &mut view.node.as_mut().unwrap().nodes[1];
    beta.program = Some("legacy".to_owned());
    (view.groups[2].place, view.groups[2].runs_on) = (Place::Unknown, None);
    let text = shown(&view);
    assert!(
        text.contains("  beta   active  legacy Heartbeat, since "),
        "{text}"
    );
    assert!(
        text.contains("yes               yes, here or on another\n"),
        "{text}"
    );
    assert!(
        text.contains("not known whether it runs on the other node"),
        "{text}"
    );
    assert!(text.starts_with("OK: "), "no alarm: {text}");
}

#[test]
fn fencing_and_the_watchdog_are_shown_where_they_are() {
    let mut view = healthy();
    view.fencing = Some(FenceReport {
        devices: vec![FenceDeviceReport {
            kind: "external/ipmi".to_owned(),
            place: "ha.cf:12".to_owned(),
            hosts: Some(vec!["beta".to_owned()]),
            works: Some(true),
            ..FenceDeviceReport::default()
        }],
        waiting: Some(FencesReport {
            nodes: vec![FenceWait {
                node: "beta".to_owned(),
                state: "failed".to_owned(),
                next_ms: Some(4000),
                counts_ms: None,
                attempts: 3,
                words: Some("no route".to_owned()),
            }],
            ..FencesReport::default()
        }),
        ..FenceReport::default()
    });
    let mut watchdog = WatchdogReport {
        device: "/dev/watchdog".to_owned(),
        armed: true,
        interval_s: Some(31),
        trouble: None,
    };
    let last = |view: &View| {
        let text = shown(view);
        let line = text.lines().find(|line| line.starts_with("WATCHDOG"));
        line.unwrap_or_default().to_owned()
    };
    view.watchdog = Some(watchdog.clone());
    assert_eq!(
        last(&view),
        "WATCHDOG  /dev/watchdog: armed, restarts this machine after 31 s without a heartbeat"
    );
    let text = shown(&view);
    assert!(
        text.starts_with("CRITICAL: groups of beta wait: beta not reset (3 tried): no route"),
        "{text}"
    );
    assert!(text.contains("\nFENCING\n  external/ipmi: resets beta\n  beta is dead: not reset"));
    watchdog.interval_s = None;
    view.watchdog = Some(watchdog.clone());
    assert_eq!(
        last(&view),
        "WATCHDOG  /dev/watchdog: armed, its interval is not known"
    );
    watchdog.trouble = Some("cannot be opened: no such file".to_owned());
    view.watchdog = Some(watchdog);
    assert_eq!(
        last(&view),
        "WATCHDOG  /dev/watchdog: CRIT: cannot be opened: no such file"
    );
    assert!(shown(&view).contains("CRITICAL: watchdog: cannot be opened"));
}

#[test]
fn the_lease_is_one_line() {
    let mut view = healthy();
    let mut lease = LeaseReport {
        seconds: 2,
        renewed: vec!["10.0.0.1".to_owned(), "fd00::1".to_owned()],
        ..LeaseReport::default()
    };
    let last = |view: &View| {
        let text = shown(view);
        let mut lines = text.lines();
        lines.find(|it| it.starts_with("LEASE")).unwrap().to_owned()
    };
    view.lease = Some(lease.clone());
    assert_eq!(last(&view), "LEASE  2 s; 10.0.0.1, fd00::1: renewed");
    assert!(shown(&view).starts_with("OK"));
    lease.renewed.clear();
    lease.ran_out = vec!["10.0.0.1".to_owned()];
    lease.without = vec!["fd00::1".to_owned()];
    view.lease = Some(lease);
    assert_eq!(
        last(&view),
        "LEASE  2 s; 10.0.0.1: RAN OUT; fd00::1: NO LEASE: systole doctor"
    );
    assert!(shown(&view).contains("WARNING: fd00::1 has no lease: systole doctor"));
}

#[test]
fn a_time_of_another_day_has_its_date() {
    assert_eq!(at(0).len(), "12:15:00".len());
    assert_eq!(at(9 * 86_400).len(), "2026-03-05 12:15".len());
    let mut view = healthy();
    view.groups[1].changed_unix_s = None;
    assert!(shown(&view).contains(&format!("runs on alpha since before {}\n", at(200))));
    view.groups[1].owner = "beta".to_owned();
    assert!(shown(&view).contains("; its owner is beta\n"));
}

/// More than two nodes, without resources.
#[test]
fn of_more_nodes_each_has_a_line() {
    let mut view = healthy();
    let node = view.node.as_mut().unwrap();
    let gamma = PeerReport {
        receives_this_node: Some(false),
        ..peer("gamma", "active", &[("eth0", true), ("eth1", false)])
    };
    node.nodes.push(gamma);
    node.rscstatus = None;
    view.groups.clear();
    let text = shown(&view);
    assert!(
        text.contains("\n  gamma  eth0 yes  eth1 NO, never  does NOT hear alpha\n"),
        "{text}"
    );
    assert!(text.contains("  alpha  active  this node, resources are not managed, since "));
    assert!(!text.contains("LAST MOVE"));
}
