// SPDX-License-Identifier: GPL-2.0
// error: E0133

//! The gate is opened without the promise that it is dropped last.

use kernel::prelude::*;
use kernel_ext::gate::{
    self,
    OpenGate, //
};

pub fn open() -> Result<OpenGate> {
    gate::open()
}
