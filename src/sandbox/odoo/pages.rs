//! The HTML that is not part of any protocol: what a client must not take for an answer.

/// The page of `/web/login`.
pub(super) const LOGIN: &str = "<!DOCTYPE html>\n<html lang=\"en-US\"><head><title>Login | Odoo</title></head><body><form class=\"oe_login_form\" method=\"post\" action=\"/web/login\"><input name=\"login\"/><input name=\"password\" type=\"password\"/></form></body></html>\n";

/// What JSON-2 answers when the database name leads nowhere, or PostgreSQL is down: the same bytes for both.
pub(super) const NO_DATABASE: &str = "<!DOCTYPE html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>No database is selected and the requested URL was not found in the server-wide controllers. Please verify the hostname, <a href=/web/login>login</a> and try again.</p>\n";

/// A werkzeug error page.
pub(super) fn plain(status: u16, title: &str, text: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n<p>{text}</p>\n"
    )
}

/// An error page of a proxy in front.
pub(super) fn proxy(status: u16) -> String {
    let title = match status {
        429 => "Too Many Requests",
        502 => "Bad Gateway",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        _ => "Error",
    };
    format!(
        "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n<center><h1>{status} {title}</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
}
