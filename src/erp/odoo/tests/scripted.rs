//! A server that logs everybody in and then gives the answers that a test wrote down.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Response, Uri};
use serde_json::{Value, json};

/// What the server says to one call.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// A status, a content type and a body.
    Plain(u16, &'static str, String),
    /// The same with `Retry-After` in seconds.
    Later(u16, u32),
    /// The connection is cut.
    Cut,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::Plain(status, "application/json", body.to_string())
    }

    pub(super) fn page(status: u16) -> Self {
        Self::Plain(status, "text/html; charset=utf-8", "<html>".to_owned())
    }
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    /// What `/web/health` says: a status and a body; nothing means 404.
    health: Option<Value>,
    seen: Vec<Value>,
    logins: usize,
    refuse_logins: bool,
    /// As from Odoo 22 on.
    without_json_rpc: bool,
    running: usize,
    most_running: usize,
}

/// The server. It plays Odoo 18 over JSON-RPC or 19 over JSON-2.
pub(super) struct Scripted {
    url: String,
    json2: bool,
    script: Arc<Mutex<Script>>,
}

impl Scripted {
    pub(super) async fn start(json2: bool, answers: impl IntoIterator<Item = Answer>) -> Self {
        let script = Arc::new(Mutex::new(Script {
            answers: answers.into_iter().collect(),
            ..Script::default()
        }));
        let router = Router::new()
            .fallback(counted)
            .with_state((json2, Arc::clone(&script)));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, json2, script }
    }

    pub(super) fn url(&self) -> String {
        self.url.clone()
    }

    pub(super) fn set_health(&self, health: Option<Value>) {
        self.script.lock().unwrap().health = health;
    }

    pub(super) fn refuse_logins(&self, refuse: bool) {
        self.script.lock().unwrap().refuse_logins = refuse;
    }

    pub(super) fn take_json_rpc_away(&self) {
        self.script.lock().unwrap().without_json_rpc = true;
    }

    /// The most calls that ran at the same time.
    pub(super) fn most_running(&self) -> usize {
        self.script.lock().unwrap().most_running
    }

    pub(super) fn then(&self, answer: Answer) {
        self.script.lock().unwrap().answers.push_back(answer);
    }

    /// How often somebody logged in.
    pub(super) fn logins(&self) -> usize {
        self.script.lock().unwrap().logins
    }

    /// The bodies of the calls after the login.
    pub(super) fn seen(&self) -> Vec<Value> {
        self.script.lock().unwrap().seen.clone()
    }

    /// A fault as this server's protocol reports it.
    pub(super) fn fault(&self, status: u16, name: &str, message: &str) -> Answer {
        let data = json!({"name": name, "message": message, "arguments": [message], "context": {}, "debug": "Traceback hunter2"});
        if self.json2 {
            Answer::json(status, &data)
        } else {
            Answer::json(
                200,
                &json!({"jsonrpc": "2.0", "id": 1, "error": {"code": 0, "message": "Odoo Server Error", "data": data}}),
            )
        }
    }

    /// A result as this server's protocol reports it.
    pub(super) fn result(&self, result: &Value) -> Answer {
        if self.json2 {
            Answer::json(200, result)
        } else {
            Answer::json(200, &json!({"jsonrpc": "2.0", "id": 1, "result": result}))
        }
    }
}

async fn counted(
    State((json2, script)): State<(bool, Arc<Mutex<Script>>)>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response<Body> {
    {
        let mut script = script.lock().unwrap();
        script.running += 1;
        script.most_running = script.most_running.max(script.running);
    }
    // Gives others their turn, so that calls overlap if they may.
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    let mut script = script.lock().unwrap();
    script.running -= 1;
    serve(json2, &mut script, &method, &uri, &body)
}

fn serve(json2: bool, script: &mut Script, method: &Method, uri: &Uri, body: &Bytes) -> Response<Body> {
    let reply = |status: u16, kind: &str, body: String| {
        Response::builder()
            .status(status)
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap()
    };
    let json = |value: Value| reply(200, "application/json", value.to_string());
    let rpc = |value: Value| json(json!({"jsonrpc": "2.0", "id": 1, "result": value}));
    if *method == Method::GET && uri.path() == "/web/health" {
        return match &script.health {
            Some(health) => reply(
                if health["status"] == "pass" { 200 } else { 500 },
                "application/json",
                health.to_string(),
            ),
            None => reply(404, "text/html", "<html>".to_owned()),
        };
    }
    if script.without_json_rpc && uri.path() == "/jsonrpc" {
        return reply(404, "text/html", "<html>".to_owned());
    }
    if *method == Method::GET && uri.path() == "/json/version" {
        return json(json!({"version_info": [22, 0, 0, "final", 0, ""], "version": "22.0"}));
    }
    let request: Value = serde_json::from_slice(body).unwrap_or_default();
    let profile = json!([{"id": 6, "login": "connector@example.com", "email": "c@example.com", "lang": "en_US", "company_id": [1, "My Company"]}]);
    let args = &request["params"]["args"];
    match (uri.path(), request["params"]["method"].as_str()) {
        ("/jsonrpc", Some("version")) => {
            let serie = if json2 { "19.0" } else { "18.0" };
            return rpc(json!({"server_version": serie, "server_serie": serie}));
        }
        ("/jsonrpc", Some("authenticate")) => {
            script.logins += 1;
            return rpc(if script.refuse_logins {
                json!(false)
            } else {
                json!(6)
            });
        }
        ("/jsonrpc", Some("execute_kw")) if args[3] == "res.users" => return rpc(profile),
        ("/json/2/res.users/context_get", _) => {
            script.logins += 1;
            return if script.refuse_logins {
                let body = json!({"name": "werkzeug.exceptions.Unauthorized", "message": "Invalid apikey"});
                reply(401, "application/json", body.to_string())
            } else {
                json(json!({"lang": "en_US", "tz": false, "uid": 6}))
            };
        }
        ("/json/2/res.users/read", _) => return json(profile),
        _ => {}
    }
    script.seen.push(request);
    match script.answers.pop_front() {
        Some(Answer::Plain(status, kind, body)) => reply(status, kind, body),
        Some(Answer::Later(status, seconds)) => {
            let mut response = reply(status, "text/html", "<html>".to_owned());
            response.headers_mut().insert("retry-after", seconds.into());
            response
        }
        // A body that ends before its announced length: the client sees the connection break.
        Some(Answer::Cut) => Response::builder()
            .header("content-type", "application/json")
            .header("content-length", 1000)
            .body(Body::from_stream(futures_util::stream::iter([
                Ok::<_, std::io::Error>(Bytes::from_static(b"{")),
                Err(std::io::Error::other("cut")),
            ])))
            .unwrap(),
        None => reply(500, "text/plain", "the script is at its end".to_owned()),
    }
}
