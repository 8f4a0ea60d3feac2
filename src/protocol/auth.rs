//! Signing and verifying: `crc`, `md5`, `sha1` and the choice of the key.
//! Spec: docs/protocol/wire.md, 4.
//!
//! A key exists here in prepared form only: the bytes of the keys file are wiped as soon as the
//! ring is built, nothing prints them, and no error contains the expected digest.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crc::{CRC_32_CKSUM, Crc, Table};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use md5::Md5;
use ring::hmac as ring_hmac;
use zeroize::Zeroizing;

/// Entries of the keys file carry the numbers 0..=15. Spec: docs/protocol/wire.md, 6.
pub const MAX_KEY_INDEX: u8 = 15;

/// Longest token accepted. A correct one has at most 43 bytes (`15 ` and 40 hex digits); legacy
/// crashes on one over 5119 bytes. Spec: docs/protocol/wire.md, 21.
pub const MAX_TOKEN_BYTES: usize = 128;

/// Longest token made here: two digits, a space, 40 hex digits.
const OWN_TOKEN_BYTES: usize = 43;

/// The wide table processes sixteen bytes at a time.
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_CKSUM);

/// How an entry of the keys file signs. Spec: docs/protocol/wire.md, 4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// CRC-32/CKSUM without a key: detects transmission errors and gives no protection against
    /// forgery.
    Crc,
    /// HMAC-MD5.
    Md5,
    /// HMAC-SHA1.
    Sha1,
}

impl Method {
    /// The name in the keys file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc => "crc",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
        }
    }

    /// Whether the method takes a key.
    #[must_use]
    pub const fn needs_key(self) -> bool {
        !matches!(self, Self::Crc)
    }
}

impl FromStr for Method {
    type Err = AuthError;

    /// Reads the name; it is case-sensitive.
    fn from_str(name: &str) -> Result<Self, AuthError> {
        match name {
            "crc" => Ok(Self::Crc),
            "md5" => Ok(Self::Md5),
            "sha1" => Ok(Self::Sha1),
            other => Err(AuthError::UnknownMethod(other.to_owned())),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a set of keys cannot be used. Never contains key bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Neither `crc`, `md5` nor `sha1`.
    #[error("unknown authentication method {0:?}")]
    UnknownMethod(String),
    /// An entry number above 15.
    #[error("authentication key number {0} is above {MAX_KEY_INDEX}")]
    IndexTooHigh(u8),
    /// `md5` or `sha1` without a key.
    #[error("authentication method {0} requires a key")]
    KeyMissing(Method),
    /// `crc` with a key.
    #[error("authentication method {0} does not use a key")]
    KeyUnwanted(Method),
    /// The entry to sign with is not there.
    #[error("authentication key {0} not found")]
    SigningKeyNotFound(u8),
}

/// Why a token was refused. Never contains the expected digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`].
    #[error("authentication token of {0} bytes")]
    TooLong(usize),
    /// Not `<index> <digest>`.
    #[error("authentication token is not an index and a digest")]
    Malformed,
    /// The keys file has no such entry.
    #[error("authentication index {0} is not configured")]
    UnknownIndex(u32),
    /// The digest does not match these bytes under that entry.
    #[error("authentication digest does not match, method {method}, index {index}")]
    WrongDigest {
        /// Entry named by the message.
        index: u8,
        /// Its method.
        method: Method,
    },
}

/// One entry of the keys file, ready for use.
#[derive(Clone)]
pub struct Key(Prepared);

/// The first block of each hash (key and pad) is already done.
#[derive(Clone)]
enum Prepared {
    Crc,
    Md5(Hmac<Md5>),
    Sha1(ring_hmac::Key),
}

impl Key {
    /// Prepares an entry. Keys of more than 64 bytes are hashed first (RFC 2104).
    ///
    /// # Errors
    /// The method needs a key and `secret` is empty, or the other way round.
    pub fn new(method: Method, secret: &[u8]) -> Result<Self, AuthError> {
        let prepared = match (method, secret.is_empty()) {
            (Method::Crc, true) => Prepared::Crc,
            (Method::Crc, false) => return Err(AuthError::KeyUnwanted(method)),
            (Method::Md5 | Method::Sha1, true) => return Err(AuthError::KeyMissing(method)),
            (Method::Md5, false) => Prepared::Md5(
                // HMAC takes a key of any length, so the error cannot occur.
                Hmac::new_from_slice(secret).map_err(|_| AuthError::KeyMissing(method))?,
            ),
            (Method::Sha1, false) => Prepared::Sha1(ring_hmac::Key::new(
                ring_hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
                secret,
            )),
        };
        Ok(Self(prepared))
    }

    /// The entry's method.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self.0 {
            Prepared::Crc => Method::Crc,
            Prepared::Md5(_) => Method::Md5,
            Prepared::Sha1(_) => Method::Sha1,
        }
    }

    /// Appends the digest of `data` to `token`, in lower-case hex.
    fn digest(&self, data: &[u8], token: &mut Token) {
        match &self.0 {
            // No zero padding: legacy prints the number with `%x`.
            Prepared::Crc => {
                let _ = write!(token, "{:x}", CRC.checksum(data));
            }
            Prepared::Md5(key) => {
                let mut mac = key.clone();
                mac.update(data);
                token.push_hex(&mac.finalize().into_bytes());
            }
            Prepared::Sha1(key) => token.push_hex(ring_hmac::sign(key, data).as_ref()),
        }
    }

    /// Whether `digest` (hex text) is that of `data`; for keyed methods in constant time.
    fn matches(&self, digest: &[u8], data: &[u8]) -> bool {
        match &self.0 {
            Prepared::Crc => {
                let mut own = Token::default();
                self.digest(data, &mut own);
                own.as_bytes() == digest
            }
            Prepared::Md5(key) => decode_hex::<16>(digest).is_some_and(|wanted| {
                let mut mac = key.clone();
                mac.update(data);
                mac.verify_slice(&wanted).is_ok()
            }),
            Prepared::Sha1(key) => decode_hex::<20>(digest)
                .is_some_and(|wanted| ring_hmac::verify(key, data, &wanted).is_ok()),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, ***)", self.method())
    }
}

/// The keys of one keys file: each of them verifies, one signs.
#[derive(Clone)]
pub struct KeyRing {
    sign_with: u8,
    signer: Key,
    /// By entry number.
    keys: Vec<Option<Key>>,
}

impl KeyRing {
    /// Builds the ring from `(number, method, key)`. If a number occurs twice, the later entry
    /// counts. The key bytes are wiped before this returns.
    ///
    /// # Errors
    /// [`AuthError`] for the first entry that cannot be used, or when `sign_with` names none.
    pub fn new(sign_with: u8, keys: Vec<(u8, Method, Vec<u8>)>) -> Result<Self, AuthError> {
        let entries: Vec<(u8, Method, Zeroizing<Vec<u8>>)> = keys
            .into_iter()
            .map(|(index, method, secret)| (index, method, Zeroizing::new(secret)))
            .collect();
        let mut by_index: Vec<Option<Key>> = vec![None; usize::from(MAX_KEY_INDEX) + 1];
        for (index, method, secret) in &entries {
            let slot = by_index
                .get_mut(usize::from(*index))
                .ok_or(AuthError::IndexTooHigh(*index))?;
            *slot = Some(Key::new(*method, secret)?);
        }
        let signer = by_index
            .get(usize::from(sign_with))
            .and_then(Option::as_ref)
            .cloned()
            .ok_or(AuthError::SigningKeyNotFound(sign_with))?;
        Ok(Self {
            sign_with,
            signer,
            keys: by_index,
        })
    }

    /// Number of the entry that signs.
    #[must_use]
    pub const fn sign_index(&self) -> u8 {
        self.sign_with
    }

    /// Method of the entry that signs.
    #[cfg(test)]
    pub(crate) const fn sign_method(&self) -> Method {
        self.signer.method()
    }

    /// The same keys, of which another signs; `None`: there is no such entry.
    #[must_use]
    pub fn signing_with(&self, index: u8) -> Option<Self> {
        let signer = self.keys.get(usize::from(index))?.clone()?;
        Some(Self {
            sign_with: index,
            signer,
            keys: self.keys.clone(),
        })
    }

    /// Numbers and methods of all entries.
    pub fn methods(&self) -> impl Iterator<Item = (u8, Method)> + '_ {
        (0..=MAX_KEY_INDEX)
            .zip(&self.keys)
            .filter_map(|(index, key)| key.as_ref().map(|key| (index, key.method())))
    }

    /// Makes the token of `data`: `<index> <digest>`. Spec: docs/protocol/wire.md, 4.2.
    #[must_use]
    pub fn sign(&self, data: &[u8]) -> Token {
        let mut token = Token::default();
        // A token is long enough for every number.
        let _ = write!(token, "{} ", self.sign_with);
        self.signer.digest(data, &mut token);
        token
    }

    /// Checks `token` against `data`, with method and key of the entry that the token names. Returns the
    /// number of that entry.
    ///
    /// Legacy uses the method of that entry and the key of its own `auth` entry; no node depends on
    /// that. Spec: docs/protocol/wire.md, 4.3.
    ///
    /// # Errors
    /// [`TokenError`] with the reason.
    pub fn verify(&self, token: &[u8], data: &[u8]) -> Result<u8, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong(token.len()));
        }
        let (index, digest) = split_token(token).ok_or(TokenError::Malformed)?;
        let found = usize::try_from(index).ok().and_then(|i| self.keys.get(i));
        let (Some(Some(key)), Ok(short)) = (found, u8::try_from(index)) else {
            return Err(TokenError::UnknownIndex(index));
        };
        if key.matches(digest, data) {
            Ok(short)
        } else {
            Err(TokenError::WrongDigest {
                index: short,
                method: key.method(),
            })
        }
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing")
            .field("sign_with", &self.sign_with)
            .field("keys", &self.methods().collect::<Vec<_>>())
            .finish()
    }
}

/// A token made here: `1 1c5e70c8...`. Stored inline, because one is made for every message.
#[derive(Clone, Copy)]
pub struct Token {
    text: [u8; OWN_TOKEN_BYTES],
    len: usize,
}

impl Default for Token {
    fn default() -> Self {
        Self {
            text: [0; OWN_TOKEN_BYTES],
            len: 0,
        }
    }
}

impl Token {
    /// The text.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }

    /// The place of the next `count` bytes. There is always one: an own token is never longer.
    fn grow(&mut self, count: usize) -> Option<&mut [u8]> {
        let (start, end) = (self.len, self.len.saturating_add(count));
        let place = self.text.get_mut(start..end);
        debug_assert!(place.is_some(), "an own token is never longer");
        if place.is_some() {
            self.len = end;
        }
        place
    }

    fn push_hex(&mut self, bytes: &[u8]) {
        if let Some(place) = self.grow(HEXLOWER.encode_len(bytes.len())) {
            HEXLOWER.encode_mut(bytes, place);
        }
    }
}

impl fmt::Write for Token {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let place = self.grow(text.len()).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({})", self.as_bytes().escape_ascii())
    }
}

/// Splits `<decimal> <digest>`; exactly one space, digits only before it.
fn split_token(token: &[u8]) -> Option<(u32, &[u8])> {
    let space = token.iter().position(|&b| b == b' ')?;
    let (number, rest) = token.split_at_checked(space)?;
    if number.is_empty() || !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let index = std::str::from_utf8(number).ok()?.parse().ok()?;
    Some((index, rest.get(1..)?))
}

/// Decodes exactly `2 * N` lower-case hex digits.
/// Spec: docs/protocol/wire.md, 4.3: upper case fails.
fn decode_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut out = [0; N];
    if HEXLOWER.decode_len(text.len()).ok()? != N {
        return None;
    }
    HEXLOWER.decode_mut(text, &mut out).ok()?;
    Some(out)
}

#[cfg(test)]
#[path = "auth/tests.rs"]
mod tests;
