// SPDX-License-Identifier: GPL-2.0

//! Directories in sysfs, and their attributes.
//!
//! C header: [`include/linux/kobject.h`](srctree/include/linux/kobject.h)

use crate::atomic::{
    AtomicUsize,
    Ordering, //
};
use core::{
    fmt,
    marker::PhantomData,
    mem::{
        zeroed,
        MaybeUninit, //
    },
    ptr::NonNull, //
};
use kernel::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    ffi::c_char,
    prelude::*,
    str::CStr,
    time::{
        delay::fsleep,
        Delta, //
    },
    types::Opaque, //
};

/// The data of a directory in sysfs.
pub trait Entry: Send + Sync + Sized + 'static {}

/// A file in the directory of a `T`.
///
/// # Context
///
/// `show` and `store`: process context, may sleep. Removing the directory waits for both. So they
/// must not remove the directory, nor wait for a lock that is held while the directory is removed.
#[repr(C)]
pub struct Attribute<T> {
    attr: bindings::attribute,
    show: Option<fn(&T, &mut Page<'_>) -> Result>,
    store: Option<fn(&T, &[u8]) -> Result>,
}

// SAFETY: An attribute is never written after it was made; the name points to a literal.
unsafe impl<T> Sync for Attribute<T> {}

impl<T> Attribute<T> {
    const fn new(
        name: &'static CStr,
        mode: u16,
        show: Option<fn(&T, &mut Page<'_>) -> Result>,
        store: Option<fn(&T, &[u8]) -> Result>,
    ) -> Self {
        // SAFETY: The structure has pointers and numbers, for which zero is valid.
        let mut attr: bindings::attribute = unsafe { zeroed() };
        attr.name = name.to_bytes_with_nul().as_ptr().cast::<c_char>();
        attr.mode = mode;
        Self { attr, show, store }
    }

    /// Makes a file of mode 0444.
    pub const fn read_only(name: &'static CStr, show: fn(&T, &mut Page<'_>) -> Result) -> Self {
        Self::new(name, 0o444, Some(show), None)
    }

    /// Makes a file of mode 0400, for data that only root may read.
    pub const fn owner_only(name: &'static CStr, show: fn(&T, &mut Page<'_>) -> Result) -> Self {
        Self::new(name, 0o400, Some(show), None)
    }

    /// Makes a file of mode 0644.
    pub const fn read_write(
        name: &'static CStr,
        show: fn(&T, &mut Page<'_>) -> Result,
        store: fn(&T, &[u8]) -> Result,
    ) -> Self {
        Self::new(name, 0o644, Some(show), Some(store))
    }

    /// Returns the name of the file.
    pub fn name(&self) -> &'static CStr {
        // SAFETY: From a literal, in `new()`.
        unsafe { CStr::from_char_ptr(self.attr.name) }
    }

    /// Makes a file of mode 0200.
    pub const fn write_only(name: &'static CStr, store: fn(&T, &[u8]) -> Result) -> Self {
        Self::new(name, 0o200, None, Some(store))
    }
}

/// The page for the text of a file. Text that does not fit is cut off.
pub struct Page<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl Page<'_> {
    /// Returns the number of bytes that are left.
    pub fn room(&self) -> usize {
        self.buf.len().saturating_sub(self.len)
    }

    /// Appends formatted text.
    ///
    /// # Errors
    ///
    /// `EIO` if a value cannot be formatted.
    pub fn print(&mut self, args: fmt::Arguments<'_>) -> Result {
        fmt::Write::write_fmt(self, args).map_err(|_| EIO)
    }
}

impl fmt::Write for Page<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let len = s.len().min(self.room());
        let end = self.len.saturating_add(len);
        if let (Some(to), Some(from)) = (self.buf.get_mut(self.len..end), s.as_bytes().get(..len)) {
            // Not copy_from_slice(): the compiler does not see that it cannot panic here.
            to.iter_mut().zip(from).for_each(|(to, &from)| *to = from);
            self.len = end;
        }
        Ok(())
    }
}

/// A read-only file in the directory of a `T`, whose text may be longer than a page.
///
/// # Context
///
/// The function that makes the text: as [`Attribute`]'s `show`. It is called for each page that is
/// read. So the text must stay the same for as long as the directory exists.
#[repr(C)]
pub struct LongText<T> {
    attr: bindings::bin_attribute,
    text: fn(&T) -> Result<KVVec<u8>>,
}

// SAFETY: As for `Attribute`.
unsafe impl<T> Sync for LongText<T> {}

impl<T: Entry> LongText<T> {
    /// Makes a file of mode 0444.
    pub const fn new(name: &'static CStr, text: fn(&T) -> Result<KVVec<u8>>) -> Self {
        // SAFETY: The structure has pointers, optional functions and numbers, for which zero is
        // valid. A size of zero means that the size is not known.
        let mut attr: bindings::bin_attribute = unsafe { zeroed() };
        attr.attr.name = name.to_bytes_with_nul().as_ptr().cast::<c_char>();
        attr.attr.mode = 0o444;
        attr.read = Some(Self::read);
        Self { attr, text }
    }

    /// Returns the name of the file.
    pub fn name(&self) -> &'static CStr {
        // SAFETY: From a literal, in `new()`.
        unsafe { CStr::from_char_ptr(self.attr.attr.name) }
    }

    /// # Safety
    ///
    /// sysfs calls this for the file `attr`, the first member of a `Self`, in the directory of
    /// `kobj`, the first member of a `Node<T>`.
    unsafe extern "C" fn read(
        _file: *mut bindings::file,
        kobj: *mut bindings::kobject,
        attr: *const bindings::bin_attribute,
        buf: *mut c_char,
        at: bindings::loff_t,
        len: usize,
    ) -> isize {
        // SAFETY: sysfs keeps the kobject while a file of it is in use. The casts are the contract.
        // `buf` has room for `len` bytes, which only this call uses, and which need not be
        // initialized.
        let (node, attr, buf) = unsafe {
            (
                &*kobj.cast::<Node<T>>(),
                &*attr.cast::<Self>(),
                core::slice::from_raw_parts_mut(buf.cast::<MaybeUninit<u8>>(), len),
            )
        };
        from_result(|| {
            let text = (attr.text)(&node.data)?;
            let rest = text.get(usize::try_from(at)?..).unwrap_or_default();
            for (to, &from) in buf.iter_mut().zip(rest) {
                to.write(from);
            }
            Ok(isize::try_from(len.min(rest.len()))?)
        })
    }
}

/// Counts the directories of a module whose memory is not released yet.
///
/// Another user may have the last reference to a kobject, and `CONFIG_DEBUG_KOBJECT_RELEASE` delays
/// the release on purpose. The release needs code of the module.
pub struct Releases(AtomicUsize);

impl Releases {
    /// Makes a counter, for a `static` of the module.
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    /// Waits until no directory that was dropped needs code of the module.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn wait(&self) {
        // ORDERING: Acquire, pairs with Release in `release()`.
        while self.0.load(Ordering::Acquire) != 0 {
            fsleep(Delta::from_millis(1));
        }
    }
}

impl Default for Releases {
    fn default() -> Self {
        Self::new()
    }
}

/// The part of a [`Node`] that does not depend on its data.
#[repr(C)]
struct Header {
    kobj: Opaque<bindings::kobject>,
    releases: &'static Releases,
    /// Frees the node whose first member is this header. The node came from a box, and nothing may
    /// use it any more.
    free: unsafe fn(*mut Header),
}

/// Frees a node. This function is not generic, so its code is in this crate, and not in the crate
/// of the data. When the counter is zero, no code of that crate is needed any more.
///
/// # Safety
///
/// The last reference to `kobj`, the first member of a [`Header`], was put.
#[inline(never)]
unsafe extern "C" fn release(kobj: *mut bindings::kobject) {
    let header = kobj.cast::<Header>();
    // SAFETY: By the contract.
    let (releases, free) = unsafe { ((*header).releases, (*header).free) };
    // SAFETY: By the contract. `Directory::new()` has made the node.
    unsafe { free(header) };
    // ORDERING: Release, pairs with Acquire in `Releases::wait()`.
    releases.0.fetch_sub(1, Ordering::Release);
}

#[repr(C)]
struct Node<T> {
    header: Header,
    data: T,
}

impl<T: Entry> Node<T> {
    const SYSFS_OPS: &'static bindings::sysfs_ops = &bindings::sysfs_ops {
        show: Some(Self::show),
        store: Some(Self::store),
    };

    const KTYPE: &'static bindings::kobj_type = &bindings::kobj_type {
        release: Some(release),
        sysfs_ops: Self::SYSFS_OPS,
        // SAFETY: The other members are pointers and optional functions, for which zero is valid.
        ..unsafe { zeroed() }
    };

    /// # Safety
    ///
    /// sysfs calls this for a file in the directory of `kobj`, which is the first member of a
    /// `Self`.
    unsafe extern "C" fn show(
        kobj: *mut bindings::kobject,
        attr: *mut bindings::attribute,
        buf: *mut c_char,
    ) -> isize {
        // SAFETY: sysfs keeps the kobject while a file of it is in use. The kobject is the first
        // member of a `Node<T>`, and `attr` that of an `Attribute<T>`. `buf` is a page that only
        // this call uses.
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
    /// `header` is the first member of a `Self` from a box, which nothing uses any more.
    unsafe fn free(header: *mut Header) {
        // SAFETY: By the contract.
        drop(unsafe { KBox::from_raw(header.cast::<Self>()) });
    }
}

/// A directory in which another directory can be made.
///
/// # Invariants
///
/// `kobj` was added to sysfs, and lives for `'a`. `kset` is null, or the set of `kobj`'s children,
/// which lives for `'a`. The promise of [`Parent::kernel`] was made for `releases`.
pub struct Parent<'a> {
    kobj: *mut bindings::kobject,
    kset: *mut bindings::kset,
    releases: &'static Releases,
    _lives: PhantomData<&'a ()>,
}

impl Parent<'_> {
    /// Returns `/sys/kernel`. `releases` counts the directories that are made below it.
    ///
    /// # Safety
    ///
    /// After the last of these directories was dropped, [`Releases::wait`] is called before the
    /// code and the data of the module are freed.
    pub unsafe fn kernel(releases: &'static Releases) -> Parent<'static> {
        // INVARIANT: The directory exists since boot. Its children have no set. The caller has made
        // the promise.
        Parent {
            // SAFETY: The variable is set at boot, and never changes.
            kobj: unsafe { bindings::kernel_kobj },
            kset: core::ptr::null_mut(),
            releases,
            _lives: PhantomData,
        }
    }

    /// Whether the directory has an entry of this name.
    ///
    /// # Context
    ///
    /// May sleep.
    fn has(&self, name: &CStr) -> bool {
        // SAFETY: The kobject was added, so it has a node in sysfs for as long as `self` lives.
        // The name is terminated, and is not kept.
        let node = unsafe {
            bindings::kernfs_find_and_get_ns((*self.kobj).sd, name.as_char_ptr(), core::ptr::null())
        };
        // SAFETY: Null, or a node to which this function has a reference.
        unsafe { bindings::kernfs_put(node) };
        !node.is_null()
    }
}

/// A directory in sysfs without files, whose child directories send uevents.
///
/// The kernel sends a uevent for a kobject only if the kobject or a parent belongs to a kset. The
/// name of the set is the uevent's subsystem.
pub struct EventRoot {
    kset: NonNull<bindings::kset>,
    releases: &'static Releases,
}

// SAFETY: Any thread may use a kset, which has a lock, and unregister it.
unsafe impl Send for EventRoot {}
// SAFETY: As for `Send`.
unsafe impl Sync for EventRoot {}

impl EventRoot {
    /// Makes the directory `name` in `parent`. Callers serialise calls for one parent, as for
    /// [`Directory::new`].
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the parent has an entry of this name; `ENOMEM`.
    pub fn new(parent: Parent<'_>, name: &CStr) -> Result<Self> {
        if parent.has(name) {
            return Err(EEXIST);
        }
        // SAFETY: The name is terminated, and is copied. The parent was added. The set has no
        // functions of this module.
        let kset = unsafe {
            bindings::kset_create_and_add(name.as_char_ptr(), core::ptr::null(), parent.kobj)
        };
        Ok(Self {
            kset: NonNull::new(kset).ok_or(ENOMEM)?,
            releases: parent.releases,
        })
    }

    /// Returns this directory as the parent of another.
    pub fn as_parent(&self) -> Parent<'_> {
        // INVARIANT: `kset_create_and_add()` has added the kobject, and `self` has the reference.
        // `releases` is that of the parent.
        Parent {
            // SAFETY: The set lives for as long as `self`.
            kobj: unsafe { &raw mut (*self.kset.as_ptr()).kobj },
            kset: self.kset.as_ptr(),
            releases: self.releases,
            _lives: PhantomData,
        }
    }
}

impl Drop for EventRoot {
    fn drop(&mut self) {
        // SAFETY: `self` has the reference, and does not use it after this. Each child has a
        // reference of its own.
        unsafe { bindings::kset_unregister(self.kset.as_ptr()) };
    }
}

/// A directory in sysfs with files for a `T`. The drop removes the directory and the files, and
/// waits for calls of `show` and `store` in progress.
///
/// # Context
///
/// The drop may sleep; see also [`Attribute`].
///
/// # Examples
///
/// ```
/// use kernel_ext::kobject::{
///     Attribute,
///     Directory,
///     Entry,
///     Page,
///     Parent,
///     Releases, //
/// };
///
/// static RELEASES: Releases = Releases::new();
///
/// struct Counter(u32);
///
/// impl Entry for Counter {}
///
/// static COUNT: Attribute<Counter> = Attribute::read_only(c"count", show_count);
///
/// fn show_count(counter: &Counter, page: &mut Page<'_>) -> Result {
///     page.print(fmt!("{}\n", counter.0))
/// }
///
/// // SAFETY: `RELEASES.wait()` is called below.
/// let parent = unsafe { Parent::kernel(&RELEASES) };
/// // Makes `/sys/kernel/counter/count`.
/// let directory = Directory::new(parent, c"counter", Counter(7))?;
/// directory.add_files(&[&COUNT])?;
///
/// // A module does this when it is unloaded.
/// drop(directory);
/// RELEASES.wait();
/// # Ok::<(), Error>(())
/// ```
pub struct Directory<T: Entry> {
    node: NonNull<Node<T>>,
    _owns: PhantomData<T>,
}

// SAFETY: Any thread may put a reference to a kobject, and `T` is `Send` and `Sync`.
unsafe impl<T: Entry> Send for Directory<T> {}
// SAFETY: As for `Send`.
unsafe impl<T: Entry> Sync for Directory<T> {}

impl<T: Entry> Directory<T> {
    /// Makes the directory `name` in `parent`, without files: see [`add_files`](Self::add_files).
    ///
    /// Callers serialise calls for one parent: if two threads make the same name at once, sysfs
    /// logs a warning with a stack trace.
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EEXIST` if the parent has an entry of this name; `EINVAL` for an empty name; `ENOMEM`.
    pub fn new(parent: Parent<'_>, name: &CStr, data: T) -> Result<Self> {
        // kobject_add() refuses an empty name before it gets the reference to the parent, but
        // kobject_del() in the drop would put that reference.
        if name.to_bytes().is_empty() {
            return Err(EINVAL);
        }
        if parent.has(name) {
            return Err(EEXIST);
        }
        let node = KBox::new(
            Node {
                header: Header {
                    kobj: Opaque::new(bindings::kobject::default()),
                    releases: parent.releases,
                    free: Node::<T>::free,
                },
                data,
            },
            GFP_KERNEL,
        )?;
        // ORDERING: Relaxed, a counter; `new()` does not race with the unload of the module.
        parent.releases.0.fetch_add(1, Ordering::Relaxed);
        let node = KBox::into_raw(node);
        // SAFETY: The kobject is zeroed and in memory that `release` frees; the type is static. The
        // set is null or alive, and the kobject gets a reference to it. The format takes one
        // string. This function has the reference even if the call fails.
        let ret = unsafe {
            (*(*node).header.kobj.get()).kset = parent.kset;
            bindings::kobject_init_and_add(
                (*node).header.kobj.get(),
                Node::<T>::KTYPE,
                parent.kobj,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        };
        if ret != 0 {
            // SAFETY: As above. A kobject that was not added is not in the set, and has no
            // reference to the set. kobject_del() would put one.
            unsafe { (*(*node).header.kobj.get()).kset = core::ptr::null_mut() };
        }
        // From here on the drop releases the kobject: kobject_del() accepts a kobject that was not
        // added.
        let dir = Self {
            // SAFETY: From a box.
            node: unsafe { NonNull::new_unchecked(node) },
            _owns: PhantomData,
        };
        to_result(ret)?;
        Ok(dir)
    }

    /// Adds the files of `attributes` to the directory.
    ///
    /// Once the first file is added, its `show` or `store` may be in progress. So even if this
    /// fails, the caller must drop the directory in a context where that is allowed: see
    /// [`Attribute`].
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn add_files(&self, attributes: &[&'static Attribute<T>]) -> Result {
        for attr in attributes {
            // SAFETY: The kobject was added; the attribute is static.
            to_result(unsafe {
                bindings::sysfs_create_file_ns(self.raw(), &raw const attr.attr, core::ptr::null())
            })?;
        }
        Ok(())
    }

    /// Adds the files `texts` to the directory: see [`add_files`](Self::add_files).
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn add_texts(&self, texts: &[&'static LongText<T>]) -> Result {
        for text in texts {
            // SAFETY: The kobject was added; the attribute is static.
            to_result(unsafe {
                bindings::sysfs_create_bin_file(self.raw(), &raw const text.attr)
            })?;
        }
        Ok(())
    }

    /// Returns this directory as the parent of another.
    pub fn as_parent(&self) -> Parent<'_> {
        // INVARIANT: `new()` has added the kobject, and `self` has the reference. The children have
        // no set. `releases` is that of the parent.
        Parent {
            kobj: self.raw(),
            kset: core::ptr::null_mut(),
            // SAFETY: The node lives for as long as `self`, which has a reference to it.
            releases: unsafe { (*self.node.as_ptr()).header.releases },
            _lives: PhantomData,
        }
    }

    /// Returns the name of the directory.
    pub fn name(&self) -> &CStr {
        // SAFETY: `new()` has set the name, which lives as long as the kobject. Nothing renames it.
        unsafe { CStr::from_char_ptr((*self.raw()).name) }
    }

    /// Wakes the tasks that poll the file `attribute`.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn notify(&self, attribute: &Attribute<T>) {
        // SAFETY: The kobject was added. sysfs looks up the name, and does not keep it.
        unsafe {
            bindings::sysfs_notify(self.raw(), core::ptr::null(), attribute.attr.name);
        }
    }

    /// Sends a uevent of the action "change" with these variables, each of the form "NAME=value".
    ///
    /// # Context
    ///
    /// May sleep.
    ///
    /// # Errors
    ///
    /// `EINVAL` unless the directory is below an [`EventRoot`]; `ENOMEM`.
    pub fn send_change<const N: usize>(&self, variables: &[&CStr; N]) -> Result {
        // The list has room for 15 variables and the null that ends it. The kernel allows 64
        // variables, its own included (UEVENT_NUM_ENVP).
        const { assert!(N < 16) };
        let mut pointers = [core::ptr::null_mut(); 16];
        for (to, from) in pointers.iter_mut().zip(variables) {
            *to = from.as_char_ptr().cast_mut();
        }
        // SAFETY: The kobject was added. The list ends with null, and the kernel copies the
        // strings.
        to_result(unsafe {
            bindings::kobject_uevent_env(
                self.raw(),
                bindings::kobject_action_KOBJ_CHANGE,
                pointers.as_mut_ptr(),
            )
        })
    }

    fn raw(&self) -> *mut bindings::kobject {
        // SAFETY: The node lives for as long as `self`, which has a reference to it.
        unsafe { (*self.node.as_ptr()).header.kobj.get() }
    }
}

impl<T: Entry> Drop for Directory<T> {
    fn drop(&mut self) {
        // SAFETY: `self` has the reference, and does not use it after this.
        unsafe {
            bindings::kobject_del(self.raw());
            bindings::kobject_put(self.raw());
        }
    }
}
