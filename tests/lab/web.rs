//! `systole-web` beside the nodes of a pair: it follows a takeover, and a load balancer would too.

use std::time::Duration;

use super::host::{Kind, Lab, wait_until};
use super::pair::{ADDRESS_1, LONG, NODES, Pair, PairConfig};
use super::{OURS_OURS, run};

const WEB: &str = env!("CARGO_BIN_EXE_systole-web");

/// The status and the body of an answer, asked for as a load balancer does.
pub fn get(lab: &Lab, node: &str, path: &str) -> (String, String) {
    let ask = format!(
        "bash -c 'exec 3<>/dev/tcp/127.0.0.1/9694; printf \"GET {path} HTTP/1.0\\r\\n\\r\\n\" >&3; cat <&3' 2>&1 || :"
    );
    let answer = lab.sh(node, &ask);
    let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let body = answer.split_once("\r\n\r\n").unwrap_or_default().1;
    (status, body.to_owned())
}

fn status(pair: &Pair, node: &str, path: &str) -> String {
    get(&pair.lab, node, path).0
}

fn both_nodes_have_a_page(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    for node in NODES {
        // Before the daemon, as at the start of a machine.
        pair.lab.sh(
            node,
            &format!("setsid {WEB} >/run/web.log 2>&1 </dev/null &"),
        );
        wait_until(LONG, "it listens", || {
            status(&pair, node, "/healthz") == "503"
        });
    }
    pair.start_settled();
    let group = format!("/owner/{ADDRESS_1}/24/eth0");
    for (node, owner) in [("node1", "200"), ("node2", "503")] {
        wait_until(LONG, "who owns the group", || {
            status(&pair, node, &group) == owner
        });
        let (code, health) = get(&pair.lab, node, "/healthz");
        assert_eq!(code, "200", "{node}: {health}");
        let (code, page) = get(&pair.lab, node, "/");
        assert_eq!(code, "200", "{page}");
        for words in [
            "OK: ",
            "runs on node1",
            "<td class=\"good\">● yes</td>",
            "Systole",
        ] {
            assert!(
                page.replace("</b>", "").contains(words),
                "{node}: no {words} in {page}"
            );
        }
        assert!(!page.contains("class=\"gone\""));
        let (_, metrics) = get(&pair.lab, node, "/metrics");
        assert!(metrics.contains("\nsystole_up 1\n"), "{metrics}");
        assert_eq!(status(&pair, node, "/owner/nothing"), "404");
    }
    assert_eq!(
        pair.lab
            .sh("node1", "stat -c %F /run/heartbeat.view")
            .trim(),
        "socket"
    );

    pair.lab.power_off("node1");
    wait_until(LONG, "the other one owns it", || {
        status(&pair, "node2", &group) == "200"
    });
    let (_, page) = get(&pair.lab, "node2", "/");
    for words in [
        "no standby: node1 is dead",
        "class=\"gone\"",
        "runs on node2",
        "dead</span> since ",
    ] {
        assert!(page.contains(words), "no {words} in {page}");
    }
    assert_eq!(status(&pair, "node2", "/healthz"), "200");

    // Without the daemon no group has an owner here, as far as anybody can tell.
    pair.stop("node2");
    wait_until(Duration::from_secs(20), "nobody owns it", || {
        status(&pair, "node2", &group) == "503" && status(&pair, "node2", "/healthz") == "503"
    });
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn web_follows_a_takeover() {
    run("web_follows_a_takeover", OURS_OURS, both_nodes_have_a_page);
}
