// SPDX-License-Identifier: GPL-2.0

//! Finds the mutants of a file.
//!
//! The compiler's tokens have neither comments nor the text of other tokens, so no change is in a
//! comment or in a string that is not meant. Attributes, types, tests and assertions are passed
//! over, and so are the texts of messages: the documents have these, and `make check` compares.

use crate::{
    bounds,
    conditions,
    literals,
    mutant::{
        Kind,
        Mutant, //
    },
    results,
    statements, //
};
use proc_macro2::Span;
use std::mem;
use syn::{
    punctuated::Punctuated,
    spanned::Spanned,
    visit::{
        self,
        Visit, //
    },
    Attribute,
    Block,
    Expr,
    Macro,
    Signature,
    Token,
    Type, //
};

/// Returns the mutants of the file with this text, in the order of the text.
pub(crate) fn mutants(file: &str, source: &str) -> syn::Result<Vec<Mutant>> {
    let mut collector = Collector {
        file,
        source,
        path: Vec::new(),
        must_diverge: false,
        found: Vec::new(),
    };
    collector.visit_file(&syn::parse_file(source)?);
    let mut found = collector.found;
    found.sort_by_key(|mutant| (mutant.range.start, mutant.range.end, mutant.kind));
    number(&mut found);
    Ok(found)
}

/// Numbers the mutants of one kind that begin at the same place.
fn number(mutants: &mut [Mutant]) {
    for at in 1..mutants.len() {
        let (before, rest) = mutants.split_at_mut(at);
        let mutant = &mut rest[0];
        let same = before
            .iter()
            .rev()
            .take_while(|other| other.range.start == mutant.range.start)
            .find(|other| other.kind == mutant.kind);
        mutant.variant = same.map_or(1, |other| other.variant + 1);
    }
}

/// Collects the mutants of a file.
pub(crate) struct Collector<'a> {
    file: &'a str,
    source: &'a str,
    /// The types, functions and constants around the current place.
    path: Vec<String>,
    /// The next block has to end in a jump: it is the `else` of a `let`.
    must_diverge: bool,
    found: Vec<Mutant>,
}

impl Collector<'_> {
    /// Adds the mutant that has `after` in place of the code of `span`.
    pub(crate) fn add(&mut self, kind: Kind, span: Span, after: impl Into<String>) {
        let range = span.byte_range();
        let start = span.start();
        self.found.push(Mutant {
            file: self.file.to_owned(),
            kind,
            line: start.line,
            column: start.column + 1,
            variant: 1,
            function: self.path.join("::"),
            before: self.source[range.clone()].to_owned(),
            range,
            after: after.into(),
        });
    }

    /// Returns the code of `span`.
    pub(crate) fn code(&self, span: Span) -> &str {
        &self.source[span.byte_range()]
    }

    /// Visits what is inside of `name`.
    fn inside(&mut self, name: String, visit: impl FnOnce(&mut Self)) {
        self.path.push(name);
        visit(self);
        self.path.pop();
    }

    fn function(&mut self, attributes: &[Attribute], signature: &Signature, block: &Block) {
        if !is_test(attributes) {
            self.inside(signature.ident.to_string(), |this| {
                results::of_function(this, &signature.output, block);
                this.visit_block(block);
            });
        }
    }

    /// Visits the arguments of a macro that takes expressions.
    fn arguments(&mut self, call: &Macro) {
        let arguments = call.parse_body_with(Punctuated::<Expr, Token![,]>::parse_terminated);
        for argument in arguments.iter().flatten() {
            self.visit_expr(argument);
        }
    }
}

/// Whether an item exists only in tests.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg")
                && attribute
                    .parse_args::<syn::Ident>()
                    .is_ok_and(|name| name == "test"))
    })
}

/// Returns the last name of a type's path.
fn name_of(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        Type::Reference(reference) => Some(name_of(&reference.elem)),
        _ => None,
    }
    .unwrap_or_else(|| "_".to_owned())
}

/// The name of a macro.
fn macro_name(call: &Macro) -> String {
    call.path
        .segments
        .last()
        .map_or_else(String::new, |last| last.ident.to_string())
}

/// Whether a macro asserts something, or logs only for those who debug the loader.
pub(crate) fn is_for_debugging(call: &Macro) -> bool {
    let name = macro_name(call);
    name.contains("assert") || matches!(&*name, "debug" | "pr_debug" | "unreachable")
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_attribute(&mut self, _: &'ast Attribute) {}

    fn visit_type(&mut self, _: &'ast Type) {}

    fn visit_generic_argument(&mut self, _: &'ast syn::GenericArgument) {}

    fn visit_generics(&mut self, _: &'ast syn::Generics) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    // `macro_rules!` and macros that make items: their parts are no expressions.
    fn visit_item_macro(&mut self, _: &'ast syn::ItemMacro) {}

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if !is_test(&item.attrs) {
            self.inside(name_of(&item.self_ty), |this| {
                visit::visit_item_impl(this, item);
            });
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.inside(item.ident.to_string(), |this| {
            visit::visit_item_trait(this, item);
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(&item.attrs, &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.function(&item.attrs, &item.sig, block);
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.inside(item.ident.to_string(), |this| {
            visit::visit_item_const(this, item);
        });
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.inside(item.ident.to_string(), |this| {
            visit::visit_impl_item_const(this, item);
        });
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.inside(item.ident.to_string(), |this| {
            visit::visit_item_static(this, item);
        });
    }

    fn visit_block(&mut self, block: &'ast Block) {
        let must_diverge = mem::take(&mut self.must_diverge);
        statements::of_block(self, block, must_diverge);
        visit::visit_block(self, block);
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        let Some(init) = &local.init else { return };
        self.visit_expr(&init.expr);
        if let Some((_, otherwise)) = &init.diverge {
            self.must_diverge = true;
            self.visit_expr(otherwise);
            self.must_diverge = false;
        }
    }

    fn visit_expr_if(&mut self, expr: &'ast syn::ExprIf) {
        conditions::turned(self, &expr.cond);
        visit::visit_expr_if(self, expr);
    }

    fn visit_expr_while(&mut self, expr: &'ast syn::ExprWhile) {
        conditions::turned(self, &expr.cond);
        visit::visit_expr_while(self, expr);
    }

    fn visit_expr_match(&mut self, expr: &'ast syn::ExprMatch) {
        conditions::of_match(self, expr);
        visit::visit_expr_match(self, expr);
    }

    fn visit_expr_unary(&mut self, expr: &'ast syn::ExprUnary) {
        conditions::of_unary(self, expr);
        visit::visit_expr_unary(self, expr);
    }

    fn visit_expr_binary(&mut self, expr: &'ast syn::ExprBinary) {
        conditions::of_operator(self, &expr.op);
        bounds::of_operator(self, &expr.op);
        visit::visit_expr_binary(self, expr);
    }

    fn visit_expr_range(&mut self, expr: &'ast syn::ExprRange) {
        bounds::of_range(self, expr);
        visit::visit_expr_range(self, expr);
    }

    fn visit_expr_method_call(&mut self, expr: &'ast syn::ExprMethodCall) {
        // The text is that of a panic.
        if expr.method != "expect" {
            conditions::of_method(self, &expr.method);
            bounds::of_method(self, &expr.method);
            results::of_method(self, expr);
            visit::visit_expr_method_call(self, expr);
        } else {
            self.visit_expr(&expr.receiver);
        }
    }

    fn visit_expr_call(&mut self, expr: &'ast syn::ExprCall) {
        results::of_call(self, expr);
        visit::visit_expr_call(self, expr);
    }

    fn visit_lit(&mut self, literal: &'ast syn::Lit) {
        bounds::of_literal(self, literal);
        literals::of_literal(self, literal);
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        match &*macro_name(call) {
            "matches" => {
                let after = format!("!{}", self.code(call.span()));
                self.add(Kind::Condition, call.span(), after);
            }
            "fmt" => self.arguments(call),
            _ => {}
        }
    }
}
