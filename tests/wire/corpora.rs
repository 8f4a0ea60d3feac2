//! The inputs that the fuzzers found, run by the functions that they ran. Each is a way through the code,
//! so a rule that some bytes break is seen here, on stable.

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks/mod.rs"]
mod checks;

/// Runs `check` on every kept input of the target, and on the recorded messages in `recorded`.
fn replay(target: &str, recorded: &str, check: fn(&[u8])) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let kept = tests.join("fuzz/corpus").join(target);
    let recorded = tests.join("vectors").join(recorded);
    for place in [kept, recorded] {
        let mut inputs = 0;
        for entry in fs::read_dir(&place).unwrap_or_else(|e| panic!("{place:?}: {e}")) {
            let path = entry.expect("an entry").path();
            let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{path:?}: {e}"));
            let outcome = std::panic::catch_unwind(|| check(&bytes));
            assert!(outcome.is_ok(), "{path:?} breaks a rule");
            inputs += 1;
        }
        assert!(inputs > 10, "{inputs} in {place:?}");
    }
}

#[test]
fn a_serial_line_and_the_fifo_take_any_bytes() {
    replay("stream", "wire", checks::stream::check);
}

#[test]
fn a_datagram_may_have_any_bytes() {
    replay("datagram", "wire", checks::datagram::check);
}

#[test]
fn a_client_may_write_any_bytes() {
    replay("client", "api", checks::client::check);
}
