/* SPDX-License-Identifier: GPL-2.0 */
/* Random descriptions of patches. */
#ifndef _FUZZ_OPS_DESCRIBE_H
#define _FUZZ_OPS_DESCRIBE_H

/* Makes a new description for a patch in this slot, and returns its index in descs[]. */
int describe(int slot);

#endif /* _FUZZ_OPS_DESCRIBE_H */
