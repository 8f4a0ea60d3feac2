//! The installed helper program: selected by its name, and as the output program of scripts for the
//! debug log. Spec: docs/protocol/resources.md, 9; docs/protocol/tools.md, 4.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use systole::agents::child::record::Recorded;
use systole::agents::child::{ChildSpec, ExitReport, OutputTarget, run};
use systole::agents::script::Environment;
use tempfile::TempDir;

fn installed(directory: &Path, name: &str) -> PathBuf {
    let link = directory.join(name);
    symlink(env!("CARGO_BIN_EXE_ha_helper"), &link).expect("link");
    link
}

#[expect(
    clippy::disallowed_methods,
    reason = "a test runs the program as a script would"
)]
fn call(program: &Path, words: &[&str]) -> Output {
    std::process::Command::new(program)
        .args(words)
        .output()
        .expect("the program runs")
}

#[test]
fn one_program_answers_to_all_names() {
    let directory = TempDir::new().expect("tempdir");
    let code = |name: &str, words: &[&str]| {
        call(&installed(directory.path(), name), words)
            .status
            .code()
    };
    assert_eq!(code("ResourceManager", &["nonsense"]), Some(1));
    assert_eq!(code("req_resource", &["key"]), Some(0));
    assert_eq!(code("mach_down", &[]), Some(0));
    assert_eq!(code("hb_standby", &["nonsense"]), Some(1));
    assert_eq!(code("hb_takeover", &["all", "local"]), Some(1));
    assert_eq!(code("something_else", &[]), Some(1));
    let own = Path::new(env!("CARGO_BIN_EXE_ha_helper"));
    assert_eq!(call(own, &["req_resource", "key"]).status.code(), Some(0));
    assert_eq!(call(own, &[]).status.code(), Some(1));
}

#[test]
fn cl_respawn_starts_again_until_the_magic_code_and_ends_with_its_child() {
    let directory = TempDir::new().expect("tempdir");
    let at = |name: &str| directory.path().join(name).display().to_string();
    let program = installed(directory.path(), "cl_respawn");
    assert_eq!(call(&program, &[]).status.code(), Some(2));
    let help = call(&program, &["-h"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).starts_with("Usage cl_respawn "));
    let body = format!(
        "echo run >>{0}; [ $(wc -l <{0}) -lt 2 ] || exit 7",
        at("runs")
    );
    let ended = call(&program, &["-m", "7", "sh", "-c", &body]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(fs::read_to_string(at("runs")).expect("runs"), "run\nrun\n");
    // A program that cannot be started is not tried for ever.
    assert_eq!(call(&program, &[&at("nonexistent")]).status.code(), Some(0));

    let pid_file = at("pid");
    let body = format!(
        "echo $$ >{0}.new; mv {0}.new {0}; exec sleep 60",
        at("child")
    );
    #[expect(clippy::disallowed_methods, reason = "a test runs the program")]
    let mut respawn = std::process::Command::new(&program)
        .args(["-p", &pid_file, "sh", "-c", &body])
        .spawn()
        .expect("it starts");
    let child = loop {
        match fs::read_to_string(at("child")) {
            Ok(text) => break text.trim().parse::<i32>().expect("a number"),
            Err(_) => std::thread::yield_now(),
        }
    };
    let second = call(&program, &["-p", &pid_file, "true"]);
    assert_eq!(second.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already running"));
    let own = nix::unistd::Pid::from_raw(i32::try_from(respawn.id()).expect("small"));
    nix::sys::signal::kill(own, nix::sys::signal::Signal::SIGTERM).expect("kill");
    assert_eq!(respawn.wait().expect("wait").code(), Some(0));
    assert!(
        !Path::new(&format!("/proc/{child}")).exists(),
        "the child lives on"
    );
    assert!(!Path::new(&pid_file).exists());
}

/// A caller that ignores SIGCHLD passes that on. The exit code of a child counts all the same.
#[test]
fn a_caller_that_ignores_its_children_changes_nothing() {
    let directory = TempDir::new().expect("tempdir");
    let program = installed(directory.path(), "cl_respawn");
    let runs = directory.path().join("runs");
    let call_it = format!(
        "trap '' CHLD; exec {} -m 7 sh -c 'echo run >>{1}; [ $(wc -l <{1}) -lt 3 ] || exit 7; exit 1'",
        program.display(),
        runs.display()
    );
    // The caller is a shell that leaves the signal ignored, as its child's status shows.
    let shown = call(
        Path::new("/bin/bash"),
        &["-c", "trap '' CHLD; exec grep SigIgn /proc/self/status"],
    );
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let mask = u64::from_str_radix(shown.trim_start_matches("SigIgn:").trim(), 16).expect("a mask");
    assert_eq!(mask >> 16 & 1, 1, "{shown}");
    let ended = call(Path::new("/bin/bash"), &["-c", &call_it]);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    let runs = fs::read_to_string(runs).expect("runs");
    assert_eq!(runs, "run\nrun\nrun\n");
}

struct Script {
    directory: TempDir,
    spec: ChildSpec,
}

impl Script {
    fn new(body: &str) -> Self {
        let directory = TempDir::new().expect("tempdir");
        let program = directory.path().join("script");
        fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("script");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        let pump = installed(directory.path(), "script_output");
        let spec = ChildSpec {
            program,
            args: Vec::new(),
            environment: Arc::new(Environment::default()),
            directory: Some(directory.path().to_owned()),
            capture: false,
            output: OutputTarget {
                file: Some(directory.path().join("debug")),
                pump: Some(pump),
            },
            limit: Duration::from_secs(20),
            kill_after: Duration::from_secs(1),
            record: None,
            last_words: false,
            told: None,
            alone: false,
        };
        Self { directory, spec }
    }

    fn run(&self) -> ExitReport {
        actix_rt::System::new().block_on(run(self.spec.clone(), ()))
    }

    /// The debug log once it contains `text`; after ten seconds as it is.
    #[expect(clippy::disallowed_methods, reason = "a test may wait")]
    fn log_with(&self, text: &str) -> String {
        let path = self.directory.path().join("debug");
        let mut log = String::new();
        for _ in 0..400 {
            log = fs::read_to_string(&path).unwrap_or_default();
            if log.contains(text) {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        log
    }
}

/// The process beside it does not lead its process group any more: a stop must not run beside it.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test may wait")]
fn a_script_that_has_begun_a_session_of_its_own_is_ended_after_its_time() {
    for trap in ["", "trap '' TERM; "] {
        let mut script = Script::new(&format!(
            "exec setsid sh -c \"{trap}echo \\$\\$ >pid; while :; do sleep 0.1; done\""
        ));
        script.spec.limit = Duration::from_secs(2);
        script.spec.record = Some(Recorded {
            place: script.directory.path().join("group"),
            operation: "start".to_owned(),
            word: "x".to_owned(),
            shim: Some(env!("CARGO_BIN_EXE_heartbeat").into()),
        });
        assert!(script.run().overdue);
        let pid = fs::read_to_string(script.directory.path().join("pid")).expect("it ran");
        // It runs no instruction of its own any more, but on a busy machine its end may take a moment.
        let mut stat = String::new();
        for _ in 0..400 {
            stat = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
            if stat.is_empty() || stat.contains(") Z ") {
                break;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        assert!(stat.is_empty() || stat.contains(") Z "), "{trap} {stat}");
    }
}

#[test]
fn a_flood_fills_no_disk_and_delays_no_process() {
    let script = Script::new("head -c 50000000 /dev/zero | tr '\\0' x; exit 3");
    assert_eq!(script.run().code(), 3);
    let log = script.log_with("discarded");
    assert!(
        log.contains("discarded") && log.len() < 1024 * 1024 + 200,
        "{}",
        log.len()
    );
}

/// Also if it wrote much more, or if a process that it left behind holds its output open.
#[test]
fn the_last_words_of_a_failure_are_in_the_report() {
    let mut script = Script::new(
        "head -c 300000 /dev/zero | tr '\\0' '\\n'; (sleep 20; echo late) &\n\
         echo trying; printf '\\033[31mcannot open /dev/drbd0\\033[0m\\n' >&2; exit 3",
    );
    script.spec.last_words = true;
    let report = script.run();
    assert_eq!(report.code(), 3);
    assert_eq!(
        report.said.as_deref(),
        Some("trying | cannot open /dev/drbd0")
    );
    // Without a log as well.
    script.spec.output.file = None;
    let said = script.run().said;
    assert_eq!(said.as_deref(), Some("trying | cannot open /dev/drbd0"));
    let mut script = Script::new("echo fine; echo fine >&2");
    script.spec.last_words = true;
    assert_eq!(script.run().said, None);
}

#[test]
fn a_service_left_behind_goes_on_writing_when_we_are_gone() {
    let script =
        Script::new("(sleep 0.5; echo still; echo here; echo $? > written) & echo started");
    // The runtime, and with it everything that this process held open, is gone after this line.
    assert_eq!(script.run().code(), 0);
    assert_eq!(script.log_with("here"), "started\nstill\nhere\n");
    assert_eq!(
        fs::read_to_string(script.directory.path().join("written")).expect("it lived"),
        "0\n"
    );
}

#[test]
fn output_follows_a_renamed_log() {
    let script = Script::new("echo first; sleep 0.6; echo second");
    let debug = script.directory.path().join("debug");
    let old = script.directory.path().join("debug.1");
    let rename = std::thread::spawn({
        let (debug, old) = (debug.clone(), old.clone());
        #[expect(clippy::disallowed_methods, reason = "a test may wait")]
        move || {
            std::thread::sleep(Duration::from_millis(300));
            fs::rename(debug, old)
        }
    });
    assert_eq!(script.run().code(), 0);
    rename.join().expect("no panic").expect("renamed");
    assert_eq!(script.log_with("second"), "second\n");
    assert_eq!(fs::read_to_string(old).expect("old log"), "first\n");
}

/// As in legacy: without the file it is not known what to start or stop.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test runs the program as a script would"
)]
fn an_ocf_agent_without_the_file_of_its_instance_is_not_called() {
    let root = TempDir::new().expect("tempdir");
    let agents = root.path().join("resource.d/some");
    fs::create_dir_all(&agents).expect("agents");
    let called = root.path().join("called");
    for name in ["Dummy", "Delay"] {
        let agent = agents.join(name);
        fs::write(&agent, format!("#!/bin/sh\ntouch {}\n", called.display())).expect("agent");
        fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).expect("mode");
    }
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/libexec/ocf_resource");
    let call = |words: &[&str]| {
        std::process::Command::new("sh")
            .arg(&program)
            .args(words)
            .env("OCF_ROOT", root.path())
            .env("OCF_AGENTS", &agents)
            .output()
            .expect("sh runs")
    };
    for operation in ["start", "stop", "status"] {
        let output = call(&["OCF", "Dummy", "no-such-instance", operation]);
        assert_eq!(output.status.code(), Some(1), "{operation}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        let file = "/etc/ha.d/conf/OCF/Dummy/no-such-instance cannot be read";
        assert!(said.contains(file), "{operation}: {said}");
        assert!(!called.exists(), "{operation} called the agent");
    }
    // An agent that needs no such file is called.
    assert_eq!(call(&["Delay", "start"]).status.code(), Some(0));
    assert!(called.exists());
}

/// An agent without a wrapper in resource.d: its parameters have names.
#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test runs the program as a script would"
)]
fn an_ocf_agent_without_a_wrapper_gets_its_parameters_by_name() {
    let root = TempDir::new().expect("tempdir");
    let agents = root.path().join("resource.d/some");
    fs::create_dir_all(&agents).expect("agents");
    let agent = agents.join("thing");
    let text = "#!/bin/sh\necho \"$1 $OCF_RESKEY_config|$OCF_RESKEY_user|$OCF_RESOURCE_INSTANCE\"\n\
                [ \"$1\" != monitor ] || exit ${OCF_RESKEY_code:-0}\n";
    fs::write(&agent, text).expect("agent");
    fs::set_permissions(&agent, fs::Permissions::from_mode(0o755)).expect("mode");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/libexec/ocf_resource");
    let call = |words: &[&str]| {
        let output = std::process::Command::new("sh")
            .arg(&program)
            .args(words)
            .env("OCF_ROOT", root.path())
            .env("OCF_AGENTS", &agents)
            .output()
            .expect("sh runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code(),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let (code, said, _) = call(&["thing", "config=/etc/a b=c", "user=x;touch /y", "start"]);
    assert_eq!(code, Some(0));
    let agent_said = "start /etc/a b=c|x;touch /y|thing__etc_a_b_c_x_touch__y\n";
    assert!(said.starts_with(agent_said), "{said}");
    for (bad, fine) in [
        ("plain", false),
        ("=x", false),
        ("1a=x", false),
        ("a-b=x", false),
        ("a=", true),
    ] {
        let (code, _, complaint) = call(&["thing", bad, "start"]);
        assert_eq!(code, Some(i32::from(!fine)), "{bad}: {complaint}");
        assert_eq!(
            complaint.contains("written name=value"),
            !fine,
            "{bad}: {complaint}"
        );
    }
    for (code, says) in [("0", "Running OK"), ("7", "stopped"), ("1", ""), ("9", "")] {
        let (ended, said, _) = call(&["thing", &format!("code={code}"), "status"]);
        assert_eq!(ended.map(|it| it.to_string()), Some(code.to_owned()));
        assert!(said.contains(says), "{said}");
        assert_eq!(
            said.contains("unning") || said.contains("OK"),
            code == "0",
            "{said}"
        );
    }
}

/// A `systemctl` that keeps the state of one unit in files.
const SYSTEMCTL: &str = r#"#!/bin/sh
cd "$UNITS" || exit 1
echo "$*" >>calls
[ ! -e dead ] || { echo "Failed to connect to bus" >&2; exit 1; }
case $1 in
  show)
    name=${2#--property=}
    [ -e "$4" ] || { case $name in LoadState) echo LoadState=not-found ;; ActiveState) echo ActiveState=inactive ;; *) echo "$name=" ;; esac; exit 0; }
    if [ "$name" = ActiveState ] && [ -s then ]; then
      line=$(head -1 then); sed -i 1d then; echo "ActiveState=$line"; exit 0
    fi
    case $name in
      ActiveState) echo "ActiveState=$(cat "$4")" ;;
      SubState) echo "SubState=$(cat sub 2>/dev/null)" ;;
      LoadState) echo LoadState=loaded ;;
      UnitFileState) echo "UnitFileState=$(cat file 2>/dev/null || echo disabled)" ;;
      *) echo "$name=exit-code" ;;
    esac ;;
  start) [ -e broken ] && { echo failed >"$3"; exit 1; }; echo active >"$3" ;;
  stop) [ -e "$3" ] || exit 5; [ -e stuck ] || echo inactive >"$3" ;;
esac
"#;

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test runs the program as a script would"
)]
fn a_systemd_unit_is_a_resource() {
    let root = TempDir::new().expect("tempdir");
    let here = root.path();
    let file = |name: &str, text: &str| fs::write(here.join(name), text).expect("written");
    let gone = |name: &str| fs::remove_file(here.join(name)).expect("removed");
    file("systemctl", SYSTEMCTL);
    fs::set_permissions(here.join("systemctl"), fs::Permissions::from_mode(0o755)).expect("mode");
    file("web.service", "inactive");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/ha.d/resource.d/systemd");
    let path = format!(
        "{}:{}",
        here.display(),
        std::env::var("PATH").expect("PATH")
    );
    let call = |words: &[&str]| {
        let output = std::process::Command::new("sh")
            .arg(&program)
            .args(words)
            .env("PATH", &path)
            .env("UNITS", here)
            .output()
            .expect("sh runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().expect("it ends"),
            text(&output.stdout),
            text(&output.stderr),
        )
    };
    let runs = |says: &str| systole::agents::script::says_running(says.as_bytes());
    let status = |code: i32, running: bool| {
        let (ended, said, _) = call(&["web.service", "status"]);
        assert_eq!((ended, runs(&said)), (code, running), "{said}");
    };
    status(3, false);
    // Without its suffix it is a service.
    assert_eq!(call(&["web", "start"]), (0, String::new(), String::new()));
    status(0, true);
    assert_eq!(call(&["web.service", "start"]).0, 0, "twice");
    // Something of it runs.
    for state in ["activating", "deactivating", "reloading", "maintenance"] {
        file("web.service", state);
        status(0, true);
    }
    file("then", "deactivating\ndeactivating\n");
    assert_eq!(call(&["web.service", "stop"]).0, 0, "it is waited for");
    assert_eq!(fs::read_to_string(here.join("then")).expect("read"), "");
    status(3, false);
    assert_eq!(call(&["web.service", "stop"]).0, 0, "twice");
    file("web.service", "failed");
    status(3, false);

    file("broken", "");
    let (code, _, said) = call(&["web.service", "start"]);
    assert!(
        code == 1 && said.contains("web.service is failed"),
        "{said}"
    );
    gone("broken");
    // systemd would try it for ever.
    file("then", "activating\n");
    file("sub", "auto-restart");
    let (code, _, said) = call(&["web.service", "start"]);
    assert!(
        code == 1 && said.contains("activating (auto-restart"),
        "{said}"
    );
    gone("sub");
    file("then", "");
    file("file", "enabled");
    let (code, _, said) = call(&["web.service", "start"]);
    assert!(
        code == 0 && said.contains("systemctl disable web.service"),
        "{said}"
    );

    file("web.service", "active");
    file("stuck", "");
    assert_eq!(call(&["web.service", "stop"]).0, 1, "it runs still");
    file("dead", "");
    let (code, said, _) = call(&["web.service", "status"]);
    assert!(code == 4 && !runs(&said), "{said}");
    assert_eq!(call(&["web.service", "start"]).0, 1, "nobody knows");
    assert_eq!(call(&["web.service", "stop"]).0, 1, "nobody knows");
    gone("dead");

    let (code, _, said) = call(&["other.service", "start"]);
    assert!(
        code == 5 && said.contains("no unit other.service"),
        "{said}"
    );
    assert_eq!(call(&["other.service", "stop"]).0, 0);
    for bad in [
        &["start"][..],
        &["web", "restart"],
        &["--now", "stop"],
        &["", "stop"],
        &["a/b", "stop"],
    ] {
        assert_eq!(call(bad).0, 2, "{bad:?}");
    }
}
