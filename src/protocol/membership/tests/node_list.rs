//! Node lists, operator commands and autojoin.

use super::harness::{Alone, at, beta_status, from_beta, name, notices, sent, settings, silent};
use crate::protocol::event::Origin;
use crate::protocol::field::{DEL_NODE_LIST, DEST, NODE, NODE_LIST, SITE, SRC, ST, WEIGHT};
use crate::protocol::group::{GroupKey, ResourceGroup};
use crate::protocol::message::Message;
use crate::protocol::name::NodeName;
use crate::protocol::output::{Output, ResourceEvent, Treatment};
use crate::protocol::settings::Autojoin;
use crate::protocol::status::NodeStatus;

const GEN: u64 = 0x1000;

fn names(alone: &Alone) -> Vec<String> {
    alone
        .core
        .nodes()
        .map(|node| node.name.to_string())
        .collect()
}

fn list(alone: &mut Alone, seq: u64, nodes: &str, deleted: &str) -> Vec<Output> {
    alone.hear(
        from_beta("repnodes", GEN, seq)
            .with(DEST, "alpha")
            .with(NODE_LIST, nodes)
            .with(DEL_NODE_LIST, deleted),
    )
}

fn inject(alone: &mut Alone, kind: &str, nodes: &str) -> Vec<Output> {
    let mut out = Vec::new();
    let message = Message::new(kind).with(NODE_LIST, nodes);
    alone
        .core
        .inject(Origin::Fifo, message, at(alone.now_ms), &mut out);
    out
}

#[test]
fn the_list_is_given_in_any_state() {
    let ask = |seq| from_beta("reqnodes", GEN, seq).with(DEST, "alpha");
    let mut waiting = Alone::started(&settings("alpha", &["alpha", "beta", "gamma"]));
    let mut active = Alone::active();
    for (alone, seq, nodes) in [
        (&mut waiting, 1, "alpha beta gamma "),
        (&mut active, 4, "alpha beta "),
    ] {
        let answer = sent(&alone.hear(ask(seq)), &[DEST, NODE_LIST, DEL_NODE_LIST]);
        assert!(
            answer.contains(&format!(
                "repnodes dest=beta nodelist={nodes} delnodelist= "
            )),
            "{answer:?}"
        );
    }
}

/// A legacy node is `active` with the answer, and then counts who else is. Of us it had heard nothing
/// yet: it took its groups without a question while we ran them.
#[test]
fn a_node_that_asks_for_the_list_hears_our_status_first() {
    let mut active = Alone::active();
    let answer = sent(
        &active.hear(from_beta("reqnodes", GEN, 4).with(DEST, "alpha")),
        &[ST],
    );
    let place = |kind: &str| answer.iter().position(|line| line.starts_with(kind));
    let (status, list) = (place("status st=active"), place("repnodes"));
    assert!(status.is_some() && status < list, "{answer:?}");
}

/// The only message to another node that counts here: an owner grants itself its group.
#[test]
fn an_answer_of_a_node_to_itself_is_reported() {
    let answer = |seq, to: &str| from_beta("ip-request-resp", GEN, seq).with(DEST, to);
    let told = |out: &[Output]| {
        let of_beta = |output: &&Output| matches!(output, Output::Resource(ResourceEvent::AnswersItself { node, .. }) if *node == name("beta"));
        out.iter().filter(of_beta).count()
    };
    let mut alone = Alone::active();
    assert_eq!(told(&alone.hear(answer(4, "beta"))), 1);
    assert_eq!(told(&alone.hear(answer(4, "beta"))), 0, "a second copy");
    assert_eq!(told(&alone.hear(answer(5, "gamma"))), 0);
    assert_eq!(
        told(&alone.hear(answer(6, "alpha"))),
        0,
        "an ordinary answer"
    );
}

#[test]
fn the_answerers_list_wins_but_never_over_the_living() {
    let mut alone = Alone::active();
    let out = list(&mut alone, 4, "alpha beta delta ", " ");
    assert_eq!(
        notices(&out),
        ["hb_add_one_node: Adding new node[delta] to configuration."]
    );
    assert_eq!(names(&alone), ["alpha", "beta", "delta"]);
    let out = list(&mut alone, 5, "alpha beta ", "delta ");
    assert_eq!(notices(&out), ["Node [delta] removed from configuration."]);
    assert!(out.contains(&Output::Deliver {
        message: Message::new("delnode").with(NODE, "delta"),
        treatment: Treatment::Keep
    }));
    assert_eq!(alone.core.deleted_nodes(), [name("delta")]);
    // Neither ourselves nor a living node is removed.
    let out = list(&mut alone, 6, "gamma ", " ");
    assert_eq!(
        notices(&out),
        [
            "hb_add_one_node: Adding new node[gamma] to configuration.",
            "remove_node: node beta is active. Cannot remove alive node"
        ]
    );
    assert_eq!(names(&alone), ["alpha", "beta", "gamma"]);
    assert!(alone.core.deleted_nodes().is_empty());
}

#[test]
fn lists_are_bounded() {
    let mut alone = Alone::active();
    let many: String = (0..101).map(|number| format!("n{number} ")).collect();
    let out = list(&mut alone, 4, &many, " ");
    assert!(notices(&out)[0].contains("refused"));
    let out = list(
        &mut alone,
        5,
        &format!("alpha beta {} ", "x".repeat(100)),
        " ",
    );
    assert!(notices(&out)[0].contains("refused"));
    assert_eq!(names(&alone), ["alpha", "beta"]);
    let ninety_nine: String = (0..99).map(|number| format!("n{number} ")).collect();
    list(&mut alone, 6, &ninety_nine, " ");
    assert_eq!(alone.core.nodes().count(), 100, "the table is full");
}

/// Neither an operator here nor one on the other node adds a third node to a pair that has groups.
#[test]
fn a_pair_with_groups_takes_no_third_node() {
    let mut with_groups = settings("alpha", &["alpha", "beta"]);
    with_groups.groups.push(ResourceGroup {
        key: GroupKey::new("web"),
        owner: name("alpha"),
        resources: vec!["web".to_owned()],
    });
    let mut alone = Alone::started(&with_groups);
    let out = inject(&mut alone, "addnode", "gamma ");
    assert!(notices(&out)[0].contains("Pacemaker"), "{out:?}");
    assert!(
        !sent(&out, &[NODE_LIST])
            .iter()
            .any(|line| line.starts_with("addnode")),
        "told to nobody: {out:?}"
    );
    let out = alone.hear(from_beta("addnode", GEN, 1).with(NODE_LIST, "gamma "));
    let named = |line: &String| line.contains("gamma");
    assert!(notices(&out).iter().any(named), "{out:?}");
    assert_eq!(names(&alone), ["alpha", "beta"]);
    // A messaging layer without groups accepts it.
    with_groups.manage_resources = false;
    let mut layer = Alone::started(&with_groups);
    inject(&mut layer, "addnode", "gamma ");
    assert_eq!(names(&layer), ["alpha", "beta", "gamma"]);
}

#[test]
fn nodes_are_added_and_deleted_by_operators() {
    let mut alone = Alone::active();
    inject(&mut alone, "addnode", "gamma delta ");
    assert_eq!(names(&alone), ["alpha", "beta", "gamma", "delta"]);
    assert_eq!(
        notices(&inject(&mut alone, "addnode", "gamma")).len(),
        1,
        "known already"
    );
    let out = inject(&mut alone, "delnode", "beta ");
    assert_eq!(notices(&out), ["deletion failed: node beta is not dead"]);
    let out = inject(&mut alone, "delnode", "gamma ");
    assert_eq!(notices(&out), ["deletion failed: node gamma is not dead"]);
    // After their dead time they are declared dead like any node.
    for ms in [1_000, 2_000, 3_000] {
        alone.run_to(ms);
        alone.hear(beta_status("active", GEN, 3 + ms / 1_000));
    }
    let out = alone.run_to(silent(4_000));
    assert!(out.iter().any(|output| matches!(
        output,
        Output::Resource(ResourceEvent::NodeDead { node, heard: false, .. }) if *node == name("gamma")
    )));
    let out = inject(&mut alone, "delnode", "gamma ");
    assert_eq!(
        notices(&out),
        [
            "HBDoMsg_T_DELNODE: deletion failed. We don't have all required nodes alive (delta is dead)"
        ]
    );
    inject(&mut alone, "delnode", "gamma delta nobody ");
    assert_eq!(names(&alone), ["alpha", "beta"]);
    assert_eq!(alone.core.deleted_nodes(), [name("gamma"), name("delta")]);
    let out = inject(&mut alone, "delnode", "alpha ");
    assert!(out.contains(&Output::Resource(ResourceEvent::Deleted)));
}

#[test]
fn weights_and_sites_are_kept() {
    let mut alone = Alone::active();
    alone.hear(
        from_beta("setweight", GEN, 4)
            .with(NODE, "beta")
            .with(WEIGHT, "55"),
    );
    alone.hear(
        from_beta("setsite", GEN, 5)
            .with(NODE, "beta")
            .with(SITE, "mysite"),
    );
    alone.hear(
        from_beta("setweight", GEN, 6)
            .with(NODE, "beta")
            .with(WEIGHT, "heavy"),
    );
    alone.hear(
        from_beta("setsite", GEN, 7)
            .with(NODE, "beta")
            .with(SITE, &"x".repeat(256)),
    );
    let beta = alone.core.node(&name("beta")).unwrap();
    assert_eq!((beta.weight, beta.site), (55, "mysite"));
}

#[test]
fn autojoin_adds_any_sender_and_announces_it_at_its_second_status() {
    let mut settings = settings("alpha", &["alpha"]);
    settings.autojoin = Autojoin::Any;
    let mut alone = Alone::started(&settings);
    let out = alone.hear(beta_status("up", GEN, 1));
    assert_eq!(
        notices(&out),
        ["hb_add_one_node: Adding new node[beta] to configuration."]
    );
    let beta = |alone: &Alone| {
        let beta: NodeName = name("beta");
        alone.core.node(&beta).unwrap().status
    };
    assert_eq!(
        beta(&alone),
        NodeStatus::Init,
        "the message itself is not taken"
    );
    alone.hear(beta_status("up", GEN, 2));
    assert_eq!(beta(&alone), NodeStatus::Init, "held back");
    alone.hear(beta_status("up", GEN, 3));
    assert_eq!(beta(&alone), NodeStatus::Up);
    let mut upper = beta_status("up", GEN, 1);
    upper.set_text(SRC, "Gamma");
    alone.hear(upper);
    assert_eq!(names(&alone), ["alpha", "beta"], "names are lower case");
    assert_eq!(sent(&alone.run_to(500), &["ttl"]), ["status ttl=3"]);
}
