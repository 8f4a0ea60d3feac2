//! Base64 as binary fields use it in classic form: RFC 4648, padded, exactly one spelling for each
//! value.
//! Spec: docs/protocol/wire.md, 3.2.

use data_encoding::BASE64;

/// Appends the text for `bytes`.
pub fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(BASE64.encode(bytes).as_bytes());
}

/// Decodes `text`; `None` when a character, the length, the padding or a left-over bit is wrong.
///
/// Legacy keeps a corrupt field in these cases; Systole refuses the message.
#[must_use]
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    // The crate takes two padded values in a row for one.
    let (before, _) = text.split_at(text.len().saturating_sub(4));
    if before.contains(&b'=') {
        return None;
    }
    BASE64.decode(text).ok()
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
