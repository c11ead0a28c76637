//! What resolvers give to the executor.

use std::rc::Rc;

use serde_json::{Map, Value as Json, json};

/// Arguments of a field after coercion.
pub(super) type Args = Map<String, Json>;

/// The value of a field before it is completed against the schema.
#[derive(Clone)]
pub(super) enum Out<'a> {
    /// The data has none: null, or the default of a type that must not be null.
    Absent,
    Leaf(Json),
    Node(Rc<dyn Node<'a> + 'a>),
    List(Vec<Out<'a>>),
    Connection(Connection<'a>),
    Failed(Failure),
}

/// A page of records.
#[derive(Clone, Default)]
pub(super) struct Connection<'a> {
    /// Cursor and record.
    pub(super) items: Vec<(String, Out<'a>)>,
    pub(super) has_next: bool,
    pub(super) has_previous: bool,
    /// What `extensions.search` says about the query.
    pub(super) search: Option<Json>,
}

/// A record whose fields can be asked for.
pub(super) trait Node<'a> {
    /// Name of its object type in the schema.
    fn type_name(&self) -> &str;

    /// The value of a field.
    fn field(&self, name: &str, args: &Args) -> Out<'a>;

    /// The value of a field under the key that the answer shows it with. Only the root of mutations cares: there the same
    /// field may have been carried out several times.
    fn keyed(&self, _key: &str, name: &str, args: &Args) -> Out<'a> {
        self.field(name, args)
    }
}

/// A field error.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) message: String,
    pub(super) extensions: Json,
}

impl Failure {
    pub(super) fn new(message: impl Into<String>, code: &str) -> Self {
        Self {
            message: message.into(),
            extensions: json!({"code": code}),
        }
    }
}

impl<'a> Out<'a> {
    pub(super) fn node(node: impl Node<'a> + 'a) -> Self {
        Self::Node(Rc::new(node))
    }

    pub(super) fn maybe(node: Option<impl Node<'a> + 'a>) -> Self {
        node.map_or(Self::Absent, Self::node)
    }

    /// A value, or nothing.
    pub(super) fn leaf(value: impl Into<Json>) -> Self {
        match value.into() {
            Json::Null => Self::Absent,
            value => Self::Leaf(value),
        }
    }

    pub(super) fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(items.into_iter().collect())
    }

    pub(super) fn record(type_name: &'static str, fields: Vec<(&'static str, Self)>) -> Self {
        Self::node(Record { type_name, fields })
    }
}

/// A record with few fields, all at hand.
pub(super) struct Record<'a> {
    pub(super) type_name: &'static str,
    pub(super) fields: Vec<(&'static str, Out<'a>)>,
}

impl<'a> Node<'a> for Record<'a> {
    fn type_name(&self) -> &str {
        self.type_name
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        self.fields
            .iter()
            .find(|(n, _)| *n == name)
            .map_or(Out::Absent, |(_, value)| value.clone())
    }
}

/// A record of which nothing is known but its type: every field has its default.
pub(super) struct Blank(pub(super) String);

impl<'a> Node<'a> for Blank {
    fn type_name(&self) -> &str {
        &self.0
    }

    fn field(&self, _: &str, _: &Args) -> Out<'a> {
        Out::Absent
    }
}

/// `edges`, `nodes` and `pageInfo` of a connection.
pub(super) struct ConnectionNode<'a> {
    pub(super) type_name: String,
    pub(super) page: Connection<'a>,
}

impl<'a> Node<'a> for ConnectionNode<'a> {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        let items = &self.page.items;
        match name {
            "nodes" => Out::list(items.iter().map(|(_, node)| node.clone())),
            "edges" => Out::list(items.iter().map(|(cursor, node)| {
                Out::node(Edge {
                    type_name: format!("{}Edge", self.type_name.trim_end_matches("Connection")),
                    cursor: cursor.clone(),
                    node: node.clone(),
                })
            })),
            "pageInfo" => Out::record(
                "PageInfo",
                vec![
                    ("hasNextPage", Out::leaf(self.page.has_next)),
                    ("hasPreviousPage", Out::leaf(self.page.has_previous)),
                    ("startCursor", Out::leaf(items.first().map(|(c, _)| c.clone()))),
                    ("endCursor", Out::leaf(items.last().map(|(c, _)| c.clone()))),
                ],
            ),
            _ => Out::Absent,
        }
    }
}

struct Edge<'a> {
    type_name: String,
    cursor: String,
    node: Out<'a>,
}

impl<'a> Node<'a> for Edge<'a> {
    fn type_name(&self) -> &str {
        &self.type_name
    }

    fn field(&self, name: &str, _: &Args) -> Out<'a> {
        match name {
            "cursor" => Out::leaf(self.cursor.clone()),
            "node" => self.node.clone(),
            _ => Out::Absent,
        }
    }
}
