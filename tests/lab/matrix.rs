//! {pair kind} x {medium} x {authentication}: both active, every configured link up, one owner.

use super::host::Kind;
use super::pair::{ADDRESS_1, NODES, Pair, PairConfig};

/// Media lines on two networks, by name.
fn media(medium: &str) -> &'static str {
    match medium {
        "bcast" => "bcast eth0 eth1",
        "mcast" => "mcast eth0 239.0.0.42 694 1 0\nmcast eth1 239.0.0.43 694 1 0",
        "ucast" => "ucast eth0 @PEER0@\nucast eth1 @PEER1@",
        other => panic!("no medium {other}"),
    }
}

/// `authkeys` lines, by method.
fn auth(method: &str) -> &'static str {
    match method {
        "crc" => "auth 1\n1 crc\n",
        "md5" => "auth 2\n1 sha1 unused\n2 md5 a-key-of-the-lab\n",
        "sha1" => "auth 3\n1 crc\n2 md5 unused\n3 sha1 another-key\n",
        other => panic!("no method {other}"),
    }
}

/// One cell of the matrix.
pub fn cell(kinds: [Kind; 2], medium: &str, method: &str) {
    let mut config = PairConfig::new(kinds).with_two_cables();
    config.media = media(medium).into();
    config.auth = auth(method).into();
    let pair = Pair::new(config);
    for node in NODES {
        // A multicast group per network needs a route per network.
        pair.lab.sh(node, "ip route add 239.0.0.43/32 dev eth1");
    }
    pair.start_settled();
    for node in NODES {
        let peer = Pair::peer(node);
        for device in ["eth0", "eth1"] {
            pair.wait_log(node, &format!("Link {peer}:{device} up."));
            assert_eq!(
                pair.log_count(node, &format!("Link {peer}:{device} dead.")),
                0
            );
        }
        assert_eq!(pair.log_count(node, "is dead"), 0);
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}
