//! Filling in a table's entry from the page of a problem, and taking that back.

use insta::assert_snapshot;

use super::pages::still;
use super::*;
use crate::domain::TableKey;

impl Rig {
    /// With a folder of mappings, and two jobs that lack the journal of a gateway.
    async fn lacking() -> Self {
        let rig = Self::with(&text(&format!("{}[mappings]\ndir = 'mappings'\n", users()))).await;
        for id in ["1042", "1043"] {
            let problem = NewProblem {
                code: ProblemCode::from("journal_missing"),
                record: Some(format!("#{id}")),
                field: Some("journal_id".to_owned()),
                reason: "No journal of the ERP is declared for payments by `klarna`.".to_owned(),
                fix: "Name it, then retry.".to_owned(),
                owner: "accounting".to_owned(),
                mapping: None,
                cluster: "journal_missing:klarna".to_owned(),
                detail: serde_json::Value::Null,
            };
            let entry = TableKey {
                table: "journal".to_owned(),
                key: "klarna".to_owned(),
            };
            rig.problem_of(id, problem.answered_by(Some(&entry))).await;
        }
        rig
    }

    fn tables(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("mappings/tables.main.toml")).unwrap_or_default()
    }
}

fn attribute(text: &str, mark: &str) -> String {
    let (_, rest) = text
        .split_once(mark)
        .unwrap_or_else(|| panic!("no {mark}: {text}"));
    rest.split('"').next().unwrap_or_default().replace("&#38;", "&")
}

const CAUSE: &str = "code=journal_missing&cluster=journal_missing%3Aklarna";

#[tokio::test(flavor = "multi_thread")]
async fn what_a_problem_lacks_is_filled_in_looked_at_saved_and_everything_tried_again() {
    let rig = Rig::lacking().await;
    let browser = rig.logged_in("operator").await;
    let cluster = browser.get(&format!("/problems/cluster?shop=main&{CAUSE}")).await;
    let link = attribute(&cluster.text, "class=\"button main\" href=\"");
    assert_eq!(link, format!("/tables/main/journal?key=klarna&{CAUSE}"));
    let job = browser.get("/jobs/1").await;
    assert!(
        job.text.contains("/tables/main/journal?key=klarna"),
        "{}",
        job.text
    );
    let table = browser.get(&link).await;
    assert_snapshot!("table", still(&rig, &table));
    // The ERP does not answer in this world: a value can be typed all the same.
    assert!(table.text.contains("You can type it"), "{}", table.text);
    let plan = browser
        .get(&format!(
            "/tables/main/journal/plan?key=klarna&{CAUSE}&choice=&value=Klarna+Bank"
        ))
        .await;
    assert_snapshot!("table_plan", still(&rig, &plan));
    assert_eq!(rig.tables(), "", "a look writes nothing");
    let hash = attribute(&plan.text, "name=\"hash\" value=\"");
    let token = plan.form_token();
    let yes = [
        ("form_token", token.as_str()),
        ("hash", hash.as_str()),
        ("key", "klarna"),
        ("value", "Klarna Bank"),
        ("code", "journal_missing"),
        ("cluster", "journal_missing:klarna"),
        ("reason", "asked accounting"),
        ("retry", "yes"),
    ];
    // Somebody else edits the file meanwhile.
    let path = rig.folder.path().join("mappings/tables.main.toml");
    std::fs::write(&path, "[tables.journal]\npaypal = \"PayPal\"\n").unwrap();
    let again = browser.post("/tables/main/journal/set", &yes).await;
    assert_eq!(again.status, 409);
    assert!(
        again.text.contains("has changed since you looked"),
        "{}",
        again.text
    );
    assert!(!rig.tables().contains("klarna"), "{}", rig.tables());
    let hash = attribute(&again.text, "name=\"hash\" value=\"");
    let mut yes = yes;
    yes[1].1 = &hash;
    let saved = browser.post("/tables/main/journal/set", &yes).await;
    assert_eq!(
        saved.location.as_deref(),
        Some("/problems?notice=table_batch"),
        "{}",
        saved.text
    );
    assert_eq!(
        rig.tables(),
        "[tables.journal]\npaypal = \"PayPal\"\nklarna = \"Klarna Bank\"\n"
    );
    // The second click saves nothing again and starts no second batch.
    let twice = browser.post("/tables/main/journal/set", &yes).await;
    assert!(
        ["/problems?notice=batch_runs", "/problems?notice=already"]
            .contains(&twice.location.as_deref().unwrap()),
        "{twice:?}"
    );
    let batches = rig.store.batches(false, 0).await.unwrap();
    assert_eq!(batches.len(), 1, "{batches:?}");
    assert_eq!(batches[0].total, 2);
    let audit = browser.get("/audit?action=edit_table").await;
    assert_eq!(
        audit.text.matches("<th scope=\"row\">").count(),
        1,
        "{}",
        audit.text
    );
    assert!(audit.text.contains("asked accounting"), "{}", audit.text);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_is_listed_and_taken_back() {
    let rig = Rig::lacking().await;
    let browser = rig.logged_in("operator").await;
    let set = async |query: &str| {
        let plan = browser.get(&format!("/tables/main/journal/plan?{query}")).await;
        let (token, hash) = (plan.form_token(), attribute(&plan.text, "name=\"hash\" value=\""));
        let mut fields = crate::app::console::view::form_fields(query.as_bytes());
        fields.push(("form_token".to_owned(), token));
        fields.push(("hash".to_owned(), hash));
        let fields: Vec<(&str, &str)> = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = browser.post("/tables/main/journal/set", &fields).await;
        answer.location.unwrap_or_else(|| panic!("{}", answer.text))
    };
    assert_eq!(set("key=klarna&value=Klarna").await, "/tables?notice=table_saved");
    assert_eq!(set("key=klarna&value=Bank").await, "/tables?notice=table_saved");
    let tables = browser.get("/tables").await;
    assert_snapshot!("tables", still(&rig, &tables));
    let back: Vec<String> = tables
        .text
        .split("<a class=\"button\" href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"))
        .collect();
    assert_eq!(
        back,
        [
            "/tables/main/journal/plan?key=klarna&value=Klarna",
            "/tables/main/journal/plan?key=klarna&remove=yes",
        ]
    );
    set("key=klarna&value=Klarna").await;
    assert!(rig.tables().contains("klarna = \"Klarna\""), "{}", rig.tables());
    set("key=klarna&remove=yes").await;
    assert!(!rig.tables().contains("klarna"), "{}", rig.tables());
    let nothing = browser
        .get("/tables/main/journal/plan?key=klarna&remove=yes")
        .await;
    assert!(
        nothing.text.contains("stands like that already"),
        "{}",
        nothing.text
    );
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_an_entry_is_told_and_not_written() {
    let rig = Rig::lacking().await;
    let browser = rig.logged_in("operator").await;
    for (path, status, part) in [
        ("/tables/other/journal", 404, "no such shop"),
        ("/tables/main/jornal", 404, "No mapping has"),
        (
            "/tables/main/journal/plan?key=klarna",
            400,
            "say what the entry is to be",
        ),
        ("/tables/main/journal/plan?value=Klarna", 400, "say which entry"),
        (
            "/tables/main/journal/plan?key=a%0Ab&value=Klarna",
            400,
            "holds something",
        ),
        (
            "/tables/main/journal/plan?key=klarna&value=7",
            409,
            "of another kind",
        ),
        (
            "/tables/main/jornal/plan?key=klarna&value=Klarna",
            409,
            "no mapping has a table",
        ),
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text);
        assert!(answer.text.contains(part), "{path}: {}", answer.text);
    }
    // Whatever it is called, it is a name and no part of the page or of the file.
    let hostile = "<script>alert(1)</script>\" = 1 # ' OR 1=1 😀 \u{202e}";
    let query = format!(
        "key={}&value={}",
        percent_encoded(hostile),
        percent_encoded(hostile)
    );
    let plan = browser.get(&format!("/tables/main/journal/plan?{query}")).await;
    assert_eq!(plan.status, 200);
    assert!(!plan.text.contains("<script>"), "{}", plan.text);
    let table = browser
        .get(&format!("/tables/main/journal?key={}", percent_encoded(hostile)))
        .await;
    assert!(!table.text.contains("<script>"), "{}", table.text);
    // Viewers look, and have nothing to press.
    let viewer = rig.logged_in("viewer").await;
    let table = viewer.get("/tables/main/journal?key=klarna").await;
    assert_eq!(table.status, 200);
    assert!(!table.text.contains("/plan"), "{}", table.text);
    // A file that cannot be written stays, and the difference is there to be committed.
    let path = rig.folder.path().join("mappings");
    let plan = browser
        .get("/tables/main/journal/plan?key=klarna&value=Klarna")
        .await;
    let (token, hash) = (plan.form_token(), attribute(&plan.text, "name=\"hash\" value=\""));
    let draft = path.join(format!(".tables.main.toml.{}", std::process::id()));
    std::fs::create_dir(&draft).unwrap();
    let fields = [
        ("form_token", token.as_str()),
        ("hash", hash.as_str()),
        ("key", "klarna"),
        ("value", "Klarna"),
    ];
    let answer = browser.post("/tables/main/journal/set", &fields).await;
    assert_eq!(answer.status, 409);
    assert!(
        answer.text.contains("was left as it is") && answer.text.contains("+klarna"),
        "{}",
        answer.text
    );
    rig.stop().await;
    // Without a folder that is said.
    let rig = Rig::new().await;
    let browser = rig.logged_in("operator").await;
    let plan = browser
        .get("/tables/main/journal/plan?key=klarna&value=Klarna")
        .await;
    assert_eq!(plan.status, 409);
    assert!(plan.text.contains("Set `dir` in [mappings]"), "{}", plan.text);
    rig.stop().await;
}
