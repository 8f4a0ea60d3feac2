//! Heartbeats and service addresses over IPv6, beside a legacy node wherever it can.

use super::history::assert_never_two_owners;
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{LEGACY_LEGACY, LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// The service address, as the kernel writes it.
const ADDRESS: &str = "fd77::64";
/// The same in haresources: legacy splits a word at `::`.
const WORD: &str = "IPv6addr::fd77:0:0:0:0:0:0:64/64/eth0";

/// Waits until the kernel has checked the link-local addresses: a multicast is sent from one.
pub fn addresses_settle(pair: &Pair) {
    for node in NODES {
        wait_until(LONG, "no address is tentative", || {
            pair.lab.sh(node, "ip -6 -o addr show tentative").is_empty()
        });
    }
}

/// A stop that is over: the process has ended.
fn stop(pair: &Pair, node: &str) {
    pair.stop(node);
    wait_until(LONG, "the daemon is gone", || {
        pair.lab.sh(node, "pgrep heartbeat").is_empty()
    });
}

/// A group of `address` and `a` moves by commands, by a stop and back, and by a power cut.
fn moves(pair: &Pair, address: &str) {
    let settled = |owner: &'static str| {
        pair.wait_owner(owner, address, "a");
        if owner == "node1" {
            pair.wait_holds("node1", "local");
            pair.wait_holds("node2", "local");
        } else {
            pair.wait_holds("node2", "all");
        }
        let ask = format!("ping -c 1 -W 1 {address}");
        wait_until(LONG, "the address answers", || {
            let words: Vec<&str> = ask.split(' ').collect();
            pair.lab.exec("client", &words).status.success()
        });
    };
    settled("node1");
    pair.obeys("hb_standby all", address, "node2");
    settled("node2");
    pair.obeys("hb_takeover local", address, "node1");
    settled("node1");
    stop(pair, "node1");
    settled("node2");
    pair.start("node1");
    settled("node1");
    pair.lab.power_off("node1");
    settled("node2");
    pair.wait_log("node2", "node node1: is dead");
    assert_never_two_owners(&pair.lab);
}

/// Nothing but this medium.
fn alone(kinds: [Kind; 2], media: &str) {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.media = media.into();
    let pair = Pair::new(config);
    for node in NODES {
        // Link-local addresses that both nodes know before the start.
        let number = &node[4..];
        let peer = &Pair::peer(node)[4..];
        let add = format!(
            "ip addr add fe80::7:{number}/64 dev eth0 nodad; sed -i s/@PEER6_LOCAL@/fe80::7:{peer}/ /etc/ha.d/ha.cf"
        );
        assert_eq!(pair.lab.sh(node, &add), "");
    }
    addresses_settle(&pair);
    pair.start_both();
    pair.wait_active();
    for node in NODES {
        let peer = Pair::peer(node);
        pair.wait_log(node, &format!("Link {peer}:eth0 up."));
    }
    moves(&pair, ADDRESS_1);
    for node in NODES {
        let peer = Pair::peer(node);
        let log = pair.lab.log(node);
        assert!(!log.contains(&format!("bad node [{peer}]")), "{log}");
    }
}

fn ucast6(kinds: [Kind; 2]) {
    alone(kinds, "ucast6 eth0 @PEER6_0@");
}

fn ucast6_link_local(kinds: [Kind; 2]) {
    alone(kinds, "ucast6 eth0 @PEER6_LOCAL@");
}

fn mcast6(kinds: [Kind; 2]) {
    alone(kinds, "mcast6 eth0 ff02::42 694 1 0");
}

fn with_address(kinds: [Kind; 2]) -> Pair {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.resources = format!("node1 {WORD} dummy::a\n");
    let pair = Pair::new(config);
    addresses_settle(&pair);
    pair.start_both();
    pair.wait_active();
    pair
}

fn address_moves(kinds: [Kind; 2]) {
    let pair = with_address(kinds);
    moves(&pair, ADDRESS);
}

/// The owner is stopped and started again at once, while the other node puts the address up: a legacy node looks for duplicates
/// meanwhile, and a question from `::` would be one. The address would be there, and answer nobody.
fn owner_is_back_while_the_address_is_checked(kinds: [Kind; 2]) {
    let pair = with_address(kinds);
    pair.wait_owner("node1", ADDRESS, "a");
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    // The check takes some seconds.
    let slowly = "echo 6 >/proc/sys/net/ipv6/conf/eth0/dad_transmits";
    assert_eq!(pair.lab.sh("node2", slowly), "");
    stop(&pair, "node1");
    pair.start("node1");
    let here = |node: &str| {
        let all = pair.lab.sh(node, "ip -6 -o addr show dev eth0");
        let line = all
            .lines()
            .find(|line| line.contains(&format!(" {ADDRESS}/")));
        line.map(str::to_owned)
    };
    wait_until(LONG, "the address is there, and checked", || {
        NODES.iter().any(|node| {
            let line = here(node).unwrap_or_default();
            assert!(!line.contains("dadfailed"), "{node}: {line}");
            !line.is_empty() && !line.contains("tentative")
        })
    });
    wait_until(LONG, "the address answers", || {
        let ask = ["ping", "-c", "1", "-W", "1", ADDRESS];
        pair.lab.exec("client", &ask).status.success()
    });
    assert_never_two_owners(&pair.lab);
}

macro_rules! tests {
    ($($name:ident: $kinds:ident $what:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("ipv6::", stringify!($name)), $kinds, $what)
        }
    )* };
}

tests! {
    ucast6_systole_owner: SYSTOLE_OWNER ucast6;
    ucast6_legacy_owner: LEGACY_OWNER ucast6;
    ucast6_ours_ours: OURS_OURS ucast6;
    mcast6_systole_owner: SYSTOLE_OWNER mcast6;
    mcast6_legacy_owner: LEGACY_OWNER mcast6;
    long_mcast6_ours_ours: OURS_OURS mcast6;
    long_ucast6_link_local_systole_owner: SYSTOLE_OWNER ucast6_link_local;
    long_ucast6_link_local_legacy_owner: LEGACY_OWNER ucast6_link_local;
    long_ucast6_link_local_ours_ours: OURS_OURS ucast6_link_local;
    address_moves_systole_owner: SYSTOLE_OWNER address_moves;
    address_moves_legacy_owner: LEGACY_OWNER address_moves;
    address_moves_ours_ours: OURS_OURS address_moves;
    long_address_moves_legacy_legacy: LEGACY_LEGACY address_moves;
    owner_is_back_while_the_address_is_checked_systole_owner: SYSTOLE_OWNER owner_is_back_while_the_address_is_checked;
    long_owner_is_back_while_the_address_is_checked_legacy_legacy: LEGACY_LEGACY owner_is_back_while_the_address_is_checked;
}
