//! What of a request is secret, and how that is blanked out where a receiver repeats it.

use std::collections::BTreeSet;

use reqwest::Url;

/// Shorter ones are left alone, in bytes: they would blank out half of every text. The validation asks for long ones.
const SHORTEST: usize = 6;

const HIDDEN: &str = "(hidden)";

/// Everything secret in a request, in every form in which receivers repeat it.
#[derive(Default)]
pub(super) struct Secrets(BTreeSet<String>);

impl Secrets {
    /// A secret, as it is and as JSON and HTML write it.
    pub(super) fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        let json = serde_json::to_string(secret).unwrap_or_default();
        let json = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
        let html = secret
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;");
        let forms = [
            secret.to_owned(),
            json.to_owned(),
            // Some escape the slash, and what would end a script.
            json.replace('/', "\\/"),
            json.replace('&', "\\u0026"),
            json.replace('/', "\\/").replace('&', "\\u0026"),
            html.replace('\'', "&#39;"),
            html,
        ];
        self.0
            .extend(forms.into_iter().filter(|form| form.len() >= SHORTEST));
    }

    /// What follows an address's host, as a whole and in parts: addresses of chats and automation services carry tokens there.
    /// The host itself is no secret.
    pub(super) fn add_address(&mut self, url: &Url) {
        self.add_both(url.path());
        for segment in url.path().split('/') {
            self.add_both(segment);
        }
        if let Some(query) = url.query() {
            self.add(query);
            self.add(&format!("{}?{query}", url.path()));
            for pair in query.split('&') {
                // Without a name, it is the value.
                self.add_both(pair.split_once('=').map_or(pair, |(_, value)| value));
            }
            for (_, value) in url.query_pairs() {
                self.add(&value);
            }
        }
        self.add_both(url.username());
        self.add_both(url.password().unwrap_or_default());
    }

    /// As it is written in an address, and what that means.
    fn add_both(&mut self, text: &str) {
        self.add(text);
        self.add(&decoded(text));
    }

    /// How long the longest is, in bytes.
    pub(super) fn longest(&self) -> usize {
        self.0.iter().map(String::len).max().unwrap_or(0)
    }

    /// The first `most` bytes of a text, without secrets. Where they overlap, all that is covered by any of them is blanked out;
    /// one that begins within those bytes is blanked out as a whole, and one that the text's end cuts off as far as it goes.
    pub(super) fn concealed(&self, text: &str, most: usize) -> String {
        let mut covered: Vec<(usize, usize)> = Vec::new();
        for secret in &self.0 {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(secret.as_str())) {
                let start = from + at;
                covered.push((start, start + secret.len()));
                // The next one may begin within this one.
                from = start + text[start..].chars().next().map_or(1, char::len_utf8);
            }
            let begun = (SHORTEST..secret.len())
                .rev()
                .find(|len| text.as_bytes().ends_with(&secret.as_bytes()[..*len]));
            covered.extend(begun.map(|len| (text.len() - len, text.len())));
        }
        covered.sort_unstable();
        let mut kept = String::new();
        let mut at = 0;
        for (start, end) in covered {
            if start >= most {
                break;
            }
            if start >= at {
                kept.push_str(&text[at..start]);
                kept.push_str(HIDDEN);
            }
            at = at.max(end);
        }
        if at < most {
            let end = text.floor_char_boundary(most.min(text.len()));
            kept.push_str(text.get(at..end).unwrap_or_default());
        }
        // What stands in place of a short one is longer.
        kept.truncate(kept.floor_char_boundary(most));
        kept
    }
}

/// A part of an address with its `%2F` read.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut read = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let digits = bytes.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        if let Some(digits) = digits
            && let Ok(byte) = hex::decode(digits)
        {
            read.extend(byte);
            at += 3;
        } else {
            read.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secrets(all: &[&str]) -> Secrets {
        let mut secrets = Secrets::default();
        for secret in all {
            secrets.add(secret);
        }
        secrets
    }

    #[test]
    fn all_of_a_secret_goes_whatever_else_it_contains() {
        for (all, text, expected) in [
            (&["abcdef"][..], "x abcdef y abcdef", "x (hidden) y (hidden)"),
            // The longer one contains the shorter.
            (
                &["abcdef", "abcdef-0123456789"],
                "<abcdef-0123456789>",
                "<(hidden)>",
            ),
            (
                &["def-01", "abcdef-0123456789"],
                "<abcdef-0123456789>",
                "<(hidden)>",
            ),
            // They overlap.
            (&["abcdef", "defghi"], "-abcdefghi-", "-(hidden)-"),
            (&["aaaaaa"], "aaaaaaaa", "(hidden)"),
            // Cut off by the text's end.
            (&["abcdefghijkl"], "x abcdefghi", "x (hidden)"),
            (&["abcdefghijkl"], "x abc", "x abc"),
            (&["short"], "short", "short"),
            (
                &["a\"b\\c/d&e"],
                r#"{"said":"a\"b\\c/d&e"}"#,
                r#"{"said":"(hidden)"}"#,
            ),
            (&["a\"b\\c/d&e"], r#"a\"b\\c\/d\u0026e"#, "(hidden)"),
            (&["a\"b<c>d&e'f"], "a&quot;b&lt;c&gt;d&amp;e&#39;f", "(hidden)"),
            (&["pässwörd"], "ä pässwörd ö", "ä (hidden) ö"),
        ] {
            assert_eq!(secrets(all).concealed(text, 4096), expected, "{text}");
        }
    }

    #[test]
    fn an_address_is_secret_in_all_its_parts() {
        let mut secrets = Secrets::default();
        secrets.add_address(
            &"https://hooks.example.com/services/T0B0C0%2FD0/x?key=se%20cret%2B1&sig=b+c+d+e&token-0123"
                .parse()
                .unwrap(),
        );
        for part in [
            "https://hooks.example.com/services/T0B0C0%2FD0/x?key=se%20cret%2B1&sig=b+c+d+e&token-0123",
            "/services/T0B0C0%2FD0/x?key=se%20cret%2B1",
            "key=se%20cret%2B1&sig=b+c+d+e&token-0123",
            "key=se%20cret%2B1&amp;sig=b+c+d+e&amp;token-0123",
            "\\/services\\/T0B0C0%2FD0\\/x",
            "/services/T0B0C0/D0/x",
            "T0B0C0%2FD0",
            "T0B0C0/D0",
            "se%20cret%2B1",
            "se cret+1",
            "b+c+d+e",
            "b c d e",
            "token-0123",
        ] {
            let kept = secrets.concealed(&format!("<{part}>"), 4096);
            for word in ["T0B0", "cret", "b+c", "b c", "token"] {
                assert!(!kept.contains(word), "{part}: {kept}");
            }
        }
        assert_eq!(secrets.concealed("hooks.example.com", 4096), "hooks.example.com");
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_is_left_wherever_the_text_is_cut(
            before in "[a-zäöü ]{0,40}", times in 1_usize..4, after in "[a-zäöü ]{0,40}", most in 0_usize..250,
        ) {
            let secret = "0123456789-9876543210";
            let text = format!("{before}{}{after}", format!("{secret} ").repeat(times));
            let kept = secrets(&[secret, "9876543210"]).concealed(&text, most);
            prop_assert!(kept.len() <= most);
            prop_assert!(!kept.contains(|digit: char| digit.is_ascii_digit()), "{}", kept);
            if most >= text.len() {
                prop_assert_eq!(kept, format!("{before}{}{after}", "(hidden) ".repeat(times)));
            }
        }
    }
}
