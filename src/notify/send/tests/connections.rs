//! How connections are used.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Many at once, by tasks of their own, to a receiver that keeps its connections open.
#[tokio::test]
async fn connections_are_used_again() {
    let (connections, taken) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, noted) = (Arc::clone(&connections), Arc::clone(&taken));
    let address = serving(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        let noted = Arc::clone(&noted);
        async move {
            loop {
                let (head, body) = read_request(&mut stream).await;
                if head.is_empty() {
                    return;
                }
                assert_eq!(body, message().body);
                noted.fetch_add(1, Ordering::Relaxed);
                // More than is kept, so that the rest must be read for the connection to be used again.
                let answer = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: 9000\r\n\r\n{}",
                    "x".repeat(9000)
                );
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let sender = Sender::new(target(&format!("http://{address}/")), &loopback()).unwrap();
    let workers = (0..4).map(|_| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for _ in 0..50 {
                assert!(sender.send(&message(), SystemClock.now()).await.is_taken());
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    assert_eq!(taken.load(Ordering::Relaxed), 200);
    let connections = connections.load(Ordering::Relaxed);
    assert!(connections <= 8, "{connections} connections for four at a time");
}
