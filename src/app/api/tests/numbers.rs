//! The report and the numbers.

use super::*;
use crate::app::testing::until;

#[tokio::test(flavor = "multi_thread")]
async fn the_report_and_the_numbers_are_of_all_shops_or_of_one() {
    let rig = Rig::new().await;
    until("the daemon finds that nobody knows its address", async || {
        let (_, report) = rig.get("/api/v1/report").await;
        (report["open"][0]["code"] == "public_url_missing").then_some(())
    })
    .await;
    for path in [
        "/api/v1/numbers",
        "/api/v1/numbers?shop=main",
        "/api/v1/report",
        "/api/v1/report?shop=main&days=1",
    ] {
        let (status, body) = rig.get(path).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        let numbers = if path.contains("report") {
            assert_eq!(body["failed"][0]["code"], "public_url_missing", "{body}");
            assert_eq!(body["open"][0]["code"], "public_url_missing", "{body}");
            &body["numbers"]
        } else {
            assert!(body["hours"].as_array().unwrap().len() >= 24, "{body}");
            &body
        };
        assert_eq!(numbers["total"]["completed"], 0, "{body}");
        assert_eq!(numbers["total"]["success_percent"], Value::Null, "{body}");
    }
    for (path, expected) in [
        ("/api/v1/numbers?shop=other", StatusCode::NOT_FOUND),
        ("/api/v1/report?shop=other", StatusCode::NOT_FOUND),
        ("/api/v1/report?days=0", StatusCode::BAD_REQUEST),
        ("/api/v1/report?days=91", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(rig.get(path).await.0, expected, "{path}");
    }
    rig.daemon.stop().await;
}
