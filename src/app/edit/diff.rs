//! A change of one place as a unified difference.

use std::fmt::Write as _;

/// Lines that are shown around the change.
const CONTEXT: usize = 3;

/// The difference between two texts that differ in one place, as `patch` and `git apply` read it. Each text comes with what
/// may be shown of it, byte for byte as long; a line that may not be shown ends the context, so that the difference can
/// still be applied.
pub(in crate::app) fn unified(name: &str, old: (&str, &str), new: (&str, &str)) -> String {
    let (before, before_shown) = (lines(old.0), lines(old.1));
    let (after, after_shown) = (lines(new.0), lines(new.1));
    if before == after {
        return String::new();
    }
    let same_start = same(before.iter(), after.iter());
    let most = before.len().min(after.len()) - same_start;
    let same_end = same(before.iter().rev(), after.iter().rev()).min(most);
    let (old_end, new_end) = (before.len() - same_end, after.len() - same_end);

    let may_show = |at: &usize| before_shown.get(*at) == before.get(*at);
    let above = (0..same_start).rev().take(CONTEXT).take_while(may_show).count();
    let below = (old_end..before.len()).take(CONTEXT).take_while(may_show).count();
    let from = same_start - above;

    let mut text = format!("--- {name}\n+++ {name}\n");
    let range = |from: usize, count: usize| match count {
        // A place without lines is named by the line before it.
        0 => format!("{from},0"),
        count => format!("{},{count}", from + 1),
    };
    let _infallible = writeln!(
        text,
        "@@ -{} +{} @@",
        range(from, old_end + below - from),
        range(from, new_end + below - from)
    );
    for line in &before_shown[from..same_start] {
        push(&mut text, ' ', line);
    }
    for line in &before_shown[same_start..old_end] {
        push(&mut text, '-', line);
    }
    for line in &after_shown[same_start..new_end] {
        push(&mut text, '+', line);
    }
    for line in &before_shown[old_end..old_end + below] {
        push(&mut text, ' ', line);
    }
    text
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn same<'t>(a: impl Iterator<Item = &'t &'t str>, b: impl Iterator<Item = &'t &'t str>) -> usize {
    a.zip(b).take_while(|(a, b)| a == b).count()
}

fn push(text: &mut String, sign: char, line: &str) {
    text.push(sign);
    text.push_str(line);
    if !line.ends_with('\n') {
        text.push_str("\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_is_shown_with_its_surroundings() {
        for (name, old, new, expected) in [
            (
                "in the middle",
                "1\n2\n3\n4\na\n5\n6\n7\n8\n",
                "1\n2\n3\n4\nb\n5\n6\n7\n8\n",
                "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-a\n+b\n 5\n 6\n 7\n",
            ),
            ("a new end", "1\n", "1\n2\n3\n", "@@ -1,1 +1,3 @@\n 1\n+2\n+3\n"),
            (
                "no newline at the end",
                "1\na",
                "1\nb",
                "@@ -1,2 +1,2 @@\n 1\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n",
            ),
            ("into nothing", "", "1\n", "@@ -0,0 +1,1 @@\n+1\n"),
            (
                "repeated lines",
                "a\na\n",
                "a\na\na\n",
                "@@ -1,2 +1,3 @@\n a\n a\n+a\n",
            ),
        ] {
            let diff = unified("f", (old, old), (new, new));
            assert_eq!(diff, format!("--- f\n+++ f\n{expected}"), "{name}");
        }
        assert_eq!(unified("f", ("a\n", "a\n"), ("a\n", "a\n")), "");
    }

    #[test]
    fn a_line_with_a_secret_ends_the_context() {
        let (old, shown) = ("x\nkey = 1\ny\non\n", "x\nkey = *\ny\non\n");
        let (new, new_shown) = ("x\nkey = 1\ny\noff\n", "x\nkey = *\ny\noff\n");
        assert_eq!(
            unified("f", (old, shown), (new, new_shown)),
            "--- f\n+++ f\n@@ -3,2 +3,2 @@\n y\n-on\n+off\n"
        );
    }
}
