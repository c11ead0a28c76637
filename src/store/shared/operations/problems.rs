//! [`Problems`] over either database.

use async_trait::async_trait;

use super::super::{Backend, problems};
use crate::domain::{NewProblem, ShopName, Timestamp};
use crate::store::{ProblemRow, Problems, StoreError};

#[async_trait]
impl Problems for Backend {
    async fn open_shop_problem(
        &self,
        shop: &ShopName,
        problem: NewProblem,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let shop = shop.clone();
        change!(self, "open a problem", |conn| problems::open_for_shop(
            conn, &shop, &problem, now
        ))
    }

    async fn close_shop_problems(
        &self,
        shop: &ShopName,
        code: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (shop, code) = (shop.clone(), code.to_owned());
        change!(self, "close problems", |conn| problems::close_for_shop(
            conn, &shop, &code, now
        ))
    }

    async fn close_shop_problem(
        &self,
        shop: &ShopName,
        code: &str,
        cluster: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let (shop, code, cluster) = (shop.clone(), code.to_owned(), cluster.to_owned());
        change!(self, "close a problem", |conn| problems::close_cluster(
            conn, &shop, &code, &cluster, now
        ))
    }

    async fn open_problems(&self, limit: u32) -> Result<Vec<ProblemRow>, StoreError> {
        ask!(self, "list problems", |conn| problems::open(conn, limit))
    }
}
