use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::actors::resource_group::tests::Scripts;
use crate::config::environment::Machine;
use crate::config::load::{LoadOptions, load};
use crate::helper::tests::configure;

/// What a release logged, and how often it wanted the machine restarted.
struct Seen {
    said: Vec<String>,
    restarts: usize,
}

impl Seen {
    fn of(scripts: &Scripts, config: Option<&Config>) -> Self {
        Self::until(scripts, config, None)
    }

    fn until(scripts: &Scripts, config: Option<&Config>, deadline: Option<&Deadline>) -> Self {
        let said = RefCell::new(Vec::new());
        let restarts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&restarts);
        let release = Release {
            paths: &scripts.paths,
            config,
            why: Some(Why::NotStartable),
            detail: "no memory",
            say: &|_, text| said.borrow_mut().push(text),
            restart: Arc::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
                "not in a test".to_owned()
            }),
            deadline,
        };
        assert_eq!(release.run(), EXIT_GENERIC);
        Self {
            said: said.into_inner(),
            restarts: restarts.load(Ordering::Relaxed),
        }
    }

    fn says(&self, part: &str) -> bool {
        self.said.iter().any(|text| text.contains(part))
    }
}

/// A node that holds nothing is not restarted because of it.
#[test]
fn what_may_run_is_what_the_daemon_wrote_down() {
    for (held, expected) in [
        (HELD, true),
        ("-R\n-C\nlocal\n--\nsystole: unfinished good::z\n", true),
        ("-R\n-C\nnone\n", false),
        ("-R\n-C\nforeign\n--\n", false),
        ("cut", true),
        ("-Z\n", true),
    ] {
        assert_eq!(may_run(&tree(held).paths), expected, "{held}");
    }
    let scripts = tree("");
    fs::remove_file(scripts.paths.held()).unwrap();
    assert!(may_run(&scripts.paths));
}

/// A tree with two groups, of which the first two resources run.
fn tree(held: &str) -> Scripts {
    let scripts = Scripts::new();
    scripts.haresources("alpha good::a good::b\nbeta good::z\n");
    fs::create_dir_all(&scripts.paths.run_dir).unwrap();
    fs::write(scripts.paths.held(), held).unwrap();
    // Time limits for the scripts of a test.
    fs::write(&scripts.paths.settings, "script_time_limit_s = 20\n").unwrap();
    scripts
}

const HELD: &str = "-R\n-C\nall\n--\ngood::a\nsystole: unfinished good::z\n";

#[test]
fn everything_is_released_and_the_reason_is_said() {
    let scripts = tree(HELD);
    // An earlier version wrote that file.
    let beat = scripts.paths.pid_file.with_extension("beat");
    fs::write(&beat, "1").unwrap();
    let seen = Seen::of(&scripts, None);
    // The groups at the same time, each from its last resource to its first.
    let calls = scripts.calls();
    let group: Vec<_> = calls.iter().filter(|call| !call.contains(" z ")).collect();
    assert_eq!(group, ["good b stop", "good a stop"]);
    assert!(calls.contains(&"good z stop".to_owned()));
    assert!(
        seen.says(
            "guardian: the daemon is gone and cannot be started again (no memory): releasing"
        )
    );
    assert!(seen.says("guardian: all resources are released"));
    assert!(!scripts.paths.held().exists());
    assert!(!beat.exists(), "nobody else removes it");
}

/// A group may have been removed from haresources while it ran, and only that file named it.
#[test]
fn everything_may_run_where_the_record_cannot_be_read() {
    let unknown = "-R\n-C\nnone\nsystole: unknown\n--\n";
    for held in ["cut", "", "-Z\n", "{", unknown, "none"] {
        let scripts = tree(held);
        if held == "none" {
            fs::remove_file(scripts.paths.held()).unwrap();
        }
        assert!(may_run(&scripts.paths), "{held}");
        configure(&scripts, "env VOLUME=eleven\n");
        let loaded = load(&scripts.paths, &Machine, &LoadOptions::default()).unwrap();
        // The groups that haresources named when the daemon began may run as well.
        scripts.haresources("alpha good::a good::b\n");
        let seen = Seen::of(&scripts, Some(&loaded.config));
        let mut calls = scripts.calls();
        calls.sort();
        assert_eq!(calls, ["good a stop", "good b stop", "good z stop"]);
        let what = "may still run here: what ";
        assert!(seen.says(what) && seen.says("heartbeat.held named. Stop it by hand"));
        assert!(!seen.says("all resources are released"), "{held}");
        let read = "read";
        let not_found = "a group that is in haresources no more is not found";
        assert!(seen.says(if held == unknown { read } else { not_found }));
        assert_eq!(scripts.paths.held().exists(), held != "none");
    }
}

/// Perhaps only the record of what is held could not be written.
#[test]
fn what_any_file_of_a_dead_daemon_speaks_of_is_released() {
    let scripts = tree("");
    let paths = &scripts.paths;
    let files = [paths.held(), paths.last_good(), paths.identity()];
    for file in &files {
        files.iter().for_each(|file| files::forget(file));
        assert!(take_orphans(paths).is_none());
        fs::write(file, "").unwrap();
        assert!(take_orphans(paths).is_some(), "{}", file.display());
        let guardian = take_lock(&paths.guardian_lock()).unwrap();
        assert!(take_orphans(paths).is_none());
        drop(guardian);
    }
}

/// Then the older part of the file counts, and a complaint is logged.
#[test]
fn a_state_that_cannot_be_used_is_said() {
    let scripts = tree("-R\n-C\nall\nsystole: state {\n--\ngood::a\ngood::gone\n");
    let seen = Seen::of(&scripts, None);
    assert!(seen.says("held: the state in it cannot be used: EOF"));
    assert!(scripts.calls().contains(&"good gone stop".to_owned()));
}

#[test]
fn a_daemon_that_runs_is_left_alone() {
    let scripts = tree(HELD);
    let _daemon = take_lock(&scripts.paths.daemon_lock()).unwrap().unwrap();
    assert!(Seen::of(&scripts, None).says("a daemon runs"));
    assert!(scripts.calls().is_empty());
    assert!(scripts.paths.held().exists());
}

#[test]
fn what_is_in_haresources_no_more_is_released_as_far_as_it_is_known() {
    let scripts = tree("-R\n-C\nlocal\n--\ngood::a\ngood::gone\n");
    let seen = Seen::of(&scripts, None);
    assert!(scripts.calls().contains(&"good gone stop".to_owned()));
    assert!(seen.says("not released, and may still run here: the rest of good::gone."));
    assert!(!seen.says("all resources are released"));
    assert!(scripts.paths.held().exists());
}

#[test]
fn without_haresources_what_was_held_is_released_and_success_is_not_claimed() {
    let scripts = tree(HELD);
    fs::remove_file(scripts.paths.haresources()).unwrap();
    let seen = Seen::of(&scripts, None);
    let mut calls = scripts.calls();
    calls.sort();
    assert_eq!(calls, ["good a stop", "good z stop"]);
    assert!(seen.says("haresources: No such file"));
    assert!(!seen.says("all resources are released"));
    assert!(scripts.paths.held().exists());
    // Without both, nothing is known.
    fs::write(scripts.paths.held(), "cut").unwrap();
    let seen = Seen::of(&scripts, None);
    assert!(seen.says("not whole") && seen.says("may still run here: what "));
}

#[test]
fn a_resource_that_does_not_stop_restarts_the_machine_and_the_rest_is_released() {
    let scripts = tree(HELD);
    // The script was ended twice at its limit: it is not tried again, which would take longer.
    fs::write(&scripts.paths.settings, "script_time_limit_s = 1\n").unwrap();
    scripts.resource(
        "stuck",
        "[ $op = status ] && echo running && exit; sleep 20",
    );
    scripts.haresources("alpha good::a stuck::s\nalpha stuck::t\nbeta good::z\n");
    let seen = Seen::of(&scripts, None);
    // Logged once, for the group that is found first.
    let reasons =
        ["stuck::s", "stuck::t"].map(|word| format!("Rebooting the machine: {word} cannot"));
    assert!(reasons.iter().any(|reason| seen.says(reason)));
    assert!(seen.says("(not in a test)"));
    assert_eq!(seen.restarts, 1);
    assert!(seen.says("may still run here: good::a, stuck::t."));
    let calls = scripts.calls();
    assert!(calls.contains(&"good a stop".to_owned()), "{calls:?}");
    assert!(calls.contains(&"good z stop".to_owned()), "{calls:?}");
    assert!(scripts.paths.held().exists());
}

#[test]
fn scripts_run_with_what_the_files_say() {
    let scripts = tree(HELD);
    scripts.resource("good", "echo $op $HA_VOLUME >>$root/environment");
    configure(&scripts, "env VOLUME=eleven\n");
    let loaded = load(&scripts.paths, &Machine, &LoadOptions::default()).unwrap();
    let seen = Seen::of(&scripts, Some(&loaded.config));
    assert!(seen.says("all resources are released"));
    let environment = fs::read_to_string(scripts.file("environment")).unwrap();
    assert_eq!(
        environment.matches("stop eleven\n").count(),
        3,
        "{environment}"
    );
}

/// The other node takes over what could not be stopped, and would be one of two owners.
#[test]
fn the_deadline_is_called_off_only_when_nothing_runs() {
    for stops in [true, false] {
        let scripts = tree("-R\n-C\nall\n--\ngood::a\ngone::x\n");
        fs::write(&scripts.paths.settings, "script_time_limit_s = 1\n").unwrap();
        let body = "[ $op = status ] && echo running && exit; sleep 20";
        scripts.resource("stuck", if stops { "exit 0" } else { body });
        scripts.haresources("alpha good::a stuck::s\nbeta good::z\n");
        let (tell, told) = std::sync::mpsc::channel();
        let restart = move || {
            let _ = tell.send(());
            "not in a test".to_owned()
        };
        let left = Duration::from_secs(if stops { 3600 } else { 6 });
        let deadline = Deadline::arm(left, |_, _| {}, restart);
        let seen = Seen::until(&scripts, None, Some(&deadline));
        assert!(seen.says("may still run here: "));
        deadline.wait();
        assert_eq!(told.try_recv().is_ok(), !stops);
    }
}

/// The disk of the settings hangs: what runs is released all the same.
#[test]
fn settings_that_cannot_be_read_in_time_hold_nothing_up() {
    let scripts = tree(HELD);
    fs::remove_file(&scripts.paths.settings).unwrap();
    // A process that opens it waits for a writer.
    nix::unistd::mkfifo(&scripts.paths.settings, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let seen = Seen::of(&scripts, None);
    assert!(seen.says("timed out: the default settings count"));
    assert!(seen.says("guardian: all resources are released"));
}

/// The other node waits no longer for two groups than for one.
#[test]
fn groups_are_stopped_at_the_same_time() {
    let scripts = tree("-R\n-C\nall\n--\nmeets::a\n");
    scripts.resource(
        "meets",
        "touch $root/in.$1; n=0
         until [ -e $root/in.a ] && [ -e $root/in.z ]; do
             n=$((n + 1)); [ $n -gt 100 ] && exit; sleep 0.1
         done
         touch $root/met.$1",
    );
    scripts.haresources("alpha meets::a\nbeta meets::z\n");
    let seen = Seen::of(&scripts, None);
    assert!(seen.says("all resources are released"));
    assert!(scripts.file("met.a").exists() && scripts.file("met.z").exists());
}

/// If the file was moved away since, everything must be stopped all the same.
#[test]
fn what_haresources_said_is_released_where_it_cannot_be_read_any_more() {
    let scripts = tree(HELD);
    configure(&scripts, "env VOLUME=eleven\n");
    let loaded = load(&scripts.paths, &Machine, &LoadOptions::default()).unwrap();
    fs::remove_file(scripts.paths.haresources()).unwrap();
    let seen = Seen::of(&scripts, Some(&loaded.config));
    let mut calls = scripts.calls();
    calls.sort();
    assert_eq!(calls, ["good a stop", "good b stop", "good z stop"]);
    assert!(seen.says("what it said when the daemon began is released"));
    assert!(seen.says("guardian: all resources are released"));
    assert!(!scripts.paths.held().exists());
}
