// SPDX-License-Identifier: GPL-2.0

//! BTF: the types of a kernel or of a module, as the file itself describes them.
//! Documentation/bpf/btf.rst of the kernel describes the format.

use crate::prototype::{
    Prototype,
    Type, //
};
use crate::refusal::{
    tool_failure,
    Result, //
};
use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;

/// How deep types may refer to types. Only damaged BTF is deeper.
const DEPTH: usize = 64;

/// The part of a type that this program needs. One entry may stand for several of the kinds in
/// btf.rst.
#[derive(Debug, Clone)]
enum Entry {
    Int {
        size: u64,
        signed: bool,
    },
    Float {
        size: u64,
    },
    Pointer(u32),
    Array(u32),
    Aggregate {
        union: bool,
        size: u64,
    },
    Enum {
        size: u64,
    },
    /// A typedef. A structure without a name gets the name of its typedef.
    Typedef(u32),
    /// A qualifier or a tag.
    Qualifier(u32),
    Function(u32),
    Prototype {
        returns: u32,
        arguments: Vec<u32>,
    },
    /// A variable, a section or a tag of a declaration.
    Other,
}

#[derive(Debug)]
struct Named {
    name: String,
    entry: Entry,
}

/// The types of an object. Those of a module continue the types of the kernel.
#[derive(Debug)]
pub(crate) struct Btf<'a> {
    base: Option<&'a Btf<'a>>,
    /// The number of the first type. The types are numbered after those of the base.
    first: usize,
    types: Vec<Named>,
    strings: Vec<u8>,
    /// The functions by name; none if prototypes of the same name differ.
    functions: HashMap<String, Option<usize>>,
}

impl<'a> Btf<'a> {
    pub(crate) fn parse(data: &[u8], base: Option<&'a Btf<'a>>) -> Result<Self> {
        Self::read(data, base).ok_or_else(|| tool_failure("the BTF cannot be read"))
    }

    fn read(data: &[u8], base: Option<&'a Btf<'a>>) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?));
        if data.get(..2)? != MAGIC.to_le_bytes() {
            return None;
        }
        let header = word(4)? as usize;
        let part = |offset: usize, len: usize| {
            let start = header.checked_add(offset)?;
            data.get(start..start.checked_add(len)?)
        };
        let types = part(word(8)? as usize, word(12)? as usize)?;
        let strings = part(word(16)? as usize, word(20)? as usize)?.to_vec();

        let mut this = Self {
            base,
            // Type 0 is void.
            first: base.map_or(1, |base| base.first + base.types.len()),
            types: Vec::new(),
            strings,
            functions: HashMap::new(),
        };
        let word = |at: usize| Some(u32::from_le_bytes(types.get(at..at + 4)?.try_into().ok()?));
        let mut at = 0;
        while at < types.len() {
            let (name, info, size) = (word(at)?, word(at + 4)?, word(at + 8)?);
            let (members, flag) = ((info & 0xffff) as usize, info >> 31 != 0);
            at += 12;
            let (entry, rest) = match (info >> 24) & 0x1f {
                1 => {
                    let signed = (word(at)? >> 24) & 1 != 0;
                    let size = u64::from(size);
                    (Entry::Int { size, signed }, 4)
                }
                2 => (Entry::Pointer(size), 0),
                3 => (Entry::Array(word(at)?), 12),
                kind @ (4 | 5) => {
                    let (union, size) = (kind == 5, u64::from(size));
                    (Entry::Aggregate { union, size }, 12 * members)
                }
                6 => (
                    Entry::Enum {
                        size: u64::from(size),
                    },
                    8 * members,
                ),
                // A forward declaration.
                7 => (
                    Entry::Aggregate {
                        union: flag,
                        size: 0,
                    },
                    0,
                ),
                8 => (Entry::Typedef(size), 0),
                9..=11 | 18 => (Entry::Qualifier(size), 0),
                12 => (Entry::Function(size), 0),
                13 => {
                    let arguments = (0..members).map(|n| word(at + 8 * n + 4));
                    let arguments = arguments.collect::<Option<_>>()?;
                    let returns = size;
                    (Entry::Prototype { returns, arguments }, 8 * members)
                }
                14 | 17 => (Entry::Other, 4),
                15 => (Entry::Other, 12 * members),
                16 => (
                    Entry::Float {
                        size: u64::from(size),
                    },
                    0,
                ),
                19 => (
                    Entry::Enum {
                        size: u64::from(size),
                    },
                    12 * members,
                ),
                _ => return None,
            };
            at += rest;
            let name = this.string(name as usize)?;
            this.types.push(Named { name, entry });
        }
        this.collect_functions();
        Some(this)
    }

    fn collect_functions(&mut self) {
        let mut functions: HashMap<String, Option<usize>> = HashMap::new();
        for (index, named) in self.types.iter().enumerate() {
            if !matches!(named.entry, Entry::Function(_)) {
                continue;
            }
            let id = self.first + index;
            let same = functions.get(&named.name).is_none_or(|other| {
                other.is_some_and(|other| self.prototype_of(other) == self.prototype_of(id))
            });
            functions.insert(named.name.clone(), same.then_some(id));
        }
        self.functions = functions;
    }

    /// A string; its offset counts from the beginning of the base's strings.
    fn string(&self, offset: usize) -> Option<String> {
        let bytes = match self.base {
            Some(base) if offset < base.strings.len() => return base.string(offset),
            Some(base) => self.strings.get(offset - base.strings.len()..)?,
            None => self.strings.get(offset..)?,
        };
        let end = bytes.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    fn named(&self, id: usize) -> Option<&Named> {
        match self.base {
            Some(base) if id < self.first => base.named(id),
            _ => self.types.get(id.checked_sub(self.first)?),
        }
    }

    /// The prototype of the function of this name. `None` if there is no such function, or if
    /// several functions of this name have different prototypes.
    pub(crate) fn function(&self, name: &str) -> Option<Prototype> {
        self.prototype_of((*self.functions.get(name)?)?)
    }

    /// The size of a structure.
    pub(crate) fn size_of(&self, structure: &str) -> Option<u64> {
        let own = self.types.iter().find_map(|named| match named.entry {
            Entry::Aggregate { union: false, size } if size != 0 && named.name == structure => {
                Some(size)
            }
            _ => None,
        });
        own.or_else(|| self.base?.size_of(structure))
    }

    fn prototype_of(&self, function: usize) -> Option<Prototype> {
        let Entry::Function(prototype) = self.named(function)?.entry else {
            return None;
        };
        self.prototype(prototype as usize, 0)
    }

    fn prototype(&self, id: usize, depth: usize) -> Option<Prototype> {
        let Entry::Prototype { returns, arguments } = &self.named(id)?.entry else {
            return None;
        };
        // Type 0 as the last argument stands for "...".
        let variadic = arguments.last() == Some(&0);
        let fixed = &arguments[..arguments.len() - usize::from(variadic)];
        Some(Prototype {
            returns: self.resolve(*returns, depth),
            arguments: fixed.iter().map(|id| self.resolve(*id, depth)).collect(),
            variadic,
        })
    }

    fn resolve(&self, id: u32, depth: usize) -> Type {
        if id == 0 {
            return Type::Void;
        }
        let Some(Named { name, entry }) = self.named(id as usize).filter(|_| depth < DEPTH) else {
            return Type::Unknown;
        };
        let own_name = || (!name.is_empty()).then(|| name.clone());
        match entry {
            Entry::Int { size, signed } => Type::Integer {
                name: name.clone(),
                size: *size,
                signed: *signed,
            },
            Entry::Float { size } => Type::Float { size: *size },
            Entry::Pointer(to) => Type::Pointer(Box::new(self.resolve(*to, depth + 1))),
            Entry::Array(of) => Type::Array(Box::new(self.resolve(*of, depth + 1))),
            Entry::Aggregate { union, size } => Type::Aggregate {
                union: *union,
                name: own_name(),
                size: *size,
            },
            Entry::Enum { size } => Type::Enum {
                name: own_name(),
                size: *size,
            },
            Entry::Typedef(to) => match self.resolve(*to, depth + 1) {
                Type::Aggregate {
                    union,
                    name: None,
                    size,
                } => Type::Aggregate {
                    union,
                    name: own_name(),
                    size,
                },
                other => other,
            },
            Entry::Qualifier(to) => self.resolve(*to, depth + 1),
            Entry::Prototype { .. } => self
                .prototype(id as usize, depth + 1)
                .map_or(Type::Unknown, |this| Type::Function(Box::new(this))),
            Entry::Function(_) | Entry::Other => Type::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BTF of these types, each a name, the info, the size or type, and more words.
    fn btf(types: &[(u32, u32, u32, &[u32])], strings: &str) -> Vec<u8> {
        let mut words = Vec::new();
        for (name, info, size, rest) in types {
            words.extend([*name, *info, *size]);
            words.extend_from_slice(rest);
        }
        let len = 4 * words.len() as u32;
        let mut data = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, len, len, strings.len() as u32].iter().chain(&words) {
            data.extend(u32::to_le_bytes(*word));
        }
        data.extend(strings.as_bytes());
        data
    }

    const INT: u32 = 1 << 24;
    const PTR: u32 = 2 << 24;
    const STRUCT: u32 = 4 << 24;
    const CONST: u32 = 10 << 24;
    const FUNC: u32 = 12 << 24;
    const PROTO: u32 = 13 << 24;

    /// struct file; int f(const struct file *, ...);
    fn kernel() -> Vec<u8> {
        btf(
            &[
                (1, INT, 4, &[(1 << 24) | 32]),
                (5, STRUCT, 64, &[]),
                (0, CONST, 2, &[]),
                (0, PTR, 3, &[]),
                (0, PROTO | 2, 1, &[0, 4, 0, 0]),
                (10, FUNC, 5, &[]),
            ],
            "\0int\0file\0f\0",
        )
    }

    #[test]
    fn a_function_has_a_prototype() {
        let kernel = Btf::parse(&kernel(), None).unwrap();
        let f = kernel.function("f").unwrap();
        assert_eq!(f.declaration("f"), "int f(struct file *, ...)");
        assert_eq!(kernel.function("g"), None);
        assert_eq!(kernel.size_of("file"), Some(64));
    }

    #[test]
    fn a_module_continues_the_kernel() {
        let kernel = Btf::parse(&kernel(), None).unwrap();
        // int *g(int *, struct file); h has two prototypes
        let module = btf(
            &[
                (0, PTR, 1, &[]),
                (0, PROTO | 2, 7, &[0, 7, 0, 2]),
                (13, FUNC, 8, &[]),
                (15, FUNC, 8, &[]),
                (15, FUNC, 5, &[]),
            ],
            "\0g\0h\0",
        );
        let module = Btf::parse(&module, Some(&kernel)).unwrap();
        let g = module.function("g").unwrap();
        assert_eq!(g.declaration("g"), "int *g(int *, struct file)");
        assert_eq!(module.function("h"), None);
        assert_eq!(module.size_of("file"), Some(64));
    }

    #[test]
    fn damaged_btf_is_refused() {
        let good = kernel();
        assert!(Btf::parse(&good[..good.len() - 4], None).is_err());
        assert!(Btf::parse(&[0; 64], None).is_err());
        // A pointer to itself.
        let looping = btf(
            &[
                (0, PTR, 1, &[]),
                (0, PROTO | 1, 0, &[0, 1]),
                (1, FUNC, 2, &[]),
            ],
            "\0f\0",
        );
        assert!(Btf::parse(&looping, None).unwrap().function("f").is_some());
    }
}
