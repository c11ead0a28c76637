//! XML and Markdown: what may stand where, and what comes of values.

use super::*;

#[test]
fn xml_may_have_all_that_xml_has() {
    let text = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE o>\n<!-- ours -->\n<s:o xmlns:s='urn:s' \
                n = \"a {{ event.object.name }} b\" ü-1.2='&#10;&#x41;&quot;'>\n<a/><b >{{ order.totals.total }}&amp;&lt;</b >\
                <![CDATA[<&]]>]]{{ order.test }}<?go on?></s:o>\n";
    let body = render(text, "text/xml");
    assert!(body.contains("<b >1234.50&amp;&lt;</b >"), "{body}");
}

#[test]
fn a_value_ends_no_cdata_with_what_follows_it() {
    let mut order = full();
    order.object.as_mut().unwrap().name = Some("a]]".to_owned());
    let text = "<o n=\"{{ event.object.name }}\">{{ event.object.name }}></o>";
    let template = template(text, "application/xml").unwrap();
    let body = String::from_utf8(template.render(&order).unwrap().to_vec()).unwrap();
    assert_eq!(body, "<o n=\"a&#93;&#93;\">a&#93;&#93;></o>");
}

#[test]
fn values_show_as_they_are_in_markdown() {
    let shown = |name: &str| {
        let mut order = full();
        order.object.as_mut().unwrap().name = Some(name.to_owned());
        let template = template("{{ event.object.name }}", "text/markdown").unwrap();
        String::from_utf8(template.render(&order).unwrap().to_vec()).unwrap()
    };
    for (name, expected) in [
        ("12.50 EUR, Müller", "12.50 EUR, Müller"),
        ("Ada 12.50", "Ada 12.50"),
        (
            "[Pay here](https://evil.example)",
            "\\[Pay here\\]\\(https\\://evil\\.example\\)",
        ),
        ("<https://evil.example>", "\\<https\\://evil\\.example\\>"),
        ("a\n# b\r\n- c", "a \\# b  \\- c"),
        (
            "**@channel** `x` ![a](b)",
            "\\*\\*\\@channel\\*\\* \\`x\\` \\!\\[a\\]\\(b\\)",
        ),
        ("1. no list", "1\\. no list"),
        ("www.evil.example/a", "www\\.evil\\.example/a"),
        ("www.1.de", "www\\.1\\.de"),
        ("===", "\\=\\=\\="),
    ] {
        assert_eq!(shown(name), expected, "{name}");
    }
}

#[test]
fn xml_that_is_none_or_protects_no_value_is_refused_with_its_place() {
    for (name, text, at, message, help) in [
        (
            "a value without quotes",
            "<o n={{ order.name }}>a</o>",
            " order.name ",
            "outside of an attribute's quotes",
            "in quotes",
        ),
        (
            "a tag's name",
            "<{{ order.name }}/>",
            " order.name ",
            "outside of an attribute's quotes",
            "plain text",
        ),
        (
            "within a tag's name",
            "<o{{ order.name }}></o>",
            " order.name ",
            "outside of an attribute's quotes",
            "plain text",
        ),
        (
            "an attribute's name",
            "<o {{ order.name }}=\"1\"/>",
            " order.name ",
            "outside of an attribute's quotes",
            "plain text",
        ),
        (
            "an instruction",
            "<o><?x {{ order.name }}?></o>",
            " order.name ",
            "an instruction",
            "plain text",
        ),
        (
            "outside of the element",
            "<o/>{{ order.name }}",
            " order.name ",
            "outside of the element",
            "one element",
        ),
        (
            "not closed",
            "<o><p>{{ order.name }}</o>",
            "o",
            "<p> is open here",
            "</p>",
        ),
        (
            "never closed",
            "<order>{{ order.name }}",
            "order",
            "not closed",
            "</order>",
        ),
        (
            "no end of a tag",
            "<o n=\"{{ order.name }}\"",
            "o",
            "no end",
            "close it",
        ),
        (
            "no end of a value",
            "<o n=\"{{ order.name }}/>",
            "\"",
            "not closed",
            "same sign",
        ),
        (
            "a sign of its own",
            "<o>{{ order.name }} & more</o>",
            "&",
            "a reference",
            "&amp;",
        ),
        (
            "a field in a reference",
            "<o>&{{ order.name }};</o>",
            "&",
            "a reference",
            "&amp;",
        ),
        (
            "an attribute twice",
            "<o n=\"1\" n=\"{{ order.name }}\"/>",
            "n",
            "twice",
            "one of the two",
        ),
        (
            "the end of no CDATA",
            "<o>]]{{ order.name }}></o>",
            ">",
            "cannot stand in text",
            "&gt;",
        ),
        (
            "no XML at all",
            "{{ order.name }} is here",
            " order.name ",
            "outside of the element",
            "one element",
        ),
    ] {
        let error = template(text, "application/xml").expect_err(name);
        assert!(error.message.contains(message), "{name}: {}", error.message);
        assert_eq!(&text[error.place.clone()], at, "{name}: {:?}", error.place);
        let said = error.help.unwrap_or_default();
        assert!(said.contains(help), "{name}: {said}");
    }
}

proptest! {
    #[test]
    fn xml_stays_xml_whatever_is_merged(name in any::<String>()) {
        let mut order = full();
        order.object.as_mut().unwrap().name = Some(name);
        let named = "<o n='{{ event.object.name }}'>{{ event.object.name }}]]{{ event.object.name }}</o>";
        let body = template(named, "application/xml").unwrap().render(&order).unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let whole = [parse::Part::Text(0..body.len())];
        prop_assert_eq!(xml::check(&body, &whole), Ok(()), "{}", body);
    }
}
