//! The client that is part of the daemon: admitted without a rule, and replaced by an outside
//! client.

use super::*;

fn sign_on_inside(bench: &mut Bench, id: u64) -> ClientId {
    let credentials = Credentials {
        pid: 17,
        uid: 0,
        gid: 0,
    };
    bench.registry.connected_inside(ClientId(id), credentials);
    bench.say(ClientId(id), sign_on(Some("ipfail"), 17, 0, 0));
    ClientId(id)
}

#[test]
fn no_rule_concerns_it() {
    let mut bench = Bench::new(settings());
    // From outside root is refused.
    let outside = bench.sign_on(1, "ipfail", 40, 0, 0);
    assert_eq!(
        bench.reason(outside).as_deref(),
        Some("client failed authorization")
    );
    let inside = sign_on_inside(&mut bench, 2);
    assert_eq!(bench.registry.is_signed_on(inside), Some(true));
    let heard = bench.heard(inside);
    let kinds: Vec<_> = heard.iter().filter_map(Message::kind).collect();
    assert_eq!(kinds, ["hbapi-clstat", "hbapi-resp"]);
    assert!(bench.registry.is_taken("ipfail"));
}

#[test]
fn an_admitted_client_from_outside_replaces_it() {
    let mut bench = Bench::new(settings());
    let inside = sign_on_inside(&mut bench, 1);
    bench.heard(inside);
    bench.sent.clear();
    // A client that is refused does not replace it.
    let refused = bench.sign_on(2, "ipfail", 41, 0, 0);
    assert!(bench.reason(refused).is_some());
    assert_eq!(bench.registry.is_signed_on(inside), Some(true));
    let outside = bench.sign_on(3, "ipfail", 42, HACLUSTER, HACLIENT);
    assert_eq!(bench.reason(outside), None);
    assert_eq!(bench.registry.is_signed_on(outside), Some(true));
    assert_eq!(bench.registry.is_signed_on(inside), None);
    assert_eq!(bench.heard(inside).last(), Some(&CLOSED));
    let told = bench.sent.iter().filter_map(|(_, m)| m.text("st"));
    assert_eq!(told.collect::<Vec<_>>(), ["leave", "join"]);
}

#[test]
fn does_not_push_one_from_outside_away() {
    let mut bench = Bench::new(settings());
    let outside = bench.sign_on(1, "ipfail", 42, HACLUSTER, HACLIENT);
    let inside = sign_on_inside(&mut bench, 2);
    assert_eq!(
        bench.reason(inside).as_deref(),
        Some("duplicate add request")
    );
    assert_eq!(bench.registry.is_signed_on(outside), Some(true));
}
