//! Every recorded configuration case gets the legacy verdict, exit code, messages and parameters,
//! except where Systole is stricter or more tolerant on purpose: those cases are listed in [`OURS`]
//! with the reason.
//!
//! Spec: docs/protocol/config.md. Vectors: `tests/vectors/config`, `tests/vectors/field`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use systole::config::Config;
use systole::config::environment::{Environment, FileText, InterfaceProblem, PathKind};
use systole::config::load::{ConfigFailure, LoadOptions, Loaded, Purpose};
use systole::config::print;
use systole::config::types::MediumConfig;
use systole::inspect::{Finding, HostView, Network, load};
use systole::notice::Notice;
use systole::os::paths::Paths;

/// Our verdict on a case that legacy handles differently.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Our {
    /// It starts.
    Accepts,
    /// Exit code 6, with a line that contains this.
    Refuses(&'static str),
}

/// Cases whose verdict differs on purpose, with the reason of the page.
const OURS: &[(&str, Our, &str)] = &[
    (
        "crm_daemon_dir-alone",
        Our::Accepts,
        "4.8: legacy's order check is inverted",
    ),
    (
        "crm_daemon_dir-before",
        Our::Accepts,
        "4.8: legacy's order check is inverted",
    ),
    (
        "env-noeq",
        Our::Refuses("set_env: invalid nvpair(FOO)"),
        "4.5: legacy reads beyond the word",
    ),
    (
        "haresources-very-long-line",
        Our::Accepts,
        "6: no limit of 5118 bytes a line",
    ),
    (
        "long-comment-6000",
        Our::Accepts,
        "2.1: whole lines, the tail of a comment is no directive",
    ),
    ("long-comment-6000-words", Our::Accepts, "2.1: whole lines"),
    ("long-value-6000", Our::Accepts, "2.1: whole lines"),
    (
        "low-maxmedia",
        Our::Refuses("Too many media specified (> 64)"),
        "4.3: legacy crashes",
    ),
    (
        "mcast-empty",
        Our::Refuses("mcast statement without device"),
        "4.3: legacy crashes",
    ),
    (
        "mcast-noaddr-if",
        Our::Refuses("mcast device [eth1] is invalid or not set up properly"),
        "4.3: legacy hangs",
    ),
    (
        "mcast-ttl0",
        Our::Refuses("every medium reaches this host alone"),
        "the other node would never receive this one, and everything be taken",
    ),
    (
        "node-100",
        Our::Refuses("groups of haresources move between two nodes only"),
        "groups are for pairs",
    ),
    (
        "node-long",
        Our::Refuses("at most 99"),
        "2.5: legacy writes no terminator",
    ),
    (
        "ping_group-same-as-node",
        Our::Refuses("has the name of a cluster node"),
        "4.3: two nodes in one",
    ),
    (
        "ping-only",
        Our::Refuses("no line names a medium between the nodes"),
        "the other node would never be received, and everything be taken",
    ),
    (
        "ucast-empty",
        Our::Refuses("ucast statement without device"),
        "4.3: legacy crashes",
    ),
    (
        "udpport-big",
        Our::Refuses("invalid port [70000]"),
        "11: legacy cuts the number",
    ),
];

/// Cases that start, and in which something other than the files fails in the background. Systole
/// opens the media before it reports success: see the tests of the media. Their files must be
/// accepted.
const FAIL_LATER: &[&str] = &["port-in-use", "serial-null", "ucast-badif"];

/// Cases about running processes, the command line or scripts, and where they are tested. Their
/// files must be readable all the same.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "already-running",
        "tests of the command line: a second start",
    ),
    (
        "authkeys-touched-no-signal",
        "tests of the running daemon: reload",
    ),
    ("cmd-C-alone", "cli::options: usage"),
    ("cmd-D", "config::print: the table of defaults"),
    (
        "cmd-DW",
        "config::print: the table of defaults as wiki text",
    ),
    (
        "cmd-R-alone",
        "tests of the command line: restart without a daemon",
    ),
    ("cmd-V", "cli: the version"),
    ("cmd-badopt", "cli::options: usage"),
    ("cmd-help", "cli::options: usage"),
    ("cmd-k-nonroot", "tests of the command line: stop"),
    ("cmd-k-running", "tests of the command line: stop"),
    ("cmd-k-single-node", "tests of the command line: stop"),
    ("cmd-k-stopped", "tests of the command line: stop"),
    ("cmd-k-too-early", "tests of the command line: stop"),
    (
        "cmd-r-authkeys-changed",
        "tests of the running daemon: reload",
    ),
    (
        "cmd-r-bad-authkeys",
        "tests of the running daemon: reload; refusals: `reload_refusals` here",
    ),
    (
        "cmd-r-bad-hacf",
        "tests of the running daemon: reload; refusals: `reload_refusals` here",
    ),
    (
        "cmd-r-bad-haresources",
        "tests of the running daemon: reload; refusals: `reload_refusals` here",
    ),
    ("cmd-r-hacf-touched", "tests of the running daemon: reload"),
    (
        "cmd-r-haresources-changed",
        "tests of the running daemon: reload",
    ),
    (
        "cmd-r-stopped",
        "tests of the command line: reload starts when nothing runs",
    ),
    ("cmd-r-unchanged", "tests of the running daemon: reload"),
    ("cmd-s-garbage-pid", "cli::control_commands: status"),
    ("cmd-s-nonroot", "cli::control_commands: status"),
    ("cmd-s-pid-of-other", "cli::control_commands: status"),
    ("cmd-s-running", "cli::control_commands: status"),
    ("cmd-s-stale-pid", "cli::control_commands: status"),
    ("cmd-s-stopped", "cli::control_commands: status"),
    ("foreground", "tests of the running daemon: -f"),
    ("init-badconf", "tests of the init script"),
    ("init-noconf", "tests of the init script"),
    ("init-standby-stopped", "tests of the init script"),
    ("init-start-stop", "tests of the init script"),
    ("scripts-not-running", "tests of the helper scripts"),
    (
        "sighup-bad-authkeys",
        "tests of the running daemon: a bad file never ends it",
    ),
    ("sigusr1-twice", "tests of the running daemon: signals"),
    ("standby-takeover", "tests of the helper scripts"),
];

/// The machine that the cases were recorded on.
struct Recorded {
    files: BTreeMap<PathBuf, Result<FileText, io::ErrorKind>>,
    host_name: String,
    uid: u32,
}

impl Environment for Recorded {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        match self.files.get(path) {
            Some(Ok(file)) => Ok(file.clone()),
            Some(Err(kind)) => Err((*kind).into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }
    fn host_name(&self) -> String {
        self.host_name.clone()
    }
    fn effective_uid(&self) -> u32 {
        self.uid
    }
    fn has_interface(&self, name: &str) -> bool {
        matches!(name, "lo" | "eth0" | "eth1")
    }
    fn interface_ipv4(&self, name: &str) -> Result<(), InterfaceProblem> {
        match name {
            "lo" | "eth0" => Ok(()),
            "eth1" => Err(InterfaceProblem::NoAddress),
            _ => Err(InterfaceProblem::Missing),
        }
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let number = host.split_once('%').map_or(host, |(number, _)| number);
        number
            .parse()
            .map(|address| vec![address])
            .map_err(|_| "Resource temporarily unavailable".to_owned())
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "hacluster" => Some(102),
            _ => None,
        }
    }
    fn group_id(&self, name: &str) -> Option<u32> {
        match name {
            "root" => Some(0),
            "haclient" => Some(105),
            _ => None,
        }
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        match path.to_str() {
            Some("/dev/serial/by-id/nine") => "/dev/ttyS9".into(),
            _ => path.to_owned(),
        }
    }
    fn path_kind(&self, path: &Path) -> PathKind {
        match path.to_str() {
            Some("/dev/ttyS9" | "/dev/serial/by-id/nine" | "/dev/null") => PathKind::CharDevice,
            Some("/etc/passwd") => PathKind::Other,
            _ => PathKind::Missing,
        }
    }
    fn is_executable(&self, path: &Path) -> bool {
        path.starts_with("/bin")
            || path.starts_with("/usr/libexec/heartbeat") && !path.ends_with("cib")
    }
    fn udp_service_port(&self, _: &str) -> Option<u16> {
        None
    }
    fn udp_service_name(&self, port: u16) -> Option<String> {
        (port == 53).then(|| "domain".to_owned())
    }
    fn has_stonith_type(&self, kind: &str) -> bool {
        matches!(kind, "meatware" | "null" | "external/ssh" | "fence_x")
    }
    fn has_logd(&self) -> bool {
        false
    }
    fn core_pattern(&self) -> String {
        "core".to_owned()
    }
    fn core_uses_pid(&self) -> bool {
        false
    }
}

impl HostView for Recorded {
    fn network(&self, _: &[IpAddr]) -> Option<Network> {
        None
    }
    fn primary_group(&self, _: &str) -> Option<u32> {
        None
    }
    fn started_at_boot(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn own_addresses(&self, _: &Paths, _: &Config, _: &str) -> (Vec<Finding>, Vec<Finding>) {
        Default::default()
    }
}

fn cases() -> BTreeMap<String, Value> {
    let mut cases = BTreeMap::new();
    for line in include_str!("vectors/config/cases.jsonl").lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        let name = text(&case, "name").expect("a case has a name").to_owned();
        assert!(cases.insert(name.clone(), case).is_none(), "{name} twice");
    }
    cases
}

fn text<'a>(case: &'a Value, key: &str) -> Option<&'a str> {
    case.get(key)?.as_str()
}

const GOOD_AUTHKEYS: &str = "auth 1\n1 sha1 labkey\n";
const GOOD_HARESOURCES: &str = "node1 10.9.0.100\n";

fn surroundings(case: &Value) -> Recorded {
    let paths = Paths::default();
    let mode = text(case, "authkeys_mode")
        .and_then(|mode| u32::from_str_radix(mode, 8).ok())
        .unwrap_or(0o600);
    let mut files = BTreeMap::new();
    let mut put = |key: &str, path: PathBuf, default: Option<&str>, mode: u32| {
        let content = match case.get(key) {
            None => default,
            Some(value) => value.as_str(),
        };
        if let Some(content) = content {
            let bytes = content.as_bytes().to_vec();
            files.insert(
                path,
                Ok(FileText {
                    bytes,
                    mode,
                    owner: 0,
                }),
            );
        }
    };
    put("ha.cf", paths.ha_cf(), None, 0o644);
    put("authkeys", paths.authkeys(), Some(GOOD_AUTHKEYS), mode);
    put(
        "haresources",
        paths.haresources(),
        Some(GOOD_HARESOURCES),
        0o644,
    );
    put("nodeinfo", paths.ha_dir.join("nodeinfo"), None, 0o644);
    let mut uid = 0;
    match text(case, "name") {
        Some("unreadable-hacf") => {
            files.insert(paths.ha_cf(), Err(io::ErrorKind::IsADirectory));
        }
        Some("authkeys-dir") => {
            files.insert(paths.authkeys(), Err(io::ErrorKind::IsADirectory));
        }
        Some("not-root") => {
            uid = 102;
            files.insert(paths.authkeys(), Err(io::ErrorKind::PermissionDenied));
        }
        Some("authkeys-owner-hacluster") => {
            if let Some(Ok(file)) = files.get_mut(&paths.authkeys()) {
                file.owner = 102;
            }
        }
        _ => {}
    }
    Recorded {
        files,
        host_name: text(case, "hostname").unwrap_or("node1").to_owned(),
        uid,
    }
}

fn run(case: &Value) -> Result<Loaded, Box<ConfigFailure>> {
    run_on(case, &surroundings(case))
}

fn run_on(case: &Value, env: &Recorded) -> Result<Loaded, Box<ConfigFailure>> {
    let words: Vec<&str> = text(case, "command").unwrap_or("").split(' ').collect();
    let options = LoadOptions {
        manage_resources: !words.contains(&"-M"),
        realtime: !words.contains(&"-l"),
        debug: u8::try_from(words.iter().filter(|word| **word == "-d").count()).unwrap_or(0),
        ..LoadOptions::default()
    };
    load(&Paths::default(), env, &options)
}

fn shown(lines: &[Notice]) -> Vec<String> {
    lines
        .iter()
        .map(|line| format!("{}: {line}", line.severity().word()))
        .collect()
}

/// The form that a line of the legacy program must have in our log; nothing if ours has no such
/// line.
fn expected(line: &str) -> Option<String> {
    // Printed with or without error, without a newline; nothing depends on them (4.3).
    let mut line = line;
    for noise in [
        "heartbeat: udpport setting must precede media statements",
        "heartbeat: baudrate setting must precede media statements",
    ] {
        while let Some(rest) = line.strip_prefix(noise) {
            line = rest;
        }
    }
    // Key material is never logged (5.2). The legacy line contains the newline of the file.
    if line.starts_with("ERROR: Auth line [") {
        return Some("ERROR: Auth line [***] is invalid.".to_owned());
    }
    if line.starts_with("ERROR: Invalid auth line [") {
        return Some("ERROR: Invalid auth line [***] in /etc/ha.d//authkeys".to_owned());
    }
    // Warnings of legacy about which nothing can be done are information here.
    for advice in [
        "Core dumps could be lost if multiple dumps occur.",
        "Consider setting non-default value in /proc/sys/kernel/core_pattern",
        "Consider setting /proc/sys/kernel/core_uses_pid",
        "Logging daemon is disabled --enabling logging daemon is recommended",
    ] {
        let text = line.strip_prefix("WARN: ");
        if let Some(text) = text.filter(|text| text.starts_with(advice)) {
            return Some(format!("info: {text}"));
        }
    }
    let is_level = ["ERROR", "WARN", "CRIT", "notice", "info"]
        .iter()
        .any(|level| line.starts_with(&format!("{level}: ")));
    if is_level {
        // Addresses in the legacy program's memory, its build, and messages of its STONITH library.
        let foreign = [
            "info: AUTH: i=",
            "info: Heartbeat Hg Version: ",
            "info: glib: parse config info",
        ];
        let own = !foreign.iter().any(|start| line.starts_with(start));
        return own.then(|| line.to_owned());
    }
    // On stderr only in legacy; an error line of ours.
    let alone = line.starts_with("heartbeat: ") || line.starts_with("Warn time [");
    alone.then(|| format!("ERROR: {line}"))
}

fn says(ours: &str, legacy: &str) -> bool {
    // Longer texts are cut, in the recording and in our lines.
    const COMPARED: usize = 190;
    match legacy.char_indices().nth(COMPARED) {
        Some((end, _)) => ours.starts_with(&legacy[..end]),
        None => ours.starts_with(legacy),
    }
}

/// A line that is usually information may be a warning where the feature is switched on.
fn says_or_warns(ours: &str, legacy: &str) -> bool {
    let texts = ours
        .strip_prefix("WARN: ")
        .zip(legacy.strip_prefix("info: "));
    says(ours, legacy) || texts.is_some_and(|(ours, legacy)| says(ours, legacy))
}

/// Legacy lines, of all levels except debug, that ours does not have.
fn missing(case: &Value, ours: &[String]) -> Vec<String> {
    let legacy = case.get("stderr").and_then(Value::as_array);
    legacy
        .into_iter()
        .flatten()
        .filter_map(|line| expected(line.as_str()?))
        .filter(|wanted| !ours.iter().any(|line| says_or_warns(line, wanted)))
        .collect()
}

/// Errors and warnings must also come in the legacy order.
fn out_of_order(case: &Value, ours: &[String]) -> Option<String> {
    let legacy = case.get("stderr").and_then(Value::as_array);
    let mut rest = ours.iter();
    legacy
        .into_iter()
        .flatten()
        .filter_map(|line| expected(line.as_str()?))
        .filter(|line| !line.starts_with("info"))
        .find(|wanted| !rest.any(|line| says(line, wanted)))
}

#[test]
fn every_case_is_in_exactly_one_class() {
    let cases = cases();
    assert_eq!(cases.len(), 371);
    let mut seen = BTreeSet::new();
    let ours = OURS.iter().map(|(name, ..)| *name);
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| *name);
    for name in ours.chain(elsewhere).chain(FAIL_LATER.iter().copied()) {
        assert!(cases.contains_key(name), "{name} is no case");
        assert!(seen.insert(name), "{name} is in two classes");
    }
    for (name, case) in &cases {
        if seen.contains(name.as_str()) {
            continue;
        }
        let verdict = text(case, "verdict").expect("a verdict");
        let exit_code = case["exit_code"].as_i64();
        assert!(
            matches!(
                (verdict, exit_code),
                ("accepted", Some(0)) | ("rejected", Some(4 | 6))
            ),
            "{name}: a start with verdict {verdict} and exit code {exit_code:?} needs a class"
        );
    }
}

#[test]
fn every_start_gets_the_legacy_verdict_exit_code_and_lines() {
    let mut problems = Vec::new();
    let skipped: BTreeSet<&str> = OURS
        .iter()
        .map(|(name, ..)| *name)
        .chain(ELSEWHERE.iter().map(|(name, _)| *name))
        .collect();
    for (name, case) in &cases() {
        if skipped.contains(name.as_str()) {
            continue;
        }
        let wanted = case["exit_code"].as_u64().expect("an exit code");
        let (code, lines) = match run(case) {
            Ok(loaded) => (0, shown(&loaded.config.remarks)),
            Err(failure) => (u64::from(failure.exit_code), shown(&failure.lines)),
        };
        if code != wanted {
            problems.push(format!(
                "{name}: exit code {code}, legacy {wanted}: {lines:#?}"
            ));
            continue;
        }
        let missing = missing(case, &lines);
        if !missing.is_empty() {
            problems.push(format!("{name}: missing {missing:#?} in {lines:#?}"));
        } else if let Some(line) = out_of_order(case, &lines) {
            problems.push(format!("{name}: {line} comes too early in {lines:#?}"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn where_we_differ_the_verdict_is_the_one_of_the_page() {
    let cases = cases();
    for (name, our, reason) in OURS {
        match (run(&cases[*name]), our) {
            (Ok(_), Our::Accepts) => {}
            (Err(failure), Our::Refuses(words)) => {
                let lines = shown(&failure.lines);
                assert_eq!(failure.exit_code, 6, "{name}: {reason}");
                assert!(
                    lines.iter().any(|line| line.contains(words)),
                    "{name}: {lines:#?}"
                );
            }
            (Ok(_), Our::Refuses(_)) => panic!("{name} is accepted, but {reason}"),
            (Err(failure), Our::Accepts) => {
                panic!(
                    "{name} is refused, but {reason}: {:#?}",
                    shown(&failure.lines)
                )
            }
        }
    }
}

/// With the loss accepted, or as a messaging layer, the legacy verdict and all of its lines return.
#[test]
fn a_refused_feature_is_accepted_with_its_loss() {
    let cases = cases();
    for (name, command) in [
        ("serial-null", "heartbeat"),
        ("stonith_host-external-ssh", "heartbeat"),
        ("stonith_host-meatware", "heartbeat"),
        ("stonith_host-null", "heartbeat"),
        ("node-100", "heartbeat -M"),
    ] {
        let mut case = cases[name].clone();
        case["command"] = command.into();
        let mut env = surroundings(&case);
        let settings = FileText {
            bytes: b"accept_without = [\"stonith\", \"serial\"]\n".to_vec(),
            mode: 0o644,
            owner: 0,
        };
        env.files.insert(Paths::default().settings, Ok(settings));
        let loaded = run_on(&case, &env)
            .unwrap_or_else(|failure| panic!("{name}: {:#?}", shown(&failure.lines)));
        let lines = shown(&loaded.config.remarks);
        assert_eq!(missing(&case, &lines), [""; 0], "{name}: {lines:#?}");
        assert_eq!(out_of_order(&case, &lines), None, "{name}");
    }
}

#[test]
fn the_files_of_cases_about_processes_are_read_as_well() {
    let cases = cases();
    for (name, _) in ELSEWHERE {
        let refused = matches!(*name, "init-badconf" | "init-noconf");
        assert_eq!(run(&cases[*name]).is_err(), refused, "{name}");
    }
}

#[test]
fn clients_read_the_legacy_parameters() {
    let mut compared = 0;
    for (name, case) in &cases() {
        let Some(params) = case.get("params").and_then(Value::as_object) else {
            continue;
        };
        let Ok(loaded) = run(case) else { continue };
        for (parameter, answer) in params {
            let answer = answer.as_str().expect("an answer is text");
            let (value, code) = answer.rsplit_once(" rc=").expect("an exit code");
            let stored = match parameter.as_str() {
                // Not a directive: `protocol/client/tests.rs` asks for it.
                "hbversion" => continue,
                "crm" => "pacemaker",
                other => other,
            };
            let wanted = (code == "0").then_some(value);
            let ours = loaded.config.parameters.get(stored).map(String::as_str);
            assert_eq!(ours, wanted, "{name}: {parameter}");
            compared += 1;
        }
    }
    assert!(compared > 200, "{compared}");
}

#[test]
fn verbose_prints_the_legacy_lines() {
    let case = &cases()["verbose"];
    let loaded = run(case).expect("accepted");
    let wanted: Vec<&str> = case["stdout"]
        .as_array()
        .expect("recorded output")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let ours = print::effective(&loaded.config, "node1");
    assert_eq!(ours.lines().collect::<Vec<_>>(), wanted);
}

fn with_ha_cf(lines: &str) -> Result<Loaded, Box<ConfigFailure>> {
    let case = serde_json::json!({ "name": "made here", "ha.cf": lines });
    run(&case)
}

const GOOD: &str =
    "logfile /var/log/ha-log\nkeepalive 1\ndeadtime 10\nnode node1 node2\nauto_failback on\n";

/// Lines after [`GOOD`] and `bcast eth0`, and the lines of 3.0.6 about them before it went to the
/// background, observed in addition to the recorded cases. No text: accepted without an error line.
const OBSERVED: &[(&str, &[&str])] = &[
    ("mcast6", &["glib: mcast6 statement without device"]),
    ("ucast6", &["glib: ucast6 statement without device"]),
    (
        "mcast6 eth0",
        &["glib: mcast6 [eth0] missing mcast6 address"],
    ),
    (
        "mcast6 eth0 ff02::1 694",
        &["glib: mcast6 [eth0] missing hops"],
    ),
    (
        "mcast6 eth0 ff02::1 694 9 0",
        &["glib:  mcast6 [eth0] bad hops [9]"],
    ),
    (
        "mcast6 eth0 ff02::1 694 1",
        &["glib: mcast6 [eth0] missing loop"],
    ),
    (
        "mcast6 eth0 ff02::1 694 1 7",
        &["glib:  mcast6 [eth0] bad loop [7]"],
    ),
    (
        "mcast6 eth0 ff01::5 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff01::5]"],
    ),
    (
        "mcast6 eth0 ff03::5 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff03::5]"],
    ),
    (
        "mcast6 eth0 ff0e::5 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff0e::5]"],
    ),
    (
        "mcast6 eth0 ff02:: 694 1 0",
        &["glib:  mcast6 [eth0] bad addr [ff02::]"],
    ),
    (
        "ucast6 eth0 ff02::5",
        &["glib: ucast6 [eth0] bad addr [ff02::5]"],
    ),
    ("ucast6 eth0 ::1", &["glib: ucast6 [eth0] bad addr [::1]"]),
    ("ucast6 eth0 ::", &["glib: ucast6 [eth0] bad addr [::]"]),
    ("ucast6 eth0 fe80::2", &[]),
    ("ucast6 eth0 fe80::2%eth0", &[]),
    (
        "ucast6 eth0 fe80::2%lo",
        // Legacy names two interface numbers: index 3 does not match scope id 1 for device eth0.
        &["/etc/ha.d/ha.cf:7: ucast6 eth0 fe80::2%lo: its interface is not the one of the line"],
    ),
    (
        "ucast6 eth0 fd99::2%eth0",
        &["glib: getaddrinfo([fd99::2%eth0]:694): Name or service not known"],
    ),
    (
        "mcast eth0 garbage 694 1 0",
        &["glib: mcast [eth0] bad addr [garbage]"],
    ),
    (
        "mcast eth0 225.0.0.1 694 -1 0",
        &["glib:  mcast [eth0] bad ttl [255]"],
    ),
    (
        "ping6 10.9.0.1",
        &["Illegal ping6 [ping6 membership] in config file [10.9.0.1]"],
    ),
    (
        "stonith meatware",
        &["glib: Cannot open ", "Invalid Stonith config file []"],
    ),
    (
        "stonith meatware /nonexistent",
        &[
            "glib: Cannot open /nonexistent",
            "Invalid Stonith config file [/nonexistent]",
        ],
    ),
    ("stonith_host", &["No Stonith hostname argument given"]),
    (
        "stonith_host node1 meatware",
        &["Invalid Stonith configuration parameter []"],
    ),
    ("respawn", &["Invalid uid [] specified for client child"]),
    (
        "respawn root a b c",
        &["Client child command [a b c] is not full pathname"],
    ),
    (
        "apiauth mine uid=root junk",
        &["Missing uid or gid in apiauth"],
    ),
    ("logfacility local9", &["Log facility(local9) not valid"]),
    ("uuidfrom FILE", &["Invalid uuidfrom directive [FILE]"]),
    ("compression ZLIB", &["Compression module(ZLIB) not found"]),
    (
        "node,x",
        &["Illegal directive [node,x] in /etc/ha.d//ha.cf"],
    ),
    (
        "keepalive .",
        &["/etc/ha.d/ha.cf:7: keepalive .: must be at least 1 ms"],
    ),
    (
        "conn_logd_time abc",
        &["/etc/ha.d/ha.cf:7: conn_logd_time abc: not a time"],
    ),
    (
        "initdead -1",
        &["/etc/ha.d/ha.cf:7: initdead -1: not a time"],
    ),
    (
        "msgfmt Classic",
        &["/etc/ha.d/ha.cf:7: msgfmt Classic: must be"],
    ),
    ("logfacility kern", &[]),
    ("logfacility security", &[]),
    ("hopfudge 3x", &[]),
    ("max_rexmit_delay 100ms", &[]),
    ("memreserve 5x", &[]),
    ("rtprio 5x", &[]),
    ("baud 19200x", &[]),
    ("udpport 694x", &[]),
    ("autojoin NONE", &[]),
    ("apiauth mine uid=", &[]),
    ("env A=b,C=d", &[]),
    ("debugfile", &[]),
    ("keepalive 1.5.", &[]),
    ("pacemaker CCM-ONLY", &[]),
    ("ping 10.9.0.1 10.9.0.1", &[]),
];

#[test]
fn lines_observed_beside_the_recorded_cases_are_read_alike() {
    for (line, wanted) in OBSERVED {
        let result = with_ha_cf(&format!("{GOOD}bcast eth0\n{line}\n"));
        assert_eq!(result.is_err(), !wanted.is_empty(), "{line}: {result:?}");
        let Err(failure) = result else { continue };
        let lines = shown(&failure.lines);
        for text in *wanted {
            let text = format!("ERROR: {text}");
            assert!(
                lines.iter().any(|l| l.starts_with(&text)),
                "{text}: {lines:#?}"
            );
        }
    }
}

/// The same address may be on every interface.
#[test]
fn a_link_local_ping_node_belongs_to_an_interface() {
    let remark = "is a link-local address: with several interfaces it is asked on any of them";
    for (hosts, interfaces, remarked) in [
        ("fe80::1%eth1 fd99::9", vec![Some("eth1"), None], false),
        ("fe80::1", vec![None], true),
        ("fd99::9", vec![None], false),
    ] {
        let loaded = with_ha_cf(&format!("{GOOD}bcast eth0\nping6 {hosts}\n")).expect("accepted");
        let pings = loaded.config.pings.iter();
        let named: Vec<_> = pings.map(|ping| ping.interface.as_deref()).collect();
        assert_eq!(named, interfaces);
        let lines = shown(&loaded.config.remarks).join("\n");
        assert_eq!(lines.contains(remark), remarked, "{hosts}: {lines}");
    }
}

/// Legacy refuses such a line beside another medium too; here that one is enough for a start.
#[test]
fn an_interface_that_is_not_there_is_refused_where_no_other_medium_is() {
    for line in ["mcast6 eth9 ff02::1 694 1 0", "ucast6 eth9 fd99::2"] {
        let failure = with_ha_cf(&format!("{GOOD}{line}\n")).expect_err(line);
        let kind = line.split(' ').next().expect("a word");
        let text = format!("ERROR: glib: {kind} device [eth9] is invalid or not set up properly");
        let lines = shown(&failure.lines);
        assert!(lines.iter().any(|l| l.starts_with(&text)), "{lines:#?}");
        with_ha_cf(&format!("{GOOD}bcast eth0\n{line}\n")).expect(line);
    }
}

#[test]
fn log_targets_decide_about_the_logging_daemon() {
    let base = "keepalive 1\ndeadtime 10\nnode node1\nauto_failback on\nbcast eth0\n";
    let with = |lines: &str| {
        let loaded = with_ha_cf(&format!("{base}{lines}")).expect("accepted");
        (shown(&loaded.config.remarks).join("\n"), loaded.config)
    };
    // "none" is not a target.
    let (lines, config) = with("logfacility none\n");
    assert!(lines.contains("No log entry found in ha.cf -- use logd"));
    assert!(config.log.use_logd);
    assert_eq!(config.parameters["use_logd"], "yes");
    let (lines, config) = with("use_logd yes\nlogfacility local0\n");
    assert!(lines.contains("logd is enabled but logfile/debugfile/logfacility is still"));
    assert_eq!(config.log.facility.as_deref(), Some("local0"));
    assert_eq!(config.parameters["logfile"], "/dev/null");
    assert_eq!(config.log.logfile, None);
}

#[test]
fn nice_failback_means_what_it_means_on_a_legacy_node() {
    use systole::protocol::settings::AutoFailback;
    let base = "logfile /x\ndeadtime 10\nnode node1\nbcast eth0\n";
    for (lines, model) in [
        ("auto_failback on\nnice_failback on\n", AutoFailback::Off),
        ("auto_failback on\nnice_failback off\n", AutoFailback::Off),
        ("nice_failback on\n", AutoFailback::Legacy),
        ("nice_failback off\n", AutoFailback::Legacy),
        (
            "auto_failback off\nauto_failback legacy\nnice_failback on\n",
            AutoFailback::Legacy,
        ),
        ("nice_failback on\nauto_failback on\n", AutoFailback::On),
    ] {
        let loaded = with_ha_cf(&format!("{base}{lines}")).expect("accepted");
        assert_eq!(loaded.config.auto_failback, model, "{lines}");
    }
}

#[test]
fn files_on_disk_are_read_from_any_directory() {
    use std::os::unix::fs::PermissionsExt;
    use systole::config::environment::Machine;
    // Read alone: a host whose only medium is the loop-back interface does not start.
    use systole::config::load::load;
    let dir = tempfile::tempdir().expect("a directory");
    let paths = Paths::under(dir.path());
    std::fs::create_dir_all(&paths.ha_dir).expect("a directory");
    let put = |path: PathBuf, text: &str, mode: u32| {
        std::fs::write(&path, text).expect("written");
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, permissions).expect("mode set");
    };
    put(paths.ha_cf(), &format!("{GOOD}ucast lo 127.0.0.1\n"), 0o644);
    put(paths.haresources(), GOOD_HARESOURCES, 0o644);
    put(paths.ha_dir.join("nodeinfo"), "NODE2\n", 0o644);
    put(paths.authkeys(), GOOD_AUTHKEYS, 0o640);
    let failure = load(&paths, &Machine, &LoadOptions::default()).expect_err("refused");
    let lines = shown(&failure.lines);
    assert!(
        lines.iter().any(|line| line.contains("mode 640")),
        "{lines:#?}"
    );
    put(paths.authkeys(), GOOD_AUTHKEYS, 0o600);
    let loaded = load(&paths, &Machine, &LoadOptions::default()).expect("accepted");
    assert_eq!(loaded.config.local.as_str(), "node2");
    assert_eq!(loaded.keys.sign_index(), 1);
    std::fs::remove_file(paths.ha_cf()).expect("removed");
    let failure = load(&paths, &Machine, &LoadOptions::default()).expect_err("refused");
    assert_eq!(failure.exit_code, 6);
    assert!(
        failure.lines[0]
            .to_string()
            .starts_with("Cannot open config file [")
    );
}

proptest::proptest! {
    /// Whatever the files contain, reading them ends with a verdict.
    #[test]
    fn no_bytes_stop_the_reader(
        ha_cf: Vec<u8>,
        words in "(node|bcast|mcast|ucast6|apiauth|env|udpport|keepalive|ping_group|stonith_host|crm) [ -~]{0,60}\n",
        authkeys: Vec<u8>,
        haresources: Vec<u8>,
    ) {
        let case = serde_json::json!({ "ha.cf": "" });
        let mut env = surroundings(&case);
        let paths = Paths::default();
        for (path, bytes) in [
            (paths.ha_cf(), [words.as_bytes(), &ha_cf].concat()),
            (paths.authkeys(), authkeys),
            (paths.haresources(), haresources),
        ] {
            env.files.insert(path, Ok(FileText { bytes, mode: 0o600, owner: 0 }));
        }
        let _ = load(&paths, &env, &LoadOptions::default());
        // And once with good files beside each bad one.
        for path in [paths.ha_cf(), paths.authkeys(), paths.haresources()] {
            let good = serde_json::json!({ "ha.cf": format!("{GOOD}bcast eth0\n") });
            let mut one = surroundings(&good);
            one.files.insert(path.clone(), env.read_file(&path).map_err(|e| e.kind()));
            let _ = load(&paths, &one, &LoadOptions::default());
        }
    }
}

#[test]
fn udpport_counts_for_the_media_after_it_and_a_kind_keeps_its_first() {
    let ports = |lines: &str| -> Vec<u16> {
        let loaded = with_ha_cf(&format!("{GOOD}{lines}")).expect("accepted");
        loaded
            .config
            .media
            .iter()
            .map(|medium| match medium {
                MediumConfig::Bcast { port, .. }
                | MediumConfig::Mcast { port, .. }
                | MediumConfig::Ucast { port, .. }
                | MediumConfig::Mcast6 { port, .. }
                | MediumConfig::Ucast6 { port, .. } => *port,
                MediumConfig::Serial { .. } => 0,
            })
            .collect()
    };
    assert_eq!(ports("bcast eth0\nudpport 1694\n"), [694]);
    assert_eq!(ports("udpport 1694\nbcast eth0\n"), [1694]);
    assert_eq!(
        ports("udpport 1694\nbcast eth0\nudpport 1695\nucast eth0 10.9.0.2\n"),
        [1694, 1695]
    );
    assert_eq!(
        ports("udpport 1694\nbcast eth0\nudpport 1695\nbcast lo\n"),
        [1694, 1694]
    );
    assert_eq!(ports("udpport 1694\nmcast eth0 225.0.0.1 700 1 0\n"), [700]);
}

#[test]
fn a_serial_port_under_two_names_is_one_medium() {
    for (lines, ports) in [
        ("serial /dev/ttyS9 /dev/serial/by-id/nine\n", 1),
        ("serial /dev/ttyS9\nserial /dev/ttyS9\n", 1),
        ("serial /dev/ttyS9 /dev/null\n", 2),
    ] {
        let loaded = with_ha_cf(&format!("{GOOD}{lines}")).expect("accepted");
        assert_eq!(loaded.config.media.len(), ports, "{lines}");
        let said = |line: &str| line.contains("one entry counts");
        let warned = shown(&loaded.config.remarks).iter().any(|line| said(line));
        assert_eq!(warned, ports == 1, "{lines}");
    }
}

#[test]
fn all_errors_of_a_file_come_in_one_run_with_file_and_line() {
    let failure = with_ha_cf("bogus\nkeepalive 2s\nnode n\nrealtime soft\nbcast eth7\n")
        .expect_err("refused");
    let lines = shown(&failure.lines);
    for wanted in [
        "ERROR: Illegal directive [bogus] in /etc/ha.d//ha.cf (/etc/ha.d/ha.cf:1: bogus: ",
        "ERROR: /etc/ha.d/ha.cf:2: keepalive 2s: not a time",
        "ERROR: /etc/ha.d/ha.cf:4: realtime soft: not a boolean",
        "ERROR: glib: Get broadcast for interface eth7 failed: No such device \
         (/etc/ha.d/ha.cf:5: bcast eth7: ",
    ] {
        assert!(
            lines.iter().any(|line| line.starts_with(wanted)),
            "{wanted}: {lines:#?}"
        );
    }
}

#[test]
fn errors_of_several_lines_together_name_file_and_line() {
    let cases = [
        (
            "keepalive 2\ndeadtime 4\ninitdead 3\ndeadping 4\nnode node1\nbcast eth0\n",
            &[
                "Dead time [4000] is too small compared to keeplive [2000] \
                 (/etc/ha.d/ha.cf:2: deadtime: ",
                "Initial dead time [3000] is smaller than deadtime [4000] \
                 (/etc/ha.d/ha.cf:3: initdead: ",
                "Ping dead time [4000] is too small compared to keeplive [2000] \
                 (/etc/ha.d/ha.cf:4: deadping: ",
            ][..],
        ),
        (
            "autojoin other\nuse_logd off\nnode node7\nkeepalive 15\n",
            &[
                "No heartbeat media defined (/etc/ha.d/ha.cf: ",
                "Dead time [30000] is too small compared to keeplive [15000] \
                 (/etc/ha.d/ha.cf:4: keepalive: ",
                "Current node [node1] not in configuration! (/etc/ha.d/ha.cf:3: node: ",
                "No log entry found in ha.cf and use_logd is set to off \
                 (/etc/ha.d/ha.cf:2: use_logd: ",
                "R1 style resource management conflicts with  autojoin set \
                 (/etc/ha.d/ha.cf:1: autojoin: ",
            ][..],
        ),
        ("", &["no nodes defined (/etc/ha.d/ha.cf: "][..]),
    ];
    for (text, wanted) in cases {
        let failure = with_ha_cf(text).expect_err("refused");
        let lines = shown(&failure.lines);
        for wanted in wanted {
            let wanted = format!("ERROR: {wanted}");
            assert!(
                lines.iter().any(|line| line.starts_with(&wanted)),
                "{wanted}: {lines:#?}"
            );
        }
    }
}

/// The files as they are read, before this host is looked at.
fn with_fencing(lines: &str) -> Result<Loaded, Box<ConfigFailure>> {
    let ha_cf = format!("{GOOD}bcast eth0\n{lines}\n");
    let case = serde_json::json!({ "name": "made here", "ha.cf": ha_cf });
    let options = LoadOptions::default();
    systole::config::load::load(&Paths::default(), &surroundings(&case), &options)
}

#[test]
fn fencing_lines_that_count_here_are_kept_in_their_order() {
    let loaded = with_fencing(
        "stonith_host node2 fence_x ip=1\nstonith_host * null node1 node2\n\
         stonith_host NODE1 fence_x ip=10.0.0.3 password=Geheim-4711 hosts=node2:3",
    );
    let devices = loaded.expect("accepted").config.fence_devices;
    let shown: Vec<(&str, &str, bool)> = devices
        .iter()
        .map(|it| (it.place.as_str(), it.kind.as_str(), it.only_here))
        .collect();
    let [(null_at, "null", false), (agent_at, "fence_x", true)] = shown.as_slice() else {
        panic!("{shown:?}");
    };
    for at in [null_at, agent_at] {
        let (file, line) = at.rsplit_once(':').expect("a line");
        assert!(
            file.ends_with("ha.cf") && line.parse::<u32>().is_ok(),
            "{at}"
        );
    }
    assert!(!format!("{devices:?}").contains("Geheim"), "{devices:?}");
}

/// Passwords stand in these lines.
#[test]
fn a_bad_fencing_line_is_refused_without_its_parameters() {
    for line in [
        "stonith_host * fence_x ip=1 Geheim-4711",
        "stonith_host * fence_x ip=1 password=\"Geheim-4711",
        "stonith_host * fence_x action=off password=Geheim-4711",
        "stonith_host * nosuch node2 Geheim-4711",
        "stonith_host * fence_y password=Geheim-4711",
        "stonith_host * null",
        "stonith fence_x /etc/ha.d/ha.cf",
        "stonith null node2 10.0.0.1 admin Geheim-4711",
    ] {
        let refused = with_fencing(line).expect_err(line);
        let shown = shown(&refused.lines).join("\n");
        assert!(!shown.contains("Geheim"), "{shown}");
        let directive = line.split(' ').next().expect("a word");
        assert!(shown.contains(&format!(": {directive} ")), "{shown}");
    }
    let long = format!("stonith_host * null {}", "a".repeat(1001));
    assert!(with_fencing(&long).is_err());
}

#[test]
fn a_directive_without_effect_is_named() {
    let loaded =
        with_ha_cf(&format!("{GOOD}bcast eth0\nuse_logd no\nuse_apphbd yes\n")).expect("accepted");
    let named = &loaded.config.without_effect;
    assert_eq!(named, &["use_apphbd (/etc/ha.d/ha.cf:8)"]);
    let lines = shown(&loaded.config.remarks);
    for name in named {
        assert!(lines.iter().any(|line| line.contains(name.as_str())));
    }
}

#[test]
fn a_directive_that_works_is_not_called_without_effect() {
    let loaded = with_ha_cf(&format!(
        "{GOOD}bcast eth0\nrealtime on\nrtprio 5\nmemreserve 4000\n"
    ))
    .expect("accepted");
    let config = &loaded.config;
    assert_eq!(config.without_effect, Vec::<String>::new());
    assert_eq!(
        (config.realtime_priority, config.memreserve_kb),
        (Some(5), 4000)
    );
    assert!(config.realtime);
    let lines = shown(&config.remarks);
    assert!(
        !lines.iter().any(|line| line.contains("without effect")),
        "{lines:?}"
    );
}

#[test]
fn a_reserve_beyond_a_gigabyte_is_reduced_with_a_warning() {
    for (asked, reserved, warns) in [(1_048_576, 1_048_576, false), (9_999_999, 1_048_576, true)] {
        let loaded = with_ha_cf(&format!("{GOOD}bcast eth0\nmemreserve {asked}\n"));
        let config = loaded.expect("accepted").config;
        assert_eq!(config.memreserve_kb, reserved);
        let said = shown(&config.remarks);
        let warned = |line: &String| line.contains("9999999 kB is too much; 1048576 kB");
        assert_eq!(said.iter().any(warned), warns, "{said:?}");
    }
}

#[test]
fn reload_refusals_keep_the_running_daemon_and_have_their_own_exit_code() {
    let reload = |case: &Value| {
        let options = LoadOptions {
            purpose: Purpose::Reload,
            ..LoadOptions::default()
        };
        load(&Paths::default(), &surroundings(case), &options)
    };
    let good = format!("{GOOD}bcast eth0\n");
    for (case, words) in [
        (
            serde_json::json!({ "ha.cf": format!("{good}bogus\n") }),
            "Illegal directive [bogus]",
        ),
        (
            serde_json::json!({ "ha.cf": good, "authkeys_mode": "644" }),
            "Bad permissions",
        ),
        (
            serde_json::json!({ "ha.cf": good, "haresources": "nodeX a\n" }),
            "Bad nodename",
        ),
    ] {
        let failure = reload(&case).expect_err(words);
        let lines = shown(&failure.lines);
        assert_eq!(failure.exit_code, 1);
        assert!(lines.iter().any(|line| line.contains(words)), "{lines:#?}");
        assert!(
            !lines
                .iter()
                .any(|line| line.contains("heartbeat not started"))
        );
    }
    assert!(reload(&serde_json::json!({ "ha.cf": good })).is_ok());
}

#[test]
fn the_settings_file_is_optional_and_its_errors_refuse() {
    let case = serde_json::json!({ "ha.cf": format!("{GOOD}bcast eth0\n") });
    let mut env = surroundings(&case);
    let paths = Paths::default();
    let file = |text: &str| {
        Ok(FileText {
            bytes: text.as_bytes().to_vec(),
            mode: 0o644,
            owner: 0,
        })
    };
    env.files
        .insert(paths.settings.clone(), file("script_time_limit_s = 7\n"));
    let loaded = load(&paths, &env, &LoadOptions::default()).expect("accepted");
    assert_eq!(loaded.config.settings.script_time_limit.as_secs(), 7);
    env.files
        .insert(paths.settings.clone(), file("nosuch = 7\n"));
    let failure = load(&paths, &env, &LoadOptions::default()).expect_err("refused");
    let lines = shown(&failure.lines);
    assert!(
        lines
            .iter()
            .any(|l| l.contains("systole.toml") && l.contains("nosuch")),
        "{lines:#?}"
    );
}

/// A host that has everything that the field files name.
struct FieldHost(Recorded);

impl Environment for FieldHost {
    fn read_file(&self, path: &Path) -> io::Result<FileText> {
        self.0.read_file(path)
    }
    fn host_name(&self) -> String {
        self.0.host_name()
    }
    fn effective_uid(&self) -> u32 {
        0
    }
    fn has_interface(&self, _: &str) -> bool {
        true
    }
    fn interface_ipv4(&self, _: &str) -> Result<(), InterfaceProblem> {
        Ok(())
    }
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        self.0
            .resolve(host)
            .or_else(|_| Ok(vec![IpAddr::from([192, 0, 2, 1])]))
    }
    fn user_id(&self, name: &str) -> Option<u32> {
        self.0.user_id(name)
    }
    fn group_id(&self, name: &str) -> Option<u32> {
        self.0.group_id(name)
    }
    fn real_path(&self, path: &Path) -> PathBuf {
        path.to_owned()
    }
    fn path_kind(&self, _: &Path) -> PathKind {
        PathKind::CharDevice
    }
    fn is_executable(&self, _: &Path) -> bool {
        true
    }
    fn udp_service_port(&self, _: &str) -> Option<u16> {
        None
    }
    fn udp_service_name(&self, _: u16) -> Option<String> {
        None
    }
    fn has_stonith_type(&self, _: &str) -> bool {
        true
    }
    fn has_logd(&self) -> bool {
        true
    }
    fn core_pattern(&self) -> String {
        "core".to_owned()
    }
    fn core_uses_pid(&self) -> bool {
        true
    }
}

impl HostView for FieldHost {
    fn network(&self, _: &[IpAddr]) -> Option<Network> {
        None
    }
    fn primary_group(&self, _: &str) -> Option<u32> {
        None
    }
    fn started_at_boot(&self, _: &str) -> Option<PathBuf> {
        None
    }
    fn own_addresses(&self, _: &Paths, _: &Config, _: &str) -> (Vec<Finding>, Vec<Finding>) {
        Default::default()
    }
}

/// Folder, its nodes, its groups, deadtime and warntime in ms, number of media and ping nodes.
type Field = (
    &'static str,
    [&'static str; 2],
    &'static [&'static str],
    u64,
    u64,
    usize,
    usize,
);

const FIELD: &[Field] = &[
    (
        "bcast-ipfail-mysql",
        ["node1", "node2"],
        &["192.168.0.1 mysqld"],
        30_000,
        10_000,
        1,
        1,
    ),
    (
        "mcast-compression",
        ["web1.chinasoft.com", "web2.chinasoft.com"],
        &["192.168.8.66/16/eth0 httpd"],
        8000,
        10_000,
        1,
        1,
    ),
    (
        "mcast-httpd",
        ["master-db", "slave-db"],
        &["IPaddr::172.16.1.26/24/eth1 httpd"],
        30_000,
        15_000,
        1,
        0,
    ),
    (
        "serial-bcast-ccm",
        ["linuxha1.linux-ha.org", "linuxha2.linux-ha.org"],
        &["192.168.85.3/27/192.168.85.16 httpd smb maid::vacuum"],
        30_000,
        10_000,
        2,
        2,
    ),
    (
        "subsecond-drbd",
        ["prmdbrw01", "prmdbbk01"],
        &["IPaddr::192.168.33.100/24/eth2 mysql_umount mysql"],
        1000,
        500,
        1,
        1,
    ),
];

#[test]
fn field_configurations_are_accepted_on_both_nodes() {
    for (folder, nodes, groups, deadtime, warntime, media, pings) in FIELD {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/field");
        let read = |name: &str| {
            std::fs::read_to_string(root.join(folder).join(name)).expect("a file of the case")
        };
        for node in nodes {
            let case = serde_json::json!({
                "name": folder,
                "hostname": node,
                "ha.cf": read("ha.cf"),
                "authkeys": read("authkeys"),
                "haresources": read("haresources"),
            });
            let env = FieldHost(surroundings(&case));
            let loaded = load(&Paths::default(), &env, &LoadOptions::default())
                .unwrap_or_else(|failure| panic!("{folder}: {:#?}", shown(&failure.lines)));
            let config = loaded.config;
            assert_eq!(config.local.as_str(), *node);
            let ours: Vec<String> = config
                .groups
                .iter()
                .map(|g| g.resources.join(" "))
                .collect();
            assert_eq!(ours, *groups, "{folder}");
            assert_eq!(config.timing.deadtime.as_millis(), u128::from(*deadtime));
            assert_eq!(config.timing.warntime.as_millis(), u128::from(*warntime));
            assert_eq!((config.media.len(), config.pings.len()), (*media, *pings));
        }
    }
}
