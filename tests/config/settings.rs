//! Directives without effect, a reload, and the file of settings.

use super::*;

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
