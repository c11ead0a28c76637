//! Pages of a connection: `first`/`after`, `last`/`before`, `reverse`.
//!
//! A cursor holds the sort value and the id of its record, so a page goes on behind that place even when the record has
//! moved or gone since.

use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value as Json, json};

use super::node::{Args, Connection, Failure, Out};

/// Largest page.
pub(super) const MAX_PAGE: i64 = 250;

/// The size of a page that is the whole list. No client can ask for it: it is no `Int`.
pub(super) const WHOLE: i64 = i64::MAX;

/// What a list is sorted by; ties are broken by id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SortValue {
    Number(i64),
    Text(String),
}

impl SortValue {
    fn json(&self) -> Json {
        match self {
            Self::Number(n) => (*n).into(),
            Self::Text(t) => t.clone().into(),
        }
    }

    fn of(json: &Json) -> Option<Self> {
        json.as_i64()
            .map(Self::Number)
            .or_else(|| json.as_str().map(|t| Self::Text(t.to_owned())))
    }
}

type Key = (SortValue, u64);

/// Cuts a page out of `items`; `key` gives the place of an item, `wrap` makes it a node.
pub(super) fn page<'a, T>(
    args: &Args,
    mut items: Vec<T>,
    key: impl Fn(&T) -> Key,
    wrap: impl Fn(&T) -> Out<'a>,
) -> Result<Connection<'a>, Failure> {
    let size = |name: &str| args.get(name).and_then(Json::as_i64);
    let (first, last) = (size("first"), size("last"));
    check_sizes(first, last)?;
    let reverse = args.get("reverse").and_then(Json::as_bool).unwrap_or(false);
    items.sort_by_cached_key(&key);
    if reverse {
        items.reverse();
    }
    let place = |item: &T, cursor: &Key| {
        let order = key(item).cmp(cursor);
        if reverse { order.reverse() } else { order }
    };
    let mut from = 0;
    let mut to = items.len();
    if let Some(cursor) = cursor(args, "after")? {
        from = items.partition_point(|i| place(i, &cursor) != Ordering::Greater);
    }
    if let Some(cursor) = cursor(args, "before")? {
        to = items
            .partition_point(|i| place(i, &cursor) == Ordering::Less)
            .max(from);
    }
    if let Some(first) = first {
        to = to.min(from.saturating_add(usize::try_from(first).unwrap_or(0)));
    } else if let Some(last) = last {
        from = from.max(to - usize::try_from(last).unwrap_or(0).min(to));
    }
    let (has_previous, has_next) = (from > 0, to < items.len());
    let items = items[from..to]
        .iter()
        .map(|item| (encode(&key(item)), wrap(item)))
        .collect();
    Ok(Connection {
        items,
        has_next,
        has_previous,
        search: None,
    })
}

/// A page of records that are listed in the order in which they are given.
pub(super) fn page_of_list<'a, T>(args: &Args, items: Vec<T>, wrap: impl Fn(&T) -> Out<'a>) -> Out<'a> {
    let items: Vec<(usize, T)> = items.into_iter().enumerate().collect();
    let key = |item: &(usize, T)| {
        (
            SortValue::Number(i64::try_from(item.0).unwrap_or(i64::MAX)),
            item.0 as u64,
        )
    };
    connection(page(args, items, key, |item| wrap(&item.1)))
}

/// A page or the error instead of it.
pub(super) fn connection(page: Result<Connection<'_>, Failure>) -> Out<'_> {
    page.map_or_else(Out::Failed, Out::Connection)
}

fn check_sizes(first: Option<i64>, last: Option<i64>) -> Result<(), Failure> {
    match (first, last) {
        (None, None) => Err(Failure::new(
            "you must provide one of first or last",
            "BAD_REQUEST",
        )),
        (Some(_), Some(_)) => Err(Failure::new(
            "providing both first and last is not supported",
            "BAD_REQUEST",
        )),
        (Some(n), None) | (None, Some(n)) if n != WHOLE && !(0..=MAX_PAGE).contains(&n) => Err(Failure::new(
            format!("page size {n} is not between 0 and {MAX_PAGE}"),
            "BAD_REQUEST",
        )),
        _ => Ok(()),
    }
}

fn encode((value, id): &Key) -> String {
    STANDARD.encode(json!({"last_id": id, "last_value": value.json()}).to_string())
}

fn cursor(args: &Args, name: &str) -> Result<Option<Key>, Failure> {
    let Some(text) = args.get(name).and_then(Json::as_str) else {
        return Ok(None);
    };
    let decoded = STANDARD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Json>(&bytes).ok());
    decoded
        .and_then(|json| Some((SortValue::of(&json["last_value"])?, json["last_id"].as_u64()?)))
        .map(Some)
        .ok_or_else(|| Failure::new("Invalid cursor for current pagination sort.", "BAD_REQUEST"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn args(json: &Json) -> Args {
        json.as_object().cloned().unwrap()
    }

    fn read<'a>(args: &Args, items: &[i64]) -> Connection<'a> {
        page(
            args,
            items.to_vec(),
            |i| (SortValue::Number(*i), 0),
            |i| Out::leaf(*i),
        )
        .unwrap()
    }

    fn numbers(page: &Connection<'_>) -> Vec<i64> {
        page.items
            .iter()
            .map(|(_, out)| match out {
                Out::Leaf(json) => json.as_i64().unwrap(),
                _ => panic!("a number"),
            })
            .collect()
    }

    #[test]
    fn wrong_sizes_are_refused() {
        for wrong in [
            json!({}),
            json!({"first": 1, "last": 1}),
            json!({"first": 251}),
            json!({"last": -1}),
        ] {
            let result = page(
                &args(&wrong),
                vec![1],
                |i| (SortValue::Number(*i), 0),
                |i| Out::leaf(*i),
            );
            assert!(result.is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_page_says_so() {
        let whole = read(&args(&json!({"first": 3})), &[3, 1, 2]);
        assert_eq!(
            (numbers(&whole), whole.has_next, whole.has_previous),
            (vec![1, 2, 3], false, false)
        );
        let tail = read(&args(&json!({"last": 2})), &[3, 1, 2]);
        assert_eq!(
            (numbers(&tail), tail.has_next, tail.has_previous),
            (vec![2, 3], false, true)
        );
        let back = read(&args(&json!({"first": 2, "reverse": true})), &[3, 1, 2]);
        assert_eq!((numbers(&back), back.has_next), (vec![3, 2], true));
    }

    #[test]
    fn a_page_goes_on_although_its_last_record_is_gone() {
        let page = read(&args(&json!({"first": 2})), &[1, 2, 3, 4]);
        let cursor = page.items[1].0.clone();
        assert_eq!(
            numbers(&read(&args(&json!({"first": 2, "after": cursor})), &[1, 3, 4])),
            [3, 4]
        );
    }

    proptest! {
        #[test]
        fn pages_give_every_record_once(
            items in prop::collection::btree_set(0i64..1000, 0..40), size in 1i64..9, reverse: bool,
        ) {
            let items: Vec<i64> = items.into_iter().collect();
            let mut seen = Vec::new();
            let mut request = json!({"first": size, "reverse": reverse});
            loop {
                let page = read(&args(&request), &items);
                seen.extend(numbers(&page));
                if !page.has_next { break; }
                request["after"] = page.items.last().unwrap().0.clone().into();
            }
            if reverse { seen.reverse(); }
            prop_assert_eq!(seen, items);
        }
    }
}
