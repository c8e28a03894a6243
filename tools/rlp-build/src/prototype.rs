// SPDX-License-Identifier: GPL-2.0

//! The prototype of a function, and the comparison of two prototypes.
//!
//! A type is reduced to what a caller and a function must agree on. Typedefs and qualifiers are
//! resolved. A structure is known by its name.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Void,
    Integer {
        name: String,
        size: u64,
        signed: bool,
    },
    Float {
        size: u64,
    },
    Pointer(Box<Type>),
    /// A structure or a union.
    Aggregate {
        union: bool,
        name: Option<String>,
        size: u64,
    },
    Enum {
        name: Option<String>,
        size: u64,
    },
    Array(Box<Type>),
    Function(Box<Prototype>),
    /// The debug information does not describe the type.
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prototype {
    pub(crate) returns: Type,
    pub(crate) arguments: Vec<Type>,
    pub(crate) variadic: bool,
}

/// The language of a replacement. It decides how strictly two types are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// Types are compared by name.
    C,
    /// Types have names of their own, so their kinds and sizes are compared.
    Rust,
}

/// The part of a type that decides how a value is passed.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Void,
    Integer(u64),
    Float(u64),
    Pointer,
    Aggregate(u64),
}

impl Kind {
    /// A structure of at most eight bytes, such as `kuid_t`, is passed in a register as an integer.
    /// The Rust type of such a structure may be the integer.
    fn is_passed_like(&self, other: &Self) -> bool {
        let word = |kind: &Self| match kind {
            Self::Integer(size) => Some(*size),
            Self::Aggregate(size) if *size <= 8 => Some(*size),
            Self::Pointer => Some(8),
            _ => None,
        };
        let small = |kind: &Self| matches!(kind, Self::Aggregate(size) if *size <= 8);
        self == other || (small(self) || small(other)) && word(self) == word(other)
    }
}

impl Type {
    fn kind(&self) -> Option<Kind> {
        Some(match self {
            Self::Void => Kind::Void,
            Self::Integer { size, .. } | Self::Enum { size, .. } => Kind::Integer(*size),
            Self::Float { size } => Kind::Float(*size),
            Self::Pointer(_) | Self::Array(_) => Kind::Pointer,
            Self::Aggregate { size, .. } => Kind::Aggregate(*size),
            Self::Function(_) | Self::Unknown => return None,
        })
    }

    pub(crate) fn is_bool(&self) -> bool {
        matches!(self, Self::Integer { name, .. } if name == "_Bool" || name == "bool")
    }

    /// The types agree in C. A pointer to void agrees with every pointer, as in C.
    pub(crate) fn agrees(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) | (Self::Void, Self::Void) => true,
            (
                Self::Integer { name, size, signed },
                Self::Integer {
                    name: other_name,
                    size: other_size,
                    signed: other_signed,
                },
            ) => {
                name == other_name
                    || (size == other_size
                        && signed == other_signed
                        && self.is_bool() == other.is_bool())
            }
            (Self::Float { size }, Self::Float { size: other_size }) => size == other_size,
            (Self::Pointer(to), Self::Pointer(other_to)) => {
                **to == Self::Void || **other_to == Self::Void || to.agrees(other_to)
            }
            (
                Self::Aggregate { union, name, .. },
                Self::Aggregate {
                    union: other_union,
                    name: other_name,
                    ..
                },
            ) => {
                union == other_union
                    && (name == other_name || name.is_none() || other_name.is_none())
            }
            (
                Self::Enum { name, size },
                Self::Enum {
                    name: other_name,
                    size: other_size,
                },
            ) => {
                size == other_size && (name == other_name || name.is_none() || other_name.is_none())
            }
            // An enumeration is passed as an integer of its size.
            (Self::Enum { size, .. }, Self::Integer { size: other, .. })
            | (Self::Integer { size, .. }, Self::Enum { size: other, .. }) => size == other,
            (Self::Array(of), Self::Array(other_of)) => of.agrees(other_of),
            (Self::Function(this), Self::Function(that)) => {
                this.difference(that, Language::C).is_none()
            }
            _ => false,
        }
    }
}

impl Prototype {
    /// How the prototype of a replacement differs from this prototype of the kernel's function.
    pub(crate) fn difference(&self, replacement: &Self, language: Language) -> Option<String> {
        let agrees = |kernel: &Type, patch: &Type| match language {
            Language::C => kernel.agrees(patch),
            Language::Rust => match (kernel.kind(), patch.kind()) {
                (Some(kernel), Some(patch)) => kernel.is_passed_like(&patch),
                _ => true,
            },
        };
        if self.arguments.len() != replacement.arguments.len() {
            return Some(format!(
                "it has {} instead of {}",
                count(replacement.arguments.len()),
                count(self.arguments.len())
            ));
        }
        if self.variadic != replacement.variadic {
            let (with, without) = (
                "it takes more arguments (...)",
                "it does not take more arguments (...)",
            );
            return Some(
                if replacement.variadic { with } else { without }.to_owned()
                    + ", unlike the kernel's function",
            );
        }
        let argument = self
            .arguments
            .iter()
            .zip(&replacement.arguments)
            .position(|(kernel, patch)| !agrees(kernel, patch));
        if let Some(at) = argument {
            return Some(format!(
                "argument {} is `{}` instead of `{}`",
                at + 1,
                replacement.arguments[at],
                self.arguments[at]
            ));
        }
        (!agrees(&self.returns, &replacement.returns)).then(|| {
            format!(
                "it returns `{}` instead of `{}`",
                replacement.returns, self.returns
            )
        })
    }

    /// The declaration in C of a function of this name.
    pub(crate) fn declaration(&self, name: &str) -> String {
        let space = if matches!(self.returns, Type::Pointer(_)) {
            ""
        } else {
            " "
        };
        format!("{}{space}{name}({})", self.returns, self.list())
    }

    fn list(&self) -> String {
        let mut list: Vec<_> = self.arguments.iter().map(Type::to_string).collect();
        if self.variadic {
            list.push("...".into());
        }
        if list.is_empty() {
            list.push("void".into());
        }
        list.join(", ")
    }
}

fn count(arguments: usize) -> String {
    match arguments {
        0 => "no arguments".into(),
        1 => "1 argument".into(),
        n => format!("{n} arguments"),
    }
}

/// The name of an integer as in the kernel's source.
fn spelled(name: &str) -> &str {
    match name {
        "_Bool" => "bool",
        "short int" => "short",
        "short unsigned int" => "unsigned short",
        "long int" => "long",
        "long unsigned int" => "unsigned long",
        "long long int" => "long long",
        "long long unsigned int" => "unsigned long long",
        other => other,
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Void => write!(f, "void"),
            Self::Integer { name, .. } => write!(f, "{}", spelled(name)),
            Self::Float { size } => write!(f, "float of {size} bytes"),
            Self::Pointer(to) => match &**to {
                Self::Function(to) => write!(f, "{} (*)({})", to.returns, to.list()),
                Self::Pointer(_) => write!(f, "{to}*"),
                _ => write!(f, "{to} *"),
            },
            Self::Aggregate { union, name, .. } => {
                let name = name.as_deref().unwrap_or("{...}");
                write!(f, "{} {name}", if *union { "union" } else { "struct" })
            }
            Self::Enum { name, .. } => write!(f, "enum {}", name.as_deref().unwrap_or("{...}")),
            Self::Array(of) => write!(f, "{of}[]"),
            Self::Function(this) => write!(f, "{} ({})", this.returns, this.list()),
            Self::Unknown => write!(f, "?"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int() -> Type {
        Type::Integer {
            name: "int".into(),
            size: 4,
            signed: true,
        }
    }

    fn long() -> Type {
        Type::Integer {
            name: "long unsigned int".into(),
            size: 8,
            signed: false,
        }
    }

    fn pointer(to: Type) -> Type {
        Type::Pointer(Box::new(to))
    }

    fn structure(name: &str) -> Type {
        Type::Aggregate {
            union: false,
            name: Some(name.into()),
            size: 16,
        }
    }

    fn prototype(returns: Type, arguments: &[Type]) -> Prototype {
        Prototype {
            returns,
            arguments: arguments.to_vec(),
            variadic: false,
        }
    }

    #[test]
    fn c_is_compared_by_name() {
        let kernel = prototype(
            int(),
            &[pointer(structure("seq_file")), pointer(Type::Void)],
        );
        let difference =
            |patch: &Prototype| kernel.difference(patch, Language::C).unwrap_or_default();
        assert_eq!(difference(&kernel), "");
        assert_eq!(
            difference(&prototype(
                int(),
                &[pointer(structure("seq_file")), pointer(int())]
            )),
            ""
        );
        assert_eq!(
            difference(&prototype(
                int(),
                &[pointer(structure("file")), pointer(Type::Void)]
            )),
            "argument 1 is `struct file *` instead of `struct seq_file *`"
        );
        assert_eq!(
            difference(&prototype(int(), &[pointer(structure("seq_file")), long()])),
            "argument 2 is `unsigned long` instead of `void *`"
        );
        assert_eq!(
            difference(&prototype(int(), &[pointer(structure("seq_file"))])),
            "it has 1 argument instead of 2 arguments"
        );
        assert_eq!(
            difference(&prototype(long(), &kernel.arguments)),
            "it returns `unsigned long` instead of `int`"
        );
        let mut variadic = kernel.clone();
        variadic.variadic = true;
        assert_eq!(
            difference(&variadic),
            "it takes more arguments (...), unlike the kernel's function"
        );
    }

    #[test]
    fn rust_is_compared_by_kind_and_size() {
        let kernel = prototype(int(), &[pointer(structure("seq_file")), long()]);
        let difference =
            |patch: &Prototype| kernel.difference(patch, Language::Rust).unwrap_or_default();
        let other = Type::Integer {
            name: "u64".into(),
            size: 8,
            signed: false,
        };
        assert_eq!(
            difference(&prototype(
                int(),
                &[pointer(structure("SeqFile")), other.clone()]
            )),
            ""
        );
        assert_eq!(
            difference(&prototype(int(), &[other, pointer(Type::Void)])),
            "argument 1 is `u64` instead of `struct seq_file *`"
        );
        assert_eq!(
            difference(&prototype(int(), &[pointer(Type::Void), int()])),
            "argument 2 is `int` instead of `unsigned long`"
        );
        assert_eq!(
            difference(&prototype(Type::Void, &kernel.arguments)),
            "it returns `void` instead of `int`"
        );
    }

    #[test]
    fn a_small_structure_is_passed_like_an_integer() {
        let small = Type::Aggregate {
            union: false,
            name: Some("kuid_t".into()),
            size: 4,
        };
        let kernel = prototype(Type::Void, &[small]);
        assert_eq!(
            kernel.difference(&prototype(Type::Void, &[int()]), Language::Rust),
            None
        );
        assert!(kernel
            .difference(&prototype(Type::Void, &[long()]), Language::Rust)
            .is_some());
        let large = prototype(Type::Void, &[structure("large")]);
        assert!(large
            .difference(&prototype(Type::Void, &[long()]), Language::Rust)
            .is_some());
    }

    #[test]
    fn a_pointer_to_a_function_is_compared() {
        let callback = |argument| {
            prototype(
                Type::Void,
                &[pointer(Type::Function(Box::new(prototype(
                    int(),
                    &[argument],
                ))))],
            )
        };
        let (kernel, patch) = (callback(int()), callback(long()));
        assert_eq!(kernel.difference(&kernel, Language::C), None);
        assert_eq!(
            kernel.difference(&patch, Language::C).as_deref(),
            Some("argument 1 is `int (*)(unsigned long)` instead of `int (*)(int)`")
        );
    }

    #[test]
    fn a_declaration_is_that_of_c() {
        let kernel = prototype(
            pointer(structure("file")),
            &[pointer(pointer(Type::Void)), int()],
        );
        assert_eq!(kernel.declaration("f"), "struct file *f(void **, int)");
        assert_eq!(prototype(int(), &[]).declaration("g"), "int g(void)");
    }
}
