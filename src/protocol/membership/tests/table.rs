//! The table of docs/protocol/membership.md, 5: status of a node × event, row by row.

use super::harness::{Alone, beta_status, from_beta, name, settings, silent};
use crate::protocol::message::Message;
use crate::protocol::output::{Output, ResourceEvent};
use crate::protocol::status::NodeStatus::{self, Active, Dead, Init, Up};

/// Generation that beta is known by in every row but the first.
const KNOWN: u64 = 0x1000;

#[derive(Debug, Clone, Copy)]
enum Happens {
    /// A status of the known generation with the next number.
    Says(&'static str),
    /// The same, older than the last one.
    SaidLongAgo(&'static str),
    /// A status of the next generation.
    RestartsWith(&'static str),
    /// A status of the generation before.
    Replays(&'static str),
    /// Nothing is received for its dead time.
    FallsSilent,
    /// A `delnode` that names it.
    IsDeleted,
    /// A node list without it.
    IsNotInList,
}
use Happens::{FallsSilent, IsDeleted, IsNotInList, Replays, RestartsWith, SaidLongAgo, Says};

/// Puts beta into a status; gamma lives and speaks the node lists.
fn with_beta(status: NodeStatus) -> (Alone, u64) {
    let mut alone = Alone::started(&settings("alpha", &["alpha", "beta", "gamma"]));
    let mut seq = 0;
    let mut beta = |alone: &mut Alone, word: &str| {
        seq += 1;
        alone.hear(beta_status(word, KNOWN, seq));
    };
    match status {
        Init => beta(&mut alone, "init"),
        Up => beta(&mut alone, "up"),
        Active | Dead => beta(&mut alone, "active"),
        NodeStatus::Ping => unreachable!("beta is a member"),
    }
    gamma(&mut alone, 1, "status", |message| {
        message
            .with("st", "active")
            .with("dt", "36ee80")
            .with("protocol", "1")
    });
    gamma(&mut alone, 2, "repnodes", |message| {
        message.with("nodelist", "alpha beta gamma ")
    });
    assert!(alone.core.comm_up());
    if status == Dead {
        alone.run_to(silent(4000));
    }
    assert_eq!(beta_is(&alone), Some(status));
    (alone, seq)
}

fn gamma(
    alone: &mut Alone,
    seq: u64,
    kind: &str,
    fill: impl Fn(Message) -> Message,
) -> Vec<Output> {
    let message = Message::new(kind)
        .with("src", "gamma")
        .with("seq", &format!("{seq:x}"))
        .with("hg", "1")
        .with("ts", "6b00c61e");
    alone.hear(fill(message))
}

fn beta_is(alone: &Alone) -> Option<NodeStatus> {
    alone.core.node(&name("beta")).map(|node| node.status)
}

/// Before, what happens, after, living after, events for the resource core.
type Row = (
    NodeStatus,
    Happens,
    Option<NodeStatus>,
    usize,
    &'static [&'static str],
);

#[test]
fn every_row() {
    let rows: &[Row] = &[
        (Init, Says("init"), Some(Init), 2, &[]),
        (Init, Says("up"), Some(Up), 3, &["init>up"]),
        (Init, Says("active"), Some(Active), 3, &["init>active"]),
        (Init, RestartsWith("init"), Some(Init), 2, &["restart"]),
        (
            Init,
            RestartsWith("up"),
            Some(Up),
            3,
            &["restart", "init>up"],
        ),
        (Init, Replays("active"), Some(Init), 2, &[]),
        (Init, FallsSilent, Some(Dead), 2, &["dead"]),
        (Init, IsDeleted, Some(Init), 2, &[]),
        (Init, IsNotInList, None, 2, &[]),
        (Up, Says("init"), Some(Init), 2, &["up>init"]),
        (Up, Says("UP"), Some(Up), 3, &[]),
        (Up, Says("active"), Some(Active), 3, &["up>active"]),
        (Up, Says("dead"), Some(Up), 3, &[]),
        (Up, SaidLongAgo("init"), Some(Up), 3, &[]),
        (
            Up,
            RestartsWith("init"),
            Some(Init),
            2,
            &["restart", "up>init"],
        ),
        (Up, RestartsWith("up"), Some(Up), 3, &["restart"]),
        (Up, Replays("active"), Some(Up), 3, &[]),
        (Up, FallsSilent, Some(Dead), 2, &["dead"]),
        (Up, IsDeleted, Some(Up), 3, &[]),
        (Up, IsNotInList, Some(Up), 3, &[]),
        (Active, Says("init"), Some(Init), 2, &["active>init"]),
        (Active, Says("up"), Some(Up), 3, &["active>up"]),
        (Active, Says("active"), Some(Active), 3, &[]),
        (Active, Says("ping"), Some(Active), 3, &[]),
        (Active, SaidLongAgo("up"), Some(Active), 3, &[]),
        (
            Active,
            RestartsWith("init"),
            Some(Init),
            2,
            &["restart", "active>init"],
        ),
        (
            Active,
            RestartsWith("active"),
            Some(Active),
            3,
            &["restart"],
        ),
        (Active, Replays("init"), Some(Active), 3, &[]),
        (Active, FallsSilent, Some(Dead), 2, &["dead"]),
        (Active, IsDeleted, Some(Active), 3, &[]),
        (Active, IsNotInList, Some(Active), 3, &[]),
        (
            Dead,
            Says("active"),
            Some(Active),
            3,
            &["returned", "dead>active"],
        ),
        (Dead, Says("up"), Some(Up), 3, &["returned", "dead>up"]),
        (Dead, SaidLongAgo("active"), Some(Dead), 2, &[]),
        (
            Dead,
            RestartsWith("init"),
            Some(Init),
            2,
            &["restart dead", "dead>init"],
        ),
        (
            Dead,
            RestartsWith("active"),
            Some(Active),
            3,
            &["restart dead", "dead>active"],
        ),
        (Dead, Replays("active"), Some(Dead), 2, &[]),
        (Dead, FallsSilent, Some(Dead), 2, &[]),
        (Dead, IsDeleted, None, 2, &[]),
        (Dead, IsNotInList, None, 2, &[]),
    ];
    for (before, happens, after, living, events) in rows {
        let (mut alone, last) = with_beta(*before);
        let out = match *happens {
            Says(word) => alone.hear(beta_status(word, KNOWN, last + 1)),
            SaidLongAgo(word) => {
                // Number `last` is received again; for a living node it is missing first.
                if *before == Dead {
                    alone.hear(beta_status(word, KNOWN, last))
                } else {
                    alone.hear(beta_status(before.as_str(), KNOWN, last + 2));
                    alone.hear(beta_status(word, KNOWN, last + 1))
                }
            }
            RestartsWith(word) => alone.hear(beta_status(word, KNOWN + 1, 1)),
            Replays(word) => alone.hear(beta_status(word, KNOWN - 1, last + 1)),
            FallsSilent => alone.run_to(alone.now_ms + silent(4000)),
            IsDeleted => gamma(&mut alone, 3, "delnode", |message| {
                message.with("nodelist", "beta ")
            }),
            IsNotInList => gamma(&mut alone, 3, "repnodes", |message| {
                message.with("nodelist", "alpha gamma ")
            }),
        };
        let seen: Vec<String> =
            out.iter()
                .filter_map(|output| match output {
                    Output::Resource(ResourceEvent::NodeStatusChanged {
                        node, old, new, ..
                    }) if *node == name("beta") => Some(format!("{old}>{new}")),
                    Output::Resource(ResourceEvent::NodeRestarted { was_dead, .. }) => {
                        Some(if *was_dead { "restart dead" } else { "restart" }.to_owned())
                    }
                    Output::Resource(ResourceEvent::ReturnedAfterPartition { .. }) => {
                        Some("returned".to_owned())
                    }
                    Output::Resource(ResourceEvent::NodeDead { .. }) => Some("dead".to_owned()),
                    _ => None,
                })
                .collect();
        let row = format!("{before} {happens:?}");
        assert_eq!(seen, *events, "{row}");
        assert_eq!(beta_is(&alone), *after, "{row}");
        assert_eq!(alone.core.living_nodes(), *living, "{row}");
    }
}

/// Messages change their order on the way, the first that are received after a cut. The next status
/// may never come: a node that is received must not count as dead until then, and each status is a
/// sign of life.
#[test]
fn statuses_that_another_message_overtook_after_a_partition_count() {
    let (mut alone, seq) = with_beta(Dead);
    alone.hear(from_beta("resource", KNOWN, seq + 5));
    assert_eq!(beta_is(&alone), Some(Dead), "only a status says so");
    alone.hear(beta_status("up", KNOWN, seq + 3));
    assert_eq!(beta_is(&alone), Some(Up));
    alone.now_ms += 100;
    let heard = alone.now_ms;
    alone.hear(beta_status("active", KNOWN, seq + 4));
    assert_eq!(beta_is(&alone), Some(Active));
    // Only once: what was handled is a copy, and so is what was sent before.
    alone.now_ms += 100;
    for copy in [seq + 4, seq + 2] {
        let out = alone.hear(beta_status("up", KNOWN, copy));
        assert_eq!(beta_is(&alone), Some(Active), "{out:?}");
    }
    alone.run_to(heard + silent(4000) - 1);
    assert_eq!(beta_is(&alone), Some(Active), "its last word is life");
    alone.run_to(heard + silent(4000));
    assert_eq!(beta_is(&alone), Some(Dead));
}
