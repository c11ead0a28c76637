//! What a fresh comparison of a record says, as findings: which field, both values, and which way it would be carried.

use super::book::About;
use crate::domain::{Direction, DriftClass};
use crate::sync::{ComparedField, Comparison, Preview, PreviewedWrite};

/// Something that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) class: DriftClass,
    pub(super) about: About,
    /// Which way it would be carried; none where it would be left as it is.
    pub(super) way: Option<Direction>,
}

/// Fields that say whether a record is put away.
const AWAY: [&str; 2] = ["active", "status"];

/// All that differs between the two sides of a record, as both directions see it.
pub(super) fn findings(comparison: &Comparison) -> Vec<Finding> {
    let mut found = Vec::new();
    let name = [&comparison.into_erp, &comparison.out]
        .into_iter()
        .flatten()
        .find_map(|preview| preview.record_name.clone());
    if let Some(into) = &comparison.into_erp {
        let way = comparison.is_carried.then_some(Direction::In);
        fields(into, (Direction::In, way), false, &mut found);
        acts(into, way, &mut found);
    }
    if let Some(out) = &comparison.out {
        let is_second = !found.is_empty();
        fields(out, (Direction::Out, Some(Direction::Out)), is_second, &mut found);
        acts(out, Some(Direction::Out), &mut found);
    }
    for finding in &mut found {
        finding.about.name.clone_from(&name);
    }
    found
}

fn is_difference(field: &ComparedField) -> bool {
    // Two forms of a value that both sides agreed on are one value.
    field.differs && (field.is_written || !field.is_agreed)
}

/// `is_second` says that the way in told of something already: what the way out leaves as it is adds nothing then.
fn fields(
    preview: &Preview,
    (direction, way): (Direction, Option<Direction>),
    is_second: bool,
    found: &mut Vec<Finding>,
) {
    for record in preview.compared.iter().flatten() {
        for field in record.fields.iter().filter(|field| is_difference(field)) {
            let (shopify, erp) = match direction {
                Direction::In => (&field.wanted, &field.held),
                Direction::Out => (&field.held, &field.wanted),
            };
            let way = way.filter(|_| field.is_written);
            // The other direction tells of the same difference by the other side's name of the field.
            let same = found.iter_mut().find(|finding| {
                finding.about.shopify.as_deref() == Some(shopify)
                    && finding.about.erp.as_deref() == Some(erp)
                    && direction == Direction::Out
            });
            if let Some(same) = same {
                same.way = same.way.or(way);
                continue;
            }
            if is_second && way.is_none() {
                continue;
            }
            found.push(Finding {
                class: class_of(&field.field),
                about: About {
                    model: Some(format!("{} {}", record.model, record.record)),
                    name: None,
                    field: Some(field.field.clone()),
                    shopify: Some(shopify.clone()),
                    erp: Some(erp.clone()),
                },
                way,
            });
        }
    }
}

fn class_of(field: &str) -> DriftClass {
    if AWAY.contains(&field) {
        DriftClass::Archived
    } else {
        DriftClass::FieldDiffers
    }
}

/// What would be done besides writing fields that were compared.
fn acts(preview: &Preview, way: Option<Direction>, found: &mut Vec<Finding>) {
    for write in &preview.writes {
        let model = Some(format!("{} {}", write.model, write.record));
        match write.action.as_str() {
            "update" => updates(write, model.as_deref(), way, found),
            // It has a job of its own.
            "sync first" => {}
            action => {
                let class = match (action, way) {
                    ("create", Some(Direction::Out)) => DriftClass::MissingOnShopify,
                    ("create", _) => DriftClass::MissingInErp,
                    ("cancel", _) => DriftClass::Archived,
                    _ => DriftClass::FieldDiffers,
                };
                found.push(Finding {
                    class,
                    about: About {
                        model,
                        field: Some(action.to_owned()),
                        ..About::default()
                    },
                    way,
                });
            }
        }
    }
    for step in preview.steps.iter().filter(|step| step.problem.is_none()) {
        found.push(Finding {
            class: DriftClass::FieldDiffers,
            about: About {
                field: Some(step.act.to_string()),
                ..About::default()
            },
            way,
        });
    }
}

/// Fields of records that were not compared themselves, as an order's addresses.
fn updates(write: &PreviewedWrite, model: Option<&str>, way: Option<Direction>, found: &mut Vec<Finding>) {
    for field in &write.fields {
        let is_told = found.iter().any(|finding| {
            finding.about.model.as_deref() == model && finding.about.field.as_deref() == Some(&field.field)
        });
        let (now, then) = (field.now.clone(), Some(field.then.clone()));
        let is_same_value = found
            .iter()
            .any(|finding| finding.way == way && finding.about.erp == then && finding.about.shopify == now);
        if is_told || is_same_value {
            continue;
        }
        let (shopify, erp) = match way {
            Some(Direction::Out) => (now, then),
            _ => (then, now),
        };
        found.push(Finding {
            class: class_of(&field.field),
            about: About {
                model: model.map(str::to_owned),
                name: None,
                field: Some(field.field.clone()),
                shopify,
                erp,
            },
            way,
        });
    }
}
