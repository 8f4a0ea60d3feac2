//! The watchdog device, with a stand-in for it: a named pipe whose reader records what it is given, and
//! cuts the power of the host when nothing comes for the interval.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::death::{pid, wait_guardian};
use super::history::{assert_never_two_owners, calls, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};
use super::panics::fail;
use super::poll::now;
use super::successor::kill_for_the_third_time;
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// Where the host has it.
const DEVICE: &str = "/run/heartbeat/watchdog";

/// Pause between two looks of the stand-in.
const LOOK: Duration = Duration::from_millis(2);

/// What the stand-in saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Opened,
    Byte(u8),
    Closed,
    /// It ran out: the power is cut.
    Fired,
}

/// When it saw what, in seconds since 1970.
type Record = Arc<Mutex<Vec<(f64, Seen)>>>;

/// The stand-in for the device of node1.
struct Device {
    record: Record,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    /// Makes it, and names it in the ha.cf of node1. Its interval is fixed.
    fn of(pair: &Pair, interval: Duration) -> Self {
        let place = pair.lab.dir("node1");
        let pipe = place.join("run/watchdog");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.is_ok_and(|made| made.success()), "mkfifo");
        name_device(pair, DEVICE);
        let reader = fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(&pipe)
            .expect("the pipe opens");
        let (name, lab) = (pair.lab.name(), &pair.lab);
        let cut = [
            lab.prepared(&["crash", name, "node1"]),
            lab.prepared(&["poweroff", name, "node1"]),
            lab.prepared(&["exec", name, "node1", "sh", "-c", "rm -f /run/dummy-*"]),
        ];
        let (record, over) = (Record::default(), Arc::new(AtomicBool::new(false)));
        let (writes, ends) = (Arc::clone(&record), Arc::clone(&over));
        let thread = std::thread::spawn(move || watch(reader, interval, cut, &writes, &ends));
        Self {
            record,
            over,
            thread: Some(thread),
        }
    }

    fn seen(&self) -> Vec<(f64, Seen)> {
        self.record.lock().expect("no panic").clone()
    }

    fn count(&self, what: Seen) -> usize {
        self.seen().iter().filter(|(_, seen)| *seen == what).count()
    }

    /// Without the food.
    fn events(&self) -> Vec<Seen> {
        let seen = self.seen().into_iter().map(|(_, seen)| seen);
        seen.filter(|seen| !matches!(seen, Seen::Byte(byte) if *byte != b'V'))
            .collect()
    }

    /// What counts: the last bytes, and whether it fired. A reader that is late misses that the pipe was closed
    /// for a moment.
    fn verdicts(&self) -> Vec<Seen> {
        let events = self.events().into_iter();
        events
            .filter(|seen| !matches!(seen, Seen::Opened | Seen::Closed))
            .collect()
    }

    /// Another process, or another image of the same one, has opened it and feeds it, for longer than the interval.
    fn is_fed_by_another(&self, pair: &Pair) {
        pair.wait_log_count("node1", "Using watchdog device", 2);
        self.is_fed();
        std::thread::sleep(INTERVAL * 2);
        assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
        self.is_fed();
    }

    fn feeds(&self) -> usize {
        let fed = |seen: &Seen| matches!(seen, Seen::Byte(byte) if *byte != b'V');
        self.seen().iter().filter(|(_, seen)| fed(seen)).count()
    }

    fn wait(&self, what: Seen, number: usize) {
        wait_until(
            LONG,
            &format!("the device sees {what:?} (number {number})"),
            || self.count(what) >= number,
        );
    }

    /// It is fed on.
    fn is_fed(&self) {
        let before = self.feeds();
        wait_until(LONG, "the device is fed", || self.feeds() >= before + 5);
    }

    /// Nobody feeds it any more, and it fires: node2 alone serves.
    fn fires(&self, pair: &Pair) {
        self.wait(Seen::Fired, 1);
        pair.wait_owner("node2", ADDRESS_1, "a");
    }

    fn wait_stopped(&self) {
        wait_until(LONG, "the device is stopped", || {
            self.events().ends_with(&[Seen::Byte(b'V'), Seen::Closed])
        });
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if std::thread::panicking() {
            eprintln!("the device: {:?}", self.seen());
        }
    }
}

fn watch(
    mut reader: fs::File,
    interval: Duration,
    cut: [Command; 3],
    record: &Record,
    over: &AtomicBool,
) {
    let note = |seen| record.lock().expect("no panic").push((now(), seen));
    let (mut open, mut stopped) = (false, true);
    let mut fed = Instant::now();
    let mut bytes = [0; 64];
    while !over.load(Ordering::Relaxed) {
        match reader.read(&mut bytes) {
            Ok(0) => {
                if std::mem::take(&mut open) {
                    note(Seen::Closed);
                }
            }
            Ok(count) => {
                if !std::mem::replace(&mut open, true) {
                    note(Seen::Opened);
                }
                for byte in &bytes[..count] {
                    note(Seen::Byte(*byte));
                    stopped = *byte == b'V';
                }
                fed = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if !std::mem::replace(&mut open, true) {
                    note(Seen::Opened);
                    (stopped, fed) = (false, Instant::now());
                }
            }
            Err(error) => panic!("the stand-in of the device: {error}"),
        }
        if !stopped && fed.elapsed() > interval {
            note(Seen::Fired);
            for mut command in cut {
                let _ = command.status();
            }
            return;
        }
        std::thread::sleep(LOOK);
    }
}

fn name_device(pair: &Pair, device: &str) {
    let ha_cf = pair.lab.dir("node1").join("ha.d/ha.cf");
    let text = fs::read_to_string(&ha_cf).expect("ha.cf");
    fs::write(ha_cf, format!("{text}watchdog {device}\n")).expect("ha.cf");
}

/// The interval for deadtime 2.
const INTERVAL: Duration = Duration::from_secs(3);

/// A settled pair; node1 has the device and owns the group, whose stop takes `stop` seconds.
fn begin(kinds: [Kind; 2], stop: u32) -> (Pair, Device) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::{stop}\n");
    let pair = Pair::new(config);
    let device = Device::of(&pair, INTERVAL);
    pair.start_settled();
    device.is_fed();
    (pair, device)
}

/// When the first `V` came, and when the group of node1 was stopped.
fn stopped_and_released(pair: &Pair, device: &Device) -> (f64, f64) {
    let seen = device.seen();
    let stop = seen.iter().find(|(_, seen)| *seen == Seen::Byte(b'V'));
    let all = calls(&pair.lab);
    let released = all
        .iter()
        .find(|call| call.host == "node1" && call.operation == "stop" && call.edge == "end");
    let (stop, _) = stop.expect("a last byte");
    (*stop, released.expect("the end of the stop").at)
}

/// The release takes longer than the interval.
fn orderly_stop(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 5);
    assert_eq!(device.events(), [Seen::Opened]);
    pair.stop("node1");
    device.wait_stopped();
    assert_eq!(
        device.events(),
        [Seen::Opened, Seen::Byte(b'V'), Seen::Closed]
    );
    let (stopped, released) = stopped_and_released(&pair, &device);
    assert!(stopped > released, "{stopped} {released}");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
    let log = pair.lab.log("node1");
    assert!(
        log.contains("notice: Using watchdog device: /run/heartbeat/watchdog"),
        "{log}"
    );
    assert_eq!(pair.log_count("node1", "the watchdog knows no interval"), 1);
    // The interval counts from the last feeding: it was fed all the time.
    assert_eq!(device.count(Seen::Fired), 0);
}

/// What the legacy program does with the same device.
fn legacy_stops_it_before_the_release(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 3);
    pair.stop("node1");
    device.wait_stopped();
    let (stopped, released) = stopped_and_released(&pair, &device);
    assert!(stopped < released, "{stopped} {released}");
}

/// Nothing moves, and the successor feeds.
fn daemon_killed(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    wait_guardian(&pair, "node1", &[]);
    let daemon = pid(&pair, "node1");
    pair.lab.sh("node1", &format!("kill -9 {daemon}"));
    device.is_fed_by_another(&pair);
    assert_eq!(device.verdicts(), []);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    pair.stop("node1");
    device.wait_stopped();
    assert_eq!(device.verdicts(), [Seen::Byte(b'V')]);
}

/// Neither the guardian nor systemd notices a daemon that is stopped as a whole.
fn daemon_hangs(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    let daemon = pid(&pair, "node1");
    pair.lab.sh("node1", &format!("kill -STOP {daemon}"));
    device.fires(&pair);
    assert_eq!(device.count(Seen::Byte(b'V')), 0);
}

/// A daemon that is stopped for less than the dead time goes on, and feeds on.
fn daemon_stops_for_a_moment(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    let daemon = pid(&pair, "node1");
    for _ in 0..3 {
        let script = format!("kill -STOP {daemon}; sleep 1; kill -CONT {daemon}");
        pair.lab.sh("node1", &script);
        device.is_fed();
    }
    assert_eq!(device.events(), [Seen::Opened]);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

/// A machine with more to do than it can: the heartbeats come, and the device is fed.
fn machine_is_busy(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    pair.lab.sh(
        "node1",
        "for i in $(seq 16); do timeout 15 sh -c 'while :; do :; done' & done; wait",
    );
    device.is_fed();
    assert_eq!(device.events(), [Seen::Opened]);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

/// Without the device both nodes would serve from now on.
fn guardian_and_daemon_killed(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    let guardian = wait_guardian(&pair, "node1", &[]);
    let daemon = pid(&pair, "node1");
    // Stopped first: on a busy machine the daemon would have another guardian before it is killed itself.
    let both = format!("{daemon} {guardian}");
    pair.lab
        .sh("node1", &format!("kill -STOP {both}; kill -9 {both}"));
    device.fires(&pair);
    assert_eq!(device.events(), [Seen::Opened, Seen::Closed, Seen::Fired]);
}

/// `heartbeat -r` with the same program: armed all the time.
fn restart_in_place(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    let daemon = pair.daemon("node1");
    let script = format!("touch -d '10 seconds' /etc/ha.d/ha.cf; setsid {daemon} -r");
    pair.lab.sh("node1", &script);
    device.is_fed_by_another(&pair);
    assert_eq!(device.verdicts(), []);
    // The line is taken out: the next image stops the device.
    let edit = format!("sed -i /^watchdog/d /etc/ha.d/ha.cf; setsid {daemon} -r");
    pair.lab.sh("node1", &edit);
    device.wait_stopped();
    std::thread::sleep(INTERVAL * 2);
    assert_eq!(device.count(Seen::Fired), 0);
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
}

/// Another program file: it might not know the device.
fn upgrade_in_place(kinds: [Kind; 2]) {
    const PROGRAM: &str = "/run/program/heartbeat";
    let pair = Pair::new(PairConfig::new(kinds));
    let device = Device::of(&pair, INTERVAL);
    let ours = pair.program(Kind::Systole, "heartbeat");
    let lay = format!(
        "mkdir -p /run/program && cp {} /run/program/new && mv /run/program/new {PROGRAM}",
        ours.display()
    );
    let done = |words: &[&str]| {
        let output = pair.lab.exec("node1", words);
        assert!(output.status.success(), "{output:?}");
    };
    done(&["bash", "-c", &lay]);
    done(&["setsid", PROGRAM]);
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    device.is_fed();
    done(&["bash", "-c", &lay]);
    pair.lab
        .sh("node1", "touch -d '10 seconds' /etc/ha.d/ha.cf");
    done(&["setsid", PROGRAM, "-r"]);
    device.is_fed_by_another(&pair);
    assert_eq!(device.verdicts(), [Seen::Byte(b'V')]);
}

/// A panic of membership or of the device's own actor changes nothing. Membership that gives up: the daemon that
/// releases in its place feeds until that is done.
fn membership_panics(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 5);
    wait_guardian(&pair, "node1", &[]);
    for actor in ["watchdog", "membership"] {
        let _ = fail(&pair, Some(actor));
        pair.wait_log("node1", &format!("actor={actor} when=running"));
        device.is_fed();
    }
    assert_eq!(device.events(), [Seen::Opened]);
    for number in 2..=3 {
        let _ = fail(&pair, Some("membership"));
        pair.wait_log_count("node1", "actor=membership when=running", number);
    }
    pair.wait_log("node1", "guardian: all resources are released");
    device.wait_stopped();
    let (stopped, released) = stopped_and_released(&pair, &device);
    assert!(stopped > released, "{stopped} {released}");
    assert_eq!(device.count(Seen::Fired), 0);
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// The release without heartbeats is complete before the device fires, and stops it.
fn released_without_heartbeats(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 200ms\nwarntime 4\ndeadtime 12\ninitdead 12\n".into();
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::4\n");
    let pair = Pair::new(config);
    let device = Device::of(&pair, Duration::from_secs(13));
    pair.start_settled();
    let releasing = kill_for_the_third_time(&pair);
    device.is_fed();
    pair.lab.sh("node1", &format!("kill -9 {releasing}"));
    pair.wait_log("node1", "the daemon died again");
    pair.wait_log("node1", "guardian: all resources are released");
    device.wait_stopped();
    let (stopped, released) = stopped_and_released(&pair, &device);
    assert!(stopped > released, "{stopped} {released}");
    assert_eq!(device.count(Seen::Fired), 0);
    pair.wait_log(
        "node1",
        "guardian: watchdog device /run/heartbeat/watchdog is stopped",
    );
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_never_two_owners(&pair.lab);
}

/// It is not complete in time, and nothing else restarts the machine.
fn not_released_without_heartbeats(kinds: [Kind; 2]) {
    let mut config = PairConfig::new(kinds);
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::20\n");
    config.media.push_str("\nenv STOPRETRYMAX=0");
    let pair = Pair::new(config);
    let device = Device::of(&pair, INTERVAL);
    pair.start_settled();
    let releasing = kill_for_the_third_time(&pair);
    device.is_fed();
    pair.lab.sh("node1", &format!("kill -9 {releasing}"));
    device.fires(&pair);
    assert_eq!(device.count(Seen::Byte(b'V')), 0);
}

/// A cut cable is no reason, an interface that sends nothing is.
fn nothing_leaves(kinds: [Kind; 2]) {
    let (pair, device) = begin(kinds, 0);
    pair.lab.link("node1", "eth0", false);
    std::thread::sleep(INTERVAL * 2);
    assert_eq!(device.events(), [Seen::Opened]);
    pair.lab.link("node1", "eth0", true);
    wait_until(LONG, "one of the two has yielded", || {
        pair.owners(ADDRESS_1).len() == 1
    });
    device.is_fed();
    pair.lab.sh("node1", "ip link set eth0 down");
    pair.wait_log("node1", "CRIT: no heartbeat leaves this host");
    device.fires(&pair);
}

/// A pair without a fencing device, whose nodes let go when they are cut off and wait for each other's watchdog:
/// node1 is cut off, and the stop of its group takes `stop` seconds.
fn cut_off(kinds: [Kind; 2], stop: u32) -> (Pair, Device) {
    const GATE: &str = "10.77.0.254";
    let mut config = PairConfig::new(kinds);
    config.media.push_str(&format!("\nping {GATE}"));
    config.resources = format!("node1 {ADDRESS_1}/24/eth0 dummy::a::0::{stop}\n");
    let pair = Pair::new(config);
    for node in super::pair::NODES {
        let settings = pair.lab.dir(node).join("ha.d/systole.toml");
        let text = "isolation_release = \"on\"\nfence_by_watchdog = 8\n";
        fs::write(settings, text).expect("systole.toml");
    }
    let device = Device::of(&pair, INTERVAL);
    pair.start_settled();
    device.is_fed();
    for node in super::pair::NODES {
        pair.wait_log(node, &format!("Link {GATE}:{GATE} up."));
    }
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node1", "isolated: ");
    pair.wait_log("node2", "node node1: is dead");
    let status = pair.program(Kind::Systole, "systole");
    let status = format!("{} fence status", status.display());
    let said = pair.lab.sh("node2", &status);
    assert!(said.contains("fence_by_watchdog 8 s"), "{said}");
    assert!(
        said.contains("node1 is dead: waits, counts as reset in "),
        "{said}"
    );
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_log("node2", "node1 counts as reset by its watchdog");
    (pair, device)
}

/// It hangs: the machine goes, and the other node takes over after that.
fn cut_off_and_holds_on(kinds: [Kind; 2]) {
    let (pair, device) = cut_off(kinds, 600);
    assert_eq!(
        pair.log_count("node1", "has not stopped its groups in time"),
        1
    );
    let seen = device.seen();
    let fired = seen.iter().find(|(_, seen)| *seen == Seen::Fired);
    let (fired, _) = fired.expect("it has fired");
    let all = calls(&pair.lab);
    let start = all
        .iter()
        .find(|call| call.host == "node2" && call.operation == "start");
    let start = start.expect("a start").at;
    assert!(*fired < start, "{fired} {start}");
}

/// It is complete in time: the machine stays.
fn cut_off_and_lets_go(kinds: [Kind; 2]) {
    let (pair, device) = cut_off(kinds, 1);
    device.is_fed();
    assert_eq!(device.verdicts(), []);
    assert_never_two_owners(&pair.lab);
}

/// The node runs without it, says so, and opens it as soon as it can. Where it is required, it does not start.
fn no_device(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    name_device(&pair, DEVICE);
    let settings = pair.lab.dir("node1").join("ha.d/systole.toml");
    fs::write(&settings, "watchdog_required = true\n").expect("systole.toml");
    let daemon = pair.daemon("node1");
    let refused = pair.lab.exec("node1", &["setsid", &daemon]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("watchdog_required is set: not started"),
        "{said}"
    );
    fs::remove_file(settings).expect("systole.toml");
    pair.start_settled();
    let missing = "ERROR: Cannot open watchdog device: /run/heartbeat/watchdog";
    assert_eq!(
        pair.log_count("node1", missing),
        2,
        "{}",
        pair.lab.log("node1")
    );
    let systole = pair.program(Kind::Systole, "systole");
    let status = || {
        pair.lab
            .sh("node1", &format!("{} status", systole.display()))
    };
    let crit = "WATCHDOG  /run/heartbeat/watchdog: CRIT: cannot be opened: ";
    assert!(status().contains(crit), "{}", status());
    // A name that is no device is not written to.
    let pipe = pair.lab.dir("node1").join("run/watchdog");
    fs::write(&pipe, "").expect("a file");
    pair.wait_log("node1", "neither a device nor a named pipe");
    assert_eq!(fs::read(&pipe).expect("the file"), b"");
    fs::remove_file(&pipe).expect("the file");
    let device = Device::of(&pair, INTERVAL);
    device.is_fed();
    let fine = "WATCHDOG  /run/heartbeat/watchdog: armed, its interval is not known";
    assert!(status().contains(fine), "{}", status());
    pair.stop("node1");
    device.wait_stopped();
}

macro_rules! watched {
    ($($name:ident: $scenario:ident $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            run(concat!("watchdog::", stringify!($name)), $kinds, $scenario);
        }
    )* };
}

watched! {
    an_orderly_stop_feeds_it_until_all_is_released: orderly_stop SYSTOLE_OWNER;
    legacy_closes_it_before_it_releases: legacy_stops_it_before_the_release LEGACY_OWNER;
    a_killed_daemon_is_followed_by_one_that_feeds: daemon_killed SYSTOLE_OWNER;
    a_daemon_that_hangs_is_noticed: daemon_hangs SYSTOLE_OWNER;
    long_a_daemon_that_hangs_is_noticed_ours_ours: daemon_hangs OURS_OURS;
    a_daemon_that_stands_still_for_a_moment_goes_on: daemon_stops_for_a_moment OURS_OURS;
    long_a_busy_machine_feeds_it: machine_is_busy OURS_OURS;
    two_killed_processes_are_noticed: guardian_and_daemon_killed SYSTOLE_OWNER;
    long_two_killed_processes_are_noticed_ours_ours: guardian_and_daemon_killed OURS_OURS;
    a_restart_in_place_keeps_it_armed: restart_in_place SYSTOLE_OWNER;
    an_upgrade_in_place_stops_it_for_a_moment: upgrade_in_place OURS_OURS;
    a_fault_of_membership_keeps_it_fed: membership_panics OURS_OURS;
    a_release_without_heartbeats_stops_it: released_without_heartbeats OURS_OURS;
    a_release_without_heartbeats_that_hangs_is_noticed: not_released_without_heartbeats OURS_OURS;
    a_host_that_sends_nothing_is_noticed: nothing_leaves OURS_OURS;
    a_cut_off_node_that_holds_on_is_restarted: cut_off_and_holds_on OURS_OURS;
    a_cut_off_node_that_lets_go_stays: cut_off_and_lets_go OURS_OURS;
    a_missing_device_is_said: no_device OURS_OURS;
}
