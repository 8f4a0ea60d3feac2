//! `systole top` beside a real pair: it shows the owner, after a failover the new one, and says when the daemon is gone.

use super::host::Kind;
use super::pair::{ADDRESS_1, Pair, PairConfig};
use super::pty::Pty;
use super::{OURS_OURS, run};

fn top(pair: &Pair, before: &[&str]) -> Pty {
    let program = pair.program(Kind::Systole, "systole");
    let program = program.display().to_string();
    let words = [
        &["exec", pair.lab.name(), "node2"],
        before,
        &[&program, "top"],
    ]
    .concat();
    Pty::start(&pair.lab.prepared(&words), 24, 80)
}

fn shows_the_owner(kinds: [Kind; 2]) {
    let pair = Pair::new(PairConfig::new(kinds));
    pair.start_settled();
    let group = format!("{ADDRESS_1}/24/eth0  runs on");
    let mut screen = top(&pair, &[]);
    screen.shows_all(&["OK: node2 is active", &format!("{group} node1")]);
    // Keys that some other program of this kind does something with.
    let decided = || {
        let program = pair.program(Kind::Systole, "systole");
        let words = [&program.display().to_string(), "why", "--json"];
        let output = pair.lab.exec("node2", &words);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = decided();
    // Twice, so that ? leads back from its page.
    for key in (0..2).flat_map(|_| b'\t'..=b'~') {
        if !b"q\x1b".contains(&key) {
            screen.press(&[key]);
        }
    }
    screen.shows("DECISIONS");
    assert_eq!(decided(), before);
    pair.lab.power_off("node1");
    let owner = format!("{group} node2");
    screen.shows_all(&["WARNING: no standby: node1 is dead", &owner, "DECISIONS"]);
    // No faster than the kernel, and at most a second later: here only the first is checked.
    assert!(pair.has_address("node2", ADDRESS_1));
    pair.stop("node2");
    screen.shows_all(&[
        "UNKNOWN: no daemon listens on ",
        "the daemon does not answer since ",
    ]);
    pair.start("node2");
    screen.shows("NODES");
    screen.press(b"q");
    assert_eq!(screen.ended().code(), Some(0));
    screen.is_as_before();
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let mut refused = top(&pair, &nobody);
    refused.shows("systole: only root and the members of the group systole-view may ask");
    assert_eq!(refused.ended().code(), Some(3));
    refused.is_as_before();
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn top_shows_the_owner() {
    run("screen::top_shows_the_owner", OURS_OURS, shows_the_owner);
}
