use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::sync::Mutex;

use super::*;

fn spec(directory: &TempDir, body: &str) -> ChildSpec {
    let program = directory.path().join("script");
    fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("the script can be written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    ChildSpec {
        program,
        args: vec!["one".to_owned(), "two".to_owned()],
        environment: Arc::new(Environment::default()),
        directory: Some(directory.path().to_owned()),
        capture: true,
        output: OutputTarget::default(),
        limit: Duration::from_secs(20),
        kill_after: Duration::from_millis(300),
        record: None,
        last_words: false,
        told: None,
        alone: false,
    }
}

fn alive(pid: &str) -> bool {
    let pid: i32 = pid.trim().parse().expect("the script wrote its pid");
    // A zombie whose parent is another init counts as ended.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[actix::test]
async fn a_script_runs_alone_with_what_it_was_given() {
    let directory = TempDir::new().expect("tempdir");
    let mut spec = spec(
        &directory,
        r#"echo "$# $1 $2 $HA_x ${LANG-none}"; cat; ps -o pgid= -p $$ | tr -d ' '; echo $$; pwd; exit 7"#,
    );
    let mut environment = Environment::default();
    environment.set("HA_x", "a b");
    environment.unset("LANG");
    spec.environment = Arc::new(environment);
    let report = run(spec, ()).await;
    assert_eq!(report.ended, Ended::Exited(7));
    let text = String::from_utf8(report.stdout).expect("text");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "2 one two a b none");
    assert_eq!(lines[1], lines[2], "leads its own process group");
    let own = directory.path().canonicalize().expect("path");
    assert_eq!(Some(lines[3]), own.to_str());
}

#[actix::test]
async fn a_script_knows_its_directory_or_has_ours() {
    let directory = TempDir::new().expect("tempdir");
    let mut spec = spec(&directory, "");
    let there = directory.path().canonicalize().expect("path");
    // What is told, and not what a shell makes of it.
    spec.program = "/usr/bin/env".into();
    spec.args = Vec::new();
    for (directory, expected) in [(Some(there.clone()), Some(there)), (None, None)] {
        spec.directory = directory;
        let report = run(spec.clone(), ()).await;
        let text = String::from_utf8(report.stdout).expect("text");
        let told = text.lines().find_map(|line| line.strip_prefix("PWD="));
        assert_eq!(told.map(std::path::PathBuf::from), expected, "{text}");
    }
}

#[actix::test]
async fn no_descriptor_of_ours_is_inherited() {
    crate::os::sys::close_descriptors_on_exec().expect("close_range");
    let directory = TempDir::new().expect("tempdir");
    let _open = fs::File::open("/dev/null").expect("open");
    let mut spec = spec(&directory, "");
    spec.program = "/bin/ls".into();
    spec.args = vec!["/proc/self/fd".to_owned()];
    let report = run(spec, ()).await;
    // 3 is the directory that is listed.
    assert_eq!(String::from_utf8_lossy(&report.stdout), "0\n1\n2\n3\n");
}

#[actix::test]
async fn signals_and_missing_programs_have_shell_codes() {
    let directory = TempDir::new().expect("tempdir");
    let report = run(spec(&directory, "kill -9 $$"), ()).await;
    assert_eq!(report.ended, Ended::Signaled(9));
    assert_eq!(report.code(), 137);

    let mut missing = spec(&directory, "");
    missing.program = directory.path().join("nothing");
    assert_eq!(run(missing, ()).await.code(), 127);

    let plain = spec(&directory, "");
    fs::set_permissions(&plain.program, fs::Permissions::from_mode(0o644)).expect("chmod");
    assert_eq!(run(plain, ()).await.code(), 126);
}

#[actix::test]
async fn a_hanging_script_is_terminated_with_its_children() {
    let directory = TempDir::new().expect("tempdir");
    let mut spec = spec(&directory, "sleep 100 & echo $! > child; wait");
    spec.limit = Duration::from_secs(2);
    let report = run(spec, ()).await;
    assert!(report.overdue);
    assert_eq!(report.ended, Ended::Signaled(15));
    assert_eq!(report.code(), CODE_DEADLINE);
    let child = fs::read_to_string(directory.path().join("child")).expect("pid");
    assert!(!alive(&child));
}

#[test]
fn a_child_that_has_left_the_group_is_known() {
    let own = Pid::from_raw(7);
    let of = |stat: &str| group_of_child(own, stat).map(Pid::as_raw);
    assert_eq!(of("9 (a) b) S 7 9 9 0"), Some(9));
    assert_eq!(of("9 (sh) S 7 7 1 0"), None);
    assert_eq!(of("9 (sh) S 8 9 9 0"), None);
    assert_eq!(of("9 (sh) S 7"), None);
}

#[actix::test]
async fn a_script_that_ignores_term_is_killed() {
    let directory = TempDir::new().expect("tempdir");
    let mut spec = spec(&directory, "trap '' TERM; while :; do sleep 0.05; done");
    spec.limit = Duration::from_secs(2);
    let report = run(spec, ()).await;
    assert_eq!((report.ended, report.overdue), (Ended::Signaled(9), true));
}

#[actix::test]
async fn processes_that_outlive_a_terminated_leader_are_killed() {
    let directory = TempDir::new().expect("tempdir");
    let mut spec = spec(
        &directory,
        "(trap '' TERM; echo ready; while :; do sleep 0.05; done) & echo $! > child; wait",
    );
    spec.limit = Duration::from_secs(2);
    let report = run(spec, ()).await;
    assert_eq!((report.code(), report.overdue), (CODE_DEADLINE, true));
    sleep(Duration::from_millis(100)).await;
    assert!(!alive(
        &fs::read_to_string(directory.path().join("child")).expect("pid")
    ));
}

#[actix::test]
async fn a_flood_is_drained_and_cut() {
    let directory = TempDir::new().expect("tempdir");
    let report = run(spec(&directory, "head -c 20000000 /dev/zero"), ()).await;
    assert_eq!(report.ended, Ended::Exited(0));
    assert_eq!(report.stdout.len(), MAX_CAPTURED_BYTES);
}

#[actix::test]
async fn a_background_process_does_not_hold_up_the_report() {
    let directory = TempDir::new().expect("tempdir");
    let begun = crate::clock::Clock::start();
    let report = run(spec(&directory, "sleep 5 & echo running"), ()).await;
    assert_eq!(report.stdout, b"running\n");
    assert!(begun.now().instant.since_start() < Duration::from_secs(3));
}

#[actix::test]
async fn nor_does_one_that_goes_on_writing() {
    let directory = TempDir::new().expect("tempdir");
    let talk = "( while echo x; do sleep 0.05; done ) 2>&1 & echo running";
    let report = timeout(Duration::from_secs(3), run(spec(&directory, talk), ())).await;
    let text = report.expect("an end").stdout;
    assert!(text.windows(7).any(|word| word == b"running"), "{text:?}");
}

#[actix::test]
async fn output_is_appended_to_the_file() {
    let directory = TempDir::new().expect("tempdir");
    let log = directory.path().join("debug");
    fs::write(&log, "before\n").expect("log");
    let mut spec = spec(&directory, "echo out; echo err >&2");
    spec.capture = false;
    spec.output.file = Some(log.clone());
    // A missing output program is no error.
    spec.output.pump = Some(directory.path().join("no-pump"));
    let report = run(spec, ()).await;
    assert!(report.success() && report.stdout.is_empty());
    assert_eq!(fs::read_to_string(&log).expect("log"), "before\nout\nerr\n");
}

#[actix::test]
async fn the_turn_ends_with_the_child_not_with_the_waiter() {
    let directory = TempDir::new().expect("tempdir");
    let turns = Arc::new(Mutex::new(()));
    let turn = Arc::clone(&turns).lock_owned().await;
    let running = run(spec(&directory, "sleep 0.3; echo done > end"), turn);
    assert!(timeout(Duration::from_millis(50), running).await.is_err());
    assert!(turns.try_lock().is_err(), "the child still runs");
    let _turn = turns.lock().await;
    assert!(directory.path().join("end").exists());
}

/// A missing script needs no stop; a disk that fails leaves open whether there is one.
#[test]
fn a_file_that_cannot_be_looked_at_counts_as_a_program() {
    let error = |number: Errno| is_program_by(&Err(io::Error::from(number)));
    for there in [Errno::EIO, Errno::ESTALE, Errno::ENOMEM, Errno::EMFILE] {
        assert!(error(there), "{there}");
    }
    for gone in [Errno::ENOENT, Errno::ENOTDIR, Errno::ENAMETOOLONG] {
        assert!(!error(gone), "{gone}");
    }
    assert!(is_program_by(&Ok((true, 0o100_755))));
    assert!(!is_program_by(&Ok((true, 0o100_644))));
    assert!(!is_program_by(&Ok((false, 0o40_755))));
}

#[test]
fn who_has_ended_and_is_not_reaped_does_not_live() {
    let of = |stat: &str| group_of_living(stat).map(Pid::as_raw);
    assert_eq!(of("7 (a) b) D 1 77 77 0"), Some(77));
    assert_eq!(of("7 (a b) S 1 78 77 0"), Some(78));
    for stat in [
        "7 (a) Z 1 77 77 0",
        "7 (a) X 1 77 77 0",
        "7 (a)",
        "",
        "7 (a) S 1 x",
    ] {
        assert_eq!(of(stat), None, "{stat}");
    }
}

/// What outlives KILL cannot be made here: a process of another group stands for it, which ends later.
#[actix::test]
async fn the_groups_that_live_are_told() {
    let directory = TempDir::new().expect("tempdir");
    let mut spec = spec(&directory, "sleep 30 & echo $! > child; wait");
    spec.limit = Duration::from_secs(20);
    let (end, told) = tokio::sync::watch::channel(false);
    spec.told = Some(Told {
        input: Vec::new(),
        hidden: Vec::new(),
        call_off: told,
    });
    let running = actix_rt::spawn(run(spec, ()));
    let child = loop {
        if let Ok(pid) = fs::read_to_string(directory.path().join("child"))
            && let Ok(pid) = pid.trim().parse::<i32>()
        {
            break pid;
        }
        sleep(Duration::from_millis(20)).await;
    };
    let stat = fs::read_to_string(format!("/proc/{child}/stat")).expect("it lives");
    let group = group_of_living(&stat).expect("it lives");
    assert_eq!(alive_in(vec![group, Pid::from_raw(1 << 22)]).await, [group]);
    end.send_replace(true);
    running.await.expect("its end");
    assert_eq!(alive_in(vec![group]).await, []);
}
