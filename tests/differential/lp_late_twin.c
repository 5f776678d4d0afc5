// SPDX-License-Identifier: GPL-2.0
/* The second function of one name in one module: what positions of symbols are for. */
#include <linux/seq_file.h>

#include "lp_late.h"

static noinline int lp_late_twin(struct seq_file *m, void *v)
{
	seq_puts(m, "original lp_late_twin,2\n");
	return 0;
}

int (*const lp_late_second_twin)(struct seq_file *m, void *v) = lp_late_twin;
