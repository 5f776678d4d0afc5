/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/seq_file.h>

extern const char *shared_owner;
int shared_show(struct seq_file *m, void *v);
