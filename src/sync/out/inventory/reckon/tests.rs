use super::*;

fn location(id: u64, name: &str) -> Location {
    Location {
        id: ShopifyId(id),
        name: name.to_owned(),
        active: true,
        fulfills_online: true,
    }
}

#[test]
fn one_location_is_fed_by_everything_and_several_as_the_table_says() {
    let one = [location(1, "Shop")];
    let two = [location(1, "Shop"), location(2, "Depot")];
    let feeds = |pairs: &[(u64, i64)]| {
        let feed = |(location, warehouse): &(u64, i64)| {
            (
                ShopifyId(*location),
                (*warehouse > 0).then_some(ErpId(*warehouse)),
            )
        };
        pairs.iter().map(feed).collect()
    };
    let place = |location, warehouse: Option<i64>| Place {
        location: ShopifyId(location),
        warehouse: warehouse.map(ErpId),
    };
    assert_eq!(assign(&one, &feeds(&[])), Ok((vec![place(1, None)], vec![])));
    assert_eq!(
        assign(&one, &feeds(&[(1, 7)])),
        Ok((vec![place(1, Some(7))], vec![]))
    );
    assert_eq!(
        assign(&two, &feeds(&[(2, 7)])),
        Ok((vec![place(2, Some(7))], vec!["Shop (1)".to_owned()]))
    );
    let nothing = vec!["Shop (1)".to_owned(), "Depot (2)".to_owned()];
    assert_eq!(assign(&two, &feeds(&[])), Err(nothing));
    assert!(assign(&one, &feeds(&[(9, 7)])).is_err());
}

#[test]
fn only_whole_units_that_are_there_are_sent() {
    for (value, expected) in [
        (FieldValue::Integer(5), 5),
        (FieldValue::Integer(-2), 0),
        (FieldValue::Decimal(Decimal::new(29, 1)), 2),
        (FieldValue::Decimal(Decimal::new(-5, 1)), 0),
        (FieldValue::Clear, 0),
    ] {
        assert_eq!(units(&value), expected, "{value}");
    }
}

fn level(location: ShopifyId, on_hand: i64, committed: i64) -> LevelStock {
    LevelStock {
        location,
        available: on_hand - committed,
        on_hand,
        committed,
    }
}

fn held(levels: Vec<LevelStock>) -> ItemStock {
    ItemStock {
        item: ShopifyId(5),
        variant: None,
        tracked: true,
        levels,
    }
}

#[test]
fn units_that_nobody_reserved_are_taken_off_where_they_are_committed() {
    let (front, back) = (ShopifyId(1), ShopifyId(2));
    let held = held(vec![level(front, 3, 3), level(back, 4, 4)]);
    let sent = Wanted {
        quantity: Quantity::Available,
        truth: Truth::Erp,
        at: vec![(front, 10), (back, 2)],
    };
    let after = |reserved, minus| {
        let open = Open {
            demanded: reserved,
            reserved,
        };
        let wanted = open.taken_off(sent.clone(), &held, minus);
        (wanted.at[0].1, wanted.at[1].1)
    };
    assert_eq!(after(0, false), (10, 2), "the mapping does not ask");
    assert_eq!(after(7, true), (10, 2), "all is reserved");
    assert_eq!(after(9, true), (10, 2));
    assert_eq!(
        after(5, true),
        (8, 0),
        "of either place, where they are is not known"
    );
    assert_eq!(after(0, true), (7, 0), "never below none");
    // Five were sold and sent by the shop; the ERP reserved two of them.
    let none_committed = ItemStock {
        levels: vec![level(front, 3, 0)],
        ..held.clone()
    };
    let open = Open {
        demanded: 5,
        reserved: 2,
    };
    assert_eq!(open.taken_off(sent.clone(), &none_committed, true).at[0].1, 7);
}

#[test]
fn what_the_shop_sent_and_the_erp_did_not_is_taken_off_what_is_on_hand() {
    let at = ShopifyId(1);
    for (name, erp, demanded, committed, expected) in [
        ("nothing open", 12, 0, 0, 12),
        ("sold, and sent by nobody", 12, 3, 3, 12),
        ("sent by the shop", 12, 3, 0, 9),
        ("one of two parcels sent", 12, 5, 2, 9),
        ("sold, and not carried in yet", 12, 0, 4, 12),
        ("more than there is", 2, 5, 0, 0),
    ] {
        let wanted = wants(at, erp, Truth::Erp);
        let open = Open {
            demanded,
            reserved: 0,
        };
        let held = held(vec![level(at, 7, committed)]);
        assert_eq!(
            open.taken_off(wanted, &held, false).at,
            [(at, expected)],
            "{name}"
        );
    }
}

fn wants(at: ShopifyId, quantity: i64, truth: Truth) -> Wanted {
    Wanted {
        quantity: Quantity::OnHand,
        truth,
        at: vec![(at, quantity)],
    }
}

#[test]
fn fewer_are_sent_at_once_and_more_only_when_no_order_is_in_work() {
    let (at, order) = (ShopifyId(1), JobId(9));
    // What is set, from what, and what waits.
    let set = |quantity, from| (vec![(quantity, from)], vec![]);
    let nothing = (vec![], vec![]);
    for (name, wanted, shown, in_work, expected) in [
        ("never stocked there", 5, None, None, set(5, None)),
        ("fewer", 2, Some(3), Some(order), set(2, Some(3))),
        ("more", 9, Some(3), None, set(9, Some(3))),
        (
            "more, with an order in work",
            9,
            Some(3),
            Some(order),
            (vec![], vec![9]),
        ),
        ("the same", 3, Some(3), None, nothing.clone()),
        ("none where nothing ever was", 0, None, None, nothing),
    ] {
        let held = held(shown.map(|shown| level(at, shown, 1)).into_iter().collect());
        let plan = plan(&wants(at, wanted, Truth::Erp), &held, &Agreement::new(), in_work);
        let sets: Vec<_> = plan.sets.iter().map(|set| (set.quantity, set.from)).collect();
        let waits: Vec<_> = plan.waits.iter().map(|wait| wait.quantity).collect();
        assert_eq!((sets, waits), expected, "{name}");
    }
}

#[test]
fn a_number_that_was_set_by_hand_goes_or_stays_as_the_truth_says() {
    let at = ShopifyId(1);
    let agreed = |erp: i64, shop: i64| Agreed {
        source: agree::hash(&FieldValue::Integer(erp)),
        target: Some(agree::hash(&FieldValue::Integer(shop))),
    };
    let (write, keep, ask) = ((1, 0), (0, 0), (0, 1));
    for (name, known, wanted, shown, erp, shopify, hold) in [
        (
            "set by hand on the shop",
            Some((12, 12)),
            12,
            30,
            write,
            keep,
            keep,
        ),
        ("changed in the ERP", Some((12, 12)), 15, 12, write, write, write),
        ("both changed", Some((12, 12)), 15, 30, write, keep, ask),
        (
            "never agreed, and the shop has some",
            None,
            15,
            30,
            write,
            keep,
            ask,
        ),
        (
            "never agreed, and the shop has none",
            None,
            15,
            0,
            write,
            write,
            write,
        ),
        ("alike", Some((12, 12)), 30, 30, keep, keep, keep),
    ] {
        for (truth, expected) in [(Truth::Erp, erp), (Truth::Shopify, shopify), (Truth::Hold, hold)] {
            let known = known.map(|(erp, shop)| (agreed_as(Quantity::OnHand, at), agreed(erp, shop)));
            let known: Agreement = known.into_iter().collect();
            let plan = plan(
                &wants(at, wanted, truth),
                &held(vec![level(at, shown, 0)]),
                &known,
                None,
            );
            let done = (plan.sets.len(), plan.conflicts.len());
            assert_eq!(done, expected, "{name}, {truth:?}");
        }
    }
}

#[test]
fn what_the_shop_won_is_settled_and_what_the_erp_changes_next_is_sent() {
    let at = ShopifyId(1);
    let name = agreed_as(Quantity::OnHand, at);
    let mut known = Agreement::new();
    for (wanted, shown, expected) in [
        (12, 0, Some(12)),
        (15, 30, None),
        (15, 30, None),
        (16, 30, Some(16)),
    ] {
        let plan = plan(
            &wants(at, wanted, Truth::Shopify),
            &held(vec![level(at, shown, 0)]),
            &known,
            None,
        );
        assert_eq!(
            plan.sets.first().map(|set| set.quantity),
            expected,
            "{wanted} beside {shown}"
        );
        let agreed = plan.levels[0].agreed(known.get(&name), expected.is_some());
        known.insert(name.clone(), agreed);
    }
}

#[test]
fn an_article_without_levels_does_not_say_which_quantity_is_sent() {
    let at = ShopifyId(1);
    let of = |quantity, places: &[(ShopifyId, i64)]| {
        let wanted = Wanted {
            quantity,
            truth: Truth::Erp,
            at: places.to_vec(),
        };
        plan(&wanted, &held(vec![level(at, 7, 0)]), &Agreement::new(), None)
    };
    let mut all = Plan::default();
    all.add(of(Quantity::Available, &[(at, 3)]));
    all.add(of(Quantity::OnHand, &[]));
    assert_eq!(all.quantity, Quantity::Available);
}
