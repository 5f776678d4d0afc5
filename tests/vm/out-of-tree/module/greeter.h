/* SPDX-License-Identifier: GPL-2.0 */
static inline const char *greeter_end(void)
{
	return ".";
}

const char *greeter_words(void);
