//! All kinds of media at once. Links are pulled one after another in random order, down to one, and plugged again: as long as
//! one is left nothing moves. The plan is drawn from a printed seed (`EVERY_MEDIUM_SEED`); `EVERY_MEDIUM_SECONDS` is the time
//! that it takes, ten minutes if nothing else is said.

use std::io::Write as _;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use super::history::{assert_never_two_owners, count};
use super::host::Kind;
use super::ipv6::addresses_settle;
use super::null_modem::NullModem;
use super::pair::{ADDRESS_1, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

const PORT: &str = "/run/ttyS0";
const LINKS: [&str; 6] = ["eth0", "eth1", "eth2", "eth3", "eth4", PORT];
const MEDIA: &str = "bcast eth0
ucast eth1 @PEER1@
mcast eth2 239.0.0.42 694 1 0
ucast6 eth3 @PEER6_3@
mcast6 eth4 ff02::42 1694 1 0
baud 19200
serial /run/ttyS0";

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Nothing has moved, and nobody was declared dead.
fn stays(pair: &Pair, when: &str) {
    for node in NODES {
        let peer = Pair::peer(node);
        let dead = pair.log_count(node, &format!("node {peer}: is dead"));
        assert_eq!(dead, 0, "{when}: {}", pair.lab.log(node));
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"], "{when}");
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0, "{when}");
}

fn links_pulled(kinds: [Kind; 2]) {
    let seconds = number("EVERY_MEDIUM_SECONDS").unwrap_or(600);
    let seed = number("EVERY_MEDIUM_SEED").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(1, |since| since.as_secs())
    });
    let note = |text: String| {
        let _ = writeln!(std::io::stderr(), "every medium, {kinds:?}: {text}");
    };
    note(format!("EVERY_MEDIUM_SEED={seed} for {seconds} s"));
    let mut rng = StdRng::seed_from_u64(seed);
    let mut config = PairConfig::new(kinds);
    config.nets = 5;
    config.media = MEDIA.into();
    config.times = "keepalive 500ms\nwarntime 1500ms\ndeadtime 3\ninitdead 10\n".into();
    let pair = Pair::new(config);
    for node in NODES {
        pair.lab.sh(node, "ip route add 239.0.0.42/32 dev eth2");
    }
    addresses_settle(&pair);
    let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    pair.start_settled();
    // At the end of one of the nodes.
    let plug = |link: usize, end: usize, plugged: bool| {
        if LINKS[link] == PORT {
            modem.plug(plugged);
        } else {
            pair.lab.link(NODES[end], LINKS[link], plugged);
        }
    };
    let wait = |link: usize, state: &str, times: usize| {
        for node in NODES {
            let peer = Pair::peer(node);
            let text = format!("Link {peer}:{} {state}.", LINKS[link]);
            pair.wait_log_count(node, &text, times);
        }
    };
    (0..LINKS.len()).for_each(|link| wait(link, "up", 1));
    let (begin, mut rounds) = (Instant::now(), [0_usize; LINKS.len()]);
    while begin.elapsed() < Duration::from_secs(seconds) {
        let mut order: Vec<usize> = (0..LINKS.len()).collect();
        order.shuffle(&mut rng);
        // One is left in every other round.
        let left = [1, 1, 2, 3][rng.random_range(0..4)];
        let (stay, pulled) = order.split_at(left);
        let named: Vec<&str> = stay.iter().map(|link| LINKS[*link]).collect();
        let when = format!("seed {seed}, after {:?}, left {named:?}", begin.elapsed());
        let mut ends = [0; LINKS.len()];
        for link in pulled {
            ends[*link] = rng.random_range(0..2);
            plug(*link, ends[*link], false);
            std::thread::sleep(Duration::from_millis(rng.random_range(0..1500)));
            stays(&pair, &when);
        }
        for link in pulled {
            rounds[*link] += 1;
            wait(*link, "dead", rounds[*link]);
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..4000)));
        stays(&pair, &when);
        let mut again = pulled.to_vec();
        again.shuffle(&mut rng);
        for link in &again {
            plug(*link, ends[*link], true);
            std::thread::sleep(Duration::from_millis(rng.random_range(0..1000)));
        }
        again
            .iter()
            .for_each(|link| wait(*link, "up", rounds[*link] + 1));
        stays(&pair, &when);
    }
    note(format!("pulled {rounds:?} times"));
    // The death of the owner is seen on all of them.
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

macro_rules! tests {
    ($($name:ident: $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: long tier"]
        fn $name() {
            run(concat!("every_medium::", stringify!($name)), $kinds, links_pulled)
        }
    )* };
}

tests! {
    long_links_pulled_systole_owner: SYSTOLE_OWNER;
    long_links_pulled_legacy_owner: LEGACY_OWNER;
    long_links_pulled_ours_ours: OURS_OURS;
}
