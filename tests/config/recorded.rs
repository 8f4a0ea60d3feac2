//! Every recorded configuration case gets the legacy verdict, exit code, messages and parameters,
//! except where Systole is stricter or more tolerant on purpose: those cases are listed in [`OURS`]
//! with the reason.
//!
//! Spec: docs/protocol/config.md. Vectors: `tests/vectors/config`, `tests/vectors/field`.

use super::*;

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
