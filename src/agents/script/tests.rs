use super::*;
use crate::config::types::LogConfig;

#[test]
fn words_split_into_script_and_arguments() {
    let call = |word: &str| {
        let call = ScriptCall::parse(word);
        (call.name, call.args.join("|"))
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    // As seen on 3.0.6 with a script that prints its arguments.
    assert_eq!(call("show"), pair("show", ""));
    assert_eq!(call("show::"), pair("show", ""));
    assert_eq!(call("show::a::::b"), pair("show", "a|b"));
    assert_eq!(call("show::a::b::"), pair("show", "a|b"));
    assert_eq!(call("show::fe80::1"), pair("show", "fe80|1"));
    assert_eq!(call("show::a:b"), pair("show", "a:b"));
    assert_eq!(call("show:::a"), pair("show", ":a"));
    assert_eq!(call("10.0.0.1/24/eth0"), pair("IPaddr", "10.0.0.1/24/eth0"));
    assert_eq!(
        call("Filesystem::/dev/sda1::/mnt::ext4"),
        pair("Filesystem", "/dev/sda1|/mnt|ext4")
    );
}

#[test]
fn a_word_looks_like_an_address_as_the_shell_pattern_says() {
    for word in [
        "10.0.0.1",
        "10.0.0.1/24/eth0",
        "1a.2b.3c.4d",
        "1.2.3.4.5",
        "1x.y.2.3.4",
    ] {
        assert!(looks_like_address(word), "{word}");
    }
    for word in [
        "10.0.0", ".1.2.3.4", "a1.2.3.4", "1..2.3", "", "1", "1.2.3.", "1.2.3.x",
    ] {
        assert!(!looks_like_address(word), "{word}");
    }
}

#[test]
fn operation_comes_last() {
    let call = ScriptCall::parse("IPaddr::10.0.0.1/24");
    assert_eq!(call.argv(Operation::Start), ["10.0.0.1/24", "start"]);
    assert_eq!(
        ScriptCall::parse("apache").argv(Operation::Status),
        ["status"]
    );
}

#[test]
fn the_first_directory_wins_and_absolute_names_stay_below_it() {
    let (r, i, o) = (
        "/etc/ha.d/resource.d",
        "/etc/init.d",
        "/usr/lib/ocf/resource.d/heartbeat",
    );
    let find = |word: &str, present: &[String]| {
        ScriptCall::parse(word).locate(&Paths::default(), |path| {
            present.contains(&path.display().to_string())
        })
    };
    let at = |directory: &str| format!("{directory}/a");
    let script = |directory: &str| Some(Found::Script(at(directory).into()));
    assert_eq!(find("a", &[at(r), at(i), at(o)]), script(r));
    assert_eq!(find("a", &[at(i), at(o)]), script(i));
    assert_eq!(find("a", &[at(o)]), Some(Found::Agent(at(o).into())));
    assert_eq!(find("a", &[]), None);
    assert_eq!(find("/bin/sh::x", &["/bin/sh".into()]), None);
    let nothing = [r, i, o].map(|it| format!("{it}/"));
    assert_eq!(find("::reboot", &nothing), None);
    assert_eq!(find("../a", &[format!("{o}/../a")]), None, "no agent");
}

#[test]
fn parameters_of_an_agent_are_written_with_their_names() {
    let call = ScriptCall::parse("mysql::config=/etc/my.cnf::_x1=::a b=c::=v::plain::1x=y::x-y=z");
    let bad: Vec<_> = call.not_parameters().collect();
    assert_eq!(bad, ["a b=c", "=v", "plain", "1x=y", "x-y=z"]);
    let call = ScriptCall::parse("mysql::config=/etc/my.cnf").of_agent();
    let argv = ["mysql", "config=/etc/my.cnf", "start"];
    assert_eq!(call.argv(Operation::Start), argv);
}

#[test]
fn status_output_means_what_3_0_6_takes_it_for() {
    for (text, running) in [
        ("running", true),
        ("is Running", true),
        ("OK", true),
        ("Running OK", true),
        ("bOKay", true),
        ("notrunning", true),
        ("not\trunning", true),
        ("not\nrunning", true),
        ("is running\nnot here", true),
        ("running but not ok", true),
        ("", false),
        ("ok", false),
        ("RUNNING", false),
        ("stopped", false),
        ("not running", false),
        ("NoT Running", false),
        ("not RUNNING", false),
        ("not   running", false),
        ("not running OK", false),
        ("not really running", false),
        ("not ok\nis running", false),
        ("not  \n running", false),
        ("cannot be running", false),
        ("not a thing,running", false),
    ] {
        assert_eq!(says_running(text.as_bytes()), running, "{text:?}");
    }
    assert!(says_running(b"\xff\xfe running"));
}

#[test]
fn stop_retries_follow_the_variable() {
    let of = StopRetries::from_variable;
    assert_eq!(of(None), StopRetries::AtMost(10));
    assert_eq!(of(Some("3")), StopRetries::AtMost(3));
    assert_eq!(of(Some("0")), StopRetries::Forever);
    assert_eq!(of(Some("-1")), StopRetries::Forever);
    assert_eq!(of(Some("many")), StopRetries::AtMost(10));
    assert!(StopRetries::AtMost(10).allow(9));
    assert!(!StopRetries::AtMost(10).allow(10));
    assert!(StopRetries::Forever.allow(u32::MAX));
}

#[test]
fn hook_names_are_plain_and_short() {
    assert_eq!(hook_name("status"), Some(("status", "status".to_owned())));
    assert_eq!(hook_name("NS_st"), Some(("NS_st", "ns_st".to_owned())));
    assert!(hook_name(&"a".repeat(31)).is_some());
    for bad in ["", ".", "..", "../x", "a/b", "a b", &"a".repeat(32)] {
        assert_eq!(hook_name(bad), None, "{bad:?}");
    }
}

fn config() -> Config {
    let mut config = crate::config::Config::for_tests("alpha");
    config.parameters = [
        ("keepalive", "500ms"),
        ("auto_failback", "on"),
        ("logfacility", "Local0"),
    ]
    .map(|(n, v)| (n.to_owned(), v.to_owned()))
    .into();
    config.env = vec![("SITE".to_owned(), "east".to_owned())];
    config.auto_failback = crate::protocol::settings::AutoFailback::On;
    config.log = LogConfig {
        logfile: Some("/var/log/ha-log".into()),
        facility: Some("local0".to_owned()),
        ..LogConfig::default()
    };
    config
}

fn as_text(environment: &Environment) -> Vec<String> {
    environment
        .iter()
        .map(|(n, v)| format!("{n}={}", v.unwrap_or("(unset)")))
        .collect()
}

#[test]
fn the_daemons_environment_is_the_list_of_the_specification() {
    let environment = Environment::of_daemon(&config(), &Paths::default(), 0, false);
    assert_eq!(
        as_text(&environment),
        [
            "HA_CURHOST=alpha",
            "HA_DATEFMT=%Y/%m/%d_%T\t",
            "HA_DEBUGLOG=",
            "HA_DIR=/etc/ha.d/",
            "HA_FUNCS=/etc/ha.d//shellfuncs",
            "HA_LOGFACILITY=Local0",
            "HA_LOGFILE=/var/log/ha-log",
            "HA_SITE=east",
            "HA_auto_failback=on",
            "HA_keepalive=500ms",
            "HA_logfacility=Local0",
            "OCF_ROOT=/usr/lib/ocf",
        ]
    );
    let environment = Environment::of_daemon(&config(), &Paths::default(), 2, true);
    assert_eq!(environment.get("HA_debug"), Some("2"));
    assert_eq!(
        environment.get("HA_NOARCHBIN"),
        Some("/usr/libexec/systole")
    );
}

#[test]
fn a_hook_gets_the_text_fields_and_nothing_dangerous() {
    let mut message = Message::new("status")
        .with("src", "beta")
        .with("st", "dead")
        .with("BIN", "/tmp/evil")
        .with("FUNCS", "/tmp/evil")
        .with("a-b", "x")
        .with("keepalive", "1")
        .with("OSTATUS", "x")
        .with("nul", "a\0b")
        .with(&"l".repeat(100), "long");
    message.push("srcuuid", Value::Binary(vec![1]));
    let base = Environment::of_daemon(&config(), &Paths::default(), 0, false);
    let scripts = base.clone().for_scripts(&config());
    let hook = scripts.clone().for_hook(&message, "active");
    let added: Vec<String> = as_text(&hook)
        .into_iter()
        .filter(|line| !as_text(&base).contains(line))
        .collect();
    let long = format!("HA_{}=long", "l".repeat(60));
    assert_eq!(
        added,
        [
            "HA_LOGD=no",
            "HA_NICEFAILBACK=yes",
            "HA_OSTATUS=active",
            long.as_str(),
            "HA_src=beta",
            "HA_st=dead",
            "HA_t=status",
        ]
    );
    assert_eq!(hook.get("HA_keepalive"), Some("500ms"));
}

#[test]
fn the_legacy_model_has_no_nicefailback() {
    let mut config = config();
    config.auto_failback = crate::protocol::settings::AutoFailback::Legacy;
    let environment =
        Environment::of_daemon(&config, &Paths::default(), 0, false).for_scripts(&config);
    assert_eq!(environment.get("HA_NICEFAILBACK"), None);
}

#[test]
fn resource_scripts_see_what_the_manager_exports() {
    let environment = Environment::of_daemon(&config(), &Paths::default(), 0, true)
        .for_scripts(&config())
        .for_resources(&Paths::default(), "/bin");
    assert_eq!(
        environment.get("HA_RESOURCEDIR"),
        Some("/etc/ha.d/resource.d")
    );
    assert_eq!(
        environment.get("PATH"),
        Some(
            "/usr/libexec/heartbeat:/usr/sbin:/usr/libexec/systole:/bin:/sbin:/bin:/usr/sbin:/usr/bin:/usr/ucb"
        )
    );
}

#[test]
fn scripts_are_told_of_defaults_as_legacy_tells_them() {
    let mut config = config();
    config.log.facility = None;
    config
        .parameters
        .insert("compression".to_owned(), "bz2".to_owned());
    let daemon = Environment::of_daemon(&config, &Paths::default(), 0, false);
    assert_eq!(daemon.get("HA_LOGFACILITY"), None);
    let scripts = daemon.for_scripts(&config);
    assert_eq!(scripts.get("HA_LOGFACILITY"), Some(""));
    assert_eq!(scripts.get("HA_COMPRESSION"), Some("bz2"));
    let all = scripts.with_shell_library(&Paths::default(), "/bin");
    assert_eq!(all.get("LC_ALL"), Some("C"));
    assert_eq!(all.get("HA_FUNCS"), Some("/etc/ha.d//shellfuncs"));
}

#[test]
fn the_last_words_of_a_script_are_short_and_plain() {
    let said = |text: &str| last_words(text.as_bytes());
    assert_eq!(said(""), None);
    assert_eq!(said(" \n\r\n\t\n"), None);
    assert_eq!(
        said("one\ntwo\n\nthree\nfour\n").as_deref(),
        Some("two | three | four")
    );
    assert_eq!(
        said("\u{1b}[1;31mcannot\topen\u{1b}[0m \u{7}\u{202e}it\0").as_deref(),
        Some("cannot open it")
    );
    assert_eq!(
        said("10%\r20%\rbroken").as_deref(),
        Some("10% | 20% | broken")
    );
    let long = said(&"\u{e4}".repeat(5000)).unwrap();
    assert!(
        long.ends_with("...") && long.chars().count() == 203,
        "{long}"
    );
    assert!(last_words(&[0xff, 0xfe, b'x']).unwrap().ends_with('x'));
}

#[test]
fn a_failed_stop_says_what_comes() {
    let remark =
        |variable, attempt, hung| StopRetries::from_variable(variable).remark(attempt, hung, 2);
    assert_eq!(
        remark(None, 3, 0),
        "attempt 3 of 11, then the machine is rebooted"
    );
    assert_eq!(
        remark(Some("1"), 2, 0),
        "attempt 2 of 2, then the machine is rebooted"
    );
    assert_eq!(
        remark(None, 3, 1),
        "attempt 3, 1 of 2 that may hang, then the machine is rebooted"
    );
    let forever = "attempt 40, tried for ever (HA_STOPRETRYMAX=0)";
    assert_eq!(remark(Some("0"), 40, 7), forever);
}

/// The output is cut in the middle of a text that is hidden, and a program colours a part of it.
#[test]
fn no_part_of_a_hidden_text_is_left() {
    let hidden = ["my long secret".to_owned()];
    let long = format!("long secret and\n{}\nthe end", "x".repeat(MAX_LAST_BYTES));
    let seen = without(long.as_bytes(), &hidden);
    assert!(!seen.contains("secret") && seen.ends_with("the end"));
    let coloured = "it said my \u{1b}[31mlong\u{1b}[0m\u{7} secret";
    assert_eq!(without(coloured.as_bytes(), &hidden), "it said ***");
}
