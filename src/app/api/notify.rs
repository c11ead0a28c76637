//! Notifications for programs: the endpoints, what was told to whom, and sending again.

mod acts;
mod answers;
mod declares;

use axum::routing::{delete, get, patch, post, put};

pub(in crate::app) use self::acts::{delivery_id, object_of};
use self::answers::{
    Cancelled, TurnedEndpoint, Which, fields, fields_of_record, give_up, list, log, many_again, one_again,
    pause, resume, show, show_preview, test,
};
pub(in crate::app) use self::declares::DeclaredEndpoint;
use super::review::Words;
use super::routes::{Parameter, Route, schema};
use crate::app::notify::{Again, EndpointView, EventFields, NotifyPreview, Trial};
use crate::domain::Role;
use crate::notify::EndpointSection;
use crate::store::{DispatchRow, DispatchStory};

const fn parameter(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, about }
}

const DECLARED: &[Parameter] = &[
    parameter(
        "new_secret",
        "true: it gets a new secret that signs, beside those that it has. The answer shows it this once; it is kept in a file beside the configuration.",
    ),
    parameter("dry_run", "true: only what the file would become."),
];

const LISTED: &[Parameter] = &[
    parameter("endpoint", "Only to this endpoint."),
    parameter("event", "Only of this type of event, e.g. order.synced."),
    parameter(
        "state",
        "Only in this state: waiting, sending, delivered, failed, cancelled, replaced or problem.",
    ),
    parameter("shop", "Only of this shop."),
    parameter(
        "search",
        "Only about this record or event: a name, Shopify's number, or an event's id.",
    ),
    parameter("since", "Only of events since then (RFC 3339)."),
    parameter("until", "Only of events before then (RFC 3339)."),
    parameter("before", "Only older ones than this delivery: the next page."),
    parameter("limit", "At most this many: from 1 to 1000, by default 50."),
];

/// The routes of this module.
pub(super) fn table() -> Vec<Route> {
    vec![
        Route {
            method: "get",
            path: "/api/v1/notify/endpoints",
            id: "listEndpoints",
            summary: "The endpoints: whether they are sent anything, how their last deliveries went, what waits.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<Vec<EndpointView>>),
            handler: || get(list),
        },
        Route {
            method: "put",
            path: "/api/v1/notify/endpoints/{endpoint}",
            id: "createEndpoint",
            summary: "Declares a new endpoint in the configuration file, with the keys of [notify.endpoints.NAME], and takes it up.",
            needs: Role::Admin,
            query: DECLARED,
            request: Some(schema::<EndpointSection>),
            response: Some(schema::<DeclaredEndpoint>),
            handler: || put(declares::create),
        },
        Route {
            method: "patch",
            path: "/api/v1/notify/endpoints/{endpoint}",
            id: "changeEndpoint",
            summary: "Changes these keys of an endpoint in the configuration file; null takes one out.",
            needs: Role::Admin,
            query: DECLARED,
            request: Some(schema::<EndpointSection>),
            response: Some(schema::<DeclaredEndpoint>),
            handler: || patch(declares::change),
        },
        Route {
            method: "delete",
            path: "/api/v1/notify/endpoints/{endpoint}",
            id: "removeEndpoint",
            summary: "Takes an endpoint out of the configuration file, and gives up what waits for it.",
            needs: Role::Admin,
            query: const {
                &[parameter(
                    "dry_run",
                    "true: only what the file would become, and what waits.",
                )]
            },
            request: None,
            response: Some(schema::<DeclaredEndpoint>),
            handler: || delete(declares::remove),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/test",
            id: "testEndpoint",
            summary: "Sends a test.ping to an endpoint now, past the queue, and tells what came back.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<Trial>),
            handler: || post(test),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/pause",
            id: "pauseEndpoint",
            summary: "Sends nothing to an endpoint until it is resumed.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Words>),
            response: Some(schema::<TurnedEndpoint>),
            handler: || post(pause),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/resume",
            id: "resumeEndpoint",
            summary: "Sends to an endpoint again.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Words>),
            response: Some(schema::<TurnedEndpoint>),
            handler: || post(resume),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/endpoints/{endpoint}/cancel",
            id: "cancelEndpoint",
            summary: "Gives up all that waits for an endpoint.",
            needs: Role::Admin,
            query: &[],
            request: None,
            response: Some(schema::<Cancelled>),
            handler: || post(give_up),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/endpoints/{endpoint}/preview/{shop}/{object}/{id}",
            id: "previewNotification",
            summary: "What an endpoint would be sent for a real record as it is now. Sends nothing.",
            needs: Role::Operator,
            query: const {
                &[parameter(
                    "event",
                    "As if this had happened; by default that the record was carried over.",
                )]
            },
            request: None,
            response: Some(schema::<NotifyPreview>),
            handler: || get(show_preview),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/deliveries",
            id: "listDeliveries",
            summary: "The log of deliveries, newest first.",
            needs: Role::Viewer,
            query: LISTED,
            request: None,
            response: Some(schema::<Vec<DispatchRow>>),
            handler: || get(log),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/deliveries/{delivery}",
            id: "showDelivery",
            summary: "One delivery with its tries. Viewers see neither what is told nor what was answered.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<DispatchStory>),
            handler: || get(show),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/deliveries/{delivery}/redeliver",
            id: "redeliverOne",
            summary: "Sends a delivery that has ended once more. The event keeps its id.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<Again>),
            handler: || post(one_again),
        },
        Route {
            method: "post",
            path: "/api/v1/notify/redeliver",
            id: "redeliverMany",
            summary: "Sends once more what failed, or everything of an endpoint and a time. Events keep their ids.",
            needs: Role::Operator,
            query: &[],
            request: Some(schema::<Which>),
            response: Some(schema::<Again>),
            handler: || post(many_again),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/fields/{event}",
            id: "listFields",
            summary: "What conditions and templates can read of a type of event.",
            needs: Role::Viewer,
            query: &[],
            request: None,
            response: Some(schema::<EventFields>),
            handler: || get(fields),
        },
        Route {
            method: "get",
            path: "/api/v1/notify/fields/{shop}/{object}/{id}",
            id: "listFieldsOfRecord",
            summary: "What conditions and templates can read, with the values of a real record as it is now.",
            needs: Role::Operator,
            query: &[],
            request: None,
            response: Some(schema::<EventFields>),
            handler: || get(fields_of_record),
        },
    ]
}
