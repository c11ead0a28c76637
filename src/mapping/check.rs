//! Types of expressions: every name, filter, operator and argument of an expression is checked when a mapping is loaded,
//! on the parser's own tree, so that no order ever meets a misspelt path or a sum of texts.

use std::ops::Range;
use std::sync::Arc;

use minijinja::Value;
use minijinja::machinery::ast::{BinOp, BinOpKind, CallArg, Expr, Filter, Spanned, Test, UnaryOpKind};
use minijinja::value::ValueKind;

use super::check_rules::{arithmetic, comparable, constant_type, may_be_empty, one_of, part_of};
use super::diagnose::hint;
use super::filters::{Arg, FILTERS, TESTS};
use super::types::{Kind, Typed};

/// The names that an expression may use, in the order of their slots.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub(super) names: Vec<(String, Typed)>,
    /// Whether a number that is written out may be compared with an exact one.
    pub(super) takes_written_numbers: bool,
}

impl Scope {
    pub(super) fn with(&self, name: &str, typed: Typed) -> Self {
        let mut scope = self.clone();
        scope.names.push((name.to_owned(), typed));
        scope
    }

    /// The newest name wins.
    pub(super) fn slot(&self, name: &str) -> Option<(usize, &Typed)> {
        self.names
            .iter()
            .enumerate()
            .rev()
            .find(|(_, (known, _))| known == name)
            .map(|(n, (_, typed))| (n, typed))
    }

    pub(super) fn known(&self) -> Vec<&str> {
        self.names.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// What is wrong with an expression, and where in it.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) place: Range<usize>,
    pub(super) message: String,
    pub(super) label: String,
    pub(super) help: Option<String>,
}

/// Which parts of which names an expression reads: only these are handed to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Reads {
    pub(super) whole: bool,
    pub(super) parts: Vec<(Arc<str>, Reads)>,
}

impl Reads {
    fn add(&mut self, path: &[&str]) {
        match path.split_first() {
            None => self.whole = true,
            Some((first, rest)) => {
                let at = match self.parts.iter().position(|(name, _)| **name == **first) {
                    Some(at) => at,
                    None => {
                        self.parts.push((Arc::from(*first), Self::default()));
                        self.parts.len() - 1
                    }
                };
                self.parts[at].1.add(rest);
            }
        }
    }
}

/// Checks one expression against a scope.
pub(super) struct Checker<'c> {
    pub(super) scope: &'c Scope,
    pub(super) reads: Reads,
    /// Where numbers are written out that are compared with exact ones.
    pub(super) written: Vec<Range<usize>>,
}

pub(super) type Checked = Result<Typed, Wrong>;

pub(super) fn place(expr: &Expr<'_>) -> Range<usize> {
    let span = expr.span();
    span.start_offset as usize..span.end_offset as usize
}

pub(super) fn wrong<T>(
    at: &Expr<'_>,
    message: impl Into<String>,
    label: impl Into<String>,
) -> Result<T, Wrong> {
    Err(Wrong {
        place: place(at),
        message: message.into(),
        label: label.into(),
        help: None,
    })
}

pub(super) fn wrong_with<T>(
    at: &Expr<'_>,
    message: impl Into<String>,
    label: impl Into<String>,
    help: impl Into<String>,
) -> Result<T, Wrong> {
    Err(Wrong {
        place: place(at),
        message: message.into(),
        label: label.into(),
        help: Some(help.into()),
    })
}

impl<'c> Checker<'c> {
    pub(super) fn new(scope: &'c Scope) -> Self {
        Self {
            scope,
            reads: Reads::default(),
            written: Vec::new(),
        }
    }

    /// The type of an expression.
    pub(super) fn check(&mut self, expr: &Expr<'_>) -> Checked {
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) => self.path(expr),
            Expr::Const(constant) => constant_type(&constant.value, expr),
            Expr::UnaryOp(op) => match op.op {
                UnaryOpKind::Not => {
                    self.condition(&op.expr)?;
                    Ok(Typed::of(Kind::Bool))
                }
                UnaryOpKind::Neg => {
                    let typed = self.check(&op.expr)?;
                    if typed.kind != Kind::Integer || typed.optional {
                        return wrong_with(
                            expr,
                            format!("`-` does not take {typed}"),
                            "here",
                            "write `| negate`",
                        );
                    }
                    Ok(typed)
                }
            },
            Expr::BinOp(op) => self.binary(op, expr),
            Expr::IfExpr(choice) => {
                self.condition(&choice.test_expr)?;
                let yes = self.check(&choice.true_expr)?;
                let no = match &choice.false_expr {
                    Some(no) => self.check(no)?,
                    None => Typed::maybe(Kind::Nothing),
                };
                Ok(yes.union(&no))
            }
            Expr::Filter(filter) => self.filter(filter, expr),
            Expr::Test(test) => self.test(test, expr),
            Expr::List(list) => {
                let mut item = Typed::of(Kind::Nothing);
                for (n, expr) in list.items.iter().enumerate() {
                    let typed = self.check(expr)?;
                    item = if n == 0 { typed } else { item.union(&typed) };
                }
                Ok(Typed::list(item))
            }
            Expr::GetItem(get) => {
                let base = self.check(&get.expr)?;
                let index = self.check(&get.subscript_expr)?;
                match (&base.kind, &index.kind) {
                    (Kind::Any, Kind::Integer | Kind::Text) => Ok(Typed::maybe(Kind::Any)),
                    (Kind::List(item), Kind::Integer) => Ok((**item).clone().or_empty(true)),
                    _ => wrong(expr, format!("{base} cannot be indexed like this"), "here"),
                }
            }
            Expr::Compare(_) => wrong(
                expr,
                "comparisons cannot be chained",
                "join two of them with `and`",
            ),
            Expr::Call(_) => wrong_with(
                expr,
                "there are no functions in mappings",
                "this is a call",
                "use a filter: `value | filter(argument)`",
            ),
            Expr::Slice(_) | Expr::Tuple(_) | Expr::Map(_) => wrong(
                expr,
                format!("a {} has no place in a mapping", expr.description()),
                "not used here",
            ),
        }
    }

    /// A condition: anything that can be empty or not, but no number, whose zero would count as no.
    pub(super) fn condition(&mut self, expr: &Expr<'_>) -> Checked {
        let typed = self.check(expr)?;
        if typed.kind == Kind::Decimal {
            return wrong_with(
                expr,
                "an exact number is no condition",
                "zero or empty?",
                "say `is zero`, `is positive` or `is present`",
            );
        }
        Ok(typed)
    }

    /// A name, or a part of something.
    fn path(&mut self, expr: &Expr<'_>) -> Checked {
        let mut names = Vec::new();
        let mut at = expr;
        while let Expr::GetAttr(get) = at {
            names.push((get.name, at));
            at = &get.expr;
        }
        names.reverse();
        let mut typed = match at {
            Expr::Var(var) => {
                let Some((_, typed)) = self.scope.slot(var.id) else {
                    return Err(Wrong {
                        place: place(at),
                        message: format!("unknown name `{}`", var.id),
                        label: "not known here".to_owned(),
                        help: hint(var.id, &self.scope.known()),
                    });
                };
                let mut path = vec![var.id];
                path.extend(names.iter().map(|(name, _)| *name));
                let typed = typed.clone();
                self.reads.add(&path);
                typed
            }
            other => self.check(other)?,
        };
        for (name, at) in names {
            let end = place(at).end;
            let part = end.saturating_sub(name.len())..end;
            typed = part_of(&typed, name).map_err(|(message, help)| Wrong {
                place: part,
                message,
                label: "here".to_owned(),
                help,
            })?;
        }
        Ok(typed)
    }

    /// The types of what is compared.
    fn sides(&mut self, op: &BinOp<'_>) -> Result<(Typed, Typed), Wrong> {
        let is_number = |expr: &Expr<'_>| match expr {
            Expr::Const(constant) => constant.value.kind() == ValueKind::Number,
            _ => false,
        };
        if self.scope.takes_written_numbers {
            for (written, other) in [(&op.left, &op.right), (&op.right, &op.left)] {
                if is_number(written) && !is_number(other) {
                    let typed = self.check(other)?;
                    if typed.kind == Kind::Decimal {
                        self.written.push(place(written));
                        return Ok((typed.clone(), typed));
                    }
                }
            }
        }
        Ok((self.check(&op.left)?, self.check(&op.right)?))
    }

    fn binary(&mut self, op: &Spanned<BinOp<'_>>, expr: &Expr<'_>) -> Checked {
        match op.op {
            BinOpKind::ScAnd | BinOpKind::ScOr => {
                let left = self.condition(&op.left)?;
                let right = self.check(&op.right)?;
                let union = left.union(&right);
                // `a or b` is empty only when `b` is; what was empty on the left has been passed by.
                let optional = if matches!(op.op, BinOpKind::ScOr) {
                    right.optional
                } else {
                    union.optional
                };
                Ok(Typed { optional, ..union })
            }
            BinOpKind::Eq | BinOpKind::Ne => {
                let (left, right) = self.sides(op)?;
                comparable(&left, &right, expr)?;
                one_of(&left, &op.right)?;
                one_of(&right, &op.left)?;
                Ok(Typed::of(Kind::Bool))
            }
            BinOpKind::Lt | BinOpKind::Lte | BinOpKind::Gt | BinOpKind::Gte => {
                let (left, right) = self.sides(op)?;
                comparable(&left, &right, expr)?;
                let ordered = matches!(left.kind, Kind::Integer | Kind::Decimal | Kind::Time | Kind::Date);
                if !ordered || left.optional || right.optional {
                    return wrong(
                        expr,
                        "these cannot be put in order",
                        "they may be empty, or are no numbers or times",
                    );
                }
                Ok(Typed::of(Kind::Bool))
            }
            BinOpKind::In => {
                let (left, right) = (self.check(&op.left)?, self.check(&op.right)?);
                let Kind::List(item) = &right.kind else {
                    return wrong_with(
                        &op.right,
                        format!("this is {right}"),
                        "not a list",
                        "write `x in ['a', 'b']`",
                    );
                };
                comparable(&left, item, expr)?;
                if let Expr::List(list) = &op.right {
                    for item in &list.items {
                        one_of(&left, item)?;
                    }
                }
                Ok(Typed::of(Kind::Bool))
            }
            BinOpKind::Concat => {
                for side in [&op.left, &op.right] {
                    let typed = self.check(side)?;
                    let joins = typed.is_text() || typed.kind == Kind::Integer;
                    if typed.kind == Kind::Decimal {
                        return wrong_with(
                            side,
                            "an exact number does not become text by itself",
                            "here",
                            "say with how many digits: `| fixed(2)`",
                        );
                    }
                    if !joins || typed.optional {
                        return wrong_with(
                            side,
                            format!("`~` joins texts, and this is {typed}{}", may_be_empty(&typed)),
                            "here",
                            "use `[a, b] | joined(' ')`, which leaves out what is empty, or `| default('')`",
                        );
                    }
                }
                Ok(Typed::of(Kind::Text))
            }
            BinOpKind::Add | BinOpKind::Sub | BinOpKind::Mul | BinOpKind::FloorDiv | BinOpKind::Rem => {
                let (left, right) = (self.check(&op.left)?, self.check(&op.right)?);
                if [&left, &right]
                    .iter()
                    .all(|typed| typed.kind == Kind::Integer && !typed.optional)
                {
                    return Ok(left);
                }
                arithmetic(op.op, &left, &right, expr)
            }
            BinOpKind::Div | BinOpKind::Pow => wrong(
                expr,
                "division and powers are not exact, so mappings have none",
                "here",
            ),
        }
    }

    fn filter(&mut self, filter: &Spanned<Filter<'_>>, expr: &Expr<'_>) -> Checked {
        let Some(input) = &filter.expr else {
            return wrong(expr, "a filter needs something before it", "here");
        };
        let typed = self.check(input)?;
        let args = self.args(&filter.args, expr)?;
        let Some(known) = FILTERS.iter().find(|known| known.name == filter.name) else {
            let names: Vec<&str> = FILTERS.iter().map(|known| known.name).collect();
            return Err(Wrong {
                place: place(expr),
                message: format!("unknown filter `{}`", filter.name),
                label: "not a filter".to_owned(),
                help: hint(filter.name, &names).or_else(|| Some(format!("filters: {}", names.join(", ")))),
            });
        };
        (known.check)(&typed, &args).or_else(|reason| {
            wrong(
                expr,
                format!("the filter `{}` does not fit: {reason}", filter.name),
                "here",
            )
        })
    }

    fn test(&mut self, test: &Spanned<Test<'_>>, expr: &Expr<'_>) -> Checked {
        let typed = self.check(&test.expr)?;
        let Some(known) = TESTS.iter().find(|known| known.name == test.name) else {
            let names: Vec<&str> = TESTS.iter().map(|known| known.name).collect();
            return Err(Wrong {
                place: place(expr),
                message: format!("unknown test `{}`", test.name),
                label: "not a test".to_owned(),
                help: hint(test.name, &names),
            });
        };
        if !test.args.is_empty() {
            return wrong(
                expr,
                format!("the test `{}` takes no arguments", test.name),
                "here",
            );
        }
        match (known.check)(&typed) {
            Ok(()) => Ok(Typed::of(Kind::Bool)),
            Err(reason) => wrong(
                expr,
                format!("the test `{}` does not fit: {reason}", test.name),
                "here",
            ),
        }
    }

    fn args(&mut self, args: &[CallArg<'_>], expr: &Expr<'_>) -> Result<Vec<Arg>, Wrong> {
        args.iter()
            .map(|arg| match arg {
                CallArg::Pos(arg) => {
                    let literal = if let Expr::Const(constant) = arg {
                        Some(&constant.value)
                    } else {
                        None
                    };
                    Ok(Arg {
                        typed: self.check(arg)?,
                        text: literal.and_then(|value| value.as_str()).map(str::to_owned),
                        number: literal.and_then(Value::as_i64),
                    })
                }
                _ => wrong(expr, "arguments of filters have no names here", "here"),
            })
            .collect()
    }
}
