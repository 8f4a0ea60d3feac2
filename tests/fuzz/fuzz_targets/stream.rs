//! Any bytes on a serial line or in the FIFO, in any pieces. How they are cut changes nothing, and
//! a good message after them is still found.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use systole::protocol::frame::StreamDecoder;
use systole::protocol::message::Message;

const GOOD: &[u8] = b"\n>>>\nt=good\n<<<\n>>>\nt=good\n<<<\n";

fn decode(mut decoder: StreamDecoder, pieces: &[&[u8]]) -> Vec<Option<Message>> {
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(item) = decoder.next_unsigned(&mut input) {
            // The text of an error quotes what was there to quote.
            out.push(item.ok());
        }
    }
    assert_eq!(out.last(), Some(&Some(Message::new("good"))));
    out
}

fuzz_target!(|input: (usize, &[u8])| {
    let (cut, bytes) = input;
    let (first, second) = bytes.split_at(cut.checked_rem(bytes.len()).unwrap_or(0));
    // A message over the limit is dropped wherever its read ends.
    if bytes.len() > 100_000 {
        return;
    }
    for decoder in [StreamDecoder::serial, StreamDecoder::fifo] {
        let whole = decode(decoder(), &[bytes, GOOD]);
        let cut = decode(decoder(), &[first, second, GOOD]);
        assert_eq!(whole, cut);
    }
});
