//! Full runs that somebody begins while a daemon runs: they go on when whoever asked leaves, and end with the daemon.

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{Wanted, begin, cause};
use crate::app::review::Reviewer;
use crate::domain::Object;
use crate::reconcile::{BegunRun, FullRun, FullShop, RunError, carry_out_full_run};

/// What somebody wants compared.
pub struct ByHand {
    wanted: Wanted,
    /// Says who.
    cause: String,
    reviewer: Reviewer,
}

/// That the runs began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstRun {
    /// The number of the first one.
    pub run: i64,
    /// What it compares.
    pub object: Object,
    /// Whether none before it was refused, because one of the same object is under way.
    pub is_first: bool,
}

impl ByHand {
    /// What the one who acts wants compared.
    pub fn new(wanted: Wanted, reviewer: Reviewer) -> Self {
        Self {
            cause: cause(&wanted.actor),
            wanted,
            reviewer,
        }
    }

    fn run(&self, object: Object) -> FullRun<'_> {
        FullRun {
            dry_run: self.wanted.dry_run,
            since: self.wanted.since,
            sample: self.wanted.sample,
            ..FullRun::of(object, &self.cause)
        }
    }

    /// Begins the first run that can be begun, and says which that is.
    async fn first(&self, shop: &FullShop) -> Result<(usize, BegunRun), RunError> {
        for (place, object) in self.wanted.objects.iter().enumerate() {
            match begin(shop, self.run(*object), &self.reviewer).await {
                Ok(begun) => return Ok((place, begun)),
                Err(RunError::UnderWay) => {}
                Err(error) => return Err(error),
            }
        }
        Err(RunError::UnderWay)
    }

    /// One run of each object after the other. Tells as soon as the first one began. How each ended stands in the list of
    /// runs.
    pub async fn carry_out(
        self,
        shop: FullShop,
        began: oneshot::Sender<Result<FirstRun, RunError>>,
        stop: CancellationToken,
    ) {
        let (first, begun) = match self.first(&shop).await {
            Ok(first) => first,
            Err(error) => {
                began.send(Err(error)).ok();
                return;
            }
        };
        let objects = &self.wanted.objects[first..];
        let told = FirstRun {
            run: begun.id(),
            object: objects.first().copied().unwrap_or(Object::Order),
            is_first: first == 0,
        };
        began.send(Ok(told)).ok();
        let mut ready = Some(begun);
        for object in objects {
            let run = self.run(*object);
            let begun = match ready.take() {
                Some(begun) => Ok(begun),
                None if stop.is_cancelled() => return,
                None => begin(&shop, run, &self.reviewer).await,
            };
            let ended = match begun {
                Ok(begun) => carry_out_full_run(&shop, run, begun, &stop).await,
                Err(error) => Err(error),
            };
            if let Err(error) = ended {
                tracing::warn!(shop = %shop.name, %object, error = %error, "a full run did not come to its end");
            }
        }
    }
}
