// SPDX-License-Identifier: GPL-2.0

//! Results of functions that are replaced, and errors.

use crate::{
    collect::Collector,
    mutant::Kind, //
};
use syn::{
    spanned::Spanned,
    Block,
    Expr,
    ExprCall,
    ExprMethodCall,
    GenericArgument,
    PathArguments,
    PathSegment,
    ReturnType,
    Stmt,
    Type, //
};

/// Replaces the body of a function by each result that its type suggests.
pub(crate) fn of_function(collector: &mut Collector<'_>, output: &ReturnType, block: &Block) {
    // Another mutant changes a literal.
    if matches!(&*block.stmts, [] | [Stmt::Expr(Expr::Lit(_), None)]) {
        return;
    }
    for result in results(output, block) {
        if collector.code(block.span()) != result {
            collector.add(Kind::Result, block.span(), result);
        }
    }
}

fn results(output: &ReturnType, block: &Block) -> Vec<String> {
    match output {
        // A statement alone is left out by another mutant.
        ReturnType::Default
            if matches!(&*block.stmts, [Stmt::Expr(_, Some(_)) | Stmt::Macro(_)]) =>
        {
            Vec::new()
        }
        ReturnType::Default => vec!["{}".to_owned()],
        ReturnType::Type(_, result) => values(result)
            .iter()
            .map(|value| format!("{{ {value} }}"))
            .collect(),
    }
}

/// Returns expressions that have this type.
fn values(of: &Type) -> Vec<String> {
    match of {
        Type::Path(path) => path
            .path
            .segments
            .last()
            .map_or_else(Vec::new, values_of_path),
        Type::Tuple(tuple) if tuple.elems.is_empty() => vec!["()".to_owned()],
        Type::Reference(reference) if matches!(*reference.elem, Type::Slice(_)) => {
            vec![format!(
                "&{}[]",
                if reference.mutability.is_some() {
                    "mut "
                } else {
                    ""
                }
            )]
        }
        _ => Vec::new(),
    }
}

fn values_of_path(last: &PathSegment) -> Vec<String> {
    match &*last.ident.to_string() {
        "bool" => vec!["false".to_owned(), "true".to_owned()],
        "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "isize" | "c_int" | "c_uint"
        | "c_long" | "c_ulong" => vec!["0".to_owned(), "1".to_owned()],
        "Option" => vec!["None".to_owned()],
        "Result" => match &last.arguments {
            PathArguments::AngleBracketed(arguments) => match arguments.args.first() {
                Some(GenericArgument::Type(value)) => values(value)
                    .iter()
                    .map(|value| format!("Ok({value})"))
                    .collect(),
                _ => Vec::new(),
            },
            _ => vec!["Ok(())".to_owned()],
        },
        _ => Vec::new(),
    }
}

/// Replaces the error in `Err(ERROR)`.
pub(crate) fn of_call(collector: &mut Collector<'_>, call: &ExprCall) {
    if is_name(&call.func, "Err") {
        call.args
            .iter()
            .for_each(|error| of_error(collector, error));
    }
}

/// Replaces the error in `.ok_or(ERROR)`.
pub(crate) fn of_method(collector: &mut Collector<'_>, call: &ExprMethodCall) {
    if call.method == "ok_or" {
        call.args
            .iter()
            .for_each(|error| of_error(collector, error));
    }
}

fn of_error(collector: &mut Collector<'_>, error: &Expr) {
    let name = collector.code(error.span());
    let is_error = name.starts_with('E') && name.chars().all(|c| c.is_ascii_uppercase());
    if is_error {
        let after = if name == "EINVAL" { "EBUSY" } else { "EINVAL" };
        collector.add(Kind::Result, error.span(), after);
    }
}

fn is_name(expr: &Expr, name: &str) -> bool {
    matches!(expr, Expr::Path(path) if path.path.is_ident(name))
}
