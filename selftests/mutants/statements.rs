// SPDX-License-Identifier: GPL-2.0

//! Statements that are left out.

use crate::{
    collect::{
        is_for_debugging,
        Collector, //
    },
    mutant::Kind, //
};
use syn::{
    spanned::Spanned,
    BinOp,
    Block,
    Expr,
    Local,
    Pat,
    Stmt, //
};

/// Leaves out each statement of a block in its turn. The last one stays if the block has to end in
/// a jump.
pub(crate) fn of_block(collector: &mut Collector<'_>, block: &Block, must_diverge: bool) {
    let optional = block.stmts.len() - usize::from(must_diverge && !block.stmts.is_empty());
    for statement in &block.stmts[..optional] {
        if can_be_left_out(statement) {
            collector.add(Kind::Statement, statement.span(), "");
        }
    }
}

fn can_be_left_out(statement: &Stmt) -> bool {
    match statement {
        Stmt::Local(local) => is_unnamed(local),
        Stmt::Expr(expr, Some(_)) => has_an_effect(expr),
        Stmt::Macro(call) => call.semi_token.is_some() && !is_for_debugging(&call.mac),
        Stmt::Expr(_, None) | Stmt::Item(_) => false,
    }
}

/// Whether a variable is only there to be dropped at the end of its block, such as a guard.
fn is_unnamed(local: &Local) -> bool {
    match &local.pat {
        Pat::Ident(name) => name.ident.to_string().starts_with('_'),
        Pat::Wild(_) => true,
        _ => false,
    }
}

fn has_an_effect(expr: &Expr) -> bool {
    match expr {
        Expr::Binary(binary) => is_assignment(&binary.op),
        Expr::Macro(call) => !is_for_debugging(&call.mac),
        Expr::Assign(_)
        | Expr::Break(_)
        | Expr::Call(_)
        | Expr::Continue(_)
        | Expr::MethodCall(_)
        | Expr::Return(_)
        | Expr::Try(_)
        | Expr::Unsafe(_) => true,
        _ => false,
    }
}

fn is_assignment(operator: &BinOp) -> bool {
    matches!(
        operator,
        BinOp::AddAssign(_) | BinOp::SubAssign(_) | BinOp::BitAndAssign(_) | BinOp::BitOrAssign(_)
    )
}
