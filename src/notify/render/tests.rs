//! Templates with a small stand-in for the mappings' language: paths only.

mod escaping;
mod trial;

use proptest::prelude::*;

use super::super::notification::tests::full;
use super::*;
use crate::domain::{Shape, nearest};

/// Paths such as `event.object.name`; `fails` is an expression that compiles and never works, and `X > N` compares.
#[derive(Debug)]
pub(in crate::notify) struct Paths;

#[derive(Debug)]
struct Path {
    slot: usize,
    rest: String,
    above: Option<i64>,
}

impl Expressions for Paths {
    fn compile(
        &self,
        text: &str,
        names: &[(&'static str, Shape)],
    ) -> Result<Arc<dyn Expression>, ExpressionError> {
        let (path, above) = match text.split_once('>') {
            Some((path, number)) => (path.trim(), Some(number.trim().parse().unwrap())),
            None => (text.trim(), None),
        };
        let start = text.find(path).unwrap_or(0);
        let wrong = |name: &str, known: Vec<&str>| ExpressionError {
            place: start..start + path.len(),
            message: format!("unknown name `{name}`"),
            help: nearest(name, known).map(|near| format!("did you mean `{near}`?")),
        };
        if path == "fails" {
            return Ok(Arc::new(Path {
                slot: usize::MAX,
                rest: String::new(),
                above,
            }));
        }
        let mut words = path.split('.');
        let first = words.next().unwrap_or_default();
        let slot = names
            .iter()
            .position(|(name, _)| *name == first)
            .ok_or_else(|| wrong(first, names.iter().map(|(name, _)| *name).collect()))?;
        let mut shape = &names[slot].1;
        for word in words {
            while let Shape::Optional(inner) = shape {
                shape = inner;
            }
            let Shape::Record(parts) = shape else {
                return Err(wrong(word, vec![]));
            };
            shape = parts
                .iter()
                .find(|(name, _)| name == word)
                .map(|(_, shape)| shape)
                .ok_or_else(|| wrong(word, parts.iter().map(|(name, _)| &**name).collect()))?;
        }
        Ok(Arc::new(Path {
            slot,
            rest: path.split_once('.').map_or("", |(_, rest)| rest).to_owned(),
            above,
        }))
    }
}

impl Expression for Path {
    fn value(&self, facts: &[Fact]) -> Result<Fact, String> {
        let fact = facts.get(self.slot).ok_or("it never works")?;
        Ok(if self.rest.is_empty() {
            Some(fact)
        } else {
            fact.at(&self.rest)
        }
        .cloned()
        .unwrap_or(Fact::Null))
    }

    fn holds(&self, facts: &[Fact]) -> Result<bool, String> {
        Ok(match self.value(facts)? {
            Fact::Decimal(value) => value > self.above.unwrap_or(0).into(),
            Fact::Bool(value) => value,
            other => other != Fact::Null,
        })
    }
}

const ORDERS: &[EventType] = &[EventType::OrderSynced, EventType::OrderRefunded];

fn template(text: &str, mime: &str) -> Result<Template, ExpressionError> {
    Template::compile(text, mime, ORDERS, &Paths)
}

/// An order whose texts try to break out of whatever they stand in.
fn nasty() -> Notification {
    let mut order = full();
    order.object.as_mut().unwrap().name = Some("#1 \"</a>&\\ \u{1}\nü'".to_owned());
    order.record = Some(json!({ "totals": { "total": "1234.50" }, "tags": ["a", "b"], "test": true }));
    order
}

fn render(text: &str, mime: &str) -> String {
    let body = template(text, mime).unwrap().render(&nasty()).unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[test]
fn values_stay_values_in_json() {
    let body = render(
        r#"{ "text": "Order {{ event.object.name }}, {{order.totals.total}}", "name": {{ event.object.name }},
            "total": {{ order.totals.total }}, "sku": {{ event.object.sku }}, "no": "{{ event.object.sku }}",
            "tags": {{ order.tags }}, "of": "{{ order.tags }}", "test": {{ order.test }}, "said": "\"{{ order.tags }}\"", "at": {{ event.timestamp }} }"#,
        "application/json",
    );
    assert!(body.contains("\"total\": 1234.50,"), "all digits: {body}");
    let read: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(read["name"], "#1 \"</a>&\\ \u{1}\nü'");
    assert_eq!(read["text"], "Order #1 \"</a>&\\ \u{1}\nü', 1234.50");
    assert_eq!((&read["sku"], &read["no"]), (&Value::Null, &Value::from("")));
    assert_eq!(
        (&read["tags"], &read["of"]),
        (&json!(["a", "b"]), &Value::from("a, b"))
    );
    assert_eq!(read["test"], true);
    assert_eq!(read["said"], "\"a, b\"", "an escaped quote ends no text");
    assert_eq!(read["at"], "2023-11-14T22:13:20.123Z");
}

#[test]
fn values_stay_values_in_xml_and_are_themselves_in_text() {
    assert_eq!(
        render(
            "<o n=\"{{ event.object.name }}\">{{ order.totals.total }}</o>",
            "application/xml"
        ),
        "<o n=\"#1 &quot;&lt;/a&gt;&amp;\\ \u{fffd}&#10;ü&#39;\">1234.50</o>"
    );
    assert_eq!(
        render("{{ event.object.name }}", "text/plain; charset=utf-8"),
        "#1 \"</a>&\\ \u{1}\nü'"
    );
}

#[test]
fn a_template_that_cannot_work_is_refused_with_its_place() {
    for (name, text, mime, at, message, help) in [
        (
            "unknown field",
            "x {{ event.object.nam }}",
            "text/plain",
            "event.object.nam",
            "of order.synced: unknown name `nam`",
            "did you mean `name`?",
        ),
        (
            "unknown name",
            "{{ ordr.name }}",
            "text/plain",
            "ordr.name",
            "unknown name `ordr`",
            "did you mean `order`?",
        ),
        (
            "a comma too many",
            "{ \"a\": {{ order.name }}, }",
            "application/json",
            "}",
            "no JSON",
            "outside of quotes",
        ),
        (
            "two values",
            "[{{ order.name }} {{ order.name }}]",
            "application/json",
            " order.name ",
            "no JSON",
            "outside",
        ),
        (
            "as a key",
            "{ {{ order.name }}: 1 }",
            "application/json",
            " order.name ",
            "no JSON",
            "outside",
        ),
        (
            "not closed",
            "{ \"a\": \"{{ order.name }} }",
            "application/json",
            "}",
            "no JSON",
            "outside",
        ),
        (
            "backslash",
            "{ \"a\": \"\\{{ order.name }}\" }",
            "application/json",
            " order.name ",
            "backslash",
            "take it out",
        ),
        (
            "within a character",
            r#"{ "a": "\u00{{ order.name }}41" }"#,
            "application/json",
            " order.name ",
            "within a \\u",
            "all four digits",
        ),
        (
            "before the digits",
            r#"{ "a": "\\\u{{ order.name }}0041" }"#,
            "application/json",
            " order.name ",
            "within a \\u",
            "all four digits",
        ),
        (
            "between the halves of a character",
            r#"{ "a": "\ud83d{{ order.name }}\ude00" }"#,
            "application/json",
            " order.name ",
            "no JSON",
            "a part of the text",
        ),
        (
            "another charset",
            "{{ order.name }}",
            "text/plain; charset=iso-8859-1",
            "{{ order.name }}",
            "another charset",
            "charset=utf-8",
        ),
        (
            "cdata",
            "<a><![CDATA[{{ order.name }}]]></a>",
            "text/xml",
            " order.name ",
            "CDATA",
            "plain text",
        ),
        (
            "comment",
            "<a><!-- {{ order.name }} --></a>",
            "application/soap+xml",
            " order.name ",
            "a comment",
            "plain text",
        ),
        ("empty", "  ", "text/plain", "  ", "empty", "default body"),
        (
            "no end",
            "{{ order.name",
            "text/plain",
            "{{",
            "no end",
            "close it",
        ),
        (
            "form",
            "a={{ order.name }}",
            "application/x-www-form-urlencoded",
            "a={{ order.name }}",
            "cannot be escaped",
            "application/json",
        ),
    ] {
        let error = template(text, mime).expect_err(name);
        assert!(error.message.contains(message), "{name}: {}", error.message);
        let found = &text[error.place.clone()];
        assert!(
            if name == "two values" || name == "as a key" || name == "between the halves of a character" {
                at.contains(found)
            } else {
                found == at
            },
            "{name}: `{found}` at {:?}",
            error.place
        );
        let said = error.help.unwrap_or_default();
        assert!(said.contains(help), "{name}: {said}");
    }
}

#[test]
fn a_character_that_is_written_by_its_number_may_stand_beside_a_field() {
    let body = render(
        r#"{ "a": "\u0041{{ order.tags }}\u00e9", "b": "\\u00{{ order.tags }}", "c": "\ud83d\ude00{{ order.tags }}" }"#,
        "application/json",
    );
    let read: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        read,
        json!({ "a": "Aa, bé", "b": "\\u00a, b", "c": "\u{1f600}a, b" })
    );
}

#[test]
fn only_mime_types_that_a_body_can_be_of_are_taken() {
    for (mime, expected) in [
        ("application/json", Ok(Format::Json)),
        ("Application/JSON; Charset=\"UTF-8\"", Ok(Format::Json)),
        ("application/vnd.team+json;charset=utf-8", Ok(Format::Json)),
        ("application/soap+xml; action=\"x\"", Ok(Format::Xml)),
        ("text/markdown", Ok(Format::Markdown)),
        ("text/plain; charset=utf-16", Err(MimeError::Charset)),
        ("text/plain; charset=", Err(MimeError::Charset)),
        (
            "text/plain; charset=utf-8; charset=latin1",
            Err(MimeError::Charset),
        ),
        ("text/plain\r\nx-more: 1", Err(MimeError::Character)),
        ("text/plain; a=\u{0}", Err(MimeError::Character)),
        ("text/plain; a=ü", Err(MimeError::Character)),
        ("text/html", Err(MimeError::Unknown)),
        ("application/a b+json", Err(MimeError::Unknown)),
        ("text", Err(MimeError::Unknown)),
    ] {
        assert_eq!(Format::read(mime), expected, "{mime}");
        let header = reqwest::header::HeaderValue::from_str(mime);
        assert!(expected.is_err() || header.is_ok(), "{mime}");
    }
}

#[test]
fn a_field_must_exist_for_every_event_that_is_wanted() {
    let text = "{{ event.detail.amount }}";
    let error = template(text, "text/plain").unwrap_err();
    assert!(
        error.message.starts_with("of order.synced: "),
        "{}",
        error.message
    );
    let refunds = Template::compile(text, "text/plain", &[EventType::OrderRefunded], &Paths).unwrap();
    assert_eq!(
        refunds.render(&full()),
        Err(RenderError::OtherEvent {
            event: EventType::OrderSynced
        })
    );
}

#[test]
fn a_body_is_never_empty() {
    let nothing = template(" {{ event.object.sku }}\n", "text/plain").unwrap();
    assert_eq!(nothing.render(&full()), Err(RenderError::Empty));
    let fails = template("order {{ fails }}", "text/plain").unwrap();
    assert_eq!(
        fails.render(&full()),
        Err(RenderError::Field {
            field: "fails".to_owned(),
            reason: "it never works".to_owned()
        })
    );
    let whole = template("{{ event.object }}", "text/plain").unwrap();
    assert!(matches!(whole.render(&full()), Err(RenderError::Field { .. })));
    let mut large = full();
    large.object.as_mut().unwrap().name = Some("x".repeat(LARGEST_BODY));
    let twice = template("{{ event.object.name }}{{ event.object.name }}", "text/plain").unwrap();
    assert!(matches!(twice.render(&large), Err(RenderError::TooLarge { .. })));
    assert!(matches!(
        Message::of(&large, Includes::default(), None),
        Err(RenderError::TooLarge { .. })
    ));
}

#[test]
fn what_an_endpoint_may_not_see_no_template_shows() {
    let mut order = full();
    order.record = Some(json!({ "email": "ada@example.com", "name": "#1001" }));
    let template = template("{{ order.name }} {{ order.email }}", "text/plain").unwrap();
    let body = |personal_data| {
        let includes = Includes {
            personal_data,
            ..Includes::default()
        };
        Message::of(&order, includes, Some(&template)).unwrap().body
    };
    assert_eq!(body(false), "#1001 ");
    assert_eq!(body(true), "#1001 ada@example.com");
}

#[test]
fn conditions_look_at_the_record() {
    let condition = Condition::compile("order.totals.total > 1000", ORDERS, &Paths).unwrap();
    assert_eq!(condition.holds(&nasty()), Ok(true));
    let mut small = nasty();
    small.record = Some(json!({ "totals": { "total": "999.99" } }));
    assert_eq!(condition.holds(&small), Ok(false));
    small.event = EventType::TestPing;
    assert_eq!(condition.holds(&small), Ok(false));
    let error = Condition::compile("order.total > 1000", ORDERS, &Paths).unwrap_err();
    assert_eq!(error.help.as_deref(), Some("did you mean `totals`?"));
}

#[test]
fn a_batch_is_the_same_on_every_try() {
    let (one, mut two) = (full(), full());
    two.id = NotificationId::new(&crate::domain::SeededEntropy::new(2));
    let of = |endpoint: &str, notifications: &[Notification]| {
        Message::batch(endpoint, notifications, Includes::default()).unwrap()
    };
    let both = [one.clone(), two];
    let batch = of("sheet", &both);
    assert_eq!(batch, of("sheet", &both));
    assert_ne!(batch.id, of("sheet", &[one]).id);
    assert_ne!(batch.id, of("copy", &both).id, "each endpoint has its own");
    let read: Value = serde_json::from_slice(&batch.body).unwrap();
    assert_eq!(
        (&read["type"], read["events"].as_array().unwrap().len()),
        (&Value::from("batch"), 2)
    );
    assert_eq!(read["id"], batch.id);
    assert!(!format!("{batch:?}").contains("S00042"));
}

#[test]
fn each_event_of_a_batch_shows_what_it_shows_alone() {
    let mut order = full();
    order.record = Some(json!({ "id": "1", "email": "ada@example.com", "totals": { "total": "12.00" } }));
    let shows = |includes: Includes| {
        let batch = Message::batch("sheet", &[order.clone()], includes).unwrap();
        let read: Value = serde_json::from_slice(&batch.body).unwrap();
        let alone = Message::of(&order, includes, None).unwrap();
        let alone: Value = serde_json::from_slice(&alone.body).unwrap();
        assert_eq!(read["events"], json!([alone]), "{includes:?}");
        read["events"][0]["record"]["email"].clone()
    };
    let with_people = |personal_data| Includes {
        record: true,
        personal_data,
        ..Includes::default()
    };
    assert_eq!(shows(Includes::default()), Value::Null);
    assert_eq!(shows(with_people(false)), Value::Null);
    assert_eq!(shows(with_people(true)), "ada@example.com");
}

proptest! {
    #[test]
    fn json_stays_json_whatever_is_merged(name in any::<String>()) {
        let mut order = full();
        order.object.as_mut().unwrap().name = Some(name.clone());
        let template = template(
            "{\"a\": \"<{{ event.object.name }}>\", \"b\": {{ event.object.name }}}", "application/json",
        ).unwrap();
        let read: Value = serde_json::from_slice(&template.render(&order).unwrap()).unwrap();
        prop_assert_eq!(&read["b"], &Value::from(name.clone()));
        prop_assert_eq!(&read["a"], &Value::from(format!("<{name}>")));
    }

    #[test]
    fn templates_of_any_text_are_read_or_refused(
        text in prop_oneof![any::<String>(), "[<>/!?a=\"'&;{} \\]\\[-]{0,24}"], format in 0..3_usize,
    ) {
        let mime = ["application/json", "application/xml", "text/plain"][format];
        if let Err(error) = template(&text, mime) {
            prop_assert!(text.get(error.place.clone()).is_some(), "{:?}", error.place);
        }
    }
}
