/* SPDX-License-Identifier: GPL-2.0 */
/* What bindgen reads. Types that kernel::bindings has are taken from there. */
#include <linux/sort.h>

#include "../../include/rust_livepatch.h"
#include "../helpers/helpers.h"
