// SPDX-License-Identifier: GPL-2.0

//! Conditions that are turned.

use crate::{
    collect::Collector,
    mutant::Kind, //
};
use syn::{
    spanned::Spanned,
    BinOp,
    Expr,
    ExprMatch,
    ExprUnary,
    Ident,
    Pat,
    UnOp, //
};

/// Turns the condition of an `if` or a `while`. A condition whose outermost operator is turned by
/// another mutant is passed over, and so is a pattern.
pub(crate) fn turned(collector: &mut Collector<'_>, condition: &Expr) {
    let by_another = match condition {
        Expr::Let(_) | Expr::Macro(_) => true,
        Expr::Unary(unary) => matches!(unary.op, UnOp::Not(_)),
        Expr::Binary(binary) => matches!(binary.op, BinOp::Eq(_) | BinOp::Ne(_)),
        Expr::MethodCall(call) => twin(&call.method.to_string()).is_some(),
        _ => false,
    };
    if !by_another {
        let after = format!("!({})", collector.code(condition.span()));
        collector.add(Kind::Condition, condition.span(), after);
    }
}

/// Leaves out a `!`.
pub(crate) fn of_unary(collector: &mut Collector<'_>, expr: &ExprUnary) {
    if let UnOp::Not(not) = expr.op {
        collector.add(Kind::Condition, not.span(), "");
    }
}

/// Replaces an operator by its opposite.
pub(crate) fn of_operator(collector: &mut Collector<'_>, operator: &BinOp) {
    let after = match operator {
        BinOp::And(_) => "||",
        BinOp::Or(_) => "&&",
        BinOp::Eq(_) => "!=",
        BinOp::Ne(_) => "==",
        _ => return,
    };
    collector.add(Kind::Condition, operator.span(), after);
}

/// Replaces a method by its opposite.
pub(crate) fn of_method(collector: &mut Collector<'_>, method: &Ident) {
    if let Some(after) = twin(&method.to_string()) {
        collector.add(Kind::Condition, method.span(), after);
    }
}

fn twin(method: &str) -> Option<&'static str> {
    Some(match method {
        "is_some" => "is_none",
        "is_none" => "is_some",
        "is_ok" => "is_err",
        "is_err" => "is_ok",
        "any" => "all",
        "all" => "any",
        _ => return None,
    })
}

/// Turns the guards of a `match`, and leaves out arms if another arm takes each value.
pub(crate) fn of_match(collector: &mut Collector<'_>, expr: &ExprMatch) {
    let rest = expr
        .arms
        .iter()
        .position(|arm| matches!(arm.pat, Pat::Wild(_)) && arm.guard.is_none());
    for (at, arm) in expr.arms.iter().enumerate() {
        match &arm.guard {
            Some((_, guard)) => turned(collector, guard),
            None if rest.is_some_and(|rest| at < rest) => {
                collector.add(Kind::Condition, arm.span(), "");
            }
            None => {}
        }
    }
}
