// SPDX-License-Identifier: GPL-2.0

//! The `Cell` of [`crate::task_slot`] for models with one thread.

use std::cell::OnceCell;

pub(crate) struct Cell<T>(OnceCell<T>);

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self(OnceCell::new())
    }
}

impl<T> Cell<T> {
    pub(crate) fn set(&self, value: T) {
        let _ = self.0.set(value);
    }

    pub(crate) fn get(&self) -> Option<&T> {
        self.0.get()
    }
}
