// A number after a source name is a line only if it comes next to it and the debug information says so.

extern void err(const char *file, int error, const char *fmt);
int f(int *p){
#ifdef PATCHED
 err(__func__, 5, "corrupt"); return -5;
#else
 err(__func__, 117, "corrupt"); return -5;
#endif
}
