//! What is taken out of anything that is printed of a configuration.
//!
//! Invariant: no user name and no password that is part of an address is printed, whatever setting it is in.

/// A text without the user information of the addresses in it.
#[must_use]
pub fn without_user_info(text: &str) -> String {
    let mut left = text;
    let mut shown = String::with_capacity(text.len());
    while let Some((before, rest)) = left.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = rest.find(|c: char| c.is_whitespace() || "/\\?#\"',".contains(c)).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown.push_str("[redacted]@");
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        left = after;
    }
    shown + left
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_information_is_taken_out_of_every_address() {
        for (text, want) in [
            ("http://me:hunter2@host:4318", "http://[redacted]@host:4318"),
            (
                "[\"https://a.example.org\",\"https://me:h@nter2@b/x@y\"]",
                "[\"https://a.example.org\",\"https://[redacted]@b/x@y\"]",
            ),
            ("https://token@host", "https://[redacted]@host"),
            ("s3://bucket/a@b", "s3://bucket/a@b"),
            ("me@host", "me@host"),
        ] {
            assert_eq!(without_user_info(text), want);
        }
    }
}
