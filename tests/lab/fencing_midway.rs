//! What happens while a fence is out: both nodes shoot, the node is back, the daemon is killed or replaces
//! itself, and people freeze, stop or ask for a standby.

use std::thread::sleep;
use std::time::Duration;

use super::OURS_OURS;
use super::death::{pid, wait_guardian};
use super::fence_device::{Fenced, Way, run_with_glue};
use super::history::{assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, ADDRESS_2, LONG, NODES, Pair, PairConfig};

/// Who serves what when the nodes lose each other.
#[derive(Debug, Clone, Copy)]
enum Serving {
    First,
    Second,
    Both,
}

/// Both live, lose each other, and can reset each other with a device of three seconds: one is reset, and
/// what it served runs on the other.
fn lose_each_other(kinds: [Kind; 2], serving: Serving) {
    let mut config = PairConfig::new(kinds);
    let (first, second) = (
        format!("node1 {ADDRESS_1}/24/eth0 dummy::a\n"),
        format!("node2 {ADDRESS_2}/24/eth0 dummy::b\n"),
    );
    config.resources = match serving {
        Serving::First => first,
        Serving::Second => second,
        Serving::Both => first + &second,
    };
    let fenced = Fenced::new(config, Way::HostLine);
    let pair = &fenced.pair;
    let (on_first, on_second) = match serving {
        Serving::First => (true, false),
        Serving::Second => (false, true),
        Serving::Both => (true, true),
    };
    pair.start_both();
    pair.wait_active();
    let groups = [(on_first, ADDRESS_1, "a"), (on_second, ADDRESS_2, "b")];
    for ((serves, address, dummy), node) in groups.into_iter().zip(NODES) {
        if serves {
            pair.wait_owner(node, address, dummy);
        }
        pair.wait_holds(node, "local");
    }
    fenced.mode("rec", "late3");
    pair.lab.link("node1", "eth0", false);
    let survivor = if on_first { "node1" } else { "node2" };
    let reset = Pair::peer(survivor);
    for (_, address, dummy) in groups.into_iter().filter(|(serves, ..)| *serves) {
        pair.wait_owner(survivor, address, dummy);
    }
    wait_until(LONG, "a reset is done", || !fenced.done().is_empty());
    // The other one's delays are over by then.
    sleep(Duration::from_secs(8));
    let what = format!("{serving:?}: {:?}", fenced.resets());
    assert_eq!(fenced.done(), [format!("{survivor} rec {reset}")], "{what}");
    assert_eq!(fenced.resets(), fenced.done(), "{what}");
    for (_, address, dummy) in groups.into_iter().filter(|(serves, ..)| *serves) {
        pair.wait_owner(survivor, address, dummy);
    }
    assert_never_two_owners(&pair.lab);
}

/// Some pairs at once.
fn lose_each_other_often(kinds: [Kind; 2], often: &[Serving]) {
    std::thread::scope(|scope| {
        for serving in often {
            scope.spawn(|| lose_each_other(kinds, *serving));
        }
    });
}

fn five_times(kinds: [Kind; 2]) {
    use Serving::{Both, First, Second};
    lose_each_other_often(kinds, &[First, Both, Second, First, Both]);
}

fn fifty_times(kinds: [Kind; 2]) {
    for _ in 0..10 {
        five_times(kinds);
    }
}

/// The owner was only cut off, and is back while the device is at work: the device is stopped.
fn back_in_the_same_run(kinds: [Kind; 2]) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec-node1", "fails");
    fenced.mode("rec-node2", "late20");
    pair.lab.link("node1", "eth0", false);
    wait_until(LONG, "node2 resets node1", || {
        fenced.resets().contains(&"node2 rec node1".to_owned())
    });
    pair.lab.link("node1", "eth0", true);
    nothing_moves(&fenced);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
}

/// The owner was reset by somebody else, and is back in a new run while the device is at work.
fn back_in_a_new_run(kinds: [Kind; 2]) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "late20");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    pair.lab.power_on("node1");
    pair.start("node1");
    nothing_moves(&fenced);
}

/// The order is called off: the device does not get to its work, and the owner has its group.
fn nothing_moves(fenced: &Fenced) {
    let pair = &fenced.pair;
    wait_until(LONG, "the program of the device is ended", || {
        !pair
            .lab
            .sh("node2", "pgrep -a -x sleep")
            .contains("sleep 20")
    });
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    pair.wait_holds("node2", "local");
    sleep(Duration::from_secs(6));
    let resets = fenced.resets();
    let of_node2 = resets.iter().filter(|it| *it == "node2 rec node1");
    assert_eq!(of_node2.count(), 1, "{resets:?}");
    assert_eq!(fenced.done(), [""; 0]);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
    assert_never_two_owners(&pair.lab);
}

/// The process that gave the order is gone: its successor resets nobody a second time, and takes over when
/// the device has done it.
fn in_other_hands(kinds: [Kind; 2], act: fn(&Pair)) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "late8");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    act(pair);
    pair.wait_log_count("node2", "Local status now set to: 'active'", 2);
    fenced.nothing_is_taken_before_it_is_done();
    pair.wait_owner("node2", ADDRESS_1, "a");
    sleep(Duration::from_secs(8));
    assert_eq!(fenced.resets(), ["node2 rec node1"], "once");
    assert_never_two_owners(&pair.lab);
}

/// The daemon is killed, and the node is back in a new run before the device is at work: the successor
/// stops the device.
fn killed_and_back(kinds: [Kind; 2]) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "late20");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    kill(pair);
    pair.lab.power_on("node1");
    pair.start("node1");
    nothing_moves(&fenced);
}

fn kill(pair: &Pair) {
    pair.lab.sh("node2", "kill -9 $(cat /run/heartbeat.pid)");
}

fn reload(pair: &Pair) {
    let daemon = pair.daemon("node2");
    let script = format!("touch -d '10 seconds' /etc/ha.d/ha.cf; setsid {daemon} -r");
    pair.lab.sh("node2", &script);
    pair.wait_log("node2", "Performing heartbeat restart exec.");
}

/// A frozen node resets nobody: the order is called off, and given again at the thaw.
fn frozen(kinds: [Kind; 2]) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "late20");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    let said = fenced.systole("node2", "freeze");
    assert!(said.starts_with("frozen"), "{said}");
    wait_until(LONG, "the program of the device is ended", || {
        !pair
            .lab
            .sh("node2", "pgrep -a -x sleep")
            .contains("sleep 20")
    });
    fenced.mode("rec", "");
    sleep(Duration::from_secs(6));
    assert_eq!(fenced.resets(), ["node2 rec node1"]);
    assert_eq!(pair.owners(ADDRESS_1), [""; 0]);
    let why = fenced.systole("node2", "why");
    assert!(why.contains("is not fenced yet"), "{why}");
    fenced.systole("node2", "thaw");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(fenced.done(), ["node2 rec node1"]);
    assert_never_two_owners(&pair.lab);
}

/// A request for a standby finds nobody to take anything, and changes nothing.
fn standby(kinds: [Kind; 2]) {
    let fenced = Fenced::new(PairConfig::new(kinds).with_second_group(), Way::HostLine);
    let pair = &fenced.pair;
    pair.start_settled();
    pair.wait_owner("node2", ADDRESS_2, "b");
    fenced.mode("rec", "late6");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    pair.operator("node2", "hb_standby all");
    pair.wait_owner("node2", ADDRESS_1, "a");
    pair.wait_holds("node2", "all");
    assert_eq!(pair.owners(ADDRESS_2), ["node2"]);
    assert_eq!(fenced.resets(), ["node2 rec node1"]);
    assert_never_two_owners(&pair.lab);
}

/// A node that is being stopped takes nothing over: it needs no reset, and does not wait for one.
fn stopped(kinds: [Kind; 2]) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    fenced.mode("rec", "late20");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    pair.stop("node2");
    wait_until(LONG, "the program of the device is ended", || {
        !pair
            .lab
            .sh("node2", "pgrep -a -x sleep")
            .contains("sleep 20")
    });
    assert_eq!(fenced.done(), [""; 0]);
    assert_eq!(count(&pair.lab, "node2", "start", "a"), 0);
}

/// Does `act` to node2 while its device is about to reset node1, which is back meanwhile: the program that is out is
/// ended, although nothing is left that could ask what became of it.
fn nobody_is_reset_after(kinds: [Kind; 2], act: fn(&Fenced)) {
    let fenced = Fenced::settled(kinds, Way::HostLine);
    let pair = &fenced.pair;
    wait_guardian(pair, "node2", &[]);
    fenced.mode("rec-node2", "late60");
    pair.lab.power_off("node1");
    fenced.wait_resets(1);
    act(&fenced);
    wait_until(LONG, "the program of the device is ended", || {
        let sleeps = pair.lab.sh("node2", "pgrep -a -x sleep");
        !sleeps.contains("sleep 60")
    });
    pair.lab.power_on("node1");
    pair.start("node1");
    pair.wait_owner("node1", ADDRESS_1, "a");
    // A node that starts alone resets the other one.
    assert!(!fenced.done().contains(&"node2 rec node1".to_owned()));
    assert_never_two_owners(&pair.lab);
}

/// The device hangs, and a person takes it out of ha.cf.
fn without_devices(fenced: &Fenced) {
    let pair = &fenced.pair;
    pair.lab.sh(
        "node2",
        "sed -i /stonith_host/d /etc/ha.d/ha.cf; touch -d '10 seconds' /etc/ha.d/ha.cf",
    );
    let daemon = pair.daemon("node2");
    pair.lab.sh("node2", &format!("{daemon} -r"));
}

/// A daemon that only releases fences nobody.
fn third_death(fenced: &Fenced) {
    let pair = &fenced.pair;
    for active in [2, 3] {
        kill(pair);
        pair.wait_log_count("node2", "Local status now set to: 'active'", active);
    }
    let last = pid(pair, "node2");
    pair.lab.sh("node2", &format!("kill -9 {last}"));
    pair.wait_log(
        "node2",
        "the daemon died for the third time within a minute",
    );
}

/// Daemon and guardian die together, and the service manager calls the program that releases.
fn orphaned(fenced: &Fenced) {
    let pair = &fenced.pair;
    let guardian = wait_guardian(pair, "node2", &[]);
    let daemon = pair.daemon("node2");
    pair.lab.sh(
        "node2",
        &format!(
            "kill -STOP {guardian}; kill -9 {} {guardian}; \
             (exec -a 'heartbeat: releasing resources' {daemon} orphaned)",
            pid(pair, "node2")
        ),
    );
}

/// The owner is cut off from everything, and lets go: it resets nobody, although its device would obey. The other one, which still
/// hears a ping node, resets it.
fn cut_off(kinds: [Kind; 2]) {
    const GATE: &str = "10.77.0.254";
    let mut config = PairConfig::new(kinds);
    config.media.push_str(&format!("\nping {GATE}"));
    let fenced = Fenced::new(config, Way::HostLine);
    fenced.settings("isolation_release = \"on\"\n");
    let pair = &fenced.pair;
    pair.start_settled();
    for node in NODES {
        pair.wait_log(node, &format!("Link {GATE}:{GATE} up."));
    }
    fenced.mode("rec", "late3");
    pair.lab.link("node1", "eth0", false);
    pair.wait_log("node1", "isolated: ");
    pair.wait_owner("node2", ADDRESS_1, "a");
    assert_eq!(fenced.done(), ["node2 rec node1"], "{:?}", fenced.resets());
    assert_never_two_owners(&pair.lab);
}

macro_rules! midway {
    ($($name:ident: $scenario:expr;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test"]
        fn $name() {
            let name = concat!("fencing_midway::", stringify!($name));
            run_with_glue(name, OURS_OURS, $scenario);
        }
    )* };
}

midway! {
    of_two_that_lose_each_other_one_is_reset: five_times;
    long_of_two_that_lose_each_other_one_is_reset: fifty_times;
    a_node_that_is_back_is_not_reset: back_in_the_same_run;
    a_node_that_is_back_in_a_new_run_is_not_reset: back_in_a_new_run;
    a_killed_daemon_resets_once: |kinds| in_other_hands(kinds, kill);
    a_restart_in_place_resets_once: |kinds| in_other_hands(kinds, reload);
    a_killed_daemon_resets_nobody_who_is_back: killed_and_back;
    a_frozen_node_resets_nobody: frozen;
    a_node_that_is_cut_off_resets_nobody: cut_off;
    a_node_that_lost_its_devices_resets_nobody: |kinds| nobody_is_reset_after(kinds, without_devices);
    a_node_that_only_releases_resets_nobody: |kinds| nobody_is_reset_after(kinds, third_death);
    what_only_releases_ends_a_reset_that_is_out: |kinds| nobody_is_reset_after(kinds, orphaned);
    a_standby_meanwhile_changes_nothing: standby;
    a_stop_meanwhile_ends_the_device: stopped;
}
