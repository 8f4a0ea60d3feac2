//! Any bytes on a serial line or in the FIFO, in any pieces. How they are cut changes nothing, what is
//! kept is bounded, and a good message after them is still found.

use std::sync::{Arc, LazyLock};

use systole::actors::codecs::{FifoCodec, SerialCodec};
use systole::protocol::auth::KeyRing;
use systole::protocol::codec::encode_serial;
use systole::protocol::message::Message;
use systole::protocol::wire::MAX_MESSAGE_BYTES;
use tokio_util::codec::Decoder;

use super::{items, piece};

static KEYS: LazyLock<Arc<KeyRing>> = LazyLock::new(super::recorded_keys);

/// As a serial line writes it, behind the end marker that closes what was left unfinished.
static SIGNED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = encode_serial(&Message::new("good"), &KEYS).expect("it has a form");
    [b"\n<<<\n", &text[..]].concat()
});

/// Twice: what the bytes have left open may swallow the first.
const GOOD: &[u8] = b"\n>>>\nt=good\n<<<\n>>>\nt=good\n<<<\n";

/// Fails when a rule does not hold.
pub(crate) fn check(bytes: &[u8]) {
    // A message over the limit is dropped wherever its read ends.
    if bytes.len() > 100_000 {
        return;
    }
    let mut lines = both_ways(bytes, &SIGNED, || SerialCodec::new(Arc::clone(&KEYS)));
    let [whole, cut] = lines.each_mut().map(SerialCodec::take_noise);
    assert_eq!(whole, cut);
    both_ways(bytes, GOOD, FifoCodec::default);
}

/// The decoders after the same bytes whole and in pieces.
fn both_ways<D, E>(bytes: &[u8], good: &[u8], decoder: impl Fn() -> D) -> [D; 2]
where
    D: Decoder<Item = Result<Message, E>>,
    D::Error: std::fmt::Debug,
{
    let read = |decoder: &mut D, pieces: &[&[u8]]| {
        // The text of an error quotes what was there to quote.
        let items = items(decoder, &[pieces, &[good]].concat(), MAX_MESSAGE_BYTES);
        items.into_iter().map(Result::ok).collect::<Vec<_>>()
    };
    let mut both = [decoder(), decoder()];
    let whole = read(&mut both[0], &[bytes]);
    let cut: Vec<&[u8]> = bytes.chunks(piece(bytes)).collect();
    assert_eq!(whole, read(&mut both[1], &cut));
    let last = whole.last().and_then(Option::as_ref);
    assert_eq!(last.and_then(Message::kind), Some("good"));
    both
}
