/* SPDX-License-Identifier: GPL-2.0 */
struct seq_file;

extern int (*const lp_late_second_twin)(struct seq_file *m, void *v);
