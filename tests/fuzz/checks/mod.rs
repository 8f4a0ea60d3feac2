//! What must hold for any bytes from outside: one function for each fuzz target. `tests/wire/corpora.rs`
//! runs the same functions over the kept inputs, so this code builds on stable and takes plain bytes.
#![allow(dead_code, reason = "a fuzz target uses one of them")]

pub(crate) mod client;
pub(crate) mod datagram;
pub(crate) mod files;
pub(crate) mod handover;
pub(crate) mod stream;

use std::sync::Arc;

use bytes::BytesMut;
use systole::protocol::auth::{KeyRing, Method};
use tokio_util::codec::Decoder;

/// The keys of the recorded messages.
fn recorded_keys() -> Arc<KeyRing> {
    let keys = vec![
        (1, Method::Sha1, b"labkey".to_vec()),
        (2, Method::Md5, b"otherkey".to_vec()),
        (3, Method::Crc, Vec::new()),
    ];
    Arc::new(KeyRing::new(1, keys).expect("keys"))
}

/// How many bytes a reader gets at once. The last byte says it, so that recorded bytes are inputs as they stand.
fn piece(bytes: &[u8]) -> usize {
    bytes.last().map_or(1, |last| usize::from(*last) + 1)
}

/// All that comes out of a stream that arrives in these pieces. After each piece at most `kept` bytes
/// wait for more.
fn items<D: Decoder>(decoder: &mut D, pieces: &[&[u8]], kept: usize) -> Vec<D::Item>
where
    D::Error: std::fmt::Debug,
{
    let mut input = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Some(item) = decoder.decode(&mut input).expect("no error of reading") {
            items.push(item);
        }
        assert!(input.len() <= kept, "{} bytes are kept", input.len());
    }
    items
}
