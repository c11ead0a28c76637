//! Understands just enough of Rust to see every path that leaves a module: comments, strings and inline test modules are blanked, braces
//! are matched, lists are taken apart, and `super` is followed up to the root.

use std::collections::BTreeSet;
use std::path::Path;

/// The text with comments (and, if wanted, what strings hold) overwritten by spaces: every place stays what it was.
pub(crate) fn blanked(text: &str, strings: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    let length = |from: usize, end: &str| {
        text[from..]
            .find(end)
            .map_or(text.len() - from, |n| n + end.len())
    };
    while at < bytes.len() {
        let rest = &text.as_bytes()[at..];
        let inside_word = at > 0 && is_word(bytes[at - 1]);
        let (skip, blank) = if rest.starts_with(b"//") {
            (text[at..].find('\n').unwrap_or(rest.len()), true)
        } else if rest.starts_with(b"/*") {
            (length(at, "*/"), true)
        } else if rest[0] == b'r' && !inside_word && raw_string(rest).is_some() {
            let hashes = raw_string(rest).unwrap_or(0);
            let end = format!("\"{}", "#".repeat(hashes));
            (hashes + 2 + length(at + hashes + 2, &end), strings)
        } else if rest[0] == b'"' {
            let mut end = 1;
            while end < rest.len() && rest[end] != b'"' {
                end += if rest[end] == b'\\' { 2 } else { 1 };
            }
            ((end + 1).min(rest.len()), strings)
        } else if rest[0] == b'\'' {
            // A character, unless it is a lifetime.
            let end = if rest.get(1) == Some(&b'\\') {
                rest[3..].iter().position(|b| *b == b'\'').map(|n| n + 4)
            } else {
                text[at + 1..]
                    .chars()
                    .next()
                    .map(|c| 1 + c.len_utf8())
                    .filter(|n| rest.get(*n) == Some(&b'\''))
                    .map(|n| n + 1)
            };
            end.map_or((1, false), |end| (end, strings))
        } else {
            (1, false)
        };
        if blank {
            out[at..at + skip]
                .iter_mut()
                .filter(|b| **b != b'\n')
                .for_each(|b| *b = b' ');
        }
        at += skip;
    }
    String::from_utf8(out).expect("only whole characters are overwritten")
}

/// The number of `#` of a raw string that begins here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|b| **b == b'#').count();
    (rest.get(1 + hashes) == Some(&b'"')).then_some(hashes)
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The word at the start of a text.
fn word(text: &str) -> &str {
    &text[..text.bytes().take_while(|b| is_word(*b)).count()]
}

/// The place of the bracket that closes the one at `open`.
pub(crate) fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}

/// Where the item begins that follows an attribute: behind white space and further attributes.
pub(crate) fn item_start(code: &str, mut at: usize) -> usize {
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at = closing(code, at + 1) + 1;
    }
}

/// The inline module that begins here: where its `{` is. A declaration (`mod tests;`) is none.
fn inline_module(code: &str, at: usize) -> Option<usize> {
    let mut rest = &code[at..];
    if let Some(after) = rest.strip_prefix("pub") {
        rest = after.trim_start();
        if rest.starts_with('(') {
            rest = rest[closing(rest, 0) + 1..].trim_start();
        }
    }
    let name = rest.strip_prefix("mod ")?.trim_start();
    let behind = name[word(name).len()..].trim_start();
    behind.starts_with('{').then(|| code.len() - behind.len())
}

/// The code without its inline test modules, which may join modules that the code itself must not. What stands below
/// them, or below a mere declaration, is read.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    let mark = "#[cfg(test)]";
    let mut from = 0;
    while let Some(at) = out[from..].find(mark).map(|found| from + found) {
        from = at + mark.len();
        if let Some(open) = inline_module(&out, item_start(&out, from)) {
            let end = (closing(&out, open) + 1).min(out.len());
            let blank: String = out[at..end].chars().filter(|c| *c == '\n').collect();
            out.replace_range(at..end, &blank);
            from = at + blank.len();
        }
    }
    out
}

/// Every path that the tree at the start of `text` stands for (`a::{b, c::d}` is `a::b` and `a::c::d`).
fn paths(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if let Some(list) = text.strip_prefix('{') {
        let list = &list[..closing(text, 0).saturating_sub(1).min(list.len())];
        let mut items = Vec::new();
        let (mut depth, mut start) = (0, 0);
        for (at, byte) in list.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth -= 1,
                b',' if depth == 0 => {
                    items.extend(paths(&list[start..at]));
                    start = at + 1;
                }
                _ => {}
            }
        }
        items.extend(paths(&list[start..]));
        return items;
    }
    if text.starts_with('*') {
        return vec![vec!["*".to_owned()]];
    }
    let first = word(text);
    if first.is_empty() {
        return Vec::new();
    }
    match text[first.len()..].trim_start().strip_prefix("::") {
        Some(rest) if !rest.starts_with('<') => {
            let mut found = paths(rest);
            for path in &mut found {
                path.insert(0, first.to_owned());
            }
            found
        }
        _ => vec![vec![first.to_owned()]],
    }
}

/// The top-level modules that a file names. `depth` says how many modules deep it is (`store/mod.rs`: 1), `root` what
/// the crate is called there (`crate`, in the binary `lockstep`).
pub(crate) fn uses(text: &str, root: &str, depth: usize) -> BTreeSet<String> {
    let code = without_tests(&blanked(text, true));
    let mut names = BTreeSet::new();
    // Where the inline modules end that we are in.
    let mut ends: Vec<usize> = Vec::new();
    let mut at = 0;
    while at < code.len() {
        if !is_word(code.as_bytes()[at]) {
            at += code[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        ends.retain(|end| at < *end);
        if let Some(open) = inline_module(&code, at) {
            ends.push(closing(&code, open));
        }
        let first = word(&code[at..]);
        let continues = code[..at].trim_end().ends_with("super::");
        if first == root && !code[..at].trim_end().ends_with("::") {
            names.extend(
                paths(&code[at..])
                    .into_iter()
                    .filter_map(|path| path.into_iter().nth(1)),
            );
        } else if first == "super" && !continues {
            for path in paths(&code[at..]) {
                let supers = path.iter().take_while(|part| *part == "super").count();
                if supers == depth + ends.len() {
                    names.extend(path.into_iter().nth(supers));
                }
            }
        }
        at += first.len();
    }
    names.remove("self");
    names
}

/// How many modules deep a file is.
pub(crate) fn depth(inside: &Path) -> usize {
    let parts = inside.components().count();
    match inside.file_name().and_then(|name| name.to_str()) {
        Some("mod.rs" | "lib.rs" | "main.rs") => parts - 1,
        _ => parts,
    }
}
