//! Any bytes as a datagram. They never verify under a key with which they were not made, and a
//! message that parses is the same when it is written and parsed again.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use systole::protocol::wire::MessageFormat;
use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::{decode_datagram, decode_unsigned, encode_datagram, encode_serial};

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::new(1, vec![(1, Method::Sha1, b"not in any vector".to_vec())]).expect("a key")
});

fuzz_target!(|bytes: &[u8]| {
    assert!(decode_datagram(bytes, &KEYS).is_err());
    let Ok(mut message) = decode_unsigned(bytes) else {
        return;
    };
    message.remove("auth");
    // Without a wrapper, so that the fields stay comparable.
    message.remove("_compressed_payload");
    if let Ok(wire) = encode_datagram(&message, &KEYS, MessageFormat::Netstring) {
        assert_eq!(decode_datagram(&wire, &KEYS).as_ref(), Ok(&message));
    }
    if let Ok(wire) = encode_serial(&message, &KEYS) {
        let mut decoded = decode_datagram(&wire, &KEYS).expect("own message");
        decoded.remove("auth");
        assert_eq!(decoded, message);
    }
});
