/* SPDX-License-Identifier: GPL-2.0 */
/* Descriptions of patches. */
#ifndef _FUZZ_OPS_DESCRIBE_H
#define _FUZZ_OPS_DESCRIBE_H

/* An index into descs[]: a new one, for a patch in this slot. */
int describe(int slot);

#endif /* _FUZZ_OPS_DESCRIBE_H */
