//! Any bytes on the client socket, in any pieces. How they are cut changes nothing, no frame is
//! longer than its limit, and a decoded message is the same when it is written and read again.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use systole::protocol::wire::MessageFormat;
use systole::protocol::client::frame::{FrameError, MAX_STRANGER_BYTES, decode, encode, take};

fn bodies(pieces: &[&[u8]], limit: usize) -> (Vec<Vec<u8>>, Option<FrameError>) {
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match take(&mut input, limit) {
                Ok(Some(body)) => {
                    assert!(body.len() <= limit);
                    out.push(body.to_vec());
                }
                Ok(None) => break,
                Err(error) => return (out, Some(error)),
            }
        }
    }
    (out, None)
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    let (first, second) = bytes.split_at(cut.checked_rem(bytes.len()).unwrap_or(0));
    let whole = bodies(&[bytes], MAX_STRANGER_BYTES);
    assert_eq!(whole, bodies(&[first, second], MAX_STRANGER_BYTES));
    // Also as bodies alone: random bytes seldom make a frame.
    for body in whole.0.iter().map(Vec::as_slice).chain([bytes]) {
        let Ok(message) = decode(body) else {
            continue;
        };
        for format in [MessageFormat::Classic, MessageFormat::Netstring] {
            let Ok(frame) = encode(&message, format) else {
                continue;
            };
            assert_eq!(decode(&frame[8..]).as_ref(), Ok(&message));
        }
    }
});
