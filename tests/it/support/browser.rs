//! A real browser: Chromium, driven through its chromedriver (W3C's protocol for that, `webdriver2`).
//!
//! Both are installed by `scripts/test`; where they are missing the tests fail and say so.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use lockstep::transport;
use serde_json::{Value, json};

use super::daemon::PATIENCE;

/// The key under which an element is named (`webdriver2`, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Finds what makes a page hard to use.
const FAULTS: &str = include_str!("accessibility.js");

/// Looks at what has the focus.
const FOCUS: &str = include_str!("focus.js");

/// The key that moves the focus on (`webdriver2`, section 17.4.2).
const TAB: &str = "\u{e004}";

/// As many stops of the focus are looked at on one page.
const STOPS: usize = 40;

/// One browser with one window.
pub(crate) struct Browser {
    driver: Child,
    client: reqwest::Client,
    session: String,
    shots: PathBuf,
}

/// An element of the page that is shown.
pub(crate) struct Element<'b> {
    browser: &'b Browser,
    id: String,
}

impl Browser {
    /// Starts a browser that shows nothing yet. Its pictures go to `shots`.
    pub(crate) async fn start(shots: &Path) -> Self {
        // Its own choice of a port would have to be read from its output, whose form changes.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "chromedriver cannot be run ({error}): run the tests with scripts/test, which installs it"
                )
            });
        let mut browser = Self {
            driver,
            client: transport::client(&transport::Settings::default()).expect("a client"),
            session: format!("http://127.0.0.1:{port}"),
            shots: shots.to_owned(),
        };
        let deadline = Instant::now() + PATIENCE;
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        let ready = format!("{}/status", browser.session);
        while browser.client.get(&ready).send().await.is_err() {
            assert!(Instant::now() < deadline, "chromedriver does not answer");
            tick.tick().await;
        }
        // Without a sandbox of its own, which needs rights that containers lack: the pages are ours.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--window-size=1280,900",
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
        } } });
        let made = browser.post("/session", &wanted).await;
        let id = made["sessionId"].as_str().expect("a session");
        browser.session = format!("{}/session/{id}", browser.session);
        browser
    }

    async fn answer(request: reqwest::RequestBuilder) -> Result<Value, String> {
        let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
        let is_good = answer.status().is_success();
        let mut body: Value = answer.json().await.map_err(|error| error.to_string())?;
        let value = body["value"].take();
        if is_good {
            Ok(value)
        } else {
            Err(value["message"].to_string())
        }
    }

    async fn try_post(&self, path: &str, body: &Value) -> Result<Value, String> {
        Self::answer(self.client.post(format!("{}{path}", self.session)).json(body)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.try_post(path, body)
            .await
            .unwrap_or_else(|error| panic!("{path} {body}: {error}"))
    }

    async fn read(&self, path: &str) -> String {
        let value = Self::answer(self.client.get(format!("{}{path}", self.session))).await;
        let value = value.unwrap_or_else(|error| panic!("{path}: {error}"));
        value.as_str().unwrap_or_default().to_owned()
    }

    /// Opens an address.
    pub(crate) async fn open(&self, url: &str) {
        self.post("/url", &json!({ "url": url })).await;
    }

    /// The address that is shown.
    pub(crate) async fn url(&self) -> String {
        self.read("/url").await
    }

    /// The page as the browser has it.
    pub(crate) async fn source(&self) -> String {
        self.read("/source").await
    }

    /// Runs a script in the page and returns what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
            .await
    }

    /// What makes the page that is shown hard to use: one line for each fault.
    pub(crate) async fn faults(&self) -> Vec<String> {
        let found = self.run(FAULTS).await;
        serde_json::from_value(found).expect("a list of texts")
    }

    /// Goes through the page by keyboard and tells where the focus cannot be seen.
    pub(crate) async fn unseen_focus(&self) -> Vec<String> {
        self.run("window.lockstepSeen = []; document.activeElement.blur();")
            .await;
        let tab = json!({ "actions": [{ "type": "key", "id": "keys", "actions": [
            { "type": "keyDown", "value": TAB }, { "type": "keyUp", "value": TAB },
        ] }] });
        let mut faults = Vec::new();
        let mut stops = 0;
        for _ in 0..STOPS {
            self.post("/actions", &tab).await;
            let focus = self.run(FOCUS).await;
            if focus.is_null() || focus["again"] == true {
                break;
            }
            stops += 1;
            if focus["shown"] != true || focus["inside"] != true {
                faults.push(format!("the focus cannot be seen: {}", focus["what"]));
            }
        }
        if stops == 0 {
            faults.push("nothing can be reached by keyboard".to_owned());
        }
        faults
    }

    /// Says something to Chromium itself.
    async fn tell(&self, command: &str, parameters: Value) {
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
        .await;
    }

    /// Light or dark, as a person's system would ask for.
    pub(crate) async fn colours(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.tell("Emulation.setEmulatedMedia", json!({ "features": features }))
            .await;
    }

    /// A window of this width.
    pub(crate) async fn width(&self, width: u32) {
        let size = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// The first element that this path (`XPath`) finds; waits for it.
    pub(crate) async fn find(&self, xpath: &str) -> Element<'_> {
        let deadline = Instant::now() + PATIENCE;
        let mut tick = tokio::time::interval(Duration::from_millis(50));
        loop {
            tick.tick().await;
            let found = self
                .try_post("/element", &json!({ "using": "xpath", "value": xpath }))
                .await;
            if let Ok(found) = found {
                let id = found[ELEMENT].as_str().expect("an element").to_owned();
                return Element { browser: self, id };
            }
            assert!(
                Instant::now() < deadline,
                "nothing fits {xpath} on {}:\n{}",
                self.url().await,
                self.source().await
            );
        }
    }

    /// The link or button with this text.
    pub(crate) async fn press(&self, text: &str) {
        let xpath = format!(
            "//*[self::a or self::button or self::summary or self::label][contains(normalize-space(.), \"{text}\")]"
        );
        self.find(&xpath).await.click().await;
    }

    /// The field with this label.
    pub(crate) async fn fill(&self, label: &str, value: &str) {
        let xpath = format!("//*[@id=//label[contains(., \"{label}\")]/@for]");
        self.find(&xpath).await.write(value).await;
    }

    /// Chooses what has this text in the list with this label.
    pub(crate) async fn choose(&self, label: &str, text: &str) {
        let xpath =
            format!("//select[@id=//label[contains(., \"{label}\")]/@for]/option[contains(., \"{text}\")]");
        self.find(&xpath).await.click().await;
    }

    /// Keeps a picture of the whole page.
    pub(crate) async fn picture(&self, name: &str) {
        let height = self.run("return document.documentElement.scrollHeight").await;
        let width = self.run("return window.innerWidth").await;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.tell("Emulation.setDeviceMetricsOverride", size).await;
        let picture = self.read("/screenshot").await;
        let picture = base64::engine::general_purpose::STANDARD.decode(picture);
        std::fs::create_dir_all(&self.shots).expect("a folder for pictures");
        std::fs::write(
            self.shots.join(format!("{name}.png")),
            picture.expect("a picture"),
        )
        .expect("the picture can be kept");
    }
}

impl Element<'_> {
    pub(crate) async fn click(&self) {
        let path = format!("/element/{}/click", self.id);
        self.browser.post(&path, &json!({})).await;
    }

    pub(crate) async fn write(&self, text: &str) {
        let path = format!("/element/{}/value", self.id);
        self.browser.post(&path, &json!({ "text": text })).await;
    }

    pub(crate) async fn text(&self) -> String {
        self.browser.read(&format!("/element/{}/text", self.id)).await
    }
}

impl Browser {
    /// Ends the session, and the browser with it: a driver that ends does not always take its browser along. Without the
    /// client, since nothing can be awaited here.
    fn end(&self) -> std::io::Result<()> {
        let address = self.session.trim_start_matches("http://");
        let Some((host, path)) = address.split_once('/') else {
            return Ok(());
        };
        let mut stream = TcpStream::connect(host)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "DELETE /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )?;
        stream.read_exact(&mut [0])
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.end().ok();
        Command::new("kill")
            .args(["-TERM", &self.driver.id().to_string()])
            .status()
            .ok();
        self.driver.wait().ok();
    }
}
