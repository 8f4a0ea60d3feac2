//! Any bytes as a datagram. They never verify under a key with which they were not made, and a
//! message that parses is the same when it is written and parsed again.

use std::sync::{Arc, LazyLock};

use systole::protocol::auth::{KeyRing, Method};
use systole::protocol::codec::{decode_datagram, decode_unsigned, encode_datagram, encode_serial};
use systole::protocol::compress;
use systole::protocol::message::Message;
use systole::protocol::wire::MessageFormat;

static OTHER_KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::new(1, vec![(1, Method::Sha1, b"not in any vector".to_vec())]).expect("a key")
});

static KEYS: LazyLock<Arc<KeyRing>> = LazyLock::new(super::recorded_keys);

/// Fails when a rule does not hold.
pub(crate) fn check(bytes: &[u8]) {
    assert!(decode_datagram(bytes, &OTHER_KEYS).is_err());
    if let Ok(message) = decode_datagram(bytes, &KEYS) {
        comes_back(message);
    }
    // Random bytes seldom verify.
    let Ok(message) = decode_unsigned(bytes) else {
        return;
    };
    if let Ok(inner) = compress::unwrap(message.clone()) {
        comes_back(inner);
    }
    comes_back(message);
}

fn comes_back(mut message: Message) {
    message.remove("auth");
    // Without a wrapper, so that the fields stay comparable.
    message.remove("_compressed_payload");
    if let Ok(wire) = encode_datagram(&message, &OTHER_KEYS, MessageFormat::Netstring) {
        assert_eq!(decode_datagram(&wire, &OTHER_KEYS).as_ref(), Ok(&message));
    }
    if let Ok(wire) = encode_serial(&message, &OTHER_KEYS) {
        let mut decoded = decode_datagram(&wire, &OTHER_KEYS).expect("own message");
        decoded.remove("auth");
        assert_eq!(decoded, message);
    }
}
