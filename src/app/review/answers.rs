//! What became of an action, in one sentence for whoever clicked or typed.

use crate::domain::{JobId, JobState};
use crate::store::Acted;

/// What is told about an action on a job. `done` is the sentence for plain success, e.g. `job 42 is held`.
pub fn answer(job: JobId, acted: &Acted, done: &str) -> String {
    match acted {
        Acted::Done => done.to_owned(),
        Acted::Again(again) if *again == job => format!("job {job} is tried again now"),
        Acted::Again(other) => format!("job {job} was closed; its record's job {other} is tried again now"),
        Acted::New(new) => format!("job {job} was closed; job {new} does its work anew"),
        Acted::Batch { id, is_new: true } => format!("batch {id} works on it"),
        Acted::Batch { id, is_new: false } => format!("batch {id} works on it already"),
        Acted::Jobs(jobs) => format!("{jobs} jobs"),
        Acted::Later(later) => format!(
            "job {job} is closed, and job {later} of the same record came after it: see to that one; nothing was done"
        ),
        Acted::Already => format!("job {job}: it stands like that already; nothing was done"),
        Acted::Unknown => format!("there is no job {job}"),
        Acted::NotNow(JobState::Running) => {
            format!("job {job} runs at this moment; nothing was done. Look again when this attempt has ended")
        }
        Acted::NotNow(JobState::Completed) => {
            format!("job {job} has been completed meanwhile; nothing was done")
        }
        Acted::NotNow(JobState::Held) => {
            format!("job {job} is held by a limit or a rule: approve it instead; nothing was done")
        }
        Acted::NotNow(state) => format!("job {job} is {state}; nothing was done"),
        Acted::Taken(by) if by.is_empty() => {
            format!("job {job}: that record of the ERP belongs to another record already; nothing was done")
        }
        Acted::Taken(by) => {
            format!("job {job}: that record of the ERP belongs to {by} of the shop already; nothing was done")
        }
        Acted::Linked(name) => {
            format!("job {job}: its record is in the ERP as {name} already; nothing was done")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_names_the_job_and_says_whether_anything_was_done() {
        let job = JobId(42);
        for (acted, expected) in [
            (Acted::Done, "job 42 is held"),
            (Acted::Again(job), "job 42 is tried again now"),
            (
                Acted::New(JobId(43)),
                "job 42 was closed; job 43 does its work anew",
            ),
            (Acted::Unknown, "there is no job 42"),
            (
                Acted::NotNow(JobState::Completed),
                "job 42 has been completed meanwhile; nothing was done",
            ),
            (
                Acted::Later(JobId(44)),
                "job 42 is closed, and job 44 of the same record came after it: see to that one; nothing was done",
            ),
            (
                Acted::NotNow(JobState::Discarded),
                "job 42 is discarded; nothing was done",
            ),
        ] {
            assert_eq!(answer(job, &acted, "job 42 is held"), expected);
            assert_eq!(
                answer(job, &acted, "done").contains("nothing was done"),
                !acted.is_change() && acted != Acted::Unknown,
                "{acted:?}"
            );
        }
    }
}
