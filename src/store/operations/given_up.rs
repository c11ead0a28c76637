//! Jobs and deliveries that the store gives up by itself, as they stand in the outbox.

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::domain::{JobId, JobKey, NewProblem, ShopName};

/// A job that the store made a problem by itself, since its attempts ended without a word again and again. The store knows no
/// notifications: this stands in the outbox, and whoever sends makes one of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUpJob {
    /// The job.
    pub job: JobId,
    /// What it is about.
    pub key: JobKey,
    /// The record's name for people, as far as it is known.
    pub record: Option<String>,
    /// The problem that was opened.
    pub problem: NewProblem,
}

/// How a [`GivenUpJob`] stands in the outbox.
#[derive(Debug, Serialize, Deserialize)]
struct GivenUp {
    /// Removals of what is told of a shop find it by that, as they find notifications.
    shop: ShopName,
    given_up_job: GivenUpJob,
}

impl GivenUpJob {
    /// As it stands in the outbox.
    ///
    /// # Errors
    /// None that is known: all of it can be written down.
    pub fn to_body(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&GivenUp {
            shop: self.key.shop.clone(),
            given_up_job: self.clone(),
        })
    }

    /// The same of a job that only a newer version knows the kind of: it waits in the outbox until one reads it. `key` is what it is
    /// about, as it stands: shop, object, direction and the record's id.
    ///
    /// # Errors
    /// None that is known: all of it can be written down.
    pub fn body_of_texts(
        job: JobId,
        [shop, object, direction, source_id]: &[String; 4],
        record: Option<&str>,
        problem: &NewProblem,
    ) -> Result<String, serde_json::Error> {
        let key = json!({
            "shop": shop,
            "object": object,
            "direction": direction,
            "source_id": source_id,
        });
        let given_up = json!({ "job": job, "key": key, "record": record, "problem": problem });
        serde_json::to_string(&json!({ "shop": shop, "given_up_job": given_up }))
    }

    /// Reads it from there; none where the body is something else.
    pub fn from_body(body: &str) -> Option<Self> {
        serde_json::from_str::<GivenUp>(body)
            .ok()
            .map(|read| read.given_up_job)
    }
}

/// Deliveries to an endpoint that the store made failed by itself, since nobody could note again and again what came of them. It
/// stands in the outbox as a [`GivenUpJob`] does, also where nobody is to be told: whoever sends counts them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUpDeliveries {
    /// The endpoint's name.
    pub endpoint: String,
    /// How many they are.
    pub deliveries: u64,
    /// Why they failed, as a code.
    pub failure: String,
    /// Whether others are to be told that the endpoint fails: they were not within a day.
    pub is_news: bool,
    /// Whether the endpoint was paused then.
    pub is_paused: bool,
}

/// How [`GivenUpDeliveries`] stand in the outbox.
#[derive(Debug, Serialize, Deserialize)]
struct GivenUpSending {
    given_up_deliveries: GivenUpDeliveries,
}

impl GivenUpDeliveries {
    /// As it stands in the outbox.
    ///
    /// # Errors
    /// None that is known: all of it can be written down.
    pub fn to_body(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&GivenUpSending {
            given_up_deliveries: self.clone(),
        })
    }

    /// Reads it from there; none where the body is something else.
    pub fn from_body(body: &str) -> Option<Self> {
        serde_json::from_str::<GivenUpSending>(body)
            .ok()
            .map(|read| read.given_up_deliveries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Direction, Object};

    #[test]
    fn what_the_store_tells_comes_back_and_is_found_by_its_shop_and_record() {
        let told = GivenUpJob {
            job: JobId(7),
            key: JobKey {
                shop: "main".parse().unwrap(),
                object: Object::Order,
                direction: Direction::In,
                source_id: "4711".to_owned(),
            },
            record: Some("#1001".to_owned()),
            problem: NewProblem {
                code: "attempt_killed_the_process".into(),
                record: None,
                field: None,
                reason: "It was killed.".to_owned(),
                fix: "Look.".to_owned(),
                owner: "operator".to_owned(),
                mapping: None,
                cluster: "one".to_owned(),
                detail: serde_json::Value::Null,
            },
        };
        let body = told.to_body().unwrap();
        let read: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(read["shop"], "main");
        assert!(body.contains("\"4711\""), "{body}");
        assert_eq!(GivenUpJob::from_body(&body), Some(told.clone()));
        let texts = |object: &str| {
            let key = ["main", object, "in", "4711"].map(str::to_owned);
            GivenUpJob::body_of_texts(told.job, &key, told.record.as_deref(), &told.problem).unwrap()
        };
        assert_eq!(GivenUpJob::from_body(&texts("order")), Some(told.clone()));
        assert_eq!(
            GivenUpJob::from_body(&texts("gift_card")),
            None,
            "for a newer version"
        );
        assert_eq!(GivenUpJob::from_body(r#"{"id":"evt_1","shop":"main"}"#), None);
    }
}
