use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::*;
use crate::clients::control::{GroupCounts, LeaseReport, MediumCounts, MediumView, Receives};

fn view() -> View {
    let peer = |name: &str, status: &str| PeerReport {
        name: name.to_owned(),
        status: status.to_owned(),
        links: vec![("eth0".to_owned(), true), ("eth1".to_owned(), false)],
        heard_ms_ago: Some(1_900),
        ..PeerReport::default()
    };
    let gw = PeerReport {
        ping: true,
        ..peer("gw", "ping")
    };
    let group = |key: &str| GroupView {
        key: key.to_owned(),
        owner: "alpha".to_owned(),
        last: Some(GroupAnswer::Started),
        wanted: true,
        place: Place::Here,
        changed_unix_s: Some(1_000),
        counts: GroupCounts {
            started: 3,
            start_failed: 1,
            ..GroupCounts::default()
        },
        ..GroupView::default()
    };
    View {
        node: Some(NodeReport {
            nodes: vec![peer("alpha", "active"), peer("beta", "active"), gw],
            began_unix_s: 900,
            ..NodeReport::example()
        }),
        groups: vec![group("IPaddr::10.0.0.1"), group("odd\"\\\nword")],
        media: vec![MediumView {
            counts: Some(MediumCounts {
                received: 7,
                not_authentic: 2,
                ..MediumCounts::default()
            }),
            ..MediumView::new("eth0".to_owned(), vec!["bcast".to_owned()], None)
        }],
        fencing: None,
        watchdog: None,
        lease: Some(LeaseReport {
            seconds: 2,
            renewed: vec!["10.0.0.1".to_owned()],
            ..LeaseReport::default()
        }),
    }
}

fn printed(form: Form) -> String {
    let view = view();
    let process = Process {
        cpu_s: 1.25,
        ..Process::default()
    };
    let source = Source {
        view: Some(&view),
        process: Some(&process),
        now_unix_s: 2_000,
    };
    text(source, form)
}

#[test]
fn both_forms_come_from_one_table() {
    let text = printed(Form::Text);
    for line in [
        "# TYPE systole_up gauge\nsystole_up 1\n",
        "# TYPE systole_build_info gauge\nsystole_build_info{version=\"",
        "systole_node_status{node=\"beta\",status=\"active\"} 1\n",
        "systole_node_status{node=\"beta\",status=\"dead\"} 0\n",
        "systole_node_last_heard_timestamp_seconds{node=\"beta\"} 1999\n",
        "# TYPE systole_node_deaths_total counter\n",
        "systole_link_up{node=\"beta\",medium=\"eth1\"} 0\n",
        "systole_ping_up{ping_node=\"gw\"} 1\n",
        "systole_medium_receive_drops_total{medium=\"eth0\",reason=\"auth\"} 2\n",
        "systole_holding{set=\"local\"} 1\nsystole_holding{set=\"foreign\"} 0\n",
        "systole_group_state{group=\"IPaddr::10.0.0.1\",state=\"running\"} 1\n",
        "systole_group_starts_total{group=\"IPaddr::10.0.0.1\",result=\"ok\"} 3\n",
        "systole_group_preferred_info{group=\"odd\\\"\\\\\\nword\",node=\"alpha\"} 1\n",
        "systole_standby_ready 1\n",
        "\nprocess_cpu_seconds_total 1.25\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    assert!(!text.contains("node=\"alpha\",medium"), "no link to itself");
    let open = printed(Form::Open);
    for line in [
        "# TYPE systole_build info\nsystole_build_info{",
        "# TYPE systole_node_deaths counter\nsystole_node_deaths_total{node=\"beta\"} 0\n",
        "# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.25\n",
    ] {
        assert!(open.contains(line), "{line}\n{open}");
    }
    assert!(open.ends_with("\n# EOF\n"));
    let samples = |text: &str| -> Vec<String> {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(&text), samples(&open));
    let once: BTreeSet<String> = samples(&text).into_iter().collect();
    assert_eq!(once.len(), samples(&text).len(), "no series twice");
}

#[test]
fn a_daemon_that_does_not_answer_is_down() {
    let source = Source {
        view: None,
        process: None,
        now_unix_s: 0,
    };
    let text = text(source, Form::Text);
    let help = "# HELP systole_up Whether the daemon answers.\n# TYPE systole_up gauge\n";
    assert_eq!(text, format!("{help}systole_up 0\n"));
}

/// One of the lines of an interface brings only own messages: its link is up by the other one.
#[test]
fn media_of_one_interface_are_told_apart() {
    let mut view = view();
    let medium = |kind: &str, receives| MediumView {
        receives: Some(receives),
        ..MediumView::new("eth0".to_owned(), vec![kind.to_owned()], None)
    };
    let heard = |view: &View| {
        let source = Source {
            view: Some(view),
            process: None,
            now_unix_s: 0,
        };
        let text = text(source, Form::Text);
        let lines = text
            .lines()
            .filter(|line| line.starts_with("systole_medium_hears{"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    view.media = vec![
        medium("ucast", Receives::Others),
        medium("bcast", Receives::Itself),
    ];
    let of = |kind: &str, value| {
        format!("systole_medium_hears{{medium=\"eth0\",kinds=\"{kind}\"}} {value}")
    };
    assert_eq!(heard(&view), [of("bcast", 0), of("ucast", 1)]);
    view.media.push(medium("ucast", Receives::Nothing));
    assert_eq!(heard(&view), [of("bcast", 0), of("ucast", 0)]);
}

/// Root writes it where a collector may write as well.
#[test]
fn no_link_is_followed() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    std::fs::write(place("precious"), "precious").unwrap();
    let beside = [".systole.prom.new", "systole.prom.tmp", "systole.prom"];
    for name in beside {
        std::os::unix::fs::symlink("precious", place(name)).unwrap();
    }
    write_file(&place("systole.prom"), "text\n").unwrap();
    let kept = std::fs::read_to_string(place("precious")).unwrap();
    assert_eq!(kept, "precious");
    let written = place("systole.prom").symlink_metadata().unwrap();
    assert!(written.is_file());
    assert_eq!(written.mode() & 0o7777, 0o644);
    assert!(place("systole.prom.tmp").symlink_metadata().is_err());
}

#[test]
fn a_file_is_written_whole() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("systole.prom");
    for text in ["first\n", "second\n"] {
        write_file(&file, text).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
    assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    assert!(write_file(Path::new("/"), "x").is_err());
    assert!(write_file(&directory.path().join("no/where"), "x").is_err());
}

/// Names as the conventions want them, and each metric once.
#[test]
fn the_names_keep_the_conventions() {
    let mut names = BTreeSet::new();
    for metric in TABLE {
        let name = metric.family();
        let legal = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(name.chars().all(legal), "{name}");
        assert!(
            !name.ends_with("_total") && !name.ends_with("_info"),
            "{name}"
        );
        assert!(metric.help.ends_with('.') && !metric.help.contains(['\\', '\n']));
        assert!(names.insert(name));
    }
}

/// `SYSTOLE_WRITE` writes the table of the page.
#[test]
fn the_page_has_the_table() {
    let mut table = "| Name | Type | Labels | Means |\n|---|---|---|---|\n".to_owned();
    for metric in TABLE {
        let labels: Vec<String> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        table.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            metric.sample_name(),
            metric.kind.word(),
            labels.join(", "),
            metric.help
        ));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let mut wanted = page.clone();
    let heading = "## All metrics\n\n";
    let at = wanted.find(heading).unwrap() + heading.len();
    let rest = wanted.get(at..).unwrap_or_default();
    let end = rest.find("\n\n").map_or(wanted.len(), |end| at + end + 1);
    wanted.replace_range(at..end, &table);
    if std::env::var_os("SYSTOLE_WRITE").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    assert_eq!(page, wanted, "SYSTOLE_WRITE=1 writes the page anew");
}

/// The alert rules and the dashboard use no name that is not printed.
#[test]
fn rules_and_dashboard_use_names_that_there_are() {
    let names: BTreeSet<String> = TABLE.iter().map(Metric::sample_name).collect();
    let files = [
        include_str!("../../../conf/prometheus/systole.rules.yml"),
        include_str!("../../../conf/prometheus/systole-dashboard.json"),
    ];
    for text in files {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = text.split(|c| !word(c));
        let ours = words.filter(|it| it.starts_with(PREFIX) && *it != PREFIX);
        let mut seen = 0;
        for name in ours {
            assert!(names.contains(name), "{name}");
            seen += 1;
        }
        assert!(seen > 8, "{seen}");
    }
}
