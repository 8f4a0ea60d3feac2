use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use actix::prelude::*;

use super::output::{Last, pump};
use super::*;
use crate::actors::control::tests::Membership;
use crate::actors::control::{ControlActor, ControlTargets};
use crate::actors::groups::tests::Cluster;
use crate::actors::resource_group::tests::Scripts;
use crate::clock::Clock;
use crate::process::locks;
use crate::protocol::event::GroupOrder::{Start, Stop};

#[derive(Debug, PartialEq, Eq)]
struct Said {
    code: u8,
    out: String,
    err: String,
}

/// Calls a helper program with `words` in the tree of `scripts`, as user root on node `alpha`.
fn call(scripts: &Scripts, variables: &[(&str, &str)], words: &str) -> Said {
    let variables: BTreeMap<&str, &str> = [("HA_CURHOST", "alpha")]
        .iter()
        .chain(variables)
        .copied()
        .collect();
    let lookup = |name: &str| variables.get(name).map(|value| (*value).to_owned());
    let mut words = words.split(' ').map(str::to_owned);
    let program = words.next().expect("program");
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = run(
        &program,
        &mut Call {
            program: format!("/usr/share/heartbeat/{program}"),
            args: words.collect(),
            paths: scripts.paths.clone(),
            variable: &lookup,
            out: &mut out,
            err: &mut err,
        },
    );
    Said {
        code,
        out: String::from_utf8(out).expect("text"),
        err: String::from_utf8(err).expect("text"),
    }
}

const HARESOURCES: &str = "# comment\n\
    alpha good::a   good::b bad::1\n\
    Beta good::x::y \\\n   good::z\n\
    alpha good::q good::w # trailing\n";

fn tree() -> Scripts {
    let scripts = Scripts::new();
    scripts.haresources(HARESOURCES);
    scripts
}

#[test]
fn listings_are_those_of_3_0_6() {
    let scripts = tree();
    let out = |words: &str| {
        let said = call(&scripts, &[], words);
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{words}");
        said.out
    };
    assert_eq!(out("ResourceManager listkeys alpha"), "good::a\ngood::q\n");
    assert_eq!(out("ResourceManager listkeys BETA"), "good::x::y\n");
    assert_eq!(
        out("ResourceManager listkeys .*"),
        "good::a\ngood::x::y\ngood::q\n"
    );
    assert_eq!(
        out("ResourceManager allkeys"),
        "good::a\ngood::x::y\ngood::q\n"
    );
    assert_eq!(
        out("ResourceManager ourkeys"),
        "good::a good::b bad::1 \ngood::q good::w \n"
    );
    assert_eq!(out("ResourceManager otherkeys"), "good::x::y good::z \n");
    assert_eq!(out("ResourceManager listkeys"), "");
    // Legacy lets the dot match any character.
    assert_eq!(out("ResourceManager listkeys alph."), "");
}

#[test]
fn wrong_commands_get_the_usage() {
    let scripts = tree();
    for words in ["ResourceManager", "ResourceManager bogus"] {
        let said = call(&scripts, &[], words);
        assert_eq!(said.code, 1);
        assert_eq!(
            said.err,
            "usage: /usr/share/heartbeat/ResourceManager listkeys machine | takegroup key | \
             givegroup key|status resource\n\n"
        );
    }
    assert_eq!(call(&scripts, &[], "nonsense").code, 1);
}

#[test]
fn status_asks_the_script_and_nothing_else() {
    let scripts = tree();
    fs::write(scripts.file("state.good.a"), "").expect("state");
    assert_eq!(
        call(&scripts, &[], "ResourceManager status good::a").code,
        0
    );
    assert_eq!(
        call(&scripts, &[], "ResourceManager status good::b").code,
        3
    );
    assert_eq!(
        call(&scripts, &[], "ResourceManager status missing::a").code,
        3
    );
    assert_eq!(call(&scripts, &[], "ResourceManager status").code, 3);
    assert_eq!(scripts.all_calls(), ["good a status", "good b status"]);
}

#[test]
fn verifyallidle_counts_running_keys() {
    let scripts = tree();
    assert_eq!(call(&scripts, &[], "ResourceManager verifyallidle").code, 0);
    fs::write(scripts.file("state.good.x"), "").expect("state");
    // Not the first resource of its group: not checked.
    fs::write(scripts.file("state.good.b"), "").expect("state");
    let said = call(&scripts, &[], "ResourceManager verifyallidle");
    assert_eq!(said.code, 1);
    assert_eq!(
        said.err,
        "CRITICAL: Resource good::x::y is active, and should not be!\n\
         CRITICAL: Non-idle resources can affect data integrity!\n\
         info: If you don't know what this means, then get help!\n"
    );
}

#[test]
fn without_a_daemon_groups_are_started_and_stopped_from_here() {
    let scripts = tree();
    let log = scripts.file("ha-log");
    let variables = [("HA_LOGFILE", log.to_str().expect("text"))];
    let said = call(&scripts, &variables, "ResourceManager takegroup good::q");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(scripts.calls(), ["good q start", "good w start"]);
    let text = fs::read_to_string(&log).expect("log");
    let lines: Vec<&str> = text
        .lines()
        .map(|line| {
            line.split_once("]:    ")
                .expect("the form of the scripts")
                .1
        })
        .collect();
    let path = scripts.paths.resource_d();
    assert_eq!(
        lines,
        [
            "info: Acquiring resource group: alpha good::q good::w".to_owned(),
            format!("info: Running {}/good q start", path.display()),
            format!("info: Running {}/good w start", path.display()),
        ]
    );
    assert!(text.contains("  ResourceManager(default)["), "{text}");

    // Any word of the group names it.
    assert_eq!(
        call(&scripts, &[], "ResourceManager givegroup good::w").code,
        0
    );
    assert_eq!(scripts.calls(), ["good w stop", "good q stop"]);
    let said = call(&scripts, &[], "ResourceManager takegroup good::a");
    assert_eq!((said.code, said.err.contains("bad::1")), (7, true));
    assert_eq!(
        call(&scripts, &[], "ResourceManager takegroup nosuch").code,
        0
    );
}

#[test]
fn without_haresources_no_group_was_started_or_stopped() {
    let scripts = tree();
    fs::remove_file(scripts.paths.haresources()).expect("remove");
    for verb in ["takegroup", "givegroup"] {
        let said = call(&scripts, &[], &format!("ResourceManager {verb} good::q"));
        assert_eq!(said.code, 1, "{verb}");
        assert!(said.err.contains("haresources: "), "{}", said.err);
    }
    // As in legacy: there is nothing to list.
    let said = call(&scripts, &[], "ResourceManager allkeys");
    assert_eq!((said.code, said.out.as_str()), (0, ""));
}

/// Files with which a start on this machine is possible, whatever its name is.
pub(crate) fn configure(scripts: &Scripts, more: &str) {
    let ha_dir = &scripts.paths.ha_dir;
    let ha_cf = format!("logfacility none\nbcast lo\nnode alpha beta\nauto_failback off\n{more}");
    fs::write(ha_dir.join("nodeinfo"), "alpha\n").expect("nodeinfo");
    fs::write(ha_dir.join("ha.cf"), ha_cf).expect("ha.cf");
    fs::write(ha_dir.join("authkeys"), "auth 1\n1 crc\n").expect("authkeys");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(ha_dir.join("authkeys"), private).expect("mode");
    let options = LoadOptions::default();
    let loaded = load(&scripts.paths, &Machine, &options);
    assert!(loaded.is_ok(), "{:?}", loaded.err());
}

#[test]
fn scripts_run_without_a_daemon_as_with_one() {
    let scripts = tree();
    scripts.resource(
        "good",
        "[ $op = status ] || echo \"$op $HA_VOLUME $HA_CURHOST\" >>$root/environment",
    );
    configure(&scripts, "env VOLUME=eleven\n");
    assert_eq!(
        call(&scripts, &[], "ResourceManager givegroup good::q").code,
        0
    );
    let seen = fs::read_to_string(scripts.file("environment")).expect("environment");
    assert_eq!(seen, "stop eleven alpha\nstop eleven alpha\n");
}

#[test]
fn our_settings_count_without_a_daemon_whether_or_not_ha_cf_is_good() {
    for good in [true, false] {
        let scripts = tree();
        // Longer than the limit.
        scripts.resource("slow", "[ $op = start ] || exit 0; sleep 60");
        scripts.haresources("alpha slow\n");
        if good {
            configure(&scripts, "");
        }
        fs::write(&scripts.paths.settings, "script_time_limit_s = 1\n").expect("settings");
        let said = call(&scripts, &[], "ResourceManager takegroup slow");
        assert_eq!(said.code, 124, "{}", said.err);
    }
    let scripts = tree();
    fs::write(&scripts.paths.settings, "script_time_limit_s = 0\n").expect("settings");
    let said = call(&scripts, &[], "ResourceManager takegroup good::q");
    assert_eq!(said.code, 0);
    assert!(
        said.err.contains("the default settings count"),
        "{}",
        said.err
    );
}

#[test]
fn statgroup_writes_to_the_debug_log() {
    let scripts = tree();
    let log = scripts.file("ha-debug");
    let variables = [("HA_DEBUGLOG", log.to_str().expect("text"))];
    let state = |wanted: &str| {
        let said = call(&scripts, &variables, "ResourceManager statgroup good::q");
        assert_eq!((said.code, said.out.as_str()), (0, ""));
        let text = fs::read_to_string(&log).expect("debug log");
        assert_eq!(text.lines().last(), Some(wanted));
    };
    state("NONE");
    fs::write(scripts.file("state.good.q"), "").expect("state");
    state("SOME");
    fs::write(scripts.file("state.good.w"), "").expect("state");
    state("ALL");
}

/// Runs `test` on another thread while a daemon's groups and control socket run on this one.
fn beside_a_daemon(scripts: Scripts, orders: &[(&str, GroupOrder)], test: fn(&Scripts)) -> Scripts {
    System::new().block_on(async {
        let lines = [
            "alpha good::a good::b bad::1",
            "beta slow good::z",
            "alpha good::q good::w",
        ];
        let mut cluster = Cluster::new(&scripts, &lines);
        let targets = ControlTargets {
            group: cluster.groups.clone().recipient(),
            groups: cluster.groups.clone().recipient(),
            checks: cluster.groups.clone().recipient(),
            clear: cluster.groups.clone().recipient(),
            node: Membership.start().recipient(),
            decisions: Membership.start().recipient(),
            absent: None,
            media: Vec::new(),
            fencing: None,
            watchdog: None,
            lease: None,
        };
        let path = scripts.paths.control();
        let _control = ControlActor::new(path.clone(), targets).start();
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for (number, (key, what)) in orders.iter().enumerate() {
            cluster.order(u64::try_from(number).expect("few"), key, *what);
        }
        let done = tokio::task::spawn_blocking(move || {
            test(&scripts);
            scripts
        });
        let scripts = done.await.expect("the test passes");
        for _ in orders {
            cluster.outcome().await;
        }
        scripts
    })
}

use crate::protocol::event::GroupOrder;

#[test]
fn beside_a_daemon_its_outcome_is_waited_for_and_nothing_is_run() {
    let scripts = Scripts::new();
    scripts.resource("slow", "[ $op = status ] && exit 0; sleep 0.5");
    let orders = [("slow", Start), ("good::a", Start), ("good::q", Stop)];
    let scripts = beside_a_daemon(scripts, &orders, |scripts| {
        let took = call(scripts, &[], "ResourceManager takegroup slow");
        assert_eq!((took.code, took.err.as_str()), (0, ""));
        assert_eq!(
            call(scripts, &[], "ResourceManager takegroup good::a").code,
            7
        );
        let other = call(scripts, &[], "ResourceManager takegroup good::q");
        assert_eq!(other.code, 1);
        assert!(
            other.err.contains("has not given this group"),
            "{}",
            other.err
        );
        assert_eq!(
            call(scripts, &[], "ResourceManager givegroup good::q").code,
            0
        );
        let held = call(scripts, &[], "ResourceManager givegroup slow");
        assert_eq!(held.code, 1);
        assert!(held.err.contains("hb_standby"), "{}", held.err);
        assert_eq!(call(scripts, &[], "req_resource good::a").code, 0);
    });
    let calls = scripts.calls();
    for once in [
        "slow start",
        "good a start",
        "good b start",
        "bad 1 start",
        "good z start",
    ] {
        let count = calls.iter().filter(|call| *call == once).count();
        assert_eq!(count, 1, "{once} in {calls:?}");
    }
}

#[test]
fn mach_down_waits_for_the_takeover_and_runs_no_script() {
    let scripts = Scripts::new();
    scripts.resource(
        "slow",
        "[ $op = status ] && exit 0; sleep 0.6; touch $root/up",
    );
    let scripts = beside_a_daemon(scripts, &[("slow", Start)], |scripts| {
        assert_eq!(call(scripts, &[], "mach_down alpha").code, 0);
        assert_eq!(
            call(scripts, &[("HA_info", "ping")], "mach_down beta").code,
            0
        );
        assert!(!scripts.file("up").exists(), "neither has waited");
        assert_eq!(call(scripts, &[], "mach_down Beta").code, 0);
        assert!(scripts.file("up").exists(), "it has waited");
    });
    let calls = scripts.calls();
    assert_eq!(calls.iter().filter(|call| *call == "slow start").count(), 1);
    let none = tree();
    assert_eq!(
        call(&none, &[], "mach_down beta").code,
        0,
        "no daemon, nothing done"
    );
    assert!(none.all_calls().is_empty());
}

/// A process whose program is called heartbeat, and which listens nowhere.
fn deaf_daemon(scripts: &Scripts, seconds: &str) -> std::process::Child {
    fs::create_dir_all(&scripts.paths.run_dir).expect("run");
    let program = scripts.file("heartbeat");
    fs::copy("/bin/sleep", &program).expect("copy");
    #[expect(clippy::disallowed_methods, reason = "stands for the daemon")]
    let daemon = std::process::Command::new(&program)
        .arg(seconds)
        .spawn()
        .expect("spawn");
    fs::write(&scripts.paths.pid_file, format!("{:>10}\n", daemon.id())).expect("pid file");
    daemon
}

#[test]
fn a_daemon_that_is_about_to_end_is_waited_for() {
    let scripts = tree();
    let mut daemon = deaf_daemon(&scripts, "0.5");
    let reaper = std::thread::spawn(move || daemon.wait());
    let said = call(&scripts, &[], "ResourceManager takegroup good::q");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert!(!scripts.all_calls().is_empty());
    reaper.join().expect("joined").expect("ended");
}

#[test]
fn a_running_daemon_that_does_not_listen_is_never_worked_beside() {
    let scripts = tree();
    let mut daemon = deaf_daemon(&scripts, "30");
    let said = call(&scripts, &[], "ResourceManager takegroup good::q");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("does not listen"), "{}", said.err);
    assert!(scripts.all_calls().is_empty());
    daemon.kill().expect("kill");
    daemon.wait().expect("wait");
}

/// The daemon is dead, and its guardian is about to start it again or to release what it held.
#[test]
fn a_guardian_at_work_is_never_worked_beside() {
    let scripts = tree();
    fs::create_dir_all(&scripts.paths.run_dir).expect("run");
    let lock = locks::take_lock(&scripts.paths.guardian_lock());
    let lock = lock.expect("a lock").expect("free");
    for pid_file in [None, Some("2147483647\n")] {
        if let Some(text) = pid_file {
            fs::write(&scripts.paths.pid_file, text).expect("pid file");
        }
        for verb in ["takegroup", "givegroup"] {
            let said = call(&scripts, &[], &format!("ResourceManager {verb} good::q"));
            assert_eq!(said.code, 1, "{verb}");
            assert!(said.err.contains("its guardian"), "{}", said.err);
        }
        call(&scripts, &[], "mach_down beta");
    }
    assert!(scripts.all_calls().is_empty());
    // Its work is done: there is no guardian any more.
    drop(lock);
    let said = call(&scripts, &[], "ResourceManager takegroup good::q");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    assert_eq!(scripts.calls(), ["good q start", "good w start"]);
}

/// The script of an `ip-request-resp` waits for its turn, and the node is stopped meanwhile.
#[test]
fn a_notification_script_of_a_daemon_that_has_ended_starts_nothing() {
    let scripts = tree();
    let variables = [("HA_OSTATUS", "active")];
    let said = call(&scripts, &variables, "ResourceManager takegroup good::q");
    assert_eq!(said.code, 1);
    assert!(said.err.contains("has ended"), "{}", said.err);
    assert!(scripts.all_calls().is_empty());
    let said = call(&scripts, &variables, "ResourceManager givegroup good::q");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
}

#[test]
fn standby_and_takeover_write_what_legacy_writes() {
    let scripts = tree();
    let fifo = scripts.paths.fifo();
    fs::create_dir_all(&scripts.paths.var_lib).expect("directory");

    // There is no reader: a message says so, and no file is made.
    let said = call(&scripts, &[], "hb_standby");
    assert_eq!((said.code, fifo.exists()), (1, false));
    assert!(said.err.contains("heartbeat is not running"));
    fs::write(&fifo, "").expect("file");
    assert_eq!(call(&scripts, &[], "hb_standby").code, 1);
    assert_eq!(fs::read_to_string(&fifo).expect("file"), "", "left alone");
    fs::remove_file(&fifo).expect("remove");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    assert_eq!(
        call(&scripts, &[], "hb_standby").code,
        1,
        "a FIFO without a reader"
    );

    let mut daemon = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("open");
    let mut wrote = |words: &str| {
        let said = call(&scripts, &[], words);
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (0, "", ""),
            "{words}"
        );
        let mut bytes = [0; 200];
        let count = std::io::Read::read(&mut daemon, &mut bytes).expect("read");
        String::from_utf8_lossy(&bytes[..count]).replace('\n', " ")
    };
    for (word, set) in [("", "all"), (" local", "local"), (" failback", "foreign")] {
        assert_eq!(
            wrote(&format!("hb_standby{word}")),
            format!(">>> t=ask_resources rsc_hold={set} info=me <<< ")
        );
    }
    for (word, set) in [("", "all"), (" foreign", "foreign"), (" failback", "local")] {
        assert_eq!(
            wrote(&format!("hb_takeover{word}")),
            format!(">>> t=hb_takeover rsc_hold={set} <<< ")
        );
    }
    // From the hook of a takeover message, which the daemon has already carried out.
    let hook = [("HA_t", "hb_takeover")];
    assert_eq!(call(&scripts, &hook, "hb_standby foreign").code, 0);
    nix::fcntl::fcntl(
        &daemon,
        nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK),
    )
    .expect("fcntl");
    assert!(
        std::io::Read::read(&mut daemon, &mut [0; 10]).is_err(),
        "nothing written"
    );
}

#[test]
fn changes_of_the_node_table_write_what_legacy_writes() {
    let scripts = tree();
    for (words, form) in [
        ("hb_addnode", "hb_addnode <node> <node> ..."),
        ("hb_delnode --help", "hb_delnode <node> <node> ..."),
        ("hb_setweight", "hb_setweight <node> <weight>"),
        ("hb_setsite --help", "hb_setsite <node> <site>"),
    ] {
        let said = call(&scripts, &[], words);
        let usage = format!("usage: {form}\n");
        assert_eq!((said.code, said.out, said.err), (1, usage, String::new()));
    }
    assert_eq!(call(&scripts, &[], "hb_addnode gamma").code, 1, "no daemon");
    let fifo = scripts.paths.fifo();
    fs::create_dir_all(&scripts.paths.var_lib).expect("directory");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let mut daemon = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .expect("open");
    for (words, wanted) in [
        ("hb_addnode c d", ">>>\nt=addnode\nnodelist=c d\n<<<\n"),
        ("hb_delnode c", ">>>\nt=delnode\nnodelist=c\n<<<\n"),
        (
            "hb_setweight c 7",
            ">>>\nt=setweight\nnode=c\nweight=7\n<<<\n",
        ),
        ("hb_setsite c", ">>>\nt=setsite\nnode=c\nsite=\n<<<\n"),
    ] {
        let said = call(&scripts, &[], words);
        assert_eq!(
            (said.code, said.out.as_str(), said.err.as_str()),
            (0, "", "")
        );
        let mut bytes = [0; 200];
        let count = std::io::Read::read(&mut daemon, &mut bytes).expect("read");
        assert_eq!(String::from_utf8_lossy(&bytes[..count]), wanted);
    }
    let long = format!("hb_addnode {}", "n".repeat(5000));
    assert_eq!(call(&scripts, &[], &long).code, 1);
}

#[test]
fn a_third_node_is_refused_beside_a_daemon_with_groups() {
    let scripts = beside_a_daemon(Scripts::new(), &[], |scripts| {
        // This daemon's membership has not counted a node yet.
        let said = call(scripts, &[], "hb_addnode beta gamma delta");
        assert_eq!(said.code, 1);
        assert!(said.err.contains("Pacemaker"), "{}", said.err);
    });
    assert!(!scripts.paths.fifo().exists());
}

#[test]
fn a_caller_that_waits_gets_no_message_that_the_request_was_written() {
    let scripts = tree();
    for words in ["hb_standby --wait", "hb_takeover local --wait"] {
        let said = call(&scripts, &[], words);
        assert_eq!(said.code, 1, "{words}");
        assert!(
            said.err.contains("heartbeat is not running"),
            "{}",
            said.err
        );
    }
    // A daemon without another active node: no message is written that it would have to refuse
    // later.
    let scripts = beside_a_daemon(Scripts::new(), &[], |scripts| {
        let said = call(scripts, &[], "hb_standby --wait");
        assert_eq!(said.code, 1);
        assert!(said.err.contains("no other node is active"), "{}", said.err);
    });
    assert!(!scripts.paths.fifo().exists());
}

#[test]
fn standby_refuses_other_words_as_legacy_does() {
    let scripts = tree();
    let said = |words: &str| {
        let said = call(&scripts, &[], words);
        assert_eq!(said.code, 1);
        let program = words.split(' ').next().expect("program");
        assert_eq!(
            said.err,
            format!("/usr/share/heartbeat/{program} [all|foreign|local|failback]\n")
        );
        said.out
    };
    assert_eq!(said("hb_standby --help"), "usage:\n");
    assert_eq!(
        said("hb_standby foo"),
        "/usr/share/heartbeat/hb_standby: wrong resources(foo).\nusage:\n"
    );
    assert_eq!(
        said("hb_takeover all local"),
        "/usr/share/heartbeat/hb_takeover: too many arguments\nusage:\n"
    );
}

#[test]
fn script_output_is_copied_and_cut() {
    let directory = tempfile::TempDir::new().expect("tempdir");
    let file = directory.path().join("debug");
    pump(
        &mut &b"one\ntwo\n"[..],
        &file,
        Last::default(),
        Clock::start(),
    )
    .expect("pump");
    pump(&mut &b"three\n"[..], &file, Last::default(), Clock::start()).expect("pump");
    assert_eq!(
        fs::read_to_string(&file).expect("file"),
        "one\ntwo\nthree\n"
    );

    let flood = vec![b'x'; 5 * 1024 * 1024];
    pump(
        &mut flood.as_slice(),
        &file,
        Last::default(),
        Clock::start(),
    )
    .expect("pump");
    let text = fs::read_to_string(&file).expect("file");
    assert!(text.len() < 1024 * 1024 + 200, "{}", text.len());
    assert!(text.ends_with("[more output discarded: over 1 MiB within a minute]\n"));
    // A file that cannot be written stops no writer.
    pump(
        &mut flood.as_slice(),
        Path::new("/nonexistent/x"),
        Last::default(),
        Clock::start(),
    )
    .expect("pump");
}
