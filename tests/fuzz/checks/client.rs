//! Any bytes on the client socket, in any pieces. How they are cut changes nothing, no frame is
//! longer than its limit, and a decoded message is the same when it is written and read again.

use systole::actors::codecs::ClientDecoder;
use systole::protocol::client::frame::{
    HEADER_BYTES, MAX_BODY_BYTES, MAX_STRANGER_BYTES, decode, encode,
};
use systole::protocol::compress::is_wrapped;
use systole::protocol::wire::MessageFormat;

use super::{items, piece};

/// Fails when a rule does not hold.
pub(crate) fn check(bytes: &[u8]) {
    for (signed_on, limit) in [(false, MAX_STRANGER_BYTES), (true, MAX_BODY_BYTES)] {
        let read = |pieces: &[&[u8]]| {
            let mut decoder = ClientDecoder::default();
            decoder.set_signed_on(signed_on);
            items(&mut decoder, pieces, HEADER_BYTES + limit)
        };
        let whole = read(&[bytes]);
        let cut: Vec<&[u8]> = bytes.chunks(piece(bytes)).collect();
        assert_eq!(whole, read(&cut));
        // Nothing comes behind a bad header.
        let bad = whole.iter().position(Result::is_err);
        assert!(bad.is_none_or(|at| at + 1 == whole.len()));
        for body in whole.iter().flatten() {
            assert!(body.len() <= limit);
            comes_back(body);
        }
    }
    // Also as a body alone: random bytes seldom make a frame.
    comes_back(bytes);
}

fn comes_back(body: &[u8]) {
    // A wrapper in a wrapper would be opened when it is read again.
    let Some(message) = decode(body).ok().filter(|message| !is_wrapped(message)) else {
        return;
    };
    for format in [MessageFormat::Classic, MessageFormat::Netstring] {
        let Ok(frame) = encode(&message, format) else {
            continue;
        };
        assert_eq!(decode(&frame[HEADER_BYTES..]).as_ref(), Ok(&message));
    }
}
