//! Messages of clients from one to two hundred KiB, compressed in either style by either algorithm.

use std::collections::BTreeMap;
use std::fs;

use super::host::{Kind, wait_until};
use super::pair::{LONG, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

const CLIENT: &str = include_str!("programs/large.py");

/// The number of the message that no compression makes small enough for a datagram.
const REFUSED: &str = "10";

/// `number -> size and digest` of the lines about messages.
fn told(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines() {
        if let Some((number, rest)) = line
            .split_once(' ')
            .filter(|(n, _)| n.parse::<u8>().is_ok())
        {
            told.entry(number.to_owned())
                .or_default()
                .push(rest.to_owned());
        }
    }
    told
}

/// Each message from `from` arrives once and unchanged, or its client is told. A legacy node loses what is too large
/// for a datagram, and tells nobody.
fn each_arrives_or_is_refused(pair: &Pair, from: &str, style: &str) {
    let to = Pair::peer(from);
    let client = pair.lab.shared().join("large.py");
    fs::write(&client, CLIENT).expect("client");
    let client = client.display();
    let read = format!(
        "timeout 60 python3 -u {client} read >/run/large.read 2>&1 & sleep 1; cat /run/large.read"
    );
    pair.lab.sh(to, &format!("rm -f /run/large.read; {read}"));
    let written = pair.lab.sh(
        from,
        &format!("timeout 60 python3 -u {client} write {style} {to} 2>&1"),
    );
    let mut read = String::new();
    wait_until(LONG, "the reader has the last message", || {
        read = pair.lab.sh(to, "cat /run/large.read");
        read.contains("end")
    });
    let (sent, arrived) = (told(&written), told(&read));
    assert_eq!(sent.len(), 10, "{written}");
    for (number, message) in &sent {
        let refused = written.contains(&format!("refused large{number} EMSGSIZE"));
        let large = number == REFUSED;
        match arrived.get(number) {
            Some(twice) => assert_eq!(
                (twice, refused),
                (message, false),
                "{number}: {written}\n{read}"
            ),
            None if pair.kind(from) == Kind::Legacy => {
                let size = message[0]
                    .split(' ')
                    .next()
                    .and_then(|size| size.parse::<usize>().ok());
                assert!(size > Some(60_000), "{number}: {written}\n{read}");
            }
            None => assert!(
                refused && large,
                "{number}: {written}\n{read}\n{}",
                pair.lab.log(from)
            ),
        }
    }
    // Nothing of it disturbed the heartbeats.
    for node in [from, to] {
        assert_eq!(pair.log_count(node, "is dead"), 0, "{}", pair.lab.log(node));
    }
}

fn both_ways(kinds: [Kind; 2], algorithm: &str, traditional: bool) {
    let mut config = PairConfig::new(kinds);
    let traditional = if traditional { "yes" } else { "no" };
    config.times.push_str(&format!(
        "compression {algorithm}\ntraditional_compression {traditional}\napiauth large uid=root\n"
    ));
    let pair = Pair::new(config);
    pair.start_settled();
    let style = if traditional == "yes" {
        "text"
    } else {
        "struct"
    };
    for from in ["node1", "node2"] {
        each_arrives_or_is_refused(&pair, from, style);
    }
}

/// Makes a test per line.
macro_rules! large {
    ($($name:ident: $kinds:ident $algorithm:literal $traditional:literal;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("large::", stringify!($name)), $kinds, |kinds| {
                both_ways(kinds, $algorithm, $traditional);
            });
        }
    )* };
}

large! {
    systole_owner_zlib_whole: SYSTOLE_OWNER "zlib" true;
    legacy_owner_bz2_field: LEGACY_OWNER "bz2" false;
    ours_ours_bz2_whole: OURS_OURS "bz2" true;
    long_systole_owner_bz2_whole: SYSTOLE_OWNER "bz2" true;
    long_legacy_owner_zlib_field: LEGACY_OWNER "zlib" false;
    long_ours_ours_zlib_field: OURS_OURS "zlib" false;
}
