//! The rows of the defect table (`docs/defects.md`) that need real processes.

use super::host::Kind;
use super::{OURS_OURS, SYSTOLE_OWNER, death, run};

/// Legacy: the resources stay up unguarded while the peer takes over.
#[test]
#[ignore = "lab: run by scripts/test"]
fn defect_08_daemon_dies_alone_systole_owner() {
    row_8("defect_08::systole_owner", SYSTOLE_OWNER);
}

#[test]
#[ignore = "lab: run by scripts/test"]
fn defect_08_daemon_dies_alone_ours_ours() {
    row_8("defect_08::ours_ours", OURS_OURS);
}

fn row_8(name: &str, kinds: [Kind; 2]) {
    run(name, kinds, death::killed);
}
