//! What all handlers of actions have in common: the body is read, the caller is the one who acts, and what came of it is
//! answered.

/// Declares the handler of a POST: its name; the parts of its path, where it has some; its body; and what it does, which ends in a
/// `Result` with what is answered or why it is refused.
macro_rules! on_post {
    ($name:ident, |$api:ident, $reviewer:ident, $path:pat_param in $kind:ty, $said:ident: $body:ty| $act:block) => {
        async fn $name(
            ::axum::extract::State($api): ::axum::extract::State<::std::sync::Arc<$crate::app::api::Api>>,
            ::axum::extract::Path($path): ::axum::extract::Path<$kind>,
            request: ::axum::http::Extensions,
            bytes: ::axum::body::Bytes,
        ) -> ::axum::response::Response {
            let done = async {
                let $said = $crate::app::api::review::body::<$body>(&bytes)?;
                let $reviewer = $api.reviewer(&request);
                $act
            };
            $crate::app::api::answer(done.await, &request)
        }
    };
    ($name:ident, |$api:ident, $reviewer:ident, $said:ident: $body:ty| $act:block) => {
        async fn $name(
            ::axum::extract::State($api): ::axum::extract::State<::std::sync::Arc<$crate::app::api::Api>>,
            request: ::axum::http::Extensions,
            bytes: ::axum::body::Bytes,
        ) -> ::axum::response::Response {
            let done = async {
                let $said = $crate::app::api::review::body::<$body>(&bytes)?;
                let $reviewer = $api.reviewer(&request);
                $act
            };
            $crate::app::api::answer(done.await, &request)
        }
    };
}

pub(in crate::app::api) use on_post;
