// SPDX-License-Identifier: GPL-2.0

//! Where the parts of a kernel are: the prepared tree, the shipped image and the shipped modules.

use crate::cli::Kernel;
use crate::image::Image;
use crate::modules;
use crate::refusal::{
    io_error_at,
    tool_failure,
    Refusal,
    Result, //
};
use crate::tree::Tree;
use std::path::{
    Path,
    PathBuf, //
};

/// Where a kernel's parts are, with the defaults filled in.
pub(crate) struct KernelPaths {
    pub(crate) tree: PathBuf,
    pub(crate) image: PathBuf,
    pub(crate) modules: PathBuf,
    pub(crate) cache: PathBuf,
}

impl KernelPaths {
    pub(crate) fn find(kernel: &Kernel) -> Result<Self> {
        let release = match &kernel.release {
            Some(release) => release.clone(),
            None => {
                let path = Path::new("/proc/sys/kernel/osrelease");
                std::fs::read_to_string(path)
                    .map_err(io_error_at(path))?
                    .trim()
                    .to_owned()
            }
        };
        let modules = PathBuf::from("/lib/modules").join(&release);
        let tree = kernel.tree.clone().unwrap_or_else(|| modules.join("build"));
        let image = kernel.image.clone().unwrap_or_else(|| {
            let beside = tree.join("vmlinuz");
            if beside.exists() {
                beside
            } else {
                PathBuf::from(format!("/boot/vmlinuz-{release}"))
            }
        });
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
        let cache = match &kernel.cache {
            Some(cache) => std::path::absolute(cache).map_err(io_error_at(cache))?,
            None => std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(home)
                .ok_or_else(|| tool_failure("there is no home folder: name a folder with --cache"))?
                .join("rlp-build"),
        };
        Ok(Self {
            tree,
            image,
            modules: kernel.modules.clone().unwrap_or(modules),
            cache,
        })
    }
}

/// The shipped image, which must be of the tree's release.
pub(crate) fn open_image(paths: &KernelPaths, tree: &Tree) -> Result<Image> {
    let kernel = Image::kernel(&paths.image)?;
    match kernel.release() {
        Some(release) if release != tree.release => Err(Refusal::WrongSource {
            release: tree.release.clone(),
            part: "image",
            other: release,
        }
        .into()),
        _ => Ok(kernel),
    }
}

/// The shipped module of this name, as modprobe loads it.
pub(crate) fn shipped_module(paths: &KernelPaths, object: &str) -> Result<Image> {
    Image::module(object, &modules::file(&paths.modules, object)?)
}
