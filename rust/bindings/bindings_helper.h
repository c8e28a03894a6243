/* SPDX-License-Identifier: GPL-2.0 */
/* The input of bindgen. Types that kernel::bindings has are taken from there. */
#include <linux/sort.h>

#include "../../include/rust_livepatch.h"
#include "../helpers/helpers.h"
