/* SPDX-License-Identifier: GPL-2.0 */
/* What the module that stays does for patches: holds tasks, and keeps what callbacks say. */
#include <linux/compiler.h>

void lp_stay_hold(void);
__printf(1, 2) void lp_stay_say(const char *format, ...);
