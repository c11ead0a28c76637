//! The language of mappings, for what notifications go by.

use std::sync::Arc;

use crate::domain::{Fact, Shape};
use crate::mapping::FreeExpression;
use crate::notify::{Expression, ExpressionError, Expressions};

/// Compiles the conditions and templates of `[notify]` in the mappings' language.
#[derive(Clone, Copy, Debug, Default)]
pub struct MappingExpressions;

impl Expressions for MappingExpressions {
    fn compile(
        &self,
        text: &str,
        names: &[(&'static str, Shape)],
    ) -> Result<Arc<dyn Expression>, ExpressionError> {
        match FreeExpression::new(text, names) {
            Ok(compiled) => Ok(Arc::new(Compiled(compiled))),
            Err(error) => Err(ExpressionError {
                place: error.place,
                message: error.message,
                help: error.help,
            }),
        }
    }
}

#[derive(Debug)]
struct Compiled(FreeExpression);

impl Expression for Compiled {
    fn value(&self, facts: &[Fact]) -> Result<Fact, String> {
        self.0.value(facts)
    }

    fn holds(&self, facts: &[Fact]) -> Result<bool, String> {
        self.0.holds(facts)
    }
}
