//! Who called which system: clients tell of each call, and whoever watches the work that made it is told.
//!
//! What is watched is a future and everything that it awaits. A task of its own is nobody's, unless [`carried`] takes the
//! watch along into it. The same way clients learn whether the work gives way to other work ([`giving_way`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::{Call, Calls, System};

tokio::task_local! {
    static WATCH: Watch;
    static GIVES_WAY: bool;
}

/// Does the work; whether its calls let those of other work go first. An import's do: nobody waits for a single record of it.
pub fn giving_way<F: Future>(gives_way: bool, work: F) -> impl Future<Output = F::Output> {
    GIVES_WAY.scope(gives_way, work)
}

/// Whether what runs here lets the calls of other work go first. What nobody said it of does not.
pub fn gives_way() -> bool {
    GIVES_WAY.try_with(|gives_way| *gives_way).unwrap_or_default()
}

/// Collects the calls of a piece of work.
#[derive(Clone, Debug, Default)]
pub struct Watch(Arc<Mutex<Calls>>);

impl Watch {
    /// Does the work and collects its calls meanwhile.
    pub async fn over<F: Future>(&self, work: F) -> F::Output {
        WATCH.scope(self.clone(), work).await
    }

    /// The calls so far.
    pub fn calls(&self) -> Calls {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The same work, watched by whoever watches the caller, and giving way as the caller does: for tasks of their own.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let watch = WATCH.try_with(Clone::clone).ok();
    giving_way(gives_way(), async move {
        match watch {
            Some(watch) => watch.over(work).await,
            None => work.await,
        }
    })
}

/// A call that is under way. Dropped without an outcome it was cut off.
#[must_use]
#[derive(Debug)]
pub struct UnderWay {
    /// Nobody watches: nothing is kept.
    watch: Option<Watch>,
    system: System,
    name: String,
    sent: Instant,
    took: Option<Duration>,
    outcome: &'static str,
}

/// Begins a call. `name` says what is called, without arguments; it is only made where somebody watches.
pub fn begin(system: System, name: impl FnOnce() -> String) -> UnderWay {
    let watch = WATCH.try_with(Clone::clone).ok();
    UnderWay {
        system,
        name: watch.as_ref().map_or_else(String::new, |_| name()),
        watch,
        sent: Instant::now(),
        took: None,
        outcome: "cut_off",
    }
}

impl UnderWay {
    /// It is sent only now: what it waited for before was our own line.
    pub fn sent(&mut self) {
        self.sent = Instant::now();
    }

    /// Another task sent it, for several at once maybe, and its answer took so long.
    pub fn answered_after(&mut self, took: Duration) {
        self.took = Some(took);
    }

    /// Its answer is here, or there is none.
    pub fn answered(&mut self) {
        self.took = Some(self.sent.elapsed());
    }

    /// What came of it: `ok`, or the code of the failure.
    pub fn ended(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Some(Watch(calls)) = &self.watch else { return };
        let took = self.took.unwrap_or_else(|| self.sent.elapsed());
        let call = Call {
            system: self.system,
            name: std::mem::take(&mut self.name),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            outcome: self.outcome.to_owned(),
        };
        calls.lock().unwrap_or_else(PoisonError::into_inner).add(call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn call(name: &'static str) {
        let call = begin(System::Erp, || name.to_owned());
        tokio::task::yield_now().await;
        call.ended("ok");
    }

    fn names(watch: &Watch) -> Vec<String> {
        let calls = watch.calls().first;
        calls
            .into_iter()
            .map(|call| format!("{} {}", call.name, call.outcome))
            .collect()
    }

    #[tokio::test]
    async fn each_watch_sees_the_calls_of_its_own_work_only() {
        let (one, two) = (Watch::default(), Watch::default());
        let first = one.over(async {
            tokio::join!(call("a"), call("b"));
            tokio::spawn(carried(call("c"))).await.unwrap();
            // A task that takes no watch along is nobody's.
            tokio::spawn(call("lost")).await.unwrap();
        });
        tokio::join!(first, two.over(call("d")), call("unwatched"));
        let mut seen = names(&one);
        seen.sort();
        assert_eq!(seen, ["a ok", "b ok", "c ok"]);
        assert_eq!(names(&two), ["d ok"]);
    }

    #[tokio::test]
    async fn who_gives_way_does_so_in_tasks_that_are_carried_only() {
        assert!(!gives_way());
        giving_way(true, async {
            assert!(gives_way());
            assert!(tokio::spawn(carried(async { gives_way() })).await.unwrap());
            assert!(!tokio::spawn(async { gives_way() }).await.unwrap());
        })
        .await;
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_any_more_is_cut_off() {
        let watch = Watch::default();
        let hangs = watch.over(async {
            let _call = begin(System::Shopify, || "OrderForSync".to_owned());
            std::future::pending::<()>().await;
        });
        tokio::select! {
            biased;
            () = hangs => {}
            () = tokio::task::yield_now() => {}
        }
        assert_eq!(names(&watch), ["OrderForSync cut_off"]);
    }
}
