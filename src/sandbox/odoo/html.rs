//! What Odoo's sanitiser does to rich text, as far as a client can notice: scripts, styles, handlers and script links
//! go, and text that has no element around it is wrapped in a paragraph.

/// Elements that vanish together with what they hold.
const DROPPED: [&str; 5] = ["script", "style", "iframe", "object", "embed"];

/// Cleans `text`.
pub(super) fn sanitize(text: &str) -> String {
    if text.trim().is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + 7);
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let Some(end) = tag_end(rest) else { break };
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let name = tag_name(tag);
        if name.is_empty() || tag.starts_with('!') || tag.starts_with('?') {
            continue;
        }
        if DROPPED.contains(&name.as_str()) {
            if !tag.starts_with('/') && !tag.ends_with('/') {
                rest = after_closing(rest, &name);
            }
            continue;
        }
        push_tag(&mut out, tag);
    }
    if !rest.is_empty() && !rest.starts_with('<') {
        out.push_str(rest);
    }
    if out.trim_start().starts_with('<') {
        out
    } else {
        format!("<p>{out}</p>")
    }
}

/// Index of the `>` that ends the tag at the start of `text`, not counting those in quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if c == q => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, '>') => return Some(at),
            _ => {}
        }
    }
    None
}

fn tag_name(tag: &str) -> String {
    tag.trim_start_matches('/')
        .chars()
        .take_while(char::is_ascii_alphanumeric)
        .collect::<String>()
        .to_lowercase()
}

fn after_closing<'a>(rest: &'a str, name: &str) -> &'a str {
    let lower = rest.to_ascii_lowercase();
    let Some(at) = lower.find(&format!("</{name}")) else {
        return "";
    };
    rest[at..].find('>').map_or("", |end| &rest[at + end + 1..])
}

/// Writes `tag` without handlers and script links.
fn push_tag(out: &mut String, tag: &str) {
    out.push('<');
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    for c in tag.chars() {
        match (quote, c) {
            (None, c) if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            (Some(q), c) if c == q => {
                quote = None;
                word.push(c);
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                word.push(c);
            }
            _ => word.push(c),
        }
    }
    words.push(word);
    let kept: Vec<String> = words
        .into_iter()
        .filter(|word| !word.is_empty())
        .enumerate()
        .filter(|(at, word)| {
            let lower = word.to_ascii_lowercase();
            *at == 0 || !(lower.starts_with("on") && lower.contains('=') || lower.contains("javascript:"))
        })
        .map(|(_, word)| word)
        .collect();
    out.push_str(&kept.join(" "));
    out.push('>');
}

#[cfg(test)]
mod tests {
    use super::sanitize;

    #[test]
    fn rich_text_is_cleaned_as_section_3_says() {
        for (sent, stored) in [
            ("plain", "<p>plain</p>"),
            ("<p>a</p>", "<p>a</p>"),
            ("<p onclick=\"x()\" class=\"k\">a</p>", "<p class=\"k\">a</p>"),
            ("<p>a<script>alert(1)</script>b</p>", "<p>ab</p>"),
            ("<a href=\"javascript:x\">a</a>", "<a>a</a>"),
            ("a & b <b>c</b>", "<p>a & b <b>c</b></p>"),
            ("5 < 6", "<p>5 </p>"),
            ("", ""),
        ] {
            assert_eq!(sanitize(sent), stored, "{sent:?}");
        }
    }
}
