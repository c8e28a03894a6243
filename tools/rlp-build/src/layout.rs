// SPDX-License-Identifier: GPL-2.0

//! Compares the layout of a unit's structures, unions and variables before and after the patch.
//!
//! Objects that exist when the patch is loaded have the old layout. A patch that moves a member,
//! or changes a size, would misread them. `Documentation/source-patches.rst` says what is compared.

use crate::elf::Elf;
use crate::prototype::Type;
use crate::refusal::Result;
use crate::structures::{
    layouts,
    Key,
    Kind,
    Layout,
    Layouts,
    Member,
    Place,
    Sort, //
};

/// Objects that exist already, and how the patch changes their layout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// "objects of struct x exist already"
    pub(crate) objects: String,
    pub(crate) detail: String,
}

/// The first structure or variable whose layout differs.
pub(crate) fn change(before: &Elf, after: &Elf) -> Result<Option<Change>> {
    let comparison = Comparison {
        before: layouts(before)?,
        after: layouts(after)?,
    };
    Ok(comparison.first())
}

struct Comparison {
    before: Layouts,
    after: Layouts,
}

impl Comparison {
    fn first(&self) -> Option<Change> {
        self.before.iter().find_map(|(key, olds)| {
            let news = self.after.get(key)?;
            let (old, detail) = olds.iter().find_map(|old| {
                let mut details = Vec::new();
                for new in news {
                    details.push(self.difference(key, old, new)?);
                }
                Some((old, details.into_iter().next()?))
            })?;
            Some(Change {
                objects: objects(key, old),
                detail,
            })
        })
    }

    fn difference(&self, key: &Key, old: &Layout, new: &Layout) -> Option<String> {
        let label = |member: &Member| match key.sort {
            Sort::Variable => member.place.name.clone(),
            _ => format!("member {}", member.place.name),
        };
        let namesake = |member: &Member, others: &[Member]| {
            let mut others = others.iter();
            others
                .find(|other| other.place.name == member.place.name)
                .cloned()
        };
        let changed = old.members.iter().find_map(|member| {
            let detail = match namesake(member, &new.members) {
                None => "is gone".to_owned(),
                Some(other) => moved(&member.place, &other.place)
                    .or_else(|| self.other_kind(&member.kind, &other.kind))?,
            };
            Some(format!("{} {detail}", label(member)))
        });
        let added = || {
            let mut members = new.members.iter();
            let member = members.find(|member| namesake(member, &old.members).is_none())?;
            Some(format!("{} is new", label(member)))
        };
        let grown = || {
            (old.size != new.size).then(|| format!("{} bytes instead of {}", new.size, old.size))
        };
        changed.or_else(added).or_else(grown)
    }

    /// How the type of a member differs, if existing objects depend on the difference.
    fn other_kind(&self, old: &Kind, new: &Kind) -> Option<String> {
        if self.same_kind(old, new) {
            return None;
        }
        if let Some(detail) = changed_value(old, new) {
            return Some(detail);
        }
        let (old, new) = (text(old), text(new));
        Some(if old == new {
            format!("has another type of the name {new}")
        } else {
            format!("is {new} instead of {old}")
        })
    }

    /// An object of the first type can be used as an object of the second type.
    fn same_kind(&self, old: &Kind, new: &Kind) -> bool {
        match (old, new) {
            // A structure that has a name is compared by itself.
            (Kind::Structure(old), Kind::Structure(new)) if old == new => true,
            (Kind::Unnamed, Kind::Unnamed) => true,
            (Kind::Array(old_count, old), Kind::Array(count, new)) => {
                old_count == count && self.same_kind(old, new)
            }
            (Kind::Enum(old_type, _), Kind::Enum(new_type, _)) => {
                old_type.agrees(new_type) && changed_value(old, new).is_none()
            }
            (Kind::Structure(_), _) | (_, Kind::Structure(_)) => {
                let (olds, news) = (parts(&self.before, old), parts(&self.after, new));
                olds.len() == news.len()
                    && olds.iter().zip(&news).all(|(old, new)| {
                        (old.at, old.width) == (new.at, new.width)
                            && self.same_kind(&old.kind, &new.kind)
                    })
            }
            (Kind::Enum(old, _) | Kind::Other(old), Kind::Enum(new, _) | Kind::Other(new)) => {
                same_scalar(old, new)
            }
            _ => false,
        }
    }
}

/// The signs of integers are not compared: the bytes are the same.
fn same_scalar(old: &Type, new: &Type) -> bool {
    match (old, new) {
        (Type::Integer { size, .. }, Type::Integer { size: other, .. }) => {
            size == other && old.is_bool() == new.is_bool()
        }
        _ => old.agrees(new),
    }
}

/// A part of an object that is not a structure with a name.
struct Part {
    at: u64,
    /// The width of a bit-field.
    width: Option<u64>,
    kind: Kind,
}

/// The parts of an object of this type, in the order of their places.
fn parts(layouts: &Layouts, kind: &Kind) -> Vec<Part> {
    let mut list = Vec::new();
    add_parts(layouts, 0, None, kind, &mut list);
    list.sort_by_key(|part| (part.at, part.width));
    list
}

fn add_parts(layouts: &Layouts, at: u64, width: Option<u64>, kind: &Kind, list: &mut Vec<Part>) {
    let layout = match kind {
        Kind::Structure(key) => layouts.get(key).and_then(|layouts| layouts.first()),
        _ => None,
    };
    let Some(layout) = layout else {
        let kind = match kind {
            Kind::Structure(_) => Kind::Unnamed,
            kind => kind.clone(),
        };
        list.push(Part { at, width, kind });
        return;
    };
    for Member { place, kind } in &layout.members {
        // The members of a structure without a name are in the list themselves.
        if !matches!(kind, Kind::Unnamed) {
            let width = place.is_bit_field.then_some(place.bits);
            add_parts(layouts, at + place.at, width, kind, list);
        }
    }
}

/// How a member has moved, or how its size has changed.
fn moved(old: &Place, new: &Place) -> Option<String> {
    let is_bit_field = old.is_bit_field || new.is_bit_field;
    let (unit, size) = if is_bit_field {
        ("bits", 1)
    } else {
        ("bytes", 8)
    };
    if old.at != new.at && is_bit_field {
        Some(format!("is at bit {} instead of bit {}", new.at, old.at))
    } else if old.at != new.at {
        Some(format!("is at {} instead of {}", new.at / 8, old.at / 8))
    } else if old.bits != new.bits {
        let (old, new) = (old.bits / size, new.bits / size);
        Some(format!("has {new} {unit} instead of {old}"))
    } else {
        None
    }
}

/// The first name of an enumeration whose value differs.
fn changed_value(old: &Kind, new: &Kind) -> Option<String> {
    match (old, new) {
        (Kind::Array(_, old), Kind::Array(_, new)) => changed_value(old, new),
        (Kind::Enum(_, olds), Kind::Enum(_, news)) => olds.iter().find_map(|(name, old)| {
            let new = news.get(name)?;
            (old != new).then(|| format!("has values of which {name} is {new} instead of {old}"))
        }),
        _ => None,
    }
}

/// "objects of struct x exist already"
fn objects(key: &Key, layout: &Layout) -> String {
    let place = match &key.function {
        Some(function) => format!(" of {function}()"),
        None => String::new(),
    };
    let name = &key.name;
    match key.sort {
        Sort::Structure if layout.is_union => {
            format!("objects of union {name}{place} exist already")
        }
        Sort::Structure => format!("objects of struct {name}{place} exist already"),
        Sort::Typedef => format!("objects of {name}{place} exist already"),
        Sort::Variable => format!("the variable {name}{place} exists already"),
    }
}

/// A type, as C has it.
fn text(kind: &Kind) -> String {
    let mut counts = String::new();
    let mut element = kind;
    while let Kind::Array(count, of) = element {
        counts += &format!("[{count}]");
        element = of;
    }
    let text = match element {
        Kind::Structure(key) => match key.sort {
            Sort::Structure => format!("struct {}", key.name),
            _ => key.name.clone(),
        },
        Kind::Enum(scalar, _) | Kind::Other(scalar) => scalar.to_string(),
        Kind::Unnamed | Kind::Array(..) => "struct {...}".to_owned(),
    };
    text + &counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::compile_for_test;

    /// How the layout changes from one C text to the other. Both need a variable or a function that
    /// uses the type.
    fn changed_with(options: &[&str], old: &str, new: &str) -> Option<String> {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = [old, new].map(|text| {
            let object = folder.path().join("x.o");
            compile_for_test(text, options, &object);
            Elf::read(&object).unwrap()
        });
        let change = change(&old, &new).unwrap()?;
        Some(format!("{}: {}", change.objects, change.detail))
    }

    fn changed(old: &str, new: &str) -> Option<String> {
        changed_with(&["-g"], old, new)
    }

    /// The change of `struct x` with these members.
    fn members(old: &str, new: &str) -> Option<String> {
        let unit = |members: &str| {
            format!(
                "enum e {{ E_A, E_B, E_C }};\ntypedef struct {{ int counter; }} count_t;\n\
                 struct y {{ int a; int b; }};\nstruct z {{ int c; int d; }};\n\
                 struct x {{ {members} }};\nstruct x *use(struct x *p, enum e e);\n\
                 struct x *use(struct x *p, enum e e) {{ return p + e; }}\n"
            )
        };
        let text = changed(&unit(old), &unit(new))?;
        let detail = text.strip_prefix("objects of struct x exist already: ");
        Some(detail.unwrap_or(&text).to_owned())
    }

    #[test]
    fn the_member_is_named() {
        let old = "long a; long b;";
        assert_eq!(members(old, old), None);
        for (new, detail) in [
            ("long a; long n; long b;", "member b is at 16 instead of 8"),
            ("long a; long b; long c;", "member c is new"),
            ("long a;", "member b is gone"),
            ("long a; int b; int c;", "member b has 4 bytes instead of 8"),
            (
                "long a; long b __attribute__((aligned(32)));",
                "member b is at 32 instead of 8",
            ),
        ] {
            assert_eq!(members(old, new).as_deref(), Some(detail));
        }
    }

    #[test]
    fn a_bit_field_has_a_place_and_a_width() {
        let unit = |fields: &str| {
            format!(
                "struct x {{ char c; unsigned int {fields}; }} v;\n\
                 unsigned int use(void);\nunsigned int use(void) {{ return v.a + v.b; }}\n"
            )
        };
        let old = unit("a:1, b:1, n:6");
        for version in ["-gdwarf-5", "-gdwarf-4", "-gdwarf-3"] {
            let options = [version, "-gstrict-dwarf"];
            assert_eq!(changed_with(&options, &old, &old), None);
            for (fields, detail) in [
                ("b:1, a:1, n:6", "member a is at bit 9 instead of bit 8"),
                ("a:1, b:2, n:5", "member b has 2 bits instead of 1"),
                ("a:1, b:1, n:6, m:3", "member m is new"),
            ] {
                assert_eq!(
                    changed_with(&options, &old, &unit(fields)),
                    Some(format!("objects of struct x exist already: {detail}")),
                    "{version}"
                );
            }
        }
        // An integer becomes a bit-field.
        assert_eq!(
            members("int a; int b;", "int a; int b:31;").as_deref(),
            Some("member b has 31 bits instead of 32")
        );
        assert_eq!(members("int a; int b:1;", "int a; unsigned int b:1;"), None);
    }

    /// Nothing can be said about a unit without debug information.
    #[test]
    fn a_unit_needs_debug_information() {
        let folder = tempfile::tempdir().unwrap();
        let object = folder.path().join("x.o");
        compile_for_test("int v;\n", &["-g0"], &object);
        let object = Elf::read(&object).unwrap();
        assert!(change(&object, &object).is_err());
    }

    #[test]
    fn a_structure_without_a_name_is_compared() {
        for (old, new, detail) in [
            (
                "int n; struct { int a; int b; };",
                "int n; struct { int b; int a; };",
                "member a is at 8 instead of 4",
            ),
            (
                "int n; union { struct { char a; char b; }; int c; };",
                "int n; union { struct { char b; char a; }; int c; };",
                "member a is at 5 instead of 4",
            ),
            (
                "int n; struct { int a; int b; } s;",
                "int n; struct { int b; int a; } s;",
                "member s.a is at 8 instead of 4",
            ),
            (
                "int n; struct { int a; union { int b; char c; } u; } s[4];",
                "int n; struct { int a; union { int b; int c; } u; } s[4];",
                "member s[].u.c has 4 bytes instead of 1",
            ),
            (
                "struct { int a; int b; } *p;",
                "struct { int b; int a; } *p;",
                "member p->a is at 4 instead of 0",
            ),
        ] {
            assert_eq!(members(old, old), None);
            assert_eq!(members(old, new).as_deref(), Some(detail));
        }
        // The places of the members stay as they are.
        let anonymous = "int n; struct { int a; int b; };";
        assert_eq!(members("int n; int a; int b;", anonymous), None);
    }

    #[test]
    fn a_typedef_gives_a_name_to_a_structure() {
        let unit = |members: &str| {
            format!(
                "typedef struct {{ {members} }} t;\nt *use(t *p);\n\
                 t *use(t *p) {{ return p + 1; }}\n"
            )
        };
        assert_eq!(
            changed(&unit("int a; int b;"), &unit("int b; int a;")).as_deref(),
            Some("objects of t exist already: member a is at 4 instead of 0")
        );
    }

    #[test]
    fn a_union_is_compared() {
        let unit = |members: &str| {
            format!("union u {{ {members} }} v;\nint use(void);\nint use(void) {{ return v.a; }}\n")
        };
        let change = |old, new| changed(&unit(old), &unit(new));
        assert_eq!(change("int a; long b;", "long b; int a;"), None);
        assert_eq!(
            change("int a; long b;", "int a; int b; long c;").as_deref(),
            Some("objects of union u exist already: member b has 4 bytes instead of 8")
        );
    }

    #[test]
    fn a_type_that_existing_objects_do_not_fit_is_refused() {
        for (old, new, detail) in [
            (
                "char a[4];",
                "char a[8];",
                "member a has 8 bytes instead of 4",
            ),
            (
                "int a[2][3];",
                "int a[3][2];",
                "member a is int[3][2] instead of int[2][3]",
            ),
            ("char a[4];", "int a;", "member a is int instead of char[4]"),
            ("char a;", "_Bool a;", "member a is bool instead of char"),
            (
                "long a;",
                "struct y *a;",
                "member a is struct y * instead of long",
            ),
            (
                "struct y *a;",
                "struct z *a;",
                "member a is struct z * instead of struct y *",
            ),
            (
                "int (*f)(struct y *);",
                "int (*f)(struct y *, int);",
                "member f is int (*)(struct y *, int) instead of int (*)(struct y *)",
            ),
            (
                "int a;",
                "float a;",
                "member a is float of 4 bytes instead of int",
            ),
            (
                "struct y a;",
                "struct { short b; int c; } a;",
                "member a is struct {...} instead of struct y",
            ),
            (
                "long a;",
                "struct y a;",
                "member a is struct y instead of long",
            ),
        ] {
            assert_eq!(members(old, new).as_deref(), Some(detail));
        }
    }

    #[test]
    fn another_type_of_the_same_bytes_builds() {
        for (old, new) in [
            ("int a;", "unsigned int a;"),
            ("int a;", "count_t a;"),
            ("count_t a;", "int a;"),
            ("enum e a;", "unsigned int a;"),
            ("char *a;", "const char *a;"),
            ("void *a;", "struct y *a;"),
            ("struct y a;", "struct z a;"),
            ("struct y a[3];", "struct z a[3];"),
            ("int n; int a[0];", "int n; int a[];"),
        ] {
            assert_eq!(members(old, new), None, "{old} {new}");
        }
    }

    #[test]
    fn the_values_of_a_member_are_compared() {
        let unit = |values: &str| {
            format!(
                "enum e {{ {values} }};\nstruct x {{ enum e e; }};\nenum e use(struct x *x);\n\
                 enum e use(struct x *x) {{ return x->e; }}\n"
            )
        };
        let change = |new| changed(&unit("A, B"), &unit(new));
        assert_eq!(change("A, B, C"), None);
        assert_eq!(
            change("A, C, B").as_deref(),
            Some(
                "objects of struct x exist already: \
                 member e has values of which B is 2 instead of 1"
            )
        );
    }

    #[test]
    fn a_variable_is_compared() {
        let unit = |declared: &str, local: &str| {
            format!(
                "static {declared};\nint *use(void);\nint *use(void)\n{{\n\tstatic {local};\n\
                 \tint on_stack[2];\n\t__asm__ volatile(\"\" : : \"r\"(&v), \"r\"(on_stack));\n\
                 \treturn (int *)&w;\n}}\n"
            )
        };
        let change = |declared: &str, local: &str| {
            changed(
                &unit("struct { int a; int b; } v[2]", "int w[4]"),
                &unit(declared, local),
            )
        };
        let same = "struct { int a; int b; } v[2]";
        assert_eq!(change(same, "int w[4]"), None);
        assert_eq!(change(same, "unsigned int w[4]"), None);
        assert_eq!(
            change("struct { int b; int a; } v[2]", "int w[4]").as_deref(),
            Some("the variable v exists already: v[].a is at 4 instead of 0")
        );
        assert_eq!(
            change(same, "int w[8]").as_deref(),
            Some("the variable w of use() exists already: w has 32 bytes instead of 16")
        );
    }

    /// The compiler keeps constants beside the code that uses them: the patch has its own.
    #[test]
    fn constants_and_init_data_may_grow() {
        let unit = |count: usize, section: &str| {
            format!(
                "static {section} v[{count}] = {{ 1 }};\nconst int *use(void);\n\
                 const int *use(void) {{ return v; }}\n"
            )
        };
        for section in ["const int", "__attribute__((section(\".init.data\"))) int"] {
            assert_eq!(changed(&unit(2, section), &unit(3, section)), None);
        }
        assert!(changed(&unit(2, "int"), &unit(3, "int")).is_some());
    }

    #[test]
    fn a_structure_of_a_function_is_compared() {
        let unit = |members: &str| {
            format!(
                "struct x {{ int a; int b; }} v;\nint use(void *p);\nint use(void *p)\n{{\n\
                 \tstruct x {{ {members} }} *x = p;\n\treturn x->a + v.b;\n}}\n"
            )
        };
        assert_eq!(
            changed(&unit("int a; int b;"), &unit("int b; int a;")).as_deref(),
            Some("objects of struct x of use() exist already: member a is at 4 instead of 0")
        );
    }
}
