// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include "greeter.h"

static unsigned int asked;

noinline const char *greeter_words(void)
{
	asked++;
	return asked ? "hello" : "";
}
