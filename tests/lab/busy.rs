//! A machine with much to do: processes that never rest, writers that wait for the disk, a thousand processes, and a group of
//! processes without memory. Heartbeats of ours are not late. `scripts/bench 1 busy` has the figures.

use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::history::assert_never_two_owners;
use super::host::{Kind, skip};
use super::memory::Limited;
use super::pair::{ADDRESS_1, NODES, Pair, PairConfig};
use super::{LEGACY_OWNER, OURS_OURS, SYSTOLE_OWNER, run};

/// How long it is busy.
const WATCHED: Duration = Duration::from_secs(30);

/// Processes that never rest.
const HOGS: usize = 8;

/// Scripts that keep the machine busy, each a process group of its own. They end with this.
struct Busy(Vec<Child>);

impl Busy {
    fn with(scripts: &[String]) -> Self {
        let start = |script: &String| {
            // A test program that is killed leaves them for a short while.
            let mut command = Command::new("timeout");
            command
                .args(["-s", "KILL", "120", "sh", "-c", script])
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.process_group(0).spawn().expect("sh")
        };
        Self(scripts.iter().map(start).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let group = Pid::from_raw(i32::try_from(child.id()).expect("a process"));
            let _ = killpg(group, Signal::SIGKILL);
            let _ = child.wait();
        }
    }
}

fn busy_machine(kinds: [Kind; 2]) {
    let limited = match Limited::new() {
        Ok(limited) => Some(limited),
        Err(reason) => {
            skip("busy_machine: the group without memory", &reason);
            None
        }
    };
    let mut config = PairConfig::new(kinds);
    config.times = "keepalive 100ms\nwarntime 250ms\ndeadtime 500ms\ninitdead 10\n".into();
    let pair = Pair::new(config);
    pair.start_settled();
    for node in NODES {
        // Even its own log waits for all others.
        pair.lab.sh(
            node,
            "for task in /proc/$(tr -d ' \n' </run/heartbeat.pid)/task/*; do ionice -c 3 -p ${task##*/}; done",
        );
    }
    let place = pair.lab.shared().display().to_string();
    let storm = |number: usize| {
        format!(
            "while :; do dd if=/dev/zero of={place}/storm.{number} bs=64k count=64 oflag=dsync conv=notrunc; done"
        )
    };
    let mut scripts = vec!["while :; do :; done".to_owned(); HOGS];
    scripts.extend([storm(1), storm(2)]);
    scripts.push(
        "i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i + 1)); done; while :; do /bin/true; done"
            .to_owned(),
    );
    if let Some(limited) = &limited {
        scripts.push(format!(
            "while :; do sh -c 'echo $$ >{}; exec tail /dev/zero'; done",
            limited.members().display()
        ));
    }
    let busy = Busy::with(&scripts);
    std::thread::sleep(WATCHED);
    drop(busy);
    for (node, other) in [("node1", "node2"), ("node2", "node1")] {
        if !pair.kind(node).is_ours() {
            continue;
        }
        let mut never = vec![
            (node, "local heartbeat was delayed".to_owned()),
            (node, "the timer of the cluster thread was late".to_owned()),
            (other, format!("node {node}: is dead")),
        ];
        if pair.kind(other).is_ours() {
            // A legacy node is late itself, and counts that as the other's.
            never.push((other, format!("Late heartbeat: Node {node}")));
        }
        for (by, words) in never {
            let log = pair.lab.log(by);
            assert_eq!(pair.log_count(by, &words), 0, "{words} on {by}:\n{log}");
        }
    }
    assert_eq!(pair.owners(ADDRESS_1), ["node1"]);
    assert_never_two_owners(&pair.lab);
}

macro_rules! tests {
    ($($name:ident $kinds:ident;)*) => { $(
        #[test]
        #[ignore = "lab: run by scripts/test --long"]
        fn $name() {
            run(concat!("busy::", stringify!($name)), $kinds, busy_machine);
        }
    )* };
}

tests! {
    long_busy_machine_ours_ours OURS_OURS;
    long_busy_machine_systole_owner SYSTOLE_OWNER;
    long_busy_machine_legacy_owner LEGACY_OWNER;
}
