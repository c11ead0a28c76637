//! What a revision of the mappings wrote to a record, from what its jobs tell. Pure.

use std::collections::BTreeMap;

use crate::store::WrittenRecord;
use crate::sync::written_by;

/// The last value that the revision wrote to each field, as a hash.
pub(super) fn of(mapping: &str, record: &WrittenRecord) -> BTreeMap<String, String> {
    let mut wrote = BTreeMap::new();
    // From the last story back, and within each from its end: the first that is met counts.
    for (_, story) in &record.stories {
        let writes = written_by(story);
        let own = writes.into_iter().rev().filter(|write| {
            write.mapping == mapping && write.object == record.object && write.source == record.source_id
        });
        for write in own {
            for (field, hash) in write.fields {
                wrote.entry(field).or_insert(hash);
            }
        }
    }
    wrote
}

/// Whether a field is of a row that was made with a customer and is known by its own content (a further address): what a mapping makes
/// of it otherwise would be another row.
pub(super) fn is_of_a_row(field: &str) -> bool {
    field.contains("].")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::domain::{Direction, Object, Timestamp};

    fn write(mapping: &str, source: &str, field: &str, hash: &str) -> Value {
        json!({ "what": "writes", "mapping": mapping, "of": { "object": "customer", "source": source },
                "values": [{ "field": field, "hash": hash }] })
    }

    #[test]
    fn the_last_value_of_each_field_counts() {
        let at = Timestamp::from_millis;
        let newest = json!([write("m1", "7", "name", "b"), write("m1", "7", "name", "c")]);
        let older = json!([
            write("m1", "7", "name", "a"),
            write("m1", "7", "city", "x"),
            write("m2", "7", "zip", "y"),
            write("m1", "8", "email", "z"),
        ]);
        let record = WrittenRecord {
            direction: Direction::In,
            object: Object::Customer,
            source_id: "7".to_owned(),
            stories: vec![(at(2), newest), (at(1), older)],
            has_older: false,
        };
        let expected =
            [("city", "x"), ("name", "c")].map(|(field, hash)| (field.to_owned(), hash.to_owned()));
        assert_eq!(of("m1", &record), BTreeMap::from(expected));
    }
}
