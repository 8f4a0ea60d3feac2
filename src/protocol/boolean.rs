//! The words for "yes" and "no" in ha.cf, and in the values that clients are given.

/// One of the words for "yes" or "no", in any case; `None`: neither. Spec: docs/protocol/config.md, 2.3.
#[must_use]
pub fn boolean(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Whether a text is one of the words for "no".
#[must_use]
pub fn is_false(word: &str) -> bool {
    boolean(word) == Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_other_words_are_neither() {
        for word in ["TRUE", "on", "Yes", "y", "1"] {
            assert_eq!(boolean(word), Some(true), "{word}");
        }
        for word in ["False", "OFF", "no", "n", "0"] {
            assert!(is_false(word), "{word}");
        }
        for word in ["enable", "", "2", "ja", "yes "] {
            assert_eq!(boolean(word), None, "{word}");
        }
    }
}
