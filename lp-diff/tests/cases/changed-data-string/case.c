// A variable that points to another string is changed data.

#ifdef PATCHED
const char *version = "2";
#else
const char *version = "1";
#endif
