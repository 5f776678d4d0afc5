// SPDX-License-Identifier: GPL-2.0
#include "shared.h"

const char *shared_owner;

int shared_show(struct seq_file *m, void *v)
{
	seq_puts(m, "hello.\n");
	return 0;
}
