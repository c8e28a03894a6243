// SPDX-License-Identifier: GPL-2.0

//! Directories in sysfs, and their attributes.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h)

use crate::{
    atomic::{
        AtomicUsize,
        Ordering, //
    },
    gate::Gate,
};
use core::{fmt, marker::PhantomData, mem::zeroed, ptr::NonNull};
use kernel::{
    bindings,
    error::{from_result, to_result},
    ffi::c_char,
    prelude::*,
    str::CStr,
    time::Delta,
    types::Opaque, //
};

/// What a directory in sysfs stands for.
pub trait Entry: Send + Sync + Sized + 'static {
    /// Its files.
    const ATTRIBUTES: &'static [&'static Attribute<Self>];
}

/// A file in the directory of a `T`.
///
/// Context of `show` and `store`: process context, may sleep. Removing the directory waits for
/// them: neither may drop it, nor wait for a lock under which it is dropped.
#[repr(C)]
pub struct Attribute<T> {
    attr: bindings::attribute,
    show: Option<fn(&T, &mut Page<'_>) -> Result>,
    store: Option<fn(&T, &[u8]) -> Result>,
}

// SAFETY: Never written after it was made; the name points to a literal.
unsafe impl<T> Sync for Attribute<T> {}

impl<T> Attribute<T> {
    const fn new(
        name: &'static CStr,
        mode: u16,
        show: Option<fn(&T, &mut Page<'_>) -> Result>,
        store: Option<fn(&T, &[u8]) -> Result>,
    ) -> Self {
        // SAFETY: An attribute of zeroes is valid: pointers and numbers.
        let mut attr: bindings::attribute = unsafe { zeroed() };
        attr.name = name.to_bytes_with_nul().as_ptr().cast::<c_char>();
        attr.mode = mode;
        Self { attr, show, store }
    }

    /// Mode 0444.
    pub const fn read_only(name: &'static CStr, show: fn(&T, &mut Page<'_>) -> Result) -> Self {
        Self::new(name, 0o444, Some(show), None)
    }

    /// Mode 0400: for what one user should not learn of another.
    pub const fn owner_only(name: &'static CStr, show: fn(&T, &mut Page<'_>) -> Result) -> Self {
        Self::new(name, 0o400, Some(show), None)
    }

    /// Mode 0644.
    pub const fn read_write(
        name: &'static CStr,
        show: fn(&T, &mut Page<'_>) -> Result,
        store: fn(&T, &[u8]) -> Result,
    ) -> Self {
        Self::new(name, 0o644, Some(show), Some(store))
    }

    /// Its name.
    pub fn name(&self) -> &'static CStr {
        // SAFETY: From a literal, in `new()`.
        unsafe { CStr::from_char_ptr(self.attr.name) }
    }

    /// Mode 0200.
    pub const fn write_only(name: &'static CStr, store: fn(&T, &[u8]) -> Result) -> Self {
        Self::new(name, 0o200, None, Some(store))
    }
}

/// The page that a file's text goes to. What does not fit is cut off.
pub struct Page<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl Page<'_> {
    /// Room left, in bytes.
    pub fn room(&self) -> usize {
        self.buf.len().saturating_sub(self.len)
    }

    /// Appends formatted text.
    pub fn print(&mut self, args: fmt::Arguments<'_>) -> Result {
        fmt::Write::write_fmt(self, args).map_err(|_| EIO)
    }
}

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let len = s.len().min(self.room());
        let end = self.len.saturating_add(len);
        if let (Some(to), Some(from)) = (self.buf.get_mut(self.len..end), s.as_bytes().get(..len)) {
            // Not copy_from_slice(): it can panic, and the compiler does not see that here it does not.
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            self.len = end;
        }
        Ok(())
    }
}

/// Nodes whose `release` has not run yet.
static LIVE: AtomicUsize = AtomicUsize::new(0);

#[repr(C)]
struct Node<T> {
    kobj: Opaque<bindings::kobject>,
    data: T,
}

impl<T: Entry> Node<T> {
    const SYSFS_OPS: &'static bindings::sysfs_ops = &bindings::sysfs_ops {
        show: Some(Self::show),
        store: Some(Self::store),
    };

    const KTYPE: &'static bindings::kobj_type = &bindings::kobj_type {
        release: Some(Self::release),
        sysfs_ops: Self::SYSFS_OPS,
        // SAFETY: Null pointers and absent functions are what an unset member is.
        ..unsafe { zeroed() }
    };

    /// # Safety
    ///
    /// sysfs calls this for a file of the directory that `kobj` is the first member of.
    unsafe extern "C" fn show(
        kobj: *mut bindings::kobject,
        attr: *mut bindings::attribute,
        buf: *mut c_char,
    ) -> isize {
        // SAFETY: sysfs holds the kobject while a file of it is in use; it is the first member of a
        // `Node<T>`, as `attr` is of an `Attribute<T>`; `buf` is a page that is ours for the call.
        let (node, attr, buf) = unsafe {
            (
                &*kobj.cast::<Self>(),
                &*attr.cast::<Attribute<T>>(),
                core::slice::from_raw_parts_mut(buf.cast::<u8>(), kernel::page::PAGE_SIZE),
            )
        };
        from_result(|| {
            let mut page = Page { buf, len: 0 };
            attr.show.ok_or(EIO)?(&node.data, &mut page)?;
            Ok(isize::try_from(page.len)?)
        })
    }

    /// # Safety
    ///
    /// As for [`show`](Self::show).
    unsafe extern "C" fn store(
        kobj: *mut bindings::kobject,
        attr: *mut bindings::attribute,
        buf: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: As in `show()`; `buf` holds `len` bytes.
        let (node, attr, buf) = unsafe {
            (
                &*kobj.cast::<Self>(),
                &*attr.cast::<Attribute<T>>(),
                core::slice::from_raw_parts(buf.cast::<u8>(), len),
            )
        };
        from_result(|| {
            attr.store.ok_or(EIO)?(&node.data, buf)?;
            Ok(isize::try_from(len)?)
        })
    }

    /// # Safety
    ///
    /// The last reference to `kobj`, the first member of a `Self` from a box, is gone.
    unsafe extern "C" fn release(kobj: *mut bindings::kobject) {
        // SAFETY: By the contract; the node came from `KBox::into_raw()`.
        drop(unsafe { KBox::from_raw(kobj.cast::<Self>()) });
        // ORDERING: Release, pairs with Acquire in `wait_for_releases()`.
        LIVE.fetch_sub(1, Ordering::Release);
    }
}

/// A directory that a new one is made in.
pub struct Parent<'a>(*mut bindings::kobject, PhantomData<&'a ()>);

impl Parent<'_> {
    /// `/sys/kernel`.
    pub fn kernel(_gate: Gate) -> Parent<'static> {
        // SAFETY: Set at boot, and never changed.
        Parent(unsafe { bindings::kernel_kobj }, PhantomData)
    }

    /// Whether there is something of this name in it. Context: may sleep.
    fn has(&self, name: &CStr) -> bool {
        // SAFETY: The kobject was added, so it has a node in sysfs, as long as `self` lives; the
        // name is terminated, and not kept.
        let node = unsafe {
            bindings::kernfs_find_and_get_ns((*self.0).sd, name.as_char_ptr(), core::ptr::null())
        };
        // SAFETY: Null, or a reference that is ours.
        unsafe { bindings::kernfs_put(node) };
        !node.is_null()
    }
}

/// A directory in sysfs with the files of `T`. Dropping it removes them, and waits for those who
/// read or write one. Context of the drop: may sleep; see [`Attribute`].
pub struct Directory<T: Entry> {
    node: NonNull<Node<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: A reference to a kobject may be dropped by any thread, and `T` is `Send` and `Sync`.
unsafe impl<T: Entry> Send for Directory<T> {}
// SAFETY: As above.
unsafe impl<T: Entry> Sync for Directory<T> {}

impl<T: Entry> Directory<T> {
    /// Makes the directory `name` in `parent`, empty as yet: see [`add_files`](Self::add_files).
    ///
    /// Who makes directories in `parent` has to be alone at it: what is there already is an error,
    /// but two at once would be a warning with a trace in the log.
    ///
    /// Context: may sleep. Errors: `EEXIST`, `ENOMEM`, `EINVAL` for an empty name.
    pub fn new(parent: Parent<'_>, name: &CStr, data: T) -> Result<Self> {
        // A kobject that was refused for that would put the parent without having got it.
        if name.to_bytes().is_empty() {
            return Err(EINVAL);
        }
        if parent.has(name) {
            return Err(EEXIST);
        }
        let node = KBox::new(
            Node {
                kobj: Opaque::new(bindings::kobject::default()),
                data,
            },
            GFP_KERNEL,
        )?;
        // ORDERING: Relaxed; a counter, and `new()` does not race with unloading.
        LIVE.fetch_add(1, Ordering::Relaxed);
        let node = KBox::into_raw(node);
        // SAFETY: A zeroed kobject in memory of its own, which `release` frees; the type is static.
        // The format takes one string. On failure too, the reference is this function's to drop.
        let ret = unsafe {
            bindings::kobject_init_and_add(
                (*node).kobj.get(),
                Node::<T>::KTYPE,
                parent.0,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        // From here on dropping it is right: kobject_del() bears one that was not added.
        let dir = Self {
            // SAFETY: From a box.
            node: unsafe { NonNull::new_unchecked(node) },
            _owns: PhantomData,
        };
        to_result(ret)?;
        Ok(dir)
    }

    /// Makes its files.
    ///
    /// From the first one on somebody may be in one of them: on failure too the caller has to see
    /// to it that the directory is dropped where that is allowed. Context: may sleep. `ENOMEM`.
    pub fn add_files(&self) -> Result {
        for attr in T::ATTRIBUTES {
            // SAFETY: The kobject was added; the attribute is static.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(self.raw(), &raw const attr.attr, core::ptr::null())
            })?;
        }
        Ok(())
    }

    /// As the parent of another.
    pub fn as_parent(&self) -> Parent<'_> {
        Parent(self.raw(), PhantomData)
    }

    fn raw(&self) -> *mut bindings::kobject {
        // SAFETY: The node lives as long as the reference that `self` holds.
        unsafe { (*self.node.as_ptr()).kobj.get() }
    }
}

impl<T: Entry> Drop for Directory<T> {
    fn drop(&mut self) {
        // SAFETY: The reference is ours, and it is not used after this.
        unsafe {
            bindings::kobject_del(self.raw());
            bindings::kobject_put(self.raw());
        }
    }
}

/// Waits until no code of this module is needed for a directory that was dropped.
///
/// The last reference may be somebody else's, and `CONFIG_DEBUG_KOBJECT_RELEASE` delays the release
/// on purpose. Before the module's text is freed, the drop of [`OpenGate`](crate::gate::OpenGate) calls
/// this. Context: may sleep.
pub(crate) fn wait_for_releases() {
    // ORDERING: Acquire, pairs with Release in `Node::release()`.
    while LIVE.load(Ordering::Acquire) != 0 {
        kernel::time::delay::fsleep(Delta::from_millis(1));
    }
    // The last one may have been preempted between its decrement and its return.
    crate::rcu::synchronize_tasks();
}
