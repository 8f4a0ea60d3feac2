//! The version before this one beside today's, in either role, and one in the place of the other: a
//! pair is upgraded node by node, and may stay half upgraded for days. The older programs are built
//! once from the repository's history.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::death::{guardians, pid, wait_guardian};
use super::history::{address_changes, assert_never_two_owners, count};
use super::host::{Kind, wait_until};
use super::pair::{ADDRESS_1, LONG, Pair, PairConfig};
use super::{OURS_OURS, death, partition, scenario};

/// The newest released version.
const REVISION: &str = "381d4ec";

/// It must have this name: the pid file of a program with another name does not count.
const PROGRAM: &str = "/run/program/heartbeat";

const OLDER_OWNER: [Kind; 2] = [Kind::Older, Kind::Systole];
const OLDER_STANDBY: [Kind; 2] = [Kind::Systole, Kind::Older];

/// Where a program of the older version is.
pub fn program(name: &str) -> PathBuf {
    let place = built().as_ref().expect("looked at before");
    place.join("target/debug").join(name)
}

/// Why the older version cannot run here, if it cannot.
pub fn obstacle() -> Option<String> {
    built().as_ref().err().cloned()
}

fn built() -> &'static Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> Result<PathBuf, String> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("older-{REVISION}"));
    fs::create_dir_all(&place).map_err(|error| error.to_string())?;
    let tree = place.display();
    let sources = format!("git archive {REVISION} | tar -x --skip-old-files -C {tree}");
    sh(&sources, env!("CARGO_MANIFEST_DIR"))?;
    let cargo = env!("CARGO");
    sh(
        &format!("env -u RUSTFLAGS {cargo} build --quiet --locked --bins --target-dir target"),
        &place.display().to_string(),
    )?;
    Ok(place)
}

fn sh(script: &str, place: &str) -> Result<(), String> {
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", script])
        .current_dir(place)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or_default().to_owned();
    Err(format!("the older version cannot be built here: {last}"))
}

/// Makes the two tests of a scenario: the older version on node1, and on node2.
macro_rules! beside {
    ($($name:ident: $scenario:expr;)*) => { $(
        mod $name {
            use super::*;
            #[test]
            #[ignore = "lab: long tier"]
            fn long_older_owner() {
                let name = concat!("older::", stringify!($name), "::long_older_owner");
                super::super::run(name, OLDER_OWNER, $scenario);
            }
            #[test]
            #[ignore = "lab: long tier"]
            fn long_older_standby() {
                let name = concat!("older::", stringify!($name), "::long_older_standby");
                super::super::run(name, OLDER_STANDBY, $scenario);
            }
        }
    )* };
}

beside! {
    start: scenario::both_start_at_once;
    failover: scenario::power_loss_of_the_owner;
    graceful_stop: scenario::graceful_stop;
    standby: scenario::standby;
    takeover: scenario::takeover_command;
    failback: scenario::restart_with_failback_on;
    no_failback: scenario::restart_with_failback_off;
    legacy_failback: scenario::legacy_model_returns;
    reload: scenario::reload_in_place;
    cut: |kinds| partition::run(kinds, partition::Trouble::Cut);
    owner_mute: |kinds| partition::run(kinds, partition::Trouble::Mute("node1"));
    owner_frozen: |kinds| partition::run(kinds, partition::Trouble::Frozen("node1", 20));
    killed: death::in_turns;
    killed_while_starting: death::while_starting;
    killed_while_giving: death::while_giving;
}

/// Installs a program of a version where the daemon of node1 was started from, as a package does.
fn exchange(pair: &Pair, kind: Kind) {
    let program = pair.program(kind, "heartbeat");
    let script = format!(
        "mkdir -p /run/program && cp {} /run/program/new && mv /run/program/new {PROGRAM}",
        program.display()
    );
    let output = pair.lab.exec("node1", &["bash", "-c", &script]);
    assert!(output.status.success(), "{output:?}");
}

/// The program is exchanged under a running daemon, there and back: each time `heartbeat -r`
/// changes to the other version, and so does the daemon that its guardian starts after a sudden
/// death. The group runs on.
fn in_place(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    exchange(&pair, Kind::Older);
    let output = pair.lab.exec("node1", &["setsid", PROGRAM]);
    assert!(output.status.success(), "{output:?}");
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    wait_guardian(&pair, "node1", &[]);
    let before = address_changes(&pair.lab, "node1", ADDRESS_1);
    let active = "Local status now set to: 'active'";
    // A third death within a minute would end it.
    for (kind, dies) in [
        (Kind::Systole, true),
        (Kind::Older, true),
        (Kind::Systole, false),
    ] {
        let times = pair.log_count("node1", active);
        exchange(&pair, kind);
        let touch = "touch -d '10 seconds' /etc/ha.d/ha.cf";
        pair.lab.sh("node1", touch);
        let output = pair.lab.exec("node1", &["setsid", PROGRAM, "-r"]);
        assert!(output.status.success(), "as {kind:?}: {output:?}");
        pair.wait_log_count("node1", active, times + 1);
        pair.wait_holds("node1", "local");
        if kind == Kind::Systole {
            // The earlier program left its own guardian behind, which would start that program
            // again.
            let mut runs = String::new();
            wait_until(LONG, "a guardian of the program that came", || {
                let all = guardians(&pair, "node1");
                let exe = format!("readlink /proc/{}/exe", all.join(" "));
                runs = pair.lab.sh("node1", &exe);
                all.len() == 1 && runs.trim() == PROGRAM
            });
        }
        wait_guardian(&pair, "node1", &[]);
        if dies {
            let kill = format!("kill -9 {}", pid(&pair, "node1"));
            pair.lab.sh("node1", &kill);
            pair.wait_log_count("node1", active, times + 2);
        }
        pair.wait_holds("node1", "local");
        pair.wait_holds("node2", "local");
    }
    assert_eq!(address_changes(&pair.lab, "node1", ADDRESS_1), before);
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: long tier"]
fn long_in_place() {
    if let Some(reason) = obstacle() {
        return super::host::skip("older::long_in_place", &reason);
    }
    super::run("older::long_in_place", OURS_OURS, in_place);
}

/// In the first seconds after an upgrade the guardian of the version before is still there. The daemon that
/// came has written its state, and dies: that guardian starts it again with lines of which it understands
/// nothing. After a downgrade it is the other way round.
fn a_death_right_after(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    exchange(&pair, Kind::Older);
    let output = pair.lab.exec("node1", &["setsid", PROGRAM]);
    assert!(output.status.success(), "{output:?}");
    pair.start("node2");
    pair.wait_active();
    pair.wait_owner("node1", ADDRESS_1, "a");
    pair.wait_holds("node1", "local");
    wait_guardian(&pair, "node1", &[]);
    let before = address_changes(&pair.lab, "node1", ADDRESS_1);
    let active = "Local status now set to: 'active'";
    for kind in [Kind::Systole, Kind::Older] {
        let times = pair.log_count("node1", active);
        let guardian = guardians(&pair, "node1").remove(0);
        exchange(&pair, kind);
        // The file says which of them has written it. The guardian that is there must not be replaced before
        // the death.
        let written = match kind {
            Kind::Systole => "grep -q 'systole: state'",
            _ => "! grep -q 'systole: state'",
        };
        let script = format!(
            "touch -d '10 seconds' /etc/ha.d/ha.cf; setsid {PROGRAM} -r || exit 1
            for i in $(seq 600); do
                {written} /run/heartbeat.held && break; sleep 0.01
            done
            {written} /run/heartbeat.held || exit 2
            kill -9 $(cat /run/heartbeat.pid); kill -0 {guardian}"
        );
        let output = pair.lab.exec("node1", &["bash", "-c", &script]);
        assert!(output.status.success(), "as {kind:?}: {output:?}");
        pair.wait_log_count("node1", "started again by its guardian", 1);
        wait_until(LONG, "it is active again", || {
            pair.log_count("node1", active) > times
        });
        pair.wait_holds("node1", "local");
        pair.wait_holds("node2", "local");
        // That of the version before is replaced; who goes on with an older program has ours.
        let gone = if kind == Kind::Systole {
            vec![guardian]
        } else {
            vec![]
        };
        wait_guardian(&pair, "node1", &gone);
    }
    assert_eq!(address_changes(&pair.lab, "node1", ADDRESS_1), before);
    assert_eq!(count(&pair.lab, "node1", "start", "a"), 1);
    assert_eq!(count(&pair.lab, "node1", "stop", "a"), 0);
    assert_never_two_owners(&pair.lab);
}

#[test]
#[ignore = "lab: long tier"]
fn long_a_death_right_after_the_upgrade() {
    let name = "older::long_a_death_right_after_the_upgrade";
    if let Some(reason) = obstacle() {
        return super::host::skip(name, &reason);
    }
    super::run(name, OURS_OURS, a_death_right_after);
}
