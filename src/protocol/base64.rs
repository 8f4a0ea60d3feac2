//! Base64 as binary fields carry it in classic form: RFC 4648, padded, one spelling per value.
//! Spec: docs/protocol/wire.md, 3.2.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends the text for `bytes`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    let sextet = |bits: u32| ALPHABET.get((bits & 63) as usize).copied().unwrap_or(b'A');
    for chunk in bytes.chunks(3) {
        let (a, b, c) = match *chunk {
            [a, b, c] => (a, b, c),
            [a, b] => (a, b, 0),
            [a] => (a, 0, 0),
            _ => continue,
        };
        let bits = u32::from_be_bytes([0, a, b, c]);
        let third = if chunk.len() > 1 {
            sextet(bits >> 6)
        } else {
            b'='
        };
        let fourth = if chunk.len() > 2 { sextet(bits) } else { b'=' };
        out.extend_from_slice(&[sextet(bits >> 18), sextet(bits >> 12), third, fourth]);
    }
}

/// Decodes `text`; `None` when a character, the length, the padding or a left-over bit is wrong.
///
/// Legacy keeps a corrupt field in these cases; we refuse the message.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let (quads, []) = text.as_chunks::<4>() else {
        return None;
    };
    let mut out = Vec::with_capacity(quads.len().saturating_mul(3));
    let mut quads = quads.iter().peekable();
    while let Some(&[a, b, c, d]) = quads.next() {
        let keep = match (c, d) {
            (b'=', b'=') => 1,
            (_, b'=') => 2,
            _ => 3,
        };
        if keep < 3 && quads.peek().is_some() {
            return None;
        }
        let third = if keep > 1 { sextet(c)? } else { 0 };
        let fourth = if keep > 2 { sextet(d)? } else { 0 };
        let bits = sextet(a)? << 18 | sextet(b)? << 12 | third << 6 | fourth;
        let [_, bytes @ ..] = bits.to_be_bytes();
        let (kept, dropped) = bytes.split_at_checked(keep)?;
        if dropped.iter().any(|&byte| byte != 0) {
            return None;
        }
        out.extend_from_slice(kept);
    }
    Some(out)
}

fn sextet(character: u8) -> Option<u32> {
    let (first, offset) = match character {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => (b'+', 62),
        b'/' => (b'/', 63),
        _ => return None,
    };
    Some(u32::from(character.saturating_sub(first)).saturating_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        encode(bytes, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// RFC 4648, section 10.
    #[test]
    fn rfc_vectors() {
        for (bytes, expected) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(text(bytes.as_bytes()), expected);
            assert_eq!(
                decode(expected.as_bytes()).as_deref(),
                Some(bytes.as_bytes())
            );
        }
        assert_eq!(text(&[0xfb, 0xff, 0xbf]), "+/+/");
        assert_eq!(decode(b"+/+/"), Some(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "A", "AA", "AAA", "A===", "====", "AA=A", "=AAA", "AA==AAAA", "AAA=AAA=", "A*AA",
            "AA A", "AAE\n", "Zh==", "Zm9=",
        ] {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
