// SPDX-License-Identifier: GPL-2.0

//! Bounds that are moved by one, and arithmetic that is turned.

use crate::{
    collect::Collector,
    mutant::Kind, //
};
use syn::{
    spanned::Spanned,
    BinOp,
    ExprRange,
    Ident,
    Lit,
    RangeLimits, //
};

/// Moves the bound of a comparison, or replaces an operator by its opposite.
pub(crate) fn of_operator(collector: &mut Collector<'_>, operator: &BinOp) {
    let after = match operator {
        BinOp::Lt(_) => "<=",
        BinOp::Le(_) => "<",
        BinOp::Gt(_) => ">=",
        BinOp::Ge(_) => ">",
        BinOp::Add(_) => "-",
        BinOp::Sub(_) => "+",
        BinOp::Mul(_) => "/",
        BinOp::Div(_) | BinOp::Rem(_) => "*",
        BinOp::Shl(_) => ">>",
        BinOp::Shr(_) => "<<",
        BinOp::BitAnd(_) => "|",
        BinOp::BitOr(_) | BinOp::BitXor(_) => "&",
        BinOp::AddAssign(_) => "-=",
        BinOp::SubAssign(_) => "+=",
        BinOp::BitAndAssign(_) => "|=",
        BinOp::BitOrAssign(_) => "&=",
        _ => return,
    };
    collector.add(Kind::Bound, operator.span(), after);
}

/// Replaces a method by its opposite.
pub(crate) fn of_method(collector: &mut Collector<'_>, method: &Ident) {
    let after = match &*method.to_string() {
        "saturating_add" => "saturating_sub",
        "saturating_sub" => "saturating_add",
        "wrapping_add" => "wrapping_sub",
        "wrapping_sub" => "wrapping_add",
        "checked_add" => "checked_sub",
        "checked_sub" => "checked_add",
        "first" => "last",
        "last" => "first",
        "find" => "rfind",
        "rfind" => "find",
        "min" => "max",
        "max" => "min",
        _ => return,
    };
    collector.add(Kind::Bound, method.span(), after);
}

/// Moves the end of a range.
pub(crate) fn of_range(collector: &mut Collector<'_>, range: &ExprRange) {
    if range.end.is_some() {
        let after = match range.limits {
            RangeLimits::HalfOpen(_) => "..=",
            RangeLimits::Closed(_) => "..",
        };
        collector.add(Kind::Bound, range.limits.span(), after);
    }
}

/// Moves a number by one.
pub(crate) fn of_literal(collector: &mut Collector<'_>, literal: &Lit) {
    if let Lit::Int(number) = literal {
        if let Ok(value) = number.base10_parse::<u64>() {
            let after = format!("{}{}", value.wrapping_add(1), number.suffix());
            collector.add(Kind::Bound, number.span(), after);
        }
    }
}
