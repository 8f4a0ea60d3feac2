//! What single lines and their order mean.

use super::*;

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
