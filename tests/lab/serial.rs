//! Heartbeats over a serial line, alone and beside a network, through a null modem at the speed of the line.

use std::time::{Duration, Instant};

use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::null_modem::NullModem;
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::panics::fail;
use super::{LEGACY_LEGACY, LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// The port of both hosts.
const PORT: &str = "/run/ttyS0";

/// Times for a line of that speed: it is to be at most a quarter full of heartbeats, which have 240 bytes.
fn times(baud: u32) -> &'static str {
    if baud < 19_200 {
        "keepalive 1\nwarntime 3\ndeadtime 5\ninitdead 12\n"
    } else {
        "keepalive 500ms\nwarntime 1500ms\ndeadtime 3\ninitdead 10\n"
    }
}

fn pair(kinds: [Kind; 2], baud: u32, beside: &str) -> Pair {
    let mut config = PairConfig::new(kinds).with_failback("on");
    config.media = format!("baud {baud}\nserial {PORT}\n{beside}");
    config.times = times(baud).into();
    Pair::new(config)
}

fn start_settled(pair: &Pair) {
    pair.start_settled();
    for node in NODES {
        let peer = Pair::peer(node);
        pair.wait_log(node, &format!("Link {peer}:{PORT} up."));
    }
}

/// A stop that is over: the last message has left the line, and the process has ended.
fn stop(pair: &Pair, node: &str) {
    pair.stop(node);
    wait_until(LONG, "the daemon is gone", || {
        pair.lab.sh(node, "pgrep heartbeat").is_empty()
    });
}

/// The last message of node1 arrived: its group was taken before it was declared dead, as every silent node is.
fn taken_after_the_notice(pair: &Pair) {
    let log = pair.lab.log("node2");
    assert!(
        log.contains("Received shutdown notice from 'node1'."),
        "{log}"
    );
    let taken = log.find("Resources being acquired from node1");
    let dead = log.find("node node1: is dead");
    assert!(
        taken.is_some() && dead.is_none_or(|dead| taken < Some(dead)),
        "{log}"
    );
}

fn deaths(pair: &Pair) -> usize {
    NODES
        .iter()
        .map(|node| pair.log_count(node, "is dead"))
        .sum()
}

/// A group moves by a command, by a stop and back, and by a power cut, with nothing but the line.
fn alone(kinds: [Kind; 2], baud: u32) {
    let pair = pair(kinds, baud, "");
    let _modem = NullModem::between(&pair.lab, NODES, PORT, baud);
    start_settled(&pair);
    pair.obeys("hb_standby all", ADDRESS_1, "node2");
    pair.wait_holds("node1", "none");
    pair.wait_holds("node2", "all");
    pair.obeys("hb_takeover local", ADDRESS_1, "node1");
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    stop(&pair, "node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    taken_after_the_notice(&pair);
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    // The other node was down, perhaps for longer than its dead time.
    assert_eq!(pair.log_count("node1", "is dead"), 0);
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "node node1: is dead");
    assert_never_two_owners(&pair.lab);
}

/// Each medium pulled and plugged in turn: no takeover while one is left.
fn beside_bcast(kinds: [Kind; 2]) {
    let pair = pair(kinds, 19_200, "bcast eth0");
    let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    start_settled(&pair);
    let links = |device: &str, state: &str, times: usize| {
        for node in NODES {
            let peer = Pair::peer(node);
            pair.wait_log_count(node, &format!("Link {peer}:{device} {state}."), times);
        }
    };
    modem.plug(false);
    links(PORT, "dead", 1);
    modem.plug(true);
    links(PORT, "up", 2);
    pair.lab.link("node2", "eth0", false);
    links("eth0", "dead", 1);
    pair.lab.link("node2", "eth0", true);
    links("eth0", "up", 2);
    assert_eq!(deaths(&pair), 0);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
    // Then the owner dies, and the other node sees it on both.
    pair.lab.power_off("node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// An adapter is pulled and comes back under the old name, with another device behind it.
fn port_goes_and_comes(kinds: [Kind; 2]) {
    let pair = pair(kinds, 19_200, "bcast eth0");
    let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    start_settled(&pair);
    modem.pull_port(1);
    pair.wait_log("node2", &format!("serial {PORT}: port failed"));
    pair.wait_log("node1", &format!("Link node2:{PORT} dead."));
    modem.plug_port(1);
    for node in NODES {
        let peer = Pair::peer(node);
        pair.wait_log_count(node, &format!("Link {peer}:{PORT} up."), 2);
    }
    assert_eq!(deaths(&pair), 0);
}

/// A line that takes nothing: heartbeats on the network are not late, commands are obeyed, and the line works afterwards.
fn stuck_line(kinds: [Kind; 2]) {
    let pair = pair(kinds, 9600, "bcast eth0");
    let modem = NullModem::between(&pair.lab, NODES, PORT, 9600);
    start_settled(&pair);
    modem.take(false);
    for node in NODES {
        let peer = Pair::peer(node);
        pair.wait_log(node, &format!("Link {peer}:{PORT} dead."));
    }
    pair.operator("node1", "hb_standby all");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    modem.take(true);
    for node in NODES {
        let peer = Pair::peer(node);
        pair.wait_log_count(node, &format!("Link {peer}:{PORT} up."), 2);
        assert_eq!(
            pair.log_count(node, "Late heartbeat"),
            0,
            "{}",
            pair.lab.log(node)
        );
    }
    assert_eq!(deaths(&pair), 0);
    assert_never_two_owners(&pair.lab);
}

/// What a node of ours may say about a bad line, at a limited rate.
fn is_about_the_line(text: &str) -> bool {
    [
        "bad packet",
        "string2msg_ll",
        "auth token",
        "Invalid authentication",
        "lines suppressed",
    ]
    .iter()
    .any(|known| text.contains(known))
}

fn nothing_but_counted_lines(pair: &Pair) {
    for node in NODES.into_iter().filter(|node| pair.kind(node).is_ours()) {
        let log = pair.lab.log(node);
        let loud = log
            .lines()
            .filter(|line| line.contains(" ERROR: ") || line.contains(" CRIT: "));
        let loud: Vec<_> = loud.filter(|line| !is_about_the_line(line)).collect();
        assert!(loud.is_empty(), "{node}: {loud:#?}");
        let about = log.lines().filter(|line| is_about_the_line(line)).count();
        assert!(about < 200, "{node}: {about} lines");
    }
}

/// Random bytes at the speed of the line beside what the nodes send, while a network is there.
fn noise(kinds: [Kind; 2], time: Duration) {
    let pair = pair(kinds, 19_200, "bcast eth0");
    let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    start_settled(&pair);
    let before = modem.carried(0);
    modem.noise(true);
    std::thread::sleep(time);
    modem.noise(false);
    let noise = modem.carried(0) - before;
    assert!(noise > 1000 * time.as_secs(), "{noise} bytes");
    assert_eq!(deaths(&pair), 0, "{}", pair.lab.log("node1"));
    // The line is as good as before.
    pair.lab.link("node2", "eth0", false);
    pair.wait_log("node1", "Link node2:eth0 dead.");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(deaths(&pair), 0, "{}", pair.lab.log("node1"));
    nothing_but_counted_lines(&pair);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

/// One message after another is cut in the middle; the one behind it arrives.
fn cut_in_the_middle(kinds: [Kind; 2], times: u32) {
    let pair = pair(kinds, 19_200, "");
    let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    start_settled(&pair);
    let begin = Instant::now();
    for _ in 0..times {
        modem.cut_messages(1);
        wait_until(LONG, "a message of each node is cut", || {
            modem.cuts_left() == 0
        });
        // A heartbeat gets through before the next one is cut.
        std::thread::sleep(Duration::from_millis(1000));
    }
    assert_eq!(
        deaths(&pair),
        0,
        "after {:?}: {}",
        begin.elapsed(),
        pair.lab.log("node1")
    );
    nothing_but_counted_lines(&pair);
    stop(&pair, "node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    taken_after_the_notice(&pair);
    assert_never_two_owners(&pair.lab);
}

/// Clients write more than the line carries for ten seconds: the heartbeats arrive.
fn flood(kinds: [Kind; 2]) {
    let pair = pair(kinds, 9600, "");
    let _modem = NullModem::between(&pair.lab, NODES, PORT, 9600);
    start_settled(&pair);
    let ours = NODES.into_iter().find(|node| pair.kind(node).is_ours());
    let node = ours.expect("one is ours");
    // The pipe for scripts: a message of two kilobytes, fifty times a second.
    let filler = "x".repeat(400);
    let script = format!(
        "for i in $(seq 500); do printf '>>>\\nt=chatter\\nfrom_id=1\\nn='$i'\\na={filler}\\nb={filler}\\nc={filler}\\nd={filler}\\n<<<\\n' \
         >/var/lib/heartbeat/fifo; sleep 0.02; done"
    );
    assert_eq!(pair.lab.sh(node, &script), "");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(deaths(&pair), 0, "{}", pair.lab.log(Pair::peer(node)));
    stop(&pair, "node1");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// The network is cut while a message is on its way that the line cannot carry: the other node asks for it until it is told
/// that it does not come, and then everything is acknowledged again. The next one is refused to its client.
fn too_large_for_the_line(kinds: [Kind; 2]) {
    let pair = pair(kinds, 19_200, "bcast eth0\napiauth large uid=root");
    let _modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    start_settled(&pair);
    let client = pair.lab.shared().join("large.py");
    std::fs::write(&client, include_str!("programs/large.py")).expect("client");
    let once = |kib: u32| {
        let words = format!("timeout 20 python3 {} once {kib} node2", client.display());
        pair.lab.sh("node1", &words)
    };
    assert_eq!(once(20).trim(), "not refused");
    pair.lab.link("node2", "eth0", false);
    // Both believe in the link yet.
    assert_eq!(once(20).trim(), "not refused");
    for node in NODES {
        pair.wait_log(node, &format!("Link {}:eth0 dead.", Pair::peer(node)));
    }
    pair.wait_log(
        "node1",
        "too long for every medium on which the node is received",
    );
    pair.wait_log("node2", "No pkts missing from node1!");
    assert_eq!(once(20).trim(), "refused EMSGSIZE");
    assert_eq!(once(0).trim(), "not refused");
    assert_eq!(deaths(&pair), 0);
    pair.lab.link("node2", "eth0", true);
    for node in NODES {
        pair.wait_log_count(node, &format!("Link {}:eth0 up.", Pair::peer(node)), 2);
    }
    assert_eq!(once(20).trim(), "not refused");
}

/// A fault of the port's actor, a restart in place and a sudden death of the owner, with nothing but the line: nothing moves.
fn goes_on(kinds: [Kind; 2]) {
    let pair = pair(kinds, 9600, "");
    let _modem = NullModem::between(&pair.lab, NODES, PORT, 9600);
    start_settled(&pair);
    assert!(fail(&pair, Some(&format!("medium {PORT}"))).is_some());
    pair.wait_log("node1", "actor panicked");
    pair.wait_log_count("node1", "Starting serial heartbeat on tty", 2);
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    let daemon = pair.daemon("node1");
    let output = pair.lab.exec("node1", &["setsid", &daemon, "-r"]);
    assert!(output.status.success(), "reload: {output:?}");
    pair.wait_log("node2", "Heartbeat restart on node node1");
    pair.wait_log_count("node1", "Local status now set to: 'active'", 2);
    pair.wait_holds("node1", "local");
    assert_eq!(deaths(&pair), 0);
    assert_eq!(
        pair.lab.sh("node1", "kill -9 $(cat /run/heartbeat.pid)"),
        ""
    );
    pair.wait_log_count("node1", "Local status now set to: 'active'", 3);
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(deaths(&pair), 0, "{}", pair.lab.log("node2"));
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
}

/// What the line carries when clients of both nodes write more, for docs/performance.md: bytes a second, and the longest time
/// between two heartbeats.
fn figures(kinds: [Kind; 2], baud: u32) {
    let mut config = PairConfig::new(kinds);
    config.media = format!("baud {baud}\nserial {PORT}");
    config.times = "keepalive 1\nwarntime 10\ndeadtime 30\ninitdead 30\n".into();
    let pair = Pair::new(config);
    let modem = NullModem::between(&pair.lab, NODES, PORT, baud);
    start_settled(&pair);
    let carried = [modem.carried(1), modem.carried(0)];
    let begin = Instant::now();
    for index in 0..2 {
        modem.take_beats(index);
    }
    let filler = "x".repeat(400);
    let script = format!(
        "(for i in $(seq 1000); do printf '>>>\\nt=chatter\\nfrom_id=1\\nn='$i'\\na={filler}\\nb={filler}\\n<<<\\n' \
         >/var/lib/heartbeat/fifo; sleep 0.02; done) </dev/null >/dev/null 2>&1 &"
    );
    for node in NODES {
        pair.lab.sh(node, &script);
    }
    std::thread::sleep(Duration::from_secs(25));
    let time = begin.elapsed().as_secs_f64();
    for (index, node) in NODES.into_iter().enumerate() {
        let bytes = modem.carried(1 - index) - carried[index];
        let mut beats = vec![begin];
        beats.extend(modem.take_beats(index));
        beats.push(Instant::now());
        let longest = beats.windows(2).map(|pair| pair[1] - pair[0]).max();
        let longest = longest.expect("two at least");
        let count = beats.len() - 2;
        eprintln!(
            "figures: {baud} baud, {:?}: {:.0} bytes/s, {count} heartbeats in {time:.0} s, {} ms at most between two",
            pair.kind(node),
            bytes as f64 / time,
            longest.as_millis()
        );
        if pair.kind(node).is_ours() {
            assert!(longest < Duration::from_secs(10), "{longest:?}");
        }
    }
}

/// From a power cut to the end of the takeover, with nothing but the line.
fn failover_time(kinds: [Kind; 2]) {
    let pair = pair(kinds, 19_200, "");
    let modem = NullModem::between(&pair.lab, NODES, PORT, 19_200);
    start_settled(&pair);
    // A legacy node announces a longer dead time in its first five seconds.
    std::thread::sleep(Duration::from_secs(6));
    pair.lab.power_off("node1");
    let last = modem.take_beats(0).pop().expect("heartbeats");
    pair.wait_owner("node2", ADDRESS_1, "a");
    eprintln!(
        "figures: failover of {:?} over 19200 baud, deadtime 3 s: {} ms after the last heartbeat",
        pair.kind("node2"),
        last.elapsed().as_millis()
    );
}

/// Makes a test of each line.
macro_rules! lines {
    ($($name:ident: $kinds:ident |$pair:ident| $scenario:expr;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("serial::", stringify!($name)), $kinds, |$pair| $scenario);
        }
    )* };
}

lines! {
    alone_9600_systole_owner: SYSTOLE_OWNER |kinds| alone(kinds, 9600);
    alone_19200_legacy_owner: LEGACY_OWNER |kinds| alone(kinds, 19_200);
    alone_9600_ours_ours: OURS_OURS |kinds| alone(kinds, 9600);
    long_alone_19200_systole_owner: SYSTOLE_OWNER |kinds| alone(kinds, 19_200);
    long_alone_9600_legacy_owner: LEGACY_OWNER |kinds| alone(kinds, 9600);
    long_alone_19200_ours_ours: OURS_OURS |kinds| alone(kinds, 19_200);
    beside_bcast_systole_owner: SYSTOLE_OWNER |kinds| beside_bcast(kinds);
    long_beside_bcast_legacy_owner: LEGACY_OWNER |kinds| beside_bcast(kinds);
    beside_bcast_ours_ours: OURS_OURS |kinds| beside_bcast(kinds);
    port_goes_and_comes_ours_ours: OURS_OURS |kinds| port_goes_and_comes(kinds);
    long_port_goes_and_comes_legacy_owner: LEGACY_OWNER |kinds| port_goes_and_comes(kinds);
    stuck_line_ours_ours: OURS_OURS |kinds| stuck_line(kinds);
    noise_for_a_while_ours_ours: OURS_OURS |kinds| noise(kinds, Duration::from_secs(5));
    long_noise_for_a_minute_ours_ours: OURS_OURS |kinds| noise(kinds, Duration::from_secs(60));
    long_noise_for_a_minute_systole_owner: SYSTOLE_OWNER |kinds| noise(kinds, Duration::from_secs(60));
    long_noise_for_a_minute_legacy_owner: LEGACY_OWNER |kinds| noise(kinds, Duration::from_secs(60));
    cut_in_the_middle_ours_ours: OURS_OURS |kinds| cut_in_the_middle(kinds, 5);
    long_cut_in_the_middle_ours_ours: OURS_OURS |kinds| cut_in_the_middle(kinds, 100);
    long_cut_in_the_middle_systole_owner: SYSTOLE_OWNER |kinds| cut_in_the_middle(kinds, 100);
    long_cut_in_the_middle_legacy_owner: LEGACY_OWNER |kinds| cut_in_the_middle(kinds, 100);
    goes_on_systole_owner: SYSTOLE_OWNER |kinds| goes_on(kinds);
    long_goes_on_ours_ours: OURS_OURS |kinds| goes_on(kinds);
    long_figures_9600: SYSTOLE_OWNER |kinds| figures(kinds, 9600);
    long_figures_19200: SYSTOLE_OWNER |kinds| figures(kinds, 19_200);
    long_figures_failover: OURS_OURS |kinds| failover_time(kinds);
    long_figures_failover_legacy: LEGACY_LEGACY |kinds| failover_time(kinds);
    flood_ours_ours: OURS_OURS |kinds| flood(kinds);
    too_large_for_the_line_systole_owner: SYSTOLE_OWNER |kinds| too_large_for_the_line(kinds);
}
